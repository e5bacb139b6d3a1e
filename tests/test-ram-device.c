/* SPDX-License-Identifier: MIT */
/*
 * test-ram-device.c - memory of a device: every load and store counted, and where it went. And reserved regions, which have no
 * memory at all.
 *
 * The memory is a page that can't be touched. Each touch faults: the handler notes the address, lets the one instruction
 * go on with the processor's single-step flag set, and closes the page again in the trap after it. A copy that went by
 * other words than those that are promised faults at other addresses, or oftener.
 */
#include "access_world.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define OK(call) assert_int_equal((call), 0)
#define PAGE 0x1000u
#define AT 0x10000u
#define TOUCHES 64u
#define TRAP_FLAG 0x100

static uint8_t *page;
static struct touches {
    volatile unsigned count;
    volatile uint16_t offset[TOUCHES];
} touches;

#ifdef __x86_64__
static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    uintptr_t offset = (uintptr_t)info->si_addr - (uintptr_t)page;

    if (offset >= PAGE) {
        (void)signal(signal_number, SIG_DFL);
        return;
    }
    if (touches.count < TOUCHES)
        touches.offset[touches.count] = (uint16_t)offset;
    touches.count++;
    (void)mprotect(page, PAGE, PROT_READ | PROT_WRITE);
    user->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int signal_number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;

    (void)signal_number, (void)info;
    (void)mprotect(page, PAGE, PROT_NONE);
    user->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}
#endif

static int watch_start(void **state)
{
    (void)state;
    page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    bytes_pattern(page, PAGE, 1);
    return 0;
}

static int watch_stop(void **state)
{
    (void)state;
    return munmap(page, PAGE);
}

static bool can_watch(void)
{
#ifdef __x86_64__
    return true;
#else
    return false;
#endif
}

/* The framework's own handlers, which it sets for each test. */
static struct sigaction was_fault, was_step;
static bool closed;

static void close_page(void)
{
    touches.count = 0;
#ifdef __x86_64__
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};

    OK(sigaction(SIGSEGV, &fault, &was_fault));
    OK(sigaction(SIGTRAP, &step, &was_step));
    closed = true;
    OK(mprotect(page, PAGE, PROT_NONE));
#endif
}

static void open_page(void)
{
    OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
    if (closed) {
        OK(sigaction(SIGSEGV, &was_fault, NULL));
        OK(sigaction(SIGTRAP, &was_step, NULL));
    }
    closed = false;
}

/* The touches since close_page() were one for each word of size bytes at offset. */
static void check_touches(uint64_t offset, uint64_t size)
{
    unsigned count = 0;
    uint64_t width;

    open_page();
    if (!can_watch())
        return;
    for (; size > 0; size -= width, offset += width, count++) {
        for (width = 8; width > size || (offset & (width - 1)); width /= 2)
            continue;
        assert_true(count < touches.count);
        assert_int_equal(touches.offset[count], offset);
    }
    assert_int_equal(touches.count, count);
}

struct bar {
    struct world world;
    gmem_ram *ram;
    gmem_region *region;
};

static void bar_open(struct bar *bar)
{
    struct gmem_ram_options options = {
        .struct_size = sizeof(options), .id = "bar", .size = PAGE, .backing = GMEM_RAM_CALLER, .host = page};

    open_page();
    world_open_with(&bar->world, GMEM_ENDIAN_LITTLE, false);
    OK(gmem_ram_create(bar->world.vm, &options, &bar->ram));
    OK(gmem_region_create_ram_device(bar->world.vm, "bar", bar->ram, NULL, &bar->region));
    world_place(&bar->world, bar->region, AT);
}

static void bar_close(struct bar *bar)
{
    gmem_region_unref(bar->region);
    gmem_ram_unref(bar->ram);
    world_close(&bar->world);
}

