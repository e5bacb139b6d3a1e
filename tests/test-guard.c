/* SPDX-License-Identifier: MIT */
/*
 * test-guard.c - devices that are made to access themselves: what is refused, by whichever way, and what is not.
 */
#include "access_world.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HERE 0x1000u
#define THERE 0x2000u
#define MEMORY 0x10000u

/* Log lines of warning. */
struct lines {
    unsigned count;
    char last[200];
};

static void log_line(void *opaque, enum gmem_log_level level, const char *text)
{
    struct lines *lines = opaque;

    if (level == GMEM_LOG_WARNING)
        lines->count++;
    (void)snprintf(lines->last, sizeof(lines->last), "%s", text);
}

/* A device whose callbacks make an access of four bytes, and note what became of it. */
struct looped {
    gmem_space *space;
    uint64_t target;
    gmem_guard *pause; /* left while the access is made */
    unsigned calls;
    unsigned depth, deepest;
    uint32_t got;
    gmem_result result;
    uint32_t value; /* what a read of it gives */
};

static void come_back(struct looped *looped)
{
    looped->calls++;
    looped->depth++;
    if (looped->depth > looped->deepest)
        looped->deepest = looped->depth;
    if (looped->target) {
        if (looped->pause)
            assert_true(gmem_guard_pause(looped->pause));
        looped->got = 0x12345678;
        looped->result = gmem_ld32_le(looped->space, looped->target, GMEM_ATTRS_NONE, &looped->got);
        if (looped->pause)
            gmem_guard_resume(looped->pause);
    }
    looped->depth--;
}

static gmem_result looped_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct looped *looped = opaque;

    (void)offset, (void)size, (void)attrs;
    come_back(looped);
    *ret_value = looped->value;
    return GMEM_OK;
}

static gmem_result looped_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)offset, (void)size, (void)attrs, (void)value;
    come_back(opaque);
    return GMEM_OK;
}

static const struct gmem_mmio_ops looped_ops = {.read = looped_read, .write = looped_write};

struct fixture {
    struct world world;
    struct lines lines;
    gmem_guard *guard;
    struct looped here, there;
    uint8_t *memory;
};

static gmem_region *place(struct fixture *f, uint64_t addr, gmem_guard *guard, struct looped *looped)
{
    struct gmem_owner owner = {.guard = guard};
    gmem_region *region;

    looped->space = f->world.space;
    assert_int_equal(
        gmem_region_create_mmio(f->world.vm, "looped", GMEM_SIZE(64), &looped_ops, looped, &owner, &region), 0);
    world_place(&f->world, region, addr);
    gmem_region_unref(region);
    return region;
}

/* Unassigned bytes read as ones, so that a refused read is told from a zero. */
static void fixture_open(struct fixture *f)
{
    struct gmem_vm_options options = {.struct_size = sizeof(options), .log = log_line, .log_opaque = &f->lines};
    struct gmem_space_options ones = {.struct_size = sizeof(ones), .unassigned_ones = true};

    memset(f, 0, sizeof(*f));
    assert_int_equal(gmem_vm_create(&options, &f->world.vm), 0);
    assert_int_equal(gmem_region_create_container(f->world.vm, "root", GMEM_SIZE_ALL, NULL, &f->world.root), 0);
    assert_int_equal(gmem_space_create(f->world.vm, "space", f->world.root, &ones, &f->world.space), 0);
    assert_int_equal(gmem_guard_create(f->world.vm, "nic0", &f->guard), 0);
    f->memory = world_ram(&f->world, MEMORY, 0x1000, "ram");
}

static void fixture_close(struct fixture *f)
{
    gmem_guard_unref(f->guard);
    world_close(&f->world);
}

static gmem_result load(struct fixture *f, uint64_t addr, uint32_t *ret_value)
{
    return gmem_ld32_le(f->world.space, addr, GMEM_ATTRS_NONE, ret_value);
}

static void test_a_device_that_reads_itself(void **state)
{
    struct fixture f;
    struct gmem_vm_stats stats;
    uint32_t value;
    unsigned i;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, f.guard, &f.here);
    f.here.target = HERE + 8;
    f.here.value = 7;
    for (i = 1; i <= 3; i++) {
        assert_int_equal(load(&f, HERE, &value), GMEM_OK);
        assert_int_equal(value, 7);
        assert_int_equal(f.here.calls, i);
        assert_int_equal(f.here.result, GMEM_RESULT_REENTRANT);
        assert_int_equal(f.here.got, 0xffffffff);
        assert_int_equal(gmem_guard_refused(f.guard), i);
    }
    gmem_vm_stats(f.world.vm, &stats);
    assert_int_equal(stats.reentrant, 3);
    /* Logged once, with who and where. */
    assert_int_equal(f.lines.count, 1);
    assert_non_null(strstr(f.lines.last, "nic0"));
    assert_non_null(strstr(f.lines.last, "0x1008"));
    fixture_close(&f);
}

