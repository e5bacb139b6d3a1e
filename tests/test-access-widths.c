/* SPDX-License-Identifier: MIT */
/*
 * test-access-widths.c - every declaration of widths a device can make, against a plain statement of what it means.
 *
 * All pairs valid.min <= valid.max and impl.min <= impl.max, both unaligned flags, both byte orders, with and without an
 * accepts callback; on each such device reads and writes of 1 to 8 bytes at offsets 0 to 7. What the callbacks are to
 * see, call by call with values, and what the access is to give comes from the functions expect_*(), which follow the text
 * of gmem/region.h byte by byte and share nothing with the library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <gmem/gmem.h>
#include <string.h>

#define DEVICE_SIZE 32u
#define BASE 0x1003u /* alignment is that of the offset in the region, not of the address */
#define EVENTS_MAX 64u

enum event_kind {
    ASK_READ,
    ASK_WRITE,
    CALL_READ,
    CALL_WRITE,
};

struct event {
    enum event_kind kind;
    uint64_t offset;
    unsigned size;
    uint64_t value; /* calls */
};

struct log {
    struct event events[EVENTS_MAX];
    size_t count;
};

/* A device that is a byte array. */
struct device {
    uint8_t bytes[DEVICE_SIZE];
    enum gmem_endian order;
    struct gmem_mmio_ops ops;
    struct log log;
};

static void log_event(struct log *log, enum event_kind kind, uint64_t offset, unsigned size, uint64_t value)
{
    assert_true(log->count < EVENTS_MAX);
    log->events[log->count++] = (struct event){kind, offset, size, value};
}

/* The number in size bytes: written out, so as not to resemble the library's loop. */
static uint64_t number(const uint8_t *bytes, unsigned size, enum gmem_endian order)
{
    uint64_t value = 0;
    unsigned i;

    for (i = 0; i < size; i++)
        value = value * 256 + (order == GMEM_ENDIAN_BIG ? bytes[i] : bytes[size - 1 - i]);
    return value;
}

static void store_number(uint8_t *bytes, unsigned size, enum gmem_endian order, uint64_t value)
{
    unsigned i;

    for (i = 0; i < size; i++, value /= 256)
        bytes[order == GMEM_ENDIAN_BIG ? size - 1 - i : i] = (uint8_t)(value % 256);
}

/* --- the device ---------------------------------------------------------------------------------------------------- */

static void assert_implemented(const struct device *device, uint64_t offset, unsigned size)
{
    assert_true(size == 1 || size == 2 || size == 4 || size == 8);
    assert_true(size >= device->ops.impl.min && size <= device->ops.impl.max);
    assert_true(device->ops.impl.unaligned || offset % size == 0);
    assert_true(offset + size <= DEVICE_SIZE);
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct device *device = opaque;

    (void)attrs;
    assert_implemented(device, offset, size);
    assert_true(*ret_value == 0);
    *ret_value = number(device->bytes + offset, size, device->order);
    log_event(&device->log, CALL_READ, offset, size, *ret_value);
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct device *device = opaque;

    (void)attrs;
    assert_implemented(device, offset, size);
    assert_true(size == 8 || value >> 8 * size == 0);
    store_number(device->bytes + offset, size, device->order, value);
    log_event(&device->log, CALL_WRITE, offset, size, value);
    return GMEM_OK;
}

/* What it takes is neither all nor nothing, and differs between reads and writes. */
static bool takes(uint64_t offset, unsigned size, bool is_write)
{
    return (offset + size + is_write) % 3 != 0;
}

static bool device_accepts(void *opaque, uint64_t offset, unsigned size, bool is_write, struct gmem_attrs attrs)
{
    struct device *device = opaque;

    (void)attrs;
    log_event(&device->log, is_write ? ASK_WRITE : ASK_READ, offset, size, 0);
    return takes(offset, size, is_write);
}

/* --- what is to be expected ---------------------------------------------------------------------------------------- */

struct expectation {
    const struct gmem_mmio_ops *ops;
    enum gmem_endian order;
    uint8_t bytes[DEVICE_SIZE]; /* of the device */
    bool refused[DEVICE_SIZE];  /* of this access: bytes that reach nobody */
    struct log log;
};

/* One call for the size bytes at offset, of which the guest writes those from first to last. */
static void expect_call(struct expectation *expect, uint64_t offset, unsigned size, bool is_write, const uint8_t *in,
                        uint64_t first, uint64_t last)
{
    uint8_t *bytes = expect->bytes + offset;
    bool covered = first <= offset && last >= offset + size - 1;
    uint64_t at;

    if (!is_write || !covered)
        log_event(&expect->log, CALL_READ, offset, size, number(bytes, size, expect->order));
    if (!is_write)
        return;
    for (at = offset; at < offset + size; at++) {
        if (at >= first && at <= last)
            expect->bytes[at] = in[at - first];
    }
    log_event(&expect->log, CALL_WRITE, offset, size, number(bytes, size, expect->order));
}