static void test_words(void **state)
{
    struct bar bar;
    uint64_t value64;
    uint32_t value32;
    uint16_t value16;
    uint8_t value8;

    (void)state;
    if (!can_watch())
        print_message("touches are not counted: this is no x86-64 host\n");
    bar_open(&bar);
    /* Twice each: nothing remembers where it is. */
    for (unsigned i = 0; i < 2; i++) {
        close_page();
        assert_int_equal(gmem_ld8(bar.world.space, AT + 3, GMEM_ATTRS_NONE, &value8), GMEM_OK);
        check_touches(3, 1);
        assert_int_equal(value8, 4);
        close_page();
        assert_int_equal(gmem_ld16_le(bar.world.space, AT + 2, GMEM_ATTRS_NONE, &value16), GMEM_OK);
        check_touches(2, 2);
        assert_int_equal(value16, 0x0403);
        close_page();
        assert_int_equal(gmem_ld32_be(bar.world.space, AT + 4, GMEM_ATTRS_NONE, &value32), GMEM_OK);
        check_touches(4, 4);
        assert_int_equal(value32, 0x05060708);
        close_page();
        assert_int_equal(gmem_ld64_le(bar.world.space, AT + 8, GMEM_ATTRS_NONE, &value64), GMEM_OK);
        check_touches(8, 8);
        close_page();
        assert_int_equal(gmem_ld64_le(bar.world.space, AT + 9, GMEM_ATTRS_NONE, &value64), GMEM_OK);
        check_touches(9, 8);
        assert_int_equal(value64, 0x11100f0e0d0c0b0aull);
        close_page();
        assert_int_equal(gmem_st32_le(bar.world.space, AT + 0x20, GMEM_ATTRS_NONE, 0xa1b2c3d4u), GMEM_OK);
        check_touches(0x20, 4);
        assert_memory_equal(page + 0x20, "\xd4\xc3\xb2\xa1", 4);
        close_page();
        assert_int_equal(gmem_st16_be(bar.world.space, AT + 0x31, GMEM_ATTRS_NONE, 0x1234), GMEM_OK);
        check_touches(0x31, 2);
        assert_memory_equal(page + 0x31, "\x12\x34", 2);
    }
    bar_close(&bar);
}

/* Any number of bytes at any place, in both directions: by words as wide as alignment lets them be, never by memcpy. */
static void test_bytes(void **state)
{
    uint8_t buf[256], was[PAGE];
    struct bar bar;

    (void)state;
    bar_open(&bar);
    for (uint64_t offset = 0; offset < 9; offset++) {
        for (uint64_t size = 1; size < 200; size += size < 20 ? 1 : 37) {
            bytes_pattern(page, PAGE, (uint8_t)size);
            memcpy(was, page, PAGE);
            close_page();
            assert_int_equal(gmem_space_read(bar.world.space, AT + offset, GMEM_ATTRS_NONE, buf, size), GMEM_OK);
            check_touches(offset, size);
            assert_memory_equal(buf, page + offset, size);
            memset(buf, 0xee, sizeof(buf));
            close_page();
            assert_int_equal(gmem_space_write(bar.world.space, AT + offset, GMEM_ATTRS_NONE, buf, size), GMEM_OK);
            check_touches(offset, size);
            memset(was + offset, 0xee, size);
            assert_memory_equal(page, was, PAGE);
            close_page();
            assert_int_equal(gmem_space_fill(bar.world.space, AT + offset, GMEM_ATTRS_NONE, 0x77, size), GMEM_OK);
            check_touches(offset, size);
            memset(was + offset, 0x77, size);
            assert_memory_equal(page, was, PAGE);
            close_page();
            assert_int_equal(gmem_space_write_rom(bar.world.space, AT + offset, buf, size), GMEM_OK);
            check_touches(offset, size);
            memset(was + offset, 0xee, size);
            assert_memory_equal(page, was, PAGE);
        }
    }
    bar_close(&bar);
}

static void test_caches(void **state)
{
    struct gmem_cache cache;
    struct bar bar;
    uint32_t value;

    (void)state;
    bar_open(&bar);
    OK(gmem_cache_init(&cache, bar.world.space, AT, PAGE, GMEM_ATTRS_NONE));
    for (unsigned i = 0; i < 2; i++) {
        close_page();
        assert_int_equal(gmem_cache_ld32_le(&cache, 0x40, &value), GMEM_OK);
        check_touches(0x40, 4);
        close_page();
        assert_int_equal(gmem_cache_st32_le(&cache, 0x44, 5), GMEM_OK);
        check_touches(0x44, 4);
        assert_int_equal(page[0x44], 5);
    }
    gmem_cache_end(&cache);
    bar_close(&bar);
}

