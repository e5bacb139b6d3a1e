/* SPDX-License-Identifier: MIT */
/*
 * Where things are in a picture of a map: what must hold whatever the map is, on recorded machines, on random ones and on a
 * hundred thousand ranges, at several widths.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "label.h"
#include "layout.h"
#include "load.h"
#include "random.h"

#define LEFT 28

struct text_box {
    double x, y, width, height;
};

struct ranges {
    const struct map *map;
    struct layout_range *ranges;
    size_t n;
};

static int collect(void *opaque, const struct gmem_section *section)
{
    struct ranges *all = opaque;

    alloc_grow(&all->ranges, all->n, sizeof(*all->ranges));
    all->ranges[all->n++] = (struct layout_range){.first = section->first,
                                                  .last = section->last,
                                                  .offset = section->offset,
                                                  .attrs = section->attrs,
                                                  .region = map_region(all->map, section->region)};
    return 0;
}

/* Touching is no overlap, and neither is a hair: texts are measured with room to spare. */
static bool overlap(const struct text_box *a, const struct text_box *b)
{
    return a->x + 0.01 < b->x + b->width && b->x + 0.01 < a->x + a->width && a->y + 0.01 < b->y + b->height &&
           b->y + 0.01 < a->y + a->height;
}

static int by_x(const void *a, const void *b)
{
    const struct text_box *x = a, *y = b;

    return x->x < y->x ? -1 : x->x > y->x;
}

static void check_apart(struct text_box *boxes, size_t n)
{
    qsort(boxes, n, sizeof(*boxes), by_x);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n && boxes[j].x < boxes[i].x + boxes[i].width; j++)
            assert_false(overlap(&boxes[i], &boxes[j]));
}

static void check_axis(const struct axis *axis, uint64_t first, uint64_t last, double left, double width)
{
    double before = left;

    assert_true(axis->n >= 1);
    assert_true(axis->pieces[0].first == first && axis->pieces[axis->n - 1].last == last);
    assert_true(axis->pieces[0].x == left);
    for (size_t i = 0; i < axis->n; i++) {
        const struct axis_piece *piece = &axis->pieces[i];

        assert_true(piece->x == before && piece->x == floor(piece->x));
        assert_true(piece->width >= 0);
        assert_true(piece->first <= piece->last);
        assert_true(!piece->gap || piece->segments == 1);
        assert_true(!piece->folded || piece->gap);
        if (i)
            assert_true(piece->first == piece[-1].last + 1);
        before = piece->x + piece->width;
    }
    assert_true(fabs(before - left - width) < 1e-6);
    before = left;
    for (size_t i = 0; i < axis->n; i++) {
        const struct axis_piece *piece = &axis->pieces[i];

        for (uint64_t k = 0; k < 16; k++) {
            uint64_t addr = piece->first + (piece->last - piece->first) / 16 * k;
            double begin = axis_begin(axis, addr), end = axis_end(axis, addr);

            assert_true(axis_piece_at(axis, addr) == i);
            assert_true(begin >= before - 1e-9 && end >= begin);
            before = begin;
        }
        assert_true(fabs(axis_end(axis, piece->last) - piece->x - piece->width) < 1e-6);
    }
}

/* Nothing begins, ends or answers in what is left out. */
static void check_folds(const struct picture *picture, const struct ranges *ranges)
{
    for (size_t i = 0; i < picture->axis.n; i++) {
        const struct axis_piece *piece = &picture->axis.pieces[i];

        if (!piece->gap)
            continue;
        for (size_t j = 0; j < ranges->n; j++)
            assert_true(ranges->ranges[j].last < piece->first || ranges->ranges[j].first > piece->last);
        for (size_t j = 0; j < picture->ways.n; j++) {
            const struct way *way = &picture->ways.ways[j];

            if (!picture->shown[j])
                continue;
            assert_false(way->first > piece->first && way->first <= piece->last);
            assert_false(way->last >= piece->first && way->last < piece->last);
        }
    }
}

