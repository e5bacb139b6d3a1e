/* SPDX-License-Identifier: MIT */
/*
 * view.c - views: immutable once made, counted, found by readers without a lock.
 *
 * Lifetime. The spaces that show a view hold one reference together, counted by publishers under
 * the writer turn. When the last of them moves on, that reference is given up through call_rcu, so
 * that a reader who found the view in a space inside its read section may use it, and may turn its
 * find into a counted reference, without waiting (G2, G3).
 *
 * Each range holds a pin on its region: owner and region live while any view can reach them (G7).
 */
#include "view.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct extras {
    struct gmem__extra *items;
    size_t count, room;
};

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

int gmem__extra_compare(const struct gmem__extra *a, const struct gmem__extra *b)
{
    int order = compare_u64(a->is_eventfd, b->is_eventfd);

    if (!order)
        order = compare_u64(a->first, b->first);
    if (!order)
        order = compare_u64(a->last, b->last);
    if (!order)
        order = compare_u64(a->eventfd.size, b->eventfd.size);
    if (!order)
        order = compare_u64(a->eventfd.match, b->eventfd.match);
    if (!order)
        order = compare_u64(a->eventfd.data, b->eventfd.data);
    if (!order)
        order = compare_u64(a->offset, b->offset);
    if (!order)
        order = compare_u64((uintptr_t)a->region, (uintptr_t)b->region);
    if (!order)
        order = compare_u64((uint64_t)a->eventfd.fd, (uint64_t)b->eventfd.fd);
    return order;
}

static int extras_add(struct extras *extras, const struct gmem__range *range, uint64_t first, uint64_t last,
                      const struct gmem_eventfd *eventfd)
{
    struct gmem__extra *extra;
    int err;

    err = gmem__grow((void **)&extras->items, &extras->room, extras->count + 1, sizeof(*extras->items));
    if (err)
        return err;
    extra = &extras->items[extras->count++];
    memset(extra, 0, sizeof(*extra));
    extra->first = range->first + (first - range->offset);
    extra->last = range->first + (last - range->offset);
    extra->offset = first;
    extra->region = range->region;
    extra->attrs = range->attrs;
    if (eventfd) {
        extra->is_eventfd = true;
        extra->eventfd = *eventfd;
    }
    return 0;
}

static int range_coalesced(struct extras *extras, const struct gmem__range *range)
{
    const struct gmem__intervals *all = range->region->p.coalesced;
    uint64_t last = range->offset + (range->last - range->first);
    size_t i;
    int err;

    for (i = 0; all && i < all->count; i++) {
        if (all->items[i].first > last || all->items[i].last < range->offset)
            continue;
        err = extras_add(extras, range, gmem__max(all->items[i].first, range->offset),
                         gmem__min(all->items[i].last, last), NULL);
        if (err)
            return err;
    }
    return 0;
}

static int range_eventfds(struct extras *extras, const struct gmem__range *range)
{
    const struct gmem__eventfds *all = range->region->p.eventfds;
    uint64_t last = range->offset + (range->last - range->first), end;
    size_t i;
    int err;

    for (i = 0; all && i < all->count; i++) {
        end = all->items[i].offset + (all->items[i].size ? all->items[i].size - 1u : 0u);
        if (all->items[i].offset < range->offset || end > last)
            continue;
        err = extras_add(extras, range, all->items[i].offset, end, &all->items[i]);
        if (err)
            return err;
    }
    return 0;
}

static int compare_items(const void *a, const void *b)
{
    return gmem__extra_compare(a, b);
}

static int collect_extras(struct extras *extras, const struct gmem__ranges *ranges)
{
    size_t i, kept = 0;
    int err = 0;

    for (i = 0; !err && i < ranges->count; i++)
        err = range_coalesced(extras, &ranges->items[i]);
    for (i = 0; !err && i < ranges->count; i++)
        err = range_eventfds(extras, &ranges->items[i]);
    if (err || extras->count == 0)
        return err;
    /* Overlapping intervals may be equal after clipping: they are told once. */
    qsort(extras->items, extras->count, sizeof(*extras->items), compare_items);
    for (i = 1; i < extras->count; i++) {
        if (gmem__extra_compare(&extras->items[kept], &extras->items[i]) != 0)
            extras->items[++kept] = extras->items[i];
    }
    extras->count = kept + 1;
    return 0;
}

