/* SPDX-License-Identifier: MIT */
/* Recordings: each state as its steps say, ids that stay, and what makes no sense is refused with its line. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "map.h"

#define HEADER "{\"format\": \"gmem-recording\", \"version\": 1, \"new\": 1}\n"
#define REGION(id, kind, offset, more, children)                                                                       \
    "{\"id\": " #id ", \"kind\": \"" kind "\", \"name\": \"r" #id "\", \"size\": \"0x1000\", \"offset\": \"" offset    \
    "\", \"priority\": 0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false" more                         \
    ", \"children\": [" children "]}"
#define SPACE(name, root) "{\"name\": \"" name "\", \"root\": " #root ", \"unassigned_ones\": false}"
#define CALL(slot, gpa)                                                                                                \
    "{\"as_id\": 1, \"slot\": " #slot ", \"flags\": \"0x3\", \"gpa\": \"" gpa                                          \
    "\", \"size\": \"0x1000\", \"ua\": \"0x7f0000000000\", \"ret\": -22}"
#define STEP(n, cause, more) "{\"step\": " #n ", \"cause\": \"" cause "\", \"calls\": []" more "}\n"

/* clang-format off */
static const char whole[] = HEADER
    "{\"step\": 1, \"cause\": \"start\", \"time_ns\": 0, \"instructions\": 0, "
    "\"calls\": [" CALL(0, "0x0") ", " CALL(7, "0xfffff000") "], \"spaces\": [" SPACE("memory", 4) "], "
    "\"regions\": [" REGION(4, "container", "0x0", "", "9, 2") ", " REGION(9, "mmio", "0x0", "", "") ", "
    REGION(2, "mmio", "0x800", "", "") "]}\n"
    "{\"step\": 2, \"cause\": \"pci_cfg_write x\", \"time_ns\": 5, \"calls\": [], \"gone\": [9], "
    "\"regions\": [" REGION(4, "container", "0x0", "", "2") "]}\n"
    "\n"
    "{\"step\": 3, \"cause\": \"\", \"calls\": [], \"spaces\": [" SPACE("memory", 4) ", " SPACE("io", 11) "], "
    "\"regions\": [" REGION(9, "mmio", "0x400", "", "") ", " REGION(4, "container", "0x0", "", "2, 9") ", "
    REGION(11, "container", "0x0", "", "") "]}\n";
/* clang-format on */

static bool read(const char *text, size_t size, struct history *history, struct problem *problem)
{
    const struct source source = {.name = (char *)"f", .text = (char *)text, .size = size};

    *problem = (struct problem){0};
    return history_from_recording(&source, history, problem);
}

static void expect(const struct history *history, size_t n, size_t spaces, const uint64_t *ids, size_t n_ids)
{
    struct topology topology;
    struct problem problem;
    struct map map;
    uint64_t *found;

    if (!history_topology(history, n, &topology, &found, &problem) || !map_build(&topology, &map, &problem))
        fail_msg("%s", problem.text);
    assert_int_equal(topology.n_spaces, spaces);
    assert_int_equal(topology.n_regions, n_ids);
    assert_memory_equal(found, ids, n_ids * sizeof(*ids));
    map_free(&map);
    topology_free(&topology);
    free(found);
}

static void test_states(void **state)
{
    struct topology topology;
    struct history history;
    struct problem problem;

    (void)state;
    if (!read(whole, strlen(whole), &history, &problem))
        fail_msg("%s", problem.text);
    assert_int_equal(history.n_steps, 3);
    expect(&history, 1, 1, (const uint64_t[]){2, 4, 9}, 3);
    expect(&history, 2, 1, (const uint64_t[]){2, 4}, 2);
    expect(&history, 3, 2, (const uint64_t[]){2, 4, 9, 11}, 4);
    expect(&history, 1, 1, (const uint64_t[]){2, 4, 9}, 3);
    assert_true(history_topology(&history, 3, &topology, NULL, &problem));
    assert_int_equal(topology.regions[2].offset, 0x400);
    assert_int_equal(topology.regions[2].parent, 1);
    assert_int_equal(topology.regions[2].rank, 1);
    assert_int_equal(topology.regions[2].line, 5);
    assert_int_equal(topology.regions[0].line, 2);
    topology_free(&topology);
    history_free(&history);
}

static void test_steps(void **state)
{
    struct history history;
    struct problem problem;
    const struct step *steps;

    (void)state;
    assert_true(read(whole, strlen(whole), &history, &problem));
    steps = history.steps;
    assert_string_equal(history.source, "f");
    assert_string_equal(steps[0].cause, "start");
    assert_string_equal(steps[1].cause, "pci_cfg_write x");
    assert_string_equal(steps[2].cause, "");
    assert_int_equal(steps[0].line, 2);
    assert_int_equal(steps[2].line, 5);
    assert_true(steps[0].has_time && steps[0].has_instructions && steps[1].has_time);
    assert_false(steps[1].has_instructions || steps[2].has_time);
    assert_int_equal(steps[1].time_ns, 5);
    assert_int_equal(steps[0].n_calls, 2);
    assert_int_equal(steps[1].n_calls, 0);
    assert_int_equal(steps[0].calls[1].kind, TRACE_SLOT);
    assert_int_equal(steps[0].calls[1].as_id, 1);
    assert_int_equal(steps[0].calls[1].slot, 7);
    assert_int_equal(steps[0].calls[1].flags, 3);
    assert_int_equal(steps[0].calls[1].gpa, 0xfffff000);
    assert_int_equal(steps[0].calls[1].size, 0x1000);
    assert_int_equal(steps[0].calls[1].ua, 0x7f0000000000);
    assert_int_equal(steps[0].calls[1].result, -22);
    history_free(&history);
}

