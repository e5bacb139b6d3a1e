/* SPDX-License-Identifier: MIT */
/*
 * maps.h - what the worked maps of documents are built with; scripts/doc-maps makes the programs around it.
 *
 * Each map is a function that runs on a vm of its own. Output is TAP, one case per map.
 */
#ifndef GMEM_TESTS_DOCS_MAPS_H
#define GMEM_TESTS_DOCS_MAPS_H

#include <gmem/gmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gmem_vm *vm;
static unsigned cases, failed_cases;
static bool failed;

static void must(int err)
{
    if (err != 0) {
        char reason[256];

        gmem_vm_reason(vm, reason, sizeof(reason));
        printf("Bail out! %s: %s\n", gmem_strerror(err), reason);
        exit(1);
    }
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static const struct gmem_mmio_ops ops = {.read = device_read, .write = device_write};

static inline gmem_region *new_container(const char *name, gmem_size size)
{
    gmem_region *region;

    must(gmem_region_create_container(vm, name, size, NULL, &region));
    return region;
}

static inline gmem_region *new_mmio(const char *name, uint64_t size)
{
    gmem_region *region;

    must(gmem_region_create_mmio(vm, name, GMEM_SIZE(size), &ops, NULL, NULL, &region));
    return region;
}

static inline gmem_region *new_ram(const char *name, uint64_t size)
{
    gmem_ram *ram;
    gmem_region *region;

    must(gmem_ram_create_anon(vm, name, size, &ram));
    must(gmem_region_create_ram(vm, name, ram, NULL, &region));
    gmem_ram_unref(ram);
    return region;
}

static inline gmem_region *new_rom(const char *name, uint64_t size)
{
    gmem_ram *ram;
    gmem_region *region;

    must(gmem_ram_create_anon(vm, name, size, &ram));
    must(gmem_region_create_rom(vm, name, ram, NULL, &region));
    gmem_ram_unref(ram);
    return region;
}

struct output {
    char *text;
    size_t len;
};

static int collect(void *opaque, const char *text, size_t len)
{
    struct output *output = opaque;
    char *grown = realloc(output->text, output->len + len + 1);

    if (!grown)
        return -1;
    memcpy(grown + output->len, text, len);
    output->text = grown;
    output->len += len;
    grown[output->len] = '\0';
    return 0;
}

static void show(const char *what, const char *text)
{
    printf("# %s\n", what);
    while (*text) {
        size_t len = strcspn(text, "\n");

        printf("#|%.*s\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

static void compare(const char *place, const struct output *output, const char *expected)
{
    if (output->text && strcmp(output->text, expected) == 0)
        return;
    failed = true;
    printf("# %s: the document and what is printed differ\n", place);
    show("the document:", expected);
    show("printed:", output->text ? output->text : "");
}

typedef int printer(gmem_vm *of, const struct gmem_print_options *options, gmem_print_fn *fn, void *opaque);

static void expect(printer *print, uint32_t flags, const char *place, const char *expected)
{
    const struct gmem_print_options options = {.struct_size = sizeof(options), .flags = flags};
    struct output output = {0};

    must(print(vm, &options, collect, &output));
    compare(place, &output, expected);
    free(output.text);
}

static inline void expect_flat(const char *place, const char *expected)
{
    expect(gmem_print_flat, 0, place, expected);
}

static inline void expect_tree(const char *place, const char *expected)
{
    expect(gmem_print_tree, 0, place, expected);
}

static inline void expect_json_flat(const char *place, const char *expected)
{
    expect(gmem_print_flat, GMEM_PRINT_JSON, place, expected);
}

static inline void expect_json_tree(const char *place, const char *expected)
{
    expect(gmem_print_tree, GMEM_PRINT_JSON, place, expected);
}

static void run_map(const char *title, void (*map)(void))
{
    must(gmem_vm_create(NULL, &vm));
    failed = false;
    map();
    gmem_vm_destroy(vm);
    printf("%sok %u %s\n", failed ? "not " : "", ++cases, title);
    failed_cases += failed;
}

static int finish(void)
{
    printf("1..%u\n", cases);
    return failed_cases != 0;
}

#endif
