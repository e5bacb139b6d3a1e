/* SPDX-License-Identifier: MIT */
/*
 * test-dirty.c - dirty bitmaps: which pages a write marks, and for whom.
 *
 * Linked with the allocator wrapped (wrap.h).
 */
#include "support.h"
#include "access_world.h"
#include "wrap.h"
#include <errno.h>

#define NONE GMEM_ATTRS_NONE
#define PAGE GMEM_DIRTY_PAGE_SIZE
#define PAGES 200u /* of the block: four words of a bitmap, the last not whole */

struct logged {
    struct world world;
    gmem_region *region;
    gmem_ram *ram;
    uint8_t *host;
};

/* A block of PAGES pages, less a few bytes, at 0x100000, logged for MIGRATION if asked. */
static void logged_open(struct logged *logged, enum gmem_kind kind, bool log)
{
    struct gmem_mmio_ops ops = silent_ops();

    world_open(&logged->world);
    logged->region = world_memory(&logged->world, kind, "ram", PAGES * PAGE - 100, &ops, NULL, &logged->host);
    logged->ram = gmem_region_ram(logged->region);
    world_place(&logged->world, logged->region, 0x100000);
    if (log)
        OK(gmem_region_set_log(logged->region, GMEM_LOG_MIGRATION, true));
}

static void logged_close(struct logged *logged)
{
    gmem_region_unref(logged->region);
    world_close(&logged->world);
}

static bool page_dirty(const gmem_ram *ram, unsigned client, uint64_t page)
{
    bool dirty;

    OK(gmem_ram_dirty_test(ram, client, page * PAGE, 1, &dirty));
    return dirty;
}

/* Exactly the pages first to last are dirty for client (none if last is before first); then none is. */
static void check_dirty(gmem_ram *ram, unsigned client, uint64_t first, uint64_t last)
{
    uint64_t page;
    bool dirty;

    for (page = 0; page < (gmem_ram_size(ram) + PAGE - 1) / PAGE; page++) {
        if (page_dirty(ram, client, page) != (page >= first && page <= last))
            fail_msg("page %llu of %llu to %llu", (unsigned long long)page, (unsigned long long)first,
                     (unsigned long long)last);
    }
    OK(gmem_ram_dirty_test_and_clear(ram, client, 0, gmem_ram_size(ram), &dirty));
    assert_int_equal(dirty, first <= last);
    OK(gmem_ram_dirty_test(ram, client, 0, gmem_ram_size(ram), &dirty));
    assert_false(dirty);
}

static void check_clean(gmem_ram *ram, unsigned client)
{
    check_dirty(ram, client, 1, 0);
}

/* --- who marks ----------------------------------------------------------------------------------------------------- */

static void nobody_logs(void **state)
{
    struct logged logged;
    unsigned client;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, false);
    assert_int_equal(gmem_space_fill(logged.world.space, 0x100000, NONE, 1, 10 * PAGE), GMEM_OK);
    assert_int_equal(gmem_st32_le(logged.world.space, 0x100000, NONE, 1), GMEM_OK);
    OK(gmem_ram_dirty_mark(logged.ram, 0, PAGE));
    for (client = 0; client < GMEM_LOG_CLIENTS; client++)
        check_clean(logged.ram, client);
    logged_close(&logged);
}

static void copies_mark_their_pages(void **state)
{
    static const struct {
        uint64_t offset, size, first, last;
    } cases[] = {
        {0, 1, 0, 0},
        {PAGE - 1, 1, 0, 0},
        {PAGE - 1, 2, 0, 1},
        {PAGE, PAGE, 1, 1},
        {63 * PAGE + 5, 8, 63, 63},
        {64 * PAGE - 4, 8, 63, 64},
        {10 * PAGE + 1, 150 * PAGE, 10, 160},
        {0, 64 * PAGE, 0, 63},
        {64 * PAGE, 64 * PAGE, 64, 127},
        {PAGES * PAGE - 101, 1, PAGES - 1, PAGES - 1},
        {0, PAGES * PAGE - 100, 0, PAGES - 1},
    };
    uint8_t *buf = calloc(PAGES, PAGE);
    struct logged logged;
    size_t i;

    (void)state;
    assert_non_null(buf);
    logged_open(&logged, GMEM_KIND_RAM, true);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t addr = 0x100000 + cases[i].offset;

        assert_int_equal(gmem_space_write(logged.world.space, addr, NONE, buf, cases[i].size), GMEM_OK);
        check_dirty(logged.ram, GMEM_LOG_MIGRATION, cases[i].first, cases[i].last);
        assert_int_equal(gmem_space_rw(logged.world.space, addr, NONE, buf, cases[i].size, true), GMEM_OK);
        check_dirty(logged.ram, GMEM_LOG_MIGRATION, cases[i].first, cases[i].last);
        assert_int_equal(gmem_space_fill(logged.world.space, addr, NONE, 7, cases[i].size), GMEM_OK);
        check_dirty(logged.ram, GMEM_LOG_MIGRATION, cases[i].first, cases[i].last);
        assert_int_equal(gmem_space_write_rom(logged.world.space, addr, buf, cases[i].size), GMEM_OK);
        check_dirty(logged.ram, GMEM_LOG_MIGRATION, cases[i].first, cases[i].last);
        OK(gmem_ram_dirty_mark(logged.ram, cases[i].offset, cases[i].size));
        check_dirty(logged.ram, GMEM_LOG_MIGRATION, cases[i].first, cases[i].last);
        /* Reading marks nothing, nor does what goes beside it. */
        assert_int_equal(gmem_space_read(logged.world.space, addr, NONE, buf, cases[i].size), GMEM_OK);
        assert_int_equal(gmem_space_write(logged.world.space, 0xfffff, NONE, buf, 1), GMEM_RESULT_DECODE);
        check_clean(logged.ram, GMEM_LOG_MIGRATION);
    }
    logged_close(&logged);
    free(buf);
}

