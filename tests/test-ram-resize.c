/* SPDX-License-Identifier: MIT */
/* test-ram-resize.c - RAM blocks that grow and shrink, with the regions on them. Linked with the allocator wrapped. */
#include "support.h"
#include "wrap.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 0x1000u
#define SIZE (8u * PAGE)
#define MAX (64u * PAGE)
#define NONE GMEM_ATTRS_NONE

struct board {
    gmem_vm *vm;
    gmem_region *root, *region;
    gmem_space *space;
    gmem_ram *ram;
    uint8_t *host;
};

static void board_open_with(struct board *board, const struct gmem_ram_options *given)
{
    struct gmem_ram_options options = *given;

    options.struct_size = sizeof(options);
    options.id = "ram";
    options.size = SIZE;
    options.max_size = MAX;
    board->vm = make_vm();
    board->root = make_container(board->vm, "root", GMEM_SIZE_ALL);
    board->space = make_space(board->vm, "memory", board->root);
    OK(gmem_ram_create(board->vm, &options, &board->ram));
    OK(gmem_region_create_ram(board->vm, "ram", board->ram, NULL, &board->region));
    OK(gmem_region_add(board->root, 0x100000, board->region));
    board->host = gmem_ram_host(board->ram);
}

static void board_open(struct board *board)
{
    board_open_with(board, &(struct gmem_ram_options){.backing = GMEM_RAM_ANON});
}

static void board_close(struct board *board)
{
    gmem_region_unref(board->region);
    gmem_region_unref(board->root);
    gmem_ram_unref(board->ram);
    gmem_vm_destroy(board->vm);
}

static void test_create(void **state)
{
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = "x", .size = SIZE, .max_size = SIZE - 1};
    struct board board;
    gmem_ram *ram = NULL, *plain, *behind;

    (void)state;
    board_open(&board);
    REFUSED(EINVAL, gmem_ram_create(board.vm, &options, &ram));
    options.max_size = MAX;
    options.backing = GMEM_RAM_FILE;
    options.path = "/proc/self/exe";
    options.flags = GMEM_RAM_READONLY;
    REFUSED(EINVAL, gmem_ram_create(board.vm, &options, &ram));
    assert_int_equal(gmem_ram_size(board.ram), SIZE);
    assert_int_equal(gmem_ram_max_size(board.ram), MAX);
    assert_int_equal(gmem_ram_mapped(board.ram), MAX);
    /* The offsets up to max_size are its own. */
    OK(gmem_ram_create_anon(board.vm, "behind", PAGE, &behind));
    assert_true(gmem_ram_offset(behind) >= gmem_ram_offset(board.ram) + MAX);
    OK(gmem_ram_create_anon(board.vm, "plain", SIZE, &plain));
    assert_int_equal(gmem_ram_max_size(plain), SIZE);
    REFUSED(EOPNOTSUPP, gmem_ram_resize(plain, PAGE));
    REFUSED(EINVAL, gmem_ram_resize(NULL, PAGE));
    REFUSED(EINVAL, gmem_ram_resize(board.ram, 0));
    REFUSED(ERANGE, gmem_ram_resize(board.ram, MAX + 1));
    check_reason(board.vm, ERANGE, "at most");
    gmem_ram_unref(plain);
    gmem_ram_unref(behind);
    board_close(&board);
}

static uint64_t dirty_pages(const struct board *board, unsigned client)
{
    uint64_t count = 0;

    OK(gmem_ram_dirty_count(board->ram, client, &count));
    return count;
}

static int refuse(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    return -EIO;
}

