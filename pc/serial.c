/* SPDX-License-Identifier: MIT */
/*
 * National Semiconductor PC16550D UART, from its data sheet. Registers by port offset:
 *
 *   0  RBR (read), THR (write); DLL when DLAB     4  MCR
 *   1  IER; DLM when DLAB                         5  LSR
 *   2  IIR (read), FCR (write)                    6  MSR
 *   3  LCR (bit 7 DLAB)                           7  SCR
 *
 * The transmitter is always empty again at once. The modem on the other side is always ready. Characters that wait below
 * the receiver's trigger level are reported by its time-out at once.
 *
 * The device's lock covers everything.
 */
#include "serial.h"

#include <errno.h>
#include <stdlib.h>

#define REGISTERS 8u
#define FIFO_SIZE 16u

#define IER_RECEIVED 0x01u
#define IER_THR_EMPTY 0x02u
#define IER_LINE 0x04u
#define IER_MODEM 0x08u
#define IER_MASK 0x0fu

#define IIR_NONE 0x01u
#define IIR_MODEM 0x00u
#define IIR_THR_EMPTY 0x02u
#define IIR_RECEIVED 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFOS 0xc0u

#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RECEIVER 0x02u
#define FCR_TRIGGER_SHIFT 6u

#define LCR_DLAB 0x80u

#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

#define LSR_DATA 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_THR_EMPTY 0x20u
#define LSR_IDLE 0x40u

#define MSR_CHANGED 0x0fu /* CTS, DSR and DCD changed; RI went down */
#define MSR_RI_ENDED 0x04u
#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u

struct serial {
    struct pc_device device;
    struct pc_irq irq;
    struct pc_sink output;
    uint8_t ier, fcr, lcr, mcr, msr, scr;
    uint8_t divisor[2];
    bool overrun;
    bool thr_empty; /* the transmitter emptied since IIR last said so */
    uint8_t fifo[FIFO_SIZE];
    unsigned first, count;
};

static unsigned fifo_size(const struct serial *serial)
{
    return (serial->fcr & FCR_ENABLE) != 0 ? FIFO_SIZE : 1;
}

static uint8_t interrupt(const struct serial *serial)
{
    static const unsigned triggers[] = {1, 4, 8, 14};
    bool fifos = (serial->fcr & FCR_ENABLE) != 0;
    unsigned trigger = fifos ? triggers[serial->fcr >> FCR_TRIGGER_SHIFT] : 1;

    if ((serial->ier & IER_LINE) != 0 && serial->overrun)
        return IIR_LINE;
    if ((serial->ier & IER_RECEIVED) != 0 && serial->count > 0)
        return serial->count >= trigger ? IIR_RECEIVED : IIR_TIMEOUT;
    if ((serial->ier & IER_THR_EMPTY) != 0 && serial->thr_empty)
        return IIR_THR_EMPTY;
    if ((serial->ier & IER_MODEM) != 0 && (serial->msr & MSR_CHANGED) != 0)
        return IIR_MODEM;
    return IIR_NONE;
}

static void update_irq(const struct serial *serial)
{
    pc_irq_set(serial->irq, interrupt(serial) != IIR_NONE && (serial->mcr & MCR_OUT2) != 0);
}

static void receive(struct serial *serial, uint8_t byte)
{
    if (serial->count == fifo_size(serial)) {
        serial->overrun = true;
        if (serial->count == 1 && (serial->fcr & FCR_ENABLE) == 0)
            serial->fifo[serial->first] = byte; /* without FIFOs the newer character stays */
        return;
    }
    serial->fifo[(serial->first + serial->count++) % FIFO_SIZE] = byte;
}

static uint8_t take(struct serial *serial)
{
    uint8_t byte = serial->fifo[serial->first];

    if (serial->count == 0)
        return byte;
    serial->first = (serial->first + 1) % FIFO_SIZE;
    serial->count--;
    return byte;
}

/* The modem's lines: of a modem that is ready, or in loopback of the control register. */
static void update_modem(struct serial *serial)
{
    uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD;
    uint8_t changed;

    if ((serial->mcr & MCR_LOOP) != 0) {
        lines = (uint8_t)(((serial->mcr & MCR_RTS) != 0 ? MSR_CTS : 0) | ((serial->mcr & MCR_DTR) != 0 ? MSR_DSR : 0) |
                          ((serial->mcr & MCR_OUT1) != 0 ? MSR_RI : 0) | ((serial->mcr & MCR_OUT2) != 0 ? MSR_DCD : 0));
    }
    changed = (uint8_t)((serial->msr ^ lines) >> 4);
    if ((lines & MSR_RI) != 0) /* only the end of ringing counts */
        changed = (uint8_t)(changed & ~MSR_RI_ENDED);
    serial->msr = (uint8_t)(lines | (serial->msr & MSR_CHANGED) | changed);
}

