/* SPDX-License-Identifier: MIT */
/*
 * golden DIR...: builds each recorded machine (DIR/model.tsv) through the public API, prints it in every text form and
 * compares that with what was recorded: mtree.txt, disabled.txt, full.txt, flat.txt, flatowner.txt.
 * golden --tree|--flat DIR: prints the machine as JSON instead.
 *
 * Sections are compared as sets, their lines one by one. The order of the sections, the numbers of the views and the order
 * of the spaces that share one follow from the order of creation, which is not recorded: views lose their number, and
 * the lines that name their spaces are sorted.
 *
 * Exit: 0 all equal, 1 differences, 2 bad input. One thread.
 */
#include "model_tsv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct form {
    const char *file;
    bool flat;
    uint32_t flags;
};

static const struct form forms[] = {
    {"mtree.txt", false, 0},
    {"disabled.txt", false, GMEM_PRINT_DISABLED},
    {"full.txt", false, GMEM_PRINT_DISABLED | GMEM_PRINT_OWNER},
    {"flat.txt", true, 0},
    {"flatowner.txt", true, GMEM_PRINT_OWNER},
};

#define N_FORMS (sizeof(forms) / sizeof(forms[0]))

/* A text, then the lines it is cut into, by section. */
struct section {
    char **lines;
    size_t n_lines;
};

struct dump {
    char *text;
    size_t len;
    char **lines;
    struct section *sections;
    size_t n_sections;
};