/* No pointer into it; a bounce buffer is read when it is mapped, and written when it is unmapped. */
static void test_maps(void **state)
{
    struct gmem_segment segment;
    uint64_t covered;
    struct gmem_map map;
    uint8_t buf[16];
    struct bar bar;
    size_t count;

    (void)state;
    bar_open(&bar);
    close_page();
    OK(gmem_segments(bar.world.space, AT + 4, GMEM_ATTRS_NONE, 0x100, false, &segment, 1, &count, &covered));
    check_touches(0, 0);
    assert_int_equal(covered, 0x100);
    assert_ptr_equal(segment.region, bar.region);
    assert_null(segment.host);
    close_page();
    assert_int_equal(gmem_segment_read(&segment, 4, buf, 12), GMEM_OK);
    check_touches(8, 12);
    assert_memory_equal(buf, page + 8, 12);
    close_page();
    assert_int_equal(gmem_segment_write(&segment, 0, "abcd", 4), GMEM_OK);
    check_touches(4, 4);
    assert_memory_equal(page + 4, "abcd", 4);
    gmem_segments_release(&segment, 1, 0);
    close_page();
    OK(gmem_map(bar.world.space, AT + 0x10, GMEM_ATTRS_NONE, 0x20, false, &map));
    check_touches(0x10, 0x20);
    assert_true(map.bounced);
    assert_memory_equal(map.host, page + 0x10, 0x20);
    close_page();
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    check_touches(0, 0);
    close_page();
    OK(gmem_map(bar.world.space, AT + 0x10, GMEM_ATTRS_NONE, 0x20, true, &map));
    check_touches(0, 0);
    memset(map.host, 0x99, 12);
    close_page();
    assert_int_equal(gmem_unmap(&map, 12), GMEM_OK);
    check_touches(0x10, 12);
    assert_int_equal(page[0x1b], 0x99);
    assert_int_not_equal(page[0x1c], 0x99);
    bar_close(&bar);
}

static void test_readonly_and_log(void **state)
{
    struct bar bar;
    bool dirty = false;

    (void)state;
    bar_open(&bar);
    /* Nothing is logged unless it was asked for, by nobody else's asking either. */
    assert_int_equal(gmem_st8(bar.world.space, AT, GMEM_ATTRS_NONE, 9), GMEM_OK);
    OK(gmem_ram_dirty_test(bar.ram, GMEM_LOG_MIGRATION, 0, PAGE, &dirty));
    assert_false(dirty);
    OK(gmem_region_set_log(bar.region, GMEM_LOG_MIGRATION, true));
    assert_int_equal(gmem_st8(bar.world.space, AT, GMEM_ATTRS_NONE, 9), GMEM_OK);
    OK(gmem_ram_dirty_test_and_clear(bar.ram, GMEM_LOG_MIGRATION, 0, PAGE, &dirty));
    assert_true(dirty);
    assert_int_equal(gmem_space_write_rom(bar.world.space, AT, "x", 1), GMEM_OK);
    OK(gmem_ram_dirty_test(bar.ram, GMEM_LOG_MIGRATION, 0, PAGE, &dirty));
    assert_true(dirty);
    OK(gmem_region_set_readonly(bar.region, true));
    close_page();
    assert_int_equal(gmem_st32_le(bar.world.space, AT, GMEM_ATTRS_NONE, 0), GMEM_OK);
    assert_int_equal(gmem_space_fill(bar.world.space, AT, GMEM_ATTRS_NONE, 0, 64), GMEM_OK);
    check_touches(0, 0);
    close_page();
    assert_int_equal(gmem_space_write_rom(bar.world.space, AT, "yz", 2), GMEM_OK);
    check_touches(0, 2);
    bar_close(&bar);
}

static int count_sync(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)section;
    ++*(unsigned *)listener->opaque;
    return 0;
}

