/* SPDX-License-Identifier: MIT */
/*
 * test-pc-vapic.c - the APIC option ROM and its port: what the firmware is given, which writes to the port are taken, and what
 * they change; and that everything else changes nothing. There is no processor: the tests say where one executes. (test-pc-kvm.c
 * has the ROM run by one.)
 *
 * Linked with the library's edits wrapped, so that the n-th can be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-machine.h"
#include "vapic.h"

#define I440FX_FN PCI_DEVFN(0, 0)
#define MEMORY (UINT64_C(16) << 20)
#define BASE 0xca000u /* where the firmware of recorded boots runs the ROM */
#define OUT 7u        /* the offset of the instruction in it */
#define BEHIND_OUT 9u

struct fixture {
    struct bench *bench;
    struct pci_processors processors;
    uint8_t *ram;
    uint64_t addr; /* where the processor executes */
    int err;
    char *map, *before;
    size_t used, room;
};

/* --- edits that are refused --- */

static unsigned edits_until_refusal; /* 0: none is refused */

static bool refuse_edit(void)
{
    return edits_until_refusal && --edits_until_refusal == 0;
}

int __real_gmem_vm_begin(gmem_vm *vm);
int __real_gmem_region_remove(gmem_region *container, gmem_region *child);
int __real_gmem_region_create_alias(gmem_vm *vm, const char *name, gmem_region *target, uint64_t offset, gmem_size size,
                                    const struct gmem_owner *owner, gmem_region **ret_region);
int __real_gmem_region_add_priority(gmem_region *container, uint64_t offset, gmem_region *child, int32_t priority);
int __wrap_gmem_vm_begin(gmem_vm *vm);
int __wrap_gmem_region_remove(gmem_region *container, gmem_region *child);
int __wrap_gmem_region_create_alias(gmem_vm *vm, const char *name, gmem_region *target, uint64_t offset, gmem_size size,
                                    const struct gmem_owner *owner, gmem_region **ret_region);
int __wrap_gmem_region_add_priority(gmem_region *container, uint64_t offset, gmem_region *child, int32_t priority);

int __wrap_gmem_vm_begin(gmem_vm *vm)
{
    return refuse_edit() ? -EAGAIN : __real_gmem_vm_begin(vm);
}

int __wrap_gmem_region_remove(gmem_region *container, gmem_region *child)
{
    return refuse_edit() ? -ENOMEM : __real_gmem_region_remove(container, child);
}

int __wrap_gmem_region_create_alias(gmem_vm *vm, const char *name, gmem_region *target, uint64_t offset, gmem_size size,
                                    const struct gmem_owner *owner, gmem_region **ret_region)
{
    return refuse_edit() ? -ENOMEM : __real_gmem_region_create_alias(vm, name, target, offset, size, owner, ret_region);
}

int __wrap_gmem_region_add_priority(gmem_region *container, uint64_t offset, gmem_region *child, int32_t priority)
{
    return refuse_edit() ? -ENOMEM : __real_gmem_region_add_priority(container, offset, child, priority);
}

/* --- a machine --- */

static int executing(void *opaque, uint64_t *ret_addr)
{
    struct fixture *f = opaque;

    *ret_addr = f->addr;
    return f->err;
}

static gmem_ram *find_block(struct bench *bench, const char *id)
{
    gmem_ram *block;

    assert_int_equal(gmem_ram_find(machine_vm(bench->machine), id, &block), 0);
    return block;
}

static uint8_t *ram_of(struct bench *bench)
{
    gmem_ram *block = find_block(bench, "pc.ram");
    uint8_t *host = gmem_ram_host(block);

    gmem_ram_unref(block);
    return host;
}

/* All of 0xc0000 to 0xfffff is RAM; or RAM that is write-protected. */
static void set_pam(struct bench *bench, bool writable)
{
    cfg_write32(bench, I440FX_FN, 0x58, writable ? 0x33333000 : 0x11111000);
    cfg_write32(bench, I440FX_FN, 0x5c, writable ? 0x33333333 : 0x11111111);
}

