/* SPDX-License-Identifier: MIT */
/*
 * Local APICs through their page, and the messages between them: cases from the Intel SDM, volume 3, chapter "APIC", and random
 * sequences. Three processors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apic_bus.h"
#include "irqchip.h"
#include "pc-apic.h"
#include "random.h"

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

static void heard_eoi(void *opaque, uint8_t vector)
{
    struct fixture *f = opaque;

    f->eois++;
    f->eoi = vector;
}

static void heard_retry(void *opaque)
{
    ((struct fixture *)opaque)->retries++;
}

static void heard_change(void *opaque, unsigned cpu)
{
    ((struct fixture *)opaque)->changes[cpu]++;
}

static int setup_reset(void **state)
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

static void use(struct fixture *f, unsigned cpu)
{
    apic_bus_set_current(f->bus, cpu);
}

static uint32_t rd(struct fixture *f, uint32_t offset)
{
    return apic_read(&f->ports, offset);
}

static void wr(struct fixture *f, uint32_t offset, uint32_t value)
{
    apic_write(&f->ports, offset, value);
}

/* All enabled by software, processor 0 current. */
static int setup(void **state)
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

static int teardown(void **state)
{
    struct fixture *f = *state;

    apic_bus_destroy(f->bus);
    assert_null(f->time.first);
    ports_close(&f->ports);
    free(f);
    return 0;
}

static void send(struct fixture *f, uint32_t dest, uint32_t icr)
{
    wr(f, APIC_ICR_HIGH, dest << 24);
    wr(f, APIC_ICR, icr);
}

static void self(struct fixture *f, uint8_t vector)
{
    wr(f, APIC_ICR, 0x44000u | vector);
}

static void assert_taken(struct fixture *f, unsigned cpu, uint8_t expected)
{
    uint8_t vector = 0;

    assert_true(lapic_pending(f->cpu[cpu]));
    assert_true(lapic_take(f->cpu[cpu], &vector));
    assert_int_equal(vector, expected);
}

static unsigned events(struct fixture *f, unsigned cpu)
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
static unsigned receivers(struct fixture *f, uint8_t vector)
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

static void test_place(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    assert_int_equal(gmem_space_lookup(f->ports.memory, 0xfeefffff, &section), 0);
    assert_string_equal(gmem_region_name(section.region), "apic-msi");
    assert_int_equal(gmem_region_priority(section.region), 4096);
    gmem_section_release(&section);
    assert_int_not_equal(gmem_space_lookup(f->ports.memory, 0xfef00000, &section), 0);
}

static void test_reset_values(void **state)
{
    static const struct {
        uint32_t offset, value;
    } values[] = {
        {APIC_VERSION, 0x50014},
        {APIC_TPR, 0},
        {APIC_APR, 0},
        {APIC_PPR, 0},
        {APIC_LDR, 0},
        {APIC_DFR, 0xffffffff},
        {APIC_SVR, 0xff},
        {APIC_ESR, 0},
        {APIC_ICR, 0},
        {APIC_ICR_HIGH, 0},
        {APIC_LVT_TIMER, APIC_MASKED},
        {APIC_LVT_THERMAL, APIC_MASKED},
        {APIC_LVT_PERFORMANCE, APIC_MASKED},
        {APIC_LVT_LINT1, APIC_MASKED},
        {APIC_LVT_ERROR, APIC_MASKED},
        {APIC_TIMER_INITIAL, 0},
        {APIC_TIMER_COUNT, 0},
        {APIC_TIMER_DIVIDE, 0},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < CPUS; i++) {
        use(f, i);
        assert_int_equal(rd(f, APIC_ID), i << 24);
        for (unsigned j = 0; j < sizeof(values) / sizeof(values[0]); j++)
            assert_int_equal(rd(f, values[j].offset), values[j].value);
        assert_int_equal(rd(f, APIC_LVT_LINT0), i ? APIC_MASKED : 0x700);
        for (uint32_t at = APIC_ISR; at < APIC_ESR; at += 0x10)
            assert_int_equal(rd(f, at), 0);
        wr(f, APIC_ESR, 0);
        assert_int_equal(rd(f, APIC_ESR), 0);
    }
}

