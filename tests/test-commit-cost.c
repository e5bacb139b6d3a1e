/* SPDX-License-Identifier: MIT */
/*
 * test-commit-cost.c - what a commit costs follows what changed, not how much there is (G10): counted, not timed, for the
 * same edits among few and among many regions. Counted are allocations, and what the vm's own
 * counters (struct gmem_vm_stats) say was looked at.
 *
 * Linked with the allocator wrapped (wrap.h).
 */
#include "support.h"
#include "wrap.h"
#include <errno.h>

#define FEW 1000u
#define MANY 100000u
#define STRIDE 0x20u
#define WIDTH 0x10u
#define OWN_AT 0x100000000u /* above all devices */

struct cost {
    unsigned long count;
    size_t bytes;
    struct gmem_vm_stats stats; /* what the counters rose by */
};

struct machine {
    gmem_vm *vm;
    gmem_region *system;
    gmem_region *bank;   /* as many other devices, seen through window alone */
    gmem_region *window; /* an alias in system */
    gmem_region **devices;
    gmem_space **spaces;
    size_t count, space_count;
    struct gmem_listener listener;
    size_t heard;
};

/* How spaces come to show the devices. */
enum sharing {
    SHARED,  /* their roots come down to the same region */
    DISTINCT /* each has a device of its own beside an alias of the rest */
};

static int on_section(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct machine *machine = listener->opaque;

    (void)section;
    machine->heard++;
    return 0;
}

/* The root of one more space, which shows system through an alias. */
static gmem_region *make_root(struct machine *machine, enum sharing sharing)
{
    gmem_region *root = make_container(machine->vm, "bus master container", GMEM_SIZE_ALL);

    OK(gmem_region_add(root, 0, make_alias(machine->vm, "bus master", machine->system, 0, GMEM_SIZE_ALL)));
    if (sharing == DISTINCT)
        OK(gmem_region_add_priority(root, OWN_AT, make_mmio(machine->vm, "own", GMEM_SIZE(WIDTH)), 1));
    return root;
}

/* count devices in one container; space 0 shows it, and the others through a bus-master alias each. */
static void machine_begin(struct machine *machine, size_t count, size_t spaces, enum sharing sharing, bool background)
{
    memset(machine, 0, sizeof(*machine));
    machine->vm = make_vm();
    machine->count = count;
    machine->space_count = spaces;
    machine->devices = calloc(count, sizeof(gmem_region *));
    machine->spaces = calloc(spaces, sizeof(gmem_space *));
    assert_non_null(machine->devices);
    assert_non_null(machine->spaces);
    machine->system = make_container(machine->vm, "system", GMEM_SIZE_ALL);
    machine->bank = make_container(machine->vm, "bank", GMEM_SIZE_ALL);
    machine->window = make_alias(machine->vm, "window", machine->bank, 0, GMEM_SIZE(2 * STRIDE));
    OK(gmem_vm_begin(machine->vm));
    for (size_t i = 0; i < count; i++) {
        machine->devices[i] = make_mmio(machine->vm, "device", GMEM_SIZE(WIDTH));
        OK(gmem_region_add(machine->system, i * STRIDE, machine->devices[i]));
        OK(gmem_region_add(machine->bank, i * STRIDE, make_mmio(machine->vm, "other", GMEM_SIZE(WIDTH))));
    }
    OK(gmem_region_add(machine->system, count / 2 * STRIDE + WIDTH, machine->window));
    if (background)
        OK(gmem_region_add_priority(machine->system, 0, make_mmio(machine->vm, "background", GMEM_SIZE_ALL), -1));
    OK(gmem_vm_commit(machine->vm));
    for (size_t i = 0; i < spaces; i++)
        machine->spaces[i] = make_space(machine->vm, "space", i > 0 ? make_root(machine, sharing) : machine->system);
    machine->listener.struct_size = sizeof(machine->listener);
    machine->listener.opaque = machine;
    machine->listener.region_add = on_section;
    machine->listener.region_del = on_section;
    OK(gmem_listener_register(machine->vm, machine->spaces[0], &machine->listener));
}

static void machine_end(struct machine *machine)
{
    gmem_vm_destroy(machine->vm);
    free(machine->devices);
    free(machine->spaces);
}

