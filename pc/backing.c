/* SPDX-License-Identifier: MIT */
/* pc/backing.c - RAM blocks made as the user chose. No state; any thread, with no lock held. */
#include "backing.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

struct telling {
    const struct pc_backing *backing;
    const char *id;
};

static int tell(void *opaque, uint64_t done, uint64_t total)
{
    const struct telling *telling = opaque;

    return telling->backing->progress(telling->backing->opaque, telling->id, done, total);
}

static bool is_directory(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The file system that path is in, or would be. */
static int check_hugetlbfs(const char *path, struct pc_error *error)
{
    char folder[PATH_MAX];
    struct statfs fs;
    char *slash;

    if (statfs(path, &fs)) {
        snprintf(folder, sizeof(folder), "%s", path);
        slash = strrchr(folder, '/');
        if (slash)
            slash[slash == folder] = '\0';
        if (statfs(slash ? folder : ".", &fs))
            return pc_fail(error, -errno, "%s can't be looked at: %s", path, strerror(errno));
    }
    if ((uint64_t)fs.f_type != HUGETLBFS_MAGIC)
        return pc_fail(error, -EINVAL, "%s is not in a hugetlbfs, so its pages can't be huge", path);
    return 0;
}

static int explain(const struct pc_backing *backing, gmem_vm *vm, int err, uint64_t size, struct pc_error *error)
{
    bool huge = backing->hugetlbfs || (backing->flags & GMEM_RAM_HUGETLB);
    char reason[sizeof(error->text) - 64];

    if (err == -ENOMEM)
        return pc_fail(error, err, "the host has no %llu MiB of memory for the guest%s: %s",
                       (unsigned long long)(size >> 20), huge ? " in huge pages (/proc/sys/vm/nr_hugepages)" : "",
                       gmem_strerror(err));
    (void)gmem_vm_reason(vm, reason, sizeof(reason));
    return pc_fail(error, err, "the guest's memory can't be had: %s", reason);
}

int pc_backing_create(const struct pc_backing *backing, gmem_vm *vm, const char *id, bool second, uint64_t size,
                      gmem_ram **ret_ram, struct pc_error *error)
{
    struct telling telling = {.backing = backing, .id = id};
    struct gmem_ram_options options = {.struct_size = sizeof(options),
                                       .id = id,
                                       .size = size,
                                       .backing = backing->kind,
                                       .flags = backing->flags,
                                       .path = backing->path,
                                       .progress = backing->progress ? tell : NULL,
                                       .progress_opaque = &telling};
    char path[PATH_MAX];
    int err;

    if (backing->path && second && !is_directory(backing->path)) {
        if (snprintf(path, sizeof(path), "%s.%s", backing->path, id) >= (int)sizeof(path))
            return pc_fail(error, -ENAMETOOLONG, "%s.%s: the name is too long", backing->path, id);
        options.path = path;
    }
    err = backing->hugetlbfs && options.path ? check_hugetlbfs(options.path, error) : 0;
    if (err)
        return err;
    err = gmem_ram_create(vm, &options, ret_ram);
    return err ? explain(backing, vm, err, size, error) : 0;
}
