/* SPDX-License-Identifier: MIT */
/*
 * test-log.c - dirty logging of a vm as a whole: everything at once, regions with their listeners, settling, clients' names.
 *
 * Linked with the allocator wrapped (wrap.h).
 */
#include "support.h"
#include "access_world.h"
#include "wrap.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#define NONE GMEM_ATTRS_NONE
#define PAGE GMEM_DIRTY_PAGE_SIZE
#define SIZE (16u * PAGE)
#define RAM_AT 0x100000u
#define ROM_AT 0x200000u
#define MIGRATION GMEM_LOG_MIGRATION

struct board {
    struct world world;
    gmem_region *ram, *rom;
    gmem_ram *block, *rom_block;
    struct gmem_listener listener;
    char heard[400];                     /* what the listener heard of logs, separated by blanks */
    const char *refuse;                  /* which of these it refuses, with -ENXIO */
    void (*inside)(struct board *board); /* called when it hears something */
};

static int hear(struct gmem_listener *listener, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int hear(struct gmem_listener *listener, const char *format, ...)
{
    struct board *board = listener->opaque;
    size_t length = strlen(board->heard);
    char word[60];
    va_list args;

    va_start(args, format);
    vsnprintf(word, sizeof(word), format, args);
    va_end(args);
    snprintf(board->heard + length, sizeof(board->heard) - length, "%s ", word);
    if (board->inside)
        board->inside(board);
    return board->refuse && !strcmp(word, board->refuse) ? -ENXIO : 0;
}

static int on_sync(struct gmem_listener *listener, const struct gmem_section *section)
{
    return hear(listener, "sync:%s:%llx+%llx", gmem_region_name(section->region), (unsigned long long)section->offset,
                (unsigned long long)section->last - section->first + 1);
}

static int on_clear(struct gmem_listener *listener, const struct gmem_section *section)
{
    return hear(listener, "clear:%s:%llx+%llx", gmem_region_name(section->region), (unsigned long long)section->offset,
                (unsigned long long)section->last - section->first + 1);
}

static int on_start(struct gmem_listener *listener)
{
    return hear(listener, "start");
}

static int on_stop(struct gmem_listener *listener)
{
    return hear(listener, "stop");
}

static void board_open(struct board *board)
{
    memset(board, 0, sizeof(*board));
    world_open(&board->world);
    board->ram = world_memory(&board->world, GMEM_KIND_RAM, "ram", SIZE, NULL, NULL, NULL);
    board->rom = world_memory(&board->world, GMEM_KIND_ROM, "rom", SIZE, NULL, NULL, NULL);
    board->block = gmem_region_ram(board->ram);
    board->rom_block = gmem_region_ram(board->rom);
    world_place(&board->world, board->ram, RAM_AT);
    world_place(&board->world, board->rom, ROM_AT);
    board->listener = (struct gmem_listener){
        .struct_size = sizeof(board->listener),
        .name = "ear",
        .opaque = board,
        .log_sync = on_sync,
        .log_clear = on_clear,
        .log_global_start = on_start,
        .log_global_stop = on_stop,
    };
    OK(gmem_listener_register(board->world.vm, NULL, &board->listener));
}

static void board_close(struct board *board)
{
    board->inside = NULL;
    board->refuse = NULL;
    gmem_listener_unregister(board->world.vm, &board->listener);
    gmem_region_unref(board->ram);
    gmem_region_unref(board->rom);
    world_close(&board->world);
}

static void check_heard(struct board *board, const char *wanted)
{
    assert_string_equal(board->heard, wanted);
    board->heard[0] = '\0';
}

/* How many pages are dirty, which then are clean. */
static uint64_t taken(gmem_ram *ram, unsigned client)
{
    gmem_dirty_snapshot *snapshot;
    uint64_t count;

    OK(gmem_ram_dirty_snapshot(ram, client, 0, gmem_ram_size(ram), &snapshot));
    count = gmem_dirty_snapshot_count(snapshot);
    gmem_dirty_snapshot_free(snapshot);
    return count;
}

/* --- everything ------------------------------------------------------------------------------------------------------- */

/* Each way writes a page of its own; returns how many that are. cache was made before. */
static uint64_t write_by_all_ways(struct board *board, struct gmem_cache *cache)
{
    gmem_space *space = board->world.space;
    struct gmem_segment segment;
    struct gmem_map map;
    uint64_t covered;
    size_t count;

    /* The first of each kind may find no hint or window; the others do. */
    assert_int_equal(gmem_st8(space, RAM_AT, NONE, 1), GMEM_OK);
    assert_int_equal(gmem_st32_le(space, RAM_AT + PAGE, NONE, 1), GMEM_OK);
    assert_int_equal(gmem_st64_be(space, RAM_AT + 2 * PAGE, NONE, 1), GMEM_OK);
    assert_int_equal(gmem_space_write(space, RAM_AT + 3 * PAGE, NONE, "text", 4), GMEM_OK);
    assert_int_equal(gmem_space_fill(space, RAM_AT + 4 * PAGE, NONE, 1, 2 * PAGE), GMEM_OK);
    assert_int_equal(gmem_space_write_rom(space, RAM_AT + 6 * PAGE, "text", 4), GMEM_OK);
    assert_int_equal(gmem_cache_st32_le(cache, 7 * PAGE, 1), GMEM_OK);
    assert_int_equal(gmem_cache_st32_le(cache, 8 * PAGE, 1), GMEM_OK);
    assert_int_equal(gmem_cache_write(cache, 9 * PAGE, "text", 4), GMEM_OK);
    OK(gmem_map(space, RAM_AT + 10 * PAGE, NONE, 4, true, &map));
    assert_int_equal(gmem_unmap(&map, 4), GMEM_OK);
    OK(gmem_segments(space, RAM_AT + 11 * PAGE, NONE, 4, true, &segment, 1, &count, &covered));
    assert_int_equal(gmem_segment_write(&segment, 0, "text", 4), GMEM_OK);
    gmem_segments_release(&segment, 1, 0);
    return 12;
}

/* From every way to write, present blocks and later ones, by ranges that nobody's wish is about; until it is off. */
static void everything_is_marked(void **state)
{
    struct gmem_vm_stats before, after;
    struct gmem_cache cache;
    struct board board;
    gmem_region *later;
    uint64_t pages;
    char id[20];
    bool dirty;
    int i;

    (void)state;
    board_open(&board);
    OK(gmem_cache_init(&cache, board.world.space, RAM_AT, SIZE, NONE));
    (void)write_by_all_ways(&board, &cache);
    for (i = 0; i < 3; i++) {
        /* What remembers host memory was made before. */
        assert_int_equal(gmem_cache_st32_le(&cache, 0, 1), GMEM_OK);
        assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
        gmem_vm_stats(board.world.vm, &before);
        OK(gmem_vm_set_global_log(board.world.vm, true));
        gmem_vm_stats(board.world.vm, &after);
        assert_int_equal(after.views_rendered, before.views_rendered);
        assert_int_equal(after.views_published, before.views_published);
        assert_int_equal(taken(board.block, MIGRATION), 0);
        assert_int_equal(gmem_cache_st32_le(&cache, 0, 1), GMEM_OK);
        assert_int_equal(taken(board.block, MIGRATION), 1);
        assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
        assert_int_equal(taken(board.block, MIGRATION), 1);
        pages = write_by_all_ways(&board, &cache);
        assert_int_equal(taken(board.block, MIGRATION), pages);
        assert_int_equal(gmem_st32_le(board.world.space, ROM_AT, NONE, 1), GMEM_OK);
        assert_int_equal(taken(board.rom_block, MIGRATION), 0);
        assert_int_equal(gmem_space_write_rom(board.world.space, ROM_AT, "text", 4), GMEM_OK);
        assert_int_equal(taken(board.rom_block, MIGRATION), 1);
        assert_int_equal(taken(board.block, GMEM_LOG_DISPLAY), 0);

        /* Readers may keep the one of before, and its id, for a while. */
        snprintf(id, sizeof(id), "later%d", i);
        later = world_memory(&board.world, GMEM_KIND_RAM, id, SIZE, NULL, NULL, NULL);
        world_place(&board.world, later, 0x300000);
        assert_int_equal(gmem_st8(board.world.space, 0x300000, NONE, 1), GMEM_OK);
        assert_int_equal(gmem_st8(board.world.space, 0x300000 + PAGE, NONE, 1), GMEM_OK);
        assert_int_equal(taken(gmem_region_ram(later), MIGRATION), 2);

        OK(gmem_vm_set_global_log(board.world.vm, false));
        assert_int_equal(gmem_st8(board.world.space, 0x300000, NONE, 1), GMEM_OK);
        OK(gmem_ram_dirty_test(gmem_region_ram(later), MIGRATION, 0, SIZE, &dirty));
        assert_false(dirty);
        assert_int_equal(gmem_cache_st32_le(&cache, 0, 1), GMEM_OK);
        assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
        assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
        assert_int_equal(taken(board.block, MIGRATION), 0);
        OK(gmem_region_remove(board.world.root, later));
        gmem_region_unref(later);
    }
    gmem_cache_end(&cache);
    board_close(&board);
}

/* Beside a wish of the region's own, which is as it was afterwards. */
static void wishes_stay(void **state)
{
    struct board board;

    (void)state;
    board_open(&board);
    OK(gmem_region_set_log(board.ram, MIGRATION, true));
    OK(gmem_region_set_log(board.ram, GMEM_LOG_CODE, true));
    OK(gmem_vm_set_global_log(board.world.vm, true));
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT + PAGE, NONE, 1), GMEM_OK);
    assert_int_equal(taken(board.block, MIGRATION), 2);
    assert_int_equal(taken(board.block, GMEM_LOG_CODE), 2);
    OK(gmem_region_set_log(board.ram, MIGRATION, false));
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
    assert_int_equal(taken(board.block, MIGRATION), 1);
    OK(gmem_region_set_log(board.ram, MIGRATION, true));
    OK(gmem_vm_set_global_log(board.world.vm, false));
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
    assert_int_equal(taken(board.block, MIGRATION), 1);
    board_close(&board);
}

