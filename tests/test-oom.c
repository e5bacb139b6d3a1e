/* SPDX-License-Identifier: MIT */
/*
 * test-oom.c - out of memory at every single allocation (G1, G8).
 *
 * Each step is a call, or a transaction, that changes a small machine. It is tried with its first
 * allocation failing, then the second, and so on until it asks for no more. Every failure must be
 * -ENOMEM and leave the topology, the views and what a listener knows as they were; then the step
 * must succeed. What can't be refused must not need memory. AddressSanitizer sees leaks.
 *
 * Linked with the allocator wrapped (wrap.h).
 */
#include "support.h"
#include "wrap.h"
#include <errno.h>

#define SECTIONS 64

/* A listener that knows what it was told, as lines in any order. */
struct ear {
    struct gmem_listener listener;
    char lines[SECTIONS][128];
    size_t count;
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
    gmem_region *created; /* by the latest step that creates */
    gmem_space *memory;
    gmem_space *dma;
    gmem_space *late;
    struct ear ear;
    struct ear late_ear;
};

static void describe(char *line, const char *what, const struct gmem_section *section, uint64_t data)
{
    snprintf(line, 128, "%s %s %llx-%llx %s@%llx %x %llu", what, gmem_space_name(section->space),
             (unsigned long long)section->first, (unsigned long long)section->last, gmem_region_name(section->region),
             (unsigned long long)section->offset, section->attrs & ~GMEM_RANGE_LOG_MASK, (unsigned long long)data);
}

