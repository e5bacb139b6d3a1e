/* SPDX-License-Identifier: MIT */
/*
 * Owns the vm while it is tried, and what came of it until transit_free(). One thread.
 *
 * Each region that some range is of is there once, whichever sides show it, and so is its memory: what one RAM block is on both
 * sides stays one. A space of each group has a window for each of its ranges. So before and after the change the views are, range
 * for range, those of the two maps.
 */
#include "transit.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmem/kvm.h>

#include "alloc.h"
#include "map.h"

/* Larger blocks are not logged: their bitmaps take too much memory. */
#define LOGGED_MAX (UINT64_C(1) << 42)

struct trying;

struct dry {
    struct trying *trying;
    unsigned policy;
    gmem_kvm *kvm;
};

struct place {
    size_t group;
    gmem_region *root;
    gmem_space *space;
    gmem_region **windows; /* by range before */
    struct gmem_listener listener;
    struct trying *trying;
};

/* The slots of one of KVM's address spaces: several may show one group. */
struct slots {
    gmem_space *space;
    struct dry dry[TRANSIT_POLICIES];
};

/* A region of the vm, and what it is of. */
struct part {
    gmem_region *region;
    const struct topo_region *sides[2]; /* where it is shown; NULL: not there */
    size_t block;                       /* of its memory */
};

struct memory_block {
    uint64_t size, at; /* in the reservation */
    gmem_ram *ram;
};

struct trying {
    const struct pairing *pairing;
    const struct view_diff *diff;
    struct transit *transit;
    struct problem *problem;
    gmem_vm *vm;
    struct part *parts; /* by identity */
    size_t n_parts;
    struct memory_block *blocks;
    size_t n_blocks;
    char *memory;
    uint64_t memory_size;
    struct place *places; /* by group */
    struct slots *slots;  /* as many as there are spaces */
    size_t n_slots;
    bool changing; /* what is called now is of the change */
    bool over;
    struct slot_trace calls[TRANSIT_POLICIES]; /* all */
    uint64_t pauses[TRANSIT_POLICIES];
};

/* --- hearing --- */

static int hear(struct gmem_listener *listener, const struct gmem_section *section, struct heard heard)
{
    struct place *place = listener->opaque;
    struct trying *trying = place->trying;
    struct transit *transit = trying->transit;
    const struct space_group *group = &trying->diff->groups[place->group];
    size_t low = 0, high = group->n_ranges[heard.side];

    if (!trying->changing)
        return 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (group->ranges[heard.side][middle].first < section->first)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == group->n_ranges[heard.side] || group->ranges[heard.side][low].first != section->first)
        return 0;
    heard.group = place->group;
    heard.range = group->ranges[heard.side][low];
    alloc_grow(&transit->heard, transit->n_heard, sizeof(*transit->heard));
    transit->heard[transit->n_heard++] = heard;
    return 0;
}

static int on_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    return hear(listener, section, (struct heard){.kind = HEARD_ADD, .side = 1});
}

static int on_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    return hear(listener, section, (struct heard){.kind = HEARD_DEL});
}

static int on_log_start(struct gmem_listener *listener, const struct gmem_section *section, unsigned before,
                        unsigned after)
{
    return hear(listener, section,
                (struct heard){.kind = HEARD_LOG_START, .side = 1, .before = before, .after = after});
}

static int on_log_stop(struct gmem_listener *listener, const struct gmem_section *section, unsigned before,
                       unsigned after)
{
    return hear(listener, section, (struct heard){.kind = HEARD_LOG_STOP, .before = before, .after = after});
}

static int on_call(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct dry *dry = opaque;
    struct trying *trying = dry->trying;
    struct slot_trace *calls = &trying->calls[dry->policy];

    if (trying->over)
        return 0;
    alloc_grow(&calls->events, calls->n_events, sizeof(*calls->events));
    calls->events[calls->n_events++] = (struct trace_event){.kind = TRACE_SLOT,
                                                            .as_id = (uint16_t)(call->slot >> 16),
                                                            .slot = (uint16_t)call->slot,
                                                            .flags = call->flags,
                                                            .gpa = call->guest_phys_addr,
                                                            .size = call->memory_size,
                                                            .ua = call->userspace_addr};
    return 0;
}

static void hold(void *opaque)
{
    struct dry *dry = opaque;

    dry->trying->pauses[dry->policy] += dry->trying->changing;
}

static void let_go(void *opaque)
{
    (void)opaque;
}

