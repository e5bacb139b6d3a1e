/* SPDX-License-Identifier: MIT */
/*
 * test-tool-infer.c - from the text of a tree, with and without a flat dump, to a topology: each conclusion by a small dump.
 */
#include "tool-text.h"

#include "check.h"
#include "infer.h"
#include "map.h"

#define ALL "0000000000000000-ffffffffffffffff"

struct made {
    struct topology topology;
    struct flat_dump flat;
    bool has_flat;
    bool ok;
    struct problem problem;
};

static struct made make(const char *tree, const char *flat)
{
    struct made made = {.has_flat = flat != NULL};
    struct source source = text_source(tree, strlen(tree));
    struct mtree mtree;

    if (!mtree_parse(&source, &mtree, &made.problem))
        fail_msg("%s", made.problem.text);
    source_free(&source);
    if (flat) {
        source = text_source(flat, strlen(flat));
        if (!flatdump_parse(&source, &made.flat, &made.problem))
            fail_msg("%s", made.problem.text);
        source_free(&source);
    }
    made.ok = infer(&mtree, flat ? &made.flat : NULL, &made.topology, &made.problem);
    mtree_free(&mtree);
    return made;
}

static void unmake(struct made *made)
{
    if (made->ok)
        topology_free(&made->topology);
    if (made->has_flat)
        flatdump_free(&made->flat);
}

/* The one region of that name; NOWHERE: none. */
static size_t find(const struct made *made, const char *name)
{
    size_t found = NOWHERE;

    if (!made->ok)
        fail_msg("%s", made->problem.text);
    for (size_t i = 0; i < made->topology.n_regions; i++)
        if (strcmp(made->topology.regions[i].name, name) == 0) {
            assert_int_equal(found, NOWHERE);
            found = i;
        }
    return found;
}

static const struct topo_region *get(const struct made *made, const char *name)
{
    size_t found = find(made, name);

    assert_int_not_equal(found, NOWHERE);
    return &made->topology.regions[found];
}

static size_t guesses(const struct made *made, enum settled by)
{
    size_t n = 0;

    for (size_t i = 0; i < made->topology.n_guesses; i++)
        n += made->topology.guesses[i].by == by;
    return n;
}

/* What the map of it shows is what the flat dump says, in every view. */
static void is_exact(const struct made *made)
{
    struct loaded loaded = {.topology = made->topology, .has_flat = true, .flat = made->flat};
    struct check result;
    struct problem problem;

    if (!map_build(&loaded.topology, &loaded.map, &problem))
        fail_msg("%s", problem.text);
    check(&loaded, &result);
    assert_int_equal(result.n_differences, 0);
    assert_int_equal(result.n_exact, result.n_views);
    assert_int_equal(result.missing, 0);
    check_free(&result);
    map_free(&loaded.map);
}

static void refused(const char *tree, const char *flat, const char *where)
{
    struct made made = make(tree, flat);

    assert_false(made.ok);
    if (!strstr(made.problem.text, where))
        fail_msg("\"%s\" is not in: %s", where, made.problem.text);
    unmake(&made);
}

static const char two_prints[] = "address-space: memory\n"
                                 "  " ALL " (prio 0, i/o): system\n"
                                 "    0000000000001000-0000000000001fff (prio 3, i/o): bus\n"
                                 "      0000000000001010-000000000000101f (prio 0, i/o): uart\n"
                                 "    0000000000008000-0000000000008fff (prio 0, i/o): alias low @bus "
                                 "0000000000000000-0000000000000fff\n"
                                 "\n"
                                 "memory-region: bus\n"
                                 "  0000000000001000-0000000000001fff (prio 3, i/o): bus\n"
                                 "    0000000000001010-000000000000101f (prio 0, i/o): uart\n"
                                 "\n";

