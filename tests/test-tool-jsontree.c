/* SPDX-License-Identifier: MIT */
/* The JSON tree read back: everything that version 1 has, and what makes no sense is refused with its line. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonscan.h"
#include "jsontree.h"
#include "map.h"

#define COMMON                                                                                                         \
    "\"size\": \"0x1000\", \"offset\": \"0x0\", \"priority\": 0, \"enabled\": true, \"readonly\": false, "             \
    "\"nonvolatile\": false"
#define HEAD                                                                                                           \
    "{\"format\": \"gmem-tree\", \"version\": 1, \"spaces\": [\n{\"name\": \"memory\", \"root\": 0, "                  \
    "\"unassigned_ones\": false}\n], \"regions\": [\n"
#define REGION(id, kind, more, children)                                                                               \
    "{\"id\": " #id ", \"kind\": \"" kind "\", \"name\": \"r" #id "\", " COMMON more ", \"children\": [" children "]}"
#define END "\n]}\n"

/* As the library prints it: every kind, a block that two regions share, and one that is larger than a region on it. */
static const char everything[] =
    "{\"format\": \"gmem-tree\", \"version\": 1, \"spaces\": [\n"
    "{\"name\": \"memory\", \"root\": 0, \"unassigned_ones\": false},\n"
    "{\"name\": \"tab\\u0009quote\\\"\", \"root\": 10, \"unassigned_ones\": true}\n"
    "], \"regions\": [\n"
    "{\"id\": 0, \"kind\": \"container\", \"name\": \"system\", \"size\": \"0x10000000000000000\", \"offset\": "
    "\"0x0\", \"priority\": 0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"children\": [9, 8, 7, "
    "6, 5, 4, 3, 2, 1]},\n"
    "{\"id\": 10, \"kind\": \"mmio\", \"name\": \"ports\", \"size\": \"0x10000\", \"offset\": \"0x0\", \"priority\": "
    "0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"owner\": \"owner:{x}\", \"children\": []},\n"
    "{\"id\": 9, \"kind\": \"alias\", \"name\": \"window\", \"size\": \"0x800\", \"offset\": \"0x100\", \"priority\": "
    "2147483647, \"enabled\": true, \"readonly\": true, \"nonvolatile\": false, \"target\": 1, \"target_offset\": "
    "\"0x10\", \"children\": []},\n"
    "{\"id\": 8, \"kind\": \"ram\", \"name\": \"small\", \"size\": \"0x1000\", \"offset\": \"0x9000\", \"priority\": "
    "0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"ram\": \"block\", \"children\": []},\n"
    "{\"id\": 7, \"kind\": \"ram-device\", \"name\": \"vfio\", \"size\": \"0x1000\", \"offset\": \"0x8000\", "
    "\"priority\": 0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"ram\": \"vfio\", \"children\": "
    "[]},\n"
    "{\"id\": 6, \"kind\": \"iommu\", \"name\": \"iommu\", \"size\": \"0x1000\", \"offset\": \"0x7000\", \"priority\": "
    "0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"children\": []},\n"
    "{\"id\": 5, \"kind\": \"reserved\", \"name\": \"reserved\", \"size\": \"0x1000\", \"offset\": \"0x6000\", "
    "\"priority\": 0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"children\": []},\n"
    "{\"id\": 4, \"kind\": \"mmio\", \"name\": \"off\", \"size\": \"0x1000\", \"offset\": \"0x5000\", \"priority\": 0, "
    "\"enabled\": false, \"readonly\": false, \"nonvolatile\": false, \"children\": []},\n"
    "{\"id\": 3, \"kind\": \"romd\", \"name\": \"flash\", \"size\": \"0x1000\", \"offset\": \"0x4000\", \"priority\": "
    "0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"romd\": false, \"ram\": \"flash\", "
    "\"children\": []},\n"
    "{\"id\": 2, \"kind\": \"rom\", \"name\": \"rom\", \"size\": \"0x1000\", \"offset\": \"0x3000\", \"priority\": 0, "
    "\"enabled\": true, \"readonly\": true, \"nonvolatile\": false, \"ram\": \"rom\", \"children\": []},\n"
    "{\"id\": 1, \"kind\": \"ram\", \"name\": \"ram\", \"size\": \"0x2000\", \"offset\": \"0x0\", \"priority\": "
    "-2147483648, \"enabled\": true, \"readonly\": false, \"nonvolatile\": true, \"ram\": \"block\", \"log\": 133, "
    "\"children\": "
    "[]}\n"
    "]}\n";

