/* SPDX-License-Identifier: MIT */
/*
 * pc/lapic.c - the local APIC: which interrupts it takes, and in which order it gives them to its processor.
 *
 * Intel SDM volume 3, chapter "APIC": "Handling Interrupts", "Local Vector Table", "Local APIC State". A vector that arrives sets
 * its bit of the IRR; if its class is above that of the PPR it is pending; taking it moves the bit to the ISR; EOI
 * clears the highest bit there. The TMR says which ended interrupts the IOAPIC is told of.
 *
 * What LINT0 brings in mode ExtINT (virtual wire) goes past all of this; between the two, the wire is asked first.
 *
 * After reset LINT0 of processor 0 is unmasked and ExtINT, as KVM's is (KVM_X86_QUIRK_LINT0_REENABLED in its API document):
 * firmware that knows no APIC gets the PICs' interrupts. Of others it is masked, as the SDM has it.
 *
 * A message, an EOI and an edge each set or clear bits once, and none leads back to an EOI (G9). Whether something is pending
 * is kept in pending. Runs under the machine's device lock.
 */
#include <errno.h>
#include <stdlib.h>

#include "irqchip.h"
#include "lapic_internal.h"

#define CLASS 0xf0u
#define NONE (-1)

static bool has(const struct lapic_vectors *set, unsigned vector)
{
    return set->words[vector / 32] >> vector % 32 & 1u;
}

static void put(struct lapic_vectors *set, unsigned vector, bool value)
{
    uint32_t bit = UINT32_C(1) << vector % 32;

    if (value)
        set->words[vector / 32] |= bit;
    else
        set->words[vector / 32] &= ~bit;
}

int lapic_highest(const struct lapic_vectors *set)
{
    for (unsigned i = VECTOR_WORDS; i-- > 0;) {
        if (set->words[i])
            return (int)(i * 32 + 31 - (unsigned)__builtin_clz(set->words[i]));
    }
    return NONE;
}

static bool is_on(const struct lapic *apic)
{
    return apic->base & LAPIC_BASE_ENABLE;
}

static bool is_bootstrap(const struct lapic *apic)
{
    return apic->config.cpu == 0;
}

static uint8_t mode_of(uint32_t lvt)
{
    return lvt >> LVT_MODE_SHIFT & 7u;
}

/* --- priorities -------------------------------------------------------------------------------------------------- */

uint8_t lapic_ppr(const struct lapic *apic)
{
    int serviced = lapic_highest(&apic->isr);
    unsigned class = serviced == NONE ? 0 : (unsigned)serviced & CLASS;

    return (apic->tpr & CLASS) >= class ? apic->tpr : (uint8_t) class;
}

uint8_t lapic_arbitration(const struct lapic *apic)
{
    int requested = lapic_highest(&apic->irr), serviced = lapic_highest(&apic->isr);
    unsigned irr = requested == NONE ? 0 : (unsigned)requested & CLASS;
    unsigned isr = serviced == NONE ? 0 : (unsigned)serviced & CLASS;
    unsigned tpr = apic->tpr & CLASS;

    if (tpr >= irr && tpr > isr)
        return apic->tpr;
    return (uint8_t)(irr > isr ? irr : isr);
}

static int deliverable(const struct lapic *apic)
{
    int vector = lapic_highest(&apic->irr);

    return vector != NONE && is_on(apic) && ((unsigned)vector & CLASS) > (lapic_ppr(apic) & CLASS) ? vector : NONE;
}

static bool wants_extint(const struct lapic *apic)
{
    uint32_t lvt = apic->lvt[LVT_LINT0];

    if (apic->extint)
        return true;
    if (!apic->lines[0])
        return false;
    return is_on(apic) ? !(lvt & LVT_MASKED) && mode_of(lvt) == APIC_EXTINT : is_bootstrap(apic);
}

void lapic_update(struct lapic *apic)
{
    bool extint = wants_extint(apic);
    bool pending = extint || deliverable(apic) != NONE;

    if (pending)
        apic->offered_extint = extint;
    if (pending == apic->pending)
        return;
    apic->pending = pending;
    apic->config.changed(apic->config.opaque, apic->config.cpu);
}

