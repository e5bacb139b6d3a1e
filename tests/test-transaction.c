/* SPDX-License-Identifier: MIT */
/* test-transaction.c - nesting, abort at every level, and that a commit is all or nothing (G1). */
#include "support.h"
#include <errno.h>
#include <pthread.h>

static void test_nesting(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *a = make_mmio(vm, "a", GMEM_SIZE(0x10));
    gmem_space *space = make_space(vm, "space", root);
    struct gmem_vm_stats before, after;

    (void)state;
    gmem_vm_stats(vm, &before);
    OK(gmem_vm_begin(vm));
    OK(gmem_region_add(root, 0, a));
    OK(gmem_vm_begin(vm));
    OK(gmem_region_move(a, 0x20));
    OK(gmem_vm_commit(vm));
    check_view(space, "");
    OK(gmem_region_move(a, 0x30));
    OK(gmem_vm_commit(vm));
    check_view(space, "30-3f a+0\n");
    gmem_vm_stats(vm, &after);
    assert_int_equal(after.commits - before.commits, 1);
    assert_int_equal(after.views_published - before.views_published, 1);
    REFUSED(EINVAL, gmem_vm_commit(vm));
    gmem_vm_abort(vm);

    /* Edits that cancel out publish nothing. */
    OK(gmem_vm_begin(vm));
    OK(gmem_region_set_enabled(a, false));
    OK(gmem_region_set_enabled(a, true));
    OK(gmem_region_move(a, 0x40));
    OK(gmem_region_move(a, 0x30));
    OK(gmem_vm_commit(vm));
    gmem_vm_stats(vm, &before);
    assert_int_equal(after.views_published, before.views_published);
    gmem_vm_destroy(vm);
}

/* F of docs/concurrency.md. */
static void test_abort(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *box = make_container(vm, "box", GMEM_SIZE(0x100));
    gmem_region *a = make_mmio(vm, "a", GMEM_SIZE(0x10)), *b = make_mmio(vm, "b", GMEM_SIZE(0x10));
    gmem_region *alias = make_alias(vm, "alias", a, 0, GMEM_SIZE(0x10));
    gmem_space *space = make_space(vm, "space", root);
    const char *start = "0-f b+0\n10-1f a+8\n";
    struct gmem_vm_stats before, after;

    (void)state;
    OK(gmem_region_add(root, 0, a));
    OK(gmem_region_add(root, 0, b));
    OK(gmem_region_set_alias(alias, a, 8));
    OK(gmem_region_resize(alias, GMEM_SIZE(8)));
    OK(gmem_region_add(root, 0x10, alias));
    start = "0-f b+0\n10-17 a+8\n";
    check_view(space, start);
    gmem_vm_stats(vm, &before);

    OK(gmem_vm_begin(vm));
    OK(gmem_region_remove(root, a));
    OK(gmem_region_add(root, 0x80, box));
    OK(gmem_region_add_priority(box, 0, a, 3));
    OK(gmem_vm_begin(vm));
    OK(gmem_region_set_alias(alias, b, 0));
    OK(gmem_region_resize(b, GMEM_SIZE(4)));
    OK(gmem_region_set_readonly(b, true));
    gmem_vm_abort(vm);
    assert_ptr_equal(gmem_region_alias_target(alias), a);
    assert_int_equal(gmem_region_size(b).bytes, 0x10);
    assert_false(gmem_region_readonly(b));
    assert_ptr_equal(gmem_region_container(a), box);
    OK(gmem_region_set_priority(a, 4));
    gmem_vm_abort(vm);
    check_view(space, start);
    assert_ptr_equal(gmem_region_container(a), root);
    assert_null(gmem_region_container(box));
    assert_int_equal(gmem_region_priority(a), 0);
    /* The order among equals is the old one too: b, placed after a, still lies on it. */
    OK(gmem_region_set_nonvolatile(box, true));
    check_view(space, start);
    OK(gmem_region_set_enabled(b, false));
    check_view(space, "0-f a+0\n10-17 a+8\n");
    gmem_vm_stats(vm, &after);
    assert_int_equal(after.views_published - before.views_published, 1);
    gmem_vm_destroy(vm);
}

/* A region whose last reference goes inside a transaction comes back with the abort. */
static void test_abort_revives(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *box = make_container(vm, "box", GMEM_SIZE(0x100));
    gmem_region *a = make_mmio(vm, "a", GMEM_SIZE(0x10));
    gmem_space *space = make_space(vm, "space", root);
    struct gmem_vm_stats stats;

    (void)state;
    OK(gmem_region_add(box, 0, a));
    OK(gmem_region_add(root, 0x100, box));
    gmem_region_unref(a);
    gmem_region_unref(box);
    OK(gmem_vm_begin(vm));
    OK(gmem_region_remove(box, a));
    OK(gmem_region_remove(root, box));
    gmem_vm_abort(vm);
    check_view(space, "100-10f a+0\n");
    OK(gmem_vm_begin(vm));
    OK(gmem_region_remove(root, box));
    OK(gmem_vm_commit(vm));
    check_view(space, "");
    gmem_space_destroy(space);
    gmem_region_unref(root);
    gmem_vm_stats(vm, &stats);
    assert_int_equal(stats.commits_refused, 0);
    gmem_vm_destroy(vm);
}

