/* SPDX-License-Identifier: MIT */
/*
 * The steps of the model test: their text, and how they are drawn. Drawing looks at the naive model
 * so that most edits can succeed, but any may be drawn at any time. One thread; all state is the
 * caller's.
 */
#include "model_ops.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[OP_KINDS] = {
    [OP_CREATE] = "create",
    [OP_RELEASE] = "release",
    [OP_ADD] = "add",
    [OP_REMOVE] = "remove",
    [OP_ENABLE] = "enable",
    [OP_MOVE] = "move",
    [OP_RESIZE] = "resize",
    [OP_PRIORITY] = "priority",
    [OP_ALIAS] = "alias",
    [OP_READONLY] = "readonly",
    [OP_NONVOLATILE] = "nonvolatile",
    [OP_ROMD] = "romd",
    [OP_LOG] = "log",
    [OP_EVENTFD_ADD] = "eventfd-add",
    [OP_EVENTFD_DEL] = "eventfd-del",
    [OP_COALESCED] = "coalesced",
    [OP_COALESCED_CLEAR] = "coalesced-clear",
    [OP_BEGIN] = "begin",
    [OP_COMMIT] = "commit",
    [OP_ABORT] = "abort",
    [OP_SPACE_CREATE] = "space-create",
    [OP_SPACE_DESTROY] = "space-destroy",
    [OP_REGISTER] = "register",
    [OP_UNREGISTER] = "unregister",
    [OP_REFUSE] = "refuse",
    [OP_GLOBAL_LOG] = "global-log",
    [OP_LOOKUP] = "lookup",
};

static const char *const kinds[] = {"container", "ram", "rom", "romd", "mmio", "alias", "reserved"};

static void print_call(FILE *file, const struct model_op *op)
{
    const char *yes = op->b ? "true" : "false";

    switch (op->kind) {
    case OP_CREATE:
        if (op->b == GMEM_KIND_ALIAS)
            fprintf(file, "gmem_region_create_alias(r%d, r%d, 0x%" PRIx64 ", last 0x%" PRIx64 ")", op->a, op->c, op->y,
                    op->x);
        else
            fprintf(file, "gmem_region_create_%s(r%d, last 0x%" PRIx64 ")", kinds[op->b], op->a, op->x);
        break;
    case OP_RELEASE:
        fprintf(file, "gmem_region_unref(r%d)", op->a);
        break;
    case OP_ADD:
        fprintf(file, "gmem_region_add_priority(r%d, 0x%" PRIx64 ", r%d, %d)", op->a, op->x, op->b, op->c);
        break;
    case OP_REMOVE:
        fprintf(file, "gmem_region_remove(r%d, r%d)", op->a, op->b);
        break;
    case OP_ENABLE:
        fprintf(file, "gmem_region_set_enabled(r%d, %s)", op->a, yes);
        break;
    case OP_MOVE:
        fprintf(file, "gmem_region_move(r%d, 0x%" PRIx64 ")", op->a, op->x);
        break;
    case OP_RESIZE:
        if (op->b)
            fprintf(file, "gmem_region_resize(r%d, GMEM_SIZE_ALL)", op->a);
        else
            fprintf(file, "gmem_region_resize(r%d, GMEM_SIZE(0x%" PRIx64 "))", op->a, op->x);
        break;
    case OP_PRIORITY:
        fprintf(file, "gmem_region_set_priority(r%d, %d)", op->a, op->c);
        break;
    case OP_ALIAS:
        fprintf(file, "gmem_region_set_alias(r%d, r%d, 0x%" PRIx64 ")", op->a, op->b, op->x);
        break;
    case OP_READONLY:
        fprintf(file, "gmem_region_set_readonly(r%d, %s)", op->a, yes);
        break;
    case OP_NONVOLATILE:
        fprintf(file, "gmem_region_set_nonvolatile(r%d, %s)", op->a, yes);
        break;
    case OP_ROMD:
        fprintf(file, "gmem_region_set_romd(r%d, %s)", op->a, yes);
        break;
    case OP_LOG:
        fprintf(file, "gmem_region_set_log(r%d, %d, %s)", op->a, op->c, yes);
        break;
    case OP_EVENTFD_ADD:
    case OP_EVENTFD_DEL:
        fprintf(file,
                "gmem_region_%s_eventfd(r%d, {.offset = 0x%" PRIx64 ", .size = %d, .match = %d, .data = %" PRIu64 "})",
                op->kind == OP_EVENTFD_ADD ? "add" : "del", op->a, op->x, op->b, op->c, op->y);
        break;
    case OP_COALESCED:
        fprintf(file, "gmem_region_add_coalesced(r%d, 0x%" PRIx64 ", 0x%" PRIx64 ")", op->a, op->x, op->y);
        break;
    case OP_COALESCED_CLEAR:
        fprintf(file, "gmem_region_clear_coalesced(r%d)", op->a);
        break;
    case OP_BEGIN:
    case OP_COMMIT:
    case OP_ABORT:
        fprintf(file, "gmem_vm_%s(vm)", names[op->kind]);
        break;
    case OP_SPACE_CREATE:
        fprintf(file, "gmem_space_create(s%d on r%d)", op->a, op->b);
        break;
    case OP_SPACE_DESTROY:
        fprintf(file, "gmem_space_destroy(s%d)", op->a);
        break;
    case OP_REGISTER:
        if (op->b < 0)
            fprintf(file, "gmem_listener_register(l%d, all spaces, priority %d%s)", op->a, op->c, op->x ? ", nop" : "");
        else
            fprintf(file, "gmem_listener_register(l%d, s%d, priority %d%s)", op->a, op->b, op->c, op->x ? ", nop" : "");
        break;
    case OP_UNREGISTER:
        fprintf(file, "gmem_listener_unregister(l%d)", op->a);
        break;
    case OP_REFUSE:
        fprintf(file, "l%d refuses after %" PRIu64 " more calls", op->a, op->x);
        break;
    case OP_GLOBAL_LOG:
        fprintf(file, "gmem_vm_set_global_log(vm, %s)", yes);
        break;
    case OP_LOOKUP:
        fprintf(file, "gmem_space_lookup(s%d, 0x%" PRIx64 ")", op->a, op->x);
        break;
    case OP_KINDS:
        break;
    }
}

