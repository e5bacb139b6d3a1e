/* SPDX-License-Identifier: MIT */
/*
 * slotplan_keep.c - owns the plans of the policy `keep`, which leave every slot alone that is still right.
 *
 * A slot is right when all of its addresses are wanted, with its memory (host address and block) and its flags. The dirty log
 * does not count: a slot is logged while anything in it wants to be, and that is changed in place. Linear memory is what can
 * be one slot: wanted runs that continue each other, of the same block, with the same flags but for the dirty log.
 *
 * Pure functions over their arguments; no state, no locks, any thread. Guarantees, besides (b), (d), (e) and (f) of
 * slotplan.c, which the tests cite too:
 *
 *  (i) After all operations exactly what is wanted is in slots, each of at most max_slot_bytes.
 *  (j) Slots that are not right are removed, and no others, unless (l). So no plan could remove fewer bytes.
 *  (k) What is then wanted and in no slot is added in as few slots as that can be.
 *  (l) Only when that makes more than max_slots are right slots removed too, to be merged with what lies beside them in linear
 *      memory: a set of the least bytes that makes room. -ENOSPC says that merging everything would not make room either.
 *  (m) The cost follows what has changed and the slots that this touches, unless (l): then it follows the whole map.
 *
 * (l) is a shortest path: a step either leaves one element (a right slot, or a gap to be filled) by itself or merges a chain
 * of them, and earns slots for bytes. Where that is too much work (WORK_MAX: tens of thousands of slots of which hundreds
 * must go at once), all that can be merged is merged instead, and more is removed than the least.
 */
#include "slotplan.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>

#define WORK_MAX (UINT64_C(1) << 22) /* steps that are looked at */

#define NO_SLOT SIZE_MAX

static const uint32_t log_flag = (uint32_t)KVM_MEM_LOG_DIRTY_PAGES;

/* Of linear memory: a right slot, or a gap between such. */
struct gmem__keep_element {
    uint64_t size;
    size_t slot;  /* its index; NO_SLOT: a gap */
    size_t after; /* elements of the same linear memory that follow */
    bool merged;
};

/* The cheapest way so far to a place between elements and a number of slots earned. */
struct gmem__keep_cell {
    uint64_t bytes; /* removed; UINT64_MAX: there is no way */
    uint32_t chain; /* elements of the last step */
    uint32_t from;  /* slots earned before it */
};

void gmem__keep_work_free(struct gmem__keep_work *work)
{
    free(work->area);
    free(work->element);
    free(work->cell);
}

/* --- what is wanted --- */

/* Whether an address in both would be the same memory with the same flags. */
static bool same_memory(const struct gmem__run *a, const struct gmem__run *b)
{
    return a->host - a->gpa == b->host - b->gpa && a->block == b->block && !((a->flags ^ b->flags) & ~log_flag);
}

static bool continues(const struct gmem__run *run, const struct gmem__run *next)
{
    return gmem__run_last(run) + 1 == next->gpa && same_memory(run, next);
}

/* Whether a slot's place is wanted as it is, and its dirty log then. */
static bool is_right(const struct gmem__keep_input *in, const struct gmem__run *slot, uint32_t *ret_log)
{
    uint64_t last = gmem__run_last(slot);
    uint64_t at = slot->gpa;
    uint32_t log = 0;
    size_t i;

    for (i = gmem__runs_find(in->wanted, in->wanted_count, at); i < in->wanted_count; i++) {
        const struct gmem__run *run = &in->wanted[i];

        if (run->gpa > at || !same_memory(run, slot))
            return false;
        log |= run->flags & log_flag;
        if (gmem__run_last(run) >= last) {
            *ret_log = log;
            return true;
        }
        at = gmem__run_last(run) + 1;
    }
    return false;
}

/* --- removals, and where to look for what is missing --- */

