/* SPDX-License-Identifier: MIT */
/*
 * test-touched.c - an edit goes to few of a region's siblings, whatever their number and their
 * priorities: counted, not timed. Each sibling is put on a page of its own, which can't be accessed
 * while an edit is made; the fault of the first access is counted.
 *
 * Linked with the allocator wrapped, with functions of its own.
 */
#include "rcu.h"
#include "support.h"
#include <signal.h>
#include <sys/mman.h>

#define FEW 1000u
#define MANY 10000u
#define PAGE 0x1000u
#define STRIDE 0x20u
#define WIDTH 0x10u
#define EDITS 50u

/* Paths through a tree of 10,000 and some neighbours: about 50. Its shape is random, so that there is some room. */
#define MOST 250u

static struct {
    char *base;
    size_t used;
    bool taking; /* what is allocated now goes here */
    size_t touched;
    struct sigaction before; /* cmocka's, but while it is watched */
} arena;

void *__real_calloc(size_t count, size_t size);
void __real_free(void *at);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *at);

void *__wrap_calloc(size_t count, size_t size)
{
    void *page;

    if (!arena.taking)
        return __real_calloc(count, size);
    if (count * size > PAGE || arena.used == MANY)
        return NULL;
    page = arena.base + arena.used++ * (size_t)PAGE;
    memset(page, 0, PAGE);
    return page;
}

static bool in_arena(const void *at)
{
    return (const char *)at >= arena.base && (const char *)at < arena.base + MANY * (size_t)PAGE;
}

void __wrap_free(void *at)
{
    if (!in_arena(at))
        __real_free(at);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    char *page = (char *)info->si_addr - (uintptr_t)info->si_addr % PAGE;

    (void)context;
    if (!in_arena(info->si_addr) || mprotect(page, PAGE, PROT_READ | PROT_WRITE))
        signal(number, SIG_DFL);
    else
        arena.touched++;
}

/* In a read section: the thread that frees old views, which goes to regions too, then waits. */
static void watch(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    OK(sigaction(SIGSEGV, &action, &arena.before));
    arena.touched = 0;
    OK(mprotect(arena.base, MANY * (size_t)PAGE, PROT_NONE));
}

/* How many regions were touched. */
static size_t unwatch(void)
{
    OK(mprotect(arena.base, MANY * (size_t)PAGE, PROT_READ | PROT_WRITE));
    OK(sigaction(SIGSEGV, &arena.before, NULL));
    return arena.touched;
}

struct world {
    gmem_vm *vm;
    gmem_region *root;
    gmem_region *siblings[MANY];
    size_t count;
    gmem_space *space;
    struct gmem_listener listener;
};

static int on_section(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener;
    (void)section;
    return 0;
}

/* Every sibling has a higher priority than the one after it; neighbours overlap if close. */
static struct world *world_begin(size_t count, bool close)
{
    struct world *world = __real_calloc(1, sizeof(*world));

    assert_non_null(world);
    arena.used = 0;
    world->vm = make_vm();
    world->count = count;
    world->root = make_container(world->vm, "root", GMEM_SIZE_ALL);
    /* What all of them share is not a sibling. */
    (void)make_mmio(world->vm, "like them", GMEM_SIZE(1));
    for (size_t i = 0; i < count; i++) {
        arena.taking = true;
        world->siblings[i] = make_mmio(world->vm, "sibling", GMEM_SIZE(close ? STRIDE + WIDTH : WIDTH));
        arena.taking = false;
    }
    OK(gmem_vm_begin(world->vm));
    for (size_t i = 0; i < count; i++)
        OK(gmem_region_add_priority(world->root, i * STRIDE, world->siblings[i], (int32_t)(count - i)));
    OK(gmem_vm_commit(world->vm));
    world->space = make_space(world->vm, "memory", world->root);
    world->listener.struct_size = sizeof(world->listener);
    world->listener.region_add = on_section;
    world->listener.region_del = on_section;
    OK(gmem_listener_register(world->vm, world->space, &world->listener));
    gmem__rcu_barrier();
    gmem__rcu_enter();
    return world;
}

static void world_end(struct world *world)
{
    gmem__rcu_leave();
    gmem_vm_destroy(world->vm);
    __real_free(world);
}

/* That counting works: who goes to all siblings touches all. */
static void test_all(void **state)
{
    struct world *world = world_begin(FEW, false);
    size_t count = 0;

    (void)state;
    OK(gmem_vm_begin(world->vm));
    watch();
    for (gmem_region *at = gmem_region_first_child(world->root); at; at = gmem_region_next_sibling(at))
        count++;
    assert_int_equal(unwatch(), FEW);
    assert_int_equal(count, FEW);
    gmem_vm_abort(world->vm);
    world_end(world);
}

enum edit { PLACE, LOWER, RAISE, MOVE, TOGGLE, REMOVE, KINDS };

static const char *const names[] = {"place", "lower", "raise", "move", "toggle", "remove"};

static void make_edit(struct world *world, gmem_region *region, enum edit edit, unsigned round)
{
    uint64_t at = (world->count / EDITS * round) * STRIDE;

    switch (edit) {
    case PLACE:
        OK(gmem_region_add_priority(world->root, at + WIDTH / 2, region, -(int32_t)round));
        break;
    case LOWER:
        OK(gmem_region_set_priority(region, INT32_MIN));
        break;
    case RAISE:
        OK(gmem_region_set_priority(region, INT32_MAX));
        break;
    case MOVE:
        OK(gmem_region_move(region, at + WIDTH));
        break;
    case TOGGLE:
        OK(gmem_region_set_enabled(region, false));
        OK(gmem_region_set_enabled(region, true));
        break;
    case REMOVE:
        OK(gmem_region_remove(world->root, region));
        break;
    case KINDS:
        break;
    }
}

/* Regions that come to lie below all others, and what happens to them there. */
static void check_edits(size_t count, bool close)
{
    struct world *world = world_begin(count, close);
    size_t most[KINDS] = {0}, touched;

    for (unsigned round = 0; round < EDITS; round++) {
        gmem_region *region = make_mmio(world->vm, "last", GMEM_SIZE(WIDTH));

        for (unsigned edit = 0; edit < KINDS; edit++) {
            watch();
            make_edit(world, region, (enum edit)edit, round);
            touched = unwatch();
            most[edit] = touched > most[edit] ? touched : most[edit];
        }
        if (round % 2)
            make_edit(world, region, PLACE, round);
        gmem_region_unref(region);
    }
    for (unsigned edit = 0; edit < KINDS; edit++) {
        print_message("%s among %zu%s: at most %zu siblings touched\n", names[edit], count,
                      close ? " that overlap" : "", most[edit]);
        assert_in_range(most[edit], 1, MOST);
    }
    world_end(world);
}

static void test_siblings(void **state)
{
    (void)state;
    check_edits(FEW, false);
    check_edits(MANY, false);
}

static void test_siblings_that_overlap(void **state)
{
    (void)state;
    check_edits(FEW, true);
    check_edits(MANY, true);
}

static int set_up(void **state)
{
    (void)state;
    arena.base = mmap(NULL, MANY * (size_t)PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return arena.base == MAP_FAILED ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_siblings_that_overlap),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