static void test_writable_bits(void **state)
{
    static const struct {
        uint32_t offset, ones;
    } registers[] = {
        {APIC_ID, 0xff000000},       {APIC_TPR, 0xff},
        {APIC_LDR, 0xff000000},      {APIC_SVR, 0x3ff},
        {APIC_LVT_TIMER, 0x300ff},   {APIC_LVT_THERMAL, 0x107ff},
        {APIC_LVT_LINT0, 0x1a7ff},   {APIC_LVT_LINT1, 0x1a7ff},
        {APIC_LVT_ERROR, 0x100ff},   {APIC_LVT_PERFORMANCE, 0x107ff},
        {APIC_ICR_HIGH, 0xff000000}, {APIC_TIMER_INITIAL, 0xffffffff},
        {APIC_TIMER_DIVIDE, 0x0b},   {APIC_VERSION, 0x50014},
    };
    struct fixture *f = *state;
    uint8_t byte;

    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        wr(f, registers[i].offset, 0xffffffff);
        assert_int_equal(rd(f, registers[i].offset), registers[i].ones);
    }
    wr(f, APIC_DFR, 0);
    assert_int_equal(rd(f, APIC_DFR), 0x0fffffff);
    wr(f, APIC_ICR, 0xfffffbff); /* mode 3 is reserved: kept, not sent */
    assert_int_equal(rd(f, APIC_ICR), 0xccbff);
    assert_false(lapic_pending(f->cpu[0]));

    /* Narrower: parts are read, nothing is written. Between registers there is nothing. */
    wr(f, APIC_ICR_HIGH, 0x12000000);
    assert_int_equal(gmem_ld8(f->ports.memory, LAPIC_BASE + APIC_ICR_HIGH + 3, GMEM_ATTRS_NONE, &byte), GMEM_OK);
    assert_int_equal(byte, 0x12);
    assert_int_equal(gmem_st8(f->ports.memory, LAPIC_BASE + APIC_ICR_HIGH + 3, GMEM_ATTRS_NONE, 0x34), GMEM_OK);
    wr(f, APIC_ICR_HIGH + 4, 0x34000000);
    assert_int_equal(rd(f, APIC_ICR_HIGH), 0x12000000);
    assert_int_equal(rd(f, APIC_ICR_HIGH + 4), 0);
}

static void test_priorities(void **state)
{
    struct fixture *f = *state;

    self(f, 0x51);
    self(f, 0x61);
    self(f, 0x5f);
    assert_taken(f, 0, 0x61);
    assert_false(lapic_pending(f->cpu[0]));
    assert_int_equal(rd(f, APIC_PPR), 0x60);
    assert_true(apic_has(&f->ports, APIC_ISR, 0x61));
    assert_false(apic_has(&f->ports, APIC_IRR, 0x61));
    self(f, 0x6f); /* of the same class: waits */
    assert_false(lapic_pending(f->cpu[0]));
    self(f, 0x70);
    assert_taken(f, 0, 0x70);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_EOI, 0);
    assert_taken(f, 0, 0x6f);
    wr(f, APIC_EOI, 0);
    wr(f, APIC_TPR, 0x55); /* holds back its class and those below */
    assert_int_equal(rd(f, APIC_PPR), 0x55);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_TPR, 0x4f);
    assert_int_equal(rd(f, APIC_PPR), 0x4f);
    assert_taken(f, 0, 0x5f);
    assert_int_equal(rd(f, APIC_PPR), 0x50);
    wr(f, APIC_EOI, 0);
    assert_taken(f, 0, 0x51);
    wr(f, APIC_EOI, 0);
    wr(f, APIC_EOI, 0); /* nothing in service */
    assert_int_equal(f->eois, 0);
}

/* One in service and one requested: the third of a vector is one with the second. */
static void test_merged(void **state)
{
    struct fixture *f = *state;

    self(f, 0x40);
    assert_taken(f, 0, 0x40);
    self(f, 0x40);
    self(f, 0x40);
    wr(f, APIC_EOI, 0);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
}

static void test_arbitration_priority(void **state)
{
    struct fixture *f = *state;

    wr(f, APIC_TPR, 0x35);
    assert_int_equal(rd(f, APIC_APR), 0x35);
    self(f, 0x31);
    assert_int_equal(rd(f, APIC_APR), 0x35); /* of the same class as what is requested */
    self(f, 0x41);
    assert_int_equal(rd(f, APIC_APR), 0x40);
    assert_taken(f, 0, 0x41);
    assert_int_equal(rd(f, APIC_APR), 0x40);
    use(f, 1); /* only in service, and nothing else as high */
    wr(f, APIC_ICR, 0x44051);
    assert_taken(f, 1, 0x51);
    wr(f, APIC_TPR, 0x35);
    assert_int_equal(rd(f, APIC_APR), 0x50);
    wr(f, APIC_TPR, 0x55);
    assert_int_equal(rd(f, APIC_APR), 0x50);
    wr(f, APIC_TPR, 0x65);
    assert_int_equal(rd(f, APIC_APR), 0x65);
}

/* It went away between pending and taking: the spurious vector, which is not in service. */
static void test_spurious(void **state)
{
    struct fixture *f = *state;
    uint8_t vector;

    wr(f, APIC_SVR, 0x1cf);
    self(f, 0x40);
    assert_true(lapic_pending(f->cpu[0]));
    wr(f, APIC_TPR, 0xf0);
    assert_false(lapic_pending(f->cpu[0]));
    assert_true(lapic_take(f->cpu[0], &vector));
    assert_int_equal(vector, 0xcf);
    assert_false(apic_has(&f->ports, APIC_ISR, 0xcf));
    wr(f, APIC_TPR, 0);
    assert_taken(f, 0, 0x40);
}

