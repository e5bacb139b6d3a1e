/* SPDX-License-Identifier: MIT */
/* map_board.h - a board with a region of every kind, and lists of pieces found in it. For the tests of segments and maps. */
#ifndef GMEM_TESTS_MAP_BOARD_H
#define GMEM_TESTS_MAP_BOARD_H

#include "support.h"
#include "access_world.h"

#define NONE GMEM_ATTRS_NONE
#define ROOM 16

struct list {
    struct gmem_segment items[ROOM];
    size_t count;
    uint64_t covered;
};

static inline void find(struct list *list, struct world *world, uint64_t addr, uint64_t size, bool is_write)
{
    OK(gmem_segments(world->space, addr, NONE, size, is_write, list->items, ROOM, &list->count, &list->covered));
    assert_int_equal(list->covered, size);
}

static inline void give_back(struct list *list, uint64_t written)
{
    size_t i;

    gmem_segments_release(list->items, list->count, written);
    for (i = 0; i < list->count; i++) {
        assert_null(list->items[i].region);
        assert_null(list->items[i].host);
    }
}

static inline void check_piece(const struct list *list, size_t i, uint64_t addr, uint64_t size,
                               const gmem_region *region, uint64_t offset, const void *host)
{
    assert_true(i < list->count);
    assert_int_equal(list->items[i].addr, addr);
    assert_int_equal(list->items[i].size, size);
    assert_ptr_equal(list->items[i].region, region);
    assert_int_equal(list->items[i].offset, offset);
    assert_ptr_equal(list->items[i].host, host);
}

/* --- a board with all kinds, of 0x1000 bytes each ------------------------------------------------------------------ */

enum { RAM_A, RAM_B, DEVICE, ROM, ROMD, RESERVED, READONLY, KINDS };

struct board {
    struct world world;
    gmem_region *regions[KINDS];
    uint8_t *hosts[KINDS];
    struct bytes_device device; /* DEVICE, at the start of its page; and ROMD */
};

static inline gmem_result endless_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                       uint64_t *ret_value)
{
    struct bytes_device *device = opaque;

    device->reads++;
    device->last_offset = offset;
    device->last_size = size;
    device->last_attrs = attrs;
    memset(ret_value, 0x5a, size); /* little-endian: the low bytes */
    return device->read_result;
}

static inline gmem_result endless_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                        uint64_t value)
{
    struct bytes_device *device = opaque;

    (void)value;
    device->writes++;
    device->last_offset = offset;
    device->last_size = size;
    device->last_attrs = attrs;
    return device->write_result;
}

static const struct gmem_mmio_ops endless_ops = {
    .read = endless_read, .write = endless_write, .endian = GMEM_ENDIAN_LITTLE};

/* Region k at 0x10000 + k * 0x1000, and from there on nothing. */
#define AT(k) (0x10000u + (unsigned)(k)*0x1000u)

static inline void board_open(struct board *board)
{
    struct world *world = &board->world;
    unsigned i;

    memset(board, 0, sizeof(*board));
    world_open_with(world, GMEM_ENDIAN_LITTLE, true);
    board->regions[RAM_A] = world_memory(world, GMEM_KIND_RAM, "a", 0x1000, NULL, NULL, &board->hosts[RAM_A]);
    board->regions[RAM_B] = world_memory(world, GMEM_KIND_RAM, "b", 0x1000, NULL, NULL, &board->hosts[RAM_B]);
    OK(gmem_region_create_mmio(world->vm, "device", GMEM_SIZE(0x1000), &endless_ops, &board->device, NULL,
                               &board->regions[DEVICE]));
    board->regions[ROM] = world_memory(world, GMEM_KIND_ROM, "rom", 0x1000, NULL, NULL, &board->hosts[ROM]);
    board->regions[ROMD] =
        world_memory(world, GMEM_KIND_ROMD, "romd", 0x1000, &endless_ops, &board->device, &board->hosts[ROMD]);
    OK(gmem_region_create_reserved(world->vm, "reserved", GMEM_SIZE(0x1000), NULL, &board->regions[RESERVED]));
    board->regions[READONLY] = world_memory(world, GMEM_KIND_RAM, "ro", 0x1000, NULL, NULL, &board->hosts[READONLY]);
    OK(gmem_region_set_readonly(board->regions[READONLY], true));
    for (i = 0; i < KINDS; i++)
        world_place(world, board->regions[i], AT(i));
}

static inline void board_close(struct board *board)
{
    unsigned i;

    for (i = 0; i < KINDS; i++)
        gmem_region_unref(board->regions[i]);
    world_close(&board->world);
}

#endif
