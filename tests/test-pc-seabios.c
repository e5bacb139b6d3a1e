/* SPDX-License-Identifier: MIT */
/*
 * test-pc-seabios.c - Debian's SeaBIOS on KVM and interpreted: it boots until it has found nothing to boot from, what it shows can be read from
 * the screen, and two machines boot side by side in this process.
 *
 * Skipped without the package seabios, and on KVM without /dev/kvm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "firmware.h"
#include "pc-machine.h"
#include "vga.h"

/* Each character goes to the log before it goes to the screen, so the last one may be missing there. */
#define SHOWN "No bootable device"
#define END SHOWN "."
#define WAIT 120u
#define COLUMNS 80u
#define ROWS 25u

struct files {
    void *bios, *rom;
    size_t bios_len, rom_len;
};

static void files_load(struct files *files, enum pc_accel accel)
{
    struct pc_error error = {""};

    if (accel == PC_ACCEL_KVM && !have_kvm())
        skip();
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

static struct bench *boot(const struct files *files, enum pc_accel accel, uint64_t memory, unsigned cpus, bool vga)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, memory, vga);
    struct pc_error error = {""};

    config.accel = accel;
    config.set = NULL;
    config.policy = GMEM_KVM_POLICY_KEEP;
    config.cpus = cpus;
    config.firmware = files->bios;
    config.firmware_len = files->bios_len;
    if (vga) {
        config.vga_rom = files->rom;
        config.vga_rom_len = files->rom_len;
    }
    bench_open(bench, &config);
    if (machine_start(bench->machine, &error))
        fail_msg("not started: %s", error.text);
    return bench;
}

static bool at_end(struct bench *bench)
{
    return memmem(bench->console, atomic_load(&bench->console_len), END, strlen(END)) || atomic_load(&bench->event);
}

static void check_end(struct bench *bench, unsigned cpus)
{
    char found[64];

    snprintf(found, sizeof(found), "Found %u cpu(s) max supported %u cpu(s)", cpus, cpus);
    if (!wait_until(at_end, bench, WAIT))
        fail_msg("the firmware did not come to its end:\n%s", bench->console);
    machine_stop(bench->machine);
    if (atomic_load(&bench->event))
        fail_msg("%s", bench->event_text);
    assert_non_null(strstr(bench->console, found));
    assert_int_equal(bench->logs, 0);
}

/* The screen's characters, a line each. */
static void read_screen(struct bench *bench, char *text)
{
    gmem_space *memory = machine_memory(bench->machine);

    for (unsigned row = 0; row < ROWS; row++) {
        for (unsigned column = 0; column < COLUMNS; column++) {
            uint16_t cell;
            uint8_t c;

            assert_int_equal(gmem_ld16_le(memory, 0xb8000 + 2 * (row * COLUMNS + column), GMEM_ATTRS_NONE, &cell),
                             GMEM_OK);
            c = (uint8_t)cell;
            *text++ = c >= 32 && c < 127 ? (char)c : ' ';
        }
        *text++ = '\n';
    }
    *text = 0;
}

static void boot_and_look(enum pc_accel accel)
{
    char screen[ROWS * (COLUMNS + 1) + 1];
    struct files files = {NULL, NULL, 0, 0};
    struct bench *bench;

    files_load(&files, accel);
    bench = boot(&files, accel, UINT64_C(256) << 20, 1, true);
    check_end(bench, 1);
    read_screen(bench, screen);
    if (!strstr(screen, "SeaBIOS (version") || !strstr(screen, SHOWN))
        fail_msg("the screen shows:\n%s", screen);
    bench_free(bench);
    files_free(&files);
}

static void boot_two(enum pc_accel one_accel, enum pc_accel two_accel)
{
    struct files files = {NULL, NULL, 0, 0};
    struct bench *one, *two;

    files_load(&files, one_accel);
    one = boot(&files, one_accel, UINT64_C(128) << 20, 1, true);
    two = boot(&files, two_accel, UINT64_C(5) << 30, 2, false);
    check_end(one, 1);
    check_end(two, 2);
    assert_string_equal(seen_at(one, 0x100000000), "");
    assert_string_equal(seen_at(two, 0x100000000), "pc.ram");
    bench_free(one);
    bench_free(two);
    files_free(&files);
}

static void test_screen(void **state)
{
    (void)state;
    boot_and_look(PC_ACCEL_KVM);
}

static void test_screen_interpreted(void **state)
{
    (void)state;
    boot_and_look(PC_ACCEL_INTERP);
}

static void test_two_machines(void **state)
{
    (void)state;
    boot_two(PC_ACCEL_KVM, PC_ACCEL_KVM);
}

/* Of one process, whatever runs each. */
static void test_one_of_each(void **state)
{
    (void)state;
    boot_two(PC_ACCEL_KVM, PC_ACCEL_INTERP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screen),
        cmocka_unit_test(test_screen_interpreted),
        cmocka_unit_test(test_two_machines),
        cmocka_unit_test(test_one_of_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
