/* SPDX-License-Identifier: MIT */
/*
 * The items that SeaBIOS 1.16 asks a PC's fw_cfg for, with what it makes of them:
 *
 *   etc/e820            RAM it may use; without the file it falls back on the CMOS bytes
 *   etc/boot-fail-wait  milliseconds until it tries to boot again, all ones for never
 *   NB_CPUS, MAX_CPUS   processors to wait for, and to describe in its tables
 *   IRQ0_OVERRIDE       1: the timer is on pin 2 of the I/O APIC, which its tables then say
 *   NUMA, BOOT_MENU, NOGRAPHIC, ACPI_TABLES, SMBIOS_ENTRIES   none, so no nodes, menu, serial console, extra tables
 *
 * Runs while the machine is built, once.
 */
#include "fw_tables.h"

#include <errno.h>

#define E820_RAM 1u
#define E820_ENTRY_SIZE 20u
#define FOUR_GIB (UINT64_C(1) << 32)
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

static int add_e820(struct fw_cfg *fw, uint64_t ram_below_4g, uint64_t ram_above_4g)
{
    uint8_t map[2 * E820_ENTRY_SIZE];
    size_t len = E820_ENTRY_SIZE;

    put_le(map, 0, 8);
    put_le(map + 8, ram_below_4g, 8);
    put_le(map + 16, E820_RAM, 4);
    if (ram_above_4g > 0) {
        put_le(map + len, FOUR_GIB, 8);
        put_le(map + len + 8, ram_above_4g, 8);
        put_le(map + len + 16, E820_RAM, 4);
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
        err = fw_cfg_add_file(fw, "etc/boot-fail-wait", boot_fail_wait, sizeof(boot_fail_wait));
    return err;
}
