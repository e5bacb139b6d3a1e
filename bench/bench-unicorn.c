/* SPDX-License-Identifier: MIT */
/*
 * bench-unicorn.c - what gmem and Unicorn 2 can both do, one beside the other in the same run.
 *
 * Both have the same map: RAM at 0 and n devices of 4 KiB. A row's figure is gmem's, its baseline Unicorn's. Unicorn is used through
 * its public headers; where they are missing at build time the rows say so.
 */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef BENCH_UNICORN
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unicorn/unicorn.h>
#include <unistd.h>
#endif

#define WORKING_SET (32u << 10)
#define SEED 2463534242u
#define LIMIT_SECONDS 60.0
#define LIMIT_QUICK_SECONDS 0.5

struct both {
    struct world *world;
    gmem_ram *block; /* one page, which the map rows map and unmap */
    void *page;
#ifdef BENCH_UNICORN
    uc_engine *engine;
#endif
    uint8_t buf[4096];
};

static uint64_t device_address(const struct both *both, uint32_t random)
{
    return world_address(bench_below(random, both->world->n)) + (random & (WORLD_DEVICE_SIZE - 4));
}

/* --- gmem ------------------------------------------------------------------------------------------------------------ */

#define DEFINE_ACCESS(verb, size)                                                                                      \
    static double verb##_##size(void *opaque, uint64_t count)                                                          \
    {                                                                                                                  \
        struct both *both = opaque;                                                                                    \
        gmem_result result = GMEM_OK;                                                                                  \
        uint32_t random = SEED;                                                                                        \
        double start = bench_now();                                                                                    \
                                                                                                                       \
        for (; count > 0; count--)                                                                                     \
            result |= gmem_space_##verb(both->world->space, bench_random(&random) & (WORKING_SET - (size)),            \
                                        GMEM_ATTRS_NONE, both->buf, size);                                             \
        return result ? -1 : bench_now() - start;                                                                      \
    }

DEFINE_ACCESS(read, 4)
DEFINE_ACCESS(read, 64)
DEFINE_ACCESS(read, 4096)
DEFINE_ACCESS(write, 4)
DEFINE_ACCESS(write, 64)
DEFINE_ACCESS(write, 4096)

static double mmio_read(void *opaque, uint64_t count)
{
    struct both *both = opaque;
    gmem_result result = GMEM_OK;
    uint32_t random = SEED;
    double start = bench_now();

    for (; count > 0; count--)
        result |= gmem_space_read(both->world->space, device_address(both, bench_random(&random)), GMEM_ATTRS_NONE,
                                  both->buf, 4);
    return result ? -1 : bench_now() - start;
}

/* One more region beyond the devices: made and placed, taken out and given up. Two commits. */
static double map_and_unmap(const struct both *both, uint64_t count, bool is_ram)
{
    struct world *world = both->world;
    gmem_region *region = NULL;
    double start = bench_now();
    int err = 0;

    for (; !err && count > 0; count--) {
        err = is_ram ? gmem_region_create_ram(world->vm, "more", both->block, NULL, &region)
                     : world_device_region(world, WORLD_DEVICE_SIZE, &region);
        if (err)
            break;
        err = gmem_region_add(world->root, world_address(world->n), region);
        if (!err)
            err = gmem_region_remove(world->root, region);
        gmem_region_unref(region);
    }
    return err ? -1 : bench_now() - start;
}

static double map_ram(void *opaque, uint64_t count)
{
    return map_and_unmap(opaque, count, true);
}

static double map_mmio(void *opaque, uint64_t count)
{
    return map_and_unmap(opaque, count, false);
}

/* --- Unicorn --------------------------------------------------------------------------------------------------------- */

#ifdef BENCH_UNICORN

#define PEER(function) function
#define MISSING NULL

static uint64_t peer_device_read(uc_engine *engine, uint64_t offset, unsigned size, void *opaque)
{
    const struct world_device *device = opaque;

    (void)engine;
    (void)size;
    return device->value + offset;
}

static void peer_device_write(uc_engine *engine, uint64_t offset, unsigned size, uint64_t value, void *opaque)
{
    struct world_device *device = opaque;

    (void)engine;
    (void)size;
    device->value = value + offset;
}

static uc_err peer_map_device(uc_engine *engine, uint64_t at, struct world_device *device)
{
    return uc_mmio_map(engine, at, WORLD_DEVICE_SIZE, peer_device_read, device, peer_device_write, device);
}