/* A valid access of size bytes. */
static void expect_piece(struct expectation *expect, uint64_t offset, unsigned size, bool is_write, const uint8_t *in)
{
    unsigned min = expect->ops->impl.min, max = expect->ops->impl.max;
    bool unaligned = expect->ops->impl.unaligned;
    uint64_t last = offset + size - 1;
    unsigned width = size;
    uint64_t at;

    if (size >= min && size <= max && (unaligned || offset % size == 0)) {
        expect_call(expect, offset, size, is_write, in, offset, last);
    } else if (size > max && (unaligned || offset % max == 0)) {
        for (at = offset; at <= last; at += max)
            expect_call(expect, at, max, is_write, in, offset, last);
    } else {
        if (width < min)
            width = min;
        if (width > max)
            width = max;
        for (at = 0; at < DEVICE_SIZE; at += width) {
            if (at <= last && at + width > offset)
                expect_call(expect, at, width, is_write, in, offset, last);
        }
    }
}

/* An access of the guest. */
static gmem_result expect_access(struct expectation *expect, uint64_t offset, unsigned size, bool is_write,
                                 const uint8_t *in)
{
    gmem_result result = GMEM_OK;
    uint64_t at = offset;

    while (at < offset + size) {
        unsigned left = (unsigned)(offset + size - at);
        unsigned take = 8;
        bool refused;

        while (take > left || take > expect->ops->valid.max || (at % take != 0 && !expect->ops->valid.unaligned))
            take /= 2;
        refused = take < expect->ops->valid.min;
        if (!refused && expect->ops->valid.accepts) {
            log_event(&expect->log, is_write ? ASK_WRITE : ASK_READ, at, take, 0);
            refused = !takes(at, take, is_write);
        }
        if (refused) {
            memset(expect->refused + at, true, take);
            result = GMEM_RESULT_REFUSED;
        } else {
            expect_piece(expect, at, take, is_write, in + (at - offset));
        }
        at += take;
    }
    return result;
}

/* --- all of them --------------------------------------------------------------------------------------------------- */

struct world {
    gmem_vm *vm;
    gmem_region *root;
    gmem_space *space;
    uint64_t accesses;
};

static bool same_logs(const struct log *a, const struct log *b)
{
    size_t i;

    for (i = 0; i < a->count && i < b->count; i++) {
        const struct event *one = &a->events[i], *other = &b->events[i];

        if (one->kind != other->kind || one->offset != other->offset || one->size != other->size ||
            one->value != other->value)
            return false;
    }
    return a->count == b->count;
}

static void print_log(const char *title, const struct log *log)
{
    static const char *const names[] = {"may read", "may write", "read", "write"};
    size_t i;

    print_error("%s:\n", title);
    for (i = 0; i < log->count; i++)
        print_error("  %s %u bytes at %u: %llx\n", names[log->events[i].kind], log->events[i].size,
                    (unsigned)log->events[i].offset, (unsigned long long)log->events[i].value);
}

/* Say which access of which device went wrong, and end the test. */
static void failed(const struct device *device, const struct expectation *expect, uint64_t offset, unsigned size,
                   bool is_write)
{
    const struct gmem_mmio_ops *ops = &device->ops;

    print_log("expected", &expect->log);
    print_log("seen", &device->log);
    fail_msg("%s of %u bytes at %u: valid %u..%u%s, impl %u..%u%s, %s-endian%s", is_write ? "write" : "read", size,
             (unsigned)offset, ops->valid.min, ops->valid.max, ops->valid.unaligned ? " unaligned" : "", ops->impl.min,
             ops->impl.max, ops->impl.unaligned ? " unaligned" : "", ops->endian == GMEM_ENDIAN_BIG ? "big" : "little",
             ops->valid.accepts ? ", with accepts" : "");
}

static void check_access(struct world *world, struct device *device, uint64_t offset, unsigned size, bool is_write)
{
    struct expectation expect = {.ops = &device->ops, .order = device->order};
    uint8_t buf[10], wanted[10];
    gmem_result result;
    unsigned i;

    for (i = 0; i < DEVICE_SIZE; i++)
        device->bytes[i] = (uint8_t)(0x40 + i);
    memcpy(expect.bytes, device->bytes, DEVICE_SIZE);
    device->log.count = 0;
    for (i = 0; i < sizeof(buf); i++)
        buf[i] = (uint8_t)(0xc0 + i);
    memcpy(wanted, buf, sizeof(buf));

    result = expect_access(&expect, offset, size, is_write, buf + 1);
    for (i = 0; i < size && !is_write; i++)
        wanted[1 + i] = expect.refused[offset + i] ? 0xff : expect.bytes[offset + i];

    if (gmem_space_rw(world->space, BASE + offset, GMEM_ATTRS_NONE, buf + 1, size, is_write) != result ||
        memcmp(buf, wanted, sizeof(buf)) != 0 || memcmp(device->bytes, expect.bytes, DEVICE_SIZE) != 0 ||
        !same_logs(&device->log, &expect.log))
        failed(device, &expect, offset, size, is_write);
    world->accesses++;
}

