/* SPDX-License-Identifier: MIT */
/*
 * listener.c - hear exactly what a commit changes, and undo a commit by refusing it.
 * pkg-config: gmem
 *
 * Two listeners hear one space: "log" prints what it hears, and "limit" has room for two ranges, as a device with a fixed
 * number of windows has. A transaction that would need a third is refused as a whole. Exit status 0 means that the log
 * heard only what changed, and that the refusal left the map and both listeners as they were.
 */
#include <gmem/gmem.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct counts {
    unsigned added;
    unsigned removed;
};

static void must(int err)
{
    if (err != 0) {
        fprintf(stderr, "listener: %s\n", gmem_strerror(err));
        exit(1);
    }
}

static void show(const char *what, const struct gmem_section *section)
{
    printf("  %s %06" PRIx64 "-%06" PRIx64 " %s\n", what, section->first, section->last,
           gmem_region_name(section->region));
}

static int log_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct counts *counts = listener->opaque;

    counts->added++;
    show("add", section);
    return 0;
}

static int log_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct counts *counts = listener->opaque;

    counts->removed++;
    show("del", section);
    return 0;
}

static int limit_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    unsigned *windows = listener->opaque;

    (void)section;
    if (*windows == 2)
        return -ENOSPC; /* the call that refuses changes nothing; the library undoes the others */
    (*windows)++;
    return 0;
}

static int limit_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    unsigned *windows = listener->opaque;

    (void)section;
    (*windows)--;
    return 0;
}

static gmem_region *new_ram(gmem_vm *vm, const char *name)
{
    gmem_ram *memory;
    gmem_region *region;

    must(gmem_ram_create_anon(vm, name, 0x1000, &memory));
    must(gmem_region_create_ram(vm, name, memory, NULL, &region));
    gmem_ram_unref(memory); /* the region has its own reference */
    return region;
}

static int expect(const char *what, int got, int wanted)
{
    if (got == wanted)
        return 0;
    printf("%s: %d instead of %d\n", what, got, wanted);
    return 1;
}

int main(void)
{
    struct counts counts = {0};
    unsigned windows = 0;
    /* The lower priority hears additions first: the log hears what the limit is going to refuse. */
    struct gmem_listener log = {.struct_size = sizeof(log),
                                .name = "log",
                                .opaque = &counts,
                                .priority = 0,
                                .region_add = log_add,
                                .region_del = log_del};
    struct gmem_listener limit = {.struct_size = sizeof(limit),
                                  .name = "limit",
                                  .opaque = &windows,
                                  .priority = 10,
                                  .region_add = limit_add,
                                  .region_del = limit_del};
    gmem_vm *vm;
    gmem_region *system, *low, *middle, *high;
    gmem_space *space;
    char reason[256];
    int failures = 0;

    must(gmem_vm_create(NULL, &vm));
    must(gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &system));
    must(gmem_space_create(vm, "memory", system, NULL, &space));
    low = new_ram(vm, "low");
    middle = new_ram(vm, "middle");
    high = new_ram(vm, "high");
    must(gmem_region_add(system, 0x0, low));

    printf("registering replays what is there:\n");
    must(gmem_listener_register(vm, space, &log));
    must(gmem_listener_register(vm, space, &limit));

    printf("one transaction, one notice; \"low\" is not mentioned:\n");
    must(gmem_vm_begin(vm));
    must(gmem_region_add(system, 0x2000, middle));
    must(gmem_region_move(middle, 0x4000)); /* nobody hears of 0x2000 */
    must(gmem_vm_commit(vm));
    failures += expect("ranges added", (int)counts.added, 2);
    failures += expect("ranges removed", (int)counts.removed, 0);

    printf("a transaction that the limit refuses, played and played back:\n");
    must(gmem_vm_begin(vm));
    must(gmem_region_move(low, 0x10000));
    must(gmem_region_add(system, 0x8000, high));
    failures += expect("the commit", gmem_vm_commit(vm), -ENOSPC);
    gmem_vm_reason(vm, reason, sizeof(reason));
    printf("refused: %s\n", reason);

    failures += expect("where low is", (int)gmem_region_offset(low), 0);
    failures += expect("whether high is placed", gmem_region_container(high) != NULL, 0);
    failures += expect("ranges heard of and not taken back", (int)(counts.added - counts.removed), 2);
    failures += expect("windows in use", (int)windows, 2);

    gmem_listener_unregister(vm, &limit);
    printf("unregistering hears the removal of everything:\n");
    gmem_listener_unregister(vm, &log);
    failures += expect("ranges left", (int)(counts.added - counts.removed), 0);
    gmem_vm_destroy(vm);
    return failures == 0 ? 0 : 1;
}
