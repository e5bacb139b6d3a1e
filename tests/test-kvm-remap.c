/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-remap.c - a running guest never notices a remap (G12): two vCPUs fill and check memory, and fetch their code from
 * it, while the host opens, closes and moves windows and overlays in the same slots, in 100,000 commits that each change slots.
 *
 * What may go wrong is counted: wrong words (by the guest), exits for memory, and vCPUs that KVM gives up. With pause and resume
 * there are none; without them there are, which shows that the test would see it.
 *
 * Guest physical memory, the same for both vCPUs but for the last two, which each has one of:
 *
 *   0x1000   code, also in a block `twin` that takes the place of RAM from time to time
 *   0x4000   a table of 16 KiB that is only read; one page of it has a twin
 *   0x8000   counters
 *   0x20000  16 pages, of which the guest fills and checks those of even number; in those of odd number are overlays
 *
 * Skipped, with the reason, where there is no usable /dev/kvm or the processor is no x86.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <gmem/gmem.h>
#include <gmem/kvm.h>

#include "random.h"

#if defined(__x86_64__)

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

#define KICK SIGUSR1
#define CPUS 2u
#define OVERLAYS 3u
#define PAGE 0x1000u
#define RAM_SIZE 0x100000u
#define CODE 0x1000u
#define TABLE 0x4000u
#define TABLE_SIZE 0x4000u
#define TABLE_TWIN 0x5000u
#define COUNTERS 0x8000u
#define DATA 0x20000u
#define DATA_SIZE 0x10000u

/*
 * 32 bits, without paging. ds: this vCPU's pages, es: its counters (dwords: rounds, wrong words, stop), fs: the table. In round
 * ebp, four words of each page of even number are filled and checked, and 16 of the table; each is its offset and the round.
 * Then port 0x80 is written.
 */
static const uint8_t code[] = {
    0x31, 0xed,                                     /* 00  xor ebp,ebp */
    0x45,                                           /* 02  inc ebp */
    0x89, 0xeb,                                     /* 03  mov ebx,ebp */
    0x81, 0xe3, 0xfe, 0x03, 0x00, 0x00,             /* 05  and ebx,0x3fe */
    0x89, 0xdf,                                     /* 0b  mov edi,ebx */
    0xb9, 0x04, 0x00, 0x00, 0x00,                   /* 0d  mov ecx,0x4 */
    0x89, 0xf8,                                     /* 12  mov eax,edi */
    0x31, 0xe8,                                     /* 14  xor eax,ebp */
    0x66, 0x89, 0x07,                               /* 16  mov [edi],ax */
    0x81, 0xc7, 0x00, 0x04, 0x00, 0x00,             /* 19  add edi,0x400 */
    0x49,                                           /* 1f  dec ecx */
    0x75, 0xf0,                                     /* 20  jne 12 */
    0x66, 0x81, 0xc7, 0x00, 0x10,                   /* 22  add di,0x1000 */
    0x66, 0xf7, 0xc7, 0x00, 0xf0,                   /* 27  test di,0xf000 */
    0x75, 0xdf,                                     /* 2c  jne d */
    0x89, 0xdf,                                     /* 2e  mov edi,ebx */
    0xb9, 0x04, 0x00, 0x00, 0x00,                   /* 30  mov ecx,0x4 */
    0x89, 0xf8,                                     /* 35  mov eax,edi */
    0x31, 0xe8,                                     /* 37  xor eax,ebp */
    0x66, 0x3b, 0x07,                               /* 39  cmp ax,[edi] */
    0x75, 0x4a,                                     /* 3c  jne 88 */
    0x81, 0xc7, 0x00, 0x04, 0x00, 0x00,             /* 3e  add edi,0x400 */
    0x49,                                           /* 44  dec ecx */
    0x75, 0xee,                                     /* 45  jne 35 */
    0x66, 0x81, 0xc7, 0x00, 0x10,                   /* 47  add di,0x1000 */
    0x66, 0xf7, 0xc7, 0x00, 0xf0,                   /* 4c  test di,0xf000 */
    0x75, 0xdd,                                     /* 51  jne 30 */
    0x89, 0xdf,                                     /* 53  mov edi,ebx */
    0x89, 0xf8,                                     /* 55  mov eax,edi */
    0x35, 0xa5, 0x5a, 0x00, 0x00,                   /* 57  xor eax,0x5aa5 */
    0x64, 0x66, 0x3b, 0x07,                         /* 5c  cmp ax,fs:[edi] */
    0x75, 0x2f,                                     /* 60  jne 91 */
    0x81, 0xc7, 0x00, 0x04, 0x00, 0x00,             /* 62  add edi,0x400 */
    0x81, 0xff, 0x00, 0x40, 0x00, 0x00,             /* 68  cmp edi,0x4000 */
    0x72, 0xe5,                                     /* 6e  jb 55 */
    0x26, 0xff, 0x05, 0x00, 0x00, 0x00, 0x00,       /* 70  inc dword es:0x0 */
    0xe6, 0x80,                                     /* 77  out 0x80,al */
    0x26, 0x80, 0x3d, 0x08, 0x00, 0x00, 0x00, 0x00, /* 79  cmp byte es:0x8,0x0 */
    0x0f, 0x84, 0x7b, 0xff, 0xff, 0xff,             /* 81  je 2 */
    0xf4,                                           /* 87  hlt */
    0x26, 0xff, 0x05, 0x04, 0x00, 0x00, 0x00,       /* 88  inc dword es:0x4 */
    0xeb, 0xad,                                     /* 8f  jmp 3e */
    0x26, 0xff, 0x05, 0x04, 0x00, 0x00, 0x00,       /* 91  inc dword es:0x4 */
    0xeb, 0xc8,                                     /* 98  jmp 62 */
};

