/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-keep-model.c - plans of the policy `keep` against a model, after each of a million random changes of a map; and
 * random edits of a real vm whose slot calls fail, each of them in turn.
 *
 * The model is one small record for each page. It shares nothing with the planner but the operations it is shown, and finds the
 * least bytes that make room by trying every set of slots. Letters cite kvm/slotplan_keep.c and kvm/slotplan.c.
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

#include <gmem/gmem.h>
#include <gmem/kvm.h>

#include "random.h"
#include "slotplan.h"

#define PAGE UINT64_C(0x1000)
#define LOG ((uint32_t)KVM_MEM_LOG_DIRTY_PAGES)
#define RO ((uint32_t)KVM_MEM_READONLY)
#define PAGES 32u
#define CHANGES 1000000u
#define STEPS 100u      /* in one world */
#define BRUTE_SLOTS 12u /* sets of so many are tried */

/* --- the planner's world --- */

struct want {
    bool is;
    uint64_t host;
    uint32_t flags;
    uintptr_t block;
    bool seam; /* a run begins here */
};

struct page {
    int owner; /* slot number, -1: none */
    uint64_t host;
    uint32_t flags;
};

struct world {
    struct random *random;
    uint32_t max_slots;
    uint64_t max_slot_bytes;
    struct want want[PAGES];
    struct gmem__slots slots;
    struct gmem__slotplan plan, undo;
    struct gmem__keep_work work;
    struct page page[PAGES];
    bool used[64];
    struct gmem__run run[PAGES];
    struct gmem__span changed[PAGES];
    size_t runs, spans;
    unsigned pressed, refused, undone; /* counted over all worlds */
};

static unsigned pick(struct world *world, unsigned below)
{
    return (unsigned)random_below(world->random, below);
}

static bool same(const struct want *a, const struct want *b, unsigned distance)
{
    return a->is && b->is && a->host + distance * PAGE == b->host && !((a->flags ^ b->flags) & ~LOG) &&
           a->block == b->block;
}

/* Change what is wanted of some pages; mark[] those that did, and some that did not. */
static void change(struct world *world, bool *mark)
{
    unsigned times = 1 + pick(world, 3);

    while (times-- > 0) {
        unsigned first = pick(world, PAGES);
        unsigned end = first + 1 + pick(world, pick(world, 4) ? 6 : PAGES);
        struct want want = {.is = pick(world, 5) > 0, .flags = (pick(world, 4) ? 0 : RO) | (pick(world, 4) ? 0 : LOG)};
        unsigned kind = pick(world, 8);
        unsigned i;

        /* Mostly the same memory as before, so that slots are cut and grow together again. */
        want.block = kind < 6 ? 1 : kind - 4;
        want.host = kind < 6 ? 0x10000000 : 0x10000000 + (kind == 6 ? 1 : pick(world, 4)) * PAGE;
        for (i = first; i < end && i < PAGES; i++) {
            world->want[i] = want;
            world->want[i].host += i * PAGE;
            world->want[i].seam = i == first || pick(world, 8) == 0;
            mark[i] = true;
        }
        if (i < PAGES)
            world->want[i].seam = true;
    }
    if (pick(world, 4) == 0)
        mark[pick(world, PAGES)] = true;
}

static void describe(struct world *world, const bool *mark)
{
    unsigned i;

    world->runs = 0;
    world->spans = 0;
    for (i = 0; i < PAGES; i++) {
        const struct want *want = &world->want[i];

        if (mark[i] && (i == 0 || !mark[i - 1] || pick(world, 4) == 0)) {
            world->changed[world->spans++] = (struct gmem__span){i * PAGE, (i + 1) * PAGE - 1};
        } else if (mark[i]) {
            world->changed[world->spans - 1].last += PAGE;
        }
        if (!want->is)
            continue;
        if (i > 0 && !want->seam && same(&world->want[i - 1], want, 1) && world->want[i - 1].flags == want->flags) {
            world->run[world->runs - 1].size += PAGE;
        } else {
            world->run[world->runs++] = (struct gmem__run){i * PAGE, PAGE, want->host, want->flags, want->block, 0};
        }
    }
}

