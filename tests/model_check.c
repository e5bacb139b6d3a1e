/* SPDX-License-Identifier: MIT */
/*
 * What the model test compares after each step: the library's topology, views, lookups and what
 * listeners heard, with the naive model. One thread; the library is only read.
 */
#include "model_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t size_last(gmem_size size)
{
    return size.all ? UINT64_MAX : size.bytes - 1;
}

static void check_region(struct model_run *run, int slot)
{
    const struct naive_region *want = &run->now.region[slot];
    const gmem_region *region = run->region[slot];
    bool placed = want->container != NAIVE_NONE;

    if (gmem_region_kind(region) != want->kind || size_last(gmem_region_size(region)) != want->last)
        model_fail(run, "r%d: kind or size is not what it was made", slot);
    if (gmem_region_container(region) != (placed ? run->region[want->container] : NULL))
        model_fail(run, "r%d: container should be r%d", slot, want->container);
    if (gmem_region_offset(region) != want->offset)
        model_fail(run, "r%d: offset is %" PRIx64 ", not %" PRIx64, slot, gmem_region_offset(region), want->offset);
    if (placed && gmem_region_priority(region) != want->priority)
        model_fail(run, "r%d: priority is %d, not %d", slot, gmem_region_priority(region), want->priority);
    if (gmem_region_enabled(region) != want->enabled)
        model_fail(run, "r%d: enabled is not %d", slot, want->enabled);
    if (gmem_region_readonly(region) != (want->readonly || want->kind == GMEM_KIND_ROM))
        model_fail(run, "r%d: readonly is wrong", slot);
    if (gmem_region_nonvolatile(region) != want->nonvolatile)
        model_fail(run, "r%d: nonvolatile is not %d", slot, want->nonvolatile);
    if (gmem_region_romd(region) != want->direct)
        model_fail(run, "r%d: romd is not %d", slot, want->direct);
    if (gmem_region_alias_target(region) != (want->target == NAIVE_NONE ? NULL : run->region[want->target]) ||
        gmem_region_alias_offset(region) != want->target_offset)
        model_fail(run, "r%d: it should be an alias of r%d @%" PRIx64, slot, want->target, want->target_offset);
}

/* Whether sibling a comes before b: by offset, and of those at the same offset the winner first. */
static bool before(const struct naive_region *a, const struct naive_region *b)
{
    if (a->offset != b->offset)
        return a->offset < b->offset;
    return a->priority != b->priority ? a->priority > b->priority : a->placed > b->placed;
}

static void check_children(struct model_run *run, int slot)
{
    const struct naive_region *region = run->now.region;
    const struct naive_region *last = NULL;
    unsigned wanted = 0;
    unsigned found = 0;

    for (int i = 0; i < NAIVE_REGIONS; i++)
        wanted += region[i].exists && region[i].container == slot;
    for (gmem_region *child = gmem_region_first_child(run->region[slot]); child && found < NAIVE_REGIONS;
         child = gmem_region_next_sibling(child)) {
        int at = model_region_slot(run, child);

        if (at == NAIVE_NONE || region[at].container != slot || (last && before(&region[at], last))) {
            model_fail(run, "subregions of r%d: r%d is not expected there", slot, at);
            return;
        }
        last = &region[at];
        found++;
    }
    if (found != wanted)
        model_fail(run, "r%d has %u subregions, not %u", slot, found, wanted);
}

void check_topology(struct model_run *run)
{
    int err = gmem_vm_begin(run->vm);

    if (err) {
        model_fail(run, "begin to look at the topology: %s", gmem_strerror(err));
        return;
    }
    for (int i = 0; i < NAIVE_REGIONS; i++) {
        if (!run->now.region[i].exists || run->released[i])
            continue;
        check_region(run, i);
        check_children(run, i);
    }
    gmem_vm_abort(run->vm);
}

struct walk {
    struct model_run *run;
    const struct naive_view *shown;
    const char *what;
    size_t next;
};

static int compare_range(void *opaque, const struct gmem_section *section)
{
    struct walk *walk = opaque;
    const struct naive_range *range = &walk->shown->ranges[walk->next];
    int slot = model_region_slot(walk->run, section->region);

    if (walk->next == walk->shown->n_ranges) {
        model_fail(walk->run, "%s: %" PRIx64 "-%" PRIx64 " r%d is one range too many", walk->what, section->first,
                   section->last, slot);
        return 1;
    }
    if (range->first != section->first || range->last != section->last || range->region != slot ||
        range->offset != section->offset || range->attrs != section->attrs) {
        model_fail(walk->run,
                   "%s: range %zu should be %" PRIx64 "-%" PRIx64 " r%d @%" PRIx64 " attrs %x, is %" PRIx64 "-%" PRIx64
                   " r%d @%" PRIx64 " attrs %x",
                   walk->what, walk->next, range->first, range->last, range->region, range->offset, range->attrs,
                   section->first, section->last, slot, section->offset, section->attrs);
        return 1;
    }
    walk->next++;
    return 0;
}

