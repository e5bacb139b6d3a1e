/* SPDX-License-Identifier: MIT */
/*
 * device.c - what is done around the callbacks of a device.
 *
 *   a. Most devices have none of this, and nobody watches: then an access does not come here, nor look at its region
 *      (gmem__mmio_ops.watched). Only how deep callbacks nest is counted for all.
 *   b. The order: how deep; the guard; who queues elsewhere; the queue of the guard; the eventfds; the lock. So what
 *      is refused waits for nothing, and an eventfd is signalled when what was written before is with the device.
 *   c. Nothing here is allocated, and no lock of the library is held when the device's is taken or anything is called.
 *
 * Runs in the read section of the access, which keeps the region, and with it guard, lock and lists.
 */
#include "device.h"
#include <errno.h>

static void count(uint64_t *counter, uint64_t by)
{
    if (by)
        __atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}

/* That of the region if it is to be counted now. */
static struct gmem_access_stats *counts_of(const gmem_region *region)
{
    const struct gmem__device *device;
    struct gmem__access_counts *counts;

    if (!(__atomic_load_n(&region->vm->watch, __ATOMIC_RELAXED) & GMEM__WATCH_STATS))
        return NULL;
    device = gmem__rcu_get(region->device);
    counts = device ? gmem__rcu_get(device->counts) : NULL;
    return counts ? &counts->is : NULL;
}

/* --- refusals -------------------------------------------------------------------------------------------------------- */

static void refuse(const struct gmem__mmio *mmio, gmem_guard *guard, uint64_t offset)
{
    struct gmem_trace_event event = {.kind = GMEM_TRACE_GUARD_REFUSED};
    unsigned long long addr = mmio->addr + (offset - mmio->offset);
    gmem_vm *vm = mmio->vm;

    count(&vm->reentrant, 1);
    if (guard) {
        count(&guard->refused, 1);
        if (!__atomic_exchange_n(&guard->logged, true, __ATOMIC_RELAXED))
            gmem__log(vm, GMEM_LOG_WARNING, "device \"%s\" was refused access to itself at 0x%llx", guard->label, addr);
    } else if (!__atomic_exchange_n(&vm->nesting_logged, true, __ATOMIC_RELAXED)) {
        gmem__log(vm, GMEM_LOG_WARNING, "an access at 0x%llx was refused: callbacks of devices nest %u deep", addr,
                  GMEM_NESTING_MAX);
    }
    GMEM__PROBE3(guard_refused, vm, guard ? guard->label : "", addr);
    event.u.refused.guard = guard;
    event.u.refused.region = mmio->region;
    event.u.refused.addr = addr;
    gmem_trace_emit(vm, &event);
}

/* Whether an access to a device (or NULL: a plain one) is refused, which is then counted and told. */
static bool refused(const struct gmem__mmio *mmio, const struct gmem__device *device, uint64_t offset)
{
    bool may = gmem__calls_may();

    if (may && !(device && device->guard && gmem_guard_inside(device->guard)))
        return false;
    refuse(mmio, may ? device->guard : NULL, offset);
    return true;
}

/* --- eventfds -------------------------------------------------------------------------------------------------------- */

static int compare(const struct gmem_eventfd *a, const struct gmem_eventfd *b)
{
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    if (a->match != b->match)
        return a->match < b->match ? -1 : 1;
    return a->data < b->data ? -1 : a->data > b->data;
}

