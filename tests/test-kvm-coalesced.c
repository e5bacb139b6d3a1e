/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-coalesced.c - the ring of coalesced writes beside guards, locks of regions, transactions and commits: nothing is lost,
 * nothing is delivered where others may be waiting, and each write goes where the map said when it was made.
 *
 * Cites the guarantees at the top of kvm/coalesced_ring.c. The kernel is played. What used to wait for ever ends the program
 * by SIGALRM.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/kvm.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rcu.h"
#include <gmem/gmem.h>
#include <gmem/kvm.h>
#include <gmem/kvm_events.h>

#define A 0x10000u
#define B 0x40000u
#define OTHER 0x20000u
/* A register of each device that is not coalesced; in a region that is. */
#define REGISTER 0x800u

/* --- memory that runs out: libgmem-kvm, and nothing else here, grows its arrays with reallocarray(3) --- */

static bool no_memory;

/* The system's declarations have reserved names. NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
void *reallocarray(void *array, size_t count, size_t size)
{
    if (no_memory || count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(array, count * size);
}

/* --- a map, and the kernel --- */

struct world;

struct device {
    struct world *world;
    char name;
    gmem_region *region;
    gmem_guard *guard;
    pthread_mutex_t mutex;
    struct gmem_lock lock;
    unsigned wanted; /* atomic: calls of lock */
    void (*on_write)(struct device *device, uint64_t value);
    struct gmem_guard_entry entry;
    uint64_t next; /* the value to come */
    uint64_t got;  /* writes of the ring */
};

struct world {
    uint64_t early; /* writes at a place where nothing was shown */
    gmem_vm *vm;
    gmem_region *system;
    gmem_space *memory;
    gmem_kvm_coalesced *coalesced;
    struct device x, y;
    int ring_fd;
    struct kvm_coalesced_mmio_ring *ring;
    uint32_t entries;
    pthread_mutex_t kernel; /* zones, and who fills the ring */
    struct kvm_coalesced_mmio_zone zone[16];
    unsigned zones;
    unsigned taken_away; /* atomic: calls that took a zone away */
    char log[256];       /* the names of devices and values below 10 */
    pthread_mutex_t log_mutex;
};

static void note(struct world *world, const struct device *device, uint64_t value)
{
    size_t at;

    pthread_mutex_lock(&world->log_mutex);
    at = strlen(world->log);
    if (at + 2 < sizeof(world->log)) {
        world->log[at] = device->name;
        world->log[at + 1] = (char)('0' + value);
    }
    pthread_mutex_unlock(&world->log_mutex);
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    *ret_value = 0;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    (void)offset, (void)size, (void)attrs;
    if (value < 10)
        note(device->world, device, value);
    if (device->on_write)
        device->on_write(device, value);
    return GMEM_OK;
}

static const struct gmem_mmio_ops ops = {.read = device_read, .write = device_write, .endian = GMEM_ENDIAN_LITTLE};

static void lock_device(void *opaque)
{
    struct device *device = opaque;

    __atomic_fetch_add(&device->wanted, 1, __ATOMIC_RELEASE);
    pthread_mutex_lock(&device->mutex);
}

static void unlock_device(void *opaque)
{
    struct device *device = opaque;

    pthread_mutex_unlock(&device->mutex);
}

static int kernel_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
    struct world *world = opaque;
    const struct kvm_coalesced_mmio_zone *zone = arg;
    unsigned i;

    assert_int_equal(fd, 77);
    if (request == KVM_CHECK_EXTENSION)
        return (uintptr_t)arg == KVM_CAP_COALESCED_MMIO ? 2 : 0;
    pthread_mutex_lock(&world->kernel);
    if (request == KVM_REGISTER_COALESCED_MMIO) {
        world->zone[world->zones++] = *zone;
    } else {
        for (i = world->zones; i-- > 0;) {
            if (world->zone[i].addr == zone->addr)
                world->zone[i] = world->zone[--world->zones];
        }
        __atomic_fetch_add(&world->taken_away, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&world->kernel);
    return 0;
}

