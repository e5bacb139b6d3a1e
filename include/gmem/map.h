/* SPDX-License-Identifier: MIT */
/*
 * gmem/map.h - guest memory as host pointers: for devices that master the bus.
 *
 * An interval of guest addresses is rarely one piece of host memory: a buffer may lie over the seam of two blocks, over a
 * device's registers, over nothing. There are two ways to use it without copying what need not be copied.
 *
 * gmem_segments() says what is there, piece by piece, and does nothing: for scatter-gather lists. gmem_map() gives host
 * memory for the first part of an interval, whatever is there: where the guest's memory can't be used directly it is a
 * bounce buffer, read from the device when it is mapped, or written to it when it is unmapped. A caller that goes through
 * an interval by maps, or by pieces (gmem_segment_read() and gmem_segment_write() where there is no pointer), has the effect of gmem_space_rw(): the
 * same memory, the same calls of devices.
 *
 * Both translate once and see one view (G2). What they found stays what it is until it is given back, whatever is
 * remapped meanwhile: the host memory stays valid, and the region with its owner alive (G7). They hold counted
 * references and no read section, so they may be kept for as long as a transfer takes, and given back by any thread.
 *
 * Any thread, also from inside device and listener callbacks. Nothing here waits for a commit. Translating takes no lock;
 * taking a bounce buffer and giving it back takes one of the space's own, for a moment.
 *
 * The interval must end at 2^64 - 1 or below: -EOVERFLOW. Whoever goes on behind a piece that ends there would come to
 * address 0. (gmem_space_rw() takes such an interval, and finds nothing in its end.)
 *
 * The end. Segments that have host memory, and maps that are no bounce buffer, may be used and given back when their space
 * is gone. Bounce buffers must be unmapped, and waiters cancelled, before gmem_space_destroy(); everything before
 * gmem_vm_destroy().
 */
#ifndef GMEM_MAP_H
#define GMEM_MAP_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A part of one range of a view, or of a gap between ranges. Pieces are never joined over the end of a range, also where
 * host memory goes on. Where the range is an iommu region (gmem/iommu.h), a piece is what is behind it, and ends with the page
 * that was translated. What is not permitted has no region, and accesses of it are GMEM_RESULT_DENIED.
 */
struct gmem_segment {
    uint64_t addr; /* in the space given */
    uint64_t size; /* bytes, at least 1 */
    /*
     * The host memory, size bytes: what gmem_space_rw() would read or write directly. NULL: no host memory, or none for
     * this direction (rom and what is readonly can't be written, romd only by callback); then gmem_segment_read() or
     * gmem_segment_write() makes the access.
     */
    void *host;
    gmem_region *region;      /* a reference is held; NULL: nothing is seen there */
    uint64_t offset;          /* of addr in the region */
    gmem_space *space;        /* that region is seen in: the one given, or where an iommu region leads */
    uint32_t attrs;           /* GMEM_RANGE_* (gmem/space.h) */
    uint32_t denied;          /* GMEM_SEGMENT_*: what an iommu region on the way does not permit */
    struct gmem_attrs access; /* as given to gmem_segments() */
};
#define GMEM_SEGMENT_READ 0x1u
#define GMEM_SEGMENT_WRITE 0x2u

/*
 * What is at size bytes from addr on, for writing or reading as is_write says: pieces by rising address, without gaps,
 * in segments, which has room for that many. *ret_count is how many there are, *ret_covered the bytes they make: size, or
 * less if there was no room for all; then the caller goes on at addr + *ret_covered. (The pieces of the next call may be
 * those of a later view.) Every piece must be given back by gmem_segments_release(). size may be 0: no pieces.
 *
 * -EINVAL     a NULL argument, or room is 0
 * -EOVERFLOW  the interval reaches past 2^64 - 1
 */
GMEM_API int gmem_segments(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t size, bool is_write,
                           struct gmem_segment *segments, size_t room, size_t *ret_count,
                           uint64_t *ret_covered) GMEM_MUST_CHECK;

/*
 * Read or write size bytes of a piece, from skip on, as gmem_space_read() or gmem_space_write() of the same view would: also
 * where it has no host memory, and in the other direction than it was asked for. What is beyond the piece is treated as
 * unassigned. What a write writes is marked dirty, and need not be counted as written when the piece is released.
 */
GMEM_API gmem_result gmem_segment_read(const struct gmem_segment *segment, uint64_t skip, void *buf, uint64_t size);
GMEM_API gmem_result gmem_segment_write(const struct gmem_segment *segment, uint64_t skip, const void *buf,
                                        uint64_t size);

