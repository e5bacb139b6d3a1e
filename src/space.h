/* SPDX-License-Identifier: MIT */
/* space.h - struct gmem_space: a root and the view of it that is published. */
#ifndef GMEM_SRC_SPACE_H
#define GMEM_SRC_SPACE_H

#include "view.h"

struct gmem_space {
    gmem_vm *vm; /* immutable, like name, root and fill */
    char *name;
    gmem_region *root; /* a reference held */
    uint8_t fill;      /* what unassigned bytes read as: 0x00 or 0xff */

    gmem_view *view; /* published with rcu_assign_pointer() under the writer turn; a reference held */

    /* Only with the writer turn. */
    struct gmem__link vm_link;
    bool fresh;      /* not rendered yet */
    gmem_view *next; /* scratch of a commit: what will be published; NULL: no change. Borrowed. */
};

#endif
