/* SPDX-License-Identifier: MIT */
/* test-view.c - what a space shows: priorities, clipping, aliases, holes, attributes, merging, sharing, lookup. */
#include "support.h"
#include <errno.h>

struct fixture {
    gmem_vm *vm;
    gmem_region *root;
    gmem_space *space;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->vm = make_vm();
    f->root = make_container(f->vm, "root", GMEM_SIZE_ALL);
    f->space = make_space(f->vm, "space", f->root);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gmem_vm_destroy(f->vm);
    free(f);
    return 0;
}

static void test_priority(void **state)
{
    struct fixture *f = *state;
    gmem_region *a = make_mmio(f->vm, "a", GMEM_SIZE(0x100)), *b = make_mmio(f->vm, "b", GMEM_SIZE(0x10));

    check_view(f->space, "");
    OK(gmem_region_add(f->root, 0, a));
    OK(gmem_region_add(f->root, 0x40, b));
    check_view(f->space, "0-3f a+0\n40-4f b+0\n50-ff a+50\n");
    OK(gmem_region_set_priority(a, 1));
    check_view(f->space, "0-ff a+0\n");
    OK(gmem_region_set_priority(b, 1));
    check_view(f->space, "0-3f a+0\n40-4f b+0\n50-ff a+50\n");
    OK(gmem_region_move(a, 1));
    check_view(f->space, "1-100 a+0\n");
    OK(gmem_region_set_enabled(a, false));
    check_view(f->space, "40-4f b+0\n");
    OK(gmem_region_set_enabled(a, true));
    OK(gmem_region_remove(f->root, a));
    check_view(f->space, "40-4f b+0\n");
    OK(gmem_region_move(b, UINT64_MAX - 0xf));
    check_view(f->space, "fffffffffffffff0-ffffffffffffffff b+0\n");
}

static void test_hole_and_clip(void **state)
{
    struct fixture *f = *state;
    gmem_region *ram = make_ram(f->vm, "ram", 0x10000), *window = make_container(f->vm, "window", GMEM_SIZE(0x4000));
    gmem_region *card = make_mmio(f->vm, "card", GMEM_SIZE(0x1000)), *big = make_mmio(f->vm, "big", GMEM_SIZE_ALL);

    OK(gmem_region_add(f->root, 0, ram));
    OK(gmem_region_add_priority(f->root, 0x2000, window, 1));
    OK(gmem_region_add(window, 0x1000, card));
    check_view(f->space, "0-2fff ram+0\n3000-3fff card+0\n4000-ffff ram+4000\n");
    OK(gmem_region_add_priority(window, 0, big, -1));
    check_view(f->space, "0-1fff ram+0\n2000-2fff big+0\n3000-3fff card+0\n4000-5fff big+2000\n6000-ffff ram+6000\n");
    /* A child's priority counts only among its siblings. */
    OK(gmem_region_set_priority(card, 100));
    OK(gmem_region_set_priority(window, -1));
    check_view(f->space, "0-ffff ram+0\n");
}

static void test_device_with_subregions(void **state)
{
    struct fixture *f = *state;
    gmem_region *io = make_mmio(f->vm, "io", GMEM_SIZE(0x10)), *port = make_mmio(f->vm, "port", GMEM_SIZE(2));

    OK(gmem_region_add(io, 4, port));
    OK(gmem_region_add(f->root, 0x100, io));
    check_view(f->space, "100-103 io+0\n104-105 port+0\n106-10f io+6\n");
}

static void test_aliases(void **state)
{
    struct fixture *f = *state;
    gmem_region *ram = make_ram(f->vm, "ram", 0x3000), *high, *twice;

    OK(gmem_region_add(f->root, 0, make_alias(f->vm, "low", ram, 0, GMEM_SIZE(0x1000))));
    high = make_alias(f->vm, "high", ram, 0x1000, GMEM_SIZE(0x8000));
    OK(gmem_region_add(f->root, 0x100000, high));
    check_view(f->space, "0-fff ram+0\n100000-101fff ram+1000\n");
    /* An alias of an alias; clipped by each window on the way. */
    twice = make_alias(f->vm, "twice", high, 0x800, GMEM_SIZE(0x1000));
    OK(gmem_region_add(f->root, 0x200000, twice));
    check_view(f->space, "0-fff ram+0\n100000-101fff ram+1000\n200000-200fff ram+1800\n");
    OK(gmem_region_set_alias(high, ram, 0x2000));
    check_view(f->space, "0-fff ram+0\n100000-100fff ram+2000\n200000-2007ff ram+2800\n");
    OK(gmem_region_set_enabled(ram, false));
    check_view(f->space, "");
}

