/* SPDX-License-Identifier: MIT */
/* The two 8259A through their ports: cases from the datasheets (Intel 231468; 290550 for the ELCR), and random sequences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "i8259.h"
#include "pc-ports.h"
#include "random.h"

#define MASTER 0x20
#define SLAVE 0xa0
#define ICW1 0x11 /* edges, cascade, ICW4 follows */
#define ICW4_8086 0x01
#define ICW4_AEOI 0x02
#define ICW4_SFNM 0x10
#define EOI 0x20
#define SPECIFIC_EOI 0x60
#define READ_IRR 0x0a
#define READ_ISR 0x0b
#define POLL 0x0c
#define SET_SPECIAL_MASK 0x68
#define RESET_SPECIAL_MASK 0x48

struct fixture {
    struct ports ports;
    struct i8259 *pics;
    struct wire intr;
};

static void initialise(struct fixture *f, uint8_t master_icw4, uint8_t slave_icw4)
{
    outb(&f->ports, MASTER, ICW1);
    outb(&f->ports, MASTER + 1, 0x08);
    outb(&f->ports, MASTER + 1, 0x04);
    outb(&f->ports, MASTER + 1, master_icw4);
    outb(&f->ports, SLAVE, ICW1);
    outb(&f->ports, SLAVE + 1, 0x70);
    outb(&f->ports, SLAVE + 1, 0x02);
    outb(&f->ports, SLAVE + 1, slave_icw4);
}

static int setup_raw(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ports_open(&f->ports);
    assert_int_equal(i8259_create(f->ports.io, wire_irq(&f->intr), &f->pics), 0);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    setup_raw(state);
    initialise(*state, ICW4_8086, ICW4_8086);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    i8259_destroy(f->pics);
    assert_int_not_equal(gmem_space_lookup(f->ports.space, MASTER, &section), 0);
    ports_close(&f->ports);
    free(f);
    return 0;
}

static void up(struct fixture *f, unsigned n)
{
    i8259_set(f->pics, n, 1);
}

static void down(struct fixture *f, unsigned n)
{
    i8259_set(f->pics, n, 0);
}

static void pulse(struct fixture *f, unsigned n)
{
    down(f, n);
    up(f, n);
}

static void assert_intr(struct fixture *f, bool level)
{
    assert_int_equal(f->intr.level, level);
}

/* INTR is up, and the processor gets this vector. */
static void assert_taken(struct fixture *f, uint8_t vector)
{
    assert_intr(f, true);
    assert_int_equal(i8259_acknowledge(f->pics), vector);
}

static uint8_t isr(struct fixture *f, uint16_t port)
{
    outb(&f->ports, port, READ_ISR);
    return inb(&f->ports, port);
}

static uint8_t irr(struct fixture *f, uint16_t port)
{
    outb(&f->ports, port, READ_IRR);
    return inb(&f->ports, port);
}

static void test_ports(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    assert_port(&f->ports, 0x20, "pic");
    assert_port(&f->ports, 0x21, "pic");
    assert_port(&f->ports, 0xa0, "pic");
    assert_port(&f->ports, 0xa1, "pic");
    assert_port(&f->ports, 0x4d0, "elcr");
    assert_port(&f->ports, 0x4d1, "elcr");
    assert_int_not_equal(gmem_space_lookup(f->ports.space, 0x22, &section), 0);
    assert_int_not_equal(gmem_space_lookup(f->ports.space, 0x4d2, &section), 0);
}

