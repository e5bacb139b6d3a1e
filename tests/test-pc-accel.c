/* SPDX-License-Identifier: MIT */
/*
 * test-pc-accel.c - which processors a machine gets, and what is said of it, on hosts whose /dev/kvm is played: open and ioctl are
 * the linker's wraps. That KVM is taken where it works is tested where it does, by tests/pc-cli.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/ioctl.h>

#include "cpu.h"
#include "pc-machine.h"

int __real_open(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* The played host. */
static struct {
    bool played;
    int open_errno;              /* of /dev/kvm; 0: it can be opened */
    int version;                 /* -1: it knows no such call */
    unsigned long refused;       /* this call is, with refused_errno */
    int refused_errno, signals;  /* so many times KVM_CREATE_VM is interrupted first */
    int capability[256];         /* what KVM_CHECK_EXTENSION says */
    unsigned opened, interrupts; /* counts */
} host;

static int played_open(void)
{
    host.opened++;
    if (host.open_errno) {
        errno = host.open_errno;
        return -1;
    }
    return __real_open("/dev/null", O_RDWR | O_CLOEXEC);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    if (host.played && strcmp(path, "/dev/kvm") == 0)
        return played_open();
    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return __real_open(path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    if (host.played && strcmp(path, "/dev/kvm") == 0)
        return played_open();
    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return __real_open64(path, flags, mode);
}

static int refuse(int err)
{
    errno = err;
    return -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *argument;

    va_start(args, request);
    argument = va_arg(args, void *);
    va_end(args);
    if (!host.played)
        return __real_ioctl(fd, request, argument);
    if (request == KVM_CREATE_VM && host.signals) {
        host.signals--;
        host.interrupts++;
        return refuse(EINTR);
    }
    if (request == host.refused)
        return refuse(host.refused_errno);
    if (request == KVM_GET_API_VERSION)
        return host.version < 0 ? refuse(ENOTTY) : host.version;
    if (request == KVM_CREATE_VM)
        return __real_open("/dev/null", O_RDWR | O_CLOEXEC);
    if (request == KVM_CREATE_VCPU)
        return __real_open("/dev/zero", O_RDWR | O_CLOEXEC); /* it can be mapped */
    if (request == KVM_GET_VCPU_MMAP_SIZE)
        return 3 * 4096;
    if (request == KVM_CHECK_EXTENSION)
        return (uintptr_t)argument < 256 ? host.capability[(uintptr_t)argument] : 0;
    return 0;
}

static unsigned descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    (void)closedir(folder);
    return count;
}

static struct pc_config config_of(struct bench *bench, enum pc_accel accel)
{
    struct pc_config config = bench_config(bench, 1u << 20, false);

    config.accel = accel;
    config.set = NULL;
    return config;
}

static void play(int open_errno, int version, unsigned long refused, int refused_errno)
{
    memset(&host, 0, sizeof(host));
    host.played = true;
    host.open_errno = open_errno;
    host.version = version;
    host.refused = refused;
    host.refused_errno = refused_errno;
}

/* All that a kernel has to have. */
static void play_kernel(unsigned long refused, int refused_errno)
{
    play(0, 12, refused, refused_errno);
    host.capability[KVM_CAP_MAX_VCPUS] = 2;
    host.capability[KVM_CAP_READONLY_MEM] = 1;
}

/* Asked for by name it is refused; automatically it is why the interpreter is taken. Both say the same. */
static void machine_refused_and_replaced(const char *words, int err, bool smm, unsigned cpus)
{
    struct bench *bench = bench_new();
    struct pc_config config = config_of(bench, PC_ACCEL_KVM);
    struct pc_error error = {""};
    unsigned before = descriptors();

    config.smm = smm;
    config.cpus = cpus;
    assert_int_equal(machine_create(&config, &bench->machine, &error), err);
    assert_null(bench->machine);
    assert_int_equal(descriptors(), before);
    if (!strstr(error.text, words))
        fail_msg("\"%s\" lacks \"%s\"", error.text, words);
    assert_null(strchr(error.text, '\n'));

    config.accel = PC_ACCEL_AUTO;
    bench_open(bench, &config);
    assert_int_equal(machine_accel(bench->machine), PC_ACCEL_INTERP);
    assert_string_equal(machine_without_kvm(bench->machine), error.text);
    bench_free(bench);
    assert_int_equal(descriptors(), before);
    host.played = false;
}

static void refused_and_replaced(const char *words, int err, bool smm)
{
    machine_refused_and_replaced(words, err, smm, 1);
}

