/* SPDX-License-Identifier: MIT */
/*
 * Owns its tables until viewdata_free(). One thread.
 *
 * Row r of id i holds from the step that it is added with until a later step adds another row of i or says that i is gone.
 */
#include "viewdata.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* Pairs of siblings that are looked at to find which ranks matter; larger families keep their plain order. */
#define FAMILY_MAX 200

struct texts {
    struct {
        char *bytes;
        size_t length;
    } * all;
    size_t n;
    size_t *table; /* by hash, open addressing: index + 1, 0 is free */
    size_t room;   /* a power of two */
};

static size_t hash(const char *bytes, size_t length)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32);
}

static size_t *texts_slot(const struct texts *texts, const char *bytes, size_t length)
{
    size_t at = hash(bytes, length);

    for (;; at++) {
        size_t *slot = &texts->table[at & (texts->room - 1)];

        if (!*slot ||
            (texts->all[*slot - 1].length == length && memcmp(texts->all[*slot - 1].bytes, bytes, length) == 0))
            return slot;
    }
}

static int32_t texts_add(struct texts **ret, const char *bytes, size_t length)
{
    struct texts *texts = *ret;
    size_t *slot;

    if (!texts)
        texts = *ret = alloc_zeroed(1, sizeof(*texts));
    if (2 * texts->n >= texts->room) {
        free(texts->table);
        texts->room = texts->room ? 2 * texts->room : 64;
        texts->table = alloc_zeroed(texts->room, sizeof(*texts->table));
        for (size_t i = 0; i < texts->n; i++)
            *texts_slot(texts, texts->all[i].bytes, texts->all[i].length) = i + 1;
    }
    slot = texts_slot(texts, bytes, length);
    if (!*slot) {
        alloc_grow(&texts->all, texts->n, sizeof(*texts->all));
        texts->all[texts->n].bytes = alloc_bytes(bytes, length);
        texts->all[texts->n].length = length;
        *slot = ++texts->n;
    }
    return (int32_t)(*slot - 1);
}

size_t texts_count(const struct texts *texts)
{
    return texts ? texts->n : 0;
}

const char *texts_at(const struct texts *texts, size_t index, size_t *ret_length)
{
    *ret_length = texts->all[index].length;
    return texts->all[index].bytes;
}

static void texts_free(struct texts *texts)
{
    for (size_t i = 0; texts && i < texts->n; i++)
        free(texts->all[i].bytes);
    if (texts) {
        free(texts->all);
        free(texts->table);
    }
    free(texts);
}

static int32_t text_of(struct view_data *data, const char *text)
{
    return text ? texts_add(&data->texts, text, strlen(text)) : -1;
}

/* The number that the page knows a region by. */
static int32_t id_of(struct view_data *data, const uint64_t *ids, size_t index)
{
    uint64_t key = ids ? ids[index] : index;
    int32_t id = texts_add(&data->ids, (const char *)&key, sizeof(key));

    if ((size_t)id == data->n_ids) {
        size_t n = data->n_ids++;

        alloc_grow(&data->current, n, sizeof(*data->current));
        alloc_grow(&data->seen, n, sizeof(*data->seen));
        data->current[n] = -1;
        data->seen[n] = 0;
    }
    return id;
}