/* Logging everything is of what is migrated: of a bar nothing is marked by accesses, nor are listeners asked about it. */
static void test_global_log(void **state)
{
    unsigned syncs = 0;
    struct gmem_listener listener = {.struct_size = sizeof(listener), .opaque = &syncs, .log_sync = count_sync};
    struct gmem_cache cache;
    struct bar bar;
    uint64_t dirty = 1;

    (void)state;
    bar_open(&bar);
    OK(gmem_listener_register(bar.world.vm, NULL, &listener));
    OK(gmem_vm_set_global_log(bar.world.vm, true));
    assert_int_equal(gmem_st8(bar.world.space, AT, GMEM_ATTRS_NONE, 9), GMEM_OK);
    assert_int_equal(gmem_space_write(bar.world.space, AT, GMEM_ATTRS_NONE, "abc", 3), GMEM_OK);
    assert_int_equal(gmem_space_fill(bar.world.space, AT, GMEM_ATTRS_NONE, 1, 7), GMEM_OK);
    assert_int_equal(gmem_space_write_rom(bar.world.space, AT, "x", 1), GMEM_OK);
    OK(gmem_cache_init(&cache, bar.world.space, AT, 16, GMEM_ATTRS_NONE));
    assert_int_equal(gmem_cache_st32_le(&cache, 0, 1), GMEM_OK);
    gmem_cache_end(&cache);
    OK(gmem_vm_log_sync(bar.world.vm));
    assert_int_equal(syncs, 0);
    OK(gmem_ram_dirty_count(bar.ram, GMEM_LOG_MIGRATION, &dirty));
    assert_int_equal(dirty, 0);
    OK(gmem_region_set_log(bar.region, GMEM_LOG_MIGRATION, true));
    assert_int_equal(gmem_st8(bar.world.space, AT, GMEM_ATTRS_NONE, 9), GMEM_OK);
    OK(gmem_vm_log_sync(bar.world.vm));
    assert_int_equal(syncs, 1);
    OK(gmem_ram_dirty_count(bar.ram, GMEM_LOG_MIGRATION, &dirty));
    assert_int_equal(dirty, 1);
    gmem_listener_unregister(bar.world.vm, &listener);
    bar_close(&bar);
}

static int take_text(void *opaque, const char *text, size_t len)
{
    char *out = opaque;

    assert_true(len < 4000);
    memcpy(out, text, len);
    out[len] = 0;
    return 0;
}

static void test_printed(void **state)
{
    struct gmem_print_options json = {.struct_size = sizeof(json), .flags = GMEM_PRINT_JSON};
    struct gmem_ram_options options = {.struct_size = sizeof(options),
                                       .id = "ro",
                                       .size = PAGE,
                                       .backing = GMEM_RAM_FILE,
                                       .path = "/proc/self/exe",
                                       .flags = GMEM_RAM_READONLY};
    struct gmem_section section;
    gmem_region *region = NULL;
    char text[4000];
    struct bar bar;
    gmem_ram *ram;

    (void)state;
    bar_open(&bar);
    assert_int_equal(gmem_region_kind(bar.region), GMEM_KIND_RAM_DEVICE);
    assert_int_equal(GMEM_KIND_RAM_DEVICE, 8);
    assert_string_equal(gmem_region_type(bar.region), "ramd");
    assert_ptr_equal(gmem_region_ram(bar.region), bar.ram);
    OK(gmem_print_flat(bar.world.vm, NULL, take_text, text));
    assert_non_null(strstr(text, "0000000000010000-0000000000010fff (prio 0, ramd): bar\n"));
    OK(gmem_print_tree(bar.world.vm, NULL, take_text, text));
    assert_non_null(strstr(text, "0000000000010000-0000000000010fff (prio 0, ramd): bar\n"));
    OK(gmem_print_tree(bar.world.vm, &json, take_text, text));
    assert_non_null(strstr(text, "\"kind\": \"ram-device\""));
    assert_non_null(strstr(text, "\"ram\": \"bar\""));
    OK(gmem_print_flat(bar.world.vm, &json, take_text, text));
    assert_non_null(strstr(text, "\"kind\": \"ram-device\", \"type\": \"ramd\""));
    /* For slots the memory is there. */
    OK(gmem_space_lookup(bar.world.space, AT + 0x123, &section));
    assert_ptr_equal(gmem_section_host(&section), page + section.offset);
    gmem_section_release(&section);
    OK(gmem_ram_create(bar.world.vm, &options, &ram));
    assert_int_equal(gmem_region_create_ram_device(bar.world.vm, "ro", ram, NULL, &region), -EINVAL);
    assert_int_equal(gmem_region_create_ram_device(bar.world.vm, "none", NULL, NULL, &region), -EINVAL);
    assert_null(region);
    gmem_ram_unref(ram);
    bar_close(&bar);
}

