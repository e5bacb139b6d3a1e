/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-events.c - ioeventfds and coalesced writes on a kernel that is played: it knows the rules of the ioctls and fails on demand.
 *
 * Cites the guarantees at the top of kvm/eventfd.c, kvm/coalesced.c and kvm/coalesced_ring.c, and the library's G1. The ring
 * beside guards, locks and commits is test-kvm-coalesced.c's.
 */
#include <errno.h>
#include <pthread.h>
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

#include <gmem/gmem.h>
#include <gmem/kvm_events.h>

/* --- memory that runs out: libgmem-kvm, and nothing else here, grows its arrays with reallocarray(3) --- */

static unsigned allocations;
static unsigned fail_allocation = UINT32_MAX, fail_allocations;

/* The system's declarations have reserved names. NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
void *reallocarray(void *array, size_t count, size_t size)
{
    if (allocations++ - fail_allocation < fail_allocations || count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(array, count * size);
}

/* --- the kernel --- */

#define THINGS 64u

struct kernel {
    struct kvm_ioeventfd eventfd[THINGS];
    unsigned eventfds;
    struct kvm_coalesced_mmio_zone zone[THINGS];
    unsigned zones;
    bool no_eventfds, no_any_length, no_coalesced, no_ports;
    unsigned calls, fail_from, fail_count;
    int fail_with;
};

static bool same_eventfd(const struct kvm_ioeventfd *a, const struct kvm_ioeventfd *b)
{
    const uint32_t flags = (uint32_t)(KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH);

    return a->addr == b->addr && a->len == b->len && (a->flags & flags) == (b->flags & flags) &&
           a->datamatch == b->datamatch && a->fd == b->fd;
}

static int do_eventfd(struct kernel *kernel, const struct kvm_ioeventfd *call)
{
    unsigned i = 0;

    while (i < kernel->eventfds && !same_eventfd(&kernel->eventfd[i], call))
        i++;
    if (call->flags & KVM_IOEVENTFD_FLAG_DEASSIGN) {
        if (i == kernel->eventfds)
            return -ENOENT;
        kernel->eventfd[i] = kernel->eventfd[--kernel->eventfds];
        return 0;
    }
    if (i < kernel->eventfds)
        return -EEXIST;
    if (kernel->eventfds == THINGS)
        return -ENOSPC;
    kernel->eventfd[kernel->eventfds++] = *call;
    return 0;
}

static int do_zone(struct kernel *kernel, const struct kvm_coalesced_mmio_zone *call, bool add)
{
    unsigned i;

    if (add) {
        if (kernel->zones == THINGS)
            return -ENOSPC;
        kernel->zone[kernel->zones++] = *call;
        return 0;
    }
    /* All that contain it. */
    for (i = kernel->zones; i-- > 0;) {
        const struct kvm_coalesced_mmio_zone *zone = &kernel->zone[i];

        if (zone->pio == call->pio && call->addr >= zone->addr && call->addr - zone->addr + call->size <= zone->size)
            kernel->zone[i] = kernel->zone[--kernel->zones];
    }
    return 0;
}

static int has(const struct kernel *kernel, uintptr_t capability)
{
    switch (capability) {
    case KVM_CAP_IOEVENTFD:
        return !kernel->no_eventfds;
    case KVM_CAP_IOEVENTFD_ANY_LENGTH:
        return !kernel->no_any_length;
    case KVM_CAP_COALESCED_MMIO:
        return kernel->no_coalesced ? 0 : 2;
    case KVM_CAP_COALESCED_PIO:
        return !kernel->no_ports;
    default:
        return 0;
    }
}

static int kernel_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
    struct kernel *kernel = opaque;

    assert_int_equal(fd, 77);
    if (kernel->calls++ - kernel->fail_from < kernel->fail_count)
        return -kernel->fail_with;
    switch (request) {
    case KVM_CHECK_EXTENSION:
        return has(kernel, (uintptr_t)arg);
    case KVM_IOEVENTFD:
        return do_eventfd(kernel, arg);
    case KVM_REGISTER_COALESCED_MMIO:
    case KVM_UNREGISTER_COALESCED_MMIO:
        return do_zone(kernel, arg, request == KVM_REGISTER_COALESCED_MMIO);
    default:
        return -ENOTTY;
    }
}

