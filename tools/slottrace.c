/* SPDX-License-Identifier: MIT */
/*
 * Owns what it makes of the text until slottrace_free(). One thread.
 */
#include "slottrace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* What is left of a line. */
struct text {
    const char *p;
    const char *end;
};

static bool take(struct text *text, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(text->end - text->p) < n || memcmp(text->p, word, n) != 0)
        return false;
    text->p += n;
    return true;
}

static void skip_blanks(struct text *text)
{
    while (text->p < text->end && (*text->p == ' ' || *text->p == '\t'))
        text->p++;
}

static bool at_end_of_word(const struct text *text)
{
    return text->p == text->end || *text->p == ' ' || *text->p == '\t';
}

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 16;
}

/* Decimal, or hexadecimal behind 0x; up to limit. */
static bool take_number(struct text *text, uint64_t limit, uint64_t *ret)
{
    unsigned base = take(text, "0x") ? 16 : 10;
    const char *begin = text->p;
    uint64_t value = 0;

    for (; text->p < text->end && digit_of(*text->p) < base; text->p++) {
        unsigned digit = digit_of(*text->p);

        if (value > (limit - digit) / base || digit > limit)
            return false;
        value = value * base + digit;
    }
    *ret = value;
    return text->p > begin;
}

/* --- what comes before an event --- */

/* "SECONDS.MICROSECONDS" behind the process's "@"; the fraction may have up to nine digits. */
static bool time_of(struct text prefix, uint64_t *ret_ns)
{
    const char *at = memchr(prefix.p, '@', (size_t)(prefix.end - prefix.p));
    uint64_t seconds, fraction = 0, unit = 1000000000;

    if (!at)
        return false;
    prefix.p = at + 1;
    if (!take_number(&prefix, UINT64_MAX / 1000000000 - 1, &seconds) || !take(&prefix, "."))
        return false;
    for (; prefix.p < prefix.end && digit_of(*prefix.p) < 10 && unit > 1; prefix.p++) {
        unit /= 10;
        fraction += digit_of(*prefix.p) * unit;
    }
    *ret_ns = seconds * 1000000000 + fraction;
    return true;
}

/* The time and process that a line may begin with: what has no letters but those of a time. */
static struct text take_prefix(struct text *line)
{
    struct text prefix = {line->p, line->p};

    while (line->p < line->end && strchr("0123456789.@:+-,[]TZ \t", *line->p) && *line->p)
        line->p++;
    prefix.end = line->p;
    return prefix;
}

/* --- the two events --- */

enum member { SLOT, FLAGS, GPA, SIZE, UA, RET, AS, MEMBERS };

static const struct {
    const char *text;
    uint64_t limit;
} members[MEMBERS] = {
    [SLOT] = {"Slot#", UINT32_MAX},    [FLAGS] = {"flags=", UINT32_MAX}, [GPA] = {"gpa=", UINT64_MAX},
    [SIZE] = {"size=", UINT64_MAX},    [UA] = {"ua=", UINT64_MAX},       [RET] = {"ret=", INT64_MAX},
    [AS] = {"AddrSpace#", UINT16_MAX},
};

/* "name=value" of a name that is not known. */
static bool pass_over(struct text *text)
{
    const char *begin = text->p;
    bool named = false;

    for (; !at_end_of_word(text); text->p++)
        named |= *text->p == '=' && text->p > begin;
    return named;
}

static bool take_member(struct text *text, uint64_t *values, bool *given)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        bool negative;

        if (!take(text, members[i].text))
            continue;
        negative = i == RET && take(text, "-");
        if (given[i] || !take_number(text, members[i].limit, &values[i]) || !at_end_of_word(text))
            return false;
        if (negative)
            values[i] = 0 - values[i];
        given[i] = true;
        return true;
    }
    return pass_over(text);
}

static bool parse_slot(struct text text, struct trace_event *event)
{
    uint64_t values[MEMBERS] = {0};
    bool given[MEMBERS] = {false};

    event->kind = TRACE_SLOT;
    for (skip_blanks(&text); text.p < text.end; skip_blanks(&text))
        if (!take_member(&text, values, given))
            return false;
    for (size_t i = 0; i < MEMBERS; i++)
        if (!given[i] && i != AS)
            return false;
    if (given[AS] && values[SLOT] > UINT16_MAX)
        return false;
    event->as_id = (uint16_t)(given[AS] ? values[AS] : values[SLOT] >> 16);
    event->slot = (uint16_t)values[SLOT];
    event->flags = (uint32_t)values[FLAGS];
    event->gpa = values[GPA];
    event->size = values[SIZE];
    event->ua = values[UA];
    event->result = (int64_t)values[RET];
    return true;
}

