/* SPDX-License-Identifier: MIT */
/*
 * Which flat view is of which space, and which of several targets an alias shows by what is seen through it. Owns only what it works
 * with. One thread.
 *
 * Names of spaces repeat, and the order of views says nothing: of several of one name each gets the view that it fits best.
 */
#include "infer_parts.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define TRIES_MAX 20000 /* comparisons of a space, or of a part of it, with a view */
#define WINDOWS_MAX 4   /* places at which one alias is looked at */

/* A space of the tree, or of the flat dump. */
struct entry {
    const char *name;
    size_t index; /* of the tree: space; of the flat dump: view */
    const struct flat_space *space;
};

static int by_entry(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    if (order)
        return order;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* What can't be weighs more than any number of places where a region that would answer by rule does not. */
#define MISFIT ((size_t)1 << 32)

struct cost {
    struct infer *in;
    size_t sum;
};

static void add_cost(void *opaque, const struct infer_place *place)
{
    struct cost *cost = opaque;
    size_t winner = place->range ? infer_winner(cost->in, place) : place->n_active;

    if (place->range && winner == place->n_active) {
        cost->sum += MISFIT;
        return;
    }
    for (size_t i = 0; i < winner; i++) {
        size_t region = place->ways->ways[place->active[i]].region;

        if (cost->in->regions[region].open_kind)
            cost->sum += infer_rule_kind(cost->in, region, NULL) != GMEM_KIND_CONTAINER;
        else if (!place->range && cost->in->topology->regions[region].kind != GMEM_KIND_CONTAINER)
            cost->sum += MISFIT;
    }
}

static size_t cost_of(struct infer *in, size_t space, size_t view, uint64_t first, uint64_t last)
{
    struct cost cost = {.in = in};

    if (!infer_sweep(in, space, &in->flat->views[view], first, last, add_cost, &cost))
        return SIZE_MAX;
    return cost.sum;
}

static bool root_fits(const struct infer *in, size_t space, const struct flat_space *flat)
{
    size_t root = in->topology->spaces[space].root;

    return root == NOWHERE || in->topology->regions[root].implied || !flat->root ||
           strcmp(in->topology->regions[root].name, flat->root) == 0;
}

/* The spaces of one name, and as many of the flat dump. Each of those is given once. */
static bool pair_name(struct infer *in, const struct entry *spaces, struct entry *views, size_t n, size_t *tries)
{
    for (size_t i = 0; i < n; i++) {
        size_t best = SIZE_MAX, found = SIZE_MAX, tried = SIZE_MAX;

        for (size_t k = 0; k < n; k++) {
            size_t cost = 0;

            if (!views[k].name || views[k].index == tried || !root_fits(in, spaces[i].index, views[k].space))
                continue;
            tried = views[k].index;
            if (n > 1 && *tries < TRIES_MAX) {
                ++*tries;
                cost = cost_of(in, spaces[i].index, tried, 0, UINT64_MAX);
            }
            if (found == SIZE_MAX || cost < best) {
                best = cost;
                found = k;
            }
            if (!cost)
                break;
        }
        if (found == SIZE_MAX)
            return problem_at(in->problem, in->flat->source, views[i].space->line,
                              "the root of \"%s\" is \"%s\" here, and another in %s:%zu: are the two of one machine?",
                              spaces[i].name, views[i].space->root, in->mtree->source,
                              in->topology->spaces[spaces[i].index].line);
        in->view_of[spaces[i].index] = views[found].index;
        views[found].name = NULL;
    }
    return true;
}

static bool pair_all(struct infer *in, struct entry *spaces, size_t n_spaces, struct entry *views, size_t n_views)
{
    size_t tries = 0;

    for (size_t i = 0, k = 0, n; i < n_spaces || k < n_views; i += n, k += n) {
        int order = i == n_spaces ? 1 : k == n_views ? -1 : strcmp(spaces[i].name, views[k].name);

        if (order < 0)
            return problem_at(in->problem, in->mtree->source, in->topology->spaces[spaces[i].index].line,
                              "%s shows no space \"%s\", or fewer of that name: are the two of one machine?",
                              in->flat->source, spaces[i].name);
        if (order > 0)
            return problem_at(in->problem, in->flat->source, views[k].space->line,
                              "%s has no space \"%s\", or fewer of that name: are the two of one machine?",
                              in->mtree->source, views[k].name);
        for (n = 1; i + n < n_spaces && k + n < n_views && strcmp(spaces[i + n].name, spaces[i].name) == 0 &&
                    strcmp(views[k + n].name, spaces[i].name) == 0;)
            n++;
        if (!pair_name(in, spaces + i, views + k, n, &tries))
            return false;
    }
    return true;
}

static bool pair_views(struct infer *in)
{
    const struct flat_dump *flat = in->flat;
    size_t n_spaces = in->topology->n_spaces, n_views = 0;
    struct entry *spaces = alloc_zeroed(n_spaces, sizeof(*spaces)), *views;
    bool ok;

    in->view_of = alloc_zeroed(n_spaces, sizeof(*in->view_of));
    for (size_t i = 0; i < n_spaces; i++) {
        spaces[i] = (struct entry){.name = in->topology->spaces[i].name, .index = i};
        in->view_of[i] = NOWHERE;
    }
    for (size_t i = 0; i < flat->n_views; i++)
        n_views += flat->views[i].n_spaces;
    views = alloc_zeroed(n_views, sizeof(*views));
    n_views = 0;
    for (size_t i = 0; i < flat->n_views; i++)
        for (size_t k = 0; k < flat->views[i].n_spaces; k++)
            views[n_views++] =
                (struct entry){.name = flat->views[i].spaces[k].name, .index = i, .space = &flat->views[i].spaces[k]};
    qsort(spaces, n_spaces, sizeof(*spaces), by_entry);
    qsort(views, n_views, sizeof(*views), by_entry);
    ok = pair_all(in, spaces, n_spaces, views, n_views);
    free(spaces);
    free(views);
    return ok;
}

/* Where an alias whose target is open is seen. */
struct window {
    size_t space;
    uint64_t first, last;
};

struct windows {
    size_t n;
    struct window windows[WINDOWS_MAX];
};

static void look_for(struct infer *in, const size_t *choice_of, struct windows *windows)
{
    size_t *seen = alloc_zeroed(in->flat->n_views, sizeof(*seen));

    for (size_t i = 0; i < in->topology->n_spaces; i++) {
        size_t view = in->view_of[i], root = in->topology->spaces[i].root;
        struct ways ways;

        if (view == NOWHERE || root == NOWHERE || seen[view] == root + 1)
            continue;
        seen[view] = root + 1;
        if (!ways_find_in(in->index, i, 0, UINT64_MAX, (size_t)1 << 20, &ways, in->problem))
            continue;
        for (size_t k = 0; k < ways.n; k++) {
            size_t choice = choice_of[ways.ways[k].region];

            if (choice == NOWHERE || !ways.ways[k].enabled || windows[choice].n == WINDOWS_MAX)
                continue;
            windows[choice].windows[windows[choice].n++] =
                (struct window){.space = i, .first = ways.ways[k].first, .last = ways.ways[k].last};
        }
        ways_free(&ways);
    }
    free(seen);
}

static size_t cost_with(struct infer *in, struct infer_choice *choice, size_t candidate, const struct windows *windows,
                        size_t *tries)
{
    size_t cost = 0;

    in->topology->regions[choice->alias].target = choice->candidates[candidate];
    for (size_t i = 0; i < windows->n; i++) {
        const struct window *window = &windows->windows[i];
        size_t more;

        if (++*tries > TRIES_MAX)
            return SIZE_MAX;
        more = cost_of(in, window->space, in->view_of[window->space], window->first, window->last);
        if (more == SIZE_MAX)
            return more;
        cost += more;
    }
    return cost;
}

static bool choose(struct infer *in, struct infer_choice *choice, const struct windows *windows, size_t *tries)
{
    size_t rule = choice->chosen, best, worst;

    best = worst = choice->costs[rule] = cost_with(in, choice, rule, windows, tries);
    for (size_t i = 0; i < choice->n_candidates; i++) {
        size_t cost = i == rule ? best : cost_with(in, choice, i, windows, tries);

        choice->costs[i] = cost;
        if (cost > worst)
            worst = cost;
        if (cost < best) {
            best = cost;
            choice->chosen = i;
        }
    }
    choice->confirmed |= worst > best;
    in->topology->regions[choice->alias].target = choice->candidates[choice->chosen];
    return choice->chosen != rule;
}

static void choose_all(struct infer *in)
{
    size_t *choice_of = alloc_zeroed(in->topology->n_regions, sizeof(*choice_of)), tries = 0;
    struct windows *windows = alloc_zeroed(in->n_choices, sizeof(*windows));
    bool changed = true;

    for (size_t i = 0; i < in->topology->n_regions; i++)
        choice_of[i] = NOWHERE;
    for (size_t i = 0; i < in->n_choices; i++) {
        choice_of[in->choices[i].alias] = i;
        in->choices[i].rule = in->choices[i].chosen;
        in->choices[i].costs = alloc_zeroed(in->choices[i].n_candidates, sizeof(size_t));
    }
    for (size_t round = 0; changed && round < 4; round++) { /* one may be seen through another */
        changed = false;
        memset(windows, 0, in->n_choices * sizeof(*windows));
        look_for(in, choice_of, windows);
        for (size_t i = 0; i < in->n_choices; i++)
            changed |= windows[i].n && choose(in, &in->choices[i], &windows[i], &tries);
    }
    free(choice_of);
    free(windows);
}

/* The space that shows nothing but what an alias in its root shows; NOWHERE: none, or more is enabled in that. */
static size_t space_through(const struct infer *in, size_t alias, const size_t *space_of, const size_t *enabled)
{
    size_t parent = in->topology->regions[alias].parent;

    if (!in->topology->regions[alias].enabled || (parent != NOWHERE && enabled[parent] != 1))
        return NOWHERE;
    return space_of[parent == NOWHERE ? alias : parent];
}

/*
 * Spaces share a view where they show one region. So of candidates that look the same an alias shows the root of a space that
 * shares the view, if there is one; else the one that others show which share it, and none that another view shows.
 */
static void choose_shared(struct infer *in)
{
    size_t n = in->topology->n_regions;
    size_t *space_of = alloc_zeroed(n, sizeof(*space_of)), *enabled = alloc_zeroed(n, sizeof(*enabled));
    size_t *view_of = alloc_zeroed(n, sizeof(*view_of)); /* by region: the view of spaces that show it */

    for (size_t i = 0; i < n; i++) {
        const struct topo_region *region = &in->topology->regions[i];

        space_of[i] = view_of[i] = NOWHERE;
        if (region->parent != NOWHERE && region->enabled)
            enabled[region->parent]++;
    }
    for (size_t i = 0; i < in->topology->n_spaces; i++)
        if (in->topology->spaces[i].root != NOWHERE) {
            space_of[in->topology->spaces[i].root] = i;
            view_of[in->topology->spaces[i].root] = in->view_of[i];
        }
    for (size_t i = 0; i < in->n_choices; i++) {
        struct infer_choice *choice = &in->choices[i];
        size_t space = space_through(in, choice->alias, space_of, enabled), view, found = NOWHERE;

        if (space == NOWHERE || in->view_of[space] == NOWHERE || !in->flat->views[in->view_of[space]].root)
            continue;
        view = in->view_of[space];
        for (size_t k = 0; k < choice->n_candidates; k++) {
            size_t region = choice->candidates[k];

            if (region == NOWHERE || choice->costs[k] != choice->costs[choice->chosen])
                continue;
            if (view_of[region] == view) {
                found = k;
                break;
            }
            if (view_of[region] == NOWHERE && (found == NOWHERE || k == choice->chosen))
                found = k;
        }
        if (found == NOWHERE)
            continue;
        choice->chosen = found;
        choice->confirmed = true;
        view_of[choice->candidates[found]] = view;
        in->topology->regions[choice->alias].target = choice->candidates[found];
    }
    free(space_of);
    free(enabled);
    free(view_of);
}

bool infer_flat(struct infer *in)
{
    bool ok;

    in->index = ways_index(in->topology);
    ok = pair_views(in);
    if (ok && in->n_choices) {
        choose_all(in);
        choose_shared(in);
    }
    ok = ok && infer_facts(in);
    ways_index_free(in->index);
    in->index = NULL;
    return ok;
}
