/* SPDX-License-Identifier: MIT */
/*
 * test-pc-smm-state.c - what an SMI saves of an interpreted processor, where, and what RSM brings back. No interpreter: a set of
 * registers and a space with RAM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_interp_smm.h"
#include "pc-ports.h"

#define MAP 0xfe00u /* from SMBASE */

struct bench {
    struct ports ports;
    x86emu_t *emu;
    struct cpu_interp_smm smm;
};

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));

    assert_non_null(bench);
    ports_open(&bench->ports);
    bench->emu = x86emu_new(0, 0);
    assert_non_null(bench->emu);
    bench->smm.space = bench->ports.memory;
    bench->smm.attrs.secure = true;
    cpu_interp_smm_reset(&bench->smm);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    x86emu_done(bench->emu);
    ports_close(&bench->ports);
    free(bench);
    return 0;
}

static uint32_t load32(struct bench *bench, uint32_t addr)
{
    uint32_t value;

    assert_int_equal(gmem_ld32_le(bench->ports.memory, addr, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static void store32(struct bench *bench, uint32_t addr, uint32_t value)
{
    assert_int_equal(gmem_st32_le(bench->ports.memory, addr, GMEM_ATTRS_NONE, value), GMEM_OK);
}

/* Every register that is saved gets a value of its own; flat is what has to be like that in protected mode. */
static void fill(x86emu_regs_t *regs, uint32_t cr0, uint16_t code_acc)
{
    uint32_t *const general[] = {&regs->R_EAX, &regs->R_ECX, &regs->R_EDX, &regs->R_EBX, &regs->R_ESP,
                                 &regs->R_EBP, &regs->R_ESI, &regs->R_EDI, &regs->R_EIP, &regs->R_CR3};

    for (unsigned i = 0; i < sizeof(general) / sizeof(general[0]); i++)
        *general[i] = 0x11223344u * (i + 1) + i;
    for (unsigned i = 0; i < 6; i++)
        regs->seg[i] = (sel_t){.base = 0x01010000u * (i + 1),
                               .limit = 0xffffu + (i << 16),
                               .sel = (uint16_t)(0x1000u + i),
                               .acc = (uint16_t)(0x93u + (i << 8))};
    regs->R_CS_ACC = code_acc;
    regs->ldt = (sel_t){.base = 0x70000, .limit = 0x1f, .sel = 0x28, .acc = 0x82};
    regs->tr = (sel_t){.base = 0x71000, .limit = 0x67, .sel = 0x30, .acc = 0x8b};
    regs->R_GDT_BASE = 0x72000;
    regs->R_GDT_LIMIT = 0x3f;
    regs->R_IDT_BASE = 0x73000;
    regs->R_IDT_LIMIT = 0x7ff;
    regs->R_CR0 = cr0;
    regs->R_CR4 = 0x600;
    regs->R_DR6 = 0xffff0ff0;
    regs->R_DR7 = 0x455;
    regs->R_EFLG = 0x00000ad7;
}

static void scribble(x86emu_regs_t *regs)
{
    const x86emu_regs_t before = *regs;

    memset(&regs->gen, 0x5a, sizeof(regs->gen));
    memset(&regs->spc, 0x5a, sizeof(regs->spc));
    memset(regs->seg, 0x5a, sizeof(regs->seg));
    memset(&regs->ldt, 0x5a, sizeof(regs->ldt));
    memset(&regs->tr, 0x5a, sizeof(regs->tr));
    memset(regs->crx, 0x5a, sizeof(regs->crx));
    memset(regs->drx, 0x5a, sizeof(regs->drx));
    memset(&regs->gdt, 0x5a, sizeof(regs->gdt));
    memset(&regs->idt, 0x5a, sizeof(regs->idt));
    /* What the mode does not save is the handler's to keep. */
    regs->R_CR2 = before.R_CR2;
    memcpy(regs->drx, before.drx, 6 * sizeof(regs->drx[0]));
}

/* In words, so that unnamed padding is not compared. */
static void assert_same(const x86emu_regs_t *now, const x86emu_regs_t *then)
{
    static const unsigned crx[] = {0, 2, 3, 4}, drx[] = {0, 1, 2, 3, 6, 7};

    assert_memory_equal(&now->gen, &then->gen, sizeof(now->gen));
    assert_memory_equal(&now->spc, &then->spc, sizeof(now->spc));
    assert_memory_equal(now->seg, then->seg, 6 * sizeof(now->seg[0]));
    assert_memory_equal(&now->ldt, &then->ldt, sizeof(now->ldt));
    assert_memory_equal(&now->tr, &then->tr, sizeof(now->tr));
    assert_memory_equal(&now->gdt, &then->gdt, sizeof(now->gdt));
    assert_memory_equal(&now->idt, &then->idt, sizeof(now->idt));
    for (unsigned i = 0; i < sizeof(crx) / sizeof(crx[0]); i++)
        assert_int_equal(now->crx[crx[i]], then->crx[crx[i]]);
    for (unsigned i = 0; i < sizeof(drx) / sizeof(drx[0]); i++)
        assert_int_equal(now->drx[drx[i]], then->drx[drx[i]]);
}

/* Real mode, protected mode with 16 and 32 bits; running and halted. */
static void test_round_trip(void **state)
{
    static const struct {
        uint32_t cr0;
        uint16_t acc;
        bool halted;
    } cases[] = {
        {0x60000010, 0x09b, false}, {0x60000010, 0x09b, true}, {0x60000011, 0x09b, false},
        {0x60000011, 0xc9b, false}, {0x0000003f, 0xcfb, true}, {0x8000003b, 0xc9b, false},
    };
    struct bench *bench = *state;
    x86emu_regs_t *regs = &bench->emu->x86, before;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fill(regs, cases[i].cr0, cases[i].acc);
        before = *regs;
        bench->smm.halted = cases[i].halted;
        cpu_interp_smm_enter(bench->emu, &bench->smm);
        assert_true(bench->smm.active);
        assert_false(bench->smm.halted);
        scribble(regs);
        assert_true(cpu_interp_smm_leave(bench->emu, &bench->smm));
        assert_false(bench->smm.active);
        assert_int_equal(bench->smm.halted, cases[i].halted);
        assert_int_equal(bench->smm.smbase, 0x30000);
        assert_same(regs, &before);
    }
}

/* How the processor begins the handler. */
static void test_entry(void **state)
{
    struct bench *bench = *state;
    x86emu_regs_t *regs = &bench->emu->x86;

    for (unsigned i = 0; i < 2; i++) {
        const uint32_t smbase = i ? 0x000a0010 : 0x30000;

        fill(regs, 0xe000003f, 0xc9b);
        bench->smm.smbase = smbase;
        cpu_interp_smm_enter(bench->emu, &bench->smm);
        assert_int_equal(regs->R_EIP, 0x8000);
        assert_int_equal(regs->R_EFLG, 2);
        assert_int_equal(regs->R_CS, smbase >> 4);
        for (unsigned n = 0; n < 6; n++) {
            assert_int_equal(regs->seg[n].base, n == R_CS_INDEX ? smbase : 0);
            assert_int_equal(regs->seg[n].limit, UINT32_MAX);
            assert_int_equal(ACC_D(regs->seg[n].acc), 0);
            assert_int_equal(ACC_P(regs->seg[n].acc) && ACC_S(regs->seg[n].acc) && ACC_W(regs->seg[n].acc), 1);
            if (n != R_CS_INDEX)
                assert_int_equal(regs->seg[n].sel, 0);
        }
        /* PE, EM, TS and PG are cleared, others stay. */
        assert_int_equal(regs->R_CR0, 0x60000032);
        assert_int_equal(regs->R_CR4, 0);
        assert_int_equal(regs->R_DR7, 0x400);
        assert_int_equal(regs->R_GDT_BASE, 0x72000);
        assert_int_equal(regs->R_IDT_LIMIT, 0x7ff);
    }
}

/* Where the manual says. */
static void test_map(void **state)
{
    struct bench *bench = *state;
    x86emu_regs_t *regs = &bench->emu->x86, before;
    const uint32_t map = 0x30000 + 0x8000;

    fill(regs, 0x60000011, 0xc9b);
    before = *regs;
    bench->smm.halted = true;
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    assert_int_equal(load32(bench, map + 0x7ffc), before.R_CR0);
    assert_int_equal(load32(bench, map + 0x7ff8), before.R_CR3);
    assert_int_equal(load32(bench, map + 0x7ff4), before.R_EFLG);
    assert_int_equal(load32(bench, map + 0x7ff0), before.R_EIP);
    assert_int_equal(load32(bench, map + 0x7fec), before.R_EDI);
    assert_int_equal(load32(bench, map + 0x7fe8), before.R_ESI);
    assert_int_equal(load32(bench, map + 0x7fe4), before.R_EBP);
    assert_int_equal(load32(bench, map + 0x7fe0), before.R_ESP);
    assert_int_equal(load32(bench, map + 0x7fdc), before.R_EBX);
    assert_int_equal(load32(bench, map + 0x7fd8), before.R_EDX);
    assert_int_equal(load32(bench, map + 0x7fd4), before.R_ECX);
    assert_int_equal(load32(bench, map + 0x7fd0), before.R_EAX);
    assert_int_equal(load32(bench, map + 0x7fcc), before.R_DR6);
    assert_int_equal(load32(bench, map + 0x7fc8), before.R_DR7);
    assert_int_equal(load32(bench, map + 0x7fc4), before.R_TR);
    assert_int_equal(load32(bench, map + 0x7fc0), before.R_LDT);
    assert_int_equal(load32(bench, map + 0x7fbc), before.R_GS);
    assert_int_equal(load32(bench, map + 0x7fb8), before.R_FS);
    assert_int_equal(load32(bench, map + 0x7fb4), before.R_DS);
    assert_int_equal(load32(bench, map + 0x7fb0), before.R_SS);
    assert_int_equal(load32(bench, map + 0x7fac), before.R_CS);
    assert_int_equal(load32(bench, map + 0x7fa8), before.R_ES);
    assert_int_equal(load32(bench, map + 0x7f00), 0x00010000);
    assert_int_equal(load32(bench, map + 0x7efc), 0x00020000);
    assert_int_equal(load32(bench, map + 0x7ef8), 0x30000);
    /* 512 bytes and no more. */
    assert_int_equal(load32(bench, map + 0x7dfc), 0);
    assert_int_equal(load32(bench, map + 0x8000), 0);
}

/* What the handler writes there is what the processor goes on with. */
static void test_handler_changes(void **state)
{
    struct bench *bench = *state;
    x86emu_regs_t *regs = &bench->emu->x86;
    const uint32_t map = 0x30000 + 0x8000;

    fill(regs, 0x60000011, 0xc9b);
    bench->smm.halted = true;
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    store32(bench, map + 0x7fd0, 0xcafe);
    store32(bench, map + 0x7ff0, 0x1234);
    store32(bench, map + 0x7ff4, 0xffffffff);
    store32(bench, map + 0x7f00, 0);
    store32(bench, map + 0x7ef8, 0xa0000);
    assert_true(cpu_interp_smm_leave(bench->emu, &bench->smm));
    assert_int_equal(regs->R_EAX, 0xcafe);
    assert_int_equal(regs->R_EIP, 0x1234);
    assert_int_equal(regs->R_EFLG, 0x003f7fd7);
    assert_false(bench->smm.halted);
    assert_int_equal(bench->smm.smbase, 0xa0000);
    /* And the next SMI goes there. */
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    assert_int_equal(load32(bench, 0xa0000 + MAP + 0xf8), 0xa0000);
    assert_int_equal(load32(bench, 0xa0000 + MAP + 0x1d0), 0xcafe);
    assert_int_equal(regs->R_CS_BASE, 0xa0000);
    /* It need not be aligned on 32 KiB. */
    store32(bench, 0xa0000 + MAP + 0xf8, 0x41234);
    assert_true(cpu_interp_smm_leave(bench->emu, &bench->smm));
    assert_int_equal(bench->smm.smbase, 0x41234);
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    assert_int_equal(regs->R_CS_BASE, 0x41234);
    assert_int_equal(load32(bench, 0x41234 + MAP + 0xf8), 0x41234);
    cpu_interp_smm_reset(&bench->smm);
    assert_false(bench->smm.active);
    assert_int_equal(bench->smm.smbase, 0x30000);
}

/* A copy of the 512 bytes is the whole state: handlers swap such copies. */
static void test_swap(void **state)
{
    struct bench *bench = *state;
    x86emu_regs_t *regs = &bench->emu->x86, first, second;
    uint8_t copy[512];

    fill(regs, 0x60000011, 0xc9b);
    first = *regs;
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    assert_int_equal(gmem_space_read(bench->ports.memory, 0x30000 + MAP, GMEM_ATTRS_NONE, copy, sizeof(copy)), GMEM_OK);
    assert_true(cpu_interp_smm_leave(bench->emu, &bench->smm));
    fill(regs, 0x60000010, 0x09b);
    regs->R_EAX = 7;
    regs->ldt.base = 0;
    second = *regs;
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    for (unsigned i = 0; i < sizeof(copy); i++) {
        uint8_t other;

        assert_int_equal(gmem_ld8(bench->ports.memory, 0x30000 + MAP + i, GMEM_ATTRS_NONE, &other), GMEM_OK);
        assert_int_equal(gmem_st8(bench->ports.memory, 0x30000 + MAP + i, GMEM_ATTRS_NONE, copy[i]), GMEM_OK);
        copy[i] = other;
    }
    assert_true(cpu_interp_smm_leave(bench->emu, &bench->smm));
    assert_same(regs, &first);
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    assert_int_equal(gmem_space_write(bench->ports.memory, 0x30000 + MAP, GMEM_ATTRS_NONE, copy, sizeof(copy)),
                     GMEM_OK);
    assert_true(cpu_interp_smm_leave(bench->emu, &bench->smm));
    assert_same(regs, &second);
}

/* States that no processor has shut it down, and nothing was changed. */
static void test_shutdown(void **state)
{
    static const struct {
        uint32_t offset, value;
        bool fine;
    } cases[] = {
        {0x1fc, 0x80000010, false}, {0x1fc, 0x80000011, true},  {0x1fc, 0x20000011, false},
        {0x1fc, 0x60000011, true},  {0x1fc, 0x40000011, true},  {0x1fc, 0xffffffff, true},
        {0x06c, 0x00000800, false}, {0x06c, 0x80000000, false}, {0x06c, 0x000007ff, true},
    };
    struct bench *bench = *state;
    x86emu_regs_t *regs = &bench->emu->x86;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        x86emu_regs_t handler;

        cpu_interp_smm_reset(&bench->smm);
        fill(regs, 0x60000011, 0xc9b);
        cpu_interp_smm_enter(bench->emu, &bench->smm);
        handler = *regs;
        store32(bench, 0x30000 + MAP + cases[i].offset, cases[i].value);
        store32(bench, 0x30000 + MAP + 0xf8, 0xa0000);
        assert_int_equal(cpu_interp_smm_leave(bench->emu, &bench->smm), cases[i].fine);
        assert_int_equal(bench->smm.active, !cases[i].fine);
        assert_int_equal(bench->smm.smbase, cases[i].fine ? 0xa0000 : 0x30000);
        if (!cases[i].fine)
            assert_same(regs, &handler);
    }
}

/* Where there is no memory, nothing is kept, and what comes back is no state. */
static void test_nowhere(void **state)
{
    struct bench *bench = *state;

    fill(&bench->emu->x86, 0x60000011, 0xc9b);
    bench->smm.smbase = 0x80000000;
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    assert_int_equal(bench->emu->x86.R_CS_BASE, 0x80000000);
    assert_false(cpu_interp_smm_leave(bench->emu, &bench->smm));
    assert_true(bench->smm.active);
}

/* Addresses have 32 bits: a map across their end begins again at 0. */
static void test_wraps(void **state)
{
    struct bench *bench = *state;
    x86emu_regs_t *regs = &bench->emu->x86;

    fill(regs, 0x60000011, 0xc9b);
    bench->smm.smbase = 0u - MAP - 0x100;
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    assert_int_equal(load32(bench, 0x1fc - 0x100), 0x60000011);
    bench->smm.smbase = 0u - MAP;
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    assert_int_equal(load32(bench, 0x0f8), 0u - MAP);
}

static gmem_result seen_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    unsigned *secure = opaque;

    (void)offset, (void)size, (void)value;
    *secure += attrs.secure;
    return GMEM_OK;
}

