/* SPDX-License-Identifier: MIT */
/*
 * gmem explain: what is asked about, in which spaces, and in which form. Owns what it loads. One thread.
 */
#include "command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "explain.h"
#include "options.h"
#include "output.h"
#include "places.h"

#define PLACES_MAX 1000

struct asked {
    bool all_spaces;
    uint64_t limit; /* how many ranges of a range, or places of a region */
    /* What the word on the command line says. */
    uint64_t first, last;
    char *name; /* NAME:OFFSET: then first is the offset; else NULL */
};

struct asking {
    const struct asked *asked;
    const struct loaded *loaded;
    struct explainer *explainer;
    const struct options *options;
    bool found;
    size_t printed; /* elements of the array that is being printed */
    size_t left;    /* pieces or places more than the limit */
    size_t places;  /* met so far */
    size_t space;   /* places in this one only, or NOWHERE */
    bool more;      /* places may not all have been found */
    struct problem *problem;
};

static const struct option own[] = {
    {"all-spaces", no_argument, NULL, OPTION_OWN}, {"limit", required_argument, NULL, OPTION_OWN + 1}, {0}};

static bool option(void *opaque, int value, const char *argument, struct problem *problem)
{
    struct asked *asked = opaque;

    if (value == OPTION_OWN + 1)
        return number_parse(argument, &asked->limit, problem);
    asked->all_spaces = true;
    return true;
}

/* As number_parse(), or 16 hexadecimal digits as dumps have them. */
static bool address_parse(const char *text, size_t length, uint64_t *ret, struct problem *problem)
{
    char *copy = alloc_bytes(text, length);
    bool ok = true;

    if (length == 16 && strspn(copy, "0123456789abcdefABCDEF") == 16)
        *ret = strtoull(copy, NULL, 16);
    else
        ok = number_parse(copy, ret, problem);
    free(copy);
    return ok;
}

/* 1: a range; 0: none; -1: one that makes no sense. */
static int range_parse(const char *text, struct asked *asked, struct problem *problem)
{
    size_t length = strcspn(text, "-+");
    uint64_t second;

    if (!text[length] || !address_parse(text, length, &asked->first, problem) ||
        !address_parse(text + length + 1, strlen(text + length + 1), &second, problem))
        return 0;
    asked->last = second;
    if (text[length] == '+') {
        asked->last = asked->first + (second - 1);
        if (second == 0 || asked->last < asked->first) {
            problem_at(problem, NULL, 0, "\"%s\": the size is 0, or reaches past 2^64", text);
            return -1;
        }
    } else if (asked->last < asked->first) {
        problem_at(problem, NULL, 0, "\"%s\": it ends before it begins", text);
        return -1;
    }
    return 1;
}

static bool what_parse(const char *text, struct asked *asked, struct problem *problem)
{
    const char *colon = strrchr(text, ':');
    int range;

    if (address_parse(text, strlen(text), &asked->first, problem)) {
        asked->last = asked->first;
        return true;
    }
    range = range_parse(text, asked, problem);
    if (range)
        return range > 0;
    if (!colon || !address_parse(colon + 1, strlen(colon + 1), &asked->first, problem))
        return problem_at(problem, NULL, 0,
                          "\"%s\" is not an address: give 0xc0000, 768K, 0xc0000-0xfffff, 0xc0000+64K, or NAME:OFFSET "
                          "of a region",
                          text);
    asked->name = alloc_bytes(text, (size_t)(colon - text));
    return true;
}

/* What comes before an element of the JSON array, or a blank line. */
static void separate(struct asking *asking)
{
    if (asking->printed++)
        fputs(asking->options->json ? ",\n" : "\n", stdout);
}

static bool one(struct asking *asking, size_t space, uint64_t addr)
{
    struct explanation explanation;

    if (!explain(asking->explainer, space, addr, &explanation, asking->problem))
        return false;
    separate(asking);
    if (asking->options->json)
        explain_json(asking->explainer, &explanation, stdout);
    else
        explain_text(asking->explainer, &explanation, stdout);
    asking->found |= explanation.found;
    explanation_free(&explanation);
    return true;
}

/* Each range of the view and each gap between them, by their first address that is asked for. */
static bool pieces(struct asking *asking, size_t space)
{
    size_t n, i = 0, shown = 0;
    const struct gmem_section *ranges = explainer_ranges(asking->explainer, space, &n);
    uint64_t at = asking->asked->first, last = asking->asked->last;

    while (i < n && ranges[i].last < at)
        i++;
    for (;;) {
        bool gap = i == n || ranges[i].first > at;
        uint64_t end = !gap ? ranges[i].last : i == n ? UINT64_MAX : ranges[i].first - 1;

        if (shown++ < asking->asked->limit) {
            if (!one(asking, space, at))
                return false;
        } else {
            asking->left++;
            asking->found |= !gap;
        }
        i += !gap;
        if (end >= last)
            return true;
        at = end + 1;
    }
}

