/* SPDX-License-Identifier: MIT */
/*
 * Rules for what neither the tree nor a flat dump says, and the list of what was settled how. Owns nothing. One thread.
 */
#include "infer_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alloc.h"

/* Comparisons of siblings; those of a container that take more are left in the order in which they are printed. */
#define PAIRS_MAX ((size_t)1 << 20)

static bool has(const char *name, const char *part)
{
    return strcasestr(name, part) != NULL;
}

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);

    return n >= k && strcasecmp(name + n - k, end) == 0;
}

static bool up_to(gmem_size size, uint64_t bytes)
{
    return !size.all && size.bytes <= bytes;
}

static const char *name_of(const struct infer *in, size_t region)
{
    return region == NOWHERE ? "" : in->topology->regions[region].name;
}

/* Why a region answers although it has subregions; NULL: it does not. */
static const char *answers_itself(const struct infer *in, size_t index)
{
    const struct topo_region *region = &in->topology->regions[index];

    if (in->regions[index].ports)
        return "all ports end in it";
    if (up_to(region->size, 8))
        return "no more than a register";
    if (has(region->name, "iommu"))
        return "an IOMMU translates all of it";
    if (has(region->name, "window"))
        return "the window of a bus answers where nothing on the bus does";
    if (ends(region->name, "mmio") && up_to(region->size, 0x10000))
        return "registers of a device, with more registers in them";
    return NULL;
}

/* Why a region only contains although it has no subregions; NULL: it answers. */
static const char *is_empty(const struct infer *in, size_t index)
{
    const struct topo_region *region = &in->topology->regions[index];
    const char *name = region->name;
    bool bus = has(name, "pci") || has(name, "isa");

    if (in->regions[index].ports || has(name, "iommu"))
        return NULL;
    if (has(name_of(in, region->parent), "window"))
        return "what is seen through the window of a bus, with nothing in it";
    if (has(name, "container"))
        return "a container with nothing in it";
    if (ends(name, " bus") || has(name, " bus "))
        return "a bus with nothing on it";
    if (ends(name, "-memory") && !up_to(region->size, 0xfffff))
        return "a place for memory, with none in it";
    if (region->size.all)
        return "no device answers everywhere";
    if (bus && (!up_to(region->size, UINT32_MAX) || (ends(name, "mem") || has(name, "membar"))))
        return "the addresses of a bus, with nothing there";
    if (bus && ends(name, "io") && !up_to(region->size, 0xffff) && up_to(region->size, 0x10000))
        return "the ports of a bus, with nothing there";
    return NULL;
}

enum gmem_kind infer_rule_kind(const struct infer *in, size_t region, const char **ret_why)
{
    bool parent = in->regions[region].parent_of_some;
    const char *why = parent ? answers_itself(in, region) : is_empty(in, region);
    enum gmem_kind kind = parent == !why ? GMEM_KIND_CONTAINER : GMEM_KIND_MMIO;

    if (ret_why)
        *ret_why = why ? why : parent ? "it has subregions" : "it has no subregions";
    return kind;
}

/*
 * The registers that choose for each piece of memory below 1 MiB whether reads and writes go to RAM or to the bus (Intel's PAM): reads
 * from RAM and writes to nowhere is a read-only window on RAM.
 */
static bool is_window(const struct infer *in, size_t index)
{
    const struct topo_region *region = &in->topology->regions[index];

    return region->kind == GMEM_KIND_ALIAS && strncasecmp(region->name, "pam", 3) == 0 && ends(region->name, "rom") &&
           region->target != NOWHERE && in->topology->regions[region->target].kind == GMEM_KIND_RAM;
}

