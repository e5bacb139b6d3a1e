/* SPDX-License-Identifier: MIT */
/*
 * test-pc-seabios.c - Debian's SeaBIOS on KVM and interpreted: it boots until it has found nothing to boot from, what it shows can be read from
 * the screen, and machines boot side by side in this process.
 *
 * Skipped without the package seabios, and on KVM without /dev/kvm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-machine.h"
#include "pc-seabios.h"

#define SHOWN "No bootable device" /* the last character goes to the log before it goes to the screen */
#define COLUMNS 80u
#define ROWS 25u

static struct bench *boot(const struct seabios *files, enum pc_accel accel, uint64_t memory, unsigned cpus, bool vga)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, memory, vga);

    config.accel = accel;
    config.set = NULL;
    config.policy = GMEM_KVM_POLICY_KEEP;
    config.cpus = cpus;
    seabios_start(bench, files, config);
    return bench;
}

static void check_end(struct bench *bench, unsigned cpus)
{
    char found[64];

    snprintf(found, sizeof(found), "Found %u cpu(s) max supported %u cpu(s)", cpus, cpus);
    seabios_wait(bench);
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 0);
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
    struct seabios files;
    struct bench *bench;

    seabios_load(&files);
    bench = boot(&files, accel, UINT64_C(256) << 20, 1, true);
    check_end(bench, 1);
    read_screen(bench, screen);
    if (!strstr(screen, "SeaBIOS (version") || !strstr(screen, SHOWN))
        fail_msg("the screen shows:\n%s", screen);
    bench_free(bench);
    seabios_free(&files);
}

static void test_screen(void **state)
{
    (void)state;
    if (!have_kvm())
        skip();
    boot_and_look(PC_ACCEL_KVM);
}

static void test_screen_interpreted(void **state)
{
    (void)state;
    boot_and_look(PC_ACCEL_INTERP);
}

/* In one process, whatever runs each. */
static void boot_beside(const enum pc_accel accel[3])
{
    static const struct {
        uint64_t memory;
        unsigned cpus;
        bool vga;
    } kinds[3] = {{UINT64_C(128) << 20, 1, true}, {UINT64_C(5) << 30, 2, false}, {UINT64_C(64) << 20, 1, false}};
    struct bench *bench[3];
    struct seabios files;

    seabios_load(&files);
    for (unsigned i = 0; i < 3; i++)
        bench[i] = boot(&files, accel[i], kinds[i].memory, kinds[i].cpus, kinds[i].vga);
    for (unsigned i = 0; i < 3; i++) {
        check_end(bench[i], kinds[i].cpus);
        assert_string_equal(seen_at(bench[i], 0x100000000), kinds[i].memory >> 32 ? "pc.ram" : "");
    }
    for (unsigned i = 0; i < 3; i++)
        bench_free(bench[i]);
    seabios_free(&files);
}

static void test_beside(void **state)
{
    (void)state;
    if (!have_kvm())
        skip();
    boot_beside((const enum pc_accel[3]){PC_ACCEL_KVM, PC_ACCEL_KVM, PC_ACCEL_INTERP});
}

static void test_beside_interpreted(void **state)
{
    (void)state;
    boot_beside((const enum pc_accel[3]){PC_ACCEL_INTERP, PC_ACCEL_INTERP, PC_ACCEL_INTERP});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screen),
        cmocka_unit_test(test_screen_interpreted),
        cmocka_unit_test(test_beside),
        cmocka_unit_test(test_beside_interpreted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