static int add_area(struct gmem__keep_work *work, struct gmem__span area)
{
    struct gmem__span *before = work->areas ? &work->area[work->areas - 1] : NULL;
    void *array = work->area;
    int err;

    if (before && before->last >= area.first) {
        if (area.last > before->last)
            before->last = area.last;
        return 0;
    }
    err = gmem__kvm_grow(&array, &work->area_room, work->areas + 1, sizeof(*work->area));
    work->area = array;
    if (!err)
        work->area[work->areas++] = area;
    return err;
}

/* (j), without (l) */
static int plan_removals(const struct gmem__keep_input *in, struct gmem__keep_work *work, struct gmem__slotplan *plan)
{
    size_t next = 0;
    size_t i;
    int err = 0;

    work->areas = 0;
    for (i = 0; i < in->changed_count && !err; i++) {
        struct gmem__span area = in->changed[i];
        size_t found = gmem__slots_find(in->slots, area.first);

        if (next < found)
            next = found;
        for (; next < in->slots->count && in->slots->slot[next].run.gpa <= in->changed[i].last && !err; next++) {
            const struct gmem__slot *slot = &in->slots->slot[next];
            uint64_t last = gmem__run_last(&slot->run);
            uint32_t log;

            if (is_right(in, &slot->run, &log))
                continue;
            err = gmem__slotplan_push(plan, GMEM__SLOT_REMOVE, slot, 0);
            area.first = slot->run.gpa < area.first ? slot->run.gpa : area.first;
            area.last = last > area.last ? last : area.last;
        }
        if (!err)
            err = add_area(work, area);
    }
    plan->removals = plan->count;
    return err;
}

/* --- additions and changes of flags --- */

struct additions {
    const struct gmem__keep_input *in;
    struct gmem__slotplan *plan;
    struct gmem__run piece; /* found missing so far, of memory that may go on; size 0: none */
    size_t count;           /* slots that are added; those above GMEM__SLOTS_MAX are only counted */
    size_t slot;            /* those before it are done */
};

static bool is_kept(const struct additions *to, size_t slot)
{
    return !gmem__slotplan_removal(to->plan, to->in->slots->slot[slot].run.gpa);
}

/* Whether anything in [first, last], all of which is wanted, is to be logged. */
static uint32_t log_of(const struct gmem__keep_input *in, uint64_t first, uint64_t last)
{
    uint32_t log = 0;
    size_t i;

    for (i = gmem__runs_find(in->wanted, in->wanted_count, first); i < in->wanted_count && in->wanted[i].gpa <= last;
         i++)
        log |= in->wanted[i].flags & log_flag;
    return log;
}

static int flush_piece(struct additions *to)
{
    size_t pieces;
    size_t i;
    int err = 0;

    if (!to->piece.size)
        return 0;
    pieces = gmem__run_pieces(&to->piece, to->in->max_slot_bytes);
    to->count += pieces;
    for (i = 0; i < pieces && to->count <= GMEM__SLOTS_MAX && !err; i++) {
        struct gmem__slot slot = {.run = gmem__run_piece(&to->piece, to->in->max_slot_bytes, i)};

        slot.run.flags = (slot.run.flags & ~log_flag) | log_of(to->in, slot.run.gpa, gmem__run_last(&slot.run));
        err = gmem__slotplan_push(to->plan, GMEM__SLOT_ADD, &slot, 0);
    }
    to->piece.size = 0;
    return err;
}

/* [first, last] of a wanted run is in no slot. */
static int missing(struct additions *to, const struct gmem__run *run, uint64_t first, uint64_t last)
{
    struct gmem__run part = *run;
    int err;

    part.gpa = first;
    part.host += first - run->gpa;
    part.size = last - first + 1;
    if (to->piece.size && continues(&to->piece, &part)) {
        to->piece.size += part.size;
        return 0;
    }
    err = flush_piece(to);
    to->piece = part;
    return err;
}

/* A kept slot is come to: whether it is still logged as it should be. */
static int pass_slot(struct additions *to, size_t index)
{
    struct gmem__slot slot = to->in->slots->slot[index];
    uint32_t before = slot.run.flags;
    uint32_t log = 0;
    int err = flush_piece(to);

    if (err || !is_right(to->in, &slot.run, &log))
        return err;
    slot.run.flags = (before & ~log_flag) | log;
    return slot.run.flags == before ? 0 : gmem__slotplan_push(to->plan, GMEM__SLOT_FLAGS, &slot, before);
}

