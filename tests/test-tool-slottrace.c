/* SPDX-License-Identifier: MIT */
/*
 * test-tool-slottrace.c - traces of slots: every form of their lines, what is refused and where, where commits begin, the machine after
 * each step, and what a slotcheck says of calls that the kernel does not allow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc.h"
#include "history.h"
#include "slotreplay.h"

#define CALL "kvm_set_user_memory "
#define MAKE CALL "Slot#0 flags=0x0 gpa=0x0 size=0x100000 ua=0x7f0000000000 ret=0\n"

static bool parse(const char *text, struct slot_trace *trace, struct problem *problem)
{
    struct source source = {.name = alloc_text("t"), .text = alloc_text(text), .size = strlen(text)};
    bool ok = slottrace_parse(&source, trace, problem);

    source_free(&source);
    return ok;
}

static struct slot_trace good(const char *text)
{
    struct slot_trace trace;
    struct problem problem;

    if (!parse(text, &trace, &problem))
        fail_msg("%s", problem.text);
    return trace;
}

static void refuses(const char *text, const char *where)
{
    struct slot_trace trace;
    struct problem problem;

    assert_false(parse(text, &trace, &problem));
    if (strncmp(problem.text, where, strlen(where)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", problem.text, where);
}

static void lines(void **state)
{
    struct slot_trace trace = good("other_event 1\n"
                                   "\n"
                                   "kvm_set_user_memory_x Slot#9\n" CALL
                                   "Slot#65538 flags=0x2 gpa=0xfd000000 size=0x1000000 ua=0x7feba9800000 ret=0\r\n"
                                   "77@1669.25:" CALL "Slot#3 flags=0x0 gpa=0x0 size=0x0 ua=0x1000 ret=-22\n"
                                   "2024-01-31T10:00:00.123456Z " CALL
                                   "AddrSpace#1 Slot#4 flags=0x4 gpa=0x1 size=18446744073709551615 ua=0x0 "
                                   "guest_memfd=-1 guest_memfd_offset=0x0 ret=0\n"
                                   "pci_cfg_write VGA 02:0 @0x4 <- 0x503\n"
                                   "pci_cfg_write a @0x1 b 00:1f.7 @0x10 <- 0xffffffff");
    const struct trace_event *e = trace.events;
    char *text;

    (void)state;
    assert_int_equal(trace.n_events, 5);
    assert_int_equal(trace.skipped, 2);
    assert_true(e[0].line == 4 && e[0].as_id == 1 && e[0].slot == 2 && e[0].flags == 2 && e[0].gpa == 0xfd000000);
    assert_true(e[0].size == 0x1000000 && e[0].ua == 0x7feba9800000 && e[0].result == 0 && !e[0].has_time);
    assert_true(e[1].as_id == 0 && e[1].slot == 3 && e[1].size == 0 && e[1].result == -22);
    assert_true(e[1].has_time && e[1].time_ns == UINT64_C(1669250000000));
    assert_true(e[2].as_id == 1 && e[2].slot == 4 && e[2].flags == 4 && e[2].gpa == 1 && e[2].size == UINT64_MAX);
    assert_true(e[3].kind == TRACE_CONFIG && e[3].offset == 4 && e[3].value == 0x503);
    assert_string_equal(e[3].device, "VGA 02:0");
    assert_string_equal(e[4].device, "a @0x1 b 00:1f.7");
    text = slottrace_config_text(&e[3]);
    assert_string_equal(text, "pci_cfg_write VGA 02:0 @0x4 <- 0x503");
    free(text);
    slottrace_free(&trace);
}

static void refused(void **state)
{
    static const char *const bad[] = {
        CALL "Slot#0 flags=0x0 gpa=0x0 size=0x1000 ua=0x0",                     /* cut */
        CALL "Slot#0 flags=0x0 gpa=0x0 size=0x1000 ua=0x0 ret=",                /* cut */
        CALL "flags=0x0 gpa=0x0 size=0x1000 ua=0x0 ret=0",                      /* no slot */
        CALL "Slot#0 Slot#1 flags=0x0 gpa=0x0 size=0x0 ua=0x0 ret=0",           /* twice */
        CALL "Slot#4294967296 flags=0x0 gpa=0x0 size=0x0 ua=0x0 ret=0",         /* too large */
        CALL "AddrSpace#0 Slot#65536 flags=0x0 gpa=0x0 size=0x0 ua=0x0 ret=0",  /* both ways */
        CALL "AddrSpace#65536 Slot#0 flags=0x0 gpa=0x0 size=0x0 ua=0x0 ret=0",  /* too large */
        CALL "Slot#0 flags=0x0 gpa=0x10000000000000000 size=0x0 ua=0x0 ret=0",  /* past 2^64 */
        CALL "Slot#0 flags=0x0 gpa=18446744073709551616 size=0x0 ua=0x0 ret=0", /* past 2^64 */
        CALL "Slot#0 flags=0x0 gpa=0xg size=0x0 ua=0x0 ret=0",                  /* no number */
        CALL "Slot#0 flags=0x0 gpa=-1 size=0x0 ua=0x0 ret=0",                   /* no number */
        CALL "Slot#0 flags=0x0 gpa=0x0 size=0x0 ua=0x0 ret=0 and more",         /* no member */
        "pci_cfg_write VGA 02:0 @0x4",                                          /* cut */
        "pci_cfg_write VGA 02:0 @0x4 <- ",                                      /* cut */
        "pci_cfg_write @0x4 <- 0x1",                                            /* no device */
        "pci_cfg_write VGA@0x4 <- 0x1",                                         /* no device apart */
        "pci_cfg_write VGA 02:0 @0x100000000 <- 0x1",                           /* too large */
        "kvm_set_user_memory",                                                  /* nothing */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *text = alloc_format(MAKE "%s\n", bad[i]);

        refuses(text, "t:2: ");
        free(text);
    }
    refuses("something else\n", "t: ");
    refuses("", "t: ");
}

