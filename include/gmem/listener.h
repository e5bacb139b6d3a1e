/* SPDX-License-Identifier: MIT */
/*
 * gmem/listener.h - hearing exactly what a commit changes, and refusing it.
 *
 * A listener hears one space or all. Per outermost commit that changes something it hears (G4):
 *
 *   begin
 *   coalesced_del, eventfd_del     what goes, by falling listener priority
 *   log_stop, region_del           ranges gone or changed, by rising address; by falling listener priority
 *   region_add, log_start          ranges new or changed, by rising address; by rising listener priority
 *   region_nop, log_start/stop     unchanged ranges, only for those who ask for region_nop; a range of which only the set
 *                                  of logging clients changed gets log_start and/or log_stop, with both sets
 *   eventfd_add, coalesced_add
 *   commit
 *
 * space by space in the order of their creation. A listener of lower priority hears additions
 * earlier and removals later. Callbacks that are NULL are skipped; begin and commit are called only
 * around at least one other call, but always when the listener is registered or unregistered or a
 * space that shows something ends.
 *
 * Refusing. Every callback returns 0 or a negative errno. A refusal undoes the whole commit (G1,
 * G5): the calls already made are played backwards, each turned into its opposite (add and del,
 * start and stop; begin and commit are each other's opposite), so that each listener sees a second,
 * well-formed sequence that brings it back. A call that refused must have changed nothing and is
 * not undone. Refusals during the undo are logged and ignored.
 *
 * Callbacks run on the committing thread, which holds the vm's writer turn, before the new view is
 * published: accesses made from them see the old map. They must not edit the vm (-EBUSY), register
 * or unregister. The section is valid during the call; its region stays alive until the matching
 * region_del has returned and longer if the listener takes a reference.
 */
#ifndef GMEM_LISTENER_H
#define GMEM_LISTENER_H

#include <gmem/region.h>
#include <gmem/space.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gmem_listener;

/* An eventfd as seen in a space: its section is the size bytes (1 if size is 0) it listens at. */
typedef int gmem_listener_eventfd_fn(struct gmem_listener *listener, const struct gmem_section *section,
                                     const struct gmem_eventfd *eventfd);
typedef int gmem_listener_section_fn(struct gmem_listener *listener, const struct gmem_section *section);
/* before and after are sets of clients, one bit each. */
typedef int gmem_listener_log_fn(struct gmem_listener *listener, const struct gmem_section *section, unsigned before,
                                 unsigned after);
typedef int gmem_listener_fn(struct gmem_listener *listener);

/*
 * Allocated and kept by the caller until it is unregistered; zero what is not used. Only the library
 * touches undoing and reserved.
 */
struct gmem_listener {
    size_t struct_size; /* sizeof(struct gmem_listener) */
    const char *name;   /* for diagnostics; borrowed */
    void *opaque;       /* the caller's own */
    int32_t priority;

    gmem_listener_fn *begin;
    gmem_listener_fn *commit;
    gmem_listener_section_fn *region_del;
    gmem_listener_section_fn *region_add;
    gmem_listener_section_fn *region_nop; /* non-NULL asks to hear every unchanged range as well */
    gmem_listener_log_fn *log_start;
    gmem_listener_log_fn *log_stop;
    gmem_listener_section_fn *log_sync;  /* bring this section's dirty log up to date */
    gmem_listener_section_fn *log_clear; /* forget of this section's dirty log what log_sync passed on, and no more */
    gmem_listener_fn *log_global_start;
    gmem_listener_fn *log_global_stop;
    gmem_listener_eventfd_fn *eventfd_add;
    gmem_listener_eventfd_fn *eventfd_del;
    gmem_listener_section_fn *coalesced_add;
    gmem_listener_section_fn *coalesced_del;

    /* Set by the library around every call of an undo, so that a listener need not guess. */
    bool undoing;

    void *reserved[4];
};

/*
 * Register for one space, or for all of vm's (space NULL), present and future. Everything there is
 * now is replayed as one commit: begin, log_global_start if that is on, region_add (and log_start)
 * of every range by rising address, every eventfd, every coalesced interval, commit. A refusal is
 * undone and returned, and the listener is then not registered.
 *
 * -EINVAL  a NULL argument, struct_size unknown, region_del without region_add or the reverse
 * -EEXIST  it is registered
 * -EBUSY   called from a listener callback, or inside an open transaction of this thread
 * -EXDEV   space is not of this vm
 * -ENOMEM  out of memory
 */
GMEM_API int gmem_listener_register(gmem_vm *vm, gmem_space *space, struct gmem_listener *listener) GMEM_MUST_CHECK;

/*
 * Unregister: the listener hears the removal of everything, as one commit. Its refusals are logged
 * and ignored. Does nothing if it is not registered. Not from a listener callback or inside a
 * transaction.
 */
GMEM_API void gmem_listener_unregister(gmem_vm *vm, struct gmem_listener *listener);

/*
 * Switch dirty logging of everything on or off. While it is on, GMEM_LOG_MIGRATION has every RAM block logged
 * (gmem/dirty.h), those that are made later too, without a wish of any region: nothing is rendered, and no
 * section shows it. Listeners hear log_global_start or log_global_stop when that changes something, without
 * begin and commit. A refusal is undone and returned; out of memory (a bitmap of each block), it stays off. Not an
 * edit: inside a transaction it takes effect at once, and an abort does not undo it.
 *
 * -EINVAL  vm is NULL
 * -EBUSY   called from a listener callback
 * -ENOMEM  out of memory
 * -EIO     the kernel refuses membarrier(2); see gmem/dirty.h
 */
GMEM_API int gmem_vm_set_global_log(gmem_vm *vm, bool on) GMEM_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
