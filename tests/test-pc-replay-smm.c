/* SPDX-License-Identifier: MIT */
/*
 * test-pc-replay-smm.c - the slots of a machine with system management mode, against recorded ones: the chips, given
 * configuration writes, set the slots that QEMU set in both of KVM's address spaces, line for line but for host addresses; and
 * with the policy keep, far less. No processor and no KVM.
 *
 * The traces of the machine with 40 GiB have no configuration writes. Which they were is worked out in boot_40g below: each is
 * there for the calls that come between it and the next, in both traces.
 *
 * With GMEM_TEST_TRACES=DIRECTORY in the environment each replay leaves its trace there, for scripts/slot-table (docs/slots.md).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-machine.h"
#include "pc-replay.h"

#define GIB (UINT64_C(1) << 30)
#define SMM_SLOT 65536u

enum when {
    ALWAYS,
    SMM,        /* firmware does so where there is system management mode */
    OPTION_ROM, /* the APIC option ROM runs, which changes no slot yet */
};

static const struct step {
    const char *write;
    enum when when;
} boot_40g[] = {
    /* PAM made writable: sections c0000-cffff and f0000-fffff, whose attributes are in the doubleword at 0x58; then the rest. */
    {"pci_cfg_write i440FX 00:00.0 @0x58 <- 0x33333000", ALWAYS},
    {"pci_cfg_write i440FX 00:00.0 @0x5c <- 0x33333333", ALWAYS},
    /* The VGA's memory gets its place. */
    {"pci_cfg_write VGA 00:02.0 @0x10 <- 0xfd000008", ALWAYS},
    {"pci_cfg_write VGA 00:02.0 @0x4 <- 0x103", ALWAYS},
    /* SMRAM: G_SMRAME and D_OPEN; the handler is copied; G_SMRAME. */
    {"pci_cfg_write i440FX 00:00.0 @0x72 <- 0x4a", SMM},
    {"pci_cfg_write i440FX 00:00.0 @0x72 <- 0xa", SMM},
    /* Option ROMs, of the VGA and of a network card: shown, copied, hidden. */
    {"pci_cfg_write VGA 00:02.0 @0x30 <- 0xfea40001", ALWAYS},
    {"pci_cfg_write VGA 00:02.0 @0x30 <- 0xfea40000", ALWAYS},
    {"pci_cfg_write nic 00:03.0 @0x4 <- 0x103", ALWAYS},
    {"pci_cfg_write nic 00:03.0 @0x30 <- 0xfea00001", ALWAYS},
    {"pci_cfg_write nic 00:03.0 @0x30 <- 0xfea00000", ALWAYS},
    {"", OPTION_ROM},
    /* PAM made read-only but for e8000-effff and f0000-fffff. */
    {"pci_cfg_write i440FX 00:00.0 @0x58 <- 0x11111000", ALWAYS},
    {"pci_cfg_write i440FX 00:00.0 @0x5c <- 0x33111111", ALWAYS},
};

#define STEPS (sizeof(boot_40g) / sizeof(boot_40g[0]))

/* Then the operating system looks how large the VGA's BARs are, one after the other, with decoding off. */
static const struct step decoding[] = {
    {"pci_cfg_write VGA 00:02.0 @0x4 <- 0x100", ALWAYS},
    {"pci_cfg_write VGA 00:02.0 @0x4 <- 0x103", ALWAYS},
};

#define DECODING_TIMES 7u

#define NIC_ROM_SIZE 0x40000u
/* By the slots that PAM's last writes leave: its pages stay writable. */
#define OPTION_ROM_BASE 0xcb000u

struct board {
    struct bench *bench;
    struct pci_device nic;
};

static void create_nic(struct board *board)
{
    static const struct pci_ids ids = {.vendor = 0x8086, .device = 0x100e, .class_device = 0x0200};
    struct pci_bus *bus = machine_pci(board->bench->machine);
    gmem_region *region;
    gmem_ram *block;

    assert_int_equal(pci_device_init(&board->nic, bus, PCI_DEVFN(3, 0), "nic", &ids), 0);
    assert_int_equal(gmem_ram_create_anon(pci_bus_vm(bus), "nic.rom", NIC_ROM_SIZE, &block), 0);
    assert_int_equal(gmem_region_create_rom(pci_bus_vm(bus), "nic.rom", block, NULL, &region), 0);
    gmem_ram_unref(block);
    assert_int_equal(pci_device_add_bar(&board->nic, PCI_BAR_ROM, 0, region, NIC_ROM_SIZE), 0);
}

