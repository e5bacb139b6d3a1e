/* SPDX-License-Identifier: MIT */
/*
 * gmem/dirty.h - which pages of RAM were written, for each client that wants to know.
 *
 * A client (0 to GMEM_LOG_CLIENTS - 1) has a bitmap of each RAM block that it ever wished to log, by
 * gmem_region_set_log() or, MIGRATION, by gmem_vm_set_global_log(); a bit for each GMEM_DIRTY_PAGE_SIZE
 * bytes, until the block ends. Nothing is dirty at first. Pages become dirty:
 *
 *   by gmem_space_write(), fill, write_rom, st* and caches, when the range that they write through wishes to log
 *   for the client, and for MIGRATION while everything is logged (ram-device regions are left out of that)
 *   by gmem_unmap(), gmem_segments_release() and gmem_segment_write(), for all clients that have a bitmap
 *   by gmem_ram_dirty_mark() and mark_bitmap(), for these too: for whoever writes through gmem_ram_host() or
 *   gmem_section_host(), and for what a virtual processor writes in KVM's slots, which KVM logs
 *
 * A page is dirty after it was written. Who finds it dirty with test_and_clear or a snapshot and copies
 * it then has every write that the bit stood for, and later ones make it dirty again: no write is lost.
 * An access that began before the commit (or gmem_vm_set_global_log()) that begins to log may write
 * unmarked until gmem_vm_settle(). To begin with a whole copy: begin to log, settle, drop a snapshot of
 * all, copy all. A page may be found dirty that was not written.
 *
 * Offsets and sizes are bytes of the block, which for a region of it are bytes of the region as well;
 * intervals are rounded outwards to pages. Any thread, without a lock, unless said otherwise. A client
 * without a bitmap finds nothing dirty. Errors of all functions on blocks:
 *
 * -EINVAL  a NULL argument, no such client, or size or pages is 0
 * -ERANGE  the interval is not inside the block (of which size counts, not what is mapped)
 * -EIO     of test_and_clear and snapshots: the kernel, which could do it when the vm was made, now refuses
 *          membarrier(2); what was dirty still is
 */
#ifndef GMEM_DIRTY_H
#define GMEM_DIRTY_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GMEM_DIRTY_PAGE_SIZE 4096u

/* Clients. From USER on they are whose gmem_vm_log_client_get() gave them. */
#define GMEM_LOG_CLIENTS 8u
#define GMEM_LOG_DISPLAY 0u
#define GMEM_LOG_MIGRATION 1u
#define GMEM_LOG_CODE 2u
#define GMEM_LOG_USER 3u

/* --- marking ------------------------------------------------------------------------------------------------------- */

/* The pages of the interval were written: for all clients that have a bitmap. After the write. */
GMEM_API int gmem_ram_dirty_mark(gmem_ram *ram, uint64_t offset, uint64_t size) GMEM_MUST_CHECK;

/*
 * The same for those of pages pages from offset on whose bit is set: bit i % 64 of bits[i / 64] is page
 * i, as KVM_GET_DIRTY_LOG gives them to a little-endian host. A word at a time; no more than each word
 * is written where offset is a multiple of 64 pages.
 *
 * -EINVAL  also: offset is no multiple of GMEM_DIRTY_PAGE_SIZE
 */
GMEM_API int gmem_ram_dirty_mark_bitmap(gmem_ram *ram, uint64_t offset, const uint64_t *bits,
                                        uint64_t pages) GMEM_MUST_CHECK;

/* The same for a set of clients, bit c for client c: to give back what was taken but not dealt with. */
GMEM_API int gmem_ram_dirty_mark_clients(gmem_ram *ram, unsigned clients, uint64_t offset, const uint64_t *bits,
                                         uint64_t pages) GMEM_MUST_CHECK;

/* --- looking ------------------------------------------------------------------------------------------------------- */

/*
 * Whether any page of the interval is dirty; test_and_clear makes all of them clean. It makes every
 * processor that runs a thread of this program pass a barrier, if a page was dirty: for many pages a
 * snapshot does that once.
 */
GMEM_API int gmem_ram_dirty_test(const gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size,
                                 bool *ret_dirty) GMEM_MUST_CHECK;
GMEM_API int gmem_ram_dirty_test_and_clear(gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size,
                                           bool *ret_dirty) GMEM_MUST_CHECK;

/*
 * The first run of dirty pages that ends behind from, without what is before from; it ends at a clean
 * page, or with the block. The next is asked for at *ret_offset + *ret_size. Where pages are written
 * meanwhile, each was as it is said to be at some moment of the call.
 *
 * -ENOENT  no page is dirty at or behind from, which may be any number
 */
GMEM_API int gmem_ram_dirty_next(const gmem_ram *ram, unsigned client, uint64_t from, uint64_t *ret_offset,
                                 uint64_t *ret_size) GMEM_MUST_CHECK;

/* How many pages of the block are dirty. */
GMEM_API int gmem_ram_dirty_count(const gmem_ram *ram, unsigned client, uint64_t *ret_pages) GMEM_MUST_CHECK;