/* --- regions --- */

static bool fails(const struct trying *trying, const char *what, int err)
{
    char reason[256] = "";

    if (!err)
        return false;
    if (trying->vm)
        gmem_vm_reason(trying->vm, reason, sizeof(reason));
    problem_at(trying->problem, NULL, 0, "the change can't be tried: %s: %s%s%s", what, gmem_strerror(err),
               *reason ? ": " : "", reason);
    return true;
}

/* The side that says what a region is. */
static const struct topo_region *said(const struct part *part)
{
    return part->sides[0] ? part->sides[0] : part->sides[1];
}

static bool has_memory(const struct part *part)
{
    enum gmem_kind kind = said(part)->kind;

    return kind == GMEM_KIND_RAM || kind == GMEM_KIND_ROM || kind == GMEM_KIND_ROMD || kind == GMEM_KIND_RAM_DEVICE;
}

static void find_parts(struct trying *trying)
{
    trying->n_parts = trying->pairing->a->n_regions + trying->pairing->b->n_regions;
    trying->parts = alloc_zeroed(trying->n_parts, sizeof(*trying->parts));
    for (size_t i = 0; i < trying->diff->n_groups; i++)
        for (unsigned side = 0; side < 2; side++) {
            const struct topology *topology = side ? trying->pairing->b : trying->pairing->a;
            const struct space_group *group = &trying->diff->groups[i];

            for (size_t k = 0; k < group->n_ranges[side]; k++) {
                const struct shown_range *range = &group->ranges[side][k];

                trying->parts[range->identity].sides[side] = &topology->regions[range->region];
            }
        }
}

static int by_block(const void *a, const void *b)
{
    const struct part *x = *(struct part *const *)a, *y = *(struct part *const *)b;
    const char *r = said(x)->ram, *s = said(y)->ram;
    int order = r && s ? strcmp(r, s) : r ? 1 : s ? -1 : 0;

    return order ? order : x < y ? -1 : x > y;
}

/* Regions that name one block share it, and one that names none has its own. */
static bool find_blocks(struct trying *trying)
{
    struct part **backed = alloc_zeroed(trying->n_parts, sizeof(struct part *));
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), total = 0;
    size_t n = 0;
    bool ok = true;

    for (size_t i = 0; i < trying->n_parts; i++)
        if (said(&trying->parts[i]) && has_memory(&trying->parts[i]))
            backed[n++] = &trying->parts[i];
    qsort(backed, n, sizeof(struct part *), by_block);
    for (size_t i = 0; i < n; i++) {
        const char *ram = said(backed[i])->ram;
        uint64_t size = said(backed[i])->size.bytes;

        if (!i || !ram || !said(backed[i - 1])->ram || strcmp(ram, said(backed[i - 1])->ram) != 0) {
            alloc_grow(&trying->blocks, trying->n_blocks, sizeof(*trying->blocks));
            trying->blocks[trying->n_blocks++] = (struct memory_block){0};
        }
        backed[i]->block = trying->n_blocks - 1;
        if (size > trying->blocks[backed[i]->block].size)
            trying->blocks[backed[i]->block].size = size;
    }
    free(backed);
    for (size_t i = 0; ok && i < trying->n_blocks; i++) {
        ok = trying->blocks[i].size <= (UINT64_C(1) << 62) - total;
        trying->blocks[i].at = total;
        total += ok ? (trying->blocks[i].size + page - 1) / page * page : 0;
    }
    trying->memory_size = ok ? total : 0;
    if (ok && total)
        trying->memory = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!ok || (total && trying->memory == MAP_FAILED))
        return problem_at(trying->problem, NULL, 0,
                          "the change can't be tried: there is no room for the memory of both maps");
    return true;
}

static bool make_blocks(struct trying *trying)
{
    for (size_t i = 0; i < trying->n_blocks; i++) {
        char *id = alloc_format("%zu", i);
        const struct gmem_ram_options options = {
            .struct_size = sizeof(options),
            .backing = GMEM_RAM_CALLER,
            .id = id,
            .host = trying->memory + trying->blocks[i].at,
            .size = trying->blocks[i].size,
        };
        int err = gmem_ram_create(trying->vm, &options, &trying->blocks[i].ram);

        free(id);
        if (fails(trying, "memory", err))
            return false;
    }
    return true;
}

