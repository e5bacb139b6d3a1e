/* SPDX-License-Identifier: MIT */
/*
 * pc/i8254.c - the 8254's ports, and when its channel 0 interrupts. Intel datasheet 231164, "Control word format", "Read
 * operations"; the counters themselves are in i8254_counter.c.
 *
 * Counters are run when they are looked at. The timer waits for the next edge of channel 0's output, and for nothing else:
 * the other channels' are only read. So a guest can make the host work once a pulse (838 ns of virtual time) at most, with
 * the shortest period there is (G9).
 *
 * Runs under the machine's device lock.
 */
#include "i8254.h"

#include <errno.h>
#include <stdlib.h>

#include "device.h"
#include "i8254_counter.h"

#define PORT 0x40u
#define CHANNELS 3u
#define CONTROL 3u /* the port of control words */

#define CONTROL_CHANNEL_SHIFT 6
#define CONTROL_ACCESS 0x30u /* 0: the counter latch command */
#define READ_BACK_NO_COUNT 0x20u
#define READ_BACK_NO_STATUS 0x10u
#define READ_BACK_CHANNEL0 0x02u

struct i8254 {
    struct pc_device device;
    struct vtime *time;
    struct vtime_timer timer;
    struct pc_irq irq0;
    bool level; /* of irq0 */
    bool ended;
    struct i8254_counter counters[CHANNELS];
};

static uint64_t ticks_at(uint64_t ns)
{
    return ns / PC_NS_PER_S * I8254_HZ + ns % PC_NS_PER_S * I8254_HZ / PC_NS_PER_S;
}

/* When there were so many. */
static uint64_t ns_of(uint64_t ticks)
{
    return ticks / I8254_HZ * PC_NS_PER_S + (ticks % I8254_HZ * PC_NS_PER_S + I8254_HZ - 1) / I8254_HZ;
}

static struct i8254_counter *up_to_now(struct i8254 *pit, unsigned channel)
{
    struct i8254_counter *counter = &pit->counters[channel];

    i8254_counter_run(counter, ticks_at(vtime_now(pit->time)));
    return counter;
}

/* Channel 0 may have changed. */
static void follow(struct i8254 *pit)
{
    const struct i8254_counter *counter = &pit->counters[0];
    uint64_t edge;

    if (pit->ended)
        return;
    edge = i8254_counter_next_edge(counter);
    vtime_set(pit->time, &pit->timer, edge == I8254_NEVER ? VTIME_NEVER : ns_of(edge));
    if (counter->out == pit->level)
        return;
    pit->level = counter->out;
    pc_irq_set(pit->irq0, pit->level);
}

static void edge_due(void *opaque, uint64_t now)
{
    struct i8254 *pit = opaque;

    (void)now;
    (void)up_to_now(pit, 0);
    follow(pit);
}

static void read_back(struct i8254 *pit, uint8_t word)
{
    for (unsigned n = 0; n < CHANNELS; n++) {
        struct i8254_counter *counter = up_to_now(pit, n);

        if (!(word & READ_BACK_CHANNEL0 << n))
            continue;
        if (!(word & READ_BACK_NO_COUNT))
            i8254_counter_latch_count(counter);
        if (!(word & READ_BACK_NO_STATUS))
            i8254_counter_latch_status(counter);
    }
}

static void write_control(struct i8254 *pit, uint8_t word)
{
    unsigned channel = word >> CONTROL_CHANNEL_SHIFT;

    if (channel == CHANNELS)
        read_back(pit, word);
    else if (word & CONTROL_ACCESS)
        i8254_counter_control(up_to_now(pit, channel), word);
    else
        i8254_counter_latch_count(up_to_now(pit, channel));
}

static gmem_result pit_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    struct i8254 *pit = opaque;

    (void)size, (void)attrs;
    *ret_value = offset == CONTROL ? 0xff : i8254_counter_read(up_to_now(pit, (unsigned)offset));
    return GMEM_OK;
}

static gmem_result pit_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct i8254 *pit = opaque;

    (void)size, (void)attrs;
    if (offset == CONTROL)
        write_control(pit, (uint8_t)value);
    else
        i8254_counter_write(up_to_now(pit, (unsigned)offset), (uint8_t)value);
    follow(pit);
    return GMEM_OK;
}

int i8254_create(gmem_vm *vm, gmem_region *io, struct vtime *time, struct pc_irq irq0, struct i8254 **ret)
{
    static const struct gmem_mmio_ops ops = {.read = pit_read,
                                             .write = pit_write,
                                             .endian = GMEM_ENDIAN_LITTLE,
                                             .valid = {.min = 1, .max = 1},
                                             .impl = {.min = 1, .max = 1}};
    struct i8254 *pit = calloc(1, sizeof(*pit));
    int err;

    if (!pit)
        return -ENOMEM;
    err = pc_device_init(&pit->device, vm, NULL);
    if (err) {
        free(pit);
        return err;
    }
    pit->time = time;
    pit->timer = (struct vtime_timer){.expire = edge_due, .opaque = pit};
    pit->irq0 = irq0;
    for (unsigned n = 0; n < CHANNELS; n++) {
        i8254_counter_init(&pit->counters[n], n != 2);
        (void)up_to_now(pit, n);
    }
    err = pc_device_add(&pit->device, io, PORT, "pit", CHANNELS + 1, &ops, NULL);
    if (err) {
        i8254_destroy(pit);
        return err;
    }
    *ret = pit;
    return 0;
}

void i8254_destroy(struct i8254 *pit)
{
    if (!pit)
        return;
    pit->ended = true; /* whoever still holds a view may write */
    vtime_set(pit->time, &pit->timer, VTIME_NEVER);
    pc_device_end(&pit->device);
}

void i8254_set_gate2(struct i8254 *pit, int level)
{
    i8254_counter_set_gate(up_to_now(pit, 2), level != 0);
}

int i8254_output2(struct i8254 *pit)
{
    return up_to_now(pit, 2)->out;
}
