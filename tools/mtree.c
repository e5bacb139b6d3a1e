/* SPDX-License-Identifier: MIT */
/*
 * Owns what it makes of the text until mtree_free(). One thread.
 */
#include "mtree.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

static bool hex16(const char **p, const char *end, uint64_t *ret)
{
    uint64_t value = 0;
    int n = 0;

    for (; *p < end; (*p)++, n++) {
        char c = **p;
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            break;
        if (n == 16)
            return false;
        value = value << 4 | digit;
    }
    *ret = value;
    return n == 16;
}

static bool word(const char **p, const char *end, const char *text)
{
    size_t n = strlen(text);

    if ((size_t)(end - *p) < n || memcmp(*p, text, n) != 0)
        return false;
    *p += n;
    return true;
}

static bool parse_type(const char **p, const char *end, struct mtree_node *node)
{
    static const struct {
        const char *text;
        enum mtree_type type;
    } types[] = {
        {"i/o", MTREE_IO},      {"ramd", MTREE_RAMD},    {"ram", MTREE_RAM},
        {"romd", MTREE_ROMD},   {"rom", MTREE_ROM},      {"RW", MTREE_READWRITE},
        {"R-", MTREE_READONLY}, {"-W", MTREE_WRITEONLY}, {"--", MTREE_NOACCESS},
    };

    node->nonvolatile = word(p, end, "nv-");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (word(p, end, types[i].text)) {
            node->type = types[i].type;
            return true;
        }
    return false;
}

/* " @TARGET first-last" at the end of an alias's text. */
static bool parse_target(const char *p, const char *end, struct mtree_node *node)
{
    const char *at = end - 34; /* " " and two addresses with "-" between */
    const char *q = at + 1;

    if (at <= p || *at != ' ' || !hex16(&q, end, &node->target_first) || !word(&q, end, "-") ||
        !hex16(&q, end, &node->target_last))
        return false;
    for (const char *s = at - 1; s >= p; s--)
        if (*s == '@' && (s == p || s[-1] == ' ')) {
            node->target = alloc_bytes(s + 1, (size_t)(at - s - 1));
            node->name = alloc_bytes(p, s > p ? (size_t)(s - p - 1) : 0);
            return true;
        }
    return false;
}

static const char *find_last(const char *p, const char *end, const char *text)
{
    size_t n = strlen(text);

    for (const char *s = end - n; s >= p; s--)
        if (memcmp(s, text, n) == 0)
            return s;
    return NULL;
}

/* What follows the indentation. */
static bool parse_node(const char *p, const char *end, struct mtree_node *node)
{
    char number[16];
    size_t n = 0;
    const char *owner = NULL, *disabled;

    if (!hex16(&p, end, &node->first) || !word(&p, end, "-") || !hex16(&p, end, &node->last) ||
        !word(&p, end, " (prio "))
        return false;
    while (p < end && n < sizeof(number) - 1 && (*p == '-' || (*p >= '0' && *p <= '9')))
        number[n++] = *p++;
    number[n] = '\0';
    node->priority = (int32_t)strtol(number, NULL, 10);
    if (!n || !word(&p, end, ", ") || !parse_type(&p, end, node) || !word(&p, end, "):"))
        return false;
    if (p < end && *p == ' ')
        p++;
    if (end > p && end[-1] == '}') {
        const char *o = find_last(p, end, " owner:{"), *q = find_last(p, end, " parent:{");

        owner = o ? o : q;
    }
    if (owner) {
        node->owner = alloc_bytes(owner + 1, (size_t)(end - owner - 1));
        end = owner;
    }
    disabled = find_last(p, end, " [disabled]");
    if (disabled && disabled + 11 == end) {
        node->disabled = true;
        end = disabled;
    }
    if (word(&p, end, "alias ") && parse_target(p, end, node))
        return true;
    node->name = alloc_bytes(p, (size_t)(end - p));
    return true;
}

static void begin_section(struct mtree *mtree, const struct lines *lines, bool region, const char *name, size_t length)
{
    struct mtree_section *section;

    /* Spaces on one root are headed together. */
    if (!region && mtree->n_sections) {
        section = &mtree->sections[mtree->n_sections - 1];
        if (!section->region && !section->n_nodes && section->line + section->n_names == lines->number) {
            alloc_grow(&section->names, section->n_names, sizeof(*section->names));
            section->names[section->n_names++] = alloc_bytes(name, length);
            return;
        }
    }
    alloc_grow(&mtree->sections, mtree->n_sections, sizeof(*mtree->sections));
    section = &mtree->sections[mtree->n_sections++];
    *section = (struct mtree_section){.line = lines->number, .region = region, .first_node = mtree->n_nodes};
    alloc_grow(&section->names, 0, sizeof(*section->names));
    section->names[section->n_names++] = alloc_bytes(name, length);
}

static void add_node(struct mtree *mtree, struct mtree_node *node)
{
    struct mtree_section *section = &mtree->sections[mtree->n_sections - 1];

    node->parent = SIZE_MAX;
    for (size_t i = mtree->n_nodes; section->n_nodes && i-- > section->first_node;) {
        if (mtree->nodes[i].indent < node->indent) {
            node->parent = i;
            break;
        }
        if (mtree->nodes[i].parent != SIZE_MAX && mtree->nodes[i].indent >= node->indent)
            i = mtree->nodes[i].parent + 1;
    }
    alloc_grow(&mtree->nodes, mtree->n_nodes, sizeof(*mtree->nodes));
    mtree->nodes[mtree->n_nodes++] = *node;
    section->n_nodes++;
    mtree->shows_disabled |= node->disabled;
    mtree->shows_owner |= node->owner != NULL;
}

bool mtree_parse(const struct source *source, struct mtree *mtree, struct problem *problem)
{
    struct lines lines;
    const char *line;
    size_t length;
    bool flat = false;

    *mtree = (struct mtree){.source = alloc_text(source->name)};
    lines_begin(&lines, source->text, source->size);
    while (lines_next(&lines, &line, &length)) {
        const char *p = line, *end = line + length;
        struct mtree_node node = {.line = lines.number};

        if (word(&p, end, "address-space: ")) {
            begin_section(mtree, &lines, false, p, (size_t)(end - p));
            flat = false;
        } else if (word(&p, end, "memory-region: ")) {
            begin_section(mtree, &lines, true, p, (size_t)(end - p));
            flat = false;
        } else if (word(&p, end, "FlatView #")) {
            flat = true;
        } else if (!flat && length) {
            while (p < end && *p == ' ')
                p++;
            if (p == end)
                continue;
            node.indent = (unsigned)(p - line);
            if (!mtree->n_sections || !parse_node(p, end, &node)) {
                problem_at(problem, source->name, lines.number, "not a line of `info mtree`: %.*s",
                           (int)(length < 100 ? length : 100), line);
                mtree_free(mtree);
                return false;
            }
            add_node(mtree, &node);
        }
    }
    return true;
}

void mtree_free(struct mtree *mtree)
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
    free(mtree->source);
    *mtree = (struct mtree){0};
}
