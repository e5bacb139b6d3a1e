/* SPDX-License-Identifier: MIT */
/*
 * Local APICs through their page: registers, priorities, errors, local inputs; cases from the Intel SDM, volume 3, chapter "APIC".
 * Three processors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pc-lapic.h"

static void test_place(void **state)
{
    struct fixture *f = *state;
    struct gmem_section section;

    assert_int_equal(gmem_space_lookup(f->ports.memory, 0xfeefffff, &section), 0);
    assert_string_equal(gmem_region_name(section.region), "apic-msi");
    assert_int_equal(gmem_region_priority(section.region), 4096);
    gmem_section_release(&section);
    assert_int_not_equal(gmem_space_lookup(f->ports.memory, 0xfef00000, &section), 0);
}

static void test_reset_values(void **state)
{
    static const struct {
        uint32_t offset, value;
    } values[] = {
        {APIC_VERSION, 0x50014},
        {APIC_TPR, 0},
        {APIC_APR, 0},
        {APIC_PPR, 0},
        {APIC_LDR, 0},
        {APIC_DFR, 0xffffffff},
        {APIC_SVR, 0xff},
        {APIC_ESR, 0},
        {APIC_ICR, 0},
        {APIC_ICR_HIGH, 0},
        {APIC_LVT_TIMER, APIC_MASKED},
        {APIC_LVT_THERMAL, APIC_MASKED},
        {APIC_LVT_PERFORMANCE, APIC_MASKED},
        {APIC_LVT_LINT1, APIC_MASKED},
        {APIC_LVT_ERROR, APIC_MASKED},
        {APIC_TIMER_INITIAL, 0},
        {APIC_TIMER_COUNT, 0},
        {APIC_TIMER_DIVIDE, 0},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < CPUS; i++) {
        use(f, i);
        assert_int_equal(rd(f, APIC_ID), i << 24);
        for (unsigned j = 0; j < sizeof(values) / sizeof(values[0]); j++)
            assert_int_equal(rd(f, values[j].offset), values[j].value);
        assert_int_equal(rd(f, APIC_LVT_LINT0), i ? APIC_MASKED : 0x700);
        for (uint32_t at = APIC_ISR; at < APIC_ESR; at += 0x10)
            assert_int_equal(rd(f, at), 0);
        wr(f, APIC_ESR, 0);
        assert_int_equal(rd(f, APIC_ESR), 0);
    }
}

static void test_writable_bits(void **state)
{
    static const struct {
        uint32_t offset, ones;
    } registers[] = {
        {APIC_ID, 0xff000000},       {APIC_TPR, 0xff},
        {APIC_LDR, 0xff000000},      {APIC_SVR, 0x3ff},
        {APIC_LVT_TIMER, 0x300ff},   {APIC_LVT_THERMAL, 0x107ff},
        {APIC_LVT_LINT0, 0x1a7ff},   {APIC_LVT_LINT1, 0x1a7ff},
        {APIC_LVT_ERROR, 0x100ff},   {APIC_LVT_PERFORMANCE, 0x107ff},
        {APIC_ICR_HIGH, 0xff000000}, {APIC_TIMER_INITIAL, 0xffffffff},
        {APIC_TIMER_DIVIDE, 0x0b},   {APIC_VERSION, 0x50014},
    };
    struct fixture *f = *state;
    uint8_t byte;

    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        wr(f, registers[i].offset, 0xffffffff);
        assert_int_equal(rd(f, registers[i].offset), registers[i].ones);
    }
    wr(f, APIC_DFR, 0);
    assert_int_equal(rd(f, APIC_DFR), 0x0fffffff);
    wr(f, APIC_ICR, 0xfffffbff); /* mode 3 is reserved: kept, not sent */
    assert_int_equal(rd(f, APIC_ICR), 0xccbff);
    assert_false(lapic_pending(f->cpu[0]));

    /* Narrower: parts are read, nothing is written. Between registers there is nothing. */
    wr(f, APIC_ICR_HIGH, 0x12000000);
    assert_int_equal(gmem_ld8(f->ports.memory, LAPIC_BASE + APIC_ICR_HIGH + 3, GMEM_ATTRS_NONE, &byte), GMEM_OK);
    assert_int_equal(byte, 0x12);
    assert_int_equal(gmem_st8(f->ports.memory, LAPIC_BASE + APIC_ICR_HIGH + 3, GMEM_ATTRS_NONE, 0x34), GMEM_OK);
    wr(f, APIC_ICR_HIGH + 4, 0x34000000);
    assert_int_equal(rd(f, APIC_ICR_HIGH), 0x12000000);
    assert_int_equal(rd(f, APIC_ICR_HIGH + 4), 0);
}

