/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_interp.c - interpreted processors: one thread runs them all, in an order and for times that only the guest decides.
 *
 * Virtual time is counted in ticks. An instruction of whatever processor is one, so there is one order of all instructions, and
 * time stamp counters agree. The processors take turns of QUANTUM ticks and up to QUANTUM_SPREAD more; one that halts gives up
 * its turn. A turn is cut in pieces: at timers, which expire between two instructions; and wherever the thread is asked to look up
 * (attention), which by itself changes nothing that a guest could see. When all processors wait, time jumps to the next timer.
 *
 *  - So two runs are the same, instruction by instruction, unless something comes from outside: a key, a monitor's command.
 *  - Time that passes in a jump is slept through, if virtual time is ahead of the host's: an idle guest does not burn a host
 *    processor. While the guest lags it need not sleep; it never has to make up for more than LAG_MAX.
 *  - Processors that are halted with interrupts off, or wait for SIPI, wait as hardware does: for an NMI, an SMI or INIT, or for
 *    stop. Nothing is reported, and nothing is spent on it.
 *
 * Lock: the device lock guards served and inside, and what waits at the interrupt controllers; gate guards holding, stopping
 * and parked. The thread takes the device lock for each piece of a turn and for each access that is no memory's, and gate only to
 * wait. Whoever has the device lock may take gate, not the other way round.
 *
 * Pausing, which keeps processors out of the guest while its map changes, has nothing to do here: each access finds its way
 * through a space, which a commit changes all at once, and a cache finds out that its window has passed.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu_interp_internal.h"

#define QUANTUM 1000u
#define QUANTUM_SPREAD 256u
#define LAG_MAX PC_NS_PER_S

static uint64_t host_now(void)
{
    return pc_clock_now(pc_clock_host());
}

/* What the thread has had of a host processor: others that run there do not make it slower. */
static uint64_t processor_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * PC_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* --- Being held and stopped ------------------------------------------------------------------------------------------ */

static void begin_busy(struct cpu_interp *cpus)
{
    if (!cpus->busy)
        cpus->busy_since = processor_time();
    cpus->busy = true;
}

static void end_busy(struct cpu_interp *cpus)
{
    if (cpus->busy)
        cpus->busy_ns += processor_time() - cpus->busy_since;
    cpus->busy = false;
}

/* False: the thread has to end. */
static bool enter(struct cpu_interp *cpus)
{
    uint64_t began;
    bool go;

    if (!__atomic_load_n(&cpus->interrupted, __ATOMIC_ACQUIRE))
        return true;
    end_busy(cpus);
    began = host_now();
    pthread_mutex_lock(&cpus->gate);
    while ((cpus->holding || cpus->frozen) && !cpus->stopping) {
        cpus->parked = true;
        pthread_cond_broadcast(&cpus->wake);
        pthread_cond_wait(&cpus->wake, &cpus->gate);
    }
    cpus->parked = false;
    go = !cpus->stopping;
    if (go)
        __atomic_store_n(&cpus->interrupted, false, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&cpus->gate);
    /* Time does not pass for who is held. */
    cpus->origin += host_now() - began;
    return go;
}

/* With gate held. */
static void interrupt(struct cpu_interp *cpus)
{
    __atomic_store_n(&cpus->interrupted, true, __ATOMIC_RELEASE);
    interp_attend(cpus);
    pthread_cond_broadcast(&cpus->wake);
}

static void hold(struct pc_cpus *base, bool hold)
{
    struct cpu_interp *cpus = (struct cpu_interp *)base;

    pthread_mutex_lock(&cpus->gate);
    cpus->holding += hold ? 1u : -1u;
    if (hold) {
        interrupt(cpus);
        while (cpus->started && !cpus->parked)
            pthread_cond_wait(&cpus->wake, &cpus->gate);
    } else {
        pthread_cond_broadcast(&cpus->wake);
    }
    pthread_mutex_unlock(&cpus->gate);
}

static void freeze(struct pc_cpus *base)
{
    struct cpu_interp *cpus = (struct cpu_interp *)base;

    pthread_mutex_lock(&cpus->gate);
    cpus->frozen = true;
    interrupt(cpus);
    pthread_mutex_unlock(&cpus->gate);
}