bool lapic_pending(const struct lapic *apic)
{
    return apic->pending;
}

bool lapic_take(struct lapic *apic, uint8_t *ret_vector)
{
    bool extint = apic->pending ? wants_extint(apic) : apic->offered_extint;
    int vector = deliverable(apic);

    if (extint) {
        apic->extint = false;
    } else if (vector != NONE) {
        put(&apic->irr, (unsigned)vector, false);
        put(&apic->isr, (unsigned)vector, true);
        *ret_vector = (uint8_t)vector;
    } else {
        *ret_vector = (uint8_t)apic->svr;
    }
    lapic_update(apic);
    return !extint;
}

void lapic_end_of_interrupt(struct lapic *apic)
{
    int vector = lapic_highest(&apic->isr);

    if (vector == NONE)
        return;
    put(&apic->isr, (unsigned)vector, false);
    if (!has(&apic->tmr, (unsigned)vector))
        return;
    for (unsigned n = 0; n < LAPIC_LINTS; n++) {
        uint32_t *lvt = &apic->lvt[LVT_LINT0 + n];

        if (!(*lvt & LVT_REMOTE_IRR) || (*lvt & LVT_VECTOR) != (unsigned)vector)
            continue;
        *lvt &= ~LVT_REMOTE_IRR;
        lapic_check_lint(apic, n);
    }
    apic->config.eoi(apic->config.opaque, (uint8_t)vector);
}

/* --- what arrives ------------------------------------------------------------------------------------------------ */

void lapic_error(struct lapic *apic, uint32_t bits)
{
    uint32_t lvt = apic->lvt[LVT_ERROR];
    bool is_new = (bits & ~apic->errors) != 0;

    apic->errors |= bits;
    if (!is_new || lvt & LVT_MASKED)
        return;
    if ((lvt & LVT_VECTOR) < APIC_VECTOR_FIRST) {
        apic->errors |= ESR_RECEIVED_ILLEGAL;
        return;
    }
    put(&apic->irr, lvt & LVT_VECTOR, true);
    put(&apic->tmr, lvt & LVT_VECTOR, false);
}

void lapic_accept_vector(struct lapic *apic, uint8_t vector, bool level)
{
    if (vector < APIC_VECTOR_FIRST) {
        lapic_error(apic, ESR_RECEIVED_ILLEGAL);
        return;
    }
    put(&apic->irr, vector, true);
    put(&apic->tmr, vector, level);
}

static void add_event(struct lapic *apic, unsigned event)
{
    apic->events |= event;
    apic->config.changed(apic->config.opaque, apic->config.cpu);
}

static void take_nmi(struct lapic *apic)
{
    if (!apic->waits_sipi) /* a processor that waits for SIPI takes no NMI, nor keeps it */
        add_event(apic, IRQCHIP_NMI);
}

static void take_init(struct lapic *apic)
{
    lapic_reset_registers(apic);
    apic->waits_sipi = !is_bootstrap(apic);
    apic->events &= ~(IRQCHIP_NMI | IRQCHIP_SIPI);
    add_event(apic, IRQCHIP_INIT);
}

static void take_sipi(struct lapic *apic, uint8_t vector)
{
    if (!apic->waits_sipi)
        return;
    apic->waits_sipi = false;
    apic->sipi = vector;
    add_event(apic, IRQCHIP_SIPI);
}

bool lapic_accept(struct lapic *apic, const struct apic_message *message)
{
    if (!is_on(apic))
        return false;
    switch (message->mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (!lapic_takes_vectors(apic))
            return false;
        lapic_accept_vector(apic, message->vector, message->level);
        break;
    case APIC_SMI:
        add_event(apic, IRQCHIP_SMI);
        break;
    case APIC_NMI:
        take_nmi(apic);
        break;
    case APIC_INIT:
        take_init(apic);
        break;
    case APIC_SIPI:
        take_sipi(apic, message->vector);
        break;
    case APIC_EXTINT:
        if (!lapic_takes_vectors(apic))
            return false;
        apic->extint = true;
        break;
    default:
        return false;
    }
    lapic_update(apic);
    return true;
}

