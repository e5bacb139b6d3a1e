/* SPDX-License-Identifier: MIT */
/*
 * dirty.c - owns a copy of an adapter's table of slots, with what the kernel's log of each said, and brings it into the
 * RAM blocks' dirty bitmaps.
 *
 * Follows the adapter's slot calls (gmem__kvm_follow()) and listens for log_sync and log_clear. All of that runs with
 * the vm's writer turn held. With rings, threads of virtual processors look slots up too; so the table is changed with
 * the lock held, which is taken after the ring's and never while anything of the caller's is called.
 *
 *  (a) Bits fetched are marked for all clients at once. bits of a slot is what the latest KVM_GET_DIRTY_LOG said and no
 *      KVM_CLEAR_DIRTY_LOG has taken back: what all clients know of. Only that is ever cleared in the kernel. So a
 *      write that came after the fetch, to a page that was clean then, is never cleared unseen; and where two clients
 *      have taken a page from their bitmaps, the first one's clear has the kernel watch it, and the second one's does
 *      not touch what the kernel saw since.
 *  (b) A logged slot that goes was fetched while no processor ran, or all of it is marked after it went. Marks
 *      come after the writes that they are for, as everywhere (src/dirty.c).
 *  (c) An undo needs no memory: what a slot number once had of it stays.
 */
#include "dirty.h"
#include "internal.h"
#include "slotplan.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gmem/listener.h>
#include <gmem/ram.h>
#include <gmem/region.h>
#include <gmem/vm.h>

/* Pages that one KVM_CLEAR_DIRTY_LOG is for: the kernel keeps its lock that long. */
#define CLEAR_PAGES 16384u
#define WORD_BITS 64u

struct slot {
    uint64_t gpa;
    uint64_t size;  /* 0: not in use */
    uint32_t flags; /* KVM_MEM_* */
    gmem_ram *ram;  /* of which we hold a reference; NULL: memory of no block, nothing to be marked */
    uint64_t offset;
    uint64_t *bits; /* (a); host pages; not with rings */
    size_t words;   /* room in bits */
};

enum state { ATTACHING, ATTACHED, DETACHING };

struct gmem_kvm_dirty {
    struct gmem_kvm_dirty_options options;
    enum gmem_kvm_dirty_mode mode; /* once attached, not AUTO */
    struct gmem__kvm_of of;
    gmem_kvm *kvm;
    uint64_t page_size; /* of the host, and so of the kernel's log */
    struct gmem__kvm_watch watch;
    struct gmem_listener listener;
    struct gmem__ring_sink sink;
    enum state state;
    bool paused;  /* by the removal under way */
    bool fetched; /* its log was */

    pthread_mutex_t lock;
    struct slot *slots; /* by number */
    size_t count, room;

    struct gmem_kvm_dirty_stats stats; /* atomic, relaxed: they count */
};

static void count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

static int call_kernel(struct gmem_kvm_dirty *dirty, unsigned long request, void *arg)
{
    int err = gmem__kvm_ioctl(dirty->options.ioctl, dirty->options.ioctl_opaque, dirty->of.vm_fd, request, arg);

    if (err < 0)
        count(&dirty->stats.failed, 1);
    return err;
}

static bool is_manual(const struct gmem_kvm_dirty *dirty)
{
    return dirty->mode == GMEM_KVM_DIRTY_MANUAL || dirty->mode == GMEM_KVM_DIRTY_MANUAL_INIT;
}

static bool is_logged(const struct slot *slot)
{
    return slot->size > 0 && slot->flags & (uint32_t)KVM_MEM_LOG_DIRTY_PAGES;
}

static uint64_t pages_of(const struct gmem_kvm_dirty *dirty, uint64_t size)
{
    return size / dirty->page_size;
}

static size_t words_of(uint64_t pages)
{
    return (size_t)((pages + WORD_BITS - 1) / WORD_BITS);
}

static uint32_t number_of(const struct gmem_kvm_dirty *dirty, size_t index)
{
    return (uint32_t)dirty->of.as_id << 16 | (uint32_t)index;
}

/* --- marking --- */

static void mark_bytes(gmem_ram *ram, uint64_t offset, uint64_t size)
{
    /* Fails only for what is outside the block, which slots are not. */
    if (ram && gmem_ram_dirty_mark(ram, offset, size))
        return;
}

