/* SPDX-License-Identifier: MIT */
/* ram.h - struct gmem_ram: one RAM block. */
#ifndef GMEM_SRC_RAM_H
#define GMEM_SRC_RAM_H

#include "vm.h"
#include <gmem/ram.h>

struct gmem_ram {
    gmem_vm *vm;
    unsigned long refs;     /* atomic */
    struct gmem__link link; /* in vm->rams, under vm->mutex */
    uint8_t *host;
    uint64_t size;   /* as asked for; atomic: resizing changes it, with the turn */
    uint64_t max;    /* that it can have */
    uint64_t mapped; /* max rounded up */
    uint64_t offset; /* in the vm's RAM offset space */
    uint64_t page_size;
    uint64_t file_offset;
    uint32_t flags;
    enum gmem_ram_backing backing;
    int fd; /* -1: none */
    /* With the turn: ram_resize.c's. */
    bool resizable; /* immutable */
    bool resizing;
    uint64_t high; /* the largest size that it had */
    struct gmem_ram_notifier *first_notifier, *last_notifier;
    struct gmem_ram_notifier *next_notifier; /* to be called */
    char *id;
    /* ram_list.c's, under vm->mutex. */
    struct gmem__link gap; /* in vm->gaps */
    uint64_t id_hash;
    gmem_ram *id_below[2];
    bool full_fence;               /* immutable: fence.h */
    struct gmem__discard *discard; /* discard.c's; atomic; NULL: all of it is populated */

    /* dirty.c's. */
    unsigned always;                   /* atomic: clients that log all of it whatever regions wish, a bit each */
    uint64_t *dirty[GMEM_LOG_CLIENTS]; /* atomic; NULL: the client never logged it */
    uint64_t *prepared;                /* a bitmap that nobody has found yet */
};

/* The first block of vm by offset, for NULL, or the one behind ram, which is referenced; with a reference of the caller's, or NULL. */
gmem_ram *gmem__ram_next(gmem_vm *vm, const gmem_ram *ram);

/* Unmap and free a block whatever refers to it: gmem_vm_destroy() only, after the regions are gone. */
void gmem__ram_free(gmem_ram *ram);

#endif
