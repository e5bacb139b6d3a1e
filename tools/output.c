/* SPDX-License-Identifier: MIT */
/*
 * Owns whether colours are used, set once from the command line. One thread.
 */
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "problem.h"
#include "utf8.h"

static bool colors;

void output_color(enum color_when when)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");

    colors = when == COLOR_ALWAYS ||
             (when == COLOR_AUTO && isatty(STDOUT_FILENO) && !(plain && *plain) && term && strcmp(term, "dumb") != 0);
}

const char *color(enum color color)
{
    static const char *const codes[] = {
        [COLOR_NONE] = "\033[0m",  [COLOR_ADDRESS] = "\033[36m", [COLOR_NAME] = "\033[1m",
        [COLOR_GOOD] = "\033[32m", [COLOR_BAD] = "\033[31m",     [COLOR_DIM] = "\033[2m",
        [COLOR_RAM] = "\033[34m",  [COLOR_ROM] = "\033[33m",     [COLOR_IO] = "\033[35m",
    };

    return colors ? codes[color] : "";
}

void json_string(FILE *out, const char *text)
{
    fputc('"', out);
    while (*text) {
        size_t length;
        uint32_t code = utf8_next(text, SIZE_MAX, &length);

        if (code == '"' || code == '\\')
            fprintf(out, "\\%c", *text);
        else if (code < ' ' || code == 0x7f || (code == UTF8_REPLACEMENT && length == 1))
            fprintf(out, "\\u%04x", (unsigned)code);
        else
            fwrite(text, 1, length, out);
        text += length;
    }
    fputc('"', out);
}

void json_address(FILE *out, uint64_t address)
{
    fprintf(out, "\"0x%" PRIx64 "\"", address);
}

const char *size_text(gmem_size size)
{
    static const char units[] = "\0KMGTPE";
    static char texts[4][32];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    unsigned unit = 0;
    uint64_t n = size.bytes;

    if (size.all)
        return "2^64 bytes";
    while (units[unit + 1] && n >= 1024 && n % 1024 == 0) {
        n /= 1024;
        unit++;
    }
    if (unit)
        snprintf(text, sizeof(texts[0]), "%" PRIu64 " %ciB", n, units[unit]);
    else
        snprintf(text, sizeof(texts[0]), "%" PRIu64 " byte%s", n, n == 1 ? "" : "s");
    return text;
}

/* Who read standard output reads no more. */
static bool nobody_reads(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO};

    return poll(&output, 1, 0) == 1 && output.revents & POLLERR;
}

int output_end(int status)
{
    bool before = ferror(stdout);

    errno = 0;
    if (fflush(stdout) == 0 && !before)
        return status;
    /* Who reads no more has seen enough: nothing to tell. Why an earlier write failed is not known any more. */
    if (nobody_reads())
        return EXIT_ASKED;
    fprintf(stderr, "%s: standard output: %s\n", problem_program(),
            before ? "not everything could be written" : strerror(errno));
    return EXIT_ASKED;
}
