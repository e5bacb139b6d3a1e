/* SPDX-License-Identifier: MIT */
/*
 * access_mmio.c - what a device's callbacks get to see of an access: widths, alignment, byte order.
 *
 * Two cuts. The bus cuts an access into pieces that the device takes (ops.valid). Each piece is then put together from
 * accesses that the callbacks implement (ops.impl). All of it is about bytes in the order of their addresses: one
 * implemented access is some bytes, which make a number in the device's order; a split, a widened or an unaligned access is
 * nothing but a choice of which bytes these are.
 *
 * Invariants: a callback sees only widths from impl.min to impl.max, and only offsets that are multiples of the width
 * unless impl.unaligned. Pieces and the accesses of a piece go by rising offset.
 *
 * Runs in the RCU read section of the access (see access.c), without a lock; nothing here outlives a callback but what the
 * section keeps alive.
 */
#include "device.h"
#include <endian.h>

#define WORD_MAX 8u

/* The number that the first size of 8 bytes make in the device's order, and back. */
static uint64_t bytes_to_value(const uint8_t *bytes, unsigned size, enum gmem_endian order)
{
    unsigned spare = 8 * (WORD_MAX - size);
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return order == GMEM_ENDIAN_BIG ? be64toh(word) >> spare : le64toh(word) << spare >> spare;
}

static void value_to_bytes(uint64_t value, uint8_t *bytes, unsigned size, enum gmem_endian order)
{
    unsigned spare = 8 * (WORD_MAX - size);
    uint64_t word = order == GMEM_ENDIAN_BIG ? htobe64(value << spare) : htole64(value);

    memcpy(bytes, &word, sizeof(word));
}

/* The number of size bytes, of which there need not be more. */
static uint64_t bytes_value(const uint8_t *bytes, unsigned size, enum gmem_endian order)
{
    uint8_t word[WORD_MAX] = {0};

    memcpy(word, bytes, size);
    return bytes_to_value(word, size, order);
}

/* --- what the callbacks implement ---------------------------------------------------------------------------------- */

/* The accesses around a piece: count of size bytes each, from offset on. */
struct cover {
    uint64_t offset;
    unsigned size;
    unsigned count;
};

static struct cover cover_piece(const struct gmem_mmio_ops *ops, uint64_t offset, unsigned size)
{
    struct cover cover = {.offset = offset, .size = size};
    unsigned lead;

    if (cover.size > ops->impl.max)
        cover.size = ops->impl.max;
    if (cover.size < ops->impl.min)
        cover.size = ops->impl.min;
    if (!ops->impl.unaligned || size < ops->impl.min)
        cover.offset &= ~(uint64_t)(cover.size - 1);
    lead = (unsigned)(offset - cover.offset);
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): widths are resolved when a region is made, never 0 */
    cover.count = (lead + size + cover.size - 1) / cover.size;
    return cover;
}

static gmem_result call_read(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, uint8_t *bytes)
{
    uint64_t value = 0;
    gmem_result result = mmio->ops->read(mmio->opaque, offset, size, mmio->attrs, &value);

    GMEM__PROBE4(mmio_read, mmio->opaque, offset, size, value);
    value_to_bytes(value, bytes, size, mmio->ops->endian);
    return result;
}

static gmem_result call_write(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, const uint8_t *bytes)
{
    uint64_t value = bytes_to_value(bytes, size, mmio->ops->endian);

    GMEM__PROBE4(mmio_write, mmio->opaque, offset, size, value);
    return mmio->ops->write(mmio->opaque, offset, size, mmio->attrs, value);
}

/* The part of a piece that one access of its cover has: skip bytes into the access, from bytes into the piece, count. */
struct overlap {
    unsigned skip, from, count;
};

static struct overlap overlap_of(const struct cover *cover, unsigned index, uint64_t offset, unsigned size)
{
    unsigned lead = (unsigned)(offset - cover->offset);
    unsigned begin = index * cover->size;
    unsigned end = begin + cover->size;
    struct overlap part;

    part.skip = lead > begin ? lead - begin : 0;
    part.from = lead > begin ? 0 : begin - lead;
    part.count = (lead + size < end ? lead + size : end) - begin - part.skip;
    return part;
}