static void test_software_disable(void **state)
{
    struct fixture *f = *state;
    const struct apic_message message = {.mode = APIC_FIXED, .vector = 0x55, .dest = 0};

    wr(f, APIC_LVT_ERROR, 0x33);
    wr(f, APIC_LVT_TIMER, 0x34);
    self(f, 0x40);
    wr(f, APIC_SVR, 0xff);
    assert_taken(f, 0, 0x40); /* what was taken before is still handled */
    wr(f, APIC_EOI, 0);
    for (uint32_t at = APIC_LVT_TIMER; at <= APIC_LVT_ERROR; at += 0x10) {
        assert_int_equal(rd(f, at) & APIC_MASKED, APIC_MASKED);
        wr(f, at, 0x40);
        assert_int_equal(rd(f, at), APIC_MASKED | 0x40);
    }
    assert_false(apic_bus_send(f->bus, &message));
    self(f, 0x40);
    assert_false(lapic_pending(f->cpu[0]));
    /* INIT, NMI, SMI and SIPI are taken all the same, and messages are sent. */
    send(f, 0, 0x4400);
    send(f, 0, 0x4200);
    assert_int_equal(events(f, 0), IRQCHIP_NMI | IRQCHIP_SMI);
    send(f, 1, 0x4041);
    assert_int_equal(receivers(f, 0x41), 2);
    wr(f, APIC_SVR, APIC_ENABLED);
    assert_true(apic_bus_send(f->bus, &message));
    assert_int_equal(receivers(f, 0x55), 1);
}

static void test_errors(void **state)
{
    struct fixture *f = *state;
    const struct apic_message illegal = {.mode = APIC_FIXED, .vector = 0x0f, .dest = 0};
    const struct apic_message level = {.mode = APIC_FIXED, .vector = 0xe0, .dest = 0, .level = true};

    wr(f, APIC_LVT_ERROR, 0xe0);
    self(f, 0x0f);                        /* not sent */
    assert_int_equal(rd(f, APIC_ESR), 0); /* until it is written */
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    self(f, 0x00);
    assert_false(lapic_pending(f->cpu[0])); /* no new error */
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0x20);
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0);
    self(f, 0x0f);
    assert_taken(f, 0, 0xe0); /* armed again */
    wr(f, APIC_EOI, 0);
    wr(f, APIC_ESR, 0);

    assert_true(apic_bus_send(f->bus, &illegal));
    assert_false(apic_has(&f->ports, APIC_IRR, 0x0f));
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    wr(f, 0x000, 0);
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    (void)rd(f, 0x3f0);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0xc0);

    assert_true(apic_bus_send(f->bus, &level)); /* the error's vector as one to be told of */
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    assert_int_equal(f->eois, 1);
    self(f, 0x0f);
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    assert_int_equal(f->eois, 1);
    wr(f, APIC_ESR, 0);

    wr(f, APIC_LVT_ERROR, 0x0e); /* an error that is one itself ends there */
    self(f, 0x0f);
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0x60);
    wr(f, APIC_LVT_ERROR, APIC_MASKED | 0xe0);
    self(f, 0x0f);
    assert_false(lapic_pending(f->cpu[0]));
    for (uint32_t at = APIC_ISR; at < APIC_ESR; at += 0x10)
        assert_int_equal(rd(f, at), 0);
}

static void test_physical_destinations(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < CPUS; i++) {
        send(f, i, 0x4050);
        assert_int_equal(receivers(f, 0x50), 1u << i);
    }
    send(f, 0xff, 0x4050);
    assert_int_equal(receivers(f, 0x50), 7);
    send(f, 9, 0x4050);
    assert_int_equal(receivers(f, 0x50), 0);
    use(f, 2);
    wr(f, APIC_ID, 0x09000000);
    use(f, 0);
    send(f, 9, 0x4050);
    assert_int_equal(receivers(f, 0x50), 4);
    send(f, 9, 0x44050); /* shorthands do not look at it */
    assert_int_equal(receivers(f, 0x50), 1);
    send(f, 9, 0x84050);
    assert_int_equal(receivers(f, 0x50), 7);
    send(f, 9, 0xc4050);
    assert_int_equal(receivers(f, 0x50), 6);
}

static void set_logical(struct fixture *f, uint32_t dfr, const uint8_t ldr[CPUS])
{
    for (unsigned i = CPUS; i-- > 0;) {
        use(f, i);
        wr(f, APIC_DFR, dfr);
        wr(f, APIC_LDR, (uint32_t)ldr[i] << 24);
    }
}

static void test_logical_destinations(void **state)
{
    static const struct {
        uint32_t dfr;
        uint8_t ldr[CPUS];
        uint8_t dest;
        unsigned expected;
    } cases[] = {
        {0xf0000000, {0x01, 0x02, 0x04}, 0x05, 5}, {0xf0000000, {0x01, 0x02, 0x04}, 0x08, 0},
        {0xf0000000, {0x01, 0x03, 0x04}, 0x01, 3}, {0xf0000000, {0x01, 0x02, 0x80}, 0xff, 7},
        {0x00000000, {0x11, 0x12, 0x21}, 0x13, 3}, {0x00000000, {0x11, 0x12, 0x21}, 0x21, 4},
        {0x00000000, {0x11, 0x12, 0x21}, 0x31, 0}, {0x00000000, {0x11, 0x12, 0x21}, 0xf1, 5},
        {0x00000000, {0x11, 0x12, 0x21}, 0xff, 7}, {0x00000000, {0x11, 0x12, 0x21}, 0x10, 0},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set_logical(f, cases[i].dfr, cases[i].ldr);
        send(f, cases[i].dest, 0x4850);
        assert_int_equal(receivers(f, 0x50), cases[i].expected);
    }
}

