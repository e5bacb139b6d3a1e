/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-exits.c - gmem_kvm_handle_exit() on kvm_run pages written by hand, as the kernel would fill them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include <gmem/gmem.h>
#include <gmem/kvm.h>

#define DATA 4096u /* where the kernel puts a port exit's data */

/* A device that writes down every access and answers with a running number. */
struct device {
    struct {
        bool is_write;
        uint64_t offset;
        unsigned size;
        uint64_t value;
        uint16_t requester;
    } seen[2048];
    unsigned count;
    uint64_t answer;
};

struct fixture {
    gmem_vm *vm;
    gmem_space *memory, *ports;
    gmem_region *ram;
    struct device device, port;
    union {
        struct kvm_run run;
        uint8_t bytes[2 * DATA];
    } * exit;
};

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;

    *ret_value = device->answer++;
    if (device->count < 2048) {
        device->seen[device->count].offset = offset;
        device->seen[device->count].size = size;
        device->seen[device->count].requester = attrs.requester;
        device->seen[device->count++].is_write = false;
    }
    return offset == 0x70 ? GMEM_RESULT_DEVICE : GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    if (device->count < 2048) {
        device->seen[device->count].offset = offset;
        device->seen[device->count].size = size;
        device->seen[device->count].requester = attrs.requester;
        device->seen[device->count].value = value;
        device->seen[device->count++].is_write = true;
    }
    return GMEM_OK;
}

static const struct gmem_mmio_ops ops = {.read = device_read,
                                         .write = device_write,
                                         .endian = GMEM_ENDIAN_LITTLE,
                                         .valid = {.unaligned = true},
                                         .impl = {.unaligned = true}};

static int setup(void **state)
{
    static const struct gmem_space_options ones = {.struct_size = sizeof(ones), .unassigned_ones = true};
    struct fixture *f = calloc(1, sizeof(*f));
    gmem_region *system, *io, *device, *port;
    gmem_ram *ram;

    assert_non_null(f);
    f->exit = calloc(1, sizeof(*f->exit));
    assert_non_null(f->exit);
    assert_int_equal(gmem_vm_create(NULL, &f->vm), 0);
    assert_int_equal(gmem_ram_create_anon(f->vm, "ram", 0x10000, &ram), 0);
    assert_int_equal(gmem_region_create_container(f->vm, "system", GMEM_SIZE_ALL, NULL, &system), 0);
    assert_int_equal(gmem_region_create_container(f->vm, "io", GMEM_SIZE(0x10000), NULL, &io), 0);
    assert_int_equal(gmem_region_create_ram(f->vm, "ram", ram, NULL, &f->ram), 0);
    assert_int_equal(gmem_region_create_mmio(f->vm, "device", GMEM_SIZE(0x100), &ops, &f->device, NULL, &device), 0);
    assert_int_equal(gmem_region_create_mmio(f->vm, "port", GMEM_SIZE(0x100), &ops, &f->port, NULL, &port), 0);
    assert_int_equal(gmem_region_add(system, 0, f->ram), 0);
    assert_int_equal(gmem_region_add(system, 0xd0000000, device), 0);
    assert_int_equal(gmem_region_add(io, 0x300, port), 0);
    assert_int_equal(gmem_space_create(f->vm, "memory", system, &ones, &f->memory), 0);
    assert_int_equal(gmem_space_create(f->vm, "I/O", io, &ones, &f->ports), 0);
    gmem_ram_unref(ram);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gmem_vm_destroy(f->vm);
    free(f->exit);
    free(f);
    return 0;
}

static struct gmem_attrs attrs(void)
{
    struct gmem_attrs attrs = GMEM_ATTRS_NONE;

    attrs.requester = 7;
    return attrs;
}

static int handle(struct fixture *f, gmem_result *ret_result)
{
    return gmem_kvm_handle_exit(f->memory, f->ports, &f->exit->run, attrs(), ret_result);
}

static void mmio(struct fixture *f, uint64_t addr, uint32_t len, bool is_write)
{
    f->exit->run.exit_reason = KVM_EXIT_MMIO;
    f->exit->run.mmio.phys_addr = addr;
    f->exit->run.mmio.len = len;
    f->exit->run.mmio.is_write = is_write;
}

static void io(struct fixture *f, uint8_t direction, uint8_t size, uint16_t port, uint32_t count)
{
    f->exit->run.exit_reason = KVM_EXIT_IO;
    f->exit->run.io.direction = direction;
    f->exit->run.io.size = size;
    f->exit->run.io.port = port;
    f->exit->run.io.count = count;
    f->exit->run.io.data_offset = DATA;
}

