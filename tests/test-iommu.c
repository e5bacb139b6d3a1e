/* SPDX-License-Identifier: MIT */
/*
 * test-iommu.c - accesses, segments, maps and caches through iommu regions; notifiers and replay. Linked with the allocator wrapped.
 */
#include "access_world.h"
#include "wrap.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define OK(call) assert_int_equal((call), 0)
#define REFUSED(err, call) assert_int_equal((call), -(err))
#define NONE GMEM_ATTRS_NONE
#define PAGE 0x1000u
#define PAGES 16u
#define AT 0x100000u /* where the bus shows the iommu */
#define RW (GMEM_IOMMU_READ | GMEM_IOMMU_WRITE)

/* An iommu with a table for each of two requesters. */
struct unit {
    struct gmem_iommu_entry table[2][PAGES];
    unsigned calls;
    unsigned last_want;
    struct gmem_attrs last_attrs;
    uint64_t last_addr;
    int refuse;
    uint32_t before, now;
    unsigned changes;
    int refuse_change;
    void (*during)(void *opaque);
    void *during_opaque;
};

static unsigned unit_index(void *opaque, struct gmem_attrs attrs)
{
    (void)opaque;
    return attrs.requester;
}

static int unit_translate(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                          struct gmem_iommu_entry *ret_entry)
{
    struct unit *unit = opaque;

    unit->calls++;
    unit->last_want = want;
    unit->last_attrs = attrs;
    unit->last_addr = addr;
    assert_null(ret_entry->target);
    if (unit->during)
        unit->during(unit->during_opaque);
    if (unit->refuse)
        return unit->refuse;
    *ret_entry = unit->table[attrs.requester & 1][addr / PAGE];
    return 0;
}

static int unit_changed(void *opaque, uint32_t before, uint32_t now)
{
    struct unit *unit = opaque;

    unit->changes++;
    unit->before = before;
    unit->now = now;
    return unit->refuse_change;
}

static const struct gmem_iommu_ops unit_ops = {
    .translate = unit_translate, .index = unit_index, .indexes = 2, .notify_changed = unit_changed};

/* A bus on which the unit is; behind it a memory with RAM at 0, a device at 0x10000, readonly RAM at 0x20000. */
struct board {
    struct world world; /* the bus */
    gmem_region *memory_root, *region;
    gmem_space *memory;
    uint8_t *ram, *readonly;
    struct bytes_device device;
    struct unit unit;
};

static void board_open(struct board *board)
{
    gmem_region *region;
    struct world inner;

    memset(board, 0, sizeof(*board));
    world_open_with(&board->world, GMEM_ENDIAN_LITTLE, true);
    inner = board->world;
    OK(gmem_region_create_container(inner.vm, "memory", GMEM_SIZE_ALL, NULL, &inner.root));
    OK(gmem_space_create(inner.vm, "memory", inner.root, NULL, &inner.space));
    board->memory_root = inner.root;
    board->memory = inner.space;
    board->ram = world_ram(&inner, 0, 16 * PAGE, "ram");
    world_mmio(&inner, 0x10000, BYTES_SIZE, &bytes_ops, &board->device);
    region = world_memory(&inner, GMEM_KIND_RAM, "ro", PAGE, NULL, NULL, &board->readonly);
    OK(gmem_region_set_readonly(region, true));
    world_place(&inner, region, 0x20000);
    OK(gmem_region_create_iommu(inner.vm, "unit", GMEM_SIZE(PAGES * PAGE), &unit_ops, &board->unit, NULL,
                                &board->region));
    world_place(&board->world, board->region, AT);
    bytes_pattern(board->ram, 16 * PAGE, 0);
}

static void board_close(struct board *board)
{
    gmem_region_unref(board->region);
    gmem_region_unref(board->memory_root);
    world_close(&board->world);
}

static void board_map(struct board *board, unsigned page, uint64_t to, uint32_t perm)
{
    board->unit.table[0][page] = (struct gmem_iommu_entry){
        .target = board->memory, .iova = page * PAGE, .translated = to, .addr_mask = PAGE - 1, .perm = perm};
}

/* --- accesses ------------------------------------------------------------------------------------------------------ */

static int take_text(void *opaque, const char *text, size_t len)
{
    assert_true(len < 8000);
    memcpy(opaque, text, len);
    ((char *)opaque)[len] = 0;
    return 0;
}

static void test_create(void **state)
{
    struct gmem_print_options json = {.struct_size = sizeof(json), .flags = GMEM_PRINT_JSON};
    struct gmem_iommu_ops ops = unit_ops;
    gmem_region *region = NULL;
    struct gmem_section section;
    struct board board;
    char text[8000];
    unsigned long n;
    int err;

    (void)state;
    board_open(&board);
    assert_int_equal(GMEM_KIND_IOMMU, 7);
    assert_int_equal(gmem_region_kind(board.region), GMEM_KIND_IOMMU);
    assert_ptr_equal(gmem_region_opaque(board.region), &board.unit);
    assert_null(gmem_region_ram(board.region));
    assert_string_equal(gmem_region_type(board.region), "i/o");
    OK(gmem_print_flat(board.world.vm, NULL, take_text, text));
    assert_non_null(strstr(text, "0000000000100000-000000000010ffff (prio 0, i/o): unit\n"));
    OK(gmem_print_flat(board.world.vm, &json, take_text, text));
    assert_non_null(strstr(text, "\"kind\": \"iommu\", \"type\": \"i/o\""));
    OK(gmem_print_tree(board.world.vm, &json, take_text, text));
    assert_non_null(strstr(text, "\"kind\": \"iommu\""));
    OK(gmem_space_lookup(board.world.space, AT, &section));
    assert_null(gmem_section_host(&section));
    gmem_section_release(&section);
    REFUSED(EOPNOTSUPP, gmem_region_set_log(board.region, 0, true));
    ops.translate = NULL;
    REFUSED(EINVAL, gmem_region_create_iommu(board.world.vm, "x", GMEM_SIZE(1), &ops, NULL, NULL, &region));
    REFUSED(EINVAL, gmem_region_create_iommu(board.world.vm, "x", GMEM_SIZE(1), NULL, NULL, NULL, &region));
    ops = unit_ops;
    ops.page_size = 3;
    REFUSED(EINVAL, gmem_region_create_iommu(board.world.vm, "x", GMEM_SIZE(1), &ops, NULL, NULL, &region));
    REFUSED(EINVAL, gmem_region_create_iommu(board.world.vm, "x", GMEM_SIZE(0), &unit_ops, NULL, NULL, &region));
    assert_null(region);
    for (n = 1, err = -1; err; n++) {
        wrap_start(n);
        err = gmem_region_create_iommu(board.world.vm, "x", GMEM_SIZE(1), &unit_ops, NULL, NULL, &region);
        assert_int_equal(wrap_stop(), err != 0);
        assert_true(!err || (err == -ENOMEM && !region));
    }
    assert_int_equal(n, 4);
    gmem_region_unref(region);
    board_close(&board);
}