static uint64_t count_bits(const uint64_t *bits, size_t words)
{
    uint64_t found = 0;
    size_t i;

    for (i = 0; i < words; i++)
        found += (unsigned)__builtin_popcountll(bits[i]);
    return found;
}

static void mark_slot(struct gmem_kvm_dirty *dirty, const struct slot *slot)
{
    uint64_t page, pages = pages_of(dirty, slot->size);

    count(&dirty->stats.pages_marked, count_bits(slot->bits, words_of(pages)));
    if (!slot->ram)
        return;
    /* Fails for nothing that mark_bytes() would not. */
    if (dirty->page_size == GMEM_DIRTY_PAGE_SIZE &&
        !gmem_ram_dirty_mark_bitmap(slot->ram, slot->offset, slot->bits, pages))
        return;
    for (page = 0; page < pages; page++) {
        if (slot->bits[page / WORD_BITS] >> page % WORD_BITS & 1)
            mark_bytes(slot->ram, slot->offset + page * dirty->page_size, dirty->page_size);
    }
}

/* As a sink: on any thread, with the ring's lock held. */
static uint32_t mark_entries(void *opaque, const struct kvm_dirty_gfn *entries, uint32_t entry_count)
{
    struct gmem_kvm_dirty *dirty = opaque;
    uint32_t i, found = 0;

    pthread_mutex_lock(&dirty->lock);
    for (i = 0; i < entry_count; i++) {
        size_t index = entries[i].slot & 0xffff;
        const struct slot *slot = index < dirty->count ? &dirty->slots[index] : NULL;

        if (entries[i].slot >> 16 != dirty->of.as_id || !slot || entries[i].offset >= pages_of(dirty, slot->size))
            continue;
        mark_bytes(slot->ram, slot->offset + entries[i].offset * dirty->page_size, dirty->page_size);
        found++;
    }
    pthread_mutex_unlock(&dirty->lock);
    count(&dirty->stats.pages_marked, found);
    return found;
}

static void mark_everything(void *opaque)
{
    struct gmem_kvm_dirty *dirty = opaque;
    size_t i;

    pthread_mutex_lock(&dirty->lock);
    for (i = 0; i < dirty->count; i++) {
        if (is_logged(&dirty->slots[i]))
            mark_bytes(dirty->slots[i].ram, dirty->slots[i].offset, dirty->slots[i].size);
    }
    pthread_mutex_unlock(&dirty->lock);
}

/* --- the kernel's log --- */

static int get_log(struct gmem_kvm_dirty *dirty, size_t index)
{
    struct slot *slot = &dirty->slots[index];
    struct kvm_dirty_log call = {.slot = number_of(dirty, index), .dirty_bitmap = slot->bits};
    int err = call_kernel(dirty, KVM_GET_DIRTY_LOG, &call);

    if (err < 0) {
        /* Whatever is there now was not handed to anybody. */
        memset(slot->bits, 0, slot->words * sizeof(*slot->bits));
        return err;
    }
    count(&dirty->stats.gets, 1);
    mark_slot(dirty, slot);
    return 0;
}

/* The pages first to last of a slot, as far as (a) lets. */
static int clear_log(struct gmem_kvm_dirty *dirty, size_t index, uint64_t first, uint64_t last)
{
    struct slot *slot = &dirty->slots[index];
    uint64_t pages = pages_of(dirty, slot->size);
    uint64_t from = first / WORD_BITS * WORD_BITS;
    int err = 0;

    for (; from <= last && err >= 0; from += CLEAR_PAGES) {
        uint64_t bits[CLEAR_PAGES / WORD_BITS] = {0};
        uint64_t *kept = slot->bits + from / WORD_BITS;
        uint64_t some = pages - from < CLEAR_PAGES ? pages - from : CLEAR_PAGES;
        struct kvm_clear_dirty_log call = {
            .slot = number_of(dirty, index), .num_pages = (uint32_t)some, .first_page = from, .dirty_bitmap = bits};
        uint64_t cleared;
        size_t i;

        for (i = 0; i < words_of(some); i++) {
            uint64_t page = from + i * WORD_BITS;

            if (page > last)
                break;
            bits[i] = kept[i];
            if (page < first)
                bits[i] &= UINT64_MAX << (first - page);
            if (last - page < WORD_BITS - 1)
                bits[i] &= UINT64_MAX >> (WORD_BITS - 1 - (last - page));
        }
        cleared = count_bits(bits, words_of(some));
        if (!cleared)
            continue;
        err = call_kernel(dirty, KVM_CLEAR_DIRTY_LOG, &call);
        if (err < 0)
            break;
        for (i = 0; i < words_of(some); i++)
            kept[i] &= ~bits[i];
        count(&dirty->stats.clears, 1);
        count(&dirty->stats.pages_cleared, cleared);
    }
    return err < 0 ? err : 0;
}

