/* SPDX-License-Identifier: MIT */
/*
 * commit.c - from the journal to published views.
 *
 *   A. Only the spans in which an edit can have changed something are rendered (changed.c), and compared with what was there. So a
 *      commit costs what changed, not what there is.
 *   B. A root is rendered once, whatever the number of spaces that come down to it: they have one struct gmem__shown, which
 *      publishes for all of them.
 *   C. Listeners are told before anything is published (G5). Until then a failure only drops what was made.
 *   D. A new space changes nothing that others show: its commit looks at it alone, and at its shown if that is new, too.
 *   E. Publishing can't fail and never waits (G3): replaced versions end on the reclamation thread.
 *
 * Invariant between commits: a space has the shown of the region that its root comes down to
 * (gmem__render_root()), or vm->none.
 *
 * All of this runs with the writer turn held.
 */
#include "changed.h"
#include "render.h"
#include "trace.h"
#include "transaction.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Spans of a shown that stay allocated between commits. */
#define SPANS_KEPT 256u

struct commit {
    gmem_vm *vm;
    /* What is looked at is behind these: all but for a new space, which is the last, as a new shown is. */
    struct gmem__link *spaces, *shown;
    uint64_t was_epoch;
    bool all_ranges; /* somebody wants to hear what did not change */
    bool changed;    /* there is something to tell or to publish */
    struct gmem__ranges part;
};

/* --- which region each space comes down to --- */

static int shown_of(struct commit *commit, gmem_region *root, struct gmem__shown **ret_shown)
{
    struct gmem__shown *shown;
    int err;

    if (!root) {
        *ret_shown = commit->vm->none;
        return 0;
    }
    shown = root->shown;
    if (!shown) {
        err = gmem__shown_create(commit->vm, root, &shown);
        if (err)
            return err;
        shown->fresh = true;
        gmem__link_before(&commit->vm->shown, &shown->link);
        root->shown = shown;
        commit->vm->shape++;
    }
    *ret_shown = shown;
    return 0;
}

static int settle_space(struct commit *commit, gmem_space *space)
{
    struct gmem__shown *shown;
    int err = shown_of(commit, gmem__render_root(space->root), &shown);

    if (err || shown == space->shown)
        return err;
    space->next_shown = shown;
    commit->vm->roots_moved = true;
    shown->coming++;
    space->shown->coming--;
    commit->changed = true;
    return 0;
}

static int settle_roots(struct commit *commit)
{
    gmem_vm *vm = commit->vm;
    bool roots = gmem__changed_roots(vm);
    struct gmem__link *link;
    gmem_space *space;
    size_t i;
    int err = 0;

    if (roots) {
        vm->epoch++;
        for (i = 0; i < vm->undo_count; i++) {
            gmem__region_mark_up(vm->undos[i].region, vm->epoch);
            if (vm->undos[i].old.container)
                gmem__region_mark_up(vm->undos[i].old.container, vm->epoch);
        }
    }
    if (!roots && !vm->fresh_spaces)
        return 0;
    for (link = commit->spaces->next; !err && link != &vm->spaces; link = link->next) {
        space = GMEM__OF(link, gmem_space, vm_link);
        GMEM__COUNT(vm, spaces_visited, 1);
        if (space->fresh || (roots && space->root->mark == vm->epoch))
            err = settle_space(commit, space);
    }
    return err;
}

/* --- one shown: render, compare, make the next version --- */

/* The ranges of before and of after that stand for [first, last], which no range crosses the ends of. */
struct part {
    uint64_t first, last;
    size_t before_from, after_from, after_count;
};

struct parts {
    struct part *items;
    size_t count, room;
};

/*
 * The span of a version that [first, last] makes when the ranges that it cuts or touches are taken
 * in whole.
 */
static struct gmem__span widen(const gmem_view *view, const struct gmem__span *span)
{
    struct gmem__span wide = *span;
    const struct gmem__range *range;
    uint64_t below = span->first > 0 ? span->first - 1 : 0,
             above = span->last < GMEM__LAST ? span->last + 1 : GMEM__LAST;

    range = gmem__view_find(view, below);
    if (range)
        wide.first = gmem__min(wide.first, range->first);
    range = gmem__view_find(view, above);
    if (range && range->first <= above)
        wide.last = gmem__max(wide.last, range->last);
    return wide;
}

/* The piece of range that is in [first, last]. */
static struct gmem__range cut(const struct gmem__range *range, uint64_t first, uint64_t last)
{
    struct gmem__range piece = *range;

    piece.first = gmem__max(range->first, first);
    piece.last = gmem__min(range->last, last);
    piece.offset += piece.first - range->first;
    if (piece.host)
        piece.host += piece.first - range->first;
    return piece;
}

