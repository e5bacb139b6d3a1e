/* SPDX-License-Identifier: MIT */
/*
 * MC146818A real-time clock with 128 bytes of memory. Register numbers, bits and timing from Motorola's data sheet; which
 * memory bytes mean what from the PC/AT's BIOS interface and the extensions that SeaBIOS reads.
 *
 * Time is not counted: it is the clock's plus offset, and registers 0 to 9 and the century are made from it when read. Only
 * while the guest holds the clock (SET, or the divider in reset) are they what was last written; when it lets go,
 * offset follows from them.
 *
 * Flags are not counted either: bring_up() sets those whose moments lie between seen and now. It runs before every access
 * of the registers that depend on time. So cmos_tick() has to be called only for interrupts that are enabled, and
 * not while one waits to be acknowledged: its work is bounded by the guest's reads of register C (G9). Who calls it, and
 * is told when, is in cmos_timer.c.
 *
 * The device's lock covers everything.
 */
#include "cmos.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "device.h"

#define PORT_INDEX 0x70u
#define MEMORY_SIZE 128u

enum {
    REG_SECONDS = 0x00,
    REG_SECONDS_ALARM = 0x01,
    REG_MINUTES = 0x02,
    REG_MINUTES_ALARM = 0x03,
    REG_HOURS = 0x04,
    REG_HOURS_ALARM = 0x05,
    REG_DAY_OF_WEEK = 0x06,
    REG_DAY = 0x07,
    REG_MONTH = 0x08,
    REG_YEAR = 0x09,
    REG_A = 0x0a,
    REG_B = 0x0b,
    REG_C = 0x0c,
    REG_D = 0x0d,
    /* Memory, as a PC's firmware uses it. */
    MEM_EQUIPMENT = 0x14,
    MEM_BASE_KIB = 0x15,
    MEM_EXTENDED_KIB = 0x17,
    MEM_EXTENDED_KIB_POST = 0x30,
    MEM_CENTURY = 0x32,
    MEM_ABOVE_16M = 0x34, /* in units of 64 KiB, as the next */
    MEM_BOOT_ORDER_3 = 0x38,
    MEM_BOOT_ORDER = 0x3d,
    MEM_ABOVE_4G = 0x5b,
    MEM_CPUS_LESS_1 = 0x5f,
};

#define A_UIP 0x80u /* update in progress */
#define A_DIVIDER 0x70u
#define A_DIVIDER_RUN 0x20u /* for the 32,768 Hz crystal of a PC */
#define A_RATE 0x0fu
#define B_SET 0x80u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define C_IRQ 0x80u
#define C_PERIODIC 0x40u /* these three have the bits of their enables in register B */
#define C_ALARM 0x20u
#define C_UPDATE 0x10u
#define C_SOURCES (C_PERIODIC | C_ALARM | C_UPDATE)
#define D_VALID 0x80u /* the battery is good */
#define HOUR_PM 0x80u
#define ALARM_ANY 0xc0u /* both bits: this part of the alarm always matches */

#define EQUIPMENT_FPU 0x02u
#define EQUIPMENT_MOUSE 0x04u
#define BOOT_DISK_THEN_FLOPPY 0x12u
#define BOOT_THEN_CD 0x30u

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define NS_PER_S UINT64_C(1000000000)
#define S_PER_DAY 86400u
#define UIP_NS UINT64_C(244000) /* how long before an update the flag is up */

struct cmos {
    struct pc_device device;
    struct pc_irq irq;
    struct cmos_clock clock;
    uint8_t index;
    uint8_t memory[MEMORY_SIZE]; /* time registers: only while held() */
    int64_t offset;              /* ns to add to the clock */
    uint64_t seen;               /* the clock when the flags were last brought up to it */
    uint64_t next;               /* what the clock was told */
};

/* --- time -------------------------------------------------------------------------------------------------------- */

/* The guest holds the clock: time stands still and the time registers are memory. */
static bool held(const struct cmos *cmos)
{
    return (cmos->memory[REG_B] & B_SET) != 0 || (cmos->memory[REG_A] & A_DIVIDER) != A_DIVIDER_RUN;
}

