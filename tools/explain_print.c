/* SPDX-License-Identifier: MIT */
/*
 * An explanation in words and as JSON. Owns nothing. One thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "explain.h"
#include "output.h"

#define SHOWN_MAX 64 /* candidates that the text has; the JSON has all */

struct printer {
    const struct explainer *explainer;
    const struct explanation *explanation;
    const struct topology *topology;
    FILE *out;
    size_t n; /* printed so far, of a list */
};

static const char *const fates[] = {
    [FATE_WINS] = "wins",       [FATE_CONTAINER] = "container",     [FATE_LOWER] = "lower",
    [FATE_EARLIER] = "earlier", [FATE_BELOW_CHILD] = "below-child", [FATE_DISABLED] = "disabled",
    [FATE_OUTSIDE] = "outside",
};

static const char *const kinds[] = {
    [GMEM_KIND_CONTAINER] = "container", [GMEM_KIND_RAM] = "ram",     [GMEM_KIND_ROM] = "rom",
    [GMEM_KIND_ROMD] = "romd",           [GMEM_KIND_MMIO] = "mmio",   [GMEM_KIND_ALIAS] = "alias",
    [GMEM_KIND_RESERVED] = "reserved",   [GMEM_KIND_IOMMU] = "iommu", [GMEM_KIND_RAM_DEVICE] = "ram-device",
};

static struct printer printer(const struct explainer *explainer, const struct explanation *explanation, FILE *out)
{
    return (struct printer){
        .explainer = explainer, .explanation = explanation, .topology = explainer_map(explainer)->topology, .out = out};
}

static const struct topo_region *region_at(const struct printer *p, size_t way)
{
    return &p->topology->regions[p->explanation->ways.ways[way].region];
}

/* A name that may be empty, or hold what a terminal would act on. To be freed. */
static char *name_of(const char *name)
{
    char *copy = *name ? alloc_text(name) : alloc_text("(unnamed)");

    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return copy;
}

/* What an access does; the words of docs/json.md. */
static const char *access_of(const struct printer *p)
{
    const struct topo_region *region = region_at(p, p->explanation->candidates[0].way);
    bool readonly = p->explanation->section.attrs & GMEM_RANGE_READONLY;

    switch (region->kind) {
    case GMEM_KIND_RAM:
    case GMEM_KIND_ROM:
        return readonly ? "rom" : "memory";
    case GMEM_KIND_ROMD:
        if (p->explanation->section.attrs & GMEM_RANGE_ROMD)
            return readonly ? "rom" : "romd";
        break;
    case GMEM_KIND_RAM_DEVICE:
        return readonly ? "ram-device-rom" : "ram-device";
    case GMEM_KIND_RESERVED:
        return "reserved";
    case GMEM_KIND_IOMMU:
        return "iommu";
    case GMEM_KIND_MMIO:
    case GMEM_KIND_CONTAINER:
    case GMEM_KIND_ALIAS:
        break;
    }
    return readonly ? "read-callbacks" : "callbacks";
}

static const char *access_text(const char *access)
{
    static const struct {
        const char *access, *text;
    } texts[] = {
        {"memory", "reads and writes memory"},
        {"rom", "reads memory; writes are dropped"},
        {"romd", "reads memory; writes go to the device's callbacks"},
        {"ram-device", "reads and writes the device's memory, each access as wide as the guest made it"},
        {"ram-device-rom", "reads the device's memory; writes are dropped"},
        {"reserved", "nobody answers: the addresses are claimed, accesses fail"},
        {"iommu", "goes where the IOMMU translates it to"},
        {"read-callbacks", "reads go to the device's callbacks; writes are dropped"},
        {"callbacks", "reads and writes go to the device's callbacks"},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i].access, access) == 0)
            return texts[i].text;
    return access;
}

static char *disabled_too(const struct printer *p, size_t way)
{
    for (; way != NOWHERE; way = p->explanation->ways.ways[way].up)
        if (!region_at(p, way)->enabled) {
            char *name = name_of(region_at(p, way)->name), *text = alloc_format("; and %s is disabled", name);

            free(name);
            return text;
        }
    return alloc_text("");
}

static char *why_sibling(const struct printer *p, const struct candidate *candidate, const char *by,
                         const char *against)
{
    const struct topo_region *over = &p->topology->regions[candidate->by];
    const struct topo_region *under = &p->topology->regions[candidate->against];
    char *in = name_of(p->topology->regions[over->parent].name), *text;

    if (candidate->fate == FATE_LOWER)
        text = alloc_format("%s (prio %" PRId32 ") lies over it: higher priority than %s (prio %" PRId32 ") in %s", by,
                            over->priority, against, under->priority, in);
    else
        text = alloc_format("%s lies over it: same priority (%" PRId32 ") in %s as %s, which was placed earlier", by,
                            over->priority, in, against);
    free(in);
    return text;
}

