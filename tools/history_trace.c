/* SPDX-License-Identifier: MIT */
/*
 * The history that a slot trace tells. Owns, in its states, the slot calls that succeeded and the memory they are of, until
 * history_free(). One thread.
 *
 * Steps are the configuration writes, each with the calls until the next; writes that no calls follow are one step as long as
 * they follow each other. Of a trace without such writes they are the commits (slottrace_commit_end()).
 *
 * The machine after a step: in each address space an alias for each slot in use, onto the piece of host memory it shows.
 * Blocks of host memory are not in a trace: one is what overlaps, over the whole trace, or goes on in the host as it does
 * in the guest. A removed slot of which the trace does not know the making was there before it begins.
 */
#include "history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "slottrace.h"

#ifndef KVM_MEM_READONLY
#define KVM_MEM_READONLY 2u
#endif

struct block {
    uint64_t first, last; /* host addresses */
};

struct call {
    struct trace_event event; /* its device is NULL */
    size_t block;             /* of one with a size */
    uint64_t id;              /* of the slot it makes: the same for the same place, memory and access */
};

struct states {
    char *source;
    struct call *calls; /* those that succeeded */
    size_t n_calls;
    size_t *ends; /* of each step: the calls until its end */
    size_t n_steps;
    struct block *blocks; /* by address */
    size_t n_blocks;
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
            states->calls[states->n_calls++] = (struct call){.event = trace->events[i]};
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

/* --- host memory, and which slots are the same --- */

static int by_host(const void *a, const void *b)
{
    const struct trace_event *x = &(*(struct call *const *)a)->event, *y = &(*(struct call *const *)b)->event;

    return x->ua < y->ua ? -1 : x->ua > y->ua ? 1 : x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

static int by_identity(const void *a, const void *b)
{
    const struct call *c = *(struct call *const *)a, *d = *(struct call *const *)b;
    const struct trace_event *x = &c->event, *y = &d->event;

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
    return c < d ? -1 : c > d;
}

static bool same_slot(const struct trace_event *x, const struct trace_event *y)
{
    return x->as_id == y->as_id && x->gpa == y->gpa && x->ua == y->ua && x->size == y->size &&
           !((x->flags ^ y->flags) & KVM_MEM_READONLY);
}

static void find_blocks(struct states *states, struct call **made, size_t n)
{
    uint64_t shift = 0; /* of the slot that reaches furthest in the block: from guest to host addresses */

    qsort(made, n, sizeof(struct call *), by_host);
    for (size_t i = 0; i < n; i++) {
        const struct trace_event *event = &made[i]->event;
        uint64_t last = event->ua + (event->size - 1);
        struct block *block = states->n_blocks ? &states->blocks[states->n_blocks - 1] : NULL;

        if (!block || event->ua > block->last) {
            if (block && event->ua == block->last + 1 && event->ua - event->gpa == shift) {
                block->last = last;
            } else {
                alloc_grow(&states->blocks, states->n_blocks, sizeof(*states->blocks));
                states->blocks[states->n_blocks++] = (struct block){event->ua, last};
            }
            shift = event->ua - event->gpa;
        } else if (last > block->last) {
            block->last = last;
            shift = event->ua - event->gpa;
        }
        made[i]->block = states->n_blocks - 1;
    }
}

static void find_spaces(struct states *states)
{
    bool *used = alloc_zeroed(UINT16_MAX + 1u, sizeof(*used));

    used[0] = true;
    for (size_t i = 0; i < states->n_calls; i++)
        used[states->calls[i].event.as_id] = true;
    for (uint32_t as_id = 0; as_id <= UINT16_MAX; as_id++)
        if (used[as_id]) {
            alloc_grow(&states->spaces, states->n_spaces, sizeof(*states->spaces));
            states->spaces[states->n_spaces++] = (uint16_t)as_id;
        }
    free(used);
}

/* Numbers of slots come behind those of spaces and blocks. */
static void find_identities(struct states *states, struct call **made, size_t n)
{
    uint64_t base = (UINT64_C(1) << 16) + states->n_blocks;

    qsort(made, n, sizeof(struct call *), by_identity);
    for (size_t i = 0; i < n; i++)
        made[i]->id = i && same_slot(&made[i - 1]->event, &made[i]->event) ? made[i - 1]->id
                                                                           : base + (uint64_t)(made[i] - states->calls);
}

static bool look_at_calls(struct states *states, struct problem *problem)
{
    struct call **made = alloc_zeroed(states->n_calls, sizeof(struct call *));
    size_t n = 0;

    for (size_t i = 0; i < states->n_calls; i++) {
        const struct trace_event *event = &states->calls[i].event;

        if (!event->size)
            continue;
        if (event->size - 1 > UINT64_MAX - event->gpa || event->size - 1 > UINT64_MAX - event->ua) {
            free(made);
            return problem_at(problem, states->source, event->line, "slot %u reaches past 2^64", event->slot);
        }
        made[n++] = &states->calls[i];
    }
    find_blocks(states, made, n);
    find_identities(states, made, n);
    find_spaces(states);
    free(made);
    return true;
}

/* --- the machine after a step --- */

static int by_number(const void *a, const void *b)
{
    const struct call *c = *(struct call *const *)a, *d = *(struct call *const *)b;
    uint32_t x = (uint32_t)c->event.as_id << 16 | c->event.slot, y = (uint32_t)d->event.as_id << 16 | d->event.slot;

    return x < y ? -1 : x > y ? 1 : c < d ? -1 : c > d;
}

static uint64_t alias_offset(const struct states *states, const struct call *call)
{
    return call->event.ua - states->blocks[call->block].first;
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

static void add_slot(struct making *making, const struct call *call)
{
    const struct states *states = making->states;
    const struct trace_event *event = &call->event;
    const struct block *block = &states->blocks[call->block];
    struct topo_region *region;
    size_t target = making->blocks[call->block], index;

    if (target == NOWHERE) {
        target = add_region(making, GMEM_KIND_RAM, alloc_format("host@0x%" PRIx64, block->first),
                            (UINT64_C(1) << 16) + call->block, 0);
        making->topology->regions[target].size = GMEM_SIZE(block->last - block->first + 1);
        making->topology->regions[target].ram = alloc_format("host@0x%" PRIx64, block->first);
        making->blocks[call->block] = target;
    }
    index = add_region(making, GMEM_KIND_ALIAS, alloc_format("slot %u", event->slot), call->id, event->line);
    region = &making->topology->regions[index];
    region->parent = making->roots[space_of(states, event->as_id)];
    region->offset = event->gpa;
    region->size = GMEM_SIZE(event->size);
    region->readonly = event->flags & KVM_MEM_READONLY;
    region->target = target;
    region->target_offset = alias_offset(states, call);
}

/* Of the calls for one slot number the last decides, if it is no removal. */
static void add_slots(struct making *making, struct call **calls, size_t n)
{
    qsort(calls, n, sizeof(struct call *), by_number);
    for (size_t i = 0, end; i < n; i = end) {
        const struct trace_event *event = &calls[i]->event;

        for (end = i + 1; end < n && calls[end]->event.as_id == event->as_id && calls[end]->event.slot == event->slot;)
            end++;
        if (!event->size)
            topology_guess(making->topology, NOWHERE, SETTLED_RULE,
                           "line %zu removes slot %u, which was there before the trace begins: it is not shown",
                           event->line, event->slot);
        if (calls[end - 1]->event.size)
            add_slot(making, calls[end - 1]);
    }
}

static bool trace_topology(const void *opaque, size_t n, struct topology *topology, uint64_t **ret_ids,
                           struct problem *problem)
{
    const struct states *states = opaque;
    size_t n_calls = states->ends[n - 1];
    struct call **calls = alloc_zeroed(n_calls, sizeof(struct call *));
    struct making making = {.states = states, .topology = topology};

    (void)problem;
    *topology = (struct topology){.source = alloc_text(states->source)};
    making.roots = alloc_zeroed(states->n_spaces, sizeof(*making.roots));
    making.blocks = alloc_zeroed(states->n_blocks, sizeof(*making.blocks));
    if (ret_ids)
        alloc_grow(&making.ids, 0, sizeof(*making.ids));
    for (size_t i = 0; i < states->n_blocks; i++)
        making.blocks[i] = NOWHERE;
    for (size_t i = 0; i < states->n_spaces; i++) {
        unsigned as_id = states->spaces[i];
        char *name = as_id ? alloc_format("memory (as_id %u)", as_id) : alloc_text("memory");

        making.roots[i] = add_region(&making, GMEM_KIND_CONTAINER, name, as_id, 0);
        topology->regions[making.roots[i]].size = GMEM_SIZE_ALL;
        topology_add_space(topology, name, making.roots[i]);
    }
    for (size_t i = 0; i < n_calls; i++)
        calls[i] = &states->calls[i];
    add_slots(&making, calls, n_calls);
    if (ret_ids)
        *ret_ids = making.ids;
    free(calls);
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
    free(states->blocks);
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
    if (look_at_calls(states, problem))
        return true;
    history_free(history);
    return false;
}
