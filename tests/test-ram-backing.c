/* SPDX-License-Identifier: MIT */
/*
 * test-ram-backing.c - where the memory of RAM blocks comes from: each backing private and shared, files of every kind and
 * length, preallocation, and what is left behind when it fails: nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gmem/gmem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ram_backing.h"

#define NOBODY 65534

struct fixture {
    gmem_vm *vm;
    char dir[64];
    char path[96];
    unsigned fds;
};

static uint64_t page_size(void)
{
    return gmem__host_page_size();
}

static unsigned count_entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    assert_int_equal(gmem_vm_create(NULL, &fixture->vm), 0);
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/gmem-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/file", fixture->dir);
    fixture->fds = count_entries("/proc/self/fd");
    *state = fixture;
    return 0;
}

/* Every test must have removed its file by then, and given up its blocks: no descriptor is left. */
static int teardown(void **state)
{
    struct fixture *fixture = *state;
    unsigned fds;

    fds = count_entries("/proc/self/fd");
    gmem_vm_destroy(fixture->vm);
    if (fds != fixture->fds)
        print_error("%u descriptors, at first %u\n", fds, fixture->fds);
    if (rmdir(fixture->dir) || fds != fixture->fds)
        return -1;
    free(fixture);
    return 0;
}

static void make_file(const struct fixture *fixture, uint64_t size, mode_t mode)
{
    int fd = open(fixture->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    if (size > 0)
        assert_int_equal(pwrite(fd, "first", 5, 0), 5);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static uint64_t file_size(const struct fixture *fixture)
{
    struct stat st;

    assert_int_equal(stat(fixture->path, &st), 0);
    return (uint64_t)st.st_size;
}

static struct gmem_ram_options file_options(const struct fixture *fixture, uint64_t size, uint32_t flags)
{
    return (struct gmem_ram_options){.struct_size = sizeof(struct gmem_ram_options),
                                     .id = "ram",
                                     .size = size,
                                     .backing = GMEM_RAM_FILE,
                                     .flags = flags,
                                     .path = fixture->path};
}

static gmem_ram *create(const struct fixture *fixture, const struct gmem_ram_options *options)
{
    gmem_ram *ram;
    char reason[512];
    int err = gmem_ram_create(fixture->vm, options, &ram);

    if (err) {
        (void)gmem_vm_reason(fixture->vm, reason, sizeof(reason));
        fail_msg("%s", reason);
    }
    return ram;
}

/* Refused with err, with a reason that holds text, and the id is free. */
static void assert_refused(const struct fixture *fixture, const struct gmem_ram_options *options, int err,
                           const char *text)
{
    gmem_ram *ram = NULL;
    char reason[512];

    assert_int_equal(gmem_ram_create(fixture->vm, options, &ram), err);
    assert_null(ram);
    assert_int_equal(gmem_vm_reason(fixture->vm, reason, sizeof(reason)), err);
    if (!strstr(reason, text))
        fail_msg("\"%s\" does not say \"%s\"", reason, text);
    assert_int_equal(gmem_ram_find(fixture->vm, options->id, &ram), -ENOENT);
}

/* --- each backing -------------------------------------------------------------------------------------------------- */

/* Whether what is written through the block is seen by another mapping of its file, as another process has one. */
static void check_file(gmem_ram *ram, bool shared)
{
    uint8_t *host = gmem_ram_host(ram), *other;
    uint64_t offset;
    int fd;

    assert_int_equal(gmem_ram_fd(ram, &fd, &offset), 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    other = mmap(NULL, gmem_ram_mapped(ram), PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    assert_ptr_not_equal(other, MAP_FAILED);
    host[10] = 0x5a;
    host[gmem_ram_size(ram) - 1] = 0x5b;
    assert_int_equal(other[10], shared ? 0x5a : 0);
    assert_int_equal(other[gmem_ram_size(ram) - 1], shared ? 0x5b : 0);
    other[11] = 0x66;
    if (shared)
        assert_int_equal(host[11], 0x66);
    (void)munmap(other, gmem_ram_mapped(ram));
}

static void each_backing(void **state)
{
    const struct fixture *fixture = *state;
    static const enum gmem_ram_backing backings[] = {GMEM_RAM_ANON, GMEM_RAM_MEMFD, GMEM_RAM_FILE, GMEM_RAM_CALLER};
    const uint64_t size = 3 * page_size() + 100, mapped = 4 * page_size();
    unsigned i, flag;

    for (i = 0; i < 4; i++) {
        for (flag = 0; flag < 8; flag++) {
            void *own = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            struct gmem_ram_options options = {.struct_size = sizeof(options),
                                               .id = "ram",
                                               .size = size,
                                               .backing = backings[i],
                                               .flags = (flag & 1 ? GMEM_RAM_SHARED : 0) |
                                                        (flag & 2 ? GMEM_RAM_PREALLOC : 0),
                                               .path = backings[i] == GMEM_RAM_FILE ? fixture->path : NULL,
                                               .host = backings[i] == GMEM_RAM_CALLER ? own : NULL,
                                               .align = flag & 4 ? page_size() : 0};
            gmem_ram *ram = create(fixture, &options);
            uint8_t *host = gmem_ram_host(ram);
            uint64_t offset = 1;
            int fd = -1;

            assert_int_equal(gmem_ram_size(ram), size);
            assert_int_equal(gmem_ram_mapped(ram), mapped);
            assert_int_equal(gmem_ram_flags(ram), options.flags);
            assert_int_equal(host[0] | host[size - 1], 0);
            if (backings[i] == GMEM_RAM_CALLER)
                assert_ptr_equal(host, own);
            if (backings[i] == GMEM_RAM_MEMFD || backings[i] == GMEM_RAM_FILE)
                check_file(ram, flag & 1);
            else
                assert_int_equal(gmem_ram_fd(ram, &fd, &offset), -ENODATA);
            memset(host, 1, mapped);
            gmem_ram_unref(ram);
            /* The caller's memory stays the caller's. */
            memset(own, 2, mapped);
            (void)munmap(own, mapped);
            if (backings[i] == GMEM_RAM_FILE)
                assert_int_equal(unlink(fixture->path), 0);
        }
    }
}

/* Whoever has the descriptor can't cut the memory off under the guest. */
static void memfd_keeps_its_size(void **state)
{
    const struct fixture *fixture = *state;
    struct gmem_ram_options options = {
        .struct_size = sizeof(options), .id = "ram", .size = 8192, .backing = GMEM_RAM_MEMFD, .flags = GMEM_RAM_SHARED};
    gmem_ram *ram = create(fixture, &options);
    uint64_t offset;
    int fd;

    assert_int_equal(gmem_ram_fd(ram, &fd, &offset), 0);
    assert_int_equal(offset, 0);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(errno, EPERM);
    gmem_ram_unref(ram);
}

/* The name of a memfd is shorter than an id may be. */
static void memfd_with_the_longest_id(void **state)
{
    const struct fixture *fixture = *state;
    char id[GMEM_RAM_ID_MAX + 1];
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = id, .size = 1, .backing = GMEM_RAM_MEMFD};
    gmem_ram *ram;

    memset(id, 'm', GMEM_RAM_ID_MAX);
    id[GMEM_RAM_ID_MAX] = '\0';
    ram = create(fixture, &options);
    assert_string_equal(gmem_ram_id(ram), id);
    gmem_ram_unref(ram);
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static void file_that_is_missing(void **state)
{
    struct fixture *fixture = *state;
    struct gmem_ram_options options = file_options(fixture, 2 * page_size() + 1, GMEM_RAM_SHARED);
    gmem_ram *ram = create(fixture, &options);
    struct stat st;

    assert_int_equal(stat(fixture->path, &st), 0);
    assert_int_equal(st.st_size, 3 * page_size());
    assert_int_equal(st.st_mode & 07777, 0600);
    gmem_ram_unref(ram);
    /* It stays, and the next block finds it. */
    assert_int_equal(unlink(fixture->path), 0);

    options.flags = GMEM_RAM_READONLY;
    assert_refused(fixture, &options, -ENOENT, fixture->path);
    options.flags = 0;
    options.path = "/nonexistent/dir/file";
    assert_refused(fixture, &options, -ENOENT, "/nonexistent/dir/file");
}

static void file_that_is_long_enough(void **state)
{
    struct fixture *fixture = *state;
    struct gmem_ram_options options = file_options(fixture, page_size(), GMEM_RAM_SHARED);
    uint64_t offset;
    gmem_ram *ram;
    int fd;

    make_file(fixture, 4 * page_size(), 0600);
    ram = create(fixture, &options);
    assert_memory_equal(gmem_ram_host(ram), "first", 5);
    gmem_ram_unref(ram);
    options.file_offset = 2 * page_size();
    ram = create(fixture, &options);
    assert_int_equal(*(uint8_t *)gmem_ram_host(ram), 0);
    assert_int_equal(gmem_ram_fd(ram, &fd, &offset), 0);
    assert_int_equal(offset, 2 * page_size());
    memcpy(gmem_ram_host(ram), "third", 5);
    gmem_ram_unref(ram);
    options.file_offset = 0;
    options.size = 3 * page_size();
    ram = create(fixture, &options);
    assert_memory_equal((uint8_t *)gmem_ram_host(ram) + 2 * page_size(), "third", 5);
    gmem_ram_unref(ram);
    assert_int_equal(file_size(fixture), 4 * page_size());
    assert_int_equal(unlink(fixture->path), 0);
}

/* A file may end in the middle of its last page: it is neither grown for it nor refused. */
static void file_that_ends_in_a_page(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t flags[] = {0, GMEM_RAM_SHARED, GMEM_RAM_READONLY, GMEM_RAM_READONLY | GMEM_RAM_SHARED};
    size_t i;

    for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct gmem_ram_options options = file_options(fixture, 100, flags[i]);
        gmem_ram *ram;
        uint8_t *host;

        make_file(fixture, 100, 0600);
        ram = create(fixture, &options);
        host = gmem_ram_host(ram);
        assert_memory_equal(host, "first", 5);
        assert_int_equal(host[page_size() - 1], 0);
        assert_int_equal(file_size(fixture), 100);
        gmem_ram_unref(ram);
        assert_int_equal(unlink(fixture->path), 0);
    }
}

static void file_that_is_too_short(void **state)
{
    struct fixture *fixture = *state;
    struct gmem_ram_options options = file_options(fixture, page_size() + 1, 0);
    gmem_ram *ram;

    make_file(fixture, page_size(), 0600);
    options.flags = GMEM_RAM_READONLY;
    assert_refused(fixture, &options, -ERANGE, "its file ends at");
    assert_int_equal(file_size(fixture), page_size());

    options.flags = GMEM_RAM_SHARED;
    ram = create(fixture, &options);
    assert_memory_equal(gmem_ram_host(ram), "first", 5);
    memset(gmem_ram_host(ram), 3, gmem_ram_mapped(ram));
    gmem_ram_unref(ram);
    assert_int_equal(file_size(fixture), 2 * page_size());
    assert_int_equal(unlink(fixture->path), 0);
}

/* A block that fails leaves a file that it grew as short as it was, and none that it created. */
static void failure_leaves_the_file(void **state)
{
    struct fixture *fixture = *state;
    struct gmem_ram_options options = file_options(fixture, 8 * page_size(), GMEM_RAM_SHARED);
    gmem_ram *ram, *second;

    /* No address space for such an alignment, which is found out after the file was made fit. */
    options.align = (uint64_t)1 << 50;
    assert_refused(fixture, &options, -ENOMEM, "memory");
    assert_int_equal(access(fixture->path, F_OK), -1);
    make_file(fixture, 100, 0600);
    assert_refused(fixture, &options, -ENOMEM, "memory");
    assert_int_equal(file_size(fixture), 100);

    /* An id that is taken is found out before a file is touched. */
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(gmem_ram_create_anon(fixture->vm, "ram", 1, &ram), 0);
    options.align = 0;
    assert_int_equal(gmem_ram_create(fixture->vm, &options, &second), -EEXIST);
    assert_int_equal(access(fixture->path, F_OK), -1);
    gmem_ram_unref(ram);

    options.size = (uint64_t)1 << 62;
    options.file_offset = (uint64_t)1 << 62;
    assert_refused(fixture, &options, -EFBIG, "no file can be that long");
    assert_int_equal(access(fixture->path, F_OK), -1);
}

/* Every file in a file system this process may no longer write to is too long (RLIMIT_FSIZE stands for a full disk). */
static void file_that_can_not_be_grown(void **state)
{
    struct fixture *fixture = *state;
    struct gmem_ram_options options = file_options(fixture, 8 * page_size(), GMEM_RAM_SHARED);
    void (*old_action)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rlimit old_limit, limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
    limit = old_limit;
    limit.rlim_cur = page_size();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_refused(fixture, &options, -EFBIG, "grow");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
    (void)signal(SIGXFSZ, old_action);
    assert_int_equal(access(fixture->path, F_OK), -1);
}

static void readonly_file(void **state)
{
    struct fixture *fixture = *state;
    struct gmem_ram_options options = file_options(fixture, page_size(), GMEM_RAM_READONLY);
    char line[512], wanted[64];
    bool found = false;
    gmem_ram *ram;
    FILE *maps;

    make_file(fixture, page_size(), 0400);
    ram = create(fixture, &options);
    assert_memory_equal(gmem_ram_host(ram), "first", 5);
    assert_int_equal(gmem_ram_flags(ram), GMEM_RAM_READONLY);
    (void)snprintf(wanted, sizeof(wanted), "%lx-%lx r--p", (unsigned long)(uintptr_t)gmem_ram_host(ram),
                   (unsigned long)((uintptr_t)gmem_ram_host(ram) + page_size()));
    maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps))
        found |= !strncmp(line, wanted, strlen(wanted));
    (void)fclose(maps);
    assert_true(found);
    gmem_ram_unref(ram);
    assert_int_equal(unlink(fixture->path), 0);
}

static void file_without_permission(void **state)
{
    struct fixture *fixture = *state;
    struct gmem_ram_options options = file_options(fixture, page_size(), 0);
    bool root = geteuid() == 0;
    gmem_ram *ram;

    assert_int_equal(chmod(fixture->dir, 0755), 0);
    make_file(fixture, page_size(), 0444);
    /* Root may do everything: be somebody else for a while. */
    if (root)
        assert_int_equal(seteuid(NOBODY), 0);
    options.flags = GMEM_RAM_SHARED;
    assert_refused(fixture, &options, -EACCES, "Permission denied");
    /* A private block never writes to its file, so that reading is enough. */
    options.flags = 0;
    ram = create(fixture, &options);
    memcpy(gmem_ram_host(ram), "FIRST", 5);
    gmem_ram_unref(ram);
    options.size = page_size() + 1;
    assert_refused(fixture, &options, -ERANGE, "can't be grown");
    options.size = page_size();
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(fixture->path, 0), 0);
    if (root)
        assert_int_equal(seteuid(NOBODY), 0);
    assert_refused(fixture, &options, -EACCES, "Permission denied");
    options.flags = GMEM_RAM_READONLY;
    assert_refused(fixture, &options, -EACCES, "Permission denied");
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(unlink(fixture->path), 0);
}

