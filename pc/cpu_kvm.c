/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_kvm.c - processors run by KVM: their threads, their exits, and keeping them out while the map changes.
 *
 * Linux, Documentation/virt/kvm/api.rst: KVM_RUN, KVM_SMI, struct kvm_run.
 *
 * Lock: gate guards stopping, pausing and every in_guest. It is never held in the guest, nor while the device lock is
 * taken.
 *
 *  - A processor is in the guest between enter() and leave(). It does not enter while pausing or stopping is set.
 *  - A kick is SIGUSR1, which processors' threads block except inside KVM_RUN: sent after in_guest was set, it ends
 *    KVM_RUN at once or as soon as it begins. So no handler is needed and no kick is lost.
 *  - Pausing waits for in_guest only: a processor whose access is being served, or that waits for the device lock, is outside.
 *    So a processor's own thread may pause, with the device lock held.
 *  - An SMI is noted, and raised by processor 0's own thread before it enters: the write that caused it is carried out first.
 *    It is kicked if it is in the guest.
 */
#include "cpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include <gmem/kvm.h>

#include "cpu_kvm_state.h"
#include "kvm_vm.h"

struct vcpu {
    struct cpu_kvm *cpus;
    unsigned index;
    int fd; /* this and the next are the virtual machine's */
    struct kvm_run *run;
    gmem_space *memory;
    pthread_t thread;
    bool started;
    bool in_guest;
    bool smi;    /* to be raised before it enters; guarded by the gate */
    bool parked; /* waits in enter(), or has ended */
};

struct cpu_kvm {
    struct pc_cpus base;
    struct pc_cpus_config config;
    pthread_mutex_t gate;
    pthread_cond_t changed;
    bool stopping;
    unsigned pausing;
    struct vcpu *served; /* whose access is being served; guarded by the device lock */
    unsigned count;
    struct vcpu vcpus[];
};

static bool enter(struct vcpu *vcpu, bool *ret_smi)
{
    struct cpu_kvm *cpus = vcpu->cpus;
    bool go;

    pthread_mutex_lock(&cpus->gate);
    while (cpus->pausing && !cpus->stopping) {
        vcpu->parked = true;
        pthread_cond_broadcast(&cpus->changed);
        pthread_cond_wait(&cpus->changed, &cpus->gate);
    }
    vcpu->parked = false;
    go = !cpus->stopping;
    vcpu->in_guest = go;
    *ret_smi = go && vcpu->smi;
    vcpu->smi = vcpu->smi && !go;
    pthread_mutex_unlock(&cpus->gate);
    return go;
}

static void leave(struct vcpu *vcpu)
{
    struct cpu_kvm *cpus = vcpu->cpus;

    pthread_mutex_lock(&cpus->gate);
    vcpu->in_guest = false;
    pthread_cond_broadcast(&cpus->changed);
    pthread_mutex_unlock(&cpus->gate);
}

/* With gate held: no processor is in the guest afterwards. */
static void drive_out(struct cpu_kvm *cpus)
{
    for (unsigned i = 0; i < cpus->count; i++) {
        if (cpus->vcpus[i].in_guest)
            pthread_kill(cpus->vcpus[i].thread, CPU_KVM_KICK);
    }
    for (unsigned i = 0; i < cpus->count; i++) {
        while (cpus->vcpus[i].in_guest)
            pthread_cond_wait(&cpus->changed, &cpus->gate);
    }
}

static void pause_all(struct pc_cpus *base)
{
    struct cpu_kvm *cpus = (struct cpu_kvm *)base;

    pthread_mutex_lock(&cpus->gate);
    cpus->pausing++;
    drive_out(cpus);
    pthread_mutex_unlock(&cpus->gate);
}

static void resume_all(struct pc_cpus *base)
{
    struct cpu_kvm *cpus = (struct cpu_kvm *)base;

    pthread_mutex_lock(&cpus->gate);
    cpus->pausing--;
    pthread_cond_broadcast(&cpus->changed);
    pthread_mutex_unlock(&cpus->gate);
}

