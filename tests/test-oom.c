/* SPDX-License-Identifier: MIT */
/*
 * test-oom.c - out of memory at every single allocation (G1, G8).
 *
 * Each row of the table at the end is a call that changes a small machine. It is tried with its first
 * allocation failing, then the second, and so on until it asks for no more: alone, in a transaction,
 * in one that is nested, and in one that is nested and aborted while the outer goes on. The first
 * and the last way also on a machine with several views and listeners and whatever else commits look at. Every failure must
 * be -ENOMEM and leave the topology, the views and what listeners know as they were; then the call
 * must succeed. What can't be refused must not need memory. AddressSanitizer sees leaks.
 *
 * A new edit is a function and a row. Linked with the allocator wrapped (wrap.h).
 */
#include "support.h"
#include "wrap.h"
#include <errno.h>

#define SECTIONS 400
#define FILLERS 10u /* devices that make the trees of views higher */

/* A listener that knows what it was told, as lines in any order. */
struct ear {
    struct gmem_listener listener;
    char lines[SECTIONS][128];
    size_t count;
    bool global; /* everything is logged */
};

struct machine {
    gmem_vm *vm;
    gmem_region *root;
    gmem_region *ram;
    gmem_region *rom;
    gmem_region *romd;
    gmem_region *device;
    gmem_region *alias;
    gmem_region *bus;     /* root of space dma: a lone alias of root */
    gmem_region *spare;   /* placed nowhere */
    gmem_region *box;     /* the same, with a device in it */
    gmem_region *noise;   /* edited besides, where a row is in a transaction */
    gmem_region *created; /* by the latest row that creates */
    gmem_space *memory;
    gmem_space *dma;
    gmem_space *io; /* rich: a view of its own, of part of root and a device */
    gmem_space *late;
    bool rich;
    bool kept; /* the row was undone, but not what is around it */
    struct ear ear;
    struct ear late_ear;
    struct ear dma_ear; /* of that space alone, once it is registered */
    struct ear nop_ear; /* rich: hears what does not change, too */
};

static void describe(char *line, const char *what, const struct gmem_section *section, uint64_t data)
{
    /* An eventfd or a coalesced interval is the same whatever the attributes of the range that it is in. */
    unsigned attrs = strcmp(what, "range") == 0 ? section->attrs & ~GMEM_RANGE_LOG_MASK : 0;

    snprintf(line, 128, "%s %s %llx-%llx %s@%llx %x %llu", what, gmem_space_name(section->space),
             (unsigned long long)section->first, (unsigned long long)section->last, gmem_region_name(section->region),
             (unsigned long long)section->offset, attrs, (unsigned long long)data);
}

static int know(struct gmem_listener *listener, const char *what, const struct gmem_section *section, uint64_t data)
{
    struct ear *ear = listener->opaque;

    assert_true(ear->count < SECTIONS);
    describe(ear->lines[ear->count++], what, section, data);
    return 0;
}

static int forget(struct gmem_listener *listener, const char *what, const struct gmem_section *section, uint64_t data)
{
    struct ear *ear = listener->opaque;
    char line[128];
    size_t i = 0;

    describe(line, what, section, data);
    while (i < ear->count && strcmp(ear->lines[i], line) != 0)
        i++;
    if (i == ear->count)
        fail_msg("never heard of %s", line);
    memcpy(ear->lines[i], ear->lines[--ear->count], sizeof(line));
    return 0;
}

static int on_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    return know(listener, "range", section, 0);
}

static int on_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    return forget(listener, "range", section, 0);
}

/* A line for each client. */
static int on_log(struct gmem_listener *listener, const struct gmem_section *section, unsigned before, unsigned after)
{
    int err = 0;

    for (unsigned client = 0; !err && client < GMEM_LOG_CLIENTS; client++) {
        if ((before ^ after) >> client & 1u)
            err = (after >> client & 1u ? know : forget)(listener, "log", section, client);
    }
    return err;
}

static int on_global_start(struct gmem_listener *listener)
{
    ((struct ear *)listener->opaque)->global = true;
    return 0;
}

static int on_global_stop(struct gmem_listener *listener)
{
    ((struct ear *)listener->opaque)->global = false;
    return 0;
}