static void test_a_device_that_comes_back_by_another(void **state)
{
    struct fixture f;
    gmem_guard *other;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    assert_int_equal(gmem_guard_create(f.world.vm, NULL, &other), 0);
    assert_string_equal(gmem_guard_label(other), "");
    place(&f, HERE, f.guard, &f.here);
    place(&f, THERE, other, &f.there);
    f.here.target = THERE;
    f.there.target = HERE;
    f.there.value = 5;
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    /* The other was reached; from there the first was not. */
    assert_int_equal(f.here.result, GMEM_OK);
    assert_int_equal(f.here.got, 5);
    assert_int_equal(f.there.result, GMEM_RESULT_REENTRANT);
    assert_int_equal(f.here.calls, 1);
    assert_int_equal(f.there.calls, 1);
    assert_int_equal(gmem_guard_refused(f.guard), 1);
    assert_int_equal(gmem_guard_refused(other), 0);
    gmem_guard_unref(other);
    fixture_close(&f);
}

static void test_all_regions_of_a_device_have_one_guard(void **state)
{
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, f.guard, &f.here);
    place(&f, THERE, f.guard, &f.there);
    f.here.target = THERE;
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    assert_int_equal(f.here.result, GMEM_RESULT_REENTRANT);
    assert_int_equal(f.there.calls, 0);
    fixture_close(&f);
}

/* A region that is taken out of it: its owner names none. And memory is never refused. */
static void test_what_is_not_refused(void **state)
{
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, f.guard, &f.here);
    place(&f, THERE, NULL, &f.there);
    f.here.target = THERE;
    f.there.value = 3;
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    assert_int_equal(f.here.result, GMEM_OK);
    assert_int_equal(f.here.got, 3);
    f.here.target = MEMORY;
    f.memory[0] = 9;
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    assert_int_equal(f.here.result, GMEM_OK);
    assert_int_equal(f.here.got, 9);
    assert_int_equal(gmem_guard_refused(f.guard), 0);
    fixture_close(&f);
}

/* --- every way of making an access ----------------------------------------------------------------------------------- */

enum way { LD, ST, LD64, READ, WRITE, FILL, RW, CACHE_LD, CACHE_ST, CACHE_READ, SEGMENT, MAP, UNALIGNED, WAYS };

static gmem_result by_way(gmem_space *space, enum way way)
{
    const struct gmem_attrs none = GMEM_ATTRS_NONE;
    struct gmem_segment segment;
    struct gmem_cache cache;
    struct gmem_map map;
    gmem_result result = GMEM_OK;
    uint8_t buf[16] = {0};
    uint64_t covered, v64;
    uint32_t v32;
    uint16_t v16;
    size_t count;

    switch (way) {
    case LD:
        return gmem_ld32_le(space, HERE, none, &v32);
    case ST:
        return gmem_st32_le(space, HERE, none, 1);
    case LD64:
        return gmem_ld64_be(space, HERE, none, &v64);
    case READ:
        result = gmem_space_read(space, HERE + 3, none, buf, 5);
        assert_int_equal(buf[0], 0xff);
        assert_int_equal(buf[4], 0xff);
        assert_int_equal(buf[5], 0);
        return result;
    case WRITE:
        return gmem_space_write(space, HERE, none, buf, 16);
    case FILL:
        return gmem_space_fill(space, HERE, none, 1, 16);
    case RW:
        return gmem_space_rw(space, HERE, none, buf, 4, true);
    case CACHE_LD:
    case CACHE_ST:
    case CACHE_READ:
        assert_int_equal(gmem_cache_init(&cache, space, HERE, 16, none), 0);
        if (way == CACHE_LD)
            result = gmem_cache_ld32_le(&cache, 0, &v32);
        else if (way == CACHE_ST)
            result = gmem_cache_st32_le(&cache, 0, 1);
        else
            result = gmem_cache_read(&cache, 0, buf, 8);
        gmem_cache_end(&cache);
        return result;
    case SEGMENT:
        assert_int_equal(gmem_segments(space, HERE, none, 4, true, &segment, 1, &count, &covered), 0);
        result = gmem_segment_write(&segment, 0, buf, 4);
        gmem_segments_release(&segment, 1, 0);
        return result;
    case MAP:
        assert_int_equal(gmem_map(space, HERE, none, 4, true, &map), 0);
        return gmem_unmap(&map, 4);
    default:
        return gmem_ld16_le(space, HERE + 1, none, &v16);
    }
}

