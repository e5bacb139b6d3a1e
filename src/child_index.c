/* SPDX-License-Identifier: MIT */
/*
 * child_index.c - a treap of subregions by (offset, seq), each node with the highest last address below it.
 *
 * The shape is that of a tree with random priorities, which are hashes of the regions' addresses:
 * O(log n) deep whatever the order of insertion. The links are in the regions, so that nothing is
 * allocated and an undo can't fail.
 *
 * All of this runs with the writer turn held.
 */
#include "child_index.h"

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
    return a->p.offset != b->p.offset ? a->p.offset < b->p.offset : a->p.seq < b->p.seq;
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
    gmem_region *tree = *root;

    if (tree && heap_order(tree) > heap_order(region)) {
        gmem__child_index_insert(before(tree, region) ? &tree->index_right : &tree->index_left, region);
        update(tree);
        return;
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

int gmem__child_index_find(const gmem_region *root, uint64_t first, uint64_t last, struct gmem__found *found)
{
    int err;

    while (root && root->index_last >= first) {
        err = gmem__child_index_find(root->index_left, first, last, found);
        if (err)
            return err;
        if (root->p.offset > last)
            return 0;
        if (root->p.offset + root->p.last >= first) {
            err = gmem__grow((void **)&found->items, &found->room, found->count + 1, sizeof(const gmem_region *));
            if (err)
                return err;
            found->items[found->count++] = root;
        }
        root = root->index_right;
    }
    return 0;
}