/* Who copied what was there before has to copy it again, for every client; a refused resize marks nothing. */
static void test_growth_is_dirty(void **state)
{
    struct gmem_listener listener = {.struct_size = sizeof(listener)};
    struct board board;
    bool dirty;

    (void)state;
    board_open(&board);
    OK(gmem_region_set_log(board.region, GMEM_LOG_USER, true));
    OK(gmem_vm_set_global_log(board.vm, true));
    assert_int_equal(gmem_st32_le(board.space, 0x100000 + 4 * PAGE, NONE, 1), GMEM_OK);
    OK(gmem_ram_dirty_test_and_clear(board.ram, GMEM_LOG_MIGRATION, 0, SIZE, &dirty));
    OK(gmem_ram_dirty_test_and_clear(board.ram, GMEM_LOG_USER, 0, SIZE, &dirty));
    assert_true(dirty);
    OK(gmem_ram_resize(board.ram, 3 * PAGE + 1));
    assert_int_equal(dirty_pages(&board, GMEM_LOG_MIGRATION), 0);
    OK(gmem_listener_register(board.vm, NULL, &listener));
    listener.region_add = refuse;
    REFUSED(EIO, gmem_ram_resize(board.ram, SIZE));
    listener.region_add = NULL;
    assert_int_equal(dirty_pages(&board, GMEM_LOG_MIGRATION), 0);
    OK(gmem_ram_resize(board.ram, SIZE));
    assert_int_equal(board.host[4 * PAGE], 0);
    /* The page that the old end was in as well. */
    assert_int_equal(dirty_pages(&board, GMEM_LOG_MIGRATION), 5);
    assert_int_equal(dirty_pages(&board, GMEM_LOG_USER), 5);
    OK(gmem_ram_dirty_test(board.ram, GMEM_LOG_MIGRATION, 0, 3 * PAGE, &dirty));
    assert_false(dirty);
    gmem_listener_unregister(board.vm, &listener);
    board_close(&board);
}

/* Sizes, what is seen, what is found by a host pointer, dirty bits, and where the memory is. */
static void test_resize(void **state)
{
    struct board board;
    gmem_region *part = NULL, *alias;
    gmem_ram *found;
    uint64_t offset;
    uint32_t value;
    bool dirty;

    (void)state;
    board_open(&board);
    alias = make_alias(board.vm, "alias", board.region, 0, GMEM_SIZE(MAX));
    OK(gmem_region_add(board.root, 0x200000, alias));
    OK(gmem_region_create_ram(board.vm, "part", board.ram, NULL, &part));
    OK(gmem_region_resize(part, GMEM_SIZE(2 * PAGE)));
    OK(gmem_region_add(board.root, 0, part));
    OK(gmem_region_set_log(board.region, 1, true));
    check_view(board.space, "0-1fff part+0\n100000-107fff ram+0\n200000-207fff ram+0\n");
    assert_int_equal(gmem_st32_le(board.space, 0x100000 + SIZE, NONE, 1), GMEM_RESULT_DECODE);
    OK(gmem_ram_resize(board.ram, MAX));
    assert_ptr_equal(gmem_ram_host(board.ram), board.host);
    assert_int_equal(gmem_ram_size(board.ram), MAX);
    assert_int_equal(gmem_region_size(board.region).bytes, MAX);
    check_view(board.space, "0-1fff part+0\n100000-13ffff ram+0\n200000-23ffff ram+0\n");
    OK(gmem_ram_dirty_test_and_clear(board.ram, 1, 0, SIZE, &dirty));
    assert_false(dirty);
    OK(gmem_ram_dirty_test_and_clear(board.ram, 1, SIZE, MAX - SIZE, &dirty));
    assert_true(dirty);
    assert_int_equal(gmem_st32_le(board.space, 0x200000 + MAX - 4, NONE, 0x1234), GMEM_OK);
    OK(gmem_ram_dirty_test(board.ram, 1, MAX - 4, 4, &dirty));
    assert_true(dirty);
    OK(gmem_ram_find_host(board.vm, board.host + MAX - 1, &found, &offset));
    assert_int_equal(offset, MAX - 1);
    gmem_ram_unref(found);
    /* Not at the end of a page: nothing of what was is left there. */
    memset(board.host, 0x11, MAX);
    OK(gmem_ram_resize(board.ram, 2 * PAGE + 100));
    check_view(board.space, "0-1fff part+0\n100000-102063 ram+0\n200000-202063 ram+0\n");
    REFUSED(ENOENT, gmem_ram_find_host(board.vm, board.host + 2 * PAGE + 100, &found, &offset));
    REFUSED(ERANGE, gmem_ram_dirty_test(board.ram, 1, 2 * PAGE, PAGE, &dirty));
    REFUSED(ERANGE, gmem_region_resize(board.region, GMEM_SIZE(3 * PAGE)));
    assert_int_equal(board.host[2 * PAGE + 99], 0x11);
    assert_int_equal(board.host[2 * PAGE + 100], 0);
    OK(gmem_ram_resize(board.ram, 2 * PAGE + 100));
    /* The one that shows a part is cut where it would reach beyond, and then shows all. */
    OK(gmem_ram_resize(board.ram, PAGE));
    check_view(board.space, "0-fff part+0\n100000-100fff ram+0\n200000-200fff ram+0\n");
    OK(gmem_ram_resize(board.ram, MAX));
    assert_int_equal(gmem_ld32_le(board.space, 0x100000 + MAX - 4, NONE, &value), GMEM_OK);
    assert_int_equal(value, 0);
    OK(gmem_region_remove(board.root, part));
    gmem_region_unref(part);
    /* A region that is made now has the size of now. */
    OK(gmem_ram_resize(board.ram, PAGE));
    OK(gmem_region_create_ram(board.vm, "new", board.ram, NULL, &part));
    assert_int_equal(gmem_region_size(part).bytes, PAGE);
    gmem_region_unref(part);
    gmem_region_unref(alias);
    board_close(&board);
}

