/* SPDX-License-Identifier: MIT */
/*
 * test-tool-diff.c - two maps made by hand: which regions and spaces are the same, which ranges changed, what listeners hear, which slots
 * are set, and how the trees differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc.h"
#include "transit.h"
#include "treediff.h"

#define MIB (UINT64_C(1) << 20)

/* --- maps by hand --- */

static size_t add(struct topology *topology, size_t parent, enum gmem_kind kind, const char *name, uint64_t offset,
                  uint64_t size)
{
    size_t index = topology_add_region(topology);
    struct topo_region *region = &topology->regions[index];

    region->name = alloc_text(name);
    region->kind = kind;
    region->parent = parent;
    region->offset = offset;
    region->size = size ? GMEM_SIZE(size) : GMEM_SIZE_ALL;
    region->rank = (uint32_t)index;
    region->readonly = kind == GMEM_KIND_ROM;
    return index;
}

/* "memory" with 16 MiB of RAM, of which a window of 64 KiB at 0xc0000 shows ROM, or RAM, or RAM that is read-only. */
static struct topology board(enum gmem_kind window, bool readonly)
{
    struct topology topology = {.source = alloc_text("board")};
    size_t root = add(&topology, NOWHERE, GMEM_KIND_CONTAINER, "system", 0, 0);
    size_t ram = add(&topology, root, GMEM_KIND_RAM, "ram", 0, 16 * MIB);
    size_t rom = add(&topology, root, GMEM_KIND_ROM, "rom", 0xc0000, 0x10000);
    size_t alias = add(&topology, root, GMEM_KIND_ALIAS, "window", 0xc0000, 0x10000);

    topology.regions[rom].priority = 1;
    topology.regions[alias].priority = 2;
    topology.regions[alias].enabled = window == GMEM_KIND_RAM;
    topology.regions[alias].readonly = readonly;
    topology.regions[alias].target = ram;
    topology.regions[alias].target_offset = 0xc0000;
    topology_add_space(&topology, "memory", root);
    return topology;
}

struct both {
    struct topology topologies[2];
    struct map maps[2];
    struct pairing pairing;
    struct view_diff views;
    struct tree_diff tree;
    struct transit transit;
};

static struct both *compared(struct topology a, struct topology b)
{
    struct both *both = alloc_zeroed(1, sizeof(*both));
    struct problem problem;

    both->topologies[0] = a;
    both->topologies[1] = b;
    for (unsigned side = 0; side < 2; side++)
        if (!map_build(&both->topologies[side], &both->maps[side], &problem))
            fail_msg("%s", problem.text);
    pair_topologies(&both->topologies[0], &both->topologies[1], &both->pairing);
    view_diff(&both->maps[0], &both->maps[1], &both->pairing, NOWHERE, &both->views);
    tree_diff(&both->pairing, &both->tree);
    if (!transit(&both->pairing, &both->views, false, &both->transit, &problem))
        fail_msg("%s", problem.text);
    return both;
}

static void done(struct both *both)
{
    transit_free(&both->transit);
    tree_diff_free(&both->tree);
    view_diff_free(&both->views);
    pairing_free(&both->pairing);
    for (unsigned side = 0; side < 2; side++) {
        map_free(&both->maps[side]);
        topology_free(&both->topologies[side]);
    }
    free(both);
}

static void range_is(const struct range_change *change, enum change kind, uint64_t first, uint64_t last)
{
    const struct shown_range *range = change->after ? change->after : change->before;

    assert_int_equal(change->change, kind);
    assert_true(range->first == first && range->last == last);
}

static void slot_is(const struct transit_slots *slots, size_t index, bool removed, uint64_t gpa, uint64_t size)
{
    assert_true(index < slots->n_calls);
    assert_int_equal(!slots->calls[index].size, removed);
    assert_true(slots->calls[index].gpa == gpa && slots->sizes[index] == size);
}

