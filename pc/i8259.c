/* SPDX-License-Identifier: MIT */
/*
 * pc/i8259.c - the two interrupt controllers of the PC/AT.
 *
 * Intel 8259A datasheet (231468) for the controllers, 82371FB (PIIX) and 82371SB (PIIX3) datasheet (290550), 2.5, for what the
 * PIIX changes: each input is edge or level triggered by the ELCR and not by LTIM in ICW1, and inputs 0, 1, 2, 8 and 13
 * are always edge triggered.
 *
 * An edge sets the bit of the request register (IRR); it goes when it is acknowledged, and when the input goes down
 * before that, which is what makes interrupts spurious. A level triggered bit is the input. So is that of
 * the cascade: the second controller's INT goes down in each acknowledge, and a level says the same as its edges.
 *
 * Nothing is requested from power-on to the end of the first initialisation, nor during one.
 *
 * INTR is computed whenever something changes, and kept. Runs under the machine's device lock.
 */
#include "i8259.h"

#include <errno.h>
#include <stdlib.h>

#include "place.h"

#define INPUTS 8u
#define SPURIOUS 7u
#define NONE (-1)

#define ICW1_IC4 0x01u
#define ICW1_SNGL 0x02u
#define ICW1_ADI 0x04u /* MCS-80: an interval of 4 */
#define ICW1 0x10u
#define ICW4_8086 0x01u
#define ICW4_AEOI 0x02u
#define ICW4_SFNM 0x10u

#define OCW2_EOI 0x20u
#define OCW2_SL 0x40u
#define OCW2_R 0x80u
#define OCW3 0x08u
#define OCW3_RIS 0x01u
#define OCW3_RR 0x02u
#define OCW3_P 0x04u
#define OCW3_SMM 0x20u
#define OCW3_ESMM 0x40u

#define POLL_REQUEST 0x80u

/* What the next byte at the odd port is. */
enum expects { EXPECTS_ICW1, EXPECTS_ICW2, EXPECTS_ICW3, EXPECTS_ICW4, EXPECTS_OCW1 };

struct pic {
    struct i8259 *pair;
    enum expects expects;
    uint8_t irr, isr, imr;
    uint8_t lines; /* the inputs */
    uint8_t elcr, elcr_mask;
    uint8_t follows; /* inputs whose bit of irr is the input, whatever elcr says */
    uint8_t icw1, icw2, icw3, icw4;
    unsigned lowest; /* the input of the lowest priority; the next one has the highest */
    bool rotates;    /* in automatic EOI */
    bool special_mask;
    bool read_isr;
    bool poll; /* the next read is one */
    bool intr;
};

struct i8259 {
    struct pic pics[2];
    struct pc_irq intr;
    bool level;    /* of intr, as driven */
    bool cascaded; /* it was the second controller for which it was up last */
    gmem_region *regions[4];
};

/* --- priorities -------------------------------------------------------------------------------------------------- */

/* The input of the highest priority in bits, or NONE. */
static int highest(const struct pic *pic, uint8_t bits)
{
    for (unsigned i = 1; i <= INPUTS; i++) {
        unsigned input = (pic->lowest + i) % INPUTS;

        if (bits & 1u << input)
            return (int)input;
    }
    return NONE;
}

static unsigned rank(const struct pic *pic, int input)
{
    return ((unsigned)input + INPUTS - 1 - pic->lowest) % INPUTS;
}

static bool has_slave(const struct pic *pic, int input)
{
    return pic == &pic->pair->pics[0] && !(pic->icw1 & ICW1_SNGL) && (pic->icw3 & 1u << input);
}

/* The input to be serviced next, or NONE: nothing requested is above what is in service. */
static int requested(const struct pic *pic)
{
    int input = highest(pic, pic->irr & (uint8_t)~pic->imr);
    /* In special mask mode what is masked holds back nobody. */
    int serviced = highest(pic, pic->special_mask ? pic->isr & (uint8_t)~pic->imr : pic->isr);

    if (pic->expects != EXPECTS_OCW1 || input == NONE)
        return NONE;
    if (serviced == NONE || rank(pic, input) < rank(pic, serviced))
        return input;
    /* Special fully nested mode: in the controller behind it, it may be a higher one. */
    if (input == serviced && pic->icw4 & ICW4_SFNM && has_slave(pic, input))
        return input;
    return NONE;
}

static void set_line(struct pic *pic, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)(1u << input);
    bool rises = level && !(pic->lines & bit);

    if (level)
        pic->lines |= bit;
    else
        pic->lines &= (uint8_t)~bit;
    if (rises)
        pic->irr |= bit;
    else if (!level)
        pic->irr &= (uint8_t)~bit;
}

