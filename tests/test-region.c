/* SPDX-License-Identifier: MIT */
/* test-region.c - what edits of the topology do and refuse; a refusal changes nothing (G1). */
#include "support.h"
#include <errno.h>

static void test_create_refuses(void **state)
{
    gmem_vm *vm = make_vm(), *other = make_vm();
    gmem_region *region = NULL, *target;
    struct gmem_mmio_ops ops = silent_ops();
    char long_name[300];
    gmem_ram *ram;

    (void)state;
    REFUSED(EINVAL, gmem_region_create_container(vm, "zero", GMEM_SIZE(0), NULL, &region));
    check_reason(vm, EINVAL, "size 0");
    REFUSED(EINVAL, gmem_region_create_container(vm, "x", GMEM_SIZE(1), NULL, NULL));
    REFUSED(EINVAL, gmem_region_create_container(NULL, "x", GMEM_SIZE(1), NULL, &region));
    memset(long_name, 'n', sizeof(long_name));
    long_name[256] = '\0';
    REFUSED(EINVAL, gmem_region_create_container(vm, long_name, GMEM_SIZE(1), NULL, &region));
    long_name[255] = '\0';
    OK(gmem_region_create_container(vm, long_name, GMEM_SIZE(1), NULL, &region));
    assert_string_equal(gmem_region_name(region), long_name);
    gmem_region_unref(region);
    region = NULL;

    REFUSED(EINVAL, gmem_region_create_mmio(vm, "m", GMEM_SIZE(1), NULL, NULL, NULL, &region));
    ops.read = NULL;
    REFUSED(EINVAL, gmem_region_create_mmio(vm, "m", GMEM_SIZE(1), &ops, NULL, NULL, &region));
    check_reason(vm, EINVAL, "callback");
    ops = silent_ops();
    ops.valid.min = 3;
    REFUSED(EINVAL, gmem_region_create_mmio(vm, "m", GMEM_SIZE(1), &ops, NULL, NULL, &region));
    ops = silent_ops();
    ops.impl.min = 4;
    ops.impl.max = 2;
    REFUSED(EINVAL, gmem_region_create_mmio(vm, "m", GMEM_SIZE(1), &ops, NULL, NULL, &region));
    ops = silent_ops();
    ops.impl.max = 16;
    REFUSED(EINVAL, gmem_region_create_mmio(vm, "m", GMEM_SIZE(1), &ops, NULL, NULL, &region));
    assert_null(region);

    target = make_container(vm, "target", GMEM_SIZE(0x1000));
    REFUSED(EOVERFLOW, gmem_region_create_alias(vm, "a", target, UINT64_MAX, GMEM_SIZE(2), NULL, &region));
    REFUSED(EOVERFLOW, gmem_region_create_alias(vm, "a", target, 1, GMEM_SIZE_ALL, NULL, &region));
    REFUSED(EXDEV, gmem_region_create_alias(other, "a", target, 0, GMEM_SIZE(2), NULL, &region));
    REFUSED(EINVAL, gmem_region_create_alias(vm, "a", NULL, 0, GMEM_SIZE(2), NULL, &region));
    assert_null(region);
    region = make_alias(vm, "past the end", target, 0x800, GMEM_SIZE(0x10000));
    gmem_region_unref(region);
    region = NULL;

    OK(gmem_ram_create_anon(vm, "ram", 4096, &ram));
    REFUSED(EXDEV, gmem_region_create_ram(other, "ram", ram, NULL, &region));
    assert_null(region);
    gmem_ram_unref(ram);
    gmem_region_unref(target);
    gmem_vm_destroy(other);
    gmem_vm_destroy(vm);
}

