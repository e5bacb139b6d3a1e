/* SPDX-License-Identifier: MIT */
/*
 * Where everything in the picture of a space is, in pixels, before anything is drawn: the axis, boxes in layers with those
 * asked first on top, the ranges of the view on the bottom line, targets of aliases that are not in the picture as blocks
 * below, arrows to targets, and a key for what is too narrow for its name.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "axis.h"
#include "ways.h"

#define LAYOUT_CELL 6.63   /* pixels: a cell of the font of names (11 pixels) */
#define LAYOUT_SMALL 6.03  /* of addresses (10 pixels) */
#define LAYOUT_MARK 5.43   /* of numbers (9 pixels) */
#define LAYOUT_ROW 17      /* height of a box */
#define LAYOUT_SPACING 5   /* between rows: an arrow's head fits */
#define LAYOUT_WINNER 32   /* height of the bottom line */
#define LAYOUT_STUB 14     /* height of a block below */
#define LAYOUT_WAYS 400000 /* more than this are not drawn */

/* What a colour stands for. */
enum look {
    LOOK_CONTAINER,
    LOOK_RAM,
    LOOK_ROM,
    LOOK_ROMD,
    LOOK_RAMD,
    LOOK_DEVICE,
    LOOK_IOMMU,
    LOOK_RESERVED,
    LOOK_ALIAS, /* onto a container, or onto nothing */
    LOOKS
};

enum box_type {
    BOX_REGION, /* a region that holds nothing, or itself, below the subregions that it holds */
    BOX_WINDOW, /* an alias */
    BOX_HEAD,   /* the name of a container, or of an alias onto one, above what is in it */
    BOX_MANY,   /* several regions, each too small to be seen */
};

/* What is written in a box: all of the name or its beginning, or a number in the key, or neither. */
struct label {
    char *text; /* or NULL */
    size_t key; /* index in the picture's key; NOWHERE: none */
};

struct box {
    enum box_type type;
    enum look look;
    size_t way; /* NOWHERE: many */
    uint64_t first, last;
    double x, width, y;
    size_t count; /* of many */
    bool enabled, readonly;
    struct label label;
};

/* Around a container's box and what is in it. */
struct frame {
    size_t way;
    double x, width, y, height;
};

struct layout_range {
    uint64_t first, last, offset;
    uint32_t attrs;
    size_t region;
};

struct winner {
    struct layout_range range; /* the first of many */
    uint64_t last;             /* of the last of many */
    size_t count;
    enum look look;
    double x, width;
    struct label label;
    char *size; /* below the name, if there is room */
};

struct tick {
    uint64_t addr;
    double x;
    unsigned row; /* how far up its text is; in the picture's upright mode always 0 */
    bool end;     /* the last address, and not where something begins */
    bool back;    /* its text is left of it */
};

/* How much a fold leaves out: in the middle of it, below the axis or, upright, above. */
struct note {
    double x;
    char *text;
    bool upright;
};

/* A target of aliases. */
struct stub {
    size_t region;
    enum look look;
    struct axis axis; /* of its offsets */
    double x, width, y;
    struct label label;
    struct tick *ticks;
    size_t n_ticks;
};

struct arrow {
    size_t way; /* the alias */
    double x, y, to_x, to_y;
    size_t stub; /* that it goes to, behind the bottom line; NOWHERE: a box */
    bool enabled;
    bool beside; /* both ends are at the bottom of one row */
};

struct key_entry {
    enum look look;
    char *text;
    uint64_t first, last; /* of the first one */
    size_t count;
};

struct picture {
    const struct topology *topology;
    struct ways ways;
    bool *shown;  /* by way: not one that stands in an alias' window */
    size_t *home; /* by region: the way that arrows to it go to, or NOWHERE */
    struct axis axis;
    struct box *boxes;
    size_t n_boxes;
    struct frame *frames;
    size_t n_frames;
    struct winner *winners;
    size_t n_winners;
    struct tick *ticks;
    size_t n_ticks;
    bool upright; /* addresses from bottom to top */
    struct note *notes;
    size_t n_notes;
    struct stub *stubs;
    size_t n_stubs;
    size_t stubs_left; /* how many more there would be */
    struct arrow *arrows;
    size_t n_arrows;
    struct key_entry *key;
    size_t n_key;
    size_t hidden; /* ways for which there was no room */
    /* From top to bottom; texts of ticks end at axis_y. */
    double axis_y, layers_y, winners_y, stubs_y, key_y, height;
    unsigned key_columns;
};

struct layout_options {
    size_t boxes; /* at most, and at most as many ranges; where there are more, least is raised */
    uint64_t first, last;
    double left, width;
    double least; /* pixels: what is narrower is drawn together with its neighbours */
};

/* ranges: of the space's view, by rising address. False: more than LAYOUT_WAYS, or nested too deep. */
bool layout_make(const struct topology *topology, size_t space, const struct layout_range *ranges, size_t n,
                 const struct layout_options *options, struct picture *picture, struct problem *problem);
void layout_free(struct picture *picture);

/* "64 KiB", "2.5 GiB", "16 EiB": about how much is between first and last. Of the caller. */
char *layout_size(uint64_t first, uint64_t last);

/* Which colour a region has; attrs of its range or way. An alias has that of its target. */
enum look layout_look(const struct topology *topology, size_t region, uint32_t attrs);

/* Parts of layout_make(), in the order in which it calls them (layout_boxes.c, layout_labels.c, layout_stubs.c). */
void layout_boxes(struct picture *picture, double least);
void layout_winners(struct picture *picture, const struct layout_range *ranges, size_t n, double least);
void layout_stubs(struct picture *picture, const struct layout_options *options);
void layout_labels(struct picture *picture);
/* Ticks of an axis where their texts have room beside or, if upright, above each other. */
struct tick *layout_ticks(const struct axis *axis, bool ends, bool may_upright, size_t *ret_n, bool *ret_upright,
                          double *ret_height);
/* What an alias' box says: its name and where it leads. Of the caller. */
char *layout_name(const struct picture *picture, const struct box *box);

#endif
