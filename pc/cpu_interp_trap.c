/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_trap.c - interrupts and exceptions of an interpreted processor, and how one ends that can't go on.
 *
 * libx86emu tells of every interrupt and fault of its own, and is told that it was seen to: its way into a handler takes the width
 * of what it pushes from the code and not from the gate, clears IF for trap gates, and goes on where there is no handler.
 * Handlers are entered here, through the IVT or the IDT. Instructions run at privilege level 0 always (cpu_interp_mem.c), so no
 * stack is switched; there are no task gates.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3, "interrupt and exception handling": error codes, and
 * which of two faults become a double fault, and a shutdown.
 *
 * Runs on the processors' thread, without the device lock.
 */
#include "cpu_interp_internal.h"

#include <stdio.h>
#include <string.h>

#define NO_VECTOR 0x100u
#define ERROR_EXT 1u
#define ERROR_IDT 2u
#define DR6_BS 0x4000u

struct fault {
    unsigned vector; /* NO_VECTOR: none */
    uint32_t error;
};

enum source {
    FROM_OUTSIDE,
    FROM_FAULT,
    FROM_PROGRAM, /* INT n */
};

static const struct fault NO_FAULT = {.vector = NO_VECTOR, .error = INTERP_NO_ERROR};

static struct fault fault(unsigned vector, uint32_t error)
{
    return (struct fault){.vector = vector, .error = error};
}

static void restore(struct interp_cpu *cpu)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;

    x86->gen = cpu->before.gen;
    x86->spc = cpu->before.spc;
    memcpy(x86->seg, cpu->before.seg, sizeof(cpu->before.seg));
    cpu->rep.rest = 0;
}

static bool stack32(const x86emu_regs_t *x86)
{
    return ACC_D(x86->R_SS_ACC);
}

/* Whether count pushes of size bytes are all inside of the stack segment. */
static bool stack_fits(const x86emu_regs_t *x86, unsigned count, unsigned size)
{
    uint32_t mask = stack32(x86) ? UINT32_MAX : 0xffff;

    for (unsigned i = 1; i <= count; i++) {
        uint32_t first = (x86->R_ESP - i * size) & mask, last = first + size - 1;

        if (ACC_ED(x86->R_SS_ACC) ? first <= x86->R_SS_LIMIT || last > mask : last > x86->R_SS_LIMIT)
            return false;
        if (last < first)
            return false;
    }
    return true;
}

static void push(struct interp_cpu *cpu, unsigned size, uint32_t value)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;

    if (stack32(x86)) {
        x86->R_ESP -= size;
        interp_store(cpu, x86->R_SS_BASE + x86->R_ESP, size, value);
    } else {
        x86->R_SP = (u16)(x86->R_SP - size);
        interp_store(cpu, x86->R_SS_BASE + x86->R_SP, size, value);
    }
}

static void push_state(struct interp_cpu *cpu, unsigned size)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;

    push(cpu, size, x86->R_EFLG | 2);
    push(cpu, size, x86->R_CS);
    push(cpu, size, x86->R_EIP);
}

static struct fault enter_real(struct interp_cpu *cpu, unsigned vector)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t at = x86->R_IDT_BASE + 4 * vector;
    uint32_t entry;

    if (4 * vector + 3 > x86->R_IDT_LIMIT)
        return fault(VECTOR_GP, INTERP_NO_ERROR);
    if (!stack_fits(x86, 3, 2))
        return fault(VECTOR_SS, INTERP_NO_ERROR);
    entry = interp_load(cpu, at, 4);
    push_state(cpu, 2);
    x86->R_EFLG &= ~(FLAG_IF | FLAG_TF | FLAG_RF);
    x86->R_EIP = entry & 0xffff;
    x86->R_CS = (u16)(entry >> 16);
    x86->R_CS_BASE = entry >> 16 << 4;
    return NO_FAULT;
}