bool lapic_is_dest(const struct lapic *apic, uint8_t dest, bool logical)
{
    uint8_t mine = (uint8_t)(apic->ldr >> 24);

    if (dest == APIC_BROADCAST)
        return true;
    if (!logical)
        return dest == apic->id >> 24;
    /* The flat model; or a cluster in the upper half, members in the lower. */
    if (apic->dfr >> 28 == 0xf)
        return (mine & dest) != 0;
    return ((dest & 0xf0u) == 0xf0 || (dest & 0xf0u) == (mine & 0xf0u)) && (dest & mine & 0x0fu) != 0;
}

bool lapic_takes_vectors(const struct lapic *apic)
{
    return is_on(apic) && apic->svr & SVR_ENABLED;
}

bool lapic_is_focus(const struct lapic *apic, uint8_t vector)
{
    return !(apic->svr & SVR_NO_FOCUS) && (has(&apic->irr, vector) || has(&apic->isr, vector));
}

/* --- pins -------------------------------------------------------------------------------------------------------- */

void lapic_check_lint(struct lapic *apic, unsigned n)
{
    uint32_t *lvt = &apic->lvt[LVT_LINT0 + n];

    if (!apic->lines[n] || *lvt & (LVT_MASKED | LVT_REMOTE_IRR) || !(*lvt & LVT_LEVEL) || mode_of(*lvt) != APIC_FIXED)
        return;
    *lvt |= LVT_REMOTE_IRR;
    lapic_accept_vector(apic, *lvt & LVT_VECTOR, true);
}

static void lint_rises(struct lapic *apic, unsigned n)
{
    uint32_t lvt = apic->lvt[LVT_LINT0 + n];

    if (!is_on(apic)) {
        if (n == 1 && is_bootstrap(apic))
            take_nmi(apic);
        return;
    }
    if (lvt & LVT_MASKED)
        return;
    switch (mode_of(lvt)) {
    case APIC_FIXED:
        if (!(lvt & LVT_LEVEL))
            lapic_accept_vector(apic, lvt & LVT_VECTOR, false);
        break;
    case APIC_SMI:
        add_event(apic, IRQCHIP_SMI);
        break;
    case APIC_NMI:
        take_nmi(apic);
        break;
    case APIC_INIT:
        take_init(apic);
        break;
    default: /* ExtINT goes by the level of the line */
        break;
    }
}

void lapic_set_lint(struct lapic *apic, unsigned n, int level)
{
    bool rises = level && !apic->lines[n];

    apic->lines[n] = level != 0;
    if (rises) {
        lint_rises(apic, n);
        lapic_check_lint(apic, n);
    }
    lapic_update(apic);
}

/* --- the processor ----------------------------------------------------------------------------------------------- */

unsigned lapic_events(struct lapic *apic, uint8_t *ret_vector)
{
    unsigned events = apic->events;

    apic->events = 0;
    if (events & IRQCHIP_SIPI)
        *ret_vector = apic->sipi;
    return events;
}

uint64_t lapic_base(const struct lapic *apic)
{
    return LAPIC_BASE | apic->base | (is_bootstrap(apic) ? LAPIC_BASE_BSP : 0);
}

int lapic_set_base(struct lapic *apic, uint64_t value)
{
    uint32_t base = (uint32_t)value & LAPIC_BASE_ENABLE;

    if ((value & ~(uint64_t)(LAPIC_BASE_ENABLE | LAPIC_BASE_BSP)) != LAPIC_BASE)
        return -EINVAL;
    if (base == apic->base)
        return 0;
    apic->base = base;
    lapic_reset_registers(apic);
    lapic_update(apic);
    return 0;
}

int lapic_create(const struct lapic_config *config, struct lapic **ret)
{
    struct lapic *apic = calloc(1, sizeof(*apic));

    if (!apic)
        return -ENOMEM;
    apic->config = *config;
    apic->base = LAPIC_BASE_ENABLE;
    apic->id = config->cpu << 24;
    apic->waits_sipi = !is_bootstrap(apic);
    lapic_timer_init(apic);
    lapic_reset_registers(apic);
    *ret = apic;
    return 0;
}

void lapic_destroy(struct lapic *apic)
{
    if (!apic)
        return;
    lapic_timer_stop(apic);
    free(apic);
}