/* --- tests --- */

static void the_same(void **state)
{
    struct both *both = compared(board(GMEM_KIND_ROM, false), board(GMEM_KIND_ROM, false));

    (void)state;
    assert_int_equal(both->views.n_groups, 1);
    assert_int_equal(both->views.groups[0].n_changes, 0);
    assert_int_equal(both->tree.n_changes, 0);
    assert_int_equal(both->transit.n_heard, 0);
    for (unsigned policy = 0; policy < TRANSIT_POLICIES; policy++)
        assert_int_equal(both->transit.slots[policy].n_calls, 0);
    done(both);
}

/* ROM gives way to RAM: all is one range, which the reference makes one slot; keep only fills the hole. */
static void window_opens(void **state)
{
    struct both *both = compared(board(GMEM_KIND_ROM, false), board(GMEM_KIND_RAM, false));
    const struct space_group *group = &both->views.groups[0];
    const struct transit_slots *reference = &both->transit.slots[TRANSIT_REFERENCE];
    const struct transit_slots *keep = &both->transit.slots[TRANSIT_KEEP];

    (void)state;
    assert_int_equal(group->n_changes, 4);
    range_is(&group->changes[0], CHANGE_GONE, 0, 0xbffff);
    range_is(&group->changes[1], CHANGE_NEW, 0, 16 * MIB - 1);
    range_is(&group->changes[2], CHANGE_GONE, 0xc0000, 0xcffff);
    range_is(&group->changes[3], CHANGE_GONE, 0xd0000, 16 * MIB - 1);
    assert_true(group->gone == 3 && group->fresh == 1 && group->changed == 0);

    assert_int_equal(both->transit.n_heard, 4);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(both->transit.heard[i].kind, HEARD_DEL);
    assert_int_equal(both->transit.heard[3].kind, HEARD_ADD);
    assert_true(both->transit.heard[3].range.last == 16 * MIB - 1);

    assert_int_equal(reference->n_calls, 4);
    slot_is(reference, 0, true, 0, 0xc0000);
    slot_is(reference, 1, true, 0xc0000, 0x10000);
    slot_is(reference, 2, true, 0xd0000, 16 * MIB - 0xd0000);
    slot_is(reference, 3, false, 0, 16 * MIB);
    assert_true(reference->counts.removed == 16 * MIB && reference->counts.put_back == 16 * MIB - 0x10000);
    assert_int_equal(reference->pauses, 1);
    assert_int_equal(keep->n_calls, 2);
    slot_is(keep, 0, true, 0xc0000, 0x10000);
    slot_is(keep, 1, false, 0xc0000, 0x10000);
    assert_true(keep->counts.removed == 0x10000 && keep->counts.put_back == 0);

    assert_int_equal(both->tree.n_changes, 1);
    assert_int_equal(both->tree.changes[0].n_attributes, 1);
    assert_string_equal(both->tree.changes[0].attributes[0].name, "enabled");
    assert_string_equal(both->tree.changes[0].attributes[0].after, "true");
    done(both);
}

/* Only the attribute of a range changes: the reference does not follow windows, and keep does. */
static void window_is_protected(void **state)
{
    struct topology topologies[2] = {board(GMEM_KIND_RAM, true), board(GMEM_KIND_RAM, true)};
    struct both *both;

    (void)state;
    topologies[0].regions[3].readonly = false;
    topologies[0].regions[3].nonvolatile = true; /* so that it is a range of its own on both sides */
    both = compared(topologies[0], topologies[1]);
    assert_int_equal(both->views.groups[0].n_changes, 1);
    range_is(&both->views.groups[0].changes[0], CHANGE_CHANGED, 0xc0000, 0xcffff);
    assert_true(both->views.groups[0].changes[0].after->attrs == GMEM_RANGE_READONLY);
    assert_int_equal(both->transit.n_heard, 2);
    assert_int_equal(both->transit.slots[TRANSIT_REFERENCE].n_calls, 2);
    assert_int_equal(both->transit.slots[TRANSIT_REFERENCE].calls[1].flags, 0);
    assert_int_equal(both->transit.slots[TRANSIT_KEEP].calls[both->transit.slots[TRANSIT_KEEP].n_calls - 1].flags & 2u,
                     0);
    done(both);
}