static int on_coalesced_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    return know(listener, "coalesced", section, 0);
}

static int on_coalesced_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    return forget(listener, "coalesced", section, 0);
}

static int on_eventfd_add(struct gmem_listener *listener, const struct gmem_section *section,
                          const struct gmem_eventfd *eventfd)
{
    return know(listener, "eventfd", section, eventfd->data);
}

static int on_eventfd_del(struct gmem_listener *listener, const struct gmem_section *section,
                          const struct gmem_eventfd *eventfd)
{
    return forget(listener, "eventfd", section, eventfd->data);
}

static int on_nop(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    return 0;
}

static void ear_open(struct ear *ear)
{
    memset(ear, 0, sizeof(*ear));
    ear->listener = (struct gmem_listener){
        .struct_size = sizeof(ear->listener),
        .name = "ear",
        .opaque = ear,
        .region_add = on_add,
        .region_del = on_del,
        .log_start = on_log,
        .log_stop = on_log,
        .log_global_start = on_global_start,
        .log_global_stop = on_global_stop,
        .eventfd_add = on_eventfd_add,
        .eventfd_del = on_eventfd_del,
        .coalesced_add = on_coalesced_add,
        .coalesced_del = on_coalesced_del,
    };
}

/* What makes a machine rich: everything that commits have to think of. */
static void machine_enrich(struct machine *machine)
{
    struct gmem_eventfd eventfd = {.offset = 8, .data = 3, .fd = 2, .size = 4, .match = true};
    gmem_vm *vm = machine->vm;
    gmem_region *io = make_container(vm, "io", GMEM_SIZE(0x100000));

    OK(gmem_region_add(io, 0, make_alias(vm, "low", machine->root, 0, GMEM_SIZE(0x40000))));
    OK(gmem_region_add_priority(io, 0x3000, make_mmio(vm, "port", GMEM_SIZE(0x100)), 1));
    for (unsigned i = 0; i < FILLERS; i++)
        OK(gmem_region_add(machine->root, 0x80000 + i * 0x20, make_mmio(vm, "filler", GMEM_SIZE(0x10 + i % 2 * 0x10))));
    OK(gmem_region_add_eventfd(machine->device, &eventfd));
    OK(gmem_region_add_coalesced(machine->device, 0, 0xff));
    OK(gmem_region_set_log(machine->ram, GMEM_LOG_MIGRATION, true));
    machine->io = make_space(vm, "io", io);
    ear_open(&machine->nop_ear);
    machine->nop_ear.listener.priority = -5;
    machine->nop_ear.listener.region_nop = on_nop;
    OK(gmem_listener_register(vm, NULL, &machine->nop_ear.listener));
}

static void machine_open(struct machine *machine, bool rich)
{
    gmem_vm *vm = make_vm();

    memset(machine, 0, sizeof(*machine));
    machine->vm = vm;
    machine->rich = rich;
    machine->root = make_container(vm, "root", GMEM_SIZE_ALL);
    machine->ram = make_ram(vm, "ram", 0x10000);
    machine->rom = make_rom(vm, "rom", 0x1000);
    machine->romd = make_romd(vm, "romd", 0x1000);
    machine->device = make_mmio(vm, "device", GMEM_SIZE(0x1000));
    machine->alias = make_alias(vm, "alias", machine->ram, 0x8000, GMEM_SIZE(0x1000));
    machine->bus = make_container(vm, "bus", GMEM_SIZE_ALL);
    machine->spare = make_mmio(vm, "spare", GMEM_SIZE(0x800));
    machine->box = make_container(vm, "box", GMEM_SIZE(0x2000));
    machine->noise = make_mmio(vm, "noise", GMEM_SIZE(0x40));
    OK(gmem_region_add(machine->box, 0x100, make_mmio(vm, "boxed", GMEM_SIZE(0x100))));
    OK(gmem_region_add(machine->root, 0, machine->ram));
    OK(gmem_region_add_priority(machine->root, 0x8000, machine->rom, 1));
    OK(gmem_region_add(machine->root, 0x20000, machine->romd));
    OK(gmem_region_add_priority(machine->root, 0x4000, machine->device, 2));
    OK(gmem_region_add(machine->root, 0x30000, machine->alias));
    OK(gmem_region_add(machine->root, 0x38000, machine->noise));
    OK(gmem_region_add(machine->bus, 0, make_alias(vm, "bus alias", machine->root, 0, GMEM_SIZE_ALL)));
    machine->memory = make_space(vm, "memory", machine->root);
    machine->dma = make_space(vm, "dma", machine->bus);
    ear_open(&machine->ear);
    ear_open(&machine->late_ear);
    ear_open(&machine->dma_ear);
    OK(gmem_listener_register(vm, NULL, &machine->ear.listener));
    if (rich)
        machine_enrich(machine);
}