static void test_bytes(void **state)
{
    uint8_t buf[2 * PAGE];
    struct board board;

    (void)state;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, RW);
    board_map(&board, 1, 2 * PAGE, RW);
    assert_int_equal(gmem_space_read(board.world.space, AT + 0x800, NONE, buf, PAGE), GMEM_OK);
    assert_memory_equal(buf, board.ram + 5 * PAGE + 0x800, 0x800);
    assert_memory_equal(buf + 0x800, board.ram + 2 * PAGE, 0x800);
    assert_int_equal(board.unit.calls, 2);
    assert_int_equal(board.unit.last_want, GMEM_IOMMU_READ);
    assert_int_equal(board.unit.last_addr, PAGE);
    memset(buf, 0x5a, sizeof(buf));
    bytes_pattern(buf, 16, 0x80);
    assert_int_equal(gmem_space_write(board.world.space, AT + PAGE - 8, NONE, buf, 16), GMEM_OK);
    assert_int_equal(board.unit.last_want, GMEM_IOMMU_WRITE);
    assert_memory_equal(board.ram + 6 * PAGE - 8, buf, 8);
    assert_memory_equal(board.ram + 2 * PAGE, buf + 8, 8);
    assert_int_equal(gmem_space_fill(board.world.space, AT + PAGE - 4, NONE, 0x33, 8), GMEM_OK);
    assert_memory_equal(board.ram + 6 * PAGE - 4, "\x33\x33\x33\x33", 4);
    assert_memory_equal(board.ram + 2 * PAGE, "\x33\x33\x33\x33", 4);
    /* The host's hand calls no devices. */
    board.unit.calls = 0;
    assert_int_equal(gmem_space_write_rom(board.world.space, AT, "a", 1), GMEM_RESULT_DECODE);
    assert_int_equal(board.unit.calls, 0);
    board_close(&board);
}

static void test_words(void **state)
{
    struct board board;
    uint64_t value64;
    uint32_t value32;

    (void)state;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, RW);
    board_map(&board, 1, 2 * PAGE, RW);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(gmem_st32_le(board.world.space, AT + 0x10, NONE, 0x12345678 + i), GMEM_OK);
        assert_int_equal(gmem_ld32_le(board.world.space, AT + 0x10, NONE, &value32), GMEM_OK);
        assert_int_equal(value32, 0x12345678 + i);
        assert_int_equal(board.unit.calls, 2 * i + 2);
        assert_int_equal(gmem_ld32_be(board.memory, 5 * PAGE + 0x10, NONE, &value32), GMEM_OK);
        assert_int_equal(value32, 0x78563412 + (i << 24));
    }
    memcpy(board.ram + 6 * PAGE - 4, "\1\2\3\4", 4);
    memcpy(board.ram + 2 * PAGE, "\5\6\7\x8", 4);
    assert_int_equal(gmem_ld64_le(board.world.space, AT + PAGE - 4, NONE, &value64), GMEM_OK);
    assert_int_equal(value64, 0x0807060504030201ull);
    assert_int_equal(gmem_st64_be(board.world.space, AT + PAGE - 4, NONE, 0x1112131415161718ull), GMEM_OK);
    assert_memory_equal(board.ram + 6 * PAGE - 4, "\x11\x12\x13\x14", 4);
    assert_memory_equal(board.ram + 2 * PAGE, "\x15\x16\x17\x18", 4);
    board_close(&board);
}

/* A device behind it gets the access as it was made, with the attributes of who made it. */
static void test_device(void **state)
{
    struct gmem_attrs attrs = {.requester = 0, .secure = true};
    struct board board;
    uint32_t value;

    (void)state;
    board_open(&board);
    board_map(&board, 3, 0x10000, RW);
    bytes_pattern(board.device.bytes, BYTES_SIZE, 1);
    assert_int_equal(gmem_ld32_le(board.world.space, AT + 3 * PAGE + 8, attrs, &value), GMEM_OK);
    assert_int_equal(value, 0x0c0b0a09);
    assert_int_equal(board.device.reads, 1);
    assert_int_equal(board.device.last_size, 4);
    assert_int_equal(board.device.last_offset, 8);
    assert_true(board.device.last_attrs.secure);
    assert_true(board.unit.last_attrs.secure);
    board.device.write_result = GMEM_RESULT_DEVICE;
    assert_int_equal(gmem_st32_le(board.world.space, AT + 3 * PAGE + 8, attrs, 5), GMEM_RESULT_DEVICE);
    assert_int_equal(board.device.writes, 1);
    /* Nothing behind it: what the space there says, which has zeros. */
    assert_int_equal(gmem_ld32_le(board.world.space, AT + 3 * PAGE + 0x100, attrs, &value), GMEM_RESULT_DECODE);
    assert_int_equal(value, 0);
    /* Readonly memory behind it. */
    board_map(&board, 4, 0x20000, RW);
    assert_int_equal(gmem_st32_le(board.world.space, AT + 4 * PAGE, attrs, 7), GMEM_OK);
    assert_int_equal(board.readonly[0], 0);
    board_close(&board);
}

static void test_index(void **state)
{
    struct gmem_attrs other = {.requester = 1};
    struct board board;
    uint8_t value;

    (void)state;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, RW);
    board.unit.table[1][0] = board.unit.table[0][0];
    board.unit.table[1][0].translated = 6 * PAGE;
    board.ram[5 * PAGE] = 55;
    board.ram[6 * PAGE] = 66;
    assert_int_equal(gmem_ld8(board.world.space, AT, NONE, &value), GMEM_OK);
    assert_int_equal(value, 55);
    assert_int_equal(gmem_ld8(board.world.space, AT, other, &value), GMEM_OK);
    assert_int_equal(value, 66);
    board_close(&board);
}

