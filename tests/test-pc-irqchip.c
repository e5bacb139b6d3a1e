/* SPDX-License-Identifier: MIT */
/*
 * test-pc-irqchip.c - the interrupt controllers of an interpreted machine and the wires between them, as processors meet them
 * (pc/irqchip.h).
 *
 * Linked with the allocator wrapped (wrap.h), and with the library's calls that make and place regions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "irqchip.h"
#include "pc-apic.h"
#include "random.h"
#include "wrap.h"

#define CPUS 2u
#define IOAPIC 0xfec00000u

/* Of the calls below the one numbered fails, from 1; 0: none does. */
static struct {
    unsigned long count, fail_at;
} regions;

int __real_gmem_region_create_mmio(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_mmio_ops *ops,
                                   void *opaque, const struct gmem_owner *owner, gmem_region **ret_region);
int __wrap_gmem_region_create_mmio(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_mmio_ops *ops,
                                   void *opaque, const struct gmem_owner *owner, gmem_region **ret_region);
int __real_gmem_region_add_priority(gmem_region *container, uint64_t offset, gmem_region *region, int32_t priority);
int __wrap_gmem_region_add_priority(gmem_region *container, uint64_t offset, gmem_region *region, int32_t priority);

int __wrap_gmem_region_create_mmio(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_mmio_ops *ops,
                                   void *opaque, const struct gmem_owner *owner, gmem_region **ret_region)
{
    if (++regions.count == regions.fail_at)
        return -ENOMEM;
    return __real_gmem_region_create_mmio(vm, name, size, ops, opaque, owner, ret_region);
}

int __wrap_gmem_region_add_priority(gmem_region *container, uint64_t offset, gmem_region *region, int32_t priority)
{
    if (++regions.count == regions.fail_at)
        return -ENOMEM;
    return __real_gmem_region_add_priority(container, offset, region, priority);
}

struct fixture {
    struct ports ports;
    struct vtime time;
    struct irqchip *chip;
    unsigned changes[CPUS];
};

static void changed(void *opaque, unsigned cpu)
{
    ((struct fixture *)opaque)->changes[cpu]++;
}

static int create(struct fixture *f)
{
    const struct irqchip_config config = {.cpus = CPUS, .time = &f->time, .changed = changed, .opaque = f};

    return irqchip_create(f->ports.vm, f->ports.io, f->ports.system, &config, &f->chip);
}

