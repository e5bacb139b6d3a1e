/* SPDX-License-Identifier: MIT */
/*
 * The steps of a case, done to the library and to the naive model. What the library answers is
 * checked against what the model expects; after every step everything else is compared too. A step
 * on an empty slot does nothing.
 *
 * A transaction is mirrored by copies of the model: begin saves one, abort and a refused commit go
 * back to it. One thread.
 */
#include "model_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void model_fail(struct model_run *run, const char *format, ...)
{
    va_list args;

    if (run->failure[0])
        return;
    va_start(args, format);
    vsnprintf(run->failure, sizeof(run->failure), format, args);
    va_end(args);
}

static gmem_result no_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static gmem_result no_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static const struct gmem_mmio_ops device = {.read = no_read, .write = no_write};

static void owner_ref(void *opaque)
{
    __atomic_fetch_add((long *)opaque, 1, __ATOMIC_ACQ_REL);
}

static void owner_unref(void *opaque)
{
    __atomic_fetch_sub((long *)opaque, 1, __ATOMIC_ACQ_REL);
}

void model_run_open(struct model_run *run)
{
    run->host = mmap(NULL, MODEL_RAM_MAX, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (run->host == MAP_FAILED || gmem_vm_create(NULL, &run->vm)) {
        fprintf(stderr, "model: can't make a vm\n");
        exit(2);
    }
}

void model_run_close(struct model_run *run)
{
    gmem_vm_destroy(run->vm);
    munmap(run->host, MODEL_RAM_MAX);
    for (int i = 0; i < NAIVE_REGIONS; i++) {
        if (run->reached[i])
            model_fail(run, "the vm is gone but the owner of r%d has %ld references", i, run->reached[i]);
    }
    for (int i = 0; i < MODEL_SPACES; i++)
        naive_view_free(&run->shown[i]);
    naive_view_free(&run->old_shown);
    for (int i = 0; i < MODEL_LISTENERS; i++)
        free(run->heard[i].items);
    free(run->events);
}

void model_case_begin(struct model_run *run)
{
    memset(&run->now, 0, sizeof(run->now));
    run->published = run->now;
    run->depth = 0;
    run->creating = -1;
    run->refused_with = 0;
    run->undoing = false;
    run->changed = false;
    run->old_kept = false;
    memset(run->region, 0, sizeof(run->region));
    memset(run->released, 0, sizeof(run->released));
    run->failure[0] = 0;
    run->serial++;
}

static int create_ram(struct model_run *run, int slot, uint64_t last, gmem_ram **ret)
{
    struct gmem_ram_options options = {.struct_size = sizeof(options), .backing = GMEM_RAM_CALLER};
    char id[32];

    snprintf(id, sizeof(id), "%u.%d", run->serial, slot);
    options.id = id;
    options.size = last + 1;
    options.host = run->host;
    return gmem_ram_create(run->vm, &options, ret);
}

static int create_backed(struct model_run *run, const struct model_op *op, uint64_t last,
                         const struct gmem_owner *owner, gmem_region **ret)
{
    gmem_ram *ram;
    int err = create_ram(run, op->a, last, &ram);

    if (err) {
        model_fail(run, "creating a RAM block: %s", gmem_strerror(err));
        return err;
    }
    if (op->b == GMEM_KIND_RAM)
        err = gmem_region_create_ram(run->vm, "r", ram, owner, ret);
    else if (op->b == GMEM_KIND_ROM)
        err = gmem_region_create_rom(run->vm, "r", ram, owner, ret);
    else
        err = gmem_region_create_romd(run->vm, "r", ram, &device, NULL, owner, ret);
    gmem_ram_unref(ram);
    return err;
}

static int create_region(struct model_run *run, const struct model_op *op, uint64_t last, gmem_region **ret)
{
    struct gmem_owner owner = {.opaque = &run->reached[op->a], .ref = owner_ref, .unref = owner_unref};
    gmem_size size = last == UINT64_MAX ? GMEM_SIZE_ALL : gmem_size_of(last + 1);

    switch (op->b) {
    case GMEM_KIND_CONTAINER:
        return gmem_region_create_container(run->vm, "r", size, &owner, ret);
    case GMEM_KIND_MMIO:
        return gmem_region_create_mmio(run->vm, "r", size, &device, NULL, &owner, ret);
    case GMEM_KIND_RESERVED:
        return gmem_region_create_reserved(run->vm, "r", size, &owner, ret);
    case GMEM_KIND_ALIAS:
        return gmem_region_create_alias(run->vm, "r", run->region[op->c], op->y, size, &owner, ret);
    default:
        return create_backed(run, op, last, &owner, ret);
    }
}

static bool usable(const struct model_run *run, int region)
{
    return run->now.region[region].exists && !run->released[region];
}

static void create(struct model_run *run, const struct model_op *op)
{
    enum gmem_kind kind = (enum gmem_kind)op->b;
    uint64_t last = op->x;
    gmem_region *made = NULL;
    unsigned errors;
    int err;

    if (run->region[op->a] || run->depth || (kind == GMEM_KIND_ALIAS && !usable(run, op->c)))
        return;
    if (kind == GMEM_KIND_RAM || kind == GMEM_KIND_ROM || kind == GMEM_KIND_ROMD)
        last %= MODEL_RAM_MAX;
    errors = naive_create(&run->now, op->a, kind, last, op->c, op->y);
    run->published = run->now;
    err = create_region(run, op, last, &made);
    if (!naive_agrees(errors, err))
        model_fail(run, "create: %d (%s), the model expects errors %x", err, gmem_strerror(err), errors);
    if (err && made)
        model_fail(run, "create was refused but wrote its result");
    run->region[op->a] = made;
}

/*
 * Only leaves: what a dead container leaves behind depends on when readers let go of it, and
 * aliases are to be re-aimed.
 */
static void release(struct model_run *run, int region)
{
    bool leaf = run->now.region[region].kind != GMEM_KIND_CONTAINER && run->now.region[region].kind != GMEM_KIND_ALIAS;

    for (int i = 0; i < NAIVE_REGIONS; i++)
        leaf = leaf && !(run->now.region[i].exists && run->now.region[i].container == region);
    if (!usable(run, region) || !leaf || run->depth)
        return;
    run->released[region] = true;
    gmem_region_unref(run->region[region]);
}

static struct gmem_eventfd eventfd_of(const struct model_op *op)
{
    return (struct gmem_eventfd){.offset = op->x, .data = op->y, .fd = 1, .size = (uint8_t)op->b, .match = op->c};
}

static bool is_edit(enum model_op_kind kind)
{
    return kind >= OP_ADD && kind <= OP_COALESCED_CLEAR;
}

static bool edit_usable(const struct model_run *run, const struct model_op *op)
{
    const struct naive_region *region = &run->now.region[op->a];
    bool two = op->kind == OP_ADD || op->kind == OP_REMOVE || op->kind == OP_ALIAS;

    if (!usable(run, op->a) || (two && !usable(run, op->b)))
        return false;
    if (op->kind == OP_EVENTFD_ADD)
        return region->n_eventfds < NAIVE_EXTRAS;
    return op->kind != OP_COALESCED || region->n_coalesced < NAIVE_EXTRAS;
}

static unsigned naive_edit(struct naive *now, const struct model_op *op)
{
    struct gmem_eventfd eventfd = eventfd_of(op);

    switch (op->kind) {
    case OP_ADD:
        return naive_add(now, op->a, op->x, op->b, op->c);
    case OP_REMOVE:
        return naive_remove(now, op->a, op->b);
    case OP_ENABLE:
        return naive_set_enabled(now, op->a, op->b);
    case OP_MOVE:
        return naive_move(now, op->a, op->x);
    case OP_RESIZE:
        return naive_resize(now, op->a, op->b ? GMEM_SIZE_ALL : gmem_size_of(op->x));
    case OP_PRIORITY:
        return naive_set_priority(now, op->a, op->c);
    case OP_ALIAS:
        return naive_set_alias(now, op->a, op->b, op->x);
    case OP_READONLY:
        return naive_set_readonly(now, op->a, op->b);
    case OP_NONVOLATILE:
        return naive_set_nonvolatile(now, op->a, op->b);
    case OP_ROMD:
        return naive_set_romd(now, op->a, op->b);
    case OP_LOG:
        return naive_set_log(now, op->a, (unsigned)op->c, op->b);
    case OP_EVENTFD_ADD:
        return naive_add_eventfd(now, op->a, &eventfd);
    case OP_EVENTFD_DEL:
        return naive_del_eventfd(now, op->a, &eventfd);
    case OP_COALESCED:
        return naive_add_coalesced(now, op->a, op->x, op->y);
    default:
        return naive_clear_coalesced(now, op->a);
    }
}

static int library_edit(struct model_run *run, const struct model_op *op)
{
    gmem_region *a = run->region[op->a];
    struct gmem_eventfd eventfd = eventfd_of(op);

    switch (op->kind) {
    case OP_ADD:
        return gmem_region_add_priority(a, op->x, run->region[op->b], op->c);
    case OP_REMOVE:
        return gmem_region_remove(a, run->region[op->b]);
    case OP_ENABLE:
        return gmem_region_set_enabled(a, op->b);
    case OP_MOVE:
        return gmem_region_move(a, op->x);
    case OP_RESIZE:
        return gmem_region_resize(a, op->b ? GMEM_SIZE_ALL : gmem_size_of(op->x));
    case OP_PRIORITY:
        return gmem_region_set_priority(a, op->c);
    case OP_ALIAS:
        return gmem_region_set_alias(a, run->region[op->b], op->x);
    case OP_READONLY:
        return gmem_region_set_readonly(a, op->b);
    case OP_NONVOLATILE:
        return gmem_region_set_nonvolatile(a, op->b);
    case OP_ROMD:
        return gmem_region_set_romd(a, op->b);
    case OP_LOG:
        return gmem_region_set_log(a, (unsigned)op->c, op->b);
    case OP_EVENTFD_ADD:
        return gmem_region_add_eventfd(a, &eventfd);
    case OP_EVENTFD_DEL:
        return gmem_region_del_eventfd(a, &eventfd);
    case OP_COALESCED:
        return gmem_region_add_coalesced(a, op->x, op->y);
    default:
        return gmem_region_clear_coalesced(a);
    }
}

static void expect_reason(struct model_run *run, int err)
{
    char text[256] = "";
    int said = gmem_vm_reason(run->vm, text, sizeof(text));

    if (said != err || !text[0])
        model_fail(run, "refused with %d, but the reason is of %d: \"%s\"", err, said, text);
}

/*
 * What was told and published if a call outside of transactions, or an outermost commit, went
 * through.
 */
static void settle(struct model_run *run, int err)
{
    if (err) {
        run->now = run->published;
        return;
    }
    run->published = run->now;
    run->changed = true;
}

static void edit(struct model_run *run, const struct model_op *op)
{
    unsigned errors;
    int err;

    if (!edit_usable(run, op))
        return;
    errors = naive_edit(&run->now, op);
    err = library_edit(run, op);
    if (run->refused_with ? err != run->refused_with || errors : !naive_agrees(errors, err))
        model_fail(run, "the edit gives %d (%s), the model expects errors %x%s", err, gmem_strerror(err), errors,
                   run->refused_with ? " and a listener refused" : "");
    if (err && err != -EINVAL)
        expect_reason(run, err);
    run->edits += !err;
    if (run->depth == 0)
        settle(run, err);
}

static void begin(struct model_run *run)
{
    int err;

    if (run->depth == MODEL_DEPTH)
        return;
    err = gmem_vm_begin(run->vm);
    if (err) {
        model_fail(run, "begin: %s", gmem_strerror(err));
        return;
    }
    run->saved[run->depth++] = run->now;
}

static void commit(struct model_run *run)
{
    int err = gmem_vm_commit(run->vm);

    if (run->depth == 0) {
        if (err != -EINVAL)
            model_fail(run, "a commit without a transaction gives %d", err);
        return;
    }
    if (err != run->refused_with || (run->depth > 1 && err))
        model_fail(run, "commit gives %d (%s), the listeners %d", err, gmem_strerror(err), run->refused_with);
    if (err)
        expect_reason(run, err);
    if (--run->depth == 0)
        settle(run, err);
}

static void abort_transaction(struct model_run *run)
{
    gmem_vm_abort(run->vm);
    if (run->depth)
        run->now = run->saved[--run->depth];
}

static void create_space(struct model_run *run, const struct model_op *op)
{
    gmem_space *made = NULL;
    int expected = run->depth ? -EBUSY : 0;
    int err;

    if (run->space[op->a] || !usable(run, op->b))
        return;
    run->root[op->a] = op->b;
    run->creating = op->a;
    err = gmem_space_create(run->vm, "s", run->region[op->b], NULL, &made);
    run->creating = -1;
    if (run->space[op->a] && made && run->space[op->a] != made)
        model_fail(run, "listeners heard of another space than the one created");
    if (err != (run->refused_with ? run->refused_with : expected))
        model_fail(run, "creating a space: %d (%s)", err, gmem_strerror(err));
    run->space[op->a] = made;
    run->changed = run->changed || !err;
}

static void destroy_space(struct model_run *run, int slot)
{
    gmem_space *space = run->space[slot];

    if (!space)
        return;
    for (int i = 0; i < MODEL_LISTENERS; i++)
        run->heard[i].armed = false; /* the end of a space can't be refused */
    gmem_view_unref(run->view[slot]);
    run->view[slot] = NULL;
    gmem_space_destroy(space);
    run->space[slot] = NULL;
    run->shown[slot].n_ranges = 0;
    run->shown[slot].n_extras = 0;
    for (int i = 0; i < MODEL_LISTENERS; i++) {
        if (run->heard[i].space == slot)
            run->heard[i].registered = false;
    }
}

static void register_listener(struct model_run *run, const struct model_op *op)
{
    struct heard *heard = &run->heard[op->a];
    int expected = run->depth ? -EBUSY : heard->registered ? -EEXIST : 0;
    int err;

    if (op->b >= 0 && !run->space[op->b])
        return;
    if (!heard->registered) {
        bool armed = heard->armed;
        uint64_t refuse_after = heard->refuse_after;

        free(heard->items);
        heard_prepare(heard, run, op->a);
        heard->armed = armed;
        heard->refuse_after = refuse_after;
        heard->space = op->b;
        heard->listener.priority = op->c;
        if (!op->x)
            heard->listener.region_nop = NULL;
    }
    err = gmem_listener_register(run->vm, op->b >= 0 ? run->space[op->b] : NULL, &heard->listener);
    if (err != (run->refused_with ? run->refused_with : expected))
        model_fail(run, "registering listener %d: %d (%s)", op->a, err, gmem_strerror(err));
    heard->registered = heard->registered || !err;
}

static void unregister_listener(struct model_run *run, int slot)
{
    struct heard *heard = &run->heard[slot];

    if (run->depth)
        return;
    heard->armed = false;
    gmem_listener_unregister(run->vm, &heard->listener);
    heard->registered = false;
    heard->global = false;
}

static void refuse(struct model_run *run, const struct model_op *op)
{
    run->heard[op->a].armed = true;
    run->heard[op->a].refuse_after = op->x;
}

static void global_log(struct model_run *run, bool on)
{
    int err = gmem_vm_set_global_log(run->vm, on);

    if (err != run->refused_with)
        model_fail(run, "global log: %d (%s), the listeners %d", err, gmem_strerror(err), run->refused_with);
    for (int i = 0; i < MODEL_LISTENERS && !err; i++) {
        if (run->heard[i].registered && run->heard[i].global != on)
            model_fail(run, "listener %d has not heard of the global log", i);
    }
}

/* The first and the last byte of every range, and the bytes beside it. */
static void lookup_all(struct model_run *run, int space)
{
    const struct naive_view *shown = &run->shown[space];

    for (size_t i = 0; i < shown->n_ranges; i++) {
        check_lookup(run, space, shown->ranges[i].first);
        check_lookup(run, space, shown->ranges[i].last);
        check_lookup(run, space, shown->ranges[i].first - 1);
        check_lookup(run, space, shown->ranges[i].last + 1);
    }
}

static void lookup(struct model_run *run, const struct model_op *op)
{
    if (!run->space[op->a])
        return;
    check_lookup(run, op->a, op->x);
    lookup_all(run, op->a);
}

static void do_step(struct model_run *run, const struct model_op *op)
{
    if (is_edit(op->kind)) {
        edit(run, op);
        return;
    }
    switch (op->kind) {
    case OP_CREATE:
        create(run, op);
        break;
    case OP_RELEASE:
        release(run, op->a);
        break;
    case OP_BEGIN:
        begin(run);
        break;
    case OP_COMMIT:
        commit(run);
        break;
    case OP_ABORT:
        abort_transaction(run);
        break;
    case OP_SPACE_CREATE:
        create_space(run, op);
        break;
    case OP_SPACE_DESTROY:
        destroy_space(run, op->a);
        break;
    case OP_REGISTER:
        register_listener(run, op);
        break;
    case OP_UNREGISTER:
        unregister_listener(run, op->a);
        break;
    case OP_REFUSE:
        refuse(run, op);
        break;
    case OP_GLOBAL_LOG:
        global_log(run, op->b);
        break;
    case OP_LOOKUP:
        lookup(run, op);
        break;
    default:
        break;
    }
}

/* Remember the first view of space 0 with what it showed: it must show that for ever. */
static void keep_old_view(struct model_run *run)
{
    if (run->old_kept || !run->space[0])
        return;
    run->old_kept = true;
    run->old_view = gmem_space_view(run->space[0]);
    naive_render(&run->published, run->root[0], &run->old_shown);
}

void model_case_step(struct model_run *run, const struct model_op *op)
{
    run->refused_with = 0;
    run->undoing = false;
    run->n_events = 0;
    do_step(run, op);
    check_topology(run);
    check_views(run);
    check_copies(run);
    if (!run->refused_with)
        check_calls(run);
    keep_old_view(run);
}

/*
 * A container and an alias of it that is in it keep each other alive, and so do aliases of each
 * other.
 */
static void take_apart(struct model_run *run)
{
    gmem_region *nothing = NULL;
    int err = gmem_region_create_reserved(run->vm, "nothing", gmem_size_of(1), NULL, &nothing);

    if (!err)
        err = gmem_vm_begin(run->vm);
    for (int i = 0; i < NAIVE_REGIONS && !err; i++) {
        gmem_region *child;

        if (!run->region[i] || run->released[i])
            continue;
        while (!err && (child = gmem_region_first_child(run->region[i])))
            err = gmem_region_remove(run->region[i], child);
        if (!err && run->now.region[i].kind == GMEM_KIND_ALIAS)
            err = gmem_region_set_alias(run->region[i], nothing, 0);
    }
    if (!err)
        err = gmem_vm_commit(run->vm);
    if (err)
        model_fail(run, "taking the regions apart: %s", gmem_strerror(err));
    gmem_region_unref(nothing);
}

void model_case_end(struct model_run *run)
{
    while (run->depth)
        model_case_step(run, &(struct model_op){.kind = OP_ABORT});
    if (run->old_view)
        check_shows(run, run->old_view, &run->old_shown, "an old view");
    gmem_view_unref(run->old_view);
    run->old_view = NULL;
    for (int i = 0; i < MODEL_LISTENERS; i += 2)
        model_case_step(run, &(struct model_op){.kind = OP_UNREGISTER, .a = i});
    for (int i = 0; i < MODEL_SPACES; i++)
        model_case_step(run, &(struct model_op){.kind = OP_SPACE_DESTROY, .a = i});
    for (int i = 1; i < MODEL_LISTENERS; i += 2)
        model_case_step(run, &(struct model_op){.kind = OP_UNREGISTER, .a = i});
    take_apart(run);
    for (int i = 0; i < NAIVE_REGIONS; i++) {
        if (!run->released[i])
            gmem_region_unref(run->region[i]);
    }
    if (gmem_vm_set_global_log(run->vm, false))
        model_fail(run, "the global log can't be switched off");
}
