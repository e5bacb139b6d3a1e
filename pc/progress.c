/* SPDX-License-Identifier: MIT */
/* pc/progress.c - a line that says how far touching a block's memory is. No state but the caller's; one thread. */
#include "progress.h"

void progress_end(struct progress *progress)
{
    if (progress->shown)
        putc('\n', progress->file);
    progress->shown = false;
}

void progress_show(struct progress *progress, const char *id, uint64_t done, uint64_t total, int64_t now)
{
    if (!progress->file)
        return;
    if (!done) {
        progress->begun = now;
        progress->shown_at = now - PROGRESS_EVERY_MS;
        progress->shown = false;
    }
    if (now - progress->begun < PROGRESS_AFTER_MS && !progress->shown)
        return;
    if (now - progress->shown_at >= PROGRESS_EVERY_MS || done == total) {
        fprintf(progress->file, "\rgmem-pc: %s: %u%% of %llu MiB touched", id,
                (unsigned)((double)done / (double)total * 100.0), (unsigned long long)(total >> 20));
        fflush(progress->file);
        progress->shown_at = now;
        progress->shown = true;
    }
    if (done == total)
        progress_end(progress);
}
