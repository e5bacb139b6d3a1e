/* SPDX-License-Identifier: MIT */
/*
 * Owns what it makes of the text until mtree_free(). One thread.
 *
 * Headings tell the forms apart. "address-space: NAME" and "memory-region: NAME" stand over the nodes. In the first releases it
 * was the bare NAME of a space, its root below it in the same column; "aliases" on a line of its own came before the
 * regions that are shown by aliases. A bare line is therefore only known for a heading by the line that follows it.
 *
 * A text that holds several trees is a session in which `info mtree` was asked for more than once: the last tree counts. A new
 * one begins where something was asked for, behind a flat dump, and where a space follows a region.
 */
#include "mtree.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dumptext.h"

enum place {
    OUTSIDE,   /* before the first heading, or behind a prompt: what is not of a tree is skipped */
    NEW_TREE,  /* behind "address-space:" or "memory-region:" */
    OLD_TREE,  /* behind a bare name */
    FLAT_DUMP, /* behind "FlatView #" */
};

struct parser {
    struct mtree *mtree;
    const struct source *source;
    struct problem *problem;
    enum place place;
    bool fresh;    /* the next heading begins another tree */
    bool adjacent; /* the line before was an "address-space:", too */
    bool regions;  /* behind "aliases" */
    struct dump_line bare;
    char *bare_name; /* of a bare line that may turn out to be a heading; or NULL */
    size_t *above;   /* the nodes that the last one is below, and itself: the last of each indentation */
    size_t depth;
    size_t n_memory, n_io; /* spaces of these names, of which a machine has one each */
};

static void free_content(struct mtree *mtree)
{
    for (size_t i = 0; i < mtree->n_nodes; i++) {
        free(mtree->nodes[i].name);
        free(mtree->nodes[i].owner);
        free(mtree->nodes[i].target);
    }
    for (size_t i = 0; i < mtree->n_sections; i++) {
        for (size_t k = 0; k < mtree->sections[i].n_names; k++)
            free(mtree->sections[i].names[k]);
        free(mtree->sections[i].names);
    }
    free(mtree->nodes);
    free(mtree->sections);
}

void mtree_free(struct mtree *mtree)
{
    free_content(mtree);
    free(mtree->source);
    *mtree = (struct mtree){0};
}

/* --- nodes ----------------------------------------------------------------------------------- */

/* Hexadecimal digits and a "-": what is meant as FIRST-LAST. */
static bool like_interval(const char *p, const char *end)
{
    const char *dash = memchr(p, '-', (size_t)(end - p));

    return dash && dash > p && dash + 1 < end && dump_is_hex(p, dash) && dump_is_hex(dash + 1, end);
}

/*
 * "NAME @TARGET FIRST-LAST" behind "alias ". NULL, or what is wrong. A region may be named "alias something" itself: without the
 * interval it is no alias, and node->target stays NULL.
 */
static const char *parse_alias(const char *p, const char *end, unsigned digits, struct mtree_node *node)
{
    const char *space = dump_find_last(p, end, " "), *at, *q = space ? space + 1 : end;
    const char *wrong;

    if (!like_interval(q, end))
        return NULL;
    at = dump_find_last(p, space, " @");
    if (!at && p < space && *p == '@') /* it has no name */
        at = p - 1;
    if (!at)
        return NULL;
    wrong = dump_interval(&q, end, &digits, &node->target_first, &node->target_last);
    if (wrong)
        return wrong;
    node->target = alloc_bytes(at + 2, (size_t)(space - at - 2));
    node->name = at > p ? alloc_bytes(p, (size_t)(at - p)) : alloc_text("");
    return NULL;
}

