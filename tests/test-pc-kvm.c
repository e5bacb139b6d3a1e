/* SPDX-License-Identifier: MIT */
/*
 * test-pc-kvm.c - machines with KVM's processors, on a few instructions instead of firmware: that they run, end and fail as
 * they should, guests that mean harm, two machines at once, and memory that is never seen unmapped (G12).
 *
 * Skipped without /dev/kvm. No test depends on how fast anything is; waits are only bounded, so that a failure ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-code.h"
#include "pc-machine.h"
#include "pc-ram64.h"
#include "vapic.h"

#define MEMORY (UINT64_C(16) << 20)
#define VGA_FN PCI_DEVFN(2, 0)
#define I440FX_FN PCI_DEVFN(0, 0)

#define WAIT 60u

/* --- running --- */

static struct pc_config kvm_config(struct bench *bench, unsigned cpus)
{
    struct pc_config config = bench_config(bench, MEMORY, true);

    config.accel = PC_ACCEL_KVM;
    config.set = NULL;
    config.cpus = cpus;
    return config;
}

static void start(struct bench *bench)
{
    struct pc_error error = {""};

    if (machine_start(bench->machine, &error))
        fail_msg("not started: %s", error.text);
}

static bool has_event(struct bench *bench)
{
    return atomic_load(&bench->event) != 0;
}

static bool has_dot(struct bench *bench)
{
    return atomic_load(&bench->console_len) && memchr(bench->console, '.', atomic_load(&bench->console_len));
}

static bool has_log(struct bench *bench)
{
    return atomic_load(&bench->logs) != 0;
}

/* Exactly one line was logged, which is text and an address between first and last. */
static void assert_logged_at(struct bench *bench, const char *text, uint64_t first, uint64_t last)
{
    const size_t len = strlen(text);
    char *end;
    uint64_t addr;

    assert_int_equal(bench->logs, 1);
    if (strncmp(bench->last_log, text, len) != 0)
        fail_msg("\"%s\" is not \"%s...\"", bench->last_log, text);
    addr = strtoull(bench->last_log + len, &end, 16);
    assert_int_equal(*end, 0);
    assert_in_range(addr, first, last);
}

static struct bench *kvm_bench(void)
{
    if (!have_kvm())
        skip();
    return bench_new();
}

static void test_run_and_poweroff(void **state)
{
    struct bench *bench = kvm_bench();
    struct pc_config config = kvm_config(bench, 1);
    struct code code = code_begin(bench);

    (void)state;
    emit_text(&code, "hello");
    emit_poweroff(&code);
    code_end(&code);
    bench_open(bench, &config);
    start(bench);
    assert_true(wait_until(has_event, bench, WAIT));
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_POWEROFF);
    assert_int_equal(atomic_load(&bench->console_len), 5);
    assert_memory_equal(bench->console, "hello", 5);
    bench_free(bench);
}

/* A guest that does nothing, or everything it can, is stopped all the same. */
static void test_stop(void **state)
{
    static const char *const loops[] = {"\xfa\xf4\xeb\xfd" /* hlt */, "\xeb\xfe\x90\x90" /* jmp $ */,
                                        "\xe4\x80\xeb\xfc" /* in al, 0x80; again */};

    (void)state;
    for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
        struct bench *bench = kvm_bench();
        struct pc_config config = kvm_config(bench, 2);
        struct code code = code_begin(bench);

        emit_text(&code, ".");
        emit(&code, loops[i], 4);
        bench_open(bench, &config);
        start(bench);
        assert_true(wait_until(has_dot, bench, WAIT));
        machine_stop(bench->machine);
        machine_stop(bench->machine);
        bench_free(bench);
    }
}

/* Created and destroyed without ever running; and destroyed while it runs. */
static void test_lifetime(void **state)
{
    struct bench *bench = kvm_bench();
    struct pc_config config = kvm_config(bench, 3);

    (void)state;
    bench_open(bench, &config);
    machine_destroy(bench->machine);
    bench_open(bench, &config);
    start(bench);
    bench_free(bench);
}