/* The code segment that a gate names. */
static struct fault load_code(struct interp_cpu *cpu, u16 selector, uint32_t ext, sel_t *ret)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t base = selector & 4 ? x86->R_LDT_BASE : x86->R_GDT_BASE;
    uint32_t limit = selector & 4 ? x86->R_LDT_LIMIT : x86->R_GDT_LIMIT;
    uint32_t offset = selector & ~7u, error = (selector & ~3u) | ext, low, high, acc, scaled;

    if (!(selector & ~3u))
        return fault(VECTOR_GP, ext);
    if (offset + 7 > limit)
        return fault(VECTOR_GP, error);
    low = interp_load(cpu, base + offset, 4);
    high = interp_load(cpu, base + offset + 4, 4);
    acc = (high >> 8 & 0xff) | (high >> 12 & 0xf00);
    /* Of privilege level 0: conforming or not is the same. */
    if (!ACC_S(acc) || !ACC_E(acc) || ACC_DPL(acc))
        return fault(VECTOR_GP, error);
    if (!ACC_P(acc))
        return fault(VECTOR_NP, error);
    scaled = (low & 0xffff) | (high & 0xf0000);
    *ret = (sel_t){.base = low >> 16 | (high & 0xff) << 16 | (high & 0xff000000),
                   .limit = ACC_G(acc) ? scaled << 12 | 0xfff : scaled,
                   .sel = selector & (u16)~3u,
                   .acc = (u16)acc};
    return NO_FAULT;
}

static struct fault enter_gate(struct interp_cpu *cpu, uint32_t low, uint32_t high, uint32_t error, uint32_t ext)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    unsigned size = high & 0x800 ? 4 : 2, count = error == INTERP_NO_ERROR ? 3 : 4;
    uint32_t offset = (low & 0xffff) | (size == 4 ? high & 0xffff0000 : 0);
    sel_t code;
    struct fault found = load_code(cpu, (u16)(low >> 16), ext, &code);

    if (found.vector != NO_VECTOR)
        return found;
    if (offset > code.limit)
        return fault(VECTOR_GP, ext);
    if (!stack_fits(x86, count, size))
        return fault(VECTOR_SS, ext);
    push_state(cpu, size);
    if (error != INTERP_NO_ERROR)
        push(cpu, size, error);
    x86->R_EFLG &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
    if (!(high & 0x100)) /* an interrupt gate, not a trap gate */
        x86->R_EFLG &= ~FLAG_IF;
    x86->seg[R_CS_INDEX] = code;
    x86->R_EIP = offset;
    return NO_FAULT;
}

static struct fault enter_protected(struct interp_cpu *cpu, unsigned vector, uint32_t error, enum source source)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t ext = source == FROM_PROGRAM ? 0 : ERROR_EXT;
    uint32_t about = 8 * vector | ERROR_IDT | ext, low, high;

    if (8 * vector + 7 > x86->R_IDT_LIMIT)
        return fault(VECTOR_GP, about);
    low = interp_load(cpu, x86->R_IDT_BASE + 8 * vector, 4);
    high = interp_load(cpu, x86->R_IDT_BASE + 8 * vector + 4, 4);
    switch (high >> 8 & 0x1f) {
    case 0x06:
    case 0x07:
    case 0x0e:
    case 0x0f:
        break;
    case 0x05:
        cpu->failed = "a task gate was used, which can't be interpreted";
        cpu->failed_event = PC_EVENT_FAILED;
        return NO_FAULT;
    default:
        return fault(VECTOR_GP, about);
    }
    if (!(high & 0x8000))
        return fault(VECTOR_NP, about);
    return enter_gate(cpu, low, high, error, ext);
}

static bool contributes(unsigned vector)
{
    return vector == 0 || (vector >= 10 && vector <= 13);
}

