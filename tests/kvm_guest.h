/* SPDX-License-Identifier: MIT */
/*
 * kvm_guest.h - a guest on the real /dev/kvm for tests: a map, an adapter, some vCPUs in real mode, and threads that drive them.
 *
 * vCPUs run code that the test brings as bytes, until hlt. Their threads can be kept out of the guest (guest_pause(),
 * guest_resume(), which nest), as a monitor's are.
 *
 * Include after cmocka.h. x86 only.
 */
#ifndef GMEM_TESTS_KVM_GUEST_H
#define GMEM_TESTS_KVM_GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmem/gmem.h>
#include <gmem/kvm.h>
#include <gmem/kvm_dirty.h>
#include <gmem/kvm_events.h>

#define GUEST_CPUS 2u
#define GUEST_CODE 0x1000u

struct guest;

struct guest_cpu {
    struct guest *guest;
    int fd;
    struct kvm_run *run;
    size_t run_size;
    pthread_t thread;
    bool in_guest;
    unsigned exits;   /* for memory and ports */
    unsigned full;    /* KVM_EXIT_DIRTY_RING_FULL */
    uint32_t stopped; /* the exit reason that ended it, or UINT32_MAX */
};

struct guest {
    int kvm_fd, vm_fd;
    gmem_vm *vm;
    gmem_region *system, *io, *low;
    gmem_space *memory, *ports;
    gmem_kvm *kvm;
    gmem_kvm_coalesced *coalesced; /* if not NULL, exits go through it */
    gmem_kvm_ring *ring;
    struct guest_cpu cpu[GUEST_CPUS];
    unsigned cpus;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned paused;
    unsigned pauses;
};

static void guest_on_kick(int number)
{
    (void)number;
}

static void guest_close(struct guest *guest)
{
    if (guest->vm_fd >= 0)
        (void)close(guest->vm_fd);
    if (guest->kvm_fd >= 0)
        (void)close(guest->kvm_fd);
    pthread_cond_destroy(&guest->changed);
    pthread_mutex_destroy(&guest->lock);
    free(guest);
}

static gmem_region *guest_ram(struct guest *guest, const char *name, uint64_t size)
{
    gmem_region *region;
    gmem_ram *ram;

    assert_int_equal(gmem_ram_create_anon(guest->vm, name, size, &ram), 0);
    assert_int_equal(gmem_region_create_ram(guest->vm, name, ram, NULL, &region), 0);
    gmem_ram_unref(ram);
    return region;
}

static uint8_t *guest_host(gmem_region *region)
{
    return gmem_ram_host(gmem_region_ram(region));
}

/* 64 KiB of RAM at 0 and nothing else, without vCPUs; NULL, with the reason printed, where there is no KVM. */
static struct guest *guest_new(void)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    struct gmem_kvm_options options = {.struct_size = sizeof(options), .priority = 10};

    assert_non_null(guest);
    pthread_mutex_init(&guest->lock, NULL);
    pthread_cond_init(&guest->changed, NULL);
    guest->vm_fd = -1;
    guest->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (guest->kvm_fd >= 0)
        guest->vm_fd = ioctl(guest->kvm_fd, KVM_CREATE_VM, 0);
    if (guest->vm_fd < 0) {
        print_message("no usable /dev/kvm: %s\n", strerror(errno));
        guest_close(guest);
        return NULL;
    }
    /* Where Intel's processors keep what they need for real mode. */
    assert_int_equal(ioctl(guest->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL), 0);
    assert_int_equal(gmem_vm_create(NULL, &guest->vm), 0);
    assert_int_equal(gmem_region_create_container(guest->vm, "system", GMEM_SIZE_ALL, NULL, &guest->system), 0);
    assert_int_equal(gmem_region_create_container(guest->vm, "io", GMEM_SIZE(0x10000), NULL, &guest->io), 0);
    guest->low = guest_ram(guest, "low", 0x10000);
    assert_int_equal(gmem_region_add(guest->system, 0, guest->low), 0);
    assert_int_equal(gmem_space_create(guest->vm, "memory", guest->system, NULL, &guest->memory), 0);
    assert_int_equal(gmem_space_create(guest->vm, "ports", guest->io, NULL, &guest->ports), 0);
    options.vm_fd = guest->vm_fd;
    assert_int_equal(gmem_kvm_create(guest->memory, &options, &guest->kvm), 0);
    return guest;
}

