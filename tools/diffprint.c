/* SPDX-License-Identifier: MIT */
/*
 * gmem diff's text. Owns nothing. One thread.
 */
#include "diffprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "slotcall.h"

const char *const heard_names[] = {[HEARD_DEL] = "region_del",
                                   [HEARD_ADD] = "region_add",
                                   [HEARD_LOG_START] = "log_start",
                                   [HEARD_LOG_STOP] = "log_stop"};

static const char *const marks[] = {[CHANGE_GONE] = "-", [CHANGE_NEW] = "+", [CHANGE_CHANGED] = "~"};

static const char *mark_color(enum change change)
{
    return color(change == CHANGE_GONE ? COLOR_BAD : change == CHANGE_NEW ? COLOR_GOOD : COLOR_ROM);
}

bool difference_any(const struct difference *difference)
{
    for (size_t i = 0; i < difference->views.n_groups; i++) {
        const struct space_group *group = &difference->views.groups[i];
        const struct space_pair *pair = &difference->pairing.spaces[group->pairs[0]];

        if (group->n_changes || pair->a == NOWHERE || pair->b == NOWHERE)
            return true;
    }
    return !difference->one_space && difference->tree.n_changes;
}

/* --- names --- */

/* Names of a dump may hold anything but a newline. */
static void put_name(const char *name)
{
    for (; *name; name++)
        putchar((unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name);
}

static const struct topo_region *region_of(const struct difference *difference, unsigned side,
                                           const struct shown_range *range)
{
    return &difference->sides[side]->topology.regions[range->region];
}

static const char *type_of(const struct topo_region *region, uint32_t attrs)
{
    switch (region->kind) {
    case GMEM_KIND_RAM:
        return attrs & GMEM_RANGE_READONLY ? "rom" : "ram";
    case GMEM_KIND_ROM:
        return "rom";
    case GMEM_KIND_ROMD:
        return attrs & GMEM_RANGE_ROMD ? "romd" : "i/o";
    case GMEM_KIND_RAM_DEVICE:
        return "ramd";
    case GMEM_KIND_RESERVED: /* dumps do not tell these two from devices, but other sources do */
        return "reserved";
    case GMEM_KIND_IOMMU:
        return "iommu";
    default:
        return "i/o";
    }
}

static void put_region(const struct difference *difference, unsigned side, const struct shown_range *range)
{
    const struct topo_region *region = region_of(difference, side, range);

    printf("%s%s", range->attrs & GMEM_RANGE_NONVOLATILE ? "nv-" : "", type_of(region, range->attrs));
    printf(" %s", color(COLOR_NAME));
    put_name(region->name);
    fputs(color(COLOR_NONE), stdout);
    if (range->offset)
        printf(" @%016" PRIx64, range->offset);
}

static void put_heading(const struct difference *difference, const struct space_group *group)
{
    const struct space_pair *first = &difference->pairing.spaces[group->pairs[0]];

    fputs(color(COLOR_NAME), stdout);
    for (size_t i = 0; i < group->n_pairs; i++) {
        const struct space_pair *pair = &difference->pairing.spaces[group->pairs[i]];
        unsigned side = pair->a == NOWHERE;

        fputs(i ? ", \"" : "space \"", stdout);
        put_name(difference->sides[side]->topology.spaces[side ? pair->b : pair->a].name);
        putchar('"');
    }
    printf("%s%s\n", color(COLOR_NONE), first->a == NOWHERE ? " is new" : first->b == NOWHERE ? " is gone" : "");
}

/* --- ranges --- */

/* A set of clients. */
static void put_log(uint32_t clients)
{
    static const char *const names[GMEM_LOG_USER] = {
        [GMEM_LOG_DISPLAY] = "display", [GMEM_LOG_MIGRATION] = "migration", [GMEM_LOG_CODE] = "code"};
    const char *between = "";

    for (unsigned client = 0; client < GMEM_LOG_CLIENTS; client++)
        if (clients >> client & 1) {
            fputs(between, stdout);
            if (client < GMEM_LOG_USER)
                fputs(names[client], stdout);
            else
                printf("client %u", client);
            between = "+";
        }
    if (!clients)
        fputs("none", stdout);
}

static void put_attributes(const struct range_change *change)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } bits[] = {{GMEM_RANGE_READONLY, "readonly"}, {GMEM_RANGE_NONVOLATILE, "nonvolatile"}, {GMEM_RANGE_ROMD, "romd"}};
    const struct shown_range *x = change->before, *y = change->after;
    const char *between = "  (was ";

    if (x->offset != y->offset) {
        printf("%s@%016" PRIx64, between, x->offset);
        between = ", ";
    }
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        if ((x->attrs ^ y->attrs) & bits[i].bit) {
            printf("%s%s%s", between, x->attrs & bits[i].bit ? "" : "not ", bits[i].name);
            between = ", ";
        }
    if ((x->attrs ^ y->attrs) & GMEM_RANGE_LOG_MASK) {
        printf("%slog ", between);
        put_log((x->attrs & GMEM_RANGE_LOG_MASK) >> GMEM_RANGE_LOG_SHIFT);
    }
    putchar(')');
}

