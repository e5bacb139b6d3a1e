/* SPDX-License-Identifier: MIT */
/*
 * test-view-versions.c - the tree of a view's ranges (src/view_tree.h) against a plain sorted array:
 * random splices from nothing to 20,000 ranges and back. Versions are kept for a while and must
 * read as they did; they are then ended oldest first, as views are, with what their edits left as
 * garbage. AddressSanitizer sees what is freed too early, twice or never.
 */
#include "random.h"
#include "support.h"
#include "view_tree.h"

#define MOST 20000u

/* The ranges of a version, the plain way. */
struct model {
    struct gmem__range *items;
    size_t count;
};

/* A version, and what it has that the next has not. */
struct version {
    struct gmem__node *tree;
    struct model model;
    struct gmem__garbage *garbage;
    size_t garbage_count;
};

#define KEPT 24u

struct world {
    struct random random;
    struct version versions[KEPT]; /* oldest first; the last is the present one */
    size_t kept;
    uint64_t born;
    uint64_t next_id; /* every range ever made has an offset of its own */
    struct gmem__range *scratch;
};

static struct version *present(struct world *world)
{
    return &world->versions[world->kept - 1];
}

/* --- invariants --- */

static uint64_t check_node(const struct gmem__node *node, bool has_siblings)
{
    const struct gmem__inner *inner = (const void *)node;
    const struct gmem__leaf *leaf = (const void *)node;
    uint32_t most = node->height == 0 ? GMEM__LEAF_MAX : GMEM__INNER_MAX;

    assert_in_range(node->count, has_siblings ? most * 3 / 8 : 1, most);
    if (node->height == 0)
        return leaf->ranges[node->count - 1].last;
    for (uint32_t i = 0; i < node->count; i++) {
        assert_int_equal(inner->children[i]->height, node->height - 1);
        assert_int_equal(check_node(inner->children[i], node->count > 1), inner->last[i]);
    }
    return inner->last[node->count - 1];
}

static void check_shape(const struct gmem__node *tree)
{
    if (!tree)
        return;
    assert_true(tree->height == 0 || tree->count > 1);
    (void)check_node(tree, false);
}

/* --- reading --- */

struct reading {
    const struct gmem__range *next, *end;
};

static bool same(const struct gmem__range *a, const struct gmem__range *b)
{
    return a->first == b->first && a->last == b->last && a->offset == b->offset && a->region == b->region &&
           a->host == b->host && a->attrs == b->attrs;
}

static int read_one(void *opaque, const struct gmem__range *range)
{
    struct reading *reading = opaque;

    if (reading->next == reading->end || !same(range, reading->next))
        return 1;
    reading->next++;
    return 0;
}

static int stop_at_third(void *opaque, const struct gmem__range *range)
{
    unsigned *calls = opaque;

    (void)range;
    return ++*calls == 3 ? -7 : 0;
}

