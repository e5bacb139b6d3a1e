/* SPDX-License-Identifier: MIT */
/*
 * listener.c - who listens, and what a commit tells them.
 *
 * The calls of a commit are recorded on a tape before the first is made. So running out of memory
 * is found out before anybody was told anything, and a refusal is undone by playing the tape
 * backwards with every call turned into its opposite.
 *
 * All of this runs with the writer turn held; vm->notifying is set while a callback runs, and edits
 * are refused then. The turn is not a lock (vm.c), so no lock of the library is held in a callback.
 */
#include "listener.h"
#include "trace.h"
#include "changed.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_CLIENTS(attrs) (((attrs)&GMEM_RANGE_LOG_MASK) >> GMEM_RANGE_LOG_SHIFT)

static const char *const call_names[] = {
    "nothing",     "begin",       "commit",        "region_add",       "region_del",
    "region_nop",  "log_start",   "log_stop",      "log_global_start", "log_global_stop",
    "eventfd_add", "eventfd_del", "coalesced_add", "coalesced_del",
};

static int call_section(gmem_listener_section_fn *fn, struct gmem_listener *user, const struct gmem_section *section)
{
    return fn ? fn(user, section) : 0;
}

static int call_user(const struct gmem__event *event)
{
    struct gmem_listener *user = event->listener->user;
    const struct gmem_section *section = &event->section;

    switch (event->call) {
    case GMEM__CALL_BEGIN:
        return user->begin ? user->begin(user) : 0;
    case GMEM__CALL_COMMIT:
        return user->commit ? user->commit(user) : 0;
    case GMEM__CALL_REGION_ADD:
        return call_section(user->region_add, user, section);
    case GMEM__CALL_REGION_DEL:
        return call_section(user->region_del, user, section);
    case GMEM__CALL_REGION_NOP:
        return call_section(user->region_nop, user, section);
    case GMEM__CALL_LOG_START:
        return user->log_start ? user->log_start(user, section, event->before, event->after) : 0;
    case GMEM__CALL_LOG_STOP:
        return user->log_stop ? user->log_stop(user, section, event->before, event->after) : 0;
    case GMEM__CALL_GLOBAL_START:
        return user->log_global_start ? user->log_global_start(user) : 0;
    case GMEM__CALL_GLOBAL_STOP:
        return user->log_global_stop ? user->log_global_stop(user) : 0;
    case GMEM__CALL_EVENTFD_ADD:
        return user->eventfd_add ? user->eventfd_add(user, section, &event->eventfd) : 0;
    case GMEM__CALL_EVENTFD_DEL:
        return user->eventfd_del ? user->eventfd_del(user, section, &event->eventfd) : 0;
    case GMEM__CALL_COALESCED_ADD:
        return call_section(user->coalesced_add, user, section);
    case GMEM__CALL_COALESCED_DEL:
        return call_section(user->coalesced_del, user, section);
    case GMEM__CALL_NONE:
        break;
    }
    return 0;
}

static const char *listener_name(const struct gmem__event *event)
{
    return event->listener->user->name ? event->listener->user->name : "";
}

void gmem__trace_call(gmem_vm *vm, const struct gmem_listener *user, const char *call,
                      const struct gmem_section *section, int err)
{
    struct gmem_trace_event made = {.kind = GMEM_TRACE_LISTENER_CALL};
    const char *name = user->name ? user->name : "";

    GMEM__PROBE5(listener_call, name, call, section ? section->first : 0, section ? section->last : 0, err);
    if (!gmem__traced(vm, made.kind))
        return;
    made.u.listener.name = name;
    made.u.listener.call = call;
    made.u.listener.section = section;
    made.u.listener.err = err;
    gmem_trace_emit(vm, &made);
}

static int make_call(gmem_vm *vm, const struct gmem__event *event)
{
    int err;

    if (event->call == GMEM__CALL_NONE)
        return 0;
    GMEM__COUNT(vm, listener_calls, 1);
    vm->notifying = true;
    err = call_user(event);
    gmem__trace_call(vm, event->listener->user, call_names[event->call], event->section.region ? &event->section : NULL,
                     err);
    vm->notifying = false;
    /* A positive answer is no errno; it must not pass for success or for one. */
    return err > 0 ? -EINVAL : err;
}

