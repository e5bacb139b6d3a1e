/* SPDX-License-Identifier: MIT */
/*
 * changed.c - where an edit can be seen: intervals of addresses in what spaces show.
 *
 * From each edited region, as it was and as it is, the interval it covers is carried up through
 * containers and aliases, clipped and shifted on the way, to everything that spaces show. What is
 * found is at least what changed; rendering finds out what really did.
 *
 * Most regions are shown by few others, but a bus has an alias for each of its masters, of which
 * none may lead to anything shown that the bus is not itself. So whether something above a region
 * is shown is kept in it, for as long as vm->shape stands: that changes when an edge between inner
 * regions does, or a shown comes or goes.
 *
 * All of this runs with the writer turn held.
 */
#include "changed.h"
#include <errno.h>
#include <stdlib.h>

/* Steps of all climbs of a commit before it is cheaper to render whole views. */
#define CLIMB_BUDGET 4000000u
/* Deeper than anything that a commit accepts. */
#define CLIMB_DEPTH (4u * GMEM_DEPTH_MAX)

struct climb {
    size_t budget;
    bool lost; /* too far: whole views instead */
};

int gmem__changed_span(struct gmem__shown *shown, uint64_t first, uint64_t last)
{
    int err;

    if (shown->whole)
        return 0;
    err = gmem__grow((void **)&shown->spans, &shown->span_room, shown->span_count + 1, sizeof(*shown->spans));
    if (err)
        return err;
    shown->spans[shown->span_count].first = first;
    shown->spans[shown->span_count++].last = last;
    return 0;
}

/* Whether region, or something that shows it, is shown. May err towards true. */
static bool reaches(gmem_region *region, unsigned depth)
{
    gmem_region *alias;
    bool found;

    GMEM__COUNT(region->vm, regions_climbed, 1);
    if (region->reach_shape == region->vm->shape || depth > CLIMB_DEPTH)
        return region->reach_shape == region->vm->shape ? region->reaches : true;
    /* While it is being found out: true, for those that meet it again in a circle. */
    region->reach_shape = region->vm->shape;
    region->reaches = true;
    found = region->shown || (region->p.container && reaches(region->p.container, depth + 1));
    for (alias = region->aliases; !found && alias; alias = alias->next_alias)
        found = reaches(alias, depth + 1);
    region->reaches = found;
    return found;
}

static int climb(struct climb *state, gmem_region *region, uint64_t first, uint64_t last, unsigned depth);

static int climb_container(struct climb *state, const gmem_region *region, uint64_t first, uint64_t last,
                           unsigned depth)
{
    gmem_region *container = region->p.container;
    uint64_t offset = region->p.offset;

    if (!container || !reaches(container, 0))
        return 0;
    /* Where the region reached further than it does now it may not fit the end of addresses. */
    if (first > GMEM__LAST - offset)
        return 0;
    return climb(state, container, first + offset, last > GMEM__LAST - offset ? GMEM__LAST : last + offset, depth + 1);
}

/* [first, last] of region may have changed; an interval may reach past its end, where it was larger. */
static int climb(struct climb *state, gmem_region *region, uint64_t first, uint64_t last, unsigned depth)
{
    gmem_region *alias;
    uint64_t low, high;
    int err;

    if (depth > CLIMB_DEPTH || state->budget == 0) {
        state->lost = true;
        return 0;
    }
    state->budget--;
    if (region->shown && first <= GMEM__LAST - region->p.offset) {
        high = last > GMEM__LAST - region->p.offset ? GMEM__LAST : last + region->p.offset;
        err = gmem__changed_span(region->shown, first + region->p.offset, high);
        if (err)
            return err;
    }
    err = climb_container(state, region, first, last, depth);
    for (alias = region->aliases; !err && alias; alias = alias->next_alias) {
        low = gmem__max(first, alias->p.target_from);
        high = gmem__min(last, alias->p.target_from + alias->p.last);
        if (low <= high && reaches(alias, 0))
            err = climb(state, alias, low - alias->p.target_from, high - alias->p.target_from, depth + 1);
    }
    return err;
}

