/* SPDX-License-Identifier: MIT */
/*
 * test-commit-model.c - random machines of tens to hundreds of regions under random edits: after every commit all views are
 * what rendering everything gives, by the library's renderer and by a naive one, and share with
 * the versions before what was not edited; listeners know what there is (commit_check.c).
 *
 *   test-commit-model [EDITS]   make so many edits (default 50,000; with GMEM_TEST_LONG 1,000,000)
 *
 * GMEM_TEST_SEED is the seed of the first machine (default: the clock's); each has the next one. Each
 * machine lives in a process of its own. One that fails is run again with fewer and fewer
 * steps, and those that are needed are printed as they are done.
 *
 * Exit: 0 all is well, 1 a machine failed, 2 bad usage.
 */
#include "commit_world.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEPS 1500u
#define SECONDS 300u     /* a machine takes a second or two; one that takes so long hangs */
#define SHRINK_RUNS 400u /* most runs to find out which steps are needed */

/* Shared with the process that runs a machine. */
struct progress {
    uint64_t seed;
    unsigned step; /* that is being done */
    bool left_out[STEPS];
    bool verbose;
    unsigned long edits, refused, checks, views, ranges, shared, naive;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    struct random random = {a * 0xd1342543de82ef95u + b};

    return random_u64(&random);
}

static size_t leaves_of(uint64_t seed)
{
    static const size_t sizes[] = {20, 30, 30, 60, 60, 120, 120, 300, 400, LEAVES_MAX};

    return sizes[mix(seed, 1) % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void run(struct progress *progress)
{
    static struct world world;
    size_t leaves = leaves_of(progress->seed);
    unsigned steps = leaves == LEAVES_MAX ? STEPS / 5 : STEPS;

    alarm(SECONDS);
    world_begin(&world, mix(progress->seed, 2), leaves);
    for (unsigned step = 0; step < steps; step++) {
        progress->step = step;
        if (progress->left_out[step])
            continue;
        world.verbose = progress->verbose;
        if (world.verbose)
            printf("step %u\n", step);
        world_step(&world, mix(progress->seed, 3 + step));
    }
    world_end(&world);
    progress->edits += world.edits;
    progress->refused += world.refused;
    progress->checks += world.checks;
    progress->views += world.views;
    progress->ranges += world.ranges;
    progress->shared += world.shared;
    progress->naive += world.naive;
}

/* Whether a machine fails, in a process of its own. */
static bool fails(struct progress *progress, bool quiet)
{
    pid_t child;
    int status;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (quiet && (!freopen("/dev/null", "w", stdout) || dup2(fileno(stdout), STDERR_FILENO) < 0))
            exit(2);
        run(progress);
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        printf("can't run a machine: %s\n", strerror(errno));
        exit(2);
    }
    return status != 0;
}

/* Leave out steps, many at once first, as long as it still fails. */
static void shrink(struct progress *progress)
{
    unsigned end = progress->step + 1, runs = SHRINK_RUNS, from, length;
    bool before[STEPS];

    for (from = end; from < STEPS; from++)
        progress->left_out[from] = true;
    for (length = end / 2; length > 0; length /= 2) {
        for (from = 0; from < end && runs > 0; from += length) {
            memcpy(before, progress->left_out, sizeof(before));
            for (unsigned i = from; i < from + length && i < end; i++)
                progress->left_out[i] = true;
            if (memcmp(before, progress->left_out, sizeof(before)) == 0)
                continue;
            runs--;
            if (!fails(progress, true))
                memcpy(progress->left_out, before, sizeof(before));
        }
    }
}

static void report(struct progress *progress)
{
    printf("the machine of GMEM_TEST_SEED=%llu, of %zu devices, fails in step %u\n", (unsigned long long)progress->seed,
           leaves_of(progress->seed), progress->step);
    if (!fails(progress, true)) {
        printf("but not when it is run again\n");
        return;
    }
    shrink(progress);
    progress->verbose = true;
    (void)fails(progress, false);
}

int main(int argc, char **argv)
{
    const char *seed = getenv("GMEM_TEST_SEED");
    unsigned long edits = argc > 1 ? strtoul(argv[1], NULL, 0) : test_is_long() ? 1000000 : 50000;
    struct progress *progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned long machines = 0;

    if (progress == MAP_FAILED || edits == 0 || argc > 2) {
        printf("usage: test-commit-model [EDITS]\n");
        return 2;
    }
    progress->seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 1000;
    printf("GMEM_TEST_SEED=%llu\n", (unsigned long long)progress->seed);
    for (; progress->edits < edits; progress->seed++, machines++) {
        if (fails(progress, false)) {
            report(progress);
            return 1;
        }
    }
    printf(
        "%lu machines, %lu edits, %lu refused; everything compared %lu times; %lu new views of %lu ranges on average, "
        "%lu compared with the naive rendering, %lu with the nodes of the version before\n",
        machines, progress->edits, progress->refused, progress->checks, progress->views,
        progress->ranges / (progress->views + 1), progress->naive, progress->shared);
    return 0;
}