static void test_triple_fault(void **state)
{
    struct bench *bench = kvm_bench();
    struct pc_config config = kvm_config(bench, 1);
    struct code code = code_begin(bench);

    (void)state;
    /* Protected mode and a segment that is not there; nor are there gates to report that through. */
    EMIT(&code, "\x2e\x0f\x01\x16\x00\x10");         /* lgdt cs:[0x1000]: empty */
    EMIT(&code, "\x0f\x20\xc0\x0c\x01\x0f\x22\xc0"); /* cr0 |= 1 */
    EMIT(&code, "\xbb\x08\x00\x8e\xdb");             /* ds = 8 */
    memset(bench->firmware + 0x1000, 0, 6);
    code_end(&code);
    bench_open(bench, &config);
    start(bench);
    assert_true(wait_until(has_event, bench, WAIT));
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_SHUTDOWN);
    assert_non_null(strstr(bench->event_text, "processor 0"));
    bench_free(bench);
}

/* --- guests that mean harm --- */

/* The BAR that a register page is behind, over the code that is running. */
static void test_bar_over_own_code(void **state)
{
    struct bench *bench = kvm_bench();
    struct pc_config config = kvm_config(bench, 1);
    struct code code = code_begin(bench);

    (void)state;
    emit_text(&code, ".");
    emit_cfg32(&code, VGA_FN, 0x18, 0xffff0000);
    emit_cfg32(&code, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY);
    emit_text(&code, "!");
    code_end(&code);
    bench_open(bench, &config);
    start(bench);
    /* KVM can't run code out of device registers; whatever it makes of that, the machine can be ended. */
    assert_true(wait_until(has_dot, bench, WAIT));
    assert_true(wait_until(has_log, bench, WAIT));
    if (wait_until(has_event, bench, 3))
        assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_FAILED);
    machine_stop(bench->machine);
    assert_string_equal(seen_at(bench, 0xffff0000), "edid");
    assert_logged_at(bench, "VGA: the guest switched off the ROM that it runs from, at 0x", 0xffff0000, 0xffff0fff);
    bench_free(bench);
}

/* From the copy below 1 MiB, the guest puts RAM in that copy's place: it runs on in zeros. */
static void test_rom_disabled(void **state)
{
    struct bench *bench = kvm_bench();
    struct pc_config config = kvm_config(bench, 1);
    struct code code = code_begin(bench);

    (void)state;
    EMIT(&code, "\xea\x05\x00\x00\xf0"); /* jmp 0xf000:5 */
    emit_text(&code, ".");
    emit_cfg32(&code, PCI_DEVFN(0, 0), 0x58, 0x00003000);
    emit_text(&code, "!");
    code_end(&code);
    bench_open(bench, &config);
    start(bench);
    assert_true(wait_until(has_log, bench, WAIT));
    machine_stop(bench->machine);
    assert_null(memchr(bench->console, '!', sizeof(bench->console)));
    assert_logged_at(bench, "i440FX: the guest switched off the ROM that it runs from, at 0x", 0xf0000, 0xf00ff);
    bench_free(bench);
}

/* The same in 64-bit mode, with paging: the code runs at 0x400200, which is 0xf0200 in memory, as the line says. */
static void test_rom_disabled_paging(void **state)
{
    /* Segment 8: flat, 64-bit code; and what lgdt loads. */
    static const char segments[] = "\0\0\0\0\0\0\0\0\xff\xff\0\0\0\x9b\xaf";
    static const char table[] = "\x0f\0\0\x70\0";
    /* From the root at 0x2000 on: 0x7000 and 0xf0000 are where they are, 0x400000 is 0xf0000. */
    static const struct {
        uint64_t at, page;
    } pages[] = {{0x2000, 0x3000}, {0x3000, 0x4000},           {0x4000, 0x5000},
                 {0x4010, 0x6000}, {0x5000 + 8 * 0x7, 0x7000}, {0x5000 + 8 * 0xf0, 0xf0000},
                 {0x6000, 0xf0000}};
    struct bench *bench = kvm_bench();
    struct pc_config config = kvm_config(bench, 1);
    struct code code = code_begin(bench);
    gmem_space *memory;

    (void)state;
    EMIT(&code, "\xea\x05\x00\x00\xf0");                                             /* jmp 0xf000:5 */
    EMIT(&code, "\x31\xc0\x8e\xd8\x66\x0f\x01\x16\x20\x70");                         /* ds = 0; lgdt [0x7020] */
    EMIT(&code, "\x66\xb8\x20\x00\x00\x00\x0f\x22\xe0");                             /* cr4 = PAE */
    EMIT(&code, "\x66\xb8\x00\x20\x00\x00\x0f\x22\xd8");                             /* cr3 = 0x2000 */
    EMIT(&code, "\x66\xb9\x80\x00\x00\xc0\x0f\x32\x66\x0d\x00\x01\x00\x00\x0f\x30"); /* EFER |= LME */
    EMIT(&code, "\x0f\x20\xc0\x66\x0d\x01\x00\x00\x80\x0f\x22\xc0");                 /* cr0 |= PG, PE */
    EMIT(&code, "\x66\xea\x00\x02\x40\x00\x08\x00");                                 /* jmp 8:0x400200 */
    code.at = bench->firmware + 0x200;
    EMIT(&code, "\x66\xba\xf8\x0c\xb8\x58\x00\x00\x80\xef"); /* dx = 0xcf8; out dx, 0x80000058 */
    EMIT(&code, "\x66\xba\xfc\x0c\xb8\x00\x30\x00\x00\xef"); /* dx = 0xcfc; out dx, 0x3000 */
    code_end(&code);
    bench_open(bench, &config);
    memory = machine_memory(bench->machine);
    assert_int_equal(gmem_space_write(memory, 0x7000, GMEM_ATTRS_NONE, segments, sizeof(segments)), GMEM_OK);
    assert_int_equal(gmem_space_write(memory, 0x7020, GMEM_ATTRS_NONE, table, sizeof(table)), GMEM_OK);
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        assert_int_equal(gmem_st64_le(memory, pages[i].at, GMEM_ATTRS_NONE, pages[i].page | 3), GMEM_OK);
    start(bench);
    assert_true(wait_until(has_log, bench, WAIT));
    machine_stop(bench->machine);
    assert_logged_at(bench, "i440FX: the guest switched off the ROM that it runs from, at 0x", 0xf0200, 0xf02ff);
    bench_free(bench);
}

