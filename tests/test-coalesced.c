/* SPDX-License-Identifier: MIT */
/*
 * test-coalesced.c - writes that are queued: which are, when they are delivered, in which order; and who else is asked to.
 */
#include "access_world.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HERE 0x1000u
#define THERE 0x2000u

/* What devices were asked, in order: "w10=5 r0 " and so on, capital letters for the second one. */
static char story[4000];

static void tell(char what, uint64_t offset, int64_t value)
{
    size_t length = strlen(story);

    assert_true(length + 40 < sizeof(story));
    if (value < 0)
        (void)snprintf(story + length, 40, "%c%llx ", what, (unsigned long long)offset);
    else
        (void)snprintf(story + length, 40, "%c%llx=%llx ", what, (unsigned long long)offset, (unsigned long long)value);
}

#define STORY(expected)                                                                                                \
    do {                                                                                                               \
        assert_string_equal(story, expected);                                                                          \
        story[0] = '\0';                                                                                               \
    } while (0)

struct device {
    char read, write;
    unsigned requester; /* of the last write */
    gmem_vm *flush;     /* from the callback */
    gmem_space *space;
    uint64_t target; /* a write from the callback */
};

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;

    (void)size, (void)attrs, (void)ret_value;
    tell(device->read, offset, -1);
    if (device->target)
        assert_int_equal(gmem_st8(device->space, device->target, GMEM_ATTRS_NONE, 0x77), GMEM_OK);
    if (device->flush)
        gmem_vm_flush_coalesced(device->flush);
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    (void)size;
    device->requester = attrs.requester;
    tell(device->write, offset, (int64_t)value);
    return GMEM_RESULT_DEVICE;
}

static unsigned held;

static void take(void *opaque)
{
    (void)opaque;
    assert_int_equal(held, 0);
    held = 1;
}

static void give(void *opaque)
{
    (void)opaque;
    assert_int_equal(held, 1);
    held = 0;
}

struct fixture {
    struct world world;
    struct gmem_owner owner;
    struct gmem_mmio_ops ops;
    struct device device, second;
    gmem_region *region;
};

static gmem_region *place(struct fixture *f, uint64_t addr, struct device *device)
{
    gmem_region *region;

    assert_int_equal(gmem_region_create_mmio(f->world.vm, "dev", GMEM_SIZE(0x100), &f->ops, device, &f->owner, &region),
                     0);
    world_place(&f->world, region, addr);
    return region;
}

/* A device whose registers from 0x10 to 0x1f coalesce. */
static void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    world_open(&f->world);
    f->device = (struct device){.read = 'r', .write = 'w', .space = f->world.space};
    f->second = (struct device){.read = 'R', .write = 'W', .space = f->world.space};
    f->ops = (struct gmem_mmio_ops){.read = device_read, .write = device_write, .endian = GMEM_ENDIAN_LITTLE};
    f->owner.lock = (struct gmem_lock){take, give, &held};
    assert_int_equal(gmem_guard_create(f->world.vm, "dev", &f->owner.guard), 0);
    f->region = place(f, HERE, &f->device);
    assert_int_equal(gmem_region_add_coalesced(f->region, 0x10, 0x1f), 0);
    assert_int_equal(gmem_vm_set_coalescing(f->world.vm, true), 0);
    story[0] = '\0';
}

static void fixture_close(struct fixture *f)
{
    gmem_region_unref(f->region);
    gmem_guard_unref(f->owner.guard);
    world_close(&f->world);
    assert_int_equal(held, 0);
}

static gmem_result store(struct fixture *f, uint64_t addr, uint8_t value)
{
    return gmem_st8(f->world.space, addr, GMEM_ATTRS_NONE, value);
}

static void load(struct fixture *f, uint64_t addr)
{
    uint8_t value;

    assert_int_equal(gmem_ld8(f->world.space, addr, GMEM_ATTRS_NONE, &value), GMEM_OK);
}

