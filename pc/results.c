/* SPDX-License-Identifier: MIT */
/* pc/results.c - the results of a run: views, memory slots, instructions. No state; the main thread's, when the machine is stopped. */
#include "results.h"

#include <errno.h>

#include "cpu.h"

typedef unsigned long long ull;

static int put(void *opaque, const char *text, size_t len)
{
    return fwrite(text, 1, len, opaque) == len ? 0 : -EIO;
}

/* Nobody is held out of a guest that is interpreted: it makes its accesses through views. */
static void print_slots(struct machine *machine, FILE *out)
{
    struct machine_slots_since_start since;
    struct machine_pauses pauses;
    struct gmem_kvm_stats stats;

    machine_slots_stats(machine, &stats);
    machine_slots_since_start(machine, &since);
    machine_pauses(machine, &pauses);
    fprintf(out, "memory slots%s: %llu calls, %llu removals, %llu bytes removed, ",
            machine_accel(machine) == PC_ACCEL_INTERP ? " (planned)" : "", (ull)stats.calls, (ull)stats.removals,
            (ull)stats.bytes_removed);
    if (machine_accel(machine) != PC_ACCEL_INTERP)
        fprintf(out, "%llu pauses, the longest %llu ns, ", (ull)pauses.count, (ull)pauses.ns_max);
    fprintf(out, "%u slots in use\n", stats.slots);
    fprintf(out, "since the first instruction: %llu bytes removed of RAM and ROM, %llu of PCI devices\n",
            (ull)since.bytes_removed, (ull)since.pci_bytes_removed);
}

static void print_executed(const struct machine *machine, FILE *out)
{
    struct pc_cpus_stats stats;

    if (!machine_executed(machine, &stats))
        return;
    fprintf(out, "interpreter: %llu instructions in %.3f s, %.1f million a second; %.3f s of the guest's time\n",
            (ull)stats.instructions, (double)stats.ns / 1e9,
            stats.ns ? (double)stats.instructions * 1e3 / (double)stats.ns : 0.0, (double)stats.virtual_ns / 1e9);
}

int results_print(struct machine *machine, FILE *out, FILE *map)
{
    const struct gmem_print_options options = machine_print_options(machine);
    gmem_vm *vm = machine_vm(machine);
    int err = gmem_print_flat(vm, &options, put, out), map_err = 0;

    if (map) {
        map_err = gmem_print_tree(vm, NULL, put, map);
        if (!map_err)
            map_err = gmem_print_flat(vm, &options, put, map);
    }
    print_slots(machine, out);
    print_executed(machine, out);
    if (err && !ferror(out))
        return err;
    return map_err && !ferror(map) ? map_err : 0;
}