static void keep_out(struct gmem_kvm_dirty *dirty)
{
    if (dirty->options.pause)
        dirty->options.pause(dirty->options.pause_opaque);
}

static void let_in(struct gmem_kvm_dirty *dirty)
{
    if (dirty->options.resume)
        dirty->options.resume(dirty->options.pause_opaque);
}

/* --- log_sync and log_clear --- */

static bool touches(const struct slot *slot, const struct gmem_section *section)
{
    return is_logged(slot) && slot->gpa <= section->last && slot->gpa + (slot->size - 1) >= section->first;
}

static int sync_rings(struct gmem_kvm_dirty *dirty)
{
    int err;

    /* What processors noted in buffers of the hardware's comes into the rings when they leave the guest. */
    keep_out(dirty);
    err = gmem__ring_harvest(dirty->options.ring);
    let_in(dirty);
    return err;
}

static int on_log_sync(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct gmem_kvm_dirty *dirty = listener->opaque;
    size_t i;
    int err, first_err = 0;

    for (i = 0; i < dirty->count; i++) {
        if (!touches(&dirty->slots[i], section))
            continue;
        if (dirty->mode == GMEM_KVM_DIRTY_RING)
            return sync_rings(dirty);
        err = get_log(dirty, i);
        if (err && !first_err)
            first_err = err;
    }
    return first_err;
}

static int on_log_clear(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct gmem_kvm_dirty *dirty = listener->opaque;
    size_t i;
    int err, first_err = 0;

    for (i = 0; i < dirty->count && is_manual(dirty); i++) {
        const struct slot *slot = &dirty->slots[i];
        uint64_t first, last;

        if (!touches(slot, section))
            continue;
        first = section->first > slot->gpa ? section->first - slot->gpa : 0;
        last = section->last - slot->gpa < slot->size ? section->last - slot->gpa : slot->size - 1;
        err = clear_log(dirty, i, pages_of(dirty, first), pages_of(dirty, last));
        if (err && !first_err)
            first_err = err;
    }
    return first_err;
}

/* --- following the slots --- */

static int reserve_slot(struct gmem_kvm_dirty *dirty, size_t index)
{
    void *array;
    int err;

    pthread_mutex_lock(&dirty->lock);
    array = dirty->slots;
    err = gmem__kvm_grow(&array, &dirty->room, index + 1, sizeof(struct slot));
    dirty->slots = array;
    if (!err && dirty->count <= index) {
        memset(&dirty->slots[dirty->count], 0, (index + 1 - dirty->count) * sizeof(struct slot));
        dirty->count = index + 1;
    }
    pthread_mutex_unlock(&dirty->lock);
    return err;
}

/* Bits of a slot that begins to be logged: nobody knows of any. */
static int reserve_bits(struct gmem_kvm_dirty *dirty, struct slot *slot, uint64_t size)
{
    size_t words = words_of(pages_of(dirty, size));
    void *array = slot->bits;

    if (dirty->mode == GMEM_KVM_DIRTY_RING)
        return 0;
    if (words > slot->words) {
        array = reallocarray(array, words, sizeof(*slot->bits));
        if (!array)
            return -ENOMEM;
        slot->bits = array;
        slot->words = words;
    }
    memset(slot->bits, 0, slot->words * sizeof(*slot->bits));
    return 0;
}

static void before_removal(struct gmem_kvm_dirty *dirty, size_t index)
{
    dirty->paused = false;
    dirty->fetched = false;
    if (index >= dirty->count || !is_logged(&dirty->slots[index]) || !dirty->options.pause)
        return;
    keep_out(dirty);
    dirty->paused = true;
    if (dirty->mode == GMEM_KVM_DIRTY_RING)
        dirty->fetched = !gmem__ring_harvest(dirty->options.ring);
    else
        dirty->fetched = !get_log(dirty, index);
}