static struct fixture *open_with(bool vapic)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct pc_config config;

    assert_non_null(f);
    f->bench = bench_new();
    config = bench_config(f->bench, MEMORY, true);
    config.vapic = vapic;
    bench_open(f->bench, &config);
    f->ram = ram_of(f->bench);
    f->addr = BASE + BEHIND_OUT;
    f->processors = (struct pci_processors){.memory = machine_memory(f->bench->machine),
                                            .ports = machine_io(f->bench->machine),
                                            .executing = executing,
                                            .opaque = f};
    set_pam(f->bench, true); /* before: who runs from ROM that he takes away is told so */
    pci_bus_set_processors(machine_pci(f->bench->machine), &f->processors);
    return f;
}

static void close_it(struct fixture *f)
{
    bench_free(f->bench);
    free(f->map);
    free(f->before);
    free(f);
}

static int setup(void **state)
{
    *state = open_with(true);
    return 0;
}

static int teardown(void **state)
{
    close_it(*state);
    return 0;
}

static void put_rom(struct fixture *f, uint64_t base)
{
    vapic_rom_build(f->ram + base);
}

static void announce(struct fixture *f)
{
    out16(f->bench, VAPIC_PORT, VAPIC_ROM_WORD);
}

static uint64_t commits(struct fixture *f)
{
    struct gmem_vm_stats stats;

    gmem_vm_stats(machine_vm(f->bench->machine), &stats);
    return stats.commits;
}

static int put_text(void *opaque, const char *text, size_t len)
{
    struct fixture *f = opaque;

    if (f->used + len + 1 > f->room) {
        f->room = 2 * f->room + len + 4096;
        f->map = realloc(f->map, f->room);
        assert_non_null(f->map);
    }
    memcpy(f->map + f->used, text, len);
    f->used += len;
    f->map[f->used] = 0;
    return 0;
}

/* The whole map as text: every region and every view. */
static const char *print_map(struct fixture *f)
{
    gmem_vm *vm = machine_vm(f->bench->machine);

    f->used = 0;
    assert_int_equal(gmem_print_tree(vm, NULL, put_text, f), 0);
    assert_int_equal(gmem_print_flat(vm, NULL, put_text, f), 0);
    return f->map;
}

static void keep_map(struct fixture *f)
{
    free(f->before);
    f->before = strdup(print_map(f));
    assert_non_null(f->before);
}

/* The bytes from first to last are RAM that can be written, and on either side it is write-protected. */
static void assert_shown(struct fixture *f, uint64_t first, uint64_t last)
{
    struct gmem_section section;

    assert_int_equal(gmem_space_lookup(machine_memory(f->bench->machine), first, &section), 0);
    assert_string_equal(gmem_region_name(section.region), "pc.ram");
    assert_int_equal(section.first, first);
    assert_int_equal(section.last, last);
    assert_int_equal(section.offset, first);
    assert_false(section.attrs & GMEM_RANGE_READONLY);
    gmem_section_release(&section);
}

static bool writable(struct fixture *f, uint64_t addr)
{
    uint8_t was = f->ram[addr];
    bool changed;

    (void)gmem_st8(machine_memory(f->bench->machine), addr, GMEM_ATTRS_NONE, (uint8_t)~was);
    changed = f->ram[addr] != was;
    f->ram[addr] = was;
    return changed;
}

/* --- what the firmware is given --- */

static void select_item(struct fixture *f, uint16_t key)
{
    out16(f->bench, 0x510, key);
}

static uint32_t next_be(struct fixture *f, unsigned bytes)
{
    uint32_t value = 0;

    while (bytes--)
        value = value << 8 | in8(f->bench, 0x511);
    return value;
}

