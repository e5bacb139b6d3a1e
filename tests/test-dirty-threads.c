/* SPDX-License-Identifier: MIT */
/*
 * test-dirty-threads.c - no write is lost between writers, by every way that writes RAM, and a syncer who clears and copies; each
 * with membarrier(2) and with full fences, where writers pay for them.
 *
 * Short rounds, since only the last write of a page in a round can be lost for good: the writer finds the bit of the
 * write before, while the syncer clears it and copies. At the end of each round the copies must be what the memory is.
 */
#include "support.h"
#include "access_world.h"
#include "random.h"
#include "vm.h"
#include <pthread.h>
#include <sched.h>

#define NONE GMEM_ATTRS_NONE
#define PAGE GMEM_DIRTY_PAGE_SIZE
#define AT 0x100000u
#define WRITERS 2u
#define WRITES 8u
#define SLOTS 2u                               /* pages of each writer */
#define STRIDE 3u                              /* from page to page, so that writers share words of the bitmap */
#define PAGES (WRITERS * SLOTS * STRIDE + 70u) /* more than one word */

struct race;

struct writer {
    struct race *race;
    pthread_t thread;
    unsigned number;
    struct gmem_cache cache;
};

typedef void write_fn(struct writer *writer, uint64_t offset, uint64_t value);

struct race {
    struct world world;
    gmem_region *region;
    gmem_ram *ram;
    uint8_t *host;
    write_fn *write;
    unsigned rounds;
    unsigned begun, ended; /* atomic: rounds, and writers' rounds */
    bool stop;             /* atomic */
    unsigned page;         /* atomic: that is written just now */
    struct writer writers[WRITERS];
};

static gmem_space *space_of(const struct writer *writer)
{
    return writer->race->world.space;
}

/* --- the ways: each makes the 8 bytes at offset value, or all of that page -------------------------------------------- */

static void by_write(struct writer *writer, uint64_t offset, uint64_t value)
{
    (void)gmem_space_write(space_of(writer), AT + offset, NONE, &value, sizeof(value));
}

static void by_long_write(struct writer *writer, uint64_t offset, uint64_t value)
{
    uint64_t words[PAGE / 8] __attribute__((aligned(8)));
    size_t i;

    for (i = 0; i < PAGE / 8; i++)
        words[i] = value;
    (void)gmem_space_write(space_of(writer), AT + offset, NONE, words, sizeof(words));
}

static void by_fill(struct writer *writer, uint64_t offset, uint64_t value)
{
    (void)gmem_space_fill(space_of(writer), AT + offset, NONE, (uint8_t)value, 16);
}

static void by_write_rom(struct writer *writer, uint64_t offset, uint64_t value)
{
    (void)gmem_space_write_rom(space_of(writer), AT + offset, &value, sizeof(value));
}

static void by_st8(struct writer *writer, uint64_t offset, uint64_t value)
{
    (void)gmem_st8(space_of(writer), AT + offset, NONE, (uint8_t)value);
}

static void by_st32(struct writer *writer, uint64_t offset, uint64_t value)
{
    (void)gmem_st32_be(space_of(writer), AT + offset, NONE, (uint32_t)value);
}

static void by_st64(struct writer *writer, uint64_t offset, uint64_t value)
{
    (void)gmem_st64_le(space_of(writer), AT + offset, NONE, value);
}

static void by_cache_st32(struct writer *writer, uint64_t offset, uint64_t value)
{
    (void)gmem_cache_st32_le(&writer->cache, offset, (uint32_t)value);
}

static void by_cache_st64(struct writer *writer, uint64_t offset, uint64_t value)
{
    (void)gmem_cache_st64_le(&writer->cache, offset, value);
}

static void by_cache_write(struct writer *writer, uint64_t offset, uint64_t value)
{
    (void)gmem_cache_write(&writer->cache, offset, &value, sizeof(value));
}

/* As a device writes: the bytes of another thread are not to tear, nor to be a race. */
static void put(void *host, uint64_t value)
{
    __atomic_store_n((uint64_t *)host, value, __ATOMIC_RELAXED);
}

static void by_map(struct writer *writer, uint64_t offset, uint64_t value)
{
    struct gmem_map map;

    if (gmem_map(space_of(writer), AT + offset, NONE, 8, true, &map))
        return;
    put(map.host, value);
    (void)gmem_unmap(&map, 8);
}