static bool run_for(struct pc_cpus *base, uint64_t ns)
{
    struct cpu_interp *cpus = (struct cpu_interp *)base;
    bool may;

    pthread_mutex_lock(&cpus->gate);
    while (cpus->started && (cpus->frozen || cpus->holding) && !cpus->parked)
        pthread_cond_wait(&cpus->wake, &cpus->gate);
    may = cpus->started && cpus->frozen && !cpus->holding;
    if (may) {
        cpus->until = cpus->tick + ns / INTERP_TICK_NS;
        cpus->frozen = false;
        pthread_cond_broadcast(&cpus->wake);
        while (!cpus->frozen || !cpus->parked)
            pthread_cond_wait(&cpus->wake, &cpus->gate);
    }
    pthread_mutex_unlock(&cpus->gate);
    return may;
}

static void stop(struct pc_cpus *base)
{
    struct cpu_interp *cpus = (struct cpu_interp *)base;

    pthread_mutex_lock(&cpus->gate);
    cpus->stopping = true;
    interrupt(cpus);
    pthread_mutex_unlock(&cpus->gate);
    if (cpus->started)
        pthread_join(cpus->thread, NULL);
    cpus->started = false;
}

/* --- What others ask for: with the device lock held ------------------------------------------------------------------ */

static void look_up(struct cpu_interp *cpus)
{
    interp_attend(cpus);
    if (cpus->inside)
        return;
    pthread_mutex_lock(&cpus->gate);
    pthread_cond_broadcast(&cpus->wake);
    pthread_mutex_unlock(&cpus->gate);
}

void cpu_interp_changed(struct pc_cpus *cpus, unsigned cpu)
{
    struct cpu_interp *interp = (struct cpu_interp *)cpus;

    interp->cpu[cpu].changed = true;
    look_up(interp);
}

static void timer_sooner(void *opaque)
{
    look_up(opaque);
}

static void smi(struct pc_cpus *base)
{
    struct cpu_interp *cpus = (struct cpu_interp *)base;

    if (!cpus->cpu[0].smm.space)
        return;
    cpus->cpu[0].smi = true;
    look_up(cpus);
}

static void set_a20(struct pc_cpus *base, bool open)
{
    struct cpu_interp *cpus = (struct cpu_interp *)base;

    __atomic_store_n(&cpus->a20_mask, open ? UINT32_MAX : ~UINT32_C(0x100000), __ATOMIC_RELAXED);
}

static int executing(struct pc_cpus *base, uint64_t *ret_addr)
{
    const struct cpu_interp *cpus = (struct cpu_interp *)base;
    const struct interp_cpu *cpu = cpus->served;

    if (!cpu)
        return -ENOENT;
    *ret_addr = (cpu->emu->x86.R_CS_BASE + cpu->emu->x86.saved_eip) & cpus->a20_mask;
    return 0;
}

static void no_pause(struct pc_cpus *base)
{
    (void)base;
}

static void stats(const struct pc_cpus *base, struct pc_cpus_stats *ret)
{
    const struct cpu_interp *cpus = (const struct cpu_interp *)base;

    *ret = (struct pc_cpus_stats){
        .instructions = cpus->executed, .ns = cpus->busy_ns, .virtual_ns = cpus->tick * INTERP_TICK_NS};
}

static bool counted(const struct pc_cpus *base, uint64_t *ret)
{
    const struct cpu_interp *cpus = (const struct cpu_interp *)base;

    if (cpus->served)
        *ret = cpus->executed + interp_tick(cpus->served) - cpus->tick;
    else if (!cpus->started)
        *ret = 0;
    else
        return false;
    return true;
}

/* --- Whose turn it is: on the thread, with the device lock held ------------------------------------------------------ */

/* Virtual time is what the ticks say; what is due expires. */
static void advance(struct cpu_interp *cpus)
{
    uint64_t now = cpus->tick * INTERP_TICK_NS;

    if (vtime_next(cpus->interp.time) <= now)
        vtime_advance(cpus->interp.time, now);
    else if (now > cpus->interp.time->now)
        cpus->interp.time->now = now;
}

/* The tick at which the first timer is due: a later one than this. UINT64_MAX: there is none. */
static uint64_t next_due(const struct cpu_interp *cpus)
{
    uint64_t due = vtime_next(cpus->interp.time), tick;

    if (due == VTIME_NEVER)
        return UINT64_MAX;
    tick = due / INTERP_TICK_NS + (due % INTERP_TICK_NS != 0);
    return tick > cpus->tick ? tick : cpus->tick + 1;
}

