/* SPDX-License-Identifier: MIT */
/* CMOS memory and clock through ports 0x70 and 0x71, on a clock that the test moves. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmos.h"
#include "pc-ports.h"
#include "vtime.h"

#define S UINT64_C(1000000000)
#define MS (S / 1000)
#define START_S UINT64_C(1709251199) /* 2024-02-29 23:59:59 UTC, a Thursday */
#define START (START_S * S)
#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

#define REG_A 0x0a
#define REG_B 0x0b
#define REG_C 0x0c
#define REG_D 0x0d

struct fixture {
    struct ports ports;
    struct cmos *cmos;
    struct wire irq;
    uint64_t now;
    struct vtime time;
    uint64_t told; /* what the device said last of when it is to be called */
    unsigned tells, ends;
};

static uint64_t test_now(void *opaque)
{
    return ((struct fixture *)opaque)->now;
}

static void test_next(void *opaque, uint64_t due)
{
    struct fixture *f = opaque;

    assert_true(due != f->told);
    f->told = due;
    f->tells++;
}

static void test_end(void *opaque)
{
    ((struct fixture *)opaque)->ends++;
}

static int create(struct fixture *f, uint64_t below, uint64_t above, unsigned cpus)
{
    const struct cmos_clock clock = {.now = test_now, .next = test_next, .end = test_end, .opaque = f};

    return cmos_create_clock(f->ports.vm, f->ports.io, below, above, cpus, wire_irq(&f->irq), &clock, &f->cmos);
}

static int setup_bare(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ports_open(&f->ports);
    f->now = START;
    f->told = CMOS_NEVER;
    *state = f;
    return 0;
}