/* Nothing is requested before the end of the initialisation, nor in the middle of another one. */
static void test_initialisation(void **state)
{
    struct fixture *f = *state;

    up(f, 1);
    assert_intr(f, false);
    initialise(f, ICW4_8086, ICW4_8086);
    assert_intr(f, false); /* the edge was before */
    pulse(f, 1);
    assert_taken(f, 0x09);
    pulse(f, 0);
    outb(&f->ports, MASTER + 1, 0xf0);
    outb(&f->ports, MASTER, READ_ISR);
    assert_intr(f, true);
    outb(&f->ports, MASTER, ICW1);
    assert_intr(f, false);
    pulse(f, 0);
    outb(&f->ports, MASTER + 1, 0x40);
    outb(&f->ports, MASTER + 1, 0x04);
    assert_intr(f, false);
    outb(&f->ports, MASTER + 1, ICW4_8086);
    assert_int_equal(inb(&f->ports, MASTER), 0x01);     /* IRR is read again */
    assert_int_equal(inb(&f->ports, MASTER + 1), 0x00); /* the masks are clear */
    assert_int_equal(isr(f, MASTER), 0x00);
    assert_taken(f, 0x40);
    outb(&f->ports, MASTER, 0xc0 | 3);
    initialise(f, ICW4_8086, ICW4_8086);
    pulse(f, 3); /* it was the lowest, and is above 4 again */
    pulse(f, 4);
    assert_taken(f, 0x0b);
}

/* Single: no ICW3, and input 2 is one as the others. Without ICW4: MCS-80 vectors, the low byte of an address. */
static void test_single_and_mcs80(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, MASTER, 0x13);
    outb(&f->ports, MASTER + 1, 0x20);
    outb(&f->ports, MASTER + 1, ICW4_8086);
    up(f, 8);
    assert_taken(f, 0x22);
    outb(&f->ports, MASTER, 0xb6); /* interval 4, A7-A5 = 101 */
    outb(&f->ports, MASTER + 1, 0x12);
    assert_int_equal(inb(&f->ports, MASTER + 1), 0);
    up(f, 5);
    pulse(f, 5);
    assert_taken(f, 0xa8); /* the second controller still asks: input 2 */
    outb(&f->ports, MASTER, EOI);
    down(f, 8);
    pulse(f, 5);
    assert_taken(f, 0xb4);
    outb(&f->ports, MASTER, 0xb2); /* interval 8, A7-A6 = 10 */
    outb(&f->ports, MASTER + 1, 0x12);
    pulse(f, 5);
    assert_taken(f, 0xa8);
}

/* Fully nested: a lower input waits for EOI, a higher one does not. */
static void test_fully_nested(void **state)
{
    struct fixture *f = *state;

    up(f, 5);
    assert_int_equal(irr(f, MASTER), 0x20);
    assert_taken(f, 0x0d);
    assert_intr(f, false);
    assert_int_equal(irr(f, MASTER), 0x00);
    assert_int_equal(isr(f, MASTER), 0x20);
    up(f, 6);
    assert_intr(f, false);
    up(f, 3);
    assert_taken(f, 0x0b);
    assert_int_equal(isr(f, MASTER), 0x28);
    outb(&f->ports, MASTER, EOI);
    assert_int_equal(isr(f, MASTER), 0x20);
    assert_intr(f, false);
    outb(&f->ports, MASTER, EOI);
    assert_taken(f, 0x0e);
    outb(&f->ports, MASTER, SPECIFIC_EOI | 6);
    assert_int_equal(isr(f, MASTER), 0x00);
    outb(&f->ports, MASTER, EOI); /* nothing in service */
    assert_intr(f, false);
    assert_int_equal(f->intr.rises, 3);
}

static void test_cascade(void **state)
{
    struct fixture *f = *state;

    up(f, 3);
    up(f, 12);
    up(f, 8);
    assert_int_equal(irr(f, MASTER), 0x0c);
    assert_taken(f, 0x70); /* the second controller is input 2 */
    assert_int_equal(isr(f, MASTER), 0x04);
    assert_int_equal(isr(f, SLAVE), 0x01);
    assert_intr(f, false);
    outb(&f->ports, SLAVE, EOI);
    assert_intr(f, false); /* the first one does not know yet */
    outb(&f->ports, MASTER, EOI);
    assert_taken(f, 0x74);
    up(f, 1);
    assert_taken(f, 0x09);
    outb(&f->ports, MASTER, EOI);
    outb(&f->ports, SLAVE, EOI);
    outb(&f->ports, MASTER, EOI);
    assert_taken(f, 0x0b);
    up(f, I8259_CASCADE);
    up(f, I8259_INPUTS);
    assert_int_equal(irr(f, MASTER), 0x00);
}

