/* SPDX-License-Identifier: MIT */
/*
 * bench-commit.c - what one edit with its commit costs as the map and the number of spaces grow.
 *
 * Among n devices one is edited to and fro, so that each commit changes what is seen; a listener of the first space hears it. The
 * spaces share one root ("shared"), or each has a root of its own that shows the shared container through an alias and something
 * beside it, so that each has a view of its own ("distinct").
 *
 * The baseline is rendering everything anew: the time of gmem_space_create() on a root beside the others, in a vm of its own with the
 * same map, which renders the whole map, builds a view of it and publishes that; once for each view that the edit changes.
 */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPACES_MAX 100u
#define ALIAS_AT 0xe000000000000000u
#define RANGES_MAX 2000000u /* ranges of all views together: beyond that building takes long, and much memory */

struct set {
    const char *name;
    unsigned spaces;
    bool distinct;
};

static const struct set sets[] = {
    {"1 space", 1, false},     {"10 shared", 10, false},    {"100 shared", 100, false},
    {"10 distinct", 10, true}, {"100 distinct", 100, true},
};

static const uint32_t sizes[] = {10, 100, 1000, 10000, 100000};

/* A world with more spaces, and the regions that are edited beside the devices. */
struct map {
    struct world *world;
    gmem_region *device;        /* in the middle: toggled, moved, resized */
    gmem_region *below, *above; /* in the same place, apart from the devices; below's priority changes */
    gmem_region *bank, *alias;  /* the alias shows one page of the bank */
    gmem_region *fresh;         /* the root of the whole-view baseline; no space has it */
};

/* --- the edits: count of them, each another than the one before ------------------------------------------------------ */

static double timed(const struct map *map, uint64_t count, int (*edit)(const struct map *map, bool odd))
{
    uint64_t heard = map->world->heard, i;
    double start = bench_now(), took;
    int err = 0;

    for (i = 0; !err && i < count; i++)
        err = edit(map, i % 2 != 0);
    took = bench_now() - start;
    if (count % 2 != 0)
        err = err ? err : edit(map, true);
    /* Each commit must have changed something that the listener was told. */
    return err || map->world->heard < heard + count ? -1 : took;
}

static int edit_toggle(const struct map *map, bool odd)
{
    return gmem_region_set_enabled(map->device, odd);
}

static int edit_move(const struct map *map, bool odd)
{
    uint64_t at = world_address(map->world->n / 2);

    return gmem_region_move(map->device, odd ? at : at + WORLD_DEVICE_SIZE);
}

static int edit_resize(const struct map *map, bool odd)
{
    return gmem_region_resize(map->device, GMEM_SIZE(odd ? WORLD_DEVICE_SIZE : WORLD_DEVICE_SIZE / 2));
}

static int edit_priority(const struct map *map, bool odd)
{
    return gmem_region_set_priority(map->below, odd ? 1 : 3);
}

static int edit_priority_last(const struct map *map, bool odd)
{
    return gmem_region_set_priority(map->below, odd ? -1 : 3);
}

static int edit_alias(const struct map *map, bool odd)
{
    return gmem_region_set_alias(map->alias, map->bank, odd ? 0 : WORLD_DEVICE_SIZE);
}

static double toggle(void *opaque, uint64_t count)
{
    return timed(opaque, count, edit_toggle);
}

static double move(void *opaque, uint64_t count)
{
    return timed(opaque, count, edit_move);
}

static double resize(void *opaque, uint64_t count)
{
    return timed(opaque, count, edit_resize);
}

static double priority(void *opaque, uint64_t count)
{
    return timed(opaque, count, edit_priority);
}

static double priority_last(void *opaque, uint64_t count)
{
    return timed(opaque, count, edit_priority_last);
}

static double alias(void *opaque, uint64_t count)
{
    return timed(opaque, count, edit_alias);
}

static const struct edit {
    const char *name;
    bench_fn *run;
} edits[] = {
    {"toggle", toggle},
    {"move", move},
    {"resize", resize},
    {"priority", priority},
    {"priority to last", priority_last},
    {"alias re-aim", alias},
};

/* Everything anew. */
static double whole_view(void *opaque, uint64_t count)
{
    const struct map *map = opaque;
    double took = 0, start;
    gmem_space *space;

    for (; count > 0; count--) {
        start = bench_now();
        if (gmem_space_create(map->world->vm, "fresh", map->fresh, NULL, &space))
            return -1;
        took += bench_now() - start;
        gmem_space_destroy(space);
    }
    return took;
}

/* --- the maps -------------------------------------------------------------------------------------------------------- */

static int add_edited(struct map *map)
{
    struct world *world = map->world;
    uint64_t beyond = world_address(world->n);
    int err = world_device_region(world, WORLD_DEVICE_SIZE, &map->below);

    map->device = world->regions[world->n / 2];
    if (!err)
        err = world_device_region(world, WORLD_DEVICE_SIZE, &map->above);
    if (!err)
        err = world_device_region(world, 2ull * WORLD_DEVICE_SIZE, &map->bank);
    if (!err)
        err = gmem_region_create_alias(world->vm, "window", map->bank, 0, GMEM_SIZE(WORLD_DEVICE_SIZE), NULL,
                                       &map->alias);
    if (!err)
        err = gmem_region_add_priority(world->root, beyond, map->below, 1);
    if (!err)
        err = gmem_region_add_priority(world->root, beyond, map->above, 2);
    if (!err)
        err = gmem_region_add(world->root, ALIAS_AT, map->alias);
    return err;
}

