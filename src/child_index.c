/* SPDX-License-Identifier: MIT */
/*
 * child_index.c - a treap of subregions by address, each node with the highest last address below it.
 *
 * The order is that of the offsets, and of those at the same offset the winner is first. There is no
 * other list of siblings: who wins is looked up where two overlap.
 *
 * The shape is that of a tree with random priorities, which are hashes of the regions' addresses:
 * O(log n) deep whatever the order of insertion. The links are in the regions, so that nothing is
 * allocated and an undo can't fail.
 *
 * All of this runs with the writer turn held.
 */
#include "child_index.h"
#include <stdlib.h>

/* Finalizer of splitmix64: spreads the bits of an address. */
static uint64_t heap_order(const gmem_region *region)
{
    uint64_t x = (uintptr_t)region;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool before(const gmem_region *a, const gmem_region *b)
{
    return a->p.offset != b->p.offset ? a->p.offset < b->p.offset
                                      : gmem__wins(a->p.priority, a->p.seq, b->p.priority, b->p.seq);
}

static void update(gmem_region *region)
{
    uint64_t last = region->p.offset + region->p.last;

    if (region->index_left)
        last = gmem__max(last, region->index_left->index_last);
    if (region->index_right)
        last = gmem__max(last, region->index_right->index_last);
    region->index_last = last;
}

/* Split tree into what is before key and the rest. */
static void split(gmem_region *tree, const gmem_region *key, gmem_region **left, gmem_region **right)
{
    if (!tree) {
        *left = NULL;
        *right = NULL;
    } else if (before(tree, key)) {
        split(tree->index_right, key, &tree->index_right, right);
        *left = tree;
        update(tree);
    } else {
        split(tree->index_left, key, left, &tree->index_left);
        *right = tree;
        update(tree);
    }
}

static gmem_region *join(gmem_region *left, gmem_region *right)
{
    if (!left || !right)
        return left ? left : right;
    if (heap_order(left) > heap_order(right)) {
        left->index_right = join(left->index_right, right);
        update(left);
        return left;
    }
    right->index_left = join(left, right->index_left);
    update(right);
    return right;
}

void gmem__child_index_insert(gmem_region **root, gmem_region *region)
{
    uint64_t order = heap_order(region), last = region->p.offset + region->p.last;
    gmem_region *tree;

    while ((tree = *root) && heap_order(tree) > order) {
        tree->index_last = gmem__max(tree->index_last, last);
        root = before(tree, region) ? &tree->index_right : &tree->index_left;
    }
    split(tree, region, &region->index_left, &region->index_right);
    update(region);
    *root = region;
}

void gmem__child_index_remove(gmem_region **root, gmem_region *region)
{
    gmem_region *tree = *root;

    if (tree == region) {
        *root = join(tree->index_left, tree->index_right);
        region->index_left = NULL;
        region->index_right = NULL;
        return;
    }
    gmem__child_index_remove(before(tree, region) ? &tree->index_right : &tree->index_left, region);
    update(tree);
}

gmem_region *gmem__child_index_first(gmem_region *root)
{
    while (root && root->index_left)
        root = root->index_left;
    return root;
}

gmem_region *gmem__child_index_next(gmem_region *root, const gmem_region *region)
{
    gmem_region *next = NULL;

    while (root) {
        if (before(region, root)) {
            next = root;
            root = root->index_left;
        } else {
            root = root->index_right;
        }
    }
    return next;
}

int gmem__child_index_walk(gmem_region *root, uint64_t first, uint64_t last, gmem__child_fn *fn, void *opaque)
{
    int stop;

    for (; root && root->index_last >= first; root = root->index_right) {
        GMEM__COUNT(root->vm, regions_visited, 1);
        stop = gmem__child_index_walk(root->index_left, first, last, fn, opaque);
        if (stop)
            return stop;
        if (root->p.offset > last)
            return 0;
        if (root->p.offset + root->p.last >= first) {
            stop = fn(opaque, root);
            if (stop)
                return stop;
        }
    }
    return 0;
}

struct find {
    struct gmem__found *found;
    uint64_t last; /* the highest of those found */
    bool any;
    bool overlap; /* two of them do */
};

static int find_child(void *opaque, gmem_region *child)
{
    struct find *find = opaque;
    struct gmem__found *found = find->found;
    uint64_t child_last = child->p.offset + child->p.last;
    int err = gmem__grow((void **)&found->items, &found->room, found->count + 1, sizeof(*found->items));

    if (err)
        return err;
    found->items[found->count++] = (struct gmem__sibling){child, child->p.seq, child->p.priority};
    find->overlap = find->overlap || (find->any && child->p.offset <= find->last);
    find->last = find->any ? gmem__max(find->last, child_last) : child_last;
    find->any = true;
    return 0;
}

int gmem__child_index_find(gmem_region *root, uint64_t first, uint64_t last, struct gmem__found *found)
{
    struct find find = {.found = found};
    size_t from = found->count;
    int err = gmem__child_index_walk(root, first, last, find_child, &find);

    if (!err && find.overlap)
        gmem__found_sort(found, from);
    return err;
}

static int compare_winners(const void *left, const void *right)
{
    const struct gmem__sibling *a = left, *b = right;

    return gmem__wins(a->priority, a->seq, b->priority, b->seq) ? -1 : 1;
}

void gmem__found_sort(struct gmem__found *found, size_t from)
{
    if (found->count > from)
        qsort(found->items + from, found->count - from, sizeof(*found->items), compare_winners);
}