/* Spaces with the same root show the same: the first speaks for all. */
static bool repeats(const struct topology *topology, size_t space)
{
    for (size_t i = 0; i < space; i++)
        if (topology->spaces[i].root != NOWHERE && topology->spaces[i].root == topology->spaces[space].root)
            return true;
    return false;
}

static bool choose_space(const struct asking *asking, size_t *ret_space)
{
    const struct topology *topology = &asking->loaded->topology;

    if (asking->options->space)
        return loaded_space(asking->loaded, asking->options->space, ret_space, asking->problem);
    *ret_space = 0;
    for (size_t i = 0; i < topology->n_spaces; i++)
        if (strcmp(topology->spaces[i].name, "memory") == 0) {
            *ret_space = i;
            break;
        }
    return true;
}

static bool addresses(struct asking *asking)
{
    const struct topology *topology = &asking->loaded->topology;
    size_t space;

    if (!topology->n_spaces)
        return problem_at(asking->problem, asking->loaded->name, 0, "it has no address space to look into");
    if (!choose_space(asking, &space))
        return false;
    if (asking->options->json)
        fputs(", \"explanations\": [\n", stdout);
    for (size_t i = 0; i < topology->n_spaces; i++)
        if (asking->asked->all_spaces ? !repeats(topology, i) : i == space)
            if (!pieces(asking, i))
                return false;
    if (asking->options->json) {
        fprintf(stdout, "\n], \"left_out\": %zu}\n", asking->left);
        return true;
    }
    if (asking->left)
        printf("\n%zu more ranges and gaps: --limit %" PRIu64 " shows them\n", asking->left,
               asking->asked->limit + asking->left);
    if (!asking->options->space && !asking->asked->all_spaces && topology->n_spaces > 1)
        printf("\n%sThis is one of %zu address spaces: --space NAME asks in another, --all-spaces in all%s\n",
               color(COLOR_DIM), topology->n_spaces, color(COLOR_NONE));
    return true;
}

/* The candidate that is this byte of this region; of several, the first, but one that is only hidden before one that is disabled. */
static size_t candidate_of(const struct explanation *explanation, size_t region, uint64_t offset)
{
    size_t found = NOWHERE;

    for (size_t i = 0; i < explanation->n_candidates; i++) {
        const struct candidate *candidate = &explanation->candidates[i];

        if (explanation->ways.ways[candidate->way].region != region || candidate->offset != offset)
            continue;
        if (candidate->fate != FATE_DISABLED && candidate->fate != FATE_OUTSIDE)
            return i;
        found = found == NOWHERE ? i : found;
    }
    return found;
}

static void print_place(struct asking *asking, size_t region, const struct place *place, const char *why)
{
    const struct topology *topology = &asking->loaded->topology;
    const char *between = "";

    if (!asking->options->json) {
        printf("  %s%-16s%s ", *why ? color(COLOR_DIM) : color(COLOR_GOOD), *why ? "hidden at" : "seen at",
               color(COLOR_NONE));
        printf("%s0x%" PRIx64 "%s in ", color(COLOR_ADDRESS), place->addr, color(COLOR_NONE));
        for (size_t i = place->space; i < topology->n_spaces; i++)
            if (topology->spaces[i].root == topology->spaces[place->space].root) {
                printf("%s%s", between, topology->spaces[i].name);
                between = ", ";
            }
        printf("%s%s\n", *why ? ": " : "", why);
        return;
    }
    separate(asking);
    printf("{\"region\": %zu, \"name\": ", region);
    json_string(stdout, topology->regions[region].name);
    fputs(", \"spaces\": [", stdout);
    for (size_t i = place->space; i < topology->n_spaces; i++)
        if (topology->spaces[i].root == topology->spaces[place->space].root) {
            fputs(between, stdout);
            json_string(stdout, topology->spaces[i].name);
            between = ", ";
        }
    fputs("], \"address\": ", stdout);
    json_address(stdout, place->addr);
    printf(", \"seen\": %s", *why ? "false" : "true");
    if (*why) {
        fputs(", \"why\": ", stdout);
        json_string(stdout, why);
    }
    fputc('}', stdout);
}

