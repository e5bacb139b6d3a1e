/* SPDX-License-Identifier: MIT */
/*
 * test-pc-interp.c - interpreted processors: what they access and how, interrupts and faults, time, being held and stopped, and what
 * is refused. That two runs are one: test-pc-interp-twice.c. pc-payload.h says what payloads are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu.h"
#include "pc-payload.h"
#include "random.h"

#if defined(__x86_64__) || defined(__i386__)

/* --- Memory ---------------------------------------------------------------------------------------------------------- */

PAYLOAD(sizes,
        FLAT("sizes") "movl $0x00200000, %esi\n"
                      "movl $0x44332211, (%esi); movw $0x6655, 4(%esi); movb $0x77, 6(%esi); movb $0x88, 7(%esi)\n"
                      "movl (%esi), %eax; movl %eax, 0x1000\n"
                      "movl 1(%esi), %eax; movl %eax, 0x1004\n"
                      "movzwl 3(%esi), %eax; movl %eax, 0x1008\n"
                      "movsbl 7(%esi), %eax; movl %eax, 0x100c\n"
                      "movl $0xdeadbeef, 0x2ffffe; movl 0x2ffffe, %eax; movl %eax, 0x1010\n" /* over 1 MiB's edge */
                      "movl $0x01020304, 0xaaffe\n"                                          /* VGA's window */
                      "movl 0xfffffffe, %eax; movl %eax, 0x1014\n"                           /* over the end */
                      "movl 0xe0000000, %eax; movl %eax, 0x1018\n"                           /* nobody's */
                      "movl $0x12345678, 0xfff00\n movl 0xfff00, %eax; movl %eax, 0x101c\n"  /* ROM */
        DONE);

static void test_sizes(void **state)
{
    struct bench *bench = RUN(sizes);

    (void)state;
    assert_int_equal(result(bench, 0), 0x44332211);
    assert_int_equal(result(bench, 1), 0x55443322);
    assert_int_equal(result(bench, 2), 0x5544);
    assert_int_equal(result(bench, 3), 0xffffff88);
    assert_int_equal(result(bench, 4), 0xdeadbeef);
    assert_int_equal(at32(bench, 0x2ffffe), 0xdeadbeef);
    /* Two bytes of the firmware's end, two of the interrupt vectors, which are 0. */
    assert_int_equal(result(bench, 5), 0);
    assert_int_equal(result(bench, 6), 0xffffffff);
    assert_int_equal(result(bench, 7), 0);
    bench_free(bench);
}

PAYLOAD(ports, FLAT("ports") "movw $0xcf8, %dx; movl $0x80000000, %eax; outl %eax, %dx\n"
                             "movw $0xcfc, %dx; inl %dx, %eax; movl %eax, 0x1000\n"
                             "inw %dx, %ax; movzwl %ax, %eax; movl %eax, 0x1004\n"
                             "incw %dx; inb %dx, %al; movzbl %al, %eax; movl %eax, 0x1008\n"
                             "decw %dx; movl $0x1010, %edi; movl $3, %ecx; cld; rep insl\n"
                             "movl $0x1020, %edi; movl $3, %ecx; rep insw\n"
                             "movl $0x1030, %edi; movl $4, %ecx; rep insb\n"
                             "movl %edi, 0x100c\n"
                             "movw $0x402, %dx; movl $(0xf0000 + text - ports_begin), %esi; movl $4, %ecx; rep outsb\n"
                             "movl %esi, 0x1040\n"
                             "99: hlt; jmp 99b\n text: .ascii \"text\"\n");

static void test_ports(void **state)
{
    struct bench *bench = RUN(ports);

    (void)state;
    assert_int_equal(result(bench, 0), 0x12378086);
    assert_int_equal(result(bench, 1), 0x8086);
    assert_int_equal(result(bench, 2), 0x80);
    assert_int_equal(result(bench, 3), 0x1034);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(result(bench, 4 + i), 0x12378086);
    assert_int_equal(result(bench, 8), 0x80868086);
    assert_int_equal(result(bench, 12), 0x86868686);
    assert_memory_equal(bench->console, "text", 4);
    bench_free(bench);
}

