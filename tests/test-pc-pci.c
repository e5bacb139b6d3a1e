/* SPDX-License-Identifier: MIT */
/*
 * test-pc-pci.c - the PCI bus and its chips as a guest finds them: configuration cycles, BARs, what a guest may do to them that
 * makes no sense, bus mastering, interrupt lines. On machines without processors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-machine.h"
#include "pc-ram64.h"
#include "piix3.h"

#define I440FX_FN PCI_DEVFN(0, 0)
#define PIIX3_FN PCI_DEVFN(1, 0)
#define IDE_FN PCI_DEVFN(1, 1)
#define PM_FN PCI_DEVFN(1, 3)
#define VGA_FN PCI_DEVFN(2, 0)

#define MEMORY (UINT64_C(64) << 20)

static int setup(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);

    bench_open(bench, &config);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    bench_free(*state);
    return 0;
}

/* What SeaBIOS read on a recorded machine. */
static void test_identification(void **state)
{
    struct bench *bench = *state;
    static const struct {
        uint8_t devfn;
        uint32_t id, class_revision;
        uint8_t header, pin;
    } functions[] = {
        {I440FX_FN, 0x12378086, 0x06000002, 0x00, 0}, {PIIX3_FN, 0x70008086, 0x06010000, 0x80, 0},
        {IDE_FN, 0x70108086, 0x01018000, 0x00, 0},    {PM_FN, 0x71138086, 0x06800003, 0x00, 1},
        {VGA_FN, 0x11111234, 0x03000002, 0x00, 0},
    };

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        assert_int_equal(cfg_read32(bench, functions[i].devfn, 0), functions[i].id);
        assert_int_equal(cfg_read32(bench, functions[i].devfn, 8), functions[i].class_revision);
        assert_int_equal(cfg_read8(bench, functions[i].devfn, PCI_HEADER_TYPE), functions[i].header);
        assert_int_equal(cfg_read8(bench, functions[i].devfn, PCI_INTERRUPT_PIN), functions[i].pin);
        assert_int_equal(cfg_read16(bench, functions[i].devfn, PCI_COMMAND), 0);
    }
    assert_int_equal(cfg_read32(bench, I440FX_FN, PCI_SUBSYSTEM_VENDOR), 0x11001af4);
    assert_int_equal(cfg_read32(bench, PM_FN, 0x58), 0x02000000);
    assert_int_equal(cfg_read32(bench, PCI_DEVFN(3, 0), 0), 0xffffffff);
    assert_int_equal(cfg_read16(bench, I440FX_FN, 2), 0x1237);
    /* Identification takes no writes. */
    cfg_write32(bench, VGA_FN, 0, 0);
    assert_int_equal(cfg_read32(bench, VGA_FN, 0), 0x11111234);
}

static void test_confadd(void **state)
{
    struct bench *bench = *state;

    out32(bench, 0xcf8, 0xffffffff);
    assert_int_equal(in32(bench, 0xcf8), 0x80fffffc);
    /* Bus 255 has nothing on it, and without the enable bit no cycle is made. */
    assert_int_equal(in32(bench, 0xcfc), 0xffffffff);
    out32(bench, 0xcf8, 0x00000000);
    assert_int_equal(in32(bench, 0xcfc), 0xffffffff);
    out32(bench, 0xcf8, 0x80000000);
    assert_int_equal(in32(bench, 0xcfc), 0x12378086);
    assert_int_equal(in16(bench, 0xcfd), 0x3780);
    /* Narrower than a doubleword, it is not the host bridge's. */
    pci_confadd_begin(machine_pci(bench->machine));
    out8(bench, 0xcf8, 0x44);
    pci_confadd_begin(machine_pci(bench->machine));
    out16(bench, 0xcfa, 0x1234);
    pci_confadd_begin(machine_pci(bench->machine));
    assert_int_equal(in32(bench, 0xcf8), 0x80000000);
}

