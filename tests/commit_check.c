/* SPDX-License-Identifier: MIT */
/*
 * commit_check.c - what must be true after every commit, also one that was refused.
 *
 *   a. A view is what rendering its whole root gives, and what the naive rendering below gives.
 *   b. Its tree keeps what view_tree.c promises: order, heights, keys, fill.
 *   c. It has every node of the version before that is not near a place where an edited region was or is. Those that it
 *      has not, and no others, are the garbage of the version before.
 *   d. If it shows the same as before, it is the same view. A commit that was refused changed no view.
 *   e. Listeners know what there is.
 *   f. Held views show what they did.
 *
 * One thread, beside the reclamation thread of the library.
 */
#include "commit_world.h"
#include "ram.h"
#include "render.h"

static bool same_range(const struct gmem__range *a, const struct gmem__range *b)
{
    return a->first == b->first && a->last == b->last && a->offset == b->offset && a->region == b->region &&
           a->host == b->host && a->attrs == b->attrs;
}

static bool same_ranges(const struct gmem__ranges *a, const struct gmem__ranges *b)
{
    size_t i = 0;

    while (i < a->count && i < b->count && same_range(&a->items[i], &b->items[i]))
        i++;
    return i == a->count && i == b->count;
}

static void print_ranges(const char *what, const struct gmem__ranges *ranges)
{
    printf("%s:\n", what);
    for (size_t i = 0; i < ranges->count; i++)
        printf("  %llx-%llx %s+%llx attrs %x\n", (unsigned long long)ranges->items[i].first,
               (unsigned long long)ranges->items[i].last, gmem_region_name(ranges->items[i].region),
               (unsigned long long)ranges->items[i].offset, ranges->items[i].attrs);
}

static void check_same(const struct world *world, const char *what, const struct gmem__ranges *a, const char *other,
                       const struct gmem__ranges *b)
{
    if (same_ranges(a, b))
        return;
    if (world->verbose) {
        print_ranges(what, a);
        print_ranges(other, b);
    }
    fail_msg("%s is not %s", what, other);
}

/* --- the naive rendering: front to back, each piece takes what no other has taken --- */

static int compare_places(const void *left, const void *right)
{
    const gmem_region *a = *(const gmem_region *const *)left, *b = *(const gmem_region *const *)right;

    if (a->p.container != b->p.container)
        return a->p.container < b->p.container ? -1 : 1;
    if (a->p.priority != b->p.priority)
        return a->p.priority > b->p.priority ? -1 : 1;
    return a->p.seq > b->p.seq ? -1 : a->p.seq < b->p.seq;
}

static void read_topology(struct world *world)
{
    struct gmem__link *link;

    world->topology_count = 0;
    for (link = world->vm->regions.next; link != &world->vm->regions; link = link->next) {
        OK(gmem__grow((void **)&world->topology, &world->topology_room, world->topology_count + 1,
                      sizeof(const gmem_region *)));
        world->topology[world->topology_count++] = GMEM__OF(link, gmem_region, vm_link);
    }
    qsort(world->topology, world->topology_count, sizeof(const gmem_region *), compare_places);
}

