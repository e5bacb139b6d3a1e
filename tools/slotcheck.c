/* SPDX-License-Identifier: MIT */
/*
 * Owns what it reports until slot_report_free(), and the slots in use while it looks. One thread.
 *
 * Slots in use are in two trees: by number, and by place. In the second one intervals that overlap compare as equal; so it only
 * has those that are disjoint. One that lies over another, which is a violation, is not in it.
 */
#include "slotcheck.h"

#include <inttypes.h>
#include <linux/kvm.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#ifndef KVM_MEM_GUEST_MEMFD
#define KVM_MEM_GUEST_MEMFD 4u
#endif

#define PAGE 4096u /* the smallest that KVM has */
#define KNOWN_FLAGS ((uint32_t)KVM_MEM_LOG_DIRTY_PAGES | (uint32_t)KVM_MEM_READONLY | (uint32_t)KVM_MEM_GUEST_MEMFD)

struct live {
    struct trace_event event; /* the call that made it, as changed since; first, so that comparing takes either */
    bool placed;              /* in the tree by place */
    bool before;              /* it was there before the trace begins, and is gone: only its number is known */
};

struct checking {
    const struct slot_trace *trace;
    struct slot_report *report;
    void *by_number, *by_place;
    struct slot_counts *counts; /* of the row */
    bool middle;                /* there were slots before the trace begins */
    /* Of this commit: what was removed and what was added, each by address space and address. */
    struct trace_event *gone, *made;
    size_t n_gone, n_made;
};

