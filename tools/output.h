/* SPDX-License-Identifier: MIT */
/*
 * What commands print on standard output: colours where a person looks, JSON text, addresses.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <gmem/gmem.h>
#include <stdio.h>

enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* AUTO: when standard output is a terminal, TERM is not "dumb" and NO_COLOR is not set or empty. */
void output_color(enum color_when when);

enum color { COLOR_NONE, COLOR_ADDRESS, COLOR_NAME, COLOR_GOOD, COLOR_BAD, COLOR_DIM, COLOR_RAM, COLOR_ROM, COLOR_IO };
/* The escape sequence that begins a color, or ends it (COLOR_NONE); "" where there are no colours. */
const char *color(enum color color);

/* A JSON string, with its quotes: valid UTF-8 whatever the bytes are, control characters escaped. */
void json_string(FILE *out, const char *text);
/* "0x..." with quotes. */
void json_address(FILE *out, uint64_t address);

/* "4 KiB", "1.5 GiB", "2^64 bytes": for people. Static text of the call after the next three. */
const char *size_text(gmem_size size);

/* Everything printed and no error: status, else a message and EXIT_ASKED. */
int output_end(int status);

#endif
