/* SPDX-License-Identifier: MIT */
/*
 * Printing small topologies, as text and as JSON. The expected text follows what QEMU 7.2.22 printed of its machines
 * (data/qemu; whole machines are compared by golden.c): where a case is not in these recordings it is said.
 */
#include <gmem/gmem.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ALL GMEM_SIZE_ALL

struct fixture {
    gmem_vm *vm;
    char *text;
    size_t len;
    int stop; /* what collect() returns */
};

static int collect(void *opaque, const char *text, size_t len)
{
    struct fixture *f = opaque;

    f->text = realloc(f->text, f->len + len + 1);
    assert_non_null(f->text);
    memcpy(f->text + f->len, text, len);
    f->len += len;
    f->text[f->len] = '\0';
    return f->stop;
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){0};
    assert_int_equal(gmem_vm_create(NULL, &f->vm), 0);
}

static void teardown(struct fixture *f)
{
    gmem_vm_destroy(f->vm);
    free(f->text);
}

static const char *print(struct fixture *f, bool flat, const struct gmem_print_options *options)
{
    f->len = 0;
    assert_int_equal(flat ? gmem_print_flat(f->vm, options, collect, f) : gmem_print_tree(f->vm, options, collect, f),
                     0);
    return f->len ? f->text : "";
}

static const char *print_flags(struct fixture *f, bool flat, uint32_t flags)
{
    struct gmem_print_options options = {.struct_size = sizeof(options), .flags = flags};

    return print(f, flat, &options);
}

static gmem_result dev_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)ret_value;
    return GMEM_OK;
}

static gmem_result dev_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static const struct gmem_mmio_ops ops = {.read = dev_read, .write = dev_write};

/* Regions live as long as the vm here: the creator's references are never given back. */
static gmem_region *container(struct fixture *f, const char *name, gmem_size size)
{
    gmem_region *region;

    assert_int_equal(gmem_region_create_container(f->vm, name, size, NULL, &region), 0);
    return region;
}

static gmem_region *owned(struct fixture *f, const char *name, uint64_t size, const char *label)
{
    struct gmem_owner owner = {.label = label};
    gmem_region *region;

    assert_int_equal(gmem_region_create_mmio(f->vm, name, GMEM_SIZE(size), &ops, NULL, &owner, &region), 0);
    return region;
}

static gmem_region *mmio(struct fixture *f, const char *name, uint64_t size)
{
    return owned(f, name, size, NULL);
}

static gmem_region *alias(struct fixture *f, const char *name, gmem_region *target, uint64_t offset, gmem_size size)
{
    gmem_region *region;

    assert_int_equal(gmem_region_create_alias(f->vm, name, target, offset, size, NULL, &region), 0);
    return region;
}

static gmem_region *backed(struct fixture *f, const char *name, enum gmem_kind kind, uint64_t size)
{
    gmem_region *region = NULL;
    gmem_ram *ram;

    assert_int_equal(gmem_ram_create_anon(f->vm, name, size, &ram), 0);
    if (kind == GMEM_KIND_RAM)
        assert_int_equal(gmem_region_create_ram(f->vm, name, ram, NULL, &region), 0);
    else if (kind == GMEM_KIND_ROM)
        assert_int_equal(gmem_region_create_rom(f->vm, name, ram, NULL, &region), 0);
    else
        assert_int_equal(gmem_region_create_romd(f->vm, name, ram, &ops, NULL, NULL, &region), 0);
    gmem_ram_unref(ram);
    return region;
}

static void add(gmem_region *parent, uint64_t offset, gmem_region *child, int32_t priority)
{
    assert_int_equal(gmem_region_add_priority(parent, offset, child, priority), 0);
}

static gmem_space *space(struct fixture *f, const char *name, gmem_region *root)
{
    gmem_space *made;

    assert_int_equal(gmem_space_create(f->vm, name, root, NULL, &made), 0);
    return made;
}

static void test_nothing(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    assert_string_equal(print(&f, false, NULL), "");
    assert_string_equal(print(&f, true, NULL), "");
    assert_string_equal(print_flags(&f, false, GMEM_PRINT_JSON),
                        "{\"format\": \"gmem-tree\", \"version\": 1, \"spaces\": [\n], \"regions\": [\n]}\n");
    assert_string_equal(print_flags(&f, true, GMEM_PRINT_JSON),
                        "{\"format\": \"gmem-flat\", \"version\": 1, \"views\": [\n]}\n");
    teardown(&f);
}

/* Spaces on one root stand together by name; groups by the age of their oldest. */
static void test_groups(void **state)
{
    struct fixture f;
    gmem_region *system, *io;

    (void)state;
    setup(&f);
    system = container(&f, "system", ALL);
    io = mmio(&f, "io", 0x10000);
    space(&f, "memory", system);
    space(&f, "I/O", io);
    space(&f, "cpu-memory-0", system);
    assert_string_equal(print(&f, false, NULL), "address-space: cpu-memory-0\n"
                                                "address-space: memory\n"
                                                "  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
                                                "\n"
                                                "address-space: I/O\n"
                                                "  0000000000000000-000000000000ffff (prio 0, i/o): io\n"
                                                "\n");
    teardown(&f);
}