/* A slot in use is right: each of its pages is wanted as it is. */
static bool is_right(const struct world *world, const struct gmem__slot *slot)
{
    unsigned first = (unsigned)(slot->run.gpa / PAGE);
    unsigned i;

    for (i = 0; i < slot->run.size / PAGE; i++) {
        const struct want *want = &world->want[first + i];

        if (!want->is || want->host != slot->run.host + i * PAGE || ((want->flags ^ slot->run.flags) & ~LOG) ||
            want->block != slot->run.block)
            return false;
    }
    return true;
}

/* How many slots it takes if of those in use the ones in keep[] stay; *ret_bytes are removed. */
static unsigned slots_needed(const struct world *world, const bool *keep, uint64_t *ret_bytes)
{
    bool covered[PAGES] = {false};
    unsigned count = 0;
    unsigned length = 0;
    size_t s;
    unsigned i;

    *ret_bytes = 0;
    for (s = 0; s < world->slots.count; s++) {
        const struct gmem__run *run = &world->slots.slot[s].run;

        count += keep[s];
        if (!keep[s])
            *ret_bytes += run->size;
        for (i = 0; i < run->size / PAGE && keep[s]; i++)
            covered[run->gpa / PAGE + i] = true;
    }
    for (i = 0; i <= PAGES; i++) {
        bool missing = i < PAGES && world->want[i].is && !covered[i];

        if (length > 0 && (!missing || !same(&world->want[i - 1], &world->want[i], 1))) {
            count += (unsigned)((length * PAGE - 1) / world->max_slot_bytes + 1);
            length = 0;
        }
        length += missing;
    }
    return count;
}

/* The least bytes whose removal makes room, by trying all sets; false: none does. */
static bool least_bytes(const struct world *world, const bool *right, uint64_t *ret_bytes)
{
    size_t candidate[PAGES];
    size_t count = 0;
    uint64_t best = UINT64_MAX;
    unsigned set;
    size_t s;

    for (s = 0; s < world->slots.count; s++) {
        if (right[s])
            candidate[count++] = s;
    }
    assert_true(count <= BRUTE_SLOTS);
    for (set = 0; set < 1u << count; set++) {
        bool keep[PAGES] = {false};
        uint64_t bytes;

        for (s = 0; s < count; s++)
            keep[candidate[s]] = !(set >> s & 1);
        if (slots_needed(world, keep, &bytes) <= world->max_slots && bytes < best)
            best = bytes;
    }
    *ret_bytes = best;
    return best != UINT64_MAX;
}

/* One operation on the pages: (b), (e), (f), the limits. */
static void carry_out(struct world *world, const struct gmem__slot_op *op, bool lowest)
{
    const struct gmem__run *run = &op->slot.run;
    unsigned first = (unsigned)(run->gpa / PAGE);
    unsigned end = first + (unsigned)(run->size / PAGE);
    uint32_t number = op->slot.number;
    unsigned i;

    assert_true(run->size > 0 && run->size <= world->max_slot_bytes && end <= PAGES);
    assert_true(number < world->max_slots);
    assert_true(world->used[number] == (op->kind != GMEM__SLOT_ADD));
    for (i = 0; lowest && op->kind == GMEM__SLOT_ADD && i < number; i++)
        assert_true(world->used[i]);
    world->used[number] = op->kind != GMEM__SLOT_REMOVE;
    for (i = first; i < end; i++) {
        struct page *page = &world->page[i];

        assert_int_equal(page->owner, op->kind == GMEM__SLOT_ADD ? -1 : (int)number);
        if (op->kind == GMEM__SLOT_FLAGS) {
            assert_int_equal(page->flags, op->old_flags);
            assert_int_equal((page->flags ^ run->flags) & ~LOG, 0);
            assert_int_equal(page->host, run->host + (i - first) * PAGE);
        }
        page->owner = op->kind == GMEM__SLOT_REMOVE ? -1 : (int)number;
        page->host = run->host + (i - first) * PAGE;
        page->flags = run->flags;
    }
}

