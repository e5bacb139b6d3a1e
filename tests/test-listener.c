/* SPDX-License-Identifier: MIT */
/*
 * test-listener.c - what listeners hear, in which order, and how a refusal is undone (G1, G4, G5). Several listeners write into
 * one record, a line a call, so that the order between them shows.
 */
#include "support.h"
#include <errno.h>

struct ear {
    struct gmem_listener listener;
    struct text *record;
    const char *refuse;            /* the line to refuse, without the newline */
    int err;                       /* with what */
    unsigned undone;               /* calls that it was told are of an undo */
    int (*extra)(struct ear *ear); /* to try something from inside a callback; non-zero fails */
    gmem_space *space;
};

static int hear(struct gmem_listener *listener, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int hear(struct gmem_listener *listener, const char *format, ...)
{
    struct ear *ear = listener->opaque;
    char line[300];
    va_list args;
    int length;

    length = snprintf(line, sizeof(line), "%s ", listener->name);
    va_start(args, format);
    vsnprintf(line + length, sizeof(line) - (size_t)length, format, args);
    va_end(args);
    text_add(ear->record, line);
    text_add(ear->record, "\n");
    ear->undone += listener->undoing;
    if (ear->extra && ear->extra(ear))
        return -EPROTO;
    return ear->refuse && strcmp(line, ear->refuse) == 0 ? -ear->err : 0;
}

static int on_begin(struct gmem_listener *l)
{
    return hear(l, "begin");
}

static int on_commit(struct gmem_listener *l)
{
    return hear(l, "commit");
}

#define SECTION "%llx-%llx %s"
#define SECTION_ARGS(s) (unsigned long long)(s)->first, (unsigned long long)(s)->last, gmem_region_name((s)->region)

static int on_add(struct gmem_listener *l, const struct gmem_section *s)
{
    return hear(l, "add " SECTION, SECTION_ARGS(s));
}

static int on_del(struct gmem_listener *l, const struct gmem_section *s)
{
    return hear(l, "del " SECTION, SECTION_ARGS(s));
}

static int on_nop(struct gmem_listener *l, const struct gmem_section *s)
{
    return hear(l, "nop " SECTION, SECTION_ARGS(s));
}

static int on_log_start(struct gmem_listener *l, const struct gmem_section *s, unsigned before, unsigned after)
{
    return hear(l, "log_start " SECTION " %u>%u", SECTION_ARGS(s), before, after);
}

static int on_log_stop(struct gmem_listener *l, const struct gmem_section *s, unsigned before, unsigned after)
{
    return hear(l, "log_stop " SECTION " %u>%u", SECTION_ARGS(s), before, after);
}

static int on_sync(struct gmem_listener *l, const struct gmem_section *s)
{
    return hear(l, "sync " SECTION, SECTION_ARGS(s));
}

static int on_clear(struct gmem_listener *l, const struct gmem_section *s)
{
    return hear(l, "clear " SECTION "+%llx", SECTION_ARGS(s), (unsigned long long)s->offset);
}

static int on_global_start(struct gmem_listener *l)
{
    return hear(l, "global_start");
}

static int on_global_stop(struct gmem_listener *l)
{
    return hear(l, "global_stop");
}

static int on_eventfd_add(struct gmem_listener *l, const struct gmem_section *s, const struct gmem_eventfd *e)
{
    return hear(l, "eventfd_add " SECTION " %llu", SECTION_ARGS(s), (unsigned long long)e->data);
}

static int on_eventfd_del(struct gmem_listener *l, const struct gmem_section *s, const struct gmem_eventfd *e)
{
    return hear(l, "eventfd_del " SECTION " %llu", SECTION_ARGS(s), (unsigned long long)e->data);
}

static int on_coalesced_add(struct gmem_listener *l, const struct gmem_section *s)
{
    return hear(l, "coalesced_add " SECTION, SECTION_ARGS(s));
}

static int on_coalesced_del(struct gmem_listener *l, const struct gmem_section *s)
{
    return hear(l, "coalesced_del " SECTION, SECTION_ARGS(s));
}

static void ear_init(struct ear *ear, const char *name, int32_t priority, struct text *record)
{
    memset(ear, 0, sizeof(*ear));
    ear->record = record;
    ear->listener.struct_size = sizeof(ear->listener);
    ear->listener.name = name;
    ear->listener.opaque = ear;
    ear->listener.priority = priority;
    ear->listener.begin = on_begin;
    ear->listener.commit = on_commit;
    ear->listener.region_add = on_add;
    ear->listener.region_del = on_del;
    ear->listener.log_start = on_log_start;
    ear->listener.log_stop = on_log_stop;
    ear->listener.log_sync = on_sync;
    ear->listener.log_clear = on_clear;
    ear->listener.log_global_start = on_global_start;
    ear->listener.log_global_stop = on_global_stop;
    ear->listener.eventfd_add = on_eventfd_add;
    ear->listener.eventfd_del = on_eventfd_del;
    ear->listener.coalesced_add = on_coalesced_add;
    ear->listener.coalesced_del = on_coalesced_del;
}

static void heard(struct text *record, const char *expected)
{
    assert_string_equal(record->chars ? record->chars : "", expected);
    free(record->chars);
    record->chars = NULL;
    record->length = 0;
}

struct fixture {
    gmem_vm *vm;
    gmem_region *root, *ram, *mmio;
    gmem_space *space;
    struct text record;
    struct ear low, high;
};

/* ram at 0-fff, mmio at 1000-10ff, no listener yet. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->vm = make_vm();
    f->root = make_container(f->vm, "root", GMEM_SIZE_ALL);
    f->ram = make_ram(f->vm, "ram", 0x1000);
    f->mmio = make_mmio(f->vm, "mmio", GMEM_SIZE(0x100));
    OK(gmem_region_add(f->root, 0, f->ram));
    OK(gmem_region_add(f->root, 0x1000, f->mmio));
    f->space = make_space(f->vm, "space", f->root);
    ear_init(&f->low, "low", 1, &f->record);
    ear_init(&f->high, "high", 2, &f->record);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gmem_vm_destroy(f->vm);
    free(f->record.chars);
    free(f);
    return 0;
}

static void register_both(struct fixture *f)
{
    OK(gmem_listener_register(f->vm, NULL, &f->high.listener));
    OK(gmem_listener_register(f->vm, f->space, &f->low.listener));
    heard(&f->record, "high begin\nhigh add 0-fff ram\nhigh add 1000-10ff mmio\nhigh commit\n"
                      "low begin\nlow add 0-fff ram\nlow add 1000-10ff mmio\nlow commit\n");
}

static void test_replay_and_removal(void **state)
{
    struct fixture *f = *state;

    register_both(f);
    REFUSED(EEXIST, gmem_listener_register(f->vm, f->space, &f->low.listener));
    gmem_listener_unregister(f->vm, &f->low.listener);
    heard(&f->record, "low begin\nlow del 0-fff ram\nlow del 1000-10ff mmio\nlow commit\n");
    gmem_listener_unregister(f->vm, &f->low.listener);
    heard(&f->record, "");
    f->low.listener.region_del = NULL;
    REFUSED(EINVAL, gmem_listener_register(f->vm, f->space, &f->low.listener));
    f->low.listener.region_del = on_del;
    f->low.listener.struct_size = 8;
    REFUSED(EINVAL, gmem_listener_register(f->vm, f->space, &f->low.listener));
}

static void test_order(void **state)
{
    struct fixture *f = *state;
    gmem_region *over = make_mmio(f->vm, "over", GMEM_SIZE(0x100));

    register_both(f);
    /* Only what changed; removals by falling, additions by rising priority. */
    OK(gmem_region_add(f->root, 0x800, over));
    heard(&f->record, "low begin\nhigh begin\n"
                      "high del 0-fff ram\nlow del 0-fff ram\n"
                      "low add 0-7ff ram\nhigh add 0-7ff ram\nlow add 800-8ff over\nhigh add 800-8ff over\n"
                      "low add 900-fff ram\nhigh add 900-fff ram\n"
                      "low commit\nhigh commit\n");
    OK(gmem_region_set_enabled(over, true));
    OK(gmem_region_set_enabled(make_mmio(f->vm, "placed nowhere", GMEM_SIZE(1)), false));
    heard(&f->record, "");
    /* Nothing changes in what is seen. */
    OK(gmem_region_add_priority(f->root, 0x800, make_mmio(f->vm, "below", GMEM_SIZE(0x10)), -1));
    heard(&f->record, "");
    OK(gmem_region_remove(f->root, over));
    OK(gmem_region_set_readonly(f->ram, true));
    free(f->record.chars);
    memset(&f->record, 0, sizeof(f->record));
}

