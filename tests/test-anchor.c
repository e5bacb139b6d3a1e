/* SPDX-License-Identifier: MIT */
/*
 * test-anchor.c - what QEMU's memory map gets wrong in views and listeners, and this library must
 * not: how many ranges a view can have, what sharing a view does to what is seen, what a late
 * listener hears, what equal names cost, and where a root that is placed in a container is shown.
 *
 * Linked with the allocator wrapped (wrap.h).
 */
#include "support.h"
#include "wrap.h"

/*
 * --- many ranges
 * ----------------------------------------------------------------------------------
 */

#define STRIDE 16u
#define WIDTH 4u

static gmem_result read_number(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)offset, (void)size, (void)attrs;
    *ret_value = *(const uint32_t *)opaque;
    return GMEM_OK;
}

struct many {
    size_t next;
    gmem_region *background;
    gmem_region **devices;
};

/* Device, background, device, background ... */
static int check_alternating(void *opaque, const struct gmem_section *section)
{
    struct many *many = opaque;
    size_t i = many->next++;
    uint64_t start = i / 2 * STRIDE;

    if (i % 2 == 0)
        return section->region != many->devices[i / 2] || section->first != start ||
               section->last != start + WIDTH - 1 || section->offset != 0;
    return section->region != many->background || section->first != start + WIDTH ||
           section->last != start + STRIDE - 1 || section->offset != section->first;
}

/* count small devices in a large one: 2 * count ranges, each of which is found and reached. */
static void check_many(uint32_t count)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL);
    gmem_space *space = make_space(vm, "space", root);
    struct gmem_mmio_ops ops = silent_ops();
    struct many many = {0, make_mmio(vm, "background", GMEM_SIZE((uint64_t)count * STRIDE)), NULL};
    uint32_t *numbers = calloc(count, sizeof(*numbers));
    gmem_view *view;

    ops.read = read_number;
    many.devices = calloc(count, sizeof(gmem_region *));
    assert_non_null(many.devices);
    assert_non_null(numbers);
    OK(gmem_vm_begin(vm));
    OK(gmem_region_add(root, 0, many.background));
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = i;
        OK(gmem_region_create_mmio(vm, "device", GMEM_SIZE(WIDTH), &ops, &numbers[i], NULL, &many.devices[i]));
        OK(gmem_region_add(root, (uint64_t)i * STRIDE, many.devices[i]));
    }
    OK(gmem_vm_commit(vm));
    view = gmem_space_view(space);
    assert_int_equal(gmem_view_count(view), 2 * (size_t)count);
    OK(gmem_view_foreach(view, check_alternating, &many));
    gmem_view_unref(view);
    for (uint32_t i = 0; i < count; i++) {
        struct gmem_section section;
        uint32_t value = ~i;

        OK(gmem_ld32_le(space, (uint64_t)i * STRIDE, GMEM_ATTRS_NONE, &value));
        assert_int_equal(value, i);
        OK(gmem_space_lookup(space, (uint64_t)i * STRIDE + WIDTH, &section));
        assert_ptr_equal(section.region, many.background);
        gmem_section_release(&section);
    }
    gmem_vm_destroy(vm);
    free(many.devices);
    free(numbers);
}

static void test_4096_ranges_and_more(void **state)
{
    (void)state;
    check_many(2047);
    check_many(2049);
    check_many(5000);
}

static void test_65536_ranges_and_more(void **state)
{
    (void)state;
    check_many(32769);
    check_many(70000);
}

/*
 * --- sharing does not change what is seen
 * ----------------------------------------------------------
 */

/* A bus-master space: root with a lone alias over all of target. */
static gmem_region *make_window(gmem_vm *vm, gmem_region *target, gmem_size size, gmem_region **ret_alias)
{
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL);

    *ret_alias = make_alias(vm, "alias", target, 0, size);
    OK(gmem_region_add(root, 0, *ret_alias));
    return root;
}

