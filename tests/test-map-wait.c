/* SPDX-License-Identifier: MIT */
/*
 * test-map-wait.c - waiting for a bounce buffer: who is called, when, how often, and who is not; maps while others remap.
 *
 * Counted rounds, no timing: what is asserted holds however the threads run. ThreadSanitizer is the other half of it.
 */
#include "support.h"
#include "access_world.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#define NONE GMEM_ATTRS_NONE
#define BUFFERS 2u
#define WAITERS 4u

struct waiting;

struct device {
    struct waiting *of;
    struct gmem_map_waiter waiter;
    unsigned calls;
    bool maps;   /* from its callback */
    bool again;  /* waits again from it, once */
    bool unmaps; /* what it mapped, from it */
    struct gmem_map map;
    const struct device *cancels; /* from its callback */
};

struct waiting {
    struct world world;
    struct gmem_map maps[BUFFERS];
    struct device devices[WAITERS];
    unsigned depth;
    char order[64]; /* who was called, a letter each */
};

static int map_nothing(struct waiting *waiting, struct gmem_map *map)
{
    return gmem_map(waiting->world.space, 0x5000, NONE, 8, true, map);
}

static void called(void *opaque)
{
    struct device *device = opaque;
    struct waiting *of = device->of;
    char name[2] = {(char)('a' + (device - of->devices)), 0};

    assert_int_equal(of->depth++, 0);
    device->calls++;
    strncat(of->order, name, sizeof(of->order) - strlen(of->order) - 1);
    if (device->maps)
        OK(map_nothing(of, &device->map));
    if (device->again) {
        device->again = false;
        OK(gmem_map_wait(of->world.space, &device->waiter));
        REFUSED(EBUSY, gmem_map_wait(of->world.space, &device->waiter));
    }
    if (device->unmaps)
        assert_int_equal(gmem_unmap(&device->map, 0), GMEM_OK);
    if (device->cancels)
        assert_true(gmem_map_wait_cancel(of->world.space, (struct gmem_map_waiter *)&device->cancels->waiter));
    of->depth--;
}

/* A space that shows nothing and has all of its BUFFERS mapped. */
static void waiting_open(struct waiting *waiting)
{
    struct gmem_space_options options = {.struct_size = sizeof(options), .bounce_buffers = BUFFERS};
    unsigned i;

    memset(waiting, 0, sizeof(*waiting));
    OK(gmem_vm_create(NULL, &waiting->world.vm));
    OK(gmem_region_create_container(waiting->world.vm, "root", GMEM_SIZE_ALL, NULL, &waiting->world.root));
    OK(gmem_space_create(waiting->world.vm, "space", waiting->world.root, &options, &waiting->world.space));
    for (i = 0; i < BUFFERS; i++)
        OK(map_nothing(waiting, &waiting->maps[i]));
    for (i = 0; i < WAITERS; i++) {
        waiting->devices[i].of = waiting;
        waiting->devices[i].waiter.fn = called;
        waiting->devices[i].waiter.opaque = &waiting->devices[i];
    }
}

static void waiting_close(struct waiting *waiting)
{
    world_close(&waiting->world);
}

static void wait_all(struct waiting *waiting)
{
    unsigned i;

    for (i = 0; i < WAITERS; i++)
        OK(gmem_map_wait(waiting->world.space, &waiting->devices[i].waiter));
}

static void unmap(struct waiting *waiting, unsigned i)
{
    assert_int_equal(gmem_unmap(&waiting->maps[i], 0), GMEM_OK);
}

/* --- one thread ---------------------------------------------------------------------------------------------------- */

static void bad_arguments(void **state)
{
    struct gmem_map_waiter waiter = {0};
    struct waiting waiting;

    (void)state;
    waiting_open(&waiting);
    REFUSED(EINVAL, gmem_map_wait(NULL, &waiting.devices[0].waiter));
    REFUSED(EINVAL, gmem_map_wait(waiting.world.space, NULL));
    REFUSED(EINVAL, gmem_map_wait(waiting.world.space, &waiter));
    OK(gmem_map_wait(waiting.world.space, &waiting.devices[0].waiter));
    REFUSED(EBUSY, gmem_map_wait(waiting.world.space, &waiting.devices[0].waiter));
    assert_false(gmem_map_wait_cancel(NULL, &waiting.devices[0].waiter));
    assert_false(gmem_map_wait_cancel(waiting.world.space, NULL));
    unmap(&waiting, 0);
    assert_string_equal(waiting.order, "a");
    unmap(&waiting, 1);
    waiting_close(&waiting);
}