/* Everything that one edit can have changed: where its region was, and where it is. */
static int climb_edit(struct climb *state, const struct gmem__undo *undo)
{
    gmem_region *region = undo->region;
    const struct gmem__props *old = &undo->old;
    uint64_t extent = gmem__max(old->last, region->p.last);
    int err = 0;

    /*
     * An edge that inner regions hang on is new or gone: what is known of the ways up does not hold
     * any more.
     */
    if ((old->container != region->p.container || old->target != region->p.target) &&
        (region->child_index || region->kind == GMEM_KIND_ALIAS))
        region->vm->shape++;
    else if (old->container != region->p.container)
        region->reach_shape = 0;
    if (reaches(region, 0))
        err = climb(state, region, 0, extent, 0);
    if (!err && old->container && (old->container != region->p.container || old->offset != region->p.offset) &&
        reaches(old->container, 0))
        err = climb(state, old->container, old->offset, old->offset + old->last, 0);
    if (!err && region->shown && old->offset != region->p.offset)
        err = gmem__changed_span(region->shown, old->offset, old->offset + old->last);
    return err;
}

static int compare_spans(const void *a, const void *b)
{
    const struct gmem__span *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* Sort, and unite those that overlap or touch. */
static void unite(struct gmem__shown *shown)
{
    struct gmem__span *spans = shown->spans;
    size_t i, kept = 0;

    if (shown->span_count < 2)
        return;
    qsort(spans, shown->span_count, sizeof(*spans), compare_spans);
    for (i = 1; i < shown->span_count; i++) {
        if (spans[kept].last == GMEM__LAST || spans[i].first <= spans[kept].last + 1)
            spans[kept].last = gmem__max(spans[kept].last, spans[i].last);
        else
            spans[++kept] = spans[i];
    }
    shown->span_count = kept + 1;
}

/* The way of last resort: everything that shows an edited region, whole. */
static void mark_whole(gmem_vm *vm)
{
    struct gmem__link *link;
    struct gmem__shown *shown;
    size_t i;

    vm->epoch++;
    for (i = 0; i < vm->undo_count; i++) {
        gmem__region_mark_up(vm->undos[i].region, vm->epoch);
        if (vm->undos[i].old.container)
            gmem__region_mark_up(vm->undos[i].old.container, vm->epoch);
    }
    for (link = vm->shown.next; link != &vm->shown; link = link->next) {
        shown = GMEM__OF(link, struct gmem__shown, link);
        if (shown->root->mark == vm->epoch)
            shown->whole = true;
    }
}

int gmem__changed_spans(gmem_vm *vm)
{
    struct climb state = {.budget = CLIMB_BUDGET};
    struct gmem__link *link;
    size_t i;
    int err = 0;

    for (i = 0; !err && !state.lost && i < vm->undo_count; i++)
        err = climb_edit(&state, &vm->undos[i]);
    GMEM__COUNT(vm, regions_climbed, CLIMB_BUDGET - state.budget);
    if (!err && state.lost) {
        /* The edits that were not climbed may have made ways up, too. */
        vm->shape++;
        mark_whole(vm);
    }
    for (link = vm->shown.next; !err && link != &vm->shown; link = link->next)
        unite(GMEM__OF(link, struct gmem__shown, link));
    return err;
}

/* Where a container has few enabled subregions, whether it has exactly one may have changed. */
static bool near_lone(const gmem_vm *vm, const gmem_region *container)
{
    return container && container->children_enabled <= 2 + vm->undo_count;
}

bool gmem__changed_roots(const gmem_vm *vm)
{
    const gmem_region *region;
    size_t i;

    for (i = 0; i < vm->undo_count; i++) {
        region = vm->undos[i].region;
        if (region->kind == GMEM_KIND_CONTAINER || region->kind == GMEM_KIND_ALIAS || region->spaces > 0 ||
            region->shown || region->aliases || near_lone(vm, region->p.container) ||
            near_lone(vm, vm->undos[i].old.container))
            return true;
    }
    return false;
}

uint64_t gmem__changed_was(gmem_vm *vm)
{
    size_t i;

    vm->epoch++;
    /* Latest first: of several edits of one region the earliest is what was published. */
    for (i = vm->undo_count; i-- > 0;) {
        vm->undos[i].region->was = &vm->undos[i].old;
        vm->undos[i].region->was_epoch = vm->epoch;
    }
    return vm->epoch;
}
