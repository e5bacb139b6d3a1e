/* SPDX-License-Identifier: MIT */
/*
 * Listeners of the model test. Each keeps a copy of the map from notices alone and complains at
 * once about a notice that can't be right: outside begin and commit, removing what is not there,
 * adding what is. A refused notice changes nothing, so that after an undo the copy must be what it
 * was.
 *
 * Callbacks run on the committing thread.
 */
#include "model_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int model_region_slot(const struct model_run *run, const gmem_region *region)
{
    for (int i = 0; i < NAIVE_REGIONS; i++) {
        if (region && run->region[i] == region)
            return i;
    }
    return NAIVE_NONE;
}

/* A space that is being created is told of before its creator knows it. */
static int space_slot(struct model_run *run, gmem_space *space)
{
    for (int i = 0; i < MODEL_SPACES; i++) {
        if (run->space[i] == space)
            return i;
    }
    if (run->creating >= 0 && !run->space[run->creating]) {
        run->space[run->creating] = space;
        return run->creating;
    }
    model_fail(run, "a listener hears of a space that does not exist");
    return 0;
}

static struct heard *of(struct gmem_listener *listener)
{
    return listener->opaque;
}

static void log_event(struct heard *heard, enum heard_call call, const struct heard_item *item)
{
    struct model_run *run = heard->run;
    struct heard_event *event;

    if (run->n_events == run->event_room) {
        run->event_room = run->event_room ? 2 * run->event_room : 64;
        run->events = realloc(run->events, run->event_room * sizeof(*run->events));
        if (!run->events)
            abort();
    }
    event = &run->events[run->n_events++];
    memset(event, 0, sizeof(*event));
    event->call = call;
    event->listener = heard->slot;
    if (item)
        event->item = *item;
}

/* Nothing is published while listeners are told, nor after a refusal. */
static void check_unpublished(struct model_run *run)
{
    for (int i = 0; i < MODEL_SPACES; i++) {
        gmem_view *view;

        if (!run->space[i] || !run->view[i])
            continue;
        view = gmem_space_view(run->space[i]);
        if (view != run->view[i])
            model_fail(run, "a listener is called when the view of space %d is published already", i);
        gmem_view_unref(view);
    }
}

/*
 * Every edit from a callback is refused and changes nothing (the checks after the step would see
 * it).
 */
static void check_edits_refused(struct model_run *run)
{
    struct gmem_listener another = {.struct_size = sizeof(another)};
    int first = NAIVE_NONE;

    for (int i = 0; i < NAIVE_REGIONS && first == NAIVE_NONE; i++) {
        if (run->region[i] && !run->released[i])
            first = i;
    }
    if (gmem_vm_begin(run->vm) != -EBUSY)
        model_fail(run, "begin inside a listener callback is not refused with EBUSY");
    if (first != NAIVE_NONE && gmem_region_set_enabled(run->region[first], !run->now.region[first].enabled) != -EBUSY)
        model_fail(run, "an edit inside a listener callback is not refused with EBUSY");
    if (gmem_listener_register(run->vm, NULL, &another) != -EBUSY)
        model_fail(run, "registering inside a listener callback is not refused with EBUSY");
}

/* Whether this call is the one to refuse. */
static int answer(struct heard *heard)
{
    struct model_run *run = heard->run;

    if (!heard->armed || run->undoing || heard->refuse_after-- > 0)
        return 0;
    heard->armed = false;
    run->undoing = true;
    run->refused_with = -EIO;
    return -EIO;
}

static struct heard_item item_of(struct heard *heard, const struct gmem_section *section)
{
    struct model_run *run = heard->run;
    struct heard_item item;

    memset(&item, 0, sizeof(item));
    item.space = space_slot(run, section->space);
    item.range.first = section->first;
    item.range.last = section->last;
    item.range.region = model_region_slot(run, section->region);
    item.range.offset = section->offset;
    item.range.attrs = section->attrs & ~GMEM_RANGE_LOG_MASK;
    if (heard->space >= 0 && item.space != heard->space)
        model_fail(run, "listener %d of space %d hears of space %d", heard->slot, heard->space, item.space);
    if (!heard->inside)
        model_fail(run, "listener %d hears of %" PRIx64 "-%" PRIx64 " outside begin and commit", heard->slot,
                   section->first, section->last);
    return item;
}

