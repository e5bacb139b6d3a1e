/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_look.c - instructions that are looked at before libx86emu carries them out: whether one may begin, which are not for it
 * at all, and repeated ones that it may not do all at once.
 *
 * An instruction is followed byte by byte, as libx86emu fetches it, and only for as long as it could be one of those; most are
 * known by their first byte not to be.
 *
 * Runs on the processors' thread, inside of x86emu_run(), without the device lock unless said otherwise.
 */
#include "cpu_interp_internal.h"

/* What an opcode of one byte is: nothing to look at, or see look_at_opcode(). */
enum class { PLAIN, PREFIX, ESCAPE, SHIFT, DIVIDE, OWN };

/* Opcodes of one byte that have to be looked at. */
const uint8_t interp_classes[256] = {
    [0x26] = PREFIX,       [0x2e] = PREFIX,          [0x36] = PREFIX,
    [0x3e] = PREFIX,       [0x64 ... 0x67] = PREFIX, [0xf0] = PREFIX,
    [0xf2] = PREFIX,       [0xf3] = PREFIX,          [0x0f] = ESCAPE,
    [0x6c ... 0x6f] = OWN, [0xc0 ... 0xc1] = SHIFT,  [0xd0 ... 0xd3] = SHIFT,
    [0xd4] = OWN,          [0xf6 ... 0xf7] = DIVIDE,
};

/* MOVS, CMPS, STOS, LODS, SCAS. */
static bool is_string(uint8_t opcode)
{
    return (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
}

unsigned interp_last_opcode(const struct interp_cpu *cpu, unsigned *ret_modrm)
{
    const unsigned char *bytes = cpu->emu->x86.instr_buf;
    unsigned i = 0;

    while (i < INTERP_INSTRUCTION_MAX && interp_classes[bytes[i]] == PREFIX)
        i++;
    *ret_modrm = bytes[i + 1];
    return bytes[i];
}

/* MOV SS and POP SS. */
static bool has_set_stack(unsigned opcode, unsigned modrm)
{
    return opcode == 0x17 || (opcode == 0x8e && (modrm >> 3 & 7) == R_SS_INDEX);
}

bool interp_in_shadow(const struct interp_cpu *cpu)
{
    unsigned modrm, opcode = interp_last_opcode(cpu, &modrm);

    return has_set_stack(opcode, modrm) || (opcode == 0xfb && !(cpu->before.spc.FLAGS & FLAG_IF));
}

bool interp_traps(const struct interp_cpu *cpu)
{
    unsigned modrm, opcode;

    if (!(cpu->emu->x86.R_EFLG & cpu->before.spc.FLAGS & FLAG_TF))
        return false;
    opcode = interp_last_opcode(cpu, &modrm);
    return !has_set_stack(opcode, modrm);
}

bool interp_may_take(struct interp_cpu *cpu)
{
    bool enabled = cpu->emu->x86.R_EFLG & FLAG_IF;
    unsigned modrm;

    if (interp_last_opcode(cpu, &modrm) == 0xcf) /* IRET */
        cpu->nmi_blocked = false;
    if (!(cpu->nmi && !cpu->nmi_blocked) && !(cpu->irq && enabled))
        return false;
    return !interp_in_shadow(cpu);
}

/* What is not so for nearly all instructions. */
bool interp_may_begin(struct interp_cpu *cpu)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;

    if (__atomic_load_n(&cpu->cpus->attention, __ATOMIC_RELAXED))
        return false;
    cpu->failed_event = PC_EVENT_FAILED;
    if (x86->R_CR0 & CR0_PG)
        cpu->failed = "paging was switched on, which can't be interpreted";
    else if (x86->R_EFLG & FLAG_VM)
        cpu->failed = "virtual 8086 mode was entered, which can't be interpreted";
    else if ((x86->R_CR0 & CR0_PE) && (x86->R_CS & 3))
        cpu->failed = "privilege level 0 was left, which can't be interpreted";
    if (cpu->failed)
        return false;
    if (interp_traps(cpu))
        return false;
    return !cpu->watch || !interp_may_take(cpu);
}

