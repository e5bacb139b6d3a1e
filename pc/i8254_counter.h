/* SPDX-License-Identifier: MIT */
/*
 * pc/i8254_counter.h - one of the three counters of an 8254, as a function of how many clock pulses there were.
 *
 * Nobody counts: i8254_counter_run() brings a counter up to a pulse, however far that is, in a bounded number of steps.
 * Everything else acts between the pulse that it was run to and the next one. No state but the counter's; the caller
 * sees to it that one thread uses it at a time.
 */
#ifndef PC_I8254_COUNTER_H
#define PC_I8254_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#define I8254_NEVER UINT64_MAX

/* Read control and out; the rest is i8254_counter.c's. */
struct i8254_counter {
    uint64_t at;     /* pulses so far */
    uint8_t control; /* the low 6 bits of the control word: access, mode, BCD */
    bool out, gate;

    uint32_t initial;               /* what was written last: 1 to 65536, or 10000 in BCD */
    uint32_t count;                 /* what is counted from: initial when it was loaded; at least 2 in modes 2 and 3 */
    uint32_t element;               /* what is counted: 0 to count, or what it wrapped to */
    bool written;                   /* since the control word: a whole count */
    bool null;                      /* initial was not loaded yet */
    bool running;                   /* loaded since the control word */
    bool load, trigger;             /* at the next pulse, because of a write; of the gate */
    bool armed;                     /* modes 0, 1, 4, 5: 0 was not reached since it was loaded */
    bool strobe;                    /* modes 4, 5: the output is low until the next pulse */
    bool write_second, read_second; /* which byte of two comes next */
    bool count_latched, status_latched;
    uint8_t first; /* written, of two */
    uint8_t status;
    uint16_t latch;
};

/* As after the control word of mode 0, LSB then MSB. The chip leaves this undefined. */
void i8254_counter_init(struct i8254_counter *counter, bool gate);

/* Let pulses happen until there were `to`, which is not less than before. */
void i8254_counter_run(struct i8254_counter *counter, uint64_t to);
/* How many pulses there were when the output changes next, if nothing else happens; or I8254_NEVER. */
uint64_t i8254_counter_next_edge(const struct i8254_counter *counter);

/* A control word, or its low 6 bits; not the counter latch command. */
void i8254_counter_control(struct i8254_counter *counter, uint8_t word);
void i8254_counter_write(struct i8254_counter *counter, uint8_t byte);
uint8_t i8254_counter_read(struct i8254_counter *counter);
void i8254_counter_latch_count(struct i8254_counter *counter);
void i8254_counter_latch_status(struct i8254_counter *counter);
void i8254_counter_set_gate(struct i8254_counter *counter, bool level);

#endif
