/* SPDX-License-Identifier: MIT */
/*
 * Owns what it pairs until pairing_free(). One thread.
 *
 * From the roots of paired spaces down: children of paired regions are paired with each other, and targets of paired aliases.
 * What is then left is paired wherever it is: first what is in no container, with all below it, then the rest. Each list is
 * sorted by what has to be equal and gone through once.
 */
#include "pairing.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

enum closeness { SAME_PLACE, SAME_SIZE, SAME_NAME };

struct side {
    const struct topology *topology;
    size_t *peer;
    size_t *first;    /* by region, and one more: where its children begin in children */
    size_t *children; /* in the order of the topology */
};

struct matching {
    struct side side[2];
    bool owners;   /* both show them */
    size_t *queue; /* of regions of a that were paired, to be gone down from */
    size_t n_queue, done;
};

static bool is_memory(enum gmem_kind kind)
{
    return kind == GMEM_KIND_RAM || kind == GMEM_KIND_ROM || kind == GMEM_KIND_ROMD || kind == GMEM_KIND_RAM_DEVICE;
}

/* A dump tells these apart by whether they have children, which may come and go. */
static enum gmem_kind class_of(enum gmem_kind kind)
{
    return kind == GMEM_KIND_MMIO ? GMEM_KIND_CONTAINER : kind;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_sizes(gmem_size a, gmem_size b)
{
    if (a.all != b.all)
        return a.all ? 1 : -1;
    return a.all ? 0 : compare_numbers(a.bytes, b.bytes);
}

static int compare_regions(const struct topo_region *x, const struct topo_region *y, enum closeness closeness,
                           bool owners)
{
    int order = strcmp(x->name, y->name);

    if (!order)
        order = compare_numbers((uint64_t)class_of(x->kind), (uint64_t)class_of(y->kind));
    if (!order && owners)
        order = strcmp(x->owner ? x->owner : "", y->owner ? y->owner : "");
    if (!order && (closeness != SAME_NAME || is_memory(x->kind)))
        order = compare_sizes(x->size, y->size);
    if (!order && closeness == SAME_PLACE)
        order = compare_numbers(x->offset, y->offset);
    return order;
}

struct sorting {
    const struct topology *topology;
    enum closeness closeness;
    bool owners;
};

static int by_key(const void *a, const void *b, void *opaque)
{
    const struct sorting *sorting = opaque;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = compare_regions(&sorting->topology->regions[x], &sorting->topology->regions[y], sorting->closeness,
                                sorting->owners);

    return order ? order : compare_numbers(x, y);
}

static void pair(struct matching *matching, size_t a, size_t b)
{
    matching->side[0].peer[a] = b;
    matching->side[1].peer[b] = a;
    alloc_grow(&matching->queue, matching->n_queue, sizeof(*matching->queue));
    matching->queue[matching->n_queue++] = a;
}

/* Those of the list that are not paired, sorted: how many. */
static size_t unpaired(const struct matching *matching, unsigned side, const size_t *list, size_t n, size_t *ret,
                       enum closeness closeness)
{
    struct sorting sorting = {matching->side[side].topology, closeness, matching->owners};
    size_t left = 0;