/* What is missing of [first, last] of a wanted run. */
static int plan_run(struct additions *to, const struct gmem__run *run, uint64_t first, uint64_t last)
{
    const struct gmem__slots *slots = to->in->slots;
    size_t at = gmem__slots_find(slots, first);
    int err = 0;

    for (; at < slots->count && slots->slot[at].run.gpa <= last && !err; at++) {
        const struct gmem__run *slot = &slots->slot[at].run;

        if (!is_kept(to, at))
            continue;
        if (slot->gpa > first)
            err = missing(to, run, first, slot->gpa - 1);
        if (!err && at >= to->slot) {
            err = pass_slot(to, at);
            to->slot = at + 1;
        }
        if (err || gmem__run_last(slot) >= last)
            return err;
        first = gmem__run_last(slot) + 1;
    }
    return err ? err : missing(to, run, first, last);
}

/* (i), (k); *ret_count: how many slots are added. */
static int plan_additions(const struct gmem__keep_input *in, const struct gmem__keep_work *work,
                          struct gmem__slotplan *plan, size_t *ret_count)
{
    struct additions to = {.in = in, .plan = plan};
    size_t area;
    int err = 0;

    plan->count = plan->removals;
    for (area = 0; area < work->areas && !err; area++) {
        const struct gmem__span *span = &work->area[area];
        size_t i;

        for (i = gmem__runs_find(in->wanted, in->wanted_count, span->first);
             i < in->wanted_count && in->wanted[i].gpa <= span->last && !err; i++) {
            const struct gmem__run *run = &in->wanted[i];
            uint64_t last = gmem__run_last(run);

            err = plan_run(&to, run, run->gpa > span->first ? run->gpa : span->first,
                           last < span->last ? last : span->last);
        }
    }
    if (!err)
        err = flush_piece(&to);
    *ret_count = to.count;
    return err;
}

/* --- (l): too few slots --- */

static int add_element(struct gmem__keep_work *work, uint64_t size, size_t slot)
{
    void *array = work->element;
    int err = gmem__kvm_grow(&array, &work->element_room, work->elements + 1, sizeof(*work->element));

    work->element = array;
    if (!err)
        work->element[work->elements++] = (struct gmem__keep_element){.size = size, .slot = slot};
    return err;
}

/* The elements of linear memory [first, last], in which every kept slot lies whole. */
static int add_linear(struct additions *to, struct gmem__keep_work *work, uint64_t first, uint64_t last)
{
    const struct gmem__slots *slots = to->in->slots;
    size_t begin = work->elements;
    size_t at = gmem__slots_find(slots, first);
    bool more = true; /* [first, last] is not empty */
    size_t i;
    int err = 0;

    for (; at < slots->count && slots->slot[at].run.gpa <= last && !err; at++) {
        const struct gmem__run *slot = &slots->slot[at].run;

        if (!is_kept(to, at))
            continue;
        if (slot->gpa > first)
            err = add_element(work, slot->gpa - first, NO_SLOT);
        if (!err)
            err = add_element(work, slot->size, at);
        more = gmem__run_last(slot) < last;
        first = gmem__run_last(slot) + 1;
    }
    if (!err && more)
        err = add_element(work, last - first + 1, NO_SLOT);
    for (i = begin; i < work->elements; i++)
        work->element[i].after = work->elements - 1 - i;
    return err;
}

static int list_elements(struct additions *to, struct gmem__keep_work *work)
{
    const struct gmem__keep_input *in = to->in;
    size_t i;
    size_t end;
    int err = 0;

    work->elements = 0;
    for (i = 0; i < in->wanted_count && !err; i = end) {
        for (end = i + 1; end < in->wanted_count && continues(&in->wanted[end - 1], &in->wanted[end]);)
            end++;
        err = add_linear(to, work, in->wanted[i].gpa, gmem__run_last(&in->wanted[end - 1]));
    }
    return err;
}

