/* SPDX-License-Identifier: MIT */
/*
 * Memory of the gmem command. A command has nothing to save when memory runs out: these end the program with a message
 * and exit status 1. What they return is never NULL, and free(3) gives it back.
 */
#ifndef ALLOC_H
#define ALLOC_H

#include <stddef.h>

void *alloc_zeroed(size_t n, size_t size);
void *alloc_again(void *memory, size_t size);   /* realloc(3) */
char *alloc_text(const char *text);             /* a copy */
char *alloc_bytes(const char *bytes, size_t n); /* a copy, NUL added */
char *alloc_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For whoever gets memory otherwise and got none: says so and ends the program. */
void alloc_failed(void) __attribute__((noreturn));

/*
 * Room for one more element in an array that grows: *array has n of size bytes. Call it before writing array[n]; it moves
 * when n is a power of two.
 */
void alloc_grow(void *array, size_t n, size_t size);

#endif
