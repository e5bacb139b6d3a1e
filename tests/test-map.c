/* SPDX-License-Identifier: MIT */
/*
 * test-map.c - maps: what is mapped itself and what bounces; how long maps and segments stay, how many bounce buffers there
 * are, and what is marked dirty.
 *
 * Waiting for bounce buffers: test-map-wait.c. That the effect is gmem_space_rw()'s: test-map-same.c. Linked with the
 * allocator wrapped (wrap.h).
 */
#include "map_board.h"
#include "rcu.h"
#include "wrap.h"
#include <errno.h>

#define PAGE GMEM_DIRTY_PAGE_SIZE

/* --- maps ---------------------------------------------------------------------------------------------------------- */

static void direct_maps(void **state)
{
    struct board board;
    struct gmem_map map;

    (void)state;
    board_open(&board);
    bytes_pattern(board.hosts[RAM_A], 0x1000, 1);
    wrap_start(0);
    /* Up to the seam, whatever is asked for. */
    OK(gmem_map(board.world.space, AT(RAM_A) + 0x10, NONE, 0x10000, true, &map));
    assert_ptr_equal(map.host, board.hosts[RAM_A] + 0x10);
    assert_int_equal(map.size, 0xff0);
    assert_false(map.bounced);
    assert_true(map.is_write);
    assert_int_equal(map.result, GMEM_OK);
    assert_ptr_equal(map.segment.region, board.regions[RAM_A]);
    assert_int_equal(gmem_unmap(&map, 0xff0), GMEM_OK);
    assert_null(map.host);
    assert_int_equal(gmem_unmap(&map, 0xff0), GMEM_OK);
    OK(gmem_map(board.world.space, AT(ROMD), NONE, 8, false, &map));
    assert_ptr_equal(map.host, board.hosts[ROMD]);
    assert_int_equal(map.size, 8);
    assert_int_equal(gmem_unmap(&map, 8), GMEM_OK);
    wrap_stop();
    assert_int_equal(wrap.count, 0); /* allocations */
    board_close(&board);
}

static void bounced_reads(void **state)
{
    uint8_t expected[0x40];
    struct board board;
    struct gmem_map map;

    (void)state;
    board_open(&board);
    OK(gmem_map(board.world.space, AT(DEVICE) + 0x20, NONE, 0x40, false, &map));
    assert_true(map.bounced);
    assert_int_equal(map.size, 0x40);
    assert_int_equal(map.result, GMEM_OK);
    memset(expected, 0x5a, sizeof(expected));
    assert_memory_equal(map.host, expected, 0x40);
    assert_int_equal(board.device.reads, 8);
    assert_int_equal(gmem_unmap(&map, 0x40), GMEM_OK);
    assert_int_equal(board.device.writes, 0);

    board.device.read_result = GMEM_RESULT_DEVICE;
    OK(gmem_map(board.world.space, AT(DEVICE), NONE, 4, false, &map));
    assert_int_equal(map.result, GMEM_RESULT_DEVICE);
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    /* Nothing and reserved: what unassigned is, here all ones. */
    memset(expected, 0xff, sizeof(expected));
    OK(gmem_map(board.world.space, AT(KINDS), NONE, 0x40, false, &map));
    assert_int_equal(map.result, GMEM_RESULT_DECODE);
    assert_memory_equal(map.host, expected, 0x40);
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    OK(gmem_map(board.world.space, AT(RESERVED), NONE, 0x40, false, &map));
    assert_int_equal(map.result, GMEM_RESULT_DECODE);
    assert_memory_equal(map.host, expected, 0x40);
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    board_close(&board);
}

