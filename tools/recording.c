/* SPDX-License-Identifier: MIT */
/*
 * Reads what gmem-pc --record wrote (docs/recording.md). Owns what each step changes; a state is put together from these when it
 * is asked for. One thread.
 *
 * What changes a region, its end included, is kept in one array sorted by id and then by step: the last of a region's that is not
 * past a step says what it is after that step. A last line without a newline is what somebody did not finish to write: it is no
 * step.
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "history.h"
#include "jsonregion.h"

struct change {
    size_t step; /* from 1 */
    size_t line;
    uint64_t id;
    bool gone;
    struct json_region region; /* unless it is gone */
};

struct spaces {
    size_t step;
    struct json_space *spaces;
    size_t n;
};

struct states {
    char *source;
    struct change *changes;
    size_t n_changes;
    struct spaces *spaces; /* by rising step */
    size_t n_spaces;
};

static void free_states(void *opaque)
{
    struct states *states = opaque;

    for (size_t i = 0; i < states->n_changes; i++)
        json_region_free(&states->changes[i].region);
    for (size_t i = 0; i < states->n_spaces; i++) {
        for (size_t k = 0; k < states->spaces[i].n; k++)
            json_space_free(&states->spaces[i].spaces[k]);
        free(states->spaces[i].spaces);
    }
    free(states->changes);
    free(states->spaces);
    free(states->source);
    free(states);
}

static bool make_topology(const void *opaque, size_t n, struct topology *topology, uint64_t **ret_ids,
                          struct problem *problem)
{
    const struct states *states = opaque;
    const struct json_place place = {.source = states->source, .problem = problem};
    const struct json_region **regions = alloc_zeroed(states->n_changes, sizeof(struct json_region *));
    const struct spaces *spaces = NULL;
    size_t found = 0;
    bool good;

    *topology = (struct topology){0};
    for (size_t i = 0; i < states->n_changes; i++) {
        const struct change *change = &states->changes[i];
        bool last = i + 1 == states->n_changes || change[1].id != change->id || change[1].step > n;

        if (change->step <= n && last && !change->gone)
            regions[found++] = &change->region;
    }
    for (size_t i = 0; i < states->n_spaces && states->spaces[i].step <= n; i++)
        spaces = &states->spaces[i];
    good = json_regions_join(regions, found, spaces ? spaces->spaces : NULL, spaces ? spaces->n : 0, topology, ret_ids,
                             &place);
    free(regions);
    return good;
}

static const struct history_ops ops = {.topology = make_topology, .free = free_states};

/* --- Lines ------------------------------------------------------------------------------------------------------------- */

static bool read_call(const json_t *value, struct trace_event *call, const struct json_place *place)
{
    int64_t as_id, slot, result;
    uint64_t flags;

    if (!json_get_integer(value, "as_id", 0, UINT16_MAX, &as_id, place) ||
        !json_get_integer(value, "slot", 0, UINT16_MAX, &slot, place) ||
        !json_get_address(value, "flags", &flags, place) || !json_get_address(value, "gpa", &call->gpa, place) ||
        !json_get_address(value, "size", &call->size, place) || !json_get_address(value, "ua", &call->ua, place) ||
        !json_get_integer(value, "ret", INT32_MIN, INT32_MAX, &result, place))
        return false;
    if (flags > UINT32_MAX)
        return problem_at(place->problem, place->source, place->line, "\"flags\" is past 2^32");
    call->line = place->line;
    call->kind = TRACE_SLOT;
    call->as_id = (uint16_t)as_id;
    call->slot = (uint16_t)slot;
    call->flags = (uint32_t)flags;
    call->result = result;
    return true;
}

static bool read_calls(const json_t *json, struct step *step, const struct json_place *place)
{
    const json_t *calls;

    if (!json_get_array(json, "calls", &calls, place))
        return false;
    step->calls = alloc_zeroed(json_array_size(calls), sizeof(*step->calls));
    for (; step->n_calls < json_array_size(calls); step->n_calls++)
        if (!read_call(json_array_get(calls, step->n_calls), &step->calls[step->n_calls], place))
            return false;
    return true;
}

static bool read_number(const json_t *json, const char *key, bool *ret_has, uint64_t *ret,
                        const struct json_place *place)
{
    int64_t value;

    *ret_has = json_object_get(json, key) != NULL;
    if (!*ret_has)
        return true;
    if (!json_get_integer(json, key, 0, INT64_MAX, &value, place))
        return false;
    *ret = (uint64_t)value;
    return true;
}

static struct change *add_change(struct states *states, size_t step, size_t line)
{
    struct change *change;

    alloc_grow(&states->changes, states->n_changes, sizeof(*states->changes));
    change = &states->changes[states->n_changes++];
    *change = (struct change){.step = step, .line = line};
    return change;
}

