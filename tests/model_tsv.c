/* SPDX-License-Identifier: MIT */
/*
 * Reads model.tsv and views.tsv. Owns the tables of a struct model; every line is checked on its
 * own when read, references between lines when all are there. No gmem objects are involved. One
 * thread.
 */
#include "model_tsv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_COLUMNS 14
#define MAX_COLUMNS 16

struct reader {
    const char *path;
    unsigned line;
    struct model *model;
    struct model_error *error;
};

typedef bool line_fn(struct reader *reader, char **column, size_t n);

__attribute__((format(printf, 2, 3))) static bool fail(struct reader *reader, const char *format, ...)
{
    char what[256];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (reader->line)
        snprintf(reader->error->text, sizeof(reader->error->text), "%s:%u: %s", reader->path, reader->line, what);
    else
        snprintf(reader->error->text, sizeof(reader->error->text), "%s: %s", reader->path, what);
    return false;
}

/* One more element at the end of an array, all zero. */
static void *append(void *array, size_t *count, size_t size, void **ret_element)
{
    char *grown = realloc(array, (*count + 1) * size);

    if (!grown)
        abort();
    *ret_element = memset(grown + *count * size, 0, size);
    ++*count;
    return grown;
}

static char *copy(const char *text)
{
    char *copied = strdup(text);

    if (!copied)
        abort();
    return copied;
}

static bool number(struct reader *reader, const char *text, int base, uint64_t *ret)
{
    char *end;

    errno = 0;
    if (!*text || strspn(text, base == 16 ? "0123456789abcdefABCDEF" : "0123456789") != strlen(text))
        return fail(reader, "'%s' is not a %s number", text, base == 16 ? "hexadecimal" : "decimal");
    *ret = strtoull(text, &end, base);
    if (errno)
        return fail(reader, "'%s' does not fit 64 bits", text);
    return true;
}

static bool flag(struct reader *reader, const char *text, bool *ret)
{
    if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return fail(reader, "'%s' is neither 0 nor 1", text);
    *ret = *text == '1';
    return true;
}

static bool size(struct reader *reader, const char *text, gmem_size *ret)
{
    uint64_t bytes;

    if (strcmp(text, "10000000000000000") == 0) {
        *ret = GMEM_SIZE_ALL;
        return true;
    }
    if (!number(reader, text, 16, &bytes))
        return false;
    *ret = gmem_size_of(bytes);
    return true;
}

static bool priority(struct reader *reader, const char *text, int32_t *ret)
{
    bool negative = *text == '-';
    uint64_t value;

    if (!number(reader, text + negative, 10, &value))
        return false;
    if (value > (uint64_t)INT32_MAX + negative)
        return fail(reader, "priority '%s' does not fit 32 bits", text);
    *ret = negative ? (int32_t) - (int64_t)value : (int32_t)value;
    return true;
}

/* A region's id, or -1; resolved to an index by resolve(). */
static bool reference(struct reader *reader, const char *text, size_t *ret)
{
    uint64_t id;

    if (strcmp(text, "-1") == 0) {
        *ret = MODEL_NONE;
        return true;
    }
    if (!number(reader, text, 10, &id))
        return false;
    *ret = (size_t)id;
    return true;
}

static bool kind(struct reader *reader, const char *text, enum gmem_kind *ret)
{
    static const struct {
        const char *text;
        enum gmem_kind kind;
    } kinds[] = {
        {"container", GMEM_KIND_CONTAINER},
        {"io", GMEM_KIND_MMIO},
        {"mmio", GMEM_KIND_MMIO},
        {"iommu", GMEM_KIND_MMIO},
        {"ram", GMEM_KIND_RAM},
        {"ramd", GMEM_KIND_RAM_DEVICE},
        {"ram-device", GMEM_KIND_RAM_DEVICE},
        {"rom", GMEM_KIND_ROM},
        {"romd", GMEM_KIND_ROMD},
        {"alias", GMEM_KIND_ALIAS},
        {"reserved", GMEM_KIND_RESERVED},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(text, kinds[i].text) == 0) {
            *ret = kinds[i].kind;
            return true;
        }
    }
    return fail(reader, "unknown kind of region '%s'", text);
}

