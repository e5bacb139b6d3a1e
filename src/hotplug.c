/* SPDX-License-Identifier: MIT */
/*
 * hotplug.c - a container for memory that is plugged and unplugged while the guest runs.
 *
 * Owns the container and, for each block that was plugged, an entry with its id. What is plugged is read from the topology, so
 * that undoing a transaction needs nothing here: of the entries of a region in the container the one counts that was
 * made last before the region was placed as it is (p.seq, which an undo restores). The others are of what was
 * undone, or may come back by an undo; they are swept where no transaction is open around.
 *
 * Invariants. An entry holds a reference on its region. Blocks that were plugged never overlap, whatever their RAM is resized
 * to: the place of one is as large as it can become.
 *
 * All of it runs with the writer turn held, but for the calls of foreach's fn.
 */
#include "child_index.h"
#include "ram_backing.h"
#include "transaction.h"
#include <errno.h>
#include <gmem/device.h>
#include <gmem/hotplug.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    gmem_region *region; /* a reference held */
    uint64_t seq;        /* its order of placement when it was plugged */
    char *id;
};

struct gmem_hotplug {
    gmem_vm *vm;
    gmem_region *parent, *container; /* references held */
    uint64_t base;                   /* of the container in the parent */
    size_t slots;
    uint64_t align;
    struct entry *entries; /* by rising seq */
    size_t count, room;
};

/* --- entries ------------------------------------------------------------------------------------------------------- */

/* The entry that says what region, which is in the container, is plugged as; NULL: it was placed by another call. */
static const struct entry *entry_of(const gmem_hotplug *hotplug, const gmem_region *region)
{
    size_t i = hotplug->count;

    while (i-- > 0) {
        if (hotplug->entries[i].region == region && hotplug->entries[i].seq <= region->p.seq)
            return &hotplug->entries[i];
    }
    return NULL;
}

static bool counts(const gmem_hotplug *hotplug, const struct entry *entry)
{
    return entry->region->p.container == hotplug->container && entry_of(hotplug, entry->region) == entry;
}

static const struct entry *find_id(const gmem_hotplug *hotplug, const char *id)
{
    size_t i;

    for (i = 0; i < hotplug->count; i++) {
        if (!strcmp(hotplug->entries[i].id, id) && counts(hotplug, &hotplug->entries[i]))
            return &hotplug->entries[i];
    }
    return NULL;
}

static size_t count_plugged(const gmem_hotplug *hotplug)
{
    size_t i, count = 0;

    for (i = 0; i < hotplug->count; i++)
        count += counts(hotplug, &hotplug->entries[i]);
    return count;
}

static void entry_end(struct entry *entry)
{
    gmem_region_unref(entry->region);
    free(entry->id);
}

/* Forget what counts no more, unless an undo of a transaction that is open could bring it back. */
static void sweep(gmem_hotplug *hotplug)
{
    size_t i;

    if (hotplug->vm->savepoint_count > 0)
        return;
    /* From the end: whether one counts does not depend on those before it. */
    for (i = hotplug->count; i-- > 0;) {
        struct entry *entry = &hotplug->entries[i];

        if (counts(hotplug, entry))
            continue;
        entry_end(entry);
        memmove(entry, entry + 1, (hotplug->count - i - 1) * sizeof(*entry));
        hotplug->count--;
    }
}

/* --- the hotplug --------------------------------------------------------------------------------------------------- */

static const char *check_options(const struct gmem_hotplug_options *options)
{
    if (options->size == 0)
        return "its size is 0";
    if (options->slots == 0)
        return "it has no slots";
    if (options->align & (options->align - 1))
        return "align is no power of two";
    if (options->align && (options->base & (options->align - 1)))
        return "base is no multiple of align";
    return NULL;
}

/* Make the container and place it, in a transaction that was begun. */
static int place_container(gmem_hotplug *hotplug, const struct gmem_hotplug_options *options)
{
    const char *name = options->name ? options->name : "device-memory";
    gmem_region *parent = hotplug->parent;
    int err;

    if (options->base > parent->p.last || parent->p.last - options->base < options->size - 1)
        return gmem__refuse(hotplug->vm, -EOVERFLOW, "hotplug: 0x%llx bytes at 0x%llx reach out of \"%s\"",
                            (unsigned long long)options->size, (unsigned long long)options->base, parent->name);
    err = gmem_region_create_container(hotplug->vm, name, gmem_size_of(options->size), NULL, &hotplug->container);
    return err ? err : gmem_region_add(parent, options->base, hotplug->container);
}

