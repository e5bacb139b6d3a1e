/* SPDX-License-Identifier: MIT */
/*
 * The HTML page: the viewer, which is the same for all (tools/view/, put into the program by scripts/embed-view), with the
 * machine's data in its middle as JSON. Owns nothing that outlives a call. One thread.
 *
 * Names may hold anything: no byte of theirs is written but inside a JSON string, as ASCII, with <, > and & escaped, so that
 * nothing in them can end the element that the data is in.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "utf8.h"
#include "viewdata.h"
#include "viewpage.h"
#include "ways.h"

#define WAYS_MAX 400000 /* that a space is seen by: what the page can still show */
#define STEPS_MAX 20000

static void put_string(FILE *out, const char *bytes, size_t length)
{
    fputc('"', out);
    while (length) {
        size_t taken;
        uint32_t code = utf8_next(bytes, length, &taken);

        bytes += taken;
        length -= taken;
        if (code >= 0x10000)
            fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
        else if (code < ' ' || code >= 0x7f || strchr("<>&\"\\", (int)code))
            fprintf(out, "\\u%04x", code);
        else
            fputc((int)code, out);
    }
    fputc('"', out);
}

static void put_text(FILE *out, const char *key, const char *text)
{
    fprintf(out, "\"%s\":", key);
    put_string(out, text, strlen(text));
    fputc(',', out);
}

static void put_texts(FILE *out, const struct texts *texts)
{
    fputs("\"texts\":[", out);
    for (size_t i = 0; i < texts_count(texts); i++) {
        size_t length;
        const char *text = texts_at(texts, i, &length);

        fputs(i ? ",\n" : "\n", out);
        put_string(out, text, length);
    }
    fputs("],\n", out);
}

