/* SPDX-License-Identifier: MIT */
/*
 * introspect_tree.c - the tree as text, in the form of QEMU's `info mtree` (recorded: tests/data/qemu).
 *
 * Siblings are printed by rising address, then falling priority, then in the order in which they win. A region that is the target of
 * any alias met on the way, shown or not, gets a section of its own, once, at its own address; printing that may find more.
 * Without GMEM_PRINT_DISABLED a disabled region's line is left out but not what is below it.
 *
 * Runs with the writer turn. No recursion: inside a transaction the nesting has no limit yet.
 */
#include "child_index.h"
#include "introspect.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct place {
    gmem_region *region;
    uint64_t base; /* where the container begins */
    size_t level;
};

struct tree {
    struct gmem__print *print;
    struct place *stack; /* still to be printed, the next one last */
    size_t count, room;
    gmem_region **targets; /* of aliases, in the order found */
    size_t target_count, target_room;
};

static int push(struct tree *tree, gmem_region *region, uint64_t base, size_t level)
{
    void *stack = tree->stack;
    int err = gmem__grow(&stack, &tree->room, tree->count + 1, sizeof(*tree->stack));

    tree->stack = stack;
    if (!err)
        tree->stack[tree->count++] = (struct place){region, base, level};
    return err;
}

struct level {
    struct tree *tree;
    uint64_t base;
    size_t level;
};

static int push_child(void *opaque, gmem_region *child)
{
    const struct level *level = opaque;

    return push(level->tree, child, level->base, level->level);
}

static int push_children(struct tree *tree, const struct place *place)
{
    struct level level = {tree, place->base + place->region->p.offset, place->level + 1};
    size_t low = tree->count, high;
    int err = gmem__child_index_walk(place->region->child_index, 0, GMEM__LAST, push_child, &level);

    /* The stack is emptied from its end: the last to be printed is first. */
    for (high = tree->count; low + 1 < high; low++) {
        struct place swap = tree->stack[low];

        tree->stack[low] = tree->stack[--high];
        tree->stack[high] = swap;
    }
    return err;
}

static int note_target(struct tree *tree, gmem_region *target)
{
    struct gmem__id *id = gmem__id_of(tree->print, target);
    void *targets = tree->targets;
    int err;

    if (id->seen)
        return 0;
    err = gmem__grow(&targets, &tree->target_room, tree->target_count + 1, sizeof(*tree->targets));
    tree->targets = targets;
    if (!err) {
        tree->targets[tree->target_count++] = target;
        id->seen = true;
    }
    return err;
}

static void print_line(struct gmem__print *print, const struct place *place)
{
    const gmem_region *region = place->region, *target = region->p.target;
    struct gmem__text *text = &print->text;
    uint64_t first = place->base + region->p.offset, last = first + region->p.last;

    for (size_t i = 0; i <= place->level; i++)
        gmem__text_add(text, "  ", 2);
    if (first < place->base || last < first)
        gmem__text_string(text, "[DETECTED OVERFLOW!] ");
    gmem__text_format(text, "%016" PRIx64 "-%016" PRIx64 " (prio %" PRId32 ", %s%s): %s", first, last,
                      region->p.priority, region->p.attrs & GMEM_RANGE_NONVOLATILE ? "nv-" : "",
                      gmem_region_type(region), target ? "alias " : "");
    gmem__text_string(text, region->name);
    if (target) {
        gmem__text_string(text, " @");
        gmem__text_string(text, target->name);
        gmem__text_format(text, " %016" PRIx64 "-%016" PRIx64, region->p.target_from,
                          region->p.target_from + region->p.last);
    }
    if (!gmem__region_enabled(region))
        gmem__text_string(text, " [disabled]");
    if ((print->options.flags & GMEM_PRINT_OWNER) && *gmem_region_label(region)) {
        gmem__text_string(text, " ");
        gmem__text_string(text, gmem_region_label(region));
    }
    gmem__text_string(text, "\n");
}

/* A root and what is below it, at the address it has itself, and the empty line that ends a section. */
static int print_section(struct tree *tree, gmem_region *root)
{
    struct gmem__print *print = tree->print;
    int err = push(tree, root, 0, 0);

    while (!err && tree->count > 0 && !print->text.err) {
        struct place place = tree->stack[--tree->count];

        if (gmem__region_enabled(place.region) || (print->options.flags & GMEM_PRINT_DISABLED))
            print_line(print, &place);
        if (place.region->p.target)
            err = note_target(tree, place.region->p.target);
        if (!err)
            err = push_children(tree, &place);
    }
    gmem__text_string(&print->text, "\n");
    return err;
}

static const void *key_root(const gmem_space *space)
{
    return space->root;
}

static int compare_names(const void *left, const void *right)
{
    const struct gmem__entry *a = left, *b = right;
    int order = strcmp(a->space->name, b->space->name);

    if (order)
        return order;
    return (a->order > b->order) - (a->order < b->order);
}

static int print_spaces(struct tree *tree)
{
    struct gmem__entry *entries;
    size_t count, end;
    int err = gmem__entries(tree->print, key_root, &entries, &count);

    if (err)
        return err;
    for (size_t i = 0; !err && i < count; i = end) {
        end = gmem__entries_end(entries, count, i);
        qsort(entries + i, end - i, sizeof(*entries), compare_names);
        for (size_t j = i; j < end; j++) {
            gmem__text_string(&tree->print->text, "address-space: ");
            gmem__text_string(&tree->print->text, entries[j].space->name);
            gmem__text_string(&tree->print->text, "\n");
        }
        err = print_section(tree, entries[i].space->root);
    }
    free(entries);
    return err;
}

int gmem__print_tree_text(struct gmem__print *print)
{
    struct tree tree = {.print = print};
    int err = print_spaces(&tree);

    for (size_t i = 0; !err && i < tree.target_count; i++) {
        gmem__text_string(&print->text, "memory-region: ");
        gmem__text_string(&print->text, tree.targets[i]->name);
        gmem__text_string(&print->text, "\n");
        err = print_section(&tree, tree.targets[i]);
    }
    free(tree.stack);
    free(tree.targets);
    return err;
}