static void test_attributes(void **state)
{
    struct fixture *f = *state;
    gmem_region *ram = make_ram(f->vm, "ram", 0x3000), *rom = make_rom(f->vm, "rom", 0x1000);
    gmem_region *flash = make_romd(f->vm, "flash", 0x1000), *box = make_container(f->vm, "box", GMEM_SIZE(0x10000));
    gmem_region *alias = make_alias(f->vm, "alias", ram, 0x1000, GMEM_SIZE(0x1000));

    OK(gmem_region_add(f->root, 0, ram));
    OK(gmem_region_add(f->root, 0x10000, box));
    OK(gmem_region_add(box, 0, rom));
    OK(gmem_region_add(box, 0x1000, flash));
    OK(gmem_region_add(f->root, 0x1000, alias));
    /* Seen through the alias it is the same bytes with the same attributes: one range. */
    check_view(f->space, "0-2fff ram+0\n10000-10fff rom+0 ro\n11000-11fff flash+0 romd\n");
    OK(gmem_region_set_readonly(alias, true));
    OK(gmem_region_set_nonvolatile(box, true));
    OK(gmem_region_set_romd(flash, false));
    check_view(f->space, "0-fff ram+0\n1000-1fff ram+1000 ro\n2000-2fff ram+2000\n10000-10fff rom+0 ro nv\n"
                         "11000-11fff flash+0 nv\n");
    OK(gmem_region_set_readonly(alias, false));
    OK(gmem_region_set_readonly(box, true));
    check_view(f->space, "0-2fff ram+0\n10000-10fff rom+0 ro nv\n11000-11fff flash+0 ro nv\n");
}

static void test_sharing(void **state)
{
    struct fixture *f = *state;
    gmem_region *master = make_container(f->vm, "bus master container", GMEM_SIZE_ALL), *alias, *part;
    gmem_space *dma = make_space(f->vm, "dma", master), *twin = make_space(f->vm, "twin", f->root);
    gmem_view *a, *b, *c;

    OK(gmem_region_add(f->root, 0, make_ram(f->vm, "ram", 0x1000)));
    OK(gmem_region_add(f->root, 0x2000, make_mmio(f->vm, "mmio", GMEM_SIZE(0x1000))));
    alias = make_alias(f->vm, "bus master", f->root, 0, GMEM_SIZE_ALL);
    OK(gmem_region_set_enabled(alias, false));
    OK(gmem_region_add(master, 0, alias));
    a = gmem_space_view(dma);
    assert_null(gmem_view_root(a));
    assert_int_equal(gmem_view_count(a), 0);
    gmem_view_unref(a);
    OK(gmem_region_set_enabled(alias, true));
    a = gmem_space_view(dma);
    b = gmem_space_view(f->space);
    c = gmem_space_view(twin);
    assert_ptr_equal(a, b);
    assert_ptr_equal(a, c);
    assert_ptr_equal(gmem_view_root(a), f->root);
    gmem_view_unref(b);
    gmem_view_unref(c);

    /* A change seen in both keeps them together; the old view stays what it was for whoever holds it. */
    OK(gmem_region_add(f->root, 0x8000, make_mmio(f->vm, "late", GMEM_SIZE(1))));
    b = gmem_space_view(dma);
    c = gmem_space_view(f->space);
    assert_ptr_equal(b, c);
    assert_ptr_not_equal(a, b);
    assert_int_equal(gmem_view_count(a), 2);
    assert_int_equal(gmem_view_count(b), 3);
    gmem_view_unref(a);
    gmem_view_unref(b);
    gmem_view_unref(c);

    /* Anything that changes what is seen ends the sharing. */
    OK(gmem_region_set_readonly(alias, true));
    check_view(dma, "0-fff ram+0 ro\n2000-2fff mmio+0 ro\n8000-8000 late+0 ro\n");
    OK(gmem_region_set_readonly(alias, false));
    part = make_mmio(f->vm, "sibling", GMEM_SIZE(1));
    OK(gmem_region_add(master, 0x9000, part));
    check_view(dma, "0-fff ram+0\n2000-2fff mmio+0\n8000-8000 late+0\n9000-9000 sibling+0\n");
    check_view(f->space, "0-fff ram+0\n2000-2fff mmio+0\n8000-8000 late+0\n");
    gmem_space_destroy(dma);
    gmem_space_destroy(twin);
}