/* Attributes of the range an eventfd or interval lies in may change without it being told again. */
static bool same_item(const struct heard_item *a, const struct heard_item *b)
{
    return a->what == b->what && a->space == b->space && a->range.first == b->range.first &&
           a->range.last == b->range.last && a->range.region == b->range.region && a->range.offset == b->range.offset &&
           (a->what != HEARD_RANGE || a->range.attrs == b->range.attrs) &&
           (a->what != HEARD_EVENTFD ||
            (naive_same_eventfd(&a->eventfd, &b->eventfd) && a->eventfd.fd == b->eventfd.fd));
}

static struct heard_item *find(const struct heard *heard, const struct heard_item *item)
{
    for (size_t i = 0; i < heard->n_items; i++) {
        if (same_item(&heard->items[i], item))
            return &heard->items[i];
    }
    return NULL;
}

static bool overlaps(const struct heard *heard, const struct heard_item *item)
{
    for (size_t i = 0; i < heard->n_items; i++) {
        const struct heard_item *other = &heard->items[i];

        if (other->what == item->what && other->space == item->space && other->range.first <= item->range.last &&
            item->range.first <= other->range.last)
            return true;
    }
    return false;
}

static void complain(struct heard *heard, const char *what, const struct heard_item *item)
{
    model_fail(heard->run, "listener %d: %s %" PRIx64 "-%" PRIx64 " r%d @%" PRIx64 " attrs %x of space %d", heard->slot,
               what, item->range.first, item->range.last, item->range.region, item->range.offset, item->range.attrs,
               item->space);
}

static int put(struct heard *heard, const struct heard_item *item, enum heard_call call)
{
    int err;

    if (find(heard, item) || (item->what == HEARD_RANGE && overlaps(heard, item)))
        complain(heard, "added over what is there:", item);
    log_event(heard, call, item);
    err = answer(heard);
    if (err)
        return err;
    if (heard->n_items == heard->room) {
        heard->room = heard->room ? 2 * heard->room : 16;
        heard->items = realloc(heard->items, heard->room * sizeof(*heard->items));
        if (!heard->items)
            abort();
    }
    heard->items[heard->n_items++] = *item;
    return 0;
}

static int take(struct heard *heard, const struct heard_item *item, enum heard_call call)
{
    struct heard_item *found = find(heard, item);
    int err;

    if (!found) {
        complain(heard, "removed what is not there:", item);
        return 0;
    }
    if (found->log)
        complain(heard, "removed while logging:", item);
    log_event(heard, call, item);
    err = answer(heard);
    if (!err)
        *found = heard->items[--heard->n_items];
    return err;
}

static int on_begin(struct gmem_listener *listener)
{
    struct heard *heard = of(listener);
    int err;

    if (heard->inside)
        model_fail(heard->run, "listener %d: begin inside begin", heard->slot);
    check_unpublished(heard->run);
    if (!heard->run->undoing) /* it would hide the reason for the refusal */
        check_edits_refused(heard->run);
    log_event(heard, CALL_BEGIN, NULL);
    err = answer(heard);
    if (!err)
        heard->inside = true;
    return err;
}

static int on_commit(struct gmem_listener *listener)
{
    struct heard *heard = of(listener);
    int err;

    if (!heard->inside)
        model_fail(heard->run, "listener %d: commit without begin", heard->slot);
    check_unpublished(heard->run);
    log_event(heard, CALL_COMMIT, NULL);
    err = answer(heard);
    if (!err)
        heard->inside = false;
    return err;
}

static int on_region_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct heard_item item = item_of(of(listener), section);

    return put(of(listener), &item, CALL_ADD);
}

static int on_region_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct heard_item item = item_of(of(listener), section);

    return take(of(listener), &item, CALL_DEL);
}

