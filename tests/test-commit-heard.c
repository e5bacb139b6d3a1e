/* SPDX-License-Identifier: MIT */
/*
 * test-commit-heard.c - random machines under random edits: after every commit, also a refused one,
 * each space shows what rendering its whole root gives, and a listener of all spaces knows exactly
 * that, with every eventfd, coalesced interval and dirty log. It refuses at any call. Spaces come
 * and go; views held meanwhile stay as they were.
 */
#include "diff.h"
#include "random.h"
#include "render.h"
#include "space.h"
#include "support.h"
#include <errno.h>

#define BOXES 40u
#define FIXED_BOXES 8u /* that are seldom edited */
#define ALIASES 60u
#define LEAVES_MAX 1500u
#define SPACES 12u
#define HELD 10u
#define RAM_SIZE 0x4000u
#define FDS 4u

/* What a listener knows: one line for a range, an eventfd or a coalesced interval. No padding. */
struct fact {
    gmem_space *space;
    gmem_region *region;
    uint64_t first, last, offset;
    uint64_t kind;  /* 0: a range, 1: coalesced, 2: an eventfd */
    uint64_t attrs; /* of a range */
    uint64_t data, fd, size, match;
};

struct facts {
    struct fact *items;
    size_t count, room;
};

struct held {
    gmem_view *view;
    struct gmem__ranges ranges;
};

struct world {
    struct random random;
    gmem_vm *vm;
    gmem_region *box[BOXES];
    gmem_region *leaf[LEAVES_MAX];
    gmem_region *alias[ALIASES];
    size_t leaves;
    uint64_t spread;           /* boxes are about this many bytes */
    gmem_space *space[SPACES]; /* NULL: none */
    struct gmem_listener listener;
    struct facts heard;
    unsigned long calls_left; /* the call that refuses; 0: none does */
    bool in_commit;
    struct held held[HELD];
};

/* --- what is heard --- */

static struct fact fact_of(const struct gmem_section *section, uint64_t kind, const struct gmem_eventfd *eventfd)
{
    struct fact fact = {
        .space = section->space,
        .region = section->region,
        .first = section->first,
        .last = section->last,
        .offset = section->offset,
        .kind = kind,
    };

    if (kind == 0)
        fact.attrs = section->attrs & ~GMEM_RANGE_LOG_MASK; /* log_start and log_stop say that */
    if (eventfd) {
        fact.data = eventfd->match ? eventfd->data : 0;
        fact.fd = (uint64_t)eventfd->fd;
        fact.size = eventfd->size;
        fact.match = eventfd->match;
    }
    return fact;
}

static int compare_facts(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct fact));
}

static void facts_add(struct facts *facts, const struct fact *fact)
{
    OK(gmem__grow((void **)&facts->items, &facts->room, facts->count + 1, sizeof(*facts->items)));
    facts->items[facts->count++] = *fact;
}

static struct fact *facts_find(struct facts *facts, const struct fact *fact, uint64_t attrs_mask)
{
    /* What was heard last is most likely to be asked for. */
    for (size_t i = facts->count; i-- > 0;) {
        struct fact known = facts->items[i];

        known.attrs &= attrs_mask;
        if (memcmp(&known, fact, sizeof(known)) == 0)
            return &facts->items[i];
    }
    fail_msg("never heard of %s at 0x%llx", gmem_region_name(fact->region), (unsigned long long)fact->first);
    return NULL;
}

static int refuse_now(struct world *world, const struct gmem_listener *listener)
{
    return !listener->undoing && world->calls_left > 0 && --world->calls_left == 0 ? -EIO : 0;
}

static int know(struct gmem_listener *listener, const struct fact *fact)
{
    struct world *world = listener->opaque;
    int err = refuse_now(world, listener);

    assert_true(world->in_commit);
    if (!err)
        facts_add(&world->heard, fact);
    return err;
}