static void smi(struct pc_cpus *base)
{
    struct cpu_kvm *cpus = (struct cpu_kvm *)base;
    struct vcpu *vcpu = &cpus->vcpus[0];

    pthread_mutex_lock(&cpus->gate);
    vcpu->smi = true;
    if (vcpu->in_guest)
        pthread_kill(vcpu->thread, CPU_KVM_KICK);
    pthread_mutex_unlock(&cpus->gate);
}

static void report(struct vcpu *vcpu, enum pc_event event, const char *what, unsigned long long detail)
{
    struct cpu_kvm *cpus = vcpu->cpus;
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0)
        memset(&regs, 0, sizeof(regs));
    if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
        memset(&sregs, 0, sizeof(sregs));
    pthread_mutex_lock(cpus->config.lock);
    pc_event(cpus->config.hooks, event, "processor %u: %s (0x%llx) at cs:ip %04x:%llx, cs base 0x%llx", vcpu->index,
             what, detail, sregs.cs.selector, (unsigned long long)regs.rip, (unsigned long long)sregs.cs.base);
    pthread_mutex_unlock(cpus->config.lock);
}

static int serve_access(struct vcpu *vcpu)
{
    const struct pc_cpus_config *config = &vcpu->cpus->config;
    const bool smm = config->smm_memory && (vcpu->run->flags & KVM_RUN_X86_SMM);
    const struct gmem_attrs attrs = {.secure = smm};
    int err;

    pthread_mutex_lock(config->lock);
    vcpu->cpus->served = vcpu;
    config->begin_access(config->opaque);
    err = gmem_kvm_handle_exit(smm ? config->smm_memory : vcpu->memory, config->ports, vcpu->run, attrs, NULL);
    pc_served(config->hooks);
    vcpu->cpus->served = NULL;
    pthread_mutex_unlock(config->lock);
    return err;
}

static int executing(struct pc_cpus *base, uint64_t *ret_addr)
{
    const struct vcpu *vcpu = ((struct cpu_kvm *)base)->served;

    return vcpu ? cpu_kvm_executing(vcpu->fd, ret_addr) : -ENOENT;
}

/* False: this processor has ended. */
static bool serve(struct vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    int err;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
    case KVM_EXIT_MMIO:
        err = serve_access(vcpu);
        if (err)
            report(vcpu, PC_EVENT_FAILED, "an access could not be served", (unsigned)-err);
        return err == 0;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return true;
    case KVM_EXIT_SHUTDOWN:
        report(vcpu, PC_EVENT_SHUTDOWN, "shut down, a triple fault", run->exit_reason);
        return false;
    case KVM_EXIT_INTERNAL_ERROR:
        report(vcpu, PC_EVENT_FAILED, "KVM can't carry out its instruction, suberror", run->internal.suberror);
        return false;
    case KVM_EXIT_FAIL_ENTRY:
        report(vcpu, PC_EVENT_FAILED, "the hardware refuses its state, reason",
               run->fail_entry.hardware_entry_failure_reason);
        return false;
    default:
        report(vcpu, PC_EVENT_FAILED, "KVM gives it up, exit reason", run->exit_reason);
        return false;
    }
}

static void drain_kick(void)
{
    const struct timespec now = {0, 0};
    sigset_t kick;

    sigemptyset(&kick);
    sigaddset(&kick, CPU_KVM_KICK);
    while (sigtimedwait(&kick, NULL, &now) >= 0) {
    }
}

/* As ioctl(2). */
static int run_guest(struct vcpu *vcpu, bool with_smi)
{
    if (with_smi && ioctl(vcpu->fd, KVM_SMI, 0) < 0)
        return -1;
    return ioctl(vcpu->fd, KVM_RUN, 0);
}