static void test_absurd_bars(void **state)
{
    static const uint64_t places[] = {0x80000000000000,   0xfffffffff00000, 0x8000000000000000, 0xffffffffffe00000,
                                      0xfffffffffff00000, 0x100000,         0xfee00000,         0};
    struct bench *bench = kvm_bench();
    struct pc_config config = kvm_config(bench, 1);
    struct code code = code_begin(bench);
    struct ram64 device;

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        emit_cfg32(&code, RAM64_DEVFN, PCI_COMMAND, 0);
        emit_cfg32(&code, RAM64_DEVFN, 0x10, (uint32_t)places[i]);
        emit_cfg32(&code, RAM64_DEVFN, 0x14, (uint32_t)(places[i] >> 32));
        emit_cfg32(&code, RAM64_DEVFN, PCI_COMMAND, 7);
        emit_cfg32(&code, VGA_FN, PCI_COMMAND, 7);
        emit_cfg32(&code, VGA_FN, 0x10, (uint32_t)(places[i] >> 32));
        emit_cfg32(&code, VGA_FN, 0x10, (uint32_t)places[i] & 0x0fffffff);
        emit_cfg32(&code, VGA_FN, 0x30, 0xffffffff);
    }
    emit_cfg32(&code, RAM64_DEVFN, PCI_COMMAND, 0);
    emit_cfg32(&code, RAM64_DEVFN, 0x10, 0x40000000);
    emit_cfg32(&code, RAM64_DEVFN, 0x14, 0x0);
    emit_cfg32(&code, RAM64_DEVFN, PCI_COMMAND, 7);
    emit_text(&code, "alive");
    emit_poweroff(&code);
    code_end(&code);
    bench_open(bench, &config);
    ram64_init(&device, machine_pci(bench->machine));
    start(bench);
    assert_true(wait_until(has_event, bench, WAIT));
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_POWEROFF);
    assert_memory_equal(bench->console, "alive", 5);
    /* What the kernel refuses is logged, and unmapped; where it can be, the BAR is. */
    assert_true(bench->logs > 0);
    print_message("%u lines logged; the last: %s\n", bench->logs, bench->last_log);
    assert_string_equal(seen_at(bench, 0x80000000000000), "");
    assert_string_equal(seen_at(bench, 0x8000000000000000), "");
    assert_string_equal(seen_at(bench, 0x40000000), "ram64");
    pci_device_fini(&device.pci);
    bench_free(bench);
}

/* --- more than one --- */

