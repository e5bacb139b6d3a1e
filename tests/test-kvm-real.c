/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-real.c - the adapter and the exits with /dev/kvm: a guest of a few instructions on a map with one of everything.
 *
 * Skipped, with the reason, where there is no usable /dev/kvm or the processor is no x86.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include <gmem/gmem.h>
#include <gmem/kvm.h>

#if defined(__x86_64__)

#define CODE 0x1000u
#define DATA 0x4000u

struct device {
    char seen[256]; /* "w10:41" for each write, "r20" for each read */
    uint64_t answer;
};

struct machine {
    int kvm_fd, vm_fd, cpu_fd;
    struct kvm_run *run;
    size_t run_size;
    unsigned mmio, io; /* exits */
    gmem_vm *vm;
    gmem_space *memory, *ports;
    gmem_kvm *kvm;
    gmem_region *system, *ram, *odd, *odd_window, *vram, *rom, *window, *flash;
    struct device device, port, console, flash_device;
    char trace[64][160];
    unsigned lines;
};

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;
    size_t length = strlen(device->seen);

    (void)attrs;
    (void)snprintf(device->seen + length, sizeof(device->seen) - length, "r%x.%u ", (unsigned)offset, size);
    *ret_value = device->answer++;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;
    size_t length = strlen(device->seen);

    (void)attrs;
    (void)snprintf(device->seen + length, sizeof(device->seen) - length, "w%x.%u=%x ", (unsigned)offset, size,
                   (unsigned)value);
    return GMEM_OK;
}

static const struct gmem_mmio_ops ops = {.read = device_read, .write = device_write, .endian = GMEM_ENDIAN_LITTLE};

static void on_trace(void *opaque, const char *line)
{
    struct machine *machine = opaque;

    if (machine->lines < 64)
        (void)snprintf(machine->trace[machine->lines++], 160, "%s", line);
}

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

static gmem_region *new_device(struct machine *machine, const char *name, uint64_t size, struct device *device)
{
    gmem_region *region;

    assert_int_equal(gmem_region_create_mmio(machine->vm, name, GMEM_SIZE(size), &ops, device, NULL, &region), 0);
    return region;
}

static uint8_t *host_of(gmem_region *region)
{
    return gmem_ram_host(gmem_region_ram(region));
}

/* One of everything, where 16-bit code reaches it. */
static void make_memory(struct machine *machine)
{
    gmem_vm *vm = machine->vm;
    gmem_ram *rom = new_ram(machine, "rom", 0x1000);
    gmem_ram *flash = new_ram(machine, "flash", 0x1000);

    assert_int_equal(gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &machine->system), 0);
    machine->ram = new_ram_region(machine, "ram", 0x10000);
    machine->odd = new_ram_region(machine, "odd", 0x5000);
    machine->vram = new_ram_region(machine, "vram", 0x2000);
    assert_int_equal(gmem_region_create_rom(vm, "rom", rom, NULL, &machine->rom), 0);
    assert_int_equal(gmem_region_create_romd(vm, "flash", flash, &ops, &machine->flash_device, NULL, &machine->flash),
                     0);
    assert_int_equal(
        gmem_region_create_alias(vm, "window", machine->odd, 0x4000, GMEM_SIZE(0x1000), NULL, &machine->window), 0);
    assert_int_equal(
        gmem_region_create_alias(vm, "odd window", machine->odd, 0x800, GMEM_SIZE(0x2400), NULL, &machine->odd_window),
        0);
    assert_int_equal(gmem_region_set_readonly(machine->window, true), 0);
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, true), 0);
    assert_int_equal(gmem_region_add(machine->system, 0, machine->ram), 0);
    assert_int_equal(gmem_region_add(machine->system, 0x20800, machine->odd_window), 0);
    assert_int_equal(gmem_region_add(machine->system, 0xa0000, new_device(machine, "device", 0x1000, &machine->device)),
                     0);
    assert_int_equal(gmem_region_add(machine->system, 0xb8000, machine->vram), 0);
    assert_int_equal(gmem_region_add(machine->system, 0xc0000, machine->window), 0);
    assert_int_equal(gmem_region_add(machine->system, 0xd0000, machine->flash), 0);
    assert_int_equal(gmem_region_add(machine->system, 0xf0000, machine->rom), 0);
    assert_int_equal(gmem_space_create(vm, "memory", machine->system, NULL, &machine->memory), 0);
    host_of(machine->rom)[0] = 0x52;
    host_of(machine->odd)[0x4000] = 0x57;
    host_of(machine->flash)[4] = 0x46;
    gmem_ram_unref(rom);
    gmem_ram_unref(flash);
}

