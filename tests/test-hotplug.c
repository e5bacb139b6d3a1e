/* SPDX-License-Identifier: MIT */
/* test-hotplug.c - memory plugged and unplugged: addresses, slots, ids, refusals, and undoing. Linked with the allocator wrapped. */
#include "support.h"
#include "wrap.h"
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define BASE 0x100000000ull
#define PAGE 0x1000ull

struct board {
    gmem_vm *vm;
    gmem_region *root;
    gmem_space *space;
    gmem_hotplug *hotplug;
};

static struct gmem_hotplug_options options_of(uint64_t size, size_t slots, uint64_t align)
{
    return (struct gmem_hotplug_options){
        .struct_size = sizeof(struct gmem_hotplug_options), .base = BASE, .size = size, .slots = slots, .align = align};
}

static void board_open(struct board *board, uint64_t size, size_t slots, uint64_t align)
{
    struct gmem_hotplug_options options = options_of(size, slots, align);

    board->vm = make_vm();
    board->root = make_container(board->vm, "system", GMEM_SIZE_ALL);
    board->space = make_space(board->vm, "memory", board->root);
    OK(gmem_hotplug_create(board->root, &options, &board->hotplug));
}

static void board_close(struct board *board)
{
    gmem_hotplug_destroy(board->hotplug);
    gmem_region_unref(board->root);
    gmem_vm_destroy(board->vm);
}

/* What is plugged: id@addr+size, each. */
static int block_text(void *opaque, const struct gmem_hotplug_block *block)
{
    char line[300];

    assert_ptr_equal(gmem_region_container(block->region) != NULL, true);
    snprintf(line, sizeof(line), "%s@%llx+%llx ", block->id, (unsigned long long)(block->addr - BASE),
             (unsigned long long)block->size);
    text_add(opaque, line);
    return 0;
}

static void check_blocks(struct board *board, const char *expected)
{
    struct text text = {NULL, 0};

    text_add(&text, "");
    OK(gmem_hotplug_foreach(board->hotplug, block_text, &text));
    assert_string_equal(text.chars, expected);
    free(text.chars);
}

static void check_info(struct board *board, uint64_t used, size_t slots_used)
{
    struct gmem_hotplug_state state;

    gmem_hotplug_info(board->hotplug, &state);
    assert_int_equal(state.used, used);
    assert_int_equal(state.slots_used, slots_used);
    assert_int_equal(state.base, BASE);
}

static void plug_at(struct board *board, gmem_region *block, uint64_t at, const char *id)
{
    uint64_t addr = BASE + at, got = 0;

    OK(gmem_hotplug_plug(board->hotplug, block, &addr, id, &got));
    assert_int_equal(got, addr);
}

static uint64_t plug(struct board *board, gmem_region *block, const char *id)
{
    uint64_t got = 0;

    OK(gmem_hotplug_plug(board->hotplug, block, NULL, id, &got));
    return got - BASE;
}

static void test_create(void **state)
{
    struct gmem_hotplug_options options = options_of(4 * PAGE, 2, 0), wrong;
    gmem_hotplug *hotplug = NULL;
    struct board board;

    (void)state;
    board_open(&board, 0x10000, 2, 0);
    assert_string_equal(gmem_region_name(gmem_hotplug_region(board.hotplug)), "device-memory");
    assert_int_equal(gmem_region_offset(gmem_hotplug_region(board.hotplug)), BASE);
    check_blocks(&board, "");
    check_info(&board, 0, 0);
    REFUSED(EINVAL, gmem_hotplug_create(NULL, &options, &hotplug));
    REFUSED(EINVAL, gmem_hotplug_create(board.root, NULL, &hotplug));
    REFUSED(EINVAL, gmem_hotplug_create(board.root, &options, NULL));
    wrong = options;
    wrong.size = 0;
    REFUSED(EINVAL, gmem_hotplug_create(board.root, &wrong, &hotplug));
    check_reason(board.vm, EINVAL, "size");
    wrong = options;
    wrong.slots = 0;
    REFUSED(EINVAL, gmem_hotplug_create(board.root, &wrong, &hotplug));
    wrong = options;
    wrong.align = 3;
    REFUSED(EINVAL, gmem_hotplug_create(board.root, &wrong, &hotplug));
    wrong = options;
    wrong.base = BASE + 1;
    REFUSED(EINVAL, gmem_hotplug_create(board.root, &wrong, &hotplug));
    wrong = options;
    wrong.base = 0 - PAGE;
    REFUSED(EOVERFLOW, gmem_hotplug_create(board.root, &wrong, &hotplug));
    assert_null(hotplug);
    board_close(&board);
}

