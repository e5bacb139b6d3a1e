/* SPDX-License-Identifier: MIT */
/*
 * test-pc-smm-boot.c - SeaBIOS sets up system management mode on the interpreter, its handler works, and it does so in the same way
 * each time.
 *
 * Skipped without the package seabios.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "firmware.h"
#include "cpu.h"
#include "pc-smm.h"
#include "vga.h"

#define PM_FN PCI_DEVFN(1, 3)
#define FIRMWARE_WAIT 120u

static bool at_end(struct bench *bench)
{
    return memmem(bench->console, atomic_load(&bench->console_len), "No bootable device.", 19) ||
           atomic_load(&bench->event);
}

/* Each SMI writes it, and RSM does not read it: it tells that one came. */
#define REVISION 0xafefcu
#define SENTINEL 0x600df00du

static bool was_saved(struct bench *bench)
{
    return atomic_load(&bench->event) || smm32(bench, REVISION) != SENTINEL;
}

struct files {
    void *bios, *rom;
    size_t bios_len, rom_len;
};

static void files_load(struct files *files)
{
    struct pc_error error = {""};

    if (firmware_load(FIRMWARE_BIOS, PC_FIRMWARE_UNIT, PC_FIRMWARE_MAX, &files->bios, &files->bios_len, &error)) {
        print_message("%s\n", error.text);
        skip();
    }
    if (firmware_load(FIRMWARE_VGA_ROM, 1, VGA_OPTION_ROM_MAX, &files->rom, &files->rom_len, &error)) {
        print_message("%s\n", error.text);
        free(files->bios);
        skip();
    }
}

static void files_free(struct files *files)
{
    free(files->bios);
    free(files->rom);
}

/* Nothing is carried out after the last of the text: what else is written is no matter of when who waits for it looks. */
static void end_at_text(void *opaque, char c)
{
    struct bench *bench = opaque;

    bench_console(bench, c);
    if (c == '.' && at_end(bench))
        machine_freeze(bench->machine);
}

/* SeaBIOS, come to its end: waiting, or with nothing carried out after it. */
static struct bench *booted(const struct files *files, bool frozen)
{
    struct bench *bench = bench_new();
    struct pc_config config = smm_config(bench, true);

    config.memory = UINT64_C(64) << 20;
    config.firmware = files->bios;
    config.firmware_len = files->bios_len;
    config.vga_rom = files->rom;
    config.vga_rom_len = files->rom_len;
    if (frozen)
        config.hooks.console = end_at_text;
    open_guest(bench, &config);
    if (!wait_until(at_end, bench, FIRMWARE_WAIT) || atomic_load(&bench->event))
        fail_msg("the firmware did not come to its end: %s\n%s", bench->event_text, bench->console);
    return bench;
}

/* SeaBIOS sets the mode up: it relocates, leaves its entry in SMRAM, closes that, and an SMI afterwards comes there and back. */
static void test_seabios(void **state)
{
    struct files files;
    struct bench *bench;
    gmem_space *smm;

    (void)state;
    files_load(&files);
    bench = booted(&files, false);
    smm = machine_smram_space(bench->machine);
    machine_lock(bench->machine);
    assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), 0x0a);
    assert_int_equal(cfg_read32(bench, PM_FN, 0x58) & 0x02000000, 0x02000000);
    assert_int_equal(in32(bench, 0x628) & 1, 1);
    assert_int_equal(in8(bench, 0xb3), 0);
    machine_unlock(bench->machine);
    assert_string_equal(seen_at(bench, 0xa8000), "vga-lowmem");
    /* mov ax, cs; jmp 0xf000:... */
    assert_int_equal(smm32(bench, 0xa8000) & 0xffffff, 0xeac88c);
    assert_int_equal(smm32(bench, 0xa8004) >> 8 & 0xffff, 0xf000);
    /* Where it was before the relocation, RAM is as it was. */
    assert_int_equal(ram32(bench, 0x38000), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(gmem_st32_le(smm, REVISION, GMEM_ATTRS_NONE, SENTINEL), GMEM_OK);
        send_smi(bench);
        if (!wait_until(was_saved, bench, WAIT) || atomic_load(&bench->event))
            fail_msg("no SMI came: %s", bench->event_text);
        assert_int_equal(smm32(bench, 0xafef8), 0xa0000);
        assert_int_equal(smm32(bench, REVISION), 0x20000);
    }
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 0);
    assert_int_equal(bench->logs, 0);
    bench_free(bench);
    files_free(&files);
}

/* Host addresses are each run's own. */
static void without_addresses(char *lines)
{
    for (char *at = lines; (at = strstr(at, " ua=0x"));)
        memmove(at, at + 6 + strspn(at + 6, "0123456789abcdef"),
                strlen(at + 6 + strspn(at + 6, "0123456789abcdef")) + 1);
}

/* With the mode, too, two runs are the same. */
static void test_same_again(void **state)
{
    struct files files;
    struct bench *runs[2];
    struct pc_cpus_stats stats[2];

    (void)state;
    files_load(&files);
    for (unsigned i = 0; i < 2; i++) {
        runs[i] = booted(&files, true);
        machine_stop(runs[i]->machine);
        assert_true(machine_executed(runs[i]->machine, &stats[i]));
        without_addresses(runs[i]->lines);
    }
    assert_string_equal(runs[0]->console, runs[1]->console);
    assert_string_equal(runs[0]->lines, runs[1]->lines);
    assert_true(strlen(runs[0]->lines) > 1000);
    assert_int_equal(stats[0].instructions, stats[1].instructions);
    assert_int_equal(stats[0].virtual_ns, stats[1].virtual_ns);
    bench_free(runs[0]);
    bench_free(runs[1]);
    files_free(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seabios),
        cmocka_unit_test(test_same_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
