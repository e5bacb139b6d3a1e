// SPDX-License-Identifier: MIT
/*
 * What answers and why, on topologies made by hand, one for each fate; and random ones, where the library is the model: what it
 * shows at each address, and what it shows there once a region is really disabled.
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "explain.h"
#include "places.h"
#include "random.h"

static struct problem problem;

static size_t put(struct topology *topology, const char *name, enum gmem_kind kind, size_t parent, uint64_t offset,
                  uint64_t size, int32_t priority)
{
    size_t index = topology_add_region(topology);
    struct topo_region *region = &topology->regions[index];

    region->name = alloc_text(name);
    region->kind = kind;
    region->parent = parent;
    region->offset = offset;
    region->size = GMEM_SIZE(size);
    region->priority = priority;
    region->rank = (uint32_t)index;
    region->line = index + 1;
    return index;
}

static size_t put_alias(struct topology *topology, const char *name, size_t parent, uint64_t offset, uint64_t size,
                        size_t target, uint64_t target_offset)
{
    size_t index = put(topology, name, GMEM_KIND_ALIAS, parent, offset, size, 1);

    topology->regions[index].target = target;
    topology->regions[index].target_offset = target_offset;
    return index;
}

/* One explained address of the first space. */
struct world {
    struct topology topology;
    struct map map;
    struct explainer *explainer;
    struct explanation e;
};

static void ask(struct world *world, uint64_t addr)
{
    if (!world->explainer) {
        if (!world->topology.n_spaces)
            topology_add_space(&world->topology, "memory", 0);
        if (!map_build(&world->topology, &world->map, &problem))
            fail_msg("%s", problem.text);
        world->explainer = explainer_new(&world->map);
    } else {
        explanation_free(&world->e);
    }
    assert_true(explain(world->explainer, 0, addr, &world->e, &problem));
}

static void end(struct world *world)
{
    if (world->explainer) {
        explanation_free(&world->e);
        explainer_free(world->explainer);
        map_free(&world->map);
    }
    topology_free(&world->topology);
}

static size_t region_at(const struct world *world, size_t candidate)
{
    return world->e.ways.ways[world->e.candidates[candidate].way].region;
}

static void assert_candidate(const struct world *world, size_t index, size_t region, uint64_t offset, enum fate fate,
                             size_t by, size_t against)
{
    const struct candidate *candidate = &world->e.candidates[index];

    assert_true(index < world->e.n_candidates);
    assert_int_equal(region_at(world, index), region);
    assert_int_equal(candidate->offset, offset);
    assert_int_equal(candidate->fate, fate);
    assert_int_equal(candidate->by, by);
    assert_int_equal(candidate->against, against);
}

static void assert_why(const struct world *world, size_t index, const char *expected)
{
    char *why = explain_why(world->explainer, &world->e, index);

    assert_string_equal(why, expected);
    free(why);
}

static void a_higher_priority_wins(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t ram = put(&w.topology, "ram", GMEM_KIND_RAM, system, 0, 0x8000, 0);
    size_t box = put(&w.topology, "box", GMEM_KIND_CONTAINER, system, 0x1000, 0x1000, 7);
    size_t device = put(&w.topology, "device", GMEM_KIND_MMIO, box, 0x100, 0x100, -3);

    (void)state;
    ask(&w, 0x1104);
    assert_true(w.e.found);
    assert_int_equal(w.e.n_candidates, 2);
    assert_candidate(&w, 0, device, 4, FATE_WINS, NOWHERE, NOWHERE);
    assert_why(&w, 0, "");
    assert_candidate(&w, 1, ram, 0x1104, FATE_LOWER, box, ram);
    assert_why(&w, 1, "box (prio 7) lies over it: higher priority than ram (prio 0) in system");
    assert_int_equal(w.e.next, 1);
    assert_int_equal(w.e.section.first, 0x1100);
    assert_int_equal(w.e.section.last, 0x11ff);
    assert_int_equal(w.e.before.last, 0x10ff);
    assert_int_equal(w.e.after.first, 0x1200);
    end(&w);
}

