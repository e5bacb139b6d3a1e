/* SPDX-License-Identifier: MIT */
/*
 * test-ram.c - RAM blocks in their vm: ids, offsets by best fit, references, finding, what is refused, advice.
 * Where their memory comes from is in test-ram-backing.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <gmem/gmem.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define UNIT (64 * page_size()) /* offsets are multiples of it */

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int open_vm(void **state)
{
    gmem_vm *vm;

    assert_int_equal(gmem_vm_create(NULL, &vm), 0);
    *state = vm;
    return 0;
}

static int close_vm(void **state)
{
    gmem_vm_destroy(*state);
    return 0;
}

static gmem_ram *anon(gmem_vm *vm, const char *id, uint64_t size)
{
    gmem_ram *ram;

    assert_int_equal(gmem_ram_create_anon(vm, id, size, &ram), 0);
    return ram;
}

/* --- what a block is ----------------------------------------------------------------------------------------------- */

static void anonymous_defaults(void **state)
{
    uint64_t offset;
    gmem_ram *ram = anon(*state, "ram", 5000);
    uint8_t *host = gmem_ram_host(ram);
    int fd = -77;
    size_t i;

    assert_ptr_equal(gmem_ram_vm(ram), *state);
    assert_string_equal(gmem_ram_id(ram), "ram");
    assert_int_equal(gmem_ram_size(ram), 5000);
    assert_int_equal(gmem_ram_page_size(ram), page_size());
    assert_int_equal(gmem_ram_mapped(ram), (5000 + page_size() - 1) / page_size() * page_size());
    assert_int_equal(gmem_ram_offset(ram), 0);
    assert_int_equal(gmem_ram_flags(ram), 0);
    assert_int_equal((uintptr_t)host % page_size(), 0);
    for (i = 0; i < gmem_ram_mapped(ram); i++)
        assert_int_equal(host[i], 0);
    host[gmem_ram_mapped(ram) - 1] = 1;
    assert_int_equal(gmem_ram_fd(ram, &fd, &offset), -ENODATA);
    assert_int_equal(fd, -77);
    gmem_ram_unref(ram);
    gmem_ram_unref(NULL);
}

static void unreferenced_by_destroy(void **state)
{
    gmem_vm *vm;

    (void)state;
    assert_int_equal(gmem_vm_create(NULL, &vm), 0);
    (void)gmem_ram_ref(anon(vm, "kept", 4096));
    (void)anon(vm, "kept too", 4096);
    gmem_vm_destroy(vm);
}

/* --- ids ----------------------------------------------------------------------------------------------------------- */

static void ids(void **state)
{
    char id[GMEM_RAM_ID_MAX + 2], reason[256];
    gmem_ram *one = anon(*state, "one", 4096), *other = (gmem_ram *)(uintptr_t)1;
    gmem_vm *second;

    assert_int_equal(gmem_ram_create_anon(*state, "one", 8192, &other), -EEXIST);
    assert_true(other == (gmem_ram *)(uintptr_t)1);
    assert_int_equal(gmem_vm_reason(*state, reason, sizeof(reason)), -EEXIST);
    assert_non_null(strstr(reason, "\"one\""));

    /* An id is a name in its vm only, and free again after the last reference. */
    assert_int_equal(gmem_vm_create(NULL, &second), 0);
    gmem_ram_unref(anon(second, "one", 4096));
    gmem_vm_destroy(second);
    (void)gmem_ram_ref(one);
    gmem_ram_unref(one);
    assert_int_equal(gmem_ram_create_anon(*state, "one", 4096, &other), -EEXIST);
    gmem_ram_unref(one);
    gmem_ram_unref(anon(*state, "one", 4096));

    memset(id, 'x', sizeof(id));
    id[GMEM_RAM_ID_MAX + 1] = '\0';
    assert_int_equal(gmem_ram_create_anon(*state, id, 4096, &other), -EINVAL);
    id[GMEM_RAM_ID_MAX] = '\0';
    one = anon(*state, id, 4096);
    assert_string_equal(gmem_ram_id(one), id);
    gmem_ram_unref(one);
}

