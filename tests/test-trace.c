/* SPDX-License-Identifier: MIT */
/*
 * test-trace.c - each kind of event comes when it should with what it should say, to whom asked for it and no one else; and
 * the probes are there.
 */
#include "access_world.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HERE 0x1000u

/* What was received, a line each. */
struct heard {
    char text[8000];
    unsigned count;   /* atomic */
    gmem_space *read; /* from the callback */
    gmem_vm *edit;
    bool silent;
};

static void say(struct heard *heard, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct heard *heard, const char *format, ...)
{
    size_t length = strlen(heard->text);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(heard->text + length, sizeof(heard->text) - length, format, args);
    va_end(args);
}

static void say_event(struct heard *heard, const struct gmem_trace_event *event)
{
    const struct gmem_section *section = event->u.listener.section;

    switch (event->kind) {
    case GMEM_TRACE_COMMIT_BEGIN:
    case GMEM_TRACE_COMMIT_END:
    case GMEM_TRACE_COMMIT_REFUSED:
        say(heard, " edits=%zu err=%d", event->u.commit.edits, event->u.commit.err);
        break;
    case GMEM_TRACE_VIEW_PUBLISHED:
        say(heard, " root=%s ranges=%zu %" PRIx64 "-%" PRIx64,
            event->u.view.root ? gmem_region_name(event->u.view.root) : "none", event->u.view.ranges,
            event->u.view.first, event->u.view.last);
        break;
    case GMEM_TRACE_LISTENER_CALL:
        say(heard, " %s.%s", event->u.listener.name, event->u.listener.call);
        if (section)
            say(heard, " %s %" PRIx64 "-%" PRIx64, gmem_region_name(section->region), section->first, section->last);
        say(heard, " err=%d", event->u.listener.err);
        break;
    case GMEM_TRACE_MMIO_READ:
    case GMEM_TRACE_MMIO_WRITE:
        say(heard, " %s addr=%" PRIx64 " offset=%" PRIx64 " size=%u value=%" PRIx64 " result=%x",
            gmem_region_name(event->u.mmio.region), event->u.mmio.addr, event->u.mmio.offset, event->u.mmio.size,
            event->u.mmio.value, event->u.mmio.result);
        break;
    case GMEM_TRACE_RAM_CREATED:
    case GMEM_TRACE_RAM_ENDED:
    case GMEM_TRACE_RAM_RESIZED:
        say(heard, " %s size=%" PRIx64, event->u.ram.id, event->u.ram.size);
        if (event->kind == GMEM_TRACE_RAM_RESIZED)
            say(heard, " before=%" PRIx64, event->u.ram.old_size);
        break;
    case GMEM_TRACE_SLOT:
        say(heard, " slot=%u gpa=%" PRIx64, event->u.slot.slot, event->u.slot.gpa);
        break;
    case GMEM_TRACE_DIRTY_SYNC:
        say(heard, " %s clear=%d %" PRIx64 "-%" PRIx64, gmem_region_name(event->u.dirty.region), event->u.dirty.clear,
            event->u.dirty.first, event->u.dirty.last);
        break;
    case GMEM_TRACE_EVENTFD:
        say(heard, " %s offset=%" PRIx64 " data=%" PRIx64 " size=%u", gmem_region_name(event->u.eventfd.region),
            event->u.eventfd.offset, event->u.eventfd.data, event->u.eventfd.size);
        break;
    case GMEM_TRACE_COALESCED_FLUSH:
        say(heard, " %s count=%u", gmem_guard_label(event->u.coalesced.guard), event->u.coalesced.count);
        break;
    case GMEM_TRACE_GUARD_REFUSED:
        say(heard, " %s addr=%" PRIx64, event->u.refused.guard ? gmem_guard_label(event->u.refused.guard) : "deep",
            event->u.refused.addr);
        break;
    case GMEM_TRACE_USER:
        say(heard, " id=%u %.*s", event->u.user.id, (int)event->u.user.size, (const char *)event->u.user.data);
        break;
    }
}