static void make_call_anyway(gmem_vm *vm, const struct gmem__event *event)
{
    int err = make_call(vm, event);

    if (!err)
        return;
    vm->notifying = true;
    gmem__log(vm, GMEM_LOG_WARNING, "listener \"%s\" refused %s, which can't be refused: %s", listener_name(event),
              call_names[event->call], gmem_strerror(err));
    vm->notifying = false;
}

static enum gmem__call opposite(enum gmem__call call)
{
    static const enum gmem__call opposites[] = {
        [GMEM__CALL_NONE] = GMEM__CALL_NONE,
        [GMEM__CALL_BEGIN] = GMEM__CALL_COMMIT,
        [GMEM__CALL_COMMIT] = GMEM__CALL_BEGIN,
        [GMEM__CALL_REGION_ADD] = GMEM__CALL_REGION_DEL,
        [GMEM__CALL_REGION_DEL] = GMEM__CALL_REGION_ADD,
        [GMEM__CALL_REGION_NOP] = GMEM__CALL_NONE,
        [GMEM__CALL_LOG_START] = GMEM__CALL_LOG_STOP,
        [GMEM__CALL_LOG_STOP] = GMEM__CALL_LOG_START,
        [GMEM__CALL_GLOBAL_START] = GMEM__CALL_GLOBAL_STOP,
        [GMEM__CALL_GLOBAL_STOP] = GMEM__CALL_GLOBAL_START,
        [GMEM__CALL_EVENTFD_ADD] = GMEM__CALL_EVENTFD_DEL,
        [GMEM__CALL_EVENTFD_DEL] = GMEM__CALL_EVENTFD_ADD,
        [GMEM__CALL_COALESCED_ADD] = GMEM__CALL_COALESCED_DEL,
        [GMEM__CALL_COALESCED_DEL] = GMEM__CALL_COALESCED_ADD,
    };

    return opposites[call];
}

static int refused(gmem_vm *vm, const struct gmem__event *event, int err)
{
    if (event->section.region)
        return gmem__refuse(vm, err, "listener \"%s\" refused %s of \"%s\" at 0x%llx-0x%llx: %s", listener_name(event),
                            call_names[event->call], event->section.region->name,
                            (unsigned long long)event->section.first, (unsigned long long)event->section.last,
                            gmem_strerror(err));
    return gmem__refuse(vm, err, "listener \"%s\" refused %s: %s", listener_name(event), call_names[event->call],
                        gmem_strerror(err));
}

static int play(struct gmem__tape *tape)
{
    struct gmem__event event;
    size_t i;
    int err = 0;

    for (i = 0; !err && i < tape->count; i++)
        err = make_call(tape->vm, &tape->events[i]);
    if (!err)
        return 0;
    i--;
    err = refused(tape->vm, &tape->events[i], err);
    while (i-- > 0) {
        event = tape->events[i];
        event.call = opposite(event.call);
        event.before = tape->events[i].after;
        event.after = tape->events[i].before;
        event.listener->user->undoing = true;
        make_call_anyway(tape->vm, &event);
        event.listener->user->undoing = false;
    }
    return err;
}

static int record(struct gmem__tape *tape, const struct gmem__event *event)
{
    int err;

    event->listener->heard = true;
    if (tape->now) {
        make_call_anyway(tape->vm, event);
        return 0;
    }
    err = gmem__grow((void **)&tape->events, &tape->room, tape->count + 1, sizeof(*tape->events));
    if (!err)
        tape->events[tape->count++] = *event;
    return err;
}

/* Whether the listener has a use for this call or, when it is undone, for its opposite. */
static bool wants(const struct gmem_listener *user, enum gmem__call call)
{
    switch (call) {
    case GMEM__CALL_REGION_ADD:
    case GMEM__CALL_REGION_DEL:
        return user->region_add || user->region_del;
    case GMEM__CALL_REGION_NOP:
        return user->region_nop;
    case GMEM__CALL_LOG_START:
    case GMEM__CALL_LOG_STOP:
        return user->log_start || user->log_stop;
    case GMEM__CALL_GLOBAL_START:
    case GMEM__CALL_GLOBAL_STOP:
        return user->log_global_start || user->log_global_stop;
    case GMEM__CALL_EVENTFD_ADD:
    case GMEM__CALL_EVENTFD_DEL:
        return user->eventfd_add || user->eventfd_del;
    case GMEM__CALL_COALESCED_ADD:
    case GMEM__CALL_COALESCED_DEL:
        return user->coalesced_add || user->coalesced_del;
    default:
        return true;
    }
}

