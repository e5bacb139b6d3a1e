/* SPDX-License-Identifier: MIT */
/* fw_cfg and the items for SeaBIOS, through its ports and DMA, as firmware uses them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fw_cfg.h"
#include "fw_tables.h"
#include "pc-ports.h"

#define ERROR 0x01u
#define READ 0x02u
#define SKIP 0x04u
#define SELECT(key) (0x08u | (uint32_t)(key) << 16)
#define WRITE 0x10u

#define REQUEST 0x100u /* where the tests put a DMA request */

static const uint8_t greeting[] = "hello, firmware";

struct fixture {
    struct ports ports;
    struct fw_cfg *fw;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ports_open(&f->ports);
    assert_int_equal(fw_cfg_create(f->ports.vm, f->ports.io, f->ports.memory, &f->fw), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fw_cfg_destroy(f->fw);
    ports_close(&f->ports);
    free(f);
    return 0;
}

static void select_key(struct fixture *f, uint16_t key)
{
    assert_int_equal(gmem_st16_le(f->ports.space, 0x510, GMEM_ATTRS_NONE, key), GMEM_OK);
}

static void read_port(struct fixture *f, uint16_t key, void *to, size_t len)
{
    select_key(f, key);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)to)[i] = inb(&f->ports, 0x511);
}

static void put_request(struct fixture *f, uint64_t at, uint32_t control, uint32_t length, uint64_t addr)
{
    assert_int_equal(gmem_st32_be(f->ports.memory, at, GMEM_ATTRS_NONE, control), GMEM_OK);
    assert_int_equal(gmem_st32_be(f->ports.memory, at + 4, GMEM_ATTRS_NONE, length), GMEM_OK);
    assert_int_equal(gmem_st64_be(f->ports.memory, at + 8, GMEM_ATTRS_NONE, addr), GMEM_OK);
}

/* One DMA operation; returns the control word it leaves. */
static uint32_t dma(struct fixture *f, uint32_t control, uint32_t length, uint64_t addr)
{
    uint32_t after;

    put_request(f, REQUEST, control, length, addr);
    assert_int_equal(gmem_st32_be(f->ports.space, 0x518, GMEM_ATTRS_NONE, REQUEST), GMEM_OK);
    assert_int_equal(gmem_ld32_be(f->ports.memory, REQUEST, GMEM_ATTRS_NONE, &after), GMEM_OK);
    return after;
}

static void assert_memory(struct fixture *f, uint64_t addr, const void *expected, size_t len)
{
    uint8_t *found = malloc(len);

    assert_non_null(found);
    assert_int_equal(gmem_space_read(f->ports.memory, addr, GMEM_ATTRS_NONE, found, len), GMEM_OK);
    assert_memory_equal(found, expected, len);
    free(found);
}

static void fill_memory(struct fixture *f, uint64_t addr, uint8_t value, uint64_t len)
{
    assert_int_equal(gmem_space_fill(f->ports.memory, addr, GMEM_ATTRS_NONE, value, len), GMEM_OK);
}

static void test_presence(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[6];
    uint64_t signature;

    assert_port(&f->ports, 0x510, "fwcfg");
    assert_port(&f->ports, 0x511, "fwcfg");
    assert_port(&f->ports, 0x514, "fwcfg.dma");
    assert_port(&f->ports, 0x51b, "fwcfg.dma");
    read_port(f, FW_CFG_SIGNATURE, bytes, 6);
    assert_memory_equal(bytes, "QEMU\0\0", 6);
    read_port(f, FW_CFG_ID, bytes, 4);
    assert_memory_equal(bytes, "\3\0\0\0", 4);
    assert_int_equal(gmem_ld64_be(f->ports.space, 0x514, GMEM_ATTRS_NONE, &signature), GMEM_OK);
    assert_true(signature == UINT64_C(0x51454d5520434647));
    assert_int_equal(gmem_space_read(f->ports.space, 0x517, GMEM_ATTRS_NONE, bytes, 3), GMEM_OK);
    assert_memory_equal(bytes, "U C", 3);
}

static void test_port_widths(void **state)
{
    struct fixture *f = *state;
    uint8_t byte;
    uint16_t word;

    /* The selector is written, 16 bits at a time; the data port gives bytes. */
    assert_int_equal(gmem_st8(f->ports.space, 0x510, GMEM_ATTRS_NONE, 1), GMEM_RESULT_REFUSED);
    assert_int_equal(gmem_ld8(f->ports.space, 0x510, GMEM_ATTRS_NONE, &byte), GMEM_RESULT_REFUSED);
    assert_int_equal(gmem_ld16_le(f->ports.space, 0x510, GMEM_ATTRS_NONE, &word), GMEM_RESULT_REFUSED);
    assert_int_equal(gmem_st16_le(f->ports.space, 0x518, GMEM_ATTRS_NONE, REQUEST), GMEM_RESULT_REFUSED);
}