/* Whether two kernels have the same, in whatever order. */
static bool same(const struct kernel *a, const struct kernel *b)
{
    unsigned i, j;

    if (a->eventfds != b->eventfds || a->zones != b->zones)
        return false;
    for (i = 0; i < a->eventfds; i++) {
        for (j = 0; j < b->eventfds && !same_eventfd(&a->eventfd[i], &b->eventfd[j]);)
            j++;
        if (j == b->eventfds)
            return false;
    }
    for (i = 0; i < a->zones; i++) {
        for (j = 0; j < b->zones && memcmp(&a->zone[i], &b->zone[j], sizeof(a->zone[i])) != 0;)
            j++;
        if (j == b->zones)
            return false;
    }
    return true;
}

/* --- a map --- */

struct world {
    struct kernel kernel;
    gmem_vm *vm;
    gmem_region *system, *io, *device, *port;
    gmem_space *memory, *ports;
    gmem_kvm_eventfds *eventfds, *port_eventfds;
    gmem_kvm_coalesced *coalesced;
    int ring_fd;
    struct kvm_coalesced_mmio_ring *ring;
    uint64_t value[512];
    unsigned count, depth;
    gmem_result (*on_write)(struct world *world, uint64_t value);
};

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    *ret_value = 0;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct world *world = opaque;

    (void)offset, (void)size, (void)attrs;
    if (world->count < 512)
        world->value[world->count++] = value;
    return world->on_write ? world->on_write(world, value) : GMEM_OK;
}

static const struct gmem_mmio_ops ops = {.read = device_read, .write = device_write, .endian = GMEM_ENDIAN_LITTLE};

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof(*world));
    gmem_vm *vm;

    assert_non_null(world);
    world->kernel.fail_with = EIO;
    world->ring_fd = -1;
    assert_int_equal(gmem_vm_create(NULL, &vm), 0);
    world->vm = vm;
    assert_int_equal(gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &world->system), 0);
    assert_int_equal(gmem_region_create_container(vm, "io", GMEM_SIZE(0x10000), NULL, &world->io), 0);
    assert_int_equal(
        gmem_region_create_mmio(vm, "device", GMEM_SIZE(UINT64_C(1) << 40), &ops, world, NULL, &world->device), 0);
    assert_int_equal(gmem_region_create_mmio(vm, "port", GMEM_SIZE(0x10), &ops, world, NULL, &world->port), 0);
    assert_int_equal(gmem_region_add(world->system, 0x10000, world->device), 0);
    assert_int_equal(gmem_region_add(world->io, 0x300, world->port), 0);
    assert_int_equal(gmem_space_create(vm, "memory", world->system, NULL, &world->memory), 0);
    assert_int_equal(gmem_space_create(vm, "ports", world->io, NULL, &world->ports), 0);
    return world;
}

static struct gmem_kvm_eventfds_options eventfds_options(struct world *world)
{
    return (struct gmem_kvm_eventfds_options){.struct_size = sizeof(struct gmem_kvm_eventfds_options),
                                              .vm_fd = 77,
                                              .ioctl = kernel_ioctl,
                                              .ioctl_opaque = &world->kernel};
}

static struct gmem_kvm_coalesced_options coalesced_options(struct world *world)
{
    return (struct gmem_kvm_coalesced_options){.struct_size = sizeof(struct gmem_kvm_coalesced_options),
                                               .vm_fd = 77,
                                               .ioctl = kernel_ioctl,
                                               .ioctl_opaque = &world->kernel};
}

static void attach(struct world *world)
{
    struct gmem_kvm_eventfds_options eventfds = eventfds_options(world);
    struct gmem_kvm_coalesced_options coalesced = coalesced_options(world);

    assert_int_equal(gmem_kvm_eventfds_create(world->memory, &eventfds, &world->eventfds), 0);
    eventfds.ports = true;
    assert_int_equal(gmem_kvm_eventfds_create(world->ports, &eventfds, &world->port_eventfds), 0);
    assert_int_equal(gmem_kvm_coalesced_create(world->memory, world->ports, &coalesced, &world->coalesced), 0);
}