static uint32_t lower(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How many accesses in a row, from index on, are inside of segment and do not come round; INTERP_REP_CHUNK at most. */
static uint32_t fitting(const x86emu_regs_t *x86, const sel_t *segment, uint32_t index, unsigned size)
{
    uint32_t top = x86->mode & _MODE_ADDR32 ? UINT32_MAX : 0xffff, steps;

    index &= top;
    if (index > segment->limit || segment->limit - index < size - 1)
        return 0;
    if (x86->R_EFLG & FLAG_DF)
        steps = index / size;
    else
        steps = lower((segment->limit - index - (size - 1)) / size, (top - index) / size);
    return lower(steps, INTERP_REP_CHUNK - 1) + 1;
}

/* For how many times a string instruction can be repeated at once: not beyond one that faults, unless that is the first. */
static uint32_t at_once(const x86emu_regs_t *x86, uint8_t opcode)
{
    unsigned size = !(opcode & 1) ? 1 : x86->mode & _MODE_DATA32 ? 4 : 2;
    const sel_t *source = x86->default_seg ? x86->default_seg : &x86->seg[R_DS_INDEX];
    uint32_t times = x86->R_EFLG & FLAG_TF ? 1 : INTERP_REP_CHUNK;

    if (opcode < 0xaa || (opcode & 0xfe) == 0xac)
        times = lower(times, fitting(x86, source, x86->R_ESI, size));
    if ((opcode & 0xfe) != 0xac)
        times = lower(times, fitting(x86, &x86->seg[R_ES_INDEX], x86->R_EDI, size));
    return times ? times : 1;
}

/*
 * opcode follows a prefix that repeats it. For so many times that others would wait, it is done in parts; and so it is where it
 * comes to a fault, whose handler finds registers that say how far it came.
 */
static void begin_rep(struct interp_cpu *cpu, uint8_t opcode)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    bool addr32 = x86->mode & _MODE_ADDR32;
    uint32_t count = addr32 ? x86->R_ECX : x86->R_CX, times;

    if (!is_string(opcode))
        return;
    times = at_once(x86, opcode);
    if (count <= times)
        return;
    cpu->rep.rest = count - times;
    cpu->rep.addr32 = addr32;
    cpu->rep.compares = opcode == 0xa6 || opcode == 0xa7 || opcode == 0xae || opcode == 0xaf;
    cpu->rep.while_equal = x86->mode & _MODE_REPE;
    if (addr32)
        x86->R_ECX = times;
    else
        x86->R_CX = (uint16_t)times;
    cpu->emu->max_instr = x86->R_TSC + 1;
}

void interp_rep_done(struct interp_cpu *cpu)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t count = cpu->rep.addr32 ? x86->R_ECX : x86->R_CX;
    bool equal = x86->R_EFLG & FLAG_ZF;

    if (count == 0 && !(cpu->rep.compares && equal != cpu->rep.while_equal))
        x86->R_EIP = cpu->before.spc.IP.I32_reg.e_reg;
    count += cpu->rep.rest;
    if (cpu->rep.addr32)
        x86->R_ECX = count;
    else
        x86->R_CX = (uint16_t)count;
    cpu->rep.rest = 0;
}

static unsigned width_of(const struct interp_cpu *cpu, bool byte)
{
    return byte ? 8 : cpu->emu->x86.mode & _MODE_DATA32 ? 32 : 16;
}

/* libx86emu shifts right by what is less than the operand, and more than nothing. */
static bool count_is_odd(const struct interp_cpu *cpu, unsigned count)
{
    return count == 0 || count >= cpu->look.width;
}

static void look_at_opcode(struct interp_cpu *cpu, uint8_t byte)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;

    cpu->look.stage = INTERP_DONE;
    switch (interp_classes[byte]) {
    case PREFIX:
        cpu->look.stage = INTERP_OPCODE;
        break;
    case ESCAPE:
        cpu->look.stage = INTERP_ESCAPED;
        break;
    case SHIFT:
        cpu->look.width = width_of(cpu, !(byte & 1));
        if (byte >= 0xd2 && count_is_odd(cpu, x86->R_CL))
            interp_abort_own(cpu);
        cpu->look.by_number = byte < 0xd0;
        cpu->look.stage = INTERP_SHIFT;
        break;
    case DIVIDE:
        cpu->look.stage = INTERP_DIVIDE;
        break;
    case OWN:
        interp_abort_own(cpu);
    default:
        if (x86->mode & (_MODE_REPE | _MODE_REPNE))
            begin_rep(cpu, byte);
        break;
    }
}

