/* SPDX-License-Identifier: MIT */
/*
 * listener.h - registered listeners, and the tape: the calls one commit makes, in order.
 */
#ifndef GMEM_SRC_LISTENER_H
#define GMEM_SRC_LISTENER_H

#include "diff.h"
#include "space.h"
#include <gmem/listener.h>

struct gmem__listener {
    struct gmem__link link; /* in vm->listeners */
    struct gmem_listener *user;
    gmem_space *space; /* NULL: all */
    bool heard;        /* scratch while a tape is built: it has something to hear */
};

enum gmem__call {
    GMEM__CALL_NONE,
    GMEM__CALL_BEGIN,
    GMEM__CALL_COMMIT,
    GMEM__CALL_REGION_ADD,
    GMEM__CALL_REGION_DEL,
    GMEM__CALL_REGION_NOP,
    GMEM__CALL_LOG_START,
    GMEM__CALL_LOG_STOP,
    GMEM__CALL_GLOBAL_START,
    GMEM__CALL_GLOBAL_STOP,
    GMEM__CALL_EVENTFD_ADD,
    GMEM__CALL_EVENTFD_DEL,
    GMEM__CALL_COALESCED_ADD,
    GMEM__CALL_COALESCED_DEL,
};

struct gmem__event {
    enum gmem__call call;
    struct gmem__listener *listener;
    struct gmem_section section;
    struct gmem_eventfd eventfd;
    unsigned before, after; /* clients that log */
};

/* Where the calls that a change of a space makes go, in order: recorded on a tape, or made at once. */
struct gmem__tape {
    gmem_vm *vm;
    struct gmem__listener *only; /* NULL: every listener */
    bool now;                    /* make the calls at once, ignoring refusals, instead of recording */
    struct gmem__event *events;
    size_t count, room;
};

/* Append the calls that the changes make in space. -ENOMEM. */
int gmem__tape_space(struct gmem__tape *tape, gmem_space *space, const struct gmem__changes *changes) GMEM_MUST_CHECK;

/* Tell that everything is logged, or not any more. With the turn; a refusal, or -ENOMEM, is undone. */
int gmem__tell_global(gmem_vm *vm, bool on) GMEM_MUST_CHECK;

/* One call was made. section is NULL where it has none. In the callback's place: edits are refused. */
void gmem__trace_call(gmem_vm *vm, const struct gmem_listener *user, const char *call,
                      const struct gmem_section *section, int err);

/* Whether some listener asks for region_nop. */
bool gmem__listeners_want_nop(const gmem_vm *vm);

/*
 * commit.c's whole use of listeners: record what changes in every space, call begin
 * on those who have something to hear, the calls, commit. A refusal plays it backwards and is
 * returned.
 */
int gmem__tell_all(gmem_vm *vm, uint64_t was_epoch) GMEM_MUST_CHECK;
/* Tell that space shows nothing any more, ignoring refusals; then forget the listeners of it alone. */
void gmem__tell_gone(gmem_space *space);

#endif
