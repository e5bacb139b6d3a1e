/* SPDX-License-Identifier: MIT */
/* The I/O APIC through its two registers: cases from the 82093AA datasheet (290566), and random sequences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ioapic.h"
#include "pc-ports.h"
#include "random.h"

#define MASKED 0x10000u
#define LEVEL 0x8000u
#define REMOTE_IRR 0x4000u
#define LOW_POLARITY 0x2000u
#define PENDING 0x1000u
#define LOGICAL 0x800u

struct fixture {
    struct ports ports;
    struct ioapic *ioapic;
    bool refuses; /* no local APIC takes it */
    unsigned sent;
    struct apic_message last;
};

static bool send(void *opaque, const struct apic_message *message)
{
    struct fixture *f = opaque;

    f->sent++;
    f->last = *message;
    return !f->refuses;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct ioapic_config config = {.send = send, .opaque = f};

    assert_non_null(f);
    ports_open(&f->ports);
    assert_int_equal(ioapic_create(f->ports.system, &config, &f->ioapic), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    ioapic_destroy(f->ioapic);
    assert_int_not_equal(gmem_space_lookup(f->ports.memory, IOAPIC_BASE, &section), 0);
    ports_close(&f->ports);
    free(f);
    return 0;
}

static uint32_t ld(struct fixture *f, uint64_t offset)
{
    uint32_t value;

    assert_int_equal(gmem_ld32_le(f->ports.memory, IOAPIC_BASE + offset, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static void st(struct fixture *f, uint64_t offset, uint32_t value)
{
    assert_int_equal(gmem_st32_le(f->ports.memory, IOAPIC_BASE + offset, GMEM_ATTRS_NONE, value), GMEM_OK);
}

static uint32_t rd(struct fixture *f, uint8_t index)
{
    st(f, 0x00, index);
    return ld(f, 0x10);
}

static void wr(struct fixture *f, uint8_t index, uint32_t value)
{
    st(f, 0x00, index);
    st(f, 0x10, value);
}

static uint32_t entry(struct fixture *f, unsigned pin)
{
    return rd(f, (uint8_t)(0x10 + 2 * pin));
}

static void set_entry(struct fixture *f, unsigned pin, uint32_t low, uint8_t dest)
{
    wr(f, (uint8_t)(0x11 + 2 * pin), (uint32_t)dest << 24);
    wr(f, (uint8_t)(0x10 + 2 * pin), low);
}

/* One message was sent since the last look, or none. */
static void assert_sent(struct fixture *f, unsigned count)
{
    assert_int_equal(f->sent, count);
    f->sent = 0;
}

static void test_place(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    assert_int_equal(gmem_space_lookup(f->ports.memory, 0xfec00fff, &section), 0);
    assert_string_equal(gmem_region_name(section.region), "ioapic");
    assert_int_equal(gmem_region_priority(section.region), 0);
    gmem_section_release(&section);
    assert_int_not_equal(gmem_space_lookup(f->ports.memory, 0xfec01000, &section), 0);
}

static void test_registers(void **state)
{
    struct fixture *f = *state;
    uint8_t byte;

    assert_int_equal(rd(f, 0), 0);
    assert_int_equal(rd(f, 1), 0x00170011);
    assert_int_equal(rd(f, 2), 0);
    wr(f, 0, 0xffffffff);
    assert_int_equal(rd(f, 0), 0x0f000000);
    assert_int_equal(rd(f, 2), 0x0f000000); /* the arbitration id is loaded with the id */
    wr(f, 1, 0xffffffff);
    wr(f, 2, 0);
    assert_int_equal(rd(f, 1), 0x00170011);
    assert_int_equal(rd(f, 2), 0x0f000000);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        assert_int_equal(entry(f, pin), MASKED);
        assert_int_equal(rd(f, (uint8_t)(0x11 + 2 * pin)), 0);
    }
    wr(f, 0x10, 0xffffffff);
    wr(f, 0x11, 0xffffffff);
    assert_int_equal(rd(f, 0x10), 0x1afff); /* delivery status and remote IRR are read only */
    assert_int_equal(rd(f, 0x11), 0xff000000);
    wr(f, 0x40, 0xffffffff); /* version 0x11 has no EOI register, and there are 24 entries */
    assert_int_equal(rd(f, 0x40), 0);
    assert_int_equal(rd(f, 0x0f), 0);
    st(f, 0x00, 0xffffff01); /* the select register has 8 bits */
    assert_int_equal(ld(f, 0x00), 0x01);
    st(f, 0x20, 0x10);
    st(f, 0x40, 0x10);
    assert_int_equal(ld(f, 0x00), 0x01);
    assert_int_equal(ld(f, 0x20), 0);
    assert_int_equal(gmem_st8(f->ports.memory, IOAPIC_BASE, GMEM_ATTRS_NONE, 0x11), GMEM_OK);
    assert_int_equal(gmem_ld8(f->ports.memory, IOAPIC_BASE + 0x13, GMEM_ATTRS_NONE, &byte), GMEM_OK);
    assert_int_equal(byte, 0xff);
    assert_sent(f, 0);
}

static void test_edges(void **state)
{
    struct fixture *f = *state;

    ioapic_set(f->ioapic, 4, 1); /* masked: lost */
    set_entry(f, 4, 0x34, 2);
    assert_sent(f, 0);
    ioapic_set(f->ioapic, 4, 0);
    assert_sent(f, 0);
    ioapic_set(f->ioapic, 4, 1);
    assert_sent(f, 1);
    assert_int_equal(f->last.mode, APIC_FIXED);
    assert_int_equal(f->last.vector, 0x34);
    assert_int_equal(f->last.dest, 2);
    assert_false(f->last.logical);
    assert_false(f->last.level);
    ioapic_set(f->ioapic, 4, 1);
    assert_sent(f, 0);
    assert_int_equal(entry(f, 4), 0x34);
    f->refuses = true;
    ioapic_set(f->ioapic, 4, 0);
    ioapic_set(f->ioapic, 4, 1);
    assert_sent(f, 1);
    f->refuses = false;
    ioapic_retry(f->ioapic); /* only levels are sent again */
    ioapic_eoi(f->ioapic, 0x34);
    assert_sent(f, 0);
    set_entry(f, 4, LOW_POLARITY | LOGICAL | 0x35, 0x0f);
    ioapic_set(f->ioapic, 4, 0);
    assert_sent(f, 0); /* asserted is asserted, whatever the voltage */
    ioapic_set(f->ioapic, 4, 1);
    assert_sent(f, 1);
    assert_true(f->last.logical);
    assert_int_equal(f->last.dest, 0x0f);
    ioapic_set(f->ioapic, IOAPIC_PINS, 1);
    assert_sent(f, 0);
}

static void test_levels(void **state)
{
    struct fixture *f = *state;

    set_entry(f, 10, MASKED | LEVEL | 0x51, 0);
    ioapic_set(f->ioapic, 10, 1);
    assert_sent(f, 0);
    assert_int_equal(entry(f, 10), MASKED | LEVEL | 0x51);
    set_entry(f, 10, LEVEL | 0x51, 0);
    assert_sent(f, 1);
    assert_true(f->last.level);
    assert_int_equal(entry(f, 10), REMOTE_IRR | LEVEL | 0x51);
    ioapic_set(f->ioapic, 10, 0);
    ioapic_set(f->ioapic, 10, 1);
    assert_sent(f, 0); /* it is still in service */
    ioapic_eoi(f->ioapic, 0x52);
    assert_sent(f, 0);
    ioapic_eoi(f->ioapic, 0x51);
    assert_sent(f, 1); /* still asserted */
    ioapic_set(f->ioapic, 10, 0);
    ioapic_eoi(f->ioapic, 0x51);
    assert_sent(f, 0);
    assert_int_equal(entry(f, 10), LEVEL | 0x51);

    /* Masked in service: EOI ends it, and it is sent again when it is unmasked. */
    ioapic_set(f->ioapic, 10, 1);
    assert_sent(f, 1);
    set_entry(f, 10, MASKED | LEVEL | 0x51, 0);
    assert_int_equal(entry(f, 10), MASKED | REMOTE_IRR | LEVEL | 0x51);
    ioapic_eoi(f->ioapic, 0x51);
    assert_sent(f, 0);
    set_entry(f, 10, LEVEL | 0x51, 0);
    assert_sent(f, 1);

    /* To edge triggered and back: the remote IRR is gone. */
    set_entry(f, 10, MASKED | 0x51, 0);
    assert_int_equal(entry(f, 10), MASKED | 0x51);
    set_entry(f, 10, LEVEL | 0x51, 0);
    assert_sent(f, 1);
}

/* The same vector on two pins: both end with it. */
static void test_shared_vector(void **state)
{
    struct fixture *f = *state;

    set_entry(f, 10, LEVEL | 0x51, 0);
    set_entry(f, 11, LEVEL | 0x51, 0);
    ioapic_set(f->ioapic, 10, 1);
    ioapic_set(f->ioapic, 11, 1);
    assert_sent(f, 2);
    ioapic_set(f->ioapic, 11, 0);
    ioapic_eoi(f->ioapic, 0x51);
    assert_sent(f, 1);
    assert_int_equal(entry(f, 10) & REMOTE_IRR, REMOTE_IRR);
    assert_int_equal(entry(f, 11) & REMOTE_IRR, 0);
}

static void test_refused_level(void **state)
{
    struct fixture *f = *state;

    f->refuses = true;
    set_entry(f, 9, LEVEL | 0x60, 7);
    ioapic_set(f->ioapic, 9, 1);
    assert_sent(f, 1);
    assert_int_equal(entry(f, 9), PENDING | LEVEL | 0x60);
    ioapic_retry(f->ioapic);
    assert_sent(f, 1);
    f->refuses = false;
    ioapic_retry(f->ioapic);
    ioapic_retry(f->ioapic);
    assert_sent(f, 1);
    assert_int_equal(entry(f, 9), REMOTE_IRR | LEVEL | 0x60);
}

/* Modes but fixed and lowest go by edges. */
static void test_modes(void **state)
{
    static const struct {
        unsigned mode;
        bool sent, level;
    } modes[] = {
        {APIC_FIXED, true, true}, {APIC_LOWEST, true, true}, {APIC_SMI, true, false},   {3, true, false},
        {APIC_NMI, true, false},  {APIC_INIT, true, false},  {APIC_SIPI, false, false}, {APIC_EXTINT, true, false},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        set_entry(f, 5, modes[i].mode << 8 | LEVEL | 0x70, 1);
        ioapic_set(f->ioapic, 5, 1);
        assert_sent(f, modes[i].sent);
        if (modes[i].sent) {
            assert_int_equal(f->last.mode, modes[i].mode);
            assert_int_equal(f->last.level, modes[i].level);
        }
        assert_int_equal((entry(f, 5) & REMOTE_IRR) != 0, modes[i].level);
        set_entry(f, 5, modes[i].mode << 8 | LEVEL | 0x70, 1);
        ioapic_set(f->ioapic, 5, 1);
        assert_sent(f, 0);
        ioapic_set(f->ioapic, 5, 0);
        set_entry(f, 5, MASKED, 1);
    }
}

/* G8, G9: any sequence; each call sends at most one message a pin, and a level is out exactly while it may be. */
static void test_random(void **state)
{
    struct fixture *f = *state;
    struct random random = random_start("ioapic", 3);
    bool asserted[IOAPIC_PINS] = {false};

    for (int i = 0; i < 30000; i++) {
        unsigned pin = (unsigned)random_below(&random, IOAPIC_PINS);
        uint32_t low;

        f->refuses = random_chance(&random, 20);
        f->sent = 0;
        switch (random_below(&random, 5)) {
        case 0:
            asserted[pin] = !asserted[pin];
            ioapic_set(f->ioapic, pin, asserted[pin]);
            assert_true(f->sent <= 1);
            break;
        case 1:
            ioapic_eoi(f->ioapic, (uint8_t)random_below(&random, 16));
            assert_true(f->sent <= IOAPIC_PINS);
            break;
        case 2:
            ioapic_retry(f->ioapic);
            assert_true(f->sent <= IOAPIC_PINS);
            break;
        case 3:
            wr(f, (uint8_t)random_u64(&random), (uint32_t)random_u64(&random));
            assert_true(f->sent <= 1);
            break;
        default:
            set_entry(f, pin, (uint32_t)random_u64(&random) & 0x1ff0f, 0);
            assert_true(f->sent <= 2);
            break;
        }
        low = entry(f, pin);
        if (low & REMOTE_IRR)
            assert_true(low & LEVEL && (low >> 8 & 7) <= APIC_LOWEST);
        if (low & PENDING)
            assert_true(asserted[pin] && low & LEVEL && !(low & (MASKED | REMOTE_IRR)));
        if (asserted[pin] && low & LEVEL && (low >> 8 & 7) <= APIC_LOWEST && !(low & (MASKED | REMOTE_IRR)))
            assert_true(low & PENDING);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared_vector, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
