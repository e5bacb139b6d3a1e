/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-events-real.c - ioeventfds and coalesced writes with /dev/kvm: what a guest's own instructions hit.
 *
 * Skipped, with the reason, where there is no usable /dev/kvm, the kernel lacks something, or the processor is no x86.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#if defined(__x86_64__)

#include "kvm_guest.h"
#include <sys/eventfd.h>

#define DEVICE 0xa0000u
#define ELSEWHERE 0xb0000u
#define PORT 0x300u

/* Code for real mode. gas: the assembler of the C compiler knows it too. */
extern const uint8_t widths[], widths_end[], spin[], spin_end[], burst[], burst_end[];
__asm__(".pushsection .rodata\n"
        ".code16\n"
        /* each width, to memory at ds:si and to port 0x300 */
        "widths: movw %si, %ds\n"
        "  movb $0x11, 0x10\n"
        "  movw $0x2222, 0x10\n"
        "  movl $0x44444444, 0x10\n"
        "  movl $0x12345678, %cs:0x4000\n"
        "  movl $0x9abcdef0, %cs:0x4004\n"
        "  movq %cs:0x4000, %mm0\n"
        "  movq %mm0, 0x10\n"
        "  movw $0x300, %dx\n"
        "  movb $0x11, %al\n"
        "  outb %al, %dx\n"
        "  movw $0x2222, %ax\n"
        "  outw %ax, %dx\n"
        "  movl $0x44444444, %eax\n"
        "  outl %eax, %dx\n"
        "  hlt\n"
        "widths_end:\n"
        /* a word to 0xa0010 and 0xb0010 until cs:0x4000 says no more; rounds are counted at cs:0x4008 */
        "spin: movw $0xa000, %ax\n"
        "  movw %ax, %ds\n"
        "  movw $0xb000, %ax\n"
        "  movw %ax, %es\n"
        "1: movw $1, 0x10\n"
        "  movw $1, %es:0x10\n"
        "  incl %cs:0x4008\n"
        "  cmpb $0, %cs:0x4000\n"
        "  je 1b\n"
        "  hlt\n"
        "spin_end:\n"
        /* cx numbers to memory and as many to ports, by turns; then one read each. ebx counts. */
        "burst: movw %si, %ds\n"
        "  movw $0x304, %dx\n"
        "2: movl %ebx, 0x20\n"
        "  incl %ebx\n"
        "  movl %ebx, %eax\n"
        "  outl %eax, %dx\n"
        "  incl %ebx\n"
        "  decw %cx\n"
        "  jnz 2b\n"
        "  testw %di, %di\n"
        "  jnz 3f\n"
        "  movl 0x30, %eax\n"
        "  movl %eax, %cs:0x4010\n"
        "  hlt\n"
        "3: movw $0x308, %dx\n"
        "  inl %dx, %eax\n"
        "  movl %eax, %cs:0x4010\n"
        "  hlt\n"
        "burst_end:\n"
        ".code64\n"
        ".popsection\n");

/* What a device heard: each write's value, in order, and what it was before a read. */
struct heard {
    struct guest *guest;
    pthread_mutex_t
        lock; /* as devices have; also because that threads follow each other through the kernel is seen by no tool */
    gmem_space *touched; /* its write callback accesses this one's coalesced memory */
    uint64_t value[4096];
    unsigned count;
    unsigned total;   /* count, and those that there was no room for */
    unsigned at_read; /* count when it was read */
    unsigned depth, deepest;
};

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct heard *heard = opaque;

    (void)offset, (void)size, (void)attrs;
    pthread_mutex_lock(&heard->lock);
    heard->at_read = heard->count;
    *ret_value = heard->count;
    pthread_mutex_unlock(&heard->lock);
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct heard *heard = opaque;

    (void)offset, (void)size, (void)attrs;
    pthread_mutex_lock(&heard->lock);
    heard->depth++;
    heard->total++;
    heard->deepest = heard->depth > heard->deepest ? heard->depth : heard->deepest;
    if (heard->count < 4096)
        heard->value[heard->count++] = value;
    pthread_mutex_unlock(&heard->lock);
    /* What is behind this one in the ring comes after it. */
    if (heard->touched)
        gmem_kvm_coalesced_flush(heard->guest->coalesced);
    pthread_mutex_lock(&heard->lock);
    heard->depth--;
    pthread_mutex_unlock(&heard->lock);
    return GMEM_OK;
}

