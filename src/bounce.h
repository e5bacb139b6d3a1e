/* SPDX-License-Identifier: MIT */
/* bounce.h - how many bounce buffers a space has mapped, and who waits for one. */
#ifndef GMEM_SRC_BOUNCE_H
#define GMEM_SRC_BOUNCE_H

#include <gmem/map.h>
#include <pthread.h>

struct gmem__bounce {
    pthread_mutex_t mutex; /* for moments; guards all of this */
    pthread_cond_t called; /* calling has changed */
    size_t used, max;
    struct gmem_map_waiter *first, *last;
    const struct gmem_map_waiter *calling; /* whose fn runs; NULL: none. It may be freed already */
    pthread_t caller;                      /* on this thread */
};

/* -ENOMEM. end is told of a space that nobody uses: waiters left are forgotten. */
int gmem__bounce_init(struct gmem__bounce *bounce, size_t max) GMEM_MUST_CHECK;
void gmem__bounce_end(struct gmem__bounce *bounce);

/* Count one more buffer, if there may be one. Giving it back may call waiters: with no lock held. */
bool gmem__bounce_take(struct gmem__bounce *bounce) GMEM_MUST_CHECK;
void gmem__bounce_give(struct gmem__bounce *bounce);

/* gmem_map_wait(), of a waiter that is whole; gmem_map_wait_cancel(). */
int gmem__bounce_wait(struct gmem__bounce *bounce, struct gmem_map_waiter *waiter) GMEM_MUST_CHECK;
bool gmem__bounce_cancel(struct gmem__bounce *bounce, struct gmem_map_waiter *waiter);

#endif