/* What view_find() says of an address in a range and of one before it. */
static void check_find(struct model_run *run, const gmem_view *view, const struct naive_view *shown, size_t i)
{
    const struct naive_range *range = &shown->ranges[i];
    struct gmem_section section;
    bool gap = i == 0 ? range->first > 0 : shown->ranges[i - 1].last + 1 < range->first;

    if (gmem_view_find(view, range->last, &section) || section.first != range->first || section.last != range->last)
        model_fail(run, "view_find of %" PRIx64 " does not find its range", range->last);
    if (gap && (gmem_view_find(view, range->first - 1, &section) || section.first != range->first))
        model_fail(run, "view_find of %" PRIx64 " does not find the next range up", range->first - 1);
}

void check_shows(struct model_run *run, const gmem_view *view, const struct naive_view *shown, const char *what)
{
    struct walk walk = {run, shown, what, 0};
    struct gmem_section section;

    if (gmem_view_foreach(view, compare_range, &walk))
        return;
    if (walk.next != shown->n_ranges || gmem_view_count(view) != shown->n_ranges) {
        model_fail(run, "%s: %zu ranges, counted as %zu, not %zu", what, walk.next, gmem_view_count(view),
                   shown->n_ranges);
        return;
    }
    for (size_t i = 0; i < shown->n_ranges; i++)
        check_find(run, view, shown, i);
    if ((!shown->n_ranges || shown->ranges[shown->n_ranges - 1].last != UINT64_MAX) &&
        gmem_view_find(view, UINT64_MAX, &section) != -ENOENT)
        model_fail(run, "%s: view_find finds something above the last range", what);
}

static bool same_range(const struct naive_range *a, const struct naive_range *b)
{
    return a->first == b->first && a->last == b->last && a->region == b->region && a->offset == b->offset &&
           a->attrs == b->attrs;
}

static int compare_extras(const struct naive_extra *a, const struct naive_extra *b)
{
    if (a->coalesced != b->coalesced)
        return a->coalesced - b->coalesced;
    if (a->range.first != b->range.first)
        return a->range.first > b->range.first ? 1 : -1;
    if (a->range.last != b->range.last)
        return a->range.last > b->range.last ? 1 : -1;
    if (a->eventfd.size != b->eventfd.size)
        return a->eventfd.size > b->eventfd.size ? 1 : -1;
    if (a->eventfd.match != b->eventfd.match)
        return a->eventfd.match - b->eventfd.match;
    return (a->eventfd.data > b->eventfd.data) - (a->eventfd.data < b->eventfd.data);
}

static bool same_extras(const struct naive_view *a, const struct naive_view *b)
{
    if (a->n_extras != b->n_extras)
        return false;
    for (size_t i = 0; i < a->n_extras; i++) {
        bool found = false;

        for (size_t k = 0; k < b->n_extras && !found; k++)
            found = compare_extras(&a->extras[i], &b->extras[k]) == 0 &&
                    a->extras[i].range.region == b->extras[k].range.region;
        if (!found)
            return false;
    }
    return true;
}

static bool same_shown(const struct naive_view *a, const struct naive_view *b)
{
    if (a->n_ranges != b->n_ranges || !same_extras(a, b))
        return false;
    for (size_t i = 0; i < a->n_ranges; i++) {
        if (!same_range(&a->ranges[i], &b->ranges[i]))
            return false;
    }
    return true;
}

/* Two spaces have one view object exactly when it has the same root and they show the same. */
static void check_sharing(struct model_run *run, int a, int b)
{
    bool same_root = gmem_view_root(run->view[a]) == gmem_view_root(run->view[b]);
    bool same = same_shown(&run->shown[a], &run->shown[b]);

    if (run->view[a] == run->view[b] && !same)
        model_fail(run, "spaces %d and %d share a view but should not show the same", a, b);
    if (run->view[a] != run->view[b] && same && same_root)
        model_fail(run, "spaces %d and %d show the same of the same root but share no view", a, b);
}