static uc_err peer_create(const struct world *world, uc_engine **ret_engine)
{
    uc_err err = uc_open(UC_ARCH_X86, UC_MODE_64, ret_engine);
    uint32_t i;

    if (!err)
        err = uc_mem_map(*ret_engine, 0, WORLD_RAM_SIZE, UC_PROT_ALL);
    for (i = 0; !err && i < world->n; i++)
        err = peer_map_device(*ret_engine, world_address(i), &world->devices[i]);
    return err;
}

static void peer_destroy(const struct both *both)
{
    if (both->engine)
        (void)uc_close(both->engine);
}

#define DEFINE_PEER_ACCESS(verb, size)                                                                                 \
    static double peer_##verb##_##size(void *opaque, uint64_t count)                                                   \
    {                                                                                                                  \
        struct both *both = opaque;                                                                                    \
        uint32_t random = SEED;                                                                                        \
        int err = 0;                                                                                                   \
        double start = bench_now();                                                                                    \
                                                                                                                       \
        for (; count > 0; count--)                                                                                     \
            err |= (int)uc_mem_##verb(both->engine, bench_random(&random) & (WORKING_SET - (size)), both->buf, size);  \
        return err ? -1 : bench_now() - start;                                                                         \
    }

DEFINE_PEER_ACCESS(read, 4)
DEFINE_PEER_ACCESS(read, 64)
DEFINE_PEER_ACCESS(read, 4096)
DEFINE_PEER_ACCESS(write, 4)
DEFINE_PEER_ACCESS(write, 64)
DEFINE_PEER_ACCESS(write, 4096)

static double peer_mmio_read(void *opaque, uint64_t count)
{
    struct both *both = opaque;
    uint32_t random = SEED;
    int err = 0;
    double start = bench_now();

    for (; count > 0; count--)
        err |= (int)uc_mem_read(both->engine, device_address(both, bench_random(&random)), both->buf, 4);
    return err ? -1 : bench_now() - start;
}

static double peer_map_and_unmap(const struct both *both, uint64_t count, bool is_ram)
{
    uint64_t at = world_address(both->world->n);
    double start = bench_now();
    uc_err err = UC_ERR_OK;

    for (; !err && count > 0; count--) {
        err = is_ram ? uc_mem_map_ptr(both->engine, at, WORLD_DEVICE_SIZE, UC_PROT_ALL, both->page)
                     : peer_map_device(both->engine, at, &both->world->devices[0]);
        if (!err)
            err = uc_mem_unmap(both->engine, at, WORLD_DEVICE_SIZE);
    }
    return err ? -1 : bench_now() - start;
}

static double peer_map_ram(void *opaque, uint64_t count)
{
    return peer_map_and_unmap(opaque, count, true);
}

static double peer_map_mmio(void *opaque, uint64_t count)
{
    return peer_map_and_unmap(opaque, count, false);
}

/* In a process of its own: maps devices until it fails or dies, and writes the count after each. */
static void map_until_it_fails(int fd, double seconds)
{
    const struct rlimit no_core = {0, 0};
    struct world_device device = {0};
    double start = bench_now();
    uc_engine *engine;
    uint32_t i = 0;

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)close(STDERR_FILENO); /* its last words are in the row */
    if (uc_open(UC_ARCH_X86, UC_MODE_64, &engine))
        _exit(2);
    while (bench_now() - start < seconds * 1e9) {
        if (peer_map_device(engine, world_address(i), &device))
            _exit(1);
        i++;
        if (write(fd, &i, sizeof(i)) != sizeof(i))
            _exit(2);
    }
    _exit(0);
}

/* How many devices it can map; *ret_status is how the process ended. 0: nothing could be found out. */
static uint32_t find_limit(double seconds, int *ret_status)
{
    uint32_t reached = 0, seen;
    int fds[2];
    pid_t child;

    if (pipe(fds))
        return 0;
    child = fork();
    if (child == 0) {
        (void)close(fds[0]);
        map_until_it_fails(fds[1], seconds);
    }
    (void)close(fds[1]);
    while (child > 0 && read(fds[0], &seen, sizeof(seen)) == sizeof(seen))
        reached = seen;
    (void)close(fds[0]);
    if (child < 0 || waitpid(child, ret_status, 0) != child)
        return 0;
    return reached;
}

