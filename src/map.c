/* SPDX-License-Identifier: MIT */
/*
 * map.c - intervals of guest memory as host pointers: segments, and maps made of one segment.
 *
 *   a. Translating runs in one read section and uses one view (G2). Each piece with a region pins it, so that nothing found
 *      needs the section afterwards (G7).
 *   b. A piece is a part of one range, or of one gap. It has a host pointer exactly where an access in its direction would
 *      use host memory (gmem__range_reads_directly() and its like); everything else is left to gmem__access_piece(), which
 *      makes the accesses of gmem_space_rw(). So there is one set of rules.
 *   c. A bounce buffer is counted before anything is read (bounce.c), and cut where the bus cuts an access: its size depends
 *      on what is mapped, never on what else is.
 *   d. What is written through a pointer is marked for every client that has a bitmap of the block: one may have begun to
 *      log since the piece was found.
 */
#include "access.h"
#include "iommu.h"
#include <errno.h>
#include <gmem/map.h>
#include <stdlib.h>

/* Pin what is behind length bytes at addr, all in range, or (NULL) in none. In a read section. */
static void segment_fill(struct gmem_segment *segment, gmem_space *space, struct gmem_attrs attrs,
                         const struct gmem__range *range, uint64_t addr, uint64_t length, bool is_write)
{
    *segment = (struct gmem_segment){.addr = addr, .size = length, .space = space, .access = attrs};
    if (!range)
        return;
    gmem__region_pin(range->region);
    segment->region = range->region;
    segment->offset = range->offset + (addr - range->first);
    segment->attrs = range->attrs;
    if (is_write ? gmem__range_writes_directly(range) : gmem__range_reads_directly(range))
        segment->host = range->host + (addr - range->first);
}

/* A piece of at most length bytes at addr of range, an iommu region: what is behind it there. Returns its length. */
static uint64_t segment_behind(struct gmem_segment *segment, gmem_space *space, struct gmem_attrs attrs,
                               const struct gmem__range *range, uint64_t addr, uint64_t length, bool is_write)
{
    struct gmem__way way = {.space = space, .range = range, .addr = addr, .length = length};

    gmem__iommu_follow(&way, attrs, is_write ? GMEM_IOMMU_WRITE : GMEM_IOMMU_READ);
    if (way.denied) {
        segment_fill(segment, space, attrs, NULL, addr, way.length, is_write);
        segment->denied = GMEM_SEGMENT_READ | GMEM_SEGMENT_WRITE;
    } else {
        segment_fill(segment, way.space, attrs, way.range, way.addr, way.length, is_write);
        segment->addr = addr;
        segment->denied = (way.perm & GMEM_IOMMU_READ ? 0 : GMEM_SEGMENT_READ) |
                          (way.perm & GMEM_IOMMU_WRITE ? 0 : GMEM_SEGMENT_WRITE);
    }
    return way.length;
}

/* gmem_segments() of an interval that was checked. */
static size_t translate(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t size, bool is_write,
                        struct gmem_segment *segments, size_t room, uint64_t *ret_covered)
{
    uint64_t at = addr, left = size;
    const gmem_view *view;
    size_t count;

    gmem__rcu_enter();
    view = gmem__space_view(space);
    for (count = 0; left > 0 && count < room; count++) {
        const struct gmem__range *range = gmem__view_find(view, at);
        uint64_t until = at + (left - 1);

        if (range && range->first > at) {
            until = gmem__min(until, range->first - 1);
            range = NULL;
        } else if (range) {
            until = gmem__min(until, range->last);
        }
        if (range && range->region->kind == GMEM_KIND_IOMMU)
            until = at + (segment_behind(&segments[count], space, attrs, range, at, until - at + 1, is_write) - 1);
        else
            segment_fill(&segments[count], space, attrs, range, at, until - at + 1, is_write);
        left -= until - at + 1;
        at = until + 1;
    }
    gmem__access_leave();
    *ret_covered = size - left;
    return count;
}

int gmem_segments(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t size, bool is_write,
                  struct gmem_segment *segments, size_t room, size_t *ret_count, uint64_t *ret_covered)
{
    if (!space || !segments || room == 0 || !ret_count || !ret_covered)
        return -EINVAL;
    if (size > 0 && gmem__range_overflows(addr, size - 1))
        return -EOVERFLOW;
    *ret_count = translate(space, addr, attrs, size, is_write, segments, room, ret_covered);
    return 0;
}

/* size bytes of a piece from skip on, and what is beyond it as unassigned. */
static gmem_result segment_access(const struct gmem_segment *segment, uint64_t skip, uint64_t size,
                                  struct gmem__access *access)
{
    uint64_t inside = skip < segment->size ? gmem__min(size, segment->size - skip) : 0;
    const struct gmem__range range = {
        .first = segment->addr,
        .last = segment->addr + (segment->size - 1),
        .offset = segment->offset,
        .region = segment->region,
        .host = segment->region ? gmem__region_host(segment->region, segment->offset) : NULL,
        .attrs = segment->attrs | GMEM_RANGE_LOG_MASK, /* invariant d */
        .ops = segment->region ? segment->region->ops : NULL,
        .opaque = segment->region ? segment->region->opaque : NULL,
    };
    bool denied = segment->denied & (access->what == GMEM__READ ? GMEM_SEGMENT_READ : GMEM_SEGMENT_WRITE);
    gmem_result result = GMEM_OK;

