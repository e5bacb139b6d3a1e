/* SPDX-License-Identifier: MIT */
/*
 * test-pc-interp-host.c - random instructions, interpreted and carried out by the host: registers, memory and defined flags agree.
 *
 * The guest's program is all cases in a row, in RAM. Each loads flags and registers, has one instruction, and stores what came of it.
 * The same bytes mean the same in 64-bit mode, where the host carries them out. Skipped on other hosts. GMEM_TEST_LONG=1: more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "pc-machine.h"
#include "random.h"

#if defined(__x86_64__)

#define CF 0x1u
#define PF 0x4u
#define AF 0x10u
#define ZF 0x40u
#define SF 0x80u
#define OF 0x800u
#define ALL (CF | PF | AF | ZF | SF | OF)

#define PROGRAM 0x200000u
#define RESULTS 0x1800000u
#define MEMORY (UINT64_C(32) << 20)
#define CASES 20000u

enum { A, C, D, B, SP, BP, SI, DI };

/* What there is to try. */
enum kind { PLAIN, SHIFT, DOUBLE_SHIFT, DIVIDE, SCAN, BIT };

struct sort {
    const char *name;
    uint8_t opcode[2];
    uint8_t size;
    int8_t reg; /* of the ModRM byte; ANY; or NONE: there is no such byte */
    uint8_t number; /* bytes of it; 4: as large as the operand */
    enum kind kind;
    uint32_t undefined; /* flags */
    bool bytes;         /* of 8 bits */
};

#define ANY (-1)
#define NONE (-2)
#define LOGIC AF
#define PRODUCT (PF | AF | ZF | SF)
#define BITS (PF | AF | SF | OF)

#define ARITHMETIC(name, n, undefined)                                                                                 \
    {name, {8 * (n)}, 1, ANY, 0, PLAIN, undefined, true}, {name, {8 * (n) + 1}, 1, ANY, 0, PLAIN, undefined, false},  \
        {name, {8 * (n) + 2}, 1, ANY, 0, PLAIN, undefined, true},                                                      \
        {name, {8 * (n) + 3}, 1, ANY, 0, PLAIN, undefined, false}, {name, {0x80}, 1, n, 1, PLAIN, undefined, true},    \
        {name, {0x81}, 1, n, 4, PLAIN, undefined, false}, {name, {0x83}, 1, n, 1, PLAIN, undefined, false}
#define SHIFTS(name, n, undefined)                                                                                     \
    {name, {0xc0}, 1, n, 1, SHIFT, undefined, true}, {name, {0xc1}, 1, n, 1, SHIFT, undefined, false},                 \
        {name, {0xd0}, 1, n, 0, SHIFT, undefined, true}, {name, {0xd1}, 1, n, 0, SHIFT, undefined, false},             \
        {name, {0xd2}, 1, n, 0, SHIFT, undefined, true}, {name, {0xd3}, 1, n, 0, SHIFT, undefined, false}
#define UNARY(name, opcode, n, number, kind, undefined)                                                                \
    {name, {opcode}, 1, n, number ? 1 : 0, kind, undefined, true},                                                     \
        {name, {(opcode) + 1}, 1, n, number ? 4 : 0, kind, undefined, false}
#define CONDITION(n)                                                                                                   \
    {"setcc", {0x0f, 0x90 + (n)}, 2, 0, 0, PLAIN, 0, true}, {"cmovcc", {0x0f, 0x40 + (n)}, 2, ANY, 0, PLAIN, 0, false}
#define BIT_BY(name, opcode, n)                                                                                        \
    {name, {0x0f, opcode}, 2, ANY, 0, BIT, BITS, false}, {name, {0x0f, 0xba}, 2, n, 1, PLAIN, BITS, false}

