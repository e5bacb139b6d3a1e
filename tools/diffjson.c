/* SPDX-License-Identifier: MIT */
/*
 * gmem diff's JSON (docs/json.md). Owns nothing. One thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "diffprint.h"
#include "output.h"
#include "slotcall.h"

static const char *const changes[] = {[CHANGE_GONE] = "gone", [CHANGE_NEW] = "new", [CHANGE_CHANGED] = "changed"};
static const char *const kinds[] = {
    [GMEM_KIND_CONTAINER] = "container", [GMEM_KIND_RAM] = "ram",     [GMEM_KIND_ROM] = "rom",
    [GMEM_KIND_ROMD] = "romd",           [GMEM_KIND_MMIO] = "mmio",   [GMEM_KIND_ALIAS] = "alias",
    [GMEM_KIND_RESERVED] = "reserved",   [GMEM_KIND_IOMMU] = "iommu", [GMEM_KIND_RAM_DEVICE] = "ram-device",
};

static void member(const char *name, const char *text)
{
    printf(", \"%s\": ", name);
    json_string(stdout, text);
}

static void address(const char *name, uint64_t value)
{
    printf(", \"%s\": ", name);
    json_address(stdout, value);
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

static void put_shown(const struct difference *difference, unsigned side, const struct shown_range *range)
{
    const struct topo_region *region = &difference->sides[side]->topology.regions[range->region];

    fputs("{\"name\": ", stdout);
    json_string(stdout, region->name);
    member("kind", kinds[region->kind]);
    address("offset", range->offset);
    printf(", \"readonly\": %s, \"nonvolatile\": %s, \"romd\": %s", truth(range->attrs & GMEM_RANGE_READONLY),
           truth(range->attrs & GMEM_RANGE_NONVOLATILE), truth(range->attrs & GMEM_RANGE_ROMD));
    if (range->attrs & GMEM_RANGE_LOG_MASK)
        printf(", \"log\": %" PRIu32, (range->attrs & GMEM_RANGE_LOG_MASK) >> GMEM_RANGE_LOG_SHIFT);
    if (region->owner)
        member("owner", region->owner);
    putchar('}');
}

static void put_range(const struct difference *difference, const struct range_change *change)
{
    const struct shown_range *any = change->before ? change->before : change->after;

    printf("{\"change\": \"%s\", \"first\": ", changes[change->change]);
    json_address(stdout, any->first);
    address("last", any->last);
    if (change->before) {
        fputs(", \"before\": ", stdout);
        put_shown(difference, 0, change->before);
    }
    if (change->after) {
        fputs(", \"after\": ", stdout);
        put_shown(difference, 1, change->after);
    }
    putchar('}');
}

static void put_names(const struct difference *difference, const struct space_group *group)
{
    fputs("\"spaces\": [", stdout);
    for (size_t i = 0; i < group->n_pairs; i++) {
        const struct space_pair *pair = &difference->pairing.spaces[group->pairs[i]];
        unsigned side = pair->a == NOWHERE;

        fputs(i ? ", " : "", stdout);
        json_string(stdout, difference->sides[side]->topology.spaces[side ? pair->b : pair->a].name);
    }
    putchar(']');
}

static void put_views(const struct difference *difference, bool summary)
{
    bool any = false;

    fputs(",\n\"views\": [", stdout);
    for (size_t i = 0; i < difference->views.n_groups; i++) {
        const struct space_group *group = &difference->views.groups[i];
        const struct space_pair *pair = &difference->pairing.spaces[group->pairs[0]];
        bool kept = pair->a != NOWHERE && pair->b != NOWHERE;

        if (!group->n_changes && kept)
            continue;
        printf("%s\n{", any ? "," : "");
        any = true;
        put_names(difference, group);
        if (!kept)
            printf(", \"change\": \"%s\"", pair->a == NOWHERE ? "new" : "gone");
        printf(", \"gone\": %zu, \"new\": %zu, \"changed\": %zu", group->gone, group->fresh, group->changed);
        if (!summary) {
            fputs(", \"ranges\": [", stdout);
            for (size_t k = 0; k < group->n_changes; k++) {
                fputs(k ? ",\n" : "\n", stdout);
                put_range(difference, &group->changes[k]);
            }
            putchar(']');
        }
        putchar('}');
    }
    putchar(']');
}

static void put_heard(const struct difference *difference)
{
    const struct transit *transit = &difference->transit;

    fputs(",\n\"heard\": [", stdout);
    for (size_t i = 0; i < transit->n_heard; i++) {
        const struct heard *heard = &transit->heard[i];

        printf("%s\n{\"call\": \"%s\", ", i ? "," : "", heard_names[heard->kind]);
        put_names(difference, &difference->views.groups[heard->group]);
        address("first", heard->range.first);
        address("last", heard->range.last);
        fputs(", \"range\": ", stdout);
        put_shown(difference, heard->side, &heard->range);
        if (heard->kind == HEARD_LOG_START || heard->kind == HEARD_LOG_STOP)
            printf(", \"log_before\": %u, \"log_after\": %u", heard->before, heard->after);
        putchar('}');
    }
    putchar(']');
}

static void put_slots(const struct difference *difference, bool summary)
{
    static const char *const names[] = {[TRANSIT_REFERENCE] = "reference", [TRANSIT_KEEP] = "keep"};

    for (unsigned policy = 0; policy < TRANSIT_POLICIES; policy++) {
        const struct transit_slots *slots = &difference->transit.slots[policy];

        printf(",\n\"%s\": {\"calls\": %zu, \"removals\": %zu", names[policy], slots->n_calls, slots->counts.removals);
        address("bytes_added", slots->counts.added);
        address("bytes_removed", slots->counts.removed);
        address("bytes_put_back", slots->counts.put_back);
        printf(", \"pauses\": %" PRIu64, slots->pauses);
        if (!summary) {
            fputs(", \"slots\": [", stdout);
            for (size_t i = 0; i < slots->n_calls; i++) {
                fputs(i ? ",\n" : "\n", stdout);
                slot_call_json(stdout, &slots->calls[i], slots->sizes[i]);
            }
            putchar(']');
        }
        putchar('}');
    }
}

static void put_tree_change(const struct difference *difference, const struct tree_change *change)
{
    unsigned side = change->a == NOWHERE;
    const struct topology *topology = &difference->sides[side]->topology;
    char *path = tree_path(topology, side ? change->b : change->a);

    printf("{\"change\": \"%s\"", changes[change->change]);
    member("path", path);
    free(path);
    address("offset", topology->regions[side ? change->b : change->a].offset);
    if (change->a != NOWHERE)
        printf(", \"line_a\": %zu", difference->sides[0]->topology.regions[change->a].line);
    if (change->b != NOWHERE)
        printf(", \"line_b\": %zu", difference->sides[1]->topology.regions[change->b].line);
    if (change->change != CHANGE_CHANGED)
        printf(", \"below\": %zu", change->below);
    else
        fputs(", \"attributes\": [", stdout);
    for (size_t i = 0; i < change->n_attributes; i++) {
        printf("%s{\"name\": \"%s\"", i ? ", " : "", change->attributes[i].name);
        member("before", change->attributes[i].before);
        member("after", change->attributes[i].after);
        putchar('}');
    }
    fputs(change->change == CHANGE_CHANGED ? "]}" : "}", stdout);
}

static void put_tree(const struct difference *difference, bool summary)
{
    const struct tree_diff *tree = &difference->tree;

    printf(",\n\"tree\": {\"gone\": %zu, \"new\": %zu, \"changed\": %zu", tree->gone, tree->fresh, tree->changed);
    if (!summary) {
        fputs(", \"regions\": [", stdout);
        for (size_t i = 0; i < tree->n_changes; i++) {
            fputs(i ? ",\n" : "\n", stdout);
            put_tree_change(difference, &tree->changes[i]);
        }
        putchar(']');
    }
    putchar('}');
}

void difference_json(const struct difference *difference, bool summary)
{
    fputs("{\"format\": \"gmem-diff\", \"version\": 1", stdout);
    member("a", difference->sides[0]->name);
    member("b", difference->sides[1]->name);
    printf(", \"same\": %s", truth(!difference_any(difference)));
    put_views(difference, summary);
    if (difference->tried) {
        if (!summary)
            put_heard(difference);
        if (difference->transit.has_slots)
            put_slots(difference, summary);
    } else {
        member("not_tried", difference->not_tried.text);
    }
    if (!difference->one_space)
        put_tree(difference, summary);
    puts("}");
}
