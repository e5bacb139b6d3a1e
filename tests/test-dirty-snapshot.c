/* SPDX-License-Identifier: MIT */
/*
 * test-dirty-snapshot.c - many dirty pages at once: marking by bitmaps, runs, counts, snapshots; beside a naive model, which has a
 * byte for each page. And what happens where the kernel has no membarrier(2), or refuses it later.
 *
 * Linked with the allocator and syscall() wrapped.
 */
#include "support.h"
#include "access_world.h"
#include "random.h"
#include "vm.h"
#include "wrap.h"
#include <errno.h>
#include <sys/syscall.h>

#define NONE GMEM_ATTRS_NONE
#define PAGE GMEM_DIRTY_PAGE_SIZE
#define PAGES 333u /* of the block: six words of a bitmap, the last not whole */
#define SIZE (PAGES * PAGE - 100u)
#define CLIENT GMEM_LOG_MIGRATION

/* --- membarrier(2) that is there, or not ------------------------------------------------------------------------------ */

static bool refuse_membarrier;
static unsigned membarriers; /* called */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* The library calls it for nothing else. */
long __wrap_syscall(long number, ...)
{
    va_list args;
    int command, flags, processor;

    va_start(args, number);
    command = va_arg(args, int);
    flags = va_arg(args, int);
    processor = va_arg(args, int);
    va_end(args);
    assert_int_equal(number, SYS_membarrier);
    membarriers++;
    if (refuse_membarrier) {
        errno = EPERM;
        return -1;
    }
    return __real_syscall(number, command, flags, processor);
}

/* --- a logged block --------------------------------------------------------------------------------------------------- */

struct logged {
    gmem_vm *vm;
    gmem_region *region;
    gmem_ram *ram;
    uint8_t model[PAGES]; /* what is dirty for CLIENT */
};

static void logged_open(struct logged *logged)
{
    memset(logged, 0, sizeof(*logged));
    logged->vm = make_vm();
    logged->region = make_ram(logged->vm, "ram", SIZE);
    logged->ram = gmem_region_ram(logged->region);
    OK(gmem_region_set_log(logged->region, CLIENT, true));
}

static void logged_close(struct logged *logged)
{
    gmem_region_unref(logged->region);
    gmem_vm_destroy(logged->vm);
}

/* What stands for page bytes from here on, not beyond the block. */
static uint64_t end_of(uint64_t page)
{
    return page * PAGE < SIZE ? page * PAGE : SIZE;
}

static uint64_t model_count(const uint8_t *model)
{
    uint64_t count = 0, page;

    for (page = 0; page < PAGES; page++)
        count += model[page];
    return count;
}

/* The run at or behind from, as the contract has it. False: none. */
static bool model_next(const uint8_t *model, uint64_t from, uint64_t *ret_offset, uint64_t *ret_size)
{
    uint64_t page = from / PAGE, end;

    if (from >= SIZE)
        return false;
    while (page < PAGES && !model[page])
        page++;
    if (page == PAGES)
        return false;
    for (end = page; end < PAGES && model[end]; end++)
        ;
    *ret_offset = page * PAGE > from ? page * PAGE : from;
    *ret_size = end_of(end) - *ret_offset;
    return true;
}

static void check_live(const struct logged *logged)
{
    uint64_t pages, page, at, size, offset, wanted;
    bool dirty;

    OK(gmem_ram_dirty_count(logged->ram, CLIENT, &pages));
    assert_int_equal(pages, model_count(logged->model));
    for (page = 0; page < PAGES; page++) {
        OK(gmem_ram_dirty_test(logged->ram, CLIENT, page * PAGE, 1, &dirty));
        assert_int_equal(dirty, logged->model[page]);
    }
    for (at = 0; model_next(logged->model, at, &offset, &wanted); at = offset + wanted) {
        uint64_t found = 0;

        OK(gmem_ram_dirty_next(logged->ram, CLIENT, at, &found, &size));
        assert_int_equal(found, offset);
        assert_int_equal(size, wanted);
    }
    REFUSED(ENOENT, gmem_ram_dirty_next(logged->ram, CLIENT, at, &offset, &size));
}