static void carry_out_all(struct world *world, bool lowest)
{
    const struct gmem__slotplan *plan = &world->plan;
    int removed[PAGES];
    bool cuts = false;
    size_t i;
    unsigned p;

    memset(removed, 0, sizeof(removed));
    assert_int_equal(gmem__slots_reserve(&world->slots, world->slots.count + plan->count), 0);
    for (i = 0; i < plan->count; i++) {
        const struct gmem__slot_op *op = &plan->op[i];

        assert_int_equal(op->kind == GMEM__SLOT_REMOVE, i < plan->removals);
        if (i > 0 && i != plan->removals) /* (d) */
            assert_true(plan->op[i - 1].slot.run.gpa < op->slot.run.gpa);
        for (p = 0; p < op->slot.run.size / PAGE; p++) {
            unsigned page = (unsigned)(op->slot.run.gpa / PAGE) + p;

            cuts = cuts || (op->kind == GMEM__SLOT_ADD && removed[page]);
            removed[page] |= op->kind == GMEM__SLOT_REMOVE;
        }
        carry_out(world, op, lowest);
        gmem__slots_apply(&world->slots, op);
    }
    assert_int_equal(gmem__slotplan_cuts(plan), cuts);
}

/* (i): each page is in a slot exactly if it is wanted, with its memory and flags; a slot is logged if any page of it is to be. */
static void compare(const struct world *world)
{
    uint32_t log[64] = {0};
    unsigned i;

    for (i = 0; i < PAGES; i++) {
        const struct want *want = &world->want[i];
        const struct page *page = &world->page[i];

        assert_int_equal(page->owner >= 0, want->is);
        if (!want->is)
            continue;
        assert_int_equal(page->host, want->host);
        assert_int_equal((page->flags ^ want->flags) & ~LOG, 0);
        log[page->owner] |= want->flags & LOG;
    }
    for (i = 0; i < PAGES; i++) {
        if (world->page[i].owner >= 0)
            assert_int_equal(world->page[i].flags & LOG, log[world->page[i].owner]);
    }
}

/* (j), (k), (l): what is removed, and how many slots there are then. */
static void judge(struct world *world, int err)
{
    const struct gmem__slotplan *plan = &world->plan;
    bool right[PAGES];
    uint64_t bytes;
    uint64_t removed = 0;
    unsigned needed;
    size_t s;

    for (s = 0; s < world->slots.count; s++)
        right[s] = is_right(world, &world->slots.slot[s]);
    needed = slots_needed(world, right, &bytes);
    if (needed > world->max_slots) {
        bool room = least_bytes(world, right, &bytes);

        world->pressed++;
        world->refused += !room;
        assert_int_equal(err, room ? 0 : -ENOSPC);
        if (err)
            return;
        needed = world->max_slots;
    }
    assert_int_equal(err, 0);
    for (s = 0; s < plan->removals; s++)
        removed += plan->op[s].slot.run.size;
    assert_int_equal(removed, bytes);
    for (s = 0; s < world->slots.count; s++) {
        if (!right[s]) /* so, as the bytes are the least, no right one without need */
            assert_non_null(gmem__slotplan_removal(plan, world->slots.slot[s].run.gpa));
    }
    for (s = 0, bytes = world->slots.count; s < plan->count; s++)
        bytes = plan->op[s].kind == GMEM__SLOT_ADD ? bytes + 1 : bytes - (plan->op[s].kind == GMEM__SLOT_REMOVE);
    assert_true(bytes <= needed);
}

/* Back to the very slots of before, with their numbers. */
static void undo(struct world *world, const struct gmem__slot *before, size_t count)
{
    struct gmem__slotplan swap = world->undo;
    size_t i;

    world->undo = world->plan;
    world->plan = swap;
    assert_int_equal(gmem__slotplan_inverse(&world->undo, &world->plan), 0);
    carry_out_all(world, false);
    assert_int_equal(world->slots.count, count);
    for (i = 0; i < count; i++) {
        assert_int_equal(world->slots.slot[i].number, before[i].number);
        assert_memory_equal(&world->slots.slot[i].run, &before[i].run, offsetof(struct gmem__run, flags));
        assert_int_equal(world->slots.slot[i].run.flags, before[i].run.flags);
    }
    world->undone++;
}

