/* SPDX-License-Identifier: MIT */
/*
 * The 8254 through its ports, on virtual time: the datasheet's waveforms, what can be read, and its interrupt. A test
 * that compares it with a counter that counts is test-pc-i8254-model.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "i8254.h"
#include "pc-ports.h"

#define S PC_NS_PER_S
#define LSB 0x10
#define MSB 0x20
#define BOTH 0x30
#define BCD 0x01
#define MODE(n) ((n) << 1)
#define CHANNEL(n) ((n) << 6)

struct fixture {
    struct ports ports;
    struct vtime time;
    struct i8254 *pit;
    struct wire irq;
    unsigned changes; /* of the wire */
};

static void irq_set(void *opaque, int level)
{
    struct fixture *f = opaque;

    f->changes++;
    wire_set(&f->irq, level);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ports_open(&f->ports);
    assert_int_equal(
        i8254_create(f->ports.vm, f->ports.io, &f->time, (struct pc_irq){.set = irq_set, .opaque = f}, &f->pit), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    i8254_destroy(f->pit);
    ports_close(&f->ports);
    free(f);
    return 0;
}

/* The first nanosecond at which there were so many pulses; up to 4 hours' worth, where nothing overflows. */
static uint64_t ns_of(uint64_t ticks)
{
    return (ticks * S + 1193182 - 1) / 1193182;
}

static uint64_t ticks_now(const struct fixture *f)
{
    return f->time.now * 1193182u / S;
}

/* To the middle between two pulses, so many pulses on. */
static void pulses(struct fixture *f, uint64_t n)
{
    vtime_advance(&f->time, ((ticks_now(f) + n) * S + S / 2) / 1193182u);
}

static void control(struct fixture *f, unsigned word)
{
    outb(&f->ports, 0x43, (uint8_t)word);
}

static void put16(struct fixture *f, unsigned channel, unsigned value)
{
    outb(&f->ports, (uint16_t)(0x40 + channel), (uint8_t)value);
    outb(&f->ports, (uint16_t)(0x40 + channel), (uint8_t)(value >> 8));
}

static unsigned get(struct fixture *f, unsigned channel)
{
    return inb(&f->ports, (uint16_t)(0x40 + channel));
}

static unsigned get16(struct fixture *f, unsigned channel)
{
    unsigned low = get(f, channel);

    return low | get(f, channel) << 8;
}

static unsigned latched(struct fixture *f, unsigned channel)
{
    control(f, CHANNEL(channel));
    return get16(f, channel);
}

static unsigned status(struct fixture *f, unsigned channel)
{
    control(f, 0xe0 | 2u << channel);
    return get(f, channel);
}

/* --- waveforms --------------------------------------------------------------------------------------------------- */

/*
 * What happens to channel 2, whose gate is 1 and which was given the control word LSB then MSB and mode:
 *   wN       the count N is written          g0 g1  the gate is set          b     the first byte of a count is written
 *   LN HN    a pulse; then the output is low (L) or high (H) and N is counted; '-' is not looked at
 *   l h      the output is, without a pulse
 *   n c      null count is, null count is clear
 * Numbers are hexadecimal.
 */
static void play(struct fixture *f, const char *text)
{
    char *copy = strdup(text), *rest = copy, *token;

    assert_non_null(copy);
    while ((token = strtok_r(rest, " ", &rest)) != NULL) {
        unsigned number = (unsigned)strtoul(token + 1, NULL, 16);
        bool pulse = token[1] != '\0';
        bool right = true;

        switch (token[0]) {
        case 'w':
            put16(f, 2, number);
            break;
        case 'b':
            outb(&f->ports, 0x42, 2);
            break;
        case 'g':
            i8254_set_gate2(f->pit, (int)number);
            break;
        case 'n':
        case 'c':
            right = (status(f, 2) >> 6 & 1) == (token[0] == 'n');
            break;
        default:
            if (pulse)
                pulses(f, 1);
            right = i8254_output2(f->pit) == (token[0] == 'H' || token[0] == 'h') &&
                    (!pulse || token[1] == '-' || latched(f, 2) == number);
        }
        if (!right)
            fail_msg("%s: at %s (offset %td) the output is %d and %x is counted", text, token, token - copy,
                     i8254_output2(f->pit), latched(f, 2));
    }
    free(copy);
}

/* Figures 15 to 20 of the datasheet, and what its text says besides. */
static void test_waveforms(void **state)
{
    static const struct {
        unsigned control;
        const char *text;
    } waves[] = {
        /* 0: interrupt on terminal count */
        {MODE(0), "l n w4 n l L4 c L3 L2 L1 H0 Hffff Hfffe"},
        {MODE(0), "w3 L3 L2 g0 L2 L2 g1 L1 H0 Hffff"},
        {MODE(0), "w3 L3 L2 L1 w2 L2 L1 H0 Hffff"},
        {MODE(0), "w1 L1 H0 w2 l L2 L1 H0"},
        {MODE(0), "w3 L3 L2 b L2 L2 g0 g1 L2"}, /* the first byte stops it */
        {MODE(0), "g0 w3 L3 L3 g1 L2 L1 H0 g0 H0 g1 Hffff"},
        {MODE(0), "w2 L2 L1 H0 b l L0 L0"},
        {MODE(0) | BCD, "w11 L11 L10 L9 L8"},
        {MODE(0) | BCD, "w1 L1 H0 H9999 H9998"},
        {MODE(0) | BCD, "w0 L0 L9999 L9998"},
        {MODE(0) | BCD, "w1000 L1000 L999"},
        {MODE(0) | BCD, "w1f L25 L24"}, /* digits are weights */
        {MODE(0), "w0 L0 Lffff Lfffe"},
        /* 1: one-shot that the gate triggers */
        {MODE(1), "h w3 h H- g0 H- g1 h L3 L2 L1 H0 Hffff g0 Hfffe g1 L3 L2"},
        {MODE(1), "w3 g0 g1 L3 L2 L1 g0 g1 L3 L2 L1 H0"},
        {MODE(1), "w2 n g0 g1 n L2 c L1 w4 n H0 Hffff n Hfffe g0 g1 L4 c L3"},
        {MODE(1), "w1 g0 g1 L1 H0"},
        {MODE(1), "w3 g0 g1 g0 L3 L2 L1 H0"}, /* the gate need not stay */
        {MODE(1), "g0 g1 w3 H- H- g0 g1 L3"}, /* a trigger before the count is none */
        {MODE(1), "w3 g0 g1 L3 w5 L2 g0 g1 L5"},
        /* 2: rate generator */
        {MODE(2), "h w3 n h H3 c H2 L1 H3 H2 L1 H3"},
        {MODE(2), "w3 H3 H2 g0 H2 H2 g1 H3 H2 L1 H3"},
        {MODE(2), "w4 H4 H3 w5 n H2 L1 n H5 c H4 H3 H2 L1 H5"},
        {MODE(2), "w3 H3 H2 L1 g0 h H1 H1 g1 H3 H2 L1"},
        {MODE(2), "w4 H4 w3 g0 g1 H3 c H2 L1 H3"},
        {MODE(2), "w2 H2 L1 H2 L1 H2"},
        {MODE(2), "w1 H2 L1 H2 L1 H2"}, /* illegal; as 2 */
        {MODE(2), "w3 H3 b H2 L1 H3"},
        {MODE(2), "g0 w3 H3 H3 g1 H3 H2 L1"},
        {MODE(2) | BCD, "w10 H10 H9 H8 H7 H6 H5 H4 H3 H2 L1 H10"},
        {MODE(6), "w3 H3 H2 L1 H3"}, /* the same mode */
        /* 3: square wave */
        {MODE(3), "h w4 n h H4 c H2 L4 L2 H4 H2 L4 L2 H4"},
        {MODE(3), "w5 H4 H2 H0 L4 L2 H4 H2 H0 L4 L2 H4"},
        {MODE(3), "w4 H4 H2 L4 L2 H4 g0 H4 H4 g1 H4 H2 L4 g0 h H4 H4 g1 h H4 H2 L4"},
        {MODE(3), "w4 H4 w6 n H2 n L6 c L4 L2 H6 H4 H2 L6"},
        {MODE(3), "w4 H4 H2 L4 w7 L2 H6 H4 H2 H0 L6"},
        {MODE(3), "w6 H6 w4 g0 g1 H4 H2 L4"},
        {MODE(3), "w3 H2 H0 L2 H2 H0 L2"},
        {MODE(3), "w2 H2 L2 H2 L2"},
        {MODE(3), "w1 H2 L2 H2 L2"}, /* illegal; as 2 */
        {MODE(3), "w0 H0 Hfffe Hfffc"},
        {MODE(7), "w2 H2 L2 H2 L2"},
        /* 4: strobe that software triggers */
        {MODE(4), "h w3 h H3 H2 H1 L0 Hffff Hfffe Hfffd"},
        {MODE(4), "g0 w3 n H3 c H3 g1 H2 H1 L0 Hffff"},
        {MODE(4), "w3 H3 H2 H1 w2 H2 H1 L0 Hffff"},
        {MODE(4), "w1 H1 L0 Hffff"},
        {MODE(4), "w2 H2 H1 L0 g0 l H0 H0 g1 Hffff"}, /* the gate has no effect on the output */
        {MODE(4), "w1 H1 L0 w2 l H2 H1 L0 Hffff"},
        {MODE(4), "w3 H3 b H2 H1 L0 Hffff"}, /* nor has the first byte */
        {MODE(4) | BCD, "w1 H1 L0 H9999"},
        /* 5: strobe that the gate triggers */
        {MODE(5), "h w3 H- g0 g1 H3 H2 H1 L0 Hffff g0 g1 H3 H2"},
        {MODE(5), "w3 g0 g1 H3 H2 g0 g1 H3 H2 H1 L0 Hffff"},
        {MODE(5), "w3 n g0 g1 H3 c w5 n H2 H1 L0 Hffff n Hfffe g0 g1 H5 c H4"},
        {MODE(5), "w1 g0 g1 g0 H1 L0 g1 l H1 L0 Hffff"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(waves) / sizeof(waves[0]); i++) {
        struct fixture *f;

        setup((void **)&f);
        i8254_set_gate2(f->pit, 1);
        control(f, CHANNEL(2) | BOTH | waves[i].control);
        pulses(f, i); /* somewhere */
        play(f, waves[i].text);
        teardown((void **)&f);
    }
}

/* Long ways in one step end where a second would have counted to. */
static void test_far(void **state)
{
    struct fixture *f = *state;

    i8254_set_gate2(f->pit, 1);
    pulses(f, 1);
    control(f, CHANNEL(2) | BOTH | MODE(2));
    put16(f, 2, 1000);
    pulses(f, 1 + 1000 * UINT64_C(1000000) + 1);
    assert_int_equal(latched(f, 2), 999);
    put16(f, 2, 10); /* the period that runs still ends */
    pulses(f, 999 + 10 * UINT64_C(1000000) + 3);
    assert_int_equal(latched(f, 2), 7);
    control(f, CHANNEL(2) | BOTH | MODE(3));
    put16(f, 2, 7);
    pulses(f, 1 + 7 * UINT64_C(1000000) + 5);
    assert_int_equal(i8254_output2(f->pit), 0);
    assert_int_equal(latched(f, 2), 4);
    control(f, CHANNEL(2) | BOTH | MODE(0));
    put16(f, 2, 5);
    pulses(f, 1 + 5 + 65536 * UINT64_C(1000) + 2);
    assert_int_equal(latched(f, 2), 0xfffe);
    control(f, CHANNEL(2) | BOTH | MODE(0) | BCD);
    put16(f, 2, 5);
    pulses(f, 1 + 5 + 10000 * UINT64_C(1000) + 2);
    assert_int_equal(latched(f, 2), 0x9998);
}

/* --- reading and writing ----------------------------------------------------------------------------------------- */

static void test_place(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    for (uint16_t port = 0x40; port <= 0x43; port++)
        assert_port(&f->ports, port, "pit");
    assert_int_not_equal(gmem_space_lookup(f->ports.space, 0x3f, &section), 0);
    assert_int_not_equal(gmem_space_lookup(f->ports.space, 0x44, &section), 0);
    assert_int_equal(inb(&f->ports, 0x43), 0xff);
    assert_int_equal(f->changes, 0);
    assert_int_equal(i8254_output2(f->pit), 0);
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
    for (unsigned channel = 0; channel < 3; channel++)
        assert_int_equal(status(f, channel), 0x70);
}

static void test_one_byte(void **state)
{
    struct fixture *f = *state;

    control(f, CHANNEL(1) | LSB | MODE(4));
    outb(&f->ports, 0x41, 0x34); /* MSB is 0 */
    pulses(f, 1);
    assert_int_equal(get(f, 1), 0x34);
    assert_int_equal(get(f, 1), 0x34);
    pulses(f, 0x35);
    assert_int_equal(get(f, 1), 0xff);

    control(f, CHANNEL(1) | MSB | MODE(4));
    outb(&f->ports, 0x41, 0x12);
    pulses(f, 1);
    assert_int_equal(get(f, 1), 0x12);
    pulses(f, 1);
    assert_int_equal(get(f, 1), 0x11);
    control(f, CHANNEL(1));
    pulses(f, 0x200);
    assert_int_equal(get(f, 1), 0x11);
    assert_int_equal(get(f, 1), 0x0f);
}

static void test_two_bytes(void **state)
{
    struct fixture *f = *state;

    control(f, CHANNEL(1) | BOTH | MODE(4));
    put16(f, 1, 0x1234);
    pulses(f, 1);
    assert_int_equal(get16(f, 1), 0x1234);
    assert_int_equal(get(f, 1), 0x34);
    pulses(f, 0x135); /* reads follow the counter if nothing was latched */
    assert_int_equal(get(f, 1), 0x10);
    /* Reads and writes have their turns for themselves, and a control word begins anew. */
    assert_int_equal(get(f, 1), 0xff);
    outb(&f->ports, 0x41, 0x78);
    assert_int_equal(get(f, 1), 0x10);
    outb(&f->ports, 0x41, 0x56);
    pulses(f, 1);
    assert_int_equal(get(f, 1), 0x78);
    outb(&f->ports, 0x41, 0x99);
    assert_int_equal(get(f, 1), 0x56);
    assert_int_equal(get(f, 1), 0x78);
    control(f, CHANNEL(1) | BOTH | MODE(4));
    put16(f, 1, 0x2345);
    pulses(f, 1);
    assert_int_equal(get16(f, 1), 0x2345);
}

static void test_latch(void **state)
{
    struct fixture *f = *state;

    control(f, CHANNEL(1) | BOTH | MODE(4));
    put16(f, 1, 0x1234);
    pulses(f, 1);
    control(f, CHANNEL(1));
    pulses(f, 0x100);
    control(f, CHANNEL(1)); /* ignored: it holds until it is read */
    assert_int_equal(get(f, 1), 0x34);
    control(f, CHANNEL(1)); /* half of it was */
    assert_int_equal(get(f, 1), 0x12);
    assert_int_equal(get16(f, 1), 0x1134);
    control(f, CHANNEL(1));
    control(f, CHANNEL(1) | BOTH | MODE(4)); /* or programmed again */
    put16(f, 1, 0x4321);
    pulses(f, 1);
    assert_int_equal(get16(f, 1), 0x4321);
    control(f, CHANNEL(1));
    control(f, CHANNEL(0)); /* others are others */
    control(f, CHANNEL(2));
    pulses(f, 1);
    assert_int_equal(get16(f, 1), 0x4321);
    assert_int_equal(get16(f, 1), 0x4320);
}

static void test_read_back(void **state)
{
    struct fixture *f = *state;

    for (unsigned channel = 0; channel < 3; channel++) {
        control(f, CHANNEL(channel) | BOTH | MODE(4));
        put16(f, channel, 0x1000 + channel);
    }
    i8254_set_gate2(f->pit, 1);
    pulses(f, 1);
    control(f, 0xd0 | 0x0e); /* counts of all */
    pulses(f, 2);
    for (unsigned channel = 0; channel < 3; channel++) {
        assert_int_equal(get16(f, channel), 0x1000 + channel);
        assert_int_equal(get16(f, channel), 0x1000 + channel - 2);
    }
    control(f, 0xd0 | 0x04); /* of channel 1 */
    pulses(f, 1);
    assert_int_equal(get16(f, 0), 0xffd);
    assert_int_equal(get16(f, 1), 0xfff);
    assert_int_equal(get16(f, 2), 0xfff);

    /* The status comes first, then the count; a second command changes neither. */
    control(f, 0xc0 | 0x04);
    put16(f, 1, 0x7777);
    pulses(f, 1);
    control(f, 0xc0 | 0x04);
    assert_int_equal(get(f, 1), 0xb8);
    assert_int_equal(get16(f, 1), 0xffe);
    assert_int_equal(get16(f, 1), 0x7777);
    control(f, 0xf0 | 0x0e); /* neither: does nothing */
    pulses(f, 1);
    assert_int_equal(get16(f, 1), 0x7776);
}

static void test_status(void **state)
{
    struct fixture *f = *state;

    /* Exactly as written, the bit that doesn't matter included. */
    control(f, CHANNEL(1) | MSB | MODE(7) | BCD);
    assert_int_equal(status(f, 1), 0xc0 | MSB | MODE(7) | BCD);
    control(f, CHANNEL(1) | LSB | MODE(0));
    assert_int_equal(status(f, 1), 0x40 | LSB);
    outb(&f->ports, 0x41, 1);
    assert_int_equal(status(f, 1), 0x40 | LSB);
    pulses(f, 1);
    assert_int_equal(status(f, 1), LSB);
    pulses(f, 1);
    assert_int_equal(status(f, 1), 0x80 | LSB);
    /* Of a count of two bytes the second one. */
    control(f, CHANNEL(1) | BOTH | MODE(2));
    put16(f, 1, 100);
    pulses(f, 1);
    outb(&f->ports, 0x41, 1);
    assert_int_equal(status(f, 1) & 0x40, 0);
    outb(&f->ports, 0x41, 1);
    assert_int_equal(status(f, 1) & 0x40, 0x40);
}

/* --- the interrupt ----------------------------------------------------------------------------------------------- */

static uint64_t next_change(struct fixture *f)
{
    unsigned before = f->changes;

    while (f->changes == before) {
        assert_true(vtime_next(&f->time) != VTIME_NEVER);
        vtime_advance(&f->time, vtime_next(&f->time));
    }
    assert_int_equal(f->changes, before + 1);
    return f->time.now;
}

static void test_irq_mode0(void **state)
{
    struct fixture *f = *state;
    uint64_t start;

    pulses(f, 100);
    start = ticks_now(f);
    control(f, CHANNEL(0) | BOTH | MODE(0));
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
    put16(f, 0, 1193);
    assert_true(vtime_next(&f->time) == ns_of(start + 1194)); /* nothing before the edge */
    vtime_advance(&f->time, ns_of(start + 1194) - 1);
    assert_int_equal(f->changes, 0);
    vtime_advance(&f->time, ns_of(start + 1194));
    assert_int_equal(f->irq.level, 1);
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
    vtime_advance(&f->time, 100 * S);
    assert_int_equal(f->irq.rises, 1);
    put16(f, 0, 5); /* lowers it at once */
    assert_int_equal(f->irq.level, 0);
    pulses(f, 10);
    assert_int_equal(f->irq.rises, 2);
    assert_int_equal(f->changes, 3);
}

/* The period is exact: pulse n of the wire is n * count pulses of the clock after the first, for a guest's day. */
static void test_irq_periods(void **state)
{
    struct fixture *f = *state;
    const uint64_t hour = 3600 * S;
    uint64_t start, rises;

    pulses(f, 7);
    start = ticks_now(f) + 1; /* where it is loaded */
    control(f, CHANNEL(0) | BOTH | MODE(2));
    assert_int_equal(f->irq.rises, 1); /* the control word raises it */
    put16(f, 0, 0);
    for (uint64_t n = 1; n <= 50; n++) {
        assert_true(next_change(f) == ns_of(start + 65536 * n - 1));
        assert_int_equal(f->irq.level, 0);
        assert_true(next_change(f) == ns_of(start + 65536 * n));
        assert_int_equal(f->irq.level, 1);
    }
    vtime_advance(&f->time, hour); /* as HLT does: many at once */
    rises = (ticks_now(f) - start) / 65536;
    assert_true(f->irq.rises == 1 + rises);
    assert_true(rises == (hour * 1193182 / S - start) / 65536);
    (void)next_change(f);
    assert_true(next_change(f) == ns_of(start + 65536 * (rises + 1)));

    control(f, CHANNEL(0) | BOTH | MODE(3));
    start = ticks_now(f) + 1;
    put16(f, 0, 1001);
    for (uint64_t n = 0; n < 5000; n++) {
        assert_true(next_change(f) == ns_of(start + 1001 * n + 501));
        assert_int_equal(f->irq.level, 0);
        assert_true(next_change(f) == ns_of(start + 1001 * n + 1001));
        assert_int_equal(f->irq.level, 1);
    }
}

/* A new count takes effect after the period that runs; the interrupt comes then and not before. */
static void test_irq_new_count(void **state)
{
    struct fixture *f = *state;
    uint64_t start = 1;

    control(f, CHANNEL(0) | BOTH | MODE(2));
    put16(f, 0, 1000);
    pulses(f, 500);
    put16(f, 0, 100);
    assert_true(next_change(f) == ns_of(start + 999));
    assert_true(next_change(f) == ns_of(start + 1000));
    assert_true(next_change(f) == ns_of(start + 1099));
    assert_true(next_change(f) == ns_of(start + 1100));
    /* A control word stops it. */
    pulses(f, 50);
    control(f, CHANNEL(0) | BOTH | MODE(2));
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
    assert_int_equal(f->irq.level, 1);
    control(f, CHANNEL(0) | BOTH | MODE(1)); /* never triggered: its gate does not rise */
    put16(f, 0, 5);
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
}

static void test_irq_strobe(void **state)
{
    struct fixture *f = *state;

    control(f, CHANNEL(0) | LSB | MODE(4));
    outb(&f->ports, 0x40, 9);
    assert_true(next_change(f) == ns_of(10));
    assert_int_equal(f->irq.level, 0);
    assert_true(next_change(f) == ns_of(11));
    assert_int_equal(f->irq.level, 1);
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
}

/* The other channels set no timers. */
static void test_no_timer(void **state)
{
    struct fixture *f = *state;

    for (unsigned channel = 1; channel < 3; channel++) {
        control(f, CHANNEL(channel) | BOTH | MODE(3));
        put16(f, channel, 2);
    }
    i8254_set_gate2(f->pit, 1);
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
    assert_int_equal(f->changes, 0);
}

/* G9: the shortest period changes the wire once a pulse, and no faster. */
static void test_irq_bounded(void **state)
{
    static const unsigned modes[] = {MODE(2), MODE(3)};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (unsigned count = 1; count <= 2; count++) {
            struct fixture *f;
            unsigned before;

            setup((void **)&f);
            control(f, CHANNEL(0) | BOTH | modes[i]);
            put16(f, 0, count);
            before = f->changes;
            vtime_advance(&f->time, S / 100);
            assert_int_equal(f->changes - before, ticks_now(f) - 1);
            assert_true(f->irq.rises >= (ticks_now(f) - 1) / 2);
            teardown((void **)&f);
        }
    }
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static void test_end(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    control(f, CHANNEL(0) | BOTH | MODE(2));
    put16(f, 0, 100);
    i8254_destroy(f->pit);
    assert_int_not_equal(gmem_space_lookup(f->ports.space, 0x40, &section), 0);
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
    assert_int_equal(f->changes, 1);
    assert_int_equal(i8254_create(f->ports.vm, f->ports.io, &f->time, wire_irq(&f->irq), &f->pit), 0);
    i8254_destroy(NULL);
}

/* What reaches it after its end (G7), here because the new view is not there yet, starts nothing. */
static void test_end_while_seen(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(gmem_vm_begin(f->ports.vm), 0);
    i8254_destroy(f->pit);
    f->pit = NULL;
    control(f, CHANNEL(0) | BOTH | MODE(2));
    put16(f, 0, 100);
    assert_int_equal(status(f, 0), 0xc0 | BOTH | MODE(2)); /* it was the device that heard it */
    assert_int_equal(gmem_vm_commit(f->ports.vm), 0);
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
    assert_int_equal(f->changes, 0);
}

/* A machine that was made later than time 0. */
static void test_late(void **state)
{
    struct fixture *f = *state;

    i8254_destroy(f->pit);
    vtime_advance(&f->time, 1000 * S);
    assert_int_equal(i8254_create(f->ports.vm, f->ports.io, &f->time, wire_irq(&f->irq), &f->pit), 0);
    control(f, CHANNEL(0) | BOTH | MODE(0));
    put16(f, 0, 10);
    assert_true(vtime_next(&f->time) == ns_of(UINT64_C(1193182) * 1000 + 11));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waveforms),
        cmocka_unit_test_setup_teardown(test_far, setup, teardown),
        cmocka_unit_test_setup_teardown(test_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_latch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_irq_mode0, setup, teardown),
        cmocka_unit_test_setup_teardown(test_irq_periods, setup, teardown),
        cmocka_unit_test_setup_teardown(test_irq_new_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_irq_strobe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_irq_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_while_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