static void directory(void **state)
{
    struct fixture *fixture = *state;
    struct gmem_ram_options options = file_options(fixture, 10 * page_size(), GMEM_RAM_SHARED);
    unsigned entries = count_entries(fixture->dir);
    gmem_ram *ram;

    options.path = fixture->dir;
    ram = create(fixture, &options);
    assert_int_equal(count_entries(fixture->dir), entries);
    check_file(ram, true);
    gmem_ram_unref(ram);
    options.flags = GMEM_RAM_READONLY;
    assert_refused(fixture, &options, -EISDIR, "directory");
}

static void files_that_are_no_memory(void **state)
{
    struct fixture *fixture = *state;
    struct gmem_ram_options options = file_options(fixture, page_size(), 0);
    gmem_ram *ram;

    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    assert_refused(fixture, &options, -ENODEV, "ram");
    options.flags = GMEM_RAM_READONLY;
    assert_refused(fixture, &options, -ENODEV, "ram");
    assert_int_equal(unlink(fixture->path), 0);
    options.flags = 0;
    options.path = "/dev/null";
    assert_refused(fixture, &options, -ENODEV, "map its memory");
    options.path = "/dev/zero";
    ram = create(fixture, &options);
    memset(gmem_ram_host(ram), 1, page_size());
    gmem_ram_unref(ram);
}