static int forget(struct gmem_listener *listener, const struct fact *fact)
{
    struct world *world = listener->opaque;
    int err = refuse_now(world, listener);

    assert_true(world->in_commit);
    if (!err)
        *facts_find(&world->heard, fact, ~0u) = world->heard.items[world->heard.count - 1];
    world->heard.count -= !err;
    return err;
}

static int on_begin(struct gmem_listener *listener)
{
    struct world *world = listener->opaque;
    int err = refuse_now(world, listener);

    assert_false(world->in_commit);
    world->in_commit = !err;
    return err;
}

static int on_commit(struct gmem_listener *listener)
{
    struct world *world = listener->opaque;
    int err = refuse_now(world, listener);

    assert_true(world->in_commit);
    world->in_commit = err != 0;
    return err;
}

static int on_region_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct fact fact = fact_of(section, 0, NULL);

    return know(listener, &fact);
}

static int on_region_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct fact fact = fact_of(section, 0, NULL);

    return forget(listener, &fact);
}

static int on_log(struct gmem_listener *listener, const struct gmem_section *section, unsigned before, unsigned after)
{
    struct world *world = listener->opaque;
    struct fact fact = fact_of(section, 0, NULL), *known;
    int err = refuse_now(world, listener);

    assert_true(before != after);
    if (err)
        return err;
    known = facts_find(&world->heard, &fact, ~(uint64_t)GMEM_RANGE_LOG_MASK);
    known->attrs = fact.attrs | (uint64_t)after << GMEM_RANGE_LOG_SHIFT;
    return 0;
}

static int on_nop(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct world *world = listener->opaque;
    struct fact fact = fact_of(section, 0, NULL);

    if (!listener->undoing)
        (void)facts_find(&world->heard, &fact, ~(uint64_t)GMEM_RANGE_LOG_MASK);
    return refuse_now(world, listener);
}

static int on_eventfd_add(struct gmem_listener *listener, const struct gmem_section *section,
                          const struct gmem_eventfd *eventfd)
{
    struct fact fact = fact_of(section, 2, eventfd);

    return know(listener, &fact);
}

static int on_eventfd_del(struct gmem_listener *listener, const struct gmem_section *section,
                          const struct gmem_eventfd *eventfd)
{
    struct fact fact = fact_of(section, 2, eventfd);

    return forget(listener, &fact);
}

static int on_coalesced_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct fact fact = fact_of(section, 1, NULL);

    return know(listener, &fact);
}

static int on_coalesced_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct fact fact = fact_of(section, 1, NULL);

    return forget(listener, &fact);
}

/* --- what there is --- */

struct expecting {
    struct facts *facts;
    gmem_space *space;
};

static int expect_extra(void *opaque, const struct gmem__extra *extra)
{
    struct expecting *expecting = opaque;
    struct gmem_section section = {
        .space = expecting->space,
        .region = extra->region,
        .first = extra->first,
        .last = extra->last,
        .offset = extra->offset,
    };
    struct fact fact = fact_of(&section, extra->is_eventfd ? 2 : 1, extra->is_eventfd ? &extra->eventfd : NULL);

    facts_add(expecting->facts, &fact);
    return 0;
}

static void expect_range(struct facts *facts, gmem_space *space, const struct gmem__range *range)
{
    struct expecting expecting = {facts, space};
    struct gmem_section section;
    struct fact fact;

    gmem__range_section(range, space, &section);
    fact = fact_of(&section, 0, NULL);
    fact.attrs = range->attrs;
    facts_add(facts, &fact);
    OK(gmem__range_intervals(range, 0, expect_extra, &expecting));
    OK(gmem__range_eventfds(range, 0, expect_extra, &expecting));
}

static bool same_range(const struct gmem__range *a, const struct gmem__range *b)
{
    return a->first == b->first && a->last == b->last && a->offset == b->offset && a->region == b->region &&
           a->host == b->host && a->attrs == b->attrs;
}

static void check_same(const struct gmem__ranges *a, const struct gmem__ranges *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_true(same_range(&a->items[i], &b->items[i]));
}

