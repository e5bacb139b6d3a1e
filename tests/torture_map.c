/* SPDX-License-Identifier: MIT */
/* torture_map.c - the map of test-torture, and the devices on it that change it in their callbacks (G, I of docs/concurrency.md). */
#include "torture.h"
#include "rcu.h"

static const char *first_wrong; /* atomic */

void wrong(const char *what)
{
    const char *none = NULL;

    (void)__atomic_compare_exchange_n(&first_wrong, &none, what, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

const char *what_was_wrong(void)
{
    return __atomic_load_n(&first_wrong, __ATOMIC_RELAXED);
}

bool edited(int err)
{
    if (err && err != -EIO)
        wrong("an edit fails that nobody refused");
    return !err;
}

static void fill(void *host, uint64_t size, uint64_t value)
{
    uint64_t *words = host, i;

    for (i = 0; i < size / sizeof(*words); i++)
        words[i] = value;
}

/* --- nomads ---------------------------------------------------------------------------------------------------------- */

#define ALIVE 0xa11fe0u
#define DEAD 0xdeadu

/* A device that is freed with the last reference on it: its creator's, which goes with its removal, and the library's. */
struct nomad {
    unsigned state;
    struct map *map;
    gmem_region *region, *den;
    gmem_ram *ram; /* of the den */
    long refs;     /* atomic */
    long reached;  /* atomic: those of the library */
    bool leaving;  /* atomic: somebody removes it */
};

static void nomad_put(struct nomad *nomad)
{
    if (__atomic_sub_fetch(&nomad->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    nomad->state = DEAD;
    /* Plainly: if somebody can still reach it the thread sanitizer sees both, and the reader reads this. */
    memset(gmem_ram_host(nomad->ram), 0xee, PAGE);
    gmem_ram_unref(nomad->ram);
    __atomic_fetch_sub(&nomad->map->nomads, 1, __ATOMIC_RELAXED);
    free(nomad);
}

static void nomad_ref(void *opaque)
{
    struct nomad *nomad = opaque;

    __atomic_fetch_add(&nomad->refs, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&nomad->reached, 1, __ATOMIC_RELAXED);
}

static void nomad_unref(void *opaque)
{
    struct nomad *nomad = opaque;

    if (__atomic_sub_fetch(&nomad->reached, 1, __ATOMIC_RELAXED) < 0)
        wrong("an owner is let go more often than it was taken");
    nomad_put(nomad);
}

static void nomad_alive(const struct nomad *nomad)
{
    if (nomad->state != ALIVE || __atomic_load_n(&nomad->reached, __ATOMIC_RELAXED) <= 0)
        wrong("a device that can be reached is gone");
}

void nomad_check(const void *opaque)
{
    nomad_alive(opaque);
}

static struct nomad *nomad_new(struct map *map, uint64_t home);

/* What its creator holds. */
static void nomad_drop(struct nomad *nomad)
{
    gmem_region_unref(nomad->region);
    gmem_region_unref(nomad->den);
    nomad_put(nomad);
}

/* Another takes its place. */
static void nomad_leave(struct nomad *nomad, uint64_t home)
{
    struct map *map = nomad->map;
    struct nomad *next;

    if (__atomic_exchange_n(&nomad->leaving, true, __ATOMIC_RELAXED))
        return;
    if (!edited(gmem_vm_begin(map->vm)))
        return;
    if (gmem_region_remove(map->board, nomad->region) || gmem_region_remove(map->board, nomad->den))
        wrong("a nomad is not where it was placed");
    next = nomad_new(map, home);
    if (edited(gmem_vm_commit(map->vm))) {
        nomad_drop(nomad);
    } else {
        if (next)
            nomad_drop(next);
        __atomic_store_n(&nomad->leaving, false, __ATOMIC_RELAXED);
    }
}

static void nomad_hide(struct nomad *nomad)
{
    unsigned tries = 0;

    if (!edited(gmem_region_set_enabled(nomad->region, false)))
        return;
    while (!edited(gmem_region_set_enabled(nomad->region, true)) && ++tries < 100)
        ;
}

static void nomad_undo(struct nomad *nomad, uint64_t home)
{
    if (!edited(gmem_vm_begin(nomad->map->vm)))
        return;
    (void)edited(gmem_region_move(nomad->region, home));
    (void)edited(gmem_region_resize(nomad->region, GMEM_SIZE(0x10)));
    gmem_vm_abort(nomad->map->vm);
}

static gmem_result nomad_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    struct nomad *nomad = opaque;
    uint64_t value = 0;

    (void)offset, (void)size;
    nomad_alive(nomad);
    if (gmem_ld64_native(nomad->map->spaces[0], 0x100, attrs, &value) != GMEM_OK || value != BASE_TAG)
        wrong("a device does not see what is always there");
    *ret_value = 1;
    return GMEM_OK;
}

static gmem_result nomad_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct nomad *nomad = opaque;
    uint64_t home = NOMADS + value / 8 % HOMES * PAGE;

    (void)offset, (void)size, (void)attrs;
    nomad_alive(nomad);
    count_one(&nomad->map->calls);
    switch (value % 8) {
    case 0:
        nomad_leave(nomad, home);
        break;
    case 1:
        nomad_hide(nomad);
        break;
    case 2:
        nomad_undo(nomad, home);
        break;
    default:
        (void)edited(gmem_region_move(nomad->region, home));
        break;
    }
    nomad_alive(nomad);
    if (gmem_region_vm(nomad->region) != nomad->map->vm)
        wrong("the region of a device is gone during its callback");
    return GMEM_OK;
}

static struct nomad *nomad_new(struct map *map, uint64_t home)
{
    const struct gmem_mmio_ops ops = {.read = nomad_read, .write = nomad_write};
    struct nomad *nomad = calloc(1, sizeof(*nomad));
    struct gmem_owner owner = {.opaque = nomad, .ref = nomad_ref, .unref = nomad_unref};
    uint64_t serial = __atomic_add_fetch(&map->dens, 1, __ATOMIC_RELAXED);
    char id[32];

    (void)snprintf(id, sizeof(id), "den %llu", (unsigned long long)serial);
    if (!nomad || gmem_region_create_mmio(map->vm, "nomad", GMEM_SIZE(PAGE), &ops, nomad, &owner, &nomad->region) ||
        gmem_ram_create_anon(map->vm, id, PAGE, &nomad->ram) ||
        gmem_region_create_ram(map->vm, "den", nomad->ram, &owner, &nomad->den)) {
        wrong("no nomad can be made");
        free(nomad);
        return NULL;
    }
    fill(gmem_ram_host(nomad->ram), PAGE, DEN_TAG + serial);
    nomad->state = ALIVE;
    nomad->map = map;
    nomad->refs = 1;
    __atomic_fetch_add(&map->nomads, 1, __ATOMIC_RELAXED);
    if (gmem_region_add_priority(map->board, home, nomad->region, 1) ||
        gmem_region_add_priority(map->board, home - NOMADS + DENS, nomad->den, 1))
        wrong("a nomad can't be placed");
    return nomad;
}

/* --- the pages and switches of actors -------------------------------------------------------------------------------- */

static void actor_ref(void *opaque)
{
    __atomic_fetch_add(&((struct actor *)opaque)->reached, 1, __ATOMIC_RELAXED);
}

static void actor_unref(void *opaque)
{
    __atomic_fetch_sub(&((struct actor *)opaque)->reached, 1, __ATOMIC_RELAXED);
}

static gmem_result switch_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static gmem_result switch_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct actor *actor = opaque;

    (void)offset, (void)size, (void)attrs;
    if (__atomic_load_n(&actor->reached, __ATOMIC_RELAXED) <= 0)
        wrong("a switch is called whose owner is not referenced");
    return actor_switch(actor, value) ? GMEM_OK : GMEM_RESULT_DEVICE;
}

/* --- the map --------------------------------------------------------------------------------------------------------- */

static gmem_region *ram_of(struct map *map, const char *name, uint64_t size, const struct gmem_owner *owner,
                           uint64_t tag, uint8_t **ret_host)
{
    gmem_region *region = NULL;
    gmem_ram *ram = NULL;

    OK(gmem_ram_create_anon(map->vm, name, size, &ram));
    OK(gmem_region_create_ram(map->vm, name, ram, owner, &region));
    *ret_host = gmem_ram_host(ram);
    fill(*ret_host, size, tag);
    gmem_ram_unref(ram);
    return region;
}

static void make_own(struct map *map, struct actor *actor)
{
    const struct gmem_mmio_ops ops = {.read = switch_read, .write = switch_write};
    const struct gmem_owner owner = {.opaque = actor, .ref = actor_ref, .unref = actor_unref};
    char name[16];

    (void)snprintf(name, sizeof(name), "own %u", actor->id);
    actor->own = ram_of(map, name, PAGE, &owner, 0, &actor->own_host);
    OK(gmem_region_create_mmio(map->vm, "switch", GMEM_SIZE(PAGE), &ops, actor, &owner, &actor->own_switch));
    OK(gmem_region_set_enabled(actor->own, false));
    OK(gmem_region_add_priority(map->board, OWN + actor->id * PAGE, actor->own, 1));
    OK(gmem_region_add_priority(map->board, SWITCH + actor->id * PAGE, actor->own_switch, 1));
}

static void make_spaces(struct map *map)
{
    unsigned i;

    for (i = 0; i < 2; i++) {
        map->roots[i] = make_container(map->vm, i ? "now and then" : "more", GMEM_SIZE_ALL);
        map->views[i] = make_alias(map->vm, "board", map->board, 0, GMEM_SIZE_ALL);
        OK(gmem_region_add(map->roots[i], 0, map->views[i]));
    }
    OK(gmem_region_add_priority(map->roots[0], SIZE - PAGE, map->quirk, 1));
    OK(gmem_region_set_enabled(map->extra, false));
    OK(gmem_region_add_priority(map->roots[1], EXTRA, map->extra, 1));
    map->spaces[0] = make_space(map->vm, "first", map->board);
    map->spaces[1] = make_space(map->vm, "second", map->board);
    map->spaces[2] = make_space(map->vm, "more", map->roots[0]);
    map->spaces[3] = make_space(map->vm, "now and then", map->roots[1]);
}

/* A line of log: whoever gets it may read. */
static void hear_log(void *opaque, enum gmem_log_level level, const char *text)
{
    struct map *map = opaque;
    uint64_t value = 0;

    (void)level, (void)text;
    count_one(&map->told);
    if (gmem_ld64_native(map->spaces[0], 0x100, GMEM_ATTRS_NONE, &value) != GMEM_OK || value != BASE_TAG)
        wrong("a log callback does not see what is always there");
}

void map_make(struct map *map, struct actor *actors)
{
    const struct gmem_vm_options options = {.struct_size = sizeof(options), .log = hear_log, .log_opaque = map};
    uint8_t *host = NULL;
    uint64_t i;
    unsigned k;

    OK(gmem_vm_create(&options, &map->vm));
    map->board = make_container(map->vm, "board", GMEM_SIZE_ALL);
    map->base = ram_of(map, "base", SIZE, NULL, BASE_TAG, &map->base_host);
    OK(gmem_region_add_priority(map->board, 0, map->base, -1));
    for (k = 0; k < 2; k++) {
        map->blocks[k] = ram_of(map, k ? "block b" : "block a", WINDOW_PAGES * PAGE, NULL, 0, &map->block_hosts[k]);
        map->fronts[k] = make_alias(map->vm, "front", map->blocks[k], 0, GMEM_SIZE(WINDOW_PAGES * PAGE));
        OK(gmem_region_add_priority(map->board, WINDOW, map->fronts[k], 1 + (int32_t)k));
    }
    map->pages = ram_of(map, "pages", LEDGER_PAGES * PAGE, NULL, 0, &host);
    for (i = 0; i < LEDGER_PAGES * PAGE; i += 8)
        *(uint64_t *)(void *)(host + i) = LEDGER_TAG + i / PAGE;
    map->ledger = make_alias(map->vm, "ledger", map->pages, 0, GMEM_SIZE(PAGE));
    OK(gmem_region_add_priority(map->board, LEDGER, map->ledger, 1));
    map->extra = ram_of(map, "extra", PAGE, NULL, EXTRA_TAG, &host);
    map->quirk = make_mmio(map->vm, "quirk", GMEM_SIZE(PAGE));
    for (k = 0; k < WRITERS * CLUTTER_COUNT; k++) {
        gmem_region **region = &map->clutter[k / CLUTTER_COUNT][k % CLUTTER_COUNT];

        *region = make_mmio(map->vm, "clutter", GMEM_SIZE(2 * PAGE));
        OK(gmem_region_add_priority(map->board, CLUTTER + k * PAGE, *region, (int32_t)(k % 3)));
    }
    for (k = 0; k < ACTORS; k++)
        make_own(map, &actors[k]);
    for (k = 0; k < NOMAD_COUNT; k++)
        assert_non_null(nomad_new(map, NOMADS + k * PAGE));
    make_spaces(map);
}

/* Take the nomads that are left out of the board. */
static void end_nomads(struct map *map)
{
    gmem_region *region, *next;
    struct nomad *nomad;

    OK(gmem_vm_begin(map->vm));
    for (region = gmem_region_first_child(map->board); region; region = next) {
        next = gmem_region_next_sibling(region);
        if (strcmp(gmem_region_name(region), "nomad") != 0)
            continue;
        nomad = gmem_region_opaque(region);
        if (next == nomad->den)
            next = gmem_region_next_sibling(next);
        OK(gmem_region_remove(map->board, region));
        OK(gmem_region_remove(map->board, nomad->den));
        nomad_drop(nomad);
    }
    OK(gmem_vm_commit(map->vm));
}

static void put_all(gmem_region *const *regions, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        gmem_region_unref(regions[i]);
}

void map_end(struct map *map, struct actor *actors)
{
    struct gmem_vm_stats stats;
    unsigned i;

    gmem__rcu_barrier();
    assert_int_equal(map->nomads, NOMAD_COUNT);
    end_nomads(map);
    for (i = 0; i < SPACES; i++)
        gmem_space_destroy(map->spaces[i]);
    put_all((gmem_region *const[]){map->board, map->base, map->pages, map->ledger, map->extra, map->quirk}, 6);
    put_all(map->blocks, 2);
    put_all(map->fronts, 2);
    put_all(map->roots, 2);
    put_all(map->views, 2);
    put_all(&map->clutter[0][0], WRITERS * CLUTTER_COUNT);
    for (i = 0; i < ACTORS; i++)
        put_all((gmem_region *const[]){actors[i].own, actors[i].own_switch}, 2);
    gmem__rcu_barrier();
    gmem_vm_stats(map->vm, &stats);
    assert_int_equal(stats.regions, 0);
    assert_int_equal(map->nomads, 0);
    for (i = 0; i < ACTORS; i++)
        assert_int_equal(actors[i].reached, 0);
    gmem_vm_destroy(map->vm);
}