/* Nobody with that identity: nothing drives the bus. */
static void test_no_slave(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, SLAVE, ICW1);
    outb(&f->ports, SLAVE + 1, 0x70);
    outb(&f->ports, SLAVE + 1, 0x05);
    outb(&f->ports, SLAVE + 1, ICW4_8086);
    up(f, 9);
    assert_taken(f, 0xff);
    assert_int_equal(isr(f, MASTER), 0x04);
    assert_int_equal(isr(f, SLAVE), 0x00);
}

/* An edge is one interrupt however long the input stays up. */
static void test_edges(void **state)
{
    struct fixture *f = *state;

    up(f, 4);
    up(f, 4);
    assert_taken(f, 0x0c);
    outb(&f->ports, MASTER, EOI);
    assert_intr(f, false);
    up(f, 4);
    assert_intr(f, false);
    pulse(f, 4);
    assert_taken(f, 0x0c);
    pulse(f, 4); /* while in service: the next one */
    assert_intr(f, false);
    outb(&f->ports, MASTER, EOI);
    assert_taken(f, 0x0c);
}

static void test_spurious(void **state)
{
    struct fixture *f = *state;

    up(f, 4);
    assert_intr(f, true);
    down(f, 4);
    assert_intr(f, false);
    assert_int_equal(i8259_acknowledge(f->pics), 0x0f);
    assert_int_equal(isr(f, MASTER), 0x00);

    up(f, 12);
    assert_intr(f, true);
    down(f, 12);
    assert_intr(f, false);
    assert_int_equal(i8259_acknowledge(f->pics), 0x77);
    assert_int_equal(isr(f, SLAVE), 0x00);
    assert_int_equal(isr(f, MASTER), 0x04); /* which has to be ended */
    outb(&f->ports, MASTER, EOI);
    assert_int_equal(i8259_acknowledge(f->pics), 0x0f);
    assert_int_equal(isr(f, MASTER), 0x00);

    up(f, 12);
    outb(&f->ports, MASTER + 1, 0x04); /* it is the first one that took it back */
    assert_int_equal(i8259_acknowledge(f->pics), 0x0f);
    assert_int_equal(isr(f, MASTER), 0x00);
    outb(&f->ports, MASTER + 1, 0x00);
    assert_taken(f, 0x74);
}

static void test_level(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, 0x4d0, 0x20);
    up(f, 5);
    assert_taken(f, 0x0d);
    assert_int_equal(irr(f, MASTER), 0x20); /* still up */
    assert_intr(f, false);
    outb(&f->ports, MASTER, EOI);
    assert_taken(f, 0x0d);
    down(f, 5);
    outb(&f->ports, MASTER, EOI);
    assert_intr(f, false);
    outb(&f->ports, 0x4d1, 0x08);
    up(f, 11);
    for (int i = 0; i < 3; i++) {
        assert_taken(f, 0x73);
        outb(&f->ports, SLAVE, EOI);
        outb(&f->ports, MASTER, EOI);
    }
    initialise(f, ICW4_8086, ICW4_8086);
    assert_taken(f, 0x73); /* a level outlives initialisation */
}