/* Inside a transaction it takes effect at once, and an abort does not undo it. */
static void it_is_no_edit(void **state)
{
    struct board board;

    (void)state;
    board_open(&board);
    OK(gmem_vm_begin(board.world.vm));
    OK(gmem_region_set_enabled(board.rom, false));
    OK(gmem_vm_set_global_log(board.world.vm, true));
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
    gmem_vm_abort(board.world.vm);
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT + PAGE, NONE, 1), GMEM_OK);
    assert_int_equal(taken(board.block, MIGRATION), 2);
    board_close(&board);
}

/* Nothing is marked, and blocks made later have no bitmap. */
static void check_off(struct board *board)
{
    gmem_ram *ram;

    assert_int_equal(gmem_st32_le(board->world.space, RAM_AT, NONE, 1), GMEM_OK);
    assert_int_equal(taken(board->block, MIGRATION), 0);
    OK(gmem_ram_create_anon(board->world.vm, "another", SIZE, &ram));
    OK(gmem_ram_dirty_mark(ram, 0, SIZE));
    assert_int_equal(taken(ram, MIGRATION), 0);
    gmem_ram_unref(ram);
}

static void a_refusal_leaves_it_as_it_was(void **state)
{
    struct board board;

    (void)state;
    board_open(&board);
    board.refuse = "start";
    REFUSED(ENXIO, gmem_vm_set_global_log(board.world.vm, true));
    check_heard(&board, "start ");
    /* Not even a bitmap is left. */
    OK(gmem_ram_dirty_mark(board.block, 0, SIZE));
    check_off(&board);
    board.refuse = "stop";
    OK(gmem_vm_set_global_log(board.world.vm, true));
    REFUSED(ENXIO, gmem_vm_set_global_log(board.world.vm, false));
    check_heard(&board, "start stop ");
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
    assert_int_equal(taken(board.block, MIGRATION), 1);
    REFUSED(EINVAL, gmem_vm_set_global_log(NULL, true));
    board_close(&board);
}