/* What the kernel puts in the ring. False: it is full. */
static bool put(struct world *world, uint64_t addr, uint32_t len, uint64_t value)
{
    uint32_t last = world->ring->last;
    struct kvm_coalesced_mmio *entry = &world->ring->coalesced_mmio[last];

    if ((last + 1) % world->entries == __atomic_load_n(&world->ring->first, __ATOMIC_ACQUIRE))
        return false;
    *entry = (struct kvm_coalesced_mmio){.phys_addr = addr, .len = len};
    memcpy(entry->data, &value, sizeof(entry->data));
    __atomic_store_n(&world->ring->last, (last + 1) % world->entries, __ATOMIC_RELEASE);
    return true;
}

static bool shows_x(struct world *world, uint64_t addr)
{
    gmem_view *view = gmem_space_view(world->memory);
    struct gmem_section section;
    bool shown =
        gmem_view_find(view, addr, &section) == 0 && section.first <= addr && section.region == world->x.region;

    gmem_view_unref(view);
    return shown;
}

/*
 * A guest's write. False: nothing coalesces it, or there is no room. The kernel coalesces at a new place a moment before the
 * map that shows x there is published: a write that comes early may meet the map of before, as an exit would, and is counted.
 */
static bool put_where_coalesced(struct world *world, uint64_t addr, uint64_t value)
{
    bool done = false;
    unsigned i;

    pthread_mutex_lock(&world->kernel);
    for (i = 0; i < world->zones && !done; i++) {
        bool early = !shows_x(world, addr);

        done = addr - world->zone[i].addr < world->zone[i].size && put(world, addr, 4, value);
        world->early += done && early;
    }
    pthread_mutex_unlock(&world->kernel);
    return done;
}

static void place(struct world *world, struct device *device, char name, uint64_t addr)
{
    struct gmem_owner owner = {.lock = {lock_device, unlock_device, device}};
    const char label[] = {name, 0};

    device->world = world;
    device->name = name;
    device->lock = owner.lock;
    pthread_mutex_init(&device->mutex, NULL);
    assert_int_equal(gmem_guard_create(world->vm, label, &device->guard), 0);
    owner.guard = device->guard;
    assert_int_equal(
        gmem_region_create_mmio(world->vm, label, GMEM_SIZE(0x1000), &ops, device, &owner, &device->region), 0);
    assert_int_equal(gmem_region_add_coalesced(device->region, 0, 0xff), 0);
    assert_int_equal(gmem_region_add(world->system, addr, device->region), 0);
}

static int attach(struct world *world)
{
    struct gmem_kvm_coalesced_options options = {
        .struct_size = sizeof(options), .vm_fd = 77, .ioctl = kernel_ioctl, .ioctl_opaque = world};

    return gmem_kvm_coalesced_create(world->memory, NULL, &options, &world->coalesced);
}

/* x at A, y at OTHER; an access that reaches either drains. */
static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof(*world));
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    assert_non_null(world);
    pthread_mutex_init(&world->kernel, NULL);
    pthread_mutex_init(&world->log_mutex, NULL);
    assert_int_equal(gmem_vm_create(NULL, &world->vm), 0);
    assert_int_equal(gmem_region_create_container(world->vm, "system", GMEM_SIZE_ALL, NULL, &world->system), 0);
    place(world, &world->x, 'x', A);
    place(world, &world->y, 'y', OTHER);
    assert_int_equal(gmem_space_create(world->vm, "memory", world->system, NULL, &world->memory), 0);
    assert_int_equal(attach(world), 0);
    world->ring_fd = memfd_create("vcpu", MFD_CLOEXEC);
    assert_true(world->ring_fd >= 0);
    assert_int_equal(ftruncate(world->ring_fd, (off_t)(3 * page)), 0);
    world->ring = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, world->ring_fd, (off_t)(2 * page));
    assert_ptr_not_equal(world->ring, MAP_FAILED);
    world->entries = (uint32_t)((page - sizeof(*world->ring)) / sizeof(struct kvm_coalesced_mmio));
    assert_int_equal(gmem_kvm_coalesced_add_vcpu(world->coalesced, world->ring_fd), 0);
    assert_int_equal(gmem_vm_set_coalesced_flush(world->vm, gmem_kvm_coalesced_flush, world->coalesced), 0);
    return world;
}

