/* SPDX-License-Identifier: MIT */
/*
 * test-pc-smram.c - system management mode in the chipset: what the SMRAM register shows to whom, the spaces that the mode has,
 * and what makes an SMI. Without processors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "pc-machine.h"
#include "pc-ports.h"
#include "piix4_pm.h"

#define I440FX_FN PCI_DEVFN(0, 0)
#define PM_FN PCI_DEVFN(1, 3)
#define SMRAM 0x72u
#define PAM0 0x59u
#define D_OPEN 0x40u
#define D_CLS 0x20u
#define D_LCK 0x10u
#define G_SMRAME 0x08u
#define C_BASE 0x02u
#define MEMORY (UINT64_C(64) << 20)

static struct bench *open_bench(bool smm)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);

    config.smm = smm;
    bench_open(bench, &config);
    return bench;
}

static int setup(void **state)
{
    *state = open_bench(true);
    return 0;
}

static int teardown(void **state)
{
    bench_free(*state);
    return 0;
}

/* The name of what space shows at addr, or "". */
static const char *seen_in(gmem_space *space, uint64_t addr)
{
    struct gmem_section section;
    const char *name;

    if (gmem_space_lookup(space, addr, &section))
        return "";
    name = gmem_region_name(section.region);
    gmem_section_release(&section);
    return name;
}

/* What is seen in 0xa0000 to 0xbffff, outside of the mode and in it. */
static void check_window(struct bench *bench, const char *outside, const char *inside)
{
    static const uint64_t addrs[] = {0xa0000, 0xaffff, 0xb0000, 0xbffff};
    gmem_space *smm = machine_smram_space(bench->machine);

    for (unsigned i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        assert_string_equal(seen_at(bench, addrs[i]), outside);
        assert_string_equal(seen_in(machine_cpu_memory(bench->machine), addrs[i]), outside);
        assert_string_equal(seen_in(smm, addrs[i]), inside);
    }
    assert_string_equal(seen_in(smm, 0x9ffff), "pc.ram");
    assert_string_equal(seen_in(smm, 0xc0000), seen_at(bench, 0xc0000));
    assert_string_equal(seen_in(smm, 0xfffffff0), "pc.bios");
}

/* Every value of the register, each on a machine of its own, as locking can't be taken back. */
static void test_every_value(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct bench *bench = open_bench(true);
        uint8_t value = (uint8_t)(bits << 3);
        bool enabled = value & G_SMRAME, open = enabled && (value & D_OPEN) && !(value & D_LCK);

        cfg_write8(bench, I440FX_FN, SMRAM, value);
        if (value & D_LCK)
            value &= (uint8_t)~D_OPEN;
        assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), value | C_BASE);
        check_window(bench, open ? "pc.ram" : "vga-lowmem", enabled ? "pc.ram" : "vga-lowmem");
        assert_int_equal(bench->logs, 0);
        bench_free(bench);
    }
}

/* From one value to any other, without the lock: the map is what the register says, whatever it said before. */
static void test_every_change(void **state)
{
    struct bench *bench = *state;

    for (unsigned change = 0; change < 64; change++) {
        uint8_t from = (uint8_t)((change & 1 ? D_OPEN : 0) | (change & 2 ? D_CLS : 0) | (change & 4 ? G_SMRAME : 0));
        uint8_t to = (uint8_t)((change & 8 ? D_OPEN : 0) | (change & 16 ? D_CLS : 0) | (change & 32 ? G_SMRAME : 0));

        cfg_write8(bench, I440FX_FN, SMRAM, from);
        cfg_write8(bench, I440FX_FN, SMRAM, to);
        check_window(bench, (to & (D_OPEN | G_SMRAME)) == (D_OPEN | G_SMRAME) ? "pc.ram" : "vga-lowmem",
                     to & G_SMRAME ? "pc.ram" : "vga-lowmem");
    }
}

