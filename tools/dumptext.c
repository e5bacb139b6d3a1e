/* SPDX-License-Identifier: MIT */
/*
 * A reader owns its scratch line from dump_begin() to dump_end(). One thread. Each line is looked at a bounded number of
 * times, so that a text is read in time linear in its size.
 */
#include "dumptext.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

bool dump_word(const char **p, const char *end, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(end - *p) < n || memcmp(*p, word, n) != 0)
        return false;
    *p += n;
    return true;
}

bool dump_ending(const char *p, const char **end, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(*end - p) < n || memcmp(*end - n, word, n) != 0)
        return false;
    *end -= n;
    return true;
}

const char *dump_find_last(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = (size_t)(end - p); i >= n; i--)
        if (p[i - n] == *word && memcmp(p + i - n, word, n) == 0)
            return p + i - n;
    return NULL;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool dump_is_hex(const char *p, const char *end)
{
    while (p < end && is_hex(*p))
        p++;
    return p == end;
}

/* --- lines ----------------------------------------------------------------------------------- */

void dump_begin(struct dump_reader *reader, const struct source *source)
{
    *reader = (struct dump_reader){0};
    lines_begin(&reader->lines, source->text, source->size);
}

void dump_end(struct dump_reader *reader)
{
    free(reader->scratch);
    *reader = (struct dump_reader){0};
}

/* Behind an escape sequence: ESC [ parameters letter; ESC ] text BEL; ESC and one more. */
static const char *skip_escape(const char *p, const char *end)
{
    if (++p == end)
        return p;
    if (*p == '[') {
        for (p++; p < end && (unsigned char)*p < 0x40; p++)
            ;
        return p < end ? p + 1 : p;
    }
    if (*p == ']') {
        for (p++; p < end && *p != '\a' && *p != '\x1b'; p++)
            ;
        return p < end && *p == '\a' ? p + 1 : p;
    }
    return p + 1;
}

static bool is_clean(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\x1b' || text[i] == '\b' || text[i] == '\r')
            return false;
    return true;
}

/* A reader's scratch holds what a terminal would show of the line, roughly: no cursor is moved but one back. */
static void clean(struct dump_reader *reader, const char **text, size_t *length)
{
    const char *p = *text, *end = p + *length;
    size_t n = 0;

    if (*length > reader->room) {
        free(reader->scratch);
        reader->room = *length * 2;
        reader->scratch = alloc_zeroed(reader->room, 1);
    }
    while (p < end)
        if (*p == '\x1b') {
            p = skip_escape(p, end);
        } else if (*p == '\b') {
            n -= n > 0;
            p++;
        } else if (*p == '\r') {
            p++;
        } else {
            reader->scratch[n++] = *p++;
        }
    *text = reader->scratch;
    *length = n;
}

static bool contains(const char *p, const char *end, const char *word)
{
    return memmem(p, (size_t)(end - p), word, strlen(word)) != NULL;
}

/* A command of a session that prints a tree: what it asks for. */
static enum dump_kind asked(const char *p, const char *end)
{
    const char *option = memmem(p, (size_t)(end - p), "info mtree", 10);

    if (!option)
        return DUMP_SESSION;
    for (option += 10; option < end; option++)
        if (option[0] == '-' && option + 1 < end && option[-1] == ' ')
            for (const char *o = option + 1; o < end && *o != ' '; o++)
                if (*o == 'f')
                    return DUMP_ASK_FLAT;
    return DUMP_ASK_TREE;
}

static enum dump_kind classify(struct dump_line *line)
{
    const char *p = line->text, *end = line->end;

    line->name = p;
    if (p == end)
        return DUMP_BLANK;
    if (is_hex(*p)) {
        const char *q = p;

        while (q < end && is_hex(*q))
            q++;
        /* Also what was cut off within the first address. */
        if ((q - p >= 8 && q < end && *q == '-') || (q == end && line->last) || contains(q, end, " (prio "))
            return DUMP_RANGE;
    }
    if (dump_word(&line->name, end, "address-space:"))
        return DUMP_SPACE;
    if (dump_word(&line->name, end, "memory-region:"))
        return DUMP_REGION;
    if (dump_word(&line->name, end, "address-space (flat view):"))
        return DUMP_FLATSPACE;
    if (dump_word(&line->name, end, "FlatView #"))
        return DUMP_VIEW;
    if (contains(p, end, "info mtree"))
        return asked(p, end);
    if (dump_word(&p, end, "(qemu)") || dump_word(&p, end, "qemu-system-") || dump_word(&p, end, "qemu: ") ||
        (dump_word(&p, end, "QEMU ") && contains(p, end, " monitor - type ")))
        return DUMP_SESSION;
    return DUMP_OTHER;
}

bool dump_next(struct dump_reader *reader, struct dump_line *ret_line)
{
    const char *text;
    size_t length;

    if (!lines_next(&reader->lines, &text, &length))
        return false;
    *ret_line = (struct dump_line){.number = reader->lines.number,
                                   .last = reader->lines.next == reader->lines.end && reader->lines.end[-1] != '\n'};
    if (!is_clean(text, length))
        clean(reader, &text, &length);
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    for (; length && (*text == ' ' || *text == '\t'); text++, length--)
        ret_line->indent = *text == ' ' ? ret_line->indent + 1 : (ret_line->indent | 7) + 1;
    ret_line->text = text;
    ret_line->end = text + length;
    /* What is printed right behind a prompt: the command was not echoed. */
    while (length && dump_word(&ret_line->text, ret_line->end, "(qemu) "))
        ;
    ret_line->kind = classify(ret_line);
    if (ret_line->text != text && ret_line->kind != DUMP_SPACE && ret_line->kind != DUMP_REGION &&
        ret_line->kind != DUMP_VIEW && ret_line->kind != DUMP_FLATSPACE && ret_line->kind != DUMP_ASK_TREE &&
        ret_line->kind != DUMP_ASK_FLAT)
        ret_line->kind = DUMP_SESSION;
    if (ret_line->name < ret_line->end && *ret_line->name == ' ' && ret_line->kind != DUMP_VIEW)
        ret_line->name++;
    return true;
}