static void make_ports(struct machine *machine)
{
    gmem_region *io;

    assert_int_equal(gmem_region_create_container(machine->vm, "io", GMEM_SIZE(0x10000), NULL, &io), 0);
    assert_int_equal(gmem_region_add(io, 0x300, new_device(machine, "port", 8, &machine->port)), 0);
    assert_int_equal(gmem_region_add(io, 0x402, new_device(machine, "console", 1, &machine->console)), 0);
    assert_int_equal(gmem_space_create(machine->vm, "I/O", io, NULL, &machine->ports), 0);
}

/* The kernel's part; false with a reason printed when it can't be had. */
static bool make_kernel(struct machine *machine)
{
    int size;

    machine->vm_fd = -1;
    machine->cpu_fd = -1;
    machine->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (machine->kvm_fd < 0) {
        print_message("no usable /dev/kvm: %s\n", strerror(errno));
        return false;
    }
    machine->vm_fd = ioctl(machine->kvm_fd, KVM_CREATE_VM, 0);
    if (machine->vm_fd < 0) {
        print_message("/dev/kvm makes no VM: %s\n", strerror(errno));
        return false;
    }
    /* Where Intel's processors keep what they need for real mode. */
    assert_int_equal(ioctl(machine->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL), 0);
    machine->cpu_fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, 0);
    if (machine->cpu_fd < 0) {
        print_message("/dev/kvm makes no vCPU: %s\n", strerror(errno));
        return false;
    }
    size = ioctl(machine->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    assert_true(size > 0);
    machine->run_size = (size_t)size;
    machine->run = mmap(NULL, machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, machine->cpu_fd, 0);
    assert_ptr_not_equal(machine->run, MAP_FAILED);
    return true;
}

static void close_kernel(struct machine *machine)
{
    if (machine->run)
        (void)munmap(machine->run, machine->run_size);
    if (machine->cpu_fd >= 0)
        (void)close(machine->cpu_fd);
    if (machine->vm_fd >= 0)
        (void)close(machine->vm_fd);
    if (machine->kvm_fd >= 0)
        (void)close(machine->kvm_fd);
}

static struct gmem_kvm_options options_of(struct machine *machine)
{
    return (struct gmem_kvm_options){.struct_size = sizeof(struct gmem_kvm_options),
                                     .vm_fd = machine->vm_fd,
                                     .priority = 10,
                                     .trace = on_trace,
                                     .trace_opaque = machine};
}

/* NULL where there is no KVM. */
static struct machine *machine_new(void)
{
    struct machine *machine = calloc(1, sizeof(*machine));
    struct gmem_kvm_options options;

    assert_non_null(machine);
    if (!make_kernel(machine)) {
        close_kernel(machine);
        free(machine);
        return NULL;
    }
    assert_int_equal(gmem_vm_create(NULL, &machine->vm), 0);
    make_memory(machine);
    make_ports(machine);
    options = options_of(machine);
    assert_int_equal(gmem_kvm_create(machine->memory, &options, &machine->kvm), 0);
    return machine;
}

static void machine_free(struct machine *machine)
{
    gmem_kvm_destroy(machine->kvm);
    gmem_vm_destroy(machine->vm);
    close_kernel(machine);
    free(machine);
}

