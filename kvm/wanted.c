/* SPDX-License-Identifier: MIT */
/*
 * wanted.c - owns the table of what is wanted in slots: one run for each range that has memory of whole pages.
 *
 * Listeners hear what changed only, and slots of the policy `keep` do not correspond to ranges: where one is removed, what
 * remains of its place belongs to ranges that nobody announces again. So all of them are kept here.
 *
 * Invariant: now is by rising gpa and disjoint. A change replaces one window of it, from the first run concerned to the last,
 * and keeps what was there. Called by the adapter under the vm's writer turn; no locks.
 */
#include "wanted.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

static int reserve_runs(struct gmem__runs *runs, size_t count)
{
    void *array = runs->run;
    int err = gmem__kvm_grow(&array, &runs->room, count, sizeof(*runs->run));

    runs->run = array;
    return err;
}

/* Room for count elements, which are not none, and for twice as many if there is memory. */
static int reserve(struct gmem__wanted *wanted, size_t count)
{
    void *changed;
    int err = reserve_runs(&wanted->before, 2 * count);

    if (!err)
        err = reserve_runs(&wanted->scratch, 2 * count);
    changed = wanted->changed;
    if (!err)
        err = gmem__kvm_grow(&changed, &wanted->changed_room, 2 * count, sizeof(*wanted->changed));
    wanted->changed = changed;
    /* Inside an undo the room is there, though not twice. */
    if (wanted->before.room >= count && wanted->scratch.room >= count && wanted->changed &&
        wanted->changed_room >= count)
        return 0;
    return err ? err : -ENOMEM;
}

/* The run of the range [first, last], or NULL if that has none: a run lies inside its range, and ranges are disjoint. */
static const struct gmem__run *run_of(const struct gmem__runs *runs, uint64_t first, uint64_t last)
{
    size_t i = gmem__runs_find(runs->run, runs->count, first);

    if (i == runs->count || runs->run[i].gpa < first || gmem__run_last(&runs->run[i]) > last)
        return NULL;
    return &runs->run[i];
}

static void widen(struct gmem__span *window, const struct gmem__run *run)
{
    if (!run)
        return;
    if (run->gpa < window->first)
        window->first = run->gpa;
    if (gmem__run_last(run) > window->last)
        window->last = gmem__run_last(run);
}

/* From the first run that goes, comes or changes to the last; false if there is none. */
static bool find_window(const struct gmem__wanted *wanted, const struct gmem__wanted_change *change,
                        struct gmem__span *ret_window)
{
    struct gmem__span window = {UINT64_MAX, 0};
    size_t i;

    for (i = 0; i < change->gone_count; i++)
        widen(&window, run_of(&wanted->now, change->gone[i].first, change->gone[i].last));
    for (i = 0; i < change->relog_count; i++)
        widen(&window, run_of(&wanted->now, change->relog[i].first, change->relog[i].last));
    for (i = 0; i < change->run_count; i++)
        widen(&window, &change->run[i]);
    *ret_window = window;
    return window.first <= window.last;
}

static void note_changed(struct gmem__wanted *wanted, const struct gmem__run *run)
{
    struct gmem__span *before = wanted->changed_count ? &wanted->changed[wanted->changed_count - 1] : NULL;
    uint64_t last = gmem__run_last(run);

    if (before && before->last >= run->gpa) {
        before->last = last > before->last ? last : before->last;
        return;
    }
    wanted->changed[wanted->changed_count++] = (struct gmem__span){run->gpa, last};
}

struct cursor {
    const struct gmem__wanted_change *change;
    size_t gone, relog, run;
};

/* An old run goes, changes or stays. */
static void pass_old(struct gmem__wanted *wanted, struct cursor *cursor, const struct gmem__run *old)
{
    const struct gmem__wanted_change *change = cursor->change;
    struct gmem__run run = *old;

    while (cursor->gone < change->gone_count && change->gone[cursor->gone].last < run.gpa)
        cursor->gone++;
    if (cursor->gone < change->gone_count && change->gone[cursor->gone].first <= run.gpa) {
        note_changed(wanted, &run);
        return;
    }
    while (cursor->relog < change->relog_count && change->relog[cursor->relog].last < run.gpa)
        cursor->relog++;
    if (cursor->relog < change->relog_count && change->relog[cursor->relog].first <= run.gpa) {
        run.flags &= ~(uint32_t)KVM_MEM_LOG_DIRTY_PAGES;
        run.flags |= change->relog[cursor->relog].on ? (uint32_t)KVM_MEM_LOG_DIRTY_PAGES : 0;
        note_changed(wanted, &run);
    }
    wanted->scratch.run[wanted->scratch.count++] = run;
}

/* The window's new content, and where it differs. */
static void merge(struct gmem__wanted *wanted, const struct gmem__wanted_change *change, size_t end)
{
    struct cursor cursor = {.change = change};
    size_t old = wanted->at;

    wanted->scratch.count = 0;
    wanted->changed_count = 0;
    while (old < end || cursor.run < change->run_count) {
        if (cursor.run == change->run_count || (old < end && wanted->now.run[old].gpa <= change->run[cursor.run].gpa)) {
            pass_old(wanted, &cursor, &wanted->now.run[old++]);
        } else {
            note_changed(wanted, &change->run[cursor.run]);
            wanted->scratch.run[wanted->scratch.count++] = change->run[cursor.run++];
        }
    }
}

/* Put fresh in the place of count runs from at on; there is room. */
static void splice(struct gmem__runs *runs, size_t at, size_t count, const struct gmem__runs *fresh)
{
    size_t above = runs->count - at - count;

    if (above > 0 && count != fresh->count)
        memmove(&runs->run[at + fresh->count], &runs->run[at + count], above * sizeof(*runs->run));
    if (fresh->count > 0)
        memcpy(&runs->run[at], fresh->run, fresh->count * sizeof(*runs->run));
    runs->count = at + fresh->count + above;
}

void gmem__wanted_settle(struct gmem__wanted *wanted)
{
    wanted->at = 0;
    wanted->fresh = 0;
    wanted->before.count = 0;
    wanted->changed_count = 0;
}

int gmem__wanted_change(struct gmem__wanted *wanted, const struct gmem__wanted_change *change)
{
    struct gmem__span window;
    size_t end;
    size_t old;
    int err;

    gmem__wanted_settle(wanted);
    if (!find_window(wanted, change, &window))
        return 0;
    wanted->at = gmem__runs_find(wanted->now.run, wanted->now.count, window.first);
    for (end = wanted->at; end < wanted->now.count && wanted->now.run[end].gpa <= window.last;)
        end++;
    old = end - wanted->at;
    err = reserve(wanted, old + change->run_count);
    if (err)
        return err;
    merge(wanted, change, end);
    err = reserve_runs(&wanted->now, wanted->now.count - old + wanted->scratch.count);
    if (err) {
        wanted->changed_count = 0;
        return err;
    }
    if (old > 0)
        memcpy(wanted->before.run, &wanted->now.run[wanted->at], old * sizeof(*wanted->before.run));
    wanted->before.count = old;
    wanted->fresh = wanted->scratch.count;
    splice(&wanted->now, wanted->at, old, &wanted->scratch);
    return 0;
}

void gmem__wanted_revert(struct gmem__wanted *wanted)
{
    splice(&wanted->now, wanted->at, wanted->fresh, &wanted->before);
    gmem__wanted_settle(wanted);
}

void gmem__wanted_free(struct gmem__wanted *wanted)
{
    free(wanted->now.run);
    free(wanted->before.run);
    free(wanted->scratch.run);
    free(wanted->changed);
}
