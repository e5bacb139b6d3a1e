/* SPDX-License-Identifier: MIT */
/*
 * pc/piix4_pm.c - power management: PM1 event and control, the PM timer, general purpose events, APM ports; and where
 * these and the SMBus registers are mapped.
 *
 * Intel 82371AB (PIIX4) datasheet (290562), function 3: 7.1 configuration (PMBA 0x40, DEVACTB 0x58, PMREGMISC 0x80, SMBBA
 * 0x90, SMBHSTCFG 0xd2), 7.2 I/O registers (PMSTS, PMEN, PMCNTRL, PMTMR, GLBCTL), 7.3 SMBus; 4.2.7 APM (0xb2, 0xb3). PMTMR
 * counts 24 bits at 3.579545 MHz of the clock it is given.
 *
 * With system management mode a write to APMC (0xb2) is an SMI while APMC_EN (DEVACTB) and SMI_EN (GLBCTL) are set; APMS (0xb3)
 * passes a byte between the guest and its handler. Without it, DEVACTB says that the firmware has set the mode up already
 * (APMC_EN), so that it does not try, and there is no GLBCTL.
 *
 * Other than on the chip:
 *  - General purpose events are 4 bytes at 0xafe0, where the firmware of this machine model expects them.
 *  - The APM commands that switch ACPI on and off, which a handler would carry out by PMCNTRL, do so here, before the SMI: the
 *    handler that this machine's firmware sets up leaves them to the hardware.
 *  - GLBCTL's other bits are kept, without effect. SMI# needs no EOS: it is driven for a moment, once for each write.
 *  - TMROF_STS is found when it is looked at; the timer's carry raises no interrupt by itself.
 *
 * Runs under the machine's device lock.
 */
#include "piix4_pm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"
#include "smbus.h"

#define PMBA 0x40u
#define DEVACTB 0x58u
#define PMREGMISC 0x80u
#define SMBBA 0x90u
#define SMBHSTCFG 0xd2u

#define PMBA_BASE 0xffc0u
#define PMREGMISC_PMIOSE 0x01u
#define SMBHSTCFG_ENABLE 0x01u
#define DEVACTB_APMC_EN 0x02000000u

#define GLBCTL 0x28u
#define GLBCTL_SMI_EN 0x00000001u

#define PM_SIZE 0x40u
#define PMSTS 0x0u
#define PMEN 0x2u
#define PMSTS_TMROF 0x0001u
#define PMSTS_GBL 0x0020u
#define PMSTS_PWRBTN 0x0100u
#define PMSTS_RTC 0x0400u
#define PMSTS_RSM 0x8000u
#define PMSTS_CLEARED (PMSTS_TMROF | PMSTS_GBL | PMSTS_PWRBTN | PMSTS_RTC | PMSTS_RSM)
#define PMEN_BITS (PMSTS_TMROF | PMSTS_GBL | PMSTS_PWRBTN | PMSTS_RTC)

#define PMCNTRL_SCI_EN 0x0001u
#define PMCNTRL_SUS_TYP 0x1c00u /* 0: soft off */
#define PMCNTRL_SUS_EN 0x2000u
#define PMCNTRL_BITS 0x1c03u

#define PMTMR_HZ 3579545u
#define PMTMR_MASK 0xffffffu
#define PMTMR_TOP 0x800000u /* the bit whose change sets TMROF_STS */

#define GPE_PORT 0xafe0u
#define GPE_SIZE 4u /* two status bytes, two enable bytes */

#define APM_PORT 0xb2u
#define APM_ACPI_ENABLE 0xf1u
#define APM_ACPI_DISABLE 0xf0u

struct piix4_pm {
    struct pci_device pci;
    struct pc_clock clock;
    struct pc_irq sci, smi;
    bool smm;
    gmem_region *pm_window;
    struct smbus *smbus;
    uint64_t start; /* of the timer, in nanoseconds of the clock */
    uint64_t seen;  /* ticks at the last look */
    uint16_t pmsts, pmen, pmcntrl;
    uint32_t glbctl;
    uint8_t gpe[GPE_SIZE];
    uint8_t apm[2]; /* APMC, APMS */
};

