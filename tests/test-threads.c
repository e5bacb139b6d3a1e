/* SPDX-License-Identifier: MIT */
/*
 * test-threads.c - everything at once: readers look up, walk views and access while several writers
 * edit, create and end spaces and listeners; and devices that move and remove themselves from
 * inside their own callbacks (G2, G3, G6, G7; A, E, G, H, I of docs/concurrency.md).
 *
 * Counted rounds, no timing: what is asserted holds however the threads run. ThreadSanitizer is the
 * other half of it.
 */
#include "support.h"
#include <errno.h>
#include <pthread.h>

#define ROUNDS 400
#define READERS 2
#define WRITERS 2

struct shared {
    gmem_vm *vm;
    gmem_region *root;
    gmem_region *fixed; /* under everything, never touched */
    gmem_region *moving[WRITERS];
    gmem_space *space;
    unsigned next_writer; /* atomic */
    bool stop;            /* atomic */
    const char *wrong;    /* atomic: what a thread saw that can't be */
};

static void wrong(struct shared *shared, const char *what)
{
    __atomic_store_n(&shared->wrong, what, __ATOMIC_RELAXED);
}

static bool stopped(struct shared *shared)
{
    return __atomic_load_n(&shared->stop, __ATOMIC_RELAXED);
}

static void start(pthread_t *thread, void *(*run)(void *), void *opaque)
{
    assert_int_equal(pthread_create(thread, NULL, run, opaque), 0);
}

static void join(const pthread_t *threads, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/*
 * --- readers and writers
 * ------------------------------------------------------------------------------
 */

struct walk {
    struct shared *shared;
    uint64_t next; /* first address not seen yet */
    bool open;     /* there is one */
};

/*
 * The fixed region is under all: a view has no holes below 1 MiB, and each range is where its
 * region says.
 */
static int walk_range(void *opaque, const struct gmem_section *section)
{
    struct walk *walk = opaque;

    if (!walk->open || section->first != walk->next || section->last < section->first)
        wrong(walk->shared, "a view with a hole or an overlap");
    if (section->region == walk->shared->fixed && section->offset != section->first)
        wrong(walk->shared, "a range of the fixed region at another offset");
    walk->next = section->last + 1;
    walk->open = section->last != UINT64_MAX;
    return 0;
}

static void look(struct shared *shared, uint64_t addr)
{
    struct gmem_section section;
    uint32_t value = 0;

    if (gmem_space_lookup(shared->space, addr, &section)) {
        wrong(shared, "nothing found where there always is something");
        return;
    }
    if (addr < section.first || addr > section.last)
        wrong(shared, "found a range that the address is not in");
    if (gmem_region_kind(section.region) != GMEM_KIND_MMIO)
        wrong(shared, "found a region of another kind");
    gmem_section_release(&section);
    if (gmem_ld32_le(shared->space, addr & ~3ull, GMEM_ATTRS_NONE, &value) != GMEM_OK)
        wrong(shared, "a read of what is always there fails");
}

static void *read_all(void *opaque)
{
    struct shared *shared = opaque;

    for (uint64_t i = 0; !stopped(shared); i++) {
        gmem_view *view = gmem_space_view(shared->space);
        struct walk walk = {shared, 0, true};
        struct gmem_section section;

        gmem_view_foreach(view, walk_range, &walk);
        if (walk.next != 0x100000)
            wrong(shared, "a view that ends too early");
        if (gmem_view_find(view, i * 0x777 % 0x100000, &section) || section.last < i * 0x777 % 0x100000)
            wrong(shared, "view_find misses");
        look(shared, i * 0x123 % 0x100000);
        gmem_view_unref(view);
    }
    return NULL;
}

/*
 * Moves, hides and takes out a region of its own, in turns alone and in transactions, some of them
 * aborted.
 */
static void edit_round(struct shared *shared, gmem_region *mine, unsigned i)
{
    if (gmem_region_move(mine, (uint64_t)(i * 37 % 200) * 0x1000))
        wrong(shared, "a move is refused");
    if (gmem_vm_begin(shared->vm)) {
        wrong(shared, "begin is refused");
        return;
    }
    if (gmem_region_set_enabled(mine, i % 3 != 0) || gmem_region_remove(shared->root, mine))
        wrong(shared, "an edit in a transaction is refused");
    if (i % 4 == 0) {
        gmem_vm_abort(shared->vm);
    } else if (gmem_region_add_priority(shared->root, (uint64_t)(i % 150) * 0x1000, mine, 1) ||
               gmem_vm_commit(shared->vm)) {
        wrong(shared, "a commit is refused");
    }
}

static void *edit_all(void *opaque)
{
    struct shared *shared = opaque;
    gmem_region *mine = shared->moving[__atomic_fetch_add(&shared->next_writer, 1, __ATOMIC_RELAXED)];

    for (unsigned i = 0; i < ROUNDS; i++)
        edit_round(shared, mine, i);
    return NULL;
}

struct ear {
    struct gmem_listener listener;
    long ranges; /* known now; only with the writer turn */
};

static int hear_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)section;
    ((struct ear *)listener->opaque)->ranges++;
    return 0;
}