/* --- commits --- */

static void commits_are(const char *text, size_t n, const size_t *ends)
{
    struct slot_trace trace = good(text);
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        at = slottrace_commit_end(&trace, at);
        assert_int_equal(at, ends[i]);
    }
    assert_int_equal(at, trace.n_events);
    slottrace_free(&trace);
}

static void commits(void **state)
{
    (void)state;
    /* Removals, then additions, both rising; another address space; then from the beginning. */
    commits_are(MAKE CALL "Slot#0 flags=0x0 gpa=0x0 size=0x0 ua=0x7f0000000000 ret=0\n" CALL
                          "Slot#0 flags=0x0 gpa=0x0 size=0x1000 ua=0x7f0000000000 ret=0\n" CALL
                          "Slot#1 flags=0x0 gpa=0x2000 size=0x1000 ua=0x7f0000002000 ret=0\n" CALL
                          "Slot#65536 flags=0x0 gpa=0x0 size=0x1000 ua=0x7f0000000000 ret=0\n" CALL
                          "Slot#2 flags=0x0 gpa=0x4000 size=0x1000 ua=0x7f0000004000 ret=0\n",
                3, (const size_t[]){1, 5, 6});
    /* What was just removed is not added again by the same commit. */
    commits_are(MAKE CALL "Slot#0 flags=0x0 gpa=0x0 size=0x0 ua=0x7f0000000000 ret=0\n" MAKE, 3,
                (const size_t[]){1, 2, 3});
    /* An address that falls. */
    commits_are(CALL "Slot#0 flags=0x0 gpa=0x2000 size=0x1000 ua=0x7f0000002000 ret=0\n" CALL
                     "Slot#1 flags=0x0 gpa=0x0 size=0x1000 ua=0x7f0000000000 ret=0\n",
                2, (const size_t[]){1, 2});
}

/* --- history --- */

static struct history history_of(const char *text)
{
    struct slot_trace trace = good(text);
    struct history history;
    struct problem problem;

    if (!history_from_trace(&trace, &history, &problem))
        fail_msg("%s", problem.text);
    slottrace_free(&trace);
    return history;
}

