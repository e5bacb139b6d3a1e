/* SPDX-License-Identifier: MIT */
/*
 * Spaces and regions as docs/json.md describes them, read one by one and then put together to a topology: of a tree, or of a
 * step of a recording.
 */
#ifndef JSONREGION_H
#define JSONREGION_H

#include <jansson.h>

#include "topology.h"

/* Where a value comes from, for messages. */
struct json_place {
    const char *source;
    size_t line; /* 0: not known */
    struct problem *problem;
};

struct json_region {
    uint64_t id;
    struct topo_region region; /* without parent, rank and target */
    uint64_t target;           /* of an alias: an id */
    uint64_t *children;        /* ids, the one that wins first */
    size_t n_children;
};

struct json_space {
    size_t line;
    char *name;
    uint64_t root;
    bool unassigned_ones;
};

/* Text as JSON, of at most what takes reasonable memory. NULL: it is none; with the line, which in place is that of the text. */
json_t *json_read(const char *text, size_t size, const struct json_place *place);

/* {"format": format, "version": 1}. */
bool json_is_format(const json_t *object, const char *format, const struct json_place *place);

/* Members that must be there. An id is a number from 0 to 2^53 - 1. False: it is not, or no such value. */
bool json_get_text(const json_t *object, const char *key, const char **ret, const struct json_place *place);
bool json_get_id(const json_t *object, const char *key, uint64_t *ret, const struct json_place *place);
bool json_get_integer(const json_t *object, const char *key, int64_t first, int64_t last, int64_t *ret,
                      const struct json_place *place);
bool json_get_address(const json_t *object, const char *key, uint64_t *ret, const struct json_place *place);
bool json_get_array(const json_t *object, const char *key, const json_t **ret, const struct json_place *place);
/* Ids: *ret_n of them, to be freed. */
bool json_get_ids(const json_t *object, const char *key, uint64_t **ret, size_t *ret_n, const struct json_place *place);

/* What is read is to be freed; of what can't be, nothing. */
bool json_region_read(const json_t *value, struct json_region *region, const struct json_place *place);
void json_region_free(struct json_region *region);
bool json_space_read(const json_t *value, struct json_space *space, const struct json_place *place);
void json_space_free(struct json_space *space);

/*
 * What topology has, which is empty, is copied. Its regions come by rising id, so that an alias is behind its target where they were
 * created so; ret_ids may be NULL, else (*ret_ids)[index] is a region's id, to be freed. place->line is not used. False: ids
 * repeat or are missing, or a region is in two containers or in itself.
 */
bool json_regions_join(const struct json_region *const *regions, size_t n, const struct json_space *spaces,
                       size_t n_spaces, struct topology *topology, uint64_t **ret_ids, const struct json_place *place);

#endif