static void test_a_section_is_what_the_tree_has(void **state)
{
    struct made made = make(two_prints, NULL);

    (void)state;
    assert_int_equal(made.topology.n_regions, 4);
    assert_int_equal(get(&made, "low")->target, find(&made, "bus"));
    assert_int_equal(get(&made, "bus")->parent, find(&made, "system"));
    assert_int_equal(get(&made, "uart")->offset, 0x10);
    assert_int_equal(get(&made, "bus")->kind, GMEM_KIND_CONTAINER);
    assert_int_equal(get(&made, "uart")->kind, GMEM_KIND_MMIO);
    assert_int_equal(guesses(&made, SETTLED_RULE), 3);
    unmake(&made);
}

static void test_another_place_is_another_region(void **state)
{
    char text[sizeof(two_prints)];
    char *own;
    struct made made;

    (void)state;
    strcpy(text, two_prints);
    own = strstr(text, "memory-region: bus\n  0000000000001000-0000000000001fff");
    memcpy(own + strlen("memory-region: bus\n  "), "0000000000002000-0000000000002fff", 33);
    memcpy(strstr(own, "0000000000001010"), "0000000000002010-000000000000201f", 33);
    made = make(text, NULL);
    assert_true(made.ok);
    assert_int_equal(made.topology.n_regions, 6);
    unmake(&made);
}

static void test_kinds_from_what_is_shown(void **state)
{
    static const char tree[] = "address-space: ports\n"
                               "  0000000000000000-000000000000ffff (prio 0, i/o): root\n"
                               "    0000000000000070-0000000000000090 (prio 0, i/o): clock\n"
                               "      0000000000000070-0000000000000070 (prio 0, i/o): index\n"
                               "    0000000000000100-00000000000001ff (prio 1, i/o): empty\n"
                               "\n";
    static const char flat[] = "FlatView #0\n"
                               " AS \"ports\", root: root\n"
                               " Root memory region: root\n"
                               "  0000000000000000-000000000000006f (prio 0, i/o): root\n"
                               "  0000000000000070-0000000000000070 (prio 0, i/o): index\n"
                               "  0000000000000071-0000000000000090 (prio 0, i/o): clock @0000000000000001\n"
                               "  0000000000000091-000000000000ffff (prio 0, i/o): root @0000000000000091\n"
                               "\n";
    struct made made = make(tree, flat);

    (void)state;
    assert_int_equal(get(&made, "clock")->kind, GMEM_KIND_MMIO);
    assert_int_equal(get(&made, "root")->kind, GMEM_KIND_MMIO);
    assert_int_equal(get(&made, "index")->kind, GMEM_KIND_MMIO);
    assert_int_equal(get(&made, "empty")->kind, GMEM_KIND_CONTAINER);
    assert_int_equal(guesses(&made, SETTLED_RULE), 0);
    assert_int_equal(guesses(&made, SETTLED_FLAT), 4);
    is_exact(&made);
    unmake(&made);
    made = make(tree, NULL); /* by rule: what is in it is all there is of it */
    assert_int_equal(get(&made, "clock")->kind, GMEM_KIND_CONTAINER);
    assert_int_equal(get(&made, "empty")->kind, GMEM_KIND_MMIO);
    unmake(&made);
}

