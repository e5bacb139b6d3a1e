/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-dirty.c - dirty logs and rings on a kernel that is played: it logs as KVM does, checks what it is asked, and fails on demand.
 *
 * The guest is played as well: guest_write() changes a page and is logged if the kernel watches the page. Cites the guarantees at
 * the top of kvm/dirty.c and kvm/dirty_ring.c.
 */
#include <errno.h>
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
#include <gmem/kvm.h>
#include <gmem/kvm_dirty.h>

#include "random.h"

#define PAGE 4096u
#define PAGES 192u
#define BASE 0x100000u
#define SLOTS 8u
#define ENTRIES 16u
#define SOFT_LIMIT 12u /* a vCPU whose ring has as many entries does not run */
#define VCPUS 2u

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

struct page {
    bool dirty;   /* in the log, or in a ring and not reset */
    bool watched; /* a write is logged */
};

struct kernel_slot {
    struct kvm_userspace_memory_region call; /* memory_size 0: none */
    struct page *page;
};

/* A vCPU with a ring. */
struct played_vcpu {
    int fd;
    struct kvm_dirty_gfn *ring;
    uint32_t dirty_index, reset_index;
};

struct kernel {
    struct kernel_slot slot[SLOTS];
    int manual_cap, ring_cap;
    uint64_t manual; /* what was enabled */
    uint32_t ring_bytes;
    struct played_vcpu vcpu[VCPUS];
    unsigned writer;        /* the vCPU that writes */
    uint32_t reset_at_most; /* then a signal comes */
    uint32_t late;          /* entries that are pushed when a reset is asked for, whether there is room or not */
    struct random *chaos;   /* if not NULL: entries are pushed at any moment of a reset */
    uint32_t pushed;        /* by that */
    unsigned calls, fail_from, fail_count;
    int fail_with;
    unsigned gets, clears, resets;
    unsigned set_fails; /* slot calls that fail from now on */
    unsigned set_skip;
    bool no_memory_then; /* when a slot call fails, memory runs out */
};

static uint64_t pages_of(const struct kernel_slot *slot)
{
    return slot->call.memory_size / PAGE;
}

static bool is_logged(const struct kernel_slot *slot)
{
    return slot->call.memory_size && slot->call.flags & KVM_MEM_LOG_DIRTY_PAGES;
}

static void begin_log(struct kernel *kernel, struct kernel_slot *slot)
{
    bool init = kernel->manual & KVM_DIRTY_LOG_INITIALLY_SET;
    uint64_t i;

    for (i = 0; i < pages_of(slot); i++)
        slot->page[i] = (struct page){.dirty = init, .watched = !init};
}

static int kernel_set(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct kernel *kernel = opaque;
    struct kernel_slot *slot = &kernel->slot[call->slot];
    bool was = is_logged(slot);

    assert_true(call->slot < SLOTS);
    if (kernel->set_skip > 0) {
        kernel->set_skip--;
    } else if (kernel->set_fails > 0) {
        kernel->set_fails--;
        fail_allocation = allocations;
        fail_allocations = kernel->no_memory_then ? UINT32_MAX / 2 : 0;
        return -EIO;
    }
    if (call->memory_size == 0) {
        free(slot->page);
        memset(slot, 0, sizeof(*slot));
        return 0;
    }
    if (!slot->call.memory_size) {
        slot->page = calloc(call->memory_size / PAGE, sizeof(*slot->page));
        assert_non_null(slot->page);
    }
    slot->call = *call;
    if (is_logged(slot) && !was)
        begin_log(kernel, slot);
    return 0;
}

static int get_log(struct kernel *kernel, const struct kvm_dirty_log *call)
{
    struct kernel_slot *slot = &kernel->slot[call->slot];
    uint64_t *bits = call->dirty_bitmap;
    uint64_t i;

    if (call->slot >= SLOTS || !is_logged(slot))
        return -ENOENT;
    if (kernel->ring_bytes)
        return -ENXIO;
    kernel->gets++;
    memset(bits, 0, (pages_of(slot) + 63) / 64 * 8);
    for (i = 0; i < pages_of(slot); i++) {
        if (!slot->page[i].dirty)
            continue;
        bits[i / 64] |= UINT64_C(1) << i % 64;
        if (!kernel->manual)
            slot->page[i] = (struct page){.watched = true};
    }
    return 0;
}