/* --- marking by a bitmap ---------------------------------------------------------------------------------------------- */

static bool bit_of(const uint64_t *bits, uint64_t i)
{
    return bits[i / 64] >> i % 64 & 1;
}

static void mark(struct logged *logged, uint64_t first, const uint64_t *bits, uint64_t pages)
{
    uint64_t i;

    OK(gmem_ram_dirty_mark_bitmap(logged->ram, first * PAGE, bits, pages));
    for (i = 0; i < pages; i++)
        logged->model[first + i] |= bit_of(bits, i);
}

static void clear_all(struct logged *logged)
{
    bool dirty;

    OK(gmem_ram_dirty_test_and_clear(logged->ram, CLIENT, 0, SIZE, &dirty));
    memset(logged->model, 0, sizeof(logged->model));
}

/* Every alignment to a word, every size around one: exactly what is asked for is marked, and no bit behind the last counts. */
static void bitmaps_of_any_alignment(void **state)
{
    static const uint64_t sizes[] = {1, 2, 63, 64, 65, 127, 128, 129, 200};
    struct random random = random_start(__func__, 1);
    uint64_t bits[4], first;
    struct logged logged;
    size_t i, word;

    (void)state;
    logged_open(&logged);
    for (first = 0; first < 132; first++) {
        for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            for (word = 0; word < 4; word++)
                bits[word] = i % 3 == 0 ? UINT64_MAX : random_u64(&random);
            mark(&logged, first, bits, sizes[i]);
            check_live(&logged);
            clear_all(&logged);
        }
    }
    /* Up to the last page, which is not whole; and it only adds. */
    bits[0] = 5;
    mark(&logged, PAGES - 3, bits, 3);
    bits[0] = 3;
    mark(&logged, PAGES - 2, bits, 2);
    check_live(&logged);
    assert_int_equal(model_count(logged.model), 3);
    logged_close(&logged);
}

static void for_all_who_have_a_bitmap_or_some(void **state)
{
    uint64_t bits[2] = {0xf0, 1}, pages;
    struct logged logged;
    unsigned client;

    (void)state;
    logged_open(&logged);
    OK(gmem_region_set_log(logged.region, GMEM_LOG_CODE, true));
    OK(gmem_ram_dirty_mark_bitmap(logged.ram, PAGE, bits, 65));
    for (client = 0; client < GMEM_LOG_CLIENTS; client++) {
        OK(gmem_ram_dirty_count(logged.ram, client, &pages));
        assert_int_equal(pages, client == GMEM_LOG_CODE || client == CLIENT ? 5 : 0);
    }
    bits[0] = 1;
    OK(gmem_ram_dirty_mark_clients(logged.ram, 1u << GMEM_LOG_CODE | 1u << GMEM_LOG_USER, 0, bits, 1));
    OK(gmem_ram_dirty_mark_clients(logged.ram, 0, 0, bits, 1));
    OK(gmem_ram_dirty_count(logged.ram, GMEM_LOG_CODE, &pages));
    assert_int_equal(pages, 6);
    OK(gmem_ram_dirty_count(logged.ram, CLIENT, &pages));
    assert_int_equal(pages, 5);
    logged_close(&logged);
}

/* --- runs ------------------------------------------------------------------------------------------------------------- */

