/* SPDX-License-Identifier: MIT */
/*
 * view.c - versions of what a root shows: counted, chained, found by readers without a lock.
 *
 *   a. A shown holds one reference on its view. When it publishes another, that reference is given up through
 *      gmem__rcu_defer(), so that a reader who found the view in its read section may use it, and may turn its find into a
 *      counted reference, without waiting (G2, G3).
 *   b. A version holds a reference on the next. So it ends after all versions before it, and the nodes and pins that it has and
 *      the next has not are its own when it ends; no node needs a count of its own.
 *   c. Each range of a version is pinned once, from the version that brings it to the end of the last that has it: owner
 *      and region live while any view can reach them (G7).
 *   d. A version that only the one before keeps, because that one is held, leaves the chain: what was born since is freed, what
 *      the held one has too becomes its. So a held version keeps no more than itself, however long it is held.
 *
 * The chain is guarded by the vm's mutex.
 */
#include "view.h"
#include "backlog.h"
#include <errno.h>
#include <stdlib.h>

/* About what one range of a view takes: in a leaf, above the leaf, and its pin; and what a path of nodes takes, for each. */
#define RANGE_WEIGHT 128u
#define NODE_WEIGHT ((sizeof(struct gmem__leaf) + sizeof(struct gmem__inner)) / 2)

/*
 * What threads and caches remember of a view they keep beyond its end, and recognise by its generation alone. Views of several
 * vms meet there, and the memory of one that has ended becomes another's; so generations are counted for the process.
 */
static uint64_t next_generation(void)
{
    static uint64_t generation;

    return __atomic_add_fetch(&generation, 1, __ATOMIC_RELAXED);
}

int gmem__view_create(gmem_vm *vm, gmem_region *root, struct gmem__node *tree, size_t count, gmem_view **ret_view)
{
    gmem_view *view = calloc(1, sizeof(*view));

    if (!view)
        return -ENOMEM;
    view->refs = 1;
    view->vm = vm;
    view->root = root ? gmem_region_ref(root) : NULL;
    view->tree = tree;
    view->count = count;
    view->generation = next_generation();
    *ret_view = view;
    return 0;
}

static int unpin_range(void *opaque, const struct gmem__range *range)
{
    (void)opaque;
    gmem__region_unpin(range->region);
    return 0;
}

/*
 * Nobody wants view but the version before, which is held: what that one has too is its to end, and view is taken out of the
 * chain. Of its garbage and pins those are left that are its own. -ENOMEM: nothing changed. With the vm's mutex.
 */
static int hand_back_middle(gmem_view *view)
{
    gmem_view *prev = view->prev;
    size_t nodes = gmem__garbage_keep(view->garbage, view->garbage_count, prev->born, NULL), own = 0, i;
    int err;

    /* One more: where there is room for none, there is nothing to point to. */
    err = gmem__grow((void **)&prev->garbage, &prev->garbage_room, prev->garbage_count + nodes + 1,
                     sizeof(*prev->garbage));
    if (!err)
        err = gmem__grow((void **)&prev->dropped, &prev->dropped_room, prev->dropped_count + view->dropped_count,
                         sizeof(*prev->dropped));
    if (err)
        return err;
    prev->garbage_count +=
        gmem__garbage_keep(view->garbage, view->garbage_count, prev->born, prev->garbage + prev->garbage_count);
    view->garbage_count = 0;
    for (i = 0; i < view->dropped_count; i++) {
        if (view->dropped[i].born <= prev->born)
            prev->dropped[prev->dropped_count++] = view->dropped[i];
        else
            view->dropped[own++] = view->dropped[i];
    }
    view->dropped_count = own;
    prev->next = view->next;
    view->next->prev = prev;
    return 0;
}

struct young {
    uint64_t born; /* ranges born later are */
    size_t count;
    struct gmem__pin *pins; /* NULL: only count */
};

static int add_young(void *opaque, const struct gmem__range *range)
{
    struct young *young = opaque;

    if (range->born > young->born) {
        if (young->pins)
            young->pins[young->count] = (struct gmem__pin){range->region, range->born};
        young->count++;
    }
    return 0;
}

