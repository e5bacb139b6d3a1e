/* SPDX-License-Identifier: MIT */
/*
 * ram_backing.c - where the memory of a RAM block comes from: anonymous memory, a memfd, a file, or the caller.
 *
 * Runs on the thread that creates the block, with no lock held, before anybody else knows the block (and, to give the memory
 * back, after everybody has forgotten it). Every descriptor is close-on-exec. What fails half-way is taken back: mappings,
 * descriptors, a file that was created, a file's length.
 */
#include "ram_backing.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

/* The name of a memfd is at most this long (memfd_create(2)). */
#define MEMFD_NAME_MAX 249u

/* The span of a transparent huge page on the hosts gmem knows; only a hint for placing a mapping. */
#define HUGE_SPAN ((uint64_t)2 << 20)

/* What was done to a file and has to be undone when the block fails after all. */
struct file {
    int fd;
    bool created;
    bool writable;
    bool grown;
    off_t old_size;
};

uint64_t gmem__host_page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Refuse a block because the host would not do something. */
static int fail(const gmem_ram *ram, int err, const char *what)
{
    return gmem__refuse(ram->vm, err, "RAM block \"%s\": cannot %s: %s", ram->id, what, strerror(-err));
}

static int round_up(uint64_t size, uint64_t page_size, uint64_t *ret_rounded)
{
    if (size > UINT64_MAX - (page_size - 1))
        return -EOVERFLOW;
    *ret_rounded = (size + page_size - 1) & ~(page_size - 1);
    return 0;
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static int open_retry(const char *path, int flags)
{
    /* Not to be stuck in the open of a FIFO or a tape; files that can be mapped do not care. */
    int fd = (int)TEMP_FAILURE_RETRY(open(path, flags | O_CLOEXEC | O_NONBLOCK, 0600));

    return fd < 0 ? -errno : fd;
}

/* An unlinked file in a directory. */
static int open_in_directory(const char *directory)
{
    static const char suffix[] = "/gmem-XXXXXX";
    size_t length = strlen(directory);
    int fd = open_retry(directory, O_RDWR | O_TMPFILE);
    char *path;

    if (fd != -EOPNOTSUPP && fd != -EISDIR)
        return fd;
    path = malloc(length + sizeof(suffix));
    if (!path)
        return -ENOMEM;
    memcpy(path, directory, length);
    memcpy(path + length, suffix, sizeof(suffix));
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    else
        (void)unlink(path);
    free(path);
    return fd;
}

static int open_path(const struct gmem_ram_options *options, struct file *ret_file)
{
    const char *path = options->path;
    bool readonly = options->flags & GMEM_RAM_READONLY;
    int fd = open_retry(path, readonly ? O_RDONLY : O_RDWR);

    *ret_file = (struct file){.writable = !readonly};
    if (!readonly && fd == -EISDIR)
        fd = open_in_directory(path);
    if (!readonly && fd == -ENOENT) {
        fd = open_retry(path, O_RDWR | O_CREAT | O_EXCL);
        ret_file->created = fd >= 0;
        if (fd == -EEXIST)
            fd = open_retry(path, O_RDWR | O_CREAT);
    }
    if ((fd == -EACCES || fd == -EROFS || fd == -EPERM) && !readonly && !(options->flags & GMEM_RAM_SHARED)) {
        /* A private mapping never writes to the file, so a file that may only be read will do. */
        int reading = open_retry(path, O_RDONLY);

        if (reading >= 0) {
            fd = reading;
            ret_file->writable = false;
        }
    }
    ret_file->fd = fd;
    return fd < 0 ? fd : 0;
}

static void close_file(gmem_vm *vm, const struct file *file, const char *path)
{
    if (file->created)
        (void)unlink(path);
    else if (file->grown && ftruncate(file->fd, file->old_size))
        gmem__log(vm, GMEM_LOG_WARNING, "%s stays longer than it was: %s", path, strerror(errno));
    close(file->fd);
}

static uint64_t file_page_size(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) == 0 && (uint64_t)fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0)
        return (uint64_t)fs.f_bsize;
    return gmem__host_page_size();
}

