/* SPDX-License-Identifier: MIT */
/*
 * test-pc-smm.c - system management mode on the interpreter: guests that hide code in SMRAM and come back to it.
 *
 * A guest opens SMRAM, copies a handler to 0xa8000, and relocates SMBASE to 0xa0000 by a first SMI, whose handler is at the place
 * that a reset sets, 0x38000. Then it closes SMRAM. It reports by characters to the firmware's log, which may be any byte.
 * No test depends on how fast anything is; waits are only bounded, so that a failure ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-code.h"
#include "pc-smm.h"

/* In the firmware. */
#define HANDLER 0x8000u   /* the handler's code, which is copied */
#define RELOCATOR 0x9000u /* the first handler's */
#define IN_32BIT 0x6000u
#define GDT 0x7000u

/* Registers end up in RAM below this, as pushad and others put them there. */
#define STACK 0x700u
#define FLAGS_SET 0x701u /* CF, TF, IF, DF; others are results */

static struct code code_at(struct bench *bench, unsigned offset)
{
    return (struct code){.at = bench->firmware + offset};
}

/* --- what guests do --- */

static void emit_rsm(struct code *code)
{
    EMIT(code, "\x0f\xaa");
}

/* Copy len bytes of the firmware from offset to segment:0x8000. */
static void emit_copy(struct code *code, unsigned offset, uint16_t segment, uint16_t len)
{
    EMIT(code, "\xb8\x00\xf0\x8e\xd8\xb8"); /* mov ax, 0xf000; mov ds, ax; mov ax, segment */
    emit16(code, segment);
    EMIT(code, "\x8e\xc0\xbe"); /* mov es, ax; mov si, offset */
    emit16(code, (uint16_t)offset);
    EMIT(code, "\xbf\x00\x80\xb9"); /* mov di, 0x8000; mov cx, len */
    emit16(code, len);
    EMIT(code, "\xfc\xf3\xa4"); /* cld; rep movsb */
}

/* The power management's ports, and what an SMI by port 0xb2 takes. */
static void emit_enable_smi(struct code *code)
{
    emit_cfg32(code, PM_FN, 0x40, 0x601);
    emit_cfg32(code, PM_FN, 0x80, 1);
    emit_cfg32(code, PM_FN, 0x58, 0x02000000);
    emit_out32(code, 0x628, 1);
}

/* All of what is said above; smram is what the register is set to at the end. */
static void emit_set_up(struct bench *bench, struct code *code, uint8_t smram)
{
    struct code relocator = code_at(bench, RELOCATOR);

    EMIT(&relocator, "\x2e\x66\xc7\x06\xf8\xfe\x00\x00\x0a\x00"); /* mov dword cs:[0xfef8], 0xa0000 */
    emit_rsm(&relocator);
    emit_enable_smi(code);
    emit_cfg8(code, I440FX_FN, SMRAM, 0x4a);
    emit_copy(code, HANDLER, 0xa000, 0x400);
    emit_copy(code, RELOCATOR, 0x3000, 0x40);
    emit_out8(code, 0xb2, 0);
    emit_cfg8(code, I440FX_FN, SMRAM, smram);
}

/* Report the byte at 0xa8000: outside, and with the handler's flat segments. */
static void emit_show(struct code *code)
{
    EMIT(code, "\xb8\x00\xa8\x8e\xc0\x26\xa0\x00\x00"); /* mov ax, 0xa800; mov es, ax; mov al, es:[0] */
    emit_out_al(code, 0x402);
}

static void emit_show_flat(struct code *code)
{
    EMIT(code, "\x67\xa0\x00\x80\x0a\x00"); /* mov al, [dword 0xa8000] */
    emit_out_al(code, 0x402);
}

/* --- running --- */

static bool has_ended(struct bench *bench)
{
    return atomic_load(&bench->event) != 0;
}

static void run_to(struct bench *bench, enum pc_event event)
{
    if (!wait_until(has_ended, bench, WAIT))
        fail_msg("the guest did not end; its log is %u bytes", atomic_load(&bench->console_len));
    machine_stop(bench->machine);
    if (atomic_load(&bench->event) != 1 + (int)event)
        fail_msg("event %d: %s", atomic_load(&bench->event) - 1, bench->event_text);
}