/* Repeated more often than is done at once: one way, the other way, until something is found, and with 16-bit counts. */
PAYLOAD(repeat, FLAT("repeat") "cld; movl $0x200000, %edi; movl $100000, %ecx; movl $0x11223344, %eax; rep stosl\n"
                               "movl %ecx, 0x1000; movl %edi, 0x1004\n"
                               "movb $0x55, 0x20c350\n"
                               "movl $0x200000, %esi; movl $0x300000, %edi; movl $400000, %ecx; rep movsb\n"
                               "movl %ecx, 0x1008; movl %esi, 0x100c; movl %edi, 0x1010\n"
                               "movl $0x200000, %edi; movl $400000, %ecx; movb $0x55, %al; repne scasb\n"
                               "movl %ecx, 0x1014; movl %edi, 0x1018\n"
                               "movb $0x66, 0x30c360\n"
                               "movl $0x200000, %esi; movl $0x300000, %edi; movl $400000, %ecx; repe cmpsb\n"
                               "movl %ecx, 0x101c; movl %esi, 0x1020\n"
                               "movl $0x200000, %edi; movl $8192, %ecx; movb $0x99, %al; repne scasb\n"
                               "movl %ecx, 0x1024; setne 0x1028\n"
                               "std; movl $0x2fffff, %edi; movl $0x29000, %ecx; rep stosb; cld\n"
                               "movl %edi, 0x102c\n"
                               "movl $0x7ffe7ffe, %ecx; movl $0x18000, %edi; addr16 rep stosb\n"
                               "movl %ecx, 0x1030; movl %edi, 0x1034\n" DONE);

static void test_repeat(void **state)
{
    struct bench *bench = RUN(repeat);

    (void)state;
    assert_int_equal(result(bench, 0), 0);
    assert_int_equal(result(bench, 1), 0x200000 + 400000);
    assert_int_equal(result(bench, 2), 0);
    assert_int_equal(result(bench, 3), 0x200000 + 400000);
    assert_int_equal(result(bench, 4), 0x300000 + 400000);
    assert_int_equal(at32(bench, 0x300000 + 399996), 0x11223344);
    assert_int_equal(result(bench, 5), 400000 - 50001);
    assert_int_equal(result(bench, 6), 0x20c351);
    assert_int_equal(result(bench, 7), 400000 - 50017);
    assert_int_equal(result(bench, 8), 0x20c361);
    assert_int_equal(result(bench, 9), 0);
    assert_int_equal(result(bench, 10) & 1, 1);
    assert_int_equal(result(bench, 11), 0x2fffff - 0x29000);
    assert_int_equal(result(bench, 12), 0x7ffe0000);
    assert_int_equal(result(bench, 13), 0x1fffe);
    bench_free(bench);
}

/* The gate by port 0x92: what is at 1 MiB, and over its edge. */
PAYLOAD(a20, FLAT("a20") "movl $0x11111111, 0x3000; movl $0x22222222, 0x103000\n"
                         "movl $0x33333333, 0x4fffe; movl $0, 0x40000; movl $0, 0x200000\n"
                         "movw $0x92, %dx; movb $0, %al; outb %al, %dx\n"
                         "movl 0x103000, %eax; movl %eax, 0x1000\n"
                         "movl $0x44444444, 0x103000\n"
                         "movl $0x66665555, 0x2ffffe\n" /* and 0x300000, which is 0x200000 */
                         "movb $2, %al; outb %al, %dx\n"
                         "movl 0x103000, %eax; movl %eax, 0x1004\n"
                         "movl 0x3000, %eax; movl %eax, 0x1008\n"
                         "movzwl 0x2ffffe, %eax; movl %eax, 0x100c\n"
                         "movzwl 0x2ffffe - 0x100000, %eax\n"
                         "movzwl 0x2ffffe & ~0x100000, %eax; movl %eax, 0x1010\n"
                         "movzwl 0x200000, %eax; movl %eax, 0x1014\n" DONE);

static void test_a20(void **state)
{
    struct bench *bench = RUN(a20);

    (void)state;
    assert_int_equal(result(bench, 0), 0x11111111);
    assert_int_equal(result(bench, 1), 0x22222222);
    assert_int_equal(result(bench, 2), 0x44444444);
    assert_int_equal(result(bench, 3), 0x5555);
    assert_int_equal(result(bench, 5), 0x6666);
    bench_free(bench);
}

/* --- Interrupts and faults ------------------------------------------------------------------------------------------- */