static void found_by_id_and_by_address(void **state)
{
    gmem_ram *a = anon(*state, "a", 8192), *b = anon(*state, "b", 100), *found;
    uint8_t *host = gmem_ram_host(b);
    uint64_t offset = 7;

    assert_int_equal(gmem_ram_find(*state, "b", &found), 0);
    assert_ptr_equal(found, b);
    gmem_ram_unref(found);
    assert_int_equal(gmem_ram_find(*state, "c", &found), -ENOENT);

    assert_int_equal(gmem_ram_find_host(*state, host + 99, &found, &offset), 0);
    assert_ptr_equal(found, b);
    assert_int_equal(offset, 99);
    gmem_ram_unref(found);
    assert_int_equal(gmem_ram_find_host(*state, host + 100, &found, &offset), -ENOENT);
    assert_int_equal(offset, 99);
    assert_int_equal(gmem_ram_find_host(*state, &host, &found, &offset), -ENOENT);
    assert_int_equal(gmem_ram_find_host(*state, NULL, &found, &offset), -ENOENT);

    /* Finding takes a reference: the block outlives its creator's. */
    assert_int_equal(gmem_ram_find(*state, "a", &found), 0);
    gmem_ram_unref(a);
    memset(gmem_ram_host(found), 1, 8192);
    gmem_ram_unref(found);
    assert_int_equal(gmem_ram_find(*state, "a", &found), -ENOENT);
    gmem_ram_unref(b);
}

/* --- offsets ------------------------------------------------------------------------------------------------------- */

static void best_fit(void **state)
{
    /* Holes of 3, 1, 2 and 1 units are made, at 1, 5, 7 and 10; the rest behind 12 is free. */
    static const struct {
        uint64_t units;
        bool hole;
    } layout[] = {{1, false}, {3, true},  {1, false}, {1, true}, {1, false},
                  {2, true},  {1, false}, {1, true},  {1, false}};
    /* What is then asked for, and where it goes. */
    static const struct {
        uint64_t units, at;
    } wanted[] = {
        {1, 5},  /* the smallest hole, the lower of two */
        {1, 10}, /* the other */
        {1, 7},  /* the smallest that is left: two units, of which one remains */
        {1, 8},  {4, 12}, {3, 1}, {1, 16},
    };
    gmem_ram *rams[sizeof(layout) / sizeof(layout[0])], *more[sizeof(wanted) / sizeof(wanted[0])];
    uint64_t at = 0;
    char id[32];
    size_t i;

    for (i = 0; i < sizeof(layout) / sizeof(layout[0]); i++) {
        (void)snprintf(id, sizeof(id), "layout %zu", i);
        rams[i] = anon(*state, id, layout[i].units * UNIT);
        assert_int_equal(gmem_ram_offset(rams[i]), at * UNIT);
        at += layout[i].units;
    }
    for (i = 0; i < sizeof(layout) / sizeof(layout[0]); i++) {
        if (layout[i].hole)
            gmem_ram_unref(rams[i]);
    }
    for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        (void)snprintf(id, sizeof(id), "wanted %zu", i);
        more[i] = anon(*state, id, wanted[i].units * UNIT);
        assert_int_equal(gmem_ram_offset(more[i]), wanted[i].at * UNIT);
    }
    for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        gmem_ram_unref(more[i]);
    for (i = 0; i < sizeof(layout) / sizeof(layout[0]); i++) {
        if (!layout[i].hole)
            gmem_ram_unref(rams[i]);
    }
}

/* A bitmap word of a bit a page belongs to one block: the next begins at a multiple of 64 pages, however small the first. */
static void offsets_are_multiples_of_64_pages(void **state)
{
    gmem_ram *a = anon(*state, "a", 1), *b = anon(*state, "b", UNIT + 1), *c = anon(*state, "c", 1);

    assert_int_equal(gmem_ram_offset(a), 0);
    assert_int_equal(gmem_ram_offset(b), UNIT);
    assert_int_equal(gmem_ram_offset(c), 3 * UNIT);
    gmem_ram_unref(c);
    gmem_ram_unref(a);
    gmem_ram_unref(b);
}

/* No memory behind these: a caller's block is not touched. */
static int huge(gmem_vm *vm, const char *id, uint64_t size, gmem_ram **ret_ram)
{
    struct gmem_ram_options options = {.struct_size = sizeof(options),
                                       .id = id,
                                       .size = size,
                                       .backing = GMEM_RAM_CALLER,
                                       .host = (void *)(uintptr_t)page_size()};

    return gmem_ram_create(vm, &options, ret_ram);
}