static void stores_mark_their_pages(void **state)
{
    struct logged logged;
    gmem_space *space;
    uint64_t page = 0;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, true);
    space = logged.world.space;
#define STORE(suffix)                                                                                                  \
    do {                                                                                                               \
        assert_int_equal(gmem_st##suffix(space, 0x100000 + ++page * PAGE + 8, NONE, 1), GMEM_OK);                      \
        check_dirty(logged.ram, GMEM_LOG_MIGRATION, page, page);                                                       \
    } while (0)
    STORE(8);
    STORE(16_le);
    STORE(16_be);
    STORE(16_native);
    STORE(32_le);
    STORE(32_be);
    STORE(32_native);
    STORE(64_le);
    STORE(64_be);
    STORE(64_native);
#undef STORE
    assert_int_equal(gmem_st32_le(space, 0x100000 + 3 * PAGE - 1, NONE, 1), GMEM_OK);
    check_dirty(logged.ram, GMEM_LOG_MIGRATION, 2, 3);
    logged_close(&logged);
}

/* Only the host's hand writes rom and romd; a guest's writes go to nobody, or to the device. */
static void what_takes_no_writes_stays_clean(void **state)
{
    static const enum gmem_kind kinds[] = {GMEM_KIND_ROM, GMEM_KIND_ROMD};
    struct logged logged;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        logged_open(&logged, kinds[i], true);
        assert_int_equal(gmem_st32_le(logged.world.space, 0x100000, NONE, 1), GMEM_OK);
        assert_int_equal(gmem_space_fill(logged.world.space, 0x100000, NONE, 1, 9 * PAGE), GMEM_OK);
        check_clean(logged.ram, GMEM_LOG_MIGRATION);
        assert_int_equal(gmem_space_write_rom(logged.world.space, 0x100000 + PAGE, "text", 4), GMEM_OK);
        check_dirty(logged.ram, GMEM_LOG_MIGRATION, 1, 1);
        logged_close(&logged);
    }
    logged_open(&logged, GMEM_KIND_RAM, true);
    OK(gmem_region_set_readonly(logged.region, true));
    assert_int_equal(gmem_st32_le(logged.world.space, 0x100000, NONE, 1), GMEM_OK);
    assert_int_equal(gmem_space_fill(logged.world.space, 0x100000, NONE, 1, 9 * PAGE), GMEM_OK);
    check_clean(logged.ram, GMEM_LOG_MIGRATION);
    logged_close(&logged);
}

/* --- where --------------------------------------------------------------------------------------------------------- */

/* Pages are the block's, wherever the guest sees them. */
static void through_an_alias(void **state)
{
    struct logged logged;
    gmem_region *alias;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, true);
    alias = make_alias(logged.world.vm, "alias", logged.region, 3 * PAGE + 0x800, GMEM_SIZE(2 * PAGE));
    world_place(&logged.world, alias, 0x10000800);
    assert_int_equal(gmem_st8(logged.world.space, 0x10000800, NONE, 1), GMEM_OK);
    check_dirty(logged.ram, GMEM_LOG_MIGRATION, 3, 3);
    assert_int_equal(gmem_space_fill(logged.world.space, 0x10000fff, NONE, 1, 2), GMEM_OK);
    check_dirty(logged.ram, GMEM_LOG_MIGRATION, 3, 4);
    gmem_region_unref(alias);
    logged_close(&logged);
}

