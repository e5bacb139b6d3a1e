/* SPDX-License-Identifier: MIT */
/*
 * What flat views say of kinds, of the order of equal siblings, and of read-only windows. Owns only what it works with. One thread.
 *
 * At each place the region that is shown answers. One that lies there too, and is asked before it, does not: it only contains, if it is i/o;
 * memory always answers. Where two siblings of equal priority are what makes one of the two asked before the other, their order is open
 * too: then either the one does not answer, or the winner's side goes first. What does not answer anywhere is settled first, so that this
 * says what the order must be; what remains is settled by the rule for kinds.
 */
#include "infer_parts.h"

#include <stdlib.h>

#include "alloc.h"

/* A region lies where another is shown. */
struct fact {
    size_t region;
    size_t over;  /* the sibling that it is below, or is; NOWHERE: it is asked first for certain */
    size_t under; /* the sibling, of equal priority, that the winner is below */
};

/* Something is shown as rom that is not: one of what it is seen through is read-only. */
struct window {
    size_t begin, end; /* in the chain of regions, innermost first */
};

struct facts {
    struct infer *in;
    size_t *several; /* runs of regions of which one is shown, each with NOWHERE behind it */
    size_t n_several;
    struct fact *facts;
    size_t n;
    struct window *windows;
    size_t n_windows;
    size_t *chain;
    size_t n_chain;
    bool unfit;
    const struct flat_range *unfit_range; /* the first that no region can show */
    uint64_t unfit_at;
};

/* The two ways that part a from b: siblings in one container, or (false) one is below the other. */
static bool part(const struct ways *ways, size_t a, size_t b, size_t *ret_a, size_t *ret_b)
{
    size_t below_a = NOWHERE, below_b = NOWHERE;

    while (a != b) {
        /* What is above a way has a lower index. */
        if (a != NOWHERE && (b == NOWHERE || a > b)) {
            below_a = a;
            a = ways->ways[a].up;
        } else {
            below_b = b;
            b = ways->ways[b].up;
        }
    }
    *ret_a = below_a;
    *ret_b = below_b;
    return below_a != NOWHERE && below_b != NOWHERE;
}

static void add_fact(struct facts *facts, size_t region, size_t over, size_t under)
{
    if (facts->n) {
        const struct fact *last = &facts->facts[facts->n - 1];

        if (last->region == region && last->over == over && last->under == under)
            return;
    }
    alloc_grow(&facts->facts, facts->n, sizeof(*facts->facts));
    facts->facts[facts->n++] = (struct fact){.region = region, .over = over, .under = under};
}

static void add_window(struct facts *facts, const struct ways *ways, size_t way)
{
    size_t begin = facts->n_chain;

    for (size_t up = ways->ways[way].up; up != NOWHERE; up = ways->ways[up].up) {
        alloc_grow(&facts->chain, facts->n_chain, sizeof(*facts->chain));
        facts->chain[facts->n_chain++] = ways->ways[up].region;
    }
    alloc_grow(&facts->windows, facts->n_windows, sizeof(*facts->windows));
    facts->windows[facts->n_windows++] = (struct window){.begin = begin, .end = facts->n_chain};
}

static void add_several(struct facts *facts, size_t region)
{
    alloc_grow(&facts->several, facts->n_several, sizeof(*facts->several));
    facts->several[facts->n_several++] = region;
}

static void see_winner(struct facts *facts, const struct infer_place *place, size_t winner)
{
    struct infer *in = facts->in;
    const struct ways *ways = place->ways;
    size_t way = place->active[winner], region = ways->ways[way].region;
    bool several = false;

    for (size_t i = winner + 1; i < place->n_active; i++) {
        size_t other = ways->ways[place->active[i]].region;

        if (other == region || !infer_matches(in, place, place->active[i]))
            continue;
        if (!several)
            add_several(facts, region);
        add_several(facts, other);
        several = true;
    }
    if (several)
        add_several(facts, NOWHERE);
    else
        in->regions[region].answers = true;
    if (place->range->type != MTREE_ROM)
        for (size_t up = way; up != NOWHERE; up = ways->ways[up].up)
            in->regions[ways->ways[up].region].shown_writable = true;
    else if (!in->topology->regions[region].readonly)
        add_window(facts, ways, way);
}

/* Those of one priority at one address are printed in the order in which they are asked. */
static bool is_order_open(const struct topo_region *a, const struct topo_region *b)
{
    return a->priority == b->priority && a->offset != b->offset;
}

static void see(void *opaque, const struct infer_place *place)
{
    struct facts *facts = opaque;
    const struct topo_region *regions = facts->in->topology->regions;
    const struct way *ways = place->ways->ways;
    size_t winner = place->range ? infer_winner(facts->in, place) : place->n_active;

    if (place->range && winner == place->n_active) {
        if (!facts->unfit_range) {
            facts->unfit_range = place->range;
            facts->unfit_at = place->first;
        }
        return;
    }
    if (place->range)
        see_winner(facts, place, winner);
    for (size_t i = 0; i < place->n_active; i++) {
        size_t over, under, region = ways[place->active[i]].region;

        if (!place->range) {
            add_fact(facts, region, NOWHERE, NOWHERE);
            continue;
        }
        if (i == winner || region == ways[place->active[winner]].region)
            continue;
        if (part(place->ways, place->active[i], place->active[winner], &over, &under) &&
            is_order_open(&regions[ways[over].region], &regions[ways[under].region]))
            add_fact(facts, region, ways[over].region, ways[under].region);
        else if (i < winner)
            add_fact(facts, region, NOWHERE, NOWHERE);
    }
}

