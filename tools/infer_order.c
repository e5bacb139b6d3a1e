/* SPDX-License-Identifier: MIT */
/*
 * The order of siblings of equal priority, from pairs of which the first has to win. Owns only what it works with. One thread.
 *
 * Those that a pair is about change places among themselves, as little as they can; all others keep theirs. Pairs in a circle (the flat
 * dump contradicts itself, or the tree) are left as they are printed.
 */
#include "infer_parts.h"

#include <stdlib.h>

#include "alloc.h"

int infer_by_pair(const void *a, const void *b)
{
    const struct infer_before *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->second < y->second ? -1 : x->second > y->second;
}

size_t infer_tidy(struct infer_before *pairs, size_t n)
{
    size_t left = 0;

    if (n)
        qsort(pairs, n, sizeof(*pairs), infer_by_pair);
    for (size_t i = 0; i < n; i++)
        if (!left || infer_by_pair(&pairs[left - 1], &pairs[i]) != 0)
            pairs[left++] = pairs[i];
    return left;
}

struct order {
    struct infer *in;
    const struct infer_before *pairs; /* sorted by first */
    size_t n;
    size_t *waiting; /* by region: how many have to go first */
    size_t *members; /* of the group at hand */
    size_t n_members;
    size_t *heap; /* those that wait for none; the lowest rank on top */
    size_t n_heap;
};

static uint32_t rank_of(const struct order *order, size_t region)
{
    return order->in->topology->regions[region].rank;
}

static void heap_push(struct order *order, size_t region)
{
    size_t i = order->n_heap++;

    for (; i && rank_of(order, order->heap[(i - 1) / 2]) > rank_of(order, region); i = (i - 1) / 2)
        order->heap[i] = order->heap[(i - 1) / 2];
    order->heap[i] = region;
}

static size_t heap_pop(struct order *order)
{
    size_t top = order->heap[0], region = order->heap[--order->n_heap], i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= order->n_heap)
            break;
        if (child + 1 < order->n_heap && rank_of(order, order->heap[child + 1]) < rank_of(order, order->heap[child]))
            child++;
        if (rank_of(order, order->heap[child]) >= rank_of(order, region))
            break;
        order->heap[i] = order->heap[child];
        i = child;
    }
    if (order->n_heap)
        order->heap[i] = region;
    return top;
}

static size_t pairs_of(const struct order *order, size_t region)
{
    size_t low = 0, high = order->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (order->pairs[middle].first < region)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int by_group(const void *a, const void *b, void *opaque)
{
    const struct topo_region *regions = opaque;
    const struct topo_region *x = &regions[*(const size_t *)a], *y = &regions[*(const size_t *)b];

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Members are in the order of their ranks; the same ranks are given out again. */
static void order_group(struct order *order, uint32_t *ranks)
{
    struct infer *in = order->in;
    size_t given = 0;
    size_t *sorted = alloc_zeroed(order->n_members, sizeof(*sorted));

    for (size_t i = 0; i < order->n_members; i++) {
        ranks[i] = rank_of(order, order->members[i]);
        if (!order->waiting[order->members[i]])
            heap_push(order, order->members[i]);
    }
    while (order->n_heap) {
        size_t region = heap_pop(order);

        sorted[given++] = region;
        for (size_t i = pairs_of(order, region); i < order->n && order->pairs[i].first == region; i++)
            if (--order->waiting[order->pairs[i].second] == 0)
                heap_push(order, order->pairs[i].second);
    }
    for (size_t i = 0; i < given && given == order->n_members; i++) {
        if (sorted[i] != order->members[i])
            in->regions[sorted[i]].reordered = true;
        in->topology->regions[sorted[i]].rank = ranks[i];
    }
    free(sorted);
}

void infer_order(struct infer *in, const struct infer_before *pairs, size_t n)
{
    struct topo_region *regions = in->topology->regions;
    struct order order = {.in = in,
                          .pairs = pairs,
                          .n = n,
                          .waiting = alloc_zeroed(in->topology->n_regions, sizeof(size_t)),
                          .heap = alloc_zeroed(2 * n, sizeof(size_t))};
    bool *named = alloc_zeroed(in->topology->n_regions, sizeof(*named));
    size_t *all = alloc_zeroed(2 * n, sizeof(*all)), count = 0;
    uint32_t *ranks = alloc_zeroed(2 * n, sizeof(*ranks));

    for (size_t i = 0; i < n; i++) {
        size_t both[] = {pairs[i].first, pairs[i].second};

        order.waiting[pairs[i].second]++;
        for (size_t k = 0; k < 2; k++)
            if (!named[both[k]]) {
                named[both[k]] = true;
                all[count++] = both[k];
            }
    }
    qsort_r(all, count, sizeof(*all), by_group, regions);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && regions[all[end]].parent == regions[all[i]].parent &&
                          regions[all[end]].priority == regions[all[i]].priority;
             end++)
            ;
        order.members = all + i;
        order.n_members = end - i;
        order_group(&order, ranks);
    }
    for (size_t i = 0; i < n; i++) {
        in->regions[pairs[i].first].ordered = true;
        in->regions[pairs[i].second].ordered = true;
    }
    free(order.waiting);
    free(order.heap);
    free(named);
    free(all);
    free(ranks);
}
