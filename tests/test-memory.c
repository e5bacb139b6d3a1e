/* SPDX-License-Identifier: MIT */
/*
 * test-memory.c - what is allocated for a region, and for a range that a space shows: at most 400 and
 * 200 bytes, with everything that belongs to it and with what the allocator adds.
 *
 * Linked with the allocator wrapped (wrap.h).
 */
#include "random.h"
#include "rcu.h"
#include "support.h"
#include "wrap.h"

#define REGIONS 10000u
#define REGION_MOST 400u
#define RANGE_MOST 200u
#define STRIDE 0x2000u

struct world {
    gmem_vm *vm;
    gmem_region *root;
    gmem_region *regions[REGIONS];
    gmem_space *space;
    struct gmem_listener listener;
    size_t heard;
};

static int on_section(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct world *world = listener->opaque;

    (void)section;
    world->heard++;
    return 0;
}

static struct world *world_begin(void)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->vm = make_vm();
    world->root = make_container(world->vm, "root", GMEM_SIZE_ALL);
    world->listener.struct_size = sizeof(world->listener);
    world->listener.opaque = world;
    world->listener.region_add = on_section;
    world->listener.region_del = on_section;
    return world;
}

static void world_show(struct world *world)
{
    world->space = make_space(world->vm, "memory", world->root);
    OK(gmem_listener_register(world->vm, world->space, &world->listener));
}

static void world_end(struct world *world)
{
    gmem_vm_destroy(world->vm);
    free(world);
}

static void make_device(struct world *world, size_t i, const struct gmem_owner *owner)
{
    const struct gmem_mmio_ops ops = silent_ops();
    char name[16];

    snprintf(name, sizeof(name), "dev%05zu", i);
    OK(gmem_region_create_mmio(world->vm, name, GMEM_SIZE(0x1000), &ops, world, owner, &world->regions[i]));
}

static void place_all(struct world *world)
{
    for (size_t i = 0; i < REGIONS; i++)
        OK(gmem_region_add(world->root, i * STRIDE, world->regions[i]));
}

/* What is allocated more than before, for each region, when old versions are gone. */
static size_t grown(const char *what, size_t before)
{
    size_t bytes;

    gmem__rcu_barrier();
    bytes = wrap_live() > before ? (wrap_live() - before + REGIONS - 1) / REGIONS : 0;
    print_message("%s: %zu bytes\n", what, bytes);
    return bytes;
}

static void test_region(void **state)
{
    struct world *world = world_begin();
    size_t before = wrap_live();

    (void)state;
    for (size_t i = 0; i < REGIONS; i++)
        make_device(world, i, NULL);
    assert_in_range(grown("a region", before), sizeof(void *), REGION_MOST);
    before = wrap_live();
    /* Nothing is allocated to place one, nor kept of the transaction. */
    OK(gmem_vm_begin(world->vm));
    place_all(world);
    OK(gmem_vm_commit(world->vm));
    assert_in_range(grown("its place", before), 0, 3);
    world_end(world);
}

static void test_region_of_a_device(void **state)
{
    const struct gmem_owner owner = {.label = "owner:{dev id=nic0}"};
    struct world *world = world_begin();
    size_t before = wrap_live();

    (void)state;
    for (size_t i = 0; i < REGIONS; i++)
        make_device(world, i, &owner);
    assert_in_range(grown("a region with owner and label", before), sizeof(void *), REGION_MOST);
    world_end(world);
}

/* In one transaction; then after toggles all over the map, and with every other region off. */
static void test_range(void **state)
{
    struct world *world = world_begin();
    struct random random = {.state = 1};
    size_t before;

    (void)state;
    for (size_t i = 0; i < REGIONS; i++)
        make_device(world, i, NULL);
    world_show(world);
    gmem__rcu_barrier();
    before = wrap_live();
    OK(gmem_vm_begin(world->vm));
    place_all(world);
    OK(gmem_vm_commit(world->vm));
    assert_in_range(grown("a range, in one transaction", before), sizeof(void *), RANGE_MOST);
    for (size_t i = 0; i < REGIONS; i++) {
        gmem_region *region = world->regions[random_below(&random, REGIONS)];

        OK(gmem_region_set_enabled(region, !gmem_region_enabled(region)));
    }
    for (size_t i = 0; i < REGIONS; i++)
        OK(gmem_region_set_enabled(world->regions[i], true));
    assert_in_range(grown("a range, after toggles", before), sizeof(void *), RANGE_MOST);
    for (size_t i = 0; i < REGIONS; i += 2)
        OK(gmem_region_set_enabled(world->regions[i], false));
    assert_in_range(grown("half a range, every other off", before), sizeof(void *), RANGE_MOST / 2);
    world_end(world);
}

/* One commit each, at rising addresses and all over the map. */
static void build_one_by_one(bool scattered)
{
    struct world *world = world_begin();
    size_t before;

    for (size_t i = 0; i < REGIONS; i++)
        make_device(world, i, NULL);
    world_show(world);
    gmem__rcu_barrier();
    before = wrap_live();
    for (size_t i = 0; i < REGIONS; i++)
        OK(gmem_region_add(world->root, (scattered ? i * 7919 % REGIONS : i) * STRIDE, world->regions[i]));
    assert_in_range(grown(scattered ? "a range, one by one, scattered" : "a range, one by one", before), sizeof(void *),
                    RANGE_MOST);
    assert_int_equal(world->heard, REGIONS);
    world_end(world);
}

