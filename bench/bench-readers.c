/* SPDX-License-Identifier: MIT */
/*
 * bench-readers.c - how fast threads read while others change the map at full speed.
 *
 * Readers load random words of 32 KiB of RAM, or from random devices of the upper half of the map; each writer toggles a device of its
 * own in the lower half, a commit each time. Every run has a map of its own, which is ended, with all that waits to be freed, before
 * the next. The baseline of a row with writers is the same without, run in turn with it.
 *
 * Threads compete for processors: with more of them than there are processors (writers, readers and the thread that frees old views)
 * the wall clock shows the scheduler's doing. So speed is also given by the readers' own processor time, and how often a reader went
 * to sleep by itself (voluntary context switches), which a reader that never waits never does.
 */
#include "world.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define DEVICES 1000u
#define WORKING_SET (32u << 10)
#define SEED 2463534242u
#define BATCH 64u /* reads between two looks at the stop flag */
#define RUN_NS 100000000l
#define RUN_QUICK_NS 10000000l
#define READERS_MAX 2u
#define WRITERS_MAX 2u

/* Durations in nanoseconds: exact below EXACT, then 16 buckets for each power of two. */
#define EXACT_BITS 14u
#define EXACT (1u << EXACT_BITS)
#define BUCKETS (EXACT + 16u * (64u - EXACT_BITS))

struct histogram {
    uint32_t counts[BUCKETS];
    uint64_t total, max;
};

struct run {
    struct world *world;
    bool mmio, single; /* single: each read is timed by itself */
    atomic_bool go, stop;
};

struct reader {
    pthread_t thread;
    struct run *run;
    struct histogram *histogram;
    uint64_t reads;
    double wall, cpu; /* nanoseconds of all */
    long slept;
    bool failed;
};

struct writer {
    pthread_t thread;
    struct run *run;
    gmem_region *region;
    uint64_t commits;
    double wall; /* nanoseconds of all */
    bool failed;
};

/* --- readers --------------------------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static unsigned bucket_of(uint64_t ns)
{
    unsigned log;

    if (ns < EXACT)
        return (unsigned)ns;
    log = 63u - (unsigned)__builtin_clzll(ns);
    return EXACT + 16u * (log - EXACT_BITS) + (unsigned)(ns >> (log - 4) & 15u);
}

/* The least that falls into it. */
static double bucket_ns(unsigned bucket)
{
    unsigned log;

    if (bucket < EXACT)
        return bucket;
    log = (bucket - EXACT) / 16u + EXACT_BITS;
    return (double)((16ull + (bucket - EXACT) % 16u) << (log - 4));
}

static double percentile(const struct histogram *histogram, double part)
{
    uint64_t wanted = (uint64_t)((double)histogram->total * part), seen = 0;
    unsigned i;

    for (i = 0; i < BUCKETS - 1; i++) {
        seen += histogram->counts[i];
        if (seen > wanted)
            break;
    }
    return bucket_ns(i);
}

static inline gmem_result read_one(const struct run *run, uint32_t *random, uint32_t *sum)
{
    uint32_t value = 0, next = bench_random(random);
    uint64_t address = next & (WORKING_SET - 4);
    gmem_result result;

    if (run->mmio)
        address = world_address(DEVICES / 2 + bench_below(next, DEVICES / 2)) + (next & (WORLD_DEVICE_SIZE - 4));
    result = gmem_ld32_le(run->world->space, address, GMEM_ATTRS_NONE, &value);
    *sum += value;
    return result;
}

static void read_and_time(struct reader *reader, uint32_t *random, uint32_t *sum)
{
    struct histogram *histogram = reader->histogram;
    uint64_t start = now_ns(), took;

    if (read_one(reader->run, random, sum))
        reader->failed = true;
    took = now_ns() - start;
    histogram->counts[bucket_of(took)]++;
    histogram->total++;
    if (took > histogram->max)
        histogram->max = took;
}

static void *read_all(void *opaque)
{
    struct reader *reader = opaque;
    struct run *run = reader->run;
    uint32_t random = SEED, sum = 0;
    gmem_result result = GMEM_OK;
    struct rusage before, after;
    unsigned i;

    while (!atomic_load(&run->go))
        (void)sched_yield();
    (void)getrusage(RUSAGE_THREAD, &before);
    reader->cpu = bench_cpu_now();
    reader->wall = bench_now();
    do {
        for (i = 0; run->single && i < BATCH; i++)
            read_and_time(reader, &random, &sum);
        for (i = 0; !run->single && i < BATCH; i++)
            result |= read_one(run, &random, &sum);
        reader->reads += BATCH;
    } while (!atomic_load_explicit(&run->stop, memory_order_relaxed));
    reader->wall = bench_now() - reader->wall;
    reader->cpu = bench_cpu_now() - reader->cpu;
    (void)getrusage(RUSAGE_THREAD, &after);
    reader->slept = after.ru_nvcsw - before.ru_nvcsw;
    reader->failed = reader->failed || result;
    bench_keep(sum);
    return NULL;
}