static void of_equals_the_one_placed_later_wins(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t later = put(&w.topology, "later", GMEM_KIND_MMIO, system, 0, 0x1000, 2);
    size_t earlier = put(&w.topology, "earlier", GMEM_KIND_MMIO, system, 0x800, 0x1000, 2);

    (void)state;
    ask(&w, 0x900);
    assert_candidate(&w, 0, later, 0x900, FATE_WINS, NOWHERE, NOWHERE);
    assert_candidate(&w, 1, earlier, 0x100, FATE_EARLIER, later, earlier);
    assert_why(&w, 1, "later lies over it: same priority (2) in system as earlier, which was placed earlier");
    ask(&w, 0x1000);
    assert_int_equal(w.e.n_candidates, 1);
    assert_candidate(&w, 0, earlier, 0x800, FATE_WINS, NOWHERE, NOWHERE);
    assert_int_equal(w.e.next, NOWHERE);
    end(&w);
}

static void a_subregion_lies_over_its_container(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t bar = put(&w.topology, "bar", GMEM_KIND_MMIO, system, 0x4000, 0x1000, 0);
    size_t table = put(&w.topology, "table", GMEM_KIND_MMIO, bar, 0x800, 0x10, -1);

    (void)state;
    ask(&w, 0x480f);
    assert_candidate(&w, 0, table, 0xf, FATE_WINS, NOWHERE, NOWHERE);
    assert_candidate(&w, 1, bar, 0x80f, FATE_BELOW_CHILD, table, NOWHERE);
    assert_why(&w, 1, "table, in it, lies over what it shows itself");
    assert_int_equal(w.e.n_without, 3);
    assert_int_equal(w.e.without[0].region, table);
    assert_int_equal(w.e.without[0].next, 1);
    assert_int_equal(w.e.without[1].region, bar);
    assert_int_equal(w.e.without[1].next, NOWHERE);
    assert_int_equal(w.e.without[2].region, system);
    ask(&w, 0x4810);
    assert_int_equal(w.e.n_candidates, 1);
    assert_candidate(&w, 0, bar, 0x810, FATE_WINS, NOWHERE, NOWHERE);
    end(&w);
}

static void what_is_disabled_is_named(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t ram = put(&w.topology, "ram", GMEM_KIND_RAM, NOWHERE, 0, 0x8000, 0);
    size_t window = put_alias(&w.topology, "window", system, 0x2000, 0x1000, ram, 0x6000);
    size_t off = put(&w.topology, "off", GMEM_KIND_MMIO, system, 0x2000, 0x1000, 0);

    (void)state;
    w.topology.regions[window].enabled = false;
    w.topology.regions[off].enabled = false;
    ask(&w, 0x2010);
    assert_false(w.e.found);
    assert_int_equal(w.e.n_candidates, 2);
    assert_candidate(&w, 0, ram, 0x6010, FATE_DISABLED, window, NOWHERE);
    assert_why(&w, 0, "window, which it is seen through, is disabled");
    assert_candidate(&w, 1, off, 0x10, FATE_DISABLED, off, NOWHERE);
    assert_why(&w, 1, "it is disabled");
    assert_false(w.e.has_before);
    assert_false(w.e.has_after);
    end(&w);
}

/* Of several that are disabled, the outermost is named: nothing else helps before that is enabled. */
static void the_outermost_that_is_disabled_is_named(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t outer = put(&w.topology, "outer", GMEM_KIND_CONTAINER, system, 0x2000, 0x1000, 0);
    size_t inner = put(&w.topology, "inner", GMEM_KIND_MMIO, outer, 0, 0x1000, 0);
    size_t under = put(&w.topology, "under", GMEM_KIND_MMIO, system, 0, 0x10000, -1);

    (void)state;
    w.topology.regions[outer].enabled = w.topology.regions[inner].enabled = false;
    ask(&w, 0x2010);
    assert_candidate(&w, 0, under, 0x2010, FATE_WINS, NOWHERE, NOWHERE);
    assert_candidate(&w, 1, inner, 0x10, FATE_DISABLED, outer, NOWHERE);
    assert_int_equal(w.e.next, NOWHERE);
    end(&w);
}

