/* SPDX-License-Identifier: MIT */
/*
 * adapter.c - owns the table of a space's slots and keeps it, and KVM's, as the space's view says.
 *
 * A listener. Between begin and commit it only notes what it hears (notes.c); commit nets the notes, plans (slotplan.c)
 * and makes the calls. Everything but the counters, which any thread may read, is touched under the vm's writer turn
 * only.
 *
 *  (a) The table is what the kernel has: it is changed after, and only after, a call that succeeded.
 *  (b) A commit that fails has taken back, last first, each call it had made. Should the kernel refuse that too, the
 *      slot stays gone or stays there; the guest's accesses still reach the right memory through exits, and the next
 *      commit mends it (with the reference, the next change there).
 *  (c) Notes last until a commit succeeds, and a range's removal and addition cancel out. So it does not matter
 *      whether the undo of a transaction arrives before this listener's commit, after it failed, or (as a sequence of
 *      its own) after it succeeded.
 *  (d) Undoing needs no memory that the commit did not set aside, and gives slots their old numbers.
 *  (e) Processors are held out of the guest (G12) from before the first call of a plan that cuts live memory until after the
 *      last, the taking back of a failed one included; never otherwise. So not where a plan that cuts nothing removes
 *      memory and is taken back, because the kernel refuses a later call of it or a later listener the commit: then memory that is there
 *      before and after was missing for that moment, to processors that ran.
 *
 * With `keep`, plans are made from all that is wanted (wanted.c), which follows the commits: it is changed before the plan is
 * made, and changed back if the commit fails. An undo takes the latest plan back operation by operation. With the reference,
 * plans are made from the net changes alone.
 */
#include "internal.h"
#include "notes.h"
#include "wanted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gmem/kvm.h>
#include <gmem/listener.h>
#include <gmem/vm.h>

struct gmem_kvm {
    gmem_vm *vm;
    gmem_space *space;
    struct gmem_kvm_options options; /* complete: no zeros that mean something else */
    struct gmem_listener listener;
    const struct gmem__kvm_watch *watch; /* hears of each slot call; or NULL */

    struct gmem__slots slots;
    struct gmem__wanted wanted; /* of `keep` */
    struct gmem__keep_work work;
    bool damaged; /* a call could not be taken back: the slots are not what they should be */
    bool log_all; /* KVM_MEM_LOG_DIRTY_PAGES on every slot, besides those whose own flags have it */

    struct gmem__notes notes;
    struct gmem__slotplan plan;
    struct gmem__slotplan last;  /* the plan of the latest commit, if that may yet be undone */
    bool undoing;                /* this commit takes last back */
    bool attached;               /* atomic, relaxed: what create replayed is no commit that could be undone later */
    struct gmem_kvm_stats stats; /* atomic, relaxed: they count, and order nothing */
};

static const uint32_t log_flag = (uint32_t)KVM_MEM_LOG_DIRTY_PAGES;

/* --- slot calls --- */

static void count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

/* slots: how many there are then */
static void count_call(struct gmem_kvm *kvm, const struct gmem__slot_op *op, uint32_t slots, int err)
{
    count(&kvm->stats.calls, 1);
    if (op->kind == GMEM__SLOT_REMOVE)
        count(&kvm->stats.removals, 1);
    if (err) {
        count(&kvm->stats.failed, 1);
        return;
    }
    if (op->kind == GMEM__SLOT_REMOVE)
        count(&kvm->stats.bytes_removed, op->slot.run.size);
    if (op->kind == GMEM__SLOT_ADD)
        count(&kvm->stats.bytes_added, op->slot.run.size);
    __atomic_store_n(&kvm->stats.slots, slots, __ATOMIC_RELAXED);
    if (slots > __atomic_load_n(&kvm->stats.slots_peak, __ATOMIC_RELAXED))
        __atomic_store_n(&kvm->stats.slots_peak, slots, __ATOMIC_RELAXED);
}

static struct kvm_userspace_memory_region slot_call(const struct gmem_kvm *kvm, const struct gmem__slot *slot,
                                                    uint32_t flags, bool remove)
{
    return (struct kvm_userspace_memory_region){
        .slot = (uint32_t)kvm->options.as_id << 16 | slot->number,
        .flags = remove ? 0 : flags,
        .guest_phys_addr = slot->run.gpa,
        .memory_size = remove ? 0 : slot->run.size,
        .userspace_addr = slot->run.host,
    };
}