/* The lock freezes all but D_CLS, and C_BASE_SEG is never written. */
static void test_lock(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), C_BASE);
    cfg_write8(bench, I440FX_FN, SMRAM, 0x87 | G_SMRAME);
    assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), C_BASE | G_SMRAME);
    cfg_write8(bench, I440FX_FN, SMRAM, D_LCK | G_SMRAME | D_OPEN);
    assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), C_BASE | G_SMRAME | D_LCK);
    for (unsigned value = 0; value < 256; value++) {
        cfg_write8(bench, I440FX_FN, SMRAM, (uint8_t)value);
        assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), C_BASE | G_SMRAME | D_LCK | (value & D_CLS));
        check_window(bench, "vga-lowmem", "pc.ram");
    }
    /* By the doubleword that the register is in. */
    cfg_write32(bench, I440FX_FN, 0x70, 0x004a0000);
    check_window(bench, "vga-lowmem", "pc.ram");
    /* Locked without G_SMRAME there is no SMRAM. */
    bench_free(bench);
    bench = open_bench(true);
    *state = bench;
    cfg_write8(bench, I440FX_FN, SMRAM, D_LCK);
    cfg_write8(bench, I440FX_FN, SMRAM, D_LCK | G_SMRAME | D_OPEN);
    assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), C_BASE | D_LCK);
    check_window(bench, "vga-lowmem", "vga-lowmem");
}

static uint8_t load8(gmem_space *space, uint64_t addr)
{
    uint8_t value = 0;

    assert_int_equal(gmem_ld8(space, addr, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static void store8(gmem_space *space, uint64_t addr, uint8_t value)
{
    assert_int_equal(gmem_st8(space, addr, GMEM_ATTRS_NONE, value), GMEM_OK);
}

/* What was put there is not seen from outside once it is closed, nor changed, but seen in the mode. */
static void test_hidden(void **state)
{
    struct bench *bench = *state;
    gmem_space *outside = machine_memory(bench->machine), *inside = machine_smram_space(bench->machine);
    uint8_t behind;

    cfg_write8(bench, I440FX_FN, SMRAM, G_SMRAME);
    behind = load8(outside, 0xa8000);
    cfg_write8(bench, I440FX_FN, SMRAM, G_SMRAME | D_OPEN);
    for (uint64_t addr = 0xa0000; addr < 0xc0000; addr += 0x1000)
        store8(outside, addr, (uint8_t)(addr >> 12) | 1);
    assert_int_equal(load8(inside, 0xa8000), 0xa9);
    cfg_write8(bench, I440FX_FN, SMRAM, G_SMRAME | D_LCK);
    assert_int_equal(load8(outside, 0xa8000), behind);
    for (uint64_t addr = 0xa0000; addr < 0xc0000; addr += 0x1000)
        store8(outside, addr, 0);
    for (uint64_t addr = 0xa0000; addr < 0xc0000; addr += 0x1000)
        assert_int_equal(load8(inside, addr), (uint8_t)(addr >> 12) | 1);
    store8(inside, 0xb8000, 0x77);
    assert_int_equal(load8(inside, 0xb8000), 0x77);
    /* RAM elsewhere is the same in both. */
    store8(inside, 0x38000, 0x66);
    assert_int_equal(load8(outside, 0x38000), 0x66);
}

/* A machine without VGA: from outside nothing is there, which reads as ones; not the RAM behind it. */
static void test_no_vga(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, false);
    uint8_t value = 0;

    (void)state;
    config.smm = true;
    bench_open(bench, &config);
    cfg_write8(bench, I440FX_FN, SMRAM, G_SMRAME | D_OPEN);
    store8(machine_memory(bench->machine), 0xa8000, 0x12);
    cfg_write8(bench, I440FX_FN, SMRAM, G_SMRAME | D_LCK);
    check_window(bench, "smram-pci", "pc.ram");
    assert_int_equal(gmem_ld8(machine_memory(bench->machine), 0xa8000, GMEM_ATTRS_NONE, &value), GMEM_RESULT_DECODE);
    assert_int_equal(value, 0xff);
    assert_int_equal(gmem_st8(machine_memory(bench->machine), 0xa8000, GMEM_ATTRS_NONE, 0), GMEM_RESULT_DECODE);
    assert_int_equal(load8(machine_smram_space(bench->machine), 0xa8000), 0x12);
    bench_free(bench);
}

/* From creation to the first write SMRAM is shown to the mode, whatever that write says; PAM is such a write. */
static void test_at_creation(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM) & G_SMRAME, 0);
    check_window(bench, "vga-lowmem", "pc.ram");
    cfg_write8(bench, I440FX_FN, 0x70, 0xff);
    check_window(bench, "vga-lowmem", "pc.ram");
    cfg_write8(bench, I440FX_FN, PAM0, 0x30);
    check_window(bench, "vga-lowmem", "vga-lowmem");
    /* PAM shows in the mode too. */
    assert_string_equal(seen_in(machine_smram_space(bench->machine), 0xf0000), "pc.ram");
    bench_free(bench);
    bench = open_bench(true);
    *state = bench;
    cfg_write8(bench, I440FX_FN, SMRAM, D_LCK);
    check_window(bench, "vga-lowmem", "vga-lowmem");
}