static void test_priorities(void **state)
{
    struct fixture *f = *state;

    self(f, 0x51);
    self(f, 0x61);
    self(f, 0x5f);
    assert_taken(f, 0, 0x61);
    assert_false(lapic_pending(f->cpu[0]));
    assert_int_equal(rd(f, APIC_PPR), 0x60);
    assert_true(apic_has(&f->ports, APIC_ISR, 0x61));
    assert_false(apic_has(&f->ports, APIC_IRR, 0x61));
    self(f, 0x6f); /* of the same class: waits */
    assert_false(lapic_pending(f->cpu[0]));
    self(f, 0x70);
    assert_taken(f, 0, 0x70);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_EOI, 0);
    assert_taken(f, 0, 0x6f);
    wr(f, APIC_EOI, 0);
    wr(f, APIC_TPR, 0x55); /* holds back its class and those below */
    assert_int_equal(rd(f, APIC_PPR), 0x55);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_TPR, 0x4f);
    assert_int_equal(rd(f, APIC_PPR), 0x4f);
    assert_taken(f, 0, 0x5f);
    assert_int_equal(rd(f, APIC_PPR), 0x50);
    wr(f, APIC_EOI, 0);
    assert_taken(f, 0, 0x51);
    wr(f, APIC_EOI, 0);
    wr(f, APIC_EOI, 0); /* nothing in service */
    assert_int_equal(f->eois, 0);
}

/* One in service and one requested: the third of a vector is one with the second. */
static void test_merged(void **state)
{
    struct fixture *f = *state;

    self(f, 0x40);
    assert_taken(f, 0, 0x40);
    self(f, 0x40);
    self(f, 0x40);
    wr(f, APIC_EOI, 0);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
}

static void test_arbitration_priority(void **state)
{
    struct fixture *f = *state;

    wr(f, APIC_TPR, 0x35);
    assert_int_equal(rd(f, APIC_APR), 0x35);
    self(f, 0x31);
    assert_int_equal(rd(f, APIC_APR), 0x35); /* of the same class as what is requested */
    self(f, 0x41);
    assert_int_equal(rd(f, APIC_APR), 0x40);
    assert_taken(f, 0, 0x41);
    assert_int_equal(rd(f, APIC_APR), 0x40);
    use(f, 1); /* only in service, and nothing else as high */
    wr(f, APIC_ICR, 0x44051);
    assert_taken(f, 1, 0x51);
    wr(f, APIC_TPR, 0x35);
    assert_int_equal(rd(f, APIC_APR), 0x50);
    wr(f, APIC_TPR, 0x55);
    assert_int_equal(rd(f, APIC_APR), 0x50);
    wr(f, APIC_TPR, 0x65);
    assert_int_equal(rd(f, APIC_APR), 0x65);
}

/* It went away between pending and taking: the spurious vector, which is not in service. */
static void test_spurious(void **state)
{
    struct fixture *f = *state;
    uint8_t vector;

    wr(f, APIC_SVR, 0x1cf);
    self(f, 0x40);
    assert_true(lapic_pending(f->cpu[0]));
    wr(f, APIC_TPR, 0xf0);
    assert_false(lapic_pending(f->cpu[0]));
    assert_true(lapic_take(f->cpu[0], &vector));
    assert_int_equal(vector, 0xcf);
    assert_false(apic_has(&f->ports, APIC_ISR, 0xcf));
    wr(f, APIC_TPR, 0);
    assert_taken(f, 0, 0x40);
}

