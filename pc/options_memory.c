/* SPDX-License-Identifier: MIT */
/*
 * pc/options_memory.c - what --memory and --memory-backend say: sizes, slots, where memory comes from. No state.
 *
 * Commas end an item; in a path two commas stand for one that is part of it.
 */
#include "options_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define ITEM_MAX 64u /* the longest item that is not a path, with its NUL, is far shorter */

int parse_size(const char *text, uint64_t *ret)
{
    static const char units[] = "KMGTPE";
    unsigned long long value;
    const char *unit;
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno)
        return -ERANGE;
    if (*end) {
        unit = strchr(units, toupper((unsigned char)*end));
        if (!unit || (end[1] && strcmp(end + 1, "B") != 0 && strcmp(end + 1, "iB") != 0))
            return -EINVAL;
        if (value > UINT64_MAX >> (10 * (unit - units + 1)))
            return -ERANGE;
        value <<= 10 * (unit - units + 1);
    }
    *ret = value;
    return 0;
}

static int bad(struct pc_error *error, const char *option, const char *value, const char *wanted)
{
    return pc_fail(error, -EINVAL, "--%s %s: %s", option, value, wanted);
}

/* The item at *at, and *at behind its comma, or NULL behind the last one. False: it is longer than any that is known. */
static bool next_item(const char **at, char *item)
{
    size_t len = strcspn(*at, ",");

    if (len >= ITEM_MAX)
        return false;
    memcpy(item, *at, len);
    item[len] = '\0';
    *at = (*at)[len] ? *at + len + 1 : NULL;
    return true;
}

static int parse_ram(const char *text, const char *item, uint64_t *ret, struct pc_error *error)
{
    uint64_t value;
    int err = parse_size(item, &value);

    if (err == -EINVAL)
        return bad(error, "memory", text, "not a size: a number, or a number with K, M, G or T, such as 512M");
    if (err)
        return bad(error, "memory", text, "more than any machine has; this one takes 1M to 1011G");
    if (value < PC_MEMORY_MIN || value > PC_MEMORY_MAX)
        return bad(error, "memory", text, "this machine takes 1M to 1011G");
    if (value % PC_MEMORY_UNIT)
        return bad(error, "memory", text, "not a whole number of pages of 4 KiB");
    *ret = value;
    return 0;
}

static int parse_slots(const char *text, const char *number, unsigned *ret, struct pc_error *error)
{
    unsigned long value;
    char *end;

    errno = 0;
    value = strtoul(number, &end, 10);
    if (!isdigit((unsigned char)number[0]) || *end || errno || value < 1 || value > PC_DIMMS_MAX)
        return pc_fail(error, -EINVAL, "--memory %s: slots=%s: not a whole number from 1 to %u", text, number,
                       PC_DIMMS_MAX);
    *ret = (unsigned)value;
    return 0;
}

static int parse_max(const char *text, const char *size, uint64_t *ret, struct pc_error *error)
{
    int err = parse_size(size, ret);

    if (err)
        return pc_fail(error, -EINVAL, "--memory %s: max=%s: not a size%s", text, size,
                       err == -ERANGE ? " that any machine has" : "");
    if (*ret % PC_DIMM_UNIT)
        return pc_fail(error, -EINVAL, "--memory %s: max=%s: not a multiple of 2 MiB", text, size);
    return 0;
}

