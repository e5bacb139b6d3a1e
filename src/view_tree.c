/* SPDX-License-Identifier: MIT */
/*
 * view_tree.c - a B+ tree by path copying.
 *
 *   a. A published node is never written. What an edit replaces becomes garbage; nodes born in the same edit were seen by
 *      nobody and are freed at once.
 *   b. All leaves are at one height. No node but the root is less than three eighths full where a sibling can help.
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
    edit->copied++;
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

    edit->visited++;
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

/* As gmem__garbage_keep(), of one node. A node is never younger than the nodes above it. */
static size_t node_keep(struct gmem__node *node, bool whole, uint64_t born, struct gmem__garbage *ret_kept)
{
    size_t kept = 0;
    uint32_t i;

    if (node->born <= born) {
        if (ret_kept)
            *ret_kept = (struct gmem__garbage){node, whole};
        return 1;
    }
    for (i = 0; whole && node->height > 0 && i < node->count; i++)
        kept += node_keep(inner_of(node)->children[i], true, born, ret_kept ? ret_kept + kept : NULL);
    if (ret_kept)
        free(node);
    return kept;
}

size_t gmem__garbage_keep(const struct gmem__garbage *garbage, size_t count, uint64_t born,
                          struct gmem__garbage *ret_kept)
{
    size_t kept = 0, i;