/* A ring as a vCPU's mapping shows it: two pages in. */
static void map_ring(struct world *world)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    world->ring_fd = memfd_create("vcpu", MFD_CLOEXEC);
    assert_true(world->ring_fd >= 0);
    assert_int_equal(ftruncate(world->ring_fd, (off_t)(3 * page)), 0);
    world->ring = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, world->ring_fd, (off_t)(2 * page));
    assert_ptr_not_equal(world->ring, MAP_FAILED);
    assert_int_equal(gmem_kvm_coalesced_add_vcpu(world->coalesced, world->ring_fd), 0);
    /* Another changes nothing. */
    assert_int_equal(gmem_kvm_coalesced_add_vcpu(world->coalesced, -1), 0);
}

static void world_free(struct world *world)
{
    gmem_kvm_eventfds_destroy(world->eventfds);
    gmem_kvm_eventfds_destroy(world->port_eventfds);
    gmem_kvm_coalesced_destroy(world->coalesced);
    /* All was taken back. */
    assert_int_equal(world->kernel.eventfds, 0);
    assert_int_equal(world->kernel.zones, 0);
    gmem_vm_destroy(world->vm);
    if (world->ring)
        (void)munmap(world->ring, (size_t)sysconf(_SC_PAGESIZE));
    if (world->ring_fd >= 0)
        (void)close(world->ring_fd);
    free(world);
}

/* What the kernel puts in the ring. */
static void put(struct world *world, bool port, uint64_t addr, uint32_t len, uint64_t value)
{
    uint32_t entries =
        (uint32_t)(((size_t)sysconf(_SC_PAGESIZE) - sizeof(*world->ring)) / sizeof(struct kvm_coalesced_mmio));
    uint32_t last = world->ring->last;
    struct kvm_coalesced_mmio *entry = &world->ring->coalesced_mmio[last];

    assert_int_not_equal((last + 1) % entries, __atomic_load_n(&world->ring->first, __ATOMIC_ACQUIRE));
    entry->phys_addr = addr;
    entry->len = len;
    entry->pio = port;
    memcpy(entry->data, &value, sizeof(entry->data));
    __atomic_store_n(&world->ring->last, (last + 1) % entries, __ATOMIC_RELEASE);
}

static struct gmem_eventfd eventfd_of(uint64_t offset, uint8_t size)
{
    return (struct gmem_eventfd){.offset = offset, .size = size, .fd = STDOUT_FILENO};
}

/* --- what callers may ask --- */

static void test_arguments(void **state)
{
    struct world *world = world_new();
    struct gmem_kvm_eventfds_options options = eventfds_options(world);
    struct gmem_kvm_coalesced_options coalesced = coalesced_options(world);
    gmem_kvm_eventfds *eventfds = NULL;
    gmem_kvm_coalesced *writes = NULL;
    gmem_vm *other;
    gmem_region *root;
    gmem_space *space;

    (void)state;
    assert_int_equal(gmem_kvm_eventfds_create(NULL, &options, &eventfds), -EINVAL);
    assert_int_equal(gmem_kvm_eventfds_create(world->memory, NULL, &eventfds), -EINVAL);
    assert_int_equal(gmem_kvm_eventfds_create(world->memory, &options, NULL), -EINVAL);
    options.endian = 3;
    assert_int_equal(gmem_kvm_eventfds_create(world->memory, &options, &eventfds), -EINVAL);
    options = eventfds_options(world);
    options.struct_size = 4;
    assert_int_equal(gmem_kvm_eventfds_create(world->memory, &options, &eventfds), -EINVAL);
    options = eventfds_options(world);
    world->kernel.no_eventfds = true;
    assert_int_equal(gmem_kvm_eventfds_create(world->memory, &options, &eventfds), -ENOTSUP);
    world->kernel.fail_count = UINT32_MAX;
    assert_int_equal(gmem_kvm_eventfds_create(world->memory, &options, &eventfds), -EIO);
    assert_int_equal(gmem_kvm_coalesced_create(world->memory, world->ports, &coalesced, &writes), -EIO);
    world->kernel.fail_count = 0;
    world->kernel.no_coalesced = true;
    assert_int_equal(gmem_kvm_coalesced_create(world->memory, world->ports, &coalesced, &writes), -ENOTSUP);
    world->kernel.no_coalesced = false;
    assert_int_equal(gmem_kvm_coalesced_create(NULL, world->ports, &coalesced, &writes), -EINVAL);
    assert_int_equal(gmem_kvm_coalesced_create(world->memory, world->ports, NULL, &writes), -EINVAL);
    assert_int_equal(gmem_kvm_coalesced_create(world->memory, world->ports, &coalesced, NULL), -EINVAL);
    coalesced.struct_size = 4;
    assert_int_equal(gmem_kvm_coalesced_create(world->memory, world->ports, &coalesced, &writes), -EINVAL);
    coalesced = coalesced_options(world);
    assert_int_equal(gmem_vm_create(NULL, &other), 0);
    assert_int_equal(gmem_region_create_container(other, "root", GMEM_SIZE(1), NULL, &root), 0);
    assert_int_equal(gmem_space_create(other, "space", root, NULL, &space), 0);
    assert_int_equal(gmem_kvm_coalesced_create(world->memory, space, &coalesced, &writes), -EXDEV);
    gmem_vm_destroy(other);
    assert_int_equal(gmem_kvm_coalesced_add_vcpu(NULL, 0), -EINVAL);
    assert_null(eventfds);
    assert_null(writes);
    gmem_kvm_eventfds_destroy(NULL);
    gmem_kvm_coalesced_destroy(NULL);
    gmem_kvm_coalesced_drain(NULL);
    world_free(world);
}

