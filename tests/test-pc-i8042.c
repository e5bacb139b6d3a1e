/* SPDX-License-Identifier: MIT */
/* The keyboard controller through ports 0x60 and 0x64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "i8042.h"
#include "pc-ports.h"

#define DATA 0x60
#define COMMAND 0x64
#define FULL 0x01
#define AUX 0x20

struct fixture {
    struct ports ports;
    struct i8042 *kbc;
    struct wire irq1, irq12, a20, reset;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ports_open(&f->ports);
    assert_int_equal(i8042_create(f->ports.vm, f->ports.io, wire_irq(&f->irq1), wire_irq(&f->irq12), wire_irq(&f->a20),
                                  wire_irq(&f->reset), &f->kbc),
                     0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    i8042_destroy(f->kbc);
    ports_close(&f->ports);
    free(f);
    return 0;
}

static void command(struct fixture *f, uint8_t value)
{
    outb(&f->ports, COMMAND, value);
}

static void data(struct fixture *f, uint8_t value)
{
    outb(&f->ports, DATA, value);
}

/* The bytes that wait, as text: those of the mouse in brackets. */
static void assert_output(struct fixture *f, const char *expected)
{
    char text[256] = "";

    for (size_t len = 0; len < sizeof(text) - 8; len = strlen(text)) {
        uint8_t status = inb(&f->ports, COMMAND);

        if ((status & FULL) == 0)
            break;
        snprintf(text + len, sizeof(text) - len, (status & AUX) != 0 ? "[%02x]" : "%02x ", inb(&f->ports, DATA));
    }
    assert_string_equal(text, expected);
}

static void mouse(struct fixture *f, uint8_t value, const char *expected)
{
    command(f, 0xd4);
    data(f, value);
    assert_output(f, expected);
}

static void keyboard(struct fixture *f, uint8_t value, const char *expected)
{
    data(f, value);
    assert_output(f, expected);
}

static void test_ports(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    assert_port(&f->ports, 0x60, "i8042-data");
    assert_port(&f->ports, 0x64, "i8042-cmd");
    assert_int_not_equal(gmem_space_lookup(f->ports.space, 0x61, &section), 0);
}

/* What SeaBIOS 1.16.2 wrote (w) and read (r) on QEMU 7.2.22 (pc, KVM), in order: every read must give the same. */
static void test_recorded_boot(void **state)
{
    static const char recorded[] =
        "r64:18 r64:18 w64:ad r64:18 w64:a7 r64:18 r64:18 w64:aa r64:1d r60:55 r64:1c w64:ab r64:1d r60:00 "
        "r64:1c w64:60 r64:1c w60:30 r64:1c w64:60 r64:1c w60:20 r64:1c w60:ff r64:1d r60:fa r64:1d r60:aa "
        "r64:1c w64:60 r64:1c w60:30 r64:1c w64:60 r64:1c w60:30 r64:1c w64:60 r64:1c w60:20 r64:1c w60:f5 "
        "r64:1d r60:fa r64:1c w64:60 r64:1c w60:30 r64:1c w64:60 r64:1c w60:30 r64:1c w64:60 r64:1c w60:20 "
        "r64:1c w60:f0 r64:1d r60:fa r64:1c w60:02 r64:1d r60:fa r64:1c w64:60 r64:1c w60:30 r64:1c w64:60 "
        "r64:1c w60:70 r64:1c w64:60 r64:1c w60:60 r64:1c w60:f4 r64:1d r60:fa r64:1c w64:60 r64:1c w60:61 ";
    struct fixture *f = *state;
    unsigned port, value, accesses = 0;
    char way;

    for (const char *at = recorded; sscanf(at, "%c%x:%x", &way, &port, &value) == 3; at += 7) {
        if (way == 'w')
            outb(&f->ports, (uint16_t)port, (uint8_t)value);
        else if (inb(&f->ports, (uint16_t)port) != value)
            fail_msg("access %u: %.6s", accesses, at);
        accesses++;
    }
    assert_int_equal(accesses, 84);
}