/* CONFADD's second byte lies where the reset control register is: every function number must reach CONFADD alone. */
static void test_reset_control(void **state)
{
    struct bench *bench = *state;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        cfg_select(bench, (uint8_t)devfn, 0);
        assert_int_equal(in32(bench, 0xcf8), 0x80000000u | devfn << 8);
    }
    assert_int_equal(atomic_load(&bench->event), 0);
    pci_confadd_begin(machine_pci(bench->machine));
    out8(bench, 0xcf9, 0x02);
    assert_int_equal(in8(bench, 0xcf9), 0x02);
    assert_int_equal(atomic_load(&bench->event), 0);
    out8(bench, 0xcf9, 0x06);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_RESET);
}

/* A byte to 0xcf8 and then one to 0xcf9 is two accesses of the processor: the second one resets. */
static void test_reset_after_byte(void **state)
{
    struct bench *bench = *state;

    pci_confadd_begin(machine_pci(bench->machine));
    out8(bench, 0xcf8, 0);
    pci_confadd_begin(machine_pci(bench->machine));
    out8(bench, 0xcf9, 0x06);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_RESET);
}

static void test_bar_sizing(void **state)
{
    struct bench *bench = *state;
    static const struct {
        uint8_t devfn, offset;
        uint32_t write, read;
    } sizes[] = {
        {VGA_FN, 0x10, 0xffffffff, 0xff000008}, {VGA_FN, 0x14, 0xffffffff, 0},
        {VGA_FN, 0x18, 0xffffffff, 0xfffff000}, {VGA_FN, 0x30, 0xfffff800, 0xffff0000},
        {VGA_FN, 0x30, 0xfffffffe, 0xffff0000}, {IDE_FN, 0x20, 0xffffffff, 0xfffffff1},
        {I440FX_FN, 0x10, 0xffffffff, 0},       {PM_FN, 0x30, 0xfffff800, 0},
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cfg_write32(bench, sizes[i].devfn, sizes[i].offset, sizes[i].write);
        assert_int_equal(cfg_read32(bench, sizes[i].devfn, sizes[i].offset), sizes[i].read);
        cfg_write32(bench, sizes[i].devfn, sizes[i].offset, 0);
    }
}

static void test_bar_mapping(void **state)
{
    struct bench *bench = *state;

    cfg_write32(bench, VGA_FN, 0x10, 0xe0000000);
    cfg_write32(bench, VGA_FN, 0x18, 0xe1000000);
    cfg_write32(bench, VGA_FN, 0x30, 0xe2000001);
    assert_string_equal(seen_at(bench, 0xe0000000), "");
    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_IO);
    assert_string_equal(seen_at(bench, 0xe0000000), "");
    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY);
    assert_string_equal(seen_at(bench, 0xe0000000), "vga.vram");
    assert_string_equal(seen_at(bench, 0xe0ffffff), "vga.vram");
    assert_string_equal(seen_at(bench, 0xe1000000), "edid");
    assert_string_equal(seen_at(bench, 0xe1000fff), "vga.mmio");
    assert_string_equal(seen_at(bench, 0xe2000000), "vga.rom");
    cfg_write32(bench, VGA_FN, 0x30, 0xe2000000);
    assert_string_equal(seen_at(bench, 0xe2000000), "");
    cfg_write32(bench, VGA_FN, 0x10, 0xd0000000);
    assert_string_equal(seen_at(bench, 0xe0000000), "");
    assert_string_equal(seen_at(bench, 0xd0000000), "vga.vram");
    cfg_write16(bench, VGA_FN, PCI_COMMAND, 0);
    assert_string_equal(seen_at(bench, 0xd0000000), "");
    assert_int_equal(bench->logs, 0);
}