struct caller {
    gmem_space *space;
    enum way way;
    unsigned calls;
    gmem_result result;
};

static gmem_result caller_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct caller *caller = opaque;

    (void)offset, (void)size, (void)attrs, (void)value;
    if (caller->calls++ == 0)
        caller->result = by_way(caller->space, caller->way);
    return GMEM_OK;
}

static gmem_result caller_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)ret_value;
    return caller_write(opaque, offset, size, attrs, 0);
}

static void test_every_way(void **state)
{
    static const struct gmem_mmio_ops ops = {.read = caller_read, .write = caller_write};
    struct caller caller = {0};
    struct gmem_owner owner = {0};
    gmem_region *region;
    struct fixture f;
    enum way outer, inner;

    (void)state;
    fixture_open(&f);
    owner.guard = f.guard;
    assert_int_equal(gmem_region_create_mmio(f.world.vm, "caller", GMEM_SIZE(64), &ops, &caller, &owner, &region), 0);
    world_place(&f.world, region, HERE);
    gmem_region_unref(region);
    caller.space = f.world.space;
    for (outer = LD; outer < WAYS; outer++) {
        /* A read of one to four bytes is checked for ones only where it is refused. */
        if (outer == READ)
            continue;
        for (inner = LD; inner < WAYS; inner++) {
            caller.way = inner;
            caller.calls = 0;
            caller.result = GMEM_OK;
            assert_int_equal(by_way(f.world.space, outer), GMEM_OK);
            assert_int_equal(caller.result, GMEM_RESULT_REENTRANT);
            assert_false(gmem_guard_inside(f.guard));
        }
    }
    fixture_close(&f);
}

/* --- work of the device's own ------------------------------------------------------------------------------------------ */

static void test_entered_by_hand(void **state)
{
    struct gmem_guard_entry entry, again;
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, f.guard, &f.here);
    assert_false(gmem_guard_inside(f.guard));
    assert_true(gmem_guard_enter(f.guard, &entry));
    assert_true(gmem_guard_inside(f.guard));
    assert_false(gmem_guard_enter(f.guard, &again));
    assert_int_equal(load(&f, HERE, &value), GMEM_RESULT_REENTRANT);
    assert_int_equal(value, 0xffffffff);
    assert_int_equal(f.here.calls, 0);
    gmem_guard_leave(&entry);
    assert_false(gmem_guard_inside(f.guard));
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    assert_int_equal(f.here.calls, 1);
    fixture_close(&f);
}

static void test_left_for_a_while(void **state)
{
    struct gmem_guard_entry entry, deeper;
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, f.guard, &f.here);
    assert_false(gmem_guard_pause(f.guard));
    gmem_guard_resume(f.guard);

    assert_true(gmem_guard_enter(f.guard, &entry));
    assert_true(gmem_guard_pause(f.guard));
    assert_true(gmem_guard_pause(f.guard));
    assert_false(gmem_guard_inside(f.guard));
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    gmem_guard_resume(f.guard);
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    /* Entered again inside: that one counts, until it is left. */
    assert_true(gmem_guard_enter(f.guard, &deeper));
    assert_int_equal(load(&f, HERE, &value), GMEM_RESULT_REENTRANT);
    gmem_guard_leave(&deeper);
    gmem_guard_resume(f.guard);
    assert_int_equal(load(&f, HERE, &value), GMEM_RESULT_REENTRANT);
    gmem_guard_resume(f.guard);
    assert_int_equal(load(&f, HERE, &value), GMEM_RESULT_REENTRANT);
    /* What was not resumed ends with what was entered. */
    assert_true(gmem_guard_pause(f.guard));
    gmem_guard_leave(&entry);
    assert_true(gmem_guard_enter(f.guard, &entry));
    assert_int_equal(load(&f, HERE, &value), GMEM_RESULT_REENTRANT);
    gmem_guard_leave(&entry);
    fixture_close(&f);
}

/* From its callback, on purpose: it is reached, as deep as callbacks nest and no deeper. */
static void test_left_from_a_callback(void **state)
{
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, f.guard, &f.here);
    f.here.target = HERE;
    f.here.pause = f.guard;
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    assert_int_equal(f.here.calls, GMEM_NESTING_MAX);
    assert_int_equal(gmem_guard_refused(f.guard), 0);
    assert_false(gmem_guard_inside(f.guard));
    /* What was refused for depth is no callback that the thread is in. */
    assert_false(gmem_thread_busy(NULL));
    fixture_close(&f);
}

/* --- gmem_thread_busy() --- */

/* What it says in callbacks. */
struct asked {
    gmem_vm *vm;
    bool busy, of_none, on_another;
};

