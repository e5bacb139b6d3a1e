/* SPDX-License-Identifier: MIT */
/*
 * Owns what it read until it is put together. One thread.
 *
 * Jansson tells the lines of what is no JSON. Of what is, but makes no sense, the line is where its region or space begins,
 * which a scan of the text finds.
 */
#include "jsontree.h"

#include <stdlib.h>

#include "alloc.h"
#include "jsonregion.h"
#include "jsonscan.h"

struct document {
    struct json_region *regions;
    size_t n_regions;
    struct json_space *spaces;
    size_t n_spaces;
};

static bool read_spaces(const json_t *array, const size_t *lines, size_t n_lines, struct document *document,
                        struct json_place *place)
{
    document->spaces = alloc_zeroed(json_array_size(array), sizeof(*document->spaces));
    for (size_t i = 0; i < json_array_size(array); i++) {
        place->line = i < n_lines ? lines[i] : 0;
        if (!json_space_read(json_array_get(array, i), &document->spaces[i], place))
            return false;
        document->n_spaces++;
    }
    return true;
}

static bool read_regions(const json_t *array, const size_t *lines, size_t n_lines, struct document *document,
                         struct json_place *place)
{
    document->regions = alloc_zeroed(json_array_size(array), sizeof(*document->regions));
    for (size_t i = 0; i < json_array_size(array); i++) {
        place->line = i < n_lines ? lines[i] : 0;
        if (!json_region_read(json_array_get(array, i), &document->regions[i], place))
            return false;
        document->n_regions++;
    }
    return true;
}

static bool read_document(const json_t *json, const struct source *source, struct document *document,
                          struct json_place *place)
{
    const json_t *spaces, *regions;
    size_t *space_lines, *region_lines, n_space_lines, n_region_lines;
    bool good;

    if (!json_is_format(json, "gmem-tree", place) || !json_get_array(json, "spaces", &spaces, place) ||
        !json_get_array(json, "regions", &regions, place))
        return false;
    space_lines = jsonscan_lines(source->text, source->size, "spaces", &n_space_lines);
    region_lines = jsonscan_lines(source->text, source->size, "regions", &n_region_lines);
    good = read_spaces(spaces, space_lines, n_space_lines, document, place) &&
           read_regions(regions, region_lines, n_region_lines, document, place);
    free(space_lines);
    free(region_lines);
    return good;
}

static bool join(const struct document *document, struct topology *topology, const struct json_place *place)
{
    const struct json_region **regions = alloc_zeroed(document->n_regions, sizeof(struct json_region *));
    bool good;

    for (size_t i = 0; i < document->n_regions; i++)
        regions[i] = &document->regions[i];
    good = json_regions_join(regions, document->n_regions, document->spaces, document->n_spaces, topology, NULL, place);
    free(regions);
    return good;
}

bool jsontree_parse(const struct source *source, struct topology *topology, struct problem *problem)
{
    struct json_place place = {.source = source->name, .line = 1, .problem = problem};
    json_t *json = json_read(source->text, source->size, &place);
    struct document document = {0};
    bool good;

    *topology = (struct topology){0};
    if (!json)
        return false;
    good = read_document(json, source, &document, &place) && join(&document, topology, &place);
    json_decref(json);
    for (size_t i = 0; i < document.n_regions; i++)
        json_region_free(&document.regions[i]);
    for (size_t i = 0; i < document.n_spaces; i++)
        json_space_free(&document.spaces[i]);
    free(document.regions);
    free(document.spaces);
    return good;
}
