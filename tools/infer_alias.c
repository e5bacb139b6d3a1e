/* SPDX-License-Identifier: MIT */
/*
 * Which region an alias shows. Owns only what it works with. One thread.
 *
 * Every region that is the target of an alias is printed as a section, once, in the order in which the first alias of each is come upon
 * when everything is printed. So an alias shows a section that an alias before it showed, or else the next one. Where several have the
 * name that remain (their kind and size fit, too), the flat dump tells (infer_flat.c), or a rule does.
 */
#include "infer_parts.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* Of sections of one name no more are told apart. */
#define CANDIDATES_MAX 64

struct named {
    const char *name;
    size_t index; /* section, or node */
};

struct targets {
    struct named *sections; /* sorted by name, then as printed */
    size_t n_sections;
    struct named *nodes; /* the same of those that are no alias: for text without sections */
    size_t n_nodes;
    size_t next; /* the first section that no alias so far shows */
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    if (order)
        return order;
    return x->index < y->index ? -1 : x->index > y->index;
}

static size_t find_name(const struct named *named, size_t n, const char *name)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(named[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void index_names(const struct infer *in, struct targets *targets)
{
    const struct mtree *mtree = in->mtree;

    targets->sections = alloc_zeroed(mtree->n_sections, sizeof(*targets->sections));
    targets->nodes = alloc_zeroed(mtree->n_nodes, sizeof(*targets->nodes));
    for (size_t i = 0; i < mtree->n_sections; i++)
        if (mtree->sections[i].region)
            targets->sections[targets->n_sections++] = (struct named){.name = mtree->sections[i].names[0], .index = i};
    for (size_t i = 0; i < mtree->n_nodes; i++)
        if (!mtree->nodes[i].target && in->canon[i] == i)
            targets->nodes[targets->n_nodes++] = (struct named){.name = mtree->nodes[i].name, .index = i};
    qsort(targets->sections, targets->n_sections, sizeof(*targets->sections), by_name);
    qsort(targets->nodes, targets->n_nodes, sizeof(*targets->nodes), by_name);
}

/* An alias prints the kind of its target, and begins inside of it. */
static bool fits(const struct infer *in, size_t section, const struct mtree_node *alias)
{
    const struct mtree_section *s = &in->mtree->sections[section];
    const struct mtree_node *root = s->n_nodes ? &in->mtree->nodes[s->first_node] : NULL;

    if (!root || in->gap[s->first_node])
        return true;
    return root->type == alias->type && alias->target_first <= root->last - root->first;
}

static bool same_text(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Of those that are left: the one of the same owner; else the n-th for the n-th sibling of that name. */
static size_t choose(const struct infer *in, size_t n, const size_t *sections, size_t count)
{
    const struct mtree_node *alias = &in->mtree->nodes[n];
    size_t earlier = 0, found = SIZE_MAX;

    for (size_t i = 0; alias->owner && i < count; i++) {
        const struct mtree_section *section = &in->mtree->sections[sections[i]];

        if (section->n_nodes && same_text(in->mtree->nodes[section->first_node].owner, alias->owner))
            found = found == SIZE_MAX ? i : count;
    }
    if (found < count)
        return found;
    for (size_t i = n, looked = 0; i-- > 0 && earlier < count && looked < 4096; looked++) {
        const struct mtree_node *node = &in->mtree->nodes[i];

        if (i == in->parent[n])
            break;
        earlier += in->parent[i] == in->parent[n] && same_text(node->target, alias->target) &&
                   strcmp(node->name, alias->name) == 0;
    }
    return earlier < count ? earlier : count - 1;
}

static void add_candidate(struct infer_choice *choice, size_t region)
{
    for (size_t i = 0; i < choice->n_candidates; i++)
        if (choice->candidates[i] == region)
            return;
    choice->candidates[choice->n_candidates++] = region;
}

/* The roots of the sections, and what looks like one of them and may be it. */
static void add_choice(struct infer *in, size_t alias, const size_t *sections, size_t n, size_t chosen)
{
    struct infer_choice choice = {.alias = alias};
    size_t room = n;

    for (size_t i = 0; i < n; i++)
        if (in->twin_of[sections[i]] != NOWHERE)
            room += in->twins[in->twin_of[sections[i]]].n_nodes;
    if (room == 1)
        return;
    choice.candidates = alloc_zeroed(room, sizeof(*choice.candidates));
    for (size_t i = 0; i < n; i++)
        add_candidate(&choice, in->root_of[sections[i]]);
    for (size_t i = 0; i < n; i++) {
        const struct infer_twin *twin =
            in->twin_of[sections[i]] == NOWHERE ? NULL : &in->twins[in->twin_of[sections[i]]];

        for (size_t k = 0; twin && k < twin->n_nodes; k++)
            add_candidate(&choice, in->region_of[twin->nodes[k]]);
    }
    while (choice.candidates[choice.chosen] != in->root_of[sections[chosen]])
        choice.chosen++;
    alloc_grow(&in->choices, in->n_choices, sizeof(*in->choices));
    in->choices[in->n_choices++] = choice;
}

static size_t target_in(struct infer *in, struct targets *targets, size_t n)
{
    const struct mtree_node *alias = &in->mtree->nodes[n];
    size_t sections[CANDIDATES_MAX], count = 0, chosen;
    bool all_printed = in->mtree->shows_disabled;
    bool next =
        false; /* the one that no alias before shows is among them; of aliases that are not printed there may be any */

    for (size_t pass = 0; pass < 2 && !count; pass++) /* what does not fit only if nothing does */
        for (size_t i = find_name(targets->sections, targets->n_sections, alias->target);
             i < targets->n_sections && count < CANDIDATES_MAX && !next; i++) {
            size_t section = targets->sections[i].index;

            if (strcmp(targets->sections[i].name, alias->target) != 0)
                break;
            if (!pass && !fits(in, section, alias))
                continue;
            if (section > targets->next && all_printed && count)
                break; /* others come before it */
            next = all_printed && section >= targets->next;
            sections[count++] = section;
        }
    if (!count)
        return SIZE_MAX;
    chosen = count == 1 ? 0 : choose(in, n, sections, count);
    add_choice(in, in->region_of[n], sections, count, chosen);
    if (sections[chosen] >= targets->next)
        targets->next = sections[chosen] + 1;
    return sections[chosen];
}

static bool find_target(struct infer *in, struct targets *targets, size_t n)
{
    const struct mtree_node *alias = &in->mtree->nodes[n];
    size_t section = target_in(in, targets, n), region = in->region_of[n], i;

    if (section != SIZE_MAX) {
        in->topology->regions[region].target = in->root_of[section];
        return true;
    }
    i = find_name(targets->nodes, targets->n_nodes, alias->target);
    if (i == targets->n_nodes || strcmp(targets->nodes[i].name, alias->target) != 0)
        return problem_at(in->problem, in->mtree->source, alias->line,
                          "\"%s\" is an alias of \"%s\", and no region of that name is printed: is the text cut off?",
                          alias->name, alias->target);
    in->topology->regions[region].target = in->region_of[targets->nodes[i].index];
    if (i + 1 < targets->n_nodes && strcmp(targets->nodes[i + 1].name, alias->target) == 0)
        topology_guess(in->topology, region, SETTLED_RULE,
                       "%s shows the first of several regions named \"%s\": none has a section of its own", alias->name,
                       alias->target);
    return true;
}

bool infer_aliases(struct infer *in)
{
    struct targets targets = {0};
    bool ok = true;

    index_names(in, &targets);
    while (targets.next < in->mtree->n_sections && !in->mtree->sections[targets.next].region)
        targets.next++;
    for (size_t n = 0; ok && n < in->mtree->n_nodes; n++) {
        struct infer_region *region = &in->regions[in->region_of[n]];

        if (!in->mtree->nodes[n].target || region->target_known)
            continue;
        region->target_known = true;
        ok = find_target(in, &targets, n);
    }
    free(targets.sections);
    free(targets.nodes);
    return ok;
}
