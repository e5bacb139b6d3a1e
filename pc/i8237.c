/* SPDX-License-Identifier: MIT */
/*
 * An Intel 8237A DMA controller as the PC/AT wires it: the second one's registers are two ports apart, and each channel
 * has a page register outside the chip. From Intel's 8237A data sheet and IBM's PC/AT technical reference.
 *
 *   offset 0 to 7   address and count of channels 0 to 3, low byte then high byte by the byte pointer flip-flop
 *   8  command (write), status (read)      c  clear byte pointer (write)
 *   9  request                             d  master clear (write), temporary register (read)
 *   a  one mask bit                        e  clear all mask bits
 *   b  mode                                f  all mask bits
 *
 * No device asks for a transfer, so current address and count are always the base ones, status shows no
 * terminal count, command and mode are without effect, and of a software request only the request bit is seen.
 *
 * The device's lock covers everything.
 */
#include "i8237.h"

#include <errno.h>
#include <stdlib.h>

#include "device.h"

#define CHANNELS 4u

#define STATUS_REQUEST_SHIFT 4u
#define MASK_ALL 0x0fu
#define SET 0x04u /* in a request or a mask bit: set it, not clear it */

enum {
    REG_COMMAND = 0x8,
    REG_REQUEST = 0x9,
    REG_MASK_ONE = 0xa,
    REG_MODE = 0xb,
    REG_CLEAR_POINTER = 0xc,
    REG_MASTER_CLEAR = 0xd,
    REG_CLEAR_MASKS = 0xe,
    REG_MASK = 0xf,
};

struct controller {
    uint8_t base[CHANNELS][2][2]; /* of a channel, address and count, low and high byte */
    uint8_t request, mask;
    bool high; /* the byte pointer flip-flop */
};

struct i8237 {
    struct pc_device device;
    struct controller controller;
    unsigned shift;  /* of a register number to its port */
    uint8_t page[4]; /* channels 2, 3, 1, 0: in the order of their ports */
};

static void master_clear(struct controller *dma)
{
    dma->request = 0;
    dma->mask = MASK_ALL;
    dma->high = false;
}

static uint8_t with_bit(uint8_t bits, uint8_t value)
{
    uint8_t bit = (uint8_t)(1u << (value % CHANNELS));

    return (uint8_t)((value & SET) != 0 ? bits | bit : bits & ~bit);
}

static uint8_t read_control(const struct controller *dma, unsigned reg)
{
    switch (reg) {
    case REG_COMMAND:
        return (uint8_t)(dma->request << STATUS_REQUEST_SHIFT);
    case REG_MASTER_CLEAR: /* the temporary register, of transfers that are never made */
        return 0;
    case REG_MASK: /* reads on the 82374 and later */
        return dma->mask;
    default:
        return 0xff;
    }
}

static void write_control(struct controller *dma, unsigned reg, uint8_t value)
{
    switch (reg) {
    case REG_REQUEST:
        dma->request = with_bit(dma->request, value);
        break;
    case REG_MASK_ONE:
        dma->mask = with_bit(dma->mask, value);
        break;
    case REG_CLEAR_POINTER:
        dma->high = false;
        break;
    case REG_MASTER_CLEAR:
        master_clear(dma);
        break;
    case REG_CLEAR_MASKS:
        dma->mask = 0;
        break;
    case REG_MASK:
        dma->mask = value & MASK_ALL;
        break;
    default: /* command and mode say how to make transfers, and can't be read */
        break;
    }
}

/* --- ports ------------------------------------------------------------------------------------------------------- */

/* The byte that a channel register's offset means now; the flip-flop moves on. */
static uint8_t *channel_byte(struct i8237 *dma, uint64_t offset)
{
    unsigned reg = (unsigned)(offset >> dma->shift);
    bool high = dma->controller.high;

    dma->controller.high = !high;
    return &dma->controller.base[reg / 2][reg % 2][high];
}

static gmem_result chan_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    struct i8237 *dma = opaque;

    (void)size;
    (void)attrs;
    pthread_mutex_lock(&dma->device.lock);
    *ret_value = *channel_byte(dma, offset);
    pthread_mutex_unlock(&dma->device.lock);
    return GMEM_OK;
}

