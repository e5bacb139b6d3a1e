/* SPDX-License-Identifier: MIT */
/*
 * test-pc-interp-corner.c - interpreted processors where events meet: traps and interrupts, SMIs in the shadow of STI, INIT and NMI
 * in system management mode, repeated instructions that fault, control registers, and maps that change without end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "irqchip.h"
#include "machine_internal.h"
#include "monitor.h"
#include "pc-payload.h"
#include "random.h"

#if defined(__x86_64__) || defined(__i386__)

static struct bench *run_smm(const uint8_t *begin, const uint8_t *end, unsigned cpus)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);

    config.accel = PC_ACCEL_INTERP;
    config.smm = true;
    config.cpus = cpus;
    memcpy(bench->firmware, begin, (size_t)(end - begin));
    memcpy(bench->firmware + FIRMWARE_SIZE - 16, "\xea\x00\x00\x00\xf0", 5);
    bench_open(bench, &config);
    start(bench);
    finish(bench);
    return bench;
}

#define RUN_SMM(name, cpus) run_smm(name##_begin, name##_end, cpus)

/* The interval timer interrupts every count of 838 ns, by the PIC and vector 0x20. */
#define PIT_EVERY(count)                                                                                               \
    "movb $0x11, %al; outb %al, $0x20; movb $0x20, %al; outb %al, $0x21\n"                                             \
    "movb $4, %al; outb %al, $0x21; movb $1, %al; outb %al, $0x21; movb $0xfe, %al; outb %al, $0x21\n"                 \
    "movb $0x34, %al; outb %al, $0x43; movb $" count ", %al; outb %al, $0x40; movb $0, %al; outb %al, $0x40\n"

/* --- Traps and interrupts ---------------------------------------------------------------------------------------------- */

/* The same loop stepped without interrupts and with them: as many traps. Then some that are not one for each instruction. */
PAYLOAD(stepped, "xorw %ax, %ax; movw %ax, %ds; movw %ax, %ss; movw $0x7000, %sp\n"
                 "movw $(1f - 0b), 4; movw $0xf000, 6; movw $(2f - 0b), 0x80; movw $0xf000, 0x82\n"
                 "cld; pushw $0x102; popfw; movw $5000, %cx; 3: loop 3b; pushw $2; popfw\n"
                 "movl 0x1000, %eax; movl %eax, 0x1008; movl $0, 0x1000\n" PIT_EVERY(
                     "7") "pushw $0x302; popfw; movw $5000, %cx; 4: loop 4b; pushw $2; popfw\n"
                          "movl 0x1000, %eax; movl %eax, 0x100c; movl $0, 0x1000; movw %ss, %ax; movw $0x80, %dx\n"
                          "pushw $0x102; popfw; movw %ax, %ss; nop; pushw $2; popfw\n"
                          "movl 0x1000, %eax; movl %eax, 0x1010; movl $0, 0x1000; movw $0x3000, %si; movw %ax, %es\n"
                          "pushw $0x102; popfw; movw $5, %cx; rep lodsb; movw $5, %cx; rep outsb; pushw $2; popfw\n"
                          "movl 0x1000, %eax; movl %eax, 0x1014\n" DONE "1: incl 0x1000; iretw\n"
                          "2: incl 0x1004; pushw %ax; movb $0x20, %al; outb %al, $0x20; popw %ax; iretw\n");

static void test_stepped(void **state)
{
    struct bench *bench = RUN(stepped);

    (void)state;
    assert_true(result(bench, 1) > 100);
    assert_true(result(bench, 2) > 5000);
    assert_int_equal(result(bench, 3), result(bench, 2));
    /* Both are one for what is between POPFs. MOV SS has its trap behind the next; a repeated one has one each time. */
    assert_int_equal(result(bench, 4), 2);
    assert_int_equal(result(bench, 5), 13);
    bench_free(bench);
}

/* --- Repeated instructions ------------------------------------------------------------------------------------------- */

