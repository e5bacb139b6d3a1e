/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp_mem.c - what an interpreted processor fetches, loads, stores, and does at ports.
 *
 * Memory is found through four caches for each space: one for code, three for data by address, so that what a program uses in
 * turn (stack, low RAM, the shadowed ROM area, RAM above 1 MiB) does not close each other's windows. An access that they can make is
 * made without a lock. Whatever else there is is a device's or nobody's, and is accessed with the device lock held.
 *
 * Addresses have 32 bits, and bit 20 is 0 while the A20 gate is closed. An access that the gate or the end of memory tears
 * apart is made byte by byte; one over a seam of ranges is the library's to divide.
 *
 * Runs on the processors' thread, inside of x86emu_run(), without the device lock unless said otherwise.
 */
#include "cpu_interp_internal.h"

#define ONE_MIB 0x100000u
#define VGA_WINDOW 0xa0000u
#define NOP 0x90u

enum kind { FETCH, LOAD, STORE };
int interp_mem_create(struct interp_cpu *cpu, gmem_space *memory, gmem_space *smm)
{
    struct gmem_attrs secure = GMEM_ATTRS_NONE;
    int err = 0;

    secure.secure = true;
    cpu->memory = memory;
    cpu->smm.space = smm;
    cpu->smm.attrs = secure;
    for (unsigned i = 0; i < INTERP_WINDOWS && !err; i++) {
        err = gmem_cache_init(&cpu->ram[i], memory, 0, UINT64_C(1) << 32, GMEM_ATTRS_NONE);
        if (!err && smm)
            err = gmem_cache_init(&cpu->smram[i], smm, 0, UINT64_C(1) << 32, secure);
    }
    return err;
}

void interp_mem_destroy(struct interp_cpu *cpu)
{
    for (unsigned i = 0; i < INTERP_WINDOWS; i++) {
        gmem_cache_end(&cpu->ram[i]);
        gmem_cache_end(&cpu->smram[i]);
    }
}

void interp_select(struct interp_cpu *cpu)
{
    const struct cpu_interp_config *interp = &cpu->cpus->interp;
    bool data = cpu->smm.active && !(interp->smram_closed && interp->smram_closed(interp->opaque));

    cpu->code = cpu->smm.active ? cpu->smram : cpu->ram;
    cpu->code_space = cpu->smm.active ? cpu->smm.space : cpu->memory;
    cpu->data = data ? cpu->smram : cpu->ram;
    cpu->data_space = data ? cpu->smm.space : cpu->memory;
    cpu->attrs = cpu->smm.active ? cpu->smm.attrs : GMEM_ATTRS_NONE;
}

void interp_lock(struct interp_cpu *cpu)
{
    struct cpu_interp *cpus = cpu->cpus;
    uint64_t now = interp_tick(cpu) * INTERP_TICK_NS;

    pthread_mutex_lock(cpus->config.lock);
    cpus->inside = true;
    if (now > cpus->interp.time->now)
        cpus->interp.time->now = now;
}

void interp_unlock(struct cpu_interp *cpus)
{
    cpus->inside = false;
    pthread_mutex_unlock(cpus->config.lock);
}

/* An access that may come to a device. */
static void begin_access(struct interp_cpu *cpu)
{
    struct cpu_interp *cpus = cpu->cpus;

    interp_lock(cpu);
    cpus->served = cpu;
    cpus->config.begin_access(cpus->config.opaque);
    irqchip_set_current(cpus->interp.irqchip, cpu->index);
}

static void end_access(struct interp_cpu *cpu)
{
    pc_served(cpu->cpus->config.hooks);
    cpu->cpus->served = NULL;
    /* It may have been the chipset's SMRAM register. */
    if (cpu->smm.active)
        interp_select(cpu);
    cpu->called = cpu->changed || cpu->smi;
    interp_unlock(cpu->cpus);
}

static uint32_t device_load(struct interp_cpu *cpu, gmem_space *space, struct gmem_attrs attrs, uint32_t addr,
                            unsigned size)
{
    uint32_t value;
    uint16_t word;
    uint8_t byte;

    begin_access(cpu);
    /* What nobody answers reads as the space says. */
    switch (size) {
    case 1:
        (void)gmem_ld8(space, addr, attrs, &byte);
        value = byte;
        break;
    case 2:
        (void)gmem_ld16_le(space, addr, attrs, &word);
        value = word;
        break;
    default:
        (void)gmem_ld32_le(space, addr, attrs, &value);
        break;
    }
    end_access(cpu);
    return value;
}

