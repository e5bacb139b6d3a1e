/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-adapter.c - the adapter on a kernel that is played: it knows the rules of KVM_SET_USER_MEMORY_REGION and fails on demand.
 *
 * Cites the guarantees at the top of kvm/adapter.c and the library's G1 and G8. The map is a small PC: RAM of 1 MiB with a
 * device and a ROM over it, a window on RAM that can be made read-only (PAM), a ROM device, and video memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <gmem/gmem.h>
#include <gmem/kvm.h>

#include "internal.h"

#define LOG ((uint32_t)KVM_MEM_LOG_DIRTY_PAGES)
#define RO ((uint32_t)KVM_MEM_READONLY)
#define SLOTS 64u

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

struct kernel {
    struct kvm_userspace_memory_region slot[SLOTS]; /* memory_size 0: free */
    uint64_t limit;                                 /* guest physical addresses end here; 0: at 2^64 */
    unsigned calls;
    unsigned fail_from, fail_count; /* calls number fail_from and on, so many, fail */
    int fail_with;
    char line[256][GMEM__TRACE_LINE];
    unsigned lines;
};

static bool overlaps(const struct kvm_userspace_memory_region *a, const struct kvm_userspace_memory_region *b)
{
    return a->slot >> 16 == b->slot >> 16 && a->guest_phys_addr < b->guest_phys_addr + b->memory_size &&
           b->guest_phys_addr < a->guest_phys_addr + a->memory_size;
}

static int kernel_set(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct kernel *kernel = opaque;
    struct kvm_userspace_memory_region *slot = &kernel->slot[(call->slot & 0xffff) % SLOTS];
    unsigned number = kernel->calls++;
    unsigned i;

    assert_true((call->slot & 0xffff) < SLOTS);
    if (number - kernel->fail_from < kernel->fail_count)
        return -kernel->fail_with;
    if ((call->guest_phys_addr | call->memory_size | call->userspace_addr) & 0xfff)
        return -EINVAL;
    if (call->memory_size == 0) {
        if (slot->memory_size == 0)
            return -EINVAL;
        slot->memory_size = 0;
        return 0;
    }
    if (kernel->limit && call->guest_phys_addr + call->memory_size > kernel->limit)
        return -EINVAL;
    if (slot->memory_size != 0) {
        if (slot->slot != call->slot || slot->guest_phys_addr != call->guest_phys_addr ||
            slot->memory_size != call->memory_size || slot->userspace_addr != call->userspace_addr ||
            ((slot->flags ^ call->flags) & RO))
            return -EINVAL;
    } else {
        for (i = 0; i < SLOTS; i++) {
            if (kernel->slot[i].memory_size != 0 && overlaps(&kernel->slot[i], call))
                return -EEXIST;
        }
    }
    *slot = *call;
    return 0;
}

static void kernel_trace(void *opaque, const char *line)
{
    struct kernel *kernel = opaque;

    if (kernel->lines < 256)
        (void)snprintf(kernel->line[kernel->lines++], GMEM__TRACE_LINE, "%s", line);
}

static unsigned kernel_count(const struct kernel *kernel)
{
    unsigned count = 0;
    unsigned i;

    for (i = 0; i < SLOTS; i++)
        count += kernel->slot[i].memory_size != 0;
    return count;
}

/* The slot that contains gpa, or NULL. */
static const struct kvm_userspace_memory_region *kernel_at(const struct kernel *kernel, uint64_t gpa)
{
    unsigned i;

    for (i = 0; i < SLOTS; i++) {
        if (gpa - kernel->slot[i].guest_phys_addr < kernel->slot[i].memory_size)
            return &kernel->slot[i];
    }
    return NULL;
}

/* --- the map --- */

struct machine {
    struct kernel kernel;
    gmem_vm *vm;
    gmem_space *space;
    gmem_kvm *kvm;
    struct gmem_kvm_options options;
    gmem_region *system, *ram, *vga, *rom, *pam, *flash, *vram;
};

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    *ret_value = 0x55;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    (void)value;
    return GMEM_OK;
}

static const struct gmem_mmio_ops device_ops = {.read = device_read, .write = device_write};

static gmem_ram *new_ram(struct machine *machine, const char *id, uint64_t size)
{
    gmem_ram *ram;

    assert_int_equal(gmem_ram_create_anon(machine->vm, id, size, &ram), 0);
    return ram;
}

static gmem_region *new_ram_region(struct machine *machine, const char *name, uint64_t size)
{
    gmem_ram *ram = new_ram(machine, name, size);
    gmem_region *region;

    assert_int_equal(gmem_region_create_ram(machine->vm, name, ram, NULL, &region), 0);
    gmem_ram_unref(ram);
    return region;
}

static void make_map(struct machine *machine)
{
    gmem_vm *vm = machine->vm;
    gmem_ram *rom = new_ram(machine, "rom", 0x20000);
    gmem_ram *flash = new_ram(machine, "flash", 0x10000);

    assert_int_equal(gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &machine->system), 0);
    machine->ram = new_ram_region(machine, "pc.ram", 0x100000);
    machine->vram = new_ram_region(machine, "vram", 0x10000);
    assert_int_equal(gmem_region_create_mmio(vm, "vga", GMEM_SIZE(0x20000), &device_ops, NULL, NULL, &machine->vga), 0);
    assert_int_equal(gmem_region_create_rom(vm, "rom", rom, NULL, &machine->rom), 0);
    assert_int_equal(gmem_region_create_romd(vm, "flash", flash, &device_ops, NULL, NULL, &machine->flash), 0);
    assert_int_equal(gmem_region_create_alias(vm, "pam", machine->ram, 0xc0000, GMEM_SIZE(0x8000), NULL, &machine->pam),
                     0);
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, true), 0);
    assert_int_equal(gmem_region_set_enabled(machine->pam, false), 0);
    assert_int_equal(gmem_region_add(machine->system, 0, machine->ram), 0);
    assert_int_equal(gmem_region_add_priority(machine->system, 0xa0000, machine->vga, 1), 0);
    assert_int_equal(gmem_region_add_priority(machine->system, 0xe0000, machine->rom, 1), 0);
    assert_int_equal(gmem_region_add_priority(machine->system, 0xc0000, machine->pam, 1), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x200000, machine->flash), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x300000, machine->vram), 0);
    assert_int_equal(gmem_space_create(vm, "memory", machine->system, NULL, &machine->space), 0);
    gmem_ram_unref(rom);
    gmem_ram_unref(flash);
}

static void attach(struct machine *machine)
{
    assert_int_equal(gmem_kvm_create(machine->space, &machine->options, &machine->kvm), 0);
}

static struct machine *machine_new(enum gmem_kvm_policy policy)
{
    struct machine *machine = calloc(1, sizeof(*machine));

    assert_non_null(machine);
    assert_int_equal(gmem_vm_create(NULL, &machine->vm), 0);
    make_map(machine);
    machine->options = (struct gmem_kvm_options){
        .struct_size = sizeof(machine->options),
        .vm_fd = -1,
        .policy = policy,
        .priority = 10,
        .set = kernel_set,
        .set_opaque = &machine->kernel,
        .trace = kernel_trace,
        .trace_opaque = &machine->kernel,
    };
    return machine;
}

static void machine_free(struct machine *machine)
{
    gmem_kvm_destroy(machine->kvm);
    assert_int_equal(kernel_count(&machine->kernel), 0);
    gmem_space_destroy(machine->space);
    gmem_vm_destroy(machine->vm);
    free(machine);
}

static void assert_slot(const struct machine *machine, uint64_t gpa, uint64_t size, uint32_t flags)
{
    const struct kvm_userspace_memory_region *slot = kernel_at(&machine->kernel, gpa);

    if (!slot)
        fail_msg("no slot at 0x%" PRIx64, gpa);
    assert_int_equal(slot->guest_phys_addr, gpa);
    assert_int_equal(slot->memory_size, size);
    assert_int_equal(slot->flags, flags);
}

struct snapshot {
    struct gmem_kvm_slot slot[SLOTS];
    unsigned count;
};

static int note_slot(void *opaque, const struct gmem_kvm_slot *slot)
{
    struct snapshot *snapshot = opaque;

    assert_true(snapshot->count < SLOTS);
    snapshot->slot[snapshot->count++] = *slot;
    return 0;
}

