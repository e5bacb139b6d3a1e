/* SPDX-License-Identifier: MIT */
/*
 * pc/slots.c - the machine's memory slots: made, traced, counted, and processors held out of the guest while they are cut.
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
static void settle(struct machine *machine)
{
    struct gmem_kvm_stats stats;
    uint64_t removed;

    if (!machine->slots)
        return;
    gmem_kvm_stats(machine->slots, &stats);
    removed = stats.bytes_removed - machine->removed;
    machine->removed = stats.bytes_removed;
    if (!machine->started)
        return;
    if (is_pci(machine, machine->removed_at))
        machine->since_start.pci_bytes_removed += removed;
    else
        machine->since_start.bytes_removed += removed;
}

static void on_slot(void *opaque, const char *line)
{
    struct machine *machine = opaque;
    const char *gpa = strstr(line, " gpa=0x");
    unsigned long long at;

    settle(machine);
    if (gpa && sscanf(gpa, " gpa=0x%llx", &at) == 1)
        machine->removed_at = at;
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

int machine_create_slots(struct machine *machine, const struct pc_config *config, struct pc_error *error)
{
    struct gmem_kvm_options options = {
        .struct_size = sizeof(options),
        .vm_fd = machine->kvm ? kvm_vm_fd(machine->kvm) : -1,
        .policy = config->policy,
        .priority = 10,
        .set = config->set,
        .set_opaque = config->set_opaque,
        .trace = on_slot,
        .trace_opaque = machine,
        .pause = pause_processors,
        .resume = resume_processors,
        .pause_opaque = machine,
    };
    const struct gmem_kvm_dirty_options dirty = {
        .struct_size = sizeof(dirty),
        .pause = pause_processors,
        .resume = resume_processors,
        .pause_opaque = machine,
    };
    int err = gmem_kvm_create(machine->memory, &options, &machine->slots);

    if (!err && machine->kvm)
        err = gmem_kvm_dirty_create(machine->slots, &dirty, &machine->dirty);
    return err ? pc_fail(error, err, "the kernel's memory slots can't be used: %s", gmem_strerror(err)) : 0;
}

void machine_slots_started(struct machine *machine)
{
    settle(machine);
    machine->started = true;
}

void machine_slots_since_start(struct machine *machine, struct machine_slots_since_start *ret)
{
    settle(machine);
    *ret = machine->since_start;
}
