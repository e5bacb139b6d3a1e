/* SPDX-License-Identifier: MIT */
/*
 * pc/machine_hotplug.c - memory that is plugged in while the guest runs. The layout is in machine.h.
 *
 * A block's memory is made before, and its slot taken with, the device lock held: touching much memory takes long, and
 * processors go on meanwhile. The region is the container's while it is plugged in, and the block the region's.
 */
#include "machine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fw_tables.h"

#define ONE_G UINT64_C(0x40000000)
#define FOUR_G UINT64_C(0x100000000)
#define PC_SPLIT UINT64_C(0xe0000000)
#define LOW_MAX UINT64_C(0xc0000000)
#define UNPLUG_WAIT_MS 1000u

static uint64_t device_memory_base(uint64_t memory)
{
    uint64_t above = memory < PC_SPLIT ? 0 : memory - LOW_MAX;

    return (FOUR_G + above + ONE_G - 1) & ~(ONE_G - 1);
}

uint64_t machine_device_memory_end(uint64_t memory, unsigned slots, uint64_t max)
{
    uint64_t base = device_memory_base(memory), size = max - memory;

    if (size > PC_ADDRESS_END)
        return UINT64_MAX;
    return (base + size + slots * ONE_G + ONE_G - 1) & ~(ONE_G - 1);
}

int machine_build_dimms(struct machine *machine, const struct pc_config *config)
{
    uint64_t base = device_memory_base(config->memory);
    struct gmem_hotplug_options options = {.struct_size = sizeof(options),
                                           .name = "device-memory",
                                           .base = base,
                                           .size = config->memory_max - config->memory + config->dimm_slots * ONE_G,
                                           .slots = config->dimm_slots,
                                           .align = machine->dimm_align};

    if (!config->dimm_slots)
        return 0;
    machine->memory_end = base + options.size;
    return gmem_hotplug_create(machine->system, &options, &machine->dimms);
}

static bool good_id(const char *id)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t len = strspn(id, letters);

    return len >= 1 && len <= PC_DIMM_ID_MAX && !id[len];
}

static int check(struct machine *machine, uint64_t size, const char *id, struct pc_error *error)
{
    if (!machine->dimms)
        return pc_fail(error, -ENOTSUP, "the machine has no slots for memory (--memory SIZE,slots=N,max=SIZE)");
    if (!size || size % machine->dimm_align)
        return pc_fail(error, -EINVAL, "%llu bytes are not a multiple of %llu MiB", (unsigned long long)size,
                       (unsigned long long)(machine->dimm_align >> 20));
    if (id && !good_id(id))
        return pc_fail(error, -EINVAL, "'%s': an id has 1 to %u letters, digits, '-', '_' or '.'", id, PC_DIMM_ID_MAX);
    return 0;
}

/* The lowest dimmN that no block has. */
static void choose_id(struct machine *machine, char *id, size_t size)
{
    gmem_ram *ram;

    for (unsigned n = 0;; n++) {
        snprintf(id, size, "dimm%u", n);
        if (gmem_ram_find(machine->vm, id, &ram))
            return;
        gmem_ram_unref(ram);
    }
}

static int fail_with_reason(struct machine *machine, int err, const char *id, struct pc_error *error)
{
    char reason[256];

    (void)gmem_vm_reason(machine->vm, reason, sizeof(reason));
    return pc_fail(error, err, "%s: %s", id, reason[0] ? reason : gmem_strerror(err));
}

/* Whether there is any use in making the block: what is refused here would be later, after its memory was touched. */
static int check_room(struct machine *machine, uint64_t size, struct pc_error *error)
{
    struct gmem_hotplug_state state;

    gmem_hotplug_info(machine->dimms, &state);
    if (state.slots_used == state.slots)
        return pc_fail(error, -ENOSPC, "all %u slots are taken", (unsigned)state.slots);
    if (size > machine->memory_max - machine->memory_size - state.used)
        return pc_fail(error, -ENOSPC,
                       "%llu MiB are more than the %llu MiB that are left of max=", (unsigned long long)(size >> 20),
                       (unsigned long long)((machine->memory_max - machine->memory_size - state.used) >> 20));
    return 0;
}

int machine_plug(struct machine *machine, uint64_t size, const char *id, uint64_t *ret_addr, struct pc_error *error)
{
    char name[PC_DIMM_ID_MAX + 1];
    gmem_region *region;
    gmem_ram *ram;
    int err = check(machine, size, id, error);

    if (!err)
        err = check_room(machine, size, error);
    if (err)
        return err;
    if (id)
        snprintf(name, sizeof(name), "%s", id);
    else
        choose_id(machine, name, sizeof(name));
    err = pc_backing_create(&machine->backing, machine->vm, name, true, size, &ram, error);
    if (err)
        return err;
    err = gmem_region_create_ram(machine->vm, name, ram, NULL, &region);
    gmem_ram_unref(ram);
    if (err)
        return fail_with_reason(machine, err, name, error);
    machine_lock(machine);
    err = gmem_hotplug_plug(machine->dimms, region, NULL, name, ret_addr);
    if (!err)
        pc_mapped(&machine->hooks, "plug %s", name);
    machine_unlock(machine);
    if (err)
        err = fail_with_reason(machine, err, name, error);
    gmem_region_unref(region);
    return err;
}

/* Who reads through the map of before ends first; that is soon, or when the accesses that processors are making now end. */
static bool wait_until_gone(struct machine *machine, const char *id)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    gmem_ram *ram;

    for (unsigned i = 0; i < UNPLUG_WAIT_MS; i++) {
        if (gmem_ram_find(machine->vm, id, &ram))
            return true;
        gmem_ram_unref(ram);
        nanosleep(&nap, NULL);
    }
    return false;
}

int machine_unplug(struct machine *machine, const char *id, struct pc_error *error)
{
    int err;

    if (!machine->dimms)
        return pc_fail(error, -ENOTSUP, "the machine has no slots for memory (--memory SIZE,slots=N,max=SIZE)");
    machine_lock(machine);
    err = gmem_hotplug_unplug(machine->dimms, id);
    if (!err)
        pc_mapped(&machine->hooks, "unplug %s", id);
    machine_unlock(machine);
    if (err == -ENOENT)
        return pc_fail(error, err, "'%s': no such block is plugged in", id);
    if (err)
        return fail_with_reason(machine, err, id, error);
    if (!wait_until_gone(machine, id))
        pc_log(&machine->hooks, "%s is unplugged; its memory is still in use, and its id taken, for a while", id);
    return 0;
}

struct gmem_hotplug *machine_dimms(struct machine *machine)
{
    return machine->dimms;
}