/* Make the file reach to the end of the block. */
static int fit_file(const gmem_ram *ram, struct file *file)
{
    struct stat st;
    uint64_t have;

    if (ram->file_offset > INT64_MAX || ram->mapped > INT64_MAX - ram->file_offset)
        return gmem__refuse(ram->vm, -EFBIG, "RAM block \"%s\": no file can be that long", ram->id);
    if (fstat(file->fd, &st))
        return fail(ram, -errno, "look at its file");
    if (S_ISDIR(st.st_mode))
        return fail(ram, -EISDIR, "map its file");
    if (S_ISCHR(st.st_mode))
        return 0;
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return fail(ram, -ENODEV, "map its file");
    file->old_size = S_ISBLK(st.st_mode) ? lseek(file->fd, 0, SEEK_END) : st.st_size;
    if (file->old_size < 0)
        return fail(ram, -errno, "look at its file");
    have = (uint64_t)file->old_size;
    /* The rest of the page in which a file ends is there and zero. */
    if (have >= ram->file_offset + ram->max)
        return 0;
    if (!file->writable || !S_ISREG(st.st_mode))
        return gmem__refuse(ram->vm, -ERANGE,
                            "RAM block \"%s\": its file ends at %llu bytes, the block at %llu, and it can't be grown",
                            ram->id, (unsigned long long)have, (unsigned long long)(ram->file_offset + ram->max));
    if (TEMP_FAILURE_RETRY(ftruncate(file->fd, (off_t)(ram->file_offset + ram->mapped))))
        return fail(ram, -errno, "grow its file");
    file->grown = true;
    return 0;
}

static int create_memfd(const gmem_ram *ram, const struct gmem_ram_options *options, struct file *ret_file)
{
    char name[MEMFD_NAME_MAX + 1];
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd;

    if (options->flags & GMEM_RAM_HUGETLB) {
        flags |= MFD_HUGETLB;
        if (options->huge_page_size)
            flags |= (unsigned)__builtin_ctzll(options->huge_page_size) << MFD_HUGE_SHIFT;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)MEMFD_NAME_MAX, ram->id);
    fd = memfd_create(name, flags);
    if (fd < 0)
        return fail(ram, -errno, "create its memfd");
    *ret_file = (struct file){.fd = fd, .writable = true};
    return 0;
}

