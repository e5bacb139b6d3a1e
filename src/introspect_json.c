/* SPDX-License-Identifier: MIT */
/*
 * introspect_json.c - the tree and the flat views as JSON (RFC 8259), from which a topology can be built again.
 *
 * Addresses, offsets and sizes are strings of hexadecimal digits after "0x", because JSON's numbers lose bits; a size of 2^64 is
 * "0x10000000000000000". Regions are told apart by id, a number that is the region's for as long as the vm lives; names repeat. Each space, region
 * and range is on a line of its own. Text is valid UTF-8 whatever the names are: what is not becomes U+FFFD.
 * Optional members are left out, never null. The flags GMEM_PRINT_DISABLED and GMEM_PRINT_OWNER change nothing: all is there.
 *
 * Tree: {"format": "gmem-tree", "version": 1, "spaces": [SPACE...], "regions": [REGION...]}
 *   SPACE, by age:
 *     name             string
 *     root             id
 *     unassigned_ones  boolean: what nothing answers reads as all ones
 *   REGION, every one that can be reached from the spaces, once, in the order found: roots first, then level by level:
 *     id           number
 *     kind         "container", "ram", "rom", "romd", "mmio", "alias" or "reserved"
 *     name         string
 *     size         address string
 *     offset       address string: in its container; where a space shows it, if it is a root
 *     priority     number
 *     enabled      boolean
 *     readonly     boolean: its own attribute; true for rom
 *     nonvolatile  boolean
 *     romd         boolean, for romd alone: it reads directly now
 *     ram          string, for ram, rom and romd: the id of its RAM block
 *     target       id, for an alias: the region it shows
 *     target_offset  address string, for an alias: where in the target it begins
 *     log          number, optional: bit c is set when client c wants dirty logging
 *     owner        string, optional: the owner's label
 *     accesses     object, optional: for mmio and romd while accesses are counted (gmem/device.h): reads, writes, read_bytes,
 *                  write_bytes, refused, errors, reentrant, eventfds and coalesced, each a number
 *     children     array of ids in the order in which they win (to rebuild: place the last one first)
 *
 * Flat: {"format": "gmem-flat", "version": 1, "views": [VIEW...]}
 *   VIEW, once for all spaces that share it:
 *     spaces  array of {"name": string, "root": id, "root_name": string}, by age
 *     root    {"id": id, "name": string}, optional: what it was rendered from; missing when nothing is seen
 *     ranges  array, by rising address, of:
 *       first, last  address strings, inclusive
 *       region       id
 *       name         string: the region's
 *       kind         string: the region's
 *       type         "ram", "rom", "romd", "ramd" or "i/o", as the text form says it
 *       offset       address string: of first in the region
 *       priority     number: the region's
 *       readonly, nonvolatile, romd  booleans: the range's attributes
 *       log          number, optional: as above
 *       owner        string, optional
 *       mark         string, optional: what struct gmem_print_options.mark gave, without spaces before it
 *
 * Runs with the writer turn. No recursion.
 */