static const struct topo_region *named(const struct topology *topology, const char *name)
{
    for (size_t i = 0; i < topology->n_regions; i++)
        if (strcmp(topology->regions[i].name, name) == 0)
            return &topology->regions[i];
    return NULL;
}

static uint64_t id_of(const struct topology *topology, const uint64_t *ids, const char *name)
{
    assert_non_null(named(topology, name));
    return ids[named(topology, name) - topology->regions];
}

static void steps(void **state)
{
    struct history history = history_of(MAKE "pci_cfg_write a 0 @0x1 <- 0x1\n"
                                             "pci_cfg_write a 0 @0x2 <- 0x1\n"
                                             "5@12.5:pci_cfg_write a 0 @0x3 <- 0x1\n" CALL
                                             "Slot#0 flags=0x0 gpa=0x0 size=0x0 ua=0x7f0000000000 ret=0\n" CALL
                                             "Slot#0 flags=0x0 gpa=0x0 size=0x80000 ua=0x7f0000000000 ret=0\n" CALL
                                             "Slot#1 flags=0x2 gpa=0xf0000 size=0x10000 ua=0x7f00000f0000 ret=0\n" CALL
                                             "Slot#2 flags=0x0 gpa=0x200000 size=0x1000 ua=0x7e0000000000 ret=-12\n"
                                             "pci_cfg_write a 0 @0x4 <- 0x1\n" CALL
                                             "Slot#1 flags=0x0 gpa=0xf0000 size=0x0 ua=0x7f00000f0000 ret=0\n" CALL
                                             "Slot#1 flags=0x0 gpa=0x100000 size=0x1000 ua=0x7e0000000000 ret=0\n");
    struct topology topology;
    struct problem problem;
    uint64_t *first, *second;

    (void)state;
    assert_int_equal(history.n_steps, 4);
    assert_string_equal(history.steps[0].cause, "start");
    assert_string_equal(history.steps[1].cause, "2 configuration writes that change no slot");
    assert_string_equal(history.steps[2].cause, "pci_cfg_write a 0 @0x3 <- 0x1");
    assert_int_equal(history.steps[0].n_calls, 1);
    assert_int_equal(history.steps[1].n_calls, 0);
    assert_int_equal(history.steps[1].line, 2);
    assert_int_equal(history.steps[2].n_calls, 4);
    assert_int_equal(history.steps[3].n_calls, 2);

    assert_true(history_topology(&history, 2, &topology, &first, &problem));
    assert_int_equal(topology.n_spaces, 1);
    assert_string_equal(topology.spaces[0].name, "memory");
    assert_true(named(&topology, "slot 0")->size.bytes == 0x100000);
    assert_null(named(&topology, "slot 1"));
    assert_true(named(&topology, "block 1")->size.bytes == 0x100000);
    assert_true(id_of(&topology, first, "block 1") != id_of(&topology, first, "slot 0"));

    struct topology later;

    assert_true(history_topology(&history, 3, &later, &second, &problem));
    assert_true(named(&later, "slot 1")->readonly && !named(&later, "slot 0")->readonly);
    assert_false(named(&later, "block 1")->readonly);
    assert_true(named(&later, "slot 1")->target_offset == 0xf0000);
    assert_null(named(&later, "slot 2")); /* it failed */
    assert_true(id_of(&topology, first, "block 1") == id_of(&later, second, "block 1"));
    assert_true(id_of(&topology, first, "slot 0") != id_of(&later, second, "slot 0")); /* smaller */
    topology_free(&topology);
    topology_free(&later);
    free(first);
    free(second);
    assert_true(history_topology(&history, 4, &topology, NULL, &problem));
    assert_true(named(&topology, "slot 1")->target == (size_t)(named(&topology, "block 2") - topology.regions));
    topology_free(&topology);
    history_free(&history);
}