static const struct gmem_mmio_ops ops = {.read = device_read, .write = device_write, .endian = GMEM_ENDIAN_LITTLE};

/* Begin to listen anew. */
static void forget(struct heard *heard)
{
    pthread_mutex_lock(&heard->lock);
    heard->count = 0;
    heard->at_read = 0;
    pthread_mutex_unlock(&heard->lock);
}

struct machine {
    struct guest *guest;
    gmem_region *device, *port;
    struct heard memory, ports;
    gmem_kvm_eventfds *eventfds[2]; /* memory, ports */
};

static gmem_region *add_device(struct guest *guest, gmem_region *container, uint64_t at, uint64_t size,
                               struct heard *heard)
{
    gmem_region *region;

    heard->guest = guest;
    assert_int_equal(gmem_region_create_mmio(guest->vm, "device", GMEM_SIZE(size), &ops, heard, NULL, &region), 0);
    assert_int_equal(gmem_region_add(container, at, region), 0);
    return region;
}

/* ports and memory share one log where the order between them matters */
static struct machine *machine_new(bool one_log)
{
    struct machine *machine = calloc(1, sizeof(*machine));

    assert_non_null(machine);
    pthread_mutex_init(&machine->memory.lock, NULL);
    pthread_mutex_init(&machine->ports.lock, NULL);
    machine->guest = guest_new();
    if (!machine->guest) {
        free(machine);
        return NULL;
    }
    machine->device = add_device(machine->guest, machine->guest->system, DEVICE, 0x1000, &machine->memory);
    machine->port =
        add_device(machine->guest, machine->guest->io, PORT, 16, one_log ? &machine->memory : &machine->ports);
    return machine;
}

static void machine_free(struct machine *machine)
{
    gmem_kvm_eventfds_destroy(machine->eventfds[0]);
    gmem_kvm_eventfds_destroy(machine->eventfds[1]);
    guest_free(machine->guest);
    pthread_mutex_destroy(&machine->memory.lock);
    pthread_mutex_destroy(&machine->ports.lock);
    free(machine);
}

static void listen_for_eventfds(struct machine *machine)
{
    struct gmem_kvm_eventfds_options options = {.struct_size = sizeof(options), .vm_fd = machine->guest->vm_fd};

    assert_int_equal(gmem_kvm_eventfds_create(machine->guest->memory, &options, &machine->eventfds[0]), 0);
    options.ports = true;
    assert_int_equal(gmem_kvm_eventfds_create(machine->guest->ports, &options, &machine->eventfds[1]), 0);
}

/* How often an eventfd was signalled since the last time. */
static uint64_t signals(int fd)
{
    uint64_t value;

    return read(fd, &value, sizeof(value)) == (ssize_t)sizeof(value) ? value : 0;
}