static const struct sort sorts[] = {
    ARITHMETIC("add", 0, 0),
    ARITHMETIC("or", 1, LOGIC),
    ARITHMETIC("adc", 2, 0),
    ARITHMETIC("sbb", 3, 0),
    ARITHMETIC("and", 4, LOGIC),
    ARITHMETIC("sub", 5, 0),
    ARITHMETIC("xor", 6, LOGIC),
    ARITHMETIC("cmp", 7, 0),
    SHIFTS("rol", 0, 0),
    SHIFTS("ror", 1, 0),
    SHIFTS("rcl", 2, 0),
    SHIFTS("rcr", 3, 0),
    SHIFTS("shl", 4, AF),
    SHIFTS("shr", 5, AF),
    SHIFTS("sar", 7, AF),
    {"shld", {0x0f, 0xa4}, 2, ANY, 1, DOUBLE_SHIFT, AF, false},
    {"shld", {0x0f, 0xa5}, 2, ANY, 0, DOUBLE_SHIFT, AF, false},
    {"shrd", {0x0f, 0xac}, 2, ANY, 1, DOUBLE_SHIFT, AF, false},
    {"shrd", {0x0f, 0xad}, 2, ANY, 0, DOUBLE_SHIFT, AF, false},
    {"test", {0x84}, 1, ANY, 0, PLAIN, AF, true},
    {"test", {0x85}, 1, ANY, 0, PLAIN, AF, false},
    {"xchg", {0x86}, 1, ANY, 0, PLAIN, 0, true},
    {"xchg", {0x87}, 1, ANY, 0, PLAIN, 0, false},
    {"mov", {0x88}, 1, ANY, 0, PLAIN, 0, true},
    {"mov", {0x89}, 1, ANY, 0, PLAIN, 0, false},
    {"mov", {0x8a}, 1, ANY, 0, PLAIN, 0, true},
    {"mov", {0x8b}, 1, ANY, 0, PLAIN, 0, false},
    UNARY("test", 0xf6, 0, 1, PLAIN, AF),
    UNARY("not", 0xf6, 2, 0, PLAIN, 0),
    UNARY("neg", 0xf6, 3, 0, PLAIN, 0),
    UNARY("mul", 0xf6, 4, 0, PLAIN, PRODUCT),
    UNARY("imul", 0xf6, 5, 0, PLAIN, PRODUCT),
    UNARY("div", 0xf6, 6, 0, DIVIDE, ALL),
    UNARY("idiv", 0xf6, 7, 0, DIVIDE, ALL),
    UNARY("inc", 0xfe, 0, 0, PLAIN, 0),
    UNARY("dec", 0xfe, 1, 0, PLAIN, 0),
    {"imul", {0x0f, 0xaf}, 2, ANY, 0, PLAIN, PRODUCT, false},
    {"imul", {0x6b}, 1, ANY, 1, PLAIN, PRODUCT, false},
    {"imul", {0x69}, 1, ANY, 4, PLAIN, PRODUCT, false},
    BIT_BY("bt", 0xa3, 4),
    BIT_BY("bts", 0xab, 5),
    BIT_BY("btr", 0xb3, 6),
    BIT_BY("btc", 0xbb, 7),
    {"bsf", {0x0f, 0xbc}, 2, ANY, 0, SCAN, CF | PF | AF | SF | OF, false},
    {"bsr", {0x0f, 0xbd}, 2, ANY, 0, SCAN, CF | PF | AF | SF | OF, false},
    {"movzx", {0x0f, 0xb7}, 2, ANY, 0, PLAIN, 0, false},
    {"movsx", {0x0f, 0xbf}, 2, ANY, 0, PLAIN, 0, false},
    {"xadd", {0x0f, 0xc0}, 2, ANY, 0, PLAIN, 0, true},
    {"xadd", {0x0f, 0xc1}, 2, ANY, 0, PLAIN, 0, false},
    {"cmpxchg", {0x0f, 0xb0}, 2, ANY, 0, PLAIN, 0, true},
    {"cmpxchg", {0x0f, 0xb1}, 2, ANY, 0, PLAIN, 0, false},
    CONDITION(0),
    CONDITION(1),
    CONDITION(2),
    CONDITION(3),
    CONDITION(4),
    CONDITION(5),
    CONDITION(6),
    CONDITION(7),
    CONDITION(8),
    CONDITION(9),
    CONDITION(10),
    CONDITION(11),
    CONDITION(12),
    CONDITION(13),
    CONDITION(14),
    CONDITION(15),
    {"cbw", {0x98}, 1, NONE, 0, PLAIN, 0, false},
    {"cwd", {0x99}, 1, NONE, 0, PLAIN, 0, false},
    {"sahf", {0x9e}, 1, NONE, 0, PLAIN, 0, false},
    {"lahf", {0x9f}, 1, NONE, 0, PLAIN, 0, false},
    {"cmc", {0xf5}, 1, NONE, 0, PLAIN, 0, false},
    {"adc al", {0x14}, 1, NONE, 1, PLAIN, 0, true},
    {"sbb eax", {0x1d}, 1, NONE, 4, PLAIN, 0, false},
};

/* What an instruction finds, and what it leaves. */
struct state {
    uint32_t registers[8]; /* that of SP is not looked at; SI points to memory if the operand is there */
    uint32_t flags;
    uint32_t memory[4]; /* the second is the operand */
};

struct one {
    uint8_t bytes[16];
    unsigned count;
    uint32_t undefined;
    bool in_memory;
    struct state before, after;
};

