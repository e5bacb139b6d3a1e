/* SPDX-License-Identifier: MIT */
/* pc/options.h - the command line of gmem-pc. */
#ifndef PC_OPTIONS_H
#define PC_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <gmem/kvm.h>

#include "hooks.h"

struct options {
    uint64_t memory;
    unsigned cpus;
    const char *firmware;
    bool vga;
    const char *vga_rom;
    enum gmem_kvm_policy policy;
    bool trace_slots, trace_pci;
    const char *trace_file; /* NULL: standard error */
    const char *until;      /* NULL: none */
    unsigned timeout;       /* seconds; 0: none */
    const char *map_out;    /* NULL: none */
    const char *serial;     /* NULL: no serial port */
    const char *screenshot; /* NULL: none */
    bool help, version;
};

/* Borrows from argv. -EINVAL with the reason in error. */
int options_parse(int argc, char **argv, struct options *options, struct pc_error *error)
    __attribute__((warn_unused_result));

void options_help(FILE *file);

#endif
