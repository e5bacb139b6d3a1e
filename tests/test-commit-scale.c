/* SPDX-License-Identifier: MIT */
/*
 * test-commit-scale.c - maps of hundreds of regions under random edits: what commits publish piece by piece is always what
 * rendering the whole root gives (G10 changes nothing of the answer), and what a listener was told.
 */
#include "render.h"
#include "space.h"
#include "support.h"
#include <errno.h>

#define BOXES 12u
#define LEAVES 500u
#define ALIASES 60u
#define SPACES 6u

struct world {
    uint64_t random;
    gmem_vm *vm;
    gmem_region *box[BOXES];
    gmem_region *leaf[LEAVES];
    gmem_region *alias[ALIASES];
    gmem_space *space[SPACES];
    struct gmem__ranges heard; /* of space[0], by address */
    struct gmem_listener listener;
    bool refuse; /* the next commit */
};

static uint64_t pick(struct world *world, uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (world->random >> 11) % below;
}

static size_t heard_at(const struct world *world, uint64_t first)
{
    size_t i = 0;

    while (i < world->heard.count && world->heard.items[i].first < first)
        i++;
    return i;
}

static int on_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct world *world = listener->opaque;
    struct gmem__ranges *heard = &world->heard;
    size_t at = heard_at(world, section->first);

    assert_true(at == heard->count || heard->items[at].first > section->last);
    assert_true(at == 0 || heard->items[at - 1].last < section->first);
    OK(gmem__grow((void **)&heard->items, &heard->room, heard->count + 1, sizeof(*heard->items)));
    memmove(heard->items + at + 1, heard->items + at, (heard->count - at) * sizeof(*heard->items));
    memset(&heard->items[at], 0, sizeof(*heard->items));
    heard->items[at].first = section->first;
    heard->items[at].last = section->last;
    heard->items[at].offset = section->offset;
    heard->items[at].region = section->region;
    heard->items[at].attrs = section->attrs;
    heard->count++;
    return 0;
}

static int on_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct world *world = listener->opaque;
    struct gmem__ranges *heard = &world->heard;
    size_t at = heard_at(world, section->first);

    assert_true(at < heard->count);
    assert_int_equal(heard->items[at].first, section->first);
    assert_int_equal(heard->items[at].last, section->last);
    assert_ptr_equal(heard->items[at].region, section->region);
    memmove(heard->items + at, heard->items + at + 1, (heard->count - at - 1) * sizeof(*heard->items));
    heard->count--;
    return 0;
}

static int on_commit(struct gmem_listener *listener)
{
    struct world *world = listener->opaque;

    return world->refuse && !listener->undoing ? -EIO : 0;
}

static void check_range(const struct gmem__range *a, const struct gmem__range *b)
{
    assert_int_equal(a->first, b->first);
    assert_int_equal(a->last, b->last);
    assert_int_equal(a->offset, b->offset);
    assert_ptr_equal(a->region, b->region);
    assert_ptr_equal(a->host, b->host);
    assert_int_equal(a->attrs, b->attrs);
}

static void check_spaces(struct world *world)
{
    struct gmem__ranges shown, whole;
    gmem_region *root;
    size_t i, j;

    for (i = 0; i < SPACES; i++) {
        gmem_view *view = gmem_space_view(world->space[i]);

        memset(&shown, 0, sizeof(shown));
        memset(&whole, 0, sizeof(whole));
        root = gmem__render_root(gmem_space_root(world->space[i]));
        assert_ptr_equal(gmem_view_root(view), root);
        OK(gmem__view_ranges(view, 0, UINT64_MAX, &shown));
        if (root)
            OK(gmem__render(root, 0, UINT64_MAX, &whole));
        assert_int_equal(shown.count, whole.count);
        assert_int_equal(gmem_view_count(view), whole.count);
        for (j = 0; j < whole.count; j++)
            check_range(&shown.items[j], &whole.items[j]);
        assert_true(i > 0 || world->heard.count == whole.count);
        for (j = 0; i == 0 && j < whole.count; j++) {
            world->heard.items[j].host = whole.items[j].host; /* listeners are not told */
            check_range(&world->heard.items[j], &whole.items[j]);
        }
        free(shown.items);
        free(whole.items);
        gmem_view_unref(view);
    }
}

static gmem_region *any(struct world *world)
{
    uint64_t which = pick(world, 200);

    /* Inner regions seldom: most of the map hangs on them. */
    if (which < 170)
        return world->leaf[pick(world, LEAVES)];
    return which < 197 ? world->alias[pick(world, ALIASES)] : world->box[pick(world, BOXES)];
}

static uint64_t somewhere(struct world *world)
{
    return pick(world, 0x4000) * (pick(world, 3) ? 0x40 : 1);
}