static void test_bar_io(void **state)
{
    struct bench *bench = *state;

    cfg_write32(bench, IDE_FN, 0x20, 0xc000);
    assert_int_equal(in8(bench, 0xc000), 0xff);
    cfg_write16(bench, IDE_FN, PCI_COMMAND, PCI_COMMAND_IO);
    assert_int_equal(in8(bench, 0xc000), 0x00);
    out32(bench, 0xc004, 0x12345678);
    assert_int_equal(in32(bench, 0xc004), 0x12345678);
    out8(bench, 0xc000, 0x09);
    assert_int_equal(in8(bench, 0xc002), 0x01);
    out8(bench, 0xc000, 0x00);
    assert_int_equal(in8(bench, 0xc002), 0x00);
    /* Past 64 KiB there are no ports. */
    cfg_write32(bench, IDE_FN, 0x20, 0x1c000);
    assert_int_equal(in8(bench, 0xc000), 0xff);
}

static void assert_logged(struct bench *bench, unsigned logs, const char *line)
{
    assert_int_equal(bench->logs, logs);
    assert_string_equal(bench->last_log, line);
}

/* RAM and firmware keep their places or give way, as the map's priorities say; nothing breaks. */
static void test_bar_over_other(void **state)
{
    struct bench *bench = *state;

    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY);
    cfg_write32(bench, VGA_FN, 0x10, 0x01000000);
    assert_string_equal(seen_at(bench, 0x01000000), "pc.ram");
    assert_logged(bench, 1,
                  "VGA: BAR 0 at 0x1000000-0x1ffffff lies over pc.ram, which stays visible at 0x1000000-0x1ffffff");
    cfg_write32(bench, VGA_FN, 0x18, 0xffff0000);
    assert_string_equal(seen_at(bench, 0xffff0000), "edid");
    assert_string_equal(seen_at(bench, 0xfffffff0), "pc.bios");
    cfg_write32(bench, VGA_FN, 0x18, 0xfee00000);
    assert_string_equal(seen_at(bench, 0xfee00000), "kvm-apic-msi");
    assert_logged(
        bench, 2,
        "VGA: BAR 2 at 0xfee00000-0xfee00fff lies over kvm-apic-msi, which stays visible at 0xfee00000-0xfee00fff");
    assert_string_equal(seen_at(bench, 0xffff0000), "pc.bios");
    cfg_write32(bench, VGA_FN, 0x18, 0xfffff000);
    assert_string_equal(seen_at(bench, 0xfffffff0), "pc.bios");
    cfg_write32(bench, VGA_FN, 0x18, 0);
    assert_string_equal(seen_at(bench, 0), "pc.ram");
    /* Only in part, by two. */
    cfg_write32(bench, VGA_FN, 0x10, 0xfe000000);
    assert_string_equal(seen_at(bench, 0xfe000000), "vga.vram");
    assert_string_equal(seen_at(bench, 0xfec00000), "kvm-ioapic");
    assert_logged(bench, 3,
                  "VGA: BAR 0 at 0xfe000000-0xfeffffff lies over kvm-ioapic, which stays visible at "
                  "0xfec00000-0xfec00fff (and there is more)");
    /* What is not moved is not told again. */
    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    cfg_write32(bench, VGA_FN, 0x10, 0xfe000000);
    assert_int_equal(bench->logs, 3);
}

/* Ports of devices lie behind a BAR, unless they are put in front of it. */
static void test_bar_over_ports(void **state)
{
    struct bench *bench = *state;
    gmem_region *front;

    cfg_write16(bench, IDE_FN, PCI_COMMAND, PCI_COMMAND_IO);
    cfg_write32(bench, IDE_FN, 0x20, 0x70);
    cfg_write32(bench, IDE_FN, 0x20, 0xc000);
    assert_int_equal(bench->logs, 0);
    assert_int_equal(gmem_region_create_reserved(machine_vm(bench->machine), "front", GMEM_SIZE(4), NULL, &front), 0);
    assert_int_equal(gmem_region_add_priority(pci_bus_io(machine_pci(bench->machine)), 0xd008, front, 2), 0);
    cfg_write32(bench, IDE_FN, 0x20, 0xd000);
    assert_logged(bench, 1, "piix3-ide: BAR 4 at 0xd000-0xd00f lies over front, which stays visible at 0xd008-0xd00b");
    gmem_region_unref(front);
}

struct processor {
    uint64_t addr;
    int err;
    unsigned asked;
};

