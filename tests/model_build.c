/* SPDX-License-Identifier: MIT */
/*
 * Builds the machine of a struct model through the public API. All placing happens in one
 * transaction, so that every view is rendered once. The library's answer to each call is checked;
 * what it refuses is reported with the line of the model. One thread.
 */
#include "model_tsv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static gmem_result no_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_RESULT_DEVICE;
}

static gmem_result no_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_RESULT_DEVICE;
}

static const struct gmem_mmio_ops device = {.read = no_read, .write = no_write};

static bool refused(const struct machine *machine, const struct model *model, unsigned line, const char *what, int err,
                    struct model_error *error)
{
    char reason[256] = "";

    if (machine->vm)
        gmem_vm_reason(machine->vm, reason, sizeof(reason));
    snprintf(error->text, sizeof(error->text), "%s:%u: %s: %s (%s)", model->regions_path, line, what,
             gmem_strerror(err), reason);
    return false;
}

static gmem_size at_least_one(gmem_size size)
{
    return size.all || size.bytes ? size : gmem_size_of(1);
}

/* What of size bytes from first on lies below 2^64. */
static gmem_size cut(uint64_t first, gmem_size size)
{
    if (first && (size.all || size.bytes > UINT64_MAX - first + 1))
        return gmem_size_of(UINT64_MAX - first + 1);
    return size;
}

/*
 * Reserved addresses instead of memory: a machine may have more RAM than the host.
 * machine_destroy() gives them back.
 */
