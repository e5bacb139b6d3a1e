/* SPDX-License-Identifier: MIT */
/*
 * gmem/iommu.h - IOMMU regions: ranges whose accesses go somewhere else, page by page, as a device says.
 *
 * An iommu region has a callback that translates an address in it to one of another space, with what is permitted there. Who
 * accesses a space through such a range (gmem/access.h, segments and maps, caches) is sent on: each page is translated for
 * itself, with the attributes of the access, and what is not permitted is GMEM_RESULT_DENIED and touches nothing; reads then give
 * the unassigned value of the space that was accessed. The other space may show iommu regions in turn, up to
 * GMEM_IOMMU_CHAIN_MAX of them for one address; the one after these is denied. What is translated is not remembered: caches
 * have no window there, and every access asks again. What translate itself accesses may come back to the region, as far
 * as callbacks nest (GMEM_NESTING_MAX, gmem/guard.h); then it, and all that would call a device until the thread is out of all
 * callbacks, is denied or refused. The owner's guard and lock are not used for translate. One access sees one view of each space for each page.
 *
 * Where a write goes through a readonly range nothing is translated: it is ignored, as everywhere. gmem_space_write_rom() calls
 * no devices, so that what is behind an iommu region is GMEM_RESULT_DECODE for it.
 *
 * Lifetime. A space that translate names is used after it has returned, and while segments and maps (that have no host memory)
 * found through it are kept: gmem_space_destroy() must wait until the device names it no more and those are done.
 */
#ifndef GMEM_IOMMU_H
#define GMEM_IOMMU_H

#include <gmem/region.h>
#include <gmem/space.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Permissions; and what an access wants. */
#define GMEM_IOMMU_READ 0x1u
#define GMEM_IOMMU_WRITE 0x2u

#define GMEM_IOMMU_CHAIN_MAX 8u

/* A translation: of 2^n bytes around iova, to as many around translated. */
struct gmem_iommu_entry {
    gmem_space *target;  /* of the same vm; NULL: not translated */
    uint64_t iova;       /* in the region; not looked at where translate returns it */
    uint64_t translated; /* in target; its bits in addr_mask do not count */
    uint64_t addr_mask;  /* 2^n - 1; where translate returns it, at least ops.page_size - 1 */
    uint32_t perm;       /* GMEM_IOMMU_READ, GMEM_IOMMU_WRITE; 0: not translated */
};

/* A change of translations. */
#define GMEM_IOMMU_MAP 0x1u      /* the interval is translated now as said */
#define GMEM_IOMMU_UNMAP 0x2u    /* it is translated no more, or otherwise than before */
#define GMEM_IOMMU_DEVIOTLB 0x4u /* what devices have cached of it is to be forgotten */

struct gmem_iommu_event {
    uint32_t type;        /* one of the above */
    unsigned index;       /* of which translations */
    uint64_t first, last; /* in the region; clipped to what the notifier asked for */
    gmem_space *target;   /* MAP: where first comes to */
    uint64_t translated;
    uint32_t perm;
};

/*
 * Wants to hear of changes. The caller's, kept unchanged until it is unregistered. fn is called on the thread that notifies, without
 * a lock; so by several at a time if several do. It may access, notify, register and unregister (itself too).
 */
struct gmem_iommu_notifier {
    void (*fn)(void *opaque, const struct gmem_iommu_event *event);
    void *opaque;
    uint64_t first, last;    /* in the region: what it wants to hear about */
    uint32_t flags;          /* GMEM_IOMMU_MAP, UNMAP, DEVIOTLB: which */
    struct gmem_attrs attrs; /* whose translations: ops.index tells which these are; and of replay */
};

struct gmem_iommu_ops {
    /*
     * Translate addr, an address in the region. want is GMEM_IOMMU_READ or GMEM_IOMMU_WRITE, what the access is, or 0: nothing is
     * accessed, and a fault is not the guest's. Return 0 with *ret_entry (which was zero), or anything else: there is no
     * translation. An entry that does not permit what is wanted, or makes no sense, is one that does not permit it. Called
     * without a lock (G6), in the access; may access other spaces and edit the vm. Several threads at a time.
     */
    int (*translate)(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                     struct gmem_iommu_entry *ret_entry);

    /* Below: may be NULL or 0. */

    /* Which of several sets of translations those attributes have: below indexes. NULL: there is one, 0. */
    unsigned (*index)(void *opaque, struct gmem_attrs attrs);
    unsigned indexes;
    /*
     * The flags of all notifiers together are about to be now, after having been before. Refusing (a negative errno, which
     * registering then returns) is only for more of them: when it is about less the answer is ignored. With the vm's writer turn,
     * so one at a time; it may edit, unless a listener callback registers.
     */
    int (*notify_changed)(void *opaque, uint32_t before, uint32_t now);
    /* Tell one notifier all that is translated of its interval now, by gmem_iommu_notify_one(). */
    int (*replay)(void *opaque, gmem_region *region, const struct gmem_iommu_notifier *notifier);
    uint64_t page_size; /* the smallest: a power of two; 0: 4096 */
};

