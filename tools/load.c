/* SPDX-License-Identifier: MIT */
/*
 * Owns what it loaded until loaded_free(). One thread.
 */
#include "load.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "jsontree.h"
#include "nearest.h"
#include "progress.h"
#include "qmp.h"

/* A file that was given as the flat dump, and is none. */
static bool flat_checked(const struct source *flat, struct problem *problem)
{
    switch (source_kind(flat)) {
    case SOURCE_FLAT:
        return true;
    case SOURCE_MTREE:
        if (flatdump_is_in(flat))
            return true;
        return problem_at(problem, flat->name, 0,
                          "this is `info mtree`; --flat takes `info mtree -f` of the same machine");
    case SOURCE_EMPTY:
        return problem_at(problem, flat->name, 0, "it is empty; --flat takes `info mtree -f` of the same machine");
    default:
        return problem_at(problem, flat->name, 1, "no flat dump; --flat takes `info mtree -f` of the same machine");
    }
}

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
        return problem_at(problem, source->name, 0, "--at %zu is out of range: it has %zu step%s, counted from 1",
                          input->at, loaded->history.n_steps, loaded->history.n_steps == 1 ? "" : "s");
    return history_topology(&loaded->history, input->at == SIZE_MAX ? loaded->history.n_steps : input->at,
                            &loaded->topology, NULL, problem);
}

static bool load_source(const struct source *source, const struct source *flat, const struct input *input,
                        struct loaded *loaded, struct problem *problem)
{
    loaded->kind = source_kind(source);
    if (flat && input->flat && loaded->kind != SOURCE_FLAT) {
        if (loaded->kind != SOURCE_MTREE && loaded->kind != SOURCE_EMPTY && loaded->kind != SOURCE_UNKNOWN)
            return problem_at(problem, source->name, 0, "--flat goes with `info mtree`; this leaves nothing open");
        if (loaded->kind == SOURCE_MTREE && !flat_checked(flat, problem))
            return false;
    }
    if (input->at != SIZE_MAX && (loaded->kind == SOURCE_MTREE || loaded->kind == SOURCE_JSON))
        return problem_at(problem, source->name, 0, "--at goes with a trace or a recording; this is one moment");
    switch (loaded->kind) {
    case SOURCE_MTREE:
        if (!flat && flatdump_is_in(source))
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
    case SOURCE_UNKNOWN:
        break;
    }
    return source_refuse(source, problem);
}

static void *nothing(void *opaque)
{
    return opaque;
}

/*
 * Where there is too little memory for the thread in which liburcu frees what the library gave up, liburcu ends the process by a
 * signal. Here this is found out first: the stack of a thread that has ended is kept for the next one, and what is allocated for
 * the first vm is there for all.
 */
static void make_room(void)
{
    void *spare = alloc_zeroed(1, 1 << 18);
    pthread_t thread;
    gmem_vm *vm;

    if (pthread_create(&thread, NULL, nothing, NULL) != 0)
        alloc_failed();
    pthread_join(thread, NULL);
    free(spare);
    if (gmem_vm_create(NULL, &vm) != 0)
        alloc_failed();
    gmem_vm_destroy(vm);
}

bool load(const struct input *input, struct loaded *loaded, struct problem *problem)
{
    struct source source = {0}, flat = {0};
    bool ok;

    *loaded = (struct loaded){0};
    make_room();
    if (input->qmp) {
        progress("asking %s", input->qmp);
        ok = qmp_read(input->qmp, &source, &flat, problem);
    } else {
        progress("reading %s", input->path);
        ok = source_read(input->path, &source, problem);
        if (ok && input->flat)
            ok = source_read(input->flat, &flat, problem);
    }
    progress("making sense of %s", source.name ? source.name : "it");
    ok = ok && load_source(&source, flat.text ? &flat : NULL, input, loaded, problem);
    if (ok)
        progress("building the map of %s", source.name);
    ok = ok && map_build(&loaded->topology, &loaded->map, problem);
    progress(NULL);
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

/* Names of the spaces, each once, as far as there is room. */
static void list_spaces(const struct topology *topology, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < topology->n_spaces; i++) {
        const char *name = topology->spaces[i].name;
        bool seen = false;
        int n;

        for (size_t j = 0; j < i && !seen; j++)
            seen = strcmp(topology->spaces[j].name, name) == 0;
        if (seen)
            continue;
        n = snprintf(text + used, size - used, "%s\"%s\"", used ? ", " : "", name);
        if (n < 0 || (size_t)n >= size - used - 8) {
            snprintf(text + used, size - used, ", ...");
            return;
        }
        used += (size_t)n;
    }
}

bool loaded_space(const struct loaded *loaded, const char *name, size_t *ret_space, struct problem *problem)
{
    const struct topology *topology = &loaded->topology;
    const char **names, *near;
    char list[600];

    for (size_t i = 0; i < topology->n_spaces; i++)
        if (strcmp(topology->spaces[i].name, name) == 0) {
            *ret_space = i;
            return true;
        }
    if (topology->n_spaces == 0)
        return problem_at(problem, loaded->name, 0, "no space named \"%s\": it has no spaces", name);
    names = alloc_zeroed(topology->n_spaces, sizeof(*names));
    for (size_t i = 0; i < topology->n_spaces; i++)
        names[i] = topology->spaces[i].name;
    near = nearest(name, names, topology->n_spaces);
    free(names);
    list_spaces(topology, list, sizeof(list));
    return problem_at(problem, loaded->name, 0, "no space named \"%.64s\"%s%.64s%s; there are %s", name,
                      near ? ", perhaps \"" : "", near ? near : "", near ? "\"" : "", list);
}
