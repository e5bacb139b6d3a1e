/* SPDX-License-Identifier: MIT */
/*
 * test-eventfd.c - eventfds that the library signals: which writes do, which do not, and whose descriptor it is.
 */
#include "access_world.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HERE 0x1000u

struct fixture {
    struct world world;
    struct bytes_device device;
    gmem_region *region;
    int fd, other;
};

static int new_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

/* What is in the counter, which is 0 afterwards. */
static uint64_t drain(int fd)
{
    uint64_t count = 0;

    if (read(fd, &count, sizeof(count)) < 0)
        assert_int_equal(errno, EAGAIN);
    return count;
}

static void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    world_open(&f->world);
    f->region = world_mmio(&f->world, HERE, BYTES_SIZE, &bytes_ops, &f->device);
    f->fd = new_eventfd();
    f->other = new_eventfd();
}

static void fixture_close(struct fixture *f)
{
    gmem_region_unref(f->region);
    world_close(&f->world);
    close(f->fd);
    close(f->other);
}

static struct gmem_eventfd bell(int fd, uint64_t offset, uint8_t size)
{
    return (struct gmem_eventfd){.offset = offset, .fd = fd, .size = size};
}

static struct gmem_eventfd bell_of(int fd, uint64_t offset, uint8_t size, uint64_t data)
{
    return (struct gmem_eventfd){.offset = offset, .fd = fd, .size = size, .match = true, .data = data};
}

static void add(gmem_region *region, struct gmem_eventfd eventfd)
{
    assert_int_equal(gmem_region_add_eventfd(region, &eventfd), 0);
}

static void del(gmem_region *region, struct gmem_eventfd eventfd)
{
    assert_int_equal(gmem_region_del_eventfd(region, &eventfd), 0);
}

static void store(struct fixture *f, unsigned size, uint64_t offset, uint64_t value)
{
    gmem_result result = size == 1   ? gmem_st8(f->world.space, HERE + offset, GMEM_ATTRS_NONE, (uint8_t)value)
                         : size == 2 ? gmem_st16_le(f->world.space, HERE + offset, GMEM_ATTRS_NONE, (uint16_t)value)
                         : size == 4 ? gmem_st32_le(f->world.space, HERE + offset, GMEM_ATTRS_NONE, (uint32_t)value)
                                     : gmem_st64_le(f->world.space, HERE + offset, GMEM_ATTRS_NONE, value);

    assert_int_equal(result, GMEM_OK);
}

/* The store signalled as often as that, and the callback was called as often as this. */
#define STORE(size, offset, value, signals, writes_)                                                                   \
    do {                                                                                                               \
        f.device.writes = 0;                                                                                           \
        store(&f, size, offset, value);                                                                                \
        assert_int_equal(drain(f.fd), signals);                                                                        \
        assert_int_equal(f.device.writes, writes_);                                                                    \
    } while (0)

static void test_offset_and_size(void **state)
{
    struct fixture f;
    uint32_t value;

    (void)state;
    fixture_open(&f);
    add(f.region, bell(f.fd, 8, 4));
    STORE(4, 8, 1, 1, 0);
    STORE(4, 8, 0xffffffff, 1, 0);
    STORE(4, 12, 1, 0, 1);
    STORE(2, 8, 1, 0, 1);
    STORE(8, 8, 1, 0, 1);
    STORE(1, 8, 1, 0, 1);
    /* It counts. */
    store(&f, 4, 8, 1);
    store(&f, 4, 8, 1);
    assert_int_equal(drain(f.fd), 2);
    /* A read is a read. */
    f.device.reads = 0;
    assert_int_equal(gmem_ld32_le(f.world.space, HERE + 8, GMEM_ATTRS_NONE, &value), GMEM_OK);
    assert_int_equal(f.device.reads, 1);
    assert_int_equal(drain(f.fd), 0);
    del(f.region, bell(f.fd, 8, 4));
    STORE(4, 8, 1, 0, 1);
    fixture_close(&f);
}

static void test_any_size(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    add(f.region, bell(f.fd, 8, 0));
    STORE(1, 8, 1, 1, 0);
    STORE(2, 8, 1, 1, 0);
    STORE(4, 8, 1, 1, 0);
    STORE(8, 8, 1, 1, 0);
    STORE(8, 0, 1, 0, 1);
    STORE(1, 9, 1, 0, 1);
    fixture_close(&f);
}

