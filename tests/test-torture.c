/* SPDX-License-Identifier: MIT */
/*
 * test-torture.c - everything at once: threads that read by hints, caches, lookups and held views; writers; devices that change the
 * map, their own regions included, in their callbacks; spaces and listeners that come and go, one of which refuses at random; and vms
 * that live for a moment. What is there is in torture.h.
 *
 * A counted number of rounds, or with GMEM_TEST_LONG=1 a minute of them. Nothing is asserted about time: what is asserted holds
 * however the threads run. The sanitizers are the other half of it.
 */
#include "torture.h"
#include <time.h>
#include <unistd.h>

#define ROUNDS 2000u
#define LONG_SECONDS 60
#define CHURNERS 2u
#define FOLLOWERS 2u
#define TURNS 10000u
#define DOZES 40u

static struct {
    struct map map;
    struct actor actors[ACTORS];
    bool stop;       /* atomic */
    time_t deadline; /* 0: rounds are counted */
} torture;

static bool stopped(void)
{
    return __atomic_load_n(&torture.stop, __ATOMIC_RELAXED);
}

static void *run_reader(void *opaque)
{
    struct actor *actor = opaque;

    actor_open(actor);
    do {
        actor_look(actor);
        if (random_chance(&actor->random, 10))
            actor_own(actor);
    } while (!stopped());
    actor_close(actor);
    return NULL;
}

/* --- writers --------------------------------------------------------------------------------------------------------- */

static void turn_fronts(struct actor *actor)
{
    struct map *map = actor->map;
    unsigned k;

    if (!edited(gmem_vm_begin(map->vm)))
        return;
    for (k = 0; k < 2; k++) {
        if (gmem_region_set_enabled(map->fronts[k], random_chance(&actor->random, 50)))
            wrong("an edit in a transaction is refused");
    }
    /* Part of it, undone. */
    if (gmem_vm_begin(map->vm) || gmem_region_remove(map->board, map->fronts[0]))
        wrong("an edit in an inner transaction is refused");
    gmem_vm_abort(map->vm);
    if (random_chance(&actor->random, 20))
        gmem_vm_abort(map->vm);
    else
        (void)edited(gmem_vm_commit(map->vm));
}

static void turn_extra(struct actor *actor)
{
    struct map *map = actor->map;
    uint64_t next = map->moved + 1;

    actor_extra(actor, 3);
    __atomic_store_n(&map->moving, next, __ATOMIC_RELEASE);
    if (edited(gmem_region_set_enabled(map->extra, next % 2 != 0)))
        __atomic_store_n(&map->moved, next, __ATOMIC_RELEASE);
    else
        __atomic_store_n(&map->moving, next - 1, __ATOMIC_RELEASE);
    actor_extra(actor, 3);
}

static void turn_page(struct map *map)
{
    uint64_t next = map->turned + 1;

    __atomic_store_n(&map->turning, next, __ATOMIC_RELEASE);
    if (edited(gmem_region_set_alias(map->ledger, map->pages, next % LEDGER_PAGES * PAGE)))
        __atomic_store_n(&map->turned, next, __ATOMIC_RELEASE);
}

static void move_clutter(struct actor *actor)
{
    gmem_region *region =
        actor->map->clutter[(actor->id - READERS) % WRITERS][random_below(&actor->random, CLUTTER_COUNT)];

    switch (random_below(&actor->random, 4)) {
    case 0:
        (void)edited(gmem_region_resize(region, GMEM_SIZE((1 + random_below(&actor->random, 8)) * PAGE / 2)));
        break;
    case 1:
        (void)edited(gmem_region_set_priority(region, (int32_t)random_below(&actor->random, 4)));
        break;
    default:
        (void)edited(gmem_region_move(region, CLUTTER + random_below(&actor->random, CLUTTER_PAGES) * PAGE));
        break;
    }
}

static bool more(const struct actor *actor)
{
    return torture.deadline ? time(NULL) < torture.deadline : actor->rounds < ROUNDS;
}

static void *run_writer(void *opaque)
{
    struct actor *actor = opaque;

    actor_open(actor);
    while (more(actor)) {
        actor_look(actor);
        move_clutter(actor);
        if (actor->id == READERS) {
            turn_fronts(actor);
            turn_extra(actor);
            turn_extra(actor);
        } else {
            turn_page(actor->map);
            turn_page(actor->map);
        }
        actor_own(actor);
    }
    actor_close(actor);
    return NULL;
}

/* --- spaces and listeners -------------------------------------------------------------------------------------------- */

/* Whatever it hears, the ranges that it knows are all there are when it hears commit. */
struct ear {
    struct gmem_listener listener;
    struct actor *actor;
    uint64_t covered; /* bytes of ranges known; only with the writer turn, like random */
    struct random random;
};

static int hear_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct ear *ear = listener->opaque;

    ear->covered += section->last - section->first + 1;
    return 0;
}

static int hear_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct ear *ear = listener->opaque;

    ear->covered -= section->last - section->first + 1;
    return 0;
}

