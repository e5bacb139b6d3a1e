/* SPDX-License-Identifier: MIT */
/*
 * test-commit-cost.c - what a commit asks of the allocator follows what changed, not how much there
 * is: counted, not timed, for the same edit among few and among many regions.
 *
 * Linked with the allocator wrapped (wrap.h).
 */
#include "support.h"
#include "wrap.h"

#define FEW 1000u
#define MANY 50000u
#define STRIDE 0x20u
#define WIDTH 0x10u

struct cost {
    unsigned long count;
    size_t bytes;
};

struct machine {
    gmem_vm *vm;
    gmem_region *system;
    gmem_region **devices;
    gmem_space **spaces;
    size_t count, space_count;
    struct gmem_listener listener;
    size_t heard;
};

static int on_section(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct machine *machine = listener->opaque;

    (void)section;
    machine->heard++;
    return 0;
}

/* count devices in one container; space 0 shows it, and the others through a bus-master alias each. */
static void machine_begin(struct machine *machine, size_t count, size_t spaces, bool background)
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
    OK(gmem_vm_begin(machine->vm));
    for (size_t i = 0; i < count; i++) {
        machine->devices[i] = make_mmio(machine->vm, "device", GMEM_SIZE(WIDTH));
        OK(gmem_region_add(machine->system, i * STRIDE, machine->devices[i]));
    }
    if (background)
        OK(gmem_region_add_priority(machine->system, 0, make_mmio(machine->vm, "background", GMEM_SIZE_ALL), -1));
    OK(gmem_vm_commit(machine->vm));
    for (size_t i = 0; i < spaces; i++) {
        gmem_region *root = machine->system;

        if (i > 0) {
            root = make_container(machine->vm, "bus master container", GMEM_SIZE_ALL);
            OK(gmem_region_add(root, 0, make_alias(machine->vm, "bus master", machine->system, 0, GMEM_SIZE_ALL)));
        }
        machine->spaces[i] = make_space(machine->vm, "space", root);
    }
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

enum edit { TOGGLE, MOVE, RESIZE, READONLY, EVENTFD, REMOVE, EDITS };

static const char *const edit_names[] = {"toggle", "move", "resize", "readonly", "eventfd", "remove"};

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
    case EDITS:
        break;
    }
}

/* The most that one of some such edits asks for. */
static struct cost measure(struct machine *machine, enum edit edit)
{
    const size_t last = machine->count - 1;
    const size_t places[] = {last / 2, 0, last / 3, last, last / 2 + 1, 1};
    struct cost most = {0, 0};

    edit_twice(machine, edit, last / 7); /* what is only made once is there after this */
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        wrap_start(0);
        edit_twice(machine, edit, places[i]);
        (void)wrap_stop();
        most.count = wrap.count > most.count ? wrap.count : most.count;
        most.bytes = wrap.bytes > most.bytes ? wrap.bytes : most.bytes;
    }
    return most;
}

static void measure_all(size_t count, size_t spaces, bool background, struct cost *ret_costs)
{
    struct machine machine;

    machine_begin(&machine, count, spaces, background);
    for (unsigned edit = 0; edit < EDITS; edit++) {
        machine.heard = 0;
        ret_costs[edit] = measure(&machine, (enum edit)edit);
        print_message("%s among %zu in %zu spaces%s: %lu allocations, %zu bytes\n", edit_names[edit], count, spaces,
                      background ? " before a background" : "", ret_costs[edit].count, ret_costs[edit].bytes);
        assert_true(edit == EVENTFD || machine.heard > 0);
        /* A rendering of everything would be far above this. */
        assert_true(ret_costs[edit].bytes < 64u * 1024u);
    }
    machine_end(&machine);
}

/* 50 times the regions: at most a level or two more of the tree. */
static void check_costs(const struct cost *few, const struct cost *many)
{
    for (unsigned edit = 0; edit < EDITS; edit++) {
        assert_in_range(many[edit].count, 1, 2 * few[edit].count);
        assert_in_range(many[edit].bytes, 1, 2 * few[edit].bytes);
    }
}

static void test_many_regions(void **state)
{
    struct cost few[EDITS], many[EDITS];

    (void)state;
    measure_all(FEW, 1, false, few);
    measure_all(MANY, 1, false, many);
    check_costs(few, many);
}

/* With something behind them there are two ranges a device, that split and merge. */
static void test_many_regions_before_a_background(void **state)
{
    struct cost few[EDITS], many[EDITS];

    (void)state;
    measure_all(FEW, 1, true, few);
    measure_all(MANY, 1, true, many);
    check_costs(few, many);
}

/* Spaces that share a view cost nothing; those that came down to it must still be the same view. */
static void test_many_spaces(void **state)
{
    struct cost one[EDITS], shared[EDITS], many[EDITS];
    struct machine machine;

    (void)state;
    measure_all(FEW, 1, false, one);
    measure_all(FEW, 100, false, shared);
    measure_all(MANY, 100, false, many);
    check_costs(one, shared);
    check_costs(shared, many);
    machine_begin(&machine, FEW, 100, false);
    edit_twice(&machine, MOVE, 7);
    for (size_t i = 1; i < machine.space_count; i++) {
        gmem_view *first = gmem_space_view(machine.spaces[0]), *view = gmem_space_view(machine.spaces[i]);

        assert_ptr_equal(first, view);
        gmem_view_unref(first);
        gmem_view_unref(view);
    }
    machine_end(&machine);
}

/* A transaction of k edits costs about k times one of them, wherever they are. */
static void test_many_edits_at_once(void **state)
{
    struct machine machine;
    struct cost one;

    (void)state;
    machine_begin(&machine, MANY, 1, false);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_regions),
        cmocka_unit_test(test_many_regions_before_a_background),
        cmocka_unit_test(test_many_spaces),
        cmocka_unit_test(test_many_edits_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
