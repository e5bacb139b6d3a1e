/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-slotplan.c - the slot planner against its guarantees (a) to (g) (kvm/slotplan.c), recorded traces and a model.
 *
 * The model is one small record for each page; it shares nothing with the planner but the operations it is shown.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include "slotplan.h"

#define PAGE UINT64_C(0x1000)
#define LOG ((uint32_t)KVM_MEM_LOG_DIRTY_PAGES)
#define RO ((uint32_t)KVM_MEM_READONLY)

/* --- a bench to plan and apply on --- */

struct bench {
    struct gmem__slots slots;
    struct gmem__slotplan plan;
    struct gmem__slotplan last;
    uint32_t max_slots;
};

static struct bench *bench_new(void)
{
    struct bench *bench = calloc(1, sizeof(*bench));

    assert_non_null(bench);
    bench->max_slots = 64;
    return bench;
}

static void bench_free(struct bench *bench)
{
    free(bench->slots.slot);
    free(bench->plan.op);
    free(bench->last.op);
    free(bench);
}

/* Whatever prefix of a plan is entered at once, the table is the one that entering its operations one by one makes. */
static void apply(struct bench *bench)
{
    size_t room = bench->slots.count + bench->plan.count;
    struct gmem__slots *at_once = malloc(sizeof(*at_once));
    struct gmem__slot *slots;
    struct gmem__slots before;
    size_t i;

    assert_int_equal(gmem__slots_reserve(&bench->slots, room), 0);
    before = bench->slots;
    slots = calloc(room + 1, sizeof(*slots));
    assert_true(at_once && slots);
    before.slot = calloc(room + 1, sizeof(*slots));
    assert_non_null(before.slot);
    if (before.count > 0)
        memcpy(before.slot, bench->slots.slot, before.count * sizeof(*slots));
    for (i = 0; i <= bench->plan.count; i++) {
        *at_once = before;
        at_once->slot = slots;
        memcpy(slots, before.slot, room * sizeof(*slots));
        gmem__slots_apply_all(at_once, &bench->plan, i);
        assert_int_equal(at_once->count, bench->slots.count);
        assert_memory_equal(at_once->used, bench->slots.used, sizeof(at_once->used));
        for (size_t k = 0; k < at_once->count; k++) {
            const struct gmem__slot *a = &slots[k], *b = &bench->slots.slot[k];

            assert_true(a->run.gpa == b->run.gpa && a->run.size == b->run.size && a->run.host == b->run.host);
            assert_true(a->run.flags == b->run.flags && a->run.block == b->run.block && a->number == b->number);
        }
        if (i < bench->plan.count)
            gmem__slots_apply(&bench->slots, &bench->plan.op[i]);
    }
    free(before.slot);
    free(slots);
    free(at_once);
}

static void step(struct bench *bench, const struct gmem__span *gone, size_t gone_count, const struct gmem__run *run,
                 size_t run_count)
{
    struct gmem__slotplan_input input = {
        .slots = &bench->slots,
        .max_slots = bench->max_slots,
        .gone = gone,
        .gone_count = gone_count,
        .run = run,
        .run_count = run_count,
    };

    assert_int_equal(gmem__slotplan_reference(&input, &bench->plan), 0);
    apply(bench);
}

static void assert_op(const struct bench *bench, size_t index, enum gmem__slot_op_kind kind, uint32_t number,
                      uint64_t gpa, uint64_t size, uint32_t flags)
{
    const struct gmem__slot_op *op;

    assert_true(index < bench->plan.count);
    op = &bench->plan.op[index];
    assert_int_equal(op->kind, kind);
    assert_int_equal(op->slot.number, number);
    assert_int_equal(op->slot.run.gpa, gpa);
    assert_int_equal(op->slot.run.size, size);
    assert_int_equal(op->slot.run.flags, flags);
}

static struct gmem__run run_at(uint64_t gpa, uint64_t size, uint64_t host, uint32_t flags)
{
    return (struct gmem__run){.gpa = gpa, .size = size, .host = host, .flags = flags};
}

/* --- trimming and pieces --- */