/* Every backing: it stays in place, what shrank away is zero when it is back. */
static void check_backing(const struct gmem_ram_options *options)
{
    struct board board;
    uint64_t i;

    board_open_with(&board, options);
    assert_int_equal(board.host[0], 0);
    OK(gmem_ram_resize(board.ram, MAX));
    assert_ptr_equal(gmem_ram_host(board.ram), board.host);
    memset(board.host, 0x5a, MAX);
    OK(gmem_ram_resize(board.ram, 3 * PAGE));
    /* A straggler: it does not fault, and what it writes is not seen later. */
    assert_int_equal(board.host[MAX - 1], 0);
    board.host[40 * PAGE] = 1;
    OK(gmem_ram_resize(board.ram, 50 * PAGE));
    for (i = 0; i < 50 * PAGE; i++)
        assert_int_equal(board.host[i], i < 3 * PAGE ? 0x5a : 0);
    board_close(&board);
}

static void test_backings(void **state)
{
    void *memory = mmap(NULL, MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(memory, MAP_FAILED);
    check_backing(&(struct gmem_ram_options){.backing = GMEM_RAM_ANON});
    check_backing(&(struct gmem_ram_options){.backing = GMEM_RAM_ANON, .flags = GMEM_RAM_SHARED});
    check_backing(&(struct gmem_ram_options){.backing = GMEM_RAM_ANON, .flags = GMEM_RAM_PREALLOC, .align = 0x10000});
    check_backing(&(struct gmem_ram_options){.backing = GMEM_RAM_MEMFD});
    check_backing(&(struct gmem_ram_options){.backing = GMEM_RAM_MEMFD, .flags = GMEM_RAM_SHARED});
    check_backing(&(struct gmem_ram_options){.backing = GMEM_RAM_MEMFD, .flags = GMEM_RAM_SHARED | GMEM_RAM_PREALLOC});
    check_backing(&(struct gmem_ram_options){.backing = GMEM_RAM_FILE, .path = "/tmp"});
    check_backing(&(struct gmem_ram_options){.backing = GMEM_RAM_FILE, .path = "/tmp", .flags = GMEM_RAM_SHARED});
    check_backing(&(struct gmem_ram_options){.backing = GMEM_RAM_CALLER, .host = memory});
    munmap(memory, MAX);
}

/* PREALLOC touches what the size says, and what is new. */
static unsigned resident(const struct board *board)
{
    unsigned char pages[MAX / PAGE];
    unsigned i, count = 0;

    OK(mincore(board->host, MAX, pages));
    for (i = 0; i < MAX / PAGE; i++)
        count += pages[i] & 1;
    return count;
}

static void test_prealloc(void **state)
{
    struct board board;

    (void)state;
    board_open_with(
        &board, &(struct gmem_ram_options){.backing = GMEM_RAM_MEMFD, .flags = GMEM_RAM_SHARED | GMEM_RAM_PREALLOC});
    assert_int_equal(resident(&board), SIZE / PAGE);
    OK(gmem_ram_resize(board.ram, 20 * PAGE));
    assert_int_equal(resident(&board), 20);
    OK(gmem_ram_resize(board.ram, 4 * PAGE));
    assert_int_equal(resident(&board), 4);
    board_close(&board);
}

/* What a file holds is left alone until the block has had it. */
static void test_file(void **state)
{
    char path[] = "/tmp/gmem-resize-XXXXXX";
    struct board board;
    int fd = mkstemp(path);
    uint8_t byte = 0x77;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, 20 * PAGE), 1);
    board_open_with(&board,
                    &(struct gmem_ram_options){.backing = GMEM_RAM_FILE, .path = path, .flags = GMEM_RAM_SHARED});
    OK(gmem_ram_resize(board.ram, 30 * PAGE));
    assert_int_equal(board.host[20 * PAGE], 0x77);
    OK(gmem_ram_resize(board.ram, 10 * PAGE));
    assert_int_equal(pread(fd, &byte, 1, 20 * PAGE), 1);
    assert_int_equal(byte, 0);
    board_close(&board);
    close(fd);
    unlink(path);
}

