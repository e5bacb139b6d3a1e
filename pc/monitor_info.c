/* SPDX-License-Identifier: MIT */
/*
 * pc/monitor_info.c - what the map, the slots, the processors and the PCI bus are like now.
 *
 * The library's printers show one moment. PCI devices are looked at under the device lock, while their answer is put
 * together in memory.
 */
#include <linux/kvm.h>
#include <string.h>

#include "cpu.h"
#include "monitor_internal.h"

typedef unsigned long long ull;

static int put(void *opaque, const char *text, size_t len)
{
    return fwrite(text, 1, len, opaque) == len ? 0 : -1;
}

/* False: no such option. */
static bool mtree_option(const char *word, struct gmem_print_options *options, bool *flat)
{
    if (word[0] != '-' || !word[1])
        return false;
    for (word++; *word; word++) {
        if (*word == 'f')
            *flat = true;
        else if (*word == 'd')
            options->flags |= GMEM_PRINT_DISPATCH;
        else if (*word == 'o')
            options->flags |= GMEM_PRINT_OWNER;
        else if (*word == 'D')
            options->flags |= GMEM_PRINT_DISABLED;
        else
            return false;
    }
    return true;
}

void monitor_info_mtree(struct monitor_call *call)
{
    gmem_vm *vm = machine_vm(call->machine);
    struct gmem_print_options options = machine_print_options(call->machine);
    bool flat = false;
    int err;

    for (int i = 2; i < call->count; i++) {
        if (!mtree_option(call->words[i], &options, &flat)) {
            monitor_fail(call, "'%s': the options are -f, -d, -o and -D", call->words[i]);
            return;
        }
    }
    if (flat || (options.flags & GMEM_PRINT_DISPATCH))
        err = gmem_print_flat(vm, &options, put, call->out);
    else
        err = gmem_print_tree(vm, &options, put, call->out);
    if (err < -1) /* -1 is put()'s: whoever closes the stream finds out */
        monitor_fail(call, "%s", gmem_strerror(err));
}

static int print_slot(void *opaque, const struct gmem_kvm_slot *slot)
{
    FILE *out = opaque;

    fprintf(out, "%8x  %016llx  %016llx  %-6s %-3s  %p\n", slot->slot, (ull)slot->gpa, (ull)slot->size,
            slot->flags & KVM_MEM_READONLY ? "ro" : "rw", slot->flags & KVM_MEM_LOG_DIRTY_PAGES ? "log" : "-",
            slot->host);
    return 0;
}

void monitor_info_slots(struct monitor_call *call)
{
    gmem_kvm *smm = machine_slots_smm(call->machine);
    struct machine_pauses pauses;
    struct gmem_kvm_stats stats;
    int err;

    fprintf(call->out, "    slot  address           size              access log  host\n");
    err = gmem_kvm_foreach_slot(machine_slots(call->machine), print_slot, call->out);
    if (!err && smm)
        err = gmem_kvm_foreach_slot(smm, print_slot, call->out);
    if (err)
        monitor_fail(call, "%s", gmem_strerror(err));
    machine_slots_stats(call->machine, &stats);
    fprintf(
        call->out,
        "%u slots in use, at most %u; %llu calls, %llu removals, %llu refused; %llu bytes added, %llu bytes removed; ",
        stats.slots, stats.slots_peak, (ull)stats.calls, (ull)stats.removals, (ull)stats.failed, (ull)stats.bytes_added,
        (ull)stats.bytes_removed);
    if (machine_accel(call->machine) == PC_ACCEL_INTERP) {
        fprintf(call->out, "planned: there is no KVM\n");
        return;
    }
    machine_pauses(call->machine, &pauses);
    fprintf(call->out, "%llu pauses, the longest %llu us\n", (ull)pauses.count, (ull)pauses.ns_max / 1000);
}

static const char *accel_name(enum pc_accel accel)
{
    switch (accel) {
    case PC_ACCEL_KVM:
        return "KVM";
    case PC_ACCEL_INTERP:
        return "interpreted";
    default:
        return "nothing runs them";
    }
}

/* What was executed is known only when processors stand still. */
static void print_processors(struct monitor_call *call)
{
    struct pc_cpus_stats stats;

    fprintf(call->out, "machine: %s\n", machine_held(call->machine) ? "stopped" : "running");
    fprintf(call->out, "processors: %u, %s\n", machine_cpu_count(call->machine),
            accel_name(machine_accel(call->machine)));
    if (machine_held(call->machine) && machine_executed(call->machine, &stats))
        fprintf(call->out, "executed: %llu instructions; %llu us of the guest's time\n", (ull)stats.instructions,
                (ull)stats.virtual_ns / 1000);
}