/* --- memory that is not there -------------------------------------------------------------------------------------- */

static void more_than_there_is(void **state)
{
    const struct fixture *fixture = *state;
    static const enum gmem_ram_backing backings[] = {GMEM_RAM_ANON, GMEM_RAM_MEMFD};
    size_t i;

    for (i = 0; i < 2; i++) {
        struct gmem_ram_options options = {.struct_size = sizeof(options), .id = "ram", .backing = backings[i]};

        /* No address space for 1 EiB, nor for 2^63; no memory to touch all of 16 TiB, which can be mapped. */
        options.size = (uint64_t)1 << 60;
        assert_refused(fixture, &options, -ENOMEM, "memory");
        options.size = (uint64_t)1 << 63;
        assert_refused(fixture, &options, -ENOMEM, "memory");
        options.size = (uint64_t)1 << 44;
        options.flags = GMEM_RAM_PREALLOC | GMEM_RAM_SHARED;
        assert_refused(fixture, &options, -ENOMEM, "memory");
        options.flags = GMEM_RAM_PREALLOC;
        assert_refused(fixture, &options, -ENOMEM, "memory");
    }
}

/* /proc/sys/vm/overcommit_memory: 0 what the host can't have is refused, 1 nothing is, 2 what it may not promise is. */
static int overcommit(void)
{
    FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");
    int mode = -1;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &mode), 1);
    (void)fclose(file);
    return mode;
}

