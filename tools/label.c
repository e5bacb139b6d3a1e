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

#define REPLACEMENT 0xfffdu
#define ELLIPSIS "\xe2\x80\xa6"

/* The character that text begins with, and its length; REPLACEMENT of length 1 where there is none. */
static uint32_t decode(const unsigned char *text, size_t *ret_length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned length = *text < 0x80 ? 1 : *text < 0xc2 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : *text < 0xf5 ? 4 : 0;
    uint32_t c = length == 1 ? *text : *text & (0x7fu >> length);

    *ret_length = 1;
    if (!length)
        return REPLACEMENT;
    for (unsigned i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return REPLACEMENT;
        c = c << 6 | (text[i] & 0x3fu);
    }
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return REPLACEMENT;
    *ret_length = length;
    return c;
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
    const unsigned char *at = (const unsigned char *)bytes;
    char *text = alloc_zeroed(strlen(bytes) * 3 + 1, 1), *end = text;

    while (*at) {
        size_t length;

        if (allowed(decode(at, &length))) {
            uint32_t c = decode(at, &length);

            if (c == REPLACEMENT && length == 1)
                end = stpcpy(end, "\xef\xbf\xbd");
            else
                end = (char *)memcpy(end, at, length) + length;
        } else {
            end = stpcpy(end, "\xef\xbf\xbd");
        }
        at += length;
    }
    return text;
}

size_t label_cells(const char *text)
{
    size_t cells = 0, length;

    for (const unsigned char *at = (const unsigned char *)text; *at; at += length)
        cells += cells_of(decode(at, &length));
    return cells;
}

char *label_fit(const char *text, size_t cells)
{
    const unsigned char *at = (const unsigned char *)text;
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
    start = alloc_bytes(text, (size_t)((const char *)at - text));
    text = alloc_format("%s" ELLIPSIS, start);
    free(start);
    return (char *)(uintptr_t)text;
}
