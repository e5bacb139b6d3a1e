/* SPDX-License-Identifier: MIT */
/*
 * test-access-stats.c - what is counted of accesses to devices, and that nothing is while it is off.
 */
#include "access_world.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HERE 0x1000u
#define THERE 0x2000u

static void check(const struct gmem_access_stats *stats, const char *expected)
{
    char text[200];

    (void)snprintf(text, sizeof(text), "r%llu/%llu w%llu/%llu refused%llu errors%llu reentrant%llu fd%llu co%llu",
                   (unsigned long long)stats->reads, (unsigned long long)stats->read_bytes,
                   (unsigned long long)stats->writes, (unsigned long long)stats->write_bytes,
                   (unsigned long long)stats->refused, (unsigned long long)stats->errors,
                   (unsigned long long)stats->reentrant, (unsigned long long)stats->eventfds,
                   (unsigned long long)stats->coalesced);
    assert_string_equal(text, expected);
}

static void check_region(const gmem_region *region, const char *expected)
{
    struct gmem_access_stats stats;

    gmem_region_access_stats(region, &stats);
    check(&stats, expected);
}

static void check_vm(gmem_vm *vm, const char *expected)
{
    struct gmem_access_stats stats;

    gmem_vm_access_stats(vm, &stats);
    check(&stats, expected);
}

#define NOTHING "r0/0 w0/0 refused0 errors0 reentrant0 fd0 co0"

