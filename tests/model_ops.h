/* SPDX-License-Identifier: MIT */
/*
 * One step of a random case of the model test: what to do, to which slots, with which numbers. A
 * case is a list of steps that makes sense with any of them left out: a step on a slot that is
 * empty does nothing. So a failing case can be shrunk.
 */
#ifndef MODEL_OPS_H
#define MODEL_OPS_H

#include "naive.h"
#include <stdio.h>

#define MODEL_SPACES 4
#define MODEL_LISTENERS 3
#define MODEL_OPS_MAX 128

enum model_op_kind {
    OP_CREATE,   /* region a of kind b, last x; alias of c from y on */
    OP_RELEASE,  /* the creator's reference on region a is given up */
    OP_ADD,      /* region b to container a at x with priority c */
    OP_REMOVE,   /* region b from container a */
    OP_ENABLE,   /* region a: b */
    OP_MOVE,     /* region a to x */
    OP_RESIZE,   /* region a to x bytes; b: all */
    OP_PRIORITY, /* region a: c */
    OP_ALIAS,    /* region a at b from x on */
    OP_READONLY, /* region a: b */
    OP_NONVOLATILE,
    OP_ROMD,
    OP_LOG,         /* region a, client c: b */
    OP_EVENTFD_ADD, /* region a at x, size b, value y if c */
    OP_EVENTFD_DEL,
    OP_COALESCED,       /* region a, x to y */
    OP_COALESCED_CLEAR, /* region a */
    OP_BEGIN,
    OP_COMMIT,
    OP_ABORT,
    OP_SPACE_CREATE,  /* space a on region b */
    OP_SPACE_DESTROY, /* space a */
    OP_REGISTER,      /* listener a of space b (-1: all), priority c; x: hears nops */
    OP_UNREGISTER,    /* listener a */
    OP_REFUSE,        /* listener a refuses the call after the next x */
    OP_GLOBAL_LOG,    /* b */
    OP_LOOKUP,        /* space a at x */
    OP_KINDS
};

struct model_op {
    enum model_op_kind kind;
    int a;
    int b;
    int c;
    uint64_t x;
    uint64_t y;
};

/*
 * One line: the words that model_op_parse() reads and, as a comment, what a C program would call.
 */
void model_op_print(FILE *file, const struct model_op *op);

/* Read such a line. False: it is not one. */
bool model_op_parse(const char *line, struct model_op *ret_op);

/* Random numbers: splitmix64. */
struct model_random {
    uint64_t state;
};
uint64_t model_random(struct model_random *random);
/* 0 to n - 1. */
unsigned model_pick(struct model_random *random, unsigned n);

/* How a case draws its numbers and how far it is. */
struct model_plan {
    struct model_random random;
    uint64_t unit;  /* most offsets and sizes are multiples */
    unsigned cells; /* and this many units are interesting */
    unsigned regions;
    unsigned spaces;
    unsigned listeners;
    unsigned steps;           /* ops given out */
    unsigned edits;           /* ops wanted after the first map is built */
    struct model_op queue[3]; /* to be given out next, last one first */
    unsigned queued;
};

void model_plan_begin(struct model_plan *plan, uint64_t seed);

/* The next step for the topology as it is now, depth transactions deep. False: the case is over. */
bool model_plan_next(struct model_plan *plan, const struct naive *naive, unsigned depth, struct model_op *ret_op);

#endif