static void hear(void *opaque, gmem_vm *vm, const struct gmem_trace_event *event)
{
    struct heard *heard = opaque;
    uint32_t value;

    (void)vm;
    __atomic_fetch_add(&heard->count, 1, __ATOMIC_RELAXED);
    if (heard->silent)
        return;
    say(heard, "%s", gmem_trace_name(event->kind));
    say_event(heard, event);
    say(heard, "\n");
    if (heard->read)
        assert_int_equal(gmem_ld32_le(heard->read, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    if (heard->edit)
        assert_int_equal(gmem_vm_begin(heard->edit), -EBUSY);
}

#define HEARD(expected)                                                                                                \
    do {                                                                                                               \
        assert_string_equal(heard.text, expected);                                                                     \
        heard.text[0] = '\0';                                                                                          \
    } while (0)

static int quiet(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    return 0;
}

static int refuse(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    return -EPERM;
}

static void test_commits(void **state)
{
    struct gmem_listener listener = {
        .struct_size = sizeof(listener), .name = "ear", .region_add = quiet, .region_del = quiet};
    struct heard heard = {.text = ""};
    struct bytes_device device = {0};
    struct world world;
    gmem_region *region;

    (void)state;
    world_open(&world);
    assert_int_equal(gmem_listener_register(world.vm, world.space, &listener), 0);
    heard.edit = world.vm;
    assert_int_equal(gmem_vm_set_trace(world.vm, GMEM_TRACE_ALL, hear, &heard), 0);
    region = world_mmio(&world, HERE, BYTES_SIZE, &bytes_ops, &device);
    HEARD("commit_begin edits=1 err=0\n"
          "listener_call ear.begin err=0\n"
          "listener_call ear.region_add mmio 1000-103f err=0\n"
          "listener_call ear.commit err=0\n"
          "view_published root=root ranges=1 1000-103f\n"
          "commit_end edits=1 err=0\n");
    gmem_listener_unregister(world.vm, &listener);
    heard.text[0] = '\0';
    listener.region_del = refuse;
    assert_int_equal(gmem_listener_register(world.vm, world.space, &listener), 0);
    heard.text[0] = '\0';
    assert_int_equal(gmem_region_set_enabled(region, false), -EPERM);
    assert_non_null(strstr(heard.text, "commit_begin edits=1 err=0\n"));
    assert_non_null(strstr(heard.text, "listener_call ear.region_del mmio 1000-103f err=-1\n"));
    assert_non_null(strstr(heard.text, "commit_refused edits=1 err=-1\n"));
    assert_null(strstr(heard.text, "commit_end"));
    assert_null(strstr(heard.text, "view_published"));
    listener.region_del = quiet;
    gmem_listener_unregister(world.vm, &listener);
    /* Nothing to render: nothing to tell. */
    heard.text[0] = '\0';
    assert_int_equal(gmem_vm_begin(world.vm), 0);
    assert_int_equal(gmem_vm_commit(world.vm), 0);
    HEARD("");
    assert_int_equal(gmem_vm_set_trace(world.vm, 0, NULL, NULL), 0);
    gmem_region_unref(region);
    world_close(&world);
}

static void test_devices(void **state)
{
    struct heard heard = {.text = ""};
    struct gmem_mmio_ops ops = bytes_ops;
    struct bytes_device device = {.bytes = {1, 2, 3, 4, 5, 6, 7, 8}};
    uint8_t bytes[4] = {9, 8, 7, 6};
    struct world world;
    gmem_region *region;
    uint32_t value;

    (void)state;
    world_open(&world);
    ops.valid.max = 4;
    region = world_mmio(&world, HERE, BYTES_SIZE, &ops, &device);
    heard.read = world.space;
    assert_int_equal(gmem_vm_set_trace(world.vm,
                                       GMEM_TRACE_BIT(GMEM_TRACE_MMIO_READ) | GMEM_TRACE_BIT(GMEM_TRACE_MMIO_WRITE),
                                       hear, &heard),
                     0);
    assert_int_equal(gmem_ld32_le(world.space, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    HEARD("mmio_read mmio addr=1000 offset=0 size=4 value=4030201 result=0\n");
    assert_int_equal(gmem_space_write(world.space, HERE + 6, GMEM_ATTRS_NONE, bytes, 4), GMEM_OK);
    HEARD("mmio_write mmio addr=1006 offset=6 size=2 value=809 result=0\n"
          "mmio_write mmio addr=1008 offset=8 size=2 value=607 result=0\n");
    device.write_result = GMEM_RESULT_DEVICE;
    assert_int_equal(gmem_st8(world.space, HERE, GMEM_ATTRS_NONE, 0x55), GMEM_RESULT_DEVICE);
    HEARD("mmio_write mmio addr=1000 offset=0 size=1 value=55 result=2\n");
    /* Only what was asked for. */
    heard.read = NULL;
    assert_int_equal(gmem_vm_set_trace(world.vm, GMEM_TRACE_BIT(GMEM_TRACE_MMIO_READ), hear, &heard), 0);
    assert_true(gmem_trace_wanted(world.vm, GMEM_TRACE_MMIO_READ));
    assert_false(gmem_trace_wanted(world.vm, GMEM_TRACE_MMIO_WRITE));
    assert_int_equal(gmem_st8(world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_RESULT_DEVICE);
    assert_int_equal(gmem_ld32_le(world.space, HERE + 4, GMEM_ATTRS_NONE, &value), GMEM_OK);
    HEARD("mmio_read mmio addr=1004 offset=4 size=4 value=8090605 result=0\n");
    assert_int_equal(gmem_vm_set_trace(world.vm, 0, hear, &heard), 0);
    assert_int_equal(gmem_ld32_le(world.space, HERE + 4, GMEM_ATTRS_NONE, &value), GMEM_OK);
    HEARD("");
    gmem_region_unref(region);
    world_close(&world);
}

static void nothing(void *opaque)
{
    (void)opaque;
}

static void test_around_devices(void **state)
{
    struct gmem_owner owner = {.lock = {nothing, nothing, NULL}};
    struct gmem_eventfd bell = {.offset = 8, .size = 4};
    struct heard heard = {.text = ""};
    struct bytes_device device = {0};
    struct gmem_guard_entry entry;
    struct world world;
    gmem_region *region;
    uint32_t value;

    (void)state;
    world_open(&world);
    assert_int_equal(gmem_guard_create(world.vm, "dev0", &owner.guard), 0);
    assert_int_equal(gmem_region_create_mmio(world.vm, "dev", GMEM_SIZE(64), &bytes_ops, &device, &owner, &region), 0);
    world_place(&world, region, HERE);
    bell.fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(gmem_region_add_eventfd(region, &bell), 0);
    assert_int_equal(gmem_region_add_coalesced(region, 16, 31), 0);
    assert_int_equal(gmem_vm_set_coalescing(world.vm, true), 0);
    assert_int_equal(gmem_vm_set_trace(world.vm,
                                       GMEM_TRACE_BIT(GMEM_TRACE_EVENTFD) | GMEM_TRACE_BIT(GMEM_TRACE_COALESCED_FLUSH) |
                                           GMEM_TRACE_BIT(GMEM_TRACE_GUARD_REFUSED),
                                       hear, &heard),
                     0);
    assert_int_equal(gmem_st32_le(world.space, HERE + 8, GMEM_ATTRS_NONE, 0xabc), GMEM_OK);
    HEARD("eventfd dev offset=8 data=abc size=4\n");
    assert_int_equal(gmem_st32_le(world.space, HERE + 16, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(gmem_st32_le(world.space, HERE + 20, GMEM_ATTRS_NONE, 1), GMEM_OK);
    HEARD("");
    gmem_vm_flush_coalesced(world.vm);
    HEARD("coalesced_flush dev0 count=2\n");
    assert_true(gmem_guard_enter(owner.guard, &entry));
    assert_int_equal(gmem_ld32_le(world.space, HERE + 4, GMEM_ATTRS_NONE, &value), GMEM_RESULT_REENTRANT);
    gmem_guard_leave(&entry);
    HEARD("guard_refused dev0 addr=1004\n");
    gmem_region_unref(region);
    gmem_guard_unref(owner.guard);
    close(bell.fd);
    world_close(&world);
}

static void test_memory(void **state)
{
    const struct gmem_ram_options resizable = {
        .struct_size = sizeof(resizable), .id = "ram2", .size = 0x1000, .max_size = 0x4000};
    struct heard heard = {.text = ""};
    struct world world;
    gmem_region *region;
    gmem_ram *ram;

    (void)state;
    world_open(&world);
    assert_int_equal(gmem_vm_set_trace(world.vm,
                                       GMEM_TRACE_BIT(GMEM_TRACE_RAM_CREATED) | GMEM_TRACE_BIT(GMEM_TRACE_RAM_ENDED) |
                                           GMEM_TRACE_BIT(GMEM_TRACE_RAM_RESIZED) |
                                           GMEM_TRACE_BIT(GMEM_TRACE_DIRTY_SYNC),
                                       hear, &heard),
                     0);
    assert_int_equal(gmem_ram_create_anon(world.vm, "ram0", 0x4000, &ram), 0);
    HEARD("ram_created ram0 size=4000\n");
    gmem_ram_unref(ram);
    HEARD("ram_ended ram0 size=4000\n");
    assert_int_equal(gmem_ram_create(world.vm, &resizable, &ram), 0);
    HEARD("ram_created ram2 size=1000\n");
    assert_int_equal(gmem_ram_resize(ram, 0x3000), 0);
    HEARD("ram_resized ram2 size=3000 before=1000\n");
    gmem_ram_unref(ram);
    HEARD("ram_ended ram2 size=3000\n");
    region = world_memory(&world, GMEM_KIND_RAM, "ram1", 0x2000, NULL, NULL, NULL);
    HEARD("ram_created ram1 size=2000\n");
    assert_int_equal(gmem_region_log_sync(region), 0);
    assert_int_equal(gmem_region_log_clear(region, 0x1000, 0x1fff), 0);
    HEARD("dirty_sync ram1 clear=0 0-1fff\n"
          "dirty_sync ram1 clear=1 1000-1fff\n");
    gmem_region_unref(region);
    world_close(&world);
    HEARD("ram_ended ram1 size=2000\n");
}

static void test_ones_own(void **state)
{
    struct gmem_trace_event event = {.kind = GMEM_TRACE_USER};
    struct heard heard = {.text = ""};
    struct world world;

    (void)state;
    world_open(&world);
    event.u.user.id = 7;
    event.u.user.data = "hello";
    event.u.user.size = 5;
    gmem_trace_emit(world.vm, &event);
    assert_false(gmem_trace_wanted(world.vm, GMEM_TRACE_USER));
    assert_int_equal(gmem_vm_set_trace(world.vm, GMEM_TRACE_ALL, hear, &heard), 0);
    assert_true(gmem_trace_wanted(world.vm, GMEM_TRACE_USER));
    gmem_trace_emit(world.vm, &event);
    HEARD("user id=7 hello\n");
    event.kind = GMEM_TRACE_SLOT;
    event.u.slot.slot = 3;
    event.u.slot.gpa = 0x1000;
    gmem_trace_emit(world.vm, &event);
    HEARD("slot slot=3 gpa=1000\n");
    /* What is no kind is nobody's. */
    event.kind = (enum gmem_trace_kind)16;
    gmem_trace_emit(world.vm, &event);
    HEARD("");
    assert_false(gmem_trace_wanted(world.vm, event.kind));
    assert_string_equal(gmem_trace_name(event.kind), "");
    world_close(&world);
}

static gmem_result set_trace(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)offset, (void)size, (void)attrs, (void)value;
    assert_int_equal(gmem_vm_set_trace(opaque, 0, NULL, NULL), -EBUSY);
    return GMEM_OK;
}

static void test_arguments(void **state)
{
    struct gmem_mmio_ops ops = {.read = bytes_read, .write = set_trace};
    struct world world;
    gmem_region *region;

    (void)state;
    world_open(&world);
    assert_int_equal(gmem_vm_set_trace(NULL, GMEM_TRACE_ALL, hear, NULL), -EINVAL);
    assert_int_equal(gmem_vm_set_trace(world.vm, GMEM_TRACE_ALL + 1, hear, NULL), -EINVAL);
    assert_int_equal(gmem_vm_set_trace(world.vm, GMEM_TRACE_BIT(GMEM_TRACE_USER), hear, NULL), 0);
    region = world_mmio(&world, HERE, 64, &ops, world.vm);
    assert_int_equal(gmem_vm_begin(world.vm), 0);
    assert_int_equal(gmem_vm_set_trace(world.vm, 0, NULL, NULL), -EBUSY);
    gmem_vm_abort(world.vm);
    assert_int_equal(gmem_st8(world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    gmem_region_unref(region);
    world_close(&world);
}

/* --- threads ------------------------------------------------------------------------------------------------------------- */

static gmem_result still_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static void *access_all(void *opaque)
{
    uint32_t value;
    unsigned i;

    for (i = 0; i < 5000; i++)
        assert_int_equal(gmem_ld32_le(opaque, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return NULL;
}

/* A receiver is not called any more once it was taken away: it is freed at once. */
static void test_threads(void **state)
{
    struct gmem_mmio_ops ops = {.read = still_read, .write = bytes_write};
    struct world world;
    struct heard *heard;
    gmem_region *region;
    pthread_t thread;
    unsigned i;

    (void)state;
    world_open(&world);
    region = world_mmio(&world, HERE, 64, &ops, NULL);
    assert_int_equal(pthread_create(&thread, NULL, access_all, world.space), 0);
    for (i = 0; i < 20; i++) {
        heard = calloc(1, sizeof(*heard));
        assert_non_null(heard);
        heard->silent = true;
        assert_int_equal(gmem_vm_set_trace(world.vm, GMEM_TRACE_ALL, hear, heard), 0);
        assert_int_equal(gmem_region_set_nonvolatile(region, i % 2 == 0), 0);
        assert_int_equal(gmem_vm_set_trace(world.vm, 0, NULL, NULL), 0);
        assert_true(heard->count >= 2);
        free(heard);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    gmem_region_unref(region);
    world_close(&world);
}

/* --- probes -------------------------------------------------------------------------------------------------------------- */

static void test_probes(void **state)
{
    (void)state;
#ifndef GMEM_USDT
    print_message("built without probes (sys/sdt.h)\n");
    skip();
#else
    char command[64], line[400], names[8000] = "";
    enum gmem_trace_kind kind;
    FILE *notes;

    /* The library is in this program. */
    (void)snprintf(command, sizeof(command), "readelf -n /proc/%d/exe 2>/dev/null", (int)getpid());
    notes = popen(command, "r"); /* NOLINT(cert-env33-c): no input of anybody's */
    assert_non_null(notes);
    while (fgets(line, sizeof(line), notes)) {
        char *name = strstr(line, "Name: ");

        if (name && strlen(names) + strlen(name) < sizeof(names))
            strcat(names, name);
    }
    if (pclose(notes) != 0) {
        print_message("no readelf(1)\n");
        skip();
    }
    for (kind = GMEM_TRACE_COMMIT_BEGIN; kind < GMEM_TRACE_USER; kind++) {
        (void)snprintf(line, sizeof(line), "Name: %s\n", gmem_trace_name(kind));
        if (!strstr(names, line))
            fail_msg("no probe %s", gmem_trace_name(kind));
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commits), cmocka_unit_test(test_devices),  cmocka_unit_test(test_around_devices),
        cmocka_unit_test(test_memory),  cmocka_unit_test(test_ones_own), cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_probes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
