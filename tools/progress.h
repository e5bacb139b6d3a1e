/* SPDX-License-Identifier: MIT */
/*
 * What is being done, for a person who waits: a line on standard error, if that is a terminal, once it has taken a second. The
 * line is gone again in the end.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

/* From now on this is being done: "reading map.txt". NULL: nothing any more, before anything else is printed. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