/* The lowest free place, aligned as asked and as the block's pages want it. */
static void test_places(void **state)
{
    struct board board;
    gmem_region *a, *b, *c, *d, *own;

    (void)state;
    board_open(&board, 0x10000, 8, 0x4000);
    a = make_ram(board.vm, "a", 0x4000);
    b = make_ram(board.vm, "b", 0x1000);
    c = make_ram(board.vm, "c", 0x2000);
    d = make_ram(board.vm, "d", 0x5000);
    assert_int_equal(plug(&board, a, "a"), 0);
    assert_int_equal(plug(&board, b, "b"), 0x4000);
    plug_at(&board, c, 0xc000, "c");
    check_view(board.space, "100000000-100003fff a+0\n100004000-100004fff b+0\n10000c000-10000dfff c+0\n");
    check_info(&board, 0x7000, 3);
    /* Between b and c are 0x8000 to 0xbfff, too little for d; behind c nothing is aligned. */
    REFUSED(ENOSPC, gmem_hotplug_plug(board.hotplug, d, NULL, "d", NULL));
    check_reason(board.vm, ENOSPC, "no place");
    OK(gmem_hotplug_unplug(board.hotplug, "b"));
    assert_int_equal(plug(&board, d, "d"), 0x4000);
    check_blocks(&board, "a@0+4000 d@4000+5000 c@c000+2000 ");
    OK(gmem_hotplug_unplug(board.hotplug, "a"));
    /* What others place there is no block, but in the way. */
    own = make_ram(board.vm, "own", 0x1000);
    OK(gmem_region_add(gmem_hotplug_region(board.hotplug), 0x1000, own));
    REFUSED(ENOSPC, gmem_hotplug_plug(board.hotplug, a, NULL, "a", NULL));
    assert_int_equal(plug(&board, b, "b"), 0);
    check_info(&board, 0x8000, 3);
    gmem_region_unref(own);
    gmem_region_unref(a);
    gmem_region_unref(b);
    gmem_region_unref(c);
    gmem_region_unref(d);
    board_close(&board);
}