static void test_trim(void **state)
{
    static const struct {
        uint64_t first, last, host, page;
        bool ok;
        uint64_t gpa, size, at;
    } cases[] = {
        {0x1000, 0x2fff, 0x7f0000000000, PAGE, true, 0x1000, 0x2000, 0x7f0000000000},
        {0x0, 0xfff, 0x1000, PAGE, true, 0x0, 0x1000, 0x1000},
        {0x1001, 0x2fff, 0x5001, PAGE, true, 0x2000, 0x1000, 0x6000},
        {0x1000, 0x2ffe, 0x5000, PAGE, true, 0x1000, 0x1000, 0x5000},
        {0x1800, 0x37ff, 0x5800, PAGE, true, 0x2000, 0x1000, 0x6000},
        {0x1001, 0x2ffe, 0x5001, PAGE, false, 0, 0, 0}, /* a page long, but no whole one */
        {0x1000, 0x1ffe, 0x5000, PAGE, false, 0, 0, 0}, /* a byte short */
        {0x1fff, 0x1fff, 0x5fff, PAGE, false, 0, 0, 0}, /* one byte, the last of a page */
        {0x1000, 0x1000, 0x5000, PAGE, false, 0, 0, 0}, /* one byte, the first */
        {0x0, 0x0, 0x5000, PAGE, false, 0, 0, 0},
        {0x1000, 0x4fff, 0x5800, PAGE, false, 0, 0, 0}, /* no page of it begins at a page of the host */
        {0x1800, 0x4fff, 0x5000, PAGE, false, 0, 0, 0},
        {UINT64_MAX - 0x1fff, UINT64_MAX, 0x5000, PAGE, true, UINT64_MAX - 0x1fff, 0x2000, 0x5000},
        {UINT64_MAX - 0x1ffe, UINT64_MAX, 0x5001, PAGE, true, UINT64_MAX - 0xfff, 0x1000, 0x6000},
        {UINT64_MAX - 0xffe, UINT64_MAX, 0x5001, PAGE, false, 0, 0, 0}, /* rounding up is past 2^64 */
        {UINT64_MAX, UINT64_MAX, 0x5fff, PAGE, false, 0, 0, 0},
        {0, UINT64_MAX, 0, PAGE, false, 0, 0, 0}, /* 2^64 bytes are no size of a slot */
        {0x10000, 0x2ffff, 0x40000, 0x10000, true, 0x10000, 0x20000, 0x40000},
        {0x11000, 0x3ffff, 0x41000, 0x10000, true, 0x20000, 0x20000, 0x50000},
        {0x10000, 0x2ffff, 0x41000, 0x10000, false, 0, 0, 0},
        {0x2000, 0x1000, 0x5000, PAGE, false, 0, 0, 0}, /* not a range */
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gmem__run run = {.flags = RO};
        bool ok = gmem__run_trim(cases[i].first, cases[i].last, cases[i].host, cases[i].page, &run);

        if (ok != cases[i].ok)
            fail_msg("case %zu: %d", i, ok);
        if (ok) {
            assert_int_equal(run.gpa, cases[i].gpa);
            assert_int_equal(run.size, cases[i].size);
            assert_int_equal(run.host, cases[i].at);
            assert_int_equal(run.flags, RO);
        }
    }
}

static void test_pieces(void **state)
{
    struct gmem__run run = run_at(0x10000, 5 * PAGE, 0x70000, RO);
    struct gmem__run piece;

    (void)state;
    assert_int_equal(gmem__run_pieces(&run, 5 * PAGE), 1);
    assert_int_equal(gmem__run_pieces(&run, 4 * PAGE), 2);
    assert_int_equal(gmem__run_pieces(&run, PAGE), 5);
    assert_int_equal(gmem__run_pieces(&run, UINT64_C(0x7ffffffffff000)), 1);
    piece = gmem__run_piece(&run, 2 * PAGE, 0);
    assert_int_equal(piece.gpa, 0x10000);
    assert_int_equal(piece.size, 2 * PAGE);
    piece = gmem__run_piece(&run, 2 * PAGE, 2);
    assert_int_equal(piece.gpa, 0x14000);
    assert_int_equal(piece.host, 0x74000);
    assert_int_equal(piece.size, PAGE);
    assert_int_equal(piece.flags, RO);
}

/* --- single plans --- */

