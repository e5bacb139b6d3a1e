/* SPDX-License-Identifier: MIT */
/*
 * test-access-threads.c - accesses while other threads commit, and while they write the same words.
 *
 * Counted rounds, no timing: what is asserted holds however the threads run. ThreadSanitizer is the other half of it.
 */
#include "access_world.h"
#include <pthread.h>

#define NONE GMEM_ATTRS_NONE
#define READERS 2
#define COMMITS 300
#define ACCESSES 20000

struct shared {
    struct world world;
    bool stop;          /* atomic */
    const char *wrong;  /* atomic: what a reader saw that it must not see */
    unsigned long seen; /* atomic: accesses made */
};

static void wrong(struct shared *shared, const char *what)
{
    __atomic_store_n(&shared->wrong, what, __ATOMIC_RELAXED);
}

static bool stopped(struct shared *shared)
{
    return __atomic_load_n(&shared->stop, __ATOMIC_RELAXED);
}

static void run_readers(struct shared *shared, void *(*reader)(void *), pthread_t *threads)
{
    int i;

    for (i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, shared), 0);
}

static void join_readers(struct shared *shared, const pthread_t *threads)
{
    int i;

    __atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
    for (i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    if (shared->wrong)
        fail_msg("%s", shared->wrong);
    assert_true(shared->seen > 0);
}

/* --- one view ------------------------------------------------------------------------------------------------------ */

/* B, E of docs/concurrency.md: 16 bytes over the seam of two regions, which commits replace together by two others. */
static void *read_seam(void *opaque)
{
    struct shared *shared = opaque;
    uint8_t buf[16];
    unsigned i;

    do {
        if (gmem_space_read(shared->world.space, 0xff8, NONE, buf, sizeof(buf)) != GMEM_OK)
            wrong(shared, "a range was gone that every view has");
        for (i = 1; i < sizeof(buf); i++) {
            if (buf[i] != buf[0])
                wrong(shared, "one access saw two views");
        }
        __atomic_fetch_add(&shared->seen, 1, __ATOMIC_RELAXED);
    } while (!stopped(shared));
    return NULL;
}

static void one_access_sees_one_view(void **state)
{
    static const char *const names[] = {"low a", "low b", "high a", "high b"};
    struct shared shared = {0};
    gmem_region *regions[4];
    pthread_t threads[READERS];
    unsigned i;

    (void)state;
    world_open(&shared.world);
    for (i = 0; i < 4; i++) {
        uint8_t *host;

        regions[i] = world_memory(&shared.world, GMEM_KIND_RAM, names[i], 0x1000, NULL, NULL, &host);
        memset(host, i % 2 ? 'b' : 'a', 0x1000);
        assert_int_equal(gmem_region_set_enabled(regions[i], i % 2 == 0), 0);
        world_place(&shared.world, regions[i], i / 2 * 0x1000);
    }
    run_readers(&shared, read_seam, threads);
    for (i = 0; i < COMMITS; i++) {
        unsigned region;

        assert_int_equal(gmem_vm_begin(shared.world.vm), 0);
        for (region = 0; region < 4; region++)
            assert_int_equal(gmem_region_set_enabled(regions[region], region % 2 == i % 2), 0);
        assert_int_equal(gmem_vm_commit(shared.world.vm), 0);
    }
    join_readers(&shared, threads);
    world_close(&shared.world);
}

/* --- lifetime ------------------------------------------------------------------------------------------------------ */

/* G, H of docs/concurrency.md: devices and RAM that come and go, used until they are gone; the sanitizers look. */
static void *use_all(void *opaque)
{
    struct shared *shared = opaque;
    uint8_t buf[64] = {0};
    gmem_result result;

    do {
        result = gmem_space_read(shared->world.space, 0x1000, NONE, buf, sizeof(buf));
        result |= gmem_space_write(shared->world.space, 0x2000, NONE, buf, sizeof(buf));
        if (result & ~GMEM_RESULT_DECODE)
            wrong(shared, "neither there nor gone");
        __atomic_fetch_add(&shared->seen, 1, __ATOMIC_RELAXED);
    } while (!stopped(shared));
    return NULL;
}

static gmem_result null_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    *ret_value = 1;
    return GMEM_OK;
}

static gmem_result null_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    (void)value;
    return GMEM_OK;
}