static void detach(struct world *world)
{
    assert_int_equal(gmem_vm_set_coalesced_flush(world->vm, NULL, NULL), 0);
    gmem_kvm_coalesced_destroy(world->coalesced);
    world->coalesced = NULL;
}

static void world_free(struct world *world)
{
    if (world->coalesced)
        detach(world);
    assert_int_equal(world->zones, 0);
    gmem_vm_destroy(world->vm);
    (void)munmap(world->ring, (size_t)sysconf(_SC_PAGESIZE));
    (void)close(world->ring_fd);
    free(world);
}

static gmem_result store(struct world *world, uint64_t addr, uint32_t value)
{
    return gmem_st32_le(world->memory, addr, GMEM_ATTRS_NONE, value);
}

/* An access that has the ring drained, if this thread may. */
static void touch(struct world *world, uint64_t addr)
{
    uint32_t value;

    (void)gmem_ld32_le(world->memory, addr + REGISTER, GMEM_ATTRS_NONE, &value);
}

static void wait_for(const unsigned *counter, unsigned least)
{
    while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < least)
        (void)sched_yield();
}

/* --- (b) --- */

/* Another processor's write comes, and an access that would have it delivered. */
static void comes_and_touches(struct device *device, uint64_t value)
{
    if (value != 7)
        return;
    assert_true(put(device->world, A, 4, 1));
    touch(device->world, OTHER);
    gmem_kvm_coalesced_drain(device->world->coalesced);
    assert_string_equal(device->world->log, "x7");
}

static void test_in_a_callback(void **state)
{
    struct world *world = world_new();

    (void)state;
    world->x.on_write = comes_and_touches;
    assert_int_equal(store(world, A + REGISTER, 7), GMEM_OK);
    touch(world, OTHER);
    assert_string_equal(world->log, "x7x1");
    assert_int_equal(gmem_guard_refused(world->x.guard), 0);
    world_free(world);
}

static void test_in_what_was_entered(void **state)
{
    struct world *world = world_new();
    struct gmem_guard_entry entry;

    (void)state;
    assert_true(put(world, A, 4, 1));
    assert_true(gmem_guard_enter(world->y.guard, &entry));
    touch(world, A);
    assert_string_equal(world->log, "");
    gmem_guard_leave(&entry);
    gmem_lock_enter(&world->y.lock, &entry);
    touch(world, A);
    gmem_kvm_coalesced_flush(world->coalesced);
    assert_string_equal(world->log, "");
    gmem_lock_leave(&entry);
    assert_int_equal(gmem_vm_begin(world->vm), 0);
    touch(world, A);
    assert_string_equal(world->log, "");
    assert_int_equal(gmem_vm_commit(world->vm), 0);
    touch(world, A);
    assert_string_equal(world->log, "x1");
    world_free(world);
}

static int hears(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct world *world = listener->opaque;

    (void)section;
    touch(world, OTHER);
    assert_string_equal(world->log, "");
    return 0;
}

/* A listener's accesses, before and after the interval went. */
static void test_in_a_commit(void **state)
{
    struct world *world = world_new();
    struct gmem_listener listener = {
        .struct_size = sizeof(listener), .opaque = world, .region_add = hears, .region_del = hears};

    (void)state;
    assert_int_equal(gmem_listener_register(world->vm, world->memory, &listener), 0);
    assert_true(put(world, A, 4, 1));
    assert_int_equal(gmem_region_move(world->x.region, B), 0);
    touch(world, OTHER);
    assert_string_equal(world->log, "x1");
    memset(world->log, 0, sizeof(world->log));
    gmem_listener_unregister(world->vm, &listener);
    world_free(world);
}