PAYLOAD(real, "xorw %ax, %ax; movw %ax, %ds; movw %ax, %ss; movw $0x7000, %sp\n"
              "movw $(1f - 0b), 0x100; movw $0xf000, 0x102\n" /* INT 0x40 */
              "movw $(2f - 0b), 0; movw $0xf000, 2\n"         /* #DE */
              "movw $(3f - 0b), 0x18; movw $0xf000, 0x1a\n"   /* #UD */
              "movw $(4f - 0b), 0x34; movw $0xf000, 0x36\n"   /* #GP */
              "sti; int $0x40\n"
              "xorw %bx, %bx; movw $5, %ax; divw %bx\n"
              "movl $0x80000000, %eax; cltd; movl $-1, %ebx; idivl %ebx\n"
              "aam $0\n"
              "ud2\n"
              "movw $0xffff, %bx; movw $0x1234, %si; movw %si, (%bx)\n" /* over the segment's end */
              "xchgw %si, (%bx)\n"
              "movl %esi, 0x1020\n"
              "movw %sp, 0x1024\n" DONE "1: pushfw; popw 0x1000; iretw\n"
              "2: incl 0x1004; movw %sp, %bp; addw $2, (%bp); cmpl $2, 0x1004; jne 5f; incw (%bp); 5: cmpl $3, 0x1004\n"
              "jne 6f; movw %cx, %cx; 6: iretw\n"
              "3: incl 0x1008; movw %sp, %bp; addw $2, (%bp); iretw\n"
              "4: incl 0x100c; movw %sp, %bp; addw $2, (%bp); iretw\n");

static void test_real_mode(void **state)
{
    struct bench *bench = RUN(real);

    (void)state;
    assert_int_equal(result(bench, 0) & 0x300, 0); /* IF and TF are clear in the handler */
    assert_int_equal(result(bench, 1), 3);
    assert_int_equal(result(bench, 2), 1);
    assert_int_equal(result(bench, 3), 2);
    assert_int_equal(result(bench, 8) & 0xffff, 0x1234);
    assert_int_equal(at32(bench, 0xffff) & 0xff, 0); /* the half that was inside was not written */
    assert_int_equal(result(bench, 9) & 0xffff, 0x7000);
    bench_free(bench);
}

/* Gates of 32 and 16 bits, an interrupt's and a trap's; error codes; a double fault. */
PAYLOAD(gates,
        FLAT("gates") GATE("0x40", "11f", "0x8e00", "8") GATE("0x41", "12f", "0x8f00", "8") GATE("0x42", "13f",
                                                                                                 "0x8600", "0x18")
            GATE("13", "14f", "0x8e00", "8") GATE("11", "15f", "0x8e00", "8") GATE("8", "16f", "0x8e00",
                                                                                   "8") GATE("6", "17f", "0x8e00", "8")
                GATE("0x43", "11f", "0x0e00",
                     "8") "movw $(13f - 0b), 0x2210\n"
                          "movw $0x7ff, 0x1ff8; movl $0x2000, 0x1ffa; lidtl 0x1ff8\n"
                          "sti; int $0x40; int $0x41; ljmp $0x18, $(20f - 0b)\n"
                          ".code16\n 20: int $0x42; ljmpl $8, $(0xf0000 + 21f - 0b)\n .code32\n 21:\n"
                          "int $0x43\n"                                             /* not present: #NP */
                          "movl $0x1000, %ebx; movw $0x48, %ax; .byte 0x8e, 0xc0\n" /* outside of the table: #GP */
                          "xorl %ecx, %ecx; rdmsr\n"                                /* no such register: #GP */
                          "movl $0x12345678, %ecx; wrmsr\n"
                          "ud2\n"
                          "movl %esp, 0x1030\n"
                          "movw $0, 0x2000 + 8 * 6 + 4; movw $0, 0x2000 + 8 * 13 + 4; movw $0, 0x2000 + 8 * 11 + 4\n"
                          "ud2\n" /* its gate is none, nor is that of #GP: #DF */
                          "11: pushfl; popl 0x1000; popl 0x1004; pushl 0x1004; iretl\n"
                          "12: pushfl; popl 0x1008; iretl\n"
                          "14: popl 0x1010; incl 0x1014; addl $2, (%esp); iretl\n"
                          "15: popl 0x1018; addl $2, (%esp); iretl\n"
                          "16: popl 0x101c; incl 0x1020\n" DONE "17: incl 0x1024; addl $2, (%esp); iretl\n"
                          ".code16\n 13: movl %esp, 0x1028; iretw\n");

static void test_gates(void **state)
{
    struct bench *bench = RUN(gates);

    (void)state;
    assert_int_equal(result(bench, 0) & 0x200, 0);     /* an interrupt gate closes IF */
    assert_int_equal(result(bench, 2) & 0x200, 0x200); /* a trap gate does not */
    assert_int_equal(result(bench, 4), 0);             /* the last #GP's error code */
    assert_int_equal(result(bench, 5), 3);
    assert_int_equal(result(bench, 6), 8 * 0x43 + 2);
    assert_int_equal(result(bench, 7), 0);
    assert_int_equal(result(bench, 8), 1);
    assert_int_equal(result(bench, 9), 1);
    assert_int_equal(result(bench, 10) & 0xffff, 0x8000 - 6); /* words were pushed */
    assert_int_equal(result(bench, 12), 0x8000);
    bench_free(bench);
}

