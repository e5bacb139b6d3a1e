/* SPDX-License-Identifier: MIT */
/*
 * pc/i440fx.c - the host bridge: who answers between 640 KiB and 1 MiB.
 *
 * Intel 82441FX datasheet (290549): 3.2.18 PAM, programmable attribute map registers (0x59 to 0x5f); 3.2.21 SMRAM, system
 * management RAM control register (0x72); 3.2.20 DRB, row boundaries (0x60 to 0x67, kept but without effect).
 *
 * Thirteen sections, each with four windows of which exactly one is enabled, by the section's attributes RE (reads go to
 * DRAM) and WE (writes go to DRAM):
 *
 *   RE WE
 *    0  0   pam-pci   all goes to PCI
 *    1  0   pam-rom   DRAM, read only
 *    0  1   pam-pci   of DRAM: reads should go to PCI and only writes to DRAM, which no region does; all goes to DRAM
 *    1  1   pam-ram   DRAM
 *
 * smram-region shows PCI at 0xa0000 to 0xbffff, where the VGA window is, in front of DRAM. Opening SMRAM disables it: D_OPEN
 * with G_SMRAME, without which the register's other bits have no effect (3.2.21).
 *
 * With system management mode there is also a container, smram, with the DRAM behind that window (smram-low), which only spaces
 * of that mode show, in front of all else; G_SMRAME enables it. D_CLS is for whoever makes the accesses, since it parts data from
 * code. D_LCK closes SMRAM and freezes all but D_CLS until reset.
 *
 * smram is enabled from creation, although G_SMRAME is 0 after reset, and follows the register from the first write to PAM or
 * SMRAM on. That is what recorded machines do, and it can be seen only in their memory slots. It gives nothing away: what is in
 * that DRAM then was put there by whoever may open it anyway, as D_LCK is such a write.
 *
 * Where nothing on PCI answers in that window, because there is no VGA, what lies behind smram-region would show through it: the
 * DRAM. So a machine with the mode has a reserved region there (smram-pci), behind all that PCI has, and reads are ones. Recorded
 * machines without VGA let DRAM show, and so do machines without the mode.
 *
 * A write to the registers is one commit. If it is refused, the map stays as it is and the registers keep what was
 * written; the next write tries again.
 *
 * Runs under the machine's device lock, or before the processors run.
 */
#include "i440fx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"

#define PAM0 0x59u /* high nibble: 0xf0000 to 0xfffff; its low nibble is reserved */
#define PAM6 0x5fu
#define DRB0 0x60u
#define DRB7 0x67u
#define SMRAM 0x72u

#define PAM_RE 0x1u
#define PAM_WE 0x2u

#define SMRAM_D_OPEN 0x40u
#define SMRAM_D_CLS 0x20u
#define SMRAM_D_LCK 0x10u
#define SMRAM_G_SMRAME 0x08u
#define SMRAM_C_BASE 0x02u /* C_BASE_SEG, read only: 0xa0000 */

#define SECTIONS 13u
#define WINDOWS 4u /* numbered by the attributes: WE << 1 | RE */
#define LOW_BASE 0xc0000u
#define LOW_SIZE 0x4000u
#define HIGH_BASE 0xf0000u
#define HIGH_SIZE 0x10000u
#define SMRAM_BASE 0xa0000u
#define SMRAM_SIZE 0x20000u
#define FOUR_G 0x100000000u
#define WINDOW_PRIO 1
#define CLOSED_PRIO (-1)

struct i440fx {
    struct pci_device pci;
    gmem_region *windows[SECTIONS][WINDOWS];
    gmem_region *smram_region;
    gmem_region *smram; /* NULL: there is no system management mode */
};

/* Section 0 is the high nibble of PAM0; 1 and 2 are the low and the high nibble of PAM1, and so on. */
static unsigned attributes_of(const struct i440fx *chip, unsigned section)
{
    uint8_t pam = chip->pci.config[PAM0 + (section + 1) / 2];

    return (section % 2 ? pam : pam >> 4) & (PAM_RE | PAM_WE);
}

static bool smram_open(const struct i440fx *chip)
{
    uint8_t smram = chip->pci.config[SMRAM];

    return (smram & SMRAM_G_SMRAME) && (smram & SMRAM_D_OPEN);
}

static int apply(struct i440fx *chip)
{
    int err = 0;

    for (unsigned section = 0; section < SECTIONS && !err; section++) {
        unsigned attributes = attributes_of(chip, section);

        for (unsigned window = 0; window < WINDOWS && !err; window++)
            err = gmem_region_set_enabled(chip->windows[section][window], window == attributes);
    }
    if (!err)
        err = gmem_region_set_enabled(chip->smram_region, !smram_open(chip));
    return err;
}

static int update(struct i440fx *chip)
{
    gmem_vm *vm = pci_bus_vm(chip->pci.bus);
    int err = gmem_vm_begin(vm);

    if (err)
        return err;
    err = apply(chip);
    if (!err && chip->smram)
        err = gmem_region_set_enabled(chip->smram, chip->pci.config[SMRAM] & SMRAM_G_SMRAME);
    if (err) {
        gmem_vm_abort(vm);
        return err;
    }
    return gmem_vm_commit(vm);
}