static void test_order_and_read_only_windows(void **state)
{
    static const char tree[] = "address-space: memory\n"
                               "  " ALL " (prio 0, i/o): system\n"
                               "    0000000000000000-00000000000fffff (prio 0, ram): alias low @ram "
                               "0000000000000000-00000000000fffff\n"
                               "    0000000000000800-0000000000000bff (prio 0, i/o): small\n"
                               "    0000000000000900-0000000000100fff (prio 0, i/o): large\n"
                               "    00000000000f0000-00000000000fffff (prio 1, ram): alias shadow @ram "
                               "00000000000f0000-00000000000fffff\n"
                               "\n"
                               "memory-region: ram\n"
                               "  0000000000000000-00000000000fffff (prio 0, ram): ram\n\n";
    static const char flat[] = "FlatView #0\n"
                               " AS \"memory\", root: system\n"
                               " Root memory region: system\n"
                               "  0000000000000000-00000000000007ff (prio 0, ram): ram\n"
                               "  0000000000000800-00000000000008ff (prio 0, i/o): small\n"
                               "  0000000000000900-00000000000effff (prio 0, i/o): large\n"
                               "  00000000000f0000-00000000000fffff (prio 0, rom): ram @00000000000f0000\n"
                               "  0000000000100000-0000000000100fff (prio 0, i/o): large @00000000000ff700\n"
                               "\n";
    struct made made = make(tree, flat);

    (void)state;
    assert_true(get(&made, "large")->rank < get(&made, "small")->rank);
    assert_true(get(&made, "large")->rank < get(&made, "low")->rank);
    assert_true(get(&made, "small")->rank < get(&made, "low")->rank);
    assert_true(get(&made, "shadow")->readonly);
    assert_false(get(&made, "low")->readonly);
    is_exact(&made);
    unmake(&made);
    made = make(tree, NULL); /* by rule the smaller wins, and this is listed */
    assert_true(get(&made, "small")->rank < get(&made, "large")->rank);
    assert_false(get(&made, "shadow")->readonly);
    assert_true(guesses(&made, SETTLED_RULE) > 3);
    unmake(&made);
}

static bool guessed(const struct made *made, const char *name, const char *what)
{
    size_t region = find(made, name);

    for (size_t i = 0; i < made->topology.n_guesses; i++)
        if (made->topology.guesses[i].region == region && strstr(made->topology.guesses[i].text, what))
            return true;
    return false;
}

static const char hidden_tree[] = "address-space: memory\n"
                                  "  " ALL " (prio 0, i/o): system\n"
                                  "    0000000000000000-0000000000000fff (prio 0, ram): alias low @ram "
                                  "0000000000000000-0000000000000fff\n"
                                  "      0000000000000100-00000000000001ff (prio 0, i/o): under-alias\n"
                                  "        0000000000005000-00000000000050ff (prio 0, i/o): deep\n"
                                  "    0000000000002000-0000000000002fff (prio 0, ram): alias next @ram "
                                  "0000000000000000-0000000000000fff\n"
                                  "    0000000000003000-0000000000003fff (prio 0, i/o): dev\n"
                                  "      0000000000003100-00000000000031ff (prio 0, i/o): inside\n"
                                  "      0000000000003080-00000000000030ff (prio 0, i/o): breaks-order\n"
                                  "      0000000000003f00-0000000000003fff (prio 0, i/o): behind\n"
                                  "        0000000000003f10-0000000000003f1f (prio 0, i/o): below-behind\n"
                                  "\n"
                                  "memory-region: ram\n"
                                  "  0000000000000000-0000000000000fff (prio 0, ram): ram\n\n";

static void test_what_a_hidden_container_holds_is_not_seen(void **state)
{
    struct made made = make(hidden_tree, NULL);
    const struct topo_region *regions = made.topology.regions;

    (void)state;
    assert_true(made.ok);
    for (size_t i = 0; i < 3; i++) {
        const char *const names[] = {"under-alias", "breaks-order", "behind"};
        const struct topo_region *parent = &regions[get(&made, names[i])->parent];

        assert_true(parent->implied);
        assert_false(parent->enabled);
        assert_true(guessed(&made, names[i], "is in something disabled that is not printed"));
    }
    assert_false(guessed(&made, "inside", "is in something disabled"));
    assert_int_equal(get(&made, "inside")->parent, find(&made, "dev"));
    assert_int_equal(get(&made, "below-behind")->parent, find(&made, "behind"));
    unmake(&made);
}

static void test_nothing_is_hidden_beside_the_root(void **state)
{
    struct made made = make("address-space: memory\n"
                            "  " ALL " (prio 0, i/o): system\n"
                            "    0000000000002000-0000000000002fff (prio 0, i/o): later\n"
                            "    0000000000001000-0000000000001fff (prio 0, i/o): earlier\n",
                            NULL);

    (void)state;
    assert_true(made.ok);
    assert_int_equal(get(&made, "earlier")->parent, find(&made, "system"));
    unmake(&made);
}