/* By address; at the same one by falling priority, then the one that wins (placed later) first. */
static void test_order(void **state)
{
    struct fixture f;
    gmem_region *root;

    (void)state;
    setup(&f);
    root = container(&f, "root", GMEM_SIZE(0x10000));
    add(root, 0x2000, mmio(&f, "equal, placed first", 0x10), 1);
    add(root, 0x2000, mmio(&f, "equal, placed later", 0x10), 1);
    add(root, 0x2000, mmio(&f, "lower", 0x1000), -1);
    add(root, 0x2000, mmio(&f, "higher", 1), 1000);
    add(root, 0x1000, mmio(&f, "before", 0x2000), -10000);
    space(&f, "s", root);
    assert_string_equal(print(&f, false, NULL),
                        "address-space: s\n"
                        "  0000000000000000-000000000000ffff (prio 0, i/o): root\n"
                        "    0000000000001000-0000000000002fff (prio -10000, i/o): before\n"
                        "    0000000000002000-0000000000002000 (prio 1000, i/o): higher\n"
                        "    0000000000002000-000000000000200f (prio 1, i/o): equal, placed later\n"
                        "    0000000000002000-000000000000200f (prio 1, i/o): equal, placed first\n"
                        "    0000000000002000-0000000000002fff (prio -1, i/o): lower\n"
                        "\n");
    teardown(&f);
}

/* A disabled region is hidden, what is below it is not; -D shows it. Its alias target is found all the same. */
static void test_disabled(void **state)
{
    struct fixture f;
    gmem_region *root, *off, *ram, *window;

    (void)state;
    setup(&f);
    root = container(&f, "io", GMEM_SIZE(0x10000));
    off = container(&f, "piix4-pm", GMEM_SIZE(0x40));
    ram = backed(&f, "pc.ram", GMEM_KIND_RAM, 0x10000);
    window = alias(&f, "pam", ram, 0xc000, GMEM_SIZE(0x4000));
    add(root, 0, off, 0);
    add(off, 4, mmio(&f, "acpi-cnt", 2), 0);
    add(root, 0xc000, window, 1);
    assert_int_equal(gmem_region_set_enabled(off, false), 0);
    assert_int_equal(gmem_region_set_enabled(window, false), 0);
    space(&f, "I/O", root);
    assert_string_equal(print(&f, false, NULL), "address-space: I/O\n"
                                                "  0000000000000000-000000000000ffff (prio 0, i/o): io\n"
                                                "      0000000000000004-0000000000000005 (prio 0, i/o): acpi-cnt\n"
                                                "\n"
                                                "memory-region: pc.ram\n"
                                                "  0000000000000000-000000000000ffff (prio 0, ram): pc.ram\n"
                                                "\n");
    assert_string_equal(print_flags(&f, false, GMEM_PRINT_DISABLED),
                        "address-space: I/O\n"
                        "  0000000000000000-000000000000ffff (prio 0, i/o): io\n"
                        "    0000000000000000-000000000000003f (prio 0, i/o): piix4-pm [disabled]\n"
                        "      0000000000000004-0000000000000005 (prio 0, i/o): acpi-cnt\n"
                        "    000000000000c000-000000000000ffff (prio 1, ram): alias pam @pc.ram "
                        "000000000000c000-000000000000ffff [disabled]\n"
                        "\n"
                        "memory-region: pc.ram\n"
                        "  0000000000000000-000000000000ffff (prio 0, ram): pc.ram\n"
                        "\n");
    teardown(&f);
}

/* Targets once each, in the order found, those found in their sections too, at the address in their own container. */
static void test_targets(void **state)
{
    struct fixture f;
    gmem_region *root, *dma, *ledma, *inner, *deep;

    (void)state;
    setup(&f);
    root = container(&f, "root", GMEM_SIZE(0x1000));
    dma = container(&f, "dma", GMEM_SIZE(0x30));
    ledma = mmio(&f, "ledma", 0x10);
    deep = mmio(&f, "deep", 8);
    inner = container(&f, "inner", GMEM_SIZE(0x20));
    add(root, 0x400, dma, 0);
    add(dma, 0x10, ledma, 0);
    add(dma, 0x20, alias(&f, "past the end", ledma, 8, GMEM_SIZE(0x10)), 0);
    add(inner, 0, alias(&f, "to deep", deep, 0, GMEM_SIZE(8)), 0);
    add(root, 0x800, alias(&f, "to inner", inner, 0, GMEM_SIZE(0x20)), 0);
    add(root, 0x900, alias(&f, "again", ledma, 0, GMEM_SIZE(4)), 0);
    space(&f, "s", root);
    assert_string_equal(print(&f, false, NULL),
                        "address-space: s\n"
                        "  0000000000000000-0000000000000fff (prio 0, i/o): root\n"
                        "    0000000000000400-000000000000042f (prio 0, i/o): dma\n"
                        "      0000000000000410-000000000000041f (prio 0, i/o): ledma\n"
                        "      0000000000000420-000000000000042f (prio 0, i/o): alias past the end @ledma "
                        "0000000000000008-0000000000000017\n"
                        "    0000000000000800-000000000000081f (prio 0, i/o): alias to inner @inner "
                        "0000000000000000-000000000000001f\n"
                        "    0000000000000900-0000000000000903 (prio 0, i/o): alias again @ledma "
                        "0000000000000000-0000000000000003\n"
                        "\n"
                        "memory-region: ledma\n"
                        "  0000000000000010-000000000000001f (prio 0, i/o): ledma\n"
                        "\n"
                        "memory-region: inner\n"
                        "  0000000000000000-000000000000001f (prio 0, i/o): inner\n"
                        "    0000000000000000-0000000000000007 (prio 0, i/o): alias to deep @deep "
                        "0000000000000000-0000000000000007\n"
                        "\n"
                        "memory-region: deep\n"
                        "  0000000000000000-0000000000000007 (prio 0, i/o): deep\n"
                        "\n");
    teardown(&f);
}

