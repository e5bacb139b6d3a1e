/* SPDX-License-Identifier: MIT */
/*
 * test-lifetime.c - regions and their owners live while something can reach them (G7), callbacks may change the map, their own
 * region included (G3, G6), and what nobody reaches is freed.
 */
#include "support.h"
#include "rcu.h"
#include <errno.h>
#include <semaphore.h>

struct device {
    gmem_vm *vm;
    gmem_region *root;
    gmem_region *region;
    gmem_space *space;
    int refs; /* of the library, counted by the callbacks */
    int highest;
    int ended; /* times the last reference went */
    int calls;
    int err;
};

static void device_ref(void *opaque)
{
    struct device *device = opaque;
    int refs = __atomic_add_fetch(&device->refs, 1, __ATOMIC_SEQ_CST);

    if (refs > device->highest)
        device->highest = refs;
}

static void device_unref(void *opaque)
{
    struct device *device = opaque;

    if (__atomic_sub_fetch(&device->refs, 1, __ATOMIC_SEQ_CST) == 0)
        __atomic_add_fetch(&device->ended, 1, __ATOMIC_SEQ_CST);
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;

    (void)offset, (void)size, (void)attrs;
    device->calls++;
    /* Removes itself in the middle of its own access, and gives up the last reference of its creator. */
    if (device->region) {
        device->err = gmem_region_remove(device->root, device->region);
        gmem_region_unref(device->region);
        device->region = NULL;
        *ret_value = device->refs > 0 && !device->ended ? 0x600d : 0xbad;
    }
    return GMEM_OK;
}

/* Moves its own region, so that the second half of a long access would find it elsewhere. */
static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    (void)offset, (void)size, (void)attrs, (void)value;
    device->calls++;
    device->err = gmem_region_move(device->region, 0x9000);
    return GMEM_OK;
}

static void make_device(struct device *device)
{
    struct gmem_mmio_ops ops = {.read = device_read, .write = device_write, .valid = {.min = 1, .max = 4}};
    struct gmem_owner owner = {.opaque = device, .ref = device_ref, .unref = device_unref};

    memset(device, 0, sizeof(*device));
    device->vm = make_vm();
    device->root = make_container(device->vm, "root", GMEM_SIZE_ALL);
    device->space = make_space(device->vm, "space", device->root);
    OK(gmem_region_create_mmio(device->vm, "device", GMEM_SIZE(0x1000), &ops, device, &owner, &device->region));
}

static uint64_t regions(gmem_vm *vm)
{
    struct gmem_vm_stats stats;

    gmem_vm_stats(vm, &stats);
    return stats.regions;
}

/* H of docs/concurrency.md. */
static void test_owner_is_told(void **state)
{
    struct device device;
    struct gmem_section section;
    gmem_view *view;

    (void)state;
    make_device(&device);
    assert_int_equal(device.refs, 0);
    OK(gmem_region_add(device.root, 0, device.region));
    assert_int_equal(device.refs, 1);
    OK(gmem_space_lookup(device.space, 0, &section));
    view = gmem_space_view(device.space);
    OK(gmem_region_remove(device.root, device.region));
    gmem__rcu_barrier();
    assert_int_equal(device.refs, 1);
    gmem_section_release(&section);
    assert_int_equal(device.refs, 1);
    gmem_view_unref(view);
    assert_int_equal(device.refs, 0);
    assert_int_equal(device.ended, 1);
    assert_int_equal(device.highest, 1);
    assert_int_equal(regions(device.vm), 2);
    gmem_region_unref(device.region);
    assert_int_equal(regions(device.vm), 1);
    gmem_vm_destroy(device.vm);
}

static int refuse_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    return -EIO;
}

static int accept_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    return 0;
}

/* A refused commit leaves the owner as it was. */
static void test_refused_commit_unrefs(void **state)
{
    struct gmem_listener listener = {
        .struct_size = sizeof(listener), .region_add = refuse_add, .region_del = accept_del};
    struct device device;

    (void)state;
    make_device(&device);
    OK(gmem_listener_register(device.vm, NULL, &listener));
    REFUSED(EIO, gmem_region_add(device.root, 0, device.region));
    assert_int_equal(device.refs, 0);
    assert_int_equal(device.ended, 1);
    gmem_listener_unregister(device.vm, &listener);
    OK(gmem_region_add(device.root, 0, device.region));
    assert_int_equal(device.refs, 1);
    gmem_vm_destroy(device.vm);
    assert_int_equal(device.refs, 0);
}

/* G, I of docs/concurrency.md. */
static void test_callback_removes_itself(void **state)
{
    struct device device;
    uint32_t value = 0;

    (void)state;
    make_device(&device);
    OK(gmem_region_add(device.root, 0, device.region));
    assert_int_equal(gmem_ld32_le(device.space, 0x10, GMEM_ATTRS_NONE, &value), GMEM_OK);
    assert_int_equal(device.err, 0);
    assert_int_equal(value, 0x600d);
    gmem__rcu_barrier();
    assert_int_equal(device.ended, 1);
    assert_int_equal(regions(device.vm), 1);
    assert_int_equal(gmem_ld32_le(device.space, 0x10, GMEM_ATTRS_NONE, &value), GMEM_RESULT_DECODE);
    gmem_vm_destroy(device.vm);
}