/* (d), (e): the first PAM write of a boot with 1 GiB, as recorded. */
static void test_order_and_numbers(void **state)
{
    static const struct gmem__run before[] = {
        {0x0, 0xa0000, 0x100000000, 0, 0, 0},         {0xc0000, 0x20000, 0x200000000, RO, 0, 0},
        {0xe0000, 0x20000, 0x300020000, RO, 0, 0},    {0x100000, 0x3ff00000, 0x100100000, 0, 0, 0},
        {0xfffc0000, 0x40000, 0x300000000, RO, 0, 0},
    };
    static const struct gmem__run after[] = {
        {0xc0000, 0x10000, 0x1000c0000, 0, 0, 0},
        {0xd0000, 0x10000, 0x200010000, RO, 0, 0},
        {0xe0000, 0x10000, 0x300020000, RO, 0, 0},
        {0xf0000, 0x3ff10000, 0x1000f0000, 0, 0, 0},
    };
    static const struct gmem__span gone[] = {
        {0xc0000, 0xdffff},
        {0xe0000, 0xfffff},
        {0x100000, 0x3fffffff},
    };
    struct bench *bench = bench_new();

    (void)state;
    step(bench, NULL, 0, before, 5);
    assert_op(bench, 4, GMEM__SLOT_ADD, 4, 0xfffc0000, 0x40000, RO);
    step(bench, gone, 3, after, 4);
    assert_int_equal(bench->plan.count, 7);
    assert_int_equal(bench->plan.removals, 3);
    assert_op(bench, 0, GMEM__SLOT_REMOVE, 1, 0xc0000, 0x20000, RO);
    assert_op(bench, 1, GMEM__SLOT_REMOVE, 2, 0xe0000, 0x20000, RO);
    assert_op(bench, 2, GMEM__SLOT_REMOVE, 3, 0x100000, 0x3ff00000, 0);
    assert_op(bench, 3, GMEM__SLOT_ADD, 1, 0xc0000, 0x10000, 0);
    assert_op(bench, 4, GMEM__SLOT_ADD, 2, 0xd0000, 0x10000, RO);
    assert_op(bench, 5, GMEM__SLOT_ADD, 3, 0xe0000, 0x10000, RO);
    assert_op(bench, 6, GMEM__SLOT_ADD, 5, 0xf0000, 0x3ff10000, 0);
    bench_free(bench);
}

/* What comes back as it was is removed and added, because QEMU does. */
static void test_unchanged(void **state)
{
    struct gmem__run runs[] = {
        {0x1000, PAGE, 0x70000, 0, 0, 0}, {0x2000, PAGE, 0x90000, RO, 0, 0}, {0x4000, PAGE, 0xa0000, 0, 0, 0}};
    static const struct gmem__span gone[] = {{0x1000, 0x1fff}, {0x2000, 0x2fff}, {0x4000, 0x4fff}};
    struct bench *bench = bench_new();

    (void)state;
    step(bench, NULL, 0, runs, 3);
    runs[1].flags = RO | LOG;
    runs[2].flags = RO;
    step(bench, gone, 3, runs, 3);
    assert_int_equal(bench->plan.count, 6);
    assert_op(bench, 0, GMEM__SLOT_REMOVE, 0, 0x1000, PAGE, 0);
    assert_op(bench, 3, GMEM__SLOT_ADD, 0, 0x1000, PAGE, 0);
    assert_op(bench, 4, GMEM__SLOT_ADD, 1, 0x2000, PAGE, RO | LOG);
    bench_free(bench);
}

/* (d): changes of flags and additions by rising address; nothing where nothing changes. */
static void test_relog(void **state)
{
    static const struct gmem__run runs[] = {
        {0x1000, PAGE, 0x70000, 0, 0, 0}, {0x3000, PAGE, 0x80000, LOG, 0, 0}, {0x5000, PAGE, 0xa0000, RO, 0, 0}};
    static const struct gmem__run more[] = {{0x2000, PAGE, 0xb0000, 0, 0, 0}, {0x9000, PAGE, 0xc0000, 0, 0, 0}};
    static const struct gmem__relog relog[] = {
        {0x1000, 0x1fff, true}, {0x3000, 0x3fff, false}, {0x5000, 0x5fff, false}, {0x7000, 0x7fff, true}};
    struct bench *bench = bench_new();
    struct gmem__slotplan_input input = {
        .slots = &bench->slots, .max_slots = 64, .run = more, .run_count = 2, .relog = relog, .relog_count = 4};

    (void)state;
    step(bench, NULL, 0, runs, 3);
    assert_int_equal(gmem__slotplan_reference(&input, &bench->plan), 0);
    assert_int_equal(bench->plan.count, 4);
    assert_op(bench, 0, GMEM__SLOT_FLAGS, 0, 0x1000, PAGE, LOG);
    assert_op(bench, 1, GMEM__SLOT_ADD, 3, 0x2000, PAGE, 0);
    assert_op(bench, 2, GMEM__SLOT_FLAGS, 1, 0x3000, PAGE, 0);
    assert_op(bench, 3, GMEM__SLOT_ADD, 4, 0x9000, PAGE, 0);
    apply(bench);
    assert_int_equal(bench->slots.slot[0].run.flags, LOG);
    assert_int_equal(bench->slots.slot[2].run.flags, 0);
    bench_free(bench);
}

