/* SPDX-License-Identifier: MIT */
/*
 * iommu_notify.c - who hears of changed translations, and being told.
 *
 *   a. Registering and unregistering have the writer turn, so that notify_changed hears of one after the other. In a listener
 *      callback the thread has it already.
 *   b. The list is guarded by the mutex, which is held for moments and never in a call. A node that is being called, or
 *      passed by a walk, is busy; a busy node stays on the list, and its next is read after the call.
 *   c. Who unregisters marks the node dead, so that no new call begins, and waits for those of other threads. A node whose last
 *      call is one of the same thread, further up, is freed where that call ends.
 */
#include "iommu.h"
#include "region.h"
#include <errno.h>
#include <stdlib.h>

#define EVENTS (GMEM_IOMMU_MAP | GMEM_IOMMU_UNMAP | GMEM_IOMMU_DEVIOTLB)
#define PAGE_DEFAULT 4096u

struct gmem__iommu_node {
    struct gmem__iommu_node *prev, *next;
    const struct gmem_iommu_notifier *key; /* only compared */
    struct gmem_iommu_notifier is;
    unsigned index;
    unsigned busy;
    bool dead;
};

/* On the stack of a thread that calls, or replays to, node. */
struct gmem__iommu_call {
    struct gmem__iommu_call *next;
    const struct gmem__iommu_node *node;
    pthread_t thread;
};

int gmem__iommu_new(const struct gmem_iommu_ops *ops, void *opaque, struct gmem__iommu **ret_iommu)
{
    struct gmem__iommu *iommu = calloc(1, sizeof(*iommu));

    if (!iommu)
        return -ENOMEM;
    iommu->ops = *ops;
    if (!iommu->ops.page_size)
        iommu->ops.page_size = PAGE_DEFAULT;
    if (!iommu->ops.indexes)
        iommu->ops.indexes = 1;
    iommu->opaque = opaque;
    pthread_mutex_init(&iommu->mutex, NULL);
    pthread_cond_init(&iommu->called, NULL);
    *ret_iommu = iommu;
    return 0;
}

void gmem__iommu_end(struct gmem__iommu *iommu)
{
    struct gmem__iommu_node *node, *next;

    if (!iommu)
        return;
    for (node = iommu->first; node; node = next) {
        next = node->next;
        free(node);
    }
    pthread_cond_destroy(&iommu->called);
    pthread_mutex_destroy(&iommu->mutex);
    free(iommu);
}

/* --- the list; with the mutex -------------------------------------------------------------------------------------- */

static struct gmem__iommu_node *find(const struct gmem__iommu *iommu, const struct gmem_iommu_notifier *notifier)
{
    struct gmem__iommu_node *node = iommu->first;

    while (node && (node->dead || node->key != notifier))
        node = node->next;
    return node;
}

static uint32_t flags_of(const struct gmem__iommu *iommu)
{
    const struct gmem__iommu_node *node;
    uint32_t flags = 0;

    for (node = iommu->first; node; node = node->next)
        flags |= node->dead ? 0 : node->is.flags;
    return flags;
}

static void append(struct gmem__iommu *iommu, struct gmem__iommu_node *node)
{
    node->prev = iommu->last;
    if (iommu->last)
        iommu->last->next = node;
    else
        iommu->first = node;
    iommu->last = node;
}

static void unlink_node(struct gmem__iommu *iommu, struct gmem__iommu_node *node)
{
    if (node->prev)
        node->prev->next = node->next;
    else
        iommu->first = node->next;
    if (node->next)
        node->next->prev = node->prev;
    else
        iommu->last = node->prev;
}

static void call_begin(struct gmem__iommu *iommu, struct gmem__iommu_node *node, struct gmem__iommu_call *call)
{
    node->busy++;
    *call = (struct gmem__iommu_call){iommu->calls, node, pthread_self()};
    iommu->calls = call;
}