static void by_segments(struct writer *writer, uint64_t offset, uint64_t value)
{
    struct gmem_segment segment;
    uint64_t covered;
    size_t count;

    if (gmem_segments(space_of(writer), AT + offset, NONE, 8, true, &segment, 1, &count, &covered))
        return;
    put(segment.host, value);
    gmem_segments_release(&segment, 1, 8);
}

static void by_segment_write(struct writer *writer, uint64_t offset, uint64_t value)
{
    struct gmem_segment segment;
    uint64_t covered;
    size_t count;

    if (gmem_segments(space_of(writer), AT + offset, NONE, 8, true, &segment, 1, &count, &covered))
        return;
    (void)gmem_segment_write(&segment, 0, &value, 8);
    gmem_segments_release(&segment, 1, 0);
}

static void by_hand(struct writer *writer, uint64_t offset, uint64_t value)
{
    put(writer->race->host + offset, value);
    (void)!gmem_ram_dirty_mark(writer->race->ram, offset, 8);
}

static void by_bitmap(struct writer *writer, uint64_t offset, uint64_t value)
{
    static const uint64_t bit = 1;

    put(writer->race->host + offset, value);
    (void)!gmem_ram_dirty_mark_bitmap(writer->race->ram, offset / PAGE * PAGE, &bit, 1);
}

static const struct way {
    const char *name;
    write_fn *write;
} ways[] = {
    {"write", by_write},
    {"long write", by_long_write},
    {"fill", by_fill},
    {"write_rom", by_write_rom},
    {"st8", by_st8},
    {"st32", by_st32},
    {"st64", by_st64},
    {"cache st32", by_cache_st32},
    {"cache st64", by_cache_st64},
    {"cache write", by_cache_write},
    {"map", by_map},
    {"segments", by_segments},
    {"segment write", by_segment_write},
    {"mark", by_hand},
    {"mark_bitmap", by_bitmap},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* --- the race -------------------------------------------------------------------------------------------------------- */

static void race_open(struct race *race, const struct way *way, uint64_t pages, bool full_fence)
{
    unsigned i;

    memset(race, 0, sizeof(*race));
    race->write = way->write;
    world_open(&race->world);
    if (full_fence)
        race->world.vm->full_fence = true;
    race->region = world_memory(&race->world, GMEM_KIND_RAM, "ram", pages * PAGE, NULL, NULL, &race->host);
    race->ram = gmem_region_ram(race->region);
    world_place(&race->world, race->region, AT);
    for (i = 0; i < WRITERS; i++) {
        race->writers[i].race = race;
        race->writers[i].number = i;
        OK(gmem_cache_init(&race->writers[i].cache, race->world.space, AT, pages * PAGE, NONE));
    }
}

static void race_close(struct race *race)
{
    unsigned i;

    for (i = 0; i < WRITERS; i++)
        gmem_cache_end(&race->writers[i].cache);
    gmem_region_unref(race->region);
    world_close(&race->world);
}

static void await(const unsigned *count, unsigned wanted)
{
    while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < wanted)
        sched_yield();
}

/* Slot of a writer: where its words are. Whole pages are written, so that they begin one. */
static uint64_t slot_offset(unsigned writer, unsigned slot)
{
    return (uint64_t)(slot * WRITERS + writer) * STRIDE * PAGE;
}

static uint64_t word_at(const struct race *race, uint64_t offset)
{
    return __atomic_load_n((const uint64_t *)(const void *)(race->host + offset), __ATOMIC_RELAXED);
}

/* Copy what a snapshot has of the words. */
static void copy_dirty(struct race *race, uint64_t copies[WRITERS][SLOTS])
{
    gmem_dirty_snapshot *snapshot;
    unsigned i, slot;

    OK(gmem_ram_dirty_snapshot(race->ram, GMEM_LOG_MIGRATION, 0, PAGES * PAGE, &snapshot));
    for (i = 0; i < WRITERS; i++) {
        for (slot = 0; slot < SLOTS; slot++) {
            if (gmem_dirty_snapshot_test(snapshot, slot_offset(i, slot), 1))
                copies[i][slot] = word_at(race, slot_offset(i, slot));
        }
    }
    gmem_dirty_snapshot_free(snapshot);
}

