/* SPDX-License-Identifier: MIT */
/*
 * pc/vga.c - the standard VGA as a PCI device: where its registers, its memory and its ROM are seen.
 *
 * QEMU's documentation, docs/specs/standard-vga: BAR 0 is the video memory (prefetchable, 16 MiB), BAR 2 holds 4 KiB of
 * registers: 0x000 EDID, 0x400 the ports 0x3c0 to 0x3df, 0x500 the display interface, 0x600 size and byte order. The
 * VGA's own ports, the display interface at 0x1ce to 0x1d1 and the window at 0xa0000 always answer.
 *
 * Everything runs under the machine's device lock, or before the processors run.
 */
#include "vga_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"

#define MMIO_SIZE 0x1000u
#define MMIO_PORTS 0x400u
#define MMIO_DISPI 0x500u
#define MMIO_EXTENDED 0x600u
#define DISPI_PORT 0x1ceu
#define WINDOW_BASE 0xa0000u
#define WINDOW_SIZE 0x20000u

#define EXTENDED_SIZE 8u
#define BYTE_ORDER_AT 4u
#define ORDER_LITTLE 0x1e1e1e1eu
#define ORDER_BIG 0xbebebebeu

static gmem_result port_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    const struct vga_ports *ports = opaque;

    (void)size, (void)attrs;
    *ret_value = vga_port_read(ports->vga, (uint16_t)(ports->base + offset));
    return GMEM_OK;
}

static gmem_result port_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    const struct vga_ports *ports = opaque;

    (void)size, (void)attrs;
    vga_port_write(ports->vga, (uint16_t)(ports->base + offset), (uint8_t)value);
    return GMEM_OK;
}

/* The index at 0x1ce, the data at 0x1cf (odd, as on an ISA card) or 0x1d0. */
static gmem_result dispi_port_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                   uint64_t *ret_value)
{
    const struct vga *vga = opaque;

    (void)size, (void)attrs;
    *ret_value = offset == 0 ? vga->dispi_index : vga_dispi_read(vga, vga->dispi_index);
    return GMEM_OK;
}

static gmem_result dispi_port_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                    uint64_t value)
{
    struct vga *vga = opaque;

    (void)size, (void)attrs;
    if (offset == 0)
        vga->dispi_index = (uint16_t)value;
    else
        vga_dispi_write(vga, vga->dispi_index, (uint16_t)value);
    return GMEM_OK;
}

static gmem_result dispi_mmio_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                   uint64_t *ret_value)
{
    (void)size, (void)attrs;
    *ret_value = vga_dispi_read(opaque, (unsigned)offset / 2);
    return GMEM_OK;
}

static gmem_result dispi_mmio_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                    uint64_t value)
{
    (void)size, (void)attrs;
    vga_dispi_write(opaque, (unsigned)offset / 2, (uint16_t)value);
    return GMEM_OK;
}

static gmem_result edid_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    const struct vga *vga = opaque;

    (void)size, (void)attrs;
    *ret_value = vga->edid[offset];
    return GMEM_OK;
}

static gmem_result ignored_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static gmem_result extended_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                 uint64_t *ret_value)
{
    const struct vga *vga = opaque;

    (void)size, (void)attrs;
    *ret_value = offset == BYTE_ORDER_AT ? (vga->big_endian ? ORDER_BIG : ORDER_LITTLE) : EXTENDED_SIZE;
    return GMEM_OK;
}

static gmem_result extended_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct vga *vga = opaque;

    (void)size, (void)attrs;
    if (offset == BYTE_ORDER_AT && (value == ORDER_BIG || value == ORDER_LITTLE))
        vga->big_endian = value == ORDER_BIG;
    return GMEM_OK;
}

/* What BAR 2 shows where it has no register. */
static gmem_result unused_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    *ret_value = 0;
    return GMEM_OK;
}

static const struct gmem_mmio_ops port_ops = {
    .read = port_read, .write = port_write, .valid = {.max = 4, .unaligned = true}, .impl = {.max = 1}};
static const struct gmem_mmio_ops dispi_port_ops = {.read = dispi_port_read,
                                                    .write = dispi_port_write,
                                                    .valid = {.max = 4, .unaligned = true},
                                                    .impl = {.min = 2, .max = 2, .unaligned = true}};
static const struct gmem_mmio_ops dispi_mmio_ops = {
    .read = dispi_mmio_read, .write = dispi_mmio_write, .valid = {.max = 4}, .impl = {.min = 2, .max = 2}};
static const struct gmem_mmio_ops edid_ops = {
    .read = edid_read, .write = ignored_write, .valid = {.max = 4}, .impl = {.max = 1}};
static const struct gmem_mmio_ops extended_ops = {
    .read = extended_read, .write = extended_write, .valid = {.max = 4}, .impl = {.min = 4, .max = 4}};
static const struct gmem_mmio_ops unused_ops = {.read = unused_read,
                                                .write = ignored_write,
                                                .valid = {.max = 8, .unaligned = true},
                                                .impl = {.max = 8, .unaligned = true}};

static struct vga_ports *ports_at(struct vga *vga, unsigned window, uint16_t base)
{
    vga->windows[window] = (struct vga_ports){.vga = vga, .base = base};
    return &vga->windows[window];
}