/* The rules of the kernel's document: first_page and num_pages multiples of 64, or up to the slot's end. */
static int clear_log(struct kernel *kernel, const struct kvm_clear_dirty_log *call)
{
    struct kernel_slot *slot = &kernel->slot[call->slot];
    const uint64_t *bits = call->dirty_bitmap;
    uint64_t i;

    if (call->slot >= SLOTS || !is_logged(slot))
        return -ENOENT;
    assert_true(kernel->manual & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
    if (call->first_page % 64 || call->first_page > pages_of(slot) ||
        call->num_pages > pages_of(slot) - call->first_page ||
        (call->num_pages % 64 && call->num_pages < pages_of(slot) - call->first_page))
        return -EINVAL;
    kernel->clears++;
    for (i = 0; i < call->num_pages; i++) {
        if (bits[i / 64] >> i % 64 & 1)
            slot->page[call->first_page + i] = (struct page){.watched = true};
    }
    return 0;
}

static uint32_t used(const struct kernel *kernel, unsigned vcpu)
{
    return kernel->vcpu[vcpu].dirty_index - kernel->vcpu[vcpu].reset_index;
}

static void push(struct kernel *kernel, uint32_t slot, uint64_t offset)
{
    struct played_vcpu *vcpu = &kernel->vcpu[kernel->writer];
    struct kvm_dirty_gfn *gfn = &vcpu->ring[vcpu->dirty_index++ % ENTRIES];

    *gfn = (struct kvm_dirty_gfn){.slot = slot, .offset = offset, .flags = KVM_DIRTY_GFN_F_DIRTY};
}

/* Some vCPU that may run pushes some. */
static void push_some(struct kernel *kernel)
{
    uint32_t some = (uint32_t)random_below(kernel->chaos, 2 * ENTRIES);
    unsigned writer = kernel->writer;

    kernel->writer = (unsigned)random_below(kernel->chaos, VCPUS);
    for (; some > 0 && used(kernel, kernel->writer) < ENTRIES + SOFT_LIMIT; some--) {
        push(kernel, 0, random_below(kernel->chaos, PAGES));
        kernel->pushed++;
    }
    kernel->writer = writer;
}

static bool reset_one(struct kernel *kernel, struct played_vcpu *vcpu)
{
    struct kvm_dirty_gfn *gfn = &vcpu->ring[vcpu->reset_index % ENTRIES];

    if (kernel->chaos && random_below(kernel->chaos, 40) == 0)
        push_some(kernel);
    if (!(gfn->flags & KVM_DIRTY_GFN_F_RESET))
        return false;
    /* Else it would never come to an end of what it takes to be in the ring. */
    assert_int_not_equal(vcpu->reset_index, vcpu->dirty_index);
    if (gfn->slot < SLOTS && gfn->offset < pages_of(&kernel->slot[gfn->slot]))
        kernel->slot[gfn->slot].page[gfn->offset] = (struct page){.watched = true};
    gfn->flags = 0;
    vcpu->reset_index++;
    return true;
}

static int reset_rings(struct kernel *kernel)
{
    uint32_t done = 0;
    unsigned i;

    kernel->resets++;
    for (; kernel->late > 0; kernel->late--)
        push(kernel, 0, kernel->late % PAGES);
    for (i = 0; i < VCPUS; i++) {
        while (done < kernel->reset_at_most && kernel->vcpu[i].ring && reset_one(kernel, &kernel->vcpu[i]))
            done++;
    }
    return (int)done;
}

static int enable_cap(struct kernel *kernel, const struct kvm_enable_cap *cap)
{
    if (cap->cap == KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
        kernel->manual = cap->args[0];
    else if (cap->cap == (uint32_t)kernel->ring_cap)
        kernel->ring_bytes = (uint32_t)cap->args[0];
    else
        return -EINVAL;
    return 0;
}

static int kernel_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
    struct kernel *kernel = opaque;

    assert_int_equal(fd, 77);
    if (kernel->calls++ - kernel->fail_from < kernel->fail_count)
        return -kernel->fail_with;
    switch (request) {
    case KVM_CHECK_EXTENSION:
        if ((uintptr_t)arg == KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
            return kernel->manual_cap;
        return (uintptr_t)arg == (uintptr_t)kernel->ring_cap ? 65536 : 0;
    case KVM_ENABLE_CAP:
        return enable_cap(kernel, arg);
    case KVM_GET_DIRTY_LOG:
        return get_log(kernel, arg);
    case KVM_CLEAR_DIRTY_LOG:
        return clear_log(kernel, arg);
    case KVM_RESET_DIRTY_RINGS:
        return reset_rings(kernel);
    default:
        return -ENOTTY;
    }
}

/* --- the world --- */

struct world {
    struct kernel kernel;
    gmem_vm *vm;
    gmem_region *system, *log, *overlay;
    gmem_space *memory;
    gmem_kvm *kvm;
    gmem_kvm_dirty *dirty;
    gmem_kvm_ring *ring;
    unsigned paused, pauses;
    uint32_t counter;
    uint8_t copy[2][PAGES];
};

static void on_pause(void *opaque)
{
    struct world *world = opaque;

    world->paused++;
    world->pauses++;
}

static void on_resume(void *opaque)
{
    struct world *world = opaque;

    assert_true(world->paused > 0);
    world->paused--;
}

static gmem_result ignore_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    *ret_value = 0;
    return GMEM_OK;
}

static gmem_result ignore_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static const struct gmem_mmio_ops ignore = {.read = ignore_read, .write = ignore_write, .endian = GMEM_ENDIAN_LITTLE};

static uint8_t *memory_of(struct world *world)
{
    return gmem_ram_host(gmem_region_ram(world->log));
}

static struct world *world_of(uint64_t pages)
{
    struct world *world = calloc(1, sizeof(*world));
    struct gmem_kvm_options options = {.struct_size = sizeof(options), .vm_fd = 77, .set = kernel_set};
    gmem_ram *ram;
    gmem_vm *vm;
    unsigned i;

    assert_non_null(world);
    world->kernel.manual_cap = 3;
    world->kernel.ring_cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
    for (i = 0; i < VCPUS; i++)
        world->kernel.vcpu[i].fd = -1;
    world->kernel.fail_with = EIO;
    world->kernel.reset_at_most = UINT32_MAX;
    assert_int_equal(gmem_vm_create(NULL, &vm), 0);
    world->vm = vm;
    assert_int_equal(gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &world->system), 0);
    assert_int_equal(gmem_ram_create_anon(vm, "log", pages * PAGE, &ram), 0);
    assert_int_equal(gmem_region_create_ram(vm, "log", ram, NULL, &world->log), 0);
    gmem_ram_unref(ram);
    assert_int_equal(gmem_region_create_mmio(vm, "overlay", GMEM_SIZE(2 * PAGE), &ignore, NULL, NULL, &world->overlay),
                     0);
    assert_int_equal(gmem_region_set_enabled(world->overlay, false), 0);
    assert_int_equal(gmem_region_add(world->system, BASE, world->log), 0);
    assert_int_equal(gmem_region_add_priority(world->system, BASE + 100 * PAGE, world->overlay, 1), 0);
    assert_int_equal(gmem_region_set_log(world->log, GMEM_LOG_MIGRATION, true), 0);
    assert_int_equal(gmem_region_set_log(world->log, GMEM_LOG_DISPLAY, true), 0);
    assert_int_equal(gmem_space_create(vm, "memory", world->system, NULL, &world->memory), 0);
    options.set_opaque = &world->kernel;
    assert_int_equal(gmem_kvm_create(world->memory, &options, &world->kvm), 0);
    return world;
}

