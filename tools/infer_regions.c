/* SPDX-License-Identifier: MIT */
/*
 * From lines that stand for regions to the regions of the topology, and its spaces. Owns nothing. One thread.
 *
 * A disabled container is not printed without -D, but what is in it is, further in. Such a container is put there: disabled, as large as it
 * has to be. Where it begins nobody can tell, and nothing is seen of it.
 */
#include "infer_parts.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* The container that is not printed, which the last line read was in: one for neighbours that are as far in. */
struct hidden {
    size_t region;
    unsigned indent;
};

static size_t add_region(struct infer *in, size_t node)
{
    size_t index = topology_add_region(in->topology);

    alloc_grow(&in->regions, index, sizeof(*in->regions));
    in->regions[index] = (struct infer_region){.node = node};
    return index;
}

static gmem_size size_of(uint64_t first, uint64_t last)
{
    return last - first == UINT64_MAX ? GMEM_SIZE_ALL : GMEM_SIZE(last - first + 1);
}

static size_t add_hidden(struct infer *in, const char *name, size_t parent, uint64_t base,
                         const struct mtree_node *child)
{
    size_t index = add_region(in, SIZE_MAX);
    struct topo_region *region = &in->topology->regions[index];

    region->line = child->line;
    region->name = alloc_text(name);
    region->kind = GMEM_KIND_CONTAINER;
    region->parent = parent;
    region->rank = (uint32_t)index;
    region->offset = child->first - base;
    region->size = size_of(child->first, child->last);
    region->enabled = false;
    region->implied = true;
    return index;
}

/* A neighbour further on is in it too; lines are printed by rising address, or priority first: then it begins earlier. */
static void widen(struct topo_region *hidden, uint64_t base, const struct mtree_node *child)
{
    uint64_t first = child->first - base, last = child->last - base, end;

    if (hidden->size.all || first < hidden->offset) /* what is in it already would move along */
        return;
    end = hidden->offset + hidden->size.bytes - 1;
    if (last > end && last >= hidden->offset)
        hidden->size = size_of(hidden->offset, last);
}

static void kind_of(struct infer *in, size_t index, const struct mtree_node *node)
{
    struct topo_region *region = &in->topology->regions[index];

    region->kind = GMEM_KIND_CONTAINER;
    if (node->target) {
        region->kind = GMEM_KIND_ALIAS;
        return;
    }
    switch (node->type) {
    case MTREE_RAM:
        region->kind = GMEM_KIND_RAM;
        break;
    case MTREE_ROM:
    case MTREE_READONLY:
        region->kind = GMEM_KIND_ROM;
        break;
    case MTREE_ROMD:
        region->kind = GMEM_KIND_ROMD;
        break;
    case MTREE_WRITEONLY:
        region->kind = GMEM_KIND_ROMD;
        region->romd = false;
        break;
    case MTREE_RAMD:
        region->kind = GMEM_KIND_RAM_DEVICE;
        break;
    case MTREE_READWRITE:
        in->regions[index].open_memory = true;
        in->regions[index].open_kind = true;
        break;
    case MTREE_IO:
    case MTREE_NOACCESS:
        in->regions[index].open_kind = true;
        break;
    }
    region->readonly = region->kind == GMEM_KIND_ROM;
}

static void take_node(struct infer *in, size_t n, size_t parent, uint64_t base)
{
    const struct mtree_node *node = &in->mtree->nodes[n];
    size_t index = add_region(in, n);
    struct topo_region *region = &in->topology->regions[index];

    in->region_of[n] = index;
    region->parent = parent;
    region->line = node->line;
    region->name = alloc_text(node->name);
    region->owner = node->owner ? alloc_text(node->owner) : NULL;
    region->rank = (uint32_t)index;
    region->offset = node->first - base;
    region->size = size_of(node->first, node->last);
    region->priority = node->priority;
    region->enabled = !node->disabled;
    region->nonvolatile = node->nonvolatile;
    region->target_offset = node->target_first;
    kind_of(in, index, node);
}

static void take_section(struct infer *in, size_t s, struct hidden *hidden)
{
    const struct mtree_section *section = &in->mtree->sections[s];
    struct hidden root = {.region = NOWHERE};

    for (size_t n = section->first_node; n < section->first_node + section->n_nodes; n++) {
        const struct mtree_node *node = &in->mtree->nodes[n];
        bool top = in->parent[n] == SIZE_MAX;
        size_t parent = top ? NOWHERE : in->region_of[in->parent[n]];
        uint64_t base = top ? 0 : in->mtree->nodes[in->parent[n]].first;
        struct hidden *above = top ? &root : &hidden[in->parent[n]];

        hidden[n].region = NOWHERE;
        if (in->canon[n] != n)
            continue;
        if (!in->gap[n]) {
            above->region = NOWHERE;
            take_node(in, n, parent, base);
            continue;
        }
        if (above->region == NOWHERE || above->indent != node->indent)
            *above = (struct hidden){
                .region = add_hidden(in, top && section->region ? section->names[0] : "", parent, base, node),
                .indent = node->indent};
        widen(&in->topology->regions[above->region], base, node);
        take_node(in, n, above->region, base + in->topology->regions[above->region].offset);
    }
    in->root_of[s] = root.region;
}

void infer_regions(struct infer *in)
{
    const struct mtree *mtree = in->mtree;
    struct hidden *hidden = alloc_zeroed(mtree->n_nodes, sizeof(*hidden));

    for (size_t i = 0; i < mtree->n_sections; i++)
        take_section(in, i, hidden);
    free(hidden);
    for (size_t i = 0; i < mtree->n_nodes; i++)
        in->region_of[i] = in->region_of[in->canon[i]];
    for (size_t i = 0; i < mtree->n_sections; i++) {
        const struct mtree_section *section = &mtree->sections[i];

        if (section->n_nodes && !in->gap[section->first_node])
            in->root_of[i] = in->region_of[section->first_node];
        for (size_t k = 0; !section->region && k < section->n_names; k++) {
            size_t space = topology_add_space(in->topology, section->names[k], in->root_of[i]);

            in->topology->spaces[space].line = section->line + k;
        }
    }
}