struct printed {
    char bytes[16384];
    size_t length;
};

static int put_text(void *opaque, const char *bytes, size_t length)
{
    struct printed *text = opaque;

    assert_true(length < sizeof(text->bytes) - text->length);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
    return 0;
}

static bool parse(const char *text, size_t size, struct topology *topology, struct problem *problem)
{
    const struct source source = {.name = (char *)"f", .text = (char *)text, .size = size};

    *problem = (struct problem){0};
    return jsontree_parse(&source, topology, problem);
}

/* All of it is refused, at this line, with these words; by the parser or, what only the library can see, when it is built. */
static void refused(const char *text, const char *where, const char *words)
{
    struct topology topology;
    struct problem problem;
    struct map map;

    if (parse(text, strlen(text), &topology, &problem)) {
        bool built = map_build(&topology, &map, &problem);

        if (built)
            map_free(&map);
        topology_free(&topology);
        assert_false(built);
    }
    if (strncmp(problem.text, where, strlen(where)) != 0 || !strstr(problem.text, words))
        fail_msg("%s: expected %s ... %s", problem.text, where, words);
}

static void accepted(const char *text, size_t regions)
{
    struct topology topology;
    struct problem problem;
    struct map map;

    if (!parse(text, strlen(text), &topology, &problem) || !map_build(&topology, &map, &problem))
        fail_msg("%s", problem.text);
    assert_int_equal(topology.n_regions, regions);
    map_free(&map);
    topology_free(&topology);
}

static void test_round_trip(void **state)
{
    const struct gmem_print_options json = {.struct_size = sizeof(json), .flags = GMEM_PRINT_JSON};
    struct topology topology;
    struct problem problem;
    struct printed text = {.length = 0};
    struct map map;

    (void)state;
    if (!parse(everything, strlen(everything), &topology, &problem) || !map_build(&topology, &map, &problem))
        fail_msg("%s", problem.text);
    assert_int_equal(gmem_print_tree(map.vm, &json, put_text, &text), 0);
    assert_string_equal(text.bytes, everything);
    map_free(&map);
    topology_free(&topology);
}

static void test_lines(void **state)
{
    struct topology topology;
    struct problem problem;

    (void)state;
    assert_true(parse(everything, strlen(everything), &topology, &problem));
    assert_string_equal(topology.source, "f");
    assert_int_equal(topology.n_regions, 11);
    assert_int_equal(topology.regions[0].line, 5);
    assert_int_equal(topology.regions[1].line, 15);
    assert_int_equal(topology.regions[10].line, 6);
    assert_int_equal(topology.n_spaces, 2);
    assert_int_equal(topology.spaces[1].line, 3);
    assert_int_equal(topology.n_guesses, 0);
    topology_free(&topology);
}

/* Order of members, white space, and members that are not known do not matter. */
static void test_other_forms(void **state)
{
    (void)state;
    accepted(
        "\n\t {\"regions\": [" REGION(0, "container", "", "") "], \"later\": {\"spaces\": [null]}, \"spaces\": [], "
                                                              "\"version\": 1, \"format\": \"gmem-tree\"}",
        1);
    accepted(HEAD REGION(0, "ram", ", \"ram\": \"a\", \"log\": 255", "") END, 1);
    accepted(HEAD REGION(0, "mmio", ", \"log\": 1, \"accesses\": {\"reads\": 1}, \"new\": [[]]", "") END, 1);
    accepted(HEAD REGION(0, "container", "", "7") ",\n" REGION(7, "container", "", "") END, 2);
}

static void test_no_json(void **state)
{
    static const char nul[] = HEAD "\0" REGION(0, "container", "", "") END;
    struct topology topology;
    struct problem problem;

    (void)state;
    refused("{", "f:1: ", "no JSON");
    refused("{\"format\": \"gmem-tree\",\n\n\"version\": }", "f:3: ", "no JSON");
    refused(HEAD REGION(0, "container", "", "") "\n]}\nmore", "f:6: ", "no JSON");
    refused(HEAD REGION(0, "container", "", ""), "f:4: ", "no JSON");
    refused(HEAD REGION(0, "container", ", \"id\": 1", "") END, "f:4: ", "duplicate");
    refused(HEAD "{\"id\": 99999999999999999999}" END, "f:4: ", "no JSON");
    refused(HEAD "{\"name\": \"\xff\"}" END, "f:4: ", "no JSON");
    assert_false(parse(nul, sizeof(nul) - 1, &topology, &problem));
}

