/* SPDX-License-Identifier: MIT */
/* iommu.h - what an iommu region has besides: its callbacks and who hears of changes. */
#ifndef GMEM_SRC_IOMMU_H
#define GMEM_SRC_IOMMU_H

#include "vm.h"
#include <gmem/iommu.h>

struct gmem__iommu_node;
struct gmem__iommu_call;

/* region->opaque of an iommu region. */
struct gmem__iommu {
    struct gmem_iommu_ops ops; /* immutable, like opaque; page_size and indexes are not 0 */
    void *opaque;

    pthread_mutex_t mutex; /* for moments; guards what is below */
    pthread_cond_t called; /* calls has one less */
    struct gmem__iommu_node *first, *last;
    struct gmem__iommu_call *calls; /* that run */
};

/* Of ops that were checked. -ENOMEM. end is for one that nobody uses: notifiers left are forgotten. */
int gmem__iommu_new(const struct gmem_iommu_ops *ops, void *opaque, struct gmem__iommu **ret_iommu) GMEM_MUST_CHECK;
void gmem__iommu_end(struct gmem__iommu *iommu);

struct gmem__range;

/* An address on its way through iommu regions. */
struct gmem__way {
    gmem_space *space;
    const struct gmem__range *range; /* that addr is in; NULL: none */
    uint64_t addr;                   /* in space */
    uint64_t length;                 /* bytes, at least 1, for which this holds */
    uint32_t perm;                   /* of all that was passed */
    bool denied;                     /* the rest is of no meaning, but for length */
};

/*
 * From an iommu region that way is in, to what is none; or to one in a readonly range, where the wish is to write. In a read
 * section. way has space, range, addr and length.
 */
void gmem__iommu_follow(struct gmem__way *way, struct gmem_attrs attrs, unsigned want);

static inline bool gmem__iommu_mask_ok(uint64_t mask)
{
    return (mask & (mask + 1)) == 0;
}

/* Whether a translation's mask is of a page that there can be: else it is of the smallest, and not translated. */
static inline bool gmem__iommu_page_ok(const struct gmem__iommu *iommu, uint64_t mask)
{
    return gmem__iommu_mask_ok(mask) && mask >= iommu->ops.page_size - 1;
}

#endif