/* As ppc-40p's raven-io: a root that is in a container stands at its address there. */
static void test_placed_root(void **state)
{
    struct fixture f;
    gmem_region *system, *io;

    (void)state;
    setup(&f);
    system = container(&f, "system", ALL);
    io = container(&f, "pci-io", GMEM_SIZE(0x3f800000));
    add(system, 0x80000000, io, 0);
    add(io, 0x20, mmio(&f, "pic", 2), 0);
    space(&f, "raven-io", io);
    assert_string_equal(print(&f, false, NULL), "address-space: raven-io\n"
                                                "  0000000080000000-00000000bf7fffff (prio 0, i/o): pci-io\n"
                                                "    0000000080000020-0000000080000021 (prio 0, i/o): pic\n"
                                                "\n");
    assert_string_equal(print(&f, true, NULL), "FlatView #0\n"
                                               " AS \"raven-io\", root: pci-io\n"
                                               " Root memory region: pci-io\n"
                                               "  0000000080000020-0000000080000021 (prio 0, i/o): pic\n"
                                               "\n");
    teardown(&f);
}

/*
 * An alias has its target's type, nonvolatile is each one's own. Seen live in QEMU 7.2.22, not in the recordings: nv-ram of an
 * nvdimm, whose alias has it and whose memory has not; a flash (romd) in command mode prints i/o.
 */
static void test_types(void **state)
{
    struct fixture f;
    gmem_region *root, *ram, *rom, *romd, *nv, *ro, *off, *reserved, *ro_ram, *chain;

    (void)state;
    setup(&f);
    root = container(&f, "root", GMEM_SIZE(0x100000));
    ram = backed(&f, "ram", GMEM_KIND_RAM, 0x1000);
    ro_ram = backed(&f, "ro-ram", GMEM_KIND_RAM, 0x1000);
    rom = backed(&f, "rom", GMEM_KIND_ROM, 0x1000);
    romd = backed(&f, "flash", GMEM_KIND_ROMD, 0x1000);
    off = backed(&f, "flash-off", GMEM_KIND_ROMD, 0x1000);
    nv = alias(&f, "nvdimm", ram, 0, GMEM_SIZE(0x1000));
    ro = alias(&f, "ro", ram, 0, GMEM_SIZE(0x1000));
    chain = alias(&f, "chain", alias(&f, "to flash", romd, 0, GMEM_SIZE(0x1000)), 0, GMEM_SIZE(0x1000));
    assert_int_equal(gmem_region_create_reserved(f.vm, "reserved", GMEM_SIZE(0x1000), NULL, &reserved), 0);
    assert_int_equal(gmem_region_set_nonvolatile(nv, true), 0);
    assert_int_equal(gmem_region_set_readonly(ro, true), 0);
    assert_int_equal(gmem_region_set_readonly(ro_ram, true), 0);
    assert_int_equal(gmem_region_set_romd(off, false), 0);
    add(root, 0, rom, 0);
    add(root, 0x1000, romd, 0);
    add(root, 0x2000, off, 0);
    add(root, 0x3000, nv, 0);
    add(root, 0x4000, ro, 0);
    add(root, 0x5000, ro_ram, 0);
    add(root, 0x6000, reserved, 0);
    add(root, 0x7000, chain, 0);
    space(&f, "s", root);
    assert_string_equal(gmem_region_type(root), "i/o");
    assert_string_equal(gmem_region_type(chain), "romd");
    assert_string_equal(print(&f, false, NULL),
                        "address-space: s\n"
                        "  0000000000000000-00000000000fffff (prio 0, i/o): root\n"
                        "    0000000000000000-0000000000000fff (prio 0, rom): rom\n"
                        "    0000000000001000-0000000000001fff (prio 0, romd): flash\n"
                        "    0000000000002000-0000000000002fff (prio 0, i/o): flash-off\n"
                        "    0000000000003000-0000000000003fff (prio 0, nv-ram): alias nvdimm @ram "
                        "0000000000000000-0000000000000fff\n"
                        "    0000000000004000-0000000000004fff (prio 0, ram): alias ro @ram "
                        "0000000000000000-0000000000000fff\n"
                        "    0000000000005000-0000000000005fff (prio 0, rom): ro-ram\n"
                        "    0000000000006000-0000000000006fff (prio 0, i/o): reserved\n"
                        "    0000000000007000-0000000000007fff (prio 0, romd): alias chain @to flash "
                        "0000000000000000-0000000000000fff\n"
                        "\n"
                        "memory-region: ram\n"
                        "  0000000000000000-0000000000000fff (prio 0, ram): ram\n"
                        "\n"
                        "memory-region: to flash\n"
                        "  0000000000000000-0000000000000fff (prio 0, romd): alias to flash @flash "
                        "0000000000000000-0000000000000fff\n"
                        "\n"
                        "memory-region: flash\n"
                        "  0000000000001000-0000000000001fff (prio 0, romd): flash\n"
                        "\n");
    assert_string_equal(print(&f, true, NULL), "FlatView #0\n"
                                               " AS \"s\", root: root\n"
                                               " Root memory region: root\n"
                                               "  0000000000000000-0000000000000fff (prio 0, rom): rom\n"
                                               "  0000000000001000-0000000000001fff (prio 0, romd): flash\n"
                                               "  0000000000002000-0000000000002fff (prio 0, i/o): flash-off\n"
                                               "  0000000000003000-0000000000003fff (prio 0, nv-ram): ram\n"
                                               "  0000000000004000-0000000000004fff (prio 0, rom): ram\n"
                                               "  0000000000005000-0000000000005fff (prio 0, rom): ro-ram\n"
                                               "  0000000000006000-0000000000006fff (prio 0, i/o): reserved\n"
                                               "  0000000000007000-0000000000007fff (prio 0, romd): flash\n"
                                               "\n");
    teardown(&f);
}

