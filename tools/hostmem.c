/* SPDX-License-Identifier: MIT */
/*
 * Owns the blocks found until host_memory_free(). One thread.
 */
#include "hostmem.h"

#include <stdlib.h>

#include "alloc.h"

static int by_host(const void *a, const void *b)
{
    const struct trace_event *x = *(const struct trace_event *const *)a, *y = *(const struct trace_event *const *)b;

    if (x->ua != y->ua)
        return x->ua < y->ua ? -1 : 1;
    if (x->gpa != y->gpa)
        return x->gpa < y->gpa ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void find_blocks(struct host_memory *memory, const struct trace_event *events, const struct trace_event **made,
                        size_t n)
{
    uint64_t shift = 0; /* of the slot that reaches furthest in the block: from guest to host addresses */

    qsort(made, n, sizeof(*made), by_host);
    for (size_t i = 0; i < n; i++) {
        uint64_t first = made[i]->ua, last = first + (made[i]->size - 1);
        struct host_block *block = memory->n_blocks ? &memory->blocks[memory->n_blocks - 1] : NULL;

        if (!block || (first > block->last && !(first == block->last + 1 && first - made[i]->gpa == shift))) {
            alloc_grow(&memory->blocks, memory->n_blocks, sizeof(*memory->blocks));
            block = &memory->blocks[memory->n_blocks++];
            *block = (struct host_block){first, last};
            shift = first - made[i]->gpa;
        } else if (last > block->last) {
            block->last = last;
            shift = first - made[i]->gpa;
        }
        memory->block_of[made[i] - events] = memory->n_blocks - 1;
    }
}

bool host_memory_find(const char *source, const struct trace_event *events, size_t n, struct host_memory *memory,
                      struct problem *problem)
{
    const struct trace_event **made = alloc_zeroed(n, sizeof(*made));
    size_t n_made = 0;

    *memory = (struct host_memory){.block_of = alloc_zeroed(n, sizeof(*memory->block_of))};
    for (size_t i = 0; i < n; i++) {
        const struct trace_event *event = &events[i];

        memory->block_of[i] = SIZE_MAX;
        if (event->kind != TRACE_SLOT || !event->size || event->result < 0)
            continue;
        if (event->size - 1 > UINT64_MAX - event->gpa || event->size - 1 > UINT64_MAX - event->ua) {
            free(made);
            host_memory_free(memory);
            return problem_at(problem, source, event->line, "slot %u reaches past 2^64", event->slot);
        }
        made[n_made++] = event;
    }
    find_blocks(memory, events, made, n_made);
    free(made);
    return true;
}

void host_memory_free(struct host_memory *memory)
{
    free(memory->blocks);
    free(memory->block_of);
    *memory = (struct host_memory){0};
}
