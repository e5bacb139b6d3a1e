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
 * Which operands they have is found by cpu_interp_decode.c. EIP is set behind the instruction at its end. One that aborts
 * before is put back by interp_aborted() to what "before" says, which a repeated one keeps up to date with what it has done;
 * control registers are not in there, so nothing may abort once one is written.
 *
 * Runs on the processors' thread, without the device lock (an access to a device takes it), outside of x86emu_run() but inside
 * of execute() of cpu_interp.c, so that a fault can abort.
 */
#include "cpu_interp_decode.h"

#define LMSW_CLEARS 0xeu /* MP, EM, TS */

static bool flag(const struct interp_insn *insn, uint32_t mask)
{
    return insn->x86->R_EFLG & mask;
}

static void set_flag(const struct interp_insn *insn, uint32_t mask, bool on)
{
    insn->x86->R_EFLG = on ? insn->x86->R_EFLG | mask : insn->x86->R_EFLG & ~mask;
}

static bool top(const struct interp_insn *insn, uint64_t value)
{
    return value >> (8 * insn->size - 1) & 1;
}

static uint32_t cut(const struct interp_insn *insn, uint64_t value)
{
    return (uint32_t)(value & (UINT64_MAX >> (64 - 8 * insn->size)));
}

static int64_t sign_extend(const struct interp_insn *insn, uint32_t value)
{
    unsigned shift = 64 - 8 * insn->size;

    return (int64_t)((uint64_t)value << shift) >> shift;
}

static void set_result_flags(const struct interp_insn *insn, uint32_t value)
{
    set_flag(insn, FLAG_ZF, value == 0);
    set_flag(insn, FLAG_SF, top(insn, value));
    set_flag(insn, FLAG_PF, !(__builtin_popcount(value & 0xff) & 1));
}

static uint32_t rotate(const struct interp_insn *insn, uint32_t value, unsigned count)
{
    unsigned width = 8 * insn->size, n = count % width;
    uint64_t twice = (uint64_t)value << width | value;
    bool right = insn->reg & 1;
    uint32_t result = cut(insn, right ? twice >> n : twice >> (width - n));

    set_flag(insn, FLAG_CF, right ? top(insn, result) : result & 1);
    set_flag(insn, FLAG_OF, top(insn, result) ^ (right ? result >> (width - 2) & 1 : result & 1));
    return result;
}

static uint32_t rotate_carry(const struct interp_insn *insn, uint32_t value, unsigned count)
{
    unsigned width = 8 * insn->size, n = count % (width + 1);
    bool carry = flag(insn, FLAG_CF), right = insn->reg & 1, out;

    for (; n > 0; n--) {
        out = right ? value & 1 : top(insn, value);
        value = right ? value >> 1 | (uint32_t)carry << (width - 1) : cut(insn, (uint64_t)value << 1 | carry);
        carry = out;
    }
    set_flag(insn, FLAG_CF, carry);
    set_flag(insn, FLAG_OF, top(insn, value) ^ (right ? value >> (width - 2) & 1 : carry));
    return value;
}

static uint32_t shift(const struct interp_insn *insn, uint32_t value, unsigned count)
{
    uint32_t result;
    uint64_t wide;

    switch (insn->reg) {
    case 5:
        result = value >> count;
        set_flag(insn, FLAG_CF, value >> (count - 1) & 1);
        set_flag(insn, FLAG_OF, top(insn, value));
        break;
    case 7:
        wide = (uint64_t)sign_extend(insn, value);
        result = cut(insn, (uint64_t)((int64_t)wide >> count));
        set_flag(insn, FLAG_CF, (int64_t)wide >> (count - 1) & 1);
        set_flag(insn, FLAG_OF, false);
        break;
    default:
        wide = (uint64_t)value << count;
        result = cut(insn, wide);
        set_flag(insn, FLAG_CF, wide >> (8 * insn->size) & 1);
        set_flag(insn, FLAG_OF, top(insn, wide) ^ (wide >> (8 * insn->size) & 1));
        break;
    }
    set_result_flags(insn, result);
    return result;
}

static void execute_shift(struct interp_insn *insn)
{
    unsigned count = 1;
    uint32_t value;

    insn->size = insn_size(insn);
    insn_decode_operand(insn);
    if (insn->opcode < 0xd0)
        count = insn_fetch(insn, 1) & 31;
    else if (insn->opcode >= 0xd2)
        count = insn->x86->R_CL & 31;
    value = insn_get(insn);
    if (count == 0)
        return;
    if (insn->reg < 2)
        value = rotate(insn, value, count);
    else if (insn->reg < 4)
        value = rotate_carry(insn, value, count);
    else
        value = shift(insn, value, count);
    insn_set(insn, value);
}