static int hear_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)section;
    ((struct ear *)listener->opaque)->ranges--;
    return 0;
}

/* Spaces and listeners come and go meanwhile. */
static void *attach_all(void *opaque)
{
    struct shared *shared = opaque;
    struct ear ear = {.listener = {.struct_size = sizeof(ear.listener)}};

    ear.listener.opaque = &ear;
    ear.listener.region_add = hear_add;
    ear.listener.region_del = hear_del;
    for (unsigned i = 0; i < ROUNDS / 4; i++) {
        gmem_space *another;

        if (gmem_space_create(shared->vm, "another", i % 2 ? shared->root : shared->fixed, NULL, &another)) {
            wrong(shared, "a space is refused");
            return NULL;
        }
        if (gmem_listener_register(shared->vm, i % 3 ? another : NULL, &ear.listener))
            wrong(shared, "a listener is refused");
        gmem_listener_unregister(shared->vm, &ear.listener);
        if (ear.ranges != 0)
            wrong(shared, "a listener that is gone knows of ranges");
        gmem_space_destroy(another);
    }
    return NULL;
}

static void test_readers_and_writers(void **state)
{
    struct shared shared = {0};
    pthread_t readers[READERS];
    pthread_t writers[WRITERS + 1];

    (void)state;
    shared.vm = make_vm();
    shared.root = make_container(shared.vm, "root", GMEM_SIZE_ALL);
    shared.fixed = make_mmio(shared.vm, "fixed", GMEM_SIZE(0x100000));
    OK(gmem_region_add_priority(shared.root, 0, shared.fixed, -1));
    for (unsigned i = 0; i < WRITERS; i++) {
        shared.moving[i] = make_mmio(shared.vm, "moving", GMEM_SIZE(0x4000));
        OK(gmem_region_add_priority(shared.root, 0, shared.moving[i], 1));
    }
    shared.space = make_space(shared.vm, "space", shared.root);
    for (unsigned i = 0; i < READERS; i++)
        start(&readers[i], read_all, &shared);
    for (unsigned i = 0; i < WRITERS; i++)
        start(&writers[i], edit_all, &shared);
    start(&writers[WRITERS], attach_all, &shared);
    join(writers, WRITERS + 1);
    __atomic_store_n(&shared.stop, true, __ATOMIC_RELAXED);
    join(readers, READERS);
    if (shared.wrong)
        fail_msg("%s", shared.wrong);
    gmem_vm_destroy(shared.vm);
}

/*
 * --- devices that move themselves
 * ----------------------------------------------------------------------
 */

#define HOMES 8u

/* A write moves the device to the home that was written; a write of HOMES takes it out. */
struct mover {
    struct shared *shared;
    gmem_region *region;
    long reached;         /* owner references; atomic */
    unsigned long writes; /* atomic */
};

