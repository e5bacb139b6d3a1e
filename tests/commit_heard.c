/* SPDX-License-Identifier: MIT */
/*
 * commit_heard.c - listeners that keep a sum of what they were told, and refuse when it is time to.
 * They are called on the only thread of the test.
 */
#include "commit_world.h"
#include "diff.h"
#include <errno.h>

/* Finalizer of splitmix64. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* kind: 0: a range, 1: coalesced, 2: an eventfd. log: of a range, the clients that are known of. */
static uint64_t fact(const struct gmem_section *section, unsigned kind, unsigned log,
                     const struct gmem_eventfd *eventfd)
{
    uint64_t x = mix((uintptr_t)section->space + kind);

    x = mix(x ^ (uintptr_t)section->region);
    x = mix(x ^ section->first);
    x = mix(x ^ section->last);
    x = mix(x ^ section->offset);
    if (kind == 0)
        x = mix(x ^ (section->attrs & ~GMEM_RANGE_LOG_MASK) ^ (uint64_t)log << 32);
    if (eventfd)
        x = mix(x ^ (eventfd->match ? eventfd->data : 0) ^ (uint64_t)eventfd->fd << 32 ^ (uint64_t)eventfd->size << 48 ^
                (uint64_t)eventfd->match << 56);
    return x;
}

/* Whether to refuse this call; else what it says counts. */
static int hear(struct gmem_listener *listener, uint64_t sum, int count)
{
    struct ear *ear = listener->opaque;
    struct world *world = ear->world;

    if (!listener->undoing && world->calls_left > 0 && --world->calls_left == 0)
        return -EIO;
    assert_true(ear->inside);
    ear->sum += sum;
    ear->count += (size_t)count;
    return 0;
}

static int on_begin(struct gmem_listener *listener)
{
    struct ear *ear = listener->opaque;
    int err;

    assert_false(ear->inside);
    ear->inside = true;
    err = hear(listener, 0, 0);
    ear->inside = !err;
    return err;
}

static int on_commit(struct gmem_listener *listener)
{
    struct ear *ear = listener->opaque;
    int err = hear(listener, 0, 0);

    ear->inside = err != 0;
    return err;
}

static int on_region_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    return hear(listener, fact(section, 0, 0, NULL), 1);
}

static int on_region_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    return hear(listener, -fact(section, 0, 0, NULL), -1);
}

static int on_nop(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)section;
    return hear(listener, 0, 0);
}

static int on_log(struct gmem_listener *listener, const struct gmem_section *section, unsigned before, unsigned after)
{
    assert_true(before != after);
    return hear(listener, fact(section, 0, after, NULL) - fact(section, 0, before, NULL), 0);
}

static int on_eventfd_add(struct gmem_listener *listener, const struct gmem_section *section,
                          const struct gmem_eventfd *eventfd)
{
    return hear(listener, fact(section, 2, 0, eventfd), 1);
}

static int on_eventfd_del(struct gmem_listener *listener, const struct gmem_section *section,
                          const struct gmem_eventfd *eventfd)
{
    return hear(listener, -fact(section, 2, 0, eventfd), -1);
}

static int on_coalesced_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    return hear(listener, fact(section, 1, 0, NULL), 1);
}

static int on_coalesced_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    return hear(listener, -fact(section, 1, 0, NULL), -1);
}

int ear_register(struct world *world, struct ear *ear, gmem_space *space, bool nop)
{
    int err;

    memset(ear, 0, sizeof(*ear));
    ear->world = world;
    ear->space = space;
    ear->listener = (struct gmem_listener){
        .struct_size = sizeof(ear->listener),
        .opaque = ear,
        .priority = (int32_t)(ear - world->ears) - 1,
        .begin = on_begin,
        .commit = on_commit,
        .region_add = on_region_add,
        .region_del = on_region_del,
        .region_nop = nop ? on_nop : NULL,
        .log_start = on_log,
        .log_stop = on_log,
        .eventfd_add = on_eventfd_add,
        .eventfd_del = on_eventfd_del,
        .coalesced_add = on_coalesced_add,
        .coalesced_del = on_coalesced_del,
    };
    err = gmem_listener_register(world->vm, space, &ear->listener);
    ear->registered = !err;
    assert_false(ear->inside);
    assert_true(ear->registered || (ear->sum == 0 && ear->count == 0));
    return err;
}

void ear_unregister(struct world *world, struct ear *ear)
{
    unsigned long calls_left = world->calls_left;

    world->calls_left = 0; /* this can't be refused */
    gmem_listener_unregister(world->vm, &ear->listener);
    world->calls_left = calls_left;
    ear->registered = false;
    assert_int_equal(ear->sum, 0);
    assert_int_equal(ear->count, 0);
}

struct account {
    gmem_space *space;
    uint64_t *sum;
    size_t *count;
};

static int account_extra(void *opaque, const struct gmem__extra *extra)
{
    const struct account *account = opaque;
    struct gmem_section section = {
        .space = account->space,
        .region = extra->region,
        .first = extra->first,
        .last = extra->last,
        .offset = extra->offset,
    };

    *account->sum += fact(&section, extra->is_eventfd ? 2 : 1, 0, extra->is_eventfd ? &extra->eventfd : NULL);
    ++*account->count;
    return 0;
}

void ear_account(gmem_space *space, const struct gmem__range *range, uint64_t *sum, size_t *count)
{
    struct account account = {space, sum, count};
    struct gmem_section section;

    gmem__range_section(range, space, &section);
    *sum += fact(&section, 0, (range->attrs & GMEM_RANGE_LOG_MASK) >> GMEM_RANGE_LOG_SHIFT, NULL);
    ++*count;
    OK(gmem__range_intervals(range, 0, account_extra, &account));
    OK(gmem__range_eventfds(range, 0, account_extra, &account));
}
