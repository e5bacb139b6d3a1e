/* SPDX-License-Identifier: MIT */
/*
 * Runs the steps of a case against the library and the naive model side by side. What differs first
 * is kept as a text.
 *
 * model_run.c has the steps, model_heard.c listeners that keep their own copy of the map,
 * model_check.c the comparisons.
 */
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include "model_ops.h"
#include "naive.h"
#include <gmem/gmem.h>

#define MODEL_DEPTH 8
#define MODEL_RAM_MAX (UINT64_C(1) << 36) /* largest RAM region: so much is reserved, none used */

struct model_run;

/* A range, eventfd or coalesced interval that a listener was told of. */
struct heard_item {
    int space;
    struct naive_range range; /* without the log bits */
    unsigned log;             /* ranges: clients heard of by log_start and log_stop */
    enum { HEARD_RANGE, HEARD_EVENTFD, HEARD_COALESCED } what;
    struct gmem_eventfd eventfd;
};

enum heard_call {
    CALL_BEGIN,
    CALL_EXTRA_DEL,
    CALL_DEL,
    CALL_ADD,
    CALL_NOP,
    CALL_LOG,
    CALL_EXTRA_ADD,
    CALL_COMMIT,
    CALL_GLOBAL
};

/* One callback, in the order in which all listeners' were called. */
struct heard_event {
    enum heard_call call;
    int listener;
    struct heard_item item;
};

/* A listener with its own copy of what it hears of, made from notices alone. */
struct heard {
    struct gmem_listener listener;
    struct model_run *run;
    int slot;
    int space; /* -1: all */
    bool registered;
    bool inside; /* between begin and commit */
    bool global;
    bool armed; /* refuses the call after refuse_after more */
    uint64_t refuse_after;
    struct heard_item *items;
    size_t n_items;
    size_t room;
};

struct model_run {
    gmem_vm *vm;
    void *host;                  /* MODEL_RAM_MAX reserved bytes, behind every RAM block */
    unsigned serial;             /* makes RAM ids unique */
    uint64_t edits;              /* that went through */
    long reached[NAIVE_REGIONS]; /* owner references of the regions in this slot, now and before; atomic */

    /* of this case */
    struct naive now;
    struct naive published; /* what the outermost begin, or the last commit, left */
    struct naive saved[MODEL_DEPTH];
    unsigned depth;
    gmem_region *region[NAIVE_REGIONS];
    bool released[NAIVE_REGIONS];
    gmem_space *space[MODEL_SPACES];
    int root[MODEL_SPACES];
    gmem_view *view[MODEL_SPACES]; /* what was published last, a reference held */
    int creating;                  /* slot of the space that is being created, or -1 */
    bool changed;                  /* something may have been published since the views were checked */
    struct heard heard[MODEL_LISTENERS];
    int refused_with;           /* what a listener refused with during the present call, or 0 */
    bool undoing;               /* a listener has refused: now the calls are undone */
    struct heard_event *events; /* of the present call */
    size_t n_events;
    size_t event_room;
    struct naive_view shown[MODEL_SPACES]; /* of published, as last rendered by check_views() */
    bool old_kept;                         /* this case has had its old_view */
    gmem_view *old_view;                   /* an early view, kept, and what it showed */
    struct naive_view old_shown;
    char failure[512]; /* what differed first, or "" */
};

__attribute__((format(printf, 2, 3))) void model_fail(struct model_run *run, const char *format, ...);

/* A vm to run cases on, one after the other. run is zeroed first. */
void model_run_open(struct model_run *run);
void model_run_close(struct model_run *run);

/*
 * A case: begin, steps, end (which takes everything down and checks that too). run->failure says
 * whether all agreed.
 */
void model_case_begin(struct model_run *run);
void model_case_step(struct model_run *run, const struct model_op *op);
void model_case_end(struct model_run *run);

/* model_heard.c */
void heard_prepare(struct heard *heard, struct model_run *run, int slot);
int model_region_slot(const struct model_run *run, const gmem_region *region);

/* model_check.c */
/* The getters and the order of siblings are the model's. */
void check_topology(struct model_run *run);
/*
 * Every space shows what the model's published topology does, by the one view object that was
 * published.
 */
void check_views(struct model_run *run);
/* Every listener's copy is what its spaces show. Needs the views checked. */
void check_copies(struct model_run *run);
/* The calls that listeners had during this step came in the documented order. */
void check_calls(struct model_run *run);
void check_shows(struct model_run *run, const gmem_view *view, const struct naive_view *shown, const char *what);
void check_lookup(struct model_run *run, int space, uint64_t addr);

#endif
