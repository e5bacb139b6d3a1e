/* SPDX-License-Identifier: MIT */
/*
 * gmem/space.h - address spaces, their flat views, and looking an address up.
 *
 * A space is a root region as one processor or bus-mastering device sees it. Its view is the flat
 * answer: ordered, disjoint ranges, each part of one region with the attributes found on the way
 * there. A view never changes; a commit publishes another. Spaces that see the same share one view.
 *
 * A root that is placed in a container is shown at its offset there.
 */
#ifndef GMEM_SPACE_H
#define GMEM_SPACE_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Attributes of a range: one word, compared, merged and printed as such. */
#define GMEM_RANGE_READONLY 0x01u /* takes no writes */
#define GMEM_RANGE_NONVOLATILE 0x02u
#define GMEM_RANGE_ROMD 0x04u   /* a romd region that reads directly now */
#define GMEM_RANGE_LOG_SHIFT 8u /* bit 8 + c: dirty logging is wanted by client c */
#define GMEM_RANGE_LOG_MASK 0xff00u

/* One range of a view, in the space it is seen in. */
struct gmem_section {
    gmem_space *space; /* NULL when it comes from a view without a space */
    gmem_region *region;
    uint64_t first; /* in the space, inclusive */
    uint64_t last;
    uint64_t offset; /* of first, in the region */
    uint32_t attrs;  /* GMEM_RANGE_* */
};

struct gmem_space_options {
    size_t struct_size;   /* sizeof(struct gmem_space_options) */
    bool unassigned_ones; /* what reading where nothing is gives: all ones, or (default) zero */
    /* How many bounce buffers gmem_map() may have mapped at a time; 0: GMEM_BOUNCE_BUFFERS (gmem/map.h). */
    size_t bounce_buffers;
};

/*
 * Create a space on root (which it keeps alive). options may be NULL. Listeners of all spaces hear
 * its ranges; a refusal of theirs fails the call. Its name is for people and need not be unique.
 *
 * -EINVAL  a NULL argument, a name longer than GMEM_NAME_MAX, an unknown option
 * -EAGAIN  too much of what was replaced waits for readers (gmem_vm_begin())
 * -EBUSY   inside an open transaction of this thread, or in a listener callback
 * -ENOMEM, -EXDEV, -E2BIG and a listener's refusal: as gmem_vm_commit()
 */
GMEM_API int gmem_space_create(gmem_vm *vm, const char *name, gmem_region *root,
                               const struct gmem_space_options *options, gmem_space **ret_space) GMEM_MUST_CHECK;

/*
 * End a space. Listeners hear the removal of its ranges (their refusals are logged and ignored);
 * listeners of this space alone are unregistered. No thread may be using or begin to use it; a
 * device callback that was reached through it may not destroy it. Inside a transaction of this
 * thread it is gone at once, not at the commit, and an undo does not bring it back. NULL is
 * allowed.
 */
GMEM_API void gmem_space_destroy(gmem_space *space);

GMEM_API gmem_vm *gmem_space_vm(const gmem_space *space);
GMEM_API const char *gmem_space_name(const gmem_space *space);
GMEM_API gmem_region *gmem_space_root(const gmem_space *space); /* borrowed */

/*
 * The range that addr is in. *ret_section then holds a reference on its region, which
 * gmem_section_release() gives back. Never waits. Any thread.
 *
 * -ENOENT  nothing is seen at addr
 */
GMEM_API int gmem_space_lookup(gmem_space *space, uint64_t addr, struct gmem_section *ret_section) GMEM_MUST_CHECK;
GMEM_API void gmem_section_release(struct gmem_section *section);

/*
 * The host memory behind a section's first byte, or NULL if its region has none. Contiguous up to
 * its last. Valid while the region is alive. Writing needs care: GMEM_RANGE_READONLY and romd are
 * not enforced here.
 */
GMEM_API void *gmem_section_host(const struct gmem_section *section);

/*
 * The view a space shows now, with a reference of the caller's. Never NULL, never waits; any
 * thread. A view keeps its regions alive, and no memory but its own, whatever is published while it is held.
 */
GMEM_API gmem_view *gmem_space_view(gmem_space *space);
GMEM_API void gmem_view_unref(gmem_view *view);

/*
 * The region whose subregions the view was rendered from after everything that adds nothing was
 * stripped (a full-size alias, the lone enabled subregion of a container); NULL when nothing is to
 * be seen. Views of two spaces are the same object exactly when this is the same and so is what
 * they show.
 */
GMEM_API gmem_region *gmem_view_root(const gmem_view *view);

/* Number of ranges. */
GMEM_API size_t gmem_view_count(const gmem_view *view);

/*
 * The first range that ends at or after addr: it contains addr, or is the next one up. The section's space is
 * NULL and its region borrowed from the view. -ENOENT: there is none.
 */
GMEM_API int gmem_view_find(const gmem_view *view, uint64_t addr, struct gmem_section *ret_section) GMEM_MUST_CHECK;

/*
 * Call fn for every range by rising address until it returns non-zero, which is then returned; else 0.
 */
typedef int gmem_view_fn(void *opaque, const struct gmem_section *section);
GMEM_API int gmem_view_foreach(const gmem_view *view, gmem_view_fn *fn, void *opaque);

#ifdef __cplusplus
}
#endif

#endif
