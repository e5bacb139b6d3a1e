/* SPDX-License-Identifier: MIT */
/*
 * Owns the vm, its regions and spaces, and its RAM blocks, until map_free(). One thread.
 *
 * What the library refuses and a dump may hold is put differently without changing what is seen: what reaches past 2^64 is
 * cut there; an alias without a target is an empty container; an alias of what it lies in itself is a container of aliases
 * (circles.c). Memory of more than can be reserved has host addresses all the same, which overlap: nobody may touch any.
 */
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "circles.h"

/* More than any machine has logged, and bitmaps of 32 MiB. What is past it shows no log. */
#define LOGGED_MAX (UINT64_C(1) << 40)

struct map_index {
    size_t n;
    struct {
        const gmem_region *region;
        size_t index;
    } entries[];
};

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

static int no_translation(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                          struct gmem_iommu_entry *ret_entry)
{
    (void)opaque, (void)addr, (void)want, (void)attrs, (void)ret_entry;
    return -ENOENT;
}

static const struct gmem_iommu_ops untranslated = {.translate = no_translation};
const struct gmem_mmio_ops map_device = {.read = no_read, .write = no_write};

static bool refused(const struct map *map, size_t index, const char *what, int err, struct problem *problem)
{
    const struct topology *topology = &map->built;
    char reason[256] = "";

    if (map->vm)
        gmem_vm_reason(map->vm, reason, sizeof(reason));
    if (err == -ENOMEM)
        alloc_failed();
    return problem_at(problem, topology->source, index == NOWHERE ? 0 : topology->regions[index].line, "%s: %s%s%s",
                      what, gmem_strerror(err), *reason ? ": " : "", reason);
}

/* What of size bytes from first on lies below 2^64. */
static gmem_size cut(uint64_t first, gmem_size size)
{
    if (first && (size.all || size.bytes > UINT64_MAX - first + 1))
        return GMEM_SIZE(UINT64_MAX - first + 1);
    return size;
}

static int create_backed(struct map *map, size_t index, const struct gmem_owner *owner)
{
    const struct topo_region *region = &map->built.regions[index];
    gmem_ram *ram = map->blocks.rams[index];
    gmem_region **ret = &map->regions[index];
    int err;

    if (region->kind == GMEM_KIND_RAM)
        err = gmem_region_create_ram(map->vm, region->name, ram, owner, ret);
    else if (region->kind == GMEM_KIND_ROM)
        err = gmem_region_create_rom(map->vm, region->name, ram, owner, ret);
    else if (region->kind == GMEM_KIND_RAM_DEVICE)
        err = gmem_region_create_ram_device(map->vm, region->name, ram, owner, ret);
    else
        err = gmem_region_create_romd(map->vm, region->name, ram, &map_device, NULL, owner, ret);
    if (!err && region->size.bytes < gmem_ram_size(ram))
        err = gmem_region_resize(*ret, region->size);
    if (!err && region->kind == GMEM_KIND_ROMD && !region->romd)
        err = gmem_region_set_romd(*ret, false);
    return err;
}

static int create_region(struct map *map, size_t index)
{
    const struct topo_region *region = &map->built.regions[index];
    struct gmem_owner owner = {.label = region->owner};
    gmem_region **ret = &map->regions[index];

    switch (region->kind) {
    case GMEM_KIND_RESERVED:
        return gmem_region_create_reserved(map->vm, region->name, region->size, &owner, ret);
    case GMEM_KIND_IOMMU: /* what it translates to is not known: nothing */
        return gmem_region_create_iommu(map->vm, region->name, region->size, &untranslated, NULL, &owner, ret);
    case GMEM_KIND_MMIO:
        return gmem_region_create_mmio(map->vm, region->name, region->size, &map_device, NULL, &owner, ret);
    case GMEM_KIND_ALIAS:
        if (region->target != NOWHERE) /* a target shows nothing past its end, so that cutting there changes nothing */
            return gmem_region_create_alias(map->vm, region->name, map->regions[region->target], region->target_offset,
                                            cut(region->target_offset, region->size), &owner, ret);
        break;
    case GMEM_KIND_CONTAINER:
        break;
    case GMEM_KIND_RAM:
    case GMEM_KIND_ROM:
    case GMEM_KIND_ROMD:
    case GMEM_KIND_RAM_DEVICE:
        return create_backed(map, index, &owner);
    }
    return gmem_region_create_container(map->vm, region->name, region->size, &owner, ret);
}

/* Each client's log of a block is a bitmap of it. */
static int set_log(struct map *map, size_t index)
{
    uint8_t clients = map->built.regions[index].log;
    int err = 0;

    for (unsigned client = 0; !err && client < GMEM_LOG_CLIENTS; client++) {
        uint64_t size = clients >> client & 1 ? gmem_ram_size(map->blocks.rams[index]) : 0;

        if (!size || size > LOGGED_MAX - map->logged)
            continue;
        map->logged += size;
        err = gmem_region_set_log(map->regions[index], client, true);
    }
    return err;
}

static int create_whole(struct map *map, size_t index)
{
    const struct topo_region *region = &map->built.regions[index];
    int err = create_region(map, index);

    if (!err && region->readonly && region->kind != GMEM_KIND_ROM)
        err = gmem_region_set_readonly(map->regions[index], true);
    if (!err && region->nonvolatile)
        err = gmem_region_set_nonvolatile(map->regions[index], true);
    if (!err && !region->enabled)
        err = gmem_region_set_enabled(map->regions[index], false);
    if (!err && region->log)
        err = set_log(map, index);
    return err;
}