static void test_controller(void **state)
{
    struct fixture *f = *state;

    command(f, 0xaa);
    assert_output(f, "55 ");
    command(f, 0xa9);
    assert_output(f, "00 ");
    command(f, 0xab);
    assert_output(f, "00 ");
    command(f, 0xc0);
    assert_output(f, "80 ");
    command(f, 0x60);
    data(f, 0x47);
    command(f, 0x20);
    assert_output(f, "47 ");
    command(f, 0xa7);
    command(f, 0xad);
    command(f, 0x20);
    assert_output(f, "77 ");
    command(f, 0xa8);
    command(f, 0xae);
    command(f, 0x20);
    assert_output(f, "47 ");
    command(f, 0x7f); /* its memory */
    data(f, 0x99);
    command(f, 0x3f);
    assert_output(f, "99 ");
    command(f, 0xd2);
    data(f, 0x12);
    assert_output(f, "12 ");
    command(f, 0xd3);
    data(f, 0x34);
    assert_output(f, "[34]");
    command(f, 0x01); /* no such command */
    assert_output(f, "");
    assert_int_equal(inb(&f->ports, DATA), 0x34); /* an empty buffer gives the old byte */
}

static void test_output_port(void **state)
{
    struct fixture *f = *state;

    command(f, 0xd0);
    assert_output(f, "cf ");
    command(f, 0xd1);
    data(f, 0xdd);
    assert_int_equal(f->a20.level, 0);
    command(f, 0xdf);
    assert_int_equal(f->a20.level, 1);
    command(f, 0xdd);
    assert_int_equal(f->a20.level, 0);
    command(f, 0xd0);
    assert_output(f, "cd ");
    assert_int_equal(f->reset.level, 0);
    command(f, 0xff); /* pulses nothing */
    command(f, 0xfd);
    assert_int_equal(f->reset.level, 0);
    command(f, 0xfe);
    assert_int_equal(f->reset.level, 1);
    f->reset.level = 0;
    command(f, 0xd1);
    data(f, 0xfe);
    assert_int_equal(f->reset.level, 1);
}

static void test_keyboard(void **state)
{
    struct fixture *f = *state;

    keyboard(f, 0xff, "fa aa ");
    keyboard(f, 0xf2, "fa ab 83 ");
    keyboard(f, 0xee, "ee ");
    keyboard(f, 0xed, "fa ");
    keyboard(f, 0x07, "fa ");
    keyboard(f, 0xf3, "fa ");
    keyboard(f, 0x20, "fa ");
    keyboard(f, 0xf0, "fa ");
    keyboard(f, 0x00, "fa 02 ");
    keyboard(f, 0xf0, "fa ");
    keyboard(f, 0x03, "fa ");
    keyboard(f, 0xf0, "fa ");
    keyboard(f, 0x00, "fa 03 ");
    keyboard(f, 0xf0, "fa ");
    keyboard(f, 0x04, "fe ");
    keyboard(f, 0xed, "fa "); /* a command where the argument is due */
    keyboard(f, 0xee, "ee ");
    keyboard(f, 0x07, "fe ");
    keyboard(f, 0xf6, "fa ");
    keyboard(f, 0xfe, "fa ");
    keyboard(f, 0xf0, "fa ");
    keyboard(f, 0x00, "fa 02 "); /* of the defaults */
}

static void test_translation(void **state)
{
    struct fixture *f = *state;

    command(f, 0x60);
    data(f, 0x41);
    keyboard(f, 0xf2, "fa ab 41 ");
    keyboard(f, 0xf0, "fa ");
    keyboard(f, 0x00, "fa 41 ");
}

