/* SPDX-License-Identifier: MIT */
/*
 * QEMU's firmware configuration device: numbered items and named files that the firmware reads by port or by DMA.
 * Interface: QEMU's documentation, docs/specs/fw_cfg.
 */
#ifndef GMEM_PC_FW_CFG_H
#define GMEM_PC_FW_CFG_H

#include <gmem/gmem.h>

struct fw_cfg;

/* Items with a fixed key. Numbers are little-endian. */
#define FW_CFG_SIGNATURE 0x0000u
#define FW_CFG_ID 0x0001u
#define FW_CFG_NOGRAPHIC 0x0004u /* u16 */
#define FW_CFG_NB_CPUS 0x0005u   /* u16: processors present */
#define FW_CFG_NUMA 0x000du      /* u64 count of nodes, a u64 node per processor, a u64 size per node */
#define FW_CFG_BOOT_MENU 0x000eu /* u16 */
#define FW_CFG_MAX_CPUS 0x000fu  /* u16: processors possible */
#define FW_CFG_FILE_DIR 0x0019u
#define FW_CFG_FILE_FIRST 0x0020u
#define FW_CFG_ACPI_TABLES 0x8000u    /* u16 count, then tables */
#define FW_CFG_SMBIOS_ENTRIES 0x8001u /* u16 count, then entries */
#define FW_CFG_IRQ0_OVERRIDE 0x8002u  /* u8 */

#define FW_CFG_NAME_MAX 55u /* characters of a file name */

/*
 * Create the device with its ports 0x510, 0x511 and 0x514 to 0x51b in io. dma_space, on which DMA works, must outlive it.
 * It has the items FW_CFG_SIGNATURE, FW_CFG_ID and FW_CFG_FILE_DIR.
 */
int fw_cfg_create(gmem_vm *vm, gmem_region *io, gmem_space *dma_space, struct fw_cfg **ret) GMEM_MUST_CHECK;

/* End it, before the vm. NULL is allowed. */
void fw_cfg_destroy(struct fw_cfg *fw);

/*
 * Add an item or a file; data is copied. Files get their keys from FW_CFG_FILE_FIRST up by name, so all must be there before the
 * guest looks at the directory.
 *
 * -EINVAL  a key with the write-channel bit (0x4000), of a file or of the directory; a name that is empty or longer than
 *          FW_CFG_NAME_MAX; len is 2^32 or more
 * -EEXIST  the key or name is taken
 * -ENOSPC  no keys are left for files
 * -ENOMEM  out of memory
 */
int fw_cfg_add_bytes(struct fw_cfg *fw, uint16_t key, const void *data, size_t len) GMEM_MUST_CHECK;
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len) GMEM_MUST_CHECK;

#endif