static void check_winners(const struct picture *picture, const struct ranges *ranges)
{
    size_t at = 0;
    double before = LEFT;

    for (size_t i = 0; i < picture->n_winners; i++) {
        const struct winner *winner = &picture->winners[i];

        assert_true(winner->count >= 1 && at + winner->count <= ranges->n);
        assert_true(winner->range.first == ranges->ranges[at].first);
        assert_true(winner->last == ranges->ranges[at + winner->count - 1].last);
        assert_true(winner->count > 1 || winner->range.region == ranges->ranges[at].region);
        assert_true(winner->x >= before && winner->width >= 1);
        assert_true(fabs(winner->x - axis_begin(&picture->axis, winner->range.first)) <= 4);
        assert_true(fabs(winner->x + winner->width - axis_end(&picture->axis, winner->last)) <= 4);
        /* To the pixel where the axis has a piece for it. */
        if (winner->width >= AXIS_PIECE_MIN) {
            assert_true(fabs(winner->x - axis_begin(&picture->axis, winner->range.first)) <= 1.5);
            assert_true(fabs(winner->x + winner->width - axis_end(&picture->axis, winner->last)) <= 3.5);
        }
        before = winner->x + winner->width;
        at += winner->count;
    }
    assert_int_equal(at, ranges->n);
}

static void check_boxes(const struct picture *picture, double least)
{
    struct text_box *boxes = alloc_zeroed(picture->n_boxes, sizeof(*boxes));

    for (size_t i = 0; i < picture->n_boxes; i++) {
        const struct box *box = &picture->boxes[i];

        boxes[i] = (struct text_box){box->x, box->y, box->width, LAYOUT_ROW};
        assert_true(box->y >= picture->layers_y);
        assert_true(box->y + LAYOUT_ROW <= picture->winners_y);
        assert_true(box->width >= 1);
        if (box->way != NOWHERE && box->width >= least) {
            assert_true(fabs(box->x - axis_begin(&picture->axis, box->first)) <= 1);
            assert_true(fabs(box->x + box->width - axis_end(&picture->axis, box->last)) <= 1);
        }
    }
    check_apart(boxes, picture->n_boxes);
    free(boxes);
    /* Of siblings at one address the one that is asked first is above. */
    for (size_t i = 0; i < picture->n_boxes && picture->n_boxes < 1000; i++)
        for (size_t j = 0; j < picture->n_boxes; j++) {
            const struct box *a = &picture->boxes[i], *b = &picture->boxes[j];
            const struct way *x, *y;

            if (a->way == NOWHERE || b->way == NOWHERE || a->way == b->way || a->first > b->last || b->first > a->last)
                continue;
            x = &picture->ways.ways[a->way];
            y = &picture->ways.ways[b->way];
            if (x->up == y->up && x->order < y->order && a->type != BOX_HEAD && a->type == b->type &&
                a->width >= least && b->width >= least && a->y >= b->y) {
                /* One that holds others has its own box below them. */
                bool holds = false;

                for (size_t way = 0; way < picture->ways.n; way++)
                    holds |= picture->ways.ways[way].up == a->way && picture->shown[way];
                assert_true(holds);
            }
        }
}

static double tick_text(uint64_t addr)
{
    char text[24];

    return snprintf(text, sizeof(text), "0x%llx", (unsigned long long)addr) * LAYOUT_SMALL;
}

static void check_texts(const struct picture *picture, double right)
{
    struct text_box *texts = alloc_zeroed(picture->n_ticks + picture->n_notes, sizeof(*texts));
    size_t n = 0;

    for (size_t i = 0; i < picture->n_ticks; i++) {
        const struct tick *tick = &picture->ticks[i];
        double width = tick_text(tick->addr);

        if (picture->upright) {
            texts[n++] = (struct text_box){tick->x - 4, 0, 10, width};
            assert_true(width <= picture->axis_y);
            continue;
        }
        texts[n] = (struct text_box){tick->back ? tick->x - width - 3 : tick->x + 4, -13.0 * tick->row, width, 12};
        assert_true(texts[n].x >= LEFT - 1 && texts[n].x + width <= right + 5);
        n++;
    }
    for (size_t i = 0; i < picture->n_notes; i++) {
        double width = (double)label_cells(picture->notes[i].text) * LAYOUT_MARK;

        if (picture->notes[i].upright)
            texts[n++] = (struct text_box){picture->notes[i].x - 4, 0, 8, width};
        else
            texts[n++] = (struct text_box){picture->notes[i].x - width / 2, 1000, width, 10};
    }
    check_apart(texts, n);
    free(texts);
    for (size_t i = 0; i < picture->n_boxes; i++) {
        const struct label *label = &picture->boxes[i].label;

        assert_true(!label->text || (double)label_cells(label->text) * LAYOUT_CELL <= picture->boxes[i].width);
        assert_true(label->text || label->key == NOWHERE || label->key < picture->n_key);
        assert_true(label->text || label->key == NOWHERE || picture->boxes[i].width >= LAYOUT_MARK);
    }
    for (size_t i = 0; i < picture->n_winners; i++) {
        const struct winner *winner = &picture->winners[i];

        assert_true(!winner->label.text || (double)label_cells(winner->label.text) * LAYOUT_CELL <= winner->width);
        assert_true(!winner->size || (double)label_cells(winner->size) * LAYOUT_SMALL <= winner->width);
    }
}

