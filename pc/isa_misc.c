/* SPDX-License-Identifier: MIT */
/*
 * Lone ports of the PC, from IBM's PC/AT and PS/2 technical references.
 *
 *   0x80, 0xf0  take any byte and forget it; read as all ones
 *   0x92        bit 0 fast reset, bit 1 A20 gate, the rest is kept
 *   0x61        bit 0 gate of timer channel 2, bit 1 speaker, bits 2 and 3 kept; reads add bit 4, which toggles with every
 *               memory refresh, and bit 5, the output of channel 2
 *
 * The device's lock covers everything.
 */
#include "isa_misc.h"

#include <errno.h>
#include <stdlib.h>

#include "device.h"

#define P92_RESET 0x01u
#define P92_A20 0x02u

#define P61_GATE 0x01u
#define P61_MASK 0x0fu
#define P61_REFRESH 0x10u
#define P61_OUTPUT 0x20u
#define REFRESH_NS 15085u /* 18 periods of the 1.193182 MHz timer clock */

struct isa_misc {
    struct pc_device device;
    struct pc_irq a20, reset;
    struct isa_misc_timer timer;
    struct pc_clock clock;
    uint8_t port92, port61;
};

static gmem_result void_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    *ret_value = 0xff;
    return GMEM_OK;
}

static gmem_result void_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    (void)value;
    return GMEM_OK;
}

static gmem_result port92_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct isa_misc *misc = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&misc->device.lock);
    *ret_value = misc->port92;
    pthread_mutex_unlock(&misc->device.lock);
    return GMEM_OK;
}

static gmem_result port92_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct isa_misc *misc = opaque;
    uint8_t before;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&misc->device.lock);
    before = misc->port92;
    misc->port92 = (uint8_t)value;
    pc_irq_set(misc->a20, (value & P92_A20) != 0);
    if ((value & ~(uint64_t)before & P92_RESET) != 0)
        pc_irq_set(misc->reset, 1);
    pthread_mutex_unlock(&misc->device.lock);
    return GMEM_OK;
}

static gmem_result port61_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct isa_misc *misc = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&misc->device.lock);
    *ret_value = misc->port61;
    if (pc_clock_now(misc->clock) / REFRESH_NS % 2 != 0)
        *ret_value |= P61_REFRESH;
    if (misc->timer.output != NULL && misc->timer.output(misc->timer.opaque) != 0)
        *ret_value |= P61_OUTPUT;
    pthread_mutex_unlock(&misc->device.lock);
    return GMEM_OK;
}

static gmem_result port61_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct isa_misc *misc = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&misc->device.lock);
    misc->port61 = value & P61_MASK;
    if (misc->timer.gate != NULL)
        misc->timer.gate(misc->timer.opaque, (value & P61_GATE) != 0);
    pthread_mutex_unlock(&misc->device.lock);
    return GMEM_OK;
}

#define BYTE_PORT(reader, writer)                                                                                      \
    {                                                                                                                  \
        .read = (reader), .write = (writer), .endian = GMEM_ENDIAN_LITTLE, .valid = {.min = 1, .max = 1},              \
        .impl = {.min = 1, .max = 1},                                                                                  \
    }

static const struct gmem_mmio_ops void_ops = BYTE_PORT(void_read, void_write);
static const struct gmem_mmio_ops port92_ops = BYTE_PORT(port92_read, port92_write);
static const struct gmem_mmio_ops port61_ops = BYTE_PORT(port61_read, port61_write);

int isa_misc_create(gmem_vm *vm, gmem_region *io, struct pc_irq a20, struct pc_irq reset,
                    const struct isa_misc_timer *timer, struct pc_clock clock, struct isa_misc **ret)
{
    struct isa_misc *misc = calloc(1, sizeof(*misc));
    int err;

    if (misc == NULL)
        return -ENOMEM;
    err = pc_device_init(&misc->device, vm, NULL);
    if (err != 0) {
        free(misc);
        return err;
    }
    misc->a20 = a20;
    misc->reset = reset;
    if (timer != NULL)
        misc->timer = *timer;
    misc->clock = clock;
    err = pc_device_add(&misc->device, io, 0x61, "pcspk", 1, &port61_ops, NULL);
    if (err == 0)
        err = pc_device_add(&misc->device, io, 0x80, "ioport80", 1, &void_ops, NULL);
    if (err == 0)
        err = pc_device_add(&misc->device, io, 0x92, "port92", 1, &port92_ops, NULL);
    if (err == 0)
        err = pc_device_add(&misc->device, io, 0xf0, "ioportF0", 1, &void_ops, NULL);
    if (err != 0) {
        isa_misc_destroy(misc);
        return err;
    }
    *ret = misc;
    return 0;
}

void isa_misc_destroy(struct isa_misc *misc)
{
    if (misc != NULL)
        pc_device_end(&misc->device);
}
