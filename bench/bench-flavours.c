/* SPDX-License-Identifier: MIT */
/*
 * bench-flavours.c - what the flavours of liburcu cost: why gmem uses liburcu-bp (docs/concurrency.md).
 *
 * read: a load of a random word of 32 KiB in a read section, beside the same loop without one. "inline" is the read section compiled
 * into the caller, as gmem has it, "call" the library's function. grace: waiting for all readers; defer: handing something to the
 * thread that frees, which is not part of the figure. No other thread reads, so that is the least that they cost.
 */
/* Not for the analyser, which does not know that registering a thread sets what its first read section goes through. */
#ifdef __clang_analyzer__
#undef _LGPL_SOURCE
#elif !defined(_LGPL_SOURCE)
#define _LGPL_SOURCE
#endif
#define URCU_NO_COMPAT_IDENTIFIERS
#include <urcu/urcu-bp.h>
#include <urcu/urcu-mb.h>
#include <urcu/urcu-memb.h>
#include <urcu/urcu-qsbr.h>

#include "bench.h"

#include <stdlib.h>

#define WORDS (32u / 4 << 10)
#define SEED 2463534242u
#define HEADS (1u << 16) /* deferred at a time */

/* These names the headers declare for the first flavour only. */
#define DECLARE_WRITE(flavour)                                                                                         \
    void urcu_##flavour##_call_rcu(struct rcu_head *head, void (*function)(struct rcu_head * head));                   \
    void urcu_##flavour##_barrier(void);

DECLARE_WRITE(memb)
DECLARE_WRITE(mb)
DECLARE_WRITE(qsbr)

static uint32_t memory[WORDS];
static struct rcu_head heads[HEADS];

static inline void nothing(void) {}

static inline uint32_t load(uint32_t *random)
{
    return *(const volatile uint32_t *)&memory[bench_random(random) & (WORDS - 1)];
}

#define DEFINE_READ(name, enter, leave)                                                                                \
    static double name(void *opaque, uint64_t count)                                                                   \
    {                                                                                                                  \
        uint32_t random = SEED, sum = 0;                                                                               \
        double start = bench_now();                                                                                    \
                                                                                                                       \
        (void)opaque;                                                                                                  \
        for (; count > 0; count--) {                                                                                   \
            enter();                                                                                                   \
            sum += load(&random);                                                                                      \
            leave();                                                                                                   \
        }                                                                                                              \
        bench_keep(sum);                                                                                               \
        return bench_now() - start;                                                                                    \
    }

/* What the flavour is for a writer. */
static void ended(struct rcu_head *head)
{
    (void)head;
}

#define DEFINE_WRITE(flavour)                                                                                          \
    static double grace_##flavour(void *opaque, uint64_t count)                                                        \
    {                                                                                                                  \
        double start = bench_now();                                                                                    \
                                                                                                                       \
        (void)opaque;                                                                                                  \
        for (; count > 0; count--)                                                                                     \
            urcu_##flavour##_synchronize_rcu();                                                                        \
        return bench_now() - start;                                                                                    \
    }                                                                                                                  \
                                                                                                                       \
    static double defer_##flavour(void *opaque, uint64_t count)                                                        \
    {                                                                                                                  \
        double took = 0;                                                                                               \
                                                                                                                       \
        (void)opaque;                                                                                                  \
        while (count > 0) {                                                                                            \
            uint64_t batch = count < HEADS ? count : HEADS, i;                                                         \
            double start = bench_now();                                                                                \
                                                                                                                       \
            for (i = 0; i < batch; i++)                                                                                \
                urcu_##flavour##_call_rcu(&heads[i], ended);                                                           \
            took += bench_now() - start;                                                                               \
            urcu_##flavour##_barrier();                                                                                \
            count -= batch;                                                                                            \
        }                                                                                                              \
        return took;                                                                                                   \
    }

