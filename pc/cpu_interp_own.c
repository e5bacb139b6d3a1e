/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_own.c - instructions that are carried out here, since libx86emu has them not, or has them wrong: shifts by counts
 * that it does not cut to five bits, or by nothing, arithmetic shifts to the right, bits of strings of bits, conditional moves that
 * compare signs, moves of control registers, LMSW, INS and OUTS (which step by 1), divisions (one that overflows, and AAM by 0,
 * ends the process there), XADD, CMPXCHG and CMPXCHG8B. Others that share an opcode with one of these are none of them.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2. Flags that it leaves undefined stay as they are, but
 * for those of shifts, which are as for a count of 1.
 *
 * Runs on the processors' thread, outside of x86emu_run() but inside of execute(), so that a fault can abort. The instruction is
 * decoded from its first byte; EIP is set behind it at the end.
 */
#include "cpu_interp_internal.h"

#define FLAG_CF 0x1u
#define FLAG_PF 0x4u
#define FLAG_ZF 0x40u
#define FLAG_SF 0x80u
#define FLAG_DF 0x400u
#define FLAG_OF 0x800u
#define FLAG_AF 0x10u
#define VECTOR_DE 0u
#define LMSW_CLEARS 0xeu /* MP, EM, TS */

struct own {
    struct interp_cpu *cpu;
    x86emu_regs_t *x86;
    uint32_t eip;
    bool data32, addr32, repeat;
    int override;    /* the segment's index; -1: the operand's own */
    unsigned opcode; /* 0x100 and the second byte, of those with 0x0f */
    unsigned mod, reg, rm;
    unsigned size; /* of the operand in bytes */
    sel_t *segment;
    uint32_t offset; /* of a memory operand */
};

static uint32_t fetch(struct own *own, unsigned size)
{
    uint32_t value = interp_fetch(own->cpu, own->x86->R_CS_BASE + own->eip, size);

    own->eip += size;
    if (!ACC_D(own->x86->R_CS_ACC))
        own->eip &= 0xffff;
    return value;
}

static int segment_of(uint32_t prefix)
{
    switch (prefix) {
    case 0x26:
        return R_ES_INDEX;
    case 0x2e:
        return R_CS_INDEX;
    case 0x36:
        return R_SS_INDEX;
    case 0x3e:
        return R_DS_INDEX;
    case 0x64:
        return R_FS_INDEX;
    case 0x65:
        return R_GS_INDEX;
    default:
        return -1;
    }
}

/* Prefixes and opcode. That they end was seen to when they were fetched before. */
static void decode_opcode(struct own *own)
{
    uint32_t byte;

    for (;;) {
        byte = fetch(own, 1);
        if (segment_of(byte) >= 0)
            own->override = segment_of(byte);
        else if (byte == 0x66)
            own->data32 = !ACC_D(own->x86->R_CS_ACC);
        else if (byte == 0x67)
            own->addr32 = !ACC_D(own->x86->R_CS_ACC);
        else if (byte == 0xf2 || byte == 0xf3)
            own->repeat = true;
        else if (byte != 0xf0)
            break;
    }
    own->opcode = byte == 0x0f ? 0x100 | fetch(own, 1) : byte;
}

static i386_general_register *whole(const struct own *own, unsigned n)
{
    x86emu_regs_t *x86 = own->x86;
    i386_general_register *registers[] = {&x86->gen.A,  &x86->gen.C,  &x86->gen.D,  &x86->gen.B,
                                          &x86->spc.SP, &x86->spc.BP, &x86->spc.SI, &x86->spc.DI};

    return registers[n & 7];
}

static uint32_t get_register(const struct own *own, unsigned n)
{
    switch (own->size) {
    case 1:
        return n & 4 ? whole(own, n & 3)->I8_reg.h_reg : whole(own, n)->I8_reg.l_reg;
    case 2:
        return whole(own, n)->I16_reg.x_reg;
    default:
        return whole(own, n)->I32_reg.e_reg;
    }
}