/* NULL, or what is wrong; node owns nothing then. */
static const char *parse_node(const struct dump_line *line, bool shows_owner, struct mtree_node *node)
{
    const char *p = line->text, *end = line->end, *wrong;
    struct dump_range range;

    wrong = dump_range(&p, end, &range);
    if (wrong)
        return wrong;
    node->line = line->number;
    node->indent = line->indent;
    node->first = range.first;
    node->last = range.last;
    node->priority = range.priority;
    node->type = range.type;
    node->nonvolatile = range.nonvolatile;
    node->owner = dump_owner(p, &end);
    if (line->last && shows_owner && !node->owner)
        return "every line before it names an owner";
    node->disabled = dump_ending(p, &end, " [disabled]");
    if (dump_word(&p, end, "alias ")) {
        wrong = parse_alias(p, end, range.digits, node);
        if (!wrong && !node->target && line->last && memchr(p, '@', (size_t)(end - p)))
            wrong = "an alias ends in what it shows: \"@TARGET FIRST-LAST\"";
        if (wrong) {
            free(node->owner);
            return wrong;
        }
        if (node->target)
            return NULL;
        p -= strlen("alias ");
    }
    node->name = alloc_bytes(p, (size_t)(end - p));
    return NULL;
}

static bool add_node(struct parser *parser, const struct dump_line *line)
{
    struct mtree *mtree = parser->mtree;
    struct mtree_section *section = &mtree->sections[mtree->n_sections - 1];
    struct mtree_node node = {0};
    const char *wrong = parse_node(line, mtree->shows_owner, &node);

    if (wrong)
        return dump_refuse(parser->problem, parser->source, line, wrong);
    if (!section->n_nodes)
        parser->depth = 0;
    while (parser->depth && mtree->nodes[parser->above[parser->depth - 1]].indent >= node.indent)
        parser->depth--;
    node.parent = parser->depth ? parser->above[parser->depth - 1] : SIZE_MAX;
    alloc_grow(&mtree->nodes, mtree->n_nodes, sizeof(*mtree->nodes));
    alloc_grow(&parser->above, parser->depth, sizeof(*parser->above));
    parser->above[parser->depth++] = mtree->n_nodes;
    mtree->nodes[mtree->n_nodes++] = node;
    section->n_nodes++;
    mtree->shows_disabled |= node.disabled;
    mtree->shows_owner |= node.owner != NULL;
    return true;
}

/* --- headings -------------------------------------------------------------------------------- */

static void begin_section(struct parser *parser, size_t line, bool region, const char *name, size_t length)
{
    struct mtree *mtree = parser->mtree;
    bool together = parser->adjacent && !region && !parser->fresh;
    struct mtree_section *section;

    /* All that shows a space is printed before the regions. */
    if (!region && mtree->n_sections && mtree->sections[mtree->n_sections - 1].region)
        parser->fresh = true;
    if (parser->fresh) {
        free_content(mtree);
        *mtree = (struct mtree){.source = mtree->source};
        parser->n_memory = parser->n_io = 0;
    }
    parser->fresh = false;
    if (!region) {
        parser->n_memory += length == 6 && memcmp(name, "memory", 6) == 0;
        parser->n_io += length == 3 && memcmp(name, "I/O", 3) == 0;
    }
    /* Spaces on one root are headed together. */
    if (!together) {
        alloc_grow(&mtree->sections, mtree->n_sections, sizeof(*mtree->sections));
        mtree->sections[mtree->n_sections++] =
            (struct mtree_section){.line = line, .region = region, .first_node = mtree->n_nodes};
    }
    section = &mtree->sections[mtree->n_sections - 1];
    alloc_grow(&section->names, section->n_names, sizeof(*section->names));
    section->names[section->n_names++] = alloc_bytes(name, length);
}

static bool begin_new(struct parser *parser, const struct dump_line *line)
{
    bool region = line->kind == DUMP_REGION;

    if (parser->place == FLAT_DUMP || parser->place == OLD_TREE)
        parser->fresh = true;
    begin_section(parser, line->number, region, line->name, (size_t)(line->end - line->name));
    parser->place = NEW_TREE;
    parser->adjacent = !region;
    if (parser->n_memory > 1 && parser->n_io > 1)
        return problem_at(
            parser->problem, parser->source->name, line->number,
            "a second machine's tree begins before this line (its \"memory\" and \"I/O\" were there already): "
            "give one machine at a time");
    return true;
}