static void test_exhaustion(void **state)
{
    static const struct gmem__run runs[] = {{0x1000, PAGE, 0x70000, 0, 0, 0}, {0x3000, PAGE, 0x80000, 0, 0, 0}};
    static const struct gmem__run more[] = {{0x5000, PAGE, 0x70000, 0, 0, 0}, {0x6000, PAGE, 0x90000, 0, 0, 0}};
    static const struct gmem__span gone[] = {{0x3000, 0x3fff}};
    struct bench *bench = bench_new();
    struct gmem__slotplan_input input = {
        .slots = &bench->slots, .max_slots = 2, .run = more, .run_count = 1, .gone = gone, .gone_count = 0};

    (void)state;
    bench->max_slots = 2;
    step(bench, NULL, 0, runs, 2);
    assert_int_equal(gmem__slotplan_reference(&input, &bench->plan), -ENOSPC);
    assert_int_equal(bench->slots.count, 2);
    input.gone_count = 1; /* one goes, one comes */
    assert_int_equal(gmem__slotplan_reference(&input, &bench->plan), 0);
    input.run_count = 2;
    assert_int_equal(gmem__slotplan_reference(&input, &bench->plan), -ENOSPC);
    bench_free(bench);
}

/* A full table: every number up to 65535 is found, none beyond. */
static void test_all_numbers(void **state)
{
    struct bench *bench = bench_new();
    struct gmem__run *runs = calloc(GMEM__SLOTS_MAX + 1, sizeof(*runs));
    struct gmem__slotplan_input input = {
        .slots = &bench->slots, .max_slots = GMEM__SLOTS_MAX, .run = runs, .run_count = GMEM__SLOTS_MAX + 1};
    size_t i;

    (void)state;
    assert_non_null(runs);
    for (i = 0; i <= GMEM__SLOTS_MAX; i++)
        runs[i] = run_at(i * 2 * PAGE, PAGE, 0x70000, 0);
    assert_int_equal(gmem__slotplan_reference(&input, &bench->plan), -ENOSPC);
    input.run_count--;
    assert_int_equal(gmem__slotplan_reference(&input, &bench->plan), 0);
    for (i = 0; i < GMEM__SLOTS_MAX; i++)
        assert_int_equal(bench->plan.op[i].slot.number, i);
    free(runs);
    bench_free(bench);
}

/* (e) over more than one word of the set of numbers. */
static void test_gaps(void **state)
{
    struct bench *bench = bench_new();
    struct gmem__run runs[80];
    const struct gmem__span gone[] = {{5 * PAGE, 6 * PAGE - 1}, {66 * PAGE, 67 * PAGE - 1}};
    const struct gmem__run more[] = {
        {0x100000, PAGE, 0, 0, 0, 0}, {0x102000, PAGE, 0, 0, 0, 0}, {0x104000, PAGE, 0, 0, 0, 0}};
    size_t i;

    (void)state;
    bench->max_slots = 100;
    for (i = 0; i < 80; i++)
        runs[i] = run_at(i * PAGE, PAGE, 0x70000, 0);
    step(bench, NULL, 0, runs, 80);
    step(bench, gone, 2, more, 3);
    assert_op(bench, 2, GMEM__SLOT_ADD, 5, 0x100000, PAGE, 0);
    assert_op(bench, 3, GMEM__SLOT_ADD, 66, 0x102000, PAGE, 0);
    assert_op(bench, 4, GMEM__SLOT_ADD, 80, 0x104000, PAGE, 0);
    bench_free(bench);
}

/* --- recorded traces --- */

static FILE *open_trace(const char *name)
{
    char path[4096];
    const char *data = getenv("GMEM_TEST_DATA");
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/traces/%s", data ? data : "tests/data", name);
    file = fopen(path, "r");
    if (!file)
        fail_msg("can't open %s: %s", path, strerror(errno));
    return file;
}