static void enter_smm(struct interp_cpu *cpu)
{
    cpu->smi = false;
    cpu->smm.halted = cpu->state == INTERP_HALTED;
    cpu->state = INTERP_RUNS;
    cpu->nmi_blocked = true;                                    /* until the handler's first IRET, or RSM */
    irqchip_set_current(cpu->cpus->interp.irqchip, cpu->index); /* saving accesses whatever is at SMBASE */
    cpu_interp_smm_enter(cpu->emu, &cpu->smm);
    cpu->emu->x86.instr_buf[0] = 0;
    interp_select(cpu);
}

/* What came from the controllers, and what of it is no matter of the next instruction. */
static void take_events(struct interp_cpu *cpu)
{
    struct irqchip *chip = cpu->cpus->interp.irqchip;
    uint8_t vector = 0;
    unsigned events;

    cpu->changed = false;
    events = irqchip_events(chip, cpu->index, &vector);
    cpu->nmi |= (events & IRQCHIP_NMI) != 0;
    cpu->smi |= (events & IRQCHIP_SMI) != 0 && cpu->smm.space;
    cpu->init |= (events & IRQCHIP_INIT) != 0;
    if (events & IRQCHIP_SIPI) {
        cpu->sipi = true;
        cpu->sipi_vector = vector;
    }
    cpu->irq = irqchip_pending(chip, cpu->index);
}

static bool wants_smm(const struct interp_cpu *cpu)
{
    return cpu->smi && !cpu->smm.active && cpu->state != INTERP_WAITS_FOR_SIPI;
}

/* Neither a trap nor that an interrupt is to wait for one more instruction would be known any more after RSM. */
static bool puts_smi_off(const struct interp_cpu *cpu)
{
    return interp_traps(cpu) || interp_in_shadow(cpu);
}

static void settle(struct interp_cpu *cpu)
{
    if (cpu->changed)
        take_events(cpu);
    if (cpu->state == INTERP_ENDED)
        return;
    if (cpu->init && !cpu->smm.active) {
        bool sipi = cpu->sipi;

        interp_init(cpu);
        cpu->init = false;
        cpu->sipi = sipi;
    }
    if (cpu->sipi && cpu->state == INTERP_WAITS_FOR_SIPI)
        interp_sipi(cpu, cpu->sipi_vector);
    cpu->sipi &= cpu->init; /* after that one */
    if (wants_smm(cpu) && !puts_smi_off(cpu))
        enter_smm(cpu);
    if (cpu->state == INTERP_HALTED && (interp_may_take(cpu) || interp_traps(cpu)))
        cpu->state = INTERP_RUNS;
}

/*
 * Turns differ in length, by a sequence that is the same in every run: a loop that gives up a lock for an instruction or two must
 * not be cut at the same places for ever.
 */
static unsigned turn(struct cpu_interp *cpus)
{
    cpus->turns = cpus->turns * 1664525u + 1013904223u;
    return QUANTUM + (cpus->turns >> 16) % QUANTUM_SPREAD;
}

static struct interp_cpu *choose(struct cpu_interp *cpus)
{
    struct interp_cpu *cpu = &cpus->cpu[cpus->current];

    if (cpu->state == INTERP_RUNS && cpus->tick < cpus->slice)
        return cpu;
    for (unsigned i = 1; i <= cpus->count; i++) {
        cpu = &cpus->cpu[(cpus->current + i) % cpus->count];
        if (cpu->state == INTERP_RUNS) {
            cpus->current = cpu->index;
            cpus->slice = cpus->tick + turn(cpus);
            return cpu;
        }
    }
    return NULL;
}

/* What is taken before the next instruction, if anything is; NMI or an interrupt's vector. */
static bool take_interrupt(struct interp_cpu *cpu, unsigned *ret_vector)
{
    struct irqchip *chip = cpu->cpus->interp.irqchip;
    bool may;

    cpu->irq = irqchip_pending(chip, cpu->index);
    may = interp_may_take(cpu) && !interp_traps(cpu);
    if (may && cpu->nmi && !cpu->nmi_blocked) {
        cpu->nmi = false;
        cpu->nmi_blocked = true;
        *ret_vector = VECTOR_NMI;
    } else if (may) {
        *ret_vector = irqchip_acknowledge(chip, cpu->index);
        cpu->irq = irqchip_pending(chip, cpu->index);
    }
    cpu->watch = cpu->irq || cpu->nmi || cpu->nmi_blocked;
    return may;
}