/* The timer's interrupt through the PIC, in HLT and in a loop; after STI and MOV SS one more instruction is carried out. */
PAYLOAD(timer, "xorw %ax, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss; movw $0x7000, %sp\n"
               "movw $(1f - 0b), 0x80; movw $0xf000, 0x82\n" /* IRQ 0 as vector 0x20 */
               "movb $0x11, %al; outb %al, $0x20; movb $0x20, %al; outb %al, $0x21\n"
               "movb $4, %al; outb %al, $0x21; movb $1, %al; outb %al, $0x21; movb $0xfe, %al; outb %al, $0x21\n"
               "movb $0x34, %al; outb %al, $0x43; movw $1193, %ax; outb %al, $0x40; movb %ah, %al; outb %al, $0x40\n"
               "sti; 2: hlt; cmpl $5, 0x1000; jb 2b\n"
               "rdtsc; movl %eax, 0x1010\n"
               "3: cmpl $10, 0x1000; jb 3b\n"
               "rdtsc; subl 0x1010, %eax; movl %eax, 0x1014\n"
               "cli; movl $0, 0x1004; movl 0x1000, %ebx; movw $30000, %cx; 4: loop 4b\n" /* one is waiting by now */
               "sti; incl 0x1004; incl 0x1004; cli; movl 0x1008, %eax; movl %eax, 0x1018\n"
               "movl $0, 0x1004; movw $30000, %cx; 5: loop 5b; xorl %eax, %eax; sti; movw %ax, %ss; incl 0x1004\n"
               "incl 0x1004; movl 0x1008, %eax; movl %eax, 0x101c\n"
               "movw $30000, %cx; 6: loop 6b\n" DONE
               "1: pushw %ax; incl 0x1000; movl 0x1004, %eax; movl %eax, 0x1008; movb $0x20, %al; outb %al, $0x20\n"
               "popw %ax; iretw\n");

static void test_timer(void **state)
{
    struct bench *bench = RUN(timer);
    struct pc_cpus_stats stats;

    (void)state;
    assert_true(result(bench, 0) >= 10);
    /* Five milliseconds are 100000 instructions, whether they are waited or worked through. */
    assert_in_range(result(bench, 5), 95000, 105000);
    assert_int_equal(result(bench, 6), 1);
    assert_int_equal(result(bench, 7), 1);
    assert_true(machine_executed(bench->machine, &stats));
    /* What was waited for is time, but no instructions. */
    assert_true(stats.virtual_ns > stats.instructions * 50 + 3000000);
    bench_free(bench);
}

/* The keyboard's answer comes as IRQ 1, and the real-time clock's periods by the second PIC as IRQ 8. */
PAYLOAD(devices, "xorw %ax, %ax; movw %ax, %ds; movw %ax, %ss; movw $0x7000, %sp\n"
                 "movw $(1f - 0b), 0x84; movw $0xf000, 0x86; movw $(2f - 0b), 0xa0; movw $0xf000, 0xa2\n"
                 "movb $0x11, %al; outb %al, $0x20; outb %al, $0xa0; movb $0x20, %al; outb %al, $0x21\n"
                 "movb $0x28, %al; outb %al, $0xa1; movb $4, %al; outb %al, $0x21; movb $2, %al; outb %al, $0xa1\n"
                 "movb $1, %al; outb %al, $0x21; outb %al, $0xa1; movb $0xf9, %al; outb %al, $0x21\n"
                 "movb $0xfe, %al; outb %al, $0xa1\n"
                 "movb $0x60, %al; outb %al, $0x64; movb $1, %al; outb %al, $0x60\n" /* its interrupts are wanted */
                 "movb $0xee, %al; outb %al, $0x60\n"                                /* echo */
                 "sti; 3: hlt; cmpl $0, 0x1000; je 3b\n"
                 "movb $0x0a, %al; outb %al, $0x70; movb $0x26, %al; outb %al, $0x71\n" /* 1024 a second */
                 "movb $0x0b, %al; outb %al, $0x70; movb $0x42, %al; outb %al, $0x71\n"
                 "movb $0x0c, %al; outb %al, $0x70; inb $0x71, %al\n"
                 "4: hlt; cmpl $1, 0x1008; jb 4b; rdtsc; movl %eax, %ebx\n"
                 "5: hlt; cmpl $9, 0x1008; jb 5b; rdtsc; subl %ebx, %eax; movl %eax, 0x100c\n" DONE
                 "1: pushw %ax; incl 0x1000; inb $0x60, %al; movb %al, 0x1004; movb $0x20, %al; outb %al, $0x20\n"
                 "popw %ax; iretw\n"
                 "2: pushl %eax; incl 0x1008; movb $0x0c, %al; outb %al, $0x70; inb $0x71, %al; orb %al, 0x1010\n"
                 "movb $0x20, %al; outb %al, $0xa0; outb %al, $0x20; popl %eax; iretw\n");

