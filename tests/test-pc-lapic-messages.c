/* SPDX-License-Identifier: MIT */
/*
 * Messages between local APICs, and to them: destinations, INIT and start-up, EOIs, MSIs; cases from the Intel SDM, volume 3, chapter
 * "APIC", and random sequences. Three processors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pc-lapic.h"
#include "random.h"

static void test_physical_destinations(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < CPUS; i++) {
        send(f, i, 0x4050);
        assert_int_equal(receivers(f, 0x50), 1u << i);
    }
    send(f, 0xff, 0x4050);
    assert_int_equal(receivers(f, 0x50), 7);
    send(f, 9, 0x4050);
    assert_int_equal(receivers(f, 0x50), 0);
    use(f, 2);
    wr(f, APIC_ID, 0x09000000);
    use(f, 0);
    send(f, 9, 0x4050);
    assert_int_equal(receivers(f, 0x50), 4);
    send(f, 9, 0x44050); /* shorthands do not look at it */
    assert_int_equal(receivers(f, 0x50), 1);
    send(f, 9, 0x84050);
    assert_int_equal(receivers(f, 0x50), 7);
    send(f, 9, 0xc4050);
    assert_int_equal(receivers(f, 0x50), 6);
}

static void set_logical(struct fixture *f, uint32_t dfr, const uint8_t ldr[CPUS])
{
    for (unsigned i = CPUS; i-- > 0;) {
        use(f, i);
        wr(f, APIC_DFR, dfr);
        wr(f, APIC_LDR, (uint32_t)ldr[i] << 24);
    }
}

static void test_logical_destinations(void **state)
{
    static const struct {
        uint32_t dfr;
        uint8_t ldr[CPUS];
        uint8_t dest;
        unsigned expected;
    } cases[] = {
        {0xf0000000, {0x01, 0x02, 0x04}, 0x05, 5}, {0xf0000000, {0x01, 0x02, 0x04}, 0x08, 0},
        {0xf0000000, {0x01, 0x03, 0x04}, 0x01, 3}, {0xf0000000, {0x01, 0x02, 0x80}, 0xff, 7},
        {0x00000000, {0x11, 0x12, 0x21}, 0x13, 3}, {0x00000000, {0x11, 0x12, 0x21}, 0x21, 4},
        {0x00000000, {0x11, 0x12, 0x21}, 0x31, 0}, {0x00000000, {0x11, 0x12, 0x21}, 0xf1, 5},
        {0x00000000, {0x11, 0x12, 0x21}, 0xff, 7}, {0x00000000, {0x11, 0x12, 0x21}, 0x10, 0},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set_logical(f, cases[i].dfr, cases[i].ldr);
        send(f, cases[i].dest, 0x4850);
        assert_int_equal(receivers(f, 0x50), cases[i].expected);
    }
}

static void test_lowest_priority(void **state)
{
    static const uint8_t ldr[CPUS] = {1, 2, 4};
    struct fixture *f = *state;

    set_logical(f, 0xf0000000, ldr);
    for (unsigned i = 0; i < 6; i++) { /* equals take turns */
        send(f, 7, 0x4950);
        assert_int_equal(receivers(f, 0x50), 1u << i % 3);
    }
    wr(f, APIC_TPR, 0x20);
    use(f, 2);
    wr(f, APIC_TPR, 0x10);
    use(f, 1);
    wr(f, APIC_TPR, 0x30);
    use(f, 0);
    send(f, 7, 0x4950);
    assert_int_equal(receivers(f, 0x50), 4);
    send(f, 3, 0x4950);
    assert_int_equal(receivers(f, 0x50), 1);
    use(f, 2);
    wr(f, APIC_SVR, 0xff); /* does not take part */
    use(f, 0);
    send(f, 7, 0x4950);
    assert_int_equal(receivers(f, 0x50), 1);
    send(f, 4, 0x4950);
    assert_int_equal(receivers(f, 0x50), 0);

    /* The focus processor: it has the interrupt already; unless it does not look (SVR bit 9). */
    send(f, 1, 0x4050); /* physical: processor 1, whose priority is worse */
    send(f, 7, 0x4950);
    assert_int_equal(receivers(f, 0x50), 2);
    use(f, 1);
    wr(f, APIC_SVR, APIC_ENABLED | 0x200);
    use(f, 0);
    send(f, 1, 0x4050);
    send(f, 7, 0x4950);
    assert_int_equal(receivers(f, 0x50), 3);
}