static void test_items(void **state)
{
    struct fixture *f = *state;
    char bytes[sizeof(greeting) + 2];

    assert_int_equal(fw_cfg_add_bytes(f->fw, 0x8005, greeting, sizeof(greeting)), 0);
    read_port(f, 0x8005, bytes, sizeof(bytes));
    assert_memory_equal(bytes, greeting, sizeof(greeting));
    assert_int_equal(bytes[sizeof(greeting)], 0);

    /* Writing the data port changes nothing; the write channel's bit selects the same item. */
    select_key(f, 0x8005 | 0x4000);
    outb(&f->ports, 0x511, 'X');
    read_port(f, 0x8005 | 0x4000, bytes, 2);
    assert_memory_equal(bytes, greeting, 2);

    /* Nothing there. */
    read_port(f, 0x0123, bytes, 2);
    assert_memory_equal(bytes, "\0\0", 2);
    read_port(f, 0x3fff, bytes, 2);
    assert_memory_equal(bytes, "\0\0", 2);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    char name[FW_CFG_NAME_MAX + 2];

    assert_int_equal(fw_cfg_add_bytes(f->fw, FW_CFG_ID, "x", 1), -EEXIST);
    assert_int_equal(fw_cfg_add_bytes(f->fw, 0x4005, "x", 1), -EINVAL);
    assert_int_equal(fw_cfg_add_bytes(f->fw, 0x0020, "x", 1), -EINVAL);
    assert_int_equal(fw_cfg_add_file(f->fw, "", "x", 1), -EINVAL);
    memset(name, 'n', sizeof(name));
    name[FW_CFG_NAME_MAX + 1] = '\0';
    assert_int_equal(fw_cfg_add_file(f->fw, name, "x", 1), -EINVAL);
    assert_int_equal(fw_cfg_add_file(f->fw, name + 1, "x", 1), 0);
    assert_int_equal(fw_cfg_add_file(f->fw, name + 1, "y", 1), -EEXIST);
}

static void test_files(void **state)
{
    static const char *const names[] = {"etc/e820", "bootorder", "opt/zz", "etc/e8"};
    static const char *const sorted[] = {"bootorder", "etc/e8", "etc/e820", "opt/zz"};
    struct fixture *f = *state;
    uint8_t directory[4 + 4 * 64];

    read_port(f, FW_CFG_FILE_DIR, directory, 8);
    assert_memory_equal(directory, "\0\0\0\0\0\0\0\0", 8);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(fw_cfg_add_file(f->fw, names[i], names[i], strlen(names[i])), 0);
    read_port(f, FW_CFG_FILE_DIR, directory, sizeof(directory));
    assert_memory_equal(directory, "\0\0\0\4", 4);
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *entry = directory + 4 + 64 * i;
        const uint8_t head[8] = {0, 0, 0, (uint8_t)strlen(sorted[i]), 0, (uint8_t)(0x20 + i), 0, 0};
        char content[16] = "";

        assert_memory_equal(entry, head, sizeof(head));
        assert_string_equal((const char *)entry + 8, sorted[i]);
        read_port(f, (uint16_t)(0x20 + i), content, strlen(sorted[i]));
        assert_string_equal(content, sorted[i]);
    }
}

static void test_dma_read(void **state)
{
    struct fixture *f = *state;
    uint8_t zeros[8] = {0};

    assert_int_equal(fw_cfg_add_file(f->fw, "greeting", greeting, sizeof(greeting)), 0);
    fill_memory(f, 0x2000, 0xee, 64);

    /* In two parts, then past the end, which reads as zero. */
    assert_int_equal(dma(f, SELECT(0x20) | READ, 5, 0x2000), 0);
    assert_int_equal(dma(f, READ, sizeof(greeting) - 5, 0x2005), 0);
    assert_memory(f, 0x2000, greeting, sizeof(greeting));
    assert_int_equal(dma(f, READ, 8, 0x2020), 0);
    assert_memory(f, 0x2020, zeros, 8);
    assert_memory(f, 0x2028, "\xee", 1);

    /* Across the end in one. */
    fill_memory(f, 0x2000, 0xee, 64);
    assert_int_equal(dma(f, SELECT(0x20) | READ, sizeof(greeting) + 8, 0x2000), 0);
    assert_memory(f, 0x2000, greeting, sizeof(greeting));
    assert_memory(f, 0x2000 + sizeof(greeting), zeros, 8);
    assert_memory(f, 0x2000 + sizeof(greeting) + 8, "\xee", 1);
}