/* At each allocation: it stays off, nobody who heard of it goes on, no bitmap is left. */
static void no_memory_for_everything(void **state)
{
    unsigned long fail_at, failed = 0;
    struct board board;
    int err;

    (void)state;
    board_open(&board);
    for (fail_at = 1;; fail_at++) {
        wrap_start(fail_at);
        err = gmem_vm_set_global_log(board.world.vm, true);
        if (!wrap_stop())
            break;
        failed++;
        REFUSED(ENOMEM, err);
        check_heard(&board, "");
        OK(gmem_ram_dirty_mark(board.block, 0, SIZE));
        OK(gmem_ram_dirty_mark(board.rom_block, 0, SIZE));
        check_off(&board);
        assert_int_equal(taken(board.rom_block, MIGRATION), 0);
    }
    OK(err);
    assert_true(failed >= 3);
    check_heard(&board, "start ");
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT, NONE, 1), GMEM_OK);
    assert_int_equal(taken(board.block, MIGRATION), 1);
    board_close(&board);
}

/* A block whose bitmap there is no memory for is not made. */
static void no_memory_for_a_later_block(void **state)
{
    unsigned long fail_at, failed = 0;
    struct board board;
    gmem_ram *ram = NULL;
    int err;

    (void)state;
    board_open(&board);
    OK(gmem_vm_set_global_log(board.world.vm, true));
    for (fail_at = 1;; fail_at++) {
        wrap_start(fail_at);
        err = gmem_ram_create_anon(board.world.vm, "later", SIZE, &ram);
        if (!wrap_stop())
            break;
        failed++;
        REFUSED(ENOMEM, err);
        assert_null(ram);
        REFUSED(ENOENT, gmem_ram_find(board.world.vm, "later", &ram));
    }
    OK(err);
    assert_int_equal(failed, 3);
    OK(gmem_ram_dirty_mark(ram, 0, PAGE));
    assert_int_equal(taken(ram, MIGRATION), 1);
    gmem_ram_unref(ram);
    board_close(&board);
}