/* Index of the first region in container. */
static size_t first_in(const struct world *world, const gmem_region *container)
{
    size_t low = 0, high = world->topology_count, middle;

    while (low < high) {
        middle = (low + high) / 2;
        if (world->topology[middle]->p.container < container)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(struct gmem__ranges *taken, size_t at, const struct gmem__range *range)
{
    OK(gmem__grow((void **)&taken->items, &taken->room, taken->count + 1, sizeof(*taken->items)));
    memmove(taken->items + at + 1, taken->items + at, (taken->count - at) * sizeof(*taken->items));
    taken->items[at] = *range;
    taken->count++;
}

/* Take what is left of range. */
static void take(struct gmem__ranges *taken, struct gmem__range range)
{
    uint64_t first = range.first, last = range.last, offset = range.offset;
    size_t low = 0, high = taken->count, middle;

    while (low < high) {
        middle = (low + high) / 2;
        if (taken->items[middle].last < first)
            low = middle + 1;
        else
            high = middle;
    }
    for (;; low++) {
        uint64_t next = low < taken->count ? taken->items[low].first : 0;

        if (low == taken->count || next > first) {
            range.first = first;
            range.last = low == taken->count ? last : gmem__min(last, next - 1);
            range.offset = offset;
            insert(taken, low++, &range);
        }
        if (low == taken->count || taken->items[low].last >= last)
            return;
        offset += taken->items[low].last + 1 - first;
        first = taken->items[low].last + 1;
    }
}

/* [first, last] of region is seen at address at, but for what is taken. */
static void paint(struct world *world, const gmem_region *region, uint64_t first, uint64_t last, uint64_t at,
                  uint32_t attrs, struct gmem__ranges *taken)
{
    const gmem_region *child;
    uint64_t low, high;
    size_t i;

    if ((region->p.attrs & GMEM__ATTR_DISABLED) || first > region->p.last)
        return;
    last = gmem__min(last, region->p.last);
    attrs |= region->p.attrs & (GMEM_RANGE_READONLY | GMEM_RANGE_NONVOLATILE);
    if (region->kind == GMEM_KIND_ALIAS) {
        paint(world, region->p.target, region->p.target_from + first, region->p.target_from + last, at, attrs, taken);
        return;
    }
    for (i = first_in(world, region); i < world->topology_count; i++) {
        child = world->topology[i];
        if (child->p.container != region)
            break;
        low = gmem__max(first, child->p.offset);
        high = gmem__min(last, child->p.offset + child->p.last);
        if (low <= high)
            paint(world, child, low - child->p.offset, high - child->p.offset, at + (low - first), attrs, taken);
    }
    if (region->kind != GMEM_KIND_CONTAINER)
        take(taken, (struct gmem__range){
                        .first = at,
                        .last = at + (last - first),
                        .offset = first,
                        .region = (gmem_region *)(uintptr_t)region,
                        .host = NULL,
                        .attrs = attrs | (region->p.attrs & (GMEM_RANGE_ROMD | GMEM_RANGE_LOG_MASK)),
                    });
}

static void check_naive(struct world *world, const gmem_region *root, const struct gmem__ranges *whole)
{
    struct gmem__ranges taken = {0}, joined = {0};
    size_t i;

    read_topology(world);
    if (root)
        paint(world, root, 0, root->p.last, root->p.offset, 0, &taken);
    for (i = 0; i < taken.count; i++) {
        struct gmem__range *range = &taken.items[i];
        struct gmem__range *top = joined.count > 0 ? &joined.items[joined.count - 1] : NULL;

        if (range->region->ram)
            range->host = (uint8_t *)gmem_ram_host(range->region->ram) + range->offset;
        if (top && top->last + 1 == range->first && top->region == range->region && top->attrs == range->attrs &&
            top->offset + (range->first - top->first) == range->offset)
            top->last = range->last;
        else
            insert(&joined, joined.count, range);
    }
    check_same(world, "the rendering of the whole", whole, "the naive one", &joined);
    free(taken.items);
    free(joined.items);
    world->naive++;
}

/* --- trees --- */

/* The nodes of a tree that are at one height, from left to right. */
struct nodes {
    const struct gmem__node **items;
    size_t count, room;
};

static const struct gmem__inner *inner_of(const struct gmem__node *node)
{
    return (const struct gmem__inner *)(const void *)node;
}

static const struct gmem__leaf *leaf_of(const struct gmem__node *node)
{
    return (const struct gmem__leaf *)(const void *)node;
}

static uint64_t last_of(const struct gmem__node *node)
{
    return node->height == 0 ? leaf_of(node)->ranges[node->count - 1].last : inner_of(node)->last[node->count - 1];
}

static void nodes_add(struct nodes *nodes, const struct gmem__node *node)
{
    OK(gmem__grow((void **)&nodes->items, &nodes->room, nodes->count + 1, sizeof(const struct gmem__node *)));
    nodes->items[nodes->count++] = node;
}

/* The children of all nodes of a height. */
static struct nodes below(const struct nodes *nodes)
{
    struct nodes children = {0};

    for (size_t i = 0; i < nodes->count; i++) {
        for (uint32_t j = 0; j < nodes->items[i]->count; j++)
            nodes_add(&children, inner_of(nodes->items[i])->children[j]);
    }
    return children;
}

/* Returns the number of ranges; *at is the first address that is free, or *full. */
static size_t check_tree(const struct gmem__node *node, bool has_siblings, uint64_t *at, bool *full)
{
    uint32_t most = node->height == 0 ? GMEM__LEAF_MAX : GMEM__INNER_MAX;
    size_t count = 0;

    assert_in_range(node->count, has_siblings ? most * 3 / 8 : 1, most);
    for (uint32_t i = 0; i < node->count; i++) {
        if (node->height == 0) {
            const struct gmem__range *range = &leaf_of(node)->ranges[i];

            assert_false(*full);
            assert_true(range->first >= *at && range->last >= range->first);
            *full = range->last == GMEM__LAST;
            *at = range->last + 1;
            count++;
        } else {
            const struct gmem__node *child = inner_of(node)->children[i];

            assert_int_equal(child->height, node->height - 1);
            count += check_tree(child, node->count > 1, at, full);
            assert_int_equal(inner_of(node)->last[i], last_of(child));
        }
    }
    return count;
}

static int compare_pointers(const void *left, const void *right)
{
    const struct gmem__node *a = *(const struct gmem__node *const *)left, *b = *(const struct gmem__node *const *)right;

    return a < b ? -1 : a > b;
}

static void all_below(const struct gmem__node *node, bool whole, struct nodes *nodes)
{
    if (!node)
        return;
    nodes_add(nodes, node);
    for (uint32_t i = 0; whole && node->height > 0 && i < node->count; i++)
        all_below(inner_of(node)->children[i], true, nodes);
}

static bool has(const struct nodes *sorted, const struct gmem__node *node)
{
    return sorted->count > 0 &&
           bsearch(&node, sorted->items, sorted->count, sizeof(const struct gmem__node *), compare_pointers);
}

static void sort(struct nodes *nodes)
{
    if (nodes->count > 0)
        qsort(nodes->items, nodes->count, sizeof(const struct gmem__node *), compare_pointers);
}

/* Whether node i of a height has a place in it or beside it, or is where one would be put. */
static bool is_near(const struct nodes *nodes, size_t i, const struct places *places)
{
    uint64_t first = i > 0 ? last_of(nodes->items[i - 1]) : 0;
    uint64_t last = i + 1 < nodes->count ? last_of(nodes->items[i]) : GMEM__LAST;

    if (last < GMEM__LAST)
        last++;
    for (size_t k = 0; k < places->count; k++) {
        if (places->items[k].first <= last && places->items[k].last >= first)
            return true;
    }
    return false;
}

#define HELPERS 2u /* siblings that help a node which became too empty, on either side */

static void check_height(const struct nodes *before, const struct nodes *after, const struct places *places)
{
    bool *near = calloc(before->count + 1, sizeof(bool)), helped;

    assert_non_null(near);
    for (size_t i = 0; i < before->count; i++)
        near[i] = is_near(before, i, places);
    for (size_t i = 0; i < before->count; i++) {
        if (has(after, before->items[i]))
            continue;
        helped = false;
        for (size_t k = i > HELPERS ? i - HELPERS : 0; k <= i + HELPERS && k < before->count; k++)
            helped = helped || near[k];
        if (!helped)
            fail_msg("a node of height %u is not shared, though nothing was edited near 0x%llx",
                     before->items[i]->height, (unsigned long long)last_of(before->items[i]));
    }
    free(near);
}

/* What the version before has and after has not is its garbage. */
static void check_garbage(const gmem_view *before, const struct nodes *after)
{
    struct nodes garbage = {0}, had = {0};
    size_t gone = 0;

    for (size_t i = 0; i < before->garbage_count; i++)
        all_below(before->garbage[i].node, before->garbage[i].whole, &garbage);
    sort(&garbage);
    all_below(before->tree, true, &had);
    for (size_t i = 0; i < had.count; i++) {
        assert_int_equal(has(&garbage, had.items[i]), !has(after, had.items[i]));
        gone += !has(after, had.items[i]);
    }
    assert_int_equal(garbage.count, gone);
    free(garbage.items);
    free(had.items);
}

static void check_sharing(struct world *world, const gmem_view *before, const gmem_view *after,
                          const struct places *places)
{
    struct nodes sorted = {0}, height = {0}, lower;

    all_below(after->tree, true, &sorted);
    sort(&sorted);
    check_garbage(before, &sorted);
    /* Of very many edits at once, or where a listener asks for every range, all is made anew. */
    if (places->count > 0 && places->count <= 64 && !world->lost) {
        if (before->tree)
            nodes_add(&height, before->tree);
        while (height.count > 0) {
            check_height(&height, &sorted, places);
            lower = height.items[0]->height > 0 ? below(&height) : (struct nodes){0};
            free(height.items);
            height = lower;
        }
        world->shared++;
    }
    free(sorted.items);
}

/* --- places --- */

static void add_place(struct shown *shown, uint64_t first, uint64_t last)
{
    struct places *places = &shown->places;

    OK(gmem__grow((void **)&places->items, &places->room, places->count + 1, sizeof(*places->items)));
    /* What continues beside it may become one range with it. */
    places->items[places->count].first = first > 0 ? first - 1 : 0;
    places->items[places->count++].last = last < GMEM__LAST ? last + 1 : last;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > GMEM__LAST - b ? GMEM__LAST : a + b;
}

/*
 * [first, last] of region, upwards; the aliases of world are all that there are. An interval may
 * reach past the end of what it is in, and so come by the same alias over and over.
 */
static void climb(struct world *world, const gmem_region *region, uint64_t first, uint64_t last, unsigned depth)
{
    const gmem_region *alias;
    uint64_t low, high;
    size_t i;

    world->lost = world->lost || depth > 2 * GMEM_DEPTH_MAX || ++world->climbs > 10000;
    if (world->lost)
        return;
    for (i = 0; i < SPACES; i++) {
        if (world->spaces[i].view && gmem_view_root(world->spaces[i].view) == region &&
            world->spaces[i].places.count <= 64)
            add_place(&world->spaces[i], plus(first, region->p.offset), plus(last, region->p.offset));
    }
    if (region->p.container && first <= GMEM__LAST - region->p.offset)
        climb(world, region->p.container, first + region->p.offset, plus(last, region->p.offset), depth + 1);
    for (i = 0; i < ALIASES; i++) {
        alias = world->alias[i];
        low = gmem__max(first, alias->p.target_from);
        high = gmem__min(last, alias->p.target_from + alias->p.last);
        if (alias->p.target == region && low <= high)
            climb(world, alias, low - alias->p.target_from, high - alias->p.target_from, depth + 1);
    }
}

static void touch(struct world *world, gmem_region *region, uint64_t first, uint64_t last)
{
    struct touch item = {region, world->depth == 0, first, last};

    climb(world, region, first, last, 0);
    if (world->touched_count == sizeof(world->touched) / sizeof(world->touched[0])) {
        world->lost = true;
        return;
    }
    world->touched[world->touched_count++] = item;
    if (item.held)
        gmem_region_ref(region);
}

static void forget_touched(struct world *world)
{
    while (world->touched_count > 0) {
        if (world->touched[--world->touched_count].held)
            gmem_region_unref(world->touched[world->touched_count].region);
    }
}

void check_note_places(struct world *world, gmem_region *region)
{
    /* A transaction: the reclamation thread may free regions that are above. */
    OK(gmem_vm_begin(world->vm));
    touch(world, region, 0, region->p.last);
    if (region->p.container)
        touch(world, region->p.container, region->p.offset, region->p.offset + region->p.last);
    gmem_vm_abort(world->vm);
}

void check_note_again(struct world *world)
{
    OK(gmem_vm_begin(world->vm));
    for (size_t i = 0; i < world->touched_count; i++)
        climb(world, world->touched[i].region, world->touched[i].first, world->touched[i].last, 0);
    gmem_vm_abort(world->vm);
}

/* The places, and all of the ranges that they are in or beside. */
static void widen(const gmem_view *view, struct places *places)
{
    const struct gmem__range *range;

    for (size_t i = 0; i < places->count; i++) {
        range = gmem__view_find(view, places->items[i].first);
        if (range)
            places->items[i].first = gmem__min(places->items[i].first, range->first);
        range = gmem__view_find(view, places->items[i].last);
        if (range && range->first <= places->items[i].last)
            places->items[i].last = range->last;
    }
}

/* --- all --- */

static bool all_ranges_heard(const struct world *world)
{
    for (size_t i = 0; i < EARS; i++) {
        if (world->ears[i].registered && world->ears[i].listener.region_nop)
            return true;
    }
    return false;
}

static void check_new_view(struct world *world, struct shown *shown, const gmem_view *view,
                           const struct gmem__ranges *whole)
{
    struct gmem__ranges before = {0};
    uint64_t at = 0;
    bool full = false;

    assert_int_equal(view->count, view->tree ? check_tree(view->tree, false, &at, &full) : 0);
    assert_true(!view->tree || view->tree->height == 0 || view->tree->count > 1);
    if (shown->view && shown->view->next == view) {
        OK(gmem__view_ranges(shown->view, 0, GMEM__LAST, &before));
        assert_false(same_ranges(&before, whole));
        free(before.items);
        widen(shown->view, &shown->places);
        if (all_ranges_heard(world))
            shown->places.count = 0;
        check_sharing(world, shown->view, view, &shown->places);
    }
}

static void check_shown(struct world *world, struct shown *shown, const gmem_view *view)
{
    struct gmem__ranges now = {0}, whole = {0};

    if (view->root)
        OK(gmem__render(view->root, 0, GMEM__LAST, &whole));
    OK(gmem__view_ranges(view, 0, GMEM__LAST, &now));
    check_same(world, "the view", &now, "the rendering of the whole", &whole);
    assert_int_equal(gmem_view_count(view), whole.count);
    if (view != shown->view) {
        world->views++;
        world->ranges += whole.count;
        check_new_view(world, shown, view, &whole);
        check_naive(world, view->root, &whole);
    }
    free(now.items);
    free(whole.items);
}

struct account {
    gmem_space *space;
    uint64_t sum;
    size_t count;
};

static int account_range(void *opaque, const struct gmem__range *range)
{
    struct account *account = opaque;

    ear_account(account->space, range, &account->sum, &account->count);
    return 0;
}

static void check_ears(struct world *world)
{
    struct account accounts[SPACES];

    for (size_t i = 0; i < SPACES; i++) {
        accounts[i] = (struct account){.space = world->spaces[i].space};
        if (accounts[i].space)
            (void)gmem__tree_walk(world->spaces[i].view->tree, 0, GMEM__LAST, account_range, &accounts[i]);
    }
    for (struct ear *ear = world->ears; ear < world->ears + EARS; ear++) {
        uint64_t sum = 0;
        size_t count = 0;

        for (size_t i = 0; i < SPACES; i++) {
            if (ear->registered && (!ear->space || ear->space == accounts[i].space)) {
                sum += accounts[i].sum;
                count += accounts[i].count;
            }
        }
        assert_false(ear->inside);
        assert_int_equal(ear->count, count);
        assert_int_equal(ear->sum, sum);
    }
}

void check_unchanged(struct world *world)
{
    for (size_t i = 0; i < SPACES; i++) {
        if (world->spaces[i].space && world->spaces[i].view)
            assert_ptr_equal(gmem__space_view(world->spaces[i].space), world->spaces[i].view);
    }
}

void check_all(struct world *world)
{
    struct shown *shown, *other;
    gmem_region *root;
    gmem_view *view;

    world->checks++;
    OK(gmem_vm_begin(world->vm));
    for (shown = world->spaces; shown < world->spaces + SPACES; shown++) {
        if (!shown->space)
            continue;
        view = gmem_space_view(shown->space);
        root = gmem__render_root(gmem_space_root(shown->space));
        assert_ptr_equal(gmem_view_root(view), root);
        assert_ptr_equal(shown->space->shown, root ? root->shown : world->vm->none);
        for (other = world->spaces; other < shown && other->view != view; other++)
            ;
        if (other == shown)
            check_shown(world, shown, view);
        gmem_view_unref(shown->view);
        shown->view = view;
    }
    gmem_vm_abort(world->vm);
    for (shown = world->spaces; shown < world->spaces + SPACES; shown++)
        shown->places.count = 0;
    forget_touched(world);
    check_ears(world);
}

void check_hold(struct world *world, struct held *held, gmem_space *space)
{
    struct gmem__ranges now = {0};

    if (held->view) {
        OK(gmem__view_ranges(held->view, 0, GMEM__LAST, &now));
        check_same(world, "a held view", &now, "what it was", &held->ranges);
        gmem_view_unref(held->view);
        held->view = NULL;
        held->ranges.count = 0;
        free(now.items);
    }
    if (space) {
        held->view = gmem_space_view(space);
        OK(gmem__view_ranges(held->view, 0, GMEM__LAST, &held->ranges));
    }
}
