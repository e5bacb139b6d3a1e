/* SPDX-License-Identifier: MIT */
/*
 * A PCI device for tests: 1 MiB of RAM behind a 64-bit BAR, which a guest can put anywhere, and an interrupt pin. Include
 * after pc-machine.h.
 */
#ifndef GMEM_TESTS_PC_RAM64_H
#define GMEM_TESTS_PC_RAM64_H

#include "pci.h"

#define RAM64_SIZE 0x100000u
#define RAM64_DEVFN PCI_DEVFN(5, 0)

struct ram64 {
    struct pci_device pci;
};

static inline void ram64_init(struct ram64 *device, struct pci_bus *bus)
{
    static const struct pci_ids ids = {.vendor = 0x1af4, .device = 0x7777, .class_device = 0x0500};
    gmem_region *region;
    gmem_ram *block;

    memset(device, 0, sizeof(*device));
    assert_int_equal(pci_device_init(&device->pci, bus, RAM64_DEVFN, "ram64", &ids), 0);
    assert_int_equal(gmem_ram_create_anon(pci_bus_vm(bus), "ram64", RAM64_SIZE, &block), 0);
    assert_int_equal(gmem_region_create_ram(pci_bus_vm(bus), "ram64", block, NULL, &region), 0);
    gmem_ram_unref(block);
    assert_int_equal(pci_device_add_bar(&device->pci, 0, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, region, RAM64_SIZE), 0);
    device->pci.config[PCI_INTERRUPT_PIN] = 1;
}

/* Point the BAR at addr, as firmware does: with decoding off. */
static inline void ram64_aim(struct bench *bench, uint64_t addr)
{
    cfg_write16(bench, RAM64_DEVFN, PCI_COMMAND, 0);
    cfg_write32(bench, RAM64_DEVFN, PCI_BASE_ADDRESS_0, (uint32_t)addr);
    cfg_write32(bench, RAM64_DEVFN, PCI_BASE_ADDRESS_0 + 4, (uint32_t)(addr >> 32));
    cfg_write16(bench, RAM64_DEVFN, PCI_COMMAND, PCI_COMMAND_MEMORY);
}

#endif
