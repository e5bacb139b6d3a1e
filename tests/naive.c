/* SPDX-License-Identifier: MIT */
/*
 * The naive model: see naive.h. What is at an address is found by walking down from the root for
 * that one address; a view by doing so at every address where anything shown anywhere begins or
 * ends, and joining what belongs together. One thread; no state but what is passed in.
 */
#include "naive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool naive_agrees(unsigned errors, int err)
{
    static const struct {
        unsigned bit;
        int err;
    } map[] = {
        {NAIVE_EINVAL, -EINVAL},       {NAIVE_EBUSY, -EBUSY},   {NAIVE_ELOOP, -ELOOP},
        {NAIVE_EOVERFLOW, -EOVERFLOW}, {NAIVE_ENOENT, -ENOENT}, {NAIVE_EOPNOTSUPP, -EOPNOTSUPP},
        {NAIVE_ERANGE, -ERANGE},       {NAIVE_EEXIST, -EEXIST},
    };

    if (!errors)
        return err == 0;
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (errors & map[i].bit && err == map[i].err)
            return true;
    }
    return false;
}

static bool too_far(uint64_t first, uint64_t size_last)
{
    return first > UINT64_MAX - size_last;
}

static bool has_memory(const struct naive_region *region)
{
    return region->kind == GMEM_KIND_RAM || region->kind == GMEM_KIND_ROM || region->kind == GMEM_KIND_ROMD;
}

/* Offsets at which something that is or might be shown begins. */
struct edges {
    uint64_t *at;
    size_t count;
    size_t room;
};

static void edge(struct edges *edges, uint64_t at)
{
    if (edges->count == edges->room) {
        edges->room = edges->room ? 2 * edges->room : 64;
        edges->at = realloc(edges->at, edges->room * sizeof(*edges->at));
        if (!edges->at)
            abort();
    }
    edges->at[edges->count++] = at;
}

/*
 * Every edge that window [first, last] of a region has, as addresses counted from base; disabled
 * things too: an edge too many does no harm. path: the aliases above, one bit each; one that shows
 * itself is not entered again.
 */
static void collect_edges(const struct naive *naive, int index, uint64_t first, uint64_t last, uint64_t base,
                          unsigned path, struct edges *edges)
{
    const struct naive_region *region = &naive->region[index];

    if (first > region->last)
        return;
    edge(edges, base);
    if (last > region->last) {
        edge(edges, base + (region->last - first) + 1);
        last = region->last;
    }
    if (path & 1u << index)
        return;
    if (region->kind == GMEM_KIND_ALIAS) {
        collect_edges(naive, region->target, first + region->target_offset, last + region->target_offset, base,
                      path | 1u << index, edges);
        return;
    }
    for (int i = 0; i < NAIVE_REGIONS; i++) {
        const struct naive_region *child = &naive->region[i];
        uint64_t from = child->offset > first ? child->offset : first;

        if (child->exists && child->container == index && child->offset <= last)
            collect_edges(naive, i, from - child->offset, last - child->offset, base + (from - first), path, edges);
    }
}

/*
 * Whether what is at offset of a region, enabled or not, leads to an alias that is on the path
 * already.
 */
static bool leads_back(const struct naive *naive, int index, uint64_t offset, unsigned path)
{
    const struct naive_region *region = &naive->region[index];

    if (offset > region->last)
        return false;
    if (region->kind == GMEM_KIND_ALIAS)
        return path & 1u << index ||
               leads_back(naive, region->target, offset + region->target_offset, path | 1u << index);
    for (int i = 0; i < NAIVE_REGIONS; i++) {
        const struct naive_region *child = &naive->region[i];

        if (child->exists && child->container == index && offset >= child->offset &&
            leads_back(naive, i, offset - child->offset, path))
            return true;
    }
    return false;
}

