/* SPDX-License-Identifier: MIT */
/*
 * pc/png_file.c - pictures as PNG files, by libpng's simplified interface. No state; runs under no lock.
 *
 * PNG specification (W3C), colour type 2, 8 bits a sample.
 */
#include "png_file.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_TRIES 100u

/* Where the bytes go first. */
struct target {
    char *path; /* the file that is meant; of a symbolic link, where it leads */
    char *temp; /* NULL: path itself is written */
    FILE *file;
};

static int refuse(const char *path, int err, struct pc_error *error)
{
    return pc_fail(error, err, "picture %s can't be written: %s", path, strerror(-err));
}

static void target_free(struct target *target)
{
    if (target->file)
        fclose(target->file);
    if (target->temp)
        unlink(target->temp);
    free(target->temp);
    free(target->path);
}

/* A file beside path that was not there. */
static int open_temp(struct target *target)
{
    for (unsigned i = 0; i < NAME_TRIES; i++) {
        char *name;
        int fd;

        if (asprintf(&name, "%s.%ld-%u", target->path, (long)getpid(), i) < 0)
            return -ENOMEM;
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            target->temp = name;
            target->file = fdopen(fd, "w");
            if (target->file)
                return 0;
            close(fd);
            return -ENOMEM;
        }
        free(name);
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

/* What is no regular file is written in place. A pipe that nobody reads is refused (ENXIO) and not waited for. */
static int open_special(struct target *target)
{
    int fd = open(target->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC), flags, err;

    if (fd < 0)
        return -errno;
    flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0)
        target->file = fdopen(fd, "w");
    if (target->file)
        return 0;
    err = -errno;
    close(fd);
    return err;
}

/* path as it is now. *ret_special: there is something that is no regular file. */
static int resolve(const char *path, char **ret_path, bool *ret_special)
{
    struct stat info;

    *ret_special = false;
    if (stat(path, &info) < 0) {
        if (errno != ENOENT || path[0] == '\0' || path[strlen(path) - 1] == '/')
            return -errno;
        *ret_path = strdup(path);
        return *ret_path ? 0 : -ENOMEM;
    }
    if (S_ISDIR(info.st_mode))
        return -EISDIR;
    if (access(path, W_OK) < 0)
        return -errno;
    *ret_special = !S_ISREG(info.st_mode);
    *ret_path = realpath(path, NULL);
    return *ret_path ? 0 : -errno;
}

static int target_open(struct target *target, const char *path)
{
    bool special;
    int err = resolve(path, &target->path, &special);

    if (err || !special)
        return err ? err : open_temp(target);
    return open_special(target);
}

/* The bytes are out, and the file has its name. */
static int target_close(struct target *target)
{
    FILE *file = target->file;
    int err = 0;

    target->file = NULL;
    if (fflush(file) != 0 || ferror(file))
        err = errno ? -errno : -EIO;
    if (fclose(file) != 0 && !err)
        err = -errno;
    if (err || !target->temp)
        return err;
    if (rename(target->temp, target->path) < 0)
        return -errno;
    free(target->temp);
    target->temp = NULL;
    return 0;
}

static uint8_t *to_bytes(const uint32_t *pixels, size_t count)
{
    uint8_t *bytes = malloc(3 * count);

    for (size_t i = 0; bytes && i < count; i++) {
        bytes[3 * i] = (uint8_t)(pixels[i] >> 16);
        bytes[3 * i + 1] = (uint8_t)(pixels[i] >> 8);
        bytes[3 * i + 2] = (uint8_t)pixels[i];
    }
    return bytes;
}

int png_file_write(const char *path, const uint32_t *pixels, uint32_t width, uint32_t height, struct pc_error *error)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = PNG_FORMAT_RGB};
    struct target target = {.path = NULL};
    uint8_t *bytes = to_bytes(pixels, (size_t)width * height);
    int err = bytes ? target_open(&target, path) : -ENOMEM;

    if (!err) {
        errno = 0;
        if (!png_image_write_to_stdio(&image, target.file, 0, bytes, 0, NULL))
            err = errno ? -errno : -EIO;
        png_image_free(&image);
    }
    if (!err)
        err = target_close(&target);
    target_free(&target);
    free(bytes);
    return err ? refuse(path, err, error) : 0;
}

int png_file_check(const char *path, struct pc_error *error)
{
    struct target target = {.path = NULL};
    bool special;
    int err = resolve(path, &target.path, &special);

    if (!err && !special)
        err = open_temp(&target);
    target_free(&target);
    return err ? refuse(path, err, error) : 0;
}
