/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_internal.h - shared by
 *
 *  cpu_interp.c       the thread, and whose turn it is
 *  cpu_interp_mem.c   what instructions access
 *  cpu_interp_look.c  instructions that are looked at before they are carried out
 *  cpu_interp_own.c   those that libx86emu has not, or not right
 *  cpu_interp_trap.c  interrupts and faults
 *  cpu_interp_cpu.c   reset state, CPUID, MSRs
 *
 * and by cpu_interp_decode.c, which finds the opcode and the operands of what cpu_interp_own.c carries out.
 *
 * x86emu_run() executes until its time stamp counter, which it raises by one for each instruction, is at a limit. What it does not do
 * is done around it:
 *
 *  - The first fetch of an instruction is where one can be kept from beginning. What the registers were is
 *    written down there, so an instruction that has begun can be given up at any of its accesses: interp_abort() jumps out
 *    of x86emu_run(), which holds nothing, and the registers are put back.
 *  - Instructions that libx86emu has not, or not right, are given up so and carried out by interp_own().
 *  - A repeated string instruction runs INTERP_REP_CHUNK times at most; then it is begun again for the rest.
 */
#ifndef PC_CPU_INTERP_INTERNAL_H
#define PC_CPU_INTERP_INTERNAL_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include <gmem/gmem.h>
#include <x86emu.h>

#include "cpu.h"
#include "cpu_interp_smm.h"
#include "irqchip.h"
#include "vtime.h"

#define INTERP_TICK_NS 50u /* an instruction */
#define INTERP_REP_CHUNK 4096u
#define INTERP_INSTRUCTION_MAX 15u /* bytes */
#define CR0_PE 0x1u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_CD_NW 0x60000000u
#define CR0_PG 0x80000000u
#define FLAG_CF 0x1u
#define FLAG_PF 0x4u
#define FLAG_AF 0x10u
#define FLAG_ZF 0x40u
#define FLAG_SF 0x80u
#define FLAG_TF 0x100u
#define FLAG_IF 0x200u
#define FLAG_DF 0x400u
#define FLAG_OF 0x800u
#define FLAG_NT 0x4000u
#define FLAG_RF 0x10000u
#define FLAG_VM 0x20000u

/* Exceptions. */
#define VECTOR_DE 0u
#define VECTOR_DB 1u
#define VECTOR_NMI 2u
#define VECTOR_UD 6u
#define VECTOR_NM 7u
#define VECTOR_DF 8u
#define VECTOR_NP 11u
#define VECTOR_SS 12u
#define VECTOR_GP 13u

#define INTERP_NO_ERROR UINT32_MAX /* no error code is pushed; those that are have 16 bits */

enum interp_state {
    INTERP_RUNS,
    INTERP_HALTED,
    INTERP_WAITS_FOR_SIPI,
    INTERP_ENDED, /* shut down, or given up */
};

enum interp_window {
    INTERP_CODE,
    INTERP_BELOW_VGA,
    INTERP_BELOW_1M,
    INTERP_HIGH,
    INTERP_WINDOWS,
};

/* What the next byte of an instruction is looked at as. */
enum interp_stage {
    INTERP_DONE,
    INTERP_OPCODE,
    INTERP_ESCAPED,
    INTERP_DIVIDE,
    INTERP_SYSTEM,
    INTERP_SHIFT,
    INTERP_DOUBLE_SHIFT,
    INTERP_COUNT,
};

/* Variable and fixed ranges of the MTRRs. */
#define INTERP_MTRR_VARIABLE 8u
#define INTERP_MTRR_FIXED 11u

struct interp_cpu {
    x86emu_t *emu;
    struct cpu_interp *cpus;
    unsigned index;
    enum interp_state state;

    /* Where accesses go: ram or smm, by interp_select(). */
    struct gmem_cache *code, *data;
    gmem_space *code_space, *data_space;
    struct gmem_attrs attrs;
    gmem_space *memory;
    struct gmem_cache ram[INTERP_WINDOWS], smram[INTERP_WINDOWS];

