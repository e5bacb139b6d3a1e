/* SPDX-License-Identifier: MIT */
/*
 * The SVG as a document: which spaces are drawn, one above the other, under a heading with the legend. Owns views and
 * pictures while it runs. One thread.
 *
 * Its size is bounded whatever the map is: a number of pictures, of boxes in each, and of characters in a name's tooltip.
 */
#include "draw.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "label.h"
#include "svg.h"

#define MARGIN 28
#define WIDTH_LEAST 320
#define WIDTH_USUAL 1160
#define WIDTH_MOST 1800
#define PICTURES 48 /* spaces that are drawn; others are named */
#define BOXES 4000  /* in all pictures together */
#define PIXELS 3    /* what is narrower is drawn together with its neighbours */
#define HEADING 40  /* of a picture */
#define BETWEEN 34  /* pictures */

/* Spaces that show the same. */
struct group {
    size_t *spaces; /* the first is drawn */
    size_t n_spaces;
    struct layout_range *ranges;
    size_t n_ranges;
    struct picture picture;
    double y;
};

struct document {
    const struct loaded *loaded;
    const struct draw_options *options;
    struct group *groups;
    size_t n_groups;
    size_t *empty; /* spaces that show nothing */
    size_t n_empty;
    size_t drawn;
    double width, legend_y, height;
    bool looks[LOOKS], readonly, disabled, arrows, folds;
};

struct collecting {
    const struct map *map;
    struct layout_range *ranges;
    size_t n;
    uint64_t first, last;
};

static int collect(void *opaque, const struct gmem_section *section)
{
    struct collecting *collecting = opaque;
    struct layout_range range = {.first = section->first,
                                 .last = section->last,
                                 .offset = section->offset,
                                 .attrs = section->attrs,
                                 .region = map_region(collecting->map, section->region)};

    if (range.region == NOWHERE || range.last < collecting->first || range.first > collecting->last)
        return 0;
    if (range.first < collecting->first) {
        range.offset += collecting->first - range.first;
        range.first = collecting->first;
    }
    if (range.last > collecting->last)
        range.last = collecting->last;
    alloc_grow(&collecting->ranges, collecting->n, sizeof(range));
    collecting->ranges[collecting->n++] = range;
    return 0;
}

static bool same(const struct group *group, const struct collecting *ranges)
{
    if (group->n_ranges != ranges->n)
        return false;
    for (size_t i = 0; i < ranges->n; i++) {
        const struct layout_range *a = &group->ranges[i], *b = &ranges->ranges[i];

        if (a->first != b->first || a->last != b->last || a->offset != b->offset || a->attrs != b->attrs ||
            a->region != b->region)
            return false;
    }
    return true;
}

/* How many aliases and containers one looks through before there is more than one thing: fewer make the simpler picture. */
static unsigned detours(const struct topology *topology, size_t space)
{
    size_t root = topology->spaces[space].root;
    unsigned n = 0;

    for (size_t at = root; at != NOWHERE && n < GMEM_DEPTH_MAX; n++) {
        size_t only = NOWHERE, children = 0;

        if (topology->regions[at].kind == GMEM_KIND_ALIAS) {
            at = topology->regions[at].target;
            continue;
        }
        for (size_t i = 0; i < topology->n_regions && children < 2; i++)
            if (topology->regions[i].parent == at)
                only = i, children++;
        if (children != 1)
            break;
        at = only;
    }
    return n;
}