static int hear_commit(struct gmem_listener *listener)
{
    struct ear *ear = listener->opaque;
    uint64_t value = 0;

    if (ear->covered % SIZE)
        wrong("a listener does not know all ranges, or knows too many");
    if (gmem_ld64_native(ear->actor->map->spaces[0], 0x100, GMEM_ATTRS_NONE, &value) != GMEM_OK || value != BASE_TAG)
        wrong("a listener does not see what is always there");
    return 0;
}

static int refuse(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct ear *ear = listener->opaque;

    (void)section;
    return random_chance(&ear->random, 5) ? -EIO : 0;
}

static struct ear ear_of(struct actor *actor, bool refuses)
{
    struct ear ear = {.listener = {.struct_size = sizeof(ear.listener)}, .actor = actor};

    ear.listener.region_add = refuses ? refuse : hear_add;
    ear.listener.region_del = refuses ? refuse : hear_del;
    ear.listener.commit = refuses ? NULL : hear_commit;
    ear.listener.priority = (int32_t)random_below(&actor->random, 3);
    ear.random.state = random_u64(&actor->random);
    return ear;
}

/* A space of its own, which ends while its views are held and its regions go on. */
static void try_space(struct actor *actor)
{
    struct map *map = actor->map;
    gmem_region *const roots[] = {map->board, map->roots[0], map->roots[1], map->base};
    struct gmem_cache cache;
    gmem_space *space = NULL;
    gmem_view *view;
    uint64_t value = 0;
    struct ear ear = ear_of(actor, false);
    int i;

    if (!edited(gmem_space_create(map->vm, "another", roots[random_below(&actor->random, 4)], NULL, &space)))
        return;
    if (gmem_cache_init(&cache, space, 0, SIZE, GMEM_ATTRS_NONE))
        wrong("a cache is refused");
    ear.listener.opaque = &ear;
    if (gmem_listener_register(map->vm, space, &ear.listener))
        wrong("a listener is refused");
    for (i = 0; i < 4; i++) {
        if (gmem_ld64_native(space, 0x100, GMEM_ATTRS_NONE, &value) != GMEM_OK || value != BASE_TAG)
            wrong("another space does not see what is always there");
        if (gmem_cache_ld64_native(&cache, 0x100, &value) != GMEM_OK || value != BASE_TAG)
            wrong("a cache of another space does not see what is always there");
        actor_look(actor);
    }
    view = gmem_space_view(space);
    if (random_chance(&actor->random, 50))
        gmem_listener_unregister(map->vm, &ear.listener);
    gmem_space_destroy(space);
    gmem_cache_end(&cache);
    gmem_view_unref(view);
    if (ear.covered != 0)
        wrong("a listener that is gone knows of ranges");
}

/* Whether a commit was refused yet; each of its own may be. */
static bool refused(const struct map *map)
{
    struct gmem_vm_stats stats;

    gmem_vm_stats(map->vm, &stats);
    return stats.commits_refused > 0;
}

static void *run_registrar(void *opaque)
{
    struct actor *actor = opaque;
    struct ear all, refuser;
    bool hears, refuses;

    actor_open(actor);
    do {
        all = ear_of(actor, false);
        all.listener.opaque = &all;
        refuser = ear_of(actor, true);
        refuser.listener.opaque = &refuser;
        hears = edited(gmem_listener_register(actor->map->vm, NULL, &all.listener));
        refuses = edited(gmem_listener_register(
            actor->map->vm, random_chance(&actor->random, 50) ? NULL : actor->map->spaces[1], &refuser.listener));
        if (!hears)
            wrong("a listener that never refuses is refused");
        try_space(actor);
        actor_own(actor);
        if (refuses)
            gmem_listener_unregister(actor->map->vm, &refuser.listener);
        try_space(actor);
        gmem_listener_unregister(actor->map->vm, &all.listener);
        if (all.covered != 0)
            wrong("a listener that is gone knows of ranges");
    } while (!stopped() || !refused(actor->map));
    actor_close(actor);
    return NULL;
}

/* --------------------------------------------------------------------------------------------------------------------- */

static void start(pthread_t *thread, void *(*run)(void *), void *opaque)
{
    assert_int_equal(pthread_create(thread, NULL, run, opaque), 0);
}