static void check_device(struct world *world, const struct gmem_mmio_ops *ops)
{
    struct device device = {.ops = *ops, .order = ops->endian};
    gmem_region *region;
    uint64_t offset;
    unsigned size;

    assert_int_equal(gmem_region_create_mmio(world->vm, "device", GMEM_SIZE(DEVICE_SIZE), ops, &device, NULL, &region),
                     0);
    assert_int_equal(gmem_region_add(world->root, BASE, region), 0);
    for (size = 1; size <= 8; size++) {
        for (offset = 0; offset < 8; offset++) {
            check_access(world, &device, offset, size, false);
            check_access(world, &device, offset, size, true);
        }
    }
    assert_int_equal(gmem_region_remove(world->root, region), 0);
    gmem_region_unref(region);
}

static void check_widths(struct world *world, struct gmem_mmio_ops *ops)
{
    uint8_t vmin, vmax, imin, imax;

    for (vmin = 1; vmin <= 8; vmin = (uint8_t)(vmin * 2)) {
        for (vmax = vmin; vmax <= 8; vmax = (uint8_t)(vmax * 2)) {
            for (imin = 1; imin <= 8; imin = (uint8_t)(imin * 2)) {
                for (imax = imin; imax <= 8; imax = (uint8_t)(imax * 2)) {
                    ops->valid.min = vmin;
                    ops->valid.max = vmax;
                    ops->impl.min = imin;
                    ops->impl.max = imax;
                    check_device(world, ops);
                }
            }
        }
    }
}

static void check_all(bool valid_unaligned, bool impl_unaligned)
{
    struct gmem_space_options options = {.struct_size = sizeof(options), .unassigned_ones = true};
    struct world world = {0};
    unsigned order, accepts;

    assert_int_equal(gmem_vm_create(NULL, &world.vm), 0);
    assert_int_equal(gmem_region_create_container(world.vm, "root", GMEM_SIZE(0x10000), NULL, &world.root), 0);
    assert_int_equal(gmem_space_create(world.vm, "space", world.root, &options, &world.space), 0);
    for (order = 0; order < 2; order++) {
        for (accepts = 0; accepts < 2; accepts++) {
            struct gmem_mmio_ops ops = {
                .read = device_read,
                .write = device_write,
                .endian = order ? GMEM_ENDIAN_BIG : GMEM_ENDIAN_LITTLE,
                .valid = {.unaligned = valid_unaligned, .accepts = accepts ? device_accepts : NULL},
                .impl = {.unaligned = impl_unaligned},
            };

            check_widths(&world, &ops);
        }
    }
    /* 10 pairs of each, 2 orders, with and without accepts; 8 sizes at 8 offsets, read and written. */
    assert_int_equal(world.accesses, 10 * 10 * 2 * 2 * 8 * 8 * 2);
    gmem_region_unref(world.root);
    gmem_vm_destroy(world.vm);
}

static void aligned_only(void **state)
{
    (void)state;
    check_all(false, false);
}

static void unaligned_valid(void **state)
{
    (void)state;
    check_all(true, false);
}

static void unaligned_implemented(void **state)
{
    (void)state;
    check_all(false, true);
}

static void unaligned_both(void **state)
{
    (void)state;
    check_all(true, true);
}

/* A width of 0 is the widest choice there is, and an order of NATIVE is the vm's. */
static void defaults(void **state)
{
    static const enum gmem_endian orders[] = {GMEM_ENDIAN_LITTLE, GMEM_ENDIAN_BIG};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct gmem_vm_options options = {.struct_size = sizeof(options), .endian = orders[i]};
        struct gmem_mmio_ops ops = {.read = device_read, .write = device_write};
        struct device device = {.order = orders[i]};
        gmem_region *region;
        struct world world;
        uint8_t buf[8];

        assert_int_equal(gmem_vm_create(&options, &world.vm), 0);
        assert_int_equal(
            gmem_region_create_mmio(world.vm, "device", GMEM_SIZE(DEVICE_SIZE), &ops, &device, NULL, &region), 0);
        assert_int_equal(gmem_space_create(world.vm, "space", region, NULL, &world.space), 0);
        device.ops.impl.min = 1;
        device.ops.impl.max = 8;
        memcpy(device.bytes, "\1\2\3\4\5\6\7\x08", 8);
        assert_int_equal(gmem_space_read(world.space, 0, GMEM_ATTRS_NONE, buf, 8), GMEM_OK);
        assert_memory_equal(buf, device.bytes, 8);
        assert_int_equal(device.log.count, 1);
        assert_int_equal(device.log.events[0].size, 8);
        assert_true(device.log.events[0].value == (i ? 0x0102030405060708u : 0x0807060504030201u));
        gmem_region_unref(region);
        gmem_vm_destroy(world.vm);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_only),   cmocka_unit_test(unaligned_valid), cmocka_unit_test(unaligned_implemented),
        cmocka_unit_test(unaligned_both), cmocka_unit_test(defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
