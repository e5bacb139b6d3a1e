/* SPDX-License-Identifier: MIT */
/*
 * pc/smbus.c - the SMBus host controller of the PIIX4 on a bus without devices.
 *
 * Intel 82371AB (PIIX4) datasheet (290562), 7.3 "SMBus I/O registers". A transaction that is started ends at once with
 * DEV_ERR, as nobody acknowledges the address. No interrupt is raised for it: drivers of this chip poll SMBHSTSTS.
 *
 * Runs under the machine's device lock.
 */
#include "smbus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"

#define SMBUS_SIZE 0x40u

#define SMBHSTSTS 0x00u
#define SMBSLVSTS 0x01u
#define SMBHSTCNT 0x02u
#define SMBHSTCMD 0x03u
#define SMBHSTADD 0x04u
#define SMBHSTDAT0 0x05u
#define SMBHSTDAT1 0x06u
#define SMBBLKDAT 0x07u
#define SMBSLVCNT 0x08u

#define HSTSTS_DEV_ERR 0x04u
#define HSTSTS_CLEARED 0x1eu
#define HSTCNT_START 0x40u
#define HSTCNT_BITS 0x1du /* START and KILL read 0 */
#define BLOCK_SIZE 32u

struct smbus {
    gmem_region *window;
    uint8_t registers[SMBSLVCNT + 1];
    uint8_t block[BLOCK_SIZE];
    unsigned next; /* of block; reading SMBHSTCNT rewinds it */
};

static gmem_result smbus_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    struct smbus *smbus = opaque;

    (void)size, (void)attrs;
    if (offset == SMBBLKDAT)
        *ret_value = smbus->block[smbus->next++ % BLOCK_SIZE];
    else if (offset <= SMBSLVCNT)
        *ret_value = smbus->registers[offset];
    if (offset == SMBHSTCNT)
        smbus->next = 0;
    return GMEM_OK;
}

static gmem_result smbus_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct smbus *smbus = opaque;
    uint8_t byte = (uint8_t)value;

    (void)size, (void)attrs;
    switch (offset) {
    case SMBHSTSTS:
        smbus->registers[SMBHSTSTS] &= (uint8_t) ~(byte & HSTSTS_CLEARED);
        break;
    case SMBHSTCNT:
        smbus->registers[SMBHSTCNT] = byte & HSTCNT_BITS;
        if (byte & HSTCNT_START)
            smbus->registers[SMBHSTSTS] |= HSTSTS_DEV_ERR;
        break;
    case SMBBLKDAT:
        smbus->block[smbus->next++ % BLOCK_SIZE] = byte;
        break;
    case SMBHSTCMD:
    case SMBHSTADD:
    case SMBHSTDAT0:
    case SMBHSTDAT1:
    case SMBSLVCNT:
        smbus->registers[offset] = byte;
        break;
    default:
        break;
    }
    return GMEM_OK;
}

int smbus_create(gmem_region *io, struct smbus **ret)
{
    static const struct gmem_mmio_ops ops = {
        .read = smbus_read, .write = smbus_write, .valid = {.max = 1}, .impl = {.max = 1}};
    struct smbus *smbus = calloc(1, sizeof(*smbus));
    int err;

    if (!smbus)
        return -ENOMEM;
    err = pc_place_mmio(io, 0, 0, "pm-smbus", SMBUS_SIZE, &ops, smbus, &smbus->window);
    if (!err)
        err = gmem_region_set_enabled(smbus->window, false);
    if (err) {
        smbus_destroy(smbus);
        return err;
    }
    *ret = smbus;
    return 0;
}

void smbus_destroy(struct smbus *smbus)
{
    if (!smbus)
        return;
    gmem_region_unref(smbus->window);
    free(smbus);
}

int smbus_map(struct smbus *smbus, uint16_t base, bool enabled)
{
    int err = gmem_region_move(smbus->window, base & ~(SMBUS_SIZE - 1));

    return err ? err : gmem_region_set_enabled(smbus->window, enabled);
}