static void test_nesting(void **state)
{
    const size_t n = 100000;
    char *text = malloc(n + 1);

    (void)state;
    memset(text, '[', n);
    text[n] = '\0';
    refused(text, "f:1: ", "depth");
    free(text);
}

/* The values of one document are counted before any of them takes memory. */
static void test_many_values(void **state)
{
    const size_t n = 20u << 20;
    char *text = malloc(n + 1);

    (void)state;
    memset(text, ',', n);
    text[n] = '\0';
    refused(text, "f:1: ", "more values");
    free(text);
}

static void test_format(void **state)
{
    (void)state;
    refused("{}", "f:1: ", "\"format\"");
    refused("[]", "f:1: ", "\"format\"");
    refused("{\"format\": 1}", "f:1: ", "\"format\"");
    refused("{\"format\": \"other\", \"version\": 1}", "f:1: ", "\"other\"");
    refused("{\"format\": \"gmem-flat\", \"version\": 1}", "f:1: ", "gmem tree --json");
    refused("{\"format\": \"gmem-tree\"}", "f:1: ", "\"version\"");
    refused("{\"format\": \"gmem-tree\", \"version\": \"1\"}", "f:1: ", "\"version\"");
    refused("{\"format\": \"gmem-tree\", \"version\": 2}", "f:1: ", "reads version 1");
    refused("{\"format\": \"gmem-tree\", \"version\": 1}", "f:1: ", "\"spaces\"");
    refused("{\"format\": \"gmem-tree\", \"version\": 1, \"spaces\": []}", "f:1: ", "\"regions\"");
}

#define FIRST REGION(0, "container", "", "") ",\n"
#define WITH(members) HEAD FIRST "{" members "}" END
#define BEFORE(kind) "\"id\": 1, \"kind\": \"" kind "\", \"name\": \"x\", "
#define AFTER                                                                                                          \
    ", \"offset\": \"0x0\", \"priority\": 0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, "         \
    "\"children\": []"

static void test_members(void **state)
{
    (void)state;
    refused(HEAD FIRST "1" END, "f:5: ", "object");
    refused(WITH(""), "f:5: ", "\"id\"");
    refused(WITH("\"id\": -1"), "f:5: ", "\"id\"");
    refused(WITH("\"id\": 1.0"), "f:5: ", "\"id\"");
    refused(WITH("\"id\": 9007199254740992"), "f:5: ", "\"id\"");
    refused(WITH("\"id\": 1, \"kind\": \"flash\", \"name\": \"x\""), "f:5: ", "flash");
    refused(WITH(BEFORE("mmio") "\"size\": 4096" AFTER), "f:5: ", "\"size\"");
    refused(WITH(BEFORE("mmio") "\"size\": \"4096\"" AFTER), "f:5: ", "\"size\"");
    refused(WITH(BEFORE("mmio") "\"size\": \"0x\"" AFTER), "f:5: ", "\"size\"");
    refused(WITH(BEFORE("mmio") "\"size\": \"0xg\"" AFTER), "f:5: ", "\"size\"");
    refused(WITH(BEFORE("mmio") "\"size\": \"0x0\"" AFTER), "f:5: ", "at least 1");
    refused(WITH(BEFORE("mmio") "\"size\": \"0x10000000000000001\"" AFTER), "f:5: ", "2^64");
    refused(WITH(BEFORE("ram") "\"size\": \"0x1000\"" AFTER), "f:5: ", "\"ram\"");
    refused(WITH(BEFORE("ram") "\"size\": \"0x10000000000000000\", \"ram\": \"x\"" AFTER), "f:5: ", "2^64");
    refused(WITH(BEFORE("romd") "\"size\": \"0x1000\", \"ram\": \"x\"" AFTER), "f:5: ", "\"romd\"");
    refused(WITH(BEFORE("alias") "\"size\": \"0x1000\"" AFTER), "f:5: ", "\"target\"");
    refused(WITH(BEFORE("alias") "\"size\": \"0x1000\", \"target\": 0" AFTER), "f:5: ", "\"target_offset\"");
    refused(WITH(BEFORE("mmio") "\"size\": \"0x1000\", \"owner\": 1" AFTER), "f:5: ", "\"owner\"");
    refused(WITH(BEFORE("mmio") "\"size\": \"0x1\", \"offset\": \"0x10000000000000000\""), "f:5: ", "\"offset\"");
    refused(WITH(BEFORE("mmio") "\"size\": \"0x1\", \"offset\": \"0x0\", \"priority\": 2147483648"),
            "f:5: ", "\"priority\"");
    refused(WITH(BEFORE("mmio") "\"size\": \"0x1\", \"offset\": \"0x0\", \"priority\": 0, \"enabled\": 1"),
            "f:5: ", "\"enabled\"");
    refused(HEAD FIRST REGION(1, "mmio", "", "null") END, "f:5: ", "\"children\"");
    refused("{\"format\": \"gmem-tree\", \"version\": 1, \"spaces\": [\n\n{\"name\": 1}], \"regions\": []}",
            "f:3: ", "\"name\"");
    refused("{\"format\": \"gmem-tree\", \"version\": 1, \"spaces\": [7], \"regions\": []}", "f:1: ", "object");
}