static void device_store(struct interp_cpu *cpu, gmem_space *space, struct gmem_attrs attrs, uint32_t addr,
                         unsigned size, uint32_t value)
{
    begin_access(cpu);
    switch (size) {
    case 1:
        (void)gmem_st8(space, addr, attrs, (uint8_t)value);
        break;
    case 2:
        (void)gmem_st16_le(space, addr, attrs, (uint16_t)value);
        break;
    default:
        (void)gmem_st32_le(space, addr, attrs, value);
        break;
    }
    end_access(cpu);
}

static inline bool try_load(struct gmem_cache *cache, uint32_t addr, unsigned size, uint32_t *ret_value)
{
    uint16_t word;
    uint8_t byte;

    switch (size) {
    case 1:
        if (!gmem_cache_try_ld8(cache, addr, &byte))
            return false;
        *ret_value = byte;
        return true;
    case 2:
        if (!gmem_cache_try_ld16_le(cache, addr, &word))
            return false;
        *ret_value = word;
        return true;
    default:
        return gmem_cache_try_ld32_le(cache, addr, ret_value);
    }
}

static inline bool try_store(struct gmem_cache *cache, uint32_t addr, unsigned size, uint32_t value)
{
    switch (size) {
    case 1:
        return gmem_cache_try_st8(cache, addr, (uint8_t)value);
    case 2:
        return gmem_cache_try_st16_le(cache, addr, (uint16_t)value);
    default:
        return gmem_cache_try_st32_le(cache, addr, value);
    }
}

static inline struct gmem_cache *data_at(const struct interp_cpu *cpu, uint32_t addr)
{
    return &cpu->data[INTERP_BELOW_VGA + (addr >= VGA_WINDOW) + (addr >= ONE_MIB)];
}

static inline struct gmem_cache *cache_for(const struct interp_cpu *cpu, enum kind kind, uint32_t addr)
{
    return kind == FETCH ? &cpu->code[INTERP_CODE] : data_at(cpu, addr);
}

static void make(struct interp_cpu *cpu, enum kind kind, uint32_t addr, unsigned size, uint32_t *value)
{
    struct gmem_cache *cache = cache_for(cpu, kind, addr);

    if (kind == STORE) {
        if (!try_store(cache, addr, size, *value))
            device_store(cpu, cpu->data_space, cpu->attrs, addr, size, *value);
    } else if (!try_load(cache, addr, size, value)) {
        *value = device_load(cpu, kind == FETCH ? cpu->code_space : cpu->data_space, cpu->attrs, addr, size);
    }
}

static __attribute__((noinline)) void make_gated(struct interp_cpu *cpu, enum kind kind, uint32_t addr, unsigned size,
                                                 uint32_t *value)
{
    uint32_t mask = __atomic_load_n(&cpu->cpus->a20_mask, __ATOMIC_RELAXED);
    uint32_t last = addr + size - 1, sum = 0, byte;

    /* From one MiB into the next the gate may tear it apart, and the end of memory is the end of one. */
    if (addr / ONE_MIB == last / ONE_MIB || (last && mask == UINT32_MAX && addr < last)) {
        make(cpu, kind, addr & mask, size, value);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        byte = *value >> (8 * i) & 0xff;
        make(cpu, kind, (addr + i) & mask, 1, &byte);
        sum |= byte << (8 * i);
    }
    *value = sum;
}

static inline bool a20_open(const struct interp_cpu *cpu)
{
    return __builtin_expect(__atomic_load_n(&cpu->cpus->a20_mask, __ATOMIC_RELAXED) == UINT32_MAX, 1);
}

static inline uint32_t load(struct interp_cpu *cpu, enum kind kind, uint32_t addr, unsigned size)
{
    uint32_t value = 0;

    if (!a20_open(cpu) || !try_load(cache_for(cpu, kind, addr), addr, size, &value))
        make_gated(cpu, kind, addr, size, &value);
    return value;
}

static inline void store(struct interp_cpu *cpu, uint32_t addr, unsigned size, uint32_t value)
{
    if (!a20_open(cpu) || !try_store(data_at(cpu, addr), addr, size, value))
        make_gated(cpu, STORE, addr, size, &value);
}

uint32_t interp_fetch(struct interp_cpu *cpu, uint32_t addr, unsigned size)
{
    return load(cpu, FETCH, addr, size);
}

uint32_t interp_load(struct interp_cpu *cpu, uint32_t addr, unsigned size)
{
    return load(cpu, LOAD, addr, size);
}

void interp_store(struct interp_cpu *cpu, uint32_t addr, unsigned size, uint32_t value)
{
    store(cpu, addr, size, value);
}

uint32_t interp_in(struct interp_cpu *cpu, uint32_t port, unsigned size)
{
    return device_load(cpu, cpu->cpus->config.ports, cpu->attrs, port & 0xffff, size);
}

