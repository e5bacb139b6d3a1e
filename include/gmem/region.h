/* SPDX-License-Identifier: MIT */
/*
 * gmem/region.h - regions, the nodes of the topology, and every edit of it.
 *
 * A region has a kind, a name (for people; need not be unique), a size and attributes. It may be
 * placed in one container at an offset with a priority: where siblings overlap the higher priority
 * is seen, among equals the one placed later. Any region but an alias can hold subregions; they lie
 * over what the region itself shows. A pure container shows nothing itself, so through its holes
 * one sees what lies below it. What reaches past the end of its container is not seen.
 *
 * Attributes are inherited on the way down: everything seen through a disabled region is gone,
 * through a readonly one takes no writes, through a nonvolatile one is nonvolatile.
 *
 * Lifetime (G7). A region is counted: the creator has one reference, and containers, aliases,
 * spaces, views and calls in flight keep what they can reach alive. After gmem_region_unref() the
 * creator must not use the pointer again, though the region lives on while it is placed. An owner
 * (the device) is told through its own reference callbacks when the library begins and ceases to be
 * able to reach it. (An alias in the very container that it shows keeps both alive until it is
 * removed, aimed elsewhere, or the vm ends.)
 *
 * Edits. Each returns 0, or a negative errno with nothing changed (G1), and gmem_vm_reason() then
 * has the text. Outside a transaction an edit is its own transaction and may also fail as
 * gmem_vm_commit() does. Edits called from inside a listener callback give -EBUSY. Common errors,
 * not repeated below:
 *
 * -EAGAIN      too much of what was replaced waits for readers (gmem_vm_begin())
 * -EINVAL      a NULL argument (of which there is no text), or an argument out of its stated range
 * -ENOMEM      out of memory
 * -EBUSY       called from a listener callback
 * -EXDEV       the objects belong to different vms
 * -EOPNOTSUPP  the wrong kind of region for this edit
 */
#ifndef GMEM_REGION_H
#define GMEM_REGION_H

#include <gmem/dirty.h>
#include <gmem/guard.h>