void model_op_print(FILE *file, const struct model_op *op)
{
    int used = fprintf(file, "%s %d %d %d %" PRIx64 " %" PRIx64, names[op->kind], op->a, op->b, op->c, op->x, op->y);

    fprintf(file, "%*s# ", used < 50 ? 50 - used : 1, "");
    print_call(file, op);
    fputc('\n', file);
}

static bool slot_ok(int slot, int count)
{
    return slot >= 0 && slot < count;
}

/* A file may say anything; what indexes an array may not. */
static bool in_range(const struct model_op *op)
{
    switch (op->kind) {
    case OP_CREATE:
        return slot_ok(op->a, NAIVE_REGIONS) && slot_ok(op->b, GMEM_KIND_RESERVED + 1) && slot_ok(op->c, NAIVE_REGIONS);
    case OP_ADD:
    case OP_REMOVE:
    case OP_ALIAS:
        return slot_ok(op->a, NAIVE_REGIONS) && slot_ok(op->b, NAIVE_REGIONS);
    case OP_SPACE_CREATE:
        return slot_ok(op->a, MODEL_SPACES) && slot_ok(op->b, NAIVE_REGIONS);
    case OP_SPACE_DESTROY:
    case OP_LOOKUP:
        return slot_ok(op->a, MODEL_SPACES);
    case OP_REGISTER:
        return slot_ok(op->a, MODEL_LISTENERS) && slot_ok(op->b + 1, MODEL_SPACES + 1);
    case OP_UNREGISTER:
    case OP_REFUSE:
        return slot_ok(op->a, MODEL_LISTENERS);
    default:
        return slot_ok(op->a, NAIVE_REGIONS);
    }
}

bool model_op_parse(const char *line, struct model_op *ret_op)
{
    struct model_op op = {0};
    char name[32];
    unsigned kind = 0;

    if (sscanf(line, "%31s %d %d %d %" SCNx64 " %" SCNx64, name, &op.a, &op.b, &op.c, &op.x, &op.y) != 6)
        return false;
    while (kind < OP_KINDS && strcmp(names[kind], name) != 0)
        kind++;
    op.kind = kind;
    if (kind == OP_KINDS || !in_range(&op))
        return false;
    *ret_op = op;
    return true;
}

