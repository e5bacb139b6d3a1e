/* SPDX-License-Identifier: MIT */
/*
 * flat-view.c - 64 KiB of RAM, ROM laid over it at 0x8000: what is seen at each address?
 * pkg-config: gmem
 */
#include <gmem/gmem.h>
#include <stdio.h>

static int show(void *opaque, const struct gmem_section *section)
{
    (void)opaque;
    printf("%06llx-%06llx %s\n", (unsigned long long)section->first, (unsigned long long)section->last,
           gmem_region_name(section->region));
    return 0;
}

int main(void)
{
    gmem_region *system, *ram, *rom;
    gmem_ram *memory, *image;
    gmem_space *space;
    gmem_view *view;
    gmem_vm *vm;
    size_t ranges;

    if (gmem_vm_create(NULL, &vm) || gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &system) ||
        gmem_ram_create_anon(vm, "ram", 0x10000, &memory) || gmem_ram_create_anon(vm, "rom", 0x1000, &image) ||
        gmem_region_create_ram(vm, "ram", memory, NULL, &ram) || gmem_region_create_rom(vm, "rom", image, NULL, &rom) ||
        gmem_region_add(system, 0, ram) || gmem_region_add_priority(system, 0x8000, rom, 1) ||
        gmem_space_create(vm, "memory", system, NULL, &space))
        return 1;
    view = gmem_space_view(space);
    ranges = gmem_view_count(view);
    gmem_view_foreach(view, show, NULL);
    gmem_view_unref(view);
    gmem_vm_destroy(vm);        /* frees everything that belongs to it */
    return ranges == 3 ? 0 : 1; /* RAM, ROM, the rest of the RAM */
}
