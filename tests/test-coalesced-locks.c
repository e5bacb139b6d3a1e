/* SPDX-License-Identifier: MIT */
/*
 * test-coalesced-locks.c - queued writes beside the locks of several devices, the writer turn, and owners that end. Several of these would
 * hang if the library waited where it must not.
 */
#include "access_world.h"
#include "rcu.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define X_AT 0x10000u
#define Y_AT 0x20000u
#define QUEUED 0x00u /* registers that coalesce, and one that does not */
#define DIRECT 0x80u

struct device {
    struct world *world;
    const struct device *other;
    pthread_mutex_t mutex;
    gmem_guard *guard;
    struct gmem_lock lock;
    gmem_region *region;
    void (*callback)(struct device *device); /* in a write to DIRECT */
    unsigned queued, direct;                 /* writes that arrived; with the lock */
};

static void lock_mutex(void *opaque)
{
    pthread_mutex_lock(opaque);
}

static void unlock_mutex(void *opaque)
{
    pthread_mutex_unlock(opaque);
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    (void)size, (void)attrs, (void)value;
    if (offset == DIRECT) {
        device->direct++;
        if (device->callback)
            device->callback(device);
    } else {
        device->queued++;
    }
    return GMEM_OK;
}

static void device_open(struct device *device, struct world *world, uint64_t addr, const struct gmem_lock *lock)
{
    static const struct gmem_mmio_ops ops = {.read = device_read, .write = device_write};
    struct gmem_owner owner = {0};

    *device = (struct device){.world = world};
    assert_int_equal(pthread_mutex_init(&device->mutex, NULL), 0);
    device->lock = lock ? *lock : (struct gmem_lock){lock_mutex, unlock_mutex, &device->mutex};
    assert_int_equal(gmem_guard_create(world->vm, "dev", &device->guard), 0);
    owner.guard = device->guard;
    owner.lock = device->lock;
    assert_int_equal(
        gmem_region_create_mmio(world->vm, "dev", GMEM_SIZE(0x1000), &ops, device, &owner, &device->region), 0);
    assert_int_equal(gmem_region_add_coalesced(device->region, 0, 0x3f), 0);
    world_place(world, device->region, addr);
}

static void device_close(struct device *device)
{
    gmem_region_unref(device->region);
    gmem_guard_unref(device->guard);
}

struct fixture {
    struct world world;
    struct device x, y;
};

static void fixture_open(struct fixture *f)
{
    world_open(&f->world);
    device_open(&f->x, &f->world, X_AT, NULL);
    device_open(&f->y, &f->world, Y_AT, NULL);
    f->x.other = &f->y;
    f->y.other = &f->x;
    assert_int_equal(gmem_vm_set_coalescing(f->world.vm, true), 0);
}

static void fixture_close(struct fixture *f)
{
    device_close(&f->x);
    device_close(&f->y);
    world_close(&f->world);
    assert_int_equal(pthread_mutex_destroy(&f->x.mutex), 0);
    assert_int_equal(pthread_mutex_destroy(&f->y.mutex), 0);
}

static void store(struct world *world, uint64_t addr)
{
    assert_int_equal(gmem_st32_le(world->space, addr, GMEM_ATTRS_NONE, 1), GMEM_OK);
}

/* Any edit that is a transaction of its own. */
static void edit(struct world *world)
{
    gmem_region *region;

    assert_int_equal(gmem_region_create_container(world->vm, "z", GMEM_SIZE(0x1000), NULL, &region), 0);
    assert_int_equal(gmem_region_add(world->root, 0x50000, region), 0);
    assert_int_equal(gmem_region_remove(world->root, region), 0);
    gmem_region_unref(region);
}

/* --- two locks --------------------------------------------------------------------------------------------------------- */

static void edit_and_look(struct device *device)
{
    edit(device->world);
    gmem_vm_flush_coalesced(device->world->vm);
    assert_int_equal(device->other->queued, 0);
}

/* Who has one device's lock delivers nothing that needs another's. */
static void test_no_second_lock(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    store(&f.world, Y_AT + QUEUED);
    f.x.callback = edit_and_look;
    store(&f.world, X_AT + DIRECT);
    assert_int_equal(f.x.direct, 1);
    assert_int_equal(f.y.queued, 0);
    gmem_vm_flush_coalesced(f.world.vm);
    assert_int_equal(f.y.queued, 1);
    fixture_close(&f);
}