/* --- refusals ------------------------------------------------------------------------------------------------------ */

struct ear {
    struct gmem_listener listener;
    gmem_ram *ram;
    int refuse;
    unsigned adds;
};

static int on_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct ear *ear = listener->opaque;

    (void)section;
    ear->adds++;
    REFUSED(EBUSY, gmem_ram_resize(ear->ram, PAGE));
    return listener->undoing ? 0 : ear->refuse;
}

static int on_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    return 0;
}

static void test_refused(void **state)
{
    struct ear ear = {.refuse = 0};
    struct board board;
    gmem_region *top;

    (void)state;
    board_open(&board);
    ear.ram = board.ram;
    ear.listener = (struct gmem_listener){
        .struct_size = sizeof(ear.listener), .opaque = &ear, .region_add = on_add, .region_del = on_del};
    OK(gmem_listener_register(board.vm, NULL, &ear.listener));
    ear.refuse = -ENOSPC;
    REFUSED(ENOSPC, gmem_ram_resize(board.ram, MAX));
    assert_int_equal(gmem_ram_size(board.ram), SIZE);
    check_view(board.space, "100000-107fff ram+0\n");
    board.host[SIZE - 1] = 0x12;
    REFUSED(ENOSPC, gmem_ram_resize(board.ram, PAGE));
    assert_int_equal(gmem_ram_size(board.ram), SIZE);
    assert_int_equal(board.host[SIZE - 1], 0x12);
    check_view(board.space, "100000-107fff ram+0\n");
    ear.refuse = 0;
    OK(gmem_vm_begin(board.vm));
    REFUSED(EBUSY, gmem_ram_resize(board.ram, PAGE));
    gmem_vm_abort(board.vm);
    /* One of its regions has no room to grow. */
    OK(gmem_region_create_ram(board.vm, "top", board.ram, NULL, &top));
    OK(gmem_region_add(board.root, UINT64_MAX - (SIZE - 1), top));
    REFUSED(EOVERFLOW, gmem_ram_resize(board.ram, SIZE + PAGE));
    assert_int_equal(gmem_region_size(board.region).bytes, SIZE);
    assert_int_equal(gmem_ram_size(board.ram), SIZE);
    ear.adds = 0;
    OK(gmem_ram_resize(board.ram, SIZE));
    assert_int_equal(ear.adds, 0);
    gmem_listener_unregister(board.vm, &ear.listener);
    gmem_region_unref(top);
    board_close(&board);
}

static void test_oom(void **state)
{
    struct board board;
    unsigned long n;
    unsigned way;
    int err;

    (void)state;
    board_open(&board);
    for (way = 0; way < 2; way++) {
        for (n = 1, err = -1; err; n++) {
            wrap_start(n);
            err = gmem_ram_resize(board.ram, way ? PAGE : MAX);
            assert_int_equal(wrap_stop(), err != 0);
            assert_true(!err || err == -ENOMEM);
            if (err) {
                assert_int_equal(gmem_ram_size(board.ram), way ? MAX : SIZE);
                check_view(board.space, way ? "100000-13ffff ram+0\n" : "100000-107fff ram+0\n");
            }
        }
        assert_true(n > 3);
    }
    check_view(board.space, "100000-100fff ram+0\n");
    board_close(&board);
}

/* --- notifiers ----------------------------------------------------------------------------------------------------- */

struct watcher {
    struct gmem_ram_notifier notifier;
    struct board *board;
    unsigned calls;
    uint64_t before, now;
    struct watcher *removes, *adds;
};

static void on_resize(void *opaque, gmem_ram *ram, uint64_t before, uint64_t now)
{
    struct watcher *watcher = opaque;

    watcher->calls++;
    watcher->before = before;
    watcher->now = now;
    assert_int_equal(gmem_ram_size(ram), now);
    assert_int_equal(gmem_region_size(watcher->board->region).bytes, now);
    REFUSED(EBUSY, gmem_ram_resize(ram, PAGE));
    OK(gmem_region_set_nonvolatile(watcher->board->region, true)); /* an edit */
    if (watcher->removes)
        gmem_ram_remove_notifier(&watcher->removes->notifier);
    if (watcher->adds) {
        OK(gmem_ram_add_notifier(ram, &watcher->adds->notifier));
        watcher->adds = NULL;
    }
}

