/* SPDX-License-Identifier: MIT */
/*
 * slotplan.c - owns what all plans have in common, and the plans of the policy `reference`: those of QEMU.
 *
 * Pure functions over their arguments; no state, no locks, any thread. Guarantees, which the tests cite:
 *
 *  (a) After all operations of a plan the slots are the old ones, less those that touch a gone range or a run, plus
 *      one for each run.
 *  (b) At no step do two slots overlap or share a number, and no number reaches max_slots.
 *  (c) Only slots that touch a gone range, a run or a relog range occur in a plan.
 *  (d) All removals come first, by rising address, then additions and changes of flags, by rising address.
 *  (e) An addition takes the lowest number that is free when all removals are done.
 *  (f) A slot is never given another size, address or KVM_MEM_READONLY in place: the kernel wants it removed first.
 *  (g) Undoing: where a run is again what the plan to be undone removed, it has the same number and flags as before.
 *
 * (d) and (e) are what recorded traces of kvm_set_user_memory show. The other policy is in slotplan_keep.c.
 */
#include "slotplan.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t log_flag = (uint32_t)KVM_MEM_LOG_DIRTY_PAGES;

static bool same_place(const struct gmem__run *a, const struct gmem__run *b)
{
    return a->gpa == b->gpa && a->size == b->size && a->host == b->host;
}

int gmem__kvm_grow(void **array, size_t *capacity, size_t count, size_t element)
{
    size_t wanted;
    void *grown;

    if (count <= *capacity)
        return 0;
    wanted = *capacity + *capacity / 2;
    if (wanted < count)
        wanted = count;
    if (wanted < 16)
        wanted = 16;
    grown = reallocarray(*array, wanted, element);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *capacity = wanted;
    return 0;
}

int gmem__slots_reserve(struct gmem__slots *slots, size_t count)
{
    void *array = slots->slot;
    int err = gmem__kvm_grow(&array, &slots->capacity, count, sizeof(*slots->slot));

    slots->slot = array;
    return err;
}

int gmem__slotplan_reserve(struct gmem__slotplan *plan, size_t count)
{
    void *array = plan->op;
    int err = gmem__kvm_grow(&array, &plan->capacity, count, sizeof(*plan->op));

    plan->op = array;
    return err;
}

/* --- runs --- */

bool gmem__run_trim(uint64_t first, uint64_t last, uint64_t host, uint64_t page_size, struct gmem__run *ret_run)
{
    uint64_t mask = page_size - 1;
    uint64_t head = (0 - first) & mask;
    uint64_t tail = (last + 1) & mask; /* right also where last + 1 is 2^64 */
    uint64_t rest = last - first;      /* always one less than the size, which may be 2^64 */

    if (first > last || rest < head || rest - head < tail)
        return false;
    rest -= head + tail;
    if (rest == UINT64_MAX || ((host + head) & mask) != 0)
        return false;
    ret_run->gpa = first + head;
    ret_run->size = rest + 1;
    ret_run->host = host + head;
    return true;
}

size_t gmem__run_pieces(const struct gmem__run *run, uint64_t max)
{
    return (size_t)((run->size - 1) / max + 1);
}

struct gmem__run gmem__run_piece(const struct gmem__run *run, uint64_t max, size_t index)
{
    struct gmem__run piece = *run;
    uint64_t skip = max * index;

    piece.gpa += skip;
    piece.host += skip;
    piece.size -= skip;
    if (piece.size > max)
        piece.size = max;
    return piece;
}

/* --- the slots in use --- */