static void test_nop(void **state)
{
    struct fixture *f = *state;

    f->low.listener.region_nop = on_nop;
    register_both(f);
    OK(gmem_region_move(f->mmio, 0x2000));
    heard(&f->record, "low begin\nhigh begin\nhigh del 1000-10ff mmio\nlow del 1000-10ff mmio\nlow nop 0-fff ram\n"
                      "low add 2000-20ff mmio\nhigh add 2000-20ff mmio\nlow commit\nhigh commit\n");
}

static void test_log(void **state)
{
    struct fixture *f = *state;

    register_both(f);
    OK(gmem_region_set_log(f->ram, GMEM_LOG_DISPLAY, true));
    heard(
        &f->record,
        "low begin\nhigh begin\nlow log_start 0-fff ram 0>1\nhigh log_start 0-fff ram 0>1\nlow commit\nhigh commit\n");
    OK(gmem_vm_begin(f->vm));
    OK(gmem_region_set_log(f->ram, GMEM_LOG_CODE, true));
    OK(gmem_region_set_log(f->ram, GMEM_LOG_DISPLAY, false));
    OK(gmem_vm_commit(f->vm));
    heard(&f->record, "low begin\nhigh begin\nhigh log_stop 0-fff ram 1>4\nlow log_stop 0-fff ram 1>4\n"
                      "low log_start 0-fff ram 1>4\nhigh log_start 0-fff ram 1>4\nlow commit\nhigh commit\n");
    gmem_listener_unregister(f->vm, &f->high.listener);
    heard(&f->record,
          "high begin\nhigh log_stop 0-fff ram 4>0\nhigh del 0-fff ram\nhigh del 1000-10ff mmio\nhigh commit\n");
    OK(gmem_region_move(f->ram, 0x4000));
    heard(&f->record, "low begin\nlow log_stop 0-fff ram 4>0\nlow del 0-fff ram\nlow add 4000-4fff ram\n"
                      "low log_start 4000-4fff ram 0>4\nlow commit\n");
    OK(gmem_region_log_sync(f->ram));
    OK(gmem_region_log_clear(f->ram, 0x10, 0x1f));
    heard(&f->record, "low sync 4000-4fff ram\nlow clear 4010-401f ram+10\n");
    REFUSED(ERANGE, gmem_region_log_clear(f->ram, 0, 0x1000));
    REFUSED(EINVAL, gmem_region_log_clear(f->ram, 2, 1));
    check_reason(f->vm, EINVAL, "before it begins");
    f->low.refuse = "low sync 4000-4fff ram";
    f->low.err = ENXIO;
    REFUSED(ENXIO, gmem_region_log_sync(f->ram));
    check_reason(f->vm, ENXIO, "\"low\" refused log_sync of \"ram\"");
    f->low.err = -7; /* a positive answer is no errno */
    REFUSED(EINVAL, gmem_region_log_sync(f->ram));
    heard(&f->record, "low sync 4000-4fff ram\nlow sync 4000-4fff ram\n");
}

