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

#define INSTRUCTION_MAX 15u
#define ONE_MIB 0x100000u
#define VGA_WINDOW 0xa0000u
#define NOP 0x90u
#define FLAG_ZF 0x40u

enum kind { FETCH, LOAD, STORE };
/* What an opcode of one byte is: nothing to look at, or see look(). */
enum class { PLAIN, PREFIX, ESCAPE, SHIFT, DIVIDE, OWN };

/* Opcodes of one byte that have to be looked at. */
static const uint8_t classes[256] = {
    [0x26] = PREFIX,       [0x2e] = PREFIX,          [0x36] = PREFIX,
    [0x3e] = PREFIX,       [0x64 ... 0x67] = PREFIX, [0xf0] = PREFIX,
    [0xf2] = PREFIX,       [0xf3] = PREFIX,          [0x0f] = ESCAPE,
    [0x6c ... 0x6f] = OWN, [0xc0 ... 0xc1] = SHIFT,  [0xd0 ... 0xd3] = SHIFT,
    [0xd4] = OWN,          [0xf6 ... 0xf7] = DIVIDE,
};

/* MOVS, CMPS, STOS, LODS, SCAS. */
static bool is_string(uint8_t opcode)
{
    return (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
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

unsigned interp_last_opcode(const struct interp_cpu *cpu, unsigned *ret_modrm)
{
    const unsigned char *bytes = cpu->emu->x86.instr_buf;
    unsigned i = 0;

    while (i < INSTRUCTION_MAX && classes[bytes[i]] == PREFIX)
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

/* opcode follows a prefix that repeats it: for so many times that others would wait, it is done in parts. */
static void begin_rep(struct interp_cpu *cpu, uint8_t opcode)
{
    x86emu_regs_t *x86 = &cpu->emu->x86;
    bool addr32 = x86->mode & _MODE_ADDR32;
    uint32_t count = addr32 ? x86->R_ECX : x86->R_CX;

    if (count <= INTERP_REP_CHUNK || !is_string(opcode))
        return;
    cpu->rep.rest = count - INTERP_REP_CHUNK;
    cpu->rep.addr32 = addr32;
    cpu->rep.compares = opcode == 0xa6 || opcode == 0xa7 || opcode == 0xae || opcode == 0xaf;
    cpu->rep.while_equal = x86->mode & _MODE_REPE;
    if (addr32)
        x86->R_ECX = INTERP_REP_CHUNK;
    else
        x86->R_CX = INTERP_REP_CHUNK;
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

static unsigned width_of(const struct interp_cpu *cpu, bool byte)
{
    return byte ? 8 : cpu->emu->x86.mode & _MODE_DATA32 ? 32 : 16;
}

/* libx86emu shifts right by what is less than the operand, and more than nothing. */
static bool count_is_odd(const struct interp_cpu *cpu, unsigned count)
{
    return count == 0 || count >= cpu->look.width;
}

static void look_at_opcode(struct interp_cpu *cpu, uint8_t byte)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;

    cpu->look.stage = INTERP_DONE;
    switch (classes[byte]) {
    case PREFIX:
        cpu->look.stage = INTERP_OPCODE;
        break;
    case ESCAPE:
        cpu->look.stage = INTERP_ESCAPED;
        break;
    case SHIFT:
        cpu->look.width = width_of(cpu, !(byte & 1));
        if (byte >= 0xd2 && count_is_odd(cpu, x86->R_CL))
            interp_abort_own(cpu);
        cpu->look.by_number = byte < 0xd0;
        cpu->look.stage = INTERP_SHIFT;
        break;
    case DIVIDE:
        cpu->look.stage = INTERP_DIVIDE;
        break;
    case OWN:
        interp_abort_own(cpu);
    default:
        if (x86->mode & (_MODE_REPE | _MODE_REPNE))
            begin_rep(cpu, byte);
        break;
    }
}

static void look_at_second(struct interp_cpu *cpu, uint8_t byte)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;

    cpu->look.stage = INTERP_DONE;
    switch (byte) {
    case 0x4c: /* CMOVL, CMOVGE, CMOVLE, CMOVG */
    case 0x4d:
    case 0x4e:
    case 0x4f:
    case 0xa3: /* BT, BTS, BTR, BTC */
    case 0xab:
    case 0xb3:
    case 0xbb:
    case 0xba:
        interp_abort_own(cpu);
    case 0xa5: /* SHLD, SHRD by CL */
    case 0xad:
        cpu->look.width = width_of(cpu, false);
        if (count_is_odd(cpu, x86->R_CL))
            interp_abort_own(cpu);
        break;
    case 0xa4: /* and by a number */
    case 0xac:
        cpu->look.width = width_of(cpu, false);
        cpu->look.by_number = true;
        cpu->look.stage = INTERP_DOUBLE_SHIFT;
        break;
    default:
        break;
    }
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

/* The ModRM byte of a shift: where is its count? */
static void look_at_shift(struct interp_cpu *cpu, uint8_t modrm)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;
    bool sib;

    if (cpu->look.stage == INTERP_SHIFT && (modrm >> 3 & 7) == 7)
        interp_abort_own(cpu);
    cpu->look.stage = cpu->look.by_number ? INTERP_COUNT : INTERP_DONE;
    cpu->look.count_at = x86->instr_len + 1 + address_size(x86, modrm, &sib);
    cpu->look.sib_at = sib && modrm < 0x40 ? x86->instr_len + 1 : 0;
}

static void look_at_count(struct interp_cpu *cpu, uint8_t byte)
{
    const x86emu_regs_t *x86 = &cpu->emu->x86;

    if (cpu->look.sib_at && x86->instr_len == cpu->look.sib_at && (byte & 7) == 5)
        cpu->look.count_at += 4;
    else if (x86->instr_len == cpu->look.count_at && count_is_odd(cpu, byte))
        interp_abort_own(cpu);
}

/* A byte of an instruction that libx86emu may not carry out, or not all at once. */
static __attribute__((noinline)) void look(struct interp_cpu *cpu, uint8_t byte)
{
    switch (cpu->look.stage) {
    case INTERP_OPCODE:
        look_at_opcode(cpu, byte);
        break;
    case INTERP_ESCAPED:
        look_at_second(cpu, byte);
        break;
    case INTERP_DIVIDE: /* DIV and IDIV; others share their opcode */
        if ((byte >> 3 & 7) >= 6)
            interp_abort_own(cpu);
        cpu->look.stage = INTERP_DONE;
        break;
    case INTERP_SHIFT:
    case INTERP_DOUBLE_SHIFT:
        look_at_shift(cpu, byte);
        break;
    default:
        look_at_count(cpu, byte);
        break;
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
        *val = load(cpu, FETCH, addr, size);
        cpu->look.stage = classes[*val] ? INTERP_OPCODE : INTERP_DONE;
    } else if (__builtin_expect(x86->instr_len + size > INSTRUCTION_MAX, 0)) {
        interp_abort(cpu, VECTOR_GP, 0);
    } else {
        *val = load(cpu, FETCH, addr, size);
    }
    if (__builtin_expect(cpu->look.stage, 0) && size == 1)
        look(cpu, (uint8_t)*val);
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