/* A write is one commit for all spaces, and one that is refused leaves all as they were, until the next. */
static void test_refused(void **state)
{
    static const struct {
        uint8_t from, to;
        const char *outside, *inside; /* of from */
    } cases[] = {
        {0, G_SMRAME | D_OPEN, "vga-lowmem", "vga-lowmem"},
        {G_SMRAME, G_SMRAME | D_OPEN, "vga-lowmem", "pc.ram"},
        {G_SMRAME | D_OPEN, 0, "pc.ram", "pc.ram"},
        {G_SMRAME | D_OPEN, G_SMRAME | D_LCK, "pc.ram", "pc.ram"},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool locks = cases[i].to & D_LCK;
        struct gmem_vm_stats before, after;

        cfg_write8(bench, I440FX_FN, SMRAM, cases[i].from);
        bench->logs = 0;
        bench->refuse_gpa = 0;
        cfg_write8(bench, I440FX_FN, SMRAM, cases[i].to);
        assert_true(bench->logs > 0);
        assert_non_null(strstr(bench->last_log, "i440FX"));
        check_window(bench, cases[i].outside, cases[i].inside);
        assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), cases[i].to | C_BASE);
        bench->refuse_gpa = UINT64_MAX;
        gmem_vm_stats(machine_vm(bench->machine), &before);
        cfg_write8(bench, I440FX_FN, SMRAM, cases[i].to);
        gmem_vm_stats(machine_vm(bench->machine), &after);
        assert_int_equal(after.commits - before.commits, 1);
        check_window(bench, (cases[i].to & D_OPEN) && !locks ? "pc.ram" : "vga-lowmem",
                     cases[i].to & G_SMRAME ? "pc.ram" : "vga-lowmem");
    }
}

struct nth {
    unsigned calls, refused;
};

static int refuse_nth(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct nth *nth = opaque;

    (void)call;
    return nth->calls++ == nth->refused ? -EINVAL : 0;
}

/* Whichever slot call is refused while it is put together, the machine does not come about, and leaves nothing. */
static void test_refused_at_creation(void **state)
{
    (void)state;
    for (unsigned vga = 0; vga < 2; vga++) {
        struct nth nth = {0, 0};

        for (bool created = false; !created; nth.refused++) {
            struct bench *bench = bench_new();
            struct pc_config config = bench_config(bench, MEMORY, vga);
            struct pc_error error = {""};
            int err;

            config.smm = true;
            config.set = refuse_nth;
            config.set_opaque = &nth;
            nth.calls = 0;
            err = machine_create(&config, &bench->machine, &error);
            created = nth.calls <= nth.refused;
            assert_int_equal(err, created ? 0 : -EINVAL);
            if (created)
                check_window(bench, vga ? "vga-lowmem" : "smram-pci", "pc.ram");
            else
                assert_non_null(strstr(error.text, "can't be"));
            bench_free(bench);
        }
        assert_true(nth.refused > 8);
    }
}