/* Returns what comes after node, which may be freed. */
static struct gmem__iommu_node *call_end(struct gmem__iommu *iommu, struct gmem__iommu_node *node,
                                         const struct gmem__iommu_call *call)
{
    struct gmem__iommu_call **at = &iommu->calls;
    struct gmem__iommu_node *next = node->next;

    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    (void)pthread_cond_broadcast(&iommu->called);
    if (--node->busy == 0 && node->dead) {
        unlink_node(iommu, node);
        free(node);
    }
    return next;
}

static bool called_elsewhere(const struct gmem__iommu *iommu, const struct gmem__iommu_node *node)
{
    const struct gmem__iommu_call *call = iommu->calls;

    while (call && (call->node != node || pthread_equal(call->thread, pthread_self())))
        call = call->next;
    return call;
}

/* --- registering --------------------------------------------------------------------------------------------------- */

/* The turn, which a listener callback has. Whether it is to be given up. */
static bool take_turn(gmem_vm *vm)
{
    return !gmem__turn_mine(vm) && gmem__turn_acquire(vm) == 0;
}

static struct gmem__iommu *iommu_of(const gmem_region *region)
{
    return region->kind == GMEM_KIND_IOMMU ? region->opaque : NULL;
}

static int refuse_kind(const gmem_region *region)
{
    return gmem__refuse(region->vm, -EOPNOTSUPP, "\"%s\" is no iommu region", region->name);
}

static int check_notifier(const gmem_region *region, const struct gmem_iommu_notifier *notifier)
{
    if (!notifier->fn || !notifier->flags || (notifier->flags & ~EVENTS) || notifier->first > notifier->last)
        return gmem__refuse(region->vm, -EINVAL, "a notifier of \"%s\" without a function, flags or an interval",
                            region->name);
    if (notifier->last > region->p.last)
        return gmem__refuse(region->vm, -ERANGE, "0x%llx-0x%llx is not inside \"%s\"",
                            (unsigned long long)notifier->first, (unsigned long long)notifier->last, region->name);
    return 0;
}

/* With the turn. */
static int enrol(gmem_region *region, struct gmem__iommu *iommu, struct gmem__iommu_node *node)
{
    uint32_t before, now;
    bool there;
    int err = 0;

    pthread_mutex_lock(&iommu->mutex);
    there = find(iommu, node->key);
    before = flags_of(iommu);
    pthread_mutex_unlock(&iommu->mutex);
    if (there)
        return gmem__refuse(region->vm, -EEXIST, "the notifier is registered with \"%s\" already", region->name);
    now = before | node->is.flags;
    if (now != before && iommu->ops.notify_changed)
        err = iommu->ops.notify_changed(iommu->opaque, before, now);
    if (err)
        return gmem__refuse(region->vm, err > 0 ? -EINVAL : err, "\"%s\" refuses to be listened to so", region->name);
    pthread_mutex_lock(&iommu->mutex);
    append(iommu, node);
    pthread_mutex_unlock(&iommu->mutex);
    gmem_region_ref(region);
    return 0;
}

int gmem_iommu_register(gmem_region *region, struct gmem_iommu_notifier *notifier)
{
    struct gmem__iommu *iommu;
    struct gmem__iommu_node *node;
    bool mine;
    int err;

    if (!region || !notifier)
        return -EINVAL;
    iommu = iommu_of(region);
    if (!iommu)
        return refuse_kind(region);
    err = check_notifier(region, notifier);
    if (err)
        return err;
    node = calloc(1, sizeof(*node));
    if (!node)
        return gmem__refuse(region->vm, -ENOMEM, "no memory for a notifier of \"%s\"", region->name);
    node->key = notifier;
    node->is = *notifier;
    if (iommu->ops.index)
        node->index = iommu->ops.index(iommu->opaque, notifier->attrs);
    mine = take_turn(region->vm);
    err = node->index < iommu->ops.indexes
              ? enrol(region, iommu, node)
              : gmem__refuse(region->vm, -EINVAL, "\"%s\" has no such index", region->name);
    if (mine)
        gmem__turn_release(region->vm);
    if (err)
        free(node);
    return err;
}

