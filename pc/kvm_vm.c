/* SPDX-License-Identifier: MIT */
/*
 * pc/kvm_vm.c - the kernel's virtual machine: its interrupt controllers, their routing, the pages it needs for itself, processors.
 *
 * Linux, Documentation/virt/kvm/api.rst: KVM_SET_TSS_ADDR and KVM_SET_IDENTITY_MAP_ADDR (four pages below the
 * firmware, which the firmware's memory map leaves out), KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_SET_GSI_ROUTING,
 * KVM_IRQ_LINE. Inputs 0 to 15 go to the PICs and to the IOAPIC; the timer's input 0 is the IOAPIC's pin 2, as on a
 * PC and in the firmware's tables. System management mode needs KVM_CAP_X86_SMM (KVM_SMI, KVM_RUN_X86_SMM), and a second
 * address space for its slots (KVM_CAP_MULTI_ADDRESS_SPACE: how many there are).
 *
 * What the kernel may lack for a machine is found here: how many processors it takes (KVM_CAP_MAX_VCPUS), readonly slots
 * (KVM_CAP_READONLY_MEM), and whether it lets processors and slots be made at all.
 *
 * Immutable after creation but for lines[], each of which is written by the device that drives it.
 */
#include "kvm_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_kvm_state.h"
#include "place.h"

#define IDENTITY_MAP 0xfeffc000u /* one page, then three for the task state segment */
#define TSS 0xfeffd000u

#define IOAPIC_PINS 24u
#define PIC_PINS 8u
#define CASCADE 2u
#define IOAPIC_TIMER 2u

struct line {
    struct kvm_vm *kvm;
    unsigned gsi;
};

struct processor {
    int fd;
    struct kvm_run *run; /* NULL: not mapped */
};

struct kvm_vm {
    int device;
    int fd;
    struct line lines[KVM_VM_ISA_IRQS];
    size_t run_size;
    unsigned count;
    struct processor processors[];
};

static int open_device(struct kvm_vm *kvm, struct pc_error *error)
{
    int version;

    kvm->device = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm->device < 0) {
        switch (errno) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
            return pc_fail(
                error, -ENODEV,
                "/dev/kvm is not there: this host's kernel has no KVM, or the module kvm_intel or kvm_amd is not "
                "loaded");
        case EACCES:
        case EPERM:
            return pc_fail(error, -EACCES,
                           "no permission to use /dev/kvm: join the group that owns it, or run as root");
        default:
            return pc_fail(error, -errno, "/dev/kvm can't be opened: %s", strerror(errno));
        }
    }
    version = ioctl(kvm->device, KVM_GET_API_VERSION, 0);
    if (version < 0)
        return pc_fail(error, -ENODEV, "/dev/kvm is not KVM: %s", strerror(errno));
    if (version != KVM_API_VERSION)
        return pc_fail(error, -ENOTSUP, "/dev/kvm speaks version %d of KVM's interface, not %d", version,
                       KVM_API_VERSION);
    return 0;
}

static int check_smm(const struct kvm_vm *kvm, struct pc_error *error)
{
    bool mode = ioctl(kvm->device, KVM_CHECK_EXTENSION, KVM_CAP_X86_SMM) > 0;
    bool spaces = ioctl(kvm->device, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE) > 1;

    if (mode && spaces)
        return 0;
    return pc_fail(
        error, -ENOTSUP,
        "this kernel's KVM has no system management mode (it lacks %s%s%s), which --accel interp has and --smm "
        "off does without",
        mode ? "" : "KVM_CAP_X86_SMM", mode || spaces ? "" : " and ", spaces ? "" : "KVM_CAP_MULTI_ADDRESS_SPACE");
}

