/* SPDX-License-Identifier: MIT */
/*
 * The items that SeaBIOS 1.16 asks a PC's fw_cfg for, with what it makes of them:
 *
 *   etc/e820            RAM it may use, without which it falls back on the CMOS bytes; and the pages below the firmware that
 *                       KVM keeps for itself, which are reserved
 *   etc/table-loader    empty: no tables come from here, it makes its own. That the file is there moves the power
 *                       management ports from 0xb000 to 0x600
 *   etc/boot-fail-wait  milliseconds until it tries to boot again, all ones for never
 *   etc/reserved-memory-end   where 64-bit BARs may begin; only where memory can be plugged in
 *   NB_CPUS, MAX_CPUS   processors to wait for, and to describe in its tables
 *   IRQ0_OVERRIDE       1: the timer is on pin 2 of the I/O APIC, which its tables then say
 *   NUMA, BOOT_MENU, NOGRAPHIC, ACPI_TABLES, SMBIOS_ENTRIES   none, so no nodes, menu, serial console, extra tables
 *
 * Runs while the machine is built, once.
 */
#include "fw_tables.h"

#include <errno.h>

#define E820_RAM 1u
#define E820_RESERVED 2u
#define E820_ENTRY_SIZE ((size_t)20)
#define FOUR_GIB (UINT64_C(1) << 32)
#define KVM_PAGES 0xfeffc000u /* identity map and task state segment, see kvm_vm.c */
#define KVM_PAGES_SIZE 0x4000u
#define CPUS_MAX 255u

static void put_le(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static int add_number(struct fw_cfg *fw, uint16_t key, uint64_t value, unsigned bytes)
{
    uint8_t data[8];

    put_le(data, value, bytes);
    return fw_cfg_add_bytes(fw, key, data, bytes);
}

static void put_range(uint8_t *entry, uint64_t first, uint64_t size, uint32_t type)
{
    put_le(entry, first, 8);
    put_le(entry + 8, size, 8);
    put_le(entry + 16, type, 4);
}

static int add_e820(struct fw_cfg *fw, uint64_t ram_below_4g, uint64_t ram_above_4g)
{
    uint8_t map[3 * E820_ENTRY_SIZE];
    size_t len = 2 * E820_ENTRY_SIZE;

    put_range(map, KVM_PAGES, KVM_PAGES_SIZE, E820_RESERVED);
    put_range(map + E820_ENTRY_SIZE, 0, ram_below_4g, E820_RAM);
    if (ram_above_4g > 0) {
        put_range(map + len, FOUR_GIB, ram_above_4g, E820_RAM);
        len += E820_ENTRY_SIZE;
    }
    return fw_cfg_add_file(fw, "etc/e820", map, len);
}

static int add_numbers(struct fw_cfg *fw, unsigned cpus)
{
    const struct {
        uint16_t key;
        uint16_t value;
        unsigned bytes;
    } numbers[] = {
        {FW_CFG_NOGRAPHIC, 0, 2},     {FW_CFG_NB_CPUS, (uint16_t)cpus, 2},
        {FW_CFG_BOOT_MENU, 0, 2},     {FW_CFG_MAX_CPUS, (uint16_t)cpus, 2},
        {FW_CFG_ACPI_TABLES, 0, 2},   {FW_CFG_SMBIOS_ENTRIES, 0, 2},
        {FW_CFG_IRQ0_OVERRIDE, 1, 1},
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int err = add_number(fw, numbers[i].key, numbers[i].value, numbers[i].bytes);

        if (err != 0)
            return err;
    }
    return 0;
}

int fw_tables_add(struct fw_cfg *fw, uint64_t ram_below_4g, uint64_t ram_above_4g, unsigned cpus)
{
    static const uint8_t boot_fail_wait[4] = {0xff, 0xff, 0xff, 0xff};
    static const uint8_t numa[8 * (1 + CPUS_MAX)] = {0}; /* no nodes, and each processor in the first */
    int err;

    if (cpus < 1 || cpus > CPUS_MAX)
        return -EINVAL;
    err = add_numbers(fw, cpus);
    if (err == 0)
        err = fw_cfg_add_bytes(fw, FW_CFG_NUMA, numa, 8 * (1 + (size_t)cpus));
    if (err == 0)
        err = add_e820(fw, ram_below_4g, ram_above_4g);
    if (err == 0)
        err = fw_cfg_add_file(fw, "etc/table-loader", NULL, 0);
    if (err == 0)
        err = fw_cfg_add_file(fw, "etc/boot-fail-wait", boot_fail_wait, sizeof(boot_fail_wait));
    return err;
}

int fw_tables_add_reserved_end(struct fw_cfg *fw, uint64_t end)
{
    uint8_t data[8];

    put_le(data, end, sizeof(data));
    return fw_cfg_add_file(fw, "etc/reserved-memory-end", data, sizeof(data));
}
