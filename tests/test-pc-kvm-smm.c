/* SPDX-License-Identifier: MIT */
/*
 * test-pc-kvm-smm.c - a machine of KVM's with system management mode: refused where the kernel has not what that needs, before
 * anything is made; and where it has, that accesses in the mode reach its space, that SMI is raised where it has to be, and that
 * what is written in the mode is found dirty.
 *
 * Few kernels have the mode where tests run, so it is played: ioctl(2) is this program's own, which answers for what is new and
 * leaves the rest to the kernel. The guest tells by port 0x80 when it is to be taken for being in the mode.
 *
 * Skipped without /dev/kvm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "pc-machine.h"

#define MEMORY (UINT64_C(16) << 20)
#define VGA_FN PCI_DEVFN(2, 0)
#define PM_FN PCI_DEVFN(1, 3)
#define WAIT 60u
#define MODE_PORT 0x80u
#define VRAM_AT 0xfd000000u
#define PAGE 0x1000u
#define RUN_SIZE (2 * PAGE) /* of struct kvm_run, and of what a port's data is in */

/* --- the kernel --- */

static struct {
    bool play; /* else all is as it is */
    int mode, spaces;
    unsigned made;  /* virtual machines */
    unsigned slots; /* of address space 1, in use */
    uint64_t size[64];
    uint64_t dirty; /* what the log of each of them says: one bit a page */
    unsigned fetched, cleared;
    bool in_mode; /* the processor's thread's, but for the first two */
    pthread_t runs;
    struct kvm_run *run;
    atomic_uint smi;
    atomic_bool smi_elsewhere;
} kernel;

static void after_run(int fd)
{
    struct kvm_run *run = kernel.run;

    if (!run)
        kernel.run = run = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED)
        return;
    if (run->exit_reason == KVM_EXIT_IO && run->io.port == MODE_PORT)
        kernel.in_mode = ((const uint8_t *)run)[run->io.data_offset];
    if (kernel.in_mode)
        run->flags |= KVM_RUN_X86_SMM;
}

static bool of_the_mode(uint32_t slot)
{
    return kernel.play && slot >> 16 == 1;
}

static int set_slot(const struct kvm_userspace_memory_region *region)
{
    uint64_t *size = &kernel.size[(region->slot & 0xffff) % 64];

    if (!*size != !region->memory_size)
        kernel.slots += region->memory_size ? 1u : -1u;
    *size = region->memory_size;
    return 0;
}

static int fetch(const struct kvm_dirty_log *log)
{
    kernel.fetched++;
    memset(log->dirty_bitmap, 0, kernel.size[(log->slot & 0xffff) % 64] / PAGE / 8);
    memcpy(log->dirty_bitmap, &kernel.dirty, sizeof(kernel.dirty));
    return 0;
}

static int played(int fd, unsigned long request, void *arg)
{
    struct kvm_userspace_memory_region *region = arg;
    struct kvm_dirty_log *log = arg;
    struct kvm_clear_dirty_log *clear = arg;
    long result;

    switch (request) {
    case KVM_CHECK_EXTENSION:
        if (kernel.play && (uintptr_t)arg == KVM_CAP_X86_SMM)
            return kernel.mode;
        if (kernel.play && (uintptr_t)arg == KVM_CAP_MULTI_ADDRESS_SPACE)
            return kernel.spaces;
        break;
    case KVM_CREATE_VM:
        kernel.made++;
        break;
    case KVM_SET_USER_MEMORY_REGION:
        if (!of_the_mode(region->slot))
            break;
        return set_slot(region);
    case KVM_GET_DIRTY_LOG:
        if (!of_the_mode(log->slot))
            break;
        return fetch(log);
    case KVM_CLEAR_DIRTY_LOG:
        if (!of_the_mode(clear->slot))
            break;
        kernel.cleared++;
        return 0;
    case KVM_SMI:
        if (!kernel.play)
            break;
        if (!pthread_equal(kernel.runs, pthread_self()))
            atomic_store(&kernel.smi_elsewhere, true);
        atomic_fetch_add(&kernel.smi, 1);
        return 0;
    case KVM_RUN:
        kernel.runs = pthread_self();
        break;
    }
    result = syscall(SYS_ioctl, fd, request, arg);
    if (kernel.play && request == KVM_RUN && result == 0)
        after_run(fd);
    return (int)result;
}