static void test_devices(void **state)
{
    struct bench *bench = RUN(devices);

    (void)state;
    assert_int_equal(result(bench, 0), 1);
    assert_int_equal(result(bench, 1), 0xee);
    /* Eight periods of 1/1024 s, in instructions of 50 ns. */
    assert_in_range(result(bench, 3), 156250 - 100, 156250 + 100);
    assert_int_equal(result(bench, 4), 0xc0);
    bench_free(bench);
}

/* A single step is a trap after each instruction. */
PAYLOAD(step, "xorw %ax, %ax; movw %ax, %ds; movw %ax, %ss; movw $0x7000, %sp\n"
              "movw $(1f - 0b), 4; movw $0xf000, 6\n"
              "pushw $0x102; popfw; nop; nop; sarl $1, %eax; pushw $2; popfw\n" DONE "1: incw 0x1000; iretw\n");

static void test_step(void **state)
{
    struct bench *bench = RUN(step);

    (void)state;
    assert_in_range(result(bench, 0) & 0xffff, 4, 5);
    bench_free(bench);
}

/* An NMI is taken with interrupts off, ends HLT, and keeps the next one off until IRET. */
PAYLOAD(nmi,
        FLAT("nmi")
            GATE("2", "11f", "0x8e00",
                 "8") "movw $0x7ff, 0x1ff8; movl $0x2000, 0x1ffa; lidtl 0x1ff8\n"
                      "movl $0x1ff, 0xfee000f0; movl $0, 0xfee00310\n"
                      "movl $0x4400, 0xfee00300; nop; movl 0x1000, %eax; movl %eax, 0x1008\n"
                      "movl $3, 0x1010; movl $30, 0x100c\n"
                      "movl $0x000000fe, 0xfee00320\n"
                      "movl $0x400, 0xfee00350\n" /* LINT0 as NMI: the PIC's next interrupt is one */
                      "movb $0x11, %al; outb %al, $0x20; movb $0x20, %al; outb %al, $0x21\n"
                      "movb $4, %al; outb %al, $0x21; movb $1, %al; outb %al, $0x21; movb $0xfe, %al; outb %al, $0x21\n"
                      "movb $0x30, %al; outb %al, $0x43; movb $0, %al; outb %al, $0x40; movb $8, %al; outb %al, $0x40\n"
                      "1: hlt; cmpl $3, 0x1000; jb 1b\n" DONE
                      "11: incl 0x1000; cmpl $1, 0x1000; jne 2f; movl $0x4400, 0xfee00300; nop; nop\n"
                      "movl 0x1000, %eax; movl %eax, 0x1004; 2: iretl\n");

static void test_nmi(void **state)
{
    struct bench *bench = RUN(nmi);

    (void)state;
    assert_int_equal(result(bench, 0), 3);
    assert_int_equal(result(bench, 1), 1); /* the second waited for the first's end */
    assert_int_equal(result(bench, 2), 2); /* and not for more */
    bench_free(bench);
}

/* The second processor waits for INIT and SIPI, is sent an interrupt while it is halted, and sends one back. */
PAYLOAD(two,
        FLAT("two") GATE("0x50", "11f", "0x8e00", "8") GATE(
            "0x51", "12f", "0x8e00",
            "8") "movw $0x7ff, 0x1ff8; movl $0x2000, 0x1ffa; lidtl 0x1ff8\n"
                 "movl $0x1ff, 0xfee000f0\n"
                 "movl $(0xf0000 + 21f - 0b), %esi; movl $0x4000, %edi; movl $(22f - 21f), %ecx; cld; rep movsb\n"
                 "movl $0x000c4500, 0xfee00300; movl $0x000c4604, 0xfee00300\n" /* INIT, SIPI to all others */
                 "1: cmpl $1, 0x1000; jne 1b\n"
                 "movl $0x01000000, 0xfee00310; movl $0x00004050, 0xfee00300; sti\n"
                 "2: hlt; cmpl $1, 0x1008; jne 2b\n" DONE
                 "11: incl 0x1004; movl $0, 0xfee00310; movl $0x00004051, 0xfee00300; movl $0, 0xfee000b0; iretl\n"
                 "12: incl 0x1008; movl $0, 0xfee000b0; iretl\n"
                 "20: movw $0x10, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss; movl $0x7000, %esp; lidtl 0x1ff8\n"
                 "movl $0x1ff, 0xfee000f0; movl 0xfee00020, %eax; movl %eax, 0x100c\n"
                 "movl $1, %eax; cpuid; movl %ebx, 0x1010; movl %edx, 0x1014\n"
                 "movl $1, 0x1000; sti; 3: hlt; jmp 3b\n"
                 ".code16\n21: cli; lgdtl %cs:(23f - 21b); movl %cr0, %eax; orb $1, %al; movl %eax, %cr0\n"
                 "ljmpl $8, $(0xf0000 + 20b - 0b)\n"
                 "23: .word 39; .long 0xf0000 + two_gdt - two_begin\n 22:\n");