static void set_register(const struct own *own, unsigned n, uint32_t value)
{
    switch (own->size) {
    case 1:
        if (n & 4)
            whole(own, n & 3)->I8_reg.h_reg = (u8)value;
        else
            whole(own, n)->I8_reg.l_reg = (u8)value;
        break;
    case 2:
        whole(own, n)->I16_reg.x_reg = (u16)value;
        break;
    default:
        whole(own, n)->I32_reg.e_reg = value;
        break;
    }
}

static uint32_t displacement(struct own *own, unsigned wide)
{
    if (own->mod == 1)
        return (uint32_t)(int8_t)fetch(own, 1);
    return own->mod == 2 ? fetch(own, wide) : 0;
}

/* Whether the segment is SS unless a prefix says otherwise. */
static bool address16(struct own *own)
{
    static const int base[8] = {3, 3, 5, 5, 6, 7, 5, 3}, index[8] = {6, 7, 6, 7, -1, -1, -1, -1};

    if (own->mod == 0 && own->rm == 6) {
        own->offset = fetch(own, 2);
        return false;
    }
    own->offset = whole(own, (unsigned)base[own->rm])->I16_reg.x_reg;
    if (index[own->rm] >= 0)
        own->offset += whole(own, (unsigned)index[own->rm])->I16_reg.x_reg;
    own->offset = (own->offset + displacement(own, 2)) & 0xffff;
    return base[own->rm] == 5;
}

static bool address32(struct own *own)
{
    unsigned base = own->rm, sib = 0;

    if (own->rm == 4) {
        sib = fetch(own, 1);
        base = sib & 7;
    }
    if (own->mod == 0 && base == 5) {
        own->offset = fetch(own, 4);
        base = 8;
    } else {
        own->offset = whole(own, base)->I32_reg.e_reg;
    }
    if (own->rm == 4 && (sib >> 3 & 7) != 4)
        own->offset += whole(own, sib >> 3 & 7)->I32_reg.e_reg << (sib >> 6);
    own->offset += displacement(own, 4);
    return base == 4 || base == 5;
}

static void decode_operand(struct own *own)
{
    uint32_t modrm = fetch(own, 1);
    bool stack;

    own->mod = modrm >> 6;
    own->reg = modrm >> 3 & 7;
    own->rm = modrm & 7;
    if (own->mod == 3)
        return;
    stack = own->addr32 ? address32(own) : address16(own);
    own->segment = &own->x86->seg[own->override >= 0 ? own->override : stack ? R_SS_INDEX : R_DS_INDEX];
}

static uint32_t linear(const struct own *own, uint32_t offset, unsigned size)
{
    const sel_t *segment = own->segment;

    /* libx86emu's check, and like it of segments that expand up. */
    if (offset + size - 1 > segment->limit || offset + size - 1 < offset)
        interp_abort(own->cpu, segment == &own->x86->seg[R_SS_INDEX] ? VECTOR_SS : VECTOR_GP, 0);
    return segment->base + offset;
}

static uint32_t get(const struct own *own)
{
    if (own->mod == 3)
        return get_register(own, own->rm);
    return interp_load(own->cpu, linear(own, own->offset, own->size), own->size);
}

static void set(const struct own *own, uint32_t value)
{
    if (own->mod == 3)
        set_register(own, own->rm, value);
    else
        interp_store(own->cpu, linear(own, own->offset, own->size), own->size, value);
}

static bool flag(const struct own *own, uint32_t mask)
{
    return own->x86->R_EFLG & mask;
}

static void set_flag(const struct own *own, uint32_t mask, bool on)
{
    own->x86->R_EFLG = on ? own->x86->R_EFLG | mask : own->x86->R_EFLG & ~mask;
}

static bool top(const struct own *own, uint64_t value)
{
    return value >> (8 * own->size - 1) & 1;
}

static uint32_t cut(const struct own *own, uint64_t value)
{
    return (uint32_t)(value & (UINT64_MAX >> (64 - 8 * own->size)));
}

static int64_t sign_extend(const struct own *own, uint32_t value)
{
    unsigned shift = 64 - 8 * own->size;

    return (int64_t)((uint64_t)value << shift) >> shift;
}

