/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_cpu.c - what kind of processor an interpreted one is: its state after a reset and INIT, CPUID, and its MSRs.
 *
 * It is one of the P6 family without what can't be interpreted: floating point and paging. Intel 64 and IA-32 Architectures
 * Software Developer's Manual: volume 2, CPUID; volume 3, "processor state after reset", "memory type range registers", and "time
 * stamp counter" (a write of it by this family sets the low half and clears the high one).
 *
 * Runs on the processors' thread.
 */
#include "cpu_interp_internal.h"

#include <string.h>

#define CPUID_EXTENDED 0x80000000u
#define SIGNATURE 0x633u /* family 6, model 3 */
#define FEATURE_TSC (1u << 4)
#define FEATURE_MSR (1u << 5)
#define FEATURE_CX8 (1u << 8)
#define FEATURE_APIC (1u << 9)
#define FEATURE_MTRR (1u << 12)
#define FEATURE_CMOV (1u << 15)
#define FEATURE_HTT (1u << 28)

#define MSR_TSC 0x10u
#define MSR_APIC_BASE 0x1bu
#define MSR_MTRR_CAP 0xfeu
#define MSR_MTRR_VARIABLE 0x200u
#define MSR_MTRR_FIXED_64K 0x250u
#define MSR_MTRR_FIXED_16K 0x258u
#define MSR_MTRR_FIXED_4K 0x268u
#define MSR_MTRR_DEF_TYPE 0x2ffu

#define MTRR_CAP (INTERP_MTRR_VARIABLE | 1u << 8 | 1u << 10) /* fixed ranges; write combining */
#define MTRR_ADDRESS UINT64_C(0xffffff000)                   /* 36 bits */
#define MTRR_MASK_VALID 0x800u
#define MTRR_ENABLES 0xc00u

static void reset_segments(x86emu_regs_t *x86)
{
    for (unsigned i = 0; i < 6; i++)
        x86->seg[i] = (sel_t){.limit = 0xffff, .acc = i == R_CS_INDEX ? 0x9b : 0x93};
    x86->ldt = (sel_t){.limit = 0xffff, .acc = 0x82};
    x86->tr = (sel_t){.limit = 0xffff, .acc = 0x8b};
    x86->R_GDT_BASE = x86->R_IDT_BASE = 0;
    x86->R_GDT_LIMIT = x86->R_IDT_LIMIT = 0xffff;
}

/* What a reset and INIT have in common. */
static void reset_registers(struct interp_cpu *cpu)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t cache = x86->R_CR0 & CR0_CD_NW;

    memset(&x86->gen, 0, sizeof(x86->gen));
    memset(&x86->spc, 0, sizeof(x86->spc));
    memset(x86->crx, 0, sizeof(x86->crx));
    memset(x86->drx, 0, sizeof(x86->drx));
    reset_segments(x86);
    x86->R_CR0 = CR0_ET | cache;
    x86->R_DR6 = 0xffff0ff0;
    x86->R_DR7 = 0x400;
    x86->R_EFLG = 2;
    x86->R_EDX = SIGNATURE;
    x86->R_EIP = 0xfff0;
    x86->R_CS = 0xf000;
    x86->R_CS_BASE = 0xffff0000;
    x86->intr_type = 0;
    x86->instr_buf[0] = 0; /* the latest instruction is nothing that anybody looks for */
    cpu->rep.rest = 0;
    cpu->nmi_blocked = false;
    cpu->state = cpu->index ? INTERP_WAITS_FOR_SIPI : INTERP_RUNS;
}

void interp_reset(struct interp_cpu *cpu)
{
    cpu->emu->x86.R_CR0 = CR0_CD_NW;
    reset_registers(cpu);
    memset(&cpu->mtrr, 0, sizeof(cpu->mtrr));
    cpu_interp_smm_reset(&cpu->smm);
    interp_select(cpu);
}

void interp_init(struct interp_cpu *cpu)
{
    reset_registers(cpu);
    cpu->nmi = cpu->sipi = false;
}

void interp_sipi(struct interp_cpu *cpu, uint8_t vector)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;

    x86->R_CS = (u16)(vector << 8);
    x86->R_CS_BASE = (u32)vector << 12;
    x86->R_EIP = 0;
    cpu->state = INTERP_RUNS;
}

void interp_cpuid(x86emu_t *emu)
{
    const struct interp_cpu *cpu = emu->_private;
    unsigned count = cpu->cpus->count;
    x86emu_regs_t *x86 = &emu->x86;

    if (x86->R_EAX == 0) {
        x86->R_EAX = 1;
        x86->R_EBX = 0x756e6547; /* "GenuineIntel" */
        x86->R_EDX = 0x49656e69;
        x86->R_ECX = 0x6c65746e;
        return;
    }
    /* None of the extended leaves but the one that says so: read as leaf 1, firmware would take it for a count of them. */
    if (x86->R_EAX >> 16 == CPUID_EXTENDED >> 16) {
        x86->R_EAX = CPUID_EXTENDED;
        x86->R_EBX = x86->R_ECX = x86->R_EDX = 0;
        return;
    }
    /* Whatever is above the highest leaf reads as that. */
    x86->R_EAX = SIGNATURE;
    x86->R_EBX = cpu->index << 24 | (count > 1 ? count << 16 : 0);
    x86->R_ECX = 0;
    x86->R_EDX = FEATURE_TSC | FEATURE_MSR | FEATURE_CX8 | FEATURE_APIC | FEATURE_MTRR | FEATURE_CMOV |
                 (count > 1 ? FEATURE_HTT : 0);
}