static void update(struct i8259 *pics)
{
    struct pic *master = &pics->pics[0];
    struct pic *slave = &pics->pics[1];
    int input;

    slave->intr = requested(slave) != NONE;
    set_line(master, I8259_CASCADE, slave->intr);
    input = requested(master);
    master->intr = input != NONE;
    if (master->intr)
        pics->cascaded = has_slave(master, input);
    if (pics->level == master->intr)
        return;
    pics->level = master->intr;
    pc_irq_set(pics->intr, pics->level);
}

/* --- acknowledge ------------------------------------------------------------------------------------------------- */

static uint8_t vector_of(const struct pic *pic, unsigned input)
{
    if (pic->icw4 & ICW4_8086)
        return (uint8_t)((pic->icw2 & 0xf8u) | input);
    /* MCS-80: the second byte of the three, the low one of an address. */
    if (pic->icw1 & ICW1_ADI)
        return (uint8_t)((pic->icw1 & 0xe0u) | input << 2);
    return (uint8_t)((pic->icw1 & 0xc0u) | input << 3);
}

/* Take the request of the highest priority into service: its input, or NONE. */
static int take(struct pic *pic)
{
    int input = requested(pic);
    uint8_t bit;

    if (input == NONE)
        return NONE;
    bit = (uint8_t)(1u << input);
    if (!((pic->elcr | pic->follows) & bit))
        pic->irr &= (uint8_t)~bit;
    if (!(pic->icw4 & ICW4_AEOI))
        pic->isr |= bit;
    else if (pic->rotates)
        pic->lowest = (unsigned)input;
    return input;
}

uint8_t i8259_acknowledge(struct i8259 *pics)
{
    struct pic *pic = &pics->pics[0];
    uint8_t vector = 0xff;
    int input;

    /* The request that the second one took back has reached the processor: the first one does not know that it is gone. */
    if (!pic->intr && pics->cascaded)
        pic->irr |= 1u << I8259_CASCADE;
    pics->cascaded = false;
    input = take(pic);
    if (input != NONE && has_slave(pic, input)) {
        /* It puts the input's number on the cascade lines, and who has that as its identity answers. */
        pic = &pics->pics[1];
        if (input == (int)(pic->icw3 & 0x07u) && pic->expects == EXPECTS_OCW1 && !(pic->icw1 & ICW1_SNGL))
            input = take(pic);
        else
            pic = NULL;
    }
    if (pic)
        vector = vector_of(pic, input == NONE ? SPURIOUS : (unsigned)input);
    update(pics);
    return vector;
}

void i8259_set(struct i8259 *pics, unsigned n, int level)
{
    if (n >= I8259_INPUTS || n == I8259_CASCADE)
        return;
    set_line(&pics->pics[n / INPUTS], n % INPUTS, level != 0);
    update(pics);
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

static uint8_t levels(const struct pic *pic)
{
    return pic->lines & (pic->elcr | pic->follows);
}

static void initialise(struct pic *pic, uint8_t icw1)
{
    pic->expects = EXPECTS_ICW2;
    pic->icw1 = icw1;
    pic->icw4 = 0;
    pic->icw3 = pic == &pic->pair->pics[0] ? 0 : 0x07; /* the slave address becomes 7 */
    pic->irr = levels(pic);                            /* the edge sense circuit is reset */
    pic->isr = 0;
    pic->imr = 0;
    pic->lowest = 7;
    pic->rotates = false;
    pic->special_mask = false;
    pic->read_isr = false;
    pic->poll = false;
}

static void end_of_interrupt(struct pic *pic, uint8_t ocw2)
{
    int input = ocw2 & 0x07;

    if (!(ocw2 & OCW2_SL))
        input = highest(pic, pic->special_mask ? pic->isr & (uint8_t)~pic->imr : pic->isr);
    if (input == NONE)
        return;
    pic->isr &= (uint8_t) ~(1u << input);
    if (ocw2 & OCW2_R)
        pic->lowest = (unsigned)input;
}

static void write_ocw2(struct pic *pic, uint8_t ocw2)
{
    if (ocw2 & OCW2_EOI)
        end_of_interrupt(pic, ocw2);
    else if (!(ocw2 & OCW2_SL))
        pic->rotates = (ocw2 & OCW2_R) != 0;
    else if (ocw2 & OCW2_R)
        pic->lowest = ocw2 & 0x07u;
}

static void write_ocw3(struct pic *pic, uint8_t ocw3)
{
    if (ocw3 & OCW3_ESMM)
        pic->special_mask = (ocw3 & OCW3_SMM) != 0;
    /* Of both P and RR, the poll goes first. */
    if (ocw3 & OCW3_P)
        pic->poll = true;
    else if (ocw3 & OCW3_RR)
        pic->read_isr = (ocw3 & OCW3_RIS) != 0;
}

static void write_odd(struct pic *pic, uint8_t value)
{
    bool more = (pic->icw1 & ICW1_IC4) != 0;

    switch (pic->expects) {
    case EXPECTS_ICW2:
        pic->icw2 = value;
        pic->expects = !(pic->icw1 & ICW1_SNGL) ? EXPECTS_ICW3 : more ? EXPECTS_ICW4 : EXPECTS_OCW1;
        break;
    case EXPECTS_ICW3:
        pic->icw3 = value;
        pic->expects = more ? EXPECTS_ICW4 : EXPECTS_OCW1;
        break;
    case EXPECTS_ICW4:
        pic->icw4 = value;
        pic->expects = EXPECTS_OCW1;
        break;
    case EXPECTS_ICW1:
    case EXPECTS_OCW1:
        pic->imr = value;
        break;
    }
}

/* --- ports ------------------------------------------------------------------------------------------------------- */

static gmem_result pic_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    struct pic *pic = opaque;

    (void)size, (void)attrs;
    if (pic->poll) {
        int input = take(pic);

        pic->poll = false;
        *ret_value = input == NONE ? 0 : POLL_REQUEST | (unsigned)input;
        update(pic->pair);
    } else if (offset) {
        *ret_value = pic->imr;
    } else {
        *ret_value = pic->read_isr ? pic->isr : pic->irr;
    }
    return GMEM_OK;
}

