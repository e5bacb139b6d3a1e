/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_smm.h - system management mode of an interpreted processor: what an SMI saves and what RSM brings back.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3, "System Management Mode": the state save map of 32-bit
 * processors (revision 0x20000: SMBASE relocation, no I/O instruction restart), which is the last 512 bytes of the 64 KiB from
 * SMBASE on. The interpreter decides when: between two instructions, and not while the mode is active.
 *
 * All with the machine's device lock held: saving and restoring are accesses to the mode's space.
 */
#ifndef PC_CPU_INTERP_SMM_H
#define PC_CPU_INTERP_SMM_H

#include <stdbool.h>
#include <stdint.h>

#include <gmem/gmem.h>
#include <x86emu.h>

struct cpu_interp_smm {
    gmem_space *space;       /* what the processor sees in the mode; borrowed */
    struct gmem_attrs attrs; /* of its accesses there */
    bool active;
    /*
     * Before entering: the processor waits in HLT, and EIP is behind it. After leaving: it is to wait again. The interpreter's
     * own notion of it; _MODE_HALTED of libx86emu, which x86emu_stop() sets too, is neither read nor changed.
     */
    bool halted;
    uint32_t smbase;
};

/* As after a reset: not in the mode, SMBASE 0x30000. space and attrs stay. */
void cpu_interp_smm_reset(struct cpu_interp_smm *smm);

/*
 * An SMI: save the processor's state, and set it up to fetch the handler's first instruction, at SMBASE + 0x8000. CR2, DR0 to
 * DR3, XMM and MSRs are neither saved nor changed. What can't be saved, because nothing is there that keeps it, is lost.
 */
void cpu_interp_smm_enter(x86emu_t *emu, struct cpu_interp_smm *smm);

/* Whether a processor can have these in CR0 and CR4: no PG without PE, no NW without CD, no reserved bits in CR4. */
bool cpu_interp_smm_valid(uint32_t cr0, uint32_t cr4);

/*
 * RSM: bring back what was saved, with what the handler has changed in it. SMBASE is what it says from the next SMI on; 32-bit
 * processors since the P6 family take any. False if it can't be read, or is not valid: it shuts down. Registers are then as they
 * were.
 */
bool cpu_interp_smm_leave(x86emu_t *emu, struct cpu_interp_smm *smm);

#endif
