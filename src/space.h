/* SPDX-License-Identifier: MIT */
/* space.h - struct gmem_space: a root and the view of it that is published. */
#ifndef GMEM_SRC_SPACE_H
#define GMEM_SRC_SPACE_H

#include "bounce.h"
#include "view.h"

struct gmem_space {
    gmem_vm *vm; /* immutable, like name, root and fill */
    char *name;
    gmem_region *root; /* a reference held */
    uint8_t fill;      /* what unassigned bytes read as: 0x00 or 0xff */

    struct gmem__shown *shown; /* gmem__rcu_set() under the writer turn */
    bool moving;               /* atomic: it is about to have another shown; caches make no window on the one it has */

    struct gmem__bounce bounce; /* has a lock of its own */

    /* Only with the writer turn. */
    struct gmem__link vm_link;
    struct gmem__link heard_link;   /* in vm->heard while listeners > 0 */
    size_t listeners;               /* of this space alone */
    bool fresh;                     /* not rendered yet */
    struct gmem__shown *next_shown; /* scratch of a commit: what it will have instead, or NULL */
};

static inline gmem_view *gmem__space_view(gmem_space *space)
{
    return gmem__shown_view(gmem__rcu_get(space->shown));
}

/* Let space have shown (NULL: it ends) from now on. What nobody has any more is retired. With the turn. */
void gmem__space_show(gmem_space *space, struct gmem__shown *shown);

#endif
