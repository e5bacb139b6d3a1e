/* SPDX-License-Identifier: MIT */
/*
 * gmem/ram.h - RAM blocks: the host memory behind regions of ram, rom, romd and ram-device.
 *
 * A block has a stable id string, unique in its vm, and a place in the vm's RAM offset space, which
 * numbers every byte of guest RAM once (migration streams are indexed by it). It
 * is counted: the creator has one reference, each region made of it another; the memory is
 * unmapped, and its id and offsets can be used again, when the last is gone. Which of its pages were written
 * is what gmem/dirty.h is about.
 */
#ifndef GMEM_RAM_H
#define GMEM_RAM_H

#include <gmem/dirty.h>

#ifdef __cplusplus
extern "C" {
#endif

enum gmem_ram_backing {
    GMEM_RAM_ANON = 0,   /* anonymous memory (mmap(2)) */
    GMEM_RAM_MEMFD = 1,  /* a memfd_create(2) file, which other processes can be given */
    GMEM_RAM_FILE = 2,   /* the file at path, from file_offset on; created, and grown, as needed */
    GMEM_RAM_CALLER = 3, /* memory the caller already has; it stays the caller's and must outlive the block */
};

/*
 * Flags of a block. Without NORESERVE the kernel's overcommit policy (proc(5), /proc/sys/vm/overcommit_memory)
 * decides at once whether the host can have private or anonymous memory of this size. Pages of a shared file or memfd
 * are reserved when they are touched, or with PREALLOC.
 */
#define GMEM_RAM_SHARED 0x01u   /* MAP_SHARED: writes are seen by other mappings (default: private) */
#define GMEM_RAM_PREALLOC 0x02u /* touch every page now, so that running out of memory fails here */
#define GMEM_RAM_HUGE 0x04u     /* advise transparent huge pages (madvise(2) MADV_HUGEPAGE) */
#define GMEM_RAM_NO_DUMP 0x08u  /* leave it out of core dumps (MADV_DONTDUMP) */
#define GMEM_RAM_NO_FORK 0x10u  /* children of fork(2) do not get it (MADV_DONTFORK) */
#define GMEM_RAM_MERGE 0x20u    /* let KSM merge equal pages (MADV_MERGEABLE) */
#define GMEM_RAM_READONLY 0x40u /* FILE: open and map it read-only; only rom regions may be made of it */
#define GMEM_RAM_HUGETLB 0x80u  /* MEMFD: hugetlbfs pages of huge_page_size bytes (memfd_create(2) MFD_HUGETLB) */
/*
 * A touch of a page for which there is no room raises SIGBUS in whoever touches it: of a MEMFD or FILE without PREALLOC when
 * its file system is full, of a FILE that somebody else makes shorter. The library handles no signals.
 *
 * ANON, MEMFD, FILE: reserve nothing (MAP_NORESERVE), for blocks larger than what will be touched of them. Where the
 * host has no page left for a touch, the kernel kills a process.
 */
#define GMEM_RAM_NORESERVE 0x100u

struct gmem_ram_options {
    size_t struct_size; /* sizeof(struct gmem_ram_options) */
    const char *id;     /* unique in the vm, 1 to GMEM_RAM_ID_MAX bytes; copied */
    uint64_t size;      /* bytes, at least 1; what is mapped is rounded up to the backing's page size */
    enum gmem_ram_backing backing;
    uint32_t flags;          /* GMEM_RAM_* */
    const char *path;        /* FILE: its path; a directory (e.g. a hugetlbfs mount): an unlinked file in it */
    uint64_t file_offset;    /* FILE: where in the file the block begins; a multiple of the page size */
    uint64_t huge_page_size; /* HUGETLB: 0 is the system's default */
    void *host;              /* CALLER: the memory; size bytes, page-aligned */
    uint64_t align;          /* alignment of the mapping in the host: 0 (page size) or a power of two at least that */
    /*
     * PREALLOC: NULL, or told how many of total bytes (those mapped) are touched: 0 first, then after every piece of
     * GMEM_RAM_PREALLOC_STEP bytes (or one page of the backing, if larger), total last. On the creating thread, with no
     * lock held. Non-zero cancels: -ECANCELED.
     */
    int (*progress)(void *opaque, uint64_t done, uint64_t total);
    void *progress_opaque;
    /*
     * 0: the size never changes. Else it may, up to this many bytes (gmem_ram_resize()): room for them is kept in the host's address
     * space and in the RAM offset space, a file is made that long, and CALLER memory is. Memory is reserved as it is touched
     * (NORESERVE); PREALLOC touches what size says.
     */
    uint64_t max_size;
};

#define GMEM_RAM_PREALLOC_STEP (UINT64_C(64) << 20)

#define GMEM_RAM_ID_MAX 255u

/*
 * Create a block; its contents are zero, or the file's, or what the caller's memory holds. *ret_ram
 * is the caller's reference. Does not wait for the writer turn. Advice that the kernel does not
 * know is logged and ignored; failing to map or to preallocate is an error. Offsets in the RAM
 * offset space are multiples of 64 pages. A private block may be made of a file that can only be
 * read. A memfd is sealed against changing its size.
 *
 * -EINVAL     a NULL or empty id, zero size, unknown backing or flags, flags that do not fit the backing (SHARED with
 *             READONLY is fine, PREALLOC with READONLY is not), a max_size below size or with READONLY, a misaligned pointer, offset or align, a path, file offset or
 *             pointer that this backing has no use for
 * -EEXIST     the id is in use in this vm
 * -ENOMEM     the host has no memory, or no address space, for it
 * -ENOSPC     no room left in the vm's RAM offset space
 * -EOVERFLOW  the size can't be rounded up to the page size
 * -EBUSY      called from a listener callback
 * -ERANGE     the file is too short and can't be grown
 * -ECANCELED  progress asked for it; as after every failure, the file (but for blocks reserved inside its length) is as it was
 * other       what open(2), ftruncate(2), memfd_create(2) or mmap(2) failed with: -ENOENT, -EACCES, -EISDIR, -EPERM ...
 */
GMEM_API int gmem_ram_create(gmem_vm *vm, const struct gmem_ram_options *options, gmem_ram **ret_ram) GMEM_MUST_CHECK;

/* An anonymous private block: gmem_ram_create() with the defaults. */
GMEM_API int gmem_ram_create_anon(gmem_vm *vm, const char *id, uint64_t size, gmem_ram **ret_ram) GMEM_MUST_CHECK;

/* Take another reference; returns ram. unref gives one up; NULL is allowed. Any thread. */
GMEM_API gmem_ram *gmem_ram_ref(gmem_ram *ram);
GMEM_API void gmem_ram_unref(gmem_ram *ram);

/* What a block is; immutable while a reference is held, but for the size of one that is resizable. Any thread. */
GMEM_API gmem_vm *gmem_ram_vm(const gmem_ram *ram);
GMEM_API const char *gmem_ram_id(const gmem_ram *ram);
GMEM_API void *gmem_ram_host(const gmem_ram *ram);
GMEM_API uint64_t gmem_ram_size(const gmem_ram *ram);      /* as asked for, by the latest resize */
GMEM_API uint64_t gmem_ram_max_size(const gmem_ram *ram);  /* that it can have: size, if it is not resizable */
GMEM_API uint64_t gmem_ram_mapped(const gmem_ram *ram);    /* max_size rounded up to page_size; never changes */
GMEM_API uint64_t gmem_ram_page_size(const gmem_ram *ram); /* of the backing */
GMEM_API uint64_t gmem_ram_offset(const gmem_ram *ram);    /* in the vm's RAM offset space, bytes */
GMEM_API uint32_t gmem_ram_flags(const gmem_ram *ram);

/*
 * The file behind a memfd or file block and where in it the block begins, to hand to another
 * process. The descriptor stays the library's (dup(2) it to keep it).
 *
 * -ENODATA  the block has no file (anonymous or the caller's)
 */
GMEM_API int gmem_ram_fd(const gmem_ram *ram, int *ret_fd, uint64_t *ret_file_offset) GMEM_MUST_CHECK;

/* The block of vm with this id, with a reference of the caller's. -ENOENT: there is none. */
GMEM_API int gmem_ram_find(gmem_vm *vm, const char *id, gmem_ram **ret_ram) GMEM_MUST_CHECK;

/*
 * The block that host points into and the offset in it, with a reference of the caller's. -ENOENT: none.
 */
GMEM_API int gmem_ram_find_host(gmem_vm *vm, const void *host, gmem_ram **ret_ram,
                                uint64_t *ret_offset) GMEM_MUST_CHECK;

/*
 * Call fn for each block, by rising offset, until it returns non-zero, which is then returned; else 0. No lock is held
 * meanwhile: fn may create and give up blocks, and meets those that come behind the one it was called for. ram is
 * borrowed for the call; fn may take a reference. Any thread. -EINVAL: vm or fn is NULL.
 */
typedef int gmem_ram_fn(void *opaque, gmem_ram *ram);
GMEM_API int gmem_ram_foreach(gmem_vm *vm, gmem_ram_fn *fn, void *opaque);

/*
 * Give a resizable block another size. The regions made of it that showed all of it get that size with it, and others that
 * would reach beyond it are cut to it, in one transaction (G1).
 * The block stays where it is, in the host and in the RAM offset space. Who still reaches what is above a smaller size (a view, a
 * map, a pointer) does not fault. That memory is given back to the host, and is zero if the block grows again, but for what such
 * a straggler writes after it grew. (Of CALLER memory and private files it is only zeroed.) What a file holds above the largest
 * size that the block ever had is left alone, and seen when it grows. Dirty bits are kept; what the block grows by is marked dirty for
 * all clients that have a bitmap, since what they copied when it was there before is no more. Every region of the vm is looked at.
 *
 * size() and who reads it see the new size: of one that grows shortly before the commit (it is taken back if that is refused), of
 * one that shrinks after it. The block's notifiers are then called, in the order in which they were added, with the vm's
 * writer turn held; they may edit, but not resize the same block.
 *
 * -EINVAL      ram is NULL, or size is 0
 * -EOPNOTSUPP  the block is not resizable
 * -ERANGE      size is above max_size
 * -EBUSY       inside an open transaction of this thread; from a listener callback or a notifier of this block
 * -ENOMEM      no memory; PREALLOC: the host has none for what is new
 * others       as gmem_region_resize() of one of the regions, and what a listener refuses with
 */
GMEM_API int gmem_ram_resize(gmem_ram *ram, uint64_t size) GMEM_MUST_CHECK;

/* Hears of each resize of a block, after it. The caller's, kept until it is removed; zero what is not named here. */
struct gmem_ram_notifier {
    void (*fn)(void *opaque, gmem_ram *ram, uint64_t before, uint64_t now);
    void *opaque;

    /* The library's. */
    struct gmem_ram_notifier *prev, *next;
    gmem_ram *ram;
};

/*
 * Add a notifier, which then holds a reference on ram; remove it. Also from listener callbacks, and from notifiers: one that is removed
 * is not called any more, one that is added is called in the same round. Removing one that is not there does nothing. They wait
 * for transactions of other threads.
 *
 * -EINVAL  a NULL argument or fn
 * -EEXIST  it is there
 */
GMEM_API int gmem_ram_add_notifier(gmem_ram *ram, struct gmem_ram_notifier *notifier) GMEM_MUST_CHECK;
GMEM_API void gmem_ram_remove_notifier(struct gmem_ram_notifier *notifier);

#ifdef __cplusplus
}
#endif

#endif