static void called_at_once_if_one_is_free(void **state)
{
    struct waiting waiting;

    (void)state;
    waiting_open(&waiting);
    unmap(&waiting, 1);
    OK(gmem_map_wait(waiting.world.space, &waiting.devices[0].waiter));
    assert_string_equal(waiting.order, "a");
    unmap(&waiting, 0);
    assert_string_equal(waiting.order, "a");
    waiting_close(&waiting);
}

/* Each takes what is free: one is called for each that is freed. */
static void called_in_order_one_for_each(void **state)
{
    struct waiting waiting;
    unsigned i;

    (void)state;
    waiting_open(&waiting);
    for (i = 0; i < WAITERS; i++)
        waiting.devices[i].maps = true;
    wait_all(&waiting);
    assert_string_equal(waiting.order, "");
    unmap(&waiting, 0);
    assert_string_equal(waiting.order, "a");
    unmap(&waiting, 1);
    assert_string_equal(waiting.order, "ab");
    for (i = 0; i < WAITERS; i++)
        assert_int_equal(gmem_unmap(&waiting.devices[i].map, 0), GMEM_OK);
    assert_string_equal(waiting.order, "abcd");
    waiting_close(&waiting);
}

/* Those who are called and take nothing stand in nobody's way. */
static void what_is_left_is_handed_on(void **state)
{
    struct waiting waiting;

    (void)state;
    waiting_open(&waiting);
    waiting.devices[2].maps = true;
    wait_all(&waiting);
    unmap(&waiting, 0);
    assert_string_equal(waiting.order, "abc");
    assert_int_equal(gmem_unmap(&waiting.devices[2].map, 0), GMEM_OK);
    assert_string_equal(waiting.order, "abcd");
    unmap(&waiting, 1);
    assert_string_equal(waiting.order, "abcd");
    waiting_close(&waiting);
}

/* called() checks that its calls are not in each other. */
static void nothing_recurses(void **state)
{
    struct waiting waiting;
    unsigned i;

    (void)state;
    waiting_open(&waiting);
    for (i = 0; i < WAITERS; i++) {
        waiting.devices[i].maps = true;
        waiting.devices[i].again = i % 2 == 0;
        waiting.devices[i].unmaps = true;
    }
    wait_all(&waiting);
    unmap(&waiting, 0);
    assert_string_equal(waiting.order, "abcdac");
    unmap(&waiting, 1);
    waiting_close(&waiting);
}

static void cancelled(void **state)
{
    struct waiting waiting;
    gmem_space *space;

    (void)state;
    waiting_open(&waiting);
    space = waiting.world.space;
    assert_false(gmem_map_wait_cancel(space, &waiting.devices[0].waiter)); /* it never waited */
    wait_all(&waiting);
    assert_true(gmem_map_wait_cancel(space, &waiting.devices[3].waiter)); /* last, middle, first */
    assert_true(gmem_map_wait_cancel(space, &waiting.devices[1].waiter));
    assert_true(gmem_map_wait_cancel(space, &waiting.devices[0].waiter));
    assert_false(gmem_map_wait_cancel(space, &waiting.devices[0].waiter));
    OK(gmem_map_wait(space, &waiting.devices[0].waiter));
    unmap(&waiting, 0);
    assert_string_equal(waiting.order, "ca");
    assert_false(gmem_map_wait_cancel(space, &waiting.devices[2].waiter)); /* it was called */
    unmap(&waiting, 1);
    waiting_close(&waiting);
}

static void cancelled_by_a_call(void **state)
{
    struct waiting waiting;

    (void)state;
    waiting_open(&waiting);
    waiting.devices[0].cancels = &waiting.devices[1];
    /* Itself, which it waits as again: does not wait for its own call. */
    waiting.devices[2].again = true;
    waiting.devices[2].cancels = &waiting.devices[2];
    wait_all(&waiting);
    unmap(&waiting, 0);
    assert_string_equal(waiting.order, "acd");
    unmap(&waiting, 1);
    waiting_close(&waiting);
}

static void free_waiter(void *opaque)
{
    free(opaque);
}

static void a_call_may_free_its_waiter(void **state)
{
    struct gmem_map_waiter *waiter = calloc(1, sizeof(*waiter));
    struct waiting waiting;

    (void)state;
    assert_non_null(waiter);
    waiting_open(&waiting);
    waiter->fn = free_waiter;
    waiter->opaque = waiter;
    OK(gmem_map_wait(waiting.world.space, waiter));
    wait_all(&waiting);
    unmap(&waiting, 0);
    assert_string_equal(waiting.order, "abcd");
    unmap(&waiting, 1);
    waiting_close(&waiting);
}