/*
 * --- what must not change
 * --------------------------------------------------------------------------
 */

static int print_piece(void *opaque, const char *text, size_t len)
{
    struct text *dump = opaque;

    dump->chars = realloc(dump->chars, dump->length + len + 1);
    assert_non_null(dump->chars);
    memcpy(dump->chars + dump->length, text, len);
    dump->length += len;
    dump->chars[dump->length] = 0;
    return 0;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void dump_ear(struct ear *ear, struct text *dump)
{
    text_add(dump, ear->global ? "all is logged\n" : "not all is logged\n");
    qsort(ear->lines, ear->count, sizeof(ear->lines[0]), compare_lines);
    for (size_t i = 0; i < ear->count; i++) {
        text_add(dump, ear->lines[i]);
        text_add(dump, "\n");
    }
}

/* Tree, also of what is disabled or in no space, flat views, all of it as JSON, and what the listeners know. */
static char *dump_all(struct machine *machine)
{
    struct gmem_print_options options = {.struct_size = sizeof(options), .flags = GMEM_PRINT_DISABLED};
    struct text dump = {NULL, 0};
    char line[128];

    OK(gmem_print_tree(machine->vm, &options, print_piece, &dump));
    options.flags = GMEM_PRINT_JSON;
    OK(gmem_print_tree(machine->vm, &options, print_piece, &dump));
    OK(gmem_print_flat(machine->vm, &options, print_piece, &dump));
    options.flags = 0;
    OK(gmem_print_flat(machine->vm, &options, print_piece, &dump));
    dump_ear(&machine->ear, &dump);
    dump_ear(&machine->late_ear, &dump);
    dump_ear(&machine->dma_ear, &dump);
    dump_ear(&machine->nop_ear, &dump);
    snprintf(line, sizeof(line), "spare: %d %llx %d box: %d %llx\n", gmem_region_container(machine->spare) != NULL,
             (unsigned long long)gmem_region_offset(machine->spare), gmem_region_enabled(machine->spare),
             gmem_region_container(machine->box) != NULL, (unsigned long long)gmem_region_offset(machine->box));
    text_add(&dump, line);
    return dump.chars;
}

/*
 * --- the rows
 * -----------------------------------------------------------------------------------------
 */

static int create_container(struct machine *machine)
{
    return gmem_region_create_container(machine->vm, "created", GMEM_SIZE(0x1000), NULL, &machine->created);
}

static int create_mmio(struct machine *machine)
{
    struct gmem_mmio_ops ops = silent_ops();
    struct gmem_owner owner = {.label = "owner:{dev id=x}"};

    return gmem_region_create_mmio(machine->vm, "created", GMEM_SIZE(0x1000), &ops, NULL, &owner, &machine->created);
}

static int create_reserved(struct machine *machine)
{
    return gmem_region_create_reserved(machine->vm, "created", GMEM_SIZE(0x1000), NULL, &machine->created);
}

static int create_alias(struct machine *machine)
{
    return gmem_region_create_alias(machine->vm, "created", machine->ram, 0, GMEM_SIZE(0x1000), NULL,
                                    &machine->created);
}

static int create_ram(struct machine *machine)
{
    gmem_ram *ram;
    int err = gmem_ram_create_anon(machine->vm, "created", 0x1000, &ram);

    if (err)
        return err;
    err = gmem_region_create_ram(machine->vm, "created", ram, NULL, &machine->created);
    gmem_ram_unref(ram);
    return err;
}

static int create_rom(struct machine *machine)
{
    gmem_ram *ram;
    int err = gmem_ram_create_anon(machine->vm, "created", 0x1000, &ram);

    if (err)
        return err;
    err = gmem_region_create_rom(machine->vm, "created", ram, NULL, &machine->created);
    gmem_ram_unref(ram);
    return err;
}

static int create_block(struct machine *machine, enum gmem_ram_backing backing, const char *path)
{
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = "block", .size = 0x1000};
    gmem_ram *ram = NULL;
    int err;

    options.backing = backing;
    options.path = path;
    options.flags = GMEM_RAM_PREALLOC;
    err = gmem_ram_create(machine->vm, &options, &ram);
    assert_true(!err || !ram);
    gmem_ram_unref(ram);
    return err;
}

