/* SPDX-License-Identifier: MIT */
/* Virtual time: when timers expire, in which order, and what an expiring one may do. Moments are small numbers of ns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vtime.h"

#define TIMERS 4u
#define AGAIN_MAX 8u

struct fixture;

struct one {
    struct fixture *f;
    struct vtime_timer timer;
    char name;
    /* What it does when it expires: n times, set one of them (or stop it) for now plus a distance, or a moment. */
    struct {
        unsigned times, target;
        bool absolute;
        uint64_t due;
    } then;
};

struct fixture {
    struct vtime time;
    struct one one[TIMERS];
    char log[256];
    unsigned sooner;
};

static void expire(void *opaque, uint64_t now)
{
    struct one *one = opaque;
    struct fixture *f = one->f;
    size_t len = strlen(f->log);

    assert_false(one->timer.waiting);
    assert_true(now == vtime_now(&f->time));
    assert_true(len + 16 < sizeof(f->log));
    snprintf(f->log + len, sizeof(f->log) - len, "%s%c%u", len ? " " : "", one->name, (unsigned)now);
    if (one->then.times) {
        one->then.times--;
        vtime_set(&f->time, &f->one[one->then.target].timer, one->then.absolute ? one->then.due : now + one->then.due);
    }
}

static void sooner(void *opaque)
{
    ((struct fixture *)opaque)->sooner++;
}

static void begin(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    for (unsigned i = 0; i < TIMERS; i++) {
        f->one[i] = (struct one){.f = f, .name = (char)('a' + i)};
        f->one[i].timer.expire = expire;
        f->one[i].timer.opaque = &f->one[i];
    }
    f->time.sooner = sooner;
    f->time.opaque = f;
}

static void set(struct fixture *f, unsigned i, uint64_t due)
{
    vtime_set(&f->time, &f->one[i].timer, due);
}

static void then_in(struct fixture *f, unsigned i, unsigned times, unsigned target, uint64_t distance)
{
    f->one[i].then.times = times;
    f->one[i].then.target = target;
    f->one[i].then.due = distance;
}

static void then_at(struct fixture *f, unsigned i, unsigned times, unsigned target, uint64_t due)
{
    then_in(f, i, times, target, due);
    f->one[i].then.absolute = true;
}

static void assert_log(struct fixture *f, uint64_t now, const char *expected)
{
    f->log[0] = '\0';
    vtime_advance(&f->time, now);
    assert_string_equal(f->log, expected);
    assert_true(vtime_now(&f->time) == now);
    assert_true(pc_clock_now(vtime_clock(&f->time)) == now);
}

static void test_order(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_true(vtime_next(&f.time) == VTIME_NEVER);
    assert_log(&f, 5, "");
    set(&f, 0, 30);
    set(&f, 1, 10);
    set(&f, 2, 20);
    assert_true(vtime_next(&f.time) == 10);
    assert_log(&f, 9, "");
    assert_log(&f, 10, "b10");
    assert_log(&f, 10, "");
    assert_true(vtime_next(&f.time) == 20);
    assert_log(&f, 100, "c20 a30");
    assert_true(vtime_next(&f.time) == VTIME_NEVER);
}

static void test_equal(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    set(&f, 2, 10);
    set(&f, 0, 10);
    set(&f, 3, 9);
    set(&f, 1, 10);
    set(&f, 2, 10); /* as if it had been stopped */
    assert_log(&f, 10, "d9 a10 b10 c10");
}

static void test_stop(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    set(&f, 0, VTIME_NEVER); /* one that does not wait */
    set(&f, 0, 10);
    set(&f, 1, 10);
    set(&f, 2, 10);
    set(&f, 1, VTIME_NEVER);
    assert_false(f.one[1].timer.waiting);
    assert_log(&f, 10, "a10 c10");
    set(&f, 1, 20);
    set(&f, 1, 30);
    assert_log(&f, 29, "");
    assert_log(&f, 30, "b30");
}

