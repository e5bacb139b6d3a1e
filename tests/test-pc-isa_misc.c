/* SPDX-License-Identifier: MIT */
/* The lone ports and the DMA controllers; and that devices leave nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "i8237.h"
#include "isa_misc.h"
#include "pc-ports.h"

struct fixture {
    struct ports ports;
    struct isa_misc *misc;
    struct i8237 *dma[2];
    struct wire a20, reset;
    int gate, output;
    uint64_t now;
};

static void gate(void *opaque, int level)
{
    ((struct fixture *)opaque)->gate = level;
}

static int output(void *opaque)
{
    return ((struct fixture *)opaque)->output;
}

static uint64_t now(void *opaque)
{
    return ((struct fixture *)opaque)->now;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct isa_misc_timer timer = {.gate = gate, .output = output, .opaque = f};
    const struct pc_clock clock = {.now = now, .opaque = f};

    assert_non_null(f);
    ports_open(&f->ports);
    assert_int_equal(
        isa_misc_create(f->ports.vm, f->ports.io, wire_irq(&f->a20), wire_irq(&f->reset), &timer, clock, &f->misc), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(i8237_create(f->ports.vm, f->ports.io, i == 1, &f->dma[i]), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    isa_misc_destroy(f->misc);
    i8237_destroy(f->dma[0]);
    i8237_destroy(f->dma[1]);
    ports_close(&f->ports);
    free(f);
    return 0;
}

/* The addresses of the recorded pc. */
static void test_places(void **state)
{
    static const struct {
        uint16_t first, last;
        const char *name;
    } recorded[] = {
        {0x00, 0x07, "dma-chan"}, {0x08, 0x0f, "dma-cont"}, {0x61, 0x61, "pcspk"},    {0x80, 0x80, "ioport80"},
        {0x81, 0x83, "dma-page"}, {0x87, 0x87, "dma-page"}, {0x89, 0x8b, "dma-page"}, {0x8f, 0x8f, "dma-page"},
        {0x92, 0x92, "port92"},   {0xc0, 0xcf, "dma-chan"}, {0xd0, 0xdf, "dma-cont"}, {0xf0, 0xf0, "ioportF0"},
    };
    struct fixture *f = *state;
    struct gmem_section section;
    uint64_t next = 0;

    for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
        for (uint16_t port = recorded[i].first; port <= recorded[i].last; port++)
            assert_port(&f->ports, port, recorded[i].name);
        for (; next < recorded[i].first; next++)
            assert_int_not_equal(gmem_space_lookup(f->ports.space, next, &section), 0);
        next = recorded[i].last + 1u;
    }
}

static void test_void_ports(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, 0x80, 0x55);
    outb(&f->ports, 0xf0, 0x55);
    assert_int_equal(inb(&f->ports, 0x80), 0xff);
    assert_int_equal(inb(&f->ports, 0xf0), 0xff);
}

static void test_port92(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(inb(&f->ports, 0x92), 0x00);
    outb(&f->ports, 0x92, 0x02);
    assert_int_equal(inb(&f->ports, 0x92), 0x02);
    assert_int_equal(f->a20.level, 1);
    assert_int_equal(f->reset.level, 0);
    outb(&f->ports, 0x92, 0x01);
    assert_int_equal(f->a20.level, 0);
    assert_int_equal(f->reset.level, 1);
    f->reset.level = 0;
    outb(&f->ports, 0x92, 0x03); /* the bit must rise */
    assert_int_equal(f->reset.level, 0);
    outb(&f->ports, 0x92, 0x00);
    outb(&f->ports, 0x92, 0x01);
    assert_int_equal(f->reset.level, 1);
}

static void test_port61(void **state)
{
    struct fixture *f = *state;

    outb(&f->ports, 0x61, 0xff);
    assert_int_equal(f->gate, 1);
    assert_int_equal(inb(&f->ports, 0x61) & ~0x10, 0x0f);
    f->output = 1;
    assert_int_equal(inb(&f->ports, 0x61) & ~0x10, 0x2f);
    outb(&f->ports, 0x61, 0x02);
    assert_int_equal(f->gate, 0);
    assert_int_equal(inb(&f->ports, 0x61) & ~0x10, 0x22);
}

/* It changes with the clock and only with it, whoever looks. */
static void test_refresh(void **state)
{
    struct fixture *f = *state;

    for (unsigned n = 0; n < 10; n++) {
        f->now = 15085 * n;
        assert_int_equal(inb(&f->ports, 0x61) & 0x10, n % 2 ? 0x10 : 0);
        assert_int_equal(inb(&f->ports, 0x61) & 0x10, n % 2 ? 0x10 : 0);
        f->now += 15084;
        assert_int_equal(inb(&f->ports, 0x61) & 0x10, n % 2 ? 0x10 : 0);
    }
}