static void test_refusals(void **state)
{
    uint64_t addr, got = 77;
    char long_id[GMEM_HOTPLUG_ID_MAX + 2];
    gmem_region *a, *b, *c, *foreign;
    struct board board, other;

    (void)state;
    board_open(&board, 0x4000, 2, 0);
    board_open(&other, 0x4000, 2, 0);
    a = make_ram(board.vm, "a", 0x1000);
    b = make_ram(board.vm, "b", 0x1000);
    c = make_ram(board.vm, "c", 0x1000);
    foreign = make_ram(other.vm, "f", 0x1000);
    memset(long_id, 'x', sizeof(long_id));
    long_id[sizeof(long_id) - 1] = 0;
    REFUSED(EINVAL, gmem_hotplug_plug(NULL, a, NULL, "a", &got));
    REFUSED(EINVAL, gmem_hotplug_plug(board.hotplug, NULL, NULL, "a", &got));
    REFUSED(EINVAL, gmem_hotplug_plug(board.hotplug, a, NULL, NULL, &got));
    REFUSED(EINVAL, gmem_hotplug_plug(board.hotplug, a, NULL, "", &got));
    REFUSED(EINVAL, gmem_hotplug_plug(board.hotplug, a, NULL, long_id, &got));
    REFUSED(EXDEV, gmem_hotplug_plug(board.hotplug, foreign, NULL, "f", &got));
    addr = BASE + 0x10;
    REFUSED(EINVAL, gmem_hotplug_plug(board.hotplug, a, &addr, "a", &got));
    check_reason(board.vm, EINVAL, "multiple");
    addr = BASE + 0x4000;
    REFUSED(ERANGE, gmem_hotplug_plug(board.hotplug, a, &addr, "a", &got));
    addr = BASE - 0x1000;
    REFUSED(ERANGE, gmem_hotplug_plug(board.hotplug, a, &addr, "a", &got));
    assert_int_equal(plug(&board, a, "a"), 0);
    REFUSED(EEXIST, gmem_hotplug_plug(board.hotplug, b, NULL, "a", &got));
    check_reason(board.vm, EEXIST, "\"a\" is plugged already");
    REFUSED(EBUSY, gmem_hotplug_plug(board.hotplug, a, NULL, "again", &got));
    addr = BASE;
    REFUSED(EADDRINUSE, gmem_hotplug_plug(board.hotplug, b, &addr, "b", &got));
    check_reason(board.vm, EADDRINUSE, "overlaps \"a\"");
    assert_int_equal(plug(&board, b, "b"), 0x1000);
    REFUSED(ENOSPC, gmem_hotplug_plug(board.hotplug, c, NULL, "c", &got));
    check_reason(board.vm, ENOSPC, "2 slots");
    REFUSED(ENOENT, gmem_hotplug_unplug(board.hotplug, "c"));
    REFUSED(EINVAL, gmem_hotplug_unplug(board.hotplug, NULL));
    REFUSED(EINVAL, gmem_hotplug_unplug(NULL, "a"));
    REFUSED(EINVAL, gmem_hotplug_foreach(board.hotplug, NULL, NULL));
    assert_int_equal(got, 77);
    check_blocks(&board, "a@0+1000 b@1000+1000 ");
    gmem_region_unref(a);
    gmem_region_unref(b);
    gmem_region_unref(c);
    gmem_region_unref(foreign);
    board_close(&other);
    board_close(&board);
}

static gmem_region *make_growing(gmem_vm *vm, const char *name, uint64_t size, uint64_t max, gmem_ram **ret_ram)
{
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = name, .size = size, .max_size = max};
    gmem_region *region = NULL;

    OK(gmem_ram_create(vm, &options, ret_ram));
    OK(gmem_region_create_ram(vm, name, *ret_ram, NULL, &region));
    return region;
}