static void check_stubs(const struct picture *picture, double right)
{
    struct text_box *boxes = alloc_zeroed(picture->n_stubs, sizeof(*boxes));

    for (size_t i = 0; i < picture->n_stubs; i++) {
        const struct stub *stub = &picture->stubs[i];

        assert_true(picture->home[stub->region] == NOWHERE);
        assert_true(stub->x >= LEFT && stub->x + stub->width <= right + 0.01);
        assert_true(stub->y > picture->winners_y + LAYOUT_WINNER);
        assert_true((double)label_cells(stub->label.text) * LAYOUT_CELL <= stub->width + LAYOUT_CELL);
        for (size_t j = 0; j + 1 < stub->n_ticks; j++)
            assert_true(stub->ticks[j].x + tick_text(stub->ticks[j].addr) + LAYOUT_SMALL <= stub->ticks[j + 1].x);
        boxes[i] = (struct text_box){stub->x, stub->y, stub->width, LAYOUT_STUB + 26};
    }
    check_apart(boxes, picture->n_stubs);
    free(boxes);
    for (size_t i = 0; i < picture->n_arrows; i++)
        assert_true(picture->arrows[i].to_x >= LEFT - 1 && picture->arrows[i].to_x <= right + 1);
}

static void check_space(const struct topology *topology, const struct map *map, size_t space, double width,
                        size_t boxes)
{
    struct layout_options options = {.last = UINT64_MAX, .left = LEFT, .width = width, .least = 3, .boxes = boxes};
    struct ranges ranges = {.map = map};
    struct picture picture;
    struct problem problem;
    gmem_view *view = gmem_space_view(map->spaces[space]);

    assert_int_equal(gmem_view_foreach(view, collect, &ranges), 0);
    gmem_view_unref(view);
    assert_true(layout_make(topology, space, ranges.ranges, ranges.n, &options, &picture, &problem));
    check_axis(&picture.axis, picture.axis.pieces[0].first, picture.axis.pieces[picture.axis.n - 1].last, LEFT, width);
    check_folds(&picture, &ranges);
    check_winners(&picture, &ranges);
    check_boxes(&picture, 3);
    check_texts(&picture, LEFT + width);
    check_stubs(&picture, LEFT + width);
    assert_true(picture.n_boxes <= boxes);
    layout_free(&picture);
    free(ranges.ranges);
}

static void recorded(void **state)
{
    static const char *const machines[] = {
        "aarch64-raspi3b",
        "arm-versatilepb",
        "m68k-q800",
        "mips-malta",
        "ppc-40p",
        "ppc-g3beige",
        "riscv64-sifive_u",
        "s390x-s390-ccw-virtio-7.2",
        "sparc-SS-5",
        "x86_64-base-pc-kvm-1G-std-bios",
        "x86_64-base-q35-kvm-1G-std-bios",
    };
    const char *data = getenv("GMEM_TEST_DATA");

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        char *path = alloc_format("%s/qemu/%s/full.txt", data, machines[i]);
        struct input input = {.path = path, .at = SIZE_MAX};
        struct loaded loaded;
        struct problem problem;

        assert_true(load(&input, &loaded, &problem));
        for (size_t space = 0; space < loaded.topology.n_spaces; space++)
            for (unsigned width = 264; width < 4000; width = width * 2 + 100)
                check_space(&loaded.topology, &loaded.map, space, width, 4000);
        loaded_free(&loaded);
        free(path);
    }
}