static void *run(void *opaque)
{
    struct vcpu *vcpu = opaque;
    struct cpu_kvm *cpus = vcpu->cpus;
    bool with_smi;

    while (enter(vcpu, &with_smi)) {
        int result = run_guest(vcpu, with_smi);
        int reason = errno;

        leave(vcpu);
        if (result == 0) {
            if (!serve(vcpu))
                break;
        } else if (reason == EINTR || reason == EAGAIN) {
            drain_kick();
        } else {
            report(vcpu, PC_EVENT_FAILED, "KVM_RUN failed, errno", (unsigned)reason);
            break;
        }
    }
    pthread_mutex_lock(&cpus->gate);
    vcpu->parked = true;
    pthread_cond_broadcast(&cpus->changed);
    pthread_mutex_unlock(&cpus->gate);
    return NULL;
}

static int start(struct pc_cpus *base, struct pc_error *error)
{
    struct cpu_kvm *cpus = (struct cpu_kvm *)base;
    sigset_t all, before;
    int err = 0;

    /* A new thread inherits the mask: no signal but the kick is ever a processor's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < cpus->count && !err; i++) {
        err = pthread_create(&cpus->vcpus[i].thread, NULL, run, &cpus->vcpus[i]);
        cpus->vcpus[i].started = err == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err ? pc_fail(error, -err, "no thread for a processor: %s", strerror(err)) : 0;
}

static void hold(struct pc_cpus *base, bool hold)
{
    struct cpu_kvm *cpus = (struct cpu_kvm *)base;

    pthread_mutex_lock(&cpus->gate);
    cpus->pausing += hold ? 1u : -1u;
    if (hold) {
        drive_out(cpus);
        for (unsigned i = 0; i < cpus->count; i++) {
            while (cpus->vcpus[i].started && !cpus->vcpus[i].parked)
                pthread_cond_wait(&cpus->changed, &cpus->gate);
        }
    } else {
        pthread_cond_broadcast(&cpus->changed);
    }
    pthread_mutex_unlock(&cpus->gate);
}

static void stop(struct pc_cpus *base)
{
    struct cpu_kvm *cpus = (struct cpu_kvm *)base;

    pthread_mutex_lock(&cpus->gate);
    cpus->stopping = true;
    pthread_cond_broadcast(&cpus->changed);
    drive_out(cpus);
    pthread_mutex_unlock(&cpus->gate);
    for (unsigned i = 0; i < cpus->count; i++) {
        if (cpus->vcpus[i].started)
            pthread_join(cpus->vcpus[i].thread, NULL);
        cpus->vcpus[i].started = false;
    }
}

static void destroy(struct pc_cpus *base)
{
    struct cpu_kvm *cpus = (struct cpu_kvm *)base;

    stop(base);
    pthread_cond_destroy(&cpus->changed);
    pthread_mutex_destroy(&cpus->gate);
    free(cpus);
}

int cpu_kvm_create(struct kvm_vm *kvm, const struct pc_cpus_config *config, struct pc_cpus **ret,
                   struct pc_error *error)
{
    static const struct pc_cpus_ops ops = {.start = start,
                                           .hold = hold,
                                           .stop = stop,
                                           .executing = executing,
                                           .pause = pause_all,
                                           .resume = resume_all,
                                           .smi = smi,
                                           .destroy = destroy};
    struct cpu_kvm *cpus = calloc(1, sizeof(*cpus) + config->count * sizeof(cpus->vcpus[0]));

    if (!cpus)
        return pc_fail(error, -ENOMEM, "out of memory");
    cpus->base.ops = &ops;
    cpus->config = *config;
    cpus->config.memory = NULL;
    cpus->count = config->count;
    pthread_mutex_init(&cpus->gate, NULL);
    pthread_cond_init(&cpus->changed, NULL);
    for (unsigned i = 0; i < cpus->count; i++) {
        cpus->vcpus[i] = (struct vcpu){.cpus = cpus, .index = i, .memory = config->memory[i]};
        cpus->vcpus[i].fd = kvm_vm_processor(kvm, i, &cpus->vcpus[i].run);
    }
    *ret = &cpus->base;
    return 0;
}