static void test_global_log(void **state)
{
    struct fixture *f = *state;

    register_both(f);
    OK(gmem_vm_set_global_log(f->vm, true));
    OK(gmem_vm_set_global_log(f->vm, true));
    heard(&f->record, "low global_start\nhigh global_start\n");
    f->high.refuse = "high global_stop";
    f->high.err = EIO;
    REFUSED(EIO, gmem_vm_set_global_log(f->vm, false));
    heard(&f->record, "low global_stop\nhigh global_stop\nlow global_start\n");
    gmem_listener_unregister(f->vm, &f->low.listener);
    free(f->record.chars);
    memset(&f->record, 0, sizeof(f->record));
    OK(gmem_listener_register(f->vm, NULL, &f->low.listener));
    heard(&f->record, "low begin\nlow global_start\nlow add 0-fff ram\nlow add 1000-10ff mmio\nlow commit\n");
}

static void test_extras(void **state)
{
    struct fixture *f = *state;
    struct gmem_eventfd bell = {.offset = 0x10, .data = 7, .fd = 0, .size = 4, .match = true};

    OK(gmem_region_add_eventfd(f->mmio, &bell));
    OK(gmem_region_add_coalesced(f->mmio, 0x20, 0x3f));
    OK(gmem_region_add_coalesced(f->mmio, 0x80, 0x8f));
    /* Registered late, it hears every one. */
    OK(gmem_listener_register(f->vm, f->space, &f->low.listener));
    heard(&f->record, "low begin\nlow add 0-fff ram\nlow add 1000-10ff mmio\nlow coalesced_add 1020-103f mmio\n"
                      "low coalesced_add 1080-108f mmio\nlow eventfd_add 1010-1013 mmio 7\nlow commit\n");
    /* A cut through the eventfd's bytes hides it; the coalesced interval keeps its visible part. */
    OK(gmem_region_add(f->root, 0x1013, make_mmio(f->vm, "cut", GMEM_SIZE(0x10))));
    heard(&f->record, "low begin\nlow coalesced_del 1020-103f mmio\nlow eventfd_del 1010-1013 mmio 7\n"
                      "low del 1000-10ff mmio\nlow add 1000-1012 mmio\nlow add 1013-1022 cut\nlow add 1023-10ff mmio\n"
                      "low coalesced_add 1023-103f mmio\nlow commit\n");
    OK(gmem_region_clear_coalesced(f->mmio));
    heard(&f->record, "low begin\nlow coalesced_del 1023-103f mmio\nlow coalesced_del 1080-108f mmio\nlow commit\n");
    gmem_listener_unregister(f->vm, &f->low.listener);
    heard(&f->record, "low begin\nlow del 0-fff ram\nlow del 1000-1012 mmio\nlow del 1013-1022 cut\n"
                      "low del 1023-10ff mmio\nlow commit\n");
}