static bool is_open(const struct infer *in, size_t region)
{
    return in->regions[region].open_kind && !in->regions[region].answers && !in->regions[region].silent;
}

static bool answers(const struct infer *in, size_t region)
{
    if (in->regions[region].open_kind)
        return in->regions[region].answers;
    return in->topology->regions[region].kind != GMEM_KIND_CONTAINER;
}

static void add_pair(struct infer_before **pairs, size_t *n, const struct fact *fact)
{
    alloc_grow(pairs, *n, sizeof(**pairs));
    (*pairs)[(*n)++] = (struct infer_before){.first = fact->under, .second = fact->over};
}

/* Of several of one name that a range may be, the first that may answer does, if none is known to. */
static void settle_several(struct facts *facts)
{
    struct infer *in = facts->in;

    for (size_t i = 0, end; i < facts->n_several; i = end + 1) {
        size_t first = NOWHERE;
        bool known = false;

        for (end = i; facts->several[end] != NOWHERE; end++) {
            known |= answers(in, facts->several[end]);
            if (first == NOWHERE && is_open(in, facts->several[end]))
                first = facts->several[end];
        }
        if (!known && first != NOWHERE)
            in->regions[first].answers = true;
    }
}

static void settle(struct facts *facts)
{
    struct infer *in = facts->in;
    struct infer_before *pairs = NULL;
    size_t n = 0, certain;

    for (size_t i = 0; i < facts->n; i++)
        if (facts->facts[i].over == NOWHERE && is_open(in, facts->facts[i].region))
            in->regions[facts->facts[i].region].silent = true;
    settle_several(facts);
    for (size_t i = 0; i < facts->n; i++)
        if (facts->facts[i].over != NOWHERE && answers(in, facts->facts[i].region))
            add_pair(&pairs, &n, &facts->facts[i]);
    certain = n = infer_tidy(pairs, n);
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->facts[i];
        struct infer_before opposite = {.first = fact->over, .second = fact->under};

        if (fact->over == NOWHERE || !is_open(in, fact->region))
            continue;
        /* Where the order is known, or the rule says so, it does not answer. */
        if (infer_rule_kind(in, fact->region, NULL) != GMEM_KIND_CONTAINER &&
            !(pairs && bsearch(&opposite, pairs, certain, sizeof(*pairs), infer_by_pair)))
            continue;
        in->regions[fact->region].silent = true;
    }
    for (size_t i = 0; i < facts->n; i++)
        if (facts->facts[i].over != NOWHERE && is_open(in, facts->facts[i].region))
            add_pair(&pairs, &n, &facts->facts[i]);
    n = infer_tidy(pairs, n);
    infer_order(in, pairs, n);
    free(pairs);
}

/* The innermost through which nothing is seen that takes writes; an alias, if there is one. */
static void settle_windows(struct facts *facts)
{
    struct infer *in = facts->in;
    struct topo_region *regions = in->topology->regions;

    for (size_t i = 0; i < facts->n_windows; i++) {
        const struct window *window = &facts->windows[i];
        size_t found = NOWHERE;

        for (size_t k = window->begin; k < window->end; k++) {
            size_t region = facts->chain[k];

            if (regions[region].readonly) {
                found = NOWHERE;
                break;
            }
            if (in->regions[region].shown_writable)
                continue;
            if (found == NOWHERE || (regions[found].kind != GMEM_KIND_ALIAS && regions[region].kind == GMEM_KIND_ALIAS))
                found = region;
        }
        if (found == NOWHERE)
            continue;
        regions[found].readonly = true;
        in->regions[found].window = true;
    }
}

bool infer_facts(struct infer *in)
{
    struct facts facts = {.in = in};
    size_t *seen = alloc_zeroed(in->flat->n_views, sizeof(*seen)); /* by view: the root looked at, plus one */
    bool ok = true;

    for (size_t i = 0; ok && i < in->topology->n_spaces; i++) {
        size_t view = in->view_of[i], root = in->topology->spaces[i].root;

        if (view == NOWHERE || (root != NOWHERE && seen[view] == root + 1))
            continue;
        seen[view] = root + 1;
        ok = infer_sweep(in, i, &in->flat->views[view], 0, UINT64_MAX, see, &facts);
        if (ok && facts.unfit_range)
            ok = problem_at(
                in->problem, in->flat->source, facts.unfit_range->line,
                "\"%s\" is shown at 0x%llx in \"%s\", and nothing in %s:%zu can be: are the two of one machine, at "
                "one moment?",
                facts.unfit_range->name, (unsigned long long)facts.unfit_at, in->topology->spaces[i].name,
                in->mtree->source, in->topology->spaces[i].line);
    }
    if (ok) {
        settle(&facts);
        settle_windows(&facts);
    }
    free(seen);
    free(facts.facts);
    free(facts.several);
    free(facts.windows);
    free(facts.chain);
    return ok;
}
