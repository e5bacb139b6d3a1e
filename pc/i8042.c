/* SPDX-License-Identifier: MIT */
/*
 * Intel 8042 as the PC's keyboard controller, from IBM's PS/2 hardware interface technical reference (keyboard and auxiliary
 * device controller; 101/102-key keyboard; mouse). The status register answers as QEMU's recorded one does: bit 3
 * always set, and bit 2 set by the self test and not by the command byte.
 *
 * Each device has a queue of bytes for the guest. The output buffer holds one byte; when the guest has read it, the next is
 * taken from the controller's own reply, then from the keyboard, then from the mouse, of those that the command
 * byte does not hold back. A queue that is full drops what comes (G9).
 *
 * The device's lock covers everything.
 */
#include "i8042.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

#define PORT_DATA 0x60u
#define PORT_COMMAND 0x64u

#define STATUS_FULL 0x01u
#define STATUS_SYSTEM 0x04u
#define STATUS_ALWAYS 0x18u /* last write was a command; keyboard not locked */
#define STATUS_AUX 0x20u

#define MODE_IRQ1 0x01u
#define MODE_IRQ12 0x02u
#define MODE_KBD_OFF 0x10u
#define MODE_AUX_OFF 0x20u
#define MODE_TRANSLATE 0x40u

#define OUTPUT_NO_RESET 0x01u
#define OUTPUT_A20 0x02u
#define OUTPUT_FREE 0xccu /* clock and data lines of both interfaces */

#define INPUT_UNLOCKED 0x80u

#define ACK 0xfau
#define RESEND 0xfeu
#define TEST_PASSED 0xaau

#define QUEUE_SIZE 16u

struct queue {
    uint8_t bytes[QUEUE_SIZE];
    unsigned first, count;
};

/* A keyboard or mouse: what it will say, and the command whose argument it waits for (0: none). */
struct ps2 {
    struct queue queue;
    uint8_t command;
    uint8_t last;     /* sent, for resend */
    uint8_t scan_set; /* keyboard; whether it scans is not kept, as nobody types */
    /* mouse */
    bool enabled;
    bool wrap; /* it echoes what it is told */
    bool remote;
    uint8_t scaling, resolution, rate;
};

enum source { FROM_NONE, FROM_CONTROLLER, FROM_KBD, FROM_AUX };

struct i8042 {
    struct pc_device device;
    struct pc_irq irq1, irq12, a20, reset;
    uint8_t status; /* STATUS_SYSTEM only; the rest is made when read */
    uint8_t mode;   /* the command byte */
    uint8_t output; /* the output port */
    uint8_t memory[32];
    uint8_t command; /* whose data byte is awaited, 0: data is for the keyboard */

    enum source full; /* whose byte is in the output buffer */
    uint8_t data;
    bool has_reply; /* of the controller, waiting for the output buffer */
    bool reply_is_aux;
    uint8_t reply;
    struct ps2 kbd, aux;
};

static void queue_put(struct queue *queue, uint8_t byte)
{
    if (queue->count < QUEUE_SIZE)
        queue->bytes[(queue->first + queue->count++) % QUEUE_SIZE] = byte;
}

static uint8_t queue_take(struct queue *queue)
{
    uint8_t byte = queue->bytes[queue->first];

    queue->first = (queue->first + 1) % QUEUE_SIZE;
    queue->count--;
    return byte;
}

/* --- output buffer ----------------------------------------------------------------------------------------------- */

/* Scan set 2 to 1, for the bytes that this keyboard sends: its identity and the number of its scan set. */
static uint8_t translate(uint8_t byte)
{
    switch (byte) {
    case 0x01:
        return 0x43;
    case 0x02:
        return 0x41;
    case 0x03:
        return 0x3f;
    case 0x83:
        return 0x41;
    default:
        return byte;
    }
}

static void update_irqs(const struct i8042 *kbc)
{
    bool kbd = kbc->full == FROM_KBD || kbc->full == FROM_CONTROLLER;

    pc_irq_set(kbc->irq1, kbd && (kbc->mode & MODE_IRQ1) != 0);
    pc_irq_set(kbc->irq12, kbc->full == FROM_AUX && (kbc->mode & MODE_IRQ12) != 0);
}