static bool region_line(struct reader *reader, char **column, size_t n)
{
    struct model *model = reader->model;
    struct model_region *region;
    void *element;

    if (n != MODEL_COLUMNS)
        return fail(reader, "%zu columns, not %d", n, MODEL_COLUMNS);
    model->regions = append(model->regions, &model->n_regions, sizeof(*region), &element);
    region = element;
    region->line = reader->line;
    region->name = copy(column[2]);
    region->owner = copy(column[3]);
    if (!number(reader, column[0], 10, &region->id) || !kind(reader, column[1], &region->kind) ||
        !reference(reader, column[4], &region->parent) || !number(reader, column[5], 10, &region->rank) ||
        !number(reader, column[6], 16, &region->addr) || !size(reader, column[7], &region->size) ||
        !priority(reader, column[8], &region->priority) || !flag(reader, column[9], &region->enabled) ||
        !flag(reader, column[10], &region->nonvolatile) || !flag(reader, column[11], &region->readonly) ||
        !reference(reader, column[12], &region->alias) || !number(reader, column[13], 16, &region->alias_offset))
        return false;
    if ((region->kind == GMEM_KIND_ALIAS) != (region->alias != MODEL_NONE))
        return fail(reader, "an alias needs a target, nothing else has one");
    return true;
}

static bool resolve(struct reader *reader, const char *what, size_t *index)
{
    const struct model *model = reader->model;

    if (*index == MODEL_NONE)
        return true;
    for (size_t i = 0; i < model->n_regions; i++) {
        if (model->regions[i].id == *index) {
            *index = i;
            return true;
        }
    }
    return fail(reader, "%s %zu is not in model.tsv", what, *index);
}

static bool resolve_regions(struct reader *reader)
{
    struct model *model = reader->model;

    for (size_t i = 0; i < model->n_regions; i++) {
        struct model_region *region = &model->regions[i];

        reader->line = region->line;
        if (!resolve(reader, "parent", &region->parent) || !resolve(reader, "alias target", &region->alias))
            return false;
        for (size_t k = 0; k < i; k++) {
            if (model->regions[k].id == region->id)
                return fail(reader, "id %" PRIu64 " is that of line %u too", region->id, model->regions[k].line);
        }
    }
    return true;
}