static void test_denied(void **state)
{
    gmem_vm *foreign_vm;
    gmem_region *foreign_root;
    gmem_space *foreign;
    uint8_t buf[3 * PAGE];
    struct board board;
    uint32_t value;
    uint8_t was;

    (void)state;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, GMEM_IOMMU_READ);
    board_map(&board, 1, 2 * PAGE, GMEM_IOMMU_WRITE);
    board_map(&board, 2, 3 * PAGE, RW);
    /* The pages that are permitted are accessed all the same. */
    memset(buf, 0, sizeof(buf));
    assert_int_equal(gmem_space_read(board.world.space, AT, NONE, buf, sizeof(buf)), GMEM_RESULT_DENIED);
    assert_memory_equal(buf, board.ram + 5 * PAGE, PAGE);
    assert_int_equal(buf[PAGE], 0xff);
    assert_int_equal(buf[2 * PAGE - 1], 0xff);
    assert_memory_equal(buf + 2 * PAGE, board.ram + 3 * PAGE, PAGE);
    memset(buf, 0x77, sizeof(buf));
    was = board.ram[5 * PAGE];
    assert_int_equal(gmem_space_write(board.world.space, AT, NONE, buf, sizeof(buf)), GMEM_RESULT_DENIED);
    assert_int_equal(board.ram[5 * PAGE], was);
    assert_int_equal(board.ram[2 * PAGE], 0x77);
    assert_int_equal(board.ram[4 * PAGE - 1], 0x77);
    /* With a hole beyond: both bits. */
    assert_int_equal(gmem_space_read(board.world.space, AT + PAGES * PAGE - 4, NONE, buf, 8),
                     GMEM_RESULT_DENIED | GMEM_RESULT_DECODE);
    /* Entries that make no sense. */
    board.unit.table[0][2].addr_mask = 0xffe;
    assert_int_equal(gmem_ld32_le(board.world.space, AT + 2 * PAGE, NONE, &value), GMEM_RESULT_DENIED);
    assert_int_equal(value, 0xffffffffu);
    board_map(&board, 2, 3 * PAGE, RW);
    board.unit.table[0][2].target = NULL;
    assert_int_equal(gmem_ld32_le(board.world.space, AT + 2 * PAGE, NONE, &value), GMEM_RESULT_DENIED);
    OK(gmem_vm_create(NULL, &foreign_vm));
    OK(gmem_region_create_container(foreign_vm, "f", GMEM_SIZE_ALL, NULL, &foreign_root));
    OK(gmem_space_create(foreign_vm, "f", foreign_root, NULL, &foreign));
    board.unit.table[0][2].target = foreign;
    assert_int_equal(gmem_ld32_le(board.world.space, AT + 2 * PAGE, NONE, &value), GMEM_RESULT_DENIED);
    board_map(&board, 2, 3 * PAGE, RW);
    board.unit.refuse = 1;
    board.unit.calls = 0;
    assert_int_equal(gmem_space_read(board.world.space, AT, NONE, buf, sizeof(buf)), GMEM_RESULT_DENIED);
    assert_int_equal(board.unit.calls, 3); /* by the smallest page */
    board.unit.refuse = 0;
    assert_int_equal(gmem_ld32_le(board.world.space, AT + 2 * PAGE, NONE, &value), GMEM_OK);
    /* Through a readonly range writes are ignored, and nothing is translated for them; reads go as ever. */
    OK(gmem_region_set_readonly(board.region, true));
    board.unit.calls = 0;
    assert_int_equal(gmem_st32_le(board.world.space, AT, NONE, 1), GMEM_OK);
    assert_int_equal(gmem_space_fill(board.world.space, AT, NONE, 1, PAGE), GMEM_OK);
    assert_int_equal(board.unit.calls, 0);
    assert_int_equal(gmem_ld32_le(board.world.space, AT + 2 * PAGE, NONE, &value), GMEM_OK);
    gmem_vm_destroy(foreign_vm);
    board_close(&board);
}

/* All 2^64 bytes as one page; and an iommu that ends there. */
static int identity(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                    struct gmem_iommu_entry *ret_entry)
{
    (void)addr, (void)want, (void)attrs;
    *ret_entry = (struct gmem_iommu_entry){.target = *(gmem_space **)opaque, .addr_mask = UINT64_MAX, .perm = RW};
    return 0;
}

static void test_whole(void **state)
{
    const struct gmem_iommu_ops ops = {.translate = identity};
    gmem_region *region;
    gmem_space *front;
    struct world world;
    uint8_t *host, buf[32];
    struct gmem_translation found;

    (void)state;
    world_open(&world);
    host = world_ram(&world, UINT64_MAX - (PAGE - 1), PAGE, "top");
    OK(gmem_region_create_iommu(world.vm, "front", GMEM_SIZE_ALL, &ops, &world.space, NULL, &region));
    OK(gmem_space_create(world.vm, "front", region, NULL, &front));
    bytes_pattern(host, PAGE, 0);
    assert_int_equal(gmem_space_read(front, UINT64_MAX - 15, NONE, buf, 16), GMEM_OK);
    assert_memory_equal(buf, host + PAGE - 16, 16);
    assert_int_equal(gmem_space_read(front, UINT64_MAX - 15, NONE, buf, 17), GMEM_RESULT_DECODE);
    assert_int_equal(gmem_space_read(front, UINT64_MAX - PAGE - 3, NONE, buf, 8), GMEM_RESULT_DECODE);
    assert_memory_equal(buf, "\0\0\0\0\0\1\2\3", 8);
    OK(gmem_space_translate(front, 5, NONE, UINT64_MAX - 4, false, &found));
    assert_ptr_equal(found.space, world.space);
    assert_null(found.section.region);
    assert_int_equal(found.addr, 5);
    assert_int_equal(found.size, UINT64_MAX - PAGE - 4);
    gmem_section_release(&found.section);
    gmem_region_unref(region);
    world_close(&world);
}

/* One iommu behind another; more than the bound, or one that leads to itself, is denied after so many questions. */
struct link {
    gmem_space *space, *next;
    gmem_region *region;
    unsigned *calls;
};

static int link_translate(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                          struct gmem_iommu_entry *ret_entry)
{
    struct link *link = opaque;

    (void)want, (void)attrs;
    ++*link->calls;
    *ret_entry =
        (struct gmem_iommu_entry){.target = link->next, .translated = addr ^ PAGE, .addr_mask = PAGE - 1, .perm = RW};
    return 0;
}

