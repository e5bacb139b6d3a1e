/* SPDX-License-Identifier: MIT */
/*
 * The time that a machine's devices live in: with interpreted processors it is virtual, so that two machines show the
 * same whenever they run; else it is the host's. Processors are not started: the test lets time pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "machine_internal.h"
#include "pc-machine.h"

#define MEMORY (UINT64_C(64) << 20)
#define S PC_NS_PER_S
#define PORTS 0x10000u
#define FW_CFG_KEYS 0x40u
#define FW_CFG_BYTES 4096u

static struct bench *interpreted(void)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);

    config.accel = PC_ACCEL_INTERP;
    bench_open(bench, &config);
    return bench;
}

static int setup(void **state)
{
    *state = interpreted();
    return 0;
}

static int teardown(void **state)
{
    bench_free(*state);
    return 0;
}

static void pass(struct bench *bench, uint64_t ns)
{
    struct machine *machine = bench->machine;

    machine_lock(machine);
    vtime_advance(&machine->time, machine->time.now + ns);
    machine_unlock(machine);
}

/* Accesses are made with the device lock, as processors make them. */
static uint8_t port_in(struct bench *bench, uint16_t port)
{
    uint8_t value;

    machine_lock(bench->machine);
    value = in8(bench, port);
    machine_unlock(bench->machine);
    return value;
}

static void port_out(struct bench *bench, uint16_t port, uint8_t value)
{
    machine_lock(bench->machine);
    out8(bench, port, value);
    machine_unlock(bench->machine);
}

static uint8_t cmos_in(struct bench *bench, uint8_t index)
{
    port_out(bench, 0x70, index);
    return port_in(bench, 0x71);
}

/* Port 0x61 is the gate and the output of the timer's channel 2, and time is virtual in it. */
static void test_speaker_port(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(port_in(bench, 0x61), 0x00);
    pass(bench, 15085);
    assert_int_equal(port_in(bench, 0x61), 0x10);
    port_out(bench, 0x43, 0xb0); /* channel 2, mode 0 */
    port_out(bench, 0x42, 0xa9);
    port_out(bench, 0x42, 0x04); /* 1,193: 999.8 us */
    pass(bench, S);
    assert_int_equal(port_in(bench, 0x61) & 0x20, 0x00); /* the gate is low */
    port_out(bench, 0x61, 0x01);
    pass(bench, 998 * S / 1000000);
    assert_int_equal(port_in(bench, 0x61) & 0x21, 0x01);
    pass(bench, 3 * S / 1000000);
    assert_int_equal(port_in(bench, 0x61) & 0x21, 0x21);
}

static void test_date(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(cmos_in(bench, 0x32), 0x20);
    assert_int_equal(cmos_in(bench, 9), 0x00);
    assert_int_equal(cmos_in(bench, 8), 0x01);
    assert_int_equal(cmos_in(bench, 7), 0x01);
    assert_int_equal(cmos_in(bench, 4), 0x00);
    assert_int_equal(cmos_in(bench, 0), 0x00);
    pass(bench, 59 * S);
    assert_int_equal(cmos_in(bench, 0), 0x59);
}

/* The timers of both are the machine's: what is due first is whichever comes first. */
static void test_timers(void **state)
{
    struct bench *bench = *state;
    struct machine *machine;

    machine = bench->machine;
    port_out(bench, 0x43, 0x34); /* channel 0, mode 2, 65536 */
    port_out(bench, 0x40, 0);
    port_out(bench, 0x40, 0);
    assert_true(vtime_next(&machine->time) > 54 * S / 1000 && vtime_next(&machine->time) < 55 * S / 1000);
    port_out(bench, 0x70, 0x0b);
    port_out(bench, 0x71, 0x42); /* 1,024 Hz */
    assert_true(vtime_next(&machine->time) == (S + 1023) / 1024);
    pass(bench, S);
    assert_int_equal(cmos_in(bench, 0x0c) & 0xc0, 0xc0);
}

/* --- two machines ------------------------------------------------------------------------------------------------ */

static void assert_same(const char *what, unsigned at, unsigned a, unsigned b)
{
    if (a != b)
        fail_msg("%s %x: %x in one machine, %x in the other", what, at, a, b);
}

/* What a byte of a port reads, and how that went: some want wider accesses. */
static unsigned port_look(struct bench *bench, uint16_t port)
{
    uint8_t value = 0;
    gmem_result result;

    machine_lock(bench->machine);
    result = gmem_ld8(machine_io(bench->machine), port, GMEM_ATTRS_NONE, &value);
    machine_unlock(bench->machine);
    return (unsigned)result << 8 | value;
}

/* Every port, every byte of configuration space of bus 0, and all that fw_cfg has. */
static void compare(struct bench *a, struct bench *b)
{
    for (unsigned port = 0; port < PORTS; port++)
        assert_same("port", port, port_look(a, (uint16_t)port), port_look(b, (uint16_t)port));
    for (unsigned at = 0; at < PORTS; at++) {
        uint8_t devfn = (uint8_t)(at >> 8);

        assert_same("configuration", at, cfg_read8(a, devfn, at & 0xff), cfg_read8(b, devfn, at & 0xff));
    }
    for (unsigned key = 0; key < FW_CFG_KEYS; key++) {
        out16(a, 0x510, (uint16_t)key);
        out16(b, 0x510, (uint16_t)key);
        for (unsigned i = 0; i < FW_CFG_BYTES; i++)
            assert_same("fw_cfg", key << 16 | i, in8(a, 0x511), in8(b, 0x511));
    }
}

static void start_everything(struct bench *bench)
{
    static const struct {
        uint16_t port;
        uint8_t value;
    } writes[] = {{0x61, 0x03}, {0x43, 0x36}, {0x40, 0x12}, {0x40, 0x34}, {0x43, 0xb6}, {0x42, 0x01},
                  {0x42, 0x05}, {0x70, 0x0b}, {0x71, 0x72}, {0x64, 0xaa}, {0x43, 0x54}, {0x41, 0x12}};

    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
        port_out(bench, writes[i].port, writes[i].value);
}

static void test_two_alike(void **state)
{
    static const uint64_t later[] = {0, 1, 1000, 123456789, S, 3600 * S};
    struct bench *a = *state, *b;

    start_everything(a); /* and not when the other one does */
    b = interpreted();
    start_everything(b);
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
        pass(a, later[i]);
        pass(b, later[i]);
        compare(a, b);
    }
    bench_free(b);
}

/* --- the host's -------------------------------------------------------------------------------------------------- */

static unsigned from_bcd(uint8_t value)
{
    return (value >> 4) * 10u + (value & 0xfu);
}

/* Without processors, as with KVM's, it is the host's day and port 0x61 goes on by itself. */
static void test_host(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, false);
    time_t before = time(NULL), after;
    struct tm day[2];
    unsigned year;
    uint8_t first;

    (void)state;
    bench_open(bench, &config);
    year = from_bcd(cmos_in(bench, 0x32)) * 100 + from_bcd(cmos_in(bench, 9));
    after = time(NULL);
    assert_non_null(gmtime_r(&before, &day[0]));
    assert_non_null(gmtime_r(&after, &day[1]));
    assert_in_range(year, (unsigned)day[0].tm_year + 1900, (unsigned)day[1].tm_year + 1900);
    first = port_in(bench, 0x61) & 0x10;
    while ((port_in(bench, 0x61) & 0x10) == first)
        ;
    assert_null(bench->machine->pit);
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_speaker_port, setup, teardown),
        cmocka_unit_test_setup_teardown(test_date, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_alike, setup, teardown),
        cmocka_unit_test(test_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