static void test_mmio_write(void **state)
{
    static const uint64_t values[] = {0x88, 0x7788, 0x55667788, 0x1122334455667788};
    struct fixture *f = *state;
    gmem_result result = 99;
    unsigned i;

    for (i = 0; i < 4; i++) {
        mmio(f, 0xd0000010, 1u << i, true);
        memcpy(f->exit->run.mmio.data, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
        assert_int_equal(handle(f, &result), 0);
        assert_int_equal(result, GMEM_OK);
        assert_true(f->device.seen[i].is_write);
        assert_int_equal(f->device.seen[i].offset, 0x10);
        assert_int_equal(f->device.seen[i].size, 1u << i);
        assert_int_equal(f->device.seen[i].value, values[i]);
        assert_int_equal(f->device.seen[i].requester, 7);
    }
    assert_int_equal(f->device.count, 4);
}

static void test_mmio_read(void **state)
{
    struct fixture *f = *state;
    gmem_result result;
    unsigned i;

    for (i = 0; i < 4; i++) {
        static const uint8_t bytes[] = {0xf8, 0xf7, 0xf6, 0xf5, 0xf4, 0xf3, 0xf2, 0xf1};
        uint8_t expected[8];

        mmio(f, 0xd0000020, 1u << i, false);
        memset(f->exit->run.mmio.data, 0xcc, 8);
        f->device.answer = 0xf1f2f3f4f5f6f7f8;
        assert_int_equal(handle(f, &result), 0);
        assert_int_equal(result, GMEM_OK);
        memset(expected, 0xcc, 8); /* beyond the length nothing is touched */
        memcpy(expected, bytes, 1u << i);
        assert_memory_equal(f->exit->run.mmio.data, expected, 8);
    }
}

/* Pieces of RAM that are no slot are served as RAM, any length; also over a seam. */
static void test_mmio_ram(void **state)
{
    struct fixture *f = *state;
    uint8_t *ram = gmem_ram_host(gmem_region_ram(f->ram));
    gmem_result result;

    mmio(f, 0x801, 7, true);
    memcpy(f->exit->run.mmio.data, "seven b", 7);
    assert_int_equal(handle(f, &result), 0);
    assert_int_equal(result, GMEM_OK);
    assert_memory_equal(ram + 0x800, "\0seven b\0", 9);
    memcpy(ram + 0xfffe, "ab", 2);
    mmio(f, 0xfffe, 4, false);
    assert_int_equal(handle(f, &result), 0);
    assert_int_equal(result, GMEM_RESULT_DECODE);
    assert_memory_equal(f->exit->run.mmio.data, "ab\xff\xff", 4);
}

static void test_mmio_nothing(void **state)
{
    struct fixture *f = *state;
    gmem_result result;

    mmio(f, 0xe0000000, 8, false);
    memset(f->exit->run.mmio.data, 0, 8);
    assert_int_equal(handle(f, &result), 0);
    assert_int_equal(result, GMEM_RESULT_DECODE);
    assert_memory_equal(f->exit->run.mmio.data, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    mmio(f, 0xe0000000, 8, true);
    assert_int_equal(handle(f, &result), 0);
    assert_int_equal(result, GMEM_RESULT_DECODE);
    assert_int_equal(handle(f, NULL), 0);
}

static void test_port(void **state)
{
    struct fixture *f = *state;
    gmem_result result;
    unsigned size;

    for (size = 1; size <= 4; size *= 2) {
        f->port.count = 0;
        io(f, KVM_EXIT_IO_OUT, (uint8_t)size, 0x304, 1);
        memcpy(f->exit->bytes + DATA, "\x44\x33\x22\x11", 4);
        assert_int_equal(handle(f, &result), 0);
        assert_int_equal(result, GMEM_OK);
        assert_int_equal(f->port.count, 1);
        assert_true(f->port.seen[0].is_write);
        assert_int_equal(f->port.seen[0].offset, 4);
        assert_int_equal(f->port.seen[0].size, size);
        assert_int_equal(f->port.seen[0].value, 0x11223344 & (UINT64_MAX >> (64 - 8 * size)));
        io(f, KVM_EXIT_IO_IN, (uint8_t)size, 0x304, 1);
        memset(f->exit->bytes + DATA, 0xcc, 8);
        f->port.answer = 0xa1a2a3a4;
        assert_int_equal(handle(f, &result), 0);
        assert_int_equal(result, GMEM_OK);
        assert_memory_equal(f->exit->bytes + DATA, "\xa4\xa3\xa2\xa1", size);
        assert_int_equal(f->exit->bytes[DATA + size], 0xcc);
    }
}

/* rep outs and rep ins: one port, many values. */
static void test_port_string(void **state)
{
    struct fixture *f = *state;
    gmem_result result;
    unsigned i;

    io(f, KVM_EXIT_IO_OUT, 2, 0x300, 3);
    memcpy(f->exit->bytes + DATA, "\x01\x02\x03\x04\x05\x06", 6);
    assert_int_equal(handle(f, &result), 0);
    assert_int_equal(f->port.count, 3);
    for (i = 0; i < 3; i++) {
        assert_int_equal(f->port.seen[i].offset, 0);
        assert_int_equal(f->port.seen[i].size, 2);
        assert_int_equal(f->port.seen[i].value, 0x0201 + i * 0x0202);
    }
    f->port.count = 0;
    f->port.answer = 0;
    io(f, KVM_EXIT_IO_IN, 4, 0x308, 1024); /* all the page there is */
    assert_int_equal(handle(f, &result), 0);
    assert_int_equal(f->port.count, 1024);
    for (i = 0; i < 1024; i++) {
        uint32_t value;

        memcpy(&value, f->exit->bytes + DATA + 4 * i, 4);
        assert_int_equal(value, i);
        assert_int_equal(f->port.seen[i].offset, 8);
    }
}

/* The results of all pieces together; what a failed read leaves behind. */
static void test_port_results(void **state)
{
    struct fixture *f = *state;
    gmem_result result;

    io(f, KVM_EXIT_IO_IN, 1, 0x370, 2);
    assert_int_equal(handle(f, &result), 0);
    assert_int_equal(result, GMEM_RESULT_DEVICE);
    io(f, KVM_EXIT_IO_IN, 2, 0x80, 2);
    memset(f->exit->bytes + DATA, 0, 5);
    assert_int_equal(handle(f, &result), 0);
    assert_int_equal(result, GMEM_RESULT_DECODE);
    assert_memory_equal(f->exit->bytes + DATA, "\xff\xff\xff\xff\0", 5);
    io(f, KVM_EXIT_IO_IN, 4, 0xfffe, 1); /* past the last port */
    assert_int_equal(handle(f, &result), 0);
    assert_int_equal(result, GMEM_RESULT_DECODE);
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    gmem_result result = 99;
    struct kvm_run *run = &f->exit->run;

    f->exit->run.exit_reason = KVM_EXIT_HLT;
    assert_int_equal(handle(f, &result), -ENOTSUP);
    mmio(f, 0xd0000000, 0, true);
    assert_int_equal(handle(f, &result), -EINVAL);
    mmio(f, 0xd0000000, 9, true);
    assert_int_equal(handle(f, &result), -EINVAL);
    io(f, KVM_EXIT_IO_OUT, 3, 0x300, 1);
    assert_int_equal(handle(f, &result), -EINVAL);
    io(f, KVM_EXIT_IO_OUT, 8, 0x300, 1);
    assert_int_equal(handle(f, &result), -EINVAL);
    io(f, 2, 1, 0x300, 1);
    assert_int_equal(handle(f, &result), -EINVAL);
    io(f, KVM_EXIT_IO_OUT, 1, 0x300, 0);
    assert_int_equal(handle(f, &result), -EINVAL);
    io(f, KVM_EXIT_IO_OUT, 4, 0x300, 1025);
    assert_int_equal(handle(f, &result), -EINVAL);
    io(f, KVM_EXIT_IO_OUT, 4, 0x300, UINT32_MAX);
    assert_int_equal(handle(f, &result), -EINVAL);
    io(f, KVM_EXIT_IO_OUT, 1, 0x300, 1);
    f->exit->run.io.data_offset = 8;
    assert_int_equal(handle(f, &result), -EINVAL);
    assert_int_equal(gmem_kvm_handle_exit(NULL, f->ports, run, attrs(), &result), -EINVAL);
    assert_int_equal(gmem_kvm_handle_exit(f->memory, NULL, run, attrs(), &result), -EINVAL);
    assert_int_equal(gmem_kvm_handle_exit(f->memory, f->ports, NULL, attrs(), &result), -EINVAL);
    assert_int_equal(result, 99);
    assert_int_equal(f->port.count + f->device.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mmio_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_ram, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_string, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_results, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