static void test_chain(void **state)
{
    const struct gmem_iommu_ops ops = {.translate = link_translate};
    struct link links[GMEM_IOMMU_CHAIN_MAX + 1];
    struct gmem_translation found;
    struct world world;
    unsigned calls = 0, i;
    uint8_t *host, buf[4];

    (void)state;
    world_open(&world);
    host = world_ram(&world, 0, 2 * PAGE, "ram");
    host[0x10] = 0x42;
    host[PAGE + 0x10] = 0x43;
    for (i = 0; i <= GMEM_IOMMU_CHAIN_MAX; i++) {
        links[i].next = i ? links[i - 1].space : world.space;
        links[i].calls = &calls;
        OK(gmem_region_create_iommu(world.vm, "link", GMEM_SIZE(2 * PAGE), &ops, &links[i], NULL, &links[i].region));
        OK(gmem_space_create(world.vm, "link", links[i].region, NULL, &links[i].space));
        gmem_region_unref(links[i].region);
    }
    for (i = 0; i < GMEM_IOMMU_CHAIN_MAX; i++) {
        calls = 0;
        assert_int_equal(gmem_space_read(links[i].space, 0x10, NONE, buf, 1), GMEM_OK);
        assert_int_equal(buf[0], i % 2 ? 0x42 : 0x43);
        assert_int_equal(calls, i + 1);
    }
    calls = 0;
    assert_int_equal(gmem_space_read(links[i].space, 0x10, NONE, buf, 1), GMEM_RESULT_DENIED);
    assert_int_equal(calls, GMEM_IOMMU_CHAIN_MAX);
    links[0].next = links[0].space;
    calls = 0;
    assert_int_equal(gmem_space_write(links[0].space, 0x10, NONE, buf, 1), GMEM_RESULT_DENIED);
    assert_int_equal(calls, GMEM_IOMMU_CHAIN_MAX);
    REFUSED(EACCES, gmem_space_translate(links[0].space, 0x10, NONE, 1, false, &found));
    world_close(&world);
}

/* A table that lies behind the unit itself: each look at it asks for another. It ends at the bound on nesting. */
static void look_again(void *opaque)
{
    struct board *board = opaque;
    uint8_t byte;

    (void)gmem_ld8(board->world.space, AT, NONE, &byte);
}

static void test_nesting(void **state)
{
    struct board board;
    uint8_t byte;

    (void)state;
    board_open(&board);
    board_map(&board, 0, 0, GMEM_IOMMU_READ);
    board.unit.during = look_again;
    board.unit.during_opaque = &board;
    assert_int_equal(gmem_ld8(board.world.space, AT, NONE, &byte), GMEM_OK);
    assert_int_equal(byte, board.ram[0]);
    assert_int_equal(board.unit.calls, GMEM_NESTING_MAX);
    board.unit.during = NULL;
    board_close(&board);
}

/* The callback has no lock over it: it edits the map it is asked about, and the access goes on. */
static void edit_during(void *opaque)
{
    struct board *board = opaque;
    uint8_t byte;

    OK(gmem_region_set_enabled(board->region, false));
    OK(gmem_region_set_enabled(board->region, true));
    assert_int_equal(gmem_ld8(board->memory, 1, NONE, &byte), GMEM_OK);
}

static void test_edits(void **state)
{
    struct gmem_segment segment;
    struct board board;
    uint64_t covered;
    uint8_t buf[8];
    size_t count;

    (void)state;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, RW);
    board.unit.during = edit_during;
    board.unit.during_opaque = &board;
    assert_int_equal(gmem_space_read(board.world.space, AT, NONE, buf, 8), GMEM_OK);
    assert_memory_equal(buf, board.ram + 5 * PAGE, 8);
    OK(gmem_segments(board.world.space, AT, NONE, 8, true, &segment, 1, &count, &covered));
    assert_ptr_equal(segment.host, board.ram + 5 * PAGE);
    gmem_segments_release(&segment, 1, 0);
    board_close(&board);
}

/* --- segments, maps, caches, translations -------------------------------------------------------------------------- */

static void test_segments(void **state)
{
    struct gmem_segment pieces[8];
    struct board board;
    uint64_t covered;
    uint8_t buf[16];
    size_t count;
    bool dirty;
    gmem_ram *ram;

    (void)state;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, GMEM_IOMMU_READ);
    board_map(&board, 1, 2 * PAGE, RW);
    board_map(&board, 3, 0x10000, RW);
    OK(gmem_segments(board.world.space, AT + 0x800, NONE, 4 * PAGE, false, pieces, 8, &count, &covered));
    assert_int_equal(covered, 4 * PAGE);
    assert_int_equal(count, 6);
    assert_int_equal(pieces[0].addr, AT + 0x800);
    assert_int_equal(pieces[0].size, 0x800);
    assert_ptr_equal(pieces[0].host, board.ram + 5 * PAGE + 0x800);
    assert_int_equal(pieces[0].offset, 5 * PAGE + 0x800);
    assert_ptr_equal(pieces[0].space, board.memory);
    assert_int_equal(pieces[0].denied, GMEM_SEGMENT_WRITE);
    assert_ptr_equal(pieces[1].host, board.ram + 2 * PAGE);
    assert_int_equal(pieces[1].denied, 0);
    assert_null(pieces[2].region); /* page 2 is not translated */
    assert_int_equal(pieces[2].size, PAGE);
    assert_int_equal(pieces[2].denied, GMEM_SEGMENT_READ | GMEM_SEGMENT_WRITE);
    assert_int_equal(pieces[3].size, BYTES_SIZE); /* the device */
    assert_null(pieces[3].host);
    assert_non_null(pieces[3].region);
    assert_null(pieces[4].region); /* nothing behind it there */
    assert_int_equal(pieces[4].denied, 0);
    assert_int_equal(pieces[5].addr, AT + 4 * PAGE);
    /* As an access: what was not permitted is not, in either direction. */
    assert_int_equal(gmem_segment_write(&pieces[0], 0, "x", 1), GMEM_RESULT_DENIED);
    assert_int_equal(gmem_segment_read(&pieces[2], 8, buf, 4), GMEM_RESULT_DENIED);
    assert_memory_equal(buf, "\xff\xff\xff\xff", 4);
    assert_int_equal(gmem_segment_read(&pieces[2], PAGE - 2, buf, 4), GMEM_RESULT_DENIED | GMEM_RESULT_DECODE);
    assert_int_equal(gmem_segment_read(&pieces[4], 0, buf, 4), GMEM_RESULT_DECODE);
    assert_memory_equal(buf, "\0\0\0\0", 4);
    board.device.bytes[4] = 9;
    assert_int_equal(gmem_segment_read(&pieces[3], 4, buf, 4), GMEM_OK);
    assert_int_equal(buf[0], 9);
    /* Found, they stay what they are. */
    board_map(&board, 1, 3 * PAGE, 0);
    board.unit.calls = 0;
    assert_int_equal(gmem_segment_write(&pieces[1], 0, "yz", 2), GMEM_OK);
    assert_int_equal(board.unit.calls, 0);
    assert_memory_equal(board.ram + 2 * PAGE, "yz", 2);
    gmem_segments_release(pieces, count, 0);
    /* What is written through the pointer is marked in the block behind. */
    board_map(&board, 1, 2 * PAGE, RW);
    OK(gmem_ram_find(board.world.vm, "ram", &ram));
    OK(gmem_segments(board.memory, 0, NONE, 1, true, pieces, 1, &count, &covered));
    OK(gmem_region_set_log(pieces[0].region, 3, true));
    gmem_segments_release(pieces, count, 0);
    OK(gmem_segments(board.world.space, AT + PAGE, NONE, 8, true, pieces, 8, &count, &covered));
    gmem_segments_release(pieces, count, 8);
    OK(gmem_ram_dirty_test_and_clear(ram, 3, 2 * PAGE, 8, &dirty));
    assert_true(dirty);
    OK(gmem_ram_dirty_test(ram, 3, 0, 2 * PAGE, &dirty));
    assert_false(dirty);
    gmem_ram_unref(ram);
    board_close(&board);
}

