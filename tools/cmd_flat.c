/* SPDX-License-Identifier: MIT */
/*
 * gmem tree and gmem flat: what the library prints of a map, with colours where a person looks. Owns nothing. One thread.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "options.h"
#include "output.h"

static const struct option tree_own[] = {
    {"disabled", no_argument, NULL, 'D'},
    {"owner", no_argument, NULL, 'o'},
    {0},
};

static const struct option flat_own[] = {
    {"dispatch", no_argument, NULL, 'd'},
    {"owner", no_argument, NULL, 'o'},
    {0},
};

static bool own(void *opaque, int value, const char *argument, struct problem *problem)
{
    uint32_t *flags = opaque;

    (void)argument;
    (void)problem;
    *flags |= value == 'D' ? GMEM_PRINT_DISABLED : value == 'o' ? GMEM_PRINT_OWNER : GMEM_PRINT_DISPATCH;
    return true;
}

static int put(void *opaque, const char *text, size_t length)
{
    (void)opaque;
    fwrite(text, 1, length, stdout);
    return 0;
}

static void put_colored(enum color which, const char *text, size_t length)
{
    fputs(color(which), stdout);
    fwrite(text, 1, length, stdout);
    fputs(color(COLOR_NONE), stdout);
}

/* The color of a type word, "ram): name" and so on. */
static enum color type_color(const char *word)
{
    if (strncmp(word, "ram", 3) == 0 || strncmp(word, "nv-ram", 6) == 0)
        return COLOR_RAM;
    return strncmp(word, "rom", 3) == 0 || strncmp(word, "nv-rom", 6) == 0 ? COLOR_ROM : COLOR_IO;
}

/* One line, as "  FIRST-LAST (prio N, TYPE): NAME ...": the addresses and the type; of headings, all. */
static void put_line(const char *line, size_t length)
{
    const char *end = line + length, *first = line, *range, *type, *close;

    while (first < end && *first == ' ')
        first++;
    if (first == line) {
        put_colored(COLOR_NAME, line, length);
        return;
    }
    range = memchr(first, ' ', (size_t)(end - first));
    type = range ? memmem(range, (size_t)(end - range), ", ", 2) : NULL;
    close = type ? memchr(type, ')', (size_t)(end - type)) : NULL;
    if (!close || range - first != 33 || end - range < 7 || strncmp(range, " (prio ", 7) != 0) {
        fwrite(line, 1, length, stdout);
        return;
    }
    type += 2;
    fwrite(line, 1, (size_t)(first - line), stdout);
    put_colored(COLOR_ADDRESS, first, (size_t)(range - first));
    fwrite(range, 1, (size_t)(type - range), stdout);
    put_colored(type_color(type), type, (size_t)(close - type));
    fwrite(close, 1, (size_t)(end - close), stdout);
}

static int put_lines(void *opaque, const char *text, size_t length)
{
    const char *end = text + length;

    (void)opaque;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((newline ? newline : end) - text);

        if (n)
            put_line(text, n);
        text += n;
        if (newline) {
            fputc('\n', stdout);
            text++;
        }
    }
    return 0;
}

static int print(int argc, char **argv, const struct option *options_own,
                 int (*print_fn)(gmem_vm *, const struct gmem_print_options *, gmem_print_fn *, void *))
{
    struct gmem_print_options how = {.struct_size = sizeof(how)};
    struct options options;
    struct loaded loaded;
    struct problem problem;
    bool found = true;
    size_t space;
    int err,
        status = options_parse(argc, argv, OPT_INPUT | OPT_SPACE | OPT_JSON, 0, options_own, own, &how.flags, &options);

    if (status >= 0)
        return status;
    if (!load(&options.inputs[0], &loaded, &problem))
        return bad_input(&problem);
    if (options.space) {
        found = loaded_space(&loaded, options.space, &space, &problem);
        how.space = found ? loaded.map.spaces[space] : NULL;
    }
    if (options.json)
        how.flags |= GMEM_PRINT_JSON;
    err = found ? print_fn(loaded.map.vm, &how, *color(COLOR_NONE) && !options.json ? put_lines : put, NULL) : 0;
    loaded_free(&loaded);
    if (!found)
        return bad_input(&problem);
    if (err) {
        fprintf(stderr, "%s: %s\n", problem_program(), gmem_strerror(err));
        return EXIT_ASKED;
    }
    return output_end(0);
}

int cmd_tree(int argc, char **argv)
{
    return print(argc, argv, tree_own, gmem_print_tree);
}

int cmd_flat(int argc, char **argv)
{
    return print(argc, argv, flat_own, gmem_print_flat);
}