static void *write_all(void *opaque)
{
    struct writer *writer = opaque;
    struct run *run = writer->run;
    double start;

    while (!atomic_load(&run->go))
        (void)sched_yield();
    start = bench_now();
    do {
        if (gmem_region_set_enabled(writer->region, writer->commits % 2 != 0))
            writer->failed = true;
        writer->commits++;
    } while (!writer->failed && !atomic_load_explicit(&run->stop, memory_order_relaxed));
    writer->wall = bench_now() - start;
    return NULL;
}

/* --- one run --------------------------------------------------------------------------------------------------------- */

struct outcome {
    double wall, cpu; /* nanoseconds a read, the mean of the readers */
    double slept;     /* all readers together */
    double commits;   /* a second */
};

static bool run_threads(struct run *run, struct reader *readers, unsigned reader_count, struct writer *writers,
                        unsigned writer_count, long run_ns)
{
    const struct timespec pause = {0, run_ns};
    unsigned reading, writing;
    bool good = true;

    for (writing = 0; writing < writer_count; writing++) {
        writers[writing].region = run->world->regions[writing * DEVICES / 4];
        writers[writing].run = run;
        if (pthread_create(&writers[writing].thread, NULL, write_all, &writers[writing]))
            break;
    }
    for (reading = 0; reading < reader_count; reading++) {
        readers[reading].run = run;
        if (pthread_create(&readers[reading].thread, NULL, read_all, &readers[reading]))
            break;
    }
    good = reading == reader_count && writing == writer_count;
    atomic_store(&run->go, true);
    if (good)
        (void)nanosleep(&pause, NULL);
    atomic_store(&run->stop, true);
    while (reading > 0)
        (void)pthread_join(readers[--reading].thread, NULL);
    while (writing > 0)
        (void)pthread_join(writers[--writing].thread, NULL);
    return good;
}

/* histogram: of one reader, each of whose reads is then timed; NULL: none. */
static bool run_once(const struct bench *bench, bool mmio, unsigned reader_count, unsigned writer_count,
                     struct histogram *histogram, struct outcome *ret_outcome)
{
    struct reader readers[READERS_MAX] = {{.histogram = histogram}};
    struct writer writers[WRITERS_MAX] = {{.commits = 0}};
    struct run run = {.mmio = mmio, .single = histogram != NULL};
    struct outcome outcome = {.wall = 0};
    bool good;
    unsigned i;

    if (world_create(DEVICES, &run.world))
        return false;
    good = run_threads(&run, readers, reader_count, writers, writer_count, bench->quick ? RUN_QUICK_NS : RUN_NS);
    world_destroy(run.world);
    for (i = 0; good && i < reader_count; i++) {
        good = !readers[i].failed;
        outcome.wall += readers[i].wall / (double)readers[i].reads / reader_count;
        outcome.cpu += readers[i].cpu / (double)readers[i].reads / reader_count;
        outcome.slept += (double)readers[i].slept;
    }
    for (i = 0; good && i < writer_count; i++) {
        good = !writers[i].failed;
        outcome.commits += (double)writers[i].commits / writers[i].wall * 1e9;
    }
    *ret_outcome = outcome;
    return good;
}

/* --- the rows -------------------------------------------------------------------------------------------------------- */

#define ROWS_MAX 4u

/* Rows that come of the same runs. */
struct group {
    struct bench *bench;
    struct bench_row rows[ROWS_MAX];
    char names[ROWS_MAX][64];
    char note[64];
    bool wanted[ROWS_MAX];
    struct bench_samples samples[ROWS_MAX], baselines[ROWS_MAX];
    unsigned count;
    double commits; /* of all rounds */
};

static void group_add(struct group *group, const char *what, bool mmio, unsigned readers, unsigned writers)
{
    unsigned i = group->count++;

    (void)snprintf(group->names[i], sizeof(group->names[i]), "%s/%s, %u reading, %u writing", what,
                   mmio ? "mmio" : "ram", readers, writers);
    group->rows[i] =
        (struct bench_row){.name = group->names[i], .n = DEVICES, .baseline = writers > 0 ? "0 writing" : NULL};
}