static void test_readonly_alias_alone(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *ram = make_ram(vm, "ram", 0x10000);
    gmem_region *alias;
    gmem_region *root = make_window(vm, ram, GMEM_SIZE(0x10000), &alias);
    gmem_region *sibling = make_mmio(vm, "sibling", GMEM_SIZE(0x1000));
    gmem_space *writable = make_space(vm, "writable", ram);
    gmem_space *readonly = make_space(vm, "readonly", root);
    uint32_t value = 0;

    (void)state;
    OK(gmem_region_set_readonly(alias, true));
    check_view(readonly, "0-ffff ram+0 ro\n");
    check_view(writable, "0-ffff ram+0\n");
    OK(gmem_st32_le(readonly, 0x100, GMEM_ATTRS_NONE, 0x12345678));
    OK(gmem_ld32_le(writable, 0x100, GMEM_ATTRS_NONE, &value));
    assert_int_equal(value, 0);
    OK(gmem_region_add(root, 0x20000, sibling));
    check_view(readonly, "0-ffff ram+0 ro\n20000-20fff sibling+0\n");
    OK(gmem_region_remove(root, sibling));
    check_view(readonly, "0-ffff ram+0 ro\n");
    OK(gmem_region_set_readonly(alias, false));
    check_view(readonly, "0-ffff ram+0\n");
    OK(gmem_st32_le(readonly, 0x100, GMEM_ATTRS_NONE, 0x12345678));
    OK(gmem_ld32_le(writable, 0x100, GMEM_ATTRS_NONE, &value));
    assert_int_equal(value, 0x12345678);
    OK(gmem_region_set_nonvolatile(root, true));
    check_view(readonly, "0-ffff ram+0 nv\n");
    check_view(writable, "0-ffff ram+0\n");
    gmem_vm_destroy(vm);
}

static void test_alias_of_what_is_mapped_elsewhere(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *system = make_container(vm, "system", GMEM_SIZE_ALL);
    gmem_region *ram = make_ram(vm, "ram", 0x10000);
    gmem_region *other = make_mmio(vm, "other", GMEM_SIZE(0x10));
    gmem_region *alias;
    gmem_region *root = make_window(vm, ram, GMEM_SIZE(0x10000), &alias);
    gmem_space *dma;
    gmem_space *whole;

    (void)state;
    OK(gmem_region_add(system, 0x80000000, ram));
    OK(gmem_region_add(system, 0, other));
    dma = make_space(vm, "dma", root);
    whole = make_space(vm, "whole", system);
    check_view(dma, "0-ffff ram+0\n");
    check_view(whole, "0-f other+0\n80000000-8000ffff ram+0\n");
    OK(gmem_region_add(root, 0x100000, make_mmio(vm, "sibling", GMEM_SIZE(1))));
    check_view(dma, "0-ffff ram+0\n100000-100000 sibling+0\n");
    OK(gmem_region_move(alias, 0x1000));
    check_view(dma, "1000-10fff ram+0\n100000-100000 sibling+0\n");
    gmem_vm_destroy(vm);
}

static void test_alias_larger_than_its_window(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *ram = make_ram(vm, "ram", 0x10000);
    gmem_region *alias;
    gmem_space *space = make_space(vm, "space", make_window(vm, ram, GMEM_SIZE(0x1000), &alias));

    (void)state;
    check_view(space, "0-fff ram+0\n");
    OK(gmem_region_resize(alias, GMEM_SIZE(0x20000)));
    check_view(space, "0-ffff ram+0\n");
    gmem_vm_destroy(vm);
}

static void test_placed_root(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *system = make_container(vm, "system", GMEM_SIZE_ALL);
    gmem_region *io = make_container(vm, "io", GMEM_SIZE(0x10000));
    gmem_region *device = make_mmio(vm, "device", GMEM_SIZE(0x100));
    gmem_space *ports = make_space(vm, "ports", io);
    gmem_space *alone = make_space(vm, "alone", device);

    (void)state;
    OK(gmem_region_add(io, 0x60, device));
    check_view(ports, "60-15f device+0\n");
    check_view(alone, "60-15f device+0\n");
    OK(gmem_region_add(system, 0x80000000, io));
    check_view(ports, "80000060-8000015f device+0\n");
    OK(gmem_region_move(io, 0xfffffffffffe0000));
    check_view(ports, "fffffffffffe0060-fffffffffffe015f device+0\n");
    OK(gmem_region_remove(system, io));
    check_view(ports, "60-15f device+0\n");
    OK(gmem_region_move(io, 0x1000)); /* placed nowhere, but a root */
    check_view(ports, "1060-115f device+0\n");
    check_view(alone, "60-15f device+0\n");
    gmem_vm_destroy(vm);
}

/*
 * --- late listeners
 * ----------------------------------------------------------------------------------
 */

#define DEVICES 3u
#define INTERVALS 5u

/*
 * A set of what was heard: one line each, "what space first-last", sorted by the order in which
 * views list them.
 */
struct ear {
    struct gmem_listener listener;
    struct text heard;
};

static void hear(struct gmem_listener *listener, const char *what, const struct gmem_section *section, uint64_t data)
{
    struct ear *ear = listener->opaque;
    char line[128];

    snprintf(line, sizeof(line), "%s %s %llx-%llx %llu\n", what, gmem_space_name(section->space),
             (unsigned long long)section->first, (unsigned long long)section->last, (unsigned long long)data);
    text_add(&ear->heard, line);
}

static int hear_coalesced(struct gmem_listener *listener, const struct gmem_section *section)
{
    hear(listener, "coalesced", section, 0);
    return 0;
}

