/* SPDX-License-Identifier: MIT */
/*
 * Owns what it makes of the text until flatdump_free(). One thread.
 *
 * A text that holds several flat dumps is a session in which `info mtree -f` was asked for more than once: the last counts. A
 * new one begins where something was asked for, behind a tree, and where the views are counted from 0 again.
 */
#include "flatdump.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dumptext.h"

enum place {
    OUTSIDE,  /* before the first view, behind a prompt, or in a tree: skipped */
    HEAD,     /* of a view: its spaces, its root */
    RANGES,   /* of a view */
    DISPATCH, /* what -d prints behind a view's ranges: skipped up to an empty line */
};

struct parser {
    struct flat_dump *dump;
    const struct source *source;
    struct problem *problem;
    enum place place;
    bool fresh;    /* the next view begins another dump */
    bool adjacent; /* the line before was an "address-space (flat view):", too */
};

static void free_content(struct flat_dump *dump)
{
    for (size_t i = 0; i < dump->n_views; i++) {
        struct flat_view *view = &dump->views[i];

        for (size_t k = 0; k < view->n_spaces; k++) {
            free(view->spaces[k].name);
            free(view->spaces[k].root);
            free(view->spaces[k].alias);
        }
        for (size_t k = 0; k < view->n_ranges; k++) {
            free(view->ranges[k].name);
            free(view->ranges[k].owner);
        }
        free(view->spaces);
        free(view->ranges);
        free(view->root);
    }
    free(dump->views);
}

void flatdump_free(struct flat_dump *dump)
{
    free_content(dump);
    free(dump->source);
    *dump = (struct flat_dump){0};
}

static struct flat_view *last_view(const struct parser *parser)
{
    return &parser->dump->views[parser->dump->n_views - 1];
}

static char *copy(const char *p, const char *end)
{
    return alloc_bytes(p, (size_t)(end - p));
}

static void begin_view(struct parser *parser, const struct dump_line *line)
{
    struct flat_dump *dump = parser->dump;

    if (line->kind == DUMP_VIEW && line->end - line->name == 1 && *line->name == '0')
        parser->fresh = true;
    if (parser->fresh) {
        free_content(dump);
        *dump = (struct flat_dump){.source = dump->source};
    }
    parser->fresh = false;
    parser->place = HEAD;
    alloc_grow(&dump->views, dump->n_views, sizeof(*dump->views));
    dump->views[dump->n_views++] = (struct flat_view){.line = line->number};
}

/* The first form: each space has its view, under its name. */
static void begin_flatspace(struct parser *parser, const struct dump_line *line)
{
    struct flat_view *view;

    if (!parser->adjacent)
        begin_view(parser, line);
    view = last_view(parser);
    alloc_grow(&view->spaces, view->n_spaces, sizeof(*view->spaces));
    view->spaces[view->n_spaces++] =
        (struct flat_space){.line = line->number, .name = copy(line->name, line->end), .root = alloc_text("")};
    parser->adjacent = true;
}

/* 'AS "NAME", root: ROOT[, alias NAME]'. NULL, or what is wrong. */
static const char *add_space(struct flat_view *view, const struct dump_line *line)
{
    const char *p = line->text, *end = line->end, *root, *alias;
    struct flat_space space = {.line = line->number};

    dump_word(&p, end, "AS \"");
    root = dump_find_last(p, end, "\", root:");
    if (!root)
        return "a space is said as AS \"NAME\", root: ROOT";
    space.name = copy(p, root);
    p = root + strlen("\", root:");
    dump_word(&p, end, " ");
    alias = dump_find_last(p, end, ", alias ");
    space.root = copy(p, alias ? alias : end);
    if (alias)
        space.alias = copy(alias + strlen(", alias "), end);
    alloc_grow(&view->spaces, view->n_spaces, sizeof(*view->spaces));
    view->spaces[view->n_spaces++] = space;
    return NULL;
}

/* "NAME[ @OFFSET][ owner...][ KVM]". NULL, or what is wrong; the range owns nothing then. */
static const char *parse_range(const struct dump_line *line, bool shows_owner, struct flat_range *range)
{
    const char *p = line->text, *end = line->end, *wrong, *at;
    struct dump_range begin;

    wrong = dump_range(&p, end, &begin);
    if (wrong)
        return wrong;
    *range = (struct flat_range){.line = line->number,
                                 .first = begin.first,
                                 .last = begin.last,
                                 .priority = begin.priority,
                                 .type = begin.type,
                                 .nonvolatile = begin.nonvolatile};
    range->kvm = dump_ending(p, &end, " KVM");
    range->owner = dump_owner(p, &end);
    if (line->last && shows_owner && !range->owner)
        return "every line before it names an owner";
    at = dump_find_last(p, end, " @");
    if (at && dump_offset(at + 2, end, &range->offset))
        end = at;
    else if (at && line->last && dump_is_hex(at + 2, end)) {
        free(range->owner);
        return "\"@\" is followed by an offset of 16 digits";
    }
    if (range->offset && range->last - range->first > UINT64_MAX - range->offset) {
        free(range->owner);
        return "the offset with the size goes past 2^64";
    }
    range->name = copy(p, end);
    return NULL;
}