/* --- The thread ------------------------------------------------------------------------------------------------------ */

/* Execute until limit, or until the processor has to look up. */
static void execute(struct interp_cpu *cpu, uint64_t limit)
{
    struct cpu_interp *cpus = cpu->cpus;
    x86emu_t *emu = cpu->emu;

    emu->x86.R_TSC = cpus->tick + cpu->tsc_offset;
    emu->max_instr = limit + cpu->tsc_offset;
    /* NOLINTNEXTLINE(cert-err52-cpp): see interp_abort(), which what is done about an abort may call again */
    if (setjmp(cpu->abort))
        interp_aborted(cpu);
    if (!cpu->failed && emu->x86.R_TSC < emu->max_instr && x86emu_run(emu, X86EMU_RUN_MAX_INSTR) == 0)
        cpu->state = INTERP_HALTED;
    if (cpu->rep.rest)
        interp_rep_done(cpu);
    cpus->executed += interp_tick(cpu) - cpus->tick;
    cpus->tick = interp_tick(cpu);
    if (cpu->failed)
        interp_end(cpu);
}

static void wait_until(struct cpu_interp *cpus, uint64_t host)
{
    const struct timespec until = {.tv_sec = (time_t)(host / PC_NS_PER_S), .tv_nsec = (long)(host % PC_NS_PER_S)};
    int err = 0;

    pthread_mutex_lock(&cpus->gate);
    /* Who wants it held may have asked for attention while that was being given. */
    while (err != ETIMEDOUT && !__atomic_load_n(&cpus->attention, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&cpus->interrupted, __ATOMIC_RELAXED))
        err = host == UINT64_MAX ? pthread_cond_wait(&cpus->wake, &cpus->gate)
                                 : pthread_cond_timedwait(&cpus->wake, &cpus->gate, &until);
    pthread_mutex_unlock(&cpus->gate);
}

/* All wait: go to the tick due, not faster than the host's time does, or wait for the outside. */
static void idle(struct cpu_interp *cpus, uint64_t due)
{
    uint64_t now = host_now(), virtual_now = cpus->origin + cpus->tick * INTERP_TICK_NS;
    bool early;

    end_busy(cpus);
    if (now > virtual_now + LAG_MAX)
        cpus->origin += now - virtual_now - LAG_MAX;
    wait_until(cpus, due == UINT64_MAX ? due : cpus->origin + due * INTERP_TICK_NS);
    early = __atomic_load_n(&cpus->attention, __ATOMIC_ACQUIRE);
    if (early || due == UINT64_MAX) {
        /* Somebody called. If a processor wakes it is now; if not, nobody sees what time it is. */
        uint64_t tick = (host_now() - cpus->origin) / INTERP_TICK_NS;

        if (tick < due && tick > cpus->tick)
            cpus->tick = tick;
    } else {
        cpus->tick = due;
    }
}

static void step(struct cpu_interp *cpus)
{
    struct interp_cpu *cpu;
    unsigned vector = 0;
    bool taken = false, trapped = false;
    uint64_t limit;

    if (cpus->tick >= cpus->until) {
        cpus->until = UINT64_MAX;
        freeze(&cpus->base);
        return;
    }
    pthread_mutex_lock(cpus->config.lock);
    cpus->inside = true;
    advance(cpus);
    for (unsigned i = 0; i < cpus->count; i++)
        settle(&cpus->cpu[i]);
    cpu = choose(cpus);
    if (cpu) {
        if (cpu->smm.active)
            interp_select(cpu);
        trapped = interp_traps(cpu);
        taken = take_interrupt(cpu, &vector);
    }
    limit = next_due(cpus);
    /* An SMI that was put off comes after the trap, or one instruction. */
    if (cpu && wants_smm(cpu))
        limit = cpus->tick + !trapped;
    if (limit > cpus->until)
        limit = cpus->until;
    /* Whatever asked for attention so far was seen to, or will be before another turn. */
    __atomic_store_n(&cpus->attention, __atomic_load_n(&cpus->interrupted, __ATOMIC_ACQUIRE), __ATOMIC_RELAXED);
    interp_unlock(cpus);
    if (!cpu) {
        idle(cpus, limit);
        return;
    }
    begin_busy(cpus);
    cpu->emu->x86.R_TSC = cpus->tick + cpu->tsc_offset;
    if (trapped)
        interp_trap(cpu, VECTOR_DB);
    else if (taken)
        interp_interrupt(cpu, vector);
    if (cpu->failed)
        interp_end(cpu);
    else
        execute(cpu, limit < cpus->slice ? limit : cpus->slice);
}

