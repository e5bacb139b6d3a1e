/* SPDX-License-Identifier: MIT */
/*
 * pc/lapic_regs.c - the registers of the local APIC (Intel SDM volume 3, chapter "APIC": the register address map, and the figure
 * of each).
 *
 * Each is 32 bits wide at a multiple of 16; what is between reads as 0 and takes nothing. An address without a register is an
 * error in the ESR. While the APIC is disabled by software (SVR), the masks of the LVT are set and can't be cleared.
 *
 * Runs under the machine's device lock.
 */
#include <string.h>

#include "lapic_internal.h"

#define REG_ID 0x020u
#define REG_VERSION 0x030u
#define REG_TPR 0x080u
#define REG_APR 0x090u
#define REG_PPR 0x0a0u
#define REG_EOI 0x0b0u
#define REG_RRD 0x0c0u
#define REG_LDR 0x0d0u
#define REG_DFR 0x0e0u
#define REG_SVR 0x0f0u
#define REG_ISR 0x100u
#define REG_TMR 0x180u
#define REG_IRR 0x200u
#define REG_ESR 0x280u
#define REG_ICR 0x300u
#define REG_ICR_HIGH 0x310u
#define REG_LVT 0x320u
#define REG_TIMER_INITIAL 0x380u
#define REG_TIMER_COUNT 0x390u
#define REG_TIMER_DIVIDE 0x3e0u
#define REG_STEP 0x10u

#define VERSION (0x14u | (LVT_COUNT - 1) << 16)
#define HIGH_BYTE 0xff000000u
#define DFR_FIXED 0x0fffffffu
#define SVR_WRITABLE 0x3ffu

#define ICR_LOGICAL 0x800u
#define ICR_ASSERT 0x4000u
#define ICR_LEVEL 0x8000u
#define ICR_SHORTHAND_SHIFT 18u
#define ICR_WRITABLE 0xccfffu

static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x300ff, [LVT_THERMAL] = 0x107ff, [LVT_PERFORMANCE] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

void lapic_reset_registers(struct lapic *apic)
{
    lapic_timer_stop(apic);
    apic->ldr = 0;
    apic->dfr = UINT32_MAX;
    apic->svr = 0xff;
    apic->tpr = 0;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        apic->lvt[i] = LVT_MASKED;
    if (apic->config.cpu == 0)
        apic->lvt[LVT_LINT0] = APIC_EXTINT << LVT_MODE_SHIFT; /* lapic.c says why */
    memset(apic->icr, 0, sizeof(apic->icr));
    apic->esr = 0;
    apic->errors = 0;
    memset(&apic->irr, 0, sizeof(apic->irr));
    memset(&apic->isr, 0, sizeof(apic->isr));
    memset(&apic->tmr, 0, sizeof(apic->tmr));
    apic->extint = false;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void write_icr(struct lapic *apic, uint32_t value)
{
    struct apic_message message = {
        .mode = value >> LVT_MODE_SHIFT & 7u,
        .vector = value & LVT_VECTOR,
        .dest = (uint8_t)(apic->icr[1] >> 24),
        .logical = (value & ICR_LOGICAL) != 0,
    };

    apic->icr[0] = value & ICR_WRITABLE;
    switch (message.mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (message.vector < APIC_VECTOR_FIRST) {
            lapic_error(apic, ESR_SEND_ILLEGAL);
            return;
        }
        break;
    case APIC_SMI:
    case APIC_NMI:
    case APIC_SIPI:
        break;
    case APIC_INIT:
        /* INIT level de-assert only sets arbitration ids, which nobody arbitrates with. */
        if (value & ICR_LEVEL && !(value & ICR_ASSERT))
            return;
        break;
    default:
        return;
    }
    apic->config.send(apic->config.opaque, apic->config.cpu, (enum apic_shorthand)(value >> ICR_SHORTHAND_SHIFT & 3u),
                      &message);
}

static void write_svr(struct lapic *apic, uint32_t value)
{
    apic->svr = value & SVR_WRITABLE;
    if (apic->svr & SVR_ENABLED)
        return;
    lapic_timer_write_lvt(apic, apic->lvt[LVT_TIMER] | LVT_MASKED);
    for (unsigned i = 0; i < LVT_COUNT; i++)
        apic->lvt[i] |= LVT_MASKED;
}

static void write_lvt(struct lapic *apic, unsigned i, uint32_t value)
{
    value &= lvt_writable[i];
    if (!(apic->svr & SVR_ENABLED))
        value |= LVT_MASKED;
    if (i == LVT_TIMER) {
        lapic_timer_write_lvt(apic, value);
        return;
    }
    /* The remote IRR is of level triggered interrupts only. */
    if (value & LVT_LEVEL && (value >> LVT_MODE_SHIFT & 7u) == APIC_FIXED)
        value |= apic->lvt[i] & LVT_REMOTE_IRR;
    apic->lvt[i] = value;
    if (i == LVT_LINT0 || i == LVT_LINT1)
        lapic_check_lint(apic, i - LVT_LINT0);
}

/* What decides which messages it takes. False: offset is none of these. */
static bool write_routing(struct lapic *apic, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case REG_ID:
        apic->id = value & HIGH_BYTE;
        break;
    case REG_LDR:
        apic->ldr = value & HIGH_BYTE;
        break;
    case REG_DFR:
        apic->dfr = value | DFR_FIXED;
        break;
    case REG_SVR:
        write_svr(apic, value);
        break;
    default:
        return false;
    }
    apic->config.retry(apic->config.opaque);
    return true;
}

