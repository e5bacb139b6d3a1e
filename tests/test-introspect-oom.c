/* SPDX-License-Identifier: MIT */
/*
 * Printing when memory runs out: every allocation of the printers fails once, in turn. Each time nothing is printed, the
 * call says -ENOMEM, nothing leaks (AddressSanitizer), and the next call prints all.
 */
#include "introspect.h"
#include "ram.h"
#include "support.h"
#include <errno.h>

static size_t allocations, fail_at;

static bool fails(void)
{
    return ++allocations == fail_at;
}

static void *failing_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

static int failing_grow(void **array, size_t *room, size_t count, size_t size)
{
    return fails() ? -ENOMEM : gmem__grow(array, room, count, size);
}

/* The printers as they are, but for whom they ask for memory. */
#define calloc failing_calloc
#define gmem__grow failing_grow
#include "../src/introspect.c"
#include "../src/introspect_dispatch.c"
#include "../src/introspect_flat.c"
#include "../src/introspect_json.c"
#include "../src/introspect_tree.c"
#undef calloc
#undef gmem__grow

struct output {
    char text[8192];
    size_t len;
};

static int collect(void *opaque, const char *text, size_t len)
{
    struct output *output = opaque;

    assert_true(output->len + len < sizeof(output->text));
    memcpy(output->text + output->len, text, len);
    output->len += len;
    output->text[output->len] = '\0';
    return 0;
}

static int print_form(gmem_vm *vm, bool flat, uint32_t flags, struct output *output)
{
    struct gmem_print_options options = {.struct_size = sizeof(options), .flags = flags};

    output->len = 0;
    output->text[0] = '\0';
    return flat ? gmem_print_flat(vm, &options, collect, output) : gmem_print_tree(vm, &options, collect, output);
}

static void fail_each(gmem_vm *vm, bool flat, uint32_t flags)
{
    static struct output whole, output;
    int err;

    fail_at = 0;
    OK(print_form(vm, flat, flags, &whole));
    assert_true(whole.len > 0);
    for (size_t n = 1;; n++) {
        allocations = 0;
        fail_at = n;
        err = print_form(vm, flat, flags, &output);
        if (err == 0)
            break;
        assert_int_equal(err, -ENOMEM);
        assert_int_equal(output.len, 0);
        fail_at = 0;
        OK(print_form(vm, flat, flags, &output));
        assert_string_equal(output.text, whole.text);
    }
    /* It ended because there was nothing left to fail. */
    assert_true(allocations < fail_at && allocations > 0);
    assert_string_equal(output.text, whole.text);
}

static void test_no_memory(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL), *ram = make_ram(vm, "ram", 0x4000);

    (void)state;
    OK(gmem_region_add(root, 0, make_alias(vm, "low", ram, 0, GMEM_SIZE(0x1000))));
    OK(gmem_region_add(root, 0x2000, make_alias(vm, "high", ram, 0x1000, GMEM_SIZE(0x2000))));
    OK(gmem_region_add(root, 0x8000, make_mmio(vm, "device", GMEM_SIZE(0x10))));
    make_space(vm, "memory", root);
    make_space(vm, "cpu", root);
    make_space(vm, "bus", make_container(vm, "empty", GMEM_SIZE_ALL));
    fail_each(vm, false, 0);
    fail_each(vm, true, 0);
    fail_each(vm, false, GMEM_PRINT_JSON);
    fail_each(vm, true, GMEM_PRINT_JSON);
    fail_each(vm, true, GMEM_PRINT_DISPATCH);
    gmem_vm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_memory)};

    return cmocka_run_group_tests_name("introspect-oom", tests, NULL, NULL);
}