/* A refusal at any call: what was told is taken back in reverse, nothing is published, the edit is undone. */
static void test_refusal(void **state)
{
    struct fixture *f = *state;

    register_both(f);
    f->low.refuse = "low add 2000-20ff mmio";
    f->low.err = ENOSPC;
    REFUSED(ENOSPC, gmem_region_move(f->mmio, 0x2000));
    heard(&f->record, "low begin\nhigh begin\nhigh del 1000-10ff mmio\nlow del 1000-10ff mmio\nlow add 2000-20ff mmio\n"
                      "low add 1000-10ff mmio\nhigh add 1000-10ff mmio\nhigh commit\nlow commit\n");
    assert_int_equal(f->low.undone, 2);
    assert_int_equal(f->high.undone, 2);
    check_reason(f->vm, ENOSPC, "\"low\" refused region_add of \"mmio\"");
    check_view(f->space, "0-fff ram+0\n1000-10ff mmio+0\n");
    assert_int_equal(gmem_region_offset(f->mmio), 0x1000);

    f->low.refuse = NULL;
    f->high.refuse = "high commit";
    f->high.err = EIO;
    REFUSED(EIO, gmem_region_set_enabled(f->ram, false));
    heard(&f->record, "low begin\nhigh begin\nhigh del 0-fff ram\nlow del 0-fff ram\nlow commit\nhigh commit\n"
                      "low begin\nlow add 0-fff ram\nhigh add 0-fff ram\nhigh commit\nlow commit\n");
    assert_true(gmem_region_enabled(f->ram));

    f->high.refuse = "high begin";
    REFUSED(EIO, gmem_region_set_enabled(f->ram, false));
    heard(&f->record, "low begin\nhigh begin\nlow commit\n");

    /* Nobody refuses: it goes through. */
    f->high.refuse = NULL;
    OK(gmem_region_set_enabled(f->ram, false));
    check_view(f->space, "1000-10ff mmio+0\n");
    free(f->record.chars);
    memset(&f->record, 0, sizeof(f->record));
}