static void runs_and_counts(void **state)
{
    struct random random = random_start(__func__, 2);
    struct logged logged;
    uint64_t from, page, offset, size, wanted_offset, wanted_size;
    unsigned round;

    (void)state;
    logged_open(&logged);
    check_live(&logged);
    for (round = 0; round < 200; round++) {
        for (page = 0; page < PAGES; page++) {
            if (random_chance(&random, round % 101)) {
                OK(gmem_ram_dirty_mark(logged.ram, page * PAGE, 1));
                logged.model[page] = 1;
            }
        }
        check_live(&logged);
        /* From the middle of a run, of a page, and from behind the block. */
        for (from = 0; from < SIZE + 3 * PAGE; from += 1 + random_below(&random, 3 * PAGE)) {
            if (!model_next(logged.model, from, &wanted_offset, &wanted_size)) {
                REFUSED(ENOENT, gmem_ram_dirty_next(logged.ram, CLIENT, from, &offset, &size));
                continue;
            }
            OK(gmem_ram_dirty_next(logged.ram, CLIENT, from, &offset, &size));
            assert_int_equal(offset, wanted_offset);
            assert_int_equal(size, wanted_size);
        }
        REFUSED(ENOENT, gmem_ram_dirty_next(logged.ram, CLIENT, UINT64_MAX, &offset, &size));
        clear_all(&logged);
    }
    logged_close(&logged);
}

/* --- snapshots -------------------------------------------------------------------------------------------------------- */

/* The pages of model that [offset, offset + size) touches move to a snapshot. */
static void take(struct logged *logged, uint64_t offset, uint64_t size, uint8_t *taken,
                 gmem_dirty_snapshot **ret_snapshot)
{
    uint64_t page;

    OK(gmem_ram_dirty_snapshot(logged->ram, CLIENT, offset, size, ret_snapshot));
    memset(taken, 0, PAGES);
    for (page = offset / PAGE; page <= (offset + size - 1) / PAGE; page++) {
        taken[page] = logged->model[page];
        logged->model[page] = 0;
    }
}

static void check_snapshot(const gmem_dirty_snapshot *snapshot, const uint8_t *taken, struct random *random)
{
    uint64_t at, offset, size, wanted_offset, wanted_size, page;
    unsigned i;

    assert_int_equal(gmem_dirty_snapshot_count(snapshot), model_count(taken));
    for (at = 0; model_next(taken, at, &wanted_offset, &wanted_size); at = offset + size) {
        OK(gmem_dirty_snapshot_next(snapshot, at, &offset, &size));
        assert_int_equal(offset, wanted_offset);
        assert_int_equal(size, wanted_size);
    }
    REFUSED(ENOENT, gmem_dirty_snapshot_next(snapshot, at, &offset, &size));
    for (i = 0; i < 200; i++) {
        bool dirty = false;

        offset = random_below(random, SIZE);
        size = 1 + random_below(random, i % 2 ? 2 * PAGE : 70 * PAGE);
        for (page = offset / PAGE; page < PAGES && page <= (offset + size - 1) / PAGE; page++)
            dirty |= taken[page];
        assert_int_equal(gmem_dirty_snapshot_test(snapshot, offset, size), dirty);
    }
}

/* It has what was dirty of its interval, rounded outwards, at offsets of the block; that is clean then, and nothing else. */
static void snapshots_take_what_is_dirty(void **state)
{
    struct random random = random_start(__func__, 3);
    gmem_dirty_snapshot *snapshot;
    struct logged logged;
    uint8_t taken[PAGES];
    uint64_t offset, size, page;
    unsigned round;

    (void)state;
    logged_open(&logged);
    for (round = 0; round < 300; round++) {
        for (page = 0; page < PAGES; page++) {
            if (random_chance(&random, round % 4 ? 20 : 95)) {
                OK(gmem_ram_dirty_mark(logged.ram, page * PAGE, 1));
                logged.model[page] = 1;
            }
        }
        offset = random_below(&random, SIZE);
        size = 1 + random_below(&random, SIZE - offset);
        if (round % 5 == 0) {
            offset = 0;
            size = SIZE;
        }
        take(&logged, offset, size, taken, &snapshot);
        check_snapshot(snapshot, taken, &random);
        check_live(&logged);
        /* What is dirty afterwards is not its. */
        OK(gmem_ram_dirty_mark(logged.ram, 0, SIZE));
        check_snapshot(snapshot, taken, &random);
        gmem_dirty_snapshot_free(snapshot);
        clear_all(&logged);
    }
    logged_close(&logged);
}

