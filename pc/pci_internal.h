/* SPDX-License-Identifier: MIT */
/* pc/pci_internal.h - shared by the files of the PCI bus: pci.c, pci_bar.c, pci_ports.c. */
#ifndef PC_PCI_INTERNAL_H
#define PC_PCI_INTERNAL_H

#include "pci.h"

struct pci_bus {
    gmem_vm *vm;
    gmem_region *memory;
    gmem_region *io;
    gmem_region *system;
    const struct pc_hooks *hooks;
    struct pci_device *devices[256];
    struct pci_intx intx;
    unsigned logged; /* lines so far, up to PCI_LOG_MAX */

    uint32_t confadd;
    /* A doubleword access to CONFADD in the making: the bytes seen so far (0: none). */
    unsigned pieces;
    uint32_t partial;
};

/* Map and unmap the device's BARs as its registers say now. */
void pci_bars_update(struct pci_device *dev);
/* Unmap and give up all BARs. */
void pci_bars_release(struct pci_device *dev);

int pci_ports_place(struct pci_bus *bus) GMEM_MUST_CHECK;

#endif