/* The key of a file, or 0. */
static uint16_t find_file(struct fixture *f, const char *name, uint32_t *ret_size)
{
    uint32_t count;

    select_item(f, FW_CFG_FILE_DIR);
    count = next_be(f, 4);
    while (count--) {
        char found[FW_CFG_NAME_MAX + 1];
        uint16_t key;

        *ret_size = next_be(f, 4);
        key = (uint16_t)next_be(f, 2);
        next_be(f, 2);
        for (unsigned i = 0; i < sizeof(found); i++)
            found[i] = (char)in8(f->bench, 0x511);
        if (strcmp(found, name) == 0)
            return key;
    }
    return 0;
}

static void read_rom(struct fixture *f, uint8_t *to)
{
    uint32_t size;
    uint16_t key = find_file(f, VAPIC_ROM_FILE, &size);

    assert_int_not_equal(key, 0);
    assert_int_equal(size, VAPIC_ROM_SIZE);
    select_item(f, key);
    for (unsigned i = 0; i < VAPIC_ROM_SIZE; i++)
        to[i] = in8(f->bench, 0x511);
}

static void test_rom(void **state)
{
    static const uint8_t code[] = {0x50, 0xb8, 0x20, 0x00, 0xe7, 0x7e, 0x58, 0xcb};
    uint8_t rom[VAPIC_ROM_SIZE], built[VAPIC_ROM_SIZE], sum = 0;

    read_rom(*state, rom);
    vapic_rom_build(built);
    assert_memory_equal(rom, built, VAPIC_ROM_SIZE);
    assert_memory_equal(rom, "\x55\xaa\x12", 3);
    assert_memory_equal(rom + 3, code, sizeof(code));
    assert_memory_equal(rom + 0x18, "\0\0\0\0", 4); /* no expansion headers */
    for (unsigned i = 0; i < VAPIC_ROM_SIZE; i++)
        sum = (uint8_t)(sum + rom[i]);
    assert_int_equal(sum, 0);
}

/* A machine that was not asked to have it has neither the port nor the file. */
static void test_absent(void **state)
{
    struct fixture *f = open_with(false);
    struct gmem_section section;
    uint32_t size;

    (void)state;
    put_rom(f, BASE);
    keep_map(f);
    assert_null(strstr(f->before, "kvmvapic"));
    assert_int_equal(find_file(f, VAPIC_ROM_FILE, &size), 0);
    assert_int_equal(gmem_space_lookup(machine_io(f->bench->machine), VAPIC_PORT, &section), 0);
    assert_string_equal(gmem_region_name(section.region), "io");
    gmem_section_release(&section);
    announce(f);
    assert_string_equal(print_map(f), f->before);
    assert_int_equal(f->bench->logs, 0);
    close_it(f);
}

static void test_port(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    assert_int_equal(gmem_space_lookup(machine_io(f->bench->machine), VAPIC_PORT, &section), 0);
    assert_string_equal(gmem_region_name(section.region), "kvmvapic");
    assert_int_equal(section.first, 0x7e);
    assert_int_equal(section.last, 0x7f);
    gmem_section_release(&section);
    assert_int_equal(in8(f->bench, 0x7e), 0xff);
    assert_int_equal(in8(f->bench, 0x7f), 0xff);
    assert_int_equal(in16(f->bench, 0x7e), 0xffff);
}

/* --- what is taken --- */