static void check_space(struct world *world, gmem_space *space, struct facts *facts)
{
    struct gmem__ranges shown = {0}, whole = {0};
    gmem_region *root = gmem__render_root(gmem_space_root(space));
    gmem_view *view = gmem_space_view(space);

    assert_ptr_equal(gmem_view_root(view), root);
    assert_ptr_equal(space->shown, root ? root->shown : world->vm->none);
    OK(gmem__view_ranges(view, 0, GMEM__LAST, &shown));
    if (root)
        OK(gmem__render(root, 0, GMEM__LAST, &whole));
    check_same(&shown, &whole);
    assert_int_equal(gmem_view_count(view), whole.count);
    for (size_t i = 0; i < whole.count; i++)
        expect_range(facts, space, &whole.items[i]);
    gmem_view_unref(view);
    free(shown.items);
    free(whole.items);
}

static void check_all(struct world *world)
{
    struct facts facts = {0};

    assert_false(world->in_commit);
    for (size_t i = 0; i < SPACES; i++) {
        if (world->space[i])
            check_space(world, world->space[i], &facts);
    }
    assert_int_equal(facts.count, world->heard.count);
    if (facts.count > 0) {
        qsort(facts.items, facts.count, sizeof(*facts.items), compare_facts);
        qsort(world->heard.items, world->heard.count, sizeof(*facts.items), compare_facts);
        assert_memory_equal(facts.items, world->heard.items, facts.count * sizeof(*facts.items));
    }
    free(facts.items);
}

/* Let go of one view, which must read as it did, and hold another. */
static void exchange_held(struct world *world, struct held *held)
{
    gmem_space *space = world->space[random_below(&world->random, SPACES)];
    struct gmem__ranges now = {0};

    if (held->view) {
        OK(gmem__view_ranges(held->view, 0, GMEM__LAST, &now));
        check_same(&now, &held->ranges);
        gmem_view_unref(held->view);
        held->view = NULL;
        held->ranges.count = 0;
        free(now.items);
    }
    if (space && random_chance(&world->random, 80)) {
        held->view = gmem_space_view(space);
        OK(gmem__view_ranges(held->view, 0, GMEM__LAST, &held->ranges));
    }
}

/* --- edits --- */

static gmem_region *any_box(struct world *world)
{
    return world->box[random_below(&world->random, BOXES)];
}

static gmem_region *any_leaf(struct world *world)
{
    return world->leaf[random_below(&world->random, world->leaves)];
}

/* Boxes seldom, and some more so: the machine hangs on them. */
static gmem_region *any(struct world *world)
{
    uint64_t first = random_chance(&world->random, 8) ? 0 : FIXED_BOXES;

    if (random_chance(&world->random, 75))
        return any_leaf(world);
    return random_chance(&world->random, 75) ? world->alias[random_below(&world->random, ALIASES)]
                                             : world->box[random_within(&world->random, first, BOXES - 1)];
}

/* Few places, so that things touch and cover each other; and the ends of all addresses. */
static uint64_t somewhere(struct world *world)
{
    struct random *random = &world->random;

    switch (random_below(random, 10)) {
    case 0:
        return 0;
    case 1:
        return random_below(random, 0x100) * 0x1000;
    case 2:
        return random_chance(random, 10) ? GMEM__LAST - random_below(random, 0x4000) : random_below(random, 0x10000);
    default:
        return random_below(random, world->spread / 0x40) * 0x40;
    }
}

static gmem_size some_size(struct world *world, const gmem_region *region)
{
    if (gmem_region_kind(region) == GMEM_KIND_CONTAINER)
        return random_chance(&world->random, 10) ? GMEM_SIZE_ALL
                                                 : GMEM_SIZE(world->spread + random_below(&world->random, 0x80000));
    if (gmem_region_kind(region) == GMEM_KIND_ALIAS)
        return GMEM_SIZE(1 + random_below(&world->random, world->spread));
    return GMEM_SIZE(1 + random_below(&world->random, RAM_SIZE));
}