static char *why_outside(const struct printer *p, const struct candidate *candidate, const char *by,
                         const char *against)
{
    const struct topo_region *ended = &p->topology->regions[candidate->by];
    const struct topo_region *reaches = &p->topology->regions[candidate->against];
    char *disabled = disabled_too(p, candidate->way), *text;

    if (reaches->kind == GMEM_KIND_ALIAS && reaches->target == candidate->by)
        text = alloc_format("the window %s reaches past the end of its target %s, whose last offset is 0x%" PRIx64 "%s",
                            against, by, region_last(ended), disabled);
    else
        text = alloc_format("%s reaches past the end of %s, whose last offset is 0x%" PRIx64 "%s", against, by,
                            region_last(ended), disabled);
    free(disabled);
    return text;
}

char *explain_why(const struct explainer *explainer, const struct explanation *explanation, size_t index)
{
    struct printer p = printer(explainer, explanation, NULL);
    const struct candidate *candidate = &explanation->candidates[index];
    const struct topo_region *region = region_at(&p, candidate->way);
    char *by = name_of(candidate->by == NOWHERE ? "" : p.topology->regions[candidate->by].name);
    char *against = name_of(candidate->against == NOWHERE ? "" : p.topology->regions[candidate->against].name);
    char *text = NULL;

    switch (candidate->fate) {
    case FATE_WINS:
        text = alloc_text("");
        break;
    case FATE_CONTAINER:
        text = alloc_text(region->kind == GMEM_KIND_ALIAS
                              ? "what it is an alias of is not in the source, so nothing is seen through it"
                              : "it shows only its subregions, and none of them is here");
        break;
    case FATE_LOWER:
    case FATE_EARLIER:
        text = why_sibling(&p, candidate, by, against);
        break;
    case FATE_BELOW_CHILD:
        text = alloc_format("%s, in it, lies over what it shows itself", by);
        break;
    case FATE_DISABLED:
        text = candidate->by == p.explanation->ways.ways[candidate->way].region
                   ? alloc_text("it is disabled")
                   : alloc_format("%s, which it is seen through, is disabled", by);
        break;
    case FATE_OUTSIDE:
        text = why_outside(&p, candidate, by, against);
        break;
    }
    free(by);
    free(against);
    return text;
}

/* The region's members that identify it. */
static void json_region(const struct printer *p, size_t index)
{
    const struct topo_region *region = &p->topology->regions[index];

    fprintf(p->out, "\"region\": %zu, \"name\": ", index);
    json_string(p->out, region->name);
    if (region->line)
        fprintf(p->out, ", \"line\": %zu", region->line);
}

static void json_chain(const struct printer *p, size_t way)
{
    size_t chain[GMEM_DEPTH_MAX + 1], n = explain_chain(p->explanation, way, chain);

    fputs(", \"chain\": [", p->out);
    for (size_t i = 0; i < n; i++) {
        const struct way *at = &p->explanation->ways.ways[chain[i]];
        const struct topo_region *region = region_at(p, chain[i]);

        fputs(i ? ", {" : "{", p->out);
        json_region(p, at->region);
        fprintf(p->out, ", \"kind\": \"%s\", \"priority\": %" PRId32 ", \"enabled\": %s, \"readonly\": %s",
                kinds[region->kind], region->priority, region->enabled ? "true" : "false",
                region->readonly || region->kind == GMEM_KIND_ROM ? "true" : "false");
        if (region->nonvolatile)
            fputs(", \"nonvolatile\": true", p->out);
        fputs(", \"offset\": ", p->out);
        json_address(p->out, at->offset + (p->explanation->addr - at->first));
        if (region->owner) {
            fputs(", \"owner\": ", p->out);
            json_string(p->out, region->owner);
        }
        fputc('}', p->out);
    }
    fputc(']', p->out);
}