enum edit { TOGGLE, MOVE, RESIZE, PRIORITY, READONLY, EVENTFD, REMOVE, SCROLL, RE_AIM, EDITS };

static const char *const edit_names[] = {"toggle",  "move",   "resize", "priority", "readonly",
                                         "eventfd", "remove", "scroll", "re-aim"};

/* One edit and the one that takes it back: two commits. */
static void edit_twice(struct machine *machine, enum edit edit, size_t index)
{
    gmem_region *device = machine->devices[index];
    struct gmem_eventfd eventfd = {.offset = 4, .fd = 0, .size = 4};

    switch (edit) {
    case TOGGLE:
        OK(gmem_region_set_enabled(device, false));
        OK(gmem_region_set_enabled(device, true));
        break;
    case MOVE:
        OK(gmem_region_move(device, index * STRIDE + WIDTH / 2));
        OK(gmem_region_move(device, index * STRIDE));
        break;
    case RESIZE:
        OK(gmem_region_resize(device, GMEM_SIZE(WIDTH / 2)));
        OK(gmem_region_resize(device, GMEM_SIZE(WIDTH)));
        break;
    case PRIORITY:
        OK(gmem_region_set_priority(device, -2));
        OK(gmem_region_set_priority(device, 0));
        break;
    case READONLY:
        OK(gmem_region_set_readonly(device, true));
        OK(gmem_region_set_readonly(device, false));
        break;
    case EVENTFD:
        OK(gmem_region_add_eventfd(device, &eventfd));
        OK(gmem_region_del_eventfd(device, &eventfd));
        break;
    case REMOVE:
        OK(gmem_region_remove(machine->system, device));
        OK(gmem_region_add(machine->system, index * STRIDE, device));
        break;
    case SCROLL:
        OK(gmem_region_set_alias(machine->window, machine->bank, index * STRIDE + WIDTH / 2));
        OK(gmem_region_set_alias(machine->window, machine->bank, 0));
        break;
    case RE_AIM:
        OK(gmem_region_set_alias(machine->window, device, 0));
        OK(gmem_region_set_alias(machine->window, machine->bank, 0));
        break;
    case EDITS:
        break;
    }
}

/*
 * The counters that are of cost, and how much each may rise with each doubling of the regions. The
 * index of subregions is a random tree, and is searched several times.
 */
static const struct counter {
    const char *name;
    size_t offset;
    unsigned doubling;
} counters[] = {
#define COUNTER(counter, doubling)                                                                                     \
    {                                                                                                                  \
#counter, offsetof(struct gmem_vm_stats, counter), doubling                                                    \
    }
    COUNTER(views_rendered, 0),  COUNTER(listener_calls, 0),   COUNTER(spaces_visited, 0),
    COUNTER(regions_climbed, 0), COUNTER(regions_visited, 12), COUNTER(ranges_rendered, 0),
    COUNTER(ranges_compared, 0), COUNTER(nodes_visited, 1),    COUNTER(nodes_copied, 1),
#undef COUNTER
};

#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

static uint64_t *counted(struct gmem_vm_stats *stats, size_t counter)
{
    return (uint64_t *)(void *)((char *)stats + counters[counter].offset);
}

/* Keep in most whatever is higher since before and wrap_start(). */
static void keep_most(struct machine *machine, struct gmem_vm_stats *before, struct cost *most)
{
    struct gmem_vm_stats after;

    most->count = wrap.count > most->count ? wrap.count : most->count;
    most->bytes = wrap.bytes > most->bytes ? wrap.bytes : most->bytes;
    gmem_vm_stats(machine->vm, &after);
    for (size_t i = 0; i < COUNTERS; i++) {
        uint64_t rise = *counted(&after, i) - *counted(before, i), *known = counted(&most->stats, i);

        *known = rise > *known ? rise : *known;
    }
}

/* The most that one of some such edits costs. */
static struct cost measure(struct machine *machine, enum edit edit)
{
    const size_t last = machine->count - 1;
    const size_t places[] = {last / 2, 0, last / 3, last, last / 2 + 1, 1};
    struct gmem_vm_stats before;
    struct cost most;

