/* SPDX-License-Identifier: MIT */
/*
 * Owns references on the blocks and the addresses reserved for them. One thread.
 *
 * All blocks are in one mapping: one for each would run into the kernel's limit of mappings. Of more than there is address space for,
 * a page is reserved, and all blocks begin there: nobody touches them, and where they are in the guest does not depend on it.
 */
#include "blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc.h"

#define RESERVE_MAX (UINT64_C(1) << 62)

/* A region and the block it names. Those of one block stand together, the one of the lowest index first. */
struct user {
    size_t index;
    const struct topo_region *region;
};

static int by_block(const void *a, const void *b)
{
    const struct user *x = a, *y = b;
    int order = 0;

    if (x->region->ram && y->region->ram)
        order = strcmp(x->region->ram, y->region->ram);
    else if (x->region->ram || y->region->ram)
        order = x->region->ram ? 1 : -1;
    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

bool blocks_has(const struct topo_region *region)
{
    return region->kind == GMEM_KIND_RAM || region->kind == GMEM_KIND_ROM || region->kind == GMEM_KIND_ROMD ||
           region->kind == GMEM_KIND_RAM_DEVICE;
}

/* How many users from the first on share its block. */
static size_t shared(const struct user *users, size_t n)
{
    size_t k = 1;

    while (k < n && users[0].region->ram && users[k].region->ram && !strcmp(users[0].region->ram, users[k].region->ram))
        k++;
    return k;
}

static uint64_t largest(const struct user *users, size_t n)
{
    uint64_t size = 0;

    for (size_t i = 0; i < n; i++)
        if (users[i].region->size.bytes > size)
            size = users[i].region->size.bytes;
    return size;
}

static bool reserve(const struct user *users, size_t n, uint64_t page, struct blocks *blocks,
                    const struct topology *topology, struct problem *problem)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        if (users[i].region->size.all)
            return problem_at(problem, topology->source, users[i].region->line, "%s: 2^64 bytes of memory",
                              users[i].region->name);
    for (size_t i = 0, k; i < n; i += k) {
        k = shared(users + i, n - i);
        if (largest(users + i, k) > RESERVE_MAX - sum)
            return problem_at(problem, topology->source, users[i].region->line,
                              "%s: more memory than can be reserved here to show where it is", users[i].region->name);
        sum += (largest(users + i, k) + page - 1) / page * page;
    }
    if (!sum)
        return true;
    blocks->memory = mmap(NULL, sum, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (blocks->memory == MAP_FAILED) {
        sum = page;
        blocks->memory = mmap(NULL, sum, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (blocks->memory == MAP_FAILED) {
        blocks->memory = NULL;
        return problem_at(problem, topology->source, 0, "its memory, %llu bytes, can't be reserved: %s",
                          (unsigned long long)sum, strerror(errno));
    }
    blocks->size = sum;
    return true;
}

static int create(gmem_vm *vm, const struct user *users, size_t n, char *host, struct blocks *blocks)
{
    struct gmem_ram_options options = {
        .struct_size = sizeof(options), .backing = GMEM_RAM_CALLER, .size = largest(users, n), .host = host};
    const struct topo_region *region = users->region;
    /* Names of regions repeat. */
    char *id = region->ram ? alloc_text(region->ram) : alloc_format("%zu:%.200s", users->index, region->name);
    gmem_ram *ram;
    int err;

    options.id = id;
    err = gmem_ram_create(vm, &options, &ram);
    free(id);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++)
        blocks->rams[users[i].index] = gmem_ram_ref(ram);
    gmem_ram_unref(ram);
    return 0;
}

bool blocks_create(const struct topology *topology, gmem_vm *vm, struct blocks *blocks, struct problem *problem)
{
    struct user *users = alloc_zeroed(topology->n_regions, sizeof(*users));
    uint64_t used = 0, page = (uint64_t)sysconf(_SC_PAGESIZE);
    size_t n = 0;
    bool good;

    *blocks = (struct blocks){.rams = alloc_zeroed(topology->n_regions, sizeof(gmem_ram *)), .n = topology->n_regions};
    for (size_t i = 0; i < topology->n_regions; i++)
        if (blocks_has(&topology->regions[i]))
            users[n++] = (struct user){i, &topology->regions[i]};
    qsort(users, n, sizeof(*users), by_block);
    good = reserve(users, n, page, blocks, topology, problem);
    for (size_t i = 0, k; good && i < n; i += k) {
        int err;

        k = shared(users + i, n - i);
        err = create(vm, users + i, k, (char *)blocks->memory + (blocks->size > page ? used : 0), blocks);
        if (err)
            good = problem_at(problem, topology->source, users[i].region->line, "%s: its RAM block: %s",
                              users[i].region->name, gmem_strerror(err));
        used += (largest(users + i, k) + page - 1) / page * page;
    }
    free(users);
    if (!good) {
        blocks_unref(blocks);
        blocks_free(blocks);
    }
    return good;
}

void blocks_unref(struct blocks *blocks)
{
    for (size_t i = 0; blocks->rams && i < blocks->n; i++)
        gmem_ram_unref(blocks->rams[i]);
    free(blocks->rams);
    blocks->rams = NULL;
}

void blocks_free(struct blocks *blocks)
{
    if (blocks->memory)
        munmap(blocks->memory, blocks->size);
    *blocks = (struct blocks){0};
}
