/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-dirty-real.c - dirty logs with /dev/kvm: guests write pages while clients sync, clear and copy them, and no write is
 * missing from the copies.
 *
 * Two vCPUs count in pages that they choose at random, each in a word of its own. Two clients copy what is dirty to copies
 * of their own, at their own pace. When the vCPUs have halted each client goes a last round, and its copy must
 * be the memory. A write that a client missed is a page that differs, since hardly any page is written again after it. Many
 * such rounds are made in each way of logging, with the host writing too, and with slots that go and come.
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

#define BASE 0x100000u
#define PAGE 4096u
#define CLIENTS 2u
#define CHURN 4000u /* at most, if a processor never halts */

/* For flat protected mode: ecx times, count at edi in the page of esi that ebx, a linear congruential generator, and edx choose. */
extern const uint8_t count_pages[], count_pages_end[], count_tight[], count_tight_end[];
/*
 * The first with much between two writes: kernels that emulate processors do many instructions before they look whether a ring
 * is full, and let it run over if too many of them write. The second is for that.
 */
__asm__(".pushsection .rodata\n"
        ".code32\n"
        "count_pages: imul $1103515245, %ebx, %ebx\n"
        "  addl $12345, %ebx\n"
        "  movl %ebx, %eax\n"
        "  shrl $4, %eax\n"
        "  andl %edx, %eax\n"
        "  addl %esi, %eax\n"
        "  incl (%eax,%edi)\n"
        "  .fill 24, 1, 0x90\n"
        "  decl %ecx\n"
        "  jnz count_pages\n"
        "  hlt\n"
        "count_pages_end:\n"
        "count_tight: imul $1103515245, %ebx, %ebx\n"
        "  addl $12345, %ebx\n"
        "  movl %ebx, %eax\n"
        "  shrl $4, %eax\n"
        "  andl %edx, %eax\n"
        "  incl 0x100000(%eax,%edi)\n"
        "  incl 0x100008(%eax,%edi)\n"
        "  decl %ecx\n"
        "  jnz count_tight\n"
        "  hlt\n"
        "count_tight_end:\n"
        ".code64\n"
        ".popsection\n");

struct world;

struct client {
    struct world *world;
    unsigned number;
    uint8_t *copy;
    uint64_t copied; /* pages */
    pthread_t thread;
};

struct world {
    struct guest *guest;
    gmem_region *log, *overlay;
    gmem_kvm_dirty *dirty;
    unsigned pages; /* a power of two */
    unsigned wait;
    struct client client[CLIENTS];
    pthread_t writer;
    bool stop; /* atomic */
};

struct scenario {
    enum gmem_kvm_dirty_mode mode;
    unsigned pages;
    unsigned rounds;
    unsigned writes; /* of each vCPU in a round */
    uint32_t entries;
    unsigned wait; /* of clients between their rounds, microseconds: so that rings can fill */
    bool host_writes, churn, pause, tight;
};

static const unsigned client_bits[CLIENTS] = {GMEM_LOG_MIGRATION, GMEM_LOG_DISPLAY};

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

static bool kernel_can(const struct guest *guest, enum gmem_kvm_dirty_mode mode)
{
    int manual = ioctl(guest->vm_fd, KVM_CHECK_EXTENSION, (unsigned long)KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);

    if (mode == GMEM_KVM_DIRTY_RING)
        return guest_has(guest, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, "KVM_CAP_DIRTY_LOG_RING_ACQ_REL");
    if ((mode == GMEM_KVM_DIRTY_MANUAL && !(manual & 1)) || (mode == GMEM_KVM_DIRTY_MANUAL_INIT && !(manual & 2))) {
        print_message("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is only %d\n", manual);
        return false;
    }
    return true;
}

