/* SPDX-License-Identifier: MIT */
/*
 * pc/machine_build.c - what is where in the PC.
 *
 *  system   RAM from 0 and from 4 GiB, memory that is plugged in (machine_hotplug.c), the chipset's windows, and behind them (priority -1) the PCI bus
 *  pci      firmware ROM at the top of 4 GiB and (isa-bios) its last 128 KiB below 1 MiB, pc.rom at 0xc0000 for option ROMs,
 *           the VGA window, BARs. All ROM below 1 MiB is of one block in the order of its addresses (the firmware in it is a
 *           copy), so that a window that opens in it cuts one memory slot and not two.
 *  io       64 Ki ports; where no device answers they read all ones
 *
 * Up to PC_SPLIT bytes of RAM lie below 4 GiB in one piece; of more, 3 GiB do and the rest begins at 4 GiB.
 *
 * The order is observable, in the memory slots that each commit sets under GMEM_KVM_POLICY_REFERENCE: RAM; firmware; the
 * chipset's windows; the VGA's.
 * Runs before the processors do.
 */
#include "machine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fw_tables.h"
#include "place.h"

#define FOUR_G 0x100000000u
#define PC_SPLIT 0xe0000000u
#define LOW_MAX 0xc0000000u

#define IO_SIZE 0x10000u
#define ISA_TOP 0x100000u
#define ISA_BIOS_MAX 0x20000u
#define OPTION_BASE 0xc0000u
#define OPTION_SIZE 0x20000u
#define LOW_ROM_SIZE (ISA_TOP - OPTION_BASE)
#define PCI_PRIORITY (-1)
#define TIMER_IRQ 0u
#define SCI_IRQ 9u
#define KEYBOARD_IRQ 1u
#define SERIAL_PORT 0x3f8u
#define SERIAL_IRQ 4u
#define RTC_IRQ 8u
#define MOUSE_IRQ 12u

static gmem_result io_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    *ret_value = UINT64_MAX;
    return GMEM_OK;
}

static gmem_result io_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static int create_cpu_spaces(struct machine *machine, unsigned cpus)
{
    const struct gmem_space_options options = {.struct_size = sizeof(options), .unassigned_ones = true};

    machine->cpu_memory = calloc(cpus, sizeof(machine->cpu_memory[0]));
    if (!machine->cpu_memory)
        return -ENOMEM;
    for (; machine->cpu_count < cpus; machine->cpu_count++) {
        char name[32];
        int err;

        snprintf(name, sizeof(name), "cpu-memory-%u", machine->cpu_count);
        err = gmem_space_create(machine->vm, name, machine->system, &options, &machine->cpu_memory[machine->cpu_count]);
        if (err)
            return err;
    }
    return 0;
}

int machine_build_roots(struct machine *machine, unsigned cpus)
{
    static const struct gmem_mmio_ops io_ops = {.read = io_read,
                                                .write = io_write,
                                                .valid = {.max = 8, .unaligned = true},
                                                .impl = {.max = 8, .unaligned = true}};
    const struct gmem_space_options options = {.struct_size = sizeof(options), .unassigned_ones = true};
    gmem_vm *vm = machine->vm;
    int err = gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &machine->system);

    if (!err)
        err = gmem_region_create_container(vm, "pci", GMEM_SIZE_ALL, NULL, &machine->pci_memory);
    if (!err)
        err = gmem_region_create_mmio(vm, "io", GMEM_SIZE(IO_SIZE), &io_ops, machine, NULL, &machine->io);
    if (!err)
        err = gmem_space_create(vm, "memory", machine->system, &options, &machine->memory);
    if (!err)
        err = gmem_space_create(vm, "I/O", machine->io, &options, &machine->ports);
    return err ? err : create_cpu_spaces(machine, cpus);
}

static int place_ram(struct machine *machine)
{
    int err = gmem_vm_begin(machine->vm);

    if (err)
        return err;
    err = pc_place_alias(machine->system, 0, 0, "ram-below-4g", machine->ram, 0, machine->below_4g, NULL);
    if (!err && machine->above_4g)
        err = pc_place_alias(machine->system, FOUR_G, 0, "ram-above-4g", machine->ram, machine->below_4g,
                             machine->above_4g, NULL);
    if (err) {
        gmem_vm_abort(machine->vm);
        return err;
    }
    return gmem_vm_commit(machine->vm);
}

