/* SPDX-License-Identifier: MIT */
/* introspect.h - what the printers share: the text being made, numbers for regions, spaces in groups. */
#ifndef GMEM_SRC_INTROSPECT_H
#define GMEM_SRC_INTROSPECT_H

#include "space.h"
#include <gmem/introspect.h>

/* Text that grows. The first failure sticks in err, and what follows it is dropped. */
struct gmem__text {
    char *bytes;
    size_t len, room;
    int err;
};

void gmem__text_add(struct gmem__text *text, const char *bytes, size_t len);
void gmem__text_string(struct gmem__text *text, const char *string);
void gmem__text_format(struct gmem__text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A region of the vm, as one call of a printer sees it. (The ids in documents are the regions' own: region.h.) */
struct gmem__id {
    const gmem_region *region;
    bool seen; /* the printer's own */
};

/* One call of a printer. */
struct gmem__print {
    gmem_vm *vm;
    struct gmem_print_options options;
    struct gmem__text text;
    struct gmem__id *ids; /* of all regions of the vm, by address in the host */
    size_t id_count;
};

/* What the printer knows of a region of the vm. */
struct gmem__id *gmem__id_of(struct gmem__print *print, const gmem_region *region);

/* A space to be printed, and the group of those that are printed together. */
struct gmem__entry {
    gmem_space *space;
    const void *key;
    size_t order; /* among all spaces, by age */
    size_t group; /* order of the group's oldest */
};

typedef const void *gmem__key_fn(const gmem_space *space);

/* Collect the spaces to be printed, by group, then age. Free *ret_entries. */
int gmem__entries(struct gmem__print *print, gmem__key_fn *key, struct gmem__entry **ret_entries,
                  size_t *ret_count) GMEM_MUST_CHECK;
/* The index behind the last entry of the group that begins at index. */
size_t gmem__entries_end(const struct gmem__entry *entries, size_t count, size_t index);

/* Key for the flat views: spaces that share a view are one group. */
const void *gmem__key_view(const gmem_space *space);

/* The word for a range: its region's, but "rom" whenever it takes no writes. */
const char *gmem__section_type(const struct gmem_section *section);
/* Ask the caller for a range's mark; "" if it has none. */
const char *gmem__mark(struct gmem__print *print, const struct gmem_section *section);

/* The printers: each adds its document to print->text, with the writer turn held. */
int gmem__print_tree_text(struct gmem__print *print) GMEM_MUST_CHECK;
int gmem__print_tree_json(struct gmem__print *print) GMEM_MUST_CHECK;
int gmem__print_flat_text(struct gmem__print *print) GMEM_MUST_CHECK;
int gmem__print_flat_json(struct gmem__print *print) GMEM_MUST_CHECK;
/* Add the tree in which view's ranges are found. */
void gmem__print_dispatch_text(struct gmem__print *print, const gmem_view *view);

#endif
