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

#define REP_CHUNK 4096u
#define INSTRUCTION_MAX 15u
#define ONE_MIB 0x100000u
#define VGA_WINDOW 0xa0000u
#define NOP 0x90u
#define FLAG_ZF 0x40u

enum kind { FETCH, LOAD, STORE };

static bool is_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return false;
    }
}

/* INS, OUTS, MOVS, CMPS, STOS, LODS, SCAS. */
static bool is_string(uint8_t opcode)
{
    return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) ||
           (opcode >= 0xaa && opcode <= 0xaf);
}

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
    cpu->cpus->served = NULL;
    /* It may have been the chipset's SMRAM register. */
    if (cpu->smm.active)
        interp_select(cpu);
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

uint32_t interp_load(struct interp_cpu *cpu, uint32_t addr, unsigned size)
{
    return load(cpu, LOAD, addr, size);
}

void interp_store(struct interp_cpu *cpu, uint32_t addr, unsigned size, uint32_t value)
{
    store(cpu, addr, size, value);
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

unsigned interp_last_opcode(const struct interp_cpu *cpu, unsigned *ret_modrm)
{
    const unsigned char *bytes = cpu->emu->x86.instr_buf;
    unsigned i = 0;

    while (i < INSTRUCTION_MAX && is_prefix(bytes[i]))
        i++;
    *ret_modrm = bytes[i + 1];
    return bytes[i];
}

bool interp_may_take(struct interp_cpu *cpu)
{
    bool enabled = cpu->emu->x86.R_EFLG & FLAG_IF;
    unsigned modrm, opcode = interp_last_opcode(cpu, &modrm);

    if (opcode == 0xcf) /* IRET */
        cpu->nmi_blocked = false;
    if (!(cpu->nmi && !cpu->nmi_blocked && !cpu->smm.active) && !(cpu->irq && enabled))
        return false;
    /* After MOV SS and POP SS, and after an STI that did something, one more instruction is executed. */
    if (opcode == 0x17 || (opcode == 0x8e && (modrm >> 3 & 7) == R_SS_INDEX))
        return false;
    return !(opcode == 0xfb && !(cpu->before.spc.FLAGS & FLAG_IF));
}

/* What is not so for nearly all instructions. */
static __attribute__((noinline)) bool may_begin(struct interp_cpu *cpu)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;

    if (__atomic_load_n(&cpu->cpus->attention, __ATOMIC_RELAXED))
        return false;
    cpu->failed_event = PC_EVENT_FAILED;
    if (x86->R_CR0 & CR0_PG)
        cpu->failed = "paging was switched on, which can't be interpreted";
    else if (x86->R_EFLG & FLAG_VM)
        cpu->failed = "virtual 8086 mode was entered, which can't be interpreted";
    else if ((x86->R_CR0 & CR0_PE) && (x86->R_CS & 3))
        cpu->failed = "privilege level 0 was left, which can't be interpreted";
    if (cpu->failed)
        return false;
    if (x86->R_EFLG & cpu->before.spc.FLAGS & FLAG_TF) {
        cpu->trapped = true;
        return false;
    }
    return !cpu->watch || !interp_may_take(cpu);
}

/* False: it is not to begin. */
static inline bool begin(struct interp_cpu *cpu)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t odd =
        (x86->R_CR0 & CR0_PG) | (x86->R_EFLG & (FLAG_VM | FLAG_TF)) | (x86->R_CR0 & CR0_PE ? x86->R_CS & 3u : 0);

    if (__builtin_expect(odd || cpu->watch || __atomic_load_n(&cpu->cpus->attention, __ATOMIC_RELAXED), 0) &&
        !may_begin(cpu))
        return false;
    cpu->before.gen = x86->gen;
    cpu->before.spc = x86->spc;
    __builtin_memcpy(cpu->before.seg, x86->seg, sizeof(cpu->before.seg));
    return true;
}

/* opcode, if it is one, follows a prefix that repeats it: for so many times that others would wait, it is done in parts. */
static void begin_rep(struct interp_cpu *cpu, uint8_t opcode)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    bool addr32 = x86->mode & _MODE_ADDR32;
    uint32_t count = addr32 ? x86->R_ECX : x86->R_CX;

    if (count <= REP_CHUNK || !is_string(opcode))
        return;
    for (unsigned i = 0; i < x86->instr_len; i++) {
        if (!is_prefix(x86->instr_buf[i]))
            return;
    }
    cpu->rep.rest = count - REP_CHUNK;
    cpu->rep.addr32 = addr32;
    cpu->rep.compares = opcode == 0xa6 || opcode == 0xa7 || opcode == 0xae || opcode == 0xaf;
    cpu->rep.while_equal = x86->mode & _MODE_REPE;
    if (addr32)
        x86->R_ECX = REP_CHUNK;
    else
        x86->R_CX = REP_CHUNK;
    cpu->emu->max_instr = x86->R_TSC + 1;
}

