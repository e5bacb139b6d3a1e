/* SPDX-License-Identifier: MIT */
/*
 * pc/cmos_timer.c - who calls cmos_tick() when an interrupt of the real-time clock is due: a thread that waits by the host's
 * clock, or a timer on virtual time.
 *
 * Host: the device's lock is taken before the thread's mutex, never with it held. due is the latest that the device said, so
 * the thread, which sleeps on wake, never sleeps past an interrupt.
 * Virtual time: everything under the machine's device lock.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "cmos.h"
#include "vtime.h"

/* --- the host's clock -------------------------------------------------------------------------------------------- */

struct host {
    pthread_t thread;
    pthread_mutex_t mutex; /* of the rest */
    pthread_cond_t wake;   /* something of the next three changed */
    struct cmos *cmos;     /* NULL: not yet */
    uint64_t due;
    bool stop;
};

static uint64_t host_now(void *opaque)
{
    struct timespec now;

    (void)opaque;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * PC_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void host_next(void *opaque, uint64_t due)
{
    struct host *host = opaque;

    pthread_mutex_lock(&host->mutex);
    host->due = due;
    pthread_cond_signal(&host->wake);
    pthread_mutex_unlock(&host->mutex);
}

/* With the mutex held, which it gives up meanwhile. */
static void sleep_until(struct host *host, uint64_t due)
{
    /* The condition's clock is the default one, CLOCK_REALTIME, which is also host_now()'s. */
    const struct timespec until = {.tv_sec = (time_t)(due / PC_NS_PER_S), .tv_nsec = (long)(due % PC_NS_PER_S)};

    if (due == CMOS_NEVER)
        pthread_cond_wait(&host->wake, &host->mutex);
    else
        pthread_cond_timedwait(&host->wake, &host->mutex, &until);
}

static void *host_main(void *opaque)
{
    struct host *host = opaque;

    pthread_mutex_lock(&host->mutex);
    while (!host->stop) {
        struct cmos *cmos = host->cmos;
        uint64_t due = cmos != NULL ? host->due : CMOS_NEVER;

        if (host_now(NULL) < due) {
            sleep_until(host, due);
        } else {
            pthread_mutex_unlock(&host->mutex);
            (void)cmos_tick(cmos);
            pthread_mutex_lock(&host->mutex);
        }
    }
    pthread_mutex_unlock(&host->mutex);
    return NULL;
}

static void host_end(void *opaque)
{
    struct host *host = opaque;

    pthread_mutex_lock(&host->mutex);
    host->stop = true;
    pthread_cond_signal(&host->wake);
    pthread_mutex_unlock(&host->mutex);
    pthread_join(host->thread, NULL);
    pthread_cond_destroy(&host->wake);
    pthread_mutex_destroy(&host->mutex);
    free(host);
}

static int start_thread(struct host *host)
{
    sigset_t all, before;
    int err;

    /* Signals are for the threads of the program that knows what to do with them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = -pthread_create(&host->thread, NULL, host_main, host);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static int host_create(struct host **ret)
{
    struct host *host = calloc(1, sizeof(*host));
    int err;

    if (host == NULL)
        return -ENOMEM;
    host->due = CMOS_NEVER;
    /* With default attributes neither allocates, nor can it fail. */
    pthread_mutex_init(&host->mutex, NULL);
    pthread_cond_init(&host->wake, NULL);
    err = start_thread(host);
    if (err != 0) {
        pthread_cond_destroy(&host->wake);
        pthread_mutex_destroy(&host->mutex);
        free(host);
        return err;
    }
    *ret = host;
    return 0;
}

int cmos_create(gmem_vm *vm, gmem_region *io, uint64_t ram_below_4g, uint64_t ram_above_4g, unsigned cpus,
                struct pc_irq irq8, struct cmos **ret)
{
    struct cmos_clock clock = {.now = host_now, .next = host_next, .end = host_end};
    struct host *host;
    int err = host_create(&host);

    if (err != 0)
        return err;
    clock.opaque = host;
    err = cmos_create_clock(vm, io, ram_below_4g, ram_above_4g, cpus, irq8, &clock, ret);
    if (err != 0) {
        host_end(host);
        return err;
    }
    pthread_mutex_lock(&host->mutex);
    host->cmos = *ret;
    pthread_cond_signal(&host->wake);
    pthread_mutex_unlock(&host->mutex);
    return 0;
}

/* --- virtual time ------------------------------------------------------------------------------------------------ */

#define VTIME_START (CMOS_VTIME_START_S * PC_NS_PER_S)

struct virtual
{
    struct cmos *cmos;
    struct vtime *time;
    struct vtime_timer timer;
};

static uint64_t virtual_now(void *opaque)
{
    const struct virtual *virtual = opaque;

    return VTIME_START + vtime_now(virtual->time);
}

static void virtual_next(void *opaque, uint64_t due)
{
    struct virtual *virtual = opaque;

    vtime_set(virtual->time, &virtual->timer, due == CMOS_NEVER ? VTIME_NEVER : due - VTIME_START);
}

static void virtual_end(void *opaque)
{
    struct virtual *virtual = opaque;

    vtime_set(virtual->time, &virtual->timer, VTIME_NEVER);
    free(virtual);
}

static void virtual_due(void *opaque, uint64_t now)
{
    const struct virtual *virtual = opaque;

    (void)now;
    (void)cmos_tick(virtual->cmos);
}

int cmos_create_vtime(gmem_vm *vm, gmem_region *io, uint64_t ram_below_4g, uint64_t ram_above_4g, unsigned cpus,
                      struct pc_irq irq8, struct vtime *time, struct cmos **ret)
{
    struct cmos_clock clock = {.now = virtual_now, .next = virtual_next, .end = virtual_end};
    struct virtual *virtual = calloc(1, sizeof(*virtual));
    int err;

    if (virtual == NULL)
        return -ENOMEM;
    virtual->time = time;
    virtual->timer = (struct vtime_timer){.expire = virtual_due, .opaque = virtual};
    clock.opaque = virtual;
    err = cmos_create_clock(vm, io, ram_below_4g, ram_above_4g, cpus, irq8, &clock, &virtual->cmos);
    if (err != 0) {
        free(virtual);
        return err;
    }
    *ret = virtual->cmos;
    return 0;
}
