/* SPDX-License-Identifier: MIT */
/*
 * What the gmem command does with a text, in memory and from beginning to end: read, infer, build through the library, print.
 */
#ifndef PIPELINE_H
#define PIPELINE_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "alloc.h"
#include "history.h"
#include "load.h"

static inline int pipeline_put(void *opaque, const char *text, size_t length)
{
    size_t *printed = opaque;

    (void)text;
    *printed += length;
    /* Aliases of aliases may show more than anyone waits for. */
    return *printed > ((size_t)4 << 20) ? -EFBIG : 0;
}

static inline void pipeline_print(const struct map *map)
{
    static const uint32_t flags[] = {GMEM_PRINT_DISABLED | GMEM_PRINT_OWNER, GMEM_PRINT_JSON};

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        const struct gmem_print_options how = {.struct_size = sizeof(how), .flags = flags[i]};
        size_t printed = 0;

        if (gmem_print_tree(map->vm, &how, pipeline_put, &printed) == 0) {
            printed = 0;
            (void)!gmem_print_flat(map->vm, &how, pipeline_put, &printed);
        }
    }
}

/* tree and flat may be the same source; flat may be NULL. */
static inline void pipeline(const struct source *tree, const struct source *flat)
{
    struct mtree mtree;
    struct flat_dump dump;
    struct topology topology;
    struct map map;
    struct problem problem;

    if (!mtree_parse(tree, &mtree, &problem))
        return;
    if (!flat || flatdump_parse(flat, &dump, &problem)) {
        if (infer(&mtree, flat ? &dump : NULL, &topology, &problem)) {
            if (map_build(&topology, &map, &problem)) {
                pipeline_print(&map);
                map_free(&map);
            }
            topology_free(&topology);
        }
        if (flat)
            flatdump_free(&dump);
    }
    mtree_free(&mtree);
}

/* The map after the first n steps. */
static inline void pipeline_step(const struct history *history, size_t n)
{
    struct topology topology;
    struct problem problem;
    struct map map;
    uint64_t *ids;

    if (!history_topology(history, n, &topology, &ids, &problem))
        return;
    if (map_build(&topology, &map, &problem)) {
        pipeline_print(&map);
        map_free(&map);
    }
    topology_free(&topology);
    free(ids);
}

/* The bytes as source_read() gives them: a copy, with a NUL behind. */
static inline struct source pipeline_source(const uint8_t *data, size_t size)
{
    struct source source = {.name = alloc_text("input"), .text = alloc_bytes((const char *)data, size), .size = size};

    return source;
}

#endif