static void steps_without_writes(void **state)
{
    struct history history =
        history_of(MAKE CALL "Slot#0 flags=0x0 gpa=0x0 size=0x0 ua=0x7f0000000000 ret=0\n" MAKE CALL
                             "Slot#65537 flags=0x0 gpa=0x0 size=0x1000 ua=0x7f0000000000 ret=0\n");
    struct topology topology;
    struct problem problem;

    (void)state;
    assert_int_equal(history.n_steps, 3);
    assert_string_equal(history.steps[0].cause, "start");
    assert_string_equal(history.steps[1].cause, "");
    assert_true(history_topology(&history, 3, &topology, NULL, &problem));
    assert_int_equal(topology.n_spaces, 2);
    assert_string_equal(topology.spaces[1].name, "memory (as_id 1)");
    topology_free(&topology);
    history_free(&history);
}

static void past_the_end(void **state)
{
    struct slot_trace trace = good(CALL "Slot#0 flags=0x0 gpa=0xfffffffffffff000 size=0x2000 ua=0x0 ret=0\n");
    struct history history;
    struct problem problem;

    (void)state;
    assert_false(history_from_trace(&trace, &history, &problem));
    assert_memory_equal(problem.text, "t:1: ", 5);
    slottrace_free(&trace);
}

/* --- checks --- */

struct rule {
    const char *text; /* behind MAKE */
    enum slot_rule rule;
};