static uint64_t slots_for(const struct gmem__keep_input *in, uint64_t size)
{
    return (size - 1) / in->max_slot_bytes + 1;
}

/* How many slots an element is by itself. */
static uint64_t slots_of(const struct gmem__keep_input *in, const struct gmem__keep_element *element)
{
    return element->slot == NO_SLOT ? slots_for(in, element->size) : 1;
}

static uint64_t linear_size(const struct gmem__keep_element *element)
{
    uint64_t size = 0;
    size_t i;

    for (i = 0; i <= element->after; i++)
        size += element[i].size;
    return size;
}

/*
 * The longest chain worth looking at from element i on. Where linear memory fits into one slot, a chain of n elements earns
 * n - 1: one of more than goal + 1 could leave out what is at its end and still earn the goal.
 */
static size_t longest_chain(const struct gmem__keep_element *element, uint64_t goal, bool one_slot)
{
    return one_slot && element->after > goal ? (size_t)goal + 1 : element->after + 1;
}

/* Take the steps that begin before element i with so many slots earned. */
static void take_steps(const struct gmem__keep_input *in, struct gmem__keep_work *work, size_t i, uint32_t goal,
                       uint32_t earned, size_t longest)
{
    const struct gmem__keep_cell from = work->cell[i * (goal + 1u) + earned];
    uint64_t bytes = from.bytes;
    uint64_t size = 0;
    uint64_t apart = 0;
    size_t chain;

    if (bytes == UINT64_MAX)
        return;
    for (chain = 1; chain <= longest; chain++) {
        const struct gmem__keep_element *element = &work->element[i + chain - 1];
        struct gmem__keep_cell *to;
        uint64_t got;
        uint64_t cost;

        size += element->size;
        apart += slots_of(in, element);
        bytes += element->slot == NO_SLOT ? 0 : element->size;
        if (chain > 1 && apart <= slots_for(in, size))
            continue;
        got = earned + (chain > 1 ? apart - slots_for(in, size) : 0);
        cost = chain > 1 ? bytes : from.bytes; /* one by itself stays */
        to = &work->cell[(i + chain) * (goal + 1u) + (got < goal ? got : goal)];
        if (cost < to->bytes)
            *to = (struct gmem__keep_cell){.bytes = cost, .chain = (uint32_t)chain, .from = earned};
    }
}

/* Mark the elements of the cheapest chains that earn goal slots. */
static int choose_cheapest(const struct gmem__keep_input *in, struct gmem__keep_work *work, uint32_t goal)
{
    size_t cells = (work->elements + 1) * (goal + 1u);
    void *array = work->cell;
    bool one_slot = false;
    uint32_t earned = goal;
    size_t chain;
    size_t i;
    int err = gmem__kvm_grow(&array, &work->cell_room, cells, sizeof(*work->cell));

    work->cell = array;
    if (err)
        return err;
    for (i = 0; i < cells; i++)
        work->cell[i].bytes = UINT64_MAX;
    work->cell[0].bytes = 0;
    for (i = 0; i < work->elements; i++) {
        uint32_t before;

        if (i == 0 || work->element[i - 1].after == 0)
            one_slot = linear_size(&work->element[i]) <= in->max_slot_bytes;
        for (before = 0; before <= goal; before++)
            take_steps(in, work, i, goal, before, longest_chain(&work->element[i], goal, one_slot));
    }
    for (i = work->elements; i > 0; i -= chain) {
        const struct gmem__keep_cell *cell = &work->cell[i * (goal + 1u) + earned];
        size_t j;

        chain = cell->chain;
        earned = cell->from;
        for (j = i - chain; chain > 1 && j < i; j++)
            work->element[j].merged = true;
    }
    return 0;
}

