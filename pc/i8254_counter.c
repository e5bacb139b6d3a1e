/* SPDX-License-Identifier: MIT */
/*
 * pc/i8254_counter.c - a counter of the Intel 8254 (datasheet 231164: "Programming the 8254", "Mode definitions").
 *
 * Between two events (a load, the end of a half cycle, 0 being reached, a strobe's end) pulses only count down, so any
 * number of them is one subtraction; and in modes 2 and 3 a whole number of periods changes nothing. So a run takes a few
 * steps however long it is, and the n-th period ends at exactly n * count pulses after the first load.
 *
 * Where the datasheet leaves it open:
 *  - A count of 1 in modes 2 and 3, which is illegal, counts as 2: a period is two pulses or more.
 *  - Of a BCD count with digits above 9, the value is the sum of digits times their weights, modulo 10000.
 *  - A count that is written as two bytes takes effect with the second one, also if a trigger comes in between.
 *  - A counter stands still from its control word to its first load, and a trigger is forgotten before the first count.
 *  - A control word forgets what was latched.
 *
 * Pure: arguments and the counter.
 */
#include "i8254_counter.h"

#define BCD 0x01u
#define ACCESS_SHIFT 4
#define ACCESS_LSB 1u
#define ACCESS_MSB 2u
#define ACCESS_BOTH 3u
#define CONTROL_MASK 0x3fu

#define STATUS_OUT 0x80u
#define STATUS_NULL 0x40u

static unsigned mode_of(const struct i8254_counter *counter)
{
    unsigned mode = counter->control >> 1 & 7;

    return mode > 5 ? mode - 4 : mode; /* bit 2 doesn't matter in modes 2 and 3 */
}

static unsigned access_of(const struct i8254_counter *counter)
{
    return counter->control >> ACCESS_SHIFT & 3;
}

static uint32_t modulus(const struct i8254_counter *counter)
{
    return counter->control & BCD ? 10000 : 0x10000;
}

static bool is_periodic(unsigned mode)
{
    return mode == 2 || mode == 3;
}

static bool is_triggered(unsigned mode)
{
    return mode == 1 || mode == 5;
}

/* Whether a pulse counts down. Mode 0 waits for the second byte of a count. */
static bool counts(const struct i8254_counter *counter)
{
    unsigned mode = mode_of(counter);

    return counter->running && (counter->gate || is_triggered(mode)) && !(mode == 0 && counter->write_second);
}

/* Pulses up to the next that does more than count down. */
static uint64_t to_event(const struct i8254_counter *counter)
{
    if (counter->load || counter->trigger || counter->strobe)
        return 1;
    if (!counts(counter))
        return I8254_NEVER;
    switch (mode_of(counter)) {
    case 2:
        return counter->out ? counter->element - 1 : 1;
    case 3: /* counts by two; of an odd count the high half has a pulse more */
        return counter->element / 2 + (counter->out && counter->count % 2);
    default:
        return counter->armed ? counter->element : I8254_NEVER;
    }
}

static void count_down(struct i8254_counter *counter, uint64_t pulses)
{
    uint32_t past;

    if (mode_of(counter) == 3) {
        counter->element -= (uint32_t)(2 * pulses);
    } else if (pulses <= counter->element) {
        counter->element -= (uint32_t)pulses;
    } else {
        past = (uint32_t)((pulses - counter->element) % modulus(counter));
        counter->element = past ? modulus(counter) - past : 0;
    }
}

static void reload(struct i8254_counter *counter)
{
    bool periodic = is_periodic(mode_of(counter));

    counter->count = periodic && counter->initial < 2 ? 2 : counter->initial;
    counter->element = mode_of(counter) == 3 ? counter->count & ~1u : counter->count;
    counter->null = false;
}

static void start(struct i8254_counter *counter)
{
    reload(counter);
    counter->load = counter->trigger = false;
    counter->running = counter->armed = true;
    counter->out = mode_of(counter) > 1;
}

/* The pulse that to_event() tells of. */
static void event(struct i8254_counter *counter)
{
    unsigned mode = mode_of(counter);

    counter->at++;
    if (counter->load || counter->trigger) {
        counter->strobe = false;
        start(counter);
    } else if (counter->strobe) {
        counter->strobe = false;
        counter->out = true;
        if (counts(counter))
            count_down(counter, 1);
    } else if (mode == 2 && counter->out) {
        counter->element = 1;
        counter->out = false;
    } else if (is_periodic(mode)) {
        counter->out = !counter->out;
        reload(counter);
    } else {
        counter->element = 0;
        counter->armed = false;
        counter->strobe = mode > 3;
        counter->out = !counter->strobe;
    }
}