static int hear_eventfd(struct gmem_listener *listener, const struct gmem_section *section,
                        const struct gmem_eventfd *eventfd)
{
    hear(listener, "eventfd", section, eventfd->data);
    return 0;
}

static void listen(gmem_vm *vm, gmem_space *space, struct ear *ear)
{
    memset(ear, 0, sizeof(*ear));
    text_add(&ear->heard, "");
    ear->listener.struct_size = sizeof(ear->listener);
    ear->listener.name = "ear";
    ear->listener.opaque = ear;
    ear->listener.coalesced_add = hear_coalesced;
    ear->listener.eventfd_add = hear_eventfd;
    OK(gmem_listener_register(vm, space, &ear->listener));
}

static gmem_region *make_doorbells(gmem_vm *vm)
{
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL);

    for (unsigned i = 0; i < DEVICES; i++) {
        gmem_region *device = make_mmio(vm, "device", GMEM_SIZE(0x1000));

        OK(gmem_region_add(root, (uint64_t)i * 0x1000, device));
        for (unsigned k = 0; k < INTERVALS; k++) {
            struct gmem_eventfd eventfd = {.offset = 0x800, .data = k, .fd = 1, .size = 4, .match = true};

            OK(gmem_region_add_coalesced(device, (uint64_t)k * 0x100, (uint64_t)k * 0x100 + 0x7f));
            OK(gmem_region_add_eventfd(device, &eventfd));
        }
    }
    return root;
}

static size_t lines(const struct text *text)
{
    size_t count = 0;

    for (const char *at = text->chars; *at; at++)
        count += *at == '\n';
    return count;
}

static void test_late_listener(void **state)
{
    gmem_vm *vm = make_vm();
    struct ear early;
    struct ear late;
    struct ear later;
    gmem_region *root;
    gmem_space *space;

    (void)state;
    listen(vm, NULL, &early);
    root = make_doorbells(vm);
    space = make_space(vm, "space", root);
    listen(vm, space, &late);
    assert_int_equal(lines(&early.heard), (size_t)2 * DEVICES * INTERVALS);
    assert_string_equal(late.heard.chars, early.heard.chars);
    (void)make_space(vm, "another", root); /* on a view that is there already */
    assert_int_equal(lines(&early.heard), (size_t)4 * DEVICES * INTERVALS);
    listen(vm, NULL, &later);
    assert_string_equal(later.heard.chars, early.heard.chars);
    gmem_listener_unregister(vm, &early.listener);
    gmem_listener_unregister(vm, &late.listener);
    gmem_listener_unregister(vm, &later.listener);
    gmem_vm_destroy(vm);
    free(early.heard.chars);
    free(late.heard.chars);
    free(later.heard.chars);
}

/*
 * --- equal names
 * ----------------------------------------------------------------------------------------
 */

struct cost {
    unsigned long allocations;
    size_t bytes;
};

/* What the library allocates for count regions and their placing, from creation to commit. */
static struct cost cost_of(unsigned count, bool one_name)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL);
    gmem_space *space = make_space(vm, "space", root);
    struct cost cost;

    wrap_start(0);
    OK(gmem_vm_begin(vm));
    for (unsigned i = 0; i < count; i++) {
        char name[32];

        snprintf(name, sizeof(name), "device%06u", one_name ? 0 : i);
        OK(gmem_region_add(root, (uint64_t)i * 0x20, make_mmio(vm, name, GMEM_SIZE(0x10))));
    }
    OK(gmem_vm_commit(vm));
    wrap_stop();
    cost = (struct cost){wrap.count, wrap.bytes};
    assert_ptr_equal(gmem_space_root(space), root);
    gmem_vm_destroy(vm);
    return cost;
}

static void test_equal_names_cost_no_more(void **state)
{
    struct cost different = cost_of(4000, false);
    struct cost equal = cost_of(4000, true);
    struct cost twice = cost_of(8000, true);

    (void)state;
    assert_true(different.allocations > 4000);
    assert_int_equal(equal.allocations, different.allocations);
    assert_int_equal(equal.bytes, different.bytes);
    assert_true(twice.allocations <= 2 * equal.allocations);
    assert_true(twice.bytes <= 2 * equal.bytes + equal.bytes / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_4096_ranges_and_more),
        cmocka_unit_test(test_65536_ranges_and_more),
        cmocka_unit_test(test_readonly_alias_alone),
        cmocka_unit_test(test_alias_of_what_is_mapped_elsewhere),
        cmocka_unit_test(test_alias_larger_than_its_window),
        cmocka_unit_test(test_placed_root),
        cmocka_unit_test(test_late_listener),
        cmocka_unit_test(test_equal_names_cost_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