struct replay {
    struct bench *bench;
    uint32_t as_id;
    struct gmem__slot_op op[64]; /* as recorded */
    size_t count;
    struct gmem__span gone[64];
    struct gmem__run run[64];
    size_t gone_count, run_count;
    size_t calls;
};

/* What was recorded of one commit must be what is planned for what it changed. */
static void replay_commit(struct replay *replay)
{
    size_t i;

    step(replay->bench, replay->gone, replay->gone_count, replay->run, replay->run_count);
    assert_int_equal(replay->bench->plan.count, replay->count);
    for (i = 0; i < replay->count; i++) {
        const struct gmem__slot *slot = &replay->op[i].slot;

        assert_op(replay->bench, i, replay->op[i].kind, slot->number, slot->run.gpa, slot->run.size, slot->run.flags);
        assert_int_equal(replay->bench->plan.op[i].slot.run.host, slot->run.host);
    }
    replay->count = 0;
    replay->gone_count = 0;
    replay->run_count = 0;
}

static void replay_call(struct replay *replay, uint32_t number, struct gmem__run run)
{
    struct gmem__slot_op op = {.kind = run.size ? GMEM__SLOT_ADD : GMEM__SLOT_REMOVE, .slot = {run, number}};
    const struct gmem__slot_op *before = replay->count ? &replay->op[replay->count - 1] : NULL;

    /* A commit ends where a removal follows an addition or addresses fall. */
    if (before && (before->kind > op.kind || (before->kind == op.kind && before->slot.run.gpa > run.gpa)))
        replay_commit(replay);
    if (op.kind == GMEM__SLOT_REMOVE) {
        size_t i = gmem__slots_find(&replay->bench->slots, run.gpa);

        assert_true(i < replay->bench->slots.count);
        op.slot.run = replay->bench->slots.slot[i].run; /* removals are recorded without size and flags */
        op.slot.run.host = run.host;
        replay->gone[replay->gone_count++] = (struct gmem__span){run.gpa, run.gpa + (op.slot.run.size - 1)};
    } else {
        replay->run[replay->run_count++] = run;
    }
    replay->op[replay->count++] = op;
    replay->calls++;
    assert_true(replay->count < 64);
}

static size_t replay_trace(const char *name, uint32_t as_id)
{
    struct replay replay = {.bench = bench_new()};
    FILE *file = open_trace(name);
    char line[512];
    size_t calls;

    while (fgets(line, sizeof(line), file)) {
        struct gmem__run run;
        uint32_t slot;
        int ret;

        if (sscanf(line,
                   "kvm_set_user_memory Slot#%" SCNu32 " flags=0x%" SCNx32 " gpa=0x%" SCNx64 " size=0x%" SCNx64
                   " ua=0x%" SCNx64 " ret=%d",
                   &slot, &run.flags, &run.gpa, &run.size, &run.host, &ret) != 6)
            continue;
        assert_int_equal(ret, 0);
        if (slot >> 16 == as_id)
            replay_call(&replay, slot & 0xffff, run);
    }
    replay_commit(&replay);
    (void)fclose(file);
    bench_free(replay.bench);
    calls = replay.calls;
    return calls;
}

static void test_recorded(void **state)
{
    (void)state;
    assert_int_equal(replay_trace("boot-pc-1G-std-novapic.trace", 0), 33);
    assert_int_equal(replay_trace("boot-pc-4G-none-novapic.trace", 0), 31);
    assert_int_equal(replay_trace("boot-pc-1G-std.trace", 0), 35);
    assert_int_equal(replay_trace("boot-pc-1G-none.trace", 0), 30);
    assert_int_equal(replay_trace("boot-pc-4G-std.trace", 0), 36);
    assert_int_equal(replay_trace("boot-40g-smm-on.trace", 0) + replay_trace("boot-40g-smm-on.trace", 1), 112);
}

/* --- the model --- */

#define PAGES 96u
#define STEPS 60u

struct page {
    int owner; /* a slot number, or -1 */
    uint64_t host;
    uint32_t flags;
};

/* What is wanted: disjoint sections, by rising address. */
struct section {
    unsigned first, pages;
    uint64_t host;
    uint32_t flags;
    bool slotless; /* a device */
    bool fresh;    /* told as added in this step */
};