static int add_spaces(const struct map *map, const struct set *set)
{
    gmem_region *root = map->world->root;
    gmem_space *space;
    unsigned i;
    int err = 0;

    /* The first one is the world's. */
    for (i = 1; !err && i < set->spaces; i++) {
        if (set->distinct)
            err = world_root_beside(map->world, &root);
        if (!err)
            err = gmem_space_create(map->world->vm, "more", root, NULL, &space);
    }
    return err;
}

static int map_create(uint32_t n, const struct set *set, struct map *map)
{
    int err = world_create(n, &map->world);

    if (!err)
        err = add_edited(map);
    if (!err)
        err = add_spaces(map, set);
    if (!err)
        err = world_root_beside(map->world, &map->fresh);
    return err;
}

static void map_destroy(struct map *map)
{
    world_destroy(map->world);
    *map = (struct map){.world = NULL};
}

/* --- the rows -------------------------------------------------------------------------------------------------------- */

/* The rows of one map. whole is another map of the same n, so that its spaces do not disturb this one. */
static void measure_map(struct bench *bench, uint32_t n, const struct set *set, const bool *wanted)
{
    const char *too_large = "skipped: more than 2,000,000 ranges in all views together";
    struct map map = {.world = NULL}, whole = {.world = NULL};
    struct bench_case item;
    char name[64], beside[40];
    int err = -E2BIG;
    size_t i;

    if (!set->distinct || (uint64_t)n * set->spaces <= RANGES_MAX) {
        err = map_create(n, set, &map);
        if (!err)
            err = map_create(n, &sets[0], &whole);
    }
    for (i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        if (!wanted[i])
            continue;
        (void)snprintf(name, sizeof(name), "%s/%s", edits[i].name, set->name);
        (void)snprintf(beside, sizeof(beside), "%s", set->distinct ? "whole views" : "whole view");
        item = (struct bench_case){
            .row = {.name = name, .n = n, .baseline = beside},
            .run = edits[i].run,
            .opaque = &map,
            .run_baseline = whole_view,
            .baseline_opaque = &whole,
            .baseline_times = set->distinct ? set->spaces : 1,
        };
        if (n == 10000 && set->spaces == 1 && edits[i].run == toggle) {
            item.row.target = BENCH_VALUE;
            item.row.at_most = 3000;
        }
        if (err)
            bench_skip(bench, &item.row, err == -E2BIG ? too_large : gmem_strerror(err), err != -E2BIG);
        else
            bench_measure(bench, &item);
    }
    map_destroy(&map);
    map_destroy(&whole);
}

static void measure_size(struct bench *bench, uint32_t n, const struct set *set)
{
    bool wanted[sizeof(edits) / sizeof(edits[0])], any = false;
    struct bench_row row = {.n = n};
    char name[64];
    size_t i;

    for (i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s/%s", edits[i].name, set->name);
        row.name = name;
        wanted[i] = bench_wants(bench, &row);
        any = any || wanted[i];
    }
    if (any)
        measure_map(bench, n, set, wanted);
}

/* One map beside another, in turn, for the targets that compare them. */
static void measure_beside(struct bench *bench, const struct bench_row *row, const struct set *set, uint32_t beside_n)
{
    struct map map = {.world = NULL}, beside = {.world = NULL};
    struct bench_case item = {
        .row = *row, .run = toggle, .opaque = &map, .run_baseline = toggle, .baseline_opaque = &beside};
    int err;

    if (!bench_wants(bench, row))
        return;
    err = map_create((uint32_t)row->n, set, &map);
    if (!err)
        err = map_create(beside_n, &sets[0], &beside);
    if (err)
        bench_skip(bench, row, gmem_strerror(err), true);
    else
        bench_measure(bench, &item);
    map_destroy(&map);
    map_destroy(&beside);
}

int main(int argc, char **argv)
{
    static const struct bench_row growth = {"compare/1 space", 100000, NULL, "N = 10000", BENCH_RATIO, 1.5, NULL};
    static const struct bench_row shared = {"compare/100 shared", 10000, NULL, "1 space", BENCH_RATIO, 1.2, NULL};
    struct bench bench;
    size_t i, j;
    int status;

    if (!bench_start(&bench, "bench-commit",
                     "One edit with its commit, by the size of the map and the number of spaces.", argc, argv, &status))
        return status;
    measure_beside(&bench, &growth, &sets[0], 10000);
    measure_beside(&bench, &shared, &sets[2], 10000);
    for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        for (j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++)
            measure_size(&bench, sizes[j], &sets[i]);
    }
    return bench_end(&bench);
}