/* Whether some alias is seen through its own window. */
static bool loops(const struct naive *naive)
{
    bool found = false;

    for (int i = 0; i < NAIVE_REGIONS && !found; i++) {
        struct edges edges = {0};

        if (!naive->region[i].exists || naive->region[i].kind != GMEM_KIND_ALIAS)
            continue;
        collect_edges(naive, i, 0, naive->region[i].last, 0, 0, &edges);
        for (size_t k = 0; k < edges.count && !found; k++)
            found = leads_back(naive, i, edges.at[k], 0);
        free(edges.at);
    }
    return found;
}

/* Put in place what an edit made of a region, unless an alias would then show itself. */
static unsigned unless_loop(struct naive *naive, int index, const struct naive_region *edited)
{
    struct naive_region before = naive->region[index];

    naive->region[index] = *edited;
    if (!loops(naive))
        return 0;
    naive->region[index] = before;
    return NAIVE_ELOOP;
}

/* Whether inner is outer or in it, however deep. */
static bool contains(const struct naive *naive, int outer, int inner)
{
    while (inner != outer && inner != NAIVE_NONE)
        inner = naive->region[inner].container;
    return inner == outer;
}

unsigned naive_create(struct naive *naive, int slot, enum gmem_kind kind, uint64_t size_last, int target,
                      uint64_t target_offset)
{
    struct naive_region *region = &naive->region[slot];

    if (kind == GMEM_KIND_ALIAS && too_far(target_offset, size_last))
        return NAIVE_EOVERFLOW;
    *region = (struct naive_region){
        .exists = true,
        .kind = kind,
        .last = size_last,
        .block_last = size_last,
        .enabled = true,
        .direct = kind == GMEM_KIND_ROMD,
        .container = NAIVE_NONE,
        .target = kind == GMEM_KIND_ALIAS ? target : NAIVE_NONE,
        .target_offset = kind == GMEM_KIND_ALIAS ? target_offset : 0,
    };
    return 0;
}

unsigned naive_add(struct naive *naive, int container, uint64_t offset, int child, int32_t priority)
{
    struct naive_region region = naive->region[child];
    unsigned errors = 0;

    if (naive->region[container].kind == GMEM_KIND_ALIAS)
        errors |= NAIVE_EOPNOTSUPP;
    if (region.container != NAIVE_NONE)
        errors |= NAIVE_EBUSY;
    if (contains(naive, child, container))
        errors |= NAIVE_ELOOP;
    if (too_far(offset, region.last))
        errors |= NAIVE_EOVERFLOW;
    if (errors)
        return errors;
    region.container = container;
    region.offset = offset;
    region.priority = priority;
    region.placed = ++naive->clock;
    return unless_loop(naive, child, &region);
}

unsigned naive_remove(struct naive *naive, int container, int child)
{
    struct naive_region *region = &naive->region[child];

    if (naive->region[container].kind == GMEM_KIND_ALIAS)
        return NAIVE_EOPNOTSUPP | NAIVE_ENOENT;
    if (region->container != container)
        return NAIVE_ENOENT;
    region->container = NAIVE_NONE;
    region->offset = 0;
    region->priority = 0;
    return 0;
}

unsigned naive_set_enabled(struct naive *naive, int region, bool enabled)
{
    naive->region[region].enabled = enabled;
    return 0;
}

unsigned naive_move(struct naive *naive, int region, uint64_t offset)
{
    struct naive_region moved = naive->region[region];

    if (too_far(offset, moved.last))
        return NAIVE_EOVERFLOW;
    if (moved.offset != offset)
        moved.placed = ++naive->clock;
    moved.offset = offset;
    return unless_loop(naive, region, &moved);
}

unsigned naive_resize(struct naive *naive, int region, gmem_size size)
{
    struct naive_region resized = naive->region[region];
    uint64_t last = size.all ? UINT64_MAX : size.bytes - 1;
    unsigned errors = 0;

    if (!size.all && !size.bytes)
        return NAIVE_EINVAL;
    if (too_far(resized.offset, last) || too_far(resized.target_offset, last))
        errors |= NAIVE_EOVERFLOW;
    if (has_memory(&resized) && last > resized.block_last)
        errors |= NAIVE_ERANGE;
    resized.last = last;
    return errors ? errors : unless_loop(naive, region, &resized);
}