    access->space = segment->space;
    access->attrs = segment->access;
    /* The reference keeps the region; the section is what callbacks run in. */
    gmem__rcu_enter();
    if (inside > 0 && !denied)
        result |= gmem__access_piece(access, segment->region ? &range : NULL, segment->addr + skip, inside);
    else if (inside > 0 && access->what == GMEM__READ)
        memset(access->out, segment->space->fill, inside);
    if (inside > 0 && denied)
        result |= GMEM_RESULT_DENIED;
    if (size > inside) {
        if (access->what == GMEM__READ)
            access->out += inside;
        result |= gmem__access_piece(access, NULL, 0, size - inside);
    }
    gmem__access_leave();
    return result;
}

gmem_result gmem_segment_read(const struct gmem_segment *segment, uint64_t skip, void *buf, uint64_t size)
{
    return segment_access(segment, skip, size, &(struct gmem__access){.what = GMEM__READ, .out = buf});
}

gmem_result gmem_segment_write(const struct gmem_segment *segment, uint64_t skip, const void *buf, uint64_t size)
{
    return segment_access(segment, skip, size, &(struct gmem__access){.what = GMEM__WRITE, .in = buf});
}

/* Give one piece back, of which the first written bytes were written through host. */
static void segment_release(struct gmem_segment *segment, uint64_t written)
{
    gmem_region *region = segment->region;

    if (!region)
        return;
    if (segment->host && written > 0)
        gmem__ram_mark_dirty(region->ram, GMEM__LOG_ALL, segment->offset, written);
    segment->host = NULL;
    segment->region = NULL;
    gmem__region_unpin(region);
}

void gmem_segments_release(struct gmem_segment *segments, size_t count, uint64_t written)
{
    uint64_t here;
    size_t i;

    for (i = 0; segments && i < count; i++) {
        here = gmem__min(written, segments[i].size);
        segment_release(&segments[i], here);
        written -= here;
    }
}

/* --- maps ---------------------------------------------------------------------------------------------------------- */

/* How much of a piece one bounce buffer takes. The rest then makes the accesses that it would have made behind this. */
static uint64_t bounce_size(const struct gmem_segment *segment)
{
    uint64_t size = GMEM_BOUNCE_SIZE;

    const gmem_region *region = segment->region;

    /* The bus cuts at multiples of its widest access, of a device that takes unaligned ones counted from where it began. */
    if (region && (region->kind == GMEM_KIND_RAM_DEVICE || (region->ops && !region->ops->is.valid.unaligned)))
        size -= segment->offset % 8;
    return gmem__min(segment->size, size);
}

/* Put a bounce buffer before map->segment, which has no host memory for its direction. */
static int map_bounce(gmem_space *space, struct gmem_map *map)
{
    if (!gmem__bounce_take(&space->bounce))
        return -EAGAIN;
    map->size = bounce_size(&map->segment);
    /* Zeroed also for writing: what a device leaves unwritten must not show the guest the host's memory. */
    map->host = calloc(1, map->size);
    if (!map->host) {
        gmem__bounce_give(&space->bounce);
        return -ENOMEM;
    }
    map->bounced = true;
    if (!map->is_write)
        map->result = gmem_segment_read(&map->segment, 0, map->host, map->size);
    return 0;
}

int gmem_map(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t size, bool is_write,
             struct gmem_map *ret_map)
{
    struct gmem_map map = {.is_write = is_write, .space = space};
    uint64_t covered;
    int err = 0;

    if (!space || !ret_map || size == 0)
        return -EINVAL;
    if (gmem__range_overflows(addr, size - 1))
        return -EOVERFLOW;
    (void)translate(space, addr, attrs, size, is_write, &map.segment, 1, &covered);
    map.host = map.segment.host;
    map.size = map.segment.size;
    if (!map.host)
        err = map_bounce(space, &map);
    if (err) {
        segment_release(&map.segment, 0);
        return err;
    }
    *ret_map = map;
    return 0;
}

gmem_result gmem_unmap(struct gmem_map *map, uint64_t written)
{
    gmem_result result = GMEM_OK;

    if (!map || !map->host)
        return GMEM_OK;
    written = map->is_write ? gmem__min(written, map->size) : 0;
    if (map->bounced) {
        if (written > 0)
            result = gmem_segment_write(&map->segment, 0, map->host, written);
        free(map->host);
        map->host = NULL;
        segment_release(&map->segment, 0);
        /* Last: a waiter that is called may end what map is part of. */
        gmem__bounce_give(&map->space->bounce);
    } else {
        map->host = NULL;
        segment_release(&map->segment, written);
    }
    return result;
}

int gmem_map_wait(gmem_space *space, struct gmem_map_waiter *waiter)
{
    return !space || !waiter || !waiter->fn ? -EINVAL : gmem__bounce_wait(&space->bounce, waiter);
}

bool gmem_map_wait_cancel(gmem_space *space, struct gmem_map_waiter *waiter)
{
    return space && waiter && gmem__bounce_cancel(&space->bounce, waiter);
}