/* The same for the last version of a shown that is gone: the one before becomes the last, and ends as such. */
static int hand_back_last(gmem_view *view)
{
    gmem_view *prev = view->prev;
    const struct gmem__garbage all = {view->tree, true};
    struct gmem__garbage *kept;
    struct young young = {.born = prev->born};
    size_t nodes = view->tree ? gmem__garbage_keep(&all, 1, prev->born, NULL) : 0;
    int err;

    (void)gmem__tree_walk(view->tree, 0, GMEM__LAST, add_young, &young);
    kept = malloc((nodes + 1) * sizeof(*kept));
    err = kept ? gmem__grow((void **)&view->dropped, &view->dropped_room, young.count + 1, sizeof(*view->dropped))
               : -ENOMEM;
    if (err) {
        free(kept);
        return err;
    }
    young = (struct young){.born = prev->born, .pins = view->dropped};
    (void)gmem__tree_walk(view->tree, 0, GMEM__LAST, add_young, &young);
    view->dropped_count = young.count;
    if (view->tree)
        (void)gmem__garbage_keep(&all, 1, prev->born, kept);
    free(kept);
    view->tree = NULL;
    free(prev->garbage);
    free(prev->dropped);
    prev->garbage = NULL;
    prev->garbage_count = prev->garbage_room = 0;
    prev->dropped = NULL;
    prev->dropped_count = prev->dropped_room = 0;
    prev->next = NULL;
    return 0;
}

/* There is no reference on it, or the version before has what was its. */
static void view_free(gmem_view *view)
{
    size_t i;

    for (i = 0; i < view->dropped_count; i++)
        gmem__region_unpin(view->dropped[i].region);
    if (view->next) {
        gmem__garbage_free(view->garbage, view->garbage_count);
    } else {
        (void)gmem__tree_walk(view->tree, 0, GMEM__LAST, unpin_range, NULL);
        gmem__tree_free(view->tree);
    }
    gmem_region_unref(view->root);
    free(view->garbage);
    free(view->dropped);
    free(view);
}

/* replaced: the reference given up is that of its shown, and no reader can find it any more: there is a next one, or no shown. */
static void view_put(gmem_view *view, bool replaced)
{
    unsigned long refs;
    bool handed_back;
    gmem_view *next;

    /* A loop: a chain of versions may be long. */
    for (; view; view = next, replaced = false) {
        gmem_vm *vm = view->vm;

        pthread_mutex_lock(&vm->mutex);
        view->replaced |= replaced;
        refs = __atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL);
        handed_back = refs == 1 && view->replaced && view->prev &&
                      (view->next ? hand_back_middle(view) : hand_back_last(view)) == 0;
        next = refs == 0 ? view->next : NULL;
        if (next)
            next->prev = NULL;
        pthread_mutex_unlock(&vm->mutex);
        if (refs > 0 && !handed_back)
            return;
        view_free(view);
    }
}

void gmem_view_unref(gmem_view *view)
{
    view_put(view, false);
}

int gmem__shown_create(gmem_vm *vm, gmem_region *root, struct gmem__shown **ret_shown)
{
    struct gmem__shown *shown = gmem__alloc_lines(sizeof(*shown));
    int err;

    if (!shown)
        return -ENOMEM;
    err = gmem__view_create(vm, root, NULL, 0, &shown->view);
    if (err) {
        free(shown);
        return err;
    }
    shown->vm = vm;
    shown->generation = shown->view->generation;
    shown->refs = 1;
    shown->root = root ? gmem_region_ref(root) : NULL;
    gmem__link_init(&shown->link);
    *ret_shown = shown;
    return 0;
}

void gmem__shown_ref(struct gmem__shown *shown)
{
    __atomic_fetch_add(&shown->refs, 1, __ATOMIC_RELAXED);
}