static int on_region_nop(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct heard_item item = item_of(of(listener), section);

    if (!find(of(listener), &item))
        complain(of(listener), "nop of what is not there:", &item);
    log_event(of(listener), CALL_NOP, &item);
    return answer(of(listener));
}

static int on_log(struct gmem_listener *listener, const struct gmem_section *section, unsigned before, unsigned after,
                  bool start)
{
    struct heard *heard = of(listener);
    struct heard_item item = item_of(heard, section);
    struct heard_item *found = find(heard, &item);
    unsigned changed = start ? after & ~before : before & ~after;
    int err;

    if (!found || !changed || (start ? found->log & changed : (found->log & changed) != changed)) {
        complain(heard, start ? "log_start that starts nothing:" : "log_stop that stops nothing:", &item);
        return 0;
    }
    log_event(heard, CALL_LOG, &item);
    err = answer(heard);
    if (!err)
        found->log ^= changed;
    return err;
}

static int on_log_start(struct gmem_listener *listener, const struct gmem_section *section, unsigned before,
                        unsigned after)
{
    return on_log(listener, section, before, after, true);
}

static int on_log_stop(struct gmem_listener *listener, const struct gmem_section *section, unsigned before,
                       unsigned after)
{
    return on_log(listener, section, before, after, false);
}

static int on_global(struct gmem_listener *listener, bool start)
{
    struct heard *heard = of(listener);
    int err;

    if (heard->global == start)
        model_fail(heard->run, "listener %d: log_global_%s twice", heard->slot, start ? "start" : "stop");
    log_event(heard, CALL_GLOBAL, NULL);
    err = answer(heard);
    if (!err)
        heard->global = start;
    return err;
}

static int on_global_start(struct gmem_listener *listener)
{
    return on_global(listener, true);
}

static int on_global_stop(struct gmem_listener *listener)
{
    return on_global(listener, false);
}

static struct heard_item extra_of(struct heard *heard, const struct gmem_section *section,
                                  const struct gmem_eventfd *eventfd)
{
    struct heard_item item = item_of(heard, section);

    item.what = eventfd ? HEARD_EVENTFD : HEARD_COALESCED;
    if (eventfd)
        item.eventfd = *eventfd;
    return item;
}

static int on_eventfd_add(struct gmem_listener *listener, const struct gmem_section *section,
                          const struct gmem_eventfd *eventfd)
{
    struct heard_item item = extra_of(of(listener), section, eventfd);

    return put(of(listener), &item, CALL_EXTRA_ADD);
}

static int on_eventfd_del(struct gmem_listener *listener, const struct gmem_section *section,
                          const struct gmem_eventfd *eventfd)
{
    struct heard_item item = extra_of(of(listener), section, eventfd);

    return take(of(listener), &item, CALL_EXTRA_DEL);
}

static int on_coalesced_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct heard_item item = extra_of(of(listener), section, NULL);

    return put(of(listener), &item, CALL_EXTRA_ADD);
}

static int on_coalesced_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct heard_item item = extra_of(of(listener), section, NULL);

    return take(of(listener), &item, CALL_EXTRA_DEL);
}

void heard_prepare(struct heard *heard, struct model_run *run, int slot)
{
    memset(heard, 0, sizeof(*heard));
    heard->run = run;
    heard->slot = slot;
    heard->listener = (struct gmem_listener){
        .struct_size = sizeof(heard->listener),
        .name = "model",
        .opaque = heard,
        .begin = on_begin,
        .commit = on_commit,
        .region_add = on_region_add,
        .region_del = on_region_del,
        .log_start = on_log_start,
        .log_stop = on_log_stop,
        .log_global_start = on_global_start,
        .log_global_stop = on_global_stop,
        .eventfd_add = on_eventfd_add,
        .eventfd_del = on_eventfd_del,
        .coalesced_add = on_coalesced_add,
        .coalesced_del = on_coalesced_del,
        .region_nop = on_region_nop,
    };
}
