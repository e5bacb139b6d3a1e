/* SPDX-License-Identifier: MIT */
/*
 * test-device-oom.c - what is around a device's callbacks, with each allocation failing in turn: refused, with nothing left
 * behind; and accesses, whatever is switched on, allocate nothing.
 *
 * Linked with the allocator wrapped (wrap.h).
 */
#include "access_world.h"
#include "wrap.h"
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HERE 0x1000u

static void nothing(void *opaque)
{
    (void)opaque;
}

static void hear(void *opaque, gmem_vm *vm, const struct gmem_trace_event *event)
{
    (void)vm, (void)event;
    ++*(unsigned *)opaque;
}

struct fixture {
    struct world world;
    struct gmem_owner owner;
    struct bytes_device device;
    gmem_region *region;
    int fd;
    unsigned heard;
};

static int make_guard(struct fixture *f)
{
    return gmem_guard_create(f->world.vm, "guard", &f->owner.guard);
}

static int make_region(struct fixture *f)
{
    return gmem_region_create_mmio(f->world.vm, "dev", GMEM_SIZE(64), &bytes_ops, &f->device, &f->owner, &f->region);
}

static int place(struct fixture *f)
{
    return gmem_region_add(f->world.root, HERE, f->region);
}

static int add_eventfd(struct fixture *f)
{
    const struct gmem_eventfd eventfd = {.offset = 8, .size = 4, .fd = f->fd};

    return gmem_region_add_eventfd(f->region, &eventfd);
}

static int add_second_eventfd(struct fixture *f)
{
    const struct gmem_eventfd eventfd = {.offset = 12, .size = 4, .fd = f->fd};

    return gmem_region_add_eventfd(f->region, &eventfd);
}

static int del_eventfd(struct fixture *f)
{
    const struct gmem_eventfd eventfd = {.offset = 12, .size = 4, .fd = f->fd};

    return gmem_region_del_eventfd(f->region, &eventfd);
}

static int coalesce(struct fixture *f)
{
    return gmem_region_add_coalesced(f->region, 16, 31);
}

static int count(struct fixture *f)
{
    return gmem_vm_set_access_stats(f->world.vm, true);
}

/* While accesses are counted. */
static int make_another(struct fixture *f)
{
    gmem_region *region;
    int err;

    err = gmem_region_create_mmio(f->world.vm, "another", GMEM_SIZE(64), &bytes_ops, &f->device, &f->owner, &region);
    if (!err)
        gmem_region_unref(region);
    return err;
}

static int make_reserved(struct fixture *f)
{
    gmem_region *region;
    int err = gmem_region_create_reserved(f->world.vm, "bell", GMEM_SIZE(64), &f->owner, &region);

    if (!err)
        gmem_region_unref(region);
    return err;
}

static int trace(struct fixture *f)
{
    return gmem_vm_set_trace(f->world.vm, GMEM_TRACE_ALL, hear, &f->heard);
}

static int hook(struct fixture *f)
{
    return gmem_vm_set_coalesced_flush(f->world.vm, nothing, NULL);
}

static int (*const steps[])(struct fixture *f) = {
    make_guard,   make_region,   place, add_eventfd, add_second_eventfd, del_eventfd, coalesce, count,
    make_another, make_reserved, trace, hook,
};

static void test_refused(void **state)
{
    struct fixture f = {.owner = {.lock = {nothing, nothing, NULL}}};
    unsigned long n;
    size_t step, failures = 0;
    int err;

    (void)state;
    world_open(&f.world);
    f.fd = eventfd(0, EFD_CLOEXEC);
    for (step = 0; step < sizeof(steps) / sizeof(steps[0]); step++) {
        for (n = 1;; n++) {
            bool came;

            wrap_start(n);
            err = steps[step](&f);
            came = wrap_stop();
            if (!came)
                break;
            failures++;
            assert_int_equal(err, -ENOMEM);
        }
        assert_int_equal(err, 0);
    }
    /* Each asks for memory at least once. */
    assert_true(failures >= step);
    gmem_region_unref(f.region);
    gmem_guard_unref(f.owner.guard);
    world_close(&f.world);
    close(f.fd);
}

static void test_accesses_allocate_nothing(void **state)
{
    struct fixture f = {.owner = {.lock = {nothing, nothing, NULL}}};
    struct gmem_guard_entry entry;
    uint8_t bytes[32] = {0};
    uint32_t value;
    size_t step;
    unsigned i;

    (void)state;
    world_open(&f.world);
    f.fd = eventfd(0, EFD_CLOEXEC);
    for (step = 0; step < sizeof(steps) / sizeof(steps[0]); step++)
        assert_int_equal(steps[step](&f), 0);
    assert_int_equal(gmem_vm_set_coalescing(f.world.vm, true), 0);
    assert_int_equal(gmem_ld32_le(f.world.space, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    f.heard = 0;
    wrap_start(0);
    assert_int_equal(gmem_ld32_le(f.world.space, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 8, GMEM_ATTRS_NONE, 1), GMEM_OK);
    for (i = 0; i < 2 * GMEM_COALESCED_MAX; i++)
        assert_int_equal(gmem_st32_le(f.world.space, HERE + 16, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(gmem_space_write(f.world.space, HERE, GMEM_ATTRS_NONE, bytes, 32), GMEM_OK);
    gmem_vm_flush_coalesced(f.world.vm);
    assert_true(gmem_guard_enter(f.owner.guard, &entry));
    assert_int_equal(gmem_ld32_le(f.world.space, HERE, GMEM_ATTRS_NONE, &value), GMEM_RESULT_REENTRANT);
    gmem_guard_leave(&entry);
    (void)wrap_stop();
    assert_int_equal(wrap.count, 0);
    assert_true(f.heard > 2 * GMEM_COALESCED_MAX);
    gmem_region_unref(f.region);
    gmem_guard_unref(f.owner.guard);
    world_close(&f.world);
    close(f.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_accesses_allocate_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