static void skip_periods(struct i8254_counter *counter, uint64_t to)
{
    if (is_periodic(mode_of(counter)) && counts(counter) && !counter->load && !counter->trigger && !counter->null)
        counter->at += (to - counter->at) / counter->count * counter->count;
}

void i8254_counter_run(struct i8254_counter *counter, uint64_t to)
{
    for (;;) {
        uint64_t pulses;
        bool reaches;

        skip_periods(counter, to);
        if (counter->at == to)
            return;
        pulses = to_event(counter);
        reaches = pulses <= to - counter->at;
        pulses = reaches ? pulses - 1 : to - counter->at;
        if (counts(counter))
            count_down(counter, pulses);
        counter->at += pulses;
        if (reaches)
            event(counter);
    }
}

uint64_t i8254_counter_next_edge(const struct i8254_counter *counter)
{
    struct i8254_counter next = *counter;

    /* Two events at most: a load, and what follows it. */
    while (next.out == counter->out) {
        uint64_t pulses = to_event(&next);

        if (pulses == I8254_NEVER)
            return I8254_NEVER;
        i8254_counter_run(&next, next.at + pulses);
    }
    return next.at;
}

void i8254_counter_control(struct i8254_counter *counter, uint8_t word)
{
    counter->control = word & CONTROL_MASK;
    counter->out = mode_of(counter) != 0;
    counter->initial = modulus(counter);
    counter->null = true;
    counter->written = counter->running = counter->load = counter->trigger = false;
    counter->armed = counter->strobe = false;
    counter->write_second = counter->read_second = false;
    counter->count_latched = counter->status_latched = false;
}

void i8254_counter_init(struct i8254_counter *counter, bool gate)
{
    *counter = (struct i8254_counter){.gate = gate};
    i8254_counter_control(counter, ACCESS_BOTH << ACCESS_SHIFT);
}

/* 0 stands for the largest count. */
static uint32_t decode(const struct i8254_counter *counter, uint32_t value)
{
    if (counter->control & BCD)
        value = ((value >> 12) * 1000 + (value >> 8 & 0xf) * 100 + (value >> 4 & 0xf) * 10 + (value & 0xf)) % 10000;
    return value ? value : modulus(counter);
}

static uint16_t encode(const struct i8254_counter *counter)
{
    uint32_t value = counter->element % modulus(counter);

    if (counter->control & BCD)
        value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
    return (uint16_t)value;
}

static void write_count(struct i8254_counter *counter, uint32_t value)
{
    unsigned mode = mode_of(counter);

    counter->initial = decode(counter, value);
    counter->written = counter->null = true;
    if (mode == 0)
        counter->out = false;
    if (mode == 0 || mode == 4 || (is_periodic(mode) && !counter->running))
        counter->load = true;
}

void i8254_counter_write(struct i8254_counter *counter, uint8_t byte)
{
    unsigned access = access_of(counter);

    if (access == ACCESS_LSB) {
        write_count(counter, byte);
    } else if (access == ACCESS_MSB) {
        write_count(counter, (uint32_t)byte << 8);
    } else if (counter->write_second) {
        counter->write_second = false;
        write_count(counter, (uint32_t)byte << 8 | counter->first);
    } else {
        counter->first = byte;
        counter->write_second = true;
        if (mode_of(counter) == 0)
            counter->out = false;
    }
}

uint8_t i8254_counter_read(struct i8254_counter *counter)
{
    uint16_t value = counter->count_latched ? counter->latch : encode(counter);
    unsigned access = access_of(counter);
    bool high = access == ACCESS_MSB || (access == ACCESS_BOTH && counter->read_second);

    if (counter->status_latched) {
        counter->status_latched = false;
        return counter->status;
    }
    counter->read_second = access == ACCESS_BOTH && !counter->read_second;
    if (!counter->read_second)
        counter->count_latched = false;
    return (uint8_t)(high ? value >> 8 : value);
}

void i8254_counter_latch_count(struct i8254_counter *counter)
{
    if (counter->count_latched)
        return;
    counter->latch = encode(counter);
    counter->count_latched = true;
}

void i8254_counter_latch_status(struct i8254_counter *counter)
{
    if (counter->status_latched)
        return;
    counter->status = (uint8_t)(counter->control | (counter->null ? STATUS_NULL : 0) | (counter->out ? STATUS_OUT : 0));
    counter->status_latched = true;
}

void i8254_counter_set_gate(struct i8254_counter *counter, bool level)
{
    unsigned mode = mode_of(counter);
    bool rises = level && !counter->gate;

    counter->gate = level;
    if (rises && counter->written && (is_periodic(mode) || is_triggered(mode)))
        counter->trigger = true;
    if (!level && is_periodic(mode))
        counter->out = true;
}