static bool listens(const struct gmem__tape *tape, const struct gmem__listener *listener, const gmem_space *space)
{
    if (tape->only && tape->only != listener)
        return false;
    return !listener->space || listener->space == space;
}

/* Record one event for everybody who listens to its space, by rising priority or, for what goes, falling. */
static int record_for_all(struct gmem__tape *tape, struct gmem__event *event, bool falling)
{
    struct gmem__link *head = &tape->vm->listeners, *link = falling ? head->prev : head->next;
    int err;

    for (; link != head; link = falling ? link->prev : link->next) {
        event->listener = GMEM__OF(link, struct gmem__listener, link);
        if (!listens(tape, event->listener, event->section.space) || !wants(event->listener->user, event->call))
            continue;
        err = record(tape, event);
        if (err)
            return err;
    }
    return 0;
}

static int record_log(struct gmem__tape *tape, struct gmem__event *event, unsigned before, unsigned after)
{
    int err = 0;

    event->before = before;
    event->after = after;
    if (before & ~after) {
        event->call = GMEM__CALL_LOG_STOP;
        err = record_for_all(tape, event, true);
    }
    if (!err && (after & ~before)) {
        event->call = GMEM__CALL_LOG_START;
        err = record_for_all(tape, event, false);
    }
    return err;
}

static int record_extra(struct gmem__tape *tape, gmem_space *space, const struct gmem__extra *extra, bool gone)
{
    struct gmem__event event = {.eventfd = extra->eventfd};

    event.section.space = space;
    event.section.region = extra->region;
    event.section.first = extra->first;
    event.section.last = extra->last;
    event.section.offset = extra->offset;
    event.section.attrs = extra->attrs;
    if (extra->is_eventfd)
        event.call = gone ? GMEM__CALL_EVENTFD_DEL : GMEM__CALL_EVENTFD_ADD;
    else
        event.call = gone ? GMEM__CALL_COALESCED_DEL : GMEM__CALL_COALESCED_ADD;
    return record_for_all(tape, &event, gone);
}

static int record_extras(struct gmem__tape *tape, gmem_space *space, const struct gmem__extras *extras, bool gone)
{
    size_t i;
    int err = 0;

    for (i = 0; !err && i < extras->count; i++)
        err = record_extra(tape, space, &extras->items[i], gone);
    return err;
}

static int record_gone(struct gmem__tape *tape, gmem_space *space, const struct gmem__range *range)
{
    struct gmem__event event = {0};
    int err;

    gmem__range_section(range, space, &event.section);
    err = record_log(tape, &event, LOG_CLIENTS(range->attrs), 0);
    event.call = GMEM__CALL_REGION_DEL;
    return err ? err : record_for_all(tape, &event, true);
}

/* before is NULL for a range that is new. */
static int record_there(struct gmem__tape *tape, gmem_space *space, const struct gmem__range *before,
                        const struct gmem__range *after)
{
    struct gmem__event event = {.call = before ? GMEM__CALL_REGION_NOP : GMEM__CALL_REGION_ADD};
    int err;

    gmem__range_section(after, space, &event.section);
    err = record_for_all(tape, &event, false);
    return err ? err : record_log(tape, &event, before ? LOG_CLIENTS(before->attrs) : 0, LOG_CLIENTS(after->attrs));
}

int gmem__tape_space(struct gmem__tape *tape, gmem_space *space, const struct gmem__changes *changes)
{
    const struct gmem__changed *item;
    size_t i;
    int err;

    err = record_extras(tape, space, &changes->gone, true);
    for (i = 0; !err && i < changes->count; i++) {
        item = &changes->items[i];
        if (item->change == GMEM__CHANGE_DEL)
            err = record_gone(tape, space, &changes->before.items[item->before]);
    }
    for (i = 0; !err && i < changes->count; i++) {
        item = &changes->items[i];
        if (item->change != GMEM__CHANGE_DEL)
            err = record_there(tape, space,
                               item->change == GMEM__CHANGE_KEEP ? &changes->before.items[item->before] : NULL,
                               &changes->after.items[item->after]);
    }
    return err ? err : record_extras(tape, space, &changes->come, false);
}