/* "DEVICE @0xOFFSET <- 0xVALUE"; of "@"s the last one, since names are anything. */
static bool parse_config(struct text text, struct trace_event *event)
{
    struct text rest = text;
    uint64_t offset;

    event->kind = TRACE_CONFIG;
    skip_blanks(&text);
    for (rest.p = text.end; rest.p > text.p; rest.p--)
        if (rest.p[-1] == '@')
            break;
    if (rest.p < text.p + 3 || rest.p[-2] != ' ')
        return false;
    text.end = rest.p - 2;
    if (!take_number(&rest, UINT32_MAX, &offset) || !take(&rest, " <- ") ||
        !take_number(&rest, UINT64_MAX, &event->value) || !at_end_of_word(&rest))
        return false;
    event->offset = (uint32_t)offset;
    event->device = alloc_bytes(text.p, (size_t)(text.end - text.p));
    for (char *c = event->device; c < event->device + (text.end - text.p); c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return true;
}

/* False: neither of the events. */
static bool take_event(struct text *line, struct trace_event *event,
                       bool (**ret_parse)(struct text, struct trace_event *))
{
    struct text prefix = take_prefix(line);

    event->has_time = time_of(prefix, &event->time_ns);
    *ret_parse = take(line, "kvm_set_user_memory") ? parse_slot : take(line, "pci_cfg_write") ? parse_config : NULL;
    return *ret_parse && at_end_of_word(line);
}

/* --- where commits begin --- */

static bool goes_on(const struct trace_event *a, const struct trace_event *b)
{
    if (a->as_id != b->as_id)
        return a->as_id < b->as_id;
    if (!a->size != !b->size)
        return !a->size;
    return a->gpa < b->gpa;
}

static int by_number(const void *a, const void *b)
{
    const struct trace_event *x = *(const struct trace_event *const *)a, *y = *(const struct trace_event *const *)b;

    if (x->as_id != y->as_id)
        return x->as_id < y->as_id ? -1 : 1;
    if (x->slot != y->slot)
        return x->slot < y->slot ? -1 : 1;
    return x < y ? -1 : x > y;
}

size_t *slottrace_makers(const struct slot_trace *trace)
{
    const struct trace_event **calls = alloc_zeroed(trace->n_events, sizeof(*calls));
    size_t *made = alloc_zeroed(trace->n_events, sizeof(*made)), n = 0, last = SIZE_MAX;

    for (size_t i = 0; i < trace->n_events; i++) {
        made[i] = SIZE_MAX;
        if (trace->events[i].kind == TRACE_SLOT && trace->events[i].result >= 0)
            calls[n++] = &trace->events[i];
    }
    qsort(calls, n, sizeof(*calls), by_number);
    for (size_t i = 0; i < n; i++) {
        size_t index = (size_t)(calls[i] - trace->events);

        if (i && (calls[i - 1]->as_id != calls[i]->as_id || calls[i - 1]->slot != calls[i]->slot))
            last = SIZE_MAX;
        if (!calls[i]->size)
            made[index] = last;
        last = calls[i]->size ? index : SIZE_MAX;
    }
    free(calls);
    return made;
}

static bool same_slot(const struct trace_event *a, const struct trace_event *b)
{
    return a->as_id == b->as_id && a->gpa == b->gpa && a->size == b->size && a->ua == b->ua && a->flags == b->flags;
}

static void find_commits(struct slot_trace *trace)
{
    size_t *made = slottrace_makers(trace), gone = 0;

    for (size_t i = 0; i < trace->n_events; i++) {
        struct trace_event *event = &trace->events[i];
        const struct trace_event *before = i ? &trace->events[i - 1] : NULL;

        if (event->kind != TRACE_SLOT)
            continue;
        event->begins = !before || before->kind != TRACE_SLOT || !goes_on(before, event);
        if (event->begins)
            gone = i;
        /* What was removed rises as what is added does: none of it is looked at twice. */
        for (; event->size && gone < i; gone++) {
            const struct trace_event *removed = &trace->events[gone];

            if (removed->as_id > event->as_id || (removed->as_id == event->as_id && removed->gpa > event->gpa))
                break;
            if (!removed->size && made[gone] != SIZE_MAX && same_slot(&trace->events[made[gone]], event)) {
                event->begins = true;
                gone = i;
                break;
            }
        }
    }
    free(made);
}

size_t slottrace_commit_end(const struct slot_trace *trace, size_t first)
{
    size_t end = first + 1;

    while (end < trace->n_events && trace->events[end].kind == TRACE_SLOT && !trace->events[end].begins)
        end++;
    return end;
}

bool slottrace_parse(const struct source *source, struct slot_trace *trace, struct problem *problem)
{
    struct lines lines;
    const char *line;
    size_t length;

    *trace = (struct slot_trace){.source = alloc_text(source->name)};
    lines_begin(&lines, source->text, source->size);
    while (lines_next(&lines, &line, &length)) {
        struct text text = {line, line + length};
        struct trace_event event = {.line = lines.number};
        bool (*parse)(struct text, struct trace_event *);

        if (!take_event(&text, &event, &parse)) {
            skip_blanks(&text);
            trace->skipped += text.p < text.end;
            continue;
        }
        if (!parse(text, &event)) {
            problem_at(problem, source->name, lines.number, "not a complete line of the event: %.*s",
                       (int)(length < 200 ? length : 200), line);
            slottrace_free(trace);
            return false;
        }
        alloc_grow(&trace->events, trace->n_events, sizeof(*trace->events));
        trace->events[trace->n_events++] = event;
    }
    find_commits(trace);
    if (trace->n_events)
        return true;
    problem_at(problem, source->name, 0,
               "no event kvm_set_user_memory or pci_cfg_write in it: trace with -trace "
               "kvm_set_user_memory -trace pci_cfg_write");
    slottrace_free(trace);
    return false;
}

char *slottrace_config_text(const struct trace_event *event)
{
    return alloc_format("pci_cfg_write %s @0x%" PRIx32 " <- 0x%" PRIx64, event->device, event->offset, event->value);
}

void slottrace_free(struct slot_trace *trace)
{
    for (size_t i = 0; i < trace->n_events; i++)
        free(trace->events[i].device);
    free(trace->events);
    free(trace->source);
    *trace = (struct slot_trace){0};
}
