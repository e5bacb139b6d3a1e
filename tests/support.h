/* SPDX-License-Identifier: MIT */
/*
 * support.h - making small topologies in unit tests: every function fails the test if the library refuses.
 */
#ifndef GMEM_TESTS_SUPPORT_H
#define GMEM_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gmem/gmem.h>

#define OK(call) assert_int_equal((call), 0)
#define REFUSED(err, call) assert_int_equal((call), -(err))

static inline gmem_vm *make_vm(void)
{
    gmem_vm *vm = NULL;

    OK(gmem_vm_create(NULL, &vm));
    return vm;
}

static inline gmem_region *make_container(gmem_vm *vm, const char *name, gmem_size size)
{
    gmem_region *region = NULL;

    OK(gmem_region_create_container(vm, name, size, NULL, &region));
    return region;
}

/* A region on a RAM block of its own, whose id is the region's name. */
static inline gmem_region *make_ram(gmem_vm *vm, const char *name, uint64_t size)
{
    gmem_region *region = NULL;
    gmem_ram *ram = NULL;

    OK(gmem_ram_create_anon(vm, name, size, &ram));
    OK(gmem_region_create_ram(vm, name, ram, NULL, &region));
    gmem_ram_unref(ram);
    return region;
}

static inline gmem_region *make_rom(gmem_vm *vm, const char *name, uint64_t size)
{
    gmem_region *region = NULL;
    gmem_ram *ram = NULL;

    OK(gmem_ram_create_anon(vm, name, size, &ram));
    OK(gmem_region_create_rom(vm, name, ram, NULL, &region));
    gmem_ram_unref(ram);
    return region;
}

static inline gmem_result silent_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                      uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static inline gmem_result silent_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                       uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static inline struct gmem_mmio_ops silent_ops(void)
{
    struct gmem_mmio_ops ops;

    memset(&ops, 0, sizeof(ops));
    ops.read = silent_read;
    ops.write = silent_write;
    return ops;
}

static inline gmem_region *make_mmio(gmem_vm *vm, const char *name, gmem_size size)
{
    struct gmem_mmio_ops ops = silent_ops();
    gmem_region *region = NULL;

    OK(gmem_region_create_mmio(vm, name, size, &ops, NULL, NULL, &region));
    return region;
}

static inline gmem_region *make_romd(gmem_vm *vm, const char *name, uint64_t size)
{
    struct gmem_mmio_ops ops = silent_ops();
    gmem_region *region = NULL;
    gmem_ram *ram = NULL;

    OK(gmem_ram_create_anon(vm, name, size, &ram));
    OK(gmem_region_create_romd(vm, name, ram, &ops, NULL, NULL, &region));
    gmem_ram_unref(ram);
    return region;
}

static inline gmem_region *make_alias(gmem_vm *vm, const char *name, gmem_region *target, uint64_t offset,
                                      gmem_size size)
{
    gmem_region *region = NULL;

    OK(gmem_region_create_alias(vm, name, target, offset, size, NULL, &region));
    return region;
}

static inline gmem_space *make_space(gmem_vm *vm, const char *name, gmem_region *root)
{
    gmem_space *space = NULL;

    OK(gmem_space_create(vm, name, root, NULL, &space));
    return space;
}

/* A growing text. */
struct text {
    char *chars;
    size_t length;
};

static inline void text_add(struct text *text, const char *more)
{
    size_t length = strlen(more);

    text->chars = realloc(text->chars, text->length + length + 1);
    assert_non_null(text->chars);
    memcpy(text->chars + text->length, more, length + 1);
    text->length += length;
}

static inline int view_line(void *opaque, const struct gmem_section *section)
{
    char line[400];

    snprintf(line, sizeof(line), "%llx-%llx %s+%llx%s%s%s\n", (unsigned long long)section->first,
             (unsigned long long)section->last, gmem_region_name(section->region), (unsigned long long)section->offset,
             section->attrs & GMEM_RANGE_READONLY ? " ro" : "", section->attrs & GMEM_RANGE_NONVOLATILE ? " nv" : "",
             section->attrs & GMEM_RANGE_ROMD ? " romd" : "");
    text_add(opaque, line);
    return 0;
}

/* What a space shows, one line a range: first-last name+offset [ro] [nv] [romd]. */
static inline void check_view(gmem_space *space, const char *expected)
{
    gmem_view *view = gmem_space_view(space);
    struct text text = {NULL, 0};

    text_add(&text, "");
    OK(gmem_view_foreach(view, view_line, &text));
    gmem_view_unref(view);
    assert_string_equal(text.chars, expected);
    free(text.chars);
}

/* The latest refusal is err and its text has all of part in it. */
static inline void check_reason(gmem_vm *vm, int err, const char *part)
{
    char reason[512];

    assert_int_equal(gmem_vm_reason(vm, reason, sizeof(reason)), -err);
    if (!strstr(reason, part))
        fail_msg("\"%s\" is not in the reason \"%s\"", part, reason);
}

#endif