/* --- ranges ---------------------------------------------------------------------------------- */

/*
 * 16 digits; in the first releases, of a target with addresses of 32 bits, 8, and more where 8 did not do. *digits is how many a line has in its
 * first address, 0 before that: where it is 16 fewer are what a cut left.
 */
static const char *address(const char **p, const char *end, unsigned *digits, uint64_t *ret)
{
    unsigned n = 0, least = *digits == 16 ? 16 : 8;
    uint64_t value = 0;

    for (; *p < end; (*p)++, n++) {
        char c = **p;
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            break;
        if (n == 16)
            return "an address past 2^64, it can have 16 digits at most";
        value = value << 4 | digit;
    }
    *ret = value;
    if (n < least)
        return least == 16 ? "an address has 16 hexadecimal digits here" : "an address has 8 to 16 hexadecimal digits";
    if (!*digits)
        *digits = n;
    return NULL;
}

const char *dump_interval(const char **p, const char *end, unsigned *digits, uint64_t *ret_first, uint64_t *ret_last)
{
    const char *wrong = address(p, end, digits, ret_first);

    if (wrong)
        return wrong;
    if (!dump_word(p, end, "-"))
        return "two addresses stand together as FIRST-LAST";
    wrong = address(p, end, digits, ret_last);
    if (!wrong && *ret_last < *ret_first)
        wrong = "it ends before it begins, FIRST-LAST has the lower address first";
    return wrong;
}

bool dump_offset(const char *p, const char *end, uint64_t *ret)
{
    unsigned digits = 16;
    uint64_t value;

    if (address(&p, end, &digits, &value) || p != end)
        return false;
    *ret = value;
    return true;
}

static const char *priority(const char **p, const char *end, int32_t *ret)
{
    bool negative = dump_word(p, end, "-");
    const char *digits = *p;
    int64_t value = 0;

    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        value = value * 10 + (**p - '0');
        if (value > (int64_t)INT32_MAX + negative)
            return "a priority is a number of 32 bits, from -2147483648 to 2147483647";
    }
    if (*p == digits)
        return "\"(prio \" is followed by a decimal number";
    *ret = (int32_t)(negative ? -value : value);
    return NULL;
}

static const char *type(const char **p, const char *end, struct dump_range *range)
{
    static const struct {
        const char *text;
        enum mtree_type type;
    } types[] = {
        {"i/o", MTREE_IO},      {"ramd", MTREE_RAMD},    {"ram", MTREE_RAM},     {"romd", MTREE_ROMD},
        {"rom", MTREE_ROM},     {"RW", MTREE_READWRITE}, {"R-", MTREE_READONLY}, {"-W", MTREE_WRITEONLY},
        {"--", MTREE_NOACCESS}, {"container", MTREE_IO}, {"reserved", MTREE_IO},
    };

    range->nonvolatile = dump_word(p, end, "nv-");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (dump_word(p, end, types[i].text)) {
            range->type = types[i].type;
            return NULL;
        }
    return "a type that is not known, there are i/o, ram, rom, romd, ramd (each also with nv-), RW, R-, -W and --";
}

const char *dump_range(const char **p, const char *end, struct dump_range *ret)
{
    const char *wrong;

    ret->digits = 0;
    wrong = dump_interval(p, end, &ret->digits, &ret->first, &ret->last);
    if (wrong)
        return wrong;
    if (!dump_word(p, end, " (prio "))
        return "addresses are followed by \" (prio \"";
    wrong = priority(p, end, &ret->priority);
    if (wrong)
        return wrong;
    if (dump_word(p, end, ")")) { /* the first of all forms says no access */
        ret->type = MTREE_READWRITE;
        ret->nonvolatile = false;
    } else {
        if (!dump_word(p, end, ", "))
            return "the priority is followed by a comma and the type, as in \"(prio 0, ram)\"";
        wrong = type(p, end, ret);
        if (wrong)
            return wrong;
        if (!dump_word(p, end, ")"))
            return "the type is followed by \")\"";
    }
    if (!dump_word(p, end, ":"))
        return "\"(prio N, TYPE)\" is followed by a colon and the name";
    dump_word(p, end, " ");
    return NULL;
}

char *dump_owner(const char *p, const char **end)
{
    const char *owner, *parent;

    if (*end == p || (*end)[-1] != '}')
        return NULL;
    parent = dump_find_last(p, *end, " parent:{");
    owner = dump_find_last(p, parent ? parent : *end, " owner:{");
    /* Both stand behind one another; what looks like an owner within the name does not end in a brace. */
    if (!owner || (parent && parent[-1] != '}'))
        owner = parent;
    if (!owner)
        return NULL;
    char *copy = alloc_bytes(owner + 1, (size_t)(*end - owner - 1));

    *end = owner;
    return copy;
}

bool dump_refuse(struct problem *problem, const struct source *source, const struct dump_line *line, const char *why)
{
    size_t length = (size_t)(line->end - line->text);

    return problem_at(problem, source->name, line->number, "%s: %.*s%s%s", why, (int)(length < 100 ? length : 100),
                      line->text, length > 100 ? "..." : "", line->last ? " (the text ends here: is it cut off?)" : "");
}