static struct gmem_kvm_dirty_options options_of(struct world *world, enum gmem_kvm_dirty_mode mode)
{
    return (struct gmem_kvm_dirty_options){.struct_size = sizeof(struct gmem_kvm_dirty_options),
                                           .mode = mode,
                                           .ioctl = kernel_ioctl,
                                           .ioctl_opaque = &world->kernel,
                                           .pause_opaque = world};
}

static struct world *world_new(enum gmem_kvm_dirty_mode mode, bool pause)
{
    struct world *world = world_of(PAGES);
    struct gmem_kvm_dirty_options options = options_of(world, mode);

    if (pause) {
        options.pause = on_pause;
        options.resume = on_resume;
    }
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &world->dirty), 0);
    assert_int_equal(gmem_kvm_dirty_mode(world->dirty), mode);
    return world;
}

static void ring_options(struct world *world, struct gmem_kvm_ring_options *options)
{
    *options = (struct gmem_kvm_ring_options){.struct_size = sizeof(*options),
                                              .vm_fd = 77,
                                              .entries = ENTRIES,
                                              .ioctl = kernel_ioctl,
                                              .ioctl_opaque = &world->kernel};
}

static struct world *ring_world(void)
{
    struct world *world = world_of(PAGES);
    struct gmem_kvm_dirty_options options = options_of(world, GMEM_KVM_DIRTY_AUTO);
    struct gmem_kvm_ring_options ring;
    size_t at = KVM_DIRTY_LOG_PAGE_OFFSET * PAGE;
    unsigned i;

    ring_options(world, &ring);
    assert_int_equal(gmem_kvm_ring_create(&ring, &world->ring), 0);
    assert_int_equal(gmem_kvm_ring_entries(world->ring), ENTRIES);
    assert_int_equal(world->kernel.ring_bytes, ENTRIES * sizeof(struct kvm_dirty_gfn));
    options.ring = world->ring;
    options.pause = on_pause;
    options.resume = on_resume;
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &world->dirty), 0);
    assert_int_equal(gmem_kvm_dirty_mode(world->dirty), GMEM_KVM_DIRTY_RING);
    for (i = 0; i < VCPUS; i++) {
        struct played_vcpu *vcpu = &world->kernel.vcpu[i];

        vcpu->fd = memfd_create("vcpu", MFD_CLOEXEC);
        assert_true(vcpu->fd >= 0);
        assert_int_equal(ftruncate(vcpu->fd, (off_t)(at + PAGE)), 0);
        vcpu->ring = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, (off_t)at);
        assert_ptr_not_equal(vcpu->ring, MAP_FAILED);
        assert_int_equal(gmem_kvm_ring_add_vcpu(world->ring, vcpu->fd), 0);
        assert_int_equal(gmem_kvm_ring_add_vcpu(world->ring, vcpu->fd), -EEXIST);
    }
    return world;
}

static void world_free(struct world *world)
{
    unsigned i;

    assert_int_equal(world->paused, 0);
    gmem_kvm_dirty_destroy(world->dirty);
    gmem_kvm_ring_destroy(world->ring);
    gmem_kvm_destroy(world->kvm);
    for (i = 0; i < SLOTS; i++)
        assert_int_equal(world->kernel.slot[i].call.memory_size, 0);
    gmem_vm_destroy(world->vm);
    for (i = 0; i < VCPUS; i++) {
        if (world->kernel.vcpu[i].ring)
            (void)munmap(world->kernel.vcpu[i].ring, PAGE);
        if (world->kernel.vcpu[i].fd >= 0)
            (void)close(world->kernel.vcpu[i].fd);
    }
    free(world);
}

