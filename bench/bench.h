/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the benchmarks share: arguments, rounds, medians, and rows as a table or as JSON.
 *
 * A program says bench_start(), asks bench_wants() for each of its rows, measures those with bench_measure(), and returns
 * bench_end(). A row that needs more than one function to be timed gathers its samples itself and hands them to bench_report().
 *
 * One thread; nothing here is part of what is measured.
 */
#ifndef GMEM_BENCH_H
#define GMEM_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define BENCH_ROUNDS_MAX 64u
#define BENCH_FIRSTS_MAX 256u

/* What a target limits; each is an upper limit. */
enum bench_target {
    BENCH_NO_TARGET = 0,
    BENCH_VALUE, /* the row's own figure, in its unit */
    BENCH_RATIO, /* to the baseline */
    BENCH_ABOVE, /* the figure minus the baseline's, in its unit */
};

struct bench_row {
    const char *name;     /* what --only compares with */
    uint64_t n;           /* size of the map, or what the row says; 0: none */
    const char *unit;     /* NULL: "ns" */
    const char *baseline; /* what is measured in turn with it; NULL: nothing */
    enum bench_target target;
    double at_most;
    const char *note; /* NULL: none */
};

/* One figure a round; the baseline's of the same round has the same index. */
struct bench_samples {
    double at[BENCH_ROUNDS_MAX];
    unsigned count;
};

struct bench {
    const char *program;
    bool json, list, quick;
    const char *only; /* NULL: all */
    unsigned rounds;
    double round_ns; /* how long one round of one side is to take at least */

    bool failed;
    unsigned matched; /* rows that --only let pass */
    FILE *rows;       /* JSON so far, printed at the end in one piece */
    char *text;
    size_t text_size;
    /* The first row of each name, which those of larger n are compared with. */
    struct bench_first {
        char *name;
        uint64_t n;
        double value;
    } firsts[BENCH_FIRSTS_MAX];
    size_t first_count;
};

/*
 * Do it count times and return how many nanoseconds that took, or a negative number when something failed. It reads the clock
 * itself, so that it may leave out what does not belong to it.
 */
typedef double bench_fn(void *opaque, uint64_t count);

struct bench_case {
    struct bench_row row;
    bench_fn *run;
    void *opaque;
    bench_fn *run_baseline; /* NULL: none */
    void *baseline_opaque;
    double baseline_times; /* the baseline's figure is this many of run_baseline; 0: one */
};

/*
 * Read the arguments. True: go on. False: return *ret_status from main (help was printed, or the arguments are wrong). about is a
 * line for --help.
 */
bool bench_start(struct bench *bench, const char *program, const char *about, int argc, char **argv, int *ret_status);

/* Print what is left; the exit status of the program. */
int bench_end(struct bench *bench);

/*
 * Whether the row is to be measured. False if it is not asked for, or is only to be listed, or if its map is too large for a short
 * run, which is reported.
 */
bool bench_wants(struct bench *bench, const struct bench_row *row);

/* A row measured. baseline: NULL if there is none. */
void bench_report(struct bench *bench, const struct bench_row *row, const struct bench_samples *samples,
                  const struct bench_samples *baseline);

/* A row that is not measured, and why; with failed the program's exit status will be 1. */
void bench_skip(struct bench *bench, const struct bench_row *row, const char *reason, bool failed);

/*
 * Measure a row for which bench_wants() said yes, and report it: rounds of the one and of its baseline in turn, each of as many
 * repetitions as take bench->round_ns.
 */
void bench_measure(struct bench *bench, const struct bench_case *item);

/* A row of a table, and what to time for it. */
struct bench_entry {
    struct bench_row row;
    bench_fn *run, *run_baseline;
};

/*
 * Measure all entries that are wanted. map_of(maps, n) is what the functions of a row of that n are given, made when it is first
 * asked for; NULL: it can't be made.
 */
void bench_table(struct bench *bench, const struct bench_entry *entries, size_t count,
                 void *(*map_of)(void *maps, uint64_t n), void *maps);

/* Nanoseconds of a clock that only goes forward, and of the calling thread's processor time. */
double bench_now(void);
double bench_cpu_now(void);

/* Keeps the compiler from leaving out what made value. */
static inline void bench_keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

/* xorshift32: cheap enough to stand in the loops that are timed. *state is never 0. */
static inline uint32_t bench_random(uint32_t *state)
{
    uint32_t x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* A number below n, from a random one. */
static inline uint32_t bench_below(uint32_t random, uint32_t n)
{
    return (uint32_t)((uint64_t)random * n >> 32);
}

#endif