    for (size_t i = 0; i < n; i++)
        if (matching->side[side].peer[list[i]] == NOWHERE)
            ret[left++] = list[i];
    qsort_r(ret, left, sizeof(*ret), by_key, &sorting);
    return left;
}

static void pair_lists(struct matching *matching, const size_t *list_a, size_t n_a, const size_t *list_b, size_t n_b)
{
    size_t *a = alloc_zeroed(n_a, sizeof(*a)), *b = alloc_zeroed(n_b, sizeof(*b));

    for (enum closeness closeness = SAME_PLACE; closeness <= SAME_NAME; closeness++) {
        size_t left_a = unpaired(matching, 0, list_a, n_a, a, closeness);
        size_t left_b = unpaired(matching, 1, list_b, n_b, b, closeness);

        for (size_t i = 0, k = 0; i < left_a && k < left_b;) {
            int order = compare_regions(&matching->side[0].topology->regions[a[i]],
                                        &matching->side[1].topology->regions[b[k]], closeness, matching->owners);

            if (!order)
                pair(matching, a[i], b[k]);
            i += order <= 0;
            k += order >= 0;
        }
    }
    free(a);
    free(b);
}

static void pair_children(struct matching *matching, size_t a, size_t b)
{
    const struct side *x = &matching->side[0], *y = &matching->side[1];

    if (x->first[a] != x->first[a + 1] && y->first[b] != y->first[b + 1])
        pair_lists(matching, x->children + x->first[a], x->first[a + 1] - x->first[a], y->children + y->first[b],
                   y->first[b + 1] - y->first[b]);
}

static void go_down(struct matching *matching)
{
    const struct side *x = &matching->side[0], *y = &matching->side[1];

    while (matching->done < matching->n_queue) {
        size_t a = matching->queue[matching->done++], b = x->peer[a];
        size_t target_a = x->topology->regions[a].target, target_b = y->topology->regions[b].target;

        pair_children(matching, a, b);
        if (x->topology->regions[a].kind == GMEM_KIND_ALIAS && target_a != NOWHERE && target_b != NOWHERE &&
            x->peer[target_a] == NOWHERE && y->peer[target_b] == NOWHERE &&
            !compare_regions(&x->topology->regions[target_a], &y->topology->regions[target_b], SAME_NAME,
                             matching->owners))
            pair(matching, target_a, target_b);
    }
}

/* Regions that are left, all or those in no container. */
static void pair_rest(struct matching *matching, bool all)
{
    size_t *lists[2], n[2] = {0, 0};

    for (unsigned s = 0; s < 2; s++) {
        const struct topology *topology = matching->side[s].topology;

        lists[s] = alloc_zeroed(topology->n_regions, sizeof(size_t));
        for (size_t i = 0; i < topology->n_regions; i++)
            if (all || topology->regions[i].parent == NOWHERE)
                lists[s][n[s]++] = i;
    }
    pair_lists(matching, lists[0], n[0], lists[1], n[1]);
    free(lists[0]);
    free(lists[1]);
    go_down(matching);
}

static void index_children(struct side *side)
{
    size_t n = side->topology->n_regions, *next = alloc_zeroed(n, sizeof(*next));

    side->peer = alloc_zeroed(n, sizeof(*side->peer));
    side->first = alloc_zeroed(n + 1, sizeof(*side->first));
    side->children = alloc_zeroed(n, sizeof(*side->children));
    for (size_t i = 0; i < n; i++) {
        side->peer[i] = NOWHERE;
        if (side->topology->regions[i].parent != NOWHERE)
            side->first[side->topology->regions[i].parent + 1]++;
    }
    for (size_t i = 0; i < n; i++) {
        side->first[i + 1] += side->first[i];
        next[i] = side->first[i];
    }
    for (size_t i = 0; i < n; i++)
        if (side->topology->regions[i].parent != NOWHERE)
            side->children[next[side->topology->regions[i].parent]++] = i;
    free(next);
}

/* --- spaces --- */

static int by_name(const void *a, const void *b, void *opaque)
{
    const struct topology *topology = opaque;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = strcmp(topology->spaces[x].name, topology->spaces[y].name);

    return order ? order : compare_numbers(x, y);
}

static size_t *sorted_spaces(const struct topology *topology)
{
    size_t *order = alloc_zeroed(topology->n_spaces, sizeof(*order));

    for (size_t i = 0; i < topology->n_spaces; i++)
        order[i] = i;
    qsort_r(order, topology->n_spaces, sizeof(*order), by_name, (void *)(uintptr_t)topology);
    return order;
}

static void pair_spaces(struct pairing *pairing)
{
    size_t *a = sorted_spaces(pairing->a), *b = sorted_spaces(pairing->b);
    size_t *to_b = alloc_zeroed(pairing->a->n_spaces, sizeof(*to_b));
    bool *taken = alloc_zeroed(pairing->b->n_spaces, sizeof(*taken));

    for (size_t i = 0; i < pairing->a->n_spaces; i++)
        to_b[i] = NOWHERE;
    for (size_t i = 0, k = 0; i < pairing->a->n_spaces && k < pairing->b->n_spaces;) {
        int order = strcmp(pairing->a->spaces[a[i]].name, pairing->b->spaces[b[k]].name);

        if (!order) {
            to_b[a[i]] = b[k];
            taken[b[k]] = true;
        }
        i += order <= 0;
        k += order >= 0;
    }
    pairing->spaces = alloc_zeroed(pairing->a->n_spaces + pairing->b->n_spaces, sizeof(*pairing->spaces));
    for (size_t i = 0; i < pairing->a->n_spaces; i++)
        pairing->spaces[pairing->n_spaces++] = (struct space_pair){i, to_b[i]};
    for (size_t i = 0; i < pairing->b->n_spaces; i++)
        if (!taken[i])
            pairing->spaces[pairing->n_spaces++] = (struct space_pair){NOWHERE, i};
    free(a);
    free(b);
    free(to_b);
    free(taken);
}

static bool shows_owners(const struct topology *topology)
{
    for (size_t i = 0; i < topology->n_regions; i++)
        if (topology->regions[i].owner)
            return true;
    return false;
}

void pair_topologies(const struct topology *a, const struct topology *b, struct pairing *pairing)
{
    struct matching matching = {.side = {{.topology = a}, {.topology = b}},
                                .owners = shows_owners(a) && shows_owners(b)};

    *pairing = (struct pairing){.a = a, .b = b};
    index_children(&matching.side[0]);
    index_children(&matching.side[1]);
    pair_spaces(pairing);
    for (size_t i = 0; i < pairing->n_spaces; i++) {
        const struct space_pair *spaces = &pairing->spaces[i];
        size_t x = spaces->a == NOWHERE ? NOWHERE : a->spaces[spaces->a].root;
        size_t y = spaces->b == NOWHERE ? NOWHERE : b->spaces[spaces->b].root;

        if (x != NOWHERE && y != NOWHERE && matching.side[0].peer[x] == NOWHERE &&
            matching.side[1].peer[y] == NOWHERE &&
            !compare_regions(&a->regions[x], &b->regions[y], SAME_NAME, matching.owners))
            pair(&matching, x, y);
    }
    go_down(&matching);
    pair_rest(&matching, false);
    pair_rest(&matching, true);
    pairing->to_b = matching.side[0].peer;
    pairing->to_a = matching.side[1].peer;
    for (unsigned s = 0; s < 2; s++) {
        free(matching.side[s].first);
        free(matching.side[s].children);
    }
    free(matching.queue);
}

void pairing_free(struct pairing *pairing)
{
    free(pairing->to_b);
    free(pairing->to_a);
    free(pairing->spaces);
    *pairing = (struct pairing){0};
}