static void test_two_machines(void **state)
{
    struct bench *benches[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct pc_config config;
        struct code code;

        benches[i] = kvm_bench();
        config = kvm_config(benches[i], 1 + i);
        code = code_begin(benches[i]);
        emit_out8(&code, 0x402, (uint8_t)('A' + i));
        /* mov byte [0x500], 'A' + i; mov al, [0x500] */
        EMIT(&code, "\xc6\x06\x00\x05");
        *code.at++ = (uint8_t)('A' + i);
        EMIT(&code, "\xa0\x00\x05");
        emit_port(&code, 0x402);
        EMIT(&code, "\xee");
        emit_text(&code, ".");
        code_end(&code);
        bench_open(benches[i], &config);
    }
    start(benches[0]);
    start(benches[1]);
    assert_true(wait_until(has_dot, benches[0], WAIT));
    assert_true(wait_until(has_dot, benches[1], WAIT));
    assert_memory_equal(benches[0]->console, "AA.", 3);
    assert_memory_equal(benches[1]->console, "BB.", 3);
    bench_free(benches[0]);
    bench_free(benches[1]);
}

/*
 * The second processor reads a word of low RAM again and again while the first moves the windows beside it; with the reference
 * that removes and sets the whole of low RAM each time. It must never read anything else than what is there.
 */
static void never_unmapped(enum gmem_kvm_policy policy)
{
    struct bench *bench = kvm_bench();
    struct pc_config config = kvm_config(bench, 2);
    struct code code = code_begin(bench), second;
    gmem_space *memory;
    uint32_t rounds, wrong;

    /* At 0x8000, in RAM: mov ax, [0x9000]; inc dword [0x9004]; cmp ax, 0x1234; je again; inc dword [0x9008]; jmp again. */
    static const char watcher[] = "\xa1\x00\x90\x66\xff\x06\x04\x90\x3d\x34\x12\x74\xf3\x66\xff\x06\x08\x90\xeb\xec";

    second = code;
    /* The local APIC's page lies beyond what real mode reaches, its registers as MSRs (x2APIC) do not. */
    EMIT(&code, "\x66\xb9\x1b\x00\x00\x00\x0f\x32\x0d\x00\x0c\x0f\x30"); /* APIC_BASE |= EN, EXTD */
    EMIT(&code, "\x66\xb9\x30\x08\x00\x00\x66\xba\x01\x00\x00\x00");     /* ICR, to processor 1: */
    EMIT(&code, "\x66\xb8\x00\x45\x00\x00\x0f\x30");                     /* INIT */
    EMIT(&code, "\x66\xb8\x08\x46\x00\x00\x0f\x30");                     /* start-up at 0x8000 */
    EMIT(&code, "\x66\x83\x3e\x04\x90\x00\x74\xf8");                     /* wait until it runs */
    EMIT(&code, "\xb9\x2c\x01");                                         /* mov cx, 300 */
    second.at = code.at;
    emit_cfg32(&code, PCI_DEVFN(0, 0), 0x58, 0x11113000);
    emit_cfg32(&code, PCI_DEVFN(0, 0), 0x58, 0x33333000);
    emit_cfg32(&code, PCI_DEVFN(0, 0), 0x58, 0x00000000);
    EMIT(&code, "\x49\x0f\x85"); /* dec cx; jnz */
    emit16(&code, (uint16_t)(second.at - (code.at + 2)));
    emit_poweroff(&code);
    code_end(&code);
    config.policy = policy;
    config.vga_rom = NULL; /* whose window would keep low RAM in a slot of its own */
    bench_open(bench, &config);
    memory = machine_memory(bench->machine);
    assert_int_equal(gmem_space_write(memory, 0x8000, GMEM_ATTRS_NONE, watcher, sizeof(watcher) - 1), GMEM_OK);
    assert_int_equal(gmem_st16_le(memory, 0x9000, GMEM_ATTRS_NONE, 0x1234), GMEM_OK);
    start(bench);
    assert_true(wait_until(has_event, bench, WAIT));
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_POWEROFF);
    assert_int_equal(gmem_ld32_le(memory, 0x9004, GMEM_ATTRS_NONE, &rounds), GMEM_OK);
    assert_int_equal(gmem_ld32_le(memory, 0x9008, GMEM_ATTRS_NONE, &wrong), GMEM_OK);
    assert_true(rounds > 0);
    assert_int_equal(wrong, 0);
    bench_free(bench);
}

static void test_never_unmapped(void **state)
{
    (void)state;
    never_unmapped(GMEM_KVM_POLICY_REFERENCE);
    never_unmapped(GMEM_KVM_POLICY_KEEP);
}

/* --- the APIC option ROM --- */

#define OPTION_ROM 0xc9800u