static void test_mouse(void **state)
{
    struct fixture *f = *state;

    mouse(f, 0xff, "[fa][aa][00]");
    mouse(f, 0xf2, "[fa][00]");
    mouse(f, 0xe9, "[fa][00][02][64]");
    mouse(f, 0xe8, "[fa]");
    mouse(f, 0x03, "[fa]");
    mouse(f, 0xf3, "[fa]");
    mouse(f, 0x28, "[fa]");
    mouse(f, 0xe7, "[fa]");
    mouse(f, 0xf4, "[fa]");
    mouse(f, 0xf0, "[fa]");
    mouse(f, 0xe9, "[fa][70][03][28]");
    mouse(f, 0xeb, "[fa][08][00][00]");
    mouse(f, 0xee, "[fa]");
    mouse(f, 0xf2, "[f2]");
    mouse(f, 0xec, "[fa]");
    mouse(f, 0xea, "[fa]");
    mouse(f, 0xe6, "[fa]");
    mouse(f, 0xf5, "[fa]");
    mouse(f, 0xe9, "[fa][00][03][28]");
    mouse(f, 0xf6, "[fa]");
    mouse(f, 0xe9, "[fa][00][02][64]");
    mouse(f, 0xfe, "[64]");
    mouse(f, 0x11, "[fe]");
}

static void test_interrupts(void **state)
{
    struct fixture *f = *state;

    command(f, 0x60);
    data(f, 0x03);
    data(f, 0xff);
    assert_int_equal(f->irq1.level, 1);
    assert_int_equal(inb(&f->ports, DATA), 0xfa);
    assert_int_equal(f->irq1.level, 1); /* the next byte, with an edge of its own */
    assert_int_equal(f->irq1.rises, 2);
    assert_int_equal(inb(&f->ports, DATA), 0xaa);
    assert_int_equal(f->irq1.level, 0);

    command(f, 0xd4);
    data(f, 0xf2);
    assert_int_equal(f->irq12.level, 1);
    assert_int_equal(f->irq1.rises, 2);
    assert_output(f, "[fa][00]");
    assert_int_equal(f->irq12.level, 0);
    assert_int_equal(f->irq12.rises, 2);

    data(f, 0xee);
    command(f, 0x60);
    data(f, 0x00);
    assert_int_equal(f->irq1.level, 0);
    assert_output(f, "ee ");
}

/* Bytes wait while the interface is held back, and go out in the order controller, keyboard, mouse. */
static void test_order(void **state)
{
    struct fixture *f = *state;

    command(f, 0xd4);
    data(f, 0xf2);
    data(f, 0xee);
    command(f, 0xad);
    command(f, 0xa7);
    command(f, 0xaa);
    assert_output(f, "[fa]55 ");
    command(f, 0xa8);
    assert_output(f, "[00]");
    command(f, 0xae);
    assert_output(f, "ee ");
}

/* G9: what nobody reads is dropped. */
static void test_flood(void **state)
{
    struct fixture *f = *state;
    char expected[17 * 3 + 1] = "";

    for (int i = 0; i < 100000; i++)
        data(f, 0xee);
    for (int i = 0; i < 17; i++)
        strcat(expected, "ee ");
    assert_output(f, expected); /* one in the buffer, the rest in the queue */
    for (int i = 0; i < 100000; i++) {
        command(f, 0xd4);
        data(f, 0xeb);
    }
    data(f, 0xff);
    while ((inb(&f->ports, COMMAND) & FULL) != 0)
        (void)inb(&f->ports, DATA);
    keyboard(f, 0xf2, "fa ab 83 ");
    mouse(f, 0xf2, "[fa][00]");
}

/* G8: any sequence of bytes; the seed is fixed, so that a failure can be repeated. */
static void test_random(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 1;

    for (int i = 0; i < 200000; i++) {
        random = random * 1664525 + 1013904223;
        if ((random >> 30) == 0)
            (void)inb(&f->ports, (random & 0x100) != 0 ? DATA : COMMAND);
        else
            outb(&f->ports, (random & 0x100) != 0 ? DATA : COMMAND, (uint8_t)(random >> 16));
    }
    command(f, 0xad);
    command(f, 0xa7);
    while ((inb(&f->ports, COMMAND) & FULL) != 0)
        (void)inb(&f->ports, DATA);
    command(f, 0xaa);
    assert_output(f, "55 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recorded_boot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_controller, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_port, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keyboard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_translation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mouse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