/* Append the calls that going from one view to another makes in space. */
static int record_views(struct gmem__tape *tape, gmem_space *space, const gmem_view *before, const gmem_view *after,
                        uint64_t was_epoch)
{
    struct gmem__changes changes = {0};
    int err = 0;

    if (before)
        err = gmem__view_ranges(before, 0, GMEM__LAST, &changes.before);
    if (!err && after)
        err = gmem__view_ranges(after, 0, GMEM__LAST, &changes.after);
    if (!err)
        err = gmem__diff(&changes, 0, 0);
    if (!err)
        err = gmem__diff_extras(&changes, was_epoch);
    if (!err)
        err = gmem__tape_space(tape, space, &changes);
    gmem__changes_free(&changes);
    return err;
}

/* --- the end of what was told: at once, without memory --- */

struct ending {
    struct gmem__tape *tape;
    gmem_space *space;
    uint64_t was_epoch;
};

static int end_extra(void *opaque, const struct gmem__extra *extra)
{
    struct ending *ending = opaque;

    return record_extra(ending->tape, ending->space, extra, true);
}

static int end_intervals(void *opaque, const struct gmem__range *range)
{
    return gmem__range_intervals(range, ((struct ending *)opaque)->was_epoch, end_extra, opaque);
}

static int end_eventfds(void *opaque, const struct gmem__range *range)
{
    return gmem__range_eventfds(range, ((struct ending *)opaque)->was_epoch, end_extra, opaque);
}

static int end_range(void *opaque, const struct gmem__range *range)
{
    struct ending *ending = opaque;

    return record_gone(ending->tape, ending->space, range);
}

/* Calls that are made at once can't fail: there is no tape to run out of memory for. */
static void tell_end(struct gmem__tape *tape, gmem_space *space)
{
    const struct gmem__node *tree = gmem__space_view(space)->tree;
    struct ending ending = {tape, space, gmem__changed_was(tape->vm)};

    (void)gmem__tree_walk(tree, 0, GMEM__LAST, end_intervals, &ending);
    (void)gmem__tree_walk(tree, 0, GMEM__LAST, end_eventfds, &ending);
    (void)gmem__tree_walk(tree, 0, GMEM__LAST, end_range, &ending);
}

/*
 * Append one call without a section for every listener by rising priority; the ones who need not
 * hear it get none.
 */
static int record_bracket(struct gmem__tape *tape, enum gmem__call call)
{
    struct gmem__event event = {.call = call};
    struct gmem__link *link;
    int err = 0;

    for (link = tape->vm->listeners.next; !err && link != &tape->vm->listeners; link = link->next) {
        event.listener = GMEM__OF(link, struct gmem__listener, link);
        if (tape->only ? tape->only == event.listener : wants(event.listener->user, call))
            err = record(tape, &event);
    }
    return err;
}

/* Drop the begin and commit of those who had nothing to hear in between. */
static void prune_brackets(struct gmem__tape *tape)
{
    size_t i;

    for (i = 0; i < tape->count; i++) {
        if ((tape->events[i].call == GMEM__CALL_BEGIN || tape->events[i].call == GMEM__CALL_COMMIT) &&
            !tape->events[i].listener->heard)
            tape->events[i].call = GMEM__CALL_NONE;
    }
}

static void forget_heard(gmem_vm *vm)
{
    struct gmem__link *link;

    for (link = vm->listeners.next; link != &vm->listeners; link = link->next)
        GMEM__OF(link, struct gmem__listener, link)->heard = false;
}

bool gmem__listeners_want_nop(const gmem_vm *vm)
{
    const struct gmem__link *link;

    for (link = vm->listeners.next; link != &vm->listeners; link = link->next) {
        if (GMEM__OF(link, const struct gmem__listener, link)->user->region_nop)
            return true;
    }
    return false;
}

