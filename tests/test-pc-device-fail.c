/* SPDX-License-Identifier: MIT */
/*
 * What fails while the devices that live in time are made leaves nothing behind: no port, no timer, no thread, no memory (the
 * sanitizer says). Each call that can fail does, one after the other.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cmos.h"
#include "i8254.h"
#include "isa_misc.h"
#include "pc-ports.h"

#define NEVER (-1)

static int countdown = NEVER; /* calls that still succeed */
static bool failed;

static bool fails(void)
{
    if (countdown == NEVER || countdown-- > 0)
        return false;
    countdown = NEVER;
    failed = true;
    return true;
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int __real_gmem_region_create_mmio(gmem_vm *vm, const char *name, struct gmem_size size,
                                   const struct gmem_mmio_ops *ops, void *opaque, const struct gmem_owner *owner,
                                   gmem_region **ret);
int __wrap_gmem_region_create_mmio(gmem_vm *vm, const char *name, struct gmem_size size,
                                   const struct gmem_mmio_ops *ops, void *opaque, const struct gmem_owner *owner,
                                   gmem_region **ret);
int __real_gmem_region_add(gmem_region *container, uint64_t offset, gmem_region *child);
int __wrap_gmem_region_add(gmem_region *container, uint64_t offset, gmem_region *child);

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    return fails() ? EAGAIN : __real_pthread_create(thread, attr, start, arg);
}

int __wrap_gmem_region_create_mmio(gmem_vm *vm, const char *name, struct gmem_size size,
                                   const struct gmem_mmio_ops *ops, void *opaque, const struct gmem_owner *owner,
                                   gmem_region **ret)
{
    return fails() ? -ENOMEM : __real_gmem_region_create_mmio(vm, name, size, ops, opaque, owner, ret);
}

int __wrap_gmem_region_add(gmem_region *container, uint64_t offset, gmem_region *child)
{
    return fails() ? -ENOMEM : __real_gmem_region_add(container, offset, child);
}

struct fixture {
    struct ports ports;
    struct vtime time;
    struct cmos *cmos;
    struct i8254 *pit;
    struct isa_misc *misc;
};

static const struct pc_irq nowhere;

static int make_pit(struct fixture *f)
{
    return i8254_create(f->ports.vm, f->ports.io, &f->time, nowhere, &f->pit);
}

static int make_cmos(struct fixture *f)
{
    return cmos_create(f->ports.vm, f->ports.io, 1 << 20, 0, 1, nowhere, &f->cmos);
}

static int make_cmos_vtime(struct fixture *f)
{
    return cmos_create_vtime(f->ports.vm, f->ports.io, 1 << 20, 0, 1, nowhere, &f->time, &f->cmos);
}

static int make_misc(struct fixture *f)
{
    return isa_misc_create(f->ports.vm, f->ports.io, nowhere, nowhere, NULL, pc_clock_host(), &f->misc);
}

static void test_failures(void **state)
{
    static const struct {
        int (*make)(struct fixture *f);
        uint16_t port;
        int steps; /* that can fail */
    } devices[] = {{make_pit, 0x40, 3}, {make_cmos, 0x70, 7}, {make_cmos_vtime, 0x70, 6}, {make_misc, 0x61, 9}};

    (void)state;
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        int step = 0;

        for (;; step++) {
            struct fixture f = {.ports = {.vm = NULL}};
            struct gmem_section section;
            int err;

            ports_open(&f.ports);
            countdown = step;
            failed = false;
            err = devices[i].make(&f);
            countdown = NEVER;
            assert_int_equal(err == 0, !failed);
            if (failed) {
                assert_true(err == -ENOMEM || err == -EAGAIN);
                assert_true(f.pit == NULL && f.cmos == NULL && f.misc == NULL);
                assert_int_not_equal(gmem_space_lookup(f.ports.space, devices[i].port, &section), 0);
                assert_true(vtime_next(&f.time) == VTIME_NEVER);
            }
            i8254_destroy(f.pit);
            cmos_destroy(f.cmos);
            isa_misc_destroy(f.misc);
            ports_close(&f.ports);
            if (!failed)
                break;
        }
        assert_int_equal(step, devices[i].steps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_failures)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