static void add_space(struct document *document, size_t space)
{
    const struct loaded *loaded = document->loaded;
    const struct topology *topology = &loaded->topology;
    struct collecting ranges = {
        .map = &loaded->map, .first = document->options->first, .last = document->options->last};
    gmem_view *view = gmem_space_view(loaded->map.spaces[space]);
    struct group *group;
    size_t i;

    gmem_view_foreach(view, collect, &ranges);
    gmem_view_unref(view);
    if (!ranges.n && document->options->space == NOWHERE) {
        alloc_grow(&document->empty, document->n_empty, sizeof(*document->empty));
        document->empty[document->n_empty++] = space;
        return;
    }
    for (i = 0; i < document->n_groups && !same(&document->groups[i], &ranges); i++)
        ;
    if (i == document->n_groups) {
        alloc_grow(&document->groups, document->n_groups, sizeof(*document->groups));
        document->groups[document->n_groups++] = (struct group){.ranges = ranges.ranges, .n_ranges = ranges.n};
    } else {
        free(ranges.ranges);
    }
    group = &document->groups[i];
    alloc_grow(&group->spaces, group->n_spaces, sizeof(*group->spaces));
    group->spaces[group->n_spaces++] = space;
    if (group->n_spaces > 1 && group->n_spaces < 1000) {
        size_t other = group->spaces[0];
        unsigned here = detours(topology, space), there = detours(topology, other);

        if (here < there ||
            (here == there && strlen(topology->spaces[space].name) < strlen(topology->spaces[other].name))) {
            group->spaces[0] = space;
            group->spaces[group->n_spaces - 1] = other;
        }
    }
}

static int by_ranges(const void *a, const void *b)
{
    const struct group *x = a, *y = b;

    if (x->n_ranges != y->n_ranges)
        return x->n_ranges > y->n_ranges ? -1 : 1;
    return x->spaces[0] < y->spaces[0] ? -1 : x->spaces[0] > y->spaces[0];
}

/* The one with the most to see first. */
static void find_groups(struct document *document)
{
    if (document->options->space != NOWHERE)
        add_space(document, document->options->space);
    else
        for (size_t i = 0; i < document->loaded->topology.n_spaces; i++)
            add_space(document, i);
    qsort(document->groups, document->n_groups, sizeof(*document->groups), by_ranges);
    document->drawn = document->n_groups < PICTURES ? document->n_groups : PICTURES;
}

static bool lay_out(struct document *document, double width, struct problem *problem)
{
    struct layout_options options = {.first = document->options->first,
                                     .last = document->options->last,
                                     .left = MARGIN,
                                     .width = width - 2 * MARGIN,
                                     .least = PIXELS,
                                     .boxes = BOXES / (document->drawn ? document->drawn : 1)};

    document->width = width;
    for (size_t i = 0; i < document->drawn; i++) {
        struct group *group = &document->groups[i];

        layout_free(&group->picture);
        if (!layout_make(&document->loaded->topology, group->spaces[0], group->ranges, group->n_ranges, &options,
                         &group->picture, problem))
            return false;
    }
    return true;
}

/* As much as the one with the most pieces needs to be read, within reason. */
static double good_width(const struct document *document)
{
    double width = WIDTH_USUAL;

    for (size_t i = 0; i < document->drawn; i++)
        width = fmax(width, (double)document->groups[i].picture.axis.n * 26 + 2 * MARGIN);
    return fmin(width, WIDTH_MOST);
}

static void note_looks(struct document *document)
{
    for (size_t i = 0; i < document->drawn; i++) {
        const struct picture *picture = &document->groups[i].picture;

        for (size_t j = 0; j < picture->n_boxes; j++) {
            const struct box *box = &picture->boxes[j];

            document->looks[box->type == BOX_WINDOW ? LOOK_ALIAS : box->look] = true;
            document->looks[box->look] = true;
            document->readonly |= box->readonly && box->enabled && box->way != NOWHERE;
            document->disabled |= !box->enabled;
        }
        for (size_t j = 0; j < picture->n_winners; j++) {
            document->looks[picture->winners[j].look] = true;
            document->readonly |= picture->winners[j].range.attrs & GMEM_RANGE_READONLY;
        }
        document->arrows |= picture->n_arrows > 0;
        for (size_t j = 0; j < picture->axis.n; j++)
            document->folds |= picture->axis.pieces[j].folded;
    }
}

static void text_at(FILE *out, const char *class, double x, double y, const char *text)
{
    fprintf(out, "<text class=\"%s\"", class);
    svg_number(out, "x", x);
    svg_number(out, "y", y);
    fputc('>', out);
    svg_text(out, text);
    fputs("</text>\n", out);
}