static int set_routing(struct kvm_vm *kvm)
{
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry entries[2 * PIC_PINS + IOAPIC_PINS];
    } table = {.head = {.nr = 0}};

    for (unsigned gsi = 0; gsi < IOAPIC_PINS; gsi++) {
        if (gsi < 2 * PIC_PINS && gsi != CASCADE)
            table.entries[table.head.nr++] = (struct kvm_irq_routing_entry){
                .gsi = gsi,
                .type = KVM_IRQ_ROUTING_IRQCHIP,
                .u.irqchip = {.irqchip = gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                              .pin = gsi % PIC_PINS}};
        if (gsi != CASCADE)
            table.entries[table.head.nr++] = (struct kvm_irq_routing_entry){
                .gsi = gsi,
                .type = KVM_IRQ_ROUTING_IRQCHIP,
                .u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = gsi ? gsi : IOAPIC_TIMER}};
    }
    return ioctl(kvm->fd, KVM_SET_GSI_ROUTING, &table);
}

static int create_vm(struct kvm_vm *kvm, struct pc_error *error)
{
    uint64_t identity_map = IDENTITY_MAP;
    /* The kernel then answers port 0x61, whose bits belong to the PIT. */
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    const char *what = "KVM_CREATE_VM";

    do
        kvm->fd = ioctl(kvm->device, KVM_CREATE_VM, 0);
    while (kvm->fd < 0 && errno == EINTR);
    if (kvm->fd < 0)
        goto failed;
    what = "KVM_SET_IDENTITY_MAP_ADDR";
    if (ioctl(kvm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
        goto failed;
    what = "KVM_SET_TSS_ADDR";
    if (ioctl(kvm->fd, KVM_SET_TSS_ADDR, (unsigned long)TSS) < 0)
        goto failed;
    what = "KVM_CREATE_IRQCHIP";
    if (ioctl(kvm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
        goto failed;
    what = "KVM_CREATE_PIT2";
    if (ioctl(kvm->fd, KVM_CREATE_PIT2, &pit) < 0)
        goto failed;
    what = "KVM_SET_GSI_ROUTING";
    if (set_routing(kvm) < 0)
        goto failed;
    return 0;
failed:
    return pc_fail(error, -errno, "the kernel refuses a virtual machine (%s): %s", what, strerror(errno));
}

static int check_limits(const struct kvm_vm *kvm, struct pc_error *error)
{
    int most = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

    if (most > 0 && kvm->count > (unsigned)most)
        return pc_fail(error, -EINVAL, "%u processors: this host's KVM takes at most %d", kvm->count, most);
    if (ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0)
        return pc_fail(error, -ENOTSUP, "this kernel's KVM has no readonly memory (it lacks KVM_CAP_READONLY_MEM)");
    return 0;
}

static int create_processor(struct kvm_vm *kvm, unsigned index, struct pc_error *error)
{
    struct processor *processor = &kvm->processors[index];
    void *mapped;
    int err;

    processor->fd = ioctl(kvm->fd, KVM_CREATE_VCPU, (unsigned long)index);
    if (processor->fd < 0)
        return pc_fail(error, -errno, "the kernel refuses processor %u: %s", index, strerror(errno));
    mapped = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, processor->fd, 0);
    if (mapped == MAP_FAILED)
        return pc_fail(error, -errno, "the state of processor %u can't be mapped: %s", index, strerror(errno));
    processor->run = mapped;
    err = cpu_kvm_set_run_mask(processor->fd);
    if (!err)
        err = cpu_kvm_set_cpuid(kvm->device, processor->fd, index, kvm->count);
    if (!err)
        err = cpu_kvm_set_reset_state(processor->fd, index);
    return err ? pc_fail(error, err, "processor %u can't be set up: %s", index, strerror(-err)) : 0;
}

static int create_processors(struct kvm_vm *kvm, struct pc_error *error)
{
    int size = ioctl(kvm->device, KVM_GET_VCPU_MMAP_SIZE, 0), err = 0;

    if (size < 0)
        return pc_fail(error, -errno, "KVM_GET_VCPU_MMAP_SIZE failed: %s", strerror(errno));
    if ((size_t)size < sizeof(struct kvm_run))
        return pc_fail(error, -ENOTSUP, "KVM_GET_VCPU_MMAP_SIZE: %d bytes are too few", size);
    kvm->run_size = (size_t)size;
    for (unsigned i = 0; i < kvm->count && !err; i++)
        err = create_processor(kvm, i, error);
    return err;
}

/* A readonly page, set and removed. */
static int try_slot(const struct kvm_vm *kvm, struct pc_error *error)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    struct kvm_userspace_memory_region slot = {.flags = KVM_MEM_READONLY, .memory_size = size};
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int err;

    if (page == MAP_FAILED)
        return pc_fail(error, -ENOMEM, "out of memory");
    slot.userspace_addr = (uintptr_t)page;
    err = ioctl(kvm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0;
    slot.memory_size = 0;
    if (!err && ioctl(kvm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
        err = -errno;
    munmap(page, size);
    return err ? pc_fail(error, err, "the kernel refuses a memory slot: %s", strerror(-err)) : 0;
}

int kvm_vm_create(bool smm, unsigned cpus, struct kvm_vm **ret, struct pc_error *error)
{
    struct kvm_vm *kvm = calloc(1, sizeof(*kvm) + cpus * sizeof(kvm->processors[0]));
    int err;

    if (!kvm)
        return pc_fail(error, -ENOMEM, "out of memory");
    kvm->device = kvm->fd = -1;
    kvm->count = cpus;
    for (unsigned i = 0; i < cpus; i++)
        kvm->processors[i].fd = -1;
    for (unsigned n = 0; n < KVM_VM_ISA_IRQS; n++)
        kvm->lines[n] = (struct line){.kvm = kvm, .gsi = n};
    err = open_device(kvm, error);
    if (!err && smm)
        err = check_smm(kvm, error);
    if (!err)
        err = create_vm(kvm, error);
    if (!err)
        err = check_limits(kvm, error);
    if (!err)
        err = try_slot(kvm, error);
    if (!err)
        err = create_processors(kvm, error);
    if (err) {
        kvm_vm_destroy(kvm);
        return err;
    }
    *ret = kvm;
    return 0;
}

void kvm_vm_destroy(struct kvm_vm *kvm)
{
    if (!kvm)
        return;
    for (unsigned i = 0; i < kvm->count; i++) {
        if (kvm->processors[i].run)
            munmap(kvm->processors[i].run, kvm->run_size);
        if (kvm->processors[i].fd >= 0)
            close(kvm->processors[i].fd);
    }
    if (kvm->fd >= 0)
        close(kvm->fd);
    if (kvm->device >= 0)
        close(kvm->device);
    free(kvm);
}

int kvm_vm_processor(const struct kvm_vm *kvm, unsigned index, struct kvm_run **ret_run)
{
    *ret_run = kvm->processors[index].run;
    return kvm->processors[index].fd;
}

int kvm_vm_fd(const struct kvm_vm *kvm)
{
    return kvm->fd;
}

int kvm_vm_device(const struct kvm_vm *kvm)
{
    return kvm->device;
}

static void set_line(void *opaque, int level)
{
    const struct line *line = opaque;
    struct kvm_irq_level call = {.irq = line->gsi, .level = level ? 1 : 0};

    /* Fails only for a machine without interrupt controllers or an unknown input. */
    (void)ioctl(line->kvm->fd, KVM_IRQ_LINE, &call);
}

struct pc_irq kvm_vm_isa_irq(struct kvm_vm *kvm, unsigned n)
{
    return (struct pc_irq){.set = set_line, .opaque = &kvm->lines[n]};
}

int kvm_vm_place(gmem_region *io, gmem_region *system)
{
    static const struct {
        const char *name;
        uint64_t first, size;
        int32_t priority;
        bool memory;
    } blocks[] = {
        {"kvm-pic", 0x20, 2, 0, false},
        {"kvm-pic", 0xa0, 2, 0, false},
        {"kvm-pit", 0x40, 4, 0, false},
        {"kvm-elcr", 0x4d0, 1, 0, false},
        {"kvm-elcr", 0x4d1, 1, 0, false},
        {"kvm-ioapic", 0xfec00000, 0x1000, 0, true},
        {"kvm-apic-msi", 0xfee00000, 0x100000, 4096, true},
    };
    int err = 0;

    for (unsigned i = 0; i < sizeof(blocks) / sizeof(blocks[0]) && !err; i++)
        err = pc_place_reserved(blocks[i].memory ? system : io, blocks[i].first, blocks[i].priority, blocks[i].name,
                                blocks[i].size);
    return err;
}