/*
 * Create an iommu region, placed nowhere; arguments and errors as for the functions in gmem/region.h. It has no memory and no slot.
 *
 * -EINVAL  also: no translate, page_size is no power of two
 */
GMEM_API int gmem_region_create_iommu(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_iommu_ops *ops,
                                      void *opaque, const struct gmem_owner *owner,
                                      gmem_region **ret_region) GMEM_MUST_CHECK;

/* Where an access comes to. */
struct gmem_translation {
    gmem_space *space; /* the last one on the way */
    uint64_t addr;     /* in it */
    uint64_t size;     /* bytes, at least 1, for which all of this holds */
    uint32_t perm;     /* what iommu regions on the way permit; not whether the range is readonly */
    /* The range that addr is in; as gmem_space_lookup() has it. region is NULL: nothing is there. */
    struct gmem_section section;
};

/*
 * Where an access of size bytes at addr comes to, through all iommu regions, and for how much of it (a write through a readonly
 * range: the iommu region in it, beyond which it does not go). Nothing is accessed.
 * *ret_translation holds a reference on the region, which gmem_section_release(&ret_translation->section) gives back. Any thread.
 *
 * -EINVAL     a NULL argument, or size is 0
 * -EOVERFLOW  the interval reaches past 2^64 - 1
 * -EACCES     the access would be GMEM_RESULT_DENIED
 */
GMEM_API int gmem_space_translate(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t size,
                                  bool is_write, struct gmem_translation *ret_translation) GMEM_MUST_CHECK;

/*
 * Have notifier hear of changes in region from now on, after those that were registered before it. It holds a reference on region.
 * Nothing is replayed. Also from listener callbacks, where a range of such a region comes and goes.
 *
 * -EINVAL      a NULL argument or fn, no or unknown flags, first is above last, attributes of no index
 * -ERANGE      last is outside of the region
 * -EOPNOTSUPP  region is no iommu region
 * -EEXIST      it is registered there
 * -ENOMEM      out of memory
 * other        what ops.notify_changed refused with
 */
GMEM_API int gmem_iommu_register(gmem_region *region, struct gmem_iommu_notifier *notifier) GMEM_MUST_CHECK;

/*
 * When this returns no call of the notifier runs but one that it is called from, and none will come: a call, or a replay, on another
 * thread is waited for. So the caller holds no lock that fn takes, and where fn edits the vm, has no transaction open. Does
 * nothing if it is not registered.
 */
GMEM_API void gmem_iommu_unregister(gmem_region *region, struct gmem_iommu_notifier *notifier);

/*
 * Tell the notifiers of these translations, in the order in which they were registered, that entry has changed so; for UNMAP and
 * DEVIOTLB its iova and addr_mask count. Each whose interval it reaches into hears the part that is in it. One registered meanwhile
 * may hear it or not. Called by the device, after it has changed what translate answers, from any thread.
 *
 * -EINVAL      a NULL argument, type is not one flag, no such index, a mask that is no 2^n - 1, MAP without target or perm
 * -EOPNOTSUPP  region is no iommu region
 */
GMEM_API int gmem_iommu_notify(gmem_region *region, unsigned index, uint32_t type,
                               const struct gmem_iommu_entry *entry) GMEM_MUST_CHECK;

/* Tell only this notifier: for ops.replay. -ENOENT: it is not registered; else as above. */
GMEM_API int gmem_iommu_notify_one(gmem_region *region, const struct gmem_iommu_notifier *notifier, uint32_t type,
                                   const struct gmem_iommu_entry *entry) GMEM_MUST_CHECK;

/*
 * Tell notifier all that is translated of its interval now, as MAP: by ops.replay, or by translating page by page with want 0; a
 * larger page (addr_mask), also one that permits nothing, is one step. Ends early, with 0, when it is unregistered.
 *
 * -EINVAL      a NULL argument
 * -ENOENT      it is not registered
 * -EOPNOTSUPP  region is no iommu region
 * -E2BIG       after GMEM_IOMMU_REPLAY_MAX steps: a region as large and as sparse needs ops.replay
 * other        what ops.replay returned
 */
#define GMEM_IOMMU_REPLAY_MAX (1u << 20)
GMEM_API int gmem_iommu_replay(gmem_region *region, const struct gmem_iommu_notifier *notifier) GMEM_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
