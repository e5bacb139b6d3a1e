/* SPDX-License-Identifier: MIT */
/*
 * Owns the arrays of a topology and every text in them. One thread.
 */
#include "topology.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "alloc.h"

size_t topology_add_region(struct topology *topology)
{
    size_t n = topology->n_regions++;

    alloc_grow(&topology->regions, n, sizeof(*topology->regions));
    topology->regions[n] =
        (struct topo_region){.parent = NOWHERE, .target = NOWHERE, .enabled = true, .romd = true, .size = GMEM_SIZE(1)};
    return n;
}

size_t topology_add_space(struct topology *topology, const char *name, size_t root)
{
    size_t n = topology->n_spaces++;

    alloc_grow(&topology->spaces, n, sizeof(*topology->spaces));
    topology->spaces[n] = (struct topo_space){.name = alloc_text(name), .root = root};
    return n;
}

void topology_guess(struct topology *topology, size_t region, enum settled by, const char *format, ...)
{
    size_t n = topology->n_guesses++;
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    alloc_grow(&topology->guesses, n, sizeof(*topology->guesses));
    topology->guesses[n] = (struct topo_guess){.line = region == NOWHERE ? 0 : topology->regions[region].line,
                                               .region = region,
                                               .by = by,
                                               .text = alloc_text(text)};
}

void topology_free(struct topology *topology)
{
    for (size_t i = 0; i < topology->n_regions; i++) {
        free(topology->regions[i].name);
        free(topology->regions[i].owner);
        free(topology->regions[i].ram);
    }
    for (size_t i = 0; i < topology->n_spaces; i++)
        free(topology->spaces[i].name);
    for (size_t i = 0; i < topology->n_guesses; i++)
        free(topology->guesses[i].text);
    free(topology->regions);
    free(topology->spaces);
    free(topology->guesses);
    free(topology->source);
    *topology = (struct topology){0};
}
