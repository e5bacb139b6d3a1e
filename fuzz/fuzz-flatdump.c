/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a text with a tree and a flat dump of one machine: both read, and the second used to settle what the first
 * leaves open.
 */
#include "line_mutator.h"
#include "pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source source = pipeline_source(data, size);
    struct flat_dump dump;
    struct problem problem;

    (void)source_kind(&source);
    if (flatdump_parse(&source, &dump, &problem)) {
        flatdump_free(&dump);
        pipeline(&source, &source);
    }
    source_free(&source);
    return 0;
}