/* What the adapter says it has, which must be what the kernel has; guarantee (a). */
static void take_snapshot(struct machine *machine, struct snapshot *snapshot)
{
    unsigned i;

    memset(snapshot, 0, sizeof(*snapshot));
    assert_int_equal(gmem_kvm_foreach_slot(machine->kvm, note_slot, snapshot), 0);
    assert_int_equal(snapshot->count, kernel_count(&machine->kernel));
    for (i = 0; i < snapshot->count; i++) {
        const struct gmem_kvm_slot *slot = &snapshot->slot[i];
        const struct kvm_userspace_memory_region *has = &machine->kernel.slot[(slot->slot & 0xffff) % SLOTS];

        assert_true(i == 0 || snapshot->slot[i - 1].gpa < slot->gpa);
        assert_int_equal(has->slot, slot->slot);
        assert_int_equal(has->flags, slot->flags);
        assert_int_equal(has->guest_phys_addr, slot->gpa);
        assert_int_equal(has->memory_size, slot->size);
        assert_int_equal(has->userspace_addr, (uintptr_t)slot->host);
    }
}

static void assert_unchanged(struct machine *machine, const struct snapshot *before)
{
    struct snapshot after;
    unsigned i;

    take_snapshot(machine, &after);
    assert_int_equal(after.count, before->count);
    for (i = 0; i < after.count; i++) {
        assert_int_equal(after.slot[i].slot, before->slot[i].slot);
        assert_int_equal(after.slot[i].flags, before->slot[i].flags);
        assert_int_equal(after.slot[i].gpa, before->slot[i].gpa);
        assert_int_equal(after.slot[i].size, before->slot[i].size);
        assert_ptr_equal(after.slot[i].host, before->slot[i].host);
    }
}

/* An edit of everything at once: a window, a move, a removal, an addition, a change of logging. */
static int edit_all(struct machine *machine)
{
    assert_int_equal(gmem_vm_begin(machine->vm), 0);
    assert_int_equal(gmem_region_set_readonly(machine->pam, true), 0);
    assert_int_equal(gmem_region_set_enabled(machine->pam, true), 0);
    assert_int_equal(gmem_region_set_enabled(machine->rom, false), 0);
    assert_int_equal(gmem_region_move(machine->vga, 0xb0000), 0);
    assert_int_equal(gmem_region_move(machine->flash, 0x400000), 0);
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, false), 0);
    return gmem_vm_commit(machine->vm);
}

static void assert_edited(const struct machine *machine)
{
    assert_slot(machine, 0x0, 0xb0000, 0);
    assert_slot(machine, 0xc0000 + 0x10000, 0x30000, 0);
    assert_slot(machine, 0x400000, 0x10000, RO);
    assert_slot(machine, 0x300000, 0x10000, 0);
    assert_int_equal(kernel_count(&machine->kernel), 4);
}

static void assert_edited_keep(const struct machine *machine)
{
    uint64_t gpa;

    for (gpa = 0; gpa < 0x500000; gpa += 0x1000) {
        const struct kvm_userspace_memory_region *slot = kernel_at(&machine->kernel, gpa);
        bool ram = gpa < 0xb0000 || (gpa >= 0xd0000 && gpa < 0x100000);
        bool vram = gpa >= 0x300000 && gpa < 0x310000;
        bool flash = gpa >= 0x400000 && gpa < 0x410000;

        assert_true((slot != NULL) == (ram || vram || flash));
        if (slot)
            assert_int_equal(slot->flags, flash ? RO : 0);
        if (ram)
            assert_int_equal(slot->userspace_addr - slot->guest_phys_addr,
                             (uintptr_t)gmem_ram_host(gmem_region_ram(machine->ram)));
    }
}

/* --- tests --- */

static void test_slots_of_a_map(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct gmem_kvm_stats stats;
    struct snapshot before;
    void *host;

    (void)state;
    attach(machine);
    assert_slot(machine, 0x0, 0xa0000, 0);
    assert_null(kernel_at(&machine->kernel, 0xa0000));
    assert_slot(machine, 0xc0000, 0x20000, 0);
    assert_slot(machine, 0xe0000, 0x20000, RO);
    assert_slot(machine, 0x200000, 0x10000, RO);
    assert_slot(machine, 0x300000, 0x10000, LOG);
    assert_int_equal(kernel_count(&machine->kernel), 5);
    host = gmem_ram_host(gmem_region_ram(machine->ram));
    assert_int_equal(kernel_at(&machine->kernel, 0xc0000)->userspace_addr, (uintptr_t)host + 0xc0000);
    take_snapshot(machine, &before);
    gmem_kvm_stats(machine->kvm, &stats);
    assert_int_equal(stats.calls, 5);
    assert_int_equal(stats.removals, 0);
    assert_int_equal(stats.bytes_added, 0xa0000 + 0x20000 + 0x20000 + 0x10000 + 0x10000);
    assert_int_equal(stats.slots, 5);

    /* A device again to its callbacks has no slot. */
    assert_int_equal(gmem_region_set_romd(machine->flash, false), 0);
    assert_null(kernel_at(&machine->kernel, 0x200000));
    assert_int_equal(gmem_region_set_romd(machine->flash, true), 0);
    assert_unchanged(machine, &before);
    gmem_kvm_stats(machine->kvm, &stats);
    assert_int_equal(stats.calls, 7);
    assert_int_equal(stats.removals, 1);
    assert_int_equal(stats.bytes_removed, 0x10000);
    assert_int_equal(stats.failed, 0);
    assert_int_equal(stats.slots_peak, 5);
    machine_free(machine);
}

/* What the policies decide differently for a map: who makes a window read-only, and whether slots are merged. */
static void test_readonly_window(void **state)
{
    static const struct {
        enum gmem_kvm_policy policy;
        uint32_t flags;
    } cases[] = {{GMEM_KVM_POLICY_KEEP, RO}, {GMEM_KVM_POLICY_REFERENCE, 0}};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct machine *machine = machine_new(cases[i].policy);

        attach(machine);
        assert_int_equal(gmem_vm_begin(machine->vm), 0);
        assert_int_equal(gmem_region_set_readonly(machine->pam, true), 0);
        assert_int_equal(gmem_region_set_enabled(machine->pam, true), 0);
        assert_int_equal(gmem_vm_commit(machine->vm), 0);
        assert_slot(machine, 0xc0000, 0x8000, cases[i].flags);
        assert_slot(machine, 0xc8000, 0x18000, 0);
        assert_int_equal(gmem_region_set_readonly(machine->pam, false), 0);
        if (i == 0) { /* what is right is not merged */
            assert_slot(machine, 0xc0000, 0x8000, 0);
            assert_slot(machine, 0xc8000, 0x18000, 0);
        } else {
            assert_slot(machine, 0xc0000, 0x20000, 0);
        }
        /* The region's own attribute counts with both. */
        assert_int_equal(gmem_region_set_readonly(machine->ram, true), 0);
        assert_slot(machine, 0x0, 0xa0000, RO);
        machine_free(machine);
    }
}

/* The order of calls and the numbers, as text. */
static int no_translation(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                          struct gmem_iommu_entry *ret_entry)
{
    (void)opaque, (void)addr, (void)want, (void)attrs, (void)ret_entry;
    return 1;
}

/* Memory of a device has a slot, what is behind an iommu none; the slot of a resizable block follows it. */
static void test_other_kinds(void **state)
{
    struct gmem_ram_options options = {
        .struct_size = sizeof(options), .id = "growing", .size = 0x2000, .max_size = 0x10000};
    const struct gmem_iommu_ops ops = {.translate = no_translation};
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    gmem_ram *ram = new_ram(machine, "bar", 0x4000);
    gmem_region *bar, *iommu, *growing;

    (void)state;
    attach(machine);
    assert_int_equal(gmem_region_create_ram_device(machine->vm, "bar", ram, NULL, &bar), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x1000000, bar), 0);
    assert_slot(machine, 0x1000000, 0x4000, 0);
    assert_int_equal(gmem_region_set_readonly(bar, true), 0);
    assert_slot(machine, 0x1000000, 0x4000, KVM_MEM_READONLY);
    gmem_ram_unref(ram);
    assert_int_equal(gmem_region_create_iommu(machine->vm, "iommu", GMEM_SIZE(0x4000), &ops, NULL, NULL, &iommu), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x2000000, iommu), 0);
    assert_null(kernel_at(&machine->kernel, 0x2000000));
    assert_int_equal(gmem_ram_create(machine->vm, &options, &ram), 0);
    assert_int_equal(gmem_region_create_ram(machine->vm, "growing", ram, NULL, &growing), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x3000000, growing), 0);
    assert_slot(machine, 0x3000000, 0x2000, 0);
    assert_int_equal(gmem_ram_resize(ram, 0x10000), 0);
    assert_slot(machine, 0x3000000, 0x2000, 0);
    assert_slot(machine, 0x3002000, 0xe000, 0);
    assert_int_equal(gmem_ram_resize(ram, 0x1000), 0);
    assert_slot(machine, 0x3000000, 0x1000, 0);
    gmem_ram_unref(ram);
    machine_free(machine);
}

