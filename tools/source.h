/* SPDX-License-Identifier: MIT */
/*
 * What the user named, as bytes in memory: a file, standard input ("-"), or what a running QEMU answered.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <stddef.h>

#include "problem.h"

#define SOURCE_MAX ((size_t)256 << 20) /* bytes; larger files are refused */

struct source {
    char *name; /* for messages: the path, or "standard input" */
    char *text; /* size bytes and a NUL behind them */
    size_t size;
};

/* False: it can't be read (what errno says), is a directory, or larger than SOURCE_MAX. */
bool source_read(const char *path, struct source *source, struct problem *problem);
void source_free(struct source *source);

/* What is in it, by its first lines that say so. */
enum source_kind {
    SOURCE_EMPTY,     /* nothing but white space */
    SOURCE_MTREE,     /* `info mtree`, and perhaps `info mtree -f` too, in either order */
    SOURCE_FLAT,      /* `info mtree -f` only */
    SOURCE_JSON,      /* the JSON of gmem_print_tree() */
    SOURCE_TRACE,     /* QEMU's trace events, or gmem-pc's */
    SOURCE_RECORDING, /* gmem-pc --record */
    SOURCE_UNKNOWN,
};
enum source_kind source_kind(const struct source *source);

/* The lines of a text, one by one. A line has neither its newline nor a carriage return before that. */
struct lines {
    const char *next;
    const char *end;
    size_t number; /* of the line given last; the first is 1 */
};
void lines_begin(struct lines *lines, const char *text, size_t size);
bool lines_next(struct lines *lines, const char **ret_line, size_t *ret_length);

#endif