static int make_part(struct trying *trying, struct part *part)
{
    const struct topo_region *from = said(part);
    gmem_ram *ram = has_memory(part) ? trying->blocks[part->block].ram : NULL;
    gmem_vm *vm = trying->vm;

    switch (from->kind) {
    case GMEM_KIND_RAM:
        return gmem_region_create_ram(vm, from->name, ram, NULL, &part->region);
    case GMEM_KIND_ROM:
        return gmem_region_create_rom(vm, from->name, ram, NULL, &part->region);
    case GMEM_KIND_ROMD:
        return gmem_region_create_romd(vm, from->name, ram, &map_device, NULL, NULL, &part->region);
    case GMEM_KIND_RAM_DEVICE:
        return gmem_region_create_ram_device(vm, from->name, ram, NULL, &part->region);
    case GMEM_KIND_RESERVED:
        return gmem_region_create_reserved(vm, from->name, GMEM_SIZE_ALL, NULL, &part->region);
    case GMEM_KIND_MMIO:
    case GMEM_KIND_IOMMU:
    case GMEM_KIND_CONTAINER:
    case GMEM_KIND_ALIAS:
        break;
    }
    return gmem_region_create_mmio(vm, from->name, GMEM_SIZE_ALL, &map_device, NULL, NULL, &part->region);
}

/* What is a region's own, and not of the window that it is seen through. */
static int set_part(const struct trying *trying, const struct part *part, unsigned side)
{
    const struct topo_region *from = part->sides[side];
    int err = 0;

    if (!from || !part->region)
        return 0;
    if (from->kind == GMEM_KIND_RAM || from->kind == GMEM_KIND_ROMD || from->kind == GMEM_KIND_RAM_DEVICE)
        err = gmem_region_set_readonly(part->region, from->readonly);
    if (!err && from->kind == GMEM_KIND_ROMD)
        err = gmem_region_set_romd(part->region, from->romd);
    for (unsigned client = 0; !err && has_memory(part) && client < GMEM_LOG_CLIENTS; client++)
        err = from->log && trying->blocks[part->block].size > LOGGED_MAX
                  ? -ENOMEM
                  : gmem_region_set_log(part->region, client, from->log >> client & 1);
    return err;
}

static bool make_parts(struct trying *trying)
{
    for (size_t i = 0; i < trying->n_parts; i++) {
        struct part *part = &trying->parts[i];
        int err = said(part) ? make_part(trying, part) : 0;

        if (!err)
            err = set_part(trying, part, part->sides[0] ? 0 : 1);
        if (fails(trying, err ? said(part)->name : "", err))
            return false;
    }
    return true;
}

/* --- spaces --- */

static int add_window(struct trying *trying, struct place *place, const struct shown_range *range,
                      gmem_region **ret_window)
{
    gmem_size size =
        range->last - range->first == UINT64_MAX ? GMEM_SIZE_ALL : GMEM_SIZE(range->last - range->first + 1);
    gmem_region *window;
    int err = gmem_region_create_alias(trying->vm, "", trying->parts[range->identity].region, range->offset, size, NULL,
                                       &window);

    if (err)
        return err;
    *ret_window = window;
    if (range->attrs & GMEM_RANGE_READONLY)
        err = gmem_region_set_readonly(window, true);
    if (!err && range->attrs & GMEM_RANGE_NONVOLATILE)
        err = gmem_region_set_nonvolatile(window, true);
    return err ? err : gmem_region_add(place->root, range->first, window);
}

static int show_before(struct trying *trying, struct place *place)
{
    const struct space_group *group = &trying->diff->groups[place->group];
    int err = gmem_region_create_container(trying->vm, "", GMEM_SIZE_ALL, NULL, &place->root);

    place->windows = alloc_zeroed(group->n_ranges[0], sizeof(gmem_region *));
    for (size_t i = 0; !err && i < group->n_ranges[0]; i++)
        err = add_window(trying, place, &group->ranges[0][i], &place->windows[i]);
    return err;
}

static int show_after(struct trying *trying, struct place *place)
{
    const struct space_group *group = &trying->diff->groups[place->group];
    int err = 0;

    for (size_t i = 0; !err && i < group->n_changes; i++)
        if (group->changes[i].before)
            err = gmem_region_remove(place->root, place->windows[group->changes[i].before - group->ranges[0]]);
    for (size_t i = 0; !err && i < group->n_changes; i++) {
        gmem_region *window = NULL;

        if (group->changes[i].after)
            err = add_window(trying, place, group->changes[i].after, &window);
        gmem_region_unref(window);
    }
    return err;
}

