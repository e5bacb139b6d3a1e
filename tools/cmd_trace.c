/* SPDX-License-Identifier: MIT */
/*
 * gmem trace: what a slot trace comes to, what of it breaks the kernel's rules, and what other policies would have called.
 * Owns nothing. One thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "command.h"
#include "options.h"
#include "output.h"
#include "slotcall.h"
#include "slotreplay.h"

struct findings {
    const struct slot_trace *trace;
    const struct slot_report *report;
    bool replayed;
    const struct slot_replay *replay; /* if replayed */
    const char *not_replayed;         /* else why */
};

/* --- text --- */

static void print_count(const char *what, const struct findings *findings, size_t trace, size_t reference, size_t keep)
{
    printf("%-16s%12zu", what, trace);
    if (findings->replayed)
        printf("%12zu%12zu", reference, keep);
    putchar('\n');
}

static void print_bytes(const char *what, const struct findings *findings, uint64_t trace, uint64_t reference,
                        uint64_t keep)
{
    printf("%-16s%12s", what, bytes_text(trace).text);
    if (findings->replayed)
        printf("%12s%12s", bytes_text(reference).text, bytes_text(keep).text);
    putchar('\n');
}

static void print_totals(const struct findings *findings)
{
    static const struct slot_replay none;
    const struct slot_replay *replay = findings->replayed ? findings->replay : &none;
    const struct slot_report *report = findings->report;
    const struct slot_counts *t = &report->total;
    const struct replay_counts *total = replay->total;
    const struct slot_counts *r = &total[REPLAY_REFERENCE].slots, *k = &total[REPLAY_KEEP].slots;

    printf("%s%-16s%12s%s%s\n", color(COLOR_NAME), "", "trace", findings->replayed ? "   reference        keep" : "",
           color(COLOR_NONE));
    print_count("calls", findings, t->calls, r->calls, k->calls);
    print_count("additions", findings, t->additions, r->additions, k->additions);
    print_count("removals", findings, t->removals, r->removals, k->removals);
    if (t->moves)
        print_count("moves", findings, t->moves, r->moves, k->moves);
    if (t->flags)
        print_count("changed flags", findings, t->flags, r->flags, k->flags);
    if (t->failed)
        print_count("failed", findings, t->failed, 0, 0);
    print_bytes("added", findings, t->added, r->added, k->added);
    print_bytes("removed", findings, t->removed, r->removed, k->removed);
    print_bytes("put back", findings, t->put_back, r->put_back, k->put_back);
    print_count("most slots", findings, report->slots_peak, replay->slots_peak[REPLAY_REFERENCE],
                replay->slots_peak[REPLAY_KEEP]);
    print_bytes("most bytes", findings, report->bytes_peak, replay->bytes_peak[REPLAY_REFERENCE],
                replay->bytes_peak[REPLAY_KEEP]);
    if (findings->replayed)
        printf("%-16s%12s%12" PRIu64 "%12" PRIu64 "\n", "held out", "", total[REPLAY_REFERENCE].pauses,
               total[REPLAY_KEEP].pauses);
    putchar('\n');
    if (!findings->replayed)
        printf("Other policies were not tried: %s\n", findings->not_replayed);
    else if (findings->replay->same)
        puts("The policy reference gives the trace, call by call.");
    else if (findings->replay->differs)
        printf("The policy reference gives other calls, first in place of line %zu.\n", findings->replay->differs);
    else
        puts("The policy reference gives more or fewer calls.");
}

static void print_net(const struct slot_counts *counts)
{
    char text[32];

    if (counts->added >= counts->removed)
        snprintf(text, sizeof(text), "%s%s", counts->added > counts->removed ? "+" : "",
                 bytes_text(counts->added - counts->removed).text);
    else
        snprintf(text, sizeof(text), "-%s", bytes_text(counts->removed - counts->added).text);
    printf("%11s", text);
}

static char *row_text(const struct slot_report *report, const struct slot_row *row)
{
    char *text, *shown;

    if (!row->write)
        return alloc_text(report->writes ? "before the first write" : "a commit");
    text = slottrace_config_text(row->write);
    shown = alloc_format("%.40s", text + strlen("pci_cfg_write "));
    free(text);
    return shown;
}