    for (i = 0; i < count; i++)
        kept += node_keep(garbage[i].node, garbage[i].whole, born, ret_kept ? ret_kept + kept : NULL);
    return kept;
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

/* A node and the highest address below it: nodes that stay as they are need not be looked at. */
struct child {
    struct gmem__node *node;
    uint64_t last;
};

/* nodes_begin() to nodes_end(). */
struct nodes {
    struct child *items;
    size_t count, room;
    struct child few[2 * GMEM__INNER_MAX]; /* as many as there nearly always are */
};

static void nodes_begin(struct nodes *nodes)
{
    nodes->items = nodes->few;
    nodes->count = 0;
    nodes->room = sizeof(nodes->few) / sizeof(nodes->few[0]);
}

static void nodes_end(struct nodes *nodes)
{
    if (nodes->items != nodes->few)
        free(nodes->items);
}

/* Make room for more. */
static int nodes_reserve(struct nodes *nodes, size_t more)
{
    struct child *items = nodes->items == nodes->few ? NULL : nodes->items;
    size_t room = items ? nodes->room : 0;
    int err;

    if (nodes->count + more <= nodes->room)
        return 0;
    err = gmem__grow((void **)&items, &room, nodes->count + more, sizeof(*items));
    if (err)
        return err;
    if (nodes->items == nodes->few)
        memcpy(items, nodes->few, nodes->count * sizeof(*items));
    nodes->items = items;
    nodes->room = room;
    return 0;
}

static int nodes_add(struct nodes *nodes, struct gmem__node *node)
{
    int err = nodes_reserve(nodes, 1);

    if (err)
        return err;
    nodes->items[nodes->count].node = node;
    nodes->items[nodes->count++].last = node_last(node);
    return 0;
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

static int make_inners(struct gmem__tree_edit *edit, uint32_t height, const struct nodes *all, struct nodes *out)
{
    size_t count = all->count, inners = (count + GMEM__INNER_MAX - 1) / GMEM__INNER_MAX, share, i;
    const struct child *children = all->items;
    struct gmem__node *node;
    int err;

    for (; inners > 0; inners--, children += share, count -= share) {
        share = (count + inners - 1) / inners;
        node = node_make(edit, height);
        if (!node)
            return -ENOMEM;
        node->count = (uint32_t)share;
        for (i = 0; i < share; i++) {
            inner_of(node)->children[i] = children[i].node;
            inner_of(node)->last[i] = children[i].last;
        }
        for (; i < GMEM__INNER_MAX; i++)
            inner_of(node)->last[i] = GMEM__LAST;
        err = nodes_add(out, node);
        if (err)
            return err;
    }
    return 0;
}

static int nodes_add_run(struct gmem__tree_edit *edit, struct nodes *nodes, const struct gmem__inner *inner,
                         uint32_t from, uint32_t to);

/* Two neighbours become one node, or two that are evenly full. */
static int rebalance(struct gmem__tree_edit *edit, struct gmem__node *a, struct gmem__node *b, struct nodes *out)
{
    struct gmem__range ranges[2 * GMEM__LEAF_MAX];
    struct nodes children;
    int err = 0;

    edit->visited += 2;
    if (a->height == 0) {
        memcpy(ranges, leaf_of(a)->ranges, a->count * sizeof(*ranges));
        memcpy(ranges + a->count, leaf_of(b)->ranges, b->count * sizeof(*ranges));
        err = make_leaves(edit, ranges, a->count + b->count, out);
    } else {
        nodes_begin(&children);
        /* An only child, which nobody could help, gets siblings here. */
        err = nodes_add_run(edit, &children, inner_of(a), 0, a->count);
        if (!err)
            err = nodes_add_run(edit, &children, inner_of(b), 0, b->count);
        if (!err)
            err = make_inners(edit, a->height, &children, out);
        nodes_end(&children);
    }
    if (!err)
        err = node_drop(edit, a, false);
    return err ? err : node_drop(edit, b, false);
}

static bool too_empty(const struct gmem__node *node)
{
    return node->count < node_max(node->height) * 3 / 8;
}

/* Help the nodes from the index from on, and the one before them, where they are too empty. */
static int nodes_settle(struct gmem__tree_edit *edit, struct nodes *nodes, size_t from)
{
    size_t end = nodes->count, i;
    struct gmem__node *before;
    int err = 0;

    /* In place: what is written is never further than what was read. */
    for (i = from, nodes->count = from; !err && i < end; i++) {
        before = nodes->count > 0 ? nodes->items[nodes->count - 1].node : NULL;
        if (before && (too_empty(before) || too_empty(nodes->items[i].node))) {
            nodes->count--;
            err = rebalance(edit, before, nodes->items[i].node, nodes);
        } else {
            nodes->items[nodes->count++] = nodes->items[i];
        }
    }
    return err;
}

/* Append the children of inner from index from until before to. Siblings as they are: none is too empty beside another. */
static int nodes_add_run(struct gmem__tree_edit *edit, struct nodes *nodes, const struct gmem__inner *inner,
                         uint32_t from, uint32_t to)
{
    int err = nodes_reserve(nodes, to - from);

    while (!err && from < to && nodes->count > 0) {
        nodes->items[nodes->count].node = inner->children[from];
        nodes->items[nodes->count++].last = inner->last[from];
        from++;
        err = nodes_settle(edit, nodes, nodes->count - 1);
        if (!err && !too_empty(nodes->items[nodes->count - 1].node))
            break;
    }
    for (; !err && from < to; from++) {
        nodes->items[nodes->count].node = inner->children[from];
        nodes->items[nodes->count++].last = inner->last[from];
    }
    return err;
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
    struct nodes children;
    uint32_t a = 0, b, i;
    size_t from;
    int err;

    splice->edit->visited++;
    if (node->height == 0)
        return splice_leaf(splice, node, insert, out);
    while (a + 1 < node->count && inner->last[a] < splice->first)
        a++;
    for (b = a; b + 1 < node->count && inner->last[b] < splice->last; b++)
        ;
    nodes_begin(&children);
    err = nodes_add_run(splice->edit, &children, inner, 0, a);
    for (i = a; !err && i <= b; i++) {
        if (i > a && i < b) {
            err = subtree_drop(splice->edit, inner->children[i]);
            continue;
        }
        from = children.count;
        err = splice_node(splice, inner->children[i], insert && i == a, &children);
        if (!err)
            err = nodes_settle(splice->edit, &children, from);
    }
    if (!err)
        err = nodes_add_run(splice->edit, &children, inner, b + 1, node->count);
    if (!err)
        err = make_inners(splice->edit, node->height, &children, out);
    nodes_end(&children);
    return err ? err : node_drop(splice->edit, node, false);
}

/* Put layers on top until one node is left; take off those that have one child only. */
static int close_top(struct gmem__tree_edit *edit, const struct nodes *top, struct gmem__node **ret_tree)
{
    struct gmem__node *tree, *child;
    struct nodes above;
    int err = 0;

    if (top->count > 1) {
        nodes_begin(&above);
        err = make_inners(edit, top->items[0].node->height + 1, top, &above);
        if (!err)
            err = close_top(edit, &above, ret_tree);
        nodes_end(&above);
        return err;
    }
    tree = top->count > 0 ? top->items[0].node : NULL;
    while (!err && tree && tree->height > 0 && tree->count == 1) {
        child = inner_of(tree)->children[0];
        err = node_drop(edit, tree, false);
        tree = child;
    }
    *ret_tree = tree;
    return err;
}

int gmem__tree_splice(struct gmem__tree_edit *edit, struct gmem__node **tree, uint64_t first, uint64_t last,
                      const struct gmem__range *items, size_t count)
{
    struct splice splice = {edit, first, last, items, count};
    struct nodes top;
    int err;

    nodes_begin(&top);
    err = *tree ? splice_node(&splice, *tree, true, &top) : make_leaves(edit, items, count, &top);
    if (!err)
        err = close_top(edit, &top, tree);
    nodes_end(&top);
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
    uint32_t height;

    if (!node || node_last(node) < addr)
        return NULL;
    /* The heights below are known: nothing but keys and a pointer of each node is looked at. */
    for (height = node->height; height > 0; height--)
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