/* The guest writes a page: by its slot, or where there is none by an exit. */
static void guest_write(struct world *world, uint64_t page)
{
    struct kernel *kernel = &world->kernel;
    uint64_t gpa = BASE + page * PAGE;
    uint8_t value = (uint8_t)++world->counter;
    unsigned i;

    for (i = 0; i < SLOTS; i++) {
        struct kernel_slot *slot = &kernel->slot[i];
        uint64_t offset = (gpa - slot->call.guest_phys_addr) / PAGE;
        struct page *seen;

        if (!slot->call.memory_size || gpa < slot->call.guest_phys_addr || offset >= pages_of(slot))
            continue;
        assert_int_equal(world->paused, 0);
        *(uint8_t *)(uintptr_t)(slot->call.userspace_addr + offset * PAGE) = value;
        seen = &slot->page[offset];
        if (!is_logged(slot) || !seen->watched)
            return;
        *seen = (struct page){.dirty = true};
        if (kernel->vcpu[0].ring)
            push(kernel, i, offset);
        return;
    }
    (void)gmem_st8(world->memory, gpa, GMEM_ATTRS_NONE, value);
}

/* A client's round, in two halves so that another's can come between. */
static const unsigned clients[2] = {GMEM_LOG_MIGRATION, GMEM_LOG_DISPLAY};

static void find(struct world *world, unsigned client, bool found[PAGES])
{
    uint64_t page;

    for (page = 0; page < PAGES; page++)
        assert_int_equal(gmem_ram_dirty_test_and_clear(gmem_region_ram(world->log), clients[client], page * PAGE, PAGE,
                                                       &found[page]),
                         0);
}

static void clear_and_copy(struct world *world, unsigned client, const bool found[PAGES], bool piecewise)
{
    uint64_t page;

    if (!piecewise)
        assert_int_equal(gmem_region_log_clear(world->log, 0, PAGES * PAGE - 1), 0);
    for (page = 0; page < PAGES; page++) {
        if (!found[page])
            continue;
        if (piecewise)
            assert_int_equal(gmem_region_log_clear(world->log, page * PAGE, page * PAGE + PAGE - 1), 0);
        world->copy[client][page] = memory_of(world)[page * PAGE];
    }
}

static void client_round(struct world *world, unsigned client)
{
    bool found[PAGES];

    assert_int_equal(gmem_region_log_sync(world->log), 0);
    find(world, client, found);
    clear_and_copy(world, client, found, client);
}

static void check_copy(struct world *world, unsigned client)
{
    uint64_t page;

    for (page = 0; page < PAGES; page++)
        assert_int_equal(world->copy[client][page], memory_of(world)[page * PAGE]);
}

static unsigned count_found(struct world *world, unsigned client)
{
    bool found[PAGES];
    unsigned count = 0, page;

    find(world, client, found);
    for (page = 0; page < PAGES; page++)
        count += found[page];
    return count;
}

/* --- what callers may ask --- */

static void test_arguments(void **state)
{
    struct world *world = world_of(PAGES);
    struct gmem_kvm_dirty_options options = options_of(world, GMEM_KVM_DIRTY_AUTO);
    struct gmem_kvm_ring_options ring;
    gmem_kvm_dirty *dirty = NULL, *second = NULL;
    gmem_kvm_ring *made = NULL;

    (void)state;
    assert_int_equal(gmem_kvm_dirty_create(NULL, &options, &dirty), -EINVAL);
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, NULL, &dirty), -EINVAL);
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, NULL), -EINVAL);
    options.mode = 5;
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &dirty), -EINVAL);
    options.mode = GMEM_KVM_DIRTY_RING;
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &dirty), -EINVAL);
    options.mode = GMEM_KVM_DIRTY_GET;
    options.pause = on_pause;
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &dirty), -EINVAL);
    options = options_of(world, GMEM_KVM_DIRTY_MANUAL_INIT);
    world->kernel.manual_cap = 1;
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &dirty), -ENOTSUP);
    options.mode = GMEM_KVM_DIRTY_AUTO;
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &dirty), 0);
    assert_int_equal(gmem_kvm_dirty_mode(dirty), GMEM_KVM_DIRTY_MANUAL);
    assert_int_equal(world->kernel.manual, 1);
    world->kernel.manual_cap = 3;
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &second), -EEXIST);
    assert_int_equal(world->kernel.manual, 1);
    gmem_kvm_dirty_destroy(dirty);
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &dirty), 0);
    assert_int_equal(gmem_kvm_dirty_mode(dirty), GMEM_KVM_DIRTY_MANUAL_INIT);
    gmem_kvm_dirty_destroy(dirty);
    world->kernel.manual_cap = 0;
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &dirty), 0);
    assert_int_equal(gmem_kvm_dirty_mode(dirty), GMEM_KVM_DIRTY_GET);
    gmem_kvm_dirty_destroy(dirty);
    gmem_kvm_dirty_destroy(NULL);

    ring_options(world, &ring);
    assert_int_equal(gmem_kvm_ring_create(NULL, &made), -EINVAL);
    assert_int_equal(gmem_kvm_ring_create(&ring, NULL), -EINVAL);
    ring.entries = 24;
    assert_int_equal(gmem_kvm_ring_create(&ring, &made), -EINVAL);
    ring.entries = 8192;
    assert_int_equal(gmem_kvm_ring_create(&ring, &made), -EINVAL);
    ring.entries = 0;
    world->kernel.ring_cap = 0;
    assert_int_equal(gmem_kvm_ring_create(&ring, &made), -ENOTSUP);
    world->kernel.ring_cap = KVM_CAP_DIRTY_LOG_RING;
    assert_int_equal(gmem_kvm_ring_create(&ring, &made), 0);
    assert_int_equal(gmem_kvm_ring_entries(made), 4096);
    assert_true(gmem_kvm_ring_add_vcpu(made, -1) < 0);
    gmem_kvm_ring_remove_vcpu(made, 3);
    gmem_kvm_ring_remove_vcpu(NULL, 3);
    assert_int_equal(gmem_kvm_ring_add_vcpu(NULL, 3), -EINVAL);
    assert_int_equal(gmem_kvm_ring_serve_full(NULL, -1), -EINVAL);
    gmem_kvm_ring_destroy(made);
    gmem_kvm_ring_destroy(NULL);
    world_free(world);
}