static void bounced_writes(void **state)
{
    uint8_t zero[GMEM_BOUNCE_SIZE] = {0}, before[0x40];
    struct board board;
    struct gmem_map map;
    unsigned i;

    (void)state;
    board_open(&board);
    for (i = ROM; i <= KINDS; i++) {
        gmem_result result = i == RESERVED || i == KINDS ? GMEM_RESULT_DECODE : GMEM_OK;

        (void)gmem_space_read(board.world.space, AT(i), NONE, before, sizeof(before));
        OK(gmem_map(board.world.space, AT(i), NONE, 0x40, true, &map));
        assert_true(map.bounced);
        assert_memory_equal(map.host, zero, 0x40);
        memset(map.host, 0x77, 0x40);
        assert_int_equal(gmem_unmap(&map, 0x40), result);
        if (board.hosts[i < KINDS ? i : 0] && i < KINDS)
            assert_memory_equal(board.hosts[i], before, 0x40);
        assert_int_equal(board.device.writes, i >= ROMD ? 8 : 0);
    }
    /* Only the bytes that were written, at unmap and not before. */
    memset(&board.device, 0, sizeof(board.device));
    board.device.write_result = GMEM_RESULT_DEVICE;
    OK(gmem_map(board.world.space, AT(DEVICE), NONE, 0x10, true, &map));
    assert_int_equal(board.device.reads + board.device.writes, 0);
    assert_int_equal(gmem_unmap(&map, 12), GMEM_RESULT_DEVICE);
    assert_int_equal(board.device.writes, 2);
    assert_int_equal(board.device.last_offset, 8);
    assert_int_equal(board.device.last_size, 4);
    OK(gmem_map(board.world.space, AT(DEVICE), NONE, 0x10, true, &map));
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    assert_int_equal(board.device.writes, 2);
    OK(gmem_map(board.world.space, AT(DEVICE), NONE, 0x10, true, &map));
    assert_int_equal(gmem_unmap(&map, UINT64_MAX), GMEM_RESULT_DEVICE);
    assert_int_equal(board.device.writes, 4);
    board_close(&board);
}

/* --- how long they stay -------------------------------------------------------------------------------------------- */

struct owned {
    unsigned refs, unrefs; /* atomic */
};

static void owned_ref(void *opaque)
{
    __atomic_fetch_add(&((struct owned *)opaque)->refs, 1, __ATOMIC_RELAXED);
}

static void owned_unref(void *opaque)
{
    __atomic_fetch_add(&((struct owned *)opaque)->unrefs, 1, __ATOMIC_RELAXED);
}

static uint64_t regions_alive(gmem_vm *vm)
{
    struct gmem_vm_stats stats;

    gmem_vm_stats(vm, &stats);
    return stats.regions;
}

/* A region of an owner at 0x4000, all references on which are the container's. */
static gmem_region *place_owned(struct world *world, struct owned *owned, uint8_t **ret_host)
{
    struct gmem_owner owner = {.opaque = owned, .ref = owned_ref, .unref = owned_unref};
    gmem_region *region;
    gmem_ram *ram;

    OK(gmem_ram_create_anon(world->vm, "owned", 0x1000, &ram));
    OK(gmem_region_create_ram(world->vm, "owned", ram, &owner, &region));
    *ret_host = gmem_ram_host(ram);
    gmem_ram_unref(ram);
    world_place(world, region, 0x4000);
    gmem_region_unref(region);
    assert_int_equal(owned->refs, 1);
    return region;
}

/* G7: memory and owner live until the piece is released, and no longer. */
static void a_piece_outlives_its_region(void **state)
{
    struct owned owned = {0};
    struct world world;
    gmem_region *region;
    struct list list;
    gmem_ram *ram;
    uint8_t *host;

    (void)state;
    world_open(&world);
    region = place_owned(&world, &owned, &host);
    find(&list, &world, 0x4800, 0x10, true);
    OK(gmem_region_remove(world.root, region));
    gmem__rcu_barrier();
    assert_int_equal(owned.unrefs, 0);
    assert_int_equal(regions_alive(world.vm), 2);
    assert_ptr_equal(list.items[0].host, host + 0x800);
    memset(list.items[0].host, 1, 0x10);
    assert_int_equal(gmem_segment_write(&list.items[0], 0, "text", 4), GMEM_OK);
    assert_memory_equal(host + 0x800, "text", 4);
    give_back(&list, 0x10);
    assert_int_equal(owned.unrefs, 1);
    assert_int_equal(regions_alive(world.vm), 1);
    REFUSED(ENOENT, gmem_ram_find(world.vm, "owned", &ram));
    world_close(&world);
}

