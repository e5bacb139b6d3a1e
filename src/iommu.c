/* SPDX-License-Identifier: MIT */
/*
 * iommu.c - following an address through iommu regions to where an access goes.
 *
 *   a. A device may answer anything, also because its guest made it: an entry is looked at before it is used, and what makes
 *      no sense is denied. Every step shortens what holds to the page of the entry, and there are at most GMEM_IOMMU_CHAIN_MAX.
 *   b. Nothing is remembered, and no lock is held in the callback (G6).
 *
 * Runs in an RCU read section, which keeps the ranges in place that were found on the way.
 */
#include "device.h"
#include "iommu.h"
#include <errno.h>
#include <stdlib.h>

/* Make way what is found in space at addr, for at most length bytes. */
static void enter_space(struct gmem__way *way, gmem_space *space, uint64_t addr)
{
    const struct gmem__range *range = gmem__view_find(gmem__space_view(space), addr);
    uint64_t last = addr + (way->length - 1);

    way->space = space;
    way->addr = addr;
    way->range = NULL;
    if (range && range->first > addr) {
        last = gmem__min(last, range->first - 1);
    } else if (range) {
        last = gmem__min(last, range->last);
        way->range = range;
    }
    way->length = last - addr + 1;
}

/* One iommu region. False: denied. */
static bool pass(struct gmem__way *way, struct gmem_attrs attrs, unsigned want)
{
    const struct gmem__range *range = way->range;
    const struct gmem__iommu *iommu = range->opaque;
    uint64_t offset = range->offset + (way->addr - range->first), mask = iommu->ops.page_size - 1;
    struct gmem_iommu_entry entry = {0};
    gmem_vm *vm = range->region->vm;
    bool refused = true;

    /* A device that comes back to its own translation, by tables that its guest made, nests no deeper than others. */
    if (gmem__call_begin()) {
        refused = iommu->ops.translate(iommu->opaque, offset, want, attrs, &entry);
        gmem__call_end();
    }
    if (!refused && gmem__iommu_page_ok(iommu, entry.addr_mask))
        mask = entry.addr_mask;
    else
        refused = true;
    /* All that holds of what is denied, too: the next page is asked for anew. */
    way->length = gmem__min(way->length - 1, mask - (offset & mask)) + 1;
    way->perm &= entry.perm;
    if (refused || !entry.target || entry.target->vm != vm || (want & ~entry.perm))
        return false;
    enter_space(way, entry.target, (entry.translated & ~mask) | (offset & mask));
    return true;
}

void gmem__iommu_follow(struct gmem__way *way, struct gmem_attrs attrs, unsigned want)
{
    unsigned steps;

    way->perm = GMEM_IOMMU_READ | GMEM_IOMMU_WRITE;
    way->denied = false;
    for (steps = 0; !way->denied && way->range && way->range->region->kind == GMEM_KIND_IOMMU; steps++) {
        if ((want & GMEM_IOMMU_WRITE) && (way->range->attrs & GMEM_RANGE_READONLY))
            return;
        way->denied = steps == GMEM_IOMMU_CHAIN_MAX || !pass(way, attrs, want);
    }
}

int gmem_space_translate(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t size, bool is_write,
                         struct gmem_translation *ret_translation)
{
    struct gmem_translation found = {0};
    struct gmem__way way = {.length = size};

    if (!space || !ret_translation || size == 0)
        return -EINVAL;
    if (gmem__range_overflows(addr, size - 1))
        return -EOVERFLOW;
    gmem__rcu_enter();
    enter_space(&way, space, addr);
    gmem__iommu_follow(&way, attrs, is_write ? GMEM_IOMMU_WRITE : GMEM_IOMMU_READ);
    if (!way.denied && way.range) {
        gmem__region_pin(way.range->region);
        gmem__range_section(way.range, way.space, &found.section);
    }
    gmem__access_leave();
    if (way.denied)
        return -EACCES;
    found.space = way.space;
    found.addr = way.addr;
    found.size = way.length;
    found.perm = way.perm;
    *ret_translation = found;
    return 0;
}
