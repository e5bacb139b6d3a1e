/* SPDX-License-Identifier: MIT */
/*
 * commit_edits.c - the machine, and the steps that edit it. A step depends on its seed and on what the steps before left,
 * so steps can be left out. One thread, but for the reclamation thread of the library.
 */
#include "commit_world.h"
#include "rcu.h"
#include <errno.h>

/* The library may refuse an edit for what it is, or because a listener does, and then nothing changed. */
static int allow(int err)
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
        return err;
    default:
        fail_msg("%s", gmem_strerror(err));
        return err;
    }
}

/* Those that are where they belong more often than others. */
static gmem_region *any_box(struct world *world)
{
    return world->box[random_below(&world->random, random_chance(&world->random, 60) ? FIXED_BOXES : BOXES)];
}

static gmem_region *any_leaf(struct world *world)
{
    return world->leaf[random_below(&world->random, world->leaves)];
}

/* Boxes seldom, and some more so: the machine hangs on them. */
static gmem_region *any(struct world *world)
{
    struct random *random = &world->random;
    uint64_t first = random_chance(random, 3) ? 0 : FIXED_BOXES;

    if (random_chance(random, 72))
        return any_leaf(world);
    if (random_chance(random, 4))
        return world->tower[random_chance(random, 60) ? 0 : random_below(random, TOWER)];
    return random_chance(random, 75) ? world->alias[random_below(random, ALIASES)]
                                     : world->box[random_within(random, first, BOXES - 1)];
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
    struct random *random = &world->random;

    if (random_chance(random, 3))
        return random_chance(random, 50) ? GMEM_SIZE_ALL : GMEM_SIZE(random_u64(random) | 1);
    if (gmem_region_kind(region) == GMEM_KIND_CONTAINER)
        return GMEM_SIZE(world->spread + random_below(random, 0x80000));
    return GMEM_SIZE(1 + random_below(random, gmem_region_kind(region) == GMEM_KIND_ALIAS ? world->spread : RAM_SIZE));
}

/*
 * An edit of region, which is a call of the library: where region is in all views is noted before
 * and after. Outside a transaction it is a commit.
 */
#define EDIT(world, region, call) (edit_begin(world, region), edit_end(world, region, #call, (call)))

static void edit_begin(struct world *world, gmem_region *region)
{
    check_note_places(world, region);
}

static int edit_end(struct world *world, gmem_region *region, const char *call, int err)
{
    if (world->verbose)
        printf("%*s%s: %d; %s is at 0x%llx of %s, last 0x%llx, priority %d\n", (int)world->depth * 2, "", call, err,
               gmem_region_name(region), (unsigned long long)region->p.offset,
               region->p.container ? gmem_region_name(region->p.container) : "nothing",
               (unsigned long long)region->p.last, (int)region->p.priority);
    (void)allow(err);
    world->edits += !err;
    world->refused += err != 0;
    if (!err)
        check_note_places(world, region);
    if (!err && world->depth == 0)
        check_note_again(world);
    if (err || world->depth > 0)
        check_unchanged(world);
    return err;
}

/* The edits of leaves alone. */
static int edit_leaf(struct world *world, gmem_region *leaf)
{
    struct random *random = &world->random;
    struct gmem_eventfd eventfd = {
        .offset = random_below(random, 4) * 4,
        .data = random_below(random, 2),
        .fd = (int)random_below(random, 3), /* an open one */
        .size = 4,
        .match = random_chance(random, 50),
    };
    uint64_t first = random_below(random, 0x40), last = first + random_below(random, 0x200);
    bool on = random_chance(random, 60);

    switch (random_below(random, 6)) {
    case 0:
        return EDIT(world, leaf, gmem_region_set_log(leaf, (unsigned)first % 3, on));
    case 1:
    case 2:
        if (on)
            return EDIT(world, leaf, gmem_region_add_eventfd(leaf, &eventfd));
        return EDIT(world, leaf, gmem_region_del_eventfd(leaf, &eventfd));
    case 3:
        if (on)
            return EDIT(world, leaf, gmem_region_add_coalesced(leaf, first, last));
        return EDIT(world, leaf, gmem_region_clear_coalesced(leaf));
    case 4:
        return EDIT(world, leaf, gmem_region_set_romd(leaf, on));
    default:
        return EDIT(world, leaf, gmem_region_set_nonvolatile(leaf, on));
    }
}

/* In a transaction: a leaf that was replaced lives no longer than the views that show it, its children may. */
static int take_out(struct world *world, gmem_region *region)
{
    gmem_region *container;
    int err = 0;

    OK(gmem_vm_begin(world->vm));
    container = gmem_region_container(region);
    if (container) {
        check_note_places(world, region);
        err = gmem_region_remove(container, region);
    }
    if (err)
        gmem_vm_abort(world->vm);
    else
        err = gmem_vm_commit(world->vm);
    world->edits += container && !err;
    return allow(err);
}

