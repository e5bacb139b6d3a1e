/* SPDX-License-Identifier: MIT */
/*
 * test-region-lock.c - the lock that a region names: when it is taken, when it is not, and that it keeps threads apart.
 */
#include "access_world.h"
#include <errno.h>
#include <pthread.h>

#define HERE 0x1000u
#define THERE 0x2000u

/* What happened, a letter each: L lock, U unlock, a accepts, r read, w write, and what the second device does in capitals. */
static char story[200];

static void tell(char what)
{
    size_t length = strlen(story);

    assert_true(length + 1 < sizeof(story));
    story[length] = what;
    story[length + 1] = '\0';
}

#define STORY(expected)                                                                                                \
    do {                                                                                                               \
        assert_string_equal(story, expected);                                                                          \
        story[0] = '\0';                                                                                               \
    } while (0)

struct held {
    unsigned held; /* a second taking fails the test: it is not recursive */
    char lock, unlock;
};

static void take(void *opaque)
{
    struct held *held = opaque;

    assert_int_equal(held->held, 0);
    held->held = 1;
    tell(held->lock);
}

static void give(void *opaque)
{
    struct held *held = opaque;

    assert_int_equal(held->held, 1);
    held->held = 0;
    tell(held->unlock);
}

struct device {
    gmem_space *space;
    uint64_t target; /* of an access from the callbacks */
    struct held *held;
    bool refuse;
    char read, write, accept;
};

static void go_on(const struct device *device)
{
    uint32_t value;

    if (device->held)
        assert_int_equal(device->held->held, 1);
    if (device->target)
        (void)gmem_ld32_le(device->space, device->target, GMEM_ATTRS_NONE, &value);
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;

    (void)offset, (void)size, (void)attrs, (void)ret_value;
    tell(device->read);
    go_on(device);
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    (void)offset, (void)size, (void)attrs, (void)value;
    tell(device->write);
    go_on(device);
    return GMEM_OK;
}

static bool device_accepts(void *opaque, uint64_t offset, unsigned size, bool is_write, struct gmem_attrs attrs)
{
    struct device *device = opaque;

    (void)offset, (void)size, (void)is_write, (void)attrs;
    tell(device->accept);
    assert_int_equal(device->held->held, 1);
    return !device->refuse;
}

struct fixture {
    struct world world;
    struct held held, other;
    struct device device, second;
    struct gmem_owner owner;
    struct gmem_mmio_ops ops;
};

static void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    world_open(&f->world);
    f->held = (struct held){0, 'L', 'U'};
    f->other = (struct held){0, '(', ')'};
    f->device = (struct device){f->world.space, 0, &f->held, false, 'r', 'w', 'a'};
    f->second = (struct device){f->world.space, 0, &f->held, false, 'R', 'W', 'A'};
    f->owner.lock = (struct gmem_lock){take, give, &f->held};
    f->ops = (struct gmem_mmio_ops){.read = device_read, .write = device_write};
    story[0] = '\0';
}

static void place(struct fixture *f, uint64_t addr, struct device *device)
{
    gmem_region *region;

    assert_int_equal(gmem_region_create_mmio(f->world.vm, "dev", GMEM_SIZE(64), &f->ops, device, &f->owner, &region),
                     0);
    world_place(&f->world, region, addr);
    gmem_region_unref(region);
}

static void fixture_close(struct fixture *f)
{
    assert_int_equal(f->held.held, 0);
    assert_int_equal(f->other.held, 0);
    world_close(&f->world);
}

static gmem_result load(struct fixture *f, uint64_t addr)
{
    uint32_t value;

    return gmem_ld32_le(f->world.space, addr, GMEM_ATTRS_NONE, &value);
}