#include "child_index.h"
#include "introspect.h"
#include "ram.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Length of the UTF-8 sequence (RFC 3629) at bytes, or 0 if it is none. */
static size_t utf8_length(const unsigned char *bytes)
{
    unsigned char lead = bytes[0], low = 0x80, high = 0xbf;
    size_t len;

    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        len = 2;
    else if ((lead & 0xf0) == 0xe0)
        len = 3;
    else if (lead >= 0xf0 && lead <= 0xf4)
        len = 4;
    else
        return 0;
    /* No overlong forms, no surrogates, nothing past U+10FFFF. */
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

static void add_string(struct gmem__text *text, const char *string)
{
    const unsigned char *at = (const unsigned char *)string;

    gmem__text_string(text, "\"");
    while (*at) {
        size_t len = utf8_length(at);

        if (len == 0) {
            gmem__text_string(text, REPLACEMENT);
            at++;
            continue;
        }
        if (*at == '"' || *at == '\\')
            gmem__text_format(text, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            gmem__text_format(text, "\\u%04x", (unsigned)*at);
        else
            gmem__text_add(text, (const char *)at, len);
        at += len;
    }
    gmem__text_string(text, "\"");
}

/* Members but the first of an object: a comma, the key, the value. Keys need no escapes. */
static void add_key(struct gmem__text *text, const char *key)
{
    gmem__text_format(text, ", \"%s\": ", key);
}

static void add_text(struct gmem__text *text, const char *key, const char *string)
{
    add_key(text, key);
    add_string(text, string);
}

static void add_address(struct gmem__text *text, const char *key, uint64_t address)
{
    gmem__text_format(text, ", \"%s\": \"0x%" PRIx64 "\"", key, address);
}

static void add_size(struct gmem__text *text, const char *key, gmem_size size)
{
    if (size.all)
        add_text(text, key, "0x10000000000000000");
    else
        add_address(text, key, size.bytes);
}

static void add_bool(struct gmem__text *text, const char *key, bool value)
{
    gmem__text_format(text, ", \"%s\": %s", key, value ? "true" : "false");
}

static void add_id(struct gmem__print *print, const gmem_region *region)
{
    gmem__text_format(&print->text, "%" PRIu64, region->id);
}

/* What a region and a range both have at their end. */
static void add_optional(struct gmem__text *text, uint32_t attrs, const gmem_region *region)
{
    if (attrs & GMEM_RANGE_LOG_MASK)
        gmem__text_format(text, ", \"log\": %" PRIu32, (attrs & GMEM_RANGE_LOG_MASK) >> GMEM_RANGE_LOG_SHIFT);
    if (*gmem_region_label(region))
        add_text(text, "owner", gmem_region_label(region));
}

static const char *kind_name(enum gmem_kind kind)
{
    switch (kind) {
    case GMEM_KIND_CONTAINER:
        return "container";
    case GMEM_KIND_RAM:
        return "ram";
    case GMEM_KIND_ROM:
        return "rom";
    case GMEM_KIND_ROMD:
        return "romd";
    case GMEM_KIND_MMIO:
        return "mmio";
    case GMEM_KIND_ALIAS:
        return "alias";
    case GMEM_KIND_RESERVED:
        return "reserved";
    case GMEM_KIND_IOMMU:
        return "iommu";
    case GMEM_KIND_RAM_DEVICE:
        return "ram-device";
    }
    return "";
}

/* Regions still to be written. Each is put here once. */
struct work {
    struct gmem__print *print;
    gmem_region **regions;
    size_t count, room;
};

static int work_add(struct work *work, gmem_region *region)
{
    struct gmem__id *id = gmem__id_of(work->print, region);
    void *regions = work->regions;
    int err;

    if (id->seen)
        return 0;
    err = gmem__grow(&regions, &work->room, work->count + 1, sizeof(*work->regions));
    work->regions = regions;
    if (!err) {
        work->regions[work->count++] = region;
        id->seen = true;
    }
    return err;
}

static int add_children(struct work *work, const gmem_region *region)
{
    struct gmem__text *text = &work->print->text;
    struct gmem__found children = {0};
    int err = gmem__child_index_find(region->child_index, 0, GMEM__LAST, &children);
    size_t i;

    gmem__found_sort(&children, 0);
    add_key(text, "children");
    gmem__text_string(text, "[");
    for (i = 0; !err && i < children.count; i++) {
        if (i > 0)
            gmem__text_string(text, ", ");
        add_id(work->print, children.items[i].region);
        err = work_add(work, children.items[i].region);
    }
    gmem__text_string(text, "]");
    free(children.items);
    return err;
}

/* What was counted of a region, if it is. */
static void add_accesses(struct gmem__text *text, const gmem_region *region)
{
    struct gmem_access_stats stats;

    if (!region->ops || !(__atomic_load_n(&region->vm->watch, __ATOMIC_RELAXED) & GMEM__WATCH_STATS))
        return;
    gmem_region_access_stats(region, &stats);
    gmem__text_format(text, ", \"accesses\": {\"reads\": %" PRIu64 ", \"writes\": %" PRIu64, stats.reads, stats.writes);
#define ADD(member) gmem__text_format(text, ", \"" #member "\": %" PRIu64, stats.member)
    ADD(read_bytes);
    ADD(write_bytes);
    ADD(refused);
    ADD(errors);
    ADD(reentrant);
    ADD(eventfds);
    ADD(coalesced);
#undef ADD
    gmem__text_string(text, "}");
}

static int add_region(struct work *work, const gmem_region *region)
{
    struct gmem__text *text = &work->print->text;
    const struct gmem__props *p = &region->p;
    int err = 0;

    gmem__text_string(text, "{\"id\": ");
    add_id(work->print, region);
    add_text(text, "kind", kind_name(region->kind));
    add_text(text, "name", region->name);
    add_size(text, "size", gmem__size_from_last(p->last));
    add_address(text, "offset", p->offset);
    gmem__text_format(text, ", \"priority\": %" PRId32, p->priority);
    add_bool(text, "enabled", gmem__region_enabled(region));
    add_bool(text, "readonly", p->attrs & GMEM_RANGE_READONLY);
    add_bool(text, "nonvolatile", p->attrs & GMEM_RANGE_NONVOLATILE);
    if (region->kind == GMEM_KIND_ROMD)
        add_bool(text, "romd", p->attrs & GMEM_RANGE_ROMD);
    if (region->ram)
        add_text(text, "ram", region->ram->id);
    if (p->target) {
        add_key(text, "target");
        add_id(work->print, p->target);
        add_address(text, "target_offset", p->target_from);
        err = work_add(work, p->target);
    }
    add_optional(text, p->attrs, region);
    add_accesses(text, region);
    if (!err)
        err = add_children(work, region);
    gmem__text_string(text, "}");
    return err;
}

static const void *key_none(const gmem_space *space)
{
    return space;
}

static int add_spaces(struct work *work)
{
    struct gmem__print *print = work->print;
    struct gmem__entry *entries;
    size_t count;
    int err = gmem__entries(print, key_none, &entries, &count);

    if (err)
        return err;
    for (size_t i = 0; !err && i < count; i++) {
        const gmem_space *space = entries[i].space;

        gmem__text_string(&print->text, i ? ",\n{\"name\": " : "\n{\"name\": ");
        add_string(&print->text, space->name);
        add_key(&print->text, "root");
        add_id(print, space->root);
        add_bool(&print->text, "unassigned_ones", space->fill != 0);
        gmem__text_string(&print->text, "}");
        err = work_add(work, space->root);
    }
    free(entries);
    return err;
}

int gmem__print_tree_json(struct gmem__print *print)
{
    struct work work = {.print = print};
    int err;

    gmem__text_string(&print->text, "{\"format\": \"gmem-tree\", \"version\": 1, \"spaces\": [");
    err = add_spaces(&work);
    gmem__text_string(&print->text, "\n], \"regions\": [");
    for (size_t i = 0; !err && i < work.count; i++) {
        gmem__text_string(&print->text, i ? ",\n" : "\n");
        err = add_region(&work, work.regions[i]);
    }
    gmem__text_string(&print->text, "\n]}\n");
    free(work.regions);
    return err;
}

struct ranges {
    struct gmem__print *print;
    gmem_space *space; /* the oldest that shows the view */
    bool more;
};

static int add_range(void *opaque, const struct gmem_section *given)
{
    struct ranges *ranges = opaque;
    struct gmem__text *text = &ranges->print->text;
    struct gmem_section section = *given;
    const gmem_region *region = section.region;
    const char *mark;

    section.space = ranges->space;
    gmem__text_format(text, "%s{\"first\": \"0x%" PRIx64 "\"", ranges->more ? ",\n" : "\n", section.first);
    ranges->more = true;
    add_address(text, "last", section.last);
    add_key(text, "region");
    add_id(ranges->print, region);
    add_text(text, "name", region->name);
    add_text(text, "kind", kind_name(region->kind));
    add_text(text, "type", gmem__section_type(&section));
    add_address(text, "offset", section.offset);
    gmem__text_format(text, ", \"priority\": %" PRId32, region->p.priority);
    add_bool(text, "readonly", section.attrs & GMEM_RANGE_READONLY);
    add_bool(text, "nonvolatile", section.attrs & GMEM_RANGE_NONVOLATILE);
    add_bool(text, "romd", section.attrs & GMEM_RANGE_ROMD);
    add_optional(text, section.attrs, region);
    mark = gmem__mark(ranges->print, &section);
    mark += strspn(mark, " ");
    if (*mark)
        add_text(text, "mark", mark);
    gmem__text_string(text, "}");
    return text->err;
}

static int add_view(struct gmem__print *print, const struct gmem__entry *entries, size_t count)
{
    struct ranges ranges = {print, entries[0].space, false};
    const gmem_view *view = entries[0].key;
    const gmem_region *root = gmem_view_root(view);
    struct gmem__text *text = &print->text;
    int err;

    gmem__text_string(text, "{\"spaces\": [");
    for (size_t i = 0; i < count; i++) {
        const gmem_space *space = entries[i].space;

        gmem__text_string(text, i ? ", {\"name\": " : "{\"name\": ");
        add_string(text, space->name);
        add_key(text, "root");
        add_id(print, space->root);
        add_text(text, "root_name", space->root->name);
        gmem__text_string(text, "}");
    }
    gmem__text_string(text, "]");
    if (root) {
        add_key(text, "root");
        gmem__text_string(text, "{\"id\": ");
        add_id(print, root);
        add_text(text, "name", root->name);
        gmem__text_string(text, "}");
    }
    add_key(text, "ranges");
    gmem__text_string(text, "[");
    err = gmem_view_foreach(view, add_range, &ranges);
    gmem__text_string(text, "]}");
    return err;
}

int gmem__print_flat_json(struct gmem__print *print)
{
    struct gmem__text *text = &print->text;
    struct gmem__entry *entries;
    size_t count, end;
    int err = gmem__entries(print, gmem__key_view, &entries, &count);

    if (err)
        return err;
    gmem__text_string(text, "{\"format\": \"gmem-flat\", \"version\": 1, \"views\": [");
    for (size_t i = 0; !err && i < count; i = end) {
        end = gmem__entries_end(entries, count, i);
        gmem__text_string(text, i ? ",\n" : "\n");
        err = add_view(print, entries + i, end - i);
    }
    gmem__text_string(text, "\n]}\n");
    free(entries);
    return err;
}
