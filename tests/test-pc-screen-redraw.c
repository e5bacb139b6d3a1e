/* SPDX-License-Identifier: MIT */
/*
 * test-pc-screen-redraw.c - what an update of the VGA's screen draws, counted: the cells that changed and nothing else. And that
 * the picture is right whatever registers hold, with threads, and without memory.
 *
 * Linked with the allocator wrapped (wrap.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "machine_internal.h"
#include "pc-screen.h"
#include "vga_internal.h"
#include "wrap.h"

static void test_redraws_cells(void **state)
{
    struct shown *shown = *state;
    unsigned with_glyph = 0;

    set_cursor(shown, 10, 14, 15);
    check_drawn(shown, 1, 2000, 0);
    check_drawn(shown, 0, 0, 0);
    /* One character, one attribute: their cells and nothing else. */
    put_char(shown, 1234, (uint16_t)(shown->text[1234] ^ 0x0001));
    check_drawn(shown, 0, 1, 0);
    put_char(shown, 17, (uint16_t)(shown->text[17] ^ 0x0700));
    check_drawn(shown, 0, 1, 0);
    check_drawn(shown, 0, 0, 0);
    /* Written, but the same; written where nothing is shown. */
    put_char(shown, 17, shown->text[17]);
    check_drawn(shown, 0, 0, 0);
    put_char(shown, 3000, (uint16_t)~shown->text[3000]);
    check_drawn(shown, 0, 0, 0);
    /* The cursor: where it was and where it is. */
    set_cursor(shown, 500, 14, 15);
    check_drawn(shown, 0, 2, 0);
    set_cursor(shown, 500, 0, 15);
    check_drawn(shown, 0, 1, 0);
    /* A glyph: the cells that show it. */
    for (unsigned i = 0; i < 2000; i++)
        with_glyph += (shown->text[i] & 0xff) == 'g';
    assert_in_range(with_glyph, 1, 100);
    shown->font[0]['g'][7] ^= 0x10;
    load_font(shown, 0, shown->font[0]);
    check_drawn(shown, 0, with_glyph, 0);
    check_picture(shown, 720, 400, expected_text);
    check_drawn(shown, 0, 0, 0);
}

/* Through the BAR, where no callback of the VGA is. */
static void test_redraws_through_bar(void **state)
{
    struct shown *shown = *state;

    check_drawn(shown, 1, 2000, 0);
    shown->text[42] ^= 0x0040;
    put(shown, VRAM + 4 * 42, &(uint8_t){(uint8_t)shown->text[42]}, 1);
    check_drawn(shown, 0, 1, 0);
    check_picture(shown, 720, 400, expected_text);
}

static void test_redraws_scrolled(void **state)
{
    struct shown *shown = *state;
    uint64_t differ = 0;

    for (unsigned i = 0; i < 2080; i++) {
        /* Most of the screen is spaces. */
        if (i % 7)
            shown->text[i] = 0x0720;
    }
    put_text(shown);
    check_drawn(shown, 1, 2000, 0);
    for (unsigned i = 0; i < 2000; i++)
        differ += shown->text[i] != shown->text[i + 80];
    crtc(shown->bench, 0x0d, 80);
    shown->look.start = 80;
    check_drawn(shown, 0, differ, 0);
    check_picture(shown, 720, 400, expected_text);
}

static void test_redraws_whole(void **state)
{
    struct shown *shown = *state;
    struct screen *other;

    check_drawn(shown, 1, 2000, 0);
    /* A colour that is shown; one that is not. */
    set_dac(shown, 7, 1, 2, 3);
    check_drawn(shown, 1, 2000, 0);
    set_dac(shown, 200, 1, 2, 3);
    check_drawn(shown, 0, 0, 0);
    /* A font, a mode. */
    seq(shown->bench, 3, 5);
    check_drawn(shown, 1, 2000, 0);
    seq(shown->bench, 1, 1);
    check_drawn(shown, 1, 2000, 0);
    seq(shown->bench, 1, 0);
    seq(shown->bench, 3, 0);
    check_drawn(shown, 1, 2000, 0);
    /* Another screen took the dirty page. */
    assert_int_equal(screen_create(machine_vga(shown->bench->machine), &other), 0);
    put_char(shown, 99, 0x1f41);
    assert_int_equal(screen_update(other), 0);
    check_drawn(shown, 1, 2000, 0);
    check_picture(shown, 720, 400, expected_text);
    check_drawn(shown, 0, 0, 0);
    /* One that was there and took nothing changes nothing. */
    screen_destroy(other);
    put_char(shown, 99, 0x1f42);
    check_drawn(shown, 0, 1, 0);
}