static void test_no_kvm(void **state)
{
    (void)state;
    play(ENOENT, 12, 0, 0);
    refused_and_replaced("/dev/kvm is not there", -ENODEV, false);
    play(ENXIO, 12, 0, 0);
    refused_and_replaced("/dev/kvm is not there", -ENODEV, false);
    play(ENODEV, 12, 0, 0);
    refused_and_replaced("/dev/kvm is not there", -ENODEV, false);
    play(EMFILE, 12, 0, 0);
    refused_and_replaced("/dev/kvm can't be opened", -EMFILE, false);
}

static void test_no_permission(void **state)
{
    (void)state;
    play(EACCES, 12, 0, 0);
    refused_and_replaced("no permission to use /dev/kvm", -EACCES, false);
    play(EPERM, 12, 0, 0);
    refused_and_replaced("no permission to use /dev/kvm", -EACCES, false);
}

static void test_something_else(void **state)
{
    (void)state;
    play(0, -1, 0, 0);
    refused_and_replaced("/dev/kvm is not KVM", -ENODEV, false);
    play(0, 11, 0, 0);
    refused_and_replaced("/dev/kvm speaks version 11 of KVM's interface, not 12", -ENOTSUP, false);
}

static void test_kernel_refuses(void **state)
{
    static const struct {
        unsigned long call;
        const char *name;
    } calls[] = {
        {KVM_CREATE_VM, "KVM_CREATE_VM"},       {KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR"},
        {KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR"}, {KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP"},
        {KVM_CREATE_PIT2, "KVM_CREATE_PIT2"},   {KVM_SET_GSI_ROUTING, "KVM_SET_GSI_ROUTING"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        play(0, 12, calls[i].call, EBUSY);
        refused_and_replaced(calls[i].name, -EBUSY, false);
    }
    play(0, 12, KVM_CREATE_IRQCHIP, ENOTTY);
    host.signals = 3;
    refused_and_replaced("KVM_CREATE_IRQCHIP", -ENOTTY, false);
    assert_int_equal(host.interrupts, 3);
}

/* KVM is there, but not for this machine. */
static void test_no_smm(void **state)
{
    (void)state;
    play(0, 12, 0, 0);
    refused_and_replaced("system management mode", -ENOTSUP, true);
}

/* A kernel that has virtual machines, but can't have this one: what it takes is found before memory is. */
static void test_not_for_this_machine(void **state)
{
    static const struct {
        unsigned long call;
        const char *words;
    } calls[] = {
        {KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE"},
        {KVM_CREATE_VCPU, "the kernel refuses processor 0"},
        {KVM_SET_SIGNAL_MASK, "processor 0 can't be set up"},
        {KVM_GET_SUPPORTED_CPUID, "processor 0 can't be set up"},
        {KVM_SET_CPUID2, "processor 0 can't be set up"},
        {KVM_GET_REGS, "processor 0 can't be set up"},
        {KVM_SET_SREGS, "processor 0 can't be set up"},
        {KVM_SET_MP_STATE, "processor 0 can't be set up"},
        {KVM_SET_USER_MEMORY_REGION, "the kernel refuses a memory slot"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        play_kernel(calls[i].call, EPERM);
        machine_refused_and_replaced(calls[i].words, -EPERM, false, 2);
    }
    play_kernel(0, 0);
    machine_refused_and_replaced("3 processors: this host's KVM takes at most 2", -EINVAL, false, 3);
    play_kernel(0, 0);
    host.capability[KVM_CAP_READONLY_MEM] = 0;
    refused_and_replaced("KVM_CAP_READONLY_MEM", -ENOTSUP, false);
}

/* Who asks for an interpreter does not touch /dev/kvm, nor who asks for no processors. */
static void test_not_asked(void **state)
{
    const enum pc_accel accels[] = {PC_ACCEL_INTERP, PC_ACCEL_NONE};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct bench *bench = bench_new();
        struct pc_config config = config_of(bench, accels[i]);

        config.set = bench_set;
        play(0, 12, 0, 0);
        bench_open(bench, &config);
        assert_int_equal(host.opened, 0);
        assert_int_equal(machine_accel(bench->machine), accels[i]);
        assert_null(machine_without_kvm(bench->machine));
        host.played = false;
        machine_freeze(bench->machine); /* of none, or of some that did not begin */
        bench_free(bench);
    }
}

static bool has_mark(struct machine *machine)
{
    const struct gmem_print_options options = machine_print_options(machine);

    assert_int_equal(options.struct_size, sizeof(options));
    return options.mark != NULL;
}

/* Slots that are only planned are not marked as KVM's. */
static void test_mark(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = config_of(bench, PC_ACCEL_INTERP);

    (void)state;
    bench_open(bench, &config);
    assert_false(has_mark(bench->machine));
    machine_destroy(bench->machine);
    config = config_of(bench, PC_ACCEL_NONE);
    config.set = bench_set;
    bench_open(bench, &config);
    assert_true(has_mark(bench->machine));
    bench_free(bench);
}

static bool said(struct bench *bench)
{
    return atomic_load(&bench->console_len) > 0;
}

static void say_and_stop(void *opaque, char c)
{
    struct bench *bench = opaque;

    machine_freeze(bench->machine);
    bench_console(opaque, c);
}

/* No instruction follows the one that the hook was called of, at any time: 6 are carried out. */
static void test_freeze(void **state)
{
    /* xor %bx,%bx; mov %bx,%ds; mov $0x402,%dx; mov $'X',%al; 1: incw (0x1000); out %al,%dx; jmp 1b */
    static const uint8_t code[] = {0x31, 0xdb, 0x8e, 0xdb, 0xba, 0x02, 0x04, 0xb0,
                                   'X',  0xff, 0x06, 0x00, 0x10, 0xee, 0xeb, 0xf9};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct bench *bench = bench_new();
        struct pc_config config = config_of(bench, PC_ACCEL_INTERP);
        struct pc_cpus_stats stats;
        struct pc_error error;
        uint16_t count;

        memcpy(bench->firmware + FIRMWARE_SIZE - 16, code, sizeof(code));
        config.hooks.console = say_and_stop;
        bench_open(bench, &config);
        assert_int_equal(machine_start(bench->machine, &error), 0);
        assert_true(wait_until(said, bench, 30));
        machine_stop(bench->machine);
        assert_int_equal(atomic_load(&bench->console_len), 1);
        assert_int_equal(gmem_ld16_le(machine_memory(bench->machine), 0x1000, GMEM_ATTRS_NONE, &count), GMEM_OK);
        assert_int_equal(count, 1);
        assert_true(machine_executed(bench->machine, &stats));
        assert_int_equal(stats.instructions, 6);
        bench_free(bench);
    }
}

static void say_and_stop_once(void *opaque, char c)
{
    const struct bench *bench = opaque;

    if (atomic_load(&bench->console_len) == 0)
        say_and_stop(opaque, c);
}

static struct pc_cpus_stats executed(struct bench *bench)
{
    struct pc_cpus_stats stats;

    assert_true(machine_executed(bench->machine, &stats));
    return stats;
}

/* A machine that was frozen goes on for so much of its own time, whether it works or waits. */
static void check_run_for(const uint8_t *code, size_t len, unsigned instructions, bool works)
{
    struct bench *bench = bench_new();
    struct pc_config config = config_of(bench, PC_ACCEL_INTERP);
    struct pc_error error;

    memcpy(bench->firmware + FIRMWARE_SIZE - 16, code, len);
    config.hooks.console = say_and_stop_once;
    bench_open(bench, &config);
    assert_false(machine_run_for(bench->machine, 1000)); /* it was not started */
    assert_int_equal(machine_start(bench->machine, &error), 0);
    assert_true(wait_until(said, bench, 30));
    machine_hold(bench->machine, true);
    assert_false(machine_run_for(bench->machine, 1000000));
    machine_hold(bench->machine, false);
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(machine_run_for(bench->machine, 1000000));
        assert_int_equal(executed(bench).virtual_ns, instructions * UINT64_C(50) + i * UINT64_C(1000000));
        assert_int_equal(executed(bench).instructions, works ? instructions + i * 20000 : instructions + 2);
    }
    machine_stop(bench->machine);
    assert_false(machine_run_for(bench->machine, 1000));
    bench_free(bench);
}

static void test_run_for(void **state)
{
    static const uint8_t works[] = {0xba, 0x02, 0x04, 0xb0, 'X', 0xee, 0xeb, 0xfd};
    static const uint8_t waits[] = {0xba, 0x02, 0x04, 0xb0, 'X', 0xee, 0xfa, 0xf4};
    struct bench *bench = bench_new();
    struct pc_config config = config_of(bench, PC_ACCEL_NONE);

    (void)state;
    check_run_for(works, sizeof(works), 3, true);
    check_run_for(waits, sizeof(waits), 3, false);
    config.set = bench_set;
    bench_open(bench, &config);
    assert_false(machine_run_for(bench->machine, 1000)); /* nobody is there to go on */
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_kvm),         cmocka_unit_test(test_no_permission),
        cmocka_unit_test(test_something_else), cmocka_unit_test(test_kernel_refuses),
        cmocka_unit_test(test_no_smm),         cmocka_unit_test(test_not_for_this_machine),
        cmocka_unit_test(test_not_asked),      cmocka_unit_test(test_mark),
        cmocka_unit_test(test_freeze),         cmocka_unit_test(test_run_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
