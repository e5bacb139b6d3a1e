/* SPDX-License-Identifier: MIT */
/*
 * pc/apic_bus.c - what goes between APICs, and the page and the window where processors and devices reach them.
 *
 * Intel SDM volume 3, chapter "APIC": "Determining IPI Destination" for destinations and lowest priority, "Message Signalled
 * Interrupts" for the fields of an MSI's address and data. Among those with the same priority, lowest priority goes round, beginning
 * with the one after the one that was chosen last: so it is the same in each run.
 *
 * A message visits each local APIC once. Runs under the machine's device lock.
 */
#include "apic_bus.h"

#include <errno.h>
#include <stdlib.h>

#include "lapic.h"
#include "place.h"

#define MSI_DEST_SHIFT 12u
#define MSI_REDIRECTION_HINT 0x8u
#define MSI_LOGICAL 0x4u
#define MSI_MODE_SHIFT 8u
#define MSI_ASSERT 0x4000u
#define MSI_LEVEL 0x8000u

struct apic_bus {
    struct apic_bus_config config;
    struct lapic **lapics;
    unsigned current;
    unsigned chosen; /* the last one of lowest priority */
    gmem_region *region;
};

/* What a message is for: from is of shorthands. */
struct target {
    enum apic_shorthand to;
    unsigned from;
};

static bool is_for(const struct apic_bus *bus, unsigned cpu, struct target target, const struct apic_message *message)
{
    switch (target.to) {
    case APIC_SELF:
        return cpu == target.from;
    case APIC_ALL:
        return true;
    case APIC_OTHERS:
        return cpu != target.from;
    case APIC_DEST:
        break;
    }
    return lapic_is_dest(bus->lapics[cpu], message->dest, message->logical);
}

/* The one that takes a message of lowest priority, or NULL. */
static struct lapic *arbitrate(struct apic_bus *bus, struct target target, const struct apic_message *message)
{
    struct lapic *best = NULL;
    unsigned best_cpu = 0;

    for (unsigned i = 1; i <= bus->config.cpus; i++) {
        unsigned cpu = (bus->chosen + i) % bus->config.cpus;
        struct lapic *apic = bus->lapics[cpu];

        if (!lapic_takes_vectors(apic) || !is_for(bus, cpu, target, message))
            continue;
        if (lapic_is_focus(apic, message->vector))
            return apic;
        if (!best || lapic_arbitration(apic) < lapic_arbitration(best)) {
            best = apic;
            best_cpu = cpu;
        }
    }
    if (best)
        bus->chosen = best_cpu;
    return best;
}

static bool deliver(struct apic_bus *bus, struct target target, const struct apic_message *message)
{
    bool taken = false;

    if (message->mode == APIC_LOWEST) {
        struct lapic *apic = arbitrate(bus, target, message);

        return apic && lapic_accept(apic, message);
    }
    for (unsigned cpu = 0; cpu < bus->config.cpus; cpu++) {
        if (is_for(bus, cpu, target, message) && lapic_accept(bus->lapics[cpu], message))
            taken = true;
    }
    return taken;
}

bool apic_bus_send(struct apic_bus *bus, const struct apic_message *message)
{
    return deliver(bus, (struct target){.to = APIC_DEST}, message);
}

static void send_from(void *opaque, unsigned cpu, enum apic_shorthand to, const struct apic_message *message)
{
    (void)deliver(opaque, (struct target){.to = to, .from = cpu}, message);
}

struct lapic *apic_bus_lapic(const struct apic_bus *bus, unsigned cpu)
{
    return bus->lapics[cpu];
}

