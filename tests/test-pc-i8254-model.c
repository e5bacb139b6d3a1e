/* SPDX-License-Identifier: MIT */
/*
 * The 8254 against one that counts every pulse, written from the datasheet's description of the hardware: a count
 * register, a counting element, an output latch and a gate whose edges a pulse samples. A guest that writes, reads and
 * lets time pass at random must not be able to tell the two apart, nor may their interrupts differ.
 *
 * GMEM_TEST_SEED is the seed; GMEM_TEST_LONG=1 makes it 20 times as long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "i8254.h"
#include "pc-ports.h"
#include "random.h"

#define S PC_NS_PER_S
#define MACHINES 80u
#define STEPS 400u

/* --- one that counts --------------------------------------------------------------------------------------------- */

struct naive {
    unsigned rw, mode, bcd, word;
    long cr, ce, from; /* from: what the element was loaded with */
    bool has_count, null, loaded, load_next, ended;
    bool out, gate, gate_rose;
    bool second_write, second_read, latched, status_latched;
    uint8_t first, status;
    unsigned latch;
    unsigned rises;
};

static void naive_out(struct naive *n, bool level)
{
    n->rises += level && !n->out;
    n->out = level;
}

static long naive_full(const struct naive *n)
{
    return n->bcd ? 10000 : 65536;
}

static void naive_load(struct naive *n)
{
    n->from = (n->mode == 2 || n->mode == 3) && n->cr == 1 ? 2 : n->cr;
    n->ce = n->mode == 3 ? n->from / 2 * 2 : n->from;
    n->loaded = true;
    n->null = n->load_next = n->ended = false;
}

/* One down; whether that was terminal count. */
static bool naive_down(struct naive *n)
{
    n->ce = n->ce == 0 ? naive_full(n) - 1 : n->ce - 1;
    if (n->ce != 0 || n->ended)
        return false;
    n->ended = true;
    return true;
}

static void naive_square(struct naive *n)
{
    if (n->ce > 2 || (n->ce == 2 && n->out && n->from % 2 == 1)) {
        n->ce -= 2;
    } else {
        naive_out(n, !n->out);
        naive_load(n);
    }
}

static void naive_pulse(struct naive *n)
{
    bool triggered = n->gate_rose && n->has_count;
    bool load = n->load_next;

    n->gate_rose = false;
    switch (n->mode) {
    case 0:
        if (load)
            naive_load(n);
        else if (n->loaded && n->gate && !n->second_write && naive_down(n))
            naive_out(n, true);
        break;
    case 1:
        if (triggered) {
            naive_load(n);
            naive_out(n, false);
        } else if (n->loaded && naive_down(n)) {
            naive_out(n, true);
        }
        break;
    case 2:
        if (load || triggered || (n->loaded && n->gate && n->ce == 1)) {
            naive_load(n);
            naive_out(n, true);
        } else if (n->loaded && n->gate) {
            n->ce--;
            naive_out(n, n->ce != 1);
        }
        break;
    case 3:
        if (load || triggered) {
            naive_load(n);
            naive_out(n, true);
        } else if (n->loaded && n->gate) {
            naive_square(n);
        }
        break;
    case 4:
    case 5:
        naive_out(n, true);
        if (n->mode == 4 ? load : triggered)
            naive_load(n);
        else if (n->loaded && (n->gate || n->mode == 5) && naive_down(n))
            naive_out(n, false);
        break;
    }
}

static void naive_control(struct naive *n, unsigned word)
{
    struct naive fresh = {.gate = n->gate, .rises = n->rises, .out = n->out, .ce = n->ce};

    *n = fresh;
    n->word = word & 0x3f;
    n->rw = word >> 4 & 3;
    n->mode = word >> 1 & 7;
    if (n->mode == 6 || n->mode == 7)
        n->mode -= 4;
    n->bcd = word & 1;
    n->null = true;
    naive_out(n, n->mode != 0);
}

static void naive_count(struct naive *n, unsigned value)
{
    static const unsigned weights[] = {1, 10, 100, 1000};
    long count = 0;

    for (unsigned i = 0; i < 4 && n->bcd; i++)
        count += (long)((value >> 4 * i & 0xf) * weights[i]);
    if (!n->bcd)
        count = value;
    count %= naive_full(n);
    n->cr = count ? count : naive_full(n);
    n->has_count = n->null = true;
    if (n->mode == 0)
        naive_out(n, false);
    n->load_next |= n->mode == 0 || n->mode == 4 || ((n->mode == 2 || n->mode == 3) && !n->loaded);
}

static void naive_write(struct naive *n, uint8_t byte)
{
    if (n->rw != 3) {
        naive_count(n, n->rw == 2 ? (unsigned)byte << 8 : byte);
    } else if (n->second_write) {
        n->second_write = false;
        naive_count(n, (unsigned)byte << 8 | n->first);
    } else {
        n->second_write = true;
        n->first = byte;
        if (n->mode == 0)
            naive_out(n, false);
    }
}

static unsigned naive_shown(const struct naive *n)
{
    char digits[8];

    if (!n->bcd)
        return (unsigned)n->ce & 0xffff;
    snprintf(digits, sizeof(digits), "%ld", n->ce % 10000);
    return (unsigned)strtoul(digits, NULL, 16);
}