void interp_out(struct interp_cpu *cpu, uint32_t port, unsigned size, uint32_t value)
{
    device_store(cpu, cpu->cpus->config.ports, cpu->attrs, port & 0xffff, size, value);
}

unsigned interp_peek(struct interp_cpu *cpu, uint32_t addr, uint8_t *ret, unsigned size)
{
    uint32_t mask = __atomic_load_n(&cpu->cpus->a20_mask, __ATOMIC_RELAXED);
    unsigned i;

    for (i = 0; i < size; i++) {
        if (!gmem_cache_try_ld8(&cpu->code[INTERP_CODE], (addr + i) & mask, &ret[i]))
            break;
    }
    return i;
}

/* False: it is not to begin. */
static inline bool begin(struct interp_cpu *cpu)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t odd =
        (x86->R_CR0 & CR0_PG) | (x86->R_EFLG & (FLAG_VM | FLAG_TF)) | (x86->R_CR0 & CR0_PE ? x86->R_CS & 3u : 0);

    if (__builtin_expect(odd || cpu->watch || __atomic_load_n(&cpu->cpus->attention, __ATOMIC_RELAXED), 0) &&
        !interp_may_begin(cpu))
        return false;
    cpu->before.gen = x86->gen;
    cpu->before.spc = x86->spc;
    __builtin_memcpy(cpu->before.seg, x86->seg, sizeof(cpu->before.seg));
    return true;
}

static inline unsigned fetch(struct interp_cpu *cpu, uint32_t addr, unsigned size, u32 *val)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;

    if (x86->instr_len == 0) {
        if (!begin(cpu)) {
            x86emu_stop(cpu->emu);
            *val = NOP;
            return 0;
        }
        *val = load(cpu, FETCH, addr, size);
        cpu->look.stage = interp_classes[*val] ? INTERP_OPCODE : INTERP_DONE;
    } else if (__builtin_expect(x86->instr_len + size > INTERP_INSTRUCTION_MAX, 0)) {
        interp_abort(cpu, VECTOR_GP, 0);
    } else {
        *val = load(cpu, FETCH, addr, size);
    }
    if (__builtin_expect(cpu->look.stage, 0) && size == 1)
        interp_look(cpu, (uint8_t)*val);
    return 0;
}

/* It has run into a fault already, a segment's limit; libx86emu would go on. */
static inline void check_fault(struct interp_cpu *cpu)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;

    if (__builtin_expect(x86->intr_type, 0))
        interp_abort(cpu, x86->intr_nr, x86->intr_type & INTR_MODE_ERRCODE ? x86->intr_errcode : INTERP_NO_ERROR);
}

unsigned interp_memio(x86emu_t *emu, u32 addr, u32 *val, unsigned type)
{
    struct interp_cpu *cpu = emu->_private;
    uint8_t byte;

    switch (type) {
    case X86EMU_MEMIO_X | X86EMU_MEMIO_8:
        return fetch(cpu, addr, 1, val);
    case X86EMU_MEMIO_X | X86EMU_MEMIO_16:
        return fetch(cpu, addr, 2, val);
    case X86EMU_MEMIO_X | X86EMU_MEMIO_32:
        return fetch(cpu, addr, 4, val);
    case X86EMU_MEMIO_R | X86EMU_MEMIO_8_NOPERM:
        *val = interp_peek(cpu, addr, &byte, 1) ? byte : 0xff;
        return 0;
    default:
        break;
    }
    check_fault(cpu);
    switch (type) {
    case X86EMU_MEMIO_R | X86EMU_MEMIO_8:
        *val = load(cpu, LOAD, addr, 1);
        break;
    case X86EMU_MEMIO_R | X86EMU_MEMIO_16:
        *val = load(cpu, LOAD, addr, 2);
        break;
    case X86EMU_MEMIO_R | X86EMU_MEMIO_32:
        *val = load(cpu, LOAD, addr, 4);
        break;
    case X86EMU_MEMIO_W | X86EMU_MEMIO_8:
        store(cpu, addr, 1, *val);
        break;
    case X86EMU_MEMIO_W | X86EMU_MEMIO_16:
        store(cpu, addr, 2, *val);
        break;
    case X86EMU_MEMIO_W | X86EMU_MEMIO_32:
        store(cpu, addr, 4, *val);
        break;
    default:
        if ((type & ~0xffu) == X86EMU_MEMIO_O)
            interp_out(cpu, addr, 1u << (type & 3), *val);
        else
            *val = interp_in(cpu, addr, 1u << (type & 3));
        break;
    }
    return 0;
}