static void test_lowest_priority(void **state)
{
    static const uint8_t ldr[CPUS] = {1, 2, 4};
    struct fixture *f = *state;

    set_logical(f, 0xf0000000, ldr);
    for (unsigned i = 0; i < 6; i++) { /* equals take turns */
        send(f, 7, 0x4950);
        assert_int_equal(receivers(f, 0x50), 1u << i % 3);
    }
    wr(f, APIC_TPR, 0x20);
    use(f, 2);
    wr(f, APIC_TPR, 0x10);
    use(f, 1);
    wr(f, APIC_TPR, 0x30);
    use(f, 0);
    send(f, 7, 0x4950);
    assert_int_equal(receivers(f, 0x50), 4);
    send(f, 3, 0x4950);
    assert_int_equal(receivers(f, 0x50), 1);
    use(f, 2);
    wr(f, APIC_SVR, 0xff); /* does not take part */
    use(f, 0);
    send(f, 7, 0x4950);
    assert_int_equal(receivers(f, 0x50), 1);
    send(f, 4, 0x4950);
    assert_int_equal(receivers(f, 0x50), 0);

    /* The focus processor: it has the interrupt already; unless it does not look (SVR bit 9). */
    send(f, 1, 0x4050); /* physical: processor 1, whose priority is worse */
    send(f, 7, 0x4950);
    assert_int_equal(receivers(f, 0x50), 2);
    use(f, 1);
    wr(f, APIC_SVR, APIC_ENABLED | 0x200);
    use(f, 0);
    send(f, 1, 0x4050);
    send(f, 7, 0x4950);
    assert_int_equal(receivers(f, 0x50), 3);
}

static void test_init_and_sipi(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(events(f, 1), 0);
    send(f, 1, 0x4400); /* they wait for SIPI from the beginning, and take no NMI */
    assert_int_equal(events(f, 1), 0);
    wr(f, APIC_ICR, 0xc4500); /* as firmware does: INIT, SIPI to all others */
    assert_int_equal(f->changes[1], 1);
    wr(f, APIC_ICR, 0xc469f);
    assert_int_equal(f->changes[0], 0);
    assert_int_equal(f->changes[1], 2);
    assert_int_equal(events(f, 0), 0);
    assert_int_equal(events(f, 1), IRQCHIP_INIT | IRQCHIP_SIPI);
    assert_int_equal(events(f, 2), IRQCHIP_INIT | IRQCHIP_SIPI);
    wr(f, APIC_ICR, 0xc4600); /* who does not wait ignores it */
    assert_int_equal(events(f, 1), 0);
    send(f, 1, 0x4400);
    assert_int_equal(events(f, 1), IRQCHIP_NMI);
    send(f, 1, 0x8500); /* INIT level de-assert */
    assert_int_equal(events(f, 1), 0);
    send(f, 1, 0xc500); /* INIT level assert */
    assert_int_equal(events(f, 1), IRQCHIP_INIT);
    send(f, 1, 0x469f);
    send(f, 1, 0x4500); /* INIT after SIPI that it had not seen: it waits again */
    assert_int_equal(events(f, 1), IRQCHIP_INIT);

    /* Processor 0 does not wait. */
    use(f, 1);
    send(f, 0, 0x4500);
    assert_int_equal(events(f, 0), IRQCHIP_INIT);
    send(f, 0, 0x469f);
    assert_int_equal(events(f, 0), 0);
}

/* INIT resets the APIC, but for its id and IA32_APIC_BASE. */
static void test_init_resets(void **state)
{
    struct fixture *f = *state;

    use(f, 1);
    wr(f, APIC_ID, 0x07000000);
    wr(f, APIC_TPR, 0x20);
    wr(f, APIC_LDR, 0x02000000);
    wr(f, APIC_LVT_TIMER, 0x40);
    wr(f, APIC_TIMER_INITIAL, 1000);
    self(f, 0x50);
    assert_true(lapic_pending(f->cpu[1]));
    use(f, 0);
    send(f, 7, 0x4500);
    assert_false(lapic_pending(f->cpu[1]));
    use(f, 1);
    assert_int_equal(rd(f, APIC_ID), 0x07000000);
    assert_int_equal(rd(f, APIC_TPR), 0);
    assert_int_equal(rd(f, APIC_LDR), 0);
    assert_int_equal(rd(f, APIC_SVR), 0xff);
    assert_int_equal(rd(f, APIC_LVT_TIMER), APIC_MASKED);
    assert_int_equal(rd(f, APIC_TIMER_INITIAL), 0);
    assert_false(apic_has(&f->ports, APIC_IRR, 0x50));
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER);
    assert_int_equal(lapic_base(f->cpu[1]), 0xfee00800);
}