/* SHLD, SHRD. More than 16 of 16 bits is undefined: the operand comes in again behind the other. */
static void execute_double_shift(struct interp_insn *insn)
{
    bool right = insn->opcode & 8;
    unsigned count, width = insn->data32 ? 32 : 16;
    uint64_t value, source, row;
    uint32_t result;

    insn->size = width / 8;
    insn_decode_operand(insn);
    count = (insn->opcode & 1 ? insn->x86->R_CL : insn_fetch(insn, 1)) & 31;
    value = insn_get(insn);
    source = insn_get_register(insn, insn->reg);
    if (count == 0)
        return;
    if (right) {
        row = width == 32 ? source << 32 | value : value << 32 | source << 16 | value;
        result = cut(insn, row >> count);
        set_flag(insn, FLAG_CF, row >> (count - 1) & 1);
    } else {
        row = width == 32 ? value << 32 | source : value << 32 | source << 16 | value;
        result = cut(insn, row << count >> 32);
        set_flag(insn, FLAG_CF, row >> (width == 32 ? 64 - count : 48 - count) & 1);
    }
    set_flag(insn, FLAG_OF, top(insn, result) ^ top(insn, value));
    set_result_flags(insn, result);
    insn_set(insn, result);
}

static bool condition(const struct interp_insn *insn, unsigned code)
{
    bool less = flag(insn, FLAG_SF) != flag(insn, FLAG_OF);
    bool now = code & 2 ? less || flag(insn, FLAG_ZF) : less;

    return now != (code & 1);
}

/* CMOVL, CMOVGE, CMOVLE, CMOVG. */
static void execute_move(struct interp_insn *insn)
{
    uint32_t value;

    insn->size = insn->data32 ? 4 : 2;
    insn_decode_operand(insn);
    value = insn_get(insn);
    if (condition(insn, insn->opcode))
        insn_set_register(insn, insn->reg, value);
}

/* BT, BTS, BTR, BTC by a register or a number; in memory a register's bit may be far from the operand. */
static bool execute_bit(struct interp_insn *insn)
{
    unsigned what, bits = insn->data32 ? 32 : 16;
    uint32_t value, mask;
    int32_t index;

    insn->size = bits / 8;
    insn_decode_operand(insn);
    if (insn->opcode == 0x1ba && insn->reg < 4)
        return false;
    if (insn->opcode == 0x1ba) {
        what = insn->reg & 3;
        index = (int32_t)(insn_fetch(insn, 1) & (bits - 1));
    } else {
        what = insn->opcode >> 3 & 3;
        index = (int32_t)sign_extend(insn, insn_get_register(insn, insn->reg));
        if (insn->mod != 3) {
            insn->offset += (uint32_t)(index >> (bits == 32 ? 5 : 4)) * insn->size;
            insn->offset &= insn_address_mask(insn);
        }
    }
    mask = 1u << ((uint32_t)index & (bits - 1));
    value = insn_get(insn);
    if (what)
        insn_set(insn, what == 1 ? value | mask : what == 2 ? value & ~mask : value ^ mask);
    set_flag(insn, FLAG_CF, value & mask);
    return true;
}

static void divide(const struct interp_insn *insn, uint64_t dividend, uint32_t divisor, uint32_t *ret_quotient,
                   uint32_t *ret_remainder)
{
    unsigned width = 8 * insn->size;
    uint64_t quotient;
    int64_t number, by, result;

    if (divisor == 0)
        interp_abort(insn->cpu, VECTOR_DE, INTERP_NO_ERROR);
    if (insn->reg == 6) {
        quotient = dividend / divisor;
        if (quotient >> width)
            interp_abort(insn->cpu, VECTOR_DE, INTERP_NO_ERROR);
        *ret_quotient = (uint32_t)quotient;
        *ret_remainder = (uint32_t)(dividend % divisor);
        return;
    }
    number = (int64_t)(dividend << (64 - 2 * width)) >> (64 - 2 * width);
    by = sign_extend(insn, divisor);
    /* What the host could not divide does not fit either. */
    if (number == INT64_MIN && by == -1)
        interp_abort(insn->cpu, VECTOR_DE, INTERP_NO_ERROR);
    result = number / by;
    if (result != sign_extend(insn, cut(insn, (uint64_t)result)))
        interp_abort(insn->cpu, VECTOR_DE, INTERP_NO_ERROR);
    *ret_quotient = cut(insn, (uint64_t)result);
    *ret_remainder = cut(insn, (uint64_t)(number % by));
}