static int setup(void **state)
{
    setup_bare(state);
    assert_int_equal(create(*state, GIB, 0, 1), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    cmos_destroy(f->cmos);
    ports_close(&f->ports);
    free(f);
    return 0;
}

static uint8_t get(struct fixture *f, uint8_t index)
{
    outb(&f->ports, 0x70, index | 0x80); /* with the NMI mask, as firmware does */
    return inb(&f->ports, 0x71);
}

static void put(struct fixture *f, uint8_t index, uint8_t value)
{
    outb(&f->ports, 0x70, index);
    outb(&f->ports, 0x71, value);
}

static void assert_clock(struct fixture *f, const char *expected)
{
    char text[64];

    snprintf(text, sizeof(text), "%02x%02x-%02x-%02x %02x:%02x:%02x day %x", get(f, 0x32), get(f, 9), get(f, 8),
             get(f, 7), get(f, 4), get(f, 2), get(f, 0), get(f, 6));
    assert_string_equal(text, expected);
}

static unsigned get16(struct fixture *f, uint8_t index)
{
    return get(f, index) | (unsigned)get(f, (uint8_t)(index + 1)) << 8;
}

static void test_ports(void **state)
{
    struct fixture *f = *state;
    uint16_t both = 0x5a50; /* index 0x50, data 0x5a: one 16-bit write is cut at the seam */

    assert_port(&f->ports, 0x70, "rtc-index");
    assert_port(&f->ports, 0x71, "rtc");
    assert_int_equal(inb(&f->ports, 0x70), 0xff);
    assert_int_equal(gmem_st16_le(f->ports.space, 0x70, GMEM_ATTRS_NONE, both), GMEM_OK);
    assert_int_equal(get(f, 0x50), 0x5a);
}

/* The values of the recorded boots of 1 GiB; the rest by what SeaBIOS computes from them. */
static void test_memory_1g(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(create(f, GIB, 0, 1), 0);
    assert_int_equal(get(f, 0x0f), 0x00);
    assert_int_equal(get(f, 0x10), 0x00);
    assert_int_equal(get(f, 0x38), 0x30);
    assert_int_equal(get(f, 0x3d), 0x12);
    assert_int_equal(get(f, 0x5f), 0x00);
    assert_int_equal(get(f, REG_A), 0x26);
    assert_int_equal(get(f, REG_B), 0x02);
    assert_int_equal(get(f, REG_C), 0x00);
    assert_int_equal(get(f, REG_D), 0x80);
    assert_int_equal(get16(f, 0x15), 640);
    assert_int_equal(get16(f, 0x17), 0xffff);
    assert_int_equal(get16(f, 0x30), 0xffff);
    assert_true(get16(f, 0x34) * 64 * KIB + 16 * MIB == GIB);
    assert_int_equal(get16(f, 0x5b) | get(f, 0x5d), 0);
}

static void test_memory_5g(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(create(f, 3 * GIB, 5 * GIB, 255), 0);
    assert_true(get16(f, 0x34) * 64 * KIB + 16 * MIB == 3 * GIB);
    assert_true((get16(f, 0x5b) | (uint64_t)get(f, 0x5d) << 16) * 64 * KIB == 5 * GIB);
    assert_int_equal(get(f, 0x5f), 254);
}

static void test_memory_small(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(create(f, 8 * MIB, 0, 1), 0);
    assert_int_equal(get16(f, 0x30), 7 * 1024);
    assert_int_equal(get16(f, 0x34), 0);
    put(f, 0x30, 0x77); /* it is memory */
    assert_int_equal(get(f, 0x30), 0x77);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(create(f, GIB, 0, 0), -EINVAL);
    assert_int_equal(create(f, GIB, 0, 256), -EINVAL);
    assert_int_equal(f->ends, 0);
    assert_int_equal(cmos_create(f->ports.vm, f->ports.io, GIB, 0, 0, wire_irq(&f->irq), &f->cmos), -EINVAL);
    assert_int_equal(cmos_create_vtime(f->ports.vm, f->ports.io, GIB, 0, 0, wire_irq(&f->irq), &f->time, &f->cmos),
                     -EINVAL);
    assert_null(f->cmos);
}

static void test_time(void **state)
{
    struct fixture *f = *state;

    assert_clock(f, "2024-02-29 23:59:59 day 5");
    f->now += S;
    assert_clock(f, "2024-03-01 00:00:00 day 6");
    f->now += 13 * 3600 * S;
    put(f, REG_B, 0x06); /* binary */
    assert_int_equal(get(f, 9), 24);
    assert_int_equal(get(f, 0x32), 20);
    put(f, REG_B, 0x00); /* 12 hours, BCD */
    assert_int_equal(get(f, 4), 0x81);
    f->now -= 3600 * S;
    assert_int_equal(get(f, 4), 0x92);
    f->now -= 12 * 3600 * S;
    assert_int_equal(get(f, 4), 0x12);
}

static void test_set_time(void **state)
{
    struct fixture *f = *state;
    static const uint8_t regs[] = {0x32, 9, 8, 7, 4, 2, 0};
    static const uint8_t values[] = {0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58};

    f->now += S / 2;
    put(f, REG_B, 0x82);
    assert_int_equal(get(f, REG_B), 0x82);
    for (size_t i = 0; i < sizeof(regs); i++)
        put(f, regs[i], values[i]);
    f->now += 100 * S; /* it stands still while held */
    assert_clock(f, "1999-12-31 23:59:58 day 5");
    put(f, REG_B, 0x02);
    assert_clock(f, "1999-12-31 23:59:58 day 6");
    f->now += 3 * S / 2;
    assert_clock(f, "2000-01-01 00:00:00 day 7");

    /* Without holding it, and the divider's reset holds it as well. */
    put(f, 4, 0x12);
    assert_clock(f, "2000-01-01 12:00:00 day 7");
    put(f, REG_A, 0x76);
    f->now += 10 * S;
    assert_clock(f, "2000-01-01 12:00:00 day 7");
    put(f, REG_A, 0x26);
    f->now += S;
    assert_clock(f, "2000-01-01 12:00:01 day 7");
}

static void test_nonsense_time(void **state)
{
    struct fixture *f = *state;

    put(f, REG_B, 0x86);
    for (uint8_t reg = 0; reg < 10; reg++)
        put(f, reg, 0xff);
    put(f, 0x32, 0xff);
    put(f, REG_B, 0x02);
    for (uint8_t reg = 0; reg < 128; reg++)
        (void)get(f, reg);
    put(f, REG_B, 0x06);
    assert_true(get(f, 0) < 60 && get(f, 2) < 60 && get(f, 4) < 24 && get(f, 8) >= 1 && get(f, 8) <= 12);
}

static void test_update_in_progress(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, REG_A), 0x26);
    f->now = START + S - 245000;
    assert_int_equal(get(f, REG_A), 0x26);
    f->now = START + S - 244000;
    assert_int_equal(get(f, REG_A), 0xa6);
    f->now = START + S - 1;
    assert_int_equal(get(f, REG_A), 0xa6);
    f->now = START + S;
    assert_int_equal(get(f, REG_A), 0x26);
    put(f, REG_B, 0x82);
    f->now = START + 2 * S - 1;
    assert_int_equal(get(f, REG_A), 0x26);
    put(f, REG_A, 0xff); /* the flag is not for writing */
    assert_int_equal(get(f, REG_A), 0x7f);
}