/* What was done when a repeated instruction faults is done, and the registers say how much that is. */
PAYLOAD(limits, "xorw %ax, %ax; movw %ax, %ds; movw %ax, %ss; movw $0x7000, %sp; cld\n"
                "movw $(1f - 0b), 0x34; movw $0xf000, 0x36; movw $0x1000, %bp\n"
                "movw $0x2000, %bx; movw %bx, %es; movw $0x1234, %ax\n"
                "movw $0xfff1, %di; movw $0x20, %cx; rep stosw\n 21:\n"
                "movw $0x8001, %di; movw $0x6000, %cx; rep stosw\n 22:\n"
                "movw $0xfff1, %si; movw $0x100, %di; movw $0x20, %cx; rep movsw\n 23:\n"
                "movw $0x100, %si; movw $0xfff9, %di; movw $0x20, %cx; rep movsw\n 24:\n"
                "movw $0xffff, %di; movw $0x20, %cx; rep stosw\n 25:\n"
                "movw $5, %di; movw $0x20, %cx; std; rep stosw; cld\n 26:\n"
                "movw $0xfffe, %di; movw $0x20, %cx; rep stosw\n 27: movw %cx, (%bp); movw %di, 2(%bp)\n" DONE
                "1: movw %cx, (%bp); movw %di, 2(%bp); addw $4, %bp; pushw %bx; pushw %bp; movw %sp, %bp\n"
                "addw $2, 4(%bp); popw %bp; popw %bx; cld; iretw\n");

static void check_limit(struct bench *bench, unsigned n, uint16_t cx, uint16_t di)
{
    if (result(bench, n) != (cx | (uint32_t)di << 16))
        fail_msg("%u: cx %#x, di %#x instead of %#x, %#x", n, result(bench, n) & 0xffff, result(bench, n) >> 16, cx,
                 di);
}

static void test_limits(void **state)
{
    struct bench *bench = RUN(limits);

    (void)state;
    check_limit(bench, 0, 0x20 - 7, 0xffff);
    check_limit(bench, 1, 0x6000 - 0x3fff, 0xffff);
    check_limit(bench, 2, 0x20 - 7, 0x10e);
    check_limit(bench, 3, 0x20 - 3, 0xffff);
    check_limit(bench, 4, 0x20, 0xffff);
    check_limit(bench, 5, 0x20 - 3, 0xffff);
    check_limit(bench, 6, 0, 0x3e);
    assert_int_equal(at32(bench, 0x2fff0) >> 8, 0x341234 & 0xffffff);
    bench_free(bench);
}

/* --- Control registers ----------------------------------------------------------------------------------------------- */

/* What no processor can have is refused, and not found by RSM. */
PAYLOAD(control,
        FLAT("control") GATE("13", "11f", "0x8e00", "8") GATE(
            "6", "12f", "0x8e00",
            "8") "movw $0x7ff, 0x1ff8; movl $0x2000, 0x1ffa; lidtl "
                 "0x1ff8; xorl %ebp, %ebp\n"
                 "movl $0x14, %ebx; movl %ebx, %cr4; movl $0x800, %eax; "
                 "movl %eax, %cr4; movl %cr4, %eax; movl %eax, 0x1008\n"
                 "movl $0x20000011, %eax; movl %eax, %cr0; movl "
                 "$0x80000010, %eax; movl %eax, %cr0\n"
                 "movl $1, %eax; movl %eax, %cr0; movl %cr0, %ecx; movl "
                 "%ecx, 0x100c\n" /* ET is always set */
                 ".byte 0x0f, 0x22, 0xe8, 0x0f, 0x20, 0xc8, 0x0f, 0x20, "
                 "0xf8\n" /* CR5, CR1, CR7 */
                 "movl $0x12345000, %eax; movl %eax, %cr3; .byte 0x0f, "
                 "0x20, 0x19; movl %ecx, 0x1010\n" /* mod is no matter */
                 "movw $0xfffb, %ax; lmsw %ax; movl %cr0, %eax; movl %eax, 0x1014\n"
                 "movw $0, 0x2ff0; lmsw 0x2ff0; movl %cr0, %eax; movl %eax, 0x1018\n" DONE
                 "11: incl 0x1000; addl $4, %esp; addl $3, (%esp); iretl\n 12: incl 0x1004; addl $3, (%esp); iretl\n");