/* The edits of leaves alone; returns what the library says. */
static int edit_leaf(struct world *world, gmem_region *leaf)
{
    struct random *random = &world->random;
    struct gmem_eventfd eventfd = {
        .offset = random_below(random, 4) * 4,
        .data = random_below(random, 2),
        .fd = (int)random_below(random, FDS),
        .size = 4,
        .match = random_chance(random, 50),
    };
    uint64_t first = random_below(random, 0x40);

    switch (random_below(random, 6)) {
    case 0:
        return gmem_region_set_log(leaf, (unsigned)random_below(random, 3), random_chance(random, 60));
    case 1:
    case 2:
        return random_chance(random, 60) ? gmem_region_add_eventfd(leaf, &eventfd)
                                         : gmem_region_del_eventfd(leaf, &eventfd);
    case 3:
        return random_chance(random, 70) ? gmem_region_add_coalesced(leaf, first, first + random_below(random, 0x200))
                                         : gmem_region_clear_coalesced(leaf);
    case 4:
        return gmem_region_set_romd(leaf, random_chance(random, 50));
    default:
        return gmem_region_set_nonvolatile(leaf, random_chance(random, 50));
    }
}

static void allow(int err)
{
    switch (err) {
    case 0:
    case -EIO:
    case -ELOOP:
    case -E2BIG:
    case -EBUSY:
    case -EEXIST:
    case -ENOENT:
    case -ERANGE:
    case -EINVAL:
    case -EOVERFLOW:
    case -EOPNOTSUPP:
        return;
    default:
        fail_msg("%s", gmem_strerror(err));
    }
}

/* In a transaction: a leaf that was replaced lives no longer than the views that show it, its children may. */
static int take_out(struct world *world, gmem_region *region)
{
    gmem_region *container;
    int err = 0;

    OK(gmem_vm_begin(world->vm));
    container = gmem_region_container(region);
    if (container)
        err = gmem_region_remove(container, region);
    if (err) {
        gmem_vm_abort(world->vm);
        return err;
    }
    return gmem_vm_commit(world->vm);
}

/* Wherever it is, it is somewhere else then. */
static int place(struct world *world, gmem_region *region)
{
    struct random *random = &world->random;
    int err = take_out(world, region);

    if (err)
        return err;
    return gmem_region_add_priority(random_chance(random, 90) ? any_box(world) : any_leaf(world), somewhere(world),
                                    region, (int32_t)random_below(random, 3) - 1);
}

/* Any edit; the library may refuse it for what it is, and then nothing changed. */
static int edit(struct world *world)
{
    struct random *random = &world->random;
    gmem_region *region = any(world);
    bool inner = gmem_region_kind(region) == GMEM_KIND_CONTAINER;

    switch (random_below(random, 13)) {
    case 0:
    case 1:
    case 2:
        return gmem_region_set_enabled(region, random_chance(random, inner ? 95 : 70));
    case 3:
    case 4:
        return gmem_region_move(region, somewhere(world));
    case 5:
        return gmem_region_resize(region, some_size(world, region));
    case 6:
        return gmem_region_set_priority(region, (int32_t)random_below(random, 5) - 2);
    case 7:
        return gmem_region_set_readonly(region, random_chance(random, 30));
    case 8:
        return gmem_region_set_alias(world->alias[random_below(random, ALIASES)], any(world), somewhere(world));
    case 9:
        return random_chance(random, inner ? 10 : 40) ? take_out(world, region) : place(world, region);
    case 10:
        return place(world, region);
    default:
        return edit_leaf(world, any_leaf(world));
    }
}

/* A leaf's last reference goes, and another takes its place: views may be all that is left of the first. */
static int replace_leaf(struct world *world)
{
    gmem_region **leaf = &world->leaf[random_below(&world->random, world->leaves)];
    int err = take_out(world, *leaf);

    if (err)
        return err;
    gmem_region_unref(*leaf);
    *leaf = make_mmio(world->vm, "another", GMEM_SIZE(1 + random_below(&world->random, 0x800)));
    return gmem_region_add(any_box(world), somewhere(world), *leaf);
}