static void test_software_disable(void **state)
{
    struct fixture *f = *state;
    const struct apic_message message = {.mode = APIC_FIXED, .vector = 0x55, .dest = 0};

    wr(f, APIC_LVT_ERROR, 0x33);
    wr(f, APIC_LVT_TIMER, 0x34);
    self(f, 0x40);
    wr(f, APIC_SVR, 0xff);
    assert_taken(f, 0, 0x40); /* what was taken before is still handled */
    wr(f, APIC_EOI, 0);
    for (uint32_t at = APIC_LVT_TIMER; at <= APIC_LVT_ERROR; at += 0x10) {
        assert_int_equal(rd(f, at) & APIC_MASKED, APIC_MASKED);
        wr(f, at, 0x40);
        assert_int_equal(rd(f, at), APIC_MASKED | 0x40);
    }
    assert_false(apic_bus_send(f->bus, &message));
    self(f, 0x40);
    assert_false(lapic_pending(f->cpu[0]));
    /* INIT, NMI, SMI and SIPI are taken all the same, and messages are sent. */
    send(f, 0, 0x4400);
    send(f, 0, 0x4200);
    assert_int_equal(events(f, 0), IRQCHIP_NMI | IRQCHIP_SMI);
    send(f, 1, 0x4041);
    assert_int_equal(receivers(f, 0x41), 2);
    wr(f, APIC_SVR, APIC_ENABLED);
    assert_true(apic_bus_send(f->bus, &message));
    assert_int_equal(receivers(f, 0x55), 1);
}

static void test_errors(void **state)
{
    struct fixture *f = *state;
    const struct apic_message illegal = {.mode = APIC_FIXED, .vector = 0x0f, .dest = 0};
    const struct apic_message level = {.mode = APIC_FIXED, .vector = 0xe0, .dest = 0, .level = true};

    wr(f, APIC_LVT_ERROR, 0xe0);
    self(f, 0x0f);                        /* not sent */
    assert_int_equal(rd(f, APIC_ESR), 0); /* until it is written */
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    self(f, 0x00);
    assert_false(lapic_pending(f->cpu[0])); /* no new error */
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0x20);
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0);
    self(f, 0x0f);
    assert_taken(f, 0, 0xe0); /* armed again */
    wr(f, APIC_EOI, 0);
    wr(f, APIC_ESR, 0);

    assert_true(apic_bus_send(f->bus, &illegal));
    assert_false(apic_has(&f->ports, APIC_IRR, 0x0f));
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    wr(f, 0x000, 0);
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    (void)rd(f, 0x3f0);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0xc0);

    assert_true(apic_bus_send(f->bus, &level)); /* the error's vector as one to be told of */
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    assert_int_equal(f->eois, 1);
    self(f, 0x0f);
    assert_taken(f, 0, 0xe0);
    wr(f, APIC_EOI, 0);
    assert_int_equal(f->eois, 1);
    wr(f, APIC_ESR, 0);

    wr(f, APIC_LVT_ERROR, 0x0e); /* an error that is one itself ends there */
    self(f, 0x0f);
    wr(f, APIC_ESR, 0);
    assert_int_equal(rd(f, APIC_ESR), 0x60);
    wr(f, APIC_LVT_ERROR, APIC_MASKED | 0xe0);
    self(f, 0x0f);
    assert_false(lapic_pending(f->cpu[0]));
    for (uint32_t at = APIC_ISR; at < APIC_ESR; at += 0x10)
        assert_int_equal(rd(f, at), 0);
}

static void test_lint(void **state)
{
    struct fixture *f = *state;
    uint8_t vector;

    wr(f, APIC_LVT_LINT0, 0x8700); /* virtual wire, as firmware sets it up */
    wr(f, APIC_LVT_LINT1, 0x8400);
    lapic_set_lint(f->cpu[0], 0, 1);
    assert_true(lapic_pending(f->cpu[0]));
    assert_false(lapic_take(f->cpu[0], &vector));
    assert_true(lapic_pending(f->cpu[0])); /* it is the line */
    wr(f, APIC_LVT_LINT0, 0x18700);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_LVT_LINT0, 0x700);
    assert_true(lapic_pending(f->cpu[0]));
    self(f, 0x40);
    assert_false(lapic_take(f->cpu[0], &vector)); /* the wire goes first */
    lapic_set_lint(f->cpu[0], 0, 0);
    assert_taken(f, 0, 0x40);
    wr(f, APIC_EOI, 0);
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_int_equal(events(f, 0), IRQCHIP_NMI);
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_int_equal(events(f, 0), 0);
    lapic_set_lint(f->cpu[0], 1, 0);

    wr(f, APIC_LVT_LINT1, 0x45); /* fixed, by edges */
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_taken(f, 0, 0x45);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_LVT_LINT1, APIC_MASKED | 0x45);
    lapic_set_lint(f->cpu[0], 1, 0);
    lapic_set_lint(f->cpu[0], 1, 1); /* lost */
    wr(f, APIC_LVT_LINT1, 0x45);
    assert_false(lapic_pending(f->cpu[0]));
    wr(f, APIC_LVT_LINT1, 0x200);
    lapic_set_lint(f->cpu[0], 1, 0);
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_int_equal(events(f, 0), IRQCHIP_SMI);
}