void interp_rep_done(struct interp_cpu *cpu)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    uint32_t count = cpu->rep.addr32 ? x86->R_ECX : x86->R_CX;
    bool equal = x86->R_EFLG & FLAG_ZF;

    if (count == 0 && !(cpu->rep.compares && equal != cpu->rep.while_equal))
        x86->R_EIP = cpu->before.spc.IP.I32_reg.e_reg;
    count += cpu->rep.rest;
    if (cpu->rep.addr32)
        x86->R_ECX = count;
    else
        x86->R_CX = (uint16_t)count;
    cpu->rep.rest = 0;
}

/*
 * A shift by CL of 32 or more is one by CL modulo 32, but libx86emu shifts everything out. It is given the same shift by a number,
 * and the number where it looks for that, which is no byte of the instruction.
 */
static uint8_t begin_shift(struct interp_cpu *cpu, uint8_t opcode)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    bool doubled = opcode == 0xa5 || opcode == 0xad;
    unsigned prefixes = x86->instr_len - doubled;

    if (doubled && (!x86->instr_len || x86->instr_buf[prefixes] != 0x0f))
        return opcode;
    for (unsigned i = 0; i < prefixes; i++) {
        if (!is_prefix(x86->instr_buf[i]))
            return opcode;
    }
    cpu->shift.modrm_at = x86->instr_len + 1;
    cpu->shift.count = x86->R_CL & 31;
    return doubled ? opcode - 1 : opcode - 0x12; /* SHLD, SHRD; 0xd2 as 0xc0, 0xd3 as 0xc1 */
}

/* The bytes of a ModRM byte's address behind it; *ret_sib: there is an SIB byte, which may ask for more. */
static unsigned address_size(const x86emu_regs_t *x86, uint8_t modrm, bool *ret_sib)
{
    unsigned mod = modrm >> 6, rm = modrm & 7;
    bool addr32 = x86->mode & _MODE_ADDR32;

    *ret_sib = addr32 && mod != 3 && rm == 4;
    switch (mod) {
    case 0:
        return rm == (addr32 ? 5 : 6) ? (addr32 ? 4u : 2u) : *ret_sib;
    case 1:
        return 1u + *ret_sib;
    case 2:
        return (addr32 ? 4u : 2u) + *ret_sib;
    default:
        return 0;
    }
}

/* The bytes of such a shift behind its opcode. */
static void follow_shift(struct interp_cpu *cpu, u32 *val)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    bool sib;

    if (x86->instr_len == cpu->shift.modrm_at) {
        cpu->shift.count_at = x86->instr_len + 1 + address_size(x86, (uint8_t)*val, &sib);
        cpu->shift.sib_at = sib && *val < 0x40 ? x86->instr_len + 1 : 0;
    } else if (x86->instr_len == cpu->shift.sib_at && (*val & 7) == 5) {
        cpu->shift.count_at += 4;
    } else if (x86->instr_len == cpu->shift.count_at) {
        *val = cpu->shift.count;
        cpu->shift.modrm_at = 0;
        /* libx86emu takes it for the next byte. */
        if (x86->mode & _MODE_CODE32)
            x86->R_EIP--;
        else
            x86->R_IP--;
    }
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
        cpu->shift.modrm_at = 0;
    } else if (__builtin_expect(x86->instr_len + size > INSTRUCTION_MAX + (cpu->shift.modrm_at != 0), 0)) {
        interp_abort(cpu, VECTOR_GP, 0);
    }
    *val = load(cpu, FETCH, addr, size);
    if (size == 1) {
        if (__builtin_expect(cpu->shift.modrm_at, 0))
            follow_shift(cpu, val);
        else if (__builtin_expect(x86->R_CL & 0xe0, 0) && ((*val & ~1u) == 0xd2 || (*val & ~8u) == 0xa5))
            *val = begin_shift(cpu, (uint8_t)*val);
        if (__builtin_expect(x86->mode & (_MODE_REPE | _MODE_REPNE), 0))
            begin_rep(cpu, (uint8_t)*val);
    }
    return 0;
}

static unsigned port(struct interp_cpu *cpu, uint32_t addr, unsigned size, bool is_write, u32 *val)
{
    addr &= 0xffff;
    if (is_write)
        device_store(cpu, cpu->cpus->config.ports, cpu->attrs, addr, size, *val);
    else
        *val = device_load(cpu, cpu->cpus->config.ports, cpu->attrs, addr, size);
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
        return port(cpu, addr, 1u << (type & 3), (type & ~0xffu) == X86EMU_MEMIO_O, val);
    }
    return 0;
}