/* A block whose RAM can grow has all the place that it may need, whatever comes later, and was there before. */
static void test_resizable(void **state)
{
    uint64_t addr = BASE, got = 77;
    gmem_region *a, *b, *c, *d;
    struct board board;
    gmem_ram *ram, *other;

    (void)state;
    board_open(&board, 0x8000, 4, 0);
    a = make_growing(board.vm, "a", PAGE, 4 * PAGE, &ram);
    b = make_ram(board.vm, "b", PAGE);
    c = make_growing(board.vm, "c", PAGE, 3 * PAGE + 1, &other);
    assert_int_equal(plug(&board, a, "a"), 0);
    check_info(&board, 4 * PAGE, 1);
    check_blocks(&board, "a@0+1000 ");
    addr = BASE + PAGE;
    REFUSED(EADDRINUSE, gmem_hotplug_plug(board.hotplug, b, &addr, "b", &got));
    addr = BASE + 3 * PAGE;
    REFUSED(EADDRINUSE, gmem_hotplug_plug(board.hotplug, b, &addr, "b", &got));
    check_reason(board.vm, EADDRINUSE, "\"a\"");
    assert_int_equal(got, 77);
    assert_int_equal(plug(&board, b, "b"), 4 * PAGE);
    assert_int_equal(gmem_st32_le(board.space, BASE + 4 * PAGE, GMEM_ATTRS_NONE, 0x1234), GMEM_OK);
    OK(gmem_ram_resize(ram, 4 * PAGE));
    check_blocks(&board, "a@0+4000 b@4000+1000 ");
    check_info(&board, 5 * PAGE, 2);
    check_view(board.space, "100000000-100003fff a+0\n100004000-100004fff b+0\n");
    OK(gmem_ram_resize(ram, PAGE));
    check_info(&board, 5 * PAGE, 2);
    /* Three pages are free at the end, of which it would need one byte more. */
    REFUSED(ENOSPC, gmem_hotplug_plug(board.hotplug, c, NULL, "c", &got));
    addr = BASE + 5 * PAGE;
    REFUSED(ERANGE, gmem_hotplug_plug(board.hotplug, c, &addr, "c", &got));
    OK(gmem_hotplug_unplug(board.hotplug, "a"));
    /* Nor over one that is plugged further up. */
    addr = BASE + PAGE;
    REFUSED(EADDRINUSE, gmem_hotplug_plug(board.hotplug, c, &addr, "c", &got));
    plug_at(&board, c, 0, "c");
    check_info(&board, 4 * PAGE + 1, 2);
    OK(gmem_ram_resize(other, 3 * PAGE + 1));
    /* What other calls place has the same place. */
    OK(gmem_hotplug_unplug(board.hotplug, "c"));
    OK(gmem_region_add(gmem_hotplug_region(board.hotplug), 7 * PAGE, a));
    d = make_ram(board.vm, "d", PAGE);
    assert_int_equal(plug(&board, d, "d"), 0);
    OK(gmem_region_move(a, PAGE));
    gmem_region_unref(c);
    c = make_ram(board.vm, "e", PAGE);
    assert_int_equal(plug(&board, c, "e"), 5 * PAGE);
    gmem_region_unref(a);
    gmem_region_unref(b);
    gmem_region_unref(c);
    gmem_region_unref(d);
    gmem_ram_unref(ram);
    gmem_ram_unref(other);
    board_close(&board);
}

/* Part of the caller's transaction: seen inside it at once, gone with it. Also where a block got another id in it. */
static void test_transactions(void **state)
{
    gmem_region *a, *b;
    struct board board;

    (void)state;
    board_open(&board, 0x8000, 2, 0);
    a = make_ram(board.vm, "ra", 0x1000);
    b = make_ram(board.vm, "rb", 0x1000);
    plug(&board, a, "a");
    OK(gmem_vm_begin(board.vm));
    OK(gmem_hotplug_unplug(board.hotplug, "a"));
    check_blocks(&board, "");
    plug_at(&board, a, 0x3000, "b");
    plug(&board, b, "a");
    check_blocks(&board, "a@0+1000 b@3000+1000 ");
    check_view(board.space, "100000000-100000fff ra+0\n");
    gmem_vm_abort(board.vm);
    check_blocks(&board, "a@0+1000 ");
    check_info(&board, 0x1000, 1);
    assert_int_equal(plug(&board, b, "b"), 0x1000);
    OK(gmem_vm_begin(board.vm));
    OK(gmem_hotplug_unplug(board.hotplug, "b"));
    OK(gmem_vm_begin(board.vm));
    plug_at(&board, b, 0x7000, "c");
    gmem_vm_abort(board.vm);
    plug_at(&board, b, 0x6000, "d");
    OK(gmem_vm_commit(board.vm));
    check_blocks(&board, "a@0+1000 d@6000+1000 ");
    /* Moved by hand it is still the block that it was. */
    OK(gmem_region_move(b, 0x5000));
    check_blocks(&board, "a@0+1000 d@5000+1000 ");
    OK(gmem_hotplug_unplug(board.hotplug, "d"));
    OK(gmem_hotplug_unplug(board.hotplug, "a"));
    check_blocks(&board, "");
    check_view(board.space, "");
    gmem_region_unref(a);
    gmem_region_unref(b);
    board_close(&board);
}

/* The reference that plugging took is given up by unplugging, and when the hotplug ends. */
static unsigned owners;

static void owner_ref(void *opaque)
{
    (void)opaque;
    owners++;
}

static void owner_unref(void *opaque)
{
    (void)opaque;
    owners--;
}