static void test_data(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    add(f.region, bell_of(f.fd, 4, 2, 0x1234));
    add(f.region, bell_of(f.other, 4, 2, 0x3412));
    STORE(2, 4, 0x1234, 1, 0);
    assert_int_equal(drain(f.other), 0);
    STORE(2, 4, 0x3412, 0, 0);
    assert_int_equal(drain(f.other), 1);
    STORE(2, 4, 7, 0, 1);
    STORE(4, 4, 0x1234, 0, 1);
    fixture_close(&f);
}

/* The number is that which the device would get: in its own order. */
static void test_data_of_a_big_endian_device(void **state)
{
    struct gmem_mmio_ops ops = bytes_ops;
    struct fixture f;
    gmem_region *big;

    (void)state;
    fixture_open(&f);
    ops.endian = GMEM_ENDIAN_BIG;
    big = world_mmio(&f.world, HERE + 0x1000, BYTES_SIZE, &ops, &f.device);
    add(big, bell_of(f.fd, 0, 4, 0x11223344));
    assert_int_equal(gmem_st32_be(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, 0x11223344), GMEM_OK);
    assert_int_equal(drain(f.fd), 1);
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, 0x11223344), GMEM_OK);
    assert_int_equal(drain(f.fd), 0);
    assert_int_equal(gmem_space_write(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, "\x11\x22\x33\x44", 4), GMEM_OK);
    assert_int_equal(drain(f.fd), 1);
    gmem_region_unref(big);
    fixture_close(&f);
}

/* With a value before with a size before any. */
static void test_which_of_several(void **state)
{
    struct fixture f;
    int any = new_eventfd();

    (void)state;
    fixture_open(&f);
    add(f.region, bell(any, 0, 0));
    add(f.region, bell(f.other, 0, 4));
    add(f.region, bell_of(f.fd, 0, 4, 5));
    STORE(4, 0, 5, 1, 0);
    assert_int_equal(drain(f.other), 0);
    STORE(4, 0, 6, 0, 0);
    assert_int_equal(drain(f.other), 1);
    STORE(2, 0, 5, 0, 0);
    assert_int_equal(drain(any), 1);
    fixture_close(&f);
    close(any);
}

/* By whichever way a write comes. */
static void test_every_way(void **state)
{
    const struct gmem_attrs none = GMEM_ATTRS_NONE;
    struct gmem_segment segment;
    uint8_t bytes[8] = {1, 0, 0, 0};
    struct gmem_cache cache;
    uint64_t covered;
    struct gmem_map map;
    struct fixture f;
    size_t count;

    (void)state;
    fixture_open(&f);
    add(f.region, bell_of(f.fd, 0, 4, 1));
    assert_int_equal(gmem_space_write(f.world.space, HERE, none, bytes, 4), GMEM_OK);
    assert_int_equal(gmem_space_rw(f.world.space, HERE, none, bytes, 4, true), GMEM_OK);
    assert_int_equal(gmem_cache_init(&cache, f.world.space, HERE, 8, none), 0);
    assert_int_equal(gmem_cache_st32_le(&cache, 0, 1), GMEM_OK);
    assert_int_equal(gmem_cache_write(&cache, 0, bytes, 4), GMEM_OK);
    gmem_cache_end(&cache);
    assert_int_equal(gmem_segments(f.world.space, HERE, none, 4, true, &segment, 1, &count, &covered), 0);
    assert_int_equal(gmem_segment_write(&segment, 0, bytes, 4), GMEM_OK);
    gmem_segments_release(&segment, 1, 0);
    assert_int_equal(gmem_map(f.world.space, HERE, none, 4, true, &map), 0);
    memcpy(map.host, bytes, 4);
    assert_int_equal(gmem_unmap(&map, 4), GMEM_OK);
    assert_int_equal(drain(f.fd), 6);
    assert_int_equal(f.device.writes, 0);
    add(f.region, bell_of(f.other, 8, 4, 0x07070707));
    assert_int_equal(gmem_space_fill(f.world.space, HERE + 8, none, 7, 4), GMEM_OK);
    assert_int_equal(drain(f.other), 1);
    assert_int_equal(f.device.writes, 0);
    fixture_close(&f);
}

