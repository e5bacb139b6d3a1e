/* SPDX-License-Identifier: MIT */
/*
 * test-kvm-ram-offsets.c - slots that are only planned (ram_offsets of gmem/kvm.h): who is told of them is told where memory is in
 * the RAM offset space, so that two runs are told the same; and the slots are those that a kernel would have been given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gmem/gmem.h>
#include <gmem/kvm.h>

#define RAM_SIZE 0x100000u

struct world {
    gmem_vm *vm;
    gmem_region *system, *ram, *rom, *window;
    gmem_ram *ram_block, *rom_block;
    gmem_space *space;
    gmem_kvm *kvm;
    bool offsets;
    uint64_t refuse_gpa; /* slots there are refused */
    unsigned calls;
    char set[16384], lines[16384], events[16384]; /* what each was told */
};

static void put(char *text, const char *line)
{
    size_t used = strlen(text);

    assert_true(used + strlen(line) + 2 < 16384);
    snprintf(text + used, 16384 - used, "%s\n", line);
}

static void put_call(char *text, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, uint64_t ua)
{
    char line[160];

    snprintf(line, sizeof(line), "%" PRIu32 " %" PRIx32 " %" PRIx64 " %" PRIx64 " %" PRIx64, slot, flags, gpa, size,
             ua);
    put(text, line);
}

/* The block of what is called for, and where in it. */
static uint64_t offset_of(const struct world *world, const gmem_ram *block, uint64_t ua)
{
    return ua - (world->offsets ? gmem_ram_offset(block) : (uintptr_t)gmem_ram_host(block));
}

static int on_set(void *opaque, const struct kvm_userspace_memory_region *call)
{
    struct world *world = opaque;
    bool in_ram = offset_of(world, world->ram_block, call->userspace_addr) < RAM_SIZE;

    world->calls++;
    put_call(world->set, call->slot, call->flags, call->guest_phys_addr, call->memory_size, call->userspace_addr);
    assert_true(in_ram || offset_of(world, world->rom_block, call->userspace_addr) < 0x20000);
    /* In this map RAM is at its own address, and the ROM from 0xe0000 on. */
    assert_int_equal(offset_of(world, in_ram ? world->ram_block : world->rom_block, call->userspace_addr),
                     call->guest_phys_addr - (in_ram ? 0 : 0xe0000));
    return call->memory_size && call->guest_phys_addr == world->refuse_gpa ? -ENOSPC : 0;
}

static void on_line(void *opaque, const char *line)
{
    put(((struct world *)opaque)->lines, line);
}

static void on_event(void *opaque, gmem_vm *vm, const struct gmem_trace_event *event)
{
    struct world *world = opaque;

    (void)vm;
    put_call(world->events, event->u.slot.slot, event->u.slot.flags, event->u.slot.gpa, event->u.slot.size,
             event->u.slot.host);
}

static gmem_ram *new_block(struct world *world, const char *id, uint64_t size)
{
    gmem_ram *block;

    assert_int_equal(gmem_ram_create_anon(world->vm, id, size, &block), 0);
    return block;
}

static struct gmem_kvm_options options_of(struct world *world, enum gmem_kvm_policy policy)
{
    return (struct gmem_kvm_options){.struct_size = sizeof(struct gmem_kvm_options),
                                     .vm_fd = -1,
                                     .policy = policy,
                                     .set = on_set,
                                     .set_opaque = world,
                                     .trace = on_line,
                                     .trace_opaque = world,
                                     .ram_offsets = world->offsets};
}

static struct world *world_new(enum gmem_kvm_policy policy, bool offsets)
{
    struct world *world = calloc(1, sizeof(*world));
    struct gmem_kvm_options options;
    gmem_vm *vm;

    assert_non_null(world);
    world->offsets = offsets;
    world->refuse_gpa = UINT64_MAX;
    assert_int_equal(gmem_vm_create(NULL, &world->vm), 0);
    vm = world->vm;
    gmem_ram_unref(new_block(world, "first", 0x3000));
    world->ram_block = new_block(world, "ram", RAM_SIZE);
    world->rom_block = new_block(world, "rom", 0x20000);
    assert_int_equal(gmem_region_create_container(vm, "system", GMEM_SIZE_ALL, NULL, &world->system), 0);
    assert_int_equal(gmem_region_create_ram(vm, "ram", world->ram_block, NULL, &world->ram), 0);
    assert_int_equal(gmem_region_create_rom(vm, "rom", world->rom_block, NULL, &world->rom), 0);
    assert_int_equal(
        gmem_region_create_alias(vm, "window", world->ram, 0xc0000, GMEM_SIZE(0x28000), NULL, &world->window), 0);
    assert_int_equal(gmem_region_set_enabled(world->window, false), 0);
    assert_int_equal(gmem_region_add(world->system, 0, world->ram), 0);
    assert_int_equal(gmem_region_add_priority(world->system, 0xe0000, world->rom, 1), 0);
    assert_int_equal(gmem_region_add_priority(world->system, 0xc0000, world->window, 2), 0);
    assert_int_equal(gmem_space_create(vm, "memory", world->system, NULL, &world->space), 0);
    assert_int_equal(gmem_vm_set_trace(vm, GMEM_TRACE_BIT(GMEM_TRACE_SLOT), on_event, world), 0);
    options = options_of(world, policy);
    assert_int_equal(gmem_kvm_create(world->space, &options, &world->kvm), 0);
    return world;
}

