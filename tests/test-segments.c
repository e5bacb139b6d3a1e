/* SPDX-License-Identifier: MIT */
/*
 * test-segments.c - what pieces an interval is, where its ends are, and accesses of a piece.
 *
 * How long pieces stay and what they mark dirty: test-map.c.
 */
#include "map_board.h"
#include <errno.h>

/* Which kinds have a pointer, to be read and to be written. */
static void pieces_of_every_kind(void **state)
{
    static const bool pointer[2][KINDS] = {
        {[RAM_A] = true, [RAM_B] = true, [ROM] = true, [ROMD] = true, [READONLY] = true},
        {[RAM_A] = true, [RAM_B] = true},
    };
    struct board board;
    struct list list;
    unsigned i;
    int w;

    (void)state;
    board_open(&board);
    for (w = 0; w < 2; w++) {
        /* From nothing, over all, into nothing. */
        find(&list, &board.world, AT(0) - 0x10, 0x20 + KINDS * 0x1000, w);
        assert_int_equal(list.count, KINDS + 2);
        check_piece(&list, 0, AT(0) - 0x10, 0x10, NULL, 0, NULL);
        for (i = 0; i < KINDS; i++) {
            check_piece(&list, i + 1, AT(i), 0x1000, board.regions[i], 0, pointer[w][i] ? board.hosts[i] : NULL);
            assert_int_equal(list.items[i + 1].attrs & GMEM_RANGE_READONLY,
                             i == ROM || i == READONLY ? GMEM_RANGE_READONLY : 0);
        }
        check_piece(&list, KINDS + 1, AT(KINDS), 0x10, NULL, 0, NULL);
        give_back(&list, 0);
        /* Inside of one. */
        find(&list, &board.world, AT(RAM_B) + 0x123, 0x45, w);
        assert_int_equal(list.count, 1);
        check_piece(&list, 0, AT(RAM_B) + 0x123, 0x45, board.regions[RAM_B], 0x123, board.hosts[RAM_B] + 0x123);
        give_back(&list, 0);
    }
    OK(gmem_region_set_romd(board.regions[ROMD], false));
    find(&list, &board.world, AT(ROMD), 8, false);
    check_piece(&list, 0, AT(ROMD), 8, board.regions[ROMD], 0, NULL);
    give_back(&list, 0);
    assert_int_equal(board.device.reads + board.device.writes, 0);
    board_close(&board);
}

/* Ranges are not joined, though the host's memory goes on. */
static void a_piece_is_of_one_range(void **state)
{
    struct world world;
    gmem_region *ram, *nonvolatile;
    struct list list;
    uint8_t *host;

    (void)state;
    world_open(&world);
    ram = world_memory(&world, GMEM_KIND_RAM, "ram", 0x3000, NULL, NULL, &host);
    nonvolatile = make_alias(world.vm, "alias", ram, 0x1000, GMEM_SIZE(0x1000));
    OK(gmem_region_set_nonvolatile(nonvolatile, true));
    world_place(&world, ram, 0);
    world_place(&world, nonvolatile, 0x1000);
    find(&list, &world, 0x800, 0x2000, true);
    assert_int_equal(list.count, 3);
    check_piece(&list, 0, 0x800, 0x800, ram, 0x800, host + 0x800);
    check_piece(&list, 1, 0x1000, 0x1000, ram, 0x1000, host + 0x1000);
    check_piece(&list, 2, 0x2000, 0x800, ram, 0x2000, host + 0x2000);
    give_back(&list, 0);
    gmem_region_unref(nonvolatile);
    gmem_region_unref(ram);
    world_close(&world);
}