static void test_control(void **state)
{
    struct bench *bench = RUN(control);

    (void)state;
    assert_int_equal(result(bench, 0), 3);
    assert_int_equal(result(bench, 1), 3);
    assert_int_equal(result(bench, 2), 0x14);
    assert_int_equal(result(bench, 3), 0x11);
    assert_int_equal(result(bench, 4), 0x12345000);
    /* LMSW has four bits, and PE is not cleared by it. */
    assert_int_equal(result(bench, 5), 0x1b);
    assert_int_equal(result(bench, 6), 0x11);
    bench_free(bench);
}

/* What only looks like an instruction that is carried out here is none: it is told, and not taken for that one. */
#define ONE(name, bytes) PAYLOAD(name, "movw $100, %ax; movb $3, %cl; .byte " bytes "\n" DONE)
ONE(no_bit, "0x0f, 0xba, 0xc0, 1");
ONE(no_lmsw, "0x0f, 0x01, 0xe8");
ONE(no_lgdt, "0x0f, 0x01, 0xd1");

static void check_unknown(const uint8_t *begin, const uint8_t *end)
{
    struct bench *bench = begin_payload(begin, end);

    assert_true(wait_until(at_end, bench, WAIT));
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_FAILED);
    assert_non_null(strstr(bench->event_text, "an unknown instruction at cs:eip f000:5,"));
    bench_free(bench);
}

static void test_unknown(void **state)
{
    (void)state;
    check_unknown(no_bit_begin, no_bit_end);
    check_unknown(no_lmsw_begin, no_lmsw_end);
    check_unknown(no_lgdt_begin, no_lgdt_end);
}

/* --- System management mode ------------------------------------------------------------------------------------------ */

/* Copy a handler (labels 31 and 32 in the payload) to where a reset has SMIs go; and the second processor's code (21, 22) to 0x4000. */
#define SMI_HANDLER "movl $(0xf0000 + 31f - 0b), %esi; movl $0x38000, %edi; movl $(32f - 31f), %ecx; cld; rep movsb\n"
#define SECOND_BEGINS(word)                                                                                            \
    "movl $0x1ff, 0xfee000f0\n"                                                                                        \
    "movl $(0xf0000 + 21f - 0b), %esi; movl $0x4000, %edi; movl $(22f - 21f), %ecx; cld; rep movsb\n"                  \
    "movl $0x000c4500, 0xfee00300; movl $0x000c4604, 0xfee00300; 1: cmpl $0, " word "; je 1b\n"
#define SECOND_IS_FLAT(name)                                                                                           \
    ".code16\n21: cli; lgdtl %cs:(23f - 21b); movl %cr0, %eax; orb $1, %al; movl %eax, %cr0\n"                         \
    "ljmpl $8, $(0xf0000 + 20b - 0b)\n"                                                                                \
    "23: .word 39; .long 0xf0000 + " name "_gdt - " name "_begin\n 22:\n"

/*
 * The second processor sends SMIs all the time; the first one has an interrupt wait whenever it executes STI. An SMI may come
 * behind STI, but the interrupt not before the one instruction that is to come first.
 */
PAYLOAD(
    shadow, FLAT("shadow") GATE("0x50", "11f", "0x8e00", "8") SMI_HANDLER
    "movw $0x7ff, 0x1ff8; movl $0x2000, 0x1ffa; lidtl 0x1ff8\n" SECOND_BEGINS(
        "0x1000") "movl $20000, %ecx; movl $0, 0xfee00310\n"
                  "2: movl $0, 0x1008; movl $0x4050, 0xfee00300; sti; incl 0x1008; cli; loop 2b\n" DONE
                  "11: cmpl $1, 0x1008; je 12f; incl 0x100c; 12: incl 0x1010; movl $0, 0xfee000b0; iretl\n"
                  "20: movw $0x10, %ax; movw %ax, %ds; movl $0x1ff, 0xfee000f0; movl $1, 0x1000; movl $0, 0xfee00310\n"
                  "3: movl $0x4200, 0xfee00300; jmp 3b\n" SECOND_IS_FLAT(
                      "shadow") ".code16\n31: incl 0x1014; rsm\n 32:\n");