static void test_queued_and_flushed(void **state)
{
    struct gmem_attrs attrs = {.requester = 0x1234};
    struct fixture f;

    (void)state;
    fixture_open(&f);
    assert_int_equal(store(&f, HERE + 0x10, 1), GMEM_OK);
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 0x1c, attrs, 0x11223344), GMEM_OK);
    STORY("");
    gmem_vm_flush_coalesced(f.world.vm);
    STORY("w10=1 w1c=11223344 ");
    assert_int_equal(f.device.requester, 0x1234);
    gmem_vm_flush_coalesced(f.world.vm);
    STORY("");
    fixture_close(&f);
}

static void test_off(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    assert_int_equal(store(&f, HERE + 0x10, 1), GMEM_OK);
    assert_int_equal(gmem_vm_set_coalescing(f.world.vm, false), 0);
    STORY("w10=1 ");
    assert_int_equal(store(&f, HERE + 0x10, 2), GMEM_RESULT_DEVICE);
    STORY("w10=2 ");
    fixture_close(&f);
}

/* Before anything that could tell that they were late. */
static void test_before_other_accesses(void **state)
{
    struct fixture f;
    gmem_region *second;

    (void)state;
    fixture_open(&f);
    second = place(&f, THERE, &f.second);
    (void)store(&f, HERE + 0x10, 1);
    load(&f, HERE + 0x10);
    STORY("w10=1 r10 ");
    (void)store(&f, HERE + 0x10, 1);
    (void)store(&f, HERE + 0x11, 2);
    assert_int_equal(store(&f, HERE + 0x20, 3), GMEM_RESULT_DEVICE);
    STORY("w10=1 w11=2 w20=3 ");
    /* Across the end of the interval. */
    (void)store(&f, HERE + 0x1f, 4);
    (void)gmem_st32_le(f.world.space, HERE + 0x1e, GMEM_ATTRS_NONE, 0x05060708);
    STORY("w1f=4 w1e=708 w20=506 ");
    load(&f, HERE);
    STORY("r0 ");
    /* Another region of the device. */
    (void)store(&f, HERE + 0x10, 6);
    load(&f, THERE);
    STORY("w10=6 R0 ");
    gmem_region_unref(second);
    fixture_close(&f);
}

/* Of two regions of a device in the order in which they came. */
static void test_one_order(void **state)
{
    struct fixture f;
    gmem_region *second;

    (void)state;
    fixture_open(&f);
    second = place(&f, THERE, &f.second);
    assert_int_equal(gmem_region_add_coalesced(second, 0, 0xf), 0);
    (void)store(&f, HERE + 0x10, 1);
    (void)store(&f, THERE + 1, 2);
    (void)store(&f, HERE + 0x11, 3);
    (void)store(&f, THERE + 2, 4);
    STORY("");
    load(&f, THERE);
    STORY("w10=1 W1=2 w11=3 W2=4 R0 ");
    gmem_region_unref(second);
    fixture_close(&f);
}

static void test_full(void **state)
{
    struct fixture f;
    unsigned i;

    (void)state;
    fixture_open(&f);
    for (i = 0; i < GMEM_COALESCED_MAX; i++)
        assert_int_equal(store(&f, HERE + 0x10, (uint8_t)i), GMEM_OK);
    STORY("");
    /* No room: all are delivered, and this one after them. */
    assert_int_equal(store(&f, HERE + 0x11, 0xee), GMEM_RESULT_DEVICE);
    assert_string_equal(story + strlen(story) - strlen("w10=3e w10=3f w11=ee "), "w10=3e w10=3f w11=ee ");
    story[0] = '\0';
    assert_int_equal(store(&f, HERE + 0x10, 1), GMEM_OK);
    STORY("");
    fixture_close(&f);
    STORY("w10=1 ");
}