static void test_trace(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_REFERENCE);
    static const char *const lines[] = {
        "kvm_set_user_memory Slot#65537 flags=0x0 gpa=0xc0000 size=0x0 ua=",
        "kvm_set_user_memory Slot#65538 flags=0x0 gpa=0xe0000 size=0x0 ua=",
        "kvm_set_user_memory Slot#65537 flags=0x0 gpa=0xc0000 size=0x8000 ua=",
        "kvm_set_user_memory Slot#65538 flags=0x0 gpa=0xc8000 size=0x38000 ua=",
    };
    unsigned i;

    (void)state;
    machine->options.as_id = 1;
    attach(machine);
    assert_int_equal(machine->kernel.lines, 5);
    assert_non_null(strstr(machine->kernel.line[0], "Slot#65536 flags=0x0 gpa=0x0 size=0xa0000 ua=0x"));
    assert_non_null(strstr(machine->kernel.line[4], "Slot#65540 flags=0x1 gpa=0x300000 size=0x10000 ua=0x"));
    machine->kernel.lines = 0;
    assert_int_equal(gmem_vm_begin(machine->vm), 0);
    assert_int_equal(gmem_region_set_readonly(machine->pam, true), 0);
    assert_int_equal(gmem_region_set_enabled(machine->pam, true), 0);
    assert_int_equal(gmem_region_set_enabled(machine->rom, false), 0);
    assert_int_equal(gmem_vm_commit(machine->vm), 0);
    assert_int_equal(machine->kernel.lines, 4);
    for (i = 0; i < 4; i++) {
        const char *line = machine->kernel.line[i];

        assert_int_equal(strncmp(line, lines[i], strlen(lines[i])), 0);
        assert_string_equal(line + strlen(line) - 6, " ret=0");
    }
    machine_free(machine);
}

/* Every recorded line comes out as it went in. */
/* The slot calls of a vm's stream of events (gmem/trace.h). */
struct slot_events {
    unsigned count;
    uint64_t bytes;
    uint64_t removed;
};

static void hear_slot(void *opaque, gmem_vm *vm, const struct gmem_trace_event *event)
{
    struct slot_events *events = opaque;

    (void)vm;
    assert_int_equal(event->kind, GMEM_TRACE_SLOT);
    assert_int_equal(event->u.slot.err, 0);
    events->count++;
    events->bytes += event->u.slot.size;
    events->removed += event->u.slot.size == 0;
}

static void test_trace_events(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct slot_events events = {0};

    (void)state;
    assert_int_equal(gmem_vm_set_trace(machine->vm, GMEM_TRACE_BIT(GMEM_TRACE_SLOT), hear_slot, &events), 0);
    attach(machine);
    assert_int_equal(events.count, 5);
    assert_int_equal(events.bytes, 0xa0000 + 0x20000 + 0x20000 + 0x10000 + 0x10000);
    assert_int_equal(gmem_region_set_romd(machine->flash, false), 0);
    assert_int_equal(events.count, 6);
    assert_int_equal(events.removed, 1);
    assert_int_equal(gmem_vm_set_trace(machine->vm, 0, NULL, NULL), 0);
    machine_free(machine);
}

static void test_trace_text(void **state)
{
    static const char *const files[] = {"boot-pc-1G-std-novapic", "boot-pc-4G-none-novapic", "boot-40g-smm-on"};
    const char *data = getenv("GMEM_TEST_DATA");
    unsigned seen = 0;
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        char line[512];
        char again[512];
        FILE *file;

        (void)snprintf(line, sizeof(line), "%s/traces/%s.trace", data ? data : "tests/data", files[i]);
        file = fopen(line, "r");
        if (!file)
            fail_msg("can't open %s", line);
        while (fgets(line, sizeof(line), file)) {
            struct kvm_userspace_memory_region call = {0};
            uint64_t gpa;
            uint64_t size;
            uint64_t host;
            char name[64];
            unsigned bus, device, function, offset;
            uint32_t value;
            int ret;

            line[strcspn(line, "\n")] = '\0';
            if (sscanf(line,
                       "kvm_set_user_memory Slot#%u flags=0x%x gpa=0x%" SCNx64 " size=0x%" SCNx64 " ua=0x%" SCNx64
                       " ret=%d",
                       &call.slot, &call.flags, &gpa, &size, &host, &ret) == 6) {
                call.guest_phys_addr = gpa;
                call.memory_size = size;
                call.userspace_addr = host;
                gmem__kvm_trace_line(again, &call, ret);
            } else if (sscanf(line, "pci_cfg_write %63s %x:%x.%x @0x%x <- 0x%" SCNx32, name, &bus, &device, &function,
                              &offset, &value) == 6) {
                assert_int_equal(
                    gmem_trace_pci_cfg_write(again, sizeof(again), name, bus, device, function, offset, value),
                    (int)strlen(line));
            } else {
                continue; /* another version's text */
            }
            assert_string_equal(again, line);
            seen++;
        }
        (void)fclose(file);
    }
    assert_true(seen > 350);
    assert_int_equal(gmem_trace_pci_cfg_write(NULL, 0, "VGA", 0, 2, 0, 4, 0x103), 39);
}

/* G1, (b): whichever call fails, all is as it was; and it works afterwards. */
static void test_each_call_fails(void **state)
{
    static const enum gmem_kvm_policy policies[] = {GMEM_KVM_POLICY_KEEP, GMEM_KVM_POLICY_REFERENCE};
    unsigned failed = 0;
    unsigned i;
    unsigned n;
    int err;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct machine *machine = machine_new(policies[i]);
        struct snapshot before;
        struct gmem_kvm_stats stats;

        attach(machine);
        take_snapshot(machine, &before);
        for (n = 0, err = -EIO; err; n++) {
            machine->kernel.calls = 0;
            machine->kernel.fail_from = n;
            machine->kernel.fail_count = 1;
            machine->kernel.fail_with = EIO;
            err = edit_all(machine);
            machine->kernel.fail_count = 0;
            assert_true(err == 0 || err == -EIO);
            if (!err)
                break;
            failed++;
            assert_unchanged(machine, &before);
            gmem_kvm_stats(machine->kvm, &stats);
            assert_int_equal(stats.failed, n + 1);
            assert_int_equal(gmem_vm_reason(machine->vm, NULL, 0), -EIO);
        }
        machine_free(machine);
    }
    assert_true(failed > 12);
}

/* (b): nor does a kernel that goes on failing, during the way back too, keep a later commit from putting things right. */
static void test_all_later_calls_fail(void **state)
{
    unsigned n;

    (void)state;
    for (n = 0; n < 16; n++) {
        struct machine *machine = machine_new(n & 8 ? GMEM_KVM_POLICY_KEEP : GMEM_KVM_POLICY_REFERENCE);
        struct snapshot after;

        attach(machine);
        machine->kernel.calls = 0;
        machine->kernel.fail_from = n % 8;
        machine->kernel.fail_count = 1000;
        machine->kernel.fail_with = ENOMEM;
        if (machine->options.policy == GMEM_KVM_POLICY_KEEP && n % 8 >= 7) /* it makes seven */
            machine->kernel.fail_from = 6;
        assert_int_equal(edit_all(machine), -ENOMEM);
        machine->kernel.fail_count = 0;
        take_snapshot(machine, &after); /* (a) */
        assert_int_equal(edit_all(machine), 0);
        if (machine->options.policy == GMEM_KVM_POLICY_KEEP) /* also what is not there that was to stay */
            assert_edited_keep(machine);
        take_snapshot(machine, &after);
        machine_free(machine);
    }
}

