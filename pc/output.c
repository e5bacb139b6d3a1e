/* SPDX-License-Identifier: MIT */
/* pc/output.c - files that a run writes. No state of its own; the main thread's. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int output_open(struct output *output, const char *path, const char *what, struct pc_error *error)
{
    struct stat info;
    int fd;

    if (!path)
        return 0;
    output->path = path;
    output->created = stat(path, &info) < 0 && errno == ENOENT;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    output->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!output->file) {
        int err = -errno;

        if (fd >= 0)
            close(fd);
        output->created = false;
        return pc_fail(error, err, "%s %s can't be written: %s", what, path, strerror(-err));
    }
    return 0;
}

int output_empty(struct output *output, struct pc_error *error)
{
    /* EINVAL: not a file that has a length, such as a pipe. */
    if (output->path && ftruncate(fileno(output->file), 0) < 0 && errno != EINVAL)
        return pc_fail(error, -errno, "%s can't be emptied: %s", output->path, strerror(errno));
    return 0;
}

bool output_close(struct output *output)
{
    bool good;

    if (!output->path)
        return true;
    good = !ferror(output->file);
    good = fclose(output->file) == 0 && good;
    output->file = NULL;
    if (!good)
        fprintf(stderr, "gmem-pc: %s: not everything could be written\n", output->path);
    return good;
}

void output_drop(struct output *output)
{
    if (!output->path)
        return;
    if (output->file)
        fclose(output->file);
    if (output->created)
        unlink(output->path);
}
