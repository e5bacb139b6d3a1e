/* SPDX-License-Identifier: MIT */
/*
 * pc/pci.c - the PCI bus and what all its devices share: identification, command register, configuration cycles,
 * interrupt pins, and the address space each device sees as bus master.
 *
 * PCI Local Bus Specification 2.1, 6.1 (configuration space), 6.2.2 (command), 6.2.4 (interrupt line and pin), 2.2.6
 * (interrupt pins). A device sees all of the system's memory while its bus master bit is set, and nothing otherwise.
 *
 * Runs under the machine's device lock, or before the processors run.
 */
#include "pci_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gmem/kvm.h>

/* The command bits a device of this machine implements: I/O, memory, master, SERR# and interrupt disable. */
#define PCI_COMMAND_WRITABLE 0x0507u

void pci_set16(uint8_t *field, uint16_t value)
{
    field[0] = (uint8_t)value;
    field[1] = (uint8_t)(value >> 8);
}

void pci_set32(uint8_t *field, uint32_t value)
{
    pci_set16(field, (uint16_t)value);
    pci_set16(field + 2, (uint16_t)(value >> 16));
}

uint16_t pci_get16(const uint8_t *field)
{
    return (uint16_t)(field[0] | field[1] << 8);
}

uint32_t pci_get32(const uint8_t *field)
{
    return pci_get16(field) | (uint32_t)pci_get16(field + 2) << 16;
}

int pci_bus_create(gmem_vm *vm, gmem_region *memory, gmem_region *io, gmem_region *system, const struct pc_hooks *hooks,
                   struct pci_bus **ret_bus)
{
    struct pci_bus *bus = calloc(1, sizeof(*bus));
    int err;

    if (!bus)
        return -ENOMEM;
    bus->vm = vm;
    bus->memory = memory;
    bus->io = io;
    bus->system = system;
    bus->hooks = hooks;
    err = pci_ports_place(bus);
    if (err) {
        free(bus);
        return err;
    }
    *ret_bus = bus;
    return 0;
}

void pci_bus_destroy(struct pci_bus *bus)
{
    free(bus);
}

void pci_bus_set_intx(struct pci_bus *bus, const struct pci_intx *intx)
{
    bus->intx = *intx;
}

void pci_bus_set_processors(struct pci_bus *bus, const struct pci_processors *processors)
{
    bus->processors = *processors;
}

const struct pci_processors *pci_bus_processors(const struct pci_bus *bus)
{
    return &bus->processors;
}

const struct pc_hooks *pci_bus_hooks(const struct pci_bus *bus)
{
    return bus->hooks;
}

void pci_log(struct pci_bus *bus, const char *format, ...)
{
    char text[512];
    va_list args;

    if (bus->logged == PCI_LOG_MAX)
        return;
    bus->logged++;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pc_log(bus->hooks, "%s%s", text, bus->logged == PCI_LOG_MAX ? " (no more of this is reported)" : "");
}

gmem_vm *pci_bus_vm(const struct pci_bus *bus)
{
    return bus->vm;
}

gmem_region *pci_bus_io(const struct pci_bus *bus)
{
    return bus->io;
}

gmem_region *pci_bus_memory(const struct pci_bus *bus)
{
    return bus->memory;
}

static int create_master_space(struct pci_device *dev)
{
    struct pci_bus *bus = dev->bus;
    int err = gmem_region_create_container(bus->vm, "bus master container", GMEM_SIZE_ALL, NULL, &dev->master_root);

    if (!err)
        err = gmem_region_create_alias(bus->vm, "bus master", bus->system, 0, GMEM_SIZE_ALL, NULL, &dev->master_alias);
    if (!err)
        err = gmem_region_set_enabled(dev->master_alias, false);
    if (!err)
        err = gmem_region_add(dev->master_root, 0, dev->master_alias);
    if (!err) {
        struct gmem_space_options options = {.struct_size = sizeof(options), .unassigned_ones = true};

        err = gmem_space_create(bus->vm, dev->name, dev->master_root, &options, &dev->master);
    }
    return err;
}