static void test_init_and_sipi(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(events(f, 1), 0);
    send(f, 1, 0x4400); /* they wait for SIPI from the beginning, and take no NMI */
    assert_int_equal(events(f, 1), 0);
    wr(f, APIC_ICR, 0xc4500); /* as firmware does: INIT, SIPI to all others */
    assert_int_equal(f->changes[1], 1);
    wr(f, APIC_ICR, 0xc469f);
    assert_int_equal(f->changes[0], 0);
    assert_int_equal(f->changes[1], 2);
    assert_int_equal(events(f, 0), 0);
    assert_int_equal(events(f, 1), IRQCHIP_INIT | IRQCHIP_SIPI);
    assert_int_equal(events(f, 2), IRQCHIP_INIT | IRQCHIP_SIPI);
    wr(f, APIC_ICR, 0xc4600); /* who does not wait ignores it */
    assert_int_equal(events(f, 1), 0);
    send(f, 1, 0x4400);
    assert_int_equal(events(f, 1), IRQCHIP_NMI);
    send(f, 1, 0x8500); /* INIT level de-assert */
    assert_int_equal(events(f, 1), 0);
    send(f, 1, 0xc500); /* INIT level assert */
    assert_int_equal(events(f, 1), IRQCHIP_INIT);
    send(f, 1, 0x469f);
    send(f, 1, 0x4500); /* INIT after SIPI that it had not seen: it waits again */
    assert_int_equal(events(f, 1), IRQCHIP_INIT);

    /* Processor 0 does not wait. */
    use(f, 1);
    send(f, 0, 0x4500);
    assert_int_equal(events(f, 0), IRQCHIP_INIT);
    send(f, 0, 0x469f);
    assert_int_equal(events(f, 0), 0);
}

/* INIT resets the APIC, but for its id and IA32_APIC_BASE. */
static void test_init_resets(void **state)
{
    struct fixture *f = *state;

    use(f, 1);
    wr(f, APIC_ID, 0x07000000);
    wr(f, APIC_TPR, 0x20);
    wr(f, APIC_LDR, 0x02000000);
    wr(f, APIC_LVT_TIMER, 0x40);
    wr(f, APIC_TIMER_INITIAL, 1000);
    self(f, 0x50);
    assert_true(lapic_pending(f->cpu[1]));
    use(f, 0);
    send(f, 7, 0x4500);
    assert_false(lapic_pending(f->cpu[1]));
    use(f, 1);
    assert_int_equal(rd(f, APIC_ID), 0x07000000);
    assert_int_equal(rd(f, APIC_TPR), 0);
    assert_int_equal(rd(f, APIC_LDR), 0);
    assert_int_equal(rd(f, APIC_SVR), 0xff);
    assert_int_equal(rd(f, APIC_LVT_TIMER), APIC_MASKED);
    assert_int_equal(rd(f, APIC_TIMER_INITIAL), 0);
    assert_false(apic_has(&f->ports, APIC_IRR, 0x50));
    assert_int_equal(vtime_next(&f->time), VTIME_NEVER);
    assert_int_equal(lapic_base(f->cpu[1]), 0xfee00800);
}

static void test_eoi_broadcast(void **state)
{
    struct fixture *f = *state;
    struct apic_message message = {.mode = APIC_FIXED, .vector = 0x61, .dest = 0, .level = true};

    assert_true(apic_bus_send(f->bus, &message));
    assert_true(apic_has(&f->ports, APIC_TMR, 0x61));
    assert_taken(f, 0, 0x61);
    assert_int_equal(f->eois, 0);
    wr(f, APIC_EOI, 0);
    assert_int_equal(f->eois, 1);
    assert_int_equal(f->eoi, 0x61);
    message.level = false;
    assert_true(apic_bus_send(f->bus, &message));
    assert_false(apic_has(&f->ports, APIC_TMR, 0x61));
    assert_taken(f, 0, 0x61);
    wr(f, APIC_EOI, 0);
    assert_int_equal(f->eois, 1);
}

