/* SPDX-License-Identifier: MIT */
/*
 * test-tool-map.c - topologies that the library would refuse, or that are larger than the host, become maps that show the same.
 */
#include "tool-text.h"

#include <errno.h>

#include "map.h"

static size_t add(struct topology *topology, enum gmem_kind kind, const char *name, size_t parent, uint64_t offset,
                  gmem_size size)
{
    size_t index = topology_add_region(topology);
    struct topo_region *region = &topology->regions[index];

    region->kind = kind;
    region->name = alloc_text(name);
    region->parent = parent;
    region->offset = offset;
    region->size = size;
    region->rank = (uint32_t)index;
    region->line = index + 1;
    return index;
}

static struct topology begin(void)
{
    struct topology topology = {.source = alloc_text("made")};

    add(&topology, GMEM_KIND_CONTAINER, "system", NOWHERE, 0, GMEM_SIZE_ALL);
    topology_add_space(&topology, "memory", 0);
    return topology;
}

static size_t add_alias(struct topology *topology, size_t target, uint64_t target_offset, uint64_t offset,
                        gmem_size size)
{
    size_t alias = add(topology, GMEM_KIND_ALIAS, "alias", 0, offset, size);

    topology->regions[alias].target = target;
    topology->regions[alias].target_offset = target_offset;
    return alias;
}

static struct map build(const struct topology *topology)
{
    struct map map;
    struct problem problem;

    if (!map_build(topology, &map, &problem))
        fail_msg("%s", problem.text);
    return map;
}

/* What is at addr is region, offset in. NOWHERE: nothing. */
static void shows(const struct map *map, uint64_t addr, size_t region, uint64_t offset)
{
    gmem_view *view = gmem_space_view(map->spaces[0]);
    struct gmem_section section;
    int err = gmem_view_find(view, addr, &section);

    if (region == NOWHERE) {
        assert_true(err == -ENOENT || section.first > addr);
    } else {
        assert_int_equal(err, 0);
        assert_true(section.first <= addr);
        assert_int_equal(map_region(map, section.region), region);
        assert_int_equal(section.offset + (addr - section.first), offset);
    }
    gmem_view_unref(view);
}

static void end(struct map *map, struct topology *topology)
{
    map_free(map);
    topology_free(topology);
}

static void test_more_memory_than_the_host_has_addresses(void **state)
{
    struct topology topology = begin();
    size_t small = add(&topology, GMEM_KIND_RAM, "small", 0, 0, GMEM_SIZE(0x1000));
    size_t large = add(&topology, GMEM_KIND_RAM, "large", 0, UINT64_C(1) << 61, GMEM_SIZE(UINT64_C(1) << 61));
    struct map map = build(&topology);

    (void)state;
    shows(&map, 0x10, small, 0x10);
    shows(&map, (UINT64_C(1) << 62) - 1, large, (UINT64_C(1) << 61) - 1);
    shows(&map, UINT64_C(1) << 62, NOWHERE, 0);
    end(&map, &topology);
}

static void test_memory_past_all_bounds_is_refused(void **state)
{
    struct topology topology = begin();
    struct map map;
    struct problem problem;

    (void)state;
    add(&topology, GMEM_KIND_RAM, "endless", 0, 0, GMEM_SIZE_ALL);
    assert_false(map_build(&topology, &map, &problem));
    assert_non_null(strstr(problem.text, "made:2:"));
    topology_free(&topology);
}

static void test_aliases_before_their_targets(void **state)
{
    struct topology topology = begin();
    size_t first = add_alias(&topology, 0, 0, 0x1000, GMEM_SIZE(0x100));
    size_t second = add_alias(&topology, 0, 0x10, 0x2000, GMEM_SIZE(0x100));
    size_t device = add(&topology, GMEM_KIND_MMIO, "device", NOWHERE, 0, GMEM_SIZE(0x80));
    struct map map;

    (void)state;
    topology.regions[first].target = second;
    topology.regions[second].target = device;
    map = build(&topology);
    shows(&map, 0x1000, device, 0x10);
    shows(&map, 0x2000, device, 0x10);
    shows(&map, 0x206f, device, 0x7f);
    shows(&map, 0x2070, NOWHERE, 0);
    end(&map, &topology);
}

static void test_a_window_on_what_it_lies_in(void **state)
{
    struct topology topology = begin();
    size_t box, device, below, alias;
    struct map map;

    (void)state;
    box = add(&topology, GMEM_KIND_CONTAINER, "box", 0, 0x10000, GMEM_SIZE(0x10000));
    device = add(&topology, GMEM_KIND_MMIO, "device", 0, 0x8000, GMEM_SIZE(0x100));
    below = add(&topology, GMEM_KIND_MMIO, "below", box, 0x800, GMEM_SIZE(0x100));
    alias = add_alias(&topology, 0, 0x8000, 0x4000, GMEM_SIZE(0x9000));
    topology.regions[alias].parent = box;
    map = build(&topology);
    assert_true(map.built.n_regions > topology.n_regions);
    shows(&map, 0x8080, device, 0x80);
    shows(&map, 0x14080, device, 0x80);
    shows(&map, 0x10800, below, 0);
    shows(&map, 0x14000 + 0x8800, below, 0); /* through itself it would be a circle; this part of the box is not */
    end(&map, &topology);
}

static void test_a_window_on_itself_is_refused(void **state)
{
    struct topology topology = begin();
    struct map map;
    struct problem problem;

    (void)state;
    add_alias(&topology, 0, 0x1000, 0x1000, GMEM_SIZE(0x1000));
    assert_false(map_build(&topology, &map, &problem));
    assert_non_null(strstr(problem.text, "made:2:"));
    topology_free(&topology);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_memory_than_the_host_has_addresses),
        cmocka_unit_test(test_memory_past_all_bounds_is_refused),
        cmocka_unit_test(test_aliases_before_their_targets),
        cmocka_unit_test(test_a_window_on_what_it_lies_in),
        cmocka_unit_test(test_a_window_on_itself_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