static void join(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *(*role(unsigned id))(void *)
{
    if (id < READERS)
        return run_reader;
    return id < READERS + WRITERS ? run_writer : run_registrar;
}

static void torture_start(const char *what, uint64_t seed)
{
    struct random random = random_start(what, seed);
    unsigned i;

    memset(&torture, 0, sizeof(torture));
    for (i = 0; i < ACTORS; i++) {
        torture.actors[i].map = &torture.map;
        torture.actors[i].id = i;
        torture.actors[i].random.state = random_u64(&random);
    }
    map_make(&torture.map, torture.actors);
}

static void torture_stop(void)
{
    __atomic_store_n(&torture.stop, true, __ATOMIC_RELAXED);
}

static void torture_end(void)
{
    if (what_was_wrong())
        fail_msg("%s", what_was_wrong());
    map_end(&torture.map, torture.actors);
}

/* A to L, but for J, of docs/concurrency.md: G1, G2, G3, G6, G7. */
static void test_everything_at_once(void **state)
{
    const char *long_run = getenv("GMEM_TEST_LONG");
    pthread_t churners[CHURNERS];
    struct gmem_vm_stats stats;
    unsigned i;

    (void)state;
    torture_start("torture", 1);
    if (long_run && *long_run && strcmp(long_run, "0") != 0)
        torture.deadline = time(NULL) + LONG_SECONDS;
    for (i = 0; i < ACTORS; i++)
        start(&torture.actors[i].thread, role(i), &torture.actors[i]);
    for (i = 0; i < CHURNERS; i++)
        start(&churners[i], short_lived_vms, &torture.stop);
    for (i = READERS; i < READERS + WRITERS; i++)
        join(torture.actors[i].thread);
    torture_stop();
    for (i = 0; i < READERS; i++)
        join(torture.actors[i].thread);
    join(torture.actors[ACTORS - 1].thread);
    for (i = 0; i < CHURNERS; i++)
        join(churners[i]);
    gmem_vm_stats(torture.map.vm, &stats);
    printf("# torture: %llu commits, %llu refused, %lu calls of nomads, %llu pages turned\n",
           (unsigned long long)stats.commits, (unsigned long long)stats.commits_refused, torture.map.calls,
           (unsigned long long)torture.map.turned);
    assert_true(stats.commits_refused > 0);
    assert_true(torture.map.calls > 0);
    for (i = 0; i < ACTORS; i++)
        assert_true(torture.actors[i].rounds > 0);
    torture_end();
}

/* --- one thing at a time, where a moment matters ---------------------------------------------------------------------- */

static void *follow_ledger(void *opaque)
{
    struct actor *actor = opaque;

    actor_open(actor);
    for (; !stopped(); __atomic_fetch_add(&actor->rounds, 1, __ATOMIC_RELAXED))
        actor_ledger(actor);
    actor_close(actor);
    return NULL;
}

static void *follow_extra(void *opaque)
{
    struct actor *actor = opaque;

    for (; !stopped(); __atomic_fetch_add(&actor->rounds, 1, __ATOMIC_RELAXED))
        actor_translate(actor);
    return NULL;
}

static void *follow_dens(void *opaque)
{
    struct actor *actor = opaque;

    actor_open(actor);
    for (; !stopped(); __atomic_fetch_add(&actor->rounds, 1, __ATOMIC_RELAXED))
        actor_doze(actor);
    actor_close(actor);
    return NULL;
}

static void start_followers(void *(*run)(void *))
{
    unsigned i;

    for (i = 0; i < FOLLOWERS; i++)
        start(&torture.actors[i].thread, run, &torture.actors[i]);
    for (i = 0; i < FOLLOWERS; i++) {
        while (!__atomic_load_n(&torture.actors[i].rounds, __ATOMIC_RELAXED))
            usleep(100);
    }
}

static void join_followers(void)
{
    unsigned i;

    torture_stop();
    for (i = 0; i < FOLLOWERS; i++)
        join(torture.actors[i].thread);
}

/* C, D: who saw what a commit publishes, even before that returned, never sees by another way what was there before. */
static void test_no_way_back(void **state)
{
    unsigned i;

    (void)state;
    torture_start("ledger", 2);
    start_followers(follow_ledger);
    for (i = 0; i < TURNS; i++)
        turn_page(&torture.map);
    join_followers();
    torture_end();
}

/* C: a window that is made just when a space leaves the view that it shares is not one on that view. */
static void test_spaces_leave(void **state)
{
    struct actor *writer = &torture.actors[FOLLOWERS];
    unsigned i;

    (void)state;
    torture_start("extra", 3);
    actor_open(writer);
    start_followers(follow_extra);
    for (i = 0; i < TURNS; i++)
        turn_extra(writer);
    actor_close(writer);
    join_followers();
    torture_end();
}

/* G, H: what a window or a hint is on is neither freed nor changed while it may be read; nobody holds a view that keeps it. */
static void test_dens_go(void **state)
{
    struct random random = {4};
    unsigned i;

    (void)state;
    torture_start("dens", 4);
    start_followers(follow_dens);
    for (i = 0; i < FOLLOWERS; i++) {
        while (__atomic_load_n(&torture.actors[i].rounds, __ATOMIC_RELAXED) < DOZES) {
            uint64_t home = random_below(&random, HOMES);

            /* It leaves, and another comes. */
            (void)gmem_st32_native(torture.map.spaces[0], NOMADS + home * PAGE, GMEM_ATTRS_NONE,
                                   (uint32_t)random_below(&random, HOMES) * 8);
            usleep(500);
        }
    }
    join_followers();
    torture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_way_back),
        cmocka_unit_test(test_spaces_leave),
        cmocka_unit_test(test_dens_go),
        cmocka_unit_test(test_everything_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