static gmem_region *any_root(struct world *world)
{
    switch (random_below(&world->random, 8)) {
    case 0:
        return any(world);
    case 1:
    case 2:
        return world->alias[random_below(&world->random, 6)]; /* all of a box */
    case 3:
    case 4:
    case 5:
        return world->box[0];
    default:
        return any_box(world);
    }
}

/* A space ends, or a new one is there. */
static int change_space(struct world *world, bool destroy_only)
{
    gmem_space **space = &world->space[random_below(&world->random, SPACES)];

    if (*space) {
        world->calls_left = 0; /* this can't be refused */
        gmem_space_destroy(*space);
        *space = NULL;
        return 0;
    }
    return destroy_only ? 0 : gmem_space_create(world->vm, "space", any_root(world), NULL, space);
}

static void transaction(struct world *world)
{
    struct random *random = &world->random;
    size_t edits = random_chance(random, 85) ? random_below(random, 12) : random_below(random, 200);

    OK(gmem_vm_begin(world->vm));
    for (size_t i = 0; i < edits; i++) {
        if (random_chance(random, 5)) {
            OK(gmem_vm_begin(world->vm));
            allow(edit(world));
            allow(edit(world));
            gmem_vm_abort(world->vm);
        }
        allow(edit(world));
    }
    if (random_chance(random, 3))
        allow(change_space(world, true));
    if (random_chance(random, 10))
        gmem_vm_abort(world->vm);
    else
        allow(gmem_vm_commit(world->vm));
}

static void step(struct world *world)
{
    struct random *random = &world->random;

    world->calls_left = random_chance(random, 25) ? 1 + random_below(random, random_chance(random, 50) ? 6 : 100) : 0;
    if (random_chance(random, 30))
        transaction(world);
    else if (random_chance(random, 4))
        allow(change_space(world, false));
    else if (random_chance(random, 8))
        allow(replace_leaf(world));
    else
        allow(edit(world));
    world->calls_left = 0;
    check_all(world);
    if (random_chance(random, 20))
        exchange_held(world, &world->held[random_below(random, HELD)]);
}

/* --- the machine --- */

static void make_leaves(struct world *world)
{
    char name[32];

    for (size_t i = 0; i < world->leaves; i++) {
        gmem_region *leaf;

        snprintf(name, sizeof(name), "leaf%zu", i);
        if (i % 16 == 0)
            leaf = make_ram(world->vm, name, RAM_SIZE);
        else if (i % 16 == 1)
            leaf = make_rom(world->vm, name, RAM_SIZE);
        else if (i % 16 == 2)
            leaf = make_romd(world->vm, name, RAM_SIZE);
        else
            leaf = make_mmio(world->vm, name, GMEM_SIZE(1 + random_below(&world->random, 0x400)));
        world->leaf[i] = leaf;
        allow(gmem_region_add_priority(any_box(world), somewhere(world), leaf,
                                       (int32_t)random_below(&world->random, 3) - 1));
    }
}

/*
 * The first two boxes are all addresses; the others lie in an earlier one each; aliases show
 * anything, some of them all of it.
 */
static void make_machine(struct world *world)
{
    OK(gmem_vm_begin(world->vm));
    for (size_t i = 0; i < BOXES; i++) {
        world->box[i] = make_container(world->vm, "box", i < 2 ? GMEM_SIZE_ALL : GMEM_SIZE(world->spread));
        if (i >= 2)
            allow(gmem_region_add(world->box[i < FIXED_BOXES ? i % 2 : random_below(&world->random, i)],
                                  i < FIXED_BOXES ? i / 2 * world->spread : somewhere(world), world->box[i]));
    }
    make_leaves(world);
    for (size_t i = 0; i < ALIASES; i++) {
        gmem_region *target = i < 6 ? world->box[i / 2] : i % 2 ? any_box(world) : any_leaf(world);

        world->alias[i] =
            make_alias(world->vm, "alias", target, 0,
                       i < 6 ? gmem_region_size(target) : GMEM_SIZE(1 + random_below(&world->random, world->spread)));
        if (i >= 6)
            allow(gmem_region_add(any_box(world), somewhere(world), world->alias[i]));
    }
    OK(gmem_vm_commit(world->vm));
}