/* Guest time at the clock's now. Unsigned arithmetic: a guest's date before 1970 wraps and comes back. */
static uint64_t guest_ns(const struct cmos *cmos, uint64_t now)
{
    return now + (uint64_t)cmos->offset;
}

/* Whole seconds since 1970, rounded down, and the rest. */
static int64_t guest_seconds(const struct cmos *cmos, uint64_t now, uint64_t *ret_rest)
{
    int64_t ns = (int64_t)guest_ns(cmos, now);
    int64_t rest = ns % (int64_t)NS_PER_S;

    if (rest < 0)
        rest += (int64_t)NS_PER_S;
    *ret_rest = (uint64_t)rest;
    return (ns - rest) / (int64_t)NS_PER_S;
}

static uint8_t encode(const struct cmos *cmos, int value)
{
    if ((cmos->memory[REG_B] & B_BINARY) != 0)
        return (uint8_t)value;
    return (uint8_t)((value / 10) << 4 | value % 10);
}

static int decode(const struct cmos *cmos, uint8_t value)
{
    if ((cmos->memory[REG_B] & B_BINARY) != 0)
        return value;
    return (value >> 4) * 10 + (value & 0x0f);
}

static uint8_t encode_hours(const struct cmos *cmos, int hours)
{
    int hours12 = hours % 12 == 0 ? 12 : hours % 12;

    if ((cmos->memory[REG_B] & B_24H) != 0)
        return encode(cmos, hours);
    return (uint8_t)(encode(cmos, hours12) | (hours >= 12 ? HOUR_PM : 0));
}

static int decode_hours(const struct cmos *cmos, uint8_t value)
{
    if ((cmos->memory[REG_B] & B_24H) != 0)
        return decode(cmos, value);
    return decode(cmos, (uint8_t)(value & ~HOUR_PM)) % 12 + ((value & HOUR_PM) != 0 ? 12 : 0);
}

/* Make the time registers from the clock. */
static void load_time(struct cmos *cmos, uint64_t now)
{
    uint64_t rest;
    time_t seconds = (time_t)guest_seconds(cmos, now, &rest);
    struct tm tm;

    if (held(cmos) || gmtime_r(&seconds, &tm) == NULL)
        return;
    cmos->memory[REG_SECONDS] = encode(cmos, tm.tm_sec);
    cmos->memory[REG_MINUTES] = encode(cmos, tm.tm_min);
    cmos->memory[REG_HOURS] = encode_hours(cmos, tm.tm_hour);
    cmos->memory[REG_DAY_OF_WEEK] = encode(cmos, tm.tm_wday + 1);
    cmos->memory[REG_DAY] = encode(cmos, tm.tm_mday);
    cmos->memory[REG_MONTH] = encode(cmos, tm.tm_mon + 1);
    cmos->memory[REG_YEAR] = encode(cmos, tm.tm_year % 100);
    cmos->memory[MEM_CENTURY] = encode(cmos, (tm.tm_year + 1900) / 100);
}

/* Make the clock show the time registers, whatever the guest wrote there: timegm() carries what is out of range. */
static void store_time(struct cmos *cmos, uint64_t now)
{
    int year = decode(cmos, cmos->memory[MEM_CENTURY]) * 100 + decode(cmos, cmos->memory[REG_YEAR]);
    struct tm tm = {
        .tm_sec = decode(cmos, cmos->memory[REG_SECONDS]),
        .tm_min = decode(cmos, cmos->memory[REG_MINUTES]),
        .tm_hour = decode_hours(cmos, cmos->memory[REG_HOURS]),
        .tm_mday = decode(cmos, cmos->memory[REG_DAY]),
        .tm_mon = decode(cmos, cmos->memory[REG_MONTH]) - 1,
        .tm_year = year - 1900,
    };
    uint64_t rest;

    /* Setting the time does not disturb the divider: the second goes on where it was. */
    (void)guest_seconds(cmos, now, &rest);
    cmos->offset = (int64_t)((uint64_t)timegm(&tm) * NS_PER_S + rest - now);
}

/* --- flags and interrupt ----------------------------------------------------------------------------------------- */