/* A register that holds what is written to it; NULL: msr is none. Its bits that must be 0 are in *ret_reserved. */
static uint64_t *mtrr_register(struct interp_cpu *cpu, uint32_t msr, uint64_t *ret_reserved)
{
    *ret_reserved = 0;
    if (msr >= MSR_MTRR_VARIABLE && msr < MSR_MTRR_VARIABLE + 2 * INTERP_MTRR_VARIABLE) {
        *ret_reserved = ~(MTRR_ADDRESS | (msr & 1 ? MTRR_MASK_VALID : 0xff));
        return &cpu->mtrr.variable[msr - MSR_MTRR_VARIABLE];
    }
    if (msr == MSR_MTRR_FIXED_64K)
        return &cpu->mtrr.fixed[0];
    if (msr == MSR_MTRR_FIXED_16K || msr == MSR_MTRR_FIXED_16K + 1)
        return &cpu->mtrr.fixed[1 + msr - MSR_MTRR_FIXED_16K];
    if (msr >= MSR_MTRR_FIXED_4K && msr < MSR_MTRR_FIXED_4K + 8)
        return &cpu->mtrr.fixed[3 + msr - MSR_MTRR_FIXED_4K];
    *ret_reserved = ~(uint64_t)(MTRR_ENABLES | 0xff);
    return msr == MSR_MTRR_DEF_TYPE ? &cpu->mtrr.def_type : NULL;
}

/* Uncacheable, write combining, write-through, write-protected, write-back. */
static bool is_memory_type(uint64_t byte)
{
    return byte <= 1 || (byte >= 4 && byte <= 6);
}

static bool mtrr_valid(uint32_t msr, uint64_t value)
{
    bool fixed = msr >= MSR_MTRR_FIXED_64K && msr < MSR_MTRR_DEF_TYPE;

    if (msr < MSR_MTRR_FIXED_64K && msr & 1)
        return true;
    for (unsigned i = 0; i < (fixed ? 8u : 1u); i++) {
        if (!is_memory_type(value >> (8 * i) & 0xff))
            return false;
    }
    return true;
}

static uint64_t apic_base(struct interp_cpu *cpu)
{
    uint64_t value;

    interp_lock(cpu);
    value = irqchip_apic_base(cpu->cpus->interp.irqchip, cpu->index);
    interp_unlock(cpu->cpus);
    return value;
}

static int set_apic_base(struct interp_cpu *cpu, uint64_t value)
{
    int err;

    interp_lock(cpu);
    err = irqchip_set_apic_base(cpu->cpus->interp.irqchip, cpu->index, value);
    interp_unlock(cpu->cpus);
    return err;
}

void interp_rdmsr(x86emu_t *emu)
{
    struct interp_cpu *cpu = emu->_private;
    uint64_t value, reserved, *mtrr;

    switch (emu->x86.R_ECX) {
    case MSR_TSC:
        value = emu->x86.R_TSC;
        break;
    case MSR_APIC_BASE:
        value = apic_base(cpu);
        break;
    case MSR_MTRR_CAP:
        value = MTRR_CAP;
        break;
    default:
        mtrr = mtrr_register(cpu, emu->x86.R_ECX, &reserved);
        if (!mtrr)
            interp_abort(cpu, VECTOR_GP, 0);
        value = *mtrr;
        break;
    }
    emu->x86.R_EAX = (u32)value;
    emu->x86.R_EDX = (u32)(value >> 32);
}

static void set_tsc(struct interp_cpu *cpu, uint32_t value)
{
    uint64_t left = cpu->emu->max_instr - cpu->emu->x86.R_TSC;
    uint64_t tick = interp_tick(cpu);

    cpu->emu->x86.R_TSC = value;
    cpu->emu->max_instr = value + left;
    cpu->tsc_offset = value - tick;
}

void interp_wrmsr(x86emu_t *emu)
{
    struct interp_cpu *cpu = emu->_private;
    uint64_t value = (uint64_t)emu->x86.R_EDX << 32 | emu->x86.R_EAX, reserved, *mtrr;
    uint32_t msr = emu->x86.R_ECX;

    switch (msr) {
    case MSR_TSC:
        set_tsc(cpu, (uint32_t)value);
        return;
    case MSR_APIC_BASE:
        if (set_apic_base(cpu, value))
            interp_abort(cpu, VECTOR_GP, 0);
        return;
    default:
        mtrr = mtrr_register(cpu, msr, &reserved);
        if (!mtrr || (value & reserved) || !mtrr_valid(msr, value))
            interp_abort(cpu, VECTOR_GP, 0);
        *mtrr = value;
        return;
    }
}