static void *ask_on_another(void *opaque)
{
    struct asked *asked = opaque;

    asked->on_another = gmem_thread_busy(asked->vm);
    return NULL;
}

static void ask(struct asked *asked)
{
    pthread_t thread;

    asked->busy = gmem_thread_busy(asked->vm);
    asked->of_none = gmem_thread_busy(NULL);
    assert_int_equal(pthread_create(&thread, NULL, ask_on_another, asked), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Once in a thing: what it says of the vm, and of none; never of another thread, nor afterwards. */
static void check_asked(struct asked *asked, bool busy, bool of_none)
{
    assert_int_equal(asked->busy, busy);
    assert_int_equal(asked->of_none, of_none);
    assert_false(asked->on_another);
    assert_false(gmem_thread_busy(asked->vm));
    asked->busy = asked->of_none = !busy;
}

static gmem_result asked_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    (void)offset, (void)size, (void)attrs;
    ask(opaque);
    *ret_value = 0;
    return GMEM_OK;
}

static gmem_result asked_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)offset, (void)size, (void)attrs, (void)value;
    ask(opaque);
    return GMEM_OK;
}

static int asked_translate(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                           struct gmem_iommu_entry *ret_entry)
{
    (void)addr, (void)want, (void)attrs;
    ask(opaque);
    ret_entry->addr_mask = 0xfff;
    return 0;
}

static int asked_listener(struct gmem_listener *listener)
{
    ask(listener->opaque);
    return 0;
}

static void test_busy_in_callbacks(void **state)
{
    static const struct gmem_mmio_ops ops = {.read = asked_read, .write = asked_write};
    static const struct gmem_iommu_ops iommu_ops = {.translate = asked_translate};
    struct fixture f;
    struct asked asked = {0};
    struct gmem_listener listener = {.struct_size = sizeof(listener), .opaque = &asked, .begin = asked_listener};
    gmem_region *device, *iommu;
    uint64_t wide[4];
    uint32_t value;

    (void)state;
    fixture_open(&f);
    asked.vm = f.world.vm;
    device = world_mmio(&f.world, HERE, 64, &ops, &asked);
    /* A word, which takes the short way, and more. */
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    check_asked(&asked, true, true);
    assert_int_equal(gmem_st32_le(f.world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    check_asked(&asked, true, true);
    assert_int_equal(gmem_space_read(f.world.space, HERE, GMEM_ATTRS_NONE, wide, sizeof(wide)), GMEM_OK);
    check_asked(&asked, true, true);
    assert_int_equal(gmem_region_create_iommu(f.world.vm, "iommu", GMEM_SIZE(0x1000), &iommu_ops, &asked, NULL, &iommu),
                     0);
    world_place(&f.world, iommu, THERE);
    (void)load(&f, THERE, &value);
    check_asked(&asked, true, true);
    /* A commit has the turn. */
    assert_int_equal(gmem_listener_register(f.world.vm, f.world.space, &listener), 0);
    check_asked(&asked, true, false);
    gmem_listener_unregister(f.world.vm, &listener);
    gmem_region_unref(iommu);
    gmem_region_unref(device);
    fixture_close(&f);
}

static unsigned locked;

static void count_lock(void *opaque)
{
    (void)opaque;
    locked++;
}

static void count_unlock(void *opaque)
{
    (void)opaque;
    locked--;
}

static void test_busy_by_hand(void **state)
{
    static const struct gmem_lock lock = {count_lock, count_unlock, NULL}, none = {0};
    struct gmem_guard_entry outer, inner;
    struct fixture f;
    gmem_vm *other;

    (void)state;
    fixture_open(&f);
    assert_false(gmem_thread_busy(f.world.vm));
    assert_true(gmem_guard_enter(f.guard, &outer));
    assert_true(gmem_thread_busy(NULL));
    assert_true(gmem_guard_pause(f.guard));
    assert_false(gmem_thread_busy(f.world.vm));
    /* What was entered besides counts still. */
    gmem_lock_enter(&lock, &inner);
    assert_true(gmem_thread_busy(NULL));
    gmem_lock_leave(&inner);
    assert_false(gmem_thread_busy(NULL));
    gmem_guard_resume(f.guard);
    assert_true(gmem_thread_busy(NULL));
    gmem_guard_leave(&outer);
    assert_false(gmem_thread_busy(NULL));
    gmem_lock_enter(&lock, &outer);
    gmem_lock_enter(&lock, &inner);
    assert_true(gmem_thread_busy(NULL));
    gmem_lock_leave(&inner);
    assert_true(gmem_thread_busy(NULL));
    gmem_lock_leave(&outer);
    assert_false(gmem_thread_busy(NULL));
    /* There is no such lock. */
    gmem_lock_enter(&none, &outer);
    assert_false(gmem_thread_busy(NULL));
    gmem_lock_leave(&outer);
    assert_int_equal(gmem_vm_create(NULL, &other), 0);
    assert_int_equal(gmem_vm_begin(f.world.vm), 0);
    assert_true(gmem_thread_busy(f.world.vm));
    assert_false(gmem_thread_busy(other));
    assert_false(gmem_thread_busy(NULL));
    gmem_vm_abort(f.world.vm);
    assert_false(gmem_thread_busy(f.world.vm));
    assert_int_equal(locked, 0);
    gmem_vm_destroy(other);
    fixture_close(&f);
}

/* Without guards nothing is refused until callbacks nest too deep; memory is not even then. */
static void test_nesting_is_bounded(void **state)
{
    struct gmem_vm_stats stats;
    struct fixture f;
    uint32_t value;
    unsigned round;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, NULL, &f.here);
    place(&f, THERE, NULL, &f.there);
    f.here.target = THERE;
    f.there.target = HERE;
    for (round = 1; round <= 2; round++) {
        assert_int_equal(load(&f, HERE, &value), GMEM_OK);
        assert_int_equal(f.here.calls + f.there.calls, round * GMEM_NESTING_MAX);
        assert_int_equal(f.here.deepest + f.there.deepest, GMEM_NESTING_MAX);
        gmem_vm_stats(f.world.vm, &stats);
        assert_int_equal(stats.reentrant, round);
    }
    assert_int_equal(f.lines.count, 1);
    assert_non_null(strstr(f.lines.last, "32 deep"));
    fixture_close(&f);
}

static gmem_result deep_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct looped *looped = opaque;

    (void)offset, (void)size, (void)attrs;
    /* At the bottom: a write to the device is refused, of any width, and memory takes it. */
    if (gmem_st8(looped->space, HERE, GMEM_ATTRS_NONE, (uint8_t)value) == GMEM_RESULT_REENTRANT) {
        uint8_t bytes[24] = {0};

        looped->calls++;
        assert_int_equal(gmem_space_write(looped->space, HERE + 1, GMEM_ATTRS_NONE, bytes, 24), GMEM_RESULT_REENTRANT);
        looped->result = gmem_st32_le(looped->space, MEMORY, GMEM_ATTRS_NONE, 77);
    }
    return GMEM_OK;
}

