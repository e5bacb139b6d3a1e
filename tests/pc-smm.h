/* SPDX-License-Identifier: MIT */
/* An interpreted machine with system management mode, for tests. Include after cmocka.h. */
#ifndef GMEM_TESTS_PC_SMM_H
#define GMEM_TESTS_PC_SMM_H

#include "pc-machine.h"

#define I440FX_FN PCI_DEVFN(0, 0)
#define SMRAM 0x72u
#define MEMORY (UINT64_C(16) << 20)
#define WAIT 60u

static inline struct pc_config smm_config(struct bench *bench, bool vga)
{
    struct pc_config config = bench_config(bench, MEMORY, vga);

    config.accel = PC_ACCEL_INTERP;
    config.policy = GMEM_KVM_POLICY_KEEP;
    config.smm = true;
    return config;
}

static inline void open_guest(struct bench *bench, const struct pc_config *config)
{
    struct pc_error error = {""};

    bench_open(bench, config);
    if (machine_start(bench->machine, &error))
        fail_msg("not started: %s", error.text);
}

static inline uint32_t smm32(struct bench *bench, uint64_t addr)
{
    uint32_t value = 0;

    assert_int_equal(gmem_ld32_le(machine_smram_space(bench->machine), addr, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static inline uint32_t ram32(struct bench *bench, uint64_t addr)
{
    uint32_t value = 0;

    assert_int_equal(gmem_ld32_le(machine_memory(bench->machine), addr, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

/* From outside of the processors. */
static inline void send_smi(struct bench *bench)
{
    machine_lock(bench->machine);
    out8(bench, 0xb2, 1);
    machine_unlock(bench->machine);
}

#endif
