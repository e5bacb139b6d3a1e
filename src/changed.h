/* SPDX-License-Identifier: MIT */
/* changed.h - from the journal to what has to be rendered again. */
#ifndef GMEM_SRC_CHANGED_H
#define GMEM_SRC_CHANGED_H

#include "space.h"

/* Put [first, last] among the spans of shown. -ENOMEM. */
int gmem__changed_span(struct gmem__shown *shown, uint64_t first, uint64_t last) GMEM_MUST_CHECK;

/*
 * For every shown the spans in which the journal can have changed what is seen, sorted, apart from
 * each other and not touching; or whole. Stripped roots must be settled before. -ENOMEM.
 */
int gmem__changed_spans(gmem_vm *vm) GMEM_MUST_CHECK;

/* Whether an edit of the journal can have changed to which region some root comes down. */
bool gmem__changed_roots(const gmem_vm *vm);

/* Make every region's was the props before the open transaction, with a new epoch, which is returned. */
uint64_t gmem__changed_was(gmem_vm *vm);

#endif