/* What a commit changes in one space. */
static int record_space(struct gmem__tape *tape, gmem_space *space, uint64_t was_epoch)
{
    const struct gmem__shown *shown = space->next_shown;

    if (shown)
        return record_views(tape, space, space->shown->view,
                            shown->next && shown->next->view ? shown->next->view : shown->view, was_epoch);
    shown = space->shown;
    return shown->next ? gmem__tape_space(tape, space, &shown->next->changes) : 0;
}

int gmem__tell_all(gmem_vm *vm, uint64_t was_epoch)
{
    struct gmem__tape tape = {.vm = vm};
    struct gmem__link *link;
    int err;

    if (gmem__link_empty(&vm->listeners))
        return 0;
    err = record_bracket(&tape, GMEM__CALL_BEGIN);
    forget_heard(vm);
    /* With nobody who hears all spaces, those that nobody hears cost nothing. */
    if (vm->hear_all > 0) {
        for (link = vm->spaces.next; !err && link != &vm->spaces; link = link->next)
            err = record_space(&tape, GMEM__OF(link, gmem_space, vm_link), was_epoch);
    } else {
        for (link = vm->heard.next; !err && link != &vm->heard; link = link->next)
            err = record_space(&tape, GMEM__OF(link, gmem_space, heard_link), was_epoch);
    }
    if (!err) {
        struct gmem__event commit = {.call = GMEM__CALL_COMMIT};

        for (link = vm->listeners.next; !err && link != &vm->listeners; link = link->next) {
            commit.listener = GMEM__OF(link, struct gmem__listener, link);
            if (commit.listener->heard)
                err = record(&tape, &commit);
        }
    }
    if (err) {
        err = gmem__refuse(vm, err, "no memory to tell the listeners");
    } else {
        prune_brackets(&tape);
        err = play(&tape);
    }
    free(tape.events);
    return err;
}

/* Of the spaces that are heard it is the next after those created before it. */
static void count_in(gmem_vm *vm, struct gmem__listener *listener)
{
    gmem_space *space = listener->space;
    struct gmem__link *link;

    if (!space) {
        vm->hear_all++;
        return;
    }
    if (space->listeners++ > 0)
        return;
    for (link = space->vm_link.next; link != &vm->spaces; link = link->next) {
        if (GMEM__OF(link, gmem_space, vm_link)->listeners > 0)
            break;
    }
    gmem__link_before(link == &vm->spaces ? &vm->heard : &GMEM__OF(link, gmem_space, vm_link)->heard_link,
                      &space->heard_link);
}

static void forget(gmem_vm *vm, struct gmem__listener *listener)
{
    gmem_space *space = listener->space;

    if (!space)
        vm->hear_all--;
    else if (--space->listeners == 0)
        gmem__link_remove(&space->heard_link);
    gmem__link_remove(&listener->link);
    free(listener);
}

/* Tell one listener that everything it hears is gone. */
static void tell_one_gone(gmem_vm *vm, struct gmem__listener *listener)
{
    struct gmem__tape tape = {.vm = vm, .only = listener, .now = true};
    struct gmem__link *link;
    gmem_space *space;
    int err;

    err = record_bracket(&tape, GMEM__CALL_BEGIN);
    for (link = vm->spaces.next; !err && link != &vm->spaces; link = link->next) {
        space = GMEM__OF(link, gmem_space, vm_link);
        if (listens(&tape, listener, space))
            tell_end(&tape, space);
    }
    if (!err && vm->global_log)
        err = record_bracket(&tape, GMEM__CALL_GLOBAL_STOP);
    if (!err)
        err = record_bracket(&tape, GMEM__CALL_COMMIT);
    (void)err; /* as in tell_end() */
}

void gmem__tell_gone(gmem_space *space)
{
    struct gmem__tape tape = {.vm = space->vm, .now = true};
    struct gmem__link *link, *next;
    struct gmem__listener *listener;
    struct gmem__event event = {0};

    for (link = space->vm->listeners.next; link != &space->vm->listeners; link = link->next) {
        event.call = GMEM__CALL_BEGIN;
        event.listener = GMEM__OF(link, struct gmem__listener, link);
        if (gmem__space_view(space)->count > 0 && listens(&tape, event.listener, space))
            make_call_anyway(space->vm, &event);
    }
    tell_end(&tape, space);
    for (link = space->vm->listeners.next; link != &space->vm->listeners; link = next) {
        next = link->next;
        listener = GMEM__OF(link, struct gmem__listener, link);
        event.call = GMEM__CALL_COMMIT;
        event.listener = listener;
        if (gmem__space_view(space)->count > 0 && listens(&tape, listener, space))
            make_call_anyway(space->vm, &event);
        if (listener->space == space)
            forget(space->vm, listener);
    }
}

