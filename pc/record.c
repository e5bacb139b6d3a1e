/* SPDX-License-Identifier: MIT */
/*
 * pc/record.c - writes a recording (docs/recording.md).
 *
 * The tree is printed as JSON after each commit, which has every space and region on a line of its own; lines that are not as
 * they were after the commit before are what changed. Printing is refused inside of commits, so a commit only leaves a mark
 * (traced), and the line is written when the machine says that the edit is done.
 *
 * A commit's cause is the configuration write that was traced in the same access of a processor; else the write to a device
 * that the access made, which is known when the device has returned; else what the hook says.
 *
 * Lock: the machine's device lock, which hooks are called with; it is free while the machine is made and when it is stopped. The
 * mark may be made by any thread that commits.
 */
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <gmem/trace.h>

/* A line of the tree: of a region, but for the commas around it. */
struct entry {
    uint64_t id;
    const char *text;
    size_t length;
};

struct tree {
    char *text;
    size_t length, room;
    const char *spaces; /* the lines of all spaces */
    size_t spaces_length;
    struct entry *found;  /* as printed */
    struct entry *sorted; /* by id */
    size_t n;
};

struct record {
    FILE *file;
    struct machine *machine; /* NULL: it is being made */
    struct tree tree;        /* after the line before */
    struct kvm_userspace_memory_region *calls;
    int *results; /* of the calls */
    size_t n_calls, room_calls;
    uint64_t step;
    uint64_t began; /* of the devices' clock */
    char cause[256];
    atomic_bool changed;
    bool failed;
};

struct record *record_create(FILE *file)
{
    struct record *record = calloc(1, sizeof(*record));

    if (record) {
        record->file = file;
        snprintf(record->cause, sizeof(record->cause), "start");
    }
    return record;
}

/* --- The tree ---------------------------------------------------------------------------------------------------------- */

static void tree_free(struct tree *tree)
{
    free(tree->text);
    free(tree->found);
    free(tree->sorted);
    *tree = (struct tree){0};
}

static int put(void *opaque, const char *text, size_t length)
{
    struct tree *tree = opaque;

    if (tree->room - tree->length <= length) {
        size_t room = (tree->length + length) * 2;
        char *moved = realloc(tree->text, room);

        if (!moved)
            return -ENOMEM;
        tree->text = moved;
        tree->room = room;
    }
    memcpy(tree->text + tree->length, text, length);
    tree->length += length;
    tree->text[tree->length] = '\0';
    return 0;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct entry *)a)->id, y = ((const struct entry *)b)->id;

    return (x > y) - (x < y);
}

/* Where the lines are. False: no memory, or it is not as docs/json.md says. */
static bool split(struct tree *tree)
{
    static const char spaces[] = "\"spaces\": [\n", regions[] = "\n], \"regions\": [\n", end[] = "\n]}\n";
    const char *at = strstr(tree->text, spaces), *stop, *line;
    size_t lines = 1;

    if (!at)
        return false;
    tree->spaces = at + strlen(spaces);
    at = strstr(tree->spaces, regions);
    if (!at)
        return false;
    tree->spaces_length = (size_t)(at - tree->spaces);
    at += strlen(regions);
    stop = tree->text + tree->length - strlen(end);
    if (stop < at || strcmp(stop, end) != 0)
        return false;
    for (line = at; line < stop; line++)
        lines += *line == '\n';
    tree->found = calloc(lines, sizeof(*tree->found));
    tree->sorted = calloc(lines, sizeof(*tree->sorted));
    if (!tree->found || !tree->sorted)
        return false;
    while (at < stop) {
        struct entry *entry = &tree->found[tree->n++];

        line = memchr(at, '\n', (size_t)(stop - at));
        if (!line)
            line = stop;
        *entry = (struct entry){.text = at, .length = (size_t)(line - at) - (line < stop)};
        if (sscanf(at, "{\"id\": %" SCNu64, &entry->id) != 1)
            return false;
        at = line + 1;
    }
    memcpy(tree->sorted, tree->found, tree->n * sizeof(*tree->sorted));
    qsort(tree->sorted, tree->n, sizeof(*tree->sorted), by_id);
    return true;
}

