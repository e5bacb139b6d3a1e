/* SPDX-License-Identifier: MIT */
/*
 * Owns nothing. One thread.
 */
#include "nearest.h"

#include <string.h>

#define LONGEST 64 /* letters of a word that are looked at */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many edits turn a into b. Three rows of the usual table: the one of two letters ago is for exchanges. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= n_b; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t *spare = before;

        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        before = last;
        last = row;
        row = spare;
    }
    return last[n_b];
}

const char *nearest(const char *word, const char *const *words, size_t n)
{
    size_t length = strnlen(word, LONGEST), best = (length + 2) / 3 + 1;
    const char *found = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t other = words[i] ? strnlen(words[i], LONGEST) : 0, d;

        if (other == 0 || length == 0)
            continue;
        d = distance(word, length, words[i], other);
        if (length > 1 && strncmp(word, words[i], least(length, other)) == 0)
            d = least(d, 1);
        if (d < best) {
            best = d;
            found = words[i];
        }
    }
    return found;
}