static int add_registers_bar(struct vga *vga)
{
    gmem_region *mmio;
    int err = gmem_region_create_mmio(pci_bus_vm(vga->pci.bus), "vga.mmio", GMEM_SIZE(MMIO_SIZE), &unused_ops, vga,
                                      NULL, &mmio);

    if (err)
        return err;
    err = pc_place_mmio(mmio, 0, 0, "edid", VGA_EDID_SIZE, &edid_ops, vga, NULL);
    if (!err)
        err =
            pc_place_mmio(mmio, MMIO_PORTS, 0, "vga ioports remapped", 0x20, &port_ops, ports_at(vga, 0, 0x3c0), NULL);
    if (!err)
        err = pc_place_mmio(mmio, MMIO_DISPI, 0, "bochs dispi interface", 2 * (uint64_t)(VGA_DISPI_COUNT + 1),
                            &dispi_mmio_ops, vga, NULL);
    if (!err)
        err = pc_place_mmio(mmio, MMIO_EXTENDED, 0, "qemu extended regs", EXTENDED_SIZE, &extended_ops, vga, NULL);
    if (err) {
        gmem_region_unref(mmio);
        return err;
    }
    return pci_device_add_bar(&vga->pci, 2, 0, mmio, MMIO_SIZE);
}

static int add_memory_bar(struct vga *vga)
{
    gmem_vm *vm = pci_bus_vm(vga->pci.bus);
    gmem_region *region;
    int err = gmem_ram_create_anon(vm, "vga.vram", VGA_VRAM_SIZE, &vga->vram_block);

    if (err)
        return err;
    vga->vram = gmem_ram_host(vga->vram_block);
    err = gmem_region_create_ram(vm, "vga.vram", vga->vram_block, NULL, &region);
    if (err)
        return err;
    err = gmem_region_set_log(region, GMEM_LOG_DISPLAY, true);
    if (err) {
        gmem_region_unref(region);
        return err;
    }
    gmem_region_ref(region);
    vga->vram_region = region;
    return pci_device_add_bar(&vga->pci, 0, PCI_BAR_PREFETCH, region, VGA_VRAM_SIZE);
}

static int add_rom_bar(struct vga *vga, const void *option_rom, size_t rom_len)
{
    uint64_t size = 0x800;
    gmem_region *region;
    int err;

    while (size < rom_len)
        size *= 2;
    err = pc_create_rom(pci_bus_vm(vga->pci.bus), "vga.rom", "vga.rom", size, option_rom, rom_len, &region);
    return err ? err : pci_device_add_bar(&vga->pci, PCI_BAR_ROM, 0, region, size);
}

static int place_ports(struct vga *vga)
{
    static const struct {
        uint16_t base, size;
    } blocks[] = {{0x3b4, 2}, {0x3ba, 1}, {0x3c0, 16}, {0x3d4, 2}, {0x3da, 1}};
    gmem_region *io = pci_bus_io(vga->pci.bus);
    int err = 0;

    for (unsigned i = 0; i < sizeof(blocks) / sizeof(blocks[0]) && !err; i++)
        err = pc_place_mmio(io, blocks[i].base, 0, "vga", blocks[i].size, &port_ops,
                            ports_at(vga, i + 1, blocks[i].base), NULL);
    return err ? err : pc_place_mmio(io, DISPI_PORT, 0, "vbe", 4, &dispi_port_ops, vga, NULL);
}

int vga_create(struct pci_bus *bus, const void *option_rom, size_t rom_len, struct vga **ret)
{
    static const struct pci_ids ids = {.vendor = 0x1234, .device = 0x1111, .class_device = 0x0300, .revision = 0x02};
    struct vga *vga;
    int err;

    if (!rom_len || rom_len > VGA_OPTION_ROM_MAX)
        return -EINVAL;
    vga = calloc(1, sizeof(*vga));
    if (!vga)
        return -ENOMEM;
    vga_edid_fill(vga->edid);
    vga->dac_mask = 0xff;
    vga->dispi[DISPI_INDEX_ID] = VGA_DISPI_ID_LAST;
    err = pci_device_init(&vga->pci, bus, PCI_DEVFN(2, 0), "VGA", &ids);
    if (!err)
        err = add_memory_bar(vga);
    if (!err)
        err = add_registers_bar(vga);
    if (!err)
        err = add_rom_bar(vga, option_rom, rom_len);
    if (!err)
        err = place_ports(vga);
    if (err) {
        vga_destroy(vga);
        return err;
    }
    *ret = vga;
    return 0;
}

int vga_place_window(struct vga *vga)
{
    return pc_place_mmio(pci_bus_memory(vga->pci.bus), WINDOW_BASE, 1, "vga-lowmem", WINDOW_SIZE, &vga_mem_ops, vga,
                         NULL);
}

void vga_set_lock(struct vga *vga, pthread_mutex_t *lock)
{
    vga->lock = lock;
}

void vga_destroy(struct vga *vga)
{
    if (!vga)
        return;
    pci_device_fini(&vga->pci);
    gmem_region_unref(vga->vram_region);
    gmem_ram_unref(vga->vram_block);
    free(vga);
}