int gmem_hotplug_create(gmem_region *parent, const struct gmem_hotplug_options *options, gmem_hotplug **ret_hotplug)
{
    struct gmem_hotplug_options known;
    gmem_hotplug *hotplug;
    const char *wrong;
    int err;

    if (!parent || !options || !ret_hotplug)
        return -EINVAL;
    if (gmem__options_copy(&known, sizeof(known), options, options->struct_size))
        return gmem__refuse(parent->vm, -EINVAL, "hotplug options with an unknown size, or tail");
    wrong = check_options(&known);
    if (wrong)
        return gmem__refuse(parent->vm, -EINVAL, "hotplug: %s", wrong);
    hotplug = calloc(1, sizeof(*hotplug));
    if (!hotplug)
        return gmem__refuse(parent->vm, -ENOMEM, "no memory for a hotplug");
    hotplug->vm = parent->vm;
    hotplug->parent = gmem_region_ref(parent);
    hotplug->base = known.base;
    hotplug->slots = known.slots;
    hotplug->align = known.align ? known.align : gmem__host_page_size();
    err = known.base & (hotplug->align - 1)
              ? gmem__refuse(parent->vm, -EINVAL, "hotplug: base is no multiple of a page")
              : gmem_vm_begin(parent->vm);
    if (!err)
        err = gmem__edit_end(parent->vm, place_container(hotplug, &known));
    if (err) {
        gmem_region_unref(hotplug->container);
        gmem_region_unref(hotplug->parent);
        free(hotplug);
        return err;
    }
    *ret_hotplug = hotplug;
    return 0;
}

void gmem_hotplug_destroy(gmem_hotplug *hotplug)
{
    gmem_vm *vm;
    size_t i;
    int err;

    if (!hotplug)
        return;
    vm = hotplug->vm;
    err = gmem_vm_begin(vm);
    if (!err) {
        if (hotplug->container->p.container == hotplug->parent)
            err = gmem_region_remove(hotplug->parent, hotplug->container);
        for (i = 0; !err && i < hotplug->count; i++) {
            if (hotplug->entries[i].region->p.container == hotplug->container)
                err = gmem_region_remove(hotplug->container, hotplug->entries[i].region);
        }
        err = gmem__edit_end(vm, err);
    }
    if (err)
        gmem__log(vm, GMEM_LOG_WARNING, "\"%s\" and what is plugged there stay: %s", hotplug->container->name,
                  gmem_strerror(err));
    for (i = 0; i < hotplug->count; i++)
        entry_end(&hotplug->entries[i]);
    gmem_region_unref(hotplug->container);
    gmem_region_unref(hotplug->parent);
    free(hotplug->entries);
    free(hotplug);
}

gmem_region *gmem_hotplug_region(const gmem_hotplug *hotplug)
{
    return hotplug->container;
}

/* --- places -------------------------------------------------------------------------------------------------------- */

static uint64_t align_for(const gmem_hotplug *hotplug, const gmem_region *block)
{
    return block->ram ? gmem__max(hotplug->align, gmem_ram_page_size(block->ram)) : hotplug->align;
}

/* The next multiple of align, for addresses of the parent; false: there is none. */
static bool round_up(const gmem_hotplug *hotplug, uint64_t *offset, uint64_t align)
{
    uint64_t addr = hotplug->base + *offset, up = (addr + (align - 1)) & ~(align - 1);

    *offset = up - hotplug->base;
    return up >= addr;
}

/* The last byte of a block's place: it grows with RAM that does. */
static uint64_t place_last(const gmem_region *block)
{
    bool grows = block->ram && block->ram->resizable;

    return grows ? gmem__max(block->p.last, gmem_ram_max_size(block->ram) - 1) : block->p.last;
}

/* The same in its container. What other calls placed may come to reach beyond all of it. */
static uint64_t child_last(const gmem_region *child)
{
    uint64_t last = place_last(child);

    return gmem__range_overflows(child->p.offset, last) ? GMEM__LAST : child->p.offset + last;
}

struct search {
    const gmem_hotplug *hotplug;
    uint64_t size_last, align;
    uint64_t at; /* the lowest place that is free of what was seen */
    bool full;   /* there is none */
};

/* Subregions come by rising offset. */
static int pass_child(void *opaque, gmem_region *child)
{
    struct search *search = opaque;
    uint64_t last = child_last(child);

    if (child->p.offset > search->at && child->p.offset - search->at > search->size_last)
        return 1;
    if (last < search->at)
        return 0;
    search->at = last + 1;
    search->full = last == GMEM__LAST || !round_up(search->hotplug, &search->at, search->align);
    return search->full;
}

