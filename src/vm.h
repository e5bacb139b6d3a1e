/* SPDX-License-Identifier: MIT */
/*
 * vm.h - struct gmem_vm, the writer turn, and the small services that every part uses: logging,
 * refusals, growing arrays.
 */
#ifndef GMEM_SRC_VM_H
#define GMEM_SRC_VM_H

#include <gmem/listener.h>
#include <gmem/vm.h>
#include <pthread.h>

#define GMEM__REASON_MAX 512u

struct gmem__hook;
struct gmem__tracer;
struct gmem__undo;

/* Why accesses to devices are not made on the shortest way: somebody watches all of a vm. */
#define GMEM__WATCH_STATS 0x1u
#define GMEM__WATCH_TRACE 0x2u

/* A list head or link; empty when it points to itself. */
struct gmem__link {
    struct gmem__link *prev, *next;
};

static inline void gmem__link_init(struct gmem__link *link)
{
    link->prev = link;
    link->next = link;
}

static inline bool gmem__link_empty(const struct gmem__link *link)
{
    return link->next == link;
}

static inline void gmem__link_before(struct gmem__link *at, struct gmem__link *link)
{
    link->prev = at->prev;
    link->next = at;
    at->prev->next = link;
    at->prev = link;
}

static inline void gmem__link_remove(struct gmem__link *link)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyser does not follow a list that shrinks */
    link->prev->next = link->next;
    link->next->prev = link->prev;
    gmem__link_init(link);
}

#define GMEM__OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

struct gmem__access_counts;

struct gmem_vm {
    enum gmem_endian endian; /* LITTLE or BIG, never NATIVE; immutable */
    gmem_log_fn *log;        /* immutable */
    void *log_opaque;
    bool full_fence;      /* immutable, but for tests before there is a block: fence.h */
    uint64_t backlog_max; /* immutable: bytes; see backlog.c */
    uint64_t backlog;     /* atomic: bytes of what commits replaced that wait to be freed */

    /*
     * The mutex is held for moments only, never in a callback. It guards the turn, the reason, the names of clients,
     * the RAM blocks and what devices implement.
     */
    pthread_mutex_t mutex;
    pthread_cond_t turn_free;
    pthread_t turn_owner; /* meaningful while depth > 0 */
    unsigned depth;       /* of nested transactions; written by the owner with the mutex held */
    int reason_err;
    char reason[GMEM__REASON_MAX];
    struct gmem__link rams;            /* struct gmem_ram.link, by rising offset */
    struct gmem__link gaps;            /* struct gmem_ram.gap */
    gmem_ram *ids;                     /* a tree of them: ram_list.c */
    bool global_log;                   /* everything is logged; written with the turn as well */
    bool log_blocks;                   /* new blocks have a bitmap for that: it is on, or about to be */
    char *log_names[GMEM_LOG_CLIENTS]; /* of those from GMEM_LOG_USER on that somebody has */
    struct gmem__link mmio_ops;        /* struct gmem__mmio_ops.link, the latest used first */
    struct gmem__link guards;          /* struct gmem_guard.link, by age */
    uint64_t guards_made;
    unsigned watch; /* GMEM__WATCH_*; written with the mutex, atomic */

    /* Found in a read section: gmem__rcu_set() with the mutex. */
    struct gmem__hook *hook;     /* NULL: nobody else queues writes */
    struct gmem__tracer *tracer; /* NULL: nobody asked for events */

    /* Atomic. */
    uint32_t trace_mask;                     /* the tracer's */
    bool coalescing;                         /* writes are queued */
    bool nesting_logged;                     /* that callbacks nested too deep */
    unsigned long queued;                    /* of all guards */
    uint64_t reentrant;                      /* accesses refused */
    struct gmem__access_counts *counts_gone; /* with the mutex: of regions that are freed; NULL: nothing was counted */

    /* Below: only with the writer turn. */
    bool notifying;         /* a listener callback runs: edits are refused */
    size_t *savepoints;     /* journal length at each begin */
    size_t savepoint_count; /* open transactions of the owner */
    size_t savepoint_room;
    struct gmem__undo *undos; /* the journal */
    size_t undo_count;
    size_t undo_room;
    uint64_t epoch;            /* of marks in regions; counts up */
    uint64_t next_seq;         /* order of placement */
    struct gmem__link regions; /* struct gmem_region.vm_link */
    uint64_t next_region_id;
    struct gmem__link spaces;    /* struct gmem_space.vm_link, in order of creation */
    struct gmem__link listeners; /* struct gmem__listener.link, by rising priority, then age */
    struct gmem__link
        heard;       /* struct gmem_space.heard_link: those that have listeners of their own, in order of creation */
    size_t hear_all; /* listeners of all spaces */
    struct gmem__link shown;   /* struct gmem__shown.link: all but none */
    struct gmem__shown *none;  /* what roots share that show nothing */
    uint64_t shape;            /* changes whenever a way up that was none may have become one; see changed.c */
    bool fresh_spaces;         /* some space was not rendered yet */
    bool roots_moved;          /* scratch of a commit: some space will have another shown */
    unsigned discard_disabled; /* discard.c's: how many have disabled discarding */
    unsigned discard_calling;  /* and whether a listener of its is being called */

    gmem_region *dead; /* lock-free stack of regions nobody can reach, freed by whoever has the turn next */

    struct gmem_vm_stats stats; /* each counter written with the turn, read with relaxed loads */
};

/* Log a line; dropped when the vm has no callback. */
void gmem__log(gmem_vm *vm, enum gmem_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Note why something is refused, for gmem_vm_reason(), and be err. A macro, so that compilers see
 * that it is not 0 where err is a constant.
 */
#define gmem__refuse(vm, err, ...) (gmem__note_reason(vm, err, __VA_ARGS__), (err))
void gmem__note_reason(gmem_vm *vm, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Take the turn, or nest. -EBUSY inside a listener callback of this thread. Each success is matched by
 * gmem__turn_release(), which at depth 0 also frees dead regions.
 */
int gmem__turn_acquire(gmem_vm *vm) GMEM_MUST_CHECK;
void gmem__turn_release(gmem_vm *vm);
/* Whether this thread has the turn. */
bool gmem__turn_mine(gmem_vm *vm);
/* Free dead regions now if nobody has the turn; otherwise its holder will. Any thread, never waits. */
void gmem__turn_poke(gmem_vm *vm);

/*
 * Zeroed memory that shares no line of the processor's cache with anything else: for what readers look at, beside which a commit
 * might otherwise write. Freed by free(). NULL: there is none.
 */
void *gmem__alloc_lines(size_t size);

/* Make *array (elements of size bytes) hold at least count elements; doubles. -ENOMEM leaves it as it was. */
int gmem__grow(void **array, size_t *room, size_t count, size_t size) GMEM_MUST_CHECK;

/*
 * Copy a caller's option struct of struct_size bytes into known (zeroed first), refusing a
 * struct_size of zero and unknown tails that are not zero. -EINVAL.
 */
int gmem__options_copy(void *known, size_t known_size, const void *given, size_t struct_size) GMEM_MUST_CHECK;

#define GMEM__COUNT(vm, counter, n) __atomic_store_n(&(vm)->stats.counter, (vm)->stats.counter + (n), __ATOMIC_RELAXED)

#endif