    /* The registers as they were when the latest instruction began. */
    struct {
        struct i386_general_regs gen;
        struct i386_special_regs spc;
        sel_t seg[6];
    } before;
    jmp_buf abort;
    bool watch; /* each instruction has to ask whether something may be taken now: interp_may_take() */
    bool irq, nmi, nmi_blocked, init, sipi, smi; /* what waits to be taken */
    uint8_t sipi_vector;
    struct {
        uint32_t rest; /* of a repeated instruction that is done in parts: what is left after this one */
        bool addr32, compares, while_equal;
    } rep;
    struct {
        enum interp_stage stage;
        bool by_number;
        unsigned width, sib_at, count_at; /* of a shift: bits; where in the instruction these are */
    } look;
    bool own;       /* what abort is about: the instruction is to be carried out by interp_own() */
    unsigned fault; /* what abort is about, unless it is failed */
    uint32_t fault_error;
    const char *failed; /* why it can't go on; NULL: it can */
    enum pc_event failed_event;
    unsigned fetched; /* bytes of the instruction that failed, in libx86emu's buffer */
    uint64_t tsc_offset;
    bool called;  /* the latest access of a device has had something come up for this processor */
    bool changed; /* the interrupt controllers have something; with the device lock held, as smi */

    struct cpu_interp_smm smm;
    struct {
        uint64_t variable[2 * INTERP_MTRR_VARIABLE], fixed[INTERP_MTRR_FIXED], def_type;
    } mtrr;
};

struct cpu_interp {
    struct pc_cpus base;
    struct pc_cpus_config config;
    struct cpu_interp_config interp;
    pthread_t thread;
    bool started;

    /* Atomic. The processor that runs comes back before its next instruction. */
    bool attention;
    uint32_t a20_mask; /* atomic; changed with the device lock held */

    /* The thread's own. */
    uint64_t tick;  /* virtual time in instructions */
    uint64_t slice; /* until when the current processor may run */
    uint64_t
        until; /* when it freezes by itself; changed by others while the thread is parked. UINT64_MAX: it does not */
    unsigned current;
    uint32_t turns; /* of which the next turn's length is made */
    uint64_t executed;
    uint64_t origin; /* host time at which virtual time would be 0, were they to go together */
    uint64_t busy_since, busy_ns;
    bool busy;

    /* With the device lock held. */
    struct interp_cpu *served; /* whose access is being served */
    bool inside;               /* the thread has the lock: it need not be woken */

    pthread_mutex_t gate;
    pthread_cond_t wake;
    unsigned holding; /* this and the next under gate */
    bool stopping;
    bool parked;      /* waits in enter(), or has ended */
    bool interrupted; /* atomic: holding, stopping or frozen */
    bool frozen;      /* atomic */
    unsigned count;
    struct interp_cpu cpu[];
};

static inline void interp_attend(struct cpu_interp *cpus)
{
    __atomic_store_n(&cpus->attention, true, __ATOMIC_RELEASE);
}

/* Virtual time at the instruction that cpu is executing. */
static inline uint64_t interp_tick(const struct interp_cpu *cpu)
{
    return cpu->emu->x86.R_TSC - cpu->tsc_offset;
}

/* --- cpu_interp_mem.c --- */