static int executing(void *opaque, uint64_t *ret_addr)
{
    struct processor *processor = opaque;

    processor->asked++;
    *ret_addr = processor->addr;
    return processor->err;
}

static void set_pam0(struct bench *bench, uint8_t value)
{
    cfg_write8(bench, I440FX_FN, 0x59, value);
}

/* Who takes the ROM away that a processor runs from is told so, once; who changes anything else is not. */
static void test_own_rom(void **state)
{
    struct bench *bench = *state;
    struct processor processor = {.addr = 0xf1234};
    const struct pci_processors processors = {.memory = machine_memory(bench->machine),
                                              .ports = machine_io(bench->machine),
                                              .executing = executing,
                                              .opaque = &processor};

    pci_bus_set_processors(machine_pci(bench->machine), &processors);
    /* Nothing that the processor runs from: other windows, and it is not even asked where no map changes. */
    cfg_write32(bench, I440FX_FN, 0x5c, 0x33333333);
    assert_int_equal(processor.asked, 1);
    cfg_write8(bench, VGA_FN, PCI_INTERRUPT_LINE, 11);
    assert_int_equal(processor.asked, 1);
    assert_int_equal(bench->logs, 0);

    set_pam0(bench, 0x30);
    assert_logged(bench, 1, "i440FX: the guest switched off the ROM that it runs from, at 0xf1234");
    set_pam0(bench, 0x30);
    assert_int_equal(bench->logs, 1);
    /* Memory, and the same memory without and with write protection. */
    set_pam0(bench, 0x10);
    set_pam0(bench, 0x30);
    assert_int_equal(bench->logs, 1);
    /* Protected memory is ROM too when it goes. */
    set_pam0(bench, 0x10);
    set_pam0(bench, 0x00);
    assert_logged(bench, 2, "i440FX: the guest switched off the ROM that it runs from, at 0xf1234");
    /* A copy in RAM that is protected is not the ROM. */
    set_pam0(bench, 0x10);
    assert_int_equal(bench->logs, 3);
    set_pam0(bench, 0x00);
    assert_int_equal(bench->logs, 4);

    /* From the top of 4 GiB the copy below 1 MiB can be switched as one likes. */
    processor.addr = 0xffff1234;
    set_pam0(bench, 0x30);
    set_pam0(bench, 0x00);
    assert_int_equal(bench->logs, 4);
    /* But not what is in front of it. */
    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY);
    cfg_write32(bench, VGA_FN, 0x18, 0xffff1000);
    assert_logged(bench, 5, "VGA: the guest switched off the ROM that it runs from, at 0xffff1234");
    /* An option ROM, by its own register. */
    cfg_write32(bench, VGA_FN, 0x30, 0xe2000001);
    processor.addr = 0xe2000010;
    cfg_write32(bench, VGA_FN, 0x30, 0xe2000000);
    assert_logged(bench, 6, "VGA: the guest switched off the ROM that it runs from, at 0xe2000010");
    /* Nobody says where it runs, or nobody is asked. */
    processor.addr = 0xf1234;
    processor.err = -ENOENT;
    set_pam0(bench, 0x30);
    set_pam0(bench, 0x00);
    pci_bus_set_processors(machine_pci(bench->machine), &(struct pci_processors){.memory = NULL});
    set_pam0(bench, 0x30);
    assert_int_equal(bench->logs, 6);
}

