/* SPDX-License-Identifier: MIT */
/*
 * Owns nothing. One thread.
 */
#include "slotcall.h"

#include <inttypes.h>
#include <linux/kvm.h>

#include "output.h"

struct bytes_text bytes_text(uint64_t bytes)
{
    static const char units[] = "KMGTPE";
    struct bytes_text text;
    double value = (double)bytes;
    unsigned unit = 0;

    if (bytes < 1024) {
        snprintf(text.text, sizeof(text.text), "%" PRIu64, bytes);
        return text;
    }
    for (value /= 1024; value >= 1023.5 && units[unit + 1]; value /= 1024)
        unit++;
    snprintf(text.text, sizeof(text.text), "%.*f %ciB",
             value < 9.9995   ? 3
             : value < 99.995 ? 2
             : value < 999.95 ? 1
                              : 0,
             value, units[unit]);
    for (char *dot = text.text; *dot; dot++) /* no zeros at the end of the fraction */
        if (*dot == '.') {
            char *end = dot;

            for (char *c = dot + 1; *c != ' '; c++)
                if (*c != '0')
                    end = c + 1;
            snprintf(end, (size_t)(text.text + sizeof(text.text) - end), " %ciB", units[unit]);
            break;
        }
    return text;
}

void slot_call_print(FILE *out, const struct trace_event *event, uint64_t size)
{
    fprintf(out, "%s%-6s%s slot %-3u", color(event->size ? COLOR_GOOD : COLOR_BAD), event->size ? "add" : "remove",
            color(COLOR_NONE), event->slot);
    if (event->as_id)
        fprintf(out, " as_id %u", event->as_id);
    fprintf(out, " %s%016" PRIx64 "-%016" PRIx64 "%s", color(COLOR_ADDRESS), event->gpa, event->gpa + (size - 1),
            color(COLOR_NONE));
    if (event->size)
        fprintf(out, " %s%s", event->flags & (uint32_t)KVM_MEM_READONLY ? "read-only" : "read-write",
                event->flags & (uint32_t)KVM_MEM_LOG_DIRTY_PAGES ? ", logged" : "");
    fprintf(out, " %s\n", bytes_text(size).text);
}

void slot_call_json(FILE *out, const struct trace_event *event, uint64_t size)
{
    fprintf(out, "{\"call\": \"%s\", \"as_id\": %u, \"slot\": %u, \"flags\": %" PRIu32 ", \"gpa\": ",
            event->size ? "add" : "remove", event->as_id, event->slot, event->flags);
    json_address(out, event->gpa);
    fputs(", \"size\": ", out);
    json_address(out, size);
    fputc('}', out);
}
