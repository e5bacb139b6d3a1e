/* SPDX-License-Identifier: MIT */
/*
 * gmem/kvm.h - libgmem-kvm: KVM's memory slots kept in step with a space, and exits served through spaces.
 *
 * Slots follow the kernel's Documentation/virt/kvm/api.rst (KVM_SET_USER_MEMORY_REGION,
 * KVM_CAP_READONLY_MEM, KVM_CAP_NR_MEMSLOTS, KVM_CAP_MULTI_ADDRESS_SPACE). The adapter is a
 * listener of one space: each commit's changes are planned first (pure), then carried out; an ioctl
 * that fails is rolled back and refuses the commit.
 *
 * Every range with host memory becomes a slot after both ends are trimmed inward to whole pages;
 * what is left over at unaligned ends reaches gmem_kvm_handle_exit(), as does memory whose pages do
 * not begin where pages of the host do. A romd region in direct mode gets a read-only slot, so that
 * writes exit.
 *
 * The kernel changes nothing of a slot in place but its dirty log: a slot that must become smaller,
 * larger or read-only is removed, and what remains of it is added anew. In between its memory is
 * not there for the guest. The options pause and resume let the monitor hold its vCPUs out of the
 * guest for just that moment (G12). Without them, a vCPU that reads or writes there exits, and the
 * exit is served from the view before the commit; a vCPU that fetches instructions there fails
 * (KVM_EXIT_INTERNAL_ERROR, or what the processor makes of it).
 *
 * A commit that is refused after it removed memory is the exception: if it cut nothing, the guest was
 * not held out, and until the memory is added again it is missing, as without pause. That is a
 * commit of which the kernel refuses a later slot call, or which a listener refuses that is called later.
 */
#ifndef GMEM_KVM_H
#define GMEM_KVM_H

#include <gmem/space.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kvm_run;                     /* <linux/kvm.h> */
struct kvm_userspace_memory_region; /* <linux/kvm.h> */

typedef struct gmem_kvm gmem_kvm;

enum gmem_kvm_policy {
    /*
     * A slot that is still right is left alone: all of its addresses are wanted, with the same host
     * memory, as writable as before. Only what is right no longer is removed, and what is then
     * missing is added in as few slots as that can be; so slots need not correspond to ranges, but
     * never hold memory of two RAM blocks. A slot is dirty-logged while anything in it is to be.
     * Slots that are right are merged with their neighbours only when there are too few, and then
     * those of the least bytes; a commit that needs more slots than there are fails with -ENOSPC
     * only if merging all would not be enough either. A slot is read-only when the range is (a PAM
     * window made read-only is): the guest can't write there.
     */
    GMEM_KVM_POLICY_KEEP = 0,
    /*
     * The calls QEMU makes, to be compared with its traces: a slot for each range, and read-only
     * follows the region, not the range.
     */
    GMEM_KVM_POLICY_REFERENCE = 1,
};

/*
 * Carries out one KVM_SET_USER_MEMORY_REGION: 0 or a negative errno. memory_size 0 removes the
 * slot. Called inside commits.
 */
typedef int gmem_kvm_set_fn(void *opaque, const struct kvm_userspace_memory_region *call);

/*
 * Receives one line in the text of QEMU's trace event kvm_set_user_memory, without newline, after
 * each call.
 */
typedef void gmem_kvm_trace_fn(void *opaque, const char *line);

struct gmem_kvm_options {
    size_t struct_size; /* sizeof(struct gmem_kvm_options) */
    int vm_fd;          /* of KVM_CREATE_VM; stays the caller's. Not used when set is given */
    uint16_t as_id;     /* KVM address space: upper half of the slot number */
    enum gmem_kvm_policy policy;
    uint32_t max_slots;      /* at most 65536; 0: what the kernel has (KVM_CAP_NR_MEMSLOTS), 32764 when set is given */
    uint64_t max_slot_bytes; /* largest slot, whole pages; 0: the kernel's limit, (2^31 - 1) pages */
    uint64_t page_size;      /* 0: the host's (sysconf(3) _SC_PAGESIZE); or a larger power of two */
    int32_t priority;        /* of the listener; 10 is usual */
    gmem_kvm_set_fn *set;    /* NULL: the ioctl on vm_fd; else called instead (dry runs, tests) */
    void *set_opaque;
    gmem_kvm_trace_fn *trace; /* NULL: none */
    void *trace_opaque;
    /*
     * Both or neither. pause returns when no vCPU is in the guest, and none enters before resume
     * is called. They are called in pairs around the slot calls of a commit, or of its undoing, that
     * cut live memory: some address is in a slot that is removed and in one that is added. Never
     * around others (so not around one that removes memory, and is refused and taken back), nor
     * when adapters begin and end. They run on the committing thread, in the
     * listener's commit callback with the vm's writer turn held: they may access the vm, not edit
     * it. The thread may be a vCPU's own, which is outside of KVM_RUN then and not to be waited
     * for. Waiting for a vCPU that waits for the turn, or for a lock that this thread has, would
     * never end unless it counts as outside; one that has left KVM_RUN does.
     *
     * Each adapter looks at its own slots only. Of two with different as_ids, one commit changes first the one's
     * slots and then the other's, with a pair for each of them that cuts; in between, processors that run in
     * the one address space have the new map and in the other the old one.
     */
    void (*pause)(void *opaque);
    void (*resume)(void *opaque);
    void *pause_opaque;
    /*
     * Slots are only planned, and two runs are to give the same calls: userspace_addr, as set, the trace
     * lines and trace events (gmem/trace.h) have it, is where the memory is in the vm's RAM offset
     * space (gmem_ram_offset() of its block, and the offset in the block) in place of a host address.
     * Which slots there are is as ever. gmem_kvm_foreach_slot() tells host addresses. Needs set: no
     * kernel takes such calls.
     */
    bool ram_offsets;
};

