/* SPDX-License-Identifier: MIT */
/*
 * test-access-device.c - device callbacks: what they are handed and hand back, and what they may do in the middle of an
 * access: access other things, change the map, take themselves away.
 */
#include "access_world.h"
#include <pthread.h>
#include <stdlib.h>

#define NONE GMEM_ATTRS_NONE

/* --- handed on ----------------------------------------------------------------------------------------------------- */

struct accepter {
    struct bytes_device device; /* first: the callbacks take it for their own */
    unsigned asked;
    struct gmem_attrs attrs;
    bool answer;
};

static bool accepter_accepts(void *opaque, uint64_t offset, unsigned size, bool is_write, struct gmem_attrs attrs)
{
    struct accepter *accepter = opaque;

    (void)offset;
    (void)size;
    (void)is_write;
    accepter->asked++;
    accepter->attrs = attrs;
    return accepter->answer;
}

static void attributes(void **state)
{
    const struct gmem_attrs attrs = {.requester = 0x1234, .secure = true, .user = true};
    struct accepter accepter = {.answer = true};
    struct gmem_mmio_ops ops = bytes_ops;
    struct world world;
    uint16_t value;

    (void)state;
    world_open(&world);
    ops.valid.accepts = accepter_accepts;
    world_mmio(&world, 0, BYTES_SIZE, &ops, &accepter);
    assert_int_equal(gmem_ld16_le(world.space, 0, attrs, &value), GMEM_OK);
    assert_int_equal(accepter.device.last_attrs.requester, 0x1234);
    assert_true(accepter.device.last_attrs.secure && accepter.device.last_attrs.user);
    assert_int_equal(accepter.attrs.requester, 0x1234);
    assert_int_equal(gmem_st16_le(world.space, 0, (struct gmem_attrs){.user = true}, value), GMEM_OK);
    assert_int_equal(accepter.device.last_attrs.requester, 0);
    assert_true(!accepter.device.last_attrs.secure && accepter.device.last_attrs.user);
    assert_true(!accepter.attrs.secure && accepter.attrs.user);
    assert_int_equal(gmem_space_fill(world.space, 0, attrs, 1, 2), GMEM_OK);
    assert_int_equal(accepter.device.last_attrs.requester, 0x1234);
    world_close(&world);
}

static void refusal(void **state)
{
    struct accepter accepter = {.answer = false};
    struct gmem_mmio_ops ops = bytes_ops;
    struct world world;
    uint64_t value;

    (void)state;
    world_open_with(&world, GMEM_ENDIAN_LITTLE, true);
    ops.valid.accepts = accepter_accepts;
    ops.valid.max = 4;
    world_mmio(&world, 0, BYTES_SIZE, &ops, &accepter);
    assert_int_equal(gmem_ld64_le(world.space, 0, NONE, &value), GMEM_RESULT_REFUSED);
    assert_true(value == UINT64_MAX);
    assert_int_equal(gmem_st64_le(world.space, 0, NONE, 0), GMEM_RESULT_REFUSED);
    assert_int_equal(accepter.asked, 4);
    assert_int_equal(accepter.device.reads + accepter.device.writes, 0);
    world_close(&world);
}

static void device_errors(void **state)
{
    struct bytes_device one = {.read_result = GMEM_RESULT_DEVICE}, two = {.write_result = GMEM_RESULT_DEVICE};
    struct world world;
    uint8_t buf[0x90];
    uint32_t value;

    (void)state;
    world_open(&world);
    world_mmio(&world, 0, BYTES_SIZE, &bytes_ops, &one);
    world_mmio(&world, 0x40, BYTES_SIZE, &bytes_ops, &two);
    memset(one.bytes, 0x12, BYTES_SIZE);
    assert_int_equal(gmem_ld32_le(world.space, 0, NONE, &value), GMEM_RESULT_DEVICE);
    assert_int_equal(value, 0x12121212);
    assert_int_equal(gmem_st32_le(world.space, 0, NONE, 0), GMEM_OK);
    assert_int_equal(gmem_st32_le(world.space, 0x40, NONE, 0), GMEM_RESULT_DEVICE);
    /* An error does not end an access, and what befell its pieces is put together. */
    memset(buf, 0x34, sizeof(buf));
    assert_int_equal(gmem_space_write(world.space, 0x38, NONE, buf, 0x90), GMEM_RESULT_DEVICE | GMEM_RESULT_DECODE);
    assert_memory_equal(two.bytes, buf, BYTES_SIZE);
    assert_int_equal(gmem_space_read(world.space, 0x38, NONE, buf, 0x90), GMEM_RESULT_DEVICE | GMEM_RESULT_DECODE);
    world_close(&world);
}