/* In container, wherever it was: two commits. */
static int place_in(struct world *world, gmem_region *container, gmem_region *region)
{
    int err = take_out(world, region);

    if (err)
        return err;
    check_all(world);
    err = EDIT(world, region, gmem_region_add(container, 0, region));
    if (!err)
        check_all(world);
    return err;
}

/* Wherever it is, it is somewhere else then: two commits. */
static int place(struct world *world, gmem_region *region)
{
    struct random *random = &world->random;
    int err = take_out(world, region);
    uint64_t offset = somewhere(world);
    int32_t priority = (int32_t)random_below(random, 3) - 1;
    gmem_region *container = random_chance(random, 90) ? any_box(world) : any_leaf(world);

    if (err)
        return err;
    if (world->depth == 0)
        check_all(world);
    return EDIT(world, region, gmem_region_add_priority(container, offset, region, priority));
}

static int edit(struct world *world)
{
    struct random *random = &world->random;
    gmem_region *region = any(world), *other;
    bool inner = gmem_region_kind(region) == GMEM_KIND_CONTAINER, on;
    uint64_t offset = somewhere(world);
    int32_t priority = (int32_t)random_below(random, 5) - 2;
    gmem_size size;

    switch (random_below(random, 13)) {
    case 0:
    case 1:
    case 2:
        on = random_chance(random, inner ? 95 : 70);
        return EDIT(world, region, gmem_region_set_enabled(region, on));
    case 3:
    case 4:
        return EDIT(world, region, gmem_region_move(region, offset));
    case 5:
        size = some_size(world, region);
        return EDIT(world, region, gmem_region_resize(region, size));
    case 6:
        return EDIT(world, region, gmem_region_set_priority(region, priority));
    case 7:
        on = random_chance(random, 30);
        return EDIT(world, region, gmem_region_set_readonly(region, on));
    case 8:
        other = any(world);
        region = world->alias[random_below(random, ALIASES)];
        return EDIT(world, region, gmem_region_set_alias(region, other, offset));
    case 9:
        return random_chance(random, inner ? 10 : 40) ? take_out(world, region) : place(world, region);
    case 10:
        return place(world, region);
    default:
        return edit_leaf(world, any_leaf(world));
    }
}

/* Where box belongs; NULL: nowhere. */
static gmem_region *home(struct world *world, size_t box, uint64_t *ret_offset)
{
    *ret_offset = box / 2 * world->spread;
    return box < 2 ? NULL : world->box[box % 2];
}

/* Random edits end in a machine that shows little: put the boxes that it hangs on where they were, and enable some. */
static void mend(struct world *world)
{
    gmem_region *region, *container;
    uint64_t offset;
    size_t i;

    OK(gmem_vm_begin(world->vm));
    world->depth++;
    for (i = 0; i < FIXED_BOXES; i++) {
        region = world->box[i];
        container = home(world, i, &offset);
        (void)EDIT(world, region, gmem_region_set_enabled(region, true));
        (void)EDIT(world, region, gmem_region_move(region, 0));
        (void)EDIT(world, region, gmem_region_resize(region, i < 2 ? GMEM_SIZE_ALL : GMEM_SIZE(world->spread)));
        (void)take_out(world, region);
        if (container)
            (void)EDIT(world, region, gmem_region_add_priority(container, offset, region, (int32_t)i % 3));
    }
    for (i = 0; i < 10; i++) {
        region = any(world);
        (void)EDIT(world, region, gmem_region_set_enabled(region, region != world->tower[0]));
        if (!region->p.container)
            (void)place(world, region);
    }
    check_note_again(world);
    world->refused += allow(gmem_vm_commit(world->vm)) != 0;
    world->depth--;
}

/* A leaf's last reference goes, and another takes its place: views and aliases may be all that is left of the first. */
static void replace_leaf(struct world *world)
{
    gmem_region **leaf = &world->leaf[random_below(&world->random, world->leaves)], *box = any_box(world);
    gmem_region *child = any_leaf(world);
    uint64_t offset = somewhere(world);
    bool orphan = child != *leaf && random_chance(&world->random, 30);

    if (orphan && place_in(world, *leaf, child))
        return;
    if (take_out(world, *leaf))
        return;
    check_all(world);
    if (orphan)
        OK(gmem_vm_begin(world->vm));
    gmem_region_unref(*leaf);
    *leaf = make_mmio(world->vm, "another", GMEM_SIZE(1 + random_below(&world->random, 0x800)));
    if (orphan) {
        /* What waits for readers ends here, where nothing can be freed yet. */
        gmem__rcu_barrier();
        world->depth++;
        (void)EDIT(world, child, gmem_region_move(child, 8 * (offset % 8)));
        (void)allow(gmem_vm_commit(world->vm));
        world->depth--;
        check_all(world);
    }
    (void)EDIT(world, *leaf, gmem_region_add(box, offset, *leaf));
}