static void test_eoi_broadcast(void **state)
{
    struct fixture *f = *state;
    struct apic_message message = {.mode = APIC_FIXED, .vector = 0x61, .dest = 0, .level = true};

    assert_true(apic_bus_send(f->bus, &message));
    assert_true(apic_has(&f->ports, APIC_TMR, 0x61));
    assert_taken(f, 0, 0x61);
    assert_int_equal(f->eois, 0);
    wr(f, APIC_EOI, 0);
    assert_int_equal(f->eois, 1);
    assert_int_equal(f->eoi, 0x61);
    message.level = false;
    assert_true(apic_bus_send(f->bus, &message));
    assert_false(apic_has(&f->ports, APIC_TMR, 0x61));
    assert_taken(f, 0, 0x61);
    wr(f, APIC_EOI, 0);
    assert_int_equal(f->eois, 1);
}

static void test_message_modes(void **state)
{
    struct fixture *f = *state;
    struct apic_message message = {.mode = APIC_EXTINT, .dest = 0};
    uint8_t vector;

    assert_true(apic_bus_send(f->bus, &message));
    assert_true(lapic_pending(f->cpu[0]));
    assert_false(lapic_take(f->cpu[0], &vector)); /* the controller behind LINT0 has the vector */
    assert_false(lapic_pending(f->cpu[0]));
    assert_false(lapic_take(f->cpu[0], &vector)); /* and the spurious one of it */
    message.mode = 3;
    assert_false(apic_bus_send(f->bus, &message));
    message.mode = APIC_SMI;
    assert_true(apic_bus_send(f->bus, &message));
    assert_int_equal(events(f, 0), IRQCHIP_SMI);
    message.dest = 0x44;
    assert_false(apic_bus_send(f->bus, &message));
}

static void test_lint(void **state)
{
    struct fixture *f = *state;
    uint8_t vector;

    wr(f, APIC_LVT_LINT0, 0x8700); /* virtual wire, as firmware sets it up */
    wr(f, APIC_LVT_LINT1, 0x8400);
    lapic_set_lint(f->cpu[0], 0, 1);
    assert_true(lapic_pending(f->cpu[0]));
    assert_false(lapic_take(f->cpu[0], &vector));
    assert_true(lapic_pending(f->cpu[0])); /* it is the line */
    wr(f, APIC_LVT_LINT0, 0x18700);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_LVT_LINT0, 0x700);
    assert_true(lapic_pending(f->cpu[0]));
    self(f, 0x40);
    assert_false(lapic_take(f->cpu[0], &vector)); /* the wire goes first */
    lapic_set_lint(f->cpu[0], 0, 0);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_int_equal(events(f, 0), IRQCHIP_NMI);
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_int_equal(events(f, 0), 0);
    lapic_set_lint(f->cpu[0], 1, 0);

    wr(f, APIC_LVT_LINT1, 0x45); /* fixed, by edges */
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_taken(f, 0, 0x45);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_LVT_LINT1, APIC_MASKED | 0x45);
    lapic_set_lint(f->cpu[0], 1, 0);
    lapic_set_lint(f->cpu[0], 1, 1); /* lost */
    wr(f, APIC_LVT_LINT1, 0x45);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_LVT_LINT1, 0x200);
    lapic_set_lint(f->cpu[0], 1, 0);
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_int_equal(events(f, 0), IRQCHIP_SMI);
}

static void test_lint_level(void **state)
{
    struct fixture *f = *state;

    lapic_set_lint(f->cpu[0], 0, 1);
    wr(f, APIC_LVT_LINT0, APIC_LEVEL | 0x48); /* it is up already */
    assert_int_equal(rd(f, APIC_LVT_LINT0), APIC_LEVEL | APIC_REMOTE_IRR | 0x48);
    for (int i = 0; i < 3; i++) {
        assert_taken(f, 0, 0x48);
        assert_false(lapic_pending(f->cpu[0]));
        wr(f, APIC_EOI, 0);
    }
    lapic_set_lint(f->cpu[0], 0, 0);
    assert_taken(f, 0, 0x48);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
    assert_int_equal(rd(f, APIC_LVT_LINT0), APIC_LEVEL | 0x48);
    lapic_set_lint(f->cpu[0], 0, 1);
    wr(f, APIC_LVT_LINT0, APIC_MASKED | 0x48); /* edge triggered: no remote IRR */
    assert_int_equal(rd(f, APIC_LVT_LINT0), APIC_MASKED | 0x48);
}

static void test_lint_init(void **state)
{
    struct fixture *f = *state;

    use(f, 1);
    wr(f, APIC_LVT_LINT1, 0x500);
    lapic_set_lint(f->cpu[1], 1, 1);
    assert_int_equal(events(f, 1), IRQCHIP_INIT);
    assert_int_equal(rd(f, APIC_LVT_LINT1), APIC_MASKED);
}

