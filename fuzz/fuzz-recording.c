/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a recording: read, and the states after its first steps and the last built and printed.
 */
#include "pipeline.h"

#define STATES_MAX 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source source = pipeline_source(data, size);
    struct history history;
    struct problem problem;

    (void)source_kind(&source);
    if (history_from_recording(&source, &history, &problem)) {
        for (size_t n = 1; n < history.n_steps && n < STATES_MAX; n++)
            pipeline_step(&history, n);
        pipeline_step(&history, history.n_steps);
        history_free(&history);
    }
    source_free(&source);
    return 0;
}