static void test_periodic(void **state)
{
    struct fixture *f = *state;
    uint64_t next;

    /* The flag comes without the interrupt. */
    assert_true(cmos_tick(f->cmos) == CMOS_NEVER);
    f->now += 1 * MS;
    assert_int_equal(get(f, REG_C), 0x40);
    assert_int_equal(get(f, REG_C), 0x00);

    put(f, REG_B, 0x42);
    for (int i = 0; i < 5; i++) {
        next = cmos_tick(f->cmos);
        assert_true(next > f->now && next <= f->now + 976563); /* 1,024 Hz */
        f->now = next - 1;
        assert_true(cmos_tick(f->cmos) == next);
        assert_int_equal(f->irq.level, 0);
        f->now = next;
        assert_true(cmos_tick(f->cmos) == CMOS_NEVER); /* until it is acknowledged */
        assert_int_equal(f->irq.level, 1);
        f->now += 10 * MS;
        assert_true(cmos_tick(f->cmos) == CMOS_NEVER);
        assert_int_equal(get(f, REG_C), 0xc0);
        assert_int_equal(f->irq.level, 0);
    }
    assert_int_equal(f->irq.rises, 5);

    /* The rates of the table: 1 and 2 are as 8 and 9, 15 is 2 Hz, 0 is none. */
    put(f, REG_A, 0x2f);
    assert_true(cmos_tick(f->cmos) - f->now <= S / 2);
    f->now = START + 10 * S;
    (void)get(f, REG_C);
    assert_true(cmos_tick(f->cmos) == f->now + S / 2);
    put(f, REG_A, 0x21);
    assert_true(cmos_tick(f->cmos) == f->now + S / 256);
    put(f, REG_A, 0x22);
    assert_true(cmos_tick(f->cmos) == f->now + S / 128);
    put(f, REG_A, 0x20);
    assert_true(cmos_tick(f->cmos) == CMOS_NEVER);
}

static void test_update_ended(void **state)
{
    struct fixture *f = *state;

    put(f, REG_A, 0x20);
    put(f, 5, 0x12); /* the alarm is at midnight else, which is now */
    put(f, REG_B, 0x12);
    assert_true(cmos_tick(f->cmos) == START + S);
    f->now = START + S;
    (void)cmos_tick(f->cmos);
    assert_int_equal(f->irq.level, 1);
    assert_int_equal(get(f, REG_C), 0x90);
    assert_int_equal(f->irq.level, 0);
    put(f, REG_B, 0x92); /* holding the clock clears the enable */
    assert_int_equal(get(f, REG_B), 0x82);
    f->now += 5 * S;
    assert_true(cmos_tick(f->cmos) == CMOS_NEVER);
    assert_int_equal(get(f, REG_C), 0x00);
}