static gmem_ram *made_meanwhile;

static void *make_block(void *opaque)
{
    OK(gmem_ram_create_anon(opaque, "meanwhile", SIZE, &made_meanwhile));
    return NULL;
}

static void make_block_elsewhere(struct board *board)
{
    pthread_t thread;

    if (made_meanwhile)
        return;
    assert_int_equal(pthread_create(&thread, NULL, make_block, board->world.vm), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* By another thread, while listeners are asked: it is one of those that are logged, or of those that are not. */
static void a_block_made_meanwhile(void **state)
{
    gmem_region *region;
    struct board board;
    int refuse;

    (void)state;
    for (refuse = 0; refuse < 2; refuse++) {
        board_open(&board);
        made_meanwhile = NULL;
        board.inside = make_block_elsewhere;
        board.refuse = refuse ? "start" : NULL;
        assert_int_equal(gmem_vm_set_global_log(board.world.vm, true), refuse ? -ENXIO : 0);
        assert_non_null(made_meanwhile);
        OK(gmem_region_create_ram(board.world.vm, "meanwhile", made_meanwhile, NULL, &region));
        world_place(&board.world, region, 0x300000);
        assert_int_equal(gmem_st32_le(board.world.space, 0x300000, NONE, 1), GMEM_OK);
        assert_int_equal(taken(made_meanwhile, MIGRATION), refuse ? 0 : 1);
        gmem_region_unref(region);
        gmem_ram_unref(made_meanwhile);
        board_close(&board);
    }
}

/* --- a region with its listeners -------------------------------------------------------------------------------------- */

/* What a kernel does: log_sync brings what it knows, page 3 and 9, into the bitmap. */
static void bring_pages(struct board *board)
{
    static const uint64_t bits = 1u << 3 | 1u << 9;

    if (strstr(board->heard, "clear"))
        assert_int_equal(taken(board->block, MIGRATION), 1); /* the snapshot came before, without page 9 */
    else
        OK(gmem_ram_dirty_mark_bitmap(board->block, 0, &bits, 10));
}

static void a_region_is_synced_taken_and_cleared(void **state)
{
    gmem_dirty_snapshot *snapshot;
    struct board board;

    (void)state;
    board_open(&board);
    OK(gmem_region_set_log(board.ram, MIGRATION, true));
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT + 5 * PAGE, NONE, 1), GMEM_OK);
    board.inside = bring_pages;
    OK(gmem_region_dirty_snapshot(board.ram, MIGRATION, 2 * PAGE + 5, 8 * PAGE - 1, &snapshot));
    /* All of it, then what was asked for. */
    check_heard(&board, "sync:ram:0+10000 clear:ram:2005+5ffb ");
    assert_int_equal(gmem_dirty_snapshot_count(snapshot), 2);
    assert_true(gmem_dirty_snapshot_test(snapshot, 3 * PAGE, 1));
    assert_true(gmem_dirty_snapshot_test(snapshot, 5 * PAGE, 1));
    gmem_dirty_snapshot_free(snapshot);
    board_close(&board);
}