/* Memory is reserved: what the host can't have is refused before it is touched. */
static void more_than_can_be_reserved(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        enum gmem_ram_backing backing;
        uint32_t flags;
    } blocks[] = {
        {GMEM_RAM_ANON, 0},
        {GMEM_RAM_ANON, GMEM_RAM_SHARED},
        {GMEM_RAM_MEMFD, 0},
        {GMEM_RAM_FILE, 0},
    };
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = "ram", .size = (uint64_t)1 << 44};
    uint64_t align;
    size_t i;

    if (overcommit() == 1) {
        print_message("this host refuses no memory (/proc/sys/vm/overcommit_memory)\n");
        skip();
    }
    for (i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        options.backing = blocks[i].backing;
        options.flags = blocks[i].flags;
        options.path = options.backing == GMEM_RAM_FILE ? "/dev/zero" : NULL;
        for (align = 0; align <= (uint64_t)1 << 30; align += (uint64_t)1 << 30) {
            options.align = align;
            assert_refused(fixture, &options, -ENOMEM, "cannot map its memory");
        }
    }
}

/* Guests may be larger than the host's memory as long as they do not use it, if that is asked for. */
static void more_than_is_used(void **state)
{
    const struct fixture *fixture = *state;
    static const enum gmem_ram_backing backings[] = {GMEM_RAM_ANON, GMEM_RAM_MEMFD};
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = "ram", .size = (uint64_t)1 << 44};
    uint8_t *host;
    gmem_ram *ram;
    size_t i;

    if (overcommit() == 2) {
        print_message("this host reserves all memory (/proc/sys/vm/overcommit_memory)\n");
        skip();
    }
    for (i = 0; i < 4; i++) {
        options.backing = backings[i / 2];
        options.flags = GMEM_RAM_NORESERVE | (i % 2 ? GMEM_RAM_SHARED : 0);
        ram = create(fixture, &options);
        assert_int_equal(gmem_ram_flags(ram), options.flags);
        host = gmem_ram_host(ram);
        host[0] = host[options.size - 1] = 1;
        gmem_ram_unref(ram);
    }
    /* Touching all of it is refused all the same. */
    options.flags = GMEM_RAM_NORESERVE | GMEM_RAM_PREALLOC;
    assert_refused(fixture, &options, -ENOMEM, "preallocate its memory");
}

