/* SPDX-License-Identifier: MIT */
/*
 * bench-access.c - what an access through a space costs beside doing the same by hand.
 *
 * Each case is timed against its baseline in the same run: rounds of the one and of the other in turn, the best of each
 * counts. The map has RAM at 0 and as many devices above it as the case says; loads and stores go to random words of
 * 32 KiB, which stay in the first cache of any processor.
 *
 * usage: bench-access [--json]
 */
#include <gmem/gmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RAM_SIZE (64u << 20)
#define WORKING_SET (32u << 10)
#define DEVICE_SIZE 0x1000u
#define DEVICES_AT 0x100000000u
#define CALLS 8192u /* timed at once */
#define ROUNDS 200u

struct bench {
    gmem_vm *vm;
    gmem_space *space;
    uint8_t *host;
    uint64_t device;         /* address of one in the middle */
    uint32_t offsets[CALLS]; /* random words of the working set */
    uint8_t buf[4096];
    uint64_t sink;            /* so that nothing measured is left out */
    struct gmem_mmio_ops ops; /* read through a pointer, as the library does */
};

typedef void run_fn(struct bench *bench);

/* --- what is measured ---------------------------------------------------------------------------------------------- */

static void ld32(struct bench *bench)
{
    uint64_t sum = 0;
    uint32_t value;
    size_t i;

    for (i = 0; i < CALLS; i++) {
        (void)gmem_ld32_le(bench->space, bench->offsets[i], GMEM_ATTRS_NONE, &value);
        sum += value;
    }
    bench->sink += sum;
}

static void ld32_raw(struct bench *bench)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < CALLS; i++)
        sum += *(volatile uint32_t *)(void *)(bench->host + bench->offsets[i]);
    bench->sink += sum;
}

static void st32(struct bench *bench)
{
    size_t i;

    for (i = 0; i < CALLS; i++)
        (void)gmem_st32_le(bench->space, bench->offsets[i], GMEM_ATTRS_NONE, (uint32_t)i);
}

static void st32_raw(struct bench *bench)
{
    size_t i;

    for (i = 0; i < CALLS; i++)
        *(volatile uint32_t *)(void *)(bench->host + bench->offsets[i]) = (uint32_t)i;
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    const struct bench *bench = opaque;

    (void)size;
    (void)attrs;
    *ret_value = bench->sink + offset;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct bench *bench = opaque;

    (void)size;
    (void)attrs;
    bench->sink += offset + value;
    return GMEM_OK;
}

static void mmio_read(struct bench *bench)
{
    uint64_t sum = 0;
    uint32_t value;
    size_t i;

    for (i = 0; i < CALLS; i++) {
        (void)gmem_ld32_le(bench->space, bench->device + (bench->offsets[i] & (DEVICE_SIZE - 4)), GMEM_ATTRS_NONE,
                           &value);
        sum += value;
    }
    bench->sink += sum;
}

static void mmio_read_raw(struct bench *bench)
{
    gmem_result (*volatile read)(void *, uint64_t, unsigned, struct gmem_attrs, uint64_t *) = bench->ops.read;
    uint64_t sum = 0, value;
    size_t i;

    for (i = 0; i < CALLS; i++) {
        (void)read(bench, bench->offsets[i] & (DEVICE_SIZE - 4), 4, GMEM_ATTRS_NONE, &value);
        sum += value;
    }
    bench->sink += sum;
}

static void mmio_write(struct bench *bench)
{
    size_t i;

    for (i = 0; i < CALLS; i++)
        (void)gmem_st32_le(bench->space, bench->device + (bench->offsets[i] & (DEVICE_SIZE - 4)), GMEM_ATTRS_NONE,
                           (uint32_t)i);
}

static void mmio_write_raw(struct bench *bench)
{
    gmem_result (*volatile write)(void *, uint64_t, unsigned, struct gmem_attrs, uint64_t) = bench->ops.write;
    size_t i;

    for (i = 0; i < CALLS; i++)
        (void)write(bench, bench->offsets[i] & (DEVICE_SIZE - 4), 4, GMEM_ATTRS_NONE, (uint32_t)i);
}

/* Copies begin at multiples of their size in the working set. */
#define DEFINE_COPIES(size)                                                                                            \
    static void read_##size(struct bench *bench)                                                                       \
    {                                                                                                                  \
        size_t i;                                                                                                      \
                                                                                                                       \
        for (i = 0; i < CALLS; i++)                                                                                    \
            (void)gmem_space_read(bench->space, bench->offsets[i] & ~((size)-1u), GMEM_ATTRS_NONE, bench->buf, size);  \
        bench->sink += bench->buf[0];                                                                                  \
    }                                                                                                                  \
                                                                                                                       \
    static void read_##size##_raw(struct bench *bench)                                                                 \
    {                                                                                                                  \
        size_t i;                                                                                                      \
                                                                                                                       \
        for (i = 0; i < CALLS; i++) {                                                                                  \
            memcpy(bench->buf, bench->host + (bench->offsets[i] & ~((size)-1u)), size);                                \
            __asm__ volatile("" : : "r"(bench->buf) : "memory");                                                       \
        }                                                                                                              \
        bench->sink += bench->buf[0];                                                                                  \
    }                                                                                                                  \
                                                                                                                       \
    static void write_##size(struct bench *bench)                                                                      \
    {                                                                                                                  \
        size_t i;                                                                                                      \
                                                                                                                       \
        for (i = 0; i < CALLS; i++)                                                                                    \
            (void)gmem_space_write(bench->space, bench->offsets[i] & ~((size)-1u), GMEM_ATTRS_NONE, bench->buf, size); \
    }                                                                                                                  \
                                                                                                                       \
    static void write_##size##_raw(struct bench *bench)                                                                \
    {                                                                                                                  \
        size_t i;                                                                                                      \
                                                                                                                       \
        for (i = 0; i < CALLS; i++) {                                                                                  \
            memcpy(bench->host + (bench->offsets[i] & ~((size)-1u)), bench->buf, size);                                \
            __asm__ volatile("" : : "r"(bench->host) : "memory");                                                      \
        }                                                                                                              \
    }