static void measure_limit(struct bench *bench)
{
    struct bench_row row = {.name = "limit/uc_mmio_map", .unit = "maps"};
    struct bench_samples samples = {.count = 1};
    double seconds = bench->quick ? LIMIT_QUICK_SECONDS : LIMIT_SECONDS, start = bench_now(), took;
    char note[80];
    int status = 0;

    if (!bench_wants(bench, &row))
        return;
    samples.at[0] = find_limit(seconds, &status);
    took = (bench_now() - start) / 1e9;
    if (WIFSIGNALED(status))
        (void)snprintf(note, sizeof(note), "then Unicorn ends the process: %s, after %.1f s",
                       strsignal(WTERMSIG(status)), took);
    else if (WEXITSTATUS(status) == 1)
        (void)snprintf(note, sizeof(note), "then refused, after %.1f s", took);
    else
        (void)snprintf(note, sizeof(note), "in %.1f s, then not tried further", seconds);
    row.note = note;
    if (samples.at[0] > 0 && (WIFSIGNALED(status) || WEXITSTATUS(status) < 2))
        bench_report(bench, &row, &samples, NULL);
    else
        bench_skip(bench, &row, "failed", true);
}

#else

#define PEER(function) NULL
#define MISSING "not built: libunicorn-dev missing"

static void measure_limit(struct bench *bench)
{
    const struct bench_row row = {.name = "limit/uc_mmio_map", .unit = "maps"};

    if (bench_wants(bench, &row))
        bench_skip(bench, &row, MISSING, false);
}

#endif

/* --- the rows -------------------------------------------------------------------------------------------------------- */

static const uint32_t sizes[] = {10, 100, 1000};

static const struct {
    const char *name, *baseline;
    bench_fn *run, *run_peer;
    bool only_small; /* does not depend on the size of the map */
} rows[] = {
    {"ram/read 4 B", "uc_mem_read", read_4, PEER(peer_read_4), false},
    {"ram/write 4 B", "uc_mem_write", write_4, PEER(peer_write_4), false},
    {"ram/read 64 B", "uc_mem_read", read_64, PEER(peer_read_64), true},
    {"ram/write 64 B", "uc_mem_write", write_64, PEER(peer_write_64), true},
    {"ram/read 4 KiB", "uc_mem_read", read_4096, PEER(peer_read_4096), true},
    {"ram/write 4 KiB", "uc_mem_write", write_4096, PEER(peer_write_4096), true},
    {"mmio/read 4 B", "uc_mem_read", mmio_read, PEER(peer_mmio_read), false},
    {"map and unmap/ram", "uc_mem_map_ptr", map_ram, PEER(peer_map_ram), false},
    {"map and unmap/mmio", "uc_mmio_map", map_mmio, PEER(peer_map_mmio), false},
};

static int both_create(uint32_t n, struct both *both)
{
    struct gmem_ram_options options = {
        .struct_size = sizeof(options), .id = "page", .size = WORLD_DEVICE_SIZE, .backing = GMEM_RAM_CALLER};
    int err = world_create(n, &both->world);

    if (err)
        return err;
    both->page = aligned_alloc(WORLD_DEVICE_SIZE, WORLD_DEVICE_SIZE);
    if (!both->page)
        return -ENOMEM;
    memset(both->page, 0, WORLD_DEVICE_SIZE);
    options.host = both->page;
    err = gmem_ram_create(both->world->vm, &options, &both->block);
#ifdef BENCH_UNICORN
    if (!err && peer_create(both->world, &both->engine))
        err = -EIO;
#endif
    return err;
}

static void both_destroy(struct both *both)
{
#ifdef BENCH_UNICORN
    peer_destroy(both);
#endif
    world_destroy(both->world);
    free(both->page);
}

static void measure_size(struct bench *bench, uint32_t n)
{
    struct both both = {.world = NULL};
    struct bench_case item;
    bool made = false;
    int err = 0;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (n > sizes[0] && rows[i].only_small)
            continue;
        item = (struct bench_case){.row = {.name = rows[i].name, .n = n, .baseline = rows[i].baseline},
                                   .run = rows[i].run,
                                   .opaque = &both,
                                   .run_baseline = rows[i].run_peer,
                                   .baseline_opaque = &both};
        if (!bench_wants(bench, &item.row))
            continue;
        if (!item.run_baseline) {
            bench_skip(bench, &item.row, MISSING, false);
            continue;
        }
        if (!made)
            err = both_create(n, &both);
        made = true;
        if (err)
            bench_skip(bench, &item.row, gmem_strerror(err), true);
        else
            bench_measure(bench, &item);
    }
    both_destroy(&both);
}

int main(int argc, char **argv)
{
    struct bench bench;
    size_t i;
    int status;

    if (!bench_start(&bench, "bench-unicorn", "What gmem and Unicorn can both do; the baseline is Unicorn.", argc, argv,
                     &status))
        return status;
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        measure_size(&bench, sizes[i]);
    measure_limit(&bench);
    return bench_end(&bench);
}
