/* SPDX-License-Identifier: MIT */
/*
 * ram.c - RAM blocks: what is asked for, their references, finding them.
 *
 * Invariants. No two blocks have one id; blocks without references, which are about to leave the list, count for offsets but
 * neither for ids nor for finding. Offsets are multiples of 64 pages, so that a 64-bit word of a bitmap with a bit for each
 * page never belongs to two blocks.
 *
 * The list (ram_list.c) is guarded by vm->mutex, which is never held while memory is mapped or unmapped. References are atomic: one is
 * taken from the list only while there is another.
 */
#include "ram.h"
#include "dirty.h"
#include "ram_backing.h"
#include "ram_list.h"
#include "range.h"
#include "trace.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS_ALL                                                                                                      \
    (GMEM_RAM_SHARED | GMEM_RAM_PREALLOC | GMEM_RAM_HUGE | GMEM_RAM_NO_DUMP | GMEM_RAM_NO_FORK | GMEM_RAM_MERGE |      \
     GMEM_RAM_READONLY | GMEM_RAM_HUGETLB | GMEM_RAM_NORESERVE)

static bool is_power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

/* --- what is asked for --------------------------------------------------------------------------------------------- */

/* Why options can't be, or NULL. */
static const char *check_backing(const struct gmem_ram_options *options)
{
    uint64_t page_size = gmem__host_page_size();

    switch (options->backing) {
    case GMEM_RAM_ANON:
    case GMEM_RAM_MEMFD:
    case GMEM_RAM_FILE:
    case GMEM_RAM_CALLER:
        break;
    default:
        return "unknown backing";
    }
    if (options->backing == GMEM_RAM_FILE ? !options->path || !options->path[0] : options->path != NULL)
        return "a path is what file blocks have, and only they";
    if (options->backing != GMEM_RAM_FILE && options->file_offset)
        return "only file blocks have a place in a file";
    if (options->file_offset & (page_size - 1))
        return "its place in the file is no multiple of the page size";
    if (options->backing == GMEM_RAM_CALLER ? !options->host : options->host != NULL)
        return "memory of the caller is what caller blocks have, and only they";
    if ((uintptr_t)options->host & (page_size - 1))
        return "the caller's memory is not page-aligned";
    if (options->align && (!is_power_of_two(options->align) || options->align < page_size))
        return "align is no power of two of at least a page";
    if (options->align && ((uintptr_t)options->host & (options->align - 1)))
        return "the caller's memory is not aligned as asked";
    return NULL;
}

static const char *check_flags(const struct gmem_ram_options *options)
{
    uint32_t flags = options->flags;

    if (flags & ~FLAGS_ALL)
        return "unknown flags";
    if ((flags & GMEM_RAM_READONLY) && options->backing != GMEM_RAM_FILE)
        return "only file blocks can be readonly";
    if ((flags & GMEM_RAM_READONLY) && (flags & GMEM_RAM_PREALLOC))
        return "readonly memory can't be preallocated";
    if ((flags & GMEM_RAM_NORESERVE) && options->backing == GMEM_RAM_CALLER)
        return "memory of the caller is mapped already: what it reserves is the caller's to say";
    if ((flags & GMEM_RAM_HUGETLB) && options->backing != GMEM_RAM_MEMFD)
        return "hugetlb is for memfd blocks (give file blocks a path in a hugetlbfs)";
    if (options->huge_page_size && (!(flags & GMEM_RAM_HUGETLB) || !is_power_of_two(options->huge_page_size) ||
                                    options->huge_page_size < gmem__host_page_size()))
        return "huge_page_size is for hugetlb, and a power of two of at least a page";
    return NULL;
}

static int check_options(gmem_vm *vm, const struct gmem_ram_options *options)
{
    size_t length = options->id ? strnlen(options->id, GMEM_RAM_ID_MAX + 1) : 0;
    const char *wrong;

    if (length == 0 || length > GMEM_RAM_ID_MAX)
        return gmem__refuse(vm, -EINVAL, "a RAM block needs an id of 1 to %u bytes", GMEM_RAM_ID_MAX);
    wrong = options->size ? check_backing(options) : "its size is zero";
    if (!wrong && options->max_size && (options->max_size < options->size || (options->flags & GMEM_RAM_READONLY)))
        wrong = "its size can't change up to that";
    if (!wrong)
        wrong = check_flags(options);
    if (wrong)
        return gmem__refuse(vm, -EINVAL, "RAM block \"%s\": %s", options->id, wrong);
    return 0;
}

/* --- the list ------------------------------------------------------------------------------------------------------ */