static void test_ids(void **state)
{
    (void)state;
    refused(HEAD FIRST REGION(0, "mmio", "", "") END, "f:5: ", "two of id 0");
    refused(HEAD REGION(0, "container", "", "5") END, "f:4: ", "no region of id 5");
    refused(HEAD FIRST REGION(1, "alias", ", \"target\": 5, \"target_offset\": \"0x0\"", "") END,
            "f:5: ", "no region of id 5");
    refused(HEAD REGION(3, "container", "", "") END, "f:2: ", "no region of id 0");
    refused(HEAD REGION(0, "container", "", "1, 1") ",\n" REGION(1, "mmio", "", "") END, "f:5: ", "placed twice");
    refused(HEAD REGION(0, "container", "", "2") ",\n" REGION(1, "container", "", "2") ",\n" REGION(2, "mmio", "", "")
                END,
            "f:6: ", "placed twice");
    refused(HEAD REGION(0, "container", "", "0") END, "f:4: ", "circle");
    refused(HEAD FIRST REGION(1, "container", "", "2") ",\n" REGION(2, "container", "", "1") END, "f:5: ", "circle");
}

/* What the library refuses is told with the line, too. */
static void test_refused_by_the_library(void **state)
{
    (void)state;
    refused(HEAD FIRST REGION(1, "alias", ", \"target\": 1, \"target_offset\": \"0x0\"", "") END, "f:5: ", "circle");
    refused(HEAD REGION(0, "container", "", "1") ",\n" REGION(1, "alias", ", \"target\": 0, \"target_offset\": \"0x0\"",
                                                              "") END,
            "f:", "r1");
    refused(HEAD REGION(0, "alias", ", \"target\": 1, \"target_offset\": \"0x0\"", "1") ",\n" REGION(1, "mmio", "", "")
                END,
            "f:5: ", "r1");
}

static void test_scan(void **state)
{
    static const char text[] =
        "\n{\"a\": [\"b\", \"\\\"[\"], \"b\":\n[1,\n\n {\"b\": [2,\n3]}, [],\"]\",\nnull ], \"c\": {}, \"d\": []}";
    size_t n, *lines = jsonscan_lines(text, strlen(text), "b", &n);

    (void)state;
    assert_int_equal(n, 5);
    assert_int_equal(lines[0], 3);
    assert_int_equal(lines[1], 5);
    assert_int_equal(lines[2], 6);
    assert_int_equal(lines[3], 6);
    assert_int_equal(lines[4], 7);
    free(lines);
    for (const char *key = "cdex"; *key; key++) {
        const char name[] = {*key, '\0'};

        lines = jsonscan_lines(text, strlen(text), name, &n);
        assert_int_equal(n, 0);
        free(lines);
    }
    assert_true(jsonscan_member_is("{\"x\": {\"k\": \"no\"}, \"k\" : \"v\"", 27, "k", "v") == false);
    assert_true(jsonscan_member_is("{\"x\": {\"k\": \"no\"}, \"k\" : \"v\"", 28, "k", "v"));
    assert_false(jsonscan_member_is("{\"x\": \"k\", \"y\": \"v\"}", 21, "k", "v"));
    assert_false(jsonscan_member_is("", 0, "k", "v"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_lines),
        cmocka_unit_test(test_other_forms), cmocka_unit_test(test_no_json),
        cmocka_unit_test(test_nesting),     cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_format),      cmocka_unit_test(test_members),
        cmocka_unit_test(test_ids),         cmocka_unit_test(test_refused_by_the_library),
        cmocka_unit_test(test_scan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
