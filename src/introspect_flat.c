/* SPDX-License-Identifier: MIT */
/*
 * introspect_flat.c - the flat views as text, in the form of QEMU's `info mtree -f` (recorded: tests/data/qemu).
 *
 * Each published view is printed once, under the names of the spaces that share it. Runs with the writer turn, which keeps the views
 * in place and the priorities from changing.
 */
#include "introspect.h"
#include <inttypes.h>
#include <stdlib.h>

struct flat {
    struct gmem__print *print;
    gmem_space *space; /* the oldest that shows the view */
};

static int print_range(void *opaque, const struct gmem_section *given)
{
    const struct flat *flat = opaque;
    struct gmem__text *text = &flat->print->text;
    const gmem_region *region = given->region;
    struct gmem_section section = *given;

    section.space = flat->space;
    gmem__text_format(text, "  %016" PRIx64 "-%016" PRIx64 " (prio %" PRId32 ", %s%s): ", section.first, section.last,
                      region->p.priority, section.attrs & GMEM_RANGE_NONVOLATILE ? "nv-" : "",
                      gmem__section_type(&section));
    gmem__text_string(text, region->name);
    if (section.offset)
        gmem__text_format(text, " @%016" PRIx64, section.offset);
    if ((flat->print->options.flags & GMEM_PRINT_OWNER) && *gmem_region_label(region)) {
        gmem__text_string(text, " ");
        gmem__text_string(text, gmem_region_label(region));
    }
    gmem__text_string(text, gmem__mark(flat->print, &section));
    gmem__text_string(text, "\n");
    return text->err;
}

static void print_space(struct gmem__text *text, const gmem_space *space)
{
    gmem__text_string(text, " AS \"");
    gmem__text_string(text, space->name);
    gmem__text_string(text, "\", root: ");
    gmem__text_string(text, space->root->name);
    if (space->root->p.target) {
        gmem__text_string(text, ", alias ");
        gmem__text_string(text, space->root->p.target->name);
    }
    gmem__text_string(text, "\n");
}

int gmem__print_flat_text(struct gmem__print *print)
{
    struct gmem__text *text = &print->text;
    struct gmem__entry *entries;
    size_t count, end, number = 0;
    int err = gmem__entries(print, gmem__key_view, &entries, &count);

    if (err)
        return err;
    for (size_t i = 0; !err && i < count; i = end) {
        const gmem_view *view = entries[i].key;
        const gmem_region *root = gmem_view_root(view);
        struct flat flat = {print, entries[i].space};

        end = gmem__entries_end(entries, count, i);
        gmem__text_format(text, "FlatView #%zu\n", number++);
        for (size_t j = i; j < end; j++)
            print_space(text, entries[j].space);
        gmem__text_string(text, " Root memory region: ");
        gmem__text_string(text, root ? root->name : "(none)");
        gmem__text_string(text, "\n");
        if (gmem_view_count(view) == 0)
            gmem__text_string(text, "  No rendered FlatView\n");
        err = gmem_view_foreach(view, print_range, &flat);
        if (!err && (print->options.flags & GMEM_PRINT_DISPATCH))
            gmem__print_dispatch_text(print, view);
        gmem__text_string(text, "\n");
    }
    free(entries);
    return err;
}