/* The system's declaration has reserved names. NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int ioctl(int fd, unsigned long request, ...)
{
    va_list more;
    void *arg;

    va_start(more, request);
    arg = va_arg(more, void *);
    va_end(more);
    return played(fd, request, arg);
}

static void kernel_reset(bool play, int mode, int spaces)
{
    if (kernel.run && kernel.run != MAP_FAILED)
        munmap(kernel.run, RUN_SIZE);
    memset(&kernel, 0, sizeof(kernel));
    kernel.play = play;
    kernel.mode = mode;
    kernel.spaces = spaces;
}

/* --- machines --- */

static struct bench *new_bench(void)
{
    if (!have_kvm()) {
        print_message("/dev/kvm can't be opened\n");
        skip();
    }
    return bench_new();
}

static struct pc_config config_of(struct bench *bench, enum gmem_kvm_policy policy)
{
    struct pc_config config = bench_config(bench, MEMORY, true);

    config.accel = PC_ACCEL_KVM;
    config.set = NULL;
    config.smm = true;
    config.policy = policy;
    return config;
}

static void refused(struct bench *bench, const char *lacks)
{
    const struct pc_config config = config_of(bench, GMEM_KVM_POLICY_KEEP);
    struct pc_error error = {""};

    assert_int_equal(machine_create(&config, &bench->machine, &error), -ENOTSUP);
    assert_null(bench->machine);
    assert_null(strchr(error.text, '\n'));
    if (!strstr(error.text, lacks) || !strstr(error.text, "--accel interp") || !strstr(error.text, "--smm off"))
        fail_msg("\"%s\" does not say \"%s\", and what to do", error.text, lacks);
    assert_int_equal(kernel.made, 0);
}

static void test_refused(void **state)
{
    struct bench *bench = new_bench();

    (void)state;
    kernel_reset(true, 0, 0);
    refused(bench, "(it lacks KVM_CAP_X86_SMM and KVM_CAP_MULTI_ADDRESS_SPACE)");
    kernel_reset(true, 0, 2);
    refused(bench, "(it lacks KVM_CAP_X86_SMM)");
    kernel_reset(true, 1, 1);
    refused(bench, "(it lacks KVM_CAP_MULTI_ADDRESS_SPACE)");
    kernel_reset(true, -1, -1);
    refused(bench, "(it lacks KVM_CAP_X86_SMM and KVM_CAP_MULTI_ADDRESS_SPACE)");
    bench_free(bench);
}

/* What this kernel says for itself, with nothing played. */
static void test_this_kernel(void **state)
{
    struct bench *bench = new_bench();
    const struct pc_config config = config_of(bench, GMEM_KVM_POLICY_KEEP);
    int device = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    bool has = ioctl(device, KVM_CHECK_EXTENSION, (void *)KVM_CAP_X86_SMM) > 0 &&
               ioctl(device, KVM_CHECK_EXTENSION, (void *)KVM_CAP_MULTI_ADDRESS_SPACE) > 1;

    (void)state;
    close(device);
    kernel_reset(false, 0, 0);
    if (has) {
        bench_open(bench, &config);
        assert_non_null(machine_slots_smm(bench->machine));
    } else {
        refused(bench, "system management mode");
    }
    bench_free(bench);
}

static void test_both_adapters(void **state)
{
    static const enum gmem_kvm_policy policies[] = {GMEM_KVM_POLICY_KEEP, GMEM_KVM_POLICY_REFERENCE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bench *bench = new_bench();
        const struct pc_config config = config_of(bench, policies[i]);
        struct gmem_kvm_stats stats;

        kernel_reset(true, 1, 2);
        bench_open(bench, &config);
        gmem_kvm_stats(machine_slots_smm(bench->machine), &stats);
        assert_true(stats.slots >= 4);
        assert_int_equal(kernel.slots, stats.slots);
        machine_destroy(bench->machine);
        bench->machine = NULL;
        assert_int_equal(kernel.slots, 0);
        bench_free(bench);
    }
}

/* --- what a guest does --- */

static const char guest[] = "\xb8\x00\xa0\x8e\xd8" /* mov ax, 0xa000; mov ds, ax */
                            "\xb0\x01\xe6\x80"     /* into the mode */
                            "\xc6\x06\x00\x00\x5a" /* mov byte [0], 'Z' */
                            "\xba\x02\x04"         /* mov dx, 0x402 */
                            "\xa0\x00\x00\xee"     /* mov al, [0]; out dx, al */
                            "\xb0\x00\xe6\x80"     /* out of it */
                            "\xa0\x00\x00\xee"     /* mov al, [0]; out dx, al */
                            "\xb0\x42\xe6\xb2"     /* APMC: an SMI */
                            "\xb0\x2e\xee"         /* '.' */
                            "\xfa\xf4\xeb\xfd";    /* cli; hlt; again */