int gmem__view_create(gmem_vm *vm, gmem_region *root, struct gmem__ranges *ranges, gmem_view **ret_view)
{
    struct extras extras = {0};
    gmem_view *view;
    size_t i;

    view = calloc(1, sizeof(*view));
    if (!view || collect_extras(&extras, ranges)) {
        free(extras.items);
        free(view);
        return -ENOMEM;
    }
    view->refs = 1;
    view->vm = vm;
    view->root = root ? gmem_region_ref(root) : NULL;
    view->ranges = ranges->items;
    view->count = ranges->count;
    view->extras = extras.items;
    view->extra_count = extras.count;
    memset(ranges, 0, sizeof(*ranges));
    for (i = 0; i < view->count; i++)
        gmem__region_pin(view->ranges[i].region);
    *ret_view = view;
    return 0;
}

void gmem_view_unref(gmem_view *view)
{
    size_t i;

    if (!view || __atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (i = 0; i < view->count; i++)
        gmem__region_unpin(view->ranges[i].region);
    gmem_region_unref(view->root);
    free(view->ranges);
    free(view->extras);
    free(view);
}

void gmem__view_publish(gmem_view *view)
{
    if (view->publishers++ == 0)
        __atomic_fetch_add(&view->refs, 1, __ATOMIC_RELAXED);
}

static void retired(struct rcu_head *head)
{
    gmem_view_unref(GMEM__OF(head, gmem_view, rcu));
}

void gmem__view_retire(gmem_view *view)
{
    if (--view->publishers > 0)
        return;
    /* From here no space can find it again: the root forgets it too. */
    if (view->root && view->root->view == view)
        view->root->view = NULL;
    call_rcu(&view->rcu, retired);
}

bool gmem__range_same(const struct gmem__range *a, const struct gmem__range *b)
{
    return a->first == b->first && a->last == b->last && a->region == b->region && a->offset == b->offset &&
           ((a->attrs ^ b->attrs) & ~GMEM_RANGE_LOG_MASK) == 0;
}

bool gmem__view_equal(const gmem_view *a, const gmem_view *b)
{
    size_t i;

    if (a->count != b->count || a->extra_count != b->extra_count)
        return false;
    for (i = 0; i < a->count; i++) {
        if (!gmem__range_same(&a->ranges[i], &b->ranges[i]) || a->ranges[i].attrs != b->ranges[i].attrs)
            return false;
    }
    for (i = 0; i < a->extra_count; i++) {
        if (gmem__extra_compare(&a->extras[i], &b->extras[i]) != 0)
            return false;
    }
    return true;
}

const struct gmem__range *gmem__view_find(const gmem_view *view, uint64_t addr)
{
    size_t low = 0, high = view->count, middle;

    while (low < high) {
        middle = low + (high - low) / 2;
        if (view->ranges[middle].last < addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low < view->count ? &view->ranges[low] : NULL;
}

void gmem__range_section(const struct gmem__range *range, gmem_space *space, struct gmem_section *ret_section)
{
    ret_section->space = space;
    ret_section->region = range->region;
    ret_section->first = range->first;
    ret_section->last = range->last;
    ret_section->offset = range->offset;
    ret_section->attrs = range->attrs;
}

gmem_region *gmem_view_root(const gmem_view *view)
{
    return view->root;
}

size_t gmem_view_count(const gmem_view *view)
{
    return view->count;
}

int gmem_view_find(const gmem_view *view, uint64_t addr, struct gmem_section *ret_section)
{
    const struct gmem__range *range;

    if (!view || !ret_section)
        return -EINVAL;
    range = gmem__view_find(view, addr);
    if (!range)
        return -ENOENT;
    gmem__range_section(range, NULL, ret_section);
    return 0;
}

int gmem_view_foreach(const gmem_view *view, gmem_view_fn *fn, void *opaque)
{
    struct gmem_section section;
    size_t i;
    int stop = 0;

    for (i = 0; !stop && i < view->count; i++) {
        gmem__range_section(&view->ranges[i], NULL, &section);
        stop = fn(opaque, &section);
    }
    return stop;
}
