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
#include "jsonscan.h"

bool source_read(const char *path, struct source *source, struct problem *problem)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    FILE *file = standard ? stdin : fopen(path, "re");
    char *text = NULL;
    size_t size = 0, room = 0;

    if (!file)
        return problem_at(problem, name, 0, "%s", strerror(errno));
    for (;;) {
        if (size == room) {
            room = room ? 2 * room : 65536;
            text = realloc(text, room + 1);
            if (!text) {
                fputs("gmem: out of memory\n", stderr);
                exit(1);
            }
        }
        size_t n = fread(text + size, 1, room - size, file);

        size += n;
        if (n == 0 || size > SOURCE_MAX)
            break;
    }
    int error = ferror(file) ? errno : 0;

    if (!standard)
        fclose(file);
    if (error || size > SOURCE_MAX) {
        free(text);
        if (error)
            return problem_at(problem, name, 0, "%s", strerror(error));
        return problem_at(problem, name, 0, "larger than the %zu MiB that are read", SOURCE_MAX >> 20);
    }
    text[size] = '\0';
    *source = (struct source){.name = alloc_text(name), .text = text, .size = size};
    return true;
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

static bool begins(const char *line, size_t length, const char *word)
{
    size_t n = strlen(word);

    return length >= n && memcmp(line, word, n) == 0;
}

enum source_kind source_kind(const struct source *source)
{
    enum source_kind kind = SOURCE_EMPTY;
    struct lines lines;
    const char *line;
    size_t length;

    if (source->text[strspn(source->text, " \t\r\n")] == '{')
        return jsonscan_member_is(source->text, source->size, "format", "gmem-recording") ? SOURCE_RECORDING
                                                                                          : SOURCE_JSON;
    lines_begin(&lines, source->text, source->size);
    while (lines_next(&lines, &line, &length)) {
        if (strspn(line, " \t\r") >= length)
            continue;
        if (begins(line, length, "address-space") || begins(line, length, "memory-region") ||
            begins(line, length, "memory"))
            return SOURCE_MTREE;
        if (begins(line, length, "FlatView #"))
            kind = SOURCE_FLAT;
        else if (kind != SOURCE_FLAT &&
                 (memmem(line, length, "kvm_set_user_memory", 19) || memmem(line, length, "pci_cfg_write", 13)))
            return SOURCE_TRACE;
        else if (kind == SOURCE_EMPTY)
            kind = SOURCE_UNKNOWN;
    }
    return kind;
}