static void a_snapshot_refers_to_nothing(void **state)
{
    gmem_dirty_snapshot *snapshot;
    struct logged logged;
    uint64_t offset, size;

    (void)state;
    logged_open(&logged);
    OK(gmem_ram_dirty_mark(logged.ram, 7 * PAGE, 2 * PAGE));
    OK(gmem_ram_dirty_snapshot(logged.ram, CLIENT, 0, SIZE, &snapshot));
    logged_close(&logged);
    OK(gmem_dirty_snapshot_next(snapshot, 0, &offset, &size));
    assert_int_equal(offset, 7 * PAGE);
    assert_int_equal(size, 2 * PAGE);
    assert_true(gmem_dirty_snapshot_test(snapshot, 0, SIZE));
    assert_false(gmem_dirty_snapshot_test(snapshot, 7 * PAGE, 0));
    gmem_dirty_snapshot_free(snapshot);
}

static void clean_ones(void **state)
{
    gmem_dirty_snapshot *snapshot;
    uint64_t offset = 1, size = 2;
    struct logged logged;

    (void)state;
    logged_open(&logged);
    OK(gmem_ram_dirty_mark(logged.ram, 0, SIZE));
    /* A client without a bitmap. */
    OK(gmem_ram_dirty_snapshot(logged.ram, GMEM_LOG_CODE, 0, SIZE, &snapshot));
    assert_int_equal(gmem_dirty_snapshot_count(snapshot), 0);
    assert_false(gmem_dirty_snapshot_test(snapshot, 0, SIZE));
    REFUSED(ENOENT, gmem_dirty_snapshot_next(snapshot, 0, &offset, &size));
    gmem_dirty_snapshot_free(snapshot);
    REFUSED(ENOENT, gmem_ram_dirty_next(logged.ram, GMEM_LOG_CODE, 0, &offset, &size));
    assert_int_equal(offset, 1);
    assert_int_equal(size, 2);
    OK(gmem_ram_dirty_count(logged.ram, GMEM_LOG_CODE, &size));
    assert_int_equal(size, 0);
    /* And none. */
    gmem_dirty_snapshot_free(NULL);
    assert_int_equal(gmem_dirty_snapshot_count(NULL), 0);
    assert_false(gmem_dirty_snapshot_test(NULL, 0, SIZE));
    REFUSED(ENOENT, gmem_dirty_snapshot_next(NULL, 0, &offset, &size));
    logged_close(&logged);
}

/* --- refusals --------------------------------------------------------------------------------------------------------- */

static void bad_arguments(void **state)
{
    gmem_dirty_snapshot *snapshot = NULL;
    uint64_t bits[6] = {1}, offset = 0, size;
    struct logged logged;

    (void)state;
    logged_open(&logged);
    REFUSED(EINVAL, gmem_ram_dirty_mark_bitmap(NULL, 0, bits, 1));
    REFUSED(EINVAL, gmem_ram_dirty_mark_bitmap(logged.ram, 0, NULL, 1));
    REFUSED(EINVAL, gmem_ram_dirty_mark_bitmap(logged.ram, 0, bits, 0));
    REFUSED(EINVAL, gmem_ram_dirty_mark_bitmap(logged.ram, 1, bits, 1));
    REFUSED(ERANGE, gmem_ram_dirty_mark_bitmap(logged.ram, 0, bits, PAGES + 1));
    REFUSED(ERANGE, gmem_ram_dirty_mark_bitmap(logged.ram, PAGE, bits, UINT64_MAX));
    REFUSED(ERANGE, gmem_ram_dirty_mark_bitmap(logged.ram, PAGES * PAGE, bits, 1));
    REFUSED(EINVAL, gmem_ram_dirty_mark_clients(logged.ram, 1u << GMEM_LOG_CLIENTS, 0, bits, 1));
    REFUSED(EINVAL, gmem_ram_dirty_snapshot(NULL, CLIENT, 0, 1, &snapshot));
    REFUSED(EINVAL, gmem_ram_dirty_snapshot(logged.ram, GMEM_LOG_CLIENTS, 0, 1, &snapshot));
    REFUSED(EINVAL, gmem_ram_dirty_snapshot(logged.ram, CLIENT, 0, 0, &snapshot));
    REFUSED(EINVAL, gmem_ram_dirty_snapshot(logged.ram, CLIENT, 0, 1, NULL));
    REFUSED(ERANGE, gmem_ram_dirty_snapshot(logged.ram, CLIENT, 1, SIZE, &snapshot));
    REFUSED(ERANGE, gmem_ram_dirty_snapshot(logged.ram, CLIENT, UINT64_MAX, 2, &snapshot));
    assert_null(snapshot);
    REFUSED(EINVAL, gmem_ram_dirty_next(NULL, CLIENT, 0, &offset, &size));
    REFUSED(EINVAL, gmem_ram_dirty_next(logged.ram, GMEM_LOG_CLIENTS, 0, &offset, &size));
    REFUSED(EINVAL, gmem_ram_dirty_next(logged.ram, CLIENT, 0, NULL, &size));
    REFUSED(EINVAL, gmem_ram_dirty_next(logged.ram, CLIENT, 0, &offset, NULL));
    REFUSED(EINVAL, gmem_ram_dirty_count(NULL, CLIENT, &size));
    REFUSED(EINVAL, gmem_ram_dirty_count(logged.ram, GMEM_LOG_CLIENTS, &size));
    REFUSED(EINVAL, gmem_ram_dirty_count(logged.ram, CLIENT, NULL));
    REFUSED(EINVAL, gmem_dirty_snapshot_next(NULL, 0, NULL, &size));
    REFUSED(EINVAL, gmem_dirty_snapshot_next(NULL, 0, &offset, NULL));
    check_live(&logged);
    logged_close(&logged);
}