static void test_what_is_not_queued(void **state)
{
    struct fixture f;
    gmem_region *plain, *other;
    gmem_guard *guard;

    (void)state;
    fixture_open(&f);
    /* No lock, or no guard. */
    guard = f.owner.guard;
    f.owner.guard = NULL;
    plain = place(&f, THERE, &f.second);
    assert_int_equal(gmem_region_add_coalesced(plain, 0, 0xff), 0);
    assert_int_equal(store(&f, THERE, 1), GMEM_RESULT_DEVICE);
    f.owner.guard = guard;
    f.owner.lock.lock = NULL;
    other = place(&f, THERE + 0x1000, &f.second);
    assert_int_equal(gmem_region_add_coalesced(other, 0, 0xff), 0);
    assert_int_equal(store(&f, THERE + 0x1000, 2), GMEM_RESULT_DEVICE);
    STORY("W0=1 W0=2 ");
    gmem_region_unref(plain);
    gmem_region_unref(other);
    f.owner.lock = (struct gmem_lock){take, give, &held};
    /* Too narrow for the device: refused at once, not queued. */
    f.ops.valid.min = 4;
    other = place(&f, THERE + 0x2000, &f.second);
    assert_int_equal(gmem_region_add_coalesced(other, 0, 0xff), 0);
    assert_int_equal(store(&f, THERE + 0x2000, 3), GMEM_RESULT_REFUSED);
    assert_int_equal(gmem_st32_le(f.world.space, THERE + 0x2000, GMEM_ATTRS_NONE, 3), GMEM_OK);
    STORY("");
    gmem_vm_flush_coalesced(f.world.vm);
    STORY("W0=3 ");
    gmem_region_unref(other);
    fixture_close(&f);
}

/* When the interval, or the region, goes away. */
static void test_interval_that_goes(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    (void)store(&f, HERE + 0x10, 1);
    assert_int_equal(gmem_region_clear_coalesced(f.region), 0);
    STORY("w10=1 ");
    assert_int_equal(store(&f, HERE + 0x10, 2), GMEM_RESULT_DEVICE);
    STORY("w10=2 ");
    assert_int_equal(gmem_region_add_coalesced(f.region, 0x10, 0x1f), 0);
    (void)store(&f, HERE + 0x10, 3);
    assert_int_equal(gmem_region_remove(f.world.root, f.region), 0);
    STORY("w10=3 ");
    fixture_close(&f);
}

/* Who holds the device's lock and says so may remove it. */
static void test_remove_with_the_lock(void **state)
{
    struct gmem_guard_entry entry;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    (void)store(&f, HERE + 0x10, 1);
    gmem_lock_enter(&f.owner.lock, &entry);
    assert_int_equal(gmem_region_remove(f.world.root, f.region), 0);
    STORY("w10=1 ");
    gmem_lock_leave(&entry);
    fixture_close(&f);
}