/* Whoever is handed a memfd must not be able to cut it short: every access past its end would kill this process. */
static void seal_memfd(const gmem_ram *ram)
{
    if (fcntl(ram->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
        gmem__log(ram->vm, GMEM_LOG_WARNING, "RAM block \"%s\": its file can't be sealed: %s", ram->id,
                  strerror(errno));
}

/* --- mappings ------------------------------------------------------------------------------------------------------ */

static uint64_t wanted_align(const gmem_ram *ram, const struct gmem_ram_options *options)
{
    uint64_t align = options->align > ram->page_size ? options->align : ram->page_size;

    /* Huge pages need guest and host addresses that agree in their low bits. */
    if ((ram->flags & GMEM_RAM_HUGE) && ram->mapped >= HUGE_SPAN && align < HUGE_SPAN)
        align = HUGE_SPAN;
    return align;
}

/* Address space of length bytes at a multiple of align (more than a page); nothing in it can be used yet. */
static int reserve(uint64_t length, uint64_t align, uint8_t **ret_host)
{
    uint64_t slack = align - gmem__host_page_size();
    uint64_t head;
    uint8_t *host;

    if (slack > (uint64_t)PTRDIFF_MAX - length)
        return -ENOMEM;
    host = mmap(NULL, length + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (host == MAP_FAILED)
        return -errno;
    head = -(uint64_t)(uintptr_t)host & (align - 1);
    if (head)
        (void)munmap(host, head);
    if (slack > head)
        (void)munmap(host + head + length, slack - head);
    *ret_host = host + head;
    return 0;
}

static int map_memory(gmem_ram *ram, const struct gmem_ram_options *options)
{
    uint64_t align = wanted_align(ram, options);
    int prot = ram->flags & GMEM_RAM_READONLY ? PROT_READ : PROT_READ | PROT_WRITE;
    int flags = ram->flags & GMEM_RAM_SHARED ? MAP_SHARED : MAP_PRIVATE;
    uint8_t *at = NULL;
    void *host;
    int err;

    if (ram->backing == GMEM_RAM_ANON)
        flags |= MAP_ANONYMOUS;
    if ((ram->flags & GMEM_RAM_NORESERVE) || ram->resizable)
        flags |= MAP_NORESERVE;
    if (align > gmem__host_page_size()) {
        err = reserve(ram->mapped, align, &at);
        if (err)
            return err;
        flags |= MAP_FIXED;
    }
    host = mmap(at, ram->mapped, prot, flags, ram->fd, (off_t)ram->file_offset);
    if (host == MAP_FAILED) {
        err = -errno;
        if (at)
            (void)munmap(at, ram->mapped);
        return err;
    }
    ram->host = host;
    return 0;
}

static void advise(const gmem_ram *ram)
{
    static const struct {
        uint32_t flag;
        int advice;
        const char *name;
    } advices[] = {
        {GMEM_RAM_HUGE, MADV_HUGEPAGE, "huge pages"},
        {GMEM_RAM_NO_DUMP, MADV_DONTDUMP, "leaving it out of core dumps"},
        {GMEM_RAM_NO_FORK, MADV_DONTFORK, "keeping it from children"},
        {GMEM_RAM_MERGE, MADV_MERGEABLE, "merging of equal pages"},
    };
    size_t i;

    for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        if ((ram->flags & advices[i].flag) && madvise(ram->host, ram->mapped, advices[i].advice))
            gmem__log(ram->vm, GMEM_LOG_WARNING, "RAM block \"%s\": the host refuses %s: %s", ram->id, advices[i].name,
                      strerror(errno));
    }
}

/* --- preallocation ------------------------------------------------------------------------------------------------- */

void gmem__backing_touch(uint8_t *host, uint64_t size, uint64_t page_size)
{
    uint64_t at;

    for (at = 0; at < size; at += page_size)
        (void)__atomic_fetch_or(host + at, 0, __ATOMIC_RELAXED);
}

/* Whether the host has less memory than the block, whatever is freed: trying would end in the kernel killing processes. */
static bool is_hopeless(const gmem_ram *ram, uint64_t size)
{
    struct sysinfo info;

    if (ram->backing == GMEM_RAM_FILE || sysinfo(&info))
        return false;
    return size / info.mem_unit > (uint64_t)info.totalram + info.totalswap;
}

/* A part of the block, in bytes from its beginning. */
static int populate(const gmem_ram *ram, uint64_t from, uint64_t size)
{
    /* A shared file's blocks first: touching a page for which there is no room would kill the process. */
    if (ram->fd >= 0 && (ram->flags & GMEM_RAM_SHARED)) {
        int ret = (int)TEMP_FAILURE_RETRY(fallocate(ram->fd, 0, (off_t)(ram->file_offset + from), (off_t)size));

        if (ret && errno != EOPNOTSUPP && errno != ENODEV)
            return ram->backing == GMEM_RAM_MEMFD && errno == ENOSPC ? -ENOMEM : -errno;
    }
    while (madvise(ram->host + from, size, MADV_POPULATE_WRITE)) {
        if (errno == EINVAL) {
            gmem__backing_touch(ram->host + from, size, ram->page_size);
            return 0;
        }
        /* EFAULT is where a touch would have raised SIGBUS. */
        if (errno != EINTR && errno != EAGAIN)
            return errno == EFAULT ? -ENOMEM : -errno;
    }
    return 0;
}

static int tell(const gmem_ram *ram, const struct gmem_ram_options *options, uint64_t done)
{
    if (!options->progress || !options->progress(options->progress_opaque, done, ram->mapped))
        return 0;
    return -ECANCELED;
}

static int preallocate(const gmem_ram *ram, const struct gmem_ram_options *options)
{
    uint64_t step = GMEM_RAM_PREALLOC_STEP > ram->page_size ? GMEM_RAM_PREALLOC_STEP : ram->page_size;
    uint64_t total = (ram->size + ram->page_size - 1) & ~(ram->page_size - 1), done = 0;
    int err;

    if (is_hopeless(ram, total))
        return -ENOMEM;
    err = tell(ram, options, 0);
    while (!err && done < total) {
        uint64_t size = total - done < step ? total - done : step;

        err = populate(ram, done, size);
        done += size;
        if (!err)
            err = tell(ram, options, done);
    }
    return err;
}

int gmem__backing_preallocate(const gmem_ram *ram, uint64_t offset, uint64_t size)
{
    uint64_t mask = ram->page_size - 1;

    size = ((offset + size + mask) & ~mask) - (offset & ~mask);
    return is_hopeless(ram, size) ? -ENOMEM : populate(ram, offset & ~mask, size);
}

/* ------------------------------------------------------------------------------------------------------------------- */

static int map_caller(gmem_ram *ram, const struct gmem_ram_options *options)
{
    uint64_t address = (uint64_t)(uintptr_t)options->host;

    ram->page_size = gmem__host_page_size();
    if (round_up(ram->max, ram->page_size, &ram->mapped))
        return fail(ram, -EOVERFLOW, "round its size up");
    if (ram->mapped - 1 > UINT64_MAX - address)
        return gmem__refuse(ram->vm, -EINVAL, "RAM block \"%s\": the caller's memory wraps around", ram->id);
    ram->host = options->host;
    return 0;
}

static int map_own(gmem_ram *ram, const struct gmem_ram_options *options, struct file *file)
{
    int err;

    ram->fd = file->fd;
    ram->page_size = ram->fd >= 0 ? file_page_size(ram->fd) : gmem__host_page_size();
    if (options->file_offset & (ram->page_size - 1))
        return gmem__refuse(ram->vm, -EINVAL, "RAM block \"%s\": its place in the file is no multiple of the page size",
                            ram->id);
    if (round_up(ram->max, ram->page_size, &ram->mapped))
        return fail(ram, -EOVERFLOW, "round its size up");
    /* Before a file is grown to it. */
    if (ram->mapped > (uint64_t)PTRDIFF_MAX)
        return fail(ram, -ENOMEM, "map its memory");
    err = ram->fd >= 0 ? fit_file(ram, file) : 0;
    if (err)
        return err;
    err = map_memory(ram, options);
    return err ? fail(ram, err, "map its memory") : 0;
}

int gmem__backing_map(gmem_ram *ram, const struct gmem_ram_options *options)
{
    struct file file = {.fd = -1};
    int err = 0;

    ram->backing = options->backing;
    ram->flags = options->flags;
    ram->size = options->size;
    ram->max = options->max_size ? options->max_size : options->size;
    ram->resizable = options->max_size != 0;
    ram->high = options->size;
    ram->file_offset = options->file_offset;
    ram->fd = -1;
    if (options->backing == GMEM_RAM_CALLER) {
        err = map_caller(ram, options);
    } else {
        if (options->backing == GMEM_RAM_FILE) {
            err = open_path(options, &file);
            if (err)
                return gmem__refuse(ram->vm, err, "RAM block \"%s\": cannot open \"%s\": %s", ram->id, options->path,
                                    strerror(-err));
        } else if (options->backing == GMEM_RAM_MEMFD) {
            err = create_memfd(ram, options, &file);
            if (err)
                return err;
        }
        err = map_own(ram, options, &file);
    }
    if (!err) {
        advise(ram);
        if (ram->flags & GMEM_RAM_PREALLOC)
            err = preallocate(ram, options);
        if (err)
            (void)fail(ram, err, "preallocate its memory");
    }
    if (!err) {
        if (ram->backing == GMEM_RAM_MEMFD)
            seal_memfd(ram);
        return 0;
    }
    if (ram->backing != GMEM_RAM_CALLER && ram->host)
        (void)munmap(ram->host, ram->mapped);
    ram->host = NULL;
    ram->fd = -1;
    if (file.fd >= 0)
        close_file(ram->vm, &file, options->path);
    return err;
}

void gmem__backing_unmap(gmem_ram *ram)
{
    if (ram->backing != GMEM_RAM_CALLER)
        (void)munmap(ram->host, ram->mapped);
    if (ram->fd >= 0)
        close(ram->fd);
}

/* Whole pages. 0 or the errno value that the host gives. */
static int give_pages(const gmem_ram *ram, uint64_t offset, uint64_t size)
{
    bool shared = ram->flags & GMEM_RAM_SHARED;
    int advice = shared ? MADV_REMOVE : MADV_DONTNEED;

    if (ram->backing == GMEM_RAM_CALLER || (ram->backing == GMEM_RAM_FILE && !shared))
        return EOPNOTSUPP;
    if (ram->fd >= 0 && shared)
        return TEMP_FAILURE_RETRY(fallocate(ram->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                            (off_t)(ram->file_offset + offset), (off_t)size))
                   ? errno
                   : 0;
    return madvise(ram->host + offset, size, advice) ? errno : 0;
}

void gmem__backing_give_back(gmem_ram *ram, uint64_t offset, uint64_t size)
{
    uint64_t mask = ram->page_size - 1, end = offset + size, first = (offset + mask) & ~mask, last = end & ~mask;
    int err;

    /* Nothing behind the block is anybody's. */
    if (end >= ram->max)
        last = end = ram->mapped;
    if (first >= last) {
        memset(ram->host + offset, 0, end - offset);
        return;
    }
    memset(ram->host + offset, 0, first - offset);
    memset(ram->host + last, 0, end - last);
    err = give_pages(ram, first, last - first);
    if (!err)
        return;
    if (ram->backing != GMEM_RAM_CALLER)
        gmem__log(ram->vm, GMEM_LOG_WARNING, "RAM block \"%s\": the host takes no memory back: %s", ram->id,
                  strerror(err));
    memset(ram->host + first, 0, last - first);
}