/* What is there when they are created is given; what changes follows, at every address at which it is seen. */
static void test_follows(void **state)
{
    struct world *world = world_new();
    struct gmem_eventfd eventfd = eventfd_of(0x20, 4), port = eventfd_of(2, 1);
    const struct kvm_ioeventfd *kernel = world->kernel.eventfd;
    gmem_region *window;

    (void)state;
    assert_int_equal(gmem_region_add_eventfd(world->device, &eventfd), 0);
    assert_int_equal(gmem_region_add_coalesced(world->port, 8, 15), 0);
    attach(world);
    assert_int_equal(world->kernel.eventfds, 1);
    assert_int_equal(kernel[0].addr, 0x10020);
    assert_int_equal(kernel[0].len, 4);
    assert_int_equal(kernel[0].flags, 0);
    assert_int_equal(kernel[0].fd, STDOUT_FILENO);
    assert_int_equal(world->kernel.zones, 1);
    assert_int_equal(world->kernel.zone[0].addr, 0x308);
    assert_int_equal(world->kernel.zone[0].size, 8);
    assert_int_equal(world->kernel.zone[0].pio, 1);
    assert_int_equal(gmem_region_add_eventfd(world->port, &port), 0);
    assert_int_equal(kernel[1].addr, 0x302);
    assert_int_equal(kernel[1].flags, KVM_IOEVENTFD_FLAG_PIO);
    assert_int_equal(gmem_region_move(world->device, 0x20000), 0);
    assert_int_equal(gmem_region_create_alias(world->vm, "window", world->device, 0, GMEM_SIZE(0x1000), NULL, &window),
                     0);
    assert_int_equal(gmem_region_add_priority(world->system, 0, window, 1), 0);
    assert_int_equal(world->kernel.eventfds, 3);
    assert_int_equal(gmem_kvm_eventfds_count(world->eventfds, NULL), 2);
    assert_int_equal(gmem_region_del_eventfd(world->device, &eventfd), 0);
    assert_int_equal(world->kernel.eventfds, 1);
    world_free(world);
}

static void test_byte_order(void **state)
{
    static const struct {
        uint8_t size;
        uint64_t data, seen;
    } cases[] = {{1, 0x12, 0x12},
                 {2, 0x1234, 0x3412},
                 {4, 0x12345678, 0x78563412},
                 {8, UINT64_C(0x0102030405060708), UINT64_C(0x0807060504030201)},
                 {2, 0x12345, 0x12345}};
    struct world *world = world_new();
    struct gmem_kvm_eventfds_options options = eventfds_options(world);
    bool host_little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    unsigned i, order;

    (void)state;
    for (order = 0; order < 2; order++) {
        bool swaps = (order == 1) == host_little;

        options.endian = order ? GMEM_ENDIAN_BIG : GMEM_ENDIAN_LITTLE;
        assert_int_equal(gmem_kvm_eventfds_create(world->memory, &options, &world->eventfds), 0);
        for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct gmem_eventfd eventfd = eventfd_of(0x20, cases[i].size);

            eventfd.match = true;
            eventfd.data = cases[i].data;
            assert_int_equal(gmem_region_add_eventfd(world->device, &eventfd), 0);
            assert_int_equal(world->kernel.eventfd[0].datamatch, swaps ? cases[i].seen : cases[i].data);
            assert_int_equal(world->kernel.eventfd[0].flags, KVM_IOEVENTFD_FLAG_DATAMATCH);
            assert_int_equal(gmem_region_del_eventfd(world->device, &eventfd), 0);
        }
        gmem_kvm_eventfds_destroy(world->eventfds);
    }
    world->eventfds = NULL;
    world_free(world);
}