/* Enter the handler of vector, or of what goes wrong on the way. The registers are those to come back to. */
static void raise(struct interp_cpu *cpu, unsigned vector, uint32_t error, enum source source)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    struct fault now = fault(vector, error), next;

    x86->instr_buf[0] = 0;
    cpu->fetched = 0;
    for (;;) {
        bool protected = x86->R_CR0 & CR0_PE;

        next = protected ? enter_protected(cpu, now.vector, now.error, source) : enter_real(cpu, now.vector);
        if (next.vector == NO_VECTOR)
            return;
        if (source == FROM_FAULT && now.vector == VECTOR_DF) {
            cpu->failed = "shut down, a triple fault";
            cpu->failed_event = PC_EVENT_SHUTDOWN;
            return;
        }
        /* INT n faults, and was not carried out. */
        if (source == FROM_PROGRAM)
            restore(cpu);
        if (source == FROM_FAULT && contributes(now.vector) && contributes(next.vector))
            next = fault(VECTOR_DF, protected ? 0 : INTERP_NO_ERROR);
        now = next;
        source = FROM_FAULT;
    }
}

void interp_interrupt(struct interp_cpu *cpu, unsigned vector)
{
    raise(cpu, vector, INTERP_NO_ERROR, FROM_OUTSIDE);
}

void interp_trap(struct interp_cpu *cpu, unsigned vector)
{
    cpu->emu->x86.R_DR6 |= DR6_BS;
    raise(cpu, vector, INTERP_NO_ERROR, FROM_FAULT);
}

void interp_abort(struct interp_cpu *cpu, unsigned vector, uint32_t error)
{
    cpu->fault = vector;
    cpu->fault_error = error;
    longjmp(cpu->abort, 1); /* NOLINT(cert-err52-cpp): x86emu_run() holds nothing */
}

void interp_abort_own(struct interp_cpu *cpu)
{
    cpu->own = true;
    longjmp(cpu->abort, 1); /* NOLINT(cert-err52-cpp): as above */
}

void interp_give_up(struct interp_cpu *cpu, enum pc_event event, const char *why)
{
    cpu->failed = why;
    cpu->failed_event = event;
    longjmp(cpu->abort, 1); /* NOLINT(cert-err52-cpp): as above */
}

void interp_aborted(struct interp_cpu *cpu)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;

    x86->intr_type = 0;
    cpu->fetched = x86->instr_len;
    restore(cpu);
    /* It took its time: a fault that comes again and again does not stop the clock. */
    x86->R_TSC++;
    if (cpu->own) {
        cpu->own = false;
        if (interp_own(cpu)) {
            x86->instr_buf[0] = 0;
            cpu->fetched = 0;
            return;
        }
        cpu->failed = "an unknown instruction";
        cpu->failed_event = PC_EVENT_FAILED;
    }
    if (!cpu->failed)
        raise(cpu, cpu->fault, cpu->fault_error, FROM_FAULT);
}

static void leave_smm(struct interp_cpu *cpu)
{
    bool valid;

    interp_lock(cpu);
    irqchip_set_current(cpu->cpus->interp.irqchip, cpu->index);
    valid = cpu_interp_smm_leave(cpu->emu, &cpu->smm);
    if (valid) {
        interp_select(cpu);
        cpu->nmi_blocked = false;
        if (cpu->smm.halted)
            cpu->state = INTERP_HALTED;
    }
    interp_unlock(cpu->cpus);
    if (!valid)
        interp_give_up(cpu, PC_EVENT_SHUTDOWN, "shut down, RSM found a state that can't be");
    cpu->emu->x86.instr_buf[0] = 0;
    interp_attend(cpu->cpus);
}

