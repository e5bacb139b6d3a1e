/* SPDX-License-Identifier: MIT */
/*
 * kvm-guest.c - a KVM guest of a dozen (x86) instructions.
 * pkg-config: gmem gmem-kvm
 *
 * The guest says hello through port 0x3f8, one string instruction for the whole text, then reads a number from a device at
 * 0xa0000 and writes it back, one higher. Its 64 KiB of RAM are a KVM slot that gmem_kvm_create() made; port and device
 * are none, so that touching them exits to gmem_kvm_handle_exit(). Exit status 0: the device got its number; 77: no KVM here.
 */
#define _POSIX_C_SOURCE 200809L /* O_CLOEXEC, also for a compiler that is told -std=c11 */
#include <gmem/gmem.h>
#include <gmem/kvm.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define RAM_SIZE 0x10000
#define CODE_AT 0x1000
#define TEXT_AT 0x1020

static const unsigned char code[] = {
    0xba, 0xf8, 0x03, /* mov $0x3f8, %dx    the port */
    0xbe, 0x20, 0x10, /* mov $TEXT_AT, %si */
    0xb9, 0x0d, 0x00, /* mov $13, %cx       bytes */
    0xf3, 0x6e,       /* rep outsb */
    0xb8, 0x00, 0xa0, /* mov $0xa000, %ax */
    0x8e, 0xd8,       /* mov %ax, %ds       from here on ds:0 is 0xa0000 */
    0xa0, 0x00, 0x00, /* mov 0, %al         read the device */
    0x04, 0x01,       /* add $1, %al */
    0xa2, 0x01, 0x00, /* mov %al, 1         write the device */
    0xf4,             /* hlt */
};

struct device {
    unsigned number;   /* what reading offset 0 gives */
    unsigned received; /* what was written to offset 1 */
};

static void must(int err, const char *what)
{
    if (err != 0) {
        fprintf(stderr, "kvm-guest: %s: %s\n", what, gmem_strerror(err));
        exit(1);
    }
}

/* The same for a system call, which says why in errno. */
static int must_sys(int ret, const char *what)
{
    if (ret < 0) {
        fprintf(stderr, "kvm-guest: %s: %s\n", what, strerror(errno));
        exit(1);
    }
    return ret;
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;

    (void)size, (void)attrs;
    *ret_value = offset == 0 ? device->number : 0;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    (void)size, (void)attrs;
    if (offset == 1)
        device->received = (unsigned)value;
    return GMEM_OK;
}

static gmem_result console_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static gmem_result console_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    putchar((int)value);
    return GMEM_OK;
}

static const struct gmem_mmio_ops device_ops = {.read = device_read, .write = device_write};
static const struct gmem_mmio_ops console_ops = {.read = console_read, .write = console_write, .valid = {.max = 1}};

/* Memory: RAM at 0 with the guest's program in it, the device at 0xa0000. */
static gmem_space *make_memory(gmem_vm *vm, struct device *device)
{
    gmem_region *root, *ram, *mmio;
    gmem_space *space;
    gmem_ram *block;

    must(gmem_ram_create_anon(vm, "ram", RAM_SIZE, &block), "making RAM");
    must(gmem_region_create_container(vm, "memory", GMEM_SIZE_ALL, NULL, &root), "making the memory");
    must(gmem_region_create_ram(vm, "ram", block, NULL, &ram), "making RAM");
    must(gmem_region_create_mmio(vm, "device", GMEM_SIZE(0x1000), &device_ops, device, NULL, &mmio),
         "making the device");
    must(gmem_region_add(root, 0, ram), "placing RAM");
    must(gmem_region_add(root, 0xa0000, mmio), "placing the device");
    must(gmem_space_create(vm, "memory", root, NULL, &space), "making the space");
    if (gmem_space_write(space, CODE_AT, GMEM_ATTRS_NONE, code, sizeof(code)) != GMEM_OK ||
        gmem_space_write(space, TEXT_AT, GMEM_ATTRS_NONE, "Hello, gmem!\n", 13) != GMEM_OK)
        must(-EIO, "writing the program");
    return space;
}

/* Ports: a console at 0x3f8. */
static gmem_space *make_ports(gmem_vm *vm)
{
    gmem_region *root, *port;
    gmem_space *space;

    must(gmem_region_create_container(vm, "ports", GMEM_SIZE(0x10000), NULL, &root), "making the ports");
    must(gmem_region_create_mmio(vm, "console", GMEM_SIZE(1), &console_ops, NULL, NULL, &port), "making the console");
    must(gmem_region_add(root, 0x3f8, port), "placing the console");
    must(gmem_space_create(vm, "ports", root, NULL, &space), "making the space");
    return space;
}

/* A processor in 16-bit real mode that will start at CODE_AT. */
static int make_processor(int kvm_fd, int vm_fd, struct kvm_run **ret_run)
{
    struct kvm_regs regs = {.rip = CODE_AT, .rflags = 2};
    struct kvm_sregs sregs;
    int fd, size;

    must_sys(ioctl(vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL), "KVM_SET_TSS_ADDR"); /* Intel's real mode needs it */
    fd = must_sys(ioctl(vm_fd, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    size = must_sys(ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    *ret_run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must_sys(*ret_run == MAP_FAILED ? -1 : 0, "mmap");
    must_sys(ioctl(fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    must_sys(ioctl(fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    must_sys(ioctl(fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
    return fd;
}

int main(void)
{
    struct gmem_kvm_options options = {.struct_size = sizeof(options), .priority = 10};
    struct device device = {.number = 41};
    int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm_fd = kvm_fd < 0 ? -1 : ioctl(kvm_fd, KVM_CREATE_VM, 0);
    gmem_space *memory, *ports;
    struct kvm_run *run;
    gmem_kvm *kvm;
    gmem_vm *vm;
    int cpu_fd, err;

    if (vm_fd < 0) {
        fprintf(stderr, "kvm-guest: can't use /dev/kvm: %s\n", strerror(errno));
        return 77;
    }
    must(gmem_vm_create(NULL, &vm), "making the vm");
    memory = make_memory(vm, &device);
    ports = make_ports(vm);
    options.vm_fd = vm_fd;
    must(gmem_kvm_create(memory, &options, &kvm), "making KVM's slots");
    cpu_fd = make_processor(kvm_fd, vm_fd, &run);

    do {
        must_sys(ioctl(cpu_fd, KVM_RUN, 0), "KVM_RUN");
        err = gmem_kvm_handle_exit(memory, ports, run, GMEM_ATTRS_NONE, NULL);
    } while (err == 0);

    printf("The guest ended with exit reason %u and the device was given %u.\n", run->exit_reason, device.received);
    gmem_kvm_destroy(kvm);
    gmem_vm_destroy(vm);
    return run->exit_reason == KVM_EXIT_HLT && device.received == 42 ? 0 : 1;
}