static void no_offsets_left(void **state)
{
    const uint64_t quarter = (uint64_t)1 << 62;
    gmem_ram *rams[4], *more = NULL;
    char id[8];
    size_t i;

    for (i = 0; i < 4; i++) {
        (void)snprintf(id, sizeof(id), "%zu", i);
        assert_int_equal(huge(*state, id, i < 3 ? quarter : quarter - UNIT, &rams[i]), 0);
        assert_true(gmem_ram_offset(rams[i]) == i * quarter);
    }
    assert_int_equal(huge(*state, "more", UNIT + 1, &more), -ENOSPC);
    assert_null(more);
    /* The last one ends at 2^64. */
    assert_int_equal(huge(*state, "last", UNIT, &more), 0);
    assert_true(gmem_ram_offset(more) == 0 - UNIT);
    assert_int_equal(gmem_ram_create_anon(*state, "none", 1, &more), -ENOSPC);
    gmem_ram_unref(rams[1]);
    assert_int_equal(gmem_ram_create_anon(*state, "some", 1, &rams[1]), 0);
    assert_true(gmem_ram_offset(rams[1]) == quarter);
    for (i = 0; i < 4; i++)
        gmem_ram_unref(rams[i]);
    gmem_ram_unref(more);
}

/* --- what is refused ----------------------------------------------------------------------------------------------- */

static void refused_options(void **state)
{
    static uint8_t memory[3 * 65536];
    uint8_t *page = memory + (65536 - (uintptr_t)memory % 65536);
    const uint64_t ps = page_size();
    const struct gmem_ram_options wrong[] = {
        {.id = NULL, .size = 1},
        {.id = "", .size = 1},
        {.id = "x", .size = 0},
        {.id = "x", .size = 1, .backing = (enum gmem_ram_backing)4},
        {.id = "x", .size = 1, .flags = 0x200},
        {.id = "x", .size = 1, .flags = GMEM_RAM_READONLY},
        {.id = "x", .size = 1, .flags = GMEM_RAM_HUGETLB},
        {.id = "x", .size = 1, .path = "/tmp/x"},
        {.id = "x", .size = 1, .file_offset = ps},
        {.id = "x", .size = 1, .host = page},
        {.id = "x", .size = 1, .align = 3 * ps},
        {.id = "x", .size = 1, .align = ps / 2},
        {.id = "x", .size = 1, .huge_page_size = 2u << 20},
        {.id = "x", .size = 1, .backing = GMEM_RAM_MEMFD, .flags = GMEM_RAM_HUGETLB, .huge_page_size = 3u << 20},
        {.id = "x", .size = 1, .backing = GMEM_RAM_FILE},
        {.id = "x", .size = 1, .backing = GMEM_RAM_FILE, .path = ""},
        {.id = "x", .size = 1, .backing = GMEM_RAM_FILE, .path = "/tmp/x", .file_offset = 1},
        {.id = "x",
         .size = 1,
         .backing = GMEM_RAM_FILE,
         .path = "/dev/zero",
         .flags = GMEM_RAM_READONLY | GMEM_RAM_PREALLOC},
        {.id = "x", .size = 1, .backing = GMEM_RAM_CALLER},
        {.id = "x", .size = 1, .backing = GMEM_RAM_CALLER, .host = page + 1},
        {.id = "x", .size = 1, .backing = GMEM_RAM_CALLER, .host = page + ps, .align = 16 * ps},
        {.id = "x", .size = UINT64_MAX / 2 + 1, .backing = GMEM_RAM_CALLER, .host = (void *)(UINTPTR_MAX / 2 + 1 + ps)},
    };
    gmem_ram *ram = NULL;
    char reason[256];
    size_t i;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct gmem_ram_options options = wrong[i];

        options.struct_size = sizeof(options);
        if (gmem_ram_create(*state, &options, &ram) != -EINVAL)
            fail_msg("options %zu were not refused", i);
        assert_null(ram);
        assert_int_equal(gmem_vm_reason(*state, reason, sizeof(reason)), -EINVAL);
        assert_true(strlen(reason) > 10);
    }
    assert_int_equal(gmem_ram_create_anon(*state, "x", UINT64_MAX, &ram), -EOVERFLOW);
    assert_int_equal(gmem_ram_create_anon(NULL, "x", 1, &ram), -EINVAL);
    assert_int_equal(gmem_ram_create_anon(*state, "x", 1, NULL), -EINVAL);
    assert_int_equal(gmem_ram_create(*state, NULL, &ram), -EINVAL);
    /* None of these took the id. */
    gmem_ram_unref(anon(*state, "x", 1));
}