int pci_device_init(struct pci_device *dev, struct pci_bus *bus, uint8_t devfn, const char *name,
                    const struct pci_ids *ids)
{
    uint8_t *config = dev->config;
    int err;

    if (bus->devices[devfn])
        return -EBUSY;
    dev->bus = bus;
    dev->name = name;
    dev->devfn = devfn;
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++)
        dev->bars[i].address = PCI_UNMAPPED;

    pci_set16(config + PCI_VENDOR_ID, ids->vendor);
    pci_set16(config + PCI_DEVICE_ID, ids->device);
    config[PCI_REVISION_ID] = ids->revision;
    config[PCI_CLASS_PROG] = ids->prog;
    pci_set16(config + PCI_CLASS_DEVICE, ids->class_device);
    config[PCI_HEADER_TYPE] = ids->header_type;
    /* SeaBIOS takes the subsystem ids 1af4:1100 of the host bridge for "runs on a virtual machine with fw_cfg". */
    pci_set16(config + PCI_SUBSYSTEM_VENDOR, 0x1af4);
    pci_set16(config + PCI_SUBSYSTEM_ID, 0x1100);
    pci_set16(dev->wmask + PCI_COMMAND, PCI_COMMAND_WRITABLE);
    pci_set16(dev->w1c + PCI_STATUS, 0xf900);
    dev->wmask[PCI_INTERRUPT_LINE] = 0xff;

    err = create_master_space(dev);
    if (err) {
        pci_device_fini(dev);
        return err;
    }
    bus->devices[devfn] = dev;
    return 0;
}

void pci_device_fini(struct pci_device *dev)
{
    if (!dev->bus)
        return;
    pci_bars_release(dev);
    gmem_space_destroy(dev->master);
    gmem_region_unref(dev->master_alias);
    gmem_region_unref(dev->master_root);
    if (dev->bus->devices[dev->devfn] == dev)
        dev->bus->devices[dev->devfn] = NULL;
    dev->bus = NULL;
}

void pci_device_set_intx(struct pci_device *dev, int level)
{
    struct pci_bus *bus = dev->bus;
    unsigned pin = dev->config[PCI_INTERRUPT_PIN];

    if (!pin || dev->intx_level == level)
        return;
    dev->intx_level = level;
    /* The board turns the pins by one for each slot, as SeaBIOS's routing table says. */
    if (bus->intx.set)
        bus->intx.set(bus->intx.opaque, (pin - 1 + (dev->devfn >> 3) - 1) & 3, level);
}

uint32_t pci_config_read(struct pci_bus *bus, uint8_t devfn, unsigned offset, unsigned size)
{
    const struct pci_device *dev = bus->devices[devfn];
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)(dev ? dev->config[(offset + i) & 0xff] : 0xff) << (8 * i);
    return value;
}

static void update_master(struct pci_device *dev)
{
    bool on = pci_get16(dev->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
    int err;

    if (gmem_region_enabled(dev->master_alias) == on)
        return;
    err = gmem_region_set_enabled(dev->master_alias, on);
    if (err)
        pci_log(dev->bus, "%s: bus mastering could not be switched %s: %s", dev->name, on ? "on" : "off",
                gmem_strerror(err));
    else
        pc_mapped(dev->bus->hooks, NULL);
}

static void trace_write(const struct pci_device *dev, unsigned offset, uint32_t value)
{
    const struct pc_hooks *hooks = dev->bus->hooks;
    char line[128];

    if (!hooks->trace_pci)
        return;
    gmem_trace_pci_cfg_write(line, sizeof(line), dev->name, 0, dev->devfn >> 3, dev->devfn & 7, offset, value);
    hooks->trace_pci(hooks->opaque, line);
}

static void store(struct pci_device *dev, unsigned offset, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size; i++) {
        unsigned at = (offset + i) & 0xff;
        uint8_t byte = (uint8_t)(value >> (8 * i));
        uint8_t mask = dev->wmask[at];

        dev->config[at] = (uint8_t)((dev->config[at] & ~mask) | (byte & mask));
        dev->config[at] = (uint8_t)(dev->config[at] & ~(byte & dev->w1c[at]));
    }
}

static void take_effect(struct pci_device *dev, unsigned offset, unsigned size)
{
    if (pci_touches(offset, size, PCI_COMMAND, PCI_COMMAND + 1) ||
        pci_touches(offset, size, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_0 + 23) ||
        pci_touches(offset, size, PCI_ROM_ADDRESS, PCI_ROM_ADDRESS + 3))
        pci_bars_update(dev);
    if (pci_touches(offset, size, PCI_COMMAND, PCI_COMMAND + 1))
        update_master(dev);
    if (dev->config_written)
        dev->config_written(dev, offset, size);
    pc_mapped(dev->bus->hooks, NULL);
}

void pci_config_write(struct pci_bus *bus, uint8_t devfn, unsigned offset, unsigned size, uint32_t value)
{
    struct pci_device *dev = bus->devices[devfn];
    gmem_view *before;

    if (!dev)
        return;
    before = pci_seen_now(bus, false);
    trace_write(dev, offset, value);
    store(dev, offset, size, value);
    take_effect(dev, offset, size);
    pci_seen_log_own_rom(dev, before);
    gmem_view_unref(before);
}

const struct pci_device *pci_bus_device(const struct pci_bus *bus, uint8_t devfn)
{
    return bus->devices[devfn];
}