struct world {
    struct bench *bench;
    uint64_t random;
    struct section section[PAGES];
    size_t sections;
    struct page page[PAGES]; /* the kernel's side */
    bool used[64];
    struct gmem__span gone[PAGES];
    struct gmem__run run[PAGES];
    struct gmem__relog relog[PAGES];
    size_t gone_count, run_count, relog_count;
};

static unsigned pick(struct world *world, unsigned below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (unsigned)(world->random >> 11) % below;
}

static void world_op(struct world *world, const struct gmem__slot_op *op)
{
    const struct gmem__run *run = &op->slot.run;
    unsigned first = (unsigned)(run->gpa / PAGE);
    unsigned end = first + (unsigned)(run->size / PAGE);
    int number = (int)op->slot.number;
    unsigned i;

    assert_true(run->size > 0 && end <= PAGES);
    assert_true(op->slot.number < world->bench->max_slots);
    if (op->kind == GMEM__SLOT_ADD) { /* (b) */
        assert_false(world->used[number]);
        world->used[number] = true;
    } else {
        assert_true(world->used[number]);
        assert_true(first == 0 || world->page[first - 1].owner != number);
        assert_true(end == PAGES || world->page[end].owner != number);
    }
    if (op->kind == GMEM__SLOT_REMOVE)
        world->used[number] = false;
    for (i = first; i < end; i++) {
        struct page *page = &world->page[i];

        assert_int_equal(page->owner, op->kind == GMEM__SLOT_ADD ? -1 : number);
        if (op->kind == GMEM__SLOT_FLAGS) { /* (f) */
            assert_int_equal(page->flags, op->old_flags);
            assert_int_equal((page->flags ^ run->flags) & ~LOG, 0);
            assert_int_equal(page->host, run->host + (i - first) * PAGE);
        }
        page->owner = op->kind == GMEM__SLOT_REMOVE ? -1 : number;
        page->host = run->host + (i - first) * PAGE;
        page->flags = run->flags;
    }
}

/* (e), on the model's numbers, for the reference: the removals of the plan have been applied. */
static void assert_lowest(struct world *world, const struct gmem__slot_op *op)
{
    uint32_t number = 0;

    while (world->used[number])
        number++;
    assert_int_equal(op->slot.number, number);
}

static bool touched(const struct world *world, const struct gmem__slot_op *op)
{
    uint64_t first = op->slot.run.gpa;
    uint64_t last = first + op->slot.run.size - 1;
    size_t i;

    for (i = 0; i < world->gone_count; i++) {
        if (world->gone[i].first <= last && world->gone[i].last >= first)
            return true;
    }
    for (i = 0; i < world->run_count; i++) {
        if (world->run[i].gpa <= last && world->run[i].gpa + world->run[i].size - 1 >= first)
            return true;
    }
    for (i = 0; i < world->relog_count; i++) {
        if (world->relog[i].first <= first && world->relog[i].last >= last && op->kind == GMEM__SLOT_FLAGS)
            return true;
    }
    return false;
}

static void world_apply(struct world *world, bool lowest)
{
    const struct gmem__slotplan *plan = &world->bench->plan;
    size_t i;

    for (i = 0; i < plan->count; i++) {
        const struct gmem__slot_op *op = &plan->op[i];

        assert_true(touched(world, op)); /* (c) */
        assert_int_equal(op->kind == GMEM__SLOT_REMOVE, i < plan->removals);
        if (i > 0 && i != plan->removals) /* (d) */
            assert_true(plan->op[i - 1].slot.run.gpa < op->slot.run.gpa);
        if (lowest && op->kind == GMEM__SLOT_ADD)
            assert_lowest(world, op);
        world_op(world, op);
    }
    apply(world->bench);
}

/* (a) */
static void world_compare(const struct world *world)
{
    const struct gmem__slots *slots = &world->bench->slots;
    size_t count = 0;
    unsigned at = 0;
    size_t i;

    for (i = 0; i < world->sections; i++) {
        const struct section *section = &world->section[i];
        unsigned page;

        for (; at < section->first; at++)
            assert_int_equal(world->page[at].owner, -1);
        for (page = 0; page < section->pages; page++, at++) {
            if (section->slotless) {
                assert_int_equal(world->page[at].owner, -1);
                continue;
            }
            assert_int_equal(world->page[at].host, section->host + page * PAGE);
            assert_int_equal(world->page[at].flags, section->flags);
            assert_true(world->page[at].owner >= 0);
            assert_int_equal(world->page[at].owner, world->page[section->first].owner);
        }
        if (section->slotless)
            continue;
        assert_int_equal(slots->slot[count].run.gpa, section->first * PAGE);
        assert_int_equal(slots->slot[count].run.size, section->pages * PAGE);
        assert_int_equal(slots->slot[count].number, world->page[section->first].owner);
        count++;
    }
    for (; at < PAGES; at++)
        assert_int_equal(world->page[at].owner, -1);
    assert_int_equal(slots->count, count);
}