static gmem_result chan_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct i8237 *dma = opaque;

    (void)size;
    (void)attrs;
    pthread_mutex_lock(&dma->device.lock);
    *channel_byte(dma, offset) = (uint8_t)value;
    pthread_mutex_unlock(&dma->device.lock);
    return GMEM_OK;
}

static gmem_result cont_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    struct i8237 *dma = opaque;

    (void)size;
    (void)attrs;
    pthread_mutex_lock(&dma->device.lock);
    *ret_value = read_control(&dma->controller, REG_COMMAND + (unsigned)(offset >> dma->shift));
    pthread_mutex_unlock(&dma->device.lock);
    return GMEM_OK;
}

static gmem_result cont_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct i8237 *dma = opaque;

    (void)size;
    (void)attrs;
    pthread_mutex_lock(&dma->device.lock);
    write_control(&dma->controller, REG_COMMAND + (unsigned)(offset >> dma->shift), (uint8_t)value);
    pthread_mutex_unlock(&dma->device.lock);
    return GMEM_OK;
}

static gmem_result page_rw(struct i8237 *dma, uint64_t index, uint64_t *read, uint64_t written)
{
    pthread_mutex_lock(&dma->device.lock);
    if (read != NULL)
        *read = dma->page[index];
    else
        dma->page[index] = (uint8_t)written;
    pthread_mutex_unlock(&dma->device.lock);
    return GMEM_OK;
}

static gmem_result page_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)size;
    (void)attrs;
    return page_rw(opaque, offset, ret_value, 0);
}

static gmem_result page_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)size;
    (void)attrs;
    return page_rw(opaque, offset, NULL, value);
}

static gmem_result last_page_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                  uint64_t *ret_value)
{
    (void)offset;
    (void)size;
    (void)attrs;
    return page_rw(opaque, 3, ret_value, 0);
}

static gmem_result last_page_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                   uint64_t value)
{
    (void)offset;
    (void)size;
    (void)attrs;
    return page_rw(opaque, 3, NULL, value);
}

#define BYTE_PORTS(reader, writer)                                                                                     \
    {                                                                                                                  \
        .read = (reader), .write = (writer), .endian = GMEM_ENDIAN_LITTLE, .valid = {.min = 1, .max = 1},              \
        .impl = {.min = 1, .max = 1},                                                                                  \
    }

static const struct gmem_mmio_ops chan_ops = BYTE_PORTS(chan_read, chan_write);
static const struct gmem_mmio_ops cont_ops = BYTE_PORTS(cont_read, cont_write);
static const struct gmem_mmio_ops page_ops = BYTE_PORTS(page_read, page_write);
static const struct gmem_mmio_ops last_page_ops = BYTE_PORTS(last_page_read, last_page_write);

/* --- life -------------------------------------------------------------------------------------------------------- */

static int place(struct i8237 *dma, gmem_region *io, bool second)
{
    const uint64_t chip = second ? 0xc0 : 0x00;
    const uint64_t pages = second ? 0x89 : 0x81;
    int err;

    err = pc_device_add(&dma->device, io, chip, "dma-chan", UINT64_C(8) << dma->shift, &chan_ops, NULL);
    if (err == 0)
        err = pc_device_add(&dma->device, io, chip + (UINT64_C(8) << dma->shift), "dma-cont", UINT64_C(8) << dma->shift,
                            &cont_ops, NULL);
    if (err == 0)
        err = pc_device_add(&dma->device, io, pages, "dma-page", 3, &page_ops, NULL);
    if (err == 0)
        err = pc_device_add(&dma->device, io, pages + 6, "dma-page", 1, &last_page_ops, NULL);
    return err;
}

int i8237_create(gmem_vm *vm, gmem_region *io, bool second, struct i8237 **ret)
{
    struct i8237 *dma = calloc(1, sizeof(*dma));
    int err;

    if (dma == NULL)
        return -ENOMEM;
    err = pc_device_init(&dma->device, vm, NULL);
    if (err != 0) {
        free(dma);
        return err;
    }
    dma->shift = second ? 1 : 0;
    master_clear(&dma->controller);
    err = place(dma, io, second);
    if (err != 0) {
        i8237_destroy(dma);
        return err;
    }
    *ret = dma;
    return 0;
}

void i8237_destroy(struct i8237 *dma)
{
    if (dma != NULL)
        pc_device_end(&dma->device);
}