static int setup_empty(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ports_open(&f->ports);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    setup_empty(state);
    assert_int_equal(create(*state), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    irqchip_destroy(f->chip);
    assert_null(f->time.first);
    ports_close(&f->ports);
    free(f);
    return 0;
}

static void set(struct fixture *f, unsigned n, int level)
{
    pc_irq_set(irqchip_isa_irq(f->chip, n), level);
}

static void init_pics(struct fixture *f)
{
    static const uint8_t bytes[][2] = {{0x08, 0x70}, {0x04, 0x02}, {0x01, 0x01}, {0x00, 0x00}};

    outb(&f->ports, 0x20, 0x11);
    outb(&f->ports, 0xa0, 0x11);
    for (unsigned i = 0; i < 4; i++) {
        outb(&f->ports, 0x21, bytes[i][0]);
        outb(&f->ports, 0xa1, bytes[i][1]);
    }
}

static void wr(struct fixture *f, unsigned cpu, uint32_t offset, uint32_t value)
{
    irqchip_set_current(f->chip, cpu);
    apic_write(&f->ports, offset, value);
}

static uint32_t rd(struct fixture *f, unsigned cpu, uint32_t offset)
{
    irqchip_set_current(f->chip, cpu);
    return apic_read(&f->ports, offset);
}

static void ioapic_write(struct fixture *f, uint32_t index, uint32_t value)
{
    assert_int_equal(gmem_st32_le(f->ports.memory, IOAPIC, GMEM_ATTRS_NONE, index), GMEM_OK);
    assert_int_equal(gmem_st32_le(f->ports.memory, IOAPIC + 0x10, GMEM_ATTRS_NONE, value), GMEM_OK);
}

static uint32_t ioapic_read(struct fixture *f, uint32_t index)
{
    uint32_t value;

    assert_int_equal(gmem_st32_le(f->ports.memory, IOAPIC, GMEM_ATTRS_NONE, index), GMEM_OK);
    assert_int_equal(gmem_ld32_le(f->ports.memory, IOAPIC + 0x10, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static void route(struct fixture *f, unsigned pin, uint32_t low, uint32_t cpu)
{
    ioapic_write(f, 0x11 + 2 * pin, cpu << 24);
    ioapic_write(f, 0x10 + 2 * pin, low);
}

static void assert_taken(struct fixture *f, unsigned cpu, uint8_t vector)
{
    assert_true(irqchip_pending(f->chip, cpu));
    assert_int_equal(irqchip_acknowledge(f->chip, cpu), vector);
}

static void assert_nothing(struct fixture *f)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        assert_false(irqchip_pending(f->chip, cpu));
}

static void assert_memory(struct fixture *f, uint64_t addr, const char *name, int32_t priority)
{
    struct gmem_section section;

    assert_int_equal(gmem_space_lookup(f->ports.memory, addr, &section), 0);
    assert_string_equal(gmem_region_name(section.region), name);
    assert_int_equal(gmem_region_priority(section.region), priority);
    gmem_section_release(&section);
}

static void test_places(void **state)
{
    struct fixture *f = *state;
    static const uint16_t pic[] = {0x20, 0x21, 0xa0, 0xa1};

    for (unsigned i = 0; i < 4; i++)
        assert_port(&f->ports, pic[i], "pic");
    assert_port(&f->ports, 0x4d0, "elcr");
    assert_port(&f->ports, 0x4d1, "elcr");
    assert_memory(f, 0xfec00000, "ioapic", 0);
    assert_memory(f, 0xfec00fff, "ioapic", 0);
    assert_memory(f, 0xfee00000, "apic-msi", 4096);
    assert_memory(f, 0xfeefffff, "apic-msi", 4096);
    assert_nothing(f);
    irqchip_destroy(NULL);
}

/* Firmware that knows no APIC: processor 0 has the PICs' interrupts, others do not. */
static void test_pics_after_reset(void **state)
{
    struct fixture *f = *state;

    init_pics(f);
    set(f, 0, 1);
    assert_false(irqchip_pending(f->chip, 1));
    assert_int_equal(f->changes[0], 1);
    assert_int_equal(f->changes[1], 0);
    assert_taken(f, 0, 0x08);
    assert_nothing(f);
    outb(&f->ports, 0x20, 0x20);
    set(f, 12, 1);
    assert_taken(f, 0, 0x74);
    outb(&f->ports, 0xa0, 0x20);
    outb(&f->ports, 0x20, 0x20);
    assert_nothing(f);

    /* The same while the APIC is off. */
    assert_int_equal(irqchip_apic_base(f->chip, 0), 0xfee00900);
    assert_int_equal(irqchip_apic_base(f->chip, 1), 0xfee00800);
    assert_int_equal(irqchip_set_apic_base(f->chip, 0, 0xfee00100), 0);
    assert_int_equal(irqchip_set_apic_base(f->chip, 1, 0xfee00000), 0);
    set(f, 1, 1);
    assert_false(irqchip_pending(f->chip, 1));
    assert_taken(f, 0, 0x09);
    assert_int_equal(irqchip_set_apic_base(f->chip, 0, 0xfed00900), -EINVAL);
    assert_int_equal(irqchip_apic_base(f->chip, 0), 0xfee00100);
}

/* What SeaBIOS does before it starts the other processors, and what it then does with the PICs. */
static void test_firmware(void **state)
{
    struct fixture *f = *state;
    uint8_t vector = 0;

    wr(f, 0, APIC_SVR, rd(f, 0, APIC_SVR) | 0x100);
    wr(f, 0, APIC_LVT_LINT0, 0x8700);
    wr(f, 0, APIC_LVT_LINT1, 0x8400);
    wr(f, 0, APIC_ICR, 0xc4500);
    wr(f, 0, APIC_ICR, 0xc4610);
    assert_int_equal(irqchip_events(f->chip, 0, &vector), 0);
    assert_int_equal(irqchip_events(f->chip, 1, &vector), IRQCHIP_INIT | IRQCHIP_SIPI);
    assert_int_equal(vector, 0x10);
    assert_int_equal(irqchip_events(f->chip, 1, &vector), 0);
    assert_int_equal(rd(f, 1, APIC_ID), 0x01000000);

    init_pics(f);
    outb(&f->ports, 0x21, 0xfb);
    outb(&f->ports, 0xa1, 0xff);
    set(f, 0, 1);
    assert_nothing(f);
    outb(&f->ports, 0x21, 0xfa);
    assert_taken(f, 0, 0x08);
    outb(&f->ports, 0x20, 0x20);
    set(f, 0, 0);
    outb(&f->ports, 0xa1, 0xfe);
    set(f, 8, 1);
    assert_taken(f, 0, 0x70);
    outb(&f->ports, 0xa0, 0x20);
    outb(&f->ports, 0x20, 0x20);
    assert_nothing(f);
}

/* Each ISA input is a pin of the IOAPIC too; the timer's is 2. Nothing leads to 0, nor from input 2. */
static void test_isa_inputs(void **state)
{
    struct fixture *f = *state;

    wr(f, 0, APIC_SVR, APIC_ENABLED);
    for (unsigned pin = 0; pin < 24; pin++)
        route(f, pin, 0x40 + pin, 0);
    for (unsigned n = 0; n < IRQCHIP_ISA_IRQS; n++) {
        set(f, n, 1);
        set(f, n, 0);
        if (n != 2) {
            assert_taken(f, 0, (uint8_t)(n ? 0x40 + n : 0x42));
            wr(f, 0, APIC_EOI, 0);
        }
        assert_nothing(f);
    }
    assert_null(irqchip_isa_irq(f->chip, 2).set);
    assert_null(irqchip_isa_irq(f->chip, IRQCHIP_ISA_IRQS).set);
}

/* A level triggered interrupt by way of the IOAPIC: once for each EOI, while the device asks. */
static void test_level_through_ioapic(void **state)
{
    struct fixture *f = *state;

    wr(f, 1, APIC_SVR, APIC_ENABLED);
    route(f, 11, APIC_LEVEL | 0x51, 1);
    set(f, 11, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ioapic_read(f, 0x10 + 2 * 11), APIC_LEVEL | APIC_REMOTE_IRR | 0x51);
        assert_taken(f, 1, 0x51);
        assert_nothing(f);
        wr(f, 1, APIC_EOI, 0);
    }
    set(f, 11, 0);
    assert_taken(f, 1, 0x51);
    wr(f, 1, APIC_EOI, 0);
    assert_nothing(f);
    assert_int_equal(ioapic_read(f, 0x10 + 2 * 11), APIC_LEVEL | 0x51);
}

/* An interrupt that nobody takes yet is there when its APIC is enabled. */
static void test_level_waits_for_apic(void **state)
{
    struct fixture *f = *state;

    route(f, 11, APIC_LEVEL | 0x51, 1);
    set(f, 11, 1);
    assert_nothing(f);
    wr(f, 1, APIC_SVR, APIC_ENABLED);
    assert_taken(f, 1, 0x51);
}

/* ExtINT by the IOAPIC: the PICs have the vector. */
static void test_extint_through_ioapic(void **state)
{
    struct fixture *f = *state;

    init_pics(f);
    outb(&f->ports, 0x21, 0x00);
    wr(f, 1, APIC_SVR, APIC_ENABLED);
    wr(f, 0, APIC_SVR, APIC_ENABLED);
    wr(f, 0, APIC_LVT_LINT0, APIC_MASKED);
    route(f, 5, 0x700, 1);
    set(f, 5, 1);
    assert_false(irqchip_pending(f->chip, 0));
    assert_taken(f, 1, 0x0d);
    assert_nothing(f);
}

/* INTR is at both processors: who is first takes it, and the other one has nothing any more. */
static void test_intr_at_both(void **state)
{
    struct fixture *f = *state;

    init_pics(f);
    wr(f, 1, APIC_SVR, APIC_ENABLED);
    wr(f, 1, APIC_LVT_LINT0, 0x700);
    set(f, 3, 1);
    assert_true(irqchip_pending(f->chip, 0));
    assert_taken(f, 1, 0x0b);
    assert_nothing(f);
    assert_int_equal(f->changes[0], 2);
    assert_int_equal(irqchip_acknowledge(f->chip, 0), 0x0f); /* it had seen INTR: spurious */
}

static void test_went_away(void **state)
{
    struct fixture *f = *state;

    init_pics(f);
    set(f, 3, 1);
    set(f, 3, 0);
    assert_nothing(f);
    assert_int_equal(irqchip_acknowledge(f->chip, 0), 0x0f);
    set(f, 9, 1);
    set(f, 9, 0);
    assert_int_equal(irqchip_acknowledge(f->chip, 0), 0x77);
    outb(&f->ports, 0x20, 0x20);
    wr(f, 0, APIC_SVR, 0x1ef);
    wr(f, 0, APIC_ICR, 0x44050);
    assert_true(irqchip_pending(f->chip, 0));
    wr(f, 0, APIC_TPR, 0x50);
    assert_nothing(f);
    assert_int_equal(irqchip_acknowledge(f->chip, 0), 0xef);
    wr(f, 0, APIC_TPR, 0x4f);
    assert_taken(f, 0, 0x50);
}

static void test_events(void **state)
{
    struct fixture *f = *state;
    uint8_t vector = 0x55;

    wr(f, 1, APIC_ICR_HIGH, 0);
    wr(f, 1, APIC_ICR, 0x4400);
    assert_int_equal(f->changes[0], 1);
    wr(f, 1, APIC_ICR, 0x4200);
    assert_int_equal(f->changes[0], 2);
    assert_int_equal(irqchip_events(f->chip, 0, &vector), IRQCHIP_NMI | IRQCHIP_SMI);
    wr(f, 1, APIC_ICR, 0x4500);
    wr(f, 1, APIC_ICR, 0x4620);
    assert_int_equal(irqchip_events(f->chip, 0, &vector), IRQCHIP_INIT); /* processor 0 does not wait for SIPI */
    assert_int_equal(vector, 0x55);
    assert_int_equal(f->changes[1], 0);
    apic_msi(&f->ports, 0xfee00000, 0x0400);
    assert_int_equal(irqchip_events(f->chip, 0, &vector), IRQCHIP_NMI);
}

static void test_timer(void **state)
{
    struct fixture *f = *state;

    wr(f, 1, APIC_SVR, APIC_ENABLED);
    wr(f, 1, APIC_LVT_TIMER, APIC_PERIODIC | 0x60);
    wr(f, 1, APIC_TIMER_DIVIDE, 0x0b);
    wr(f, 1, APIC_TIMER_INITIAL, 1000000);
    for (unsigned i = 1; i <= 5; i++) {
        vtime_advance(&f->time, i * 1000000 - 1);
        assert_nothing(f);
        vtime_advance(&f->time, i * 1000000);
        assert_int_equal(f->changes[1], 2 * i - 1);
        assert_taken(f, 1, 0x60);
        wr(f, 1, APIC_EOI, 0);
    }
}

static void assert_refused(struct fixture *f, int err)
{
    struct gmem_section section;

    assert_int_equal(err, -ENOMEM);
    assert_null(f->chip);
    assert_int_not_equal(gmem_space_lookup(f->ports.space, 0x20, &section), 0);
    assert_int_not_equal(gmem_space_lookup(f->ports.space, 0x4d0, &section), 0);
    assert_int_not_equal(gmem_space_lookup(f->ports.memory, 0xfec00000, &section), 0);
    assert_int_not_equal(gmem_space_lookup(f->ports.memory, 0xfee00000, &section), 0);
}

/* G1: each allocation, and each call of the library, fails in turn, and nothing is left of what was placed. */
static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    int err = -ENOMEM;
    unsigned long n;

    for (n = 1; err; n++) {
        wrap_start(n);
        err = create(f);
        if (wrap_stop())
            assert_refused(f, err);
    }
    assert_int_equal(err, 0);
    assert_true(n > 6 + CPUS);
    irqchip_destroy(f->chip);
    f->chip = NULL;

    err = -ENOMEM;
    for (n = 1; err; n++) {
        regions.count = 0;
        regions.fail_at = n;
        err = create(f);
        if (regions.count >= n)
            assert_refused(f, err);
    }
    regions.fail_at = 0;
    assert_int_equal(err, 0);
    assert_int_equal(n - 2, 12); /* six regions, made and placed */
}

/* Nothing is allocated by what a guest does. */
static void test_guest_allocates_nothing(void **state)
{
    struct fixture *f = *state;

    init_pics(f);
    wr(f, 0, APIC_SVR, APIC_ENABLED);
    wrap_start(0);
    route(f, 4, 0x44, 0);
    set(f, 4, 1);
    wr(f, 0, APIC_LVT_TIMER, APIC_PERIODIC | 0x60);
    wr(f, 0, APIC_TIMER_INITIAL, 1);
    vtime_advance(&f->time, 1000000);
    wr(f, 0, APIC_ICR, 0xc4500);
    (void)irqchip_acknowledge(f->chip, 0);
    wr(f, 0, APIC_EOI, 0);
    (void)wrap_stop();
    assert_int_equal(wrap.count, 0);
}

/* Whatever the guest and its devices do: changed is told of every change of pending, and the processor gets vectors from 16 on. */
static void test_random(void **state)
{
    struct fixture *f = *state;
    struct random random = random_start("irqchip", 5);
    unsigned taken = 0;

    init_pics(f);
    for (int i = 0; i < 50000; i++) {
        unsigned cpu = (unsigned)random_below(&random, CPUS), before[CPUS];
        bool pending[CPUS];
        uint8_t vector;

        for (unsigned j = 0; j < CPUS; j++) {
            before[j] = f->changes[j];
            pending[j] = irqchip_pending(f->chip, j);
        }
        switch (random_below(&random, 9)) {
        case 0:
        case 1:
            set(f, (unsigned)random_below(&random, IRQCHIP_ISA_IRQS), (int)random_below(&random, 2));
            break;
        case 2:
            route(f, (unsigned)random_below(&random, 24), (uint32_t)random_u64(&random) & 0xfeff,
                  (uint32_t)random_below(&random, CPUS));
            break;
        case 3:
            wr(f, cpu, (uint32_t)random_below(&random, 0x40) << 4, (uint32_t)random_u64(&random));
            break;
        case 4:
            wr(f, cpu, APIC_SVR, APIC_ENABLED);
            wr(f, cpu, APIC_TPR, 0);
            wr(f, cpu, APIC_ID, cpu << 24);
            break;
        case 5:
            wr(f, cpu, APIC_EOI, 0);
            outb(&f->ports, 0xa0, 0x20);
            outb(&f->ports, 0x20, 0x20);
            break;
        case 6:
            apic_msi(&f->ports, LAPIC_BASE | cpu << 12, (uint32_t)random_u64(&random) & 0xc1ff);
            break;
        case 7:
            vtime_advance(&f->time, f->time.now + random_below(&random, 50000));
            (void)irqchip_events(f->chip, cpu, &vector);
            break;
        default:
            if (!irqchip_pending(f->chip, cpu))
                break;
            vector = irqchip_acknowledge(f->chip, cpu);
            assert_true(vector >= 0x08);
            taken++;
            break;
        }
        for (unsigned j = 0; j < CPUS; j++)
            assert_true(pending[j] == irqchip_pending(f->chip, j) || f->changes[j] != before[j]);
    }
    printf("# %u taken\n", taken);
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pics_after_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_firmware, setup, teardown),
        cmocka_unit_test_setup_teardown(test_isa_inputs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_level_through_ioapic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_level_waits_for_apic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_extint_through_ioapic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_intr_at_both, setup, teardown),
        cmocka_unit_test_setup_teardown(test_went_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup_empty, teardown),
        cmocka_unit_test_setup_teardown(test_guest_allocates_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
