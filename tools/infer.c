/* SPDX-License-Identifier: MIT */
/*
 * Owns nothing. One thread.
 *
 * Each region is taken from where it is printed first: in a space's tree, else in a section of its own.
 */
#include "infer.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

static bool has_children(const struct mtree *mtree, size_t node)
{
    return node + 1 < mtree->n_nodes && mtree->nodes[node + 1].parent == node;
}

static enum gmem_kind kind_of(const struct mtree *mtree, size_t node)
{
    switch (mtree->nodes[node].type) {
    case MTREE_RAM:
        return GMEM_KIND_RAM;
    case MTREE_ROM:
    case MTREE_READONLY:
        return GMEM_KIND_ROM;
    case MTREE_ROMD:
    case MTREE_WRITEONLY:
        return GMEM_KIND_ROMD;
    case MTREE_RAMD:
        return GMEM_KIND_RAM_DEVICE;
    case MTREE_IO:
    case MTREE_READWRITE:
    case MTREE_NOACCESS:
        break;
    }
    return has_children(mtree, node) ? GMEM_KIND_CONTAINER : GMEM_KIND_MMIO;
}

static void take_node(const struct mtree *mtree, size_t n, size_t *region_of, struct topology *topology)
{
    const struct mtree_node *node = &mtree->nodes[n];
    size_t index = topology_add_region(topology);
    struct topo_region *region = &topology->regions[index];
    uint64_t base = 0;

    region_of[n] = index;
    if (node->parent != SIZE_MAX) {
        region->parent = region_of[node->parent];
        base = mtree->nodes[node->parent].first;
    }
    region->line = node->line;
    region->name = alloc_text(node->name);
    region->owner = node->owner ? alloc_text(node->owner) : NULL;
    region->kind = node->target ? GMEM_KIND_ALIAS : kind_of(mtree, n);
    region->rank = (uint32_t)index;
    region->offset = node->first - base;
    region->size = node->last - node->first == UINT64_MAX ? GMEM_SIZE_ALL : GMEM_SIZE(node->last - node->first + 1);
    region->priority = node->priority;
    region->enabled = !node->disabled;
    region->nonvolatile = node->nonvolatile;
    region->readonly = region->kind == GMEM_KIND_ROM;
    region->target_offset = node->target_first;
    if (region->kind == GMEM_KIND_MMIO)
        topology_guess(topology, index, SETTLED_RULE, "%s answers accesses: it has no subregions", node->name);
}

bool infer(const struct mtree *mtree, const struct flat_dump *flat, struct topology *topology, struct problem *problem)
{
    size_t *region_of = alloc_zeroed(mtree->n_nodes, sizeof(*region_of));

    (void)flat;
    *topology = (struct topology){.source = alloc_text(mtree->source)};
    for (size_t i = 0; i < mtree->n_nodes; i++)
        take_node(mtree, i, region_of, topology);
    for (size_t i = 0; i < mtree->n_sections; i++) {
        const struct mtree_section *section = &mtree->sections[i];

        for (size_t k = 0; !section->region && k < section->n_names; k++)
            topology_add_space(topology, section->names[k],
                               section->n_nodes ? region_of[section->first_node] : NOWHERE);
    }
    for (size_t i = 0; i < mtree->n_nodes; i++) {
        struct topo_region *region = &topology->regions[region_of[i]];

        for (size_t k = 0; mtree->nodes[i].target && k < mtree->n_nodes && region->target == NOWHERE; k++)
            if (!mtree->nodes[k].target && strcmp(mtree->nodes[k].name, mtree->nodes[i].target) == 0)
                region->target = region_of[k];
        if (mtree->nodes[i].target && region->target == NOWHERE) {
            problem_at(problem, mtree->source, region->line,
                       "no region named \"%s\" is printed, which this is an alias of", mtree->nodes[i].target);
            free(region_of);
            topology_free(topology);
            return false;
        }
    }
    free(region_of);
    return true;
}
