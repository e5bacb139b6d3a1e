/* SPDX-License-Identifier: MIT */
/*
 * test-pc-slots.c - the memory slots of machines: those of system management mode beside the others, all or nothing (G1) over
 * both, and slots of interpreted machines, which are only planned and must be told the same in every run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-machine.h"
#include "pc-replay.h"

#define MEMORY (UINT64_C(64) << 20)
#define I440FX_FN PCI_DEVFN(0, 0)
#define VGA_FN PCI_DEVFN(2, 0)
#define SMM_SLOT 0x10000u

static const enum gmem_kvm_policy policies[] = {GMEM_KVM_POLICY_KEEP, GMEM_KVM_POLICY_REFERENCE};

/* --- a kernel that refuses one call of the second address space --- */

struct refuser {
    unsigned calls, refuse, refusals; /* of that address space; the number of the call that is refused */
};

static int refusing_set(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct refuser *refuser = opaque;

    if (call->slot < SMM_SLOT)
        return 0;
    if (refuser->calls++ != refuser->refuse)
        return 0;
    refuser->refusals++;
    return -ENOSPC;
}

static struct pc_config smm_config(struct bench *bench, enum gmem_kvm_policy policy, struct refuser *refuser)
{
    struct pc_config config = bench_config(bench, MEMORY, true);

    config.smm = true;
    config.policy = policy;
    config.set = refusing_set;
    config.set_opaque = refuser;
    return config;
}

/* Whichever of its calls the kernel refuses, there is no machine, a reason, and nothing left. */
static void test_create_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        unsigned n, made = 0;

        for (n = 0; !made && n < 100; n++) {
            struct bench *bench = bench_new();
            struct refuser refuser = {.refuse = n};
            const struct pc_config config = smm_config(bench, policies[i], &refuser);
            struct pc_error error = {""};
            int err = machine_create(&config, &bench->machine, &error);

            made = err == 0;
            assert_int_equal(refuser.refusals > 0, !made);
            if (!made) {
                assert_int_equal(err, -ENOSPC);
                assert_null(bench->machine);
                assert_non_null(strstr(error.text, "slots"));
            }
            bench_free(bench);
        }
        assert_in_range(n, 5, 20);
    }
}

struct snapshot {
    struct gmem_kvm_slot slot[64];
    unsigned count;
};

static int note_slot(void *opaque, const struct gmem_kvm_slot *slot)
{
    struct snapshot *snapshot = opaque;

    assert_true(snapshot->count < 64);
    snapshot->slot[snapshot->count++] = *slot;
    return 0;
}

static void take_snapshot(struct machine *machine, struct snapshot *snapshot)
{
    memset(snapshot, 0, sizeof(*snapshot));
    assert_int_equal(gmem_kvm_foreach_slot(machine_slots(machine), note_slot, snapshot), 0);
    assert_int_equal(gmem_kvm_foreach_slot(machine_slots_smm(machine), note_slot, snapshot), 0);
}

static void assert_same(const struct snapshot *before, const struct snapshot *after)
{
    assert_int_equal(after->count, before->count);
    for (unsigned n = 0; n < before->count; n++) {
        assert_int_equal(after->slot[n].slot, before->slot[n].slot);
        assert_int_equal(after->slot[n].gpa, before->slot[n].gpa);
        assert_int_equal(after->slot[n].size, before->slot[n].size);
        assert_int_equal(after->slot[n].flags, before->slot[n].flags);
        assert_ptr_equal(after->slot[n].host, before->slot[n].host);
    }
}

/*
 * Whichever call a write to PAM has refused for the second address space: slots of both and the map are as before, and the next
 * write does what this one could not.
 */
static unsigned refuse_writes(enum gmem_kvm_policy policy)
{
    unsigned n;

    for (n = 0; n < 100; n++) {
        struct bench *bench = bench_new();
        struct refuser refuser = {.refuse = UINT32_MAX};
        const struct pc_config config = smm_config(bench, policy, &refuser);
        struct snapshot before, after;
        unsigned refused;

        bench_open(bench, &config);
        take_snapshot(bench->machine, &before);
        refuser.refuse = refuser.calls + n;
        cfg_write32(bench, I440FX_FN, 0x58, 0x33333000);
        refused = refuser.refusals;
        take_snapshot(bench->machine, &after);
        if (refused) {
            assert_same(&before, &after);
            assert_string_equal(seen_at(bench, 0xc0000), "pc.rom");
            assert_non_null(strstr(bench->last_log, "i440FX"));
        }
        cfg_write32(bench, I440FX_FN, 0x5c, 0x33333333);
        assert_string_equal(seen_at(bench, 0xc0000), "pc.ram");
        bench_free(bench);
        if (!refused)
            break;
    }
    return n;
}

static void test_write_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_in_range(refuse_writes(policies[i]), 4, 12);
}

/* --- figures --- */