static void update_or_log(struct i440fx *chip)
{
    int err = update(chip);

    if (err)
        pci_log(chip->pci.bus, "i440FX: the memory map could not follow PAM and SMRAM: %s", gmem_strerror(err));
}

static void config_written(struct pci_device *dev, unsigned offset, unsigned size)
{
    struct i440fx *chip = (struct i440fx *)dev;
    bool smram = pci_touches(offset, size, SMRAM, SMRAM);

    if (smram && (dev->config[SMRAM] & SMRAM_D_LCK)) {
        /* Locking closes and freezes it until reset; D_CLS stays writable. */
        dev->config[SMRAM] &= (uint8_t)~SMRAM_D_OPEN;
        dev->wmask[SMRAM] = SMRAM_D_CLS;
    }
    if (smram || pci_touches(offset, size, PAM0, PAM6))
        update_or_log(chip);
}

static void reset_registers(struct i440fx *chip)
{
    memset(chip->pci.config + PAM0, 0, PAM6 - PAM0 + 1);
    memset(chip->pci.config + DRB0, 1, DRB7 - DRB0 + 1);
    chip->pci.config[SMRAM] = SMRAM_C_BASE;
    chip->pci.wmask[SMRAM] = SMRAM_D_OPEN | SMRAM_D_CLS | SMRAM_D_LCK | SMRAM_G_SMRAME;
}

static int place_section(struct i440fx *chip, gmem_region *system, gmem_region *ram, unsigned section)
{
    static const char *const names[WINDOWS] = {"pam-pci", "pam-rom", "pam-pci", "pam-ram"};
    uint64_t base = section ? LOW_BASE + (section - 1) * LOW_SIZE : HIGH_BASE;
    uint64_t size = section ? LOW_SIZE : HIGH_SIZE;
    gmem_region *pci = pci_bus_memory(chip->pci.bus);
    int err = 0;

    for (unsigned window = 0; window < WINDOWS && !err; window++) {
        gmem_region **slot = &chip->windows[section][window];

        err = pc_place_alias(system, base, WINDOW_PRIO, names[window], window ? ram : pci, base, size, slot);
        if (!err && window == PAM_RE)
            err = gmem_region_set_readonly(*slot, true);
    }
    return err;
}

static int place(struct i440fx *chip, gmem_region *system, gmem_region *ram)
{
    gmem_vm *vm = pci_bus_vm(chip->pci.bus);
    int err = gmem_vm_begin(vm);

    if (err)
        return err;
    err = pc_place_alias(system, SMRAM_BASE, WINDOW_PRIO, "smram-region", pci_bus_memory(chip->pci.bus), SMRAM_BASE,
                         SMRAM_SIZE, &chip->smram_region);
    for (unsigned section = 0; section < SECTIONS && !err; section++)
        err = place_section(chip, system, ram, section);
    if (!err)
        err = apply(chip);
    if (err) {
        gmem_vm_abort(vm);
        return err;
    }
    return gmem_vm_commit(vm);
}

static int create_smram(struct i440fx *chip, gmem_region *ram)
{
    int err = gmem_region_create_container(pci_bus_vm(chip->pci.bus), "smram", GMEM_SIZE(FOUR_G), NULL, &chip->smram);

    if (!err)
        err = pc_place_alias(chip->smram, SMRAM_BASE, 0, "smram-low", ram, SMRAM_BASE, SMRAM_SIZE, NULL);
    if (!err)
        err = pc_place_reserved(pci_bus_memory(chip->pci.bus), SMRAM_BASE, CLOSED_PRIO, "smram-pci", SMRAM_SIZE);
    return err;
}

int i440fx_create(struct pci_bus *bus, gmem_region *system, gmem_region *ram, bool smm, struct i440fx **ret)
{
    static const struct pci_ids ids = {.vendor = 0x8086, .device = 0x1237, .class_device = 0x0600, .revision = 0x02};
    struct i440fx *chip = calloc(1, sizeof(*chip));
    int err;

    if (!chip)
        return -ENOMEM;
    err = pci_device_init(&chip->pci, bus, PCI_DEVFN(0, 0), "i440FX", &ids);
    if (!err) {
        memset(chip->pci.wmask + PAM0, 0x33, PAM6 - PAM0 + 1);
        chip->pci.wmask[PAM0] = 0x30;
        memset(chip->pci.wmask + DRB0, 0xff, DRB7 - DRB0 + 1);
        chip->pci.config_written = config_written;
        reset_registers(chip);
        err = place(chip, system, ram);
    }
    if (!err && smm)
        err = create_smram(chip, ram);
    if (err) {
        i440fx_destroy(chip);
        return err;
    }
    *ret = chip;
    return 0;
}

void i440fx_destroy(struct i440fx *chip)
{
    if (!chip)
        return;
    gmem_region_unref(chip->smram);
    gmem_region_unref(chip->smram_region);
    for (unsigned section = 0; section < SECTIONS; section++) {
        for (unsigned window = 0; window < WINDOWS; window++)
            gmem_region_unref(chip->windows[section][window]);
    }
    pci_device_fini(&chip->pci);
    free(chip);
}

gmem_region *i440fx_smram(struct i440fx *chip)
{
    return chip->smram;
}

bool i440fx_smram_closed(const struct i440fx *chip)
{
    return chip->pci.config[SMRAM] & SMRAM_D_CLS;
}