/* Where bytes beside the guest's can't be read, nothing is written in their place. */
static void error_in_read_for_write(void **state)
{
    struct bytes_device device = {.read_result = GMEM_RESULT_DEVICE};
    struct gmem_mmio_ops ops = bytes_ops;
    struct world world;

    (void)state;
    world_open(&world);
    ops.impl.min = 4;
    world_mmio(&world, 0, BYTES_SIZE, &ops, &device);
    memset(device.bytes, 0x56, BYTES_SIZE);
    assert_int_equal(gmem_st8(world.space, 1, NONE, 0), GMEM_RESULT_DEVICE);
    assert_int_equal(device.reads, 1);
    assert_int_equal(device.writes, 0);
    assert_int_equal(gmem_st32_le(world.space, 0, NONE, 0x01020304), GMEM_OK);
    assert_int_equal(device.reads, 1);
    assert_int_equal(device.bytes[0], 4);
    world_close(&world);
}

/* --- nesting ------------------------------------------------------------------------------------------------------- */

/* A register that is a copy engine: a write of an address reads 64 bytes there and writes them at 0x2000. */
struct engine {
    gmem_space *space;
    gmem_result result;
};

static gmem_result engine_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct engine *engine = opaque;

    (void)size;
    /* Reads as what is in memory at the offset. */
    return gmem_ld64_le(engine->space, 0x2000 + offset, attrs, ret_value);
}

static gmem_result engine_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct engine *engine = opaque;
    uint8_t buf[64];

    (void)offset;
    (void)size;
    engine->result = gmem_space_read(engine->space, value, attrs, buf, sizeof(buf));
    engine->result |= gmem_space_write(engine->space, 0x2000, attrs, buf, sizeof(buf));
    return GMEM_OK;
}

static void accesses_from_a_callback(void **state)
{
    const struct gmem_mmio_ops ops = {.read = engine_read, .write = engine_write, .impl = {.min = 8, .max = 8}};
    struct bytes_device source = {0};
    struct engine engine = {0};
    struct world world;
    uint64_t value;
    uint8_t *host;

    (void)state;
    world_open(&world);
    engine.space = world.space;
    bytes_pattern(source.bytes, BYTES_SIZE, 0x60);
    world_mmio(&world, 0x1000, BYTES_SIZE, &bytes_ops, &source);
    host = world_ram(&world, 0x2000, 0x1000, "ram");
    world_mmio(&world, 0x4000, 0x100, &ops, &engine);
    assert_int_equal(gmem_st64_le(world.space, 0x4000, NONE, 0x1000), GMEM_OK);
    assert_int_equal(engine.result, GMEM_OK);
    assert_memory_equal(host, source.bytes, BYTES_SIZE);
    assert_int_equal(gmem_ld64_le(world.space, 0x4008, NONE, &value), GMEM_OK);
    assert_true(value == 0x6f6e6d6c6b6a6968);
    world_close(&world);
}

/* --- changing the map ---------------------------------------------------------------------------------------------- */

/* A register whose write swaps what lies at 0x2000, behind it, and moves the register itself away. */
struct mover {
    struct world *world;
    gmem_region *self, *before, *after;
    unsigned calls;
    uint8_t seen; /* what a nested access finds at 0x2000 */
};

static gmem_result mover_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    *ret_value = 0;
    return GMEM_OK;
}

static gmem_result mover_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct mover *mover = opaque;

    (void)offset;
    (void)size;
    (void)value;
    if (mover->calls++ > 0)
        return GMEM_OK;
    if (gmem_vm_begin(mover->world->vm) || gmem_region_set_enabled(mover->before, false) ||
        gmem_region_set_enabled(mover->after, true) || gmem_region_move(mover->self, 0x8000) ||
        gmem_vm_commit(mover->world->vm))
        return GMEM_RESULT_DEVICE;
    /* A new access sees the new map, though the one that led here does not. */
    return gmem_ld8(mover->world->space, 0x2000, attrs, &mover->seen);
}

static void one_access_sees_one_view(void **state)
{
    const struct gmem_mmio_ops ops = {.read = mover_read, .write = mover_write, .valid = {.max = 4}};
    uint8_t buf[0x20], *before, *after;
    struct mover mover = {0};
    struct world world;
    uint32_t value;

    (void)state;
    world_open(&world);
    mover.world = &world;
    mover.self = world_mmio(&world, 0x1ff0, 0x10, &ops, &mover);
    mover.before = world_memory(&world, GMEM_KIND_RAM, "before", 0x1000, NULL, NULL, &before);
    mover.after = world_memory(&world, GMEM_KIND_RAM, "after", 0x1000, NULL, NULL, &after);
    world_place(&world, mover.before, 0x2000);
    assert_int_equal(gmem_region_set_enabled(mover.after, false), 0);
    world_place(&world, mover.after, 0x2000);
    after[0] = 0x77;

    /* Four calls of the register, the first of which changes everything, and 16 bytes beyond. */
    memset(buf, 0x99, sizeof(buf));
    assert_int_equal(gmem_space_write(world.space, 0x1ff0, NONE, buf, 0x20), GMEM_OK);
    assert_int_equal(mover.calls, 4);
    assert_int_equal(mover.seen, 0x77);
    assert_memory_equal(before, buf, 0x10);
    assert_int_equal(after[0], 0x77);

    assert_int_equal(gmem_ld32_le(world.space, 0x2000, NONE, &value), GMEM_OK);
    assert_int_equal(value, 0x77);
    assert_int_equal(gmem_ld32_le(world.space, 0x1ff0, NONE, &value), GMEM_RESULT_DECODE);
    assert_int_equal(gmem_st32_le(world.space, 0x8000, NONE, 0), GMEM_OK);
    assert_int_equal(mover.calls, 5);
    world_close(&world);
}