/* What memory of the caller's reserves is not the library's. */
static void noreserve_of_the_caller(void **state)
{
    const struct fixture *fixture = *state;
    struct gmem_ram_options options = {.struct_size = sizeof(options),
                                       .id = "ram",
                                       .size = page_size(),
                                       .backing = GMEM_RAM_CALLER,
                                       .flags = GMEM_RAM_NORESERVE};

    options.host = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(options.host, MAP_FAILED);
    assert_refused(fixture, &options, -EINVAL, "the caller");
    assert_int_equal(munmap(options.host, page_size()), 0);
}

static void address_space_limit(void **state)
{
    const struct fixture *fixture = *state;
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = "ram", .size = (uint64_t)1 << 30};
    struct rlimit old_limit, limit;
    unsigned long pages = 0;
    gmem_ram *ram = NULL;
    FILE *statm;
    int err;

    statm = fopen("/proc/self/statm", "re");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    (void)fclose(statm);
    assert_int_equal(getrlimit(RLIMIT_AS, &old_limit), 0);
    limit = old_limit;
    limit.rlim_cur = pages * page_size() + ((uint64_t)1 << 29);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    err = gmem_ram_create(fixture->vm, &options, &ram);
    assert_int_equal(setrlimit(RLIMIT_AS, &old_limit), 0);
    assert_int_equal(err, -ENOMEM);
    assert_null(ram);
    gmem_ram_unref(create(fixture, &options));
}