/* A periodic timer keeps its phase, and others take their turns. */
static void test_again(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    then_in(&f, 0, 4, 0, 10);
    set(&f, 0, 10);
    set(&f, 1, 25);
    assert_log(&f, 45, "a10 a20 b25 a30 a40");
    assert_true(vtime_next(&f.time) == 50);
}

static void test_stop_another(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    then_at(&f, 0, 1, 1, VTIME_NEVER);
    set(&f, 0, 10);
    set(&f, 1, 10);
    set(&f, 2, 11);
    assert_log(&f, 20, "a10 c11");
    then_at(&f, 0, 1, 0, VTIME_NEVER); /* itself, which does not wait */
    set(&f, 0, 30);
    assert_log(&f, 30, "a30");
    assert_true(vtime_next(&f.time) == VTIME_NEVER);
}

/* One that an expiring timer sets or moves within the same advance expires in it, in its place. */
static void test_set_another(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    then_in(&f, 0, 1, 1, 5);
    set(&f, 0, 10);
    set(&f, 1, 100);
    set(&f, 2, 14);
    set(&f, 3, 15);
    assert_log(&f, 20, "a10 c14 d15 b15");
}

static void test_past(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_log(&f, 100, "");
    set(&f, 0, 100);
    set(&f, 1, 50);
    set(&f, 2, 0);
    assert_true(vtime_next(&f.time) == 0);
    assert_log(&f, 100, "c100 b100 a100"); /* in order, but time does not go back */
}

/* Past moments again and again: once in an advance each, and the others are not kept waiting. */
static void test_past_bounded(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    then_at(&f, 0, AGAIN_MAX, 0, 3);
    set(&f, 0, 10);
    set(&f, 1, 20);
    assert_log(&f, 30, "a10 b20");
    assert_log(&f, 30, "a30");
    set(&f, 1, 35);
    assert_log(&f, 40, "a30 b35");
    assert_true(f.one[0].then.times == AGAIN_MAX - 3);

    /* For the very moment that it is. */
    begin(&f);
    then_in(&f, 0, AGAIN_MAX, 0, 0);
    set(&f, 0, 10);
    set(&f, 1, 10);
    set(&f, 2, 11);
    assert_log(&f, 20, "a10 b10 c11");
    assert_log(&f, 21, "a20");

    /* Two that set each other. */
    begin(&f);
    then_at(&f, 0, AGAIN_MAX, 1, 0);
    then_at(&f, 1, AGAIN_MAX, 0, 0);
    set(&f, 0, 10);
    set(&f, 2, 15);
    assert_log(&f, 20, "a10 c15");
    assert_log(&f, 21, "b20");
    assert_log(&f, 22, "a21");
}

/* One that was put off is as any other after being set again. */
static void test_put_off_then_set(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    then_at(&f, 0, 1, 1, 0);
    then_at(&f, 2, 1, 1, 18);
    set(&f, 0, 10);
    set(&f, 2, 15);
    assert_log(&f, 20, "a10 c15 b18");
    assert_true(vtime_next(&f.time) == VTIME_NEVER);
}

static void test_sooner(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    set(&f, 0, 100);
    assert_int_equal(f.sooner, 1);
    set(&f, 1, 100); /* not sooner */
    set(&f, 1, 200);
    assert_int_equal(f.sooner, 1);
    set(&f, 1, 99);
    assert_int_equal(f.sooner, 2);
    set(&f, 1, VTIME_NEVER);
    set(&f, 0, 150); /* later */
    assert_int_equal(f.sooner, 2);
    f.time.sooner = NULL;
    set(&f, 0, 10);
    assert_log(&f, 10, "a10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),  cmocka_unit_test(test_equal),        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_again),  cmocka_unit_test(test_stop_another), cmocka_unit_test(test_set_another),
        cmocka_unit_test(test_past),   cmocka_unit_test(test_past_bounded), cmocka_unit_test(test_put_off_then_set),
        cmocka_unit_test(test_sooner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