/*
 * What is seen in wide when span has been rendered again: the ends as they were, the middle anew;
 * into commit->part.
 */
static int render_part(struct commit *commit, const struct gmem__shown *shown, const struct gmem__span *span,
                       const struct gmem__ranges *before, size_t before_from)
{
    const struct gmem__range *range;
    struct gmem__range piece;
    int err = 0;

    commit->part.count = 0;
    if (before_from < before->count && before->items[before_from].first < span->first) {
        piece = cut(&before->items[before_from], 0, span->first - 1);
        err = gmem__ranges_add(&commit->part, &piece);
    }
    if (!err && shown->root)
        err = gmem__render(shown->root, span->first, span->last, &commit->part);
    if (!err && before_from < before->count) {
        range = &before->items[before->count - 1];
        if (range->last > span->last) {
            piece = cut(range, span->last + 1, GMEM__LAST);
            err = gmem__ranges_add(&commit->part, &piece);
        }
    }
    return err;
}

static int ranges_append(struct gmem__ranges *ranges, const struct gmem__ranges *more)
{
    int err = gmem__grow((void **)&ranges->items, &ranges->room, ranges->count + more->count, sizeof(*ranges->items));

    if (err)
        return err;
    if (more->count > 0)
        memcpy(ranges->items + ranges->count, more->items, more->count * sizeof(*more->items));
    ranges->count += more->count;
    return 0;
}

/* Compare wide before and after span is rendered again. */
static int compare_part(struct commit *commit, const struct gmem__shown *shown, const struct gmem__span *span,
                        const struct gmem__span *wide, struct gmem__changes *changes, struct parts *parts)
{
    struct part part = {wide->first, wide->last, changes->before.count, changes->after.count, 0};
    int err;

    err = gmem__grow((void **)&parts->items, &parts->room, parts->count + 1, sizeof(*parts->items));
    if (!err)
        err = gmem__view_ranges(shown->view, wide->first, wide->last, &changes->before);
    if (!err)
        err = render_part(commit, shown, span, &changes->before, part.before_from);
    if (!err)
        err = ranges_append(&changes->after, &commit->part);
    if (!err)
        err = gmem__diff(changes, part.before_from, part.after_from);
    if (err)
        return err;
    part.after_count = changes->after.count - part.after_from;
    GMEM__COUNT(commit->vm, ranges_rendered, part.after_count);
    GMEM__COUNT(commit->vm, ranges_compared, changes->before.count - part.before_from);
    parts->items[parts->count++] = part;
    return 0;
}

static int compare_all(struct commit *commit, struct gmem__shown *shown, struct gmem__changes *changes,
                       struct parts *parts)
{
    static const struct gmem__span all = {0, GMEM__LAST};
    struct gmem__span span, wide, next;
    size_t i;
    int err = 0;

    /* Many spans of a small map: at once is cheaper than one by one. */
    if (shown->fresh || shown->whole || commit->all_ranges ||
        (shown->span_count > 64 && shown->span_count > shown->view->count / 16))
        return compare_part(commit, shown, &all, &all, changes, parts);
    for (i = 0; !err && i < shown->span_count;) {
        span = shown->spans[i++];
        wide = widen(shown->view, &span);
        for (; i < shown->span_count; i++) {
            next = widen(shown->view, &shown->spans[i]);
            if (next.first > wide.last)
                break;
            span.last = shown->spans[i].last;
            wide.last = gmem__max(wide.last, next.last);
        }
        err = compare_part(commit, shown, &span, &wide, changes, parts);
    }
    return err;
}

/* The version after: a tree that shares all that is in no part. */
static int make_version(struct commit *commit, const struct gmem__shown *shown, struct gmem__next *next,
                        const struct parts *parts)
{
    const struct gmem__changes *changes = &next->changes;
    struct gmem__node *tree = shown->view->tree;
    size_t i;
    int err = 0;

    next->edit.born = ++commit->vm->epoch;
    for (i = 0; i < changes->after.count; i++)
        changes->after.items[i].born = next->edit.born;
    for (i = 0; !err && i < parts->count; i++)
        err = gmem__tree_splice(&next->edit, &tree, parts->items[i].first, parts->items[i].last,
                                parts->items[i].after_count ? &changes->after.items[parts->items[i].after_from] : NULL,
                                parts->items[i].after_count);
    GMEM__COUNT(commit->vm, nodes_visited, next->edit.visited);
    GMEM__COUNT(commit->vm, nodes_copied, next->edit.copied);
    if (!err)
        next->dropped = malloc((changes->before.count + 1) * sizeof(*next->dropped));
    if (!err && !next->dropped)
        err = -ENOMEM;
    if (!err)
        err = gmem__view_create(commit->vm, shown->root, tree,
                                shown->view->count - changes->before.count + changes->after.count, &next->view);
    if (err)
        return err;
    next->view->born = next->edit.born;
    for (i = 0; i < changes->before.count; i++)
        next->dropped[i] = (struct gmem__pin){changes->before.items[i].region, changes->before.items[i].born};
    for (i = 0; i < changes->after.count; i++)
        gmem__region_pin(changes->after.items[i].region);
    return 0;
}