static void test_maps(void **state)
{
    struct board board;
    struct gmem_map map, more[GMEM_BOUNCE_BUFFERS];
    unsigned i;

    (void)state;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, GMEM_IOMMU_READ);
    board_map(&board, 1, 6 * PAGE, RW);
    board_map(&board, 3, 0x10000, RW);
    /* Memory goes on in the block, but the map ends with the page. */
    OK(gmem_map(board.world.space, AT + 8, NONE, 2 * PAGE, false, &map));
    assert_ptr_equal(map.host, board.ram + 5 * PAGE + 8);
    assert_int_equal(map.size, PAGE - 8);
    assert_false(map.bounced);
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    /* Denied: a bounce buffer that goes nowhere. */
    OK(gmem_map(board.world.space, AT + 8, NONE, 16, true, &map));
    assert_true(map.bounced);
    memset(map.host, 1, 16);
    assert_int_equal(gmem_unmap(&map, 16), GMEM_RESULT_DENIED);
    OK(gmem_map(board.world.space, AT + 2 * PAGE, NONE, 16, false, &map));
    assert_int_equal(map.result, GMEM_RESULT_DENIED);
    assert_int_equal(*(uint8_t *)map.host, 0xff);
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    /* The device behind it; the buffers are those of the space that was given. */
    for (i = 0; i < GMEM_BOUNCE_BUFFERS; i++)
        OK(gmem_map(board.world.space, AT + 3 * PAGE, NONE, 8, true, &more[i]));
    REFUSED(EAGAIN, gmem_map(board.world.space, AT + 3 * PAGE, NONE, 8, true, &map));
    OK(gmem_map(board.memory, 0x10000, NONE, 8, true, &map));
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    memcpy(more[0].host, "12345678", 8);
    assert_int_equal(gmem_unmap(&more[0], 8), GMEM_OK);
    assert_memory_equal(board.device.bytes, "12345678", 8);
    OK(gmem_map(board.world.space, AT + 3 * PAGE, NONE, 8, true, &more[0]));
    for (i = 0; i < GMEM_BOUNCE_BUFFERS; i++)
        assert_int_equal(gmem_unmap(&more[i], 0), GMEM_OK);
    board_close(&board);
}

static void test_caches(void **state)
{
    struct gmem_cache cache;
    struct board board;
    uint8_t value, buf[8];

    (void)state;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, RW);
    OK(gmem_cache_init(&cache, board.world.space, AT, 2 * PAGE, NONE));
    assert_int_equal(gmem_cache_ld8(&cache, 3, &value), GMEM_OK);
    assert_int_equal(value, board.ram[5 * PAGE + 3]);
    assert_int_equal(gmem_cache_st8(&cache, 3, 0x99), GMEM_OK);
    assert_int_equal(board.ram[5 * PAGE + 3], 0x99);
    /* Translated anew without a commit. */
    board_map(&board, 0, 6 * PAGE, GMEM_IOMMU_READ);
    board.ram[6 * PAGE + 3] = 0x44;
    assert_int_equal(gmem_cache_ld8(&cache, 3, &value), GMEM_OK);
    assert_int_equal(value, 0x44);
    assert_int_equal(gmem_cache_st8(&cache, 3, 0x99), GMEM_RESULT_DENIED);
    assert_int_equal(gmem_cache_read(&cache, PAGE - 4, buf, 8), GMEM_RESULT_DENIED);
    assert_memory_equal(buf, board.ram + 7 * PAGE - 4, 4);
    assert_memory_equal(buf + 4, "\xff\xff\xff\xff", 4);
    assert_int_equal(gmem_cache_write(&cache, 0, buf, 8), GMEM_RESULT_DENIED);
    gmem_cache_end(&cache);
    board_close(&board);
}

static void test_translate(void **state)
{
    struct gmem_translation found;
    struct board board;

    (void)state;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, GMEM_IOMMU_READ);
    OK(gmem_space_translate(board.world.space, AT + 8, NONE, 3 * PAGE, false, &found));
    assert_ptr_equal(found.space, board.memory);
    assert_int_equal(found.addr, 5 * PAGE + 8);
    assert_int_equal(found.size, PAGE - 8);
    assert_int_equal(found.perm, GMEM_IOMMU_READ);
    assert_ptr_equal(found.section.space, board.memory);
    assert_int_equal(found.section.first, 0);
    assert_int_equal(found.section.last, 16 * PAGE - 1);
    assert_ptr_equal(gmem_section_host(&found.section), board.ram);
    gmem_section_release(&found.section);
    REFUSED(EACCES, gmem_space_translate(board.world.space, AT + 8, NONE, 1, true, &found));
    /* No iommu on the way. */
    OK(gmem_space_translate(board.memory, 0x100, NONE, 1ull << 40, true, &found));
    assert_ptr_equal(found.space, board.memory);
    assert_int_equal(found.addr, 0x100);
    assert_int_equal(found.size, 16 * PAGE - 0x100);
    assert_int_equal(found.perm, RW);
    gmem_section_release(&found.section);
    OK(gmem_space_translate(board.world.space, 0, NONE, 1ull << 40, true, &found));
    assert_null(found.section.region);
    assert_int_equal(found.size, AT);
    REFUSED(EINVAL, gmem_space_translate(NULL, 0, NONE, 1, false, &found));
    REFUSED(EINVAL, gmem_space_translate(board.memory, 0, NONE, 0, false, &found));
    REFUSED(EINVAL, gmem_space_translate(board.memory, 0, NONE, 1, false, NULL));
    REFUSED(EOVERFLOW, gmem_space_translate(board.memory, UINT64_MAX, NONE, 2, false, &found));
    board_close(&board);
}

/* --- notifiers ----------------------------------------------------------------------------------------------------- */

struct ear {
    struct gmem_iommu_notifier notifier;
    gmem_region *region;
    char text[512];
    char name;
    struct ear *ends; /* unregistered when this is called */
    unsigned calls;
};

static char heard[1024]; /* by all, in order */

