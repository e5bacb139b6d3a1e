/* SPDX-License-Identifier: MIT */
/*
 * pc/machine.c - lifetime of a machine: checked, put together, started, stopped, taken apart.
 *
 * Lock: machine->lock, the device lock, is held while an access of a processor is served. So chips need no locks of
 * their own, and edits that their registers cause are made one at a time. It is taken before the vm's writer turn.
 *
 * Taken apart in the reverse order: processors first, so that nothing makes accesses; then the slots; then devices and
 * chips; the vm, which frees what they placed, last.
 */
#include "machine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check(const struct pc_config *config, struct pc_error *error)
{
    if (config->memory < PC_MEMORY_MIN || config->memory > PC_MEMORY_MAX)
        return pc_fail(error, -EINVAL, "%llu bytes of memory: this machine takes 1 MiB to 1011 GiB",
                       (unsigned long long)config->memory);
    if (config->memory % PC_MEMORY_UNIT)
        return pc_fail(error, -EINVAL, "%llu bytes of memory are no whole number of pages of 4 KiB",
                       (unsigned long long)config->memory);
    if (!config->dimm_slots != !config->memory_max || config->dimm_slots > PC_DIMMS_MAX ||
        (config->dimm_slots &&
         (config->memory_max <= config->memory || config->memory_max % PC_DIMM_UNIT ||
          machine_device_memory_end(config->memory, config->dimm_slots, config->memory_max) > PC_ADDRESS_END)))
        return pc_fail(error, -EINVAL, "%u slots for up to %llu bytes of memory are not what this machine can have",
                       config->dimm_slots, (unsigned long long)config->memory_max);
    if (config->cpus < 1 || config->cpus > PC_CPUS_MAX)
        return pc_fail(error, -EINVAL, "%u processors: this machine takes 1 to %u", config->cpus, PC_CPUS_MAX);
    if (!config->firmware || !config->firmware_len || config->firmware_len > PC_FIRMWARE_MAX ||
        config->firmware_len % PC_FIRMWARE_UNIT)
        return pc_fail(error, -EINVAL, "firmware of %zu bytes: it must be a multiple of 64 KiB, at most 16 MiB",
                       config->firmware_len);
    if (config->vga_rom && (!config->vga_rom_len || config->vga_rom_len > VGA_OPTION_ROM_MAX))
        return pc_fail(error, -EINVAL, "a VGA option ROM of %zu bytes: it must have 1 byte to 64 KiB",
                       config->vga_rom_len);
    if (config->accel == PC_ACCEL_NONE && !config->set)
        return pc_fail(error, -EINVAL, "a machine without processors needs somebody to give its memory slots to");
    return 0;
}

static void forward_log(void *opaque, enum gmem_log_level level, const char *text)
{
    const struct machine *machine = opaque;

    if (level >= GMEM_LOG_WARNING)
        pc_log(&machine->hooks, "%s", text);
}

static void begin_access(void *opaque)
{
    struct machine *machine = opaque;

    pci_confadd_begin(machine->pci);
}

static bool smram_closed(void *opaque)
{
    const struct machine *machine = opaque;

    return i440fx_smram_closed(machine->i440fx);
}

static int create_interpreted(struct machine *machine, const struct pc_cpus_config *config, struct pc_error *error)
{
    const struct cpu_interp_config interp = {.time = &machine->time,
                                             .irqchip = machine->irqchip,
                                             .smm = machine->cpu_smm,
                                             .smram_closed = smram_closed,
                                             .opaque = machine};

    return cpu_interp_create(config, &interp, &machine->cpus, error);
}

static int create_cpus(struct machine *machine, struct pc_error *error)
{
    const struct pc_cpus_config config = {
        .count = machine->cpu_count,
        .memory = machine->cpu_memory,
        .smm_memory = machine->smram_space,
        .ports = machine->ports,
        .lock = &machine->lock,
        .hooks = &machine->hooks,
        .begin_access = begin_access,
        .opaque = machine,
    };

    if (machine->kvm)
        return cpu_kvm_create(machine->kvm, &config, &machine->cpus, error);
    return create_interpreted(machine, &config, error);
}