static void test_shown(void **state)
{
    struct fixture *f = *state;
    uint64_t count;

    put_rom(f, BASE);
    keep_map(f);
    assert_null(strstr(f->before, "kvmvapic-rom"));
    count = commits(f);
    announce(f);
    assert_int_equal(commits(f), count + 1);
    assert_non_null(strstr(print_map(f), "    00000000000ca000-00000000000ccfff (prio 1000, ram): alias kvmvapic-rom "
                                         "@pc.ram 00000000000ca000-00000000000ccfff\n"));
    /* Nothing is to be seen of it until the firmware write-protects the area. */
    set_pam(f->bench, false);
    assert_shown(f, 0xca000, 0xccfff);
    assert_true(writable(f, 0xca000));
    assert_true(writable(f, 0xccfff));
    assert_false(writable(f, 0xc9fff));
    assert_false(writable(f, 0xcd000));
    /* Nor does taking RAM away there take it away. */
    cfg_write32(f->bench, I440FX_FN, 0x58, 0);
    assert_shown(f, 0xca000, 0xccfff);
    assert_string_equal(seen_at(f->bench, 0xc9fff), "pc.rom");
    assert_int_equal(f->bench->logs, 0);
}

/* Whole pages, as in a recorded map where a ROM of 38 KiB comes before this one: 0xc9000 to 0xcbfff. */
static void test_whole_pages(void **state)
{
    struct fixture *f = *state;

    put_rom(f, 0xc9800);
    f->addr = 0xc9800 + OUT;
    announce(f);
    set_pam(f->bench, false);
    assert_shown(f, 0xc9000, 0xcbfff);
}

/* The header that is looked for is the nearest one whose ROM the processor is in; not what looks like one. */
static void test_nearest_header(void **state)
{
    struct fixture *f = *state;

    memcpy(f->ram + 0xc0000, "\x55\xaa\x80", 3); /* 64 KiB: the processor is in that too */
    put_rom(f, BASE);
    memcpy(f->ram + BASE + 0x800, "\x55\xaa\x00", 3);  /* of no size */
    memcpy(f->ram + BASE + 0x1000, "\x55\xaa\x01", 3); /* too short */
    memcpy(f->ram + BASE + 0x1800, "\x55\xab\x12", 3);
    memcpy(f->ram + BASE + 0x2000, "\x56\xaa\x12", 3);
    memcpy(f->ram + BASE + 0x2200, "\x55\xaa\x12", 3); /* no multiple of 2 KiB */
    f->addr = BASE + VAPIC_ROM_SIZE - 1;
    announce(f);
    set_pam(f->bench, false);
    assert_shown(f, 0xca000, 0xccfff);
}

/* The largest there is, and the last place there is. */
static void test_limits(void **state)
{
    struct fixture *f = *state;

    memcpy(f->ram + 0xc0000, "\x55\xaa\xff", 3);
    f->addr = 0xc0003;
    out16(f->bench, VAPIC_PORT, 0xffff); /* the offset is in it, just */
    set_pam(f->bench, false);
    assert_shown(f, 0xc0000, 0xdffff);
    memcpy(f->ram + 0xef800, "\x55\xaa\x04", 3);
    f->addr = 0xeffff;
    out16(f->bench, VAPIC_PORT, 0x7ff);
    assert_shown(f, 0xef000, 0xeffff);
    assert_int_equal(f->bench->logs, 0);
}

/* Again from the same place: nothing. From elsewhere, as when the guest's firmware begins anew: it moves. Each is one commit. */
static void test_again(void **state)
{
    struct fixture *f = *state;
    uint64_t count;

    put_rom(f, BASE);
    announce(f);
    set_pam(f->bench, false);
    count = commits(f);
    announce(f);
    assert_int_equal(commits(f), count);
    put_rom(f, 0xd0000);
    f->addr = 0xd0000 + OUT;
    announce(f);
    assert_int_equal(commits(f), count + 1);
    assert_shown(f, 0xd0000, 0xd2fff);
    assert_false(writable(f, 0xca000));
    /* A part of where it was, and back: there is never more than one. */
    put_rom(f, 0xd1000);
    f->addr = 0xd1000 + OUT;
    announce(f);
    assert_shown(f, 0xd1000, 0xd3fff);
    f->addr = BASE + OUT;
    keep_map(f);
    for (unsigned i = 0; i < 100; i++) {
        f->addr = BASE + OUT;
        announce(f);
        f->addr = 0xd1000 + OUT;
        announce(f);
    }
    assert_string_equal(print_map(f), f->before);
    assert_int_equal(f->bench->logs, 0);
}