static void option_struct_sizes(void **state)
{
    struct {
        struct gmem_ram_options options;
        uint64_t tail;
    } newer = {.options = {.struct_size = sizeof(newer), .id = "newer", .size = 4096}};
    struct gmem_ram_options older = {
        .struct_size = offsetof(struct gmem_ram_options, path), .id = "older", .size = 4096, .align = 3};
    gmem_ram *ram;

    assert_int_equal(gmem_ram_create(*state, &newer.options, &ram), 0);
    gmem_ram_unref(ram);
    newer.tail = 1;
    assert_int_equal(gmem_ram_create(*state, &newer.options, &ram), -EINVAL);
    /* What lies beyond what the caller knows is not looked at. */
    assert_int_equal(gmem_ram_create(*state, &older, &ram), 0);
    gmem_ram_unref(ram);
    older.struct_size = 0;
    assert_int_equal(gmem_ram_create(*state, &older, &ram), -EINVAL);
}

static int create_in_callback(struct gmem_listener *listener)
{
    gmem_ram *ram;
    int err = gmem_ram_create_anon(listener->opaque, "from a listener", 4096, &ram);

    return err ? err : -EIO;
}

static void not_from_a_listener(void **state)
{
    struct gmem_listener listener = {.struct_size = sizeof(listener), .opaque = *state, .begin = create_in_callback};

    assert_int_equal(gmem_listener_register(*state, NULL, &listener), -EBUSY);
}

/* Inside a transaction of this thread, and of another, blocks come and go as ever. */
static void *create_thread(void *vm)
{
    gmem_ram *ram;
    int err = gmem_ram_create_anon(vm, "thread", 4096, &ram);

    if (!err)
        gmem_ram_unref(ram);
    return (void *)(intptr_t)err;
}

static void inside_a_transaction(void **state)
{
    pthread_t thread;
    void *err;

    assert_int_equal(gmem_vm_begin(*state), 0);
    gmem_ram_unref(anon(*state, "mine", 4096));
    assert_int_equal(pthread_create(&thread, NULL, create_thread, *state), 0);
    assert_int_equal(pthread_join(thread, &err), 0);
    assert_int_equal((intptr_t)err, 0);
    assert_int_equal(gmem_vm_commit(*state), 0);
}

/* --- advice -------------------------------------------------------------------------------------------------------- */

/* Whether the kernel lists a flag (proc(5), VmFlags) for the mapping that address is in. */
static bool has_vm_flag(const void *address, const char *flag)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    bool here = false, found = false;
    char line[512];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        unsigned long first, end;

        if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
            here = (uintptr_t)address >= first && (uintptr_t)address < end;
        else if (here && !strncmp(line, "VmFlags:", 8))
            found = strstr(line, flag) != NULL;
    }
    (void)fclose(file);
    return found;
}

static void count_warning(void *opaque, enum gmem_log_level level, const char *text)
{
    (void)level;
    print_message("%s\n", text);
    ++*(unsigned *)opaque;
}

/* Each advice reaches the kernel, or there is a line in the log. */
static void advice(void **state)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } advices[] = {
        {GMEM_RAM_HUGE, " hg"}, {GMEM_RAM_NO_DUMP, " dd"}, {GMEM_RAM_NO_FORK, " dc"}, {GMEM_RAM_MERGE, " mg"}};
    unsigned warnings = 0, before;
    struct gmem_vm_options vm_options = {
        .struct_size = sizeof(vm_options), .log = count_warning, .log_opaque = &warnings};
    gmem_ram *ram, *plain;
    gmem_vm *vm;
    size_t i;

    (void)state;
    assert_int_equal(gmem_vm_create(&vm_options, &vm), 0);
    for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        struct gmem_ram_options options = {
            .struct_size = sizeof(options), .id = "advised", .size = 4u << 20, .flags = advices[i].flag};

        before = warnings;
        assert_int_equal(gmem_ram_create(vm, &options, &ram), 0);
        assert_int_equal(has_vm_flag(gmem_ram_host(ram), advices[i].name), warnings == before);
        if (advices[i].flag == GMEM_RAM_HUGE)
            assert_int_equal((uintptr_t)gmem_ram_host(ram) % (2u << 20), 0);
        plain = anon(vm, "plain", 4u << 20);
        assert_false(has_vm_flag(gmem_ram_host(plain), advices[i].name));
        gmem_ram_unref(plain);
        gmem_ram_unref(ram);
    }
    gmem_vm_destroy(vm);
}