static int find_place(const gmem_hotplug *hotplug, const gmem_region *block, uint64_t *ret_offset)
{
    gmem_region *container = hotplug->container;
    struct search search = {.hotplug = hotplug, .size_last = place_last(block), .align = align_for(hotplug, block)};

    search.full = !round_up(hotplug, &search.at, search.align);
    if (!search.full)
        (void)gmem__child_index_walk(container->child_index, 0, GMEM__LAST, pass_child, &search);
    if (search.full || search.at > container->p.last || container->p.last - search.at < search.size_last)
        return gmem__refuse(hotplug->vm, -ENOSPC, "\"%s\" has no place left for \"%s\"", container->name, block->name);
    *ret_offset = search.at;
    return 0;
}

struct overlap {
    uint64_t first;
    const gmem_region *found;
};

/* Of those that begin before the end of an interval. */
static int first_overlap(void *opaque, gmem_region *child)
{
    struct overlap *overlap = opaque;

    if (child_last(child) < overlap->first)
        return 0;
    overlap->found = child;
    return 1;
}

static int check_place(const gmem_hotplug *hotplug, const gmem_region *block, uint64_t addr, uint64_t *ret_offset)
{
    const gmem_region *container = hotplug->container;
    uint64_t offset = addr - hotplug->base, last = place_last(block);
    struct overlap overlap = {.first = offset};

    if (addr & (align_for(hotplug, block) - 1))
        return gmem__refuse(hotplug->vm, -EINVAL, "\"%s\" can't be plugged at 0x%llx, which is no multiple of 0x%llx",
                            block->name, (unsigned long long)addr, (unsigned long long)align_for(hotplug, block));
    if (addr < hotplug->base || offset > container->p.last || container->p.last - offset < last)
        return gmem__refuse(hotplug->vm, -ERANGE, "\"%s\" at 0x%llx is not inside \"%s\"", block->name,
                            (unsigned long long)addr, container->name);
    /* From 0: what is shown of one further down may end before its place does. */
    if (gmem__child_index_walk(container->child_index, 0, offset + last, first_overlap, &overlap))
        return gmem__refuse(hotplug->vm, -EADDRINUSE, "\"%s\" at 0x%llx overlaps \"%s\"", block->name,
                            (unsigned long long)addr, overlap.found->name);
    *ret_offset = offset;
    return 0;
}

/* --- plugging ------------------------------------------------------------------------------------------------------ */

/* A transaction, and the turn beyond its end. */
static int edit_begin(gmem_hotplug *hotplug)
{
    int err = gmem_vm_begin(hotplug->vm);

    if (!err) {
        err = gmem__turn_acquire(hotplug->vm);
        if (err)
            gmem_vm_abort(hotplug->vm);
    }
    return err;
}

static int edit_end(gmem_hotplug *hotplug, int err)
{
    gmem_vm *vm = hotplug->vm;

    err = gmem__edit_end(vm, err);
    sweep(hotplug);
    gmem__turn_release(vm);
    /* What the commit left, with the turn. */
    if (!err)
        gmem_vm_flush_coalesced(vm);
    return err;
}

/* In a transaction that was begun. On success there is one entry more, at the end. */
static int plug(gmem_hotplug *hotplug, gmem_region *block, const uint64_t *addr, const char *id)
{
    gmem_vm *vm = hotplug->vm;
    struct entry entry = {.region = block};
    uint64_t offset;
    int err;

    if (find_id(hotplug, id))
        return gmem__refuse(vm, -EEXIST, "\"%s\": \"%s\" is plugged already", hotplug->container->name, id);
    if (count_plugged(hotplug) >= hotplug->slots)
        return gmem__refuse(vm, -ENOSPC, "\"%s\" has %zu slots, and none is left for \"%s\"", hotplug->container->name,
                            hotplug->slots, id);
    if (block->p.container)
        return gmem__refuse(vm, -EBUSY, "\"%s\" is in \"%s\" already, can't be plugged", block->name,
                            block->p.container->name);
    err = addr ? check_place(hotplug, block, *addr, &offset) : find_place(hotplug, block, &offset);
    if (err)
        return err;
    err = gmem__grow((void **)&hotplug->entries, &hotplug->room, hotplug->count + 1, sizeof(*hotplug->entries));
    entry.id = err ? NULL : strdup(id);
    if (!entry.id)
        return gmem__refuse(vm, -ENOMEM, "no memory to plug \"%s\"", id);
    err = gmem_region_add(hotplug->container, offset, block);
    if (err) {
        free(entry.id);
        return err;
    }
    entry.seq = block->p.seq;
    gmem_region_ref(block);
    hotplug->entries[hotplug->count++] = entry;
    return 0;
}