/* --- which spaces have slots --- */

static const char *name_of(const struct trying *trying, const struct space_pair *pair)
{
    return pair->a != NOWHERE ? trying->pairing->a->spaces[pair->a].name : trying->pairing->b->spaces[pair->b].name;
}

/* The KVM address space that a space of this name is seen in; -1: none. */
static int as_id_of(const char *name)
{
    unsigned as_id;
    int end = 0;

    if (strcmp(name, "memory") == 0)
        return 0;
    if (strcmp(name, "KVM-SMRAM") == 0)
        return 1;
    if (sscanf(name, "memory (as_id %5u)%n", &as_id, &end) == 1 && end && !name[end] && as_id <= UINT16_MAX)
        return (int)as_id;
    return -1;
}

static bool shows_memory(const struct trying *trying, const struct space_group *group)
{
    for (unsigned side = 0; side < 2; side++)
        for (size_t i = 0; i < group->n_ranges[side]; i++)
            if (has_memory(&trying->parts[group->ranges[side][i].identity]))
                return true;
    return false;
}

/* Each in a space of its own, so that one is changed after the other, as processors' spaces are. */
static int attach(struct trying *trying, const struct place *place, uint16_t as_id)
{
    struct slots *slots = &trying->slots[trying->n_slots++];
    int err = gmem_space_create(trying->vm, "", place->root, NULL, &slots->space);

    trying->transit->has_slots = true;
    for (unsigned policy = 0; !err && policy < TRANSIT_POLICIES; policy++) {
        struct dry *dry = &slots->dry[policy];
        const struct gmem_kvm_options options = {
            .struct_size = sizeof(options),
            .vm_fd = -1,
            .as_id = as_id,
            .policy = policy == TRANSIT_KEEP ? GMEM_KVM_POLICY_KEEP : GMEM_KVM_POLICY_REFERENCE,
            .priority = 10,
            .set = on_call,
            .set_opaque = dry,
            .pause = hold,
            .resume = let_go,
            .pause_opaque = dry,
        };

        *dry = (struct dry){.trying = trying, .policy = policy};
        err = gmem_kvm_create(slots->space, &options, &dry->kvm);
    }
    return err;
}

static int attach_all(struct trying *trying, bool any_space)
{
    const struct place **places = alloc_zeroed(UINT16_MAX + 1u, sizeof(*places));
    int err = 0;

    for (size_t i = 0; !any_space && i < trying->diff->n_groups; i++) {
        const struct space_group *group = &trying->diff->groups[i];

        for (size_t k = 0; k < group->n_pairs && shows_memory(trying, group); k++) {
            int as_id = as_id_of(name_of(trying, &trying->pairing->spaces[group->pairs[k]]));

            if (as_id >= 0 && !places[as_id])
                places[as_id] = &trying->places[i];
        }
    }
    for (unsigned as_id = 0; !err && as_id <= UINT16_MAX; as_id++)
        if (places[as_id])
            err = attach(trying, places[as_id], (uint16_t)as_id);
    free(places);
    for (size_t i = 0; !err && !trying->transit->has_slots && i < trying->diff->n_groups; i++)
        if (shows_memory(trying, &trying->diff->groups[i]))
            err = attach(trying, &trying->places[i], 0);
    return err;
}

/* --- trying it --- */

static int make_before(struct trying *trying)
{
    int err = gmem_vm_begin(trying->vm);

    if (err)
        return err;
    for (size_t i = 0; !err && i < trying->diff->n_groups; i++) {
        trying->places[i].group = i;
        trying->places[i].trying = trying;
        err = show_before(trying, &trying->places[i]);
    }
    if (err) {
        gmem_vm_abort(trying->vm);
        return err;
    }
    err = gmem_vm_commit(trying->vm);
    for (size_t i = 0; !err && i < trying->diff->n_groups; i++) {
        struct place *place = &trying->places[i];

        place->listener = (struct gmem_listener){.struct_size = sizeof(place->listener),
                                                 .opaque = place,
                                                 .region_add = on_add,
                                                 .region_del = on_del,
                                                 .log_start = on_log_start,
                                                 .log_stop = on_log_stop};
        err = gmem_space_create(trying->vm, "", place->root, NULL, &place->space);
        if (!err)
            err = gmem_listener_register(trying->vm, place->space, &place->listener);
    }
    return err;
}