static uint64_t ticks(const struct piix4_pm *chip)
{
    uint64_t elapsed = pc_clock_now(chip->clock) - chip->start;
    uint64_t seconds = elapsed / 1000000000u;

    return seconds * PMTMR_HZ + elapsed % 1000000000u * PMTMR_HZ / 1000000000u;
}

static void look_at_timer(struct piix4_pm *chip)
{
    uint64_t now = ticks(chip);

    if (now / PMTMR_TOP != chip->seen / PMTMR_TOP)
        chip->pmsts |= PMSTS_TMROF;
    chip->seen = now;
}

static void update_sci(struct piix4_pm *chip)
{
    bool event =
        (chip->pmsts & chip->pmen & PMEN_BITS) || (chip->gpe[0] & chip->gpe[2]) || (chip->gpe[1] & chip->gpe[3]);

    pc_irq_set(chip->sci, event && (chip->pmcntrl & PMCNTRL_SCI_EN));
}

/* The event and control registers are served by the byte: their status bits are cleared one by one. */
static uint8_t byte_of(uint16_t value, uint64_t offset)
{
    return (uint8_t)(offset & 1 ? value >> 8 : value);
}

static uint16_t with_byte(uint16_t old, uint64_t offset, uint64_t byte)
{
    unsigned shift = offset & 1 ? 8 : 0;

    return (uint16_t)((old & ~(0xffu << shift)) | (unsigned)(byte & 0xff) << shift);
}

static gmem_result event_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    struct piix4_pm *chip = opaque;

    (void)size, (void)attrs;
    look_at_timer(chip);
    *ret_value = byte_of(offset < PMEN ? chip->pmsts : chip->pmen, offset);
    return GMEM_OK;
}

static gmem_result event_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct piix4_pm *chip = opaque;

    (void)size, (void)attrs;
    look_at_timer(chip);
    if (offset < PMEN)
        chip->pmsts &= (uint16_t) ~(with_byte(0, offset, value) & PMSTS_CLEARED);
    else
        chip->pmen = with_byte(chip->pmen, offset, value) & PMEN_BITS;
    update_sci(chip);
    return GMEM_OK;
}

static gmem_result control_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                uint64_t *ret_value)
{
    const struct piix4_pm *chip = opaque;

    (void)size, (void)attrs;
    *ret_value = byte_of(chip->pmcntrl, offset);
    return GMEM_OK;
}

static gmem_result control_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct piix4_pm *chip = opaque;
    uint16_t written = with_byte(chip->pmcntrl, offset, value);

    (void)size, (void)attrs;
    chip->pmcntrl = written & PMCNTRL_BITS;
    update_sci(chip);
    if (!(written & PMCNTRL_SUS_EN))
        return GMEM_OK;
    if (written & PMCNTRL_SUS_TYP)
        pci_log(chip->pci.bus, "PIIX4_PM: this machine can't sleep (SUS_TYP %u)", (written & PMCNTRL_SUS_TYP) >> 10);
    else
        pc_event(pci_bus_hooks(chip->pci.bus), PC_EVENT_POWEROFF, "the guest switched the machine off");
    return GMEM_OK;
}

static gmem_result timer_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    struct piix4_pm *chip = opaque;

    (void)offset, (void)size, (void)attrs;
    look_at_timer(chip);
    *ret_value = chip->seen & PMTMR_MASK;
    return GMEM_OK;
}

static gmem_result timer_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static gmem_result gpe_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    const struct piix4_pm *chip = opaque;

    (void)size, (void)attrs;
    *ret_value = chip->gpe[offset];
    return GMEM_OK;
}

static gmem_result gpe_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct piix4_pm *chip = opaque;

    (void)size, (void)attrs;
    if (offset < GPE_SIZE / 2)
        chip->gpe[offset] = (uint8_t)(chip->gpe[offset] & ~value);
    else
        chip->gpe[offset] = (uint8_t)value;
    update_sci(chip);
    return GMEM_OK;
}