static void no_memory_for_a_snapshot(void **state)
{
    gmem_dirty_snapshot *snapshot = NULL;
    struct logged logged;
    uint8_t taken[PAGES];
    struct random random = random_start(__func__, 4);

    (void)state;
    logged_open(&logged);
    OK(gmem_ram_dirty_mark(logged.ram, 3 * PAGE, PAGE));
    logged.model[3] = 1;
    wrap_start(1);
    REFUSED(ENOMEM, gmem_ram_dirty_snapshot(logged.ram, CLIENT, 0, SIZE, &snapshot));
    assert_true(wrap_stop());
    assert_null(snapshot);
    check_live(&logged);
    wrap_start(2);
    take(&logged, 0, SIZE, taken, &snapshot);
    assert_false(wrap_stop());
    check_snapshot(snapshot, taken, &random);
    gmem_dirty_snapshot_free(snapshot);
    logged_close(&logged);
}

/* --- the kernel's part ------------------------------------------------------------------------------------------------ */

/* However many pages are dirty; none where nothing is. */
static void a_snapshot_is_one_barrier(void **state)
{
    gmem_dirty_snapshot *snapshot;
    struct logged logged;

    (void)state;
    logged_open(&logged);
    assert_false(logged.vm->full_fence);
    membarriers = 0;
    OK(gmem_ram_dirty_snapshot(logged.ram, CLIENT, 0, SIZE, &snapshot));
    gmem_dirty_snapshot_free(snapshot);
    assert_int_equal(membarriers, 0);
    OK(gmem_ram_dirty_mark(logged.ram, 0, SIZE));
    assert_int_equal(membarriers, 0);
    OK(gmem_ram_dirty_snapshot(logged.ram, CLIENT, 0, SIZE, &snapshot));
    assert_int_equal(gmem_dirty_snapshot_count(snapshot), PAGES);
    gmem_dirty_snapshot_free(snapshot);
    assert_int_equal(membarriers, 1);
    logged_close(&logged);
}