unsigned naive_set_priority(struct naive *naive, int region, int32_t priority)
{
    if (naive->region[region].container == NAIVE_NONE)
        return NAIVE_ENOENT;
    if (naive->region[region].priority != priority)
        naive->region[region].placed = ++naive->clock;
    naive->region[region].priority = priority;
    return 0;
}

unsigned naive_set_alias(struct naive *naive, int region, int target, uint64_t offset)
{
    struct naive_region alias = naive->region[region];
    unsigned errors = 0;

    if (alias.kind != GMEM_KIND_ALIAS)
        errors |= NAIVE_EOPNOTSUPP;
    if (too_far(offset, alias.last))
        errors |= NAIVE_EOVERFLOW;
    /* An alias of an alias of ... itself, whatever their windows. */
    for (int next = target; next != NAIVE_NONE; next = naive->region[next].target) {
        if (next == region) {
            errors |= NAIVE_ELOOP;
            break;
        }
    }
    if (errors)
        return errors;
    alias.target = target;
    alias.target_offset = offset;
    return unless_loop(naive, region, &alias);
}

unsigned naive_set_readonly(struct naive *naive, int region, bool readonly)
{
    if (naive->region[region].kind == GMEM_KIND_ROM)
        return readonly ? 0 : NAIVE_EOPNOTSUPP;
    naive->region[region].readonly = readonly;
    return 0;
}

unsigned naive_set_nonvolatile(struct naive *naive, int region, bool nonvolatile)
{
    naive->region[region].nonvolatile = nonvolatile;
    return 0;
}

unsigned naive_set_romd(struct naive *naive, int region, bool direct)
{
    if (naive->region[region].kind != GMEM_KIND_ROMD)
        return NAIVE_EOPNOTSUPP;
    naive->region[region].direct = direct;
    return 0;
}

unsigned naive_set_log(struct naive *naive, int region, unsigned client, bool wanted)
{
    unsigned errors = 0;

    if (!has_memory(&naive->region[region]))
        errors |= NAIVE_EOPNOTSUPP;
    if (client >= GMEM_LOG_CLIENTS)
        errors |= NAIVE_EINVAL;
    if (errors)
        return errors;
    if (wanted)
        naive->region[region].log |= 1u << client;
    else
        naive->region[region].log &= ~(1u << client);
    return 0;
}

static uint64_t eventfd_last(const struct gmem_eventfd *eventfd)
{
    return eventfd->size ? eventfd->size - 1u : 0;
}

/* The descriptor is not part of what makes two equal. */
bool naive_same_eventfd(const struct gmem_eventfd *a, const struct gmem_eventfd *b)
{
    return a->offset == b->offset && a->size == b->size && a->match == b->match && (!a->match || a->data == b->data);
}

static unsigned find_eventfd(const struct naive_region *region, const struct gmem_eventfd *eventfd)
{
    unsigned i = 0;

    while (i < region->n_eventfds && !naive_same_eventfd(&region->eventfds[i], eventfd))
        i++;
    return i;
}

unsigned naive_add_eventfd(struct naive *naive, int region, const struct gmem_eventfd *eventfd)
{
    struct naive_region *at = &naive->region[region];
    unsigned errors = 0;

    if (at->kind == GMEM_KIND_CONTAINER || at->kind == GMEM_KIND_ALIAS)
        errors |= NAIVE_EOPNOTSUPP;
    if (eventfd->match && !eventfd->size)
        errors |= NAIVE_EINVAL;
    if (find_eventfd(at, eventfd) < at->n_eventfds)
        errors |= NAIVE_EEXIST;
    if (too_far(eventfd->offset, eventfd_last(eventfd)) || eventfd->offset + eventfd_last(eventfd) > at->last)
        errors |= NAIVE_ERANGE;
    if (errors)
        return errors;
    at->eventfds[at->n_eventfds] = *eventfd;
    if (!eventfd->match) /* data is ignored */
        at->eventfds[at->n_eventfds].data = 0;
    at->n_eventfds++;
    return 0;
}