static int create_memfd(struct machine *machine)
{
    return create_block(machine, GMEM_RAM_MEMFD, NULL);
}

static int create_file(struct machine *machine)
{
    return create_block(machine, GMEM_RAM_FILE, "/tmp");
}

static int create_romd(struct machine *machine)
{
    struct gmem_mmio_ops ops = silent_ops();
    gmem_ram *ram;
    int err = gmem_ram_create_anon(machine->vm, "created", 0x1000, &ram);

    if (err)
        return err;
    err = gmem_region_create_romd(machine->vm, "created", ram, &ops, NULL, NULL, &machine->created);
    gmem_ram_unref(ram);
    return err;
}

static int add(struct machine *machine)
{
    return gmem_region_add_priority(machine->root, 0x2000, machine->spare, 3);
}

static int add_box(struct machine *machine)
{
    return gmem_region_add(machine->root, 0x28000, machine->box);
}

static int move_box(struct machine *machine)
{
    return gmem_region_move(machine->box, 0x2800);
}

static int shrink_box(struct machine *machine)
{
    return gmem_region_resize(machine->box, GMEM_SIZE(0x180));
}

static int move(struct machine *machine)
{
    return gmem_region_move(machine->spare, 0x2100);
}

static int lower(struct machine *machine)
{
    return gmem_region_set_priority(machine->spare, -1);
}

static int raise_again(struct machine *machine)
{
    return gmem_region_set_priority(machine->spare, 5);
}

static int resize(struct machine *machine)
{
    return gmem_region_resize(machine->spare, GMEM_SIZE(0x1800));
}

static int disable(struct machine *machine)
{
    return gmem_region_set_enabled(machine->spare, false);
}

static int enable(struct machine *machine)
{
    return gmem_region_set_enabled(machine->spare, true);
}

static int make_readonly(struct machine *machine)
{
    return gmem_region_set_readonly(machine->ram, true);
}

static int make_writable(struct machine *machine)
{
    return gmem_region_set_readonly(machine->ram, false);
}

static int enter_romd(struct machine *machine)
{
    return gmem_region_set_romd(machine->romd, true);
}

static int scroll(struct machine *machine)
{
    return gmem_region_set_alias(machine->alias, machine->rom, 0x800);
}

static int show_container(struct machine *machine)
{
    return gmem_region_set_alias(machine->alias, machine->box, 0);
}

static int stop_log(struct machine *machine)
{
    return gmem_region_set_log(machine->ram, GMEM_LOG_DISPLAY, false);
}

static int sync_log(struct machine *machine)
{
    return gmem_region_log_sync(machine->ram);
}

static int clear_log(struct machine *machine)
{
    return gmem_region_log_clear(machine->ram, 0x1000, 0x1fff);
}

/* Then space dma does not come down to root any more. */
static int fill_bus(struct machine *machine)
{
    return gmem_region_add_priority(machine->bus, 0x50000, machine->spare, 1);
}

static int empty_bus(struct machine *machine)
{
    return gmem_region_remove(machine->bus, machine->spare);
}

static int look_up(struct machine *machine)
{
    struct gmem_section section;
    gmem_view *view = gmem_space_view(machine->memory);
    int err = gmem_space_lookup(machine->memory, 0, &section);

    gmem_view_unref(view);
    if (!err)
        gmem_section_release(&section);
    return err;
}

static int make_nonvolatile(struct machine *machine)
{
    return gmem_region_set_nonvolatile(machine->root, true);
}

static int leave_romd(struct machine *machine)
{
    return gmem_region_set_romd(machine->romd, false);
}

