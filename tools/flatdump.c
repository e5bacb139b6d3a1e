/* SPDX-License-Identifier: MIT */
/*
 * Owns what it makes of the text until flatdump_free(). One thread.
 */
#include "flatdump.h"

#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "alloc.h"

static bool starts(const char *p, const char *text)
{
    return strncmp(p, text, strlen(text)) == 0;
}

static struct flat_range *add_range(struct flat_view *view)
{
    alloc_grow(&view->ranges, view->n_ranges, sizeof(*view->ranges));
    view->ranges[view->n_ranges] = (struct flat_range){0};
    return &view->ranges[view->n_ranges++];
}

static bool parse_range(char *line, struct flat_view *view, size_t number)
{
    unsigned long long first, last, offset;
    int priority, used = 0;
    char type[16], *owner;
    struct flat_range *range;

    if (sscanf(line, " %16llx-%16llx (prio %d, %15[^)]): %n", &first, &last, &priority, type, &used) < 4 || !used)
        return false;
    range = add_range(view);
    *range = (struct flat_range){.line = number, .first = first, .last = last, .priority = priority};
    line += used;
    if (starts(type, "nv-")) {
        range->nonvolatile = true;
        memmove(type, type + 3, strlen(type) - 2);
    }
    range->type = strcmp(type, "ram") == 0    ? MTREE_RAM
                  : strcmp(type, "rom") == 0  ? MTREE_ROM
                  : strcmp(type, "romd") == 0 ? MTREE_ROMD
                  : strcmp(type, "ramd") == 0 ? MTREE_RAMD
                                              : MTREE_IO;
    if (strlen(line) > 4 && strcmp(line + strlen(line) - 4, " KVM") == 0) {
        range->kvm = true;
        line[strlen(line) - 4] = '\0';
    }
    owner = strstr(line, " owner:{");
    if (!owner)
        owner = strstr(line, " parent:{");
    if (owner) {
        range->owner = alloc_text(owner + 1);
        *owner = '\0';
    }
    if (strlen(line) >= 18 && line[strlen(line) - 17] == '@' &&
        sscanf(line + strlen(line) - 16, "%16llx", &offset) == 1) {
        range->offset = offset;
        line[strlen(line) - 18] = '\0';
    }
    range->name = alloc_text(line);
    return true;
}

bool flatdump_parse(const struct source *source, struct flat_dump *dump, struct problem *problem)
{
    struct lines lines;
    const char *text;
    size_t length;
    bool in = false;

    *dump = (struct flat_dump){.source = alloc_text(source->name)};
    lines_begin(&lines, source->text, source->size);
    while (lines_next(&lines, &text, &length)) {
        char *line = alloc_bytes(text, length);
        struct flat_view *view = dump->n_views ? &dump->views[dump->n_views - 1] : NULL;

        if (starts(line, "FlatView #")) {
            alloc_grow(&dump->views, dump->n_views, sizeof(*dump->views));
            dump->views[dump->n_views++] = (struct flat_view){.line = lines.number};
            in = true;
        } else if (starts(line, "address-space:") || starts(line, "memory-region:")) {
            in = false;
        } else if (in && view && starts(line, " AS \"")) {
            char *end = strstr(line, "\", root: "), *alias;
            struct flat_space *space;

            alloc_grow(&view->spaces, view->n_spaces, sizeof(*view->spaces));
            space = &view->spaces[view->n_spaces];
            *space = (struct flat_space){.line = lines.number};
            if (end) {
                *end = '\0';
                space->name = alloc_text(line + 5);
                alias = strstr(end + 9, ", alias ");
                if (alias) {
                    *alias = '\0';
                    space->alias = alloc_text(alias + 8);
                }
                space->root = alloc_text(end + 9);
                view->n_spaces++;
            }
        } else if (in && view && starts(line, " Root memory region: ")) {
            view->root = strcmp(line + 21, "(none)") == 0 ? NULL : alloc_text(line + 21);
        } else if (in && view && starts(line, "  0") && !parse_range(line, view, lines.number)) {
            free(line);
            return problem_at(problem, source->name, lines.number, "not a line of `info mtree -f`");
        } else if (in && view && starts(line, "  f")) {
            parse_range(line, view, lines.number);
        }
        if (view && view->n_ranges && view->ranges[view->n_ranges - 1].owner)
            dump->shows_owner = true;
        free(line);
    }
    return true;
}

void flatdump_free(struct flat_dump *dump)
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
    free(dump->source);
    *dump = (struct flat_dump){0};
}