static void test_base(void **state)
{
    struct fixture *f = *state;
    uint8_t vector;

    assert_int_equal(lapic_base(f->cpu[0]), 0xfee00900);
    assert_int_equal(lapic_base(f->cpu[1]), 0xfee00800);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee01900), -EINVAL);
    assert_int_equal(lapic_set_base(f->cpu[0], 0x1fee00900), -EINVAL);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00d00), -EINVAL); /* no x2APIC */
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00901), -EINVAL);
    assert_int_equal(lapic_base(f->cpu[0]), 0xfee00900);
    wr(f, APIC_TPR, 0x30);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00900), 0);
    assert_int_equal(rd(f, APIC_TPR), 0x30);
    assert_int_equal(lapic_set_base(f->cpu[1], 0xfee00900),
                     0); /* who is the bootstrap processor is not the guest's to say */
    assert_int_equal(lapic_base(f->cpu[1]), 0xfee00800);

    self(f, 0x50);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00100), 0);
    assert_int_equal(lapic_base(f->cpu[0]), 0xfee00100);
    assert_false(lapic_pending(f->cpu[0]));
    assert_int_equal(rd(f, APIC_VERSION), 0xffffffff); /* there is nothing */
    wr(f, APIC_TPR, 0x30);
    use(f, 1);
    assert_int_equal(rd(f, APIC_VERSION), 0x50014);
    send(f, 0, 0x4500); /* takes no messages at all */
    assert_int_equal(events(f, 0), 0);
    lapic_set_lint(f->cpu[0], 0, 1); /* the pins are INTR and NMI */
    assert_true(lapic_pending(f->cpu[0]));
    assert_false(lapic_take(f->cpu[0], &vector));
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_int_equal(events(f, 0), IRQCHIP_NMI);
    assert_int_equal(lapic_set_base(f->cpu[1], 0xfee00000), 0);
    lapic_set_lint(f->cpu[1], 0, 1);
    lapic_set_lint(f->cpu[1], 1, 1);
    assert_false(lapic_pending(f->cpu[1]));
    assert_int_equal(events(f, 1), 0);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00900), 0);
    use(f, 0);
    assert_int_equal(rd(f, APIC_TPR), 0); /* as after reset */
    assert_int_equal(rd(f, APIC_SVR), 0xff);
}

static void test_retry(void **state)
{
    struct fixture *f = *state;
    static const uint32_t routing[] = {APIC_ID, APIC_LDR, APIC_DFR, APIC_SVR};

    for (unsigned i = 0; i < 4; i++) {
        f->retries = 0;
        wr(f, routing[i], APIC_ENABLED);
        assert_int_equal(f->retries, 1);
    }
    wr(f, APIC_TPR, 0);
    assert_int_equal(f->retries, 1);
}

static void test_msi(void **state)
{
    struct fixture *f = *state;
    static const uint8_t ldr[CPUS] = {1, 2, 4};
    const struct gmem_attrs device = {.requester = 0x18};
    uint32_t value;

    apic_msi(&f->ports, 0xfee01000, 0x0071);
    assert_int_equal(receivers(f, 0x71), 2);
    apic_msi(&f->ports, 0xfee00000, 0x0071); /* a device's first page is no APIC's */
    assert_int_equal(receivers(f, 0x71), 1);
    assert_int_equal(gmem_ld32_le(f->ports.memory, LAPIC_BASE + APIC_VERSION, device, &value), GMEM_OK);
    assert_int_equal(value, 0xffffffff);
    apic_msi(&f->ports, 0xfeeff000, 0x0071);
    assert_int_equal(receivers(f, 0x71), 7);
    wr(f, 0x2000, 0x0072); /* a processor's, outside of its page */
    assert_int_equal(receivers(f, 0x72), 4);
    assert_int_equal(rd(f, 0x2000), 0xffffffff);
    set_logical(f, 0xf0000000, ldr);
    apic_msi(&f->ports, 0xfee06004, 0x0071);
    assert_int_equal(receivers(f, 0x71), 6);
    apic_msi(&f->ports, 0xfee0600c, 0x0071); /* redirection hint: one of them */
    assert_int_equal(receivers(f, 0x71), 2);
    apic_msi(&f->ports, 0xfee06004, 0x0171);
    assert_int_equal(receivers(f, 0x71), 4);
    apic_msi(&f->ports, 0xfee00000, 0x8071); /* level de-assert */
    assert_int_equal(receivers(f, 0x71), 0);
    apic_msi(&f->ports, 0xfee00000, 0xc071);
    assert_true(apic_has(&f->ports, APIC_TMR, 0x71));
    assert_int_equal(receivers(f, 0x71), 1);
    assert_int_equal(f->eois, 1);
    apic_msi(&f->ports, 0xfee00000, 0x0400);
    assert_int_equal(events(f, 0), IRQCHIP_NMI);
    apic_msi(&f->ports, 0xfee01000, 0x069f); /* SIPI is no MSI */
    assert_int_equal(events(f, 1), 0);
    assert_int_equal(gmem_st16_le(f->ports.memory, 0xfee00000, device, 0x71), GMEM_OK);
    assert_int_equal(receivers(f, 0x71), 0);
}

/* --- the timer --------------------------------------------------------------------------------------------------- */

/* How often vector is pending at processor 0 if the time goes on to now. */
static unsigned expiries(struct fixture *f, uint64_t now, uint8_t vector)
{
    unsigned count = 0;

    while (f->time.now < now) {
        uint64_t next = vtime_next(&f->time);

        vtime_advance(&f->time, next < now ? next : now);
        if (!lapic_pending(f->cpu[0]))
            continue;
        assert_taken(f, 0, vector);
        wr(f, APIC_EOI, 0);
        count++;
    }
    return count;
}

