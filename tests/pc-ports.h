/* SPDX-License-Identifier: MIT */
/*
 * A space of ports, and one of memory with RAM at 0 to 1 MiB, for tests of the PC's devices: accesses are made as a guest makes
 * them. Include after cmocka.h.
 */
#ifndef GMEM_TESTS_PC_PORTS_H
#define GMEM_TESTS_PC_PORTS_H

#include <stdatomic.h>

#include <gmem/gmem.h>

#include "irq.h"

#define PC_RAM_SIZE (UINT64_C(1) << 20)

struct ports {
    gmem_vm *vm;
    gmem_region *io, *system;
    gmem_space *space, *memory;
};

static inline void ports_open(struct ports *ports)
{
    const struct gmem_space_options ones = {.struct_size = sizeof(ones), .unassigned_ones = true};
    gmem_ram *block;
    gmem_region *ram;

    assert_int_equal(gmem_vm_create(NULL, &ports->vm), 0);
    assert_int_equal(gmem_region_create_container(ports->vm, "io", gmem_size_of(0x10000), NULL, &ports->io), 0);
    assert_int_equal(gmem_region_create_container(ports->vm, "system", GMEM_SIZE_ALL, NULL, &ports->system), 0);
    assert_int_equal(gmem_ram_create_anon(ports->vm, "ram", PC_RAM_SIZE, &block), 0);
    assert_int_equal(gmem_region_create_ram(ports->vm, "ram", block, NULL, &ram), 0);
    gmem_ram_unref(block);
    assert_int_equal(gmem_region_add(ports->system, 0, ram), 0);
    gmem_region_unref(ram);
    assert_int_equal(gmem_space_create(ports->vm, "I/O", ports->io, &ones, &ports->space), 0);
    assert_int_equal(gmem_space_create(ports->vm, "memory", ports->system, NULL, &ports->memory), 0);
}

static inline void ports_close(struct ports *ports)
{
    gmem_space_destroy(ports->space);
    gmem_space_destroy(ports->memory);
    gmem_region_unref(ports->io);
    gmem_region_unref(ports->system);
    gmem_vm_destroy(ports->vm);
}

static inline uint8_t inb(struct ports *ports, uint16_t port)
{
    uint8_t value;

    assert_int_equal(gmem_ld8(ports->space, port, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static inline void outb(struct ports *ports, uint16_t port, uint8_t value)
{
    assert_int_equal(gmem_st8(ports->space, port, GMEM_ATTRS_NONE, value), GMEM_OK);
}

/* The region that answers at port has this name. */
static inline void assert_port(struct ports *ports, uint16_t port, const char *name)
{
    struct gmem_section section;

    assert_int_equal(gmem_space_lookup(ports->space, port, &section), 0);
    assert_string_equal(gmem_region_name(section.region), name);
    gmem_section_release(&section);
}

/* A wire that remembers. Atomic: a device's own thread may drive it. */
struct wire {
    atomic_int level;
    atomic_uint rises;
};

static inline void wire_set(void *opaque, int level)
{
    struct wire *wire = opaque;

    if (atomic_exchange(&wire->level, level) == 0 && level != 0)
        atomic_fetch_add(&wire->rises, 1);
}

static inline struct pc_irq wire_irq(struct wire *wire)
{
    return (struct pc_irq){.set = wire_set, .opaque = wire};
}

#endif