struct machine;

struct cpu {
    struct machine *machine;
    unsigned index;
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    bool in_guest;
    unsigned mmio; /* exits */
    unsigned lost; /* 1: KVM gave it up, of this exit reason */
    uint32_t reason;
};

struct machine {
    int kvm_fd, vm_fd;
    size_t run_size;
    gmem_vm *vm;
    gmem_space *memory, *ports;
    gmem_kvm *kvm;
    gmem_region *ram, *window, *twin[2], *overlay[CPUS][OVERLAYS];
    uint8_t *host;
    struct cpu cpu[CPUS];
    pthread_mutex_t gate;
    pthread_cond_t changed;
    unsigned pausing;
    atomic_bool gone; /* a vCPU was given up, or exited for memory */
};

/* --- vCPUs, and holding them out --- */

static void pause_all(void *opaque)
{
    struct machine *machine = opaque;
    unsigned i;

    pthread_mutex_lock(&machine->gate);
    machine->pausing++;
    for (i = 0; i < CPUS; i++) {
        if (machine->cpu[i].in_guest)
            pthread_kill(machine->cpu[i].thread, KICK);
    }
    for (i = 0; i < CPUS; i++) {
        while (machine->cpu[i].in_guest)
            pthread_cond_wait(&machine->changed, &machine->gate);
    }
    pthread_mutex_unlock(&machine->gate);
}

static void resume_all(void *opaque)
{
    struct machine *machine = opaque;

    pthread_mutex_lock(&machine->gate);
    machine->pausing--;
    pthread_cond_broadcast(&machine->changed);
    pthread_mutex_unlock(&machine->gate);
}