static bool tree_read(gmem_vm *vm, struct tree *tree)
{
    const struct gmem_print_options options = {.struct_size = sizeof(options), .flags = GMEM_PRINT_JSON};

    *tree = (struct tree){0};
    if (gmem_print_tree(vm, &options, put, tree) == 0 && split(tree))
        return true;
    tree_free(tree);
    return false;
}

static const struct entry *tree_find(const struct tree *tree, const struct entry *entry)
{
    return tree->sorted ? bsearch(entry, tree->sorted, tree->n, sizeof(*entry), by_id) : NULL;
}

static bool same(const struct entry *a, const struct entry *b)
{
    return a->text && b->text && a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

/* What is in now and was not, or was different: lines; else the ids of what was and is no more. Only counts without file. */
static size_t compare(const struct tree *was, const struct tree *now, bool gone, FILE *file)
{
    const struct tree *from = gone ? was : now, *to = gone ? now : was;
    size_t n = 0;

    for (size_t i = 0; i < from->n; i++) {
        const struct entry *entry = gone ? &from->sorted[i] : &from->found[i], *other = tree_find(to, entry);

        if (other && (gone || same(other, entry)))
            continue;
        if (file && n)
            fputs(", ", file);
        if (file && gone)
            fprintf(file, "%" PRIu64, entry->id);
        else if (file)
            fwrite(entry->text, 1, entry->length, file);
        n++;
    }
    return n;
}

static bool same_spaces(const struct tree *a, const struct tree *b)
{
    return a->text && b->text && a->spaces_length == b->spaces_length &&
           memcmp(a->spaces, b->spaces, a->spaces_length) == 0;
}

/* --- Lines ------------------------------------------------------------------------------------------------------------- */

static void write_string(FILE *file, const char *text)
{
    putc('"', file);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            putc('\\', file);
        putc(*c < ' ' || *c > '~' ? '?' : *c, file);
    }
    putc('"', file);
}

static void write_calls(struct record *record)
{
    fputs(", \"calls\": [", record->file);
    for (size_t i = 0; i < record->n_calls; i++) {
        const struct kvm_userspace_memory_region *call = &record->calls[i];

        fprintf(record->file,
                "%s{\"as_id\": %u, \"slot\": %u, \"flags\": \"0x%x\", \"gpa\": \"0x%llx\", \"size\": \"0x%llx\", "
                "\"ua\": \"0x%llx\", \"ret\": %d}",
                i ? ", " : "", call->slot >> 16, call->slot & 0xffff, call->flags, call->guest_phys_addr,
                call->memory_size, call->userspace_addr, record->results[i]);
    }
    putc(']', record->file);
    record->n_calls = 0;
}

/* The members that have something to say, and that there is something to say of the tree. */
static void write_tree(FILE *file, const struct tree *was, const struct tree *now)
{
    if (compare(was, now, true, NULL)) {
        fputs(", \"gone\": [", file);
        compare(was, now, true, file);
        putc(']', file);
    }
    if (!same_spaces(was, now)) {
        fputs(", \"spaces\": [", file);
        for (size_t i = 0; i < now->spaces_length; i++)
            putc(now->spaces[i] == '\n' ? ' ' : now->spaces[i], file);
        putc(']', file);
    }
    if (compare(was, now, false, NULL)) {
        fputs(", \"regions\": [", file);
        compare(was, now, false, file);
        putc(']', file);
    }
}

/* A commit that nothing is seen of has no line. */
static void write_step(struct record *record, const char *cause)
{
    struct machine_moment moment;
    struct tree now;

    atomic_store(&record->changed, false);
    /* What would follow a line of which only a part could be written is no line. */
    if (ferror(record->file))
        return;
    if (!tree_read(machine_vm(record->machine), &now)) {
        record->failed = true;
        return;
    }
    if (record->step && !record->n_calls && same_spaces(&record->tree, &now) &&
        !compare(&record->tree, &now, true, NULL) && !compare(&record->tree, &now, false, NULL)) {
        tree_free(&now);
        return;
    }
    machine_moment(record->machine, &moment);
    if (!record->step)
        record->began = moment.ns;
    fprintf(record->file, "{\"step\": %" PRIu64 ", \"cause\": ", ++record->step);
    write_string(record->file, cause);
    fprintf(record->file, ", \"time_ns\": %" PRIu64, moment.ns - record->began);
    if (moment.counted)
        fprintf(record->file, ", \"instructions\": %" PRIu64, moment.instructions);
    write_calls(record);
    write_tree(record->file, &record->tree, &now);
    fputs("}\n", record->file);
    fflush(record->file);
    tree_free(&record->tree);
    record->tree = now;
}