static void set_result_flags(const struct own *own, uint32_t value)
{
    set_flag(own, FLAG_ZF, value == 0);
    set_flag(own, FLAG_SF, top(own, value));
    set_flag(own, FLAG_PF, !(__builtin_popcount(value & 0xff) & 1));
}

static uint32_t rotate(const struct own *own, uint32_t value, unsigned count)
{
    unsigned width = 8 * own->size, n = count % width;
    uint64_t twice = (uint64_t)value << width | value;
    bool right = own->reg & 1;
    uint32_t result = cut(own, right ? twice >> n : twice >> (width - n));

    set_flag(own, FLAG_CF, right ? top(own, result) : result & 1);
    set_flag(own, FLAG_OF, top(own, result) ^ (right ? result >> (width - 2) & 1 : result & 1));
    return result;
}

static uint32_t rotate_carry(const struct own *own, uint32_t value, unsigned count)
{
    unsigned width = 8 * own->size, n = count % (width + 1);
    bool carry = flag(own, FLAG_CF), right = own->reg & 1, out;

    for (; n > 0; n--) {
        out = right ? value & 1 : top(own, value);
        value = right ? value >> 1 | (uint32_t)carry << (width - 1) : cut(own, (uint64_t)value << 1 | carry);
        carry = out;
    }
    set_flag(own, FLAG_CF, carry);
    set_flag(own, FLAG_OF, top(own, value) ^ (right ? value >> (width - 2) & 1 : carry));
    return value;
}

static uint32_t shift(const struct own *own, uint32_t value, unsigned count)
{
    uint32_t result;
    uint64_t wide;

    switch (own->reg) {
    case 5:
        result = value >> count;
        set_flag(own, FLAG_CF, value >> (count - 1) & 1);
        set_flag(own, FLAG_OF, top(own, value));
        break;
    case 7:
        wide = (uint64_t)sign_extend(own, value);
        result = cut(own, (uint64_t)((int64_t)wide >> count));
        set_flag(own, FLAG_CF, (int64_t)wide >> (count - 1) & 1);
        set_flag(own, FLAG_OF, false);
        break;
    default:
        wide = (uint64_t)value << count;
        result = cut(own, wide);
        set_flag(own, FLAG_CF, wide >> (8 * own->size) & 1);
        set_flag(own, FLAG_OF, top(own, wide) ^ (wide >> (8 * own->size) & 1));
        break;
    }
    set_result_flags(own, result);
    return result;
}

static void execute_shift(struct own *own)
{
    unsigned count = 1;
    uint32_t value;

    own->size = !(own->opcode & 1) ? 1 : own->data32 ? 4 : 2;
    decode_operand(own);
    if (own->opcode < 0xd0)
        count = fetch(own, 1) & 31;
    else if (own->opcode >= 0xd2)
        count = own->x86->R_CL & 31;
    value = get(own);
    if (count == 0)
        return;
    if (own->reg < 2)
        value = rotate(own, value, count);
    else if (own->reg < 4)
        value = rotate_carry(own, value, count);
    else
        value = shift(own, value, count);
    set(own, value);
}

/* SHLD, SHRD. More than 16 of 16 bits is undefined: the operand comes in again behind the other. */
static void execute_double_shift(struct own *own)
{
    bool right = own->opcode & 8;
    unsigned count, width = own->data32 ? 32 : 16;
    uint64_t value, source, row;
    uint32_t result;

    own->size = width / 8;
    decode_operand(own);
    count = (own->opcode & 1 ? own->x86->R_CL : fetch(own, 1)) & 31;
    value = get(own);
    source = get_register(own, own->reg);
    if (count == 0)
        return;
    if (right) {
        row = width == 32 ? source << 32 | value : value << 32 | source << 16 | value;
        result = cut(own, row >> count);
        set_flag(own, FLAG_CF, row >> (count - 1) & 1);
    } else {
        row = width == 32 ? value << 32 | source : value << 32 | source << 16 | value;
        result = cut(own, row << count >> 32);
        set_flag(own, FLAG_CF, row >> (width == 32 ? 64 - count : 48 - count) & 1);
    }
    set_flag(own, FLAG_OF, top(own, result) ^ top(own, value));
    set_result_flags(own, result);
    set(own, result);
}