static void test_alarm(void **state)
{
    struct fixture *f = *state;

    put(f, REG_A, 0x20);
    put(f, 5, 0x01); /* 01:02:03 */
    put(f, 3, 0x02);
    put(f, 1, 0x03);
    put(f, REG_B, 0x22);
    assert_true(cmos_tick(f->cmos) == START + S + 3723 * S);
    f->now = START + S + 3723 * S;
    (void)cmos_tick(f->cmos);
    assert_int_equal(f->irq.level, 1);
    assert_int_equal(get(f, REG_C), 0xb0);
    assert_int_equal(f->irq.level, 0);
    assert_true(cmos_tick(f->cmos) == f->now + 86400 * S);

    put(f, 5, 0xc0); /* every hour, every minute, every second */
    assert_true(cmos_tick(f->cmos) == f->now + 3600 * S);
    put(f, 3, 0xff);
    assert_true(cmos_tick(f->cmos) == f->now + 60 * S);
    put(f, 1, 0xc0);
    assert_true(cmos_tick(f->cmos) == f->now + S);
    put(f, 1, 0x61); /* no such second */
    assert_true(cmos_tick(f->cmos) == CMOS_NEVER);

    put(f, REG_B, 0x20); /* 12 hours: 01 PM */
    put(f, 5, 0x81);
    put(f, 3, 0x00);
    put(f, 1, 0x00);
    assert_true(cmos_tick(f->cmos) == START + S + 13 * 3600 * S);
}

static void test_enable_pending(void **state)
{
    struct fixture *f = *state;

    f->now += 2 * S;
    (void)cmos_tick(f->cmos);
    assert_int_equal(f->irq.level, 0);
    put(f, REG_B, 0x12); /* the flag is there already */
    assert_int_equal(f->irq.level, 1);
    put(f, REG_B, 0x02);
    assert_int_equal(f->irq.level, 0);
    put(f, REG_B, 0x12);
    assert_int_equal(get(f, REG_C), 0xf0);
    put(f, REG_C, 0xff); /* read only, as D */
    put(f, REG_D, 0x00);
    assert_int_equal(get(f, REG_C), 0x00);
    assert_int_equal(get(f, REG_D), 0x80);
}

static void test_clock_set_back(void **state)
{
    struct fixture *f = *state;

    put(f, REG_A, 0x20);
    put(f, REG_B, 0x12);
    f->now -= 1000 * S;
    assert_true(cmos_tick(f->cmos) == f->now + S);
    f->now += S;
    (void)cmos_tick(f->cmos);
    assert_int_equal(f->irq.level, 1);
}

/* On the host's clock the thread raises the interrupt; the test waits for it, however long it takes. */
static void test_thread(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(cmos_create(f->ports.vm, f->ports.io, GIB, 0, 1, wire_irq(&f->irq), &f->cmos), 0);
    put(f, REG_B, 0x42);
    for (int i = 0; i < 3; i++) {
        while (atomic_load(&f->irq.level) == 0)
            sched_yield();
        assert_int_equal(get(f, REG_C) & 0xc0, 0xc0);
    }
    put(f, REG_B, 0x02);
}

/* The clock's owner hears when to call: whenever that changed, and only then. */
static void test_told(void **state)
{
    struct fixture *f = *state;

    put(f, REG_A, 0x2f); /* 2 Hz: nothing is enabled */
    assert_int_equal(f->tells, 0);
    put(f, REG_B, 0x42);
    assert_true(f->told == START + S / 2);
    assert_int_equal(f->tells, 1);
    (void)get(f, 0);
    put(f, 0x50, 0x12);
    assert_true(cmos_tick(f->cmos) == START + S / 2);
    assert_int_equal(f->tells, 1);
    put(f, REG_B, 0x52); /* the update is later */
    assert_int_equal(f->tells, 1);
    put(f, REG_B, 0x12);
    assert_true(f->told == START + S);
    put(f, REG_B, 0x42);
    put(f, REG_A, 0x2e); /* 4 Hz */
    assert_true(f->told == START + S / 4);
    f->now += S / 4;
    assert_true(cmos_tick(f->cmos) == CMOS_NEVER);
    assert_true(f->told == CMOS_NEVER);
    assert_int_equal(f->irq.level, 1);
    (void)get(f, REG_C);
    assert_true(f->told == START + S / 2);
    f->now += S / 4; /* found by an access */
    (void)get(f, 0);
    assert_int_equal(f->irq.level, 1);
    assert_true(f->told == CMOS_NEVER);
    (void)get(f, REG_C);
    put(f, REG_B, 0x02);
    assert_true(f->told == CMOS_NEVER);
}

