/* SPDX-License-Identifier: MIT */
/*
 * torture_actor.c - what a thread of test-torture reads and writes, by every way there is, and what must then be true however the
 * threads run. Letters are those of docs/concurrency.md.
 */
#include "torture.h"
#include <unistd.h>

#define NONE GMEM_ATTRS_NONE
#define DOZE_US 20000 /* liburcu frees some ten milliseconds later */

/* --- by any way ------------------------------------------------------------------------------------------------------ */

struct interval {
    uint64_t first, size;
};

static struct interval interval_of(const struct actor *actor, enum area area)
{
    switch (area) {
    case AREA_WINDOW:
        return (struct interval){WINDOW, WINDOW_PAGES * PAGE};
    case AREA_LEDGER:
        return (struct interval){LEDGER, PAGE};
    case AREA_OWN:
        return (struct interval){OWN + actor->id * PAGE, PAGE};
    case AREA_NOMADS:
        return (struct interval){NOMADS, HOMES * PAGE};
    case AREA_DENS:
        return (struct interval){DENS, HOMES * PAGE};
    default:
        return (struct interval){EXTRA, PAGE};
    }
}

static void open_cache(struct actor *actor, unsigned space, enum area area)
{
    struct interval interval = interval_of(actor, area);

    if (gmem_cache_init(&actor->caches[space][area], actor->map->spaces[space], interval.first, interval.size, NONE))
        wrong("a cache is refused");
}

static gmem_result load_found(struct actor *actor, unsigned space, uint64_t addr, uint64_t *ret_value)
{
    struct gmem_section section;
    const uint64_t *host;

    if (gmem_space_lookup(actor->map->spaces[space], addr, &section))
        return GMEM_RESULT_DECODE;
    host = gmem_section_host(&section);
    *ret_value = host ? __atomic_load_n(host + (addr - section.first) / 8, __ATOMIC_RELAXED) : 0;
    gmem_section_release(&section);
    return GMEM_OK;
}

static gmem_result load_mapped(struct actor *actor, unsigned space, uint64_t addr, uint64_t *ret_value)
{
    struct gmem_map map;

    if (gmem_map(actor->map->spaces[space], addr, NONE, sizeof(*ret_value), false, &map))
        return GMEM_RESULT_DECODE;
    if (map.bounced)
        wrong("RAM is mapped by a bounce buffer");
    *ret_value = __atomic_load_n((const uint64_t *)map.host, __ATOMIC_RELAXED);
    return gmem_unmap(&map, 0);
}

enum way { BY_READ, BY_PAIR, BY_LD, BY_CACHE_READ, BY_CACHE, BY_LOOKUP, BY_MAP, WAYS };

/* 8 bytes, aligned, of RAM. */
static uint64_t load_by(struct actor *actor, enum way way, unsigned space, enum area area, uint64_t offset)
{
    gmem_space *from = actor->map->spaces[space];
    struct gmem_cache *cache = &actor->caches[space][area];
    uint64_t addr = interval_of(actor, area).first + offset, value = 0, pair[2] = {0, 0};
    gmem_result result;

    switch (way) {
    case BY_READ:
        result = gmem_space_read(from, addr, NONE, &value, sizeof(value));
        break;
    case BY_PAIR:
        /* B */
        result = gmem_space_read(from, addr & ~(uint64_t)15, NONE, pair, sizeof(pair));
        if (area != AREA_OWN && area != AREA_WINDOW && pair[0] != pair[1])
            wrong("one access saw two views");
        value = pair[offset / 8 % 2];
        break;
    case BY_LD:
        result = gmem_ld64_native(from, addr, NONE, &value);
        break;
    case BY_CACHE_READ:
        result = gmem_cache_read(cache, offset, &value, sizeof(value));
        break;
    case BY_CACHE:
        result = gmem_cache_ld64_native(cache, offset, &value);
        break;
    case BY_LOOKUP:
        result = load_found(actor, space, addr, &value);
        break;
    default:
        result = load_mapped(actor, space, addr, &value);
        break;
    }
    if (result != GMEM_OK)
        wrong("a hole where there is always RAM");
    return value;
}

static uint64_t load(struct actor *actor, unsigned space, enum area area, uint64_t offset)
{
    return load_by(actor, (enum way)random_below(&actor->random, WAYS), space, area, offset);
}