/* KVM_RUN; a kick that was sent while it ran has ended it, and is used up. */
static int enter(struct cpu *cpu)
{
    static const struct timespec now = {0, 0};
    struct machine *machine = cpu->machine;
    sigset_t kick;
    int result;

    pthread_mutex_lock(&machine->gate);
    while (machine->pausing)
        pthread_cond_wait(&machine->changed, &machine->gate);
    cpu->in_guest = true;
    pthread_mutex_unlock(&machine->gate);
    result = ioctl(cpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    pthread_mutex_lock(&machine->gate);
    cpu->in_guest = false;
    pthread_cond_broadcast(&machine->changed);
    pthread_mutex_unlock(&machine->gate);
    sigemptyset(&kick);
    sigaddset(&kick, KICK);
    while (sigtimedwait(&kick, NULL, &now) >= 0) {
    }
    return result;
}

static void *run(void *opaque)
{
    struct cpu *cpu = opaque;
    struct machine *machine = cpu->machine;

    for (;;) {
        int err = enter(cpu);

        if (err == -EINTR || err == -EAGAIN)
            continue;
        cpu->reason = err ? 1000u + (unsigned)-err : cpu->run->exit_reason;
        if (!err && cpu->run->exit_reason == KVM_EXIT_HLT)
            return NULL;
        if (!err && cpu->run->exit_reason == KVM_EXIT_IO) {
            (void)usleep(100); /* the host has things to do */
            continue;
        }
        if (!err && cpu->run->exit_reason == KVM_EXIT_MMIO) {
            cpu->mmio++;
            err = gmem_kvm_handle_exit(machine->memory, machine->ports, cpu->run, GMEM_ATTRS_NONE, NULL);
            atomic_store(&machine->gone, true);
            if (!err)
                continue;
        }
        cpu->lost = 1;
        atomic_store(&machine->gone, true);
        return NULL;
    }
}

/* --- the machine --- */

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    *ret_value = UINT64_MAX;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static uint8_t *new_ram(struct machine *machine, const char *name, uint64_t size, gmem_region **ret_region)
{
    gmem_ram *ram;
    uint8_t *host;

    assert_int_equal(gmem_ram_create_anon(machine->vm, name, size, &ram), 0);
    assert_int_equal(gmem_region_create_ram(machine->vm, name, ram, NULL, ret_region), 0);
    host = gmem_ram_host(ram);
    gmem_ram_unref(ram);
    return host;
}

static void fill_low(uint8_t *at, uint64_t first)
{
    unsigned i;

    if (first == CODE)
        memcpy(at, code, sizeof(code));
    for (i = 0; i < PAGE && first >= TABLE; i += 2) {
        uint16_t word = (uint16_t)((first - TABLE + i) ^ 0x5aa5);

        memcpy(at + i, &word, sizeof(word));
    }
}

/* Overlays: a device, other memory, a read-only window on RAM. All are switched off, in odd pages. */
static void make_overlays(struct machine *machine, gmem_region *system)
{
    static const struct gmem_mmio_ops ops = {.read = device_read, .write = device_write};
    gmem_vm *vm = machine->vm;
    unsigned c, i;

    for (c = 0; c < CPUS; c++) {
        char name[32];
        gmem_region **overlay = machine->overlay[c];

        (void)snprintf(name, sizeof(name), "other%u", c);
        assert_int_equal(gmem_region_create_mmio(vm, "device", GMEM_SIZE(PAGE), &ops, NULL, NULL, &overlay[0]), 0);
        (void)new_ram(machine, name, PAGE, &overlay[1]);
        assert_int_equal(gmem_region_create_alias(vm, "hole", machine->ram, 0, GMEM_SIZE(PAGE), NULL, &overlay[2]), 0);
        assert_int_equal(gmem_region_set_readonly(overlay[2], true), 0);
        for (i = 0; i < OVERLAYS; i++) {
            assert_int_equal(gmem_region_set_enabled(overlay[i], false), 0);
            assert_int_equal(gmem_region_add_priority(system, DATA + c * DATA_SIZE + PAGE, overlay[i], 1 + (int)i), 0);
        }
    }
}

static void make_map(struct machine *machine)
{
    gmem_vm *vm = machine->vm;
    gmem_region *system, *io;
    unsigned i;

    assert_int_equal(gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &system), 0);
    assert_int_equal(gmem_region_create_container(vm, "io", GMEM_SIZE(0x10000), NULL, &io), 0);
    machine->host = new_ram(machine, "ram", RAM_SIZE, &machine->ram);
    fill_low(machine->host + CODE, CODE);
    for (i = 0; i < TABLE_SIZE; i += PAGE)
        fill_low(machine->host + TABLE + i, TABLE + i);
    assert_int_equal(gmem_region_add(system, 0, machine->ram), 0);
    /* As PAM's windows: the same RAM, now writable, now not. Of what the guest reads and fetches. */
    assert_int_equal(
        gmem_region_create_alias(vm, "window", machine->ram, 0, GMEM_SIZE(TABLE + TABLE_SIZE), NULL, &machine->window),
        0);
    assert_int_equal(gmem_region_add_priority(system, 0, machine->window, 1), 0);
    for (i = 0; i < 2; i++) {
        uint64_t at = i ? TABLE_TWIN : CODE;

        fill_low(new_ram(machine, i ? "table twin" : "code twin", PAGE, &machine->twin[i]), at);
        assert_int_equal(gmem_region_set_enabled(machine->twin[i], false), 0);
        assert_int_equal(gmem_region_add_priority(system, at, machine->twin[i], 2), 0);
    }
    make_overlays(machine, system);
    assert_int_equal(gmem_space_create(vm, "memory", system, NULL, &machine->memory), 0);
    assert_int_equal(gmem_space_create(vm, "I/O", io, NULL, &machine->ports), 0);
}