unsigned naive_del_eventfd(struct naive *naive, int region, const struct gmem_eventfd *eventfd)
{
    struct naive_region *at = &naive->region[region];
    unsigned found = find_eventfd(at, eventfd);

    if (found == at->n_eventfds)
        return NAIVE_ENOENT;
    at->eventfds[found] = at->eventfds[--at->n_eventfds];
    return 0;
}

unsigned naive_add_coalesced(struct naive *naive, int region, uint64_t first, uint64_t last)
{
    struct naive_region *at = &naive->region[region];

    unsigned errors = 0;

    if (at->kind != GMEM_KIND_MMIO)
        errors |= NAIVE_EOPNOTSUPP;
    if (last < first)
        errors |= NAIVE_EINVAL;
    if (last > at->last)
        errors |= NAIVE_ERANGE;
    if (errors)
        return errors;
    for (unsigned i = 0; i < at->n_coalesced; i++) {
        if (at->coalesced[i].first == first && at->coalesced[i].last == last)
            return 0;
    }
    at->coalesced[at->n_coalesced].first = first;
    at->coalesced[at->n_coalesced].last = last;
    at->n_coalesced++;
    return 0;
}

unsigned naive_clear_coalesced(struct naive *naive, int region)
{
    naive->region[region].n_coalesced = 0;
    return 0;
}

/* Whether sibling a is seen where it overlaps sibling b. */
static bool wins(const struct naive_region *a, const struct naive_region *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->placed > b->placed;
}

/*
 * The subregion of container that has offset at and wins over all others but those that won over
 * *after*.
 */
static int next_child(const struct naive *naive, int container, uint64_t at, int after)
{
    int best = NAIVE_NONE;

    for (int i = 0; i < NAIVE_REGIONS; i++) {
        const struct naive_region *child = &naive->region[i];

        if (!child->exists || child->container != container || at < child->offset || at - child->offset > child->last)
            continue;
        if (after != NAIVE_NONE && !wins(&naive->region[after], child))
            continue;
        if (best == NAIVE_NONE || wins(child, &naive->region[best]))
            best = i;
    }
    return best;
}

static bool at_offset(const struct naive *naive, int index, uint64_t offset, uint32_t attrs, struct naive_range *ret)
{
    const struct naive_region *region = &naive->region[index];

    if (!region->enabled || offset > region->last)
        return false;
    if (region->readonly || region->kind == GMEM_KIND_ROM)
        attrs |= GMEM_RANGE_READONLY;
    if (region->nonvolatile)
        attrs |= GMEM_RANGE_NONVOLATILE;
    if (region->kind == GMEM_KIND_ALIAS)
        return at_offset(naive, region->target, offset + region->target_offset, attrs, ret);
    for (int child = NAIVE_NONE; (child = next_child(naive, index, offset, child)) != NAIVE_NONE;) {
        if (at_offset(naive, child, offset - naive->region[child].offset, attrs, ret))
            return true;
    }
    if (region->kind == GMEM_KIND_CONTAINER)
        return false;
    if (region->kind == GMEM_KIND_ROMD && region->direct)
        attrs |= GMEM_RANGE_ROMD;
    ret->region = index;
    ret->offset = offset;
    ret->attrs = attrs | region->log << GMEM_RANGE_LOG_SHIFT;
    return true;
}

bool naive_at(const struct naive *naive, int root, uint64_t addr, struct naive_range *ret_range)
{
    uint64_t start = naive->region[root].offset;

    if (addr < start || !at_offset(naive, root, addr - start, 0, ret_range))
        return false;
    ret_range->first = addr;
    ret_range->last = addr;
    return true;
}

