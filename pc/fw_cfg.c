/* SPDX-License-Identifier: MIT */
/*
 * fw_cfg, as QEMU's docs/specs/fw_cfg describes it for x86.
 *
 * Ports: 0x510 selector (16 bits, little-endian, write only), 0x511 data (8 bits), 0x514 DMA address (64 bits, big-endian;
 * the write of its low half starts an operation). Nothing is writable: writes of the data port are ignored, a DMA write
 * fails.
 *
 * The device's lock covers everything, a whole DMA operation included. What a guest can ask for is bounded (G9): an
 * operation moves at most 4 GiB, ends at the first byte that is not RAM or ROM, so that it never runs a device's
 * callbacks, and allocates nothing.
 */
#include "fw_cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

#define PORT_SELECTOR 0x510u
#define PORT_DMA 0x514u

#define KEY_WRITE_CHANNEL 0x4000u
#define KEY_FILE_LAST 0x3fffu

#define ID_TRADITIONAL 0x01u
#define ID_DMA 0x02u

#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */
#define DMA_ERROR 0x01u
#define DMA_READ 0x02u
#define DMA_SKIP 0x04u
#define DMA_SELECT 0x08u
#define DMA_WRITE 0x10u

/* One access of the space: short enough that other work of the space's reclamation is not held up by it. */
#define DMA_CHUNK (UINT64_C(1) << 20)

#define DIR_ENTRY_SIZE 64u

struct item {
    uint16_t key; /* of a file: unused, its key follows from its place */
    char name[FW_CFG_NAME_MAX + 1];
    uint32_t len;
    uint8_t *data;
};

struct items {
    struct item *item;
    size_t count;
};

struct fw_cfg {
    struct pc_device device;
    gmem_space *dma_space;
    struct items fixed; /* in the order added */
    struct items files; /* by name */

    const struct item *selected; /* NULL: a key without an item, which reads as empty */
    uint64_t offset;             /* of the next byte; may be past the end */
    uint64_t dma_addr;
};

static void put_be16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static void put_be32(uint8_t *to, uint32_t value)
{
    put_be16(to, (uint16_t)(value >> 16));
    put_be16(to + 2, (uint16_t)value);
}

static uint32_t get_be32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* --- items ------------------------------------------------------------------------------------------------------- */

static struct item *find_fixed(const struct fw_cfg *fw, uint16_t key)
{
    for (size_t i = 0; i < fw->fixed.count; i++) {
        if (fw->fixed.item[i].key == key)
            return &fw->fixed.item[i];
    }
    return NULL;
}

static const struct item *find(const struct fw_cfg *fw, uint16_t key)
{
    if (key >= FW_CFG_FILE_FIRST && key - FW_CFG_FILE_FIRST < fw->files.count)
        return &fw->files.item[key - FW_CFG_FILE_FIRST];
    return find_fixed(fw, key);
}

static void fw_select(struct fw_cfg *fw, uint16_t key)
{
    fw->selected = find(fw, (uint16_t)(key & ~KEY_WRITE_CHANNEL));
    fw->offset = 0;
}

/* Put an item with a copy of data into items at index. */
static int insert(struct items *items, size_t index, uint16_t key, const char *name, const void *data, size_t len)
{
    struct item *grown;
    uint8_t *copy;

    if (len > UINT32_MAX)
        return -EINVAL;
    grown = realloc(items->item, (items->count + 1) * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    items->item = grown;
    copy = malloc(len > 0 ? len : 1);
    if (copy == NULL)
        return -ENOMEM;
    if (len > 0)
        memcpy(copy, data, len);
    memmove(&grown[index + 1], &grown[index], (items->count - index) * sizeof(*grown));
    memset(&grown[index], 0, sizeof(grown[index]));
    grown[index].key = key;
    memcpy(grown[index].name, name, strlen(name));
    grown[index].len = (uint32_t)len;
    grown[index].data = copy;
    items->count++;
    return 0;
}

static void fill_directory(const struct fw_cfg *fw, uint8_t *to)
{
    put_be32(to, (uint32_t)fw->files.count);
    to += 4;
    for (size_t i = 0; i < fw->files.count; i++, to += DIR_ENTRY_SIZE) {
        put_be32(to, fw->files.item[i].len);
        put_be16(to + 4, (uint16_t)(FW_CFG_FILE_FIRST + i));
        put_be16(to + 6, 0);
        memcpy(to + 8, fw->files.item[i].name, FW_CFG_NAME_MAX + 1);
    }
}

static int add_fixed(struct fw_cfg *fw, uint16_t key, const void *data, size_t len)
{
    if (find_fixed(fw, key) != NULL)
        return -EEXIST;
    return insert(&fw->fixed, fw->fixed.count, key, "", data, len);
}

static int add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len)
{
    struct item *directory = find_fixed(fw, FW_CFG_FILE_DIR);
    size_t index = 0;
    uint8_t *content;
    int err;

    while (index < fw->files.count && strcmp(fw->files.item[index].name, name) < 0)
        index++;
    if (index < fw->files.count && strcmp(fw->files.item[index].name, name) == 0)
        return -EEXIST;
    if (fw->files.count > KEY_FILE_LAST - FW_CFG_FILE_FIRST)
        return -ENOSPC;
    content = malloc(4 + (fw->files.count + 1) * DIR_ENTRY_SIZE);
    if (content == NULL)
        return -ENOMEM;
    err = insert(&fw->files, index, 0, name, data, len);
    if (err != 0) {
        free(content);
        return err;
    }
    fill_directory(fw, content);
    free(directory->data);
    directory->data = content;
    directory->len = (uint32_t)(4 + fw->files.count * DIR_ENTRY_SIZE);
    return 0;
}