/* Put code where the vCPU, in real mode, will start. */
static void load(struct machine *machine, const void *code, size_t size)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = CODE, .rflags = 2, .rsp = 0xfff0};

    memcpy(host_of(machine->ram) + CODE, code, size);
    assert_int_equal(ioctl(machine->cpu_fd, KVM_GET_SREGS, &sregs), 0);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    assert_int_equal(ioctl(machine->cpu_fd, KVM_SET_SREGS, &sregs), 0);
    assert_int_equal(ioctl(machine->cpu_fd, KVM_SET_REGS, &regs), 0);
}

/* Run until hlt; the exit that ended it. */
static uint32_t run(struct machine *machine)
{
    unsigned left;

    for (left = 10000; left > 0; left--) {
        int err;

        if (ioctl(machine->cpu_fd, KVM_RUN, 0) < 0 && errno != EINTR)
            return UINT32_MAX;
        err = gmem_kvm_handle_exit(machine->memory, machine->ports, machine->run, GMEM_ATTRS_NONE, NULL);
        machine->mmio += machine->run->exit_reason == KVM_EXIT_MMIO;
        machine->io += machine->run->exit_reason == KVM_EXIT_IO;
        if (err == -ENOTSUP)
            return machine->run->exit_reason;
        if (err)
            return UINT32_MAX;
    }
    return UINT32_MAX;
}

#define MACHINE_OR_SKIP(name)                                                                                          \
    struct machine *name = machine_new();                                                                              \
    (void)state;                                                                                                       \
    if (!name)                                                                                                         \
    skip()

