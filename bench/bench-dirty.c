/* SPDX-License-Identifier: MIT */
/*
 * bench-dirty.c - what dirty logging costs: a write of logged RAM beside one of RAM that nobody logs, and taking what is dirty of a
 * block beside copying its bitmap.
 *
 * Both sides of a write are two vms with the same map, one of which is logged. Blocks whose bitmaps are taken are never touched, so
 * that any size does. N is their size in MiB.
 */
#include "world.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAGE GMEM_DIRTY_PAGE_SIZE
#define BLOCKS 4u /* sizes of them */

struct block {
    gmem_vm *vm;
    gmem_ram *ram;
    uint64_t size, words;
    uint64_t *some, *all, *copy; /* bitmaps: 1 % dirty, all dirty, scratch */
    pthread_t writer;
    gmem_space *space; /* the writer's */
    bool stop;         /* atomic */
};

struct dirty {
    struct world *logged, *plain;
    gmem_ram *ram; /* of logged */
    struct gmem_cache logged_cache, plain_cache;
    uint8_t buf[PAGE] __attribute__((aligned(64)));
    struct block blocks[BLOCKS];
    struct block *block; /* of the row */
};

/* --- writes: to random places of 32 KiB, all dirty already ----------------------------------------------------------- */

static double st32(gmem_space *space, uint64_t count)
{
    gmem_result result = GMEM_OK;
    uint32_t random = WORLD_SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        (void)bench_random(&random);
        result |= gmem_st32_le(space, random & (WORLD_WORKING_SET - 4), GMEM_ATTRS_NONE, random);
    }
    return result ? -1 : bench_now() - start;
}

static double write_page(gmem_space *space, const uint8_t *buf, uint64_t count)
{
    gmem_result result = GMEM_OK;
    uint32_t random = WORLD_SEED;
    double start = bench_now();

    for (; count > 0; count--)
        result |=
            gmem_space_write(space, bench_random(&random) & (WORLD_WORKING_SET - PAGE), GMEM_ATTRS_NONE, buf, PAGE);
    return result ? -1 : bench_now() - start;
}

static double cache_st32(struct gmem_cache *cache, uint64_t count)
{
    gmem_result result = GMEM_OK;
    uint32_t random = WORLD_SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        (void)bench_random(&random);
        result |= gmem_cache_st32_le(cache, random & (WORLD_WORKING_SET - 4), random);
    }
    return result ? -1 : bench_now() - start;
}

#define DEFINE_SIDES(name, call_logged, call_plain)                                                                    \
    static double name##_logged(void *opaque, uint64_t count)                                                          \
    {                                                                                                                  \
        struct dirty *dirty = opaque;                                                                                  \
                                                                                                                       \
        return call_logged;                                                                                            \
    }                                                                                                                  \
                                                                                                                       \
    static double name##_plain(void *opaque, uint64_t count)                                                           \
    {                                                                                                                  \
        struct dirty *dirty = opaque;                                                                                  \
                                                                                                                       \
        return call_plain;                                                                                             \
    }

DEFINE_SIDES(st32, st32(dirty->logged->space, count), st32(dirty->plain->space, count))
DEFINE_SIDES(write_page, write_page(dirty->logged->space, dirty->buf, count),
             write_page(dirty->plain->space, dirty->buf, count))
DEFINE_SIDES(cache_st32, cache_st32(&dirty->logged_cache, count), cache_st32(&dirty->plain_cache, count))

/* --- writes of clean pages: each of 1 MiB in turn, which is made clean, untimed, after the last ------------------------ */

static bool make_clean(gmem_ram *ram)
{
    bool was;

    return gmem_ram_dirty_test_and_clear(ram, GMEM_LOG_MIGRATION, 0, WORLD_RAM_SIZE, &was) == 0;
}

static double each_page(struct dirty *dirty, gmem_space *space, uint64_t count, uint64_t size)
{
    gmem_result result = GMEM_OK;
    double start, took = 0;
    uint64_t page;

    while (count > 0) {
        if (!make_clean(dirty->ram))
            return -1;
        start = bench_now();
        for (page = 0; count > 0 && page < WORLD_RAM_SIZE / PAGE; page++, count--) {
            if (size == 4)
                result |= gmem_st32_le(space, page * PAGE, GMEM_ATTRS_NONE, (uint32_t)page);
            else
                result |= gmem_space_write(space, page * PAGE, GMEM_ATTRS_NONE, dirty->buf, size);
        }
        took += bench_now() - start;
    }
    return result ? -1 : took;
}

DEFINE_SIDES(st32_clean, each_page(dirty, dirty->logged->space, count, 4),
             each_page(dirty, dirty->plain->space, count, 4))
DEFINE_SIDES(write_page_clean, each_page(dirty, dirty->logged->space, count, PAGE),
             each_page(dirty, dirty->plain->space, count, PAGE))

/* --- bitmaps --------------------------------------------------------------------------------------------------------- */