/* --- what must hold after each step, whatever the policy --- */

struct covered {
    const struct gmem_section *section;
    uint64_t to; /* all below it is in slots */
    bool reference;
};

/* Slots come by rising address: each that reaches into the section must go on where the one before ended, with its memory. */
static int cover(void *opaque, const struct gmem_kvm_slot *slot)
{
    struct covered *covered = opaque;
    const struct gmem_section *section = covered->section;
    uint64_t last = slot->gpa + (slot->size - 1);
    uint64_t from = slot->gpa > section->first ? slot->gpa : section->first;
    bool readonly = covered->reference ? gmem_region_readonly(section->region) : section->attrs & GMEM_RANGE_READONLY;

    if (last < section->first || slot->gpa > section->last)
        return 0;
    assert_int_equal(from, covered->to);
    assert_ptr_equal((char *)slot->host + (from - slot->gpa),
                     (char *)gmem_section_host(section) + (from - section->first));
    assert_int_equal(!!(slot->flags & KVM_MEM_READONLY), readonly);
    if (section->attrs & GMEM_RANGE_LOG_MASK)
        assert_true(slot->flags & KVM_MEM_LOG_DIRTY_PAGES);
    covered->to = last < section->last ? last + 1 : section->last + 1;
    return 0;
}

struct shown {
    gmem_kvm *kvm;
    bool reference;
};

static int check_section(void *opaque, const struct gmem_section *section)
{
    const struct shown *shown = opaque;
    struct covered covered = {.section = section, .to = section->first, .reference = shown->reference};

    assert_int_equal(gmem_kvm_foreach_slot(shown->kvm, cover, &covered), 0);
    assert_int_equal(covered.to, gmem_section_host(section) ? section->last + 1 : section->first);
    return 0;
}

static void check_slots(gmem_space *space, gmem_kvm *kvm, bool reference)
{
    gmem_view *view = gmem_space_view(space);
    struct shown shown = {kvm, reference};

    (void)gmem_view_foreach(view, check_section, &shown);
    gmem_view_unref(view);
}

/* --- replays --- */

