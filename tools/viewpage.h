/* SPDX-License-Identifier: MIT */
/*
 * The HTML viewer (tools/view/), which scripts/embed-view puts into the program: what of the page comes before a machine's
 * data, and what behind it.
 */
#ifndef VIEWPAGE_H
#define VIEWPAGE_H

#include <stddef.h>

extern const unsigned char view_page_head[];
extern const size_t view_page_head_size;
extern const unsigned char view_page_tail[];
extern const size_t view_page_tail_size;

#endif