static void step(struct world *world)
{
    struct want wanted[PAGES];
    struct gmem__slot before[PAGES];
    bool mark[PAGES] = {false};
    size_t count = world->slots.count;
    struct gmem__keep_input input = {
        .slots = &world->slots, .max_slots = world->max_slots, .max_slot_bytes = world->max_slot_bytes};
    int err;

    memcpy(wanted, world->want, sizeof(wanted));
    if (count > 0)
        memcpy(before, world->slots.slot, count * sizeof(before[0]));
    change(world, mark);
    describe(world, mark);
    input.wanted = world->run;
    input.wanted_count = world->runs;
    input.changed = world->changed;
    input.changed_count = world->spans;
    err = gmem__slotplan_keep(&input, &world->work, &world->plan);
    judge(world, err);
    if (!err) {
        carry_out_all(world, true);
        compare(world);
    }
    if (!err && pick(world, 4) == 0) {
        undo(world, before, count);
        err = 1;
    }
    if (err) {
        memcpy(world->want, wanted, sizeof(wanted));
        compare(world);
    }
}

static void test_planner(void **state)
{
    struct random random = random_start("keep planner", 0x6b656570);
    struct world *world = calloc(1, sizeof(*world));
    unsigned i;

    (void)state;
    assert_non_null(world);
    world->random = &random;
    for (i = 0; i < CHANGES; i++) {
        if (i % STEPS == 0) {
            unsigned p;

            world->slots.count = 0;
            memset(world->slots.used, 0, sizeof(world->slots.used));
            memset(world->want, 0, sizeof(world->want));
            memset(world->used, 0, sizeof(world->used));
            for (p = 0; p < PAGES; p++)
                world->page[p].owner = -1;
            world->max_slots = pick(world, 3) ? 3 + pick(world, 6) : 40;
            world->max_slot_bytes = pick(world, 2) ? UINT64_C(0x7ffffffffff000) : (2 + pick(world, 8)) * PAGE;
        }
        step(world);
    }
    print_message("# %u changes: %u with too few slots, of which %u were refused; %u undone\n", CHANGES, world->pressed,
                  world->refused, world->undone);
    assert_true(world->pressed > CHANGES / 100 && world->refused > CHANGES / 1000 && world->undone > CHANGES / 100);
    assert_true(world->pressed - world->refused > CHANGES / 100);
    free(world->slots.slot);
    free(world->plan.op);
    free(world->undo.op);
    gmem__keep_work_free(&world->work);
    free(world);
}

/* (l): so many slots that the least can't be looked for. All that can be merged is; where little must go it is the least. */
static void test_many(void **state)
{
    enum { COUNT = 20000 };
    struct gmem__slots *slots = calloc(1, sizeof(*slots));
    struct gmem__run *wanted = calloc(2 * COUNT, sizeof(*wanted));
    struct gmem__keep_work work = {0};
    struct gmem__slotplan plan = {0};
    struct gmem__span changed = {0, UINT64_MAX};
    struct gmem__keep_input input = {.slots = slots,
                                     .max_slots = 2 * COUNT,
                                     .max_slot_bytes = UINT64_C(0x7ffffffffff000),
                                     .wanted = wanted,
                                     .changed = &changed,
                                     .changed_count = 1};
    size_t i;

    (void)state;
    assert_non_null(slots);
    assert_non_null(wanted);
    /* Pairs, at first of different flags. */
    for (i = 0; i < COUNT; i++)
        wanted[i] = (struct gmem__run){(i + i / 2) * PAGE, PAGE, (1000000 + i + i / 2) * PAGE, i % 2 ? RO : 0, 1, 0};
    input.wanted_count = COUNT;
    assert_int_equal(gmem__slotplan_keep(&input, &work, &plan), 0);
    assert_int_equal(plan.count, COUNT);
    assert_int_equal(gmem__slots_reserve(slots, COUNT), 0);
    for (i = 0; i < COUNT; i++) {
        plan.op[i].slot.run.flags = 0;
        gmem__slots_apply(slots, &plan.op[i]);
        wanted[i].flags = 0;
    }
    changed = (struct gmem__span){UINT64_C(1) << 40, (UINT64_C(1) << 40) + PAGE - 1};
    wanted[COUNT] = (struct gmem__run){changed.first, PAGE, PAGE, 0, 2, 0};
    input.wanted_count = COUNT + 1;
    input.max_slots = COUNT;
    assert_int_equal(gmem__slotplan_keep(&input, &work, &plan), 0);
    assert_int_equal(plan.removals, 2);
    assert_int_equal(plan.count, 4);
    assert_true(work.cell_room < 200000);
    input.max_slots = COUNT - 1000;
    assert_int_equal(gmem__slotplan_keep(&input, &work, &plan), 0);
    assert_int_equal(plan.removals, COUNT);
    assert_int_equal(plan.count, COUNT + COUNT / 2 + 1);
    input.max_slots = COUNT / 2;
    assert_int_equal(gmem__slotplan_keep(&input, &work, &plan), -ENOSPC);
    free(slots->slot);
    free(slots);
    free(wanted);
    free(plan.op);
    gmem__keep_work_free(&work);
}

