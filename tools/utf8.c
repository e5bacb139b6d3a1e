/* SPDX-License-Identifier: MIT */
/*
 * Decoding of UTF-8 (RFC 3629). Owns nothing. Any thread.
 */
#include "utf8.h"

uint32_t utf8_next(const char *bytes, size_t left, size_t *ret_length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *b = (const unsigned char *)bytes;
    unsigned length = *b < 0x80 ? 1 : *b < 0xc2 ? 0 : *b < 0xe0 ? 2 : *b < 0xf0 ? 3 : *b < 0xf5 ? 4 : 0;
    uint32_t code = length == 1 ? *b : *b & (0x7fu >> length);

    *ret_length = 1;
    if (!length)
        return UTF8_REPLACEMENT;
    for (unsigned i = 1; i < length; i++) {
        if (i >= left || (b[i] & 0xc0) != 0x80)
            return UTF8_REPLACEMENT;
        code = code << 6 | (b[i] & 0x3fu);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return UTF8_REPLACEMENT;
    *ret_length = length;
    return code;
}
