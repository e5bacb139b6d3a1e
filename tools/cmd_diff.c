/* SPDX-License-Identifier: MIT */
/*
 * gmem diff: what differs between two maps, and what it takes to make the one the other. Owns nothing. One thread.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "diffprint.h"
#include "options.h"
#include "output.h"

#define OPTION_SUMMARY OPTION_OWN

static bool take_option(void *opaque, int value, const char *argument, struct problem *problem)
{
    (void)argument, (void)problem;
    if (value == OPTION_SUMMARY)
        *(bool *)opaque = true;
    return true;
}

/* Index of the pair of spaces of that name. */
static bool find_pair(const struct difference *difference, const char *name, size_t *ret_pair, struct problem *problem)
{
    size_t space;

    for (size_t i = 0; i < difference->pairing.n_spaces; i++) {
        const struct space_pair *pair = &difference->pairing.spaces[i];
        unsigned side = pair->a == NOWHERE;

        if (strcmp(difference->sides[side]->topology.spaces[side ? pair->b : pair->a].name, name) == 0) {
            *ret_pair = i;
            return true;
        }
    }
    return loaded_space(difference->sides[0], name, &space, problem);
}

static int compare(const struct options *options, struct difference *difference, bool summary)
{
    struct problem problem;
    size_t only = NOWHERE;
    int status;

    pair_topologies(&difference->sides[0]->topology, &difference->sides[1]->topology, &difference->pairing);
    if (options->space && !find_pair(difference, options->space, &only, &problem)) {
        pairing_free(&difference->pairing);
        return bad_input(&problem);
    }
    difference->one_space = options->space != NULL;
    view_diff(&difference->sides[0]->map, &difference->sides[1]->map, &difference->pairing, only, &difference->views);
    tree_diff(&difference->pairing, &difference->tree);
    difference->tried = transit(&difference->pairing, &difference->views, options->space != NULL, &difference->transit,
                                &difference->not_tried);
    if (options->json)
        difference_json(difference, summary);
    else
        difference_text(difference, summary);
    status = difference_any(difference) ? EXIT_ASKED : 0;
    if (difference->tried)
        transit_free(&difference->transit);
    tree_diff_free(&difference->tree);
    view_diff_free(&difference->views);
    pairing_free(&difference->pairing);
    return output_end(status);
}

int cmd_diff(int argc, char **argv)
{
    static const struct option own[] = {{"summary", no_argument, NULL, OPTION_SUMMARY}, {0}};
    struct options options;
    struct loaded sides[2];
    struct difference difference = {.sides = {&sides[0], &sides[1]}};
    struct problem problem;
    bool summary = false;
    int status =
        options_parse(argc, argv, OPT_INPUT | OPT_TWO | OPT_SPACE | OPT_JSON, 0, own, take_option, &summary, &options);

    if (status >= 0)
        return status;
    if (!load(&options.inputs[0], &sides[0], &problem))
        return bad_input(&problem);
    if (!load(&options.inputs[1], &sides[1], &problem)) {
        loaded_free(&sides[0]);
        return bad_input(&problem);
    }
    status = compare(&options, &difference, summary);
    loaded_free(&sides[0]);
    loaded_free(&sides[1]);
    return status;
}
