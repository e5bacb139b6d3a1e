/* SPDX-License-Identifier: MIT */
/*
 * vm.c - the vm object: its birth and end, the writer turn, diagnostics.
 *
 * The writer turn is what serialises edits: a thread owns it from its outermost acquire to the
 * matching release. It is not a mutex that is held, so that no lock is held while callbacks run
 * inside a commit; vm->mutex guards only the hand-over.
 *
 * Invariants: depth > 0 exactly while turn_owner has the turn. A region on vm->dead is freed at the
 * latest when the present owner releases the turn: release looks at the stack again after giving it
 * up.
 */
#include "vm.h"
#include "coalesce.h"
#include "fence.h"
#include "ram.h"
#include "space.h"
#include "trace.h"
#include "transaction.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64u

void gmem__log(gmem_vm *vm, enum gmem_log_level level, const char *format, ...)
{
    char text[GMEM__REASON_MAX];
    va_list args;

    if (!vm->log)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    vm->log(vm->log_opaque, level, text);
}

void gmem__note_reason(gmem_vm *vm, int err, const char *format, ...)
{
    va_list args;

    pthread_mutex_lock(&vm->mutex);
    va_start(args, format);
    (void)vsnprintf(vm->reason, sizeof(vm->reason), format, args);
    va_end(args);
    vm->reason_err = err;
    pthread_mutex_unlock(&vm->mutex);
}

int gmem_vm_reason(gmem_vm *vm, char *buf, size_t size)
{
    int err;

    pthread_mutex_lock(&vm->mutex);
    err = vm->reason_err;
    if (size > 0)
        (void)snprintf(buf, size, "%s", vm->reason);
    pthread_mutex_unlock(&vm->mutex);
    return err;
}

void *gmem__alloc_lines(size_t size)
{
    /* A multiple of the alignment, as aligned_alloc(3) wants it. */
    size_t rounded = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *lines = aligned_alloc(CACHE_LINE, rounded);

    if (lines)
        memset(lines, 0, rounded);
    return lines;
}

