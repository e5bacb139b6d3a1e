/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the text of a tree: read, and all that the command does with what was read.
 */
#include "line_mutator.h"
#include "pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source source = pipeline_source(data, size);

    (void)source_kind(&source);
    pipeline(&source, NULL);
    source_free(&source);
    return 0;
}
