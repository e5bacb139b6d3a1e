/* SPDX-License-Identifier: MIT */
/* pc/monitor_memory.c - blocks of RAM: what is known of them, and plugging them in and out. Runs with no lock held. */
#include <errno.h>
#include <gmem/hotplug.h>

#include "monitor_internal.h"
#include "options.h"

typedef unsigned long long ull;

/* --- dirty pages --------------------------------------------------------------------------------------------------- */

struct wish {
    const gmem_ram *ram;
    uint32_t clients;
};

/* The clients for which what the section shows is logged now; and KVM's log of it comes up to date. */
static int see_wish(void *opaque, const struct gmem_section *section)
{
    struct wish *wish = opaque;
    uint32_t clients = (section->attrs & GMEM_RANGE_LOG_MASK) >> GMEM_RANGE_LOG_SHIFT;

    if (!clients || gmem_region_ram(section->region) != wish->ram)
        return 0;
    wish->clients |= clients;
    return gmem_region_log_sync(section->region);
}

static void print_client(FILE *out, const gmem_ram *ram, unsigned client, bool now)
{
    static const char *const names[] = {
        [GMEM_LOG_DISPLAY] = "display", [GMEM_LOG_MIGRATION] = "migration", [GMEM_LOG_CODE] = "code"};
    uint64_t pages = 0;

    if (gmem_ram_dirty_count(ram, client, &pages))
        return;
    if (client < sizeof(names) / sizeof(names[0]))
        fprintf(out, "    %s", names[client]);
    else
        fprintf(out, "    client %u", client);
    fprintf(out, ": %llu dirty, %s\n", (ull)pages, now ? "logged" : "not logged now");
}

static int print_dirty(void *opaque, gmem_ram *ram)
{
    struct monitor_call *call = opaque;
    struct wish wish = {.ram = ram};
    uint32_t clients;
    gmem_view *view = gmem_space_view(machine_memory(call->machine));
    int err = gmem_view_foreach(view, see_wish, &wish);

    gmem_view_unref(view);
    clients = gmem_ram_dirty_clients(ram);
    fprintf(call->out, "%s: %llu pages%s\n", gmem_ram_id(ram),
            (ull)((gmem_ram_size(ram) + GMEM_DIRTY_PAGE_SIZE - 1) / GMEM_DIRTY_PAGE_SIZE),
            clients ? "" : ", never logged");
    for (unsigned client = 0; client < GMEM_LOG_CLIENTS; client++) {
        if (clients >> client & 1)
            print_client(call->out, ram, client, wish.clients >> client & 1);
    }
    if (err)
        monitor_fail(call, "%s: KVM's log can't be read: %s", gmem_ram_id(ram), gmem_strerror(err));
    return 0;
}

void monitor_info_dirty(struct monitor_call *call)
{
    int err = gmem_ram_foreach(machine_vm(call->machine), print_dirty, call);

    if (err)
        monitor_fail(call, "%s", gmem_strerror(err));
}

/* --- blocks -------------------------------------------------------------------------------------------------------- */

static int print_block(void *opaque, gmem_ram *ram)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } flags[] = {
        {GMEM_RAM_SHARED, " share"},    {GMEM_RAM_PREALLOC, " prealloc"}, {GMEM_RAM_HUGE, " transparent-hugepages"},
        {GMEM_RAM_HUGETLB, " hugetlb"}, {GMEM_RAM_READONLY, " readonly"}, {GMEM_RAM_NORESERVE, " noreserve"},
    };
    FILE *out = opaque;
    uint64_t offset;
    int fd;

    fprintf(out, "%-16s %6llu KiB  %016llx  %016llx  %016llx  %p  %s", gmem_ram_id(ram),
            (ull)(gmem_ram_page_size(ram) >> 10), (ull)gmem_ram_offset(ram), (ull)gmem_ram_size(ram),
            (ull)gmem_ram_mapped(ram), gmem_ram_host(ram), gmem_ram_fd(ram, &fd, &offset) == 0 ? "file" : "memory");
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (gmem_ram_flags(ram) & flags[i].flag)
            fputs(flags[i].name, out);
    }
    putc('\n', out);
    return 0;
}

void monitor_info_ramblock(struct monitor_call *call)
{
    int err;

    fprintf(call->out,
            "block            page size   offset            size              mapped            host            "
            "kind\n");
    err = gmem_ram_foreach(machine_vm(call->machine), print_block, call->out);
    if (err)
        monitor_fail(call, "%s", gmem_strerror(err));
}

/* --- plugging ------------------------------------------------------------------------------------------------------ */

static int print_dimm(void *opaque, const struct gmem_hotplug_block *block)
{
    FILE *out = opaque;

    fprintf(out, "%s: %016llx-%016llx, %llu MiB\n", block->id, (ull)block->addr, (ull)(block->addr + block->size - 1),
            (ull)(block->size >> 20));
    return 0;
}

void monitor_info_memory_devices(struct monitor_call *call)
{
    struct gmem_hotplug *dimms = machine_dimms(call->machine);
    struct gmem_hotplug_state state;
    int err;

    if (!dimms) {
        fprintf(call->out, "no slots for memory (--memory SIZE,slots=N,max=SIZE)\n");
        return;
    }
    err = gmem_hotplug_foreach(dimms, print_dimm, call->out);
    if (err)
        monitor_fail(call, "%s", gmem_strerror(err));
    gmem_hotplug_info(dimms, &state);
    fprintf(call->out, "%zu of %zu slots used, %llu MiB plugged in; addresses %016llx-%016llx\n", state.slots_used,
            state.slots, (ull)(state.used >> 20), (ull)state.base, (ull)(state.base + state.size - 1));
}

void monitor_hotplug(struct monitor_call *call)
{
    const char *id = call->count > 2 ? call->words[2] : NULL;
    struct pc_error error = {""};
    uint64_t size, addr = 0;
    int err = parse_size(call->words[1], &size);

    if (err)
        monitor_fail(call, "'%s': not a size%s", call->words[1], err == -ERANGE ? " that any machine has" : "");
    else if (machine_plug(call->machine, size, id, &addr, &error))
        monitor_fail(call, "%s", error.text);
    else
        fprintf(call->out, "%llu MiB at %016llx-%016llx\n", (ull)(size >> 20), (ull)addr, (ull)(addr + size - 1));
}

void monitor_unplug(struct monitor_call *call)
{
    struct pc_error error = {""};

    if (machine_unplug(call->machine, call->words[1], &error))
        monitor_fail(call, "%s", error.text);
}