static void edit_and_look_same(struct device *device)
{
    edit(device->world);
    assert_int_equal(device->other->queued, 1);
}

/* But where both have one lock there is no second. */
static void test_the_same_lock(void **state)
{
    struct world world;
    struct device x, y;

    (void)state;
    world_open(&world);
    device_open(&x, &world, X_AT, NULL);
    device_open(&y, &world, Y_AT, &x.lock);
    assert_int_equal(gmem_vm_set_coalescing(world.vm, true), 0);
    store(&world, Y_AT + QUEUED);
    x.other = &y;
    x.callback = edit_and_look_same;
    store(&world, X_AT + DIRECT);
    assert_int_equal(y.queued, 1);
    device_close(&x);
    device_close(&y);
    world_close(&world);
}

static pthread_barrier_t both;

/* Each queues for the other and commits, both inside their locks. */
static void queue_and_edit(struct device *device)
{
    gmem_region *region;

    pthread_barrier_wait(&both);
    store(device->world, gmem_region_offset(device->other->region) + QUEUED);
    pthread_barrier_wait(&both);
    assert_int_equal(gmem_region_create_container(device->world->vm, "z", GMEM_SIZE(0x1000), NULL, &region), 0);
    assert_int_equal(gmem_region_add(device->world->root, gmem_region_offset(device->region) + 0x8000, region), 0);
    gmem_region_unref(region);
}

static void *write_to_y(void *opaque)
{
    store(opaque, Y_AT + DIRECT);
    return NULL;
}

static void test_two_that_commit_in_their_locks(void **state)
{
    struct fixture f;
    pthread_t thread;

    (void)state;
    fixture_open(&f);
    f.x.callback = f.y.callback = queue_and_edit;
    assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_to_y, &f.world), 0);
    store(&f.world, X_AT + DIRECT);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&both);
    gmem_vm_flush_coalesced(f.world.vm);
    assert_int_equal(f.x.queued, 1);
    assert_int_equal(f.y.queued, 1);
    fixture_close(&f);
}

/* --- the turn ---------------------------------------------------------------------------------------------------------- */

/* One thread is in X's callback, with its lock; when another has the turn, it edits, and so waits for that. */
struct turn {
    struct fixture f;
    struct gmem_listener listener;
    gmem_region *block;
    gmem_ram *ram;
    gmem_hotplug *hotplug;
    bool in_callback, armed, with_turn; /* atomic */
};

static struct turn *turn;