void gmem__shown_unref(struct gmem__shown *shown)
{
    /* Release and acquire: whatever was done with it comes before its end. */
    if (__atomic_sub_fetch(&shown->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(shown);
}

void gmem__shown_end(struct gmem__shown *shown)
{
    view_put(shown->view, true);
    gmem_region_unref(shown->root);
    free(shown->spans);
    gmem__shown_unref(shown);
}

static void shown_ended(struct gmem__rcu_head *head)
{
    struct gmem__shown *shown = GMEM__OF(head, struct gmem__shown, rcu);

    gmem__backlog_done(shown->vm, shown->waiting);
    gmem__shown_end(shown);
}

void gmem__shown_left(struct gmem__shown *shown)
{
    uint64_t generation = next_generation();

    /*
     * What is remembered of the view has this generation from now on, and it is the same view. Release: pairs with
     * gmem__view_generation(); who reads it sees that the space has another shown.
     */
    __atomic_store_n(&shown->view->generation, generation, __ATOMIC_RELEASE);
    /* Release: pairs with gmem__shown_generation(), and the compare in gmem/cache.h. */
    __atomic_store_n(&shown->generation, generation, __ATOMIC_RELEASE);
}

void gmem__shown_retire(struct gmem__shown *shown)
{
    gmem__link_remove(&shown->link);
    shown->root->shown = NULL;
    shown->waiting = sizeof(*shown) + shown->view->count * RANGE_WEIGHT;
    gmem__backlog_add(shown->vm, shown->waiting);
    gmem__rcu_defer(&shown->rcu, shown_ended);
}

static void view_replaced(struct gmem__rcu_head *head)
{
    gmem_view *view = GMEM__OF(head, gmem_view, rcu);

    gmem__backlog_done(view->vm, view->waiting);
    view_put(view, true);
}

/* With the turn. Each store is a release: who reads one sees that to is another than before. */
static void set_step(struct gmem__step *step, uint64_t from, uint64_t to, uint64_t first, uint64_t last)
{
    __atomic_store_n(&step->to, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&step->from, from, __ATOMIC_RELEASE);
    __atomic_store_n(&step->first, first, __ATOMIC_RELEASE);
    __atomic_store_n(&step->last, last, __ATOMIC_RELEASE);
    __atomic_store_n(&step->to, to, __ATOMIC_RELEASE);
}

void gmem__shown_publish(struct gmem__shown *shown, gmem_view *view, uint64_t first, uint64_t last)
{
    gmem_view *before = shown->view;

    __atomic_fetch_add(&view->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&before->vm->mutex);
    before->next = view;
    view->prev = before;
    pthread_mutex_unlock(&before->vm->mutex);
    set_step(&shown->step, before->generation, view->generation, first, last);
    /*
     * First, so that what was remembered of the old view is used by nobody who has found the new one. And before the
     * deferring: whoever still reads the old generation in a read section has the old view alive.
     */
    __atomic_store_n(&shown->generation, view->generation, __ATOMIC_RELEASE);
    /* Release: pairs with gmem__rcu_get() in readers; the view is complete before it can be found. */
    gmem__rcu_set(shown->view, view);
    before->waiting = sizeof(*before) + before->garbage_count * NODE_WEIGHT + before->dropped_count * RANGE_WEIGHT;
    gmem__backlog_add(before->vm, before->waiting);
    gmem__rcu_defer(&before->rcu, view_replaced);
}

void gmem__range_section(const struct gmem__range *range, gmem_space *space, struct gmem_section *ret_section)
{
    ret_section->space = space;
    ret_section->region = range->region;
    ret_section->first = range->first;
    ret_section->last = range->last;
    ret_section->offset = range->offset;
    ret_section->attrs = range->attrs;
}

static int add_range(void *opaque, const struct gmem__range *range)
{
    struct gmem__ranges *ranges = opaque;
    int err = gmem__grow((void **)&ranges->items, &ranges->room, ranges->count + 1, sizeof(*ranges->items));

    if (!err)
        ranges->items[ranges->count++] = *range;
    return err;
}

int gmem__view_ranges(const gmem_view *view, uint64_t first, uint64_t last, struct gmem__ranges *ranges)
{
    return gmem__tree_walk(view->tree, first, last, add_range, ranges);
}

gmem_region *gmem_view_root(const gmem_view *view)
{
    return view->root;
}

size_t gmem_view_count(const gmem_view *view)
{
    return view->count;
}

int gmem_view_find(const gmem_view *view, uint64_t addr, struct gmem_section *ret_section)
{
    const struct gmem__range *range;

    if (!view || !ret_section)
        return -EINVAL;
    range = gmem__view_find(view, addr);
    if (!range)
        return -ENOENT;
    gmem__range_section(range, NULL, ret_section);
    return 0;
}

struct foreach {
    gmem_view_fn *fn;
    void *opaque;
};

static int call_with_section(void *opaque, const struct gmem__range *range)
{
    const struct foreach *foreach = opaque;
    struct gmem_section section;

    gmem__range_section(range, NULL, &section);
    return foreach->fn(foreach->opaque, &section);
}

int gmem_view_foreach(const gmem_view *view, gmem_view_fn *fn, void *opaque)
{
    struct foreach foreach = {fn, opaque};

    return gmem__tree_walk(view->tree, 0, GMEM__LAST, call_with_section, &foreach);
}