static int set_slot(struct gmem_kvm *kvm, const struct gmem__slot *slot, uint32_t flags, bool remove)
{
    const struct gmem_kvm_options *options = &kvm->options;
    struct kvm_userspace_memory_region call = slot_call(kvm, slot, flags, remove);
    struct kvm_userspace_memory_region told = call;
    int err = kvm->watch ? kvm->watch->before(kvm->watch->opaque, &call) : 0;

    if (err)
        return err;
    told.userspace_addr += slot->run.rebase;
    err = options->set ? options->set(options->set_opaque, &told) : gmem__kvm_set(options->vm_fd, &call);
    if (kvm->watch)
        kvm->watch->after(kvm->watch->opaque, &call, err);
    if (options->trace) {
        char line[GMEM__TRACE_LINE];

        gmem__kvm_trace_line(line, &told, err);
        options->trace(options->trace_opaque, line);
    }
    gmem__kvm_trace_event(kvm->vm, &told, err);
    return err;
}

static uint32_t effective_flags(const struct gmem_kvm *kvm, uint32_t flags)
{
    return kvm->log_all ? flags | log_flag : flags;
}

/* All of an operation but entering it in the table; *slots counts on. */
static int call_op(struct gmem_kvm *kvm, const struct gmem__slot_op *op, uint32_t *slots)
{
    uint32_t flags = effective_flags(kvm, op->slot.run.flags);
    int err;

    if (op->kind == GMEM__SLOT_FLAGS && flags == effective_flags(kvm, op->old_flags))
        return 0;
    err = set_slot(kvm, &op->slot, flags, op->kind == GMEM__SLOT_REMOVE);
    if (!err && op->kind == GMEM__SLOT_ADD)
        ++*slots;
    if (!err && op->kind == GMEM__SLOT_REMOVE)
        --*slots;
    count_call(kvm, op, *slots, err);
    return err;
}

static int do_op(struct gmem_kvm *kvm, const struct gmem__slot_op *op)
{
    uint32_t slots = (uint32_t)kvm->slots.count;
    int err = call_op(kvm, op, &slots);

    if (!err)
        gmem__slots_apply(&kvm->slots, op);
    return err;
}