/* Index of the first range whose last is at or after addr. */
static size_t model_find(const struct model *model, uint64_t addr)
{
    size_t low = 0, high = model->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (model->items[middle].last < addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void check_find(const struct gmem__node *tree, const struct model *model, uint64_t addr)
{
    const struct gmem__range *range = gmem__tree_find(tree, addr);
    size_t at = model_find(model, addr);

    if (at == model->count) {
        assert_null(range);
    } else {
        assert_non_null(range);
        assert_memory_equal(range, &model->items[at], sizeof(*range));
    }
}

static void check_walk(const struct gmem__node *tree, const struct model *model, uint64_t first, uint64_t last)
{
    size_t from = model_find(model, first), to = from;
    struct reading reading;

    while (to < model->count && model->items[to].first <= last)
        to++;
    reading.next = model->count > 0 ? model->items + from : NULL;
    reading.end = model->count > 0 ? model->items + to : NULL;
    assert_int_equal(gmem__tree_walk(tree, first, last, read_one, &reading), 0);
    assert_ptr_equal(reading.next, reading.end);
}

static void check_all(const struct gmem__node *tree, const struct model *model)
{
    check_walk(tree, model, 0, GMEM__LAST);
}

static void check_version(struct world *world, const struct version *version)
{
    const struct model *model = &version->model;
    unsigned calls = 0;

    check_shape(version->tree);
    check_all(version->tree, model);
    check_find(version->tree, model, 0);
    check_find(version->tree, model, GMEM__LAST);
    for (unsigned i = 0; i < 12; i++) {
        uint64_t addr = random_u64(&world->random), other = random_u64(&world->random);

        check_find(version->tree, model, addr);
        check_walk(version->tree, model, gmem__min(addr, other), gmem__max(addr, other));
        if (model->count > 0) {
            const struct gmem__range *range = &model->items[random_below(&world->random, model->count)];

            check_find(version->tree, model, range->first);
            check_find(version->tree, model, range->last);
            check_find(version->tree, model, range->last + 1);
            check_walk(version->tree, model, range->first, range->first);
            check_walk(version->tree, model, gmem__min(addr, range->last), range->last);
        }
    }
    if (model->count >= 3)
        assert_int_equal(gmem__tree_walk(version->tree, 0, GMEM__LAST, stop_at_third, &calls), -7);
}

/* --- splicing --- */

/* Fill [first, last] with up to count ranges, touching or apart, into scratch. Returns how many. */
static size_t make_ranges(struct world *world, uint64_t first, uint64_t last, size_t count)
{
    bool touching = random_chance(&world->random, 50);
    uint64_t step;

    if (count > last - first)
        count = (size_t)(last - first);
    if (count == 0)
        return 0;
    step = (last - first) / count;
    memset(world->scratch, 0, count * sizeof(*world->scratch));
    for (size_t i = 0; i < count; i++) {
        struct gmem__range *range = &world->scratch[i];
        uint64_t low = first + i * step, high = i + 1 < count ? low + step - 1 : last;

        range->first = touching ? low : random_within(&world->random, low, high);
        range->last = touching ? high : random_within(&world->random, range->first, high);
        range->offset = world->next_id++;
        range->attrs = (uint32_t)random_u64(&world->random);
    }
    return count;
}

/* Replace ranges from to to - 1 of the model by those in scratch. */
static void model_splice(struct model *model, size_t from, size_t to, const struct gmem__range *items, size_t count)
{
    size_t tail = model->count - to;
    struct gmem__range *now = malloc((from + count + tail + 1) * sizeof(*now));

    assert_non_null(now);
    if (from > 0)
        memcpy(now, model->items, from * sizeof(*now));
    if (count > 0)
        memcpy(now + from, items, count * sizeof(*now));
    if (tail > 0)
        memcpy(now + from + count, model->items + to, tail * sizeof(*now));
    free(model->items);
    model->items = now;
    model->count = from + count + tail;
}

/* How many ranges to take away or to bring: mostly few, sometimes leaves full. */
static size_t some(struct random *random, size_t most)
{
    static const size_t scales[] = {1, 2, 4, 20, 20, 150, 1500};
    size_t scale = scales[random_below(random, sizeof(scales) / sizeof(scales[0]))];
    size_t count = random_below(random, scale + 1);

    return count < most ? count : most;
}

/* One splice of tree and of model; growing: more comes than goes, on the whole. */
static void splice(struct world *world, struct gmem__tree_edit *edit, struct gmem__node **tree, struct model *model,
                   bool growing)
{
    struct random *random = &world->random;
    size_t from = random_below(random, model->count + 1), to, count;
    uint64_t first, last, low, high;

    switch (random_below(random, 12)) {
    case 0: /* at the low end */
        from = 0;
        break;
    case 1: /* at the high end */
        from = model->count;
        break;
    default:
        break;
    }
    to = from + some(random, model->count - from);
    if (growing)
        to = from + (to - from + random_below(random, 2)) / 2;
    if (!growing && random_chance(random, 3)) {
        from = 0;
        to = model->count;
    }
    /* As far as it may reach without cutting a range that stays. */
    low = from > 0 ? model->items[from - 1].last + 1 : 0;
    high = to < model->count ? model->items[to].first - 1 : GMEM__LAST;
    if (to == from && ((from > 0 && model->items[from - 1].last == GMEM__LAST) || low > high ||
                       (to < model->count && model->items[to].first == 0)))
        return; /* no room here */
    first = from < to ? random_within(random, low, model->items[from].first) : random_within(random, low, high);
    last = from < to ? random_within(random, model->items[to - 1].last, high) : random_within(random, first, high);
    if (random_chance(random, 30)) {
        first = low;
        last = high;
    }
    count = random_chance(random, growing ? 5 : 40) ? 0 : some(random, MOST - (model->count - (to - from)));
    if (!growing)
        count /= 3;
    count = make_ranges(world, first, last, count);
    OK(gmem__tree_splice(edit, tree, first, last, world->scratch, count));
    model_splice(model, from, to, world->scratch, count);
}

static struct model model_copy(const struct model *model)
{
    struct model copy = {malloc((model->count + 1) * sizeof(*copy.items)), model->count};

    assert_non_null(copy.items);
    if (model->count > 0)
        memcpy(copy.items, model->items, model->count * sizeof(*copy.items));
    return copy;
}

/* --- versions --- */

/* The oldest version ends, as a view does when the next one remains. */
static void end_oldest(struct world *world)
{
    struct version *oldest = &world->versions[0];

    check_version(world, oldest);
    if (world->kept > 1)
        gmem__garbage_free(oldest->garbage, oldest->garbage_count);
    else
        gmem__tree_free(oldest->tree);
    free(oldest->garbage);
    free(oldest->model.items);
    memmove(oldest, oldest + 1, --world->kept * sizeof(*oldest));
}

/* An edit of a few splices; then it is abandoned, or is a new version. */
static void edit_once(struct world *world, bool growing)
{
    struct random *random = &world->random;
    struct gmem__tree_edit edit = {.born = ++world->born};
    struct gmem__node *tree = present(world)->tree;
    struct model model = model_copy(&present(world)->model);
    size_t splices = random_chance(random, 60) ? 1 : 1 + random_below(random, 8);

    for (size_t i = 0; i < splices; i++)
        splice(world, &edit, &tree, &model, growing);
    check_shape(tree);
    check_all(tree, &model);
    if (random_chance(random, 15)) {
        gmem__tree_abandon(&edit);
        free(model.items);
        check_version(world, present(world));
        return;
    }
    present(world)->garbage = edit.garbage;
    present(world)->garbage_count = edit.garbage_count;
    if (world->kept == KEPT)
        end_oldest(world);
    world->versions[world->kept++] = (struct version){.tree = tree, .model = model};
    check_version(world, present(world));
    if (random_chance(random, 10))
        check_version(world, &world->versions[random_below(random, world->kept)]);
    while (world->kept > 1 && random_chance(random, 40))
        end_oldest(world);
}

static void world_begin(struct world *world, const char *what, uint64_t seed)
{
    memset(world, 0, sizeof(*world));
    world->random = random_start(what, seed);
    world->scratch = malloc(MOST * sizeof(*world->scratch));
    assert_non_null(world->scratch);
    world->kept = 1;
}

static void world_end(struct world *world)
{
    while (world->kept > 0)
        end_oldest(world);
    free(world->scratch);
}

/* Up to most ranges and down to none, the given number of times. */
static void grow_and_shrink(struct world *world, size_t most, unsigned times)
{
    unsigned edits;

    for (; times > 0; times--) {
        for (edits = 0; present(world)->model.count < most; edits++) {
            assert_true(edits < 100000);
            edit_once(world, true);
        }
        for (edits = 0; edits < 50; edits++)
            edit_once(world, random_chance(&world->random, 50));
        for (edits = 0; present(world)->model.count > 0; edits++) {
            assert_true(edits < 100000);
            edit_once(world, false);
        }
        assert_null(present(world)->tree);
    }
}

static void test_small(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, "small trees", 1);
    grow_and_shrink(&world, 40, 60);
    grow_and_shrink(&world, 700, 10);
    world_end(&world);
}

static void test_large(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, "large trees", 2);
    grow_and_shrink(&world, 19000, 2);
    world_end(&world);
}

