/* SPDX-License-Identifier: MIT */
/*
 * log_ask.c - asking listeners for their dirty logs: log_sync and log_clear of what is visible.
 *
 * Not edits: nothing is rendered or undone, and all are asked whatever one says. With the writer turn held; vm->notifying is
 * set while a callback runs, and edits are refused then.
 */
#include "listener.h"
#include "trace.h"
#include <errno.h>

struct asking {
    gmem_vm *vm;
    const gmem_region *region; /* NULL: whatever is logged */
    uint64_t first, last;
    bool clear;
    gmem_space *space;
    int err; /* the first refusal */
};

static void ask(struct asking *asking, const struct gmem__listener *listener, const struct gmem_section *section)
{
    gmem_listener_section_fn *fn = asking->clear ? listener->user->log_clear : listener->user->log_sync;
    gmem_vm *vm = asking->vm;
    int err;

    if (listener->space && listener->space != asking->space)
        return;
    GMEM__COUNT(vm, listener_calls, 1);
    vm->notifying = true;
    err = fn ? fn(listener->user, section) : 0;
    gmem__trace_call(vm, listener->user, asking->clear ? "log_clear" : "log_sync", section, err);
    vm->notifying = false;
    /* A positive answer is no errno, as in listener.c. */
    err = err > 0 ? -EINVAL : err;
    if (err && !asking->err)
        asking->err =
            gmem__refuse(vm, err, "listener \"%s\" refused %s of \"%s\" at 0x%llx-0x%llx: %s",
                         listener->user->name ? listener->user->name : "", asking->clear ? "log_clear" : "log_sync",
                         section->region->name, (unsigned long long)section->first, (unsigned long long)section->last,
                         gmem_strerror(err));
}

static bool range_is_logged(const gmem_vm *vm, const struct gmem__range *range)
{
    return range->region->ram &&
           ((vm->global_log && range->region->kind != GMEM_KIND_RAM_DEVICE) || (range->attrs & GMEM_RANGE_LOG_MASK));
}

static int ask_range(void *opaque, const struct gmem__range *range)
{
    struct asking *asking = opaque;
    const struct gmem__link *head = &asking->vm->listeners, *link;
    uint64_t from = gmem__max(asking->first, range->offset);
    uint64_t to = gmem__min(asking->last, range->offset + (range->last - range->first));
    struct gmem_section section;

    if (asking->region ? range->region != asking->region : !range_is_logged(asking->vm, range))
        return 0;
    if (from > to)
        return 0;
    gmem__range_section(range, asking->space, &section);
    section.last = section.first + (to - section.offset);
    section.first += from - section.offset;
    section.offset = from;
    for (link = head->next; link != head; link = link->next)
        ask(asking, GMEM__OF(link, const struct gmem__listener, link), &section);
    return 0;
}

static void trace_ask(const struct asking *asking)
{
    struct gmem_trace_event event = {.kind = GMEM_TRACE_DIRTY_SYNC};

    GMEM__PROBE4(dirty_sync, asking->region ? &asking->region->name[0] : "", asking->clear, asking->first,
                 asking->last);
    if (!gmem__traced(asking->vm, event.kind))
        return;
    event.u.dirty.region = asking->region;
    event.u.dirty.clear = asking->clear;
    event.u.dirty.first = asking->first;
    event.u.dirty.last = asking->last;
    gmem__trace_with_turn(asking->vm, &event);
}

/* Ask every listener, for every visible piece; all are asked whatever one says. With the turn. */
static int ask_all(struct asking *asking)
{
    struct gmem__link *link;

    trace_ask(asking);
    for (link = asking->vm->spaces.next; link != &asking->vm->spaces; link = link->next) {
        asking->space = GMEM__OF(link, gmem_space, vm_link);
        (void)gmem__tree_walk(gmem__space_view(asking->space)->tree, 0, GMEM__LAST, ask_range, asking);
    }
    return asking->err;
}

static int log_ask(gmem_region *region, uint64_t first, const uint64_t *last, bool clear)
{
    struct asking asking = {.vm = region->vm, .region = region, .first = first, .clear = clear};
    gmem_vm *vm = region->vm;
    int err;

    if (!region->ram)
        return gmem__refuse(vm, -EOPNOTSUPP, "\"%s\" has no dirty log", region->name);
    err = gmem__turn_acquire(vm);
    if (err)
        return err;
    asking.last = last ? *last : region->p.last;
    if (asking.last > region->p.last)
        err = gmem__refuse(vm, -ERANGE, "0x%llx is not inside \"%s\"", (unsigned long long)*last, region->name);
    else
        err = ask_all(&asking);
    gmem__turn_release(vm);
    return err;
}

int gmem_region_log_sync(gmem_region *region)
{
    return region ? log_ask(region, 0, NULL, false) : -EINVAL;
}

int gmem_vm_log_sync(gmem_vm *vm)
{
    struct asking asking = {.vm = vm, .last = GMEM__LAST};
    int err;

    if (!vm)
        return -EINVAL;
    err = gmem__turn_acquire(vm);
    if (err)
        return err;
    err = ask_all(&asking);
    gmem__turn_release(vm);
    return err;
}

int gmem_region_log_clear(gmem_region *region, uint64_t first, uint64_t last)
{
    if (!region)
        return -EINVAL;
    if (first > last)
        return gmem__refuse(region->vm, -EINVAL, "an interval of \"%s\" ends before it begins", region->name);
    return log_ask(region, first, &last, true);
}