/* What the bus cuts: the whole fits, or a part does. */
static void test_cut_by_the_bus(void **state)
{
    struct gmem_mmio_ops ops = bytes_ops;
    struct fixture f;
    gmem_region *narrow;
    uint8_t bytes[16] = {0};

    (void)state;
    fixture_open(&f);
    ops.valid.max = 2;
    narrow = world_mmio(&f.world, HERE + 0x1000, BYTES_SIZE, &ops, &f.device);
    add(narrow, bell(f.fd, 0, 4));
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(drain(f.fd), 1);
    assert_int_equal(f.device.writes, 0);
    del(narrow, bell(f.fd, 0, 4));
    add(narrow, bell(f.fd, 2, 2));
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(drain(f.fd), 1);
    assert_int_equal(f.device.writes, 1);
    /* In the middle of many. */
    f.device.writes = 0;
    assert_int_equal(gmem_space_write(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, bytes, 16), GMEM_OK);
    assert_int_equal(drain(f.fd), 1);
    assert_int_equal(f.device.writes, 7);
    gmem_region_unref(narrow);
    fixture_close(&f);
}

/* Only where it is visible in whole, and not where it is readonly. */
static void test_visible(void **state)
{
    struct fixture f;
    gmem_region *over;
    struct bytes_device above = {0};

    (void)state;
    fixture_open(&f);
    add(f.region, bell(f.fd, 4, 8));
    add(f.region, bell(f.other, 16, 4));
    assert_int_equal(gmem_region_create_mmio(f.world.vm, "over", GMEM_SIZE(4), &bytes_ops, &above, NULL, &over), 0);
    assert_int_equal(gmem_region_add_priority(f.world.root, HERE + 8, over, 1), 0);
    /* Its second half is another's. */
    assert_int_equal(gmem_st64_le(f.world.space, HERE + 4, GMEM_ATTRS_NONE, 1), GMEM_OK);
    assert_int_equal(drain(f.fd), 0);
    assert_int_equal(f.device.writes, 1);
    assert_int_equal(above.writes, 1);
    assert_int_equal(gmem_region_remove(f.world.root, over), 0);
    assert_int_equal(gmem_region_set_readonly(f.region, true), 0);
    STORE(4, 16, 1, 0, 0);
    assert_int_equal(drain(f.other), 0);
    assert_int_equal(gmem_region_set_readonly(f.region, false), 0);
    STORE(4, 16, 1, 0, 0);
    assert_int_equal(drain(f.other), 1);
    gmem_region_unref(over);
    fixture_close(&f);
}

/* An access of 8 bytes at 4 is unaligned for most devices: cut, but it is the eventfd's. */
static void test_unaligned(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    add(f.region, bell(f.fd, 4, 8));
    STORE(8, 4, 1, 1, 0);
    fixture_close(&f);
}

static void test_kinds(void **state)
{
    gmem_region *reserved, *ram, *romd;
    struct fixture f;
    uint8_t *host;

    (void)state;
    fixture_open(&f);
    assert_int_equal(gmem_region_create_reserved(f.world.vm, "reserved", GMEM_SIZE(16), NULL, &reserved), 0);
    world_place(&f.world, reserved, HERE + 0x1000);
    add(reserved, bell_of(f.fd, 0, 4, 3));
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, 3), GMEM_OK);
    assert_int_equal(drain(f.fd), 1);
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, 4), GMEM_RESULT_DECODE);
    assert_int_equal(gmem_st16_le(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, 3), GMEM_RESULT_DECODE);
    assert_int_equal(drain(f.fd), 0);

    romd = world_memory(&f.world, GMEM_KIND_ROMD, "flash", 0x1000, &bytes_ops, &f.device, NULL);
    world_place(&f.world, romd, HERE + 0x2000);
    add(romd, bell(f.fd, 0, 4));
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 0x2000, GMEM_ATTRS_NONE, 3), GMEM_OK);
    assert_int_equal(drain(f.fd), 1);
    assert_int_equal(f.device.writes, 0);

    /* A kernel would not see a write to memory either. */
    ram = world_memory(&f.world, GMEM_KIND_RAM, "ram", 0x1000, NULL, NULL, &host);
    world_place(&f.world, ram, HERE + 0x4000);
    add(ram, bell(f.fd, 0, 4));
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 0x4000, GMEM_ATTRS_NONE, 3), GMEM_OK);
    assert_int_equal(drain(f.fd), 0);
    assert_int_equal(host[0], 3);
    gmem_region_unref(reserved);
    gmem_region_unref(romd);
    gmem_region_unref(ram);
    fixture_close(&f);
}

