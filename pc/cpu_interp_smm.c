/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_smm.c - the state save map, written and read.
 *
 * The map is a table of fields: where in it, and what of the processor. What the manual documents is where it says. What it only
 * calls saved (descriptor caches, GDTR, IDTR, CR4) is at places of this file's choice among those it calls reserved, in the same
 * 512 bytes, so that a handler which copies the map as a whole, as SeaBIOS's does, has all of it.
 *
 * Runs on the interpreter's thread with the device lock held. Nothing in the map is trusted: the guest may have written it. All
 * of it is values of registers, none is used as an index or address here.
 */
#include "cpu_interp_smm.h"

#include <stddef.h>
#include <string.h>

#define SMBASE_RESET 0x30000u
#define ENTRY 0x8000u
#define REVISION 0x00020000u

#define MAP 0xfe00u /* from SMBASE */
#define MAP_SIZE 0x200u

/* Offsets in the map: the manual's less 0x7e00. */
#define MAP_CR0 0x1fcu
#define MAP_CR3 0x1f8u
#define MAP_EFLAGS 0x1f4u
#define MAP_EIP 0x1f0u
#define MAP_EDI 0x1ecu
#define MAP_ESI 0x1e8u
#define MAP_EBP 0x1e4u
#define MAP_ESP 0x1e0u
#define MAP_EBX 0x1dcu
#define MAP_EDX 0x1d8u
#define MAP_ECX 0x1d4u
#define MAP_EAX 0x1d0u
#define MAP_DR6 0x1ccu
#define MAP_DR7 0x1c8u
#define MAP_TR 0x1c4u
#define MAP_LDTR 0x1c0u
#define MAP_GS 0x1bcu
#define MAP_FS 0x1b8u
#define MAP_DS 0x1b4u
#define MAP_SS 0x1b0u
#define MAP_CS 0x1acu
#define MAP_ES 0x1a8u
#define MAP_HALT 0x102u /* a word */
#define MAP_REVISION 0x0fcu
#define MAP_SMBASE 0x0f8u

/* Reserved by the manual. A cache is base, limit and attributes, 4 bytes each. */
#define MAP_CACHES 0x080u /* of ES, CS, SS, DS, FS, GS, as libx86emu numbers them, LDTR, TR */
#define MAP_CACHE_SIZE 12u
#define MAP_GDT_BASE 0x070u
#define MAP_GDT_LIMIT 0x074u
#define MAP_IDT_BASE 0x078u
#define MAP_IDT_LIMIT 0x07cu
#define MAP_CR4 0x06cu

#define HALT_RESTART 0x1u

#define CR0_PE 0x00000001u
#define CR0_EMULATE 0x00000004u
#define CR0_TS 0x00000008u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u
#define CR4_DEFINED 0x000007ffu /* VME to PCE, OSFXSR, OSXMMEXCPT */
#define EFLAGS_ON 0x00000002u
#define EFLAGS_DEFINED 0x003f7fd5u
#define DR7_RESET 0x00000400u

#define ACC_FLAT 0x893u /* of 4 KiB pages, 16 bit, present, read and write, accessed; CS too, as in real mode */
#define ADDRESS_END UINT64_C(0x100000000)
#define SEGMENTS 6u
#define CACHES 8u

/* Selectors and their caches, in the order of MAP_CACHES. */
static const unsigned selector_fields[CACHES] = {MAP_ES, MAP_CS, MAP_SS, MAP_DS, MAP_FS, MAP_GS, MAP_LDTR, MAP_TR};

static void put32(uint8_t *map, unsigned field, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        map[field + i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get32(const uint8_t *map, unsigned field)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4; i++)
        value |= (uint32_t)map[field + i] << 8 * i;
    return value;
}

static uint16_t get16(const uint8_t *map, unsigned field)
{
    return (uint16_t)(map[field] | map[field + 1] << 8);
}

static sel_t *selector(x86emu_regs_t *regs, unsigned n)
{
    return n < SEGMENTS ? &regs->seg[n] : n == SEGMENTS ? &regs->ldt : &regs->tr;
}

