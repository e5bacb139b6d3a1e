/* SPDX-License-Identifier: MIT */
/*
 * The JSON of gmem_print_tree() (docs/json.md), read back.
 */
#ifndef JSONTREE_H
#define JSONTREE_H

#include "source.h"
#include "topology.h"

/* False: no JSON, not of this format or of a later version, or a member that makes no sense; with the line. */
bool jsontree_parse(const struct source *source, struct topology *topology, struct problem *problem);

#endif