/* Every ioctl of a creation fails: nothing is left, and it can be created after. */
static void test_creation_fails(void **state)
{
    struct world *world = world_of(PAGES);
    struct gmem_kvm_dirty_options options = options_of(world, GMEM_KVM_DIRTY_AUTO);
    struct gmem_kvm_ring_options ring;
    unsigned n;
    int err = -1;

    (void)state;
    for (n = 0; err; n++) {
        world->kernel.fail_from = world->kernel.calls + n;
        world->kernel.fail_count = 1;
        err = gmem_kvm_dirty_create(world->kvm, &options, &world->dirty);
        assert_true(!err || err == -EIO);
    }
    assert_int_equal(n, 3);
    ring_options(world, &ring);
    for (n = 0, err = -1; err; n++) {
        world->kernel.fail_from = world->kernel.calls + n;
        world->kernel.fail_count = 1;
        err = gmem_kvm_ring_create(&ring, &world->ring);
        assert_true(!err || err == -EIO);
    }
    assert_int_equal(n, 3);
    world->kernel.fail_count = 0;
    world_free(world);
}

/* --- the log --- */

/* (a): what a sync has handed out is cleared once; what the guest wrote since is not cleared by the second client. */
static void test_second_clear(void **state)
{
    struct world *world = world_new(GMEM_KVM_DIRTY_MANUAL, false);
    bool found[2][PAGES];

    (void)state;
    guest_write(world, 7);
    assert_int_equal(gmem_region_log_sync(world->log), 0);
    find(world, 0, found[0]);
    find(world, 1, found[1]);
    clear_and_copy(world, 1, found[1], true);
    guest_write(world, 7);
    clear_and_copy(world, 0, found[0], false);
    check_copy(world, 0);
    assert_int_equal(world->kernel.clears, 1);
    client_round(world, 1);
    check_copy(world, 1);
    world_free(world);
}

/* A write between the sync and the clear of a page that was clean is not cleared. */
static void test_write_before_clear(void **state)
{
    struct world *world = world_new(GMEM_KVM_DIRTY_MANUAL, false);
    bool found[PAGES];

    (void)state;
    guest_write(world, 7);
    assert_int_equal(gmem_region_log_sync(world->log), 0);
    find(world, 0, found);
    guest_write(world, 8);
    clear_and_copy(world, 0, found, false);
    client_round(world, 0);
    check_copy(world, 0);
    world_free(world);
}

/* Any order of steps of two clients, the guest, the host, and slots that come and go: no client misses a write. */
static void test_any_order(enum gmem_kvm_dirty_mode mode, bool pause, uint64_t seed)
{
    struct world *world = mode == GMEM_KVM_DIRTY_RING ? ring_world() : world_new(mode, pause);
    struct random random = random_start("any order", seed);
    bool found[2][PAGES] = {{false}}, holds[2] = {false};
    unsigned step, client;

    for (step = 0; step < 3000; step++) {
        client = (unsigned)random_below(&random, 2);
        switch (random_below(&random, 10)) {
        case 0:
            assert_int_equal(gmem_region_log_sync(world->log), 0);
            break;
        case 1:
            if (!holds[client])
                find(world, client, found[client]);
            holds[client] = true;
            break;
        case 2:
        case 3:
            if (holds[client])
                clear_and_copy(world, client, found[client], random_below(&random, 2));
            holds[client] = false;
            break;
        case 4:
            (void)gmem_st8(world->memory, BASE + random_below(&random, PAGES) * PAGE, GMEM_ATTRS_NONE,
                           (uint8_t)++world->counter);
            break;
        case 5:
            if (random_below(&random, 4) == 0)
                assert_int_equal(gmem_region_set_enabled(world->overlay, random_below(&random, 2)), 0);
            break;
        default:
            if (mode == GMEM_KVM_DIRTY_RING && used(&world->kernel, 0) >= ENTRIES - 2)
                assert_int_equal(gmem_kvm_ring_serve_full(world->ring, world->kernel.vcpu[0].fd), 0);
            guest_write(world, random_below(&random, PAGES));
            break;
        }
    }
    for (client = 0; client < 2; client++) {
        if (holds[client])
            clear_and_copy(world, client, found[client], false);
        client_round(world, client);
        check_copy(world, client);
    }
    world_free(world);
}

static void test_orders(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 6; seed++) {
        test_any_order(GMEM_KVM_DIRTY_GET, false, seed);
        test_any_order(GMEM_KVM_DIRTY_GET, true, seed);
        test_any_order(GMEM_KVM_DIRTY_MANUAL, false, seed);
        test_any_order(GMEM_KVM_DIRTY_MANUAL, true, seed);
        test_any_order(GMEM_KVM_DIRTY_MANUAL_INIT, false, seed);
        test_any_order(GMEM_KVM_DIRTY_MANUAL_INIT, true, seed);
        test_any_order(GMEM_KVM_DIRTY_RING, true, seed);
    }
}