/* The same, page by page. */
static void copy_pages(struct race *race, uint64_t copies[WRITERS][SLOTS])
{
    unsigned i, slot;
    bool dirty;

    for (i = 0; i < WRITERS; i++) {
        for (slot = 0; slot < SLOTS; slot++) {
            OK(gmem_ram_dirty_test_and_clear(race->ram, GMEM_LOG_MIGRATION, slot_offset(i, slot), PAGE, &dirty));
            if (dirty)
                copies[i][slot] = word_at(race, slot_offset(i, slot));
        }
    }
}

static void check_copies(const struct race *race, const char *way, uint64_t copies[WRITERS][SLOTS])
{
    unsigned i, slot;

    for (i = 0; i < WRITERS; i++) {
        for (slot = 0; slot < SLOTS; slot++) {
            if (copies[i][slot] != word_at(race, slot_offset(i, slot)))
                fail_msg("%s: a write was lost: %llx, copied %llx", way,
                         (unsigned long long)word_at(race, slot_offset(i, slot)), (unsigned long long)copies[i][slot]);
        }
    }
}

static unsigned times(unsigned n)
{
    return test_is_long() ? 20 * n : n;
}

/* --- at the heels of a writer ---------------------------------------------------------------------------------------- */

/*
 * One writer goes through many pages, and writes each some times; the syncer clears and at once copies the page that is written just
 * now. So each page is a race of its own for the last write to it.
 */
#define CHASED 1024u
#define WRITES_EACH 32u

static void *write_pages(void *opaque)
{
    struct writer *writer = opaque;
    struct race *race = writer->race;
    unsigned round, page, i;

    for (round = 0; round < race->rounds; round++) {
        for (page = 0; page < CHASED; page++) {
            __atomic_store_n(&race->page, page, __ATOMIC_RELAXED);
            for (i = 1; i <= WRITES_EACH; i++)
                race->write(writer, (uint64_t)page * PAGE, round * WRITES_EACH + i);
        }
    }
    __atomic_store_n(&race->stop, true, __ATOMIC_RELEASE);
    return NULL;
}

static void copy_page(struct race *race, uint64_t page, uint64_t *copies)
{
    bool dirty;

    OK(gmem_ram_dirty_test_and_clear(race->ram, GMEM_LOG_MIGRATION, page * PAGE, PAGE, &dirty));
    if (dirty)
        copies[page] = word_at(race, page * PAGE);
}

static void chase(const struct way *way, bool full_fence, unsigned rounds)
{
    uint64_t copies[CHASED] = {0}, page;
    struct race race;

    race_open(&race, way, CHASED, full_fence);
    race.rounds = rounds;
    OK(gmem_region_set_log(race.region, GMEM_LOG_MIGRATION, true));
    assert_int_equal(pthread_create(&race.writers[0].thread, NULL, write_pages, &race.writers[0]), 0);
    while (!__atomic_load_n(&race.stop, __ATOMIC_ACQUIRE))
        copy_page(&race, __atomic_load_n(&race.page, __ATOMIC_RELAXED), copies);
    assert_int_equal(pthread_join(race.writers[0].thread, NULL), 0);
    for (page = 0; page < CHASED; page++) {
        copy_page(&race, page, copies);
        if (copies[page] != word_at(&race, page * PAGE))
            fail_msg("%s: a write was lost: %llx, copied %llx", way->name,
                     (unsigned long long)word_at(&race, page * PAGE), (unsigned long long)copies[page]);
    }
    race_close(&race);
}

static void a_syncer_at_the_heels(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < 2 * WAYS; i++)
        chase(&ways[i % WAYS], i >= WAYS, times(3));
}

/* --- between a clear and a copy -------------------------------------------------------------------------------------- */