/* A callback that leaves its guard or another's entered: what can't be delivered then stays, and what was is not repeated. */
static void enters_for_good(struct device *device, uint64_t value)
{
    (void)value;
    assert_true(gmem_guard_enter(device->world->y.guard, &device->entry));
    device->on_write = NULL;
}

static void test_left_open(void **state)
{
    struct world *world = world_new();
    struct gmem_kvm_coalesced_stats stats;

    (void)state;
    assert_int_equal(gmem_region_move(world->y.region, A + 0x1000), 0);
    world->x.on_write = enters_for_good;
    /* The first half is x's, the second y's. */
    assert_true(put(world, A + 0xffc, 8, UINT64_C(0x200000001)));
    assert_true(put(world, A, 4, 3));
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_string_equal(world->log, "x1");
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_string_equal(world->log, "x1");
    gmem_kvm_coalesced_stats(world->coalesced, &stats);
    assert_int_equal(stats.delivered, 0);
    gmem_guard_leave(&world->x.entry);
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_string_equal(world->log, "x1y2x3");
    gmem_kvm_coalesced_stats(world->coalesced, &stats);
    assert_int_equal(stats.delivered, 2);
    assert_int_equal(gmem_guard_refused(world->y.guard), 0);
    world_free(world);
}

static int take_exit(struct world *world, struct kvm_run *run, gmem_result *ret_result)
{
    return gmem_kvm_coalesced_handle_exit(world->coalesced, world->memory, world->memory, run, GMEM_ATTRS_NONE,
                                          ret_result);
}

/* An exit is not handled before what came before it. */
static void test_exits(void **state)
{
    struct world *world = world_new();
    struct kvm_run run = {.exit_reason = KVM_EXIT_MMIO};
    struct gmem_guard_entry entry;
    gmem_result result = 0x55;

    (void)state;
    run.mmio.phys_addr = A + REGISTER;
    run.mmio.len = 4;
    run.mmio.is_write = 1;
    run.mmio.data[0] = 2;
    assert_true(put(world, A, 4, 1));
    gmem_lock_enter(&world->y.lock, &entry);
    assert_int_equal(take_exit(world, &run, &result), -EBUSY);
    assert_int_equal(result, 0x55);
    assert_string_equal(world->log, "");
    gmem_lock_leave(&entry);
    assert_int_equal(take_exit(world, &run, &result), 0);
    assert_int_equal(result, GMEM_OK);
    assert_string_equal(world->log, "x1x2");
    /* Nothing came before it. */
    gmem_lock_enter(&world->y.lock, &entry);
    assert_int_equal(take_exit(world, &run, &result), 0);
    gmem_lock_leave(&entry);
    assert_string_equal(world->log, "x1x2x2");
    world_free(world);
}

/* --- waiting for each other --- */

struct meeting {
    struct world *world;
    unsigned inside; /* atomic: the other thread is in x's callback */
};

static struct meeting *meeting;

static void *store_to_x(void *opaque)
{
    struct meeting *here = opaque;

    assert_int_equal(store(here->world, A + REGISTER, 7), GMEM_OK);
    return NULL;
}

/* In x's callback: while another thread is in a commit that takes x away, wait for the turn. */
static void waits_for_the_turn(struct device *device, uint64_t value)
{
    if (value != 7)
        return;
    __atomic_store_n(&meeting->inside, 1, __ATOMIC_RELEASE);
    wait_for(&device->world->taken_away, 1);
    assert_int_equal(gmem_region_set_enabled(device->world->y.region, false), 0);
}