/* What the kernel can't do is refused before anything is done. */
static void test_refused(void **state)
{
    struct world *world = world_new();
    struct gmem_eventfd eventfd = eventfd_of(0x20, 0);
    char why[512];

    (void)state;
    world->kernel.no_any_length = true;
    world->kernel.no_ports = true;
    attach(world);
    assert_int_equal(gmem_region_add_eventfd(world->device, &eventfd), -ENOTSUP);
    assert_int_equal(gmem_vm_reason(world->vm, why, sizeof(why)), -ENOTSUP);
    assert_non_null(strstr(why, "kvm eventfds"));
    eventfd.match = true;
    assert_int_equal(gmem_region_add_eventfd(world->device, &eventfd), -EINVAL);
    /* Ports are left to exit. */
    assert_int_equal(gmem_region_add_coalesced(world->port, 0, 3), 0);
    assert_int_equal(world->kernel.zones, 0);
    assert_int_equal(gmem_region_clear_coalesced(world->port), 0);
    /* More pieces than any kernel takes. */
    assert_int_equal(gmem_region_resize(world->device, GMEM_SIZE(UINT64_C(1) << 60)), 0);
    assert_int_equal(gmem_region_add_coalesced(world->device, 0, (UINT64_C(1) << 60) - 1), -ENOSPC);
    world_free(world);
}

/* --- failures --- */

/* An edit of everything. */
static int edit(struct world *world)
{
    struct gmem_eventfd old = eventfd_of(0x20, 4), new = eventfd_of(0x40, 2);
    int err = gmem_vm_begin(world->vm);

    assert_int_equal(err, 0);
    assert_int_equal(gmem_region_move(world->device, 0x50000), 0);
    assert_int_equal(gmem_region_move(world->port, 0x400), 0);
    assert_int_equal(gmem_region_del_eventfd(world->device, &old), 0);
    assert_int_equal(gmem_region_add_eventfd(world->device, &new), 0);
    assert_int_equal(gmem_region_add_coalesced(world->device, 0x1000, UINT64_C(0x200001000)), 0);
    return gmem_vm_commit(world->vm);
}

static struct world *busy_world(void)
{
    struct world *world = world_new();
    struct gmem_eventfd eventfd = eventfd_of(0x20, 4), match = eventfd_of(0x30, 4), port = eventfd_of(0, 2);

    match.match = true;
    match.data = 9;
    assert_int_equal(gmem_region_add_eventfd(world->device, &eventfd), 0);
    assert_int_equal(gmem_region_add_eventfd(world->device, &match), 0);
    assert_int_equal(gmem_region_add_eventfd(world->port, &port), 0);
    /* The second is inside the first: taking it away takes both from the kernel. */
    assert_int_equal(gmem_region_add_coalesced(world->device, 0x100, 0x1ff), 0);
    assert_int_equal(gmem_region_add_coalesced(world->device, 0x140, 0x14f), 0);
    assert_int_equal(gmem_region_add_coalesced(world->port, 8, 15), 0);
    return world;
}

/* G1: whichever call fails, the commit fails with its error, and the kernel has what it had. */
static void test_each_ioctl_fails(void **state)
{
    struct world *world = busy_world();
    struct kernel before;
    unsigned n;
    int err = -1;

    (void)state;
    attach(world);
    before = world->kernel;
    for (n = 0; err; n++) {
        world->kernel.fail_from = world->kernel.calls + n;
        world->kernel.fail_count = 1;
        err = edit(world);
        world->kernel.fail_count = 0;
        if (!err)
            break;
        assert_int_equal(err, -EIO);
        assert_true(same(&world->kernel, &before));
    }
    assert_true(n > 10);
    assert_int_equal(world->kernel.eventfds, 3);
    world_free(world);
}