static void test_one_shot(void **state)
{
    struct fixture *f = *state;

    wr(f, APIC_TIMER_DIVIDE, 0x0b); /* by 1 */
    wr(f, APIC_LVT_TIMER, 0x40);
    wr(f, APIC_TIMER_INITIAL, 1000);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 1000);
    assert_int_equal(vtime_next(&f->time), 1000);
    vtime_advance(&f->time, 400);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 600);
    assert_int_equal(expiries(f, 999, 0x40), 0);
    assert_int_equal(expiries(f, 100000, 0x40), 1);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 0);
    assert_int_equal(rd(f, APIC_TIMER_INITIAL), 1000);
    wr(f, APIC_TIMER_INITIAL, 5000);
    wr(f, APIC_TIMER_INITIAL, 0); /* stops it */
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 0);
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER);
}

static void test_divide(void **state)
{
    static const struct {
        uint32_t code, by;
    } divides[] = {{0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
    struct fixture *f = *state;

    wr(f, APIC_LVT_TIMER, 0x40);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t start = f->time.now;

        wr(f, APIC_TIMER_DIVIDE, divides[i].code);
        wr(f, APIC_TIMER_INITIAL, 100);
        assert_int_equal(vtime_next(&f->time), start + 100 * divides[i].by);
        vtime_advance(&f->time, start + 40 * divides[i].by + divides[i].by - 1);
        assert_int_equal(rd(f, APIC_TIMER_COUNT), 60);
    }
    wr(f, APIC_TIMER_DIVIDE, 0x0); /* in the middle: what is left, slower */
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 60);
    assert_int_equal(vtime_next(&f->time), f->time.now + 120);
    wr(f, APIC_TIMER_INITIAL, 0xffffffff);
    wr(f, APIC_TIMER_DIVIDE, 0xa);
    assert_int_equal(vtime_next(&f->time), f->time.now + UINT64_C(128) * 0xffffffff);
}

static void test_periodic(void **state)
{
    struct fixture *f = *state;

    wr(f, APIC_TIMER_DIVIDE, 0x0b);
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x40);
    wr(f, APIC_TIMER_INITIAL, 100000);
    assert_int_equal(expiries(f, 1000000, 0x40), 10);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 100000);
    vtime_advance(&f->time, 1000001);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 99999);
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | APIC_MASKED | 0x40);
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER); /* nobody waits for it */
    assert_int_equal(expiries(f, 2050000, 0x40), 0);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 50000); /* it counts all the same */
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x41);
    assert_int_equal(vtime_next(&f->time), 2100000);
    assert_int_equal(expiries(f, 2100000, 0x41), 1);
    vtime_advance(&f->time, 2130000);
    wr(f, APIC_LVT_TIMER, 0x41); /* one-shot from here */
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 70000);
    assert_int_equal(expiries(f, 5000000, 0x41), 1);
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x41); /* its end was its end */
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 0);
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER);
}

/* A write finds what was due, though nobody has advanced the time by a call yet. */
static void test_due_before_write(void **state)
{
    struct fixture *f = *state;

    wr(f, APIC_TIMER_DIVIDE, 0x0b);
    wr(f, APIC_LVT_TIMER, 0x40);
    wr(f, APIC_TIMER_INITIAL, 1000);
    f->time.now = 1010;
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 0);
    wr(f, APIC_LVT_TIMER, APIC_MASKED | 0x40);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    wr(f, APIC_LVT_TIMER, 0x40);
    wr(f, APIC_TIMER_INITIAL, 1000);
    f->time.now = 2010;
    wr(f, APIC_TIMER_INITIAL, 1000);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    assert_int_equal(vtime_next(&f->time), 3010);
    f->time.now = 3010;
    wr(f, APIC_TIMER_DIVIDE, 0x00);
    assert_taken(f, 0, 0x40);
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER);
}

/* G9: the shortest period, and nobody takes the interrupts. */
static void test_short_period(void **state)
{
    struct fixture *f = *state;
    uint64_t next;

    wr(f, APIC_TIMER_DIVIDE, 0x0b);
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x40);
    wr(f, APIC_TIMER_INITIAL, 1);
    assert_int_equal(vtime_next(&f->time), 1);
    assert_int_equal(expiries(f, 1000000, 0x40), 1000000 / LAPIC_TIMER_GAP_NS);
    wr(f, APIC_TIMER_INITIAL, 3000);
    next = f->time.now + 3000;
    assert_int_equal(vtime_next(&f->time), next);
    vtime_advance(&f->time, next);
    next += 12000; /* the first multiple that is not too soon */
    assert_int_equal(vtime_next(&f->time), next);
    vtime_advance(&f->time, next - 1);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 1); /* the count shows every period */
    vtime_advance(&f->time, PC_NS_PER_S);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x05); /* an illegal vector, which is an error each time */
    vtime_advance(&f->time, 2 * PC_NS_PER_S);
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0x40);
}

/* --- random ------------------------------------------------------------------------------------------------------ */