/* A device that unplugs itself from its own callback, and whose memory goes with the library's last reference. */
struct hotplug {
    struct world *world;
    gmem_region *self;
    unsigned *freed;
    unsigned calls;
};

static void hotplug_unref(void *opaque)
{
    struct hotplug *hotplug = opaque;

    __atomic_fetch_add(hotplug->freed, 1, __ATOMIC_RELEASE);
    free(hotplug);
}

static gmem_result hotplug_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct hotplug *hotplug = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    (void)value;
    if (hotplug->calls++ > 0)
        return GMEM_OK;
    if (gmem_region_remove(hotplug->world->root, hotplug->self))
        return GMEM_RESULT_DEVICE;
    gmem_region_unref(hotplug->self);
    return GMEM_OK;
}

static void device_that_unplugs_itself(void **state)
{
    const struct gmem_mmio_ops ops = {.read = mover_read, .write = hotplug_write, .valid = {.max = 4}};
    struct hotplug *hotplug = calloc(1, sizeof(*hotplug));
    struct gmem_owner owner = {.opaque = hotplug, .unref = hotplug_unref};
    unsigned freed = 0;
    struct world world;
    uint8_t buf[16] = {0};

    (void)state;
    assert_non_null(hotplug);
    world_open(&world);
    hotplug->world = &world;
    hotplug->freed = &freed;
    assert_int_equal(gmem_region_create_mmio(world.vm, "hotplug", GMEM_SIZE(16), &ops, hotplug, &owner, &hotplug->self),
                     0);
    world_place(&world, hotplug->self, 0);
    /* The second to fourth call find the device alive, though nothing but this access can reach it: the sanitizer looks. */
    assert_int_equal(gmem_space_write(world.space, 0, NONE, buf, 16), GMEM_OK);
    assert_int_equal(gmem_space_write(world.space, 0, NONE, buf, 16), GMEM_RESULT_DECODE);
    world_close(&world);
    assert_int_equal(__atomic_load_n(&freed, __ATOMIC_ACQUIRE), 1);
}

/* A callback that waits for another thread's commit: neither the commit nor an access of that thread waits for it (G3). */
struct waiter {
    struct world *world;
    gmem_region *other;
    int err;
};

static void *waiter_thread(void *opaque)
{
    struct waiter *waiter = opaque;
    uint32_t value;

    waiter->err = gmem_region_set_enabled(waiter->other, false);
    if (!waiter->err && gmem_ld32_le(waiter->world->space, 0x1000, NONE, &value) != GMEM_RESULT_DECODE)
        waiter->err = 1;
    return NULL;
}

static gmem_result waiter_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    pthread_t thread;

    (void)offset;
    (void)size;
    (void)attrs;
    (void)value;
    if (pthread_create(&thread, NULL, waiter_thread, opaque) || pthread_join(thread, NULL))
        return GMEM_RESULT_DEVICE;
    return GMEM_OK;
}

static void commit_does_not_wait_for_a_callback(void **state)
{
    const struct gmem_mmio_ops ops = {.read = mover_read, .write = waiter_write};
    struct waiter waiter = {.err = -1};
    struct world world;

    (void)state;
    world_open(&world);
    waiter.world = &world;
    waiter.other = world_memory(&world, GMEM_KIND_RAM, "other", 0x1000, NULL, NULL, NULL);
    world_place(&world, waiter.other, 0x1000);
    world_mmio(&world, 0, 16, &ops, &waiter);
    assert_int_equal(gmem_st8(world.space, 0, NONE, 0), GMEM_OK);
    assert_int_equal(waiter.err, 0);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes),
        cmocka_unit_test(refusal),
        cmocka_unit_test(device_errors),
        cmocka_unit_test(error_in_read_for_write),
        cmocka_unit_test(accesses_from_a_callback),
        cmocka_unit_test(one_access_sees_one_view),
        cmocka_unit_test(device_that_unplugs_itself),
        cmocka_unit_test(commit_does_not_wait_for_a_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
