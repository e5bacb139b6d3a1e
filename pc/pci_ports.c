/* SPDX-License-Identifier: MIT */
/*
 * pc/pci_ports.c - configuration mechanism #1: the ports 0xcf8 (CONFADD) and 0xcfc (CONFDATA) of the host bridge.
 *
 * Intel 82441FX datasheet (290549), 3.1 "I/O mapped registers"; PCI Local Bus Specification 2.1, 3.7.4.1.
 *
 * The host bridge takes only a doubleword at 0xcf8; narrower accesses go on to the PCI bus, where the PIIX3 has its
 * reset control register at 0xcf9. The map shows that register over CONFADD's second byte, so a space cuts a doubleword
 * into pieces of 1 (0xcf8), 1 (0xcf9) and 2 bytes (0xcfa), low offset first. They are put together again here: a piece at
 * 0xcf8 opens a doubleword, and only the pieces that follow it in the same access of the processor belong to it.
 *
 * Runs under the machine's device lock.
 */
#include "pci_internal.h"

#include "place.h"

#define CONFADD 0xcf8u
#define CONFDATA 0xcfcu
#define CONFADD_ENABLE 0x80000000u
#define CONFADD_BITS 0x80fffffcu

void pci_confadd_begin(struct pci_bus *bus)
{
    bus->pieces = 0;
}

bool pci_confadd_read_byte1(struct pci_bus *bus, uint8_t *ret_value)
{
    if (bus->pieces != 1)
        return false;
    bus->pieces = 2;
    *ret_value = (uint8_t)(bus->confadd >> 8);
    return true;
}

bool pci_confadd_write_byte1(struct pci_bus *bus, uint8_t value)
{
    if (bus->pieces != 1)
        return false;
    bus->pieces = 2;
    bus->partial |= (uint32_t)value << 8;
    return true;
}

static gmem_result confadd_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                uint64_t *ret_value)
{
    struct pci_bus *bus = opaque;

    (void)attrs;
    *ret_value = UINT64_MAX;
    if (size == 4) {
        *ret_value = bus->confadd;
    } else if (offset == 0 && size == 1) {
        bus->pieces = 1;
        *ret_value = bus->confadd & 0xff;
    } else if (offset == 2 && size == 2 && bus->pieces == 2) {
        bus->pieces = 0;
        *ret_value = bus->confadd >> 16;
    }
    return GMEM_OK;
}

static gmem_result confadd_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct pci_bus *bus = opaque;

    (void)attrs;
    if (size == 4) {
        bus->confadd = (uint32_t)value & CONFADD_BITS;
    } else if (offset == 0 && size == 1) {
        bus->pieces = 1;
        bus->partial = (uint32_t)value & 0xff;
    } else if (offset == 2 && size == 2 && bus->pieces == 2) {
        bus->pieces = 0;
        bus->confadd = (bus->partial | (uint32_t)value << 16) & CONFADD_BITS;
    }
    return GMEM_OK;
}

/* There is one bus. */
static bool addressed(const struct pci_bus *bus)
{
    return (bus->confadd & CONFADD_ENABLE) && !(bus->confadd >> 16 & 0xff);
}

static gmem_result confdata_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                 uint64_t *ret_value)
{
    struct pci_bus *bus = opaque;

    (void)attrs;
    if (addressed(bus))
        *ret_value = pci_config_read(bus, (uint8_t)(bus->confadd >> 8), (bus->confadd & 0xfc) + (unsigned)offset, size);
    else
        *ret_value = UINT64_MAX;
    return GMEM_OK;
}

static gmem_result confdata_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct pci_bus *bus = opaque;

    (void)attrs;
    if (addressed(bus))
        pci_config_write(bus, (uint8_t)(bus->confadd >> 8), (bus->confadd & 0xfc) + (unsigned)offset, size,
                         (uint32_t)value);
    return GMEM_OK;
}

int pci_ports_place(struct pci_bus *bus)
{
    static const struct gmem_mmio_ops confadd_ops = {
        .read = confadd_read,
        .write = confadd_write,
        .endian = GMEM_ENDIAN_LITTLE,
        .valid = {.min = 1, .max = 4, .unaligned = true},
        .impl = {.min = 1, .max = 4, .unaligned = true},
    };
    static const struct gmem_mmio_ops confdata_ops = {
        .read = confdata_read,
        .write = confdata_write,
        .endian = GMEM_ENDIAN_LITTLE,
        .valid = {.min = 1, .max = 4, .unaligned = true},
        .impl = {.min = 1, .max = 4, .unaligned = true},
    };
    int err = pc_place_mmio(bus->io, CONFADD, 0, "pci-conf-idx", 4, &confadd_ops, bus, NULL);

    return err ? err : pc_place_mmio(bus->io, CONFDATA, 0, "pci-conf-data", 4, &confdata_ops, bus, NULL);
}