static void test_a_commit_beside_a_callback(void **state)
{
    struct world *world = world_new();
    struct meeting here = {.world = world};
    pthread_t thread;

    (void)state;
    meeting = &here;
    world->x.on_write = waits_for_the_turn;
    assert_int_equal(pthread_create(&thread, NULL, store_to_x, &here), 0);
    wait_for(&here.inside, 1);
    assert_true(put(world, A, 4, 1));
    assert_int_equal(gmem_region_set_enabled(world->x.region, false), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(world->log, "x7");
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_string_equal(world->log, "x7x1");
    world_free(world);
}

/* In x's callback: while another thread drains and wants x's lock, come to a device that would be drained for. */
static void comes_while_another_drains(struct device *device, uint64_t value)
{
    if (value != 7)
        return;
    __atomic_store_n(&meeting->inside, 1, __ATOMIC_RELEASE);
    wait_for(&device->wanted, 2);
    touch(device->world, OTHER);
}

static void test_a_drain_beside_a_callback(void **state)
{
    struct world *world = world_new();
    struct meeting here = {.world = world};
    pthread_t thread;

    (void)state;
    meeting = &here;
    world->x.on_write = comes_while_another_drains;
    assert_int_equal(pthread_create(&thread, NULL, store_to_x, &here), 0);
    wait_for(&here.inside, 1);
    assert_true(put(world, A, 4, 1));
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(world->log, "x7x1");
    world_free(world);
}

/* --- (c) --- */

static void takes_itself_away(struct device *device, uint64_t value)
{
    if (value != 7)
        return;
    assert_true(put(device->world, A, 4, 1));
    assert_int_equal(gmem_region_set_enabled(device->region, false), 0);
    assert_int_equal(gmem_region_move(device->region, B), 0);
    assert_int_equal(gmem_region_set_enabled(device->region, true), 0);
    assert_true(put(device->world, B, 4, 2));
}

static void test_a_device_that_takes_itself_away(void **state)
{
    struct world *world = world_new();

    (void)state;
    world->x.on_write = takes_itself_away;
    assert_int_equal(store(world, A + REGISTER, 7), GMEM_OK);
    assert_string_equal(world->log, "x7");
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_string_equal(world->log, "x7x1x2");
    assert_int_equal(gmem_guard_refused(world->x.guard), 0);
    world_free(world);
}

/* Each goes where it was made for, in the order of all. */
static void test_the_map_of_before(void **state)
{
    struct world *world = world_new();

    (void)state;
    assert_true(put(world, A, 4, 1));
    assert_true(put(world, OTHER, 4, 2));
    assert_int_equal(gmem_vm_begin(world->vm), 0);
    assert_int_equal(gmem_region_move(world->x.region, B), 0);
    assert_int_equal(gmem_region_move(world->y.region, A), 0);
    assert_int_equal(gmem_vm_commit(world->vm), 0);
    assert_true(put(world, A, 4, 3));
    assert_int_equal(gmem_region_move(world->x.region, OTHER), 0);
    assert_true(put(world, OTHER, 4, 4));
    assert_true(put(world, A, 4, 5));
    assert_int_equal(gmem_region_set_enabled(world->system, false), 0);
    assert_string_equal(world->log, "");
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_string_equal(world->log, "x1y2y3x4y5");
    world_free(world);
}

static void test_several_pieces(void **state)
{
    struct world *world = world_new();

    (void)state;
    assert_int_equal(gmem_region_move(world->y.region, A + 0x1000), 0);
    assert_true(put(world, A + 0xffc, 8, UINT64_C(0x200000001)));
    assert_int_equal(gmem_vm_begin(world->vm), 0);
    assert_int_equal(gmem_region_move(world->x.region, A + 0x1000), 0);
    assert_int_equal(gmem_region_move(world->y.region, A), 0);
    assert_int_equal(gmem_vm_commit(world->vm), 0);
    assert_string_equal(world->log, "");
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_string_equal(world->log, "x1y2");
    world_free(world);
}

static int agrees(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    return 0;
}

static int refuses(struct gmem_listener *listener)
{
    return listener->undoing ? 0 : -EPERM;
}

/* A commit that is undone changes neither order nor aim. */
static void test_a_commit_that_is_refused(void **state)
{
    struct world *world = world_new();
    struct gmem_listener listener = {.struct_size = sizeof(listener), .region_add = agrees, .region_del = agrees};

    (void)state;
    assert_int_equal(gmem_listener_register(world->vm, world->memory, &listener), 0);
    listener.commit = refuses;
    assert_true(put(world, A, 4, 1));
    assert_int_equal(gmem_region_move(world->x.region, B), -EPERM);
    assert_int_equal(world->zones, 2);
    assert_true(put(world, OTHER, 4, 2));
    assert_int_equal(gmem_region_move(world->x.region, B), -EPERM);
    assert_true(put(world, A, 4, 3));
    assert_string_equal(world->log, "");
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_string_equal(world->log, "x1y2x3");
    listener.commit = NULL;
    gmem_listener_unregister(world->vm, &listener);
    world_free(world);
}

/* (c), G7: what is in the ring keeps a region that is gone, until it is delivered; also by the end. */
static void owner_ref(void *opaque)
{
    __atomic_fetch_add((int *)opaque, 1, __ATOMIC_RELAXED);
}

static void owner_unref(void *opaque)
{
    __atomic_fetch_sub((int *)opaque, 1, __ATOMIC_RELAXED);
}

static void test_lifetime(void **state)
{
    struct world *world = world_new();
    struct device old = {.world = world, .name = 'o'};
    struct gmem_guard_entry entry;
    int held[3] = {0, 0, 0};
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        struct gmem_owner owner = {.opaque = &held[i], .ref = owner_ref, .unref = owner_unref};
        gmem_region *region;

        memset(world->log, 0, sizeof(world->log));
        assert_int_equal(gmem_region_create_mmio(world->vm, "old", GMEM_SIZE(16), &ops, &old, &owner, &region), 0);
        assert_int_equal(gmem_region_add_coalesced(region, 0, 15), 0);
        assert_int_equal(gmem_region_add(world->system, B, region), 0);
        assert_true(put(world, B, 4, 1));
        assert_true(put(world, B, 4, 2));
        assert_int_equal(gmem_region_remove(world->system, region), 0);
        gmem_region_unref(region);
        gmem__rcu_barrier();
        assert_true(__atomic_load_n(&held[i], __ATOMIC_RELAXED) > 0);
        assert_string_equal(world->log, "");
        /* An end where nothing can be delivered gives up the regions at least. */
        if (i == 1)
            gmem_lock_enter(&world->y.lock, &entry);
        if (i == 0)
            gmem_kvm_coalesced_drain(world->coalesced);
        else
            detach(world);
        if (i == 1) {
            gmem_lock_leave(&entry);
            world->ring->first = world->ring->last;
            assert_int_equal(attach(world), 0);
            assert_int_equal(gmem_kvm_coalesced_add_vcpu(world->coalesced, world->ring_fd), 0);
        }
        assert_string_equal(world->log, i == 1 ? "" : "o1o2");
        gmem__rcu_barrier();
        assert_int_equal(__atomic_load_n(&held[i], __ATOMIC_RELAXED), 0);
    }
    world_free(world);
}