static void test_place_refuses(void **state)
{
    gmem_vm *vm = make_vm(), *other = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *box = make_container(vm, "box", GMEM_SIZE(0x1000));
    gmem_region *leaf = make_mmio(vm, "leaf", GMEM_SIZE(0x100)), *alien = make_mmio(other, "alien", GMEM_SIZE(0x100));
    gmem_region *window = make_alias(vm, "window", leaf, 0, GMEM_SIZE(0x100));
    gmem_space *space = make_space(vm, "space", root);

    (void)state;
    OK(gmem_region_add(root, 0x1000, box));
    OK(gmem_region_add(box, 0x10, leaf));
    check_view(space, "1010-110f leaf+0\n");

    REFUSED(EBUSY, gmem_region_add(root, 0, leaf));
    check_reason(vm, EBUSY, "\"leaf\" is in \"box\"");
    REFUSED(EBUSY, gmem_region_add(box, 0, leaf));
    REFUSED(ELOOP, gmem_region_add(root, 0, root));
    REFUSED(ELOOP, gmem_region_add(box, 0, root));
    check_reason(vm, ELOOP, "contain itself");
    REFUSED(EXDEV, gmem_region_add(root, 0, alien));
    REFUSED(EOPNOTSUPP, gmem_region_add(window, 0, make_container(vm, "in an alias", GMEM_SIZE(1))));
    check_reason(vm, EOPNOTSUPP, "kind alias");
    REFUSED(EOVERFLOW, gmem_region_add(root, UINT64_MAX - 0xfe, window));
    OK(gmem_region_add(root, UINT64_MAX - 0xff, window));
    REFUSED(EINVAL, gmem_region_add(NULL, 0, leaf));
    REFUSED(EINVAL, gmem_region_add(root, 0, NULL));

    REFUSED(ENOENT, gmem_region_remove(root, leaf));
    REFUSED(ENOENT, gmem_region_remove(box, box));
    REFUSED(EXDEV, gmem_region_remove(root, alien));
    check_view(space, "1010-110f leaf+0\nffffffffffffff00-ffffffffffffffff leaf+0\n");
    assert_ptr_equal(gmem_region_container(leaf), box);

    OK(gmem_region_remove(box, leaf));
    assert_null(gmem_region_container(leaf));
    assert_int_equal(gmem_region_offset(leaf), 0);
    REFUSED(ENOENT, gmem_region_remove(box, leaf));
    check_view(space, "ffffffffffffff00-ffffffffffffffff leaf+0\n");
    gmem_vm_destroy(vm);
    gmem_vm_destroy(other);
}

static void test_wrong_kind(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *box = make_container(vm, "box", GMEM_SIZE(0x1000)), *mmio = make_mmio(vm, "mmio", GMEM_SIZE(0x1000));
    gmem_region *rom = make_rom(vm, "rom", 0x1000), *alias = make_alias(vm, "alias", mmio, 0, GMEM_SIZE(0x1000));
    struct gmem_eventfd eventfd = {.offset = 0, .fd = 0, .size = 4};

    (void)state;
    REFUSED(EOPNOTSUPP, gmem_region_set_alias(box, mmio, 0));
    REFUSED(EOPNOTSUPP, gmem_region_set_romd(mmio, false));
    REFUSED(EOPNOTSUPP, gmem_region_set_readonly(rom, false));
    OK(gmem_region_set_readonly(rom, true));
    REFUSED(EOPNOTSUPP, gmem_region_set_log(mmio, GMEM_LOG_DISPLAY, true));
    REFUSED(EINVAL, gmem_region_set_log(rom, GMEM_LOG_CLIENTS, true));
    check_reason(vm, EINVAL, "\"rom\"");
    REFUSED(EOPNOTSUPP, gmem_region_add_eventfd(alias, &eventfd));
    REFUSED(EOPNOTSUPP, gmem_region_add_eventfd(box, &eventfd));
    REFUSED(EOPNOTSUPP, gmem_region_add_coalesced(rom, 0, 3));
    REFUSED(EOPNOTSUPP, gmem_region_log_sync(mmio));
    REFUSED(ENOENT, gmem_region_set_priority(mmio, 1));
    gmem_vm_destroy(vm);
}