static void execute_divide(struct interp_insn *insn)
{
    x86emu_regs_t *x86 = insn->x86;
    uint32_t divisor, quotient, remainder;

    insn->size = insn_size(insn);
    insn_decode_operand(insn);
    divisor = insn_get(insn);
    switch (insn->size) {
    case 1:
        divide(insn, x86->R_AX, divisor, &quotient, &remainder);
        x86->R_AL = (u8)quotient;
        x86->R_AH = (u8)remainder;
        break;
    case 2:
        divide(insn, (uint32_t)x86->R_DX << 16 | x86->R_AX, divisor, &quotient, &remainder);
        x86->R_AX = (u16)quotient;
        x86->R_DX = (u16)remainder;
        break;
    default:
        divide(insn, (uint64_t)x86->R_EDX << 32 | x86->R_EAX, divisor, &quotient, &remainder);
        x86->R_EAX = quotient;
        x86->R_EDX = remainder;
        break;
    }
}

static void execute_aam(struct interp_insn *insn)
{
    x86emu_regs_t *x86 = insn->x86;
    uint32_t by = insn_fetch(insn, 1);

    if (by == 0)
        interp_abort(insn->cpu, VECTOR_DE, INTERP_NO_ERROR);
    x86->R_AH = (u8)(x86->R_AL / by);
    x86->R_AL = (u8)(x86->R_AL % by);
    insn->size = 1;
    set_result_flags(insn, x86->R_AL);
}

static void set_sum_flags(const struct interp_insn *insn, uint32_t a, uint32_t b, uint32_t sum, bool carry,
                          bool overflow)
{
    set_flag(insn, FLAG_CF, carry);
    set_flag(insn, FLAG_OF, overflow);
    set_flag(insn, FLAG_AF, (a ^ b ^ sum) & 0x10);
    set_result_flags(insn, sum);
}

static void execute_xadd(struct interp_insn *insn)
{
    uint32_t value, other, sum;

    insn->size = insn_size(insn);
    insn_decode_operand(insn);
    value = insn_get(insn);
    other = insn_get_register(insn, insn->reg);
    sum = cut(insn, (uint64_t)value + other);
    /* The register first: with itself it holds the sum. */
    if (insn->mod == 3)
        insn_set_register(insn, insn->reg, value);
    insn_set(insn, sum);
    if (insn->mod != 3)
        insn_set_register(insn, insn->reg, value);
    set_sum_flags(insn, value, other, sum, sum < value, top(insn, ~(value ^ other) & (value ^ sum)));
}

static void execute_cmpxchg(struct interp_insn *insn)
{
    uint32_t value, accumulator, difference;

    insn->size = insn_size(insn);
    insn_decode_operand(insn);
    value = insn_get(insn);
    accumulator = insn_get_register(insn, 0);
    difference = cut(insn, (uint64_t)accumulator - value);
    /* It writes in either case. */
    insn_set(insn, difference ? value : insn_get_register(insn, insn->reg));
    if (difference)
        insn_set_register(insn, 0, value);
    set_sum_flags(insn, accumulator, value, difference, accumulator < value,
                  top(insn, (accumulator ^ value) & (accumulator ^ difference)));
}

static bool execute_cmpxchg8b(struct interp_insn *insn)
{
    x86emu_regs_t *x86 = insn->x86;
    uint32_t at, low, high;
    bool equal;

    insn_decode_operand(insn);
    if (insn->mod == 3 || insn->reg != 1)
        return false;
    at = insn_linear(insn, insn->offset, 8);
    low = interp_load(insn->cpu, at, 4);
    high = interp_load(insn->cpu, at + 4, 4);
    equal = low == x86->R_EAX && high == x86->R_EDX;
    interp_store(insn->cpu, at, 4, equal ? x86->R_EBX : low);
    interp_store(insn->cpu, at + 4, 4, equal ? x86->R_ECX : high);
    if (!equal) {
        x86->R_EAX = low;
        x86->R_EDX = high;
    }
    set_flag(insn, FLAG_ZF, equal);
    return true;
}