/* Only the dirty log changes: nothing is removed, and the slot's flags are set. */
static void log_starts(void **state)
{
    struct topology topologies[2] = {board(GMEM_KIND_RAM, false), board(GMEM_KIND_RAM, false)};
    struct both *both;

    (void)state;
    topologies[1].regions[1].log = 1u << GMEM_LOG_DISPLAY | 1u << GMEM_LOG_CODE;
    both = compared(topologies[0], topologies[1]);
    assert_int_equal(both->views.groups[0].n_changes, 1);
    range_is(&both->views.groups[0].changes[0], CHANGE_CHANGED, 0, 16 * MIB - 1);
    assert_int_equal(both->transit.n_heard, 1);
    assert_int_equal(both->transit.heard[0].kind, HEARD_LOG_START);
    assert_int_equal(both->transit.heard[0].before, 0);
    assert_int_equal(both->transit.heard[0].after, 5);
    for (unsigned policy = 0; policy < TRANSIT_POLICIES; policy++) {
        const struct transit_slots *slots = &both->transit.slots[policy];

        assert_int_equal(slots->n_calls, 1);
        slot_is(slots, 0, false, 0, 16 * MIB);
        assert_int_equal(slots->calls[0].flags, 1);
        assert_true(slots->counts.flags == 1 && slots->counts.removed == 0);
    }
    assert_int_equal(both->tree.n_changes, 1);
    assert_string_equal(both->tree.changes[0].attributes[0].name, "log");
    done(both);
}

/* What is logged goes, and what comes is: the log stops before the range goes, and starts when it is there. */
static void logged_memory_moves(void **state)
{
    struct topology topologies[2] = {board(GMEM_KIND_RAM, false), board(GMEM_KIND_RAM, false)};
    const enum heard_kind expected[] = {HEARD_LOG_STOP, HEARD_DEL, HEARD_ADD, HEARD_LOG_START};
    struct both *both;

    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        size_t vram = add(&topologies[side], 0, GMEM_KIND_RAM, "vram", side ? 0xe0000000 : 0xf0000000, MIB);

        topologies[side].regions[vram].log = 1;
    }
    both = compared(topologies[0], topologies[1]);
    assert_int_equal(both->transit.n_heard, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct heard *heard = &both->transit.heard[i];

        assert_int_equal(heard->kind, expected[i]);
        assert_int_equal(heard->side, i > 1);
        assert_true(heard->range.first == (i > 1 ? 0xe0000000 : 0xf0000000));
    }
    done(both);
}

/* A source that tells them apart: what answered is now only claimed. */
static void reserved_is_no_device(void **state)
{
    struct topology topologies[2] = {board(GMEM_KIND_ROM, false), board(GMEM_KIND_ROM, false)};
    struct both *both;

    (void)state;
    add(&topologies[0], 0, GMEM_KIND_MMIO, "dev", 0xf0000000, 0x1000);
    add(&topologies[1], 0, GMEM_KIND_RESERVED, "dev", 0xf0000000, 0x1000);
    both = compared(topologies[0], topologies[1]);
    assert_true(both->views.groups[0].gone == 1 && both->views.groups[0].fresh == 1);
    assert_int_equal(both->transit.n_heard, 2);
    done(both);
}