int fw_cfg_add_bytes(struct fw_cfg *fw, uint16_t key, const void *data, size_t len)
{
    int err;

    if ((key & KEY_WRITE_CHANNEL) != 0 || (key >= FW_CFG_FILE_FIRST && key <= KEY_FILE_LAST))
        return -EINVAL;
    pthread_mutex_lock(&fw->device.lock);
    err = add_fixed(fw, key, data, len);
    fw->selected = NULL;
    pthread_mutex_unlock(&fw->device.lock);
    return err;
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len)
{
    int err;

    if (name[0] == '\0' || strnlen(name, FW_CFG_NAME_MAX + 1) > FW_CFG_NAME_MAX)
        return -EINVAL;
    pthread_mutex_lock(&fw->device.lock);
    err = add_file(fw, name, data, len);
    fw->selected = NULL;
    pthread_mutex_unlock(&fw->device.lock);
    return err;
}

/* --- DMA --------------------------------------------------------------------------------------------------------- */

enum transfer { FROM_GUEST, TO_GUEST, ZERO_GUEST };

/* How many of len bytes at addr one access may move: 0 where there is no memory. */
static uint64_t dma_chunk(struct fw_cfg *fw, uint64_t addr, uint64_t len)
{
    struct gmem_section section;
    enum gmem_kind kind;
    uint64_t chunk = 0;

    if (gmem_space_lookup(fw->dma_space, addr, &section) != 0)
        return 0;
    kind = gmem_region_kind(section.region);
    if (kind == GMEM_KIND_RAM || kind == GMEM_KIND_ROM) {
        chunk = len < DMA_CHUNK ? len : DMA_CHUNK;
        if (chunk - 1 > section.last - addr)
            chunk = section.last - addr + 1;
    }
    gmem_section_release(&section);
    return chunk;
}

/* Move len bytes between guest memory at addr and buf (unused for ZERO_GUEST). False where there is no memory. */
static bool dma_transfer(struct fw_cfg *fw, enum transfer transfer, uint64_t addr, uint8_t *buf, uint64_t len)
{
    while (len > 0) {
        uint64_t chunk = dma_chunk(fw, addr, len);
        gmem_result result;

        if (chunk == 0)
            return false;
        if (transfer == ZERO_GUEST)
            result = gmem_space_fill(fw->dma_space, addr, GMEM_ATTRS_NONE, 0, chunk);
        else
            result = gmem_space_rw(fw->dma_space, addr, GMEM_ATTRS_NONE, buf, chunk, transfer == TO_GUEST);
        if (result != GMEM_OK)
            return false;
        len -= chunk;
        addr += chunk;
        if (addr == 0 && len > 0)
            return false;
        if (transfer != ZERO_GUEST)
            buf += chunk;
    }
    return true;
}

/* Copy the next len bytes of the selected item to the guest, zeros past its end. */
static bool dma_read(struct fw_cfg *fw, uint64_t addr, uint32_t len)
{
    uint64_t have = 0;

    if (fw->selected != NULL && fw->offset < fw->selected->len)
        have = fw->selected->len - fw->offset;
    if (have > len)
        have = len;
    if (have > 0 && !dma_transfer(fw, TO_GUEST, addr, fw->selected->data + fw->offset, have))
        return false;
    fw->offset += len;
    if (have == len)
        return true;
    return addr + have >= addr && dma_transfer(fw, ZERO_GUEST, addr + have, NULL, len - have);
}

static void dma_run(struct fw_cfg *fw, uint64_t request)
{
    uint8_t access[16]; /* control, length, address; big-endian */
    uint32_t control, length;
    uint64_t addr;
    bool ok = true;

    /* Where there is no memory for the request there is none for an answer either. */
    if (!dma_transfer(fw, FROM_GUEST, request, access, sizeof(access)))
        return;
    control = get_be32(access);
    length = get_be32(access + 4);
    addr = (uint64_t)get_be32(access + 8) << 32 | get_be32(access + 12);

    if ((control & DMA_SELECT) != 0)
        fw_select(fw, (uint16_t)(control >> 16));
    if ((control & DMA_READ) != 0)
        ok = dma_read(fw, addr, length);
    else if ((control & DMA_WRITE) != 0)
        ok = false;
    else if ((control & DMA_SKIP) != 0)
        fw->offset += length;
    /* Beyond the largest item all offsets are alike; so the sum of guest lengths can't wrap. */
    if (fw->offset > UINT32_MAX)
        fw->offset = UINT32_MAX;

    put_be32(access, ok ? 0 : DMA_ERROR);
    (void)dma_transfer(fw, TO_GUEST, request, access, 4);
}