/* Where there is none writers pay: nothing else is asked of the kernel, hints and caches mark as well. */
static void a_kernel_without_membarrier(void **state)
{
    struct gmem_cache cache;
    struct world world;
    gmem_region *region;
    uint64_t pages;
    bool dirty;

    (void)state;
    refuse_membarrier = true;
    world_open(&world);
    assert_true(world.vm->full_fence);
    membarriers = 0;
    region = world_memory(&world, GMEM_KIND_RAM, "ram", SIZE, NULL, NULL, NULL);
    world_place(&world, region, 0);
    OK(gmem_cache_init(&cache, world.space, 0, SIZE, NONE));
    assert_int_equal(gmem_cache_st32_le(&cache, 0, 1), GMEM_OK);
    OK(gmem_region_set_log(region, CLIENT, true));
    assert_int_equal(gmem_st32_le(world.space, 0, NONE, 1), GMEM_OK);
    assert_int_equal(gmem_st32_le(world.space, PAGE, NONE, 1), GMEM_OK);
    assert_int_equal(gmem_space_write(world.space, 2 * PAGE, NONE, "text", 4), GMEM_OK);
    assert_int_equal(gmem_cache_st32_le(&cache, 3 * PAGE, 1), GMEM_OK);
    assert_int_equal(gmem_cache_st32_le(&cache, 4 * PAGE, 1), GMEM_OK);
    assert_int_equal(gmem_cache_write(&cache, 6 * PAGE - 1, "ab", 2), GMEM_OK);
    OK(gmem_ram_dirty_count(gmem_region_ram(region), CLIENT, &pages));
    assert_int_equal(pages, 7);
    OK(gmem_ram_dirty_test_and_clear(gmem_region_ram(region), CLIENT, 0, SIZE, &dirty));
    assert_true(dirty);
    OK(gmem_vm_settle(world.vm));
    assert_int_equal(membarriers, 0);
    refuse_membarrier = false;
    gmem_cache_end(&cache);
    gmem_region_unref(region);
    world_close(&world);
}

/* Refused to a program that had it: whoever would clear is refused, and nothing is clean that was dirty. */
static void membarrier_refused_later(void **state)
{
    gmem_dirty_snapshot *snapshot = NULL;
    struct logged logged;
    uint64_t pages;
    bool dirty = false;

    (void)state;
    logged_open(&logged);
    OK(gmem_ram_dirty_mark(logged.ram, 5 * PAGE, 3 * PAGE));
    memset(logged.model + 5, 1, 3);
    refuse_membarrier = true;
    REFUSED(EIO, gmem_ram_dirty_snapshot(logged.ram, CLIENT, 2 * PAGE, SIZE - 2 * PAGE, &snapshot));
    assert_null(snapshot);
    check_live(&logged);
    REFUSED(EIO, gmem_region_dirty_snapshot(logged.region, CLIENT, 0, SIZE - 1, &snapshot));
    assert_null(snapshot);
    check_live(&logged);
    REFUSED(EIO, gmem_ram_dirty_test_and_clear(logged.ram, CLIENT, 5 * PAGE, 3 * PAGE, &dirty));
    assert_false(dirty);
    check_live(&logged);
    OK(gmem_ram_dirty_test_and_clear(logged.ram, CLIENT, 0, PAGE, &dirty));
    assert_false(dirty);
    REFUSED(EIO, gmem_vm_settle(logged.vm));
    REFUSED(EIO, gmem_region_set_log(logged.region, GMEM_LOG_CODE, true));
    REFUSED(EIO, gmem_vm_set_global_log(logged.vm, true));
    check_reason(logged.vm, EIO, "membarrier");
    refuse_membarrier = false;
    OK(gmem_vm_set_global_log(logged.vm, true));
    OK(gmem_ram_dirty_count(logged.ram, CLIENT, &pages));
    assert_int_equal(pages, 3);
    logged_close(&logged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bitmaps_of_any_alignment),
        cmocka_unit_test(for_all_who_have_a_bitmap_or_some),
        cmocka_unit_test(runs_and_counts),
        cmocka_unit_test(snapshots_take_what_is_dirty),
        cmocka_unit_test(a_snapshot_refers_to_nothing),
        cmocka_unit_test(clean_ones),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(no_memory_for_a_snapshot),
        cmocka_unit_test(a_snapshot_is_one_barrier),
        cmocka_unit_test(a_kernel_without_membarrier),
        cmocka_unit_test(membarrier_refused_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
