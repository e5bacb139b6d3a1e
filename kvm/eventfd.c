/* SPDX-License-Identifier: MIT */
/*
 * eventfd.c - owns the table of a space's eventfds, and keeps it, and the kernel's, as the view says.
 *
 * A listener. All of it but the counters, which any thread may read, runs with the vm's writer turn held. The calls are
 * made as they are heard: a commit tells what goes before what comes, so an eventfd that moves is taken away first.
 *
 *  (a) An entry is there while it is wanted, or the kernel has it. In a commit that is not an undo the two agree, or it is
 *      refused.
 *  (b) Where the kernel refuses an undo they disagree, and every later commit that is heard tries again.
 *  (c) An undo needs no memory: entries that go leave their room, and there is as much again for those that the kernel
 *      would not let go.
 */
#include "internal.h"
#include "slotplan.h"

#include <errno.h>
#include <stdlib.h>

#include <gmem/listener.h>
#include <gmem/vm.h>

struct entry {
    uint64_t addr;
    struct gmem_eventfd eventfd;
    bool wanted;
    bool there; /* the kernel has it */
};

struct gmem_kvm_eventfds {
    struct gmem_kvm_eventfds_options options;
    gmem_vm *vm;
    struct gmem_listener listener;
    bool any_length;
    struct entry *entries;
    size_t count, room;
    size_t there, missing; /* atomic, relaxed: they count */
};

static int check_cap(const struct gmem_kvm_eventfds *eventfds, uintptr_t capability)
{
    return gmem__kvm_ioctl(eventfds->options.ioctl, eventfds->options.ioctl_opaque, eventfds->options.vm_fd,
                           KVM_CHECK_EXTENSION, (void *)capability);
}