static void test_lint_level(void **state)
{
    struct fixture *f = *state;

    lapic_set_lint(f->cpu[0], 0, 1);
    wr(f, APIC_LVT_LINT0, APIC_LEVEL | 0x48); /* it is up already */
    assert_int_equal(rd(f, APIC_LVT_LINT0), APIC_LEVEL | APIC_REMOTE_IRR | 0x48);
    for (int i = 0; i < 3; i++) {
        assert_taken(f, 0, 0x48);
        assert_false(lapic_pending(f->cpu[0]));
        wr(f, APIC_EOI, 0);
    }
    lapic_set_lint(f->cpu[0], 0, 0);
    assert_taken(f, 0, 0x48);
    wr(f, APIC_EOI, 0);
    assert_false(lapic_pending(f->cpu[0]));
    assert_int_equal(rd(f, APIC_LVT_LINT0), APIC_LEVEL | 0x48);
    lapic_set_lint(f->cpu[0], 0, 1);
    wr(f, APIC_LVT_LINT0, APIC_MASKED | 0x48); /* edge triggered: no remote IRR */
    assert_int_equal(rd(f, APIC_LVT_LINT0), APIC_MASKED | 0x48);
}

static void test_lint_init(void **state)
{
    struct fixture *f = *state;

    use(f, 1);
    wr(f, APIC_LVT_LINT1, 0x500);
    lapic_set_lint(f->cpu[1], 1, 1);
    assert_int_equal(events(f, 1), IRQCHIP_INIT);
    assert_int_equal(rd(f, APIC_LVT_LINT1), APIC_MASKED);
}

static void test_base(void **state)
{
    struct fixture *f = *state;
    uint8_t vector;

    assert_int_equal(lapic_base(f->cpu[0]), 0xfee00900);
    assert_int_equal(lapic_base(f->cpu[1]), 0xfee00800);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee01900), -EINVAL);
    assert_int_equal(lapic_set_base(f->cpu[0], 0x1fee00900), -EINVAL);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00d00), -EINVAL); /* no x2APIC */
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00901), -EINVAL);
    assert_int_equal(lapic_base(f->cpu[0]), 0xfee00900);
    wr(f, APIC_TPR, 0x30);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00900), 0);
    assert_int_equal(rd(f, APIC_TPR), 0x30);
    assert_int_equal(lapic_set_base(f->cpu[1], 0xfee00900),
                     0); /* who is the bootstrap processor is not the guest's to say */
    assert_int_equal(lapic_base(f->cpu[1]), 0xfee00800);

    self(f, 0x50);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00100), 0);
    assert_int_equal(lapic_base(f->cpu[0]), 0xfee00100);
    assert_false(lapic_pending(f->cpu[0]));
    assert_int_equal(rd(f, APIC_VERSION), 0xffffffff); /* there is nothing */
    wr(f, APIC_TPR, 0x30);
    use(f, 1);
    assert_int_equal(rd(f, APIC_VERSION), 0x50014);
    send(f, 0, 0x4500); /* takes no messages at all */
    assert_int_equal(events(f, 0), 0);
    lapic_set_lint(f->cpu[0], 0, 1); /* the pins are INTR and NMI */
    assert_true(lapic_pending(f->cpu[0]));
    assert_false(lapic_take(f->cpu[0], &vector));
    lapic_set_lint(f->cpu[0], 1, 1);
    assert_int_equal(events(f, 0), IRQCHIP_NMI);
    assert_int_equal(lapic_set_base(f->cpu[1], 0xfee00000), 0);
    lapic_set_lint(f->cpu[1], 0, 1);
    lapic_set_lint(f->cpu[1], 1, 1);
    assert_false(lapic_pending(f->cpu[1]));
    assert_int_equal(events(f, 1), 0);
    assert_int_equal(lapic_set_base(f->cpu[0], 0xfee00900), 0);
    use(f, 0);
    assert_int_equal(rd(f, APIC_TPR), 0); /* as after reset */
    assert_int_equal(rd(f, APIC_SVR), 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_place, setup_reset, teardown),
        cmocka_unit_test_setup_teardown(test_reset_values, setup_reset, teardown),
        cmocka_unit_test_setup_teardown(test_writable_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_priorities, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arbitration_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spurious, setup, teardown),
        cmocka_unit_test_setup_teardown(test_software_disable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lint_level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lint_init, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
