/* SPDX-License-Identifier: MIT */
/*
 * bench.c - arguments, rounds, medians, rows.
 *
 * Rows of a table are printed as they come; those of a JSON document are gathered, so that a program that dies leaves no half of
 * one. The machine is named by its kind only.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* Short and many: most rounds then fit between two moments at which the kernel gives the processor to others. */
#define ROUNDS 61u
#define ROUNDS_SLOW 7u /* where a round takes long */
#define ROUNDS_QUICK 3u
#define ROUND_NS 1e6
#define ROUND_QUICK_NS 3e5
#define ROW_NS 4e9           /* a row that would take longer has fewer rounds */
#define TRY_AGAIN_NS 1e8     /* calibrating: longer than the processor goes to others */
#define QUICK_LARGEST 10000u /* largest map of a short run */

double bench_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

double bench_cpu_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* --- text ------------------------------------------------------------------------------------------------------------ */

static void json_string(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            (void)fputc('\\', out);
        if ((unsigned char)*text < 0x20)
            (void)fprintf(out, "\\u%04x", (unsigned char)*text);
        else
            (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

static void json_member(FILE *out, const char *name, const char *text)
{
    (void)fprintf(out, ", \"%s\": ", name);
    json_string(out, text);
}

/* Nanoseconds in the unit in which they are easy to read, anything else as it is. */
static const char *figure(char *buf, size_t size, double value, const char *unit)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    unsigned i = 0;

    if (unit && strcmp(unit, "ns") != 0) {
        (void)snprintf(buf, size, "%.*f %s", value == (double)(int64_t)value ? 0 : 1, value, unit);
        return buf;
    }
    while (i < 3 && (value >= 9999.5 || value <= -9999.5)) {
        value /= 1000;
        i++;
    }
    (void)snprintf(buf, size, "%.*f %s", value < 100 ? 2 : value < 1000 ? 1 : 0, value, units[i]);
    return buf;
}

static void machine_cpu(char *buf, size_t size)
{
    struct utsname name;
    char line[256];
    const char *value;
    FILE *file = fopen("/proc/cpuinfo", "re");

    (void)snprintf(buf, size, "%s", uname(&name) ? "unknown" : name.machine);
    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        value = strstr(line, ": ");
        if (value && !strncmp(line, "model name", 10)) {
            line[strcspn(line, "\n")] = 0;
            (void)snprintf(buf, size, "%s", value + 2);
            break;
        }
    }
    (void)fclose(file);
}

struct machine {
    char cpu[256], kernel[200], compiler[100], date[32];
    long cores;
};

static void machine_read(struct machine *machine)
{
    struct utsname name;
    time_t now = time(NULL);
    struct tm tm;

    machine_cpu(machine->cpu, sizeof(machine->cpu));
    machine->cores = sysconf(_SC_NPROCESSORS_ONLN);
    (void)snprintf(machine->kernel, sizeof(machine->kernel), "unknown");
    if (!uname(&name)) {
        /* What follows the numbers may name a place. */
        name.release[strspn(name.release, "0123456789.")] = 0;
        (void)snprintf(machine->kernel, sizeof(machine->kernel), "%s %s", name.sysname, name.release);
    }
#ifdef __clang__
    (void)snprintf(machine->compiler, sizeof(machine->compiler), "clang %s", __clang_version__);
#else
    (void)snprintf(machine->compiler, sizeof(machine->compiler), "gcc %s", __VERSION__);
#endif
    machine->date[0] = 0;
    if (gmtime_r(&now, &tm))
        (void)strftime(machine->date, sizeof(machine->date), "%Y-%m-%d", &tm);
}

/* --- arguments ------------------------------------------------------------------------------------------------------- */

static void usage(const struct bench *bench, const char *about)
{
    (void)printf("usage: %s [--json] [--quick] [--only PREFIX] [--list] [--help]\n"
                 "\n%s\n\n"
                 "  --json          one JSON document instead of a table\n"
                 "  --quick         few and short rounds, no large maps: to see that it works\n"
                 "  --only PREFIX   only the rows whose name begins with PREFIX\n"
                 "  --list          the names and sizes of the rows, nothing measured\n"
                 "\nWhat a row says: bench/README.md. Exit status: 0 done, 1 a row failed, 2 bad usage.\n",
                 bench->program, about);
}

static bool wrong(const struct bench *bench, const char *what, const char *argument, int *ret_status)
{
    (void)fprintf(stderr, "%s: %s '%s' (--help says what there is)\n", bench->program, what, argument);
    *ret_status = 2;
    return false;
}

