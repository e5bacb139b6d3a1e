/* SPDX-License-Identifier: MIT */
/*
 * Aliases of what they are in themselves, put without a circle.
 */
#ifndef CIRCLES_H
#define CIRCLES_H

#include "topology.h"

/*
 * *ret is the topology as it can be built: the same regions under the same indices, but an alias of something that it lies in is a
 * container with aliases of those regions in the window, which come behind all others; what is seen is the same. Texts are borrowed from
 * topology, which must outlive *ret. False: what an alias shows is seen through that alias itself, with the line.
 */
bool circles_undo(const struct topology *topology, struct topology *ret, struct problem *problem);
void circles_free(struct topology *undone); /* what circles_undo() made */

#endif
