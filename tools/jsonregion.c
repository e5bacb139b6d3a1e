/* SPDX-License-Identifier: MIT */
/*
 * Reads what jansson parsed into plain data. Owns nothing but what it is building. One thread.
 *
 * Members that are not known are skipped, as docs/json.md asks of a reader.
 */
#include "jsonregion.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "jsonscan.h"

#define VALUES_MAX (8u << 20) /* a quarter of a million regions */
#define ID_MAX ((INT64_C(1) << 53) - 1)

#define WRONG(place, ...) (problem_at((place)->problem, (place)->source, (place)->line, __VA_ARGS__), false)

json_t *json_read(const char *text, size_t size, const struct json_place *place)
{
    json_error_t error;
    json_t *value;

    if (jsonscan_values(text, size) > VALUES_MAX) {
        problem_at(place->problem, place->source, place->line, "more values in one document than the %u that are read",
                   VALUES_MAX);
        return NULL;
    }
    value = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!value) {
        size_t line = place->line + (error.line > 0 ? (size_t)error.line - 1 : 0);

        problem_at(place->problem, place->source, line, "no JSON: %s", error.text);
    }
    return value;
}

bool json_is_format(const json_t *object, const char *format, const struct json_place *place)
{
    const json_t *version = json_object_get(object, "version");
    const char *name = json_string_value(json_object_get(object, "format"));

    if (!name)
        return WRONG(place, "JSON, but not of gmem: it has no member \"format\"");
    if (strcmp(name, "gmem-flat") == 0)
        return WRONG(place, "flat views alone have no tree: give the JSON of `gmem tree --json`");
    if (strcmp(name, format) != 0)
        return WRONG(place, "its format is \"%.40s\", not \"%s\"", name, format);
    if (!json_is_integer(version) || json_integer_value(version) < 1)
        return WRONG(place, "it has no \"version\", a number");
    if (json_integer_value(version) != 1)
        return WRONG(place, "version %lld of the format; this gmem reads version 1: a later gmem may read it",
                     (long long)json_integer_value(version));
    return true;
}

/* --- Members ----------------------------------------------------------------------------------------------------------- */

bool json_get_text(const json_t *object, const char *key, const char **ret, const struct json_place *place)
{
    *ret = json_string_value(json_object_get(object, key));
    return *ret || WRONG(place, "\"%s\" must be there and be a string", key);
}

bool json_get_integer(const json_t *object, const char *key, int64_t first, int64_t last, int64_t *ret,
                      const struct json_place *place)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < first || json_integer_value(value) > last)
        return WRONG(place, "\"%s\" must be there and be a whole number from %" PRId64 " to %" PRId64, key, first,
                     last);
    *ret = json_integer_value(value);
    return true;
}

bool json_get_id(const json_t *object, const char *key, uint64_t *ret, const struct json_place *place)
{
    int64_t value;

    if (!json_get_integer(object, key, 0, ID_MAX, &value, place))
        return false;
    *ret = (uint64_t)value;
    return true;
}

static bool get_bool(const json_t *object, const char *key, bool *ret, const struct json_place *place)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_boolean(value))
        return WRONG(place, "\"%s\" must be there and be true or false", key);
    *ret = json_is_true(value);
    return true;
}

/* The digits behind "0x", NULL if it is none; leading zeros are left out. */
static const char *hexadecimal(const char *text)
{
    if (!text || strncmp(text, "0x", 2) != 0 || !text[2] || text[2 + strspn(text + 2, "0123456789abcdefABCDEF")])
        return NULL;
    for (text += 2; *text == '0' && text[1]; text++)
        ;
    return text;
}

bool json_get_address(const json_t *object, const char *key, uint64_t *ret, const struct json_place *place)
{
    const char *digits = hexadecimal(json_string_value(json_object_get(object, key)));

    if (!digits)
        return WRONG(place, "\"%s\" must be there and be a string as \"0xc0000\"", key);
    if (strlen(digits) > 16)
        return WRONG(place, "\"%s\" is past 2^64", key);
    *ret = strtoull(digits, NULL, 16);
    return true;
}

static bool get_size(const json_t *object, const char *key, gmem_size *ret, const struct json_place *place)
{
    const char *digits = hexadecimal(json_string_value(json_object_get(object, key)));
    uint64_t bytes;

    if (digits && strcmp(digits, "10000000000000000") == 0) {
        *ret = GMEM_SIZE_ALL;
        return true;
    }
    if (!json_get_address(object, key, &bytes, place))
        return false;
    *ret = GMEM_SIZE(bytes);
    return bytes || WRONG(place, "\"%s\" is 0: a region has at least 1 byte", key);
}

bool json_get_array(const json_t *object, const char *key, const json_t **ret, const struct json_place *place)
{
    *ret = json_object_get(object, key);
    return json_is_array(*ret) || WRONG(place, "\"%s\" must be there and be an array", key);
}