/* --- when it holds ----------------------------------------------------------------------------------------------------- */

static int refuse_eventfd(struct gmem_listener *listener, const struct gmem_section *section,
                          const struct gmem_eventfd *eventfd)
{
    (void)listener, (void)section, (void)eventfd;
    return -EPERM;
}

static void test_decided_with_the_commit(void **state)
{
    struct gmem_listener listener = {.struct_size = sizeof(listener), .name = "no", .eventfd_add = refuse_eventfd};
    struct fixture f;
    struct gmem_eventfd eventfd;

    (void)state;
    fixture_open(&f);
    eventfd = bell(f.fd, 0, 4);
    assert_int_equal(gmem_vm_begin(f.world.vm), 0);
    add(f.region, eventfd);
    STORE(4, 0, 1, 0, 1);
    assert_int_equal(gmem_vm_commit(f.world.vm), 0);
    STORE(4, 0, 1, 1, 0);
    assert_int_equal(gmem_vm_begin(f.world.vm), 0);
    del(f.region, eventfd);
    STORE(4, 0, 1, 1, 0);
    gmem_vm_abort(f.world.vm);
    STORE(4, 0, 1, 1, 0);
    /* Refused by a listener: as it was. */
    del(f.region, eventfd);
    STORE(4, 0, 1, 0, 1);
    assert_int_equal(gmem_listener_register(f.world.vm, f.world.space, &listener), 0);
    assert_int_equal(gmem_region_add_eventfd(f.region, &eventfd), -EPERM);
    STORE(4, 0, 1, 0, 1);
    gmem_listener_unregister(f.world.vm, &listener);
    fixture_close(&f);
}

/* One of the same kind that has none is called as ever. */
static void test_devices_that_are_alike(void **state)
{
    struct bytes_device second = {0};
    struct fixture f;
    gmem_region *other;

    (void)state;
    fixture_open(&f);
    other = world_mmio(&f.world, HERE + 0x1000, BYTES_SIZE, &bytes_ops, &second);
    add(f.region, bell(f.fd, 0, 4));
    assert_int_equal(gmem_st32_le(f.world.space, HERE + 0x1000, GMEM_ATTRS_NONE, 9), GMEM_OK);
    assert_int_equal(second.writes, 1);
    assert_int_equal(second.bytes[0], 9);
    assert_int_equal(drain(f.fd), 0);
    STORE(4, 0, 1, 1, 0);
    gmem_region_unref(other);
    fixture_close(&f);
}

/* --- descriptors ------------------------------------------------------------------------------------------------------- */

static unsigned open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* The caller's may be closed too early, which is its mistake, but nobody else's file is written to for it. */
static void test_the_librarys_own(void **state)
{
    struct gmem_eventfd eventfd;
    struct fixture f;
    int kept, number;

    (void)state;
    fixture_open(&f);
    number = new_eventfd();
    kept = dup(number);
    eventfd = bell(number, 0, 4);
    add(f.region, eventfd);
    close(number);
    STORE(4, 0, 1, 0, 0);
    assert_int_equal(drain(kept), 1);
    del(f.region, eventfd);
    close(kept);
    fixture_close(&f);
}

static void test_none_is_left(void **state)
{
    unsigned before = open_files(), i;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    for (i = 0; i < 100; i++) {
        add(f.region, bell(f.fd, 0, 4));
        add(f.region, bell(f.fd, 8, 4));
        del(f.region, bell(f.fd, 0, 4));
        assert_int_equal(gmem_vm_begin(f.world.vm), 0);
        add(f.region, bell(f.fd, 0, 4));
        gmem_vm_abort(f.world.vm);
        del(f.region, bell(f.fd, 8, 4));
    }
    add(f.region, bell(f.fd, 0, 4));
    fixture_close(&f);
    assert_int_equal(open_files(), before);
}

