/* SPDX-License-Identifier: MIT */
/*
 * Owns an axis' pieces until axis_free(). One thread.
 *
 * More segments than there is room for: small neighbours are joined, and what "small" is grows until the rest has room. A
 * thousand pages in a row then become one piece, and the RAM next to them stays apart.
 */
#include "axis.h"

#include <math.h>
#include <stdlib.h>

#include "alloc.h"

#define GAP_WANT 46 /* pixels: room for a size */

struct cut {
    uint64_t at; /* the address that begins there */
    int covers;  /* how many more cover from there on */
};

static int by_address(const void *a, const void *b)
{
    const struct cut *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
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

static double least_width(const struct axis_piece *piece, double width)
{
    double least = piece->gap ? AXIS_GAP_MIN : AXIS_PIECE_MIN;

    return piece->segments > 1 ? least + fmin(8 * log2((double)piece->segments), width / 4) : least;
}

/* Neighbours that are each smaller than size become one. Returns how many pieces there are then; into may be NULL. */
static size_t join(const struct axis_piece *pieces, size_t n, double size, struct axis_piece *into, double width,
                   double *ret_sum)
{
    struct axis_piece piece = pieces[0];
    size_t joined = 0;

    *ret_sum = 0;
    for (size_t i = 1; i <= n; i++) {
        if (i < n && size_of(&pieces[i - 1]) < size && size_of(&pieces[i]) < size) {
            piece.last = pieces[i].last;
            piece.segments++;
            piece.gap = false;
            continue;
        }
        *ret_sum += least_width(&piece, width);
        if (into)
            into[joined] = piece;
        joined++;
        if (i < n)
            piece = pieces[i];
    }
    return joined;
}

/* Join the smallest until there is room. */
static void coarsen(struct axis *axis, double width)
{
    double sum, size = 1;

    while (join(axis->pieces, axis->n, size, NULL, width, &sum) > 1 && sum > width && size < 0x1p65)
        size *= 2;
    axis->n = join(axis->pieces, axis->n, size, axis->pieces, width, &sum);
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
    double of_x = x->later * 1000.0 + x->want - 4 * log2((double)(x->last - x->first) + 1),
           of_y = y->later * 1000.0 + y->want - 4 * log2((double)(y->last - y->first) + 1);

    if (of_x != of_y)
        return of_x < of_y ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static bool alike(const struct axis_span *a, const struct axis_span *b)
{
    return a->later == b->later && a->last - a->first == b->last - b->first && fabs(a->want - b->want) < 1;
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

static double needs(const struct axis *axis, const struct axis_span *span, size_t first, size_t last)
{
    double has = 0;

    for (size_t piece = first; piece <= last && has < span->want; piece++)
        has += axis->pieces[piece].width;
    return fmax(ceil(span->want - has), 0);
}

/*
 * Small wishes first, and those of large spans: more are fulfilled so. What is alike is treated alike, among those that may come
 * later: all or none.
 */
static double fulfil(struct axis *axis, const struct axis_span *spans, size_t n, double room)
{
    size_t n_wanting, end;
    const struct axis_span **wanting = by_urgency(spans, n, &n_wanting);

    for (size_t i = 0; i < n_wanting && room > 0; i = end) {
        double sum = 0;

        for (end = i; end < n_wanting && (end == i || (wanting[i]->later && alike(wanting[i], wanting[end]))); end++)
            sum += needs(axis, wanting[end], axis_piece_at(axis, wanting[end]->first),
                         axis_piece_at(axis, wanting[end]->last));
        for (size_t j = i; j < end && sum <= room; j++) {
            size_t first = axis_piece_at(axis, wanting[j]->first), last = axis_piece_at(axis, wanting[j]->last);
            double more = needs(axis, wanting[j], first, last);

            widen(axis, first, last, more);
            room -= more;
            sum -= more;
        }
    }
    free(wanting);
    return room;
}

static void set_widths(struct axis *axis, const struct axis_span *spans, size_t n, double width)
{
    double room = width, weights = 0, folded = 0;

    for (size_t i = 0; i < axis->n; i++) {
        struct axis_piece *piece = &axis->pieces[i];

        piece->width = least_width(piece, width);
        room -= piece->width;
        folded += piece->folded;
    }
    if (room < 0) {
        for (size_t i = 0; i < axis->n; i++)
            axis->pieces[i].width *= width / (width - room);
        return;
    }
    if (folded > 0) {
        double each =
            fmin(GAP_WANT - AXIS_GAP_MIN, fmax(room / 3 / folded, fmin(AXIS_FOLD_MIN - AXIS_GAP_MIN, room / folded)));

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
    coarsen(axis, width);
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
