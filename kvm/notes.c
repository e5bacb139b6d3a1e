/* SPDX-License-Identifier: MIT */
/*
 * notes.c - what an adapter hears of a space, noted until a commit succeeds, and netted to what the planners take.
 *
 * A range that is removed and added, in whichever order, comes to nothing; of several changes of its log the last counts.
 * Invariant: there is room for the opposites of all notes, so that an undo needs no memory.
 *
 * Runs inside of commits, under the vm's writer turn.
 */
#include "notes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gmem/listener.h>
#include <gmem/ram.h>

enum note_kind {
    NOTE_DEL,
    NOTE_ADD,
    NOTE_LOG,
};

/* One callback heard. The first five members say of which range, and order them; seq is when. */
struct gmem__note {
    uint64_t first;
    uint64_t last;
    uint64_t offset;
    uintptr_t region; /* for comparison only */
    uint32_t attrs;   /* without logging clients */
    enum note_kind kind;
    size_t seq;
    uint32_t flags; /* ADD: KVM_MEM_* */
    bool log;       /* LOG: somebody wants it */
    bool slot;      /* ADD: it has memory that can be slots, namely run */
    struct gmem__run run;
};

static const uint32_t log_flag = (uint32_t)KVM_MEM_LOG_DIRTY_PAGES;

/*
 * Room for count more notes and, because an undo makes as many again and must not fail, for their opposites.
 */
static int reserve_notes(struct gmem__notes *notes, size_t more)
{
    void *array = notes->note;
    int err = gmem__kvm_grow(&array, &notes->room, 2 * (notes->count + more), sizeof(*notes->note));

    notes->note = array;
    /* Inside an undo the room is there, though not twice. */
    return notes->count + more <= notes->room ? 0 : err;
}

static int take_note(struct gmem__notes *notes, const struct gmem_section *section, enum note_kind kind,
                     struct gmem__note **ret_note)
{
    int err = reserve_notes(notes, 1);
    struct gmem__note *note;

    if (err)
        return err;
    note = &notes->note[notes->count];
    memset(note, 0, sizeof(*note));
    note->first = section->first;
    note->last = section->last;
    note->offset = section->offset;
    note->region = (uintptr_t)section->region;
    note->attrs = section->attrs & ~GMEM_RANGE_LOG_MASK;
    note->kind = kind;
    note->seq = notes->count++;
    *ret_note = note;
    return 0;
}

static bool keeps(const struct gmem__notes *notes)
{
    return notes->options->policy == GMEM_KVM_POLICY_KEEP;
}

/* Whether a section's memory can be given to the guest, and how. */
static bool wants_slot(const struct gmem__notes *notes, const struct gmem_section *section, uint32_t *ret_flags)
{
    bool device = gmem_region_kind(section->region) == GMEM_KIND_ROMD;
    bool readonly = keeps(notes) ? section->attrs & GMEM_RANGE_READONLY : gmem_region_readonly(section->region);

    if (device && !(section->attrs & GMEM_RANGE_ROMD))
        return false;
    *ret_flags = 0;
    if (readonly || device)
        *ret_flags |= (uint32_t)KVM_MEM_READONLY;
    if (section->attrs & GMEM_RANGE_LOG_MASK)
        *ret_flags |= log_flag;
    return true;
}

static uint64_t rebase_of(const gmem_ram *ram)
{
    return ram ? gmem_ram_offset(ram) - (uintptr_t)gmem_ram_host(ram) : 0;
}

int gmem__notes_add(struct gmem__notes *notes, const struct gmem_section *section)
{
    const struct gmem_kvm_options *options = notes->options;
    gmem_ram *ram = gmem_region_ram(section->region);
    void *host = gmem_section_host(section);
    struct gmem__note *note;
    int err = take_note(notes, section, NOTE_ADD, &note);

    if (err)
        return err;
    if (host && wants_slot(notes, section, &note->flags))
        note->slot = gmem__run_trim(section->first, section->last, (uintptr_t)host, options->page_size, &note->run);
    note->run.block = (uintptr_t)ram;
    if (note->slot && options->ram_offsets)
        note->run.rebase = rebase_of(ram);
    return 0;
}

int gmem__notes_del(struct gmem__notes *notes, const struct gmem_section *section)
{
    struct gmem__note *note;

    return take_note(notes, section, NOTE_DEL, &note);
}