struct watched {
    struct pci_processors real;
    unsigned asked; /* while it was in the option ROM */
    uint64_t addr;  /* the last of these */
};

static int watch(void *opaque, uint64_t *ret_addr)
{
    struct watched *watched = opaque;
    int err = watched->real.executing(watched->real.opaque, ret_addr);

    if (!err && *ret_addr >= OPTION_ROM && *ret_addr < OPTION_ROM + VAPIC_ROM_SIZE) {
        watched->addr = *ret_addr;
        watched->asked++;
    }
    return err;
}

/* What firmware does with the ROM, but for copying it; and then stores to the page before its pages and to one of its. */
static void make_option_rom_code(struct bench *bench)
{
    struct code code = code_begin(bench);

    emit_cfg32(&code, I440FX_FN, 0x58, 0x33330000);      /* all RAM, but where the firmware is */
    EMIT(&code, "\x31\xc0\x8e\xd0\xbc\x00\x70");         /* ss = 0; sp = 0x7000 */
    EMIT(&code, "\xb8\x34\x12\x9a\x03\x00\x80\xc9");     /* mov ax, 0x1234; call 0xc980:3 */
    EMIT(&code, "\x16\x1f\xa3\x00\x60\x89\x26\x02\x60"); /* ds = ss; [0x6000] = ax; [0x6002] = sp */
    emit_cfg32(&code, I440FX_FN, 0x58, 0x11110000);
    EMIT(&code, "\xb8\x00\xc8\x8e\xd8\xc6\x06\xff\x0f\x5a"); /* ds = 0xc800; [0xfff] = 0x5a */
    EMIT(&code, "\xc6\x06\x00\x10\x5a");                     /* [0x1000] = 0x5a */
    emit_poweroff(&code);
    code_end(&code);
}

/*
 * In 16-bit code, at an OUT, KVM says where the processor is: the ROM's copy is found, and its pages can be written when all
 * around is write-protected (which with the policy keep holds for the guest too). The ROM comes back with what it was called
 * with.
 */
static void test_option_rom(void **state)
{
    struct bench *bench = kvm_bench();
    struct pc_config config = kvm_config(bench, 1);
    struct watched watched = {.asked = 0};
    struct pci_processors processors;
    struct gmem_section section;
    struct pci_bus *pci;
    gmem_ram *block;
    uint8_t *ram;

    (void)state;
    make_option_rom_code(bench);
    config.policy = GMEM_KVM_POLICY_KEEP;
    config.vapic = true;
    bench_open(bench, &config);
    assert_int_equal(gmem_ram_find(machine_vm(bench->machine), "pc.ram", &block), 0);
    ram = gmem_ram_host(block);
    vapic_rom_build(ram + OPTION_ROM);
    pci = machine_pci(bench->machine);
    watched.real = processors = *pci_bus_processors(pci);
    processors.executing = watch;
    processors.opaque = &watched;
    pci_bus_set_processors(pci, &processors);
    start(bench);
    assert_true(wait_until(has_event, bench, WAIT));
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&bench->event), 1 + PC_EVENT_POWEROFF);

    assert_int_equal(watched.asked, 1);
    if (watched.addr != OPTION_ROM + 7) /* kernels differ in whether the processor is at this OUT or behind it */
        assert_int_equal(watched.addr, OPTION_ROM + 9);
    assert_memory_equal(ram + 0x6000, "\x34\x12\x00\x70", 4);
    assert_int_equal(ram[0xc8fff], 0);
    assert_int_equal(ram[0xc9000], 0x5a);
    assert_int_equal(gmem_space_lookup(machine_memory(bench->machine), OPTION_ROM, &section), 0);
    assert_false(section.attrs & GMEM_RANGE_READONLY);
    assert_int_equal(section.first, 0xc9000);
    assert_int_equal(section.last, 0xcbfff);
    gmem_section_release(&section);
    assert_int_equal(bench->logs, 0);
    gmem_ram_unref(block);
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_and_poweroff),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_lifetime),
        cmocka_unit_test(test_triple_fault),
        cmocka_unit_test(test_bar_over_own_code),
        cmocka_unit_test(test_rom_disabled),
        cmocka_unit_test(test_rom_disabled_paging),
        cmocka_unit_test(test_absurd_bars),
        cmocka_unit_test(test_two_machines),
        cmocka_unit_test(test_never_unmapped),
        cmocka_unit_test(test_option_rom),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