static const char *mark_kvm(void *opaque, const struct gmem_section *section)
{
    assert_ptr_equal(section->space, opaque);
    return gmem_region_ram(section->region) ? " KVM" : NULL;
}

/* A view once for all who share it, offset, owner and mark in this order; a space with nothing; an alias as root. */
static void test_flat(void **state)
{
    struct fixture f;
    gmem_region *system, *ram, *device, *empty;
    struct gmem_print_options options = {.struct_size = sizeof(options), .flags = GMEM_PRINT_OWNER, .mark = mark_kvm};

    (void)state;
    setup(&f);
    system = container(&f, "system", ALL);
    ram = backed(&f, "pc.ram", GMEM_KIND_RAM, 0x3000);
    device = owned(&f, "nic", 0x1000, "owner:{dev id=nic0}");
    empty = container(&f, "bus master container", ALL);
    add(system, 0, ram, 0);
    add(system, 0x1000, device, 1);
    options.mark_opaque = space(&f, "memory", system);
    space(&f, "PCI", empty);
    space(&f, "e1000", alias(&f, "bus master", system, 0, ALL));
    assert_string_equal(print(&f, true, &options),
                        "FlatView #0\n"
                        " AS \"memory\", root: system\n"
                        " AS \"e1000\", root: bus master, alias system\n"
                        " Root memory region: system\n"
                        "  0000000000000000-0000000000000fff (prio 0, ram): pc.ram KVM\n"
                        "  0000000000001000-0000000000001fff (prio 1, i/o): nic owner:{dev id=nic0}\n"
                        "  0000000000002000-0000000000002fff (prio 0, ram): pc.ram @0000000000002000 KVM\n"
                        "\n"
                        "FlatView #1\n"
                        " AS \"PCI\", root: bus master container\n"
                        " Root memory region: (none)\n"
                        "  No rendered FlatView\n"
                        "\n");
    teardown(&f);
}

static void test_one_space(void **state)
{
    struct fixture f;
    gmem_region *system, *ram;
    struct gmem_print_options options = {.struct_size = sizeof(options)};

    (void)state;
    setup(&f);
    system = container(&f, "system", ALL);
    ram = backed(&f, "ram", GMEM_KIND_RAM, 0x1000);
    add(system, 0, alias(&f, "low", ram, 0, GMEM_SIZE(0x1000)), 0);
    space(&f, "memory", system);
    options.space = space(&f, "cpu", system);
    space(&f, "other", ram);
    assert_string_equal(print(&f, false, &options),
                        "address-space: cpu\n"
                        "  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
                        "    0000000000000000-0000000000000fff (prio 0, ram): alias low @ram "
                        "0000000000000000-0000000000000fff\n"
                        "\n"
                        "memory-region: ram\n"
                        "  0000000000000000-0000000000000fff (prio 0, ram): ram\n"
                        "\n");
    print(&f, true, &options);
    assert_non_null(strstr(f.text, "AS \"cpu\""));
    assert_null(strstr(f.text, "AS \"memory\""));
    assert_null(strstr(f.text, "AS \"other\""));
    teardown(&f);
}

