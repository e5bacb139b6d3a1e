/* SPDX-License-Identifier: MIT */
/*
 * Recorded machines: the files model.tsv and views.tsv (their columns: tests/data/README.md) read
 * into memory, and the machine they describe built through the public API.
 */
#ifndef MODEL_TSV_H
#define MODEL_TSV_H

#include <gmem/gmem.h>

#define MODEL_NONE SIZE_MAX /* no parent, no alias target */

struct model_error {
    char text[512]; /* "FILE:LINE: what is wrong" */
};

struct model_region {
    unsigned line;
    uint64_t id;
    enum gmem_kind kind;
    char *name;
    char *owner;
    size_t parent; /* index, or MODEL_NONE */
    uint64_t rank; /* 0 is the first, which wins among equals */
    uint64_t addr;
    gmem_size size; /* may be 0 */
    int32_t priority;
    bool enabled;
    bool nonvolatile;
    bool readonly;
    size_t alias; /* index, or MODEL_NONE */
    uint64_t alias_offset;
};

struct model_space {
    unsigned line;
    char *name;
    size_t root; /* index of its region */
};

struct model_range {
    unsigned line;
    uint64_t view; /* the view's number */
    uint64_t first;
    uint64_t last;
    size_t region; /* index */
    uint64_t offset;
    char *type; /* as shown: "ram", "rom", "romd", "ramd", "i/o" */
    bool nonvolatile;
};

struct model_view {
    unsigned line;
    uint64_t number;
    char *root;    /* name of the region it was rendered from, or "(none)" */
    char **spaces; /* names of those that share it, sorted */
    size_t n_spaces;
    size_t first_range; /* of the model's ranges */
    size_t n_ranges;
};

struct model {
    char *regions_path;
    char *views_path;
    struct model_region *regions;
    size_t n_regions;
    struct model_space *spaces;
    size_t n_spaces;
    struct model_view *views;
    size_t n_views;
    struct model_range *ranges; /* by view, then by address */
    size_t n_ranges;
};

/*
 * Reads DIR/model.tsv and DIR/views.tsv. False: *error says what is wrong where, and there is
 * nothing to free.
 */
bool model_load(const char *dir, struct model *model, struct model_error *error);
void model_free(struct model *model);

/*
 * The machine of a model. regions[i] is the model's region i, except that what gmem refuses is put
 * differently without changing what is seen: a size of 0 is 1 byte, disabled; a placement that
 * reaches past 2^64 places a cut alias. RAM is reserved address space that can't be touched: only
 * its size and place matter.
 */
struct machine {
    gmem_vm *vm;
    gmem_region **regions;
    gmem_space **spaces;
};

bool machine_build(const struct model *model, struct machine *machine, struct model_error *error);
void machine_destroy(const struct model *model, struct machine *machine);

#endif