static void print_row(const struct findings *findings, size_t line, const char *text, const struct slot_counts *counts,
                      const struct slot_counts *keep)
{
    if (line)
        printf("%7zu", line);
    else
        printf("%7s", "");
    printf("  %-40s%6zu%11s%11s", text, counts->calls, bytes_text(counts->removed).text,
           bytes_text(counts->put_back).text);
    print_net(counts);
    if (findings->replayed)
        printf("%6zu%11s", keep->calls, bytes_text(keep->removed).text);
    putchar('\n');
}

static void print_rows(const struct findings *findings)
{
    const struct slot_report *report = findings->report;
    struct slot_counts writes = {0}, keep_writes = {0};

    printf("\n%s%7s  %-40s%6s%11s%11s%11s%s%s\n", color(COLOR_NAME), "line", report->writes ? "write" : "", "calls",
           "removed", "put back", "net", findings->replayed ? "  keep    removed" : "", color(COLOR_NONE));
    for (size_t i = 0; i < report->n_rows; i++) {
        const struct slot_row *row = &report->rows[i];
        const struct slot_counts *keep = findings->replayed ? &findings->replay->rows[REPLAY_KEEP][i].slots : NULL;
        char *text = row_text(report, row);

        print_row(findings, row->line, text, &row->counts, keep);
        free(text);
        if (row->write) {
            slot_counts_add(&writes, &row->counts);
            if (keep)
                slot_counts_add(&keep_writes, keep);
        }
    }
    if (report->writes)
        print_row(findings, 0, "all writes", &writes, &keep_writes);
}

static void print_text(const struct findings *findings)
{
    const struct slot_report *report = findings->report;
    size_t changing = 0;

    for (size_t i = 0; i < report->n_rows; i++)
        changing += report->rows[i].write != NULL;
    printf("%s: %zu slot calls", findings->trace->source, report->total.calls);
    if (report->writes)
        printf(", %zu configuration writes of which %zu change slots", report->writes, changing);
    if (findings->trace->skipped)
        printf(", %zu other lines", findings->trace->skipped);
    puts("\n");
    print_totals(findings);
    print_rows(findings);
    putchar('\n');
    if (report->before)
        printf("%zu slots were there before the trace begins; how large they were is not in it.\n", report->before);
    if (!report->n_violations)
        printf("%sNo call breaks a rule of the kernel.%s\n", color(COLOR_GOOD), color(COLOR_NONE));
    for (size_t i = 0; i < report->n_violations; i++)
        printf("%sline %zu%s: %s\n", color(COLOR_BAD), report->violations[i].line, color(COLOR_NONE),
               report->violations[i].text);
}

/* --- JSON --- */

static void json_bytes(const char *name, uint64_t bytes)
{
    printf(", \"%s\": ", name);
    json_address(stdout, bytes);
}

static void json_counts(const struct slot_counts *counts)
{
    printf("\"calls\": %zu, \"additions\": %zu, \"removals\": %zu, \"moves\": %zu, \"changed_flags\": %zu, "
           "\"failed\": %zu",
           counts->calls, counts->additions, counts->removals, counts->moves, counts->flags, counts->failed);
    json_bytes("bytes_added", counts->added);
    json_bytes("bytes_removed", counts->removed);
    json_bytes("bytes_put_back", counts->put_back);
}

/* index: of a row; SIZE_MAX: of all, with what is not counted by rows. */
static void json_policies(const struct findings *findings, size_t index)
{
    static const char *const names[] = {[REPLAY_REFERENCE] = "reference", [REPLAY_KEEP] = "keep"};
    const struct slot_replay *replay = findings->replay;

    for (unsigned policy = 0; findings->replayed && policy < REPLAY_POLICIES; policy++) {
        const struct replay_counts *counts = index == SIZE_MAX ? &replay->total[policy] : &replay->rows[policy][index];

        printf(", \"%s\": {", names[policy]);
        json_counts(&counts->slots);
        printf(", \"pauses\": %" PRIu64, counts->pauses);
        if (index == SIZE_MAX) {
            printf(", \"slots_peak\": %zu", replay->slots_peak[policy]);
            json_bytes("bytes_peak", replay->bytes_peak[policy]);
        }
        putchar('}');
    }
}