static bool condition(const struct own *own, unsigned code)
{
    bool less = flag(own, FLAG_SF) != flag(own, FLAG_OF);
    bool now = code & 2 ? less || flag(own, FLAG_ZF) : less;

    return now != (code & 1);
}

/* CMOVL, CMOVGE, CMOVLE, CMOVG. */
static void execute_move(struct own *own)
{
    uint32_t value;

    own->size = own->data32 ? 4 : 2;
    decode_operand(own);
    value = get(own);
    if (condition(own, own->opcode))
        set_register(own, own->reg, value);
}

/* BT, BTS, BTR, BTC by a register or a number; in memory a register's bit may be far from the operand. */
static bool execute_bit(struct own *own)
{
    unsigned what, bits = own->data32 ? 32 : 16;
    uint32_t value, mask;
    int32_t index;

    own->size = bits / 8;
    decode_operand(own);
    if (own->opcode == 0x1ba && own->reg < 4)
        return false;
    if (own->opcode == 0x1ba) {
        what = own->reg & 3;
        index = (int32_t)(fetch(own, 1) & (bits - 1));
    } else {
        what = own->opcode >> 3 & 3;
        index = (int32_t)sign_extend(own, get_register(own, own->reg));
        if (own->mod != 3) {
            own->offset += (uint32_t)(index >> (bits == 32 ? 5 : 4)) * own->size;
            if (!own->addr32)
                own->offset &= 0xffff;
        }
    }
    mask = 1u << ((uint32_t)index & (bits - 1));
    value = get(own);
    if (what)
        set(own, what == 1 ? value | mask : what == 2 ? value & ~mask : value ^ mask);
    set_flag(own, FLAG_CF, value & mask);
    return true;
}

static void divide(const struct own *own, uint64_t dividend, uint32_t divisor, uint32_t *ret_quotient,
                   uint32_t *ret_remainder)
{
    unsigned width = 8 * own->size;
    uint64_t quotient;
    int64_t number, by, result;

    if (divisor == 0)
        interp_abort(own->cpu, VECTOR_DE, INTERP_NO_ERROR);
    if (own->reg == 6) {
        quotient = dividend / divisor;
        if (quotient >> width)
            interp_abort(own->cpu, VECTOR_DE, INTERP_NO_ERROR);
        *ret_quotient = (uint32_t)quotient;
        *ret_remainder = (uint32_t)(dividend % divisor);
        return;
    }
    number = (int64_t)(dividend << (64 - 2 * width)) >> (64 - 2 * width);
    by = sign_extend(own, divisor);
    /* What the host could not divide does not fit either. */
    if (number == INT64_MIN && by == -1)
        interp_abort(own->cpu, VECTOR_DE, INTERP_NO_ERROR);
    result = number / by;
    if (result != sign_extend(own, cut(own, (uint64_t)result)))
        interp_abort(own->cpu, VECTOR_DE, INTERP_NO_ERROR);
    *ret_quotient = cut(own, (uint64_t)result);
    *ret_remainder = cut(own, (uint64_t)(number % by));
}

static void execute_divide(struct own *own)
{
    x86emu_regs_t *x86 = own->x86;
    uint32_t divisor, quotient, remainder;

    own->size = !(own->opcode & 1) ? 1 : own->data32 ? 4 : 2;
    decode_operand(own);
    divisor = get(own);
    switch (own->size) {
    case 1:
        divide(own, x86->R_AX, divisor, &quotient, &remainder);
        x86->R_AL = (u8)quotient;
        x86->R_AH = (u8)remainder;
        break;
    case 2:
        divide(own, (uint32_t)x86->R_DX << 16 | x86->R_AX, divisor, &quotient, &remainder);
        x86->R_AX = (u16)quotient;
        x86->R_DX = (u16)remainder;
        break;
    default:
        divide(own, (uint64_t)x86->R_EDX << 32 | x86->R_EAX, divisor, &quotient, &remainder);
        x86->R_EAX = quotient;
        x86->R_EDX = remainder;
        break;
    }
}