/* The highest vector, or -1. */
static int highest(struct fixture *f, uint32_t set)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t word = rd(f, set + (uint32_t)i * 0x10);

        if (word)
            return i * 32 + 31 - __builtin_clz(word);
    }
    return -1;
}

static void check(struct fixture *f, unsigned cpu)
{
    int irr, isr;
    uint32_t ppr, tpr;

    if (!(lapic_base(f->cpu[cpu]) & LAPIC_BASE_ENABLE))
        return;
    use(f, cpu);
    irr = highest(f, APIC_IRR), isr = highest(f, APIC_ISR);
    ppr = rd(f, APIC_PPR), tpr = rd(f, APIC_TPR);
    assert_true(irr == -1 || irr >= 16);
    assert_true(isr == -1 || isr >= 16);
    assert_int_equal(ppr & 0xf0, isr != -1 && (isr & 0xf0) > (int)(tpr & 0xf0) ? isr & 0xf0 : (int)(tpr & 0xf0));
    if (irr != -1 && (irr & 0xf0) > (int)(ppr & 0xf0))
        assert_true(lapic_pending(f->cpu[cpu]));
}

/* A quarter of its bits are set. */
static uint64_t sparse(struct random *random)
{
    uint64_t some = random_u64(random);

    return some & random_u64(random);
}

static void do_something(struct fixture *f, struct random *random, unsigned cpu)
{
    static const uint32_t offsets[] = {APIC_TPR,       APIC_EOI,       APIC_EOI,          APIC_ICR,
                                       APIC_ICR,       APIC_ICR_HIGH,  APIC_LVT_TIMER,    APIC_LVT_LINT0,
                                       APIC_LVT_LINT1, APIC_LVT_ERROR, APIC_TIMER_DIVIDE, APIC_TIMER_INITIAL,
                                       APIC_ESR,       APIC_LDR,       APIC_DFR,          APIC_SVR};
    uint8_t vector;

    use(f, cpu);
    switch (random_below(random, 12)) {
    case 0:
        vtime_advance(&f->time, f->time.now + random_below(random, 100000));
        break;
    case 1:
        lapic_set_lint(f->cpu[cpu], (unsigned)random_below(random, 2), (int)random_below(random, 2));
        break;
    case 2:
        (void)lapic_events(f->cpu[cpu], &vector);
        break;
    case 3:
        if (lapic_pending(f->cpu[cpu]) || random_chance(random, 10))
            (void)!lapic_take(f->cpu[cpu], &vector);
        break;
    case 4:
        apic_msi(&f->ports, LAPIC_BASE + (random_below(random, APIC_MSI_SIZE) & ~3u),
                 (uint32_t)random_u64(random) & 0xffff);
        break;
    case 5:
        wr(f, (uint32_t)random_below(random, 0x1000) & ~3u, (uint32_t)random_u64(random));
        break;
    case 6:
        wr(f, offsets[random_below(random, 16)], (uint32_t)sparse(random));
        break;
    default: /* in working order */
        if (random_chance(random, 5))
            (void)!lapic_set_base(f->cpu[cpu], random_chance(random, 30) ? 0xfee00000 : 0xfee00800);
        wr(f, APIC_SVR, APIC_ENABLED);
        wr(f, APIC_TPR, 0);
        wr(f, APIC_EOI, 0);
        wr(f, APIC_DFR, random_chance(random, 50) ? 0xf0000000 : 0);
        send(f, (uint32_t)random_below(random, 4), 0x4000 | ((uint32_t)random_u64(random) & 0xc08ff));
        break;
    }
}

static void test_random(void **state)
{
    struct fixture *f = *state;
    struct random random = random_start("lapic", 4);
    unsigned taken = 0;

    for (int i = 0; i < 20000; i++) {
        unsigned cpu = (unsigned)random_below(&random, CPUS);
        uint8_t vector;

        do_something(f, &random, cpu);
        for (unsigned j = 0; j < CPUS; j++)
            check(f, j);
        if (!random_chance(&random, 20) || !lapic_pending(f->cpu[cpu]))
            continue;
        use(f, cpu);
        if (lapic_base(f->cpu[cpu]) & LAPIC_BASE_ENABLE) {
            int before = highest(f, APIC_ISR);

            if (lapic_take(f->cpu[cpu], &vector)) {
                assert_true((vector & 0xf0) > (before == -1 ? 0 : before & 0xf0));
                assert_int_equal(highest(f, APIC_ISR), vector);
                taken++;
            }
        }
    }
    printf("# %u taken\n", taken);
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_place, setup_reset, teardown),
        cmocka_unit_test_setup_teardown(test_reset_values, setup_reset, teardown),
        cmocka_unit_test_setup_teardown(test_writable_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_priorities, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arbitration_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spurious, setup, teardown),
        cmocka_unit_test_setup_teardown(test_software_disable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_physical_destinations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_logical_destinations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lowest_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_init_and_sipi, setup_reset, teardown),
        cmocka_unit_test_setup_teardown(test_init_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eoi_broadcast, setup, teardown),
        cmocka_unit_test_setup_teardown(test_message_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lint_level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lint_init, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_shot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_divide, setup, teardown),
        cmocka_unit_test_setup_teardown(test_periodic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_due_before_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_period, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