/* Merge all that earns anything. */
static void choose_all(const struct gmem__keep_input *in, struct gmem__keep_work *work)
{
    size_t i;
    size_t j;

    for (i = 0; i < work->elements; i += work->element[i].after + 1) {
        uint64_t apart = 0;

        for (j = i; j <= i + work->element[i].after; j++)
            apart += slots_of(in, &work->element[j]);
        for (j = i; j <= i + work->element[i].after; j++)
            work->element[j].merged = apart > slots_for(in, linear_size(&work->element[i]));
    }
}

/* How many slots too many there are, and how many steps are to be looked at. -ENOSPC. */
static int measure(const struct gmem__keep_input *in, const struct gmem__keep_work *work, uint32_t *ret_goal,
                   uint64_t *ret_steps)
{
    uint64_t apart = 0;
    uint64_t least = 0;
    uint64_t steps = 0;
    uint64_t goal;
    bool one_slot = false;
    size_t i;

    for (i = 0; i < work->elements; i++) {
        apart += slots_of(in, &work->element[i]);
        if (i == 0 || work->element[i - 1].after == 0)
            least += slots_for(in, linear_size(&work->element[i]));
    }
    if (least > in->max_slots)
        return -ENOSPC;
    goal = apart - in->max_slots; /* only come to when there are too many */
    for (i = 0; i < work->elements; i++) {
        if (i == 0 || work->element[i - 1].after == 0)
            one_slot = linear_size(&work->element[i]) <= in->max_slot_bytes;
        steps += longest_chain(&work->element[i], goal, one_slot) * (goal + 1);
    }
    *ret_goal = (uint32_t)goal;
    *ret_steps = steps;
    return 0;
}

static int compare_ops(const void *left, const void *right)
{
    const struct gmem__slot_op *a = left;
    const struct gmem__slot_op *b = right;

    return a->slot.run.gpa < b->slot.run.gpa ? -1 : a->slot.run.gpa > b->slot.run.gpa;
}

/* Remove right slots, too, so that what is then added fits. */
static int make_room(const struct gmem__keep_input *in, struct gmem__keep_work *work, struct gmem__slotplan *plan)
{
    struct additions to = {.in = in, .plan = plan};
    uint64_t steps = 0;
    uint32_t goal = 0;
    size_t i;
    int err = list_elements(&to, work);

    if (!err)
        err = measure(in, work, &goal, &steps);
    if (!err && steps <= WORK_MAX) {
        err = choose_cheapest(in, work, goal);
    } else if (!err) {
        choose_all(in, work);
    }
    plan->count = plan->removals;
    for (i = 0; i < work->elements && !err; i++) {
        if (work->element[i].merged && work->element[i].slot != NO_SLOT)
            err = gmem__slotplan_push(plan, GMEM__SLOT_REMOVE, &in->slots->slot[work->element[i].slot], 0);
    }
    if (err)
        return err;
    plan->removals = plan->count;
    qsort(plan->op, plan->count, sizeof(*plan->op), compare_ops);
    work->areas = 0;
    return add_area(work, (struct gmem__span){0, UINT64_MAX});
}

/* --- the plan --- */

static int number_additions(const struct gmem__keep_input *in, struct gmem__slotplan *plan)
{
    struct gmem__numbers numbers;
    size_t i;
    int err = 0;

    gmem__numbers_init(&numbers, in->slots, plan, in->max_slots);
    for (i = plan->removals; i < plan->count && !err; i++) {
        if (plan->op[i].kind == GMEM__SLOT_ADD)
            err = gmem__numbers_take(&numbers, &plan->op[i].slot.number);
    }
    return err;
}

int gmem__slotplan_keep(const struct gmem__keep_input *input, struct gmem__keep_work *work, struct gmem__slotplan *plan)
{
    size_t added;
    int err;

    plan->count = 0;
    plan->removals = 0;
    err = plan_removals(input, work, plan);
    if (!err)
        err = plan_additions(input, work, plan, &added);
    if (!err && input->slots->count - plan->removals + added > input->max_slots) {
        err = make_room(input, work, plan);
        if (!err)
            err = plan_additions(input, work, plan, &added);
    }
    return err ? err : number_additions(input, plan);
}