/* Carry a plan out; on failure take back what was done and return the failure. */
static int do_ops(struct gmem_kvm *kvm, const struct gmem__slotplan *plan)
{
    uint32_t slots = (uint32_t)kvm->slots.count;
    size_t i;
    int err = 0;

    for (i = 0; i < plan->count; i++) {
        err = call_op(kvm, &plan->op[i], &slots);
        if (err)
            break;
    }
    gmem__slots_apply_all(&kvm->slots, plan, i);
    while (err && i-- > 0) {
        struct gmem__slot_op back = gmem__slot_op_inverse(&plan->op[i]);

        if (do_op(kvm, &back))
            kvm->damaged = true;
    }
    return err;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* (e) */
static int do_plan(struct gmem_kvm *kvm, const struct gmem__slotplan *plan)
{
    const struct gmem_kvm_options *options = &kvm->options;
    uint64_t took;
    int err;

    if (!options->pause || !gmem__slotplan_cuts(plan))
        return do_ops(kvm, plan);
    took = now_ns();
    options->pause(options->pause_opaque);
    err = do_ops(kvm, plan);
    options->resume(options->pause_opaque);
    took = now_ns() - took;
    count(&kvm->stats.pauses, 1);
    if (took > __atomic_load_n(&kvm->stats.pause_ns_max, __ATOMIC_RELAXED))
        __atomic_store_n(&kvm->stats.pause_ns_max, took, __ATOMIC_RELAXED);
    return err;
}

/* --- planning --- */

static int plan_reference(struct gmem_kvm *kvm)
{
    const struct gmem__slotplan_input input = {
        .slots = &kvm->slots,
        .max_slots = kvm->options.max_slots,
        .gone = kvm->notes.gone,
        .gone_count = kvm->notes.gone_count,
        .run = kvm->notes.run,
        .run_count = kvm->notes.run_count,
        .relog = kvm->notes.relog,
        .relog_count = kvm->notes.relog_count,
        .undo = kvm->undoing ? &kvm->last : NULL,
    };

    return gmem__slotplan_reference(&input, &kvm->plan);
}

static int plan_keep(struct gmem_kvm *kvm)
{
    static const struct gmem__span everything = {0, UINT64_MAX};
    const struct gmem__wanted_change change = {
        .gone = kvm->notes.gone,
        .gone_count = kvm->notes.gone_count,
        .run = kvm->notes.run,
        .run_count = kvm->notes.run_count,
        .relog = kvm->notes.relog,
        .relog_count = kvm->notes.relog_count,
    };
    struct gmem__keep_input input = {
        .slots = &kvm->slots,
        .max_slots = kvm->options.max_slots,
        .max_slot_bytes = kvm->options.max_slot_bytes,
    };
    int err = gmem__wanted_change(&kvm->wanted, &change);

    if (err)
        return err;
    if (kvm->undoing)
        return gmem__slotplan_inverse(&kvm->last, &kvm->plan);
    input.wanted = kvm->wanted.now.run;
    input.wanted_count = kvm->wanted.now.count;
    input.changed = kvm->damaged ? &everything : kvm->wanted.changed;
    input.changed_count = kvm->damaged ? 1 : kvm->wanted.changed_count;
    return gmem__slotplan_keep(&input, &kvm->work, &kvm->plan);
}

static int make_plan(struct gmem_kvm *kvm)
{
    int err = gmem__notes_net(&kvm->notes);

    if (err)
        return err;
    err = kvm->options.policy == GMEM_KVM_POLICY_KEEP ? plan_keep(kvm) : plan_reference(kvm);
    /* (d): the opposite of this plan is as long, and its runs are at most what is removed here. */
    if (!err)
        err = gmem__slots_reserve(&kvm->slots, kvm->slots.count + kvm->plan.count);
    if (!err)
        err = gmem__notes_reserve_runs(&kvm->notes, kvm->plan.count);
    if (!err)
        err = gmem__slotplan_reserve(&kvm->last, kvm->plan.count);
    return err;
}

/* --- logging everything --- */

static int set_log(struct gmem_kvm *kvm, const struct gmem__slot *slot)
{
    struct gmem__slot_op op = {.kind = GMEM__SLOT_FLAGS, .slot = *slot, .old_flags = slot->run.flags};
    int err;

    if (slot->run.flags & log_flag)
        return 0;
    err = set_slot(kvm, slot, effective_flags(kvm, slot->run.flags), false);
    count_call(kvm, &op, (uint32_t)kvm->slots.count, err);
    return err;
}

static int switch_log_all(struct gmem_kvm *kvm, bool on)
{
    size_t i;
    int err = 0;

    if (kvm->log_all == on)
        return 0;
    kvm->log_all = on;
    for (i = 0; i < kvm->slots.count && !err; i++)
        err = set_log(kvm, &kvm->slots.slot[i]);
    if (!err)
        return 0;
    kvm->log_all = !on;
    /* The last one was refused. */
    for (i--; i > 0; i--) {
        if (set_log(kvm, &kvm->slots.slot[i - 1]))
            kvm->damaged = true;
    }
    return err;
}

/* Of a slot that could not be taken back, the log may be another than it should be, which the table does not say. */
static bool mend_logs(struct gmem_kvm *kvm)
{
    bool mended = true;
    size_t i;

    for (i = 0; i < kvm->slots.count; i++)
        mended = !set_log(kvm, &kvm->slots.slot[i]) && mended;
    return mended;
}

/* --- the listener --- */

static int on_region_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct gmem_kvm *kvm = listener->opaque;

    return gmem__notes_add(&kvm->notes, section);
}

static int on_region_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct gmem_kvm *kvm = listener->opaque;

    return gmem__notes_del(&kvm->notes, section);
}

static int on_log(struct gmem_listener *listener, const struct gmem_section *section, unsigned before, unsigned after)
{
    struct gmem_kvm *kvm = listener->opaque;

    (void)before;
    return gmem__notes_log(&kvm->notes, section, after != 0);
}

/* A begin of an undo takes back the latest commit here. */
static int on_begin(struct gmem_listener *listener)
{
    struct gmem_kvm *kvm = listener->opaque;

    kvm->undoing = listener->undoing;
    return 0;
}