int gmem__notes_log(struct gmem__notes *notes, const struct gmem_section *section, bool log)
{
    struct gmem__note *note;
    int err = take_note(notes, section, NOTE_LOG, &note);

    if (err)
        return err;
    note->log = log;
    return 0;
}

/* --- netting them --- */

static int compare_ranges(const struct gmem__note *a, const struct gmem__note *b)
{
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (a->last != b->last)
        return a->last < b->last ? -1 : 1;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    if (a->region != b->region)
        return a->region < b->region ? -1 : 1;
    if (a->attrs != b->attrs)
        return a->attrs < b->attrs ? -1 : 1;
    return 0;
}

static int compare_notes(const void *left, const void *right)
{
    const struct gmem__note *a = left;
    const struct gmem__note *b = right;
    int order = compare_ranges(a, b);

    if (order)
        return order;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int reserve_input(struct gmem__notes *notes, size_t changes, size_t runs)
{
    void *gone = notes->gone;
    void *relogs = notes->relog;
    void *array = notes->run;
    int err = gmem__kvm_grow(&gone, &notes->gone_room, changes, sizeof(*notes->gone));

    notes->gone = gone;
    if (!err)
        err = gmem__kvm_grow(&relogs, &notes->relog_room, changes, sizeof(*notes->relog));
    notes->relog = relogs;
    if (!err)
        err = gmem__kvm_grow(&array, &notes->run_room, runs, sizeof(*notes->run));
    notes->run = array;
    return err;
}

/* Enter what the notes [note, end) of one range come to. Only the reference has a slot for each range. */
static int net_range(struct gmem__notes *notes, const struct gmem__note *note, const struct gmem__note *end)
{
    const uint64_t largest = keeps(notes) ? UINT64_MAX : notes->options->max_slot_bytes;
    const struct gmem__note *add = NULL;
    const struct gmem__note *log = NULL;
    uint64_t first = note->first;
    uint64_t last = note->last;
    size_t pieces;
    size_t i;
    int net = 0;
    int err;

    for (; note < end; note++) {
        if (note->kind == NOTE_LOG) {
            log = note;
            continue;
        }
        net += note->kind == NOTE_ADD ? 1 : -1;
        add = note->kind == NOTE_ADD ? note : NULL;
        log = NULL;
    }
    if (net < 0)
        notes->gone[notes->gone_count++] = (struct gmem__span){first, last};
    if (net == 0 && log)
        notes->relog[notes->relog_count++] = (struct gmem__relog){first, last, log->log};
    if (net <= 0 || !add || !add->slot)
        return 0;
    pieces = gmem__run_pieces(&add->run, largest);
    if (pieces > GMEM__SLOTS_MAX)
        return -ENOSPC;
    err = reserve_input(notes, 0, notes->run_count + pieces);
    for (i = 0; i < pieces && !err; i++) {
        struct gmem__run run = gmem__run_piece(&add->run, largest, i);

        run.flags = add->flags & ~log_flag;
        if (log ? log->log : (add->flags & log_flag) != 0)
            run.flags |= log_flag;
        notes->run[notes->run_count++] = run;
    }
    return err;
}

int gmem__notes_net(struct gmem__notes *notes)
{
    size_t i;
    size_t end;
    int err = reserve_input(notes, notes->count, notes->count);

    notes->gone_count = 0;
    notes->run_count = 0;
    notes->relog_count = 0;
    if (notes->count > 1)
        qsort(notes->note, notes->count, sizeof(*notes->note), compare_notes);
    for (i = 0; i < notes->count && !err; i = end) {
        for (end = i + 1; end < notes->count && !compare_ranges(&notes->note[i], &notes->note[end]);)
            end++;
        err = net_range(notes, &notes->note[i], &notes->note[end]);
    }
    return err;
}

int gmem__notes_reserve_runs(struct gmem__notes *notes, size_t runs)
{
    return reserve_input(notes, 0, runs);
}

void gmem__notes_forget(struct gmem__notes *notes)
{
    notes->count = 0;
}

void gmem__notes_free(struct gmem__notes *notes)
{
    free(notes->note);
    free(notes->gone);
    free(notes->run);
    free(notes->relog);
}
