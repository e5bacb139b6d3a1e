/* SPDX-License-Identifier: MIT */
/*
 * pc/vapic.c - the APIC option ROM's port, and the alias that keeps the ROM's copy writable.
 *
 * Where the ROM is nobody says: the device looks where the processor that writes to the port executes, and there for the
 * ROM's header (Plug and Play BIOS Specification 1.0A, 3.1: at multiples of 2 KiB). Linux, Documentation/virt/kvm/api.rst,
 * KVM_X86_QUIRK_OUT_7E_INC_RIP: for this port the processor may be at the OUT or behind it; either is in the ROM.
 *
 * Invariant: first and last are where the alias is, and rom is it; NULL before there is any. A guest can have one alias, and
 * pays for moving it with an exit, as for a write to PAM.
 *
 * Runs under the machine's device lock, or before the processors run. That lock keeps others from changing the map between a look
 * at it and the commit.
 */
#include "vapic.h"

#include <errno.h>
#include <stdlib.h>

#include "device.h"
#include "place.h"

#define PORTS 2u
#define PRIORITY 1000

#define AREA_FIRST 0xc0000u /* where PAM rules what is seen, but for the firmware's own 64 KiB */
#define AREA_LAST 0xeffffu
#define HEADER_ALIGN 0x800u
#define HEADER_SIZE 3u
#define UNIT 512u
#define PAGE 0x1000u

struct vapic {
    struct pc_device device;
    struct pci_bus *bus;
    gmem_region *system, *ram;
    gmem_region *rom;
    uint64_t first, last;
    bool logged;
};

struct rom {
    uint64_t base, size;
};

static bool shows_ram(const struct vapic *vapic, const gmem_view *view, uint64_t addr)
{
    struct gmem_section section;

    return gmem_view_find(view, addr, &section) == 0 && section.first <= addr && section.region == vapic->ram &&
           section.offset + (addr - section.first) == addr;
}

/* The nearest ROM at or below addr that has it, and is RAM from its header on. */
static bool find_rom(const struct vapic *vapic, const gmem_view *view, uint64_t addr, struct rom *ret_rom)
{
    gmem_space *memory = pci_bus_processors(vapic->bus)->memory;

    if (addr < AREA_FIRST || addr > AREA_LAST || !shows_ram(vapic, view, addr))
        return false;
    for (uint64_t base = addr - addr % HEADER_ALIGN; base >= AREA_FIRST && shows_ram(vapic, view, base);
         base -= HEADER_ALIGN) {
        uint8_t header[HEADER_SIZE];
        uint64_t size;

        if (gmem_space_read(memory, base, GMEM_ATTRS_NONE, header, sizeof(header)) != GMEM_OK)
            return false;
        size = header[2] * (uint64_t)UNIT;
        if (header[0] == 0x55 && header[1] == 0xaa && addr - base < size && size <= AREA_LAST + 1 - base) {
            *ret_rom = (struct rom){.base = base, .size = size};
            return true;
        }
    }
    return false;
}

static int place_rom(struct vapic *vapic, uint64_t first, uint64_t last)
{
    gmem_vm *vm = vapic->device.vm;
    gmem_region *rom;
    int err = gmem_vm_begin(vm);

    if (err)
        return err;
    if (vapic->rom)
        err = gmem_region_remove(vapic->system, vapic->rom);
    if (!err)
        err = pc_place_alias(vapic->system, first, PRIORITY, "kvmvapic-rom", vapic->ram, first, last - first + 1, &rom);
    if (err) {
        gmem_vm_abort(vm);
        return err;
    }
    err = gmem_vm_commit(vm);
    gmem_region_unref(err ? rom : vapic->rom);
    if (err)
        return err;
    vapic->rom = rom;
    vapic->first = first;
    vapic->last = last;
    return 0;
}

static void log_once(struct vapic *vapic, const char *what, const char *why)
{
    if (vapic->logged)
        return;
    vapic->logged = true;
    pci_log(vapic->bus, "kvmvapic: %s: %s", what, why);
}

static void ignored(struct vapic *vapic, const char *why)
{
    log_once(vapic, "a write to port 0x7e is ignored", why);
}

static void announced(struct vapic *vapic, uint64_t word)
{
    const struct pci_processors *processors = pci_bus_processors(vapic->bus);
    uint64_t addr, first, last;
    struct rom rom;
    gmem_view *view;
    bool found;
    int err;

    if (!processors->memory || processors->executing(processors->opaque, &addr)) {
        ignored(vapic, "it can't be told which code it is from");
        return;
    }
    view = gmem_space_view(processors->memory);
    found = find_rom(vapic, view, addr, &rom);
    gmem_view_unref(view);
    if (!found || word >= rom.size) {
        ignored(vapic, found ? "its offset is outside of the option ROM" : "it is not from an option ROM in RAM");
        return;
    }
    first = rom.base - rom.base % PAGE;
    last = (rom.base + rom.size - 1) | (PAGE - 1);
    if (vapic->rom && vapic->first == first && vapic->last == last)
        return;
    err = place_rom(vapic, first, last);
    if (err)
        log_once(vapic, "the memory map can't show the option ROM as RAM", gmem_strerror(err));
}

static gmem_result port_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    *ret_value = UINT64_MAX;
    return GMEM_OK;
}

static gmem_result port_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)offset, (void)attrs;
    if (size == PORTS) /* which is at the first port, as it is not cut */
        announced(opaque, value);
    return GMEM_OK;
}

static const struct gmem_mmio_ops port_ops = {
    .read = port_read,
    .write = port_write,
    .endian = GMEM_ENDIAN_LITTLE,
    .valid = {.min = 1, .max = 2},
    .impl = {.min = 1, .max = 2},
};

int vapic_create(struct pci_bus *bus, gmem_region *system, gmem_region *ram, struct vapic **ret)
{
    struct vapic *vapic = calloc(1, sizeof(*vapic));
    int err;

    if (!vapic)
        return -ENOMEM;
    err = pc_device_init(&vapic->device, pci_bus_vm(bus), NULL);
    if (err) {
        free(vapic);
        return err;
    }
    vapic->bus = bus;
    vapic->system = system;
    vapic->ram = ram;
    err = pc_device_add(&vapic->device, pci_bus_io(bus), VAPIC_PORT, "kvmvapic", PORTS, &port_ops, NULL);
    if (err) {
        vapic_destroy(vapic);
        return err;
    }
    *ret = vapic;
    return 0;
}

void vapic_destroy(struct vapic *vapic)
{
    if (!vapic)
        return;
    gmem_region_unref(vapic->rom);
    pc_device_end(&vapic->device);
}