static void json_candidate(const struct printer *p, size_t index)
{
    const struct candidate *candidate = &p->explanation->candidates[index];
    char *why = explain_why(p->explainer, p->explanation, index);

    fputs(index ? ",\n    {" : "\n    {", p->out);
    json_region(p, p->explanation->ways.ways[candidate->way].region);
    fprintf(p->out, ", \"kind\": \"%s\", \"offset\": ", kinds[region_at(p, candidate->way)->kind]);
    json_address(p->out, candidate->offset);
    fprintf(p->out, ", \"fate\": \"%s\"", fates[candidate->fate]);
    if (candidate->by != NOWHERE) {
        fputs(", \"by\": {", p->out);
        json_region(p, candidate->by);
        fputc('}', p->out);
    }
    if (candidate->against != NOWHERE) {
        fputs(", \"against\": {", p->out);
        json_region(p, candidate->against);
        fputc('}', p->out);
    }
    if (*why) {
        fputs(", \"why\": ", p->out);
        json_string(p->out, why);
    }
    json_chain(p, candidate->way);
    fputc('}', p->out);
    free(why);
}

static void json_range(const struct printer *p, const char *member, const struct gmem_section *section)
{
    const struct explanation *e = p->explanation;

    fprintf(p->out, ",\n  \"%s\": {", member);
    json_region(p, map_region(explainer_map(p->explainer), section->region));
    fputs(", \"first\": ", p->out);
    json_address(p->out, section->first);
    fputs(", \"last\": ", p->out);
    json_address(p->out, section->last);
    fputs(", \"offset\": ", p->out);
    json_address(p->out, section->offset);
    if (section->last < e->addr || section->first > e->addr) {
        fputs(", \"distance\": ", p->out);
        json_address(p->out, section->last < e->addr ? e->addr - section->last : section->first - e->addr);
    }
    fputc('}', p->out);
}

static void json_winner(const struct printer *p)
{
    const struct explanation *e = p->explanation;
    uint64_t offset = e->candidates[0].offset;
    const gmem_ram *ram = gmem_region_ram(e->section.region);
    const struct topo_region *region = region_at(p, e->candidates[0].way);

    json_range(p, "range", &e->section);
    fprintf(p->out, ",\n  \"access\": \"%s\", \"readonly\": %s, \"nonvolatile\": %s, \"romd\": %s", access_of(p),
            e->section.attrs & GMEM_RANGE_READONLY ? "true" : "false",
            e->section.attrs & GMEM_RANGE_NONVOLATILE ? "true" : "false",
            e->section.attrs & GMEM_RANGE_ROMD ? "true" : "false");
    if (ram) {
        fputs(",\n  \"ram\": {\"block\": ", p->out);
        json_string(p->out, region->ram ? region->ram : region->name);
        fputs(", \"offset\": ", p->out);
        json_address(p->out, offset);
        fputs(", \"ram_offset\": ", p->out);
        json_address(p->out, gmem_ram_offset(ram) + offset);
        fputc('}', p->out);
    }
}

static void json_without(const struct printer *p)
{
    const struct explanation *e = p->explanation;

    if (e->next != NOWHERE)
        fprintf(p->out, ",\n  \"next\": %zu", e->next);
    fputs(",\n  \"without\": [", p->out);
    for (size_t i = 0; i < e->n_without; i++) {
        fputs(i ? ", {" : "{", p->out);
        json_region(p, e->without[i].region);
        if (e->without[i].next != NOWHERE)
            fprintf(p->out, ", \"next\": %zu", e->without[i].next);
        fputc('}', p->out);
    }
    fputc(']', p->out);
}

static void json_guess(void *opaque, const struct topo_guess *guess)
{
    struct printer *p = opaque;

    fputs(p->n++ ? ",\n    {" : "\n    {", p->out);
    json_region(p, guess->region);
    fprintf(p->out, ", \"by\": \"%s\", \"text\": ", guess->by == SETTLED_FLAT ? "flat" : "rule");
    json_string(p->out, guess->text);
    fputc('}', p->out);
}

void explain_json(const struct explainer *explainer, const struct explanation *explanation, FILE *out)
{
    struct printer p = printer(explainer, explanation, out);
    size_t root = p.topology->spaces[explanation->space].root;
    const char *between = "";

    fputs("{\"space\": ", out);
    json_string(out, p.topology->spaces[explanation->space].name);
    fputs(", \"spaces\": [", out);
    for (size_t i = 0; i < p.topology->n_spaces; i++)
        if (i == explanation->space || (root != NOWHERE && p.topology->spaces[i].root == root)) {
            fputs(between, out);
            json_string(out, p.topology->spaces[i].name);
            between = ", ";
        }
    fputs("], \"address\": ", out);
    json_address(out, explanation->addr);
    fprintf(out, ", \"found\": %s", explanation->found ? "true" : "false");
    if (explanation->found)
        json_winner(&p);
    fputs(",\n  \"candidates\": [", out);
    for (size_t i = 0; i < explanation->n_candidates; i++)
        json_candidate(&p, i);
    fputc(']', out);
    if (explanation->found)
        json_without(&p);
    if (explanation->has_before)
        json_range(&p, "before", &explanation->before);
    if (explanation->has_after)
        json_range(&p, "after", &explanation->after);
    fputs(",\n  \"guesses\": [", out);
    explain_guesses(explainer, explanation, json_guess, &p);
    fputs("]}", out);
}