static void test_shadow(void **state)
{
    struct bench *bench = RUN_SMM(shadow, 2);

    (void)state;
    assert_int_equal(result(bench, 4), 20000);
    assert_true(result(bench, 5) > 50);
    assert_int_equal(result(bench, 3), 0);
    bench_free(bench);
}

/* An NMI waits for the handler's RSM, or its first IRET; one that came before is not taken twice. */
PAYLOAD(nmi_in_smm, FLAT("nmi_in_smm") GATE("2", "11f", "0x8e00", "8") SMI_HANDLER
        "movw $0x7ff, 0x1ff8; movl $0x2000, 0x1ffa; lidtl 0x1ff8; movl $0x1ff, 0xfee000f0; movl $0, 0xfee00310\n"
        "movw $0x3ff, 0x1ff0; movl $0, 0x1ff2; movw $(0x8000 + 33f - 31f), 8; movw $0x3000, 10\n"
        "movl $0x4200, 0xfee00300; nop; movl $1, 0x1020; movl $0x4200, 0xfee00300; nop\n" DONE
        "11: incl 0x1000; movl 0x1010, %eax; movl %eax, 0x1004; iretl\n"
        ".code16\n31: cmpb $0, 0x1020; jne 34f; movl $0xfee00300, %ebx; movl $0x4400, (%ebx); nop; incl 0x1010; rsm\n"
        "34: lidtl 0x1ff0; pushw $2; pushw $0x3000; pushw $(0x8000 + 35f - 31b); movl $0xfee00300, %ebx; movl $0x4400, "
        "(%ebx)\n"
        "nop; movl 0x1008, %eax; movl %eax, 0x100c; iretw; 35: nop; incl 0x1010; rsm\n"
        "33: incl 0x1008; iretw\n 32:\n");

static void test_nmi(void **state)
{
    struct bench *bench = RUN_SMM(nmi_in_smm, 1);

    (void)state;
    assert_int_equal(result(bench, 0), 1);
    assert_int_equal(result(bench, 1), 1); /* behind RSM */
    assert_int_equal(result(bench, 3), 0);
    assert_int_equal(result(bench, 2), 1); /* behind IRET */
    assert_int_equal(result(bench, 4), 2);
    bench_free(bench);
}

/* INIT waits for RSM, and the SIPI that was sent behind it is not lost. */
PAYLOAD(init_in_smm,
        FLAT("init_in_smm") SMI_HANDLER SECOND_BEGINS(
            "0x1000") "movl $0x01000000, 0xfee00310; movl $0x4200, 0xfee00300; 2: cmpl $0, 0x1004; je 2b\n"
                      "movl $0x4500, 0xfee00300; movl $0x4604, 0xfee00300; movl 0x1000, %eax; movl %eax, 0x100c; movl "
                      "$1, 0x1008\n"
                      "movl $100000, %ecx; 3: cmpl $2, 0x1000; je 4f; loop 3b; 4:\n" DONE
                      "20: movw $0x10, %ax; movw %ax, %ds; movl $0x1ff, 0xfee000f0; incl 0x1000; 5: jmp "
                      "5b\n" SECOND_IS_FLAT(
                          "init_in_smm") ".code16\n31: movl $1, 0x1004; 6: cmpl $0, 0x1008; je 6b; rsm\n 32:\n");

static void test_init(void **state)
{
    struct bench *bench = RUN_SMM(init_in_smm, 2);

    (void)state;
    assert_int_equal(result(bench, 3), 1);
    assert_int_equal(result(bench, 0), 2);
    bench_free(bench);
}

/* The power management chip is set up for SMIs by port 0xb2. A repeated OUTS there is left for each, and goes on behind it. */
#define CONFIG32(reg, value)                                                                                           \
    "movw $0xcf8, %dx; movl $0x80000b" reg ", %eax; outl %eax, %dx; movw $0xcfc, %dx; movl $" value                    \
    ", %eax; outl %eax, %dx\n"