static uint32_t next(struct random *random)
{
    return (uint32_t)(random_u64(random) >> 16);
}

static uint32_t value(struct random *random)
{
    uint32_t any = next(random);

    switch (next(random) % 12) {
    case 0:
        return 0;
    case 1:
        return UINT32_MAX;
    case 2:
        return 1u << (any & 31);
    case 3:
        return any & 0x1f;
    case 4:
        return any & 0xff;
    case 5:
        return 0x80;
    case 6:
        return 0x8000;
    case 7:
        return 0x7fffffff;
    default:
        return any;
    }
}

static unsigned width_of(const struct sort *sort, bool word)
{
    return sort->bytes ? 8 : word ? 16 : 32;
}

static uint32_t operand(const struct one *one, unsigned rm, unsigned width)
{
    uint32_t whole = one->in_memory ? one->before.memory[1] : one->before.registers[width == 8 ? rm & 3 : rm];

    if (!one->in_memory && width == 8 && rm >= 4)
        whole >>= 8;
    return width == 32 ? whole : whole & ((1u << width) - 1);
}

/* Whether the host would raise no exception for it. */
static bool divides(const struct one *one, unsigned reg, unsigned rm, unsigned width)
{
    uint32_t by = operand(one, rm, width);
    uint64_t low = one->before.registers[A], high = one->before.registers[D], number;
    int64_t sign, by_sign, quotient;

    if (!by)
        return false;
    number = width == 8 ? low & 0xffff : width == 16 ? (high & 0xffff) << 16 | (low & 0xffff) : high << 32 | low;
    if (reg == 6)
        return number / by >> width == 0;
    sign = (int64_t)(number << (64 - 2 * width)) >> (64 - 2 * width);
    by_sign = (int64_t)((uint64_t)by << (64 - width)) >> (64 - width);
    if (sign == INT64_MIN)
        return false;
    quotient = sign / by_sign;
    return quotient >= -(INT64_C(1) << (width - 1)) && quotient < INT64_C(1) << (width - 1);
}

/* Flags that a count leaves undefined. False: more than that. */
static bool shift_undefined(struct one *one, const struct sort *sort, unsigned reg, unsigned width)
{
    unsigned opcode = sort->opcode[sort->size - 1], count = one->before.registers[C] & 31;

    if (sort->number)
        count = one->bytes[one->count - 1] & 31;
    else if (opcode == 0xd0 || opcode == 0xd1)
        count = 1;
    if (count == 0)
        one->undefined = 0;
    if (sort->kind == DOUBLE_SHIFT && count > width)
        return false;
    if (count > 1)
        one->undefined |= OF;
    if (sort->kind == SHIFT && (reg == 4 || reg == 5) && count >= width)
        one->undefined |= CF;
    return true;
}

/* A case of that sort; false: the host would not like it, or its result is undefined. */
static bool make(struct one *one, const struct sort *sort, bool word, struct random *random)
{
    unsigned rm = next(random) & 7, reg = sort->reg >= 0 ? (unsigned)sort->reg : next(random) & 7;
    unsigned width = width_of(sort, word), number = sort->number == 4 && word ? 2 : sort->number;

    memset(one, 0, sizeof(*one));
    one->undefined = sort->undefined;
    one->in_memory = sort->reg != NONE && next(random) & 1;
    for (unsigned i = 0; i < 8; i++)
        one->before.registers[i] = value(random);
    for (unsigned i = 0; i < 4; i++)
        one->before.memory[i] = value(random);
    one->before.flags = (next(random) & ALL) | 2;
    if (word)
        one->bytes[one->count++] = 0x66;
    memcpy(one->bytes + one->count, sort->opcode, sort->size);
    one->count += sort->size;
    if (one->in_memory) {
        rm = SI;
        if (sort->kind == BIT) /* it stays in memory[] */
            one->before.registers[reg] &= 63;
    }
    /* The stack pointer, and what points to memory, are not for playing. */
    if (!sort->bytes && ((rm == SP && !one->in_memory) || (sort->reg == ANY && (reg == SP || reg == SI))))
        return false;
    if (sort->bytes && one->in_memory && sort->reg == ANY && reg == SI)
        return false;
    if (sort->reg != NONE)
        one->bytes[one->count++] = (uint8_t)((one->in_memory ? 0 : 0xc0) | reg << 3 | rm);
    for (unsigned i = 0; i < number; i++)
        one->bytes[one->count++] = (uint8_t)next(random);
    if (sort->kind == SHIFT || sort->kind == DOUBLE_SHIFT)
        return shift_undefined(one, sort, reg, width);
    if (sort->kind == DIVIDE)
        return divides(one, reg, rm, width);
    return sort->kind != SCAN || operand(one, rm, width);
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t count)
{
    memcpy(at, bytes, count);
    return at + count;
}