static void test_range_one_by_one(void **state)
{
    (void)state;
    build_one_by_one(false);
    build_one_by_one(true);
}

/* A view that is held keeps itself, and nothing of the thousands of versions that come after it. */
static void test_held_view(void **state)
{
    struct world *world = world_begin();
    size_t held, later;
    gmem_view *views[2];

    (void)state;
    for (size_t i = 0; i < REGIONS; i++)
        make_device(world, i, NULL);
    world_show(world);
    OK(gmem_vm_begin(world->vm));
    place_all(world);
    OK(gmem_vm_commit(world->vm));
    OK(gmem_region_set_enabled(world->regions[7], false));
    views[0] = gmem_space_view(world->space);
    OK(gmem_region_set_enabled(world->regions[9], false));
    views[1] = gmem_space_view(world->space);
    for (size_t i = 0; i < 100; i++)
        OK(gmem_region_set_enabled(world->regions[i], i % 2));
    gmem__rcu_barrier();
    held = wrap_live();
    for (size_t i = 0; i < 40 * 100; i++)
        OK(gmem_region_set_enabled(world->regions[i % 100], !gmem_region_enabled(world->regions[i % 100])));
    gmem__rcu_barrier();
    later = wrap_live();
    print_message("4000 versions later: %zu bytes, before %zu\n", later, held);
    assert_true(later < held + 4096);
    assert_int_equal(gmem_view_count(views[0]), REGIONS - 1);
    assert_int_equal(gmem_view_count(views[1]), REGIONS - 2);
    gmem_view_unref(views[1]);
    assert_int_equal(gmem_view_count(views[0]), REGIONS - 1);
    gmem_view_unref(views[0]);
    assert_true(wrap_live() < later);
    world_end(world);
}

struct kept {
    int reached;
};

static void kept_ref(void *opaque)
{
    __atomic_add_fetch(&((struct kept *)opaque)->reached, 1, __ATOMIC_SEQ_CST);
}

static void kept_unref(void *opaque)
{
    __atomic_sub_fetch(&((struct kept *)opaque)->reached, 1, __ATOMIC_SEQ_CST);
}

/*
 * Views are held, and then their space ends, or comes down to another region: they keep nothing of what
 * came after them, though nothing comes after the last version. With and without memory to give it back.
 */
static void test_held_view_of_what_ended(void **state)
{
    struct kept first = {0}, later = {0};
    struct gmem_owner owners[2] = {{.opaque = &first, .ref = kept_ref, .unref = kept_unref},
                                   {.opaque = &later, .ref = kept_ref, .unref = kept_unref}};

    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        const struct gmem_mmio_ops ops = silent_ops();
        gmem_vm *vm = make_vm();
        gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *region[2], *lone;
        gmem_space *space;
        gmem_view *views[3];

        for (unsigned i = 0; i < 2; i++)
            OK(gmem_region_create_mmio(vm, "region", GMEM_SIZE(0x100), &ops, NULL, &owners[i], &region[i]));
        OK(gmem_region_add(root, 0, region[0]));
        for (unsigned i = 2; i < 40; i++)
            OK(gmem_region_add(root, i * 0x1000, make_mmio(vm, "other", GMEM_SIZE(0x100))));
        space = make_space(vm, "space", root);
        views[0] = gmem_space_view(space);
        OK(gmem_region_add(root, 0x1000, region[1]));
        views[1] = gmem_space_view(space);
        OK(gmem_region_remove(root, region[0]));
        views[2] = gmem_space_view(space);
        if (way % 2 == 0) {
            gmem_space_destroy(space);
        } else {
            /* Everything under it goes but a container of its own. */
            lone = make_container(vm, "lone", GMEM_SIZE_ALL);
            OK(gmem_vm_begin(vm));
            for (gmem_region *child = gmem_region_first_child(root), *next; child; child = next) {
                next = gmem_region_next_sibling(child);
                OK(gmem_region_remove(root, child));
            }
            OK(gmem_region_add(root, 0, lone));
            OK(gmem_vm_commit(vm));
        }
        if (way % 2 == 0)
            OK(gmem_region_remove(root, region[1]));
        gmem__rcu_barrier();
        assert_int_equal(first.reached, 1);
        assert_int_equal(later.reached, 1);
        if (way >= 2) {
            wrap_start(1);
            wrap.every = true;
        }
        gmem_view_unref(views[2]);
        gmem_view_unref(views[1]);
        (void)wrap_stop();
        gmem__rcu_barrier();
        assert_int_equal(gmem_view_count(views[0]), 39);
        assert_int_equal(first.reached, 1);
        if (way < 2)
            assert_int_equal(later.reached, 0);
        gmem_view_unref(views[0]);
        assert_int_equal(first.reached, 0);
        assert_int_equal(later.reached, 0);
        gmem_vm_destroy(vm);
    }
}

/* An aborted transaction keeps nothing either. */
static void test_abort(void **state)
{
    struct world *world = world_begin();
    size_t before;

    (void)state;
    for (size_t i = 0; i < REGIONS; i++)
        make_device(world, i, NULL);
    world_show(world);
    before = wrap_live();
    OK(gmem_vm_begin(world->vm));
    place_all(world);
    assert_true(wrap_live() - before > REGIONS * sizeof(void *));
    gmem_vm_abort(world->vm);
    assert_in_range(grown("a placement that was aborted", before), 0, 3);
    world_end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_region),
        cmocka_unit_test(test_region_of_a_device),
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_range_one_by_one),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_held_view),
        cmocka_unit_test(test_held_view_of_what_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
