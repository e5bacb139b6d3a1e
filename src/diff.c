/* SPDX-License-Identifier: MIT */
/*
 * diff.c - two lists of ranges merged by address: what is gone, new, kept; and the same for what is
 * visible in them.
 *
 * Pure. A range counts as kept when everything but the set of logging clients is equal; anything
 * else is gone and new.
 */
#include "diff.h"
#include <stdlib.h>
#include <string.h>

static bool range_same(const struct gmem__range *a, const struct gmem__range *b)
{
    return a->first == b->first && a->last == b->last && a->region == b->region && a->offset == b->offset &&
           ((a->attrs ^ b->attrs) & ~GMEM_RANGE_LOG_MASK) == 0;
}

static void note_real(struct gmem__changes *changes, const struct gmem__range *range)
{
    changes->first = changes->real ? gmem__min(changes->first, range->first) : range->first;
    changes->last = changes->real ? gmem__max(changes->last, range->last) : range->last;
    changes->real++;
}

int gmem__diff(struct gmem__changes *changes, size_t before_from, size_t after_from)
{
    size_t i = before_from, j = after_from;
    int err;

    while (i < changes->before.count || j < changes->after.count) {
        const struct gmem__range *before = i < changes->before.count ? &changes->before.items[i] : NULL;
        const struct gmem__range *after = j < changes->after.count ? &changes->after.items[j] : NULL;
        struct gmem__changed item = {GMEM__CHANGE_ADD, i, j};

        if (before && after && range_same(before, after))
            item.change = GMEM__CHANGE_KEEP;
        else if (before && (!after || before->first <= after->first))
            item.change = GMEM__CHANGE_DEL;
        if (item.change != GMEM__CHANGE_KEEP || before->attrs != after->attrs)
            note_real(changes, item.change == GMEM__CHANGE_ADD ? &changes->after.items[j] : &changes->before.items[i]);
        i += item.change != GMEM__CHANGE_ADD;
        j += item.change != GMEM__CHANGE_DEL;
        err = gmem__grow((void **)&changes->items, &changes->room, changes->count + 1, sizeof(*changes->items));
        if (err)
            return err;
        changes->items[changes->count++] = item;
    }
    return 0;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* A total order; 0: the same. Coalesced intervals come before eventfds, each by address. */
static int compare_extras(const void *left, const void *right)
{
    const struct gmem__extra *a = left, *b = right;
    int order = compare_u64(a->is_eventfd, b->is_eventfd);

    if (!order)
        order = compare_u64(a->first, b->first);
    if (!order)
        order = compare_u64(a->last, b->last);
    if (!order)
        order = compare_u64(a->eventfd.size, b->eventfd.size);
    if (!order)
        order = compare_u64(a->eventfd.match, b->eventfd.match);
    if (!order && a->eventfd.match)
        order = compare_u64(a->eventfd.data, b->eventfd.data);
    if (!order)
        order = compare_u64(a->offset, b->offset);
    if (!order)
        order = compare_u64((uintptr_t)a->region, (uintptr_t)b->region);
    if (!order)
        order = compare_u64((uint64_t)a->eventfd.fd, (uint64_t)b->eventfd.fd);
    return order;
}

/* What region had before the transaction of that epoch, or (it was not edited in it) has. */
static const struct gmem__props *props_of(const gmem_region *region, uint64_t epoch)
{
    return epoch != 0 && region->was_epoch == epoch ? region->was : &region->p;
}

static struct gmem__extra extra_at(const struct gmem__range *range, uint64_t first, uint64_t last)
{
    struct gmem__extra extra = {
        .first = range->first + (first - range->offset),
        .last = range->first + (last - range->offset),
        .offset = first,
        .region = range->region,
        .attrs = range->attrs,
    };

    return extra;
}

/* Overlapping intervals may be equal after clipping: whether one before the i-th is the same in range. */
static bool seen_before(const struct gmem__intervals *all, size_t i, uint64_t first, uint64_t last, uint64_t low,
                        uint64_t high)
{
    size_t j;

    for (j = 0; j < i; j++) {
        if (all->items[j].first <= high && all->items[j].last >= low && gmem__max(all->items[j].first, low) == first &&
            gmem__min(all->items[j].last, high) == last)
            return true;
    }
    return false;
}

int gmem__range_intervals(const struct gmem__range *range, uint64_t epoch, gmem__extra_fn *fn, void *opaque)
{
    const struct gmem__intervals *all = props_of(range->region, epoch)->coalesced;
    uint64_t low = range->offset, high = low + (range->last - range->first), first, last;
    struct gmem__extra extra;
    size_t i;
    int stop = 0;

    for (i = 0; all && !stop && i < all->count; i++) {
        if (all->items[i].first > high || all->items[i].last < low)
            continue;
        first = gmem__max(all->items[i].first, low);
        last = gmem__min(all->items[i].last, high);
        if (seen_before(all, i, first, last, low, high))
            continue;
        extra = extra_at(range, first, last);
        stop = fn(opaque, &extra);
    }
    return stop;
}

int gmem__range_eventfds(const struct gmem__range *range, uint64_t epoch, gmem__extra_fn *fn, void *opaque)
{
    const struct gmem__eventfds *all = props_of(range->region, epoch)->eventfds;
    uint64_t high = range->offset + (range->last - range->first), end;
    struct gmem__extra extra;
    size_t i;
    int stop = 0;

    for (i = 0; all && !stop && i < all->count; i++) {
        end = all->items[i].offset + (all->items[i].size ? all->items[i].size - 1u : 0u);
        if (all->items[i].offset < range->offset || end > high)
            continue;
        extra = extra_at(range, all->items[i].offset, end);
        extra.is_eventfd = true;
        extra.eventfd = all->items[i];
        stop = fn(opaque, &extra);
    }
    return stop;
}

static int extras_add(void *opaque, const struct gmem__extra *extra)
{
    struct gmem__extras *extras = opaque;
    int err = gmem__grow((void **)&extras->items, &extras->room, extras->count + 1, sizeof(*extras->items));

    if (!err)
        extras->items[extras->count++] = *extra;
    return err;
}

/* All extras visible in ranges, sorted. */
static int collect(struct gmem__extras *extras, const struct gmem__ranges *ranges, uint64_t epoch)
{
    size_t i;
    int err = 0;

    for (i = 0; !err && i < ranges->count; i++) {
        err = gmem__range_intervals(&ranges->items[i], epoch, extras_add, extras);
        if (!err)
            err = gmem__range_eventfds(&ranges->items[i], epoch, extras_add, extras);
    }
    if (!err && extras->count > 1)
        qsort(extras->items, extras->count, sizeof(*extras->items), compare_extras);
    return err;
}

int gmem__diff_extras(struct gmem__changes *changes, uint64_t epoch)
{
    struct gmem__extras *gone = &changes->gone, *come = &changes->come;
    size_t i = 0, j = 0, gone_kept = 0, come_kept = 0;
    int err, order;

    err = collect(gone, &changes->before, epoch);
    if (!err)
        err = collect(come, &changes->after, 0);
    if (err)
        return err;
    /* What is in both is neither gone nor come. */
    while (i < gone->count || j < come->count) {
        order = i == gone->count ? 1 : j == come->count ? -1 : compare_extras(&gone->items[i], &come->items[j]);
        if (order < 0)
            gone->items[gone_kept++] = gone->items[i];
        else if (order > 0)
            come->items[come_kept++] = come->items[j];
        i += order <= 0;
        j += order >= 0;
    }
    gone->count = gone_kept;
    come->count = come_kept;
    return 0;
}

void gmem__changes_free(struct gmem__changes *changes)
{
    free(changes->before.items);
    free(changes->after.items);
    free(changes->items);
    free(changes->gone.items);
    free(changes->come.items);
    memset(changes, 0, sizeof(*changes));
}