static int create_ram(gmem_vm *vm, const struct model_region *region, gmem_ram **ret_ram)
{
    struct gmem_ram_options options = {.struct_size = sizeof(options), .backing = GMEM_RAM_CALLER};
    char id[GMEM_RAM_ID_MAX + 1];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    int err;

    if (region->size.all || region->size.bytes > UINT64_MAX - page)
        return -ENOMEM;
    snprintf(id, sizeof(id), "%" PRIu64 ":%s", region->id, region->name); /* names repeat */
    options.id = id;
    options.size = at_least_one(region->size).bytes;
    options.host = mmap(NULL, options.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (options.host == MAP_FAILED)
        return -errno;
    err = gmem_ram_create(vm, &options, ret_ram);
    if (err)
        munmap(options.host, options.size);
    return err;
}

static int create_backed(gmem_vm *vm, const struct model_region *region, const struct gmem_owner *owner,
                         gmem_region **ret)
{
    gmem_ram *ram;
    int err = create_ram(vm, region, &ram);

    if (err)
        return err;
    if (region->kind == GMEM_KIND_RAM)
        err = gmem_region_create_ram(vm, region->name, ram, owner, ret);
    else if (region->kind == GMEM_KIND_ROM)
        err = gmem_region_create_rom(vm, region->name, ram, owner, ret);
    else if (region->kind == GMEM_KIND_RAM_DEVICE)
        err = gmem_region_create_ram_device(vm, region->name, ram, owner, ret);
    else
        err = gmem_region_create_romd(vm, region->name, ram, &device, NULL, owner, ret);
    gmem_ram_unref(ram);
    return err;
}

static int create_region(struct machine *machine, const struct model_region *region, gmem_region **ret)
{
    struct gmem_owner owner = {.label = region->owner};
    gmem_size size = at_least_one(region->size);

    switch (region->kind) {
    case GMEM_KIND_CONTAINER:
        return gmem_region_create_container(machine->vm, region->name, size, &owner, ret);
    case GMEM_KIND_RESERVED:
        return gmem_region_create_reserved(machine->vm, region->name, size, &owner, ret);
    case GMEM_KIND_MMIO:
        return gmem_region_create_mmio(machine->vm, region->name, size, &device, NULL, &owner, ret);
    case GMEM_KIND_ALIAS: /* a target shows nothing past its end, so that cutting there changes nothing */
        return gmem_region_create_alias(machine->vm, region->name, machine->regions[region->alias],
                                        region->alias_offset, cut(region->alias_offset, size), &owner, ret);
    case GMEM_KIND_IOMMU: /* not recorded */
        break;
    case GMEM_KIND_RAM:
    case GMEM_KIND_ROM:
    case GMEM_KIND_ROMD:
    case GMEM_KIND_RAM_DEVICE:
        return create_backed(machine->vm, region, &owner, ret);
    }
    return -EINVAL;
}

/* Targets come before the aliases that show them, whatever the order of the lines. */
static bool create_all(const struct model *model, struct machine *machine, struct model_error *error)
{
    size_t left = model->n_regions;

    while (left) {
        size_t before = left;
        const struct model_region *stuck = NULL;

        for (size_t i = 0; i < model->n_regions; i++) {
            const struct model_region *region = &model->regions[i];
            int err;

            if (machine->regions[i])
                continue;
            if (region->alias != MODEL_NONE && !machine->regions[region->alias]) {
                stuck = region;
                continue;
            }
            err = create_region(machine, region, &machine->regions[i]);
            if (err)
                return refused(machine, model, region->line, region->name, err, error);
            left--;
        }
        if (left == before)
            return refused(machine, model, stuck->line, "aliases of each other", -ELOOP, error);
    }
    return true;
}

static int place(const struct machine *machine, const struct model_region *region, gmem_region *child)
{
    gmem_region *parent = machine->regions[region->parent];
    gmem_size size = gmem_region_size(child);
    gmem_size fits = cut(region->addr, size);
    gmem_region *window;
    int err;

    if (fits.all == size.all && fits.bytes == size.bytes)
        return gmem_region_add_priority(parent, region->addr, child, region->priority);
    err = gmem_region_create_alias(machine->vm, region->name, child, 0, fits, NULL, &window);
    if (err)
        return err;
    err = gmem_region_add_priority(parent, region->addr, window, region->priority);
    gmem_region_unref(window);
    return err;
}

static int set_attributes(const struct model_region *region, gmem_region *made)
{
    bool zero = !region->size.all && !region->size.bytes;
    int err = gmem_region_set_enabled(made, region->enabled && !zero);

    if (!err)
        err = gmem_region_set_nonvolatile(made, region->nonvolatile);
    if (!err && region->kind != GMEM_KIND_ROM)
        err = gmem_region_set_readonly(made, region->readonly);
    return err;
}

struct placement {
    const struct model_region *region;
    gmem_region *made;
};

/*
 * By falling rank: gmem lets the later one win among equals, the recording the one of lower rank.
 */
static int compare_placements(const void *left, const void *right)
{
    const struct model_region *a = ((const struct placement *)left)->region;
    const struct model_region *b = ((const struct placement *)right)->region;

    if (a->rank != b->rank)
        return a->rank > b->rank ? -1 : 1;
    return a->line > b->line ? -1 : 1;
}

static bool place_all(const struct model *model, struct machine *machine, struct model_error *error)
{
    struct placement *order = calloc(model->n_regions + 1, sizeof(*order));
    bool good = true;

    if (!order)
        abort();
    for (size_t i = 0; i < model->n_regions; i++)
        order[i] = (struct placement){&model->regions[i], machine->regions[i]};
    qsort(order, model->n_regions, sizeof(*order), compare_placements);
    for (size_t i = 0; good && i < model->n_regions; i++) {
        const struct model_region *region = order[i].region;
        int err = set_attributes(region, order[i].made);

        if (!err && region->parent != MODEL_NONE)
            err = place(machine, region, order[i].made);
        else if (!err && region->addr)
            err = gmem_region_move(order[i].made, region->addr);
        if (err)
            good = refused(machine, model, region->line, region->name, err, error);
    }
    free(order);
    return good;
}

bool machine_build(const struct model *model, struct machine *machine, struct model_error *error)
{
    int err;

    memset(machine, 0, sizeof(*machine));
    machine->regions = calloc(model->n_regions + 1, sizeof(*machine->regions));
    machine->spaces = calloc(model->n_spaces + 1, sizeof(*machine->spaces));
    if (!machine->regions || !machine->spaces)
        abort();
    err = gmem_vm_create(NULL, &machine->vm);
    if (err) {
        refused(machine, model, 0, "a vm", err, error);
        goto bad;
    }
    if (!create_all(model, machine, error))
        goto bad;
    err = gmem_vm_begin(machine->vm);
    if (!err && !place_all(model, machine, error)) {
        gmem_vm_abort(machine->vm);
        goto bad;
    }
    if (!err)
        err = gmem_vm_commit(machine->vm);
    if (err) {
        refused(machine, model, 0, "the whole", err, error);
        goto bad;
    }
    for (size_t i = 0; i < model->n_spaces; i++) {
        const struct model_space *space = &model->spaces[i];

        err = gmem_space_create(machine->vm, space->name, machine->regions[space->root], NULL, &machine->spaces[i]);
        if (err) {
            refused(machine, model, model->regions[space->root].line, space->name, err, error);
            goto bad;
        }
    }
    return true;
bad:
    machine_destroy(model, machine);
    return false;
}

void machine_destroy(const struct model *model, struct machine *machine)
{
    struct reserved {
        void *host;
        uint64_t size;
    } *reserved = calloc(model->n_regions + 1, sizeof(*reserved));

    if (!reserved)
        abort();
    for (size_t i = 0; i < model->n_regions; i++) {
        gmem_ram *ram = machine->regions[i] ? gmem_region_ram(machine->regions[i]) : NULL;

        if (ram)
            reserved[i] = (struct reserved){gmem_ram_host(ram), gmem_ram_size(ram)};
        gmem_region_unref(machine->regions[i]);
    }
    gmem_vm_destroy(machine->vm);
    for (size_t i = 0; i < model->n_regions; i++) {
        if (reserved[i].host)
            munmap(reserved[i].host, reserved[i].size);
    }
    free(reserved);
    free(machine->regions);
    free(machine->spaces);
    memset(machine, 0, sizeof(*machine));
}