static void a_container_shows_nothing_itself(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t box = put(&w.topology, "box", GMEM_KIND_CONTAINER, system, 0x1000, 0x1000, 5);
    size_t lost, ram;

    (void)state;
    put(&w.topology, "in the box", GMEM_KIND_MMIO, box, 0, 0x10, 0);
    lost = put_alias(&w.topology, "lost", system, 0x1000, 0x1000, NOWHERE, 0);
    ram = put(&w.topology, "ram", GMEM_KIND_RAM, system, 0, 0x8000, 0);
    ask(&w, 0x1800);
    assert_int_equal(w.e.n_candidates, 3);
    assert_candidate(&w, 0, ram, 0x1800, FATE_WINS, NOWHERE, NOWHERE);
    assert_candidate(&w, 1, box, 0x800, FATE_CONTAINER, NOWHERE, NOWHERE);
    assert_why(&w, 1, "it shows only its subregions, and none of them is here");
    assert_candidate(&w, 2, lost, 0x800, FATE_CONTAINER, NOWHERE, NOWHERE);
    assert_why(&w, 2, "what it is an alias of is not in the source, so nothing is seen through it");
    end(&w);
}

static void a_window_past_the_end_of_its_target(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t rom = put(&w.topology, "rom", GMEM_KIND_ROM, NOWHERE, 0, 0x1000, 0);
    size_t window = put_alias(&w.topology, "window", system, 0, 0x2000, rom, 0x800);

    (void)state;
    ask(&w, 0x7ff);
    assert_candidate(&w, 0, rom, 0xfff, FATE_WINS, NOWHERE, NOWHERE);
    ask(&w, 0x800);
    assert_false(w.e.found);
    assert_int_equal(w.e.n_candidates, 1);
    assert_candidate(&w, 0, window, 0x800, FATE_OUTSIDE, rom, window);
    assert_why(&w, 0, "the window window reaches past the end of its target rom, whose last offset is 0xfff");
    assert_true(w.e.has_before);
    assert_int_equal(w.e.before.last, 0x7ff);
    end(&w);
}

static void what_reaches_past_the_end_of_its_container(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t bus = put(&w.topology, "bus", GMEM_KIND_CONTAINER, system, 0x1000, 0x1000, 0);
    size_t bridge = put(&w.topology, "bridge", GMEM_KIND_CONTAINER, bus, 0x800, 0x400, 0);
    size_t device = put(&w.topology, "device", GMEM_KIND_MMIO, bridge, 0x200, 0x1000, 0);
    size_t beyond = put(&w.topology, "beyond", GMEM_KIND_MMIO, bus, 0x5000, 0x1000, 0);

    (void)state;
    w.topology.regions[beyond].enabled = false;
    ask(&w, 0x1a10); /* where it is seen */
    assert_candidate(&w, 0, device, 0x10, FATE_WINS, NOWHERE, NOWHERE);
    ask(&w, 0x1c00); /* past the bridge, in the bus */
    assert_false(w.e.found);
    assert_candidate(&w, 0, device, 0x200, FATE_OUTSIDE, bridge, device);
    assert_why(&w, 0, "device reaches past the end of bridge, whose last offset is 0x3ff");
    ask(&w, 0x2000); /* past the bus, too, whose end the bridge does not reach past */
    assert_candidate(&w, 0, device, 0x600, FATE_OUTSIDE, bridge, device);
    ask(&w, 0x2a00);
    assert_int_equal(w.e.n_candidates, 1);
    assert_candidate(&w, 0, system, 0x2a00, FATE_CONTAINER, NOWHERE, NOWHERE);
    ask(&w, 0x6fff);
    assert_int_equal(w.e.n_candidates, 1);
    assert_candidate(&w, 0, beyond, 0xfff, FATE_OUTSIDE, bus, beyond);
    assert_why(&w, 0, "beyond reaches past the end of bus, whose last offset is 0xfff; and beyond is disabled");
    end(&w);
}