/* --- what is not --- */

/* The write changes nothing at all, and why is logged. */
static void assert_ignored(struct fixture *f, uint16_t word, const char *why)
{
    char line[256];
    uint64_t count = commits(f);

    keep_map(f);
    out16(f->bench, VAPIC_PORT, word);
    assert_string_equal(print_map(f), f->before);
    assert_int_equal(commits(f), count);
    assert_int_equal(f->bench->logs, 1);
    snprintf(line, sizeof(line), "kvmvapic: a write to port 0x7e is ignored: %s", why);
    assert_string_equal(f->bench->last_log, line);
    /* Once, whatever comes. */
    out16(f->bench, VAPIC_PORT, word);
    f->err = -ENOENT;
    out16(f->bench, VAPIC_PORT, word);
    assert_string_equal(print_map(f), f->before);
    assert_int_equal(f->bench->logs, 1);
}

#define NOT_IN_ROM "it is not from an option ROM in RAM"
#define OUTSIDE "its offset is outside of the option ROM"
#define UNKNOWN "it can't be told which code it is from"

struct bad {
    uint32_t at; /* where the header is */
    uint8_t header[3];
    uint64_t addr;
    uint16_t word;
    const char *why;
};

static void test_ignored(void **state)
{
    static const struct bad cases[] = {
        {BASE, {0, 0, 0}, BASE + OUT, 0x20, NOT_IN_ROM},
        {BASE, {0x55, 0xaa, 0}, BASE + OUT, 0x20, NOT_IN_ROM},
        {BASE, {0x55, 0xaa, 0x12}, BASE - 1, 0x20, NOT_IN_ROM},
        {BASE, {0x55, 0xaa, 0x12}, BASE + VAPIC_ROM_SIZE, 0x20, NOT_IN_ROM},
        {BASE + 0x400, {0x55, 0xaa, 0x12}, BASE + 0x400 + OUT, 0x20, NOT_IN_ROM},
        {0x10000, {0x55, 0xaa, 0x12}, 0x10000 + OUT, 0x20, NOT_IN_ROM},
        {0xee000, {0x55, 0xaa, 0x12}, 0xee000 + OUT, 0x20, NOT_IN_ROM}, /* it ends at 0xf03ff */
        {0xf0000, {0x55, 0xaa, 0x12}, 0xf0000 + OUT, 0x20, NOT_IN_ROM},
        {0x100000, {0x55, 0xaa, 0x12}, 0x100000 + OUT, 0x20, NOT_IN_ROM},
        {BASE, {0x55, 0xaa, 0x12}, BASE + OUT + (UINT64_C(1) << 32), 0x20, NOT_IN_ROM},
        {BASE, {0x55, 0xaa, 0x12}, UINT64_MAX, 0x20, NOT_IN_ROM},
        {BASE, {0x55, 0xaa, 0x12}, BASE + OUT, VAPIC_ROM_SIZE, OUTSIDE},
        {BASE, {0x55, 0xaa, 0x12}, BASE + OUT, 0xffff, OUTSIDE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = open_with(true);

        memcpy(f->ram + cases[i].at, cases[i].header, 3);
        f->addr = cases[i].addr;
        assert_ignored(f, cases[i].word, cases[i].why);
        close_it(f);
    }
}

/* A ROM that processors do not see in RAM, though RAM has one there; or only its header, or only its code. */
static void test_not_in_ram(void **state)
{
    static const uint32_t pam0_to_2[] = {0x00000000, 0x00300000, 0x33000000};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct fixture *f = open_with(true);
        gmem_ram *rom = find_block(f->bench, "pc.rom"); /* from 0xc0000 on */

        memcpy(f->ram + 0xc4000, "\x55\xaa\x40", 3); /* to 0xcbfff */
        memcpy((char *)gmem_ram_host(rom) + 0x4000, "\x55\xaa\x40", 3);
        gmem_ram_unref(rom);
        cfg_write32(f->bench, I440FX_FN, 0x58, pam0_to_2[i]);
        f->addr = 0xc8003;
        assert_ignored(f, 0x20, NOT_IN_ROM);
        close_it(f);
    }
}

