/* SPDX-License-Identifier: MIT */
/*
 * Model test: random topologies and edits, the library against the naive model (naive.h), step by
 * step.
 *
 *   test-model [--seed N] [--first N] [--cases N]   run cases first to first + cases - 1 of a seed (default: that of
 *                                                   GMEM_TEST_SEED, or the clock's)
 *   test-model --replay FILE                        run the steps in FILE, as printed for a failing case
 *
 * Cases run in a worker process, which notes each step before it takes it in memory shared with its
 * parent. So whatever ends the worker, a sanitizer or a hang included, the parent knows the steps,
 * and shrinks them by replaying with steps left out, each time in a new process.
 *
 * Exit: 0 all agree, 1 a case failed, 2 bad usage or input.
 */
#include "model_run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_CASES 100000
#define LONG_CASES 1000000 /* with GMEM_TEST_LONG */
#define CASES_PER_VM 500   /* ending a vm waits for deferred frees */
#define CASE_SECONDS 60    /* a case takes a millisecond; one that takes this long hangs */
#define REPLAY_SECONDS 5   /* the same for the many replays of shrinking */

struct steps {
    unsigned count;
    struct model_op op[MODEL_OPS_MAX];
};

/* Shared by a worker and its parent. */
struct progress {
    uint64_t seed;
    uint64_t index; /* of the case that is running */
    uint64_t end;
    uint64_t edits; /* made and agreed on */
    bool over;      /* all cases are done; what fails now is no case's */
    struct steps steps;
    char failure[512];
};

/*
 * --- the worker
 * -----------------------------------------------------------------------------------
 */

static uint64_t case_seed(uint64_t seed, uint64_t index)
{
    struct model_random random = {seed ^ (index * 0xd1342543de82ef95u)};

    return model_random(&random);
}

/*
 * Every region must be freed once nothing reaches it, though not at once: readers may have to let
 * go first.
 */
static void expect_no_regions(struct model_run *run)
{
    struct gmem_vm_stats stats;

    for (unsigned tries = 0; tries < 2000; tries++) {
        gmem_vm_stats(run->vm, &stats);
        if (!stats.regions)
            return;
        usleep(1000);
        if (gmem_vm_begin(run->vm) == 0)
            gmem_vm_abort(run->vm);
    }
    model_fail(run, "%" PRIu64 " regions are never freed", stats.regions);
}

static bool run_case(struct model_run *run, struct progress *progress)
{
    struct model_plan plan;
    struct model_op op;

    model_plan_begin(&plan, case_seed(progress->seed, progress->index));
    model_case_begin(run);
    progress->steps.count = 0;
    while (!run->failure[0] && model_plan_next(&plan, &run->now, run->depth, &op)) {
        if (progress->steps.count < MODEL_OPS_MAX)
            progress->steps.op[progress->steps.count++] = op;
        model_case_step(run, &op);
    }
    if (!run->failure[0])
        model_case_end(run);
    return !run->failure[0];
}

static int work(int fd)
{
    struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    static struct model_run run; /* large */

    if (progress == MAP_FAILED)
        return 2;
    while (progress->index < progress->end) {
        memset(&run, 0, sizeof(run));
        model_run_open(&run);
        for (unsigned i = 0; i < CASES_PER_VM && progress->index < progress->end; i++, progress->index++) {
            alarm(CASE_SECONDS);
            if (!run_case(&run, progress)) {
                memcpy(progress->failure, run.failure, sizeof(progress->failure));
                _exit(1);
            }
        }
        progress->edits += run.edits;
        expect_no_regions(&run);
        if (!run.failure[0])
            model_run_close(&run);
        if (run.failure[0]) {
            memcpy(progress->failure, run.failure, sizeof(progress->failure));
            _exit(1);
        }
    }
    progress->over = true;
    return 0;
}

/*
 * --- replaying
 * ------------------------------------------------------------------------------------
 */

static bool read_steps(const char *path, struct steps *steps)
{
    FILE *file = fopen(path, "r");
    char line[256];
    unsigned number = 0;

    if (!file) {
        fprintf(stderr, "test-model: %s: %s\n", path, strerror(errno));
        return false;
    }
    steps->count = 0;
    while (fgets(line, sizeof(line), file)) {
        number++;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (steps->count == MODEL_OPS_MAX || !model_op_parse(line, &steps->op[steps->count++])) {
            fprintf(stderr, "test-model: %s:%u: not a step, or more than %d\n", path, number, MODEL_OPS_MAX);
            fclose(file);
            return false;
        }
    }
    fclose(file);
    return true;
}

static int replay(const char *path)
{
    static struct model_run run;
    struct steps steps;
    unsigned i;

    if (!read_steps(path, &steps))
        return 2;
    alarm(REPLAY_SECONDS);
    model_run_open(&run);
    model_case_begin(&run);
    for (i = 0; i < steps.count && !run.failure[0]; i++)
        model_case_step(&run, &steps.op[i]);
    if (!run.failure[0]) {
        model_case_end(&run);
        expect_no_regions(&run);
    }
    if (!run.failure[0])
        model_run_close(&run);
    if (!run.failure[0])
        return 0;
    printf("after step %u of %u: %s\n", i, steps.count, run.failure);
    fflush(stdout);
    _exit(1); /* what is left over is not this case's fault */
}

/*
 * --- the parent
 * -----------------------------------------------------------------------------------
 */