uint64_t model_random(struct model_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

unsigned model_pick(struct model_random *random, unsigned n)
{
    return (unsigned)(model_random(random) % n);
}

static int pick(struct model_plan *plan, unsigned n)
{
    return (int)model_pick(&plan->random, n);
}

static bool once_in(struct model_plan *plan, unsigned n)
{
    return model_pick(&plan->random, n) == 0;
}

void model_plan_begin(struct model_plan *plan, uint64_t seed)
{
    static const uint64_t units[] = {1, 1, 1, 16, 0x1000, UINT64_C(1) << 33, UINT64_C(1) << 58};

    memset(plan, 0, sizeof(*plan));
    plan->random.state = seed;
    plan->unit = units[pick(plan, 7)];
    plan->cells = 4u << pick(plan, 4);
    plan->regions = 2 + (unsigned)pick(plan, 13);
    plan->spaces = 1 + (unsigned)pick(plan, 3);
    plan->listeners = (unsigned)pick(plan, MODEL_LISTENERS + 1);
    plan->edits = 4 + (unsigned)pick(plan, 24);
}

static uint64_t jitter(struct model_plan *plan, uint64_t value)
{
    if (plan->unit == 1 || !once_in(plan, 6))
        return value;
    return once_in(plan, 2) ? value + 1 : value - 1;
}

static uint64_t offset(struct model_plan *plan)
{
    uint64_t cells = model_pick(&plan->random, plan->cells) * plan->unit;

    if (once_in(plan, 12))
        return 0 - cells - 1; /* the end of 2^64 */
    if (once_in(plan, 4))
        return 0;
    return jitter(plan, cells);
}

/* A size - 1. */
static uint64_t last(struct model_plan *plan)
{
    if (once_in(plan, 10))
        return UINT64_MAX;
    if (once_in(plan, 20))
        return 0;
    return jitter(plan, (1 + model_pick(&plan->random, plan->cells)) * plan->unit - 1);
}

static int region(struct model_plan *plan)
{
    return pick(plan, plan->regions);
}

/* A region of some use for the edit that wants it, if a few tries find one. */
static int region_where(struct model_plan *plan, const struct naive *naive,
                        bool (*suits)(const struct naive_region *region))
{
    int found = region(plan);

    for (int tries = 0; tries < 6; tries++) {
        if (naive->region[found].exists && suits(&naive->region[found]))
            break;
        found = region(plan);
    }
    return found;
}

static bool is_free(const struct naive_region *region)
{
    return region->container == NAIVE_NONE;
}

static bool is_placed(const struct naive_region *region)
{
    return region->container != NAIVE_NONE;
}

static bool is_container(const struct naive_region *region)
{
    return region->kind == GMEM_KIND_CONTAINER;
}

static bool is_alias(const struct naive_region *region)
{
    return region->kind == GMEM_KIND_ALIAS;
}

static bool is_romd(const struct naive_region *region)
{
    return region->kind == GMEM_KIND_ROMD;
}

static bool is_mmio(const struct naive_region *region)
{
    return region->kind == GMEM_KIND_MMIO;
}

static bool has_ram(const struct naive_region *region)
{
    return region->kind == GMEM_KIND_RAM || region->kind == GMEM_KIND_ROM || region->kind == GMEM_KIND_ROMD;
}

static struct model_op create(struct model_plan *plan, int slot)
{
    static const enum gmem_kind drawn[] = {
        GMEM_KIND_CONTAINER, GMEM_KIND_CONTAINER, GMEM_KIND_CONTAINER, GMEM_KIND_RAM,
        GMEM_KIND_RAM,       GMEM_KIND_RAM,       GMEM_KIND_ROM,       GMEM_KIND_ROMD,
        GMEM_KIND_MMIO,      GMEM_KIND_MMIO,      GMEM_KIND_MMIO,      GMEM_KIND_ALIAS,
        GMEM_KIND_ALIAS,     GMEM_KIND_ALIAS,     GMEM_KIND_ALIAS,     GMEM_KIND_RESERVED,
    };
    struct model_op op = {.kind = OP_CREATE, .a = slot};

    op.b = slot == 0 ? GMEM_KIND_CONTAINER : (int)drawn[pick(plan, 16)];
    op.c = slot ? pick(plan, (unsigned)slot) : 0;
    op.x = last(plan);
    if (slot == 0 && once_in(plan, 2))
        op.x = UINT64_MAX;
    if (op.b == GMEM_KIND_ALIAS)
        op.y = offset(plan);
    return op;
}

static struct model_op add(struct model_plan *plan, const struct naive *naive)
{
    return (struct model_op){
        .kind = OP_ADD,
        .a = once_in(plan, 3) ? 0 : region_where(plan, naive, is_container),
        .b = region_where(plan, naive, is_free),
        .c = pick(plan, 4) - 1,
        .x = offset(plan),
    };
}

static struct model_op edit(struct model_plan *plan, const struct naive *naive)
{
    struct model_op op = {.kind = OP_KINDS};

    switch (pick(plan, 32)) {
    case 0:
    case 1:
    case 2:
    case 3:
        return add(plan, naive);
    case 4:
    case 5:
    case 6:
        op = (struct model_op){.kind = OP_REMOVE, .b = region_where(plan, naive, is_placed)};
        op.a = naive->region[op.b].exists && !once_in(plan, 8) ? naive->region[op.b].container : region(plan);
        op.a = op.a < 0 ? 0 : op.a;
        break;
    case 7:
    case 8:
    case 9:
    case 10:
        op = (struct model_op){.kind = OP_ENABLE, .a = region(plan), .b = pick(plan, 2)};
        break;
    case 11:
    case 12:
    case 13:
    case 14:
        op = (struct model_op){.kind = OP_MOVE, .a = region_where(plan, naive, is_placed), .x = offset(plan)};
        break;
    case 15:
    case 16:
        op = (struct model_op){.kind = OP_RESIZE, .a = region(plan), .b = once_in(plan, 10)};
        op.x = once_in(plan, 20) ? 0 : last(plan) + 1;
        break;
    case 17:
    case 18:
        op = (struct model_op){.kind = OP_PRIORITY, .a = region_where(plan, naive, is_placed), .c = pick(plan, 4) - 1};
        break;
    case 19:
    case 20:
        op = (struct model_op){.kind = OP_ALIAS, .a = region_where(plan, naive, is_alias), .b = region(plan)};
        op.x = offset(plan);
        break;
    case 21:
    case 22:
        op = (struct model_op){.kind = OP_READONLY, .a = region(plan), .b = pick(plan, 2)};
        break;
    case 23:
        op = (struct model_op){.kind = OP_NONVOLATILE, .a = region(plan), .b = pick(plan, 2)};
        break;
    case 24:
        op = (struct model_op){.kind = OP_ROMD, .a = region_where(plan, naive, is_romd), .b = pick(plan, 2)};
        break;
    case 25:
    case 26:
        op = (struct model_op){.kind = OP_LOG, .a = region_where(plan, naive, has_ram), .b = pick(plan, 2)};
        op.c = once_in(plan, 20) ? (int)GMEM_LOG_CLIENTS : pick(plan, 2);
        break;
    case 27:
    case 28:
    case 29:
        op = (struct model_op){.kind = once_in(plan, 3) ? OP_EVENTFD_DEL : OP_EVENTFD_ADD,
                               .a = region_where(plan, naive, is_mmio),
                               .b = pick(plan, 2),
                               .c = pick(plan, 2),
                               .x = offset(plan),
                               .y = 1};
        op.b = op.b ? 1 << pick(plan, 4) : 0;
        if (!once_in(plan, 3)) /* likely to be in the region, and to be an old one */
            op.x = model_pick(&plan->random, 3);
        break;
    case 30:
        op = (struct model_op){.kind = OP_COALESCED, .a = region_where(plan, naive, is_mmio), .x = offset(plan)};
        if (once_in(plan, 2))
            op.x = model_pick(&plan->random, 3);
        op.y = op.x + (once_in(plan, 2) ? model_pick(&plan->random, 3) : last(plan));
        break;
    default:
        op = (struct model_op){.kind = once_in(plan, 2) ? OP_COALESCED_CLEAR : OP_RELEASE, .a = region(plan)};
        break;
    }
    return op;
}

/* One eventfd or interval of a region exchanged for another at once: all that a commit changes. */
static struct model_op exchange(struct model_plan *plan, const struct naive *naive)
{
    int at = region_where(plan, naive, is_mmio);
    const struct naive_region *region = &naive->region[at];
    struct model_op gone = {.kind = OP_COALESCED_CLEAR, .a = at};
    struct model_op new = {.kind = OP_COALESCED, .a = at};

    new.x = model_pick(&plan->random, 3);
    new.y = new.x + model_pick(&plan->random, 3);
    if (region->exists && region->n_eventfds) {
        const struct gmem_eventfd *eventfd = &region->eventfds[pick(plan, region->n_eventfds)];

        gone = (struct model_op){OP_EVENTFD_DEL, at, eventfd->size, eventfd->match, eventfd->offset, eventfd->data};
        new = (struct model_op){OP_EVENTFD_ADD, at, 1 << pick(plan, 4), pick(plan, 2), eventfd->offset, 2};
    }
    plan->queue[0] = (struct model_op){.kind = OP_COMMIT};
    plan->queue[1] = new;
    plan->queue[2] = gone;
    plan->queued = 3;
    return (struct model_op){.kind = OP_BEGIN};
}

static struct model_op make_space(struct model_plan *plan, int slot)
{
    return (struct model_op){.kind = OP_SPACE_CREATE, .a = slot, .b = once_in(plan, 2) ? 0 : region(plan)};
}

static struct model_op listen(struct model_plan *plan, int slot)
{
    return (struct model_op){
        .kind = OP_REGISTER,
        .a = slot,
        .b = pick(plan, plan->spaces + 1) - 1,
        .c = pick(plan, 3),
        .x = once_in(plan, 3),
    };
}

static struct model_op other(struct model_plan *plan, unsigned depth)
{
    struct model_op op = {.kind = OP_LOOKUP, .a = pick(plan, plan->spaces), .x = offset(plan)};

    switch (pick(plan, 12)) {
    case 0:
        return make_space(plan, pick(plan, plan->spaces));
    case 1:
        return (struct model_op){.kind = OP_SPACE_DESTROY, .a = pick(plan, plan->spaces)};
    case 2:
        return listen(plan, pick(plan, MODEL_LISTENERS));
    case 3:
        return (struct model_op){.kind = OP_UNREGISTER, .a = pick(plan, MODEL_LISTENERS)};
    case 4:
        return (struct model_op){.kind = OP_GLOBAL_LOG, .b = pick(plan, 2)};
    case 5:
    case 6:
        return (struct model_op){
            .kind = OP_REFUSE, .a = pick(plan, MODEL_LISTENERS), .x = model_pick(&plan->random, 8)};
    case 7:
        return (struct model_op){.kind = OP_BEGIN};
    case 8:
    case 9:
        return (struct model_op){.kind = depth && once_in(plan, 3) ? OP_ABORT : OP_COMMIT};
    default:
        return op;
    }
}

/*
 * A case: regions; a first map of them built in one transaction; spaces and listeners; then the
 * edits, alone or in transactions that are a few steps long.
 */
bool model_plan_next(struct model_plan *plan, const struct naive *naive, unsigned depth, struct model_op *ret_op)
{
    unsigned step = plan->steps++;

    if (step < plan->regions) {
        *ret_op = create(plan, (int)step);
        return true;
    }
    step -= plan->regions;
    if (step == 0 || step == plan->regions + 1) {
        *ret_op = (struct model_op){.kind = step ? OP_COMMIT : OP_BEGIN};
        return true;
    }
    if (step <= plan->regions) {
        *ret_op = add(plan, naive);
        return true;
    }
    step -= plan->regions + 2;
    if (step < plan->spaces) {
        *ret_op = make_space(plan, (int)step);
        return true;
    }
    step -= plan->spaces;
    if (step < plan->listeners) {
        *ret_op = listen(plan, (int)step);
        return true;
    }
    if (plan->queued) {
        *ret_op = plan->queue[--plan->queued];
        return true;
    }
    if (plan->edits == 0) {
        *ret_op = (struct model_op){.kind = OP_COMMIT};
        return depth > 0 && plan->steps < MODEL_OPS_MAX;
    }
    plan->edits--;
    if (depth && once_in(plan, 4))
        *ret_op = (struct model_op){.kind = once_in(plan, 4) ? OP_ABORT : OP_COMMIT};
    else if (depth < 3 && once_in(plan, 6))
        *ret_op = (struct model_op){.kind = OP_BEGIN};
    else if (once_in(plan, 40))
        *ret_op = exchange(plan, naive);
    else
        *ret_op = once_in(plan, 4) ? other(plan, depth) : edit(plan, naive);
    return true;
}
