/* SPDX-License-Identifier: MIT */
/*
 * test-discard.c - population of parts of RAM: states, listeners and their refusals, memory given back. Linked with
 * madvise(2), fallocate(2) and the allocator wrapped, to make them fail.
 */
#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 0x1000u
#define G 0x4000u /* granule */
#define COUNT 150u
#define SIZE (COUNT * G)

/* --- what is wrapped ----------------------------------------------------------------------------------------------- */

static bool host_refuses;
static unsigned given_back;
static bool no_memory;

int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);
int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
int __real_fallocate64(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

int __wrap_madvise(void *at, size_t size, int advice)
{
    if (host_refuses) {
        errno = EINVAL;
        return -1;
    }
    given_back += advice == MADV_DONTNEED || advice == MADV_REMOVE;
    return __real_madvise(at, size, advice);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
    if (host_refuses) {
        errno = EOPNOTSUPP;
        return -1;
    }
    given_back += (mode & FALLOC_FL_PUNCH_HOLE) != 0;
    return __real_fallocate(fd, mode, offset, size);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t size)
{
    return __wrap_fallocate(fd, mode, offset, size);
}

void *__wrap_malloc(size_t size)
{
    return no_memory ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return no_memory ? NULL : __real_calloc(count, size);
}

/* --- a region, and listeners that write down what they hear ------------------------------------------------------------ */

static char heard[4096];

static void check_heard(const char *expected)
{
    assert_string_equal(heard, expected);
    heard[0] = 0;
}

struct ear {
    struct gmem_discard_listener listener;
    char name;
    int refuse;
    uint64_t refuse_at;
    bool state[COUNT]; /* as told */
};

static void note(struct ear *ear, char what, uint64_t first, uint64_t last)
{
    size_t length = strlen(heard);
    uint64_t i;

    if (length < sizeof(heard) - 64)
        snprintf(heard + length, sizeof(heard) - length, "%c%c%llx-%llx ", ear->name, what, (unsigned long long)first,
                 (unsigned long long)last);
    for (i = first / G; i <= last / G; i++) {
        assert_int_equal(ear->state[i], what == '-');
        ear->state[i] = what == '+';
    }
}

static int on_populate(struct gmem_discard_listener *listener, gmem_region *region, uint64_t first, uint64_t last)
{
    struct ear *ear = listener->opaque;

    assert_ptr_equal(region, listener->region);
    if (ear->refuse && first <= ear->refuse_at && ear->refuse_at <= last)
        return ear->refuse;
    note(ear, '+', first, last);
    /* Nothing of this may be called from here. */
    REFUSED(EBUSY, gmem_discard_populate(region, 0, G - 1));
    REFUSED(EBUSY, gmem_discard_discard(region, 0, G - 1));
    REFUSED(EBUSY, gmem_discard_disable(gmem_region_vm(region)));
    return 0;
}

static void on_discard(struct gmem_discard_listener *listener, gmem_region *region, uint64_t first, uint64_t last)
{
    assert_ptr_equal(region, listener->region);
    note(listener->opaque, '-', first, last);
}

static void ear_open(struct ear *ear, char name)
{
    memset(ear, 0, sizeof(*ear));
    ear->name = name;
    ear->listener = (struct gmem_discard_listener){
        .populate = on_populate, .discard = on_discard, .opaque = ear, .last = UINT64_MAX};
}

static gmem_region *make_region(gmem_vm *vm, enum gmem_ram_backing backing, uint32_t flags, const char *path)
{
    struct gmem_ram_options options = {
        .struct_size = sizeof(options), .id = "ram", .size = SIZE, .backing = backing, .flags = flags, .path = path};
    gmem_region *region = NULL;
    gmem_ram *ram = NULL;

    OK(gmem_ram_create(vm, &options, &ram));
    OK(gmem_region_create_ram(vm, "ram", ram, NULL, &region));
    gmem_ram_unref(ram);
    return region;
}

static void make_discardable(gmem_region *region, bool populated)
{
    struct gmem_discard_options options = {.struct_size = sizeof(options), .granule = G, .populated = populated};

    OK(gmem_discard_create(region, &options));
}

static void populate(gmem_region *region, unsigned first, unsigned last)
{
    OK(gmem_discard_populate(region, (uint64_t)first * G, (uint64_t)last * G + G - 1));
}

static void discard(gmem_region *region, unsigned first, unsigned last)
{
    OK(gmem_discard_discard(region, (uint64_t)first * G, (uint64_t)last * G + G - 1));
}

static int run_text(void *opaque, gmem_region *region, uint64_t first, uint64_t last)
{
    char line[64];

    (void)region;
    snprintf(line, sizeof(line), "%llx-%llx ", (unsigned long long)first, (unsigned long long)last);
    text_add(opaque, line);
    return 0;
}

static void check_runs(gmem_region *region, uint64_t first, uint64_t last, bool populated, const char *expected)
{
    struct text text = {NULL, 0};

    text_add(&text, "");
    OK(gmem_discard_foreach(region, first, last, populated, run_text, &text));
    assert_string_equal(text.chars, expected);
    free(text.chars);
}

/* --- tests --------------------------------------------------------------------------------------------------------- */

static void test_create(void **state)
{
    struct gmem_discard_options options = {.struct_size = sizeof(options), .granule = 0x3000};
    gmem_region *region, *twin = NULL, *other;
    gmem_vm *vm = make_vm();
    struct gmem_ram_options caller = {
        .struct_size = sizeof(caller), .id = "caller", .size = PAGE, .backing = GMEM_RAM_CALLER};
    gmem_ram *ram;
    int fd;

    (void)state;
    region = make_region(vm, GMEM_RAM_ANON, 0, NULL);
    assert_int_equal(gmem_discard_granule(region), 0);
    assert_int_equal(gmem_discard_granule(NULL), 0);
    assert_true(gmem_discard_is_populated(region, 0, SIZE - 1));
    check_runs(region, 5, 10, true, "5-a ");
    check_runs(region, 5, 10, false, "");
    REFUSED(ENOENT, gmem_discard_populate(region, 0, G - 1));
    REFUSED(ENOENT, gmem_discard_discard(region, 0, G - 1));
    REFUSED(EINVAL, gmem_discard_create(NULL, NULL));
    REFUSED(EINVAL, gmem_discard_create(region, &options));
    options.granule = 0x800;
    REFUSED(EINVAL, gmem_discard_create(region, &options));
    no_memory = true;
    REFUSED(ENOMEM, gmem_discard_create(region, NULL));
    no_memory = false;
    OK(gmem_discard_create(region, NULL));
    assert_int_equal(gmem_discard_granule(region), sysconf(_SC_PAGESIZE));
    REFUSED(EEXIST, gmem_discard_create(region, NULL));
    OK(gmem_region_create_ram(vm, "twin", gmem_region_ram(region), NULL, &twin));
    REFUSED(EEXIST, gmem_discard_create(twin, NULL));
    /* The state ends with its region: the other may have one then. */
    gmem_region_unref(region);
    OK(gmem_discard_create(twin, NULL));
    gmem_region_unref(twin);
    other = make_mmio(vm, "mmio", GMEM_SIZE(PAGE));
    REFUSED(EOPNOTSUPP, gmem_discard_create(other, NULL));
    other = make_rom(vm, "rom", PAGE);
    REFUSED(EOPNOTSUPP, gmem_discard_create(other, NULL));
    caller.host = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(gmem_ram_create(vm, &caller, &ram));
    OK(gmem_region_create_ram(vm, "caller", ram, NULL, &other));
    REFUSED(EOPNOTSUPP, gmem_discard_create(other, NULL));
    check_reason(vm, EOPNOTSUPP, "caller's");
    fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    close(fd);
    other = make_region(vm, GMEM_RAM_FILE, 0, "/tmp");
    REFUSED(EOPNOTSUPP, gmem_discard_create(other, NULL));
    check_reason(vm, EOPNOTSUPP, "private file");
    gmem_vm_destroy(vm);
    munmap(caller.host, PAGE);
}

static void test_no_other_size(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *region = make_ram(vm, "a", 0x10000), *other = make_ram(vm, "b", 0x10000);

    (void)state;
    make_discardable(region, true);
    REFUSED(EOPNOTSUPP, gmem_region_resize(region, GMEM_SIZE(0x4000)));
    check_reason(vm, EOPNOTSUPP, "discardable");
    assert_int_equal(gmem_region_size(region).bytes, 0x10000);
    OK(gmem_region_resize(region, GMEM_SIZE(0x10000)));
    /* Smaller than its block it can be, but not while that may be undone. */
    OK(gmem_vm_begin(vm));
    OK(gmem_region_resize(other, GMEM_SIZE(0x4000)));
    REFUSED(EBUSY, gmem_discard_create(other, NULL));
    assert_int_equal(gmem_discard_granule(other), 0);
    OK(gmem_region_resize(other, GMEM_SIZE(0x10000)));
    REFUSED(EBUSY, gmem_discard_create(other, NULL));
    gmem_vm_abort(vm);
    OK(gmem_region_resize(other, GMEM_SIZE(0x4000)));
    OK(gmem_discard_create(other, NULL));
    REFUSED(EOPNOTSUPP, gmem_region_resize(other, GMEM_SIZE(0x10000)));
    gmem_region_unref(region);
    gmem_region_unref(other);
    gmem_vm_destroy(vm);
}

static void test_states(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *region = make_region(vm, GMEM_RAM_ANON, 0, NULL);

    (void)state;
    make_discardable(region, false);
    assert_int_equal(gmem_discard_granule(region), G);
    check_runs(region, 0, UINT64_MAX, true, "");
    check_runs(region, 0, UINT64_MAX, false, "0-257fff ");
    REFUSED(EINVAL, gmem_discard_populate(region, 1, G - 1));
    REFUSED(EINVAL, gmem_discard_populate(region, 0, G));
    REFUSED(EINVAL, gmem_discard_populate(region, G, G - 1));
    REFUSED(EINVAL, gmem_discard_populate(NULL, 0, 0));
    REFUSED(ERANGE, gmem_discard_populate(region, 0, SIZE));
    no_memory = true;
    REFUSED(ENOMEM, gmem_discard_populate(region, 0, G - 1));
    no_memory = false;
    populate(region, 1, 2);
    populate(region, 60, 140);
    assert_true(gmem_discard_is_populated(region, G, 3 * G - 1));
    assert_true(gmem_discard_is_populated(region, G + 5, G + 5));
    assert_false(gmem_discard_is_populated(region, G - 1, G));
    assert_false(gmem_discard_is_populated(region, 0, SIZE));
    assert_true(gmem_discard_is_populated(region, 60 * G, 141 * G - 1));
    assert_false(gmem_discard_is_populated(region, 60 * G, 141 * G));
    check_runs(region, 0, UINT64_MAX, true, "4000-bfff f0000-233fff ");
    check_runs(region, 0x5000, 0xf1000, true, "5000-bfff f0000-f1000 ");
    check_runs(region, 0x5000, 0xf1000, false, "c000-effff ");
    discard(region, 0, 140);
    populate(region, 0, COUNT - 1);
    check_runs(region, 0, UINT64_MAX, true, "0-257fff ");
    gmem_region_unref(region);
    gmem_vm_destroy(vm);
}

static void test_listeners(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *region = make_region(vm, GMEM_RAM_ANON, 0, NULL);
    struct ear a, b;

    (void)state;
    heard[0] = 0;
    ear_open(&a, 'a');
    REFUSED(ENOENT, gmem_discard_listen(region, &a.listener));
    make_discardable(region, false);
    populate(region, 2, 3);
    populate(region, 6, 6);
    OK(gmem_discard_listen(region, &a.listener));
    check_heard("a+8000-ffff a+18000-1bfff ");
    REFUSED(EEXIST, gmem_discard_listen(region, &a.listener));
    ear_open(&b, 'b');
    b.listener.first = 4 * G;
    b.listener.last = 7 * G - 1;
    OK(gmem_discard_listen(region, &b.listener));
    check_heard("b+18000-1bfff ");
    /* By run, in order; what is populated is not told again; clipped. */
    populate(region, 3, 7);
    check_heard("a+10000-17fff b+10000-17fff a+1c000-1ffff ");
    discard(region, 0, 5);
    check_heard("b-10000-17fff a-8000-17fff ");
    discard(region, 0, 5);
    check_heard("");
    gmem_discard_unlisten(&b.listener);
    check_heard("b-18000-1bfff ");
    gmem_discard_unlisten(&b.listener);
    gmem_discard_unlisten(NULL);
    gmem_discard_unlisten(&a.listener);
    check_heard("a-18000-1ffff ");
    a.listener.populate = NULL;
    REFUSED(EINVAL, gmem_discard_listen(region, &a.listener));
    gmem_region_unref(region);
    gmem_vm_destroy(vm);
}

/* A refusal leaves everything as it was, and who heard is told back. */
static void test_refusals(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *region = make_region(vm, GMEM_RAM_ANON, 0, NULL);
    struct ear a, b, c;

    (void)state;
    heard[0] = 0;
    make_discardable(region, false);
    populate(region, 2, 2);
    populate(region, 100, 101);
    ear_open(&a, 'a');
    ear_open(&b, 'b');
    ear_open(&c, 'c');
    OK(gmem_discard_listen(region, &a.listener));
    OK(gmem_discard_listen(region, &b.listener));
    heard[0] = 0;
    b.refuse = -ENOSPC;
    b.refuse_at = 120 * G;
    REFUSED(ENOSPC, gmem_discard_populate(region, 0, SIZE - 1));
    check_heard("a+0-7fff b+0-7fff a+c000-18ffff b+c000-18ffff a+198000-257fff a-198000-257fff "
                "b-0-7fff a-0-7fff b-c000-18ffff a-c000-18ffff ");
    check_runs(region, 0, UINT64_MAX, true, "8000-bfff 190000-197fff ");
    b.refuse = 5;
    REFUSED(EINVAL, gmem_discard_populate(region, 120 * G, 121 * G - 1));
    heard[0] = 0;
    c.refuse = -EIO;
    c.refuse_at = 100 * G;
    REFUSED(EIO, gmem_discard_listen(region, &c.listener));
    check_heard("c+8000-bfff c-8000-bfff ");
    assert_null(c.listener.region);
    b.refuse = 0;
    populate(region, 120, 120);
    check_heard("a+1e0000-1e3fff b+1e0000-1e3fff ");
    gmem_discard_unlisten(&a.listener);
    gmem_discard_unlisten(&b.listener);
    gmem_region_unref(region);
    gmem_vm_destroy(vm);
}

/* What was discarded reads as zero, whatever is behind it, and the memory is the host's again. */
static void check_memory(enum gmem_ram_backing backing, uint32_t flags, const char *path, bool refuse)
{
    gmem_vm *vm = make_vm();
    gmem_region *region = make_region(vm, backing, flags, path);
    uint8_t *host = gmem_ram_host(gmem_region_ram(region));
    bool dirty;
    uint64_t i;

    make_discardable(region, true);
    OK(gmem_region_set_log(region, 2, true));
    memset(host, 0xcc, SIZE);
    given_back = 0;
    host_refuses = refuse;
    discard(region, 2, 4);
    host_refuses = false;
    assert_int_equal(given_back, refuse ? 0 : 1);
    for (i = 0; i < SIZE; i++)
        assert_int_equal(host[i], i >= 2 * G && i < 5 * G ? 0 : 0xcc);
    /* It is another content: for those who log it. */
    OK(gmem_ram_dirty_test(gmem_region_ram(region), 2, 2 * G, 3 * G, &dirty));
    assert_true(dirty);
    OK(gmem_ram_dirty_test(gmem_region_ram(region), 2, 5 * G, SIZE - 5 * G, &dirty));
    assert_false(dirty);
    gmem_region_unref(region);
    gmem_vm_destroy(vm);
}

static void test_memory(void **state)
{
    (void)state;
    for (unsigned refuse = 0; refuse < 2; refuse++) {
        check_memory(GMEM_RAM_ANON, 0, NULL, refuse);
        check_memory(GMEM_RAM_ANON, GMEM_RAM_SHARED, NULL, refuse);
        check_memory(GMEM_RAM_MEMFD, 0, NULL, refuse);
        check_memory(GMEM_RAM_MEMFD, GMEM_RAM_SHARED, NULL, refuse);
        check_memory(GMEM_RAM_FILE, GMEM_RAM_SHARED, "/tmp", refuse);
    }
}

/* Huge pages can be given back only whole. */
static void test_hugetlb(void **state)
{
    struct gmem_ram_options options = {.struct_size = sizeof(options),
                                       .id = "huge",
                                       .size = 4u << 20,
                                       .backing = GMEM_RAM_MEMFD,
                                       .flags = GMEM_RAM_HUGETLB | GMEM_RAM_SHARED,
                                       .huge_page_size = 2u << 20};
    struct gmem_discard_options granule = {.struct_size = sizeof(granule), .granule = PAGE, .populated = true};
    gmem_vm *vm = make_vm();
    gmem_region *region = NULL;
    gmem_ram *ram = NULL;

    (void)state;
    if (gmem_ram_create(vm, &options, &ram)) {
        print_message("this host has no huge pages to give\n");
        gmem_vm_destroy(vm);
        skip();
    }
    OK(gmem_region_create_ram(vm, "huge", ram, NULL, &region));
    REFUSED(EINVAL, gmem_discard_create(region, &granule));
    granule.granule = 0;
    OK(gmem_discard_create(region, &granule));
    assert_int_equal(gmem_discard_granule(region), 2u << 20);
    *(uint8_t *)gmem_ram_host(ram) = 1;
    OK(gmem_discard_discard(region, 0, (2u << 20) - 1));
    assert_int_equal(*(uint8_t *)gmem_ram_host(ram), 0);
    gmem_ram_unref(ram);
    gmem_region_unref(region);
    gmem_vm_destroy(vm);
}

static void test_disable(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *region = make_region(vm, GMEM_RAM_ANON, 0, NULL);
    struct ear a;

    (void)state;
    heard[0] = 0;
    make_discardable(region, false);
    ear_open(&a, 'a');
    OK(gmem_discard_listen(region, &a.listener));
    REFUSED(EINVAL, gmem_discard_disable(NULL));
    OK(gmem_discard_disable(vm));
    OK(gmem_discard_disable(vm));
    populate(region, 0, 0);
    check_heard("a+0-3fff ");
    REFUSED(EBUSY, gmem_discard_discard(region, 0, G - 1));
    check_reason(vm, EBUSY, "disabled");
    gmem_discard_enable(vm);
    REFUSED(EBUSY, gmem_discard_discard(region, 0, G - 1));
    check_heard("");
    gmem_discard_enable(vm);
    gmem_discard_enable(vm);
    gmem_discard_enable(NULL);
    discard(region, 0, 0);
    check_heard("a-0-3fff ");
    gmem_discard_unlisten(&a.listener);
    gmem_region_unref(region);
    gmem_vm_destroy(vm);
}

/* Registered and unregistered where ranges come and go, as a pass-through device does. */
static struct ear passed;

static int on_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener;
    REFUSED(EBUSY, gmem_discard_populate(section->region, 0, G - 1));
    return gmem_discard_listen(section->region, &passed.listener);
}

