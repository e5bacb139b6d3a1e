/* SPDX-License-Identifier: MIT */
/*
 * The gmem command as a whole: what `gmem flat` of a tree takes, from starting the program to its last line, beside cat(1) of the
 * same file. Owns a temporary directory with the trees. One thread; the programs run one after the other.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

struct command {
    char gmem[PATH_MAX]; /* beside this program, in the build's tools/ */
    char tree[PATH_MAX];
};

/* Run a program with its output thrown away; the nanoseconds that takes, or -1. */
static double run_once(const char *const *words)
{
    posix_spawn_file_actions_t actions;
    double start = bench_now();
    int status = -1;
    pid_t child;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    if (posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawnp(&child, words[0], &actions, NULL, (char *const *)words, environ) != 0 ||
        waitpid(child, &status, 0) != child)
        status = -1;
    posix_spawn_file_actions_destroy(&actions);
    return status == 0 ? bench_now() - start : -1;
}

static double run(const char *const *words, uint64_t count)
{
    double sum = 0;

    while (count-- > 0) {
        double took = run_once(words);

        if (took < 0)
            return -1;
        sum += took;
    }
    return sum;
}

static double run_flat(void *opaque, uint64_t count)
{
    struct command *command = opaque;

    return run((const char *const[]){command->gmem, "flat", command->tree, NULL}, count);
}

static double run_cat(void *opaque, uint64_t count)
{
    struct command *command = opaque;

    return run((const char *const[]){"cat", command->tree, NULL}, count);
}

/* n devices of 4 KiB with gaps, in one container. */
static bool write_tree(const char *path, uint64_t n)
{
    FILE *file = fopen(path, "we");

    if (!file)
        return false;
    fputs("address-space: memory\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n", file);
    for (uint64_t i = 0; i < n; i++)
        fprintf(file, "    %016" PRIx64 "-%016" PRIx64 " (prio 0, i/o): device-%" PRIu64 "\n", i << 13,
                (i << 13) + 4095, i);
    return fclose(file) == 0;
}

static bool find_gmem(struct command *command)
{
    ssize_t n = readlink("/proc/self/exe", command->gmem, sizeof(command->gmem) - 1);
    char *end = NULL;

    if (n < 0)
        return false;
    command->gmem[n] = '\0';
    for (int i = 0; i < 2; i++) {
        end = strrchr(command->gmem, '/');
        if (!end)
            return false;
        *end = '\0';
    }
    n = end - command->gmem;
    if (snprintf(end, sizeof(command->gmem) - (size_t)n, "/tools/gmem") >= (int)(sizeof(command->gmem) - (size_t)n))
        return false;
    return access(command->gmem, X_OK) == 0;
}

int main(int argc, char **argv)
{
    static const uint64_t sizes[] = {100, 1000, 10000, 100000};
    char directory[] = "/tmp/bench-command-XXXXXX";
    struct command command;
    struct bench bench;
    int status;

    if (!bench_start(&bench, "bench-command", "gmem flat of a tree, beside cat of its file", argc, argv, &status))
        return status;
    if (!mkdtemp(directory)) {
        perror("bench-command: /tmp");
        return 1;
    }
    snprintf(command.tree, sizeof(command.tree), "%s/tree.txt", directory);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct bench_case item = {
            .row = {.name = "command/flat", .n = sizes[i], .baseline = "cat", .note = "a process each"},
            .run = run_flat,
            .opaque = &command,
            .run_baseline = run_cat,
            .baseline_opaque = &command,
        };

        /* The project's own limit: a second for 100,000 regions. */
        if (sizes[i] == 100000)
            item.row.target = BENCH_VALUE, item.row.at_most = 1e9;
        if (!bench_wants(&bench, &item.row))
            continue;
        if (!find_gmem(&command))
            bench_skip(&bench, &item.row, "no tools/gmem beside the benchmarks", true);
        else if (!write_tree(command.tree, sizes[i]))
            bench_skip(&bench, &item.row, "the tree can't be written", true);
        else
            bench_measure(&bench, &item);
    }
    unlink(command.tree);
    rmdir(directory);
    return bench_end(&bench);
}