    memset(&most, 0, sizeof(most));
    edit_twice(machine, edit, last / 7); /* what is only made once is there after this */
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        gmem_vm_stats(machine->vm, &before);
        wrap_start(0);
        edit_twice(machine, edit, places[i]);
        (void)wrap_stop();
        keep_most(machine, &before, &most);
    }
    return most;
}

static void print_cost(const char *name, struct machine *machine, struct cost *cost)
{
    print_message("%s among %zu in %zu spaces: %lu allocations, %zu bytes", name, machine->count, machine->space_count,
                  cost->count, cost->bytes);
    for (size_t i = 0; i < COUNTERS; i++)
        print_message("%s%s %llu", i > 0 ? ", " : "; ", counters[i].name,
                      (unsigned long long)*counted(&cost->stats, i));
    print_message("\n");
}

static void measure_all(size_t count, size_t spaces, enum sharing sharing, bool background, struct cost *ret_costs)
{
    struct machine machine;

    machine_begin(&machine, count, spaces, sharing, background);
    for (unsigned edit = 0; edit < EDITS; edit++) {
        machine.heard = 0;
        ret_costs[edit] = measure(&machine, (enum edit)edit);
        print_cost(edit_names[edit], &machine, &ret_costs[edit]);
        assert_true(edit == EVENTFD || (edit == PRIORITY && !background) || machine.heard > 0);
        /* A rendering of everything would be far above this. */
        assert_true(sharing == DISTINCT || ret_costs[edit].bytes < 64u * 1024u);
    }
    machine_end(&machine);
}

#define LUCK 4u /* doublings that trees of one size may differ by */

/* 2^doublings times the regions, and the given number of views for one: at most a level or two more of the trees. */
static void check_costs(struct cost *few, struct cost *many, unsigned doublings, size_t views)
{
    for (unsigned edit = 0; edit < EDITS; edit++) {
        assert_in_range(many[edit].count, 1, 2 * views * few[edit].count);
        assert_in_range(many[edit].bytes, 1, 2 * views * few[edit].bytes);
        for (size_t i = 0; i < COUNTERS; i++)
            assert_in_range(*counted(&many[edit].stats, i), 0,
                            views * (*counted(&few[edit].stats, i) + (doublings + LUCK) * counters[i].doubling));
    }
}

static void compare_sizes(size_t spaces, enum sharing sharing, bool background)
{
    struct cost ten[EDITS], thousand[EDITS], all[EDITS];

    measure_all(10, spaces, sharing, background, ten);
    measure_all(1000, spaces, sharing, background, thousand);
    measure_all(MANY, spaces, sharing, background, all);
    check_costs(ten, thousand, 7, 1);
    check_costs(ten, all, 14, 1);
    check_costs(thousand, all, 7, 1);
}

static void test_many_regions(void **state)
{
    (void)state;
    compare_sizes(1, SHARED, false);
}

/* With something behind them there are two ranges a device, that split and merge. */
static void test_many_regions_before_a_background(void **state)
{
    (void)state;
    compare_sizes(1, SHARED, true);
}

static void test_many_regions_and_spaces(void **state)
{
    (void)state;
    compare_sizes(100, SHARED, false);
}

/* Spaces that share a view cost nothing; those that came down to it must still be the same view. */
static void test_many_spaces(void **state)
{
    struct cost one[EDITS], shared[EDITS];
    struct machine machine;

    (void)state;
    measure_all(FEW, 1, SHARED, false, one);
    measure_all(FEW, 100, SHARED, false, shared);
    for (unsigned edit = 0; edit < EDITS; edit++) {
        /* Only aliases and containers decide what roots come down to. */
        if (edit == SCROLL || edit == RE_AIM)
            shared[edit].stats.spaces_visited -= 2 * 99;
        /* The 100 are aliases of the container. */
        assert_in_range(shared[edit].stats.regions_climbed, 1, one[edit].stats.regions_climbed + 2 * 3 * 99);
        shared[edit].stats.regions_climbed = 0;
    }
    check_costs(one, shared, 0, 1);
    machine_begin(&machine, FEW, 100, SHARED, false);
    edit_twice(&machine, MOVE, 7);
    for (size_t i = 1; i < machine.space_count; i++) {
        gmem_view *first = gmem_space_view(machine.spaces[0]), *view = gmem_space_view(machine.spaces[i]);

        assert_ptr_equal(first, view);
        gmem_view_unref(first);
        gmem_view_unref(view);
    }
    machine_end(&machine);
}