/* --- threads ------------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define TRANSFERS 1500

struct transfers {
    struct waiting waiting;
    unsigned held;     /* atomic: buffers mapped */
    unsigned too_many; /* atomic */
    unsigned waited;   /* atomic */
    const char *wrong; /* atomic */
};

static void post(void *opaque)
{
    sem_post(opaque);
}

/* Each transfer needs a buffer, and there are fewer than threads. A wakeup that is lost hangs the test. */
static const char *transfer_all(struct transfers *transfers)
{
    gmem_space *space = transfers->waiting.world.space;
    struct gmem_map_waiter waiter = {.fn = post};
    struct gmem_map map;
    bool cancelled;
    sem_t sem;
    int i;

    sem_init(&sem, 0, 0);
    waiter.opaque = &sem;
    for (i = 0; i < TRANSFERS; i++) {
        cancelled = false;
        while (map_nothing(&transfers->waiting, &map) == -EAGAIN) {
            __atomic_fetch_add(&transfers->waited, 1, __ATOMIC_RELAXED);
            if (gmem_map_wait(space, &waiter))
                return "it waits already";
            /* Now and then it thinks better of it. */
            if (i % 16 == 0 && !cancelled) {
                cancelled = gmem_map_wait_cancel(space, &waiter);
                if (cancelled)
                    continue;
            }
            while (sem_wait(&sem))
                ;
        }
        if (__atomic_add_fetch(&transfers->held, 1, __ATOMIC_RELAXED) > BUFFERS)
            __atomic_fetch_add(&transfers->too_many, 1, __ATOMIC_RELAXED);
        memset(map.host, i, map.size);
        sched_yield(); /* so that the others come to want one too */
        __atomic_fetch_sub(&transfers->held, 1, __ATOMIC_RELAXED);
        if (gmem_unmap(&map, map.size) != GMEM_RESULT_DECODE)
            return "a write to nothing decoded";
    }
    sem_destroy(&sem);
    return NULL;
}

static void *transfer(void *opaque)
{
    struct transfers *transfers = opaque;
    const char *wrong = transfer_all(transfers);

    if (wrong)
        __atomic_store_n(&transfers->wrong, wrong, __ATOMIC_RELAXED);
    return NULL;
}

static void threads_wait_for_each_other(void **state)
{
    struct transfers transfers = {0};
    pthread_t threads[THREADS];
    int i;

    (void)state;
    waiting_open(&transfers.waiting);
    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, transfer, &transfers), 0);
    while (__atomic_load_n(&transfers.waited, __ATOMIC_RELAXED) < THREADS)
        sched_yield();
    unmap(&transfers.waiting, 0);
    unmap(&transfers.waiting, 1);
    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    if (transfers.wrong)
        fail_msg("%s", transfers.wrong);
    assert_int_equal(transfers.too_many, 0);
    printf("# waited %u times for %d transfers\n", transfers.waited, THREADS * TRANSFERS);
    waiting_close(&transfers.waiting);
}

struct slow {
    struct waiting waiting;
    struct gmem_map_waiter waiter;
    sem_t entered;
    bool go, left; /* atomic */
};

static void slow_call(void *opaque)
{
    struct slow *slow = opaque;

    sem_post(&slow->entered);
    while (!__atomic_load_n(&slow->go, __ATOMIC_ACQUIRE))
        sched_yield();
    __atomic_store_n(&slow->left, true, __ATOMIC_RELEASE);
}

static void *unmap_first(void *opaque)
{
    struct slow *slow = opaque;

    unmap(&slow->waiting, 0);
    return NULL;
}

static void *let_go(void *opaque)
{
    struct slow *slow = opaque;
    int i;

    for (i = 0; i < 1000; i++)
        sched_yield();
    __atomic_store_n(&slow->go, true, __ATOMIC_RELEASE);
    return NULL;
}

/* What the call uses may be freed as soon as it is cancelled. */
static void cancel_waits_for_a_running_call(void **state)
{
    pthread_t unmaps, lets_go;
    struct slow *slow;
    int i;

    (void)state;
    for (i = 0; i < 20; i++) {
        slow = calloc(1, sizeof(*slow));
        assert_non_null(slow);
        waiting_open(&slow->waiting);
        slow->waiter.fn = slow_call;
        slow->waiter.opaque = slow;
        sem_init(&slow->entered, 0, 0);
        OK(gmem_map_wait(slow->waiting.world.space, &slow->waiter));
        assert_int_equal(pthread_create(&unmaps, NULL, unmap_first, slow), 0);
        while (sem_wait(&slow->entered))
            ;
        assert_int_equal(pthread_create(&lets_go, NULL, let_go, slow), 0);
        assert_false(gmem_map_wait_cancel(slow->waiting.world.space, &slow->waiter));
        assert_true(__atomic_load_n(&slow->left, __ATOMIC_ACQUIRE));
        assert_int_equal(pthread_join(lets_go, NULL), 0);
        assert_int_equal(pthread_join(unmaps, NULL), 0);
        unmap(&slow->waiting, 1);
        waiting_close(&slow->waiting);
        sem_destroy(&slow->entered);
        free(slow);
    }
}