/* --- a real vm on a kernel that is played --- */

#define SLOTS 64u
#define BYTES (UINT64_C(64) * PAGE)
#define WINDOWS 10u

struct board {
    struct random *random;
    struct kvm_userspace_memory_region slot[SLOTS];
    unsigned calls, fail; /* call number fail does */
    unsigned paused;
    gmem_vm *vm;
    gmem_space *space;
    gmem_kvm *kvm;
    gmem_region *system, *window[WINDOWS];
    bool shown[WINDOWS], readonly[WINDOWS], log;
    struct gmem_listener refuser;
    bool refuse;
};

static int board_set(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct board *board = opaque;
    struct kvm_userspace_memory_region *slot = &board->slot[call->slot];
    unsigned i;

    assert_true(call->slot < SLOTS);
    if (board->calls++ == board->fail)
        return -ENOMEM;
    if (!call->memory_size) {
        assert_true(slot->memory_size > 0);
        slot->memory_size = 0;
        return 0;
    }
    if (slot->memory_size) {
        assert_int_equal((slot->flags ^ call->flags) & ~LOG, 0);
        assert_int_equal(slot->guest_phys_addr, call->guest_phys_addr);
        assert_int_equal(slot->memory_size, call->memory_size);
        assert_int_equal(slot->userspace_addr, call->userspace_addr);
    }
    for (i = 0; i < SLOTS; i++) { /* at no step */
        if (i != call->slot && board->slot[i].memory_size)
            assert_true(board->slot[i].guest_phys_addr >= call->guest_phys_addr + call->memory_size ||
                        call->guest_phys_addr >= board->slot[i].guest_phys_addr + board->slot[i].memory_size);
    }
    *slot = *call;
    return 0;
}

static void board_pause(void *opaque)
{
    struct board *board = opaque;

    assert_int_equal(board->paused++, 0);
}

static void board_resume(void *opaque)
{
    struct board *board = opaque;

    assert_int_equal(board->paused--, 1);
}

static int hear(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    return 0;
}

