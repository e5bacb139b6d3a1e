/* SPDX-License-Identifier: MIT */
/*
 * Trace lines of memory slots and of what caused them, as QEMU's -trace and gmem-pc --trace write them:
 *
 *   kvm_set_user_memory Slot#2 flags=0x0 gpa=0xc0000 size=0x0 ua=0x7ff567a00000 ret=0
 *   pci_cfg_write i440FX 00:00.0 @0x58 <- 0x33333000
 *
 *   kvm_set_user_memory AddrSpace#0 Slot#2 flags=0x0 gpa=0xc0000 size=0x0 ua=0x7ff567a00000 guest_memfd=-1 ret=0
 *
 * A line may begin with a time or a process and a time, as QEMU's log backend writes them ("1234@1669.1:..."). Other events are
 * skipped and counted. Members of a slot call that are not known are passed over, as versions of QEMU have added some.
 */
#ifndef SLOTTRACE_H
#define SLOTTRACE_H

#include <stdint.h>

#include "source.h"

enum trace_event_kind {
    TRACE_SLOT,   /* kvm_set_user_memory */
    TRACE_CONFIG, /* pci_cfg_write */
};

struct trace_event {
    size_t line;
    enum trace_event_kind kind;
    bool has_time;
    uint64_t time_ns; /* as the line says it ("PID@SECONDS.MICROSECONDS:"), if has_time */
    /* TRACE_SLOT */
    bool begins;    /* another commit than that of the call before; see slottrace_commit_end() */
    uint16_t as_id; /* upper half of the slot number, or AddrSpace# */
    uint16_t slot;
    uint32_t flags; /* KVM_MEM_* */
    uint64_t gpa;
    uint64_t size; /* bytes; 0 removes */
    uint64_t ua;
    int64_t result; /* ret= */
    /* TRACE_CONFIG */
    char *device;    /* "i440FX 00:00.0" as printed; control characters are '?' */
    uint32_t offset; /* in its configuration space */
    uint64_t value;
};

struct slot_trace {
    char *source;
    struct trace_event *events;
    size_t n_events;
    size_t skipped; /* lines of other events */
};

/* False: a line of either event that makes no sense, or none of them at all. */
bool slottrace_parse(const struct source *source, struct slot_trace *trace, struct problem *problem);
/*
 * The events from first on, which is a slot call, that are of one commit: the index behind them. A trace does not say where
 * commits begin. In one, address spaces rise; in each removals come before what is added or changed, and both rise by address;
 * and nothing is added that was just removed. So where that is not so another one begins, and with a configuration write.
 */
size_t slottrace_commit_end(const struct slot_trace *trace, size_t first);

/*
 * Of each removal the index of the call that made the slot (what follows it may have moved it); SIZE_MAX for what is none, and
 * where the trace has no such call. By index of the event; the caller's to free.
 */
size_t *slottrace_makers(const struct slot_trace *trace);

/* "pci_cfg_write DEVICE @0xOFFSET <- 0xVALUE": the caller's to free. */
char *slottrace_config_text(const struct trace_event *event);
void slottrace_free(struct slot_trace *trace);

#endif