/* A region with a name of its kind and number, somewhere in an earlier container. */
static void add_random(struct topology *topology, struct random *random, size_t n)
{
    static const enum gmem_kind kinds[] = {GMEM_KIND_CONTAINER, GMEM_KIND_RAM,  GMEM_KIND_ROM,   GMEM_KIND_MMIO,
                                           GMEM_KIND_ALIAS,     GMEM_KIND_MMIO, GMEM_KIND_ALIAS, GMEM_KIND_RESERVED};
    size_t index = topology_add_region(topology), parent = n ? random_below(random, n) : 0;
    struct topo_region *region = &topology->regions[index];
    unsigned shift = (unsigned)random_below(random, 36);

    region->kind = n ? kinds[random_below(random, sizeof(kinds) / sizeof(kinds[0]))] : GMEM_KIND_CONTAINER;
    region->name = alloc_format("region-%zu%s", n, random_below(random, 4) ? "" : " with a name that is long");
    region->size = n ? GMEM_SIZE(1 + random_below(random, (uint64_t)2 << shift)) : GMEM_SIZE_ALL;
    region->offset = n ? random_below(random, (uint64_t)2 << (random_below(random, 2) ? shift : 38)) : 0;
    region->priority = (int32_t)random_below(random, 4) - 1;
    region->rank = (uint32_t)n;
    region->enabled = random_below(random, 6) || !n;
    if (region->kind == GMEM_KIND_ALIAS) {
        region->target = 1 + random_below(random, n + 1);
        region->target_offset = random_below(random, 2) ? 0 : random_below(random, (uint64_t)1 << shift);
        if (region->target >= n)
            region->target = NOWHERE;
    }
    if (!n || random_below(random, 8) == 0)
        return;
    while (parent && topology->regions[parent].kind != GMEM_KIND_CONTAINER &&
           topology->regions[parent].kind != GMEM_KIND_MMIO)
        parent--;
    region->parent = parent;
}

static void random_maps(void **state)
{
    struct random random = random_start("layout", 6);
    unsigned built = 0;

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        struct topology topology = {.source = alloc_text("random")};
        struct map map = {0};
        struct problem problem;
        size_t n = 1 + random_below(&random, round % 10 ? 60 : 400);

        for (size_t i = 0; i < n; i++)
            add_random(&topology, &random, i);
        topology_add_space(&topology, "memory", 0);
        if (map_build(&topology, &map, &problem)) {
            built++;
            check_space(&topology, &map, 0, 300 + (double)random_below(&random, 1500), 400);
            map_free(&map);
        }
        topology_free(&topology);
    }
    assert_true(built > 100);
}

/* Ranges beside RAM: RAM stays as large as to have its name, and few boxes are drawn. */
static void many(void **state)
{
    enum { N = 100000 };
    struct topology topology = {.source = alloc_text("many")};
    struct layout_options options = {.last = UINT64_MAX, .left = LEFT, .width = 1100, .least = 3, .boxes = 4000};
    struct ranges ranges = {0};
    struct picture picture;
    struct problem problem;

    (void)state;
    for (size_t i = 0; i < N + 2; i++) {
        size_t index = topology_add_region(&topology);
        struct topo_region *region = &topology.regions[index];

        region->kind = i ? i == 1 ? GMEM_KIND_RAM : GMEM_KIND_MMIO : GMEM_KIND_CONTAINER;
        region->name = alloc_format("many-%zu", i);
        region->size = i ? GMEM_SIZE(i == 1 ? 0x40000000 : 0x1000) : GMEM_SIZE_ALL;
        region->parent = i ? 0 : NOWHERE;
        region->rank = (uint32_t)i;
        region->offset = i > 1 ? 0x100000000 + (i - 2) * 0x2000 : 0;
        if (i) {
            alloc_grow(&ranges.ranges, ranges.n, sizeof(*ranges.ranges));
            ranges.ranges[ranges.n++] = (struct layout_range){
                .first = region->offset, .last = region->offset + region->size.bytes - 1, .region = i};
        }
    }
    topology_add_space(&topology, "memory", 0);
    assert_true(layout_make(&topology, 0, ranges.ranges, ranges.n, &options, &picture, &problem));
    check_axis(&picture.axis, 0, UINT64_MAX, LEFT, 1100);
    check_winners(&picture, &ranges);
    check_boxes(&picture, 3);
    assert_int_equal(picture.n_boxes, 3);
    assert_string_equal(picture.boxes[1].label.text, "many-1");
    assert_string_equal(picture.boxes[2].label.text, "100000 regions");
    assert_int_equal(picture.n_winners, 2);
    layout_free(&picture);
    free(ranges.ranges);
    topology_free(&topology);
}

