/* SPDX-License-Identifier: MIT */
/*
 * Owns an axis' pieces until axis_free(). One thread.
 *
 * More segments than there is room for: a cut is kept where sizes on its two sides differ most. What is alike (a thousand
 * pages in a row) then becomes one piece, and the RAM next to it stays apart.
 */
#include "axis.h"

#include <math.h>
#include <stdlib.h>

#include "alloc.h"

#define GAP_WANT 44 /* pixels: room for a size */

struct cut {
    uint64_t at; /* the address that begins there */
    int covers;  /* how many more cover from there on */
};

static int by_address(const void *a, const void *b)
{
    const struct cut *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double size_of(const struct axis_piece *piece)
{
    return (double)(piece->last - piece->first) + 1;
}

/* One piece for each stretch between two neighbouring cuts. */
static void segments(const struct axis_span *spans, size_t n, uint64_t first, uint64_t last, struct axis *axis)
{
    struct cut *cuts = alloc_zeroed(2 * n + 1, sizeof(*cuts));
    size_t n_cuts = 1;
    long covering = 0;

    cuts[0].at = first;
    for (size_t i = 0; i < n; i++) {
        const struct axis_span *span = &spans[i];

        if (span->last < first || span->first > last)
            continue;
        cuts[n_cuts++] = (struct cut){span->first < first ? first : span->first, span->covers};
        if (span->last < last)
            cuts[n_cuts++] = (struct cut){span->last + 1, -(int)span->covers};
    }
    qsort(cuts, n_cuts, sizeof(*cuts), by_address);
    axis->pieces = alloc_zeroed(n_cuts, sizeof(*axis->pieces));
    axis->n = 0;
    for (size_t i = 0; i < n_cuts; i++) {
        covering += cuts[i].covers;
        if (i + 1 < n_cuts && cuts[i + 1].at == cuts[i].at)
            continue;
        axis->pieces[axis->n++] = (struct axis_piece){.first = cuts[i].at,
                                                      .last = i + 1 < n_cuts ? cuts[i + 1].at - 1 : last,
                                                      .segments = 1,
                                                      .gap = covering == 0};
    }
    free(cuts);
}

static double contrast(const struct axis_piece *piece)
{
    return fabs(log2(size_of(piece)) - log2(size_of(piece + 1)));
}

/* At most limit pieces. Of cuts that are as good as each other all are kept or none. */
static void coarsen(struct axis *axis, size_t limit)
{
    double *values, least;
    size_t n = 1;

    if (axis->n <= limit)
        return;
    values = alloc_zeroed(axis->n - 1, sizeof(*values));
    for (size_t i = 0; i + 1 < axis->n; i++)
        values[i] = contrast(&axis->pieces[i]);
    qsort(values, axis->n - 1, sizeof(*values), by_value);
    least = values[axis->n - 1 - limit];
    free(values);
    for (size_t i = 1; i < axis->n; i++) {
        bool kept = contrast(&axis->pieces[i - 1]) > least;
        struct axis_piece next = axis->pieces[i], *piece = &axis->pieces[n - 1];

        /* The size of what was merged must not count: the contrast is that of neighbours. */
        if (kept) {
            axis->pieces[n++] = next;
        } else {
            piece->last = next.last;
            piece->segments += next.segments;
            piece->gap = false;
        }
    }
    axis->n = n;
}

/* Give pieces first to last room more, as much to each. */
static void widen(struct axis *axis, size_t first, size_t last, double room)
{
    for (size_t i = first; i <= last; i++)
        axis->pieces[i].width += room / (double)(last - first + 1);
}

static int urgency(const void *a, const void *b)
{
    const struct axis_span *x = *(const struct axis_span *const *)a, *y = *(const struct axis_span *const *)b;
    double of_x = x->want - 4 * log2((double)(x->last - x->first) + 1),
           of_y = y->want - 4 * log2((double)(y->last - y->first) + 1);

    if (of_x != of_y)
        return of_x < of_y ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static const struct axis_span **by_urgency(const struct axis_span *spans, size_t n, size_t *ret_n)
{
    const struct axis_span **wanting = alloc_zeroed(n, sizeof(*wanting));

    *ret_n = 0;
    for (size_t i = 0; i < n; i++)
        if (spans[i].want > 0)
            wanting[(*ret_n)++] = &spans[i];
    qsort(wanting, *ret_n, sizeof(*wanting), urgency);
    return wanting;
}

/* Small wishes first, and those of large spans: more are fulfilled so. */
static double fulfil(struct axis *axis, const struct axis_span *spans, size_t n, double room)
{
    size_t n_wanting;
    const struct axis_span **wanting = by_urgency(spans, n, &n_wanting);

    for (size_t i = 0; i < n_wanting && room > 0; i++) {
        size_t first = axis_piece_at(axis, wanting[i]->first), last = axis_piece_at(axis, wanting[i]->last);
        double has = 0, needs;

        for (size_t piece = first; piece <= last && has < wanting[i]->want; piece++)
            has += axis->pieces[piece].width;
        needs = ceil(wanting[i]->want - has);
        if (needs <= 0 || needs > room)
            continue;
        widen(axis, first, last, needs);
        room -= needs;
    }
    free(wanting);
    return room;
}

static void set_widths(struct axis *axis, const struct axis_span *spans, size_t n, double width)
{
    double room = width, weights = 0, folded = 0;

    for (size_t i = 0; i < axis->n; i++) {
        struct axis_piece *piece = &axis->pieces[i];

        piece->width = piece->gap ? AXIS_GAP_MIN : AXIS_PIECE_MIN;
        if (piece->segments > 1)
            piece->width += fmin(8 * log2((double)piece->segments), width / 4);
        room -= piece->width;
        folded += piece->folded;
    }
    if (room < 0) {
        for (size_t i = 0; i < axis->n; i++)
            axis->pieces[i].width *= width / (width - room);
        return;
    }
    if (folded > 0) {
        double each = fmin(GAP_WANT - AXIS_GAP_MIN, room / 3 / folded);

        for (size_t i = 0; i < axis->n; i++)
            axis->pieces[i].width += axis->pieces[i].folded ? each : 0;
        room -= each * folded;
    }
    room = fulfil(axis, spans, n, room);
    for (size_t i = 0; i < axis->n; i++)
        weights += axis->pieces[i].gap ? 1 : 4 + log2(size_of(&axis->pieces[i]));
    for (size_t i = 0; i < axis->n; i++)
        axis->pieces[i].width += room * (axis->pieces[i].gap ? 1 : 4 + log2(size_of(&axis->pieces[i]))) / weights;
}

void axis_make(const struct axis_span *spans, size_t n, uint64_t first, uint64_t last, double left, double width,
               struct axis *axis)
{
    double at = left, large = fmin(4096, ((double)(last - first) + 1) / 64);

    segments(spans, n, first, last, axis);
    coarsen(axis, (size_t)(width / AXIS_PIECE_MIN));
    for (size_t i = 0; i < axis->n; i++)
        axis->pieces[i].folded = axis->pieces[i].gap && size_of(&axis->pieces[i]) >= large;
    set_widths(axis, spans, n, width);
    for (size_t i = 0; i < axis->n; i++) {
        struct axis_piece *piece = &axis->pieces[i];
        double end = at + piece->width;

        piece->x = round(at);
        piece->width = (i + 1 < axis->n ? round(end) : left + width) - piece->x;
        at = end;
    }
}

void axis_free(struct axis *axis)
{
    free(axis->pieces);
    *axis = (struct axis){0};
}

size_t axis_piece_at(const struct axis *axis, uint64_t addr)
{
    size_t low = 0, high = axis->n - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (addr > axis->pieces[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static double place(const struct axis *axis, uint64_t addr, double more)
{
    const struct axis_piece *piece = &axis->pieces[axis_piece_at(axis, addr)];

    if (addr < piece->first)
        return piece->x;
    if (addr > piece->last)
        return piece->x + piece->width;
    return piece->x + ((double)(addr - piece->first) + more) / size_of(piece) * piece->width;
}

double axis_begin(const struct axis *axis, uint64_t addr)
{
    return place(axis, addr, 0);
}

double axis_end(const struct axis *axis, uint64_t addr)
{
    return place(axis, addr, 1);
}