static gmem_result global_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    const struct piix4_pm *chip = opaque;

    (void)size, (void)attrs;
    *ret_value = chip->glbctl >> 8 * offset & 0xff;
    return GMEM_OK;
}

static gmem_result global_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct piix4_pm *chip = opaque;
    unsigned shift = 8 * (unsigned)offset;

    (void)size, (void)attrs;
    chip->glbctl = (chip->glbctl & ~(0xffu << shift)) | (uint32_t)(value & 0xff) << shift;
    return GMEM_OK;
}

static bool smi_enabled(const struct piix4_pm *chip)
{
    return chip->smm && (pci_get32(chip->pci.config + DEVACTB) & DEVACTB_APMC_EN) && (chip->glbctl & GLBCTL_SMI_EN);
}

static gmem_result apm_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    const struct piix4_pm *chip = opaque;

    (void)size, (void)attrs;
    *ret_value = chip->apm[offset];
    return GMEM_OK;
}

static gmem_result apm_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct piix4_pm *chip = opaque;

    (void)size, (void)attrs;
    chip->apm[offset] = (uint8_t)value;
    if (offset != 0)
        return GMEM_OK;
    if (value == APM_ACPI_ENABLE)
        chip->pmcntrl |= PMCNTRL_SCI_EN;
    else if (value == APM_ACPI_DISABLE)
        chip->pmcntrl &= (uint16_t)~PMCNTRL_SCI_EN;
    update_sci(chip);
    if (smi_enabled(chip)) {
        pc_irq_set(chip->smi, 1);
        pc_irq_set(chip->smi, 0);
    }
    return GMEM_OK;
}

static void map_or_log(struct piix4_pm *chip)
{
    const uint8_t *config = chip->pci.config;
    uint16_t pm_base = pci_get16(config + PMBA) & PMBA_BASE;
    gmem_vm *vm = pci_bus_vm(chip->pci.bus);
    int err = gmem_vm_begin(vm);

    if (!err) {
        err = gmem_region_move(chip->pm_window, pm_base);
        if (!err)
            err = gmem_region_set_enabled(chip->pm_window, config[PMREGMISC] & PMREGMISC_PMIOSE);
        if (!err)
            err = smbus_map(chip->smbus, pci_get16(config + SMBBA), config[SMBHSTCFG] & SMBHSTCFG_ENABLE);
        if (!err)
            err = gmem_vm_commit(vm);
        else
            gmem_vm_abort(vm);
    }
    if (err)
        pci_log(chip->pci.bus, "PIIX4_PM: its registers could not be mapped: %s", gmem_strerror(err));
}

static void config_written(struct pci_device *dev, unsigned offset, unsigned size)
{
    if (pci_touches(offset, size, PMBA, PMBA + 3) || pci_touches(offset, size, PMREGMISC, PMREGMISC) ||
        pci_touches(offset, size, SMBBA, SMBBA + 3) || pci_touches(offset, size, SMBHSTCFG, SMBHSTCFG))
        map_or_log((struct piix4_pm *)dev);
}

static void reset_registers(struct piix4_pm *chip)
{
    uint8_t *config = chip->pci.config;

    pci_set32(config + PMBA, 0x00000001);
    pci_set32(config + DEVACTB, chip->smm ? 0 : DEVACTB_APMC_EN);
    config[PMREGMISC] = 0;
    /* The board starts with the SMBus mapped, for firmware that reads memory modules before it has set up PCI. */
    pci_set32(config + SMBBA, 0x0000b101);
    config[SMBHSTCFG] = 0x08 | SMBHSTCFG_ENABLE;
}

static void set_masks(struct piix4_pm *chip)
{
    uint8_t *wmask = chip->pci.wmask;

    pci_set32(wmask + PMBA, PMBA_BASE);
    /* Device monitors, CNTA to DEVRESJ: kept, without effect. */
    memset(wmask + 0x44, 0xff, 0x80 - 0x44);
    wmask[PMREGMISC] = PMREGMISC_PMIOSE;
    pci_set32(wmask + SMBBA, 0xffc0);
    wmask[SMBHSTCFG] = 0x0f;
    memset(wmask + 0xd3, 0xff, 3); /* SMBSLVC, SMBSHDW1, SMBSHDW2 */
}