static uint64_t swapped(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

/* What the kernel, which reads the bytes written as a number of the host's, is to compare with. */
static uint64_t datamatch(const struct gmem_kvm_eventfds *eventfds, const struct gmem_eventfd *eventfd)
{
    bool big = eventfds->options.endian == GMEM_ENDIAN_BIG;
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

    /* A number that does not fit matches nothing, in whichever order. */
    if (big == host_big || (eventfd->size < 8 && eventfd->data >> 8 * eventfd->size))
        return eventfd->data;
    return swapped(eventfd->data, eventfd->size);
}

static int tell_kernel(struct gmem_kvm_eventfds *eventfds, struct entry *entry, bool there)
{
    const struct gmem_kvm_eventfds_options *options = &eventfds->options;
    struct kvm_ioeventfd call = {.addr = entry->addr, .len = entry->eventfd.size, .fd = entry->eventfd.fd};
    int err;

    if (options->ports)
        call.flags |= (uint32_t)KVM_IOEVENTFD_FLAG_PIO;
    if (!there)
        call.flags |= (uint32_t)KVM_IOEVENTFD_FLAG_DEASSIGN;
    if (entry->eventfd.match) {
        call.flags |= (uint32_t)KVM_IOEVENTFD_FLAG_DATAMATCH;
        call.datamatch = datamatch(eventfds, &entry->eventfd);
    }
    err = gmem__kvm_ioctl(options->ioctl, options->ioctl_opaque, options->vm_fd, KVM_IOEVENTFD, &call);
    /* What is to go and is not there is gone. */
    if (err < 0 && (there || err != -ENOENT))
        return err;
    entry->there = there;
    return 0;
}

static void count_entries(struct gmem_kvm_eventfds *eventfds)
{
    size_t there = 0, missing = 0, i;

    for (i = 0; i < eventfds->count; i++) {
        there += eventfds->entries[i].there;
        missing += eventfds->entries[i].wanted && !eventfds->entries[i].there;
    }
    __atomic_store_n(&eventfds->there, there, __ATOMIC_RELAXED);
    __atomic_store_n(&eventfds->missing, missing, __ATOMIC_RELAXED);
}

static struct entry *find(struct gmem_kvm_eventfds *eventfds, uint64_t addr, const struct gmem_eventfd *eventfd)
{
    size_t i;

    for (i = 0; i < eventfds->count; i++) {
        struct entry *entry = &eventfds->entries[i];

        if (entry->addr == addr && entry->eventfd.fd == eventfd->fd && entry->eventfd.size == eventfd->size &&
            entry->eventfd.match == eventfd->match && (!eventfd->match || entry->eventfd.data == eventfd->data))
            return entry;
    }
    return NULL;
}

static void drop_if_done(struct gmem_kvm_eventfds *eventfds, struct entry *entry)
{
    if (!entry->wanted && !entry->there)
        *entry = eventfds->entries[--eventfds->count];
}

static int new_entry(struct gmem_kvm_eventfds *eventfds, uint64_t addr, const struct gmem_eventfd *eventfd,
                     struct entry **ret_entry)
{
    void *array = eventfds->entries;
    int err = gmem__kvm_grow(&array, &eventfds->room, 2 * (eventfds->count + 1), sizeof(struct entry));

    eventfds->entries = array;
    if (err && eventfds->count == eventfds->room)
        return err;
    *ret_entry = &eventfds->entries[eventfds->count++];
    **ret_entry = (struct entry){.addr = addr, .eventfd = *eventfd};
    return 0;
}

static int on_add(struct gmem_listener *listener, const struct gmem_section *section,
                  const struct gmem_eventfd *eventfd)
{
    struct gmem_kvm_eventfds *eventfds = listener->opaque;
    struct entry *entry = find(eventfds, section->first, eventfd);
    int err = 0;

    if (eventfd->size == 0 && eventfd->match)
        return -EINVAL;
    if (eventfd->size == 0 && !eventfds->any_length)
        return -ENOTSUP;
    if (!entry)
        err = new_entry(eventfds, section->first, eventfd, &entry);
    if (err)
        return err;
    if (!entry->there)
        err = tell_kernel(eventfds, entry, true);
    entry->wanted = !err || listener->undoing;
    drop_if_done(eventfds, entry);
    count_entries(eventfds);
    return err;
}

static int on_del(struct gmem_listener *listener, const struct gmem_section *section,
                  const struct gmem_eventfd *eventfd)
{
    struct gmem_kvm_eventfds *eventfds = listener->opaque;
    struct entry *entry = find(eventfds, section->first, eventfd);
    int err = 0;

    if (!entry)
        return 0;
    if (entry->there)
        err = tell_kernel(eventfds, entry, false);
    entry->wanted = err && !listener->undoing;
    drop_if_done(eventfds, entry);
    count_entries(eventfds);
    return err;
}

/* Mend what an undo could not. */
static int on_commit(struct gmem_listener *listener)
{
    struct gmem_kvm_eventfds *eventfds = listener->opaque;
    size_t i;

    if (listener->undoing)
        return 0;
    for (i = eventfds->count; i-- > 0;) {
        struct entry *entry = &eventfds->entries[i];

        if (entry->wanted != entry->there && !tell_kernel(eventfds, entry, entry->wanted))
            drop_if_done(eventfds, entry);
    }
    count_entries(eventfds);
    return 0;
}

static void free_eventfds(struct gmem_kvm_eventfds *eventfds)
{
    free(eventfds->entries);
    free(eventfds);
}

static int prepare(struct gmem_kvm_eventfds *eventfds, const struct gmem_kvm_eventfds_options *options)
{
    int err = gmem__kvm_copy_options(&eventfds->options, sizeof(eventfds->options), options);
    int any_length;

    if (err)
        return err;
    if ((unsigned)eventfds->options.endian > GMEM_ENDIAN_BIG)
        return -EINVAL;
    err = check_cap(eventfds, KVM_CAP_IOEVENTFD);
    if (err <= 0)
        return err ? err : -ENOTSUP;
    any_length = check_cap(eventfds, KVM_CAP_IOEVENTFD_ANY_LENGTH);
    if (any_length < 0)
        return any_length;
    eventfds->any_length = any_length > 0;
    return 0;
}

int gmem_kvm_eventfds_create(gmem_space *space, const struct gmem_kvm_eventfds_options *options,
                             gmem_kvm_eventfds **ret_eventfds)
{
    struct gmem_kvm_eventfds *eventfds;
    int err;

    if (!space || !options || !ret_eventfds)
        return -EINVAL;
    eventfds = calloc(1, sizeof(*eventfds));
    if (!eventfds)
        return -ENOMEM;
    err = prepare(eventfds, options);
    if (!err) {
        eventfds->vm = gmem_space_vm(space);
        eventfds->listener = (struct gmem_listener){.struct_size = sizeof(eventfds->listener),
                                                    .name = "kvm eventfds",
                                                    .opaque = eventfds,
                                                    .priority = eventfds->options.priority,
                                                    .commit = on_commit,
                                                    .eventfd_add = on_add,
                                                    .eventfd_del = on_del};
        err = gmem_listener_register(eventfds->vm, space, &eventfds->listener);
    }
    if (err) {
        free_eventfds(eventfds);
        return err;
    }
    *ret_eventfds = eventfds;
    return 0;
}

void gmem_kvm_eventfds_destroy(gmem_kvm_eventfds *eventfds)
{
    if (!eventfds)
        return;
    gmem_listener_unregister(eventfds->vm, &eventfds->listener);
    /* What the kernel would not let go. */
    while (eventfds->count > 0) {
        eventfds->count--;
        if (eventfds->entries[eventfds->count].there)
            (void)tell_kernel(eventfds, &eventfds->entries[eventfds->count], false);
    }
    free_eventfds(eventfds);
}

size_t gmem_kvm_eventfds_count(const gmem_kvm_eventfds *eventfds, size_t *ret_missing)
{
    if (ret_missing)
        *ret_missing = __atomic_load_n(&eventfds->missing, __ATOMIC_RELAXED);
    return __atomic_load_n(&eventfds->there, __ATOMIC_RELAXED);
}
