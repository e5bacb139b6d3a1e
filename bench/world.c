/* SPDX-License-Identifier: MIT */
/*
 * world.c - building the map that is measured. One thread.
 */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OWN_AT 0xf000000000000000u

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    const struct world_device *device = opaque;

    (void)size;
    (void)attrs;
    *ret_value = device->value + offset;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct world_device *device = opaque;

    (void)size;
    (void)attrs;
    device->value = value + offset;
    return GMEM_OK;
}

static const struct gmem_mmio_ops device_ops = {.read = device_read, .write = device_write};

static int hear(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct world *world = listener->opaque;

    (void)section;
    world->heard++;
    return 0;
}

static int hear_nothing(struct gmem_listener *listener)
{
    (void)listener;
    return 0;
}

int world_device_region(struct world *world, uint64_t size, gmem_region **ret_region)
{
    return gmem_region_create_mmio(world->vm, "device", GMEM_SIZE(size), &device_ops, &world->devices[0], NULL,
                                   ret_region);
}

int world_place(struct world *world, uint32_t i)
{
    int err = gmem_region_create_mmio(world->vm, "device", GMEM_SIZE(WORLD_DEVICE_SIZE), &device_ops,
                                      &world->devices[i], NULL, &world->regions[i]);

    return err ? err : gmem_region_add(world->root, world_address(i), world->regions[i]);
}

int world_root_beside(struct world *world, gmem_region **ret_root)
{
    gmem_region *root = NULL, *alias = NULL, *own = NULL;
    int err = gmem_region_create_container(world->vm, "root", GMEM_SIZE_ALL, NULL, &root);

    if (!err)
        err = gmem_region_create_alias(world->vm, "all", world->root, 0, GMEM_SIZE_ALL, NULL, &alias);
    if (!err)
        err = world_device_region(world, WORLD_DEVICE_SIZE, &own);
    if (!err)
        err = gmem_region_add(root, 0, alias);
    if (!err)
        err = gmem_region_add(root, OWN_AT, own);
    gmem_region_unref(alias);
    gmem_region_unref(own);
    if (!err)
        *ret_root = root;
    else
        gmem_region_unref(root);
    return err;
}

static int build(struct world *world)
{
    gmem_region *region = NULL;
    gmem_ram *ram = NULL;
    uint32_t i;
    int err = gmem_vm_create(NULL, &world->vm);

    if (!err)
        err = gmem_region_create_container(world->vm, "system", GMEM_SIZE_ALL, NULL, &world->root);
    if (!err)
        err = gmem_ram_create_anon(world->vm, "ram", WORLD_RAM_SIZE, &ram);
    if (!err)
        err = gmem_region_create_ram(world->vm, "ram", ram, NULL, &region);
    if (!err)
        err = gmem_region_add(world->root, 0, region);
    if (!err)
        err = gmem_space_create(world->vm, "memory", world->root, NULL, &world->space);
    if (!err)
        err = gmem_listener_register(world->vm, world->space, &world->listener);
    if (err)
        return err;
    world->host = gmem_ram_host(ram);
    memset(world->host, 1, WORLD_RAM_SIZE);
    for (i = 0; i < world->n; i++) {
        world->devices[i].value = i;
        world->bare[i] = (struct world_bare){device_ops.read, device_ops.write, &world->devices[i]};
    }
    return 0;
}

int world_create_empty(uint32_t n, struct world **ret_world)
{
    struct world *world = calloc(1, sizeof(*world));
    int err = -ENOMEM;

    if (!world)
        return err;
    world->n = n;
    world->devices = aligned_alloc(_Alignof(struct world_device), n * sizeof(*world->devices));
    world->bare = calloc(n, sizeof(*world->bare));
    world->regions = calloc(n, sizeof(gmem_region *));
    world->listener = (struct gmem_listener){
        .struct_size = sizeof(world->listener),
        .name = "bench",
        .opaque = world,
        .begin = hear_nothing,
        .commit = hear_nothing,
        .region_add = hear,
        .region_del = hear,
    };
    if (world->devices && world->bare && world->regions)
        err = build(world);
    if (err)
        world_destroy(world);
    else
        *ret_world = world;
    return err;
}

int world_create(uint32_t n, struct world **ret_world)
{
    struct world *world = NULL;
    uint32_t i;
    int err = world_create_empty(n, &world);

    if (err)
        return err;
    err = gmem_vm_begin(world->vm);
    for (i = 0; !err && i < n; i++)
        err = world_place(world, i);
    if (!err)
        err = gmem_vm_commit(world->vm);
    gmem_vm_abort(world->vm); /* what failed; nothing after the commit */
    if (err)
        world_destroy(world);
    else
        *ret_world = world;
    return err;
}

void world_destroy(struct world *world)
{
    if (!world)
        return;
    gmem_vm_destroy(world->vm);
    free(world->devices);
    free(world->bare);
    free(world->regions);
    free(world);
}

void world_make_chain(struct world *world)
{
    uint32_t order[WORLD_WORKING_SET / 4], random = WORLD_SEED, i, j, kept, next;

    for (i = 0; i < WORLD_WORKING_SET / 4; i++)
        order[i] = i;
    for (i = WORLD_WORKING_SET / 4 - 1; i > 0; i--) {
        j = bench_below(bench_random(&random), i);
        kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    for (i = 0; i < WORLD_WORKING_SET / 4; i++) {
        next = WORLD_CHAIN_AT + order[i] * 4;
        memcpy(world->host + WORLD_CHAIN_AT + (size_t)i * 4, &next, sizeof(next));
    }
}