static void clients_are_apart(void **state)
{
    struct logged logged;
    unsigned client;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, false);
    for (client = 0; client < GMEM_LOG_CLIENTS; client++) {
        OK(gmem_region_set_log(logged.region, client, true));
        assert_int_equal(gmem_st8(logged.world.space, 0x100000 + client * PAGE, NONE, 1), GMEM_OK);
    }
    for (client = 0; client < GMEM_LOG_CLIENTS; client++)
        check_dirty(logged.ram, client, client, GMEM_LOG_CLIENTS - 1);

    /* Who stops hears nothing more, and finds again what it had not looked at. */
    assert_int_equal(gmem_st8(logged.world.space, 0x100000, NONE, 1), GMEM_OK);
    OK(gmem_region_set_log(logged.region, GMEM_LOG_CODE, false));
    assert_int_equal(gmem_st8(logged.world.space, 0x100000 + PAGE, NONE, 1), GMEM_OK);
    OK(gmem_region_set_log(logged.region, GMEM_LOG_CODE, true));
    check_dirty(logged.ram, GMEM_LOG_CODE, 0, 0);
    check_dirty(logged.ram, GMEM_LOG_DISPLAY, 0, 1);
    logged_close(&logged);
}

/* Two regions of one block, of which one is logged: it is the range written through that counts. */
static void a_region_wishes_not_a_block(void **state)
{
    struct logged logged;
    gmem_region *other;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, true);
    OK(gmem_region_create_ram(logged.world.vm, "other", logged.ram, NULL, &other));
    world_place(&logged.world, other, 0x10000000);
    assert_int_equal(gmem_st8(logged.world.space, 0x10000000, NONE, 1), GMEM_OK);
    check_clean(logged.ram, GMEM_LOG_MIGRATION);
    assert_int_equal(gmem_st8(logged.world.space, 0x100000, NONE, 1), GMEM_OK);
    check_dirty(logged.ram, GMEM_LOG_MIGRATION, 0, 0);
    gmem_region_unref(other);
    logged_close(&logged);
}

static void intervals_are_rounded_outwards(void **state)
{
    struct logged logged;
    bool dirty;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, true);
    OK(gmem_ram_dirty_mark(logged.ram, 62 * PAGE, 5 * PAGE));
    OK(gmem_ram_dirty_test(logged.ram, GMEM_LOG_MIGRATION, 0, 62 * PAGE, &dirty));
    assert_false(dirty);
    OK(gmem_ram_dirty_test(logged.ram, GMEM_LOG_MIGRATION, 0, 62 * PAGE + 1, &dirty));
    assert_true(dirty);
    OK(gmem_ram_dirty_test(logged.ram, GMEM_LOG_MIGRATION, 67 * PAGE - 1, 1, &dirty));
    assert_true(dirty);
    OK(gmem_ram_dirty_test(logged.ram, GMEM_LOG_MIGRATION, 67 * PAGE, 1, &dirty));
    assert_false(dirty);

    OK(gmem_ram_dirty_test_and_clear(logged.ram, GMEM_LOG_MIGRATION, 63 * PAGE + 17, PAGE, &dirty));
    assert_true(dirty);
    OK(gmem_ram_dirty_test_and_clear(logged.ram, GMEM_LOG_MIGRATION, 63 * PAGE, 2 * PAGE, &dirty));
    assert_false(dirty);
    assert_true(page_dirty(logged.ram, GMEM_LOG_MIGRATION, 62));
    OK(gmem_ram_dirty_test_and_clear(logged.ram, GMEM_LOG_MIGRATION, 0, 63 * PAGE, &dirty));
    assert_true(dirty);
    check_dirty(logged.ram, GMEM_LOG_MIGRATION, 65, 66);
    logged_close(&logged);
}

/* --- refusals ------------------------------------------------------------------------------------------------------ */

