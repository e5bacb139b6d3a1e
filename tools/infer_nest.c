/* SPDX-License-Identifier: MIT */
/*
 * What is below what. Owns only what it works with. One thread.
 *
 * Without -D a disabled region is not printed, but what it contains is: two levels further in than what is printed above, or just as far in
 * as what the region printed before it contains, so that it looks as if it were in that. It is not where that is an alias, which
 * contains nothing; where it lies outside of it; or where the order breaks, for what is in one container is printed by rising address, and
 * of one address the highest priority first. From there on, what is as far in is in the disabled region, or another one.
 */
#include "infer_parts.h"

#include <stdlib.h>

#include "alloc.h"

/* Of a node as a container. */
struct inside {
    size_t last; /* its child printed last; SIZE_MAX: none yet */
    bool ended;  /* what follows as its child is in something that is not printed */
};

static bool breaks_order(const struct mtree_node *before, const struct mtree_node *node)
{
    return node->first < before->first || (node->first == before->first && node->priority > before->priority);
}

/* node looks as if it were in parent, and is not. Beside the root of a section there is nothing that it could be in. */
static bool looks_only(const struct infer *in, const struct inside *inside, size_t parent, size_t node)
{
    const struct mtree_node *p = &in->mtree->nodes[parent], *n = &in->mtree->nodes[node];

    if (in->parent[parent] == SIZE_MAX && !in->gap[parent] && !p->target)
        return false;
    return inside[parent].ended || p->target || n->first > p->last || n->last < p->first ||
           (inside[parent].last != SIZE_MAX && breaks_order(&in->mtree->nodes[inside[parent].last], n));
}

void infer_nest(struct infer *in)
{
    const struct mtree *mtree = in->mtree;
    struct inside *inside = alloc_zeroed(mtree->n_nodes, sizeof(*inside));

    for (size_t i = 0; i < mtree->n_nodes; i++) {
        const struct mtree_node *node = &mtree->nodes[i];
        size_t parent = node->parent;

        inside[i].last = SIZE_MAX;
        in->parent[i] = parent;
        in->gap[i] = node->indent > (parent == SIZE_MAX ? 0 : mtree->nodes[parent].indent) + 2;
        if (parent == SIZE_MAX)
            continue;
        if (in->gap[i]) {
            /* In something not printed that is in the parent, or is behind the parent's last child as above. */
            if (inside[parent].ended || mtree->nodes[parent].target)
                in->parent[i] = in->parent[parent];
            continue;
        }
        if (!mtree->shows_disabled && looks_only(in, inside, parent, i)) {
            inside[parent].ended = true;
            in->gap[i] = in->misfit[i] = true;
            in->parent[i] = in->parent[parent];
            continue;
        }
        inside[parent].last = i;
    }
    free(inside);
}