/* (b), with keep: a slot that could not be taken back is there again after any commit, be it about something else. */
static void test_mended_elsewhere(void **state)
{
    static const unsigned counts[] = {2, 1000};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);

        attach(machine);
        assert_int_equal(gmem_region_set_enabled(machine->pam, true), 0);
        machine->kernel.calls = 0;
        machine->kernel.fail_from = 1; /* the slot at 0xc0000 is gone; its parts don't come, nor does it again */
        machine->kernel.fail_count = counts[i];
        machine->kernel.fail_with = ENOMEM;
        assert_int_equal(gmem_region_set_readonly(machine->pam, true), -ENOMEM);
        machine->kernel.fail_count = 0;
        if (counts[i] == 1000)
            assert_null(kernel_at(&machine->kernel, 0xc0000));
        else /* the undo is a commit, too */
            assert_slot(machine, 0xc0000, 0x20000, 0);
        assert_int_equal(gmem_region_set_romd(machine->flash, false), 0);
        assert_slot(machine, 0xc0000, 0x20000, 0);
        assert_null(kernel_at(&machine->kernel, 0x200000));
        machine_free(machine);
    }
}

static void test_create_fails(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    unsigned n;

    (void)state;
    for (n = 0; n < 5; n++) {
        machine->kernel.calls = 0;
        machine->kernel.fail_from = n;
        machine->kernel.fail_count = 1;
        machine->kernel.fail_with = EINVAL;
        assert_int_equal(gmem_kvm_create(machine->space, &machine->options, &machine->kvm), -EINVAL);
        assert_null(machine->kvm);
        assert_int_equal(kernel_count(&machine->kernel), 0);
    }
    machine->kernel.fail_count = 0;
    machine->options.max_slots = 4;
    assert_int_equal(gmem_kvm_create(machine->space, &machine->options, &machine->kvm), -ENOSPC);
    assert_int_equal(machine->kernel.calls, 2 * 4 + 1);
    machine->options.max_slots = 5;
    attach(machine);
    machine_free(machine);
}

/* A listener that refuses when told to, later than the adapter or earlier. */
struct refuser {
    struct gmem_listener listener;
    const char *refuse; /* "commit", "add", "del", "begin" or NULL */
    gmem_kvm *kvm;
    unsigned busy;
};

static int refuse(struct gmem_listener *listener, const char *what)
{
    struct refuser *refuser = listener->opaque;

    if (!refuser->refuse || strcmp(refuser->refuse, what) != 0)
        return 0;
    refuser->refuse = NULL; /* the way back is not refused */
    return -EPERM;
}

static int refuser_begin(struct gmem_listener *listener)
{
    return refuse(listener, "begin");
}

static int refuser_commit(struct gmem_listener *listener)
{
    struct refuser *refuser = listener->opaque;
    struct snapshot snapshot = {0};

    if (refuser->kvm)
        refuser->busy += gmem_kvm_foreach_slot(refuser->kvm, note_slot, &snapshot) == -EBUSY;
    return refuse(listener, "commit");
}

static int refuser_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)section;
    return refuse(listener, "add");
}

static int refuser_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)section;
    return refuse(listener, "del");
}

static void refuser_register(struct refuser *refuser, struct machine *machine, int32_t priority)
{
    *refuser = (struct refuser){.listener = {.struct_size = sizeof(refuser->listener),
                                             .name = "refuser",
                                             .opaque = refuser,
                                             .priority = priority,
                                             .begin = refuser_begin,
                                             .commit = refuser_commit,
                                             .region_add = refuser_add,
                                             .region_del = refuser_del}};
    assert_int_equal(gmem_listener_register(machine->vm, machine->space, &refuser->listener), 0);
}

/* G1, (c): somebody else refuses at any moment before or after the adapter's commit. */
static void test_others_refuse(void **state)
{
    static const char *const moments[] = {"begin", "del", "add", "commit"};
    static const int32_t priorities[] = {0, 20};
    unsigned i;

    (void)state;
    for (i = 0; i < 16; i++) {
        struct machine *machine = machine_new(i & 8 ? GMEM_KVM_POLICY_REFERENCE : GMEM_KVM_POLICY_KEEP);
        struct refuser refuser;
        struct snapshot before;

        attach(machine);
        refuser_register(&refuser, machine, priorities[i / 4 % 2]);
        take_snapshot(machine, &before);
        refuser.refuse = moments[i % 4];
        machine->kernel.calls = 0;
        assert_int_equal(edit_all(machine), -EPERM);
        assert_unchanged(machine, &before);
        if (priorities[i / 4 % 2] == 20 && i % 4 == 3)
            assert_true(machine->kernel.calls > 0);
        else
            assert_int_equal(machine->kernel.calls, 0); /* nothing was done, so nothing is undone */
        assert_int_equal(edit_all(machine), 0);
        gmem_listener_unregister(machine->vm, &refuser.listener);
        machine_free(machine);
    }
}

/* (d): the way back gives numbers again that are not the lowest. */
static void test_undo_keeps_numbers(void **state)
{
    static const enum gmem_kvm_policy policies[] = {GMEM_KVM_POLICY_KEEP, GMEM_KVM_POLICY_REFERENCE};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct machine *machine = machine_new(policies[i]);
        struct refuser refuser;
        struct snapshot before;

        attach(machine);
        refuser_register(&refuser, machine, 20);
        assert_int_equal(gmem_region_set_enabled(machine->ram, false), 0);
        take_snapshot(machine, &before);
        assert_int_equal(before.slot[0].slot, 2); /* rom; 0 and 1 are free */
        refuser.refuse = "commit";
        assert_int_equal(gmem_region_set_enabled(machine->rom, false), -EPERM);
        assert_unchanged(machine, &before);
        refuser.refuse = "commit";
        assert_int_equal(gmem_region_move(machine->rom, 0x500000), -EPERM);
        assert_unchanged(machine, &before);
        /* An ordinary commit that brings a slot back is no way back. */
        assert_int_equal(gmem_region_set_enabled(machine->rom, false), 0);
        assert_int_equal(gmem_region_set_enabled(machine->rom, true), 0);
        assert_int_equal(kernel_at(&machine->kernel, 0xe0000)->slot, 0);
        gmem_listener_unregister(machine->vm, &refuser.listener);
        machine_free(machine);
    }
}

/* G1: whichever allocation fails, nothing has changed; not even a call was made. */
static unsigned create_without_memory(enum gmem_kvm_policy policy)
{
    unsigned failed = 0;
    unsigned n = 0;

    do {
        struct machine *machine = machine_new(policy);
        int err;

        allocations = 0;
        fail_allocation = n;
        fail_allocations = 1;
        err = gmem_kvm_create(machine->space, &machine->options, &machine->kvm);
        fail_allocations = 0;
        assert_true(err == 0 || err == -ENOMEM);
        if (err) {
            failed++;
            assert_null(machine->kvm);
            assert_int_equal(machine->kernel.calls, 0);
        }
        machine_free(machine);
    } while (n++ < allocations);
    return failed;
}

static unsigned edit_without_memory(enum gmem_kvm_policy policy)
{
    unsigned failed = 0;
    unsigned n = 0;

    do {
        struct machine *machine = machine_new(policy);
        struct snapshot before;
        int err;

        machine->options.max_slot_bytes = 0x4000; /* arrays that must grow */
        attach(machine);
        take_snapshot(machine, &before);
        machine->kernel.calls = 0;
        allocations = 0;
        fail_allocation = n;
        fail_allocations = 1;
        err = edit_all(machine);
        fail_allocations = 0;
        assert_true(err == 0 || err == -ENOMEM);
        if (err) {
            failed++;
            assert_int_equal(machine->kernel.calls, 0);
            assert_unchanged(machine, &before);
            assert_int_equal(edit_all(machine), 0);
        }
        take_snapshot(machine, &before);
        machine_free(machine);
    } while (n++ < allocations);
    return failed;
}

static void test_out_of_memory(void **state)
{
    static const enum gmem_kvm_policy policies[] = {GMEM_KVM_POLICY_KEEP, GMEM_KVM_POLICY_REFERENCE};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        assert_true(create_without_memory(policies[i]) > 3);
        assert_true(edit_without_memory(policies[i]) > 0);
    }
}

/* (d): where there is no memory at all after the commit, it can be undone nevertheless. */
static int ignore(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener;
    (void)section;
    return 0;
}