static void execute_aam(struct own *own)
{
    x86emu_regs_t *x86 = own->x86;
    uint32_t by = fetch(own, 1);

    if (by == 0)
        interp_abort(own->cpu, VECTOR_DE, INTERP_NO_ERROR);
    x86->R_AH = (u8)(x86->R_AL / by);
    x86->R_AL = (u8)(x86->R_AL % by);
    own->size = 1;
    set_result_flags(own, x86->R_AL);
}

static void set_sum_flags(const struct own *own, uint32_t a, uint32_t b, uint32_t sum, bool carry, bool overflow)
{
    set_flag(own, FLAG_CF, carry);
    set_flag(own, FLAG_OF, overflow);
    set_flag(own, FLAG_AF, (a ^ b ^ sum) & 0x10);
    set_result_flags(own, sum);
}

static void execute_xadd(struct own *own)
{
    uint32_t value, other, sum;

    own->size = !(own->opcode & 1) ? 1 : own->data32 ? 4 : 2;
    decode_operand(own);
    value = get(own);
    other = get_register(own, own->reg);
    sum = cut(own, (uint64_t)value + other);
    /* The register first: with itself it holds the sum. */
    if (own->mod == 3)
        set_register(own, own->reg, value);
    set(own, sum);
    if (own->mod != 3)
        set_register(own, own->reg, value);
    set_sum_flags(own, value, other, sum, sum < value, top(own, ~(value ^ other) & (value ^ sum)));
}

static void execute_cmpxchg(struct own *own)
{
    uint32_t value, accumulator, difference;

    own->size = !(own->opcode & 1) ? 1 : own->data32 ? 4 : 2;
    decode_operand(own);
    value = get(own);
    accumulator = get_register(own, 0);
    difference = cut(own, (uint64_t)accumulator - value);
    /* It writes in either case. */
    set(own, difference ? value : get_register(own, own->reg));
    if (difference)
        set_register(own, 0, value);
    set_sum_flags(own, accumulator, value, difference, accumulator < value,
                  top(own, (accumulator ^ value) & (accumulator ^ difference)));
}

static bool execute_cmpxchg8b(struct own *own)
{
    x86emu_regs_t *x86 = own->x86;
    uint32_t at, low, high;
    bool equal;

    decode_operand(own);
    if (own->mod == 3 || own->reg != 1)
        return false;
    at = linear(own, own->offset, 8);
    low = interp_load(own->cpu, at, 4);
    high = interp_load(own->cpu, at + 4, 4);
    equal = low == x86->R_EAX && high == x86->R_EDX;
    interp_store(own->cpu, at, 4, equal ? x86->R_EBX : low);
    interp_store(own->cpu, at + 4, 4, equal ? x86->R_ECX : high);
    if (!equal) {
        x86->R_EAX = low;
        x86->R_EDX = high;
    }
    set_flag(own, FLAG_ZF, equal);
    return true;
}

/* The offset that SI or DI has, by address size; and step it. */
static uint32_t *index_register(const struct own *own, uint32_t *ret_mask)
{
    *ret_mask = own->addr32 ? UINT32_MAX : 0xffff;
    return own->opcode & 2 ? &own->x86->R_ESI : &own->x86->R_EDI;
}

static void transfer(struct own *own)
{
    x86emu_regs_t *x86 = own->x86;
    uint32_t mask, *index = index_register(own, &mask), addr = linear(own, *index & mask, own->size);
    uint32_t step = flag(own, FLAG_DF) ? -own->size : own->size;

    if (own->opcode & 2)
        interp_out(own->cpu, x86->R_DX, own->size, interp_load(own->cpu, addr, own->size));
    else
        interp_store(own->cpu, addr, own->size, interp_in(own->cpu, x86->R_DX, own->size));
    *index = (*index & ~mask) | ((*index + step) & mask);
}