static int place_pm(struct piix4_pm *chip, gmem_region *io)
{
    static const struct gmem_mmio_ops event_ops = {
        .read = event_read, .write = event_write, .valid = {.max = 4}, .impl = {.max = 1}};
    static const struct gmem_mmio_ops control_ops = {
        .read = control_read, .write = control_write, .valid = {.max = 4}, .impl = {.max = 1}};
    static const struct gmem_mmio_ops timer_ops = {
        .read = timer_read, .write = timer_write, .valid = {.max = 4}, .impl = {.min = 4, .max = 4}};
    static const struct gmem_mmio_ops global_ops = {
        .read = global_read, .write = global_write, .valid = {.max = 4}, .impl = {.max = 1}};
    int err =
        gmem_region_create_container(pci_bus_vm(chip->pci.bus), "piix4-pm", GMEM_SIZE(PM_SIZE), NULL, &chip->pm_window);

    if (!err)
        err = pc_place_mmio(chip->pm_window, 0, 0, "acpi-evt", 4, &event_ops, chip, NULL);
    if (!err)
        err = pc_place_mmio(chip->pm_window, 4, 0, "acpi-cnt", 2, &control_ops, chip, NULL);
    if (!err)
        err = pc_place_mmio(chip->pm_window, 8, 0, "acpi-tmr", 4, &timer_ops, chip, NULL);
    if (!err && chip->smm)
        err = pc_place_mmio(chip->pm_window, GLBCTL, 0, "piix4-glbctl", 4, &global_ops, chip, NULL);
    if (!err)
        err = gmem_region_set_enabled(chip->pm_window, false);
    if (!err)
        err = gmem_region_add(io, 0, chip->pm_window);
    return err;
}

static int place(struct piix4_pm *chip)
{
    static const struct gmem_mmio_ops gpe_ops = {
        .read = gpe_read, .write = gpe_write, .valid = {.max = 4}, .impl = {.max = 1}};
    static const struct gmem_mmio_ops apm_ops = {
        .read = apm_read, .write = apm_write, .valid = {.max = 2}, .impl = {.max = 1}};
    gmem_region *io = pci_bus_io(chip->pci.bus);
    int err = place_pm(chip, io);

    if (!err)
        err = pc_place_mmio(io, GPE_PORT, 0, "acpi-gpe0", GPE_SIZE, &gpe_ops, chip, NULL);
    if (!err)
        err = pc_place_mmio(io, APM_PORT, 0, "apm-io", 2, &apm_ops, chip, NULL);
    if (!err)
        err = smbus_create(io, &chip->smbus);
    return err;
}

int piix4_pm_create(struct pci_bus *bus, const struct piix4_pm_config *config, struct piix4_pm **ret)
{
    static const struct pci_ids ids = {.vendor = 0x8086, .device = 0x7113, .class_device = 0x0680, .revision = 0x03};
    struct piix4_pm *chip = calloc(1, sizeof(*chip));
    int err;

    if (!chip)
        return -ENOMEM;
    chip->clock = config->clock;
    chip->sci = config->sci;
    chip->smi = config->smi;
    chip->smm = config->smm;
    chip->start = pc_clock_now(chip->clock);
    err = pci_device_init(&chip->pci, bus, PCI_DEVFN(1, 3), "PIIX4_PM", &ids);
    if (!err) {
        pci_set16(chip->pci.config + PCI_STATUS, 0x0280);
        chip->pci.config[PCI_INTERRUPT_PIN] = 1;
        chip->pci.config_written = config_written;
        set_masks(chip);
        err = place(chip);
    }
    if (err) {
        piix4_pm_destroy(chip);
        return err;
    }
    reset_registers(chip);
    map_or_log(chip);
    *ret = chip;
    return 0;
}

void piix4_pm_destroy(struct piix4_pm *chip)
{
    if (!chip)
        return;
    smbus_destroy(chip->smbus);
    gmem_region_unref(chip->pm_window);
    pci_device_fini(&chip->pci);
    free(chip);
}