static void world_run(const char *what, uint64_t seed, size_t leaves, unsigned steps, bool nop)
{
    struct world world;

    memset(&world, 0, sizeof(world));
    world.random = random_start(what, seed);
    world.vm = make_vm();
    world.leaves = leaves;
    world.spread = 0x8000 + leaves * 0x800;
    make_machine(&world);
    world.listener = (struct gmem_listener){
        .struct_size = sizeof(world.listener),
        .opaque = &world,
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
    for (size_t i = 0; i < SPACES / 2; i++)
        world.space[i] = make_space(world.vm, "space", i < 2 ? world.box[i] : any_root(&world));
    OK(gmem_listener_register(world.vm, NULL, &world.listener));
    check_all(&world);
    for (unsigned i = 0; i < steps; i++)
        step(&world);
    memset(world.space, 0, sizeof(world.space));
    for (size_t i = 0; i < HELD; i++) {
        exchange_held(&world, &world.held[i]);
        free(world.held[i].ranges.items);
    }
    gmem_vm_destroy(world.vm);
    assert_int_equal(world.heard.count, 0);
    free(world.heard.items);
}

static void test_small_machines(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        world_run("small machine", seed, 30, 250, false);
}

static void test_machines(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        world_run("machine", 100 + seed, 300, 300, false);
}

static void test_large_machine(void **state)
{
    (void)state;
    world_run("large machine", 200, LEAVES_MAX, 300, false);
}

static void test_with_all_ranges_heard(void **state)
{
    (void)state;
    world_run("all ranges heard", 300, 100, 300, true);
}

/*
 * Two ways from each box to the next, of which one is switched off: little is shown, but it is too
 * far to climb from the bottom to the top.
 */
static void test_too_many_ways_up(void **state)
{
    struct world world;
    gmem_region *box[24];
    struct facts facts = {0};

    (void)state;
    memset(&world, 0, sizeof(world));
    world.vm = make_vm();
    OK(gmem_vm_begin(world.vm));
    for (size_t i = 0; i < 24; i++)
        box[i] = make_container(world.vm, "box", GMEM_SIZE_ALL);
    for (size_t i = 0; i + 1 < 24; i++) {
        for (unsigned j = 0; j < 2; j++) {
            gmem_region *alias = make_alias(world.vm, "way", box[i + 1], 0, GMEM_SIZE_ALL);

            OK(gmem_region_set_enabled(alias, j == 0));
            OK(gmem_region_add(box[i], 0, alias));
        }
        OK(gmem_region_add_priority(box[i], i * 0x1000, make_mmio(world.vm, "device", GMEM_SIZE(0x100)), 1));
    }
    world.leaf[0] = make_mmio(world.vm, "bottom", GMEM_SIZE(0x1000));
    OK(gmem_region_add(box[23], 0x100000, world.leaf[0]));
    OK(gmem_region_add(box[23], 0x200000, make_mmio(world.vm, "other", GMEM_SIZE(0x1000))));
    OK(gmem_vm_commit(world.vm));
    world.space[0] = make_space(world.vm, "space", box[0]);
    for (unsigned i = 0; i < 2; i++) {
        OK(gmem_region_set_enabled(world.leaf[0], i > 0));
        check_space(&world, world.space[0], &facts);
        OK(gmem_region_move(world.leaf[0], 0x200800));
        check_space(&world, world.space[0], &facts);
        OK(gmem_region_move(world.leaf[0], 0x100000));
    }
    free(facts.items);
    gmem_vm_destroy(world.vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_machines),   cmocka_unit_test(test_machines),
        cmocka_unit_test(test_large_machine),    cmocka_unit_test(test_with_all_ranges_heard),
        cmocka_unit_test(test_too_many_ways_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