static void test_message_modes(void **state)
{
    struct fixture *f = *state;
    struct apic_message message = {.mode = APIC_EXTINT, .dest = 0};
    uint8_t vector;

    assert_true(apic_bus_send(f->bus, &message));
    assert_true(lapic_pending(f->cpu[0]));
    assert_false(lapic_take(f->cpu[0], &vector)); /* the controller behind LINT0 has the vector */
    assert_false(lapic_pending(f->cpu[0]));
    assert_false(lapic_take(f->cpu[0], &vector)); /* and the spurious one of it */
    message.mode = 3;
    assert_false(apic_bus_send(f->bus, &message));
    message.mode = APIC_SMI;
    assert_true(apic_bus_send(f->bus, &message));
    assert_int_equal(events(f, 0), IRQCHIP_SMI);
    message.dest = 0x44;
    assert_false(apic_bus_send(f->bus, &message));
}

static void test_retry(void **state)
{
    struct fixture *f = *state;
    static const uint32_t routing[] = {APIC_ID, APIC_LDR, APIC_DFR, APIC_SVR};

    for (unsigned i = 0; i < 4; i++) {
        f->retries = 0;
        wr(f, routing[i], APIC_ENABLED);
        assert_int_equal(f->retries, 1);
    }
    wr(f, APIC_TPR, 0);
    assert_int_equal(f->retries, 1);
}

static void test_msi(void **state)
{
    struct fixture *f = *state;
    static const uint8_t ldr[CPUS] = {1, 2, 4};
    const struct gmem_attrs device = {.requester = 0x18};
    uint32_t value;

    apic_msi(&f->ports, 0xfee01000, 0x0071);
    assert_int_equal(receivers(f, 0x71), 2);
    apic_msi(&f->ports, 0xfee00000, 0x0071); /* a device's first page is no APIC's */
    assert_int_equal(receivers(f, 0x71), 1);
    assert_int_equal(gmem_ld32_le(f->ports.memory, LAPIC_BASE + APIC_VERSION, device, &value), GMEM_OK);
    assert_int_equal(value, 0xffffffff);
    apic_msi(&f->ports, 0xfeeff000, 0x0071);
    assert_int_equal(receivers(f, 0x71), 7);
    wr(f, 0x2000, 0x0072); /* a processor's, outside of its page */
    assert_int_equal(receivers(f, 0x72), 4);
    assert_int_equal(rd(f, 0x2000), 0xffffffff);
    set_logical(f, 0xf0000000, ldr);
    apic_msi(&f->ports, 0xfee06004, 0x0071);
    assert_int_equal(receivers(f, 0x71), 6);
    apic_msi(&f->ports, 0xfee0600c, 0x0071); /* redirection hint: one of them */
    assert_int_equal(receivers(f, 0x71), 2);
    apic_msi(&f->ports, 0xfee06004, 0x0171);
    assert_int_equal(receivers(f, 0x71), 4);
    apic_msi(&f->ports, 0xfee00000, 0x8071); /* level de-assert */
    assert_int_equal(receivers(f, 0x71), 0);
    apic_msi(&f->ports, 0xfee00000, 0xc071);
    assert_true(apic_has(&f->ports, APIC_TMR, 0x71));
    assert_int_equal(receivers(f, 0x71), 1);
    assert_int_equal(f->eois, 1);
    apic_msi(&f->ports, 0xfee00000, 0x0400);
    assert_int_equal(events(f, 0), IRQCHIP_NMI);
    apic_msi(&f->ports, 0xfee01000, 0x069f); /* SIPI is no MSI */
    assert_int_equal(events(f, 1), 0);
    assert_int_equal(gmem_st16_le(f->ports.memory, 0xfee00000, device, 0x71), GMEM_OK);
    assert_int_equal(receivers(f, 0x71), 0);
}

/* --- random ------------------------------------------------------------------------------------------------------ */

/* The highest vector, or -1. */
static int highest(struct fixture *f, uint32_t set)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t word = rd(f, set + (uint32_t)i * 0x10);

        if (word)
            return i * 32 + 31 - __builtin_clz(word);
    }
    return -1;
}

