/* SPDX-License-Identifier: MIT */
/*
 * view_tree.c - a B+ tree by path copying.
 *
 *   a. A published node is never written. What an edit replaces becomes garbage; nodes born in the same edit were seen by
 *      nobody and are freed at once.
 *   b. All leaves are at one height. No node but the root is less than a quarter full where a sibling can help.
 *   c. A splice of k ranges touches O(k + log n) nodes, besides those it drops as whole subtrees.
 *
 * Readers run in an RCU read section or hold a view; edits run with the writer turn held.
 */
#include "view_tree.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct gmem__leaf *leaf_of(struct gmem__node *node)
{
    return (struct gmem__leaf *)(void *)node;
}

static struct gmem__inner *inner_of(struct gmem__node *node)
{
    return (struct gmem__inner *)(void *)node;
}

static const struct gmem__leaf *const_leaf(const struct gmem__node *node)
{
    return (const struct gmem__leaf *)(const void *)node;
}

static const struct gmem__inner *const_inner(const struct gmem__node *node)
{
    return (const struct gmem__inner *)(const void *)node;
}

static uint64_t node_last(const struct gmem__node *node)
{
    return node->height == 0 ? const_leaf(node)->last[node->count - 1] : const_inner(node)->last[node->count - 1];
}

static uint32_t node_max(uint32_t height)
{
    return height == 0 ? GMEM__LEAF_MAX : GMEM__INNER_MAX;
}

/* --- making and dropping nodes --- */

static struct gmem__node *node_make(struct gmem__tree_edit *edit, uint32_t height)
{
    struct gmem__node *node = malloc(height == 0 ? sizeof(struct gmem__leaf) : sizeof(struct gmem__inner));

    if (!node)
        return NULL;
    node->height = height;
    node->count = 0;
    node->born = edit->born;
    node->prev = NULL;
    node->next = edit->made;
    if (edit->made)
        edit->made->prev = node;
    edit->made = node;
    return node;
}

/* The version being made has no node any more (its children it may still have). */
static int node_drop(struct gmem__tree_edit *edit, struct gmem__node *node, bool whole)
{
    int err;

    if (node->born == edit->born) {
        if (node->prev)
            node->prev->next = node->next;
        else
            edit->made = node->next;
        if (node->next)
            node->next->prev = node->prev;
        free(node);
        return 0;
    }
    err = gmem__grow((void **)&edit->garbage, &edit->garbage_room, edit->garbage_count + 1, sizeof(*edit->garbage));
    if (err)
        return err;
    edit->garbage[edit->garbage_count].node = node;
    edit->garbage[edit->garbage_count++].whole = whole;
    return 0;
}

/* Nothing of the subtree is in the version being made. It may mix nodes of this edit and published ones. */
static int subtree_drop(struct gmem__tree_edit *edit, struct gmem__node *node)
{
    uint32_t i;
    int err = 0;

    if (node->born != edit->born)
        return node_drop(edit, node, true);
    for (i = 0; !err && node->height > 0 && i < node->count; i++)
        err = subtree_drop(edit, inner_of(node)->children[i]);
    return err ? err : node_drop(edit, node, false);
}

void gmem__tree_free(struct gmem__node *tree)
{
    uint32_t i;

    if (!tree)
        return;
    for (i = 0; tree->height > 0 && i < tree->count; i++)
        gmem__tree_free(inner_of(tree)->children[i]);
    free(tree);
}

void gmem__garbage_free(const struct gmem__garbage *garbage, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (garbage[i].whole)
            gmem__tree_free(garbage[i].node);
        else
            free(garbage[i].node);
    }
}

void gmem__tree_abandon(struct gmem__tree_edit *edit)
{
    struct gmem__node *node;

    while ((node = edit->made)) {
        edit->made = node->next;
        free(node);
    }
    free(edit->garbage);
    edit->garbage = NULL;
    edit->garbage_count = 0;
}

/* --- lists of nodes, of which inner nodes are made --- */

struct nodes {
    struct gmem__node **items;
    size_t count, room;
};

static int nodes_add(struct nodes *nodes, struct gmem__node *node)
{
    int err = gmem__grow((void **)&nodes->items, &nodes->room, nodes->count + 1, sizeof(struct gmem__node *));

    if (!err)
        nodes->items[nodes->count++] = node;
    return err;
}