static uint8_t naive_read(struct naive *n)
{
    unsigned value = n->latched ? n->latch : naive_shown(n);
    bool high = n->rw == 2;

    if (n->status_latched) {
        n->status_latched = false;
        return n->status;
    }
    if (n->rw == 3) {
        high = n->second_read;
        n->second_read = !n->second_read;
    }
    if (n->rw != 3 || high)
        n->latched = false;
    return (uint8_t)(high ? value >> 8 : value);
}

static void naive_latch(struct naive *n, bool count, bool status)
{
    if (count && !n->latched) {
        n->latch = naive_shown(n);
        n->latched = true;
    }
    if (status && !n->status_latched) {
        n->status = (uint8_t)(n->word | (n->null ? 0x40u : 0) | (n->out ? 0x80u : 0));
        n->status_latched = true;
    }
}

static void naive_gate(struct naive *n, bool level)
{
    if (level && !n->gate)
        n->gate_rose = n->has_count;
    n->gate = level;
    if (!level && (n->mode == 2 || n->mode == 3))
        naive_out(n, true);
}

/* --- both of them ------------------------------------------------------------------------------------------------ */

struct both {
    struct ports ports;
    struct vtime time;
    struct i8254 *pit;
    struct wire irq;
    struct naive naive[3];
    struct random *random;
    uint64_t pulses;
    uint64_t compared;
};

static uint64_t draw(struct both *b, uint64_t below)
{
    return random_below(b->random, below);
}

static void pass(struct both *b)
{
    static const uint64_t most[] = {2, 2000, 20000, 200000, 60000000};
    uint64_t now = b->time.now + draw(b, most[draw(b, draw(b, 10) ? 4 : 5)]);

    vtime_advance(&b->time, now);
    for (; b->pulses < now * 1193182 / S; b->pulses++) {
        for (unsigned i = 0; i < 3; i++)
            naive_pulse(&b->naive[i]);
    }
}

static unsigned draw_word(struct both *b)
{
    return (unsigned)(draw(b, 3) + 1) << 4 | (unsigned)draw(b, 8) << 1 | (draw(b, 4) == 0);
}

static uint8_t draw_byte(struct both *b)
{
    return (uint8_t)(draw(b, 3) ? draw(b, 6) : draw(b, 256));
}

static void control(struct both *b, unsigned word)
{
    unsigned channel = word >> 6;

    outb(&b->ports, 0x43, (uint8_t)word);
    if (channel < 3 && word & 0x30) {
        naive_control(&b->naive[channel], word);
    } else if (channel < 3) {
        naive_latch(&b->naive[channel], true, false);
    } else {
        for (unsigned i = 0; i < 3; i++) {
            if (word & 2u << i)
                naive_latch(&b->naive[i], !(word & 0x20), !(word & 0x10));
        }
    }
}

static void write_count(struct both *b, unsigned channel)
{
    uint8_t byte = draw_byte(b);

    outb(&b->ports, (uint16_t)(0x40 + channel), byte);
    naive_write(&b->naive[channel], byte);
}

static void read_one(struct both *b, unsigned channel)
{
    assert_int_equal(inb(&b->ports, (uint16_t)(0x40 + channel)), naive_read(&b->naive[channel]));
    b->compared++;
}

static void step(struct both *b)
{
    unsigned channel = (unsigned)draw(b, 3);
    bool level;

    switch (draw(b, 10)) {
    case 0:
        control(b, channel << 6 | draw_word(b));
        write_count(b, channel);
        break;
    case 1:
    case 2:
        write_count(b, channel);
        break;
    case 3:
        control(b, channel << 6);
        break;
    case 4:
        control(b, 0xc0 | (unsigned)draw(b, 64));
        break;
    case 5:
        level = draw(b, 2);
        i8254_set_gate2(b->pit, level);
        naive_gate(&b->naive[2], level);
        break;
    case 6:
    case 7:
        read_one(b, channel);
        break;
    default:
        pass(b);
    }
    assert_int_equal(i8254_output2(b->pit), b->naive[2].out);
    assert_int_equal(b->irq.level, b->naive[0].out);
    assert_int_equal(b->irq.rises, b->naive[0].rises);
}

/* At the end all there is to see of each. */
static void look(struct both *b)
{
    control(b, 0xce);
    for (unsigned channel = 0; channel < 3; channel++) {
        for (unsigned i = 0; i < 5; i++)
            read_one(b, channel);
    }
}

static uint64_t run(struct random *random)
{
    struct both b = {.random = random};

    ports_open(&b.ports);
    assert_int_equal(i8254_create(b.ports.vm, b.ports.io, &b.time, wire_irq(&b.irq), &b.pit), 0);
    for (unsigned i = 0; i < 3; i++) {
        b.naive[i].gate = i != 2;
        naive_control(&b.naive[i], 0x30);
    }
    for (unsigned i = 0; i < STEPS; i++)
        step(&b);
    look(&b);
    i8254_destroy(b.pit);
    ports_close(&b.ports);
    return b.compared;
}

static void test_model(void **state)
{
    struct random random = random_start("i8254", 8254);
    unsigned machines = test_is_long() ? 20 * MACHINES : MACHINES;
    uint64_t compared = 0;

    (void)state;
    for (unsigned i = 0; i < machines; i++)
        compared += run(&random);
    assert_true(compared > machines * STEPS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
