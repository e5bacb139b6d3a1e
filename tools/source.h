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

/*
 * A pipe is read to its end. A byte order mark of UTF-8 is left out. False: it can't be read (what errno says), is a directory,
 * larger than SOURCE_MAX, or no text: that is said as soon as its first bytes are there.
 */
bool source_read(const char *path, struct source *source, struct problem *problem);

/* False: it holds a NUL, with the line; or is UTF-16 or compressed, which is said. */
bool source_is_text(const struct source *source, struct problem *problem);
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

/* How much of a text is looked through for a line that says what it is. */
#define SOURCE_KIND_MAX ((size_t)1 << 20)

/* Of kind UNKNOWN or EMPTY: what is wrong and what would be right. False. */
bool source_refuse(const struct source *source, struct problem *problem);

/* The lines of a text, one by one. A line has neither its newline nor a carriage return before that. */
struct lines {
    const char *next;
    const char *end;
    size_t number; /* of the line given last; the first is 1 */
};
void lines_begin(struct lines *lines, const char *text, size_t size);
bool lines_next(struct lines *lines, const char **ret_line, size_t *ret_length);

#endif
