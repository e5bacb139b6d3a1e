/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu.h - the machine's processors, whatever runs them.
 *
 * A kind of processor provides struct pc_cpus as its first member. Processors run on threads of their own (KVM's each on one,
 * interpreted ones all on one), and each sees its own memory space; whatever it does not find as memory is an access through a
 * space, made with the device lock held and after begin_access. Processors start in the reset state.
 */
#ifndef PC_CPU_H
#define PC_CPU_H

#include <pthread.h>
#include <stdbool.h>

#include <gmem/gmem.h>

#include "hooks.h"

struct pc_cpus_config {
    unsigned count;
    gmem_space *const *memory; /* one a processor; borrowed */
    gmem_space *smm_memory;    /* of KVM's: what all see in system management mode; NULL: there is none. Borrowed */
    gmem_space *ports;
    pthread_mutex_t *lock; /* the device lock */
    const struct pc_hooks *hooks;
    void (*begin_access)(void *opaque);
    void *opaque;
};

struct pc_cpus;

struct pc_cpus_stats {
    uint64_t instructions;
    uint64_t ns;         /* of a host processor's time that executing them took */
    uint64_t virtual_ns; /* of the guest's time */
};

struct pc_cpus_ops {
    /* Let them run. Called once. */
    int (*start)(struct pc_cpus *cpus, struct pc_error *error);
    /*
     * Keep them out of the guest, or let them in again; true and false take turns. Returns when none is in the guest nor
     * serves an access. May be called before start. Not from a processor's thread, nor with the device lock held.
     */
    void (*hold)(struct pc_cpus *cpus, bool hold);
    /* Wait until all have left the guest and their threads have ended. Not from a processor's thread. */
    void (*stop)(struct pc_cpus *cpus);
    /*
     * No processor begins another instruction until stop; the one that is being carried out ends. With the device lock held, so
     * from a hook too: that what follows the hook depends on the guest alone. NULL: they can't be told so.
     */
    void (*freeze)(struct pc_cpus *cpus);
    /*
     * After freeze: let them go on for ns of the guest's time, and no instruction further; returns when that is over. False: they are
     * held, and nothing was done. Not from a processor's thread, nor with the device lock held. NULL, where freeze is.
     */
    bool (*run_for)(struct pc_cpus *cpus, uint64_t ns);
    /*
     * The guest-physical address of the instruction with which a processor makes the access that is being served, or of the
     * one after it. With the device lock held. -ENOENT: no processor's access is being served. Others: it can't be told.
     */
    int (*executing)(struct pc_cpus *cpus, uint64_t *ret_addr);
    /*
     * Pause returns when no processor is in the guest, and none enters before resume. Any thread, a processor's that is
     * outside of the guest included; pairs may nest.
     */
    void (*pause)(struct pc_cpus *cpus);
    void (*resume)(struct pc_cpus *cpus);
    /* The A20 gate, with the device lock held. NULL: addresses are not masked. */
    void (*set_a20)(struct pc_cpus *cpus, bool open);
    /* The chipset's SMI, with the device lock held: processor 0 enters system management mode. NULL: it has none. */
    void (*smi)(struct pc_cpus *cpus);
    /* What was executed so far; NULL: nobody counts. When they are stopped or held. */
    void (*stats)(const struct pc_cpus *cpus, struct pc_cpus_stats *ret);
    /*
     * The instructions that were executed before the one with which a processor makes the access that is being served, or before
     * the first. With the device lock held. False: neither is so. NULL: nobody counts.
     */
    bool (*counted)(const struct pc_cpus *cpus, uint64_t *ret);
    /* Stops them if need be. */
    void (*destroy)(struct pc_cpus *cpus);
};

struct pc_cpus {
    const struct pc_cpus_ops *ops;
};

struct kvm_vm;

/* The processors of kvm, which has config->count, and outlives them. The arrays of config are copied. */
int cpu_kvm_create(struct kvm_vm *kvm, const struct pc_cpus_config *config, struct pc_cpus **ret,
                   struct pc_error *error) GMEM_MUST_CHECK;

struct irqchip;
struct vtime;

struct cpu_interp_config {
    struct vtime *time;      /* borrowed, as is the next; its sooner callback becomes the processors' */
    struct irqchip *irqchip; /* its changed callback has to call cpu_interp_changed() */
    /* What each processor sees in system management mode; NULL: there is no such mode. Borrowed. */
    gmem_space *const *smm;
    /* Whether data accesses in that mode meet what is outside of it (SMRAM register, D_CLS). With the device lock held. */
    bool (*smram_closed)(void *opaque);
    void *opaque;
};

/* Processors that are interpreted, on one thread, in virtual time. The arrays of both are copied. */
int cpu_interp_create(const struct pc_cpus_config *config, const struct cpu_interp_config *interp, struct pc_cpus **ret,
                      struct pc_error *error) GMEM_MUST_CHECK;
/* The interrupt controllers have something new for processor cpu. With the device lock held. */
void cpu_interp_changed(struct pc_cpus *cpus, unsigned cpu);

#endif
