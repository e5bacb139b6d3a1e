/* SPDX-License-Identifier: MIT */
/*
 * From the text of a tree to a topology: which lines are the same region, which i/o regions answer accesses and which only
 * contain, which of equal siblings wins, which of several regions of one name an alias shows. The text leaves these
 * open. What the flat dump of the same machine shows settles them; where there is none, or it shows nothing of it, a
 * rule does, and every rule that was needed is among the topology's guesses.
 */
#ifndef INFER_H
#define INFER_H

#include "flatdump.h"
#include "topology.h"

/*
 * flat may be NULL. False: the text makes no machine (the target of an alias is missing, aliases in a circle), or
 * the two are not of one machine.
 */
bool infer(const struct mtree *mtree, const struct flat_dump *flat, struct topology *topology, struct problem *problem);

#endif