DEFINE_READ(bare, nothing, nothing)
DEFINE_READ(bp_inline, urcu_bp_read_lock, urcu_bp_read_unlock)
DEFINE_READ(memb_inline, urcu_memb_read_lock, urcu_memb_read_unlock)
DEFINE_READ(mb_inline, urcu_mb_read_lock, urcu_mb_read_unlock)
DEFINE_READ(qsbr_inline, urcu_qsbr_read_lock, urcu_qsbr_read_unlock)
/* A thread of qsbr has to say now and then that it reads nothing; here after each load, which is the most that it can cost. */
DEFINE_READ(qsbr_quiescent, nothing, urcu_qsbr_quiescent_state)

DEFINE_WRITE(bp)
DEFINE_WRITE(memb)
DEFINE_WRITE(mb)
DEFINE_WRITE(qsbr)

/* The functions, for which the names stand no more where there are inline ones. */
#ifdef _LGPL_SOURCE
#undef urcu_bp_read_lock
#undef urcu_bp_read_unlock
#undef urcu_memb_read_lock
#undef urcu_memb_read_unlock
#undef urcu_mb_read_lock
#undef urcu_mb_read_unlock

void urcu_bp_read_lock(void);
void urcu_bp_read_unlock(void);
void urcu_memb_read_lock(void);
void urcu_memb_read_unlock(void);
void urcu_mb_read_lock(void);
void urcu_mb_read_unlock(void);
#endif

DEFINE_READ(bp_call, urcu_bp_read_lock, urcu_bp_read_unlock)
DEFINE_READ(memb_call, urcu_memb_read_lock, urcu_memb_read_unlock)
DEFINE_READ(mb_call, urcu_mb_read_lock, urcu_mb_read_unlock)

static const struct bench_case cases[] = {
    {.row = {.name = "read/bp, inline", .baseline = "no section"}, .run = bp_inline, .run_baseline = bare},
    {.row = {.name = "read/bp, call", .baseline = "no section"}, .run = bp_call, .run_baseline = bare},
    {.row = {.name = "read/memb, inline", .baseline = "no section"}, .run = memb_inline, .run_baseline = bare},
    {.row = {.name = "read/memb, call", .baseline = "no section"}, .run = memb_call, .run_baseline = bare},
    {.row = {.name = "read/mb, inline", .baseline = "no section"}, .run = mb_inline, .run_baseline = bare},
    {.row = {.name = "read/mb, call", .baseline = "no section"}, .run = mb_call, .run_baseline = bare},
    {.row = {.name = "read/qsbr", .baseline = "no section"}, .run = qsbr_inline, .run_baseline = bare},
    {.row = {.name = "read/qsbr, quiescent each", .baseline = "no section"},
     .run = qsbr_quiescent,
     .run_baseline = bare},
    {.row = {.name = "grace/bp"}, .run = grace_bp},
    {.row = {.name = "grace/memb"}, .run = grace_memb},
    {.row = {.name = "grace/mb"}, .run = grace_mb},
    {.row = {.name = "grace/qsbr"}, .run = grace_qsbr},
    {.row = {.name = "defer/bp"}, .run = defer_bp},
    {.row = {.name = "defer/memb"}, .run = defer_memb},
    {.row = {.name = "defer/mb"}, .run = defer_mb},
    {.row = {.name = "defer/qsbr"}, .run = defer_qsbr},
};

int main(int argc, char **argv)
{
    struct bench bench;
    size_t i;
    int status;

    if (!bench_start(&bench, "bench-flavours",
                     "Read sections, grace periods and deferring with each flavour of liburcu.", argc, argv, &status))
        return status;
    urcu_memb_register_thread();
    urcu_mb_register_thread();
    urcu_qsbr_register_thread();
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (bench_wants(&bench, &cases[i].row))
            bench_measure(&bench, &cases[i]);
    }
    urcu_qsbr_unregister_thread();
    urcu_mb_unregister_thread();
    urcu_memb_unregister_thread();
    return bench_end(&bench);
}