static gmem_region *make_owned(gmem_vm *vm, const char *name)
{
    struct gmem_owner owner = {.ref = owner_ref, .unref = owner_unref};
    gmem_region *region = NULL;
    gmem_ram *ram = NULL;

    OK(gmem_ram_create_anon(vm, name, PAGE, &ram));
    OK(gmem_region_create_ram(vm, name, ram, &owner, &region));
    gmem_ram_unref(ram);
    return region;
}

static uint64_t regions_of(gmem_vm *vm)
{
    struct gmem_vm_stats stats;

    gmem_vm_stats(vm, &stats);
    return stats.regions;
}

static void test_references(void **state)
{
    struct board board;
    gmem_region *a;
    gmem_ram *ram;
    unsigned i;

    (void)state;
    board_open(&board, 0x8000, 2, 0);
    a = make_owned(board.vm, "a");
    assert_int_equal(regions_of(board.vm), 3);
    plug(&board, a, "a");
    gmem_region_unref(a);
    assert_int_equal(regions_of(board.vm), 3);
    assert_int_equal(owners, 1);
    OK(gmem_hotplug_unplug(board.hotplug, "a"));
    /* The old view goes with the readers of that moment. */
    for (i = 0; i < 1000 && gmem_ram_find(board.vm, "a", &ram) == 0; i++) {
        gmem_ram_unref(ram);
        usleep(10000);
    }
    assert_int_equal(regions_of(board.vm), 2);
    a = make_owned(board.vm, "b");
    plug(&board, a, "b");
    gmem_hotplug_destroy(board.hotplug);
    board.hotplug = NULL;
    check_view(board.space, "");
    assert_null(gmem_region_container(a));
    gmem_region_unref(a);
    gmem_hotplug_destroy(NULL);
    board_close(&board);
    assert_int_equal(owners, 0);
}

/* A listener's refusal leaves everything as it was; from a callback nothing can be plugged, but looked at. */
struct ear {
    struct gmem_listener listener;
    struct board *board;
    gmem_region *block;
    int refuse;
};

static int on_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct ear *ear = listener->opaque;

    (void)section;
    REFUSED(EBUSY, gmem_hotplug_plug(ear->board->hotplug, ear->block, NULL, "inside", NULL));
    REFUSED(EBUSY, gmem_hotplug_unplug(ear->board->hotplug, "a"));
    check_info(ear->board, gmem_region_container(ear->block) ? PAGE : 0, gmem_region_container(ear->block) ? 1 : 0);
    return ear->refuse;
}

static int on_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)section;
    return ((struct ear *)listener->opaque)->refuse;
}

static void test_listener(void **state)
{
    struct board board;
    struct ear ear = {.board = &board};
    uint64_t got = 5;

    (void)state;
    board_open(&board, 0x8000, 2, 0);
    ear.block = make_ram(board.vm, "a", PAGE);
    ear.listener = (struct gmem_listener){
        .struct_size = sizeof(ear.listener), .opaque = &ear, .region_add = on_add, .region_del = on_del};
    OK(gmem_listener_register(board.vm, NULL, &ear.listener));
    ear.refuse = -EMFILE;
    REFUSED(EMFILE, gmem_hotplug_plug(board.hotplug, ear.block, NULL, "a", &got));
    assert_int_equal(got, 5);
    check_blocks(&board, "");
    check_view(board.space, "");
    ear.refuse = 0;
    plug(&board, ear.block, "a");
    ear.refuse = -EIO;
    REFUSED(EIO, gmem_hotplug_unplug(board.hotplug, "a"));
    check_blocks(&board, "a@0+1000 ");
    check_view(board.space, "100000000-100000fff a+0\n");
    ear.refuse = 0;
    gmem_listener_unregister(board.vm, &ear.listener);
    gmem_region_unref(ear.block);
    board_close(&board);
}

static int unplug_it(void *opaque, const struct gmem_hotplug_block *block)
{
    return gmem_hotplug_unplug(opaque, block->id);
}

static int stop_at_once(void *opaque, const struct gmem_hotplug_block *block)
{
    (void)block;
    ++*(unsigned *)opaque;
    return 42;
}