/* An owner is referenced while a view shows its region (G7). */
static void check_owners(struct model_run *run, const struct naive_view *shown)
{
    for (size_t i = 0; i < shown->n_ranges; i++) {
        if (__atomic_load_n(&run->reached[shown->ranges[i].region], __ATOMIC_ACQUIRE) <= 0)
            model_fail(run, "r%d is shown but its owner is not referenced", shown->ranges[i].region);
    }
}

void check_views(struct model_run *run)
{
    for (int i = 0; i < MODEL_SPACES; i++) {
        gmem_view *view;
        char what[32];

        if (!run->space[i])
            continue;
        view = gmem_space_view(run->space[i]);
        if (!run->changed && view != run->view[i])
            model_fail(run, "the view of space %d changed though nothing was committed", i);
        gmem_view_unref(run->view[i]);
        run->view[i] = view;
        if (!run->changed)
            continue;
        snprintf(what, sizeof(what), "space %d", i);
        naive_render(&run->published, run->root[i], &run->shown[i]);
        check_shows(run, view, &run->shown[i], what);
        check_owners(run, &run->shown[i]);
    }
    for (int i = 0; i < MODEL_SPACES; i++) {
        for (int k = 0; k < i; k++) {
            if (run->changed && run->space[i] && run->space[k])
                check_sharing(run, i, k);
        }
    }
    run->changed = false;
}

static bool heard_range(const struct heard *heard, int space, const struct naive_range *range)
{
    for (size_t i = 0; i < heard->n_items; i++) {
        const struct heard_item *item = &heard->items[i];
        struct naive_range with_log = item->range;

        with_log.attrs |= item->log << GMEM_RANGE_LOG_SHIFT;
        if (item->what == HEARD_RANGE && item->space == space && same_range(&with_log, range))
            return true;
    }
    return false;
}

static bool heard_extra(const struct heard *heard, int space, const struct naive_extra *extra)
{
    for (size_t i = 0; i < heard->n_items; i++) {
        const struct heard_item *item = &heard->items[i];
        struct naive_extra as_extra = {item->range, item->what == HEARD_COALESCED, item->eventfd};

        if (item->what != HEARD_RANGE && item->space == space && item->range.region == extra->range.region &&
            item->range.offset == extra->range.offset && compare_extras(&as_extra, extra) == 0)
            return true;
    }
    return false;
}

static void check_copy(struct model_run *run, const struct heard *heard)
{
    size_t wanted = 0;

    for (int space = 0; space < MODEL_SPACES; space++) {
        const struct naive_view *shown = &run->shown[space];

        if (!run->space[space] || (heard->space >= 0 && heard->space != space))
            continue;
        wanted += shown->n_ranges + shown->n_extras;
        for (size_t i = 0; i < shown->n_ranges; i++) {
            const struct naive_range *range = &shown->ranges[i];

            if (!heard_range(heard, space, range))
                model_fail(run, "listener %d has not heard of %" PRIx64 "-%" PRIx64 " r%d attrs %x of space %d",
                           heard->slot, range->first, range->last, range->region, range->attrs, space);
        }
        for (size_t i = 0; i < shown->n_extras; i++) {
            const struct naive_extra *extra = &shown->extras[i];

            if (!heard_extra(heard, space, extra))
                model_fail(run, "listener %d has not heard of the %s at %" PRIx64 "-%" PRIx64 " r%d of space %d",
                           heard->slot, extra->coalesced ? "interval" : "eventfd", extra->range.first,
                           extra->range.last, extra->range.region, space);
        }
    }
    if (heard->n_items != wanted)
        model_fail(run, "listener %d knows of %zu things, should of %zu", heard->slot, heard->n_items, wanted);
    if (heard->inside)
        model_fail(run, "listener %d: begin without commit", heard->slot);
}

void check_copies(struct model_run *run)
{
    for (int i = 0; i < MODEL_LISTENERS; i++) {
        if (run->heard[i].registered)
            check_copy(run, &run->heard[i]);
        else if (run->heard[i].n_items)
            model_fail(run, "listener %d is not registered but knows of %zu things", i, run->heard[i].n_items);
    }
}

/* Position in the sequence that one listener hears of one space. */
static int phase(enum heard_call call)
{
    switch (call) {
    case CALL_EXTRA_DEL:
        return 1;
    case CALL_DEL:
        return 2;
    case CALL_ADD:
    case CALL_NOP:
        return 3;
    case CALL_EXTRA_ADD:
        return 4;
    default:
        return 0; /* anywhere */
    }
}

