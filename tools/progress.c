/* SPDX-License-Identifier: MIT */
/*
 * Owns the thread that writes the line: who works is not to look at a clock. It runs between the first progress() and progress(NULL),
 * and only where standard error is a terminal. The words are handed over under a lock.
 */
#include "progress.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "problem.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running; /* the thread is there; only the working thread looks */
    bool end;     /* under the lock */
    struct problem what;
} line = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *show(void *opaque)
{
    unsigned seconds = 0;
    struct timespec next;

    (void)opaque;
    pthread_mutex_lock(&line.lock);
    clock_gettime(CLOCK_REALTIME, &next);
    while (!line.end) {
        next.tv_sec++;
        while (!line.end && pthread_cond_timedwait(&line.changed, &line.lock, &next) == 0) {
        }
        if (!line.end)
            fprintf(stderr, "\r\033[K%s: %s, %u s", problem_program(), line.what.text, ++seconds);
        fflush(stderr);
    }
    if (seconds)
        fputs("\r\033[K", stderr);
    fflush(stderr);
    pthread_mutex_unlock(&line.lock);
    return NULL;
}

static void end(void)
{
    if (!line.running)
        return;
    pthread_mutex_lock(&line.lock);
    line.end = true;
    pthread_cond_signal(&line.changed);
    pthread_mutex_unlock(&line.lock);
    pthread_join(line.thread, NULL);
    line.running = false;
    line.end = false;
}

void progress(const char *format, ...)
{
    char text[80]; /* one line of a terminal, with what stands around it */
    va_list args;

    if (!format) {
        end();
        return;
    }
    if (!isatty(STDERR_FILENO))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text) - 24, format, args);
    va_end(args);
    pthread_mutex_lock(&line.lock);
    problem_at(&line.what, NULL, 0, "%s", text);
    pthread_mutex_unlock(&line.lock);
    /* Without a thread there is no line, which nothing depends on. */
    if (!line.running)
        line.running = pthread_create(&line.thread, NULL, show, NULL) == 0;
}
