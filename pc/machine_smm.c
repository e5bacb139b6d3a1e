/* SPDX-License-Identifier: MIT */
/*
 * pc/machine_smm.c - what is seen in system management mode.
 *
 *  KVM-SMRAM   smram (i440fx.c) in front of system, for an accelerator that has one second address space for all processors;
 *              any machine with the mode has it
 *  cpu-smm-N   the same for each interpreted processor. They share a root, and so a view
 *
 * smram is placed in the first, and the second shows it by an alias, since a region has one place. Both roots, and their parts'
 * names and priorities, are those of recorded machines.
 *
 * Runs before the processors do.
 */
#include "machine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "place.h"

#define FOUR_G 0x100000000u
#define SMRAM_PRIORITY 10
#define CPU_SMRAM_PRIORITY 1

static const struct gmem_space_options space_options = {.struct_size = sizeof(space_options), .unassigned_ones = true};

/* An alias of all of target, which may have 2^64 bytes. */
static int place_whole(gmem_region *container, int32_t priority, const char *name, gmem_region *target, gmem_size size)
{
    gmem_region *alias;
    int err = gmem_region_create_alias(gmem_region_vm(container), name, target, 0, size, NULL, &alias);

    if (err)
        return err;
    err = gmem_region_add_priority(container, 0, alias, priority);
    gmem_region_unref(alias);
    return err;
}

static int build_shared(struct machine *machine)
{
    gmem_region *root;
    int err = gmem_region_create_container(machine->vm, "mem-container-smram", GMEM_SIZE_ALL, NULL, &root);

    if (err)
        return err;
    err = gmem_region_add_priority(root, 0, i440fx_smram(machine->i440fx), SMRAM_PRIORITY);
    if (!err)
        err = place_whole(root, 0, "mem-smram", machine->system, GMEM_SIZE_ALL);
    if (!err)
        err = gmem_space_create(machine->vm, "KVM-SMRAM", root, &space_options, &machine->smram_space);
    gmem_region_unref(root);
    return err;
}

static int create_cpu_spaces(struct machine *machine, gmem_region *root)
{
    machine->cpu_smm = calloc(machine->cpu_count, sizeof(machine->cpu_smm[0]));
    if (!machine->cpu_smm)
        return -ENOMEM;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        char name[32];
        int err;

        snprintf(name, sizeof(name), "cpu-smm-%u", i);
        err = gmem_space_create(machine->vm, name, root, &space_options, &machine->cpu_smm[i]);
        if (err)
            return err;
    }
    return 0;
}

static int build_interpreted(struct machine *machine)
{
    gmem_region *root;
    int err = gmem_region_create_container(machine->vm, "cpu_as_root-memory", GMEM_SIZE_ALL, NULL, &root);

    if (err)
        return err;
    err = place_whole(root, CPU_SMRAM_PRIORITY, "smram", i440fx_smram(machine->i440fx), GMEM_SIZE(FOUR_G));
    if (!err)
        err = place_whole(root, 0, "cpu_as_mem-memory", machine->system, GMEM_SIZE_ALL);
    if (!err)
        err = create_cpu_spaces(machine, root);
    gmem_region_unref(root);
    return err;
}

int machine_build_smm(struct machine *machine)
{
    int err;

    if (!machine->smm)
        return 0;
    err = build_shared(machine);
    return err || machine->accel != PC_ACCEL_INTERP ? err : build_interpreted(machine);
}

void machine_end_smm(struct machine *machine)
{
    if (machine->cpu_smm) {
        for (unsigned i = 0; i < machine->cpu_count; i++)
            gmem_space_destroy(machine->cpu_smm[i]);
    }
    free(machine->cpu_smm);
    gmem_space_destroy(machine->smram_space);
}

gmem_space *machine_smram_space(struct machine *machine)
{
    return machine->smram_space;
}
