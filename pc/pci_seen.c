/* SPDX-License-Identifier: MIT */
/*
 * pc/pci_seen.c - what processors see of the changes that configuration cycles make, and a log line where that is hardly what
 * the guest wants: a BAR behind something else, and code that takes away the ROM that it runs from.
 *
 * No state of its own: the view from before a change, held over it, is compared with the one after it. The device lock, under
 * which all of this runs, keeps others from changing the map in between.
 */
#include "pci_internal.h"

gmem_view *pci_seen_now(const struct pci_bus *bus, bool io)
{
    gmem_space *space = io ? bus->processors.ports : bus->processors.memory;

    return space ? gmem_space_view(space) : NULL;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool same_at(const struct gmem_section *a, const struct gmem_section *b, uint64_t addr)
{
    return a->region == b->region && a->offset + (addr - a->first) == b->offset + (addr - b->first);
}

/* The first piece of what both views show from first to last, which *ret_piece then is, cut to that. */
static bool find_unchanged(const gmem_view *before, const gmem_view *after, uint64_t first, uint64_t last,
                           struct gmem_section *ret_piece)
{
    for (;;) {
        struct gmem_section was, is;
        uint64_t from, to;

        if (gmem_view_find(before, first, &was) || gmem_view_find(after, first, &is))
            return false;
        from = larger(first, larger(was.first, is.first));
        to = smaller(last, smaller(was.last, is.last));
        if (from > last)
            return false;
        if (from <= to && same_at(&was, &is, from)) {
            is.first = from;
            is.last = to;
            *ret_piece = is;
            return true;
        }
        if (to == last)
            return false;
        first = to + 1;
    }
}

void pci_seen_log_covered(const struct pci_device *dev, unsigned bar, const gmem_view *before)
{
    uint64_t first = dev->bars[bar].address, last = first + (dev->bars[bar].size - 1);
    gmem_view *after = pci_seen_now(dev->bus, dev->bars[bar].type & PCI_BAR_IO);
    struct gmem_section piece, more;

    if (before && after && find_unchanged(before, after, first, last, &piece))
        pci_log(dev->bus, "%s: BAR %u at 0x%llx-0x%llx lies over %s, which stays visible at 0x%llx-0x%llx%s", dev->name,
                bar, (unsigned long long)first, (unsigned long long)last, gmem_region_name(piece.region),
                (unsigned long long)piece.first, (unsigned long long)piece.last,
                piece.last < last && find_unchanged(before, after, piece.last + 1, last, &more) ? " (and there is more)"
                                                                                                : "");
    gmem_view_unref(after);
}

static bool section_at(const gmem_view *view, uint64_t addr, struct gmem_section *ret_section)
{
    return gmem_view_find(view, addr, ret_section) == 0 && ret_section->first <= addr;
}

static bool is_rom(const struct gmem_section *section)
{
    return gmem_region_kind(section->region) == GMEM_KIND_ROM ||
           (section->attrs & (GMEM_RANGE_READONLY | GMEM_RANGE_ROMD));
}

void pci_seen_log_own_rom(const struct pci_device *dev, const gmem_view *before)
{
    const struct pci_processors *processors = &dev->bus->processors;
    gmem_view *after = pci_seen_now(dev->bus, false);
    struct gmem_section was, is;
    uint64_t addr;

    if (before && after && before != after && processors->executing(processors->opaque, &addr) == 0 &&
        section_at(before, addr, &was) && is_rom(&was) && !(section_at(after, addr, &is) && same_at(&was, &is, addr)))
        pci_log(dev->bus, "%s: the guest switched off the ROM that it runs from, at 0x%llx", dev->name,
                (unsigned long long)addr);
    gmem_view_unref(after);
}
