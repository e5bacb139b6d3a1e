/* SPDX-License-Identifier: MIT */
/*
 * pc/piix3_ide.c - the IDE controller with two empty channels.
 *
 * Intel 82371FB (PIIX) and 82371SB (PIIX3) datasheet (290550), function 1: 2.3.9 BMIBA (BAR 4), 2.3.10 IDETIM, 2.3.11
 * SIDETIM, 2.7 bus master IDE registers (BMICX, BMISX, BMIDTPX). The command blocks answer at the ports of the AT
 * (0x1f0, 0x3f6, 0x170, 0x376) whatever IDETIM says.
 *
 * With no drive on a channel its registers read 0 (the data bus is pulled down) and take no writes, so a driver sees no
 * signature and no busy bit. A bus master transfer can be started but never moves data, and reads as active until it is
 * stopped.
 *
 * Runs under the machine's device lock.
 */
#include "piix3_ide.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"

#define IDETIM 0x40u
#define SIDETIM 0x44u

#define CHANNELS 2u
#define BM_SIZE 16u /* of BAR 4 */
#define BM_STRIDE 8u
#define BMICX 0u
#define BMISX 2u
#define BMICX_START 0x01u
#define BMICX_WRITE 0x08u
#define BMISX_ACTIVE 0x01u
#define BMISX_ERROR 0x02u
#define BMISX_IRQ 0x04u
#define BMISX_DMA 0x60u

struct channel {
    uint8_t command;
    uint8_t status;
    uint32_t table; /* BMIDTPX: descriptor table pointer */
};

struct piix3_ide {
    struct pci_device pci;
    struct channel channels[CHANNELS];
};

static gmem_result absent_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    *ret_value = 0;
    return GMEM_OK;
}

static gmem_result absent_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static gmem_result command_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                uint64_t *ret_value)
{
    const struct channel *channel = opaque;

    (void)size, (void)attrs;
    *ret_value = offset == BMICX ? channel->command : offset == BMISX ? channel->status : 0xff;
    return GMEM_OK;
}

static gmem_result command_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct channel *channel = opaque;

    (void)size, (void)attrs;
    if (offset == BMICX) {
        channel->command = (uint8_t)value & (BMICX_START | BMICX_WRITE);
        if (channel->command & BMICX_START)
            channel->status |= BMISX_ACTIVE;
        else
            channel->status &= (uint8_t)~BMISX_ACTIVE;
    } else if (offset == BMISX) {
        channel->status = (uint8_t)((channel->status & ~BMISX_DMA) | (value & BMISX_DMA));
        channel->status = (uint8_t)(channel->status & ~(value & (BMISX_ERROR | BMISX_IRQ)));
    }
    return GMEM_OK;
}

static gmem_result table_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    const struct channel *channel = opaque;

    (void)size, (void)attrs;
    *ret_value = channel->table >> (8 * offset) & 0xff;
    return GMEM_OK;
}

static gmem_result table_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct channel *channel = opaque;
    unsigned shift = 8 * (unsigned)offset;

    (void)size, (void)attrs;
    channel->table = (channel->table & ~(0xffu << shift)) | (uint32_t)(value & 0xff) << shift;
    channel->table &= ~3u;
    return GMEM_OK;
}

static int add_bus_master(struct piix3_ide *chip)
{
    static const struct gmem_mmio_ops command_ops = {
        .read = command_read, .write = command_write, .valid = {.max = 4}, .impl = {.max = 1}};
    static const struct gmem_mmio_ops table_ops = {
        .read = table_read, .write = table_write, .valid = {.max = 4}, .impl = {.max = 1}};
    gmem_region *container;
    int err = gmem_region_create_container(pci_bus_vm(chip->pci.bus), "piix-bmdma-container", GMEM_SIZE(BM_SIZE), NULL,
                                           &container);

    if (err)
        return err;
    for (unsigned i = 0; i < CHANNELS && !err; i++) {
        uint64_t base = (uint64_t)i * BM_STRIDE;

        err = pc_place_mmio(container, base, 0, "piix-bmdma", 4, &command_ops, &chip->channels[i], NULL);
        if (!err)
            err = pc_place_mmio(container, base + 4, 0, "bmdma", 4, &table_ops, &chip->channels[i], NULL);
    }
    if (err) {
        gmem_region_unref(container);
        return err;
    }
    return pci_device_add_bar(&chip->pci, 4, PCI_BAR_IO, container, BM_SIZE);
}

static int place(struct piix3_ide *chip)
{
    static const struct gmem_mmio_ops absent_ops = {.read = absent_read,
                                                    .write = absent_write,
                                                    .valid = {.max = 4, .unaligned = true},
                                                    .impl = {.max = 4, .unaligned = true}};
    static const struct {
        uint16_t port, size;
    } blocks[] = {{0x1f0, 8}, {0x3f6, 1}, {0x170, 8}, {0x376, 1}};
    gmem_region *io = pci_bus_io(chip->pci.bus);
    int err = 0;

    for (unsigned i = 0; i < sizeof(blocks) / sizeof(blocks[0]) && !err; i++)
        err = pc_place_mmio(io, blocks[i].port, 0, "ide", blocks[i].size, &absent_ops, chip, NULL);
    return err ? err : add_bus_master(chip);
}

int piix3_ide_create(struct pci_bus *bus, struct piix3_ide **ret)
{
    static const struct pci_ids ids = {.vendor = 0x8086, .device = 0x7010, .class_device = 0x0101, .prog = 0x80};
    struct piix3_ide *chip = calloc(1, sizeof(*chip));
    int err;

    if (!chip)
        return -ENOMEM;
    err = pci_device_init(&chip->pci, bus, PCI_DEVFN(1, 1), "piix3-ide", &ids);
    if (!err) {
        pci_set16(chip->pci.config + PCI_STATUS, 0x0280);
        pci_set32(chip->pci.wmask + IDETIM, 0xf3fff3ff);
        chip->pci.wmask[SIDETIM] = 0xff;
        err = place(chip);
    }
    if (err) {
        piix3_ide_destroy(chip);
        return err;
    }
    *ret = chip;
    return 0;
}

void piix3_ide_destroy(struct piix3_ide *chip)
{
    if (!chip)
        return;
    pci_device_fini(&chip->pci);
    free(chip);
}
