/* SPDX-License-Identifier: MIT */
/*
 * A machine for tests, without processors (its memory slot calls are written down, nothing is asked of a kernel) or with
 * KVM's, on firmware that the test makes. Include after cmocka.h.
 */
#ifndef GMEM_TESTS_PC_MACHINE_H
#define GMEM_TESTS_PC_MACHINE_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define FIRMWARE_SIZE 0x10000u

struct bench {
    struct machine *machine;
    uint8_t firmware[FIRMWARE_SIZE];
    uint8_t rom[0x9c00]; /* of the VGA */

    char *lines; /* every trace line, with a newline each */
    size_t used, room;
    char last_log[512];
    atomic_uint logs;    /* last_log is the line of the last one counted */
    uint64_t refuse_gpa; /* slots are refused from here on */
    unsigned refusals;

    char console[4096];
    atomic_uint console_len;
    atomic_int event; /* 1 + the first enum pc_event; 0: none */
    char event_text[256];
};

static inline void bench_line(void *opaque, const char *line)
{
    struct bench *bench = opaque;
    size_t len = strlen(line);

    if (bench->used + len + 2 > bench->room) {
        bench->room = 2 * bench->room + len + 4096;
        bench->lines = realloc(bench->lines, bench->room);
        assert_non_null(bench->lines);
    }
    memcpy(bench->lines + bench->used, line, len);
    memcpy(bench->lines + bench->used + len, "\n", 2);
    bench->used += len + 1;
}

static inline void bench_log(void *opaque, const char *text)
{
    struct bench *bench = opaque;

    snprintf(bench->last_log, sizeof(bench->last_log), "%s", text);
    atomic_fetch_add(&bench->logs, 1);
}

static inline void bench_console(void *opaque, char c)
{
    struct bench *bench = opaque;
    unsigned len = atomic_load(&bench->console_len);

    if (len + 1 < sizeof(bench->console)) {
        bench->console[len] = c;
        atomic_store(&bench->console_len, len + 1);
    }
}

static inline void bench_event(void *opaque, enum pc_event event, const char *text)
{
    struct bench *bench = opaque;

    if (atomic_load(&bench->event))
        return;
    snprintf(bench->event_text, sizeof(bench->event_text), "%s", text);
    atomic_store(&bench->event, 1 + (int)event);
}

static inline int bench_set(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct bench *bench = opaque;

    if (call->memory_size && call->guest_phys_addr >= bench->refuse_gpa) {
        bench->refusals++;
        return -EINVAL;
    }
    return 0;
}

static inline struct bench *bench_new(void)
{
    struct bench *bench = calloc(1, sizeof(*bench));

    assert_non_null(bench);
    bench->refuse_gpa = UINT64_MAX;
    /* At the reset vector: hlt, and again if it wakes. */
    memcpy(bench->firmware + FIRMWARE_SIZE - 16, "\xf4\xeb\xfd", 3);
    return bench;
}

static inline struct pc_config bench_config(struct bench *bench, uint64_t memory, bool vga)
{
    return (struct pc_config){.memory = memory,
                              /* Machines of tests are as large as they like: they touch little of it. */
                              .backing = {.flags = GMEM_RAM_NORESERVE},
                              .cpus = 1,
                              .firmware = bench->firmware,
                              .firmware_len = FIRMWARE_SIZE,
                              .vga_rom = vga ? bench->rom : NULL,
                              .vga_rom_len = sizeof(bench->rom),
                              .accel = PC_ACCEL_NONE,
                              .policy = GMEM_KVM_POLICY_REFERENCE,
                              .set = bench_set,
                              .set_opaque = bench,
                              .hooks = {.opaque = bench,
                                        .event = bench_event,
                                        .log = bench_log,
                                        .trace_slot = bench_line,
                                        .trace_pci = bench_line,
                                        .console = bench_console}};
}

static inline void bench_open(struct bench *bench, const struct pc_config *config)
{
    struct pc_error error = {""};
    int err = machine_create(config, &bench->machine, &error);

    if (err)
        fail_msg("no machine: %s", error.text);
}