static int refuse_commit(struct gmem_listener *listener)
{
    struct board *board = listener->opaque;
    bool refuse = board->refuse;

    board->refuse = false;
    return refuse ? -EPERM : 0;
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    *ret_value = 0;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

/* RAM with windows on itself at their own place (PAM), shifted ones, other memory and devices over it. */
static void board_open(struct board *board, unsigned max_slots)
{
    static const struct gmem_mmio_ops ops = {.read = device_read, .write = device_write};
    struct gmem_kvm_options options = {.struct_size = sizeof(options),
                                       .set = board_set,
                                       .set_opaque = board,
                                       .max_slots = max_slots,
                                       .pause = board_pause,
                                       .resume = board_resume,
                                       .pause_opaque = board};
    gmem_region *ram, *other;
    gmem_ram *block;
    unsigned i;

    board->fail = UINT32_MAX;
    assert_int_equal(gmem_vm_create(NULL, &board->vm), 0);
    assert_int_equal(gmem_region_create_container(board->vm, "system", GMEM_SIZE(BYTES), NULL, &board->system), 0);
    assert_int_equal(gmem_ram_create_anon(board->vm, "ram", BYTES, &block), 0);
    assert_int_equal(gmem_region_create_ram(board->vm, "ram", block, NULL, &ram), 0);
    gmem_ram_unref(block);
    assert_int_equal(gmem_ram_create_anon(board->vm, "other", BYTES, &block), 0);
    assert_int_equal(gmem_region_create_ram(board->vm, "other", block, NULL, &other), 0);
    gmem_ram_unref(block);
    assert_int_equal(gmem_region_add(board->system, 0, ram), 0);
    for (i = 0; i < WINDOWS; i++) {
        uint64_t at = random_below(board->random, 60) * PAGE;
        uint64_t size = (1 + random_below(board->random, 12)) * PAGE - (i == 7 ? 0x800 : 0);
        gmem_region **window = &board->window[i];

        if (i % 5 < 4) {
            assert_int_equal(gmem_region_create_alias(board->vm, "window", i % 5 == 3 ? other : ram,
                                                      i % 5 == 2 ? 0 : at, GMEM_SIZE(size), NULL, window),
                             0);
        } else {
            assert_int_equal(gmem_region_create_mmio(board->vm, "device", GMEM_SIZE(size), &ops, NULL, NULL, window),
                             0);
        }
        assert_int_equal(gmem_region_set_enabled(*window, false), 0);
        assert_int_equal(gmem_region_add_priority(board->system, at, *window, (int32_t)i), 0);
    }
    gmem_region_unref(other);
    assert_int_equal(gmem_space_create(board->vm, "memory", board->system, NULL, &board->space), 0);
    assert_int_equal(gmem_kvm_create(board->space, &options, &board->kvm), 0);
    board->refuser = (struct gmem_listener){.struct_size = sizeof(board->refuser),
                                            .name = "refuser",
                                            .opaque = board,
                                            .priority = 20,
                                            .region_add = hear,
                                            .region_del = hear,
                                            .commit = refuse_commit};
    assert_int_equal(gmem_listener_register(board->vm, board->space, &board->refuser), 0);
}

static void board_close(struct board *board)
{
    gmem_listener_unregister(board->vm, &board->refuser);
    gmem_kvm_destroy(board->kvm);
    gmem_vm_destroy(board->vm);
}

struct dump {
    char text[16384];
    size_t length;
};

static int put(void *opaque, const char *text, size_t length)
{
    struct dump *dump = opaque;

    assert_true(dump->length + length < sizeof(dump->text));
    memcpy(dump->text + dump->length, text, length);
    dump->length += length;
    dump->text[dump->length] = '\0';
    return 0;
}

static int put_slot(void *opaque, const struct gmem_kvm_slot *slot)
{
    char line[128];

    (void)snprintf(line, sizeof(line), "slot %u %x %" PRIx64 " %" PRIx64 " %p\n", slot->slot, slot->flags, slot->gpa,
                   slot->size, slot->host);
    return put(opaque, line, strlen(line));
}

/* The adapter's slots, which must be the kernel's, and the flat view. */
static void dump_board(struct board *board, struct dump *dump)
{
    struct dump kernel = {.length = 0};
    uint64_t from = 0;
    unsigned found;
    unsigned i;

    dump->length = 0;
    assert_int_equal(gmem_kvm_foreach_slot(board->kvm, put_slot, dump), 0);
    do { /* by rising address */
        found = SLOTS;
        for (i = 0; i < SLOTS; i++) {
            if (board->slot[i].memory_size && board->slot[i].guest_phys_addr >= from &&
                (found == SLOTS || board->slot[i].guest_phys_addr < board->slot[found].guest_phys_addr))
                found = i;
        }
        if (found < SLOTS) {
            const struct kvm_userspace_memory_region *has = &board->slot[found];
            struct gmem_kvm_slot slot = {has->slot, has->flags, has->guest_phys_addr, has->memory_size,
                                         (void *)(uintptr_t)has->userspace_addr};

            assert_int_equal(put_slot(&kernel, &slot), 0);
            from = has->guest_phys_addr + 1;
        }
    } while (found < SLOTS);
    assert_string_equal(dump->text, kernel.text);
    assert_int_equal(gmem_print_flat(board->vm, NULL, put, dump), 0);
}

struct cover {
    uint64_t host[BYTES / PAGE];
    uint32_t flags[BYTES / PAGE];
};

static int cover_section(void *opaque, const struct gmem_section *section)
{
    struct cover *cover = opaque;
    const char *host = gmem_section_host(section);
    uint64_t at = (section->first + PAGE - 1) & ~(PAGE - 1);

    /* Half pages at the end of one get no slot. */
    for (; host && at + PAGE - 1 <= section->last; at += PAGE) {
        if (((uintptr_t)host + (at - section->first)) % PAGE)
            continue;
        cover->host[at / PAGE] = (uintptr_t)host + (at - section->first);
        cover->flags[at / PAGE] = section->attrs & GMEM_RANGE_READONLY ? RO : 0;
    }
    return 0;
}

/* Each page of the view is in a slot as it should be. */
static void check_cover(struct board *board)
{
    struct cover *want = calloc(2, sizeof(*want));
    struct cover *have = want + 1;
    gmem_view *view = gmem_space_view(board->space);
    unsigned i;

    assert_non_null(want);
    assert_int_equal(gmem_view_foreach(view, cover_section, want), 0);
    gmem_view_unref(view);
    for (i = 0; i < SLOTS; i++) {
        uint64_t at;

        for (at = 0; at < board->slot[i].memory_size; at += PAGE) {
            have->host[(board->slot[i].guest_phys_addr + at) / PAGE] = board->slot[i].userspace_addr + at;
            have->flags[(board->slot[i].guest_phys_addr + at) / PAGE] = board->slot[i].flags & ~LOG;
        }
    }
    assert_memory_equal(want, have, sizeof(*want));
    free(want);
}

/* One transaction of some edits, given by seed, so that it can be made again. */
static int edit(struct board *board, uint64_t seed)
{
    struct random random = {seed};
    unsigned edits = 1 + (unsigned)random_below(&random, 4);

    assert_int_equal(gmem_vm_begin(board->vm), 0);
    while (edits-- > 0) {
        gmem_region *window = board->window[random_below(&random, WINDOWS)];
        unsigned what = (unsigned)random_below(&random, 8);
        uint64_t at = random_below(&random, 60) * PAGE;
        bool yes = random_chance(&random, 50);

        if (what < 4) {
            assert_int_equal(gmem_region_set_enabled(window, yes), 0);
        } else if (what < 6) {
            assert_int_equal(gmem_region_set_readonly(window, yes), 0);
        } else if (what == 6) {
            assert_int_equal(gmem_region_move(window, at), 0);
        } else {
            gmem_region *ram = NULL;
            struct gmem_section section;

            if (gmem_space_lookup(board->space, at, &section) == 0) {
                ram = gmem_region_kind(section.region) == GMEM_KIND_RAM ? section.region : NULL;
                if (ram)
                    assert_int_equal(gmem_region_set_log(ram, GMEM_LOG_CODE, yes), 0);
                gmem_section_release(&section);
            }
        }
    }
    return gmem_vm_commit(board->vm);
}

/* G1: the commit fails at each of its calls in turn, then because somebody later refuses, then it is made. */
static unsigned edit_with_failures(struct board *board, struct dump *before, struct dump *after)
{
    uint64_t seed = random_u64(board->random);
    unsigned failed = 0;
    unsigned n;
    int err = -ENOMEM;

    dump_board(board, before);
    board->refuse = true;
    err = edit(board, seed);
    assert_true(err == -EPERM || err == 0 || err == -ENOSPC); /* 0: nothing to be heard */
    if (err == 0) {
        board->refuse = false;
        check_cover(board);
        return 0;
    }
    dump_board(board, after);
    assert_string_equal(before->text, after->text);
    board->refuse = false;
    for (n = 0;; n++, failed++) {
        board->calls = 0;
        board->fail = n;
        err = edit(board, seed);
        board->fail = UINT32_MAX;
        if (err != -ENOMEM)
            break;
        dump_board(board, after);
        assert_string_equal(before->text, after->text);
        assert_int_equal(board->paused, 0);
    }
    assert_true(err == 0 || err == -ENOSPC);
    assert_true(board->calls <= n);
    dump_board(board, after);
    if (err)
        assert_string_equal(before->text, after->text);
    check_cover(board);
    return failed;
}

static void test_adapter(void **state)
{
    struct random random = random_start("keep adapter", 0x61646170);
    struct dump *dumps = calloc(2, sizeof(*dumps));
    unsigned boards = test_is_long() ? 400 : 40;
    unsigned failed = 0;
    unsigned i;

    (void)state;
    assert_non_null(dumps);
    for (i = 0; i < boards; i++) {
        struct board *board = calloc(1, sizeof(*board));
        unsigned edits;

        assert_non_null(board);
        board->random = &random;
        board_open(board, i % 3 ? SLOTS : 10);
        for (edits = 0; edits < 50; edits++)
            failed += edit_with_failures(board, &dumps[0], &dumps[1]);
        board_close(board);
        free(board);
    }
    print_message("# %u calls failed\n", failed);
    assert_true(failed > boards * 50);
    free(dumps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planner),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_adapter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
