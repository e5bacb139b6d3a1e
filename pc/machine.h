/* SPDX-License-Identifier: MIT */
/*
 * pc/machine.h - a PC: i440FX, PIIX3, PIIX4 power management, VGA, the devices of the ISA bus, and processors.
 *
 * Any number of machines may live in one process. A machine without processors is complete but for them and needs no
 * /dev/kvm: its memory slots go to the caller, and the caller makes the accesses.
 */
#ifndef PC_MACHINE_H
#define PC_MACHINE_H

#include <gmem/gmem.h>
#include <gmem/kvm.h>
#include <gmem/kvm_dirty.h>

#include "backing.h"
#include "hooks.h"
#include "pci.h"

enum pc_accel {
    PC_ACCEL_NONE, /* no processors; memory slots go to set */
    PC_ACCEL_KVM,
    /*
     * Interpreted, in virtual time, which begins on 2000-01-01 00:00:00 UTC; memory slots go to set, or nowhere: they are only
     * planned, with RAM offsets (ram_offsets, gmem/kvm.h).
     */
    PC_ACCEL_INTERP,
    PC_ACCEL_AUTO, /* PC_ACCEL_KVM where KVM can be used for this machine, else PC_ACCEL_INTERP */
};

struct pc_config {
    uint64_t memory;     /* bytes of RAM: PC_MEMORY_MIN to PC_MEMORY_MAX, a multiple of PC_MEMORY_UNIT */
    unsigned dimm_slots; /* how many blocks machine_plug() takes, up to PC_DIMMS_MAX */
    uint64_t memory_max; /* bytes of RAM with these; PC_ADDRESS_END bounds machine_device_memory_end(); 0: no slots */
    struct pc_backing backing; /* of the RAM, and of what is plugged in; its progress outlives the machine */
    unsigned cpus;             /* 1 to PC_CPUS_MAX; also without processors, for the firmware to read */
    const void *firmware;
    size_t firmware_len; /* a multiple of PC_FIRMWARE_UNIT, at most PC_FIRMWARE_MAX */
    const void *vga_rom; /* the VGA's option ROM; NULL: the machine has no VGA */
    size_t vga_rom_len;  /* 1 to VGA_OPTION_ROM_MAX */
    enum pc_accel accel;
    enum gmem_kvm_policy policy;
    bool smm;             /* system management mode: SMRAM, and SMI by the APM port */
    bool vapic;           /* the APIC option ROM and its port */
    gmem_kvm_set_fn *set; /* of PC_ACCEL_NONE; else NULL, or called instead of the kernel's ioctl */
    void *set_opaque;
    struct pc_hooks hooks;
};

#define PC_MEMORY_UNIT 0x1000u
#define PC_MEMORY_MIN 0x100000u
#define PC_MEMORY_MAX 0xfcc0000000u  /* 3 GiB, and from 4 GiB to 1012 GiB, where AMD processors reserve */
#define PC_ADDRESS_END 0xfd00000000u /* 1012 GiB */
#define PC_DIMMS_MAX 256u
#define PC_DIMM_UNIT 0x200000u
#define PC_CPUS_MAX 255u
#define PC_FIRMWARE_UNIT 0x10000u
#define PC_FIRMWARE_MAX 0x1000000u

struct machine;
struct screen;
struct vga;

/*
 * Put a machine together; nothing of *config but what hooks and set point to need outlive the call. Processors wait for
 * machine_start(). On failure (-errno) error says why, in one line, and nothing is left.
 */
int machine_create(const struct pc_config *config, struct machine **ret, struct pc_error *error) GMEM_MUST_CHECK;

/* Let the processors run. Once. */
int machine_start(struct machine *machine, struct pc_error *error) GMEM_MUST_CHECK;

/* Returns when no processor runs any more. Not from a hook. May be called again. */
void machine_stop(struct machine *machine);

/*
 * Nothing more is executed until machine_stop() or machine_run_for(), where that can be promised (PC_ACCEL_INTERP): what the guest has done then is the
 * same in every run. Else nothing happens. From a hook, or with the device lock held.
 */
void machine_freeze(struct machine *machine);

/*
 * After machine_freeze(): ns of the guest's time pass, and then it is frozen again. Returns when that is over. False: processors can't
 * be told so, or are held; nothing happened. Not from a hook, nor with the device lock held.
 */
bool machine_run_for(struct machine *machine, uint64_t ns);

/* Stops it and ends everything. Not from a hook. NULL is allowed. */
void machine_destroy(struct machine *machine);

/*
 * Hold the processors out of the guest, or let them go on; returns when none is in it, nor makes an access, any more. KVM's
 * timers go on, virtual time does not. Not from a hook. Before machine_start() it decides how they begin.
 */
void machine_hold(struct machine *machine, bool hold);
bool machine_held(const struct machine *machine);

/*
 * The device lock, for who looks at devices while processors run. Hooks are called with it held. Not while the thread has a
 * transaction open.
 */