static bool guest_has(const struct guest *guest, unsigned long capability, const char *name)
{
    if (ioctl(guest->vm_fd, KVM_CHECK_EXTENSION, capability) > 0)
        return true;
    print_message("the kernel has no %s\n", name);
    return false;
}

static void guest_add_cpus(struct guest *guest, unsigned count)
{
    struct sigaction kick = {.sa_handler = guest_on_kick};
    int size = ioctl(guest->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    unsigned i;

    assert_true(size > 0);
    assert_int_equal(sigaction(SIGUSR1, &kick, NULL), 0);
    for (i = 0; i < count; i++) {
        struct guest_cpu *cpu = &guest->cpu[i];

        cpu->guest = guest;
        cpu->fd = ioctl(guest->vm_fd, KVM_CREATE_VCPU, (unsigned long)i);
        assert_true(cpu->fd >= 0);
        cpu->run_size = (size_t)size;
        cpu->run = mmap(NULL, cpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
        assert_ptr_not_equal(cpu->run, MAP_FAILED);
        if (guest->coalesced)
            assert_int_equal(gmem_kvm_coalesced_add_vcpu(guest->coalesced, cpu->fd), 0);
        if (guest->ring)
            assert_int_equal(gmem_kvm_ring_add_vcpu(guest->ring, cpu->fd), 0);
    }
    guest->cpus = count;
}

/* After everything that the test attached, but the ring and what is coalesced, which end here. */
static void guest_free(struct guest *guest)
{
    unsigned i;

    for (i = 0; i < guest->cpus; i++) {
        if (guest->ring)
            gmem_kvm_ring_remove_vcpu(guest->ring, guest->cpu[i].fd);
        (void)munmap(guest->cpu[i].run, guest->cpu[i].run_size);
        (void)close(guest->cpu[i].fd);
    }
    gmem_kvm_coalesced_destroy(guest->coalesced);
    gmem_kvm_destroy(guest->kvm);
    gmem_kvm_ring_destroy(guest->ring);
    gmem_vm_destroy(guest->vm);
    guest_close(guest);
}

/* Put code where the vCPUs begin. */
static void guest_load(struct guest *guest, const void *code, const void *end)
{
    memcpy(guest_host(guest->low) + GUEST_CODE, code, (size_t)((const uint8_t *)end - (const uint8_t *)code));
}

/* A vCPU begins the code in real mode with these registers. */
static inline void guest_start_at(struct guest_cpu *cpu, uint64_t rbx, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    struct kvm_regs regs = {
        .rip = GUEST_CODE, .rflags = 2, .rsp = 0xfff0, .rbx = rbx, .rcx = rcx, .rsi = rsi, .rdi = rdi};
    struct kvm_sregs sregs;

    assert_int_equal(ioctl(cpu->fd, KVM_GET_SREGS, &sregs), 0);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    sregs.ds.base = 0;
    sregs.ds.selector = 0;
    assert_int_equal(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), 0);
    assert_int_equal(ioctl(cpu->fd, KVM_SET_REGS, &regs), 0);
}

/* The same in protected mode, segments flat. */
static inline void guest_start_flat(struct guest_cpu *cpu, const struct kvm_regs *registers)
{
    struct kvm_segment flat = {.limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
    struct kvm_regs regs = *registers;
    struct kvm_sregs sregs;

    assert_int_equal(ioctl(cpu->fd, KVM_GET_SREGS, &sregs), 0);
    sregs.cr0 |= 1;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
    flat.selector = 8;
    flat.type = 11;
    sregs.cs = flat;
    regs.rip = GUEST_CODE;
    regs.rflags = 2;
    regs.rsp = 0xfff0;
    assert_int_equal(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), 0);
    assert_int_equal(ioctl(cpu->fd, KVM_SET_REGS, &regs), 0);
}

static void guest_enter(struct guest_cpu *cpu)
{
    struct guest *guest = cpu->guest;

    pthread_mutex_lock(&guest->lock);
    while (guest->paused)
        pthread_cond_wait(&guest->changed, &guest->lock);
    __atomic_store_n(&cpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
    cpu->in_guest = true;
    pthread_mutex_unlock(&guest->lock);
}

static void guest_leave(struct guest_cpu *cpu)
{
    struct guest *guest = cpu->guest;

    pthread_mutex_lock(&guest->lock);
    cpu->in_guest = false;
    pthread_cond_broadcast(&guest->changed);
    pthread_mutex_unlock(&guest->lock);
}

static int guest_serve(struct guest_cpu *cpu)
{
    struct guest *guest = cpu->guest;

    if (cpu->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL && guest->ring) {
        cpu->full++;
        return gmem_kvm_ring_serve_full(guest->ring, cpu->fd);
    }
    cpu->exits += cpu->run->exit_reason == KVM_EXIT_MMIO || cpu->run->exit_reason == KVM_EXIT_IO;
    if (guest->coalesced)
        return gmem_kvm_coalesced_handle_exit(guest->coalesced, guest->memory, guest->ports, cpu->run, GMEM_ATTRS_NONE,
                                              NULL);
    return gmem_kvm_handle_exit(guest->memory, guest->ports, cpu->run, GMEM_ATTRS_NONE, NULL);
}

/* Run until an exit that is not served: hlt, if all is well. */
static void *guest_run(void *opaque)
{
    struct guest_cpu *cpu = opaque;
    int ran, why, err = 0;

    __atomic_store_n(&cpu->stopped, UINT32_MAX, __ATOMIC_RELAXED);
    while (!err) {
        guest_enter(cpu);
        ran = ioctl(cpu->fd, KVM_RUN, 0);
        why = errno;
        guest_leave(cpu);
        if (ran < 0 && why != EINTR)
            return NULL;
        if (ran == 0)
            err = guest_serve(cpu);
    }
    if (err == -ENOTSUP)
        __atomic_store_n(&cpu->stopped, cpu->run->exit_reason, __ATOMIC_RELAXED);
    return NULL;
}

static inline void guest_start(struct guest_cpu *cpu)
{
    cpu->stopped = UINT32_MAX;
    assert_int_equal(pthread_create(&cpu->thread, NULL, guest_run, cpu), 0);
}

static inline bool guest_halted(const struct guest_cpu *cpu)
{
    return __atomic_load_n(&cpu->stopped, __ATOMIC_RELAXED) == KVM_EXIT_HLT;
}

static inline void guest_join(struct guest_cpu *cpu)
{
    assert_int_equal(pthread_join(cpu->thread, NULL), 0);
    assert_int_equal(cpu->stopped, KVM_EXIT_HLT);
}

/* Run one vCPU on this thread. */
static inline void guest_do(struct guest_cpu *cpu)
{
    (void)guest_run(cpu);
    assert_int_equal(cpu->stopped, KVM_EXIT_HLT);
}

/* No vCPU is in the guest afterwards, and none enters until guest_resume(). Nests. */
static inline void guest_pause(void *opaque)
{
    struct guest *guest = opaque;
    unsigned i;

    pthread_mutex_lock(&guest->lock);
    guest->paused++;
    guest->pauses++;
    for (i = 0; i < guest->cpus; i++) {
        struct guest_cpu *cpu = &guest->cpu[i];

        if (!cpu->in_guest)
            continue;
        __atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
        (void)pthread_kill(cpu->thread, SIGUSR1);
        while (cpu->in_guest)
            pthread_cond_wait(&guest->changed, &guest->lock);
    }
    pthread_mutex_unlock(&guest->lock);
}

static inline void guest_resume(void *opaque)
{
    struct guest *guest = opaque;

    pthread_mutex_lock(&guest->lock);
    guest->paused--;
    pthread_cond_broadcast(&guest->changed);
    pthread_mutex_unlock(&guest->lock);
}

#endif