static double snapshots(struct block *block, const uint64_t *bits, uint64_t count)
{
    gmem_dirty_snapshot *snapshot;
    double start, took = 0;

    for (; count > 0; count--) {
        if (bits && gmem_ram_dirty_mark_bitmap(block->ram, 0, bits, block->size / PAGE))
            return -1;
        start = bench_now();
        if (gmem_ram_dirty_snapshot(block->ram, GMEM_LOG_MIGRATION, 0, block->size, &snapshot))
            return -1;
        took += bench_now() - start;
        bench_keep(gmem_dirty_snapshot_count(snapshot));
        gmem_dirty_snapshot_free(snapshot);
    }
    return took;
}

static double snapshot_some(void *opaque, uint64_t count)
{
    struct block *block = ((struct dirty *)opaque)->block;

    return snapshots(block, block->some, count);
}

static double snapshot_all(void *opaque, uint64_t count)
{
    struct block *block = ((struct dirty *)opaque)->block;

    return snapshots(block, block->all, count);
}

static double snapshot_none(void *opaque, uint64_t count)
{
    return snapshots(((struct dirty *)opaque)->block, NULL, count);
}

static double copy_bitmap(void *opaque, uint64_t count)
{
    const struct block *block = ((struct dirty *)opaque)->block;
    double start, took = 0;
    uint64_t *copy;

    for (; count > 0; count--) {
        start = bench_now();
        copy = malloc(block->words * sizeof(*copy));
        if (!copy)
            return -1;
        memcpy(copy, block->some, block->words * sizeof(*copy));
        bench_keep((uintptr_t)copy);
        took += bench_now() - start;
        free(copy);
    }
    return took;
}

static void *write_on(void *opaque)
{
    struct block *block = opaque;
    uint32_t random = WORLD_SEED;

    while (!__atomic_load_n(&block->stop, __ATOMIC_RELAXED))
        bench_keep(
            gmem_st32_le(block->space, bench_random(&random) & (WORLD_WORKING_SET - 4), GMEM_ATTRS_NONE, random));
    return NULL;
}

/* Beside a thread that writes at full speed, so that a processor has to be made to pass a barrier. */
static double snapshot_beside(void *opaque, uint64_t count)
{
    struct block *block = ((struct dirty *)opaque)->block;
    double took;

    block->stop = false;
    if (pthread_create(&block->writer, NULL, write_on, block))
        return -1;
    took = snapshots(block, block->some, count);
    __atomic_store_n(&block->stop, true, __ATOMIC_RELAXED);
    (void)pthread_join(block->writer, NULL);
    return took;
}

static double mark(void *opaque, uint64_t count)
{
    const struct block *block = ((struct dirty *)opaque)->block;
    double start = bench_now();

    for (; count > 0; count--) {
        if (gmem_ram_dirty_mark_bitmap(block->ram, 0, block->some, block->size / PAGE))
            return -1;
    }
    return bench_now() - start;
}

static double or_bitmap(void *opaque, uint64_t count)
{
    const struct block *block = ((struct dirty *)opaque)->block;
    double start = bench_now();
    uint64_t i;

    for (; count > 0; count--) {
        for (i = 0; i < block->words; i++)
            block->copy[i] |= block->some[i];
        bench_keep((uintptr_t)block->copy);
    }
    return bench_now() - start;
}

static double runs(void *opaque, uint64_t count)
{
    const struct block *block = ((struct dirty *)opaque)->block;
    uint64_t at, size, sum = 0;
    double start;

    if (gmem_ram_dirty_mark_bitmap(block->ram, 0, block->some, block->size / PAGE))
        return -1;
    start = bench_now();
    for (; count > 0; count--) {
        for (at = 0; !gmem_ram_dirty_next(block->ram, GMEM_LOG_MIGRATION, at, &at, &size); at += size)
            sum += size;
        bench_keep(sum);
    }
    return bench_now() - start;
}

/* --- rows ------------------------------------------------------------------------------------------------------------ */

static const struct bench_entry rows[] = {
    {{"mark/st32", 0, NULL, "unlogged", BENCH_ABOVE, 3, NULL}, st32_logged, st32_plain},
    {{"mark/write 4096", 0, NULL, "unlogged", BENCH_ABOVE, 3, NULL}, write_page_logged, write_page_plain},
    {{"mark/cache st32", 0, NULL, "unlogged", BENCH_NO_TARGET, 0, NULL}, cache_st32_logged, cache_st32_plain},
    {{"mark/st32, clean page", 0, NULL, "unlogged", BENCH_NO_TARGET, 0, NULL}, st32_clean_logged, st32_clean_plain},
    {{"mark/write 4096, clean page", 0, NULL, "unlogged", BENCH_NO_TARGET, 0, NULL},
     write_page_clean_logged,
     write_page_clean_plain},
    {{"snapshot/1 %", 64, NULL, "copied bitmap", BENCH_NO_TARGET, 0, NULL}, snapshot_some, copy_bitmap},
    {{"snapshot/1 %", 1024, NULL, "copied bitmap", BENCH_VALUE, 200000, NULL}, snapshot_some, copy_bitmap},
    {{"snapshot/1 %", 8192, NULL, "copied bitmap", BENCH_NO_TARGET, 0, NULL}, snapshot_some, copy_bitmap},
    {{"snapshot/1 %, beside a writer", 1024, NULL, "copied bitmap", BENCH_VALUE, 200000, NULL},
     snapshot_beside,
     copy_bitmap},
    {{"snapshot/none", 1024, NULL, "copied bitmap", BENCH_NO_TARGET, 0, NULL}, snapshot_none, copy_bitmap},
    {{"snapshot/all", 1024, NULL, "copied bitmap", BENCH_NO_TARGET, 0, NULL}, snapshot_all, copy_bitmap},
    {{"bitmap/mark 1 %", 64, NULL, "or by hand", BENCH_NO_TARGET, 0, NULL}, mark, or_bitmap},
    {{"bitmap/mark 1 %", 1024, NULL, "or by hand", BENCH_NO_TARGET, 0, NULL}, mark, or_bitmap},
    {{"bitmap/runs of 1 %", 1024, NULL, "or by hand", BENCH_NO_TARGET, 0, NULL}, runs, or_bitmap},
};

