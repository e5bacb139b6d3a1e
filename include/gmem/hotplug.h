/* SPDX-License-Identifier: MIT */
/*
 * gmem/hotplug.h - memory plugged and unplugged at run time: a container for it, and DIMM-like blocks in it.
 *
 * A hotplug is a container region in which blocks are placed, at addresses that are asked for or at the lowest that is free.
 * What is plugged is what is in the container: a plug or unplug is undone with the transaction that it was made in, also one
 * of the caller's, and then the blocks, their ids and their slots are what they were.
 *
 * Addresses are those of the parent, as the guest sees them if that is its whole memory: the container begins at base.
 * Ranges are not above 2^64 - 1.
 *
 * Plugging and unplugging are edits (gmem/region.h): each is a transaction of its own or part of the one that this thread has
 * open, all or nothing (G1), refused with a reason (gmem_vm_reason()), with -EBUSY from a listener callback, -EAGAIN and
 * whatever a listener refuses with. Any thread; edits of several threads wait for each other.
 */
#ifndef GMEM_HOTPLUG_H
#define GMEM_HOTPLUG_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gmem_hotplug gmem_hotplug;

struct gmem_hotplug_options {
    size_t struct_size; /* sizeof(struct gmem_hotplug_options) */
    const char *name;   /* of the container; copied; NULL: "device-memory" */
    uint64_t base;      /* where it begins in the parent; a multiple of align */
    uint64_t size;      /* bytes, at least 1 */
    size_t slots;       /* how many blocks there may be, at least 1 */
    uint64_t align;     /* of every block's address: a power of two; 0: the host's page size */
};

/* The id of a block has 1 to this many bytes. */
#define GMEM_HOTPLUG_ID_MAX 255u

/*
 * Place a container for plugged memory in parent, with priority 0. Nothing is plugged. *ret_hotplug is to be ended with
 * gmem_hotplug_destroy(), before the vm is. It keeps a reference on parent.
 *
 * -EINVAL     a NULL argument, an unknown option, no size, no slots, align is no power of two, base no multiple of it, a name that
 *             is too long
 * -EOVERFLOW  it would reach past 2^64 - 1, or out of parent
 * -ENOMEM, -EOPNOTSUPP (parent is an alias), -ELOOP, and a listener's refusal: as gmem_region_add()
 */
GMEM_API int gmem_hotplug_create(gmem_region *parent, const struct gmem_hotplug_options *options,
                                 gmem_hotplug **ret_hotplug) GMEM_MUST_CHECK;

/*
 * Take the container with everything that is plugged out of the parent, and forget it all. What refuses that is logged and
 * ignored; the regions then stay where they are. Not undone by an abort: what the map gets back then is nobody's. Not
 * from a listener callback. NULL is allowed.
 */
GMEM_API void gmem_hotplug_destroy(gmem_hotplug *hotplug);

/*
 * Plug block, which is in no container: a ram region, or a container of several. addr is where, NULL is the lowest
 * place that is free. Either way it is a multiple of the container's align and of the page size of the block's RAM, if
 * it has one. The place of a ram region is as large as its block can become (gmem_ram_max_size()), so that resizing that comes in
 * nobody's way; all of it is to be inside the container, and free. id is copied; *ret_addr (which may be NULL) is where the block is. A reference on block is held until it is unplugged.
 * (In a transaction of the caller's until the first call after its end.)
 *
 * -EINVAL      a NULL argument, an id that is empty or too long, *addr is misaligned
 * -EEXIST      the id is taken
 * -ENOSPC      no slot is left, or no place that holds it
 * -ERANGE      at *addr it is not inside the container
 * -EADDRINUSE  at *addr it overlaps another
 * -EBUSY       block is in a container; or from a listener callback
 * -EXDEV, -ELOOP, -ENOMEM, -EAGAIN, a listener's refusal: as gmem_region_add()
 */
GMEM_API int gmem_hotplug_plug(gmem_hotplug *hotplug, gmem_region *block, const uint64_t *addr, const char *id,
                               uint64_t *ret_addr) GMEM_MUST_CHECK;

/*
 * Take the block with this id out. The guest must have agreed: what it has there is gone.
 *
 * -EINVAL  a NULL argument
 * -ENOENT  no block has this id
 * others   as gmem_region_remove()
 */
GMEM_API int gmem_hotplug_unplug(gmem_hotplug *hotplug, const char *id) GMEM_MUST_CHECK;

/* What is plugged. Its pointers are valid during the call of fn. */
struct gmem_hotplug_block {
    const char *id;
    gmem_region *region;
    uint64_t addr; /* in the parent */
    uint64_t size; /* bytes, now */
};

/*
 * Call fn for every block of this moment by rising address until it returns non-zero, which is then returned; else 0. fn may plug and
 * unplug.
 *
 * -EINVAL  a NULL argument
 * -ENOMEM  out of memory; nothing was called
 */
typedef int gmem_hotplug_fn(void *opaque, const struct gmem_hotplug_block *block);
GMEM_API int gmem_hotplug_foreach(gmem_hotplug *hotplug, gmem_hotplug_fn *fn, void *opaque) GMEM_MUST_CHECK;

struct gmem_hotplug_state {
    uint64_t base, size; /* of the container */
    uint64_t used;       /* bytes of it that blocks have: their places, with what they can grow by */
    size_t slots;        /* how many blocks there may be */
    size_t slots_used;   /* and are */
};

/* How full it is. Any thread, also inside a listener callback; elsewhere it may wait for another thread's transaction. */
GMEM_API void gmem_hotplug_info(gmem_hotplug *hotplug, struct gmem_hotplug_state *ret_state);

/* The container. Borrowed: it lives as long as the hotplug. What is placed in it by other calls has no slot, but its place. */
GMEM_API gmem_region *gmem_hotplug_region(const gmem_hotplug *hotplug);

#ifdef __cplusplus
}
#endif

#endif
