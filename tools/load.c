/* SPDX-License-Identifier: MIT */
/*
 * Owns what it loaded until loaded_free(). One thread.
 */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "jsontree.h"
#include "qmp.h"

static bool load_mtree(const struct source *tree, const struct source *flat, const struct input *input,
                       struct loaded *loaded, struct problem *problem)
{
    struct mtree mtree;
    bool ok;

    if (flat) {
        if (!flatdump_parse(flat, &loaded->flat, problem))
            return false;
        loaded->has_flat = true;
    }
    if (!mtree_parse(tree, &mtree, problem))
        return false;
    ok = infer(&mtree, loaded->has_flat && !input->no_infer ? &loaded->flat : NULL, &loaded->topology, problem);
    mtree_free(&mtree);
    return ok;
}

static bool load_history(const struct source *source, const struct input *input, struct loaded *loaded,
                         struct problem *problem)
{
    struct slot_trace trace;
    bool ok;

    if (loaded->kind == SOURCE_RECORDING) {
        ok = history_from_recording(source, &loaded->history, problem);
    } else {
        if (!slottrace_parse(source, &trace, problem))
            return false;
        ok = history_from_trace(&trace, &loaded->history, problem);
        slottrace_free(&trace);
    }
    if (!ok)
        return false;
    loaded->has_history = true;
    if (input->at != SIZE_MAX && (input->at < 1 || input->at > loaded->history.n_steps))
        return problem_at(problem, source->name, 0, "--at %zu: it has steps 1 to %zu", input->at,
                          loaded->history.n_steps);
    return history_topology(&loaded->history, input->at == SIZE_MAX ? loaded->history.n_steps : input->at,
                            &loaded->topology, NULL, problem);
}

static bool load_source(const struct source *source, const struct source *flat, const struct input *input,
                        struct loaded *loaded, struct problem *problem)
{
    loaded->kind = source_kind(source);
    switch (loaded->kind) {
    case SOURCE_MTREE:
        if (!flat && memmem(source->text, source->size, "\nFlatView #", 11))
            flat = source;
        return load_mtree(source, flat, input, loaded, problem);
    case SOURCE_JSON:
        return jsontree_parse(source, &loaded->topology, problem);
    case SOURCE_TRACE:
    case SOURCE_RECORDING:
        return load_history(source, input, loaded, problem);
    case SOURCE_FLAT:
        return problem_at(problem, source->name, 0,
                          "a flat dump alone has no tree: give `info mtree` of the same machine, and this with --flat");
    case SOURCE_EMPTY:
        return problem_at(problem, source->name, 0, "it is empty");
    case SOURCE_UNKNOWN:
        break;
    }
    return problem_at(problem, source->name, 1,
                      "neither `info mtree`, the JSON of gmem, a trace of slots nor a recording of gmem-pc");
}

bool load(const struct input *input, struct loaded *loaded, struct problem *problem)
{
    struct source source = {0}, flat = {0};
    bool ok;

    *loaded = (struct loaded){0};
    if (input->qmp) {
        ok = qmp_read(input->qmp, &source, &flat, problem);
    } else {
        ok = source_read(input->path, &source, problem);
        if (ok && input->flat)
            ok = source_read(input->flat, &flat, problem);
    }
    ok = ok && load_source(&source, flat.text ? &flat : NULL, input, loaded, problem) &&
         map_build(&loaded->topology, &loaded->map, problem);
    if (ok)
        loaded->name = alloc_text(source.name);
    source_free(&source);
    source_free(&flat);
    if (!ok)
        loaded_free(loaded);
    return ok;
}

void loaded_free(struct loaded *loaded)
{
    if (loaded->map.topology)
        map_free(&loaded->map);
    topology_free(&loaded->topology);
    if (loaded->has_flat)
        flatdump_free(&loaded->flat);
    if (loaded->has_history)
        history_free(&loaded->history);
    free(loaded->name);
    *loaded = (struct loaded){0};
}

bool loaded_space(const struct loaded *loaded, const char *name, size_t *ret_space, struct problem *problem)
{
    for (size_t i = 0; i < loaded->topology.n_spaces; i++)
        if (strcmp(loaded->topology.spaces[i].name, name) == 0) {
            *ret_space = i;
            return true;
        }
    return problem_at(problem, loaded->name, 0, "no space named \"%s\"", name);
}
