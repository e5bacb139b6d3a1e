/* SPDX-License-Identifier: MIT */
/*
 * Owns what its parts hand on, until it returns. One thread.
 *
 * First what is in what and what lines are the same region, then what each alias shows; then the flat dump, if there is one, settles what
 * is open, and rules settle the rest. Nothing is taken over from the flat dump: it only decides between what the text allows.
 */
#include "infer_parts.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

bool infer(const struct mtree *mtree, const struct flat_dump *flat, struct topology *topology, struct problem *problem)
{
    struct infer in = {.mtree = mtree, .flat = flat, .topology = topology, .problem = problem};
    bool ok;

    *topology = (struct topology){.source = alloc_text(mtree->source)};
    in.parent = alloc_zeroed(mtree->n_nodes, sizeof(*in.parent));
    in.gap = alloc_zeroed(mtree->n_nodes, sizeof(*in.gap));
    in.misfit = alloc_zeroed(mtree->n_nodes, sizeof(*in.misfit));
    in.canon = alloc_zeroed(mtree->n_nodes, sizeof(*in.canon));
    in.region_of = alloc_zeroed(mtree->n_nodes, sizeof(*in.region_of));
    in.root_of = alloc_zeroed(mtree->n_sections, sizeof(*in.root_of));
    in.twin_of = alloc_zeroed(mtree->n_sections, sizeof(*in.twin_of));
    for (size_t i = 0; i < mtree->n_sections; i++)
        in.twin_of[i] = NOWHERE;
    infer_nest(&in);
    infer_same(&in);
    infer_regions(&in);
    ok = infer_aliases(&in);
    for (size_t i = 0; ok && i < topology->n_regions; i++) {
        if (topology->regions[i].parent != NOWHERE)
            in.regions[topology->regions[i].parent].parent_of_some = true;
        if (topology->regions[i].target != NOWHERE)
            in.regions[topology->regions[i].target].aliased = true;
    }
    for (size_t i = 0; ok && i < topology->n_spaces; i++)
        if (topology->spaces[i].root != NOWHERE && strcmp(topology->spaces[i].name, "I/O") == 0)
            in.regions[topology->spaces[i].root].ports = true;
    if (ok)
        infer_rule_order(&in);
    ok = ok && (!flat || infer_flat(&in));
    if (ok)
        infer_rules(&in);
    else
        topology_free(topology);
    free(in.parent);
    free(in.gap);
    free(in.misfit);
    free(in.canon);
    free(in.region_of);
    free(in.root_of);
    free(in.regions);
    for (size_t i = 0; i < in.n_choices; i++) {
        free(in.choices[i].candidates);
        free(in.choices[i].costs);
    }
    free(in.choices);
    for (size_t i = 0; i < in.n_twins; i++)
        free(in.twins[i].nodes);
    free(in.twins);
    free(in.twin_of);
    free(in.view_of);
    return ok;
}
