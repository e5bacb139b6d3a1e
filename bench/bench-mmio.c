/* SPDX-License-Identifier: MIT */
/*
 * bench-mmio.c - finding a device by its address, and calling it, beside the same by hand.
 *
 * Addresses are those of random devices, in the same order on both sides. By hand a device is found by searching an array of ranges by
 * halves, and called through an array of the callbacks and states that the library has.
 */
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SEED 2463534242u
#define SIZES 5u /* of maps */

struct range {
    uint64_t first, last;
};

struct machine {
    struct world *world;
    gmem_view *view;
    struct range *ranges; /* the same addresses, for the search by hand */
};

/* --- lookup ---------------------------------------------------------------------------------------------------------- */

static uint64_t device_address(const struct machine *machine, uint32_t random)
{
    return world_address(bench_below(random, machine->world->n)) + (random & (WORLD_DEVICE_SIZE - 4));
}

static double lookup_space(void *opaque, uint64_t count)
{
    const struct machine *machine = opaque;
    struct gmem_section section;
    uint32_t random = SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        if (gmem_space_lookup(machine->world->space, device_address(machine, bench_random(&random)), &section))
            return -1;
        bench_keep(section.first);
        gmem_section_release(&section);
    }
    return bench_now() - start;
}

static double lookup_view(void *opaque, uint64_t count)
{
    const struct machine *machine = opaque;
    struct gmem_section section;
    uint32_t random = SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        if (gmem_view_find(machine->view, device_address(machine, bench_random(&random)), &section))
            return -1;
        bench_keep(section.first);
    }
    return bench_now() - start;
}

static double lookup_by_hand(void *opaque, uint64_t count)
{
    const struct machine *machine = opaque;
    uint32_t random = SEED, low, high, middle;
    uint64_t address;
    double start = bench_now();

    for (; count > 0; count--) {
        address = device_address(machine, bench_random(&random));
        low = 0;
        high = machine->world->n - 1;
        while (low < high) {
            middle = (low + high) / 2;
            if (machine->ranges[middle].last < address)
                low = middle + 1;
            else
                high = middle;
        }
        bench_keep(machine->ranges[low].first);
    }
    return bench_now() - start;
}

/* --- devices --------------------------------------------------------------------------------------------------------- */

static double mmio_ld32(void *opaque, uint64_t count)
{
    const struct machine *machine = opaque;
    gmem_space *space = machine->world->space;
    uint32_t random = SEED, value, sum = 0;
    gmem_result result = GMEM_OK;
    double start = bench_now();

    for (; count > 0; count--) {
        result |= gmem_ld32_le(space, device_address(machine, bench_random(&random)), GMEM_ATTRS_NONE, &value);
        sum += value;
    }
    bench_keep(sum);
    return result ? -1 : bench_now() - start;
}

static double mmio_ld32_bare(void *opaque, uint64_t count)
{
    const struct machine *machine = opaque;
    const struct world_bare *bare = machine->world->bare, *device;
    gmem_result result = GMEM_OK;
    uint32_t random = SEED, sum = 0;
    uint64_t value;
    double start = bench_now();

    for (; count > 0; count--) {
        device = &bare[bench_below(bench_random(&random), machine->world->n)];
        value = 0;
        result |= device->read(device->opaque, random & (WORLD_DEVICE_SIZE - 4), 4, GMEM_ATTRS_NONE, &value);
        sum += (uint32_t)value;
    }
    bench_keep(sum);
    return result ? -1 : bench_now() - start;
}

static double mmio_st32(void *opaque, uint64_t count)
{
    const struct machine *machine = opaque;
    gmem_space *space = machine->world->space;
    gmem_result result = GMEM_OK;
    uint32_t random = SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        (void)bench_random(&random);
        result |= gmem_st32_le(space, device_address(machine, random), GMEM_ATTRS_NONE, random);
    }
    return result ? -1 : bench_now() - start;
}

static double mmio_st32_bare(void *opaque, uint64_t count)
{
    const struct machine *machine = opaque;
    const struct world_bare *bare = machine->world->bare, *device;
    gmem_result result = GMEM_OK;
    uint32_t random = SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        device = &bare[bench_below(bench_random(&random), machine->world->n)];
        result |= device->write(device->opaque, random & (WORLD_DEVICE_SIZE - 4), 4, GMEM_ATTRS_NONE, random);
    }
    return result ? -1 : bench_now() - start;
}

/* --- two threads, each with a device of its own ---------------------------------------------------------------------- */

struct pair {
    gmem_space *space;
    atomic_bool go;
    uint64_t count;
};

struct one_of_pair {
    struct pair *pair;
    pthread_t thread;
    uint64_t address;
    double wall, cpu; /* nanoseconds of all; negative: failed */
};

