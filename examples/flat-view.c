/* SPDX-License-Identifier: MIT */
/*
 * flat-view.c - build a small map and print what is seen at each address.
 * pkg-config: gmem
 *
 * 64 KiB of RAM, and a device of 256 bytes placed over it at 0x8000 with a higher priority. Exit status 0 means that
 * the view has the three ranges it should have.
 */
#include <gmem/gmem.h>
#include <stdio.h>
#include <stdlib.h>

static void must(int err)
{
    if (err != 0) {
        fprintf(stderr, "flat-view: %s\n", gmem_strerror(err));
        exit(1);
    }
}

static gmem_result reads(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static gmem_result writes(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static int show(void *opaque, const struct gmem_section *section)
{
    (void)opaque;
    printf("%06llx-%06llx %s\n", (unsigned long long)section->first, (unsigned long long)section->last,
           gmem_region_name(section->region));
    return 0;
}

int main(void)
{
    static const struct gmem_mmio_ops ops = {.read = reads, .write = writes};
    gmem_vm *vm;
    gmem_ram *memory;
    gmem_region *system, *ram, *device;
    gmem_space *space;

    must(gmem_vm_create(NULL, &vm));
    must(gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &system));
    must(gmem_ram_create_anon(vm, "ram", 0x10000, &memory));
    must(gmem_region_create_ram(vm, "ram", memory, NULL, &ram));
    must(gmem_region_create_mmio(vm, "device", GMEM_SIZE(0x100), &ops, NULL, NULL, &device));
    must(gmem_region_add(system, 0, ram));
    must(gmem_region_add_priority(system, 0x8000, device, 1));
    must(gmem_space_create(vm, "memory", system, NULL, &space));

    gmem_view *view = gmem_space_view(space);
    size_t count = gmem_view_count(view);

    gmem_view_foreach(view, show, NULL);
    gmem_view_unref(view);
    gmem_vm_destroy(vm); /* frees everything that belongs to it */
    return count == 3 ? 0 : 1;
}
