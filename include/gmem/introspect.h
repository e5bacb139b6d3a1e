/* SPDX-License-Identifier: MIT */
/*
 * gmem/introspect.h - printing the topology and the flat views, in the text of QEMU's `info mtree`
 * or as JSON.
 *
 * The text is of one moment: it is put together with the vm's writer turn held and handed to the
 * callback, in one piece, after the turn was given back, so the callback may edit. Like an edit,
 * printing gives -EBUSY inside a listener callback. Inside a transaction the tree shows the edits
 * made so far, the flat views what is published.
 */
#ifndef GMEM_INTROSPECT_H
#define GMEM_INTROSPECT_H

#include <gmem/space.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GMEM_PRINT_DISABLED 0x1u /* tree: show disabled regions and what is below them (QEMU's -D) */
#define GMEM_PRINT_OWNER 0x2u    /* append each region's owner label (-o) */
#define GMEM_PRINT_JSON 0x4u     /* JSON instead of text, with everything in it; its members: docs/json.md */
/*
 * Flat text: below each view's ranges the tree in which an access finds its range (in place of QEMU's -d): its nodes and
 * leaves with the addresses they are for, and what accesses to each range do: "memory", "memory, writes dropped", "memory,
 * writes to callbacks", "callbacks", "nothing", with the sizes that callbacks take. Without effect on trees and JSON. For
 * people: the shape of the tree is not part of the interface.
 */
#define GMEM_PRINT_DISPATCH 0x8u

/* Takes len bytes of text (not NUL-terminated). Non-zero stops the printing and is returned by it. */
typedef int gmem_print_fn(void *opaque, const char *text, size_t len);

/*
 * A text to append to a flat range as it is (QEMU prints " KVM" on those in a slot), or NULL for
 * none. Called with the writer turn held: edits give -EBUSY.
 */
typedef const char *gmem_mark_fn(void *opaque, const struct gmem_section *section);

struct gmem_print_options {
    size_t struct_size; /* sizeof(struct gmem_print_options) */
    uint32_t flags;     /* GMEM_PRINT_* */
    gmem_space *space;  /* only this one; NULL: all */
    gmem_mark_fn *mark; /* flat: NULL: none */
    void *mark_opaque;
};

/*
 * Print the tree of every space (spaces on one root together), then every region that is the target
 * of an alias; or the flat views, each once with the spaces that share it. options may be NULL.
 *
 * -EINVAL  a NULL argument, unknown flags or struct_size, a space of another vm
 * -ENOMEM  out of memory
 * -EBUSY   called from a listener callback
 * other    what fn returned
 */
GMEM_API int gmem_print_tree(gmem_vm *vm, const struct gmem_print_options *options, gmem_print_fn *fn,
                             void *opaque) GMEM_MUST_CHECK;
GMEM_API int gmem_print_flat(gmem_vm *vm, const struct gmem_print_options *options, gmem_print_fn *fn,
                             void *opaque) GMEM_MUST_CHECK;

/*
 * The word QEMU prints for a region's kind: "ram", "rom", "romd", "ramd" (ram-device), "i/o" (containers too); an alias
 * has its target's. Static text.
 */
GMEM_API const char *gmem_region_type(const gmem_region *region);

#ifdef __cplusplus
}
#endif

#endif