static void next_free(struct gmem__next *next)
{
    gmem__changes_free(&next->changes);
    free(next->dropped);
    free(next);
}

static int render_shown(struct commit *commit, struct gmem__shown *shown)
{
    struct gmem__next *next = calloc(1, sizeof(*next));
    struct parts parts = {0};
    int err;

    if (!next)
        return -ENOMEM;
    GMEM__COUNT(commit->vm, views_rendered, 1);
    err = compare_all(commit, shown, &next->changes, &parts);
    if (!err)
        err = gmem__diff_extras(&next->changes, commit->was_epoch);
    if (!err && next->changes.real > 0)
        err = make_version(commit, shown, next, &parts);
    free(parts.items);
    if (!err && (next->view || next->changes.gone.count > 0 || next->changes.come.count > 0)) {
        shown->next = next;
        commit->changed = true;
        return 0;
    }
    gmem__tree_abandon(&next->edit);
    next_free(next);
    if (err == -E2BIG)
        return gmem__refuse(commit->vm, err,
                            "\"%s\" shows containers and aliases nested deeper than %u, or too many pieces",
                            shown->root->name, GMEM_DEPTH_MAX);
    return err;
}

static int render_all(struct commit *commit)
{
    struct gmem__link *link;
    struct gmem__shown *shown;
    int err = 0;

    for (link = commit->shown->next; !err && link != &commit->vm->shown; link = link->next) {
        shown = GMEM__OF(link, struct gmem__shown, link);
        /* Not where nobody will look any more. */
        if ((shown->fresh || shown->whole || shown->span_count > 0) &&
            (shown->coming >= 0 || shown->spaces > (size_t)-shown->coming))
            err = render_shown(commit, shown);
    }
    return err;
}

/* --- the end --- */

static void trace_view(gmem_vm *vm, const struct gmem__shown *shown, const struct gmem__changes *changes)
{
    struct gmem_trace_event event = {.kind = GMEM_TRACE_VIEW_PUBLISHED};

    GMEM__PROBE4(view_published, vm, shown->root ? shown->root->name : "", changes->first, changes->last);
    if (!gmem__traced(vm, event.kind))
        return;
    event.u.view.root = shown->root;
    event.u.view.ranges = shown->view->count;
    event.u.view.first = changes->first;
    event.u.view.last = changes->last;
    gmem__trace_with_turn(vm, &event);
}

static void trace_commit(gmem_vm *vm, enum gmem_trace_kind kind, int err)
{
    struct gmem_trace_event event = {.kind = kind};

    if (kind == GMEM_TRACE_COMMIT_BEGIN)
        GMEM__PROBE2(commit_begin, vm, vm->undo_count);
    else if (kind == GMEM_TRACE_COMMIT_END)
        GMEM__PROBE2(commit_end, vm, vm->undo_count);
    else
        GMEM__PROBE3(commit_refused, vm, vm->undo_count, err);
    if (!gmem__traced(vm, kind))
        return;
    event.u.commit.edits = vm->undo_count;
    event.u.commit.err = err;
    gmem__trace_with_turn(vm, &event);
}

static void publish_version(gmem_vm *vm, struct gmem__shown *shown)
{
    struct gmem__next *next = shown->next;
    gmem_view *before = shown->view;

    before->garbage = next->edit.garbage;
    before->garbage_count = next->edit.garbage_count;
    before->garbage_room = next->edit.garbage_room;
    before->dropped = next->dropped;
    before->dropped_count = next->changes.before.count;
    before->dropped_room = before->dropped_count + 1;
    next->dropped = NULL;
    gmem__shown_publish(shown, next->view, next->changes.first, next->changes.last);
    trace_view(vm, shown, &next->changes);
    /* That of a fresh one counts with the spaces that take it up. */
    if (!shown->fresh)
        GMEM__COUNT(vm, views_published, 1);
}

