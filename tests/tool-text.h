/* SPDX-License-Identifier: MIT */
/*
 * tool-text.h - giving text to the readers of the gmem command, from memory and from tests/data, and growing text to compare.
 */
#ifndef GMEM_TESTS_TOOL_TEXT_H
#define GMEM_TESTS_TOOL_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc.h"
#include "source.h"

/* A source over bytes, to be freed with source_free(). */
static inline struct source text_source(const char *bytes, size_t size)
{
    return (struct source){.name = alloc_text("dump.txt"), .text = alloc_bytes(bytes, size), .size = size};
}

static inline struct source file_source(const char *path)
{
    struct source source;
    struct problem problem;

    if (!source_read(path, &source, &problem))
        fail_msg("%s", problem.text);
    return source;
}

static inline struct source data_source(const char *name)
{
    const char *data = getenv("GMEM_TEST_DATA");
    char path[4096];

    assert_non_null(data);
    snprintf(path, sizeof(path), "%s/%s", data, name);
    return file_source(path);
}

struct grown {
    char *text;
    size_t size, room;
};

__attribute__((format(printf, 2, 3))) static inline void grow(struct grown *grown, const char *format, ...)
{
    va_list args, again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert_true(n >= 0);
    if (grown->size + (size_t)n + 1 > grown->room) {
        grown->room = 2 * grown->room + (size_t)n + 1;
        grown->text = alloc_again(grown->text, grown->room);
    }
    vsnprintf(grown->text + grown->size, (size_t)n + 1, format, args);
    va_end(args);
    grown->size += (size_t)n;
}

static inline void same_text(const char *name, const struct source *source, const struct grown *grown)
{
    if (grown->size == source->size && memcmp(grown->text, source->text, grown->size) == 0)
        return;
    for (size_t i = 0, line = 1;; line += i < source->size && source->text[i] == '\n', i++)
        if (i >= source->size || i >= grown->size || source->text[i] != grown->text[i])
            fail_msg("%s:%zu: printed again it is another text: %.120s", name, line,
                     i < grown->size ? grown->text + i : "(end)");
}

/* The machines of tests/data, and those that the program was given. */
__attribute__((unused)) static const char *const machines[] = {
    "aarch64-raspi3b",
    "arm-versatilepb",
    "m68k-q800",
    "microblaze-petalogix-ml605",
    "mips-malta",
    "or1k-virt",
    "ppc-40p",
    "ppc-g3beige",
    "riscv64-sifive_u",
    "riscv64-virt",
    "s390x-s390-ccw-virtio-7.2",
    "sparc-SS-5",
    "x86_64-base-pc-kvm-1G-std-bios",
    "x86_64-base-pc-kvm-1G-std-reset",
    "x86_64-base-pc-kvm-4G-cirrus-bios",
    "x86_64-base-q35-kvm-1G-std-bios",
};

/* A bad text: what its refusal says (up to a 0), and of which line. */
struct bad_text {
    const char *text;
    const char *says;
};

#endif