bool bench_start(struct bench *bench, const char *program, const char *about, int argc, char **argv, int *ret_status)
{
    struct machine machine;
    int i;

    *bench = (struct bench){.program = program, .rounds = ROUNDS, .round_ns = ROUND_NS};
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            bench->json = true;
        } else if (!strcmp(argv[i], "--quick")) {
            bench->quick = true;
        } else if (!strcmp(argv[i], "--list")) {
            bench->list = true;
        } else if (!strncmp(argv[i], "--only=", 7)) {
            bench->only = argv[i] + 7;
        } else if (!strcmp(argv[i], "--only")) {
            if (++i == argc)
                return wrong(bench, "a prefix is missing after", "--only", ret_status);
            bench->only = argv[i];
        } else if (!strcmp(argv[i], "--help")) {
            usage(bench, about);
            *ret_status = 0;
            return false;
        } else {
            return wrong(bench, "unknown argument", argv[i], ret_status);
        }
    }
    if (bench->quick) {
        bench->rounds = ROUNDS_QUICK;
        bench->round_ns = ROUND_QUICK_NS;
    }
    bench->rows = open_memstream(&bench->text, &bench->text_size);
    if (!bench->rows) {
        perror(program);
        *ret_status = 1;
        return false;
    }
    if (!bench->json && !bench->list) {
        machine_read(&machine);
        (void)printf("%s: %s, %ld cores, %s, %s, %s%s\n", program, machine.cpu, machine.cores, machine.kernel,
                     machine.compiler, machine.date, bench->quick ? ", --quick" : "");
        (void)printf("%-34s %8s %11s %25s  %-18s %11s %7s %7s  %s\n", "row", "N", "median", "min..max", "beside",
                     "median", "ratio", "growth", "target");
    }
    return true;
}

int bench_end(struct bench *bench)
{
    bool whole = fclose(bench->rows) == 0;
    struct machine machine;
    size_t i;

    if (!whole)
        bench->failed = true;
    if (bench->json && !bench->list && whole) {
        machine_read(&machine);
        (void)printf("{\"program\": \"%s\", \"quick\": %s,\n \"machine\": {\"cores\": %ld", bench->program,
                     bench->quick ? "true" : "false", machine.cores);
        json_member(stdout, "cpu", machine.cpu);
        json_member(stdout, "kernel", machine.kernel);
        json_member(stdout, "compiler", machine.compiler);
        json_member(stdout, "date", machine.date);
        (void)printf("},\n \"rows\": [%s\n]}\n", bench->text ? bench->text : "");
    }
    free(bench->text);
    for (i = 0; i < bench->first_count; i++)
        free(bench->firsts[i].name);
    if (bench->only && bench->matched == 0) {
        (void)fprintf(stderr, "%s: no row begins with '%s' (--list says which there are)\n", bench->program,
                      bench->only);
        return 2;
    }
    return fflush(stdout) || ferror(stdout) || bench->failed ? 1 : 0;
}

/* --- rows ------------------------------------------------------------------------------------------------------------ */

static void progress(const struct bench_row *row)
{
    if (!isatty(STDERR_FILENO))
        return;
    (void)fputs("\r\033[K", stderr);
    if (row)
        (void)fprintf(stderr, "%s %llu ...", row->name, (unsigned long long)row->n);
    (void)fflush(stderr);
}

/* A comma before every row but the first. */
static void json_row(struct bench *bench, const struct bench_row *row)
{
    (void)fprintf(bench->rows, "%s\n  {\"name\": ", ftell(bench->rows) > 0 ? "," : "");
    json_string(bench->rows, row->name);
    (void)fprintf(bench->rows, ", \"n\": %llu", (unsigned long long)row->n);
}

void bench_skip(struct bench *bench, const struct bench_row *row, const char *reason, bool failed)
{
    progress(NULL);
    if (failed) {
        (void)fprintf(stderr, "%s: %s %llu: %s\n", bench->program, row->name, (unsigned long long)row->n, reason);
        bench->failed = true;
    }
    if (bench->json) {
        json_row(bench, row);
        json_member(bench->rows, failed ? "failed" : "skipped", reason);
        (void)fputc('}', bench->rows);
    } else {
        (void)printf("%-34s %8llu %s\n", row->name, (unsigned long long)row->n, reason);
        (void)fflush(stdout);
    }
}