/* Views that differ, of one container: each is rendered, and each costs what one does. */
static void test_many_views(void **state)
{
    struct cost one[EDITS], few[EDITS], many[EDITS];

    (void)state;
    measure_all(FEW, 1, SHARED, false, one);
    measure_all(FEW, 20, DISTINCT, false, few);
    check_costs(one, few, 0, 30);
    measure_all(20000, 20, DISTINCT, false, many);
    check_costs(few, many, 5 * 20, 1);
}

/* A transaction of k edits costs about k times one of them, wherever they are. */
static void test_many_edits_at_once(void **state)
{
    struct machine machine;
    struct cost one;

    (void)state;
    machine_begin(&machine, MANY, 1, SHARED, false);
    one = measure(&machine, TOGGLE);
    for (unsigned times = 0; times < 2; times++) {
        wrap_start(0);
        OK(gmem_vm_begin(machine.vm));
        for (size_t i = 0; i < 50; i++)
            OK(gmem_region_set_enabled(machine.devices[i * 997], times > 0));
        OK(gmem_vm_commit(machine.vm));
        (void)wrap_stop();
        assert_in_range(wrap.count, 1, 50 * one.count);
        assert_in_range(wrap.bytes, 1, 50 * one.bytes);
    }
    machine_end(&machine);
}

/* What creating a space costs, beside count others that each show a device of their own; then one that shows what another does. */
static void measure_space(unsigned count, bool refuse, struct gmem_vm_stats *ret_own, struct gmem_vm_stats *ret_shared)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = NULL;
    struct gmem_vm_stats before, after;
    gmem_space *space;

    for (unsigned i = 0; i <= count; i++) {
        gmem_region *device = make_mmio(vm, "device", GMEM_SIZE(0x1000));

        root = make_container(vm, "root", GMEM_SIZE_ALL);
        OK(gmem_region_add(root, 0x1000 * (uint64_t)i, device));
        gmem_region_unref(device);
        gmem_vm_stats(vm, &before);
        if (refuse) { /* all or nothing: it leaves nothing that the next one could stumble over */
            wrap_start(5);
            REFUSED(ENOMEM, gmem_space_create(vm, "space", root, NULL, &space));
            assert_true(wrap_stop());
            gmem_vm_stats(vm, &before);
        }
        make_space(vm, "space", root);
        gmem_vm_stats(vm, &after);
        if (i < count)
            gmem_region_unref(root);
    }
    ret_own->spaces_visited = after.spaces_visited - before.spaces_visited;
    ret_own->views_rendered = after.views_rendered - before.views_rendered;
    ret_own->views_published = after.views_published - before.views_published;
    space = make_space(vm, "shared", root);
    gmem_vm_stats(vm, &before);
    ret_shared->spaces_visited = before.spaces_visited - after.spaces_visited;
    ret_shared->views_rendered = before.views_rendered - after.views_rendered;
    ret_shared->views_published = before.views_published - after.views_published;
    check_view(space, count == FEW ? "3e8000-3e8fff device+0\n" : "1000-1fff device+0\n");
    gmem_region_unref(root);
    gmem_vm_destroy(vm);
}

static void test_a_new_space_looks_at_no_other(void **state)
{
    struct gmem_vm_stats own = {0}, shared = {0};

    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        measure_space(way & 1 ? FEW : 1, way & 2, &own, &shared);
        assert_int_equal(own.spaces_visited, 1);
        assert_int_equal(own.views_rendered, 1);
        assert_int_equal(own.views_published, 1);
        assert_int_equal(shared.spaces_visited, 1);
        assert_int_equal(shared.views_rendered, 0);
        assert_int_equal(shared.views_published, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_regions),
        cmocka_unit_test(test_many_regions_before_a_background),
        cmocka_unit_test(test_many_regions_and_spaces),
        cmocka_unit_test(test_many_spaces),
        cmocka_unit_test(test_many_views),
        cmocka_unit_test(test_many_edits_at_once),
        cmocka_unit_test(test_a_new_space_looks_at_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
