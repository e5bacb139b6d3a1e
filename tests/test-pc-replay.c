/* SPDX-License-Identifier: MIT */
/*
 * test-pc-replay.c - the chips, given the configuration writes that firmware made on a recorded machine, set the memory slots
 * that were set there, each where it was set: line for line, but for host addresses; and with the policy keep, far less. No
 * processor and no KVM.
 *
 * A configuration write is made as the firmware made it, through the ports: the trace does not say how wide it was, so the
 * width is what the register has. Boots with the APIC option ROM have its write to port 0x7e too, which traces do not show: the
 * last thing before the firmware write-protects RAM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-machine.h"
#include "vapic.h"

#define BIOS_SIZE 0x40000u
#define WRITE_PROTECT "pci_cfg_write i440FX 00:00.0 @0x58 <- 0x11111000"

static char *load(const char *name)
{
    const char *data = getenv("GMEM_TEST_DATA");
    char path[4096], *text;
    FILE *file;
    long size;

    assert_non_null(data);
    snprintf(path, sizeof(path), "%s/traces/%s.trace", data, name);
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s can't be opened", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), (size_t)size);
    text[size] = 0;
    fclose(file);
    return text;
}

/* The line without its host address; the same for a line of ours. */
static void normalise(const char *line, size_t len, char *out, size_t size)
{
    const char *ua = memmem(line, len, " ua=0x", 6);
    size_t head = ua ? (size_t)(ua - line) : len;
    size_t skip = ua ? 6 + strspn(ua + 6, "0123456789abcdef") : 0;

    snprintf(out, size, "%.*s%.*s", (int)head, line, (int)(len - head - skip), line + head + skip);
}

static void compare(const char *recorded, const char *ours)
{
    for (unsigned number = 1; *recorded || *ours; number++) {
        size_t a = strcspn(recorded, "\n"), b = strcspn(ours, "\n");
        char want[256], have[256];

        normalise(recorded, a, want, sizeof(want));
        normalise(ours, b, have, sizeof(have));
        if (strcmp(want, have) != 0)
            fail_msg("line %u: recorded \"%s\", ours \"%s\"", number, want, have);
        recorded += a + (recorded[a] == '\n');
        ours += b + (ours[b] == '\n');
    }
}

static void replay_write(struct bench *bench, const char *line)
{
    unsigned bus, device, function, offset, value;
    uint8_t devfn;

    if (sscanf(line, "pci_cfg_write %*s %x:%x.%x @0x%x <- 0x%x", &bus, &device, &function, &offset, &value) != 5)
        return;
    devfn = PCI_DEVFN(device, function);
    assert_int_equal(bus, 0);
    if (offset == PCI_COMMAND || (devfn == PCI_DEVFN(1, 1) && (offset == 0x40 || offset == 0x42)))
        cfg_write16(bench, devfn, offset, (uint16_t)value);
    else if (offset % 4 || (devfn == PCI_DEVFN(1, 0) && offset == 0x60) || offset == PCI_INTERRUPT_LINE ||
             (devfn == PCI_DEVFN(1, 3) && offset == 0x80))
        cfg_write8(bench, devfn, offset, (uint8_t)value);
    else
        cfg_write32(bench, devfn, offset, value);
}

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

static int executing(void *opaque, uint64_t *ret_addr)
{
    *ret_addr = *(const uint64_t *)opaque;
    return 0;
}

/* What the firmware and the option ROM do. */
static void run_option_rom(struct bench *bench, uint64_t base)
{
    const struct pci_processors kept = *pci_bus_processors(machine_pci(bench->machine));
    struct pci_processors processors = kept;
    uint64_t addr = base + 9;
    uint8_t rom[VAPIC_ROM_SIZE];
    size_t used = bench->used;

    vapic_rom_build(rom);
    assert_int_equal(gmem_space_write(machine_memory(bench->machine), base, GMEM_ATTRS_NONE, rom, sizeof(rom)),
                     GMEM_OK);
    processors.executing = executing;
    processors.opaque = &addr;
    pci_bus_set_processors(machine_pci(bench->machine), &processors);
    out16(bench, VAPIC_PORT, VAPIC_ROM_WORD);
    pci_bus_set_processors(machine_pci(bench->machine), &kept);
    assert_int_equal(bench->used, used); /* all of it was RAM before */
    assert_string_equal(seen_at(bench, base), "pc.ram");
}

/* Open a machine of that policy and make the recorded writes, which are *ret_recorded. */
static struct bench *replayed(const char *name, uint64_t memory, bool vga, enum gmem_kvm_policy policy,
                              char **ret_recorded)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, memory, vga);
    void *firmware = calloc(1, BIOS_SIZE);
    uint64_t option_rom = option_rom_of(name);
    struct pc_error error;

    assert_non_null(firmware);
    config.vapic = option_rom != 0;
    config.firmware = firmware;
    config.firmware_len = BIOS_SIZE;
    config.policy = policy;
    bench_open(bench, &config);
    assert_int_equal(machine_start(bench->machine, &error), 0);
    *ret_recorded = load(name);
    for (const char *line = *ret_recorded; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (option_rom && strncmp(line, WRITE_PROTECT, strlen(WRITE_PROTECT)) == 0)
            run_option_rom(bench, option_rom);
        replay_write(bench, line);
    }
    assert_int_equal(bench->logs, 0);
    free(firmware);
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
    for (const char *line = lines; *line; line += strcspn(line, "\n"), line += *line == '\n') {
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
    char want[64], have[64];

    (void)state;
    normalise("Slot#0 size=0x1 ua=0x7fff ret=0", 31, want, sizeof(want));
    assert_string_equal(want, "Slot#0 size=0x1 ret=0");
    normalise("Slot#0 size=0x2 ua=0x7fff ret=0", 31, have, sizeof(have));
    assert_string_not_equal(want, have);
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