/* The header is below 0xc0000, in RAM that the guest can see by opening SMRAM. */
static void test_below_the_area(void **state)
{
    struct fixture *f = *state;
    struct bench *bench = f->bench;
    struct pc_config config = bench_config(bench, MEMORY, false);

    machine_destroy(bench->machine);
    config.vapic = true;
    bench_open(bench, &config);
    f->ram = ram_of(bench);
    f->processors.memory = machine_memory(bench->machine);
    set_pam(bench, true);
    cfg_write8(bench, I440FX_FN, 0x72, 0x4a);
    pci_bus_set_processors(machine_pci(bench->machine), &f->processors);
    assert_string_equal(seen_at(bench, 0xbf800), "pc.ram");
    memcpy(f->ram + 0xbf800, "\x55\xaa\x12", 3);
    f->addr = 0xc0000;
    assert_ignored(f, 0x20, NOT_IN_ROM);
}

/* Place front over what is at addr. The map holds it then. */
static void cover(struct fixture *f, uint64_t addr, gmem_region *front)
{
    gmem_region *system = gmem_space_root(machine_memory(f->bench->machine));

    assert_int_equal(gmem_region_add_priority(system, addr, front, 500), 0);
    gmem_region_unref(front);
}

/* Something lies over the code. */
static void test_code_covered(void **state)
{
    struct fixture *f = *state;
    gmem_region *front;

    put_rom(f, BASE);
    assert_int_equal(gmem_region_create_reserved(machine_vm(f->bench->machine), "front", GMEM_SIZE(4), NULL, &front),
                     0);
    cover(f, BASE + 8, front);
    f->addr = BASE + BEHIND_OUT;
    assert_ignored(f, 0x20, NOT_IN_ROM);
}

/* The ROM is in RAM that the alias would not show: another part of pc.ram, or another block. */
static void test_other_ram(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct fixture *f = open_with(true);
        gmem_vm *vm = machine_vm(f->bench->machine);
        struct gmem_section section;
        gmem_region *other, *front;
        gmem_ram *block;

        put_rom(f, BASE);
        put_rom(f, 0x200000);
        assert_int_equal(gmem_ram_create_anon(vm, "other", 0x100000, &block), 0);
        vapic_rom_build((uint8_t *)gmem_ram_host(block) + BASE);
        assert_int_equal(gmem_region_create_ram(vm, "other", block, NULL, &other), 0);
        gmem_ram_unref(block);
        assert_int_equal(gmem_space_lookup(machine_memory(f->bench->machine), BASE, &section), 0);
        assert_int_equal(gmem_region_create_alias(vm, "front", i ? other : section.region, i ? BASE : 0x200000,
                                                  GMEM_SIZE(0x4000), NULL, &front),
                         0);
        gmem_section_release(&section);
        gmem_region_unref(other);
        cover(f, BASE, front);
        assert_ignored(f, 0x20, NOT_IN_ROM);
        close_it(f);
    }
}

static void test_unknown_processor(void **state)
{
    struct fixture *f = *state;

    put_rom(f, BASE);
    f->err = -ENOENT;
    assert_ignored(f, 0x20, UNKNOWN);
}

static void test_no_processors(void **state)
{
    struct fixture *f = *state;

    put_rom(f, BASE);
    pci_bus_set_processors(machine_pci(f->bench->machine), &(struct pci_processors){.memory = NULL});
    assert_ignored(f, 0x20, UNKNOWN);
}