static void put_change(const struct difference *difference, const struct range_change *change)
{
    unsigned side = change->after != NULL;
    const struct shown_range *range = side ? change->after : change->before;

    printf("%s%s%s %s%016" PRIx64 "-%016" PRIx64 "%s ", mark_color(change->change), marks[change->change],
           color(COLOR_NONE), color(COLOR_ADDRESS), range->first, range->last, color(COLOR_NONE));
    put_region(difference, side, range);
    if (change->before && change->after)
        put_attributes(change);
    putchar('\n');
}

static void put_ranges(const struct difference *difference, bool summary)
{
    for (size_t i = 0; i < difference->views.n_groups; i++) {
        const struct space_group *group = &difference->views.groups[i];
        const struct space_pair *pair = &difference->pairing.spaces[group->pairs[0]];

        if (!group->n_changes && pair->a != NOWHERE && pair->b != NOWHERE)
            continue;
        put_heading(difference, group);
        if (summary)
            printf("  %zu ranges gone, %zu new, %zu changed\n", group->gone, group->fresh, group->changed);
        for (size_t k = 0; !summary && k < group->n_changes; k++)
            put_change(difference, &group->changes[k]);
        if (!summary)
            putchar('\n');
    }
}

/* --- what the change causes --- */

static void put_heard(const struct difference *difference, bool summary)
{
    const struct transit *transit = &difference->transit;
    size_t n[HEARD_LOG_STOP + 1] = {0}, last = SIZE_MAX;

    for (size_t i = 0; i < transit->n_heard; i++)
        n[transit->heard[i].kind]++;
    printf("%slisteners hear%s %zu region_del, %zu region_add", color(COLOR_NAME), color(COLOR_NONE), n[HEARD_DEL],
           n[HEARD_ADD]);
    for (unsigned kind = HEARD_LOG_START; kind <= HEARD_LOG_STOP; kind++)
        if (n[kind])
            printf(", %zu %s", n[kind], heard_names[kind]);
    putchar('\n');
    for (size_t i = 0; !summary && i < transit->n_heard; i++) {
        const struct heard *heard = &transit->heard[i];
        bool bad = heard->kind == HEARD_DEL || heard->kind == HEARD_LOG_STOP;

        if (heard->group != last && difference->views.n_groups > 1) {
            fputs("  ", stdout);
            put_heading(difference, &difference->views.groups[heard->group]);
        }
        last = heard->group;
        printf("  %s%s%s %s%016" PRIx64 "-%016" PRIx64 "%s ", color(bad ? COLOR_BAD : COLOR_GOOD),
               heard_names[heard->kind], color(COLOR_NONE), color(COLOR_ADDRESS), heard->range.first, heard->range.last,
               color(COLOR_NONE));
        put_region(difference, heard->side, &heard->range);
        if (heard->kind == HEARD_LOG_START || heard->kind == HEARD_LOG_STOP) {
            fputs("  (", stdout);
            put_log(heard->before);
            fputs(" -> ", stdout);
            put_log(heard->after);
            putchar(')');
        }
        putchar('\n');
    }
}