/* A slot larger than one clear goes in pieces that the kernel takes; its end is no multiple of 64. */
static void test_large(void **state)
{
    struct world *world = world_of(40001);
    struct gmem_kvm_dirty_options options = options_of(world, GMEM_KVM_DIRTY_MANUAL);
    struct gmem_kvm_dirty_stats stats;
    bool dirty;

    (void)state;
    assert_int_equal(gmem_kvm_dirty_create(world->kvm, &options, &world->dirty), 0);
    guest_write(world, 0);
    guest_write(world, 16384);
    guest_write(world, 39999);
    guest_write(world, 40000);
    assert_int_equal(gmem_region_log_sync(world->log), 0);
    assert_int_equal(gmem_region_log_clear(world->log, UINT64_C(16384) * PAGE, UINT64_C(40001) * PAGE - 1), 0);
    gmem_kvm_dirty_stats(world->dirty, &stats);
    assert_int_equal(stats.gets, 1);
    assert_int_equal(stats.pages_marked, 4);
    assert_int_equal(stats.pages_cleared, 3);
    assert_int_equal(stats.clears, 2);
    assert_int_equal(gmem_region_log_clear(world->log, 1, 2), 0); /* rounded outwards */
    gmem_kvm_dirty_stats(world->dirty, &stats);
    assert_int_equal(stats.pages_cleared, 4);
    assert_int_equal(
        gmem_ram_dirty_test(gmem_region_ram(world->log), GMEM_LOG_DISPLAY, UINT64_C(39999) * PAGE, PAGE, &dirty), 0);
    assert_true(dirty);
    assert_int_equal(
        gmem_ram_dirty_test(gmem_region_ram(world->log), GMEM_LOG_DISPLAY, UINT64_C(39998) * PAGE, PAGE, &dirty), 0);
    assert_false(dirty);
    world_free(world);
}

/* The kernel refuses to fetch or to clear: an error, and nothing is lost by it. */
static void test_log_fails(void **state)
{
    static const enum gmem_kvm_dirty_mode modes[] = {GMEM_KVM_DIRTY_GET, GMEM_KVM_DIRTY_MANUAL};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct world *world = world_new(modes[i], false);
        struct gmem_kvm_dirty_stats stats;
        bool found[PAGES];

        guest_write(world, 3);
        world->kernel.fail_from = world->kernel.calls;
        world->kernel.fail_count = 1;
        assert_int_equal(gmem_region_log_sync(world->log), -EIO);
        assert_int_equal(count_found(world, 0), 0);
        assert_int_equal(gmem_region_log_sync(world->log), 0);
        find(world, 0, found);
        assert_true(found[3]);
        gmem_kvm_dirty_stats(world->dirty, &stats);
        assert_int_equal(stats.failed, 1);
        if (modes[i] == GMEM_KVM_DIRTY_MANUAL) {
            world->kernel.fail_from = world->kernel.calls;
            assert_int_equal(gmem_region_log_clear(world->log, 0, PAGES * PAGE - 1), -EIO);
        }
        guest_write(world, 3);
        clear_and_copy(world, 0, found, false);
        guest_write(world, 3);
        client_round(world, 0);
        check_copy(world, 0);
        world_free(world);
    }
}

/* (b): with pause the log of a slot that goes is fetched, and else all of it is marked. */
static void test_removal(void **state)
{
    unsigned variant;

    (void)state;
    for (variant = 0; variant < 3; variant++) {
        struct world *world = world_new(GMEM_KVM_DIRTY_GET, variant > 0);
        struct gmem_kvm_dirty_stats stats;

        guest_write(world, 3);
        if (variant == 2) {
            world->kernel.fail_from = world->kernel.calls;
            world->kernel.fail_count = 1;
        }
        assert_int_equal(gmem_region_set_enabled(world->log, false), 0);
        assert_int_equal(count_found(world, 0), variant == 1 ? 1 : PAGES);
        assert_int_equal(count_found(world, 1), variant == 1 ? 1 : PAGES);
        gmem_kvm_dirty_stats(world->dirty, &stats);
        assert_int_equal(stats.fetched_at_removal, variant == 1);
        assert_int_equal(stats.marked_at_removal, variant != 1);
        assert_int_equal(world->pauses, variant > 0);
        world_free(world);
    }
}

/* A removal that the kernel refuses leaves slot and log as they were. */
static void test_removal_fails(void **state)
{
    struct world *world = world_new(GMEM_KVM_DIRTY_GET, true);

    (void)state;
    world->kernel.set_fails = 1;
    assert_int_equal(gmem_region_set_enabled(world->log, false), -EIO);
    assert_int_equal(world->paused, 0);
    guest_write(world, 5);
    client_round(world, 0);
    check_copy(world, 0);
    world_free(world);
}