static void test_aliases_show_sections_in_order(void **state)
{
    static const char tree[] = "address-space: memory\n"
                               "  " ALL " (prio 0, i/o): system [disabled]\n"
                               "    0000000000000000-00000000000000ff (prio 0, i/o): alias a @bus "
                               "0000000000000000-00000000000000ff\n"
                               "    0000000000001000-00000000000010ff (prio 0, i/o): alias a @bus "
                               "0000000000000000-00000000000000ff\n"
                               "    0000000000002000-00000000000020ff (prio 0, i/o): alias c @other "
                               "0000000000000000-00000000000000ff\n"
                               "\n"
                               "memory-region: bus\n"
                               "  0000000000000000-00000000000000ff (prio 0, i/o): bus\n"
                               "    0000000000000000-000000000000000f (prio 0, i/o): one\n"
                               "\n"
                               "memory-region: bus\n"
                               "  0000000000000000-00000000000000ff (prio 0, i/o): bus\n"
                               "    0000000000000000-000000000000000f (prio 0, i/o): two\n"
                               "\n"
                               "memory-region: other\n"
                               "  0000000000000000-00000000000000ff (prio 0, i/o): other\n\n";
    struct made made = make(tree, NULL);
    const struct topo_region *regions = made.topology.regions;
    size_t one = find(&made, "one"), two = find(&made, "two");

    (void)state;
    for (size_t i = 0; i < made.topology.n_regions; i++)
        if (strcmp(regions[i].name, "a") == 0)
            assert_int_equal(regions[i].target, regions[regions[i].offset ? two : one].parent);
    assert_int_equal(get(&made, "c")->target, find(&made, "other"));
    unmake(&made);
}

static const char flat_two[] = "FlatView #0\n"
                               " AS \"memory\", root: system\n"
                               " Root memory region: system\n"
                               "  0000000000000000-000000000000000f (prio 0, i/o): two\n"
                               "  0000000000001000-000000000000100f (prio 0, i/o): one\n\n";

static void test_targets_from_what_is_shown(void **state)
{
    static const char tree[] = "address-space: memory\n"
                               "  " ALL " (prio 0, i/o): system\n"
                               "    0000000000000000-00000000000000ff (prio 0, i/o): alias a @bus "
                               "0000000000000000-00000000000000ff\n"
                               "    0000000000001000-00000000000010ff (prio 0, i/o): alias a @bus "
                               "0000000000000000-00000000000000ff\n"
                               "\n"
                               "memory-region: bus\n"
                               "  0000000000000000-00000000000000ff (prio 0, i/o): bus\n"
                               "    0000000000000000-000000000000000f (prio 0, i/o): one\n"
                               "\n"
                               "memory-region: bus\n"
                               "  0000000000000000-00000000000000ff (prio 0, i/o): bus\n"
                               "    0000000000000000-000000000000000f (prio 0, i/o): two\n\n";
    struct made made = make(tree, flat_two);

    (void)state;
    is_exact(&made);
    unmake(&made);
}