/* Runs this program with an option and its value; returns how it ended. */
static int spawn(const char *option, const char *value, bool quiet)
{
    char *const argv[] = {(char[]){"test-model"}, strdup(option), strdup(value), NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;

    if (posix_spawn_file_actions_init(&actions))
        abort();
    if (quiet) {
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1 /* O_WRONLY */, 0);
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    }
    if (posix_spawn(&child, "/proc/self/exe", &actions, NULL, argv, environ) || waitpid(child, &status, 0) != child) {
        fprintf(stderr, "test-model: can't start a worker: %s\n", strerror(errno));
        exit(2);
    }
    posix_spawn_file_actions_destroy(&actions);
    free(argv[1]);
    free(argv[2]);
    return status;
}

/* How replaying the steps in a process of its own ends. */
static int replay_apart(const struct steps *steps, bool quiet)
{
    int fd = memfd_create("steps", 0);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    char path[32];
    int status;

    if (!file)
        abort();
    for (unsigned i = 0; i < steps->count; i++)
        model_op_print(file, &steps->op[i]);
    fflush(file);
    snprintf(path, sizeof(path), "/dev/fd/%d", fd);
    status = spawn("--replay", path, quiet);
    fclose(file);
    return status;
}

static bool still_fails(const struct steps *steps)
{
    return replay_apart(steps, true) != 0;
}

/* Leaves out runs of steps, long ones first, as long as the rest still fails. */
static void leave_out(struct steps *steps)
{
    for (unsigned length = steps->count / 2; length; length = length > 1 ? length / 2 : 0) {
        for (unsigned from = 0; from + length <= steps->count;) {
            struct steps fewer = *steps;

            memmove(&fewer.op[from], &fewer.op[from + length], (fewer.count - from - length) * sizeof(fewer.op[0]));
            fewer.count -= length;
            if (still_fails(&fewer))
                *steps = fewer;
            else
                from++;
        }
    }
}

/* Makes numbers 0 where that still fails. */
static void simplify(struct steps *steps)
{
    for (unsigned i = 0; i < steps->count; i++) {
        struct steps simpler = *steps;

        simpler.op[i].y = 0;
        if (steps->op[i].y && still_fails(&simpler))
            *steps = simpler;
        simpler = *steps;
        simpler.op[i].x = 0;
        if (steps->op[i].x && still_fails(&simpler))
            *steps = simpler;
    }
}

static void report(const struct progress *progress)
{
    struct steps steps = progress->steps;

    printf("case %" PRIu64 " of seed %" PRIu64 " fails%s%s\n", progress->index, progress->seed,
           progress->failure[0] ? ": " : " (the process died)", progress->failure);
    fflush(stdout);
    if (progress->over || !still_fails(&steps)) {
        printf("not by itself; it does in: test-model --seed %" PRIu64 " --first %" PRIu64 " --cases %d\n",
               progress->seed, progress->index - progress->index % CASES_PER_VM, CASES_PER_VM);
        return;
    }
    for (unsigned count = 0; count != steps.count;) {
        count = steps.count;
        leave_out(&steps);
    }
    simplify(&steps);
    printf("shrunk from %u to %u steps; to run them again: test-model --replay FILE\n", progress->steps.count,
           steps.count);
    for (unsigned i = 0; i < steps.count; i++)
        model_op_print(stdout, &steps.op[i]);
    fflush(stdout);
    replay_apart(&steps, false);
}

static int supervise(uint64_t seed, uint64_t first, uint64_t cases)
{
    int fd = memfd_create("progress", 0);
    struct progress *progress;
    char text[16];
    int status;

    if (fd < 0 || ftruncate(fd, sizeof(*progress)))
        abort();
    progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (progress == MAP_FAILED)
        abort();
    progress->seed = seed;
    progress->index = first;
    progress->end = first + cases;
    snprintf(text, sizeof(text), "%d", fd);
    printf("seed %" PRIu64 ", %" PRIu64 " cases from %" PRIu64 " on\n", seed, cases, first);
    fflush(stdout);
    status = spawn("--worker", text, false);
    if (status)
        report(progress);
    else
        printf("all agree after each of %" PRIu64 " edits\n", progress->edits);
    munmap(progress, sizeof(*progress));
    close(fd);
    return status ? 1 : 0;
}

static bool number(const char *text, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 0);
    return !errno && *text && *text != '-' && !*end;
}

int main(int argc, char **argv)
{
    const char *seed_text = getenv("GMEM_TEST_SEED");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL);
    uint64_t first = 0;
    uint64_t cases = getenv("GMEM_TEST_LONG") ? LONG_CASES : DEFAULT_CASES;

    for (int i = 1; i < argc; i += 2) {
        bool good = i + 1 < argc;

        if (good && strcmp(argv[i], "--replay") == 0)
            return replay(argv[i + 1]);
        if (good && strcmp(argv[i], "--worker") == 0)
            return work(atoi(argv[i + 1]));
        if (good && strcmp(argv[i], "--seed") == 0)
            good = number(argv[i + 1], &seed);
        else if (good && strcmp(argv[i], "--first") == 0)
            good = number(argv[i + 1], &first);
        else if (good && strcmp(argv[i], "--cases") == 0)
            good = number(argv[i + 1], &cases);
        else
            good = false;
        if (!good) {
            fprintf(stderr, "usage: test-model [--seed N] [--first N] [--cases N] | --replay FILE\n");
            return 2;
        }
    }
    return supervise(seed, first, cases);
}