static void test_extras_refuse(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *mmio = make_mmio(vm, "mmio", GMEM_SIZE(0x10));
    struct gmem_eventfd eventfd = {.offset = 0xc, .data = 7, .fd = 0, .size = 4, .match = true}, bad;

    (void)state;
    OK(gmem_region_add_eventfd(mmio, &eventfd));
    REFUSED(EEXIST, gmem_region_add_eventfd(mmio, &eventfd));
    bad = eventfd;
    bad.offset = 0xd;
    REFUSED(ERANGE, gmem_region_add_eventfd(mmio, &bad));
    REFUSED(ENOENT, gmem_region_del_eventfd(mmio, &bad));
    bad = eventfd;
    bad.size = 3;
    REFUSED(EINVAL, gmem_region_add_eventfd(mmio, &bad));
    bad = eventfd;
    bad.size = 0;
    REFUSED(EINVAL, gmem_region_add_eventfd(mmio, &bad));
    bad = eventfd;
    bad.data = 8;
    OK(gmem_region_add_eventfd(mmio, &bad));
    OK(gmem_region_del_eventfd(mmio, &eventfd));
    REFUSED(ENOENT, gmem_region_del_eventfd(mmio, &eventfd));
    OK(gmem_region_del_eventfd(mmio, &bad));
    REFUSED(ERANGE, gmem_region_add_coalesced(mmio, 8, 0x10));
    REFUSED(EINVAL, gmem_region_add_coalesced(mmio, 8, 7));
    OK(gmem_region_add_coalesced(mmio, 8, 0xf));
    OK(gmem_region_add_coalesced(mmio, 8, 0xf));
    OK(gmem_region_clear_coalesced(mmio));
    OK(gmem_region_clear_coalesced(mmio));
    gmem_vm_destroy(vm);
}

/* An alias may show the container it is in, but never itself; every edit that could change that is checked. */
static void test_alias_loops(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE(0x10000));
    gmem_region *mmio = make_mmio(vm, "registers", GMEM_SIZE(0x100));
    gmem_region *mirror = make_alias(vm, "mirror", root, 0, GMEM_SIZE(0x1000));
    gmem_region *a, *b;
    gmem_space *space = make_space(vm, "space", root);

    (void)state;
    OK(gmem_region_add(root, 0, mmio));
    REFUSED(ELOOP, gmem_region_add(root, 0xfff, mirror));
    check_reason(vm, ELOOP, "show itself");
    assert_null(gmem_region_container(mirror));
    OK(gmem_region_add(root, 0x1000, mirror));
    check_view(space, "0-ff registers+0\n1000-10ff registers+0\n");
    REFUSED(ELOOP, gmem_region_move(mirror, 0x800));
    REFUSED(ELOOP, gmem_region_resize(mirror, GMEM_SIZE(0x1001)));
    REFUSED(ELOOP, gmem_region_set_alias(mirror, root, 0x800));
    REFUSED(ELOOP, gmem_region_set_alias(mirror, mirror, 0));
    /* Nor may aliases be all that an alias shows, wherever their windows are. */
    REFUSED(ELOOP, gmem_region_set_alias(mirror, mirror, 0x1000));
    check_reason(vm, ELOOP, "alias of itself");
    a = make_alias(vm, "second", make_alias(vm, "first", mirror, 0, GMEM_SIZE(0x1000)), 0, GMEM_SIZE(0x1000));
    REFUSED(ELOOP, gmem_region_set_alias(mirror, a, 0x5000));
    assert_ptr_equal(gmem_region_alias_target(mirror), root);
    assert_string_equal(gmem_region_type(a), "i/o");
    OK(gmem_region_move(mirror, 0x2000));
    OK(gmem_region_resize(mirror, GMEM_SIZE(0x2000)));
    check_view(space, "0-ff registers+0\n2000-20ff registers+0\n");

    /* Two aliases, each showing the other's container. */
    a = make_container(vm, "a", GMEM_SIZE(0x1000));
    b = make_container(vm, "b", GMEM_SIZE(0x1000));
    OK(gmem_region_add(a, 0, make_alias(vm, "b in a", b, 0, GMEM_SIZE(0x1000))));
    REFUSED(ELOOP, gmem_region_add(b, 0, make_alias(vm, "a in b", a, 0, GMEM_SIZE(0x1000))));
    OK(gmem_region_add(b, 0, make_alias(vm, "far end of a in b", a, 0x1000, GMEM_SIZE(0x1000))));
    gmem_vm_destroy(vm);
}