/* --- remapping ----------------------------------------------------------------------------------------------------- */

#define REMAPS 300
#define MAPPERS 2

struct remapped {
    struct world world;
    bool stop;           /* atomic */
    unsigned next;       /* atomic: number of the next mapper */
    unsigned long found; /* atomic: maps and pieces that were RAM */
    const char *wrong;   /* atomic */
};

static void use(struct remapped *remapped, void *host, uint64_t size, unsigned mapper)
{
    if (!host || size < 64u * MAPPERS)
        return;
    memset((char *)host + mapper * 64u, 1, 64);
    __atomic_fetch_add(&remapped->found, 1, __ATOMIC_RELAXED);
}

/* Maps of RAM that comes and goes: the sanitizers look. */
static void *map_what_is_there(void *opaque)
{
    struct remapped *remapped = opaque;
    unsigned mapper = __atomic_fetch_add(&remapped->next, 1, __ATOMIC_RELAXED);
    gmem_space *space = remapped->world.space;
    struct gmem_segment pieces[3];
    struct gmem_map map;
    uint64_t covered;
    size_t count, i;

    while (!__atomic_load_n(&remapped->stop, __ATOMIC_RELAXED)) {
        if (gmem_map(space, 0x1000, NONE, 0x1000, true, &map)) {
            __atomic_store_n(&remapped->wrong, "a map was refused", __ATOMIC_RELAXED);
            break;
        }
        if (!map.bounced)
            use(remapped, map.host, map.size, mapper);
        (void)gmem_unmap(&map, map.size);
        if (gmem_segments(space, 0, NONE, 0x3000, true, pieces, 3, &count, &covered) || covered != 0x3000) {
            __atomic_store_n(&remapped->wrong, "three pieces were not found", __ATOMIC_RELAXED);
            break;
        }
        for (i = 0; i < count; i++)
            use(remapped, pieces[i].host, pieces[i].size, mapper);
        gmem_segments_release(pieces, count, covered);
    }
    return NULL;
}

static void mapped_while_others_remap(void **state)
{
    struct remapped remapped = {0};
    pthread_t threads[MAPPERS];
    unsigned long found;
    unsigned i;

    (void)state;
    world_open(&remapped.world);
    for (i = 0; i < MAPPERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, map_what_is_there, &remapped), 0);
    for (i = 0; i < REMAPS; i++) {
        gmem_region *region = NULL;
        char id[16];

        /* Blocks of before may be mapped still, or wait to be freed. */
        snprintf(id, sizeof(id), "ram%u", i);
        region = world_memory(&remapped.world, GMEM_KIND_RAM, id, 0x1000, NULL, NULL, NULL);

        world_place(&remapped.world, region, 0x1000);
        OK(gmem_region_set_log(region, i % GMEM_LOG_CLIENTS, true));
        /* Some of them are found before they go. */
        found = __atomic_load_n(&remapped.found, __ATOMIC_RELAXED);
        while (i % 16 == 0 && !__atomic_load_n(&remapped.wrong, __ATOMIC_RELAXED) &&
               __atomic_load_n(&remapped.found, __ATOMIC_RELAXED) == found)
            sched_yield();
        OK(gmem_region_remove(remapped.world.root, region));
        gmem_region_unref(region);
    }
    __atomic_store_n(&remapped.stop, true, __ATOMIC_RELAXED);
    for (i = 0; i < MAPPERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    if (remapped.wrong)
        fail_msg("%s", remapped.wrong);
    world_close(&remapped.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(called_at_once_if_one_is_free),
        cmocka_unit_test(called_in_order_one_for_each),
        cmocka_unit_test(what_is_left_is_handed_on),
        cmocka_unit_test(nothing_recurses),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(cancelled_by_a_call),
        cmocka_unit_test(a_call_may_free_its_waiter),
        cmocka_unit_test(threads_wait_for_each_other),
        cmocka_unit_test(cancel_waits_for_a_running_call),
        cmocka_unit_test(mapped_while_others_remap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