static void regions_come_and_go(void **state)
{
    const struct gmem_mmio_ops ops = {.read = null_read, .write = null_write};
    struct shared shared = {0};
    pthread_t threads[READERS];
    unsigned i;

    (void)state;
    world_open(&shared.world);
    run_readers(&shared, use_all, threads);
    for (i = 0; i < COMMITS; i++) {
        gmem_region *mmio, *ram_region;
        gmem_ram *ram;

        /* The id can be used again only when no reader can reach the block any more; so not the same every time. */
        char id[] = {'r', (char)('0' + i / 100 % 10), (char)('0' + i / 10 % 10), (char)('0' + i % 10), '\0'};

        assert_int_equal(gmem_ram_create_anon(shared.world.vm, id, 0x1000, &ram), 0);
        assert_int_equal(gmem_region_create_ram(shared.world.vm, id, ram, NULL, &ram_region), 0);
        gmem_ram_unref(ram);
        assert_int_equal(gmem_region_create_mmio(shared.world.vm, "mmio", GMEM_SIZE(0x1000), &ops, NULL, NULL, &mmio),
                         0);
        assert_int_equal(gmem_region_add(shared.world.root, i % 2 ? 0x1000 : 0x2000, mmio), 0);
        assert_int_equal(gmem_region_add(shared.world.root, i % 2 ? 0x2000 : 0x1000, ram_region), 0);
        assert_int_equal(gmem_region_remove(shared.world.root, mmio), 0);
        assert_int_equal(gmem_region_remove(shared.world.root, ram_region), 0);
        gmem_region_unref(mmio);
        gmem_region_unref(ram_region);
    }
    join_readers(&shared, threads);
    world_close(&shared.world);
}

/* --- words --------------------------------------------------------------------------------------------------------- */

#define LONG_COPY 4096u

static void check_long(struct shared *shared, const uint8_t *bytes)
{
    uint64_t word;
    unsigned i;

    for (i = 0; i < LONG_COPY / 8; i++) {
        memcpy(&word, bytes + (size_t)i * 8, sizeof(word));
        if (word != (word & 0xff) * 0x0101010101010101u)
            wrong(shared, "a torn word in a long copy");
    }
}

/* J of docs/concurrency.md: every word that is stored has equal bytes; one that has not was torn. */
static void *load_words(void *opaque)
{
    struct shared *shared = opaque;
    uint64_t words[5], value;
    uint8_t many[LONG_COPY + 8];
    uint32_t half;
    uint16_t quarter;
    unsigned i;

    do {
        gmem_result result = gmem_ld64_le(shared->world.space, 0x10, NONE, &value);

        if (value != (value & 0xff) * 0x0101010101010101u)
            wrong(shared, "a torn 64-bit word");
        result |= gmem_ld32_be(shared->world.space, 0x14, NONE, &half);
        if (half != (half & 0xff) * 0x01010101u)
            wrong(shared, "a torn 32-bit word");
        result |= gmem_ld16_le(shared->world.space, 0x16, NONE, &quarter);
        if (quarter != (quarter & 0xff) * 0x0101u)
            wrong(shared, "a torn 16-bit word");
        /* Nor inside a longer copy. */
        result |= gmem_space_read(shared->world.space, 0, NONE, words, sizeof(words));
        for (i = 0; i < 5; i++) {
            if (words[i] != (words[i] & 0xff) * 0x0101010101010101u)
                wrong(shared, "a torn word in a longer copy");
        }
        /* Nor in one of many words, wherever the caller wants it. */
        for (i = 0; i < 8; i++) {
            result |= gmem_space_read(shared->world.space, 0, NONE, many + i, LONG_COPY);
            check_long(shared, many + i);
        }
        if (result)
            wrong(shared, "RAM that is no RAM");
        __atomic_fetch_add(&shared->seen, 1, __ATOMIC_RELAXED);
    } while (!stopped(shared));
    return NULL;
}

static void words_do_not_tear(void **state)
{
    struct shared shared = {0};
    pthread_t threads[READERS];
    uint8_t buf[40], many[LONG_COPY + 8];
    unsigned i;

    (void)state;
    world_open(&shared.world);
    world_ram(&shared.world, 0, LONG_COPY, "ram");
    run_readers(&shared, load_words, threads);
    for (i = 0; i < ACCESSES; i++) {
        assert_int_equal(gmem_st64_le(shared.world.space, 0x10, NONE, (i & 0xff) * 0x0101010101010101u), GMEM_OK);
        memset(buf, (int)(~i & 0xff), sizeof(buf));
        assert_int_equal(gmem_space_write(shared.world.space, 0, NONE, buf, sizeof(buf)), GMEM_OK);
        assert_int_equal(gmem_space_fill(shared.world.space, 0, NONE, (uint8_t)(i * 7), sizeof(buf)), GMEM_OK);
        for (unsigned at = 0x40; at < LONG_COPY; at += 8)
            assert_int_equal(gmem_st64_le(shared.world.space, at, NONE, i % 2 ? UINT64_MAX : 0), GMEM_OK);
        memset(many + i % 8, (int)(i & 0xff), LONG_COPY - 0x40);
        assert_int_equal(gmem_space_write(shared.world.space, 0x40, NONE, many + i % 8, LONG_COPY - 0x40), GMEM_OK);
    }
    join_readers(&shared, threads);
    world_close(&shared.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_access_sees_one_view),
        cmocka_unit_test(regions_come_and_go),
        cmocka_unit_test(words_do_not_tear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