/* What can never be seen because it lies past 2^64 is marked as QEMU does (its text; no recording has one). */
static void test_overflow(void **state)
{
    struct fixture f;
    gmem_region *root, *top;

    (void)state;
    setup(&f);
    root = container(&f, "root", ALL);
    top = container(&f, "top", GMEM_SIZE(0x1000));
    add(root, UINT64_MAX - 0xfff, top, 0);
    add(top, 0xff0, mmio(&f, "over", 0x20), 0);
    space(&f, "s", root);
    assert_string_equal(print(&f, false, NULL),
                        "address-space: s\n"
                        "  0000000000000000-ffffffffffffffff (prio 0, i/o): root\n"
                        "    fffffffffffff000-ffffffffffffffff (prio 0, i/o): top\n"
                        "      [DETECTED OVERFLOW!] fffffffffffffff0-000000000000000f (prio 0, i/o): over\n"
                        "\n");
    teardown(&f);
}

/* The tree shows the edits of an open transaction, the flat view what is published. */
static void test_in_transaction(void **state)
{
    struct fixture f;
    gmem_region *root, *device;

    (void)state;
    setup(&f);
    root = container(&f, "root", GMEM_SIZE(0x100));
    device = mmio(&f, "device", 0x10);
    add(root, 0x10, device, 0);
    space(&f, "s", root);
    assert_int_equal(gmem_vm_begin(f.vm), 0);
    assert_int_equal(gmem_region_move(device, 0x20), 0);
    print(&f, false, NULL);
    assert_non_null(strstr(f.text, "    0000000000000020-000000000000002f (prio 0, i/o): device\n"));
    print(&f, true, NULL);
    assert_non_null(strstr(f.text, "  0000000000000010-000000000000001f (prio 0, i/o): device\n"));
    assert_int_equal(gmem_vm_commit(f.vm), 0);
    assert_string_equal(print(&f, true, NULL), "FlatView #0\n"
                                               " AS \"s\", root: root\n"
                                               " Root memory region: root\n"
                                               "  0000000000000020-000000000000002f (prio 0, i/o): device\n"
                                               "\n");
    teardown(&f);
}