static int re_aim(struct machine *machine)
{
    return gmem_region_set_alias(machine->alias, machine->rom, 0);
}

static int start_log(struct machine *machine)
{
    return gmem_region_set_log(machine->ram, GMEM_LOG_DISPLAY, true);
}

static int add_eventfd(struct machine *machine)
{
    struct gmem_eventfd eventfd = {.offset = 0x10, .data = 7, .fd = 1, .size = 4, .match = true};

    return gmem_region_add_eventfd(machine->spare, &eventfd);
}

static int add_coalesced(struct machine *machine)
{
    return gmem_region_add_coalesced(machine->spare, 0x20, 0x2f);
}

static int add_another_coalesced(struct machine *machine)
{
    return gmem_region_add_coalesced(machine->spare, 0x28, 0x3f);
}

static int del_eventfd(struct machine *machine)
{
    struct gmem_eventfd eventfd = {.offset = 0x10, .data = 7, .fd = 1, .size = 4, .match = true};

    return gmem_region_del_eventfd(machine->spare, &eventfd);
}

static int clear_coalesced(struct machine *machine)
{
    return gmem_region_clear_coalesced(machine->spare);
}

static int take_out(struct machine *machine)
{
    return gmem_region_remove(machine->root, machine->spare);
}

/* Transactions in each other, with an edit inside the innermost. */
static int nest_deeply(struct machine *machine)
{
    unsigned depth;
    int err = 0;

    for (depth = 0; !err && depth < 40; depth += !err)
        err = gmem_vm_begin(machine->vm);
    if (!err)
        err = gmem_region_set_priority(machine->rom, -3);
    for (; depth > 0; depth--) {
        if (err)
            gmem_vm_abort(machine->vm);
        else
            err = gmem_vm_commit(machine->vm);
    }
    return err;
}

/* So many places that the whole view is rendered. */
static int edit_all(struct machine *machine)
{
    int err = gmem_vm_begin(machine->vm);
    unsigned i;

    if (err)
        return err;
    for (i = 0; !err && i < 90; i++)
        err = gmem_region_move(machine->device, 0x4000 + i % 3 * 0x800);
    if (!err)
        err = gmem_region_set_enabled(machine->rom, false);
    if (!err)
        return gmem_vm_commit(machine->vm);
    gmem_vm_abort(machine->vm);
    return err;
}

static int create_space(struct machine *machine)
{
    return gmem_space_create(machine->vm, "late", machine->ram, NULL, &machine->late);
}

static int listen_late(struct machine *machine)
{
    return gmem_listener_register(machine->vm, NULL, &machine->late_ear.listener);
}

static int listen_to_dma(struct machine *machine)
{
    return gmem_listener_register(machine->vm, machine->dma, &machine->dma_ear.listener);
}

static int start_global_log(struct machine *machine)
{
    return gmem_vm_set_global_log(machine->vm, true);
}

static int stop_global_log(struct machine *machine)
{
    return gmem_vm_set_global_log(machine->vm, false);
}

/*
 * --- trying them
 * --------------------------------------------------------------------------------------
 */

#define ALONE 1u /* not in a transaction, or nothing that one could undo */
#define FREE 2u  /* asks for no memory by itself */

struct row {
    const char *name;
    int (*call)(struct machine *machine);
    unsigned flags;
};

#define ROW(call, flags)                                                                                               \
    {                                                                                                                  \
#call, call, flags                                                                                             \
    }

