/* SPDX-License-Identifier: MIT */
/*
 * bench-commit - what topology changes and lookups cost as the map grows: n MMIO regions side by side in one space. Prints one
 * line for each n. One thread, one vm at a time; public API only.
 *
 *   build    one transaction that places all n, for each region
 *   toggle   disabling or enabling one region, a commit each
 *   lookup   gmem_space_lookup() of a random address that shows something
 *   read     a 4-byte load from such an address: lookup and callback
 *
 * usage: bench-commit [N...]     (default: 100 1000 10000 65536)
 */
#include <gmem/gmem.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STRIDE 0x2000u /* every second page shows a region: neighbours never touch */
#define SIZE 0x1000u
#define LOOKUPS 1000000u
#define TOGGLE_SECONDS 1.0
#define LARGEST (1u << 24)

struct map {
    gmem_vm *vm;
    gmem_region *root;
    gmem_region **regions;
    gmem_space *space;
    unsigned n;
};

static gmem_result read_zero(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    *ret_value = 0;
    return GMEM_OK;
}

static gmem_result write_nothing(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    (void)value;
    return GMEM_OK;
}

static const struct gmem_mmio_ops ops = {.read = read_zero, .write = write_nothing};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* xorshift64: the same addresses in every run. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t random_address(const struct map *map, uint64_t *state)
{
    return next_random(state) % map->n * STRIDE;
}

static int place_all(struct map *map)
{
    int err = gmem_vm_begin(map->vm);

    if (err)
        return err;
    for (unsigned i = 0; i < map->n && !err; i++) {
        err = gmem_region_create_mmio(map->vm, "device", GMEM_SIZE(SIZE), &ops, NULL, NULL, &map->regions[i]);
        if (!err)
            err = gmem_region_add(map->root, (uint64_t)i * STRIDE, map->regions[i]);
    }
    if (!err)
        return gmem_vm_commit(map->vm);
    gmem_vm_abort(map->vm);
    return err;
}

static int build(struct map *map, double *ret_each)
{
    double start;
    int err = gmem_vm_create(NULL, &map->vm);

    if (!err)
        err = gmem_region_create_container(map->vm, "root", GMEM_SIZE_ALL, NULL, &map->root);
    if (!err)
        err = gmem_space_create(map->vm, "memory", map->root, NULL, &map->space);
    if (err)
        return err;
    start = now();
    err = place_all(map);
    *ret_each = (now() - start) / map->n;
    return err;
}

static int toggle(const struct map *map, double *ret_each)
{
    gmem_region *region = map->regions[map->n / 2];
    double start = now(), taken;
    unsigned count = 0;
    int err = 0;

    do {
        err = gmem_region_set_enabled(region, false);
        if (!err)
            err = gmem_region_set_enabled(region, true);
        count += 2;
        taken = now() - start;
    } while (!err && taken < TOGGLE_SECONDS);
    *ret_each = taken / count;
    return err;
}

static int look_up(const struct map *map, double *ret_each)
{
    uint64_t state = 1;
    double start = now();

    for (unsigned i = 0; i < LOOKUPS; i++) {
        struct gmem_section section;
        int err = gmem_space_lookup(map->space, random_address(map, &state), &section);

        if (err)
            return err;
        gmem_section_release(&section);
    }
    *ret_each = (now() - start) / LOOKUPS;
    return 0;
}

static int read_all(const struct map *map, double *ret_each)
{
    uint64_t state = 1;
    double start = now();

    for (unsigned i = 0; i < LOOKUPS; i++) {
        uint32_t value;

        if (gmem_ld32_le(map->space, random_address(map, &state), GMEM_ATTRS_NONE, &value) != GMEM_OK)
            return -EIO;
    }
    *ret_each = (now() - start) / LOOKUPS;
    return 0;
}

static int run(unsigned n)
{
    struct map map = {.n = n, .regions = calloc(n, sizeof(*map.regions))};
    double built = 0, toggled = 0, looked_up = 0, was_read = 0;
    int err = map.regions ? build(&map, &built) : -ENOMEM;

    if (!err)
        err = toggle(&map, &toggled);
    if (!err)
        err = look_up(&map, &looked_up);
    if (!err)
        err = read_all(&map, &was_read);
    if (err)
        fprintf(stderr, "bench-commit: %u regions: %s\n", n, gmem_strerror(err));
    else
        printf("%10u %13.0f %13.0f %13.1f %13.1f\n", n, built * 1e9, toggled * 1e9, looked_up * 1e9, was_read * 1e9);
    gmem_vm_destroy(map.vm);
    free(map.regions);
    return err;
}

int main(int argc, char **argv)
{
    static const char *const defaults[] = {"100", "1000", "10000", "65536"};
    const char *const *sizes = argc > 1 ? (const char *const *)argv + 1 : defaults;
    size_t count = argc > 1 ? (size_t)argc - 1 : sizeof(defaults) / sizeof(defaults[0]);
    bool failed = false;

    for (size_t i = 0; i < count; i++) {
        char *end;
        unsigned long n = strtoul(sizes[i], &end, 10);

        if (sizes[i][0] < '0' || sizes[i][0] > '9' || *end || n == 0 || n > LARGEST) {
            fprintf(stderr, "bench-commit: '%s' is not a number of regions from 1 to %u\n", sizes[i], LARGEST);
            return 2;
        }
    }
    printf("%10s %13s %13s %13s %13s\n", "regions", "build ns/r", "toggle ns", "lookup ns", "read ns");
    for (size_t i = 0; i < count; i++) {
        fflush(stdout);
        if (run((unsigned)strtoul(sizes[i], NULL, 10)))
            failed = true;
    }
    return failed ? 1 : 0;
}
