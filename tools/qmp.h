/* SPDX-License-Identifier: MIT */
/*
 * Asking a running QEMU over its QMP socket (human-monitor-command), as its manual describes the protocol.
 */
#ifndef QMP_H
#define QMP_H

#include "source.h"

/*
 * `info mtree -o -D` and `info mtree -f -o` of the QEMU that listens at the Unix socket (or HOST:PORT), as two sources. The
 * machine is not stopped: both are asked for until two answers in a row are the same, five times at most. False: no socket,
 * no QMP, refused, or no answer in ten seconds.
 */
bool qmp_read(const char *address, struct source *ret_tree, struct source *ret_flat, struct problem *problem);

#endif
