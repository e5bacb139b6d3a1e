/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a recording: read, and the states after its first steps and the last built and printed.
 */
#include <stdlib.h>

#include "pipeline.h"

#define STATES_MAX 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void build(const struct history *history, size_t n)
{
    struct topology topology;
    struct problem problem;
    struct map map;
    uint64_t *ids;

    if (!history_topology(history, n, &topology, &ids, &problem))
        return;
    if (map_build(&topology, &map, &problem)) {
        pipeline_print(&map);
        map_free(&map);
    }
    topology_free(&topology);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source source = pipeline_source(data, size);
    struct history history;
    struct problem problem;

    (void)source_kind(&source);
    if (history_from_recording(&source, &history, &problem)) {
        for (size_t n = 1; n < history.n_steps && n < STATES_MAX; n++)
            build(&history, n);
        build(&history, history.n_steps);
        history_free(&history);
    }
    source_free(&source);
    return 0;
}
