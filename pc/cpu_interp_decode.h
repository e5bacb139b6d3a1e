/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_decode.h - an instruction that interp_own() carries out, and its operands.
 *
 * insn_decode_opcode() comes first. Who carries the instruction out then sets its size, has insn_decode_operand() read the
 * ModRM byte if there is one, and fetches what is behind that. Without one, the segment of what it accesses is for them to set.
 *
 * On the processors' thread, without the device lock. Whatever fetches or accesses may abort (interp_abort()), and does not
 * return then.
 */
#ifndef PC_CPU_INTERP_DECODE_H
#define PC_CPU_INTERP_DECODE_H

#include "cpu_interp_internal.h"

struct interp_insn {
    struct interp_cpu *cpu;
    x86emu_regs_t *x86;
    uint32_t eip; /* of the byte that is fetched next */
    bool data32, addr32, repeat;
    int override;    /* the segment's index; -1: the operand's own */
    unsigned opcode; /* 0x100 and the second byte, of those with 0x0f */
    unsigned mod, reg, rm;
    unsigned size;  /* of the operand in bytes: 1, 2 or 4 */
    sel_t *segment; /* of a memory operand, as the offset */
    uint32_t offset;
};

/* The next size bytes. */
uint32_t insn_fetch(struct interp_insn *insn, unsigned size);
/* cpu's next instruction as far as its prefixes and opcode tell: mod and what follows it here are 0. */
struct interp_insn insn_decode_opcode(struct interp_cpu *cpu);
/* The ModRM byte: mod, reg and rm; of an operand in memory its segment and offset, with what they take of further bytes. */
void insn_decode_operand(struct interp_insn *insn);
/* Of insn's size: the register that n names. */
uint32_t insn_get_register(const struct interp_insn *insn, unsigned n);
void insn_set_register(const struct interp_insn *insn, unsigned n, uint32_t value);
/* The linear address of size bytes at offset in insn's segment, which end inside of its limit: else it aborts. */
uint32_t insn_linear(const struct interp_insn *insn, uint32_t offset, unsigned size);
/* The operand that mod and rm name, of insn's size. */
uint32_t insn_get(const struct interp_insn *insn);
void insn_set(const struct interp_insn *insn, uint32_t value);

/* The size of an operand that is a byte if the opcode is even. */
static inline unsigned insn_size(const struct interp_insn *insn)
{
    return !(insn->opcode & 1) ? 1 : insn->data32 ? 4 : 2;
}

/* What an offset or a count in a register is cut to. */
static inline uint32_t insn_address_mask(const struct interp_insn *insn)
{
    return insn->addr32 ? UINT32_MAX : 0xffff;
}

#endif