static gmem_result read_piece(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, uint8_t *out)
{
    struct cover cover = cover_piece(mmio->ops, offset, size);
    gmem_result result = GMEM_OK;
    unsigned i;

    for (i = 0; i < cover.count; i++) {
        struct overlap part = overlap_of(&cover, i, offset, size);
        uint8_t bytes[WORD_MAX];

        result |= call_read(mmio, cover.offset + (uint64_t)i * cover.size, cover.size, bytes);
        memcpy(out + part.from, bytes + part.skip, part.count);
    }
    return result;
}

static gmem_result write_piece(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, const uint8_t *in)
{
    struct cover cover = cover_piece(mmio->ops, offset, size);
    gmem_result result = GMEM_OK;
    unsigned i;

    for (i = 0; i < cover.count; i++) {
        struct overlap part = overlap_of(&cover, i, offset, size);
        uint64_t at = cover.offset + (uint64_t)i * cover.size;
        uint8_t bytes[WORD_MAX];

        if (part.count < cover.size) {
            gmem_result got = call_read(mmio, at, cover.size, bytes);

            result |= got;
            /* What to write back beside the guest's bytes is not known: better nothing than that. */
            if (got != GMEM_OK)
                continue;
        }
        memcpy(bytes + part.skip, in + part.from, part.count);
        result |= call_write(mmio, at, cover.size, bytes);
    }
    return result;
}

/* --- what the device takes from its bus ---------------------------------------------------------------------------- */

/* The size of the piece that the bus makes of the first of length bytes at offset. */
static unsigned bus_piece(const struct gmem_mmio_ops *ops, uint64_t offset, uint64_t length)
{
    unsigned size = ops->valid.max;

    while (size > length || (!ops->valid.unaligned && (offset & (size - 1))))
        size >>= 1;
    return size;
}

static bool accepted(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, bool is_write)
{
    const struct gmem_mmio_ops *ops = mmio->ops;

    if (size < ops->valid.min)
        return false;
    return !ops->valid.accepts || ops->valid.accepts(mmio->opaque, offset, size, is_write, mmio->attrs);
}

static gmem_result bus_read(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, uint8_t *out)
{
    struct gmem_guard_entry entry;
    gmem_result result;

    if (gmem__device_enter(mmio, offset, size, NULL, &entry, &result)) {
        result = accepted(mmio, offset, size, false) ? read_piece(mmio, offset, size, out) : GMEM_RESULT_REFUSED;
        gmem__device_leave(&entry);
    }
    if (result & (GMEM_RESULT_REFUSED | GMEM_RESULT_REENTRANT))
        memset(out, mmio->fill, size);
    if (gmem__device_watched(mmio))
        gmem__device_trace(mmio, offset, size, bytes_value(out, size, mmio->ops->endian), false, result);
    return result;
}

static gmem_result bus_write(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, const uint8_t *bytes)
{
    struct gmem_guard_entry entry;
    gmem_result result;

    if (gmem__device_enter(mmio, offset, size, bytes, &entry, &result)) {
        result = accepted(mmio, offset, size, true) ? write_piece(mmio, offset, size, bytes) : GMEM_RESULT_REFUSED;
        gmem__device_leave(&entry);
    }
    if (gmem__device_watched(mmio))
        gmem__device_trace(mmio, offset, size, bytes_value(bytes, size, mmio->ops->endian), true, result);
    return result;
}

void gmem__queued_deliver(const struct gmem__queued *write)
{
    const struct gmem__mmio mmio = {.ops = &write->region->ops->is,
                                    .opaque = write->region->opaque,
                                    .attrs = write->attrs,
                                    .vm = write->region->vm};

    gmem__calls.depth++;
    (void)write_piece(&mmio, write->offset, write->size, write->bytes);
    gmem__calls.depth--;
}

gmem_result gmem__mmio_read(const struct gmem__mmio *mmio, uint64_t offset, uint64_t length, uint8_t *out)
{
    gmem_result result = GMEM_OK;
    uint64_t left = length;
    unsigned size;

    for (; left > 0; left -= size, offset += size, out += size) {
        size = bus_piece(mmio->ops, offset, left);
        result |= bus_read(mmio, offset, size, out);
    }
    if (gmem__device_watched(mmio))
        gmem__device_count(mmio, length, false, result);
    return result;
}

