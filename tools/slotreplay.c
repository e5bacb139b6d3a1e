/* SPDX-License-Identifier: MIT */
/*
 * Owns the vm of a replay, and the addresses reserved for its memory, while it runs; the counts until slot_replay_free(). One
 * thread.
 *
 * Each slot that the trace adds is a region of its own, of the whole block of host memory, with an alias of it where the slot
 * is. So no two slots become one range, and the reference has to set the very slots of the trace.
 */
#include "slotreplay.h"

#include <linux/kvm.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc.h"
#include "hostmem.h"

/* What is replayed; more takes longer than anyone waits for. */
#define CALLS_MAX 100000
#define SPACES_MAX 16
#define MEMORY_MAX (UINT64_C(1) << 44)

struct replaying;

/* One policy's adapter of one address space. */
struct dry {
    struct replaying *replaying;
    unsigned policy;
    gmem_kvm *kvm;
};

struct place {
    uint16_t as_id;
    gmem_region *root;
    gmem_space *space;
    struct dry dry[REPLAY_POLICIES];
};

struct shown {
    uint16_t as_id, slot; /* what it is found by */
    gmem_region *region, *alias;
};

struct replaying {
    const struct slot_trace *trace;
    struct slot_replay *replay;
    struct host_memory host;
    gmem_vm *vm;
    gmem_ram **rams; /* by block */
    char *memory;    /* the reservation */
    uint64_t memory_size;
    uint64_t *begins; /* of each block, in the reservation */
    struct place places[SPACES_MAX];
    size_t n_places;
    void *shown; /* a tree of struct shown */
    size_t row;
    size_t expected;                     /* the next event that reference should call */
    bool begins_commit[REPLAY_POLICIES]; /* the next call is the first of a commit */
    bool over;                           /* what is called from now on is the end of the replay */
    struct slot_trace
        calls[REPLAY_POLICIES]; /* made; before those of each row an event of the other kind, with its number as line */
};

/* --- hearing the calls --- */

/* The address that the trace has for memory of the reservation. */
static uint64_t host_of(const struct replaying *replaying, uint64_t address)
{
    uint64_t offset = address - (uintptr_t)replaying->memory;
    size_t low = 0, high = replaying->host.n_blocks - 1;

    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;

        if (replaying->begins[middle] <= offset)
            low = middle;
        else
            high = middle - 1;
    }
    return replaying->host.blocks[low].first + (offset - replaying->begins[low]);
}

static bool same_call(const struct trace_event *event, const struct trace_event *call)
{
    return event->as_id == call->as_id && event->slot == call->slot && event->gpa == call->gpa &&
           event->size == call->size && event->ua == call->ua && (!event->size || event->flags == call->flags);
}

static void note(struct slot_trace *trace, const struct trace_event *event)
{
    alloc_grow(&trace->events, trace->n_events, sizeof(*trace->events));
    trace->events[trace->n_events++] = *event;
}

static void compare_call(struct replaying *replaying, const struct trace_event *call)
{
    const struct slot_trace *trace = replaying->trace;
    struct slot_replay *replay = replaying->replay;

    while (replaying->expected < trace->n_events &&
           (trace->events[replaying->expected].kind != TRACE_SLOT || trace->events[replaying->expected].result < 0))
        replaying->expected++;
    if (replaying->expected == trace->n_events) {
        replay->same = false;
    } else if (replay->same && !same_call(&trace->events[replaying->expected], call)) {
        replay->same = false;
        replay->differs = trace->events[replaying->expected].line;
    }
    replaying->expected += replaying->expected < trace->n_events;
}

static int on_call(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct dry *dry = opaque;
    struct replaying *replaying = dry->replaying;
    struct trace_event event = {.kind = TRACE_SLOT,
                                .as_id = (uint16_t)(call->slot >> 16),
                                .slot = (uint16_t)call->slot,
                                .flags = call->flags,
                                .gpa = call->guest_phys_addr,
                                .size = call->memory_size,
                                .ua = host_of(replaying, call->userspace_addr)};

    if (replaying->over)
        return 0;
    if (dry->policy == REPLAY_REFERENCE)
        compare_call(replaying, &event);
    event.begins = replaying->begins_commit[dry->policy];
    replaying->begins_commit[dry->policy] = false;
    note(&replaying->calls[dry->policy], &event);
    return 0;
}