static void watcher_open(struct watcher *watcher, struct board *board)
{
    memset(watcher, 0, sizeof(*watcher));
    watcher->board = board;
    watcher->notifier = (struct gmem_ram_notifier){.fn = on_resize, .opaque = watcher};
}

static void test_notifiers(void **state)
{
    struct watcher a, b, c;
    struct board board;

    (void)state;
    board_open(&board);
    watcher_open(&a, &board);
    watcher_open(&b, &board);
    watcher_open(&c, &board);
    OK(gmem_ram_add_notifier(board.ram, &a.notifier));
    OK(gmem_ram_add_notifier(board.ram, &b.notifier));
    REFUSED(EEXIST, gmem_ram_add_notifier(board.ram, &a.notifier));
    REFUSED(EINVAL, gmem_ram_add_notifier(NULL, &c.notifier));
    REFUSED(EINVAL, gmem_ram_add_notifier(board.ram, NULL));
    OK(gmem_ram_resize(board.ram, MAX));
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.before, SIZE);
    assert_int_equal(a.now, MAX);
    assert_int_equal(b.calls, 1);
    /* Not when nothing changed, or it was refused. */
    OK(gmem_ram_resize(board.ram, MAX));
    REFUSED(ERANGE, gmem_ram_resize(board.ram, MAX + PAGE));
    assert_int_equal(a.calls, 1);
    a.removes = &b;
    OK(gmem_ram_resize(board.ram, PAGE));
    assert_int_equal(a.calls, 2);
    assert_int_equal(b.calls, 1);
    a.removes = &a;
    a.adds = &c;
    OK(gmem_ram_resize(board.ram, SIZE));
    assert_int_equal(a.calls, 3);
    assert_int_equal(c.calls, 1);
    assert_int_equal(c.before, PAGE);
    OK(gmem_ram_resize(board.ram, PAGE));
    assert_int_equal(a.calls, 3);
    assert_int_equal(c.calls, 2);
    gmem_ram_remove_notifier(&a.notifier);
    gmem_ram_remove_notifier(&c.notifier);
    gmem_ram_remove_notifier(NULL);
    board_close(&board);
}

/* --- in flight ----------------------------------------------------------------------------------------------------- */

/* A map that was made before stays good; a reader beside it all never faults. */
struct reader {
    struct board *board;
    unsigned stop; /* atomic */
};

static void *read_all(void *opaque)
{
    struct reader *reader = opaque;
    uint8_t buf[64];
    uint64_t at;

    while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
        for (at = 0; at < MAX; at += PAGE) {
            gmem_result result = gmem_space_read(reader->board->space, 0x100000 + at, NONE, buf, sizeof(buf));

            if (result != GMEM_OK && result != GMEM_RESULT_DECODE)
                return reader;
            (void)gmem_st32_le(reader->board->space, 0x100000 + at, NONE, 1);
        }
    }
    return NULL;
}

static void test_in_flight(void **state)
{
    struct gmem_map map;
    struct board board;
    struct reader reader = {.board = &board};
    pthread_t thread;
    void *wrong = NULL;
    unsigned i;

    (void)state;
    board_open(&board);
    OK(gmem_ram_resize(board.ram, MAX));
    OK(gmem_map(board.space, 0x100000, NONE, MAX, true, &map));
    assert_int_equal(map.size, MAX);
    OK(gmem_ram_resize(board.ram, PAGE));
    ((uint8_t *)map.host)[MAX - 1] = 1;
    assert_int_equal(gmem_unmap(&map, MAX), GMEM_OK);
    OK(pthread_create(&thread, NULL, read_all, &reader));
    for (i = 0; i < 300; i++)
        OK(gmem_ram_resize(board.ram, (1 + i * 7 % (MAX / PAGE)) * PAGE));
    __atomic_store_n(&reader.stop, 1, __ATOMIC_RELAXED);
    OK(pthread_join(thread, &wrong));
    assert_null(wrong);
    board_close(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),    cmocka_unit_test(test_resize),   cmocka_unit_test(test_growth_is_dirty),
        cmocka_unit_test(test_backings),  cmocka_unit_test(test_prealloc), cmocka_unit_test(test_file),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_oom),      cmocka_unit_test(test_notifiers),
        cmocka_unit_test(test_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