static void test_refused_registration_and_space(void **state)
{
    struct fixture *f = *state;
    gmem_space *space = NULL;

    f->low.refuse = "low add 1000-10ff mmio";
    f->low.err = ENOSPC;
    REFUSED(ENOSPC, gmem_listener_register(f->vm, NULL, &f->low.listener));
    heard(&f->record, "low begin\nlow add 0-fff ram\nlow add 1000-10ff mmio\nlow del 0-fff ram\nlow commit\n");
    OK(gmem_region_move(f->mmio, 0x3000));
    heard(&f->record, "");
    f->low.refuse = NULL;
    OK(gmem_listener_register(f->vm, NULL, &f->low.listener));
    f->low.refuse = "low add 0-fff ram";
    REFUSED(ENOSPC, gmem_space_create(f->vm, "second", f->root, NULL, &space));
    assert_null(space);
    f->low.refuse = NULL;
    OK(gmem_space_create(f->vm, "second", f->root, NULL, &space));
    free(f->record.chars);
    memset(&f->record, 0, sizeof(f->record));
    OK(gmem_region_move(f->mmio, 0x1000));
    heard(&f->record, "low begin\nlow del 3000-30ff mmio\nlow add 1000-10ff mmio\nlow del 3000-30ff mmio\n"
                      "low add 1000-10ff mmio\nlow commit\n");
    gmem_space_destroy(space);
    heard(&f->record, "low begin\nlow del 0-fff ram\nlow del 1000-10ff mmio\nlow commit\n");
}

static int edit_inside(struct ear *ear)
{
    gmem_region *root = gmem_space_root(ear->space), *region = NULL;
    gmem_vm *vm = gmem_region_vm(root);
    struct gmem_listener other = {.struct_size = sizeof(other)};
    uint8_t byte = 0;

    if (gmem_vm_begin(vm) != -EBUSY || gmem_region_set_enabled(root, false) != -EBUSY ||
        gmem_region_create_container(vm, "c", GMEM_SIZE(1), NULL, &region) != -EBUSY ||
        gmem_listener_register(vm, NULL, &other) != -EBUSY || gmem_vm_commit(vm) != -EBUSY)
        return 1;
    gmem_vm_abort(vm);
    gmem_listener_unregister(vm, &ear->listener);
    return gmem_ld8(ear->space, 0, GMEM_ATTRS_NONE, &byte) != GMEM_OK;
}

static void test_no_edits_inside(void **state)
{
    struct fixture *f = *state;

    register_both(f);
    f->high.space = f->space;
    f->high.extra = edit_inside;
    OK(gmem_region_move(f->mmio, 0x2000));
    f->high.extra = NULL;
    heard(&f->record, "low begin\nhigh begin\nhigh del 1000-10ff mmio\nlow del 1000-10ff mmio\n"
                      "low add 2000-20ff mmio\nhigh add 2000-20ff mmio\nlow commit\nhigh commit\n");
}