static void test_figures(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);
    struct gmem_kvm_stats all, one, two;
    struct machine_slots_since_start since;
    struct machine_pauses pauses;
    struct pc_error error;

    (void)state;
    config.smm = true;
    bench_open(bench, &config);
    cfg_write32(bench, I440FX_FN, 0x58, 0x33333000);
    assert_int_equal(machine_start(bench->machine, &error), 0);
    machine_slots_since_start(bench->machine, &since);
    assert_int_equal(since.bytes_removed, 0);
    gmem_kvm_stats(machine_slots(bench->machine), &one);
    gmem_kvm_stats(machine_slots_smm(bench->machine), &two);
    assert_true(one.bytes_removed > 0 && two.bytes_removed > 0);
    /* Two slots of RAM and a BAR of each address space go. */
    cfg_write32(bench, VGA_FN, PCI_BASE_ADDRESS_0, 0xfd000000);
    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY);
    cfg_write16(bench, VGA_FN, PCI_COMMAND, 0);
    machine_slots_since_start(bench->machine, &since);
    assert_int_equal(since.bytes_removed, 0);
    assert_int_equal(since.pci_bytes_removed, 2 * 0x1000000);
    machine_slots_stats(bench->machine, &all);
    gmem_kvm_stats(machine_slots(bench->machine), &one);
    gmem_kvm_stats(machine_slots_smm(bench->machine), &two);
    assert_int_equal(all.calls, one.calls + two.calls);
    assert_int_equal(all.removals, one.removals + two.removals);
    assert_int_equal(all.bytes_added, one.bytes_added + two.bytes_added);
    assert_int_equal(all.bytes_removed, one.bytes_removed + two.bytes_removed);
    assert_int_equal(all.slots, one.slots + two.slots);
    assert_int_equal(all.slots_peak, one.slots_peak + two.slots_peak);
    assert_int_equal(all.pauses, one.pauses + two.pauses);
    /* There are no processors to be held out. */
    machine_pauses(bench->machine, &pauses);
    assert_int_equal(pauses.count, 0);
    bench_free(bench);
}

static void test_without_the_mode(void **state)
{
    struct bench *bench = bench_new();
    const struct pc_config config = bench_config(bench, MEMORY, true);
    struct gmem_kvm_stats all, one;

    (void)state;
    bench_open(bench, &config);
    assert_null(machine_slots_smm(bench->machine));
    machine_slots_stats(bench->machine, &all);
    gmem_kvm_stats(machine_slots(bench->machine), &one);
    assert_memory_equal(&all, &one, sizeof(all));
    assert_null(strstr(bench->lines, "Slot#65536"));
    bench_free(bench);
}

/* --- interpreted machines: planned slots --- */

static const char *const writes[] = {
    "pci_cfg_write i440FX 00:00.0 @0x58 <- 0x33333000", "pci_cfg_write i440FX 00:00.0 @0x5c <- 0x33333333",
    "pci_cfg_write VGA 00:02.0 @0x10 <- 0xfd000008",    "pci_cfg_write VGA 00:02.0 @0x4 <- 0x103",
    "pci_cfg_write i440FX 00:00.0 @0x72 <- 0x4a",       "pci_cfg_write i440FX 00:00.0 @0x72 <- 0xa",
    "pci_cfg_write i440FX 00:00.0 @0x58 <- 0x11111000", "pci_cfg_write i440FX 00:00.0 @0x5c <- 0x33111111",
    "pci_cfg_write VGA 00:02.0 @0x4 <- 0x100",
};

static int count_set(void *opaque, const struct kvm_userspace_memory_region *call)
{
    (void)call;
    ++*(unsigned *)opaque;
    return 0;
}

static struct bench *planned(enum pc_accel accel, enum gmem_kvm_policy policy, unsigned *calls)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, true);

    config.accel = accel;
    config.policy = policy;
    config.smm = true;
    config.set = calls ? count_set : NULL;
    config.set_opaque = calls;
    bench_open(bench, &config);
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
        replay_write(bench, writes[i]);
    return bench;
}

/* Each added slot's ua is where its block has it: the lowest is that of the block that was made first. */
static void assert_offsets(struct bench *bench)
{
    gmem_ram *ram;
    unsigned found = 0;

    assert_int_equal(gmem_ram_find(machine_vm(bench->machine), "pc.ram", &ram), 0);
    for (const char *line = bench->lines; *line; line = next_line(line)) {
        unsigned long long gpa, size, ua;

        if (sscanf(line, "kvm_set_user_memory Slot#%*u flags=%*x gpa=0x%llx size=0x%llx ua=0x%llx", &gpa, &size, &ua) !=
            3)
            continue;
        assert_true(ua < UINT64_C(1) << 32);
        if (gpa >= 0x100000 && gpa < MEMORY) {
            assert_int_equal(ua, gmem_ram_offset(ram) + gpa);
            found++;
        }
    }
    assert_true(found > 0);
    gmem_ram_unref(ram);
}

static void test_planned(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        unsigned calls = 0, none_calls = 0;
        struct bench *one = planned(PC_ACCEL_INTERP, policies[i], NULL);
        struct bench *two = planned(PC_ACCEL_INTERP, policies[i], &calls);
        struct bench *none = planned(PC_ACCEL_NONE, policies[i], &none_calls);
        struct gmem_kvm_stats stats;

        assert_string_equal(one->lines, two->lines);
        assert_offsets(one);
        compare(none->lines, one->lines);
        machine_slots_stats(two->machine, &stats);
        assert_int_equal(stats.calls, calls);
        assert_int_equal(calls, none_calls);
        assert_int_equal(stats.pauses, 0);
        bench_free(one);
        bench_free(two);
        bench_free(none);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_refused), cmocka_unit_test(test_write_refused),    cmocka_unit_test(test_figures),
        cmocka_unit_test(test_planned),        cmocka_unit_test(test_without_the_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