static bool alarm_part(const struct cmos *cmos, int reg, int value)
{
    uint8_t wanted = cmos->memory[reg];

    if ((wanted & ALARM_ANY) == ALARM_ANY)
        return true;
    return wanted == (reg == REG_HOURS_ALARM ? encode_hours(cmos, value) : encode(cmos, value));
}

/* Seconds from the second of the day tod to the next one after it that the alarm is set to; 0: none. */
static unsigned alarm_after(const struct cmos *cmos, unsigned tod)
{
    unsigned n = 1;

    while (n <= S_PER_DAY) {
        unsigned t = (tod + n) % S_PER_DAY;

        if (!alarm_part(cmos, REG_HOURS_ALARM, (int)(t / 3600)))
            n += 3600 - t % 3600;
        else if (!alarm_part(cmos, REG_MINUTES_ALARM, (int)(t / 60 % 60)))
            n += 60 - t % 60;
        else if (!alarm_part(cmos, REG_SECONDS_ALARM, (int)(t % 60)))
            n++;
        else
            return n;
    }
    return 0;
}

/* Periodic interrupts in a second, a power of two; 0: none are made. */
static unsigned periodic_rate(const struct cmos *cmos)
{
    unsigned rate = cmos->memory[REG_A] & A_RATE;

    if (rate == 0 || (cmos->memory[REG_A] & A_DIVIDER) != A_DIVIDER_RUN)
        return 0;
    if (rate <= 2) /* the data sheet's table: as rates 8 and 9 */
        rate += 7;
    return 32768u >> (rate - 1);
}

/* The clock's time of the next event of one source (a C_ bit) after the time from. */
static uint64_t next_event(const struct cmos *cmos, unsigned source, uint64_t from)
{
    uint64_t rate = periodic_rate(cmos);
    uint64_t rest;
    int64_t seconds = guest_seconds(cmos, from, &rest);
    int64_t tod = seconds % (int64_t)S_PER_DAY;
    unsigned wait;

    if (source == C_PERIODIC) {
        if (rate == 0)
            return CMOS_NEVER;
        /* They divide each second evenly, so that they don't drift: number n of it is at its n / rate, rounded up. */
        return from + ((rest * rate / NS_PER_S + 1) * NS_PER_S + rate - 1) / rate - rest;
    }
    if (held(cmos))
        return CMOS_NEVER;
    if (source == C_UPDATE)
        return from + (NS_PER_S - rest);
    wait = alarm_after(cmos, (unsigned)(tod < 0 ? tod + (int64_t)S_PER_DAY : tod));
    return wait == 0 ? CMOS_NEVER : from + (wait * NS_PER_S - rest);
}

static void update_irq(struct cmos *cmos)
{
    uint8_t pending = cmos->memory[REG_C] & cmos->memory[REG_B] & C_SOURCES;

    cmos->memory[REG_C] = (uint8_t)(cmos->memory[REG_C] & C_SOURCES);
    if (pending != 0)
        cmos->memory[REG_C] |= C_IRQ;
    pc_irq_set(cmos->irq, pending != 0);
}

static const unsigned sources[] = {C_PERIODIC, C_ALARM, C_UPDATE};
#define SOURCES (sizeof(sources) / sizeof(sources[0]))

/* Set the flags of what happened since they were last looked at. Returns the clock's time. */
static uint64_t bring_up(struct cmos *cmos)
{
    uint64_t now = cmos->clock.now(cmos->clock.opaque);
    uint8_t before = cmos->memory[REG_C];

    /* A host clock that was set back must not make the guest's flags stop until it catches up. */
    if (now < cmos->seen)
        cmos->seen = now;
    for (size_t i = 0; i < SOURCES; i++) {
        if (next_event(cmos, sources[i], cmos->seen) <= now)
            cmos->memory[REG_C] |= (uint8_t)sources[i];
    }
    cmos->seen = now;
    if (cmos->memory[REG_C] != before)
        update_irq(cmos);
    return now;
}

static uint64_t next_interrupt(const struct cmos *cmos)
{
    uint64_t next = CMOS_NEVER;

    if ((cmos->memory[REG_C] & C_IRQ) != 0)
        return CMOS_NEVER;
    for (size_t i = 0; i < SOURCES; i++) {
        uint64_t event = next_event(cmos, sources[i], cmos->seen);

        if ((cmos->memory[REG_B] & sources[i]) != 0 && event < next)
            next = event;
    }
    return next;
}