static int on_commit(struct gmem_listener *listener)
{
    struct gmem_kvm *kvm = listener->opaque;
    struct gmem__slotplan last;
    bool may_be_undone = !kvm->undoing && __atomic_load_n(&kvm->attached, __ATOMIC_RELAXED);
    int err;

    gmem__wanted_settle(&kvm->wanted);
    err = make_plan(kvm);
    if (!err)
        err = do_plan(kvm, &kvm->plan);
    if (err) {
        gmem__wanted_revert(&kvm->wanted);
        return err;
    }
    if (kvm->damaged)
        kvm->damaged = !mend_logs(kvm);
    last = kvm->last; /* it may have moved */
    kvm->last = kvm->plan;
    kvm->plan = last;
    if (!may_be_undone)
        kvm->last.count = 0;
    gmem__notes_forget(&kvm->notes);
    kvm->undoing = false;
    return 0;
}

static int on_log_global_start(struct gmem_listener *listener)
{
    return switch_log_all(listener->opaque, true);
}

static int on_log_global_stop(struct gmem_listener *listener)
{
    return switch_log_all(listener->opaque, false);
}

/* --- creation and end --- */

/* Put what zeros stand for in their place. */
static int complete_options(struct gmem_kvm_options *options)
{
    struct gmem__kvm_caps caps = {.slots = 32764, .spaces = UINT32_MAX, .readonly_slots = 1};
    uint64_t host_page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit;
    int err;

    if (!options->page_size)
        options->page_size = host_page;
    if ((options->page_size & (options->page_size - 1)) || options->page_size < host_page)
        return -EINVAL;
    limit = INT32_MAX * host_page & ~(options->page_size - 1);
    if (!options->max_slot_bytes)
        options->max_slot_bytes = limit;
    if (!limit || options->max_slot_bytes > limit || options->max_slot_bytes % options->page_size)
        return -EINVAL;
    if ((unsigned)options->policy > GMEM_KVM_POLICY_REFERENCE || options->max_slots > GMEM__SLOTS_MAX)
        return -EINVAL;
    if (!options->pause != !options->resume || (options->ram_offsets && !options->set))
        return -EINVAL;
    if (!options->set) {
        err = gmem__kvm_caps(options->vm_fd, &caps);
        if (err)
            return err;
        if (options->max_slots > caps.slots)
            options->max_slots = caps.slots;
    }
    if (options->as_id >= caps.spaces || !caps.readonly_slots)
        return -ENOTSUP;
    if (!options->max_slots)
        options->max_slots = caps.slots < GMEM__SLOTS_MAX ? caps.slots : GMEM__SLOTS_MAX;
    return 0;
}

static void free_kvm(struct gmem_kvm *kvm)
{
    gmem__wanted_free(&kvm->wanted);
    gmem__keep_work_free(&kvm->work);
    free(kvm->slots.slot);
    free(kvm->plan.op);
    free(kvm->last.op);
    gmem__notes_free(&kvm->notes);
    free(kvm);
}

static void make_listener(struct gmem_kvm *kvm)
{
    kvm->listener = (struct gmem_listener){
        .struct_size = sizeof(kvm->listener),
        .name = "kvm",
        .opaque = kvm,
        .priority = kvm->options.priority,
        .begin = on_begin,
        .commit = on_commit,
        .region_del = on_region_del,
        .region_add = on_region_add,
        .log_start = on_log,
        .log_stop = on_log,
        .log_global_start = on_log_global_start,
        .log_global_stop = on_log_global_stop,
    };
}

int gmem_kvm_create(gmem_space *space, const struct gmem_kvm_options *options, gmem_kvm **ret_kvm)
{
    struct gmem_kvm *kvm;
    int err;

    if (!space || !options || !ret_kvm)
        return -EINVAL;
    kvm = calloc(1, sizeof(*kvm));
    if (!kvm)
        return -ENOMEM;
    err = gmem__kvm_copy_options(&kvm->options, sizeof(kvm->options), options);
    if (!err)
        err = complete_options(&kvm->options);
    if (!err) {
        kvm->space = space;
        kvm->vm = gmem_space_vm(space);
        kvm->notes.options = &kvm->options;
        make_listener(kvm);
        err = gmem_listener_register(kvm->vm, space, &kvm->listener);
    }
    if (err) {
        free_kvm(kvm);
        return err;
    }
    __atomic_store_n(&kvm->attached, true, __ATOMIC_RELAXED);
    *ret_kvm = kvm;
    return 0;
}