bool json_get_ids(const json_t *object, const char *key, uint64_t **ret, size_t *ret_n, const struct json_place *place)
{
    const json_t *array;
    uint64_t *ids;

    if (!json_get_array(object, key, &array, place))
        return false;
    ids = alloc_zeroed(json_array_size(array), sizeof(*ids));
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *value = json_array_get(array, i);

        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > ID_MAX) {
            free(ids);
            return WRONG(place, "\"%s\" must have ids, numbers from 0 to 2^53 - 1", key);
        }
        ids[i] = (uint64_t)json_integer_value(value);
    }
    *ret = ids;
    *ret_n = json_array_size(array);
    return true;
}

/* --- Regions and spaces ------------------------------------------------------------------------------------------------ */

static const char *const kinds[] = {
    [GMEM_KIND_CONTAINER] = "container", [GMEM_KIND_RAM] = "ram",     [GMEM_KIND_ROM] = "rom",
    [GMEM_KIND_ROMD] = "romd",           [GMEM_KIND_MMIO] = "mmio",   [GMEM_KIND_ALIAS] = "alias",
    [GMEM_KIND_RESERVED] = "reserved",   [GMEM_KIND_IOMMU] = "iommu", [GMEM_KIND_RAM_DEVICE] = "ram-device",
};

static bool get_kind(const json_t *value, enum gmem_kind *ret, const struct json_place *place)
{
    const char *name;

    if (!json_get_text(value, "kind", &name, place))
        return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i] && strcmp(kinds[i], name) == 0) {
            *ret = (enum gmem_kind)i;
            return true;
        }
    return WRONG(place, "\"kind\" is \"%.40s\", which is none of version 1", name);
}

static bool has_memory(enum gmem_kind kind)
{
    return kind == GMEM_KIND_RAM || kind == GMEM_KIND_ROM || kind == GMEM_KIND_ROMD || kind == GMEM_KIND_RAM_DEVICE;
}

/* What only some kinds have. */
static bool read_special(const json_t *value, struct json_region *region, const struct json_place *place)
{
    struct topo_region *plain = &region->region;
    const char *text;
    int64_t log;

    if (has_memory(plain->kind)) {
        if (!json_get_text(value, "ram", &text, place))
            return false;
        if (plain->size.all)
            return WRONG(place, "a RAM block of 2^64 bytes");
        plain->ram = alloc_text(text);
        if (json_object_get(value, "log")) {
            if (!json_get_integer(value, "log", 0, (1 << GMEM_LOG_CLIENTS) - 1, &log, place))
                return false;
            plain->log = (uint8_t)log;
        }
    }
    if (plain->kind == GMEM_KIND_ROMD && !get_bool(value, "romd", &plain->romd, place))
        return false;
    if (plain->kind == GMEM_KIND_ALIAS && (!json_get_id(value, "target", &region->target, place) ||
                                           !json_get_address(value, "target_offset", &plain->target_offset, place)))
        return false;
    if (json_object_get(value, "owner")) {
        if (!json_get_text(value, "owner", &text, place))
            return false;
        plain->owner = alloc_text(text);
    }
    return true;
}

bool json_region_read(const json_t *value, struct json_region *region, const struct json_place *place)
{
    struct topo_region *plain = &region->region;
    const char *name;
    int64_t priority;

    *region = (struct json_region){
        .region = {.line = place->line, .parent = NOWHERE, .target = NOWHERE, .romd = true, .size = GMEM_SIZE(1)}};
    if (!json_is_object(value))
        return WRONG(place, "a region must be an object");
    if (!json_get_id(value, "id", &region->id, place) || !get_kind(value, &plain->kind, place) ||
        !json_get_text(value, "name", &name, place) || !get_size(value, "size", &plain->size, place) ||
        !json_get_address(value, "offset", &plain->offset, place) ||
        !json_get_integer(value, "priority", INT32_MIN, INT32_MAX, &priority, place) ||
        !get_bool(value, "enabled", &plain->enabled, place) || !get_bool(value, "readonly", &plain->readonly, place) ||
        !get_bool(value, "nonvolatile", &plain->nonvolatile, place))
        return false;
    plain->priority = (int32_t)priority;
    plain->name = alloc_text(name);
    if (read_special(value, region, place) &&
        json_get_ids(value, "children", &region->children, &region->n_children, place))
        return true;
    json_region_free(region);
    return false;
}

void json_region_free(struct json_region *region)
{
    free(region->region.name);
    free(region->region.owner);
    free(region->region.ram);
    free(region->children);
    *region = (struct json_region){0};
}

bool json_space_read(const json_t *value, struct json_space *space, const struct json_place *place)
{
    const char *name;

    *space = (struct json_space){.line = place->line};
    if (!json_is_object(value))
        return WRONG(place, "a space must be an object");
    if (!json_get_text(value, "name", &name, place) || !json_get_id(value, "root", &space->root, place) ||
        !get_bool(value, "unassigned_ones", &space->unassigned_ones, place))
        return false;
    space->name = alloc_text(name);
    return true;
}

void json_space_free(struct json_space *space)
{
    free(space->name);
    *space = (struct json_space){0};
}
