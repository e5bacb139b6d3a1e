/* SPDX-License-Identifier: MIT */
/*
 * mmio-device.c - a small device behind callbacks, and a guest that reads and writes its registers.
 * pkg-config: gmem
 *
 * The device is big-endian, the guest little-endian. It has a 16-bit counter at 0, a 16-bit control register at 2 and a
 * read-only 32-bit identity at 4. Its bus takes accesses of 1 to 4 aligned bytes, but its callbacks are written for 2 bytes
 * only; the library cuts wider accesses and builds narrower ones. Exit status 0 means that every access gave what the
 * comments say.
 */
#include <gmem/gmem.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BASE 0xfe000000u
#define IDENTITY 0x676d656du /* "gmem" */

struct device {
    uint16_t counter;
    uint16_t control;
    unsigned calls; /* how often a callback ran */
};

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;

    (void)size, (void)attrs; /* impl below says that size is always 2 */
    device->calls++;
    switch (offset) {
    case 0:
        *ret_value = device->counter;
        return GMEM_OK;
    case 2:
        *ret_value = device->control;
        return GMEM_OK;
    case 4:
        *ret_value = IDENTITY >> 16; /* the first bytes of a big-endian number are the high ones */
        return GMEM_OK;
    case 6:
        *ret_value = IDENTITY & 0xffff;
        return GMEM_OK;
    default:
        return GMEM_RESULT_DEVICE;
    }
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    (void)size, (void)attrs;
    device->calls++;
    switch (offset) {
    case 0:
        device->counter = (uint16_t)value;
        return GMEM_OK;
    case 2:
        device->control = (uint16_t)value;
        return GMEM_OK;
    default:
        return GMEM_RESULT_DEVICE; /* the identity can't be written */
    }
}

static const struct gmem_mmio_ops device_ops = {
    .read = device_read,
    .write = device_write,
    .endian = GMEM_ENDIAN_BIG,
    .valid = {.min = 1, .max = 4},
    .impl = {.min = 2, .max = 2},
};

static int failures;

static void must(int err)
{
    if (err != 0) {
        fprintf(stderr, "mmio-device: %s\n", gmem_strerror(err));
        exit(1);
    }
}

static void expect(const char *what, uint64_t got, uint64_t wanted)
{
    printf("%-52s 0x%" PRIx64 "%s\n", what, got, got == wanted ? "" : "  WRONG");
    failures += got != wanted;
}

static void guest(gmem_space *space, struct device *device)
{
    const struct gmem_attrs cpu = GMEM_ATTRS_NONE;
    uint32_t word = 0;
    uint8_t byte = 0;
    gmem_result result;

    /* Two callbacks of 2 bytes serve one load of 4. In the device's own order the bytes spell "gmem". */
    result = gmem_ld32_be(space, BASE + 4, cpu, &word);
    expect("result of a 4-byte load of the identity", result, GMEM_OK);
    expect("the identity in the device's byte order", word, IDENTITY);
    expect("callbacks it took", device->calls, 2);

    /* A little-endian guest sees the same four bytes as another number. */
    result = gmem_ld32_native(space, BASE + 4, cpu, &word);
    expect("result in the guest's order", result, GMEM_OK);
    expect("the identity in the guest's byte order", word, 0x6d656d67);

    /* One byte of a 2-byte register: the library reads the register, changes the byte and writes it back. */
    result = gmem_st16_be(space, BASE, cpu, 0x1122);
    expect("result of storing the counter", result, GMEM_OK);
    result = gmem_st8(space, BASE + 1, cpu, 0x33);
    expect("result of storing its low byte", result, GMEM_OK);
    expect("the counter", device->counter, 0x1133);
    result = gmem_ld8(space, BASE, cpu, &byte);
    expect("result of loading its high byte", result, GMEM_OK);
    expect("its high byte", byte, 0x11);

    result = gmem_st16_be(space, BASE + 4, cpu, 0);
    expect("result of storing to the identity", result, GMEM_RESULT_DEVICE);
    result = gmem_ld32_le(space, BASE + 8, cpu, &word);
    expect("result of a load behind the device", result, GMEM_RESULT_DECODE);
    expect("what that load gives", word, 0xffffffff);
}

int main(void)
{
    struct device device = {0};
    const struct gmem_vm_options vm_options = {.struct_size = sizeof(vm_options), .endian = GMEM_ENDIAN_LITTLE};
    const struct gmem_space_options space_options = {.struct_size = sizeof(space_options), .unassigned_ones = true};
    gmem_vm *vm;
    gmem_region *system, *registers;
    gmem_space *space;

    must(gmem_vm_create(&vm_options, &vm));
    must(gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &system));
    must(gmem_region_create_mmio(vm, "registers", GMEM_SIZE(8), &device_ops, &device, NULL, &registers));
    must(gmem_region_add(system, BASE, registers));
    must(gmem_space_create(vm, "memory", system, &space_options, &space));

    guest(space, &device);
    gmem_vm_destroy(vm);
    return failures == 0 ? 0 : 1;
}