static void a_map_outlives_its_region(void **state)
{
    struct owned owned = {0};
    struct gmem_map map, copy;
    struct world world;
    gmem_region *region;
    uint8_t *host;

    (void)state;
    world_open(&world);
    region = place_owned(&world, &owned, &host);
    OK(gmem_map(world.space, 0x4000, NONE, 0x1000, true, &map));
    OK(gmem_region_remove(world.root, region));
    gmem__rcu_barrier();
    assert_int_equal(owned.unrefs, 0);
    memset(map.host, 1, map.size);
    copy = map;
    assert_int_equal(gmem_unmap(&copy, 0x1000), GMEM_OK);
    assert_int_equal(owned.unrefs, 1);
    assert_int_equal(regions_alive(world.vm), 1);
    world_close(&world);
}

/* What was mapped is written, not what is there now. */
static void a_bounce_buffer_writes_what_was_mapped(void **state)
{
    struct board board;
    struct gmem_map map;

    (void)state;
    board_open(&board);
    OK(gmem_map(board.world.space, AT(DEVICE) + 8, NONE, 8, true, &map));
    OK(gmem_region_move(board.regions[DEVICE], 0x8000000));
    OK(gmem_region_move(board.regions[RAM_B], AT(DEVICE)));
    memset(map.host, 1, 8);
    assert_int_equal(gmem_unmap(&map, 8), GMEM_OK);
    assert_int_equal(board.device.writes, 1);
    assert_int_equal(board.device.last_offset, 8);
    assert_int_equal(board.hosts[RAM_B][8], 0);
    board_close(&board);
}

static void what_is_direct_outlives_its_space(void **state)
{
    struct board board;
    struct gmem_map map;
    struct list list;
    bool dirty;

    (void)state;
    board_open(&board);
    OK(gmem_region_set_log(board.regions[RAM_A], GMEM_LOG_CODE, true));
    OK(gmem_map(board.world.space, AT(RAM_A), NONE, 0x1000, true, &map));
    find(&list, &board.world, AT(RAM_A), 0x2000, true);
    gmem_space_destroy(board.world.space);
    memset(map.host, 1, map.size);
    memset(list.items[1].host, 1, list.items[1].size);
    assert_int_equal(gmem_unmap(&map, map.size), GMEM_OK);
    give_back(&list, 0x2000);
    OK(gmem_ram_dirty_test(gmem_region_ram(board.regions[RAM_A]), GMEM_LOG_CODE, 0, 1, &dirty));
    assert_true(dirty);
    board_close(&board);
}

/* --- bounds -------------------------------------------------------------------------------------------------------- */

static void bounce_buffers_are_bounded(void **state)
{
    struct gmem_map maps[GMEM_BOUNCE_BUFFERS], one_more, ram;
    struct board board;
    unsigned i, reads;

    (void)state;
    board_open(&board);
    /* The small ones count like the large. */
    for (i = 0; i < GMEM_BOUNCE_BUFFERS; i++)
        OK(gmem_map(board.world.space, AT(DEVICE), NONE, i % 2 ? 1 : 0x1000, false, &maps[i]));
    reads = board.device.reads;
    one_more.size = 77;
    REFUSED(EAGAIN, gmem_map(board.world.space, AT(DEVICE), NONE, 1, false, &one_more));
    REFUSED(EAGAIN, gmem_map(board.world.space, AT(ROM), NONE, 1, true, &one_more));
    REFUSED(EAGAIN, gmem_map(board.world.space, 0, NONE, 1, false, &one_more));
    assert_int_equal(one_more.size, 77);
    assert_int_equal(board.device.reads, reads);
    OK(gmem_map(board.world.space, AT(RAM_A), NONE, 0x1000, true, &ram));
    assert_int_equal(gmem_unmap(&ram, 0), GMEM_OK);
    assert_int_equal(gmem_unmap(&maps[3], 0), GMEM_OK);
    OK(gmem_map(board.world.space, AT(DEVICE), NONE, 1, false, &maps[3]));
    REFUSED(EAGAIN, gmem_map(board.world.space, AT(DEVICE), NONE, 1, false, &one_more));
    for (i = 0; i < GMEM_BOUNCE_BUFFERS; i++)
        assert_int_equal(gmem_unmap(&maps[i], 0), GMEM_OK);
    board_close(&board);
}