/* A guest writes and programs while a screen looks: the picture of after is that of a screen that saw nothing before. */
static void *write_screen(void *opaque)
{
    struct shown *shown = opaque;
    pthread_mutex_t *lock = &shown->bench->machine->lock;

    for (unsigned i = 0; i < 20000; i++) {
        pthread_mutex_lock(lock);
        if (i % 500 == 0)
            crtc(shown->bench, 0x0d, i / 500);
        else
            put_char(shown, i % 2000, (uint16_t)(i * 31));
        pthread_mutex_unlock(lock);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct shown *shown = *state;
    struct screen_picture picture, fresh;
    struct screen *screen;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, write_screen, shown), 0);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(screen_update(shown->screen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(screen_update(shown->screen), 0);
    picture = screen_picture(shown->screen);
    assert_int_equal(screen_create(machine_vga(shown->bench->machine), &screen), 0);
    assert_int_equal(screen_update(screen), 0);
    fresh = screen_picture(screen);
    assert_memory_equal(picture.pixels, fresh.pixels, (size_t)720 * 400 * 4);
    screen_destroy(screen);
}

/* Each allocation fails once: the picture is the old one, and the next update makes it right. */
static void test_no_memory(void **state)
{
    struct shown *shown = *state;
    struct screen *screen = NULL;
    struct screen_picture before, after;
    unsigned long n;
    int err = -1;

    wrap_start(1);
    assert_int_equal(screen_create(machine_vga(shown->bench->machine), &screen), -ENOMEM);
    assert_true(wrap_stop());
    assert_null(screen);
    assert_int_equal(screen_update(shown->screen), 0);
    before = screen_picture(shown->screen);
    crtc(shown->bench, 0x12, 0x7f);
    seq(shown->bench, 1, 1);
    shown->look.cell_width = 8;
    for (n = 1; err; n++) {
        wrap_start(n);
        err = screen_update(shown->screen);
        if (!wrap_stop())
            break;
        assert_int_equal(err, -ENOMEM);
        after = screen_picture(shown->screen);
        assert_int_equal(after.width, before.width);
        assert_int_equal(after.height, before.height);
        assert_ptr_equal(after.pixels, before.pixels);
    }
    assert_int_equal(err, 0);
    assert_int_equal(n, 3); /* the cells, the pixels */
    check_picture(shown, 640, 384, expected_text);
}

/* Writes that nobody marked, as those of a processor in a memory slot: the listener that has the slots' log reports them. */
struct slots {
    struct gmem_listener listener;
    struct shown *shown;
    unsigned syncs;
    int refuse;
    uint32_t written; /* a byte of video memory */
};

static int on_log_sync(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct slots *slots = listener->opaque;
    struct vga *vga = machine_vga(slots->shown->bench->machine);

    if (section->region != vga->vram_region)
        return 0;
    slots->syncs++;
    assert_int_equal(gmem_ram_dirty_mark(vga->vram_block, slots->written, 1), 0);
    return slots->refuse;
}

static void write_unmarked(struct slots *slots, uint32_t at)
{
    machine_vga(slots->shown->bench->machine)->vram[at] ^= 1;
    slots->written = at;
}

static void test_log_sync(void **state)
{
    struct shown *shown = *state;
    struct machine *machine = shown->bench->machine;
    static struct slots slots; /* outlives a failure */

    slots = (struct slots){.listener = {.struct_size = sizeof(slots.listener), .name = "slots", .opaque = &slots},
                           .shown = shown};
    slots.listener.log_sync = on_log_sync;
    assert_int_equal(gmem_listener_register(machine_vm(machine), machine_memory(machine), &slots.listener), 0);
    check_drawn(shown, 1, 2000, 0);
    assert_int_equal(slots.syncs, 1);
    write_unmarked(&slots, 4 * 777);
    shown->text[777] ^= 1;
    check_drawn(shown, 0, 1, 0);
    assert_int_equal(slots.syncs, 2);
    check_picture(shown, 720, 400, expected_text);
    /* Where the log can't be had, everything is looked at. */
    set_mode(shown, &mode_13);
    check_drawn(shown, 1, 0, 200);
    slots.refuse = -EIO;
    check_drawn(shown, 0, 0, 200);
    slots.refuse = 0;
    slots.written = VRAM_SIZE - 1;
    /* The page that was dirty then still is: 13 lines of 320 bytes reach into it. */
    check_drawn(shown, 0, 0, 13);
    check_drawn(shown, 0, 0, 0);
    gmem_listener_unregister(machine_vm(machine), &slots.listener);
}

/* A row that goes on at address 0, as the address counter does. */
static void test_redraws_wrapped_row(void **state)
{
    struct shown *shown = *state;

    crtc(shown->bench, 0x0c, 0xff);
    crtc(shown->bench, 0x0d, 0xe0);
    check_drawn(shown, 1, 2000, 0);
    put_char(shown, 2, (uint16_t)(shown->text[2] ^ 1));
    check_drawn(shown, 0, 1, 0);
    put_char(shown, 0x30, (uint16_t)(shown->text[0x30] ^ 1));
    check_drawn(shown, 0, 1, 0);
    put(shown, VRAM + 4 * 0xfff0, "\x41\x1f", 2);
    check_drawn(shown, 0, 1, 0);
}

/*
 * Registers and memory as no guest would set them: no access out of bounds, and the picture is that of a screen that was
 * not there before.
 */
static void check_as_fresh(struct shown *shown)
{
    struct screen_picture picture, want;
    struct screen *fresh;

    assert_int_equal(screen_update(shown->screen), 0);
    picture = screen_picture(shown->screen);
    assert_int_equal(screen_create(machine_vga(shown->bench->machine), &fresh), 0);
    assert_int_equal(screen_update(fresh), 0);
    want = screen_picture(fresh);
    assert_int_equal(picture.width, want.width);
    assert_int_equal(picture.height, want.height);
    assert_memory_equal(picture.pixels, want.pixels, (size_t)want.width * want.height * sizeof(*want.pixels));
    screen_destroy(fresh);
    /* It found nothing dirty: the screen has missed nothing. */
    machine_vga(shown->bench->machine)->shown_by = shown->screen;
}

static void change_register(struct shown *shown)
{
    struct bench *bench = shown->bench;
    uint8_t value = any_byte(shown);

    switch (random_below(&shown->random, 7)) {
    case 0:
        seq(bench, (unsigned)random_below(&shown->random, 5), value | 3);
        break;
    case 1:
        gfx(bench, (unsigned)random_below(&shown->random, 9), value);
        break;
    case 2:
        attr(bench, (unsigned)random_below(&shown->random, 21), value);
        break;
    case 3:
        set_dac(shown, any_byte(shown), value, value, any_byte(shown));
        break;
    case 4:
        dispi(bench, 4, value & 0x41);
        break;
    case 5:
        /* Depths too; sizes that are soon drawn. */
        dispi(bench, (unsigned)random_below(&shown->random, 10), value % 4 ? value : value / 8);
        break;
    default:
        crtc(bench, 0x11, 0);
        crtc(bench, (unsigned)random_below(&shown->random, 25),
             random_chance(&shown->random, 50) ? value | 0x80 : value);
        break;
    }
}

static void test_any_registers(void **state)
{
    struct shown *shown = *state;
    unsigned rounds = test_is_long() ? 20000 : 400, kept = 0;

    for (unsigned i = 0; i < rounds; i++) {
        struct screen_stats before = screen_stats(shown->screen);
        uint64_t at = random_below(&shown->random, random_chance(&shown->random, 70) ? 0x40000 : VRAM_SIZE - 64);

        if (i % 40 == 0)
            set_mode(shown, i % 80 ? &mode_03 : &mode_13);
        for (uint64_t n = random_below(&shown->random, 4); n > 0; n--)
            change_register(shown);
        put(shown, VRAM + at, shown->bytes, (size_t)random_within(&shown->random, 1, 64));
        put(shown, 0xa0000 + random_below(&shown->random, 0x1ffc0), shown->bytes + 64, 64);
        check_as_fresh(shown);
        kept += screen_stats(shown->screen).whole == before.whole;
    }
    /* Both ways were gone. */
    assert_in_range(kept, rounds / 20, rounds - rounds / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_redraws_cells, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_redraws_through_bar, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_redraws_scrolled, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_redraws_whole, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_log_sync, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_redraws_wrapped_row, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_any_registers, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup_text, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