static void transmit(struct serial *serial, uint8_t byte)
{
    serial->thr_empty = true;
    if ((serial->mcr & MCR_LOOP) != 0)
        receive(serial, byte);
    else if (serial->output.put != NULL)
        serial->output.put(serial->output.opaque, byte);
}

static void write_fcr(struct serial *serial, uint8_t value)
{
    if ((value & FCR_CLEAR_RECEIVER) != 0 || ((value ^ serial->fcr) & FCR_ENABLE) != 0)
        serial->count = 0;
    serial->fcr = (value & FCR_ENABLE) != 0 ? value : 0;
}

static uint8_t read_register(struct serial *serial, unsigned offset)
{
    uint8_t value;

    switch (offset) {
    case 0:
        return (serial->lcr & LCR_DLAB) != 0 ? serial->divisor[0] : take(serial);
    case 1:
        return (serial->lcr & LCR_DLAB) != 0 ? serial->divisor[1] : serial->ier;
    case 2:
        value = interrupt(serial);
        if (value == IIR_THR_EMPTY)
            serial->thr_empty = false;
        return (uint8_t)(value | ((serial->fcr & FCR_ENABLE) != 0 ? IIR_FIFOS : 0));
    case 3:
        return serial->lcr;
    case 4:
        return serial->mcr;
    case 5:
        value = (uint8_t)(LSR_THR_EMPTY | LSR_IDLE | (serial->count > 0 ? LSR_DATA : 0) |
                          (serial->overrun ? LSR_OVERRUN : 0));
        serial->overrun = false;
        return value;
    case 6:
        value = serial->msr;
        serial->msr = (uint8_t)(serial->msr & ~MSR_CHANGED);
        return value;
    default:
        return serial->scr;
    }
}

static void write_register(struct serial *serial, unsigned offset, uint8_t value)
{
    switch (offset) {
    case 0:
        if ((serial->lcr & LCR_DLAB) != 0)
            serial->divisor[0] = value;
        else
            transmit(serial, value);
        break;
    case 1:
        if ((serial->lcr & LCR_DLAB) != 0) {
            serial->divisor[1] = value;
        } else {
            /* Enabling it while the transmitter is empty, as it always is, raises it. */
            if ((value & ~serial->ier & IER_THR_EMPTY) != 0)
                serial->thr_empty = true;
            serial->ier = value & IER_MASK;
        }
        break;
    case 2:
        write_fcr(serial, value);
        break;
    case 3:
        serial->lcr = value;
        break;
    case 4:
        serial->mcr = value & MCR_MASK;
        update_modem(serial);
        break;
    case 7:
        serial->scr = value;
        break;
    default: /* LSR and MSR are not for writing */
        break;
    }
}

static gmem_result port_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    struct serial *serial = opaque;

    (void)size;
    (void)attrs;
    pthread_mutex_lock(&serial->device.lock);
    *ret_value = read_register(serial, (unsigned)offset);
    update_irq(serial);
    pthread_mutex_unlock(&serial->device.lock);
    return GMEM_OK;
}

static gmem_result port_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct serial *serial = opaque;

    (void)size;
    (void)attrs;
    pthread_mutex_lock(&serial->device.lock);
    write_register(serial, (unsigned)offset, (uint8_t)value);
    update_irq(serial);
    pthread_mutex_unlock(&serial->device.lock);
    return GMEM_OK;
}

static const struct gmem_mmio_ops port_ops = {
    .read = port_read,
    .write = port_write,
    .endian = GMEM_ENDIAN_LITTLE,
    .valid = {.min = 1, .max = 1},
    .impl = {.min = 1, .max = 1},
};

int serial_create(gmem_vm *vm, gmem_region *io, uint16_t base, struct pc_irq irq, struct pc_sink output,
                  struct serial **ret)
{
    struct serial *serial = calloc(1, sizeof(*serial));
    int err;

    if (serial == NULL)
        return -ENOMEM;
    err = pc_device_init(&serial->device, vm, NULL);
    if (err != 0) {
        free(serial);
        return err;
    }
    serial->irq = irq;
    serial->output = output;
    serial->msr = MSR_CTS | MSR_DSR | MSR_DCD;
    err = pc_device_add(&serial->device, io, base, "serial", REGISTERS, &port_ops, NULL);
    if (err != 0) {
        serial_destroy(serial);
        return err;
    }
    *ret = serial;
    return 0;
}

void serial_destroy(struct serial *serial)
{
    if (serial != NULL)
        pc_device_end(&serial->device);
}

size_t serial_receive(struct serial *serial, const uint8_t *data, size_t len)
{
    size_t taken = 0;

    pthread_mutex_lock(&serial->device.lock);
    /* In loopback the receiver's pin is cut off: what arrives is lost, as on the wire. */
    if ((serial->mcr & MCR_LOOP) != 0)
        taken = len;
    while (taken < len && serial->count < fifo_size(serial))
        receive(serial, data[taken++]);
    update_irq(serial);
    pthread_mutex_unlock(&serial->device.lock);
    return taken;
}
