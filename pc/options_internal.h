/* SPDX-License-Identifier: MIT */
/* pc/options_internal.h - shared by options.c and options_memory.c. */
#ifndef PC_OPTIONS_INTERNAL_H
#define PC_OPTIONS_INTERNAL_H

#include "options.h"

/* The options of one name. On failure *options may be half changed. */
int parse_memory(const char *text, struct options *options, struct pc_error *error) __attribute__((warn_unused_result));
int parse_backend(const char *text, struct options *options, struct pc_error *error)
    __attribute__((warn_unused_result));

#endif