int gmem_hotplug_plug(gmem_hotplug *hotplug, gmem_region *block, const uint64_t *addr, const char *id,
                      uint64_t *ret_addr)
{
    size_t length = id ? strnlen(id, GMEM_HOTPLUG_ID_MAX + 1) : 0;
    uint64_t placed = 0;
    gmem_vm *vm;
    int err;

    if (!hotplug || !block || !id)
        return -EINVAL;
    vm = hotplug->vm;
    if (length == 0 || length > GMEM_HOTPLUG_ID_MAX)
        return gmem__refuse(vm, -EINVAL, "a plugged block needs an id of 1 to %u bytes", GMEM_HOTPLUG_ID_MAX);
    if (block->vm != vm)
        return gmem__refuse(vm, -EXDEV, "\"%s\" and \"%s\" belong to different vms", block->name,
                            hotplug->container->name);
    err = edit_begin(hotplug);
    if (err)
        return err;
    err = plug(hotplug, block, addr, id);
    if (!err)
        placed = hotplug->base + block->p.offset;
    err = edit_end(hotplug, err);
    if (!err && ret_addr)
        *ret_addr = placed;
    return err;
}

int gmem_hotplug_unplug(gmem_hotplug *hotplug, const char *id)
{
    const struct entry *entry;
    gmem_vm *vm;
    int err;

    if (!hotplug || !id)
        return -EINVAL;
    vm = hotplug->vm;
    err = edit_begin(hotplug);
    if (err)
        return err;
    entry = find_id(hotplug, id);
    if (entry)
        err = gmem_region_remove(hotplug->container, entry->region);
    else
        err = gmem__refuse(vm, -ENOENT, "\"%s\": no \"%.255s\" is plugged", hotplug->container->name, id);
    return edit_end(hotplug, err);
}

/* --- what is there ------------------------------------------------------------------------------------------------- */

/* The turn, which a listener callback has already. Whether it is to be given up. */
static bool look(gmem_vm *vm)
{
    return gmem__turn_acquire(vm) == 0;
}

/* A copy of a block's entry, as foreach's fn is told of it. */
struct seen {
    struct gmem_hotplug_block block;
    char id[GMEM_HOTPLUG_ID_MAX + 1];
};

static int compare_seen(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;

    return x->block.addr < y->block.addr ? -1 : x->block.addr > y->block.addr;
}

/* With the turn. */
static size_t see(const gmem_hotplug *hotplug, struct seen *seen)
{
    size_t i, count = 0;

    for (i = 0; i < hotplug->count; i++) {
        const struct entry *entry = &hotplug->entries[i];

        if (!counts(hotplug, entry))
            continue;
        (void)snprintf(seen[count].id, sizeof(seen[count].id), "%s", entry->id);
        seen[count++].block = (struct gmem_hotplug_block){
            .region = gmem_region_ref(entry->region),
            .addr = hotplug->base + entry->region->p.offset,
            .size = entry->region->p.last + 1,
        };
    }
    qsort(seen, count, sizeof(*seen), compare_seen);
    return count;
}

int gmem_hotplug_foreach(gmem_hotplug *hotplug, gmem_hotplug_fn *fn, void *opaque)
{
    struct seen *seen;
    size_t i, count;
    bool mine;
    int ret = 0;

    if (!hotplug || !fn)
        return -EINVAL;
    mine = look(hotplug->vm);
    count = hotplug->count;
    seen = calloc(count + 1, sizeof(*seen));
    count = seen ? see(hotplug, seen) : 0;
    if (mine)
        gmem__turn_release(hotplug->vm);
    if (!seen)
        return gmem__refuse(hotplug->vm, -ENOMEM, "no memory to list what is plugged");
    for (i = 0; i < count; i++) {
        seen[i].block.id = seen[i].id;
        if (!ret)
            ret = fn(opaque, &seen[i].block);
        gmem_region_unref(seen[i].block.region);
    }
    free(seen);
    return ret;
}

void gmem_hotplug_info(gmem_hotplug *hotplug, struct gmem_hotplug_state *ret_state)
{
    struct gmem_hotplug_state state = {0};
    bool mine;
    size_t i;

    if (!hotplug || !ret_state)
        return;
    mine = look(hotplug->vm);
    state.base = hotplug->base;
    state.size = hotplug->container->p.last + 1;
    state.slots = hotplug->slots;
    for (i = 0; i < hotplug->count; i++) {
        if (!counts(hotplug, &hotplug->entries[i]))
            continue;
        state.slots_used++;
        state.used += place_last(hotplug->entries[i].region) + 1;
    }
    if (mine)
        gmem__turn_release(hotplug->vm);
    *ret_state = state;
}