static void test_bad_arguments(void **state)
{
    struct gmem_print_options options = {.struct_size = sizeof(options), .flags = 0x80};
    struct fixture f, other;

    (void)state;
    setup(&f);
    setup(&other);
    assert_int_equal(gmem_print_tree(NULL, NULL, collect, &f), -EINVAL);
    assert_int_equal(gmem_print_tree(f.vm, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(gmem_print_flat(NULL, NULL, collect, &f), -EINVAL);
    assert_int_equal(gmem_print_flat(f.vm, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(gmem_print_tree(f.vm, &options, collect, &f), -EINVAL);
    options.flags = 0;
    options.struct_size = 0;
    assert_int_equal(gmem_print_flat(f.vm, &options, collect, &f), -EINVAL);
    options.struct_size = sizeof(options);
    options.space = space(&other, "of another vm", container(&other, "c", ALL));
    assert_int_equal(gmem_print_tree(f.vm, &options, collect, &f), -EINVAL);
    assert_int_equal(f.len, 0);
    teardown(&other);
    teardown(&f);
}

static void test_stopped(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    space(&f, "s", container(&f, "c", ALL));
    f.stop = 42;
    assert_int_equal(gmem_print_tree(f.vm, NULL, collect, &f), 42);
    f.stop = -EPIPE;
    assert_int_equal(gmem_print_flat(f.vm, NULL, collect, &f), -EPIPE);
    teardown(&f);
}

struct busy {
    struct gmem_listener listener;
    struct fixture *f;
    int tree, flat;
    bool heard;
};

static int print_in_listener(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct busy *busy = (struct busy *)(void *)listener;

    (void)section;
    busy->tree = gmem_print_tree(busy->f->vm, NULL, collect, busy->f);
    busy->flat = gmem_print_flat(busy->f->vm, NULL, collect, busy->f);
    busy->heard = true;
    return 0;
}

static void test_busy_in_listener(void **state)
{
    struct fixture f;
    struct busy busy = {.listener = {.struct_size = sizeof(busy.listener), .name = "busy"}, .f = &f};
    gmem_region *device;

    (void)state;
    setup(&f);
    device = mmio(&f, "device", 1);
    space(&f, "s", device);
    busy.listener.region_add = print_in_listener;
    busy.listener.region_del = print_in_listener;
    assert_int_equal(gmem_listener_register(f.vm, NULL, &busy.listener), 0);
    assert_true(busy.heard);
    assert_int_equal(busy.tree, -EBUSY);
    assert_int_equal(busy.flat, -EBUSY);
    assert_int_equal(f.len, 0);
    gmem_listener_unregister(f.vm, &busy.listener);
    print(&f, false, NULL); /* and afterwards it works */
    assert_int_not_equal(f.len, 0);
    teardown(&f);
}

static const char *mark_editing(void *opaque, const struct gmem_section *section)
{
    int *err = opaque;

    *err = gmem_region_move(section->region, 0x100);
    return "";
}

static int edit_while_printing(void *opaque, const char *text, size_t len)
{
    (void)text, (void)len;
    return gmem_region_move(opaque, 0x200);
}

/* A mark may not edit what is being printed; the text's receiver may, it has a finished document. */
static void test_edits(void **state)
{
    struct fixture f;
    int err = 0;
    struct gmem_print_options options = {.struct_size = sizeof(options), .mark = mark_editing, .mark_opaque = &err};
    gmem_region *device;

    (void)state;
    setup(&f);
    device = mmio(&f, "device", 0x10);
    space(&f, "s", device);
    print(&f, true, &options);
    assert_int_equal(err, -EBUSY);
    assert_int_equal(gmem_region_offset(device), 0);
    assert_int_equal(gmem_print_tree(f.vm, NULL, edit_while_printing, device), 0);
    assert_int_equal(gmem_region_offset(device), 0x200);
    assert_non_null(strstr(print(&f, true, NULL), "  0000000000000200-000000000000020f (prio 0, i/o): device\n"));
    teardown(&f);
}

/* Creates four regions, the device first: ids go by age. */
static void json_topology(struct fixture *f)
{
    gmem_region *device, *ram, *root, *window;
    struct gmem_space_options ones = {.struct_size = sizeof(ones), .unassigned_ones = true};
    gmem_space *made;

    device = owned(f, "nic", 0x1000, "owner:{dev id=nic0}");
    ram = backed(f, "ram0", GMEM_KIND_RAM, 0x2000);
    root = container(f, "system", ALL);
    window = alias(f, "low", ram, 0x1000, GMEM_SIZE(0x4000));
    assert_int_equal(gmem_region_set_log(ram, GMEM_LOG_MIGRATION, true), 0);
    assert_int_equal(gmem_region_set_readonly(window, true), 0);
    add(root, 0x8000, device, -1);
    add(root, 0, window, 0);
    assert_int_equal(gmem_space_create(f->vm, "memory", root, &ones, &made), 0);
    space(f, "bus", container(f, "empty", GMEM_SIZE(1)));
}

static const char *mark_two_spaces(void *opaque, const struct gmem_section *section)
{
    (void)opaque;
    return gmem_region_ram(section->region) ? "  KVM" : "";
}

static void test_json_tree(void **state)
{
    struct fixture f;

    (void)state;
    setup(&f);
    json_topology(&f);
    assert_string_equal(
        print_flags(&f, false, GMEM_PRINT_JSON),
        "{\"format\": \"gmem-tree\", \"version\": 1, \"spaces\": [\n"
        "{\"name\": \"memory\", \"root\": 2, \"unassigned_ones\": true},\n"
        "{\"name\": \"bus\", \"root\": 4, \"unassigned_ones\": false}\n"
        "], \"regions\": [\n"
        "{\"id\": 2, \"kind\": \"container\", \"name\": \"system\", \"size\": \"0x10000000000000000\", \"offset\": "
        "\"0x0\", "
        "\"priority\": 0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"children\": [3, 0]},\n"
        "{\"id\": 4, \"kind\": \"container\", \"name\": \"empty\", \"size\": \"0x1\", \"offset\": \"0x0\", "
        "\"priority\": 0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"children\": []},\n"
        "{\"id\": 3, \"kind\": \"alias\", \"name\": \"low\", \"size\": \"0x4000\", \"offset\": \"0x0\", "
        "\"priority\": 0, \"enabled\": true, \"readonly\": true, \"nonvolatile\": false, "
        "\"target\": 1, \"target_offset\": \"0x1000\", \"children\": []},\n"
        "{\"id\": 0, \"kind\": \"mmio\", \"name\": \"nic\", \"size\": \"0x1000\", \"offset\": \"0x8000\", "
        "\"priority\": -1, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, "
        "\"owner\": \"owner:{dev id=nic0}\", \"children\": []},\n"
        "{\"id\": 1, \"kind\": \"ram\", \"name\": \"ram0\", \"size\": \"0x2000\", \"offset\": \"0x0\", "
        "\"priority\": 0, \"enabled\": true, \"readonly\": false, \"nonvolatile\": false, \"ram\": \"ram0\", "
        "\"log\": 2, \"children\": []}\n"
        "]}\n");
    teardown(&f);
}

static void test_json_flat(void **state)
{
    struct fixture f;
    struct gmem_print_options options = {
        .struct_size = sizeof(options), .flags = GMEM_PRINT_JSON, .mark = mark_two_spaces};

    (void)state;
    setup(&f);
    json_topology(&f);
    assert_string_equal(
        print(&f, true, &options),
        "{\"format\": \"gmem-flat\", \"version\": 1, \"views\": [\n"
        "{\"spaces\": [{\"name\": \"memory\", \"root\": 2, \"root_name\": \"system\"}], "
        "\"root\": {\"id\": 2, \"name\": \"system\"}, \"ranges\": [\n"
        "{\"first\": \"0x0\", \"last\": \"0xfff\", \"region\": 1, \"name\": \"ram0\", \"kind\": \"ram\", \"type\": "
        "\"rom\", "
        "\"offset\": \"0x1000\", \"priority\": 0, \"readonly\": true, \"nonvolatile\": false, \"romd\": false, "
        "\"log\": 2, \"mark\": \"KVM\"},\n"
        "{\"first\": \"0x8000\", \"last\": \"0x8fff\", \"region\": 0, \"name\": \"nic\", \"kind\": \"mmio\", "
        "\"type\": \"i/o\", \"offset\": \"0x0\", \"priority\": -1, \"readonly\": false, \"nonvolatile\": false, "
        "\"romd\": false, \"owner\": \"owner:{dev id=nic0}\"}]},\n"
        "{\"spaces\": [{\"name\": \"bus\", \"root\": 4, \"root_name\": \"empty\"}], \"ranges\": []}\n"
        "]}\n");
    teardown(&f);
}

/* Any bytes are a name; the document stays valid (RFC 8259, RFC 3629). */
static void test_json_names(void **state)
{
    static const struct {
        const char *name, *json;
    } names[] = {
        {"", "\"\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\n\t\x01\x1f\x7f", "\"\\u000a\\u0009\\u0001\\u001f\\u007f\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"a\xff"
         "b",
         "\"a\xef\xbf\xbd"
         "b\""},
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                                 /* overlong NUL */
        {"\xe0\x9f\xbf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},                 /* surrogate */
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* past U+10FFFF */
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                                 /* cut short */
        {"\xf0\x9f\x98", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct fixture f;
        char wanted[256];

        setup(&f);
        space(&f, names[i].name, owned(&f, names[i].name, 1, names[i].name));
        snprintf(wanted, sizeof(wanted), "{\"name\": %s, \"root\": 0,", names[i].json);
        assert_non_null(strstr(print_flags(&f, false, GMEM_PRINT_JSON), wanted));
        snprintf(wanted, sizeof(wanted), "\"kind\": \"mmio\", \"name\": %s, \"size\"", names[i].json);
        assert_non_null(strstr(f.text, wanted));
        snprintf(wanted, sizeof(wanted), "\"owner\": %s, \"children\"", names[i].json);
        assert_int_equal(strstr(f.text, wanted) != NULL, names[i].name[0] != '\0');
        snprintf(wanted, sizeof(wanted), "\"root_name\": %s}", names[i].json);
        assert_non_null(strstr(print_flags(&f, true, GMEM_PRINT_JSON), wanted));
        teardown(&f);
    }
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/* The longest name and label fit every line. */
static void test_long_names(void **state)
{
    struct fixture f;
    char name[GMEM_NAME_MAX + 1], wanted[3 * sizeof(name)];

    (void)state;
    setup(&f);
    memset(name, 'n', GMEM_NAME_MAX);
    name[GMEM_NAME_MAX] = '\0';
    space(&f, name, owned(&f, name, 1, name));
    snprintf(wanted, sizeof(wanted), "(prio 0, i/o): %s %s\n", name, name);
    assert_non_null(strstr(print_flags(&f, false, GMEM_PRINT_OWNER), wanted));
    assert_non_null(strstr(print_flags(&f, true, GMEM_PRINT_OWNER), wanted));
    assert_non_null(strstr(print_flags(&f, true, GMEM_PRINT_JSON), name));
    teardown(&f);
}

#define MANY 100000u

/* Siblings are sorted, not inserted, however they were placed. */
static void test_many(void **state)
{
    struct fixture f;
    gmem_region *root;

    (void)state;
    setup(&f);
    root = container(&f, "root", ALL);
    assert_int_equal(gmem_vm_begin(f.vm), 0);
    for (unsigned i = 0; i < MANY; i++)
        add(root, 16u * (uint64_t)(i * 7919u % MANY), mmio(&f, "same", 16), 0);
    assert_int_equal(gmem_vm_commit(f.vm), 0);
    space(&f, "s", root);
    assert_int_equal(count_lines(print(&f, false, NULL)), MANY + 3);
    assert_non_null(strstr(f.text, "    00000000000000f0-00000000000000ff (prio 0, i/o): same\n"
                                   "    0000000000000100-000000000000010f (prio 0, i/o): same\n"));
    assert_int_equal(count_lines(print(&f, true, NULL)), MANY + 4);
    assert_int_equal(count_lines(print_flags(&f, false, GMEM_PRINT_JSON)), MANY + 5);
    assert_int_equal(count_lines(print_flags(&f, true, GMEM_PRINT_JSON)), MANY + 3);
    teardown(&f);
}

#define DEEP 1500u

/* Deeper than a commit takes, inside a transaction: printed without recursion. */
static void test_deep(void **state)
{
    struct fixture f;
    gmem_region *outer, *inner;

    (void)state;
    setup(&f);
    outer = container(&f, "outermost", ALL);
    space(&f, "s", outer);
    assert_int_equal(gmem_vm_begin(f.vm), 0);
    for (unsigned i = 0; i < DEEP; i++) {
        inner = container(&f, "inner", ALL);
        add(outer, 0, inner, 0);
        outer = inner;
    }
    assert_int_equal(count_lines(print(&f, false, NULL)), DEEP + 3);
    assert_int_equal(count_lines(print_flags(&f, false, GMEM_PRINT_JSON)), DEEP + 5);
    gmem_vm_abort(f.vm);
    assert_int_equal(count_lines(print(&f, false, NULL)), 3);
    teardown(&f);
}

/* Ours alone: QEMU prints its own structures. */
static void test_dispatch(void **state)
{
    struct fixture f;
    gmem_region *root, *rom, *romd, *quiet, *none;
    const char *text;

    (void)state;
    setup(&f);
    root = container(&f, "root", GMEM_SIZE(0x10000));
    rom = backed(&f, "rom", GMEM_KIND_ROM, 0x1000);
    romd = backed(&f, "romd", GMEM_KIND_ROMD, 0x1000);
    quiet = backed(&f, "quiet", GMEM_KIND_ROMD, 0x1000);
    assert_int_equal(gmem_region_set_romd(quiet, false), 0);
    assert_int_equal(gmem_region_create_reserved(f.vm, "none", GMEM_SIZE(0x1000), NULL, &none), 0);
    add(root, 0x1000, backed(&f, "ram", GMEM_KIND_RAM, 0x1000), 0);
    add(root, 0x2000, rom, 0);
    add(root, 0x3000, romd, 0);
    add(root, 0x4000, quiet, 0);
    add(root, 0x5000, alias(&f, "window", mmio(&f, "dev", 0x100), 0x10, GMEM_SIZE(0x20)), 0);
    add(root, 0x6000, none, 0);
    space(&f, "memory", root);
    text = print_flags(&f, true, GMEM_PRINT_DISPATCH);
    assert_non_null(strstr(text,
                           "(prio 0, i/o): none\n"
                           "  Dispatch: 6 ranges, 1 levels\n"
                           "    leaf 0000000000001000-0000000000006fff, 6 ranges\n"
                           "      0000000000001000-0000000000001fff memory: ram\n"
                           "      0000000000002000-0000000000002fff memory, writes dropped: rom\n"
                           "      0000000000003000-0000000000003fff memory, writes to callbacks (1 to 8 bytes): romd\n"
                           "      0000000000004000-0000000000004fff callbacks (1 to 8 bytes): quiet\n"
                           "      0000000000005000-000000000000501f callbacks (1 to 8 bytes): dev @0000000000000010\n"
                           "      0000000000006000-0000000000006fff nothing: none\n\n"));
    /* Nothing of it where it has no place. */
    assert_null(strstr(print_flags(&f, false, GMEM_PRINT_DISPATCH), "Dispatch"));
    assert_null(strstr(print_flags(&f, true, GMEM_PRINT_DISPATCH | GMEM_PRINT_JSON), "Dispatch"));
    teardown(&f);
}

/* A tree of several levels: each leaf lies inside the node above it, and all ranges are there, in order. */
static void test_dispatch_levels(void **state)
{
    enum { RANGES = 3000 };
    unsigned long long first, last, node_first = 0, node_last = 0, leaf_last = 0, at = 0;
    unsigned ranges = 0, nodes = 0, leaves = 0;
    gmem_region *root;
    struct fixture f;
    const char *line;

    (void)state;
    setup(&f);
    assert_int_equal(gmem_vm_begin(f.vm), 0);
    root = container(&f, "root", GMEM_SIZE_ALL);
    for (uint64_t i = 0; i < RANGES; i++)
        add(root, i * 0x1000, mmio(&f, "dev", 0x10), 0);
    assert_int_equal(gmem_vm_commit(f.vm), 0);
    space(&f, "memory", root);
    line = strstr(print_flags(&f, true, GMEM_PRINT_DISPATCH), "  Dispatch: 3000 ranges, 3 levels\n");
    assert_non_null(line);
    for (line = strchr(line, '\n') + 1; *line != '\n'; line = strchr(line, '\n') + 1) {
        const char *word = line + strspn(line, " ");

        if (sscanf(word, "node %llx-%llx", &node_first, &node_last) == 2) {
            nodes++;
        } else if (sscanf(word, "leaf %llx-%llx", &first, &leaf_last) == 2) {
            assert_true(first >= node_first && leaf_last <= node_last && first == at);
            leaves++;
        } else {
            assert_int_equal(sscanf(word, "%llx-%llx callbacks", &first, &last), 2);
            assert_true(first == at && last == first + 0xf && last <= leaf_last);
            at += 0x1000;
            ranges++;
        }
    }
    assert_int_equal(ranges, RANGES);
    assert_true(nodes > 1 && leaves >= RANGES / 16);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_disabled),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_placed_root),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_flat),
        cmocka_unit_test(test_one_space),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_in_transaction),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_busy_in_listener),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_json_tree),
        cmocka_unit_test(test_json_flat),
        cmocka_unit_test(test_json_names),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_dispatch),
        cmocka_unit_test(test_dispatch_levels),
    };

    return cmocka_run_group_tests_name("introspect", tests, NULL, NULL);
}