static gmem_result mover_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    struct mover *mover = opaque;

    (void)offset, (void)size, (void)attrs;
    if (__atomic_load_n(&mover->reached, __ATOMIC_ACQUIRE) <= 0)
        wrong(mover->shared, "a callback of a device whose owner is not referenced");
    *ret_value = 1;
    return GMEM_OK;
}

static gmem_result mover_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct mover *mover = opaque;
    int err;

    (void)offset, (void)size, (void)attrs;
    __atomic_fetch_add(&mover->writes, 1, __ATOMIC_RELAXED);
    if (value < HOMES)
        err = gmem_region_move(mover->region, value * 0x1000);
    else
        err = gmem_region_remove(mover->shared->root, mover->region);
    /* another thread's write, which found it in an older view, may have taken it out first */
    if (err && !(value == HOMES && err == -ENOENT))
        wrong(mover->shared, "a device can't move itself");
    if (__atomic_load_n(&mover->reached, __ATOMIC_ACQUIRE) <= 0)
        wrong(mover->shared, "a device's owner was let go during its callback");
    return GMEM_OK;
}

static void mover_ref(void *opaque)
{
    __atomic_fetch_add(&((struct mover *)opaque)->reached, 1, __ATOMIC_ACQ_REL);
}

static void mover_unref(void *opaque)
{
    __atomic_fetch_sub(&((struct mover *)opaque)->reached, 1, __ATOMIC_ACQ_REL);
}

/* Writes to every home in turn: whatever is there goes elsewhere. */
static void *chase(void *opaque)
{
    struct shared *shared = opaque;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t value;

        (void)gmem_st32_le(shared->space, (uint64_t)(i % HOMES) * 0x1000, GMEM_ATTRS_NONE, (i * 5 + 3) % HOMES);
        (void)gmem_ld32_le(shared->space, (uint64_t)(i % HOMES) * 0x1000, GMEM_ATTRS_NONE, &value);
    }
    return NULL;
}

/* Takes out what it finds. */
static void *expel(void *opaque)
{
    struct shared *shared = opaque;

    for (uint64_t i = 0; i < HOMES; i++)
        (void)gmem_st32_le(shared->space, i * 0x1000, GMEM_ATTRS_NONE, HOMES);
    return NULL;
}

static void test_devices_that_move_themselves(void **state)
{
    struct shared shared = {0};
    struct mover movers[3] = {0};
    pthread_t threads[3];
    gmem_view *view;

    (void)state;
    shared.vm = make_vm();
    shared.root = make_container(shared.vm, "root", GMEM_SIZE_ALL);
    shared.space = make_space(shared.vm, "space", shared.root);
    for (unsigned i = 0; i < 3; i++) {
        struct gmem_mmio_ops ops = {.read = mover_read, .write = mover_write};
        struct gmem_owner owner = {.opaque = &movers[i], .ref = mover_ref, .unref = mover_unref};

        movers[i].shared = &shared;
        OK(gmem_region_create_mmio(shared.vm, "mover", GMEM_SIZE(0x1000), &ops, &movers[i], &owner, &movers[i].region));
        OK(gmem_region_add(shared.root, (uint64_t)i * 0x1000, movers[i].region));
        assert_true(movers[i].reached > 0);
    }
    for (unsigned i = 0; i < 3; i++)
        start(&threads[i], chase, &shared);
    join(threads, 3);
    /* They may have hidden each other: again until all are out. */
    for (unsigned left = 1; left > 0;) {
        for (unsigned i = 0; i < 3; i++)
            start(&threads[i], expel, &shared);
        join(threads, 3);
        view = gmem_space_view(shared.space);
        left = (unsigned)gmem_view_count(view);
        gmem_view_unref(view);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_null(gmem_region_container(movers[i].region));
        gmem_region_unref(movers[i].region);
    }
    gmem_vm_destroy(shared.vm);
    if (shared.wrong)
        fail_msg("%s", shared.wrong);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(movers[i].reached, 0);
        assert_true(movers[i].writes > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_and_writers),
        cmocka_unit_test(test_devices_that_move_themselves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
