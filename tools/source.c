/* SPDX-License-Identifier: MIT */
/*
 * Owns the bytes that it read until source_free(). One thread.
 */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* Of the text's first bytes, from the line that begins at it. */
static bool check_text(const char *name, const char *text, size_t size, struct problem *problem)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *what;
    } others[] = {
        {"\xff\xfe", 2, "UTF-16: save it as UTF-8 (in PowerShell: | Out-File -Encoding utf8 FILE)"},
        {"\xfe\xff", 2, "UTF-16: save it as UTF-8"},
        {"\x1f\x8b", 2, "compressed: give what gunzip makes of it"},
        {"\x28\xb5\x2f\xfd", 4, "compressed: give what unzstd makes of it"},
        {"\xfd"
         "7zXZ",
         5, "compressed: give what unxz makes of it"},
        {"\x7f"
         "ELF",
         4, "a program, not a text"},
    };
    const char *nul = memchr(text, '\0', size);
    size_t line = 1;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (size >= others[i].n && memcmp(text, others[i].bytes, others[i].n) == 0)
            return problem_at(problem, name, 1, "this is %s", others[i].what);
    if (!nul)
        return true;
    for (const char *p = text; (p = memchr(p, '\n', (size_t)(nul - p))); p++)
        line++;
    return problem_at(problem, name, line, "a NUL byte: this is no text, or a damaged one");
}

bool source_is_text(const struct source *source, struct problem *problem)
{
    return check_text(source->name, source->text, source->size, problem);
}

/* All that can be read, in *ret_text; or an errno value, or -1: too much, or -2: no text, and *problem says why. */
static int read_all(FILE *file, const char *name, char **ret_text, size_t *ret_size, struct problem *problem)
{
    size_t size = 0, room = 65536;
    char *text = alloc_zeroed(1, room + 1);
    int error = 0;

    for (;;) {
        size_t n = fread(text + size, 1, room - size, file);

        if (ferror(file))
            error = errno ? errno : EIO;
        else if (n && !size && !check_text(name, text, n, problem))
            error = -2;
        size += n;
        if (!error && size > SOURCE_MAX)
            error = -1;
        if (error || n == 0)
            break;
        if (size == room) {
            room *= 2;
            text = alloc_again(text, room + 1);
        }
    }
    if (error) {
        free(text);
        return error;
    }
    text[size] = '\0';
    *ret_text = text;
    *ret_size = size;
    return 0;
}

bool source_read(const char *path, struct source *source, struct problem *problem)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    FILE *file = standard ? stdin : fopen(path, "re");
    char *text;
    size_t size;
    int error;

    if (!file)
        return problem_at(problem, name, 0, "%s", strerror(errno));
    error = read_all(file, name, &text, &size, problem);
    if (!standard)
        fclose(file);
    if (error == -1)
        return problem_at(problem, name, 0, "larger than the %zu MiB that are read", SOURCE_MAX >> 20);
    if (error > 0)
        return problem_at(problem, name, 0, "%s", strerror(error));
    if (error)
        return false;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        size -= 3;
        memmove(text, text + 3, size + 1);
    }
    *source = (struct source){.name = alloc_text(name), .text = text, .size = size};
    return source_is_text(source, problem) || (source_free(source), false);
}

void source_free(struct source *source)
{
    free(source->name);
    free(source->text);
    *source = (struct source){0};
}

void lines_begin(struct lines *lines, const char *text, size_t size)
{
    *lines = (struct lines){.next = text, .end = text + size};
}

bool lines_next(struct lines *lines, const char **ret_line, size_t *ret_length)
{
    const char *end;
    size_t length;

    if (lines->next == lines->end)
        return false;
    end = memchr(lines->next, '\n', (size_t)(lines->end - lines->next));
    length = (size_t)((end ? end : lines->end) - lines->next);
    *ret_line = lines->next;
    lines->next = end ? end + 1 : lines->end;
    lines->number++;
    if (length && (*ret_line)[length - 1] == '\r')
        length--;
    *ret_length = length;
    return true;
}
