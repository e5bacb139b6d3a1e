/* SPDX-License-Identifier: MIT */
/*
 * bench-build.c - what it takes to build a map of n devices: time, one by one (a commit each) and in one transaction; and memory, of
 * regions and of the ranges that show them.
 *
 * Timed is making each region and placing it, in a vm with a space and a listener of it; not timed are making and ending the vm.
 * Memory is what the allocator has handed out before and after (mallinfo2(3)), once nothing is waiting to be freed.
 */
#include "world.h"

#include <malloc.h>
#include <time.h>

#define SETTLED_ROUNDS 3
#define SETTLE_NS 20000000l

static const uint32_t sizes[] = {1000, 10000, 100000};

/* --- time ------------------------------------------------------------------------------------------------------------ */

static double build(const uint32_t *n, uint64_t count, bool at_once)
{
    struct world *world;
    double took = 0, start;
    uint32_t i;
    int err = 0;

    for (; !err && count > 0; count--) {
        err = world_create_empty(*n, &world);
        if (err)
            return -1;
        start = bench_now();
        if (at_once)
            err = gmem_vm_begin(world->vm);
        for (i = 0; !err && i < *n; i++)
            err = world_place(world, i);
        if (!err && at_once)
            err = gmem_vm_commit(world->vm);
        took += bench_now() - start;
        gmem_vm_abort(world->vm); /* what failed; nothing after the commit */
        world_destroy(world);
    }
    return err ? -1 : took;
}

static double one_by_one(void *opaque, uint64_t count)
{
    return build(opaque, count, false);
}

static double at_once(void *opaque, uint64_t count)
{
    return build(opaque, count, true);
}

/* The view of a map that is there, made from nothing. */
static double whole_view(void *opaque, uint64_t count)
{
    const uint32_t *n = opaque;
    gmem_region *root = NULL;
    struct world *world;
    gmem_space *space;
    double took = 0, start;

    if (world_create(*n, &world))
        return -1;
    if (world_root_beside(world, &root))
        took = -1;
    for (; took >= 0 && count > 0; count--) {
        start = bench_now();
        if (gmem_space_create(world->vm, "fresh", root, NULL, &space)) {
            took = -1;
            break;
        }
        took += bench_now() - start;
        gmem_space_destroy(space);
    }
    world_destroy(world);
    return took;
}

static void measure_time(struct bench *bench, uint32_t n)
{
    struct bench_case item = {
        .row = {.name = "build/one by one", .n = n, .baseline = "one transaction"},
        .run = one_by_one,
        .opaque = &n,
        .run_baseline = at_once,
        .baseline_opaque = &n,
    };

    if (n == 100000) {
        item.row.target = BENCH_VALUE;
        item.row.at_most = 1e9;
    }
    if (bench_wants(bench, &item.row))
        bench_measure(bench, &item);
    item.row.name = "build/one transaction";
    item.row.baseline = "whole view";
    item.run = at_once;
    item.run_baseline = whole_view;
    if (n == 100000)
        item.row.at_most = 3e8;
    if (bench_wants(bench, &item.row))
        bench_measure(bench, &item);
}

/* --- memory ---------------------------------------------------------------------------------------------------------- */

static size_t in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* Bytes in use when that has not changed for a while: old versions are freed by another thread. */
static double settled(void)
{
    const struct timespec pause = {0, SETTLE_NS};
    size_t bytes = in_use(), before;
    int same = 0;

    while (same < SETTLED_ROUNDS) {
        (void)nanosleep(&pause, NULL);
        before = bytes;
        bytes = in_use();
        same = bytes == before ? same + 1 : 0;
    }
    return (double)bytes;
}

/*
 * A region's share: n placed in a container that no space shows. A range's share: what one more view of n ranges takes, made at once;
 * and what the first view has grown to take when the ranges came one by one.
 */
static bool weigh(uint32_t n, struct bench_samples *regions, struct bench_samples *ranges, struct bench_samples *grown)
{
    struct world *world = NULL;
    gmem_space *space;
    double before;
    uint32_t i;
    int err = world_create_empty(n, &world);

    if (err)
        return false;
    /* Without its space: the regions alone. */
    gmem_listener_unregister(world->vm, &world->listener);
    gmem_space_destroy(world->space);
    before = settled();
    for (i = 0; !err && i < n; i++)
        err = world_place(world, i);
    regions->at[regions->count++] = (settled() - before) / n;
    before = settled();
    if (!err)
        err = gmem_space_create(world->vm, "memory", world->root, NULL, &space);
    ranges->at[ranges->count++] = (settled() - before) / n;
    world_destroy(world);
    if (!err)
        err = world_create_empty(n, &world);
    if (err)
        return false;
    before = settled();
    for (i = 0; !err && i < n; i++)
        err = world_place(world, i);
    grown->at[grown->count++] = (settled() - before) / n - regions->at[regions->count - 1];
    world_destroy(world);
    return !err;
}

static void measure_memory(struct bench *bench, uint32_t n)
{
    struct bench_row rows[] = {
        {"memory/region", n, "bytes", NULL, BENCH_VALUE, 400, NULL},
        {"memory/range", n, "bytes", NULL, BENCH_VALUE, 200, NULL},
        {"memory/range, one by one", n, "bytes", NULL, BENCH_VALUE, 200, NULL},
    };
    struct bench_samples samples[3] = {{.count = 0}};
    bool wanted[3], good = true;
    unsigned i;

    for (i = 0; i < 3; i++)
        wanted[i] = bench_wants(bench, &rows[i]);
    if (!wanted[0] && !wanted[1] && !wanted[2])
        return;
    if (in_use() == 0) {
        for (i = 0; i < 3; i++) {
            if (wanted[i])
                bench_skip(bench, &rows[i], "skipped: this allocator keeps no count (a sanitizer's)", false);
        }
        return;
    }
    for (i = 0; good && i < 3; i++)
        good = weigh(n, &samples[0], &samples[1], &samples[2]);
    for (i = 0; i < 3; i++) {
        if (wanted[i] && good)
            bench_report(bench, &rows[i], &samples[i], NULL);
        else if (wanted[i])
            bench_skip(bench, &rows[i], "failed", true);
    }
}

int main(int argc, char **argv)
{
    struct bench bench;
    size_t i;
    int status;

    if (!bench_start(&bench, "bench-build", "Building a map: time and memory.", argc, argv, &status))
        return status;
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        measure_time(&bench, sizes[i]);
    for (i = 1; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        measure_memory(&bench, sizes[i]);
    return bench_end(&bench);
}