static void store(struct actor *actor, unsigned space, enum area area, uint64_t offset, uint64_t value)
{
    gmem_space *to = actor->map->spaces[space];
    struct gmem_cache *cache = &actor->caches[space][area];
    uint64_t addr = interval_of(actor, area).first + offset;
    gmem_result result;

    switch (random_below(&actor->random, 4)) {
    case 0:
        result = gmem_space_write(to, addr, NONE, &value, sizeof(value));
        break;
    case 1:
        result = gmem_cache_write(cache, offset, &value, sizeof(value));
        break;
    case 2:
        result = gmem_st64_native(to, addr, NONE, value);
        break;
    default:
        result = gmem_cache_st64_native(cache, offset, value);
        break;
    }
    if (result != GMEM_OK)
        wrong("a store into a hole where there is always RAM");
}

static uint64_t host_word(uint8_t *host, uint64_t offset)
{
    return __atomic_load_n((uint64_t *)(void *)(host + offset), __ATOMIC_RELAXED);
}

static unsigned any_space(struct actor *actor)
{
    return (unsigned)random_below(&actor->random, SPACES);
}

static uint64_t next_value(struct actor *actor)
{
    return (uint64_t)(actor->id + 1) << 40 | ++actor->values;
}

/* --- its own page ---------------------------------------------------------------------------------------------------- */

/* C, F: it alone edits this page, so whatever the others do, each access after the edit meets the map of that edit. */
static void check_own(struct actor *actor)
{
    uint64_t offset = random_below(&actor->random, PAGE / 8) * 8, value = next_value(actor);
    uint8_t *below = actor->map->base_host + OWN + (size_t)actor->id * PAGE;
    uint64_t under = host_word(below, offset), over = host_word(actor->own_host, offset);

    if (load(actor, any_space(actor), AREA_OWN, offset) != (actor->own_enabled ? over : under))
        wrong("a load after a commit of the same thread meets the old map");
    store(actor, any_space(actor), AREA_OWN, offset, value);
    if (!actor->own_enabled)
        under = value;
    else if (!actor->own_readonly)
        over = value;
    if (host_word(below, offset) != under || host_word(actor->own_host, offset) != over)
        wrong("a store after a commit of the same thread meets the old map");
    if (load(actor, any_space(actor), AREA_OWN, offset) != (actor->own_enabled ? over : under))
        wrong("a word does not read as its only writer left it");
}

bool actor_switch(struct actor *actor, uint64_t value)
{
    bool enabled = value & 1, readonly = value & 2;

    if (!edited(gmem_vm_begin(actor->map->vm)))
        return false;
    if (gmem_region_set_enabled(actor->own, enabled) || gmem_region_set_readonly(actor->own, readonly))
        wrong("an edit in a transaction is refused");
    /* Undone or not published yet, it is not seen. */
    check_own(actor);
    if (value & 4) {
        gmem_vm_abort(actor->map->vm);
    } else if (edited(gmem_vm_commit(actor->map->vm))) {
        actor->own_enabled = enabled;
        actor->own_readonly = readonly;
    } else {
        check_own(actor);
        return false;
    }
    check_own(actor);
    return true;
}

void actor_own(struct actor *actor)
{
    uint64_t value = random_below(&actor->random, 8);

    if (random_chance(&actor->random, 50))
        (void)actor_switch(actor, value);
    else
        (void)gmem_st64_native(actor->map->spaces[any_space(actor)], SWITCH + actor->id * PAGE, NONE, value);
    check_own(actor);
}

/* --- what others change ---------------------------------------------------------------------------------------------- */

/* B, E: its own words behind the window; a store goes to one of the places that may be there, and to no other. */
static void check_window(struct actor *actor)
{
    uint64_t page = random_below(&actor->random, WINDOW_PAGES) * PAGE, offset = page + actor->id * 16u;
    uint8_t *const hosts[3] = {actor->map->base_host + WINDOW, actor->map->block_hosts[0], actor->map->block_hosts[1]};
    uint64_t before[3], value = next_value(actor);
    unsigned i, went = 0, seen = 0;

    for (i = 0; i < 3; i++)
        before[i] = host_word(hosts[i], offset);
    store(actor, any_space(actor), AREA_WINDOW, offset, value);
    for (i = 0; i < 3; i++) {
        uint64_t after = host_word(hosts[i], offset);

        went += after == value;
        if (after != before[i] && after != value)
            wrong("a word changed that its only writer left alone");
        before[i] = after;
    }
    if (went != 1)
        wrong("a store went nowhere, or to two places");
    value = load(actor, any_space(actor), AREA_WINDOW, offset);
    for (i = 0; i < 3; i++)
        seen += before[i] == value;
    if (seen == 0)
        wrong("a word reads as its only writer never left it");
}

/*
 * C, D: what a commit turned that returned before the load is seen, or something later that was begun; and in the same space never again
 * what came before what was seen. (Of another one nothing is said: a commit publishes what they show one after the other.)
 */