/* Wherever it is cut: the steps that are whole, or a refusal where there is none. */
static void test_cut(void **state)
{
    struct history history;
    struct problem problem;

    (void)state;
    for (size_t size = 0; size < strlen(whole); size++) {
        char *text = malloc(size + 1);
        size_t steps = 0;

        memcpy(text, whole, size);
        text[size] = '\0';
        for (const char *at = text; (at = strstr(at, "}\n")); at++)
            steps++;
        if (read(text, size, &history, &problem)) {
            assert_int_equal(history.n_steps, steps - 1);
            expect(&history, 1, 1, (const uint64_t[]){2, 4, 9}, 3);
            history_free(&history);
        } else {
            assert_true(steps < 2);
        }
        free(text);
    }
}

static void refused(const char *text, const char *where, const char *words)
{
    struct history history;
    struct problem problem;
    bool good = read(text, strlen(text), &history, &problem);

    if (good)
        history_free(&history);
    if (good || strncmp(problem.text, where, strlen(where)) != 0 || !strstr(problem.text, words))
        fail_msg("%s: expected %s ... %s", problem.text, where, words);
}

#define ONE REGION(1, "mmio", "0x0", "", "")

static void test_bad(void **state)
{
    (void)state;
    refused("", "f: ", "without a step");
    refused(HEADER, "f: ", "without a step");
    refused("{\"format\": \"gmem-tree\", \"version\": 1}\n", "f:1: ", "gmem-tree");
    refused("{\"format\": \"gmem-recording\", \"version\": 2}\n", "f:1: ", "reads version 1");
    refused(HEADER "x\n", "f:2: ", "no JSON");
    refused(HEADER "[]\n", "f:2: ", "\"step\"");
    refused(HEADER "\n\n{\"step\": 1}\n", "f:4: ", "\"cause\"");
    refused(HEADER "{\"step\": 1, \"cause\": \"\"}\n", "f:2: ", "\"calls\"");
    refused(HEADER STEP(2, "", ""), "f:2: ", "step 1 should be");
    refused(HEADER STEP(1, "", "") STEP(1, "", ""), "f:3: ", "step 2 should be");
    refused(HEADER STEP(1, "", ", \"time_ns\": \"1\""), "f:2: ", "\"time_ns\"");
    refused(HEADER STEP(1, "", ", \"instructions\": -1"), "f:2: ", "\"instructions\"");
    refused(HEADER STEP(1, "", ", \"spaces\": 1"), "f:2: ", "\"spaces\"");
    refused(HEADER STEP(1, "", ", \"spaces\": [1]"), "f:2: ", "object");
    refused(HEADER STEP(1, "", ", \"regions\": {}"), "f:2: ", "\"regions\"");
    refused(HEADER STEP(1, "", ", \"regions\": [{}]"), "f:2: ", "\"id\"");
    refused(HEADER STEP(1, "", ", \"regions\": [" ONE ", " ONE "]"), "f:2: ", "twice");
    refused(HEADER STEP(1, "", ", \"gone\": [1]"), "f:2: ", "was not there");
    refused(HEADER STEP(1, "", ", \"gone\": [-1]"), "f:2: ", "\"gone\"");
    refused(HEADER STEP(1, "", ", \"regions\": [" ONE "]") STEP(2, "", ", \"gone\": [1]")
                STEP(3, "", ", \"gone\": [1]"),
            "f:4: ", "was not there");
    refused(HEADER STEP(1, "", ", \"regions\": [" ONE "]") STEP(2, "", ", \"gone\": [1], \"regions\": [" ONE "]"),
            "f:3: ", "twice");
    refused(HEADER "{\"step\": 1, \"cause\": \"\", \"calls\": [1]}\n", "f:2: ", "\"as_id\"");
    refused(HEADER "{\"step\": 1, \"cause\": \"\", \"calls\": [{\"as_id\": 0, \"slot\": 65536}]}\n",
            "f:2: ", "\"slot\"");
    refused(
        HEADER
        "{\"step\": 1, \"cause\": \"\", \"calls\": [{\"as_id\": 0, \"slot\": 0, \"flags\": \"0x100000000\", \"gpa\": "
        "\"0x0\", \"size\": \"0x0\", \"ua\": \"0x0\", \"ret\": 0}]}\n",
        "f:2: ", "2^32");
}

/* A state that can't be built is refused when it is asked for, with the line of the region. */
static void test_bad_state(void **state)
{
    static const char text[] = HEADER STEP(1, "start", ", \"regions\": [" ONE "]")
        STEP(2, "", ", \"regions\": [" REGION(3, "container", "0x0", "", "8") "]");
    struct topology topology;
    struct history history;
    struct problem problem;

    (void)state;
    assert_true(read(text, strlen(text), &history, &problem));
    assert_true(history_topology(&history, 1, &topology, NULL, &problem));
    topology_free(&topology);
    assert_false(history_topology(&history, 2, &topology, NULL, &problem));
    assert_string_equal(problem.text, "f:3: region 3: there is no region of id 8");
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states), cmocka_unit_test(test_steps),     cmocka_unit_test(test_cut),
        cmocka_unit_test(test_bad),    cmocka_unit_test(test_bad_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