/* Every kind of region, by the guest's own instructions. */
static void test_guest(void **state)
{
    static const uint8_t code[] = {
        0xb8, 0x00, 0xa0, 0x8e, 0xd8,       /* ds = 0xa000: the device */
        0xc6, 0x06, 0x10, 0x00, 0x41,       /* movb $0x41, 0x10 */
        0x8b, 0x1e, 0x20, 0x00,             /* mov 0x20, %bx */
        0xb8, 0x00, 0xf0, 0x8e, 0xd8,       /* ds = 0xf000: the rom */
        0x8a, 0x0e, 0x00, 0x00,             /* mov 0, %cl */
        0xc6, 0x06, 0x00, 0x00, 0x99,       /* movb $0x99, 0 */
        0x8a, 0x2e, 0x00, 0x00,             /* mov 0, %ch */
        0xb8, 0x00, 0xc0, 0x8e, 0xd8,       /* ds = 0xc000: the read-only window */
        0x8a, 0x16, 0x00, 0x00,             /* mov 0, %dl */
        0xc6, 0x06, 0x00, 0x00, 0x55,       /* movb $0x55, 0 */
        0xb8, 0x00, 0xd0, 0x8e, 0xd8,       /* ds = 0xd000: flash */
        0x8a, 0x36, 0x04, 0x00,             /* mov 4, %dh */
        0xc6, 0x06, 0x04, 0x00, 0x77,       /* movb $0x77, 4 */
        0xb8, 0x00, 0x20, 0x8e, 0xd8,       /* ds = 0x2000: RAM with odd ends */
        0xc6, 0x06, 0x00, 0x08, 0x01,       /* movb $1, 0x800 */
        0xc6, 0x06, 0x00, 0x10, 0x02,       /* movb $2, 0x1000 */
        0xc6, 0x06, 0x00, 0x28, 0x03,       /* movb $3, 0x2800 */
        0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, /* ds = es = 0 */
        0x89, 0x1e, 0x00, 0x40,             /* mov %bx, 0x4000 */
        0x89, 0x0e, 0x02, 0x40,             /* mov %cx, 0x4002 */
        0x89, 0x16, 0x04, 0x40,             /* mov %dx, 0x4004 */
        0xba, 0x02, 0x04, 0xbe, 0x10, 0x40, /* dx = 0x402, si = 0x4010 */
        0xb9, 0x05, 0x00, 0xf3, 0x6e,       /* cx = 5, rep outsb */
        0xba, 0x00, 0x03, 0xbf, 0x20, 0x40, /* dx = 0x300, di = 0x4020 */
        0xb9, 0x04, 0x00, 0xf3, 0x6c,       /* cx = 4, rep insb */
        0xed, 0xa3, 0x30, 0x40,             /* in (%dx), %ax; mov %ax, 0x4030 */
        0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, /* mov $0x12345678, %eax */
        0x66, 0xef, 0xf4,                   /* out %eax, (%dx); hlt */
    };
    MACHINE_OR_SKIP(machine);
    const uint8_t *ram = host_of(machine->ram);

    machine->device.answer = 0x1234;
    machine->port.answer = 'a';
    memcpy(host_of(machine->ram) + DATA + 0x10, "hello", 5);
    load(machine, code, sizeof(code));
    assert_int_equal(run(machine), KVM_EXIT_HLT);

    assert_string_equal(machine->device.seen, "w10.1=41 r20.2 ");
    assert_memory_equal(ram + DATA, "\x34\x12", 2);
    assert_memory_equal(ram + DATA + 2, "\x52\x52", 2); /* the rom, before and after a write to it */
    assert_int_equal(host_of(machine->rom)[0], 0x52);
    assert_int_equal(ram[DATA + 4], 0x57);
    assert_int_equal(host_of(machine->odd)[0x4000], 0x57); /* not written through the window */
    assert_int_equal(ram[DATA + 5], 0x46);
    assert_string_equal(machine->flash_device.seen, "w4.1=77 ");
    assert_int_equal(host_of(machine->flash)[4], 0x46);
    assert_int_equal(host_of(machine->odd)[0x800], 1);
    assert_int_equal(host_of(machine->odd)[0x1000], 2);
    assert_int_equal(host_of(machine->odd)[0x2800], 3);
    /* device 2, rom 1, window 1, flash 1, odd ends 2; what is in a slot makes none */
    assert_int_equal(machine->mmio, 7);
    assert_string_equal(machine->console.seen, "w0.1=68 w0.1=65 w0.1=6c w0.1=6c w0.1=6f ");
    assert_memory_equal(ram + DATA + 0x20, "abcd", 4);
    assert_memory_equal(ram + DATA + 0x30, "e\0", 2);
    assert_string_equal(machine->port.seen, "r0.1 r0.1 r0.1 r0.1 r0.2 w0.4=12345678 ");
    machine_free(machine);
}

/* The window's slot follows it: read-only, then not. The guest's writes arrive accordingly. */
static void test_window_opens(void **state)
{
    static const uint8_t code[] = {
        0xb8, 0x00, 0xc0, 0x8e, 0xd8,       /* ds = 0xc000 */
        0xc6, 0x06, 0x01, 0x00, 0x66, 0xf4, /* movb $0x66, 1; hlt */
    };
    MACHINE_OR_SKIP(machine);

    assert_non_null(strstr(machine->trace[3], "flags=0x2 gpa=0xc0000 size=0x1000 "));
    load(machine, code, sizeof(code));
    assert_int_equal(run(machine), KVM_EXIT_HLT);
    assert_int_equal(host_of(machine->odd)[0x4001], 0);
    assert_int_equal(machine->mmio, 1);
    machine->lines = 0;
    assert_int_equal(gmem_region_set_readonly(machine->window, false), 0);
    assert_int_equal(machine->lines, 2);
    assert_non_null(strstr(machine->trace[0], "Slot#3 flags=0x0 gpa=0xc0000 size=0x0 "));
    assert_non_null(strstr(machine->trace[1], "Slot#3 flags=0x0 gpa=0xc0000 size=0x1000 "));
    load(machine, code, sizeof(code));
    assert_int_equal(run(machine), KVM_EXIT_HLT);
    assert_int_equal(host_of(machine->odd)[0x4001], 0x66);
    assert_int_equal(machine->mmio, 1);
    machine_free(machine);
}

