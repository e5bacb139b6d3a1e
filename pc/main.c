/* SPDX-License-Identifier: MIT */
/*
 * pc/main.c - gmem-pc: boots a PC and says how it went.
 *
 * The main thread puts the machine together and then waits for the first of: the text it waits for, the guest's end, a
 * signal, the monitor's quit, the timeout; meanwhile it carries out the monitor's commands. SIGINT and SIGTERM only write to
 * a descriptor that it waits for. Where somebody who does not read our output keeps it from that, a second one ends the program.
 *
 * Lock: none. Hooks run one at a time under the machine's device lock; what they leave for the main thread goes through
 * `outcome`, written before the eventfd is and read after.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "firmware.h"
#include "machine.h"
#include "monitor.h"
#include "options.h"
#include "output.h"
#include "png_file.h"
#include "progress.h"
#include "record.h"
#include "results.h"
#include "screenshot.h"
#include "terminal.h"
#include "vga.h"

#define EXIT_GUEST 1
#define EXIT_USAGE 2

enum outcome {
    OUTCOME_NONE,
    OUTCOME_SEEN,   /* the text of --until */
    OUTCOME_QUIT,   /* the monitor was told to */
    OUTCOME_ENDED,  /* the guest ended the machine */
    OUTCOME_FAILED, /* it can't go on */
    OUTCOME_SIGNAL,
    OUTCOME_TIMEOUT,
};

struct run {
    struct options options;
    struct output trace, map, serial, recording;
    struct record *record; /* NULL: there is none, or the run is over */
    int wake;              /* eventfd: outcome was set */
    int signals;           /* eventfd: a signal came */
    atomic_int outcome;
    char reason[256];
    size_t matched; /* bytes of seen[] */
    char *seen;     /* the last bytes of the log, as many as the text of --until has */
    struct terminal terminal;
    struct machine *machine; /* NULL: not yet */
    struct monitor *monitor; /* NULL: there is none */
    struct progress progress;
    int64_t deadline; /* of --timeout; 0: there is none, or not yet */
    bool over;        /* no processor runs any more */
};

static void complain(const char *text)
{
    fprintf(stderr, "gmem-pc: %s\n", text);
}

/* False: not all of standard output could be written. */
static bool flushed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    complain("standard output can't be written");
    return false;
}

/* The first outcome counts. */
static void set_outcome(struct run *run, enum outcome outcome)
{
    const uint64_t one = 1;
    int none = OUTCOME_NONE;

    if (atomic_compare_exchange_strong(&run->outcome, &none, outcome) && write(run->wake, &one, sizeof(one)) < 0)
        complain("the main thread can't be woken");
}

/* From a hook: what the guest does after it is no part of the run. */
static void end_run(struct run *run, enum outcome outcome)
{
    set_outcome(run, outcome);
    if (run->machine)
        machine_freeze(run->machine);
}

static void on_event(void *opaque, enum pc_event event, const char *text)
{
    struct run *run = opaque;

    if (atomic_load(&run->outcome) != OUTCOME_NONE)
        return;
    snprintf(run->reason, sizeof(run->reason), "%s", text);
    end_run(run, event == PC_EVENT_SHUTDOWN || event == PC_EVENT_FAILED ? OUTCOME_FAILED : OUTCOME_ENDED);
}

static void on_log(void *opaque, const char *text)
{
    (void)opaque;
    complain(text);
}

/* Taking the machine apart is not part of the run. */
static void on_trace_slot(void *opaque, const char *line)
{
    struct run *run = opaque;

    record_slot(run->record, line);
    if (run->options.trace_slots && !run->over)
        fprintf(run->trace.file, "%s\n", line);
}

static void on_trace_pci(void *opaque, const char *line)
{
    struct run *run = opaque;

    record_pci(run->record, line);
    if (run->options.trace_pci && !run->over)
        fprintf(run->trace.file, "%s\n", line);
}

static void on_mapped(void *opaque, const char *cause)
{
    struct run *run = opaque;

    record_mapped(run->record, cause);
}