static void test_elcr(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(inb(&f->ports, 0x4d0), 0x00);
    outb(&f->ports, 0x4d0, 0xff);
    outb(&f->ports, 0x4d1, 0xff);
    assert_int_equal(inb(&f->ports, 0x4d0), 0xf8); /* 0, 1, 2, 8 and 13 are always edge triggered */
    assert_int_equal(inb(&f->ports, 0x4d1), 0xde);
    outb(&f->ports, 0x4d0, 0x00);
    outb(&f->ports, 0x4d1, 0x00);

    outb(&f->ports, MASTER, ICW1 | 0x08); /* LTIM is not looked at */
    outb(&f->ports, MASTER + 1, 0x08);
    outb(&f->ports, MASTER + 1, 0x04);
    outb(&f->ports, MASTER + 1, ICW4_8086);
    up(f, 3);
    assert_taken(f, 0x0b);
    outb(&f->ports, MASTER, EOI);
    assert_intr(f, false);
    outb(&f->ports, 0x4d0, 0x08); /* it is up, and now that counts */
    assert_intr(f, true);
    outb(&f->ports, 0x4d0, 0x00); /* now only an edge does */
    assert_intr(f, false);
    outb(&f->ports, 0x4d0, 0x10); /* other inputs keep what they have */
    pulse(f, 3);
    outb(&f->ports, 0x4d0, 0x00);
    assert_taken(f, 0x0b);
}

static void test_masks(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, MASTER + 1, 0x12);
    outb(&f->ports, SLAVE + 1, 0x81);
    assert_int_equal(inb(&f->ports, MASTER + 1), 0x12);
    assert_int_equal(inb(&f->ports, SLAVE + 1), 0x81);
    up(f, 4);
    up(f, 8);
    assert_intr(f, false);
    assert_int_equal(irr(f, MASTER), 0x10);
    outb(&f->ports, SLAVE + 1, 0x00);
    assert_taken(f, 0x70);
    outb(&f->ports, SLAVE, EOI);
    outb(&f->ports, MASTER, EOI);
    outb(&f->ports, MASTER + 1, 0x00);
    assert_taken(f, 0x0c);
}

/* The datasheet's example: 4 and 6 in service, 4 ends with rotation and becomes the lowest. */
static void test_rotation(void **state)
{
    struct fixture *f = *state;

    up(f, 6);
    assert_taken(f, 0x0e);
    up(f, 4);
    assert_taken(f, 0x0c);
    assert_int_equal(isr(f, MASTER), 0x50);
    outb(&f->ports, MASTER, 0xa0); /* rotate on non-specific EOI */
    assert_int_equal(isr(f, MASTER), 0x40);
    pulse(f, 4);
    assert_intr(f, false); /* the order is 5 6 7 0 1 2 3 4 */
    up(f, 7);
    assert_intr(f, false);
    up(f, 5);
    assert_taken(f, 0x0d);
    outb(&f->ports, MASTER, 0xe0 | 6); /* rotate on specific EOI: 7 0 1 2 3 4 5 6 */
    assert_int_equal(isr(f, MASTER), 0x20);
    assert_taken(f, 0x0f);
    outb(&f->ports, MASTER, EOI);
    assert_taken(f, 0x0c); /* 4 is above 5 */
    outb(&f->ports, MASTER, EOI);
    assert_int_equal(isr(f, MASTER), 0x20);
    outb(&f->ports, MASTER, EOI);
    outb(&f->ports, MASTER, 0xc0 | 5); /* set priority: 5 is the lowest, 6 the highest */
    pulse(f, 0);
    pulse(f, 5);
    pulse(f, 6);
    assert_taken(f, 0x0e);
    outb(&f->ports, MASTER, EOI);
    assert_taken(f, 0x08);
    outb(&f->ports, MASTER, EOI);
    assert_taken(f, 0x0d);
    outb(&f->ports, MASTER, 0x40); /* no operation */
    assert_int_equal(isr(f, MASTER), 0x20);
}

