/* SPDX-License-Identifier: MIT */
/*
 * Text that may hold any bytes, a character at a time.
 */
#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xfffdu

/*
 * The character at bytes, of which there are left (1 at least), and its length; UTF8_REPLACEMENT of length 1 where none begins. Nothing
 * is read behind a NUL, so that a text which ends in one may say SIZE_MAX.
 */
uint32_t utf8_next(const char *bytes, size_t left, size_t *ret_length);

#endif