static void hold(void *opaque)
{
    struct dry *dry = opaque;

    if (!dry->replaying->over)
        dry->replaying->replay->rows[dry->policy][dry->replaying->row].pauses++;
}

static void let_go(void *opaque)
{
    (void)opaque;
}

/* --- the machine --- */

static bool fails(int err, const struct replaying *replaying, size_t line, struct problem *problem)
{
    char reason[256] = "";

    if (!err)
        return false;
    if (replaying->vm)
        gmem_vm_reason(replaying->vm, reason, sizeof(reason));
    problem_at(problem, replaying->trace->source, line, "%s%s%s", gmem_strerror(err), *reason ? ": " : "", reason);
    return true;
}

static bool reserve(struct replaying *replaying, struct problem *problem)
{
    uint64_t total = 0, page = (uint64_t)sysconf(_SC_PAGESIZE);

    replaying->begins = alloc_zeroed(replaying->host.n_blocks, sizeof(*replaying->begins));
    for (size_t i = 0; i < replaying->host.n_blocks; i++) {
        uint64_t size = replaying->host.blocks[i].last - replaying->host.blocks[i].first;

        if (size >= MEMORY_MAX || (total += (size / page + 1) * page) > MEMORY_MAX)
            return problem_at(problem, replaying->trace->source, 0, "it has more than 16 TiB of memory");
        replaying->begins[i] = total - (size / page + 1) * page;
    }
    replaying->memory_size = total;
    replaying->memory =
        total ? mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : MAP_FAILED;
    if (total && replaying->memory == MAP_FAILED)
        return problem_at(problem, replaying->trace->source, 0, "its memory can't be reserved here");
    return true;
}

static bool make_blocks(struct replaying *replaying, struct problem *problem)
{
    replaying->rams = alloc_zeroed(replaying->host.n_blocks, sizeof(gmem_ram *));
    for (size_t i = 0; i < replaying->host.n_blocks; i++) {
        char *id = alloc_format("%zu", i);
        const struct gmem_ram_options options = {
            .struct_size = sizeof(options),
            .backing = GMEM_RAM_CALLER,
            .id = id,
            .host = replaying->memory + replaying->begins[i],
            .size = replaying->host.blocks[i].last - replaying->host.blocks[i].first + 1,
        };
        int err = gmem_ram_create(replaying->vm, &options, &replaying->rams[i]);

        free(id);
        if (fails(err, replaying, 0, problem))
            return false;
    }
    return true;
}

static int attach(struct replaying *replaying, struct place *place, unsigned policy)
{
    struct dry *dry = &place->dry[policy];
    struct gmem_kvm_options options = {
        .struct_size = sizeof(options),
        .vm_fd = -1,
        .as_id = place->as_id,
        .policy = policy == REPLAY_KEEP ? GMEM_KVM_POLICY_KEEP : GMEM_KVM_POLICY_REFERENCE,
        .priority = 10,
        .set = on_call,
        .set_opaque = dry,
        .pause = hold,
        .resume = let_go,
        .pause_opaque = dry,
    };

    *dry = (struct dry){.replaying = replaying, .policy = policy};
    return gmem_kvm_create(place->space, &options, &dry->kvm);
}

/* Address spaces in the order of their numbers, which is that of their calls in a commit. */
static bool make_spaces(struct replaying *replaying, struct problem *problem)
{
    const struct slot_trace *trace = replaying->trace;

    for (size_t i = 0; i < trace->n_events; i++) {
        size_t k = 0, n = replaying->n_places;
        uint16_t as_id = trace->events[i].as_id;

        if (trace->events[i].kind != TRACE_SLOT)
            continue;
        while (k < n && replaying->places[k].as_id < as_id)
            k++;
        if (k < n && replaying->places[k].as_id == as_id)
            continue;
        if (n == SPACES_MAX)
            return problem_at(problem, trace->source, trace->events[i].line, "it has more than %d address spaces",
                              SPACES_MAX);
        memmove(&replaying->places[k + 1], &replaying->places[k], (n - k) * sizeof(replaying->places[0]));
        replaying->places[k] = (struct place){.as_id = as_id};
        replaying->n_places++;
    }
    for (size_t i = 0; i < replaying->n_places; i++) {
        struct place *place = &replaying->places[i];
        int err = gmem_region_create_container(replaying->vm, "memory", GMEM_SIZE_ALL, NULL, &place->root);

        if (!err)
            err = gmem_space_create(replaying->vm, "memory", place->root, NULL, &place->space);
        for (unsigned policy = 0; !err && policy < REPLAY_POLICIES; policy++)
            err = attach(replaying, place, policy);
        if (fails(err, replaying, 0, problem))
            return false;
    }
    return true;
}