/* Without the mode there is no space for it, and the register works all the same. */
static void test_without(void **state)
{
    struct bench *bench = open_bench(false);

    (void)state;
    assert_null(machine_smram_space(bench->machine));
    cfg_write8(bench, I440FX_FN, SMRAM, G_SMRAME | D_OPEN);
    assert_string_equal(seen_at(bench, 0xa0000), "pc.ram");
    cfg_write8(bench, I440FX_FN, SMRAM, G_SMRAME | D_LCK);
    assert_string_equal(seen_at(bench, 0xa0000), "vga-lowmem");
    bench_free(bench);
}

/* The chip alone, on a bus, with wires that remember. */
struct chip {
    struct ports ports;
    gmem_region *pci_memory;
    struct pc_hooks hooks;
    struct pci_bus *bus;
    struct wire sci, smi;
    struct piix4_pm *pm;
};

static void chip_config32(struct chip *chip, unsigned offset, uint32_t value)
{
    assert_int_equal(gmem_st32_le(chip->ports.space, 0xcf8, GMEM_ATTRS_NONE, 0x80000000u | PM_FN << 8 | offset),
                     GMEM_OK);
    assert_int_equal(gmem_st32_le(chip->ports.space, 0xcfc, GMEM_ATTRS_NONE, value), GMEM_OK);
}

