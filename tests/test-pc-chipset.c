/* SPDX-License-Identifier: MIT */
/*
 * test-pc-chipset.c - what the host bridge and the power management do to the map and to the machine, and two machines side by
 * side. Without processors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/resource.h>

#include "pc-machine.h"

#define I440FX_FN PCI_DEVFN(0, 0)
#define PM_FN PCI_DEVFN(1, 3)
#define SMRAM 0x72u
#define MEMORY (UINT64_C(64) << 20)

static int setup(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);

    bench->firmware[0] = 0x5a;
    bench_open(bench, &config);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    bench_free(*state);
    return 0;
}

/* The thirteen sections: where, and which bits of which register. */
static const struct section {
    uint64_t first, size;
    unsigned reg, shift;
} sections[] = {
    {0xf0000, 0x10000, 0x59, 4}, {0xc0000, 0x4000, 0x5a, 0}, {0xc4000, 0x4000, 0x5a, 4}, {0xc8000, 0x4000, 0x5b, 0},
    {0xcc000, 0x4000, 0x5b, 4},  {0xd0000, 0x4000, 0x5c, 0}, {0xd4000, 0x4000, 0x5c, 4}, {0xd8000, 0x4000, 0x5d, 0},
    {0xdc000, 0x4000, 0x5d, 4},  {0xe0000, 0x4000, 0x5e, 0}, {0xe4000, 0x4000, 0x5e, 4}, {0xe8000, 0x4000, 0x5f, 0},
    {0xec000, 0x4000, 0x5f, 4},
};

static void set_section(struct bench *bench, const struct section *section, unsigned attributes)
{
    uint8_t pam = cfg_read8(bench, I440FX_FN, section->reg);

    pam = (uint8_t)((pam & ~(3u << section->shift)) | attributes << section->shift);
    cfg_write8(bench, I440FX_FN, section->reg, pam);
}

static void check_range(struct bench *bench, const struct section *section, const char *name, bool readonly)
{
    const uint64_t ends[] = {section->first, section->first + section->size - 1};

    for (unsigned i = 0; i < 2; i++) {
        struct gmem_section seen;

        assert_int_equal(gmem_space_lookup(machine_memory(bench->machine), ends[i], &seen), 0);
        assert_string_equal(gmem_region_name(seen.region), name);
        assert_int_equal(!!(seen.attrs & GMEM_RANGE_READONLY), readonly);
        gmem_section_release(&seen);
    }
}

static void test_pam(void **state)
{
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        const struct section *section = &sections[i];
        /* With 64 KiB of firmware, isa-bios is the section from 0xf0000; pc.rom ends at 0xdffff. */
        const char *pci = section->first >= 0xf0000 ? "pc.bios" : section->first < 0xe0000 ? "pc.rom" : "";
        uint8_t value;

        if (pci[0])
            check_range(bench, section, pci, true);
        else
            assert_string_equal(seen_at(bench, section->first), "pc.ram");
        set_section(bench, section, 3);
        check_range(bench, section, "pc.ram", false);
        assert_int_equal(gmem_st8(machine_memory(bench->machine), section->first, GMEM_ATTRS_NONE, 0x77), GMEM_OK);
        set_section(bench, section, 1);
        check_range(bench, section, "pc.ram", true);
        assert_int_equal(gmem_st8(machine_memory(bench->machine), section->first, GMEM_ATTRS_NONE, 0x11), GMEM_OK);
        assert_int_equal(gmem_ld8(machine_memory(bench->machine), section->first, GMEM_ATTRS_NONE, &value), GMEM_OK);
        assert_int_equal(value, 0x77);
        set_section(bench, section, 0);
        if (section->first >= 0xf0000) {
            assert_int_equal(gmem_ld8(machine_memory(bench->machine), section->first, GMEM_ATTRS_NONE, &value),
                             GMEM_OK);
            assert_int_equal(value, 0x5a);
        }
    }
}

/* Every combination of two neighbours: the map is what the registers say, whatever they said before. */
static void test_pam_order(void **state)
{
    struct bench *bench = *state;

    for (unsigned value = 0; value < 16; value++) {
        for (unsigned before = 0; before < 16; before++) {
            cfg_write8(bench, I440FX_FN, 0x5a, (uint8_t)((before & 3) | (before & 12) << 2));
            cfg_write8(bench, I440FX_FN, 0x5a, (uint8_t)((value & 3) | (value & 12) << 2));
            check_range(bench, &sections[1], value & 3 ? "pc.ram" : "pc.rom", (value & 3) < 2);
            check_range(bench, &sections[2], value & 12 ? "pc.ram" : "pc.rom", value >> 2 < 2);
        }
    }
    assert_int_equal(cfg_read8(bench, I440FX_FN, 0x5a), 0x33);
    cfg_write8(bench, I440FX_FN, 0x59, 0xff);
    assert_int_equal(cfg_read8(bench, I440FX_FN, 0x59), 0x30);
}