static void on_event(void *opaque, const struct gmem_iommu_event *event)
{
    struct ear *ear = opaque;
    size_t length = strlen(heard);

    ear->calls++;
    snprintf(heard + length, sizeof(heard) - length, "%c:%x %llx-%llx>%llx,%x ", ear->name, event->type,
             (unsigned long long)event->first, (unsigned long long)event->last, (unsigned long long)event->translated,
             event->perm);
    if (ear->ends)
        gmem_iommu_unregister(ear->ends->region, &ear->ends->notifier);
}

static void ear_open(struct ear *ear, gmem_region *region, char name, uint64_t first, uint64_t last, uint32_t flags)
{
    memset(ear, 0, sizeof(*ear));
    ear->name = name;
    ear->region = region;
    ear->notifier =
        (struct gmem_iommu_notifier){.fn = on_event, .opaque = ear, .first = first, .last = last, .flags = flags};
    OK(gmem_iommu_register(region, &ear->notifier));
}

static void check_heard(const char *expected)
{
    assert_string_equal(heard, expected);
    heard[0] = 0;
}

#define ALL (GMEM_IOMMU_MAP | GMEM_IOMMU_UNMAP | GMEM_IOMMU_DEVIOTLB)

static void test_notify(void **state)
{
    struct gmem_iommu_entry entry = {0};
    struct board board;
    struct ear a, b, c;

    (void)state;
    heard[0] = 0;
    board_open(&board);
    ear_open(&a, board.region, 'a', 0, PAGES * PAGE - 1, ALL);
    ear_open(&b, board.region, 'b', 0x1800, 0x27ff, GMEM_IOMMU_UNMAP | GMEM_IOMMU_MAP);
    ear_open(&c, board.region, 'c', 0, PAGE - 1, GMEM_IOMMU_DEVIOTLB);
    entry = (struct gmem_iommu_entry){
        .target = board.memory, .iova = 0x1234, .translated = 0x7abc, .addr_mask = PAGE - 1, .perm = RW};
    OK(gmem_iommu_notify(board.region, 0, GMEM_IOMMU_MAP, &entry));
    check_heard("a:1 1000-1fff>7000,3 b:1 1800-1fff>7800,3 ");
    entry = (struct gmem_iommu_entry){.iova = 0, .addr_mask = UINT64_MAX};
    OK(gmem_iommu_notify(board.region, 0, GMEM_IOMMU_UNMAP, &entry));
    check_heard("a:2 0-ffff>0,0 b:2 1800-27ff>0,0 ");
    OK(gmem_iommu_notify(board.region, 0, GMEM_IOMMU_DEVIOTLB, &entry));
    check_heard("a:4 0-ffff>0,0 c:4 0-fff>0,0 ");
    /* Other translations are others'. */
    OK(gmem_iommu_notify(board.region, 1, GMEM_IOMMU_UNMAP, &entry));
    check_heard("");
    OK(gmem_iommu_notify_one(board.region, &b.notifier, GMEM_IOMMU_UNMAP, &entry));
    check_heard("b:2 1800-27ff>0,0 ");
    OK(gmem_iommu_notify_one(board.region, &c.notifier, GMEM_IOMMU_UNMAP, &entry));
    check_heard("");
    REFUSED(EINVAL, gmem_iommu_notify(board.region, 2, GMEM_IOMMU_UNMAP, &entry));
    REFUSED(EINVAL, gmem_iommu_notify(board.region, 0, 0, &entry));
    REFUSED(EINVAL, gmem_iommu_notify(board.region, 0, ALL, &entry));
    REFUSED(EINVAL, gmem_iommu_notify(board.region, 0, GMEM_IOMMU_MAP, &entry));
    REFUSED(EINVAL, gmem_iommu_notify(board.region, 0, GMEM_IOMMU_MAP, NULL));
    REFUSED(EINVAL, gmem_iommu_notify(NULL, 0, GMEM_IOMMU_MAP, &entry));
    entry.addr_mask = 5;
    REFUSED(EINVAL, gmem_iommu_notify(board.region, 0, GMEM_IOMMU_UNMAP, &entry));
    REFUSED(EOPNOTSUPP, gmem_iommu_notify(board.memory_root, 0, GMEM_IOMMU_UNMAP, &entry));
    gmem_iommu_unregister(board.region, &b.notifier);
    gmem_iommu_unregister(board.region, &b.notifier);
    entry.addr_mask = PAGE - 1;
    REFUSED(ENOENT, gmem_iommu_notify_one(board.region, &b.notifier, GMEM_IOMMU_UNMAP, &entry));
    entry.iova = 0x2000;
    OK(gmem_iommu_notify(board.region, 0, GMEM_IOMMU_UNMAP, &entry));
    check_heard("a:2 2000-2fff>0,0 ");
    /* c and a are left to the end of the vm. */
    board_close(&board);
}

static void test_register(void **state)
{
    struct gmem_attrs attrs = {.requester = 7};
    struct gmem_iommu_notifier wrong;
    struct board board;
    struct ear a, b;
    unsigned long n;
    int err;

    (void)state;
    board_open(&board);
    ear_open(&a, board.region, 'a', 0, 0xfff, GMEM_IOMMU_UNMAP);
    assert_int_equal(board.unit.changes, 1);
    assert_int_equal(board.unit.before, 0);
    assert_int_equal(board.unit.now, GMEM_IOMMU_UNMAP);
    REFUSED(EEXIST, gmem_iommu_register(board.region, &a.notifier));
    REFUSED(EOPNOTSUPP, gmem_iommu_register(board.memory_root, &a.notifier));
    REFUSED(EINVAL, gmem_iommu_register(NULL, &a.notifier));
    REFUSED(EINVAL, gmem_iommu_register(board.region, NULL));
    wrong = a.notifier;
    wrong.fn = NULL;
    REFUSED(EINVAL, gmem_iommu_register(board.region, &wrong));
    wrong = a.notifier;
    wrong.flags = 0;
    REFUSED(EINVAL, gmem_iommu_register(board.region, &wrong));
    wrong.flags = 8;
    REFUSED(EINVAL, gmem_iommu_register(board.region, &wrong));
    wrong = a.notifier;
    wrong.first = 1;
    wrong.last = 0;
    REFUSED(EINVAL, gmem_iommu_register(board.region, &wrong));
    wrong.last = PAGES * PAGE;
    REFUSED(ERANGE, gmem_iommu_register(board.region, &wrong));
    wrong = a.notifier;
    wrong.attrs = attrs;
    REFUSED(EINVAL, gmem_iommu_register(board.region, &wrong));
    /* The device may refuse to be listened to for more. */
    board.unit.refuse_change = -EOPNOTSUPP;
    wrong = a.notifier;
    wrong.flags = GMEM_IOMMU_MAP;
    REFUSED(EOPNOTSUPP, gmem_iommu_register(board.region, &wrong));
    assert_int_equal(board.unit.now, GMEM_IOMMU_MAP | GMEM_IOMMU_UNMAP);
    /* It is not asked when there is nothing new. */
    ear_open(&b, board.region, 'b', 0, 0xfff, GMEM_IOMMU_UNMAP);
    assert_int_equal(board.unit.changes, 2);
    gmem_iommu_unregister(board.region, &a.notifier);
    assert_int_equal(board.unit.changes, 2);
    gmem_iommu_unregister(board.region, &b.notifier);
    assert_int_equal(board.unit.changes, 3);
    assert_int_equal(board.unit.now, 0);
    board.unit.refuse_change = 0;
    for (n = 1, err = -1; err; n++) {
        wrap_start(n);
        err = gmem_iommu_register(board.region, &a.notifier);
        assert_int_equal(wrap_stop(), err != 0);
        assert_true(!err || err == -ENOMEM);
    }
    assert_int_equal(n, 3);
    gmem_iommu_unregister(board.region, &a.notifier);
    gmem_iommu_unregister(NULL, &a.notifier);
    gmem_iommu_unregister(board.memory_root, &a.notifier);
    board_close(&board);
}