/* Where the kernel refuses the undo as well, the next commit mends it. */
static void test_undo_fails(void **state)
{
    struct world *world = busy_world();
    struct gmem_kvm_coalesced_stats stats;
    struct kernel before;
    unsigned n, mended = 0;
    size_t missing, port_missing;
    int err = -1;

    (void)state;
    attach(world);
    before = world->kernel;
    for (n = 0; err; n++) {
        world->kernel.fail_from = world->kernel.calls + n;
        world->kernel.fail_count = UINT32_MAX / 2;
        err = edit(world);
        world->kernel.fail_count = 0;
        if (!err)
            break;
        assert_int_equal(err, -EIO);
        (void)gmem_kvm_eventfds_count(world->eventfds, &missing);
        (void)gmem_kvm_eventfds_count(world->port_eventfds, &port_missing);
        gmem_kvm_coalesced_stats(world->coalesced, &stats);
        mended += missing + port_missing + stats.missing > 0;
        /* Any commit that all of them hear. */
        {
            struct gmem_eventfd any = eventfd_of(0x800, 1), port = eventfd_of(1, 1);

            assert_int_equal(gmem_region_add_eventfd(world->device, &any), 0);
            assert_int_equal(gmem_region_del_eventfd(world->device, &any), 0);
            assert_int_equal(gmem_region_add_eventfd(world->port, &port), 0);
            assert_int_equal(gmem_region_del_eventfd(world->port, &port), 0);
            assert_int_equal(gmem_region_add_coalesced(world->port, 0, 0), 0);
            assert_int_equal(gmem_region_clear_coalesced(world->port), 0);
            assert_int_equal(gmem_region_add_coalesced(world->port, 8, 15), 0);
            assert_int_equal(gmem_region_move(world->device, 0x11000), 0);
            assert_int_equal(gmem_region_move(world->device, 0x10000), 0);
        }
        assert_true(same(&world->kernel, &before));
        (void)gmem_kvm_eventfds_count(world->eventfds, &missing);
        gmem_kvm_coalesced_stats(world->coalesced, &stats);
        assert_int_equal(missing + stats.missing, 0);
    }
    assert_true(mended > 3);
    world_free(world);
}

/* (c), (b): memory runs out at each allocation, and for all of the undo. */
static void test_memory_runs_out(void **state)
{
    struct world *world = busy_world();
    struct kernel before;
    unsigned n;
    int err = -1;

    (void)state;
    attach(world);
    before = world->kernel;
    for (n = 0; err; n++) {
        allocations = 0;
        fail_allocation = n;
        fail_allocations = UINT32_MAX / 2;
        err = edit(world);
        fail_allocations = 0;
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_true(same(&world->kernel, &before));
        }
    }
    world_free(world);
}

/* Creation fails cleanly at each ioctl. */
static void test_creation_fails(void **state)
{
    struct world *world = busy_world();
    struct gmem_kvm_eventfds_options eventfds = eventfds_options(world);
    struct gmem_kvm_coalesced_options coalesced = coalesced_options(world);
    unsigned n;
    int err = -1;

    (void)state;
    for (n = 0; err; n++) {
        world->kernel.fail_from = world->kernel.calls + n;
        world->kernel.fail_count = 1;
        err = gmem_kvm_eventfds_create(world->memory, &eventfds, &world->eventfds);
        assert_true(!err || err == -EIO);
        assert_int_equal(world->kernel.eventfds, err ? 0 : 2);
    }
    for (n = 0, err = -1; err; n++) {
        world->kernel.fail_from = world->kernel.calls + n;
        world->kernel.fail_count = 1;
        err = gmem_kvm_coalesced_create(world->memory, world->ports, &coalesced, &world->coalesced);
        assert_true(!err || err == -EIO);
        assert_int_equal(world->kernel.zones, err ? 0 : 3);
    }
    world->kernel.fail_count = 0;
    world_free(world);
}

/* --- the ring --- */