static int compare_addresses(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void add_range(struct naive_view *view, const struct naive_range *range)
{
    struct naive_range *before = view->n_ranges ? &view->ranges[view->n_ranges - 1] : NULL;

    if (before && before->last + 1 == range->first && before->region == range->region &&
        before->attrs == range->attrs && before->offset + (before->last - before->first) + 1 == range->offset) {
        before->last = range->last;
        return;
    }
    if (view->n_ranges == view->room) {
        view->room = view->room ? 2 * view->room : 16;
        view->ranges = realloc(view->ranges, view->room * sizeof(*view->ranges));
        if (!view->ranges)
            abort();
    }
    view->ranges[view->n_ranges++] = *range;
}

static void add_extra(struct naive_view *view, const struct naive_range *range, uint64_t first, uint64_t last,
                      const struct gmem_eventfd *eventfd)
{
    uint64_t from = range->first + (first - range->offset);
    uint64_t to = range->first + (last - range->offset);
    struct naive_extra *extra;

    /* intervals that are equal where they are visible are told once */
    for (size_t i = 0; !eventfd && i < view->n_extras; i++) {
        if (view->extras[i].coalesced && view->extras[i].range.first == from && view->extras[i].range.last == to)
            return;
    }
    if (view->n_extras == view->extra_room) {
        view->extra_room = view->extra_room ? 2 * view->extra_room : 16;
        view->extras = realloc(view->extras, view->extra_room * sizeof(*view->extras));
        if (!view->extras)
            abort();
    }
    extra = &view->extras[view->n_extras++];
    memset(extra, 0, sizeof(*extra));
    extra->range = *range;
    extra->range.first = from;
    extra->range.last = to;
    extra->range.offset = first;
    extra->coalesced = !eventfd;
    if (eventfd)
        extra->eventfd = *eventfd;
}

static void add_extras(const struct naive *naive, struct naive_view *view)
{
    view->n_extras = 0;
    for (size_t i = 0; i < view->n_ranges; i++) {
        const struct naive_range *range = &view->ranges[i];
        const struct naive_region *region = &naive->region[range->region];
        uint64_t last = range->offset + (range->last - range->first);

        for (unsigned k = 0; k < region->n_eventfds; k++) {
            const struct gmem_eventfd *eventfd = &region->eventfds[k];
            uint64_t end = eventfd->offset + eventfd_last(eventfd);

            if (eventfd->offset >= range->offset && end <= last)
                add_extra(view, range, eventfd->offset, end, eventfd);
        }
        for (unsigned k = 0; k < region->n_coalesced; k++) {
            uint64_t from = region->coalesced[k].first;
            uint64_t to = region->coalesced[k].last;

            from = from > range->offset ? from : range->offset;
            to = to < last ? to : last;
            if (from <= to)
                add_extra(view, range, from, to, NULL);
        }
    }
}

void naive_render(const struct naive *naive, int root, struct naive_view *view)
{
    const struct naive_region *region = &naive->region[root];
    uint64_t end = region->offset + region->last;
    struct edges edges = {0};

    view->n_ranges = 0;
    collect_edges(naive, root, 0, region->last, region->offset, 0, &edges);
    qsort(edges.at, edges.count, sizeof(*edges.at), compare_addresses);
    for (size_t i = 0; i < edges.count; i++) {
        struct naive_range range;

        if (i + 1 < edges.count && edges.at[i + 1] == edges.at[i])
            continue;
        if (!naive_at(naive, root, edges.at[i], &range))
            continue;
        range.last = i + 1 < edges.count ? edges.at[i + 1] - 1 : end;
        add_range(view, &range);
    }
    free(edges.at);
    add_extras(naive, view);
}

void naive_view_free(struct naive_view *view)
{
    free(view->ranges);
    free(view->extras);
    memset(view, 0, sizeof(*view));
}