static void save(const char *name, enum gmem_kvm_policy policy, const char *lines)
{
    const char *directory = getenv("GMEM_TEST_TRACES");
    char path[4096];
    FILE *file;

    if (!directory)
        return;
    snprintf(path, sizeof(path), "%s/%s-%s.trace", directory, name,
             policy == GMEM_KVM_POLICY_KEEP ? "keep" : "reference");
    file = fopen(path, "w");
    if (!file)
        fail_msg("%s can't be written", path);
    assert_true(fputs(lines, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct board *board_new(uint64_t memory, bool smm, enum gmem_kvm_policy policy)
{
    struct board *board = calloc(1, sizeof(*board));
    struct pc_config config;

    assert_non_null(board);
    board->bench = bench_new();
    config = bench_config(board->bench, memory, true);
    config.smm = smm;
    config.vapic = true;
    config.policy = policy;
    replay_open(board->bench, &config);
    create_nic(board);
    return board;
}

static void board_free(struct board *board)
{
    pci_device_fini(&board->nic);
    bench_free(board->bench);
    free(board);
}

static void check_board(struct board *board, enum gmem_kvm_policy policy)
{
    struct machine *machine = board->bench->machine;
    bool reference = policy == GMEM_KVM_POLICY_REFERENCE;

    check_slots(machine_memory(machine), machine_slots(machine), reference);
    if (machine_slots_smm(machine))
        check_slots(machine_smram_space(machine), machine_slots_smm(machine), reference);
}

static void write_once(struct board *board, const struct step *step, enum gmem_kvm_policy policy)
{
    if (step->when == OPTION_ROM)
        replay_option_rom(board->bench, OPTION_ROM_BASE);
    else
        replay_write(board->bench, step->write);
    check_board(board, policy);
}

/* All steps but one, or all (NULL). */
static struct board *boot_without(const struct step *left_out, bool smm, enum gmem_kvm_policy policy)
{
    struct board *board = board_new(40 * GIB, smm, policy);

    check_board(board, policy);
    for (unsigned i = 0; i < STEPS; i++) {
        if (&boot_40g[i] != left_out && (smm || boot_40g[i].when != SMM))
            write_once(board, &boot_40g[i], policy);
    }
    for (unsigned i = 0; i < 2 * DECODING_TIMES; i++)
        write_once(board, &decoding[i % 2], policy);
    return board;
}

static struct board *boot(bool smm, enum gmem_kvm_policy policy)
{
    struct board *board = boot_without(NULL, smm, policy);

    assert_int_equal(board->bench->logs, 0);
    return board;
}

/* The slot calls of a trace: of the address space as_id, or of all (-1). */
static char *slot_calls(const char *lines, int as_id)
{
    char *calls = calloc(1, strlen(lines) + 1), *at = calls;

    assert_non_null(calls);
    for (const char *line = lines; *line; line = next_line(line)) {
        size_t len = (size_t)(next_line(line) - line);
        unsigned slot;

        if (sscanf(line, "kvm_set_user_memory Slot#%u ", &slot) != 1 ||
            (as_id >= 0 && slot / SMM_SLOT != (unsigned)as_id))
            continue;
        memcpy(at, line, len);
        at += len;
    }
    *at = 0;
    return calls;
}

static unsigned count_lines(const char *lines)
{
    unsigned count = 0;

    for (; *lines; lines = next_line(lines))
        count++;
    return count;
}

static void compare_space(const char *recorded, const char *ours, int as_id, unsigned lines)
{
    char *want = slot_calls(recorded, as_id), *have = slot_calls(ours, as_id);

    assert_int_equal(count_lines(want), lines);
    compare(want, have);
    free(want);
    free(have);
}

static void test_40g_smm_off(void **state)
{
    struct board *board = boot(false, GMEM_KVM_POLICY_REFERENCE);
    char *recorded = load("boot-40g-smm-off");

    (void)state;
    assert_null(machine_slots_smm(board->bench->machine));
    save("40g-smm-off", GMEM_KVM_POLICY_REFERENCE, board->bench->lines);
    compare_space(recorded, board->bench->lines, -1, 52);
    free(recorded);
    board_free(board);
}

static void test_40g_smm_on(void **state)
{
    struct board *board = boot(true, GMEM_KVM_POLICY_REFERENCE);
    char *recorded = load("boot-40g-smm-on");

    (void)state;
    save("40g-smm-on", GMEM_KVM_POLICY_REFERENCE, board->bench->lines);
    compare_space(recorded, board->bench->lines, -1, 112);
    compare_space(recorded, board->bench->lines, 0, 58);
    compare_space(recorded, board->bench->lines, 1, 54);
    free(recorded);
    board_free(board);
}

/* Only from the first write to PAM on was recorded; with the writes. */
static void test_1g_smm_on_pam(void **state)
{
    struct board *board = board_new(GIB, true, GMEM_KVM_POLICY_REFERENCE);
    char *recorded = load("boot-1g-smm-on-pam");
    size_t start = board->bench->used;

    (void)state;
    for (const char *line = recorded; *line; line = next_line(line)) {
        replay_write(board->bench, line);
        check_board(board, GMEM_KVM_POLICY_REFERENCE);
    }
    save("1g-smm-on-pam", GMEM_KVM_POLICY_REFERENCE, board->bench->lines);
    assert_int_equal(count_lines(recorded), 28);
    compare(recorded, board->bench->lines + start);
    free(recorded);
    board_free(board);
}

/* What follows the configuration writes is recorded with its writes here: the VGA's BAR being looked at. */
static void test_vga_bar(void **state)
{
    static const char *const before[] = {
        "pci_cfg_write i440FX 00:00.0 @0x58 <- 0x33333000", "pci_cfg_write i440FX 00:00.0 @0x5c <- 0x33333333",
        "pci_cfg_write VGA 00:02.0 @0x10 <- 0xfd000008", "pci_cfg_write VGA 00:02.0 @0x4 <- 0x103"};
    struct board *board = board_new(GIB, true, GMEM_KVM_POLICY_REFERENCE);
    char *recorded = load("vga-bar");
    size_t start;

    (void)state;
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
        replay_write(board->bench, before[i]);
    start = board->bench->used;
    for (const char *line = recorded; *line; line = next_line(line))
        replay_write(board->bench, line);
    compare(recorded, board->bench->lines + start);
    free(recorded);
    board_free(board);
}

/* --- the same with slots that are kept --- */

struct figures {
    unsigned calls, removals;
    uint64_t bytes_removed; /* of RAM and ROM, while it runs */
    uint64_t pauses;
};

static struct figures keep(const char *name, bool smm)
{
    struct board *board = boot(smm, GMEM_KVM_POLICY_KEEP);
    struct machine_slots_since_start since;
    struct gmem_kvm_stats stats, of[2] = {{0}, {0}};
    struct machine *machine = board->bench->machine;
    char *calls = slot_calls(board->bench->lines, -1);
    struct figures figures;

    save(name, GMEM_KVM_POLICY_KEEP, board->bench->lines);
    machine_slots_stats(machine, &stats);
    gmem_kvm_stats(machine_slots(machine), &of[0]);
    if (smm)
        gmem_kvm_stats(machine_slots_smm(machine), &of[1]);
    machine_slots_since_start(machine, &since);
    figures = (struct figures){count_lines(calls), (unsigned)stats.removals, since.bytes_removed, stats.pauses};
    print_message("# %s: %u calls, %u removals, %llu bytes removed while it runs, %llu pauses\n", name, figures.calls,
                  figures.removals, (unsigned long long)figures.bytes_removed, (unsigned long long)figures.pauses);
    /* Statistics are those of both address spaces. */
    assert_int_equal(stats.calls, figures.calls);
    assert_int_equal(stats.calls, of[0].calls + of[1].calls);
    assert_int_equal(stats.slots, of[0].slots + of[1].slots);
    assert_int_equal(stats.pauses, of[0].pauses + of[1].pauses);
    assert_int_equal(since.bytes_removed + since.pci_bytes_removed, stats.bytes_removed);
    /* Nothing of RAM above 1 MiB is ever removed. */
    for (const char *line = calls; *line; line = next_line(line)) {
        unsigned long long gpa, size;

        assert_int_equal(sscanf(line, "kvm_set_user_memory Slot#%*u flags=%*x gpa=0x%llx size=0x%llx", &gpa, &size), 2);
        assert_true(size > 0 || gpa < 0x100000 || gpa >= 0xc0000000);
        assert_true(size > 0 || gpa < 4 * GIB);
    }
    free(calls);
    board_free(board);
    return figures;
}

static void test_keep(void **state)
{
    struct figures off = keep("40g-smm-off", false), on = keep("40g-smm-on", true);

    (void)state;
    /* docs/slots.md has these. */
    assert_int_equal(off.calls, 39);
    assert_int_equal(off.removals, 14);
    assert_int_equal(off.bytes_removed, 0xa0000);
    assert_int_equal(off.pauses, 4);
    assert_int_equal(on.calls, 83);
    assert_int_equal(on.removals, 30);
    /* Twice that; what lies below SMRAM, which was one slot with it; and SMRAM, which was open. */
    assert_int_equal(on.bytes_removed, 2 * 0xa0000 + 0xc0000 + 0x20000);
    assert_int_equal(on.pauses, 8);
}

/* No step is there in vain: without any one of them the calls are others than recorded. */
static void test_each_step_is_needed(void **state)
{
    char *recorded = load("boot-40g-smm-on");
    char *want = slot_calls(recorded, -1), line[2][REPLAY_LINE];

    (void)state;
    for (unsigned i = 0; i < STEPS; i++) {
        struct board *board = boot_without(&boot_40g[i], true, GMEM_KVM_POLICY_REFERENCE);
        char *have = slot_calls(board->bench->lines, -1);

        if (!first_difference(want, have, line[0], line[1]))
            fail_msg("step %u could be left out: \"%s\"", i, boot_40g[i].write);
        free(have);
        board_free(board);
    }
    free(want);
    free(recorded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_40g_smm_off),   cmocka_unit_test(test_40g_smm_on),
        cmocka_unit_test(test_1g_smm_on_pam), cmocka_unit_test(test_vga_bar),
        cmocka_unit_test(test_keep),          cmocka_unit_test(test_each_step_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
