/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_decode.c - an instruction that libx86emu is not to carry out: its prefixes and opcode, which operand its
 * ModRM and SIB bytes name, and reading and writing that operand.
 *
 * Its bytes are fetched again from the first one on, in order and each once; insn->eip is behind the last of them. Nothing of
 * the processor changes but what insn_set_register() and insn_set() write, EIP neither. A memory operand's offset is that of
 * when it was decoded, whatever becomes of the registers then; its segment's limit is checked at each access.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, "instruction format".
 *
 * Runs on the processors' thread, without the device lock, where interp_abort() can be called: fetches and accesses may abort.
 */
#include "cpu_interp_decode.h"

uint32_t insn_fetch(struct interp_insn *insn, unsigned size)
{
    uint32_t value = interp_fetch(insn->cpu, insn->x86->R_CS_BASE + insn->eip, size);

    insn->eip += size;
    if (!ACC_D(insn->x86->R_CS_ACC))
        insn->eip &= 0xffff;
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

struct interp_insn insn_decode_opcode(struct interp_cpu *cpu)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    bool code32 = ACC_D(x86->R_CS_ACC);
    struct interp_insn insn = {
        .cpu = cpu, .x86 = x86, .eip = x86->R_EIP, .data32 = code32, .addr32 = code32, .override = -1};
    uint32_t byte;

    /* That prefixes end was seen to when they were fetched before. */
    for (;;) {
        byte = insn_fetch(&insn, 1);
        if (segment_of(byte) >= 0)
            insn.override = segment_of(byte);
        else if (byte == 0x66)
            insn.data32 = !code32;
        else if (byte == 0x67)
            insn.addr32 = !code32;
        else if (byte == 0xf2 || byte == 0xf3)
            insn.repeat = true;
        else if (byte != 0xf0)
            break;
    }
    insn.opcode = byte == 0x0f ? 0x100 | insn_fetch(&insn, 1) : byte;
    return insn;
}

static i386_general_register *whole(const struct interp_insn *insn, unsigned n)
{
    x86emu_regs_t *x86 = insn->x86;
    i386_general_register *registers[] = {&x86->gen.A,  &x86->gen.C,  &x86->gen.D,  &x86->gen.B,
                                          &x86->spc.SP, &x86->spc.BP, &x86->spc.SI, &x86->spc.DI};

    return registers[n & 7];
}

uint32_t insn_get_register(const struct interp_insn *insn, unsigned n)
{
    switch (insn->size) {
    case 1:
        return n & 4 ? whole(insn, n & 3)->I8_reg.h_reg : whole(insn, n)->I8_reg.l_reg;
    case 2:
        return whole(insn, n)->I16_reg.x_reg;
    default:
        return whole(insn, n)->I32_reg.e_reg;
    }
}

void insn_set_register(const struct interp_insn *insn, unsigned n, uint32_t value)
{
    switch (insn->size) {
    case 1:
        if (n & 4)
            whole(insn, n & 3)->I8_reg.h_reg = (u8)value;
        else
            whole(insn, n)->I8_reg.l_reg = (u8)value;
        break;
    case 2:
        whole(insn, n)->I16_reg.x_reg = (u16)value;
        break;
    default:
        whole(insn, n)->I32_reg.e_reg = value;
        break;
    }
}

static uint32_t displacement(struct interp_insn *insn, unsigned wide)
{
    if (insn->mod == 1)
        return (uint32_t)(int8_t)insn_fetch(insn, 1);
    return insn->mod == 2 ? insn_fetch(insn, wide) : 0;
}

/* Whether the segment is SS unless a prefix says otherwise. */
static bool address16(struct interp_insn *insn)
{
    static const int base[8] = {3, 3, 5, 5, 6, 7, 5, 3}, index[8] = {6, 7, 6, 7, -1, -1, -1, -1};

    if (insn->mod == 0 && insn->rm == 6) {
        insn->offset = insn_fetch(insn, 2);
        return false;
    }
    insn->offset = whole(insn, (unsigned)base[insn->rm])->I16_reg.x_reg;
    if (index[insn->rm] >= 0)
        insn->offset += whole(insn, (unsigned)index[insn->rm])->I16_reg.x_reg;
    insn->offset = (insn->offset + displacement(insn, 2)) & 0xffff;
    return base[insn->rm] == 5;
}

static bool address32(struct interp_insn *insn)
{
    unsigned base = insn->rm, sib = 0;

    if (insn->rm == 4) {
        sib = insn_fetch(insn, 1);
        base = sib & 7;
    }
    if (insn->mod == 0 && base == 5) {
        insn->offset = insn_fetch(insn, 4);
        base = 8;
    } else {
        insn->offset = whole(insn, base)->I32_reg.e_reg;
    }
    if (insn->rm == 4 && (sib >> 3 & 7) != 4)
        insn->offset += whole(insn, sib >> 3 & 7)->I32_reg.e_reg << (sib >> 6);
    insn->offset += displacement(insn, 4);
    return base == 4 || base == 5;
}

void insn_decode_operand(struct interp_insn *insn)
{
    uint32_t modrm = insn_fetch(insn, 1);
    bool stack;

    insn->mod = modrm >> 6;
    insn->reg = modrm >> 3 & 7;
    insn->rm = modrm & 7;
    if (insn->mod == 3)
        return;
    stack = insn->addr32 ? address32(insn) : address16(insn);
    insn->segment = &insn->x86->seg[insn->override >= 0 ? insn->override : stack ? R_SS_INDEX : R_DS_INDEX];
}

uint32_t insn_linear(const struct interp_insn *insn, uint32_t offset, unsigned size)
{
    const sel_t *segment = insn->segment;

    /* libx86emu's check, and like it of segments that expand up. */
    if (offset + size - 1 > segment->limit || offset + size - 1 < offset)
        interp_abort(insn->cpu, segment == &insn->x86->seg[R_SS_INDEX] ? VECTOR_SS : VECTOR_GP, 0);
    return segment->base + offset;
}

uint32_t insn_get(const struct interp_insn *insn)
{
    if (insn->mod == 3)
        return insn_get_register(insn, insn->rm);
    return interp_load(insn->cpu, insn_linear(insn, insn->offset, insn->size), insn->size);
}

void insn_set(const struct interp_insn *insn, uint32_t value)
{
    if (insn->mod == 3)
        insn_set_register(insn, insn->rm, value);
    else
        interp_store(insn->cpu, insn_linear(insn, insn->offset, insn->size), insn->size, value);
}