static void the_bound_is_the_space_s(void **state)
{
    struct gmem_space_options options = {.struct_size = sizeof(options), .bounce_buffers = 1};
    struct gmem_map map, other, refused;
    gmem_space *space;
    struct board board;

    (void)state;
    board_open(&board);
    OK(gmem_space_create(board.world.vm, "one", board.world.root, &options, &space));
    OK(gmem_map(space, 0, NONE, 1, false, &map));
    REFUSED(EAGAIN, gmem_map(space, 0, NONE, 1, false, &refused));
    OK(gmem_map(board.world.space, 0, NONE, 1, false, &other));
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    assert_int_equal(gmem_unmap(&other, 0), GMEM_OK);
    board_close(&board);
}

/* Sizes do not depend on what else is mapped, and the device's accesses are not cut. */
static void bounce_buffers_are_cut_where_the_bus_cuts(void **state)
{
    struct gmem_mmio_ops ops = endless_ops;
    struct bytes_device device = {0};
    struct world world;
    struct gmem_map map;

    (void)state;
    world_open(&world);
    gmem_region_unref(world_mmio(&world, 0x10003, 0x4000, &ops, &device));
    ops.valid.unaligned = true;
    ops.impl.unaligned = true;
    gmem_region_unref(world_mmio(&world, 0x20003, 0x4000, &ops, &device));
    OK(gmem_map(world.space, 0x10003 + 5, NONE, 0x3000, true, &map));
    assert_int_equal(map.size, GMEM_BOUNCE_SIZE - 5);
    assert_int_equal(gmem_unmap(&map, map.size), GMEM_OK);
    assert_int_equal(device.last_size, 8);
    OK(gmem_map(world.space, 0x20003 + 5, NONE, 0x3000, true, &map));
    assert_int_equal(map.size, GMEM_BOUNCE_SIZE);
    assert_int_equal(gmem_unmap(&map, map.size), GMEM_OK);
    assert_int_equal(device.last_size, 8);
    OK(gmem_map(world.space, 0x10003 + 5, NONE, GMEM_BOUNCE_SIZE - 6, true, &map));
    assert_int_equal(map.size, GMEM_BOUNCE_SIZE - 6);
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    OK(gmem_map(world.space, 3, NONE, 0x3000, true, &map));
    assert_int_equal(map.size, GMEM_BOUNCE_SIZE);
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    world_close(&world);
}

