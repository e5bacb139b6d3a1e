/* SPDX-License-Identifier: MIT */
/*
 * gmem/trace.h - what a vm does, as it does it: one stream of events, to a callback and to USDT probes.
 *
 * Where the library was built with sys/sdt.h (the Meson option "usdt"), each kind but USER is also a probe of provider gmem,
 * named as the kind is in small letters (commit_begin), whose arguments gmem_trace(3) lists. Probes need no callback, and are
 * found by perf(1), bpftrace(8) and gdb(1) in the library's file. What is not traced costs a branch, or nothing.
 */
#ifndef GMEM_TRACE_H
#define GMEM_TRACE_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gmem_guard;
struct gmem_section;

enum gmem_trace_kind {
    GMEM_TRACE_COMMIT_BEGIN = 0,     /* commit: an outermost commit has something to render */
    GMEM_TRACE_COMMIT_END = 1,       /* commit: published */
    GMEM_TRACE_COMMIT_REFUSED = 2,   /* commit: undone, err says why */
    GMEM_TRACE_VIEW_PUBLISHED = 3,   /* view */
    GMEM_TRACE_LISTENER_CALL = 4,    /* listener: after the call */
    GMEM_TRACE_MMIO_READ = 5,        /* mmio: after the device was called, or refused */
    GMEM_TRACE_MMIO_WRITE = 6,       /* mmio */
    GMEM_TRACE_RAM_CREATED = 7,      /* ram */
    GMEM_TRACE_RAM_ENDED = 8,        /* ram: before its memory goes */
    GMEM_TRACE_RAM_RESIZED = 9,      /* ram */
    GMEM_TRACE_SLOT = 10,            /* slot: after the call */
    GMEM_TRACE_DIRTY_SYNC = 11,      /* dirty: listeners are about to be asked for it */
    GMEM_TRACE_EVENTFD = 12,         /* eventfd: signalled by the library */
    GMEM_TRACE_COALESCED_FLUSH = 13, /* coalesced: queued writes were delivered */
    GMEM_TRACE_GUARD_REFUSED = 14,   /* refused */
    GMEM_TRACE_USER = 15,            /* user: of a monitor's own; the library makes none */
};

/* Of a mask. */
#define GMEM_TRACE_BIT(kind) (1u << (kind))
#define GMEM_TRACE_ALL 0xffffu

/* Pointers are borrowed for the call. */
struct gmem_trace_event {
    enum gmem_trace_kind kind;
    union {
        struct {
            size_t edits; /* regions changed since the outermost begin, each counted as often as it was */
            int err;
        } commit;
        struct {
            const gmem_region *root; /* what is shown; NULL: nothing */
            size_t ranges;           /* in the whole view */
            uint64_t first, last;    /* the addresses in which it differs from the one before */
        } view;
        struct {
            const char *name;                   /* the listener's, or "" */
            const char *call;                   /* "region_add" and so on */
            const struct gmem_section *section; /* NULL: begin, commit and what has none */
            int err;                            /* what it answered */
        } listener;
        struct {
            const gmem_region *region;
            uint64_t addr;   /* in the space */
            uint64_t offset; /* in the region */
            uint64_t value;  /* in the device's byte order */
            unsigned size;   /* bytes, as the bus cut the access */
            gmem_result result;
        } mmio;
        struct {
            const char *id;
            uint64_t size;     /* bytes, now */
            uint64_t old_size; /* RESIZED: before */
        } ram;
        struct {
            uint32_t slot; /* with the address space in the upper 16 bits, and flags: as the kernel is told */
            uint32_t flags;
            uint64_t gpa, size, host; /* size 0: removed; host of a dry run: see ram_offsets in gmem/kvm.h */
            int err;
        } slot;
        struct {
            const gmem_region *region; /* NULL: all */
            bool clear;                /* log_clear of [first, last] of the region, else log_sync */
            uint64_t first, last;
        } dirty;
        struct {
            const gmem_region *region;
            uint64_t offset, data;
            unsigned size; /* of the write */
        } eventfd;
        struct {
            const struct gmem_guard *guard;
            unsigned count; /* of writes */
        } coalesced;
        struct {
            const struct gmem_guard *guard; /* NULL: too deep */
            const gmem_region *region;      /* may be NULL if it was too deep */
            uint64_t addr;
        } refused;
        struct {
            uint32_t id;
            const void *data;
            size_t size; /* bytes */
        } user;
    } u;
};

/*
 * Receives events on the thread that they happen on, several at a time if several threads make them, also inside commits and
 * accesses. It may read guest memory; accesses that it makes are not traced. It may not edit the vm: in a commit that gives
 * -EBUSY. It must not block.
 */
typedef void gmem_trace_fn(void *opaque, gmem_vm *vm, const struct gmem_trace_event *event);

/*
 * Have fn called for the kinds of mask (GMEM_TRACE_BIT()) from now on, in place of what was set before. NULL, or an empty
 * mask: no more. When the call returns the one before is not called any more, nor running.
 *
 * -EINVAL  vm is NULL, or mask has a bit that is no kind's
 * -EBUSY   there is one to wait for, and this is called from inside a callback of the library or a transaction of the
 *          caller's, for which it might have to wait in turn
 * -ENOMEM  out of memory
 */
GMEM_API int gmem_vm_set_trace(gmem_vm *vm, uint32_t mask, gmem_trace_fn *fn, void *opaque) GMEM_MUST_CHECK;

/*
 * Put an event of one's own into the stream of a vm: who asked for its kind receives it. Any kind: libgmem-kvm
 * makes those of slots. Any thread.
 */
GMEM_API void gmem_trace_emit(gmem_vm *vm, const struct gmem_trace_event *event);

/* Whether somebody asked for kind, so that an event need not be made for nobody. Any thread. */
GMEM_API bool gmem_trace_wanted(gmem_vm *vm, enum gmem_trace_kind kind);

/* The kind in small letters, as its probe is named. Static text; "" for what is none. */
GMEM_API const char *gmem_trace_name(enum gmem_trace_kind kind);

#ifdef __cplusplus
}
#endif

#endif
