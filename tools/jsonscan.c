/* SPDX-License-Identifier: MIT */
/*
 * Owns nothing. One thread.
 */
#include "jsonscan.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct scan {
    const char *at, *end;
    size_t line;
    size_t depth;
    const char *string; /* of a token that is one: what is between its quotes */
    size_t length;
};

/* The next token's first character ('"' of a string), or 0 at the end. Strings are stepped over, others by a character. */
static char next(struct scan *scan)
{
    while (scan->at < scan->end) {
        char c = *scan->at++;

        switch (c) {
        case '\n':
            scan->line++;
            continue;
        case ' ':
        case '\t':
        case '\r':
            continue;
        case '{':
        case '[':
            scan->depth++;
            return c;
        case '}':
        case ']':
            if (scan->depth)
                scan->depth--;
            return c;
        case '"':
            scan->string = scan->at;
            while (scan->at < scan->end && *scan->at != '"')
                scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
            scan->length = (size_t)(scan->at - scan->string);
            if (scan->at == scan->end)
                return 0;
            scan->at++;
            return c;
        case '\0':
            return '?';
        default:
            return c;
        }
    }
    return 0;
}

static bool is(const struct scan *scan, const char *text)
{
    return strlen(text) == scan->length && memcmp(scan->string, text, scan->length) == 0;
}

/* To behind the colon of the member key of the first object. False: there is none. */
static bool find(struct scan *scan, const char *key)
{
    bool before_key = false; /* a string here is a key */
    char c = next(scan);

    if (c != '{')
        return false;
    before_key = true;
    while ((c = next(scan)) != 0 && scan->depth) {
        if (scan->depth == 1 && c == '"' && before_key && is(scan, key))
            return next(scan) == ':';
        before_key = scan->depth == 1 && c == ',';
    }
    return false;
}

size_t *jsonscan_lines(const char *text, size_t size, const char *key, size_t *ret_n)
{
    struct scan scan = {.at = text, .end = text + size, .line = 1};
    size_t *lines = NULL, n = 0;
    bool begins = true;
    char c;

    *ret_n = 0;
    if (!find(&scan, key) || next(&scan) != '[')
        return NULL;
    while ((c = next(&scan)) != 0 && scan.depth >= 2) {
        if (begins) {
            alloc_grow(&lines, n, sizeof(*lines));
            lines[n++] = scan.line;
        }
        begins = scan.depth == 2 && c == ',';
    }
    *ret_n = n;
    return lines;
}

bool jsonscan_member_is(const char *text, size_t size, const char *key, const char *value)
{
    struct scan scan = {.at = text, .end = text + size, .line = 1};

    return find(&scan, key) && next(&scan) == '"' && is(&scan, value);
}

size_t jsonscan_values(const char *text, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++)
        n += text[i] == ',' || text[i] == '[' || text[i] == '{' || text[i] == ':';
    return n;
}
