/* SPDX-License-Identifier: MIT */
/*
 * Regions that name each other by id become a topology, in which they do so by index. Owns nothing but what it is building.
 * One thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "jsonregion.h"

struct join {
    const struct json_region **sorted; /* by id; indexes are the topology's */
    size_t n;
    const struct json_place *place;
};

static bool wrong(const struct join *join, size_t index, const char *what, uint64_t id)
{
    return problem_at(join->place->problem, join->place->source, join->sorted[index]->region.line,
                      "region %" PRIu64 ": %s %" PRIu64, join->sorted[index]->id, what, id);
}

static int by_id(const void *a, const void *b)
{
    const struct json_region *x = *(const struct json_region *const *)a, *y = *(const struct json_region *const *)b;

    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->region.line < y->region.line ? -1 : x->region.line > y->region.line;
}

static size_t find(const struct join *join, uint64_t id)
{
    size_t low = 0, high = join->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (join->sorted[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < join->n && join->sorted[low]->id == id ? low : NOWHERE;
}

static char *copy(const char *text)
{
    return text ? alloc_text(text) : NULL;
}

static bool add_regions(const struct join *join, struct topology *topology)
{
    for (size_t i = 0; i < join->n; i++) {
        size_t index = topology_add_region(topology);
        struct topo_region *region = &topology->regions[index];

        *region = join->sorted[i]->region;
        region->name = copy(region->name);
        region->owner = copy(region->owner);
        region->ram = copy(region->ram);
        if (i && join->sorted[i]->id == join->sorted[i - 1]->id)
            return wrong(join, i, "there are two of id", join->sorted[i]->id);
    }
    return true;
}

static bool place_children(const struct join *join, struct topology *topology)
{
    for (size_t i = 0; i < join->n; i++) {
        const struct json_region *from = join->sorted[i];

        for (size_t k = 0; k < from->n_children; k++) {
            size_t child = find(join, from->children[k]);

            if (child == NOWHERE)
                return wrong(join, i, "there is no region of id", from->children[k]);
            if (topology->regions[child].parent != NOWHERE)
                return wrong(join, child, "it is placed twice, the second time in region", from->id);
            topology->regions[child].parent = i;
            topology->regions[child].rank = (uint32_t)k;
        }
        if (from->region.kind == GMEM_KIND_ALIAS) {
            topology->regions[i].target = find(join, from->target);
            if (topology->regions[i].target == NOWHERE)
                return wrong(join, i, "there is no region of id", from->target);
        }
    }
    return true;
}

/* Each is in one container at most, so a circle has nothing that leads into it but what hangs below. */
static bool check_circles(const struct join *join, const struct topology *topology)
{
    size_t *seen = alloc_zeroed(join->n, sizeof(*seen)); /* from which region it was come to first, plus 1 */
    bool good = true;

    for (size_t i = 0; good && i < join->n; i++) {
        size_t at = i;

        while (at != NOWHERE && !seen[at]) {
            seen[at] = i + 1;
            at = topology->regions[at].parent;
        }
        if (at != NOWHERE && seen[at] == i + 1)
            good =
                wrong(join, at, "containers in a circle, with region", join->sorted[topology->regions[at].parent]->id);
    }
    free(seen);
    return good;
}

static bool add_spaces(const struct join *join, const struct json_space *spaces, size_t n, struct topology *topology)
{
    for (size_t i = 0; i < n; i++) {
        size_t root = find(join, spaces[i].root), space;

        if (root == NOWHERE)
            return problem_at(join->place->problem, join->place->source, spaces[i].line,
                              "space %s: there is no region of id %" PRIu64, spaces[i].name, spaces[i].root);
        space = topology_add_space(topology, spaces[i].name, root);
        topology->spaces[space].line = spaces[i].line;
        topology->spaces[space].unassigned_ones = spaces[i].unassigned_ones;
    }
    return true;
}

bool json_regions_join(const struct json_region *const *regions, size_t n, const struct json_space *spaces,
                       size_t n_spaces, struct topology *topology, uint64_t **ret_ids, const struct json_place *place)
{
    struct join join = {.sorted = alloc_zeroed(n, sizeof(struct json_region *)), .n = n, .place = place};
    bool good;

    for (size_t i = 0; i < n; i++)
        join.sorted[i] = regions[i];
    qsort(join.sorted, n, sizeof(struct json_region *), by_id);
    topology->source = alloc_text(place->source);
    good = add_regions(&join, topology) && place_children(&join, topology) && check_circles(&join, topology) &&
           add_spaces(&join, spaces, n_spaces, topology);
    if (!good) {
        topology_free(topology);
    } else if (ret_ids) {
        *ret_ids = alloc_zeroed(n, sizeof(**ret_ids));
        for (size_t i = 0; i < n; i++)
            (*ret_ids)[i] = join.sorted[i]->id;
    }
    free(join.sorted);
    return good;
}