static void make_cpu(struct machine *machine, unsigned index)
{
    struct {
        struct kvm_signal_mask head;
        uint64_t blocked;
    } __attribute__((packed)) mask = {.head = {.len = 8}, .blocked = ~(1ull << (KICK - 1))};
    struct cpu *cpu = &machine->cpu[index];
    struct kvm_regs regs = {.rip = CODE, .rflags = 2, .rsp = 0xfff0};
    struct kvm_segment data = {.limit = UINT32_MAX, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_sregs sregs;

    cpu->machine = machine;
    cpu->index = index;
    cpu->fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
    assert_true(cpu->fd >= 0);
    cpu->run = mmap(NULL, machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
    assert_ptr_not_equal(cpu->run, MAP_FAILED);
    assert_int_equal(ioctl(cpu->fd, KVM_SET_SIGNAL_MASK, &mask), 0);
    assert_int_equal(ioctl(cpu->fd, KVM_GET_SREGS, &sregs), 0);
    sregs.cr0 |= 1; /* protected mode */
    sregs.ss = data;
    sregs.gs = data;
    data.base = DATA + index * DATA_SIZE;
    sregs.ds = data;
    data.base = COUNTERS + index * PAGE;
    sregs.es = data;
    data.base = TABLE;
    sregs.fs = data;
    data.base = 0;
    data.selector = 8;
    data.type = 11;
    sregs.cs = data;
    assert_int_equal(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), 0);
    assert_int_equal(ioctl(cpu->fd, KVM_SET_REGS, &regs), 0);
}

/* NULL, with a reason printed, where there is no KVM. */
static struct machine *machine_new(enum gmem_kvm_policy policy, uint32_t max_slots, bool pause)
{
    struct machine *machine = calloc(1, sizeof(*machine));
    struct gmem_kvm_options options = {.struct_size = sizeof(options),
                                       .policy = policy,
                                       .max_slots = max_slots,
                                       .priority = 10,
                                       .pause = pause ? pause_all : NULL,
                                       .resume = pause ? resume_all : NULL,
                                       .pause_opaque = machine};
    int size;
    unsigned i;

    assert_non_null(machine);
    machine->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    machine->vm_fd = machine->kvm_fd < 0 ? -1 : ioctl(machine->kvm_fd, KVM_CREATE_VM, 0);
    if (machine->vm_fd < 0) {
        print_message("no usable /dev/kvm: %s\n", strerror(errno));
        if (machine->kvm_fd >= 0)
            (void)close(machine->kvm_fd);
        free(machine);
        return NULL;
    }
    assert_int_equal(ioctl(machine->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL), 0);
    size = ioctl(machine->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    assert_true(size > 0);
    machine->run_size = (size_t)size;
    pthread_mutex_init(&machine->gate, NULL);
    pthread_cond_init(&machine->changed, NULL);
    assert_int_equal(gmem_vm_create(NULL, &machine->vm), 0);
    make_map(machine);
    options.vm_fd = machine->vm_fd;
    assert_int_equal(gmem_kvm_create(machine->memory, &options, &machine->kvm), 0);
    for (i = 0; i < CPUS; i++)
        make_cpu(machine, i);
    return machine;
}

static void machine_free(struct machine *machine)
{
    unsigned i;

    for (i = 0; i < CPUS; i++) {
        (void)munmap(machine->cpu[i].run, machine->run_size);
        (void)close(machine->cpu[i].fd);
    }
    gmem_kvm_destroy(machine->kvm);
    gmem_vm_destroy(machine->vm);
    (void)close(machine->vm_fd);
    (void)close(machine->kvm_fd);
    pthread_cond_destroy(&machine->changed);
    pthread_mutex_destroy(&machine->gate);
    free(machine);
}

static uint32_t counter(struct machine *machine, unsigned cpu, unsigned which)
{
    uint32_t *at = (uint32_t *)(void *)(machine->host + COUNTERS + cpu * PAGE + which * 4);

    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void start(struct machine *machine)
{
    sigset_t all, before;
    unsigned i;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&machine->cpu[i].thread, NULL, run, &machine->cpu[i]), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (i = 0; i < CPUS; i++) {
        while (counter(machine, i, 0) == 0 && !atomic_load(&machine->gone))
            (void)usleep(100);
    }
}

static void stop(struct machine *machine)
{
    unsigned i;

    for (i = 0; i < CPUS; i++) {
        __atomic_store_n(machine->host + COUNTERS + i * PAGE + 8, 1, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(machine->cpu[i].thread, NULL), 0);
    }
}

/* --- remapping --- */

/* Each is a commit that changes the map; and slots, unless what it moves is hidden or comes where it was. */
static void remap(struct machine *machine, struct random *random)
{
    unsigned what = (unsigned)random_below(random, 8);
    gmem_region *region = machine->overlay[random_below(random, CPUS)][random_below(random, OVERLAYS)];

    if (what < 2) {
        assert_int_equal(gmem_region_set_readonly(machine->window, !gmem_region_readonly(machine->window)), 0);
    } else if (what == 2) {
        region = machine->twin[random_below(random, 2)];
        assert_int_equal(gmem_region_set_enabled(region, !gmem_region_enabled(region)), 0);
    } else {
        unsigned cpu = 0;
        uint64_t page = 1 + 2 * random_below(random, 8);
        unsigned i;

        for (i = 0; i < OVERLAYS; i++) {
            if (machine->overlay[1][i] == region)
                cpu = 1;
        }
        assert_int_equal(gmem_vm_begin(machine->vm), 0);
        if (what > 5 || !gmem_region_enabled(region))
            assert_int_equal(gmem_region_set_enabled(region, !gmem_region_enabled(region)), 0);
        assert_int_equal(gmem_region_move(region, DATA + cpu * DATA_SIZE + page * PAGE), 0);
        assert_int_equal(gmem_vm_commit(machine->vm), 0);
    }
}

/* Both get on. */
static void wait_for_a_round(struct machine *machine)
{
    unsigned i;

    for (i = 0; i < CPUS; i++) {
        uint32_t before = counter(machine, i, 0);

        while (counter(machine, i, 0) == before && !atomic_load(&machine->gone))
            (void)usleep(50);
    }
}

static uint64_t calls_of(struct machine *machine)
{
    struct gmem_kvm_stats stats;

    gmem_kvm_stats(machine->kvm, &stats);
    return stats.calls;
}

/* commits: that change slots. */
static void remap_while_running(enum gmem_kvm_policy policy, uint32_t max_slots, unsigned commits)
{
    struct machine *machine = machine_new(policy, max_slots, true);
    struct random random;
    struct gmem_kvm_stats stats;
    unsigned i, changed = 0;
    uint64_t calls;

    if (!machine)
        skip();
    random = random_start("remap", 0x72656d61);
    start(machine);
    calls = calls_of(machine);
    for (i = 0; changed < commits && !atomic_load(&machine->gone); i++) {
        remap(machine, &random);
        changed += calls_of(machine) != calls;
        calls = calls_of(machine);
        assert_true(i < 2 * commits);
        if (i % 400 == 0)
            wait_for_a_round(machine);
    }
    stop(machine);
    gmem_kvm_stats(machine->kvm, &stats);
    print_message("# %u commits, %u of them with calls: %llu calls, %llu removals, %llu pauses, the longest %llu us; "
                  "rounds %u and %u\n",
                  i, changed, (unsigned long long)stats.calls, (unsigned long long)stats.removals,
                  (unsigned long long)stats.pauses, (unsigned long long)stats.pause_ns_max / 1000,
                  counter(machine, 0, 0), counter(machine, 1, 0));
    for (i = 0; i < CPUS; i++) {
        assert_int_equal(machine->cpu[i].lost, 0);
        assert_int_equal(machine->cpu[i].mmio, 0);
        assert_int_equal(counter(machine, i, 1), 0);
        assert_true(counter(machine, i, 0) > commits / 400);
    }
    assert_int_equal(changed, commits);
    assert_true(stats.pauses > commits / 10);
    assert_int_equal(stats.failed, 0);
    machine_free(machine);
}

/*
 * keep with no more slots than the map needs at its worst: what was cut must be merged again, so that also the pages that
 * are written are cut all the time.
 */
static void test_keep(void **state)
{
    (void)state;
    remap_while_running(GMEM_KVM_POLICY_KEEP, 16, UNDER_TSAN ? 5000 : 100000);
}

static void test_reference(void **state)
{
    (void)state;
    remap_while_running(GMEM_KVM_POLICY_REFERENCE, 0, UNDER_TSAN ? 500 : 5000);
}

/* Without pause something goes wrong, and is seen: an exit for memory, or a fetch that KVM can't make. */
static void test_without_pause(void **state)
{
    struct machine *machine = machine_new(GMEM_KVM_POLICY_KEEP, 16, false);
    struct random random;
    struct gmem_kvm_stats stats;
    unsigned i;

    (void)state;
    if (!machine)
        skip();
    random = random_start("remap without pause", 0x72656d61);
    start(machine);
    for (i = 0; i < 100000 && !atomic_load(&machine->gone); i++)
        remap(machine, &random);
    stop(machine);
    gmem_kvm_stats(machine->kvm, &stats);
    print_message("# after %u commits: exits for memory %u and %u, given up %u (%u) and %u (%u)\n", i,
                  machine->cpu[0].mmio, machine->cpu[1].mmio, machine->cpu[0].lost, machine->cpu[0].reason,
                  machine->cpu[1].lost, machine->cpu[1].reason);
    assert_true(atomic_load(&machine->gone));
    assert_int_equal(stats.pauses, 0);
    machine_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_without_pause),
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