#ifdef __cplusplus
extern "C" {
#endif

enum gmem_kind {
    GMEM_KIND_CONTAINER = 0,  /* shows only its subregions */
    GMEM_KIND_RAM = 1,        /* host memory, read and written directly */
    GMEM_KIND_ROM = 2,        /* host memory, read directly; the guest's writes are ignored */
    GMEM_KIND_ROMD = 3,       /* ROM device: read directly, written through callbacks; or both through callbacks */
    GMEM_KIND_MMIO = 4,       /* device registers behind callbacks */
    GMEM_KIND_ALIAS = 5,      /* a window on part of another region */
    GMEM_KIND_RESERVED = 6,   /* claims addresses, answers nothing */
    GMEM_KIND_IOMMU = 7,      /* accesses go elsewhere, page by page (gmem/iommu.h) */
    GMEM_KIND_RAM_DEVICE = 8, /* memory of a device that the host has mapped, accessed as the guest does */
};

/*
 * Whoever a region belongs to, normally a device. Copied at creation. ref is called when the
 * library starts to be able to reach the region on its own (a view shows it), unref when it no
 * longer can: the owner must stay usable between the two. Both may be NULL. They are called inside
 * commits, unref also from a thread of the library that frees old views and wherever a lookup, a view or a cache lets go:
 * neither may edit the vm or block. The creator's own reference on the region is not counted here, so an owner may drop
 * it (gmem_region_unref()) from its last unref.
 */
struct gmem_owner {
    void *opaque;
    void (*ref)(void *opaque);
    void (*unref)(void *opaque);
    const char *label;     /* for printing, e.g. "owner:{dev id=nic0}"; copied; NULL: none */
    gmem_guard *guard;     /* what keeps the device from entering itself; the region takes a reference; NULL: none */
    struct gmem_lock lock; /* taken around the callbacks; copied */
};

/*
 * The callbacks of a device. Neither is called with a library lock held (G6), and both may edit the
 * vm, their own region included (G3). They run on the thread that makes the access, several at a
 * time if several threads do, unless the owner names a lock (gmem/guard.h).
 *
 * read: put the value of the size (1, 2, 4 or 8) bytes at offset (in the region) into *ret_value.
 * write: take value. value is the number those bytes make in the device's own byte order. Return
 * GMEM_OK or GMEM_RESULT_DEVICE bits; *ret_value is 0 before the call.
 */
struct gmem_mmio_ops {
    gmem_result (*read)(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value);
    gmem_result (*write)(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value);
    enum gmem_endian endian;

    /*
     * What the device being modelled takes from its bus. A wider access, or an unaligned one where
     * unaligned is false, is cut by the bus into the largest aligned pieces that it takes; a piece
     * narrower than min is GMEM_RESULT_REFUSED and reaches nobody. min and max are 1, 2, 4 or 8; 0
     * means 1 and 8. accepts, if given, is asked about each piece; false is GMEM_RESULT_REFUSED.
     */
    struct {
        uint8_t min;
        uint8_t max;
        bool unaligned;
        bool (*accepts)(void *opaque, uint64_t offset, unsigned size, bool is_write, struct gmem_attrs attrs);
    } valid;

    /*
     * What these callbacks implement. An access that is valid but not implemented is put together
     * from accesses that are: a wider one of several, low offset first; a narrower or unaligned one
     * from the aligned accesses of min bytes (or the access's own width if larger) around it. For a
     * write that does not cover all their bytes, these are read first and written back changed; if
     * that read fails nothing is written and its result is the write's. min and max as above. The
     * callbacks never see an unaligned offset unless unaligned is true.
     */
    struct {
        uint8_t min;
        uint8_t max;
        bool unaligned;
    } impl;
};

/*
 * A name is at most this long, its terminating NUL not counted; longer gives -EINVAL. NULL is the
 * empty name.
 */
#define GMEM_NAME_MAX 255u

/*
 * Create a region that is placed nowhere. *ret_region is the caller's reference. owner may be NULL;
 * name, owner and ops are copied; opaque is the device's, handed to its callbacks. Sizes are 1 to
 * 2^64 bytes. ram and romd regions have the size of their block, on which they hold a reference.
 *
 * -EINVAL     also: zero size, ops without the callback that the kind needs (mmio and romd need both) or with bad widths,
 *             a lock without its unlock
 * -EXDEV      also: the owner's guard belongs to another vm
 * -EOVERFLOW  alias: offset + size is past 2^64. (Past the end of the target is allowed: nothing is seen there.)
 */
GMEM_API int gmem_region_create_container(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_owner *owner,
                                          gmem_region **ret_region) GMEM_MUST_CHECK;
GMEM_API int gmem_region_create_ram(gmem_vm *vm, const char *name, gmem_ram *ram, const struct gmem_owner *owner,
                                    gmem_region **ret_region) GMEM_MUST_CHECK;
GMEM_API int gmem_region_create_rom(gmem_vm *vm, const char *name, gmem_ram *ram, const struct gmem_owner *owner,
                                    gmem_region **ret_region) GMEM_MUST_CHECK;
GMEM_API int gmem_region_create_romd(gmem_vm *vm, const char *name, gmem_ram *ram, const struct gmem_mmio_ops *ops,
                                     void *opaque, const struct gmem_owner *owner,
                                     gmem_region **ret_region) GMEM_MUST_CHECK;
GMEM_API int gmem_region_create_mmio(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_mmio_ops *ops,
                                     void *opaque, const struct gmem_owner *owner,
                                     gmem_region **ret_region) GMEM_MUST_CHECK;
GMEM_API int gmem_region_create_alias(gmem_vm *vm, const char *name, gmem_region *target, uint64_t offset,
                                      gmem_size size, const struct gmem_owner *owner,
                                      gmem_region **ret_region) GMEM_MUST_CHECK;

/*
 * Memory of a device that the host has mapped, such as a BAR that is passed through: it is registers, and where, how wide
 * and how often it is accessed matters. So it differs from ram in this: each access of gmem/access.h is made of single loads and
 * stores of 1, 2, 4 or 8 bytes, as wide as the access and the alignment of its address let them be, and each byte is accessed
 * once; nothing remembers it (caches), nobody is given a pointer into it (maps bounce, segments have none). A virtual processor
 * may access it directly: gmem_section_host() is the memory, for slots. gmem_space_write_rom() writes it so, too.
 *
 * ram is normally a GMEM_RAM_CALLER block of the mapping. set_readonly and set_log are as with ram; nothing is logged
 * unless that asks for it, gmem_vm_set_global_log() does not (but segments and maps mark for whoever has a bitmap,
 * gmem/dirty.h), and its contents are no part of what is migrated.
 *
 * -EINVAL     also: the block is GMEM_RAM_READONLY
 */
GMEM_API int gmem_region_create_ram_device(gmem_vm *vm, const char *name, gmem_ram *ram, const struct gmem_owner *owner,
                                           gmem_region **ret_region) GMEM_MUST_CHECK;
/*
 * Addresses that are claimed: accesses are GMEM_RESULT_DECODE, and nothing below it is seen. As part of a device it is in its owner's
 * guard (GMEM_RESULT_REENTRANT), and what is queued for the device is delivered before.
 */
GMEM_API int gmem_region_create_reserved(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_owner *owner,
                                         gmem_region **ret_region) GMEM_MUST_CHECK;

/* Take another reference; returns region. unref gives one up; NULL is allowed. Any thread, never waits. */
GMEM_API gmem_region *gmem_region_ref(gmem_region *region);
GMEM_API void gmem_region_unref(gmem_region *region);

/*
 * Place child in container at offset, with priority 0 or the one given.
 *
 * -EBUSY      child is in a container already
 * -ELOOP      child contains container, or an alias would be seen through its own window
 * -EOVERFLOW  offset + the child's size is past 2^64
 */
GMEM_API int gmem_region_add(gmem_region *container, uint64_t offset, gmem_region *child) GMEM_MUST_CHECK;
GMEM_API int gmem_region_add_priority(gmem_region *container, uint64_t offset, gmem_region *child,
                                      int32_t priority) GMEM_MUST_CHECK;

/*
 * Take child out of container. Afterwards its offset is 0 and its priority 0.
 *
 * -ENOENT  child is not in container
 */
GMEM_API int gmem_region_remove(gmem_region *container, gmem_region *child) GMEM_MUST_CHECK;

/* Regions start enabled. A disabled region, with all that is seen through it, is not seen. */
GMEM_API int gmem_region_set_enabled(gmem_region *region, bool enabled) GMEM_MUST_CHECK;

/*
 * Move a placed region within its container; among siblings of equal priority it then counts as
 * placed last (unless it is there already: that changes nothing). A region that is placed nowhere
 * can be moved too: a space of which it is the root shows it there.
 *
 * -EOVERFLOW  offset + size is past 2^64
 * -ELOOP      there, an alias would be seen through its own window
 */
GMEM_API int gmem_region_move(gmem_region *region, uint64_t offset) GMEM_MUST_CHECK;

/*
 * Change the size. A ram, rom or romd region can't grow past its block.
 *
 * -EINVAL     zero size
 * -EOPNOTSUPP it is discardable (gmem/discard.h)
 * -EOVERFLOW  the end is past 2^64 in the container or (alias) in the target
 * -ERANGE     larger than its RAM block
 * -ELOOP      that large, an alias would be seen through its own window
 */
GMEM_API int gmem_region_resize(gmem_region *region, gmem_size size) GMEM_MUST_CHECK;

/*
 * Give a placed region another priority; it then counts as placed last among its equals (its own
 * priority again changes nothing).
 *
 * -ENOENT  it is placed nowhere
 */
GMEM_API int gmem_region_set_priority(gmem_region *region, int32_t priority) GMEM_MUST_CHECK;

/*
 * Aim an alias at offset in target, its size unchanged. The target may be what the alias is in, as
 * long as its window does not reach the alias itself.
 *
 * -ELOOP      an alias, this or another, would be seen through its own window, or this be an alias of itself, directly
 *             or through aliases
 * -EOVERFLOW  offset + size is past 2^64
 */
GMEM_API int gmem_region_set_alias(gmem_region *alias, gmem_region *target, uint64_t offset) GMEM_MUST_CHECK;

/*
 * No writes reach what is seen through it: they are ignored, with GMEM_OK. Any kind; a rom region
 * always is readonly and can't be made writable (-EOPNOTSUPP).
 */
GMEM_API int gmem_region_set_readonly(gmem_region *region, bool readonly) GMEM_MUST_CHECK;

/* What is seen through it outlives power (it is only passed on and printed, never acted on). Any kind. */
GMEM_API int gmem_region_set_nonvolatile(gmem_region *region, bool nonvolatile) GMEM_MUST_CHECK;

/* A romd region reads directly (true, as created) or through its read callback. Only romd. */
GMEM_API int gmem_region_set_romd(gmem_region *region, bool direct) GMEM_MUST_CHECK;

/*
 * Dirty logging wanted of a region with host memory by one client (0 to GMEM_LOG_CLIENTS - 1). Listeners hear
 * log_start when the set of clients grows and log_stop when it shrinks. What the library writes is then marked in
 * the client's bitmap of the block (gmem/dirty.h); making that is what -ENOMEM can be about here, and -EIO, for which see
 * there.
 */
GMEM_API int gmem_region_set_log(gmem_region *region, unsigned client, bool wanted) GMEM_MUST_CHECK;

/*
 * Ask listeners to bring the dirty log of every visible piece of region up to date (log_sync), or
 * to clear it in [first, last] of the region (log_clear). Not edits: nothing is rendered or undone;
 * the first refusal is returned, after all have been asked.
 *
 * -ERANGE  the interval is not inside the region
 */
GMEM_API int gmem_region_log_sync(gmem_region *region) GMEM_MUST_CHECK;
GMEM_API int gmem_region_log_clear(gmem_region *region, uint64_t first, uint64_t last) GMEM_MUST_CHECK;

/*
 * An eventfd to be signalled by a write of size bytes (1, 2, 4, 8, or 0 for any) at offset, of the
 * value data if match is true. Wherever all its bytes are visible, listeners hear eventfd_add, and a kernel
 * that they tell of it signals without an exit. The library does the same for writes that reach it: whoever makes them,
 * an access that is the eventfd's in offset, size and value (or a part of one, as the bus cuts it) adds 1 to it, with
 * GMEM_OK, and the write callback is not called. Only in regions of kind mmio, romd and reserved, where they are visible and
 * not readonly. If several fit, the one with a value is signalled, else the one with a size. What a commit
 * changes holds for accesses that begin after it; one in flight may go by those of before.
 *
 * The descriptor stays the caller's, and must stay open until the eventfd is deleted, for listeners; the library signals
 * a duplicate of its own. One that is no anonymous inode, and so no eventfd, is told to listeners and never written to. A counter
 * that is full is not written to either (it has been signalled), so an access does not wait; unless another thread of the
 * program fills it in that very moment.
 *
 * -EBADF   add: fd is not open
 * -EEXIST  add: an equal one is there (same offset, size, match and data)
 * -EMFILE  add: the process has no descriptor left
 * -ENOSPC  add: the region has GMEM_EVENTFDS_MAX
 * -ENOENT  del: no such eventfd
 * -ERANGE  it is not inside the region
 */
#define GMEM_EVENTFDS_MAX 1024u
struct gmem_eventfd {
    uint64_t offset; /* in the region */
    uint64_t data;   /* the number that a write callback would get; ignored unless match */
    int fd;
    uint8_t size;
    bool match;
};
GMEM_API int gmem_region_add_eventfd(gmem_region *region, const struct gmem_eventfd *eventfd) GMEM_MUST_CHECK;
GMEM_API int gmem_region_del_eventfd(gmem_region *region, const struct gmem_eventfd *eventfd) GMEM_MUST_CHECK;

/*
 * Writes to [first, last] of an mmio region may be delayed and delivered together. Listeners hear
 * coalesced_add for every visible piece; what the library does itself is in gmem/device.h. Adding the same interval again changes nothing; clear
 * removes all of the region's intervals.
 *
 * -ERANGE  the interval is not inside the region
 */
GMEM_API int gmem_region_add_coalesced(gmem_region *region, uint64_t first, uint64_t last) GMEM_MUST_CHECK;
GMEM_API int gmem_region_clear_coalesced(gmem_region *region) GMEM_MUST_CHECK;

/*
 * What a region is. Immutable: vm, kind, name, label, ram, opaque; any thread. The others are what
 * the latest edit made of them; they are of one moment only inside a transaction. Borrowed pointers
 * live as long as the region does.
 */
GMEM_API gmem_vm *gmem_region_vm(const gmem_region *region);
GMEM_API enum gmem_kind gmem_region_kind(const gmem_region *region);
GMEM_API const char *gmem_region_name(const gmem_region *region);
GMEM_API const char *gmem_region_label(const gmem_region *region); /* the owner's label, or "" */
GMEM_API gmem_ram *gmem_region_ram(const gmem_region *region);     /* NULL unless ram, rom, romd, ram-device */
GMEM_API void *gmem_region_opaque(const gmem_region *region);      /* of its callbacks, or NULL */
GMEM_API gmem_size gmem_region_size(const gmem_region *region);
GMEM_API uint64_t gmem_region_offset(const gmem_region *region); /* in its container */
GMEM_API int32_t gmem_region_priority(const gmem_region *region);
GMEM_API bool gmem_region_enabled(const gmem_region *region);
GMEM_API bool gmem_region_readonly(const gmem_region *region); /* its own attribute; true for rom */
GMEM_API bool gmem_region_nonvolatile(const gmem_region *region);
GMEM_API bool gmem_region_romd(const gmem_region *region);
/*
 * NULL: placed nowhere. Borrowed: a container that its creator has let go is there while this thread has
 * a transaction open, or something else keeps it.
 */
GMEM_API gmem_region *gmem_region_container(const gmem_region *region);
GMEM_API gmem_region *gmem_region_alias_target(const gmem_region *region); /* NULL unless alias */
GMEM_API uint64_t gmem_region_alias_offset(const gmem_region *region);
/*
 * Subregions by rising offset, and of those at the same offset the one that wins first: first is
 * NULL-terminated by next. Each call is logarithmic in their number. Only inside a transaction.
 */
GMEM_API gmem_region *gmem_region_first_child(const gmem_region *region);
GMEM_API gmem_region *gmem_region_next_sibling(const gmem_region *region);

#ifdef __cplusplus
}
#endif

#endif