/* Take a reference on a block in the list, unless it is on its way out. */
static bool ref_live(gmem_ram *ram)
{
    unsigned long refs = __atomic_load_n(&ram->refs, __ATOMIC_RELAXED);

    while (refs) {
        if (__atomic_compare_exchange_n(&ram->refs, &refs, refs + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* With vm->mutex: what is logged of every block. Beginning to log all looks at the list with the mutex, too (log.c). */
static void log_as_all(gmem_ram *ram)
{
    if (!ram->vm->log_blocks) {
        gmem__ram_log_discard(ram);
        return;
    }
    gmem__ram_log_install(ram, GMEM_LOG_MIGRATION);
    if (ram->vm->global_log)
        gmem__ram_log_always(ram, 1u << GMEM_LOG_MIGRATION);
}

/* Give a mapped block its place and let others find it. */
static int enter(gmem_ram *ram)
{
    gmem_vm *vm = ram->vm;
    uint64_t align = gmem__max(gmem__ram_unit(), ram->page_size);
    gmem_ram *behind = NULL;
    bool entered = false;
    int err = 0;

    while (!err && !entered) {
        pthread_mutex_lock(&vm->mutex);
        /* Its bitmap is made without the mutex; then what was asked may have changed. */
        if (!vm->log_blocks || ram->prepared) {
            err =
                gmem__ram_of_id(vm, ram->id) ? -EEXIST : gmem__ram_place(vm, ram->mapped, align, &ram->offset, &behind);
            entered = !err;
        }
        if (entered) {
            log_as_all(ram);
            gmem__ram_enter(vm, ram, behind);
        }
        pthread_mutex_unlock(&vm->mutex);
        if (!err && !entered)
            err = gmem__ram_log_prepare(ram, GMEM_LOG_MIGRATION);
    }
    return err;
}

static void ram_free(gmem_ram *ram)
{
    gmem__backing_unmap(ram);
    gmem__ram_log_free(ram);
    free(ram->id);
    free(ram);
}

static int refuse_create(gmem_vm *vm, int err, const char *id)
{
    if (err == -EEXIST)
        return gmem__refuse(vm, err, "a RAM block \"%s\" is there already", id);
    if (err == -ENOSPC)
        return gmem__refuse(vm, err, "RAM block \"%s\": no room left in the RAM offset space", id);
    return gmem__refuse(vm, err, "RAM block \"%s\": %s", id, strerror(-err));
}

/* ------------------------------------------------------------------------------------------------------------------- */

static void trace(gmem_ram *ram, enum gmem_trace_kind kind)
{
    struct gmem_trace_event event = {.kind = kind};

    if (kind == GMEM_TRACE_RAM_CREATED)
        GMEM__PROBE3(ram_created, ram->vm, ram->id, ram->size);
    else
        GMEM__PROBE3(ram_ended, ram->vm, ram->id, ram->size);
    if (!gmem__traced(ram->vm, kind))
        return;
    event.u.ram.id = ram->id;
    event.u.ram.size = ram->size;
    gmem_trace_emit(ram->vm, &event);
}

/* With options that were checked. */
static int create_checked(gmem_vm *vm, const struct gmem_ram_options *options, gmem_ram **ret_ram)
{
    gmem_ram *ram;
    bool taken;
    int err;

    /* Looked at again when the block is entered; here, so that no file is touched for nothing. */
    pthread_mutex_lock(&vm->mutex);
    taken = gmem__ram_of_id(vm, options->id) != NULL;
    pthread_mutex_unlock(&vm->mutex);
    if (taken)
        return refuse_create(vm, -EEXIST, options->id);
    ram = calloc(1, sizeof(*ram));
    if (!ram)
        return refuse_create(vm, -ENOMEM, options->id);
    ram->vm = vm;
    ram->refs = 1;
    ram->full_fence = vm->full_fence;
    ram->id = strdup(options->id);
    err = ram->id ? gmem__backing_map(ram, options) : refuse_create(vm, -ENOMEM, options->id);
    if (err) {
        free(ram->id);
        free(ram);
        return err;
    }
    err = enter(ram);
    if (err) {
        ram_free(ram);
        return refuse_create(vm, err, options->id);
    }
    trace(ram, GMEM_TRACE_RAM_CREATED);
    *ret_ram = ram;
    return 0;
}

int gmem_ram_create(gmem_vm *vm, const struct gmem_ram_options *options, gmem_ram **ret_ram)
{
    struct gmem_ram_options known;
    int err;

    if (!vm || !options || !ret_ram)
        return -EINVAL;
    if (gmem__options_copy(&known, sizeof(known), options, options->struct_size))
        return gmem__refuse(vm, -EINVAL, "RAM options with an unknown size, or tail");
    err = check_options(vm, &known);
    if (err)
        return err;
    if (gmem__turn_mine(vm) && vm->notifying)
        return gmem__refuse(vm, -EBUSY, "a RAM block created from inside a listener callback");
    return create_checked(vm, &known, ret_ram);
}

int gmem_ram_create_anon(gmem_vm *vm, const char *id, uint64_t size, gmem_ram **ret_ram)
{
    struct gmem_ram_options options = {.struct_size = sizeof(options), .id = id, .size = size};

    return gmem_ram_create(vm, &options, ret_ram);
}

gmem_ram *gmem_ram_ref(gmem_ram *ram)
{
    (void)__atomic_fetch_add(&ram->refs, 1, __ATOMIC_RELAXED);
    return ram;
}

void gmem_ram_unref(gmem_ram *ram)
{
    gmem_vm *vm;

    /* Release: what was done with the memory is done. Pairs with the acquire of whoever gives up the last one. */
    if (!ram || __atomic_fetch_sub(&ram->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    vm = ram->vm;
    pthread_mutex_lock(&vm->mutex);
    gmem__ram_leave(vm, ram);
    pthread_mutex_unlock(&vm->mutex);
    trace(ram, GMEM_TRACE_RAM_ENDED);
    ram_free(ram);
}

void gmem__ram_free(gmem_ram *ram)
{
    gmem__ram_leave(ram->vm, ram);
    trace(ram, GMEM_TRACE_RAM_ENDED);
    ram_free(ram);
}

gmem_ram *gmem__ram_next(gmem_vm *vm, const gmem_ram *ram)
{
    gmem_ram *next;

    pthread_mutex_lock(&vm->mutex);
    next = gmem__ram_behind(vm, ram);
    while (next && !ref_live(next))
        next = gmem__ram_behind(vm, next);
    pthread_mutex_unlock(&vm->mutex);
    return next;
}

gmem_vm *gmem_ram_vm(const gmem_ram *ram)
{
    return ram->vm;
}

const char *gmem_ram_id(const gmem_ram *ram)
{
    return ram->id;
}

void *gmem_ram_host(const gmem_ram *ram)
{
    return ram->host;
}

uint64_t gmem_ram_size(const gmem_ram *ram)
{
    return __atomic_load_n(&ram->size, __ATOMIC_RELAXED);
}

uint64_t gmem_ram_max_size(const gmem_ram *ram)
{
    return ram->max;
}

uint64_t gmem_ram_mapped(const gmem_ram *ram)
{
    return ram->mapped;
}

uint64_t gmem_ram_page_size(const gmem_ram *ram)
{
    return ram->page_size;
}

uint64_t gmem_ram_offset(const gmem_ram *ram)
{
    return ram->offset;
}

uint32_t gmem_ram_flags(const gmem_ram *ram)
{
    return ram->flags;
}

int gmem_ram_fd(const gmem_ram *ram, int *ret_fd, uint64_t *ret_file_offset)
{
    if (!ram || !ret_fd || !ret_file_offset)
        return -EINVAL;
    if (ram->fd < 0)
        return -ENODATA;
    *ret_fd = ram->fd;
    *ret_file_offset = ram->file_offset;
    return 0;
}

int gmem_ram_find(gmem_vm *vm, const char *id, gmem_ram **ret_ram)
{
    gmem_ram *ram;

    if (!vm || !id || !ret_ram)
        return -EINVAL;
    pthread_mutex_lock(&vm->mutex);
    ram = gmem__ram_of_id(vm, id);
    if (ram && !ref_live(ram))
        ram = NULL; /* its last reference went just now, and no other block can have got its id since */
    pthread_mutex_unlock(&vm->mutex);
    if (!ram)
        return -ENOENT;
    *ret_ram = ram;
    return 0;
}

int gmem_ram_find_host(gmem_vm *vm, const void *host, gmem_ram **ret_ram, uint64_t *ret_offset)
{
    uintptr_t address = (uintptr_t)host;
    struct gmem__link *link;
    int err = -ENOENT;

    if (!vm || !ret_ram || !ret_offset)
        return -EINVAL;
    pthread_mutex_lock(&vm->mutex);
    for (link = vm->rams.next; link != &vm->rams && err; link = link->next) {
        gmem_ram *ram = GMEM__OF(link, gmem_ram, link);
        uintptr_t from = (uintptr_t)ram->host;

        if (address >= from && address - from < gmem_ram_size(ram) && ref_live(ram)) {
            *ret_ram = ram;
            *ret_offset = address - from;
            err = 0;
        }
    }
    pthread_mutex_unlock(&vm->mutex);
    return err;
}

int gmem_ram_foreach(gmem_vm *vm, gmem_ram_fn *fn, void *opaque)
{
    gmem_ram *ram, *next;
    int ret = 0;

    if (!vm || !fn)
        return -EINVAL;
    for (ram = gmem__ram_next(vm, NULL); ram; ram = next) {
        ret = fn(opaque, ram);
        /* While ram is referenced, it is in the list. */
        next = ret ? NULL : gmem__ram_next(vm, ram);
        gmem_ram_unref(ram);
    }
    return ret;
}