static void hears_in_order(struct device *device, uint64_t value)
{
    assert_int_equal(value, device->next);
    device->next++;
}

/* The ring is the bound, and no memory is needed in a commit for what is in it. */
static void test_bound(void **state)
{
    struct world *world = world_new();
    uint64_t value = 0, at = A;
    unsigned round;
    size_t i;

    (void)state;
    world->x.on_write = hears_in_order;
    for (round = 0; round < 20; round++) {
        /* More of them in each commit, until it is full; then nobody has room. */
        for (i = 0; i < 20 && put(world, at, 4, value); i++)
            value++;
        at = at == A ? B : A;
        assert_int_equal(gmem_region_move(world->x.region, at), 0);
    }
    assert_int_equal(value, world->entries - 1);
    no_memory = true;
    assert_int_equal(gmem_region_set_enabled(world->x.region, false), 0);
    no_memory = false;
    assert_int_equal(world->x.next, 0);
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_int_equal(world->x.next, value);
    detach(world);
    no_memory = true;
    assert_int_equal(attach(world), -ENOMEM);
    no_memory = false;
    assert_null(world->coalesced);
    world_free(world);
}

/* --- all at once --- */

#define FROM_THE_RING (UINT64_C(1) << 30)

struct storm {
    struct world *world;
    bool stop; /* atomic */
};