static void test_bad_descriptors(void **state)
{
    struct gmem_eventfd eventfd;
    struct fixture f;
    int ends[2];
    char byte;

    (void)state;
    fixture_open(&f);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    /* No eventfd: told to listeners, and never written to. */
    add(f.region, bell(ends[1], 0, 4));
    STORE(4, 0, 1, 0, 1);
    assert_int_equal(read(ends[0], &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    del(f.region, bell(ends[1], 0, 4));
    close(ends[0]);
    close(ends[1]);
    eventfd = bell(ends[1], 0, 4);
    assert_int_equal(gmem_region_add_eventfd(f.region, &eventfd), -EBADF);
    fixture_close(&f);
}

/* A full counter: the write returns, and nothing is lost, since it is signalled. */
static void test_full(void **state)
{
    const uint64_t most = UINT64_MAX - 1;
    struct fixture f;
    int blocking = eventfd(0, EFD_CLOEXEC);

    (void)state;
    fixture_open(&f);
    add(f.region, bell(blocking, 0, 4));
    assert_int_equal(write(blocking, &most, sizeof(most)), sizeof(most));
    STORE(4, 0, 1, 0, 0);
    assert_int_equal(fcntl(blocking, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(drain(blocking), most);
    STORE(4, 0, 1, 0, 0);
    assert_int_equal(drain(blocking), 1);
    fixture_close(&f);
    close(blocking);
}

static void test_bounded(void **state)
{
    struct gmem_eventfd eventfd;
    struct fixture f;
    unsigned i;

    (void)state;
    fixture_open(&f);
    assert_int_equal(gmem_vm_begin(f.world.vm), 0);
    /* No eventfd, so that no descriptor is used up. */
    for (i = 0; i < GMEM_EVENTFDS_MAX; i++)
        add(f.region, bell_of(1, 0, 4, i));
    eventfd = bell(1, 8, 4);
    assert_int_equal(gmem_region_add_eventfd(f.region, &eventfd), -ENOSPC);
    gmem_vm_abort(f.world.vm);
    fixture_close(&f);
}

/* --- threads ------------------------------------------------------------------------------------------------------------- */

#define ROUNDS 300u

struct ringing {
    gmem_space *space;
    bool stop; /* atomic */
    uint64_t rung;
};

static void *ring(void *opaque)
{
    struct ringing *ringing = opaque;

    while (!__atomic_load_n(&ringing->stop, __ATOMIC_ACQUIRE)) {
        assert_int_equal(gmem_st32_le(ringing->space, HERE, GMEM_ATTRS_NONE, 1), GMEM_OK);
        ringing->rung++;
    }
    return NULL;
}

static gmem_result count_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)offset, (void)size, (void)attrs, (void)value;
    __atomic_fetch_add((uint64_t *)opaque, 1, __ATOMIC_RELAXED);
    return GMEM_OK;
}

/* Each write is a signal or a call, whatever is added and deleted, closed and opened meanwhile. */
static void test_threads(void **state)
{
    struct gmem_mmio_ops ops = bytes_ops;
    struct ringing ringing = {0};
    uint64_t calls = 0, signals = 0;
    struct world world;
    gmem_region *region;
    int kept_fds[ROUNDS];
    pthread_t thread;
    unsigned i;

    (void)state;
    world_open(&world);
    ops.write = count_write;
    region = world_mmio(&world, HERE, BYTES_SIZE, &ops, &calls);
    ringing.space = world.space;
    assert_int_equal(pthread_create(&thread, NULL, ring, &ringing), 0);
    for (i = 0; i < ROUNDS; i++) {
        int fd = new_eventfd(), kept = dup(fd);

        add(region, bell(fd, 0, 4));
        del(region, bell(fd, 0, 4));
        close(fd);
        /* A write that began before the deletion may signal it later still: all are read when the other has ended. */
        kept_fds[i] = kept;
    }
    __atomic_store_n(&ringing.stop, true, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (i = 0; i < ROUNDS; i++) {
        signals += drain(kept_fds[i]);
        close(kept_fds[i]);
    }
    assert_int_equal(calls + signals, ringing.rung);
    assert_true(calls > 0);
    gmem_region_unref(region);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offset_and_size),
        cmocka_unit_test(test_any_size),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_data_of_a_big_endian_device),
        cmocka_unit_test(test_which_of_several),
        cmocka_unit_test(test_every_way),
        cmocka_unit_test(test_cut_by_the_bus),
        cmocka_unit_test(test_visible),
        cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_decided_with_the_commit),
        cmocka_unit_test(test_devices_that_are_alike),
        cmocka_unit_test(test_the_librarys_own),
        cmocka_unit_test(test_none_is_left),
        cmocka_unit_test(test_bad_descriptors),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
