/* SPDX-License-Identifier: MIT */
/*
 * What a text is, by its content. Owns nothing. One thread.
 */
#include "source.h"

#include <string.h>

#include "dumptext.h"
#include "jsonscan.h"

static bool holds(const char *p, const char *end, const char *word)
{
    return p < end && memmem(p, (size_t)(end - p), word, strlen(word));
}

static enum source_kind line_kind(const struct dump_line *line, enum source_kind before)
{
    switch (line->kind) {
    case DUMP_SPACE:
    case DUMP_REGION:
        return SOURCE_MTREE;
    case DUMP_VIEW:
    case DUMP_FLATSPACE:
        return SOURCE_FLAT;
    case DUMP_RANGE:
        /* Below a bare name, as in the first releases; or its heading is missing, which is then said. */
        if (before != SOURCE_FLAT && holds(line->text, line->end, " (prio "))
            return SOURCE_MTREE;
        break;
    case DUMP_OTHER:
    case DUMP_SESSION:
    case DUMP_ASK_TREE:
    case DUMP_ASK_FLAT:
    case DUMP_BLANK:
        break;
    }
    if (before != SOURCE_FLAT && (holds(line->text, line->end, "kvm_set_user_memory") || //
                                  holds(line->text, line->end, "pci_cfg_write")))
        return SOURCE_TRACE;
    return before == SOURCE_EMPTY && line->kind != DUMP_BLANK ? SOURCE_UNKNOWN : before;
}

enum source_kind source_kind(const struct source *source)
{
    enum source_kind kind = SOURCE_EMPTY;
    struct dump_reader reader;
    struct dump_line line;

    if (source->text[strspn(source->text, " \t\r\n")] == '{')
        return jsonscan_member_is(source->text, source->size, "format", "gmem-recording") ? SOURCE_RECORDING
                                                                                          : SOURCE_JSON;
    dump_begin(&reader, source);
    while (kind != SOURCE_MTREE && kind != SOURCE_TRACE && dump_next(&reader, &line)) {
        kind = line_kind(&line, kind);
        /* A tree may follow a flat dump, however long that is. */
        if (kind == SOURCE_UNKNOWN && (size_t)(reader.lines.next - source->text) > SOURCE_KIND_MAX)
            break;
    }
    dump_end(&reader);
    return kind;
}

bool source_refuse(const struct source *source, struct problem *problem)
{
    struct dump_reader reader;
    struct dump_line line;
    size_t number = 0;
    char shown[61] = "";

    dump_begin(&reader, source);
    while (!number && dump_next(&reader, &line))
        if (line.kind != DUMP_BLANK) {
            size_t length = (size_t)(line.end - line.text);

            number = line.number;
            length = length < sizeof(shown) - 1 ? length : sizeof(shown) - 1;
            memcpy(shown, line.text, length);
            shown[length] = '\0';
        }
    dump_end(&reader);
    if (!number)
        return problem_at(problem, source->name, 0,
                          "it is empty: give what `info mtree` printed, the JSON of gmem, a trace or a recording");
    return problem_at(problem, source->name, number,
                      "neither `info mtree` (\"address-space: NAME\" and regions below it), the JSON of gmem, a trace "
                      "(kvm_set_user_memory) nor a recording of gmem-pc: %s",
                      shown);
}