/* A column of the rows: numbers as an array, addresses as one string of hexadecimal numbers. */
#define PUT_NUMBERS(out, data, member)                                                                                 \
    do {                                                                                                               \
        fprintf(out, "\"%s\":[", #member);                                                                             \
        for (size_t i = 0; i < (data)->n_rows; i++)                                                                    \
            fprintf(out, i ? ",%" PRId32 : "%" PRId32, (data)->rows[i].member);                                        \
        fputs("],\n", out);                                                                                            \
    } while (0)
#define PUT_ADDRESSES(out, data, member)                                                                               \
    do {                                                                                                               \
        fprintf(out, "\"%s\":\"", #member);                                                                            \
        for (size_t i = 0; i < (data)->n_rows; i++)                                                                    \
            fprintf(out, i ? " %" PRIx64 : "%" PRIx64, (data)->rows[i].member);                                        \
        fputs("\",\n", out);                                                                                           \
    } while (0)

static void put_rows(FILE *out, const struct view_data *data)
{
    fputs("\"rows\":{\n", out);
    PUT_NUMBERS(out, data, id);
    PUT_NUMBERS(out, data, parent);
    PUT_NUMBERS(out, data, target);
    PUT_NUMBERS(out, data, name);
    PUT_NUMBERS(out, data, owner);
    PUT_NUMBERS(out, data, ram);
    PUT_NUMBERS(out, data, kind);
    PUT_NUMBERS(out, data, flags);
    PUT_NUMBERS(out, data, priority);
    PUT_NUMBERS(out, data, rank);
    PUT_NUMBERS(out, data, line);
    PUT_ADDRESSES(out, data, offset);
    PUT_ADDRESSES(out, data, last);
    PUT_ADDRESSES(out, data, target_offset);
    fprintf(out, "\"count\":%zu},\n", data->n_rows);
}

/*
 * Where each row's memory begins among all RAM of the vm, "" where it has none. Rows are the topology's regions in their order:
 * only without a timeline.
 */
static void put_ram_offsets(FILE *out, const struct map *map)
{
    fputs("\"ram_offsets\":\"", out);
    for (size_t i = 0; i < map->topology->n_regions; i++) {
        gmem_ram *ram = gmem_region_ram(map->regions[i]);

        if (i)
            fputc(' ', out);
        if (ram)
            fprintf(out, "%" PRIx64, gmem_ram_offset(ram));
    }
    fputs("\",\n", out);
}

/* With a timeline, regions are known by other numbers than the topology's. */
static void put_guesses(FILE *out, const struct topology *topology, bool numbered)
{
    fputs("\"guesses\":[", out);
    for (size_t i = 0; i < topology->n_guesses; i++) {
        const struct topo_guess *guess = &topology->guesses[i];

        fprintf(out, "%s[%zu,%" PRId64 ",%d,", i ? ",\n" : "\n", guess->line,
                guess->region == NOWHERE || !numbered ? -1 : (int64_t)guess->region, guess->by == SETTLED_FLAT);
        put_string(out, guess->text, strlen(guess->text));
        fputc(']', out);
    }
    fputs("],\n", out);
}

static void put_calls(FILE *out, const struct step *step)
{
    fputs(",\"calls\":[", out);
    for (size_t i = 0; i < step->n_calls; i++) {
        const struct trace_event *call = &step->calls[i];

        fprintf(out, "%s[%zu,%u,%u,%u,\"%" PRIx64 "\",\"%" PRIx64 "\",\"%" PRIx64 "\",%" PRId64 "]", i ? "," : "",
                call->line, call->as_id, call->slot, call->flags, call->gpa, call->size, call->ua, call->result);
    }
    fputc(']', out);
}

static void put_step(FILE *out, const struct view_data *data, size_t n, const struct step *from)
{
    const struct view_step *step = &data->steps[n];

    fprintf(out, "%s{\"rows\":%zu,\"gone\":[", n ? ",\n" : "\n", step->n_rows);
    for (size_t i = 0; i < step->n_gone; i++)
        fprintf(out, i ? ",%" PRId32 : "%" PRId32, data->gone[step->first_gone + i]);
    fputs("]", out);
    if (!step->same_spaces) {
        fputs(",\"spaces\":[", out);
        for (size_t i = 0; i < step->n_spaces; i++) {
            const struct view_space *space = &data->spaces[step->first_space + i];

            fprintf(out, "%s[%" PRId32 ",%" PRId32 ",%" PRId32 "]", i ? "," : "", space->name, space->root,
                    space->line);
        }
        fputc(']', out);
    }
    if (from) {
        fprintf(out, ",\"line\":%zu,\"cause\":", from->line);
        put_string(out, from->cause, strlen(from->cause));
        if (from->has_time)
            fprintf(out, ",\"time\":\"%" PRIx64 "\"", from->time_ns);
        if (from->has_instructions)
            fprintf(out, ",\"instructions\":\"%" PRIx64 "\"", from->instructions);
        put_calls(out, from);
    }
    fputc('}', out);
}

static bool check_ways(const struct topology *topology, struct problem *problem)
{
    struct ways_index *index = ways_index(topology);
    struct ways ways;
    bool ok = true;

    for (size_t i = 0; ok && i < topology->n_spaces; i++) {
        ok = ways_find_in(index, i, 0, UINT64_MAX, WAYS_MAX, &ways, problem);
        if (ok)
            ways_free(&ways);
    }
    ways_index_free(index);
    return ok;
}

static bool gather(const struct loaded *loaded, const struct history *timeline, struct view_data *data,
                   struct problem *problem)
{
    if (!timeline) {
        if (!check_ways(&loaded->topology, problem))
            return false;
        viewdata_add(data, &loaded->topology, NULL);
        return true;
    }
    if (timeline->n_steps > STEPS_MAX)
        return problem_at(problem, timeline->source, 0, "%zu steps are more than a page can show (%d)",
                          timeline->n_steps, STEPS_MAX);
    for (size_t n = 1; n <= timeline->n_steps; n++) {
        struct topology topology;
        uint64_t *ids;
        bool ok;

        if (!history_topology(timeline, n, &topology, &ids, problem))
            return false;
        ok = check_ways(&topology, problem);
        if (ok)
            viewdata_add(data, &topology, ids);
        free(ids);
        topology_free(&topology);
        if (!ok)
            return false;
    }
    return true;
}

static void put_data(FILE *out, const struct loaded *loaded, const struct history *timeline,
                     const struct draw_options *options, const struct view_data *data)
{
    fputs("{\"format\":\"gmem-view\",\"version\":1,\n", out);
    put_text(out, "title", options->title ? options->title : loaded->name);
    put_text(out, "source", timeline ? timeline->source : loaded->name);
    if (options->space != NOWHERE)
        put_text(out, "space", loaded->topology.spaces[options->space].name);
    fprintf(out, "\"first\":\"%" PRIx64 "\",\"last\":\"%" PRIx64 "\",\n", options->first, options->last);
    put_texts(out, data->texts);
    put_rows(out, data);
    if (!timeline)
        put_ram_offsets(out, &loaded->map);
    put_guesses(out, &loaded->topology, !timeline);
    fprintf(out, "\"timeline\":%s,\n\"steps\":[", timeline ? "true" : "false");
    for (size_t i = 0; i < data->n_steps; i++)
        put_step(out, data, i, timeline ? &timeline->steps[i] : NULL);
    fputs("]}\n", out);
}

bool draw_html(const struct loaded *loaded, const struct history *timeline, const struct draw_options *options,
               FILE *out, struct problem *problem)
{
    struct view_data data = {0};
    bool ok = gather(loaded, timeline, &data, problem);

    if (ok) {
        fwrite(view_page_head, 1, view_page_head_size, out);
        put_data(out, loaded, timeline, options, &data);
        fwrite(view_page_tail, 1, view_page_tail_size, out);
    }
    viewdata_free(&data);
    return ok;
}