/* What the guest wrote since is in the kernel's log, while logging is on. */
static void test_dirty_log(void **state)
{
    static const uint8_t code[] = {
        0xb8, 0x00, 0xb8, 0x8e, 0xd8,       /* ds = 0xb800 */
        0xc6, 0x06, 0x05, 0x10, 0x07, 0xf4, /* movb $7, 0x1005; hlt */
    };
    MACHINE_OR_SKIP(machine);
    uint64_t bitmap = 0;
    struct kvm_dirty_log log = {.slot = 2, .dirty_bitmap = &bitmap};

    assert_non_null(strstr(machine->trace[2], "Slot#2 flags=0x1 gpa=0xb8000 size=0x2000 "));
    load(machine, code, sizeof(code));
    assert_int_equal(run(machine), KVM_EXIT_HLT);
    assert_int_equal(ioctl(machine->vm_fd, KVM_GET_DIRTY_LOG, &log), 0);
    assert_int_equal(bitmap, 2);
    machine->lines = 0;
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, false), 0);
    assert_int_equal(machine->lines, 1);
    assert_non_null(strstr(machine->trace[0], "Slot#2 flags=0x0 gpa=0xb8000 size=0x2000 "));
    assert_int_equal(ioctl(machine->vm_fd, KVM_GET_DIRTY_LOG, &log), -1);
    assert_int_equal(gmem_region_set_log(machine->vram, GMEM_LOG_DISPLAY, true), 0);
    load(machine, code, sizeof(code));
    assert_int_equal(run(machine), KVM_EXIT_HLT);
    bitmap = 0;
    assert_int_equal(ioctl(machine->vm_fd, KVM_GET_DIRTY_LOG, &log), 0);
    assert_int_equal(bitmap, 2);
    machine_free(machine);
}

/* G8, G1: the kernel itself refuses; the guest goes on with the map as it was. */
static void test_beyond_the_processor(void **state)
{
    static const uint8_t code[] = {0xc6, 0x06, 0x00, 0x40, 0x21, 0xf4}; /* movb $0x21, 0x4000; hlt */
    MACHINE_OR_SKIP(machine);
    struct gmem_kvm_stats before;
    struct gmem_kvm_stats after;
    struct gmem_section section;

    gmem_kvm_stats(machine->kvm, &before);
    assert_int_equal(gmem_region_move(machine->vram, UINT64_C(0x80000000000000)), -EINVAL);
    gmem_kvm_stats(machine->kvm, &after);
    assert_int_equal(after.failed, 1);
    assert_int_equal(after.slots, before.slots);
    assert_int_equal(gmem_space_lookup(machine->memory, 0xb8000, &section), 0);
    assert_ptr_equal(section.region, machine->vram);
    gmem_section_release(&section);
    load(machine, code, sizeof(code));
    assert_int_equal(run(machine), KVM_EXIT_HLT);
    assert_int_equal(host_of(machine->ram)[DATA], 0x21);
    machine_free(machine);
}

/* Slots that are none of its business come and go while the guest runs, and it does not notice. */
static void *run_thread(void *opaque)
{
    struct machine *machine = opaque;

    return run(machine) == KVM_EXIT_HLT ? NULL : machine;
}