void monitor_info_status(struct monitor_call *call)
{
    struct gmem_vm_stats stats;
    gmem_ram *ram;

    print_processors(call);
    if (gmem_ram_find(machine_vm(call->machine), "pc.ram", &ram) == 0) {
        fprintf(call->out, "memory: %llu bytes\n", (ull)gmem_ram_size(ram));
        gmem_ram_unref(ram);
    }
    gmem_vm_stats(machine_vm(call->machine), &stats);
    fprintf(call->out, "map: %llu regions; %llu commits, %llu of them refused; %llu views published\n",
            (ull)stats.regions, (ull)stats.commits, (ull)stats.commits_refused, (ull)stats.views_published);
}

/* What the registers of a BAR hold, without the bits that say what it is. */
static uint64_t bar_register(const struct pci_device *dev, unsigned n)
{
    unsigned offset = n == PCI_BAR_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * n;
    uint64_t value = pci_get32(dev->config + offset);

    if (dev->bars[n].type & PCI_BAR_MEM64)
        value |= (uint64_t)pci_get32(dev->config + offset + 4) << 32;
    return value & ~(dev->bars[n].size - 1);
}

static void print_bar(FILE *out, const struct pci_device *dev, unsigned n)
{
    const struct pci_bar *bar = &dev->bars[n];
    uint16_t command = pci_get16(dev->config + PCI_COMMAND);
    bool io = bar->type & PCI_BAR_IO;
    uint64_t first = bar->address == PCI_UNMAPPED ? bar_register(dev, n) : bar->address;

    if (n == PCI_BAR_ROM)
        fprintf(out, "    ROM:   ");
    else
        fprintf(out, "    BAR %u: ", n);
    fprintf(out, "%s%s%s 0x%llx-0x%llx (%s): ", io ? "ports" : "memory",
            io                          ? ""
            : bar->type & PCI_BAR_MEM64 ? ", 64 bits"
                                        : ", 32 bits",
            bar->type & PCI_BAR_PREFETCH && !io ? ", prefetchable" : "", (ull)first, (ull)(first + bar->size - 1),
            gmem_region_name(bar->region));
    if (bar->address != PCI_UNMAPPED)
        fprintf(out, "decoded\n");
    else if (!(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        fprintf(out, "not decoded: off in the command register\n");
    else if (n == PCI_BAR_ROM && !(dev->config[PCI_ROM_ADDRESS] & 1))
        fprintf(out, "not decoded: off in its own register\n");
    else
        fprintf(out, "not decoded: nothing can be there\n");
}

static void print_device(FILE *out, const struct pci_device *dev)
{
    uint16_t command = pci_get16(dev->config + PCI_COMMAND);

    fprintf(out, "00:%02x.%u %s: %04x:%04x, class %04x, revision %u\n", dev->devfn >> 3, dev->devfn & 7u, dev->name,
            pci_get16(dev->config + PCI_VENDOR_ID), pci_get16(dev->config + PCI_DEVICE_ID),
            pci_get16(dev->config + PCI_CLASS_DEVICE), dev->config[PCI_REVISION_ID]);
    fprintf(out, "    command 0x%04x: ports %s, memory %s, bus master %s", command,
            command & PCI_COMMAND_IO ? "on" : "off", command & PCI_COMMAND_MEMORY ? "on" : "off",
            command & PCI_COMMAND_MASTER ? "on" : "off");
    if (dev->config[PCI_INTERRUPT_PIN])
        fprintf(out, "; interrupt pin %c, line %u", 'A' + dev->config[PCI_INTERRUPT_PIN] - 1,
                dev->config[PCI_INTERRUPT_LINE]);
    putc('\n', out);
    for (unsigned n = 0; n < PCI_BAR_COUNT; n++) {
        if (dev->bars[n].region)
            print_bar(out, dev, n);
    }
}

void monitor_info_pci(struct monitor_call *call)
{
    const struct pci_bus *bus = machine_pci(call->machine);

    machine_lock(call->machine);
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_device *dev = pci_bus_device(bus, (uint8_t)devfn);

        if (dev)
            print_device(call->out, dev);
    }
    machine_unlock(call->machine);
}