static int compare_numbers(const void *a, const void *b)
{
    const struct trace_event *x = a, *y = b;

    if (x->as_id != y->as_id)
        return x->as_id < y->as_id ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static uint64_t last_of(const struct trace_event *event)
{
    uint64_t room = UINT64_MAX - event->gpa;

    return event->gpa + (event->size - 1 < room ? event->size - 1 : room);
}

static int compare_places(const void *a, const void *b)
{
    const struct trace_event *x = a, *y = b;

    if (x->as_id != y->as_id)
        return x->as_id < y->as_id ? -1 : 1;
    return last_of(x) < y->gpa ? -1 : x->gpa > last_of(y) ? 1 : 0;
}

static struct live *find(const void *event, void *const *tree, int (*compare)(const void *, const void *))
{
    struct live *const *node = tfind(event, tree, compare);

    return node ? *node : NULL;
}

static void insert(struct live *live, void **tree, int (*compare)(const void *, const void *))
{
    if (!tsearch(live, tree, compare))
        alloc_failed();
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* --- violations --- */

const char *slot_rule_name(enum slot_rule rule)
{
    static const char *const names[] = {
        [SLOT_OVERLAP] = "overlap",   [SLOT_UNKNOWN] = "unknown",   [SLOT_RESIZED] = "resized",
        [SLOT_REBACKED] = "rebacked", [SLOT_READONLY] = "readonly", [SLOT_UNALIGNED] = "unaligned",
        [SLOT_FLAGS] = "flags",       [SLOT_PAST_END] = "past-end", [SLOT_FAILED] = "failed",
    };

    return names[rule];
}

/* text is given away. */
static void violates(struct checking *checking, const struct trace_event *event, enum slot_rule rule, char *text)
{
    struct slot_report *report = checking->report;

    if (event->result < 0) {
        char *whole = alloc_format("the kernel refused it (%s): %s",
                                   event->result > -4096 ? strerror((int)-event->result) : "no errno", text);

        free(text);
        text = whole;
    }
    alloc_grow(&report->violations, report->n_violations, sizeof(*report->violations));
    report->violations[report->n_violations++] = (struct slot_violation){event->line, rule, text};
}

static void check_alone(struct checking *checking, const struct trace_event *event)
{
    if (event->gpa % PAGE || event->size % PAGE || event->ua % PAGE)
        violates(checking, event, SLOT_UNALIGNED,
                 alloc_format("slot %u: %s is no multiple of 4 KiB; slots are whole pages", event->slot,
                              event->gpa % PAGE    ? "gpa"
                              : event->size % PAGE ? "size"
                                                   : "ua"));
    if (event->flags & ~KNOWN_FLAGS)
        violates(checking, event, SLOT_FLAGS,
                 alloc_format("slot %u: flags 0x%" PRIx32 " are none that the kernel has", event->slot,
                              event->flags & ~KNOWN_FLAGS));
    if (event->size - 1 > UINT64_MAX - event->gpa || event->size - 1 > UINT64_MAX - event->ua)
        violates(checking, event, SLOT_PAST_END, alloc_format("slot %u reaches past 2^64", event->slot));
}

/* itself: the slot, if it is in use; it may lie over where it is, so it is out of the way while others are looked for. */
static void check_overlap(struct checking *checking, const struct trace_event *event, struct live *itself)
{
    bool placed = itself && itself->placed;
    const struct live *other;

    if (placed)
        tdelete(itself, &checking->by_place, compare_places);
    other = find(event, &checking->by_place, compare_places);
    if (placed)
        insert(itself, &checking->by_place, compare_places);
    if (other)
        violates(checking, event, SLOT_OVERLAP,
                 alloc_format("slot %u, 0x%" PRIx64 " to 0x%" PRIx64 ", lies over slot %u of line %zu, 0x%" PRIx64
                              " to 0x%" PRIx64 "; slots of one address space must not overlap",
                              event->slot, event->gpa, last_of(event), other->event.slot, other->event.line,
                              other->event.gpa, last_of(&other->event)));
}

/* A call for a slot in use. */
static void check_change(struct checking *checking, const struct trace_event *event, const struct trace_event *old)
{
    if (event->size != old->size)
        violates(checking, event, SLOT_RESIZED,
                 alloc_format("slot %u is in use since line %zu with another size; a slot in use may be moved and its "
                              "flags changed, not resized: remove it first",
                              event->slot, old->line));
    else if (event->ua != old->ua)
        violates(checking, event, SLOT_REBACKED,
                 alloc_format("slot %u is in use since line %zu with other host memory; a slot in use may be moved in "
                              "the guest and its flags changed, no more: remove it first",
                              event->slot, old->line));
    else if ((event->flags ^ old->flags) & (uint32_t)KVM_MEM_READONLY)
        violates(checking, event, SLOT_READONLY,
                 alloc_format("slot %u is in use since line %zu; only a new slot can be made read-only or writable: "
                              "remove it first",
                              event->slot, old->line));
}

/* --- following the calls --- */

static void displace(struct checking *checking, struct live *live)
{
    if (live->placed)
        tdelete(live, &checking->by_place, compare_places);
    live->placed = false;
}

static void place(struct checking *checking, struct live *live)
{
    if (find(live, &checking->by_place, compare_places))
        return;
    insert(live, &checking->by_place, compare_places);
    live->placed = true;
}

static void note(struct trace_event **events, size_t *n, const struct trace_event *event)
{
    alloc_grow(events, *n, sizeof(**events));
    (*events)[(*n)++] = *event;
}

static void count_gone(struct checking *checking, const struct trace_event *event)
{
    checking->counts->removed = sum(checking->counts->removed, event->size);
    checking->report->bytes -= event->size;
    note(&checking->gone, &checking->n_gone, event);
}

static void count_made(struct checking *checking, const struct trace_event *event)
{
    struct slot_report *report = checking->report;

    checking->counts->added = sum(checking->counts->added, event->size);
    report->bytes += event->size;
    if (report->bytes > report->bytes_peak)
        report->bytes_peak = report->bytes;
    note(&checking->made, &checking->n_made, event);
}

static void remove_slot(struct checking *checking, const struct trace_event *event, struct live *live)
{
    if ((!live || live->before) && (live || !checking->middle)) {
        violates(checking, event, SLOT_UNKNOWN,
                 alloc_format("slot %u is removed, and there is none of that number", event->slot));
        checking->counts->removals += event->result >= 0;
        return;
    }
    if (event->result < 0)
        return;
    checking->counts->removals++;
    if (!live) {
        checking->report->before++;
        live = alloc_zeroed(1, sizeof(*live));
        live->event = *event;
        live->before = true;
        insert(live, &checking->by_number, compare_numbers);
        return;
    }
    count_gone(checking, &live->event);
    checking->report->slots--;
    displace(checking, live);
    live->before = true;
}

static void change_slot(struct checking *checking, const struct trace_event *event, struct live *live)
{
    bool moved = event->gpa != live->event.gpa || event->size != live->event.size || event->ua != live->event.ua;

    check_overlap(checking, event, live);
    check_change(checking, event, &live->event);
    if (event->result < 0)
        return;
    if (!moved) {
        checking->counts->flags += event->flags != live->event.flags;
        live->event.flags = event->flags;
        return;
    }
    checking->counts->moves++;
    count_gone(checking, &live->event);
    displace(checking, live);
    live->event = *event;
    place(checking, live);
    count_made(checking, event);
}

static void add_slot(struct checking *checking, const struct trace_event *event, struct live *live)
{
    struct slot_report *report = checking->report;

    check_overlap(checking, event, NULL);
    if (event->result < 0)
        return;
    if (!live) {
        live = alloc_zeroed(1, sizeof(*live));
        live->event = *event;
        insert(live, &checking->by_number, compare_numbers);
    }
    live->event = *event;
    live->before = false;
    place(checking, live);
    checking->counts->additions++;
    if (++report->slots > report->slots_peak)
        report->slots_peak = report->slots;
    count_made(checking, event);
}

static void follow(struct checking *checking, const struct trace_event *event)
{
    struct live *live = find(event, &checking->by_number, compare_numbers);
    size_t before = checking->report->n_violations;

    checking->counts->calls++;
    checking->counts->failed += event->result < 0;
    if (event->size)
        check_alone(checking, event);
    if (!event->size)
        remove_slot(checking, event, live);
    else if (live && !live->before)
        change_slot(checking, event, live);
    else
        add_slot(checking, event, live);
    if (event->result < 0 && checking->report->n_violations == before)
        violates(checking, event, SLOT_FAILED, alloc_format("slot %u", event->slot));
}

/* Both lists rise by address space and address, and what is in one of them is disjoint. */
static void end_commit(struct checking *checking)
{
    uint64_t back = checking->counts->put_back;

    for (size_t i = 0, k = 0; i < checking->n_gone && k < checking->n_made;) {
        const struct trace_event *gone = &checking->gone[i], *made = &checking->made[k];
        uint64_t first = gone->gpa > made->gpa ? gone->gpa : made->gpa;
        uint64_t last = last_of(gone) < last_of(made) ? last_of(gone) : last_of(made);

        if (gone->as_id != made->as_id) {
            gone->as_id < made->as_id ? i++ : k++;
            continue;
        }
        if (first <= last && gone->ua - gone->gpa == made->ua - made->gpa &&
            !((gone->flags ^ made->flags) & (uint32_t)KVM_MEM_READONLY))
            back = sum(back, last - first + 1);
        last_of(gone) < last_of(made) ? i++ : k++;
    }
    checking->counts->put_back = back;
    checking->n_gone = checking->n_made = 0;
}

/* --- rows --- */

void slot_counts_add(struct slot_counts *to, const struct slot_counts *from)
{
    to->calls += from->calls;
    to->additions += from->additions;
    to->removals += from->removals;
    to->moves += from->moves;
    to->flags += from->flags;
    to->failed += from->failed;
    to->added = sum(to->added, from->added);
    to->removed = sum(to->removed, from->removed);
    to->put_back = sum(to->put_back, from->put_back);
}

/* The calls [first, end), which follow write. */
static void add_row(struct checking *checking, const struct trace_event *write, size_t first, size_t end)
{
    struct slot_report *report = checking->report;
    const struct trace_event *events = checking->trace->events;
    struct slot_row *row;

    alloc_grow(&report->rows, report->n_rows, sizeof(*report->rows));
    row = &report->rows[report->n_rows++];
    *row =
        (struct slot_row){.line = write ? write->line : events[first].line, .write = write, .first = first, .end = end};
    checking->counts = &row->counts;
    while (first < end) {
        size_t commit = slottrace_commit_end(checking->trace, first);

        for (; first < commit; first++)
            follow(checking, &events[first]);
        end_commit(checking);
    }
    slot_counts_add(&report->total, &row->counts);
}

/* Both trees have the same nodes. */
static void leave(void *live)
{
    (void)live;
}

static bool begins_in_the_middle(const struct slot_trace *trace)
{
    for (size_t i = 0; i < trace->n_events; i++)
        if (trace->events[i].kind == TRACE_SLOT)
            return !trace->events[i].size;
    return false;
}

void slotcheck(const struct slot_trace *trace, struct slot_report *report)
{
    struct checking checking = {.trace = trace, .report = report, .middle = begins_in_the_middle(trace)};
    const struct trace_event *write = NULL;

    *report = (struct slot_report){0};
    for (size_t i = 0; i < trace->n_events; i++)
        report->writes += trace->events[i].kind == TRACE_CONFIG;
    for (size_t i = 0, end; i < trace->n_events; i = end) {
        end = i + 1;
        if (trace->events[i].kind == TRACE_CONFIG) {
            write = &trace->events[i];
            continue;
        }
        if (!report->writes)
            end = slottrace_commit_end(trace, i);
        else
            while (end < trace->n_events && trace->events[end].kind == TRACE_SLOT)
                end++;
        add_row(&checking, write, i, end);
    }
    tdestroy(checking.by_place, leave);
    tdestroy(checking.by_number, free);
    free(checking.gone);
    free(checking.made);
}

void slot_report_free(struct slot_report *report)
{
    for (size_t i = 0; i < report->n_violations; i++)
        free(report->violations[i].text);
    free(report->violations);
    free(report->rows);
    *report = (struct slot_report){0};
}