static void json_rows(const struct findings *findings)
{
    const struct slot_report *report = findings->report;

    fputs(",\n\"rows\": [", stdout);
    for (size_t i = 0; i < report->n_rows; i++) {
        const struct slot_row *row = &report->rows[i];

        printf("%s\n{\"line\": %zu, ", i ? "," : "", row->line);
        if (row->write) {
            char *text = slottrace_config_text(row->write);

            fputs("\"write\": ", stdout);
            json_string(stdout, text);
            fputs(", ", stdout);
            free(text);
        }
        json_counts(&row->counts);
        json_policies(findings, i);
        putchar('}');
    }
    fputs("]", stdout);
}

static void print_json(const struct findings *findings)
{
    const struct slot_report *report = findings->report;

    fputs("{\"format\": \"gmem-trace\", \"version\": 1, \"source\": ", stdout);
    json_string(stdout, findings->trace->source);
    printf(", \"writes\": %zu, \"skipped\": %zu, \"before\": %zu, \"slots\": %zu, \"slots_peak\": %zu", report->writes,
           findings->trace->skipped, report->before, report->slots, report->slots_peak);
    json_bytes("bytes", report->bytes);
    json_bytes("bytes_peak", report->bytes_peak);
    fputs(",\n\"trace\": {", stdout);
    json_counts(&report->total);
    putchar('}');
    json_policies(findings, SIZE_MAX);
    if (findings->replayed) {
        printf(", \"reference_same\": %s", findings->replay->same ? "true" : "false");
        if (findings->replay->differs)
            printf(", \"reference_differs\": %zu", findings->replay->differs);
    } else {
        fputs(", \"not_replayed\": ", stdout);
        json_string(stdout, findings->not_replayed);
    }
    json_rows(findings);
    fputs(",\n\"violations\": [", stdout);
    for (size_t i = 0; i < report->n_violations; i++) {
        printf("%s\n{\"line\": %zu, \"rule\": \"%s\", \"text\": ", i ? "," : "", report->violations[i].line,
               slot_rule_name(report->violations[i].rule));
        json_string(stdout, report->violations[i].text);
        putchar('}');
    }
    puts("]}");
}

/* --- the command --- */

static bool read_trace(const struct input *input, struct slot_trace *trace, struct problem *problem)
{
    struct source source;
    bool ok;

    if (!source_read(input->path, &source, problem))
        return false;
    if (source_kind(&source) == SOURCE_RECORDING) {
        problem_at(
            problem, source.name, 0,
            "a recording, not a trace: gmem-pc writes one with --trace kvm_set_user_memory --trace-file FILE, and gmem "
            "draw --timeline shows the recording");
        source_free(&source);
        return false;
    }
    ok = slottrace_parse(&source, trace, problem);
    source_free(&source);
    return ok;
}

int cmd_trace(int argc, char **argv)
{
    struct options options;
    struct slot_trace trace;
    struct slot_report report;
    struct slot_replay replay;
    struct findings findings = {.trace = &trace, .report = &report, .replay = &replay};
    struct problem problem;
    int status = options_parse(argc, argv, OPT_FILE | OPT_JSON, 0, NULL, NULL, NULL, &options);

    if (status >= 0)
        return status;
    if (!read_trace(&options.inputs[0], &trace, &problem))
        return bad_input(&problem);
    slotcheck(&trace, &report);
    findings.replayed = slotreplay(&trace, &report, &replay, &problem);
    findings.not_replayed = problem.text;
    if (options.json)
        print_json(&findings);
    else
        print_text(&findings);
    status = report.n_violations ? EXIT_ASKED : 0;
    if (findings.replayed)
        slot_replay_free(&replay);
    slot_report_free(&report);
    slottrace_free(&trace);
    return output_end(status);
}
