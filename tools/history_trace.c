/* SPDX-License-Identifier: MIT */
/*
 * The history that a slot trace tells. Owns, in its states, the slot calls that succeeded and the memory they are of, until
 * history_free(). One thread.
 *
 * Steps are the configuration writes, each with the calls until the next; writes that no calls follow are one step as long as
 * they follow each other. Of a trace without such writes they are the commits (slottrace_commit_end()).
 *
 * The machine after a step: in each address space an alias for each slot in use, onto the piece of host memory it shows.
 * Blocks are found by hostmem.c. A removed slot of which the trace does not know the making was there before it begins.
 */
#include "history.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "hostmem.h"

/* What numbers of regions begin at: spaces have their as_id, then come blocks, then slots. */
#define FIRST_BLOCK (UINT64_C(1) << 16)

struct states {
    char *source;
    struct trace_event *calls; /* those that succeeded */
    size_t n_calls;
    uint64_t *ids; /* of the slot that each call makes: the same for the same place, memory and access */
    size_t *ends;  /* of each step: the calls until its end */
    size_t n_steps;
    struct host_memory memory; /* of the calls */
    bool *writable;            /* by block */
    size_t *numbers;  /* of blocks, from 1 on in the order in which they come: their names in each run of a machine */
    uint16_t *spaces; /* as_ids, rising; 0 is one of them */
    size_t n_spaces;
};

/* --- the steps --- */

static bool has_writes(const struct slot_trace *trace)
{
    for (size_t i = 0; i < trace->n_events; i++)
        if (trace->events[i].kind == TRACE_CONFIG)
            return true;
    return false;
}

static size_t next_config(const struct slot_trace *trace, size_t i)
{
    while (i < trace->n_events && trace->events[i].kind != TRACE_CONFIG)
        i++;
    return i;
}

/* A step with the calls [first, end). */
static struct step *add_step(struct history *history, const struct slot_trace *trace, const struct trace_event *event,
                             const char *cause, size_t first, size_t end)
{
    struct states *states = history->states;
    struct step *step = history_add_step(history, event->line, cause);
    const struct trace_event *start = &trace->events[0];

    step->has_time = event->has_time && start->has_time && event->time_ns >= start->time_ns;
    step->time_ns = step->has_time ? event->time_ns - start->time_ns : 0;
    step->n_calls = end - first;
    if (end > first) {
        step->calls = alloc_zeroed(end - first, sizeof(*step->calls));
        memcpy(step->calls, &trace->events[first], (end - first) * sizeof(*step->calls));
    }
    for (size_t i = first; i < end; i++)
        if (trace->events[i].result >= 0) {
            alloc_grow(&states->calls, states->n_calls, sizeof(*states->calls));
            states->calls[states->n_calls++] = trace->events[i];
        }
    alloc_grow(&states->ends, states->n_steps, sizeof(*states->ends));
    states->ends[states->n_steps++] = states->n_calls;
    return step;
}

static void steps_of_commits(struct history *history, const struct slot_trace *trace)
{
    for (size_t i = 0, end; i < trace->n_events; i = end) {
        end = slottrace_commit_end(trace, i);
        add_step(history, trace, &trace->events[i], i ? "" : "start", i, end);
    }
}

/* The write at i and those behind it, as long as no calls come between: the index of the last of them. */
static size_t last_idle_write(const struct slot_trace *trace, size_t i)
{
    while (i + 1 < trace->n_events && trace->events[i + 1].kind == TRACE_CONFIG &&
           (i + 2 == trace->n_events || trace->events[i + 2].kind == TRACE_CONFIG))
        i++;
    return i;
}

static void steps_of_writes(struct history *history, const struct slot_trace *trace)
{
    size_t i = next_config(trace, 0);

    add_step(history, trace, &trace->events[0], "start", 0, i);
    while (i < trace->n_events) {
        size_t end = next_config(trace, i + 1), idle = last_idle_write(trace, i);
        char *cause;

        if (end == i + 1 && idle > i) {
            cause = alloc_format("%zu configuration writes that change no slot", idle - i + 1);
            end = idle + 1;
            add_step(history, trace, &trace->events[i], cause, end, end);
        } else {
            cause = slottrace_config_text(&trace->events[i]);
            add_step(history, trace, &trace->events[i], cause, i + 1, end);
        }
        free(cause);
        i = end;
    }
}

/* --- which slots are the same --- */