static void test_automatic_eoi(void **state)
{
    struct fixture *f = *state;

    initialise(f, ICW4_8086 | ICW4_AEOI, ICW4_8086);
    up(f, 3);
    assert_taken(f, 0x0b);
    assert_int_equal(isr(f, MASTER), 0x00);
    up(f, 6);
    assert_taken(f, 0x0e);
    outb(&f->ports, MASTER, 0x80); /* rotate in automatic EOI mode: set */
    pulse(f, 0);
    assert_taken(f, 0x08);
    pulse(f, 0);
    pulse(f, 1);
    assert_taken(f, 0x09);
    assert_taken(f, 0x08);
    outb(&f->ports, MASTER, 0x00); /* clear: the order stays 1 2 ... 7 0 */
    pulse(f, 1);
    assert_taken(f, 0x09);
    pulse(f, 1);
    pulse(f, 0);
    assert_taken(f, 0x09);
    assert_taken(f, 0x08);
    initialise(f, ICW4_8086 | ICW4_AEOI, ICW4_8086 | ICW4_AEOI);
    up(f, 9);
    up(f, 10);
    assert_taken(f, 0x71);
    assert_taken(f, 0x72);
    assert_intr(f, false);
}

/* A masked input in service holds back nobody, and a non-specific EOI does not end it. */
static void test_special_mask(void **state)
{
    struct fixture *f = *state;

    up(f, 2 + 1);
    assert_taken(f, 0x0b);
    outb(&f->ports, MASTER + 1, 0x08);
    up(f, 5);
    assert_intr(f, false);
    outb(&f->ports, MASTER, SET_SPECIAL_MASK);
    assert_taken(f, 0x0d);
    assert_int_equal(isr(f, MASTER), 0x28);
    outb(&f->ports, MASTER, EOI);
    assert_int_equal(isr(f, MASTER), 0x08);
    outb(&f->ports, MASTER, EOI);
    assert_int_equal(isr(f, MASTER), 0x08);
    pulse(f, 5);
    assert_intr(f, true);
    outb(&f->ports, MASTER, 0x28); /* without ESMM nothing changes */
    assert_intr(f, true);
    outb(&f->ports, MASTER, RESET_SPECIAL_MASK);
    assert_intr(f, false);
    outb(&f->ports, MASTER, SPECIFIC_EOI | 3);
    assert_taken(f, 0x0d);
}

static void test_poll(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, MASTER, POLL);
    assert_int_equal(inb(&f->ports, MASTER) & 0x80, 0);
    up(f, 4);
    up(f, 10);
    outb(&f->ports, MASTER, POLL | 0x03); /* goes before reading the ISR */
    assert_int_equal(inb(&f->ports, MASTER), 0x82);
    assert_intr(f, false);
    assert_int_equal(isr(f, MASTER), 0x04);
    outb(&f->ports, SLAVE, POLL);
    assert_int_equal(inb(&f->ports, SLAVE), 0x82);
    assert_int_equal(isr(f, SLAVE), 0x04);
    outb(&f->ports, SLAVE, EOI);
    outb(&f->ports, MASTER, EOI);
    outb(&f->ports, MASTER, POLL);
    assert_int_equal(inb(&f->ports, MASTER), 0x84);
    assert_int_equal(inb(&f->ports, MASTER), 0x10); /* once: as before, the ISR is read */
}

/* In special fully nested mode a higher input of the second controller comes through while a lower is in service. */
static void test_special_fully_nested(void **state)
{
    struct fixture *f = *state;

    up(f, 10);
    assert_taken(f, 0x72);
    up(f, 8);
    assert_intr(f, false);
    initialise(f, ICW4_8086 | ICW4_SFNM, ICW4_8086);
    pulse(f, 10);
    assert_taken(f, 0x72);
    pulse(f, 8);
    assert_taken(f, 0x70);
    assert_int_equal(isr(f, SLAVE), 0x05);
    pulse(f, 9);
    assert_intr(f, false);
    up(f, 3); /* of a lower input of the first one nothing changes */
    assert_intr(f, false);
    outb(&f->ports, SLAVE, EOI);
    assert_taken(f, 0x71);
    up(f, 5);
    outb(&f->ports, MASTER, EOI);
    assert_taken(f, 0x0b);
    pulse(f, 3); /* no second controller there: not again */
    assert_intr(f, false);
}

