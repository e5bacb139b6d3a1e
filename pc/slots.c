/* SPDX-License-Identifier: MIT */
/*
 * pc/slots.c - the machine's memory slots: made, traced, counted, and processors held out of the guest while they are cut.
 *
 * There is a set of them for each of KVM's address spaces that the machine has: 0, and with system management mode 1, which is
 * for processors in that mode. Each has an adapter of its own, and one commit changes first the one and then the other.
 *
 * No kernel has slots of an interpreted machine, so they are planned only: nothing is held out, and ua= is where memory is in the
 * RAM offset space, which is the same in every run.
 *
 * What a removal removed is not in its trace line, but the adapter counts it when the line is out: so it is found at the next
 * line, or at the end, as what its counter has grown by.
 *
 * Lock: callbacks run inside of commits, under the vm's writer turn; counts are read when no processor runs.
 */
#include "machine_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define IOAPIC 0xfec00000u

/* Where this machine has BARs of memory, unless the guest puts one below 1 MiB. */
static bool is_pci(const struct machine *machine, uint64_t gpa)
{
    return (gpa >= machine->below_4g && gpa < IOAPIC) || gpa >= machine->memory_end;
}

/* Enter what the latest removal removed. */
static void settle(struct machine_slots *slots)
{
    struct machine *machine = slots->machine;
    struct gmem_kvm_stats stats;
    uint64_t removed;

    if (!slots->kvm)
        return;
    gmem_kvm_stats(slots->kvm, &stats);
    removed = stats.bytes_removed - slots->removed;
    slots->removed = stats.bytes_removed;
    if (!machine->started)
        return;
    if (is_pci(machine, slots->removed_at))
        machine->since_start.pci_bytes_removed += removed;
    else
        machine->since_start.bytes_removed += removed;
}

static void on_slot(void *opaque, const char *line)
{
    struct machine_slots *slots = opaque;
    struct machine *machine = slots->machine;
    const char *gpa = strstr(line, " gpa=0x");
    unsigned long long at;

    settle(slots);
    if (gpa && sscanf(gpa, " gpa=0x%llx", &at) == 1)
        slots->removed_at = at;
    if (machine->hooks.trace_slot)
        machine->hooks.trace_slot(machine->hooks.opaque, line);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * Before there are processors there is none to be held out. The dirty log pauses for a logged slot that goes, also inside of a
 * pause of the adapter's: that is one.
 */
static void pause_processors(void *opaque)
{
    struct machine *machine = opaque;

    if (!machine->cpus)
        return;
    if (!machine->pause_depth++)
        machine->pause_began = now_ns();
    machine->cpus->ops->pause(machine->cpus);
}

static void resume_processors(void *opaque)
{
    struct machine *machine = opaque;
    uint64_t took;

    if (!machine->cpus)
        return;
    machine->cpus->ops->resume(machine->cpus);
    if (--machine->pause_depth)
        return;
    took = now_ns() - machine->pause_began;
    __atomic_store_n(&machine->pauses.count, machine->pauses.count + 1, __ATOMIC_RELAXED);
    if (took > machine->pauses.ns_max)
        __atomic_store_n(&machine->pauses.ns_max, took, __ATOMIC_RELAXED);
}

void machine_pauses(const struct machine *machine, struct machine_pauses *ret)
{
    ret->count = __atomic_load_n(&machine->pauses.count, __ATOMIC_RELAXED);
    ret->ns_max = __atomic_load_n(&machine->pauses.ns_max, __ATOMIC_RELAXED);
}

/* Takes every call: there is no kernel to be told. */
static int plan_only(void *opaque, const struct kvm_userspace_memory_region *call)
{
    (void)opaque, (void)call;
    return 0;
}

static struct gmem_kvm_options adapter_options(struct machine *machine, const struct pc_config *config, uint16_t as_id)
{
    struct gmem_kvm_options options = {
        .struct_size = sizeof(options),
        .vm_fd = machine->kvm ? kvm_vm_fd(machine->kvm) : -1,
        .as_id = as_id,
        .policy = config->policy,
        .priority = 10,
        .set = config->set,
        .set_opaque = config->set_opaque,
        .trace = on_slot,
        .trace_opaque = &machine->slots[as_id],
    };

    if (machine->accel == PC_ACCEL_INTERP) {
        options.ram_offsets = true;
        if (!options.set)
            options.set = plan_only;
    } else {
        options.pause = pause_processors;
        options.resume = resume_processors;
        options.pause_opaque = machine;
    }
    return options;
}

static int create_dirty(struct machine *machine, struct machine_slots *slots)
{
    const struct gmem_kvm_dirty_options options = {
        .struct_size = sizeof(options),
        .pause = pause_processors,
        .resume = resume_processors,
        .pause_opaque = machine,
    };

    return machine->kvm ? gmem_kvm_dirty_create(slots->kvm, &options, &slots->dirty) : 0;
}

int machine_create_slots(struct machine *machine, const struct pc_config *config, uint16_t as_id,
                         struct pc_error *error)
{
    const struct gmem_kvm_options options = adapter_options(machine, config, as_id);
    struct machine_slots *slots = &machine->slots[as_id];
    int err;

    slots->machine = machine;
    err = gmem_kvm_create(as_id ? machine->smram_space : machine->memory, &options, &slots->kvm);
    if (!err)
        err = create_dirty(machine, slots);
    return err ? pc_fail(error, err, "the kernel's memory slots can't be used: %s", gmem_strerror(err)) : 0;
}

void machine_destroy_slots(struct machine *machine)
{
    for (unsigned as_id = MACHINE_AS_IDS; as_id-- > 0;) {
        gmem_kvm_dirty_destroy(machine->slots[as_id].dirty);
        gmem_kvm_destroy(machine->slots[as_id].kvm);
    }
}

void machine_slots_started(struct machine *machine)
{
    for (unsigned as_id = 0; as_id < MACHINE_AS_IDS; as_id++)
        settle(&machine->slots[as_id]);
    machine->started = true;
}

void machine_slots_since_start(struct machine *machine, struct machine_slots_since_start *ret)
{
    for (unsigned as_id = 0; as_id < MACHINE_AS_IDS; as_id++)
        settle(&machine->slots[as_id]);
    *ret = machine->since_start;
}

void machine_slots_stats(const struct machine *machine, struct gmem_kvm_stats *ret)
{
    struct gmem_kvm_stats smm;

    gmem_kvm_stats(machine->slots[0].kvm, ret);
    if (!machine->slots[1].kvm)
        return;
    gmem_kvm_stats(machine->slots[1].kvm, &smm);
    ret->calls += smm.calls;
    ret->removals += smm.removals;
    ret->bytes_added += smm.bytes_added;
    ret->bytes_removed += smm.bytes_removed;
    ret->failed += smm.failed;
    ret->slots += smm.slots;
    ret->slots_peak += smm.slots_peak;
    ret->pauses += smm.pauses;
    if (smm.pause_ns_max > ret->pause_ns_max)
        ret->pause_ns_max = smm.pause_ns_max;
}

gmem_kvm *machine_slots(struct machine *machine)
{
    return machine->slots[0].kvm;
}

gmem_kvm *machine_slots_smm(struct machine *machine)
{
    return machine->slots[1].kvm;
}