/*
 * Attach to a space: all its ranges get their slots now. *ret_kvm is the caller's, to be ended with
 * gmem_kvm_destroy() before the space and the vm. One space and one as_id each; several adapters
 * may share a vm_fd with different as_ids.
 *
 * -EINVAL   a NULL argument, an option out of range, pause without resume or the reverse, or
 *           ram_offsets without set
 * -ENOSPC   more slots needed than there are, merged or not (later: refuses the commit with it)
 * -ENOTSUP  as_id is not 0 and the kernel has no such address space, or read-only slots are missing
 * -ENOMEM, -EBUSY (as gmem_listener_register()), or what the ioctl failed with
 */
GMEM_API int gmem_kvm_create(gmem_space *space, const struct gmem_kvm_options *options,
                             gmem_kvm **ret_kvm) GMEM_MUST_CHECK;

/*
 * Remove all slots and detach. NULL is allowed. Not from a listener callback or inside a transaction
 * (as gmem_listener_unregister()).
 */
GMEM_API void gmem_kvm_destroy(gmem_kvm *kvm);

/* Counters since the adapter was created. */
struct gmem_kvm_stats {
    uint64_t calls;         /* slot calls made, removals included */
    uint64_t removals;      /* of these, with size 0 */
    uint64_t bytes_added;   /* sum of the sizes added */
    uint64_t bytes_removed; /* sum of the sizes removed */
    uint64_t failed;        /* calls the kernel refused */
    uint32_t slots;         /* in use now */
    uint32_t slots_peak;
    uint64_t pauses;       /* times that pause was called */
    uint64_t pause_ns_max; /* nanoseconds from the call of pause to the return of resume, the longest */
};
GMEM_API void gmem_kvm_stats(gmem_kvm *kvm, struct gmem_kvm_stats *ret_stats);

/* One slot in use, as QEMU and the kernel count it: slot has as_id in its upper half. */
struct gmem_kvm_slot {
    uint32_t slot;
    uint32_t flags; /* KVM_MEM_* */
    uint64_t gpa;
    uint64_t size;
    void *host;
};
/*
 * Call fn for each slot by rising gpa until it returns non-zero, which is then returned. Holds the
 * vm's writer turn meanwhile: fn must not edit the vm.
 *
 * -EBUSY   called from a listener callback
 * -ENOMEM  out of memory
 */
typedef int gmem_kvm_slot_fn(void *opaque, const struct gmem_kvm_slot *slot);
GMEM_API int gmem_kvm_foreach_slot(gmem_kvm *kvm, gmem_kvm_slot_fn *fn, void *opaque) GMEM_MUST_CHECK;

/*
 * " KVM" if some of the section is in a slot, else NULL: for struct gmem_print_options.mark, with
 * the gmem_kvm as opaque.
 */
GMEM_API const char *gmem_kvm_mark(void *opaque, const struct gmem_section *section);

/*
 * Serve an exit of a vCPU for memory (KVM_EXIT_MMIO) or ports (KVM_EXIT_IO, string instructions
 * included) with the accesses of the two spaces. Data is put where KVM_RUN takes it from.
 * *ret_result (may be NULL) says how the guest's accesses fared; a failed one has read all ones or
 * zero, as its space says. Runs on the vCPU's thread, calls device callbacks. Where there is an
 * address space (as_id) 1, for system management mode, memory is the caller's choice for each exit: that of
 * as_id 1 if run->flags has KVM_RUN_X86_SMM.
 *
 * -ENOTSUP  another exit reason: nothing was done
 * -EINVAL   a NULL argument, or a kvm_run that makes no sense
 */
GMEM_API int gmem_kvm_handle_exit(gmem_space *memory, gmem_space *ports, struct kvm_run *run, struct gmem_attrs attrs,
                                  gmem_result *ret_result) GMEM_MUST_CHECK;

/*
 * The trace line of QEMU's pci_cfg_write: "pci_cfg_write NAME BB:DD.F @0xOFFSET <- 0xVALUE".
 * Returns as snprintf(3) does.
 */
GMEM_API int gmem_trace_pci_cfg_write(char *buf, size_t size, const char *name, unsigned bus, unsigned device,
                                      unsigned function, unsigned offset, uint32_t value);

#ifdef __cplusplus
}
#endif

#endif