void actor_ledger(struct actor *actor)
{
    uint64_t turned = __atomic_load_n(&actor->map->turned, __ATOMIC_ACQUIRE);
    unsigned space = any_space(actor);
    uint64_t value = load(actor, space, AREA_LEDGER, random_below(&actor->random, PAGE / 8) * 8);
    uint64_t turning = __atomic_load_n(&actor->map->turning, __ATOMIC_ACQUIRE);
    uint64_t page = value - LEDGER_TAG, ahead;

    if (page >= LEDGER_PAGES) {
        wrong("something else where the ledger always is");
        return;
    }
    /* The pages come again and again: which time it is can be told only when they did not all pass meanwhile. */
    if (turning - turned >= LEDGER_PAGES)
        return;
    ahead = (page - turned) % LEDGER_PAGES;
    if (turned + ahead > turning || turned + ahead < actor->ledger_seen[space])
        wrong("a page of the ledger that commits have turned long ago");
    actor->ledger_seen[space] = turned + ahead;
}

/* value was loaded after moved was, and before moving is. */
static void check_extra(struct actor *actor, unsigned space, uint64_t moved, uint64_t value)
{
    uint64_t moving = __atomic_load_n(&actor->map->moving, __ATOMIC_ACQUIRE);

    if (value != BASE_TAG && (space != 3 || value != EXTRA_TAG))
        wrong("a page of another space");
    if (space == 3 && moved == moving && value != (moved % 2 ? EXTRA_TAG : BASE_TAG))
        wrong("a space that changed views is seen with its old one");
}

void actor_extra(struct actor *actor, unsigned space)
{
    uint64_t moved = __atomic_load_n(&actor->map->moved, __ATOMIC_ACQUIRE);

    check_extra(actor, space, moved, load(actor, space, AREA_EXTRA, random_below(&actor->random, PAGE / 8) * 8));
}

void actor_translate(struct actor *actor)
{
    struct gmem_cache cache;
    unsigned i;

    if (gmem_cache_init(&cache, actor->map->spaces[3], EXTRA, PAGE, NONE))
        wrong("a cache is refused");
    for (i = 0; i < 100; i++) {
        uint64_t moved = __atomic_load_n(&actor->map->moved, __ATOMIC_ACQUIRE), value = 0;

        if (gmem_cache_ld64_native(&cache, 0, &value) != GMEM_OK)
            wrong("a hole where there is always RAM");
        check_extra(actor, 3, moved, value);
    }
    gmem_cache_end(&cache);
}

static void check_den(struct actor *actor)
{
    uint64_t offset = random_below(&actor->random, HOMES * PAGE / 8) * 8;
    uint64_t value = load(actor, any_space(actor), AREA_DENS, offset);

    if (value != BASE_TAG && value >> 48 != DEN_TAG >> 48)
        wrong("RAM can be read of which nobody is left");
}

/*
 * A, H: read one place by one way, then do nothing for a while that orders memory with other threads. What is freed meanwhile is not what
 * was read here: or the thread sanitizer would see both.
 */
void actor_doze(struct actor *actor)
{
    static const enum way ways[] = {BY_LD, BY_READ, BY_CACHE, BY_CACHE_READ};
    enum way way = ways[random_below(&actor->random, 4)];
    enum area area = random_chance(&actor->random, 75) ? AREA_DENS : AREA_EXTRA;
    uint64_t offset = area == AREA_DENS ? random_below(&actor->random, HOMES) * PAGE : 0;
    unsigned space = area == AREA_DENS ? any_space(actor) : 3;

    /* The second time by the hint or the window that the first one left. */
    (void)load_by(actor, way, space, area, offset);
    (void)load_by(actor, way, space, area, offset);
    usleep(DOZE_US);
}

static void use_nomads(struct actor *actor)
{
    uint64_t offset = random_below(&actor->random, HOMES) * PAGE;
    unsigned space = any_space(actor);
    uint32_t value = (uint32_t)random_u64(&actor->random), got = 0;
    gmem_result result;

    /* Where none is there is RAM. */
    if (random_chance(&actor->random, 50))
        result = gmem_st32_native(actor->map->spaces[space], NOMADS + offset, NONE, value);
    else
        result = gmem_cache_st32_native(&actor->caches[space][AREA_NOMADS], offset, value);
    result |= gmem_ld32_native(actor->map->spaces[space], NOMADS + offset + 8, NONE, &got);
    result |= gmem_cache_ld32_native(&actor->caches[space][AREA_NOMADS], offset + 8, &got);
    result |= gmem_ld32_native(actor->map->spaces[space], CLUTTER + offset, NONE, &got);
    if (result != GMEM_OK)
        wrong("neither a device nor RAM where one of them always is");
}