/* Append leaves that hold all of the ranges, evenly filled. */
static int make_leaves(struct gmem__tree_edit *edit, const struct gmem__range *ranges, size_t count, struct nodes *out)
{
    size_t leaves = (count + GMEM__LEAF_MAX - 1) / GMEM__LEAF_MAX, share, i;
    struct gmem__node *node;
    int err;

    for (; leaves > 0; leaves--, ranges += share, count -= share) {
        share = (count + leaves - 1) / leaves;
        node = node_make(edit, 0);
        if (!node)
            return -ENOMEM;
        node->count = (uint32_t)share;
        memcpy(leaf_of(node)->ranges, ranges, share * sizeof(*ranges));
        for (i = 0; i < GMEM__LEAF_MAX; i++)
            leaf_of(node)->last[i] = i < share ? ranges[i].last : GMEM__LAST;
        err = nodes_add(out, node);
        if (err)
            return err;
    }
    return 0;
}

static int make_inners(struct gmem__tree_edit *edit, uint32_t height, struct gmem__node *const *children, size_t count,
                       struct nodes *out)
{
    size_t inners = (count + GMEM__INNER_MAX - 1) / GMEM__INNER_MAX, share, i;
    struct gmem__node *node;
    int err;

    for (; inners > 0; inners--, children += share, count -= share) {
        share = (count + inners - 1) / inners;
        node = node_make(edit, height);
        if (!node)
            return -ENOMEM;
        node->count = (uint32_t)share;
        for (i = 0; i < share; i++) {
            inner_of(node)->children[i] = children[i];
            inner_of(node)->last[i] = node_last(children[i]);
        }
        for (; i < GMEM__INNER_MAX; i++)
            inner_of(node)->last[i] = GMEM__LAST;
        err = nodes_add(out, node);
        if (err)
            return err;
    }
    return 0;
}

static int nodes_add_full(struct gmem__tree_edit *edit, struct nodes *nodes, struct gmem__node *node);

/* Two neighbours become one node, or two that are evenly full. */
static int rebalance(struct gmem__tree_edit *edit, struct gmem__node *a, struct gmem__node *b, struct nodes *out)
{
    struct gmem__range ranges[2 * GMEM__LEAF_MAX];
    struct nodes children = {0};
    uint32_t i;
    int err = 0;

    if (a->height == 0) {
        memcpy(ranges, leaf_of(a)->ranges, a->count * sizeof(*ranges));
        memcpy(ranges + a->count, leaf_of(b)->ranges, b->count * sizeof(*ranges));
        err = make_leaves(edit, ranges, a->count + b->count, out);
    } else {
        /* An only child, which nobody could help, gets siblings here. */
        for (i = 0; !err && i < a->count; i++)
            err = nodes_add_full(edit, &children, inner_of(a)->children[i]);
        for (i = 0; !err && i < b->count; i++)
            err = nodes_add_full(edit, &children, inner_of(b)->children[i]);
        if (!err)
            err = make_inners(edit, a->height, children.items, children.count, out);
        free(children.items);
    }
    if (!err)
        err = node_drop(edit, a, false);
    return err ? err : node_drop(edit, b, false);
}

/* Append node to a list of siblings, helping it or the one before where either is too empty. */
static int nodes_add_full(struct gmem__tree_edit *edit, struct nodes *nodes, struct gmem__node *node)
{
    struct gmem__node *before;

    if (nodes->count > 0) {
        before = nodes->items[nodes->count - 1];
        if (node->count < node_max(node->height) / 4 || before->count < node_max(node->height) / 4) {
            nodes->count--;
            return rebalance(edit, before, node, nodes);
        }
    }
    return nodes_add(nodes, node);
}

/* --- splicing --- */

struct splice {
    struct gmem__tree_edit *edit;
    uint64_t first, last;
    const struct gmem__range *items;
    size_t count;
};

static int splice_leaf(const struct splice *splice, struct gmem__node *node, bool insert, struct nodes *out)
{
    const struct gmem__leaf *leaf = const_leaf(node);
    struct gmem__range buffer[3 * GMEM__LEAF_MAX], *all = buffer;
    size_t keep = 0, skip, count, more = insert ? splice->count : 0;
    int err;

    while (keep < node->count && leaf->ranges[keep].last < splice->first)
        keep++;
    for (skip = keep; skip < node->count && leaf->ranges[skip].first <= splice->last; skip++)
        ;
    count = keep + more + (node->count - skip);
    if (count > sizeof(buffer) / sizeof(buffer[0]))
        all = malloc(count * sizeof(*all));
    if (!all)
        return -ENOMEM;
    memcpy(all, leaf->ranges, keep * sizeof(*all));
    if (more > 0)
        memcpy(all + keep, splice->items, more * sizeof(*all));
    memcpy(all + keep + more, leaf->ranges + skip, (node->count - skip) * sizeof(*all));
    err = make_leaves(splice->edit, all, count, out);
    if (all != buffer)
        free(all);
    return err ? err : node_drop(splice->edit, node, false);
}

/*
 * Append what becomes of node to out, nodes of its height. insert: the new ranges go in here, and
 * not further right.
 */