static int by_identity(const void *a, const void *b)
{
    const struct trace_event *x = *(const struct trace_event *const *)a, *y = *(const struct trace_event *const *)b;

    if (x->as_id != y->as_id)
        return x->as_id < y->as_id ? -1 : 1;
    if (x->gpa != y->gpa)
        return x->gpa < y->gpa ? -1 : 1;
    if (x->ua != y->ua)
        return x->ua < y->ua ? -1 : 1;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    if ((x->flags ^ y->flags) & KVM_MEM_READONLY)
        return x->flags & KVM_MEM_READONLY ? 1 : -1;
    return x < y ? -1 : x > y;
}

static bool same_slot(const struct trace_event *x, const struct trace_event *y)
{
    return x->as_id == y->as_id && x->gpa == y->gpa && x->ua == y->ua && x->size == y->size &&
           !((x->flags ^ y->flags) & KVM_MEM_READONLY);
}

/* Numbers of slots come behind those of spaces and blocks. */
static void find_identities(struct states *states)
{
    const struct trace_event **calls = alloc_zeroed(states->n_calls, sizeof(*calls));
    uint64_t base = FIRST_BLOCK + states->memory.n_blocks, id = 0;

    for (size_t i = 0; i < states->n_calls; i++)
        calls[i] = &states->calls[i];
    qsort(calls, states->n_calls, sizeof(*calls), by_identity);
    states->ids = alloc_zeroed(states->n_calls, sizeof(*states->ids));
    for (size_t i = 0; i < states->n_calls; i++) {
        size_t index = (size_t)(calls[i] - states->calls);

        if (!i || !same_slot(calls[i - 1], calls[i]))
            id = base + index;
        states->ids[index] = id;
    }
    free(calls);
}

/* Memory that is read-only wherever it is shown is so by itself, and not by the windows that it is seen through. */
static void number_blocks(struct states *states)
{
    size_t n = 0;

    states->numbers = alloc_zeroed(states->memory.n_blocks, sizeof(*states->numbers));
    states->writable = alloc_zeroed(states->memory.n_blocks, sizeof(*states->writable));
    for (size_t i = 0; i < states->n_calls; i++) {
        size_t block = states->memory.block_of[i];

        if (block == SIZE_MAX)
            continue;
        if (!states->numbers[block])
            states->numbers[block] = ++n;
        states->writable[block] |= !(states->calls[i].flags & (uint32_t)KVM_MEM_READONLY);
    }
}

static void find_spaces(struct states *states)
{
    bool *used = alloc_zeroed(UINT16_MAX + 1u, sizeof(*used));

    used[0] = true;
    for (size_t i = 0; i < states->n_calls; i++)
        used[states->calls[i].as_id] = true;
    for (uint32_t as_id = 0; as_id <= UINT16_MAX; as_id++)
        if (used[as_id]) {
            alloc_grow(&states->spaces, states->n_spaces, sizeof(*states->spaces));
            states->spaces[states->n_spaces++] = (uint16_t)as_id;
        }
    free(used);
}

/* --- the machine after a step --- */

static int by_number(const void *a, const void *b)
{
    const struct trace_event *c = *(const struct trace_event *const *)a, *d = *(const struct trace_event *const *)b;
    uint32_t x = (uint32_t)c->as_id << 16 | c->slot, y = (uint32_t)d->as_id << 16 | d->slot;

    return x < y ? -1 : x > y ? 1 : c < d ? -1 : c > d;
}

struct making {
    const struct states *states;
    struct topology *topology;
    uint64_t *ids; /* or NULL */
    size_t *roots; /* by index of the space */
    size_t *blocks;
};

static size_t add_region(struct making *making, enum gmem_kind kind, char *name, uint64_t id, size_t line)
{
    size_t index = topology_add_region(making->topology);
    struct topo_region *region = &making->topology->regions[index];

    region->kind = kind;
    region->name = name;
    region->line = line;
    region->rank = UINT32_MAX - (uint32_t)index; /* of slots that overlap the one set later wins */
    if (making->ids) {
        alloc_grow(&making->ids, index, sizeof(*making->ids));
        making->ids[index] = id;
    }
    return index;
}