static void on_served(void *opaque)
{
    struct run *run = opaque;

    record_served(run->record);
}

static void on_serial(void *opaque, char c)
{
    struct run *run = opaque;

    putc(c, run->serial.file);
}

static void on_console(void *opaque, char c)
{
    struct run *run = opaque;
    const char *until = run->options.until;
    size_t len;

    terminal_log(&run->terminal, c);
    if (!until)
        return;
    len = strlen(until);
    if (run->matched == len)
        memmove(run->seen, run->seen + 1, --run->matched);
    run->seen[run->matched++] = c;
    if (run->matched < len || memcmp(run->seen, until, len) != 0)
        return;
    end_run(run, OUTCOME_SEEN);
}

/* False: a trace that goes to standard error could not be written there, so nobody can be told but by the status. */
static bool traced(const struct run *run)
{
    return run->trace.path || !(run->options.trace_slots || run->options.trace_pci) || !ferror(stderr);
}

/* No hook adds to it any more. False: not all of it was written. */
static bool end_recording(struct run *run)
{
    bool whole = record_end(run->record);

    run->record = NULL;
    if (!whole)
        complain("the recording is not whole: out of memory");
    return output_close(&run->recording) && whole;
}

static int open_outputs(struct run *run, struct pc_error *error)
{
    const struct options *options = &run->options;
    int err = output_open(&run->trace, options->trace_file, "trace file", error);

    if (!err)
        err = output_open(&run->map, options->map_out, "map file", error);
    if (!err)
        err = output_open(&run->serial, options->serial, "serial port's file", error);
    if (!err)
        err = output_open(&run->recording, options->record, "recording", error);
    if (!err && options->screenshot)
        err = png_file_check(options->screenshot, error);
    if (err)
        return err;
    /* Emptied only now that all of them can be written. */
    err = output_empty(&run->trace, error);
    if (!err)
        err = output_empty(&run->map, error);
    if (!err)
        err = output_empty(&run->serial, error);
    if (!err)
        err = output_empty(&run->recording, error);
    if (!run->trace.file)
        run->trace.file = stderr;
    if (!err && options->record) {
        run->record = record_create(run->recording.file);
        if (!run->record)
            err = pc_fail(error, -ENOMEM, "out of memory");
    }
    return err;
}

static int signal_fd; /* run's signals, for the handler */

static void on_signal(int number)
{
    const uint64_t one = 1;
    int reason = errno;

    /* The next is not waited for. */
    signal(number, SIG_DFL);
    if (write(signal_fd, &one, sizeof(one)) < 0)
        raise(number);
    errno = reason;
}

/* To be told of the outcome, of which signals are one. */
static int prepare(struct run *run, struct pc_error *error)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigset_t signals;

    if (run->options.until) {
        run->seen = malloc(strlen(run->options.until));
        if (!run->seen)
            return pc_fail(error, -ENOMEM, "out of memory");
    }
    /* Before there is another thread. A reader of our output that went away shows when it is written. */
    signal(SIGPIPE, SIG_IGN);
    run->wake = eventfd(0, EFD_CLOEXEC);
    run->signals = eventfd(0, EFD_CLOEXEC);
    if (run->wake < 0 || run->signals < 0)
        return pc_fail(error, -errno, "no descriptors left: %s", strerror(errno));
    signal_fd = run->signals;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    return 0;
}

static int64_t milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether somebody wants the program to end, while the main thread does something that takes long. */
static bool interrupted(const struct run *run)
{
    struct pollfd signals = {.fd = run->signals, .events = POLLIN};

    return atomic_load(&run->outcome) != OUTCOME_NONE || (run->deadline && milliseconds() >= run->deadline) ||
           poll(&signals, 1, 0) > 0;
}

static int on_progress(void *opaque, const char *id, uint64_t done, uint64_t total)
{
    struct run *run = opaque;

    progress_show(&run->progress, id, done, total, milliseconds());
    if (!interrupted(run))
        return 0;
    progress_end(&run->progress);
    return -1;
}