/* In order, to the space that each is for; what makes no sense is dropped and counted. */
static void test_drain(void **state)
{
    struct world *world = busy_world();
    struct gmem_kvm_coalesced_stats stats;
    unsigned i;

    (void)state;
    attach(world);
    gmem_kvm_coalesced_drain(world->coalesced); /* no ring yet */
    map_ring(world);
    for (i = 0; i < 400; i++) {
        put(world, i % 3 == 0, i % 3 == 0 ? 0x308 : 0x10100, 4, i);
        if (i % 50 == 49) {
            put(world, false, 0x10100, 0, 1);
            put(world, false, 0x10100, 9, 1);
            gmem_kvm_coalesced_drain(world->coalesced);
            gmem_kvm_coalesced_flush(world->coalesced);
            assert_int_equal(world->count, i + 1);
        }
    }
    for (i = 0; i < 400; i++)
        assert_int_equal(world->value[i], i);
    gmem_kvm_coalesced_stats(world->coalesced, &stats);
    assert_int_equal(stats.delivered, 400);
    assert_int_equal(stats.bad, 16);
    assert_int_equal(stats.drains, 8);
    assert_int_equal(stats.intervals, 3);
    world_free(world);
}

/* (b): a write's callback drains: what is behind it comes after it. (d): what comes meanwhile is left for the next drain. */
static gmem_result write_drains(struct world *world, uint64_t value)
{
    world->depth++;
    assert_int_equal(world->depth, 1);
    gmem_kvm_coalesced_drain(world->coalesced);
    put(world, false, 0x10100, 4, value + 100);
    world->depth--;
    return GMEM_OK;
}

static void test_recursion(void **state)
{
    struct world *world = busy_world();
    unsigned i;

    (void)state;
    attach(world);
    map_ring(world);
    for (i = 0; i < 3; i++)
        put(world, false, 0x10100, 4, i);
    world->on_write = write_drains;
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_int_equal(world->count, 3);
    world->on_write = NULL;
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_int_equal(world->count, 6);
    for (i = 0; i < 6; i++)
        assert_int_equal(world->value[i], i % 3 + i / 3 * 100);
    world_free(world);
}

/* A write's callback takes the interval away: a commit in a drain. What is behind goes where the map of before says. */
static gmem_result write_moves(struct world *world, uint64_t value)
{
    if (value == 1)
        assert_int_equal(gmem_region_move(world->device, 0x50000), 0);
    return GMEM_OK;
}

static void test_commit_in_drain(void **state)
{
    struct world *world = busy_world();
    unsigned i;

    (void)state;
    attach(world);
    map_ring(world);
    world->on_write = write_moves;
    for (i = 0; i < 4; i++)
        put(world, false, 0x10100, 4, i);
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_int_equal(world->count, 4);
    put(world, false, 0x50100, 4, 7);
    assert_int_equal(gmem_region_set_enabled(world->device, false), 0);
    assert_int_equal(world->count, 4);
    gmem_kvm_coalesced_drain(world->coalesced);
    assert_int_equal(world->count, 5);
    assert_int_equal(world->value[4], 7);
    world_free(world);
}

/* Threads that drain together: each returns when what it saw is delivered, and order is kept. */
struct thread {
    struct world *world;
    bool stop;     /* atomic */
    unsigned seen; /* atomic: the number of writes put before its drain began */
};

static void *drain_on(void *opaque)
{
    struct thread *thread = opaque;
    unsigned put_before, delivered;
    struct gmem_kvm_coalesced_stats stats;

    while (!__atomic_load_n(&thread->stop, __ATOMIC_RELAXED)) {
        put_before = __atomic_load_n(&thread->seen, __ATOMIC_ACQUIRE);
        gmem_kvm_coalesced_drain(thread->world->coalesced);
        gmem_kvm_coalesced_stats(thread->world->coalesced, &stats);
        delivered = (unsigned)stats.delivered;
        assert_true(delivered >= put_before);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct world *world = busy_world();
    struct thread thread = {.world = world};
    pthread_t threads[3];
    unsigned i;

    (void)state;
    attach(world);
    map_ring(world);
    for (i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, drain_on, &thread), 0);
    for (i = 0; i < 500; i++) {
        put(world, false, 0x10100, 4, i);
        __atomic_store_n(&thread.seen, i + 1, __ATOMIC_RELEASE);
        if (i % 40 == 39)
            gmem_kvm_coalesced_drain(world->coalesced);
    }
    gmem_kvm_coalesced_drain(world->coalesced);
    __atomic_store_n(&thread.stop, true, __ATOMIC_RELAXED);
    for (i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(world->count, 500);
    for (i = 0; i < 500; i++)
        assert_int_equal(world->value[i], i);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_follows),
        cmocka_unit_test(test_byte_order),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_each_ioctl_fails),
        cmocka_unit_test(test_undo_fails),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_creation_fails),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_commit_in_drain),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