/* One edit, which may be refused for what it is (a loop, no container); then nothing changed. */
static void edit(struct world *world)
{
    gmem_region *region = any(world), *container = gmem_region_container(region);
    int err = 0;

    switch (pick(world, 10)) {
    case 0:
    case 1:
        err = gmem_region_set_enabled(region, pick(world, 4) != 0);
        break;
    case 2:
    case 3:
        err = gmem_region_move(region, somewhere(world));
        break;
    case 4:
        err = gmem_region_resize(region, gmem_region_kind(region) == GMEM_KIND_CONTAINER
                                             ? GMEM_SIZE(0x10000 + pick(world, 0x40000))
                                             : GMEM_SIZE(1 + pick(world, 0x1000)));
        break;
    case 5:
        err = container ? gmem_region_set_priority(region, (int32_t)pick(world, 5) - 2) : 0;
        break;
    case 6:
    case 7:
        if (container && pick(world, 2))
            err = gmem_region_remove(container, region);
        else if (!container)
            err = gmem_region_add_priority(world->box[pick(world, BOXES)], somewhere(world), region,
                                           (int32_t)pick(world, 3) - 1);
        break;
    case 8:
        if (gmem_region_kind(region) == GMEM_KIND_ALIAS)
            err = gmem_region_set_alias(region, any(world), somewhere(world));
        else
            err = gmem_region_set_nonvolatile(region, !gmem_region_nonvolatile(region));
        break;
    default:
        err = gmem_region_set_readonly(region, !gmem_region_readonly(region));
        break;
    }
    assert_true(err == 0 || err == -ELOOP || err == -EOVERFLOW || err == -ERANGE || err == -E2BIG ||
                (err == -EIO && world->refuse));
}

static void some_edits(struct world *world)
{
    uint64_t edits = pick(world, 3) ? 1 : 1 + pick(world, 12), i;
    bool inner = pick(world, 8) == 0;
    int err;

    world->refuse = pick(world, 10) == 0;
    OK(gmem_vm_begin(world->vm));
    for (i = 0; i < edits; i++)
        edit(world);
    if (inner) {
        OK(gmem_vm_begin(world->vm));
        edit(world);
        edit(world);
        gmem_vm_abort(world->vm);
    }
    err = gmem_vm_commit(world->vm);
    assert_true(err == 0 || err == -E2BIG || (err == -EIO && world->refuse));
    world->refuse = false;
}

static void world_begin(struct world *world, uint64_t seed)
{
    char name[32];
    size_t i;

    memset(world, 0, sizeof(*world));
    world->random = seed * 0x9e3779b97f4a7c15u + 1;
    world->vm = make_vm();
    OK(gmem_vm_begin(world->vm));
    for (i = 0; i < BOXES; i++) {
        snprintf(name, sizeof(name), "box %zu", i);
        world->box[i] = make_container(world->vm, name, i < 3 ? GMEM_SIZE_ALL : GMEM_SIZE(0x40000));
        if (i >= 3)
            OK(gmem_region_add(world->box[i - 3], somewhere(world), world->box[i]));
    }
    for (i = 0; i < LEAVES; i++) {
        snprintf(name, sizeof(name), "leaf %zu", i);
        world->leaf[i] =
            i % 4 ? make_mmio(world->vm, name, GMEM_SIZE(1 + pick(world, 0x800))) : make_ram(world->vm, name, 0x2000);
        OK(gmem_region_add_priority(world->box[pick(world, BOXES)], somewhere(world), world->leaf[i],
                                    (int32_t)pick(world, 3) - 1));
    }
    for (i = 0; i < ALIASES; i++) {
        snprintf(name, sizeof(name), "alias %zu", i);
        world->alias[i] =
            make_alias(world->vm, name, i % 3 ? world->box[pick(world, BOXES)] : world->leaf[pick(world, LEAVES)],
                       i % 3 ? somewhere(world) : 0, GMEM_SIZE(1 + pick(world, 0x4000)));
        (void)!gmem_region_add(world->box[pick(world, BOXES)], somewhere(world), world->alias[i]);
    }
    OK(gmem_vm_commit(world->vm));
    for (i = 0; i < SPACES; i++) {
        gmem_region *root = i < 4 ? world->box[i] : make_container(world->vm, "bus master container", GMEM_SIZE_ALL);

        if (i >= 4)
            OK(gmem_region_add(root, 0, make_alias(world->vm, "bus master", world->box[i - 4], 0, GMEM_SIZE_ALL)));
        world->space[i] = make_space(world->vm, "space", root);
    }
    world->listener.struct_size = sizeof(world->listener);
    world->listener.opaque = world;
    world->listener.region_add = on_add;
    world->listener.region_del = on_del;
    world->listener.commit = on_commit;
    OK(gmem_listener_register(world->vm, world->space[0], &world->listener));
}

static void test_random_edits(void **state)
{
    struct world world;
    uint64_t seed;
    int i;

    (void)state;
    for (seed = 1; seed <= 100; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        world_begin(&world, seed);
        check_spaces(&world);
        for (i = 0; i < 400; i++) {
            some_edits(&world);
            check_spaces(&world);
        }
        gmem_vm_destroy(world.vm);
        assert_int_equal(world.heard.count, 0);
        free(world.heard.items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_edits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