static bool is_read_only(uint32_t offset)
{
    return offset == REG_VERSION || offset == REG_APR || offset == REG_PPR || offset == REG_RRD ||
           offset == REG_TIMER_COUNT || (offset >= REG_ISR && offset < REG_ESR);
}

static void write_register(struct lapic *apic, uint32_t offset, uint32_t value)
{
    if (offset >= REG_LVT && offset < REG_LVT + LVT_COUNT * REG_STEP) {
        write_lvt(apic, (offset - REG_LVT) / REG_STEP, value);
        return;
    }
    switch (offset) {
    case REG_TPR:
        apic->tpr = (uint8_t)value;
        break;
    case REG_EOI:
        lapic_end_of_interrupt(apic);
        break;
    case REG_ESR:
        apic->esr = apic->errors;
        apic->errors = 0;
        break;
    case REG_ICR:
        write_icr(apic, value);
        break;
    case REG_ICR_HIGH:
        apic->icr[1] = value & HIGH_BYTE;
        break;
    case REG_TIMER_INITIAL:
        lapic_timer_write_initial(apic, value);
        break;
    case REG_TIMER_DIVIDE:
        lapic_timer_write_divide(apic, value);
        break;
    default:
        if (!is_read_only(offset) && !write_routing(apic, offset, value))
            lapic_error(apic, ESR_REGISTER);
        break;
    }
}

void lapic_write(struct lapic *apic, uint32_t offset, uint32_t value)
{
    if (offset % REG_STEP != 0)
        return;
    write_register(apic, offset, value);
    lapic_update(apic);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

/* ISR, TMR or IRR. */
static uint32_t read_vectors(const struct lapic *apic, uint32_t offset)
{
    const struct lapic_vectors *sets[] = {&apic->isr, &apic->tmr, &apic->irr};
    uint32_t word = (offset - REG_ISR) / REG_STEP;

    return sets[word / VECTOR_WORDS]->words[word % VECTOR_WORDS];
}

static uint32_t read_register(struct lapic *apic, uint32_t offset)
{
    if (offset >= REG_ISR && offset < REG_ESR)
        return read_vectors(apic, offset);
    if (offset >= REG_LVT && offset < REG_LVT + LVT_COUNT * REG_STEP)
        return apic->lvt[(offset - REG_LVT) / REG_STEP];
    switch (offset) {
    case REG_ID:
        return apic->id;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return apic->tpr;
    case REG_APR:
        return lapic_arbitration(apic);
    case REG_PPR:
        return lapic_ppr(apic);
    case REG_EOI: /* written only */
    case REG_RRD: /* nobody answers remote reads */
        return 0;
    case REG_LDR:
        return apic->ldr;
    case REG_DFR:
        return apic->dfr;
    case REG_SVR:
        return apic->svr;
    case REG_ESR:
        return apic->esr;
    case REG_ICR:
        return apic->icr[0];
    case REG_ICR_HIGH:
        return apic->icr[1];
    case REG_TIMER_INITIAL:
        return apic->timer.initial;
    case REG_TIMER_COUNT:
        return lapic_timer_count(apic);
    case REG_TIMER_DIVIDE:
        return apic->timer.divide;
    default:
        lapic_error(apic, ESR_REGISTER);
        return 0;
    }
}

uint32_t lapic_read(struct lapic *apic, uint32_t offset)
{
    uint32_t value = offset % REG_STEP == 0 ? read_register(apic, offset) : 0;

    lapic_update(apic); /* for the error, if it was one */
    return value;
}