/* A machine without processors, as it is when nobody pretends. */
static void test_machine_without(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, false);

    (void)state;
    config.vapic = true;
    bench_open(bench, &config);
    out16(bench, VAPIC_PORT, VAPIC_ROM_WORD);
    assert_int_equal(bench->logs, 1);
    assert_string_equal(bench->last_log, "kvmvapic: a write to port 0x7e is ignored: " UNKNOWN);
    bench_free(bench);
}

/* Only a word at the first port says anything; what is not one is not even worth a line. */
static void test_other_writes(void **state)
{
    struct fixture *f = *state;

    put_rom(f, BASE);
    keep_map(f);
    out8(f->bench, 0x7e, 0x20);
    out8(f->bench, 0x7f, 0x20);
    out16(f->bench, 0x7d, 0x2020);
    out16(f->bench, 0x7f, 0x20);
    assert_string_equal(print_map(f), f->before);
    assert_int_equal(f->bench->logs, 0);
    /* Of a doubleword the device gets the half that is its own. */
    out32(f->bench, 0x7e, 0x20);
    assert_non_null(strstr(print_map(f), "kvmvapic-rom"));
}

/* --- what is refused --- */

static bool shows_alias(struct fixture *f)
{
    return strstr(print_map(f), "alias kvmvapic-rom") != NULL;
}

/* The slots refuse: everything stays, which is logged once; the next write is taken. */
static void test_refused(void **state)
{
    struct fixture *f = *state;

    put_rom(f, BASE);
    put_rom(f, 0xd0000);
    set_pam(f->bench, false);
    for (unsigned i = 0; i < 2; i++) {
        keep_map(f);
        f->bench->refuse_gpa = 0xc0000;
        announce(f);
        assert_true(f->bench->refusals > i);
        assert_string_equal(print_map(f), f->before);
        assert_int_equal(f->bench->logs, 1);
        f->bench->refuse_gpa = UINT64_MAX;
        announce(f);
        assert_true(shows_alias(f));
        assert_shown(f, i ? 0xd0000 : BASE, i ? 0xd2fff : 0xccfff);
        f->addr = 0xd0000 + OUT;
    }
    assert_non_null(strstr(f->bench->last_log, "kvmvapic: the memory map can't show the option ROM as RAM: "));
}

/* Every edit that placing and moving take is refused in turn: each time all stays, and in the end all is done. */
static void test_edits_refused(void **state)
{
    struct fixture *f = *state;

    put_rom(f, BASE);
    put_rom(f, 0xd0000);
    set_pam(f->bench, false);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t first = i ? 0xd0000 : BASE;
        unsigned edits = i ? 4 : 3;

        f->addr = first + OUT;
        keep_map(f);
        for (unsigned n = 1; n <= edits; n++) {
            edits_until_refusal = n;
            announce(f);
            assert_int_equal(edits_until_refusal, 0);
            assert_string_equal(print_map(f), f->before);
        }
        edits_until_refusal = edits + 1;
        announce(f);
        assert_int_equal(edits_until_refusal, 1); /* there are no more */
        edits_until_refusal = 0;
        assert_shown(f, first, first + 0x2fff);
        assert_false(writable(f, i ? BASE : 0xd0000));
    }
    assert_int_equal(f->bench->logs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rom, setup, teardown),
        cmocka_unit_test(test_absent),
        cmocka_unit_test_setup_teardown(test_port, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nearest_header, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
        cmocka_unit_test(test_ignored),
        cmocka_unit_test(test_not_in_ram),
        cmocka_unit_test_setup_teardown(test_below_the_area, setup, teardown),
        cmocka_unit_test_setup_teardown(test_code_covered, setup, teardown),
        cmocka_unit_test(test_other_ram),
        cmocka_unit_test_setup_teardown(test_unknown_processor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_processors, setup, teardown),
        cmocka_unit_test(test_machine_without),
        cmocka_unit_test_setup_teardown(test_other_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edits_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