/* A reserved region claims its addresses from what is below, for every kind of access. */
static void test_reserved(void **state)
{
    gmem_region *reserved = NULL, *below;
    struct gmem_segment segment;
    struct gmem_cache cache;
    struct gmem_section section;
    struct world world;
    struct gmem_map map;
    uint64_t covered;
    uint32_t value = 0;
    uint8_t buf[8];
    size_t count;
    char text[4000];

    (void)state;
    world_open_with(&world, GMEM_ENDIAN_LITTLE, true);
    below = world_memory(&world, GMEM_KIND_RAM, "below", PAGE, NULL, NULL, NULL);
    world_place(&world, below, 0);
    OK(gmem_region_create_reserved(world.vm, "hole", GMEM_SIZE(0x100), NULL, &reserved));
    OK(gmem_region_add_priority(world.root, 0x100, reserved, 1));
    assert_int_equal(gmem_ld32_le(world.space, 0x100, GMEM_ATTRS_NONE, &value), GMEM_RESULT_DECODE);
    assert_int_equal(value, 0xffffffffu);
    assert_int_equal(gmem_st32_le(world.space, 0x100, GMEM_ATTRS_NONE, 1), GMEM_RESULT_DECODE);
    assert_int_equal(gmem_space_fill(world.space, 0xf8, GMEM_ATTRS_NONE, 1, 16), GMEM_RESULT_DECODE);
    assert_int_equal(gmem_space_write_rom(world.space, 0x100, "a", 1), GMEM_RESULT_DECODE);
    assert_int_equal(gmem_space_read(world.space, 0xfc, GMEM_ATTRS_NONE, buf, 8), GMEM_RESULT_DECODE);
    assert_memory_equal(buf, "\1\1\1\1\xff\xff\xff\xff", 8);
    OK(gmem_segments(world.space, 0x100, GMEM_ATTRS_NONE, 0x200, false, &segment, 1, &count, &covered));
    assert_int_equal(covered, 0x100);
    assert_ptr_equal(segment.region, reserved);
    assert_null(segment.host);
    assert_int_equal(gmem_segment_read(&segment, 0, buf, 8), GMEM_RESULT_DECODE);
    assert_int_equal(gmem_segment_write(&segment, 0, buf, 8), GMEM_RESULT_DECODE);
    gmem_segments_release(&segment, 1, 0);
    OK(gmem_map(world.space, 0x100, GMEM_ATTRS_NONE, 4, false, &map));
    assert_true(map.bounced);
    assert_int_equal(map.result, GMEM_RESULT_DECODE);
    assert_memory_equal(map.host, "\xff\xff\xff\xff", 4);
    assert_int_equal(gmem_unmap(&map, 0), GMEM_OK);
    OK(gmem_map(world.space, 0x100, GMEM_ATTRS_NONE, 4, true, &map));
    assert_int_equal(gmem_unmap(&map, 4), GMEM_RESULT_DECODE);
    OK(gmem_cache_init(&cache, world.space, 0x80, 0x100, GMEM_ATTRS_NONE));
    assert_int_equal(gmem_cache_ld32_le(&cache, 0, &value), GMEM_OK);
    assert_int_equal(gmem_cache_ld32_le(&cache, 0x80, &value), GMEM_RESULT_DECODE);
    assert_int_equal(gmem_cache_st32_le(&cache, 0x80, 0), GMEM_RESULT_DECODE);
    gmem_cache_end(&cache);
    OK(gmem_space_lookup(world.space, 0x100, &section));
    assert_null(gmem_section_host(&section));
    gmem_section_release(&section);
    OK(gmem_print_flat(world.vm, NULL, take_text, text));
    assert_non_null(strstr(text, "0000000000000100-00000000000001ff (prio 1, i/o): hole\n"));
    gmem_region_unref(reserved);
    gmem_region_unref(below);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_caches),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_readonly_and_log),
        cmocka_unit_test(test_global_log),
        cmocka_unit_test(test_printed),
        cmocka_unit_test(test_reserved),
    };

    return cmocka_run_group_tests(tests, watch_start, watch_stop);
}