static int starve(struct gmem_listener *listener)
{
    (void)listener;
    allocations = 0;
    fail_allocation = 0;
    fail_allocations = UINT32_MAX;
    return -EPERM;
}

static void undo_without_memory(enum gmem_kvm_policy policy, int32_t priority, unsigned calls)
{
    struct machine *machine = machine_new(policy);
    struct gmem_listener listener = {.struct_size = sizeof(listener),
                                     .name = "starver",
                                     .priority = priority,
                                     .region_add = ignore,
                                     .region_del = ignore};
    struct snapshot before;
    gmem_region *board;
    unsigned i;

    attach(machine);
    /* One at a time, so that no commit before made as many slots as the undo will have to. */
    assert_int_equal(gmem_region_create_container(machine->vm, "board", GMEM_SIZE(0x100000), NULL, &board), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x1000000, board), 0);
    for (i = 0; i < 50; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "bank%u", i);
        assert_int_equal(gmem_region_add(board, i * 0x2000, new_ram_region(machine, name, 0x1000)), 0);
    }
    take_snapshot(machine, &before);
    assert_int_equal(gmem_listener_register(machine->vm, machine->space, &listener), 0);
    listener.commit = starve;
    machine->kernel.calls = 0;
    assert_int_equal(gmem_region_set_enabled(board, false), -EPERM);
    fail_allocations = 0;
    assert_int_equal(machine->kernel.calls, calls);
    assert_unchanged(machine, &before);
    assert_int_equal(edit_all(machine), -EPERM);
    fail_allocations = 0;
    assert_unchanged(machine, &before);
    listener.commit = NULL;
    assert_int_equal(edit_all(machine), 0);
    assert_int_equal(kernel_count(&machine->kernel), policy == GMEM_KVM_POLICY_KEEP ? 50 + 5 : 50 + 4);
    gmem_listener_unregister(machine->vm, &listener);
    machine_free(machine);
}

static void test_undo_needs_no_memory(void **state)
{
    (void)state;
    undo_without_memory(GMEM_KVM_POLICY_REFERENCE, 20, 100); /* there and back */
    undo_without_memory(GMEM_KVM_POLICY_REFERENCE, 0, 0);
    undo_without_memory(GMEM_KVM_POLICY_KEEP, 20, 100);
    undo_without_memory(GMEM_KVM_POLICY_KEEP, 0, 0);
}

static void test_exhaustion(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct snapshot before;
    gmem_region *extra;
    char reason[256];

    (void)state;
    machine->options.max_slots = 5;
    attach(machine);
    take_snapshot(machine, &before);
    machine->kernel.calls = 0;
    extra = new_ram_region(machine, "extra", 0x1000);
    assert_int_equal(gmem_region_add(machine->system, 0x600000, extra), -ENOSPC);
    assert_int_equal(gmem_vm_reason(machine->vm, reason, sizeof(reason)), -ENOSPC);
    assert_non_null(strstr(reason, "kvm"));
    assert_unchanged(machine, &before);
    assert_int_equal(machine->kernel.calls, 0);
    assert_null(gmem_region_container(extra));
    /* One goes, one comes. */
    assert_int_equal(gmem_vm_begin(machine->vm), 0);
    assert_int_equal(gmem_region_remove(machine->system, machine->flash), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x600000, extra), 0);
    assert_int_equal(gmem_vm_commit(machine->vm), 0);
    assert_slot(machine, 0x600000, 0x1000, 0);
    machine_free(machine);
}

/* G8: memory put where the processor's physical addresses do not reach is a refusal. */
static void test_beyond_the_processor(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_REFERENCE);
    struct snapshot before;

    (void)state;
    machine->kernel.limit = UINT64_C(1) << 46;
    attach(machine);
    take_snapshot(machine, &before);
    assert_int_equal(gmem_region_move(machine->vram, UINT64_C(0x80000000000000)), -EINVAL);
    assert_unchanged(machine, &before);
    assert_int_equal(gmem_region_offset(machine->vram), 0x300000);
    machine_free(machine);
}

static void test_dirty_log(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_REFERENCE);
    struct snapshot before;

    (void)state;
    attach(machine);
    take_snapshot(machine, &before);
    machine->kernel.calls = 0;
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, false), 0);
    assert_slot(machine, 0x300000, 0x10000, 0);
    assert_int_equal(machine->kernel.calls, 1);
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_MIGRATION, true), 0);
    assert_slot(machine, 0x300000, 0x10000, LOG);
    /* One client less of two: nothing to do. */
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, true), 0);
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_MIGRATION, false), 0);
    assert_int_equal(machine->kernel.calls, 2);
    assert_unchanged(machine, &before);
    /* All pieces of a region. */
    assert_int_equal(gmem_region_set_log(machine->ram, GMEM_LOG_CODE, true), 0);
    assert_slot(machine, 0x0, 0xa0000, LOG);
    assert_slot(machine, 0xc0000, 0x20000, LOG);
    assert_int_equal(machine->kernel.calls, 4);
    /* The kernel refuses the second of two. */
    take_snapshot(machine, &before);
    machine->kernel.fail_from = 5;
    machine->kernel.fail_count = 1;
    machine->kernel.fail_with = ENOMEM;
    assert_int_equal(gmem_region_set_log(machine->ram, GMEM_LOG_CODE, false), -ENOMEM);
    assert_unchanged(machine, &before);
    machine_free(machine);
}

static void test_log_everything(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct snapshot before;
    unsigned n;

    (void)state;
    attach(machine);
    take_snapshot(machine, &before);
    machine->kernel.calls = 0;
    for (n = 0; n < 4; n++) { /* video memory is logged already */
        machine->kernel.calls = 0;
        machine->kernel.fail_from = n;
        machine->kernel.fail_count = 1;
        machine->kernel.fail_with = ENOMEM;
        assert_int_equal(gmem_vm_set_global_log(machine->vm, true), -ENOMEM);
        assert_unchanged(machine, &before);
    }
    machine->kernel.fail_count = 0;
    machine->kernel.calls = 0;
    assert_int_equal(gmem_vm_set_global_log(machine->vm, true), 0);
    assert_int_equal(machine->kernel.calls, 4);
    assert_slot(machine, 0x0, 0xa0000, LOG);
    assert_slot(machine, 0xe0000, 0x20000, RO | LOG);
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, false), 0);
    assert_int_equal(machine->kernel.calls, 4);
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, true), 0);
    assert_int_equal(gmem_region_move(machine->flash, 0x800000), 0); /* what is added meanwhile is logged too */
    assert_slot(machine, 0x800000, 0x10000, RO | LOG);
    assert_int_equal(gmem_region_move(machine->flash, 0x200000), 0);
    assert_int_equal(gmem_vm_set_global_log(machine->vm, false), 0);
    assert_unchanged(machine, &before);
    /* On before the adapter comes. */
    assert_int_equal(gmem_vm_set_global_log(machine->vm, true), 0);
    gmem_kvm_destroy(machine->kvm);
    attach(machine);
    assert_slot(machine, 0x0, 0xa0000, LOG);
    machine_free(machine);
}

static unsigned logged_slots(const struct machine *machine)
{
    unsigned i, found = 0;

    for (i = 0; i < SLOTS; i++)
        found += machine->kernel.slot[i].memory_size && machine->kernel.slot[i].flags & LOG;
    return found;
}

/* (b): one slot's log can't be taken back. The others' is, and the next commit, be it about something else, mends the one. */
static void test_log_everything_is_mended(void **state)
{
    unsigned on, policy;

    (void)state;
    for (on = 0; on < 2; on++) {
        for (policy = 0; policy < 2; policy++) {
            struct machine *machine = machine_new(policy ? GMEM_KVM_POLICY_REFERENCE : GMEM_KVM_POLICY_KEEP);
            unsigned before;

            attach(machine);
            if (!on)
                assert_int_equal(gmem_vm_set_global_log(machine->vm, true), 0);
            before = logged_slots(machine);
            machine->kernel.calls = 0;
            machine->kernel.fail_from = 3; /* the fourth slot, and on the way back the third */
            machine->kernel.fail_count = 2;
            machine->kernel.fail_with = ENOMEM;
            assert_int_equal(gmem_vm_set_global_log(machine->vm, on), -ENOMEM);
            assert_int_equal(machine->kernel.calls, 7);
            assert_int_equal(logged_slots(machine), on ? before + 1 : before - 1);
            /* It is refused once more. */
            machine->kernel.calls = 0;
            machine->kernel.fail_from = 0;
            machine->kernel.fail_count = 100;
            assert_int_equal(gmem_region_set_romd(machine->flash, false), -ENOMEM);
            machine->kernel.fail_count = 0;
            assert_int_equal(gmem_region_set_romd(machine->flash, false), 0);
            assert_int_equal(gmem_region_set_romd(machine->flash, true), 0);
            assert_int_equal(logged_slots(machine), before);
            machine->kernel.calls = 0;
            assert_int_equal(gmem_region_set_romd(machine->flash, false), 0); /* mended: no more calls than it takes */
            assert_int_equal(machine->kernel.calls, 1);
            machine_free(machine);
        }
    }
}