/* Of x: a write of the ring is the next one; another one edits, and comes to y. */
static void storms(struct device *device, uint64_t value)
{
    if (value >= FROM_THE_RING) {
        /* In order, and none twice. */
        assert_true(value >= FROM_THE_RING + device->next);
        device->next = value - FROM_THE_RING + 1;
        device->got++;
        if (value % 64 == 0)
            touch(device->world, OTHER);
    } else {
        touch(device->world, OTHER);
        assert_int_equal(gmem_region_move(device->region, value % 2 ? A : B), 0);
    }
}

static void *drain_on(void *opaque)
{
    struct storm *storm = opaque;

    while (!__atomic_load_n(&storm->stop, __ATOMIC_RELAXED)) {
        touch(storm->world, OTHER);
        (void)sched_yield();
    }
    return NULL;
}

static void *move_on(void *opaque)
{
    struct storm *storm = opaque;
    unsigned i;

    for (i = 0; !__atomic_load_n(&storm->stop, __ATOMIC_RELAXED); i++) {
        if (i % 3 == 0)
            assert_int_equal(gmem_region_move(storm->world->x.region, i % 2 ? A : B), 0);
        else
            (void)store(storm->world, (i % 2 ? A : B) + REGISTER, i);
        (void)sched_yield();
    }
    return NULL;
}

static void test_storm(void **state)
{
    struct world *world = world_new();
    struct storm storm = {.world = world};
    struct gmem_kvm_coalesced_stats stats;
    pthread_t threads[4];
    uint64_t value, count = getenv("GMEM_TEST_LONG") ? 400000 : 20000;
    unsigned i;

    (void)state;
    world->x.on_write = storms;
    for (i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? drain_on : move_on, &storm), 0);
    for (value = 0; value < count; value++) {
        while (!put_where_coalesced(world, A, FROM_THE_RING + value) &&
               !put_where_coalesced(world, B, FROM_THE_RING + value))
            gmem_kvm_coalesced_drain(world->coalesced);
    }
    __atomic_store_n(&storm.stop, true, __ATOMIC_RELAXED);
    for (i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    gmem_kvm_coalesced_drain(world->coalesced);
    gmem_kvm_coalesced_stats(world->coalesced, &stats);
    assert_int_equal(stats.delivered, count);
    assert_in_range(world->x.got, count - world->early, count);
    assert_int_equal(gmem_guard_refused(world->x.guard), 0);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_a_callback),
        cmocka_unit_test(test_in_what_was_entered),
        cmocka_unit_test(test_in_a_commit),
        cmocka_unit_test(test_left_open),
        cmocka_unit_test(test_exits),
        cmocka_unit_test(test_a_commit_beside_a_callback),
        cmocka_unit_test(test_a_drain_beside_a_callback),
        cmocka_unit_test(test_a_device_that_takes_itself_away),
        cmocka_unit_test(test_the_map_of_before),
        cmocka_unit_test(test_several_pieces),
        cmocka_unit_test(test_a_commit_that_is_refused),
        cmocka_unit_test(test_lifetime),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_storm),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
