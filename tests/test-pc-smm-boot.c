/* SPDX-License-Identifier: MIT */
/*
 * test-pc-smm-boot.c - SeaBIOS sets up system management mode on the interpreter, and its handler works.
 *
 * Skipped without the package seabios.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-smm.h"
#include "pc-seabios.h"

#define PM_FN PCI_DEVFN(1, 3)

/* Each SMI writes it, and RSM does not read it: it tells that one came. */
#define REVISION 0xafefcu
#define SENTINEL 0x600df00du

static bool was_saved(struct bench *bench)
{
    return atomic_load(&bench->event) || smm32(bench, REVISION) != SENTINEL;
}

/* SeaBIOS, come to its end, and waiting. */
static struct bench *booted(const struct seabios *files)
{
    struct bench *bench = bench_new();
    struct pc_config config = smm_config(bench, true);

    config.memory = UINT64_C(64) << 20;
    seabios_start(bench, files, config);
    seabios_wait(bench);
    return bench;
}

/* SeaBIOS sets the mode up: it relocates, leaves its entry in SMRAM, closes that, and an SMI afterwards comes there and back. */
static void test_seabios(void **state)
{
    struct seabios files;
    struct bench *bench;
    gmem_space *smm;

    (void)state;
    seabios_load(&files);
    bench = booted(&files);
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
    seabios_free(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seabios),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