/* Ends that are no whole pages get no slot, nor does memory that lies between the host's pages. */
static void test_unaligned(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    gmem_region *odd = new_ram_region(machine, "odd", 0x5000);
    gmem_region *window;

    (void)state;
    attach(machine);
    assert_int_equal(gmem_region_create_alias(machine->vm, "window", odd, 0x800, GMEM_SIZE(0x3c00), NULL, &window), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x900800, window), 0);
    assert_slot(machine, 0x901000, 0x3000, 0);
    assert_int_equal(kernel_at(&machine->kernel, 0x901000)->userspace_addr,
                     (uintptr_t)gmem_ram_host(gmem_region_ram(odd)) + 0x1000);
    assert_null(kernel_at(&machine->kernel, 0x900800));
    assert_null(kernel_at(&machine->kernel, 0x904000));
    assert_int_equal(gmem_region_move(window, 0x900000), 0);
    assert_null(kernel_at(&machine->kernel, 0x901000));
    assert_int_equal(gmem_region_move(window, 0x900800), 0);
    assert_int_equal(gmem_region_resize(window, GMEM_SIZE(0x900)), 0);
    assert_null(kernel_at(&machine->kernel, 0x901000));
    machine_free(machine);
}

static void test_split(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct gmem_kvm_stats stats;

    (void)state;
    machine->options.max_slot_bytes = 0x40000;
    attach(machine);
    assert_slot(machine, 0x0, 0x40000, 0);
    assert_slot(machine, 0x40000, 0x40000, 0);
    assert_slot(machine, 0x80000, 0x20000, 0);
    assert_int_equal(kernel_at(&machine->kernel, 0x80000)->userspace_addr,
                     kernel_at(&machine->kernel, 0)->userspace_addr + 0x80000);
    gmem_kvm_stats(machine->kvm, &stats);
    assert_int_equal(stats.slots, 7);
    assert_int_equal(edit_all(machine), 0);
    assert_slot(machine, 0x80000, 0x20000, 0); /* as it was */
    assert_slot(machine, 0xa0000, 0x10000, 0);
    machine_free(machine);
}

static void test_edit_all(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_REFERENCE);

    (void)state;
    attach(machine);
    assert_int_equal(gmem_region_set_enabled(machine->vga, false), 0);
    assert_int_equal(gmem_region_set_enabled(machine->vga, true), 0);
    assert_int_equal(edit_all(machine), 0);
    assert_slot(machine, 0xd0000, 0x30000, 0);
    assert_edited(machine);
    machine_free(machine);
}

struct text {
    char text[16384];
    size_t length;
};

static int append(void *opaque, const char *piece, size_t length)
{
    struct text *text = opaque;

    assert_true(text->length + length < sizeof(text->text));
    memcpy(text->text + text->length, piece, length);
    text->length += length;
    return 0;
}

static void test_mark(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct text *text = calloc(1, sizeof(*text));
    struct gmem_print_options options = {.struct_size = sizeof(options), .mark = gmem_kvm_mark};
    gmem_region *other;
    gmem_space *bus;
    const char *line;

    (void)state;
    assert_non_null(text);
    attach(machine);
    assert_int_equal(gmem_region_create_container(machine->vm, "other", GMEM_SIZE(0x1000000), NULL, &other), 0);
    assert_int_equal(gmem_region_remove(machine->system, machine->vram), 0);
    assert_int_equal(gmem_region_add(other, 0, machine->vram), 0); /* where this space has a slot */
    assert_int_equal(gmem_region_set_enabled(machine->flash, false), 0);
    assert_int_equal(gmem_space_create(machine->vm, "bus", other, NULL, &bus), 0);
    options.mark_opaque = machine->kvm;
    assert_int_equal(gmem_print_flat(machine->vm, &options, append, text), 0);
    line = strstr(text->text, "0000000000000000-000000000009ffff");
    assert_non_null(line);
    assert_int_equal(strncmp(strchr(line, '\n') - 4, " KVM", 4), 0);
    line = strstr(text->text, "00000000000a0000-00000000000bffff");
    assert_non_null(line);
    assert_int_not_equal(strncmp(strchr(line, '\n') - 4, " KVM", 4), 0);
    line = strstr(text->text, "ram): vram");
    assert_non_null(line);
    assert_int_not_equal(strncmp(strchr(line, '\n') - 4, " KVM", 4), 0);
    gmem_space_destroy(bus);
    free(text);
    machine_free(machine);
}

/* --- keep, and who is held out meanwhile --- */

struct gate {
    struct machine *machine;
    unsigned paused; /* 1 between pause and resume */
    unsigned pauses;
    unsigned inside, outside; /* slot calls */
    unsigned edits_refused;
};

static void gate_pause(void *opaque)
{
    struct gate *gate = opaque;

    assert_int_equal(gate->paused, 0);
    gate->paused = 1;
    gate->pauses++;
    if (gate->machine->kvm)
        gate->edits_refused += gmem_region_set_enabled(gate->machine->flash, false) == -EBUSY;
}

static void gate_resume(void *opaque)
{
    struct gate *gate = opaque;

    assert_int_equal(gate->paused, 1);
    gate->paused = 0;
}

static int gate_set(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct gate *gate = opaque;

    *(gate->paused ? &gate->inside : &gate->outside) += 1;
    return kernel_set(&gate->machine->kernel, call);
}

static struct machine *gated_machine(struct gate *gate, enum gmem_kvm_policy policy)
{
    struct machine *machine = machine_new(policy);

    *gate = (struct gate){.machine = machine};
    machine->options.set = gate_set;
    machine->options.set_opaque = gate;
    machine->options.pause = gate_pause;
    machine->options.resume = gate_resume;
    machine->options.pause_opaque = gate;
    attach(machine);
    return machine;
}

static void assert_gate(struct gate *gate, unsigned pauses, unsigned inside, unsigned outside)
{
    struct gmem_kvm_stats stats;

    gmem_kvm_stats(gate->machine->kvm, &stats);
    assert_int_equal(gate->paused, 0);
    assert_int_equal(gate->pauses, pauses);
    assert_int_equal(gate->inside, inside);
    assert_int_equal(gate->outside, outside);
    assert_int_equal(stats.pauses, pauses);
    assert_int_equal(stats.calls, inside + outside);
    assert_true((stats.pause_ns_max > 0) == (pauses > 0));
    assert_int_equal(gate->edits_refused, pauses); /* inside of a commit */
}