/* "pc.ram, line 12" and so on, after what comes before it on the line. */
static void text_region(const struct printer *p, const struct topo_region *region, bool line)
{
    char *name = name_of(region->name);

    fprintf(p->out, "%s%s%s", color(COLOR_NAME), name, color(COLOR_NONE));
    if (line && region->line)
        fprintf(p->out, " %s(line %zu)%s", color(COLOR_DIM), region->line, color(COLOR_NONE));
    free(name);
}

static void text_chain(const struct printer *p, size_t way)
{
    size_t chain[GMEM_DEPTH_MAX + 1], n = explain_chain(p->explanation, way, chain);

    for (size_t i = 0; i < n; i++) {
        const struct way *at = &p->explanation->ways.ways[chain[i]];
        const struct topo_region *region = region_at(p, chain[i]);

        fprintf(p->out, "    %s0x%" PRIx64 "%s in ", color(COLOR_ADDRESS),
                at->offset + (p->explanation->addr - at->first), color(COLOR_NONE));
        text_region(p, region, false);
        fprintf(p->out, ", %s", kinds[region->kind]);
        if (region->kind == GMEM_KIND_ALIAS && region->target != NOWHERE) {
            fputs(" of ", p->out);
            text_region(p, &p->topology->regions[region->target], false);
            fprintf(p->out, " from 0x%" PRIx64, region->target_offset);
        }
        if (i > 0 && region->parent != NOWHERE && region_at(p, chain[i - 1])->kind != GMEM_KIND_ALIAS)
            fprintf(p->out, ", prio %" PRId32, region->priority);
        if (region->line)
            fprintf(p->out, "%s, line %zu%s", color(COLOR_DIM), region->line, color(COLOR_NONE));
        fputc('\n', p->out);
    }
}

/* The aliases on the way, so that one of several ways to a region is told from another. */
static void text_through(const struct printer *p, size_t way)
{
    size_t chain[GMEM_DEPTH_MAX + 1], n = explain_chain(p->explanation, way, chain);
    const char *word = " through ";

    for (size_t i = 0; i + 1 < n; i++)
        if (region_at(p, chain[i])->kind == GMEM_KIND_ALIAS) {
            fputs(word, p->out);
            text_region(p, region_at(p, chain[i]), true);
            word = ", ";
        }
}

static void text_from(const struct printer *p, const char *word, uint32_t attr)
{
    size_t chain[GMEM_DEPTH_MAX + 1], n = explain_chain(p->explanation, p->explanation->candidates[0].way, chain);
    const char *between = "because of";

    if (!(p->explanation->section.attrs & attr))
        return;
    fprintf(p->out, "  %-11s", word);
    for (size_t i = 0; i < n; i++) {
        const struct topo_region *region = region_at(p, chain[i]);
        bool own =
            attr == GMEM_RANGE_NONVOLATILE ? region->nonvolatile : region->readonly || region->kind == GMEM_KIND_ROM;

        if (!own)
            continue;
        fprintf(p->out, "%s %s ", between, kinds[region->kind]);
        text_region(p, region, true);
        between = ",";
    }
    fputc('\n', p->out);
}

static void text_winner(const struct printer *p)
{
    const struct explanation *e = p->explanation;
    const struct topo_region *region = region_at(p, e->candidates[0].way);
    uint64_t offset = e->candidates[0].offset, n = e->section.last - e->section.first;
    const gmem_ram *ram = gmem_region_ram(e->section.region);

    text_region(p, region, true);
    fprintf(p->out, " answers, at its offset %s0x%" PRIx64 "%s\n", color(COLOR_ADDRESS), offset, color(COLOR_NONE));
    fprintf(p->out, "  %-11s0x%" PRIx64 "-0x%" PRIx64 ", %s\n", "range", e->section.first, e->section.last,
            size_text(n == UINT64_MAX ? GMEM_SIZE_ALL : GMEM_SIZE(n + 1)));
    fprintf(p->out, "  %-11s%s\n", "an access", access_text(access_of(p)));
    text_from(p, "readonly", GMEM_RANGE_READONLY);
    text_from(p, "nonvolatile", GMEM_RANGE_NONVOLATILE);
    if (ram) {
        char *block = name_of(region->ram ? region->ram : region->name);

        fprintf(p->out, "  %-11s0x%" PRIx64 " in block %s; 0x%" PRIx64 " among all RAM\n", "RAM", offset, block,
                gmem_ram_offset(ram) + offset);
        free(block);
    }
    if (region->owner) {
        char *owner = name_of(region->owner);

        fprintf(p->out, "  %-11s%s\n", "owner", owner);
        free(owner);
    }
    fputs("  the way to it:\n", p->out);
    text_chain(p, e->candidates[0].way);
}

