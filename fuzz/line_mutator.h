/* SPDX-License-Identifier: MIT */
/*
 * Changes to whole lines, for targets that read text by lines: taken out, doubled, moved, indented otherwise, cut, or with a word
 * of another line in place of one of theirs. What is read then still makes sense more often than after changes of single bytes, and
 * comes further. Half of all changes are libFuzzer's own.
 */
#ifndef LINE_MUTATOR_H
#define LINE_MUTATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

struct piece {
    size_t first, end; /* offsets into the text; a line has its newline */
};

static inline size_t draw(unsigned int *state, size_t n)
{
    *state = *state * 1103515245u + 12345u;
    return n ? (*state >> 8) % n : 0;
}

/* The line around a place, or the word: what blanks and commas part. */
static inline struct piece piece_at(const uint8_t *data, size_t size, size_t at, bool word)
{
    const char *ends = word ? " \n,@:-" : "\n";
    struct piece piece = {at, at};

    while (piece.first > 0 && !strchr(ends, data[piece.first - 1]))
        piece.first--;
    while (piece.end < size && !(data[piece.end] && strchr(ends, data[piece.end])))
        piece.end++;
    if (!word && piece.end < size)
        piece.end++;
    return piece;
}

/* Puts with[0..n) in place of the piece. Returns the new size; the old one where there is no room. */
static inline size_t put(uint8_t *data, size_t size, size_t max_size, struct piece piece, const uint8_t *with, size_t n)
{
    size_t rest = size - piece.end;

    if (piece.first + n + rest > max_size)
        return size;
    memmove(data + piece.first + n, data + piece.end, rest);
    memcpy(data + piece.first, with, n);
    return piece.first + n + rest;
}

static inline size_t change_lines(uint8_t *data, size_t size, size_t max_size, unsigned int *state)
{
    static const uint8_t blanks[] = "        ";
    size_t how = draw(state, 6);
    struct piece from = piece_at(data, size, draw(state, size), how == 5);
    struct piece to = piece_at(data, size, draw(state, size), how == 5);
    size_t n = from.end - from.first, indent = 0, result;
    uint8_t *copy = malloc(n + 1);

    if (!copy)
        return size;
    memcpy(copy, data + from.first, n);
    switch (how) {
    case 0: /* taken out */
        result = put(data, size, max_size, from, copy, 0);
        break;
    case 1: /* doubled, elsewhere */
    case 2:
        to.end = to.first;
        result = put(data, size, max_size, to, copy, n);
        break;
    case 3: /* indented otherwise */
        while (indent < n && copy[indent] == ' ')
            indent++;
        to = (struct piece){from.first, from.first + indent};
        result = put(data, size, max_size, to, blanks, draw(state, 5) * 2);
        break;
    case 4: /* cut, and the next one with it */
        from.first += draw(state, n);
        result = put(data, size, max_size, from, copy, 0);
        break;
    default: /* a word of another place */
        result = put(data, size, max_size, to, copy, n);
        break;
    }
    free(copy);
    return result;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    unsigned int state = seed;

    if (size == 0 || draw(&state, 2) == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    for (size_t n = 1 + draw(&state, 4); n && size; n--)
        size = change_lines(data, size, max_size, &state);
    return size ? size : LLVMFuzzerMutate(data, size, max_size);
}

#endif
