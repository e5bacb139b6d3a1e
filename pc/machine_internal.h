/* SPDX-License-Identifier: MIT */
/* pc/machine_internal.h - shared by machine.c (lifetime) and machine_build.c (what is where). */
#ifndef PC_MACHINE_INTERNAL_H
#define PC_MACHINE_INTERNAL_H

#include <pthread.h>

#include <gmem/hotplug.h>

#include "cmos.h"
#include "cpu.h"
#include "debugcon.h"
#include "fw_cfg.h"
#include "i440fx.h"
#include "i8042.h"
#include "i8254.h"
#include "i8237.h"
#include "irqchip.h"
#include "isa_misc.h"
#include "kvm_vm.h"
#include "machine.h"
#include "piix3.h"
#include "piix3_ide.h"
#include "piix4_pm.h"
#include "serial.h"
#include "screen.h"
#include "vapic.h"
#include "vga.h"
#include "vtime.h"

/* Memory slots of one of KVM's address spaces. */
struct machine_slots {
    struct machine *machine;
    gmem_kvm *kvm;                /* NULL: there are none */
    gmem_kvm_dirty *dirty;        /* NULL: nobody writes memory but through the library */
    uint64_t removed, removed_at; /* bytes of slots so far; where the latest slot call was */
};

#define MACHINE_AS_IDS 2u

struct machine {
    struct pc_hooks hooks;
    /* The device lock: held while a processor's access is served. */
    pthread_mutex_t lock;
    gmem_vm *vm;
    gmem_region *system, *pci_memory, *io;
    gmem_region *ram, *bios;
    gmem_space *memory, *ports;
    gmem_space **cpu_memory; /* one a processor */
    unsigned cpu_count;
    uint64_t below_4g, above_4g;
    uint64_t memory_end;       /* above 4 GiB: of memory and what can be plugged in */
    struct pc_backing backing; /* of what is plugged in; path is the machine's own */
    char *backing_path;
    struct gmem_hotplug *dimms; /* NULL: there are no slots */
    uint64_t dimm_align;        /* of addresses and sizes */
    uint64_t memory_size, memory_max;
    bool held;

    enum pc_accel accel;         /* never PC_ACCEL_AUTO */
    struct pc_error without_kvm; /* why that is not PC_ACCEL_KVM; "": it was not tried, or is */
    struct kvm_vm *kvm;          /* of PC_ACCEL_KVM */
    struct vtime time;           /* of PC_ACCEL_INTERP, as the next two */
    struct irqchip *irqchip;     /* NULL: they are KVM's, or there are none */
    struct i8254 *pit;
    struct pc_clock clock; /* the devices' */
    bool smm;
    gmem_space **cpu_smm;    /* what each interpreted processor sees in system management mode; NULL: there is none */
    gmem_space *smram_space; /* what KVM's processors see in it; NULL: there is no such mode */
    struct machine_slots slots[MACHINE_AS_IDS];   /* the second in system management mode */
    bool started;                                 /* processors may have run */
    struct machine_slots_since_start since_start; /* but for the latest call of each */
    unsigned pause_depth;                         /* these three under the vm's writer turn */
    uint64_t pause_began;                         /* CLOCK_MONOTONIC */
    struct machine_pauses pauses;                 /* read by any thread */
    struct pc_cpus *cpus;

    struct pci_bus *pci;
    struct i440fx *i440fx;
    struct piix3 *piix3;
    struct piix3_ide *ide;
    struct piix4_pm *pm;
    struct vga *vga;
    struct screen *screen;
    struct cmos *cmos;
    struct i8042 *i8042;
    struct i8237 *dma[2];
    struct serial *serial; /* NULL: there is none */
    struct isa_misc *isa_misc;
    struct debugcon *debugcon;
    struct fw_cfg *fw_cfg;
    struct vapic *vapic; /* NULL: there is none */
};

/* Memory slots of what is there and of what will be, in KVM's address space as_id: 0, or 1 once there is smram_space. */
int machine_create_slots(struct machine *machine, const struct pc_config *config, uint16_t as_id,
                         struct pc_error *error) GMEM_MUST_CHECK;
/* Those there are; the dirty logs with them. */
void machine_destroy_slots(struct machine *machine);
/* From now on guest instructions may be carried out. */
void machine_slots_started(struct machine *machine);

/* Spaces of system management mode, if the machine has it; when the chipset is there. Part of machine_build(). */
int machine_build_smm(struct machine *machine) GMEM_MUST_CHECK;
/* Ends them, and what is left of them when that failed. */
void machine_end_smm(struct machine *machine);

/* Roots and spaces, before there are slots. */
int machine_build_roots(struct machine *machine, unsigned cpus) GMEM_MUST_CHECK;
/* RAM, firmware, chips and devices, in the order in which memory slots are then set. */
int machine_build(struct machine *machine, const struct pc_config *config, struct pc_error *error) GMEM_MUST_CHECK;
/* The container for memory that is plugged in, if there is to be one. Part of machine_build(). */
int machine_build_dimms(struct machine *machine, const struct pc_config *config) GMEM_MUST_CHECK;

#endif