static void *run(void *opaque)
{
    struct cpu_interp *cpus = opaque;

    cpus->origin = host_now();
    while (enter(cpus))
        step(cpus);
    pthread_mutex_lock(&cpus->gate);
    cpus->parked = true;
    pthread_cond_broadcast(&cpus->wake);
    pthread_mutex_unlock(&cpus->gate);
    return NULL;
}

static int start(struct pc_cpus *base, struct pc_error *error)
{
    struct cpu_interp *cpus = (struct cpu_interp *)base;
    sigset_t all, before;
    int err;

    /* A new thread inherits the mask: signals are for others. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&cpus->thread, NULL, run, cpus);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err)
        return pc_fail(error, -err, "no thread for the processors: %s", strerror(err));
    cpus->started = true;
    return 0;
}

/* --- Lifetime -------------------------------------------------------------------------------------------------------- */

static void destroy(struct pc_cpus *base)
{
    struct cpu_interp *cpus = (struct cpu_interp *)base;

    stop(base);
    cpus->interp.time->sooner = NULL;
    for (unsigned i = 0; i < cpus->count; i++) {
        interp_mem_destroy(&cpus->cpu[i]);
        x86emu_done(cpus->cpu[i].emu);
    }
    pthread_cond_destroy(&cpus->wake);
    pthread_mutex_destroy(&cpus->gate);
    free(cpus);
}

static int create_cpu(struct cpu_interp *cpus, unsigned index)
{
    struct interp_cpu *cpu = &cpus->cpu[index];
    const struct cpu_interp_config *interp = &cpus->interp;
    int err;

    cpu->cpus = cpus;
    cpu->index = index;
    err = interp_mem_create(cpu, cpus->config.memory[index], interp->smm ? interp->smm[index] : NULL);
    if (err)
        return err;
    cpu->emu = x86emu_new(0, 0);
    if (!cpu->emu)
        return -ENOMEM;
    cpu->emu->_private = cpu;
    x86emu_set_memio_handler(cpu->emu, interp_memio);
    x86emu_set_intr_handler(cpu->emu, interp_intr);
    x86emu_set_cpuid_handler(cpu->emu, interp_cpuid);
    x86emu_set_rdmsr_handler(cpu->emu, interp_rdmsr);
    x86emu_set_wrmsr_handler(cpu->emu, interp_wrmsr);
    interp_reset(cpu);
    return 0;
}

static void create_gate(struct cpu_interp *cpus)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&cpus->gate, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cpus->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

int cpu_interp_create(const struct pc_cpus_config *config, const struct cpu_interp_config *interp, struct pc_cpus **ret,
                      struct pc_error *error)
{
    static const struct pc_cpus_ops ops = {.start = start,
                                           .hold = hold,
                                           .stop = stop,
                                           .freeze = freeze,
                                           .run_for = run_for,
                                           .executing = executing,
                                           .pause = no_pause,
                                           .resume = no_pause,
                                           .set_a20 = set_a20,
                                           .smi = smi,
                                           .stats = stats,
                                           .counted = counted,
                                           .destroy = destroy};
    struct cpu_interp *cpus = calloc(1, sizeof(*cpus) + config->count * sizeof(cpus->cpu[0]));
    int err = 0;

    if (!cpus)
        return pc_fail(error, -ENOMEM, "out of memory");
    cpus->base.ops = &ops;
    cpus->config = *config;
    cpus->interp = *interp;
    cpus->a20_mask = UINT32_MAX;
    cpus->count = config->count;
    cpus->until = UINT64_MAX;
    create_gate(cpus);
    for (unsigned i = 0; i < cpus->count && !err; i++)
        err = create_cpu(cpus, i);
    if (err) {
        destroy(&cpus->base);
        return pc_fail(error, err, "a processor can't be set up: %s", gmem_strerror(err));
    }
    cpus->config.memory = NULL;
    cpus->interp.smm = NULL;
    interp->time->sooner = timer_sooner;
    interp->time->opaque = cpus;
    *ret = &cpus->base;
    return 0;
}