PAYLOAD(outs, FLAT("outs") SMI_HANDLER CONFIG32("40", "0x601") CONFIG32("80", "1")
                  CONFIG32("58", "0x02000000") "movw $0x628, %dx; movl $1, %eax; outl %eax, %dx\n"
                                               "movw $0xb2, %dx; movl $0x3000, %esi; movl $0x04030201, (%esi); movl "
                                               "$5, 4(%esi); movl $5, %ecx; rep outsb\n"
                                               "movl %ecx, 0x1004; movl %esi, 0x1008\n" DONE
                                               ".code16\n31: incl 0x1000; movl 0x1000, %ebx; shll $2, %ebx; movl %ecx, "
                                               "0x1010(%ebx); rsm\n 32:\n");

static void test_outs(void **state)
{
    struct bench *bench = RUN_SMM(outs, 1);

    (void)state;
    assert_int_equal(result(bench, 0), 5);
    assert_int_equal(result(bench, 1), 0);
    assert_int_equal(result(bench, 2), 0x3005);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(result(bench, 5 + i), 4 - i);
    bench_free(bench);
}

/* SMBASE is such that the state goes to the page of the local APIC: it is the one of the processor whose state it is. */
PAYLOAD(state_in_apic,
        FLAT("state_in_apic") SMI_HANDLER SECOND_BEGINS(
            "0x1000") "movl $0x01000000, 0xfee00310; movl $0x4200, 0xfee00300; 2: cmpl $0, 0x1004; je 2b\n"
                      "movl $0x4200, 0xfee00300; 3: movl 0xfee00020, %eax; jmp 3b\n"
                      "20: movw $0x10, %ax; movw %ax, %ds; movl $0x1ff, 0xfee000f0; movl $1, 0x1000; 5: jmp "
                      "5b\n" SECOND_IS_FLAT("state_in_apic") ".code16\n31: movl $0x3fef8, %ebx; movl $0xfedf0200, "
                                                             "(%ebx); movl $1, 0x1004; rsm\n 32:\n");

static void test_state_in_apic(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);

    (void)state;
    config.accel = PC_ACCEL_INTERP;
    config.smm = true;
    config.cpus = 2;
    memcpy(bench->firmware, state_in_apic_begin, (size_t)(state_in_apic_end - state_in_apic_begin));
    memcpy(bench->firmware + FIRMWARE_SIZE - 16, "\xea\x00\x00\x00\xf0", 5);
    bench_open(bench, &config);
    start(bench);
    assert_true(wait_until(at_end, bench, WAIT));
    machine_stop(bench->machine);
    /* Nothing is where the handler would be. */
    assert_non_null(strstr(bench->event_text, "processor 1: an unknown instruction"));
    /* What the state says at 0xf0 is 0: that is the SVR now. The other processor's is what it had set. */
    assert_int_equal(at32(bench, 0x1004), 1);
    irqchip_set_current(bench->machine->irqchip, 1);
    assert_int_equal(at32(bench, 0xfee000f0), 0);
    irqchip_set_current(bench->machine->irqchip, 0);
    assert_int_equal(at32(bench, 0xfee000f0), 0x1ff);
    bench_free(bench);
}

/* --- Maps that change ------------------------------------------------------------------------------------------------ */

/*
 * One processor hides a word in SMRAM, and then goes on to change PAM and SMRAM's other bits, and to come into the mode, where
 * it finds the word. The other one looks for it from outside all the time: it does not find it.
 */
#define CONFIG(reg, value)                                                                                             \
    "movw $0xcf8, %dx; movl $0x80000000 | (" reg " & ~3), %eax; outl %eax, %dx; movw $0xcfc | (" reg " & 3), %dx\n"    \
    "movb " value ", %al; outb %al, %dx\n"
