/* SPDX-License-Identifier: MIT */
/* access_world.h - a vm with one space to access, and devices that are byte arrays and keep a log. For the access tests. */
#ifndef GMEM_TESTS_ACCESS_WORLD_H
#define GMEM_TESTS_ACCESS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <gmem/gmem.h>
#include <string.h>

struct world {
    gmem_vm *vm;
    gmem_region *root;
    gmem_space *space;
};

static inline void world_open_with(struct world *world, enum gmem_endian endian, bool ones)
{
    struct gmem_vm_options vm_options = {.struct_size = sizeof(vm_options), .endian = endian};
    struct gmem_space_options space_options = {.struct_size = sizeof(space_options), .unassigned_ones = ones};

    assert_int_equal(gmem_vm_create(&vm_options, &world->vm), 0);
    assert_int_equal(gmem_region_create_container(world->vm, "root", GMEM_SIZE_ALL, NULL, &world->root), 0);
    assert_int_equal(gmem_space_create(world->vm, "space", world->root, &space_options, &world->space), 0);
}

static inline void world_open(struct world *world)
{
    world_open_with(world, GMEM_ENDIAN_LITTLE, false);
}

static inline void world_close(struct world *world)
{
    gmem_region_unref(world->root);
    gmem_vm_destroy(world->vm);
}

/* The reference on the region stays the caller's; world_close() frees all there is. */
static inline void world_place(struct world *world, gmem_region *region, uint64_t addr)
{
    assert_int_equal(gmem_region_add(world->root, addr, region), 0);
}

/* A region of a new anonymous block, whose id is name. */
static inline gmem_region *world_memory(struct world *world, enum gmem_kind kind, const char *name, uint64_t size,
                                        const struct gmem_mmio_ops *ops, void *opaque, uint8_t **ret_host)
{
    gmem_region *region = NULL;
    gmem_ram *ram;

    assert_int_equal(gmem_ram_create_anon(world->vm, name, size, &ram), 0);
    if (kind == GMEM_KIND_RAM)
        assert_int_equal(gmem_region_create_ram(world->vm, name, ram, NULL, &region), 0);
    else if (kind == GMEM_KIND_ROM)
        assert_int_equal(gmem_region_create_rom(world->vm, name, ram, NULL, &region), 0);
    else
        assert_int_equal(gmem_region_create_romd(world->vm, name, ram, ops, opaque, NULL, &region), 0);
    if (ret_host)
        *ret_host = gmem_ram_host(ram);
    gmem_ram_unref(ram);
    return region;
}

/* RAM at addr; returns its host memory. */
static inline uint8_t *world_ram(struct world *world, uint64_t addr, uint64_t size, const char *name)
{
    uint8_t *host;

    world_place(world, world_memory(world, GMEM_KIND_RAM, name, size, NULL, NULL, &host), addr);
    return host;
}

static inline gmem_region *world_mmio(struct world *world, uint64_t addr, uint64_t size,
                                      const struct gmem_mmio_ops *ops, void *opaque)
{
    gmem_region *region;

    assert_int_equal(gmem_region_create_mmio(world->vm, "mmio", GMEM_SIZE(size), ops, opaque, NULL, &region), 0);
    world_place(world, region, addr);
    return region;
}

/* --- a little-endian device of 64 bytes ---------------------------------------------------------------------------- */

#define BYTES_SIZE 64u

struct bytes_device {
    uint8_t bytes[BYTES_SIZE];
    unsigned reads, writes;
    uint64_t last_offset;
    unsigned last_size;
    struct gmem_attrs last_attrs;
    gmem_result read_result, write_result;
};

static inline gmem_result bytes_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                     uint64_t *ret_value)
{
    struct bytes_device *device = opaque;
    unsigned i;

    assert_true(offset + size <= BYTES_SIZE);
    for (i = 0; i < size; i++)
        *ret_value |= (uint64_t)device->bytes[offset + i] << 8 * i;
    device->reads++;
    device->last_offset = offset;
    device->last_size = size;
    device->last_attrs = attrs;
    return device->read_result;
}

static inline gmem_result bytes_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                      uint64_t value)
{
    struct bytes_device *device = opaque;
    unsigned i;

    assert_true(offset + size <= BYTES_SIZE);
    for (i = 0; i < size; i++)
        device->bytes[offset + i] = (uint8_t)(value >> 8 * i);
    device->writes++;
    device->last_offset = offset;
    device->last_size = size;
    device->last_attrs = attrs;
    return device->write_result;
}

static const struct gmem_mmio_ops bytes_ops = {
    .read = bytes_read,
    .write = bytes_write,
    .endian = GMEM_ENDIAN_LITTLE,
};

static inline void bytes_pattern(uint8_t *bytes, size_t count, uint8_t first)
{
    size_t i;

    for (i = 0; i < count; i++)
        bytes[i] = (uint8_t)(first + i);
}

#endif