static void test_dma_skip_and_select(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fw_cfg_add_file(f->fw, "greeting", greeting, sizeof(greeting)), 0);
    assert_int_equal(dma(f, SELECT(0x20) | SKIP, 7, 0), 0);
    assert_int_equal(inb(&f->ports, 0x511), greeting[7]); /* both interfaces have one selection */
    assert_int_equal(dma(f, READ, 2, 0x2000), 0);
    assert_memory(f, 0x2000, greeting + 8, 2);
    assert_int_equal(dma(f, SELECT(0), 0, 0), 0);
    assert_int_equal(inb(&f->ports, 0x511), 'Q');
    assert_int_equal(dma(f, SELECT(0x20), 100, 0), 0); /* no operation asked for */
    assert_int_equal(inb(&f->ports, 0x511), greeting[0]);

    /* Skipping on and on stays past the end. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(dma(f, SKIP, UINT32_MAX, 0), 0);
    assert_int_equal(inb(&f->ports, 0x511), 0);
    assert_int_equal(dma(f, READ, 1, 0x2000), 0);
    assert_memory(f, 0x2000, "\0", 1);
}

static void test_dma_address_register(void **state)
{
    struct fixture *f = *state;
    uint64_t signature;

    assert_int_equal(fw_cfg_add_file(f->fw, "greeting", greeting, sizeof(greeting)), 0);
    put_request(f, REQUEST, SELECT(0x20) | READ, 4, 0x2000);
    assert_int_equal(gmem_st64_be(f->ports.space, 0x514, GMEM_ATTRS_NONE, REQUEST), GMEM_OK);
    assert_memory(f, REQUEST, "\0\0\0\0", 4);
    assert_memory(f, 0x2000, greeting, 4);

    /* The high half counts once: here it points where nothing is, so that the request stays as it was. */
    put_request(f, REQUEST, SELECT(0x20) | READ, 4, 0x2010);
    assert_int_equal(gmem_st32_be(f->ports.space, 0x514, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(gmem_st32_be(f->ports.space, 0x518, GMEM_ATTRS_NONE, REQUEST), GMEM_OK);
    assert_memory(f, REQUEST, "\0\x20\0\x0a", 4);
    assert_int_equal(gmem_st32_be(f->ports.space, 0x518, GMEM_ATTRS_NONE, REQUEST), GMEM_OK);
    assert_memory(f, REQUEST, "\0\0\0\0", 4);
    assert_memory(f, 0x2010, greeting, 4);
    assert_int_equal(gmem_ld64_be(f->ports.space, 0x514, GMEM_ATTRS_NONE, &signature), GMEM_OK);
    assert_true(signature == UINT64_C(0x51454d5520434647));
}

static void test_dma_errors(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fw_cfg_add_file(f->fw, "greeting", greeting, sizeof(greeting)), 0);
    assert_int_equal(dma(f, SELECT(0x20) | WRITE, 4, 0x2000), ERROR);
    /* Over the end of RAM: what fits is copied. */
    assert_int_equal(dma(f, SELECT(0x20) | READ, 8, PC_RAM_SIZE - 4), ERROR);
    assert_memory(f, PC_RAM_SIZE - 4, greeting, 4);
    assert_int_equal(dma(f, SELECT(0x20) | READ, 4, UINT64_MAX - 1), ERROR);
    assert_int_equal(dma(f, SELECT(0x20) | READ, 4, UINT64_C(1) << 40), ERROR);
    /* A request where there is no memory, or only half of it, is dropped. */
    assert_int_equal(gmem_st32_be(f->ports.space, 0x518, GMEM_ATTRS_NONE, (uint32_t)PC_RAM_SIZE), GMEM_OK);
    assert_int_equal(gmem_st32_be(f->ports.space, 0x518, GMEM_ATTRS_NONE, (uint32_t)PC_RAM_SIZE - 8), GMEM_OK);
    assert_int_equal(dma(f, SELECT(0) | READ, 4, 0x2000), 0);
    assert_memory(f, 0x2000, "QEMU", 4);
}

/* G9: 4 GiB of zeros are asked for; they end where RAM does. */
static void test_dma_huge(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zeros[64];

    fill_memory(f, 0x2000, 0xee, PC_RAM_SIZE - 0x2000);
    assert_int_equal(dma(f, SELECT(0x0123) | READ, UINT32_MAX, 0x2000), ERROR);
    assert_memory(f, 0x2000, zeros, sizeof(zeros));
    assert_memory(f, PC_RAM_SIZE - 64, zeros, sizeof(zeros));
}

static gmem_result register_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                                 uint64_t *ret_value)
{
    (void)offset, (void)size, (void)attrs, (void)ret_value;
    ++*(unsigned *)opaque;
    return GMEM_OK;
}

