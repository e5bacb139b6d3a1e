/* SPDX-License-Identifier: MIT */
/*
 * Two trees, the one up to the first NUL and the other behind it: paired, compared, and the one made the other.
 */
#include <string.h>

#include "pipeline.h"
#include "transit.h"
#include "treediff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool build(const uint8_t *data, size_t size, struct topology *topology, struct map *map)
{
    struct source source = pipeline_source(data, size);
    struct mtree mtree;
    struct problem problem;
    bool ok = mtree_parse(&source, &mtree, &problem);

    source_free(&source);
    if (!ok)
        return false;
    ok = infer(&mtree, NULL, topology, &problem);
    mtree_free(&mtree);
    if (ok && !map_build(topology, map, &problem)) {
        topology_free(topology);
        ok = false;
    }
    return ok;
}

static void compare(const struct topology *a, const struct map *map_a, const struct topology *b,
                    const struct map *map_b)
{
    struct pairing pairing;
    struct view_diff views;
    struct tree_diff tree;
    struct transit change;
    struct problem problem;

    pair_topologies(a, b, &pairing);
    view_diff(map_a, map_b, &pairing, NOWHERE, &views);
    tree_diff(&pairing, &tree);
    if (transit(&pairing, &views, false, &change, &problem))
        transit_free(&change);
    tree_diff_free(&tree);
    view_diff_free(&views);
    pairing_free(&pairing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *middle = memchr(data, 0, size);
    size_t first = middle ? (size_t)(middle - data) : size / 2;
    struct topology a, b;
    struct map map_a, map_b;

    if (!build(data, first, &a, &map_a))
        return 0;
    if (build(data + first + (middle != NULL), size - first - (middle != NULL), &b, &map_b)) {
        compare(&a, &map_a, &b, &map_b);
        map_free(&map_b);
        topology_free(&b);
    }
    map_free(&map_a);
    topology_free(&a);
    return 0;
}