static void test_memory_at_the_bottom(void **state)
{
    static const struct gmem_mmio_ops ops = {.read = looped_read, .write = deep_write};
    struct looped looped = {.result = 99};
    struct fixture f;
    gmem_region *region;

    (void)state;
    fixture_open(&f);
    looped.space = f.world.space;
    region = world_mmio(&f.world, HERE, 64, &ops, &looped);
    gmem_region_unref(region);
    assert_int_equal(gmem_st8(f.world.space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(looped.calls, 1);
    assert_int_equal(looped.result, GMEM_OK);
    assert_int_equal(f.memory[0], 77);
    fixture_close(&f);
}

static void no_lock(void *opaque)
{
    (void)opaque;
}

/* A device that accesses itself several times in each callback, by whatever way that is, is not called more often for that. */
struct wide {
    gmem_space *space;
    unsigned calls, refused;
    bool translates;
};

static void go_wide(struct wide *wide)
{
    uint32_t value;
    unsigned i;

    wide->calls++;
    assert_true(wide->calls < 1000);
    for (i = 0; i < 3; i++) {
        if (gmem_ld32_le(wide->space, HERE + 4 * i, GMEM_ATTRS_NONE, &value) != GMEM_OK)
            wide->refused++;
        if (gmem_space_write(wide->space, HERE + 1, GMEM_ATTRS_NONE, "abcdefgh", 8) != GMEM_OK)
            wide->refused++;
    }
    /* Memory is there at any depth. */
    assert_int_equal(gmem_ld32_le(wide->space, MEMORY, GMEM_ATTRS_NONE, &value), GMEM_OK);
}

static gmem_result wide_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)offset, (void)size, (void)attrs, (void)ret_value;
    go_wide(opaque);
    return GMEM_OK;
}

static gmem_result wide_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)offset, (void)size, (void)attrs, (void)value;
    go_wide(opaque);
    return GMEM_OK;
}

static int wide_translate(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                          struct gmem_iommu_entry *ret_entry)
{
    struct wide *wide = opaque;

    (void)want, (void)attrs;
    go_wide(wide);
    *ret_entry = (struct gmem_iommu_entry){.target = wide->space,
                                           .translated = MEMORY + addr % 0x1000,
                                           .addr_mask = 0xfff,
                                           .perm = GMEM_IOMMU_READ | GMEM_IOMMU_WRITE};
    return 0;
}