/* One commit in which one space leaves a view and another takes it up. */
static void test_view_changes_hands(void **state)
{
    struct fixture *f = *state;
    gmem_region *one = make_container(f->vm, "one", GMEM_SIZE(0x100)),
                *two = make_container(f->vm, "two", GMEM_SIZE(0x100));
    gmem_region *left = make_container(f->vm, "left", GMEM_SIZE(0x100)),
                *right = make_container(f->vm, "right", GMEM_SIZE(0x100));
    gmem_region *la = make_alias(f->vm, "la", one, 0, GMEM_SIZE(0x100)),
                *ra = make_alias(f->vm, "ra", two, 0, GMEM_SIZE(0x100));
    gmem_space *ls, *rs;
    int i;

    OK(gmem_region_add(one, 0, make_mmio(f->vm, "x", GMEM_SIZE(0x10))));
    OK(gmem_region_add(one, 0x80, make_mmio(f->vm, "y", GMEM_SIZE(0x10))));
    OK(gmem_region_add(two, 0, make_mmio(f->vm, "z", GMEM_SIZE(0x20))));
    OK(gmem_region_add(two, 0x80, make_mmio(f->vm, "w", GMEM_SIZE(0x20))));
    OK(gmem_region_add(left, 0, la));
    OK(gmem_region_add(right, 0, ra));
    ls = make_space(f->vm, "left", left);
    rs = make_space(f->vm, "right", right);
    for (i = 0; i < 100; i++) {
        OK(gmem_vm_begin(f->vm));
        OK(gmem_region_set_alias(la, i % 2 ? one : two, 0));
        OK(gmem_region_set_alias(ra, i % 2 ? two : one, 0));
        OK(gmem_vm_commit(f->vm));
        check_view(i % 2 ? ls : rs, "0-f x+0\n80-8f y+0\n");
        check_view(i % 2 ? rs : ls, "0-1f z+0\n80-9f w+0\n");
    }
}

static void test_lookup(void **state)
{
    struct fixture *f = *state;
    gmem_region *ram = make_ram(f->vm, "ram", 0x2000);
    struct gmem_section section;
    gmem_view *view;

    OK(gmem_region_add(f->root, 0x1000, ram));
    OK(gmem_space_lookup(f->space, 0x1234, &section));
    assert_ptr_equal(section.region, ram);
    assert_ptr_equal(section.space, f->space);
    assert_int_equal(section.first, 0x1000);
    assert_int_equal(section.last, 0x2fff);
    assert_int_equal(section.offset, 0);
    assert_ptr_equal(gmem_section_host(&section), gmem_ram_host(gmem_region_ram(ram)));
    gmem_section_release(&section);
    gmem_section_release(&section);
    REFUSED(ENOENT, gmem_space_lookup(f->space, 0xfff, &section));
    REFUSED(ENOENT, gmem_space_lookup(f->space, 0x3000, &section));
    view = gmem_space_view(f->space);
    OK(gmem_view_find(view, 0, &section));
    assert_int_equal(section.first, 0x1000);
    REFUSED(ENOENT, gmem_view_find(view, 0x3000, &section));
    gmem_view_unref(view);
}

static void test_depth(void **state)
{
    struct fixture *f = *state;
    gmem_region *inner = make_mmio(f->vm, "innermost", GMEM_SIZE(1)), *box;
    char name[32];
    int i;

    OK(gmem_region_add(f->root, 0x10, make_mmio(f->vm, "neighbour", GMEM_SIZE(1))));

    for (i = 0; i < 127; i++) {
        snprintf(name, sizeof(name), "box %d", i);
        box = make_container(f->vm, name, GMEM_SIZE(1));
        OK(gmem_region_add(box, 0, inner));
        inner = box;
    }
    OK(gmem_region_add(f->root, 0, inner));
    check_view(f->space, "0-0 innermost+0\n10-10 neighbour+0\n");
    OK(gmem_region_remove(f->root, inner));
    box = make_container(f->vm, "one too many", GMEM_SIZE(1));
    OK(gmem_region_add(box, 0, inner));
    REFUSED(E2BIG, gmem_region_add(f->root, 0, box));
    check_reason(f->vm, E2BIG, "deeper");
    assert_null(gmem_region_container(box));
    check_view(f->space, "10-10 neighbour+0\n");
}