static int create_machine(struct run *run, struct pc_error *error)
{
    const struct options *options = &run->options;
    struct pc_config config = {
        .memory = options->memory,
        .dimm_slots = options->dimm_slots,
        .memory_max = options->memory_max,
        .cpus = options->cpus,
        .accel = options->accel,
        .policy = options->policy,
        .smm = options->smm,
        .vapic = options->vapic,
        .hooks = {.opaque = run,
                  .event = on_event,
                  .log = on_log,
                  .trace_slot = options->trace_slots || options->record ? on_trace_slot : NULL,
                  .trace_pci = options->trace_pci || options->record ? on_trace_pci : NULL,
                  .mapped = options->record ? on_mapped : NULL,
                  .served = options->record ? on_served : NULL,
                  .console = on_console,
                  .serial = options->serial ? on_serial : NULL},
    };
    void *firmware = NULL, *vga_rom = NULL;
    int err =
        firmware_load(options->firmware, PC_FIRMWARE_UNIT, PC_FIRMWARE_MAX, &firmware, &config.firmware_len, error);

    if (!err && options->vga)
        err = firmware_load(options->vga_rom, 1, VGA_OPTION_ROM_MAX, &vga_rom, &config.vga_rom_len, error);
    if (!err)
        err = open_outputs(run, error); /* may wait for who reads a pipe: a signal still ends the program then */
    if (!err)
        err = prepare(run, error);
    if (!err) {
        config.firmware = firmware;
        config.vga_rom = vga_rom;
        options_backing(options, &config.backing);
        config.backing.progress = on_progress;
        config.backing.opaque = run;
        err = machine_create(&config, &run->machine, error);
    }
    free(vga_rom);
    free(firmware);
    return err;
}

static void wait_for_outcome(struct run *run)
{
    struct pollfd fds[] = {
        {.fd = run->wake, .events = POLLIN}, {.fd = run->signals, .events = POLLIN}, {.fd = -1, .events = POLLIN}};

    while (atomic_load(&run->outcome) == OUTCOME_NONE) {
        int64_t left = run->deadline ? run->deadline - milliseconds() : -1;
        bool busy = run->monitor && monitor_busy(run->monitor);
        int ready;

        if (run->deadline && left <= 0) {
            set_outcome(run, OUTCOME_TIMEOUT);
            continue;
        }
        fds[2].fd = run->monitor && !busy ? monitor_fd(run->monitor) : -1;
        ready = poll(fds, 3, busy ? 0 : (int)left);
        if (ready > 0 && (fds[1].revents & POLLIN))
            set_outcome(run, OUTCOME_SIGNAL);
        else if ((busy || (ready > 0 && fds[2].revents)) && !monitor_serve(run->monitor))
            set_outcome(run, OUTCOME_QUIT);
    }
}

/* False: no memory for it. What can't be written is found when the files are closed. */
static bool print_results(struct run *run)
{
    terminal_finish(&run->terminal);
    putchar('\n');
    if (!results_print(run->machine, stdout, run->map.file))
        return true;
    complain("the memory map could not be printed whole: out of memory");
    return false;
}

static int conclude(const struct run *run)
{
    const char *until = run->options.until;

    switch ((enum outcome)atomic_load(&run->outcome)) {
    case OUTCOME_SEEN:
    case OUTCOME_QUIT:
        return EXIT_SUCCESS;
    case OUTCOME_FAILED:
        complain(run->reason);
        return EXIT_GUEST;
    case OUTCOME_TIMEOUT:
        fprintf(stderr, "gmem-pc: timeout after %u s%s%s\n", run->options.timeout, until ? " without: " : "",
                until ? until : "");
        return EXIT_GUEST;
    case OUTCOME_ENDED:
        complain(run->reason);
        return until ? EXIT_GUEST : EXIT_SUCCESS;
    default:
        complain("ended by a signal");
        return until ? EXIT_GUEST : EXIT_SUCCESS;
    }
}

