/* SPDX-License-Identifier: MIT */
/*
 * What `info mtree` and `info mtree -f` have in common as text: lines as a terminal session leaves them, and the beginning
 * and end of the lines that say a range.
 *
 * Taken away from a line: escape sequences, backspaces and what they take back, carriage returns, blanks at its end. A paste
 * may be indented as a whole, with blanks or tabs (to columns of eight).
 */
#ifndef DUMPTEXT_H
#define DUMPTEXT_H

#include <stdint.h>

#include "mtree.h"

enum dump_kind {
    DUMP_BLANK,
    DUMP_SESSION,   /* a prompt with a command, what a monitor says when it starts, a word from the program itself */
    DUMP_ASK_TREE,  /* a session's line that asks for the tree (`info mtree` without -f) */
    DUMP_ASK_FLAT,  /* `info mtree -f` */
    DUMP_SPACE,     /* "address-space: NAME" */
    DUMP_REGION,    /* "memory-region: NAME" */
    DUMP_VIEW,      /* "FlatView #N" */
    DUMP_FLATSPACE, /* "address-space (flat view): NAME", as flat dumps began */
    DUMP_RANGE,     /* begins with two addresses, or with what was meant to be */
    DUMP_OTHER,
};

struct dump_line {
    enum dump_kind kind;
    size_t number;
    const char *text; /* behind the indentation; valid until the next line is asked for */
    const char *end;
    const char *name; /* of SPACE, REGION and FLATSPACE, up to end; of VIEW, its number */
    unsigned indent;  /* columns before text */
    bool last;        /* the text ends within or right behind it: there is not even its newline */
};

struct dump_reader {
    struct lines lines;
    char *scratch; /* the line, where something had to be taken away */
    size_t room;
};

void dump_begin(struct dump_reader *reader, const struct source *source);
bool dump_next(struct dump_reader *reader, struct dump_line *ret_line);
void dump_end(struct dump_reader *reader);

/* What begins the lines of a tree and of a view alike: "FIRST-LAST (prio N, TYPE): ". */
struct dump_range {
    uint64_t first, last;
    int32_t priority;
    enum mtree_type type;
    bool nonvolatile;
    unsigned digits; /* of the first address */
};

/* Moves *p behind it. NULL, or what is wrong, to be put before the line itself. */
const char *dump_range(const char **p, const char *end, struct dump_range *ret);

/* "FIRST-LAST" alone, with the same answers. *digits: of the line's first address; 0: this is it, and it is set. */
const char *dump_interval(const char **p, const char *end, unsigned *digits, uint64_t *ret_first, uint64_t *ret_last);

/* All of the text is one address of 16 digits. */
bool dump_offset(const char *p, const char *end, uint64_t *ret);

/* All of the text is hexadecimal digits, or it is empty. */
bool dump_is_hex(const char *p, const char *end);

/* Moves *p behind the word if it is there. */
bool dump_word(const char **p, const char *end, const char *word);

/*
 * Moves *end before a word that the text ends in, if it is there. p is where the text begins.
 */
bool dump_ending(const char *p, const char **end, const char *word);

/* Moves *end before " owner:{...}", " parent:{...}" or both, that the text ends in. A copy of them, or NULL. */
char *dump_owner(const char *p, const char **end);

/* The last place of word in the text, or NULL. */
const char *dump_find_last(const char *p, const char *end, const char *word);

/* "WHY: LINE", the line shortened. False. */
bool dump_refuse(struct problem *problem, const struct source *source, const struct dump_line *line, const char *why);

#endif