DEFINE_COPIES(64)
DEFINE_COPIES(4096)

static const struct {
    const char *name, *baseline;
    unsigned devices;
    run_fn *run, *run_baseline;
} cases[] = {
    {"ld32", "load", 16, ld32, ld32_raw},
    {"ld32, 10000 ranges", "load", 10000, ld32, ld32_raw},
    {"st32", "store", 16, st32, st32_raw},
    {"mmio ld32", "callback", 16, mmio_read, mmio_read_raw},
    {"mmio ld32, 10000 ranges", "callback", 10000, mmio_read, mmio_read_raw},
    {"mmio st32", "callback", 16, mmio_write, mmio_write_raw},
    {"read 64 B", "memcpy", 16, read_64, read_64_raw},
    {"write 64 B", "memcpy", 16, write_64, write_64_raw},
    {"read 4 KiB", "memcpy", 16, read_4096, read_4096_raw},
    {"write 4 KiB", "memcpy", 16, write_4096, write_4096_raw},
};

/* --- the map ------------------------------------------------------------------------------------------------------- */

static int add_devices(struct bench *bench, gmem_region *root, unsigned count)
{
    gmem_region *region;
    unsigned i;
    int err;

    for (i = 0; i < count; i++) {
        /* With gaps, so that each is a range of its own. */
        err = gmem_region_create_mmio(bench->vm, "device", GMEM_SIZE(DEVICE_SIZE), &bench->ops, bench, NULL, &region);
        if (!err) {
            err = gmem_region_add(root, DEVICES_AT + 2ull * i * DEVICE_SIZE, region);
            gmem_region_unref(region);
        }
        if (err)
            return err;
    }
    bench->device = DEVICES_AT + 2ull * (count / 2) * DEVICE_SIZE;
    return 0;
}

static int build(struct bench *bench, unsigned devices)
{
    gmem_region *root = NULL, *region = NULL;
    gmem_ram *ram = NULL;
    int err;

    bench->ops = (struct gmem_mmio_ops){.read = device_read, .write = device_write};
    err = gmem_vm_create(NULL, &bench->vm);
    if (!err)
        err = gmem_region_create_container(bench->vm, "root", GMEM_SIZE_ALL, NULL, &root);
    if (!err)
        err = gmem_ram_create_anon(bench->vm, "ram", RAM_SIZE, &ram);
    if (!err)
        err = gmem_region_create_ram(bench->vm, "ram", ram, NULL, &region);
    if (!err)
        err = gmem_vm_begin(bench->vm);
    if (!err)
        err = gmem_region_add(root, 0, region);
    if (!err)
        err = add_devices(bench, root, devices);
    if (!err)
        err = gmem_vm_commit(bench->vm);
    if (!err)
        err = gmem_space_create(bench->vm, "memory", root, NULL, &bench->space);
    if (err)
        return err;
    bench->host = gmem_ram_host(ram);
    memset(bench->host, 1, WORKING_SET);
    return 0;
}

/* --- timing -------------------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void time_once(struct bench *bench, run_fn *run, double *best)
{
    double start = now(), took;

    run(bench);
    took = (now() - start) / CALLS;
    if (took < *best)
        *best = took;
}

static int run_case(size_t i, bool json)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    double best = 1e12, baseline = 1e12;
    uint32_t random = 12345;
    unsigned round;
    int err;

    if (!bench)
        return -1;
    err = build(bench, cases[i].devices);
    if (err) {
        (void)fprintf(stderr, "bench-access: cannot build the map: %s\n", gmem_strerror(err));
        gmem_vm_destroy(bench->vm);
        free(bench);
        return -1;
    }
    for (round = 0; round < CALLS; round++) {
        random = random * 1664525u + 1013904223u;
        bench->offsets[round] = (random >> 8) % WORKING_SET & ~3u;
    }
    for (round = 0; round < ROUNDS; round++) {
        time_once(bench, cases[i].run_baseline, &baseline);
        time_once(bench, cases[i].run, &best);
    }
    if (json)
        (void)printf("%s  {\"name\": \"%s\", \"ns\": %.2f, \"baseline\": \"%s\", \"baseline_ns\": %.2f}",
                     i ? ",\n" : "", cases[i].name, best, cases[i].baseline, baseline);
    else
        (void)printf("%-26s %9.2f   %-8s %9.2f %8.1f\n", cases[i].name, best, cases[i].baseline, baseline,
                     best / baseline);
    gmem_vm_destroy(bench->vm);
    free(bench);
    return 0;
}

int main(int argc, char **argv)
{
    bool json = argc == 2 && !strcmp(argv[1], "--json");
    size_t i;

    if (argc > 1 && !json) {
        (void)fprintf(stderr, "usage: bench-access [--json]\n");
        return 2;
    }
    if (json)
        (void)printf("[\n");
    else
        (void)printf("%-26s %9s   %-8s %9s %8s\n", "access", "ns", "beside", "ns", "times");
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (run_case(i, json))
            return 1;
    }
    if (json)
        (void)printf("\n]\n");
    return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