static void test_around_each_call(void **state)
{
    struct fixture f;
    uint8_t bytes[16] = {0};

    (void)state;
    fixture_open(&f);
    place(&f, HERE, &f.device);
    assert_int_equal(load(&f, HERE), GMEM_OK);
    STORY("LrU");
    assert_int_equal(gmem_st8(f.world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    STORY("LwU");
    /* Two accesses of the bus. */
    assert_int_equal(gmem_space_read(f.world.space, HERE, GMEM_ATTRS_NONE, bytes, 16), GMEM_OK);
    STORY("LrULrU");
    fixture_close(&f);
}

/* What is put together from several is done under one hold. */
static void test_one_hold(void **state)
{
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    f.ops.impl.min = 4;
    f.ops.impl.max = 4;
    place(&f, HERE, &f.device);
    assert_int_equal(gmem_st8(f.world.space, HERE + 1, GMEM_ATTRS_NONE, 1), GMEM_OK);
    STORY("LrwU");
    assert_int_equal(gmem_st64_le(f.world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    STORY("LwwU");
    f.ops.valid.unaligned = true;
    place(&f, THERE, &f.device);
    assert_int_equal(gmem_st32_le(f.world.space, THERE + 2, GMEM_ATTRS_NONE, 1), GMEM_OK);
    STORY("LrwrwU");
    assert_int_equal(gmem_ld32_le(f.world.space, THERE + 2, GMEM_ATTRS_NONE, &value), GMEM_OK);
    STORY("LrrU");
    fixture_close(&f);
}

static void test_accepts_too(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    f.ops.valid.accepts = device_accepts;
    place(&f, HERE, &f.device);
    assert_int_equal(load(&f, HERE), GMEM_OK);
    STORY("LarU");
    f.device.refuse = true;
    assert_int_equal(load(&f, HERE), GMEM_RESULT_REFUSED);
    STORY("LaU");
    fixture_close(&f);
}

static void test_not_taken_twice(void **state)
{
    struct gmem_guard_entry entry, again;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, &f.device);
    place(&f, THERE, &f.second);
    f.device.target = THERE;
    assert_int_equal(load(&f, HERE), GMEM_OK);
    STORY("LrRU");
    /* By hand: it is the thread's, as far as the library is concerned. */
    gmem_lock_enter(&f.owner.lock, &entry);
    gmem_lock_enter(&f.owner.lock, &again);
    STORY("L");
    assert_int_equal(load(&f, HERE), GMEM_OK);
    STORY("rR");
    gmem_lock_leave(&again);
    STORY("");
    gmem_lock_leave(&entry);
    STORY("U");
    fixture_close(&f);
}

/* Another lock is taken inside, and the first one again further in is not. */
static void test_two_locks(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, &f.device);
    f.owner.lock.opaque = &f.other;
    f.second.held = &f.other;
    place(&f, THERE, &f.second);
    f.device.target = THERE;
    assert_int_equal(load(&f, HERE), GMEM_OK);
    STORY("Lr(R)U");
    /* The second comes back to another register of the first, once. */
    f.device.target = 0;
    f.second.target = HERE;
    assert_int_equal(load(&f, THERE), GMEM_OK);
    STORY("(RLrU)");
    fixture_close(&f);
}

/* What the guard refuses waits for no lock. */
static void test_guard_before_lock(void **state)
{
    struct gmem_guard_entry entry;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    assert_int_equal(gmem_guard_create(f.world.vm, "dev", &f.owner.guard), 0);
    place(&f, HERE, &f.device);
    assert_true(gmem_guard_enter(f.owner.guard, &entry));
    assert_int_equal(load(&f, HERE), GMEM_RESULT_REENTRANT);
    assert_int_equal(gmem_st8(f.world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_RESULT_REENTRANT);
    STORY("");
    gmem_guard_leave(&entry);
    assert_int_equal(load(&f, HERE), GMEM_OK);
    STORY("LrU");
    gmem_guard_unref(f.owner.guard);
    fixture_close(&f);
}

static void test_no_callback_no_lock(void **state)
{
    gmem_region *romd, *ram;
    uint8_t *host;
    gmem_ram *block;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    assert_int_equal(gmem_ram_create_anon(f.world.vm, "flash", 0x1000, &block), 0);
    assert_int_equal(gmem_region_create_romd(f.world.vm, "flash", block, &f.ops, &f.device, &f.owner, &romd), 0);
    assert_int_equal(gmem_region_create_ram(f.world.vm, "ram", block, &f.owner, &ram), 0);
    host = gmem_ram_host(block);
    host[0] = 1;
    world_place(&f.world, romd, HERE);
    world_place(&f.world, ram, HERE + 0x1000);
    assert_int_equal(load(&f, HERE), GMEM_OK);
    assert_int_equal(load(&f, HERE + 0x1000), GMEM_OK);
    STORY("");
    assert_int_equal(gmem_st8(f.world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    STORY("LwU");
    assert_int_equal(gmem_region_set_romd(romd, false), 0);
    assert_int_equal(load(&f, HERE), GMEM_OK);
    STORY("LrU");
    assert_int_equal(gmem_region_set_readonly(romd, true), 0);
    assert_int_equal(gmem_st8(f.world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    STORY("");
    gmem_ram_unref(block);
    gmem_region_unref(romd);
    gmem_region_unref(ram);
    fixture_close(&f);
}

static void test_lock_without_unlock(void **state)
{
    gmem_region *region = NULL;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    f.owner.lock.unlock = NULL;
    assert_int_equal(gmem_region_create_mmio(f.world.vm, "dev", GMEM_SIZE(4), &f.ops, &f.device, &f.owner, &region),
                     -EINVAL);
    assert_null(region);
    fixture_close(&f);
}

/* --- threads ------------------------------------------------------------------------------------------------------------- */

#define ROUNDS 3000u

struct shared {
    pthread_mutex_t mutex;
    uint64_t sum; /* not atomic: ThreadSanitizer sees it if nothing keeps threads apart */
    unsigned inside;
};

static void lock_shared(void *opaque)
{
    pthread_mutex_lock(&((struct shared *)opaque)->mutex);
}

static void unlock_shared(void *opaque)
{
    pthread_mutex_unlock(&((struct shared *)opaque)->mutex);
}

static gmem_result shared_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct shared *shared = opaque;

    (void)offset, (void)size, (void)attrs;
    *ret_value = shared->sum;
    return GMEM_OK;
}

/* One of 4 bytes that is written by bytes: each is a read and a write. */
static gmem_result shared_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct shared *shared = opaque;

    (void)offset, (void)size, (void)attrs;
    shared->inside++;
    assert_int_equal(shared->inside, 1);
    shared->sum = value;
    shared->inside--;
    return GMEM_OK;
}

static void *write_bytes(void *opaque)
{
    unsigned i;

    for (i = 0; i < ROUNDS; i++)
        assert_int_equal(gmem_st8(opaque, HERE, GMEM_ATTRS_NONE, (uint8_t)i), GMEM_OK);
    assert_int_equal(gmem_st8(opaque, HERE, GMEM_ATTRS_NONE, 0xaa), GMEM_OK);
    return NULL;
}

static void *write_others(void *opaque)
{
    unsigned i;

    for (i = 0; i < ROUNDS; i++)
        assert_int_equal(gmem_st8(opaque, HERE + 1, GMEM_ATTRS_NONE, (uint8_t)i), GMEM_OK);
    assert_int_equal(gmem_st8(opaque, HERE + 1, GMEM_ATTRS_NONE, 0xbb), GMEM_OK);
    return NULL;
}

/* Neither's byte is lost to the other's reading and writing back. */
static void test_threads(void **state)
{
    static const struct gmem_mmio_ops ops = {
        .read = shared_read, .write = shared_write, .endian = GMEM_ENDIAN_LITTLE, .impl = {.min = 4, .max = 4}};
    struct shared shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct gmem_owner owner = {.lock = {lock_shared, unlock_shared, &shared}};
    struct world world;
    gmem_region *region;
    pthread_t thread;

    (void)state;
    world_open(&world);
    assert_int_equal(gmem_region_create_mmio(world.vm, "shared", GMEM_SIZE(4), &ops, &shared, &owner, &region), 0);
    world_place(&world, region, HERE);
    assert_int_equal(pthread_create(&thread, NULL, write_bytes, world.space), 0);
    write_others(world.space);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(shared.sum, 0xbbaa);
    gmem_region_unref(region);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_around_each_call),
        cmocka_unit_test(test_one_hold),
        cmocka_unit_test(test_accepts_too),
        cmocka_unit_test(test_not_taken_twice),
        cmocka_unit_test(test_two_locks),
        cmocka_unit_test(test_guard_before_lock),
        cmocka_unit_test(test_no_callback_no_lock),
        cmocka_unit_test(test_lock_without_unlock),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