static void *call_device(void *opaque)
{
    struct one_of_pair *one = opaque;
    gmem_result result = GMEM_OK;
    uint32_t value, sum = 0;
    double wall, cpu;
    uint64_t i;

    while (!atomic_load(&one->pair->go))
        (void)sched_yield();
    cpu = bench_cpu_now();
    wall = bench_now();
    for (i = 0; i < one->pair->count; i++) {
        result |= gmem_ld32_le(one->pair->space, one->address + (i & 0xffc), GMEM_ATTRS_NONE, &value);
        sum += value;
    }
    bench_keep(sum);
    one->wall = result ? -1 : bench_now() - wall;
    one->cpu = result ? -1 : bench_cpu_now() - cpu;
    return NULL;
}

/* The mean of the threads' own times. */
static double call_devices(const struct machine *machine, unsigned threads, uint64_t count, bool by_cpu)
{
    struct pair pair = {.space = machine->world->space, .count = count};
    struct one_of_pair ones[2];
    unsigned i, made;
    bool good = true;
    double sum = 0;

    for (made = 0; made < threads; made++) {
        ones[made] = (struct one_of_pair){.pair = &pair, .address = world_address(made)};
        if (pthread_create(&ones[made].thread, NULL, call_device, &ones[made]))
            break;
    }
    atomic_store(&pair.go, true);
    for (i = 0; i < made; i++) {
        (void)pthread_join(ones[i].thread, NULL);
        good = good && ones[i].wall >= 0;
        sum += by_cpu ? ones[i].cpu : ones[i].wall;
    }
    return good && made == threads ? sum / threads : -1;
}

static double one_thread(void *opaque, uint64_t count)
{
    return call_devices(opaque, 1, count, false);
}

static double two_threads(void *opaque, uint64_t count)
{
    return call_devices(opaque, 2, count, false);
}

static double one_thread_cpu(void *opaque, uint64_t count)
{
    return call_devices(opaque, 1, count, true);
}

static double two_threads_cpu(void *opaque, uint64_t count)
{
    return call_devices(opaque, 2, count, true);
}

/* --- the rows -------------------------------------------------------------------------------------------------------- */

#define LOOKUPS(n)                                                                                                     \
    {{"lookup/space", n, NULL, "binary search", BENCH_NO_TARGET, 0, NULL}, lookup_space, lookup_by_hand},              \
    {                                                                                                                  \
        {"lookup/view", n, NULL, "binary search", BENCH_NO_TARGET, 0, NULL}, lookup_view, lookup_by_hand               \
    }

static const struct bench_entry rows[] = {
    LOOKUPS(10),
    LOOKUPS(100),
    LOOKUPS(1000),
    LOOKUPS(10000),
    LOOKUPS(100000),
    {{"mmio/ld32", 10, NULL, "bare callback", BENCH_ABOVE, 15, NULL}, mmio_ld32, mmio_ld32_bare},
    {{"mmio/ld32", 10000, NULL, "bare callback", BENCH_ABOVE, 30, NULL}, mmio_ld32, mmio_ld32_bare},
    {{"mmio/st32", 10, NULL, "bare callback", BENCH_ABOVE, 15, NULL}, mmio_st32, mmio_st32_bare},
    {{"mmio/st32", 10000, NULL, "bare callback", BENCH_ABOVE, 30, NULL}, mmio_st32, mmio_st32_bare},
    {{"threads/two devices, wall", 10, NULL, "one thread", BENCH_RATIO, 1.2, NULL}, two_threads, one_thread},
    {{"threads/two devices, cpu", 10, NULL, "one thread", BENCH_RATIO, 1.2, NULL}, two_threads_cpu, one_thread_cpu},
};

/* --- the maps -------------------------------------------------------------------------------------------------------- */

static int machine_create(uint32_t n, struct machine *machine)
{
    uint32_t i;
    int err = world_create(n, &machine->world);

    if (err)
        return err;
    machine->view = gmem_space_view(machine->world->space);
    machine->ranges = calloc(n, sizeof(*machine->ranges));
    for (i = 0; machine->ranges && i < n; i++)
        machine->ranges[i] = (struct range){world_address(i), world_address(i) + WORLD_DEVICE_SIZE - 1};
    return machine->ranges ? 0 : -ENOMEM;
}

/* The map of n devices, made when it is first asked for. NULL: it can't be made. */
static void *machine_of(void *opaque, uint64_t n)
{
    struct machine *maps = opaque;
    size_t i = 0;

    while (i < SIZES - 1 && maps[i].world && maps[i].world->n != n)
        i++;
    if (!maps[i].world && machine_create((uint32_t)n, &maps[i]))
        return NULL;
    return maps[i].ranges ? &maps[i] : NULL;
}

int main(int argc, char **argv)
{
    static struct machine maps[SIZES];
    struct bench bench;
    size_t i;
    int status;

    if (!bench_start(&bench, "bench-mmio", "Lookups and device calls beside the same by hand.", argc, argv, &status))
        return status;
    bench_table(&bench, rows, sizeof(rows) / sizeof(rows[0]), machine_of, maps);
    for (i = 0; i < SIZES; i++) {
        gmem_view_unref(maps[i].view);
        free(maps[i].ranges);
        world_destroy(maps[i].world);
    }
    return bench_end(&bench);
}