/* Fill the output buffer if it is empty and there is something to say. */
static void refill(struct i8042 *kbc)
{
    if (kbc->full == FROM_NONE && kbc->has_reply) {
        kbc->full = kbc->reply_is_aux ? FROM_AUX : FROM_CONTROLLER;
        kbc->data = kbc->reply;
        kbc->has_reply = false;
    } else if (kbc->full == FROM_NONE && kbc->kbd.queue.count > 0 && (kbc->mode & MODE_KBD_OFF) == 0) {
        kbc->full = FROM_KBD;
        kbc->kbd.last = queue_take(&kbc->kbd.queue);
        kbc->data = (kbc->mode & MODE_TRANSLATE) != 0 ? translate(kbc->kbd.last) : kbc->kbd.last;
    } else if (kbc->full == FROM_NONE && kbc->aux.queue.count > 0 && (kbc->mode & MODE_AUX_OFF) == 0) {
        kbc->full = FROM_AUX;
        kbc->aux.last = queue_take(&kbc->aux.queue);
        kbc->data = kbc->aux.last;
    }
    update_irqs(kbc);
}

static void reply(struct i8042 *kbc, uint8_t byte)
{
    kbc->has_reply = true;
    kbc->reply_is_aux = false;
    kbc->reply = byte;
}

/* --- keyboard ---------------------------------------------------------------------------------------------------- */

static void kbd_defaults(struct ps2 *kbd)
{
    kbd->scan_set = 2;
    kbd->command = 0;
}

static void kbd_argument(struct ps2 *kbd, uint8_t command, uint8_t byte)
{
    if (command == 0xf0 && byte > 3) {
        queue_put(&kbd->queue, RESEND);
        return;
    }
    queue_put(&kbd->queue, ACK);
    if (command == 0xf0 && byte == 0)
        queue_put(&kbd->queue, kbd->scan_set);
    else if (command == 0xf0)
        kbd->scan_set = byte;
    /* Of the rest, LEDs and typing rate, nobody sees anything. */
}

static void kbd_command(struct ps2 *kbd, uint8_t byte)
{
    switch (byte) {
    case 0xed: /* LEDs */
    case 0xf0: /* scan set */
    case 0xf3: /* typing rate */
        kbd->command = byte;
        queue_put(&kbd->queue, ACK);
        break;
    case 0xee: /* echo */
        queue_put(&kbd->queue, 0xee);
        break;
    case 0xf2: /* identify */
        queue_put(&kbd->queue, ACK);
        queue_put(&kbd->queue, 0xab);
        queue_put(&kbd->queue, 0x83);
        break;
    case 0xf5: /* defaults, don't scan */
    case 0xf6: /* defaults */
        kbd_defaults(kbd);
        queue_put(&kbd->queue, ACK);
        break;
    case 0xf4: /* scan */
    case 0xf7: /* scan set 3: key types */
    case 0xf8:
    case 0xf9:
    case 0xfa:
        queue_put(&kbd->queue, ACK);
        break;
    case RESEND:
        queue_put(&kbd->queue, kbd->last);
        break;
    case 0xff: /* reset */
        memset(&kbd->queue, 0, sizeof(kbd->queue));
        kbd_defaults(kbd);
        queue_put(&kbd->queue, ACK);
        queue_put(&kbd->queue, TEST_PASSED);
        break;
    default:
        queue_put(&kbd->queue, RESEND);
        break;
    }
}

static void kbd_write(struct i8042 *kbc, uint8_t byte)
{
    uint8_t command = kbc->kbd.command;

    kbc->mode = (uint8_t)(kbc->mode & ~MODE_KBD_OFF); /* sending to it takes it out of inhibition */
    kbc->kbd.command = 0;
    /* Commands have the highest bit set, arguments do not: so a command where an argument is due starts afresh. */
    if (command != 0 && byte < 0x80)
        kbd_argument(&kbc->kbd, command, byte);
    else
        kbd_command(&kbc->kbd, byte);
}

/* --- mouse ------------------------------------------------------------------------------------------------------- */

static void aux_defaults(struct ps2 *aux)
{
    aux->enabled = false;
    aux->wrap = false;
    aux->remote = false;
    aux->scaling = 1;
    aux->resolution = 2; /* 4 counts a millimetre */
    aux->rate = 100;
    aux->command = 0;
}

static void aux_argument(struct ps2 *aux, uint8_t command, uint8_t byte)
{
    if (command == 0xe8)
        aux->resolution = byte & 0x03;
    else
        aux->rate = byte;
    queue_put(&aux->queue, ACK);
}

static bool aux_knows(uint8_t command)
{
    return (command >= 0xe6 && command <= 0xec) || command == 0xee || command == 0xf0 ||
           (command >= 0xf2 && command <= 0xf6);
}

