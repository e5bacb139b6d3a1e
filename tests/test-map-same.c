/* SPDX-License-Identifier: MIT */
/*
 * test-map-same.c - segments and maps have the effect of gmem_space_rw(), on random boards.
 *
 * Two boards are made alike. On one, random intervals are read and written by gmem_space_rw(); on the other by going through
 * segments, with room for some, or through maps. Results, what is read, all memory, every call of a device, and the dirty
 * pages must be the same; and the dirty pages are those that the view says were written.
 */
#include "support.h"
#include "random.h"

#define NONE GMEM_ATTRS_NONE
#define BOARDS 150
#define ACCESSES 60
#define REGIONS 14u
#define SPAN 0x10000u /* of addresses in which the regions are */
#define SIZE_MAX_REGION 0x5000u
#define CALLS (1u << 18)
#define LOG GMEM_LOG_MIGRATION

/* One call of a device's callback. */
struct call {
    unsigned device;
    bool is_write;
    unsigned size;
    uint64_t offset;
    uint64_t value; /* of a write */
};

struct board;

struct device {
    struct board *board;
    unsigned number;
    gmem_result results[2]; /* of every fourth offset's calls */
};

struct board {
    gmem_vm *vm;
    gmem_region *root;
    gmem_space *space;
    gmem_space *through; /* the space, or an iommu before it that changes nothing */
    gmem_region *regions[REGIONS];
    struct device devices[REGIONS];
    struct call *calls;
    size_t call_count;
};

static void note(const struct device *device, bool is_write, uint64_t offset, unsigned size, uint64_t value)
{
    struct board *board = device->board;

    assert_true(board->call_count < CALLS);
    board->calls[board->call_count++] = (struct call){device->number, is_write, size, offset, value};
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;

    (void)attrs;
    note(device, false, offset, size, 0);
    /* Something that depends on how often it was called, too. */
    *ret_value = (offset * 0x9e3779b97f4a7c15u) ^ device->board->call_count;
    return offset / 8 % 4 ? GMEM_OK : device->results[0];
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    (void)attrs;
    note(device, true, offset, size, value);
    return offset / 8 % 4 ? GMEM_OK : device->results[1];
}

static struct gmem_mmio_ops random_ops(struct random *random)
{
    struct gmem_mmio_ops ops = {.read = device_read, .write = device_write};

    ops.endian = random_chance(random, 50) ? GMEM_ENDIAN_BIG : GMEM_ENDIAN_LITTLE;
    ops.valid.max = (uint8_t)(1u << random_below(random, 4));
    ops.valid.min = (uint8_t)(1u << random_below(random, 4));
    if (ops.valid.min > ops.valid.max)
        ops.valid.min = ops.valid.max;
    ops.valid.unaligned = random_chance(random, 50);
    ops.impl.max = (uint8_t)(1u << random_below(random, 4));
    ops.impl.min = (uint8_t)(1u << random_below(random, 4));
    if (ops.impl.min > ops.impl.max)
        ops.impl.min = ops.impl.max;
    ops.impl.unaligned = random_chance(random, 30);
    return ops;
}

static gmem_region *random_region(struct board *board, struct random *random, unsigned i)
{
    uint64_t size = random_within(random, 1, SIZE_MAX_REGION);
    struct gmem_mmio_ops ops = random_ops(random);
    enum gmem_kind kind = (enum gmem_kind)random_within(random, GMEM_KIND_RAM, GMEM_KIND_RAM_DEVICE);
    struct device *device = &board->devices[i];
    gmem_region *region = NULL;
    gmem_ram *ram = NULL;
    char name[16];

    snprintf(name, sizeof(name), "region%u", i);
    *device = (struct device){board, i, {random_chance(random, 30) ? GMEM_RESULT_DEVICE : GMEM_OK, GMEM_OK}};
    device->results[1] = random_chance(random, 30) ? GMEM_RESULT_DEVICE : GMEM_OK;
    if (i == 0)
        kind = GMEM_KIND_RAM;
    if (kind == GMEM_KIND_RAM || kind == GMEM_KIND_ROM || kind == GMEM_KIND_ROMD || kind == GMEM_KIND_RAM_DEVICE)
        OK(gmem_ram_create_anon(board->vm, name, size, &ram));
    if (kind == GMEM_KIND_RAM)
        OK(gmem_region_create_ram(board->vm, name, ram, NULL, &region));
    else if (kind == GMEM_KIND_ROM)
        OK(gmem_region_create_rom(board->vm, name, ram, NULL, &region));
    else if (kind == GMEM_KIND_ROMD)
        OK(gmem_region_create_romd(board->vm, name, ram, &ops, device, NULL, &region));
    else if (kind == GMEM_KIND_RAM_DEVICE)
        OK(gmem_region_create_ram_device(board->vm, name, ram, NULL, &region));
    else if (kind == GMEM_KIND_MMIO)
        OK(gmem_region_create_mmio(board->vm, name, GMEM_SIZE(size), &ops, device, NULL, &region));
    else if (kind == GMEM_KIND_RESERVED)
        OK(gmem_region_create_reserved(board->vm, name, GMEM_SIZE(size), NULL, &region));
    else
        region = make_alias(board->vm, name, board->regions[random_below(random, i)], random_below(random, 0x1000),
                            GMEM_SIZE(size));
    if (kind == GMEM_KIND_ROMD && random_chance(random, 50))
        OK(gmem_region_set_romd(region, false));
    if (kind != GMEM_KIND_ROM && random_chance(random, 20))
        OK(gmem_region_set_readonly(region, true));
    if (ram && random_chance(random, 60))
        OK(gmem_region_set_log(region, LOG, true));
    gmem_ram_unref(ram);
    return region;
}