static void test_two(void **state)
{
    struct bench *bench = prepare(two_begin, two_end, 2);

    (void)state;
    start(bench);
    finish(bench);
    assert_int_equal(result(bench, 0), 1);
    assert_int_equal(result(bench, 1), 1);
    assert_int_equal(result(bench, 2), 1);
    assert_int_equal(result(bench, 3), 1u << 24);                /* its local APIC's number */
    assert_int_equal(result(bench, 4) & 0xffff0000, 0x01020000); /* and as CPUID has it; two processors */
    assert_int_equal(result(bench, 5) >> 28 & 1, 1);
    bench_free(bench);
}

/* --- What is refused ------------------------------------------------------------------------------------------------- */

static void check_event(const uint8_t *begin, const uint8_t *end, enum pc_event event, const char *text)
{
    struct bench *bench = begin_payload(begin, end);

    assert_true(wait_until(at_end, bench, WAIT));
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 1 + (int)event);
    if (!strstr(bench->event_text, text))
        fail_msg("%s", bench->event_text);
    bench_free(bench);
}

PAYLOAD(unknown, "nop; .byte 0x0f, 0x38, 0x00, 0xc1; hlt\n");
PAYLOAD(floating, "fninit; hlt\n");
PAYLOAD(paging, FLAT("paging") "movl %cr0, %eax; orl $0x80000000, %eax; movl %eax, %cr0; nop\n" DONE);
PAYLOAD(
    user,
    FLAT(
        "user") "pushl $0x13; pushl $0x8000; pushl $2; pushl $0x0b; pushl $(0xf0000 + 1f - 0b); iretl\n 1: nop\n" DONE);
PAYLOAD(
    task,
    FLAT("task") "movl $(0xf0000 + task_gdt - task_begin), %esi; movl $0x2800, %edi; movl $10, %ecx; cld; rep movsl\n"
                 "movl $0, 0x2828; movl $0x8900, 0x282c; movw $47, 0x1ff8; movl $0x2800, 0x1ffa; lgdtl 0x1ff8\n"
                 "ljmp $0x28, $0\n" DONE);
PAYLOAD(triple, FLAT("triple") "movw $0, 0x1ff8; lidtl 0x1ff8; int $3\n" DONE);
PAYLOAD(nowhere, FLAT("nowhere") "ljmp $8, $0xd0000000\n");
/* The last two bytes of memory, and two behind it. */
PAYLOAD(seam, FLAT("seam") "movw $0x6666, 0xfffffe; ljmp $8, $0xfffffe\n");
PAYLOAD(prefixes, ".fill 65536 - 64, 1, 0x66\n");

static void test_refused(void **state)
{
    (void)state;
    check_event(unknown_begin, unknown_end, PC_EVENT_FAILED,
                "processor 0: an unknown instruction at cs:eip f000:1, linear 0xf0001, bytes 0f 38 00 c1 f4");
    /* What is fetched where no memory is was fetched all the same. */
    check_event(nowhere_begin, nowhere_end, PC_EVENT_FAILED,
                "unknown instruction at cs:eip 0008:d0000000, linear 0xd0000000, bytes ff ff");
    check_event(seam_begin, seam_end, PC_EVENT_FAILED, "linear 0xfffffe, bytes 66 66 ff ff");
    check_event(floating_begin, floating_end, PC_EVENT_FAILED, "bytes db e3 f4");
    check_event(paging_begin, paging_end, PC_EVENT_FAILED, "paging was switched on");
    check_event(user_begin, user_end, PC_EVENT_FAILED, "privilege level 0 was left");
    check_event(task_begin, task_end, PC_EVENT_FAILED, "a task switch or a call gate");
    check_event(triple_begin, triple_end, PC_EVENT_SHUTDOWN, "a triple fault");
}