static int change(struct trying *trying)
{
    int err = gmem_vm_begin(trying->vm);

    if (err)
        return err;
    trying->changing = true;
    for (size_t i = 0; !err && i < trying->n_parts; i++)
        err = set_part(trying, &trying->parts[i], 1);
    for (size_t i = 0; !err && i < trying->diff->n_groups; i++)
        err = show_after(trying, &trying->places[i]);
    if (err)
        gmem_vm_abort(trying->vm);
    else
        err = gmem_vm_commit(trying->vm);
    trying->changing = false;
    return err;
}

/* The calls behind the first n_before are of the change. */
static void take_calls(struct trying *trying, unsigned policy, size_t n_before)
{
    struct transit_slots *slots = &trying->transit->slots[policy];
    const struct slot_trace *calls = &trying->calls[policy];
    size_t *makers = slottrace_makers(calls);
    struct slot_trace both = {0};
    struct slot_report report;

    slots->n_calls = calls->n_events - n_before;
    slots->calls = alloc_zeroed(slots->n_calls, sizeof(*slots->calls));
    slots->sizes = alloc_zeroed(slots->n_calls, sizeof(*slots->sizes));
    slots->pauses = trying->pauses[policy];
    both.events = alloc_zeroed(calls->n_events + 2, sizeof(*both.events));
    for (size_t i = 0; i <= calls->n_events; i++) {
        if (i == n_before)
            both.events[both.n_events++] = (struct trace_event){.kind = TRACE_CONFIG, .line = 1};
        if (i < calls->n_events)
            both.events[both.n_events++] = calls->events[i];
    }
    slotcheck(&both, &report);
    for (size_t i = 0; i < report.n_rows; i++)
        if (report.rows[i].write)
            slots->counts = report.rows[i].counts;
    slot_report_free(&report);
    for (size_t i = n_before; i < calls->n_events; i++) {
        slots->calls[i - n_before] = calls->events[i];
        slots->sizes[i - n_before] = makers[i] == SIZE_MAX ? calls->events[i].size : calls->events[makers[i]].size;
    }
    free(makers);
    free(both.events);
}

static void end(struct trying *trying)
{
    trying->over = true;
    for (size_t i = 0; i < trying->n_slots; i++)
        for (unsigned policy = 0; policy < TRANSIT_POLICIES; policy++)
            gmem_kvm_destroy(trying->slots[i].dry[policy].kvm);
    for (size_t i = 0; trying->places && i < trying->diff->n_groups; i++)
        free(trying->places[i].windows);
    gmem_vm_destroy(trying->vm);
    if (trying->memory_size && trying->memory != MAP_FAILED)
        munmap(trying->memory, trying->memory_size);
    for (unsigned policy = 0; policy < TRANSIT_POLICIES; policy++)
        free(trying->calls[policy].events);
    free(trying->parts);
    free(trying->blocks);
    free(trying->places);
    free(trying->slots);
}

bool transit(const struct pairing *pairing, const struct view_diff *diff, bool any_space, struct transit *transit,
             struct problem *problem)
{
    struct trying trying = {
        .pairing = pairing, .diff = diff, .transit = transit, .problem = problem, .memory = MAP_FAILED};
    size_t before[TRANSIT_POLICIES];
    bool ok;

    *transit = (struct transit){0};
    find_parts(&trying);
    trying.places = alloc_zeroed(diff->n_groups, sizeof(*trying.places));
    trying.slots = alloc_zeroed(pairing->n_spaces, sizeof(*trying.slots));
    ok = !fails(&trying, "a vm", gmem_vm_create(NULL, &trying.vm)) && find_blocks(&trying) && make_blocks(&trying) &&
         make_parts(&trying) && !fails(&trying, "the map before", make_before(&trying)) &&
         !fails(&trying, "slots", attach_all(&trying, any_space));
    for (unsigned policy = 0; policy < TRANSIT_POLICIES; policy++)
        before[policy] = trying.calls[policy].n_events;
    ok = ok && !fails(&trying, "the map after", change(&trying));
    for (unsigned policy = 0; ok && policy < TRANSIT_POLICIES; policy++)
        take_calls(&trying, policy, before[policy]);
    end(&trying);
    if (!ok)
        transit_free(transit);
    return ok;
}

void transit_free(struct transit *transit)
{
    free(transit->heard);
    for (unsigned policy = 0; policy < TRANSIT_POLICIES; policy++) {
        free(transit->slots[policy].calls);
        free(transit->slots[policy].sizes);
    }
    *transit = (struct transit){0};
}