/* Two of KVM's address spaces that show the same: each has its slots, one changed after the other. */
static void address_spaces_that_share_a_view(void **state)
{
    struct topology topologies[2] = {board(GMEM_KIND_ROM, false), board(GMEM_KIND_RAM, false)};
    struct both *both;

    (void)state;
    for (unsigned side = 0; side < 2; side++)
        topology_add_space(&topologies[side], "KVM-SMRAM", 0);
    both = compared(topologies[0], topologies[1]);
    assert_int_equal(both->views.n_groups, 1);
    assert_int_equal(both->transit.n_heard, 4);
    for (unsigned policy = 0; policy < TRANSIT_POLICIES; policy++) {
        const struct transit_slots *slots = &both->transit.slots[policy];
        size_t half = slots->n_calls / 2;

        assert_true(half > 0 && slots->n_calls == 2 * half);
        for (size_t i = 0; i < half; i++) {
            assert_int_equal(slots->calls[i].as_id, 0);
            assert_int_equal(slots->calls[half + i].as_id, 1);
            assert_true(slots->calls[i].gpa == slots->calls[half + i].gpa && slots->sizes[i] == slots->sizes[half + i]);
        }
    }
    done(both);
}

/* Memory that moves stays the same memory. */
static void region_moves(void **state)
{
    struct topology topologies[2] = {board(GMEM_KIND_ROM, false), board(GMEM_KIND_ROM, false)};
    struct both *both;
    const struct transit_slots *keep;

    (void)state;
    for (unsigned side = 0; side < 2; side++)
        add(&topologies[side], 0, GMEM_KIND_RAM, "vram", side ? 0xe0000000 : 0xf0000000, MIB);
    both = compared(topologies[0], topologies[1]);
    assert_int_equal(both->pairing.to_b[4], 4);
    assert_int_equal(both->views.groups[0].n_changes, 2);
    range_is(&both->views.groups[0].changes[0], CHANGE_NEW, 0xe0000000, 0xe0000000 + MIB - 1);
    range_is(&both->views.groups[0].changes[1], CHANGE_GONE, 0xf0000000, 0xf0000000 + MIB - 1);
    keep = &both->transit.slots[TRANSIT_KEEP];
    assert_int_equal(keep->n_calls, 2);
    assert_true(keep->calls[0].ua == keep->calls[1].ua);
    assert_int_equal(both->tree.n_changes, 1);
    assert_string_equal(both->tree.changes[0].attributes[0].name, "offset");
    assert_string_equal(both->tree.changes[0].attributes[0].before, "0xf0000000");
    done(both);
}

/* Memory of another size is other memory; of regions of one name those in the same place are the same. */
static void pairs(void **state)
{
    struct topology topologies[2] = {board(GMEM_KIND_ROM, false), board(GMEM_KIND_ROM, false)};
    struct both *both;

    (void)state;
    topologies[1].regions[1].size = GMEM_SIZE(8 * MIB);
    add(&topologies[0], 0, GMEM_KIND_MMIO, "dev", 0xf0000000, 0x1000); /* 4 */
    add(&topologies[0], 0, GMEM_KIND_MMIO, "dev", 0xf0001000, 0x1000); /* 5 */
    add(&topologies[0], 5, GMEM_KIND_MMIO, "part", 0, 0x10);           /* 6 */
    add(&topologies[1], 0, GMEM_KIND_MMIO, "dev", 0xf0001000, 0x1000); /* 4: that was 5 */
    add(&topologies[1], 0, GMEM_KIND_MMIO, "new", 0xf0002000, 0x1000); /* 5 */
    add(&topologies[1], 5, GMEM_KIND_MMIO, "below", 0, 0x10);          /* 6 */
    topology_add_space(&topologies[0], "gone", 0);
    topology_add_space(&topologies[1], "other", 0);
    topology_add_space(&topologies[1], "memory", 0); /* a second one of the name */
    both = compared(topologies[0], topologies[1]);
    assert_true(both->pairing.to_b[1] == NOWHERE);
    assert_true(both->pairing.to_b[4] == NOWHERE && both->pairing.to_b[5] == 4 && both->pairing.to_b[6] == NOWHERE);
    assert_int_equal(both->pairing.n_spaces, 4);
    assert_true(both->pairing.spaces[0].a == 0 && both->pairing.spaces[0].b == 0);
    assert_true(both->pairing.spaces[1].a == 1 && both->pairing.spaces[1].b == NOWHERE);
    assert_true(both->pairing.spaces[2].b == 1 && both->pairing.spaces[3].b == 2);
    assert_int_equal(both->tree.gone, 3);
    assert_int_equal(both->tree.fresh, 3);
    for (size_t i = 0; i < both->tree.n_changes; i++)
        if (both->tree.changes[i].b == 5)
            assert_int_equal(both->tree.changes[i].below, 1);
    /* A space that is gone shows nothing any more. */
    assert_int_equal(both->views.n_groups, 4);
    assert_true(both->views.groups[1].n_ranges[0] > 0 && both->views.groups[1].n_ranges[1] == 0);
    assert_int_equal(both->views.groups[1].n_changes, both->views.groups[1].n_ranges[0]);
    done(both);
}