/* Run a guest until it switches the machine off, and compare its log. */
static void run(struct bench *bench, bool vga, const char *log, size_t len)
{
    const struct pc_config config = smm_config(bench, vga);

    open_guest(bench, &config);
    run_to(bench, PC_EVENT_POWEROFF);
    assert_int_equal(atomic_load(&bench->console_len), len);
    assert_memory_equal(bench->console, log, len);
}

#define RUN(bench, vga, log) run(bench, vga, log, sizeof(log) - 1)

static uint8_t smm8(struct bench *bench, uint64_t addr)
{
    uint8_t value = 0;

    assert_int_equal(gmem_ld8(machine_smram_space(bench->machine), addr, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static uint16_t ram16(struct bench *bench, uint64_t addr)
{
    return (uint16_t)ram32(bench, addr);
}

/*
 * Code is hidden, SMRAM closed and locked: outside its place reads as what PCI has there, and writes do not reach it. An SMI runs
 * it, and it sees itself. Opening it again does not work.
 */
static void test_hidden(void **state)
{
    (void)state;
    for (unsigned vga = 0; vga < 2; vga++) {
        struct bench *bench = bench_new();
        struct code code = code_begin(bench), handler = code_at(bench, HANDLER);

        EMIT(&handler, "\xeb\x00"); /* a first byte that is known: jmp on */
        emit_text(&handler, "S");
        emit_show_flat(&handler);
        EMIT(&handler, "\x2e\xfe\x06\x00\x90"); /* inc byte cs:[0x9000] */
        emit_rsm(&handler);
        emit_set_up(bench, &code, 0x1a);
        if (!vga)
            emit_show(&code);
        EMIT(&code,
             "\xb8\x00\xa8\x8e\xc0\x26\xc6\x06\x00\x00\xcc"); /* mov ax, 0xa800; mov es, ax; mov byte es:[0], 0xcc */
        emit_cfg8(&code, I440FX_FN, SMRAM, 0x4a);
        EMIT(&code, "\x26\xc6\x06\x00\x00\xcc");
        if (!vga)
            emit_show(&code);
        emit_out8(&code, 0xb2, 1);
        emit_text(&code, "-");
        emit_out8(&code, 0xb2, 1);
        emit_text(&code, ".");
        emit_poweroff(&code);
        code_end(&code);
        if (vga)
            RUN(bench, true, "S\xeb-S\xeb.");
        else
            RUN(bench, false, "\xff\xffS\xeb-S\xeb.");
        assert_int_equal(cfg_read8(bench, I440FX_FN, SMRAM), 0x1a);
        assert_string_equal(seen_at(bench, 0xa8000), vga ? "vga-lowmem" : "smram-pci");
        assert_int_equal(smm8(bench, 0xa8000), 0xeb);
        assert_int_equal(smm8(bench, 0xa9000), 2);
        assert_int_equal(smm32(bench, 0xafef8), 0xa0000);
        assert_int_equal(smm32(bench, 0xafefc), 0x20000);
        bench_free(bench);
    }
}

/* With D_CLS the handler still runs from SMRAM, but its data accesses are those of outside. RSM works all the same. */
static void test_closed_to_data(void **state)
{
    struct bench *bench = bench_new();
    struct code code = code_begin(bench), handler = code_at(bench, HANDLER);

    (void)state;
    EMIT(&handler, "\xeb\x00");
    emit_show_flat(&handler);
    emit_cfg8(&handler, I440FX_FN, SMRAM, 0x2a);
    emit_show_flat(&handler);
    EMIT(&handler, "\x67\xc6\x05\x00\x90\x0a\x00\x77"); /* mov byte [dword 0xa9000], 0x77 */
    emit_cfg8(&handler, I440FX_FN, SMRAM, 0x0a);
    emit_show_flat(&handler);
    emit_cfg8(&handler, I440FX_FN, SMRAM, 0x2a);
    emit_rsm(&handler);
    emit_set_up(bench, &code, 0x1a);
    emit_out8(&code, 0xb2, 1);
    emit_show(&code);
    emit_poweroff(&code);
    code_end(&code);
    RUN(bench, false, "\xeb\xff\xeb\xff");
    assert_int_equal(smm8(bench, 0xa9000), 0);
    bench_free(bench);
}

/* A handler that leaves nothing as it was. */
static void emit_clobber(struct code *code)
{
    EMIT(code, "\x66\xb8\x5a\x5a\x5a\x5a"); /* mov eax, 0x5a5a5a5a */
    EMIT(code,
         "\x66\x89\xc3\x66\x89\xc1\x66\x89\xc2\x66\x89\xc6\x66\x89\xc7\x66\x89\xc5\x66\x89\xc4"); /* to all others */
    EMIT(code, "\x8e\xd8\x8e\xc0\x8e\xe0\x8e\xe8\x8e\xd0");             /* and to segment registers */
    EMIT(code, "\x2e\x0f\x01\x16\x00\x80\x2e\x0f\x01\x1e\x10\x80\xfc"); /* lgdt cs:[0x8000]; lidt cs:[0x8010]; cld */
    EMIT(code, "\x0f\x20\xc0\x0c\x02\x0f\x22\xc0");                     /* mov eax, cr0; or al, 2 (MP); mov cr0, eax */
    emit_rsm(code);
}

static void emit_values(struct code *code)
{
    for (uint8_t reg = 0; reg < 8; reg++) {
        if (reg == 4) /* esp */
            continue;
        emit_size(code, 32);
        *code->at++ = (uint8_t)(0xb8 + reg); /* mov reg, value */
        emit32(code, 0x01020304u * (reg + 1u));
    }
}

static void check_values(struct bench *bench)
{
    /* As pushad puts them: eax first, so highest. */
    for (unsigned reg = 0; reg < 8; reg++) {
        uint32_t value = ram32(bench, STACK - 4 - 4 * reg);

        if (reg == 4)
            assert_int_equal(value, STACK);
        else if (reg == 2)
            assert_int_equal(value, (0x01020304u * 3 & 0xffff0000) | 0xb2);
        else if (reg == 0)
            assert_int_equal(value, (0x01020304u & 0xffffff00) | 1);
        else
            assert_int_equal(value, 0x01020304u * (reg + 1));
    }
}

/* All that a guest in real mode has is there again. */
static void test_back_in_real_mode(void **state)
{
    struct bench *bench = bench_new();
    struct code code = code_begin(bench), handler = code_at(bench, HANDLER);

    (void)state;
    emit_clobber(&handler);
    emit_set_up(bench, &code, 0x1a);
    EMIT(&code,
         "\xb8\x11\x11\x8e\xd8\xb8\x22\x22\x8e\xc0\xb8\x33\x33\x8e\xe0\xb8\x44\x44\x8e\xe8"); /* ds, es, fs, gs */
    EMIT(&code, "\x31\xc0\x8e\xd0\x66\xbc\x00\x07\x00\x00"); /* xor ax, ax; mov ss, ax; mov esp, 0x700 */
    emit_values(&code);
    EMIT(&code, "\xf9\xfd"); /* stc; std */
    emit_out8(&code, 0xb2, 1);
    EMIT(&code, "\x66\x60\x66\x9c\x1e\x06\x0f\xa0\x0f\xa8"); /* pushad; pushfd; push ds, es, fs, gs */
    emit_text(&code, ".");
    emit_poweroff(&code);
    code_end(&code);
    RUN(bench, false, ".");
    check_values(bench);
    assert_int_equal(ram32(bench, STACK - 36) & FLAGS_SET, 0x401);
    assert_int_equal(ram16(bench, STACK - 38), 0x1111);
    assert_int_equal(ram16(bench, STACK - 40), 0x2222);
    assert_int_equal(ram16(bench, STACK - 42), 0x3333);
    assert_int_equal(ram16(bench, STACK - 44), 0x4444);
    bench_free(bench);
}

/* And in protected mode: 32-bit code goes on with its segments, tables and CR0. */
static void test_back_in_protected_mode(void **state)
{
    static const uint8_t tables[] = {
        0x17, 0x00, 0x10, 0x70, 0x0f, 0x00, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0, /* for lgdt: 24 bytes at 0xf7010 */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,                         /* null */
        0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00,                         /* 0x08: flat 32-bit code */
        0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00,                         /* 0x10: flat data */
    };
    struct bench *bench = bench_new();
    struct code code = code_begin(bench), handler = code_at(bench, HANDLER);
    struct code wide = {.at = bench->firmware + IN_32BIT, .code32 = true};

    (void)state;
    memcpy(bench->firmware + GDT, tables, sizeof(tables));
    emit_clobber(&handler);
    emit_set_up(bench, &code, 0x1a);
    EMIT(&code, "\x2e\x66\x0f\x01\x16\x00\x70");                             /* lgdt cs:[0x7000] */
    EMIT(&code, "\x0f\x20\xc0\x0c\x01\x0f\x22\xc0");                         /* mov eax, cr0; or al, 1; mov cr0, eax */
    EMIT(&code, "\x66\xea\x00\x60\x0f\x00\x08\x00");                         /* jmp 8:0xf6000 */
    EMIT(&wide, "\x66\xb8\x10\x00\x8e\xd8\x8e\xc0\x8e\xd0\x8e\xe0\x8e\xe8"); /* mov ax, 0x10; to ds, es, ss, fs, gs */
    EMIT(&wide, "\x0f\x20\xc0\xa3\x10\x08\x00\x00");                         /* mov eax, cr0; mov [0x810], eax */
    EMIT(&wide, "\xbc\x00\x07\x00\x00");                                     /* mov esp, 0x700 */
    emit_values(&wide);
    EMIT(&wide, "\xf9\xfd");
    emit_out8(&wide, 0xb2, 1);
    EMIT(&wide, "\x60\x9c\x1e\x06\x0f\xa0\x0f\xa8\x0e\x16"); /* pushad; pushfd; push ds, es, fs, gs, cs, ss */
    EMIT(&wide, "\x0f\x20\xc0\xa3\x14\x08\x00\x00");         /* mov eax, cr0; mov [0x814], eax */
    EMIT(&wide, "\x0f\x01\x05\x00\x08\x00\x00");             /* sgdt [0x800] */
    emit_text(&wide, ".");
    emit_poweroff(&wide);
    code_end(&wide);
    code_end(&code);
    RUN(bench, false, ".");
    check_values(bench);
    assert_int_equal(ram32(bench, STACK - 36) & FLAGS_SET, 0x401);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(ram16(bench, STACK - 40 - 4 * i), i == 4 ? 0x08 : 0x10);
    assert_int_equal(ram32(bench, 0x814), ram32(bench, 0x810));
    assert_int_equal(ram32(bench, 0x810) & 1, 1);
    assert_int_equal(ram16(bench, 0x800), 0x17);
    assert_int_equal(ram32(bench, 0x802), 0xf7010);
    bench_free(bench);
}

/* How long the log was when it was looked at last. */
static unsigned known_len;

static bool has_more(struct bench *bench)
{
    return atomic_load(&bench->event) || atomic_load(&bench->console_len) != known_len;
}

/*
 * SMIs come from outside while a processor waits in HLT. It waits again afterwards, until the handler says that it is not to.
 * Those that come before it waits are told apart by the handler.
 */
static void test_halted(void **state)
{
    struct bench *bench = bench_new();
    struct code code = code_begin(bench), handler = code_at(bench, HANDLER);
    const struct pc_config config = smm_config(bench, false);
    uint8_t *halted, *later;

    (void)state;
    EMIT(&handler, "\x2e\xf6\x06\x02\xff\x01"); /* test byte cs:[0xff02], 1 */
    halted = emit_jump(&handler, 0x75);         /* jnz */
    emit_text(&handler, "n");
    emit_rsm(&handler);
    emit_land(&handler, halted);
    EMIT(&handler, "\x2e\xfe\x06\x00\x90\x2e\x80\x3e\x00\x90\x02"); /* inc byte cs:[0x9000]; cmp byte cs:[0x9000], 2 */
    later = emit_jump(&handler, 0x73);                              /* jae */
    emit_text(&handler, "H");
    emit_rsm(&handler);
    emit_land(&handler, later);
    EMIT(&handler, "\x2e\xc7\x06\x02\xff\x00\x00"); /* mov word cs:[0xff02], 0 */
    emit_text(&handler, "E");
    emit_rsm(&handler);
    emit_set_up(bench, &code, 0x1a);
    emit_text(&code, "h");
    EMIT(&code, "\xfa\xf4");
    emit_text(&code, ".");
    emit_poweroff(&code);
    code_end(&code);
    open_guest(bench, &config);
    /* Each SMI gives one character more; the first one is the guest's own. */
    for (known_len = 0; known_len < 1000;) {
        if (!wait_until(has_more, bench, WAIT))
            fail_msg("nothing came of SMI %u", known_len);
        known_len = atomic_load(&bench->console_len);
        if (memchr(bench->console, 'E', known_len))
            break;
        send_smi(bench);
    }
    run_to(bench, PC_EVENT_POWEROFF);
    assert_int_equal(bench->console[0], 'h');
    assert_non_null(strstr(bench->console, "HE."));
    assert_int_equal(strspn(bench->console + 1, "n"), strlen(bench->console) - 4);
    bench_free(bench);
}

/* SMIs during the handler are one, which comes after it. */
static void test_nested(void **state)
{
    struct bench *bench = bench_new();
    struct code code = code_begin(bench), handler = code_at(bench, HANDLER);
    uint8_t *again;

    (void)state;
    EMIT(&handler, "\x2e\x80\x3e\x00\x90\x01"); /* cmp byte cs:[0x9000], 1 */
    again = emit_jump(&handler, 0x74);
    EMIT(&handler, "\x2e\xc6\x06\x00\x90\x01"); /* mov byte cs:[0x9000], 1 */
    emit_text(&handler, "(");
    emit_out8(&handler, 0xb2, 2);
    emit_out8(&handler, 0xb2, 3);
    emit_text(&handler, ")");
    emit_rsm(&handler);
    emit_land(&handler, again);
    emit_text(&handler, "2");
    emit_rsm(&handler);
    emit_set_up(bench, &code, 0x1a);
    emit_out8(&code, 0xb2, 1);
    emit_text(&code, ".");
    emit_poweroff(&code);
    code_end(&code);
    RUN(bench, false, "()2.");
    bench_free(bench);
}

/* RSM is no instruction outside of the mode. */
static void test_rsm_outside(void **state)
{
    struct bench *bench = bench_new();
    struct code code = code_begin(bench), invalid = code_at(bench, HANDLER);

    (void)state;
    emit_text(&invalid, "U");
    emit_poweroff(&invalid);
    code_end(&invalid);
    EMIT(&code, "\x31\xc0\x8e\xd8\x8e\xd0\xbc\x00\x07"); /* xor ax, ax; mov ds, ax; mov ss, ax; mov sp, 0x700 */
    EMIT(&code, "\xc7\x06\x18\x00\x00\x80\xc7\x06\x1a\x00\x00\xf0"); /* vector 6 is 0xf000:0x8000 */
    emit_rsm(&code);
    emit_text(&code, "!");
    code_end(&code);
    RUN(bench, false, "U");
    bench_free(bench);
}

/* A state that no processor can have shuts it down. */
static void test_bad_state(void **state)
{
    struct bench *bench = bench_new();
    const struct pc_config config = smm_config(bench, false);
    struct code code = code_begin(bench), handler = code_at(bench, HANDLER);

    (void)state;
    EMIT(&handler, "\x2e\x66\xc7\x06\xfc\xff\x10\x00\x00\x80"); /* mov dword cs:[0xfffc], 0x80000010: PG without PE */
    emit_rsm(&handler);
    emit_set_up(bench, &code, 0x1a);
    emit_out8(&code, 0xb2, 1);
    emit_text(&code, "!");
    code_end(&code);
    open_guest(bench, &config);
    run_to(bench, PC_EVENT_SHUTDOWN);
    assert_int_equal(atomic_load(&bench->console_len), 0);
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_closed_to_data),
        cmocka_unit_test(test_back_in_real_mode),
        cmocka_unit_test(test_back_in_protected_mode),
        cmocka_unit_test(test_halted),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_rsm_outside),
        cmocka_unit_test(test_bad_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
