/* SPDX-License-Identifier: MIT */
/* pc/options.h - the command line of gmem-pc. */
#ifndef PC_OPTIONS_H
#define PC_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <gmem/kvm.h>

#include "backing.h"
#include "hooks.h"
#include "machine.h"

#define OPTIONS_PATH_MAX 4096u

struct options {
    uint64_t memory;
    unsigned dimm_slots; /* 0: nothing can be plugged in */
    uint64_t memory_max; /* with what can be plugged in */
    enum gmem_ram_backing backing;
    bool share, hugepages, prealloc;
    char backing_path[OPTIONS_PATH_MAX]; /* of GMEM_RAM_FILE */
    bool monitor;
    unsigned cpus;
    const char *firmware;
    bool vga;
    const char *vga_rom;
    enum pc_accel accel;
    bool smm, vapic;
    enum gmem_kvm_policy policy;
    bool trace_slots, trace_pci;
    const char *trace_file; /* NULL: standard error */
    const char *until;      /* NULL: none */
    unsigned timeout;       /* seconds; 0: none */
    const char *map_out;    /* NULL: none */
    const char *record;     /* NULL: none */
    const char *serial;     /* NULL: no serial port */
    const char *screenshot; /* NULL: none */
    bool help, version;
};

/* Borrows from argv. -EINVAL or -ENAMETOOLONG with the reason in error. */
int options_parse(int argc, char **argv, struct options *options, struct pc_error *error)
    __attribute__((warn_unused_result));

void options_help(FILE *file);

/* A number, or a number with K, M, G, T, P or E (and B or iB). -EINVAL: it is none; -ERANGE: 2^64 or more. */
int parse_size(const char *text, uint64_t *ret) __attribute__((warn_unused_result));

/* What --memory-backend asks for; *ret borrows from *options. Its progress is the caller's to set. */
void options_backing(const struct options *options, struct pc_backing *ret);

#endif