static void put_slots(const struct difference *difference, bool summary)
{
    static const char *const names[] = {[TRANSIT_REFERENCE] = "reference", [TRANSIT_KEEP] = "keep"};

    for (unsigned policy = 0; policy < TRANSIT_POLICIES; policy++) {
        const struct transit_slots *slots = &difference->transit.slots[policy];

        printf("%sslots, policy %s%s: %zu calls, %zu removals, %s removed", color(COLOR_NAME), names[policy],
               color(COLOR_NONE), slots->n_calls, slots->counts.removals, bytes_text(slots->counts.removed).text);
        if (slots->counts.put_back)
            printf(" of which %s put back", bytes_text(slots->counts.put_back).text);
        if (slots->pauses)
            printf(", processors held out %" PRIu64 " time%s", slots->pauses, slots->pauses > 1 ? "s" : "");
        putchar('\n');
        for (size_t i = 0; !summary && i < slots->n_calls; i++) {
            fputs("  ", stdout);
            slot_call_print(stdout, &slots->calls[i], slots->sizes[i]);
        }
    }
}

static void put_transit(const struct difference *difference, bool summary)
{
    if (!difference->tried) {
        printf("%s\n", difference->not_tried.text);
        return;
    }
    put_heard(difference, summary);
    if (difference->transit.has_slots)
        put_slots(difference, summary);
    else
        puts("no slots: no space shows memory");
}

/* --- the trees --- */

static void put_lines(const struct difference *difference, const struct tree_change *change)
{
    size_t a = change->a == NOWHERE ? 0 : difference->sides[0]->topology.regions[change->a].line;
    size_t b = change->b == NOWHERE ? 0 : difference->sides[1]->topology.regions[change->b].line;

    fputs(color(COLOR_DIM), stdout);
    if (a && b)
        printf("  (lines %zu, %zu)", a, b);
    else if (a || b)
        printf("  (line %zu)", a ? a : b);
    printf("%s\n", color(COLOR_NONE));
}

static void put_tree_change(const struct difference *difference, const struct tree_change *change)
{
    unsigned side = change->a == NOWHERE;
    size_t region = side ? change->b : change->a;
    const struct topology *topology = &difference->sides[side]->topology;
    char *path = tree_path(topology, region);

    printf("%s%s%s ", mark_color(change->change), marks[change->change], color(COLOR_NONE));
    put_name(path);
    free(path);
    if (topology->regions[region].parent != NOWHERE)
        printf(" %s@%" PRIx64 "%s", color(COLOR_ADDRESS), topology->regions[region].offset, color(COLOR_NONE));
    if (change->below)
        printf(" and %zu region%s below it", change->below, change->below > 1 ? "s" : "");
    for (size_t i = 0; i < change->n_attributes; i++) {
        printf("%s %s ", i ? "," : ":", change->attributes[i].name);
        put_name(change->attributes[i].before);
        fputs(" -> ", stdout);
        put_name(change->attributes[i].after);
    }
    put_lines(difference, change);
}

static void put_tree(const struct difference *difference, bool summary)
{
    const struct tree_diff *tree = &difference->tree;

    printf("%sregions:%s %zu gone, %zu new, %zu changed\n", color(COLOR_NAME), color(COLOR_NONE), tree->gone,
           tree->fresh, tree->changed);
    for (size_t i = 0; !summary && i < tree->n_changes; i++)
        put_tree_change(difference, &tree->changes[i]);
}

void difference_text(const struct difference *difference, bool summary)
{
    if (!difference_any(difference))
        return;
    put_ranges(difference, summary);
    put_transit(difference, summary);
    if (difference->one_space)
        return;
    if (!summary)
        putchar('\n');
    put_tree(difference, summary);
}