static inline void bench_free(struct bench *bench)
{
    machine_destroy(bench->machine);
    free(bench->lines);
    free(bench);
}

static inline void out8(struct bench *bench, uint16_t port, uint8_t value)
{
    assert_int_equal(gmem_st8(machine_io(bench->machine), port, GMEM_ATTRS_NONE, value), GMEM_OK);
}

static inline void out16(struct bench *bench, uint16_t port, uint16_t value)
{
    assert_int_equal(gmem_st16_le(machine_io(bench->machine), port, GMEM_ATTRS_NONE, value), GMEM_OK);
}

static inline void out32(struct bench *bench, uint16_t port, uint32_t value)
{
    assert_int_equal(gmem_st32_le(machine_io(bench->machine), port, GMEM_ATTRS_NONE, value), GMEM_OK);
}

static inline uint8_t in8(struct bench *bench, uint16_t port)
{
    uint8_t value;

    assert_int_equal(gmem_ld8(machine_io(bench->machine), port, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static inline uint16_t in16(struct bench *bench, uint16_t port)
{
    uint16_t value;

    assert_int_equal(gmem_ld16_le(machine_io(bench->machine), port, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static inline uint32_t in32(struct bench *bench, uint16_t port)
{
    uint32_t value;

    assert_int_equal(gmem_ld32_le(machine_io(bench->machine), port, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static inline void cfg_select(struct bench *bench, uint8_t devfn, unsigned offset)
{
    out32(bench, 0xcf8, 0x80000000u | (uint32_t)devfn << 8 | (offset & 0xfc));
}

static inline void cfg_write8(struct bench *bench, uint8_t devfn, unsigned offset, uint8_t value)
{
    cfg_select(bench, devfn, offset);
    out8(bench, (uint16_t)(0xcfc + (offset & 3)), value);
}

static inline void cfg_write16(struct bench *bench, uint8_t devfn, unsigned offset, uint16_t value)
{
    cfg_select(bench, devfn, offset);
    out16(bench, (uint16_t)(0xcfc + (offset & 3)), value);
}

static inline void cfg_write32(struct bench *bench, uint8_t devfn, unsigned offset, uint32_t value)
{
    cfg_select(bench, devfn, offset);
    out32(bench, 0xcfc, value);
}

static inline uint8_t cfg_read8(struct bench *bench, uint8_t devfn, unsigned offset)
{
    cfg_select(bench, devfn, offset);
    return in8(bench, (uint16_t)(0xcfc + (offset & 3)));
}

static inline uint16_t cfg_read16(struct bench *bench, uint8_t devfn, unsigned offset)
{
    cfg_select(bench, devfn, offset);
    return in16(bench, (uint16_t)(0xcfc + (offset & 3)));
}

static inline uint32_t cfg_read32(struct bench *bench, uint8_t devfn, unsigned offset)
{
    cfg_select(bench, devfn, offset);
    return in32(bench, 0xcfc);
}

/* The name of what memory shows at addr, or "" where that is nothing. Valid until the map changes. */
static inline const char *seen_at(struct bench *bench, uint64_t addr)
{
    struct gmem_section section;
    const char *name;

    if (gmem_space_lookup(machine_memory(bench->machine), addr, &section))
        return "";
    name = gmem_region_name(section.region);
    gmem_section_release(&section);
    return name;
}

/* Wait until done() is true, at most some seconds: true if it was. */
static inline bool wait_until(bool (*done)(struct bench *bench), struct bench *bench, unsigned seconds)
{
    const struct timespec nap = {0, 2000000};

    for (unsigned i = 0; i < seconds * 500; i++) {
        if (done(bench))
            return true;
        nanosleep(&nap, NULL);
    }
    return done(bench);
}

/* False, with the reason printed: tests with processors of KVM's are skipped. */
static inline bool have_kvm(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), version;

    if (fd < 0) {
        print_message("no usable /dev/kvm: %s\n", strerror(errno));
        return false;
    }
    version = ioctl(fd, KVM_GET_API_VERSION, 0);
    close(fd);
    if (version != KVM_API_VERSION)
        print_message("/dev/kvm is not KVM, or another version of it\n");
    return version == KVM_API_VERSION;
}

#endif