/* Listeners are told before the view is published (G5): reads from a callback see the old map. */
static int reads_old_map(struct ear *ear)
{
    struct gmem_section section;

    if (gmem_space_lookup(ear->space, 0x1000, &section))
        return 1;
    gmem_section_release(&section);
    return gmem_space_lookup(ear->space, 0x2000, &section) != -ENOENT;
}

/* F of docs/concurrency.md. */
static void test_told_before_published(void **state)
{
    struct fixture *f = *state;

    register_both(f);
    f->high.space = f->space;
    f->high.extra = reads_old_map;
    OK(gmem_region_move(f->mmio, 0x2000));
    f->high.extra = NULL;
    check_view(f->space, "0-fff ram+0\n2000-20ff mmio+0\n");
    free(f->record.chars);
    memset(&f->record, 0, sizeof(f->record));
}

static void test_space_end_forgets_its_listeners(void **state)
{
    struct fixture *f = *state;

    register_both(f);
    gmem_space_destroy(f->space);
    heard(&f->record, "low begin\nhigh begin\nhigh del 0-fff ram\nlow del 0-fff ram\nhigh del 1000-10ff mmio\n"
                      "low del 1000-10ff mmio\nlow commit\nhigh commit\n");
    f->space = make_space(f->vm, "again", f->root);
    heard(&f->record, "high begin\nhigh add 0-fff ram\nhigh add 1000-10ff mmio\nhigh commit\n");
}

/* Spaces are told in the order of their creation, whoever listens to which and since when; of those nobody hears there is nothing. */
static void test_order_of_spaces(void **state)
{
    struct fixture *f = *state;
    gmem_space *second = make_space(f->vm, "second", f->root), *third = make_space(f->vm, "third", f->root);
    struct ear all;

    ear_init(&all, "all", 0, &f->record);
    f->low.listener.begin = f->low.listener.commit = f->high.listener.begin = f->high.listener.commit = NULL;
    all.listener.begin = all.listener.commit = NULL;
    OK(gmem_listener_register(f->vm, third, &f->low.listener));
    OK(gmem_listener_register(f->vm, f->space, &f->high.listener));
    heard(&f->record, "low add 0-fff ram\nlow add 1000-10ff mmio\nhigh add 0-fff ram\nhigh add 1000-10ff mmio\n");
    OK(gmem_region_remove(f->root, f->mmio));
    heard(&f->record, "high del 1000-10ff mmio\nlow del 1000-10ff mmio\n");
    OK(gmem_listener_register(f->vm, NULL, &all.listener));
    heard(&f->record, "all add 0-fff ram\nall add 0-fff ram\nall add 0-fff ram\n");
    OK(gmem_region_add(f->root, 0x1000, f->mmio));
    heard(&f->record,
          "all add 1000-10ff mmio\nhigh add 1000-10ff mmio\nall add 1000-10ff mmio\nall add 1000-10ff mmio\n"
          "low add 1000-10ff mmio\n");
    gmem_listener_unregister(f->vm, &all.listener);
    gmem_listener_unregister(f->vm, &f->high.listener);
    OK(gmem_listener_register(f->vm, second, &f->high.listener));
    free(f->record.chars);
    memset(&f->record, 0, sizeof(f->record));
    OK(gmem_region_remove(f->root, f->mmio));
    heard(&f->record, "high del 1000-10ff mmio\nlow del 1000-10ff mmio\n");
    gmem_listener_unregister(f->vm, &f->high.listener);
    gmem_listener_unregister(f->vm, &f->low.listener);
    free(f->record.chars);
    memset(&f->record, 0, sizeof(f->record));
    OK(gmem_region_add(f->root, 0x1000, f->mmio));
    heard(&f->record, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_replay_and_removal),
        TEST(test_order),
        TEST(test_nop),
        TEST(test_log),
        TEST(test_global_log),
        TEST(test_extras),
        TEST(test_refusal),
        TEST(test_refused_registration_and_space),
        TEST(test_no_edits_inside),
        TEST(test_told_before_published),
        TEST(test_space_end_forgets_its_listeners),
        TEST(test_order_of_spaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
