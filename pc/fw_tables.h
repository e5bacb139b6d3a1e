/* SPDX-License-Identifier: MIT */
/*
 * What this machine tells its firmware through fw_cfg.
 */
#ifndef GMEM_PC_FW_TABLES_H
#define GMEM_PC_FW_TABLES_H

#include "fw_cfg.h"

/*
 * Add the items and files that SeaBIOS reads on a PC of cpus processors with ram_below_4g bytes of RAM from address 0
 * and ram_above_4g (which may be 0) from 4 GiB. ACPI, SMBIOS, MP and PIR tables are left to SeaBIOS, which makes its own
 * where it is given none. 0 or -errno as fw_cfg_add_file(); -EINVAL also for 0 or more than 255 processors.
 */
int fw_tables_add(struct fw_cfg *fw, uint64_t ram_below_4g, uint64_t ram_above_4g, unsigned cpus) GMEM_MUST_CHECK;

/*
 * etc/reserved-memory-end, 8 bytes: SeaBIOS puts 64-bit BARs that do not fit below 4 GiB from there on, above what memory may
 * be plugged into.
 */
int fw_tables_add_reserved_end(struct fw_cfg *fw, uint64_t end) GMEM_MUST_CHECK;

#endif
