/* SPDX-License-Identifier: MIT */
/*
 * What somebody meant who wrote something else: the nearest of the words that there are.
 */
#ifndef NEAREST_H
#define NEAREST_H

#include <stddef.h>

/*
 * Letters left out, added, replaced or exchanged with the next count one each; a word that only begins as another does is one off. NULL:
 * none is nearer than a third of the letters. Words may be NULL and are then passed over.
 */
const char *nearest(const char *word, const char *const *words, size_t n);

#endif