/* Of several that end before the address, it is the innermost that something reaches past the end of. */
static void what_reaches_past_several_ends(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t outer = put(&w.topology, "outer", GMEM_KIND_CONTAINER, system, 0, 0x1000, 0);
    size_t inner = put(&w.topology, "inner", GMEM_KIND_CONTAINER, outer, 0, 0x800, 0);
    size_t ram = put(&w.topology, "ram", GMEM_KIND_RAM, inner, 0, 0x3000, 0);

    (void)state;
    ask(&w, 0x2000);
    assert_false(w.e.found);
    assert_int_equal(w.e.n_candidates, 1);
    assert_candidate(&w, 0, ram, 0x2000, FATE_OUTSIDE, inner, ram);
    assert_why(&w, 0, "ram reaches past the end of inner, whose last offset is 0x7ff");
    end(&w);
}

/* A window on what it is in shows itself, were it enabled. */
static void a_circle_that_is_disabled(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t ram = put(&w.topology, "ram", GMEM_KIND_RAM, system, 0, 0x8000, 0);
    size_t circle = put_alias(&w.topology, "circle", system, 0, 0x10000, system, 0);

    (void)state;
    w.topology.regions[circle].enabled = false;
    ask(&w, 0x10);
    assert_int_equal(w.e.n_candidates, 2);
    assert_candidate(&w, 0, ram, 0x10, FATE_WINS, NOWHERE, NOWHERE);
    assert_candidate(&w, 1, circle, 0x10, FATE_DISABLED, circle, NOWHERE);
    end(&w);
}

/* A window past the end of the container that it shows: it is not seen, and once around is enough. */
static void a_circle_past_the_end(void **state)
{
    struct topology topology = {0};
    size_t system = put(&topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t box = put(&topology, "box", GMEM_KIND_CONTAINER, system, 0, 0x1000, 0);
    size_t circle = put_alias(&topology, "circle", box, 0x2000, 0x2000, box, 0x2000);
    struct ways_index *index = ways_index(&topology);
    struct ways ways;

    (void)state;
    topology_add_space(&topology, "memory", system);
    assert_true(ways_at(index, 0, 0x2010, 100, &ways, &problem));
    assert_int_equal(ways.n, 3);
    assert_int_equal(ways.ways[1].region, box);
    assert_int_equal(ways.ways[2].region, circle);
    assert_true(ways.ways[2].outside);
    ways_free(&ways);
    ways_index_free(index);
    topology_free(&topology);
}

static void the_last_addresses(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 1, 0);
    size_t all = put(&w.topology, "all", GMEM_KIND_MMIO, system, 0, 1, -5);
    size_t top = put(&w.topology, "top", GMEM_KIND_MMIO, system, UINT64_MAX - 0xf, 0x10, 0);

    (void)state;
    w.topology.regions[system].size = w.topology.regions[all].size = GMEM_SIZE_ALL;
    ask(&w, UINT64_MAX);
    assert_candidate(&w, 0, top, 0xf, FATE_WINS, NOWHERE, NOWHERE);
    assert_candidate(&w, 1, all, UINT64_MAX, FATE_LOWER, top, all);
    assert_false(w.e.has_after);
    ask(&w, 0);
    assert_candidate(&w, 0, all, 0, FATE_WINS, NOWHERE, NOWHERE);
    assert_false(w.e.has_before);
    end(&w);
}

struct told {
    size_t n;
    char text[64];
};

static void tell(void *opaque, const struct topo_guess *guess)
{
    struct told *told = opaque;

    told->n++;
    assert_true(snprintf(told->text, sizeof(told->text), "%s", guess->text) > 0);
}

