/* SPDX-License-Identifier: MIT */
/* pc/pci_internal.h - shared by the files of the PCI bus: pci.c, pci_bar.c, pci_ports.c, pci_seen.c. */
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
    struct pci_processors processors;
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

/* What processors see now of memory or ports, with a reference of the caller's. NULL: there are none to ask. */
gmem_view *pci_seen_now(const struct pci_bus *bus, bool io) GMEM_MUST_CHECK;
/* Log it if what was seen before the BAR was mapped, in view before (may be NULL), still is where the BAR is. */
void pci_seen_log_covered(const struct pci_device *dev, unsigned bar, const gmem_view *before);
/* Log it if the processor that makes the access ran from ROM in view before (may be NULL), which is not there any more. */
void pci_seen_log_own_rom(const struct pci_device *dev, const gmem_view *before);

int pci_ports_place(struct pci_bus *bus) GMEM_MUST_CHECK;

#endif