void gmem_iommu_unregister(gmem_region *region, struct gmem_iommu_notifier *notifier)
{
    struct gmem__iommu *iommu = region ? iommu_of(region) : NULL;
    struct gmem__iommu_node *node;
    uint32_t before, now;
    bool mine;

    if (!iommu || !notifier)
        return;
    mine = take_turn(region->vm);
    pthread_mutex_lock(&iommu->mutex);
    before = flags_of(iommu);
    node = find(iommu, notifier);
    if (node) {
        node->dead = true;
        node->busy++;
    }
    now = flags_of(iommu);
    pthread_mutex_unlock(&iommu->mutex);
    if (now != before && iommu->ops.notify_changed)
        (void)iommu->ops.notify_changed(iommu->opaque, before, now);
    if (mine)
        gmem__turn_release(region->vm);
    if (!node)
        return;
    pthread_mutex_lock(&iommu->mutex);
    while (called_elsewhere(iommu, node))
        pthread_cond_wait(&iommu->called, &iommu->mutex);
    if (--node->busy == 0) {
        unlink_node(iommu, node);
        free(node);
    }
    pthread_mutex_unlock(&iommu->mutex);
    gmem_region_unref(region);
}

/* --- telling ------------------------------------------------------------------------------------------------------- */

/* What node hears of the event; false: nothing. */
static bool clip(const struct gmem__iommu_node *node, const struct gmem_iommu_event *event,
                 struct gmem_iommu_event *ret_part)
{
    if (node->dead || !(node->is.flags & event->type) || node->index != event->index || event->last < node->is.first ||
        event->first > node->is.last)
        return false;
    *ret_part = *event;
    ret_part->first = gmem__max(event->first, node->is.first);
    ret_part->last = gmem__min(event->last, node->is.last);
    if (event->type == GMEM_IOMMU_MAP)
        ret_part->translated += ret_part->first - event->first;
    return true;
}

static int make_event(const gmem_region *region, const struct gmem__iommu *iommu, unsigned index, uint32_t type,
                      const struct gmem_iommu_entry *entry, struct gmem_iommu_event *ret_event)
{
    bool maps = type == GMEM_IOMMU_MAP;

    if (!(type & EVENTS) || (type & (type - 1)) || index >= iommu->ops.indexes ||
        !gmem__iommu_mask_ok(entry->addr_mask) || (maps && (!entry->target || !entry->perm)))
        return gmem__refuse(region->vm, -EINVAL, "no such change can be told of \"%s\"", region->name);
    *ret_event = (struct gmem_iommu_event){
        .type = type,
        .index = index,
        .first = entry->iova & ~entry->addr_mask,
        .last = entry->iova | entry->addr_mask,
        .target = maps ? entry->target : NULL,
        .translated = maps ? entry->translated & ~entry->addr_mask : 0,
        .perm = maps ? entry->perm : 0,
    };
    return 0;
}

int gmem_iommu_notify(gmem_region *region, unsigned index, uint32_t type, const struct gmem_iommu_entry *entry)
{
    struct gmem__iommu *iommu;
    struct gmem__iommu_node *node;
    struct gmem_iommu_event event, part;
    struct gmem__iommu_call call;
    int err;

    if (!region || !entry)
        return -EINVAL;
    iommu = iommu_of(region);
    if (!iommu)
        return refuse_kind(region);
    err = make_event(region, iommu, index, type, entry, &event);
    if (err)
        return err;
    pthread_mutex_lock(&iommu->mutex);
    for (node = iommu->first; node;) {
        if (!clip(node, &event, &part)) {
            node = node->next;
            continue;
        }
        call_begin(iommu, node, &call);
        pthread_mutex_unlock(&iommu->mutex);
        node->is.fn(node->is.opaque, &part);
        pthread_mutex_lock(&iommu->mutex);
        node = call_end(iommu, node, &call);
    }
    pthread_mutex_unlock(&iommu->mutex);
    return 0;
}