/* With room for any number of pieces, the calls together find the same. */
static void room_too_small(void **state)
{
    struct board board;
    struct list all, some;
    uint64_t at, size = 0x20 + KINDS * 0x1000;
    size_t room, seen, i;

    (void)state;
    board_open(&board);
    find(&all, &board.world, AT(0) - 0x10, size, true);
    for (room = 1; room < all.count; room++) {
        for (at = 0, seen = 0; at < size; at += some.covered) {
            OK(gmem_segments(board.world.space, AT(0) - 0x10 + at, NONE, size - at, true, some.items, room, &some.count,
                             &some.covered));
            assert_true(some.count > 0 && some.count <= room);
            assert_true(some.count == room || at + some.covered == size);
            for (i = 0; i < some.count; i++, seen++)
                check_piece(&some, i, all.items[seen].addr, all.items[seen].size, all.items[seen].region,
                            all.items[seen].offset, all.items[seen].host);
            give_back(&some, 0);
        }
        assert_int_equal(at, size);
        assert_int_equal(seen, all.count);
    }
    give_back(&all, 0);
    board_close(&board);
}

static void up_to_the_last_address(void **state)
{
    struct world world;
    struct gmem_map map;
    struct list list;
    uint8_t *host;

    (void)state;
    world_open(&world);
    host = world_ram(&world, UINT64_MAX - 0xfff, 0x1000, "ram");
    find(&list, &world, UINT64_MAX - 0x100f, 0x1010, true);
    assert_int_equal(list.count, 2);
    check_piece(&list, 0, UINT64_MAX - 0x100f, 0x10, NULL, 0, NULL);
    assert_ptr_equal(list.items[1].host, host);
    assert_int_equal(list.items[1].size, 0x1000);
    give_back(&list, 0);
    OK(gmem_map(world.space, UINT64_MAX, NONE, 1, true, &map));
    assert_ptr_equal(map.host, host + 0xfff);
    assert_int_equal(gmem_unmap(&map, 1), GMEM_OK);
    /* All but one byte of the space. */
    find(&list, &world, 1, UINT64_MAX, false);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].size, UINT64_MAX - 0x1000);
    give_back(&list, 0);

    REFUSED(EOVERFLOW,
            gmem_segments(world.space, UINT64_MAX, NONE, 2, false, list.items, ROOM, &list.count, &list.covered));
    REFUSED(EOVERFLOW,
            gmem_segments(world.space, 2, NONE, UINT64_MAX, false, list.items, ROOM, &list.count, &list.covered));
    REFUSED(EOVERFLOW, gmem_map(world.space, UINT64_MAX, NONE, 2, false, &map));
    world_close(&world);
}

static void bad_arguments(void **state)
{
    struct list list = {.count = 77, .covered = 78};
    struct gmem_map map = {.size = 79};
    struct board board;
    gmem_space *space;

    (void)state;
    board_open(&board);
    space = board.world.space;
    REFUSED(EINVAL, gmem_segments(NULL, 0, NONE, 1, false, list.items, 1, &list.count, &list.covered));
    REFUSED(EINVAL, gmem_segments(space, 0, NONE, 1, false, NULL, 1, &list.count, &list.covered));
    REFUSED(EINVAL, gmem_segments(space, 0, NONE, 1, false, list.items, 0, &list.count, &list.covered));
    REFUSED(EINVAL, gmem_segments(space, 0, NONE, 1, false, list.items, 1, NULL, &list.covered));
    REFUSED(EINVAL, gmem_segments(space, 0, NONE, 1, false, list.items, 1, &list.count, NULL));
    REFUSED(EINVAL, gmem_map(NULL, 0, NONE, 1, false, &map));
    REFUSED(EINVAL, gmem_map(space, 0, NONE, 0, false, &map));
    REFUSED(EINVAL, gmem_map(space, 0, NONE, 1, false, NULL));
    assert_int_equal(list.count, 77);
    assert_int_equal(list.covered, 78);
    assert_int_equal(map.size, 79);

    OK(gmem_segments(space, AT(0), NONE, 0, false, list.items, 1, &list.count, &list.covered));
    assert_int_equal(list.count, 0);
    assert_int_equal(list.covered, 0);
    gmem_segments_release(NULL, 0, 0);
    assert_int_equal(gmem_unmap(NULL, 0), GMEM_OK);
    board_close(&board);
}