static void bad_arguments(void **state)
{
    struct logged logged;
    bool dirty = true;
    uint64_t size;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, true);
    size = gmem_ram_size(logged.ram);
    REFUSED(EINVAL, gmem_ram_dirty_mark(NULL, 0, 1));
    REFUSED(EINVAL, gmem_ram_dirty_mark(logged.ram, 0, 0));
    REFUSED(ERANGE, gmem_ram_dirty_mark(logged.ram, size, 1));
    REFUSED(ERANGE, gmem_ram_dirty_mark(logged.ram, 1, size));
    REFUSED(ERANGE, gmem_ram_dirty_mark(logged.ram, 1, UINT64_MAX));
    REFUSED(ERANGE, gmem_ram_dirty_mark(logged.ram, UINT64_MAX, 2));
    check_reason(logged.world.vm, ERANGE, "\"ram\"");
    check_clean(logged.ram, GMEM_LOG_MIGRATION);
    REFUSED(EINVAL, gmem_ram_dirty_test(NULL, 0, 0, 1, &dirty));
    REFUSED(EINVAL, gmem_ram_dirty_test(logged.ram, GMEM_LOG_CLIENTS, 0, 1, &dirty));
    REFUSED(EINVAL, gmem_ram_dirty_test(logged.ram, 0, 0, 0, &dirty));
    REFUSED(EINVAL, gmem_ram_dirty_test(logged.ram, 0, 0, 1, NULL));
    REFUSED(ERANGE, gmem_ram_dirty_test(logged.ram, 0, 0, size + 1, &dirty));
    REFUSED(EINVAL, gmem_ram_dirty_test_and_clear(NULL, 0, 0, 1, &dirty));
    REFUSED(EINVAL, gmem_ram_dirty_test_and_clear(logged.ram, GMEM_LOG_CLIENTS, 0, 1, &dirty));
    REFUSED(EINVAL, gmem_ram_dirty_test_and_clear(logged.ram, 0, 0, 0, &dirty));
    REFUSED(EINVAL, gmem_ram_dirty_test_and_clear(logged.ram, 0, 0, 1, NULL));
    REFUSED(ERANGE, gmem_ram_dirty_test_and_clear(logged.ram, 0, size, 1, &dirty));
    assert_true(dirty);
    logged_close(&logged);
}

/* Out of memory at each allocation of the edit: nothing is logged, and other edits of the transaction are undone (G1). */
static void no_memory_for_a_bitmap(void **state)
{
    unsigned long fail_at, failed = 0;
    struct logged logged;
    int err;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, false);
    for (fail_at = 1;; fail_at++) {
        wrap_start(fail_at);
        err = gmem_region_set_log(logged.region, GMEM_LOG_DISPLAY, true);
        if (!wrap_stop())
            break;
        failed++;
        REFUSED(ENOMEM, err);
        assert_int_equal(gmem_st8(logged.world.space, 0x100000, NONE, 1), GMEM_OK);
        check_clean(logged.ram, GMEM_LOG_DISPLAY);
    }
    OK(err);
    assert_true(failed > 1);
    assert_int_equal(gmem_st8(logged.world.space, 0x100000, NONE, 1), GMEM_OK);
    check_dirty(logged.ram, GMEM_LOG_DISPLAY, 0, 0);

    /* Once it has a bitmap it keeps it. */
    OK(gmem_region_set_log(logged.region, GMEM_LOG_DISPLAY, false));
    wrap_start(0);
    OK(gmem_region_set_log(logged.region, GMEM_LOG_DISPLAY, true));
    wrap_stop();
    logged_close(&logged);
}

/* An edit that was undone leaves a bitmap, and nobody who marks it. */
static void an_abort_stops_the_wish(void **state)
{
    struct logged logged;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, false);
    OK(gmem_vm_begin(logged.world.vm));
    OK(gmem_region_set_log(logged.region, GMEM_LOG_CODE, true));
    gmem_vm_abort(logged.world.vm);
    assert_int_equal(gmem_st8(logged.world.space, 0x100000, NONE, 1), GMEM_OK);
    check_clean(logged.ram, GMEM_LOG_CODE);
    logged_close(&logged);
}

static void clients_with_a_bitmap(void **state)
{
    struct logged logged;

    (void)state;
    logged_open(&logged, GMEM_KIND_RAM, false);
    assert_int_equal(gmem_ram_dirty_clients(logged.ram), 0);
    OK(gmem_region_set_log(logged.region, GMEM_LOG_MIGRATION, true));
    OK(gmem_region_set_log(logged.region, GMEM_LOG_DISPLAY, true));
    /* Until the block ends. */
    OK(gmem_region_set_log(logged.region, GMEM_LOG_DISPLAY, false));
    assert_int_equal(gmem_ram_dirty_clients(logged.ram), 1u << GMEM_LOG_MIGRATION | 1u << GMEM_LOG_DISPLAY);
    logged_close(&logged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_logs),
        cmocka_unit_test(copies_mark_their_pages),
        cmocka_unit_test(stores_mark_their_pages),
        cmocka_unit_test(what_takes_no_writes_stays_clean),
        cmocka_unit_test(through_an_alias),
        cmocka_unit_test(clients_are_apart),
        cmocka_unit_test(a_region_wishes_not_a_block),
        cmocka_unit_test(intervals_are_rounded_outwards),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(clients_with_a_bitmap),
        cmocka_unit_test(no_memory_for_a_bitmap),
        cmocka_unit_test(an_abort_stops_the_wish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