/* The 32-bit registers that are moved as they are. */
static const struct field {
    unsigned map;
    size_t reg;
} fields[] = {
    {MAP_CR0, offsetof(x86emu_regs_t, R_CR0)},
    {MAP_CR3, offsetof(x86emu_regs_t, R_CR3)},
    {MAP_CR4, offsetof(x86emu_regs_t, R_CR4)},
    {MAP_EFLAGS, offsetof(x86emu_regs_t, R_EFLG)},
    {MAP_EIP, offsetof(x86emu_regs_t, R_EIP)},
    {MAP_EDI, offsetof(x86emu_regs_t, R_EDI)},
    {MAP_ESI, offsetof(x86emu_regs_t, R_ESI)},
    {MAP_EBP, offsetof(x86emu_regs_t, R_EBP)},
    {MAP_ESP, offsetof(x86emu_regs_t, R_ESP)},
    {MAP_EBX, offsetof(x86emu_regs_t, R_EBX)},
    {MAP_EDX, offsetof(x86emu_regs_t, R_EDX)},
    {MAP_ECX, offsetof(x86emu_regs_t, R_ECX)},
    {MAP_EAX, offsetof(x86emu_regs_t, R_EAX)},
    {MAP_DR6, offsetof(x86emu_regs_t, R_DR6)},
    {MAP_DR7, offsetof(x86emu_regs_t, R_DR7)},
    {MAP_GDT_BASE, offsetof(x86emu_regs_t, R_GDT_BASE)},
    {MAP_GDT_LIMIT, offsetof(x86emu_regs_t, R_GDT_LIMIT)},
    {MAP_IDT_BASE, offsetof(x86emu_regs_t, R_IDT_BASE)},
    {MAP_IDT_LIMIT, offsetof(x86emu_regs_t, R_IDT_LIMIT)},
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* The map's bytes, at 32-bit addresses that come round to 0. */
static gmem_result move_map(const struct cpu_interp_smm *smm, uint8_t *map, bool write)
{
    uint32_t at = smm->smbase + MAP;
    uint64_t below = ADDRESS_END - at;
    size_t first = below < MAP_SIZE ? (size_t)below : MAP_SIZE;

    gmem_result result = gmem_space_rw(smm->space, at, smm->attrs, map, first, write);

    if (first < MAP_SIZE)
        result |= gmem_space_rw(smm->space, 0, smm->attrs, map + first, MAP_SIZE - first, write);
    return result;
}

static void save(x86emu_regs_t *regs, const struct cpu_interp_smm *smm, uint8_t *map)
{
    for (size_t i = 0; i < FIELDS; i++) {
        uint32_t value;

        memcpy(&value, (const char *)regs + fields[i].reg, sizeof(value));
        put32(map, fields[i].map, value);
    }
    for (unsigned n = 0; n < CACHES; n++) {
        const sel_t *sel = selector(regs, n);
        unsigned cache = MAP_CACHES + n * MAP_CACHE_SIZE;

        put32(map, selector_fields[n], sel->sel);
        put32(map, cache, sel->base);
        put32(map, cache + 4, sel->limit);
        put32(map, cache + 8, sel->acc);
    }
    put32(map, MAP_HALT & ~3u, (smm->halted ? HALT_RESTART : 0) << 16);
    put32(map, MAP_REVISION, REVISION);
    put32(map, MAP_SMBASE, smm->smbase);
}

static void restore(x86emu_regs_t *regs, const uint8_t *map)
{
    for (size_t i = 0; i < FIELDS; i++) {
        uint32_t value = get32(map, fields[i].map);

        memcpy((char *)regs + fields[i].reg, &value, sizeof(value));
    }
    regs->R_EFLG = (regs->R_EFLG & EFLAGS_DEFINED) | EFLAGS_ON;
    for (unsigned n = 0; n < CACHES; n++) {
        sel_t *sel = selector(regs, n);
        unsigned cache = MAP_CACHES + n * MAP_CACHE_SIZE;

        sel->sel = get16(map, selector_fields[n]);
        sel->base = get32(map, cache);
        sel->limit = get32(map, cache + 4);
        sel->acc = get16(map, cache + 8);
    }
}

bool cpu_interp_smm_valid(uint32_t cr0, uint32_t cr4)
{
    return (!(cr0 & CR0_PG) || (cr0 & CR0_PE)) && (!(cr0 & CR0_NW) || (cr0 & CR0_CD)) && !(cr4 & ~CR4_DEFINED);
}

static void begin_handler(x86emu_regs_t *regs, uint32_t smbase)
{
    for (unsigned n = 0; n < SEGMENTS; n++)
        regs->seg[n] = (sel_t){.base = 0, .limit = UINT32_MAX, .sel = 0, .acc = ACC_FLAT};
    regs->R_CS_BASE = smbase;
    regs->R_CS = (uint16_t)(smbase >> 4);
    regs->R_EIP = ENTRY;
    regs->R_EFLG = EFLAGS_ON;
    regs->R_CR0 &= ~(CR0_PE | CR0_EMULATE | CR0_TS | CR0_PG);
    regs->R_CR4 = 0;
    regs->R_DR7 = DR7_RESET;
}

void cpu_interp_smm_reset(struct cpu_interp_smm *smm)
{
    smm->active = false;
    smm->halted = false;
    smm->smbase = SMBASE_RESET;
}

void cpu_interp_smm_enter(x86emu_t *emu, struct cpu_interp_smm *smm)
{
    uint8_t map[MAP_SIZE] = {0};

    save(&emu->x86, smm, map);
    (void)move_map(smm, map, true);
    begin_handler(&emu->x86, smm->smbase);
    smm->halted = false;
    smm->active = true;
}

bool cpu_interp_smm_leave(x86emu_t *emu, struct cpu_interp_smm *smm)
{
    uint8_t map[MAP_SIZE];

    if (move_map(smm, map, false) != GMEM_OK || !cpu_interp_smm_valid(get32(map, MAP_CR0), get32(map, MAP_CR4)))
        return false;
    restore(&emu->x86, map);
    smm->halted = get16(map, MAP_HALT) & HALT_RESTART;
    smm->smbase = get32(map, MAP_SMBASE);
    smm->active = false;
    return true;
}