/* What reaches it after its end (G7), here because the new view is not there yet, tells nobody, and asks no clock. */
static void test_end_while_seen(void **state)
{
    struct fixture *f = *state;

    f->now += S;
    (void)cmos_tick(f->cmos);
    assert_int_equal(gmem_vm_begin(f->ports.vm), 0);
    cmos_destroy(f->cmos);
    f->cmos = NULL;
    assert_int_equal(f->ends, 1);
    f->now += 100 * S;
    assert_int_equal(get(f, 0), 0x00);
    put(f, 0x50, 0x77);
    assert_int_equal(get(f, 0x50), 0x77);
    put(f, REG_B, 0x42);
    assert_int_equal(f->tells, 0);
    assert_int_equal(gmem_vm_commit(f->ports.vm), 0);
}

/* --- on virtual time --------------------------------------------------------------------------------------------- */

static int setup_vtime(void **state)
{
    struct fixture *f;

    setup_bare(state);
    f = *state;
    assert_int_equal(cmos_create_vtime(f->ports.vm, f->ports.io, GIB, 0, 1, wire_irq(&f->irq), &f->time, &f->cmos), 0);
    return 0;
}

static void test_vtime_start(void **state)
{
    struct fixture *f = *state;

    assert_clock(f, "2000-01-01 00:00:00 day 7");
    vtime_advance(&f->time, 86400 * S - 1);
    assert_clock(f, "2000-01-01 23:59:59 day 7");
    vtime_advance(&f->time, 86400 * S);
    assert_clock(f, "2000-01-02 00:00:00 day 1");
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
}

/* The timer follows what the guest enables, changes and acknowledges. */
static void test_vtime_timer(void **state)
{
    struct fixture *f = *state;

    put(f, REG_B, 0x42);
    for (unsigned n = 1; n <= 2048; n++) {
        uint64_t due = vtime_next(&f->time);

        assert_true(due == (n * S + 1023) / 1024); /* without drift */
        vtime_advance(&f->time, due - 1);
        assert_int_equal(f->irq.level, 0);
        vtime_advance(&f->time, due);
        assert_int_equal(f->irq.level, 1);
        assert_true(vtime_next(&f->time) == VTIME_NEVER); /* until it is acknowledged */
        assert_int_equal(get(f, REG_C) & 0xc0, 0xc0);
        assert_int_equal(f->irq.level, 0);
    }
    assert_int_equal(f->irq.rises, 2048);
    assert_true(f->time.now == 2 * S);
    put(f, REG_A, 0x2f);
    assert_true(vtime_next(&f->time) == 2 * S + S / 2);
    put(f, REG_B, 0x12);
    assert_true(vtime_next(&f->time) == 3 * S);
    put(f, REG_B, 0x22); /* the alarm, at midnight */
    assert_true(vtime_next(&f->time) == 86400 * S);
    put(f, REG_B, 0x02);
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
}

/* It ends with a timer that waits. */
static void test_vtime_end(void **state)
{
    struct fixture *f = *state;

    put(f, REG_B, 0x42);
    cmos_destroy(f->cmos);
    f->cmos = NULL;
    assert_true(vtime_next(&f->time) == VTIME_NEVER);
    vtime_advance(&f->time, S);
    assert_int_equal(f->irq.level, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_1g, setup_bare, teardown),
        cmocka_unit_test_setup_teardown(test_memory_5g, setup_bare, teardown),
        cmocka_unit_test_setup_teardown(test_memory_small, setup_bare, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup_bare, teardown),
        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update_in_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(test_periodic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alarm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_enable_pending, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clock_set_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thread, setup_bare, teardown),
        cmocka_unit_test_setup_teardown(test_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_while_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vtime_start, setup_vtime, teardown),
        cmocka_unit_test_setup_teardown(test_vtime_timer, setup_vtime, teardown),
        cmocka_unit_test_setup_teardown(test_vtime_end, setup_vtime, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