static void wait_for(const bool *flag)
{
    while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void edit_when_asked(struct device *device)
{
    __atomic_store_n(&turn->in_callback, true, __ATOMIC_RELEASE);
    wait_for(&turn->with_turn);
    edit(device->world);
}

static void *write_to_x(void *opaque)
{
    store(opaque, X_AT + DIRECT);
    return NULL;
}

static int heard(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    if (!__atomic_load_n(&turn->armed, __ATOMIC_ACQUIRE))
        return 0;
    /* With the turn nothing is delivered: X's lock is taken. */
    gmem_vm_flush_coalesced(turn->f.world.vm);
    __atomic_store_n(&turn->with_turn, true, __ATOMIC_RELEASE);
    return 0;
}

static void turn_open(void)
{
    struct gmem_ram_options ram = {.struct_size = sizeof(ram), .id = "dimm", .size = 1u << 20, .max_size = 2u << 20};
    struct gmem_hotplug_options options = {
        .struct_size = sizeof(options), .base = 1ull << 32, .size = 1u << 24, .slots = 4};

    turn = test_calloc(1, sizeof(*turn));
    fixture_open(&turn->f);
    assert_int_equal(gmem_hotplug_create(turn->f.world.root, &options, &turn->hotplug), 0);
    assert_int_equal(gmem_ram_create(turn->f.world.vm, &ram, &turn->ram), 0);
    assert_int_equal(gmem_region_create_ram(turn->f.world.vm, "dimm", turn->ram, NULL, &turn->block), 0);
}

static void turn_close(void)
{
    gmem_region_unref(turn->block);
    gmem_ram_unref(turn->ram);
    gmem_hotplug_destroy(turn->hotplug);
    fixture_close(&turn->f);
    test_free(turn);
}

/* change() while another thread is in X's callback, and a write for X is queued. */
static void beside_a_callback(void (*change)(void))
{
    pthread_t thread;

    turn->in_callback = turn->armed = turn->with_turn = false;
    turn->f.x.callback = edit_when_asked;
    assert_int_equal(pthread_create(&thread, NULL, write_to_x, &turn->f.world), 0);
    wait_for(&turn->in_callback);
    store(&turn->f.world, X_AT + QUEUED);
    turn->listener =
        (struct gmem_listener){.struct_size = sizeof(turn->listener), .region_add = heard, .region_del = heard};
    assert_int_equal(gmem_listener_register(turn->f.world.vm, NULL, &turn->listener), 0);
    __atomic_store_n(&turn->armed, true, __ATOMIC_RELEASE);
    change();
    assert_int_equal(pthread_join(thread, NULL), 0);
    gmem_listener_unregister(turn->f.world.vm, &turn->listener);
}

static void plug(void)
{
    assert_int_equal(gmem_hotplug_plug(turn->hotplug, turn->block, NULL, "dimm", NULL), 0);
}

static void unplug(void)
{
    assert_int_equal(gmem_hotplug_unplug(turn->hotplug, "dimm"), 0);
}

static void grow(void)
{
    assert_int_equal(gmem_ram_resize(turn->ram, 2u << 20), 0);
}

static void disable(void)
{
    assert_int_equal(gmem_region_set_enabled(turn->f.y.region, false), 0);
}

static void transaction(void)
{
    assert_int_equal(gmem_vm_begin(turn->f.world.vm), 0);
    __atomic_store_n(&turn->with_turn, true, __ATOMIC_RELEASE);
    gmem_vm_flush_coalesced(turn->f.world.vm);
    assert_int_equal(gmem_vm_set_coalescing(turn->f.world.vm, false), 0);
    gmem_vm_abort(turn->f.world.vm);
    assert_int_equal(gmem_vm_set_coalescing(turn->f.world.vm, true), 0);
}

static void test_not_with_the_turn(void **state)
{
    void (*const changes[])(void) = {plug, grow, unplug, disable, transaction};
    unsigned i;

    (void)state;
    turn_open();
    for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        beside_a_callback(changes[i]);
        gmem_vm_flush_coalesced(turn->f.world.vm);
        assert_int_equal(turn->f.x.queued, i + 1);
    }
    turn_close();
}

/* What was queued is delivered when the turn is given up, by each of them. */
static void test_after_the_turn(void **state)
{
    gmem_vm *vm;
    struct device *x;

    (void)state;
    turn_open();
    vm = turn->f.world.vm;
    x = &turn->f.x;
    store(&turn->f.world, X_AT + QUEUED);
    plug();
    assert_int_equal(x->queued, 1);
    store(&turn->f.world, X_AT + QUEUED);
    grow();
    assert_int_equal(x->queued, 2);
    store(&turn->f.world, X_AT + QUEUED);
    assert_int_equal(gmem_vm_begin(vm), 0);
    unplug();
    gmem_vm_flush_coalesced(vm);
    assert_int_equal(x->queued, 2);
    assert_int_equal(gmem_vm_commit(vm), 0);
    assert_int_equal(x->queued, 3);
    turn_close();
}

/* --- owners that end ----------------------------------------------------------------------------------------------------- */

/* A device whose lock ends with its owner. */
struct mortal {
    pthread_mutex_t mutex;
    gmem_space *space;
    gmem_vm *vm;
    unsigned users;         /* threads in lock(), or that have it; atomic */
    bool ended, wait, slow; /* atomic */
    unsigned writes;
};

static void mortal_lock(void *opaque)
{
    struct mortal *mortal = opaque;
    unsigned rounds;

    assert_false(__atomic_load_n(&mortal->ended, __ATOMIC_ACQUIRE));
    __atomic_fetch_add(&mortal->users, 1, __ATOMIC_ACQ_REL);
    pthread_mutex_lock(&mortal->mutex);
    /* The second one gives the first the time to end the owner, if it would. */
    for (rounds = 0; rounds < 200 && __atomic_load_n(&mortal->slow, __ATOMIC_ACQUIRE); rounds++)
        usleep(1000);
}