/* A line that is no node, nor says that it is a heading. */
static bool keep_bare(struct parser *parser, const struct dump_line *line)
{
    bool heading = parser->bare_name && strcmp(parser->bare_name, "aliases") == 0;

    if (parser->place == NEW_TREE)
        return dump_refuse(parser->problem, parser->source, line,
                           "not a line of `info mtree`, nor of the session around it (or the rest of the line before, "
                           "which was broken: lines must be whole)");
    if (parser->bare_name && parser->place == OLD_TREE && !heading)
        return dump_refuse(parser->problem, parser->source, &parser->bare, "a heading, but no region follows it");
    parser->regions |= heading && parser->place == OLD_TREE;
    free(parser->bare_name);
    parser->bare = *line;
    parser->bare_name = alloc_bytes(line->text, (size_t)(line->end - line->text));
    /* The line itself does not last. */
    parser->bare.text = parser->bare_name;
    parser->bare.end = parser->bare_name + (line->end - line->text);
    return true;
}

static bool range_line(struct parser *parser, const struct dump_line *line)
{
    if (parser->bare_name && line->indent <= parser->bare.indent) {
        if (parser->place != OLD_TREE) {
            parser->fresh = true;
            parser->regions = false;
        }
        parser->adjacent = false;
        begin_section(parser, parser->bare.number, parser->regions, parser->bare_name,
                      (size_t)(parser->bare.end - parser->bare.text));
        parser->place = OLD_TREE;
        free(parser->bare_name);
        parser->bare_name = NULL;
    }
    if (parser->bare_name && parser->place == OLD_TREE)
        return dump_refuse(parser->problem, parser->source, &parser->bare, "a heading, but no region follows it");
    if (parser->place == OUTSIDE && !memmem(line->text, (size_t)(line->end - line->text), " (prio ", 7))
        return keep_bare(parser, line); /* what another command of the session printed */
    if (parser->place == OUTSIDE)
        return dump_refuse(parser->problem, parser->source, line,
                           "a region in no address space: its heading (\"address-space: NAME\") is missing before it");
    return add_node(parser, line);
}

static void leave(struct parser *parser, enum place place)
{
    parser->place = place;
    parser->fresh = true;
    free(parser->bare_name);
    parser->bare_name = NULL;
}

static bool take_line(struct parser *parser, const struct dump_line *line)
{
    bool was_adjacent = parser->adjacent;

    parser->adjacent = was_adjacent && line->kind == DUMP_SPACE;
    switch (line->kind) {
    case DUMP_SPACE:
    case DUMP_REGION:
        return begin_new(parser, line);
    case DUMP_VIEW:
    case DUMP_FLATSPACE:
    case DUMP_ASK_FLAT:
        leave(parser, FLAT_DUMP);
        return true;
    case DUMP_ASK_TREE:
    case DUMP_SESSION:
        leave(parser, OUTSIDE);
        return true;
    case DUMP_RANGE:
        return parser->place == FLAT_DUMP || range_line(parser, line);
    case DUMP_OTHER:
        return parser->place == FLAT_DUMP || keep_bare(parser, line);
    case DUMP_BLANK:
        break;
    }
    return true;
}

/* What the text ends in. */
static bool finish(struct parser *parser, const struct dump_line *line)
{
    const struct mtree *mtree = parser->mtree;

    if (parser->place == OLD_TREE && parser->bare_name && strcmp(parser->bare_name, "aliases") != 0)
        return dump_refuse(parser->problem, parser->source, &parser->bare, "a heading, but no region follows it");
    if (parser->place == NEW_TREE && (line->kind == DUMP_SPACE || line->kind == DUMP_REGION))
        return dump_refuse(parser->problem, parser->source, line,
                           "the text ends behind this heading; a dump that is whole has an empty line there at least");
    if (!mtree->n_sections)
        return problem_at(parser->problem, parser->source->name, 0,
                          "no tree in it: `info mtree` begins with \"address-space: NAME\"");
    return true;
}

bool mtree_parse(const struct source *source, struct mtree *mtree, struct problem *problem)
{
    struct parser parser = {.mtree = mtree, .source = source, .problem = problem};
    struct dump_reader reader;
    struct dump_line line = {0};
    bool ok = source_is_text(source, problem);

    *mtree = (struct mtree){.source = alloc_text(source->name)};
    dump_begin(&reader, source);
    while (ok && dump_next(&reader, &line))
        ok = take_line(&parser, &line);
    ok = ok && finish(&parser, &line);
    dump_end(&reader);
    free(parser.above);
    free(parser.bare_name);
    if (!ok)
        mtree_free(mtree);
    return ok;
}