bool bench_wants(struct bench *bench, const struct bench_row *row)
{
    if (bench->only && strncmp(row->name, bench->only, strlen(bench->only)) != 0)
        return false;
    bench->matched++;
    if (bench->list) {
        (void)printf("%s %llu\n", row->name, (unsigned long long)row->n);
        return false;
    }
    if (bench->quick && row->n > QUICK_LARGEST) {
        bench_skip(bench, row, "left out by --quick", false);
        return false;
    }
    progress(row);
    return true;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct summary {
    double median, min, max;
};

static struct summary summarise(const double *values, unsigned count)
{
    double sorted[BENCH_ROUNDS_MAX];

    memcpy(sorted, values, count * sizeof(*values));
    qsort(sorted, count, sizeof(*sorted), compare);
    return (struct summary){(sorted[count / 2] + sorted[(count - 1) / 2]) / 2, sorted[0], sorted[count - 1]};
}

/* How many times the smallest map of the same row; 0 for that one itself. */
static double growth(struct bench *bench, const struct bench_row *row, double value)
{
    struct bench_first *first;
    size_t i;

    for (i = 0; i < bench->first_count; i++) {
        first = &bench->firsts[i];
        if (!strcmp(first->name, row->name))
            return first->n < row->n && first->value > 0 ? value / first->value : 0;
    }
    if (row->n > 0 && bench->first_count < BENCH_FIRSTS_MAX) {
        first = &bench->firsts[bench->first_count];
        *first = (struct bench_first){strdup(row->name), row->n, value};
        if (first->name)
            bench->first_count++;
    }
    return 0;
}

struct outcome {
    struct summary value, base;
    double ratio, above, growth; /* ratio 0: none */
    bool met;
};

static struct outcome judge(struct bench *bench, const struct bench_row *row, const struct bench_samples *samples,
                            const struct bench_samples *baseline)
{
    struct outcome outcome = {.value = summarise(samples->at, samples->count)};
    double ratios[BENCH_ROUNDS_MAX], above[BENCH_ROUNDS_MAX], judged = outcome.value.median;
    unsigned i;

    if (baseline) {
        /* Round by round, so that a machine that slows down in the middle slows both. */
        for (i = 0; i < samples->count; i++) {
            ratios[i] = baseline->at[i] > 0 ? samples->at[i] / baseline->at[i] : 0;
            above[i] = samples->at[i] - baseline->at[i];
        }
        outcome.base = summarise(baseline->at, baseline->count);
        outcome.ratio = summarise(ratios, samples->count).median;
        outcome.above = summarise(above, samples->count).median;
    }
    outcome.growth = growth(bench, row, outcome.value.median);
    if (row->target == BENCH_RATIO)
        judged = outcome.ratio;
    else if (row->target == BENCH_ABOVE)
        judged = outcome.above;
    outcome.met = judged <= row->at_most;
    return outcome;
}

static void report_json(struct bench *bench, const struct bench_row *row, const struct bench_samples *samples,
                        const struct outcome *outcome)
{
    static const char *const targets[] = {"", "value", "ratio", "above"};

    json_row(bench, row);
    json_member(bench->rows, "unit", row->unit ? row->unit : "ns");
    (void)fprintf(bench->rows, ", \"value\": %.6g, \"min\": %.6g, \"max\": %.6g, \"rounds\": %u", outcome->value.median,
                  outcome->value.min, outcome->value.max, samples->count);
    if (row->baseline) {
        json_member(bench->rows, "baseline", row->baseline);
        (void)fprintf(bench->rows, ", \"baseline_value\": %.6g, \"ratio\": %.4g, \"above\": %.6g", outcome->base.median,
                      outcome->ratio, outcome->above);
    }
    if (outcome->growth > 0)
        (void)fprintf(bench->rows, ", \"growth\": %.4g", outcome->growth);
    if (row->target != BENCH_NO_TARGET)
        (void)fprintf(bench->rows, ", \"target\": {\"of\": \"%s\", \"at_most\": %.6g, \"met\": %s}",
                      targets[row->target], row->at_most, outcome->met ? "true" : "false");
    if (row->note)
        json_member(bench->rows, "note", row->note);
    (void)fputc('}', bench->rows);
}

static void report_table(const struct bench_row *row, const struct outcome *outcome)
{
    char value[40], min[40], max[40], spread[84], limit[40], above[40];

    (void)snprintf(spread, sizeof(spread), "%s..%s", figure(min, sizeof(min), outcome->value.min, row->unit),
                   figure(max, sizeof(max), outcome->value.max, row->unit));
    (void)printf("%-34s %8llu %11s %25s  %-18s", row->name, (unsigned long long)row->n,
                 figure(value, sizeof(value), outcome->value.median, row->unit), spread,
                 row->baseline ? row->baseline : "");
    if (row->baseline)
        (void)printf(" %11s %7.3g", figure(value, sizeof(value), outcome->base.median, row->unit), outcome->ratio);
    else
        (void)printf(" %11s %7s", "", "");
    if (outcome->growth > 0)
        (void)printf(" %7.2f ", outcome->growth);
    else
        (void)printf(" %7s ", "");
    if (row->target == BENCH_RATIO)
        (void)printf(" ratio <= %.4g: %s", row->at_most, outcome->met ? "met" : "MISSED");
    else if (row->target != BENCH_NO_TARGET)
        (void)printf(" %s%s <= %s: %s",
                     row->target == BENCH_ABOVE ? figure(above, sizeof(above), outcome->above, row->unit) : "",
                     row->target == BENCH_ABOVE ? " above" : "", figure(limit, sizeof(limit), row->at_most, row->unit),
                     outcome->met ? "met" : "MISSED");
    if (row->note)
        (void)printf(" (%s)", row->note);
    (void)putchar('\n');
    (void)fflush(stdout);
}

void bench_report(struct bench *bench, const struct bench_row *row, const struct bench_samples *samples,
                  const struct bench_samples *baseline)
{
    struct outcome outcome = judge(bench, row, samples, baseline);

    progress(NULL);
    if (bench->json)
        report_json(bench, row, samples, &outcome);
    else
        report_table(row, &outcome);
}

/* --- rounds ---------------------------------------------------------------------------------------------------------- */

/* The least of a few tries: one during which the processor went to others says nothing. */
static double least(const struct bench *bench, bench_fn *run, void *opaque, uint64_t count)
{
    double took = run(opaque, count), again;
    unsigned i;

    for (i = 0; i < 2 && took >= bench->round_ns / 2 && took < TRY_AGAIN_NS; i++) {
        again = run(opaque, count);
        if (again < took)
            took = again;
    }
    return took;
}

/* How many repetitions take bench->round_ns, and how long that then takes. Negative: failed. */
static double calibrate(const struct bench *bench, bench_fn *run, void *opaque, uint64_t *ret_count)
{
    uint64_t count = 1;
    double took = least(bench, run, opaque, count);

    while (took >= 0 && took < bench->round_ns / 2) {
        count *= 2;
        took = least(bench, run, opaque, count);
    }
    if (took >= 0 && took < bench->round_ns) {
        count = (uint64_t)((double)count * bench->round_ns / took) + 1;
        took = bench->round_ns;
    }
    *ret_count = count;
    return took;
}

static bool sample(struct bench_samples *samples, bench_fn *run, void *opaque, uint64_t count, double times)
{
    double took;

    /* The other side may have left the caches cold. */
    if (count > 1 && run(opaque, count / 8 + 1) < 0)
        return false;
    took = run(opaque, count);
    samples->at[samples->count++] = took / (double)count * times;
    return took >= 0;
}

void bench_measure(struct bench *bench, const struct bench_case *item)
{
    struct bench_samples samples = {.count = 0}, baseline = {.count = 0};
    double times = item->baseline_times > 0 ? item->baseline_times : 1, took, base = 0;
    unsigned round, rounds = bench->rounds;
    uint64_t count = 0, base_count = 0;
    bool good;

    progress(&item->row);
    took = calibrate(bench, item->run, item->opaque, &count);
    if (item->run_baseline)
        base = calibrate(bench, item->run_baseline, item->baseline_opaque, &base_count);
    good = took >= 0 && base >= 0;
    while (rounds > ROUNDS_SLOW && (took + base) * rounds > ROW_NS)
        rounds--;
    for (round = 0; good && round < rounds; round++) {
        if (item->run_baseline)
            good = sample(&baseline, item->run_baseline, item->baseline_opaque, base_count, times);
        if (good)
            good = sample(&samples, item->run, item->opaque, count, 1);
    }
    if (good)
        bench_report(bench, &item->row, &samples, item->run_baseline ? &baseline : NULL);
    else
        bench_skip(bench, &item->row, "failed", true);
}

void bench_table(struct bench *bench, const struct bench_entry *entries, size_t count,
                 void *(*map_of)(void *maps, uint64_t n), void *maps)
{
    struct bench_case item;
    void *map;
    size_t i;

    for (i = 0; i < count; i++) {
        if (!bench_wants(bench, &entries[i].row))
            continue;
        map = map_of(maps, entries[i].row.n);
        item = (struct bench_case){.row = entries[i].row,
                                   .run = entries[i].run,
                                   .opaque = map,
                                   .run_baseline = entries[i].run_baseline,
                                   .baseline_opaque = map};
        if (map)
            bench_measure(bench, &item);
        else
            bench_skip(bench, &item.row, "the map can't be made", true);
    }
}