static bool range_line(struct parser *parser, const struct dump_line *line)
{
    struct flat_view *view = last_view(parser);
    struct flat_range range;
    const char *wrong = parse_range(line, parser->dump->shows_owner, &range);

    if (wrong)
        return dump_refuse(parser->problem, parser->source, line, wrong);
    parser->place = RANGES;
    parser->dump->shows_owner |= range.owner != NULL;
    alloc_grow(&view->ranges, view->n_ranges, sizeof(*view->ranges));
    view->ranges[view->n_ranges++] = range;
    if (view->n_ranges > 1 && view->ranges[view->n_ranges - 2].last >= range.first)
        return dump_refuse(parser->problem, parser->source, line,
                           "a view's ranges follow one another by address, this one begins before the last one ended");
    return true;
}

/* A line of a view that is no range. */
static bool view_line(struct parser *parser, const struct dump_line *line)
{
    struct flat_view *view = last_view(parser);
    const char *p = line->text, *end = line->end, *wrong = NULL;

    if (parser->place == HEAD && dump_word(&p, end, "AS ")) {
        wrong = add_space(view, line);
    } else if (parser->place == HEAD && dump_word(&p, end, "Root memory region:")) {
        dump_word(&p, end, " ");
        if (view->root)
            wrong = "a view has one root";
        else if (end - p != 6 || memcmp(p, "(none)", 6) != 0)
            view->root = copy(p, end);
    } else if (dump_word(&p, end, "Dispatch")) {
        parser->place = DISPATCH;
    } else if (parser->place == HEAD && dump_word(&p, end, "No rendered FlatView")) {
        parser->place = RANGES;
    } else {
        wrong = "not a line of `info mtree -f`, nor of the session around it (or the rest of the line before, which "
                "was broken: "
                "lines must be whole)";
    }
    return !wrong || dump_refuse(parser->problem, parser->source, line, wrong);
}

static bool take_line(struct parser *parser, const struct dump_line *line)
{
    bool adjacent = parser->adjacent && line->kind == DUMP_FLATSPACE;

    parser->adjacent = adjacent;
    switch (line->kind) {
    case DUMP_VIEW:
        begin_view(parser, line);
        return true;
    case DUMP_FLATSPACE:
        begin_flatspace(parser, line);
        return true;
    case DUMP_SPACE:
    case DUMP_REGION:
    case DUMP_SESSION:
    case DUMP_ASK_TREE:
    case DUMP_ASK_FLAT:
        parser->place = OUTSIDE;
        parser->fresh = true;
        return true;
    case DUMP_BLANK:
        if (parser->place == DISPATCH)
            parser->place = RANGES;
        return true;
    case DUMP_RANGE:
        return parser->place == OUTSIDE || parser->place == DISPATCH || range_line(parser, line);
    case DUMP_OTHER:
        return parser->place == OUTSIDE || parser->place == DISPATCH || view_line(parser, line);
    }
    return true;
}

/* What the text ends in. */
static bool finish(struct parser *parser, const struct dump_line *line)
{
    if (!parser->dump->n_views)
        return problem_at(parser->problem, parser->source->name, 0,
                          "no view in it: `info mtree -f` begins with \"FlatView #0\"");
    if (parser->place == HEAD && line->kind != DUMP_BLANK)
        return dump_refuse(parser->problem, parser->source, line,
                           "the text ends within the heading of a view; ranges or \"No rendered FlatView\" follow it");
    return true;
}

bool flatdump_parse(const struct source *source, struct flat_dump *dump, struct problem *problem)
{
    struct parser parser = {.dump = dump, .source = source, .problem = problem};
    struct dump_reader reader;
    struct dump_line line = {0};
    bool ok = source_is_text(source, problem);

    *dump = (struct flat_dump){.source = alloc_text(source->name)};
    dump_begin(&reader, source);
    while (ok && dump_next(&reader, &line))
        ok = take_line(&parser, &line);
    ok = ok && finish(&parser, &line);
    dump_end(&reader);
    if (!ok)
        flatdump_free(dump);
    return ok;
}

bool flatdump_is_in(const struct source *source)
{
    struct dump_reader reader;
    struct dump_line line;
    bool found = false;

    dump_begin(&reader, source);
    while (!found && dump_next(&reader, &line))
        found = line.kind == DUMP_VIEW || line.kind == DUMP_FLATSPACE;
    dump_end(&reader);
    return found;
}