/* What libx86emu takes for an invalid opcode. */
static void undefined(struct interp_cpu *cpu)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    unsigned second, first = interp_last_opcode(cpu, &second);

    if (first >= 0xd8 && first <= 0xdf) {
        if (x86->R_CR0 & (CR0_EM | CR0_TS))
            interp_abort(cpu, VECTOR_NM, INTERP_NO_ERROR);
        interp_give_up(cpu, PC_EVENT_FAILED, "a floating-point instruction, which can't be interpreted,");
    }
    if (first == 0x0f) {
        switch (second) {
        case 0x0b: /* UD2, UD1, UD0 */
        case 0xb9:
        case 0xff:
            interp_abort(cpu, VECTOR_UD, INTERP_NO_ERROR);
        case 0x30: /* WRMSR and RDMSR of registers that libx86emu has no room for */
        case 0x32:
            interp_abort(cpu, VECTOR_GP, 0);
        case 0xaa:
            if (!cpu->smm.active)
                interp_abort(cpu, VECTOR_UD, INTERP_NO_ERROR);
            leave_smm(cpu);
            return;
        default:
            break;
        }
    }
    interp_abort_own(cpu);
}

/* Whether selector is of a task or a call gate, which libx86emu faults at. */
static bool is_system(struct interp_cpu *cpu, uint32_t selector)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t base = selector & 4 ? x86->R_LDT_BASE : x86->R_GDT_BASE;
    uint32_t limit = selector & 4 ? x86->R_LDT_LIMIT : x86->R_GDT_LIMIT, offset = selector & 0xfff8, high;

    if (!(x86->R_CR0 & CR0_PE) || !offset || offset + 7 > limit)
        return false;
    high = interp_load(cpu, base + offset + 4, 4);
    /* Present, no segment, and neither invalid nor an LDT nor an interrupt's gate. */
    return (high & 0x9000) == 0x8000 && (0x1a3a >> (high >> 8 & 0xf) & 1);
}

/* JMP and CALL to another segment. */
static bool is_far(const struct interp_cpu *cpu)
{
    unsigned modrm, opcode = interp_last_opcode(cpu, &modrm);

    return opcode == 0xea || opcode == 0x9a || (opcode == 0xff && ((modrm >> 3 & 7) == 3 || (modrm >> 3 & 7) == 5));
}

int interp_intr(x86emu_t *emu, u8 vector, unsigned type)
{
    struct interp_cpu *cpu = emu->_private;

    if (vector == VECTOR_UD && (type & 0xff) == INTR_TYPE_FAULT) {
        undefined(cpu);
        return 1;
    }
    if (vector == VECTOR_GP && is_far(cpu) && is_system(cpu, emu->x86.intr_errcode))
        interp_give_up(cpu, PC_EVENT_FAILED, "a task switch or a call gate, which can't be interpreted,");
    if (type & INTR_MODE_RESTART)
        interp_abort(cpu, vector, type & INTR_MODE_ERRCODE ? emu->x86.intr_errcode & 0xfffc : INTERP_NO_ERROR);
    raise(cpu, vector, INTERP_NO_ERROR, FROM_PROGRAM);
    if (cpu->failed)
        interp_give_up(cpu, cpu->failed_event, cpu->failed);
    return 1;
}

void interp_end(struct interp_cpu *cpu)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t linear = x86->R_CS_BASE + x86->R_EIP;
    char text[3 * INTERP_INSTRUCTION_MAX + 1] = "";
    uint8_t bytes[INTERP_INSTRUCTION_MAX];
    unsigned count = interp_peek(cpu, linear, bytes, sizeof(bytes));

    /* What is no memory is not read again. */
    if (count < cpu->fetched) {
        count = cpu->fetched;
        memcpy(bytes, x86->instr_buf, count);
    }
    for (unsigned i = 0; i < count; i++)
        snprintf(text + 3 * (size_t)i, 4, " %02x", bytes[i]);
    cpu->state = INTERP_ENDED;
    interp_lock(cpu);
    pc_event(cpu->cpus->config.hooks, cpu->failed_event, "processor %u: %s at cs:eip %04x:%x, linear 0x%x, bytes%s",
             cpu->index, cpu->failed, x86->R_CS, x86->R_EIP, linear, count ? text : " unknown");
    interp_unlock(cpu->cpus);
}
