/* SPDX-License-Identifier: MIT */
/*
 * Recorded boots: their traces, and making the configuration writes that are in them on a machine for tests. Include after
 * pc-machine.h.
 *
 * A configuration write is made as the firmware made it, through the ports: the trace does not say how wide it was, so the
 * width is what the register has.
 */
#ifndef GMEM_TESTS_PC_REPLAY_H
#define GMEM_TESTS_PC_REPLAY_H

#include "vapic.h"

#define REPLAY_BIOS_SIZE 0x40000u
#define REPLAY_LINE 256u

static inline char *load(const char *name)
{
    const char *data = getenv("GMEM_TEST_DATA");
    char path[4096], *text;
    FILE *file;
    long size;

    assert_non_null(data);
    snprintf(path, sizeof(path), "%s/traces/%s.trace", data, name);
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s can't be opened", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), (size_t)size);
    text[size] = 0;
    fclose(file);
    return text;
}

/* The line after this one, or the end. */
static inline const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return line + (*line == '\n');
}

/*
 * The line without its host address, and with a device as later versions of QEMU name it ("00:02.0" for "02:0"); the same for
 * a line of ours.
 */
static inline void normalise(const char *line, size_t len, char out[REPLAY_LINE])
{
    const char *ua = memmem(line, len, " ua=0x", 6);
    size_t head = ua ? (size_t)(ua - line) : len;
    size_t skip = ua ? 6 + strspn(ua + 6, "0123456789abcdef") : 0;
    unsigned device, function;
    char name[32];
    int rest = 0;

    snprintf(out, REPLAY_LINE, "%.*s%.*s", (int)head, line, (int)(len - head - skip), line + head + skip);
    if (sscanf(out, "pci_cfg_write %31s %2u:%1u @%n", name, &device, &function, &rest) == 3 && rest) {
        char later[REPLAY_LINE];

        snprintf(later, REPLAY_LINE, "pci_cfg_write %s 00:%02x.%x @%s", name, device, function, out + rest);
        memcpy(out, later, REPLAY_LINE);
    }
}

/* The number of the first line that differs, with both as compared; 0: none does. */
static inline unsigned first_difference(const char *recorded, const char *ours, char want[REPLAY_LINE],
                                        char have[REPLAY_LINE])
{
    for (unsigned number = 1; *recorded || *ours; number++) {
        size_t a = strcspn(recorded, "\n"), b = strcspn(ours, "\n");

        normalise(recorded, a, want);
        normalise(ours, b, have);
        if (strcmp(want, have) != 0)
            return number;
        recorded += a + (recorded[a] == '\n');
        ours += b + (ours[b] == '\n');
    }
    return 0;
}

static inline void compare(const char *recorded, const char *ours)
{
    char want[REPLAY_LINE], have[REPLAY_LINE];
    unsigned number = first_difference(recorded, ours, want, have);

    if (number)
        fail_msg("line %u: recorded \"%s\", ours \"%s\"", number, want, have);
}

static inline void replay_write(struct bench *bench, const char *recorded)
{
    unsigned bus, device, function, offset, value;
    uint8_t devfn;
    char line[REPLAY_LINE];

    normalise(recorded, strcspn(recorded, "\n"), line);
    if (sscanf(line, "pci_cfg_write %*s %x:%x.%x @0x%x <- 0x%x", &bus, &device, &function, &offset, &value) != 5)
        return;
    devfn = PCI_DEVFN(device, function);
    assert_int_equal(bus, 0);
    if (offset == PCI_COMMAND || (devfn == PCI_DEVFN(1, 1) && (offset == 0x40 || offset == 0x42)))
        cfg_write16(bench, devfn, offset, (uint16_t)value);
    else if (offset % 4 || (devfn == PCI_DEVFN(1, 0) && offset == 0x60) || offset == PCI_INTERRUPT_LINE ||
             (devfn == PCI_DEVFN(1, 3) && offset == 0x80))
        cfg_write8(bench, devfn, offset, (uint8_t)value);
    else
        cfg_write32(bench, devfn, offset, value);
}

static inline int replay_executing(void *opaque, uint64_t *ret_addr)
{
    *ret_addr = *(const uint64_t *)opaque;
    return 0;
}

/*
 * What the firmware and the APIC option ROM do, which traces do not show: it is copied to base, which is RAM by then, and called,
 * and writes to its port. The map shows what it did before, until RAM is write-protected.
 */
static inline void replay_option_rom(struct bench *bench, uint64_t base)
{
    const struct pci_processors kept = *pci_bus_processors(machine_pci(bench->machine));
    struct pci_processors processors = kept;
    uint64_t addr = base + 9;
    uint8_t rom[VAPIC_ROM_SIZE];
    size_t used = bench->used;

    vapic_rom_build(rom);
    assert_int_equal(gmem_space_write(machine_memory(bench->machine), base, GMEM_ATTRS_NONE, rom, sizeof(rom)),
                     GMEM_OK);
    processors.executing = replay_executing;
    processors.opaque = &addr;
    pci_bus_set_processors(machine_pci(bench->machine), &processors);
    out16(bench, VAPIC_PORT, VAPIC_ROM_WORD);
    pci_bus_set_processors(machine_pci(bench->machine), &kept);
    assert_int_equal(bench->used, used);
}

/* Open a machine and start it, with firmware of the recorded machines' size. */
static inline void replay_open(struct bench *bench, struct pc_config *config)
{
    void *firmware = calloc(1, REPLAY_BIOS_SIZE);
    struct pc_error error;

    assert_non_null(firmware);
    config->firmware = firmware;
    config->firmware_len = REPLAY_BIOS_SIZE;
    bench_open(bench, config);
    free(firmware);
    config->firmware = NULL;
    assert_int_equal(machine_start(bench->machine, &error), 0);
}

#endif