/* After whatever can change when the next interrupt is due. */
static void tell_next(struct cmos *cmos)
{
    uint64_t next = next_interrupt(cmos);

    if (next == cmos->next)
        return;
    cmos->next = next;
    if (cmos->clock.next != NULL)
        cmos->clock.next(cmos->clock.opaque, next);
}

uint64_t cmos_tick(struct cmos *cmos)
{
    uint64_t next;

    pthread_mutex_lock(&cmos->device.lock);
    (void)bring_up(cmos);
    tell_next(cmos);
    next = cmos->next;
    pthread_mutex_unlock(&cmos->device.lock);
    return next;
}

/* --- ports ------------------------------------------------------------------------------------------------------- */

static bool is_time(unsigned index)
{
    return index == MEM_CENTURY ||
           (index <= REG_YEAR && index != REG_SECONDS_ALARM && index != REG_MINUTES_ALARM && index != REG_HOURS_ALARM);
}

static uint8_t read_register(struct cmos *cmos, uint64_t now)
{
    uint8_t value = cmos->memory[cmos->index];
    uint64_t rest;

    if (cmos->index == REG_A && !held(cmos)) {
        (void)guest_seconds(cmos, now, &rest);
        if (rest >= NS_PER_S - UIP_NS)
            value |= A_UIP;
    } else if (cmos->index == REG_C) {
        cmos->memory[REG_C] = 0;
        update_irq(cmos);
    }
    return value;
}

/* Write register A or B: time registers are turned to memory or back, and in between take the new format. */
static void write_control(struct cmos *cmos, unsigned index, uint8_t value, uint64_t now)
{
    bool was_held = held(cmos);

    load_time(cmos, now);
    cmos->memory[index] = value;
    if (was_held && !held(cmos))
        store_time(cmos, now);
    update_irq(cmos);
}

static void write_register(struct cmos *cmos, uint8_t value, uint64_t now)
{
    if (cmos->index == REG_A) {
        write_control(cmos, REG_A, (uint8_t)(value & ~A_UIP), now);
    } else if (cmos->index == REG_B) {
        /* The data sheet: SET clears the update-ended enable. */
        if ((value & B_SET) != 0)
            value = (uint8_t)(value & ~C_UPDATE);
        write_control(cmos, REG_B, value, now);
    } else if (cmos->index != REG_C && cmos->index != REG_D) {
        if (is_time(cmos->index))
            load_time(cmos, now);
        cmos->memory[cmos->index] = value;
        if (is_time(cmos->index) && !held(cmos))
            store_time(cmos, now);
    }
}

static gmem_result data_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    struct cmos *cmos = opaque;
    uint64_t now;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&cmos->device.lock);
    now = bring_up(cmos);
    load_time(cmos, now);
    *ret_value = read_register(cmos, now);
    tell_next(cmos);
    pthread_mutex_unlock(&cmos->device.lock);
    return GMEM_OK;
}

static gmem_result data_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct cmos *cmos = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&cmos->device.lock);
    write_register(cmos, (uint8_t)value, bring_up(cmos));
    tell_next(cmos);
    pthread_mutex_unlock(&cmos->device.lock);
    return GMEM_OK;
}

static const struct gmem_mmio_ops data_ops = {
    .read = data_read,
    .write = data_write,
    .endian = GMEM_ENDIAN_LITTLE,
    .valid = {.min = 1, .max = 1},
    .impl = {.min = 1, .max = 1},
};

static gmem_result index_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)attrs;
    *ret_value = 0xff; /* the port is write only */
    return GMEM_OK;
}

static gmem_result index_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct cmos *cmos = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    pthread_mutex_lock(&cmos->device.lock);
    cmos->index = (uint8_t)(value % MEMORY_SIZE);
    pthread_mutex_unlock(&cmos->device.lock);
    return GMEM_OK;
}