static void test_edits_while_running(void **state)
{
    static const uint8_t code[] = {
        0x66, 0xff, 0x06, 0x00, 0x40, /* 1: incl 0x4000 */
        0x80, 0x3e, 0x10, 0x40, 0x00, /* cmpb $0, 0x4010 */
        0x74, 0xf4, 0xf4,             /* je 1b; hlt */
    };
    MACHINE_OR_SKIP(machine);
    uint8_t *data = host_of(machine->ram) + DATA;
    pthread_t thread;
    void *bad;
    unsigned i;

    load(machine, code, sizeof(code));
    assert_int_equal(pthread_create(&thread, NULL, run_thread, machine), 0);
    while (__atomic_load_n((uint32_t *)(void *)data, __ATOMIC_RELAXED) == 0)
        (void)usleep(100);
    for (i = 0; i < 50; i++) {
        assert_int_equal(gmem_region_set_readonly(machine->window, i % 2), 0);
        assert_int_equal(gmem_region_move(machine->rom, i % 2 ? 0xf0000 : 0x1f0000), 0);
    }
    __atomic_store_n(&data[0x10], 1, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, &bad), 0);
    assert_null(bad);
    assert_int_equal(machine->mmio, 0);
    machine_free(machine);
}

/* The kernel's other address spaces (system management mode's) have slots of their own; what it does not have is refused. */
static void test_address_spaces(void **state)
{
    MACHINE_OR_SKIP(machine);
    int spaces = ioctl(machine->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE);
    struct gmem_kvm_options options = options_of(machine);
    gmem_kvm *other = NULL;

    options.as_id = (uint16_t)(spaces > 1 ? spaces : 1);
    assert_int_equal(gmem_kvm_create(machine->memory, &options, &other), -ENOTSUP);
    if (spaces > 1) {
        options.as_id = 1;
        machine->lines = 0;
        assert_int_equal(gmem_kvm_create(machine->memory, &options, &other), 0);
        assert_non_null(strstr(machine->trace[0], "Slot#65536 "));
        gmem_kvm_destroy(other);
    }
    machine_free(machine);
}

/* As many as the kernel says there are, one more is a clean refusal, before any call. */
static int count_call(void *opaque, const struct gmem_kvm_slot *slot)
{
    unsigned *count = opaque;

    (void)slot;
    (*count)++;
    return 0;
}

static void test_exhaustion(void **state)
{
    MACHINE_OR_SKIP(machine);
    int slots = ioctl(machine->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
    gmem_region *many = new_ram_region(machine, "many", UINT64_C(0x1000) * (unsigned)(slots + 1));
    struct gmem_kvm_options options = options_of(machine);
    gmem_region *container;
    gmem_space *space;
    gmem_kvm *other = NULL;
    struct gmem_kvm_stats stats;
    unsigned count = 0;

    gmem_kvm_destroy(machine->kvm);
    options.trace = NULL;
    options.max_slot_bytes = 0x1000;
    assert_int_equal(gmem_region_create_container(machine->vm, "all", GMEM_SIZE_ALL, NULL, &container), 0);
    assert_int_equal(gmem_region_add(container, 0, many), 0);
    assert_int_equal(gmem_space_create(machine->vm, "all", container, NULL, &space), 0);
    assert_int_equal(gmem_kvm_create(space, &options, &other), -ENOSPC);
    assert_int_equal(gmem_region_resize(many, GMEM_SIZE(0x1000 * 600)), 0);
    assert_int_equal(gmem_kvm_create(space, &options, &other), 0);
    gmem_kvm_stats(other, &stats);
    assert_int_equal(stats.slots, 600);
    assert_int_equal(gmem_kvm_foreach_slot(other, count_call, &count), 0);
    assert_int_equal(count, 600);
    assert_int_equal(gmem_region_resize(many, GMEM_SIZE(UINT64_C(0x1000) * (unsigned)(slots + 1))), -ENOSPC);
    gmem_kvm_stats(other, &stats);
    assert_int_equal(stats.calls, 600);
    gmem_kvm_destroy(other);
    machine->kvm = NULL;
    machine_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest),
        cmocka_unit_test(test_window_opens),
        cmocka_unit_test(test_dirty_log),
        cmocka_unit_test(test_beyond_the_processor),
        cmocka_unit_test(test_edits_while_running),
        cmocka_unit_test(test_address_spaces),
        cmocka_unit_test(test_exhaustion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_other_processor(void **state)
{
    (void)state;
    print_message("the guests here are x86 code\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_other_processor)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
