/* SPDX-License-Identifier: MIT */
/*
 * pc/piix3.c - the ISA bridge: routing of the PCI interrupt lines and the reset control register.
 *
 * Intel 82371FB (PIIX) and 82371SB (PIIX3) datasheet (290550), function 0: 2.2.10 PIRQRC[A:D], 2.2.8 XBCS, 2.2.11 TOM,
 * 2.5.5.2 RC, reset control register (0xcf9). Edge/level control (0x4d0, 0x4d1) belongs to the interrupt controllers,
 * which are the kernel's or i8259.c's.
 *
 * levels[] counts the pins that drive each PIRQ line; an interrupt of the ISA side is up while any line routed to it is.
 *
 * Runs under the machine's device lock.
 */
#include "piix3.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"

#define IORT 0x4cu
#define XBCS 0x4eu
#define PIRQRC 0x60u
#define TOM 0x69u
#define MSTAT 0x6au
#define MBIRQ0 0x70u
#define MBDMA0 0x76u
#define PCSC 0x78u
#define APICBASE 0x80u
#define DLC 0x82u
#define SMICNTL 0xa0u

#define PIRQRC_DISABLE 0x80u
#define PIRQRC_IRQ 0x0fu

#define RC_PORT 0xcf9u
#define RC_SRST 0x02u /* a hard rather than a soft reset */
#define RC_RCPU 0x04u /* its rising edge resets */

#define LINES 4u

struct piix3 {
    struct pci_device pci;
    struct pc_irq isa_irqs[PIIX3_ISA_IRQS];
    struct pc_irq reset;
    unsigned levels[LINES];
    bool raised[PIIX3_ISA_IRQS];
    uint8_t rc;
};

static void update_irqs(struct piix3 *chip)
{
    bool wanted[PIIX3_ISA_IRQS] = {false};

    for (unsigned line = 0; line < LINES; line++) {
        uint8_t route = chip->pci.config[PIRQRC + line];

        if (chip->levels[line] && !(route & PIRQRC_DISABLE))
            wanted[route & PIRQRC_IRQ] = true;
    }
    for (unsigned irq = 0; irq < PIIX3_ISA_IRQS; irq++) {
        if (wanted[irq] == chip->raised[irq])
            continue;
        chip->raised[irq] = wanted[irq];
        pc_irq_set(chip->isa_irqs[irq], wanted[irq]);
    }
}

static void set_intx(void *opaque, unsigned pirq, int level)
{
    struct piix3 *chip = opaque;

    if (level)
        chip->levels[pirq]++;
    else
        chip->levels[pirq]--;
    update_irqs(chip);
}

static void config_written(struct pci_device *dev, unsigned offset, unsigned size)
{
    if (pci_touches(offset, size, PIRQRC, PIRQRC + LINES - 1))
        update_irqs((struct piix3 *)dev);
}

static gmem_result rc_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    struct piix3 *chip = opaque;
    uint8_t byte;

    (void)offset, (void)size, (void)attrs;
    *ret_value = pci_confadd_read_byte1(chip->pci.bus, &byte) ? byte : chip->rc;
    return GMEM_OK;
}

static gmem_result rc_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct piix3 *chip = opaque;
    uint8_t before = chip->rc;

    (void)offset, (void)size, (void)attrs;
    if (pci_confadd_write_byte1(chip->pci.bus, (uint8_t)value))
        return GMEM_OK;
    chip->rc = (uint8_t)value & (RC_SRST | RC_RCPU);
    if ((chip->rc & RC_RCPU) && !(before & RC_RCPU))
        pc_irq_set(chip->reset, 1);
    return GMEM_OK;
}

static void reset_registers(struct piix3 *chip)
{
    uint8_t *config = chip->pci.config;

    config[IORT] = 0x4d;
    pci_set16(config + XBCS, 0x0003);
    memset(config + PIRQRC, PIRQRC_DISABLE, LINES);
    config[TOM] = 0x02;
    config[MBIRQ0] = 0x80;
    memset(config + MBDMA0, 0x0c, 2);
    pci_set16(config + PCSC, 0x0002);
    config[SMICNTL] = 0x08;
}

static void set_masks(struct piix3 *chip)
{
    uint8_t *wmask = chip->pci.wmask;

    wmask[IORT] = 0x7f;
    pci_set16(wmask + XBCS, 0x0fff);
    memset(wmask + PIRQRC, PIRQRC_DISABLE | PIRQRC_IRQ, LINES);
    wmask[TOM] = 0xfa;
    pci_set16(wmask + MSTAT, 0x801e);
    wmask[MBIRQ0] = 0xef;
    memset(wmask + MBDMA0, 0x8f, 2);
    pci_set16(wmask + PCSC, 0xffff);
    wmask[APICBASE] = 0x7f;
    wmask[DLC] = 0x0f;
    memset(wmask + SMICNTL, 0xff, 0x10);
}

static int place(struct piix3 *chip)
{
    static const struct gmem_mmio_ops rc_ops = {
        .read = rc_read, .write = rc_write, .valid = {.min = 1, .max = 1}, .impl = {.min = 1, .max = 1}};

    /* In front of the host bridge's CONFADD; see pci_ports.c. */
    return pc_place_mmio(pci_bus_io(chip->pci.bus), RC_PORT, 1, "piix3-reset-control", 1, &rc_ops, chip, NULL);
}

int piix3_create(struct pci_bus *bus, const struct pc_irq isa_irqs[PIIX3_ISA_IRQS], struct pc_irq reset,
                 struct piix3 **ret)
{
    static const struct pci_ids ids = {
        .vendor = 0x8086, .device = 0x7000, .class_device = 0x0601, .header_type = PCI_HEADER_MULTI_FUNCTION};
    struct piix3 *chip = calloc(1, sizeof(*chip));
    int err;

    if (!chip)
        return -ENOMEM;
    memcpy(chip->isa_irqs, isa_irqs, sizeof(chip->isa_irqs));
    chip->reset = reset;
    err = pci_device_init(&chip->pci, bus, PCI_DEVFN(1, 0), "PIIX3", &ids);
    if (!err) {
        pci_set16(chip->pci.config + PCI_STATUS, 0x0200);
        chip->pci.config_written = config_written;
        set_masks(chip);
        reset_registers(chip);
        err = place(chip);
    }
    if (err) {
        piix3_destroy(chip);
        return err;
    }
    pci_bus_set_intx(bus, &(struct pci_intx){.set = set_intx, .opaque = chip});
    *ret = chip;
    return 0;
}

void piix3_destroy(struct piix3 *chip)
{
    if (!chip)
        return;
    pci_device_fini(&chip->pci);
    free(chip);
}
