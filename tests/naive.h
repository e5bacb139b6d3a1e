/* SPDX-License-Identifier: MIT */
/*
 * The naive model of the library: regions in a table, edits without a graph, and views found by
 * asking address after address what is there. It is what the headers say, as plainly as can be
 * written, shares nothing with src/, and is copied whole to remember a moment.
 */
#ifndef NAIVE_H
#define NAIVE_H

#include <gmem/region.h>
#include <gmem/space.h>

#define NAIVE_REGIONS 16
#define NAIVE_EXTRAS 3
#define NAIVE_NONE (-1)

struct naive_region {
    bool exists;
    enum gmem_kind kind;
    uint64_t last;       /* size - 1 */
    uint64_t block_last; /* of the RAM block: it can't grow past it */
    bool enabled;
    bool readonly;
    bool nonvolatile;
    bool direct; /* romd: reads directly */
    unsigned log;
    int container;
    uint64_t offset;
    int32_t priority;
    uint64_t placed; /* when: the later of two equals wins */
    int target;
    uint64_t target_offset;
    unsigned n_eventfds;
    struct gmem_eventfd eventfds[NAIVE_EXTRAS];
    unsigned n_coalesced;
    struct {
        uint64_t first;
        uint64_t last;
    } coalesced[NAIVE_EXTRAS];
};

struct naive {
    struct naive_region region[NAIVE_REGIONS];
    uint64_t clock; /* counts placements */
};

/*
 * Edits. They return the set of errors of which the library must give one (several reasons may
 * apply), and change something only if it is empty.
 */
#define NAIVE_EINVAL 0x01u
#define NAIVE_EBUSY 0x02u
#define NAIVE_ELOOP 0x04u
#define NAIVE_EOVERFLOW 0x08u
#define NAIVE_ENOENT 0x10u
#define NAIVE_EOPNOTSUPP 0x20u
#define NAIVE_ERANGE 0x40u
#define NAIVE_EEXIST 0x80u

/* Whether what the library returned is what the model expects. */
bool naive_agrees(unsigned errors, int err);

/*
 * size_last is the size - 1; for ram, rom and romd that of the block too. target and target_offset:
 * of an alias.
 */
unsigned naive_create(struct naive *naive, int slot, enum gmem_kind kind, uint64_t size_last, int target,
                      uint64_t target_offset);
unsigned naive_add(struct naive *naive, int container, uint64_t offset, int child, int32_t priority);
unsigned naive_remove(struct naive *naive, int container, int child);
unsigned naive_set_enabled(struct naive *naive, int region, bool enabled);
unsigned naive_move(struct naive *naive, int region, uint64_t offset);
unsigned naive_resize(struct naive *naive, int region, gmem_size size);
unsigned naive_set_priority(struct naive *naive, int region, int32_t priority);
unsigned naive_set_alias(struct naive *naive, int region, int target, uint64_t offset);
unsigned naive_set_readonly(struct naive *naive, int region, bool readonly);
unsigned naive_set_nonvolatile(struct naive *naive, int region, bool nonvolatile);
unsigned naive_set_romd(struct naive *naive, int region, bool direct);
unsigned naive_set_log(struct naive *naive, int region, unsigned client, bool wanted);
unsigned naive_add_eventfd(struct naive *naive, int region, const struct gmem_eventfd *eventfd);
unsigned naive_del_eventfd(struct naive *naive, int region, const struct gmem_eventfd *eventfd);
unsigned naive_add_coalesced(struct naive *naive, int region, uint64_t first, uint64_t last);
unsigned naive_clear_coalesced(struct naive *naive, int region);

bool naive_same_eventfd(const struct gmem_eventfd *a, const struct gmem_eventfd *b);

struct naive_range {
    uint64_t first;
    uint64_t last;
    int region;
    uint64_t offset;
    uint32_t attrs;
};

/* What a space with this root shows at addr, as a range of one byte. False: nothing. */
bool naive_at(const struct naive *naive, int root, uint64_t addr, struct naive_range *ret_range);

/* An eventfd or a coalesced interval where it is visible. */
struct naive_extra {
    struct naive_range range;
    bool coalesced;
    struct gmem_eventfd eventfd; /* zero if coalesced */
};

struct naive_view {
    struct naive_range *ranges;
    size_t n_ranges;
    size_t room;
    struct naive_extra *extras;
    size_t n_extras;
    size_t extra_room;
};

/* Fill view, which was zeroed once or filled before, with all that a space with this root shows. */
void naive_render(const struct naive *naive, int root, struct naive_view *view);
void naive_view_free(struct naive_view *view);

#endif