static void make_map(struct world *world)
{
    struct guest *guest = world->guest;
    unsigned i;

    world->log = guest_ram(guest, "log", (uint64_t)world->pages * PAGE);
    assert_int_equal(gmem_region_add(guest->system, BASE, world->log), 0);
    /* Two pages in the middle, which split the slot when it is enabled. */
    assert_int_equal(
        gmem_region_create_mmio(guest->vm, "overlay", GMEM_SIZE(2 * PAGE), &ignore, NULL, NULL, &world->overlay), 0);
    assert_int_equal(gmem_region_set_enabled(world->overlay, false), 0);
    assert_int_equal(gmem_region_add_priority(guest->system, BASE + world->pages / 2 * PAGE, world->overlay, 1), 0);
    for (i = 0; i < CLIENTS; i++) {
        world->client[i] = (struct client){.world = world, .number = i};
        world->client[i].copy = calloc(world->pages, PAGE);
        assert_non_null(world->client[i].copy);
        assert_int_equal(gmem_region_set_log(world->log, client_bits[i], true), 0);
    }
}

static struct world *world_new(const struct scenario *scenario)
{
    struct world *world = calloc(1, sizeof(*world));
    struct gmem_kvm_dirty_options options = {.struct_size = sizeof(options), .mode = scenario->mode};

    assert_non_null(world);
    world->guest = guest_new();
    if (!world->guest || !kernel_can(world->guest, scenario->mode)) {
        if (world->guest)
            guest_free(world->guest);
        free(world);
        return NULL;
    }
    if (scenario->mode == GMEM_KVM_DIRTY_RING) {
        struct gmem_kvm_ring_options ring = {
            .struct_size = sizeof(ring), .vm_fd = world->guest->vm_fd, .entries = scenario->entries};

        assert_int_equal(gmem_kvm_ring_create(&ring, &world->guest->ring), 0);
        options.ring = world->guest->ring;
    }
    if (scenario->pause) {
        options.pause = guest_pause;
        options.resume = guest_resume;
        options.pause_opaque = world->guest;
    }
    world->pages = scenario->pages;
    world->wait = scenario->wait;
    assert_int_equal(gmem_kvm_dirty_create(world->guest->kvm, &options, &world->dirty), 0);
    assert_int_equal(gmem_kvm_dirty_mode(world->dirty), scenario->mode);
    make_map(world);
    guest_add_cpus(world->guest, GUEST_CPUS);
    if (scenario->tight)
        guest_load(world->guest, count_tight, count_tight_end);
    else
        guest_load(world->guest, count_pages, count_pages_end);
    return world;
}

static void world_free(struct world *world)
{
    unsigned i;

    gmem_kvm_dirty_destroy(world->dirty);
    guest_free(world->guest);
    for (i = 0; i < CLIENTS; i++)
        free(world->client[i].copy);
    free(world);
}

/* One round of a client, in the order that gmem/kvm_dirty.h asks for. */
static void client_round(struct client *client)
{
    struct world *world = client->world;
    gmem_ram *ram = gmem_region_ram(world->log);
    bool *found = calloc(world->pages, sizeof(*found));
    uint64_t page, first = UINT64_MAX, last = 0;

    assert_non_null(found);
    assert_int_equal(gmem_region_log_sync(world->log), 0);
    for (page = 0; page < world->pages; page++) {
        assert_int_equal(
            gmem_ram_dirty_test_and_clear(ram, client_bits[client->number], page * PAGE, PAGE, &found[page]), 0);
        if (!found[page])
            continue;
        first = page < first ? page : first;
        last = page;
        /* One client clears page by page, the other from the first to the last that it found. */
        if (client->number == 1)
            assert_int_equal(gmem_region_log_clear(world->log, page * PAGE, page * PAGE + PAGE - 1), 0);
    }
    if (client->number == 0 && first <= last)
        assert_int_equal(gmem_region_log_clear(world->log, first * PAGE, last * PAGE + PAGE - 1), 0);
    for (page = 0; page < world->pages; page++) {
        if (!found[page])
            continue;
        unsigned i;

        /* Word by word, since others write meanwhile. */
        for (i = 0; i < PAGE; i += 8) {
            const uint64_t *from = (const uint64_t *)(const void *)(guest_host(world->log) + page * PAGE + i);

            *(uint64_t *)(void *)(client->copy + page * PAGE + i) = __atomic_load_n(from, __ATOMIC_RELAXED);
        }
        client->copied++;
    }
    free(found);
}

