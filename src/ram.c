/* SPDX-License-Identifier: MIT */
/*
 * ram.c - RAM blocks: their ids, their places in the vm's RAM offset space, their references.
 *
 * Invariants. vm->rams is ordered by offset, no two blocks overlap, no two have one id; blocks without references, which
 * are about to leave the list, count for offsets but neither for ids nor for finding. Offsets are multiples of 64 pages, so
 * that a 64-bit word of a bitmap with a bit for each page never belongs to two blocks.
 *
 * The list is guarded by vm->mutex, which is never held while memory is mapped or unmapped. References are atomic: one is
 * taken from the list only while there is another.
 */
#include "ram.h"
#include "dirty.h"
#include "ram_backing.h"
#include "range.h"
#include "trace.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS_ALL                                                                                                      \
    (GMEM_RAM_SHARED | GMEM_RAM_PREALLOC | GMEM_RAM_HUGE | GMEM_RAM_NO_DUMP | GMEM_RAM_NO_FORK | GMEM_RAM_MERGE |      \
     GMEM_RAM_READONLY | GMEM_RAM_HUGETLB | GMEM_RAM_NORESERVE)

#define PAGES_PER_WORD 64u

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

/* With vm->mutex: whether a live block has the id. */
static bool id_taken(const gmem_vm *vm, const char *id)
{
    const struct gmem__link *link;

    for (link = vm->rams.next; link != &vm->rams; link = link->next) {
        const gmem_ram *ram = GMEM__OF(link, const gmem_ram, link);

        if (__atomic_load_n(&ram->refs, __ATOMIC_RELAXED) && !strcmp(ram->id, id))
            return true;
    }
    return false;
}

/*
 * With vm->mutex: the place of size bytes at a multiple of align by best fit: the smallest gap that holds them, the lowest
 * of several. *ret_before is the link that the block goes before.
 */
static int place(gmem_vm *vm, uint64_t size, uint64_t align, uint64_t *ret_offset, struct gmem__link **ret_before)
{
    struct gmem__link *link = &vm->rams;
    uint64_t best_room = GMEM__LAST;
    uint64_t from = 0; /* first byte behind the blocks seen so far */
    bool found = false;

    do {
        const gmem_ram *next;
        uint64_t last, at;

        link = link->next; /* NOLINT(clang-analyzer-core.NullDereference): links of a list are never NULL */
        next = link == &vm->rams ? NULL : GMEM__OF(link, const gmem_ram, link);
        last = !next ? GMEM__LAST : next->offset - 1; /* not looked at when next begins at 0 */
        at = (from + align - 1) & ~(align - 1);
        if (at >= from && !(next && next->offset <= at) && last - at >= size - 1 && (!found || last - at < best_room)) {
            best_room = last - at;
            *ret_offset = at;
            *ret_before = link;
            found = true;
        }
        if (next) {
            from = next->offset + next->mapped;
            if (from < next->offset)
                break; /* it ends at 2^64 */
        }
    } while (link != &vm->rams);
    return found ? 0 : -ENOSPC;
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
    uint64_t align = gmem__max(PAGES_PER_WORD * gmem__host_page_size(), ram->page_size);
    struct gmem__link *before = NULL;
    bool entered = false;
    int err = 0;

    while (!err && !entered) {
        pthread_mutex_lock(&vm->mutex);
        /* Its bitmap is made without the mutex; then what was asked may have changed. */
        if (!vm->log_blocks || ram->prepared) {
            err = id_taken(vm, ram->id) ? -EEXIST : place(vm, ram->mapped, align, &ram->offset, &before);
            entered = !err;
        }
        if (entered) {
            log_as_all(ram);
            gmem__link_before(before, &ram->link);
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
    taken = id_taken(vm, options->id);
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
    gmem__link_remove(&ram->link);
    pthread_mutex_unlock(&vm->mutex);
    trace(ram, GMEM_TRACE_RAM_ENDED);
    ram_free(ram);
}

void gmem__ram_free(gmem_ram *ram)
{
    gmem__link_remove(&ram->link);
    trace(ram, GMEM_TRACE_RAM_ENDED);
    ram_free(ram);
}

gmem_ram *gmem__ram_from(gmem_vm *vm, uint64_t offset)
{
    struct gmem__link *link;
    gmem_ram *found = NULL;

    pthread_mutex_lock(&vm->mutex);
    for (link = vm->rams.next; link != &vm->rams && !found; link = link->next) {
        gmem_ram *ram = GMEM__OF(link, gmem_ram, link);

        if (ram->offset >= offset && ref_live(ram))
            found = ram;
    }
    pthread_mutex_unlock(&vm->mutex);
    return found;
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
    struct gmem__link *link;
    int err = -ENOENT;

    if (!vm || !id || !ret_ram)
        return -EINVAL;
    pthread_mutex_lock(&vm->mutex);
    for (link = vm->rams.next; link != &vm->rams && err; link = link->next) {
        gmem_ram *ram = GMEM__OF(link, gmem_ram, link);

        if (!strcmp(ram->id, id) && ref_live(ram)) {
            *ret_ram = ram;
            err = 0;
        }
    }
    pthread_mutex_unlock(&vm->mutex);
    return err;
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
    uint64_t from = 0;
    gmem_ram *ram;
    int ret = 0;

    if (!vm || !fn)
        return -EINVAL;
    /* No block begins in the last page. */
    while (!ret && (ram = gmem__ram_from(vm, from))) {
        from = ram->offset + 1;
        ret = fn(opaque, ram);
        gmem_ram_unref(ram);
    }
    return ret;
}