static uint8_t *put_op32(uint8_t *at, const char *opcode, uint32_t number)
{
    at = put(at, opcode, strlen(opcode));
    return put(at, &number, 4);
}

/* The guest's code for a case: its results go to at_result. */
static uint8_t *emit(uint8_t *at, const struct one *one, uint32_t at_result)
{
    static const char *const load[8] = {"\xb8", "\xb9", "\xba", "\xbb", NULL, "\xbd", "\xbe", "\xbf"};
    static const char *const store[8] = {"\x89\x05", "\x89\x0d", "\x89\x15", "\x89\x1d",
                                         NULL,       "\x89\x2d", "\x89\x35", "\x89\x3d"};
    uint32_t memory = at_result + offsetof(struct state, memory);

    at = put_op32(at, "\x68", one->before.flags); /* push; popf */
    at = put(at, "\x9d", 1);
    for (unsigned i = 0; i < 8; i++) {
        if (load[i])
            at = put_op32(at, load[i], i == SI && one->in_memory ? memory + 4 : one->before.registers[i]);
    }
    at = put(at, one->bytes, one->count);
    for (unsigned i = 0; i < 8; i++) {
        if (store[i])
            at = put_op32(at, store[i], at_result + 4 * i);
    }
    at = put(at, "\x9c", 1); /* pushf; pop */
    return put_op32(at, "\x8f\x05", at_result + offsetof(struct state, flags));
}

static void host_carries_out(uint8_t *code, struct state *slot, struct one *one)
{
    /* push rbx, rbp; mov r8, rdi; flags; registers; the instruction; registers; flags; pop. */
    static const uint8_t head[] = {0x53, 0x55, 0x49, 0x89, 0xf8, 0x41, 0x8b, 0x40, 0x20, 0x50, 0x9d,
                                   0x41, 0x8b, 0x00, 0x41, 0x8b, 0x48, 0x04, 0x41, 0x8b, 0x50, 0x08,
                                   0x41, 0x8b, 0x58, 0x0c, 0x41, 0x8b, 0x68, 0x14, 0x41, 0x8b, 0x70,
                                   0x18, 0x41, 0x8b, 0x78, 0x1c};
    static const uint8_t tail[] = {0x41, 0x89, 0x00, 0x41, 0x89, 0x48, 0x04, 0x41, 0x89, 0x50, 0x08, 0x41, 0x89,
                                   0x58, 0x0c, 0x41, 0x89, 0x68, 0x14, 0x41, 0x89, 0x70, 0x18, 0x41, 0x89, 0x78,
                                   0x1c, 0x9c, 0x58, 0x41, 0x89, 0x40, 0x20, 0xfc, 0x5d, 0x5b, 0xc3};
    union {
        void *data;
        void (*call)(struct state *);
    } function = {.data = code};
    uint8_t *at = put(code, head, sizeof(head));

    at = put(at, one->bytes, one->count);
    put(at, tail, sizeof(tail));
    *slot = one->before;
    if (one->in_memory)
        slot->registers[SI] = (uint32_t)(uintptr_t)&slot->memory[1];
    function.call(slot);
    one->after = *slot;
}

static void check(const struct one *one, const struct state *guest, const char *name)
{
    bool same = !((guest->flags ^ one->after.flags) & ALL & ~one->undefined);
    char bytes[64] = "";

    for (unsigned i = 0; i < 8; i++)
        same = same && (i == SP || (i == SI && one->in_memory) || guest->registers[i] == one->after.registers[i]);
    same = same && !memcmp(guest->memory, one->after.memory, sizeof(guest->memory));
    if (same)
        return;
    for (unsigned i = 0; i < one->count; i++)
        snprintf(bytes + 3 * i, 4, " %02x", one->bytes[i]);
    for (unsigned i = 0; i < 8; i++)
        print_error("register %u: %08x, host %08x, guest %08x\n", i, one->before.registers[i],
                    one->after.registers[i], guest->registers[i]);
    for (unsigned i = 0; i < 4; i++)
        print_error("memory %u: %08x, host %08x, guest %08x\n", i, one->before.memory[i], one->after.memory[i],
                    guest->memory[i]);
    fail_msg("%s%s: flags %x, host %x, guest %x of %x", name, bytes, one->before.flags, one->after.flags,
             guest->flags, ALL & ~one->undefined);
}