static void *write_rounds(void *opaque)
{
    struct writer *writer = opaque;
    struct race *race = writer->race;
    unsigned round, i;

    for (round = 1; round <= race->rounds; round++) {
        await(&race->begun, round);
        for (i = 0; i < WRITES; i++)
            race->write(writer, slot_offset(writer->number, i % SLOTS), round * WRITES + i);
        __atomic_fetch_add(&race->ended, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void sync_rounds(const struct way *way, bool full_fence, unsigned rounds)
{
    uint64_t copies[WRITERS][SLOTS] = {{0}};
    struct race race;
    unsigned round, i;
    uint64_t pages;
    bool ended;

    race_open(&race, way, PAGES, full_fence);
    race.rounds = rounds;
    OK(gmem_region_set_log(race.region, GMEM_LOG_MIGRATION, true));
    for (i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&race.writers[i].thread, NULL, write_rounds, &race.writers[i]), 0);
    for (round = 1; round <= rounds; round++) {
        __atomic_store_n(&race.begun, round, __ATOMIC_RELEASE);
        do {
            ended = __atomic_load_n(&race.ended, __ATOMIC_ACQUIRE) == round * WRITERS;
            (round % 2 ? copy_dirty : copy_pages)(&race, copies);
        } while (!ended);
        check_copies(&race, way->name, copies);
    }
    for (i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(race.writers[i].thread, NULL), 0);
    OK(gmem_ram_dirty_count(race.ram, GMEM_LOG_MIGRATION, &pages));
    assert_int_equal(pages, 0);
    race_close(&race);
}

static void no_write_is_lost(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < WAYS; i++)
        sync_rounds(&ways[i], false, test_is_long() ? 5000 : 50);
}

static void nor_with_full_fences(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < WAYS; i++)
        sync_rounds(&ways[i], true, test_is_long() ? 5000 : 20);
}

/* --- beginning to log while others write ----------------------------------------------------------------------------- */

static void *write_until_stopped(void *opaque)
{
    struct writer *writer = opaque;
    struct race *race = writer->race;
    uint64_t value = 0;

    while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
        value++;
        race->write(writer, slot_offset(writer->number, value % SLOTS), value);
        if (value == 1)
            __atomic_fetch_add(&race->begun, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* How logging begins and ends. */
typedef int switch_fn(struct race *race, bool on);

static int switch_region(struct race *race, bool on)
{
    return gmem_region_set_log(race->region, GMEM_LOG_MIGRATION, on);
}

static int switch_all(struct race *race, bool on)
{
    return gmem_vm_set_global_log(race->world.vm, on);
}

/* Begin to log, settle, and copy all: from then on each write is marked. */
static void begin_and_copy(struct race *race, switch_fn *log, uint64_t copies[WRITERS][SLOTS])
{
    gmem_dirty_snapshot *snapshot;
    unsigned i, slot;

    OK(log(race, true));
    OK(gmem_vm_settle(race->world.vm));
    OK(gmem_ram_dirty_snapshot(race->ram, GMEM_LOG_MIGRATION, 0, PAGES * PAGE, &snapshot));
    gmem_dirty_snapshot_free(snapshot);
    for (i = 0; i < WRITERS; i++) {
        for (slot = 0; slot < SLOTS; slot++)
            copies[i][slot] = word_at(race, slot_offset(i, slot));
    }
}

static void settle_rounds(const struct way *way, switch_fn *log, bool full_fence, unsigned rounds)
{
    uint64_t copies[WRITERS][SLOTS];
    unsigned round, i;
    struct race race;

    race_open(&race, way, PAGES, full_fence);
    for (round = 0; round < rounds; round++) {
        race.stop = false;
        race.begun = 0;
        for (i = 0; i < WRITERS; i++)
            assert_int_equal(pthread_create(&race.writers[i].thread, NULL, write_until_stopped, &race.writers[i]), 0);
        await(&race.begun, WRITERS);
        begin_and_copy(&race, log, copies);
        copy_dirty(&race, copies);
        __atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
        for (i = 0; i < WRITERS; i++)
            assert_int_equal(pthread_join(race.writers[i].thread, NULL), 0);
        copy_dirty(&race, copies);
        check_copies(&race, way->name, copies);
        OK(log(&race, false));
    }
    race_close(&race);
}

static void after_settling_each_write_is_marked(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < WAYS; i++)
        settle_rounds(&ways[i], switch_region, false, times(5));
}

static void also_where_everything_is_logged(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < WAYS; i++)
        settle_rounds(&ways[i], switch_all, false, times(5));
}

static void settling_with_full_fences(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < WAYS; i++)
        settle_rounds(&ways[i], i % 2 ? switch_all : switch_region, true, times(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syncer_at_the_heels),
        cmocka_unit_test(no_write_is_lost),
        cmocka_unit_test(nor_with_full_fences),
        cmocka_unit_test(after_settling_each_write_is_marked),
        cmocka_unit_test(also_where_everything_is_logged),
        cmocka_unit_test(settling_with_full_fences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