static void axis_of_one(void **state)
{
    static const struct axis_span edges[] = {
        {.first = 0, .last = 0, .covers = true},
        {.first = UINT64_MAX, .last = UINT64_MAX, .covers = true},
    };
    struct axis axis;

    (void)state;
    axis_make(NULL, 0, 0, UINT64_MAX, LEFT, 500, &axis);
    check_axis(&axis, 0, UINT64_MAX, LEFT, 500);
    assert_true(axis.n == 1 && axis.pieces[0].folded);
    axis_free(&axis);
    axis_make(edges, 2, 0, UINT64_MAX, LEFT, 500, &axis);
    check_axis(&axis, 0, UINT64_MAX, LEFT, 500);
    assert_true(axis.n == 3 && axis.pieces[1].folded && axis.pieces[0].width >= AXIS_PIECE_MIN);
    axis_free(&axis);
    axis_make(edges, 2, 7, 7, LEFT, 500, &axis);
    check_axis(&axis, 7, 7, LEFT, 500);
    axis_free(&axis);
}

static void check_label(const char *bytes, const char *expected)
{
    char *text = label_text(bytes);

    assert_string_equal(text, expected);
    free(text);
}

static void labels(void **state)
{
    char *fit;

    (void)state;
    check_label("pc.ram", "pc.ram");
    check_label("a\tb\x7f", "a\xef\xbf\xbd"
                            "b\xef\xbf\xbd");
    check_label("\xc0\x80|\xed\xa0\x80|\xf5|\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|"
                                                       "\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd");
    /* NOLINTNEXTLINE(misc-misleading-bidirectional) */
    check_label("\xe2\x80\xae right to left", "\xef\xbf\xbd right to left");
    check_label("\xef\xbf\xbf\xf0\x9f\x90\x84", "\xef\xbf\xbd\xf0\x9f\x90\x84");
    assert_int_equal(label_cells("pc.ram"), 6);
    assert_int_equal(label_cells("\xe6\x97\xa5\xe6\x9c\xac"), 4);
    fit = label_fit("vga ioports remapped", 20);
    assert_string_equal(fit, "vga ioports remapped");
    free(fit);
    fit = label_fit("vga ioports remapped", 8);
    assert_string_equal(fit, "vga iop\xe2\x80\xa6");
    free(fit);
    fit = label_fit("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5", 6);
    assert_string_equal(fit, "\xe6\x97\xa5\xe6\x9c\xac\xe2\x80\xa6");
    free(fit);
    assert_null(label_fit("vga ioports remapped", LABEL_LEAST - 1));
}

static void sizes(void **state)
{
    static const struct {
        uint64_t first, last;
        const char *text;
    } cases[] = {
        {0, 0, "1 B"},
        {0, 1022, "1023 B"},
        {0, 1023, "1 KiB"},
        {5, 5 + 0x5ff, "1.5 KiB"},
        {0xc0000, UINT64_C(0xffffffffffffffff), "16 EiB"},
        {0, UINT64_MAX, "16 EiB"},
        {0x100000, 0x3fffffff, "1023 MiB"},
        {0, 0x100000 - 2, "1024 KiB"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = layout_size(cases[i].first, cases[i].last);

        assert_string_equal(text, cases[i].text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded),    cmocka_unit_test(random_maps), cmocka_unit_test(many),
        cmocka_unit_test(axis_of_one), cmocka_unit_test(labels),      cmocka_unit_test(sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
