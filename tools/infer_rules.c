/* SPDX-License-Identifier: MIT */
/*
 * Rules for what neither the tree nor a flat dump says, and the list of what was settled how. Owns nothing. One thread.
 */
#include "infer_parts.h"

#include <string.h>

enum gmem_kind infer_rule_kind(const struct infer *in, size_t region, const char **ret_why)
{
    const char *why = "it has no subregions";
    enum gmem_kind kind = GMEM_KIND_MMIO;

    if (in->regions[region].parent_of_some) {
        kind = GMEM_KIND_CONTAINER;
        why = "it has subregions";
    }
    if (ret_why)
        *ret_why = why;
    return kind;
}

static void guess(struct infer *in, size_t region, enum settled by, bool against, const char *what, const char *why)
{
    struct topology *topology = in->topology;

    topology_guess(topology, region, by, "%s %s: %s", topology->regions[region].name, what, why);
    topology->guesses[topology->n_guesses - 1].against_rule = against;
}

static void settle_kind(struct infer *in, size_t index)
{
    struct topo_region *region = &in->topology->regions[index];
    const struct infer_region *found = &in->regions[index];
    const char *why;
    enum gmem_kind rule = infer_rule_kind(in, index, &why);
    enum settled by = found->answers || found->silent ? SETTLED_FLAT : SETTLED_RULE;

    region->kind = found->answers ? GMEM_KIND_MMIO : found->silent ? GMEM_KIND_CONTAINER : rule;
    if (by == SETTLED_FLAT)
        why = found->answers ? "the flat dump shows it" : "the flat dump shows what is below it, or nothing";
    guess(in, index, by, region->kind != rule,
          region->kind == GMEM_KIND_MMIO ? "answers accesses" : "only contains, and answers nothing itself", why);
}

void infer_rules(struct infer *in)
{
    struct topology *topology = in->topology;

    for (size_t i = 0; i < topology->n_regions; i++) {
        if (in->regions[i].open_kind)
            settle_kind(in, i);
        if (in->regions[i].window)
            guess(in, i, SETTLED_FLAT, true, "is read-only",
                  "the flat dump shows as rom what is seen through it, and is not");
        if (in->regions[i].ordered)
            guess(in, i, SETTLED_FLAT, in->regions[i].reordered, "has its place among its equals",
                  "the flat dump shows who wins where they overlap");
    }
    for (size_t i = 0; i < in->n_choices; i++) {
        const struct infer_choice *choice = &in->choices[i];

        topology_guess(topology, choice->alias, choice->confirmed ? SETTLED_FLAT : SETTLED_RULE,
                       "%s shows number %zu of %zu regions of the name that it gives: %s",
                       topology->regions[choice->alias].name, choice->chosen + 1, choice->n_candidates,
                       choice->confirmed ? "what the flat dump shows there is in that" : "by order, or owner");
        topology->guesses[topology->n_guesses - 1].against_rule = choice->confirmed && choice->chosen != choice->rule;
    }
    for (size_t i = 0; i < in->n_twins; i++)
        topology_guess(topology, in->root_of[in->twins[i].section], SETTLED_RULE,
                       "section \"%s\" in line %zu is the first of %zu regions that look like it",
                       in->mtree->sections[in->twins[i].section].names[0],
                       in->mtree->sections[in->twins[i].section].line, in->twins[i].n_nodes);
}