static bool is_resident(const gmem_ram *ram)
{
    size_t pages = gmem_ram_mapped(ram) / page_size(), i;
    unsigned char *resident = malloc(pages);
    bool all = true;

    assert_non_null(resident);
    assert_int_equal(mincore(gmem_ram_host(ram), gmem_ram_mapped(ram), resident), 0);
    for (i = 0; i < pages; i++)
        all = all && (resident[i] & 1);
    free(resident);
    return all;
}

static void preallocation(void **state)
{
    struct fixture *fixture = *state;
    static const enum gmem_ram_backing backings[] = {GMEM_RAM_ANON, GMEM_RAM_MEMFD};
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = "ram", .size = 200 * page_size()};
    struct stat st;
    gmem_ram *ram;
    unsigned i;

    for (i = 0; i < 4; i++) {
        options.backing = backings[i / 2];
        options.flags = i % 2 ? GMEM_RAM_SHARED : 0;
        ram = create(fixture, &options);
        assert_false(is_resident(ram));
        gmem_ram_unref(ram);
        options.flags |= GMEM_RAM_PREALLOC;
        ram = create(fixture, &options);
        assert_true(is_resident(ram));
        gmem_ram_unref(ram);
    }
    /* A file gets its blocks, and keeps what is in it. */
    make_file(fixture, 200 * page_size(), 0600);
    options = file_options(fixture, 200 * page_size(), GMEM_RAM_SHARED | GMEM_RAM_PREALLOC);
    ram = create(fixture, &options);
    assert_memory_equal(gmem_ram_host(ram), "first", 5);
    assert_int_equal(stat(fixture->path, &st), 0);
    assert_true((uint64_t)st.st_blocks * 512 >= 200 * page_size());
    gmem_ram_unref(ram);
    assert_int_equal(unlink(fixture->path), 0);
}

struct told {
    uint64_t calls, last, total, cancel_at;
    gmem_vm *vm;
    bool ordered;
};

/* The block is nobody's yet, and no lock is held: others can be made. */
static int be_told(void *opaque, uint64_t done, uint64_t total)
{
    struct told *told = opaque;
    gmem_ram *other;

    told->ordered = told->ordered && (told->calls ? done > told->last && total == told->total : done == 0);
    told->calls++;
    told->last = done;
    told->total = total;
    assert_int_equal(gmem_ram_find(told->vm, "ram", &other), -ENOENT);
    assert_int_equal(gmem_ram_create_anon(told->vm, "other", 1, &other), 0);
    gmem_ram_unref(other);
    return told->calls == told->cancel_at ? -1 : 0;
}

static void progress_of_preallocation(void **state)
{
    static const enum gmem_ram_backing backings[] = {GMEM_RAM_ANON, GMEM_RAM_MEMFD};
    const uint64_t size = 2 * GMEM_RAM_PREALLOC_STEP + 1;
    struct fixture *fixture = *state;

    for (unsigned i = 0; i < 2; i++) {
        struct told told = {.vm = fixture->vm, .ordered = true};
        struct gmem_ram_options options = {.struct_size = sizeof(options),
                                           .id = "ram",
                                           .size = size,
                                           .backing = backings[i],
                                           .flags = GMEM_RAM_PREALLOC | (i ? GMEM_RAM_SHARED : 0),
                                           .progress = be_told,
                                           .progress_opaque = &told};
        gmem_ram *ram = create(fixture, &options);

        assert_int_equal(told.calls, 4);
        assert_true(told.ordered);
        assert_int_equal(told.last, size - 1 + page_size());
        assert_int_equal(told.total, told.last);
        assert_true(is_resident(ram));
        gmem_ram_unref(ram);
        /* Whenever it is cancelled. */
        for (uint64_t at = 1; at <= 4; at++) {
            told = (struct told){.vm = fixture->vm, .ordered = true, .cancel_at = at};
            assert_refused(fixture, &options, -ECANCELED, "preallocate its memory");
            assert_int_equal(told.calls, at);
        }
        /* Nobody is told where nothing is touched. */
        told = (struct told){.vm = fixture->vm, .ordered = true};
        options.flags &= ~GMEM_RAM_PREALLOC;
        gmem_ram_unref(create(fixture, &options));
        assert_int_equal(told.calls, 0);
    }
}