static void count_call(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* Without memory nothing is read and nothing held, and who waits meanwhile is called. */
static void no_memory_for_a_bounce_buffer(void **state)
{
    struct gmem_map maps[GMEM_BOUNCE_BUFFERS + 1];
    unsigned calls = 0;
    struct gmem_map_waiter waiter = {.fn = count_call, .opaque = &calls};
    struct board board;
    unsigned i;
    int err;

    (void)state;
    board_open(&board);
    for (i = 0; i <= GMEM_BOUNCE_BUFFERS; i++) {
        wrap_start(1);
        err = gmem_map(board.world.space, AT(DEVICE), NONE, 64, false, &maps[0]);
        assert_true(wrap_stop());
        REFUSED(ENOMEM, err);
    }
    assert_int_equal(board.device.reads, 0);
    for (i = 0; i < GMEM_BOUNCE_BUFFERS; i++)
        OK(gmem_map(board.world.space, AT(DEVICE), NONE, 64, false, &maps[i]));
    OK(gmem_map_wait(board.world.space, &waiter));
    assert_int_equal(calls, 0);
    for (i = 0; i < GMEM_BOUNCE_BUFFERS; i++)
        assert_int_equal(gmem_unmap(&maps[i], 0), GMEM_OK);
    assert_int_equal(calls, 1);
    board_close(&board);
}

/* --- dirty --------------------------------------------------------------------------------------------------------- */

/* Exactly the pages first to last (none if last is before first) of four are dirty; then none is. */
static void check_dirty(gmem_region *region, unsigned first, unsigned last)
{
    unsigned page;
    bool dirty;

    for (page = 0; page < 4; page++) {
        OK(gmem_ram_dirty_test_and_clear(gmem_region_ram(region), GMEM_LOG_MIGRATION, page * PAGE, PAGE, &dirty));
        assert_int_equal(dirty, page >= first && page <= last);
    }
}

static void what_is_written_is_marked(void **state)
{
    gmem_region *low, *high;
    struct world world;
    struct gmem_map map;
    struct list list;

    (void)state;
    world_open(&world);
    low = world_memory(&world, GMEM_KIND_RAM, "low", 4 * PAGE, NULL, NULL, NULL);
    high = world_memory(&world, GMEM_KIND_RAM, "high", 4 * PAGE, NULL, NULL, NULL);
    world_place(&world, low, 0);
    world_place(&world, high, 4 * PAGE);
    /* Before anybody logs; the maps of below are marked though logging begins after. */
    OK(gmem_map(world.space, PAGE, NONE, 2 * PAGE, true, &map));
    find(&list, &world, 3 * PAGE, 2 * PAGE, true);
    OK(gmem_region_set_log(low, GMEM_LOG_MIGRATION, true));
    OK(gmem_region_set_log(high, GMEM_LOG_MIGRATION, true));
    assert_int_equal(gmem_unmap(&map, 2 * PAGE), GMEM_OK);
    check_dirty(low, 1, 2);
    assert_int_equal(gmem_segment_write(&list.items[1], 0, "text", 4), GMEM_OK);
    check_dirty(high, 0, 0);
    give_back(&list, 2 * PAGE);
    check_dirty(low, 3, 3);
    check_dirty(high, 0, 0);

    OK(gmem_map(world.space, PAGE - 1, NONE, 3 * PAGE, true, &map));
    assert_int_equal(gmem_unmap(&map, 1), GMEM_OK);
    check_dirty(low, 0, 0);
    OK(gmem_map(world.space, PAGE - 1, NONE, 3 * PAGE, true, &map));
    assert_int_equal(gmem_unmap(&map, 2), GMEM_OK);
    check_dirty(low, 0, 1);
    OK(gmem_map(world.space, PAGE - 1, NONE, 2, true, &map));
    assert_int_equal(gmem_unmap(&map, UINT64_MAX), GMEM_OK);
    check_dirty(low, 0, 1);
    OK(gmem_map(world.space, 0, NONE, 2, true, &map));
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    OK(gmem_map(world.space, 0, NONE, 2, false, &map));
    assert_int_equal(gmem_unmap(&map, 2), GMEM_OK);
    check_dirty(low, 1, 0);

    /* The first bytes of a list, then one of its pieces only. */
    find(&list, &world, 3 * PAGE, 5 * PAGE, true);
    give_back(&list, PAGE);
    check_dirty(low, 3, 3);
    check_dirty(high, 1, 0);
    find(&list, &world, 3 * PAGE, 5 * PAGE, true);
    give_back(&list, PAGE + 1);
    check_dirty(low, 3, 3);
    check_dirty(high, 0, 0);
    find(&list, &world, 3 * PAGE, 5 * PAGE, true);
    gmem_segments_release(&list.items[1], 1, 2 * PAGE);
    give_back(&list, 0);
    check_dirty(low, 1, 0);
    check_dirty(high, 0, 1);
    /* A piece that is written by gmem_segment_write() is marked by it. */
    find(&list, &world, 0, 4 * PAGE, false);
    assert_int_equal(gmem_segment_write(&list.items[0], 2 * PAGE, "text", 4), GMEM_OK);
    give_back(&list, 0);
    check_dirty(low, 2, 2);
    gmem_region_unref(low);
    gmem_region_unref(high);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_maps),
        cmocka_unit_test(bounced_reads),
        cmocka_unit_test(bounced_writes),
        cmocka_unit_test(a_piece_outlives_its_region),
        cmocka_unit_test(a_map_outlives_its_region),
        cmocka_unit_test(a_bounce_buffer_writes_what_was_mapped),
        cmocka_unit_test(what_is_direct_outlives_its_space),
        cmocka_unit_test(bounce_buffers_are_bounded),
        cmocka_unit_test(the_bound_is_the_space_s),
        cmocka_unit_test(bounce_buffers_are_cut_where_the_bus_cuts),
        cmocka_unit_test(no_memory_for_a_bounce_buffer),
        cmocka_unit_test(what_is_written_is_marked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