/* A bridge shows what is behind it, and so does one behind that: all of one name. */
static void test_a_bridge_behind_a_bridge(void **state)
{
#define BRIDGES(disabled)                                                                                              \
    "address-space: memory\n"                                                                                          \
    "  " ALL " (prio 0, i/o): system\n"                                                                                \
    "    0000000000000000-0000000000000fff (prio 1, i/o): alias high @bus 0000000000000000-0000000000000fff\n"         \
    "    0000000000001000-0000000000001fff (prio 1, i/o): alias high @bus 0000000000001000-0000000000001fff\n"         \
    "    0000000000004000-0000000000004fff (prio 1, i/o): alias low @bus 0000000000004000-0000000000004fff\n"          \
    "    0000000000008000-0000000000008fff (prio 1, i/o): unseen" disabled "\n\n"                                      \
    "memory-region: bus\n"                                                                                             \
    "  " ALL " (prio 0, i/o): bus\n"                                                                                   \
    "    0000000000000000-00000000000000ff (prio 1, i/o): one\n"                                                       \
    "    0000000000000100-00000000000001ff (prio 1, i/o): alias high @bus 0000000000000100-00000000000001ff\n"         \
    "    0000000000000200-00000000000002ff (prio 1, i/o): alias high @bus 0000000000000200-00000000000002ff\n"         \
    "    0000000000004000-00000000000040ff (prio 1, i/o): alias low @bus 0000000000004000-00000000000040ff\n"          \
    "    0000000000004100-00000000000041ff (prio 1, i/o): alias low @bus 0000000000004100-00000000000041ff\n\n"        \
    "memory-region: bus\n"                                                                                             \
    "  " ALL " (prio 0, i/o): bus\n"                                                                                   \
    "    0000000000001000-00000000000010ff (prio 1, i/o): two\n\n"                                                     \
    "memory-region: bus\n"                                                                                             \
    "  " ALL " (prio 0, i/o): bus\n"                                                                                   \
    "    0000000000000100-000000000000017f (prio 1, i/o): three\n"                                                     \
    "    0000000000004000-000000000000407f (prio 1, i/o): four\n\n"                                                    \
    "memory-region: bus\n"                                                                                             \
    "  " ALL " (prio 0, i/o): bus\n"                                                                                   \
    "    0000000000000200-000000000000027f (prio 1, i/o): five\n"                                                      \
    "    0000000000004100-000000000000417f (prio 1, i/o): six\n\n"
    static const char *const trees[] = {BRIDGES(""), BRIDGES(" [disabled]")};
    static const char flat[] = "FlatView #0\n"
                               " AS \"memory\", root: system\n"
                               " Root memory region: system\n"
                               "  0000000000000000-00000000000000ff (prio 1, i/o): one\n"
                               "  0000000000000100-000000000000017f (prio 1, i/o): three\n"
                               "  0000000000000200-000000000000027f (prio 1, i/o): five\n"
                               "  0000000000001000-00000000000010ff (prio 1, i/o): two\n"
                               "  0000000000004000-000000000000407f (prio 1, i/o): four\n"
                               "  0000000000004100-000000000000417f (prio 1, i/o): six\n\n";

    (void)state;
    for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
        struct made by_rule = make(trees[i], NULL), made = make(trees[i], flat);
        const struct topo_region *regions = by_rule.topology.regions;

        for (size_t k = 0; by_rule.ok && k < by_rule.topology.n_regions; k++)
            if (regions[k].kind == GMEM_KIND_ALIAS && regions[k].offset == 0x100)
                assert_int_equal(regions[k].target, get(&by_rule, "three")->parent);
        assert_int_not_equal(find(&by_rule, "six"), NOWHERE);
        is_exact(&made);
        unmake(&by_rule);
        unmake(&made);
    }
}