/* Tell node, which is busy, unless it is dead. */
static void tell(struct gmem__iommu *iommu, struct gmem__iommu_node *node, const struct gmem_iommu_event *event)
{
    struct gmem_iommu_event part;
    bool hears;

    pthread_mutex_lock(&iommu->mutex);
    hears = clip(node, event, &part);
    pthread_mutex_unlock(&iommu->mutex);
    if (hears)
        node->is.fn(node->is.opaque, &part);
}

/* Make the notifier's node busy. -ENOENT. */
static int hold(const gmem_region *region, struct gmem__iommu *iommu, const struct gmem_iommu_notifier *notifier,
                struct gmem__iommu_call *call, struct gmem__iommu_node **ret_node)
{
    struct gmem__iommu_node *node;

    pthread_mutex_lock(&iommu->mutex);
    node = find(iommu, notifier);
    if (node)
        call_begin(iommu, node, call);
    pthread_mutex_unlock(&iommu->mutex);
    *ret_node = node;
    return node ? 0 : gmem__refuse(region->vm, -ENOENT, "the notifier is not registered with \"%s\"", region->name);
}

static void let_go(struct gmem__iommu *iommu, struct gmem__iommu_node *node, const struct gmem__iommu_call *call)
{
    pthread_mutex_lock(&iommu->mutex);
    (void)call_end(iommu, node, call);
    pthread_mutex_unlock(&iommu->mutex);
}

int gmem_iommu_notify_one(gmem_region *region, const struct gmem_iommu_notifier *notifier, uint32_t type,
                          const struct gmem_iommu_entry *entry)
{
    struct gmem__iommu *iommu;
    struct gmem__iommu_node *node;
    struct gmem_iommu_event event;
    struct gmem__iommu_call call;
    int err;

    if (!region || !notifier || !entry)
        return -EINVAL;
    iommu = iommu_of(region);
    if (!iommu)
        return refuse_kind(region);
    err = hold(region, iommu, notifier, &call, &node);
    if (err)
        return err;
    err = make_event(region, iommu, node->index, type, entry, &event);
    if (!err)
        tell(iommu, node, &event);
    let_go(iommu, node, &call);
    return err;
}

static bool is_dead(struct gmem__iommu *iommu, const struct gmem__iommu_node *node)
{
    bool dead;

    pthread_mutex_lock(&iommu->mutex);
    dead = node->dead;
    pthread_mutex_unlock(&iommu->mutex);
    return dead;
}

/* Ask for every page of the node's interval. */
static int replay_pages(gmem_region *region, struct gmem__iommu *iommu, struct gmem__iommu_node *node)
{
    uint64_t at = node->is.first, mask;
    struct gmem_iommu_event event;
    unsigned steps;

    for (steps = 0; steps < GMEM_IOMMU_REPLAY_MAX; steps++) {
        struct gmem_iommu_entry entry = {0};
        bool there = !iommu->ops.translate(iommu->opaque, at, 0, node->is.attrs, &entry);

        there = there && gmem__iommu_page_ok(iommu, entry.addr_mask);
        mask = there ? entry.addr_mask : iommu->ops.page_size - 1;
        entry.iova = at;
        if (is_dead(iommu, node))
            return 0;
        if (there && entry.target && entry.perm &&
            make_event(region, iommu, node->index, GMEM_IOMMU_MAP, &entry, &event) == 0)
            tell(iommu, node, &event);
        if ((at | mask) >= node->is.last)
            return 0;
        at = (at | mask) + 1;
    }
    return gmem__refuse(region->vm, -E2BIG, "\"%s\" has too many pages to be replayed one by one", region->name);
}

int gmem_iommu_replay(gmem_region *region, const struct gmem_iommu_notifier *notifier)
{
    struct gmem__iommu *iommu;
    struct gmem__iommu_node *node;
    struct gmem__iommu_call call;
    int err;

    if (!region || !notifier)
        return -EINVAL;
    iommu = iommu_of(region);
    if (!iommu)
        return refuse_kind(region);
    err = hold(region, iommu, notifier, &call, &node);
    if (err)
        return err;
    err = iommu->ops.replay ? iommu->ops.replay(iommu->opaque, region, notifier) : replay_pages(region, iommu, node);
    let_go(iommu, node, &call);
    return err;
}