static void aux_command(struct ps2 *aux, uint8_t byte)
{
    static const uint8_t still[] = {0x08, 0, 0}; /* no buttons, no movement */

    queue_put(&aux->queue, aux_knows(byte) ? ACK : RESEND);
    switch (byte) {
    case 0xe6: /* scaling 1:1, 2:1 */
    case 0xe7:
        aux->scaling = (uint8_t)(byte - 0xe5);
        break;
    case 0xe8: /* resolution */
    case 0xf3: /* sample rate */
        aux->command = byte;
        break;
    case 0xe9: /* status */
        queue_put(&aux->queue,
                  (uint8_t)((aux->remote ? 0x40 : 0) | (aux->enabled ? 0x20 : 0) | (aux->scaling == 2 ? 0x10 : 0)));
        queue_put(&aux->queue, aux->resolution);
        queue_put(&aux->queue, aux->rate);
        break;
    case 0xea: /* stream mode */
    case 0xf0: /* remote mode */
        aux->remote = byte == 0xf0;
        break;
    case 0xeb: /* read data */
        for (size_t i = 0; i < sizeof(still); i++)
            queue_put(&aux->queue, still[i]);
        break;
    case 0xec: /* leave wrap mode */
    case 0xee: /* enter it */
        aux->wrap = byte == 0xee;
        break;
    case 0xf2: /* identify: two buttons, no wheel */
        queue_put(&aux->queue, 0x00);
        break;
    case 0xf4: /* report movement, or do not */
    case 0xf5:
        aux->enabled = byte == 0xf4;
        break;
    case 0xf6:
        aux_defaults(aux);
        break;
    default:
        break;
    }
}

static void aux_write(struct i8042 *kbc, uint8_t byte)
{
    struct ps2 *aux = &kbc->aux;
    uint8_t command = aux->command;

    kbc->mode = (uint8_t)(kbc->mode & ~MODE_AUX_OFF);
    aux->command = 0;
    if (byte == 0xff) {
        memset(&aux->queue, 0, sizeof(aux->queue));
        aux_defaults(aux);
        queue_put(&aux->queue, ACK);
        queue_put(&aux->queue, TEST_PASSED);
        queue_put(&aux->queue, 0x00);
    } else if (aux->wrap && byte != 0xec) {
        queue_put(&aux->queue, byte);
    } else if (command != 0) {
        aux_argument(aux, command, byte);
    } else if (byte == RESEND) {
        queue_put(&aux->queue, aux->last);
    } else {
        aux_command(aux, byte);
    }
}

/* --- controller -------------------------------------------------------------------------------------------------- */

static void write_output_port(struct i8042 *kbc, uint8_t value)
{
    kbc->output = value;
    pc_irq_set(kbc->a20, (value & OUTPUT_A20) != 0);
    if ((value & OUTPUT_NO_RESET) == 0)
        pc_irq_set(kbc->reset, 1);
}

static uint8_t read_output_port(const struct i8042 *kbc)
{
    bool kbd = kbc->full == FROM_KBD || kbc->full == FROM_CONTROLLER;

    return (uint8_t)((kbc->output & ~0x30u) | (kbd ? 0x10 : 0) | (kbc->full == FROM_AUX ? 0x20 : 0));
}

static void controller_command(struct i8042 *kbc, uint8_t command)
{
    kbc->command = 0;
    switch (command) {
    case 0xa7:
        kbc->mode |= MODE_AUX_OFF;
        break;
    case 0xa8:
        kbc->mode = (uint8_t)(kbc->mode & ~MODE_AUX_OFF);
        break;
    case 0xa9: /* test of either interface: no fault */
    case 0xab:
        reply(kbc, 0x00);
        break;
    case 0xaa:
        kbc->status |= STATUS_SYSTEM;
        reply(kbc, 0x55);
        break;
    case 0xad:
        kbc->mode |= MODE_KBD_OFF;
        break;
    case 0xae:
        kbc->mode = (uint8_t)(kbc->mode & ~MODE_KBD_OFF);
        break;
    case 0xc0:
        reply(kbc, INPUT_UNLOCKED);
        break;
    case 0xd0:
        reply(kbc, read_output_port(kbc));
        break;
    case 0xd1: /* these five take a byte of data */
    case 0xd2:
    case 0xd3:
    case 0xd4:
        kbc->command = command;
        break;
    case 0xdd: /* A20 off and on: a later addition that firmware counts on */
        write_output_port(kbc, (uint8_t)(kbc->output & ~OUTPUT_A20));
        break;
    case 0xdf:
        write_output_port(kbc, kbc->output | OUTPUT_A20);
        break;
    default:
        if (command >= 0x20 && command <= 0x3f)
            reply(kbc, command == 0x20 ? kbc->mode : kbc->memory[command & 0x1f]);
        else if (command >= 0x60 && command <= 0x7f)
            kbc->command = command;
        else if (command >= 0xf0 && (command & 0x01) == 0) /* pulse the lines whose bits are 0; bit 0 is reset */
            pc_irq_set(kbc->reset, 1);
        break;
    }
}