/* G12: held out exactly around the calls of commits that cut what is live before and after. */
static void test_pauses(void **state)
{
    struct gate gate;
    struct machine *machine = gated_machine(&gate, GMEM_KVM_POLICY_KEEP);
    struct snapshot before;

    (void)state;
    assert_gate(&gate, 0, 0, 5);
    /* What only goes or only comes: a ROM that nothing is behind, video memory that moves away and back. */
    assert_int_equal(gmem_region_set_romd(machine->flash, false), 0);
    assert_int_equal(gmem_region_set_romd(machine->flash, true), 0);
    assert_int_equal(gmem_region_move(machine->vram, 0x500000), 0);
    assert_int_equal(gmem_region_move(machine->vram, 0x300000), 0);
    /* The dirty log is changed in place. */
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, false), 0);
    assert_int_equal(gmem_region_set_log(machine->ram, GMEM_LOG_CODE, true), 0);
    assert_int_equal(gmem_region_set_log(machine->ram, GMEM_LOG_CODE, false), 0);
    assert_gate(&gate, 0, 0, 5 + 2 + 4 + 1 + 2 + 2);
    /* A window in the middle of RAM becomes read-only: one slot goes, its two parts come. */
    assert_int_equal(gmem_region_set_enabled(machine->pam, true), 0);
    assert_gate(&gate, 0, 0, 16); /* the same memory, seen through the window */
    assert_int_equal(gmem_region_set_readonly(machine->pam, true), 0);
    assert_gate(&gate, 1, 3, 16);
    assert_int_equal(gmem_region_set_readonly(machine->pam, false), 0);
    assert_gate(&gate, 2, 5, 16);
    /* Other memory in its place cuts it, too: who fetches from there must not find nothing. */
    assert_int_equal(gmem_region_set_enabled(machine->rom, false), 0);
    assert_gate(&gate, 3, 7, 16);
    /* A call that fails, and what takes back those before it, are inside; the commit's failure lets go as well. */
    take_snapshot(machine, &before);
    machine->kernel.calls = 0;
    machine->kernel.fail_from = 1;
    machine->kernel.fail_count = 1;
    machine->kernel.fail_with = ENOMEM;
    assert_int_equal(gmem_region_set_enabled(machine->rom, true), -ENOMEM);
    machine->kernel.fail_count = 0;
    assert_gate(&gate, 4, 10, 16);
    assert_unchanged(machine, &before);
    gmem_kvm_destroy(machine->kvm);
    machine->kvm = NULL;
    assert_int_equal(gate.pauses, 4);
    machine_free(machine);
}

/* The undo of a commit that cut cuts again. The reference holds out as well, and more often. */
static void test_pauses_of_an_undo(void **state)
{
    static const enum gmem_kvm_policy policies[] = {GMEM_KVM_POLICY_KEEP, GMEM_KVM_POLICY_REFERENCE};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct gate gate;
        struct machine *machine = gated_machine(&gate, policies[i]);
        struct refuser refuser;
        struct snapshot before;

        refuser_register(&refuser, machine, 20);
        assert_int_equal(gmem_region_set_readonly(machine->pam, true), 0);
        take_snapshot(machine, &before);
        refuser.refuse = "commit";
        assert_int_equal(gmem_region_set_enabled(machine->pam, true), -EPERM);
        assert_gate(&gate, 2, 6, 5);
        assert_unchanged(machine, &before);
        refuser.refuse = "commit";
        assert_int_equal(gmem_region_set_enabled(machine->flash, false), -EPERM);
        assert_gate(&gate, 2, 6, 7);
        assert_unchanged(machine, &before);
        gmem_listener_unregister(machine->vm, &refuser.listener);
        machine_free(machine);
    }
}

/* A window between RAM and a device: what is beside it is not touched, and nobody is held out. */
static void test_window_flips(void **state)
{
    struct gate gate;
    struct machine *machine = gated_machine(&gate, GMEM_KVM_POLICY_KEEP);
    unsigned i;

    (void)state;
    machine->kernel.lines = 0;
    for (i = 0; i < 10; i++)
        assert_int_equal(gmem_region_set_enabled(machine->vga, i % 2), 0);
    assert_int_equal(machine->kernel.lines, 10);
    for (i = 0; i < 10; i++)
        assert_non_null(
            strstr(machine->kernel.line[i], i % 2 ? " gpa=0xa0000 size=0x0 " : " gpa=0xa0000 size=0x20000 "));
    assert_gate(&gate, 0, 0, 5 + 10);
    machine_free(machine);
}

/* Blocks that lie side by side in host memory by chance do not share a slot; two regions that show one block do. */
static void test_blocks(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    gmem_ram *halves = new_ram(machine, "halves", 0x2000);
    struct gmem_ram_options options = {
        .struct_size = sizeof(options), .id = "first", .size = 0x1000, .backing = GMEM_RAM_CALLER};
    gmem_region *low;
    gmem_region *high;
    gmem_ram *first;
    gmem_ram *second;
    gmem_region *region;

    (void)state;
    assert_int_equal(gmem_region_create_ram(machine->vm, "low", halves, NULL, &low), 0);
    assert_int_equal(gmem_region_resize(low, GMEM_SIZE(0x1000)), 0);
    assert_int_equal(gmem_region_create_ram(machine->vm, "whole", halves, NULL, &region), 0);
    assert_int_equal(gmem_region_create_alias(machine->vm, "high", region, 0x1000, GMEM_SIZE(0x1000), NULL, &high), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x600000, low), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x601000, high), 0);
    assert_int_equal(gmem_region_set_log(region, GMEM_LOG_CODE, true), 0);
    options.host = gmem_ram_host(halves);
    assert_int_equal(gmem_ram_create(machine->vm, &options, &first), 0);
    options.id = "second";
    options.host = (char *)options.host + 0x1000;
    assert_int_equal(gmem_ram_create(machine->vm, &options, &second), 0);
    assert_int_equal(gmem_region_create_ram(machine->vm, "first", first, NULL, &region), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x700000, region), 0);
    assert_int_equal(gmem_region_create_ram(machine->vm, "second", second, NULL, &region), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x701000, region), 0);
    attach(machine);
    assert_slot(machine, 0x600000, 0x2000, LOG); /* logged since half of it is to be */
    assert_slot(machine, 0x700000, 0x1000, 0);
    assert_slot(machine, 0x701000, 0x1000, 0);
    machine->kernel.calls = 0;
    assert_int_equal(gmem_region_set_log(low, GMEM_LOG_CODE, true), 0);
    assert_int_equal(machine->kernel.calls, 0);
    assert_int_equal(gmem_region_set_log(low, GMEM_LOG_CODE, false), 0);
    assert_int_equal(gmem_region_set_enabled(high, false), 0);
    assert_slot(machine, 0x600000, 0x1000, 0);
    machine_free(machine);
}

/* Too few slots: what is right is merged, the smaller first; -ENOSPC only where that is not enough. */
static void test_merge_under_pressure(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct snapshot before;
    gmem_region *extra = new_ram_region(machine, "extra", 0x1000);
    gmem_region *more = new_ram_region(machine, "more", 0x1000);

    (void)state;
    machine->options.max_slots = 7;
    attach(machine);
    /* RAM in three slots where it could be two: 0xc0000 and 0xc8000. */
    assert_int_equal(gmem_vm_begin(machine->vm), 0);
    assert_int_equal(gmem_region_set_enabled(machine->pam, true), 0);
    assert_int_equal(gmem_region_set_readonly(machine->pam, true), 0);
    assert_int_equal(gmem_vm_commit(machine->vm), 0);
    assert_int_equal(gmem_region_set_readonly(machine->pam, false), 0);
    assert_int_equal(gmem_region_set_enabled(machine->pam, false), 0);
    assert_slot(machine, 0xc0000, 0x8000, 0);
    assert_slot(machine, 0xc8000, 0x18000, 0);
    assert_int_equal(gmem_region_add(machine->system, 0x600000, extra), 0);
    assert_slot(machine, 0xc8000, 0x18000, 0);
    take_snapshot(machine, &before);
    assert_int_equal(before.count, 7);
    assert_int_equal(gmem_region_add(machine->system, 0x700000, more), 0);
    assert_slot(machine, 0xc0000, 0x20000, 0);
    assert_slot(machine, 0x700000, 0x1000, 0);
    take_snapshot(machine, &before);
    assert_int_equal(before.count, 7);
    assert_int_equal(gmem_region_add(machine->system, 0x800000, new_ram_region(machine, "most", 0x1000)), -ENOSPC);
    assert_unchanged(machine, &before);
    machine_free(machine);
}

/* Two of the kernel's address spaces: two adapters, one space each, whose slots do not meet. */
struct two_spaces {
    struct kernel kernel[2];
};

static int two_spaces_set(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct two_spaces *two = opaque;

    assert_true(call->slot >> 16 < 2);
    return kernel_set(&two->kernel[call->slot >> 16], call);
}

