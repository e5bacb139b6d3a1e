/* SPDX-License-Identifier: MIT */
/*
 * test-ram-list.c - places and ids of RAM blocks beside a model that looks at all of them: the same offsets (best fit) however
 * blocks of several sizes and alignments come and go, up to the end of the offset space; and the same ids found, also where
 * blocks without references still have them.
 */
#include "ram_list.h"
#include "random.h"
#include "support.h"
#include <errno.h>

#define BLOCKS 200
#define IDS 60

struct world {
    struct gmem_vm vm;
    gmem_ram blocks[BLOCKS];
    bool there[BLOCKS];
    char ids[BLOCKS][8];
};

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    gmem__link_init(&world->vm.rams);
    gmem__link_init(&world->vm.gaps);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    free(*state);
    return 0;
}

/* Whether size bytes fit at offset, and how much room there is from there. */
static bool room_at(const struct world *world, uint64_t offset, uint64_t size, uint64_t *ret_room)
{
    uint64_t last = UINT64_MAX;

    for (size_t i = 0; i < BLOCKS; i++) {
        uint64_t first = world->blocks[i].offset, end = first + (world->blocks[i].mapped - 1);

        if (!world->there[i] || end < offset)
            continue;
        if (first <= offset)
            return false;
        if (first - 1 < last)
            last = first - 1;
    }
    *ret_room = last - offset;
    return last - offset >= size - 1;
}

/* Best fit begins at 0 or right behind a block. */
static int place(const struct world *world, uint64_t size, uint64_t align, uint64_t *ret_offset)
{
    uint64_t best = 0, room = 0;
    bool found = false;

    for (size_t i = 0; i <= BLOCKS; i++) {
        uint64_t from = i == BLOCKS ? 0 : world->blocks[i].offset + world->blocks[i].mapped;
        uint64_t at = (from + align - 1) / align * align;

        if (i < BLOCKS && (!world->there[i] || from < world->blocks[i].offset))
            continue;
        if (at < from || !room_at(world, at, size, &room) ||
            (found && (room > best || (room == best && at >= *ret_offset))))
            continue;
        best = room;
        *ret_offset = at;
        found = true;
    }
    return found ? 0 : -ENOSPC;
}

static const gmem_ram *of_id(const struct world *world, const char *id)
{
    for (size_t i = 0; i < BLOCKS; i++)
        if (world->there[i] && world->blocks[i].refs && strcmp(world->ids[i], id) == 0)
            return &world->blocks[i];
    return NULL;
}

static void check_list(const struct world *world)
{
    const gmem_ram *ram, *before = NULL;
    size_t count = 0;
    char id[8];

    for (ram = gmem__ram_behind(&world->vm, NULL); ram; ram = gmem__ram_behind(&world->vm, ram)) {
        assert_true(!before || before->offset + before->mapped <= ram->offset);
        assert_true(world->there[ram - world->blocks]);
        before = ram;
        count++;
    }
    for (size_t i = 0; i < BLOCKS; i++)
        count -= world->there[i];
    assert_int_equal(count, 0);
    for (unsigned i = 0; i < IDS; i++) {
        snprintf(id, sizeof(id), "%u", i);
        assert_ptr_equal(gmem__ram_of_id(&world->vm, id), of_id(world, id));
    }
}

static void leave(struct world *world, size_t i)
{
    gmem__ram_leave(&world->vm, &world->blocks[i]);
    world->there[i] = false;
}

/* Sizes of pages, or (huge) of so much that the offset space fills up. Returns whether there was room. */
static bool enter(struct world *world, struct random *random, size_t i, bool huge)
{
    gmem_ram *ram = &world->blocks[i], *behind = NULL;
    uint64_t unit = gmem__ram_unit(), align = unit << random_below(random, 4);
    uint64_t pages = 1 + random_below(random, random_below(random, 3) ? 64 : 1000);
    uint64_t size = huge ? pages << 53 : pages * 4096, wanted = 0, offset = 0;
    int err = place(world, size, align, &wanted);

    assert_int_equal(gmem__ram_place(&world->vm, size, align, &offset, &behind), err);
    if (err)
        return false;
    assert_true(offset == wanted);
    *ram = (gmem_ram){.id = world->ids[i], .offset = offset, .mapped = size, .refs = 1};
    do
        snprintf(world->ids[i], sizeof(world->ids[i]), "%u", (unsigned)random_below(random, huge ? IDS : 4 * BLOCKS));
    while (of_id(world, world->ids[i]));
    gmem__ram_enter(&world->vm, ram, behind);
    world->there[i] = true;
    return true;
}

static void come_and_go(struct world *world, const char *what, uint64_t seed, bool huge)
{
    struct random random = random_start(what, seed);
    size_t refused = 0;

    for (unsigned round = 0; round < 4000; round++) {
        size_t i = random_below(&random, BLOCKS / (1 + round / 1000));

        if (!world->there[i])
            refused += !enter(world, &random, i, huge);
        else if (random_below(&random, 2))
            leave(world, i);
        else
            world->blocks[i].refs = 0; /* it is about to leave: its id may be another's from now on */
        if (round % 16 == 0)
            check_list(world);
    }
    assert_int_equal(refused > 0, huge);
    for (size_t i = 0; i < BLOCKS; i++)
        if (world->there[i])
            leave(world, i);
    assert_null(world->vm.ids);
    assert_true(gmem__link_empty(&world->vm.gaps));
    assert_true(gmem__link_empty(&world->vm.rams));
}

static void places_are_those_of_the_model(void **state)
{
    come_and_go(*state, "RAM blocks", 81, false);
}

static void places_up_to_the_end_are_those_of_the_model(void **state)
{
    come_and_go(*state, "huge RAM blocks", 82, true);
}

/* One after another of any size, without more than two gaps to look at. */
static void blocks_in_a_row_leave_one_gap(void **state)
{
    struct world *world = *state;
    struct random random = random_start("RAM blocks in a row", 83);

    for (size_t i = 0; i < BLOCKS; i++) {
        gmem_ram *ram = &world->blocks[i], *behind = NULL;

        snprintf(world->ids[i], sizeof(world->ids[i]), "%zu", i);
        *ram = (gmem_ram){.id = world->ids[i], .mapped = (1 + random_below(&random, 100)) * 4096, .refs = 1};
        OK(gmem__ram_place(&world->vm, ram->mapped, gmem__ram_unit(), &ram->offset, &behind));
        gmem__ram_enter(&world->vm, ram, behind);
        assert_ptr_equal(world->vm.gaps.next, &ram->gap);
        assert_ptr_equal(ram->gap.next, &world->vm.gaps);
    }
    /* Nor is the way to an id long. */
    for (size_t i = 0, deep = 0; i < BLOCKS; i++, deep = 0) {
        for (gmem_ram *at = world->vm.ids; at != &world->blocks[i]; deep++)
            at = at->id_below[world->blocks[i].id_hash >> deep & 1u];
        assert_in_range(deep, 0, 24);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(places_are_those_of_the_model, open_world, close_world),
        cmocka_unit_test_setup_teardown(places_up_to_the_end_are_those_of_the_model, open_world, close_world),
        cmocka_unit_test_setup_teardown(blocks_in_a_row_leave_one_gap, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