static void test_no_spaces_inside(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL);
    gmem_space *space = NULL;
    struct gmem_listener listener = {.struct_size = sizeof(listener)};

    (void)state;
    OK(gmem_vm_begin(vm));
    REFUSED(EBUSY, gmem_space_create(vm, "space", root, NULL, &space));
    REFUSED(EBUSY, gmem_listener_register(vm, NULL, &listener));
    assert_null(space);
    OK(gmem_vm_commit(vm));
    space = make_space(vm, "space", root);
    gmem_vm_destroy(vm);
}

struct worker {
    gmem_vm *vm;
    gmem_region *root;
    gmem_region *mine;
    uint64_t at;
};

static void *toggle_often(void *opaque)
{
    struct worker *worker = opaque;
    int i, err = 0;

    for (i = 0; !err && i < 200; i++) {
        err = gmem_vm_begin(worker->vm);
        if (!err)
            err = gmem_region_add(worker->root, worker->at, worker->mine);
        if (!err)
            err = gmem_vm_commit(worker->vm);
        if (!err)
            err = gmem_region_remove(worker->root, worker->mine);
    }
    return err ? worker : NULL;
}

/* Two threads edit at once: each transaction is whole. */
static void test_two_writers(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL);
    gmem_space *space = make_space(vm, "space", root);
    struct worker workers[2] = {{vm, root, make_mmio(vm, "a", GMEM_SIZE(0x10)), 0},
                                {vm, root, make_mmio(vm, "b", GMEM_SIZE(0x10)), 0x100}};
    pthread_t threads[2];
    void *failed;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, toggle_often, &workers[i]), 0);
    for (i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    check_view(space, "");
    gmem_vm_destroy(vm);
}

static void test_options(void **state)
{
    struct {
        struct gmem_vm_options known;
        uint64_t tail;
    } longer;
    struct gmem_vm_options options;
    gmem_vm *vm = NULL;

    (void)state;
    memset(&longer, 0, sizeof(longer));
    longer.known.struct_size = sizeof(longer);
    OK(gmem_vm_create(&longer.known, &vm));
    gmem_vm_destroy(vm);
    vm = NULL;
    longer.tail = 1;
    REFUSED(EINVAL, gmem_vm_create(&longer.known, &vm));
    memset(&options, 0, sizeof(options));
    REFUSED(EINVAL, gmem_vm_create(&options, &vm));
    options.struct_size = sizeof(options);
    options.endian = (enum gmem_endian)3;
    REFUSED(EINVAL, gmem_vm_create(&options, &vm));
    REFUSED(EINVAL, gmem_vm_create(NULL, NULL));
    assert_null(vm);
    gmem_vm_destroy(NULL);
    assert_string_equal(gmem_version(), "0.1.0");
    assert_non_null(gmem_strerror(-ELOOP));
    assert_non_null(gmem_strerror(12345));
}

/*
 * A region that shows itself, outside of what any window shows, makes what can have changed too much to look at: then whole views are
 * rendered. Ways up that later edits of the same transaction make are not forgotten.
 */
static void test_ways_up_of_a_circle(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE(1));
    gmem_region *bus = make_container(vm, "bus", GMEM_SIZE(1));
    gmem_region *device = make_mmio(vm, "device", GMEM_SIZE(1));
    gmem_region *other = make_mmio(vm, "other", GMEM_SIZE(1));
    gmem_region *part = make_alias(vm, "part", device, 0, GMEM_SIZE(1));
    gmem_region *inner = make_alias(vm, "inner", part, 0, GMEM_SIZE(1));
    gmem_region *circle = make_alias(vm, "circle", bus, 0x100000, GMEM_SIZE(1));
    gmem_region *window = make_alias(vm, "window", other, 0, GMEM_SIZE(0x1000));
    gmem_space *space;

    (void)state;
    OK(gmem_region_add(root, 0, window));
    OK(gmem_region_add(bus, 0, circle));
    space = make_space(vm, "space", root);
    /* It is found out that nothing shows inner. */
    OK(gmem_region_resize(part, GMEM_SIZE(0x1000)));
    OK(gmem_vm_begin(vm));
    OK(gmem_region_move(circle, 0x100000));
    OK(gmem_region_set_alias(window, inner, 0));
    OK(gmem_vm_commit(vm));
    check_view(space, "0-0 device+0\n");
    OK(gmem_region_set_enabled(inner, false));
    check_view(space, "");
    gmem_region_unref(part);
    gmem_region_unref(circle);
    gmem_region_unref(window);
    gmem_region_unref(inner);
    gmem_region_unref(other);
    gmem_region_unref(device);
    gmem_region_unref(bus);
    gmem_region_unref(root);
    gmem_space_destroy(space);
    gmem_vm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_abort_revives),
        cmocka_unit_test(test_no_spaces_inside),
        cmocka_unit_test(test_two_writers),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_ways_up_of_a_circle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