static bool group_wanted(struct group *group)
{
    bool any = false;
    unsigned i;

    for (i = 0; i < group->count; i++) {
        group->wanted[i] = bench_wants(group->bench, &group->rows[i]);
        any = any || group->wanted[i];
    }
    return any;
}

static void put(struct bench_samples *samples, double value)
{
    samples->at[samples->count++] = value;
}

static void group_report(struct group *group, bool good)
{
    unsigned i;

    if (group->commits > 0) {
        (void)snprintf(group->note, sizeof(group->note), "%.0f commits/s", group->commits / group->samples[0].count);
        group->rows[0].note = group->note;
    }
    for (i = 0; i < group->count; i++) {
        if (group->wanted[i] && good)
            bench_report(group->bench, &group->rows[i], &group->samples[i],
                         group->rows[i].baseline ? &group->baselines[i] : NULL);
        else if (group->wanted[i])
            bench_skip(group->bench, &group->rows[i], "failed", true);
    }
}

static void measure_speed(struct bench *bench, bool mmio, unsigned readers, unsigned writers)
{
    struct group group = {.bench = bench};
    struct outcome outcome, base = {.wall = 0};
    unsigned round;
    bool good = true;

    group_add(&group, "wall", mmio, readers, writers);
    group_add(&group, "cpu", mmio, readers, writers);
    group_add(&group, "slept", mmio, readers, writers);
    if (writers > 0) {
        group.rows[1].target = BENCH_RATIO;
        group.rows[1].at_most = 1.25;
    }
    group.rows[2].unit = "times";
    group.rows[2].baseline = NULL;
    group.rows[2].target = BENCH_VALUE;
    if (!group_wanted(&group))
        return;
    for (round = 0; good && round < bench->rounds; round++) {
        if (writers > 0)
            good = run_once(bench, mmio, readers, 0, NULL, &base);
        good = good && run_once(bench, mmio, readers, writers, NULL, &outcome);
        if (!good)
            break;
        put(&group.baselines[0], base.wall);
        put(&group.baselines[1], base.cpu);
        put(&group.samples[0], outcome.wall);
        put(&group.samples[1], outcome.cpu);
        put(&group.samples[2], outcome.slept);
        group.commits += outcome.commits;
    }
    group_report(&group, good);
}

static void put_percentiles(struct bench_samples *samples, const struct histogram *histogram)
{
    put(&samples[0], percentile(histogram, 0.5));
    put(&samples[1], percentile(histogram, 0.99));
    put(&samples[2], percentile(histogram, 0.9999));
    put(&samples[3], (double)histogram->max);
}

static void measure_latency(struct bench *bench, bool mmio, unsigned writers)
{
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    struct group group = {.bench = bench};
    bool good = histogram != NULL;
    struct outcome outcome;
    unsigned round;

    group_add(&group, "p50", mmio, 1, writers);
    group_add(&group, "p99", mmio, 1, writers);
    group_add(&group, "p99.99", mmio, 1, writers);
    group_add(&group, "max", mmio, 1, writers);
    if (!group_wanted(&group)) {
        free(histogram);
        return;
    }
    for (round = 0; good && round < bench->rounds; round++) {
        if (writers > 0) {
            memset(histogram, 0, sizeof(*histogram));
            good = run_once(bench, mmio, 1, 0, histogram, &outcome);
            put_percentiles(group.baselines, histogram);
        }
        if (good) {
            memset(histogram, 0, sizeof(*histogram));
            good = run_once(bench, mmio, 1, writers, histogram, &outcome);
            put_percentiles(group.samples, histogram);
            group.commits += outcome.commits;
        }
    }
    group_report(&group, good);
    free(histogram);
}

int main(int argc, char **argv)
{
    struct bench bench;
    unsigned kind, readers, writers;
    int status;

    if (!bench_start(&bench, "bench-readers",
                     "Readers' speed and slowest reads while others change the map at full speed.", argc, argv,
                     &status))
        return status;
    if (!bench.quick)
        bench.rounds = 15; /* of RUN_NS each */
    for (kind = 0; kind < 2; kind++) {
        for (readers = 1; readers <= READERS_MAX; readers++) {
            for (writers = 0; writers <= WRITERS_MAX; writers++)
                measure_speed(&bench, kind == 1, readers, writers);
        }
    }
    for (kind = 0; kind < 2; kind++) {
        for (writers = 0; writers <= WRITERS_MAX; writers++)
            measure_latency(&bench, kind == 1, writers);
    }
    return bench_end(&bench);
}