/* A notifier that ends itself, or one that comes before or after it, while they are told. */
static void test_ends_inside(void **state)
{
    struct gmem_iommu_entry entry = {.addr_mask = PAGE - 1};
    struct board board;
    struct ear *ear[3];
    unsigned i, who, whom;

    (void)state;
    heard[0] = 0;
    board_open(&board);
    for (who = 0; who < 3; who++) {
        for (whom = 0; whom < 3; whom++) {
            for (i = 0; i < 3; i++) {
                ear[i] = malloc(sizeof(*ear[i]));
                assert_non_null(ear[i]);
                ear_open(ear[i], board.region, (char)('0' + i), 0, 0xfff, GMEM_IOMMU_UNMAP);
            }
            ear[who]->ends = ear[whom];
            OK(gmem_iommu_notify(board.region, 0, GMEM_IOMMU_UNMAP, &entry));
            for (i = 0; i < 3; i++)
                assert_int_equal(ear[i]->calls, i == whom && whom > who ? 0 : 1);
            ear[who]->ends = NULL;
            OK(gmem_iommu_notify(board.region, 0, GMEM_IOMMU_UNMAP, &entry));
            for (i = 0; i < 3; i++) {
                assert_int_equal(ear[i]->calls, i == whom ? (whom > who ? 0 : 1) : 2);
                gmem_iommu_unregister(board.region, &ear[i]->notifier);
                free(ear[i]);
            }
            heard[0] = 0;
        }
    }
    board_close(&board);
}

/* A pass-through device's listener: notifiers come and go with the ranges, inside its callbacks. */
struct pass_through {
    struct gmem_listener listener;
    struct ear ear;
    unsigned there;
};

static int on_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct pass_through *pass = listener->opaque;

    if (gmem_region_kind(section->region) == GMEM_KIND_IOMMU) {
        ear_open(&pass->ear, section->region, 'p', section->offset, section->offset + (section->last - section->first),
                 ALL);
        OK(gmem_iommu_replay(section->region, &pass->ear.notifier));
        pass->there++;
    }
    return 0;
}

static int on_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct pass_through *pass = listener->opaque;

    if (gmem_region_kind(section->region) == GMEM_KIND_IOMMU) {
        gmem_iommu_unregister(section->region, &pass->ear.notifier);
        pass->there--;
    }
    return 0;
}

static void test_in_listener(void **state)
{
    struct pass_through pass = {.there = 0};
    struct board board;

    (void)state;
    heard[0] = 0;
    board_open(&board);
    board_map(&board, 2, 5 * PAGE, GMEM_IOMMU_READ);
    pass.listener = (struct gmem_listener){
        .struct_size = sizeof(pass.listener), .opaque = &pass, .region_add = on_add, .region_del = on_del};
    OK(gmem_listener_register(board.world.vm, board.world.space, &pass.listener));
    check_heard("p:1 2000-2fff>5000,1 ");
    OK(gmem_region_set_enabled(board.region, false));
    assert_int_equal(pass.there, 0);
    assert_int_equal(board.unit.now, 0);
    OK(gmem_region_set_enabled(board.region, true));
    check_heard("p:1 2000-2fff>5000,1 ");
    gmem_listener_unregister(board.world.vm, &pass.listener);
    assert_int_equal(pass.there, 0);
    board_close(&board);
}

/* --- replay -------------------------------------------------------------------------------------------------------- */

static void test_replay(void **state)
{
    struct board board;
    struct ear a;

    (void)state;
    heard[0] = 0;
    board_open(&board);
    board_map(&board, 0, 5 * PAGE, GMEM_IOMMU_READ);
    board_map(&board, 2, 6 * PAGE, RW);
    board_map(&board, 3, 7 * PAGE, 0);
    board.unit.table[0][8] = (struct gmem_iommu_entry){
        .target = board.memory, .translated = 0x8000, .addr_mask = 0x3fff, .perm = GMEM_IOMMU_WRITE};
    ear_open(&a, board.region, 'a', 0x800, 0x8fff, GMEM_IOMMU_MAP);
    REFUSED(ENOENT, gmem_iommu_replay(board.region, (struct gmem_iommu_notifier *)&board));
    REFUSED(EINVAL, gmem_iommu_replay(board.region, NULL));
    REFUSED(EOPNOTSUPP, gmem_iommu_replay(board.memory_root, &a.notifier));
    board.unit.calls = 0;
    OK(gmem_iommu_replay(board.region, &a.notifier));
    check_heard("a:1 800-fff>5800,1 a:1 2000-2fff>6000,3 a:1 8000-8fff>8000,2 ");
    assert_int_equal(board.unit.calls, 9);
    assert_int_equal(board.unit.last_want, 0);
    gmem_iommu_unregister(board.region, &a.notifier);
    /* The large page is one step. */
    ear_open(&a, board.region, 'a', 0x8000, 0xffff, GMEM_IOMMU_MAP);
    board.unit.calls = 0;
    OK(gmem_iommu_replay(board.region, &a.notifier));
    assert_int_equal(board.unit.calls, 5);
    check_heard("a:1 8000-bfff>8000,2 ");
    /* It ends where the notifier does. */
    a.ends = &a;
    board.unit.calls = 0;
    OK(gmem_iommu_replay(board.region, &a.notifier));
    assert_int_equal(board.unit.calls, 2);
    board_close(&board);
}