static bool space_line(struct reader *reader, char **column, size_t n)
{
    struct model *model = reader->model;
    struct model_space *space;
    void *element;

    if (n != 3)
        return fail(reader, "%zu columns, not 3", n);
    model->spaces = append(model->spaces, &model->n_spaces, sizeof(*space), &element);
    space = element;
    space->line = reader->line;
    space->name = copy(column[1]);
    return reference(reader, column[2], &space->root) && resolve(reader, "root", &space->root) &&
           (space->root != MODEL_NONE || fail(reader, "a space needs a root"));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool view_line(struct reader *reader, char **column, size_t n)
{
    struct model *model = reader->model;
    struct model_view *view;
    void *element;

    if (n != 4)
        return fail(reader, "%zu columns, not 4", n);
    model->views = append(model->views, &model->n_views, sizeof(*view), &element);
    view = element;
    view->line = reader->line;
    view->root = copy(column[2]);
    for (char *names = column[3], *name; (name = strsep(&names, "|"));) {
        view->spaces = append(view->spaces, &view->n_spaces, sizeof(*view->spaces), &element);
        *(char **)element = copy(name);
    }
    qsort(view->spaces, view->n_spaces, sizeof(*view->spaces), compare_names);
    return number(reader, column[1], 10, &view->number);
}

static bool range_line(struct reader *reader, char **column, size_t n)
{
    struct model *model = reader->model;
    struct model_range *range;
    void *element;

    if (n != 8 && n != 9)
        return fail(reader, "%zu columns, not 8 or 9", n);
    model->ranges = append(model->ranges, &model->n_ranges, sizeof(*range), &element);
    range = element;
    range->line = reader->line;
    range->type = copy(column[6]);
    if (!number(reader, column[1], 10, &range->view) || !number(reader, column[2], 16, &range->first) ||
        !number(reader, column[3], 16, &range->last) || !reference(reader, column[4], &range->region) ||
        !resolve(reader, "region", &range->region) || !number(reader, column[5], 16, &range->offset) ||
        !flag(reader, column[7], &range->nonvolatile))
        return false;
    if (range->region == MODEL_NONE || range->last < range->first)
        return fail(reader, "a range needs a region and ends not before it begins");
    return true;
}

static bool views_file_line(struct reader *reader, char **column, size_t n)
{
    if (strcmp(column[0], "A") == 0)
        return space_line(reader, column, n);
    if (strcmp(column[0], "V") == 0)
        return view_line(reader, column, n);
    if (strcmp(column[0], "R") == 0)
        return range_line(reader, column, n);
    return fail(reader, "a line begins with A, V or R, not '%s'", column[0]);
}

static int compare_ranges(const void *left, const void *right)
{
    const struct model_range *a = left;
    const struct model_range *b = right;

    if (a->view != b->view)
        return a->view < b->view ? -1 : 1;
    return (a->first > b->first) - (a->first < b->first);
}

/* A space that is in no view would be compared with nothing, and so would a file without spaces. */
static bool check_spaces(struct reader *reader)
{
    struct model *model = reader->model;

    reader->line = 0;
    if (!model->n_spaces)
        return fail(reader, "there are no spaces");
    for (size_t i = 0; i < model->n_spaces; i++) {
        const char **name = (const char **)&model->spaces[i].name;
        bool seen = false;

        for (size_t k = 0; k < model->n_views; k++) {
            const struct model_view *view = &model->views[k];

            seen |= bsearch(name, view->spaces, view->n_spaces, sizeof(*view->spaces), compare_names) != NULL;
        }
        reader->line = model->spaces[i].line;
        if (!seen)
            return fail(reader, "space %s is in no view", *name);
    }
    return true;
}

/* Gives each view its ranges, by address. */
static bool resolve_views(struct reader *reader)
{
    struct model *model = reader->model;
    size_t taken = 0;

    if (model->n_ranges)
        qsort(model->ranges, model->n_ranges, sizeof(*model->ranges), compare_ranges);
    for (size_t i = 0; i < model->n_views; i++) {
        struct model_view *view = &model->views[i];

        reader->line = view->line;
        for (size_t k = 0; k < i; k++) {
            if (model->views[k].number == view->number)
                return fail(reader, "view %" PRIu64 " is that of line %u too", view->number, model->views[k].line);
        }
        while (view->first_range < model->n_ranges && model->ranges[view->first_range].view != view->number)
            view->first_range++;
        while (view->first_range + view->n_ranges < model->n_ranges &&
               model->ranges[view->first_range + view->n_ranges].view == view->number)
            view->n_ranges++;
        taken += view->n_ranges;
    }
    for (size_t i = 0; taken < model->n_ranges && i < model->n_ranges; i++) {
        bool known = false;

        for (size_t k = 0; k < model->n_views; k++)
            known |= model->views[k].number == model->ranges[i].view;
        reader->line = model->ranges[i].line;
        if (!known)
            return fail(reader, "there is no view %" PRIu64, model->ranges[i].view);
    }
    return true;
}

static bool read_file(struct reader *reader, line_fn *fn)
{
    FILE *file = fopen(reader->path, "r");
    char *text = NULL;
    size_t room = 0;
    ssize_t length;
    bool good = true;

    reader->line = 0;
    if (!file)
        return fail(reader, "%s", strerror(errno));
    while (good && (length = getline(&text, &room, file)) >= 0) {
        char *column[MAX_COLUMNS];
        size_t n = 0;
        char *rest = text;

        reader->line++;
        if (strlen(text) != (size_t)length) {
            good = fail(reader, "a NUL byte");
            break;
        }
        text[strcspn(text, "\r\n")] = 0;
        if (!*text || *text == '#')
            continue;
        while (rest && n < MAX_COLUMNS)
            column[n++] = strsep(&rest, "\t");
        good = fn(reader, column, n);
    }
    if (good && ferror(file)) {
        reader->line = 0;
        good = fail(reader, "%s", strerror(errno));
    }
    free(text);
    fclose(file);
    return good;
}

static char *join(const char *dir, const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        abort();
    return path;
}

bool model_load(const char *dir, struct model *model, struct model_error *error)
{
    struct reader reader = {.model = model, .error = error};

    memset(model, 0, sizeof(*model));
    model->regions_path = join(dir, "model.tsv");
    model->views_path = join(dir, "views.tsv");
    reader.path = model->regions_path;
    if (!read_file(&reader, region_line) || !resolve_regions(&reader))
        goto bad;
    reader.path = model->views_path;
    if (!read_file(&reader, views_file_line) || !resolve_views(&reader) || !check_spaces(&reader))
        goto bad;
    return true;
bad:
    model_free(model);
    return false;
}

void model_free(struct model *model)
{
    for (size_t i = 0; i < model->n_regions; i++) {
        free(model->regions[i].name);
        free(model->regions[i].owner);
    }
    for (size_t i = 0; i < model->n_spaces; i++)
        free(model->spaces[i].name);
    for (size_t i = 0; i < model->n_views; i++) {
        for (size_t k = 0; k < model->views[i].n_spaces; k++)
            free(model->views[i].spaces[k]);
        free(model->views[i].spaces);
        free(model->views[i].root);
    }
    for (size_t i = 0; i < model->n_ranges; i++)
        free(model->ranges[i].type);
    free(model->regions);
    free(model->spaces);
    free(model->views);
    free(model->ranges);
    free(model->regions_path);
    free(model->views_path);
    memset(model, 0, sizeof(*model));
}
