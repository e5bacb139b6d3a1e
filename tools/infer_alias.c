/* SPDX-License-Identifier: MIT */
/*
 * Which region an alias shows. Owns only what it works with. One thread.
 *
 * Every region that is the target of an alias is printed as a section, once, in the order in which the first alias of each is come upon
 * when everything is printed. So an alias shows a section that an alias before it showed, or else the next one. Where several have the
 * name that remain (their kind and size fit, too), the flat dump tells (infer_flat.c), or a rule does. A region of one name that shows
 * another of that name, as a bridge does with what is behind it, is printed before it.
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
    size_t next;   /* the first section that no alias so far can show */
    bool *shown;   /* by section: an alias so far shows it, or may well */
    size_t own;    /* the section that is looked at */
    size_t *inner; /* sections of its name that aliases in it are the first to show */
    size_t n_inner;
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

static bool is_inner(const struct infer *in, const struct targets *targets, const char *name)
{
    const struct mtree_section *own = &in->mtree->sections[targets->own];

    return own->region && strcmp(own->names[0], name) == 0;
}

/* Not the section that the alias is in, nor one before it, if both are of the name and there are others. Returns how many are left. */
static size_t drop_outer(const struct infer *in, const struct targets *targets, const char *name, size_t *sections,
                         size_t count)
{
    size_t n = 0;

    if (!is_inner(in, targets, name) || sections[count - 1] <= targets->own)
        return count;
    for (size_t i = 0; i < count; i++)
        if (sections[i] > targets->own)
            sections[n++] = sections[i];
    return n;
}

/* What a region shows of its own name is the n-th that it is the first to show, for the n-th sibling of that name. */
static size_t choose_inner(struct targets *targets, size_t earlier, const size_t *sections, size_t count)
{
    size_t found = count;

    for (size_t i = 0; i < count && found == count; i++)
        if (earlier < targets->n_inner ? sections[i] == targets->inner[earlier] : !targets->shown[sections[i]])
            found = i;
    if (found == count)
        return earlier < count ? earlier : count - 1;
    if (earlier >= targets->n_inner) {
        alloc_grow(&targets->inner, targets->n_inner, sizeof(*targets->inner));
        targets->inner[targets->n_inner++] = sections[found];
    }
    return found;
}

/* Of those that are left: the one of the same owner; else the n-th for the n-th sibling of that name. */
static size_t choose(const struct infer *in, struct targets *targets, size_t n, const size_t *sections, size_t count)
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
    if (is_inner(in, targets, alias->target))
        return choose_inner(targets, earlier, sections, count);
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
    count = drop_outer(in, targets, alias->target, sections, count);
    chosen = count == 1 && !is_inner(in, targets, alias->target) ? 0 : choose(in, targets, n, sections, count);
    add_choice(in, in->region_of[n], sections, count, chosen);
    targets->shown[sections[chosen]] = true;
    if (sections[count - 1] >= targets->next)
        targets->next = sections[count - 1] + 1;
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
    targets.shown = alloc_zeroed(in->mtree->n_sections, sizeof(*targets.shown));
    while (targets.next < in->mtree->n_sections && !in->mtree->sections[targets.next].region)
        targets.next++;
    for (size_t n = 0; ok && n < in->mtree->n_nodes; n++) {
        struct infer_region *region = &in->regions[in->region_of[n]];

        while (n >= in->mtree->sections[targets.own].first_node + in->mtree->sections[targets.own].n_nodes)
            targets.own++, targets.n_inner = 0;
        if (!in->mtree->nodes[n].target || region->target_known)
            continue;
        region->target_known = true;
        ok = find_target(in, &targets, n);
    }
    free(targets.shown);
    free(targets.inner);
    free(targets.sections);
    free(targets.nodes);
    return ok;
}