/* The tower is switched on or off, comes to another place, or stands on its own feet again: often it is then too deep. */
static void edit_tower(struct world *world)
{
    struct random *random = &world->random;
    gmem_region *region = world->tower[0], *container;
    uint64_t at = random_within(random, 1, TOWER - 1);

    switch (random_below(random, 4)) {
    case 0:
        (void)EDIT(world, region, gmem_region_set_enabled(region, false));
        break;
    case 1:
        (void)place(world, region);
        break;
    case 2:
        region = world->tower[at];
        container = world->tower[at - 1];
        if (!take_out(world, region))
            check_all(world);
        (void)EDIT(world, region, gmem_region_add(container, 0x10, region));
        break;
    default:
        (void)EDIT(world, region, gmem_region_set_enabled(region, true));
        break;
    }
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
static void change_space(struct world *world, bool destroy_only)
{
    struct shown *shown = &world->spaces[random_below(&world->random, SPACES)];
    gmem_region *root = any_root(world);
    struct ear *ear;

    if (shown->space) {
        world->calls_left = 0; /* this can't be refused */
        gmem_view_unref(shown->view);
        shown->view = NULL;
        gmem_space_destroy(shown->space);
        for (ear = world->ears; ear < world->ears + EARS; ear++) {
            if (ear->space == shown->space && ear->registered) {
                ear->registered = false;
                assert_int_equal(ear->sum, 0);
            }
        }
        shown->space = NULL;
    } else if (!destroy_only) {
        (void)allow(gmem_space_create(world->vm, "space", root, NULL, &shown->space));
    }
}

/* The first ear is always there and hears all; others come and go. */
static void change_ear(struct world *world)
{
    struct random *random = &world->random;
    struct ear *ear = &world->ears[random_within(random, 1, EARS - 1)];
    gmem_space *space = random_chance(random, 60) ? world->spaces[random_below(random, SPACES)].space : NULL;

    if (ear->registered)
        ear_unregister(world, ear);
    else
        (void)allow(ear_register(world, ear, space, random_chance(random, 10)));
}

/* Edits, and transactions in the transaction, of which some are aborted. */
static void edits_in_transaction(struct world *world, size_t edits)
{
    struct random *random = &world->random;
    size_t i;

    for (i = 0; i < edits; i++) {
        if (world->depth < 4 && random_chance(random, 8)) {
            OK(gmem_vm_begin(world->vm));
            world->depth++;
            edits_in_transaction(world, random_below(random, 5));
            if (random_chance(random, 50))
                gmem_vm_abort(world->vm);
            else
                OK(gmem_vm_commit(world->vm));
            world->depth--;
            check_unchanged(world);
        }
        (void)edit(world);
    }
}

static void transaction(struct world *world)
{
    struct random *random = &world->random;
    size_t edits = random_chance(random, 95) ? random_below(random, 12) : random_below(random, 200);

    OK(gmem_vm_begin(world->vm));
    world->depth++;
    edits_in_transaction(world, edits);
    if (random_chance(random, 3))
        change_space(world, true);
    if (random_chance(random, 10)) {
        gmem_vm_abort(world->vm);
        world->depth--;
        check_unchanged(world);
        return;
    }
    check_note_again(world);
    if (allow(gmem_vm_commit(world->vm))) {
        world->refused++;
        world->depth--;
        check_unchanged(world);
        return;
    }
    world->depth--;
}

void world_step(struct world *world, uint64_t seed)
{
    struct random *random = &world->random;

    world->random.state = seed;
    world->lost = false;
    world->climbs = 0;
    world->calls_left = random_chance(random, 20) ? 1 + random_below(random, random_chance(random, 50) ? 6 : 100) : 0;
    switch (random_below(random, 40)) {
    case 0:
    case 1:
    case 2:
        transaction(world);
        break;
    case 3:
        change_space(world, false);
        break;
    case 4:
        replace_leaf(world);
        break;
    case 5:
        change_ear(world);
        break;
    case 6:
        (void)allow(gmem_vm_set_global_log(world->vm, random_chance(random, 50)));
        break;
    case 7:
        if (random_chance(random, 60))
            mend(world);
        break;
    case 8:
        edit_tower(world);
        break;
    case 9:
        check_hold(world, &world->held[random_below(random, HELD)], world->spaces[random_below(random, SPACES)].space);
        break;
    default:
        (void)edit(world);
    }
    world->calls_left = 0;
    check_all(world);
}

/* --- the machine --- */

static void make_leaves(struct world *world)
{
    struct random *random = &world->random;
    gmem_region *leaf, *box;
    uint64_t offset;
    char name[32];

    for (size_t i = 0; i < world->leaves; i++) {
        snprintf(name, sizeof(name), "leaf%zu", i);
        if (i % 16 == 0)
            leaf = make_ram(world->vm, name, RAM_SIZE);
        else if (i % 16 == 1)
            leaf = make_rom(world->vm, name, RAM_SIZE);
        else if (i % 16 == 2)
            leaf = make_romd(world->vm, name, RAM_SIZE);
        else
            leaf = make_mmio(world->vm, name, GMEM_SIZE(1 + random_below(random, 0x400)));
        world->leaf[i] = leaf;
        box = any_box(world);
        offset = somewhere(world);
        (void)allow(gmem_region_add_priority(box, offset, leaf, (int32_t)random_below(random, 3) - 1));
    }
}

/* Containers in each other with a leaf at the bottom; off, for it is too deep to show where it is not at the top. */
static void make_tower(struct world *world)
{
    gmem_region *bottom = make_mmio(world->vm, "bottom", GMEM_SIZE(0x80));
    char name[32];

    for (unsigned i = 0; i < TOWER; i++) {
        snprintf(name, sizeof(name), "tower%u", i);
        world->tower[i] = make_container(world->vm, name, GMEM_SIZE(0x1000));
        if (i > 0)
            OK(gmem_region_add(world->tower[i - 1], 0x10, world->tower[i]));
    }
    OK(gmem_region_add(world->tower[TOWER - 1], 0, bottom));
    gmem_region_unref(bottom);
    OK(gmem_region_set_enabled(world->tower[0], false));
    OK(gmem_region_add(world->box[2], 0x200, world->tower[0]));
}

/*
 * The first two boxes are all addresses; the others lie in an earlier one each; aliases show
 * anything, some of them all of it.
 */
static void make_machine(struct world *world)
{
    struct random *random = &world->random;
    gmem_region *target, *box;
    uint64_t offset;
    char name[32];

    OK(gmem_vm_begin(world->vm));
    for (size_t i = 0; i < BOXES; i++) {
        snprintf(name, sizeof(name), "box%zu", i);
        world->box[i] = make_container(world->vm, name, i < 2 ? GMEM_SIZE_ALL : GMEM_SIZE(world->spread));
        box = home(world, i, &offset);
        if (i >= FIXED_BOXES) {
            box = world->box[random_below(random, i)];
            offset = somewhere(world);
        }
        if (box)
            (void)allow(gmem_region_add(box, offset, world->box[i]));
    }
    make_leaves(world);
    make_tower(world);
    for (size_t i = 0; i < ALIASES; i++) {
        snprintf(name, sizeof(name), "alias%zu", i);
        target = i < 6 ? world->box[i / 2] : i % 2 ? any_box(world) : any_leaf(world);
        world->alias[i] =
            make_alias(world->vm, name, target, 0,
                       i < 6 ? gmem_region_size(target) : GMEM_SIZE(1 + random_below(random, world->spread)));
        box = any_box(world);
        offset = somewhere(world);
        if (i >= 6)
            (void)allow(gmem_region_add(box, offset, world->alias[i]));
    }
    OK(gmem_vm_commit(world->vm));
}

void world_begin(struct world *world, uint64_t seed, size_t leaves)
{
    memset(world, 0, sizeof(*world));
    world->random.state = seed;
    world->vm = make_vm();
    world->leaves = leaves;
    world->spread = 0x8000 + leaves * 0x800;
    make_machine(world);
    for (size_t i = 0; i < SPACES / 2; i++)
        world->spaces[i].space = make_space(world->vm, "space", i < 2 ? world->box[i] : any_root(world));
    OK(ear_register(world, &world->ears[0], NULL, random_chance(&world->random, 10)));
    check_all(world);
}

void world_end(struct world *world)
{
    size_t i;

    for (i = 0; i < HELD; i++) {
        check_hold(world, &world->held[i], NULL);
        free(world->held[i].ranges.items);
    }
    for (i = 0; i < SPACES; i++) {
        gmem_view_unref(world->spaces[i].view);
        free(world->spaces[i].places.items);
    }
    gmem_vm_destroy(world->vm);
    for (i = 0; i < EARS; i++) {
        assert_int_equal(world->ears[i].sum, 0);
        assert_int_equal(world->ears[i].count, 0);
    }
    free(world->topology);
}