/* Text that is cut to the width that there is; a cell of its font is at most this wide. */
static void fitted(FILE *out, const char *class, double x, double y, const char *bytes, double width, double cell)
{
    char *text = label_text(bytes), *fit = label_fit(text, (size_t)(width / cell));

    if (fit)
        text_at(out, class, x, y, fit);
    free(fit);
    free(text);
}

/* An entry of the legend: returns where the next one begins, and goes to the next line where there is no more room. */
static bool legend_entry(const struct document *document, FILE *out, double *x, double *y, const char *words)
{
    double needs = 30 + (double)strlen(words) * 6.9 + 16;

    if (*x > MARGIN && *x + needs > document->width - MARGIN) {
        *x = MARGIN;
        *y += 22;
    }
    if (out)
        text_at(out, "p", *x + 28, *y + 11, words);
    *x += needs;
    return out;
}

static void swatch(FILE *out, double x, double y, const char *class)
{
    fputs("<rect", out);
    svg_number(out, "x", x + 0.5);
    svg_number(out, "y", y + 0.5);
    fprintf(out, " width=\"21\" height=\"13\" rx=\"2\" class=\"%s\"/>", class);
}

/* Where it ends; with out NULL only that. */
static double legend(const struct document *document, FILE *out, double y)
{
    static const enum look order[] = {LOOK_RAM,    LOOK_ROM,   LOOK_ROMD,     LOOK_RAMD,
                                      LOOK_DEVICE, LOOK_IOMMU, LOOK_RESERVED, LOOK_CONTAINER};
    double x = MARGIN, at;

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (document->looks[order[i]]) {
            const char *class = svg_class(order[i]);

            if (legend_entry(document, out, &x, &y, svg_kind(order[i]))) {
                char *classes = alloc_format("box b-%s", class), *solid = alloc_format("s-%s", class);

                at = x - (30 + (double)strlen(svg_kind(order[i])) * 6.9 + 16);
                swatch(out, at, y, classes);
                if (order[i] != LOOK_CONTAINER)
                    fprintf(out, "<rect x=\"%ld\" y=\"%ld\" width=\"21\" height=\"7\" class=\"%s\"/>\n", lround(at),
                            lround(y) + 7, solid);
                free(classes);
                free(solid);
            }
        }
    if (document->looks[LOOK_ALIAS] && legend_entry(document, out, &x, &y, "alias, and where it leads")) {
        at = x - (30 + 25 * 6.9 + 16);
        swatch(out, at, y, "box b-alias alias");
        fprintf(out, "<path class=\"line\" d=\"M%ld %ldh9\"/><path class=\"tip\" d=\"M%ld %ldl-5 -3.5v7z\"/>\n",
                lround(at) + 4, lround(y) + 7, lround(at) + 18, lround(y) + 7);
    }
    if (document->readonly && legend_entry(document, out, &x, &y, "takes no writes")) {
        at = x - (30 + 15 * 6.9 + 16);
        swatch(out, at, y, "box b-container");
        swatch(out, at, y, "hatch");
    }
    if (document->disabled && legend_entry(document, out, &x, &y, "disabled")) {
        at = x - (30 + 8 * 6.9 + 16);
        swatch(out, at, y, "box b-container no");
    }
    if (document->folds && legend_entry(document, out, &x, &y, "addresses left out, and how many")) {
        at = x - (30 + 32 * 6.9 + 16);
        fprintf(out, "<path class=\"fold\" d=\"M%ld %ldh4l3 -4 5 8 5 -8 3 4h3\"/>\n", lround(at), lround(y) + 7);
    }
    return x > MARGIN ? y + 22 : y;
}

static char *names_of(const struct document *document, const size_t *spaces, size_t n)
{
    char *names = alloc_text("");

    for (size_t i = 0; i < n && strlen(names) < 2000; i++) {
        char *more = alloc_format("%s%s%s", names, i ? ", " : "", document->loaded->topology.spaces[spaces[i]].name);

        free(names);
        names = more;
    }
    return names;
}

