/* SPDX-License-Identifier: MIT */
/* pc/monitor_examine.h - showing memory: what is asked for, and its text. */
#ifndef PC_MONITOR_EXAMINE_H
#define PC_MONITOR_EXAMINE_H

#include <gmem/gmem.h>

#include <stdio.h>

#define EXAMINE_BYTES_MAX (UINT64_C(1) << 20) /* that one command shows */
#define EXAMINE_STRING_MAX 1024u              /* bytes of one string */
#define EXAMINE_STRINGS_MAX 1024u

struct examine {
    uint64_t count;
    char format;   /* x d u o t c s */
    unsigned size; /* 1, 2, 4, 8 */
};

/* Read a format (what stands behind the /). NULL, or what is wrong with it. */
const char *examine_parse(const char *text, struct examine *ret);

/*
 * Show what view has from addr on, lowest byte first. Memory alone is read. -ERANGE: it would go past the last address;
 * nothing was printed.
 */
int examine_print(const gmem_view *view, uint64_t addr, const struct examine *examine, FILE *out);

#endif