static void test_two_address_spaces(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct two_spaces *two = calloc(1, sizeof(*two));
    struct snapshot snapshot = {0};
    gmem_region *smm;
    gmem_region *all;
    gmem_space *space;
    gmem_kvm *other;

    (void)state;
    assert_non_null(two);
    machine->options.set = two_spaces_set;
    machine->options.set_opaque = two;
    attach(machine);
    /* As in system management mode: RAM where the other space has a device. */
    assert_int_equal(gmem_region_create_container(machine->vm, "smm", GMEM_SIZE_ALL, NULL, &all), 0);
    assert_int_equal(
        gmem_region_create_alias(machine->vm, "smram", machine->ram, 0xa0000, GMEM_SIZE(0x20000), NULL, &smm), 0);
    assert_int_equal(gmem_region_add_priority(all, 0xa0000, smm, 1), 0);
    assert_int_equal(gmem_space_create(machine->vm, "smm", all, NULL, &space), 0);
    machine->options.as_id = 1;
    assert_int_equal(gmem_kvm_create(space, &machine->options, &other), 0);
    assert_null(kernel_at(&two->kernel[0], 0xa0000));
    assert_int_equal(kernel_at(&two->kernel[1], 0xa0000)->slot, 0x10000);
    assert_int_equal(kernel_count(&two->kernel[0]), 5);
    assert_int_equal(kernel_count(&two->kernel[1]), 1);
    assert_int_equal(gmem_kvm_foreach_slot(other, note_slot, &snapshot), 0);
    assert_int_equal(snapshot.count, 1);
    assert_int_equal(snapshot.slot[0].slot, 0x10000);
    /* One commit changes both; when the second refuses, the first is taken back. */
    two->kernel[1].calls = 0;
    two->kernel[1].fail_count = 1;
    two->kernel[1].fail_with = ENOMEM;
    assert_int_equal(gmem_vm_begin(machine->vm), 0);
    assert_int_equal(gmem_region_set_enabled(machine->vga, false), 0);
    assert_int_equal(gmem_region_set_enabled(smm, false), 0);
    assert_int_equal(gmem_vm_commit(machine->vm), -ENOMEM);
    assert_null(kernel_at(&two->kernel[0], 0xa0000));
    assert_non_null(kernel_at(&two->kernel[1], 0xa0000));
    gmem_kvm_destroy(other);
    assert_int_equal(kernel_count(&two->kernel[1]), 0);
    assert_int_equal(kernel_count(&two->kernel[0]), 5);
    gmem_kvm_destroy(machine->kvm);
    machine->kvm = NULL;
    gmem_space_destroy(space);
    free(two);
    machine_free(machine);
}

static void assert_refused(struct machine *machine, const struct gmem_kvm_options *options, int err)
{
    gmem_kvm *kvm = (gmem_kvm *)&machine->kernel;

    assert_int_equal(gmem_kvm_create(machine->space, options, &kvm), err);
    assert_ptr_equal(kvm, &machine->kernel);
    assert_int_equal(machine->kernel.calls, 0);
}

static void test_options(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct {
        struct gmem_kvm_options options;
        uint64_t tail;
    } longer = {.options = machine->options, .tail = 1};
    struct gmem_kvm_options options;

    (void)state;
#define REFUSED(member, value, err)                                                                                    \
    do {                                                                                                               \
        options = machine->options;                                                                                    \
        options.member = value;                                                                                        \
        assert_refused(machine, &options, err);                                                                        \
    } while (0)
    REFUSED(struct_size, 4, -EINVAL);
    REFUSED(policy, (enum gmem_kvm_policy)7, -EINVAL);
    REFUSED(page_size, 0x800, -EINVAL);
    REFUSED(page_size, 0x3000, -EINVAL);
    REFUSED(max_slot_bytes, 0x1800, -EINVAL);
    REFUSED(max_slot_bytes, UINT64_C(1) << 43, -EINVAL);
    REFUSED(max_slots, 65537, -EINVAL);
    REFUSED(set, NULL, -EBADF);
    REFUSED(pause, gate_pause, -EINVAL);
    REFUSED(resume, gate_resume, -EINVAL);
#undef REFUSED
    assert_int_equal(gmem_kvm_create(NULL, &machine->options, &machine->kvm), -EINVAL);
    assert_int_equal(gmem_kvm_create(machine->space, NULL, &machine->kvm), -EINVAL);
    assert_int_equal(gmem_kvm_create(machine->space, &machine->options, NULL), -EINVAL);
    longer.options.struct_size = sizeof(longer);
    assert_refused(machine, &longer.options, -EINVAL);
    longer.tail = 0;
    assert_int_equal(gmem_kvm_create(machine->space, &longer.options, &machine->kvm), 0);
    gmem_kvm_destroy(machine->kvm);
    machine->kvm = NULL;
    machine_free(machine);
    gmem_kvm_destroy(NULL);
}

/* Whole pages of a larger size: trimmed to them, where guest and host agree on where they begin. */
static void test_large_pages(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct gmem_ram_options options = {
        .struct_size = sizeof(options), .id = "large", .size = 0x80000, .align = 0x10000};
    gmem_region *region;
    gmem_ram *ram;

    (void)state;
    assert_int_equal(gmem_ram_create(machine->vm, &options, &ram), 0);
    assert_int_equal(gmem_region_create_ram(machine->vm, "large", ram, NULL, &region), 0);
    gmem_ram_unref(ram);
    assert_int_equal(gmem_region_resize(region, GMEM_SIZE(0x7f000)), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x1000000, region), 0);
    machine->options.page_size = 0x10000;
    attach(machine);
    assert_slot(machine, 0x1000000, 0x70000, 0);
    assert_int_equal(gmem_region_move(region, 0x1001000), 0);
    assert_null(kernel_at(&machine->kernel, 0x1010000));
    machine_free(machine);
}

static void test_busy(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct refuser refuser;

    (void)state;
    attach(machine);
    refuser_register(&refuser, machine, 0);
    refuser.kvm = machine->kvm;
    assert_int_equal(gmem_region_set_enabled(machine->rom, false), 0);
    assert_int_equal(refuser.busy, 1);
    gmem_listener_unregister(machine->vm, &refuser.listener);
    machine_free(machine);
}

/* Removals that fail do not keep an adapter from ending, nor from removing the rest. */
static void test_destroy_goes_on(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);

    (void)state;
    attach(machine);
    machine->kernel.calls = 0;
    machine->kernel.fail_from = 1;
    machine->kernel.fail_count = 1;
    machine->kernel.fail_with = EIO;
    machine_free(machine);
}

/* A commit may come from any thread, and the counters may be read from another meanwhile. */
static void *toggle(void *opaque)
{
    struct machine *machine = opaque;
    unsigned i;
    int bad = 0;

    for (i = 0; i < 200; i++)
        bad |= gmem_region_set_enabled(machine->rom, i % 2 == 1);
    return bad ? machine : NULL;
}

static void test_threads(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP);
    struct gmem_kvm_stats stats;
    struct snapshot snapshot;
    pthread_t thread;
    void *bad;
    unsigned i;

    (void)state;
    attach(machine);
    assert_int_equal(pthread_create(&thread, NULL, toggle, machine), 0);
    for (i = 0; i < 200; i++) {
        gmem_kvm_stats(machine->kvm, &stats);
        assert_in_range(stats.slots, 3, 5);
        snapshot.count = 0;
        assert_int_equal(gmem_kvm_foreach_slot(machine->kvm, note_slot, &snapshot), 0);
        assert_in_range(snapshot.count, 4, 5);
        assert_int_equal(gmem_region_move(machine->vram, 0x300000 + (i + 1) % 2 * 0x100000), 0);
    }
    assert_int_equal(pthread_join(thread, &bad), 0);
    assert_null(bad);
    take_snapshot(machine, &snapshot);
    gmem_kvm_stats(machine->kvm, &stats);
    assert_int_equal(stats.slots, 5);
    machine_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_of_a_map),
        cmocka_unit_test(test_readonly_window),
        cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_trace_events),
        cmocka_unit_test(test_trace_text),
        cmocka_unit_test(test_edit_all),
        cmocka_unit_test(test_each_call_fails),
        cmocka_unit_test(test_all_later_calls_fail),
        cmocka_unit_test(test_mended_elsewhere),
        cmocka_unit_test(test_create_fails),
        cmocka_unit_test(test_others_refuse),
        cmocka_unit_test(test_undo_keeps_numbers),
        cmocka_unit_test(test_exhaustion),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_undo_needs_no_memory),
        cmocka_unit_test(test_beyond_the_processor),
        cmocka_unit_test(test_dirty_log),
        cmocka_unit_test(test_log_everything),
        cmocka_unit_test(test_log_everything_is_mended),
        cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_mark),
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_pauses_of_an_undo),
        cmocka_unit_test(test_window_flips),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_merge_under_pressure),
        cmocka_unit_test(test_two_address_spaces),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_large_pages),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_destroy_goes_on),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
