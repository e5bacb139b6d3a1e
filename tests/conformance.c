/* SPDX-License-Identifier: MIT */
/*
 * conformance DIR...: builds each recorded machine (DIR/model.tsv) through the public API and
 * compares every view with the one recorded (DIR/views.tsv): its ranges, with region, offset, shown
 * type and nonvolatile; the name of the region it was rendered from; and which spaces share it.
 * Prints how many are exact and the first difference.
 *
 * Exit: 0 all exact, 1 differences, 2 bad input. One thread.
 */
#include "model_tsv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One gmem_view of the machine and the spaces that share it. */
struct shown {
    gmem_view *view;
    char **spaces; /* names, sorted; borrowed */
    size_t n_spaces;
    bool taken; /* by a recorded view */
};

struct comparison {
    const struct model *model;
    const struct machine *machine;
    struct shown *shown;
    size_t n_shown;
    size_t exact;
    char *difference; /* the first, or NULL */
};

__attribute__((format(printf, 3, 4))) static void differ(struct comparison *comparison, unsigned line,
                                                         const char *format, ...)
{
    char what[1024];
    va_list args;

    if (comparison->difference)
        return;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (asprintf(&comparison->difference, "%s:%u: %s", comparison->model->views_path, line, what) < 0)
        abort();
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the machine's spaces by the view object they share. */
static void collect(struct comparison *comparison)
{
    const struct model *model = comparison->model;

    comparison->shown = calloc(model->n_spaces + 1, sizeof(*comparison->shown));
    if (!comparison->shown)
        abort();
    for (size_t i = 0; i < model->n_spaces; i++) {
        gmem_view *view = gmem_space_view(comparison->machine->spaces[i]);
        struct shown *shown = comparison->shown;

        while (shown->view && shown->view != view)
            shown++;
        if (shown->view) {
            gmem_view_unref(view);
        } else {
            shown->view = view;
            shown->spaces = calloc(model->n_spaces, sizeof(*shown->spaces));
            if (!shown->spaces)
                abort();
            comparison->n_shown++;
        }
        shown->spaces[shown->n_spaces++] = model->spaces[i].name;
    }
    for (size_t i = 0; i < comparison->n_shown; i++)
        qsort(comparison->shown[i].spaces, comparison->shown[i].n_spaces, sizeof(char *), compare_names);
}

static bool same_spaces(const struct shown *shown, const struct model_view *view)
{
    if (shown->n_spaces != view->n_spaces)
        return false;
    for (size_t i = 0; i < view->n_spaces; i++) {
        if (strcmp(shown->spaces[i], view->spaces[i]) != 0)
            return false;
    }
    return true;
}

static const char *root_name(const gmem_view *view)
{
    const gmem_region *root = gmem_view_root(view);

    return root ? gmem_region_name(root) : "(none)";
}

/* The word a flat dump has for a section: what takes no writes is rom there. */
static const char *section_type(const struct gmem_section *section)
{
    return section->attrs & GMEM_RANGE_READONLY ? "rom" : gmem_region_type(section->region);
}

static bool same_type(const char *recorded, const struct gmem_section *section)
{
    return strcmp(recorded, section_type(section)) == 0;
}

struct walk {
    struct comparison *comparison;
    const struct model_view *view;
    bool quiet; /* only wants to know */
    size_t next;
};

static int compare_range(void *opaque, const struct gmem_section *section)
{
    struct walk *walk = opaque;
    const struct model *model = walk->comparison->model;
    const struct model_range *range = &model->ranges[walk->view->first_range + walk->next];
    bool nonvolatile = section->attrs & GMEM_RANGE_NONVOLATILE;

    if (walk->next == walk->view->n_ranges) {
        if (!walk->quiet)
            differ(walk->comparison, walk->view->line,
                   "view of %s: recorded nothing more after %zu ranges, gmem shows %" PRIx64 "-%" PRIx64 " %s",
                   walk->view->spaces[0], walk->next, section->first, section->last, gmem_region_name(section->region));
        return 1;
    }
    walk->next++;
    if (range->first == section->first && range->last == section->last && range->offset == section->offset &&
        walk->comparison->machine->regions[range->region] == section->region && same_type(range->type, section) &&
        range->nonvolatile == nonvolatile)
        return 0;
    if (!walk->quiet)
        differ(walk->comparison, range->line,
               "view of %s: recorded %" PRIx64 "-%" PRIx64 " %s @%" PRIx64 " (%s, nv %d, line %u of model.tsv), gmem "
               "shows %" PRIx64 "-%" PRIx64 " %s @%" PRIx64 " (%s, nv %d)",
               walk->view->spaces[0], range->first, range->last, model->regions[range->region].name, range->offset,
               range->type, range->nonvolatile, model->regions[range->region].line, section->first, section->last,
               gmem_region_name(section->region), section->offset, section_type(section), nonvolatile);
    return 1;
}

static bool same_view(struct comparison *comparison, const struct model_view *view, const struct shown *shown,
                      bool quiet)
{
    struct walk walk = {comparison, view, quiet, 0};

    if (gmem_view_foreach(shown->view, compare_range, &walk))
        return false;
    if (walk.next < view->n_ranges) {
        const struct model_range *range = &comparison->model->ranges[view->first_range + walk.next];

        if (!quiet)
            differ(comparison, range->line, "view of %s: recorded %" PRIx64 "-%" PRIx64 " %s, gmem shows nothing more",
                   view->spaces[0], range->first, range->last, comparison->model->regions[range->region].name);
        return false;
    }
    if (strcmp(root_name(shown->view), view->root) != 0) {
        if (!quiet)
            differ(comparison, view->line, "view of %s: recorded root %s, gmem's is %s", view->spaces[0], view->root,
                   root_name(shown->view));
        return false;
    }
    return true;
}

/* No view of gmem's has the recorded set of spaces: says which one the first of them is in. */
static void sharing_differs(struct comparison *comparison, const struct model_view *view)
{
    for (size_t i = 0; i < comparison->n_shown; i++) {
        const struct shown *shown = &comparison->shown[i];
        char names[512] = "";

        if (!bsearch(&view->spaces[0], shown->spaces, shown->n_spaces, sizeof(char *), compare_names))
            continue;
        for (size_t k = 0; k < shown->n_spaces; k++) {
            size_t used = strlen(names);

            snprintf(names + used, sizeof(names) - used, "%s%s", k ? "|" : "", shown->spaces[k]);
        }
        differ(comparison, view->line, "view of %s: shared by %zu spaces in the recording, in gmem by %zu: %s",
               view->spaces[0], view->n_spaces, shown->n_spaces, names);
        return;
    }
    differ(comparison, view->line, "there is no space %s", view->spaces[0]);
}

static void compare_view(struct comparison *comparison, const struct model_view *view)
{
    struct shown *found = NULL;

    /* names of spaces may repeat: of several candidates the one that is equal, if any */
    for (size_t i = 0; i < comparison->n_shown; i++) {
        struct shown *shown = &comparison->shown[i];

        if (shown->taken || !same_spaces(shown, view))
            continue;
        if (!found || same_view(comparison, view, shown, true))
            found = shown;
    }
    if (!found) {
        sharing_differs(comparison, view);
        return;
    }
    found->taken = true;
    if (same_view(comparison, view, found, false))
        comparison->exact++;
}

/* 0 or 2; *ret_exact and *ret_views grow by the machine's, *ret_difference is set if it is NULL. */
static int compare_machine(const char *dir, size_t *ret_exact, size_t *ret_views, char **ret_difference)
{
    struct model model;
    struct machine machine;
    struct model_error error;
    struct comparison comparison = {.model = &model, .machine = &machine, .difference = *ret_difference};

    if (!model_load(dir, &model, &error)) {
        fprintf(stderr, "conformance: %s\n", error.text);
        return 2;
    }
    if (!machine_build(&model, &machine, &error)) {
        fprintf(stderr, "conformance: %s\n", error.text);
        model_free(&model);
        return 2;
    }
    collect(&comparison);
    for (size_t i = 0; i < model.n_views; i++)
        compare_view(&comparison, &model.views[i]);
    for (size_t i = 0; i < comparison.n_shown; i++) {
        gmem_view_unref(comparison.shown[i].view);
        free(comparison.shown[i].spaces);
    }
    free(comparison.shown);
    *ret_exact += comparison.exact;
    *ret_views += model.n_views;
    *ret_difference = comparison.difference;
    machine_destroy(&model, &machine);
    model_free(&model);
    return 0;
}

int main(int argc, char **argv)
{
    size_t exact = 0;
    size_t views = 0;
    char *difference = NULL;
    int bad = 0;

    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: conformance DIR...\nEach DIR holds model.tsv and views.tsv of a recorded machine.\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        bad |= compare_machine(argv[i], &exact, &views, &difference);
    if (views || !bad)
        printf("%zu of %zu views exact\n", exact, views);
    if (difference)
        printf("%s\n", difference);
    free(difference);
    return bad ? bad : exact < views;
}