void gmem_kvm_destroy(gmem_kvm *kvm)
{
    if (!kvm)
        return;
    gmem_listener_unregister(kvm->vm, &kvm->listener);
    /* What is left because the kernel refused, or there was no memory to be told of it. */
    while (kvm->slots.count > 0) {
        struct gmem__slot_op op = {.kind = GMEM__SLOT_REMOVE, .slot = kvm->slots.slot[0]};

        if (do_op(kvm, &op))
            gmem__slots_apply(&kvm->slots, &op);
    }
    free_kvm(kvm);
}

/* --- looking at them --- */

int gmem__kvm_follow(gmem_kvm *kvm, const struct gmem__kvm_watch *watch)
{
    size_t i;
    int err = 0;

    if (watch && kvm->watch)
        return -EEXIST;
    for (i = 0; watch && i < kvm->slots.count && !err; i++) {
        const struct gmem__slot *slot = &kvm->slots.slot[i];
        struct kvm_userspace_memory_region call = slot_call(kvm, slot, effective_flags(kvm, slot->run.flags), false);

        err = watch->before(watch->opaque, &call);
        if (!err)
            watch->after(watch->opaque, &call, 0);
    }
    if (!err)
        kvm->watch = watch;
    return err;
}

struct gmem__kvm_of gmem__kvm_of(const gmem_kvm *kvm)
{
    return (struct gmem__kvm_of){kvm->vm, kvm->space, kvm->options.vm_fd, kvm->options.as_id};
}

void gmem_kvm_stats(gmem_kvm *kvm, struct gmem_kvm_stats *ret_stats)
{
    const struct gmem_kvm_stats *stats = &kvm->stats;

    ret_stats->calls = __atomic_load_n(&stats->calls, __ATOMIC_RELAXED);
    ret_stats->removals = __atomic_load_n(&stats->removals, __ATOMIC_RELAXED);
    ret_stats->bytes_added = __atomic_load_n(&stats->bytes_added, __ATOMIC_RELAXED);
    ret_stats->bytes_removed = __atomic_load_n(&stats->bytes_removed, __ATOMIC_RELAXED);
    ret_stats->failed = __atomic_load_n(&stats->failed, __ATOMIC_RELAXED);
    ret_stats->slots = __atomic_load_n(&stats->slots, __ATOMIC_RELAXED);
    ret_stats->slots_peak = __atomic_load_n(&stats->slots_peak, __ATOMIC_RELAXED);
    ret_stats->pauses = __atomic_load_n(&stats->pauses, __ATOMIC_RELAXED);
    ret_stats->pause_ns_max = __atomic_load_n(&stats->pause_ns_max, __ATOMIC_RELAXED);
}

int gmem_kvm_foreach_slot(gmem_kvm *kvm, gmem_kvm_slot_fn *fn, void *opaque)
{
    size_t i;
    int err;

    if (!kvm || !fn)
        return -EINVAL;
    err = gmem_vm_begin(kvm->vm);
    if (err)
        return err;
    for (i = 0; i < kvm->slots.count && !err; i++) {
        const struct gmem__slot *slot = &kvm->slots.slot[i];
        struct gmem_kvm_slot seen = {
            .slot = (uint32_t)kvm->options.as_id << 16 | slot->number,
            .flags = effective_flags(kvm, slot->run.flags),
            .gpa = slot->run.gpa,
            .size = slot->run.size,
            .host = (void *)(uintptr_t)slot->run.host,
        };

        err = fn(opaque, &seen);
    }
    gmem_vm_abort(kvm->vm);
    return err;
}

/* Another space's section is in a slot only if that space shows the very same view. */
static bool same_view(struct gmem_kvm *kvm, gmem_space *space)
{
    gmem_view *view, *mine;

    if (!space || space == kvm->space)
        return true;
    view = gmem_space_view(space);
    mine = gmem_space_view(kvm->space);
    gmem_view_unref(view);
    gmem_view_unref(mine);
    return view == mine;
}

const char *gmem_kvm_mark(void *opaque, const struct gmem_section *section)
{
    struct gmem_kvm *kvm = opaque;
    size_t i = gmem__slots_find(&kvm->slots, section->first);

    if (i == kvm->slots.count || kvm->slots.slot[i].run.gpa > section->last)
        return NULL;
    return same_view(kvm, section->space) ? " KVM" : NULL;
}