static int eventfd_new(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static struct gmem_eventfd new_eventfd(uint64_t offset, uint8_t size)
{
    struct gmem_eventfd eventfd = {.offset = offset, .size = size, .fd = eventfd_new()};

    return eventfd;
}

#define MACHINE_OR_SKIP(name, one_log, capability)                                                                     \
    struct machine *name = machine_new(one_log);                                                                       \
    (void)state;                                                                                                       \
    if (!name)                                                                                                         \
        skip();                                                                                                        \
    if (!guest_has(name->guest, capability, #capability)) {                                                            \
        machine_free(name);                                                                                            \
        skip();                                                                                                        \
    }

static void run_widths(struct machine *machine)
{
    guest_load(machine->guest, widths, widths_end);
    guest_start_at(&machine->guest->cpu[0], 0, 0, DEVICE / 16, 0);
    forget(&machine->memory);
    forget(&machine->ports);
    machine->guest->cpu[0].exits = 0;
    guest_do(&machine->guest->cpu[0]);
}

/* Each width hits the eventfd of its width; what has none exits to the device. */
static void test_widths(void **state)
{
    static const uint8_t sizes[] = {1, 2, 4, 8};
    MACHINE_OR_SKIP(machine, false, KVM_CAP_IOEVENTFD)
    struct gmem_eventfd memory[4], ports[3];
    unsigned i, without;

    guest_add_cpus(machine->guest, 1);
    listen_for_eventfds(machine);
    for (i = 0; i < 4; i++) {
        memory[i] = new_eventfd(0x10, sizes[i]);
        assert_int_equal(gmem_region_add_eventfd(machine->device, &memory[i]), 0);
        if (i == 3)
            break;
        ports[i] = new_eventfd(0, sizes[i]);
        assert_int_equal(gmem_region_add_eventfd(machine->port, &ports[i]), 0);
    }
    assert_int_equal(gmem_kvm_eventfds_count(machine->eventfds[0], NULL), 4);
    assert_int_equal(gmem_kvm_eventfds_count(machine->eventfds[1], NULL), 3);
    run_widths(machine);
    assert_int_equal(machine->guest->cpu[0].exits, 0);
    for (i = 0; i < 4; i++) {
        assert_int_equal(signals(memory[i].fd), 1);
        if (i < 3)
            assert_int_equal(signals(ports[i].fd), 1);
    }
    for (without = 0; without < 3; without++) {
        static const uint64_t values[] = {0x11, 0x2222, 0x44444444};

        assert_int_equal(gmem_region_del_eventfd(machine->device, &memory[without]), 0);
        assert_int_equal(gmem_region_del_eventfd(machine->port, &ports[without]), 0);
        run_widths(machine);
        assert_int_equal(machine->memory.count, 1);
        assert_int_equal(machine->memory.value[0], values[without]);
        assert_int_equal(machine->ports.count, 1);
        assert_int_equal(machine->ports.value[0], values[without]);
        for (i = 0; i < 4; i++) {
            assert_int_equal(signals(memory[i].fd), i != without);
            if (i < 3)
                assert_int_equal(signals(ports[i].fd), i != without);
        }
        assert_int_equal(gmem_region_add_eventfd(machine->device, &memory[without]), 0);
        assert_int_equal(gmem_region_add_eventfd(machine->port, &ports[without]), 0);
    }
    for (i = 0; i < 4; i++)
        (void)close(memory[i].fd);
    for (i = 0; i < 3; i++)
        (void)close(ports[i].fd);
    machine_free(machine);
}

/* Only the value that matches signals; the others exit. */
static void test_datamatch(void **state)
{
    static const uint64_t hits[] = {0x11, 0x2222, 0x44444444, UINT64_C(0x9abcdef012345678)};
    static const uint8_t sizes[] = {1, 2, 4, 8};
    MACHINE_OR_SKIP(machine, false, KVM_CAP_IOEVENTFD)
    struct gmem_eventfd eventfd, miss;
    unsigned i;

    guest_add_cpus(machine->guest, 1);
    listen_for_eventfds(machine);
    for (i = 0; i < 4; i++) {
        gmem_region *region = i % 2 ? machine->port : machine->device;

        if (sizes[i] == 8)
            region = machine->device;
        eventfd = new_eventfd(region == machine->device ? 0x10 : 0, sizes[i]);
        eventfd.match = true;
        eventfd.data = hits[i];
        miss = eventfd;
        miss.fd = eventfd_new();
        miss.data ^= 1;
        assert_int_equal(gmem_region_add_eventfd(region, &eventfd), 0);
        assert_int_equal(gmem_region_add_eventfd(region, &miss), 0);
        run_widths(machine);
        assert_int_equal(signals(eventfd.fd), 1);
        assert_int_equal(signals(miss.fd), 0);
        assert_int_equal(machine->guest->cpu[0].exits, 6);
        assert_int_equal(gmem_region_del_eventfd(region, &eventfd), 0);
        run_widths(machine);
        assert_int_equal(signals(eventfd.fd), 0);
        assert_int_equal(signals(miss.fd), 0);
        assert_int_equal(machine->guest->cpu[0].exits, 7);
        assert_int_equal(gmem_region_del_eventfd(region, &miss), 0);
        (void)close(eventfd.fd);
        (void)close(miss.fd);
    }
    machine_free(machine);
}

/* No width: every write there. */
static void test_any_length(void **state)
{
    MACHINE_OR_SKIP(machine, false, KVM_CAP_IOEVENTFD_ANY_LENGTH)
    struct gmem_eventfd memory = new_eventfd(0x10, 0), ports = new_eventfd(0, 0);

    guest_add_cpus(machine->guest, 1);
    listen_for_eventfds(machine);
    assert_int_equal(gmem_region_add_eventfd(machine->device, &memory), 0);
    assert_int_equal(gmem_region_add_eventfd(machine->port, &ports), 0);
    run_widths(machine);
    assert_int_equal(signals(memory.fd), 4);
    assert_int_equal(signals(ports.fd), 3);
    assert_int_equal(machine->guest->cpu[0].exits, 0);
    (void)close(memory.fd);
    (void)close(ports.fd);
    machine_free(machine);
}

/*
 * The region moves while the guest writes at both places: wherever it is the eventfd is, and every write hits it, reaches the
 * device, or finds nothing there.
 */
static void test_moved_while_running(void **state)
{
    MACHINE_OR_SKIP(machine, false, KVM_CAP_IOEVENTFD)
    struct gmem_eventfd eventfd = new_eventfd(0x10, 2);
    uint8_t *data = guest_host(machine->guest->low) + 0x4000;
    struct guest_cpu *cpu = &machine->guest->cpu[0];
    uint32_t *rounds = (uint32_t *)(void *)(data + 8), seen;
    uint64_t hits = 0;
    unsigned i;

    guest_add_cpus(machine->guest, 1);
    listen_for_eventfds(machine);
    assert_int_equal(gmem_region_add_eventfd(machine->device, &eventfd), 0);
    guest_load(machine->guest, spin, spin_end);
    guest_start_at(cpu, 0, 0, 0, 0);
    guest_start(cpu);
    for (i = 0; i < 60; i++) {
        uint64_t here;

        assert_int_equal(gmem_region_move(machine->device, i % 2 ? DEVICE : ELSEWHERE), 0);
        assert_int_equal(gmem_kvm_eventfds_count(machine->eventfds[0], NULL), 1);
        /* The guest goes on, and hits it where it is now: at least the second round from here is wholly after the move. */
        hits += signals(eventfd.fd);
        seen = __atomic_load_n(rounds, __ATOMIC_ACQUIRE);
        while (__atomic_load_n(rounds, __ATOMIC_ACQUIRE) - seen < 3)
            (void)sched_yield();
        here = signals(eventfd.fd);
        assert_true(here >= 2);
        hits += here;
    }
    __atomic_store_n(data, 1, __ATOMIC_RELAXED);
    guest_join(cpu);
    hits += signals(eventfd.fd);
    /* Two writes a round, of which one finds it, but for those in flight while it moved. */
    seen = *rounds;
    assert_in_range(hits + machine->memory.total, seen - 400, seen + 400);
    (void)close(eventfd.fd);
    machine_free(machine);
}

/* --- coalesced --- */

static void coalesce(struct machine *machine)
{
    struct gmem_kvm_coalesced_options options = {.struct_size = sizeof(options), .vm_fd = machine->guest->vm_fd};

    assert_int_equal(
        gmem_kvm_coalesced_create(machine->guest->memory, machine->guest->ports, &options, &machine->guest->coalesced),
        0);
    assert_int_equal(gmem_region_add_coalesced(machine->device, 0x20, 0x23), 0);
    assert_int_equal(gmem_region_add_coalesced(machine->port, 4, 7), 0);
}

/* The kernel's limit, which it has for both together, is an error of the commit, which is undone. */
static void test_no_room(void **state)
{
    MACHINE_OR_SKIP(machine, true, KVM_CAP_COALESCED_MMIO)
    struct gmem_eventfd eventfd = new_eventfd(0xffc, 4);
    struct gmem_kvm_coalesced_stats stats, now;
    gmem_region *window;
    char why[512];
    unsigned i;
    int err = 0;

    coalesce(machine);
    guest_add_cpus(machine->guest, 1);
    listen_for_eventfds(machine);
    for (i = 0; i < 0xff0 && !err; i += 2)
        err = gmem_region_add_coalesced(machine->device, i, i);
    assert_int_equal(err, -ENOSPC);
    assert_int_equal(gmem_vm_reason(machine->guest->vm, why, sizeof(why)), -ENOSPC);
    assert_non_null(strstr(why, "coalesced_add"));
    gmem_kvm_coalesced_stats(machine->guest->coalesced, &stats);
    assert_in_range(stats.intervals, 100, 2000);
    assert_int_equal(gmem_region_add_eventfd(machine->device, &eventfd), -ENOSPC);
    assert_int_equal(gmem_vm_reason(machine->guest->vm, why, sizeof(why)), -ENOSPC);
    assert_non_null(strstr(why, "eventfd_add"));
    assert_int_equal(gmem_kvm_eventfds_count(machine->eventfds[0], NULL), 0);
    /* All of them move. Twice as many do not fit: the window is refused, and what was there stays. */
    assert_int_equal(gmem_region_move(machine->device, ELSEWHERE), 0);
    assert_int_equal(
        gmem_region_create_alias(machine->guest->vm, "window", machine->device, 0, GMEM_SIZE(0x1000), NULL, &window),
        0);
    assert_int_equal(gmem_region_add(machine->guest->system, DEVICE, window), -ENOSPC);
    gmem_kvm_coalesced_stats(machine->guest->coalesced, &now);
    assert_int_equal(now.intervals, stats.intervals);
    assert_int_equal(now.missing, 0);
    gmem_region_unref(window);
    (void)close(eventfd.fd);
    machine_free(machine);
}

static void run_burst(struct machine *machine, unsigned count, bool read_port)
{
    guest_load(machine->guest, burst, burst_end);
    guest_start_at(&machine->guest->cpu[0], 0, count, DEVICE / 16, read_port);
    forget(&machine->memory);
    machine->guest->cpu[0].exits = 0;
    guest_do(&machine->guest->cpu[0]);
}

static void check_burst(const struct machine *machine, unsigned count)
{
    unsigned i;

    assert_int_equal(machine->memory.count, 2 * count);
    for (i = 0; i < 2 * count; i++)
        assert_int_equal(machine->memory.value[i], i);
    /* The read came after all of them, and the guest saw so. */
    assert_int_equal(machine->memory.at_read, 2 * count);
    assert_int_equal(*(const uint32_t *)(const void *)(guest_host(machine->guest->low) + 0x4010), 2 * count);
}

/* Writes to both kinds arrive in the order in which they were made, before a read; nearly none exits. */
static void test_coalesced_order(void **state)
{
    MACHINE_OR_SKIP(machine, true, KVM_CAP_COALESCED_PIO)
    struct gmem_kvm_coalesced_stats stats;
    unsigned reads_port;

    coalesce(machine);
    guest_add_cpus(machine->guest, 1);
    for (reads_port = 0; reads_port < 2; reads_port++) {
        run_burst(machine, 50, reads_port);
        check_burst(machine, 50);
        assert_int_equal(machine->guest->cpu[0].exits, 1);
        /* More than the ring has room for: what finds it full exits, after a drain. */
        run_burst(machine, 1000, reads_port);
        check_burst(machine, 1000);
        assert_in_range(machine->guest->cpu[0].exits, 2, 100);
    }
    gmem_kvm_coalesced_stats(machine->guest->coalesced, &stats);
    assert_int_equal(stats.intervals, 2);
    assert_int_equal(stats.bad, 0);
    assert_in_range(stats.delivered, 4000, 4200);
    machine_free(machine);
}

/* A device that drains from its write callback hears them one after the other nevertheless. */
static void test_coalesced_recursion(void **state)
{
    MACHINE_OR_SKIP(machine, true, KVM_CAP_COALESCED_PIO)

    coalesce(machine);
    guest_add_cpus(machine->guest, 1);
    machine->memory.touched = machine->guest->memory;
    run_burst(machine, 300, false);
    check_burst(machine, 300);
    assert_int_equal(machine->memory.deepest, 1);
    machine_free(machine);
}

/* What is in the ring when an interval goes is delivered by the next drain, under the map of before. */
static void test_coalesced_unregister(void **state)
{
    MACHINE_OR_SKIP(machine, true, KVM_CAP_COALESCED_PIO)
    struct gmem_kvm_coalesced_stats stats;

    coalesce(machine);
    guest_add_cpus(machine->guest, 1);
    /* Its exit is not passed on, so nobody drains. */
    guest_load(machine->guest, burst, burst_end);
    guest_start_at(&machine->guest->cpu[0], 0, 20, DEVICE / 16, false);
    assert_int_equal(ioctl(machine->guest->cpu[0].fd, KVM_RUN, 0), 0);
    assert_int_equal(machine->guest->cpu[0].run->exit_reason, KVM_EXIT_MMIO); /* the read */
    assert_int_equal(machine->memory.count, 0);
    assert_int_equal(gmem_region_move(machine->device, ELSEWHERE), 0);
    assert_int_equal(machine->memory.count, 0);
    gmem_kvm_coalesced_drain(machine->guest->coalesced);
    assert_int_equal(machine->memory.count, 40);
    gmem_kvm_coalesced_stats(machine->guest->coalesced, &stats);
    assert_int_equal(stats.intervals, 2);
    /* There it is coalesced again, and at the old place nothing is. */
    guest_do(&machine->guest->cpu[0]);
    guest_start_at(&machine->guest->cpu[0], 0, 10, ELSEWHERE / 16, false);
    forget(&machine->memory);
    machine->guest->cpu[0].exits = 0;
    guest_do(&machine->guest->cpu[0]);
    assert_int_equal(machine->memory.at_read, 20);
    run_burst(machine, 10, true);
    assert_int_equal(machine->memory.count, 10); /* ports only */
    assert_int_equal(machine->guest->cpu[0].exits, 11);
    machine_free(machine);
}

/* A vCPU writes while other threads drain, and intervals come and go: each write arrives once. */
struct drainer {
    struct machine *machine;
    bool stop; /* atomic */
};

static void *drain_on(void *opaque)
{
    struct drainer *drainer = opaque;

    while (!__atomic_load_n(&drainer->stop, __ATOMIC_RELAXED))
        gmem_kvm_coalesced_drain(drainer->machine->guest->coalesced);
    return NULL;
}

static void test_coalesced_threads(void **state)
{
    MACHINE_OR_SKIP(machine, true, KVM_CAP_COALESCED_PIO)
    struct drainer drainer = {.machine = machine};
    pthread_t threads[2];
    unsigned i, round;

    coalesce(machine);
    guest_add_cpus(machine->guest, 1);
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, drain_on, &drainer), 0);
    for (round = 0; round < 8; round++) {
        run_burst(machine, 1000, round % 2);
        check_burst(machine, 1000);
    }
    __atomic_store_n(&drainer.stop, true, __ATOMIC_RELAXED);
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    machine_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_datamatch),
        cmocka_unit_test(test_any_length),
        cmocka_unit_test(test_moved_while_running),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_coalesced_order),
        cmocka_unit_test(test_coalesced_recursion),
        cmocka_unit_test(test_coalesced_unregister),
        cmocka_unit_test(test_coalesced_threads),
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
