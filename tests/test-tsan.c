/* SPDX-License-Identifier: MIT */
/*
 * test-tsan.c - that ThreadSanitizer sees a race through src/rcu.h, and none where there is none: what "clean under TSan" means.
 *
 * The program runs itself again for each way of publishing, reading and freeing, the right ones and the wrong ones. The threads keep
 * an order of their own by flags that order no memory, so that the report does not depend on how they run.
 */
#include "support.h"
#include "rcu.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORTED 66 /* exit status of a program that had a report */

struct thing {
    struct gmem__rcu_head rcu;
    unsigned long value;
};

enum way {
    RIGHT,
    PLAIN_STORE,   /* published without gmem__rcu_set() */
    NO_DEFER,      /* changed without gmem__rcu_defer() while a reader may have it */
    AFTER_SECTION, /* read when the read section has ended */
};

static struct {
    enum way way;
    struct thing *published;
    bool has_read; /* atomic, relaxed: orders nothing */
    bool ended;
} world;

static void say(bool *flag)
{
    __atomic_store_n(flag, true, __ATOMIC_RELAXED);
}

static void await(const bool *flag)
{
    while (!__atomic_load_n(flag, __ATOMIC_RELAXED))
        usleep(100);
}

static void *reader(void *opaque)
{
    struct thing *found;
    unsigned long value = 0;

    (void)opaque;
    do {
        gmem__rcu_enter();
        found = gmem__rcu_get(world.published);
        if (found && world.way != AFTER_SECTION)
            value = found->value;
        gmem__rcu_leave();
    } while (!found);
    if (world.way == AFTER_SECTION)
        value = found->value;
    say(&world.has_read);
    await(&world.ended);
    return value == 1 ? NULL : opaque;
}

static void end_thing(struct gmem__rcu_head *head)
{
    ((struct thing *)(void *)head)->value = 2;
    say(&world.ended);
}

/* In a process of its own: publish a thing, wait until it has been read, and end it. */
static int run(enum way way)
{
    static struct thing thing;
    void *wrong = NULL;
    pthread_t thread;

    world.way = way;
    if (pthread_create(&thread, NULL, reader, &world))
        return 1;
    thing.value = 1;
    if (way == PLAIN_STORE)
        *(struct thing *volatile *)&world.published = &thing;
    else
        gmem__rcu_set(world.published, &thing);
    await(&world.has_read);
    gmem__rcu_set(world.published, NULL);
    if (way == NO_DEFER)
        end_thing(&thing.rcu);
    else
        gmem__rcu_defer(&thing.rcu, end_thing);
    (void)pthread_join(thread, &wrong);
    gmem__rcu_barrier();
    return wrong ? 1 : 0;
}

/* Its exit status, and whether it had a data race to report. */
static int status_of(enum way way, bool *ret_race)
{
    char number[2] = {(char)('0' + way), 0}, output[4096];
    size_t length = 0;
    int ends[2], status = 0;
    ssize_t got;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)setenv("TSAN_OPTIONS", "exitcode=66 atexit_sleep_ms=0", 1);
        execl("/proc/self/exe", "test-tsan", number, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    /* All of it is read, so that the child does not stop; the beginning is kept. */
    do {
        char rest[512];
        size_t room = sizeof(output) - 1 - length;

        got = read(ends[0], rest, sizeof(rest));
        if (got > 0) {
            size_t kept = (size_t)got < room ? (size_t)got : room;

            memcpy(output + length, rest, kept);
            length += kept;
        }
    } while (got > 0);
    output[length] = 0;
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    *ret_race = strstr(output, "WARNING: ThreadSanitizer: data race") != NULL;
    return WEXITSTATUS(status);
}

static void check(enum way way, int expected)
{
    bool race = false;

    assert_int_equal(status_of(way, &race), expected);
    assert_int_equal(race, expected == REPORTED);
}

static void test_right(void **state)
{
    (void)state;
    check(RIGHT, 0);
}

static void test_plain_store(void **state)
{
    (void)state;
    check(PLAIN_STORE, REPORTED);
}

static void test_no_defer(void **state)
{
    (void)state;
    check(NO_DEFER, REPORTED);
}

static void test_after_section(void **state)
{
    (void)state;
    check(AFTER_SECTION, REPORTED);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_plain_store),
        cmocka_unit_test(test_no_defer),
        cmocka_unit_test(test_after_section),
    };

    if (argc == 2)
        return run((enum way)(argv[1][0] - '0'));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