int gmem__grow(void **array, size_t *room, size_t count, size_t size)
{
    size_t wanted = *room ? *room : 8;
    void *grown;

    if (count <= *room)
        return 0;
    while (wanted < count) {
        if (wanted > SIZE_MAX / 2)
            return -ENOMEM;
        wanted *= 2;
    }
    if (wanted > SIZE_MAX / size)
        return -ENOMEM;
    grown = realloc(*array, wanted * size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *room = wanted;
    return 0;
}

int gmem__options_copy(void *known, size_t known_size, const void *given, size_t struct_size)
{
    const unsigned char *bytes = given;
    size_t i;

    if (struct_size < sizeof(size_t))
        return -EINVAL;
    for (i = known_size; i < struct_size; i++) {
        if (bytes[i])
            return -EINVAL;
    }
    memset(known, 0, known_size);
    memcpy(known, given, struct_size < known_size ? struct_size : known_size);
    return 0;
}

int gmem__turn_acquire(gmem_vm *vm)
{
    pthread_t self = pthread_self();
    int err = 0;

    pthread_mutex_lock(&vm->mutex);
    if (vm->depth > 0 && pthread_equal(vm->turn_owner, self)) {
        if (vm->notifying)
            err = -EBUSY;
        else
            vm->depth++;
    } else {
        while (vm->depth > 0)
            pthread_cond_wait(&vm->turn_free, &vm->mutex);
        vm->turn_owner = self;
        vm->depth = 1;
    }
    pthread_mutex_unlock(&vm->mutex);
    return err ? gmem__refuse(vm, err, "an edit from inside a listener or log callback") : 0;
}

void gmem__turn_release(gmem_vm *vm)
{
    bool free_now;

    if (vm->depth == 1)
        gmem__region_bury(vm);
    pthread_mutex_lock(&vm->mutex);
    free_now = --vm->depth == 0;
    if (free_now)
        pthread_cond_signal(&vm->turn_free);
    pthread_mutex_unlock(&vm->mutex);
    /* Whoever buried a region since then found the turn taken and left it to us. */
    if (free_now && __atomic_load_n(&vm->dead, __ATOMIC_ACQUIRE))
        gmem__turn_poke(vm);
}

bool gmem__turn_mine(gmem_vm *vm)
{
    bool mine;

    pthread_mutex_lock(&vm->mutex);
    mine = vm->depth > 0 && pthread_equal(vm->turn_owner, pthread_self());
    pthread_mutex_unlock(&vm->mutex);
    return mine;
}

void gmem__turn_poke(gmem_vm *vm)
{
    bool taken = false;

    pthread_mutex_lock(&vm->mutex);
    if (vm->depth == 0) {
        vm->turn_owner = pthread_self();
        vm->depth = 1;
        taken = true;
    }
    pthread_mutex_unlock(&vm->mutex);
    if (taken)
        gmem__turn_release(vm);
}

int gmem_vm_create(const struct gmem_vm_options *options, gmem_vm **ret_vm)
{
    struct gmem_vm_options known = {0};
    gmem_vm *vm;
    int err;

    if (!ret_vm)
        return -EINVAL;
    if (options) {
        err = gmem__options_copy(&known, sizeof(known), options, options->struct_size);
        if (err)
            return err;
    }
    if ((unsigned)known.endian > GMEM_ENDIAN_BIG)
        return -EINVAL;
    vm = calloc(1, sizeof(*vm));
    if (!vm)
        return -ENOMEM;
    vm->endian = known.endian == GMEM_ENDIAN_BIG ? GMEM_ENDIAN_BIG : GMEM_ENDIAN_LITTLE;
    vm->log = known.log;
    vm->log_opaque = known.log_opaque;
    vm->backlog_max = known.backlog_max ? known.backlog_max : GMEM_BACKLOG_DEFAULT;
    gmem__link_init(&vm->rams);
    gmem__link_init(&vm->gaps);
    gmem__link_init(&vm->mmio_ops);
    gmem__link_init(&vm->guards);
    gmem__link_init(&vm->regions);
    gmem__link_init(&vm->spaces);
    gmem__link_init(&vm->listeners);
    gmem__link_init(&vm->heard);
    gmem__link_init(&vm->shown);
    if (pthread_mutex_init(&vm->mutex, NULL)) {
        free(vm);
        return -ENOMEM;
    }
    if (pthread_cond_init(&vm->turn_free, NULL)) {
        pthread_mutex_destroy(&vm->mutex);
        free(vm);
        return -ENOMEM;
    }
    err = gmem__shown_create(vm, NULL, &vm->none);
    if (err) {
        pthread_cond_destroy(&vm->turn_free);
        pthread_mutex_destroy(&vm->mutex);
        free(vm);
        return err;
    }
    vm->none->spaces = 1; /* the vm's own: it is never retired */
    vm->shape = 1;
    vm->full_fence = gmem__fence_init();
    *ret_vm = vm;
    return 0;
}

void gmem_vm_destroy(gmem_vm *vm)
{
    struct gmem__link *link;
    unsigned client;

    if (!vm)
        return;
    while (gmem__turn_mine(vm) && vm->savepoint_count > 0)
        gmem_vm_abort(vm);
    gmem_vm_flush_coalesced(vm);
    while (!gmem__link_empty(&vm->listeners)) {
        link = vm->listeners.next;
        gmem_listener_unregister(vm, GMEM__OF(link, struct gmem__listener, link)->user);
    }
    while (!gmem__link_empty(&vm->spaces))
        gmem_space_destroy(GMEM__OF(vm->spaces.next, gmem_space, vm_link));
    /* Views retired so far unpin their regions from the reclamation thread: let it finish. */
    gmem__rcu_barrier();
    gmem__shown_end(vm->none);
    gmem__region_free_all(vm);
    gmem__guard_free_all(vm);
    gmem__hook_end(vm);
    gmem__trace_end(vm);
    free(vm->counts_gone);
    while (!gmem__link_empty(&vm->rams))
        gmem__ram_free(GMEM__OF(vm->rams.next, gmem_ram, link));
    for (client = 0; client < GMEM_LOG_CLIENTS; client++)
        free(vm->log_names[client]);
    free(vm->savepoints);
    free(vm->undos);
    pthread_cond_destroy(&vm->turn_free);
    pthread_mutex_destroy(&vm->mutex);
    free(vm);
}

void gmem_vm_stats(gmem_vm *vm, struct gmem_vm_stats *ret_stats)
{
#define READ(counter) ret_stats->counter = __atomic_load_n(&vm->stats.counter, __ATOMIC_RELAXED)
    READ(commits);
    READ(commits_refused);
    READ(views_rendered);
    READ(views_published);
    READ(listener_calls);
    READ(regions);
    ret_stats->backlog = __atomic_load_n(&vm->backlog, __ATOMIC_RELAXED);
    READ(spaces_visited);
    READ(regions_climbed);
    READ(regions_visited);
    READ(ranges_rendered);
    READ(ranges_compared);
    READ(nodes_visited);
    READ(nodes_copied);
    ret_stats->reentrant = __atomic_load_n(&vm->reentrant, __ATOMIC_RELAXED);
#undef READ
}