/* On the host's clock guests wait for it to change: it does, however long it takes. */
static void test_refresh_host(void **state)
{
    struct fixture *f = *state;
    uint8_t first;

    isa_misc_destroy(f->misc);
    f->misc = NULL;
    assert_int_equal(isa_misc_create(f->ports.vm, f->ports.io, wire_irq(&f->a20), wire_irq(&f->reset), NULL,
                                     pc_clock_host(), &f->misc),
                     0);
    first = inb(&f->ports, 0x61) & 0x10;
    while ((inb(&f->ports, 0x61) & 0x10) == first)
        ;
}

static void test_dma_channels(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++) {
        const uint16_t base = i == 0 ? 0x00 : 0xc0;
        const unsigned shift = i;

        outb(&f->ports, (uint16_t)(base + (0xc << shift)), 0); /* clear the byte pointer */
        for (unsigned reg = 0; reg < 8; reg++) {
            outb(&f->ports, (uint16_t)(base + (reg << shift)), (uint8_t)(0x10 * reg + i));
            outb(&f->ports, (uint16_t)(base + (reg << shift)), (uint8_t)(0x80 + reg));
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        const uint16_t base = i == 0 ? 0x00 : 0xc0;
        const unsigned shift = i;

        for (unsigned reg = 0; reg < 8; reg++) {
            assert_int_equal(inb(&f->ports, (uint16_t)(base + (reg << shift))), 0x10 * reg + i);
            assert_int_equal(inb(&f->ports, (uint16_t)(base + (reg << shift))), 0x80 + reg);
        }
        (void)inb(&f->ports, base); /* half way; clearing the pointer starts again */
        outb(&f->ports, (uint16_t)(base + (0xc << shift)), 0);
        assert_int_equal(inb(&f->ports, base), i);
    }
}

static void test_dma_control(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(inb(&f->ports, 0x0f), 0x0f); /* all masked */
    outb(&f->ports, 0x0a, 0x02);
    assert_int_equal(inb(&f->ports, 0x0f), 0x0b);
    outb(&f->ports, 0x0a, 0x06);
    assert_int_equal(inb(&f->ports, 0x0f), 0x0f);
    outb(&f->ports, 0x0e, 0x00);
    assert_int_equal(inb(&f->ports, 0x0f), 0x00);
    outb(&f->ports, 0x0f, 0xf5);
    assert_int_equal(inb(&f->ports, 0x0f), 0x05);
    outb(&f->ports, 0x09, 0x07);
    assert_int_equal(inb(&f->ports, 0x08), 0x80);
    assert_int_equal(inb(&f->ports, 0xd0), 0x00); /* the other one */
    outb(&f->ports, 0x0d, 0x00);
    assert_int_equal(inb(&f->ports, 0x08), 0x00);
    assert_int_equal(inb(&f->ports, 0x0f), 0x0f);
    assert_int_equal(inb(&f->ports, 0x0d), 0x00);
    outb(&f->ports, 0xd4, 0x00); /* as SeaBIOS: the cascade, channel 4 */
    outb(&f->ports, 0xd6, 0xc0);
    assert_int_equal(inb(&f->ports, 0xde), 0x0e);
}

static void test_dma_pages(void **state)
{
    static const uint16_t pages[] = {0x81, 0x82, 0x83, 0x87, 0x89, 0x8a, 0x8b, 0x8f};
    struct fixture *f = *state;

    for (size_t i = 0; i < 8; i++)
        outb(&f->ports, pages[i], (uint8_t)(0xa0 + i));
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(inb(&f->ports, pages[i]), 0xa0 + i);
}

/* A device that is ended is gone from the ports at once, and can be made again. */
static void test_end(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    isa_misc_destroy(f->misc);
    f->misc = NULL;
    assert_int_not_equal(gmem_space_lookup(f->ports.space, 0x92, &section), 0);
    assert_int_equal(isa_misc_create(f->ports.vm, f->ports.io, wire_irq(&f->a20), wire_irq(&f->reset), NULL,
                                     pc_clock_host(), &f->misc),
                     0);
    outb(&f->ports, 0x61, 0x01);
    assert_int_equal(inb(&f->ports, 0x61) & 0x2f, 0x01); /* without a timer */
    outb(&f->ports, 0x92, 0x02);
    assert_int_equal(f->a20.level, 1);
}

/* A view that is still held keeps the device usable (G7): the sanitizer says if not. */
static void test_end_while_seen(void **state)
{
    struct fixture *f = *state;
    gmem_view *view = gmem_space_view(f->ports.space);

    isa_misc_destroy(f->misc);
    f->misc = NULL;
    gmem_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_void_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port92, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port61, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refresh, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refresh_host, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dma_channels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dma_control, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dma_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_while_seen, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