static void gather(const struct gmem__mmio *mmio, const uint8_t *in, unsigned size, uint8_t *bytes)
{
    unsigned i;

    for (i = 0; i < size && i < WORD_MAX; i++)
        bytes[i] = in[i * mmio->in_step];
}

/* Whether an eventfd waits for the whole of a write that the bus cuts. */
static bool signals_whole(const struct gmem__mmio *mmio, uint64_t offset, uint64_t length)
{
    uint8_t bytes[WORD_MAX] = {0};

    if (!mmio->region || length > WORD_MAX || (length & (length - 1)) || bus_piece(mmio->ops, offset, length) == length)
        return false;
    gather(mmio, mmio->in, (unsigned)length, bytes);
    return gmem__device_signal_whole(mmio, offset, (unsigned)length, bytes);
}

gmem_result gmem__mmio_write(const struct gmem__mmio *mmio, uint64_t offset, uint64_t length)
{
    const uint8_t *in = mmio->in;
    gmem_result result = GMEM_OK;
    uint64_t left = length;
    unsigned size;

    if (signals_whole(mmio, offset, length))
        left = 0;
    for (; left > 0; left -= size, offset += size, in += size * mmio->in_step) {
        uint8_t bytes[WORD_MAX];

        size = bus_piece(mmio->ops, offset, left);
        gather(mmio, in, size, bytes);
        result |= bus_write(mmio, offset, size, bytes);
    }
    if (gmem__device_watched(mmio))
        gmem__device_count(mmio, length, true, result);
    return result;
}

/* --- one callback, with what is around it ---------------------------------------------------------------------------- */

static struct gmem__mmio mmio_of(const gmem_space *space, const struct gmem__range *range, uint64_t addr,
                                 struct gmem_attrs attrs)
{
    return (struct gmem__mmio){
        .ops = &range->ops->is,
        .opaque = range->opaque,
        .attrs = attrs,
        .vm = space->vm,
        .region = gmem__mmio_ops_watched(range->ops) ? range->region : NULL,
        .addr = addr,
        .offset = range->offset + (addr - range->first),
        .fill = space->fill,
    };
}

gmem_result gmem__device_load(const gmem_space *space, const struct gmem__range *range, uint64_t addr, unsigned size,
                              struct gmem_attrs attrs, uint64_t *ret_value)
{
    const struct gmem__mmio mmio = mmio_of(space, range, addr, attrs);
    struct gmem_guard_entry entry;
    gmem_result result;
    uint64_t value = 0;

    if (gmem__device_enter(&mmio, mmio.offset, size, NULL, &entry, &result)) {
        result = mmio.ops->read(mmio.opaque, mmio.offset, size, attrs, &value);
        GMEM__PROBE4(mmio_read, mmio.opaque, mmio.offset, size, value);
        gmem__device_leave(&entry);
    } else if (mmio.fill) {
        value = UINT64_MAX >> 8 * (WORD_MAX - size);
    }
    if (gmem__device_watched(&mmio)) {
        gmem__device_trace(&mmio, mmio.offset, size, value, false, result);
        gmem__device_count(&mmio, size, false, result);
    }
    *ret_value = value;
    return result;
}

gmem_result gmem__device_store(const gmem_space *space, const struct gmem__range *range, uint64_t addr, unsigned size,
                               struct gmem_attrs attrs, uint64_t value)
{
    const struct gmem__mmio mmio = mmio_of(space, range, addr, attrs);
    struct gmem_guard_entry entry;
    uint8_t bytes[WORD_MAX];
    gmem_result result;

    value_to_bytes(value, bytes, size, mmio.ops->endian);
    if (gmem__device_enter(&mmio, mmio.offset, size, bytes, &entry, &result)) {
        GMEM__PROBE4(mmio_write, mmio.opaque, mmio.offset, size, value);
        result = mmio.ops->write(mmio.opaque, mmio.offset, size, attrs, value);
        gmem__device_leave(&entry);
    }
    if (gmem__device_watched(&mmio)) {
        gmem__device_trace(&mmio, mmio.offset, size, value, true, result);
        gmem__device_count(&mmio, size, true, result);
    }
    return result;
}
