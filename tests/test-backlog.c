/* SPDX-License-Identifier: MIT */
/* test-backlog.c - what waits for readers is bounded, and nobody waits for ever (G3, G9). */
#include "support.h"
#include "rcu.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

static gmem_vm *limited_vm(uint64_t bytes)
{
    struct gmem_vm_options options = {.struct_size = sizeof(options), .backlog_max = bytes};
    gmem_vm *vm = NULL;

    OK(gmem_vm_create(&options, &vm));
    return vm;
}

static uint64_t backlog(gmem_vm *vm)
{
    struct gmem_vm_stats stats;

    gmem_vm_stats(vm, &stats);
    return stats.backlog;
}

struct reader {
    sem_t inside, leave;
};

static void *stay(void *opaque)
{
    struct reader *reader = opaque;

    gmem__rcu_enter();
    sem_post(&reader->inside);
    sem_wait(&reader->leave);
    gmem__rcu_leave();
    return NULL;
}

/* A reader that stays: what it keeps is bounded, and edits say so instead of waiting for it. */
static void test_reader_stays(void **state)
{
    gmem_vm *vm = limited_vm(1);
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *a = make_mmio(vm, "a", GMEM_SIZE(0x100));
    gmem_space *space = make_space(vm, "space", root);
    struct reader reader;
    pthread_t thread;
    char reason[128];

    (void)state;
    gmem__rcu_barrier();
    sem_init(&reader.inside, 0, 0);
    sem_init(&reader.leave, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, stay, &reader), 0);
    sem_wait(&reader.inside);
    assert_int_equal(backlog(vm), 0);
    OK(gmem_region_add(root, 0, a));
    assert_true(backlog(vm) > 0);
    REFUSED(EAGAIN, gmem_region_move(a, 0x1000));
    assert_int_equal(gmem_vm_reason(vm, reason, sizeof(reason)), -EAGAIN);
    assert_non_null(strstr(reason, "reader"));
    REFUSED(EAGAIN, gmem_vm_begin(vm));
    assert_int_equal(gmem_region_offset(a), 0);
    sem_post(&reader.leave);
    assert_int_equal(pthread_join(thread, NULL), 0);
    gmem__rcu_barrier();
    assert_int_equal(backlog(vm), 0);
    OK(gmem_region_move(a, 0x1000));
    gmem_space_destroy(space);
    gmem_vm_destroy(vm);
}

struct device {
    gmem_region *root, *other;
    unsigned edits; /* in one callback */
    bool whole;     /* make the space come down to another region each time */
    int first_err, last_err;
    uint64_t most;
};

static gmem_result remap(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;
    uint64_t now;

    (void)offset, (void)size, (void)attrs, (void)value;
    for (unsigned i = 0; i < device->edits; i++) {
        device->last_err = gmem_region_set_enabled(device->other, !gmem_region_enabled(device->other));
        if (!device->first_err)
            device->first_err = device->last_err;
        now = backlog(gmem_region_vm(device->root));
        device->most = now > device->most ? now : device->most;
    }
    return GMEM_OK;
}

static gmem_space *device_space(gmem_vm *vm, struct device *device)
{
    struct gmem_mmio_ops ops = {.read = silent_read, .write = remap};
    gmem_region *region = NULL, *inner;

    device->root = make_container(vm, "root", GMEM_SIZE_ALL);
    OK(gmem_region_create_mmio(vm, "device", GMEM_SIZE(0x1000), &ops, device, NULL, &region));
    device->other = make_mmio(vm, "other", GMEM_SIZE(0x1000));
    if (device->whole) {
        /* With "other" there the root is what is shown, without it the lone subregion. */
        inner = make_container(vm, "inner", GMEM_SIZE_ALL);
        OK(gmem_region_add(inner, 0, region));
        OK(gmem_region_add(device->root, 0, inner));
    } else {
        OK(gmem_region_add(device->root, 0, region));
    }
    OK(gmem_region_add(device->root, 0x1000, device->other));
    return make_space(vm, "space", device->root);
}

/* In a callback, which is a reader itself, nothing waits: too many edits at once are refused. */
static void test_one_callback(void **state)
{
    gmem_vm *vm = limited_vm(4096);
    struct device device = {.edits = 1000};
    gmem_space *space = device_space(vm, &device);

    (void)state;
    gmem__rcu_barrier();
    assert_int_equal(gmem_st8(space, 0, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(device.first_err, -EAGAIN);
    assert_int_equal(device.last_err, -EAGAIN);
    assert_in_range(device.most, 4 * 4096, 5 * 4096);
    gmem__rcu_barrier();
    assert_int_equal(backlog(vm), 0);
    device = (struct device){.root = device.root, .other = device.other, .edits = 1};
    assert_int_equal(gmem_st8(space, 0, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(device.first_err, 0);
    gmem_vm_destroy(vm);
}

/* A guest that remaps in a loop gets its way, only slower, and the memory that it costs has a bound. */
static void remap_in_a_loop(bool whole)
{
    enum { LIMIT = 256 * 1024 };
    gmem_vm *vm = limited_vm(LIMIT);
    struct device device = {.edits = 1, .whole = whole};
    gmem_space *space = device_space(vm, &device);
    struct gmem_vm_stats before, after;

    gmem_vm_stats(vm, &before);
    for (unsigned i = 0; i < 4000; i++) {
        assert_int_equal(gmem_st8(space, 0, GMEM_ATTRS_NONE, 1), GMEM_OK);
        assert_int_equal(device.first_err, 0);
    }
    gmem_vm_stats(vm, &after);
    assert_int_equal(after.commits - before.commits, 4000);
    assert_true(device.most > LIMIT);
    assert_true(device.most < 4 * LIMIT);
    gmem_vm_destroy(vm);
}

static void test_remap_in_a_loop(void **state)
{
    (void)state;
    remap_in_a_loop(false);
}

static void test_reroot_in_a_loop(void **state)
{
    (void)state;
    remap_in_a_loop(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_stays),
        cmocka_unit_test(test_one_callback),
        cmocka_unit_test(test_remap_in_a_loop),
        cmocka_unit_test(test_reroot_in_a_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