static void check(struct fixture *f, unsigned cpu)
{
    int irr, isr;
    uint32_t ppr, tpr;

    if (!(lapic_base(f->cpu[cpu]) & LAPIC_BASE_ENABLE))
        return;
    use(f, cpu);
    irr = highest(f, APIC_IRR), isr = highest(f, APIC_ISR);
    ppr = rd(f, APIC_PPR), tpr = rd(f, APIC_TPR);
    assert_true(irr == -1 || irr >= 16);
    assert_true(isr == -1 || isr >= 16);
    assert_int_equal(ppr & 0xf0, isr != -1 && (isr & 0xf0) > (int)(tpr & 0xf0) ? isr & 0xf0 : (int)(tpr & 0xf0));
    if (irr != -1 && (irr & 0xf0) > (int)(ppr & 0xf0))
        assert_true(lapic_pending(f->cpu[cpu]));
}

/* A quarter of its bits are set. */
static uint64_t sparse(struct random *random)
{
    uint64_t some = random_u64(random);

    return some & random_u64(random);
}

static void do_something(struct fixture *f, struct random *random, unsigned cpu)
{
    static const uint32_t offsets[] = {APIC_TPR,       APIC_EOI,       APIC_EOI,          APIC_ICR,
                                       APIC_ICR,       APIC_ICR_HIGH,  APIC_LVT_TIMER,    APIC_LVT_LINT0,
                                       APIC_LVT_LINT1, APIC_LVT_ERROR, APIC_TIMER_DIVIDE, APIC_TIMER_INITIAL,
                                       APIC_ESR,       APIC_LDR,       APIC_DFR,          APIC_SVR};
    uint8_t vector;

    use(f, cpu);
    switch (random_below(random, 12)) {
    case 0:
        vtime_advance(&f->time, f->time.now + random_below(random, 100000));
        break;
    case 1:
        lapic_set_lint(f->cpu[cpu], (unsigned)random_below(random, 2), (int)random_below(random, 2));
        break;
    case 2:
        (void)lapic_events(f->cpu[cpu], &vector);
        break;
    case 3:
        if (lapic_pending(f->cpu[cpu]) || random_chance(random, 10))
            (void)!lapic_take(f->cpu[cpu], &vector);
        break;
    case 4:
        apic_msi(&f->ports, LAPIC_BASE + (random_below(random, APIC_MSI_SIZE) & ~3u),
                 (uint32_t)random_u64(random) & 0xffff);
        break;
    case 5:
        wr(f, (uint32_t)random_below(random, 0x1000) & ~3u, (uint32_t)random_u64(random));
        break;
    case 6:
        wr(f, offsets[random_below(random, 16)], (uint32_t)sparse(random));
        break;
    default: /* in working order */
        if (random_chance(random, 5))
            (void)!lapic_set_base(f->cpu[cpu], random_chance(random, 30) ? 0xfee00000 : 0xfee00800);
        wr(f, APIC_SVR, APIC_ENABLED);
        wr(f, APIC_TPR, 0);
        wr(f, APIC_EOI, 0);
        wr(f, APIC_DFR, random_chance(random, 50) ? 0xf0000000 : 0);
        send(f, (uint32_t)random_below(random, 4), 0x4000 | ((uint32_t)random_u64(random) & 0xc08ff));
        break;
    }
}

static void test_random(void **state)
{
    struct fixture *f = *state;
    struct random random = random_start("lapic", 4);
    unsigned taken = 0;

    for (int i = 0; i < 20000; i++) {
        unsigned cpu = (unsigned)random_below(&random, CPUS);
        uint8_t vector;

        do_something(f, &random, cpu);
        for (unsigned j = 0; j < CPUS; j++)
            check(f, j);
        if (!random_chance(&random, 20) || !lapic_pending(f->cpu[cpu]))
            continue;
        use(f, cpu);
        if (lapic_base(f->cpu[cpu]) & LAPIC_BASE_ENABLE) {
            int before = highest(f, APIC_ISR);

            if (lapic_take(f->cpu[cpu], &vector)) {
                assert_true((vector & 0xf0) > (before == -1 ? 0 : before & 0xf0));
                assert_int_equal(highest(f, APIC_ISR), vector);
                taken++;
            }
        }
    }
    printf("# %u taken\n", taken);
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_physical_destinations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_logical_destinations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lowest_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_init_and_sipi, setup_reset, teardown),
        cmocka_unit_test_setup_teardown(test_init_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eoi_broadcast, setup, teardown),
        cmocka_unit_test_setup_teardown(test_message_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