/* What a rule took for an alias is no fact about those behind it. */
static void test_a_rule_leaves_later_targets_open(void **state)
{
    static const char tree[] = "address-space: memory\n"
                               "  " ALL " (prio 0, i/o): system\n"
                               "    0000000000000000-00000000000000ff (prio 0, i/o): alias a @bus "
                               "0000000000000000-00000000000000ff\n"
                               "    0000000000001000-00000000000010ff (prio 0, i/o): alias b @bus "
                               "0000000000000000-00000000000000ff\n"
                               "    0000000000002000-00000000000020ff (prio 0, i/o): alias c @bus "
                               "0000000000000000-00000000000000ff\n"
                               "    0000000000008000-0000000000008fff (prio 1, i/o): unseen [disabled]\n"
                               "\n"
                               "memory-region: bus\n"
                               "  0000000000000000-00000000000000ff (prio 0, i/o): bus\n"
                               "    0000000000000000-000000000000000f (prio 0, i/o): one\n"
                               "\n"
                               "memory-region: bus\n"
                               "  0000000000000000-00000000000000ff (prio 0, i/o): bus\n"
                               "    0000000000000000-000000000000000f (prio 0, i/o): two\n"
                               "\n"
                               "memory-region: bus\n"
                               "  0000000000000000-00000000000000ff (prio 0, i/o): bus\n"
                               "    0000000000000000-000000000000000f (prio 0, i/o): three\n\n";
    static const char flat[] = "FlatView #0\n"
                               " AS \"memory\", root: system\n"
                               " Root memory region: system\n"
                               "  0000000000000000-000000000000000f (prio 0, i/o): one\n"
                               "  0000000000001000-000000000000100f (prio 0, i/o): two\n"
                               "  0000000000002000-000000000000200f (prio 0, i/o): three\n\n";
    struct made made = make(tree, flat);

    (void)state;
    is_exact(&made);
    unmake(&made);
}

static void test_spaces_of_one_name_get_the_view_that_fits(void **state)
{
    static const char tree[] = "address-space: dma\n"
                               "  0000000000000000-0000000000000fff (prio 0, i/o): bus\n"
                               "    0000000000000000-00000000000000ff (prio 0, i/o): one\n"
                               "\n"
                               "address-space: dma\n"
                               "  0000000000000000-0000000000000fff (prio 0, i/o): bus\n"
                               "\n";
    static const char flat[] = "FlatView #0\n"
                               " AS \"dma\", root: bus\n"
                               " Root memory region: (none)\n"
                               "  No rendered FlatView\n"
                               "\n"
                               "FlatView #1\n"
                               " AS \"dma\", root: bus\n"
                               " Root memory region: one\n"
                               "  0000000000000000-00000000000000ff (prio 0, i/o): one\n\n";
    struct made made = make(tree, flat);

    (void)state;
    is_exact(&made);
    unmake(&made);
}

static void test_an_alias_of_what_it_lies_in(void **state)
{
    static const char tree[] = "address-space: memory\n"
                               "  " ALL " (prio 0, i/o): system\n"
                               "    0000000000001000-0000000000001fff (prio 0, i/o): alias mirror @system "
                               "0000000000008000-0000000000008fff\n"
                               "    0000000000008000-00000000000080ff (prio 0, i/o): uart\n"
                               "    0000000000008f00-00000000000090ff (prio 0, i/o): timer\n"
                               "\n"
                               "memory-region: system\n"
                               "  " ALL " (prio 0, i/o): system\n"
                               "    0000000000001000-0000000000001fff (prio 0, i/o): alias mirror @system "
                               "0000000000008000-0000000000008fff\n"
                               "    0000000000008000-00000000000080ff (prio 0, i/o): uart\n"
                               "    0000000000008f00-00000000000090ff (prio 0, i/o): timer\n\n";
    static const char flat[] = "FlatView #0\n"
                               " AS \"memory\", root: system\n"
                               " Root memory region: system\n"
                               "  0000000000001000-00000000000010ff (prio 0, i/o): uart\n"
                               "  0000000000001f00-0000000000001fff (prio 0, i/o): timer\n"
                               "  0000000000008000-00000000000080ff (prio 0, i/o): uart\n"
                               "  0000000000008f00-00000000000090ff (prio 0, i/o): timer\n\n";
    struct made made = make(tree, flat);

    (void)state;
    assert_int_equal(made.topology.n_regions, 4);
    is_exact(&made);
    unmake(&made);
}