/* A write to several registers is one commit, and one that is refused changes nothing. */
static void test_pam_refused(void **state)
{
    struct bench *bench = *state;
    struct gmem_vm_stats before, after;

    gmem_vm_stats(machine_vm(bench->machine), &before);
    cfg_write32(bench, I440FX_FN, 0x5c, 0x33333333);
    gmem_vm_stats(machine_vm(bench->machine), &after);
    assert_int_equal(after.commits - before.commits, 1);
    assert_string_equal(seen_at(bench, 0xd0000), "pc.ram");
    bench->refuse_gpa = 0;
    cfg_write32(bench, I440FX_FN, 0x5c, 0);
    assert_string_equal(seen_at(bench, 0xd0000), "pc.ram");
    assert_int_equal(bench->logs > 0, 1);
    bench->refuse_gpa = UINT64_MAX;
    cfg_write32(bench, I440FX_FN, 0x5c, 0);
    assert_string_equal(seen_at(bench, 0xd0000), "pc.rom");
}

static void test_smram(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), 0x02);
    assert_string_equal(seen_at(bench, 0xa0000), "vga-lowmem");
    cfg_write8(bench, I440FX_FN, SMRAM, 0x4a);
    assert_string_equal(seen_at(bench, 0xa0000), "pc.ram");
    assert_string_equal(seen_at(bench, 0xbffff), "pc.ram");
    cfg_write8(bench, I440FX_FN, SMRAM, 0x0a);
    assert_string_equal(seen_at(bench, 0xa0000), "vga-lowmem");
    /* D_OPEN without G_SMRAME opens nothing; D_LCK closes it and keeps it closed. */
    cfg_write8(bench, I440FX_FN, SMRAM, 0x40);
    assert_string_equal(seen_at(bench, 0xa0000), "vga-lowmem");
    cfg_write8(bench, I440FX_FN, SMRAM, 0x4a);
    cfg_write8(bench, I440FX_FN, SMRAM, 0x5a);
    assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), 0x1a);
    assert_string_equal(seen_at(bench, 0xa0000), "vga-lowmem");
    cfg_write8(bench, I440FX_FN, SMRAM, 0x4a);
    assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), 0x1a);
    assert_string_equal(seen_at(bench, 0xa0000), "vga-lowmem");
}

static void test_pm_mapping(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(in16(bench, 0x604), 0xffff);
    cfg_write32(bench, PM_FN, 0x40, 0x601);
    assert_int_equal(cfg_read32(bench, PM_FN, 0x40), 0x601);
    assert_int_equal(in16(bench, 0x604), 0xffff);
    cfg_write8(bench, PM_FN, 0x80, 1);
    assert_int_equal(in16(bench, 0x604), 0);
    cfg_write32(bench, PM_FN, 0x40, 0xb001);
    assert_int_equal(in16(bench, 0x604), 0xffff);
    assert_int_equal(in16(bench, 0xb004), 0);
    cfg_write8(bench, PM_FN, 0x80, 0);
    assert_int_equal(in16(bench, 0xb004), 0xffff);
    /* The SMBus, and on it nobody. */
    cfg_write32(bench, PM_FN, 0x90, 0x701);
    cfg_write8(bench, PM_FN, 0xd2, 9);
    out8(bench, 0x704, 0xa1);
    out8(bench, 0x702, 0x48);
    assert_int_equal(in8(bench, 0x700), 0x04);
    out8(bench, 0x700, 0x1e);
    assert_int_equal(in8(bench, 0x700), 0x00);
    cfg_write8(bench, PM_FN, 0xd2, 8);
    assert_int_equal(in8(bench, 0x700), 0xff);
}

static void test_pm_timer(void **state)
{
    const struct timespec nap = {0, 20000000};
    struct bench *bench = *state;
    uint32_t first, second;

    cfg_write32(bench, PM_FN, 0x40, 0x601);
    cfg_write8(bench, PM_FN, 0x80, 1);
    first = in32(bench, 0x608);
    nanosleep(&nap, NULL);
    second = in32(bench, 0x608);
    assert_int_equal(first >> 24, 0);
    /* At least what 20 ms make, at most what a very slow machine needs. */
    assert_in_range((second - first) & 0xffffff, 71590, 0x7fffff);
    out32(bench, 0x608, 0);
    assert_true(((in32(bench, 0x608) - second) & 0xffffff) < 0x800000);
}

static void test_pm_control(void **state)
{
    struct bench *bench = *state;

    cfg_write32(bench, PM_FN, 0x40, 0x601);
    cfg_write8(bench, PM_FN, 0x80, 1);
    out8(bench, 0xb2, 0xf1);
    assert_int_equal(in16(bench, 0x604), 0x0001);
    out8(bench, 0xb2, 0xf0);
    assert_int_equal(in16(bench, 0x604), 0x0000);
    out16(bench, 0x602, 0xffff);
    assert_int_equal(in16(bench, 0x602), 0x0521);
    out8(bench, 0x603, 0);
    assert_int_equal(in16(bench, 0x602), 0x0021);
    out32(bench, 0xafe0, 0x12345678);
    assert_int_equal(in32(bench, 0xafe0), 0x12340000);
    /* Sleeping is refused with a line in the log; soft off ends the machine. */
    out16(bench, 0x604, 0x2400);
    assert_int_equal(atomic_load(&bench->event), 0);
    assert_int_equal(bench->logs, 1);
    out16(bench, 0x604, 0x2000);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_POWEROFF);
}

