/* SPDX-License-Identifier: MIT */
/* Three local APICs on their bus, for tests that reach them through their page. Include after cmocka.h. */
#ifndef GMEM_TESTS_PC_LAPIC_H
#define GMEM_TESTS_PC_LAPIC_H

#include "apic_bus.h"
#include "irqchip.h"
#include "pc-apic.h"

#define CPUS 3u

struct fixture {
    struct ports ports;
    struct vtime time;
    struct apic_bus *bus;
    struct lapic *cpu[CPUS];
    unsigned changes[CPUS];
    unsigned eois, retries;
    uint8_t eoi;
};

static inline void heard_eoi(void *opaque, uint8_t vector)
{
    struct fixture *f = opaque;

    f->eois++;
    f->eoi = vector;
}

static inline void heard_retry(void *opaque)
{
    ((struct fixture *)opaque)->retries++;
}

static inline void heard_change(void *opaque, unsigned cpu)
{
    ((struct fixture *)opaque)->changes[cpu]++;
}

static inline int setup_reset(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct apic_bus_config config = {
        .cpus = CPUS, .eoi = heard_eoi, .retry = heard_retry, .changed = heard_change, .opaque = f};

    assert_non_null(f);
    config.time = &f->time;
    ports_open(&f->ports);
    assert_int_equal(apic_bus_create(f->ports.system, &config, &f->bus), 0);
    for (unsigned i = 0; i < CPUS; i++)
        f->cpu[i] = apic_bus_lapic(f->bus, i);
    *state = f;
    return 0;
}

static inline void use(struct fixture *f, unsigned cpu)
{
    apic_bus_set_current(f->bus, cpu);
}

static inline uint32_t rd(struct fixture *f, uint32_t offset)
{
    return apic_read(&f->ports, offset);
}

static inline void wr(struct fixture *f, uint32_t offset, uint32_t value)
{
    apic_write(&f->ports, offset, value);
}

/* All enabled by software, processor 0 current. */
static inline int setup(void **state)
{
    struct fixture *f;

    setup_reset(state);
    f = *state;
    for (unsigned i = CPUS; i-- > 0;) {
        use(f, i);
        wr(f, APIC_SVR, APIC_ENABLED);
    }
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;

    apic_bus_destroy(f->bus);
    assert_null(f->time.first);
    ports_close(&f->ports);
    free(f);
    return 0;
}

static inline void send(struct fixture *f, uint32_t dest, uint32_t icr)
{
    wr(f, APIC_ICR_HIGH, dest << 24);
    wr(f, APIC_ICR, icr);
}

static inline void self(struct fixture *f, uint8_t vector)
{
    wr(f, APIC_ICR, 0x44000u | vector);
}

static inline void assert_taken(struct fixture *f, unsigned cpu, uint8_t expected)
{
    uint8_t vector = 0;

    assert_true(lapic_pending(f->cpu[cpu]));
    assert_true(lapic_take(f->cpu[cpu], &vector));
    assert_int_equal(vector, expected);
}

static inline unsigned events(struct fixture *f, unsigned cpu)
{
    uint8_t vector = 0xee;
    unsigned bits = lapic_events(f->cpu[cpu], &vector);

    if (bits & IRQCHIP_SIPI)
        assert_int_equal(vector, 0x9f);
    else
        assert_int_equal(vector, 0xee);
    return bits;
}

/* The processors that have vector in their IRR, a bit each; it is taken and ended there. */
static inline unsigned receivers(struct fixture *f, uint8_t vector)
{
    unsigned found = 0;

    for (unsigned i = 0; i < CPUS; i++) {
        use(f, i);
        if (!apic_has(&f->ports, APIC_IRR, vector))
            continue;
        found |= 1u << i;
        assert_taken(f, i, vector);
        wr(f, APIC_EOI, 0);
    }
    use(f, 0);
    return found;
}

#endif
