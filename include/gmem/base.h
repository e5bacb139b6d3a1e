/* SPDX-License-Identifier: MIT */
/*
 * gmem/base.h - what every other header uses: sizes, ranges, byte order, access results and errors.
 *
 * Addresses are 64-bit. A range is inclusive, [first, last], so that one that ends at 2^64 - 1 needs no
 * wider integer. A size is a small value type, because a region may be 2^64 bytes large.
 *
 * Errors. Calls made by the host return 0 or a negative errno value and leave their output parameters
 * untouched on failure; gmem_strerror() says what each means here, gmem_vm_reason() what exactly was refused.
 * Accesses made for the guest return an access result (gmem_result), never an errno.
 *
 * The library never prints, aborts or exits. All state that matters is a vm's: outside are only a counter, of generations, and what
 * a thread remembers to find its way faster.
 */
#ifndef GMEM_BASE_H
#define GMEM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define GMEM_API __attribute__((visibility("default")))
#define GMEM_MUST_CHECK __attribute__((warn_unused_result))
#else
#define GMEM_API
#define GMEM_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define GMEM_VERSION_MAJOR 0
#define GMEM_VERSION_MINOR 1
#define GMEM_VERSION_PATCH 0

/* Opaque objects. A vm owns everything else; see vm.h, region.h, ram.h and space.h for their lifetimes. */
typedef struct gmem_vm gmem_vm;
typedef struct gmem_region gmem_region;
typedef struct gmem_ram gmem_ram;
typedef struct gmem_space gmem_space;
typedef struct gmem_view gmem_view;

/*
 * A size in bytes, 0 to 2^64. Make one with gmem_size_of() or take GMEM_SIZE_ALL; 2^64 is not a
 * special number of bytes but a flag of its own, so that 0 stays what it says (and is refused where
 * it makes no sense).
 */
typedef struct gmem_size {
    uint64_t bytes; /* meaningful when all is false */
    bool all;       /* 2^64 bytes */
} gmem_size;

static inline gmem_size gmem_size_of(uint64_t bytes)
{
    gmem_size size;

    size.bytes = bytes;
    size.all = false;
    return size;
}

static inline gmem_size gmem_size_all(void)
{
    gmem_size size;

    size.bytes = 0;
    size.all = true;
    return size;
}

#define GMEM_SIZE(n) gmem_size_of(n)
#define GMEM_SIZE_ALL gmem_size_all()

/*
 * Byte order of a device, of a guest, or of one access. NATIVE is the guest's own order, as the vm
 * was told.
 */
enum gmem_endian {
    GMEM_ENDIAN_NATIVE = 0,
    GMEM_ENDIAN_LITTLE = 1,
    GMEM_ENDIAN_BIG = 2,
};

/*
 * What became of an access of the guest. A set of bits, because an access may be cut into pieces that fare
 * differently; GMEM_OK is the empty set.
 */
typedef unsigned gmem_result;

#define GMEM_OK 0u                 /* every byte was read or written */
#define GMEM_RESULT_DECODE 0x1u    /* some byte has nothing behind it (a hole, or a reserved region) */
#define GMEM_RESULT_DEVICE 0x2u    /* a device callback reported an error of its own */
#define GMEM_RESULT_REFUSED 0x4u   /* a device does not take an access of this width, alignment or kind */
#define GMEM_RESULT_REENTRANT 0x8u /* it came back to the device that made it, or nests too deep (gmem/guard.h) */
#define GMEM_RESULT_DENIED 0x10u   /* an iommu region does not translate it, or permits no such access */

/*
 * Attributes of one access of the guest, handed unchanged to device callbacks. All zero is an
 * ordinary access.
 */
struct gmem_attrs {
    uint16_t requester; /* who asks: for PCI, bus << 8 | device << 3 | function; 0 for a processor */
    bool secure;        /* secure world, or system management mode */
    bool user;          /* unprivileged */
};

static inline struct gmem_attrs gmem_attrs_none(void)
{
    struct gmem_attrs attrs;

    attrs.requester = 0;
    attrs.secure = false;
    attrs.user = false;
    return attrs;
}

#define GMEM_ATTRS_NONE gmem_attrs_none()

/*
 * What the negative errno value err (as returned by a gmem call) means in gmem's terms. Static
 * text, never NULL; a value that no gmem call returns gives a general text. Any thread.
 */
GMEM_API const char *gmem_strerror(int err);

/* The library's version as "major.minor.patch". Static text. Any thread. */
GMEM_API const char *gmem_version(void);

#ifdef __cplusplus
}
#endif

#endif