static size_t space_of(const struct states *states, uint16_t as_id)
{
    size_t low = 0, high = states->n_spaces - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (states->spaces[middle] < as_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_slot(struct making *making, const struct trace_event *call)
{
    const struct states *states = making->states;
    size_t number = (size_t)(call - states->calls), block = states->memory.block_of[number], index;
    uint64_t host = states->memory.blocks[block].first;
    struct topo_region *region;

    if (making->blocks[block] == NOWHERE) {
        making->blocks[block] = add_region(making, GMEM_KIND_RAM, alloc_format("block %zu", states->numbers[block]),
                                           FIRST_BLOCK + block, 0);
        region = &making->topology->regions[making->blocks[block]];
        region->size = GMEM_SIZE(states->memory.blocks[block].last - host + 1);
        region->readonly = !states->writable[block];
        region->ram = alloc_text(region->name);
    }
    index = add_region(making, GMEM_KIND_ALIAS, alloc_format("slot %u", call->slot), states->ids[number], call->line);
    region = &making->topology->regions[index];
    region->parent = making->roots[space_of(states, call->as_id)];
    region->offset = call->gpa;
    region->size = GMEM_SIZE(call->size);
    region->readonly = call->flags & KVM_MEM_READONLY;
    region->target = making->blocks[block];
    region->target_offset = call->ua - host;
}

/* Of the calls for one slot number the last decides, if it is no removal. */
static void add_slots(struct making *making, size_t n)
{
    const struct trace_event **calls = alloc_zeroed(n, sizeof(*calls));

    for (size_t i = 0; i < n; i++)
        calls[i] = &making->states->calls[i];
    qsort(calls, n, sizeof(*calls), by_number);
    for (size_t i = 0, end; i < n; i = end) {
        const struct trace_event *call = calls[i];

        for (end = i + 1; end < n && calls[end]->as_id == call->as_id && calls[end]->slot == call->slot;)
            end++;
        if (!call->size)
            topology_guess(making->topology, NOWHERE, SETTLED_RULE,
                           "line %zu removes slot %u, which was there before the trace begins: it is not shown",
                           call->line, call->slot);
        if (calls[end - 1]->size)
            add_slot(making, calls[end - 1]);
    }
    free(calls);
}

static bool trace_topology(const void *opaque, size_t n, struct topology *topology, uint64_t **ret_ids,
                           struct problem *problem)
{
    const struct states *states = opaque;
    struct making making = {.states = states, .topology = topology};

    (void)problem;
    *topology = (struct topology){.source = alloc_text(states->source)};
    making.roots = alloc_zeroed(states->n_spaces, sizeof(*making.roots));
    making.blocks = alloc_zeroed(states->memory.n_blocks, sizeof(*making.blocks));
    if (ret_ids)
        alloc_grow(&making.ids, 0, sizeof(*making.ids));
    for (size_t i = 0; i < states->memory.n_blocks; i++)
        making.blocks[i] = NOWHERE;
    for (size_t i = 0; i < states->n_spaces; i++) {
        unsigned as_id = states->spaces[i];
        char *name = as_id ? alloc_format("memory (as_id %u)", as_id) : alloc_text("memory");

        making.roots[i] = add_region(&making, GMEM_KIND_CONTAINER, name, as_id, 0);
        topology->regions[making.roots[i]].size = GMEM_SIZE_ALL;
        topology_add_space(topology, name, making.roots[i]);
    }
    add_slots(&making, states->ends[n - 1]);
    if (ret_ids)
        *ret_ids = making.ids;
    free(making.roots);
    free(making.blocks);
    return true;
}

static void free_states(void *opaque)
{
    struct states *states = opaque;

    free(states->source);
    free(states->calls);
    free(states->ends);
    free(states->writable);
    free(states->numbers);
    free(states->ids);
    host_memory_free(&states->memory);
    free(states->spaces);
    free(states);
}

bool history_from_trace(const struct slot_trace *trace, struct history *history, struct problem *problem)
{
    static const struct history_ops ops = {.topology = trace_topology, .free = free_states};
    struct states *states = alloc_zeroed(1, sizeof(*states));

    *history = (struct history){.source = alloc_text(trace->source), .ops = &ops, .states = states};
    states->source = alloc_text(trace->source);
    if (has_writes(trace))
        steps_of_writes(history, trace);
    else
        steps_of_commits(history, trace);
    if (!host_memory_find(states->source, states->calls, states->n_calls, &states->memory, problem)) {
        history_free(history);
        return false;
    }
    number_blocks(states);
    find_identities(states);
    find_spaces(states);
    return true;
}