static void rules(void **state)
{
    static const struct rule cases[] = {
        {"Slot#1 flags=0x0 gpa=0xff000 size=0x1000 ua=0x1000 ret=0", SLOT_OVERLAP},
        {"Slot#1 flags=0x0 gpa=0x0 size=0x0 ua=0x0 ret=0", SLOT_UNKNOWN},
        {"Slot#0 flags=0x0 gpa=0x0 size=0x2000 ua=0x7f0000000000 ret=0", SLOT_RESIZED},
        {"Slot#0 flags=0x0 gpa=0x0 size=0x100000 ua=0x7f0000001000 ret=0", SLOT_REBACKED},
        {"Slot#0 flags=0x2 gpa=0x0 size=0x100000 ua=0x7f0000000000 ret=0", SLOT_READONLY},
        {"Slot#1 flags=0x0 gpa=0x200800 size=0x1000 ua=0x1000 ret=0", SLOT_UNALIGNED},
        {"Slot#1 flags=0x0 gpa=0x200000 size=0x1001 ua=0x1000 ret=0", SLOT_UNALIGNED},
        {"Slot#1 flags=0x0 gpa=0x200000 size=0x1000 ua=0x1001 ret=0", SLOT_UNALIGNED},
        {"Slot#1 flags=0x8 gpa=0x200000 size=0x1000 ua=0x1000 ret=0", SLOT_FLAGS},
        {"Slot#1 flags=0x0 gpa=0xfffffffffffff000 size=0x2000 ua=0x1000 ret=0", SLOT_PAST_END},
        {"Slot#1 flags=0x0 gpa=0x200000 size=0x2000 ua=0xfffffffffffff000 ret=0", SLOT_PAST_END},
        {"Slot#1 flags=0x0 gpa=0x200000 size=0x1000 ua=0x1000 ret=-22", SLOT_FAILED},
        {"Slot#1 flags=0x0 gpa=0xff000 size=0x1000 ua=0x1000 ret=-17", SLOT_OVERLAP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = alloc_format(MAKE CALL "%s\n", cases[i].text);
        struct slot_trace trace = good(text);
        struct slot_report report;

        slotcheck(&trace, &report);
        if (report.n_violations != 1 || report.violations[0].rule != cases[i].rule || report.violations[0].line != 2)
            fail_msg("%s: %zu violations, the first %s", cases[i].text, report.n_violations,
                     report.n_violations ? slot_rule_name(report.violations[0].rule) : "none");
        slot_report_free(&report);
        slottrace_free(&trace);
        free(text);
    }
}

/* A slot that is moved over where it was itself, and over another. */
static void moved_over_another(void **state)
{
    struct slot_trace trace = good(MAKE CALL "Slot#1 flags=0x0 gpa=0x100000 size=0x2000 ua=0x1000 ret=0\n" /* above */
                                   CALL "Slot#0 flags=0x0 gpa=0x2000 size=0x100000 ua=0x7f0000000000 ret=0\n");
    struct slot_report report;

    (void)state;
    slotcheck(&trace, &report);
    assert_int_equal(report.n_violations, 1);
    assert_int_equal(report.violations[0].rule, SLOT_OVERLAP);
    assert_int_equal(report.violations[0].line, 3);
    slot_report_free(&report);
    slottrace_free(&trace);
}

static void allowed(void **state)
{
    struct slot_trace trace = good(
        MAKE CALL "Slot#65536 flags=0x0 gpa=0x0 size=0x100000 ua=0x7f0000000000 ret=0\n" /* another address space */
        CALL "Slot#0 flags=0x1 gpa=0x0 size=0x100000 ua=0x7f0000000000 ret=0\n"          /* logged */
        CALL "Slot#0 flags=0x1 gpa=0x200000 size=0x100000 ua=0x7f0000000000 ret=0\n"     /* moved */
        CALL "Slot#1 flags=0x2 gpa=0x0 size=0x1000 ua=0x7f0000000000 ret=0\n");          /* the same memory */
    struct slot_report report;
    struct slot_replay replay;
    struct problem problem;

    (void)state;
    slotcheck(&trace, &report);
    assert_int_equal(report.n_violations, 0);
    assert_int_equal(report.total.additions, 3);
    assert_int_equal(report.total.flags, 1);
    assert_int_equal(report.total.moves, 1);
    assert_int_equal(report.slots_peak, 3);
    assert_true(report.total.removed == 0x100000 && report.bytes_peak == 0x201000);
    assert_true(slotreplay(&trace, &report, &replay, &problem));
    slot_replay_free(&replay);
    slot_report_free(&report);
    slottrace_free(&trace);
}

static void from_the_middle(void **state)
{
    struct slot_trace trace = good(CALL "Slot#7 flags=0x0 gpa=0x0 size=0x0 ua=0x0 ret=0\n" CALL
                                        "Slot#7 flags=0x0 gpa=0x0 size=0x0 ua=0x0 ret=0\n");
    struct slot_report report;
    struct slot_replay replay;
    struct problem problem;

    (void)state;
    slotcheck(&trace, &report);
    assert_int_equal(report.before, 1);
    assert_int_equal(report.n_violations, 1); /* the second time it is gone */
    assert_int_equal(report.violations[0].line, 2);
    assert_false(slotreplay(&trace, &report, &replay, &problem));
    slot_report_free(&report);
    slottrace_free(&trace);
}

/* A megabyte whose end is cut off: removed, and but for the end put back. Keep removes it as well: a slot can't shrink. */
static void cut(void **state)
{
    struct slot_trace trace = good(MAKE "pci_cfg_write a 0 @0x3 <- 0x1\n" CALL
                                        "Slot#0 flags=0x0 gpa=0x0 size=0x0 ua=0x7f0000000000 ret=0\n" CALL
                                        "Slot#0 flags=0x0 gpa=0x0 size=0xf0000 ua=0x7f0000000000 ret=0\n");
    struct slot_report report;
    struct slot_replay replay;
    struct problem problem;

    (void)state;
    slotcheck(&trace, &report);
    assert_int_equal(report.n_rows, 2);
    assert_null(report.rows[0].write);
    assert_int_equal(report.rows[1].line, 2);
    assert_true(report.rows[1].counts.removed == 0x100000 && report.rows[1].counts.put_back == 0xf0000);
    assert_true(slotreplay(&trace, &report, &replay, &problem));
    assert_true(replay.same);
    for (unsigned policy = 0; policy < REPLAY_POLICIES; policy++) {
        assert_int_equal(replay.rows[policy][1].slots.calls, 2);
        assert_true(replay.rows[policy][1].slots.removed == 0x100000);
        assert_int_equal(replay.rows[policy][1].pauses, 1);
    }
    slot_replay_free(&replay);
    slot_report_free(&report);
    slottrace_free(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(refused),
        cmocka_unit_test(commits),
        cmocka_unit_test(steps),
        cmocka_unit_test(steps_without_writes),
        cmocka_unit_test(past_the_end),
        cmocka_unit_test(rules),
        cmocka_unit_test(moved_over_another),
        cmocka_unit_test(allowed),
        cmocka_unit_test(from_the_middle),
        cmocka_unit_test(cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