/* A mapping that is refused leaves the BAR unmapped and everything else as it was, with a line in the log. */
static void test_bar_refused(void **state)
{
    struct bench *bench = *state;

    bench->refuse_gpa = 0xe0000000;
    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY);
    cfg_write32(bench, VGA_FN, 0x18, 0xd8000000);
    cfg_write32(bench, VGA_FN, 0x10, 0xe0000000);
    assert_int_equal(bench->refusals, 1);
    assert_int_equal(bench->logs, 1);
    assert_non_null(strstr(bench->last_log, "VGA: BAR 0 can't be mapped at 0xe0000000"));
    assert_string_equal(seen_at(bench, 0xe0000000), "");
    assert_string_equal(seen_at(bench, 0xd8000000), "edid");
    assert_int_equal(cfg_read32(bench, VGA_FN, 0x10), 0xe0000008);
    /* Where it is not refused it can still be put. */
    cfg_write32(bench, VGA_FN, 0x10, 0xd0000000);
    assert_string_equal(seen_at(bench, 0xd0000000), "vga.vram");
    /* A guest that goes on does not fill the log. */
    for (unsigned i = 0; i < 1000; i++) {
        cfg_write32(bench, VGA_FN, 0x10, 0xe0000000);
        cfg_write32(bench, VGA_FN, 0x10, 0xe1000000);
    }
    assert_int_equal(bench->refusals, 2001);
    assert_int_equal(bench->logs, 32);
    bench->refuse_gpa = UINT64_MAX;
    cfg_write32(bench, VGA_FN, 0x10, 0xe0000000);
    assert_string_equal(seen_at(bench, 0xe0000000), "vga.vram");
}

static void test_bar_64(void **state)
{
    static const uint64_t absurd[] = {0x80000000000000, 0xfffffffffff00000, 0xffffffffffe00000, 0x8000000000000000};
    struct bench *bench = *state;
    struct ram64 device;

    ram64_init(&device, machine_pci(bench->machine));
    cfg_write32(bench, RAM64_DEVFN, 0x10, 0xffffffff);
    cfg_write32(bench, RAM64_DEVFN, 0x14, 0xffffffff);
    assert_int_equal(cfg_read32(bench, RAM64_DEVFN, 0x10), 0xfff0000c);
    assert_int_equal(cfg_read32(bench, RAM64_DEVFN, 0x14), 0xffffffff);
    ram64_aim(bench, 0x1234500000);
    assert_string_equal(seen_at(bench, 0x1234500000), "ram64");
    bench->refuse_gpa = UINT64_C(1) << 48;
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
        ram64_aim(bench, absurd[i]);
        assert_string_equal(seen_at(bench, absurd[i]), "");
    }
    assert_string_equal(seen_at(bench, 0x1234500000), "");
    /* The one that ends at 2^64 is taken for a BAR that is being sized. */
    assert_int_equal(bench->logs, 3);
    ram64_aim(bench, 0x1234500000);
    assert_string_equal(seen_at(bench, 0x1234500000), "ram64");
    pci_device_fini(&device.pci);
    assert_string_equal(seen_at(bench, 0x1234500000), "");
    assert_int_equal(cfg_read32(bench, RAM64_DEVFN, 0), 0xffffffff);
}

static void test_bus_master(void **state)
{
    struct bench *bench = *state;
    struct ram64 device;
    uint32_t value;

    ram64_init(&device, machine_pci(bench->machine));
    assert_int_equal(gmem_st32_le(machine_memory(bench->machine), 0x1000, GMEM_ATTRS_NONE, 0xcafe), GMEM_OK);
    assert_int_equal(gmem_ld32_le(device.pci.master, 0x1000, GMEM_ATTRS_NONE, &value), GMEM_RESULT_DECODE);
    assert_int_equal(value, 0xffffffff);
    cfg_write16(bench, RAM64_DEVFN, PCI_COMMAND, PCI_COMMAND_MASTER);
    assert_int_equal(gmem_ld32_le(device.pci.master, 0x1000, GMEM_ATTRS_NONE, &value), GMEM_OK);
    assert_int_equal(value, 0xcafe);
    cfg_write16(bench, RAM64_DEVFN, PCI_COMMAND, 0);
    assert_int_equal(gmem_ld32_le(device.pci.master, 0x1000, GMEM_ATTRS_NONE, &value), GMEM_RESULT_DECODE);
    pci_device_fini(&device.pci);
}

struct line {
    int level;
};

static void line_set(void *opaque, int level)
{
    struct line *line = opaque;

    line->level = level;
}