static void test_resets(void **state)
{
    struct bench *bench = *state;

    out8(bench, 0x64, 0xfe);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_RESET);
    atomic_store(&bench->event, 0);
    out8(bench, 0x92, 0x01);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_RESET);
}

static void test_memory_split(void **state)
{
    static const struct {
        uint64_t memory, below;
    } splits[] = {
        {UINT64_C(1) << 20, UINT64_C(1) << 20},
        {0xdffff000, 0xdffff000},
        {0xe0000000, 0xc0000000},
        {UINT64_C(64) << 30, 0xc0000000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
        struct bench *bench = bench_new();
        struct pc_config config = bench_config(bench, splits[i].memory, false);
        uint64_t above = splits[i].memory - splits[i].below, top = (UINT64_C(1) << 32) + above;

        bench_open(bench, &config);
        assert_string_equal(seen_at(bench, splits[i].below - 1), splits[i].below == 0x100000 ? "pc.bios" : "pc.ram");
        assert_string_equal(seen_at(bench, splits[i].below), "");
        assert_string_equal(seen_at(bench, top), "");
        assert_string_equal(seen_at(bench, top - 1), above ? "pc.ram" : "pc.bios");
        bench_free(bench);
    }
}

static void test_bad_configurations(void **state)
{
    struct bench *bench = bench_new();
    const struct pc_config good = bench_config(bench, MEMORY, true);
    struct pc_config bad[9];
    size_t n;

    (void)state;
    for (n = 0; n < sizeof(bad) / sizeof(bad[0]); n++)
        bad[n] = good;
    bad[0].memory = 0;
    bad[1].memory = UINT64_C(1) << 60;
    bad[2].memory = MEMORY + 1;
    bad[3].cpus = 0;
    bad[4].cpus = 256;
    bad[5].firmware_len = 0;
    bad[6].firmware_len = 0x1010000;
    bad[7].vga_rom_len = 0x10001;
    bad[8].set = NULL;
    for (n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
        struct pc_error error = {""};

        assert_int_equal(machine_create(&bad[n], &bench->machine, &error), -EINVAL);
        assert_true(error.text[0] && !strchr(error.text, '\n'));
        assert_null(bench->machine);
    }
    bench_free(bench);
}

/* A machine whose slots are refused while it is put together does not come about, and leaves nothing. */
static void test_refused_at_creation(void **state)
{
    static const uint64_t from[] = {0, 0xf0000000, 0x100000};

    (void)state;
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        struct bench *bench = bench_new();
        struct pc_config config = bench_config(bench, MEMORY, true);
        struct pc_error error = {""};

        bench->refuse_gpa = from[i];
        assert_int_equal(machine_create(&config, &bench->machine, &error), -EINVAL);
        assert_true(error.text[0]);
        bench_free(bench);
    }
}

/* The host has no address space left: one line, nothing left, and with less it works. */
static void test_no_memory(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, UINT64_C(1) << 30, false);
    struct pc_error error = {""};
    struct rlimit before, tight;
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");

    (void)state;
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    tight = before;
    tight.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE) + (256u << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    assert_int_equal(machine_create(&config, &bench->machine, &error), -ENOMEM);
    assert_non_null(strstr(error.text, "1024 MiB"));
    assert_null(bench->machine);
    config.memory = MEMORY;
    bench_open(bench, &config);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    bench_free(bench);
}

static void test_two_machines(void **state)
{
    struct bench *one = *state, *two = bench_new();
    struct pc_config config = bench_config(two, UINT64_C(5) << 30, false);
    uint32_t value;

    bench_open(two, &config);
    assert_int_equal(gmem_st32_le(machine_memory(one->machine), 0x2000, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(gmem_st32_le(machine_memory(two->machine), 0x2000, GMEM_ATTRS_NONE, 2), GMEM_OK);
    assert_int_equal(gmem_ld32_le(machine_memory(one->machine), 0x2000, GMEM_ATTRS_NONE, &value), GMEM_OK);
    assert_int_equal(value, 1);
    cfg_write32(one, I440FX_FN, 0x5c, 0x33333333);
    assert_string_equal(seen_at(one, 0xd0000), "pc.ram");
    assert_string_equal(seen_at(two, 0xd0000), "pc.rom");
    assert_string_equal(seen_at(one, 0x100000000), "");
    assert_string_equal(seen_at(two, 0x100000000), "pc.ram");
    out8(two, 0x402, 'x');
    assert_int_equal(atomic_load(&one->console_len), 0);
    assert_int_equal(two->console[0], 'x');
    bench_free(two);
    assert_string_equal(seen_at(one, 0xd0000), "pc.ram");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pam, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pam_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pam_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_smram, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pm_mapping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pm_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pm_control, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resets, setup, teardown),
        cmocka_unit_test(test_memory_split),
        cmocka_unit_test(test_bad_configurations),
        cmocka_unit_test(test_refused_at_creation),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test_setup_teardown(test_two_machines, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