static uint64_t random_host(struct world *world)
{
    return (1 + pick(world, 3)) * 0x10000000 + pick(world, PAGES) * PAGE;
}

static void put(struct section *list, size_t *count, struct section section)
{
    if (section.pages > 0)
        list[(*count)++] = section;
}

/* Fill [first, end) with sections of memory and devices, holes, and now and then one of the old ones as it was. */
static void fill(struct world *world, const struct section *old, size_t olds, struct section *list, size_t *count,
                 unsigned first, unsigned end)
{
    size_t i;

    while (first < end) {
        struct section section = {.first = first, .fresh = true};

        section.pages = 1 + pick(world, end - first < 12 ? end - first : 12);
        section.host = random_host(world);
        section.flags = (pick(world, 3) ? 0 : RO) | (pick(world, 3) ? 0 : LOG);
        section.slotless = pick(world, 6) == 0;
        for (i = 0; i < olds; i++) {
            if (old[i].first == first && first + old[i].pages <= end && pick(world, 2)) {
                section = old[i];
                section.fresh = true;
                section.flags ^= pick(world, 3) ? 0 : LOG;
            }
        }
        first += section.pages;
        if (pick(world, 5))
            put(list, count, section);
    }
}

/* Replace what touches a random interval; the ends of cut sections stay, as new sections. */
static void change(struct world *world)
{
    struct section old[PAGES];
    struct section list[PAGES];
    size_t olds = world->sections;
    size_t count = 0;
    unsigned first = pick(world, PAGES);
    unsigned end = first + 1 + pick(world, PAGES - first);
    bool filled = false;
    size_t i;

    memcpy(old, world->section, sizeof(old));
    world->gone_count = 0;
    for (i = 0; i < olds; i++) {
        struct section head = old[i];
        struct section tail = old[i];
        unsigned old_end = old[i].first + old[i].pages;

        old[i].fresh = false;
        if (old_end <= first) {
            put(list, &count, old[i]);
            continue;
        }
        if (old[i].first < end) {
            world->gone[world->gone_count++] = (struct gmem__span){old[i].first * PAGE, old_end * PAGE - 1};
            head.pages = head.first < first ? first - head.first : 0;
            head.fresh = true;
            put(list, &count, head);
        }
        if (!filled && old_end >= end) {
            fill(world, old, olds, list, &count, first, end);
            filled = true;
        }
        if (old[i].first >= end) {
            put(list, &count, old[i]);
            continue;
        }
        tail.first = end;
        tail.pages = old_end > end ? old_end - end : 0;
        tail.host += (uint64_t)(end - old[i].first) * PAGE;
        tail.fresh = true;
        put(list, &count, tail);
    }
    if (!filled)
        fill(world, old, olds, list, &count, first, end);
    memcpy(world->section, list, sizeof(list));
    world->sections = count;
}

static void collect(struct world *world)
{
    size_t i;

    world->run_count = 0;
    world->relog_count = 0;
    for (i = 0; i < world->sections; i++) {
        struct section *section = &world->section[i];
        uint64_t gpa = section->first * PAGE;
        uint64_t size = section->pages * PAGE;

        if (section->fresh && !section->slotless) {
            world->run[world->run_count++] = run_at(gpa, size, section->host, section->flags);
        } else if (!section->fresh && pick(world, 4) == 0) {
            section->flags ^= LOG;
            world->relog[world->relog_count++] = (struct gmem__relog){gpa, gpa + size - 1, section->flags & LOG};
        }
    }
}

static int world_plan(struct world *world, const struct gmem__slotplan *undo)
{
    struct gmem__slotplan_input input = {
        .slots = &world->bench->slots,
        .max_slots = world->bench->max_slots,
        .gone = world->gone,
        .gone_count = world->gone_count,
        .run = world->run,
        .run_count = world->run_count,
        .relog = world->relog,
        .relog_count = world->relog_count,
        .undo = undo,
    };

    return gmem__slotplan_reference(&input, &world->bench->plan);
}

