/* SPDX-License-Identifier: MIT */
/*
 * Instructions for guests of tests, put together one after the other: 16-bit code, or 32-bit code where a struct code says so.
 * Include after cmocka.h.
 */
#ifndef GMEM_TESTS_PC_CODE_H
#define GMEM_TESTS_PC_CODE_H

#include <stdbool.h>
#include <string.h>

#include "pc-machine.h"

#define PM_FN PCI_DEVFN(1, 3)

struct code {
    uint8_t *at;
    bool code32; /* where operands of 32 bits need no prefix, and those of 16 do */
};

static inline void emit(struct code *code, const char *bytes, size_t len)
{
    memcpy(code->at, bytes, len);
    code->at += len;
}

#define EMIT(code, bytes) emit(code, bytes, sizeof(bytes) - 1)

static inline void emit16(struct code *code, uint16_t value)
{
    *code->at++ = (uint8_t)value;
    *code->at++ = (uint8_t)(value >> 8);
}

static inline void emit32(struct code *code, uint32_t value)
{
    emit16(code, (uint16_t)value);
    emit16(code, (uint16_t)(value >> 16));
}

/* The prefix that an instruction with an operand of 16 or 32 bits needs, if it needs one. */
static inline void emit_size(struct code *code, unsigned bits)
{
    if (code->code32 == (bits == 16))
        EMIT(code, "\x66");
}

static inline void emit_port(struct code *code, uint16_t port)
{
    emit_size(code, 16);
    EMIT(code, "\xba"); /* mov dx, port */
    emit16(code, port);
}

/* What is in al goes to port. */
static inline void emit_out_al(struct code *code, uint16_t port)
{
    emit_port(code, port);
    EMIT(code, "\xee"); /* out dx, al */
}

static inline void emit_out8(struct code *code, uint16_t port, uint8_t value)
{
    emit_port(code, port);
    EMIT(code, "\xb0"); /* mov al, value */
    *code->at++ = value;
    EMIT(code, "\xee"); /* out dx, al */
}

static inline void emit_out16(struct code *code, uint16_t port, uint16_t value)
{
    emit_port(code, port);
    emit_size(code, 16);
    EMIT(code, "\xb8"); /* mov ax, value */
    emit16(code, value);
    emit_size(code, 16);
    EMIT(code, "\xef"); /* out dx, ax */
}

static inline void emit_out32(struct code *code, uint16_t port, uint32_t value)
{
    emit_port(code, port);
    emit_size(code, 32);
    EMIT(code, "\xb8"); /* mov eax, value */
    emit32(code, value);
    emit_size(code, 32);
    EMIT(code, "\xef"); /* out dx, eax */
}

static inline void emit_cfg32(struct code *code, uint8_t devfn, unsigned offset, uint32_t value)
{
    emit_out32(code, 0xcf8, 0x80000000u | (uint32_t)devfn << 8 | offset);
    emit_out32(code, 0xcfc, value);
}

static inline void emit_cfg8(struct code *code, uint8_t devfn, unsigned offset, uint8_t value)
{
    emit_out32(code, 0xcf8, 0x80000000u | (uint32_t)devfn << 8 | (offset & ~3u));
    emit_out8(code, (uint16_t)(0xcfc + (offset & 3)), value);
}

static inline void emit_text(struct code *code, const char *text)
{
    while (*text)
        emit_out8(code, 0x402, (uint8_t)*text++);
}

/* Switch the machine off. */
static inline void emit_poweroff(struct code *code)
{
    emit_cfg32(code, PM_FN, 0x40, 0x601);
    emit_cfg32(code, PM_FN, 0x80, 1);
    emit_out16(code, 0x604, 0x2000);
}

/* A short jump (opcode) to a place that follows: emit_land() there. */
static inline uint8_t *emit_jump(struct code *code, uint8_t opcode)
{
    *code->at++ = opcode;
    return code->at++;
}

static inline void emit_land(struct code *code, uint8_t *jump)
{
    *jump = (uint8_t)(code->at - (jump + 1));
}

/* Code at the beginning of the firmware, where the reset vector jumps to. */
static inline struct code code_begin(struct bench *bench)
{
    memset(bench->firmware, 0xf4, FIRMWARE_SIZE);
    memcpy(bench->firmware + FIRMWARE_SIZE - 16, "\xe9\x0d\x00", 3); /* jmp 0 */
    return (struct code){.at = bench->firmware};
}

static inline void code_end(struct code *code)
{
    EMIT(code, "\xfa\xf4\xeb\xfd"); /* cli; hlt; again */
}

#endif
