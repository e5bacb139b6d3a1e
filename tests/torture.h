/* SPDX-License-Identifier: MIT */
/*
 * torture.h - what the parts of test-torture share: the map that everybody uses and changes, and one actor for each thread.
 *
 * Base RAM lies under everything below SIZE, in every space, so that no reader ever meets a hole. Over it, by address:
 *
 *   WINDOW   pages of which two aliases, onto blocks of their own, come and go
 *   LEDGER   a page behind which an alias shows page after page of a block; page k is full of LEDGER_TAG + k
 *   OWN      a page for each actor, which it alone changes and writes: it always knows what is there
 *   SWITCH   a device for each actor, the callback of which makes that change
 *   NOMADS   devices that move, hide, remove and replace themselves in their callbacks
 *   DENS     a page of RAM for each nomad, which goes with it and is then written plainly, since nobody may reach it any more
 *   EXTRA    a page that only one space has, and only for a while, so that the space leaves the view it shares
 *   CLUTTER  devices that writers move about
 *
 * Spaces 0 and 1 show the board and share a view, 2 shows more and has one of its own, 3 shares that of 0 and 1 now and then.
 */
#ifndef GMEM_TESTS_TORTURE_H
#define GMEM_TESTS_TORTURE_H

#include "random.h"
#include "support.h"
#include <errno.h>
#include <pthread.h>

#define READERS 4u
#define WRITERS 2u
#define ACTORS (READERS + WRITERS + 1u) /* the last one makes spaces and listeners */

#define PAGE 0x1000u
#define SIZE 0x100000u
#define WINDOW 0x40000u
#define WINDOW_PAGES 4u
#define LEDGER 0x50000u
#define LEDGER_PAGES 64u
#define OWN 0x60000u
#define SWITCH 0x70000u
#define NOMADS 0x80000u
#define HOMES 8u
#define NOMAD_COUNT 3u
#define EXTRA 0x90000u
#define DENS 0xb0000u
#define CLUTTER 0xc0000u
#define CLUTTER_PAGES 16u
#define CLUTTER_COUNT 6u

#define BASE_TAG 0xba5e000000000000u
#define LEDGER_TAG 0x1ed6000000000000u
#define DEN_TAG 0xde20000000000000u
#define EXTRA_TAG 0xe874000000000000u

#define SPACES 4u
#define HELD 4u

/* The intervals that every actor has caches on, in every space. */
enum area { AREA_WINDOW, AREA_LEDGER, AREA_OWN, AREA_NOMADS, AREA_DENS, AREA_EXTRA, AREAS };

struct map {
    gmem_vm *vm;
    gmem_region *board, *base, *blocks[2], *fronts[2], *pages, *ledger, *extra, *quirk, *roots[2], *views[2];
    gmem_region *clutter[WRITERS][CLUTTER_COUNT];
    uint8_t *base_host, *block_hosts[2];
    gmem_space *spaces[SPACES];
    uint64_t turning;    /* atomic: pages of the ledger, counted from the start, of which a commit was begun */
    uint64_t turned;     /* atomic: and has returned */
    uint64_t moving;     /* atomic: times that the extra page came or went, begun */
    uint64_t moved;      /* atomic: and returned; odd: it is there */
    long nomads;         /* atomic: alive */
    uint64_t dens;       /* atomic: made so far */
    unsigned long calls; /* atomic: of nomads */
    unsigned long told;  /* atomic: lines of log */
};

struct actor {
    struct map *map;
    unsigned id;
    struct random random;
    pthread_t thread;
    uint64_t rounds;              /* atomic */
    uint64_t values;              /* stored so far: each another one */
    uint64_t ledger_seen[SPACES]; /* pages */
    struct gmem_cache caches[SPACES][AREAS];
    gmem_view *views[HELD];
    uint64_t view_sums[HELD];
    struct gmem_section sections[HELD];

    /* Of its own page, which nobody else edits. */
    gmem_region *own, *own_switch;
    uint8_t *own_host;
    bool own_enabled, own_readonly;
    long reached; /* atomic: references of the library on the owner of both */
};

/* What can't be; the first is reported. Any thread. */
void wrong(const char *what);
const char *what_was_wrong(void);

/* 0: true; a listener refused: false; else it is wrong. */
bool edited(int err);

void map_make(struct map *map, struct actor *actors);
/* Take everything out, let go of it, and check that nothing is left. */
void map_end(struct map *map, struct actor *actors);

/* That the device of a nomad's region is there. */
void nomad_check(const void *opaque);

void actor_open(struct actor *actor);
void actor_close(struct actor *actor);
/* Everything that a reader does, checked. */
void actor_look(struct actor *actor);
/* Change its own page, by an edit or by its switch, and check that nobody sees it otherwise. */
void actor_own(struct actor *actor);
/* What the switch does. */
bool actor_switch(struct actor *actor, uint64_t value);
/* That the page of the ledger is not one of long ago. */
void actor_ledger(struct actor *actor);
/* That the extra page is in space 3 when it must be, and nowhere else. */
void actor_extra(struct actor *actor, unsigned space);
/* The same, by the window of a new cache, made while commits go on. */
void actor_translate(struct actor *actor);

/* Read, and then sleep as one who may still use what it read. */
void actor_doze(struct actor *actor);

/* Vms that come and go, until *stop. */
void *short_lived_vms(void *stop);

static inline void count_one(unsigned long *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

#endif
