/* SPDX-License-Identifier: MIT */
/*
 * pc/ioapic.c - the I/O APIC.
 *
 * Intel 82093AA datasheet (290566): 3.1 the two registers in memory, 3.2 those behind them. The version is 0x11, so there is no
 * EOI register: level triggered interrupts end by the local APICs' EOI messages.
 *
 * An edge is sent at once, or lost where the pin is masked (3.2.4, "interrupt mask"). A level triggered interrupt is sent while
 * its pin is asserted, unmasked and the remote IRR is 0; that a local APIC took it sets the remote IRR, and EOI
 * clears it. So each access, wire and EOI sends at most one message a pin (G9). Only fixed and lowest priority can be level
 * triggered; the other modes go by edges whatever the entry says.
 *
 * Runs under the machine's device lock.
 */
#include "ioapic.h"

#include <errno.h>
#include <stdlib.h>

#include "place.h"

#define SIZE 0x1000u
#define IOREGSEL 0x00u
#define IOWIN 0x10u

#define REG_ID 0x00u
#define REG_VERSION 0x01u
#define REG_ARBITRATION 0x02u
#define REG_TABLE 0x10u

#define VERSION (0x11u | (IOAPIC_PINS - 1) << 16)
#define ID_MASK 0x0f000000u

#define ENTRY_VECTOR 0xffu
#define ENTRY_MODE_SHIFT 8u
#define ENTRY_LOGICAL 0x800u
#define ENTRY_PENDING 0x1000u
#define ENTRY_REMOTE_IRR 0x4000u
#define ENTRY_LEVEL 0x8000u
#define ENTRY_MASKED 0x10000u
#define ENTRY_WRITABLE 0x1afffu
#define ENTRY_HIGH_WRITABLE 0xff000000u

struct pin {
    uint32_t low, high; /* of the entry; low without ENTRY_PENDING */
    bool asserted;
};

struct ioapic {
    struct ioapic_config config;
    uint8_t select;
    uint32_t id, arbitration;
    struct pin pins[IOAPIC_PINS];
    gmem_region *region;
};

static bool is_level(const struct pin *pin)
{
    return pin->low & ENTRY_LEVEL && (pin->low >> ENTRY_MODE_SHIFT & 7u) <= APIC_LOWEST;
}

static bool send(struct ioapic *ioapic, const struct pin *pin)
{
    const struct apic_message message = {
        .mode = pin->low >> ENTRY_MODE_SHIFT & 7u,
        .vector = pin->low & ENTRY_VECTOR,
        .dest = (uint8_t)(pin->high >> 24),
        .logical = (pin->low & ENTRY_LOGICAL) != 0,
        .level = is_level(pin),
    };

    /* SIPI is not for the IOAPIC: reserved in the table. */
    return message.mode != APIC_SIPI && ioapic->config.send(ioapic->config.opaque, &message);
}

static bool waits(const struct pin *pin)
{
    return is_level(pin) && pin->asserted && !(pin->low & (ENTRY_MASKED | ENTRY_REMOTE_IRR));
}

static void send_level(struct ioapic *ioapic, struct pin *pin)
{
    if (waits(pin) && send(ioapic, pin))
        pin->low |= ENTRY_REMOTE_IRR;
}

void ioapic_set(struct ioapic *ioapic, unsigned n, int level)
{
    struct pin *pin;
    bool rises;

    if (n >= IOAPIC_PINS)
        return;
    pin = &ioapic->pins[n];
    rises = level && !pin->asserted;
    pin->asserted = level != 0;
    if (is_level(pin))
        send_level(ioapic, pin);
    else if (rises && !(pin->low & ENTRY_MASKED))
        (void)send(ioapic, pin); /* an edge that nobody takes is gone */
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        struct pin *pin = &ioapic->pins[n];

        if (!(pin->low & ENTRY_REMOTE_IRR) || (pin->low & ENTRY_VECTOR) != vector)
            continue;
        pin->low &= ~ENTRY_REMOTE_IRR;
        send_level(ioapic, pin);
    }
}

void ioapic_retry(struct ioapic *ioapic)
{
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        send_level(ioapic, &ioapic->pins[n]);
}

/* --- registers --------------------------------------------------------------------------------------------------- */

static void write_entry(struct ioapic *ioapic, struct pin *pin, bool high, uint32_t value)
{
    if (high) {
        pin->high = value & ENTRY_HIGH_WRITABLE;
    } else {
        pin->low = (pin->low & ENTRY_REMOTE_IRR) | (value & ENTRY_WRITABLE);
        /* The bit is defined for level triggered interrupts only. */
        if (!is_level(pin))
            pin->low &= ~ENTRY_REMOTE_IRR;
    }
    send_level(ioapic, pin);
}

static uint32_t read_entry(const struct pin *pin, bool high)
{
    if (high)
        return pin->high;
    return pin->low | (waits(pin) ? ENTRY_PENDING : 0);
}

static uint32_t read_window(const struct ioapic *ioapic)
{
    unsigned index = ioapic->select;

    switch (index) {
    case REG_ID:
        return ioapic->id;
    case REG_VERSION:
        return VERSION;
    case REG_ARBITRATION:
        return ioapic->arbitration;
    default:
        if (index < REG_TABLE || index >= REG_TABLE + 2 * IOAPIC_PINS)
            return 0;
        return read_entry(&ioapic->pins[(index - REG_TABLE) / 2], index % 2);
    }
}

static void write_window(struct ioapic *ioapic, uint32_t value)
{
    unsigned index = ioapic->select;

    if (index == REG_ID) {
        ioapic->id = value & ID_MASK;
        ioapic->arbitration = ioapic->id; /* 3.2.3: it is loaded with the ID */
    } else if (index >= REG_TABLE && index < REG_TABLE + 2 * IOAPIC_PINS) {
        write_entry(ioapic, &ioapic->pins[(index - REG_TABLE) / 2], index % 2, value);
    }
}

static gmem_result mem_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    const struct ioapic *ioapic = opaque;

    (void)size, (void)attrs;
    if (offset == IOREGSEL)
        *ret_value = ioapic->select;
    else if (offset == IOWIN)
        *ret_value = read_window(ioapic);
    return GMEM_OK;
}

static gmem_result mem_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct ioapic *ioapic = opaque;

    (void)size, (void)attrs;
    if (offset == IOREGSEL)
        ioapic->select = (uint8_t)value;
    else if (offset == IOWIN)
        write_window(ioapic, (uint32_t)value);
    return GMEM_OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

int ioapic_create(gmem_region *system, const struct ioapic_config *config, struct ioapic **ret)
{
    static const struct gmem_mmio_ops ops = {
        .read = mem_read, .write = mem_write, .valid = {.min = 1, .max = 4}, .impl = {.min = 4, .max = 4}};
    struct ioapic *ioapic = calloc(1, sizeof(*ioapic));
    int err;

    if (!ioapic)
        return -ENOMEM;
    ioapic->config = *config;
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        ioapic->pins[n].low = ENTRY_MASKED;
    err = pc_place_mmio(system, IOAPIC_BASE, 0, "ioapic", SIZE, &ops, ioapic, &ioapic->region);
    if (err) {
        free(ioapic);
        return err;
    }
    *ret = ioapic;
    return 0;
}

void ioapic_destroy(struct ioapic *ioapic)
{
    if (!ioapic)
        return;
    pc_unplace(ioapic->region);
    free(ioapic);
}