/* An eventfd in the interval goes first, and what was written before goes before it. */
static void test_eventfd(void **state)
{
    struct gmem_eventfd bell = {.offset = 0x12, .size = 1};
    struct fixture f;
    uint64_t count;

    (void)state;
    fixture_open(&f);
    bell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(bell.fd >= 0);
    assert_int_equal(gmem_region_add_eventfd(f.region, &bell), 0);
    (void)store(&f, HERE + 0x10, 1);
    (void)store(&f, HERE + 0x11, 2);
    STORY("");
    (void)store(&f, HERE + 0x12, 3);
    STORY("w10=1 w11=2 ");
    assert_int_equal(read(bell.fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
    close(bell.fd);
    fixture_close(&f);
}

/* From inside a callback: its own device's are left, others' are delivered. */
static void test_flush_from_a_callback(void **state)
{
    struct gmem_owner owner;
    struct fixture f;
    gmem_region *plain;

    (void)state;
    fixture_open(&f);
    owner = f.owner;
    f.owner = (struct gmem_owner){0};
    plain = place(&f, THERE, &f.second);
    f.owner = owner;
    f.second.flush = f.world.vm;
    (void)store(&f, HERE + 0x10, 1);
    load(&f, THERE);
    STORY("R0 w10=1 ");
    /* A callback of the plain one writes to the other: queued. */
    f.second.flush = NULL;
    f.second.target = HERE + 0x10;
    load(&f, THERE);
    STORY("R0 ");
    gmem_vm_flush_coalesced(f.world.vm);
    STORY("w10=77 ");
    /* In the guard by hand: nothing is delivered to it, nor queued for it. */
    {
        struct gmem_guard_entry entry;

        (void)store(&f, HERE + 0x10, 2);
        assert_true(gmem_guard_enter(f.owner.guard, &entry));
        gmem_vm_flush_coalesced(f.world.vm);
        assert_int_equal(store(&f, HERE + 0x10, 3), GMEM_RESULT_REENTRANT);
        STORY("");
        gmem_guard_leave(&entry);
    }
    gmem_vm_flush_coalesced(f.world.vm);
    STORY("w10=2 ");
    gmem_region_unref(plain);
    fixture_close(&f);
}

/* --- somebody else's queue ------------------------------------------------------------------------------------------- */

struct kernel {
    struct fixture *f;
    uint8_t values[8];
    unsigned count, flushes;
    uint64_t addr;
};

static void kernel_flush(void *opaque)
{
    struct kernel *kernel = opaque;
    unsigned i, count = kernel->count;

    kernel->flushes++;
    kernel->count = 0;
    for (i = 0; i < count; i++)
        (void)store(kernel->f, kernel->addr, kernel->values[i]);
}

static void test_hook(void **state)
{
    struct kernel kernel = {0}, next = {0};
    struct fixture f;
    gmem_region *second, *plain;
    gmem_guard *guard;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    assert_int_equal(gmem_vm_set_coalescing(f.world.vm, false), 0);
    second = place(&f, THERE, &f.second);
    guard = f.owner.guard;
    f.owner = (struct gmem_owner){0};
    plain = place(&f, THERE + 0x1000, &f.second);
    f.owner.guard = guard;
    kernel.f = &f;
    kernel.addr = HERE + 0x10;
    assert_int_equal(gmem_vm_set_coalesced_flush(f.world.vm, kernel_flush, &kernel), 0);
    kernel.values[0] = 1;
    kernel.values[1] = 2;
    kernel.count = 2;
    /* What it delivers are accesses, which do not ask it again. */
    load(&f, HERE);
    STORY("w10=1 w10=2 r0 ");
    assert_int_equal(kernel.flushes, 1);
    kernel.count = 1;
    (void)store(&f, HERE + 0x11, 5);
    STORY("w10=1 w11=5 ");
    /* A region of the same guard asks, one that is nobody's does not. */
    kernel.count = 1;
    load(&f, THERE + 0x1000);
    STORY("R0 ");
    load(&f, THERE);
    STORY("w10=1 R0 ");
    assert_int_equal(kernel.flushes, 3);
    /* By every width; and what has no intervals any more does not ask. */
    assert_int_equal(gmem_ld32_be(f.world.space, HERE + 1, GMEM_ATTRS_NONE, &value), GMEM_OK);
    assert_true(kernel.flushes > 3);
    kernel.flushes = 0;
    assert_int_equal(gmem_region_clear_coalesced(f.region), 0);
    load(&f, HERE);
    load(&f, THERE);
    assert_int_equal(kernel.flushes, 0);
    assert_int_equal(gmem_region_add_coalesced(f.region, 0, 3), 0);
    /* One of a vm. */
    next.f = &f;
    assert_int_equal(gmem_vm_set_coalesced_flush(f.world.vm, kernel_flush, &next), 0);
    load(&f, HERE);
    assert_int_equal(kernel.flushes, 0);
    assert_int_equal(next.flushes, 1);
    assert_int_equal(gmem_vm_set_coalesced_flush(f.world.vm, NULL, NULL), 0);
    load(&f, HERE);
    assert_int_equal(next.flushes, 1);
    gmem_region_unref(second);
    gmem_region_unref(plain);
    fixture_close(&f);
}

static gmem_result set_hook(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)offset, (void)size, (void)attrs, (void)value;
    assert_int_equal(gmem_vm_set_coalesced_flush(opaque, kernel_flush, NULL), -EBUSY);
    return GMEM_OK;
}

static void test_arguments(void **state)
{
    struct gmem_mmio_ops ops = {.read = device_read, .write = set_hook};
    struct kernel nobody = {0};
    struct fixture f;
    gmem_region *region;

    (void)state;
    fixture_open(&f);
    assert_int_equal(gmem_vm_set_coalescing(NULL, true), -EINVAL);
    assert_int_equal(gmem_vm_set_coalesced_flush(NULL, kernel_flush, NULL), -EINVAL);
    gmem_vm_flush_coalesced(NULL);
    region = world_mmio(&f.world, THERE, 64, &ops, f.world.vm);
    assert_int_equal(gmem_vm_set_coalesced_flush(f.world.vm, kernel_flush, &nobody), 0);
    assert_int_equal(store(&f, THERE, 1), GMEM_OK);
    assert_int_equal(gmem_vm_begin(f.world.vm), 0);
    assert_int_equal(gmem_vm_set_coalesced_flush(f.world.vm, NULL, NULL), -EBUSY);
    gmem_vm_abort(f.world.vm);
    gmem_region_unref(region);
    fixture_close(&f);
}

/* --- threads ------------------------------------------------------------------------------------------------------------- */

#define WRITES 4000u
#define WRITERS 2u

struct shared {
    pthread_mutex_t mutex;
    uint32_t last[WRITERS]; /* what each wrote last; not atomic */
    uint64_t count;
};

static void lock_shared(void *opaque)
{
    pthread_mutex_lock(&((struct shared *)opaque)->mutex);
}

static void unlock_shared(void *opaque)
{
    pthread_mutex_unlock(&((struct shared *)opaque)->mutex);
}

/* Each writer counts up in a register of its own. */
static gmem_result shared_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct shared *shared = opaque;

    (void)size, (void)attrs;
    assert_int_equal(shared->last[offset / 4] + 1, value);
    shared->last[offset / 4] = (uint32_t)value;
    shared->count++;
    return GMEM_OK;
}