/* --- what is held ---------------------------------------------------------------------------------------------------- */

struct walk {
    uint64_t next, sum;
};

static int walk_range(void *opaque, const struct gmem_section *section)
{
    struct walk *walk = opaque;

    if (section->first != walk->next || section->last < section->first)
        wrong("a view with a hole or an overlap");
    if (strcmp(gmem_region_name(section->region), "") == 0)
        wrong("a view of regions without names");
    walk->next = section->last + 1;
    walk->sum = (walk->sum ^ section->first ^ section->offset ^ (uintptr_t)section->region) * 0x9e3779b97f4a7c15u;
    return 0;
}

static uint64_t view_sum(const gmem_view *view)
{
    struct walk walk = {0, 0};

    (void)gmem_view_foreach(view, walk_range, &walk);
    if (walk.next != SIZE)
        wrong("a view that ends too early or too late");
    return walk.sum;
}

/* H: held for a while, a view does not change. */
static void hold_view(struct actor *actor)
{
    uint64_t i = random_below(&actor->random, HELD);

    if (actor->views[i]) {
        if (view_sum(actor->views[i]) != actor->view_sums[i])
            wrong("a view changed");
        gmem_view_unref(actor->views[i]);
        actor->views[i] = NULL;
    } else {
        actor->views[i] = gmem_space_view(actor->map->spaces[any_space(actor)]);
        actor->view_sums[i] = view_sum(actor->views[i]);
    }
}

static void hold_section(struct actor *actor)
{
    struct gmem_section *section = &actor->sections[random_below(&actor->random, HELD)];
    uint64_t addr = random_below(&actor->random, 2) ? NOMADS + random_below(&actor->random, HOMES * PAGE)
                                                    : random_below(&actor->random, SIZE);

    if (!section->region) {
        if (gmem_space_lookup(actor->map->spaces[any_space(actor)], addr, section))
            wrong("nothing found where there is always something");
        else if (addr < section->first || addr > section->last)
            wrong("a range found that the address is not in");
    } else {
        if (gmem_region_vm(section->region) != actor->map->vm)
            wrong("a region is gone that a lookup holds");
        if (strcmp(gmem_region_name(section->region), "nomad") == 0)
            nomad_check(gmem_region_opaque(section->region));
        gmem_section_release(section);
    }
}

/* A region that is placed nowhere, of any thread, while others edit. */
static void make_fleeting(struct actor *actor)
{
    gmem_region *alias = NULL;

    if (gmem_region_create_alias(actor->map->vm, "fleeting", actor->map->base, 0, GMEM_SIZE(PAGE), NULL, &alias))
        wrong("a region can't be made");
    gmem_region_unref(alias);
}

static void renew_cache(struct actor *actor)
{
    unsigned space = any_space(actor);
    enum area area = (enum area)random_below(&actor->random, AREAS);

    gmem_cache_end(&actor->caches[space][area]);
    open_cache(actor, space, area);
}

/* --------------------------------------------------------------------------------------------------------------------- */

void actor_open(struct actor *actor)
{
    unsigned space, area;

    for (space = 0; space < SPACES; space++) {
        for (area = 0; area < AREAS; area++)
            open_cache(actor, space, (enum area)area);
    }
}

void actor_close(struct actor *actor)
{
    unsigned i, space, area;

    for (i = 0; i < HELD; i++) {
        gmem_view_unref(actor->views[i]);
        gmem_section_release(&actor->sections[i]);
    }
    for (space = 0; space < SPACES; space++) {
        for (area = 0; area < AREAS; area++)
            gmem_cache_end(&actor->caches[space][area]);
    }
}

void actor_look(struct actor *actor)
{
    unsigned i;

    for (i = 0; i < 8; i++) {
        actor_ledger(actor);
        check_window(actor);
        actor_extra(actor, any_space(actor));
        check_den(actor);
    }
    check_own(actor);
    hold_section(actor);
    if (random_chance(&actor->random, 25))
        use_nomads(actor);
    if (random_chance(&actor->random, 25))
        hold_view(actor);
    if (random_chance(&actor->random, 10))
        renew_cache(actor);
    if (random_chance(&actor->random, 10))
        make_fleeting(actor);
    if (actor->id < READERS && random_chance(&actor->random, 4))
        actor_doze(actor);
    __atomic_fetch_add(&actor->rounds, 1, __ATOMIC_RELAXED);
}