static void listeners_may_refuse_a_snapshot(void **state)
{
    gmem_dirty_snapshot *snapshot = NULL;
    struct board board;

    (void)state;
    board_open(&board);
    OK(gmem_region_set_log(board.ram, MIGRATION, true));
    assert_int_equal(gmem_st32_le(board.world.space, RAM_AT + 5 * PAGE, NONE, 1), GMEM_OK);
    board.refuse = "sync:ram:0+10000";
    REFUSED(ENXIO, gmem_region_dirty_snapshot(board.ram, MIGRATION, 0, SIZE - 1, &snapshot));
    check_heard(&board, "sync:ram:0+10000 ");
    board.refuse = "clear:ram:0+10000";
    REFUSED(ENXIO, gmem_region_dirty_snapshot(board.ram, MIGRATION, 0, SIZE - 1, &snapshot));
    check_heard(&board, "sync:ram:0+10000 clear:ram:0+10000 ");
    assert_null(snapshot);
    assert_int_equal(taken(board.block, MIGRATION), 1);
    board_close(&board);
}

static void try_snapshot(struct board *board)
{
    gmem_dirty_snapshot *snapshot;

    REFUSED(EBUSY, gmem_region_dirty_snapshot(board->ram, MIGRATION, 0, 0, &snapshot));
    REFUSED(EBUSY, gmem_vm_log_sync(board->world.vm));
    REFUSED(EBUSY, gmem_vm_settle(board->world.vm));
    REFUSED(EBUSY, gmem_vm_set_global_log(board->world.vm, true));
}

static void bad_snapshots(void **state)
{
    gmem_dirty_snapshot *snapshot = NULL;
    struct board board;

    (void)state;
    board_open(&board);
    OK(gmem_region_set_log(board.ram, MIGRATION, true));
    REFUSED(EINVAL, gmem_region_dirty_snapshot(NULL, MIGRATION, 0, 0, &snapshot));
    REFUSED(EINVAL, gmem_region_dirty_snapshot(board.ram, GMEM_LOG_CLIENTS, 0, 0, &snapshot));
    REFUSED(EINVAL, gmem_region_dirty_snapshot(board.ram, MIGRATION, 1, 0, &snapshot));
    REFUSED(EINVAL, gmem_region_dirty_snapshot(board.ram, MIGRATION, 0, 0, NULL));
    REFUSED(ERANGE, gmem_region_dirty_snapshot(board.ram, MIGRATION, 0, SIZE, &snapshot));
    REFUSED(EOPNOTSUPP, gmem_region_dirty_snapshot(board.world.root, MIGRATION, 0, 0, &snapshot));
    wrap_start(1);
    REFUSED(ENOMEM, gmem_region_dirty_snapshot(board.ram, MIGRATION, 0, SIZE - 1, &snapshot));
    assert_true(wrap_stop());
    check_heard(&board, "");
    assert_null(snapshot);
    board.inside = try_snapshot;
    OK(gmem_region_dirty_snapshot(board.ram, MIGRATION, 0, SIZE - 1, &snapshot));
    gmem_dirty_snapshot_free(snapshot);
    board_close(&board);
}

static void all_that_is_logged_is_synced(void **state)
{
    struct board board;

    (void)state;
    board_open(&board);
    OK(gmem_vm_log_sync(board.world.vm));
    check_heard(&board, "");
    OK(gmem_region_set_log(board.rom, GMEM_LOG_CODE, true));
    OK(gmem_vm_log_sync(board.world.vm));
    check_heard(&board, "sync:rom:0+10000 ");
    OK(gmem_vm_set_global_log(board.world.vm, true));
    check_heard(&board, "start ");
    board.refuse = "sync:ram:0+10000";
    /* All are asked. */
    REFUSED(ENXIO, gmem_vm_log_sync(board.world.vm));
    check_heard(&board, "sync:ram:0+10000 sync:rom:0+10000 ");
    board.refuse = NULL;
    /* What is not seen is not asked about. */
    OK(gmem_region_set_enabled(board.ram, false));
    OK(gmem_vm_log_sync(board.world.vm));
    check_heard(&board, "sync:rom:0+10000 ");
    REFUSED(EINVAL, gmem_vm_log_sync(NULL));
    board_close(&board);
}

