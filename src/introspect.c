/* SPDX-License-Identifier: MIT */
/*
 * introspect.c - printing: the entry points, and what the four printers share.
 *
 * A document is made as a whole with the writer turn held, so that it shows one moment, and handed out after the turn was
 * given back: the caller's function may take as long as it likes, and edit. Only marks are asked for with the turn held; edits
 * are refused meanwhile, because a printer's position in the graph would not survive them.
 */
#include "introspect.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINT_FLAGS (GMEM_PRINT_DISABLED | GMEM_PRINT_OWNER | GMEM_PRINT_JSON | GMEM_PRINT_DISPATCH)

static bool text_room(struct gmem__text *text, size_t len)
{
    void *bytes = text->bytes;

    if (!text->err && len > SIZE_MAX - text->len)
        text->err = -ENOMEM;
    if (!text->err)
        text->err = gmem__grow(&bytes, &text->room, text->len + len, 1);
    text->bytes = bytes;
    return !text->err;
}

void gmem__text_add(struct gmem__text *text, const char *bytes, size_t len)
{
    if (len == 0 || !text_room(text, len))
        return;
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
}

void gmem__text_string(struct gmem__text *text, const char *string)
{
    gmem__text_add(text, string, strlen(string));
}

void gmem__text_format(struct gmem__text *text, const char *format, ...)
{
    char piece[256]; /* numbers and fixed text only; names go through gmem__text_string() */
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(piece, sizeof(piece), format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(piece))
        text->err = text->err ? text->err : -EOVERFLOW;
    else
        gmem__text_add(text, piece, (size_t)len);
}

static int compare_ids(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)((const struct gmem__id *)left)->region;
    uintptr_t b = (uintptr_t)((const struct gmem__id *)right)->region;

    return (a > b) - (a < b);
}

static int make_ids(struct gmem__print *print)
{
    struct gmem__link *link;
    size_t count = 0;

    for (link = print->vm->regions.next; link != &print->vm->regions; link = link->next)
        count++;
    print->ids = calloc(count ? count : 1, sizeof(*print->ids));
    if (!print->ids)
        return -ENOMEM;
    for (link = print->vm->regions.next; link != &print->vm->regions; link = link->next) {
        print->ids[print->id_count].region = GMEM__OF(link, gmem_region, vm_link);
        print->id_count++;
    }
    qsort(print->ids, print->id_count, sizeof(*print->ids), compare_ids);
    return 0;
}

struct gmem__id *gmem__id_of(struct gmem__print *print, const gmem_region *region)
{
    struct gmem__id key = {.region = region};

    return bsearch(&key, print->ids, print->id_count, sizeof(key), compare_ids);
}

static int compare_keys(const void *left, const void *right)
{
    const struct gmem__entry *a = left, *b = right;

    if (a->key != b->key)
        return (uintptr_t)a->key < (uintptr_t)b->key ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static int compare_groups(const void *left, const void *right)
{
    const struct gmem__entry *a = left, *b = right;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

int gmem__entries(struct gmem__print *print, gmem__key_fn *key, struct gmem__entry **ret_entries, size_t *ret_count)
{
    struct gmem__entry *entries = NULL;
    size_t count = 0, room = 0;
    struct gmem__link *link;

    for (link = print->vm->spaces.next; link != &print->vm->spaces; link = link->next) {
        gmem_space *space = GMEM__OF(link, gmem_space, vm_link);
        void *array = entries;
        int err;

        if (print->options.space && print->options.space != space)
            continue;
        err = gmem__grow(&array, &room, count + 1, sizeof(*entries));
        entries = array;
        if (err) {
            free(entries);
            return err;
        }
        entries[count] = (struct gmem__entry){space, key(space), count, count};
        count++;
    }
    if (count > 0) {
        qsort(entries, count, sizeof(*entries), compare_keys);
        for (size_t i = 1; i < count; i++) {
            if (entries[i].key == entries[i - 1].key)
                entries[i].group = entries[i - 1].group;
        }
        qsort(entries, count, sizeof(*entries), compare_groups);
    }
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

size_t gmem__entries_end(const struct gmem__entry *entries, size_t count, size_t index)
{
    size_t end = index + 1;

    while (end < count && entries[end].group == entries[index].group)
        end++;
    return end;
}

const void *gmem__key_view(const gmem_space *space)
{
    return space->shown->view;
}

const char *gmem_region_type(const gmem_region *region)
{
    while (region->p.target)
        region = region->p.target;
    switch (region->kind) {
    case GMEM_KIND_RAM:
    case GMEM_KIND_ROM:
        return region->p.attrs & GMEM_RANGE_READONLY ? "rom" : "ram";
    case GMEM_KIND_RAM_DEVICE:
        return "ramd";
    case GMEM_KIND_ROMD:
        return region->p.attrs & GMEM_RANGE_ROMD ? "romd" : "i/o";
    default:
        return "i/o";
    }
}

const char *gmem__section_type(const struct gmem_section *section)
{
    return section->attrs & GMEM_RANGE_READONLY ? "rom" : gmem_region_type(section->region);
}

const char *gmem__mark(struct gmem__print *print, const struct gmem_section *section)
{
    const char *mark;

    if (!print->options.mark)
        return "";
    print->vm->notifying = true;
    mark = print->options.mark(print->options.mark_opaque, section);
    print->vm->notifying = false;
    return mark ? mark : "";
}

typedef int printer(struct gmem__print *print);

static int print_document(gmem_vm *vm, const struct gmem_print_options *options, printer *text, printer *json,
                          gmem_print_fn *fn, void *opaque)
{
    struct gmem__print print = {.vm = vm};
    int err;

    if (!vm || !fn)
        return -EINVAL;
    if (options) {
        err = gmem__options_copy(&print.options, sizeof(print.options), options, options->struct_size);
        if (err)
            return err;
    }
    if (print.options.flags & ~PRINT_FLAGS || (print.options.space && print.options.space->vm != vm))
        return -EINVAL;
    err = gmem__turn_acquire(vm);
    if (err)
        return err;
    err = make_ids(&print);
    if (!err)
        err = print.options.flags & GMEM_PRINT_JSON ? json(&print) : text(&print);
    if (!err)
        err = print.text.err;
    gmem__turn_release(vm);
    if (!err && print.text.len > 0)
        err = fn(opaque, print.text.bytes, print.text.len);
    free(print.ids);
    free(print.text.bytes);
    return err;
}

int gmem_print_tree(gmem_vm *vm, const struct gmem_print_options *options, gmem_print_fn *fn, void *opaque)
{
    return print_document(vm, options, gmem__print_tree_text, gmem__print_tree_json, fn, opaque);
}

int gmem_print_flat(gmem_vm *vm, const struct gmem_print_options *options, gmem_print_fn *fn, void *opaque)
{
    return print_document(vm, options, gmem__print_flat_text, gmem__print_flat_json, fn, opaque);
}