static bool wanted(const struct asking *asking, size_t space)
{
    const struct topology *topology = &asking->loaded->topology;

    return asking->space == NOWHERE || topology->spaces[asking->space].root == topology->spaces[space].root;
}

static bool places_of(struct asking *asking, size_t region)
{
    uint64_t offset = asking->asked->first;
    struct places places;
    bool ok = true;

    places_find(&asking->loaded->topology, region, offset, PLACES_MAX, &places);
    asking->more |= places.more;
    for (size_t i = 0; ok && i < places.n; i++) {
        struct explanation explanation;
        bool shown;
        size_t index;

        if (!wanted(asking, places.places[i].space))
            continue;
        shown = asking->places++ < asking->asked->limit;
        asking->left += !shown;
        if (!shown && asking->found)
            continue;
        ok = explain(asking->explainer, places.places[i].space, places.places[i].addr, &explanation, asking->problem);
        if (!ok)
            break;
        index = candidate_of(&explanation, region, offset);
        asking->found |= explanation.found && index == 0;
        if (shown && index == NOWHERE) { /* a container or alias: it shows what is in it */
            print_place(asking, region, &places.places[i], "it shows nothing itself; ask for the address");
        } else if (shown) {
            char *why = explain_why(asking->explainer, &explanation, index);

            print_place(asking, region, &places.places[i], why);
            free(why);
        }
        explanation_free(&explanation);
    }
    if (ok && !places.n && !asking->options->json)
        puts("  placed nowhere that a space shows");
    places_free(&places);
    return ok;
}

static bool region_places(struct asking *asking)
{
    const struct topology *topology = &asking->loaded->topology;
    const char *name = asking->asked->name;
    bool any = false;

    for (size_t i = 0; i < topology->n_regions; i++)
        any |= strcmp(topology->regions[i].name, name) == 0;
    if (!any)
        return problem_at(asking->problem, asking->loaded->name, 0, "no region named \"%s\"", name);
    if (asking->options->space &&
        !loaded_space(asking->loaded, asking->options->space, &asking->space, asking->problem))
        return false;
    if (asking->options->json)
        fputs(", \"places\": [\n", stdout);
    for (size_t i = 0; i < topology->n_regions; i++) {
        const struct topo_region *region = &topology->regions[i];
        uint64_t last = region_last(region);

        if (strcmp(region->name, name) != 0)
            continue;
        if (!asking->options->json)
            printf("%s%s%s (line %zu), offset 0x%" PRIx64 "\n", color(COLOR_NAME), name, color(COLOR_NONE),
                   region->line, asking->asked->first);
        if (asking->asked->first > last && !asking->options->json)
            printf("  is past its end: its last offset is 0x%" PRIx64 "\n", last);
        if (asking->asked->first <= last && !places_of(asking, i))
            return false;
    }
    if (asking->options->json)
        printf("\n], \"left_out\": %zu%s}\n", asking->left, asking->more ? ", \"more\": true" : "");
    else if (asking->left)
        printf("%zu more places: --limit %zu shows them\n", asking->left, asking->places);
    if (asking->more && !asking->options->json)
        puts("there may be more places: not all were looked for");
    return true;
}

static int ask(const struct options *options, const struct asked *asked)
{
    struct problem problem;
    struct loaded loaded;
    struct asking asking = {
        .asked = asked, .loaded = &loaded, .options = options, .space = NOWHERE, .problem = &problem};
    bool ok;

    if (!load(&options->inputs[0], &loaded, &problem))
        return bad_input(&problem);
    asking.explainer = explainer_new(&loaded.map);
    if (options->json) {
        fputs("{\"format\": \"gmem-explain\", \"version\": 1, \"source\": ", stdout);
        json_string(stdout, loaded.name);
    }
    ok = asked->name ? region_places(&asking) : addresses(&asking);
    explainer_free(asking.explainer);
    loaded_free(&loaded);
    return ok ? output_end(asking.found ? 0 : EXIT_ASKED) : bad_input(&problem);
}

int cmd_explain(int argc, char **argv)
{
    struct asked asked = {.limit = 64};
    struct options options;
    struct problem problem;
    int status = options_parse(argc, argv, OPT_INPUT | OPT_SPACE | OPT_JSON, 1, own, option, &asked, &options);

    if (status >= 0)
        return status;
    if (!what_parse(options.operands[0], &asked, &problem))
        return bad_input(&problem);
    if (options.space && asked.all_spaces) {
        problem_at(&problem, NULL, 0, "--space and --all-spaces: give one of them");
        return bad_input(&problem);
    }
    status = ask(&options, &asked);
    free(asked.name);
    return status;
}
