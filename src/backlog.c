/* SPDX-License-Identifier: MIT */
/*
 * backlog.c - a bound on what waits to be freed, however fast a guest makes the map change.
 *
 * What a commit replaces is freed when the readers of that moment are gone. Readers come and go in well under a microsecond,
 * and the thread that frees takes turns of some ten milliseconds; but callbacks of devices run in a read section too, and may
 * block. So:
 *
 *   a. Over the limit (vm->backlog_max), who makes the map change is held back: where a transaction begins; and, if that was
 *      in a device callback, where the access that called it has ended. Not in between: the caller is a reader itself.
 *   b. It is held back for a bounded time, and then goes on. A reader may be waiting for a lock of the program's that the
 *      caller has; then nobody comes any further until the caller does.
 *   c. At four times the limit transactions are refused (-EAGAIN): readers that stay for so long that it comes to that, a
 *      hundred milliseconds for each commit, are not coming back. So memory is bounded, whatever happens.
 *
 * Nothing here waits inside a transaction of the vm (G3). The count is atomic; no lock is held while waiting.
 */
#include "backlog.h"
#include "rcu.h"
#include <errno.h>
#include <time.h>

/* Milliseconds that a transaction is held back at most, and an access. */
#define ADMIT_MS 100u
#define PAY_MS 10

/* Refused from limit << REFUSE_SHIFT on. */
#define REFUSE_SHIFT 2u

__thread bool gmem__backlog_owing;

static uint64_t backlog(const gmem_vm *vm)
{
    return __atomic_load_n(&vm->backlog, __ATOMIC_RELAXED);
}

static void sleep_ms(long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000};

    (void)nanosleep(&time, NULL);
}

void gmem__backlog_add(gmem_vm *vm, size_t bytes)
{
    if (__atomic_add_fetch(&vm->backlog, bytes, __ATOMIC_RELAXED) > vm->backlog_max && gmem__rcu_inside())
        gmem__backlog_owing = true;
}

void gmem__backlog_done(gmem_vm *vm, size_t bytes)
{
    __atomic_fetch_sub(&vm->backlog, bytes, __ATOMIC_RELAXED);
}

int gmem__backlog_admit(gmem_vm *vm)
{
    unsigned waited;

    for (waited = 0; waited < ADMIT_MS && !gmem__rcu_inside() && gmem__backlog_high(vm); waited++)
        sleep_ms(1);
    if (backlog(vm) >> REFUSE_SHIFT >= vm->backlog_max)
        return gmem__refuse(vm, -EAGAIN, "%llu bytes of replaced views wait for a reader that does not end",
                            (unsigned long long)backlog(vm));
    return 0;
}

void gmem__backlog_pay(void)
{
    if (gmem__rcu_inside())
        return;
    gmem__backlog_owing = false;
    sleep_ms(PAY_MS);
}
