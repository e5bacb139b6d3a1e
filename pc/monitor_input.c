/* SPDX-License-Identifier: MIT */
/* pc/monitor_input.c - bytes from outside, cut into lines and words. No state but the caller's, nothing is allocated. */
#include "monitor_input.h"

#include <string.h>

static enum monitor_line end_line(struct monitor_input *input)
{
    bool nul = input->nul, too_long = input->len > MONITOR_LINE_MAX;

    if (!too_long)
        input->text[input->len] = '\0';
    input->len = 0;
    input->nul = false;
    if (too_long)
        return MONITOR_LINE_LONG;
    return nul ? MONITOR_LINE_BYTES : MONITOR_LINE_GOOD;
}

enum monitor_line monitor_input_take(struct monitor_input *input, const char *bytes, size_t count, size_t *ret_used)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n') {
            *ret_used = i + 1;
            return end_line(input);
        }
        input->nul = input->nul || !bytes[i];
        if (input->len < MONITOR_LINE_MAX)
            input->text[input->len] = bytes[i];
        if (input->len <= MONITOR_LINE_MAX)
            input->len++;
    }
    *ret_used = count;
    return MONITOR_LINE_NONE;
}

enum monitor_line monitor_input_end(struct monitor_input *input)
{
    return input->len ? end_line(input) : MONITOR_LINE_NONE;
}

int monitor_words(char *text, char **words, int max)
{
    static const char blanks[] = " \t\r\v\f";
    int count = 0;

    for (;;) {
        char end;

        text += strspn(text, blanks);
        if (!*text)
            return count;
        if (count == max)
            return -1;
        if (*text == '"') {
            words[count++] = ++text;
            text = strchr(text, '"');
            if (!text)
                return -1;
        } else {
            words[count++] = text;
            text += strcspn(text, blanks);
        }
        end = *text;
        *text = '\0';
        if (!end)
            return count;
        text++;
    }
}