static void test_foreach(void **state)
{
    struct board board;
    gmem_region *a, *b;
    unsigned calls = 0;

    (void)state;
    board_open(&board, 0x8000, 2, 0);
    a = make_ram(board.vm, "a", PAGE);
    b = make_ram(board.vm, "b", PAGE);
    plug_at(&board, a, 0x4000, "z");
    plug_at(&board, b, 0x2000, "y");
    check_blocks(&board, "y@2000+1000 z@4000+1000 ");
    assert_int_equal(gmem_hotplug_foreach(board.hotplug, stop_at_once, &calls), 42);
    assert_int_equal(calls, 1);
    OK(gmem_hotplug_foreach(board.hotplug, unplug_it, board.hotplug));
    check_blocks(&board, "");
    gmem_region_unref(a);
    gmem_region_unref(b);
    board_close(&board);
}

/* Every allocation fails once: -ENOMEM, nothing changed. */
static void test_oom(void **state)
{
    struct gmem_hotplug_options options = options_of(0x8000, 2, 0);
    gmem_hotplug *hotplug = NULL;
    struct board board;
    unsigned long n;
    gmem_region *a;
    int err;

    (void)state;
    board_open(&board, 0x8000, 2, 0);
    a = make_ram(board.vm, "a", PAGE);
    options.base = 0x10000;
    for (n = 1, err = -1; err; n++) {
        wrap_start(n);
        err = gmem_hotplug_create(board.root, &options, &hotplug);
        assert_int_equal(wrap_stop(), err != 0);
        assert_true(err == 0 || (err == -ENOMEM && !hotplug));
    }
    assert_true(n > 3);
    gmem_hotplug_destroy(hotplug);
    for (n = 1, err = -1; err; n++) {
        check_blocks(&board, "");
        wrap_start(n);
        err = gmem_hotplug_plug(board.hotplug, a, NULL, "a", NULL);
        assert_int_equal(wrap_stop(), err != 0);
        assert_true(err == 0 || err == -ENOMEM);
    }
    assert_true(n > 3);
    for (n = 1, err = -1; err; n++) {
        check_blocks(&board, "a@0+1000 ");
        wrap_start(n);
        err = gmem_hotplug_unplug(board.hotplug, "a");
        assert_int_equal(wrap_stop(), err != 0);
        assert_true(err == 0 || err == -ENOMEM);
    }
    check_blocks(&board, "");
    wrap_start(1);
    err = gmem_hotplug_foreach(board.hotplug, unplug_it, NULL);
    (void)wrap_stop();
    assert_int_equal(err, -ENOMEM);
    gmem_region_unref(a);
    board_close(&board);
}

/* Several threads plug and unplug blocks of their own; no two are ever at one place. */
struct worker {
    struct board *board;
    char id[8];
    gmem_region *block;
};

static void *work(void *opaque)
{
    struct worker *worker = opaque;
    unsigned i;

    for (i = 0; i < 300; i++) {
        if (gmem_hotplug_plug(worker->board->hotplug, worker->block, NULL, worker->id, NULL) ||
            gmem_hotplug_unplug(worker->board->hotplug, worker->id))
            return worker;
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct worker workers[3];
    pthread_t threads[3];
    struct board board;
    unsigned i;

    (void)state;
    board_open(&board, 3 * PAGE, 3, 0);
    for (i = 0; i < 3; i++) {
        workers[i].board = &board;
        snprintf(workers[i].id, sizeof(workers[i].id), "w%u", i);
        workers[i].block = make_ram(board.vm, workers[i].id, PAGE);
        OK(pthread_create(&threads[i], NULL, work, &workers[i]));
    }
    for (i = 0; i < 3; i++) {
        void *wrong = NULL;

        OK(pthread_join(threads[i], &wrong));
        assert_null(wrong);
        gmem_region_unref(workers[i].block);
    }
    check_blocks(&board, "");
    board_close(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),    cmocka_unit_test(test_places),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_resizable), cmocka_unit_test(test_transactions), cmocka_unit_test(test_references),
        cmocka_unit_test(test_listener),  cmocka_unit_test(test_foreach),      cmocka_unit_test(test_oom),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