static const struct gmem__signal *find(const struct gmem__eventfds *all, const struct gmem_eventfd *wanted)
{
    size_t low = 0, high = all->count, middle;
    int order;

    while (low < high) {
        middle = low + (high - low) / 2;
        order = compare(&all->items[middle], wanted);
        if (order == 0)
            return all->signals[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static uint64_t number(const uint8_t *bytes, unsigned size, enum gmem_endian order)
{
    uint64_t value = 0;
    unsigned i;

    for (i = 0; i < size; i++)
        value = value << 8 | bytes[order == GMEM_ENDIAN_BIG ? i : size - 1 - i];
    return value;
}

/* What such a write signals, or NULL. *ret_data is its number. */
static const struct gmem__signal *match(const struct gmem__device *device, uint64_t offset, unsigned size,
                                        const uint8_t *bytes, enum gmem_endian order, uint64_t *ret_data)
{
    const struct gmem__eventfds *all = gmem__rcu_get(device->eventfds);
    struct gmem_eventfd wanted = {.offset = offset, .size = (uint8_t)size, .match = true};
    const struct gmem__signal *signal;

    if (!all)
        return NULL;
    *ret_data = number(bytes, size, order);
    wanted.data = *ret_data;
    signal = find(all, &wanted);
    wanted.match = false;
    wanted.data = 0;
    if (!signal)
        signal = find(all, &wanted);
    wanted.size = 0;
    return signal ? signal : find(all, &wanted);
}

/* Of a write to region, size bytes in the order of their addresses: whether it signalled an eventfd. */
static bool signal_one(gmem_region *region, uint64_t offset, unsigned size, const uint8_t *bytes,
                       enum gmem_endian order)
{
    const struct gmem__device *device = gmem__rcu_get(region->device);
    struct gmem_trace_event event = {.kind = GMEM_TRACE_EVENTFD};
    const struct gmem__signal *signal;
    struct gmem_access_stats *counts;
    uint64_t data = 0;

    signal = device ? match(device, offset, size, bytes, order, &data) : NULL;
    if (!signal)
        return false;
    /* What was written before is with the device by then. */
    if (gmem__coalesced_waiting(device->guard))
        gmem__coalesced_drain(device->guard);
    gmem__signal_send(signal);
    counts = counts_of(region);
    if (counts)
        count(&counts->eventfds, 1);
    GMEM__PROBE4(eventfd, &region->name[0], offset, data, size);
    event.u.eventfd.region = region;
    event.u.eventfd.offset = offset;
    event.u.eventfd.data = data;
    event.u.eventfd.size = size;
    gmem_trace_emit(region->vm, &event);
    return true;
}

/* --- one access of the bus -------------------------------------------------------------------------------------------- */

/* Whether the write was queued, which is all then. What was queued before is delivered where it was not. */
static bool queue(const struct gmem__mmio *mmio, const struct gmem__device *device, uint64_t offset, unsigned size,
                  const uint8_t *bytes)
{
    struct gmem__queued write = {.region = mmio->region, .offset = offset, .attrs = mmio->attrs, .size = (uint8_t)size};
    struct gmem_access_stats *counts;

    if (bytes && !mmio->ops->valid.accepts && size >= mmio->ops->valid.min &&
        gmem__coalesced_has(mmio->vm, device, &write)) {
        memcpy(write.bytes, bytes, size);
        if (gmem__coalesced_put(device->guard, &write)) {
            counts = counts_of(mmio->region);
            if (counts)
                count(&counts->coalesced, 1);
            return true;
        }
    }
    if (gmem__coalesced_waiting(device->guard))
        gmem__coalesced_drain(device->guard);
    return false;
}

bool gmem__device_signal_whole(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, const uint8_t *bytes)
{
    const struct gmem__device *device = gmem__rcu_get(mmio->region->device);

    /* What is refused is refused where it is cut. */
    if (!device || !gmem__calls_may() || (device->guard && gmem_guard_inside(device->guard)))
        return false;
    gmem__coalesced_ask(mmio->vm, device);
    return signal_one(mmio->region, offset, size, bytes, mmio->ops->endian);
}

bool gmem__device_enter(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, const uint8_t *bytes,
                        struct gmem_guard_entry *entry, gmem_result *ret_result)
{
    const struct gmem__device *device = mmio->region ? gmem__rcu_get(mmio->region->device) : NULL;

    *ret_result = GMEM_RESULT_REENTRANT;
    if (refused(mmio, device, offset))
        return false;
    if (!device) {
        gmem__entry_begin(entry, NULL, NULL);
    } else {
        gmem__coalesced_ask(mmio->vm, device);
        *ret_result = GMEM_OK;
        if (bytes && signal_one(mmio->region, offset, size, bytes, mmio->ops->endian))
            return false;
        if (queue(mmio, device, offset, size, bytes))
            return false;
        gmem__entry_begin(entry, device->guard, device->lock);
    }
    gmem__calls.depth++;
    return true;
}

void gmem__device_leave(struct gmem_guard_entry *entry)
{
    gmem__calls.depth--;
    gmem__entry_end(entry);
}

gmem_result gmem__device_claimed(const struct gmem__mmio *mmio, unsigned size, const uint8_t *bytes,
                                 enum gmem_endian order)
{
    const struct gmem__device *device = gmem__rcu_get(mmio->region->device);

    if (!device)
        return GMEM_RESULT_DECODE;
    if (refused(mmio, device, mmio->offset))
        return GMEM_RESULT_REENTRANT;
    gmem__coalesced_ask(mmio->vm, device);
    if (bytes && signal_one(mmio->region, mmio->offset, size, bytes, order))
        return GMEM_OK;
    if (gmem__coalesced_waiting(device->guard))
        gmem__coalesced_drain(device->guard);
    return GMEM_RESULT_DECODE;
}

/* --- who watches ------------------------------------------------------------------------------------------------------ */

void gmem__device_trace(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, uint64_t value, bool is_write,
                        gmem_result result)
{
    struct gmem_trace_event event = {.kind = is_write ? GMEM_TRACE_MMIO_WRITE : GMEM_TRACE_MMIO_READ};

    if (!gmem__traced(mmio->vm, event.kind))
        return;
    event.u.mmio.region = mmio->region;
    event.u.mmio.addr = mmio->addr + (offset - mmio->offset);
    event.u.mmio.offset = offset;
    event.u.mmio.value = value;
    event.u.mmio.size = size;
    event.u.mmio.result = result;
    gmem_trace_emit(mmio->vm, &event);
}

void gmem__device_count(const struct gmem__mmio *mmio, uint64_t length, bool is_write, gmem_result result)
{
    struct gmem_access_stats *counts = counts_of(mmio->region);

    if (!counts)
        return;
    count(is_write ? &counts->writes : &counts->reads, 1);
    count(is_write ? &counts->write_bytes : &counts->read_bytes, length);
    count(&counts->refused, (result & GMEM_RESULT_REFUSED) != 0);
    count(&counts->errors, (result & GMEM_RESULT_DEVICE) != 0);
    count(&counts->reentrant, (result & GMEM_RESULT_REENTRANT) != 0);
}

/* --- statistics ------------------------------------------------------------------------------------------------------- */

static void add(struct gmem_access_stats *sum, const struct gmem_access_stats *more)
{
#define ADD(member) sum->member += __atomic_load_n(&more->member, __ATOMIC_RELAXED)
    ADD(reads);
    ADD(writes);
    ADD(read_bytes);
    ADD(write_bytes);
    ADD(refused);
    ADD(errors);
    ADD(reentrant);
    ADD(eventfds);
    ADD(coalesced);
#undef ADD
}

static void add_region(struct gmem_access_stats *sum, const gmem_region *region)
{
    const struct gmem__device *device = gmem__rcu_get(region->device);
    const struct gmem__access_counts *counts = device ? gmem__rcu_get(device->counts) : NULL;

    if (counts)
        add(sum, &counts->is);
}

/* With the turn. */
static int make_counts(gmem_vm *vm)
{
    struct gmem__link *link;
    gmem_region *region;
    int err = 0;

    if (!vm->counts_gone)
        vm->counts_gone = gmem__alloc_lines(sizeof(*vm->counts_gone));
    if (!vm->counts_gone)
        return -ENOMEM;
    for (link = vm->regions.next; !err && link != &vm->regions; link = link->next) {
        region = GMEM__OF(link, gmem_region, vm_link);
        if (region->ops)
            err = gmem__region_count(region);
    }
    return err;
}

int gmem_vm_set_access_stats(gmem_vm *vm, bool on)
{
    int err;

    if (!vm)
        return -EINVAL;
    err = gmem__turn_acquire(vm);
    if (err)
        return err;
    err = on ? make_counts(vm) : 0;
    pthread_mutex_lock(&vm->mutex);
    gmem__mmio_ops_watch(vm, GMEM__WATCH_STATS, on && !err);
    pthread_mutex_unlock(&vm->mutex);
    gmem__turn_release(vm);
    return err ? gmem__refuse(vm, err, "no memory for statistics of accesses") : 0;
}

void gmem_region_access_stats(const gmem_region *region, struct gmem_access_stats *ret_stats)
{
    struct gmem_access_stats sum = {0};

    add_region(&sum, region);
    *ret_stats = sum;
}

void gmem_vm_access_stats(gmem_vm *vm, struct gmem_access_stats *ret_stats)
{
    struct gmem_access_stats sum = {0};
    struct gmem__link *link;
    int err = gmem__turn_acquire(vm);

    /* Refused is who has the turn already. */
    for (link = vm->regions.next; link != &vm->regions; link = link->next)
        add_region(&sum, GMEM__OF(link, gmem_region, vm_link));
    pthread_mutex_lock(&vm->mutex);
    if (vm->counts_gone)
        add(&sum, &vm->counts_gone->is);
    pthread_mutex_unlock(&vm->mutex);
    if (!err)
        gmem__turn_release(vm);
    *ret_stats = sum;
}