static int on_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    (void)listener, (void)section;
    gmem_discard_unlisten(&passed.listener);
    return 0;
}

static void test_in_listener(void **state)
{
    struct gmem_listener listener = {.struct_size = sizeof(listener), .region_add = on_add, .region_del = on_del};
    gmem_vm *vm = make_vm();
    gmem_region *root = make_container(vm, "root", GMEM_SIZE_ALL);
    gmem_region *region = make_region(vm, GMEM_RAM_ANON, 0, NULL);

    (void)state;
    heard[0] = 0;
    make_space(vm, "memory", root);
    OK(gmem_listener_register(vm, NULL, &listener));
    make_discardable(region, false);
    populate(region, 1, 1);
    ear_open(&passed, 'p');
    OK(gmem_region_add(root, 0, region));
    check_heard("p+4000-7fff ");
    OK(gmem_region_remove(root, region));
    check_heard("p-4000-7fff ");
    passed.refuse = -EIO;
    passed.refuse_at = G;
    REFUSED(EIO, gmem_region_add(root, 0, region));
    assert_null(gmem_region_container(region));
    gmem_listener_unregister(vm, &listener);
    gmem_region_unref(region);
    gmem_region_unref(root);
    gmem_vm_destroy(vm);
}

/* Any populating, discarding and refusing: what listeners were told is what is. */
static void test_random(void **state)
{
    gmem_vm *vm = make_vm();
    gmem_region *region = make_region(vm, GMEM_RAM_ANON, GMEM_RAM_NORESERVE, NULL);
    uint64_t random = 88172645463325252ull;
    bool want[COUNT] = {false};
    struct ear ears[3];
    unsigned i, j, first, last;

    (void)state;
    make_discardable(region, false);
    for (i = 0; i < 3; i++) {
        ear_open(&ears[i], (char)('a' + i));
        OK(gmem_discard_listen(region, &ears[i].listener));
    }
    for (i = 0; i < 3000; i++) {
        bool fails = false;

        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        first = (unsigned)(random % COUNT);
        last = first + (unsigned)(random >> 20) % (COUNT - first);
        if (random >> 40 & 1) {
            unsigned at = (unsigned)(random >> 41) % COUNT;
            struct ear *ear = &ears[(random >> 50) % 3];

            ear->refuse = random >> 55 & 1 ? -EIO : 0;
            ear->refuse_at = (uint64_t)at * G;
            fails = ear->refuse && at >= first && at <= last && !want[at];
            assert_int_equal(gmem_discard_populate(region, (uint64_t)first * G, (uint64_t)last * G + G - 1),
                             fails ? -EIO : 0);
            ear->refuse = 0;
            for (j = first; j <= last && !fails; j++)
                want[j] = true;
        } else {
            discard(region, first, last);
            for (j = first; j <= last; j++)
                want[j] = false;
        }
        heard[0] = 0;
        for (j = 0; j < COUNT; j++) {
            assert_int_equal(gmem_discard_is_populated(region, (uint64_t)j * G, (uint64_t)j * G), want[j]);
            assert_int_equal(ears[0].state[j], want[j]);
            assert_int_equal(ears[1].state[j], want[j]);
            assert_int_equal(ears[2].state[j], want[j]);
        }
    }
    for (i = 0; i < 3; i++)
        gmem_discard_unlisten(&ears[i].listener);
    gmem_region_unref(region);
    gmem_vm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),    cmocka_unit_test(test_no_other_size), cmocka_unit_test(test_states),
        cmocka_unit_test(test_listeners), cmocka_unit_test(test_refusals),      cmocka_unit_test(test_memory),
        cmocka_unit_test(test_hugetlb),   cmocka_unit_test(test_disable),       cmocka_unit_test(test_in_listener),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