static void test_reads_and_writes(void **state)
{
    struct bytes_device device = {0};
    struct world world;
    gmem_region *region;
    uint8_t bytes[16];
    uint32_t value;

    (void)state;
    world_open(&world);
    region = world_mmio(&world, HERE, BYTES_SIZE, &bytes_ops, &device);
    assert_int_equal(gmem_ld32_le(world.space, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    check_region(region, NOTHING);
    check_vm(world.vm, NOTHING);
    assert_int_equal(gmem_vm_set_access_stats(world.vm, true), 0);
    check_region(region, NOTHING);
    assert_int_equal(gmem_ld32_le(world.space, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    assert_int_equal(gmem_st8(world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    check_region(region, "r1/4 w1/1 refused0 errors0 reentrant0 fd0 co0");
    /* One access, however the bus cuts it. */
    assert_int_equal(gmem_space_read(world.space, HERE + 1, GMEM_ATTRS_NONE, bytes, 16), GMEM_OK);
    assert_int_equal(gmem_space_fill(world.space, HERE, GMEM_ATTRS_NONE, 1, 32), GMEM_OK);
    check_region(region, "r2/20 w2/33 refused0 errors0 reentrant0 fd0 co0");
    check_vm(world.vm, "r2/20 w2/33 refused0 errors0 reentrant0 fd0 co0");
    device.read_result = GMEM_RESULT_DEVICE;
    assert_int_equal(gmem_ld32_le(world.space, HERE, GMEM_ATTRS_NONE, &value), GMEM_RESULT_DEVICE);
    check_region(region, "r3/24 w2/33 refused0 errors1 reentrant0 fd0 co0");
    /* Off: it stays, and is not counted on. On again: it goes on from there. */
    assert_int_equal(gmem_vm_set_access_stats(world.vm, false), 0);
    (void)gmem_ld32_le(world.space, HERE, GMEM_ATTRS_NONE, &value);
    check_region(region, "r3/24 w2/33 refused0 errors1 reentrant0 fd0 co0");
    assert_int_equal(gmem_vm_set_access_stats(world.vm, true), 0);
    (void)gmem_ld32_le(world.space, HERE, GMEM_ATTRS_NONE, &value);
    check_region(region, "r4/28 w2/33 refused0 errors2 reentrant0 fd0 co0");
    assert_int_equal(gmem_vm_set_access_stats(NULL, true), -EINVAL);
    gmem_region_unref(region);
    world_close(&world);
}

static void test_which_regions(void **state)
{
    struct bytes_device device = {0};
    struct world world;
    gmem_region *ram, *romd, *later;
    uint32_t value;

    (void)state;
    world_open(&world);
    ram = world_memory(&world, GMEM_KIND_RAM, "ram", 0x1000, NULL, NULL, NULL);
    romd = world_memory(&world, GMEM_KIND_ROMD, "flash", 0x1000, &bytes_ops, &device, NULL);
    world_place(&world, ram, HERE);
    world_place(&world, romd, THERE);
    assert_int_equal(gmem_vm_set_access_stats(world.vm, true), 0);
    assert_int_equal(gmem_ld32_le(world.space, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    assert_int_equal(gmem_ld32_le(world.space, THERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    assert_int_equal(gmem_st32_le(world.space, THERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    check_region(ram, NOTHING);
    check_region(romd, "r0/0 w1/4 refused0 errors0 reentrant0 fd0 co0");
    /* Made later, and gone before it is asked. */
    later = world_mmio(&world, 0x8000, BYTES_SIZE, &bytes_ops, &device);
    assert_int_equal(gmem_st8(world.space, 0x8000, GMEM_ATTRS_NONE, 1), GMEM_OK);
    check_region(later, "r0/0 w1/1 refused0 errors0 reentrant0 fd0 co0");
    check_vm(world.vm, "r0/0 w2/5 refused0 errors0 reentrant0 fd0 co0");
    assert_int_equal(gmem_region_remove(world.root, later), 0);
    gmem_region_unref(later);
    check_vm(world.vm, "r0/0 w2/5 refused0 errors0 reentrant0 fd0 co0");
    gmem_region_unref(ram);
    gmem_region_unref(romd);
    world_close(&world);
}

static void nothing(void *opaque)
{
    (void)opaque;
}

static void test_what_else(void **state)
{
    struct gmem_owner owner = {.lock = {nothing, nothing, NULL}};
    struct gmem_eventfd bell = {.offset = 8, .size = 4};
    struct gmem_mmio_ops ops = bytes_ops;
    struct bytes_device device = {0};
    struct gmem_guard_entry entry;
    struct world world;
    gmem_region *region;
    uint32_t value;
    uint8_t byte;

    (void)state;
    world_open(&world);
    ops.valid.min = 4;
    assert_int_equal(gmem_guard_create(world.vm, "dev", &owner.guard), 0);
    assert_int_equal(gmem_region_create_mmio(world.vm, "dev", GMEM_SIZE(64), &ops, &device, &owner, &region), 0);
    world_place(&world, region, HERE);
    bell.fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(gmem_region_add_eventfd(region, &bell), 0);
    assert_int_equal(gmem_region_add_coalesced(region, 16, 31), 0);
    assert_int_equal(gmem_vm_set_coalescing(world.vm, true), 0);
    assert_int_equal(gmem_vm_set_access_stats(world.vm, true), 0);
    assert_int_equal(gmem_ld8(world.space, HERE, GMEM_ATTRS_NONE, &byte), GMEM_RESULT_REFUSED);
    check_region(region, "r1/1 w0/0 refused1 errors0 reentrant0 fd0 co0");
    assert_int_equal(gmem_st32_le(world.space, HERE + 8, GMEM_ATTRS_NONE, 1), GMEM_OK);
    check_region(region, "r1/1 w1/4 refused1 errors0 reentrant0 fd1 co0");
    /* Counted when it is queued, not when it is delivered. */
    assert_int_equal(gmem_st32_le(world.space, HERE + 16, GMEM_ATTRS_NONE, 1), GMEM_OK);
    check_region(region, "r1/1 w2/8 refused1 errors0 reentrant0 fd1 co1");
    gmem_vm_flush_coalesced(world.vm);
    check_region(region, "r1/1 w2/8 refused1 errors0 reentrant0 fd1 co1");
    assert_int_equal(device.writes, 1);
    assert_true(gmem_guard_enter(owner.guard, &entry));
    assert_int_equal(gmem_ld32_le(world.space, HERE, GMEM_ATTRS_NONE, &value), GMEM_RESULT_REENTRANT);
    gmem_guard_leave(&entry);
    check_region(region, "r2/5 w2/8 refused1 errors0 reentrant1 fd1 co1");
    gmem_region_unref(region);
    gmem_guard_unref(owner.guard);
    close(bell.fd);
    world_close(&world);
}

static int print(void *opaque, const char *text, size_t len)
{
    return fwrite(text, 1, len, opaque) == len ? 0 : -EIO;
}

static char *tree_json(gmem_vm *vm)
{
    struct gmem_print_options options = {.struct_size = sizeof(options), .flags = GMEM_PRINT_JSON};
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    assert_int_equal(gmem_print_tree(vm, &options, print, file), 0);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void test_json(void **state)
{
    struct bytes_device device = {0};
    struct world world;
    gmem_region *region;
    char *text;

    (void)state;
    world_open(&world);
    region = world_mmio(&world, HERE, BYTES_SIZE, &bytes_ops, &device);
    text = tree_json(world.vm);
    assert_null(strstr(text, "accesses"));
    free(text);
    assert_int_equal(gmem_vm_set_access_stats(world.vm, true), 0);
    assert_int_equal(gmem_st16_le(world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    text = tree_json(world.vm);
    assert_non_null(strstr(text,
                           "\"accesses\": {\"reads\": 0, \"writes\": 1, \"read_bytes\": 0, \"write_bytes\": 2, "
                           "\"refused\": 0, \"errors\": 0, \"reentrant\": 0, \"eventfds\": 0, \"coalesced\": 0}"));
    free(text);
    assert_int_equal(gmem_vm_set_access_stats(world.vm, false), 0);
    text = tree_json(world.vm);
    assert_null(strstr(text, "accesses"));
    free(text);
    gmem_region_unref(region);
    world_close(&world);
}

/* --- threads ------------------------------------------------------------------------------------------------------------- */

#define ACCESSES 5000u

static gmem_result count_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static gmem_result count_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static void *access_all(void *opaque)
{
    uint16_t value;
    unsigned i;

    for (i = 0; i < ACCESSES; i++)
        assert_int_equal(gmem_ld16_le(opaque, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return NULL;
}

/* None is lost; and it may be switched, and looked at, while they go on. */
static void test_threads(void **state)
{
    static const struct gmem_mmio_ops ops = {.read = count_read, .write = count_write};
    struct gmem_access_stats stats;
    struct world world;
    gmem_region *region;
    pthread_t threads[2];
    unsigned i;

    (void)state;
    world_open(&world);
    region = world_mmio(&world, HERE, BYTES_SIZE, &ops, NULL);
    assert_int_equal(gmem_vm_set_access_stats(world.vm, true), 0);
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, access_all, world.space), 0);
    for (i = 0; i < 100; i++)
        gmem_vm_access_stats(world.vm, &stats);
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    check_region(region, "r10000/20000 w0/0 refused0 errors0 reentrant0 fd0 co0");
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, access_all, world.space), 0);
    for (i = 0; i < 100; i++)
        assert_int_equal(gmem_vm_set_access_stats(world.vm, i % 2), 0);
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    gmem_region_access_stats(region, &stats);
    assert_true(stats.reads >= 10000 && stats.reads <= 20000);
    assert_int_equal(stats.read_bytes, 2 * stats.reads);
    gmem_region_unref(region);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_writes), cmocka_unit_test(test_which_regions),
        cmocka_unit_test(test_what_else),        cmocka_unit_test(test_json),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