static struct gmem__listener *find(gmem_vm *vm, const struct gmem_listener *user)
{
    struct gmem__link *link;

    for (link = vm->listeners.next; link != &vm->listeners; link = link->next) {
        if (GMEM__OF(link, struct gmem__listener, link)->user == user)
            return GMEM__OF(link, struct gmem__listener, link);
    }
    return NULL;
}

static int replay(gmem_vm *vm, struct gmem__listener *listener)
{
    struct gmem__tape tape = {.vm = vm, .only = listener};
    struct gmem__link *link;
    gmem_space *space;
    int err;

    err = record_bracket(&tape, GMEM__CALL_BEGIN);
    if (!err && vm->global_log)
        err = record_bracket(&tape, GMEM__CALL_GLOBAL_START);
    for (link = vm->spaces.next; !err && link != &vm->spaces; link = link->next) {
        space = GMEM__OF(link, gmem_space, vm_link);
        if (listens(&tape, listener, space))
            err = record_views(&tape, space, NULL, gmem__space_view(space), 0);
    }
    if (!err)
        err = record_bracket(&tape, GMEM__CALL_COMMIT);
    err = err ? gmem__refuse(vm, err, "no memory to replay to a listener") : play(&tape);
    free(tape.events);
    return err;
}

static int register_new(gmem_vm *vm, gmem_space *space, struct gmem_listener *user)
{
    struct gmem__listener *listener;
    struct gmem__link *at;
    int err;

    if (find(vm, user))
        return gmem__refuse(vm, -EEXIST, "listener \"%s\" is registered", user->name ? user->name : "");
    listener = calloc(1, sizeof(*listener));
    if (!listener)
        return gmem__refuse(vm, -ENOMEM, "no memory for a listener");
    listener->user = user;
    listener->space = space;
    for (at = vm->listeners.next; at != &vm->listeners; at = at->next) {
        if (GMEM__OF(at, struct gmem__listener, link)->user->priority > user->priority)
            break;
    }
    gmem__link_before(at, &listener->link);
    count_in(vm, listener);
    err = replay(vm, listener);
    if (err)
        forget(vm, listener);
    return err;
}

int gmem_listener_register(gmem_vm *vm, gmem_space *space, struct gmem_listener *listener)
{
    int err;

    if (!vm || !listener)
        return -EINVAL;
    if (listener->struct_size != sizeof(*listener))
        return gmem__refuse(vm, -EINVAL, "a listener of an unknown size");
    if (!listener->region_add != !listener->region_del)
        return gmem__refuse(vm, -EINVAL, "a listener needs region_add and region_del, or neither");
    if (space && space->vm != vm)
        return gmem__refuse(vm, -EXDEV, "space \"%s\" belongs to another vm", space->name);
    err = gmem__turn_acquire(vm);
    if (err)
        return err;
    if (vm->savepoint_count > 0)
        err = gmem__refuse(vm, -EBUSY, "a listener can't be registered inside a transaction");
    else
        err = register_new(vm, space, listener);
    gmem__turn_release(vm);
    return err;
}

void gmem_listener_unregister(gmem_vm *vm, struct gmem_listener *listener)
{
    struct gmem__listener *found;

    if (!vm || !listener || gmem__turn_acquire(vm))
        return;
    found = find(vm, listener);
    if (found) {
        tell_one_gone(vm, found);
        forget(vm, found);
    }
    gmem__turn_release(vm);
}

int gmem__tell_global(gmem_vm *vm, bool on)
{
    struct gmem__tape tape = {.vm = vm};
    int err = record_bracket(&tape, on ? GMEM__CALL_GLOBAL_START : GMEM__CALL_GLOBAL_STOP);

    err = err ? gmem__refuse(vm, err, "no memory to tell the listeners") : play(&tape);
    free(tape.events);
    return err;
}