static gmem_result shared_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct shared *shared = opaque;

    (void)size, (void)attrs;
    *ret_value = shared->last[offset / 4];
    return GMEM_OK;
}

struct writer {
    gmem_space *space;
    gmem_vm *vm;
    unsigned index;
};

/* A read sees all that its thread wrote before. */
static void *write_all(void *opaque)
{
    const struct writer *writer = opaque;
    uint64_t addr = HERE + 4 * writer->index;
    uint32_t value, i;

    for (i = 1; i <= WRITES; i++) {
        assert_int_equal(gmem_st32_le(writer->space, addr, GMEM_ATTRS_NONE, i), GMEM_OK);
        if (i % 7 == 0) {
            assert_int_equal(gmem_ld32_le(writer->space, addr, GMEM_ATTRS_NONE, &value), GMEM_OK);
            assert_int_equal(value, i);
        }
        if (i % 50 == 0)
            gmem_vm_flush_coalesced(writer->vm);
    }
    return NULL;
}

static void test_threads(void **state)
{
    static const struct gmem_mmio_ops ops = {.read = shared_read, .write = shared_write, .endian = GMEM_ENDIAN_LITTLE};
    struct shared shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct gmem_owner owner = {.lock = {lock_shared, unlock_shared, &shared}};
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    struct world world;
    gmem_region *region;
    unsigned i;

    (void)state;
    world_open(&world);
    assert_int_equal(gmem_guard_create(world.vm, "shared", &owner.guard), 0);
    assert_int_equal(gmem_region_create_mmio(world.vm, "shared", GMEM_SIZE(64), &ops, &shared, &owner, &region), 0);
    world_place(&world, region, HERE);
    assert_int_equal(gmem_region_add_coalesced(region, 0, 63), 0);
    assert_int_equal(gmem_vm_set_coalescing(world.vm, true), 0);
    for (i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){world.space, world.vm, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_all, &writers[i]), 0);
    }
    for (i = 0; i < 200; i++) {
        assert_int_equal(gmem_vm_set_coalescing(world.vm, i % 3 != 0), 0);
        gmem_vm_flush_coalesced(world.vm);
    }
    assert_int_equal(gmem_vm_set_coalescing(world.vm, true), 0);
    for (i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    gmem_vm_flush_coalesced(world.vm);
    assert_int_equal(shared.count, WRITERS * WRITES);
    gmem_region_unref(region);
    gmem_guard_unref(owner.guard);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queued_and_flushed),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_before_other_accesses),
        cmocka_unit_test(test_one_order),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_what_is_not_queued),
        cmocka_unit_test(test_interval_that_goes),
        cmocka_unit_test(test_remove_with_the_lock),
        cmocka_unit_test(test_eventfd),
        cmocka_unit_test(test_flush_from_a_callback),
        cmocka_unit_test(test_hook),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
