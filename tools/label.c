/* SPDX-License-Identifier: MIT */
/*
 * Owns nothing. One thread.
 */
#include "label.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS "\xe2\x80\xa6"

static uint32_t decode(const char *text, size_t *ret_length)
{
    return utf8_next(text, SIZE_MAX, ret_length);
}

static bool allowed(uint32_t c)
{
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0), direction = (c >= 0x200b && c <= 0x200f) ||
                                                                    (c >= 0x2028 && c <= 0x202e) ||
                                                                    (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;

    return !control && !direction && (c & 0xfffe) != 0xfffe && !(c >= 0xfdd0 && c <= 0xfdef);
}

/* Letters that fonts of fixed advance have are one cell; whatever comes from another font is no wider than two. */
static size_t cells_of(uint32_t c)
{
    bool narrow = c < 0x300 || (c >= 0x370 && c < 0x530) || (c >= 0x2010 && c < 0x2028) || (c >= 0x2190 && c < 0x2194);

    return narrow ? 1 : 2;
}

char *label_text(const char *bytes)
{
    const char *at = bytes;
    char *text = alloc_zeroed(strlen(bytes) * 3 + 1, 1), *end = text;

    while (*at) {
        size_t length;

        if (allowed(decode(at, &length)) && (length > 1 || !((unsigned char)*at & 0x80)))
            end = (char *)memcpy(end, at, length) + length;
        else
            end = stpcpy(end, REPLACEMENT);
        at += length;
    }
    return text;
}

size_t label_cells(const char *text)
{
    size_t cells = 0, length;

    for (const char *at = text; *at; at += length)
        cells += cells_of(decode(at, &length));
    return cells;
}

char *label_fit(const char *text, size_t cells)
{
    const char *at = text;
    size_t used = 1, length;
    char *start;

    if (label_cells(text) <= cells)
        return alloc_text(text);
    if (cells < LABEL_LEAST)
        return NULL;
    for (; *at; at += length) {
        used += cells_of(decode(at, &length));
        if (used > cells)
            break;
    }
    start = alloc_bytes(text, (size_t)(at - text));
    text = alloc_format("%s" ELLIPSIS, start);
    free(start);
    return (char *)(uintptr_t)text;
}
