/* SPDX-License-Identifier: MIT */
/* pc/firmware.c - reading firmware files, with an answer for each way in which a file can be unfit. No state. */
#include "firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check(int fd, const char *path, size_t unit, size_t max, size_t *ret_len, struct pc_error *error)
{
    struct stat info;

    if (fstat(fd, &info) < 0)
        return pc_fail(error, -errno, "firmware %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return pc_fail(error, -EINVAL, "firmware %s is not a regular file", path);
    if (info.st_size == 0)
        return pc_fail(error, -EINVAL, "firmware %s is empty", path);
    if ((unsigned long long)info.st_size > max)
        return pc_fail(error, -EFBIG, "firmware %s has %lld bytes: the most that fits is %zu", path,
                       (long long)info.st_size, max);
    if ((size_t)info.st_size % unit)
        return pc_fail(error, -EINVAL, "firmware %s has %lld bytes: it must be a multiple of %zu", path,
                       (long long)info.st_size, unit);
    *ret_len = (size_t)info.st_size;
    return 0;
}

static int read_all(int fd, const char *path, unsigned char *data, size_t len, struct pc_error *error)
{
    size_t done = 0;

    while (done < len) {
        ssize_t got = read(fd, data + done, len - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pc_fail(error, -errno, "firmware %s can't be read: %s", path, strerror(errno));
        if (got == 0)
            return pc_fail(error, -EIO, "firmware %s became shorter while it was read", path);
        done += (size_t)got;
    }
    return 0;
}

static int load(int fd, const char *path, size_t unit, size_t max, void **ret_data, size_t *ret_len,
                struct pc_error *error)
{
    size_t len = 0;
    void *data;
    int err = check(fd, path, unit, max, &len, error);

    if (err)
        return err;
    data = malloc(len); /* NOLINT(clang-analyzer-optin.portability.UnixAPI): check() refuses an empty file */
    if (!data)
        return pc_fail(error, -ENOMEM, "no memory for firmware %s of %zu bytes", path, len);
    err = read_all(fd, path, data, len, error);
    if (err) {
        free(data);
        return err;
    }
    *ret_data = data;
    *ret_len = len;
    return 0;
}

int firmware_load(const char *path, size_t unit, size_t max, void **ret_data, size_t *ret_len, struct pc_error *error)
{
    /* Not to wait for the other end of a pipe, which check() then refuses. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int err;

    if (fd < 0)
        return pc_fail(error, -errno, "firmware %s can't be opened: %s", path, strerror(errno));
    err = load(fd, path, unit, max, ret_data, ret_len, error);
    close(fd);
    return err;
}