/* (g): the opposite of the latest step brings back every slot with its number. */
static void undo_and_redo(struct world *world, const struct gmem__slots *before, size_t count)
{
    struct bench *bench = world->bench;
    struct gmem__slotplan swap = bench->last;
    struct gmem__span gone[PAGES];
    size_t i;

    bench->last = bench->plan;
    bench->plan = swap;
    for (i = 0; i < world->run_count; i++)
        gone[i] = (struct gmem__span){world->run[i].gpa, world->run[i].gpa + world->run[i].size - 1};
    memcpy(world->gone, gone, sizeof(gone));
    world->gone_count = world->run_count;
    world->run_count = 0;
    /* What was told as removed. */
    for (i = 0; i < count; i++) {
        const struct gmem__run *run = &before->slot[i].run;
        bool heard = false;
        size_t j;

        for (j = 0; j < world->gone_count; j++)
            heard = heard || (gone[j].first <= run->gpa + (run->size - 1) && gone[j].last >= run->gpa);
        for (j = 0; j < bench->last.removals; j++)
            heard = heard || bench->last.op[j].slot.run.gpa == run->gpa;
        if (heard)
            world->run[world->run_count++] = *run;
    }
    for (i = 0; i < world->relog_count; i++)
        world->relog[i].on = !world->relog[i].on;
    assert_int_equal(world_plan(world, &bench->last), 0);
    world_apply(world, false);
    assert_int_equal(bench->slots.count, count);
    for (i = 0; i < count; i++) {
        assert_int_equal(bench->slots.slot[i].number, before->slot[i].number);
        assert_int_equal(bench->slots.slot[i].run.gpa, before->slot[i].run.gpa);
        assert_int_equal(bench->slots.slot[i].run.size, before->slot[i].run.size);
        assert_int_equal(bench->slots.slot[i].run.host, before->slot[i].run.host);
        assert_int_equal(bench->slots.slot[i].run.flags, before->slot[i].run.flags);
    }
}

static size_t wanted_slots(const struct world *world)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < world->sections; i++)
        count += !world->section[i].slotless;
    return count;
}

static void world_step(struct world *world)
{
    struct bench *bench = world->bench;
    struct world *saved = malloc(sizeof(*saved));
    struct gmem__slots before = {.count = bench->slots.count};
    int err;

    assert_non_null(saved);
    *saved = *world;
    before.slot = malloc((before.count + 1) * sizeof(*before.slot));
    assert_non_null(before.slot);
    if (before.count > 0)
        memcpy(before.slot, bench->slots.slot, before.count * sizeof(*before.slot));
    change(world);
    collect(world);
    err = world_plan(world, NULL);
    assert_int_equal(err, wanted_slots(world) > bench->max_slots ? -ENOSPC : 0);
    if (!err) {
        world_apply(world, true);
        world_compare(world);
    }
    if (!err && pick(world, 4) == 0) {
        undo_and_redo(world, &before, before.count);
        err = 1;
    }
    if (err) {
        uint64_t random = world->random;

        /* Not done, or undone. */
        *world = *saved;
        world->random = random;
        if (err > 0) {
            size_t i;

            memset(world->used, 0, sizeof(world->used));
            for (i = 0; i < bench->slots.count; i++)
                world->used[bench->slots.slot[i].number] = true;
        }
        world_compare(world);
    }
    free(before.slot);
    free(saved);
}

static void test_model(void **state)
{
    const char *given = getenv("GMEM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 0x6d656d31;
    unsigned round;
    unsigned i;

    (void)state;
    print_message("# seed %" PRIu64 "\n", seed);
    for (round = 0; round < 300; round++) {
        struct world *world = calloc(1, sizeof(*world));

        assert_non_null(world);
        world->bench = bench_new();
        world->bench->max_slots = round % 3 ? 64 : 8;
        world->random = seed + round + 1;
        for (i = 0; i < PAGES; i++)
            world->page[i].owner = -1;
        for (i = 0; i < STEPS; i++)
            world_step(world);
        bench_free(world->bench);
        free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim),        cmocka_unit_test(test_pieces), cmocka_unit_test(test_order_and_numbers),
        cmocka_unit_test(test_unchanged),   cmocka_unit_test(test_relog),  cmocka_unit_test(test_exhaustion),
        cmocka_unit_test(test_all_numbers), cmocka_unit_test(test_gaps),   cmocka_unit_test(test_recorded),
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