static void *client_run(void *opaque)
{
    struct client *client = opaque;

    while (!__atomic_load_n(&client->world->stop, __ATOMIC_ACQUIRE)) {
        client_round(client);
        if (client->world->wait)
            (void)usleep(client->world->wait);
    }
    return NULL;
}

/* The host writes the same pages, in words of its own. What it marks hides what is lost of the guest's: so not in all scenarios. */
static void *write_on(void *opaque)
{
    struct world *world = opaque;
    uint32_t chosen = 1, value;

    for (value = 1; !__atomic_load_n(&world->stop, __ATOMIC_ACQUIRE); value++) {
        uint64_t at = BASE + 64;

        chosen = chosen * 1103515245u + 12345u;
        at += (chosen >> 8) % world->pages * PAGE;
        (void)gmem_st32_le(world->guest->memory, at, GMEM_ATTRS_NONE, value);
        if (value % 64 == 0)
            (void)sched_yield();
    }
    return NULL;
}

static void start_guest(struct world *world, const struct scenario *scenario, unsigned round)
{
    unsigned i;

    for (i = 0; i < GUEST_CPUS; i++) {
        struct kvm_regs regs = {.rbx = round * 7919u + i * 104729u,
                                .rcx = scenario->writes,
                                .rdx = (world->pages - 1) * PAGE,
                                .rsi = BASE,
                                .rdi = i * 4};

        guest_start_flat(&world->guest->cpu[i], &regs);
        guest_start(&world->guest->cpu[i]);
    }
}

static void check_copies(struct world *world, unsigned round)
{
    const uint8_t *memory = guest_host(world->log);
    unsigned i, page, lost = 0;

    for (i = 0; i < CLIENTS; i++) {
        client_round(&world->client[i]);
        for (page = 0; page < world->pages; page++)
            lost += memcmp(memory + page * PAGE, world->client[i].copy + page * PAGE, PAGE) != 0;
        if (lost)
            print_message("round %u, client %u: %u pages differ\n", round, i, lost);
    }
    assert_int_equal(lost, 0);
}

static bool all_halted(const struct world *world)
{
    unsigned i;

    for (i = 0; i < GUEST_CPUS && guest_halted(&world->guest->cpu[i]);)
        i++;
    return i == GUEST_CPUS;
}

static void one_round(struct world *world, const struct scenario *scenario, unsigned round)
{
    unsigned i;

    __atomic_store_n(&world->stop, false, __ATOMIC_RELEASE);
    start_guest(world, scenario, round);
    for (i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&world->client[i].thread, NULL, client_run, &world->client[i]), 0);
    if (scenario->host_writes)
        assert_int_equal(pthread_create(&world->writer, NULL, write_on, world), 0);
    /* As long as they write, so that what they wrote is in slots that go. An even number of times. */
    for (i = 0; scenario->churn && i < CHURN && (i < 6 || i % 2 || !all_halted(world)); i++) {
        assert_int_equal(gmem_region_set_enabled(world->overlay, i % 2 == 0), 0);
        (void)usleep(200);
    }
    for (i = 0; i < GUEST_CPUS; i++)
        guest_join(&world->guest->cpu[i]);
    __atomic_store_n(&world->stop, true, __ATOMIC_RELEASE);
    for (i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_join(world->client[i].thread, NULL), 0);
    if (scenario->host_writes)
        assert_int_equal(pthread_join(world->writer, NULL), 0);
    check_copies(world, round);
}

static void check_counts(struct world *world, const struct scenario *scenario)
{
    struct gmem_kvm_dirty_stats stats;
    struct gmem_kvm_ring_stats ring;

    gmem_kvm_dirty_stats(world->dirty, &stats);
    assert_int_equal(stats.failed, 0);
    assert_true(stats.pages_marked > 0);
    if (scenario->mode == GMEM_KVM_DIRTY_RING) {
        gmem_kvm_ring_stats(world->guest->ring, &ring);
        assert_true(ring.harvested > 0 && ring.resets > 0);
        if (!scenario->tight)
            assert_int_equal(ring.overruns, 0);
        assert_int_equal(stats.gets, 0);
    } else {
        assert_true(stats.gets > 0);
    }
    if (scenario->mode == GMEM_KVM_DIRTY_MANUAL || scenario->mode == GMEM_KVM_DIRTY_MANUAL_INIT)
        assert_true(stats.clears > 0 && stats.pages_cleared > 0);
    else
        assert_int_equal(stats.clears, 0);
    assert_int_equal(stats.fetched_at_removal > 0, scenario->churn && scenario->pause);
    assert_int_equal(stats.marked_at_removal > 0, scenario->churn && !scenario->pause);
}