/* INS, OUTS. What is done of a repeated one stays done if the next part faults, or has to wait: then EIP stays. */
static void execute_string(struct own *own)
{
    x86emu_regs_t *x86 = own->x86;
    uint32_t mask = own->addr32 ? UINT32_MAX : 0xffff;

    own->size = !(own->opcode & 1) ? 1 : own->data32 ? 4 : 2;
    own->segment = &x86->seg[!(own->opcode & 2) ? R_ES_INDEX : own->override >= 0 ? own->override : R_DS_INDEX];
    if (!own->repeat) {
        transfer(own);
        return;
    }
    for (unsigned i = 0; x86->R_ECX & mask; i++) {
        if (i && (own->cpu->called || flag(own, FLAG_TF) || i == INTERP_REP_CHUNK)) {
            own->eip = x86->R_EIP;
            return;
        }
        transfer(own);
        x86->R_ECX = (x86->R_ECX & ~mask) | ((x86->R_ECX - 1) & mask);
        own->cpu->before.gen = x86->gen;
        own->cpu->before.spc = x86->spc;
    }
}

/* MOV from and to control registers. ModRM names a general register, whatever its mod. */
static void execute_control(struct own *own)
{
    x86emu_regs_t *x86 = own->x86;
    uint32_t modrm = fetch(own, 1), *control = &x86->crx[modrm >> 3 & 7];

    own->size = 4;
    if (control != &x86->R_CR0 && control != &x86->R_CR2 && control != &x86->R_CR3 && control != &x86->R_CR4)
        interp_abort(own->cpu, VECTOR_UD, INTERP_NO_ERROR);
    if (own->opcode == 0x122) {
        uint32_t value = get_register(own, modrm);

        if (!cpu_interp_smm_valid(control == &x86->R_CR0 ? value : x86->R_CR0,
                                  control == &x86->R_CR4 ? value : x86->R_CR4))
            interp_abort(own->cpu, VECTOR_GP, 0);
        *control = control == &x86->R_CR0 ? value | CR0_ET : value;
    } else {
        set_register(own, modrm, *control);
    }
}

/* LMSW. It can't leave protected mode. */
static bool execute_lmsw(struct own *own)
{
    x86emu_regs_t *x86 = own->x86;

    own->size = 2;
    decode_operand(own);
    if (own->reg != 6)
        return false;
    x86->R_CR0 = (x86->R_CR0 & ~LMSW_CLEARS) | (get(own) & (LMSW_CLEARS | CR0_PE));
    return true;
}

static bool execute(struct own *own)
{
    switch (own->opcode) {
    case 0x6c:
    case 0x6d:
    case 0x6e:
    case 0x6f:
        execute_string(own);
        return true;
    case 0xc0:
    case 0xc1:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        execute_shift(own);
        return true;
    case 0xd4:
        execute_aam(own);
        return true;
    case 0xf6:
    case 0xf7:
        execute_divide(own);
        return true;
    case 0x101:
        return execute_lmsw(own);
    case 0x120:
    case 0x122:
        execute_control(own);
        return true;
    case 0x14c:
    case 0x14d:
    case 0x14e:
    case 0x14f:
        execute_move(own);
        return true;
    case 0x1a3:
    case 0x1ab:
    case 0x1b3:
    case 0x1bb:
    case 0x1ba:
        return execute_bit(own);
    case 0x1a4:
    case 0x1a5:
    case 0x1ac:
    case 0x1ad:
        execute_double_shift(own);
        return true;
    case 0x1b0:
    case 0x1b1:
        execute_cmpxchg(own);
        return true;
    case 0x1c0:
    case 0x1c1:
        execute_xadd(own);
        return true;
    case 0x1c7:
        return execute_cmpxchg8b(own);
    default:
        return false;
    }
}

bool interp_own(struct interp_cpu *cpu)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    bool code32 = ACC_D(x86->R_CS_ACC);
    struct own own = {
        .cpu = cpu, .x86 = x86, .eip = x86->R_EIP, .data32 = code32, .addr32 = code32, .override = -1, .size = 4};

    decode_opcode(&own);
    if (!execute(&own))
        return false;
    x86->R_EIP = own.eip;
    return true;
}
