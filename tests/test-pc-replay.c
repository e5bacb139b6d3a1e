/* SPDX-License-Identifier: MIT */
/*
 * test-pc-replay.c - the chips, given the configuration writes that firmware made on a recorded machine, set the memory slots
 * that were set there, each where it was set: line for line, but for host addresses; and with the policy keep, far less. No
 * processor and no KVM.
 *
 * Boots with the APIC option ROM have its write to port 0x7e too, which traces do not show: the last thing before the firmware
 * write-protects RAM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-machine.h"
#include "pc-replay.h"

#define WRITE_PROTECT "pci_cfg_write i440FX 00:00.0 @0x58 <- 0x11111000"

/* Where the firmware ran the APIC option ROM in a recorded boot, by its log; 0: the machine had none. */
static uint64_t option_rom_of(const char *name)
{
    static const struct {
        const char *name;
        uint64_t base;
    } recorded[] = {{"boot-pc-1G-std", 0xca000}, {"boot-pc-4G-std", 0xca000}, {"boot-pc-1G-none", 0xc0000}};

    for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
        if (strcmp(name, recorded[i].name) == 0)
            return recorded[i].base;
    }
    return 0;
}

/* Open a machine of that policy and make the recorded writes, which are *ret_recorded. */
static struct bench *replayed(const char *name, uint64_t memory, bool vga, enum gmem_kvm_policy policy,
                              char **ret_recorded)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, memory, vga);
    uint64_t option_rom = option_rom_of(name);

    config.vapic = option_rom != 0;
    config.policy = policy;
    replay_open(bench, &config);
    *ret_recorded = load(name);
    for (const char *line = *ret_recorded; *line; line = next_line(line)) {
        if (option_rom && strncmp(line, WRITE_PROTECT, strlen(WRITE_PROTECT)) == 0) {
            replay_option_rom(bench, option_rom);
            assert_string_equal(seen_at(bench, option_rom), "pc.ram");
        }
        replay_write(bench, line);
    }
    assert_int_equal(bench->logs, 0);
    return bench;
}

static void replay(const char *name, uint64_t memory, bool vga)
{
    char *recorded;
    struct bench *bench = replayed(name, memory, vga, GMEM_KVM_POLICY_REFERENCE, &recorded);

    compare(recorded, bench->lines);
    free(recorded);
    bench_free(bench);
}

/* The calls of a run, and of those that follow a write to PAM, how many touch what is above 1 MiB. */
static unsigned count_calls(const char *lines, unsigned *ret_high)
{
    bool pam = false;
    unsigned calls = 0;

    *ret_high = 0;
    for (const char *line = lines; *line; line = next_line(line)) {
        unsigned long long gpa;
        unsigned offset;

        if (strncmp(line, "pci_cfg_write", 13) == 0)
            pam =
                sscanf(line, "pci_cfg_write i440FX 00:00.0 @0x%x", &offset) == 1 && (offset == 0x58 || offset == 0x5c);
        if (sscanf(line, "kvm_set_user_memory Slot#%*u flags=%*x gpa=0x%llx", &gpa) != 1)
            continue;
        calls++;
        *ret_high += pam && gpa >= 0x100000;
    }
    return calls;
}

/* The same boot with slots that are kept: what the firmware does below 1 MiB stays there. */
static void keep(const char *name, uint64_t memory, bool vga, unsigned most)
{
    struct machine_slots_since_start since;
    struct gmem_kvm_stats stats;
    char *recorded;
    struct bench *bench = replayed(name, memory, vga, GMEM_KVM_POLICY_KEEP, &recorded);
    unsigned high;
    unsigned calls = count_calls(bench->lines, &high);

    gmem_kvm_stats(machine_slots(bench->machine), &stats);
    machine_slots_since_start(bench->machine, &since);
    print_message("# %s: %u calls (QEMU %u), %llu pauses, %llu bytes removed while it runs\n", name, calls,
                  count_calls(recorded, &(unsigned){0}), (unsigned long long)stats.pauses,
                  (unsigned long long)since.bytes_removed);
    assert_int_equal(stats.calls, calls);
    assert_true(calls <= most);
    assert_int_equal(high, 0);
    assert_int_equal(stats.pauses, 4); /* one for each write to PAM: each cuts ROM or RAM that stays */
    assert_true(since.bytes_removed > 0 && since.bytes_removed < 0x100000);
    assert_int_equal(since.bytes_removed + since.pci_bytes_removed, stats.bytes_removed);
    assert_int_equal(since.pci_bytes_removed, vga ? 0x10000 : 0); /* the ROM's BAR */
    free(recorded);
    bench_free(bench);
}

static void test_1g_std(void **state)
{
    (void)state;
    replay("boot-pc-1G-std-novapic", UINT64_C(1) << 30, true);
}

static void test_4g_none(void **state)
{
    (void)state;
    replay("boot-pc-4G-none-novapic", UINT64_C(4) << 30, false);
}

static void test_1g_std_vapic(void **state)
{
    (void)state;
    replay("boot-pc-1G-std", UINT64_C(1) << 30, true);
}

static void test_1g_none_vapic(void **state)
{
    (void)state;
    replay("boot-pc-1G-none", UINT64_C(1) << 30, false);
}

static void test_4g_std_vapic(void **state)
{
    (void)state;
    replay("boot-pc-4G-std", UINT64_C(4) << 30, true);
}

static void test_keep_1g_std(void **state)
{
    (void)state;
    keep("boot-pc-1G-std-novapic", UINT64_C(1) << 30, true, 20);
}

static void test_keep_4g_none(void **state)
{
    (void)state;
    keep("boot-pc-4G-none-novapic", UINT64_C(4) << 30, false, 20);
}

static void test_keep_1g_std_vapic(void **state)
{
    (void)state;
    keep("boot-pc-1G-std", UINT64_C(1) << 30, true, 22);
}

/* The comparison itself: it must find a line that is missing, added or different. */
static void test_compare_can_fail(void **state)
{
    char want[REPLAY_LINE], have[REPLAY_LINE];

    (void)state;
    normalise("Slot#0 size=0x1 ua=0x7fff ret=0", 31, want);
    assert_string_equal(want, "Slot#0 size=0x1 ret=0");
    normalise("Slot#0 size=0x2 ua=0x7fff ret=0", 31, have);
    assert_string_not_equal(want, have);
    normalise("pci_cfg_write VGA 02:1 @0x4 <- 0x103", 36, have);
    assert_string_equal(have, "pci_cfg_write VGA 00:02.1 @0x4 <- 0x103");
    normalise("pci_cfg_write VGA 00:02.1 @0x4 <- 0x103", 39, have);
    assert_string_equal(have, "pci_cfg_write VGA 00:02.1 @0x4 <- 0x103");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_1g_std),           cmocka_unit_test(test_4g_none),
        cmocka_unit_test(test_keep_1g_std),      cmocka_unit_test(test_keep_4g_none),
        cmocka_unit_test(test_1g_std_vapic),     cmocka_unit_test(test_1g_none_vapic),
        cmocka_unit_test(test_4g_std_vapic),     cmocka_unit_test(test_keep_1g_std_vapic),
        cmocka_unit_test(test_compare_can_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