static int by_place(const void *a, const void *b, void *opaque)
{
    const struct topo_region *regions = opaque;
    const struct topo_region *x = &regions[*(const size_t *)a], *y = &regions[*(const size_t *)b];

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static bool smaller(const struct topo_region *a, const struct topo_region *b)
{
    return a->size.all == b->size.all ? a->size.bytes < b->size.bytes : b->size.all;
}

/*
 * Siblings of one priority at one address are printed in the order in which they win, others by address: of two that overlap the
 * smaller is taken to win, which lies over a part of the larger.
 */
void infer_rule_order(struct infer *in)
{
    struct topo_region *regions = in->topology->regions;
    size_t n = in->topology->n_regions, n_pairs = 0, looked = 0;
    size_t *order = alloc_zeroed(n, sizeof(*order)), count = 0;
    struct infer_before *pairs = NULL;

    for (size_t i = 0; i < n; i++)
        if (regions[i].parent != NOWHERE && regions[i].enabled)
            order[count++] = i;
    qsort_r(order, count, sizeof(*order), by_place, regions);
    for (size_t i = 0; i < count; i++) {
        const struct topo_region *a = &regions[order[i]];
        uint64_t length = a->size.all ? UINT64_MAX : a->size.bytes - 1;

        for (size_t k = i + 1; k < count && looked < PAIRS_MAX; k++, looked++) {
            const struct topo_region *b = &regions[order[k]];
            bool second;

            if (b->parent != a->parent || b->priority != a->priority || b->offset - a->offset > length)
                break;
            second = b->offset != a->offset && smaller(b, a);
            alloc_grow(&pairs, n_pairs, sizeof(*pairs));
            pairs[n_pairs++] = (struct infer_before){.first = order[second ? k : i], .second = order[second ? i : k]};
            in->regions[order[i]].overlaps |= b->offset != a->offset;
        }
    }
    infer_order(in, pairs, infer_tidy(pairs, n_pairs));
    for (size_t i = 0; i < n; i++)
        in->regions[i].ordered = in->regions[i].reordered = false;
    free(order);
    free(pairs);
}

static void guess(struct infer *in, size_t region, enum settled by, bool against, const char *what, const char *why)
{
    struct topology *topology = in->topology;

    topology_guess(topology, region, by, "%s %s: %s", topology->regions[region].name, what, why);
    topology->guesses[topology->n_guesses - 1].against_rule = against;
}

/* Of text that prints access in place of kinds: RW is memory, or a device that can be read and written. */
static bool settle_memory(struct infer *in, size_t index)
{
    struct topo_region *region = &in->topology->regions[index];
    const struct infer_region *found = &in->regions[index];
    bool named = has(region->name, "ram") || has(region->name, "rom") || has(region->name, "bios");

    if (!found->open_memory || found->parent_of_some || (!found->aliased && !named))
        return false;
    region->kind = GMEM_KIND_RAM;
    guess(in, index, SETTLED_RULE, false, "is memory",
          found->aliased ? "aliases show parts of it, and it has no subregions" : "by its name");
    return true;
}

/* The same text prints a read-only alias of what can be written as R-. */
static void settle_access(struct infer *in, size_t index)
{
    struct topo_region *region = &in->topology->regions[index];
    size_t node = in->regions[index].node;

    if (region->target != NOWHERE && node != SIZE_MAX && in->mtree->nodes[node].type == MTREE_READONLY &&
        in->topology->regions[region->target].kind != GMEM_KIND_ROM)
        region->readonly = true;
}

static void settle_kind(struct infer *in, size_t index)
{
    struct topo_region *region = &in->topology->regions[index];
    const struct infer_region *found = &in->regions[index];
    const char *why;
    enum gmem_kind rule = infer_rule_kind(in, index, &why);
    enum settled by = found->answers || found->silent ? SETTLED_FLAT : SETTLED_RULE;

    region->kind = found->answers ? GMEM_KIND_MMIO : found->silent ? GMEM_KIND_CONTAINER : rule;
    if (by == SETTLED_FLAT)
        why = found->answers ? "the flat dump shows it" : "the flat dump shows what is below it, or nothing";
    guess(in, index, by, region->kind != rule,
          region->kind == GMEM_KIND_MMIO ? "answers accesses" : "only contains, and answers nothing itself", why);
}

void infer_rules(struct infer *in)
{
    struct topology *topology = in->topology;

    for (size_t i = 0; i < topology->n_regions; i++) {
        if (in->regions[i].node != SIZE_MAX && in->misfit[in->regions[i].node])
            guess(in, i, SETTLED_RULE, false, "is in something disabled that is not printed",
                  "by its address or place it can't be in what it is printed below");
        if (in->regions[i].open_kind && !settle_memory(in, i))
            settle_kind(in, i);
        settle_access(in, i);
        if (in->regions[i].window) {
            guess(in, i, SETTLED_FLAT, !is_window(in, i), "is read-only",
                  "the flat dump shows as rom what is seen through it, and is not");
        } else if (is_window(in, i)) {
            topology->regions[i].readonly = !in->regions[i].shown_writable;
            guess(in, i, in->regions[i].shown_writable ? SETTLED_FLAT : SETTLED_RULE, in->regions[i].shown_writable,
                  in->regions[i].shown_writable ? "is not read-only" : "is read-only",
                  in->regions[i].shown_writable ? "the flat dump shows it so" : "such windows are");
        }
        if (in->regions[i].ordered)
            guess(in, i, SETTLED_FLAT, in->regions[i].reordered, "has its place among its equals",
                  "the flat dump shows who wins where they overlap");
        else if (in->regions[i].overlaps)
            guess(in, i, SETTLED_RULE, false, "overlaps an equal", "the smaller wins");
    }
    for (size_t i = 0; i < in->n_choices; i++) {
        const struct infer_choice *choice = &in->choices[i];

        topology_guess(topology, choice->alias, choice->confirmed ? SETTLED_FLAT : SETTLED_RULE,
                       "%s shows number %zu of %zu regions of the name that it gives: %s",
                       topology->regions[choice->alias].name, choice->chosen + 1, choice->n_candidates,
                       choice->confirmed ? "what the flat dump shows there is in that" : "by order, or owner");
        topology->guesses[topology->n_guesses - 1].against_rule = choice->confirmed && choice->chosen != choice->rule;
    }
    for (size_t i = 0; i < in->n_twins; i++)
        topology_guess(topology, in->root_of[in->twins[i].section], SETTLED_RULE,
                       "section \"%s\" in line %zu is the first of %zu regions that look like it",
                       in->mtree->sections[in->twins[i].section].names[0],
                       in->mtree->sections[in->twins[i].section].line, in->twins[i].n_nodes);
}