/* From real mode into flat 32-bit mode, and to PROGRAM. */
static void put_start(uint8_t *firmware)
{
    static const uint8_t real[] = {0xfa, 0x66, 0x2e, 0x0f, 0x01, 0x16, 0x40, 0x00, /* cli; lgdt cs:[0x40] */
                                   0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, /* cr0 |= PE */
                                   0x66, 0xea, 0x80, 0x00, 0x0f, 0x00, 0x08, 0x00};
    static const uint8_t flat[] = {0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, /* ds, es, ss */
                                   0xbc, 0x00, 0x80, 0x00, 0x00, 0xb8, 0x00, 0x00, 0x20, 0x00, 0xff, 0xe0};
    static const uint16_t gdt[] = {0, 0, 0, 0, 0xffff, 0, 0x9b00, 0xcf, 0xffff, 0, 0x9300, 0xcf};
    static const uint8_t pointer[] = {0x17, 0x00, 0x50, 0x00, 0x0f, 0x00};

    memcpy(firmware, real, sizeof(real));
    memcpy(firmware + 0x40, pointer, sizeof(pointer));
    memcpy(firmware + 0x50, gdt, sizeof(gdt));
    memcpy(firmware + 0x80, flat, sizeof(flat));
    memcpy(firmware + FIRMWARE_SIZE - 16, "\xea\x00\x00\x00\xf0", 5);
}

static bool at_end(struct bench *bench)
{
    return atomic_load(&bench->console_len) || atomic_load(&bench->event);
}

static unsigned make_all(struct one *ones, unsigned count, unsigned *ret_sorts, struct random *random)
{
    const unsigned all = sizeof(sorts) / sizeof(sorts[0]);
    unsigned made = 0;

    for (unsigned i = 0; made < count; i++) {
        if (make(&ones[made], &sorts[i % all], next(random) & 1, random))
            ret_sorts[made++] = i % all;
    }
    return made;
}

static void run_cases(const struct one *ones, unsigned count, struct state *ret_states)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, MEMORY, false);
    uint8_t *program = malloc(count * (size_t)160 + 64), *at = program;
    struct pc_error error = {""};

    assert_non_null(program);
    put_start(bench->firmware);
    config.accel = PC_ACCEL_INTERP;
    bench_open(bench, &config);
    for (unsigned i = 0; i < count; i++) {
        at = emit(at, &ones[i], RESULTS + i * (uint32_t)sizeof(ones[i].before));
        assert_int_equal(gmem_space_write(machine_memory(bench->machine), RESULTS + i * sizeof(ones[i].before),
                                          GMEM_ATTRS_NONE, &ones[i].before, sizeof(ones[i].before)),
                         GMEM_OK);
    }
    at = put(at, "\x66\xba\x02\x04\xb0\x2e\xee\xfa\xf4", 9); /* a dot on the console; cli; hlt */
    assert_true(PROGRAM + (size_t)(at - program) < RESULTS);
    assert_int_equal(gmem_space_write(machine_memory(bench->machine), PROGRAM, GMEM_ATTRS_NONE, program,
                                      (uint64_t)(at - program)),
                     GMEM_OK);
    assert_int_equal(machine_start(bench->machine, &error), 0);
    if (!wait_until(at_end, bench, 100) || atomic_load(&bench->event))
        fail_msg("not at its end: %s", bench->event_text);
    machine_stop(bench->machine);
    assert_int_equal(gmem_space_read(machine_memory(bench->machine), RESULTS, GMEM_ATTRS_NONE, ret_states,
                                     count * sizeof(*ret_states)),
                     GMEM_OK);
    free(program);
    bench_free(bench);
}

static void test_random(void **state)
{
    const unsigned rounds = test_is_long() ? 50 : 3;
    struct one *ones = calloc(CASES, sizeof(*ones));
    struct state *states = calloc(CASES, sizeof(*states));
    unsigned *which = calloc(CASES, sizeof(*which));
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct state *slot = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    struct random random = random_start("test_random", 1);

    (void)state;
    assert_true(ones && states && which);
    if (code == MAP_FAILED || slot == MAP_FAILED) {
        print_message("no memory that can be executed, or none below 4 GiB\n");
        skip();
    }
    for (unsigned round = 0; round < rounds; round++) {
        make_all(ones, CASES, which, &random);
        run_cases(ones, CASES, states);
        for (unsigned i = 0; i < CASES; i++) {
            host_carries_out(code, slot, &ones[i]);
            check(&ones[i], &states[i], sorts[which[i]].name);
        }
    }
    munmap(slot, 4096);
    munmap(code, 4096);
    free(which);
    free(states);
    free(ones);
}

#else

static void test_random(void **state)
{
    (void)state;
    print_message("this host has other instructions\n");
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