static void run_scenario(const struct scenario *scenario)
{
    struct world *world = world_new(scenario);
    unsigned round, rounds = scenario->rounds;
    uint64_t full = 0;

    if (!world)
        skip();
    if (getenv("GMEM_TEST_LONG"))
        rounds *= 20;
    for (round = 0; round < rounds; round++)
        one_round(world, scenario, round);
    check_counts(world, scenario);
    full = world->guest->cpu[0].full + world->guest->cpu[1].full;
    if (scenario->entries)
        assert_true(full > 0);
    if (world->guest->ring) {
        struct gmem_kvm_ring_stats ring;

        gmem_kvm_ring_stats(world->guest->ring, &ring);
        print_message("harvested %llu entries, %llu overruns\n", (unsigned long long)ring.harvested,
                      (unsigned long long)ring.overruns);
    }
    print_message("%u rounds; copied %llu and %llu pages; rings full %llu times\n", rounds,
                  (unsigned long long)world->client[0].copied, (unsigned long long)world->client[1].copied,
                  (unsigned long long)full);
    world_free(world);
}

#define USUAL .pages = 4096, .rounds = 3, .writes = 2500

#define SCENARIO(name, ...)                                                                                            \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        static const struct scenario scenario = {__VA_ARGS__};                                                         \
        (void)state;                                                                                                   \
        run_scenario(&scenario);                                                                                       \
    }

SCENARIO(get, USUAL, .mode = GMEM_KVM_DIRTY_GET)
SCENARIO(get_host, USUAL, .mode = GMEM_KVM_DIRTY_GET, .host_writes = true)
SCENARIO(get_churn, USUAL, .mode = GMEM_KVM_DIRTY_GET, .churn = true)
SCENARIO(get_churn_pause, USUAL, .mode = GMEM_KVM_DIRTY_GET, .churn = true, .pause = true)
SCENARIO(manual, USUAL, .mode = GMEM_KVM_DIRTY_MANUAL)
SCENARIO(manual_churn, USUAL, .mode = GMEM_KVM_DIRTY_MANUAL, .churn = true)
SCENARIO(init, USUAL, .mode = GMEM_KVM_DIRTY_MANUAL_INIT)
SCENARIO(init_host, USUAL, .mode = GMEM_KVM_DIRTY_MANUAL_INIT, .host_writes = true)
SCENARIO(init_churn_pause, USUAL, .mode = GMEM_KVM_DIRTY_MANUAL_INIT, .churn = true, .pause = true, .host_writes = true)
SCENARIO(ring, USUAL, .mode = GMEM_KVM_DIRTY_RING, .pause = true)
SCENARIO(ring_churn, USUAL, .mode = GMEM_KVM_DIRTY_RING, .pause = true, .churn = true)
SCENARIO(ring_full, .mode = GMEM_KVM_DIRTY_RING, .pause = true, .pages = 4096, .rounds = 2, .writes = 6000,
         .entries = 1024, .wait = 50000)
SCENARIO(ring_overrun, .mode = GMEM_KVM_DIRTY_RING, .pause = true, .pages = 4096, .rounds = 2, .writes = 6000,
         .entries = 1024, .wait = 50000, .tight = true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_get_host),
        cmocka_unit_test(test_get_churn),
        cmocka_unit_test(test_get_churn_pause),
        cmocka_unit_test(test_manual),
        cmocka_unit_test(test_manual_churn),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_init_host),
        cmocka_unit_test(test_init_churn_pause),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_ring_churn),
        cmocka_unit_test(test_ring_full),
        cmocka_unit_test(test_ring_overrun),
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