/*
 * Each container shows the next one twice. A commit must not go all the ways down, of which there are
 * more than it could in years, also where there is nothing to be seen at their end.
 */
static void check_ways(struct fixture *f, gmem_region *end)
{
    gmem_region *next = make_container(f->vm, "innermost", GMEM_SIZE(1)), *box;
    int i;

    if (end)
        OK(gmem_region_add(next, 0, end));
    for (i = 0; i < 60; i++) {
        box = make_container(f->vm, "twice", GMEM_SIZE(1));
        OK(gmem_region_add(box, 0, make_alias(f->vm, "once", next, 0, GMEM_SIZE(1))));
        OK(gmem_region_add(box, 0, make_alias(f->vm, "again", next, 0, GMEM_SIZE(1))));
        next = box;
    }
    REFUSED(E2BIG, gmem_region_add(f->root, 0, next));
    check_reason(f->vm, E2BIG, "too many pieces");
    assert_null(gmem_region_container(next));
    check_view(f->space, "");
}

static void test_too_many_ways(void **state)
{
    check_ways(*state, NULL);
    check_ways(*state, make_mmio(((struct fixture *)*state)->vm, "end", GMEM_SIZE(1)));
}

#define WAY_BOXES 24u

static void check_ways_up(struct fixture *f, const char *above)
{
    struct text text = {NULL, 0};
    char line[64];

    for (unsigned i = 0; i + 1 < WAY_BOXES; i++) {
        snprintf(line, sizeof(line), "%x-%x device+0\n", i * 0x1000, i * 0x1000 + 0xff);
        text_add(&text, line);
    }
    text_add(&text, above);
    check_view(f->space, text.chars);
    free(text.chars);
}

/*
 * Two ways from each box to the next, of which one is switched off: little is shown, but it is too
 * far to climb from the bottom to the top.
 */
static void test_too_many_ways_up(void **state)
{
    gmem_region *box[WAY_BOXES], *bottom, *alias;
    struct fixture *f = *state;

    OK(gmem_vm_begin(f->vm));
    for (size_t i = 0; i < WAY_BOXES; i++)
        box[i] = make_container(f->vm, "box", GMEM_SIZE_ALL);
    for (size_t i = 0; i + 1 < WAY_BOXES; i++) {
        for (unsigned j = 0; j < 2; j++) {
            alias = make_alias(f->vm, "way", box[i + 1], 0, GMEM_SIZE_ALL);
            OK(gmem_region_set_enabled(alias, j == 0));
            OK(gmem_region_add(box[i], 0, alias));
        }
        OK(gmem_region_add_priority(box[i], i * 0x1000, make_mmio(f->vm, "device", GMEM_SIZE(0x100)), 1));
    }
    bottom = make_mmio(f->vm, "bottom", GMEM_SIZE(0x1000));
    OK(gmem_region_add(box[WAY_BOXES - 1], 0x100000, bottom));
    OK(gmem_region_add(box[WAY_BOXES - 1], 0x200000, make_mmio(f->vm, "other", GMEM_SIZE(0x1000))));
    OK(gmem_region_add(f->root, 0, box[0]));
    OK(gmem_vm_commit(f->vm));
    check_ways_up(f, "100000-100fff bottom+0\n200000-200fff other+0\n");
    OK(gmem_region_set_enabled(bottom, false));
    check_ways_up(f, "200000-200fff other+0\n");
    OK(gmem_region_move(bottom, 0x200800));
    check_ways_up(f, "200000-200fff other+0\n");
    OK(gmem_region_set_enabled(bottom, true));
    check_ways_up(f, "200000-2007ff other+0\n200800-2017ff bottom+0\n");
    OK(gmem_region_move(bottom, 0x100000));
    check_ways_up(f, "100000-100fff bottom+0\n200000-200fff other+0\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_priority),   TEST(test_hole_and_clip), TEST(test_device_with_subregions), TEST(test_aliases),
        TEST(test_attributes), TEST(test_sharing),       TEST(test_view_changes_hands),     TEST(test_lookup),
        TEST(test_depth),      TEST(test_too_many_ways), TEST(test_too_many_ways_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