static void check_wide(struct fixture *f, struct wide *wide)
{
    struct gmem_vm_stats before, after;
    uint32_t value;
    unsigned round;

    for (round = 0; round < 2; round++) {
        wide->calls = wide->refused = 0;
        gmem_vm_stats(f->world.vm, &before);
        assert_int_equal(load(f, HERE, &value), GMEM_OK);
        gmem_vm_stats(f->world.vm, &after);
        assert_int_equal(wide->calls, GMEM_NESTING_MAX);
        /* All but the one that led down from each level; refused translations are not counted by the vm. */
        assert_int_equal(wide->refused, 6 * GMEM_NESTING_MAX - (GMEM_NESTING_MAX - 1));
        assert_true(wide->translates || after.reentrant - before.reentrant >= wide->refused);
    }
}

static void test_work_is_bounded(void **state)
{
    static const struct gmem_mmio_ops ops = {.read = wide_read, .write = wide_write};
    static const struct gmem_iommu_ops iommu_ops = {.translate = wide_translate};
    struct gmem_region *region;
    struct wide wide = {0};
    struct fixture f;

    (void)state;
    fixture_open(&f);
    wide.space = f.world.space;
    region = world_mmio(&f.world, HERE, 64, &ops, &wide);
    check_wide(&f, &wide);
    assert_int_equal(gmem_region_remove(f.world.root, region), 0);
    gmem_region_unref(region);
    wide.translates = true;
    assert_int_equal(gmem_region_create_iommu(f.world.vm, "iommu", GMEM_SIZE(0x1000), &iommu_ops, &wide, NULL, &region),
                     0);
    world_place(&f.world, region, HERE);
    check_wide(&f, &wide);
    gmem_region_unref(region);
    fixture_close(&f);
}