static int know(struct gmem_listener *listener, const char *what, const struct gmem_section *section, uint64_t data)
{
    struct ear *ear = listener->opaque;

    if (ear->count == SECTIONS)
        return -ENOSPC;
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
        return -ENOENT;
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

static int on_log_start(struct gmem_listener *listener, const struct gmem_section *section, unsigned before,
                        unsigned after)
{
    return know(listener, "log", section, after & ~before);
}

static int on_log_stop(struct gmem_listener *listener, const struct gmem_section *section, unsigned before,
                       unsigned after)
{
    return forget(listener, "log", section, before & ~after);
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

static void ear_open(struct ear *ear)
{
    memset(ear, 0, sizeof(*ear));
    ear->listener = (struct gmem_listener){
        .struct_size = sizeof(ear->listener),
        .name = "ear",
        .opaque = ear,
        .region_add = on_add,
        .region_del = on_del,
        .log_start = on_log_start,
        .log_stop = on_log_stop,
        .eventfd_add = on_eventfd_add,
        .eventfd_del = on_eventfd_del,
        .coalesced_add = on_coalesced_add,
        .coalesced_del = on_coalesced_del,
    };
}

static void machine_open(struct machine *machine)
{
    gmem_vm *vm = make_vm();

    memset(machine, 0, sizeof(*machine));
    machine->vm = vm;
    machine->root = make_container(vm, "root", GMEM_SIZE_ALL);
    machine->ram = make_ram(vm, "ram", 0x10000);
    machine->rom = make_rom(vm, "rom", 0x1000);
    machine->romd = make_romd(vm, "romd", 0x1000);
    machine->device = make_mmio(vm, "device", GMEM_SIZE(0x1000));
    machine->alias = make_alias(vm, "alias", machine->ram, 0x8000, GMEM_SIZE(0x1000));
    machine->bus = make_container(vm, "bus", GMEM_SIZE_ALL);
    machine->spare = make_mmio(vm, "spare", GMEM_SIZE(0x800));
    OK(gmem_region_add(machine->root, 0, machine->ram));
    OK(gmem_region_add_priority(machine->root, 0x8000, machine->rom, 1));
    OK(gmem_region_add(machine->root, 0x20000, machine->romd));
    OK(gmem_region_add_priority(machine->root, 0x4000, machine->device, 2));
    OK(gmem_region_add(machine->root, 0x30000, machine->alias));
    OK(gmem_region_add(machine->bus, 0, make_alias(vm, "bus alias", machine->root, 0, GMEM_SIZE_ALL)));
    machine->memory = make_space(vm, "memory", machine->root);
    machine->dma = make_space(vm, "dma", machine->bus);
    ear_open(&machine->ear);
    OK(gmem_listener_register(vm, NULL, &machine->ear.listener));
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
    qsort(ear->lines, ear->count, sizeof(ear->lines[0]), compare_lines);
    for (size_t i = 0; i < ear->count; i++) {
        text_add(dump, ear->lines[i]);
        text_add(dump, "\n");
    }
}

/* Tree, also of what is disabled or in no space, flat views, and what the listeners know. */
static char *dump_all(struct machine *machine)
{
    struct gmem_print_options options = {.struct_size = sizeof(options), .flags = GMEM_PRINT_DISABLED};
    struct text dump = {NULL, 0};
    char line[128];

    OK(gmem_print_tree(machine->vm, &options, print_piece, &dump));
    options.flags = 0;
    OK(gmem_print_flat(machine->vm, &options, print_piece, &dump));
    dump_ear(&machine->ear, &dump);
    dump_ear(&machine->late_ear, &dump);
    snprintf(line, sizeof(line), "spare: %d %llx %d\n", gmem_region_container(machine->spare) != NULL,
             (unsigned long long)gmem_region_offset(machine->spare), gmem_region_enabled(machine->spare));
    text_add(&dump, line);
    return dump.chars;
}

/*
 * --- the steps
 * ----------------------------------------------------------------------------------------
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

/* Edits in a nested transaction; whatever fails ends the whole. */
static int several(struct machine *machine)
{
    int err = gmem_vm_begin(machine->vm);

    if (err)
        return err;
    err = gmem_region_add_priority(machine->root, 0x6000, machine->spare, 3);
    if (!err)
        err = gmem_region_set_readonly(machine->ram, false);
    if (!err) {
        err = gmem_vm_begin(machine->vm);
        if (!err) {
            err = gmem_region_move(machine->device, 0x5000);
            if (!err)
                err = gmem_region_set_enabled(machine->rom, false);
            if (err)
                gmem_vm_abort(machine->vm);
            else
                err = gmem_vm_commit(machine->vm);
        }
    }
    if (err) {
        gmem_vm_abort(machine->vm);
        return err;
    }
    return gmem_vm_commit(machine->vm);
}

static int create_space(struct machine *machine)
{
    return gmem_space_create(machine->vm, "late", machine->ram, NULL, &machine->late);
}

static int listen_late(struct machine *machine)
{
    return gmem_listener_register(machine->vm, NULL, &machine->late_ear.listener);
}

static int start_global_log(struct machine *machine)
{
    return gmem_vm_set_global_log(machine->vm, true);
}

/*
 * --- trying them
 * --------------------------------------------------------------------------------------
 */

typedef int step_fn(struct machine *machine);

static unsigned long failures;

static void try_step(struct machine *machine, step_fn *step)
{
    struct gmem_vm_stats before;
    struct gmem_vm_stats after;
    bool failed = true;

    for (unsigned long n = 1; failed; n++) {
        char *was = dump_all(machine);
        char *is;
        int err;

        gmem_vm_stats(machine->vm, &before);
        wrap_start(n);
        err = step(machine);
        failed = wrap_stop();
        if (failed) {
            assert_int_equal(err, -ENOMEM);
            is = dump_all(machine);
            assert_string_equal(is, was);
            gmem_vm_stats(machine->vm, &after);
            assert_int_equal(after.regions, before.regions);
            assert_int_equal(after.views_published, before.views_published);
            free(is);
            failures++;
        } else {
            OK(err);
        }
        free(was);
    }
    if (machine->created)
        gmem_region_unref(machine->created);
    machine->created = NULL;
}

static void test_every_allocation(void **state)
{
    static step_fn *const steps[] = {
        create_container,
        create_mmio,
        create_reserved,
        create_alias,
        create_ram,
        create_romd,
        add,
        move,
        lower,
        raise_again,
        resize,
        disable,
        enable,
        make_readonly,
        start_log,
        make_nonvolatile,
        leave_romd,
        re_aim,
        add_eventfd,
        add_coalesced,
        add_another_coalesced,
        create_space,
        listen_late,
        start_global_log,
        del_eventfd,
        clear_coalesced,
        take_out,
        several,
    };
    struct machine machine;

    (void)state;
    machine_open(&machine);
    ear_open(&machine.late_ear);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        try_step(&machine, steps[i]);
    assert_true(failures > 50);
    assert_int_equal(machine.ear.count, machine.late_ear.count);
    gmem_listener_unregister(machine.vm, &machine.late_ear.listener);
    gmem_listener_unregister(machine.vm, &machine.ear.listener);
    assert_int_equal(machine.ear.count, 0);
    assert_int_equal(machine.late_ear.count, 0);
    gmem_vm_destroy(machine.vm);
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
    machine_open(&machine);
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
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_vm),
        cmocka_unit_test(test_ending_needs_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