/* (c), G1: memory runs out when a slot begins to be logged: refused. In an undo none is needed. */
static void test_memory_runs_out(void **state)
{
    struct world *world = world_new(GMEM_KVM_DIRTY_MANUAL, false);
    unsigned n, failed = 0;
    int err = -1;

    (void)state;
    for (n = 0; err; n++) {
        allocations = 0;
        fail_allocation = n;
        fail_allocations = UINT32_MAX / 2;
        err = gmem_region_set_enabled(world->overlay, true);
        fail_allocations = 0;
        if (!err)
            break;
        failed++;
        assert_int_equal(err, -ENOMEM);
        assert_int_equal(pages_of(&world->kernel.slot[0]), PAGES);
        guest_write(world, n);
        client_round(world, 0);
        check_copy(world, 0);
    }
    assert_true(failed > 0);
    assert_int_equal(pages_of(&world->kernel.slot[0]), 100);
    guest_write(world, 150);
    client_round(world, 0);
    check_copy(world, 0);
    world_free(world);
    /* The slot is cut: it is removed, and the kernel refuses what is left of it. The undo has no memory to be had. */
    world = world_new(GMEM_KVM_DIRTY_MANUAL, false);
    world->kernel.set_skip = 1;
    world->kernel.set_fails = 1;
    world->kernel.no_memory_then = true;
    assert_int_equal(gmem_region_set_enabled(world->overlay, true), -EIO);
    assert_int_not_equal(fail_allocations, 0);
    fail_allocations = 0;
    guest_write(world, 150);
    guest_write(world, 1);
    client_round(world, 0);
    check_copy(world, 0);
    world_free(world);
}

/* --- rings --- */

/* dirty_ring.c (b): a reset that is cut short goes on; one that fails leaves what was taken for the next. */
static void test_reset(void **state)
{
    struct world *world = ring_world();
    struct gmem_kvm_ring_stats stats;
    unsigned i;

    (void)state;
    world->kernel.reset_at_most = 3;
    for (i = 0; i < 10; i++)
        guest_write(world, i);
    assert_int_equal(gmem_kvm_ring_serve_full(world->ring, world->kernel.vcpu[0].fd), 0);
    assert_int_equal(world->kernel.vcpu[0].reset_index, 10);
    assert_int_equal(world->kernel.resets, 4);
    client_round(world, 0);
    check_copy(world, 0);
    for (i = 0; i < 5; i++)
        guest_write(world, i);
    world->kernel.fail_from = world->kernel.calls;
    world->kernel.fail_count = 1;
    assert_int_equal(gmem_region_log_sync(world->log), -EIO);
    assert_int_equal(count_found(world, 0), 5);
    /* Not watched as yet: this is found out because the entries are marked again. */
    guest_write(world, 2);
    client_round(world, 0);
    assert_int_equal(world->kernel.vcpu[0].reset_index, 15);
    assert_int_equal(world->copy[0][2], memory_of(world)[2 * PAGE]);
    guest_write(world, 2);
    client_round(world, 0);
    assert_int_equal(world->copy[0][2], memory_of(world)[2 * PAGE]);
    /* Signals without end. */
    world->kernel.reset_at_most = 0;
    guest_write(world, 9);
    assert_int_equal(gmem_kvm_ring_serve_full(world->ring, world->kernel.vcpu[0].fd), -EINTR);
    world->kernel.reset_at_most = UINT32_MAX;
    assert_int_equal(gmem_kvm_ring_serve_full(world->ring, world->kernel.vcpu[0].fd), 0);
    gmem_kvm_ring_stats(world->ring, &stats);
    assert_int_equal(stats.harvested, 17);
    assert_int_equal(stats.full, 3);
    assert_int_equal(stats.strays, 0);
    assert_int_equal(stats.overruns, 0);
    world_free(world);
}

/* Entries of slots that are gone, or not ours, are passed over. */
static void test_strays(void **state)
{
    struct world *world = ring_world();
    struct gmem_kvm_ring_stats stats;

    (void)state;
    push(&world->kernel, 5, 1);
    push(&world->kernel, 1u << 16, 1);
    push(&world->kernel, 0, PAGES);
    push(&world->kernel, 0, PAGES - 1);
    assert_int_equal(gmem_region_log_sync(world->log), 0);
    assert_int_equal(world->pauses, 1);
    assert_int_equal(count_found(world, 0), 1);
    gmem_kvm_ring_stats(world->ring, &stats);
    assert_int_equal(stats.strays, 3);
    world_free(world);
}

/* A vCPU that goes leaves what its ring had; a slot that goes too, before it is gone. */
static void test_leaving(void **state)
{
    struct world *world = ring_world();

    (void)state;
    guest_write(world, 11);
    assert_int_equal(gmem_region_set_enabled(world->log, false), 0);
    assert_int_equal(count_found(world, 0), 1);
    assert_int_equal(gmem_region_set_enabled(world->log, true), 0);
    guest_write(world, 12);
    gmem_kvm_ring_remove_vcpu(world->ring, world->kernel.vcpu[0].fd);
    assert_int_equal(count_found(world, 0), 1);
    assert_int_equal(gmem_kvm_ring_add_vcpu(world->ring, world->kernel.vcpu[0].fd), 0);
    world_free(world);
}

/* dirty_ring.c (c): the kernel lets a ring run over. Nothing is lost, and the ring works on. */
static void test_overrun(void **state)
{
    unsigned over;

    (void)state;
    for (over = 0; over < 6; over++) {
        struct world *world = ring_world();
        struct gmem_kvm_ring_stats stats;
        unsigned i, round;

        for (round = 0; round < 10; round++) {
            for (i = 0; i < (round % 3 ? 5 : ENTRIES + over); i++)
                guest_write(world, (round * 31 + i) % PAGES);
            client_round(world, 0);
            check_copy(world, 0);
            assert_true(used(&world->kernel, 0) <= ENTRIES + over);
        }
        /* It finds its ring empty again, or is a write away from it. */
        guest_write(world, 0);
        assert_int_equal(gmem_kvm_ring_serve_full(world->ring, world->kernel.vcpu[0].fd), 0);
        assert_true(used(&world->kernel, 0) <= over);
        gmem_kvm_ring_stats(world->ring, &stats);
        assert_true(stats.overruns > 0);
        world_free(world);
    }
}

