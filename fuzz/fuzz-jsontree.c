/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the JSON of a tree: read, built and printed.
 */
#include <stdlib.h>

#include "jsonscan.h"
#include "jsontree.h"
#include "pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source source = pipeline_source(data, size);
    struct topology topology;
    struct map map;
    struct problem problem;
    size_t n;

    (void)source_kind(&source);
    free(jsonscan_lines(source.text, source.size, "regions", &n));
    if (jsontree_parse(&source, &topology, &problem)) {
        if (map_build(&topology, &map, &problem)) {
            pipeline_print(&map);
            map_free(&map);
        }
        topology_free(&topology);
    }
    source_free(&source);
    return 0;
}