static int before_call(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct gmem_kvm_dirty *dirty = opaque;
    size_t index = call->slot & 0xffff;
    bool log = call->flags & (uint32_t)KVM_MEM_LOG_DIRTY_PAGES;
    int err;

    if (call->memory_size == 0) {
        before_removal(dirty, index);
        return 0;
    }
    err = reserve_slot(dirty, index);
    if (!err && log && !is_logged(&dirty->slots[index]))
        err = reserve_bits(dirty, &dirty->slots[index], call->memory_size);
    return err;
}

static void after_removal(struct gmem_kvm_dirty *dirty, struct slot *slot, int err)
{
    struct slot gone = *slot;

    if (!err) {
        pthread_mutex_lock(&dirty->lock);
        slot->size = 0;
        slot->ram = NULL;
        pthread_mutex_unlock(&dirty->lock);
        if (is_logged(&gone) && !dirty->fetched)
            mark_bytes(gone.ram, gone.offset, gone.size);
        if (is_logged(&gone))
            count(dirty->fetched ? &dirty->stats.fetched_at_removal : &dirty->stats.marked_at_removal, 1);
        gmem_ram_unref(gone.ram);
    }
    if (dirty->paused)
        let_in(dirty);
    dirty->paused = false;
}

static void after_call(void *opaque, const struct kvm_userspace_memory_region *call, int err)
{
    struct gmem_kvm_dirty *dirty = opaque;
    size_t index = call->slot & 0xffff;
    gmem_ram *ram = NULL;
    uint64_t offset = 0;
    struct slot *slot;

    if (call->memory_size == 0) {
        if (index < dirty->count)
            after_removal(dirty, &dirty->slots[index], err);
        return;
    }
    if (err)
        return;
    slot = &dirty->slots[index];
    if (slot->size > 0)
        ram = slot->ram;
    else if (gmem_ram_find_host(dirty->of.vm, (void *)(uintptr_t)call->userspace_addr, &ram, &offset))
        ram = NULL;
    pthread_mutex_lock(&dirty->lock);
    if (slot->size == 0) {
        slot->ram = ram;
        slot->offset = offset;
        slot->gpa = call->guest_phys_addr;
        slot->size = call->memory_size;
    }
    slot->flags = call->flags;
    pthread_mutex_unlock(&dirty->lock);
}

/* --- creation and end --- */