/* KVM comes first: what it refuses is known before memory is taken. */
static int choose_processors(struct machine *machine, const struct pc_config *config, struct pc_error *error)
{
    const bool automatic = config->accel == PC_ACCEL_AUTO;
    int err = 0;

    machine->accel = config->accel;
    if (automatic || config->accel == PC_ACCEL_KVM)
        err = kvm_vm_create(config->smm, config->cpus, &machine->kvm, automatic ? &machine->without_kvm : error);
    if (automatic) {
        machine->accel = err ? PC_ACCEL_INTERP : PC_ACCEL_KVM;
        err = 0;
    }
    machine->clock = machine->accel == PC_ACCEL_INTERP ? vtime_clock(&machine->time) : pc_clock_host();
    return err;
}

static int put_together(struct machine *machine, const struct pc_config *config, struct pc_error *error)
{
    const struct gmem_vm_options options = {
        .struct_size = sizeof(options), .endian = GMEM_ENDIAN_LITTLE, .log = forward_log, .log_opaque = machine};
    int err = gmem_vm_create(&options, &machine->vm);

    if (!err)
        err = machine_build_roots(machine, config->cpus);
    if (err)
        return pc_fail(error, err, "the machine can't be set up: %s", gmem_strerror(err));
    /* QEMU sets slots while it builds; who compares with that wants them step by step. */
    if (config->policy == GMEM_KVM_POLICY_REFERENCE)
        err = machine_create_slots(machine, config, 0, error);
    if (!err)
        err = machine_build(machine, config, error);
    if (!err && config->policy != GMEM_KVM_POLICY_REFERENCE)
        err = machine_create_slots(machine, config, 0, error);
    /* Its slots for system management mode QEMU sets at once, when the machine is complete. */
    if (!err && config->smm)
        err = machine_create_slots(machine, config, 1, error);
    if (!err && machine->accel != PC_ACCEL_NONE)
        err = create_cpus(machine, error);
    return err;
}

static int keep_backing(struct machine *machine, const struct pc_config *config, struct pc_error *error)
{
    machine->backing = config->backing;
    if (!config->backing.path)
        return 0;
    machine->backing_path = strdup(config->backing.path);
    machine->backing.path = machine->backing_path;
    return machine->backing_path ? 0 : pc_fail(error, -ENOMEM, "out of memory");
}

int machine_create(const struct pc_config *config, struct machine **ret, struct pc_error *error)
{
    struct machine *machine;
    int err = check(config, error);

    if (err)
        return err;
    machine = calloc(1, sizeof(*machine));
    if (!machine)
        return pc_fail(error, -ENOMEM, "out of memory");
    machine->hooks = config->hooks;
    machine->smm = config->smm;
    machine->memory_size = config->memory;
    machine->memory_max = config->memory_max;
    pthread_mutex_init(&machine->lock, NULL);
    err = keep_backing(machine, config, error);
    if (!err)
        err = choose_processors(machine, config, error);
    if (!err)
        err = put_together(machine, config, error);
    if (err) {
        machine_destroy(machine);
        return err;
    }
    *ret = machine;
    return 0;
}

int machine_start(struct machine *machine, struct pc_error *error)
{
    machine_slots_started(machine);
    return machine->cpus ? machine->cpus->ops->start(machine->cpus, error) : 0;
}

void machine_stop(struct machine *machine)
{
    if (machine->cpus)
        machine->cpus->ops->stop(machine->cpus);
}

void machine_freeze(struct machine *machine)
{
    if (machine->cpus && machine->cpus->ops->freeze)
        machine->cpus->ops->freeze(machine->cpus);
}

bool machine_run_for(struct machine *machine, uint64_t ns)
{
    return machine->cpus && machine->cpus->ops->run_for && machine->cpus->ops->run_for(machine->cpus, ns);
}

bool machine_executed(const struct machine *machine, struct pc_cpus_stats *ret)
{
    if (!machine->cpus || !machine->cpus->ops->stats)
        return false;
    machine->cpus->ops->stats(machine->cpus, ret);
    return true;
}

