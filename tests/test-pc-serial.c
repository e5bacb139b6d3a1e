/* SPDX-License-Identifier: MIT */
/* The UART and the debug console through their ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "debugcon.h"
#include "pc-ports.h"
#include "serial.h"

#define COM1 0x3f8
#define RBR (COM1 + 0)
#define THR (COM1 + 0)
#define IER (COM1 + 1)
#define IIR (COM1 + 2)
#define FCR (COM1 + 2)
#define LCR (COM1 + 3)
#define MCR (COM1 + 4)
#define LSR (COM1 + 5)
#define MSR (COM1 + 6)
#define SCR (COM1 + 7)

struct fixture {
    struct ports ports;
    struct serial *serial;
    struct debugcon *debugcon;
    struct wire irq;
    uint8_t sent[64];
    size_t count;
};

static void keep(void *opaque, uint8_t byte)
{
    struct fixture *f = opaque;

    assert_true(f->count < sizeof(f->sent));
    f->sent[f->count++] = byte;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct pc_sink sink = {.put = keep, .opaque = f};

    assert_non_null(f);
    ports_open(&f->ports);
    assert_int_equal(serial_create(f->ports.vm, f->ports.io, COM1, wire_irq(&f->irq), sink, &f->serial), 0);
    assert_int_equal(debugcon_create(f->ports.vm, f->ports.io, DEBUGCON_PORT, sink, &f->debugcon), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    serial_destroy(f->serial);
    debugcon_destroy(f->debugcon);
    ports_close(&f->ports);
    free(f);
    return 0;
}

static void test_debugcon(void **state)
{
    struct fixture *f = *state;

    assert_port(&f->ports, 0x402, "isa-debugcon");
    assert_int_equal(inb(&f->ports, 0x402), 0xe9);
    outb(&f->ports, 0x402, 'h');
    outb(&f->ports, 0x402, 'i');
    assert_int_equal(f->count, 2);
    assert_memory_equal(f->sent, "hi", 2);
}

static void test_registers(void **state)
{
    struct fixture *f = *state;

    assert_port(&f->ports, 0x3f8, "serial");
    assert_port(&f->ports, 0x3ff, "serial");
    outb(&f->ports, SCR, 0x5a);
    assert_int_equal(inb(&f->ports, SCR), 0x5a);
    outb(&f->ports, LCR, 0x83); /* the divisor */
    outb(&f->ports, COM1, 0x0c);
    outb(&f->ports, COM1 + 1, 0x34);
    assert_int_equal(inb(&f->ports, COM1), 0x0c);
    assert_int_equal(inb(&f->ports, COM1 + 1), 0x34);
    outb(&f->ports, LCR, 0x03);
    assert_int_equal(inb(&f->ports, LCR), 0x03);
    assert_int_equal(inb(&f->ports, IER), 0x00);
    assert_int_equal(f->count, 0);
    outb(&f->ports, IER, 0xff);
    assert_int_equal(inb(&f->ports, IER), 0x0f);
    outb(&f->ports, MCR, 0xff);
    assert_int_equal(inb(&f->ports, MCR), 0x1f);
    outb(&f->ports, MCR, 0x00);
    outb(&f->ports, LSR, 0xff); /* these are not for writing */
    outb(&f->ports, MSR, 0xff);
    assert_int_equal(inb(&f->ports, LSR), 0x60);
    assert_int_equal(inb(&f->ports, MSR) & 0xf0, 0xb0);
}

/* SeaBIOS's test for a port: the transmitter's interrupt is enabled and must be the one that is identified. */
static void test_detection(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, IER, 0x02);
    assert_int_equal(inb(&f->ports, IER), 0x02);
    assert_int_equal(inb(&f->ports, IIR), 0x02);
    assert_int_equal(inb(&f->ports, IIR), 0x01); /* reading it acknowledges */
}

static void test_transmit(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, MCR, 0x08);
    outb(&f->ports, IER, 0x02);
    assert_int_equal(f->irq.level, 1);
    assert_int_equal(inb(&f->ports, IIR), 0x02);
    assert_int_equal(f->irq.level, 0);
    outb(&f->ports, THR, 'a');
    assert_int_equal(f->irq.level, 1);
    outb(&f->ports, MCR, 0x00); /* the PC's gate */
    assert_int_equal(f->irq.level, 0);
    outb(&f->ports, THR, 'b');
    assert_int_equal(inb(&f->ports, LSR), 0x60);
    assert_int_equal(f->count, 2);
    assert_memory_equal(f->sent, "ab", 2);
}