static int splice_node(const struct splice *splice, struct gmem__node *node, bool insert, struct nodes *out)
{
    struct gmem__inner *inner = inner_of(node);
    struct nodes children = {0}, parts = {0};
    uint32_t a = 0, b, i;
    size_t j;
    int err = 0;

    if (node->height == 0)
        return splice_leaf(splice, node, insert, out);
    while (a + 1 < node->count && inner->last[a] < splice->first)
        a++;
    for (b = a; b + 1 < node->count && inner->last[b] < splice->last; b++)
        ;
    for (i = 0; !err && i < node->count; i++) {
        if (i < a || i > b) {
            err = nodes_add_full(splice->edit, &children, inner->children[i]);
        } else if (i > a && i < b) {
            err = subtree_drop(splice->edit, inner->children[i]);
        } else {
            parts.count = 0;
            err = splice_node(splice, inner->children[i], insert && i == a, &parts);
            for (j = 0; !err && j < parts.count; j++)
                err = nodes_add_full(splice->edit, &children, parts.items[j]);
        }
    }
    if (!err)
        err = make_inners(splice->edit, node->height, children.items, children.count, out);
    free(parts.items);
    free(children.items);
    return err ? err : node_drop(splice->edit, node, false);
}

/* Put layers on top until one node is left; take off those that have one child only. */
static int close_top(struct gmem__tree_edit *edit, struct nodes *top, struct gmem__node **ret_tree)
{
    struct nodes above = {0};
    struct gmem__node *tree;
    int err = 0;

    while (!err && top->count > 1) {
        above.count = 0;
        err = make_inners(edit, top->items[0]->height + 1, top->items, top->count, &above);
        if (!err) {
            struct nodes swap = *top;

            *top = above;
            above = swap;
        }
    }
    tree = top->count > 0 ? top->items[0] : NULL;
    while (!err && tree && tree->height > 0 && tree->count == 1) {
        struct gmem__node *child = inner_of(tree)->children[0];

        err = node_drop(edit, tree, false);
        tree = child;
    }
    free(above.items);
    *ret_tree = tree;
    return err;
}

int gmem__tree_splice(struct gmem__tree_edit *edit, struct gmem__node **tree, uint64_t first, uint64_t last,
                      const struct gmem__range *items, size_t count)
{
    struct splice splice = {edit, first, last, items, count};
    struct nodes top = {0};
    int err;

    err = *tree ? splice_node(&splice, *tree, true, &top) : make_leaves(edit, items, count, &top);
    if (!err)
        err = close_top(edit, &top, tree);
    free(top.items);
    return err;
}

/* --- reading --- */

/*
 * The first of max keys that is not below addr; the last is taken not to be. Counted in two rounds, every fourth key and then
 * within four, without a branch or a load that waits for another: which way a search goes can't be foreseen.
 */
static inline uint32_t search(const uint64_t *last, uint32_t max, uint64_t addr)
{
#define BELOW(i) ((uint32_t)(last[i] < addr))
    uint32_t at = BELOW(3) + BELOW(7) + BELOW(11);

    if (max > 16)
        at += (BELOW(15) + BELOW(19)) + (BELOW(23) + BELOW(27));
    at *= 4;
    return at + (BELOW(at) + BELOW(at + 1) + BELOW(at + 2));
#undef BELOW
}

_Static_assert(GMEM__LEAF_MAX == 16 && GMEM__INNER_MAX == 32, "search() knows them");

const struct gmem__range *gmem__tree_find(const struct gmem__node *node, uint64_t addr)
{
    if (!node || node_last(node) < addr)
        return NULL;
    while (node->height > 0)
        node = const_inner(node)->children[search(const_inner(node)->last, GMEM__INNER_MAX, addr)];
    return &const_leaf(node)->ranges[search(const_leaf(node)->last, GMEM__LEAF_MAX, addr)];
}

int gmem__tree_walk(const struct gmem__node *node, uint64_t first, uint64_t last, gmem__tree_fn *fn, void *opaque)
{
    const struct gmem__inner *inner;
    const struct gmem__leaf *leaf;
    uint64_t from = 0;
    uint32_t i;
    int stop = 0;

    if (!node)
        return 0;
    if (node->height == 0) {
        leaf = const_leaf(node);
        for (i = 0; !stop && i < node->count && leaf->ranges[i].first <= last; i++) {
            if (leaf->ranges[i].last >= first)
                stop = fn(opaque, &leaf->ranges[i]);
        }
        return stop;
    }
    inner = const_inner(node);
    for (i = 0; !stop && i < node->count && from <= last; i++) {
        if (inner->last[i] >= first)
            stop = gmem__tree_walk(inner->children[i], first, last, fn, opaque);
        if (inner->last[i] == GMEM__LAST)
            break;
        from = inner->last[i] + 1;
    }
    return stop;
}