/* Ended while it is large: the last version is freed as a whole. */
static void test_end_large(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, "a large tree's end", 3);
    while (present(&world)->model.count < 5000)
        edit_once(&world, true);
    world_end(&world);
}

/* One range after another, upwards, downwards, and taken away so: no shape may come of it. */
static void test_one_by_one(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, "one by one", 4);
    for (unsigned way = 0; way < 4; way++) {
        for (uint64_t i = 0; i < 2 * 3000; i++) {
            bool add = i < 3000;
            uint64_t number = (way & (add ? 1u : 2u)) ? 2999 - i % 3000 : i % 3000;
            struct gmem__range range = {.first = number * 16, .last = number * 16 + 7, .offset = world.next_id++};
            struct gmem__tree_edit edit = {.born = ++world.born};
            struct version *version = present(&world);
            size_t at = model_find(&version->model, range.first);

            OK(gmem__tree_splice(&edit, &version->tree, range.first, range.last, &range, add));
            model_splice(&version->model, at, at + !add, &range, add);
            /* O(log n): nothing is copied but one path, with a neighbour at each height. */
            assert_in_range(edit.garbage_count, 0, 12);
            gmem__garbage_free(edit.garbage, edit.garbage_count);
            free(edit.garbage);
            if (i % 97 == 0)
                check_version(&world, version);
        }
        assert_null(present(&world)->tree);
    }
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_end_large),
        cmocka_unit_test(test_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
