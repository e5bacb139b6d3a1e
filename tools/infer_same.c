/* SPDX-License-Identifier: MIT */
/*
 * Which lines are the same region. Owns only what it works with. One thread.
 *
 * A region that is the target of an alias is printed again as a section of its own, and so are those in it; the root of a space may be
 * contained elsewhere. A printed region looks the same wherever it is printed, but for where its container puts it: all of its line,
 * its place relative to its container (a root's own place is printed as if it were in none), and all below it. So the root of a
 * section is the region that looks like it in a larger section, and what is below it goes along, line for line.
 *
 * Larger sections come first: then a section whose root is nowhere else has nothing in it that an earlier one has.
 */
#include "infer_parts.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* Of those that look the same no more are looked at. */
#define LOOK_MAX 256

struct looks {
    uint64_t hash;
    size_t node;
};

struct same {
    struct looks *looks; /* sorted */
    size_t n;
    uint64_t *hash;    /* by node */
    size_t *count;     /* by node: it and all below */
    size_t *section;   /* by node */
    bool *done;        /* by section */
    bool *space_root;  /* by node that stands for a region: the root of a space */
    bool *region_root; /* the root of a memory-region section */
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    if (!text)
        return mix(hash, 1);
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return mix(hash, 2);
}

static uint64_t own_offset(const struct infer *in, size_t n)
{
    size_t parent = in->parent[n];

    return in->mtree->nodes[n].first - (parent == SIZE_MAX ? 0 : in->mtree->nodes[parent].first);
}

static uint64_t line_hash(const struct mtree_node *node)
{
    uint64_t hash = mix(0, node->last - node->first);

    hash = mix(hash, (uint64_t)(uint32_t)node->priority << 8 | (uint64_t)node->type << 2 |
                         (uint64_t)node->nonvolatile << 1 | (uint64_t)node->disabled);
    hash = mix_text(mix_text(mix_text(hash, node->name), node->owner), node->target);
    return node->target ? mix(mix(hash, node->target_first), node->target_last) : hash;
}

static int by_looks(const void *a, const void *b)
{
    const struct looks *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static void hash_all(const struct infer *in, struct same *same)
{
    const struct mtree *mtree = in->mtree;

    for (size_t i = 0; i < mtree->n_sections; i++)
        for (size_t k = 0; k < mtree->sections[i].n_nodes; k++)
            same->section[mtree->sections[i].first_node + k] = i;
    for (size_t i = mtree->n_nodes; i-- > 0;) { /* what is below a node comes behind it */
        size_t parent = in->parent[i];

        same->hash[i] = mix(same->hash[i], line_hash(&mtree->nodes[i]));
        same->count[i]++;
        same->looks[i] = (struct looks){.hash = same->hash[i], .node = i};
        if (parent == SIZE_MAX)
            continue;
        same->count[parent] += same->count[i];
        same->hash[parent] = mix(mix(mix(same->hash[parent], same->hash[i]), own_offset(in, i)), in->gap[i]);
    }
    qsort(same->looks, mtree->n_nodes, sizeof(*same->looks), by_looks);
}

static size_t first_look(const struct same *same, uint64_t hash)
{
    size_t low = 0, high = same->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (same->looks[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool may_be(const struct infer *in, const struct same *same, size_t root, size_t other)
{
    bool space = !in->mtree->sections[same->section[root]].region;

    if (same->section[other] == same->section[root] || !same->done[same->section[other]] ||
        same->count[other] != same->count[root])
        return false;
    /* What is under something that is not printed has a place of its own that is not printed either. */
    if (in->gap[root] ? !in->gap[other] : !in->gap[other] && own_offset(in, root) != own_offset(in, other))
        return false;
    /* Sections are printed once for a region, and spaces on one root together. */
    return !(space ? same->space_root : same->region_root)[in->canon[other]];
}

static bool is_among(size_t node, const size_t *nodes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (nodes[i] == node)
            return true;
    return false;
}

/* The root of a section (or what is printed in its place, if that is disabled) and all below it. */
static void place(struct infer *in, struct same *same, size_t section, size_t root)
{
    size_t found[LOOK_MAX], n_found = 0;
    uint64_t hash = same->hash[root];

    for (size_t i = first_look(same, hash), n = 0; i < in->mtree->n_nodes && n < LOOK_MAX; i++, n++) {
        size_t node = same->looks[i].node;

        if (same->looks[i].hash != hash)
            break;
        if (!may_be(in, same, root, node) || is_among(in->canon[node], found, n_found))
            continue;
        found[n_found++] = in->canon[node];
    }
    for (size_t i = 0; i < same->count[root]; i++)
        in->canon[root + i] = n_found ? in->canon[found[0] + i] : root + i;
    if (n_found > 1 && in->twin_of[section] == NOWHERE) {
        struct infer_twin *twin;

        alloc_grow(&in->twins, in->n_twins, sizeof(*in->twins));
        in->twin_of[section] = in->n_twins;
        twin = &in->twins[in->n_twins++];
        *twin = (struct infer_twin){
            .section = section, .nodes = alloc_zeroed(n_found, sizeof(*twin->nodes)), .n_nodes = n_found};
        memcpy(twin->nodes, found, n_found * sizeof(*found));
    }
    if (!in->gap[root])
        (in->mtree->sections[section].region ? same->region_root : same->space_root)[in->canon[root]] = true;
}

static int by_size(const void *a, const void *b, void *opaque)
{
    const struct mtree *mtree = opaque;
    size_t i = *(const size_t *)a, k = *(const size_t *)b;
    const struct mtree_section *x = &mtree->sections[i], *y = &mtree->sections[k];

    if (x->n_nodes != y->n_nodes)
        return x->n_nodes > y->n_nodes ? -1 : 1;
    if (x->region != y->region)
        return x->region ? 1 : -1;
    return i < k ? -1 : i > k;
}

void infer_same(struct infer *in)
{
    const struct mtree *mtree = in->mtree;
    size_t *order = alloc_zeroed(mtree->n_sections, sizeof(*order));
    struct same same = {.n = mtree->n_nodes,
                        .looks = alloc_zeroed(mtree->n_nodes, sizeof(*same.looks)),
                        .hash = alloc_zeroed(mtree->n_nodes, sizeof(*same.hash)),
                        .count = alloc_zeroed(mtree->n_nodes, sizeof(*same.count)),
                        .section = alloc_zeroed(mtree->n_nodes, sizeof(*same.section)),
                        .done = alloc_zeroed(mtree->n_sections, sizeof(*same.done)),
                        .space_root = alloc_zeroed(mtree->n_nodes, sizeof(*same.space_root)),
                        .region_root = alloc_zeroed(mtree->n_nodes, sizeof(*same.region_root))};

    hash_all(in, &same);
    for (size_t i = 0; i < mtree->n_sections; i++)
        order[i] = i;
    qsort_r(order, mtree->n_sections, sizeof(*order), by_size, (void *)(uintptr_t)mtree);
    for (size_t i = 0; i < mtree->n_sections; i++) {
        const struct mtree_section *section = &mtree->sections[order[i]];

        for (size_t k = 0; k < section->n_nodes; k += same.count[section->first_node + k])
            place(in, &same, order[i], section->first_node + k);
        same.done[order[i]] = true;
    }
    free(same.looks);
    free(same.hash);
    free(same.count);
    free(same.section);
    free(same.done);
    free(same.space_root);
    free(same.region_root);
    free(order);
}