/* An instruction of more than 15 bytes is #GP, whatever it is made of; with EM set, ESC is #NM. */
PAYLOAD(odd, "xorw %ax, %ax; movw %ax, %ds; movw %ax, %ss; movw $0x7000, %sp\n"
             "movw $(4f - 0b), 0x34; movw $0xf000, 0x36\n"
             "movw $(5f - 0b), 0x1c; movw $0xf000, 0x1e\n"
             "1: .fill 14, 1, 0xf3; nop; incw 0x1010\n"
             ".fill 300, 1, 0xf2; nop\n 2: .fill 13, 1, 0x66; movw $0x1234, %cx\n 3: "
             "movl %cr0, %eax; orb $4, %al; movl %eax, %cr0; fninit\n" DONE
             "4: incw 0x1000; movw %sp, %bp; cmpw $1, 0x1000; jne 6f; movw $(2b - 0b), (%bp); iretw\n"
             "6: movw $(3b - 0b), (%bp); iretw\n"
             "5: incw 0x1004; movw %sp, %bp; addw $2, (%bp); iretw\n");

static void test_odd(void **state)
{
    struct bench *bench = RUN(odd);

    (void)state;
    assert_int_equal(result(bench, 0) & 0xffff, 2);
    assert_int_equal(result(bench, 1) & 0xffff, 1);
    assert_int_equal(result(bench, 4) & 0xffff, 1); /* that of 15 bytes was carried out */
    bench_free(bench);
}

static bool ran_a_while(struct bench *bench)
{
    return at32(bench, RESULTS) || atomic_load(&bench->event);
}

/* A guest of prefixes only, one that repeats for ever, one that faults for ever: they can be held and stopped. */
PAYLOAD(forever,
        FLAT("forever") "movl $1, 0x1000; 1: movl $0x200000, %esi; movl $0xffffffff, %ecx; rep lodsb; jmp 1b\n");
PAYLOAD(faulting, "xorw %ax, %ax; movw %ax, %ds; movw $(1f - 0b), 0x34; movw $0xf000, 0x36\n"
                  "movl $1, 0x1000; 1: movw $0x7000, %sp; movw %ax, %ss; movw 0xffff, %ax\n");

static void check_held(const uint8_t *begin, const uint8_t *end)
{
    struct bench *bench = begin_payload(begin, end);
    struct pc_cpus_stats first, second;

    assert_true(wait_until(ran_a_while, bench, WAIT));
    machine_hold(bench->machine, true);
    assert_true(machine_executed(bench->machine, &first));
    machine_hold(bench->machine, false);
    machine_hold(bench->machine, true);
    assert_true(machine_executed(bench->machine, &second));
    assert_true(second.instructions >= first.instructions);
    assert_true(first.instructions > 0);
    assert_true(first.virtual_ns >= first.instructions * 50);
    machine_hold(bench->machine, false);
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 0);
    bench_free(bench);
}

static void test_held(void **state)
{
    (void)state;
    check_held(forever_begin, forever_end);
    check_held(faulting_begin, faulting_end);
}

/* Halted with interrupts off and no timer set: nobody looks up by himself. */
static void test_held_idle(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, false);
    struct pc_cpus_stats first, second;

    (void)state;
    config.accel = PC_ACCEL_INTERP;
    config.cpus = 3;
    bench_open(bench, &config);
    machine_hold(bench->machine, true);
    start(bench);
    assert_true(machine_executed(bench->machine, &first));
    assert_int_equal(first.instructions, 0);
    for (unsigned i = 0; i < 2000; i++) {
        machine_hold(bench->machine, false);
        machine_hold(bench->machine, true);
    }
    assert_true(machine_executed(bench->machine, &second));
    assert_in_range(second.instructions, 0, 1);
    machine_hold(bench->machine, false);
    machine_stop(bench->machine);
    bench_free(bench);
}

static void test_prefixes(void **state)
{
    struct bench *bench = begin_payload(prefixes_begin, prefixes_end);

    (void)state;
    /* #GP leads to 0000:0000, where zeros are executed, and so on: whatever becomes of it, it can be stopped. */
    machine_hold(bench->machine, true);
    machine_hold(bench->machine, false);
    machine_stop(bench->machine);
    bench_free(bench);
}

/* Held, to be looked at: however busy the host is, some of it was carried out. */
static bool has_executed(struct bench *bench)
{
    struct pc_cpus_stats stats;
    bool counted;

    machine_hold(bench->machine, true);
    counted = machine_executed(bench->machine, &stats);
    machine_hold(bench->machine, false);
    return atomic_load(&bench->event) || (counted && stats.instructions > 0);
}