/* B, I of docs/concurrency.md. */
static void test_callback_moves_itself(void **state)
{
    static const uint8_t bytes[8];
    struct device device;

    (void)state;
    make_device(&device);
    OK(gmem_region_add(device.root, 0, device.region));
    /* Two pieces of 4 bytes; one access sees one view (G2), so both reach the device. */
    assert_int_equal(gmem_space_write(device.space, 0x10, GMEM_ATTRS_NONE, bytes, 8), GMEM_OK);
    assert_int_equal(device.calls, 2);
    assert_int_equal(device.err, 0);
    check_view(device.space, "9000-9fff device+0\n");
    gmem_region_unref(device.region);
    gmem_vm_destroy(device.vm);
    assert_int_equal(device.ended, 1);
}

/* What a container, an alias and a space hold goes with them. */
static void test_whole_trees_go(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *box = make_container(vm, "box", GMEM_SIZE(0x1000));
    gmem_region *ram = make_ram(vm, "ram", 0x1000), *alias = make_alias(vm, "alias", ram, 0, GMEM_SIZE(0x1000));
    gmem_space *space = make_space(vm, "space", root);
    gmem_ram *block = NULL;

    (void)state;
    OK(gmem_region_add(box, 0, alias));
    OK(gmem_region_add(root, 0, box));
    gmem_region_unref(ram);
    gmem_region_unref(alias);
    gmem_region_unref(root);
    check_view(space, "0-fff ram+0\n");
    assert_int_equal(regions(vm), 4);
    OK(gmem_region_remove(root, box));
    gmem_region_unref(box);
    gmem__rcu_barrier();
    assert_int_equal(regions(vm), 1);
    REFUSED(ENOENT, gmem_ram_find(vm, "ram", &block));
    gmem_space_destroy(space);
    gmem__rcu_barrier();
    assert_int_equal(regions(vm), 0);
    gmem_vm_destroy(vm);
}

/*
 * Nothing but a view has a region that holds another, and the view ends inside a transaction; then the
 * other is edited, before the region can be freed.
 */
static void test_child_outlives_container(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *box = make_mmio(vm, "box", GMEM_SIZE(0x1000));
    gmem_region *child = make_mmio(vm, "child", GMEM_SIZE(0x100));
    gmem_space *space = make_space(vm, "space", root);
    gmem_view *view;

    (void)state;
    OK(gmem_region_add(box, 0x10, child));
    OK(gmem_region_add(root, 0, box));
    view = gmem_space_view(space);
    OK(gmem_region_remove(root, box));
    gmem_region_unref(box);
    gmem__rcu_barrier();
    assert_int_equal(regions(vm), 3);
    OK(gmem_vm_begin(vm));
    gmem_view_unref(view);
    assert_int_equal(regions(vm), 3);
    OK(gmem_region_move(child, 0x20));
    OK(gmem_vm_begin(vm));
    OK(gmem_region_set_enabled(child, false));
    gmem_vm_abort(vm);
    OK(gmem_vm_commit(vm));
    assert_int_equal(regions(vm), 2);
    assert_null(gmem_region_container(child));
    OK(gmem_region_add(root, 0, child));
    check_view(space, "0-ff child+0\n");
    gmem_region_unref(child);
    gmem_vm_destroy(vm);
}

/*
 * The same, but what is met through its child is shown by an alias, and so is kept, before it can
 * be freed; and goes when the alias aims elsewhere.
 */
static void test_met_through_its_child(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *box = make_mmio(vm, "box", GMEM_SIZE(0x1000));
    gmem_region *child = make_mmio(vm, "child", GMEM_SIZE(0x100)), *other = make_mmio(vm, "other", GMEM_SIZE(0x10));
    gmem_region *alias = make_alias(vm, "alias", other, 0, GMEM_SIZE(0x1000));
    gmem_space *space = make_space(vm, "space", root);
    gmem_view *view;

    (void)state;
    OK(gmem_region_add(root, 0x8000, alias));
    OK(gmem_region_add(box, 0x10, child));
    OK(gmem_region_add(root, 0, box));
    view = gmem_space_view(space);
    OK(gmem_region_remove(root, box));
    gmem_region_unref(box);
    gmem__rcu_barrier();
    assert_int_equal(regions(vm), 5);
    OK(gmem_vm_begin(vm));
    gmem_view_unref(view);
    OK(gmem_region_set_alias(alias, gmem_region_container(child), 0));
    OK(gmem_vm_commit(vm));
    assert_int_equal(regions(vm), 5);
    check_view(space, "8000-800f box+0\n8010-810f child+0\n8110-8fff box+110\n");
    OK(gmem_region_set_alias(alias, other, 0));
    gmem__rcu_barrier();
    assert_int_equal(regions(vm), 4);
    assert_null(gmem_region_container(child));
    gmem_vm_destroy(vm);
}

/* L of docs/concurrency.md: the vm ends first; everything goes, whatever references are left. */
static void test_vm_ends_all(void **state)
{
    struct device device;

    (void)state;
    make_device(&device);
    OK(gmem_region_add(device.root, 0, device.region));
    OK(gmem_vm_begin(device.vm));
    OK(gmem_region_move(device.region, 0x40));
    gmem_vm_destroy(device.vm);
    assert_int_equal(device.ended, 1);
    assert_int_equal(device.refs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner_is_told),           cmocka_unit_test(test_refused_commit_unrefs),
        cmocka_unit_test(test_callback_removes_itself), cmocka_unit_test(test_callback_moves_itself),
        cmocka_unit_test(test_whole_trees_go),          cmocka_unit_test(test_child_outlives_container),
        cmocka_unit_test(test_met_through_its_child),   cmocka_unit_test(test_vm_ends_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