void machine_lock(struct machine *machine);
void machine_unlock(struct machine *machine);

/*
 * Memory that is plugged in while the guest runs, in a container ("device-memory") of memory_max - memory bytes and 1 GiB for
 * each slot, which begins above RAM and 4 GiB at a multiple of 1 GiB: that is the layout that `qemu-system-x86_64 -machine pc
 * -m 1G,slots=4,maxmem=8G` shows in `info mtree`. The 1 GiB for each slot leaves room to align blocks. What the firmware is
 * told is where it ends (etc/reserved-memory-end), so that it puts no BAR there. Nothing tells the guest of a block: there are no
 * ACPI tables for it.
 *
 * machine_device_memory_end: where the container ends, rounded up to 1 GiB.
 */
uint64_t machine_device_memory_end(uint64_t memory, unsigned slots, uint64_t max);

/* Of a machine with dimm_slots; else NULL. Borrowed. */
struct gmem_hotplug;
struct gmem_hotplug *machine_dimms(struct machine *machine);

/*
 * Plug size bytes, a multiple of PC_DIMM_UNIT and of the backing's pages, in at the lowest address that is free. id (1 to
 * PC_DIMM_ID_MAX letters, digits, '-', '_' or '.'; NULL: dimm0, dimm1, ...) is the block's and the region's name; *ret_addr is
 * where it is. Not from a hook. On failure (-errno) error says why, in one line, and nothing is changed.
 */
#define PC_DIMM_ID_MAX 63u
int machine_plug(struct machine *machine, uint64_t size, const char *id, uint64_t *ret_addr,
                 struct pc_error *error) GMEM_MUST_CHECK;
/*
 * Take it out. The guest is not asked. When this returns the memory was given back, unless somebody still uses it after a
 * second, which is logged. Not from a hook.
 */
int machine_unplug(struct machine *machine, const char *id, struct pc_error *error) GMEM_MUST_CHECK;

/* What runs the processors; of PC_ACCEL_AUTO, what was taken. */
enum pc_accel machine_accel(const struct machine *machine);
/* Of PC_ACCEL_AUTO, why KVM could not be used, in a line that ends with the machine. NULL: it was not tried, or could be. */
const char *machine_without_kvm(const struct machine *machine);

/*
 * How its flat views are printed: as QEMU does, ranges in memory slots are marked ("KVM"); not where processors are interpreted,
 * since slots are only planned then.
 */
struct gmem_print_options machine_print_options(struct machine *machine);

/* Parts of it, borrowed. */
gmem_vm *machine_vm(struct machine *machine);
gmem_space *machine_memory(struct machine *machine);
gmem_space *machine_io(struct machine *machine);
gmem_space *machine_cpu_memory(struct machine *machine); /* as the first processor sees it */
/* What there is in system management mode, for an accelerator that has a second address space. NULL: there is no such mode. */
gmem_space *machine_smram_space(struct machine *machine);
unsigned machine_cpu_count(const struct machine *machine);
gmem_kvm *machine_slots(struct machine *machine);
gmem_kvm *machine_slots_smm(struct machine *machine); /* in system management mode (as_id 1); NULL: it has none */
struct pci_bus *machine_pci(struct machine *machine);
struct vga *machine_vga(struct machine *machine); /* NULL: it has none */
/* What a display at the VGA shows; the main thread's. NULL: there is no VGA. */
struct screen *machine_screen(struct machine *machine);

/* What the processors executed so far, if somebody counts: else false. When it is stopped or held. */
struct pc_cpus_stats;
bool machine_executed(const struct machine *machine, struct pc_cpus_stats *ret);

/* When it is, from a hook or before the processors run. */
struct machine_moment {
    uint64_t ns; /* of the devices' clock: the guest's time where that is virtual, else the host's */
    bool
        counted; /* instructions is known: somebody counts, and it was no other thread than the processors' that called the hook */
    uint64_t instructions; /* executed so far, by all processors */
};
void machine_moment(const struct machine *machine, struct machine_moment *ret);

/* Counters of all memory slots, those of system management mode included. slots_peak is the sum of each one's. */
void machine_slots_stats(const struct machine *machine, struct gmem_kvm_stats *ret);

/* What was removed of memory slots since machine_start(), those of system management mode included: of RAM and ROM, and of BARs. When it is stopped. */
struct machine_slots_since_start {
    uint64_t bytes_removed;
    uint64_t pci_bytes_removed;
};
void machine_slots_since_start(struct machine *machine, struct machine_slots_since_start *ret);

/*
 * How often processors were held out of the guest while slots were changed: for a cut, or to fetch the log of one that goes. A
 * commit that cuts slots of both address spaces does so twice. Never where slots are only planned.
 */
struct machine_pauses {
    uint64_t count, ns_max;
};
void machine_pauses(const struct machine *machine, struct machine_pauses *ret);

#endif
