/* SPDX-License-Identifier: MIT */
/*
 * Owns the steps of a history until history_free(). One thread.
 */
#include "history.h"

#include <stdlib.h>

#include "alloc.h"

struct step *history_add_step(struct history *history, size_t line, const char *cause)
{
    alloc_grow(&history->steps, history->n_steps, sizeof(*history->steps));
    history->steps[history->n_steps] = (struct step){.line = line, .cause = alloc_text(cause)};
    return &history->steps[history->n_steps++];
}

bool history_topology(const struct history *history, size_t n, struct topology *topology, uint64_t **ret_ids,
                      struct problem *problem)
{
    return history->ops->topology(history->states, n, topology, ret_ids, problem);
}

void history_free(struct history *history)
{
    for (size_t i = 0; i < history->n_steps; i++) {
        free(history->steps[i].cause);
        for (size_t k = 0; k < history->steps[i].n_calls; k++)
            free(history->steps[i].calls[k].device);
        free(history->steps[i].calls);
    }
    free(history->steps);
    free(history->source);
    if (history->ops)
        history->ops->free(history->states);
    *history = (struct history){0};
}
