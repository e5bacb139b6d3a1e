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

#include "hooks.h"
#include "pci.h"

enum pc_accel {
    PC_ACCEL_NONE, /* no processors; memory slots go to set */
    PC_ACCEL_KVM,
};

struct pc_config {
    uint64_t memory;    /* bytes of RAM: PC_MEMORY_MIN to PC_MEMORY_MAX, a multiple of PC_MEMORY_UNIT */
    uint32_t ram_flags; /* GMEM_RAM_*, of the RAM */
    unsigned cpus;      /* 1 to PC_CPUS_MAX; also without processors, for the firmware to read */
    const void *firmware;
    size_t firmware_len; /* a multiple of PC_FIRMWARE_UNIT, at most PC_FIRMWARE_MAX */
    const void *vga_rom; /* the VGA's option ROM; NULL: the machine has no VGA */
    size_t vga_rom_len;  /* 1 to VGA_OPTION_ROM_MAX */
    enum pc_accel accel;
    enum gmem_kvm_policy policy;
    gmem_kvm_set_fn *set; /* of PC_ACCEL_NONE; with PC_ACCEL_KVM NULL, or called instead of the kernel's ioctl */
    void *set_opaque;
    struct pc_hooks hooks;
};

#define PC_MEMORY_UNIT 0x1000u
#define PC_MEMORY_MIN 0x100000u
#define PC_MEMORY_MAX 0xfcc0000000u /* 3 GiB, and from 4 GiB to 1012 GiB, where AMD processors reserve */
#define PC_CPUS_MAX 255u
#define PC_FIRMWARE_UNIT 0x10000u
#define PC_FIRMWARE_MAX 0x1000000u

struct machine;

/*
 * Put a machine together; nothing of *config but what hooks and set point to need outlive the call. Processors wait for
 * machine_start(). On failure (-errno) error says why, in one line, and nothing is left.
 */
int machine_create(const struct pc_config *config, struct machine **ret, struct pc_error *error) GMEM_MUST_CHECK;

/* Let the processors run. Once. */
int machine_start(struct machine *machine, struct pc_error *error) GMEM_MUST_CHECK;

/* Returns when no processor runs any more. Not from a hook. May be called again. */
void machine_stop(struct machine *machine);

/* Stops it and ends everything. Not from a hook. NULL is allowed. */
void machine_destroy(struct machine *machine);

/* Parts of it, borrowed. */
gmem_vm *machine_vm(struct machine *machine);
gmem_space *machine_memory(struct machine *machine);
gmem_space *machine_io(struct machine *machine);
gmem_kvm *machine_slots(struct machine *machine);
struct pci_bus *machine_pci(struct machine *machine);

/* What was removed of memory slots since machine_start(): of RAM and ROM, and of BARs. When it is stopped. */
struct machine_slots_since_start {
    uint64_t bytes_removed;
    uint64_t pci_bytes_removed;
};
void machine_slots_since_start(struct machine *machine, struct machine_slots_since_start *ret);

#endif