static void look_at_second(struct interp_cpu *cpu, uint8_t byte)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;

    cpu->look.stage = INTERP_DONE;
    switch (byte) {
    case 0x01:
        cpu->look.stage = INTERP_SYSTEM;
        break;
    case 0x20: /* MOV from and to control registers */
    case 0x22:
    case 0x4c: /* CMOVL, CMOVGE, CMOVLE, CMOVG */
    case 0x4d:
    case 0x4e:
    case 0x4f:
    case 0xa3: /* BT, BTS, BTR, BTC */
    case 0xab:
    case 0xb3:
    case 0xbb:
    case 0xba:
        interp_abort_own(cpu);
    case 0xa5: /* SHLD, SHRD by CL */
    case 0xad:
        cpu->look.width = width_of(cpu, false);
        if (count_is_odd(cpu, x86->R_CL))
            interp_abort_own(cpu);
        break;
    case 0xa4: /* and by a number */
    case 0xac:
        cpu->look.width = width_of(cpu, false);
        cpu->look.by_number = true;
        cpu->look.stage = INTERP_DOUBLE_SHIFT;
        break;
    default:
        break;
    }
}

/* The bytes of a ModRM byte's address behind it; *ret_sib: there is an SIB byte, which may ask for more. */
static unsigned address_size(const x86emu_regs_t *x86, uint8_t modrm, bool *ret_sib)
{
    unsigned mod = modrm >> 6, rm = modrm & 7;
    bool addr32 = x86->mode & _MODE_ADDR32;

    *ret_sib = addr32 && mod != 3 && rm == 4;
    switch (mod) {
    case 0:
        return rm == (addr32 ? 5 : 6) ? (addr32 ? 4u : 2u) : *ret_sib;
    case 1:
        return 1u + *ret_sib;
    case 2:
        return (addr32 ? 4u : 2u) + *ret_sib;
    default:
        return 0;
    }
}

/* The ModRM byte of a shift: where is its count? */
static void look_at_shift(struct interp_cpu *cpu, uint8_t modrm)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    bool sib;

    if (cpu->look.stage == INTERP_SHIFT && (modrm >> 3 & 7) == 7)
        interp_abort_own(cpu);
    cpu->look.stage = cpu->look.by_number ? INTERP_COUNT : INTERP_DONE;
    cpu->look.count_at = x86->instr_len + 1 + address_size(x86, modrm, &sib);
    cpu->look.sib_at = sib && modrm < 0x40 ? x86->instr_len + 1 : 0;
}

static void look_at_count(struct interp_cpu *cpu, uint8_t byte)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;

    if (cpu->look.sib_at && x86->instr_len == cpu->look.sib_at && (byte & 7) == 5)
        cpu->look.count_at += 4;
    else if (x86->instr_len == cpu->look.count_at && count_is_odd(cpu, byte))
        interp_abort_own(cpu);
}

/* A byte of an instruction that libx86emu may not carry out, or not all at once. */
void interp_look(struct interp_cpu *cpu, uint8_t byte)
{
    switch (cpu->look.stage) {
    case INTERP_OPCODE:
        look_at_opcode(cpu, byte);
        break;
    case INTERP_ESCAPED:
        look_at_second(cpu, byte);
        break;
    case INTERP_DIVIDE: /* DIV and IDIV; others share their opcode */
        if ((byte >> 3 & 7) >= 6)
            interp_abort_own(cpu);
        cpu->look.stage = INTERP_DONE;
        break;
    case INTERP_SYSTEM: /* LMSW; SGDT and others share its opcode */
        if ((byte >> 3 & 7) == 6)
            interp_abort_own(cpu);
        cpu->look.stage = INTERP_DONE;
        break;
    case INTERP_SHIFT:
    case INTERP_DOUBLE_SHIFT:
        look_at_shift(cpu, byte);
        break;
    default:
        look_at_count(cpu, byte);
        break;
    }
}