/* --- settling --------------------------------------------------------------------------------------------------------- */

struct device {
    gmem_vm *vm;
    bool entered, leave, left, settled; /* atomic */
};

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;

    (void)offset, (void)size, (void)attrs, (void)ret_value;
    assert_int_equal(gmem_vm_settle(device->vm), -EBUSY);
    __atomic_store_n(&device->entered, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&device->leave, __ATOMIC_ACQUIRE))
        sched_yield();
    __atomic_store_n(&device->left, true, __ATOMIC_RELEASE);
    return GMEM_OK;
}

static void *read_device(void *opaque)
{
    uint8_t value;

    (void)gmem_ld8(opaque, 0x400000, NONE, &value);
    return NULL;
}

static void *settle(void *opaque)
{
    struct device *device = opaque;

    OK(gmem_vm_settle(device->vm));
    assert_true(__atomic_load_n(&device->left, __ATOMIC_ACQUIRE));
    __atomic_store_n(&device->settled, true, __ATOMIC_RELEASE);
    return NULL;
}

static void settling_waits_for_accesses(void **state)
{
    struct gmem_mmio_ops ops = silent_ops();
    struct device device = {0};
    pthread_t reader, settler;
    gmem_region *region;
    struct board board;
    int i;

    (void)state;
    board_open(&board);
    device.vm = board.world.vm;
    ops.read = device_read;
    region = world_mmio(&board.world, 0x400000, 0x1000, &ops, &device);
    OK(gmem_vm_settle(device.vm));
    assert_int_equal(pthread_create(&reader, NULL, read_device, board.world.space), 0);
    while (!__atomic_load_n(&device.entered, __ATOMIC_ACQUIRE))
        sched_yield();
    assert_int_equal(pthread_create(&settler, NULL, settle, &device), 0);
    for (i = 0; i < 1000; i++) {
        sched_yield();
        assert_false(__atomic_load_n(&device.settled, __ATOMIC_ACQUIRE));
    }
    __atomic_store_n(&device.leave, true, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(settler, NULL), 0);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_true(device.settled);
    gmem_region_unref(region);
    board_close(&board);
}

static void where_settling_would_wait_for_itself(void **state)
{
    struct board board;

    (void)state;
    board_open(&board);
    REFUSED(EINVAL, gmem_vm_settle(NULL));
    OK(gmem_vm_begin(board.world.vm));
    REFUSED(EBUSY, gmem_vm_settle(board.world.vm));
    gmem_vm_abort(board.world.vm);
    board.inside = try_snapshot;
    OK(gmem_region_log_sync(board.ram));
    check_heard(&board, "sync:ram:0+10000 ");
    board.inside = NULL;
    OK(gmem_vm_settle(board.world.vm));
    board_close(&board);
}

/* --- clients ---------------------------------------------------------------------------------------------------------- */

static void check_name(gmem_vm *vm, unsigned client, const char *wanted)
{
    char name[GMEM_NAME_MAX + 1];

    OK(gmem_vm_log_client_name(vm, client, name, sizeof(name)));
    assert_string_equal(name, wanted);
}

