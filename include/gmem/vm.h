/* SPDX-License-Identifier: MIT */
/*
 * gmem/vm.h - a vm: everything that belongs to one guest, and the transactions that change it.
 *
 * Any number of vms live in one process and share nothing. A vm owns its regions, RAM blocks, spaces and
 * listeners.
 *
 * Threads. Every call may come from any thread. Edits (everything that changes topology, spaces or
 * listeners) are serialised by the vm's writer turn: gmem_vm_begin() waits for it, the outermost
 * gmem_vm_commit() or gmem_vm_abort() of the same thread gives it up; an edit outside a transaction
 * takes the turn for itself. Accesses of the guest (access.h, gmem_space_lookup(),
 * gmem_space_view()) never take it and never wait (G2).
 */
#ifndef GMEM_VM_H
#define GMEM_VM_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum gmem_log_level {
    GMEM_LOG_DEBUG = 0,
    GMEM_LOG_INFO = 1,
    GMEM_LOG_WARNING = 2,
    GMEM_LOG_ERROR = 3,
};

/*
 * Receives one line of diagnostics, without a newline; text is valid only during the call. Called
 * from any thread, also inside a commit: it may read guest memory but not edit the vm.
 */
typedef void gmem_log_fn(void *opaque, enum gmem_log_level level, const char *text);

struct gmem_vm_options {
    size_t struct_size;      /* sizeof(struct gmem_vm_options) */
    enum gmem_endian endian; /* the guest's byte order; GMEM_ENDIAN_NATIVE means little */
    gmem_log_fn *log;        /* NULL: diagnostics are dropped */
    void *log_opaque;
    uint64_t
        backlog_max; /* bytes of replaced views that may wait for readers; 0: GMEM_BACKLOG_DEFAULT; see gmem_vm_begin() */
};

#define GMEM_BACKLOG_DEFAULT (64u << 20)

/*
 * Create a vm. options may be NULL for the defaults. On success *ret_vm is the caller's, to be ended with
 * gmem_vm_destroy().
 *
 * -EINVAL  ret_vm is NULL, an option is out of range, or struct_size is larger than this library knows and the tail is
 *          not zero
 * -ENOMEM  out of memory
 */
GMEM_API int gmem_vm_create(const struct gmem_vm_options *options, gmem_vm **ret_vm) GMEM_MUST_CHECK;

/*
 * End a vm: listeners are unregistered (they hear the removals), spaces, regions and RAM blocks are
 * freed whatever references on them are still held, owners get their last unref. Views, lookups,
 * maps and segments must have been given back. Nothing of the vm may be used during or after the call, by any thread.
 * Waits for readers and for deferred frees; so it must not be called from a callback of the
 * library. NULL is allowed.
 */
GMEM_API void gmem_vm_destroy(gmem_vm *vm);

/*
 * Open a transaction, or nest into the one that this thread has open. Waits while another thread
 * has one. Edits made inside are seen by later edits at once, by guests and listeners at the
 * outermost commit.
 *
 * What a commit replaces is freed after the readers of that moment. While more than the vm's backlog_max bytes wait
 * for that, the outermost begin (also that of an edit without a transaction) is held back for up to 0.1
 * seconds, or, when it is in a device callback, the access is, after the callback, for 0.01. At four
 * times as much begin is refused: so a guest that makes the map change in a loop can't use memory up,
 * even while a callback of another thread blocks.
 *
 * -EAGAIN  readers, or device callbacks, that do not end keep too much from being freed
 * -EBUSY   called from inside a listener callback (which runs inside a commit)
 * -ENOMEM  out of memory
 */
GMEM_API int gmem_vm_begin(gmem_vm *vm) GMEM_MUST_CHECK;

/*
 * Close the innermost transaction of this thread. The outermost one renders what changed, tells the
 * listeners and then publishes the new views (G4, G5). Fails as a whole (G1): on error every edit
 * since the outermost begin is undone, listeners are back where they were, nothing was published,
 * and the transaction is over.
 *
 * -EINVAL  this thread has no transaction open
 * -ENOMEM  out of memory
 * -E2BIG   containers and aliases are nested deeper than GMEM_DEPTH_MAX, or make more than GMEM_PLACEMENTS_MAX pieces
 * other    whatever a listener refused with
 */
GMEM_API int gmem_vm_commit(gmem_vm *vm) GMEM_MUST_CHECK;

/*
 * Close the innermost transaction of this thread and undo the edits made since its begin, nested
 * ones included. Nothing is told to anybody. Without an open transaction it does nothing.
 */
GMEM_API void gmem_vm_abort(gmem_vm *vm);

/* Deepest nesting of containers and aliases that a commit takes. */
#define GMEM_DEPTH_MAX 128u
/* Most pieces (a region, containers and aliases included, once for each way it is shown) that one root may have. */
#define GMEM_PLACEMENTS_MAX (1u << 24)

/*
 * Copy the text that says why the vm's latest refused edit or commit was refused, by whichever
 * thread, into buf (size bytes, NUL-terminated, cut if need be). Empty when nothing was refused
 * yet. Returns the negative errno value refused with, or 0. buf may be NULL when size is 0.
 */
GMEM_API int gmem_vm_reason(gmem_vm *vm, char *buf, size_t size);

/*
 * Counters of a vm, for tests, benches and curiosity. All count from its creation. The last seven
 * are what commits cost, refused ones included, counted in things looked at (G10).
 */
struct gmem_vm_stats {
    uint64_t commits;         /* outermost commits that had something to render */
    uint64_t commits_refused; /* of these, undone */
    uint64_t views_rendered;  /* views rendered, also those found equal to the old one */
    uint64_t views_published; /* views that replaced another */
    uint64_t listener_calls;  /* callbacks called, undo included */
    uint64_t regions;         /* regions alive now */
    uint64_t backlog;         /* bytes of replaced views that wait for readers now, about */
    uint64_t spaces_visited;  /* spaces looked at because an edit may change which region roots come down to */
    uint64_t regions_climbed; /* regions passed on the ways up from an edited one to what is shown */
    uint64_t regions_visited; /* regions met by rendering on its ways down, in a container's index too */
    uint64_t ranges_rendered; /* ranges found by rendering, also those that are as they were */
    uint64_t ranges_compared; /* ranges of the views before that these were compared with */
    uint64_t nodes_visited;   /* nodes of views' trees that were taken apart or dropped */
    uint64_t nodes_copied;    /* nodes of views' trees that were made */
    uint64_t reentrant;       /* accesses refused because they came back to their device, or nested too deep */
};

/*
 * Read the counters into *ret_stats. Any thread; the figures are of one moment only while no other
 * thread edits.
 */
GMEM_API void gmem_vm_stats(gmem_vm *vm, struct gmem_vm_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