static void progress_of_a_file(void **state)
{
    struct fixture *fixture = *state;
    struct told told = {.vm = fixture->vm, .ordered = true, .cancel_at = 2};
    struct gmem_ram_options options = file_options(fixture, 100 * page_size(), GMEM_RAM_SHARED | GMEM_RAM_PREALLOC);

    options.progress = be_told;
    options.progress_opaque = &told;
    /* One that was created is gone, one that was grown has its length. */
    assert_refused(fixture, &options, -ECANCELED, "preallocate its memory");
    assert_int_equal(access(fixture->path, F_OK), -1);
    make_file(fixture, 10, 0600);
    told.calls = 0;
    assert_refused(fixture, &options, -ECANCELED, "preallocate its memory");
    assert_int_equal(file_size(fixture), 10);
    assert_int_equal(unlink(fixture->path), 0);
}

/* What is done on kernels that can't be asked to populate. */
static void touching(void **state)
{
    const struct fixture *fixture = *state;
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = "ram", .size = 100 * page_size()};
    gmem_ram *ram = create(fixture, &options);
    uint8_t *host = gmem_ram_host(ram);

    host[0] = 0xab;
    host[page_size()] = 0xff;
    assert_false(is_resident(ram));
    gmem__backing_touch(host, gmem_ram_mapped(ram), page_size());
    assert_true(is_resident(ram));
    assert_int_equal(host[0], 0xab);
    assert_int_equal(host[page_size()], 0xff);
    assert_int_equal(host[2 * page_size()], 0);
    gmem_ram_unref(ram);
}

/* --- huge pages ---------------------------------------------------------------------------------------------------- */

static uint64_t meminfo(const char *name)
{
    FILE *file = fopen("/proc/meminfo", "re");
    unsigned long long value = 0;
    char line[128];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
            (void)sscanf(line + strlen(name) + 1, "%llu", &value);
    }
    (void)fclose(file);
    return value;
}

static void hugetlb_pages(void **state)
{
    const struct fixture *fixture = *state;
    const uint64_t huge = meminfo("Hugepagesize") * 1024;
    struct gmem_ram_options options = {.struct_size = sizeof(options),
                                       .id = "ram",
                                       .size = 1,
                                       .backing = GMEM_RAM_MEMFD,
                                       .flags = GMEM_RAM_HUGETLB,
                                       .huge_page_size = huge};
    gmem_ram *ram;

    if (huge == 0) {
        print_message("this kernel has no huge pages\n");
        skip();
    }
    if (meminfo("HugePages_Free") > meminfo("HugePages_Rsvd")) {
        ram = create(fixture, &options);
        assert_int_equal(gmem_ram_page_size(ram), huge);
        assert_int_equal(gmem_ram_mapped(ram), huge);
        assert_int_equal((uintptr_t)gmem_ram_host(ram) % huge, 0);
        memset(gmem_ram_host(ram), 1, huge);
        gmem_ram_unref(ram);
    }
    /* More than there are: refused now, instead of killing the process when they are used. */
    options.size = (meminfo("HugePages_Total") + 1) * huge;
    assert_refused(fixture, &options, -ENOMEM, "memory");
    options.flags |= GMEM_RAM_PREALLOC | GMEM_RAM_SHARED;
    assert_refused(fixture, &options, -ENOMEM, "memory");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_backing),
        TEST(memfd_keeps_its_size),
        TEST(memfd_with_the_longest_id),
        TEST(file_that_is_missing),
        TEST(file_that_is_long_enough),
        TEST(file_that_ends_in_a_page),
        TEST(file_that_is_too_short),
        TEST(failure_leaves_the_file),
        TEST(file_that_can_not_be_grown),
        TEST(readonly_file),
        TEST(file_without_permission),
        TEST(directory),
        TEST(files_that_are_no_memory),
        TEST(more_than_there_is),
        TEST(more_than_can_be_reserved),
        TEST(more_than_is_used),
        TEST(noreserve_of_the_caller),
        TEST(address_space_limit),
        TEST(preallocation),
        TEST(progress_of_preallocation),
        TEST(progress_of_a_file),
        TEST(touching),
        TEST(hugetlb_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