static int build_ram(struct machine *machine, const struct pc_config *config, struct pc_error *error)
{
    const uint64_t size = config->memory;
    gmem_ram *block;
    int err = pc_backing_create(&machine->backing, machine->vm, "pc.ram", false, size, &block, error);

    if (err)
        return err;
    machine->dimm_align = gmem_ram_page_size(block) > PC_DIMM_UNIT ? gmem_ram_page_size(block) : PC_DIMM_UNIT;
    err = gmem_region_create_ram(machine->vm, "pc.ram", block, NULL, &machine->ram);
    gmem_ram_unref(block);
    if (!err) {
        machine->below_4g = size < PC_SPLIT ? size : LOW_MAX;
        machine->above_4g = size - machine->below_4g;
        machine->memory_end = FOUR_G + machine->above_4g;
        err = place_ram(machine);
    }
    if (!err)
        err = machine_build_dimms(machine, config);
    return err ? pc_fail(error, err, "the guest's memory can't be mapped: %s", gmem_strerror(err)) : 0;
}

static int place_firmware(struct machine *machine, gmem_region *option_rom, gmem_region *isa_bios, uint64_t size)
{
    uint64_t isa_size = size < ISA_BIOS_MAX ? size : ISA_BIOS_MAX;
    int err = gmem_vm_begin(machine->vm);

    if (err)
        return err;
    err = gmem_region_add(machine->pci_memory, FOUR_G - size, machine->bios);
    if (!err)
        err = pc_place_alias(machine->pci_memory, ISA_TOP - isa_size, 1, "isa-bios", isa_bios, LOW_ROM_SIZE - isa_size,
                             isa_size, NULL);
    if (!err)
        err = gmem_region_add_priority(machine->pci_memory, OPTION_BASE, option_rom, 1);
    if (!err)
        err = gmem_region_add_priority(machine->system, 0, machine->pci_memory, PCI_PRIORITY);
    if (err) {
        gmem_vm_abort(machine->vm);
        return err;
    }
    return gmem_vm_commit(machine->vm);
}

/* ROM below 1 MiB, as two regions that show one block: option ROMs first, and the end of the firmware last. */
static int create_low_rom(gmem_vm *vm, const void *firmware, size_t len, gmem_region **ret_option_rom,
                          gmem_region **ret_isa_bios)
{
    size_t shown = len < ISA_BIOS_MAX ? len : ISA_BIOS_MAX;
    gmem_region *option_rom;
    gmem_ram *block;
    int err = gmem_ram_create_anon(vm, "pc.rom", LOW_ROM_SIZE, &block);

    if (err)
        return err;
    memcpy((char *)gmem_ram_host(block) + LOW_ROM_SIZE - shown, (const char *)firmware + len - shown, shown);
    err = gmem_region_create_rom(vm, "pc.rom", block, NULL, &option_rom);
    if (!err) {
        err = gmem_region_resize(option_rom, GMEM_SIZE(OPTION_SIZE));
        if (!err)
            err = gmem_region_create_rom(vm, "pc.bios", block, NULL, ret_isa_bios);
        if (err)
            gmem_region_unref(option_rom);
        else
            *ret_option_rom = option_rom;
    }
    gmem_ram_unref(block);
    return err;
}

static int build_firmware(struct machine *machine, const void *firmware, size_t len)
{
    gmem_region *option_rom, *isa_bios;
    int err = pc_create_rom(machine->vm, "pc.bios", "pc.bios", len, firmware, len, &machine->bios);

    if (!err)
        err = create_low_rom(machine->vm, firmware, len, &option_rom, &isa_bios);
    if (err)
        return err;
    err = place_firmware(machine, option_rom, isa_bios, len);
    gmem_region_unref(option_rom);
    gmem_region_unref(isa_bios);
    return err;
}

