/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a trace of slots: read, counted and checked, replayed, and made the map of its first and its last step.
 */
#include "pipeline.h"
#include "slotreplay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source source = pipeline_source(data, size);
    struct slot_trace trace;
    struct slot_report report;
    struct slot_replay replay;
    struct history history;
    struct problem problem;

    if (slottrace_parse(&source, &trace, &problem)) {
        slotcheck(&trace, &report);
        if (slotreplay(&trace, &report, &replay, &problem))
            slot_replay_free(&replay);
        slot_report_free(&report);
        if (history_from_trace(&trace, &history, &problem)) {
            pipeline_step(&history, 1);
            pipeline_step(&history, history.n_steps);
            history_free(&history);
        }
        slottrace_free(&trace);
    }
    source_free(&source);
    return 0;
}