/* The clients that have a bitmap of the block: bit c for client c. */
GMEM_API uint32_t gmem_ram_dirty_clients(const gmem_ram *ram);

/* --- snapshots ----------------------------------------------------------------------------------------------------- */

/* What was dirty of an interval, taken from the bitmap. It changes no more, refers to nothing, and is the caller's. */
typedef struct gmem_dirty_snapshot gmem_dirty_snapshot;

/*
 * Take what the client has dirty in the interval, which is clean then: pages written from now on are the
 * next snapshot's. Each dirty page is in one snapshot, whoever else clears at the same time. Listeners are not asked:
 * see gmem_region_dirty_snapshot().
 *
 * -ENOMEM  out of memory; what was dirty still is
 */
GMEM_API int gmem_ram_dirty_snapshot(gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size,
                                     gmem_dirty_snapshot **ret_snapshot) GMEM_MUST_CHECK;

/*
 * The same for [first, last] of a ram, rom or romd region, with what listeners know: log_sync of the whole region, the
 * snapshot, then log_clear of the interval. What is found dirty may be copied when this returns. A refusal
 * of log_clear makes what was taken dirty again. Takes the vm's writer turn, so it waits while another
 * thread has a transaction open; inside one it sees what is published, not its edits.
 *
 * -EINVAL      also: first is behind last
 * -ERANGE      the interval is not inside the region
 * -EOPNOTSUPP  another kind of region
 * -EBUSY       called from a listener callback
 * -ENOMEM      out of memory; nobody was asked
 * other        what a listener refused with
 */
GMEM_API int gmem_region_dirty_snapshot(gmem_region *region, unsigned client, uint64_t first, uint64_t last,
                                        gmem_dirty_snapshot **ret_snapshot) GMEM_MUST_CHECK;

/*
 * Offsets are those of the block or region that the snapshot was made of, not of its interval; outside
 * of that (rounded outwards to pages) nothing is dirty. test: whether any page of the interval is. count:
 * pages. next: as gmem_ram_dirty_next(), which see; -EINVAL for a NULL argument. NULL is clean, and may be freed.
 */
GMEM_API bool gmem_dirty_snapshot_test(const gmem_dirty_snapshot *snapshot, uint64_t offset, uint64_t size);
GMEM_API uint64_t gmem_dirty_snapshot_count(const gmem_dirty_snapshot *snapshot);
GMEM_API int gmem_dirty_snapshot_next(const gmem_dirty_snapshot *snapshot, uint64_t from, uint64_t *ret_offset,
                                      uint64_t *ret_size) GMEM_MUST_CHECK;
GMEM_API void gmem_dirty_snapshot_free(gmem_dirty_snapshot *snapshot);

/* --- a vm as a whole ----------------------------------------------------------------------------------------------- */

/*
 * log_sync for every visible piece of RAM that is logged: by a region's wish, or all but ram-device while everything is
 * (gmem_vm_set_global_log()). All are asked; the first refusal is returned. Waits for the writer turn.
 *
 * -EINVAL  vm is NULL
 * -EBUSY   called from a listener callback
 * other    what a listener refused with
 */
GMEM_API int gmem_vm_log_sync(gmem_vm *vm) GMEM_MUST_CHECK;

/*
 * Wait until every access that is under way has ended, device callbacks included. What was published or
 * switched before is then obeyed by all: no write goes unmarked that a client logs since before the call.
 * A device callback that never returns keeps this waiting; so does one that waits for a lock, or for a transaction of
 * another vm, that the caller has.
 *
 * -EINVAL  vm is NULL
 * -EBUSY   called where it could wait for itself: inside an access (a device callback), inside a transaction of
 *          this thread, or in a listener or log callback of a commit
 * -EIO     see above
 */
GMEM_API int gmem_vm_settle(gmem_vm *vm) GMEM_MUST_CHECK;

/*
 * Get a client from GMEM_LOG_USER on that nobody has, with nothing dirty, so that parts of a program need not
 * know of each other. name (copied, 1 to GMEM_NAME_MAX bytes) says whose it is. put gives it back: stop logging for it
 * first; bitmaps stay with their blocks. Numbers may be used without this only where no part of the program gets any.
 *
 * -EINVAL        a NULL argument, an empty or overlong name
 * -EEXIST        a client has the name
 * -ENOSPC        none is free
 * -ENOMEM        out of memory
 */
GMEM_API int gmem_vm_log_client_get(gmem_vm *vm, const char *name, unsigned *ret_client) GMEM_MUST_CHECK;
/* Does nothing if nobody has got the client. */
GMEM_API void gmem_vm_log_client_put(gmem_vm *vm, unsigned client);

/*
 * Copy the name of a client ("display", "migration", "code", or as it was got) into buf (size bytes, NUL-terminated,
 * cut if need be).
 *
 * -EINVAL  a NULL argument, or no such client
 * -ENOENT  nobody has got it
 */
GMEM_API int gmem_vm_log_client_name(gmem_vm *vm, unsigned client, char *buf, size_t size) GMEM_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