static uint32_t chip_config(struct chip *chip, unsigned offset)
{
    uint32_t value;

    assert_int_equal(gmem_st32_le(chip->ports.space, 0xcf8, GMEM_ATTRS_NONE, 0x80000000u | PM_FN << 8 | offset),
                     GMEM_OK);
    assert_int_equal(gmem_ld32_le(chip->ports.space, 0xcfc, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static void chip_open(struct chip *chip, bool smm)
{
    struct piix4_pm_config config = {.clock = pc_clock_host(), .smm = smm};

    memset(chip, 0, sizeof(*chip));
    ports_open(&chip->ports);
    assert_int_equal(gmem_region_create_container(chip->ports.vm, "pci", GMEM_SIZE_ALL, NULL, &chip->pci_memory), 0);
    assert_int_equal(
        pci_bus_create(chip->ports.vm, chip->pci_memory, chip->ports.io, chip->ports.system, &chip->hooks, &chip->bus),
        0);
    config.sci = wire_irq(&chip->sci);
    config.smi = wire_irq(&chip->smi);
    assert_int_equal(piix4_pm_create(chip->bus, &config, &chip->pm), 0);
    chip_config32(chip, 0x40, 0x601);
    chip_config32(chip, 0x80, 1);
}

static void chip_close(struct chip *chip)
{
    piix4_pm_destroy(chip->pm);
    pci_bus_destroy(chip->bus);
    gmem_region_unref(chip->pci_memory);
    ports_close(&chip->ports);
}

/* An SMI takes a write to APMC, APMC_EN and SMI_EN; APMS is only kept. */
static void test_smi(void **state)
{
    struct chip chip;
    unsigned expected = 0;

    (void)state;
    chip_open(&chip, true);
    assert_int_equal(chip_config(&chip, 0x58), 0);
    for (unsigned bits = 0; bits < 4; bits++) {
        bool apmc = bits & 1, smi = bits & 2;

        chip_config32(&chip, 0x58, apmc ? 0x02000000 : 0xfdffffff);
        assert_int_equal(gmem_st32_le(chip.ports.space, 0x628, GMEM_ATTRS_NONE, smi ? 0x00010001u : 0xfffffffeu),
                         GMEM_OK);
        outb(&chip.ports, 0xb2, (uint8_t)(0x40 + bits));
        expected += apmc && smi;
        assert_int_equal(chip.smi.rises, expected);
        assert_int_equal(chip.smi.level, 0);
        assert_int_equal(inb(&chip.ports, 0xb2), 0x40 + bits);
        outb(&chip.ports, 0xb3, (uint8_t)(0x50 + bits));
        assert_int_equal(inb(&chip.ports, 0xb3), 0x50 + bits);
        assert_int_equal(chip.smi.rises, expected);
    }
    assert_int_equal(expected, 1);
    /* Each write is one; a word is a write to each of the two. */
    outb(&chip.ports, 0xb2, 0x43);
    assert_int_equal(chip.smi.rises, 2);
    assert_int_equal(gmem_st16_le(chip.ports.space, 0xb2, GMEM_ATTRS_NONE, 0x1234), GMEM_OK);
    assert_int_equal(chip.smi.rises, 3);
    assert_int_equal(inb(&chip.ports, 0xb3), 0x12);
    /* GLBCTL is kept, byte by byte. */
    assert_int_equal(gmem_st8(chip.ports.space, 0x62a, GMEM_ATTRS_NONE, 0x05), GMEM_OK);
    assert_int_equal(inb(&chip.ports, 0x628), 1);
    assert_int_equal(inb(&chip.ports, 0x62a), 5);
    outb(&chip.ports, 0x628, 0);
    outb(&chip.ports, 0xb2, 0x43);
    assert_int_equal(chip.smi.rises, 3);
    chip_close(&chip);
}

/* Commands that switch ACPI on and off do so with the mode as without, and are SMIs where it is set up. */
static void test_acpi_commands(void **state)
{
    (void)state;
    for (unsigned smm = 0; smm < 2; smm++) {
        struct chip chip;
        uint16_t control;

        chip_open(&chip, smm);
        chip_config32(&chip, 0x58, 0x02000000);
        assert_int_equal(gmem_st32_le(chip.ports.space, 0x628, GMEM_ATTRS_NONE, 1), smm ? GMEM_OK : GMEM_RESULT_DECODE);
        outb(&chip.ports, 0xb2, 0xf1);
        assert_int_equal(gmem_ld16_le(chip.ports.space, 0x604, GMEM_ATTRS_NONE, &control), GMEM_OK);
        assert_int_equal(control, 1);
        assert_int_equal(chip.smi.rises, smm);
        outb(&chip.ports, 0xb2, 0xf0);
        assert_int_equal(gmem_ld16_le(chip.ports.space, 0x604, GMEM_ATTRS_NONE, &control), GMEM_OK);
        assert_int_equal(control, 0);
        assert_int_equal(chip.smi.rises, 2 * smm);
        chip_close(&chip);
    }
}

/* Without the mode the firmware is told that it is set up, and there is no GLBCTL. */
static void test_smi_without(void **state)
{
    struct bench *bench = open_bench(false);

    (void)state;
    assert_int_equal(cfg_read32(bench, PM_FN, 0x58), 0x02000000);
    cfg_write32(bench, PM_FN, 0x40, 0x601);
    cfg_write8(bench, PM_FN, 0x80, 1);
    out32(bench, 0x628, 1);
    assert_int_equal(in32(bench, 0x628), 0xffffffff);
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value),
        cmocka_unit_test_setup_teardown(test_every_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hidden, setup, teardown),
        cmocka_unit_test(test_no_vga),
        cmocka_unit_test_setup_teardown(test_at_creation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test(test_refused_at_creation),
        cmocka_unit_test(test_without),
        cmocka_unit_test(test_smi),
        cmocka_unit_test(test_acpi_commands),
        cmocka_unit_test(test_smi_without),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