static int by_family(const void *a, const void *b, void *opaque)
{
    const struct topology *topology = opaque;
    const struct topo_region *x = &topology->regions[*(const size_t *)a], *y = &topology->regions[*(const size_t *)b];

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static bool overlap(const struct topo_region *a, const struct topo_region *b)
{
    const struct topo_region *low = a->offset <= b->offset ? a : b, *high = low == a ? b : a;

    return low->size.all || high->offset - low->offset < low->size.bytes;
}

/*
 * Ranks that say no more than they must: a region's is one more than the highest of those that it overlaps and that win
 * over it. A region that comes or goes then changes no sibling that it does not touch.
 */
static int32_t *ranks_of(const struct topology *topology)
{
    size_t n = topology->n_regions, *order = alloc_zeroed(n, sizeof(*order));
    int32_t *ranks = alloc_zeroed(n, sizeof(*ranks));

    for (size_t i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, n, sizeof(*order), by_family, (void *)(uintptr_t)topology);
    for (size_t begin = 0, end; begin < n; begin = end) {
        const struct topo_region *first = &topology->regions[order[begin]];

        for (end = begin + 1; end < n && topology->regions[order[end]].parent == first->parent &&
                              topology->regions[order[end]].priority == first->priority;
             end++)
            ;
        for (size_t i = begin; first->parent != NOWHERE && i < end; i++) {
            if (end - begin > FAMILY_MAX)
                ranks[order[i]] = (int32_t)(i - begin);
            for (size_t k = begin; end - begin <= FAMILY_MAX && k < i; k++)
                if (ranks[order[k]] >= ranks[order[i]] &&
                    overlap(&topology->regions[order[i]], &topology->regions[order[k]]))
                    ranks[order[i]] = ranks[order[k]] + 1;
        }
    }
    free(order);
    return ranks;
}

static struct view_row row_of(struct view_data *data, const struct topology *topology, const uint64_t *ids,
                              size_t index)
{
    const struct topo_region *region = &topology->regions[index];
    struct view_row row;

    memset(&row, 0, sizeof(row)); /* rows are compared byte for byte */
    row.id = id_of(data, ids, index);
    row.parent = region->parent == NOWHERE ? -1 : id_of(data, ids, region->parent);
    row.target = region->kind != GMEM_KIND_ALIAS || region->target == NOWHERE ? -1 : id_of(data, ids, region->target);
    row.name = text_of(data, region->name);
    row.owner = text_of(data, region->owner);
    row.ram = text_of(data, region->ram);
    row.kind = (int32_t)region->kind;
    row.flags = (region->enabled ? VIEW_ENABLED : 0) |
                (region->readonly || region->kind == GMEM_KIND_ROM ? VIEW_READONLY : 0) |
                (region->nonvolatile ? VIEW_NONVOLATILE : 0) | (region->romd ? VIEW_ROMD : 0) |
                (region->implied ? VIEW_IMPLIED : 0);
    row.priority = region->priority;
    row.line = (int32_t)region->line;
    row.offset = region->offset;
    row.last = region->size.all ? UINT64_MAX : region->size.bytes - 1;
    row.target_offset = row.target < 0 ? 0 : region->target_offset;
    return row;
}

static bool spaces_same(const struct view_data *data, const struct view_space *spaces, size_t n)
{
    for (size_t i = data->n_steps; i-- > 0;)
        if (!data->steps[i].same_spaces)
            return data->steps[i].n_spaces == n &&
                   (n == 0 || memcmp(&data->spaces[data->steps[i].first_space], spaces, n * sizeof(*spaces)) == 0);
    return false;
}

static void add_spaces(struct view_data *data, struct view_step *step, const struct topology *topology,
                       const uint64_t *ids)
{
    struct view_space *spaces = alloc_zeroed(topology->n_spaces, sizeof(*spaces));

    for (size_t i = 0; i < topology->n_spaces; i++) {
        const struct topo_space *space = &topology->spaces[i];

        spaces[i] = (struct view_space){.name = text_of(data, space->name),
                                        .root = space->root == NOWHERE ? -1 : id_of(data, ids, space->root),
                                        .line = (int32_t)space->line};
    }
    step->same_spaces = spaces_same(data, spaces, topology->n_spaces);
    step->first_space = data->n_spaces;
    for (size_t i = 0; !step->same_spaces && i < topology->n_spaces; i++) {
        alloc_grow(&data->spaces, data->n_spaces, sizeof(*data->spaces));
        data->spaces[data->n_spaces++] = spaces[i];
    }
    step->n_spaces = data->n_spaces - step->first_space;
    free(spaces);
}

void viewdata_add(struct view_data *data, const struct topology *topology, const uint64_t *ids)
{
    struct view_step step = {.first_row = data->n_rows, .first_gone = data->n_gone};
    int32_t *ranks = ranks_of(topology), now = (int32_t)data->n_steps + 1;

    for (size_t i = 0; i < topology->n_regions; i++)
        id_of(data, ids, i); /* in the topology's order: a page without steps knows regions by the topology's index */
    for (size_t i = 0; i < topology->n_regions; i++) {
        struct view_row row = row_of(data, topology, ids, i);

        row.rank = ranks[i];
        data->seen[row.id] = now;
        if (data->current[row.id] >= 0 && memcmp(&data->rows[data->current[row.id]], &row, sizeof(row)) == 0)
            continue;
        data->current[row.id] = (int32_t)data->n_rows;
        alloc_grow(&data->rows, data->n_rows, sizeof(row));
        data->rows[data->n_rows++] = row;
    }
    free(ranks);
    for (size_t id = 0; id < data->n_ids; id++)
        if (data->current[id] >= 0 && data->seen[id] != now) {
            data->current[id] = -1;
            alloc_grow(&data->gone, data->n_gone, sizeof(*data->gone));
            data->gone[data->n_gone++] = (int32_t)id;
        }
    step.n_rows = data->n_rows - step.first_row;
    step.n_gone = data->n_gone - step.first_gone;
    add_spaces(data, &step, topology, ids);
    alloc_grow(&data->steps, data->n_steps, sizeof(step));
    data->steps[data->n_steps++] = step;
}

void viewdata_free(struct view_data *data)
{
    texts_free(data->texts);
    texts_free(data->ids);
    free(data->rows);
    free(data->gone);
    free(data->spaces);
    free(data->steps);
    free(data->current);
    free(data->seen);
    *data = (struct view_data){0};
}