/*
 * Give count pieces back. The first written bytes of them, in their order, were written by the caller through host: those
 * pages are marked dirty. 0 for reading. To mark other bytes than the first, release piece by piece. Pieces that were
 * given back (their region and host are then NULL) count for their bytes, and nothing else.
 */
GMEM_API void gmem_segments_release(struct gmem_segment *segments, size_t count, uint64_t written);

/*
 * A bounce buffer holds at most this many bytes, and a space has this many of them unless struct gmem_space_options says
 * otherwise.
 */
#define GMEM_BOUNCE_SIZE 4096u
#define GMEM_BOUNCE_BUFFERS 16u

/* Kept by the caller from gmem_map() to gmem_unmap(); it may be copied, and one copy unmapped. */
struct gmem_map {
    void *host;                  /* size bytes; aligned as the guest's memory, or for any type */
    uint64_t size;               /* 1 to what was asked for */
    gmem_result result;          /* of reading a bounce buffer; else GMEM_OK */
    bool bounced;                /* host is a bounce buffer */
    bool is_write;               /* as asked */
    gmem_space *space;           /* whose it is */
    struct gmem_segment segment; /* what is behind it */
};

/*
 * Map the first part of size bytes at addr, for writing or for reading as is_write says. The caller uses host and unmaps,
 * and goes on at addr + ret_map->size for the rest, with this part unmapped or not.
 *
 * Host memory that gmem_space_rw() would use directly is mapped itself, up to the end of its range. Everything else
 * (devices, romd that goes through callbacks, writing to rom or readonly memory, reserved regions, nothing) is mapped as a
 * bounce buffer of up to GMEM_BOUNCE_SIZE bytes, up to the end of the range or gap, and cut only where an access of the
 * device would be cut as well. For reading it is filled at once, as by gmem_segment_read(); unassigned and refused bytes are
 * what the space says, and result is what a read gives. For writing it is zero.
 *
 * -EINVAL     a NULL argument, or size is 0
 * -EOVERFLOW  the interval reaches past 2^64 - 1
 * -EAGAIN     a bounce buffer is needed, and all of the space's are mapped: gmem_map_wait(). Nothing was read
 * -ENOMEM     no memory for a bounce buffer. Nothing was read
 */
GMEM_API int gmem_map(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t size, bool is_write,
                      struct gmem_map *ret_map) GMEM_MUST_CHECK;

/*
 * End a map of which the first written bytes were written (more than size counts as size; of no meaning for reading). They
 * are marked dirty or, of a bounce buffer, written to what was mapped: the result is then gmem_segment_write()'s, and else
 * GMEM_OK. host is NULL afterwards; unmapping such a map does nothing. A bounce buffer that is given back may have waiters
 * called.
 */
GMEM_API gmem_result gmem_unmap(struct gmem_map *map, uint64_t written);

/*
 * Wants to hear when a bounce buffer of a space is free. The caller's; kept, and not touched by others, from
 * gmem_map_wait() until fn is called or it is cancelled. Zero what is not named here. fn may map, unmap, wait again (also
 * with the same waiter), cancel, edit the vm and free the waiter; it should not block, since others wait behind it.
 */
struct gmem_map_waiter {
    void (*fn)(void *opaque);
    void *opaque;

    /* The library's. */
    struct gmem_map_waiter *prev, *next;
    bool waiting;
};

/*
 * Have waiter->fn called once, as soon as a bounce buffer of space is free: at once if one is. Waiters are called in the
 * order in which they came, one at a time, without a lock, each if a buffer is free after the one before it was called; on
 * a thread that unmaps a bounce buffer or calls this function, maybe inside this very call. A call is a hint: another
 * thread may have taken the buffer, and gmem_map() give -EAGAIN again. No buffer becomes free unnoticed between that and
 * waiting again. Nothing that is called so recurses: what fn frees is handed on after it has returned.
 *
 * Unmap what the transfer has mapped before waiting: two that each hold what the other waits for wait for ever.
 *
 * -EINVAL  a NULL argument, also fn
 * -EBUSY   it is waiting already
 */
GMEM_API int gmem_map_wait(gmem_space *space, struct gmem_map_waiter *waiter) GMEM_MUST_CHECK;

/*
 * True: it was waiting, and its call will not come. False: it was not waiting; its call was made, if it waited before.
 * Either way no call of it runs when this returns, but for the one that this is called from: a call that runs on another
 * thread is waited for. So the caller must hold no lock that fn takes.
 */
GMEM_API bool gmem_map_wait_cancel(gmem_space *space, struct gmem_map_waiter *waiter);

#ifdef __cplusplus
}
#endif

#endif