static void transfer(struct interp_insn *insn)
{
    x86emu_regs_t *x86 = insn->x86;
    uint32_t mask = insn_address_mask(insn), *index = insn->opcode & 2 ? &x86->R_ESI : &x86->R_EDI;
    uint32_t addr = insn_linear(insn, *index & mask, insn->size);
    uint32_t step = flag(insn, FLAG_DF) ? -insn->size : insn->size;

    if (insn->opcode & 2)
        interp_out(insn->cpu, x86->R_DX, insn->size, interp_load(insn->cpu, addr, insn->size));
    else
        interp_store(insn->cpu, addr, insn->size, interp_in(insn->cpu, x86->R_DX, insn->size));
    *index = (*index & ~mask) | ((*index + step) & mask);
}

/* INS, OUTS. What is done of a repeated one stays done if the next part faults, or has to wait: then EIP stays. */
static void execute_string(struct interp_insn *insn)
{
    x86emu_regs_t *x86 = insn->x86;
    uint32_t mask = insn_address_mask(insn);

    insn->size = insn_size(insn);
    insn->segment = &x86->seg[!(insn->opcode & 2) ? R_ES_INDEX : insn->override >= 0 ? insn->override : R_DS_INDEX];
    if (!insn->repeat) {
        transfer(insn);
        return;
    }
    for (unsigned i = 0; x86->R_ECX & mask; i++) {
        if (i && (insn->cpu->called || flag(insn, FLAG_TF) || i == INTERP_REP_CHUNK)) {
            insn->eip = x86->R_EIP;
            return;
        }
        transfer(insn);
        x86->R_ECX = (x86->R_ECX & ~mask) | ((x86->R_ECX - 1) & mask);
        insn->cpu->before.gen = x86->gen;
        insn->cpu->before.spc = x86->spc;
    }
}

/* MOV from and to control registers. ModRM names a general register, whatever its mod. */
static void execute_control(struct interp_insn *insn)
{
    x86emu_regs_t *x86 = insn->x86;
    uint32_t modrm = insn_fetch(insn, 1), *control = &x86->crx[modrm >> 3 & 7];

    insn->size = 4;
    if (control != &x86->R_CR0 && control != &x86->R_CR2 && control != &x86->R_CR3 && control != &x86->R_CR4)
        interp_abort(insn->cpu, VECTOR_UD, INTERP_NO_ERROR);
    if (insn->opcode == 0x122) {
        uint32_t value = insn_get_register(insn, modrm);

        if (!cpu_interp_smm_valid(control == &x86->R_CR0 ? value : x86->R_CR0,
                                  control == &x86->R_CR4 ? value : x86->R_CR4))
            interp_abort(insn->cpu, VECTOR_GP, 0);
        *control = control == &x86->R_CR0 ? value | CR0_ET : value;
    } else {
        insn_set_register(insn, modrm, *control);
    }
}

/* LMSW. It can't leave protected mode. */
static bool execute_lmsw(struct interp_insn *insn)
{
    x86emu_regs_t *x86 = insn->x86;

    insn->size = 2;
    insn_decode_operand(insn);
    if (insn->reg != 6)
        return false;
    x86->R_CR0 = (x86->R_CR0 & ~LMSW_CLEARS) | (insn_get(insn) & (LMSW_CLEARS | CR0_PE));
    return true;
}

static bool execute(struct interp_insn *insn)
{
    switch (insn->opcode) {
    case 0x6c:
    case 0x6d:
    case 0x6e:
    case 0x6f:
        execute_string(insn);
        return true;
    case 0xc0:
    case 0xc1:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        execute_shift(insn);
        return true;
    case 0xd4:
        execute_aam(insn);
        return true;
    case 0xf6:
    case 0xf7:
        execute_divide(insn);
        return true;
    case 0x101:
        return execute_lmsw(insn);
    case 0x120:
    case 0x122:
        execute_control(insn);
        return true;
    case 0x14c:
    case 0x14d:
    case 0x14e:
    case 0x14f:
        execute_move(insn);
        return true;
    case 0x1a3:
    case 0x1ab:
    case 0x1b3:
    case 0x1bb:
    case 0x1ba:
        return execute_bit(insn);
    case 0x1a4:
    case 0x1a5:
    case 0x1ac:
    case 0x1ad:
        execute_double_shift(insn);
        return true;
    case 0x1b0:
    case 0x1b1:
        execute_cmpxchg(insn);
        return true;
    case 0x1c0:
    case 0x1c1:
        execute_xadd(insn);
        return true;
    case 0x1c7:
        return execute_cmpxchg8b(insn);
    default:
        return false;
    }
}

bool interp_own(struct interp_cpu *cpu)
{
    struct interp_insn insn = insn_decode_opcode(cpu);

    if (!execute(&insn))
        return false;
    insn.x86->R_EIP = insn.eip;
    return true;
}