/* --- the maps -------------------------------------------------------------------------------------------------------- */

/* A vm of one block, placed at 0 and logged. */
static int block_build(struct block *block)
{
    struct gmem_ram_options options = {
        .struct_size = sizeof(options), .id = "ram", .size = block->size, .flags = GMEM_RAM_NORESERVE};
    gmem_region *region = NULL, *root = NULL;
    int err = gmem_vm_create(NULL, &block->vm);

    if (!err)
        err = gmem_region_create_container(block->vm, "system", GMEM_SIZE_ALL, NULL, &root);
    if (!err)
        err = gmem_ram_create(block->vm, &options, &block->ram);
    if (!err)
        err = gmem_region_create_ram(block->vm, "ram", block->ram, NULL, &region);
    if (!err)
        err = gmem_region_add(root, 0, region);
    if (!err)
        err = gmem_region_set_log(region, GMEM_LOG_MIGRATION, true);
    return err ? err : gmem_space_create(block->vm, "memory", root, NULL, &block->space);
}

static int block_create(struct block *block, uint64_t mib)
{
    uint32_t random = WORLD_SEED;
    uint64_t i, page;
    int err;

    block->size = mib << 20;
    err = block_build(block);
    block->words = block->size / PAGE / 64;
    block->some = calloc(block->words, sizeof(*block->some));
    block->all = malloc(block->words * sizeof(*block->all));
    block->copy = calloc(block->words, sizeof(*block->copy));
    if (err || !block->some || !block->all || !block->copy)
        return -1;
    memset(block->all, 0xff, block->words * sizeof(*block->all));
    for (i = 0; i < block->size / PAGE / 100; i++) {
        page = bench_below(bench_random(&random), (uint32_t)(block->size / PAGE));
        block->some[page / 64] |= (uint64_t)1 << page % 64;
    }
    return 0;
}

static void block_destroy(struct block *block)
{
    if (block->vm)
        gmem_vm_destroy(block->vm);
    free(block->some);
    free(block->all);
    free(block->copy);
}

static int worlds_create(struct dirty *dirty)
{
    int err = world_create(10, &dirty->logged);

    if (!err)
        err = world_create(10, &dirty->plain);
    /* By its id: the world keeps its block to itself. */
    if (!err)
        err = gmem_ram_find(dirty->logged->vm, "ram", &dirty->ram);
    if (!err)
        err = gmem_vm_set_global_log(dirty->logged->vm, true);
    if (!err)
        err = gmem_cache_init(&dirty->logged_cache, dirty->logged->space, 0, WORLD_WORKING_SET, GMEM_ATTRS_NONE);
    if (!err)
        err = gmem_cache_init(&dirty->plain_cache, dirty->plain->space, 0, WORLD_WORKING_SET, GMEM_ATTRS_NONE);
    return err;
}

/* The two maps of writes (n is 0), or a block of n MiB, made when it is first asked for. */
static void *dirty_of(void *opaque, uint64_t n)
{
    struct dirty *dirty = opaque;
    size_t i = 0;

    if (n == 0)
        return dirty->logged || !worlds_create(dirty) ? dirty : NULL;
    while (i < BLOCKS - 1 && dirty->blocks[i].vm && dirty->blocks[i].size != n << 20)
        i++;
    if (!dirty->blocks[i].vm && block_create(&dirty->blocks[i], n))
        return NULL;
    dirty->block = &dirty->blocks[i];
    return dirty;
}

int main(int argc, char **argv)
{
    static struct dirty dirty;
    struct bench bench;
    size_t i;
    int status;

    if (!bench_start(&bench, "bench-dirty", "Writes of logged RAM beside unlogged; dirty bitmaps beside copying them.",
                     argc, argv, &status))
        return status;
    bench_table(&bench, rows, sizeof(rows) / sizeof(rows[0]), dirty_of, &dirty);
    gmem_cache_end(&dirty.logged_cache);
    gmem_cache_end(&dirty.plain_cache);
    gmem_ram_unref(dirty.ram);
    world_destroy(dirty.logged);
    world_destroy(dirty.plain);
    for (i = 0; i < BLOCKS; i++)
        block_destroy(&dirty.blocks[i]);
    return bench_end(&bench);
}