static void *checked(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static int collect(void *opaque, const char *text, size_t len)
{
    struct dump *dump = opaque;

    dump->text = checked(realloc(dump->text, dump->len + len + 1));
    memcpy(dump->text + dump->len, text, len);
    dump->len += len;
    dump->text[dump->len] = '\0';
    return 0;
}

static int write_out(void *opaque, const char *text, size_t len)
{
    return fwrite(text, 1, len, opaque) == len ? 0 : -1;
}

static bool read_dump(const char *dir, const char *name, struct dump *dump)
{
    char piece[4096];
    char *path;
    FILE *file;
    size_t len;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        abort();
    file = fopen(path, "r");
    if (!file) {
        perror(path);
        free(path);
        return false;
    }
    while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
        collect(dump, piece, len);
    fclose(file);
    free(path);
    return true;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_sections(const void *left, const void *right)
{
    const struct section *a = left, *b = right;

    for (size_t i = 0; i < a->n_lines && i < b->n_lines; i++) {
        int order = strcmp(a->lines[i], b->lines[i]);

        if (order)
            return order;
    }
    return (a->n_lines > b->n_lines) - (a->n_lines < b->n_lines);
}

static void normalize(struct section *section)
{
    size_t first = 0, last;

    if (strncmp(section->lines[0], "FlatView #", 10) == 0) {
        section->lines[0][10] = '\0';
        first = 1;
    }
    for (last = first; last < section->n_lines && strncmp(section->lines[last], " AS \"", 5) == 0; last++)
        ;
    qsort(section->lines + first, last - first, sizeof(char *), compare_strings);
}

/* Every section ends with an empty line; false if the last one doesn't. */
static bool cut(struct dump *dump)
{
    size_t room = 1, n = 0, begin = 0;
    char *at = dump->text, *line;

    for (size_t i = 0; i < dump->len; i++)
        room += dump->text[i] == '\n';
    dump->lines = checked(calloc(room, sizeof(*dump->lines)));
    dump->sections = checked(calloc(room, sizeof(*dump->sections)));
    while (at && *at) {
        line = strsep(&at, "\n");
        dump->lines[n++] = line;
        if (*line)
            continue;
        if (n - begin > 1) {
            dump->sections[dump->n_sections] = (struct section){dump->lines + begin, n - begin - 1};
            normalize(&dump->sections[dump->n_sections++]);
        }
        begin = n;
    }
    qsort(dump->sections, dump->n_sections, sizeof(*dump->sections), compare_sections);
    return begin == n;
}

static void dump_free(struct dump *dump)
{
    free(dump->text);
    free(dump->lines);
    free(dump->sections);
}

static bool same_section(const char *where, const struct section *recorded, const struct section *printed)
{
    for (size_t i = 0; i < recorded->n_lines || i < printed->n_lines; i++) {
        const char *old = i < recorded->n_lines ? recorded->lines[i] : "(end)";
        const char *new = i < printed->n_lines ? printed->lines[i] : "(end)";

        if (strcmp(old, new) != 0) {
            printf("%s: section \"%s\", line %zu:\n  recorded %s\n  printed  %s\n", where, recorded->lines[0], i + 1,
                   old, new);
            return false;
        }
    }
    return true;
}

static bool same(const char *dir, const char *file, struct dump *recorded, struct dump *printed)
{
    char *where;
    bool good = true;

    if (asprintf(&where, "%s/%s", dir, file) < 0)
        abort();
    if (!cut(recorded) || !cut(printed)) {
        printf("%s: the last section has no empty line at its end\n", where);
        good = false;
    }
    for (size_t i = 0; good && i < recorded->n_sections && i < printed->n_sections; i++)
        good = same_section(where, &recorded->sections[i], &printed->sections[i]);
    if (good && recorded->n_sections != printed->n_sections) {
        printf("%s: %zu sections recorded, %zu printed\n", where, recorded->n_sections, printed->n_sections);
        good = false;
    }
    free(where);
    return good;
}

/* Under KVM all host memory in the recordings is in slots. */
static const char *mark_slots(void *opaque, const struct gmem_section *section)
{
    (void)opaque;
    return gmem_region_ram(section->region) ? " KVM" : NULL;
}

static bool compare_form(const char *dir, const struct machine *machine, const struct form *form)
{
    struct gmem_print_options options = {.struct_size = sizeof(options), .flags = form->flags};
    struct dump recorded = {0}, printed = {0};
    bool good = read_dump(dir, form->file, &recorded);
    int err;

    if (good && form->flat && recorded.text && strstr(recorded.text, " KVM\n"))
        options.mark = mark_slots;
    err = form->flat ? gmem_print_flat(machine->vm, &options, collect, &printed)
                     : gmem_print_tree(machine->vm, &options, collect, &printed);
    if (err)
        printf("%s: printing: %s\n", dir, gmem_strerror(err));
    good = good && !err && same(dir, form->file, &recorded, &printed);
    dump_free(&recorded);
    dump_free(&printed);
    return good;
}

static bool print_json(const struct machine *machine, bool flat)
{
    struct gmem_print_options options = {.struct_size = sizeof(options), .flags = GMEM_PRINT_JSON};

    if (flat)
        return gmem_print_flat(machine->vm, &options, write_out, stdout) == 0;
    return gmem_print_tree(machine->vm, &options, write_out, stdout) == 0;
}

static int run(const char *dir, bool tree, bool flat)
{
    struct model model;
    struct machine machine;
    struct model_error error;
    size_t equal = 0;

    if (!model_load(dir, &model, &error)) {
        fprintf(stderr, "golden: %s\n", error.text);
        return 2;
    }
    if (!machine_build(&model, &machine, &error)) {
        fprintf(stderr, "golden: %s\n", error.text);
        model_free(&model);
        return 2;
    }
    if (tree || flat) {
        equal = print_json(&machine, flat) ? N_FORMS : 0;
    } else {
        for (size_t i = 0; i < N_FORMS; i++)
            equal += compare_form(dir, &machine, &forms[i]);
        printf("%s: %zu of %zu forms equal\n", dir, equal, N_FORMS);
    }
    machine_destroy(&model, &machine);
    model_free(&model);
    return equal == N_FORMS ? 0 : 1;
}

int main(int argc, char **argv)
{
    bool tree = argc == 3 && strcmp(argv[1], "--tree") == 0;
    bool flat = argc == 3 && strcmp(argv[1], "--flat") == 0;
    int worst = 0;

    if (argc < 2 || (argv[1][0] == '-' && !tree && !flat)) {
        fprintf(stderr, "usage: golden DIR... | --tree DIR | --flat DIR\n");
        return 2;
    }
    for (int i = tree || flat ? 2 : 1; i < argc; i++) {
        int status = run(argv[i], tree, flat);

        worst = status > worst ? status : worst;
    }
    return worst;
}