void apic_bus_set_current(struct apic_bus *bus, unsigned cpu)
{
    bus->current = cpu;
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

static void write_msi(struct apic_bus *bus, uint32_t address, uint32_t data)
{
    struct apic_message message = {
        .mode = data >> MSI_MODE_SHIFT & 7u,
        .vector = (uint8_t)data,
        .dest = (uint8_t)(address >> MSI_DEST_SHIFT),
        .logical = (address & MSI_LOGICAL) != 0,
        .level = (data & MSI_LEVEL) != 0,
    };

    /* Level triggered ones end by EOI; SIPI is for processors to send. */
    if ((message.level && !(data & MSI_ASSERT)) || message.mode == APIC_SIPI)
        return;
    if (message.mode == APIC_FIXED && address & MSI_REDIRECTION_HINT)
        message.mode = APIC_LOWEST;
    (void)apic_bus_send(bus, &message);
}

static bool is_page(const struct apic_bus *bus, uint64_t offset, struct gmem_attrs attrs)
{
    return attrs.requester == 0 && offset < LAPIC_SIZE && lapic_base(bus->lapics[bus->current]) & LAPIC_BASE_ENABLE;
}

static gmem_result msi_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    const struct apic_bus *bus = opaque;

    *ret_value = UINT64_MAX;
    if (!is_page(bus, offset, attrs))
        return GMEM_OK;
    (void)size; /* the library takes as much as the access is wide */
    *ret_value = lapic_read(bus->lapics[bus->current], (uint32_t)offset & ~3u) >> 8 * (offset & 3u);
    return GMEM_OK;
}

static gmem_result msi_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct apic_bus *bus = opaque;

    if (size != 4)
        return GMEM_OK;
    if (is_page(bus, offset, attrs))
        lapic_write(bus->lapics[bus->current], (uint32_t)offset, (uint32_t)value);
    else if (attrs.requester != 0 || offset >= LAPIC_SIZE)
        write_msi(bus, (uint32_t)offset, (uint32_t)value);
    return GMEM_OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static void forward_eoi(void *opaque, uint8_t vector)
{
    const struct apic_bus *bus = opaque;

    bus->config.eoi(bus->config.opaque, vector);
}

static void forward_retry(void *opaque)
{
    const struct apic_bus *bus = opaque;

    bus->config.retry(bus->config.opaque);
}

static void forward_changed(void *opaque, unsigned cpu)
{
    const struct apic_bus *bus = opaque;

    bus->config.changed(bus->config.opaque, cpu);
}

static int create_lapics(struct apic_bus *bus)
{
    struct lapic_config config = {
        .time = bus->config.time,
        .send = send_from,
        .eoi = forward_eoi,
        .retry = forward_retry,
        .changed = forward_changed,
        .opaque = bus,
    };
    int err = 0;

    bus->lapics = calloc(bus->config.cpus, sizeof(struct lapic *));
    if (!bus->lapics)
        return -ENOMEM;
    for (; config.cpu < bus->config.cpus && !err; config.cpu++)
        err = lapic_create(&config, &bus->lapics[config.cpu]);
    return err;
}

int apic_bus_create(gmem_region *system, const struct apic_bus_config *config, struct apic_bus **ret)
{
    static const struct gmem_mmio_ops ops = {
        .read = msi_read, .write = msi_write, .valid = {.min = 1, .max = 4}, .impl = {.min = 1, .max = 4}};
    struct apic_bus *bus = calloc(1, sizeof(*bus));
    int err;

    if (!bus)
        return -ENOMEM;
    bus->config = *config;
    bus->chosen = config->cpus - 1;
    err = create_lapics(bus);
    if (!err)
        err = pc_place_mmio(system, LAPIC_BASE, APIC_MSI_PRIORITY, "apic-msi", APIC_MSI_SIZE, &ops, bus, &bus->region);
    if (err) {
        apic_bus_destroy(bus);
        return err;
    }
    *ret = bus;
    return 0;
}

void apic_bus_destroy(struct apic_bus *bus)
{
    if (!bus)
        return;
    pc_unplace(bus->region);
    for (unsigned cpu = 0; cpu < bus->config.cpus && bus->lapics; cpu++)
        lapic_destroy(bus->lapics[cpu]);
    free(bus->lapics);
    free(bus);
}
