/* SPDX-License-Identifier: MIT */
/*
 * errors.c - what errno values mean when a gmem call returns them, and the library's version.
 *
 * No state; any thread.
 */
#include <errno.h>
#include <gmem/base.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

static const struct {
    int err;
    const char *text;
} texts[] = {
    {0, "no error"},
    {-EINVAL, "invalid argument: missing, zero or out of its range"},
    {-ENOMEM, "out of memory"},
    {-EAGAIN, "not now: all bounce buffers of the space are mapped, or too much waits for readers to end"},
    {-EBUSY, "in use: placed in a container already, waiting already, or an edit from a callback that may not edit"},
    {-ELOOP, "a region would show itself: cycle of containers or aliases"},
    {-EOVERFLOW, "reaches past the end of the 64-bit address space"},
    {-ENOENT, "not there"},
    {-EEXIST, "exists already"},
    {-EXDEV, "objects of different vms"},
    {-EOPNOTSUPP, "the wrong kind of region for this"},
    {-ERANGE, "not inside the region, or larger than its RAM block"},
    {-E2BIG, "nested too deep, or too many pieces to show"},
    {-ENOSPC, "no slots, place, offsets or eventfds left"},
    {-EADDRINUSE, "something else is at these addresses"},
    {-ENODATA, "no file behind this RAM block"},
    {-EACCES, "permission denied"},
    {-EPERM, "operation not permitted"},
    {-EISDIR, "is a directory"},
    {-ENODEV, "no such device"},
    {-EIO, "input/output error"},
    {-EMFILE, "too many open files"},
    {-EBADF, "not an open file"},
    {-ENFILE, "too many open files in the system"},
    {-ENOSYS, "not known to this kernel"},
    {-EFAULT, "the kernel could not read or write memory of this process"},
    {-EROFS, "the file system is read-only"},
    {-ENOTDIR, "part of the path is not a directory"},
    {-EFBIG, "the file would become too large"},
};

const char *gmem_strerror(int err)
{
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].err == err)
            return texts[i].text;
    }
    return "refused by a listener or the system";
}

const char *gmem_version(void)
{
    return TEXT(GMEM_VERSION_MAJOR) "." TEXT(GMEM_VERSION_MINOR) "." TEXT(GMEM_VERSION_PATCH);
}
