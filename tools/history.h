/* SPDX-License-Identifier: MIT */
/*
 * A machine through time: steps, each with what caused it, the slot calls it made, and the machine after it. From a slot
 * trace (the machine is then what the slots show), or from a recording of gmem-pc (all of it).
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "slottrace.h"
#include "topology.h"

struct step {
    size_t line; /* of the source, where it begins */
    char *
        cause; /* "pci_cfg_write i440FX 00:00.0 @0x58 <- 0x33333000"; the first step's is "start"; else "" where nothing says */
    bool has_time;
    uint64_t time_ns; /* since the start, if has_time */
    bool has_instructions;
    uint64_t instructions;     /* executed before it, if has_instructions */
    struct trace_event *calls; /* the slot calls, in order; all of kind TRACE_SLOT */
    size_t n_calls;
};

/* How the states between the steps are kept: the one who reads a kind of source knows (history_trace.c, recording.c). */
struct history_ops {
    bool (*topology)(const void *states, size_t n, struct topology *topology, uint64_t **ret_ids,
                     struct problem *problem);
    void (*free)(void *states);
};

struct history {
    char *source;
    struct step *steps; /* one at least */
    size_t n_steps;
    const struct history_ops *ops;
    void *states;
};

bool history_from_trace(const struct slot_trace *trace, struct history *history, struct problem *problem);
bool history_from_recording(const struct source *source, struct history *history, struct problem *problem);
void history_free(struct history *history);

/* Append a step, zeroed but for its line and cause (copied). */
struct step *history_add_step(struct history *history, size_t line, const char *cause);

/*
 * The machine after the first n steps (n is 1 to n_steps). ret_ids may be NULL; else (*ret_ids)[index] is a number that a region
 * keeps through all steps in which it is the same, to be freed by the caller.
 */
bool history_topology(const struct history *history, size_t n, struct topology *topology, uint64_t **ret_ids,
                      struct problem *problem);

#endif