static void test_geometry_refuses(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *ram = make_ram(vm, "ram", 0x2000);
    gmem_space *space = make_space(vm, "space", root);
    gmem_region *alias;

    (void)state;
    OK(gmem_region_add(root, 0, ram));
    REFUSED(EINVAL, gmem_region_resize(ram, GMEM_SIZE(0)));
    REFUSED(ERANGE, gmem_region_resize(ram, GMEM_SIZE(0x2001)));
    REFUSED(EOVERFLOW, gmem_region_move(ram, UINT64_MAX - 0x1ffe));
    check_view(space, "0-1fff ram+0\n");
    OK(gmem_region_resize(ram, GMEM_SIZE(0x1000)));
    OK(gmem_region_move(ram, UINT64_MAX - 0xfff));
    REFUSED(EOVERFLOW, gmem_region_resize(ram, GMEM_SIZE(0x2000)));
    check_view(space, "fffffffffffff000-ffffffffffffffff ram+0\n");
    alias = make_alias(vm, "alias", ram, UINT64_MAX - 0xf, GMEM_SIZE(0x10));
    REFUSED(EOVERFLOW, gmem_region_resize(alias, GMEM_SIZE(0x11)));
    REFUSED(EOVERFLOW, gmem_region_set_alias(alias, ram, UINT64_MAX - 0xe));
    gmem_vm_destroy(vm);
}

static void test_getters(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *low, *high, *equal, *first, *region = NULL;
    struct gmem_owner owner = {.label = "owner:{dev id=x}"};

    (void)state;
    assert_true(gmem_region_size(root).all);
    low = make_mmio(vm, "low", GMEM_SIZE(0x10));
    high = make_mmio(vm, "high", GMEM_SIZE(0x10));
    equal = make_mmio(vm, "equal", GMEM_SIZE(0x10));
    first = make_mmio(vm, "first", GMEM_SIZE(0x10));
    assert_null(gmem_region_first_child(root));
    assert_null(gmem_region_next_sibling(root));
    OK(gmem_region_add_priority(root, 2, low, -5));
    OK(gmem_region_add_priority(root, 2, high, 5));
    OK(gmem_region_add_priority(root, 2, equal, -5));
    OK(gmem_region_add_priority(root, 1, first, -9));
    assert_ptr_equal(gmem_region_first_child(root), first);
    assert_ptr_equal(gmem_region_next_sibling(first), high);
    assert_ptr_equal(gmem_region_next_sibling(high), equal);
    assert_ptr_equal(gmem_region_next_sibling(equal), low);
    assert_null(gmem_region_next_sibling(low));
    assert_int_equal(gmem_region_priority(low), -5);
    OK(gmem_region_set_priority(low, 6));
    assert_ptr_equal(gmem_region_next_sibling(first), low);
    assert_ptr_equal(gmem_region_next_sibling(low), high);
    OK(gmem_region_move(first, 3));
    assert_ptr_equal(gmem_region_first_child(root), low);
    assert_ptr_equal(gmem_region_next_sibling(equal), first);
    assert_null(gmem_region_next_sibling(first));
    OK(gmem_region_create_reserved(vm, NULL, GMEM_SIZE(1), &owner, &region));
    assert_string_equal(gmem_region_name(region), "");
    assert_string_equal(gmem_region_label(region), "owner:{dev id=x}");
    assert_int_equal(gmem_region_kind(region), GMEM_KIND_RESERVED);
    assert_null(gmem_region_ram(region));
    assert_ptr_equal(gmem_region_vm(region), vm);
    gmem_vm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_refuses), cmocka_unit_test(test_place_refuses),
        cmocka_unit_test(test_wrong_kind),     cmocka_unit_test(test_extras_refuse),
        cmocka_unit_test(test_alias_loops),    cmocka_unit_test(test_geometry_refuses),
        cmocka_unit_test(test_getters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
