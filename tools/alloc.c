/* SPDX-License-Identifier: MIT */
/*
 * Owns nothing. One thread.
 */
#include "alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "problem.h"

void alloc_failed(void)
{
    fprintf(stderr, "%s: out of memory\n", problem_program());
    exit(EXIT_ASKED);
}

static void *needed(void *memory)
{
    if (!memory)
        alloc_failed();
    return memory;
}

void *alloc_zeroed(size_t n, size_t size)
{
    return needed(calloc(n ? n : 1, size ? size : 1));
}

void *alloc_again(void *memory, size_t size)
{
    return needed(realloc(memory, size));
}

char *alloc_bytes(const char *bytes, size_t n)
{
    char *copy = needed(malloc(n + 1));

    memcpy(copy, bytes, n);
    copy[n] = '\0';
    return copy;
}

char *alloc_text(const char *text)
{
    return alloc_bytes(text, strlen(text));
}

char *alloc_format(const char *format, ...)
{
    va_list args;
    char *text;
    int n;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    return needed(n < 0 ? NULL : text);
}

void alloc_grow(void *array, size_t n, size_t size)
{
    void *memory;
    size_t room = n ? 2 * n : 1;

    if (n & (n - 1))
        return;
    memcpy(&memory, array, sizeof(memory));
    memory = room > SIZE_MAX / size ? needed(NULL) : needed(realloc(memory, room * size));
    memcpy(array, &memory, sizeof(memory));
}