/* To the very same address, all of them being one page: accesses are cut nowhere else. */
static int same_address(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                        struct gmem_iommu_entry *ret_entry)
{
    (void)want, (void)attrs;
    ret_entry->target = ((struct board *)opaque)->space;
    ret_entry->translated = addr;
    ret_entry->addr_mask = UINT64_MAX;
    ret_entry->perm = GMEM_IOMMU_READ | GMEM_IOMMU_WRITE;
    return 0;
}

static void put_iommu_before(struct board *board)
{
    const struct gmem_iommu_ops ops = {.translate = same_address};
    gmem_region *region = NULL;

    OK(gmem_region_create_iommu(board->vm, "iommu", GMEM_SIZE_ALL, &ops, board, NULL, &region));
    OK(gmem_space_create(board->vm, "through", region, NULL, &board->through));
    gmem_region_unref(region);
}

/* Of one seed come two boards that are alike. */
static void board_open(struct board *board, uint64_t seed)
{
    struct random random = {seed};
    struct gmem_space_options options = {.struct_size = sizeof(options)};
    uint64_t base = random_chance(&random, 25) ? UINT64_MAX - (SPAN - 1) : 0;
    unsigned i;

    memset(board, 0, sizeof(*board));
    board->calls = calloc(CALLS, sizeof(*board->calls));
    assert_non_null(board->calls);
    OK(gmem_vm_create(NULL, &board->vm));
    OK(gmem_region_create_container(board->vm, "root", GMEM_SIZE_ALL, NULL, &board->root));
    OK(gmem_vm_begin(board->vm));
    for (i = 0; i < REGIONS; i++) {
        uint64_t at;

        board->regions[i] = random_region(board, &random, i);
        at = base + random_below(&random, SPAN - SIZE_MAX_REGION);
        if (random_chance(&random, 60))
            at &= ~(uint64_t)0xfff;
        OK(gmem_region_add_priority(board->root, at, board->regions[i], (int32_t)random_below(&random, 3)));
    }
    OK(gmem_vm_commit(board->vm));
    options.unassigned_ones = random_chance(&random, 50);
    OK(gmem_space_create(board->vm, "space", board->root, &options, &board->space));
    board->through = board->space;
}

static void board_close(struct board *board)
{
    unsigned i;

    for (i = 0; i < REGIONS; i++)
        gmem_region_unref(board->regions[i]);
    gmem_region_unref(board->root);
    gmem_vm_destroy(board->vm);
    free(board->calls);
}

/* --- one access, three ways ---------------------------------------------------------------------------------------- */

static void copy(void *host, uint8_t *buf, uint64_t size, bool is_write)
{
    memcpy(is_write ? host : buf, is_write ? buf : host, size);
}

static gmem_result by_segments(struct board *board, uint64_t addr, uint8_t *buf, uint64_t size, bool is_write,
                               size_t room)
{
    struct gmem_segment pieces[8];
    gmem_result result = GMEM_OK;
    uint64_t covered, written;
    size_t count, i;

    for (; size > 0; size -= covered, addr += covered) {
        OK(gmem_segments(board->through, addr, NONE, size, is_write, pieces, room, &count, &covered));
        for (i = 0; i < count; i++, buf += written) {
            written = pieces[i].size;
            if (pieces[i].host)
                copy(pieces[i].host, buf, written, is_write);
            else
                result |= is_write ? gmem_segment_write(&pieces[i], 0, buf, written)
                                   : gmem_segment_read(&pieces[i], 0, buf, written);
        }
        gmem_segments_release(pieces, count, is_write ? covered : 0);
    }
    return result;
}

static gmem_result by_maps(struct board *board, uint64_t addr, uint8_t *buf, uint64_t size, bool is_write)
{
    gmem_result result = GMEM_OK;
    struct gmem_map map;

    for (; size > 0; size -= map.size, addr += map.size, buf += map.size) {
        OK(gmem_map(board->through, addr, NONE, size, is_write, &map));
        copy(map.host, buf, map.size, is_write);
        result |= map.result;
        result |= gmem_unmap(&map, map.size);
    }
    return result;
}

/* --- comparing ----------------------------------------------------------------------------------------------------- */

/* Which pages of which regions' blocks writing [first, last] makes dirty. */
struct expected {
    const struct board *board;
    uint64_t first, last;
    bool dirty[REGIONS][SIZE_MAX_REGION / GMEM_DIRTY_PAGE_SIZE + 1];
};

