/* SPDX-License-Identifier: MIT */
/* Registers of local APICs, for tests that reach them as a processor does. Include after cmocka.h. */
#ifndef GMEM_TESTS_PC_APIC_H
#define GMEM_TESTS_PC_APIC_H

#include "lapic.h"
#include "pc-ports.h"

#define APIC_ID 0x20
#define APIC_VERSION 0x30
#define APIC_TPR 0x80
#define APIC_APR 0x90
#define APIC_PPR 0xa0
#define APIC_EOI 0xb0
#define APIC_LDR 0xd0
#define APIC_DFR 0xe0
#define APIC_SVR 0xf0
#define APIC_ISR 0x100
#define APIC_TMR 0x180
#define APIC_IRR 0x200
#define APIC_ESR 0x280
#define APIC_ICR 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_THERMAL 0x330
#define APIC_LVT_PERFORMANCE 0x340
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_COUNT 0x390
#define APIC_TIMER_DIVIDE 0x3e0

#define APIC_ENABLED 0x1ffu /* in the SVR, with the spurious vector 0xff */
#define APIC_MASKED 0x10000u
#define APIC_LEVEL 0x8000u
#define APIC_REMOTE_IRR 0x4000u
#define APIC_PERIODIC 0x20000u

static inline uint32_t apic_read(struct ports *ports, uint32_t offset)
{
    uint32_t value;

    assert_int_equal(gmem_ld32_le(ports->memory, LAPIC_BASE + offset, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static inline void apic_write(struct ports *ports, uint32_t offset, uint32_t value)
{
    assert_int_equal(gmem_st32_le(ports->memory, LAPIC_BASE + offset, GMEM_ATTRS_NONE, value), GMEM_OK);
}

/* A bit of the ISR, TMR or IRR. */
static inline bool apic_has(struct ports *ports, uint32_t set, unsigned vector)
{
    return apic_read(ports, set + vector / 32 * 0x10) >> vector % 32 & 1u;
}

/* A device writes an MSI. */
static inline void apic_msi(struct ports *ports, uint64_t addr, uint32_t data)
{
    const struct gmem_attrs attrs = {.requester = 0x18};

    assert_int_equal(gmem_st32_le(ports->memory, addr, attrs, data), GMEM_OK);
}

#endif
