/* SPDX-License-Identifier: MIT */
/*
 * Payloads for interpreted processors: code that the compiler assembles, and a machine that runs it. Include after cmocka.h, and
 * use PAYLOAD and what follows on x86 hosts only.
 *
 * A payload is the first bytes of the firmware, at f000:0000. It says that it is done with a character at port 0x402, and leaves
 * what it found from RESULTS on.
 */
#ifndef GMEM_TESTS_PC_PAYLOAD_H
#define GMEM_TESTS_PC_PAYLOAD_H

#include "pc-machine.h"

#define RESULTS 0x1000u
#define MEMORY (UINT64_C(16) << 20)
#define WAIT 60u

#if defined(__x86_64__) || defined(__i386__)

#if defined(__x86_64__)
#define HOST_CODE ".code64\n"
#else
#define HOST_CODE ".code32\n"
#endif

/* Code that starts in real mode, assembled into this program's data. at() is where a label is in its segment. */
#define PAYLOAD(name, text)                                                                                            \
    __asm__(".pushsection .rodata\n"                                                                                   \
            ".global " #name "_begin, " #name "_end\n" #name "_begin:\n"                                               \
            "0:\n"                                                                                                     \
            ".code16\n" text "\n" #name "_end:\n"                                                                      \
            ".byte 0\n"                                                                                                \
            ".popsection\n" HOST_CODE);                                                                                \
    extern const uint8_t name##_begin[], name##_end[]

/* Ends it, in code of any size. */
#define DONE "movw $0x402, %dx; movb $'.', %al; outb %al, %dx; 99: cli; hlt; jmp 99b\n"

/* Into flat 32-bit mode; the labels are the payload's own. */
#define FLAT(name)                                                                                                     \
    "cli\n lgdtl %cs:(" name "_pointer - " name "_begin)\n movl %cr0, %eax; orb $1, %al; movl %eax, %cr0\n"            \
    "ljmpl $8, $(0xf0000 + " name "_flat - " name "_begin)\n"                                                          \
    ".balign 8\n" name                                                                                                 \
    "_gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b0f0000ffff, 0x000093000000ffff\n" name             \
    "_pointer: .word 39; .long 0xf0000 + " name "_gdt - " name "_begin\n"                                              \
    ".code32\n" name "_flat: movw $0x10, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss; movl $0x8000, %esp\n"

/* An IDT at 0x2000, which the payload loads. */
#define GATE(vector, label, type, selector)                                                                            \
    "movl $(0xf0000 + " label " - 0b), %eax; movw %ax, 0x2000 + 8 * " vector "; movw $" selector                       \
    ", 0x2002 + 8 * " vector "; movw $" type ", 0x2004 + 8 * " vector                                                  \
    "; shrl $16, %eax; movw %ax, 0x2006 + 8 * " vector "\n"

static inline bool at_end(struct bench *bench)
{
    return atomic_load(&bench->console_len) || atomic_load(&bench->event);
}

static inline struct bench *prepare(const uint8_t *begin, const uint8_t *end, unsigned cpus)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);

    config.accel = PC_ACCEL_INTERP;
    config.cpus = cpus;
    memcpy(bench->firmware, begin, (size_t)(end - begin));
    memcpy(bench->firmware + FIRMWARE_SIZE - 16, "\xea\x00\x00\x00\xf0", 5);
    bench_open(bench, &config);
    return bench;
}

static inline void start(struct bench *bench)
{
    struct pc_error error = {""};

    if (machine_start(bench->machine, &error))
        fail_msg("not started: %s", error.text);
}

static inline struct bench *begin_payload(const uint8_t *begin, const uint8_t *end)
{
    struct bench *bench = prepare(begin, end, 1);

    start(bench);
    return bench;
}

static inline void finish(struct bench *bench)
{
    if (!wait_until(at_end, bench, WAIT))
        fail_msg("the payload did not come to its end");
    machine_stop(bench->machine);
    if (atomic_load(&bench->event))
        fail_msg("%s", bench->event_text);
}

#define RUN(name) run_payload(name##_begin, name##_end)

static inline struct bench *run_payload(const uint8_t *begin, const uint8_t *end)
{
    struct bench *bench = begin_payload(begin, end);

    finish(bench);
    return bench;
}

static inline uint32_t at32(struct bench *bench, uint32_t addr)
{
    uint32_t value;

    assert_int_equal(gmem_ld32_le(machine_memory(bench->machine), addr, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static inline uint32_t result(struct bench *bench, unsigned n)
{
    return at32(bench, RESULTS + 4 * n);
}

#endif /* x86 */

#endif
