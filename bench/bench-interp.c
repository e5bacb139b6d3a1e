/* SPDX-License-Identifier: MIT */
/*
 * bench-interp.c - interpreted processors beside libx86emu alone: the same loop, executed by a machine and by libx86emu whose handler is
 * an array of bytes.
 *
 * A machine executes on a thread of its own. For a round it is let go for some time; what counts is how long its thread was busy for how
 * many instructions, which it says itself: by the thread's processor time, and so is the baseline.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/kvm.h>
#include <x86emu.h>

#include "cpu.h"
#include "machine.h"

#define MEMORY (16u << 20)
#define ROUND_NS 4000000

struct loop {
    const char *code; /* in real mode, for ever; it has made DS 0 */
    size_t size;
    struct machine *machine;
    x86emu_t *bare;
    uint8_t *firmware;
};

static uint8_t bytes[1u << 20];

/* mov ax, [0x1000]; add [0x1002], ax; push ax; pop bx; inc cx; mov [0x1004], cx; jmp */
static const char ram_code[] = "\xa1\x00\x10\x01\x06\x02\x10\x50\x5b\x41\x89\x0e\x04\x10\xeb\xf0";
/* mov ax, 0xa000; mov es, ax; mov al, es:[0]; jmp: VGA's window, a device after a reset */
static const char vga_code[] = "\xb8\x00\xa0\x8e\xc0\x26\xa0\x00\x00\xeb\xfa";
/* in al, 0x80; jmp */
static const char port_code[] = "\xe4\x80\xeb\xfc";
/* mov cx, 64; mov si, 0x1000; mov di, 0x2000; rep movsw; jmp */
static const char string_code[] = "\xb9\x40\x00\xbe\x00\x10\xbf\x00\x20\xf3\xa5\xeb\xf3";

static struct loop loops[] = {
    {.code = ram_code, .size = sizeof(ram_code) - 1},
    {.code = vga_code, .size = sizeof(vga_code) - 1},
    {.code = port_code, .size = sizeof(port_code) - 1},
    {.code = string_code, .size = sizeof(string_code) - 1},
};

static int ignore(void *opaque, const struct kvm_userspace_memory_region *call)
{
    (void)opaque, (void)call;
    return 0;
}

static unsigned bare_memio(x86emu_t *emu, u32 addr, u32 *val, unsigned type)
{
    uint8_t *at = bytes + (addr & 0xfffff);

    (void)emu;
    switch (type & ~0xffu) {
    case X86EMU_MEMIO_X:
    case X86EMU_MEMIO_R:
        *val = 0;
        memcpy(val, at, (size_t)1 << (type & 3) % 3);
        break;
    case X86EMU_MEMIO_W:
        memcpy(at, val, (size_t)1 << (type & 3) % 3);
        break;
    case X86EMU_MEMIO_I:
        *val = 0xff;
        break;
    default:
        break;
    }
    return 0;
}

static int create(struct loop *loop)
{
    static uint8_t rom[0x8000];
    struct pc_config config = {.memory = MEMORY,
                               .cpus = 1,
                               .firmware_len = PC_FIRMWARE_UNIT,
                               .vga_rom = rom,
                               .vga_rom_len = sizeof(rom),
                               .accel = PC_ACCEL_INTERP,
                               .set = ignore};
    struct pc_error error = {""};
    uint8_t *at;

    config.firmware = loop->firmware = calloc(1, PC_FIRMWARE_UNIT);
    loop->bare = x86emu_new(0, 0);
    if (!loop->firmware || !loop->bare)
        return -1;
    /* xor ax, ax; mov ds, ax; mov es, ax; mov ss, ax; mov sp, 0x7000 */
    at = loop->firmware;
    memcpy(at, "\x31\xc0\x8e\xd8\x8e\xc0\x8e\xd0\xbc\x00\x70", 11);
    memcpy(at + 11, loop->code, loop->size);
    memcpy(at + PC_FIRMWARE_UNIT - 16, "\xea\x00\x00\x00\xf0", 5);
    x86emu_set_memio_handler(loop->bare, bare_memio);
    if (machine_create(&config, &loop->machine, &error)) {
        (void)fprintf(stderr, "bench-interp: %s\n", error.text);
        return -1;
    }
    machine_hold(loop->machine, true);
    return machine_start(loop->machine, &error);
}

static double interpreted(void *opaque, uint64_t count)
{
    const struct timespec nap = {.tv_nsec = ROUND_NS};
    struct loop *loop = opaque;
    struct pc_cpus_stats before, after;

    if (!machine_executed(loop->machine, &before))
        return -1;
    /* On a machine that is busy its thread may not have run at all. */
    do {
        machine_hold(loop->machine, false);
        nanosleep(&nap, NULL);
        machine_hold(loop->machine, true);
        (void)machine_executed(loop->machine, &after);
    } while (after.instructions == before.instructions);
    return (double)(after.ns - before.ns) / (double)(after.instructions - before.instructions) * (double)count;
}

static double bare(void *opaque, uint64_t count)
{
    struct loop *loop = opaque;
    x86emu_t *emu = loop->bare;
    double start;

    memcpy(bytes + 0xf0000, loop->firmware, PC_FIRMWARE_UNIT);
    emu->x86.R_CS = 0xf000;
    emu->x86.R_CS_BASE = 0xf0000;
    emu->x86.R_EIP = 0;
    emu->max_instr = emu->x86.R_TSC + count;
    start = bench_cpu_now();
    x86emu_run(emu, X86EMU_RUN_MAX_INSTR);
    return bench_cpu_now() - start;
}

static const struct bench_entry rows[] = {
    {{"interp/RAM", 0, NULL, "bare array", BENCH_RATIO, 1.5, "an instruction"}, interpreted, bare},
    {{"interp/VGA window", 1, NULL, "bare array", BENCH_NO_TARGET, 0,
      "an instruction; one of four accesses the device"},
     interpreted,
     bare},
    {{"interp/port", 2, NULL, "bare array", BENCH_NO_TARGET, 0, "an instruction; half access the device"},
     interpreted,
     bare},
    {{"interp/rep movsw", 3, NULL, "bare array", BENCH_NO_TARGET, 0, "an instruction; one of five copies 64 words"},
     interpreted,
     bare},
};

static void *the_loop(void *opaque, uint64_t n)
{
    (void)opaque;
    return &loops[n];
}

int main(int argc, char **argv)
{
    struct bench bench;
    int status;

    if (!bench_start(&bench, "bench-interp", "Interpreted processors beside libx86emu alone.", argc, argv, &status))
        return status;
    for (unsigned i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
        if (!bench.list && create(&loops[i]))
            return 1;
    }
    bench_table(&bench, rows, sizeof(rows) / sizeof(rows[0]), the_loop, NULL);
    for (unsigned i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
        machine_destroy(loops[i].machine);
        x86emu_done(loops[i].bare);
        free(loops[i].firmware);
    }
    return bench_end(&bench);
}