static int nothing_there(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                         struct gmem_iommu_entry *ret_entry)
{
    (void)addr, (void)want, (void)attrs, (void)ret_entry;
    ++*(unsigned *)opaque;
    return 1;
}

static int own_replay(void *opaque, gmem_region *region, const struct gmem_iommu_notifier *notifier)
{
    struct gmem_iommu_entry entry = {.iova = 0x5000, .addr_mask = PAGE - 1};

    (void)opaque;
    OK(gmem_iommu_notify_one(region, notifier, GMEM_IOMMU_UNMAP, &entry));
    return -EIO;
}

static void test_replay_bound(void **state)
{
    struct gmem_iommu_ops ops = {.translate = nothing_there};
    gmem_region *region;
    struct world world;
    unsigned calls = 0;
    struct ear a;

    (void)state;
    heard[0] = 0;
    world_open(&world);
    OK(gmem_region_create_iommu(world.vm, "huge", GMEM_SIZE_ALL, &ops, &calls, NULL, &region));
    ear_open(&a, region, 'a', 0, UINT64_MAX, ALL);
    REFUSED(E2BIG, gmem_iommu_replay(region, &a.notifier));
    assert_int_equal(calls, GMEM_IOMMU_REPLAY_MAX);
    gmem_iommu_unregister(region, &a.notifier);
    gmem_region_unref(region);
    ops.replay = own_replay;
    OK(gmem_region_create_iommu(world.vm, "own", GMEM_SIZE_ALL, &ops, &calls, NULL, &region));
    ear_open(&a, region, 'a', 0, UINT64_MAX, ALL);
    REFUSED(EIO, gmem_iommu_replay(region, &a.notifier));
    check_heard("a:2 5000-5fff>0,0 ");
    gmem_iommu_unregister(region, &a.notifier);
    gmem_region_unref(region);
    world_close(&world);
}

/* --- threads ------------------------------------------------------------------------------------------------------- */

struct slow {
    struct gmem_iommu_notifier notifier;
    unsigned running, done, release; /* atomic */
};

static void slow_event(void *opaque, const struct gmem_iommu_event *event)
{
    struct slow *slow = opaque;

    (void)event;
    __atomic_store_n(&slow->running, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&slow->release, __ATOMIC_SEQ_CST))
        sched_yield();
    __atomic_store_n(&slow->done, 1, __ATOMIC_SEQ_CST);
}

struct actor {
    struct board *board;
    struct slow *slow;
    unsigned stop; /* atomic */
};

static void *notify_once(void *opaque)
{
    struct actor *actor = opaque;
    struct gmem_iommu_entry entry = {.addr_mask = PAGE - 1};

    return gmem_iommu_notify(actor->board->region, 0, GMEM_IOMMU_UNMAP, &entry) ? actor : NULL;
}

static void *release_later(void *opaque)
{
    struct actor *actor = opaque;
    unsigned i;

    for (i = 0; i < 1000; i++)
        sched_yield();
    __atomic_store_n(&actor->slow->release, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_unregister_waits(void **state)
{
    struct slow slow = {.running = 0};
    struct actor actor;
    struct board board;
    pthread_t threads[2];

    (void)state;
    board_open(&board);
    actor = (struct actor){.board = &board, .slow = &slow};
    slow.notifier =
        (struct gmem_iommu_notifier){.fn = slow_event, .opaque = &slow, .last = PAGE - 1, .flags = GMEM_IOMMU_UNMAP};
    OK(gmem_iommu_register(board.region, &slow.notifier));
    OK(pthread_create(&threads[0], NULL, notify_once, &actor));
    while (!__atomic_load_n(&slow.running, __ATOMIC_SEQ_CST))
        sched_yield();
    OK(pthread_create(&threads[1], NULL, release_later, &actor));
    gmem_iommu_unregister(board.region, &slow.notifier);
    assert_int_equal(__atomic_load_n(&slow.done, __ATOMIC_SEQ_CST), 1);
    OK(pthread_join(threads[0], NULL));
    OK(pthread_join(threads[1], NULL));
    board_close(&board);
}

static void count_event(void *opaque, const struct gmem_iommu_event *event)
{
    (void)event;
    __atomic_fetch_add((unsigned *)opaque, 1, __ATOMIC_RELAXED);
}

static void *notify_often(void *opaque)
{
    struct actor *actor = opaque;
    struct gmem_iommu_entry entry = {.addr_mask = PAGE - 1};
    uint32_t value;

    while (!__atomic_load_n(&actor->stop, __ATOMIC_RELAXED)) {
        if (gmem_iommu_notify(actor->board->region, 0, GMEM_IOMMU_UNMAP, &entry) ||
            gmem_ld32_le(actor->board->memory, 0x100, NONE, &value))
            return actor;
    }
    return NULL;
}

/* Notifiers come and go while two threads tell them: none is called after it went. */
static void test_threads(void **state)
{
    struct gmem_iommu_notifier *notifier;
    struct actor actor;
    struct board board;
    pthread_t threads[2];
    unsigned *count;
    unsigned i;

    (void)state;
    board_open(&board);
    actor = (struct actor){.board = &board};
    for (i = 0; i < 2; i++)
        OK(pthread_create(&threads[i], NULL, notify_often, &actor));
    for (i = 0; i < 2000; i++) {
        notifier = malloc(sizeof(*notifier));
        count = calloc(1, sizeof(*count));
        *notifier = (struct gmem_iommu_notifier){
            .fn = count_event, .opaque = count, .last = PAGE - 1, .flags = GMEM_IOMMU_UNMAP};
        OK(gmem_iommu_register(board.region, notifier));
        if (i % 4 == 0)
            sched_yield();
        gmem_iommu_unregister(board.region, notifier);
        free(count);
        free(notifier);
    }
    __atomic_store_n(&actor.stop, 1, __ATOMIC_RELAXED);
    for (i = 0; i < 2; i++) {
        void *wrong = NULL;

        OK(pthread_join(threads[i], &wrong));
        assert_null(wrong);
    }
    board_close(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),   cmocka_unit_test(test_bytes),        cmocka_unit_test(test_words),
        cmocka_unit_test(test_device),   cmocka_unit_test(test_index),        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_whole),    cmocka_unit_test(test_chain),        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_edits),    cmocka_unit_test(test_segments),     cmocka_unit_test(test_maps),
        cmocka_unit_test(test_caches),   cmocka_unit_test(test_translate),    cmocka_unit_test(test_notify),
        cmocka_unit_test(test_register), cmocka_unit_test(test_ends_inside),  cmocka_unit_test(test_in_listener),
        cmocka_unit_test(test_replay),   cmocka_unit_test(test_replay_bound), cmocka_unit_test(test_unregister_waits),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
