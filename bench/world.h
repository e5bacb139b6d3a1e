/* SPDX-License-Identifier: MIT */
/*
 * world.h - the map that the benchmarks measure: RAM at 0 and n small devices far above it, with gaps, so that each is a range of its
 * own; one space and one listener of it.
 */
#ifndef GMEM_BENCH_WORLD_H
#define GMEM_BENCH_WORLD_H

#include "bench.h"

#include <gmem/gmem.h>

#define WORLD_RAM_SIZE (1u << 20)
#define WORLD_DEVICES_AT 0x100000000u
#define WORLD_DEVICE_SIZE 0x1000u
#define WORLD_STRIDE 0x4000u

#define WORLD_WORKING_SET (32u << 10) /* bytes of RAM from 0 on, which stay in the first cache */
#define WORLD_CHAIN_AT 0x10000u       /* as many, apart from those that random stores go to */
#define WORLD_SEED 2463534242u

/* Two devices share no cache line: what threads then still share is the library's. */
struct world_device {
    uint64_t value;
} __attribute__((aligned(128)));

/* A device's callbacks, to be called by hand as the library calls them. */
struct world_bare {
    gmem_result (*read)(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value);
    gmem_result (*write)(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value);
    void *opaque;
};

struct world {
    gmem_vm *vm;
    gmem_region *root;
    gmem_space *space;
    uint8_t *host; /* of the RAM */
    uint32_t n;
    struct world_device *devices;
    struct world_bare *bare;
    gmem_region **regions; /* the devices', with a reference each */
    struct gmem_listener listener;
    uint64_t heard; /* sections that the listener was told of */
};

/*
 * Make it, of n devices placed in one transaction; or with no device placed yet. 0 or a negative errno. *ret_world is the caller's.
 */
int world_create(uint32_t n, struct world **ret_world);
int world_create_empty(uint32_t n, struct world **ret_world);
void world_destroy(struct world *world); /* NULL is allowed */

/* Make device i's region and place it. 0 or a negative errno. */
int world_place(struct world *world, uint32_t i);

/* A device region as the world's are, placed nowhere. */
int world_device_region(struct world *world, uint64_t size, gmem_region **ret_region);

/*
 * A root that shows all that the world's does and one small device of its own, so that a space on it can't share the view of another.
 */
int world_root_beside(struct world *world, gmem_region **ret_root);

/* Make the words at WORLD_CHAIN_AT a random cycle (Sattolo's shuffle): each holds the address of the next. */
void world_make_chain(struct world *world);

static inline uint64_t world_address(uint32_t device)
{
    return WORLD_DEVICES_AT + (uint64_t)device * WORLD_STRIDE;
}

#endif
