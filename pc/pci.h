/* SPDX-License-Identifier: MIT */
/*
 * pc/pci.h - one PCI bus: configuration space, BARs, interrupt pins and each device's view as bus master.
 *
 * Names follow the PCI Local Bus Specification, revision 2.1, chapter 6. A device embeds struct pci_device as its
 * first member, fills config and wmask in after pci_device_init(), registers BARs, and is then visible to the guest.
 *
 * Everything is called with the machine's device lock held, or before the processors run.
 */
#ifndef PC_PCI_H
#define PC_PCI_H

#include <gmem/gmem.h>

#include "hooks.h"

/* Offsets in configuration space. */
#define PCI_VENDOR_ID 0x00u
#define PCI_DEVICE_ID 0x02u
#define PCI_COMMAND 0x04u
#define PCI_STATUS 0x06u
#define PCI_REVISION_ID 0x08u
#define PCI_CLASS_PROG 0x09u
#define PCI_CLASS_DEVICE 0x0au
#define PCI_HEADER_TYPE 0x0eu
#define PCI_BASE_ADDRESS_0 0x10u
#define PCI_SUBSYSTEM_VENDOR 0x2cu
#define PCI_SUBSYSTEM_ID 0x2eu
#define PCI_ROM_ADDRESS 0x30u
#define PCI_INTERRUPT_LINE 0x3cu
#define PCI_INTERRUPT_PIN 0x3du

#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u

#define PCI_HEADER_MULTI_FUNCTION 0x80u

/* BAR numbers: 0 to 5, and the expansion ROM's. */
#define PCI_BAR_ROM 6u
#define PCI_BAR_COUNT 7u

/* Low bits of a BAR that say what it is. */
#define PCI_BAR_IO 0x1u
#define PCI_BAR_MEM64 0x4u
#define PCI_BAR_PREFETCH 0x8u

#define PCI_DEVFN(device, function) ((uint8_t)((device) << 3 | (function)))

struct pci_bus;

struct pci_bar {
    gmem_region *region; /* NULL: there is no such BAR */
    uint64_t size;       /* a power of two */
    uint64_t address;    /* where it is mapped, or PCI_UNMAPPED */
    uint8_t type;
};

#define PCI_UNMAPPED UINT64_MAX

struct pci_device {
    struct pci_bus *bus;
    const char *name;
    uint8_t devfn;
    uint8_t config[256];
    uint8_t wmask[256]; /* bits that a write sets */
    uint8_t w1c[256];   /* bits that writing 1 clears */
    struct pci_bar bars[PCI_BAR_COUNT];
    gmem_region *master_root;  /* "bus master container" */
    gmem_region *master_alias; /* "bus master": all of system, enabled by the command register */
    gmem_space *master;        /* what the device sees when it reads and writes memory */
    int intx_level;

    /* Called after a write of size bytes at offset, BARs and command register already served. May be NULL. */
    void (*config_written)(struct pci_device *dev, unsigned offset, unsigned size);
};

/* Where the four interrupt lines of the bus go. */
struct pci_intx {
    void (*set)(void *opaque, unsigned pirq, int level);
    void *opaque;
};

/*
 * memory and io are the containers that BARs are placed in, system is what bus masters see. Places the configuration
 * ports 0xcf8 and 0xcfc in io. hooks are borrowed.
 */
int pci_bus_create(gmem_vm *vm, gmem_region *memory, gmem_region *io, gmem_region *system, const struct pc_hooks *hooks,
                   struct pci_bus **ret_bus) GMEM_MUST_CHECK;
/* After all its devices have ended. */
void pci_bus_destroy(struct pci_bus *bus);
void pci_bus_set_intx(struct pci_bus *bus, const struct pci_intx *intx);

/* The processors' side of the bridge. With it, what a guest does to itself in configuration space is logged. */
struct pci_processors {
    gmem_space *memory; /* what they see; borrowed */
    gmem_space *ports;
    /*
     * The guest-physical address of the instruction that the processor whose access is being served executes. Not 0: there is
     * no such processor, or it can't be told.
     */
    int (*executing)(void *opaque, uint64_t *ret_addr);
    void *opaque;
};
void pci_bus_set_processors(struct pci_bus *bus, const struct pci_processors *processors);
const struct pci_processors *pci_bus_processors(const struct pci_bus *bus); /* all NULL: none were set */

const struct pc_hooks *pci_bus_hooks(const struct pci_bus *bus);
/*
 * A line about something that the guest did. Only the first PCI_LOG_MAX are passed on, so that it can't fill the log; the last
 * one says so.
 */
#define PCI_LOG_MAX 32u
void pci_log(struct pci_bus *bus, const char *format, ...) __attribute__((format(printf, 2, 3)));
gmem_vm *pci_bus_vm(const struct pci_bus *bus);
gmem_region *pci_bus_io(const struct pci_bus *bus);
gmem_region *pci_bus_memory(const struct pci_bus *bus);
const struct pci_device *pci_bus_device(const struct pci_bus *bus, uint8_t devfn); /* NULL: none is there */

/* What the identification registers hold. */
struct pci_ids {
    uint16_t vendor, device, class_device;
    uint8_t prog, revision, header_type;
};

/* -EBUSY: the slot is taken. The rest of *dev is zero. name is borrowed. */
int pci_device_init(struct pci_device *dev, struct pci_bus *bus, uint8_t devfn, const char *name,
                    const struct pci_ids *ids) GMEM_MUST_CHECK;
/* Takes the device off the bus; also after a failed or missing pci_device_init() if *dev is zero. */
void pci_device_fini(struct pci_device *dev);

/*
 * Give the device a BAR. Takes over the caller's reference on region, also on failure. type is PCI_BAR_* bits.
 * -EINVAL: the size is no power of two, or the BAR number does not fit its type.
 */
int pci_device_add_bar(struct pci_device *dev, unsigned bar, uint8_t type, gmem_region *region,
                       uint64_t size) GMEM_MUST_CHECK;

/* Drive the device's interrupt pin. */
void pci_device_set_intx(struct pci_device *dev, int level);

void pci_set16(uint8_t *field, uint16_t value);
void pci_set32(uint8_t *field, uint32_t value);
uint16_t pci_get16(const uint8_t *field);
uint32_t pci_get32(const uint8_t *field);

/* True if a write of size bytes at offset touches [first, last]. */
static inline bool pci_touches(unsigned offset, unsigned size, unsigned first, unsigned last)
{
    return offset <= last && offset + size > first;
}

/*
 * Configuration cycles by device and function; size is 1, 2 or 4 and must not cross a doubleword. A function that is
 * not there reads all ones. The write emits the trace line first.
 */
uint32_t pci_config_read(struct pci_bus *bus, uint8_t devfn, unsigned offset, unsigned size);
void pci_config_write(struct pci_bus *bus, uint8_t devfn, unsigned offset, unsigned size, uint32_t value);

/*
 * Port 0xcf9 lies inside the doubleword at 0xcf8 (see pci_ports.c). Whoever owns it asks here first: true if the byte
 * is part of a doubleword access to CONFADD, which is then served.
 */
bool pci_confadd_read_byte1(struct pci_bus *bus, uint8_t *ret_value);
bool pci_confadd_write_byte1(struct pci_bus *bus, uint8_t value);
/* A processor's access begins: nothing before it is part of it. */
void pci_confadd_begin(struct pci_bus *bus);

#endif