static gmem_result pic_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct pic *pic = opaque;
    uint8_t byte = (uint8_t)value;

    (void)size, (void)attrs;
    if (offset)
        write_odd(pic, byte);
    else if (byte & ICW1)
        initialise(pic, byte);
    else if (byte & OCW3)
        write_ocw3(pic, byte);
    else
        write_ocw2(pic, byte);
    update(pic->pair);
    return GMEM_OK;
}

static gmem_result elcr_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    const struct pic *pic = opaque;

    (void)offset, (void)size, (void)attrs;
    *ret_value = pic->elcr;
    return GMEM_OK;
}

static gmem_result elcr_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct pic *pic = opaque;
    uint8_t before = pic->elcr, changed;

    (void)offset, (void)size, (void)attrs;
    pic->elcr = (uint8_t)value & pic->elcr_mask;
    changed = before ^ pic->elcr;
    /* What becomes level triggered is requested while it is up; what becomes edge triggered waits for an edge. */
    pic->irr = (uint8_t)((pic->irr & ~changed) | (levels(pic) & changed));
    update(pic->pair);
    return GMEM_OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static int place(struct i8259 *pics, gmem_region *io)
{
    static const struct gmem_mmio_ops pic_ops = {
        .read = pic_read, .write = pic_write, .valid = {.min = 1, .max = 1}, .impl = {.min = 1, .max = 1}};
    static const struct gmem_mmio_ops elcr_ops = {
        .read = elcr_read, .write = elcr_write, .valid = {.min = 1, .max = 1}, .impl = {.min = 1, .max = 1}};
    int err = 0;

    for (unsigned i = 0; i < 2 && !err; i++)
        err = pc_place_mmio(io, i ? 0xa0 : 0x20, 0, "pic", 2, &pic_ops, &pics->pics[i], &pics->regions[i]);
    for (unsigned i = 0; i < 2 && !err; i++)
        err = pc_place_mmio(io, 0x4d0 + i, 0, "elcr", 1, &elcr_ops, &pics->pics[i], &pics->regions[2 + i]);
    return err;
}

int i8259_create(gmem_region *io, struct pc_irq intr, struct i8259 **ret)
{
    struct i8259 *pics = calloc(1, sizeof(*pics));
    int err;

    if (!pics)
        return -ENOMEM;
    pics->intr = intr;
    for (unsigned i = 0; i < 2; i++) {
        pics->pics[i].pair = pics;
        pics->pics[i].elcr_mask = i ? 0xde : 0xf8;
        pics->pics[i].lowest = 7;
    }
    pics->pics[0].follows = 1u << I8259_CASCADE;
    err = place(pics, io);
    if (err) {
        i8259_destroy(pics);
        return err;
    }
    *ret = pics;
    return 0;
}

void i8259_destroy(struct i8259 *pics)
{
    if (!pics)
        return;
    for (unsigned i = 0; i < sizeof(pics->regions) / sizeof(pics->regions[0]); i++)
        pc_unplace(pics->regions[i]);
    free(pics);
}
