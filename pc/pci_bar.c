/* SPDX-License-Identifier: MIT */
/*
 * pc/pci_bar.c - base address registers: where a device's registers and memory are, if anywhere.
 *
 * PCI Local Bus Specification 2.1, 6.2.5 (base addresses) and 6.2.5.2 (expansion ROM). A BAR is mapped while the
 * command register enables its kind (and bit 0 of the ROM's register the ROM), each BAR in a commit of its own:
 *
 *  - Nothing is mapped at address 0, nor where the BAR would reach the last byte of its address space: these are what an
 *    unprogrammed register and one that is being sized hold.
 *  - A mapping that a listener refuses (the kernel takes no memory slot there) leaves the BAR unmapped, with a log line.
 *    The register keeps what the guest wrote; the next write to it, or another address, tries again.
 *  - A BAR that is mapped may still be behind what has a higher priority, such as RAM. That is logged too.
 *
 * Runs under the machine's device lock, or before the processors run.
 */
#include "pci_internal.h"

#include <errno.h>
#include <string.h>

#define BAR_PRIORITY 1
#define ROM_ENABLE 0x1u

static unsigned register_of(unsigned bar)
{
    return bar == PCI_BAR_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * bar;
}

static gmem_region *container_of(const struct pci_device *dev, const struct pci_bar *bar)
{
    return bar->type & PCI_BAR_IO ? dev->bus->io : dev->bus->memory;
}

int pci_device_add_bar(struct pci_device *dev, unsigned bar, uint8_t type, gmem_region *region, uint64_t size)
{
    uint8_t *config = dev->config + register_of(bar);
    uint8_t *wmask = dev->wmask + register_of(bar);
    uint64_t mask = ~(size - 1);
    bool wide = type & PCI_BAR_MEM64;

    if (bar >= PCI_BAR_COUNT || dev->bars[bar].region || size < 4 || (size & (size - 1)) ||
        (!wide && size > UINT32_MAX / 2) || (wide && (bar >= PCI_BAR_ROM - 1 || (type & PCI_BAR_IO)))) {
        gmem_region_unref(region);
        return -EINVAL;
    }
    dev->bars[bar].region = region;
    dev->bars[bar].size = size;
    dev->bars[bar].type = type;
    pci_set32(wmask, (uint32_t)mask);
    if (wide)
        pci_set32(wmask + 4, (uint32_t)(mask >> 32));
    if (bar == PCI_BAR_ROM)
        wmask[0] = ROM_ENABLE;
    else
        config[0] = type;
    return 0;
}

/* Where the registers say that the BAR is, or PCI_UNMAPPED. */
static uint64_t decode(const struct pci_device *dev, unsigned n)
{
    const struct pci_bar *bar = &dev->bars[n];
    const uint8_t *config = dev->config + register_of(n);
    uint16_t command = pci_get16(dev->config + PCI_COMMAND);
    uint64_t address = pci_get32(config);
    uint64_t limit = UINT32_MAX;

    if (!(command & (bar->type & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        return PCI_UNMAPPED;
    if (n == PCI_BAR_ROM && !(config[0] & ROM_ENABLE))
        return PCI_UNMAPPED;
    if (bar->type & PCI_BAR_MEM64) {
        address |= (uint64_t)pci_get32(config + 4) << 32;
        limit = UINT64_MAX;
    } else if (bar->type & PCI_BAR_IO) {
        limit = UINT16_MAX;
    }
    address &= ~(bar->size - 1);
    if (!address || address > limit || limit - address <= bar->size - 1)
        return PCI_UNMAPPED;
    return address;
}

static void log_refusal(struct pci_device *dev, unsigned n, const char *what, uint64_t address, int err)
{
    struct pci_bus *bus = dev->bus;
    char reason[256];

    gmem_vm_reason(bus->vm, reason, sizeof(reason));
    pci_log(bus, "%s: BAR %u can't be %s 0x%llx (0x%llx bytes): %s", dev->name, n, what, (unsigned long long)address,
            (unsigned long long)dev->bars[n].size, reason[0] ? reason : gmem_strerror(err));
}

static void update(struct pci_device *dev, unsigned n)
{
    struct pci_bar *bar = &dev->bars[n];
    gmem_region *container = container_of(dev, bar);
    uint64_t wanted = decode(dev, n);
    gmem_view *before;
    int err;

    if (wanted == bar->address)
        return;
    if (bar->address != PCI_UNMAPPED) {
        err = gmem_region_remove(container, bar->region);
        if (err) {
            log_refusal(dev, n, "taken from", bar->address, err);
            return;
        }
        bar->address = PCI_UNMAPPED;
        pc_mapped(dev->bus->hooks, NULL);
    }
    if (wanted == PCI_UNMAPPED)
        return;
    before = pci_seen_now(dev->bus, bar->type & PCI_BAR_IO);
    err = gmem_region_add_priority(container, wanted, bar->region, BAR_PRIORITY);
    if (err) {
        log_refusal(dev, n, "mapped at", wanted, err);
    } else {
        bar->address = wanted;
        pc_mapped(dev->bus->hooks, NULL);
        pci_seen_log_covered(dev, n, before);
    }
    gmem_view_unref(before);
}

void pci_bars_update(struct pci_device *dev)
{
    for (unsigned n = 0; n < PCI_BAR_COUNT; n++) {
        if (dev->bars[n].region)
            update(dev, n);
    }
}

void pci_bars_release(struct pci_device *dev)
{
    for (unsigned n = 0; n < PCI_BAR_COUNT; n++) {
        struct pci_bar *bar = &dev->bars[n];

        /* A refusal to unmap leaves the region placed; it then lives until the vm ends. */
        if (bar->address != PCI_UNMAPPED && gmem_region_remove(container_of(dev, bar), bar->region))
            bar->address = PCI_UNMAPPED;
        gmem_region_unref(bar->region);
        memset(bar, 0, sizeof(*bar));
    }
}