size_t gmem__slots_find(const struct gmem__slots *slots, uint64_t addr)
{
    size_t low = 0;
    size_t high = slots->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (gmem__run_last(&slots->slot[middle].run) < addr) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void gmem__slots_apply(struct gmem__slots *slots, const struct gmem__slot_op *op)
{
    size_t index = gmem__slots_find(slots, op->slot.run.gpa);
    struct gmem__slot *at = slots->slot + index;
    uint64_t bit = UINT64_C(1) << (op->slot.number % 64);
    size_t above = slots->count - index;

    switch (op->kind) {
    case GMEM__SLOT_REMOVE:
        memmove(at, at + 1, (above - 1) * sizeof(*at));
        slots->count--;
        slots->used[op->slot.number / 64] &= ~bit;
        break;
    case GMEM__SLOT_ADD:
        if (above > 0)
            memmove(at + 1, at, above * sizeof(*at));
        *at = op->slot;
        slots->count++;
        slots->used[op->slot.number / 64] |= bit;
        break;
    case GMEM__SLOT_FLAGS:
        at->run.flags = op->slot.run.flags;
        break;
    }
}

static void apply_removals(struct gmem__slots *slots, const struct gmem__slot_op *op, size_t count)
{
    size_t from = count ? gmem__slots_find(slots, op->slot.run.gpa) : slots->count;
    size_t to = from;

    for (; from < slots->count; from++) {
        if (count && slots->slot[from].run.gpa == op->slot.run.gpa) {
            slots->used[op->slot.number / 64] &= ~(UINT64_C(1) << (op->slot.number % 64));
            op++;
            count--;
        } else {
            slots->slot[to++] = slots->slot[from];
        }
    }
    slots->count = to;
}

/* From the last to the first, so that what moves up makes room for them. */
static void apply_rest(struct gmem__slots *slots, const struct gmem__slot_op *op, size_t count)
{
    size_t from = slots->count;
    size_t more = 0;
    size_t i;

    for (i = 0; i < count; i++)
        more += op[i].kind == GMEM__SLOT_ADD;
    slots->count += more;
    while (count-- > 0) {
        const struct gmem__slot *slot = &op[count].slot;

        if (more == 0) { /* what is left only changes flags */
            gmem__slots_apply(slots, &op[count]);
            continue;
        }
        for (; from > 0 && slots->slot[from - 1].run.gpa > slot->run.gpa; from--)
            slots->slot[from - 1 + more] = slots->slot[from - 1];
        if (op[count].kind == GMEM__SLOT_ADD) {
            slots->slot[from + --more] = *slot;
            slots->used[slot->number / 64] |= UINT64_C(1) << (slot->number % 64);
        } else {
            slots->slot[from - 1].run.flags = slot->run.flags;
        }
    }
}

/* (d) */
void gmem__slots_apply_all(struct gmem__slots *slots, const struct gmem__slotplan *plan, size_t count)
{
    size_t removals = plan->removals < count ? plan->removals : count;

    apply_removals(slots, plan->op, removals);
    if (count > removals)
        apply_rest(slots, plan->op + removals, count - removals);
}

struct gmem__slot_op gmem__slot_op_inverse(const struct gmem__slot_op *op)
{
    struct gmem__slot_op inverse = *op;

    switch (op->kind) {
    case GMEM__SLOT_REMOVE:
        inverse.kind = GMEM__SLOT_ADD;
        break;
    case GMEM__SLOT_ADD:
        inverse.kind = GMEM__SLOT_REMOVE;
        break;
    case GMEM__SLOT_FLAGS:
        inverse.slot.run.flags = op->old_flags;
        inverse.old_flags = op->slot.run.flags;
        break;
    }
    return inverse;
}

/* --- planning --- */

int gmem__slotplan_push(struct gmem__slotplan *plan, enum gmem__slot_op_kind kind, const struct gmem__slot *slot,
                        uint32_t old_flags)
{
    struct gmem__slot_op *op;
    int err = gmem__slotplan_reserve(plan, plan->count + 1);

    if (err)
        return err;
    op = &plan->op[plan->count++];
    op->kind = kind;
    op->slot = *slot;
    op->old_flags = old_flags;
    return 0;
}

const struct gmem__slot_op *gmem__slotplan_removal(const struct gmem__slotplan *plan, uint64_t gpa)
{
    size_t low = 0;
    size_t high = plan->removals;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (plan->op[middle].slot.run.gpa < gpa) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < plan->removals && plan->op[low].slot.run.gpa == gpa ? &plan->op[low] : NULL;
}

void gmem__numbers_init(struct gmem__numbers *numbers, const struct gmem__slots *slots,
                        const struct gmem__slotplan *plan, uint32_t max_slots)
{
    size_t i;

    memcpy(numbers->used, slots->used, sizeof(numbers->used));
    numbers->max_slots = max_slots;
    numbers->from = 0;
    for (i = 0; i < plan->removals; i++) {
        uint32_t number = plan->op[i].slot.number;

        numbers->used[number / 64] &= ~(UINT64_C(1) << (number % 64));
    }
}

/* (e) */
int gmem__numbers_take(struct gmem__numbers *numbers, uint32_t *ret_number)
{
    uint32_t number = numbers->from;

    while (number < numbers->max_slots) {
        uint64_t word = ~numbers->used[number / 64] >> (number % 64);

        if (word) {
            number += (uint32_t)__builtin_ctzll(word);
            break;
        }
        number = (number / 64 + 1) * 64;
    }
    if (number >= numbers->max_slots)
        return -ENOSPC;
    numbers->used[number / 64] |= UINT64_C(1) << (number % 64);
    numbers->from = number + 1;
    *ret_number = number;
    return 0;
}

int gmem__slotplan_inverse(const struct gmem__slotplan *done, struct gmem__slotplan *plan)
{
    size_t removal = 0;
    size_t rest = done->removals;
    size_t i;
    int err = gmem__slotplan_reserve(plan, done->count);

    if (err)
        return err;
    plan->count = 0;
    for (i = done->removals; i < done->count; i++) {
        if (done->op[i].kind == GMEM__SLOT_ADD)
            plan->op[plan->count++] = gmem__slot_op_inverse(&done->op[i]);
    }
    plan->removals = plan->count;
    while (plan->count < done->count) { /* (d) */
        while (rest < done->count && done->op[rest].kind == GMEM__SLOT_ADD)
            rest++;
        if (removal < done->removals &&
            (rest == done->count || done->op[removal].slot.run.gpa < done->op[rest].slot.run.gpa)) {
            i = removal++;
        } else {
            i = rest++;
        }
        plan->op[plan->count++] = gmem__slot_op_inverse(&done->op[i]);
    }
    return 0;
}

bool gmem__slotplan_cuts(const struct gmem__slotplan *plan)
{
    size_t removal = 0;
    size_t i;

    for (i = plan->removals; i < plan->count; i++) {
        const struct gmem__run *run = &plan->op[i].slot.run;

        if (plan->op[i].kind != GMEM__SLOT_ADD)
            continue;
        while (removal < plan->removals && gmem__run_last(&plan->op[removal].slot.run) < run->gpa)
            removal++;
        if (removal < plan->removals && plan->op[removal].slot.run.gpa <= gmem__run_last(run))
            return true;
    }
    return false;
}

/* --- the reference --- */

/*
 * Plan the removal of each slot that touches a gone range or a run. A run touches a slot that no gone range does only
 * when the kernel refused something during an undo; then what is wanted now wins.
 */
static int plan_removals(const struct gmem__slotplan_input *in, struct gmem__slotplan *plan)
{
    size_t gone = 0;
    size_t run = 0;
    size_t next = 0;

    while (gone < in->gone_count || run < in->run_count) {
        uint64_t first;
        uint64_t last;
        size_t found;

        if (run == in->run_count || (gone < in->gone_count && in->gone[gone].first <= in->run[run].gpa)) {
            first = in->gone[gone].first;
            last = in->gone[gone++].last;
        } else {
            first = in->run[run].gpa;
            last = gmem__run_last(&in->run[run++]);
        }
        found = gmem__slots_find(in->slots, first);
        if (next < found)
            next = found;
        for (; next < in->slots->count && in->slots->slot[next].run.gpa <= last; next++) {
            int err = gmem__slotplan_push(plan, GMEM__SLOT_REMOVE, &in->slots->slot[next], 0);

            if (err)
                return err;
        }
    }
    plan->removals = plan->count;
    return 0;
}

/* (g): the number and flags that slot had before the plan that is being undone, if that is its case. */
static bool take_again(const struct gmem__slotplan_input *in, struct gmem__numbers *numbers, struct gmem__slot *slot)
{
    const struct gmem__slot_op *removal = in->undo ? gmem__slotplan_removal(in->undo, slot->run.gpa) : NULL;
    uint64_t bit;

    if (!removal || !same_place(&removal->slot.run, &slot->run))
        return false;
    bit = UINT64_C(1) << (removal->slot.number % 64);
    if (numbers->used[removal->slot.number / 64] & bit)
        return false;
    numbers->used[removal->slot.number / 64] |= bit;
    *slot = removal->slot;
    return true;
}

static int plan_relog(const struct gmem__slotplan_input *in, struct gmem__slotplan *plan,
                      const struct gmem__relog *relog)
{
    size_t i = gmem__slots_find(in->slots, relog->first);

    for (; i < in->slots->count && in->slots->slot[i].run.gpa <= relog->last; i++) {
        struct gmem__slot slot = in->slots->slot[i];
        uint32_t before = slot.run.flags;
        int err;

        slot.run.flags = relog->on ? before | log_flag : before & ~log_flag;
        if (slot.run.flags == before || gmem__slotplan_removal(plan, slot.run.gpa))
            continue;
        err = gmem__slotplan_push(plan, GMEM__SLOT_FLAGS, &slot, before);
        if (err)
            return err;
    }
    return 0;
}

static int plan_run(const struct gmem__slotplan_input *in, struct gmem__slotplan *plan, struct gmem__numbers *numbers,
                    const struct gmem__run *run)
{
    struct gmem__slot slot = {.run = *run, .number = 0};

    if (!take_again(in, numbers, &slot)) {
        int err = gmem__numbers_take(numbers, &slot.number);

        if (err)
            return err;
    }
    return gmem__slotplan_push(plan, GMEM__SLOT_ADD, &slot, 0);
}

static int plan_rest(const struct gmem__slotplan_input *in, struct gmem__slotplan *plan)
{
    struct gmem__numbers numbers;
    size_t relog = 0;
    size_t run = 0;
    int err = 0;

    gmem__numbers_init(&numbers, in->slots, plan, in->max_slots);
    while (!err && (relog < in->relog_count || run < in->run_count)) {
        if (run == in->run_count || (relog < in->relog_count && in->relog[relog].first <= in->run[run].gpa)) {
            err = plan_relog(in, plan, &in->relog[relog++]);
        } else {
            err = plan_run(in, plan, &numbers, &in->run[run++]);
        }
    }
    return err;
}

int gmem__slotplan_reference(const struct gmem__slotplan_input *input, struct gmem__slotplan *plan)
{
    int err;

    plan->count = 0;
    plan->removals = 0;
    err = plan_removals(input, plan);
    return err ? err : plan_rest(input, plan);
}
