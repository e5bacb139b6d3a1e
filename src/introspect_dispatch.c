/* SPDX-License-Identifier: MIT */
/*
 * introspect_dispatch.c - the tree in which accesses find their range, as text (GMEM_PRINT_DISPATCH): each node with the
 * addresses it is for, each range with what an access to it does.
 *
 * Runs with the writer turn. Allocates nothing but the text. Recursion is as deep as the tree, which is the logarithm of its
 * ranges.
 */
#include "hint.h"
#include "introspect.h"
#include "mmio_ops.h"
#include <inttypes.h>

static uint64_t first_of(const struct gmem__node *node)
{
    while (node->height)
        node = ((const struct gmem__inner *)node)->children[0];
    return ((const struct gmem__leaf *)node)->ranges[0].first;
}

static uint64_t last_of(const struct gmem__node *node)
{
    const uint64_t *last =
        node->height ? ((const struct gmem__inner *)node)->last : ((const struct gmem__leaf *)node)->last;

    return last[node->count - 1];
}

static void print_target(struct gmem__text *text, const struct gmem__range *range)
{
    bool reads = gmem__range_reads_directly(range), writes = gmem__range_writes_directly(range);

    if (reads && writes)
        gmem__text_string(text, "memory");
    else if (reads)
        gmem__text_string(text, range->ops ? "memory, writes to callbacks" : "memory, writes dropped");
    else if (range->ops)
        gmem__text_string(text, "callbacks");
    else
        gmem__text_string(text, "nothing");
    if (range->ops && !writes)
        gmem__text_format(text, " (%u to %u bytes)", range->ops->is.valid.min, range->ops->is.valid.max);
}

static void indent(struct gmem__text *text, uint32_t depth)
{
    for (uint32_t i = 0; i < depth + 2; i++)
        gmem__text_add(text, "  ", 2);
}

static void print_leaf(struct gmem__text *text, const struct gmem__leaf *leaf, uint32_t depth)
{
    for (uint32_t i = 0; i < leaf->node.count; i++) {
        const struct gmem__range *range = &leaf->ranges[i];

        indent(text, depth);
        gmem__text_format(text, "%016" PRIx64 "-%016" PRIx64 " ", range->first, range->last);
        print_target(text, range);
        gmem__text_string(text, ": ");
        gmem__text_string(text, range->region->name);
        if (range->offset)
            gmem__text_format(text, " @%016" PRIx64, range->offset);
        gmem__text_string(text, "\n");
    }
}

static void print_node(struct gmem__text *text, const struct gmem__node *node, uint32_t depth)
{
    const struct gmem__inner *inner = (const struct gmem__inner *)node;

    indent(text, depth);
    gmem__text_format(text, "%s %016" PRIx64 "-%016" PRIx64 ", %u %s\n", node->height ? "node" : "leaf", first_of(node),
                      last_of(node), node->count, node->height ? "below" : "ranges");
    if (!node->height) {
        print_leaf(text, (const struct gmem__leaf *)node, depth + 1);
        return;
    }
    for (uint32_t i = 0; i < node->count; i++)
        print_node(text, inner->children[i], depth + 1);
}

void gmem__print_dispatch_text(struct gmem__print *print, const gmem_view *view)
{
    if (!view->tree)
        return;
    gmem__text_format(&print->text, "  Dispatch: %zu ranges, %u levels\n", view->count, view->tree->height + 1);
    print_node(&print->text, view->tree, 0);
}