static bool has_ended(struct bench *bench)
{
    return memchr(bench->console, '.', atomic_load(&bench->console_len));
}

static bool has_two_smi(struct bench *bench)
{
    (void)bench;
    return atomic_load(&kernel.smi) >= 2;
}

static struct bench *guest_open(void)
{
    struct bench *bench = new_bench();
    const struct pc_config config = config_of(bench, GMEM_KVM_POLICY_KEEP);

    memcpy(bench->firmware, guest, sizeof(guest) - 1);
    memcpy(bench->firmware + FIRMWARE_SIZE - 16, "\xe9\x0d\x00", 3); /* jmp 0 */
    kernel_reset(true, 1, 2);
    bench_open(bench, &config);
    /* APMC_EN, the power management ports, SMI_EN. */
    cfg_write32(bench, PM_FN, 0x58, 0x02000000);
    cfg_write32(bench, PM_FN, 0x40, 0x601);
    cfg_write8(bench, PM_FN, 0x80, 1);
    out32(bench, 0x628, 1);
    return bench;
}

static void test_exits_and_smi(void **state)
{
    struct bench *bench = guest_open();
    struct pc_error error;
    uint8_t byte;

    (void)state;
    assert_int_equal(machine_start(bench->machine, &error), 0);
    assert_true(wait_until(has_ended, bench, WAIT));
    assert_int_equal(atomic_load(&bench->event), 0);
    /* In the mode it found what it wrote, in SMRAM; outside there is the VGA. */
    assert_int_equal(bench->console[0], 'Z');
    assert_int_not_equal(bench->console[1], 'Z');
    /* Raised once, by the thread that runs the processor. */
    assert_int_equal(atomic_load(&kernel.smi), 1);
    /* One that another thread causes while the processor sleeps in the guest gets it out and is raised there too. */
    machine_lock(bench->machine);
    out8(bench, 0xb2, 0x42);
    machine_unlock(bench->machine);
    assert_true(wait_until(has_two_smi, bench, WAIT));
    machine_stop(bench->machine);
    assert_int_equal(atomic_load(&kernel.smi), 2);
    assert_false(atomic_load(&kernel.smi_elsewhere));
    assert_int_equal(gmem_ld8(machine_smram_space(bench->machine), 0xa0000, GMEM_ATTRS_NONE, &byte), GMEM_OK);
    assert_int_equal(byte, 'Z');
    bench_free(bench);
}

/* --- the dirty log --- */

/* What address space 1's log says of the VGA's memory, which both address spaces have in a logged slot. */
static void test_dirty(void **state)
{
    struct bench *bench = guest_open();
    struct gmem_section vram;
    gmem_ram *block;
    bool dirty;

    (void)state;
    cfg_write32(bench, VGA_FN, PCI_BASE_ADDRESS_0, VRAM_AT);
    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY);
    assert_int_equal(gmem_space_lookup(machine_smram_space(bench->machine), VRAM_AT, &vram), 0);
    block = gmem_region_ram(vram.region);
    assert_int_equal(gmem_region_log_sync(vram.region), 0);
    assert_true(kernel.fetched > 0);
    assert_int_equal(gmem_ram_dirty_test_and_clear(block, GMEM_LOG_DISPLAY, 0, gmem_ram_size(block), &dirty), 0);
    assert_int_equal(gmem_region_log_clear(vram.region, 0, gmem_ram_size(block) - 1), 0);
    kernel.dirty = 1u << 3 | 1u << 5;
    assert_int_equal(gmem_region_log_sync(vram.region), 0);
    for (unsigned page = 0; page < 8; page++) {
        assert_int_equal(gmem_ram_dirty_test(block, GMEM_LOG_DISPLAY, (uint64_t)page * PAGE, PAGE, &dirty), 0);
        assert_int_equal(dirty, page == 3 || page == 5);
    }
    assert_int_equal(gmem_region_log_clear(vram.region, 0, gmem_ram_size(block) - 1), 0);
    assert_true(kernel.cleared > 0);
    gmem_section_release(&vram);
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_this_kernel), cmocka_unit_test(test_both_adapters),
        cmocka_unit_test(test_exits_and_smi), cmocka_unit_test(test_dirty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