/* A piece is accessed as the space is: any kind, any part, either direction, and nothing behind its end. */
static void pieces_are_accessed(void **state)
{
    uint8_t buf[0x20], expected[0x20];
    struct board board;
    struct list list;
    unsigned i;

    (void)state;
    board_open(&board);
    for (i = 0; i < KINDS; i++) {
        if (board.hosts[i])
            bytes_pattern(board.hosts[i], 0x1000, (uint8_t)(i + 1));
    }
    find(&list, &board.world, AT(0), (KINDS + 1) * 0x1000, true);
    for (i = 0; i <= KINDS; i++) {
        const struct gmem_segment *piece = &list.items[i];
        gmem_result result = i == RESERVED || i == KINDS ? GMEM_RESULT_DECODE : GMEM_OK;

        memset(buf, 0, sizeof(buf));
        assert_int_equal(gmem_space_read(board.world.space, AT(i) + 0x101, NONE, expected, sizeof(buf)), result);
        assert_int_equal(gmem_segment_read(piece, 0x101, buf, sizeof(buf)), result);
        assert_memory_equal(buf, expected, sizeof(buf));
        memset(buf, 0xc0 + (int)i, sizeof(buf));
        assert_int_equal(gmem_segment_write(piece, 0x101, buf, sizeof(buf)), result);
        assert_int_equal(gmem_space_read(board.world.space, AT(i) + 0x101, NONE, expected, sizeof(buf)), result);
        assert_int_equal(!memcmp(buf, expected, sizeof(buf)), i == RAM_A || i == RAM_B);
        assert_int_equal(gmem_segment_read(piece, 0x101, buf, 0), GMEM_OK);

        /* 0x10 bytes of the piece and as many behind it. */
        assert_int_equal(gmem_segment_read(piece, 0xff0, buf, 0x20), result | GMEM_RESULT_DECODE);
        memset(expected, 0xff, 0x10);
        assert_memory_equal(buf + 0x10, expected, 0x10);
        assert_int_equal(gmem_segment_read(piece, 0x1000, buf, 0x20), GMEM_RESULT_DECODE);
        assert_memory_equal(buf, expected, 0x10);
        assert_int_equal(gmem_segment_write(piece, UINT64_MAX, buf, 1), GMEM_RESULT_DECODE);
    }
    give_back(&list, 0);
    board_close(&board);
}

static void attributes_reach_the_device(void **state)
{
    const struct gmem_attrs nic = {.requester = 3 << 3, .secure = true};
    struct gmem_segment piece;
    struct board board;
    struct gmem_map map;
    uint64_t covered;
    uint32_t word;
    size_t count;

    (void)state;
    board_open(&board);
    OK(gmem_segments(board.world.space, AT(DEVICE) + 4, nic, 4, false, &piece, 1, &count, &covered));
    assert_int_equal(gmem_segment_read(&piece, 0, &word, 4), GMEM_OK);
    assert_int_equal(board.device.last_attrs.requester, 3 << 3);
    assert_true(board.device.last_attrs.secure);
    gmem_segments_release(&piece, 1, 0);
    memset(&board.device, 0, sizeof(board.device));
    OK(gmem_map(board.world.space, AT(DEVICE) + 4, nic, 4, true, &map));
    assert_int_equal(gmem_unmap(&map, 4), GMEM_OK);
    assert_int_equal(board.device.last_attrs.requester, 3 << 3);
    board_close(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_every_kind),
        cmocka_unit_test(a_piece_is_of_one_range),
        cmocka_unit_test(room_too_small),
        cmocka_unit_test(up_to_the_last_address),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(pieces_are_accessed),
        cmocka_unit_test(attributes_reach_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