static void reset_requested(void *opaque, int level)
{
    struct machine *machine = opaque;

    if (level)
        pc_event(&machine->hooks, PC_EVENT_RESET, "the guest asks for a reset");
}

static int executing(void *opaque, uint64_t *ret_addr)
{
    const struct machine *machine = opaque;

    return machine->cpus ? machine->cpus->ops->executing(machine->cpus, ret_addr) : -ENOENT;
}

static struct pc_irq isa_irq(struct machine *machine, unsigned n)
{
    if (machine->irqchip)
        return irqchip_isa_irq(machine->irqchip, n);
    return machine->kvm ? kvm_vm_isa_irq(machine->kvm, n) : (struct pc_irq){.set = NULL};
}

static void interrupts_changed(void *opaque, unsigned cpu)
{
    const struct machine *machine = opaque;

    if (machine->cpus)
        cpu_interp_changed(machine->cpus, cpu);
}

static int build_irqchip(struct machine *machine)
{
    const struct irqchip_config config = {
        .cpus = machine->cpu_count, .time = &machine->time, .changed = interrupts_changed, .opaque = machine};
    int err;

    if (machine->accel != PC_ACCEL_INTERP)
        return kvm_vm_place(machine->io, machine->system);
    err = irqchip_create(machine->vm, machine->io, machine->system, &config, &machine->irqchip);
    if (!err)
        err = i8254_create(machine->vm, machine->io, &machine->time, isa_irq(machine, TIMER_IRQ), &machine->pit);
    return err;
}

static void set_smi(void *opaque, int level)
{
    const struct machine *machine = opaque;

    if (level && machine->cpus && machine->cpus->ops->smi)
        machine->cpus->ops->smi(machine->cpus);
}

static void set_a20(void *opaque, int level)
{
    const struct machine *machine = opaque;

    if (machine->cpus && machine->cpus->ops->set_a20)
        machine->cpus->ops->set_a20(machine->cpus, level);
}

static int build_chipset(struct machine *machine)
{
    const struct pc_irq reset = {.set = reset_requested, .opaque = machine};
    const struct pci_processors processors = {
        .memory = machine->memory, .ports = machine->ports, .executing = executing, .opaque = machine};
    struct pc_irq irqs[PIIX3_ISA_IRQS];
    struct piix4_pm_config pm = {
        .clock = machine->clock, .smm = machine->smm, .smi = {.set = set_smi, .opaque = machine}};
    int err = build_irqchip(machine);

    if (!err)
        err = pci_bus_create(machine->vm, machine->pci_memory, machine->io, machine->system, &machine->hooks,
                             &machine->pci);
    for (unsigned n = 0; n < PIIX3_ISA_IRQS; n++)
        irqs[n] = isa_irq(machine, n);
    pm.sci = irqs[SCI_IRQ];
    if (!err)
        pci_bus_set_processors(machine->pci, &processors);
    if (!err)
        err = i440fx_create(machine->pci, machine->system, machine->ram, machine->smm, &machine->i440fx);
    if (!err)
        err = machine_build_smm(machine);
    if (!err)
        err = piix3_create(machine->pci, irqs, reset, &machine->piix3);
    if (!err)
        err = piix3_ide_create(machine->pci, &machine->ide);
    if (!err)
        err = piix4_pm_create(machine->pci, &pm, &machine->pm);
    return err;
}

static int build_vga(struct machine *machine, const struct pc_config *config)
{
    int err = vga_create(machine->pci, config->vga_rom, config->vga_rom_len, &machine->vga);

    if (err)
        return err;
    vga_set_lock(machine->vga, &machine->lock);
    err = screen_create(machine->vga, &machine->screen);
    return err ? err : vga_place_window(machine->vga);
}

static void put_console(void *opaque, uint8_t byte)
{
    const struct machine *machine = opaque;

    if (machine->hooks.console)
        machine->hooks.console(machine->hooks.opaque, (char)byte);
}

static void put_serial(void *opaque, uint8_t byte)
{
    const struct machine *machine = opaque;

    machine->hooks.serial(machine->hooks.opaque, (char)byte);
}