/* The same while the ring is emptied: the kernel writes over what was taken and not yet reset. */
static void test_late_overrun(void **state)
{
    unsigned late;

    (void)state;
    for (late = ENTRIES - 4; late < ENTRIES + 3; late++) {
        struct world *world = ring_world();
        struct gmem_kvm_ring_stats stats;
        unsigned i;

        for (i = 0; i < 5; i++)
            guest_write(world, i);
        world->kernel.late = late;
        assert_int_equal(gmem_kvm_ring_serve_full(world->ring, world->kernel.vcpu[0].fd), 0);
        gmem_kvm_ring_stats(world->ring, &stats);
        assert_true(stats.overruns > 0);
        assert_int_equal(count_found(world, 0), PAGES);
        for (i = 0; i < 40; i++) {
            guest_write(world, i * 3);
            client_round(world, 0);
            check_copy(world, 0);
            assert_true(used(&world->kernel, 0) < ENTRIES);
        }
        world_free(world);
    }
}

/* A vCPU comes with a full ring until it may run. */
static void serve_until_it_runs(struct world *world, unsigned vcpu)
{
    unsigned exits = 0;

    while (used(&world->kernel, vcpu) >= SOFT_LIMIT) {
        assert_int_equal(gmem_kvm_ring_serve_full(world->ring, world->kernel.vcpu[vcpu].fd), 0);
        assert_true(exits++ < 4 * ENTRIES);
    }
}

/* dirty_ring.c (f): so many entries are lost that the vCPU may write nothing. It comes until it may. */
static void test_overrun_by_a_ring(void **state)
{
    unsigned over;

    (void)state;
    for (over = 0; over <= 3 * ENTRIES; over++) {
        struct world *world = ring_world();
        unsigned i, exits;

        for (i = 0; i < ENTRIES + over; i++)
            guest_write(world, i);
        serve_until_it_runs(world, 0);
        /* At any other time, and of the other vCPU, nothing is given back on suspicion. */
        for (exits = 0; exits < 3; exits++)
            assert_int_equal(gmem_kvm_ring_serve_full(world->ring, exits ? -1 : world->kernel.vcpu[1].fd), 0);
        assert_int_equal(used(&world->kernel, 1), 0);
        client_round(world, 0);
        check_copy(world, 0);
        guest_write(world, 77);
        client_round(world, 0);
        check_copy(world, 0);
        assert_int_equal(used(&world->kernel, 0), 0);
        world_free(world);
    }
}

/*
 * (d), (e): rings that run over at any moment, also while they are emptied, and several at a time. The kernel is never given back
 * more than there is (it checks that), no write is lost, and each vCPU may run again.
 */
static void test_any_overrun(void **state)
{
    uint32_t pushed = 0;
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 40; seed++) {
        struct world *world = ring_world();
        struct random random = random_start("any overrun", seed);
        unsigned step, i, some;

        for (step = 0; step < 300; step++) {
            world->kernel.writer = (unsigned)random_below(&random, VCPUS);
            world->kernel.chaos = random_below(&random, 3) ? &random : NULL;
            world->kernel.reset_at_most =
                random_below(&random, 4) ? UINT32_MAX : 1 + (uint32_t)random_below(&random, 5);
            some = (unsigned)random_below(&random, random_below(&random, 3) ? SOFT_LIMIT : 3 * ENTRIES);
            for (i = 0; i < some; i++)
                guest_write(world, random_below(&random, PAGES));
            if (random_below(&random, 3) == 0)
                client_round(world, (unsigned)random_below(&random, 2));
            world->kernel.chaos = random_below(&random, 2) ? world->kernel.chaos : NULL;
            assert_int_equal(gmem_kvm_ring_serve_full(world->ring, -1), 0);
            world->kernel.chaos = NULL;
            for (i = 0; i < VCPUS; i++)
                serve_until_it_runs(world, i);
        }
        for (i = 0; i < 2; i++) {
            client_round(world, i);
            check_copy(world, i);
        }
        /* What is lost and counted is found by the next write. */
        for (i = 0; i < VCPUS; i++) {
            world->kernel.writer = i;
            push(&world->kernel, 0, 1);
            assert_int_equal(gmem_kvm_ring_serve_full(world->ring, -1), 0);
            assert_int_equal(used(&world->kernel, i), 0);
        }
        pushed += world->kernel.pushed;
        world_free(world);
    }
    assert_true(pushed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),     cmocka_unit_test(test_creation_fails),
        cmocka_unit_test(test_second_clear),  cmocka_unit_test(test_write_before_clear),
        cmocka_unit_test(test_orders),        cmocka_unit_test(test_large),
        cmocka_unit_test(test_log_fails),     cmocka_unit_test(test_removal),
        cmocka_unit_test(test_removal_fails), cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_reset),         cmocka_unit_test(test_strays),
        cmocka_unit_test(test_leaving),       cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_late_overrun),  cmocka_unit_test(test_overrun_by_a_ring),
        cmocka_unit_test(test_any_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