static void test_interrupt_lines(void **state)
{
    struct line lines[PIIX3_ISA_IRQS] = {{0}};
    struct pc_irq irqs[PIIX3_ISA_IRQS];
    const struct pc_hooks hooks = {.opaque = NULL};
    gmem_region *root;
    struct pci_bus *bus;
    struct piix3 *piix3;
    struct ram64 device;
    gmem_vm *vm;

    (void)state;
    for (unsigned n = 0; n < PIIX3_ISA_IRQS; n++)
        irqs[n] = (struct pc_irq){.set = line_set, .opaque = &lines[n]};
    assert_int_equal(gmem_vm_create(NULL, &vm), 0);
    assert_int_equal(gmem_region_create_container(vm, "root", GMEM_SIZE_ALL, NULL, &root), 0);
    assert_int_equal(pci_bus_create(vm, root, root, root, &hooks, &bus), 0);
    assert_int_equal(piix3_create(bus, irqs, (struct pc_irq){.set = NULL}, &piix3), 0);
    ram64_init(&device, bus);

    /* Device 5, pin A: line (0 + 5 - 1) % 4. Not routed anywhere yet. */
    pci_device_set_intx(&device.pci, 1);
    for (unsigned n = 0; n < PIIX3_ISA_IRQS; n++)
        assert_int_equal(lines[n].level, 0);
    pci_config_write(bus, PIIX3_FN, 0x61, 1, 11);
    assert_int_equal(lines[11].level, 0);
    pci_config_write(bus, PIIX3_FN, 0x60, 1, 10);
    assert_int_equal(lines[10].level, 1);
    pci_config_write(bus, PIIX3_FN, 0x60, 1, 5);
    assert_int_equal(lines[10].level, 0);
    assert_int_equal(lines[5].level, 1);
    pci_device_set_intx(&device.pci, 0);
    assert_int_equal(lines[5].level, 0);
    pci_device_set_intx(&device.pci, 1);
    pci_config_write(bus, PIIX3_FN, 0x60, 1, 0x85);
    assert_int_equal(lines[5].level, 0);

    pci_device_fini(&device.pci);
    piix3_destroy(piix3);
    pci_bus_destroy(bus);
    gmem_region_unref(root);
    gmem_vm_destroy(vm);
}

/* Anything a guest may write to configuration space leaves a machine that still works. */
static void test_random_writes(void **state)
{
    static const uint8_t functions[] = {I440FX_FN, PIIX3_FN, IDE_FN, PM_FN, VGA_FN, RAM64_DEVFN};
    struct bench *bench = *state;
    struct ram64 device;
    unsigned seed = (unsigned)time(NULL);

    print_message("seed %u\n", seed);
    srandom(seed);
    ram64_init(&device, machine_pci(bench->machine));
    bench->refuse_gpa = UINT64_C(1) << 48;
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t devfn = functions[(unsigned)random() % sizeof(functions)];
        unsigned offset = (unsigned)random() & 0xfc;
        uint32_t value = (uint32_t)random() << 1 ^ (uint32_t)random();

        if (random() % 4 == 0)
            value = UINT32_MAX;
        if (random() % 4 == 0)
            offset = PCI_COMMAND;
        cfg_write32(bench, devfn, offset, value);
    }
    bench->used = 0;
    for (size_t i = 0; i < sizeof(functions); i++)
        cfg_write16(bench, functions[i], PCI_COMMAND, 0);
    assert_string_equal(seen_at(bench, 0), "pc.ram");
    assert_string_equal(seen_at(bench, 0xfffffff0), "pc.bios");
    assert_int_equal(cfg_read32(bench, VGA_FN, 0), 0x11111234);
    assert_true(bench->logs <= 33);
    pci_device_fini(&device.pci);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identification, setup, teardown),
        cmocka_unit_test_setup_teardown(test_confadd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_control, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_after_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar_sizing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar_mapping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar_io, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar_over_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar_over_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_rom, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar_64, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bus_master, setup, teardown),
        cmocka_unit_test(test_interrupt_lines),
        cmocka_unit_test_setup_teardown(test_random_writes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