static void publish(const struct commit *commit)
{
    gmem_vm *vm = commit->vm;
    struct gmem__link *link;
    struct gmem__shown *shown;
    gmem_space *space;
    size_t i;

    for (link = commit->shown->next; link != &vm->shown; link = link->next) {
        shown = GMEM__OF(link, struct gmem__shown, link);
        if (shown->next && shown->next->view)
            publish_version(vm, shown);
    }
    for (i = 0; i < vm->undo_count; i++)
        gmem__region_published(vm->undos[i].region);
    if (vm->roots_moved) {
        for (link = commit->spaces->next; link != &vm->spaces; link = link->next) {
            space = GMEM__OF(link, gmem_space, vm_link);
            /* First, so that what one space leaves and another takes up is not abandoned in between. */
            if (space->next_shown)
                space->next_shown->spaces++;
        }
        for (link = commit->spaces->next; link != &vm->spaces; link = link->next) {
            space = GMEM__OF(link, gmem_space, vm_link);
            if (!space->next_shown)
                continue;
            gmem__space_show(space, space->next_shown);
            space->next_shown->spaces--;
            GMEM__COUNT(vm, views_published, 1);
        }
    }
}

/* Nothing is published: free what was made. */
static void discard(const struct commit *commit)
{
    struct gmem__link *link;
    struct gmem__shown *shown;
    struct gmem__next *next;
    size_t i;

    for (link = commit->shown->next; link != &commit->vm->shown; link = link->next) {
        shown = GMEM__OF(link, struct gmem__shown, link);
        next = shown->next;
        if (!next || !next->view)
            continue;
        /* Of its tree only the made nodes are its own, and of its pins those of after. */
        for (i = 0; i < next->changes.after.count; i++)
            gmem__region_unpin(next->changes.after.items[i].region);
        gmem__tree_abandon(&next->edit);
        next->view->tree = NULL;
        gmem_view_unref(next->view);
    }
}

/* Forget all scratch; shown that nobody took up are gone. */
static void clean_up(const struct commit *commit, bool published)
{
    gmem_vm *vm = commit->vm;
    struct gmem__link *link, *after;
    struct gmem__shown *shown;
    gmem_space *space;

    /* That of a new space may have been there before. */
    space = GMEM__OF(vm->spaces.prev, gmem_space, vm_link);
    if (vm->fresh_spaces && space->next_shown)
        space->next_shown->coming = 0;
    for (link = commit->shown->next; link != &vm->shown; link = after) {
        after = link->next;
        shown = GMEM__OF(link, struct gmem__shown, link);
        shown->span_count = 0;
        if (shown->span_room > SPANS_KEPT) {
            free(shown->spans);
            shown->spans = NULL;
            shown->span_room = 0;
        }
        shown->whole = false;
        shown->coming = 0;
        if (shown->next)
            next_free(shown->next);
        shown->next = NULL;
        if (shown->fresh && shown->spaces == 0) {
            gmem__link_remove(&shown->link);
            shown->root->shown = NULL;
            gmem__shown_end(shown);
            continue;
        }
        shown->fresh = false;
    }
    vm->none->coming = 0;
    if (!vm->roots_moved && !vm->fresh_spaces)
        return;
    for (link = commit->spaces->next; link != &vm->spaces; link = link->next) {
        space = GMEM__OF(link, gmem_space, vm_link);
        space->next_shown = NULL;
        if (published)
            space->fresh = false;
    }
    vm->roots_moved = false;
    vm->fresh_spaces = vm->fresh_spaces && !published;
}

int gmem__commit(gmem_vm *vm)
{
    struct commit commit = {.vm = vm, .spaces = &vm->spaces, .shown = &vm->shown};
    int err;

    if (vm->undo_count == 0 && !vm->fresh_spaces)
        return 0;
    if (vm->fresh_spaces) {
        commit.spaces = vm->spaces.prev->prev;
        commit.shown = vm->shown.prev;
    }
    GMEM__COUNT(vm, commits, 1);
    trace_commit(vm, GMEM_TRACE_COMMIT_BEGIN, 0);
    commit.was_epoch = gmem__changed_was(vm);
    commit.all_ranges = gmem__listeners_want_nop(vm);
    err = settle_roots(&commit);
    if (!err && vm->undo_count > 0)
        err = gmem__changed_spans(vm);
    if (!err)
        err = render_all(&commit);
    free(commit.part.items);
    if (err == -ENOMEM)
        err = gmem__refuse(vm, err, "no memory to render what changed");
    if (!err && commit.changed)
        err = gmem__tell_all(vm, commit.was_epoch);
    if (err) {
        GMEM__COUNT(vm, commits_refused, 1);
        discard(&commit);
    } else {
        publish(&commit);
    }
    clean_up(&commit, !err);
    trace_commit(vm, err ? GMEM_TRACE_COMMIT_REFUSED : GMEM_TRACE_COMMIT_END, err);
    return err;
}
