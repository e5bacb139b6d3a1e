/* SPDX-License-Identifier: MIT */
/*
 * Owns the changes found until tree_diff_free(). One thread.
 *
 * Of regions that are gone or new only the topmost are told; what is below them came and went with them.
 */
#include "treediff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define PATH_MAX_NAMES 8

char *tree_path(const struct topology *topology, size_t region)
{
    char *path = alloc_text(topology->regions[region].name);

    for (unsigned n = 1; topology->regions[region].parent != NOWHERE; n++) {
        char *longer;

        region = topology->regions[region].parent;
        longer = alloc_format("%s/%s", n < PATH_MAX_NAMES ? topology->regions[region].name : "...", path);
        free(path);
        path = longer;
        if (n == PATH_MAX_NAMES)
            break;
    }
    return path;
}

/* before and after are given away, and told if they differ. */
static void tell(struct tree_change *change, const char *name, char *before, char *after)
{
    if (strcmp(before, after) == 0) {
        free(before);
        free(after);
        return;
    }
    alloc_grow(&change->attributes, change->n_attributes, sizeof(*change->attributes));
    change->attributes[change->n_attributes++] = (struct tree_attribute){name, before, after};
}

static void tell_bool(struct tree_change *change, const char *name, bool before, bool after)
{
    if (before != after)
        tell(change, name, alloc_text(before ? "true" : "false"), alloc_text(after ? "true" : "false"));
}

static void tell_address(struct tree_change *change, const char *name, uint64_t before, uint64_t after)
{
    if (before != after)
        tell(change, name, alloc_format("0x%" PRIx64, before), alloc_format("0x%" PRIx64, after));
}

static char *size_of(gmem_size size)
{
    return size.all ? alloc_text("0x10000000000000000") : alloc_format("0x%" PRIx64, size.bytes);
}

static char *name_of(const struct topology *topology, size_t region)
{
    return alloc_text(region == NOWHERE ? "none" : topology->regions[region].name);
}

/* Another region, not only one of another name. */
static void tell_region(struct tree_change *change, const char *name, const struct pairing *pairing, size_t a, size_t b)
{
    char *before, *after;

    if (a == NOWHERE ? b == NOWHERE : pairing->to_b[a] == b)
        return;
    before = name_of(pairing->a, a);
    after = name_of(pairing->b, b);
    if (strcmp(before, after) == 0) {
        free(after);
        after = alloc_format("another %s", before);
    }
    tell(change, name, before, after);
}

static void compare(const struct pairing *pairing, struct tree_change *change)
{
    const struct topo_region *x = &pairing->a->regions[change->a], *y = &pairing->b->regions[change->b];

    tell_region(change, "container", pairing, x->parent, y->parent);
    tell_bool(change, "enabled", x->enabled, y->enabled);
    tell_address(change, "offset", x->offset, y->offset);
    tell(change, "size", size_of(x->size), size_of(y->size));
    if (x->priority != y->priority)
        tell(change, "priority", alloc_format("%" PRId32, x->priority), alloc_format("%" PRId32, y->priority));
    tell_bool(change, "readonly", x->readonly, y->readonly);
    tell_bool(change, "nonvolatile", x->nonvolatile, y->nonvolatile);
    if (x->kind == GMEM_KIND_ROMD && y->kind == GMEM_KIND_ROMD)
        tell_bool(change, "romd", x->romd, y->romd);
    tell_address(change, "log", x->log, y->log);
    if (x->kind == GMEM_KIND_ALIAS && y->kind == GMEM_KIND_ALIAS) {
        tell_region(change, "target", pairing, x->target, y->target);
        tell_address(change, "target_offset", x->target_offset, y->target_offset);
    }
}

static void add_change(struct tree_diff *diff, const struct tree_change *change)
{
    alloc_grow(&diff->changes, diff->n_changes, sizeof(*diff->changes));
    diff->changes[diff->n_changes++] = *change;
}

/* Regions without a peer, each told with or below the topmost such. */
static void tell_unpaired(const struct topology *topology, const size_t *peer, enum change kind, struct tree_diff *diff)
{
    size_t n = topology->n_regions;
    size_t *top = alloc_zeroed(n, sizeof(*top)), *below = alloc_zeroed(n, sizeof(*below));

    for (size_t i = 0; i < n; i++)
        top[i] = NOWHERE;
    for (size_t i = 0; i < n; i++) {
        size_t at = i;

        if (peer[i] != NOWHERE)
            continue;
        while (top[at] == NOWHERE && topology->regions[at].parent != NOWHERE &&
               peer[topology->regions[at].parent] == NOWHERE)
            at = topology->regions[at].parent;
        if (top[at] == NOWHERE)
            top[at] = at;
        /* The way up is not gone again for those that are on it. */
        for (size_t on = i, to = top[at]; top[on] == NOWHERE; on = topology->regions[on].parent)
            top[on] = to;
        below[top[i]] += top[i] != i;
    }
    for (size_t i = 0; i < n; i++)
        if (top[i] == i)
            add_change(diff, &(struct tree_change){.change = kind,
                                                   .a = kind == CHANGE_GONE ? i : NOWHERE,
                                                   .b = kind == CHANGE_NEW ? i : NOWHERE,
                                                   .below = below[i]});
    free(top);
    free(below);
}

void tree_diff(const struct pairing *pairing, struct tree_diff *diff)
{
    *diff = (struct tree_diff){0};
    for (size_t i = 0; i < pairing->a->n_regions; i++) {
        struct tree_change change = {.change = CHANGE_CHANGED, .a = i, .b = pairing->to_b[i]};

        if (change.b == NOWHERE) {
            diff->gone++;
            continue;
        }
        compare(pairing, &change);
        if (change.n_attributes)
            add_change(diff, &change);
        diff->changed += change.n_attributes > 0;
    }
    for (size_t i = 0; i < pairing->b->n_regions; i++)
        diff->fresh += pairing->to_a[i] == NOWHERE;
    tell_unpaired(pairing->a, pairing->to_b, CHANGE_GONE, diff);
    tell_unpaired(pairing->b, pairing->to_a, CHANGE_NEW, diff);
}

void tree_diff_free(struct tree_diff *diff)
{
    for (size_t i = 0; i < diff->n_changes; i++) {
        for (size_t k = 0; k < diff->changes[i].n_attributes; k++) {
            free(diff->changes[i].attributes[k].before);
            free(diff->changes[i].attributes[k].after);
        }
        free(diff->changes[i].attributes);
    }
    free(diff->changes);
    *diff = (struct tree_diff){0};
}
