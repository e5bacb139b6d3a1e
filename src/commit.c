/* SPDX-License-Identifier: MIT */
/*
 * commit.c - from the journal to published views.
 *
 *   A. What an edit can have changed is found by walking up from the edited regions, and from the containers they left, through
 *      everything that shows them. A root that the walk does not reach shows what it did before.
 *   B. A root is rendered at most once per commit, whatever the number of spaces that show it. A view that comes out
 *      equal to the one published stays the one published.
 *   C. Listeners are told before anything is published (G5). Until then a failure only drops what was rendered.
 *   D. Publishing can't fail and never waits (G3): replaced views are retired to the reclamation thread.
 *
 * Invariant between commits: all spaces that show the same stripped root (gmem__render_root()) have
 * the same view object, and root->view is that object; spaces that show nothing have vm->empty.
 *
 * All of this runs with the writer turn held.
 */
#include "render.h"
#include "transaction.h"
#include <errno.h>
#include <stdlib.h>

struct commit {
    gmem_vm *vm;
    uint64_t epoch;
    gmem_view *made; /* new views, through commit_next; each with its creation reference */
};

static void mark_changed(struct commit *commit)
{
    gmem_vm *vm = commit->vm;
    size_t i;

    for (i = 0; i < vm->undo_count; i++) {
        gmem__region_mark_up(vm->undos[i].region, commit->epoch);
        if (vm->undos[i].old.container)
            gmem__region_mark_up(vm->undos[i].old.container, commit->epoch);
    }
}

static int render(struct commit *commit, gmem_region *root, gmem_view **ret_view)
{
    struct gmem__ranges ranges = {0};
    int err;

    GMEM__COUNT(commit->vm, views_rendered, 1);
    err = gmem__render(root, 0, GMEM__LAST, &ranges);
    if (!err)
        err = gmem__view_create(commit->vm, root, &ranges, ret_view);
    free(ranges.items);
    if (err == -E2BIG)
        return gmem__refuse(commit->vm, err,
                            "\"%s\" shows containers and aliases nested deeper than %u, or too many pieces", root->name,
                            GMEM_DEPTH_MAX);
    return err ? gmem__refuse(commit->vm, err, "no memory to render \"%s\"", root->name) : 0;
}

/* The view that shows root after this commit, borrowed. */
static int view_of(struct commit *commit, gmem_region *root, gmem_view **ret_view)
{
    gmem_view *view;
    int err;

    if (!root) {
        *ret_view = commit->vm->empty;
        return 0;
    }
    /* Published for root and not reached by the walk, or rendered for another space a moment ago. */
    if (root->view && (root->mark != commit->epoch || root->rendered == commit->epoch)) {
        *ret_view = root->view;
        return 0;
    }
    err = render(commit, root, &view);
    if (err)
        return err;
    if (root->view && gmem__view_equal(root->view, view)) {
        gmem_view_unref(view);
    } else {
        view->commit_next = commit->made;
        view->before = root->view;
        commit->made = view;
        root->view = view;
    }
    root->rendered = commit->epoch;
    *ret_view = root->view;
    return 0;
}

static int render_spaces(struct commit *commit, size_t *ret_changed)
{
    struct gmem__link *link;
    gmem_space *space;
    gmem_view *view;
    int err;

    for (link = commit->vm->spaces.next; link != &commit->vm->spaces; link = link->next) {
        space = GMEM__OF(link, gmem_space, vm_link);
        if (!space->fresh && space->root->mark != commit->epoch)
            continue;
        err = view_of(commit, gmem__render_root(space->root), &view);
        if (err)
            return err;
        if (view != space->view) {
            space->next = view;
            (*ret_changed)++;
        }
    }
    return 0;
}

static void publish(gmem_vm *vm)
{
    struct gmem__link *link;
    gmem_space *space;
    gmem_view *old;

    /* All first: a view that one space leaves and another takes up must not look abandoned in between. */
    for (link = vm->spaces.next; link != &vm->spaces; link = link->next) {
        space = GMEM__OF(link, gmem_space, vm_link);
        space->fresh = false;
        if (space->next)
            gmem__view_publish(space->next);
    }
    for (link = vm->spaces.next; link != &vm->spaces; link = link->next) {
        space = GMEM__OF(link, gmem_space, vm_link);
        if (!space->next)
            continue;
        old = space->view;
        /* Release: pairs with rcu_dereference() in readers; the view is complete before it can be found. */
        rcu_assign_pointer(space->view, space->next);
        space->next = NULL;
        gmem__view_retire(old);
        GMEM__COUNT(vm, views_published, 1);
    }
}

/* Nothing is published: spaces and roots forget what was made. */
static void discard(struct commit *commit)
{
    struct gmem__link *link;
    gmem_view *view;

    for (link = commit->vm->spaces.next; link != &commit->vm->spaces; link = link->next)
        GMEM__OF(link, gmem_space, vm_link)->next = NULL;
    for (view = commit->made; view; view = view->commit_next) {
        view->root->view = view->before;
        view->root->rendered = 0;
    }
}

static void drop_made(struct commit *commit)
{
    gmem_view *view;

    while ((view = commit->made)) {
        commit->made = view->commit_next;
        gmem_view_unref(view);
    }
}

static bool anything_to_do(const gmem_vm *vm)
{
    const struct gmem__link *link;

    if (vm->undo_count > 0)
        return true;
    for (link = vm->spaces.next; link != &vm->spaces; link = link->next) {
        if (GMEM__OF(link, const gmem_space, vm_link)->fresh)
            return true;
    }
    return false;
}

int gmem__commit(gmem_vm *vm)
{
    struct commit commit = {.vm = vm};
    size_t changed = 0;
    int err;

    if (!anything_to_do(vm))
        return 0;
    GMEM__COUNT(vm, commits, 1);
    commit.epoch = ++vm->epoch;
    mark_changed(&commit);
    err = render_spaces(&commit, &changed);
    if (!err && changed > 0)
        err = gmem__tell_all(vm);
    if (err) {
        GMEM__COUNT(vm, commits_refused, 1);
        discard(&commit);
    } else {
        publish(vm);
    }
    drop_made(&commit);
    return err;
}