/* begin, then what there is for each space in its order, by rising address, then commit. */
static void check_sequence(struct model_run *run, const struct heard *heard)
{
    const struct heard_event *latest[MODEL_SPACES] = {0};
    size_t added[MODEL_SPACES] = {0};
    unsigned begins = 0;
    unsigned commits = 0;

    for (size_t i = 0; i < run->n_events; i++) {
        const struct heard_event *event = &run->events[i];
        const struct heard_event *last = latest[event->item.space];

        if (event->listener != heard->slot || event->call == CALL_GLOBAL)
            continue;
        if ((begins == 0) != (event->call == CALL_BEGIN) || commits)
            model_fail(run, "listener %d: the calls are not one begin, others, one commit", heard->slot);
        begins += event->call == CALL_BEGIN;
        commits += event->call == CALL_COMMIT;
        if (!phase(event->call))
            continue;
        if (last && phase(event->call) < phase(last->call))
            model_fail(run, "listener %d: removals and additions are out of order", heard->slot);
        if (last && phase(event->call) == phase(last->call) && event->item.what == last->item.what &&
            event->item.range.first < last->item.range.first)
            model_fail(run, "listener %d: %" PRIx64 " after %" PRIx64, heard->slot, event->item.range.first,
                       last->item.range.first);
        latest[event->item.space] = event;
        added[event->item.space] += phase(event->call) == 3;
    }
    if (begins != commits)
        model_fail(run, "listener %d: %u begin, %u commit", heard->slot, begins, commits);
    for (int i = 0; i < MODEL_SPACES && heard->registered && heard->listener.region_nop; i++) {
        if (latest[i] && added[i] != run->shown[i].n_ranges)
            model_fail(run, "listener %d asked for unchanged ranges: %zu of %zu told", heard->slot, added[i],
                       run->shown[i].n_ranges);
    }
}

static bool same_place(const struct heard_item *a, const struct heard_item *b)
{
    return a->space == b->space && a->what == b->what && same_range(&a->range, &b->range) &&
           (a->what != HEARD_EVENTFD || naive_same_eventfd(&a->eventfd, &b->eventfd));
}

static void check_pair(struct model_run *run, const struct heard_event *first, const struct heard_event *second)
{
    int from = phase(first->call);
    int to = phase(second->call);
    int rise = run->heard[second->listener].listener.priority - run->heard[first->listener].listener.priority;

    if (!from || !to || first->item.space != second->item.space)
        return;
    if (from > 2 && to <= 2)
        model_fail(run, "space %d: listener %d hears of a removal after another of an addition", first->item.space,
                   second->listener);
    if (!same_place(&first->item, &second->item))
        return;
    if (first->listener == second->listener && from != to)
        model_fail(run, "listener %d: %" PRIx64 "-%" PRIx64 " did not change but is removed and added", first->listener,
                   first->item.range.first, first->item.range.last);
    if (from == to && (from <= 2 ? rise > 0 : rise < 0))
        model_fail(run, "listeners %d and %d hear of %" PRIx64 " in the wrong order", first->listener, second->listener,
                   first->item.range.first);
}

void check_calls(struct model_run *run)
{
    for (int i = 0; i < MODEL_LISTENERS; i++)
        check_sequence(run, &run->heard[i]);
    for (size_t i = 0; i < run->n_events; i++) {
        for (size_t k = i + 1; k < run->n_events; k++)
            check_pair(run, &run->events[i], &run->events[k]);
    }
}

void check_lookup(struct model_run *run, int space, uint64_t addr)
{
    struct gmem_section section;
    struct naive_range want;
    bool there = naive_at(&run->published, run->root[space], addr, &want);
    int err = gmem_space_lookup(run->space[space], addr, &section);
    const gmem_ram *ram;

    if (err != (there ? 0 : -ENOENT)) {
        model_fail(run, "lookup of %" PRIx64 " in space %d: %d, but the model says %d", addr, space, err, there);
        if (!err)
            gmem_section_release(&section);
        return;
    }
    if (!there)
        return;
    if (section.space != run->space[space] || model_region_slot(run, section.region) != want.region ||
        addr < section.first || addr > section.last || section.offset + (addr - section.first) != want.offset ||
        section.attrs != want.attrs)
        model_fail(run, "lookup of %" PRIx64 " in space %d finds r%d, not r%d @%" PRIx64 " attrs %x", addr, space,
                   model_region_slot(run, section.region), want.region, want.offset, want.attrs);
    ram = gmem_region_ram(section.region);
    if (gmem_section_host(&section) != (ram ? (char *)run->host + section.offset : NULL))
        model_fail(run, "lookup of %" PRIx64 " in space %d: wrong host address", addr, space);
    gmem_section_release(&section);
}