static void clients_are_got_and_put(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    char buf[3], long_name[GMEM_NAME_MAX + 2];
    unsigned clients[5], client = 99, i, j;
    struct board board;
    gmem_vm *vm;

    (void)state;
    board_open(&board);
    vm = board.world.vm;
    for (i = 0; i < 5; i++) {
        OK(gmem_vm_log_client_get(vm, names[i], &clients[i]));
        assert_true(clients[i] >= GMEM_LOG_USER && clients[i] < GMEM_LOG_CLIENTS);
        for (j = 0; j < i; j++)
            assert_int_not_equal(clients[i], clients[j]);
    }
    REFUSED(ENOSPC, gmem_vm_log_client_get(vm, "f", &client));
    check_reason(vm, ENOSPC, "\"f\"");
    gmem_vm_log_client_put(vm, clients[2]);
    REFUSED(ENOENT, gmem_vm_log_client_name(vm, clients[2], buf, sizeof(buf)));
    REFUSED(EEXIST, gmem_vm_log_client_get(vm, "b", &client));
    REFUSED(EEXIST, gmem_vm_log_client_get(vm, "migration", &client));
    REFUSED(EINVAL, gmem_vm_log_client_get(NULL, "f", &client));
    REFUSED(EINVAL, gmem_vm_log_client_get(vm, NULL, &client));
    REFUSED(EINVAL, gmem_vm_log_client_get(vm, "", &client));
    REFUSED(EINVAL, gmem_vm_log_client_get(vm, "f", NULL));
    memset(long_name, 'x', sizeof(long_name));
    long_name[GMEM_NAME_MAX + 1] = '\0';
    REFUSED(EINVAL, gmem_vm_log_client_get(vm, long_name, &client));
    wrap_start(1);
    REFUSED(ENOMEM, gmem_vm_log_client_get(vm, "f", &client));
    assert_true(wrap_stop());
    assert_int_equal(client, 99);
    long_name[GMEM_NAME_MAX] = '\0';
    OK(gmem_vm_log_client_get(vm, long_name, &client));
    assert_int_equal(client, clients[2]);
    check_name(vm, client, long_name);
    check_name(vm, clients[0], "a");
    check_name(vm, GMEM_LOG_DISPLAY, "display");
    check_name(vm, GMEM_LOG_MIGRATION, "migration");
    check_name(vm, GMEM_LOG_CODE, "code");
    OK(gmem_vm_log_client_name(vm, GMEM_LOG_CODE, buf, sizeof(buf)));
    assert_string_equal(buf, "co");
    REFUSED(EINVAL, gmem_vm_log_client_name(NULL, 0, buf, sizeof(buf)));
    REFUSED(EINVAL, gmem_vm_log_client_name(vm, GMEM_LOG_CLIENTS, buf, sizeof(buf)));
    REFUSED(EINVAL, gmem_vm_log_client_name(vm, 0, NULL, 1));
    REFUSED(EINVAL, gmem_vm_log_client_name(vm, 0, buf, 0));
    /* These are nobody's to give back. */
    gmem_vm_log_client_put(NULL, client);
    gmem_vm_log_client_put(vm, GMEM_LOG_DISPLAY);
    gmem_vm_log_client_put(vm, GMEM_LOG_CLIENTS);
    check_name(vm, GMEM_LOG_DISPLAY, "display");
    gmem_vm_log_client_put(vm, client);
    gmem_vm_log_client_put(vm, client);
    board_close(&board);
}

/* Of what was written for whoever had the number before, nothing is dirty. */
static void a_client_begins_clean(void **state)
{
    unsigned first, second;
    struct board board;

    (void)state;
    board_open(&board);
    OK(gmem_vm_log_client_get(board.world.vm, "first", &first));
    OK(gmem_region_set_log(board.ram, first, true));
    OK(gmem_region_set_log(board.rom, first, true));
    assert_int_equal(gmem_space_fill(board.world.space, RAM_AT, NONE, 1, SIZE), GMEM_OK);
    assert_int_equal(gmem_space_write_rom(board.world.space, ROM_AT, "text", 4), GMEM_OK);
    OK(gmem_region_set_log(board.ram, first, false));
    OK(gmem_region_set_log(board.rom, first, false));
    gmem_vm_log_client_put(board.world.vm, first);
    OK(gmem_vm_log_client_get(board.world.vm, "second", &second));
    assert_int_equal(first, second);
    assert_int_equal(taken(board.block, second), 0);
    assert_int_equal(taken(board.rom_block, second), 0);
    board_close(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_marked),
        cmocka_unit_test(wishes_stay),
        cmocka_unit_test(it_is_no_edit),
        cmocka_unit_test(a_refusal_leaves_it_as_it_was),
        cmocka_unit_test(no_memory_for_everything),
        cmocka_unit_test(no_memory_for_a_later_block),
        cmocka_unit_test(a_block_made_meanwhile),
        cmocka_unit_test(a_region_is_synced_taken_and_cleared),
        cmocka_unit_test(listeners_may_refuse_a_snapshot),
        cmocka_unit_test(bad_snapshots),
        cmocka_unit_test(all_that_is_logged_is_synced),
        cmocka_unit_test(settling_waits_for_accesses),
        cmocka_unit_test(where_settling_would_wait_for_itself),
        cmocka_unit_test(clients_are_got_and_put),
        cmocka_unit_test(a_client_begins_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