static void controller_data(struct i8042 *kbc, uint8_t command, uint8_t byte)
{
    switch (command) {
    case 0xd1:
        write_output_port(kbc, byte);
        break;
    case 0xd2: /* as if the keyboard or the mouse had sent it */
    case 0xd3:
        reply(kbc, byte);
        kbc->reply_is_aux = command == 0xd3;
        break;
    case 0xd4:
        aux_write(kbc, byte);
        break;
    case 0x60:
        kbc->mode = byte;
        break;
    default:
        kbc->memory[command & 0x1f] = byte;
        break;
    }
}

/* --- ports ------------------------------------------------------------------------------------------------------- */

static gmem_result data_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    struct i8042 *kbc = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&kbc->device.lock);
    *ret_value = kbc->data;
    kbc->full = FROM_NONE;
    update_irqs(kbc); /* down between two bytes, so that the second makes an edge */
    refill(kbc);
    pthread_mutex_unlock(&kbc->device.lock);
    return GMEM_OK;
}

static gmem_result data_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct i8042 *kbc = opaque;
    uint8_t command;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&kbc->device.lock);
    command = kbc->command;
    kbc->command = 0;
    if (command != 0)
        controller_data(kbc, command, (uint8_t)value);
    else
        kbd_write(kbc, (uint8_t)value);
    refill(kbc);
    pthread_mutex_unlock(&kbc->device.lock);
    return GMEM_OK;
}

static gmem_result command_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                uint64_t *ret_value)
{
    struct i8042 *kbc = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&kbc->device.lock);
    *ret_value = STATUS_ALWAYS | kbc->status;
    if (kbc->full != FROM_NONE)
        *ret_value |= STATUS_FULL;
    if (kbc->full == FROM_AUX)
        *ret_value |= STATUS_AUX;
    pthread_mutex_unlock(&kbc->device.lock);
    return GMEM_OK;
}

static gmem_result command_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct i8042 *kbc = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&kbc->device.lock);
    controller_command(kbc, (uint8_t)value);
    refill(kbc);
    pthread_mutex_unlock(&kbc->device.lock);
    return GMEM_OK;
}

static const struct gmem_mmio_ops data_ops = {
    .read = data_read,
    .write = data_write,
    .endian = GMEM_ENDIAN_LITTLE,
    .valid = {.min = 1, .max = 1},
    .impl = {.min = 1, .max = 1},
};

static const struct gmem_mmio_ops command_ops = {
    .read = command_read,
    .write = command_write,
    .endian = GMEM_ENDIAN_LITTLE,
    .valid = {.min = 1, .max = 1},
    .impl = {.min = 1, .max = 1},
};

/* --- life -------------------------------------------------------------------------------------------------------- */

int i8042_create(gmem_vm *vm, gmem_region *io, struct pc_irq irq1, struct pc_irq irq12, struct pc_irq a20,
                 struct pc_irq reset, struct i8042 **ret)
{
    struct i8042 *kbc = calloc(1, sizeof(*kbc));
    int err;

    if (kbc == NULL)
        return -ENOMEM;
    err = pc_device_init(&kbc->device, vm, NULL);
    if (err != 0) {
        free(kbc);
        return err;
    }
    kbc->irq1 = irq1;
    kbc->irq12 = irq12;
    kbc->a20 = a20;
    kbc->reset = reset;
    kbc->mode = MODE_IRQ1 | MODE_IRQ12;
    kbc->output = OUTPUT_FREE | OUTPUT_A20 | OUTPUT_NO_RESET;
    kbd_defaults(&kbc->kbd);
    aux_defaults(&kbc->aux);
    err = pc_device_add(&kbc->device, io, PORT_DATA, "i8042-data", 1, &data_ops, NULL);
    if (err == 0)
        err = pc_device_add(&kbc->device, io, PORT_COMMAND, "i8042-cmd", 1, &command_ops, NULL);
    if (err != 0) {
        i8042_destroy(kbc);
        return err;
    }
    *ret = kbc;
    return 0;
}

void i8042_destroy(struct i8042 *kbc)
{
    if (kbc != NULL)
        pc_device_end(&kbc->device);
}