/* Targets come before the aliases that show them, whatever the order of the lines. */
static bool create_all(struct map *map, struct problem *problem)
{
    const struct topology *topology = &map->built;
    size_t *chain = alloc_zeroed(topology->n_regions, sizeof(*chain));
    bool ok = blocks_create(topology, map->vm, &map->blocks, problem);

    for (size_t i = 0; ok && i < topology->n_regions; i++) {
        size_t n = 0;

        if (map->regions[i])
            continue;
        chain[n++] = i;
        while (ok && n) {
            size_t index = chain[n - 1], target = topology->regions[index].target;
            int err;

            if (topology->regions[index].kind == GMEM_KIND_ALIAS && target != NOWHERE && !map->regions[target]) {
                /* circles.c leaves no circle to aliases of one another */
                ok = n < topology->n_regions || refused(map, index, topology->regions[index].name, -ELOOP, problem);
                if (ok)
                    chain[n++] = target;
                continue;
            }
            err = create_whole(map, index);
            ok = !err || refused(map, index, topology->regions[index].name, err, problem);
            n--;
        }
    }
    free(chain);
    return ok;
}

/* Among equals the one placed later wins: the last rank is placed first. */
static int by_rank(const void *a, const void *b, void *opaque)
{
    const struct topo_region *regions = opaque;
    const struct topo_region *x = &regions[*(const size_t *)a], *y = &regions[*(const size_t *)b];

    return x->rank < y->rank ? 1 : x->rank > y->rank ? -1 : 0;
}

static bool place_all(struct map *map, struct problem *problem)
{
    const struct topology *topology = &map->built;
    size_t *order = alloc_zeroed(topology->n_regions, sizeof(*order));
    bool ok = true;

    for (size_t i = 0; i < topology->n_regions; i++)
        order[i] = i;
    qsort_r(order, topology->n_regions, sizeof(*order), by_rank, topology->regions);
    for (size_t i = 0; ok && i < topology->n_regions; i++) {
        const struct topo_region *region = &topology->regions[order[i]];
        gmem_region *built = map->regions[order[i]];
        int err;

        if (region->parent == NOWHERE)
            err = region->offset ? gmem_region_move(built, region->offset) : 0;
        else
            err = gmem_region_add_priority(map->regions[region->parent], region->offset, built, region->priority);
        if (err)
            ok = refused(map, order[i], region->name, err, problem);
    }
    free(order);
    return ok;
}

static int by_pointer(const void *a, const void *b)
{
    const gmem_region *x = *(gmem_region *const *)a, *y = *(gmem_region *const *)b;

    return x < y ? -1 : x > y ? 1 : 0;
}

static void index_regions(struct map *map)
{
    size_t n = map->topology->n_regions;

    map->index = alloc_zeroed(1, sizeof(*map->index) + n * sizeof(map->index->entries[0]));
    map->index->n = n;
    for (size_t i = 0; i < n; i++) {
        map->index->entries[i].region = map->regions[i];
        map->index->entries[i].index = i;
    }
    qsort(map->index->entries, n, sizeof(map->index->entries[0]), by_pointer);
}

size_t map_region(const struct map *map, const gmem_region *region)
{
    size_t low = 0, high = map->index->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (map->index->entries[middle].region < region)
            low = middle + 1;
        else
            high = middle;
    }
    return low < map->index->n && map->index->entries[low].region == region ? map->index->entries[low].index : NOWHERE;
}

bool map_build(const struct topology *topology, struct map *map, struct problem *problem)
{
    int err;

    *map = (struct map){.topology = topology};
    if (!circles_undo(topology, &map->built, problem))
        return false;
    map->regions = alloc_zeroed(map->built.n_regions, sizeof(gmem_region *));
    map->spaces = alloc_zeroed(topology->n_spaces, sizeof(gmem_space *));
    err = gmem_vm_create(NULL, &map->vm);
    if (!err)
        err = gmem_vm_begin(map->vm);
    if (err) {
        refused(map, NOWHERE, "the map", err, problem);
        map_free(map);
        return false;
    }
    if (!create_all(map, problem) || !place_all(map, problem)) {
        gmem_vm_abort(map->vm);
        map_free(map);
        return false;
    }
    err = gmem_vm_commit(map->vm);
    if (err)
        refused(map, NOWHERE, "the map", err, problem);
    for (size_t i = 0; !err && i < topology->n_spaces; i++) {
        const struct topo_space *space = &topology->spaces[i];
        gmem_region *root = space->root == NOWHERE ? NULL : map->regions[space->root];
        gmem_region *empty = NULL;
        struct gmem_space_options options = {.struct_size = sizeof(options), .unassigned_ones = space->unassigned_ones};

        if (!root)
            err = gmem_region_create_container(map->vm, "", GMEM_SIZE_ALL, NULL, &empty);
        if (!err)
            err = gmem_space_create(map->vm, space->name, root ? root : empty, &options, &map->spaces[i]);
        gmem_region_unref(empty);
        if (err)
            refused(map, space->root, space->name, err, problem);
    }
    if (err) {
        map_free(map);
        return false;
    }
    index_regions(map);
    return true;
}

void map_free(struct map *map)
{
    blocks_unref(&map->blocks);
    gmem_vm_destroy(map->vm);
    blocks_free(&map->blocks);
    free(map->index);
    circles_free(&map->built);
    free(map->regions);
    free(map->spaces);
    *map = (struct map){0};
}