static gmem_result seen_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    unsigned *secure = opaque;

    (void)offset, (void)size;
    *secure += attrs.secure;
    *ret_value = 0;
    return GMEM_OK;
}

/* Every access has the mode's attributes. */
static void test_attributes(void **state)
{
    static const struct gmem_mmio_ops ops = {
        .read = seen_read, .write = seen_write, .valid = {.max = 4}, .impl = {.min = 4, .max = 4}};
    struct bench *bench = *state;
    unsigned secure = 0;
    gmem_region *device;

    assert_int_equal(gmem_region_create_mmio(bench->ports.vm, "seen", GMEM_SIZE(0x1000), &ops, &secure, NULL, &device),
                     0);
    assert_int_equal(gmem_region_add(bench->ports.system, 0x200000, device), 0);
    bench->smm.smbase = 0x200000 - MAP;
    fill(&bench->emu->x86, 0x60000011, 0xc9b);
    cpu_interp_smm_enter(bench->emu, &bench->smm);
    assert_int_equal(secure, 128);
    assert_true(cpu_interp_smm_leave(bench->emu, &bench->smm));
    assert_int_equal(secure, 256);
    assert_int_equal(gmem_region_remove(bench->ports.system, device), 0);
    gmem_region_unref(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handler_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shutdown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wraps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attributes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