static void test_receive(void **state)
{
    struct fixture *f = *state;
    const uint8_t text[] = "0123456789abcdefgh";

    outb(&f->ports, MCR, 0x08);
    outb(&f->ports, IER, 0x01);
    assert_int_equal(serial_receive(f->serial, text, 3), 1); /* no FIFOs */
    assert_int_equal(inb(&f->ports, LSR), 0x61);
    assert_int_equal(f->irq.level, 1);
    assert_int_equal(inb(&f->ports, IIR), 0x04);
    assert_int_equal(inb(&f->ports, RBR), '0');
    assert_int_equal(f->irq.level, 0);
    assert_int_equal(inb(&f->ports, LSR), 0x60);

    outb(&f->ports, FCR, 0x81); /* trigger at 8 */
    assert_int_equal(serial_receive(f->serial, text, sizeof(text)), 16);
    assert_int_equal(serial_receive(f->serial, text, 1), 0);
    assert_int_equal(inb(&f->ports, LSR), 0x61); /* offered, not lost */
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(inb(&f->ports, IIR), i <= 8 ? 0xc4 : 0xcc);
        assert_int_equal(inb(&f->ports, RBR), text[i]);
    }
    assert_int_equal(inb(&f->ports, IIR), 0xc1);
    assert_int_equal(f->irq.level, 0);
    assert_int_equal(serial_receive(f->serial, text, 5), 5);
    outb(&f->ports, FCR, 0x83);
    assert_int_equal(inb(&f->ports, LSR), 0x60);
    assert_int_equal(serial_receive(f->serial, text, 5), 5);
    outb(&f->ports, FCR, 0x00); /* turning the FIFOs off clears them too */
    assert_int_equal(inb(&f->ports, LSR), 0x60);
    assert_int_equal(inb(&f->ports, IIR), 0x01);
}

static void test_loopback(void **state)
{
    struct fixture *f = *state;

    (void)inb(&f->ports, MSR);
    outb(&f->ports, MCR, 0x10);
    assert_int_equal(inb(&f->ports, MSR), 0x0b); /* CTS, DSR and DCD went */
    outb(&f->ports, MCR, 0x1f);
    assert_int_equal(inb(&f->ports, MSR), 0xfb);
    outb(&f->ports, MCR, 0x1b);
    assert_int_equal(inb(&f->ports, MSR), 0xb4); /* ringing ended */
    outb(&f->ports, IER, 0x04);
    outb(&f->ports, THR, 'x');
    assert_int_equal(inb(&f->ports, IIR), 0x01);
    outb(&f->ports, THR, 'y');
    assert_int_equal(f->irq.level, 1);
    assert_int_equal(inb(&f->ports, IIR), 0x06);
    assert_int_equal(inb(&f->ports, LSR), 0x63); /* overrun, and reading it clears that */
    assert_int_equal(f->irq.level, 0);
    assert_int_equal(inb(&f->ports, LSR), 0x61);
    assert_int_equal(inb(&f->ports, RBR), 'y');
    assert_int_equal(f->count, 0);
    assert_int_equal(serial_receive(f->serial, (const uint8_t *)"z", 1), 1); /* lost */
    assert_int_equal(inb(&f->ports, LSR), 0x60);
    outb(&f->ports, FCR, 0x01);
    for (int i = 0; i < 17; i++)
        outb(&f->ports, THR, (uint8_t)i);
    assert_int_equal(inb(&f->ports, LSR), 0x63);
    assert_int_equal(inb(&f->ports, RBR), 0); /* with FIFOs the newest is lost */
}

static void test_modem_interrupt(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, MCR, 0x18);
    (void)inb(&f->ports, MSR);
    outb(&f->ports, IER, 0x08);
    assert_int_equal(f->irq.level, 0);
    outb(&f->ports, MCR, 0x1a);
    assert_int_equal(f->irq.level, 1);
    assert_int_equal(inb(&f->ports, IIR), 0x00);
    assert_int_equal(inb(&f->ports, MSR), 0x91);
    assert_int_equal(f->irq.level, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_debugcon, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_detection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transmit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loopback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modem_interrupt, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