/* --- ports ------------------------------------------------------------------------------------------------------- */

static bool port_accepts(void *opaque, uint64_t offset, unsigned size, bool is_write, struct gmem_attrs attrs)
{
    (void)opaque;
    (void)attrs;
    if (offset == 0)
        return is_write && size == 2;
    return size == 1;
}

static gmem_result port_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    struct fw_cfg *fw = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&fw->device.lock);
    if (fw->selected != NULL && fw->offset < fw->selected->len)
        *ret_value = fw->selected->data[fw->offset++];
    pthread_mutex_unlock(&fw->device.lock);
    return GMEM_OK;
}

static gmem_result port_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct fw_cfg *fw = opaque;

    (void)size;
    (void)attrs;
    if (offset != 0)
        return GMEM_OK;
    pthread_mutex_lock(&fw->device.lock);
    fw_select(fw, (uint16_t)value);
    pthread_mutex_unlock(&fw->device.lock);
    return GMEM_OK;
}

static const struct gmem_mmio_ops port_ops = {
    .read = port_read,
    .write = port_write,
    .endian = GMEM_ENDIAN_LITTLE,
    .valid = {.min = 1, .max = 2, .accepts = port_accepts},
    .impl = {.min = 1, .max = 2},
};

static bool dma_accepts(void *opaque, uint64_t offset, unsigned size, bool is_write, struct gmem_attrs attrs)
{
    (void)opaque;
    (void)offset;
    (void)attrs;
    return !is_write || size >= 4;
}

static gmem_result dma_port_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                 uint64_t *ret_value)
{
    (void)opaque;
    (void)attrs;
    *ret_value = DMA_SIGNATURE >> (8 * (8 - offset - size));
    if (size < 8)
        *ret_value &= (UINT64_C(1) << (8 * size)) - 1;
    return GMEM_OK;
}

static gmem_result dma_port_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct fw_cfg *fw = opaque;

    (void)attrs;
    pthread_mutex_lock(&fw->device.lock);
    if (size == 8) {
        fw->dma_addr = value;
    } else if (offset == 0) {
        fw->dma_addr = value << 32;
    } else {
        fw->dma_addr |= value;
    }
    if (size == 8 || offset == 4) {
        uint64_t request = fw->dma_addr;

        fw->dma_addr = 0;
        dma_run(fw, request);
    }
    pthread_mutex_unlock(&fw->device.lock);
    return GMEM_OK;
}

static const struct gmem_mmio_ops dma_ops = {
    .read = dma_port_read,
    .write = dma_port_write,
    .endian = GMEM_ENDIAN_BIG,
    .valid = {.min = 1, .max = 8, .accepts = dma_accepts},
    .impl = {.min = 1, .max = 8},
};

/* --- life -------------------------------------------------------------------------------------------------------- */

static void release_items(struct items *items)
{
    for (size_t i = 0; i < items->count; i++)
        free(items->item[i].data);
    free(items->item);
}

static void fw_cfg_release(struct pc_device *device)
{
    struct fw_cfg *fw = (struct fw_cfg *)device;

    release_items(&fw->fixed);
    release_items(&fw->files);
}

static int fw_cfg_setup(struct fw_cfg *fw, gmem_region *io)
{
    static const uint8_t signature[] = {'Q', 'E', 'M', 'U'};
    static const uint8_t id[] = {ID_TRADITIONAL | ID_DMA, 0, 0, 0};
    static const uint8_t no_files[4] = {0};
    int err;

    err = fw_cfg_add_bytes(fw, FW_CFG_SIGNATURE, signature, sizeof(signature));
    if (err == 0)
        err = fw_cfg_add_bytes(fw, FW_CFG_ID, id, sizeof(id));
    if (err == 0)
        err = fw_cfg_add_bytes(fw, FW_CFG_FILE_DIR, no_files, sizeof(no_files));
    if (err == 0)
        err = pc_device_add(&fw->device, io, PORT_SELECTOR, "fwcfg", 2, &port_ops, NULL);
    if (err == 0)
        err = pc_device_add(&fw->device, io, PORT_DMA, "fwcfg.dma", 8, &dma_ops, NULL);
    return err;
}

int fw_cfg_create(gmem_vm *vm, gmem_region *io, gmem_space *dma_space, struct fw_cfg **ret)
{
    struct fw_cfg *fw = calloc(1, sizeof(*fw));
    int err;

    if (fw == NULL)
        return -ENOMEM;
    err = pc_device_init(&fw->device, vm, fw_cfg_release);
    if (err != 0) {
        free(fw);
        return err;
    }
    fw->dma_space = dma_space;
    err = fw_cfg_setup(fw, io);
    if (err != 0) {
        fw_cfg_destroy(fw);
        return err;
    }
    *ret = fw;
    return 0;
}

void fw_cfg_destroy(struct fw_cfg *fw)
{
    if (fw != NULL)
        pc_device_end(&fw->device);
}