static bool read_regions(const json_t *json, size_t step, struct states *states, const struct json_place *place)
{
    const json_t *array;
    uint64_t *gone;
    size_t n;

    if (json_object_get(json, "gone")) {
        if (!json_get_ids(json, "gone", &gone, &n, place))
            return false;
        for (size_t i = 0; i < n; i++) {
            struct change *change = add_change(states, step, place->line);

            change->id = gone[i];
            change->gone = true;
        }
        free(gone);
    }
    if (!json_object_get(json, "regions"))
        return true;
    if (!json_get_array(json, "regions", &array, place))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct change *change = add_change(states, step, place->line);

        if (!json_region_read(json_array_get(array, i), &change->region, place))
            return false;
        change->id = change->region.id;
    }
    return true;
}

static bool read_spaces(const json_t *json, size_t step, struct states *states, const struct json_place *place)
{
    const json_t *array;
    struct spaces *spaces;

    if (!json_object_get(json, "spaces"))
        return true;
    if (!json_get_array(json, "spaces", &array, place))
        return false;
    alloc_grow(&states->spaces, states->n_spaces, sizeof(*states->spaces));
    spaces = &states->spaces[states->n_spaces++];
    *spaces =
        (struct spaces){.step = step, .spaces = alloc_zeroed(json_array_size(array), sizeof(*states->spaces->spaces))};
    for (; spaces->n < json_array_size(array); spaces->n++)
        if (!json_space_read(json_array_get(array, spaces->n), &spaces->spaces[spaces->n], place))
            return false;
    return true;
}

static bool read_step(const json_t *json, struct history *history, const struct json_place *place)
{
    struct step *step;
    const char *cause;
    int64_t number;

    if (!json_get_integer(json, "step", 1, INT64_MAX, &number, place) || !json_get_text(json, "cause", &cause, place))
        return false;
    if ((uint64_t)number != history->n_steps + 1)
        return problem_at(place->problem, place->source, place->line, "step %lld, where step %zu should be",
                          (long long)number, history->n_steps + 1);
    step = history_add_step(history, place->line, cause);
    return read_number(json, "time_ns", &step->has_time, &step->time_ns, place) &&
           read_number(json, "instructions", &step->has_instructions, &step->instructions, place) &&
           read_calls(json, step, place) && read_spaces(json, history->n_steps, history->states, place) &&
           read_regions(json, history->n_steps, history->states, place);
}

static bool read_lines(const struct source *source, struct history *history, struct json_place *place)
{
    bool ended = source->size && source->text[source->size - 1] == '\n';
    bool headed = false, good = true;
    struct lines lines;
    const char *line;
    size_t length;

    lines_begin(&lines, source->text, source->size);
    while (good && lines_next(&lines, &line, &length)) {
        json_t *json;

        if (strspn(line, " \t\r") >= length || (headed && !ended && lines.next == lines.end))
            continue;
        place->line = lines.number;
        json = json_read(line, length, place);
        if (!json)
            return false;
        good = headed ? read_step(json, history, place) : json_is_format(json, "gmem-recording", place);
        headed = true;
        json_decref(json);
    }
    if (good && !history->n_steps)
        return problem_at(place->problem, place->source, 0,
                          "a recording without a step: gmem-pc did not come to write one");
    return good;
}

/* --- All of them ------------------------------------------------------------------------------------------------------- */

static int by_id_and_step(const void *a, const void *b)
{
    const struct change *x = a, *y = b;

    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->step < y->step ? -1 : x->step > y->step;
}

static bool check_changes(const struct states *states, struct problem *problem)
{
    for (size_t i = 0; i < states->n_changes; i++) {
        const struct change *change = &states->changes[i],
                            *before = i && change[-1].id == change->id ? change - 1 : NULL;

        if (before && before->step == change->step)
            return problem_at(problem, states->source, change->line, "region %llu is there twice",
                              (unsigned long long)change->id);
        if (change->gone && (!before || before->gone))
            return problem_at(problem, states->source, change->line, "region %llu is gone, and was not there",
                              (unsigned long long)change->id);
    }
    return true;
}

bool history_from_recording(const struct source *source, struct history *history, struct problem *problem)
{
    struct json_place place = {.source = source->name, .problem = problem};
    struct states *states = alloc_zeroed(1, sizeof(*states));

    states->source = alloc_text(source->name);
    *history = (struct history){.source = alloc_text(source->name), .ops = &ops, .states = states};
    if (read_lines(source, history, &place)) {
        if (states->n_changes)
            qsort(states->changes, states->n_changes, sizeof(*states->changes), by_id_and_step);
        if (check_changes(states, problem))
            return true;
    }
    history_free(history);
    return false;
}