static void guesses_are_those_about_what_is_there(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t a = put(&w.topology, "a", GMEM_KIND_MMIO, system, 0, 0x1000, 0);
    size_t b = put(&w.topology, "b", GMEM_KIND_MMIO, system, 0x1000, 0x1000, 0);
    struct told told = {0};

    (void)state;
    topology_guess(&w.topology, b, SETTLED_RULE, "about b");
    topology_guess(&w.topology, NOWHERE, SETTLED_RULE, "about nothing");
    topology_guess(&w.topology, a, SETTLED_RULE, "about a");
    ask(&w, 0x800);
    explain_guesses(w.explainer, &w.e, tell, &told);
    assert_int_equal(told.n, 1);
    assert_string_equal(told.text, "about a");
    end(&w);
}

static char *printed(const struct world *world,
                     void (*print)(const struct explainer *, const struct explanation *, FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    print(world->explainer, &world->e, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* What is inherited says from whom, and what an access does follows from it. */
static void what_is_inherited_says_from_whom(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    size_t ram = put(&w.topology, "ram", GMEM_KIND_RAM, NOWHERE, 0, 0x8000, 0);
    size_t window = put_alias(&w.topology, "shadow", system, 0, 0x1000, ram, 0x1000);
    size_t plain = put_alias(&w.topology, "plain", system, 0x1000, 0x1000, ram, 0x1000);
    char *text;

    (void)state, (void)plain;
    w.topology.regions[window].readonly = true;
    ask(&w, 0x10);
    text = printed(&w, explain_text);
    assert_non_null(strstr(text, "memory 0x10: ram (line 2) answers, at its offset 0x1010\n"));
    assert_non_null(strstr(text, "reads memory; writes are dropped\n"));
    assert_non_null(strstr(text, "because of alias shadow (line 3)\n"));
    assert_non_null(strstr(text, "0x1010 in block ram"));
    free(text);
    text = printed(&w, explain_json);
    assert_non_null(strstr(text, "\"access\": \"rom\", \"readonly\": true"));
    free(text);
    ask(&w, 0x1010);
    text = printed(&w, explain_text);
    assert_non_null(strstr(text, "reads and writes memory\n"));
    assert_null(strstr(text, "because of"));
    free(text);
    end(&w);
}

static void a_name_can_do_nothing_to_a_terminal(void **state)
{
    struct world w = {0};
    size_t system = put(&w.topology, "", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x10000, 0);
    char *text;

    (void)state;
    put(&w.topology, "\033[2J\n\x7f", GMEM_KIND_MMIO, system, 0, 0x1000, 0);
    ask(&w, 0);
    text = printed(&w, explain_text);
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "?[2J?? (line 2) answers"));
    assert_non_null(strstr(text, "(unnamed)"));
    free(text);
    end(&w);
}

/* Windows on containers of windows: each step doubles the ways. */
static void too_many_ways_are_refused(void **state)
{
    struct world w = {0};
    size_t last = put(&w.topology, "device", GMEM_KIND_MMIO, NOWHERE, 0, 0x1000, 0);

    (void)state;
    for (unsigned i = 0; i < 15; i++) {
        size_t box = put(&w.topology, "box", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x1000, 0);

        put_alias(&w.topology, "one", box, 0, 0x1000, last, 0);
        put_alias(&w.topology, "two", box, 0, 0x1000, last, 0);
        last = box;
    }
    topology_add_space(&w.topology, "memory", last);
    assert_true(map_build(&w.topology, &w.map, &problem));
    w.explainer = explainer_new(&w.map);
    assert_false(explain(w.explainer, 0, 0, &w.e, &problem));
    assert_non_null(strstr(problem.text, "more ways"));
    explainer_free(w.explainer);
    map_free(&w.map);
    topology_free(&w.topology);
}

/* With 100,000 siblings an address looks at those that are there. No times: what is bounded is ways, not looks. */
static void many_siblings(void **state)
{
    enum { N = 20000 };
    struct world w = {0};
    size_t system = put(&w.topology, "system", GMEM_KIND_CONTAINER, NOWHERE, 0, 0x100000000, 0), n;
    const struct gmem_section *ranges;

    (void)state;
    for (size_t i = 0; i < N; i++)
        put(&w.topology, "device", GMEM_KIND_MMIO, system, i * 0x1000, 0x800, 0);
    ask(&w, 0);
    ranges = explainer_ranges(w.explainer, 0, &n);
    assert_int_equal(n, N);
    for (size_t i = 0; i < n; i++) {
        ask(&w, ranges[i].first + 5);
        assert_int_equal(w.e.ways.n, 2);
        assert_candidate(&w, 0, i + 1, 5, FATE_WINS, NOWHERE, NOWHERE);
    }
    end(&w);
}

/*
 * The model. Addresses are few, so that everything overlaps, ends early and is seen through windows too large.
 */
enum { ADDRESSES = 48, SPACES = 3 };

static void random_region(struct random *random, struct topology *topology)
{
    static const enum gmem_kind some[] = {GMEM_KIND_CONTAINER, GMEM_KIND_CONTAINER, GMEM_KIND_CONTAINER,
                                          GMEM_KIND_MMIO,      GMEM_KIND_MMIO,      GMEM_KIND_RAM,
                                          GMEM_KIND_ROM,       GMEM_KIND_ROMD,      GMEM_KIND_RESERVED,
                                          GMEM_KIND_ALIAS,     GMEM_KIND_ALIAS,     GMEM_KIND_ALIAS};
    size_t n = topology->n_regions, parent = random_below(random, n);
    enum gmem_kind kind = some[random_below(random, sizeof(some) / sizeof(some[0]))];
    size_t index;
    struct topo_region *region;
    char name[16];

    if (topology->regions[parent].kind == GMEM_KIND_ALIAS || random_chance(random, 20))
        parent = NOWHERE;
    snprintf(name, sizeof(name), "r%zu", n);
    index = put(topology, name, kind, parent, random_below(random, ADDRESSES / 2), 1 + random_below(random, ADDRESSES),
                (int32_t)random_below(random, 3));
    region = &topology->regions[index];
    if (parent == NOWHERE)
        region->offset = random_chance(random, 50) ? 0 : region->offset;
    region->enabled = random_chance(random, 80);
    region->readonly = kind == GMEM_KIND_ROM || random_chance(random, 10);
    region->nonvolatile = random_chance(random, 10);
    region->romd = random_chance(random, 50);
    if (kind == GMEM_KIND_ALIAS) {
        region->target = random_chance(random, 95) ? random_below(random, n) : NOWHERE;
        region->target_offset = random_below(random, ADDRESSES / 2);
    }
}

/* Ranks are a permutation: what is placed later comes first, wherever its line is. */
static void random_topology(struct random *random, struct topology *topology)
{
    size_t n = 2 + random_below(random, 14);

    put(topology, "r0", GMEM_KIND_CONTAINER, NOWHERE, 0, ADDRESSES * 3 / 4, 0);
    while (topology->n_regions < n)
        random_region(random, topology);
    for (size_t i = n - 1; i > 0; i--) {
        size_t k = random_below(random, i + 1);
        uint32_t rank = topology->regions[i].rank;

        topology->regions[i].rank = topology->regions[k].rank;
        topology->regions[k].rank = rank;
    }
    topology_add_space(topology, "first", 0);
    topology_add_space(topology, "second", random_below(random, n));
    topology_add_space(topology, "none", NOWHERE);
}

/* Region and offset that a space shows, NOWHERE if none. */
static size_t shown(const struct map *map, size_t space, uint64_t addr, uint64_t *ret_offset, uint32_t *ret_attrs)
{
    struct gmem_section section;
    size_t region;

    if (gmem_space_lookup(map->spaces[space], addr, &section))
        return NOWHERE;
    region = map_region(map, section.region);
    *ret_offset = section.offset + (addr - section.first);
    *ret_attrs = section.attrs;
    gmem_section_release(&section);
    return region;
}

/* The two walks find the same, but for what is not there. */
static void same_ways(const struct world *world, size_t space, uint64_t addr)
{
    struct ways ways;
    size_t k = 0;

    assert_true(ways_find(&world->topology, space, addr, addr, 100000, &ways, &problem));
    for (size_t i = 0; i < world->e.ways.n; i++) {
        const struct way *at = &world->e.ways.ways[i], *found = &ways.ways[k];

        if (at->outside)
            continue;
        assert_true(k++ < ways.n);
        assert_int_equal(at->region, found->region);
        assert_int_equal(at->depth, found->depth);
        assert_int_equal(at->first, found->first);
        assert_int_equal(at->last, found->last);
        assert_int_equal(at->offset, found->offset);
        assert_int_equal(at->attrs, found->attrs);
        assert_int_equal(at->enabled, found->enabled);
        assert_int_equal(at->cut, found->cut);
    }
    assert_int_equal(k, ways.n);
    ways_free(&ways);
}

static void check_reasons(const struct world *world)
{
    for (size_t i = 0; i < world->e.n_candidates; i++) {
        const struct candidate *candidate = &world->e.candidates[i];
        const struct topo_region *by = candidate->by == NOWHERE ? NULL : &world->topology.regions[candidate->by];
        const struct topo_region *against =
            candidate->against == NOWHERE ? NULL : &world->topology.regions[candidate->against];
        char *why = explain_why(world->explainer, &world->e, i);

        assert_int_equal(candidate->fate == FATE_WINS, i == 0 && world->e.found);
        assert_int_equal(*why == '\0', candidate->fate == FATE_WINS);
        if (candidate->fate == FATE_LOWER)
            assert_true(by->parent == against->parent && by->priority > against->priority);
        if (candidate->fate == FATE_EARLIER)
            assert_true(by->parent == against->parent && by->priority == against->priority && by->rank < against->rank);
        if (candidate->fate == FATE_DISABLED)
            assert_false(by->enabled);
        if (candidate->fate == FATE_OUTSIDE)
            assert_non_null(against);
        free(why);
    }
}

static void check_places(const struct world *world, size_t space, uint64_t addr, size_t region, uint64_t offset)
{
    struct places places;
    bool found = false;

    places_find(&world->topology, region, offset, 100000, &places);
    for (size_t i = 0; i < places.n; i++)
        found |= places.places[i].addr == addr &&
                 world->topology.spaces[places.places[i].space].root == world->topology.spaces[space].root;
    assert_true(found || places.more); /* a window on what it is in may take many steps */
    places_free(&places);
}

/* What every space shows at every address when one region is disabled. */
struct shown {
    size_t region;
    uint64_t offset;
    uint32_t attrs;
};
typedef struct shown shown_without[SPACES][2 * ADDRESSES];

static void look_everywhere(const struct map *map, shown_without *ret)
{
    for (size_t space = 0; space < SPACES; space++)
        for (uint64_t addr = 0; addr < 2 * ADDRESSES; addr++) {
            struct shown *at = &(*ret)[space][addr];

            at->region = shown(map, space, addr, &at->offset, &at->attrs);
        }
}

/* A map in which an alias of what it lies in is put differently (circles.h) has copies of regions: then another one is built. */
static void disable_each(struct world *world, shown_without *without)
{
    bool copies = world->map.built.n_regions > world->topology.n_regions;

    for (size_t k = 0; k < world->topology.n_regions; k++) {
        bool enabled = world->topology.regions[k].enabled;
        struct map map;

        if (copies) {
            world->topology.regions[k].enabled = false;
            assert_true(map_build(&world->topology, &map, &problem));
            look_everywhere(&map, &without[k]);
            map_free(&map);
            world->topology.regions[k].enabled = enabled;
            continue;
        }
        if (enabled)
            OK(gmem_region_set_enabled(world->map.regions[k], false));
        look_everywhere(&world->map, &without[k]);
        if (enabled)
            OK(gmem_region_set_enabled(world->map.regions[k], true));
    }
}

static void check_without(const struct world *world, const shown_without *without, size_t space, uint64_t addr)
{
    for (size_t i = 0; i < world->e.n_without; i++) {
        const struct without *w = &world->e.without[i];
        const struct shown *at = &without[w->region][space][addr];

        if (w->next == NOWHERE) {
            assert_int_equal(at->region, NOWHERE);
            continue;
        }
        assert_int_equal(at->region, region_at(world, w->next));
        assert_int_equal(at->offset, world->e.candidates[w->next].offset);
        assert_int_equal(at->attrs & 7, world->e.ways.ways[world->e.candidates[w->next].way].attrs);
    }
    if (world->e.n_without)
        assert_int_equal(world->e.next, world->e.without[0].next);
}

static size_t check_all(struct world *world, const shown_without *without)
{
    uint64_t offset = 0;
    uint32_t attrs = 0;
    size_t answers = 0;

    for (size_t space = 0; space < SPACES; space++)
        for (uint64_t addr = 0; addr < 2 * ADDRESSES; addr++) {
            size_t region = shown(&world->map, space, addr, &offset, &attrs);

            if (!explain(world->explainer, space, addr, &world->e, &problem))
                fail_msg("%s", problem.text);
            assert_int_equal(world->e.found, region != NOWHERE);
            if (world->e.found) {
                assert_int_equal(region_at(world, 0), region);
                assert_int_equal(world->e.candidates[0].offset, offset);
                assert_int_equal(world->e.ways.ways[world->e.candidates[0].way].attrs, attrs & 7);
                check_places(world, space, addr, region, offset);
                answers++;
            }
            check_reasons(world);
            same_ways(world, space, addr);
            check_without(world, without, space, addr);
            explanation_free(&world->e);
        }
    return answers;
}

static void random_topologies(void **state)
{
    struct random random = random_start("explain", 6);
    unsigned cases = test_is_long() ? 20000 : 150, refused = 0;
    size_t answers = 0;

    (void)state;
    for (unsigned i = 0; i < cases; i++) {
        struct world w = {0};
        shown_without *without;

        random_topology(&random, &w.topology);
        if (!map_build(&w.topology, &w.map, &problem)) { /* a window on what it is in */
            refused++;
            assert_true(strstr(problem.text, "in a circle") || strstr(problem.text, "that can't be built"));
            topology_free(&w.topology);
            continue;
        }
        without = alloc_zeroed(w.topology.n_regions, sizeof(*without));
        disable_each(&w, without);
        w.explainer = explainer_new(&w.map);
        answers += check_all(&w, without);
        free(without);
        explainer_free(w.explainer);
        map_free(&w.map);
        topology_free(&w.topology);
    }
    print_message("%u topologies, %u of them refused, %zu addresses answered\n", cases, refused, answers);
    assert_true(refused < cases / 2);
    assert_true(answers > cases * 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_higher_priority_wins),
        cmocka_unit_test(of_equals_the_one_placed_later_wins),
        cmocka_unit_test(a_subregion_lies_over_its_container),
        cmocka_unit_test(what_is_disabled_is_named),
        cmocka_unit_test(the_outermost_that_is_disabled_is_named),
        cmocka_unit_test(a_container_shows_nothing_itself),
        cmocka_unit_test(a_window_past_the_end_of_its_target),
        cmocka_unit_test(what_reaches_past_the_end_of_its_container),
        cmocka_unit_test(what_reaches_past_several_ends),
        cmocka_unit_test(a_circle_that_is_disabled),
        cmocka_unit_test(a_circle_past_the_end),
        cmocka_unit_test(the_last_addresses),
        cmocka_unit_test(guesses_are_those_about_what_is_there),
        cmocka_unit_test(what_is_inherited_says_from_whom),
        cmocka_unit_test(a_name_can_do_nothing_to_a_terminal),
        cmocka_unit_test(too_many_ways_are_refused),
        cmocka_unit_test(many_siblings),
        cmocka_unit_test(random_topologies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