static void text_candidate(const struct printer *p, size_t index)
{
    const struct candidate *candidate = &p->explanation->candidates[index];
    char *why = explain_why(p->explainer, p->explanation, index);

    fputs("    ", p->out);
    text_region(p, region_at(p, candidate->way), true);
    fprintf(p->out, " at 0x%" PRIx64, candidate->offset);
    text_through(p, candidate->way);
    fprintf(p->out, "\n      %s\n", why);
    free(why);
}

static void text_losers(const struct printer *p)
{
    const struct explanation *e = p->explanation;
    size_t from = e->found, end = e->n_candidates - from > SHOWN_MAX ? from + SHOWN_MAX : e->n_candidates;

    if (from == e->n_candidates)
        return;
    fputs(e->found ? "  what else covers it, in the order in which it is asked:\n"
                   : "  what covers it, in the order in which it would be asked:\n",
          p->out);
    for (size_t i = from; i < end; i++)
        text_candidate(p, i);
    if (end < e->n_candidates)
        fprintf(p->out, "    and %zu more (--json has all)\n", e->n_candidates - end);
}

static void text_without(const struct printer *p)
{
    const struct explanation *e = p->explanation;

    fputs("  what would answer if one of these were disabled:\n", p->out);
    for (size_t i = 0; i < e->n_without - (e->n_without > 1); i++) { /* without the root there is nothing */
        size_t next = e->without[i].next;

        fputs("    without ", p->out);
        text_region(p, &p->topology->regions[e->without[i].region], false);
        fputs(": ", p->out);
        if (next == NOWHERE) {
            fputs("nothing\n", p->out);
            continue;
        }
        text_region(p, region_at(p, e->candidates[next].way), true);
        fprintf(p->out, " at 0x%" PRIx64, e->candidates[next].offset);
        text_through(p, e->candidates[next].way);
        fputc('\n', p->out);
    }
}

static void text_neighbour(const struct printer *p, const char *word, bool has, const struct gmem_section *section)
{
    uint64_t addr = p->explanation->addr, distance;

    fprintf(p->out, "    %s ", word);
    if (!has) {
        fputs("nothing\n", p->out);
        return;
    }
    distance = section->last < addr ? addr - section->last : section->first - addr;
    text_region(p, &p->topology->regions[map_region(explainer_map(p->explainer), section->region)], true);
    fprintf(p->out, " 0x%" PRIx64 "-0x%" PRIx64 ", 0x%" PRIx64 " away\n", section->first, section->last, distance);
}

static void text_guess(void *opaque, const struct topo_guess *guess)
{
    struct printer *p = opaque;
    char *text;

    if (guess->by != SETTLED_RULE)
        return;
    if (p->n++ == 0)
        fputs("  the answer rests on guesses, by rule, where the source leaves it open:\n", p->out);
    if (p->n > SHOWN_MAX)
        return;
    text = name_of(guess->text);
    if (guess->line)
        fprintf(p->out, "    line %zu: %s\n", guess->line, text);
    else
        fprintf(p->out, "    %s\n", text);
    free(text);
}

void explain_text(const struct explainer *explainer, const struct explanation *explanation, FILE *out)
{
    struct printer p = printer(explainer, explanation, out);
    char *space = name_of(p.topology->spaces[explanation->space].name);

    fprintf(out, "%s %s0x%" PRIx64 "%s: ", space, color(COLOR_ADDRESS), explanation->addr, color(COLOR_NONE));
    free(space);
    if (explanation->found)
        text_winner(&p);
    else
        fprintf(out, "%snothing answers%s\n", color(COLOR_BAD), color(COLOR_NONE));
    text_losers(&p);
    if (explanation->found)
        text_without(&p);
    fputs("  nearest ranges:\n", out);
    text_neighbour(&p, "below", explanation->has_before, &explanation->before);
    text_neighbour(&p, "above", explanation->has_after, &explanation->after);
    p.n = 0;
    explain_guesses(explainer, explanation, text_guess, &p);
    if (p.n > SHOWN_MAX)
        fprintf(out, "    and %zu more (--json has all)\n", p.n - SHOWN_MAX);
}
