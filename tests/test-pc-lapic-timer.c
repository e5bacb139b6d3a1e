/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer: cases from the Intel SDM, volume 3, chapter "APIC", and what bounds the work that it makes (G9).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pc-lapic.h"

/* How often vector is pending at processor 0 if the time goes on to now. */
static unsigned expiries(struct fixture *f, uint64_t now, uint8_t vector)
{
    unsigned count = 0;

    while (f->time.now < now) {
        uint64_t next = vtime_next(&f->time);

        vtime_advance(&f->time, next < now ? next : now);
        if (!lapic_pending(f->cpu[0]))
            continue;
        assert_taken(f, 0, vector);
        wr(f, APIC_EOI, 0);
        count++;
    }
    return count;
}

static void test_one_shot(void **state)
{
    struct fixture *f = *state;

    wr(f, APIC_TIMER_DIVIDE, 0x0b); /* by 1 */
    wr(f, APIC_LVT_TIMER, 0x40);
    wr(f, APIC_TIMER_INITIAL, 1000);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 1000);
    assert_int_equal(vtime_next(&f->time), 1000);
    vtime_advance(&f->time, 400);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 600);
    assert_int_equal(expiries(f, 999, 0x40), 0);
    assert_int_equal(expiries(f, 100000, 0x40), 1);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 0);
    assert_int_equal(rd(f, APIC_TIMER_INITIAL), 1000);
    wr(f, APIC_TIMER_INITIAL, 5000);
    wr(f, APIC_TIMER_INITIAL, 0); /* stops it */
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 0);
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER);
}

static void test_divide(void **state)
{
    static const struct {
        uint32_t code, by;
    } divides[] = {{0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
    struct fixture *f = *state;

    wr(f, APIC_LVT_TIMER, 0x40);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t start = f->time.now;

        wr(f, APIC_TIMER_DIVIDE, divides[i].code);
        wr(f, APIC_TIMER_INITIAL, 100);
        assert_int_equal(vtime_next(&f->time), start + 100 * divides[i].by);
        vtime_advance(&f->time, start + 40 * divides[i].by + divides[i].by - 1);
        assert_int_equal(rd(f, APIC_TIMER_COUNT), 60);
    }
    wr(f, APIC_TIMER_DIVIDE, 0x0); /* in the middle: what is left, slower */
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 60);
    assert_int_equal(vtime_next(&f->time), f->time.now + 120);
    wr(f, APIC_TIMER_INITIAL, 0xffffffff);
    wr(f, APIC_TIMER_DIVIDE, 0xa);
    assert_int_equal(vtime_next(&f->time), f->time.now + UINT64_C(128) * 0xffffffff);
}

static void test_periodic(void **state)
{
    struct fixture *f = *state;

    wr(f, APIC_TIMER_DIVIDE, 0x0b);
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x40);
    wr(f, APIC_TIMER_INITIAL, 100000);
    assert_int_equal(expiries(f, 1000000, 0x40), 10);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 100000);
    vtime_advance(&f->time, 1000001);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 99999);
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | APIC_MASKED | 0x40);
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER); /* nobody waits for it */
    assert_int_equal(expiries(f, 2050000, 0x40), 0);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 50000); /* it counts all the same */
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x41);
    assert_int_equal(vtime_next(&f->time), 2100000);
    assert_int_equal(expiries(f, 2100000, 0x41), 1);
    vtime_advance(&f->time, 2130000);
    wr(f, APIC_LVT_TIMER, 0x41); /* one-shot from here */
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 70000);
    assert_int_equal(expiries(f, 5000000, 0x41), 1);
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x41); /* its end was its end */
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 0);
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER);
}

/* A write finds what was due, though nobody has advanced the time by a call yet. */
static void test_due_before_write(void **state)
{
    struct fixture *f = *state;

    wr(f, APIC_TIMER_DIVIDE, 0x0b);
    wr(f, APIC_LVT_TIMER, 0x40);
    wr(f, APIC_TIMER_INITIAL, 1000);
    f->time.now = 1010;
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 0);
    wr(f, APIC_LVT_TIMER, APIC_MASKED | 0x40);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    wr(f, APIC_LVT_TIMER, 0x40);
    wr(f, APIC_TIMER_INITIAL, 1000);
    f->time.now = 2010;
    wr(f, APIC_TIMER_INITIAL, 1000);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    assert_int_equal(vtime_next(&f->time), 3010);
    f->time.now = 3010;
    wr(f, APIC_TIMER_DIVIDE, 0x00);
    assert_taken(f, 0, 0x40);
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER);
}

/* G9: the shortest period, and nobody takes the interrupts. */
static void test_short_period(void **state)
{
    struct fixture *f = *state;
    uint64_t next;

    wr(f, APIC_TIMER_DIVIDE, 0x0b);
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x40);
    wr(f, APIC_TIMER_INITIAL, 1);
    assert_int_equal(vtime_next(&f->time), 1);
    assert_int_equal(expiries(f, 1000000, 0x40), 1000000 / LAPIC_TIMER_GAP_NS);
    wr(f, APIC_TIMER_INITIAL, 3000);
    next = f->time.now + 3000;
    assert_int_equal(vtime_next(&f->time), next);
    vtime_advance(&f->time, next);
    next += 12000; /* the first multiple that is not too soon */
    assert_int_equal(vtime_next(&f->time), next);
    vtime_advance(&f->time, next - 1);
    assert_int_equal(rd(f, APIC_TIMER_COUNT), 1); /* the count shows every period */
    vtime_advance(&f->time, PC_NS_PER_S);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_LVT_TIMER, APIC_PERIODIC | 0x05); /* an illegal vector, which is an error each time */
    vtime_advance(&f->time, 2 * PC_NS_PER_S);
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0x40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_shot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_divide, setup, teardown),
        cmocka_unit_test_setup_teardown(test_periodic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_due_before_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_period, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
