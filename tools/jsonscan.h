/* SPDX-License-Identifier: MIT */
/*
 * What a JSON parser does not tell: on which lines things are, and what a document is before all of it is read. Takes any
 * bytes; what it says of a text that is no JSON means nothing. One pass, no recursion.
 */
#ifndef JSONSCAN_H
#define JSONSCAN_H

#include <stdbool.h>
#include <stddef.h>

/* The lines on which the elements of the array begin that is the member key of the text's object: *ret_n of them, to be freed. */
size_t *jsonscan_lines(const char *text, size_t size, const char *key, size_t *ret_n);

/* The text's first object has a string of these bytes, without escapes, as its member key. */
bool jsonscan_member_is(const char *text, size_t size, const char *key, const char *value);

/* Marks that begin a value, more or less: what memory a parser takes grows with them. */
size_t jsonscan_values(const char *text, size_t size);

#endif