static int build_serial(struct machine *machine)
{
    const struct pc_sink output = {.put = put_serial, .opaque = machine};

    if (!machine->hooks.serial)
        return 0;
    return serial_create(machine->vm, machine->io, SERIAL_PORT, isa_irq(machine, SERIAL_IRQ), output, &machine->serial);
}

static int build_vapic(struct machine *machine)
{
    int err = vapic_create(machine->pci, machine->system, machine->ram, &machine->vapic);

    return err ? err : vapic_rom_add(machine->fw_cfg);
}

static void set_gate2(void *opaque, int level)
{
    i8254_set_gate2(((const struct machine *)opaque)->pit, level);
}

static int output2(void *opaque)
{
    return i8254_output2(((const struct machine *)opaque)->pit);
}

/* Port 0x61; KVM's timer, where there is one, answers there itself. */
static int build_isa_misc(struct machine *machine, struct pc_irq a20, struct pc_irq reset)
{
    const struct isa_misc_timer timer = {.gate = set_gate2, .output = output2, .opaque = machine};

    return isa_misc_create(machine->vm, machine->io, a20, reset, machine->pit ? &timer : NULL, machine->clock,
                           &machine->isa_misc);
}

static int build_cmos(struct machine *machine)
{
    const struct pc_irq irq = isa_irq(machine, RTC_IRQ);

    if (machine->accel == PC_ACCEL_INTERP)
        return cmos_create_vtime(machine->vm, machine->io, machine->below_4g, machine->above_4g, machine->cpu_count,
                                 irq, &machine->time, &machine->cmos);
    return cmos_create(machine->vm, machine->io, machine->below_4g, machine->above_4g, machine->cpu_count, irq,
                       &machine->cmos);
}

static int build_isa(struct machine *machine, const struct pc_config *config)
{
    const struct pc_irq reset = {.set = reset_requested, .opaque = machine};
    const struct pc_irq a20 = {.set = set_a20, .opaque = machine};
    const struct pc_sink console = {.put = put_console, .opaque = machine};
    gmem_vm *vm = machine->vm;
    gmem_region *io = machine->io;
    int err = i8237_create(vm, io, false, &machine->dma[0]);

    if (!err)
        err = i8237_create(vm, io, true, &machine->dma[1]);
    if (!err)
        err = build_isa_misc(machine, a20, reset);
    if (!err)
        err = i8042_create(vm, io, isa_irq(machine, KEYBOARD_IRQ), isa_irq(machine, MOUSE_IRQ), a20, reset,
                           &machine->i8042);
    if (!err)
        err = build_cmos(machine);
    if (!err)
        err = debugcon_create(vm, io, DEBUGCON_PORT, console, &machine->debugcon);
    if (!err)
        err = build_serial(machine);
    if (!err)
        err = fw_cfg_create(vm, io, machine->memory, &machine->fw_cfg);
    if (!err)
        err = fw_tables_add(machine->fw_cfg, machine->below_4g, machine->above_4g, machine->cpu_count);
    if (!err && machine->dimms)
        err = fw_tables_add_reserved_end(
            machine->fw_cfg, machine_device_memory_end(config->memory, config->dimm_slots, config->memory_max));
    if (!err && config->vapic)
        err = build_vapic(machine);
    return err;
}

int machine_build(struct machine *machine, const struct pc_config *config, struct pc_error *error)
{
    int err = build_ram(machine, config, error);

    if (err)
        return err;
    err = build_firmware(machine, config->firmware, config->firmware_len);
    if (err)
        return pc_fail(error, err, "the firmware can't be mapped: %s", gmem_strerror(err));
    err = build_chipset(machine);
    if (err)
        return pc_fail(error, err, "the chipset can't be set up: %s", gmem_strerror(err));
    if (config->vga_rom) {
        err = build_vga(machine, config);
        if (err)
            return pc_fail(error, err, "the VGA can't be set up: %s", gmem_strerror(err));
    }
    err = build_isa(machine, config);
    return err ? pc_fail(error, err, "the ISA devices can't be set up: %s", gmem_strerror(err)) : 0;
}