static void drop_outputs(struct run *run)
{
    output_drop(&run->trace);
    output_drop(&run->map);
    output_drop(&run->serial);
    output_drop(&run->recording);
}

/* Which processors it got, where that was not said. */
static void tell_accel(const struct machine *machine)
{
    const char *why = machine_without_kvm(machine);

    if (why)
        fprintf(stderr, "gmem-pc: processors: interpreted, since %s\n", why);
    else
        complain("processors: KVM, since /dev/kvm can be used");
}

static int start(struct run *run, struct pc_error *error)
{
    int err = 0;

    if (run->options.accel == PC_ACCEL_AUTO)
        tell_accel(run->machine);
    if (run->options.timeout)
        run->deadline = milliseconds() + (int64_t)run->options.timeout * 1000;
    if (run->options.monitor)
        err = monitor_create(run->machine, &run->terminal, STDIN_FILENO, isatty(STDIN_FILENO), &run->monitor);
    if (err)
        return pc_fail(error, err, "out of memory");
    if (run->record)
        err = record_begin(run->record, run->machine, &run->options, error);
    return err ? err : machine_start(run->machine, error);
}

static int boot(struct run *run)
{
    struct pc_error error;
    int err = create_machine(run, &error), status;
    bool printed, recorded;

    if (!err)
        err = start(run, &error);
    if (err) {
        monitor_destroy(run->monitor);
        record_end(run->record);
        run->record = NULL;
        machine_destroy(run->machine);
        drop_outputs(run);
        if (err == -ECANCELED) {
            set_outcome(run, OUTCOME_SIGNAL);
            return conclude(run);
        }
        complain(error.text);
        return EXIT_USAGE;
    }
    wait_for_outcome(run);
    if (run->options.screenshot && atomic_load(&run->outcome) == OUTCOME_SEEN)
        screenshot_settle(run->machine, run->signals);
    machine_stop(run->machine);
    run->over = true;
    printed = print_results(run);
    if (run->options.screenshot)
        err = screenshot_save(machine_screen(run->machine), run->options.screenshot, &error);
    monitor_destroy(run->monitor);
    recorded = end_recording(run);
    machine_destroy(run->machine);
    status = conclude(run);
    if (err)
        complain(error.text);
    if (!printed || !recorded || err)
        status = EXIT_GUEST;
    if (!traced(run))
        status = EXIT_GUEST;
    if (!output_close(&run->trace) || !output_close(&run->map) || !output_close(&run->serial))
        status = EXIT_GUEST;
    return flushed() ? status : EXIT_GUEST;
}

/*
 * The next file to be opened would get the number of a standard descriptor that is closed, and what is printed would go into
 * it. What takes its place here can't be written, as a closed descriptor can't.
 */
static bool hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct run run = {.wake = -1, .signals = -1};
    struct pc_error error;
    int status;

    if (!hold_standard_descriptors()) {
        complain("a standard descriptor is closed, and /dev/null can't be opened in its place");
        return EXIT_USAGE;
    }
    if (options_parse(argc, argv, &run.options, &error)) {
        complain(error.text);
        return EXIT_USAGE;
    }
    if (run.options.help) {
        options_help(stdout);
        return flushed() ? EXIT_SUCCESS : EXIT_USAGE;
    }
    if (run.options.version) {
        printf("gmem-pc %s\n", gmem_version());
        return flushed() ? EXIT_SUCCESS : EXIT_USAGE;
    }
    /* A file that may not grow is an error (EFBIG), before there is another thread. */
    signal(SIGXFSZ, SIG_IGN);
    terminal_init(&run.terminal, stdout, run.options.monitor);
    run.progress.file = isatty(STDERR_FILENO) ? stderr : NULL;
    status = boot(&run);
    if (run.wake >= 0)
        close(run.wake);
    if (run.signals >= 0)
        close(run.signals);
    free(run.seen);
    return status;
}