/* In this order, on one machine. */
static const struct row rows[] = {
    ROW(create_container, 0),
    ROW(create_mmio, 0),
    ROW(create_reserved, 0),
    ROW(create_alias, 0),
    ROW(create_ram, 0),
    ROW(create_rom, 0),
    ROW(create_romd, 0),
    ROW(create_memfd, 0),
    ROW(create_file, 0),
    ROW(add, 0),
    ROW(move, 0),
    ROW(lower, 0),
    ROW(raise_again, 0),
    ROW(resize, 0),
    ROW(disable, 0),
    ROW(enable, 0),
    ROW(make_readonly, 0),
    ROW(start_log, 0),
    ROW(make_nonvolatile, 0),
    ROW(leave_romd, 0),
    ROW(re_aim, 0),
    ROW(scroll, 0),
    ROW(add_box, 0),
    ROW(show_container, 0),
    ROW(shrink_box, 0),
    ROW(move_box, 0),
    ROW(add_eventfd, 0),
    ROW(add_coalesced, 0),
    ROW(add_another_coalesced, 0),
    ROW(create_space, ALONE),
    ROW(listen_late, ALONE),
    ROW(listen_to_dma, ALONE),
    ROW(start_global_log, ALONE),
    ROW(sync_log, FREE),
    ROW(clear_log, FREE),
    ROW(look_up, FREE),
    ROW(stop_log, 0),
    ROW(make_writable, 0),
    ROW(enter_romd, 0),
    ROW(del_eventfd, 0),
    ROW(clear_coalesced, 0),
    ROW(take_out, 0),
    ROW(fill_bus, 0),
    ROW(empty_bus, 0),
    ROW(nest_deeply, 0),
    ROW(edit_all, 0),
    ROW(stop_global_log, ALONE),
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

enum way {
    BY_ITSELF,
    IN_TRANSACTION, /* which fails if the row does */
    NESTED,         /* the same, one deeper */
    ABORTED,        /* nested, and the outer one goes on without the row if that fails */
    WAYS
};

static int make_noise(struct machine *machine)
{
    return gmem_region_set_readonly(machine->noise, !gmem_region_readonly(machine->noise));
}

static int end_transaction(struct machine *machine, int err)
{
    if (!err)
        return gmem_vm_commit(machine->vm);
    gmem_vm_abort(machine->vm);
    return err;
}

static int call_in_transaction(struct machine *machine, const struct row *row)
{
    int err = gmem_vm_begin(machine->vm);

    if (err)
        return err;
    err = row->call(machine);
    return end_transaction(machine, err);
}

static int call_row(struct machine *machine, const struct row *row, enum way way)
{
    int err, inner;

    machine->kept = false;
    if (way == BY_ITSELF || (row->flags & ALONE))
        return row->call(machine);
    err = gmem_vm_begin(machine->vm);
    if (err)
        return err;
    err = make_noise(machine);
    if (way != ABORTED) {
        if (!err)
            err = way == NESTED ? call_in_transaction(machine, row) : row->call(machine);
        return end_transaction(machine, err);
    }
    inner = err ? 0 : call_in_transaction(machine, row);
    err = end_transaction(machine, err);
    machine->kept = inner && !err;
    return err ? err : inner;
}

/* The dumps of now, and of when only what is around the row was done. */
static void dump_both(struct machine *machine, char **ret_was, char **ret_noisy)
{
    *ret_was = dump_all(machine);
    OK(make_noise(machine));
    *ret_noisy = dump_all(machine);
    OK(make_noise(machine));
}

static void check_failed(struct machine *machine, const struct row *row, const struct gmem_vm_stats *before,
                         const char *was)
{
    struct gmem_vm_stats after;
    char *is;

    gmem_region_unref(machine->created); /* made, but what was around that failed */
    machine->created = NULL;
    is = dump_all(machine);
    if (strcmp(is, was) != 0)
        fail_msg("%s fails and leaves:\n%s\nit was:\n%s", row->name, is, was);
    free(is);
    gmem_vm_stats(machine->vm, &after);
    assert_int_equal(after.regions, before->regions);
    if (machine->kept)
        OK(make_noise(machine));
    else
        assert_int_equal(after.views_published, before->views_published);
}

/* How many allocations there were to fail. */
static unsigned long try_row(struct machine *machine, const struct row *row, enum way way)
{
    struct gmem_vm_stats before;
    char *was, *noisy;
    bool failed = true;
    unsigned long n;

    dump_both(machine, &was, &noisy);
    for (n = 1; failed; n++) {
        int err;

        gmem_vm_stats(machine->vm, &before);
        wrap_start(n);
        err = call_row(machine, row, way);
        failed = wrap_stop();
        if (err != (failed ? -ENOMEM : 0))
            fail_msg("%s, allocation %lu: %s", row->name, n, gmem_strerror(err));
        if (failed)
            check_failed(machine, row, &before, machine->kept ? noisy : was);
    }
    free(was);
    free(noisy);
    gmem_region_unref(machine->created);
    machine->created = NULL;
    /* The noise is of one kind only when rows begin. */
    if (gmem_region_readonly(machine->noise))
        OK(make_noise(machine));
    return n - 2;
}

static void try_all(bool rich, enum way way)
{
    struct machine machine;
    unsigned long failures, all = 0;

    (void)wrap_stop(); /* where a test before failed */
    machine_open(&machine, rich);
    for (size_t i = 0; i < ROWS; i++) {
        failures = try_row(&machine, &rows[i], way);
        if (way == BY_ITSELF && (failures > 0) == !!(rows[i].flags & FREE))
            fail_msg("%s asks for memory %lu times", rows[i].name, failures);
        all += failures;
    }
    print_message("%lu allocations failed\n", all);
    assert_int_equal(machine.ear.count, machine.late_ear.count);
    assert_true(machine.dma_ear.count > 0);
    gmem_listener_unregister(machine.vm, &machine.late_ear.listener);
    gmem_listener_unregister(machine.vm, &machine.dma_ear.listener);
    gmem_listener_unregister(machine.vm, &machine.ear.listener);
    if (rich)
        gmem_listener_unregister(machine.vm, &machine.nop_ear.listener);
    assert_int_equal(machine.ear.count + machine.late_ear.count + machine.dma_ear.count + machine.nop_ear.count, 0);
    gmem_vm_destroy(machine.vm);
}

static void test_by_itself(void **state)
{
    (void)state;
    try_all(false, BY_ITSELF);
    try_all(true, BY_ITSELF);
}

static void test_in_transaction(void **state)
{
    (void)state;
    try_all(false, IN_TRANSACTION);
}

static void test_nested(void **state)
{
    (void)state;
    try_all(false, NESTED);
}

static void test_nested_aborted(void **state)
{
    (void)state;
    try_all(false, ABORTED);
    try_all(true, ABORTED);
}

/* Creating a vm: nothing is there before. */
static void test_vm(void **state)
{
    gmem_vm *vm = NULL;
    bool failed = true;

    (void)state;
    for (unsigned long n = 1; failed; n++) {
        int err;

        wrap_start(n);
        err = gmem_vm_create(NULL, &vm);
        failed = wrap_stop();
        assert_int_equal(err, failed ? -ENOMEM : 0);
    }
    gmem_vm_destroy(vm);
}

/* Ending things, and undoing a transaction, can't be refused: they do without memory. */
static void test_ending_needs_no_memory(void **state)
{
    struct machine machine;
    char *was;
    char *is;

    (void)state;
    machine_open(&machine, true);
    gmem_space_destroy(machine.io);
    was = dump_all(&machine);
    OK(gmem_vm_begin(machine.vm));
    OK(gmem_region_add_priority(machine.root, 0x6000, machine.spare, 3));
    OK(gmem_region_set_enabled(machine.ram, false));
    wrap_start(1);
    wrap.every = true;
    gmem_vm_abort(machine.vm);
    wrap_stop();
    is = dump_all(&machine);
    assert_string_equal(is, was);
    free(was);
    free(is);
    wrap_start(1);
    wrap.every = true;
    gmem_space_destroy(machine.dma);
    wrap_stop();
    assert_true(machine.ear.count > 0);
    wrap_start(1);
    wrap.every = true;
    gmem_space_destroy(machine.memory);
    wrap_stop();
    assert_int_equal(machine.ear.count, 0);
    machine.memory = make_space(machine.vm, "memory", machine.root);
    assert_true(machine.ear.count > 0);
    wrap_start(1);
    wrap.every = true;
    gmem_listener_unregister(machine.vm, &machine.ear.listener);
    wrap_stop();
    assert_int_equal(machine.ear.count, 0);
    wrap_start(1);
    wrap.every = true;
    gmem_region_unref(machine.spare);
    gmem_vm_destroy(machine.vm);
    wrap_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_itself), cmocka_unit_test(test_in_transaction),
        cmocka_unit_test(test_nested),    cmocka_unit_test(test_nested_aborted),
        cmocka_unit_test(test_vm),        cmocka_unit_test(test_ending_needs_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