static int expect(void *opaque, const struct gmem_section *section)
{
    struct expected *expected = opaque;
    uint64_t first = section->first > expected->first ? section->first : expected->first;
    uint64_t last = section->last < expected->last ? section->last : expected->last;
    enum gmem_kind kind = gmem_region_kind(section->region);
    uint64_t page;
    unsigned i = 0;

    if (first > last || (kind != GMEM_KIND_RAM && kind != GMEM_KIND_RAM_DEVICE) ||
        (section->attrs & GMEM_RANGE_READONLY) || !(section->attrs & 1u << (GMEM_RANGE_LOG_SHIFT + LOG)))
        return 0;
    while (expected->board->regions[i] != section->region)
        i++;
    for (page = (section->offset + (first - section->first)) / GMEM_DIRTY_PAGE_SIZE;
         page <= (section->offset + (last - section->first)) / GMEM_DIRTY_PAGE_SIZE; page++)
        expected->dirty[i][page] = true;
    return 0;
}

static void check_dirty(struct board *board, uint64_t addr, uint64_t size, bool is_write)
{
    struct expected expected = {.board = board, .first = addr, .last = addr + (size - 1)};
    gmem_view *view = gmem_space_view(board->space);
    uint64_t at;
    unsigned i;
    bool dirty;

    if (is_write)
        OK(gmem_view_foreach(view, expect, &expected));
    gmem_view_unref(view);
    for (i = 0; i < REGIONS; i++) {
        gmem_ram *ram = gmem_region_ram(board->regions[i]);

        for (at = 0; ram && at < gmem_ram_size(ram); at += GMEM_DIRTY_PAGE_SIZE) {
            OK(gmem_ram_dirty_test_and_clear(ram, LOG, at, 1, &dirty));
            assert_int_equal(dirty, expected.dirty[i][at / GMEM_DIRTY_PAGE_SIZE]);
        }
    }
}

static void check_same(struct board *a, struct board *b)
{
    size_t i;

    assert_int_equal(a->call_count, b->call_count);
    for (i = 0; i < a->call_count; i++) {
        assert_int_equal(a->calls[i].device, b->calls[i].device);
        assert_int_equal(a->calls[i].is_write, b->calls[i].is_write);
        assert_int_equal(a->calls[i].size, b->calls[i].size);
        assert_int_equal(a->calls[i].offset, b->calls[i].offset);
        assert_int_equal(a->calls[i].value, b->calls[i].value);
    }
    a->call_count = 0;
    b->call_count = 0;
    for (i = 0; i < REGIONS; i++) {
        const gmem_ram *ram = gmem_region_ram(a->regions[i]);

        if (ram)
            assert_memory_equal(gmem_ram_host(ram), gmem_ram_host(gmem_region_ram(b->regions[i])), gmem_ram_size(ram));
    }
}

static void access_both(struct board *a, struct board *b, struct random *random, uint8_t *buf_a, uint8_t *buf_b)
{
    uint64_t base = gmem_region_offset(a->regions[0]) > SPAN ? UINT64_MAX - (SPAN - 1) : 0;
    uint64_t first = random_below(random, SPAN);
    uint64_t size = random_within(random, 1, random_chance(random, 50) ? 64 : SPAN);
    bool is_write = random_chance(random, 50);
    unsigned room = (unsigned)random_below(random, 10); /* 0: by maps, 1: by an access */
    gmem_result by_a, by_b;
    uint64_t i;

    if (size > SPAN - first)
        size = SPAN - first;
    for (i = 0; i < size; i++)
        buf_a[i] = (uint8_t)random_u64(random);
    memcpy(buf_b, buf_a, size);
    by_a = gmem_space_rw(a->space, base + first, NONE, buf_a, size, is_write);
    if (room == 1)
        by_b = gmem_space_rw(b->through, base + first, NONE, buf_b, size, is_write);
    else
        by_b = room ? by_segments(b, base + first, buf_b, size, is_write, room - 1)
                    : by_maps(b, base + first, buf_b, size, is_write);
    assert_int_equal(by_a, by_b);
    assert_memory_equal(buf_a, buf_b, size);
    check_same(a, b);
    check_dirty(a, base + first, size, is_write);
    check_dirty(b, base + first, size, is_write);
}

static void the_same_as_an_access(void **state)
{
    struct random random = random_start("the same as an access", 3);
    uint8_t *buf_a = malloc(SPAN), *buf_b = malloc(SPAN);
    unsigned board, i;

    (void)state;
    assert_non_null(buf_a);
    assert_non_null(buf_b);
    for (board = 0; board < BOARDS; board++) {
        uint64_t seed = random_u64(&random);
        struct board a, b;

        board_open(&a, seed);
        board_open(&b, seed);
        if (random_chance(&random, 40))
            put_iommu_before(&b);
        for (i = 0; i < ACCESSES; i++)
            access_both(&a, &b, &random, buf_a, buf_b);
        board_close(&a);
        board_close(&b);
    }
    free(buf_a);
    free(buf_b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_as_an_access),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
