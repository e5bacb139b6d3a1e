/* SPDX-License-Identifier: MIT */
/*
 * The debug console port. No state but where its bytes go; the device's lock keeps them in order.
 */
#include "debugcon.h"

#include <errno.h>
#include <stdlib.h>

#define PRESENT 0xe9u

struct debugcon {
    struct pc_device device;
    struct pc_sink output;
};

static gmem_result port_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    *ret_value = PRESENT;
    return GMEM_OK;
}

static gmem_result port_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct debugcon *debugcon = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&debugcon->device.lock);
    if (debugcon->output.put != NULL)
        debugcon->output.put(debugcon->output.opaque, (uint8_t)value);
    pthread_mutex_unlock(&debugcon->device.lock);
    return GMEM_OK;
}

static const struct gmem_mmio_ops port_ops = {
    .read = port_read,
    .write = port_write,
    .endian = GMEM_ENDIAN_LITTLE,
    .valid = {.min = 1, .max = 1},
    .impl = {.min = 1, .max = 1},
};

int debugcon_create(gmem_vm *vm, gmem_region *io, uint16_t port, struct pc_sink output, struct debugcon **ret)
{
    struct debugcon *debugcon = calloc(1, sizeof(*debugcon));
    int err;

    if (debugcon == NULL)
        return -ENOMEM;
    err = pc_device_init(&debugcon->device, vm, NULL);
    if (err != 0) {
        free(debugcon);
        return err;
    }
    debugcon->output = output;
    err = pc_device_add(&debugcon->device, io, port, "isa-debugcon", 1, &port_ops, NULL);
    if (err != 0) {
        debugcon_destroy(debugcon);
        return err;
    }
    *ret = debugcon;
    return 0;
}

void debugcon_destroy(struct debugcon *debugcon)
{
    if (debugcon != NULL)
        pc_device_end(&debugcon->device);
}