static const struct gmem_mmio_ops index_ops = {
    .read = index_read,
    .write = index_write,
    .endian = GMEM_ENDIAN_LITTLE,
    .valid = {.min = 1, .max = 1},
    .impl = {.min = 1, .max = 1},
};

/* --- life -------------------------------------------------------------------------------------------------------- */

/* value in units, as many low bytes as there are, the largest number where it does not fit. */
static void put_memory(struct cmos *cmos, unsigned at, unsigned bytes, uint64_t value)
{
    uint64_t most = (UINT64_C(1) << (8 * bytes)) - 1;

    if (value > most)
        value = most;
    for (unsigned i = 0; i < bytes; i++)
        cmos->memory[at + i] = (uint8_t)(value >> (8 * i));
}

static uint64_t above(uint64_t bytes, uint64_t limit)
{
    return bytes > limit ? bytes - limit : 0;
}

static void fill_memory(struct cmos *cmos, uint64_t ram_below_4g, uint64_t ram_above_4g, unsigned cpus)
{
    uint64_t base_kib = ram_below_4g / KIB;

    cmos->memory[REG_A] = A_DIVIDER_RUN | 6; /* 1,024 Hz, as a PC's firmware sets it */
    cmos->memory[REG_B] = B_24H;
    cmos->memory[REG_D] = D_VALID;
    cmos->memory[MEM_EQUIPMENT] = EQUIPMENT_FPU | EQUIPMENT_MOUSE;
    put_memory(cmos, MEM_BASE_KIB, 2, base_kib < 640 ? base_kib : 640);
    put_memory(cmos, MEM_EXTENDED_KIB, 2, above(ram_below_4g, MIB) / KIB);
    put_memory(cmos, MEM_EXTENDED_KIB_POST, 2, above(ram_below_4g, MIB) / KIB);
    put_memory(cmos, MEM_ABOVE_16M, 2, above(ram_below_4g, 16 * MIB) / (64 * KIB));
    put_memory(cmos, MEM_ABOVE_4G, 3, ram_above_4g / (64 * KIB));
    cmos->memory[MEM_BOOT_ORDER_3] = BOOT_THEN_CD;
    cmos->memory[MEM_BOOT_ORDER] = BOOT_DISK_THEN_FLOPPY;
    cmos->memory[MEM_CPUS_LESS_1] = (uint8_t)(cpus - 1);
}

int cmos_create_clock(gmem_vm *vm, gmem_region *io, uint64_t ram_below_4g, uint64_t ram_above_4g, unsigned cpus,
                      struct pc_irq irq8, const struct cmos_clock *clock, struct cmos **ret)
{
    struct cmos *cmos;
    gmem_region *data;
    int err;

    if (cpus < 1 || cpus > 255)
        return -EINVAL;
    cmos = calloc(1, sizeof(*cmos));
    if (cmos == NULL)
        return -ENOMEM;
    err = pc_device_init(&cmos->device, vm, NULL);
    if (err != 0) {
        free(cmos);
        return err;
    }
    cmos->irq = irq8;
    cmos->clock = *clock;
    cmos->seen = clock->now(clock->opaque);
    cmos->next = CMOS_NEVER;
    fill_memory(cmos, ram_below_4g, ram_above_4g, cpus);
    err = pc_device_add(&cmos->device, io, PORT_INDEX, "rtc", 2, &data_ops, &data);
    if (err == 0)
        err = pc_device_add(&cmos->device, data, 0, "rtc-index", 1, &index_ops, NULL);
    if (err != 0) {
        pc_device_end(&cmos->device);
        return err;
    }
    *ret = cmos;
    return 0;
}

static uint64_t stopped_now(void *opaque)
{
    return ((const struct cmos *)opaque)->seen;
}

void cmos_destroy(struct cmos *cmos)
{
    struct cmos_clock clock;

    if (cmos == NULL)
        return;
    /* Whoever still holds a view may come: for him time stands still. */
    pthread_mutex_lock(&cmos->device.lock);
    clock = cmos->clock;
    cmos->clock = (struct cmos_clock){.now = stopped_now, .opaque = cmos};
    pthread_mutex_unlock(&cmos->device.lock);
    if (clock.end != NULL)
        clock.end(clock.opaque);
    pc_device_end(&cmos->device);
}