static void write_group(const struct document *document, const struct group *group, FILE *out)
{
    const struct picture *picture = &group->picture;
    char *names = names_of(document, group->spaces, group->n_spaces);
    char *about = alloc_format("%zu range%s%s", group->n_ranges, group->n_ranges == 1 ? "" : "s",
                               group->n_ranges ? "; asked first on top, who answers on the bottom line"
                                               : ": nothing answers here");
    double width = document->width - 2 * MARGIN;

    fitted(out, "h", MARGIN, group->y + 14, names, width - 20, 9.5);
    text_at(out, "pm", MARGIN, group->y + 31, about);
    svg_picture(out, picture, group->y + HEADING);
    free(about);
    if (picture->hidden || picture->stubs_left) {
        about =
            picture->stubs_left
                ? alloc_format("%zu regions lower down and %zu more targets are not drawn; --range shows part of it",
                               picture->hidden, picture->stubs_left)
                : alloc_format("%zu regions lower down are not drawn; --range shows part of it", picture->hidden);
        text_at(out, "pm", MARGIN, group->y + HEADING + picture->height + 16, about);
        free(about);
    }
    free(names);
}

static void write_rest(const struct document *document, FILE *out, double y)
{
    double width = document->width - 2 * MARGIN;
    char *names, *words;

    if (!document->loaded->topology.n_spaces || (!document->drawn && !document->n_empty)) {
        text_at(out, "p", MARGIN, y + 12, "There is no address space here.");
        return;
    }
    if (document->n_groups > document->drawn) {
        words = alloc_format("%zu more spaces are not drawn; --space NAME draws one.",
                             document->n_groups - document->drawn);
        text_at(out, "pm", MARGIN, y + 12, words);
        free(words);
        y += 20;
    }
    if (document->n_empty) {
        names = names_of(document, document->empty, document->n_empty);
        words = alloc_format("Nothing answers in: %s", names);
        fitted(out, "pm", MARGIN, y + 12, words, width, 7.6);
        free(names);
        free(words);
    }
}

static void write_document(struct document *document, FILE *out)
{
    const char *title = document->options->title ? document->options->title : document->loaded->name;
    double y = MARGIN + 30, rest;

    document->legend_y = y;
    y = legend(document, NULL, y) + 18;
    for (size_t i = 0; i < document->drawn; i++) {
        document->groups[i].y = y;
        y += HEADING + document->groups[i].picture.height + BETWEEN;
    }
    rest = y;
    document->height = y + (document->n_empty || document->n_groups > document->drawn || !document->drawn ? 32 : -10);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%ld\" height=\"%ld\" viewBox=\"0 0 %ld %ld\" "
            "role=\"img\" aria-labelledby=\"title\">\n<title id=\"title\">",
            lround(document->width), lround(document->height), lround(document->width), lround(document->height));
    svg_text(out, title);
    fputs("</title>\n", out);
    svg_style(out);
    fputs("<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n", out);
    fitted(out, "t", MARGIN, MARGIN + 14, title, document->width - 2 * MARGIN, 13);
    legend(document, out, document->legend_y);
    for (size_t i = 0; i < document->drawn; i++)
        write_group(document, &document->groups[i], out);
    write_rest(document, out, rest);
    fputs("</svg>\n", out);
}

bool draw_svg(const struct loaded *loaded, const struct draw_options *options, FILE *out, struct problem *problem)
{
    struct document document = {.loaded = loaded, .options = options};
    double width = options->width ? fmax(options->width, WIDTH_LEAST) : WIDTH_USUAL;
    bool ok;

    find_groups(&document);
    ok = lay_out(&document, width, problem);
    if (ok && !options->width && good_width(&document) > width)
        ok = lay_out(&document, good_width(&document), problem);
    if (ok) {
        note_looks(&document);
        write_document(&document, out);
    }
    for (size_t i = 0; i < document.n_groups; i++) {
        layout_free(&document.groups[i].picture);
        free(document.groups[i].spaces);
        free(document.groups[i].ranges);
    }
    free(document.groups);
    free(document.empty);
    return ok;
}
