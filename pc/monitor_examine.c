/* SPDX-License-Identifier: MIT */
/*
 * pc/monitor_examine.c - the commands x and xp: memory as a view shows it.
 *
 * Without side effects: the view is held, host memory is read, devices are not. The guest may write meanwhile: an item that is
 * aligned in the host and of one range is read at once, so that it is whole; others may be torn. Runs with no lock held.
 */
#include "monitor_examine.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "monitor_internal.h"

#define NOTES_MAX 16u

/* Addresses that are not read, and why. */
struct note {
    uint64_t first, last;
    gmem_region *region; /* borrowed from the view; NULL: nothing is there */
};

struct reader {
    const gmem_view *view;
    struct gmem_section section; /* the last one used */
    bool found;                  /* it is one */
    struct note notes[NOTES_MAX];
    unsigned note_count;
    bool more; /* than fit in notes */
};

const char *examine_parse(const char *text, struct examine *ret)
{
    static const char sizes[] = "bhwg";
    struct examine examine = {.count = 1};
    char *end;

    if (isdigit((unsigned char)*text)) {
        errno = 0;
        examine.count = strtoull(text, &end, 10);
        if (errno)
            examine.count = UINT64_MAX;
        if (!examine.count)
            return "a count of 0 shows nothing";
        text = end;
    }
    for (; *text; text++) {
        const char *size = strchr(sizes, *text);

        if (size && !examine.size)
            examine.size = 1u << (size - sizes);
        else if (strchr("xduotcs", *text) && !examine.format)
            examine.format = *text;
        else
            return "FMT is a count, one of the formats x d u o t c s and one of the sizes b h w g";
    }
    if (!examine.format)
        examine.format = 'x';
    if ((examine.format == 'c' || examine.format == 's') && examine.size > 1)
        return "the formats c and s are of bytes";
    if (!examine.size)
        examine.size = examine.format == 'c' || examine.format == 's' ? 1 : 4;
    if (examine.format == 's' ? examine.count > EXAMINE_STRINGS_MAX : examine.count > EXAMINE_BYTES_MAX / examine.size)
        return examine.format == 's' ? "more than 1024 strings" : "more than 1 MiB";
    *ret = examine;
    return NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static void note(struct reader *reader, uint64_t addr, gmem_region *region)
{
    struct note *last = reader->note_count ? &reader->notes[reader->note_count - 1] : NULL;

    if (last && last->region == region && last->last + 1 == addr)
        last->last = addr;
    else if (reader->note_count == NOTES_MAX)
        reader->more = true;
    else
        reader->notes[reader->note_count++] = (struct note){addr, addr, region};
}

/* Of another kind host memory may be a device's, where reading is not for nothing. */
static bool is_memory(const struct gmem_section *section)
{
    switch (gmem_region_kind(section->region)) {
    case GMEM_KIND_RAM:
    case GMEM_KIND_ROM:
        return true;
    case GMEM_KIND_ROMD:
        return section->attrs & GMEM_RANGE_ROMD;
    default:
        return false;
    }
}

/* Host memory behind addr, contiguous for *ret_room bytes, or NULL. */
static const uint8_t *memory_at(struct reader *reader, uint64_t addr, uint64_t *ret_room)
{
    struct gmem_section *section = &reader->section;
    const uint8_t *host;

    if (!reader->found || addr < section->first || addr > section->last)
        reader->found = gmem_view_find(reader->view, addr, section) == 0 && section->first <= addr;
    if (!reader->found)
        return NULL;
    if (!is_memory(section))
        return NULL;
    host = gmem_section_host(section);
    *ret_room = section->last - addr + 1; /* 0 is 2^64 */
    return host ? host + (addr - section->first) : NULL;
}

static uint64_t load_whole(const uint8_t *host, unsigned size)
{
    switch (size) {
    case 1:
        return __atomic_load_n(host, __ATOMIC_RELAXED);
    case 2:
        return le16toh(__atomic_load_n((const uint16_t *)(const void *)host, __ATOMIC_RELAXED));
    case 4:
        return le32toh(__atomic_load_n((const uint32_t *)(const void *)host, __ATOMIC_RELAXED));
    default:
        return le64toh(__atomic_load_n((const uint64_t *)(const void *)host, __ATOMIC_RELAXED));
    }
}

/* False: not all of it is memory. */
static bool load(struct reader *reader, uint64_t addr, unsigned size, uint64_t *ret_value)
{
    uint64_t room = 0, value = 0;
    const uint8_t *host = memory_at(reader, addr, &room);
    bool all = true;

    if (host && (!room || room >= size) && (uintptr_t)host % size == 0) {
        *ret_value = load_whole(host, size);
        return true;
    }
    for (unsigned i = 0; i < size; i++) {
        host = memory_at(reader, addr + i, &room);
        if (host)
            value |= load_whole(host, 1) << (8 * i);
        else
            note(reader, addr + i, reader->found ? reader->section.region : NULL);
        all = all && host;
    }
    *ret_value = value;
    return all;
}

/* --- text ---------------------------------------------------------------------------------------------------------- */

static void print_char(FILE *out, uint8_t c, char quote)
{
    static const char escaped[] = "\a\b\f\n\r\t\v", letters[] = "abfnrtv";
    const char *at = c ? strchr(escaped, c) : NULL;

    if (at)
        fprintf(out, "\\%c", letters[at - escaped]);
    else if (c == (uint8_t)quote || c == '\\')
        fprintf(out, "\\%c", c);
    else if (c >= 0x20 && c < 0x7f)
        putc(c, out);
    else
        fprintf(out, "\\x%02x", c);
}

static void print_binary(FILE *out, uint64_t value, unsigned bits)
{
    while (bits-- > 0)
        putc('0' + (int)(value >> bits & 1), out);
}

/* Characters of one item, so that columns stand. */
static int item_width(const struct examine *examine)
{
    static const int unsigned_widths[] = {3, 5, 10, 20};
    unsigned order = (unsigned)__builtin_ctz(examine->size);

    switch (examine->format) {
    case 'x':
        return 2 + 2 * (int)examine->size;
    case 'o':
        return 1 + (int)(8 * examine->size + 2) / 3;
    case 't':
        return (int)(8 * examine->size);
    case 'd':
        return unsigned_widths[order] + (order < 3);
    case 'u':
        return unsigned_widths[order];
    default:
        return 1;
    }
}

static void print_item(FILE *out, const struct examine *examine, uint64_t value)
{
    int width = item_width(examine);
    unsigned unused = 64 - 8 * examine->size;

    switch (examine->format) {
    case 'x':
        fprintf(out, " 0x%0*" PRIx64, width - 2, value);
        break;
    case 'o':
        fprintf(out, " %0*" PRIo64, width, value);
        break;
    case 't':
        putc(' ', out);
        print_binary(out, value, 8 * examine->size);
        break;
    case 'd':
        fprintf(out, " %*" PRId64, width, (int64_t)(value << unused) >> unused);
        break;
    case 'u':
        fprintf(out, " %*" PRIu64, width, value);
        break;
    default:
        fputs(" '", out);
        print_char(out, (uint8_t)value, '\'');
        putc('\'', out);
        break;
    }
}

/* Bytes of a line. */
static unsigned line_bytes(const struct examine *examine)
{
    switch (examine->format) {
    case 't':
        return examine->size < 4 ? 4 : examine->size;
    case 'c':
    case 'd':
    case 'u':
        return examine->size == 1 ? 8 : 16;
    default:
        return 16;
    }
}

static void print_items(struct reader *reader, uint64_t addr, const struct examine *examine, FILE *out)
{
    unsigned in_line = line_bytes(examine) / examine->size;

    for (uint64_t i = 0; i < examine->count; i++, addr += examine->size) {
        uint64_t value;

        if (i % in_line == 0)
            fprintf(out, "%s%016" PRIx64 ":", i ? "\n" : "", addr);
        if (load(reader, addr, examine->size, &value))
            print_item(out, examine, value);
        else
            fprintf(out, " %*s", item_width(examine), "-");
    }
    putc('\n', out);
}

/* The address behind it, or 0 if it reaches the last one, or what is no memory. */
static uint64_t print_string(struct reader *reader, uint64_t addr, FILE *out)
{
    uint64_t byte = 0;
    unsigned len;

    fprintf(out, "%016" PRIx64 ": \"", addr);
    for (len = 0; len < EXAMINE_STRING_MAX; len++, addr++) {
        if (!load(reader, addr, 1, &byte)) {
            fputs("\" -\n", out);
            return 0;
        }
        if (!byte)
            break;
        print_char(out, (uint8_t)byte, '"');
        if (addr == UINT64_MAX)
            break;
    }
    fputs(len == EXAMINE_STRING_MAX ? "\"...\n" : "\"\n", out);
    return len == EXAMINE_STRING_MAX ? addr : addr + 1;
}

static void print_notes(const struct reader *reader, FILE *out)
{
    for (unsigned i = 0; i < reader->note_count; i++) {
        const struct note *note = &reader->notes[i];

        fprintf(out, "%016" PRIx64 "-%016" PRIx64 " not read: ", note->first, note->last);
        if (note->region)
            fprintf(out, "%s, a device\n", gmem_region_name(note->region));
        else
            fputs("nothing is there\n", out);
    }
    if (reader->more)
        fputs("and more that was not read\n", out);
}

int examine_print(const gmem_view *view, uint64_t addr, const struct examine *examine, FILE *out)
{
    struct reader reader = {.view = view};

    if (examine->format != 's' && examine->count * examine->size - 1 > UINT64_MAX - addr)
        return -ERANGE;
    if (examine->format == 's') {
        uint64_t i = 0;

        do
            addr = print_string(&reader, addr, out);
        while (addr && ++i < examine->count);
    } else {
        print_items(&reader, addr, examine, out);
    }
    print_notes(&reader, out);
    return 0;
}

void monitor_examine(struct monitor_call *call)
{
    const char *slash = strchr(call->words[0], '/');
    const char *format = slash, *wrong;
    int at = 1;
    struct examine examine;
    uint64_t addr;
    gmem_view *view;

    if (!format && call->words[1][0] == '/')
        format = call->words[at++];
    wrong = examine_parse(format ? format + 1 : "", &examine);
    if (slash)
        call->words[0][slash - call->words[0]] = '\0';
    if (wrong) {
        monitor_fail(call, "'%s': %s", format + 1, wrong);
    } else if (at + 1 != call->count) {
        monitor_fail(call, "it takes [/FMT] and one address");
    } else if (!monitor_number(call->words[at], &addr)) {
        monitor_fail(call, "'%s': not an address: a decimal number, or a hexadecimal one with 0x", call->words[at]);
    } else {
        view = gmem_space_view(machine_cpu_memory(call->machine));
        if (examine_print(view, addr, &examine, call->out))
            monitor_fail(call, "'%s': this goes past the last address", call->words[at]);
        gmem_view_unref(view);
    }
}
