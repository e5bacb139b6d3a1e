/* SPDX-License-Identifier: MIT */
/*
 * gmem/discard.h - RAM of which parts have no memory: what is populated, who is told, and giving memory back.
 *
 * A ram region can be made discardable: each granule of it is populated or discarded. Who has memory of the region mapped or
 * pinned elsewhere (a pass-through device, another process) listens: it hears of each interval before the guest may use it,
 * and before its memory is given back. Discarding gives the host's memory back, so that what is read there is zero.
 *
 * The state is for listeners and whoever asks. The map does not change, and accesses are not refused: reading what is discarded gives
 * zeros, and writing there takes memory again, which nobody was told of. The guest's driver must not do that.
 *
 * Dirty log: a page that is discarded is marked dirty for all clients that have a bitmap, because it reads as zero
 * now. Populating marks nothing.
 *
 * The host's memory is given back as the block's backing needs it: anonymous and private memory by madvise(2) MADV_DONTNEED,
 * memfds and shared files by fallocate(2) FALLOC_FL_PUNCH_HOLE; where the host refuses either, it is written with zeros, and a warning
 * logged. Memory of the caller (GMEM_RAM_CALLER) is not the library's to give back, and a private file would show its contents
 * and not zeros: those regions can't be made discardable.
 *
 * Populating, discarding, registering and unregistering have the vm's writer turn: one at a time. From a listener callback
 * of a commit, only registering and unregistering may be called; from callbacks of these listeners, none. Not edits: inside a
 * transaction they take effect at once, and an abort does not undo them.
 */
#ifndef GMEM_DISCARD_H
#define GMEM_DISCARD_H

#include <gmem/region.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gmem_discard_options {
    size_t struct_size; /* sizeof(struct gmem_discard_options) */
    uint64_t granule;   /* bytes: a power of two, and a multiple of the block's page size; 0: that */
    bool populated;     /* what it is at first: all populated or (default) all discarded; its memory is left alone */
};

/*
 * Make a ram region discardable, for as long as it lives. options may be NULL. Only one region of a block can be. Its size does not
 * change any more: gmem_region_resize() refuses it, as no listener would hear of what comes and goes.
 *
 * -EINVAL      a NULL argument, unknown options, or a bad granule (huge pages: it is smaller than them)
 * -EOPNOTSUPP  it is no ram region; or its block is the caller's, a private file, or resizable
 * -EEXIST      it, or another region of the block, is discardable already
 * -EBUSY       from a listener callback; or the transaction that this thread has open has resized the region
 * -ENOMEM      out of memory
 */
GMEM_API int gmem_discard_create(gmem_region *region, const struct gmem_discard_options *options) GMEM_MUST_CHECK;

/*
 * Populate all that is discarded in [first, last] of the region, which begins and ends with a granule (or ends with the region).
 * Listeners hear of each discarded run, by rising address and in the order in which they were registered; if one refuses,
 * those who heard are told to discard it again, latest first, and its errno is returned: nothing has changed (G1). What is
 * populated already is not told.
 *
 * -EINVAL  a NULL argument, first is above last, or not at a granule's ends
 * -ERANGE  it is not inside the region
 * -ENOENT  region is not discardable
 * -EBUSY   from a callback
 * -ENOMEM  out of memory
 */
GMEM_API int gmem_discard_populate(gmem_region *region, uint64_t first, uint64_t last) GMEM_MUST_CHECK;

/*
 * Discard all that is populated in [first, last]: listeners hear of each run, by rising address and latest registered first; then
 * its memory is given back. Errors as above, and:
 *
 * -EBUSY  also: discarding is disabled (gmem_discard_disable()); nothing was told
 */
GMEM_API int gmem_discard_discard(gmem_region *region, uint64_t first, uint64_t last) GMEM_MUST_CHECK;

/*
 * The caller's, kept until it is unregistered; zero what is not named here. Intervals are in the region, and clipped to the listener's.
 * populate returns 0 or a negative errno; a refusal must have changed nothing. Called with the vm's writer turn held, before the
 * state changes.
 */
struct gmem_discard_listener {
    int (*populate)(struct gmem_discard_listener *listener, gmem_region *region, uint64_t first, uint64_t last);
    void (*discard)(struct gmem_discard_listener *listener, gmem_region *region, uint64_t first, uint64_t last);
    void *opaque;
    uint64_t first, last; /* what it wants to hear of; beyond the region's end there is nothing */

    /* The library's. */
    struct gmem_discard_listener *prev, *next;
    gmem_region *region;
};

/*
 * Register, and hear populate of every run that is populated; a refusal is undone and returned, and the listener is not registered.
 * Unregister, and hear discard of every run that is populated. A reference on region is held in between. Unregistering one that is
 * not registered does nothing.
 *
 * -EINVAL  a NULL argument or callback, first is above last
 * -ENOENT  region is not discardable
 * -EEXIST  it is registered
 * -EBUSY   from a callback of a discard listener
 */
GMEM_API int gmem_discard_listen(gmem_region *region, struct gmem_discard_listener *listener) GMEM_MUST_CHECK;
GMEM_API void gmem_discard_unlisten(struct gmem_discard_listener *listener);

/* Whether region is discardable, and its granule. 0: it is not. Any thread, no lock. */
GMEM_API uint64_t gmem_discard_granule(const gmem_region *region);
/* Whether all of [first, last] is populated; a region that is not discardable is, as far as it reaches. Any thread, no lock. */
GMEM_API bool gmem_discard_is_populated(const gmem_region *region, uint64_t first, uint64_t last);

/*
 * Call fn for every run of [first, last] that is populated, or discarded, by rising address until it returns non-zero, which is
 * then returned; else 0. Any thread, no lock: runs are of the moment in which they are looked at. fn may do anything.
 * -EINVAL: a NULL argument. A region that is not discardable is one populated run.
 */
typedef int gmem_discard_fn(void *opaque, gmem_region *region, uint64_t first, uint64_t last);
GMEM_API int gmem_discard_foreach(gmem_region *region, uint64_t first, uint64_t last, bool populated,
                                  gmem_discard_fn *fn, void *opaque) GMEM_MUST_CHECK;

/*
 * For who has pinned memory of a vm and can't listen: from the return of disable() to the matching enable(), gmem_discard_discard()
 * of all its regions gives -EBUSY. Counted. Not from a listener callback of a commit or a discard: disable() then gives -EBUSY.
 */
GMEM_API int gmem_discard_disable(gmem_vm *vm) GMEM_MUST_CHECK;
GMEM_API void gmem_discard_enable(gmem_vm *vm);

#ifdef __cplusplus
}
#endif

#endif