static const char *accel_name(const struct machine *machine)
{
    return machine_accel(machine) == PC_ACCEL_KVM ? "kvm" : "interp";
}

static const char *on_off(bool on)
{
    return on ? "true" : "false";
}

/* --- What the machine tells -------------------------------------------------------------------------------------------- */

static void on_trace(void *opaque, gmem_vm *vm, const struct gmem_trace_event *event)
{
    struct record *record = opaque;

    (void)vm;
    if (event->kind == GMEM_TRACE_COMMIT_END)
        atomic_store(&record->changed, true);
    else if (atomic_load(&record->changed) && !record->cause[0])
        snprintf(record->cause, sizeof(record->cause), "write %s+0x%" PRIx64 " <- 0x%" PRIx64,
                 gmem_region_name(event->u.mmio.region), event->u.mmio.offset, event->u.mmio.value);
}

int record_begin(struct record *record, struct machine *machine, const struct options *options, struct pc_error *error)
{
    int err = gmem_vm_set_trace(machine_vm(machine),
                                GMEM_TRACE_BIT(GMEM_TRACE_COMMIT_END) | GMEM_TRACE_BIT(GMEM_TRACE_MMIO_WRITE), on_trace,
                                record);

    if (err)
        return pc_fail(error, err, "the run can't be recorded: %s", gmem_strerror(err));
    record->machine = machine;
    fprintf(
        record->file,
        "{\"format\": \"gmem-recording\", \"version\": 1, \"machine\": \"gmem-pc %s\", \"accel\": \"%s\", "
        "\"memory\": \"0x%" PRIx64 "\", \"cpus\": %u, \"vga\": %s, \"smm\": %s, \"vapic\": %s, \"policy\": \"%s\"}\n",
        gmem_version(), accel_name(machine), options->memory, options->cpus, on_off(options->vga), on_off(options->smm),
        on_off(options->vapic), options->policy == GMEM_KVM_POLICY_REFERENCE ? "reference" : "keep");
    write_step(record, record->cause);
    record->cause[0] = '\0';
    return record->failed ? pc_fail(error, -ENOMEM, "out of memory") : 0;
}

void record_slot(struct record *record, const char *line)
{
    struct kvm_userspace_memory_region call;
    unsigned long long gpa, size, ua;
    int result;

    if (!record || sscanf(line, "kvm_set_user_memory Slot#%u flags=0x%x gpa=0x%llx size=0x%llx ua=0x%llx ret=%d",
                          &call.slot, &call.flags, &gpa, &size, &ua, &result) != 6)
        return;
    if (record->n_calls == record->room_calls) {
        size_t room = record->room_calls ? 2 * record->room_calls : 64;
        void *calls = realloc(record->calls, room * sizeof(*record->calls));
        void *results;

        if (calls)
            record->calls = calls;
        results = calls ? realloc(record->results, room * sizeof(*record->results)) : NULL;
        if (!results) {
            record->failed = true;
            return;
        }
        record->results = results;
        record->room_calls = room;
    }
    call.guest_phys_addr = gpa;
    call.memory_size = size;
    call.userspace_addr = ua;
    record->results[record->n_calls] = result;
    record->calls[record->n_calls++] = call;
}

void record_pci(struct record *record, const char *line)
{
    if (record && record->machine)
        snprintf(record->cause, sizeof(record->cause), "%s", line);
}

void record_mapped(struct record *record, const char *cause)
{
    if (record && record->machine && atomic_load(&record->changed))
        write_step(record, cause ? cause : record->cause);
}

void record_served(struct record *record)
{
    record_mapped(record, NULL);
    if (record)
        record->cause[0] = '\0';
}

bool record_end(struct record *record)
{
    bool whole;

    if (!record)
        return true;
    if (record->machine && gmem_vm_set_trace(machine_vm(record->machine), 0, NULL, NULL))
        record->failed = true;
    whole = !record->failed;
    tree_free(&record->tree);
    free(record->calls);
    free(record->results);
    free(record);
    return whole;
}