static void world_free(struct world *world)
{
    gmem_kvm_destroy(world->kvm);
    gmem_space_destroy(world->space);
    gmem_region_unref(world->window);
    gmem_region_unref(world->rom);
    gmem_region_unref(world->ram);
    gmem_region_unref(world->system);
    gmem_ram_unref(world->rom_block);
    gmem_ram_unref(world->ram_block);
    gmem_vm_destroy(world->vm);
    free(world);
}

/* Windows open and close, slots are cut, split, merged and logged; and a commit is refused and taken back. */
static void edit(struct world *world)
{
    assert_int_equal(gmem_region_set_enabled(world->window, true), 0);
    assert_int_equal(gmem_region_set_readonly(world->window, true), 0);
    assert_int_equal(gmem_region_set_log(world->ram, GMEM_LOG_DISPLAY, true), 0);
    assert_int_equal(gmem_region_set_readonly(world->window, false), 0);
    assert_int_equal(gmem_region_set_log(world->ram, GMEM_LOG_DISPLAY, false), 0);
    world->refuse_gpa = 0xe0000;
    assert_int_equal(gmem_region_set_enabled(world->window, false), -ENOSPC);
    world->refuse_gpa = UINT64_MAX;
    assert_int_equal(gmem_region_set_enabled(world->window, false), 0);
}

/* A line of text without its last word, or of a trace line without ua=. */
static void without_address(const char *text, const char *mark, char *out)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        const char *end = memmem(text, len, mark, strlen(mark)), *next;

        while (end && (next = memmem(end + 1, (size_t)(text + len - end - 1), mark, strlen(mark))))
            end = next;
        assert_non_null(end);
        memcpy(out, text, (size_t)(end - text));
        out += end - text;
        *out++ = '\n';
        text += len + (text[len] == '\n');
    }
    *out = 0;
}

static void assert_same_slots(const struct world *a, const struct world *b)
{
    static char left[16384], right[16384];

    without_address(a->set, " ", left);
    without_address(b->set, " ", right);
    assert_string_equal(left, right);
    without_address(a->lines, " ua=", left);
    without_address(b->lines, " ua=", right);
    assert_string_equal(left, right);
}

static void test_told_the_same(void **state)
{
    static const enum gmem_kvm_policy policies[] = {GMEM_KVM_POLICY_KEEP, GMEM_KVM_POLICY_REFERENCE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world *one = world_new(policies[i], true), *two = world_new(policies[i], true);
        struct world *real = world_new(policies[i], false);

        edit(one);
        edit(two);
        edit(real);
        assert_true(one->calls > 20);
        assert_string_equal(one->set, two->set);
        assert_string_equal(one->lines, two->lines);
        assert_string_equal(one->events, two->events);
        assert_string_equal(one->set, one->events);
        assert_same_slots(one, real);
        assert_string_not_equal(one->lines, real->lines);
        assert_int_equal(one->calls, real->calls);
        world_free(one);
        world_free(two);
        world_free(real);
    }
}

/* Who asks for slots gets memory: host addresses. */
static int check_host(void *opaque, const struct gmem_kvm_slot *slot)
{
    const struct world *world = opaque;
    const char *ram = gmem_ram_host(world->ram_block), *rom = gmem_ram_host(world->rom_block);

    assert_true((const char *)slot->host == ram + slot->gpa || (const char *)slot->host == rom + (slot->gpa - 0xe0000));
    return 0;
}

static void test_foreach_tells_host_addresses(void **state)
{
    struct world *world = world_new(GMEM_KVM_POLICY_KEEP, true);

    (void)state;
    assert_int_equal(gmem_kvm_foreach_slot(world->kvm, check_host, world), 0);
    edit(world);
    assert_int_equal(gmem_kvm_foreach_slot(world->kvm, check_host, world), 0);
    world_free(world);
}

/* No kernel takes such calls. */
static void test_needs_set(void **state)
{
    struct world *world = world_new(GMEM_KVM_POLICY_KEEP, true);
    struct gmem_kvm_options options = options_of(world, GMEM_KVM_POLICY_KEEP);
    gmem_kvm *kvm = NULL;

    (void)state;
    options.set = NULL;
    assert_int_equal(gmem_kvm_create(world->space, &options, &kvm), -EINVAL);
    assert_null(kvm);
    world_free(world);
}

/* Who was compiled before there was such an option has other bytes there. */
static int note_host(void *opaque, const struct kvm_userspace_memory_region *call)
{
    const struct world *world = opaque;
    uintptr_t ram = (uintptr_t)gmem_ram_host(world->ram_block), rom = (uintptr_t)gmem_ram_host(world->rom_block);

    assert_true(call->userspace_addr - ram < RAM_SIZE || call->userspace_addr - rom < 0x20000);
    return 0;
}

static void test_older_caller(void **state)
{
    struct world *world = world_new(GMEM_KVM_POLICY_KEEP, true);
    struct gmem_kvm_options options = options_of(world, GMEM_KVM_POLICY_KEEP);
    gmem_kvm *kvm;

    (void)state;
    options.struct_size = offsetof(struct gmem_kvm_options, ram_offsets);
    options.as_id = 1;
    options.set = note_host;
    options.trace = NULL;
    assert_int_equal(gmem_kvm_create(world->space, &options, &kvm), 0);
    gmem_kvm_destroy(kvm);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_the_same),
        cmocka_unit_test(test_foreach_tells_host_addresses),
        cmocka_unit_test(test_needs_set),
        cmocka_unit_test(test_older_caller),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