void machine_moment(const struct machine *machine, struct machine_moment *ret)
{
    *ret = (struct machine_moment){.ns = pc_clock_now(machine->clock)};
    if (machine->cpus && machine->cpus->ops->counted)
        ret->counted = machine->cpus->ops->counted(machine->cpus, &ret->instructions);
}

void machine_hold(struct machine *machine, bool hold)
{
    if (machine->held == hold)
        return;
    machine->held = hold;
    if (machine->cpus)
        machine->cpus->ops->hold(machine->cpus, hold);
}

bool machine_held(const struct machine *machine)
{
    return machine->held;
}

void machine_lock(struct machine *machine)
{
    pthread_mutex_lock(&machine->lock);
}

void machine_unlock(struct machine *machine)
{
    pthread_mutex_unlock(&machine->lock);
}

static void end_devices(struct machine *machine)
{
    vapic_destroy(machine->vapic);
    fw_cfg_destroy(machine->fw_cfg);
    serial_destroy(machine->serial);
    debugcon_destroy(machine->debugcon);
    cmos_destroy(machine->cmos);
    i8042_destroy(machine->i8042);
    isa_misc_destroy(machine->isa_misc);
    i8237_destroy(machine->dma[1]);
    i8237_destroy(machine->dma[0]);
    screen_destroy(machine->screen);
    vga_destroy(machine->vga);
    i8254_destroy(machine->pit);
    piix4_pm_destroy(machine->pm);
    piix3_ide_destroy(machine->ide);
    piix3_destroy(machine->piix3);
    i440fx_destroy(machine->i440fx);
    pci_bus_destroy(machine->pci);
    irqchip_destroy(machine->irqchip);
}

void machine_destroy(struct machine *machine)
{
    if (!machine)
        return;
    if (machine->cpus)
        machine->cpus->ops->destroy(machine->cpus);
    machine_destroy_slots(machine);
    end_devices(machine);
    machine_end_smm(machine);
    gmem_hotplug_destroy(machine->dimms);
    for (unsigned i = 0; i < machine->cpu_count; i++)
        gmem_space_destroy(machine->cpu_memory[i]);
    free(machine->cpu_memory);
    gmem_space_destroy(machine->ports);
    gmem_space_destroy(machine->memory);
    gmem_region_unref(machine->bios);
    gmem_region_unref(machine->ram);
    gmem_region_unref(machine->io);
    gmem_region_unref(machine->pci_memory);
    gmem_region_unref(machine->system);
    gmem_vm_destroy(machine->vm);
    kvm_vm_destroy(machine->kvm);
    pthread_mutex_destroy(&machine->lock);
    free(machine->backing_path);
    free(machine);
}

enum pc_accel machine_accel(const struct machine *machine)
{
    return machine->accel;
}

const char *machine_without_kvm(const struct machine *machine)
{
    return machine->without_kvm.text[0] ? machine->without_kvm.text : NULL;
}

/* Of either of KVM's address spaces: each marks its own. */
static const char *mark(void *opaque, const struct gmem_section *section)
{
    struct machine *machine = opaque;
    const char *found = gmem_kvm_mark(machine_slots(machine), section);

    if (!found && machine_slots_smm(machine))
        found = gmem_kvm_mark(machine_slots_smm(machine), section);
    return found;
}

struct gmem_print_options machine_print_options(struct machine *machine)
{
    struct gmem_print_options options = {.struct_size = sizeof(options)};

    if (machine->accel != PC_ACCEL_INTERP) {
        options.mark = mark;
        options.mark_opaque = machine;
    }
    return options;
}

gmem_vm *machine_vm(struct machine *machine)
{
    return machine->vm;
}

gmem_space *machine_memory(struct machine *machine)
{
    return machine->memory;
}

gmem_space *machine_io(struct machine *machine)
{
    return machine->ports;
}

gmem_space *machine_cpu_memory(struct machine *machine)
{
    return machine->cpu_memory[0];
}

unsigned machine_cpu_count(const struct machine *machine)
{
    return machine->cpu_count;
}

struct pci_bus *machine_pci(struct machine *machine)
{
    return machine->pci;
}

struct vga *machine_vga(struct machine *machine)
{
    return machine->vga;
}

struct screen *machine_screen(struct machine *machine)
{
    return machine->screen;
}