static int pick_mode(struct gmem_kvm_dirty *dirty)
{
    int manual = call_kernel(dirty, KVM_CHECK_EXTENSION, (void *)(uintptr_t)KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
    struct kvm_enable_cap cap = {.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2};
    bool may_init = manual & KVM_DIRTY_LOG_INITIALLY_SET;
    int err;

    if (manual < 0)
        return manual;
    if (dirty->mode == GMEM_KVM_DIRTY_AUTO && manual & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
        dirty->mode = may_init ? GMEM_KVM_DIRTY_MANUAL_INIT : GMEM_KVM_DIRTY_MANUAL;
    if (dirty->mode == GMEM_KVM_DIRTY_AUTO)
        dirty->mode = GMEM_KVM_DIRTY_GET;
    if (is_manual(dirty))
        cap.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
    if (dirty->mode == GMEM_KVM_DIRTY_MANUAL_INIT)
        cap.args[0] |= KVM_DIRTY_LOG_INITIALLY_SET;
    if (cap.args[0] & ~(uint64_t)manual)
        return -ENOTSUP;
    if (!manual)
        return 0;
    err = call_kernel(dirty, KVM_ENABLE_CAP, &cap);
    return err < 0 ? err : 0;
}

/*
 * The listener's brackets, heard when it is registered and unregistered only, have the turn for following. The kernel is
 * told of the mode when nobody else follows.
 */
static int on_begin(struct gmem_listener *listener)
{
    struct gmem_kvm_dirty *dirty = listener->opaque;
    int err;

    if (dirty->state != ATTACHING)
        return 0;
    err = gmem__kvm_follow(dirty->kvm, &dirty->watch);
    if (err || dirty->mode == GMEM_KVM_DIRTY_RING)
        return err;
    err = pick_mode(dirty);
    if (err)
        (void)gmem__kvm_follow(dirty->kvm, NULL);
    return err;
}

static int on_commit(struct gmem_listener *listener)
{
    struct gmem_kvm_dirty *dirty = listener->opaque;

    return dirty->state == DETACHING ? gmem__kvm_follow(dirty->kvm, NULL) : 0;
}

static int prepare(struct gmem_kvm_dirty *dirty, const struct gmem_kvm_dirty_options *given)
{
    struct gmem_kvm_dirty_options *options = &dirty->options;
    int err = gmem__kvm_copy_options(options, sizeof(*options), given);

    if (err)
        return err;
    if ((unsigned)options->mode > GMEM_KVM_DIRTY_RING || !options->pause != !options->resume)
        return -EINVAL;
    dirty->mode = options->mode;
    if (dirty->mode == GMEM_KVM_DIRTY_AUTO && options->ring)
        dirty->mode = GMEM_KVM_DIRTY_RING;
    if ((dirty->mode == GMEM_KVM_DIRTY_RING) != (options->ring != NULL))
        return -EINVAL;
    dirty->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    return dirty->mode == GMEM_KVM_DIRTY_RING && !options->pause ? -EINVAL : 0;
}

static void free_dirty(struct gmem_kvm_dirty *dirty)
{
    size_t i;

    for (i = 0; i < dirty->count; i++) {
        gmem_ram_unref(dirty->slots[i].ram);
        free(dirty->slots[i].bits);
    }
    pthread_mutex_destroy(&dirty->lock);
    free(dirty->slots);
    free(dirty);
}

static int attach(struct gmem_kvm_dirty *dirty)
{
    int err;

    dirty->watch = (struct gmem__kvm_watch){dirty, before_call, after_call};
    dirty->sink = (struct gmem__ring_sink){NULL, dirty, mark_entries, mark_everything};
    dirty->listener = (struct gmem_listener){.struct_size = sizeof(dirty->listener),
                                             .name = "kvm dirty log",
                                             .opaque = dirty,
                                             .priority = dirty->options.priority,
                                             .begin = on_begin,
                                             .commit = on_commit,
                                             .log_sync = on_log_sync,
                                             .log_clear = on_log_clear};
    if (dirty->options.ring)
        gmem__ring_add_sink(dirty->options.ring, &dirty->sink);
    err = gmem_listener_register(dirty->of.vm, dirty->of.space, &dirty->listener);
    if (err && dirty->options.ring)
        gmem__ring_remove_sink(dirty->options.ring, &dirty->sink);
    if (!err)
        dirty->state = ATTACHED;
    return err;
}

int gmem_kvm_dirty_create(gmem_kvm *kvm, const struct gmem_kvm_dirty_options *options, gmem_kvm_dirty **ret_dirty)
{
    struct gmem_kvm_dirty *dirty;
    int err;

    if (!kvm || !options || !ret_dirty)
        return -EINVAL;
    dirty = calloc(1, sizeof(*dirty));
    if (!dirty)
        return -ENOMEM;
    pthread_mutex_init(&dirty->lock, NULL);
    dirty->kvm = kvm;
    dirty->of = gmem__kvm_of(kvm);
    err = prepare(dirty, options);
    if (!err)
        err = attach(dirty);
    if (err) {
        free_dirty(dirty);
        return err;
    }
    *ret_dirty = dirty;
    return 0;
}

void gmem_kvm_dirty_destroy(gmem_kvm_dirty *dirty)
{
    if (!dirty)
        return;
    dirty->state = DETACHING;
    gmem_listener_unregister(dirty->of.vm, &dirty->listener);
    if (dirty->options.ring)
        gmem__ring_remove_sink(dirty->options.ring, &dirty->sink);
    free_dirty(dirty);
}

enum gmem_kvm_dirty_mode gmem_kvm_dirty_mode(const gmem_kvm_dirty *dirty)
{
    return dirty->mode;
}

void gmem_kvm_dirty_stats(const gmem_kvm_dirty *dirty, struct gmem_kvm_dirty_stats *ret_stats)
{
    const struct gmem_kvm_dirty_stats *stats = &dirty->stats;

    ret_stats->gets = __atomic_load_n(&stats->gets, __ATOMIC_RELAXED);
    ret_stats->clears = __atomic_load_n(&stats->clears, __ATOMIC_RELAXED);
    ret_stats->pages_marked = __atomic_load_n(&stats->pages_marked, __ATOMIC_RELAXED);
    ret_stats->pages_cleared = __atomic_load_n(&stats->pages_cleared, __ATOMIC_RELAXED);
    ret_stats->fetched_at_removal = __atomic_load_n(&stats->fetched_at_removal, __ATOMIC_RELAXED);
    ret_stats->marked_at_removal = __atomic_load_n(&stats->marked_at_removal, __ATOMIC_RELAXED);
    ret_stats->failed = __atomic_load_n(&stats->failed, __ATOMIC_RELAXED);
}