/* What must hold with fixed priorities: the highest request that is not masked is up unless something as high is in service. */
static void check_order(struct fixture *f)
{
    uint8_t slave_asks = irr(f, SLAVE) & (uint8_t)~inb(&f->ports, SLAVE + 1);
    uint8_t slave_serves = isr(f, SLAVE);
    uint8_t asks = irr(f, MASTER) & (uint8_t)~inb(&f->ports, MASTER + 1);
    uint8_t serves = isr(f, MASTER);
    bool slave_intr = slave_asks && (!slave_serves || __builtin_ctz(slave_asks) < __builtin_ctz(slave_serves));

    assert_int_equal((irr(f, MASTER) & 0x04) != 0, slave_intr);
    assert_intr(f, asks && (!serves || __builtin_ctz(asks) < __builtin_ctz(serves)));
}

/* A quarter of its bits are set. */
static uint64_t sparse(struct random *random)
{
    uint64_t some = random_u64(random);

    return some & random_u64(random);
}

static void test_random_nested(void **state)
{
    struct fixture *f = *state;
    struct random random = random_start("nested", 1);

    for (int i = 0; i < 20000; i++) {
        uint16_t port = random_chance(&random, 50) ? MASTER : SLAVE;
        uint8_t before = isr(f, MASTER), vector;

        switch (random_below(&random, 6)) {
        case 0:
        case 1:
            i8259_set(f->pics, (unsigned)random_below(&random, 16), (int)random_below(&random, 2));
            break;
        case 2:
            outb(&f->ports, port, random_chance(&random, 80) ? EOI : (uint8_t)(0x60 | random_below(&random, 8)));
            break;
        case 3:
            outb(&f->ports, port + 1, (uint8_t)sparse(&random));
            break;
        case 4:
            outb(&f->ports, 0x4d0 + (uint16_t)random_below(&random, 2), (uint8_t)random_u64(&random));
            break;
        default:
            if (!f->intr.level)
                break;
            vector = i8259_acknowledge(f->pics);
            assert_true((vector & 0xf8) == 0x08 || (vector & 0xf8) == 0x70);
            if ((vector & 0xf8) == 0x70)
                vector = 2;
            /* It is above all that were in service. */
            assert_int_equal(before & ((2u << (vector & 7)) - 1), 0);
            assert_int_equal(isr(f, MASTER), before | 1u << (vector & 7));
            break;
        }
        check_order(f);
    }
}

/* G8: any sequence, after which they can be set up and work. */
static void test_random_bytes(void **state)
{
    static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
    struct fixture *f = *state;
    struct random random = random_start("bytes", 2);

    for (int i = 0; i < 100000; i++) {
        uint16_t port = ports[random_below(&random, 6)];

        if (random_chance(&random, 50))
            i8259_set(f->pics, (unsigned)random_below(&random, 18), (int)random_below(&random, 2));
        else if (random_chance(&random, 10))
            (void)i8259_acknowledge(f->pics);
        else if (random_chance(&random, 30))
            (void)inb(&f->ports, port);
        else
            outb(&f->ports, port, (uint8_t)random_u64(&random));
    }
    for (unsigned n = 0; n < I8259_INPUTS; n++)
        down(f, n);
    assert_intr(f, false);
    initialise(f, ICW4_8086, ICW4_8086);
    up(f, 15);
    assert_taken(f, 0x77);
    assert_int_equal(isr(f, SLAVE), 0x80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ports, setup_raw, teardown),
        cmocka_unit_test_setup_teardown(test_initialisation, setup_raw, teardown),
        cmocka_unit_test_setup_teardown(test_single_and_mcs80, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fully_nested, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cascade, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_slave, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spurious, setup, teardown),
        cmocka_unit_test_setup_teardown(test_level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elcr, setup, teardown),
        cmocka_unit_test_setup_teardown(test_masks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_automatic_eoi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_special_mask, setup, teardown),
        cmocka_unit_test_setup_teardown(test_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_special_fully_nested, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_nested, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_bytes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