static void mortal_unlock(void *opaque)
{
    struct mortal *mortal = opaque;

    assert_false(__atomic_load_n(&mortal->ended, __ATOMIC_ACQUIRE));
    pthread_mutex_unlock(&mortal->mutex);
    __atomic_fetch_sub(&mortal->users, 1, __ATOMIC_ACQ_REL);
}

static void mortal_unref(void *opaque)
{
    struct mortal *mortal = opaque;

    assert_int_equal(__atomic_load_n(&mortal->users, __ATOMIC_ACQUIRE), 0);
    __atomic_store_n(&mortal->ended, true, __ATOMIC_RELEASE);
}

static gmem_result mortal_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct mortal *mortal = opaque;

    (void)offset, (void)size, (void)attrs, (void)value;
    mortal->writes++;
    if (mortal->wait) {
        while (__atomic_load_n(&mortal->users, __ATOMIC_ACQUIRE) < 2)
            sched_yield();
        __atomic_store_n(&mortal->slow, true, __ATOMIC_RELEASE);
    }
    return GMEM_OK;
}

static void *flush(void *opaque)
{
    gmem_vm_flush_coalesced(opaque);
    return NULL;
}

/* A region that only its queued write keeps. */
static void mortal_open(struct mortal *mortal, struct world *world, bool waits)
{
    static const struct gmem_mmio_ops ops = {.read = device_read, .write = mortal_write};
    struct gmem_owner owner = {.opaque = mortal, .unref = mortal_unref, .lock = {mortal_lock, mortal_unlock, mortal}};
    struct gmem_guard_entry entry;
    gmem_region *region;

    *mortal = (struct mortal){.wait = waits};
    assert_int_equal(pthread_mutex_init(&mortal->mutex, NULL), 0);
    assert_int_equal(gmem_guard_create(world->vm, "dev", &owner.guard), 0);
    assert_int_equal(gmem_region_create_mmio(world->vm, "dev", GMEM_SIZE(64), &ops, mortal, &owner, &region), 0);
    assert_int_equal(gmem_region_add_coalesced(region, 0, 63), 0);
    world_place(world, region, X_AT);
    assert_int_equal(gmem_vm_set_coalescing(world->vm, true), 0);
    store(world, X_AT);
    /* In the guard: its commit delivers nothing. */
    assert_true(gmem_guard_enter(owner.guard, &entry));
    assert_int_equal(gmem_region_remove(world->root, region), 0);
    gmem_guard_leave(&entry);
    gmem_region_unref(region);
    gmem_guard_unref(owner.guard);
    /* The view that showed it is gone. */
    gmem__rcu_barrier();
    assert_int_equal(mortal->writes, 0);
}

/* The lock is not used after the last region that names it was let go. */
static void test_the_lock_outlives_its_use(void **state)
{
    struct mortal mortal;
    struct world world;

    (void)state;
    world_open(&world);
    mortal_open(&mortal, &world, false);
    gmem_vm_flush_coalesced(world.vm);
    assert_int_equal(mortal.writes, 1);
    assert_true(mortal.ended);
    world_close(&world);
}

/* Nor by another thread, which came for the same write. */
static void test_the_lock_outlives_who_waits_for_it(void **state)
{
    struct mortal mortal;
    struct world world;
    pthread_t threads[2];
    unsigned i;

    (void)state;
    world_open(&world);
    mortal_open(&mortal, &world, true);
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flush, world.vm), 0);
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(mortal.writes, 1);
    assert_true(mortal.ended);
    world_close(&world);
}

int main(int count, char **names)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_second_lock),
        cmocka_unit_test(test_the_same_lock),
        cmocka_unit_test(test_two_that_commit_in_their_locks),
        cmocka_unit_test(test_not_with_the_turn),
        cmocka_unit_test(test_after_the_turn),
        cmocka_unit_test(test_the_lock_outlives_its_use),
        cmocka_unit_test(test_the_lock_outlives_who_waits_for_it),
    };

    if (count > 1)
        cmocka_set_test_filter(names[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