int interp_mem_create(struct interp_cpu *cpu, gmem_space *memory, gmem_space *smm) GMEM_MUST_CHECK;
void interp_mem_destroy(struct interp_cpu *cpu);
/* The spaces that fit cpu's mode. With the device lock held. */
void interp_select(struct interp_cpu *cpu);
/* libx86emu's handler for everything that an instruction accesses. */
unsigned interp_memio(x86emu_t *emu, u32 addr, u32 *val, unsigned type);
uint32_t interp_fetch(struct interp_cpu *cpu, uint32_t addr, unsigned size);
/* Data at a linear address: 1, 2 or 4 bytes. Without the device lock. */
uint32_t interp_load(struct interp_cpu *cpu, uint32_t addr, unsigned size);
void interp_store(struct interp_cpu *cpu, uint32_t addr, unsigned size, uint32_t value);
uint32_t interp_in(struct interp_cpu *cpu, uint32_t port, unsigned size);
void interp_out(struct interp_cpu *cpu, uint32_t port, unsigned size, uint32_t value);
/* Up to size bytes of code at a linear address, as far as they are memory: how many. No device is accessed. */
unsigned interp_peek(struct interp_cpu *cpu, uint32_t addr, uint8_t *ret, unsigned size);
/* Take and give back the device lock, as the thread that runs the processors; devices' time is that of cpu's instruction. */
void interp_lock(struct interp_cpu *cpu);
void interp_unlock(struct cpu_interp *cpus);

/* --- cpu_interp_look.c --- */

/* By the first byte of an instruction: 0: there is nothing to look at. */
extern const uint8_t interp_classes[256];
/* Another byte of an instruction at which there is. It may abort. */
void interp_look(struct interp_cpu *cpu, uint8_t byte);
/* Whether the next instruction is to begin, where that may not be so. */
bool interp_may_begin(struct interp_cpu *cpu);
/* Finish or continue a repeated instruction of which a part is done. */
void interp_rep_done(struct interp_cpu *cpu);
/* The last opcode that was executed (not of 0x0f ones), and its ModRM byte. */
unsigned interp_last_opcode(const struct interp_cpu *cpu, unsigned *ret_modrm);
/* Whether the latest instruction keeps interrupts, NMIs and SMIs off for one more: MOV SS, POP SS, an STI that did something. */
bool interp_in_shadow(const struct interp_cpu *cpu);
/* Whether a single step is to be reported, which comes before whatever else there is. */
bool interp_traps(const struct interp_cpu *cpu);
/* Whether an interrupt or NMI that waits can be taken before the next instruction. Notices that an NMI's handler has ended. */
bool interp_may_take(struct interp_cpu *cpu);

/* --- cpu_interp_trap.c --- */

int interp_intr(x86emu_t *emu, u8 vector, unsigned type);
/* Give up the current instruction; vector is raised instead. Inside of x86emu_run(). Does not return. */
void interp_abort(struct interp_cpu *cpu, unsigned vector, uint32_t error) __attribute__((noreturn));
/* The same, and interp_own() carries it out. */
void interp_abort_own(struct interp_cpu *cpu) __attribute__((noreturn));
/* The same, and cpu can't go on. */
void interp_give_up(struct interp_cpu *cpu, enum pc_event event, const char *why) __attribute__((noreturn));
/* Take what abort said. Outside of x86emu_run(). */
void interp_aborted(struct interp_cpu *cpu);
/* An interrupt of the outside, or an NMI. Without the device lock. */
void interp_interrupt(struct interp_cpu *cpu, unsigned vector);
/* A trap after an instruction. */
void interp_trap(struct interp_cpu *cpu, unsigned vector);
/* Tell why cpu can't go on, in one line, and end it. Without the device lock. */
void interp_end(struct interp_cpu *cpu);

/* --- cpu_interp_own.c --- */

/* Carry out the next instruction without libx86emu. False: it is none of those. It may abort. */
bool interp_own(struct interp_cpu *cpu);

/* --- cpu_interp_cpu.c --- */

void interp_reset(struct interp_cpu *cpu); /* as power-on; of the other processors' too */
void interp_init(struct interp_cpu *cpu);  /* INIT */
void interp_sipi(struct interp_cpu *cpu, uint8_t vector);
void interp_cpuid(x86emu_t *emu);
void interp_rdmsr(x86emu_t *emu);
void interp_wrmsr(x86emu_t *emu);

#endif