static void alignment_in_the_host(void **state)
{
    uint64_t align;

    for (align = page_size(); align <= (uint64_t)1 << 38; align *= 4) {
        struct gmem_ram_options options = {
            .struct_size = sizeof(options), .id = "aligned", .size = 3 * page_size(), .align = align};
        gmem_ram *ram;

        assert_int_equal(gmem_ram_create(*state, &options, &ram), 0);
        assert_int_equal((uintptr_t)gmem_ram_host(ram) % align, 0);
        memset(gmem_ram_host(ram), 1, gmem_ram_mapped(ram));
        gmem_ram_unref(ram);
    }
}

/* --- threads ------------------------------------------------------------------------------------------------------- */

#define ROUNDS 500

static void *churn(void *opaque)
{
    gmem_vm *vm = opaque;
    gmem_ram *ram;
    int i, err;

    for (i = 0; i < ROUNDS; i++) {
        err = gmem_ram_create_anon(vm, "contended", 4096, &ram);
        if (err == -EEXIST)
            err = gmem_ram_find(vm, "contended", &ram);
        if (err == -ENOENT)
            continue;
        if (err)
            return vm; /* neither created nor found */
        (void)__atomic_fetch_add((uint64_t *)gmem_ram_host(ram), 1, __ATOMIC_RELAXED);
        gmem_ram_unref(ram);
    }
    return NULL;
}

/* Whoever finds a block has one that is mapped, while its last reference may be given up at any time. */
static void created_found_and_released_at_once(void **state)
{
    pthread_t threads[4];
    gmem_ram *ram;
    void *wrong;
    size_t i;

    for (i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, *state), 0);
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(gmem_ram_find(*state, "contended", &ram), -ENOENT);
    gmem_ram_unref(anon(*state, "contended", 4096));
}

struct met {
    gmem_vm *vm;
    char ids[64];
    uint64_t after; /* the offset of the one before */
    const char *stop;
    gmem_ram *made;
};

static int meet(void *opaque, gmem_ram *ram)
{
    struct met *met = opaque;

    assert_true(met->ids[0] == '\0' || gmem_ram_offset(ram) > met->after);
    met->after = gmem_ram_offset(ram);
    strcat(met->ids, gmem_ram_id(ram));
    /* Made on the way: met, where it is behind this one. */
    if (!strcmp(gmem_ram_id(ram), "c") && !met->made)
        met->made = anon(met->vm, "d", 4096);
    return met->stop && !strcmp(met->stop, gmem_ram_id(ram)) ? 42 : 0;
}

static void each_block(void **state)
{
    struct met met = {.vm = *state};
    gmem_ram *a, *b, *c;

    assert_int_equal(gmem_ram_foreach(NULL, meet, &met), -EINVAL);
    assert_int_equal(gmem_ram_foreach(*state, NULL, &met), -EINVAL);
    assert_int_equal(gmem_ram_foreach(*state, meet, &met), 0);
    assert_string_equal(met.ids, "");
    a = anon(*state, "a", 4096);
    b = anon(*state, "b", 4096);
    c = anon(*state, "c", 4096);
    gmem_ram_unref(b);
    assert_int_equal(gmem_ram_foreach(*state, meet, &met), 0);
    /* d took the place of b, which is before c. */
    assert_string_equal(met.ids, "ac");
    met.ids[0] = '\0';
    assert_int_equal(gmem_ram_foreach(*state, meet, &met), 0);
    assert_string_equal(met.ids, "adc");
    met.ids[0] = '\0';
    met.stop = "d";
    assert_int_equal(gmem_ram_foreach(*state, meet, &met), 42);
    assert_string_equal(met.ids, "ad");
    gmem_ram_unref(met.made);
    met = (struct met){.vm = *state};
    b = anon(*state, "b", 4096);
    assert_int_equal(gmem_ram_foreach(*state, meet, &met), 0);
    assert_string_equal(met.ids, "abcd");
    gmem_ram_unref(met.made);
    gmem_ram_unref(a);
    gmem_ram_unref(b);
    gmem_ram_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(anonymous_defaults, open_vm, close_vm),
        cmocka_unit_test(unreferenced_by_destroy),
        cmocka_unit_test_setup_teardown(ids, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(found_by_id_and_by_address, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(each_block, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(best_fit, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(offsets_are_multiples_of_64_pages, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(no_offsets_left, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(refused_options, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(option_struct_sizes, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(not_from_a_listener, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(inside_a_transaction, open_vm, close_vm),
        cmocka_unit_test(advice),
        cmocka_unit_test_setup_teardown(alignment_in_the_host, open_vm, close_vm),
        cmocka_unit_test_setup_teardown(created_found_and_released_at_once, open_vm, close_vm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