static int by_number(const void *a, const void *b)
{
    const struct shown *x = a, *y = b;

    if (x->as_id != y->as_id)
        return x->as_id < y->as_id ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static gmem_region *root_of(const struct replaying *replaying, uint16_t as_id)
{
    size_t i = 0;

    while (replaying->places[i].as_id != as_id)
        i++;
    return replaying->places[i].root;
}

static int show(struct replaying *replaying, size_t number, struct shown *shown)
{
    const struct trace_event *event = &replaying->trace->events[number];
    size_t block = replaying->host.block_of[number];
    gmem_vm *vm = replaying->vm;
    int err = gmem_region_create_ram(vm, "ram", replaying->rams[block], NULL, &shown->region);

    if (!err && event->flags & (uint32_t)KVM_MEM_READONLY)
        err = gmem_region_set_readonly(shown->region, true);
    if (!err && event->flags & (uint32_t)KVM_MEM_LOG_DIRTY_PAGES)
        err = gmem_region_set_log(shown->region, GMEM_LOG_DISPLAY, true);
    if (!err)
        err = gmem_region_create_alias(vm, "slot", shown->region, event->ua - replaying->host.blocks[block].first,
                                       GMEM_SIZE(event->size), NULL, &shown->alias);
    return err ? err : gmem_region_add(root_of(replaying, event->as_id), event->gpa, shown->alias);
}

static void forget(struct shown *shown)
{
    gmem_region_unref(shown->alias);
    gmem_region_unref(shown->region);
    free(shown);
}

static void forget_node(void *shown)
{
    forget(shown);
}

/* Only what is allowed comes here: a slot in use is moved, or its log changes. */
static int do_event(struct replaying *replaying, size_t number)
{
    const struct trace_event *event = &replaying->trace->events[number];
    const struct shown key = {.as_id = event->as_id, .slot = event->slot};
    struct shown *const *node = tfind(&key, &replaying->shown, by_number);
    struct shown *shown = node ? *node : NULL;
    int err;

    if (event->result < 0)
        return 0;
    if (shown && event->size) {
        err = gmem_region_set_log(shown->region, GMEM_LOG_DISPLAY, event->flags & (uint32_t)KVM_MEM_LOG_DIRTY_PAGES);
        return err ? err : gmem_region_move(shown->alias, event->gpa);
    }
    if (shown) {
        err = gmem_region_remove(root_of(replaying, event->as_id), shown->alias);
        tdelete(&key, &replaying->shown, by_number);
        forget(shown);
        return err;
    }
    shown = alloc_zeroed(1, sizeof(*shown));
    *shown = key;
    if (!tsearch(shown, &replaying->shown, by_number))
        alloc_failed();
    return show(replaying, number, shown);
}

/* --- the replay --- */

static bool replay_commit(struct replaying *replaying, size_t first, size_t end, struct problem *problem)
{
    size_t line = replaying->trace->events[first].line;
    int err = gmem_vm_begin(replaying->vm);

    if (fails(err, replaying, line, problem))
        return false;
    for (size_t i = first; !err && i < end; i++)
        err = do_event(replaying, i);
    if (err)
        gmem_vm_abort(replaying->vm);
    else
        err = gmem_vm_commit(replaying->vm);
    return !fails(err, replaying, line, problem);
}

static bool replay_rows(struct replaying *replaying, const struct slot_report *report, struct problem *problem)
{
    for (size_t i = 0; i < report->n_rows; i++) {
        const struct trace_event begin = {.kind = TRACE_CONFIG, .line = i};

        replaying->row = i;
        for (unsigned policy = 0; policy < REPLAY_POLICIES; policy++)
            note(&replaying->calls[policy], &begin);
        for (size_t at = report->rows[i].first, end; at < report->rows[i].end; at = end) {
            end = slottrace_commit_end(replaying->trace, at);
            replaying->begins_commit[REPLAY_REFERENCE] = replaying->begins_commit[REPLAY_KEEP] = true;
            if (!replay_commit(replaying, at, end, problem))
                return false;
        }
    }
    return true;
}

/* What was called, counted as the trace is. */
static void count_calls(const struct replaying *replaying, unsigned policy, size_t n_rows)
{
    struct slot_replay *replay = replaying->replay;
    struct slot_report report;

    slotcheck(&replaying->calls[policy], &report);
    for (size_t i = 0; i < report.n_rows; i++)
        replay->rows[policy][report.rows[i].write->line].slots = report.rows[i].counts;
    for (size_t i = 0; i < n_rows; i++)
        replay->total[policy].pauses += replay->rows[policy][i].pauses;
    replay->total[policy].slots = report.total;
    replay->slots_peak[policy] = report.slots_peak;
    replay->bytes_peak[policy] = report.bytes_peak;
    slot_report_free(&report);
}

static void end(struct replaying *replaying)
{
    for (size_t i = 0; i < replaying->n_places; i++)
        for (unsigned policy = 0; policy < REPLAY_POLICIES; policy++)
            gmem_kvm_destroy(replaying->places[i].dry[policy].kvm);
    tdestroy(replaying->shown, forget_node);
    gmem_vm_destroy(replaying->vm);
    if (replaying->memory_size && replaying->memory != MAP_FAILED)
        munmap(replaying->memory, replaying->memory_size);
    for (unsigned policy = 0; policy < REPLAY_POLICIES; policy++)
        free(replaying->calls[policy].events);
    free(replaying->rams);
    free(replaying->begins);
    host_memory_free(&replaying->host);
}

static bool can_be_replayed(const struct slot_report *report, struct problem *problem)
{
    if (report->total.calls > CALLS_MAX)
        return problem_at(problem, NULL, 0, "the trace has more than %d slot calls", CALLS_MAX);
    if (report->before)
        return problem_at(problem, NULL, 0,
                          "the trace begins when there were slots already, whose sizes it does not have");
    for (size_t i = 0; i < report->n_violations; i++)
        if (report->violations[i].rule != SLOT_FAILED)
            return problem_at(problem, NULL, 0, "line %zu breaks a rule, so that no machine has these slots",
                              report->violations[i].line);
    return report->n_rows ? true : problem_at(problem, NULL, 0, "the trace has no slot calls");
}

bool slotreplay(const struct slot_trace *trace, const struct slot_report *report, struct slot_replay *replay,
                struct problem *problem)
{
    struct replaying replaying = {.trace = trace, .replay = replay, .memory = MAP_FAILED};
    bool ok;

    *replay = (struct slot_replay){.same = true};
    if (!can_be_replayed(report, problem) ||
        !host_memory_find(trace->source, trace->events, trace->n_events, &replaying.host, problem))
        return false;
    for (unsigned policy = 0; policy < REPLAY_POLICIES; policy++)
        replay->rows[policy] = alloc_zeroed(report->n_rows, sizeof(struct replay_counts));
    ok = !fails(gmem_vm_create(NULL, &replaying.vm), &replaying, 0, problem) && reserve(&replaying, problem) &&
         make_blocks(&replaying, problem) && make_spaces(&replaying, problem) &&
         replay_rows(&replaying, report, problem);
    if (ok) {
        for (unsigned policy = 0; policy < REPLAY_POLICIES; policy++)
            count_calls(&replaying, policy, report->n_rows);
        if (replay->same && replay->total[REPLAY_REFERENCE].slots.calls != report->total.calls - report->total.failed)
            replay->same = false;
    }
    replaying.over = true;
    end(&replaying);
    if (!ok)
        slot_replay_free(replay);
    return ok;
}

void slot_replay_free(struct slot_replay *replay)
{
    for (unsigned policy = 0; policy < REPLAY_POLICIES; policy++)
        free(replay->rows[policy]);
    *replay = (struct slot_replay){0};
}