/* After a refusal, and out of all callbacks, what was queued is delivered, and may access devices. */
static void test_queued_after_a_refusal(void **state)
{
    static const struct gmem_mmio_ops ops = {.read = looped_read, .write = looped_write};
    struct gmem_owner owner = {.lock = {no_lock, no_lock, NULL}};
    struct looped queued = {0};
    gmem_region *region;
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, NULL, &f.here);
    place(&f, THERE, NULL, &f.there);
    owner.guard = f.guard;
    queued.space = f.world.space;
    queued.target = THERE;
    assert_int_equal(gmem_region_create_mmio(f.world.vm, "queued", GMEM_SIZE(64), &ops, &queued, &owner, &region), 0);
    assert_int_equal(gmem_region_add_coalesced(region, 0, 63), 0);
    world_place(&f.world, region, 0x3000);
    gmem_region_unref(region);
    assert_int_equal(gmem_vm_set_coalescing(f.world.vm, true), 0);
    f.here.target = HERE;
    assert_int_equal(gmem_st32_le(f.world.space, 0x3000, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    assert_int_equal(f.here.calls, GMEM_NESTING_MAX);
    gmem_vm_flush_coalesced(f.world.vm);
    assert_int_equal(queued.calls, 1);
    assert_int_equal(queued.result, GMEM_OK);
    fixture_close(&f);
}

/* --- what claims addresses ----------------------------------------------------------------------------------------------- */

struct claimed {
    struct fixture f;
    int fd;
    unsigned order; /* 1: a queued write came, 2: and the eventfd had not been signalled by then */
    gmem_result read, write, wide, bell;
    uint8_t bytes[4];
};

#define BELL 0x3000u

static uint64_t bells(int fd)
{
    uint64_t count = 0;

    return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static gmem_result claimed_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct claimed *claimed = opaque;
    gmem_space *space = claimed->f.world.space;

    (void)size, (void)attrs, (void)value;
    if (offset < 16) {
        claimed->order = bells(claimed->fd) ? 1 : 2;
        return GMEM_OK;
    }
    memset(claimed->bytes, 0, sizeof(claimed->bytes));
    claimed->read = gmem_space_read(space, BELL + 1, GMEM_ATTRS_NONE, claimed->bytes, 4);
    claimed->write = gmem_space_write(space, BELL + 1, GMEM_ATTRS_NONE, "ab", 2);
    claimed->wide = gmem_space_write(space, BELL, GMEM_ATTRS_NONE, "abcde", 5);
    claimed->bell = gmem_st32_le(space, BELL, GMEM_ATTRS_NONE, 1);
    return GMEM_OK;
}

static void claimed_open(struct claimed *claimed)
{
    static const struct gmem_mmio_ops ops = {.read = looped_read, .write = claimed_write};
    struct gmem_owner owner = {.lock = {no_lock, no_lock, NULL}};
    struct gmem_eventfd bell = {.size = 4};
    struct fixture *f = &claimed->f;
    gmem_region *region;

    memset(claimed, 0, sizeof(*claimed));
    fixture_open(f);
    claimed->fd = bell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(bell.fd >= 0);
    owner.guard = f->guard;
    assert_int_equal(gmem_region_create_mmio(f->world.vm, "dev", GMEM_SIZE(64), &ops, claimed, &owner, &region), 0);
    assert_int_equal(gmem_region_add_coalesced(region, 0, 15), 0);
    world_place(&f->world, region, HERE);
    gmem_region_unref(region);
    assert_int_equal(gmem_region_create_reserved(f->world.vm, "bell", GMEM_SIZE(64), &owner, &region), 0);
    assert_int_equal(gmem_region_add_eventfd(region, &bell), 0);
    world_place(&f->world, region, BELL);
    gmem_region_unref(region);
    assert_int_equal(gmem_vm_set_coalescing(f->world.vm, true), 0);
}

static void claimed_close(struct claimed *claimed)
{
    close(claimed->fd);
    fixture_close(&claimed->f);
}

/* A reserved region is of its device: from its callback nothing comes to it, nor to an eventfd there. */
static void test_reserved_in_the_guard(void **state)
{
    struct claimed claimed;
    struct fixture *f = &claimed.f;

    (void)state;
    claimed_open(&claimed);
    assert_int_equal(gmem_st32_le(f->world.space, HERE + 32, GMEM_ATTRS_NONE, 0), GMEM_OK);
    assert_int_equal(claimed.read, GMEM_RESULT_REENTRANT);
    assert_int_equal(claimed.bytes[3], 0xff);
    assert_int_equal(claimed.write, GMEM_RESULT_REENTRANT);
    assert_int_equal(claimed.wide, GMEM_RESULT_REENTRANT);
    assert_int_equal(claimed.bell, GMEM_RESULT_REENTRANT);
    assert_int_equal(bells(claimed.fd), 0);
    assert_int_equal(gmem_guard_refused(f->guard), 4);
    assert_non_null(strstr(f->lines.last, "0x3001"));
    /* From outside it is what it was. */
    assert_int_equal(gmem_st32_le(f->world.space, BELL, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(bells(claimed.fd), 1);
    assert_int_equal(gmem_st32_le(f->world.space, BELL + 4, GMEM_ATTRS_NONE, 1), GMEM_RESULT_DECODE);
    claimed_close(&claimed);
}

/* What was queued for the device comes before what is done there. */
static void test_reserved_after_what_was_queued(void **state)
{
    struct claimed claimed;
    gmem_space *space;
    uint32_t value;

    (void)state;
    claimed_open(&claimed);
    space = claimed.f.world.space;
    assert_int_equal(gmem_st32_le(space, HERE, GMEM_ATTRS_NONE, 5), GMEM_OK);
    assert_int_equal(claimed.order, 0);
    assert_int_equal(gmem_st32_le(space, BELL, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(claimed.order, 2);
    assert_int_equal(bells(claimed.fd), 1);
    claimed.order = 0;
    assert_int_equal(gmem_st32_le(space, HERE, GMEM_ATTRS_NONE, 5), GMEM_OK);
    assert_int_equal(gmem_ld32_le(space, BELL + 8, GMEM_ATTRS_NONE, &value), GMEM_RESULT_DECODE);
    assert_int_equal(claimed.order, 2);
    claimed_close(&claimed);
}

/* The owner's guard and lock are not for translate. */
static int free_translate(void *opaque, uint64_t addr, unsigned want, struct gmem_attrs attrs,
                          struct gmem_iommu_entry *ret_entry)
{
    struct wide *wide = opaque;

    (void)want, (void)attrs;
    wide->calls++;
    *ret_entry = (struct gmem_iommu_entry){
        .target = wide->space, .translated = MEMORY + addr % 0x1000, .addr_mask = 0xfff, .perm = GMEM_IOMMU_READ};
    return 0;
}

static void never_lock(void *opaque)
{
    (void)opaque;
    fail();
}

static void test_translate_has_no_guard(void **state)
{
    static const struct gmem_iommu_ops ops = {.translate = free_translate};
    struct gmem_owner owner = {.lock = {never_lock, never_lock, NULL}};
    struct gmem_guard_entry entry;
    struct wide wide = {0};
    gmem_region *region;
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    wide.space = f.world.space;
    owner.guard = f.guard;
    assert_int_equal(gmem_region_create_iommu(f.world.vm, "iommu", GMEM_SIZE(0x1000), &ops, &wide, &owner, &region), 0);
    world_place(&f.world, region, HERE);
    gmem_region_unref(region);
    assert_true(gmem_guard_enter(f.guard, &entry));
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    gmem_guard_leave(&entry);
    assert_int_equal(wide.calls, 1);
    fixture_close(&f);
}

/* --- threads ----------------------------------------------------------------------------------------------------------- */

struct meeting {
    pthread_barrier_t both;
    unsigned calls; /* atomic */
};

static gmem_result meeting_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                uint64_t *ret_value)
{
    struct meeting *meeting = opaque;

    (void)offset, (void)size, (void)attrs, (void)ret_value;
    __atomic_fetch_add(&meeting->calls, 1, __ATOMIC_RELAXED);
    pthread_barrier_wait(&meeting->both);
    return GMEM_OK;
}

static gmem_result meeting_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static void *meet(void *opaque)
{
    uint32_t value;

    assert_int_equal(gmem_ld32_le(opaque, HERE, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return NULL;
}

/* Each is in the callback while the other is: neither would return otherwise. */
static void test_two_threads_in_one_device(void **state)
{
    static const struct gmem_mmio_ops ops = {.read = meeting_read, .write = meeting_write};
    struct gmem_owner owner = {0};
    struct meeting meeting = {0};
    gmem_region *region;
    struct fixture f;
    pthread_t thread;

    (void)state;
    fixture_open(&f);
    owner.guard = f.guard;
    assert_int_equal(pthread_barrier_init(&meeting.both, NULL, 2), 0);
    assert_int_equal(gmem_region_create_mmio(f.world.vm, "meeting", GMEM_SIZE(64), &ops, &meeting, &owner, &region), 0);
    world_place(&f.world, region, HERE);
    gmem_region_unref(region);
    assert_int_equal(pthread_create(&thread, NULL, meet, f.world.space), 0);
    meet(f.world.space);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(meeting.calls, 2);
    assert_int_equal(gmem_guard_refused(f.guard), 0);
    pthread_barrier_destroy(&meeting.both);
    fixture_close(&f);
}

/* --- the object -------------------------------------------------------------------------------------------------------- */

static void test_arguments(void **state)
{
    char label[GMEM_NAME_MAX + 2];
    struct gmem_owner owner = {0};
    gmem_region *region = NULL;
    struct fixture f, other;
    gmem_guard *guard = NULL;

    (void)state;
    fixture_open(&f);
    fixture_open(&other);
    memset(label, 'x', sizeof(label));
    label[GMEM_NAME_MAX + 1] = '\0';
    assert_int_equal(gmem_guard_create(NULL, "", &guard), -EINVAL);
    assert_int_equal(gmem_guard_create(f.world.vm, "", NULL), -EINVAL);
    assert_int_equal(gmem_guard_create(f.world.vm, label, &guard), -EINVAL);
    assert_null(guard);
    gmem_guard_unref(NULL);
    owner.guard = other.guard;
    assert_int_equal(gmem_region_create_container(f.world.vm, "box", GMEM_SIZE(4), &owner, &region), -EXDEV);
    assert_int_equal(gmem_region_create_mmio(f.world.vm, "dev", GMEM_SIZE(4), &looped_ops, NULL, &owner, &region),
                     -EXDEV);
    assert_null(region);
    fixture_close(&other);
    fixture_close(&f);
}

/* Given up by its creator, it lives as long as a region names it. */
static void test_regions_keep_it(void **state)
{
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    place(&f, HERE, f.guard, &f.here);
    assert_ptr_equal(gmem_guard_ref(f.guard), f.guard);
    gmem_guard_unref(f.guard);
    gmem_guard_unref(f.guard);
    f.guard = NULL;
    f.here.target = HERE;
    assert_int_equal(load(&f, HERE, &value), GMEM_OK);
    assert_int_equal(f.here.result, GMEM_RESULT_REENTRANT);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_device_that_reads_itself),
        cmocka_unit_test(test_a_device_that_comes_back_by_another),
        cmocka_unit_test(test_all_regions_of_a_device_have_one_guard),
        cmocka_unit_test(test_what_is_not_refused),
        cmocka_unit_test(test_every_way),
        cmocka_unit_test(test_entered_by_hand),
        cmocka_unit_test(test_left_for_a_while),
        cmocka_unit_test(test_left_from_a_callback),
        cmocka_unit_test(test_busy_in_callbacks),
        cmocka_unit_test(test_busy_by_hand),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_memory_at_the_bottom),
        cmocka_unit_test(test_work_is_bounded),
        cmocka_unit_test(test_queued_after_a_refusal),
        cmocka_unit_test(test_reserved_in_the_guard),
        cmocka_unit_test(test_reserved_after_what_was_queued),
        cmocka_unit_test(test_translate_has_no_guard),
        cmocka_unit_test(test_two_threads_in_one_device),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_regions_keep_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