/* Owners count where both sides show them. */
static void owners(void **state)
{
    struct topology topologies[2] = {board(GMEM_KIND_ROM, false), board(GMEM_KIND_ROM, false)};
    struct pairing pairing;

    (void)state;
    add(&topologies[0], 0, GMEM_KIND_MMIO, "dev", 0xf0000000, 0x1000);
    add(&topologies[1], 0, GMEM_KIND_MMIO, "dev", 0xf0000000, 0x1000);
    topologies[0].regions[4].owner = alloc_text("owner:{dev id=a}");
    pair_topologies(&topologies[0], &topologies[1], &pairing);
    assert_int_equal(pairing.to_b[4], 4);
    pairing_free(&pairing);
    topologies[1].regions[4].owner = alloc_text("owner:{dev id=b}");
    pair_topologies(&topologies[0], &topologies[1], &pairing);
    assert_true(pairing.to_b[4] == NOWHERE && pairing.to_a[4] == NOWHERE);
    pairing_free(&pairing);
    topology_free(&topologies[0]);
    topology_free(&topologies[1]);
}

/* A device takes all 2^64 addresses, and then part of them at another offset. */
static void everything(void **state)
{
    struct topology topologies[2] = {{.source = alloc_text("a")}, {.source = alloc_text("b")}};
    struct both *both;

    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        size_t root = add(&topologies[side], NOWHERE, GMEM_KIND_CONTAINER, "root", 0, 0);
        size_t device = add(&topologies[side], side ? NOWHERE : root, GMEM_KIND_MMIO, "device", 0, 0);
        size_t alias = side ? add(&topologies[side], root, GMEM_KIND_ALIAS, "half", 0, UINT64_C(1) << 63) : 0;

        if (side) {
            topologies[side].regions[alias].target = device;
            topologies[side].regions[alias].target_offset = UINT64_C(1) << 63;
        }
        topology_add_space(&topologies[side], "io", root);
    }
    both = compared(topologies[0], topologies[1]);
    assert_int_equal(both->views.groups[0].n_changes, 2);
    range_is(&both->views.groups[0].changes[0], CHANGE_GONE, 0, UINT64_MAX);
    range_is(&both->views.groups[0].changes[1], CHANGE_NEW, 0, INT64_MAX);
    assert_int_equal(both->transit.n_heard, 2);
    assert_false(both->transit.has_slots);
    done(both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same),
        cmocka_unit_test(window_opens),
        cmocka_unit_test(window_is_protected),
        cmocka_unit_test(region_moves),
        cmocka_unit_test(pairs),
        cmocka_unit_test(owners),
        cmocka_unit_test(everything),
        cmocka_unit_test(address_spaces_that_share_a_view),
        cmocka_unit_test(log_starts),
        cmocka_unit_test(logged_memory_moves),
        cmocka_unit_test(reserved_is_no_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
