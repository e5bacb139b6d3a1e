/* SPDX-License-Identifier: MIT */
/* pc/lapic_internal.h - shared by lapic.c (interrupts), lapic_regs.c (registers) and lapic_timer.c. */
#ifndef PC_LAPIC_INTERNAL_H
#define PC_LAPIC_INTERNAL_H

#include "lapic.h"

/* The LVT, in the order of its registers. */
enum lapic_lvt {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERFORMANCE,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVT_COUNT,
};

#define LVT_VECTOR 0xffu
#define LVT_MODE_SHIFT 8u
#define LVT_REMOTE_IRR 0x4000u
#define LVT_LEVEL 0x8000u
#define LVT_MASKED 0x10000u
#define LVT_PERIODIC 0x20000u

#define SVR_ENABLED 0x100u
#define SVR_NO_FOCUS 0x200u

#define ESR_SEND_ILLEGAL 0x20u
#define ESR_RECEIVED_ILLEGAL 0x40u
#define ESR_REGISTER 0x80u

#define VECTOR_WORDS 8u

/* A bit a vector. */
struct lapic_vectors {
    uint32_t words[VECTOR_WORDS];
};

struct lapic_timer {
    struct vtime_timer timer; /* waits while the LVT's entry is unmasked */
    bool running;
    uint64_t start;   /* when first was the count */
    uint32_t first;   /* that the cycle under way began with */
    uint32_t initial; /* of the cycles after it */
    uint32_t divide;  /* the register */
};

struct lapic {
    struct lapic_config config;
    uint32_t base; /* LAPIC_BASE_ENABLE or 0 */
    uint32_t id, ldr, dfr, svr;
    uint8_t tpr;
    uint32_t lvt[LVT_COUNT];
    uint32_t icr[2];
    uint32_t esr, errors; /* as read, and since the last write of it */
    struct lapic_vectors irr, isr, tmr;
    struct lapic_timer timer;

    bool lines[LAPIC_LINTS];
    bool extint; /* a message of that mode waits */
    bool waits_sipi;
    uint8_t sipi;
    unsigned events;

    bool pending;
    bool offered_extint; /* what it was that was pending last */
};

/* lapic.c */
/* The highest vector, or -1. */
int lapic_highest(const struct lapic_vectors *set);
uint8_t lapic_ppr(const struct lapic *apic);
/* Work out whether an interrupt is pending, and say if that is new. At the end of everything that changes something. */
void lapic_update(struct lapic *apic);
/* An interrupt of the APIC's own or a message: edges and levels come together in the IRR. Does not update. */
void lapic_accept_vector(struct lapic *apic, uint8_t vector, bool level);
/* Errors: note them, and interrupt for those that are new. Does not update. */
void lapic_error(struct lapic *apic, uint32_t bits);
/* The LVT entry of pin n or its line is new: a level triggered interrupt is taken. Does not update. */
void lapic_check_lint(struct lapic *apic, unsigned n);
/* EOI of the interrupt in service with the highest priority. Does not update. */
void lapic_end_of_interrupt(struct lapic *apic);

/* lapic_regs.c */
/* As after power-on, but for the id and the page. */
void lapic_reset_registers(struct lapic *apic);

/* lapic_timer.c */
void lapic_timer_init(struct lapic *apic);
void lapic_timer_stop(struct lapic *apic);
uint32_t lapic_timer_count(const struct lapic *apic);
void lapic_timer_write_initial(struct lapic *apic, uint32_t value);
void lapic_timer_write_divide(struct lapic *apic, uint32_t value);
/* The LVT's entry becomes value. */
void lapic_timer_write_lvt(struct lapic *apic, uint32_t value);

#endif