static void test_what_does_not_belong_together_is_refused(void **state)
{
    static const char other_space[] = "FlatView #0\n AS \"other\", root: system\n Root memory region: system\n\n";
    static const char other_name[] = "FlatView #0\n AS \"memory\", root: system\n Root memory region: system\n"
                                     "  0000000000001010-000000000000101f (prio 0, i/o): serial\n\n";
    static const char other_place[] = "FlatView #0\n AS \"memory\", root: system\n Root memory region: system\n"
                                      "  0000000000001020-000000000000102f (prio 0, i/o): uart\n\n";
    static const char other_root[] = "FlatView #0\n AS \"memory\", root: board\n Root memory region: board\n\n";
    static const char no_target[] = "address-space: memory\n"
                                    "  " ALL " (prio 0, i/o): system\n"
                                    "    0000000000001000-0000000000001fff (prio 0, i/o): alias a @b "
                                    "0000000000000000-0000000000000fff\n\n";

    (void)state;
    refused(two_prints, other_space, ":1:");
    refused(two_prints, other_name, ":4:");
    refused(two_prints, other_place, ":4:");
    refused(two_prints, other_root, ":2:");
    refused(no_target, NULL, ":3:");
}

static void test_a_circle_is_refused(void **state)
{
    static const char tree[] = "address-space: memory\n"
                               "  " ALL " (prio 0, i/o): system\n"
                               "    0000000000001000-0000000000001fff (prio 0, i/o): alias a @system "
                               "0000000000000000-ffffffffffffefff\n\n"
                               "memory-region: system\n"
                               "  " ALL " (prio 0, i/o): system\n"
                               "    0000000000001000-0000000000001fff (prio 0, i/o): alias a @system "
                               "0000000000001000-0000000000001fff\n\n";
    struct made made = make(tree, NULL);
    struct map map;

    (void)state;
    assert_true(made.ok);
    assert_false(map_build(&made.topology, &map, &made.problem));
    assert_non_null(strstr(made.problem.text, ":7:"));
    unmake(&made);
}

static void test_text_of_2012(void **state)
{
    static const char tree[] = "address-space: memory\n"
                               "  " ALL " (prio 0, RW): system\n"
                               "    0000000000000000-00000000000fffff (prio 0, RW): alias low @main "
                               "0000000000000000-00000000000fffff\n"
                               "    00000000000f0000-00000000000fffff (prio 1, R-): alias shadow @main "
                               "00000000000f0000-00000000000fffff\n"
                               "    0000000000200000-00000000002000ff (prio 1, RW): uart\n"
                               "    0000000000300000-00000000003fffff (prio 1, R-): bios\n\n"
                               "memory-region: main\n"
                               "  0000000000000000-00000000000fffff (prio 0, RW): main\n\n";
    struct made made = make(tree, NULL);

    (void)state;
    assert_int_equal(get(&made, "main")->kind, GMEM_KIND_RAM);
    assert_int_equal(get(&made, "uart")->kind, GMEM_KIND_MMIO);
    assert_int_equal(get(&made, "bios")->kind, GMEM_KIND_ROM);
    assert_true(get(&made, "shadow")->readonly);
    assert_false(get(&made, "low")->readonly);
    unmake(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_section_is_what_the_tree_has),
        cmocka_unit_test(test_another_place_is_another_region),
        cmocka_unit_test(test_kinds_from_what_is_shown),
        cmocka_unit_test(test_order_and_read_only_windows),
        cmocka_unit_test(test_what_a_hidden_container_holds_is_not_seen),
        cmocka_unit_test(test_nothing_is_hidden_beside_the_root),
        cmocka_unit_test(test_aliases_show_sections_in_order),
        cmocka_unit_test(test_targets_from_what_is_shown),
        cmocka_unit_test(test_a_bridge_behind_a_bridge),
        cmocka_unit_test(test_a_rule_leaves_later_targets_open),
        cmocka_unit_test(test_spaces_of_one_name_get_the_view_that_fits),
        cmocka_unit_test(test_an_alias_of_what_it_lies_in),
        cmocka_unit_test(test_what_does_not_belong_together_is_refused),
        cmocka_unit_test(test_a_circle_is_refused),
        cmocka_unit_test(test_text_of_2012),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