static gmem_result register_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)offset, (void)size, (void)attrs, (void)value;
    ++*(unsigned *)opaque;
    return GMEM_OK;
}

/* G9: DMA does not reach devices, not even this one placed in memory. */
static void test_dma_into_device(void **state)
{
    static const struct gmem_mmio_ops ops = {.read = register_read, .write = register_write};
    struct fixture *f = *state;
    gmem_region *device, *ports;
    unsigned calls = 0;

    assert_int_equal(gmem_region_create_mmio(f->ports.vm, "device", gmem_size_of(0x1000), &ops, &calls, NULL, &device),
                     0);
    assert_int_equal(gmem_region_add_priority(f->ports.system, 0x3000, device, 1), 0);
    assert_int_equal(
        gmem_region_create_alias(f->ports.vm, "ports", f->ports.io, 0, gmem_size_of(0x10000), NULL, &ports), 0);
    assert_int_equal(gmem_region_add(f->ports.system, 0x200000, ports), 0);
    assert_int_equal(dma(f, SELECT(0) | READ, 0x1010, 0x2ff8), ERROR);
    assert_int_equal(dma(f, SELECT(0) | READ, 8, 0x200514), ERROR);
    assert_int_equal(gmem_st32_be(f->ports.space, 0x518, GMEM_ATTRS_NONE, 0x3000), GMEM_OK);
    assert_int_equal(calls, 0);
    gmem_region_unref(device);
    gmem_region_unref(ports);
}

static uint64_t get_le(const uint8_t *from, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = bytes; i > 0; i--)
        value = value << 8 | from[i - 1];
    return value;
}

/* Find a file as firmware does; returns its key and size. */
static uint16_t find_file(struct fixture *f, const char *name, uint32_t *ret_size)
{
    uint8_t directory[4 + 32 * 64];

    read_port(f, FW_CFG_FILE_DIR, directory, sizeof(directory));
    assert_true(directory[3] <= 32);
    for (size_t i = 0; i < directory[3]; i++) {
        const uint8_t *entry = directory + 4 + 64 * i;

        if (strcmp((const char *)entry + 8, name) == 0) {
            *ret_size = (uint32_t)entry[2] << 8 | entry[3];
            return (uint16_t)(entry[4] << 8 | entry[5]);
        }
    }
    fail_msg("no file %s", name);
    return 0;
}

static void test_tables(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];
    uint32_t size;
    uint16_t key;

    assert_int_equal(fw_tables_add(f->fw, 0xc0000000, 0x140000000, 4), 0);
    key = find_file(f, "etc/e820", &size);
    assert_int_equal(size, 60);
    read_port(f, key, bytes, size);
    assert_true(get_le(bytes, 8) == 0xfeffc000);
    assert_true(get_le(bytes + 8, 8) == 0x4000);
    assert_true(get_le(bytes + 16, 4) == 2);
    assert_true(get_le(bytes + 20, 8) == 0);
    assert_true(get_le(bytes + 28, 8) == 0xc0000000);
    assert_true(get_le(bytes + 36, 4) == 1);
    assert_true(get_le(bytes + 40, 8) == UINT64_C(0x100000000));
    assert_true(get_le(bytes + 48, 8) == UINT64_C(0x140000000));
    assert_true(get_le(bytes + 56, 4) == 1);
    (void)find_file(f, "etc/table-loader", &size);
    assert_int_equal(size, 0);
    key = find_file(f, "etc/boot-fail-wait", &size);
    assert_int_equal(size, 4);
    read_port(f, key, bytes, size);
    assert_memory_equal(bytes, "\xff\xff\xff\xff", 4);
    read_port(f, FW_CFG_NB_CPUS, bytes, 2);
    assert_true(get_le(bytes, 2) == 4);
    read_port(f, FW_CFG_MAX_CPUS, bytes, 2);
    assert_true(get_le(bytes, 2) == 4);
    read_port(f, FW_CFG_IRQ0_OVERRIDE, bytes, 1);
    assert_int_equal(bytes[0], 1);
}

static void test_tables_low_only(void **state)
{
    struct fixture *f = *state;
    uint32_t size;

    assert_int_equal(fw_tables_add(f->fw, 0x40000000, 0, 0), -EINVAL);
    assert_int_equal(fw_tables_add(f->fw, 0x40000000, 0, 256), -EINVAL);
    assert_int_equal(fw_tables_add(f->fw, 0x40000000, 0, 1), 0);
    (void)find_file(f, "etc/e820", &size);
    assert_int_equal(size, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_presence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_widths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_items, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dma_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dma_skip_and_select, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dma_address_register, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dma_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dma_huge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dma_into_device, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tables_low_only, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