int parse_memory(const char *text, struct options *options, struct pc_error *error)
{
    const char *at = text;
    char item[ITEM_MAX];
    uint64_t memory = 0, max = 0;
    unsigned slots = 0;
    int err;

    if (!next_item(&at, item))
        return parse_ram(text, "too long", &memory, error);
    err = parse_ram(text, item, &memory, error);
    while (!err && at) {
        if (!next_item(&at, item))
            err = bad(error, "memory", text, "behind the size come slots=N and max=SIZE");
        else if (strncmp(item, "slots=", 6) == 0)
            err = parse_slots(text, item + 6, &slots, error);
        else if (strncmp(item, "max=", 4) == 0)
            err = parse_max(text, item + 4, &max, error);
        else
            err = pc_fail(error, -EINVAL, "--memory %s: '%s': behind the size come slots=N and max=SIZE", text, item);
    }
    if (err)
        return err;
    if (!slots != !max)
        return bad(error, "memory", text, slots ? "slots= needs max=SIZE too" : "max= needs slots=N too");
    if (max && max <= memory)
        return bad(error, "memory", text, "max= is not more than the memory that is there from the start");
    if (max && machine_device_memory_end(memory, slots, max) > PC_ADDRESS_END)
        return bad(error, "memory", text,
                   "max= and 1 GiB for each slot reach beyond 1012 GiB, where this machine's addresses end");
    options->memory = memory;
    options->dimm_slots = slots;
    options->memory_max = max;
    return 0;
}

/* Copy the path up to its comma; the next item is at *at then, or it is NULL. */
static int parse_path(const char **at, char *path)
{
    const char *from = *at;
    size_t len = 0;

    for (; *from && (*from != ',' || from[1] == ','); from++) {
        if (len + 1 >= OPTIONS_PATH_MAX)
            return -ENAMETOOLONG;
        from += *from == ',';
        path[len++] = *from;
    }
    path[len] = '\0';
    *at = *from ? from + 1 : NULL;
    return len ? 0 : -EINVAL;
}

static int parse_kind(const char *text, const char **at, struct options *options, struct pc_error *error)
{
    char item[ITEM_MAX];
    int err;

    if (strncmp(*at, "file:", 5) == 0) {
        *at += 5;
        options->backing = GMEM_RAM_FILE;
        err = parse_path(at, options->backing_path);
        if (err == -ENAMETOOLONG)
            return pc_fail(error, err, "--memory-backend: the path is too long");
        return err ? bad(error, "memory-backend", text, "file: needs a path") : 0;
    }
    if (!next_item(at, item))
        item[0] = '\0';
    if (strcmp(item, "anon") == 0)
        options->backing = GMEM_RAM_ANON;
    else if (strcmp(item, "memfd") == 0)
        options->backing = GMEM_RAM_MEMFD;
    else
        return bad(error, "memory-backend", text, "the choices are anon, memfd and file:PATH");
    return 0;
}

int parse_backend(const char *text, struct options *options, struct pc_error *error)
{
    static const char wanted[] = "behind the kind come share, hugepages and prealloc, with commas between";
    const char *at = text;
    char item[ITEM_MAX] = "";
    int err;

    options->share = options->hugepages = options->prealloc = false;
    options->backing_path[0] = '\0';
    err = parse_kind(text, &at, options, error);
    while (!err && at) {
        if (!next_item(&at, item))
            err = bad(error, "memory-backend", text, wanted);
        else if (strcmp(item, "share") == 0)
            options->share = true;
        else if (strcmp(item, "hugepages") == 0)
            options->hugepages = true;
        else if (strcmp(item, "prealloc") == 0)
            options->prealloc = true;
        else
            err = pc_fail(error, -EINVAL, "--memory-backend %s: '%s': %s", text, item, wanted);
    }
    return err;
}

void options_backing(const struct options *options, struct pc_backing *ret)
{
    *ret = (struct pc_backing){.kind = options->backing,
                               .flags =
                                   (options->share ? GMEM_RAM_SHARED : 0) | (options->prealloc ? GMEM_RAM_PREALLOC : 0),
                               .path = options->backing == GMEM_RAM_FILE ? options->backing_path : NULL,
                               .hugetlbfs = options->backing == GMEM_RAM_FILE && options->hugepages};
    if (options->hugepages && options->backing == GMEM_RAM_ANON)
        ret->flags |= GMEM_RAM_HUGE;
    if (options->hugepages && options->backing == GMEM_RAM_MEMFD)
        ret->flags |= GMEM_RAM_HUGETLB;
}