/* Whatever is executed: the host survives it, and the guest can be stopped. Flat from the start, every other time. */
PAYLOAD(anything, FLAT("anything") "nop\n");

static void test_anything(void **state)
{
    const unsigned rounds = test_is_long() ? 3000 : 60;
    struct random random = random_start("test_anything", 1);
    const struct timespec nap = {0, 3000000};

    (void)state;
    for (unsigned round = 0; round < rounds; round++) {
        struct bench *bench = bench_new();
        struct pc_config config = bench_config(bench, MEMORY, true);
        size_t skip = round & 1 ? (size_t)(anything_end - anything_begin) : 0;

        config.accel = PC_ACCEL_INTERP;
        for (size_t i = 0; i < FIRMWARE_SIZE; i++)
            bench->firmware[i] = (uint8_t)random_u64(&random);
        memcpy(bench->firmware, anything_begin, skip);
        memcpy(bench->firmware + FIRMWARE_SIZE - 16, "\xea\x00\x00\x00\xf0", 5);
        bench_open(bench, &config);
        /* So that what it jumps to, or faults into, is something too. */
        for (uint64_t addr = 0; addr < 0x100000; addr += 0x10000)
            (void)gmem_space_write(machine_memory(bench->machine), addr, GMEM_ATTRS_NONE, bench->firmware,
                                   FIRMWARE_SIZE);
        start(bench);
        nanosleep(&nap, NULL);
        assert_true(wait_until(has_executed, bench, 60));
        machine_stop(bench->machine);
        bench_free(bench);
    }
}

/* --- Time ------------------------------------------------------------------------------------------------------------ */

PAYLOAD(times, FLAT("times") "rdtsc; movl %eax, %ebx; rdtsc; subl %ebx, %eax; movl %eax, 0x1000\n"
                             "movl $0x10, %ecx; movl $5, %edx; movl $0x1000000, %eax; wrmsr; rdtsc\n"
                             "movl %eax, 0x1004; movl %edx, 0x1008\n"
                             "rdmsr; movl %eax, 0x100c\n"
                             "movl $0x2ff, %ecx; movl $0xc06, %eax; xorl %edx, %edx; wrmsr; xorl %eax, %eax; rdmsr\n"
                             "movl %eax, 0x1010\n"
                             "xorl %eax, %eax; cpuid; movl %ebx, 0x1014\n"
                             "movl $1, %eax; cpuid; movl %eax, 0x1018; movl %edx, 0x101c\n"
                             "movl $0x80000000, %eax; cpuid; movl %eax, 0x1030; movl %edx, 0x1034\n"
                             "movl $0x8000001f, %eax; cpuid; movl %eax, 0x1038; movl %ebx, 0x103c\n" DONE);

static void test_time(void **state)
{
    struct bench *bench = RUN(times);
    struct pc_cpus_stats stats;

    (void)state;
    assert_int_equal(result(bench, 0), 2); /* instructions between */
    assert_in_range(result(bench, 1), 0x1000000, 0x1000002);
    assert_int_equal(result(bench, 2), 0);
    assert_in_range(result(bench, 3), result(bench, 1), result(bench, 1) + 5);
    assert_int_equal(result(bench, 4), 0xc06);
    assert_int_equal(result(bench, 5), 0x756e6547);
    assert_int_equal(result(bench, 6) >> 8 & 0xf, 6);
    assert_int_equal(result(bench, 7) & 0x8fb7, 0x9330 & 0x8fb7);
    assert_int_equal(result(bench, 12), 0x80000000); /* there are no extended leaves */
    assert_int_equal(result(bench, 13), 0);
    assert_int_equal(result(bench, 14), 0x80000000);
    assert_int_equal(result(bench, 15), 0);
    assert_true(machine_executed(bench->machine, &stats));
    assert_true(stats.instructions > 20 && stats.instructions < 200);
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_ports),     cmocka_unit_test(test_repeat),
        cmocka_unit_test(test_a20),       cmocka_unit_test(test_real_mode), cmocka_unit_test(test_gates),
        cmocka_unit_test(test_timer),     cmocka_unit_test(test_devices),   cmocka_unit_test(test_step),
        cmocka_unit_test(test_nmi),       cmocka_unit_test(test_two),       cmocka_unit_test(test_anything),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_odd),       cmocka_unit_test(test_held),
        cmocka_unit_test(test_held_idle), cmocka_unit_test(test_prefixes),  cmocka_unit_test(test_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_skipped(void **state)
{
    (void)state;
    print_message("the payloads are for another host's assembler\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_skipped)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