PAYLOAD(
    secret,
    FLAT("secret") SMI_HANDLER SECOND_BEGINS("0x1000")
        CONFIG("0x72", "$0x4a") "movl $0x5ec2e700, 0xa9000; movl $1, 0x1004\n" CONFIG(
            "0x72",
            "$0x0a") "movl $2, 0x1004; movl $2000, %ecx; movl $0, 0xfee00310; xorl %ebx, %ebx\n"
                     "2: movl $0x4200, 0xfee00300; xorb $0x33, %bl; xorb $0x08, %bh\n" CONFIG("0x5a", "%bl") CONFIG(
                         "0x72",
                         "%bh") "cmpl $0x5ec2e700, 0xa9000; jne 3f; incl 0x1010; 3: decl %ecx; jnz 2b\n" CONFIG("0x72",
                                                                                                                "$0x1a")
                         DONE
    "20: movw $0x10, %ax; movw %ax, %ds; movl $0x5ec2e700, %eax; movl $1, 0x1000; 4: cmpl $2, 0x1004; jne 4b\n"
    "5: incl 0x1008; cmpl 0xa9000, %eax; jne 5b; incl 0x100c; jmp 5b\n" SECOND_IS_FLAT(
        "secret") ".code16\n31: movl $0xa9000, %ebx; cmpl $0x5ec2e700, (%ebx); jne 6f; incl 0x1014; 6: incl 0x1018; "
                  "rsm\n 32:\n");

static void say(struct bench *bench, const char *command)
{
    char line[64], *answer = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&answer, &size);

    assert_non_null(out);
    snprintf(line, sizeof(line), "%s", command);
    assert_true(monitor_execute(bench->machine, line, out));
    assert_int_equal(fclose(out), 0);
    free(answer);
}

static void test_secret(void **state)
{
    static const char *const commands[] = {"info mtree -f", "x /64xw 0xa8ff0",    "stop",          "info slots",
                                           "cont",          "info dirty",         "info mtree -o", "info status",
                                           "info pci",      "xp /16xb 0xfee00000"};
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);

    (void)state;
    config.accel = PC_ACCEL_INTERP;
    config.smm = true;
    config.cpus = 2;
    config.dimm_slots = 1;
    config.memory_max = 2 * MEMORY;
    memcpy(bench->firmware, secret_begin, (size_t)(secret_end - secret_begin));
    memcpy(bench->firmware + FIRMWARE_SIZE - 16, "\xea\x00\x00\x00\xf0", 5);
    bench_open(bench, &config);
    start(bench);
    for (unsigned i = 0; !at_end(bench) && i < 100000; i++)
        say(bench, commands[i % (sizeof(commands) / sizeof(commands[0]))]);
    finish(bench);
    assert_true(result(bench, 2) > 1000);
    assert_int_equal(result(bench, 3), 0);
    assert_int_equal(result(bench, 4), 0);
    /* Without G_SMRAME the mode does not see it either, every other time from the third on. */
    assert_int_equal(result(bench, 6), 2000);
    assert_int_equal(result(bench, 5), 1001);
    bench_free(bench);
}

/* PAM is changed as fast as can be: each change is made, whatever frees what the one before left, and two runs are the same. */
PAYLOAD(toggle, FLAT("toggle") "movl 0x1000, %ecx; movw $0xcf8, %dx; movl $0x80000058, %eax; outl %eax, %dx\n"
                               "movw $0xcfe, %dx; movb $0x30, %al; 1: xorb $0x33, %al; outb %al, %dx; loop 1b\n" DONE);

static struct bench *run_toggle(uint32_t times)
{
    struct bench *bench = prepare(toggle_begin, toggle_end, 1);

    assert_int_equal(gmem_st32_le(machine_memory(bench->machine), RESULTS, GMEM_ATTRS_NONE, times), GMEM_OK);
    start(bench);
    finish(bench);
    assert_int_equal(atomic_load(&bench->logs), 0);
    return bench;
}

static void test_toggle(void **state)
{
    uint32_t times = test_is_long() ? 100000 : 5000;
    struct bench *first = run_toggle(times), *second = run_toggle(times);

    (void)state;
    assert_true(first->used > times);
    assert_int_equal(first->used, second->used);
    assert_memory_equal(first->lines, second->lines, first->used);
    bench_free(first);
    bench_free(second);
}

#else

static void test_skipped(void **state)
{
    (void)state;
    print_message("no x86 host: payloads can't be assembled\n");
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#if defined(__x86_64__) || defined(__i386__)
        cmocka_unit_test(test_stepped),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_nmi),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_outs),
        cmocka_unit_test(test_state_in_apic),
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_toggle),
#else
        cmocka_unit_test(test_skipped),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
