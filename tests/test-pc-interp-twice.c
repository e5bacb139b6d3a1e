/* SPDX-License-Identifier: MIT */
/*
 * test-pc-interp-twice.c - two interpreted boots of SeaBIOS are the same: slot calls and configuration writes to the byte, what the
 * firmware says, how many instructions and how much time that took, and all of memory. One of the two is held and let go
 * all the time.
 *
 * Skipped without the package seabios.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>

#include "cpu.h"
#include "pc-machine.h"
#include "pc-seabios.h"

#define MEMORY (UINT64_C(128) << 20)
#define END "No bootable device."

struct run {
    struct bench *bench;
    struct pc_cpus_stats stats;
    uint64_t hash;
};

/* No instruction follows the one that ended the text. */
static void freeze_at_end(void *opaque, char c)
{
    struct bench *bench = opaque;
    unsigned len;

    bench_console(opaque, c);
    len = atomic_load(&bench->console_len);
    if (len >= strlen(END) && memcmp(bench->console + len - strlen(END), END, strlen(END)) == 0)
        machine_freeze(bench->machine);
}

static void hash(gmem_space *space, uint64_t first, uint64_t size, uint64_t *hash)
{
    uint64_t words[512];

    for (uint64_t addr = first; addr < first + size; addr += sizeof(words)) {
        assert_int_equal(gmem_space_read(space, addr, GMEM_ATTRS_NONE, words, sizeof(words)), GMEM_OK);
        for (unsigned i = 0; i < 512; i++)
            *hash = (*hash ^ words[i]) * 1099511628211u;
    }
}

/* disturbed: with the processors held and let go all the time. */
static void boot(struct run *run, const struct seabios *files, const struct pc_config *options, bool disturbed)
{
    struct pc_config config;

    run->bench = bench_new();
    config = bench_config(run->bench, MEMORY, true);
    config.accel = PC_ACCEL_INTERP;
    config.policy = options->policy;
    config.cpus = options->cpus;
    config.smm = options->smm;
    config.vapic = options->vapic;
    config.hooks.console = freeze_at_end;
    seabios_start(run->bench, files, config);
    for (unsigned i = 0; disturbed && i < 100000 && !seabios_at_end(run->bench); i++) {
        machine_hold(run->bench->machine, true);
        machine_hold(run->bench->machine, false);
        sched_yield();
    }
    seabios_wait(run->bench);
    machine_stop(run->bench->machine);
    assert_int_equal(run->bench->logs, 0);
    assert_true(machine_executed(run->bench->machine, &run->stats));
    run->hash = 14695981039346656037u;
    hash(machine_memory(run->bench->machine), 0, MEMORY, &run->hash);
    if (config.smm)
        hash(machine_smram_space(run->bench->machine), 0xa0000, 0x20000, &run->hash);
}

static void twice(const struct pc_config *options)
{
    struct seabios files;
    struct run one, two;

    seabios_load(&files);
    boot(&one, &files, options, false);
    boot(&two, &files, options, true);
    assert_true(one.stats.instructions > 1000000);
    assert_int_equal(one.stats.instructions, two.stats.instructions);
    assert_int_equal(one.stats.virtual_ns, two.stats.virtual_ns);
    assert_string_equal(one.bench->console, two.bench->console);
    assert_true(strlen(one.bench->lines) > 1000);
    assert_string_equal(one.bench->lines, two.bench->lines);
    assert_true(one.hash == two.hash);
    bench_free(one.bench);
    bench_free(two.bench);
    seabios_free(&files);
}

static void test_one_processor(void **state)
{
    (void)state;
    twice(&(struct pc_config){.cpus = 1, .policy = GMEM_KVM_POLICY_REFERENCE});
}

static void test_two_processors(void **state)
{
    (void)state;
    twice(&(struct pc_config){.cpus = 2, .policy = GMEM_KVM_POLICY_KEEP, .vapic = true});
}

static void test_system_management_mode(void **state)
{
    (void)state;
    twice(&(struct pc_config){.cpus = 2, .policy = GMEM_KVM_POLICY_KEEP, .smm = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_processor),
        cmocka_unit_test(test_two_processors),
        cmocka_unit_test(test_system_management_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
