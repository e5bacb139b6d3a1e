/* SPDX-License-Identifier: MIT */
/* pc/backing.h - where the memory of the machine's RAM comes from: the main block and what is plugged in later. */
#ifndef PC_BACKING_H
#define PC_BACKING_H

#include <gmem/gmem.h>

#include "hooks.h"

/* All zero: anonymous memory, private, touched by whoever needs it first. */
struct pc_backing {
    enum gmem_ram_backing kind; /* ANON, MEMFD or FILE */
    uint32_t flags;             /* GMEM_RAM_* */
    const char *path;           /* of FILE: a file, or a directory that an unlinked file is made in */
    bool hugetlbfs;             /* refuse a path that is not in a hugetlbfs */
    /* NULL, or called while memory is touched (GMEM_RAM_PREALLOC), as struct gmem_ram_options says; non-zero cancels. */
    int (*progress)(void *opaque, const char *id, uint64_t done, uint64_t total);
    void *opaque;
};

/*
 * Create a block. second: not the main one, whose file it can't share: where path is no directory its file is PATH.ID. On
 * failure (-errno; -ECANCELED: progress asked for it) error says why, in one line.
 */
int pc_backing_create(const struct pc_backing *backing, gmem_vm *vm, const char *id, bool second, uint64_t size,
                      gmem_ram **ret_ram, struct pc_error *error) GMEM_MUST_CHECK;

#endif
