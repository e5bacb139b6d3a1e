/* SPDX-License-Identifier: MIT */
/*
 * trace.h - events (gmem/trace.h) made by the library, and the USDT probes beside them.
 *
 * An event is made only if somebody asked for its kind, which one load of the vm says. Probes are made by the macros below
 * at the same places; where the library is built without them, their arguments are still checked by the compiler.
 */
#ifndef GMEM_SRC_TRACE_H
#define GMEM_SRC_TRACE_H

#include "vm.h"
#include <gmem/trace.h>

#ifdef GMEM_USDT
#include <sys/sdt.h>
#define GMEM__PROBE2(name, a, b) DTRACE_PROBE2(gmem, name, a, b)
#define GMEM__PROBE3(name, a, b, c) DTRACE_PROBE3(gmem, name, a, b, c)
#define GMEM__PROBE4(name, a, b, c, d) DTRACE_PROBE4(gmem, name, a, b, c, d)
#define GMEM__PROBE5(name, a, b, c, d, e) DTRACE_PROBE5(gmem, name, a, b, c, d, e)
#else
#define GMEM__PROBE2(name, a, b) ((void)sizeof(a), (void)sizeof(b))
#define GMEM__PROBE3(name, a, b, c) ((void)sizeof(a), (void)sizeof(b), (void)sizeof(c))
#define GMEM__PROBE4(name, a, b, c, d) (GMEM__PROBE2(name, a, b), GMEM__PROBE2(name, c, d))
#define GMEM__PROBE5(name, a, b, c, d, e) (GMEM__PROBE2(name, a, b), GMEM__PROBE3(name, c, d, e))
#endif

/* Kinds that are made where a device is called: asking for them takes accesses off their shortest way. */
#define GMEM__TRACE_MMIO (GMEM_TRACE_BIT(GMEM_TRACE_MMIO_READ) | GMEM_TRACE_BIT(GMEM_TRACE_MMIO_WRITE))

static inline bool gmem__traced(const gmem_vm *vm, enum gmem_trace_kind kind)
{
    return __builtin_expect(__atomic_load_n(&vm->trace_mask, __ATOMIC_RELAXED) & GMEM_TRACE_BIT(kind), 0);
}

/* gmem_trace_emit(), with the writer turn: edits from the callback are refused. */
void gmem__trace_with_turn(gmem_vm *vm, const struct gmem_trace_event *event);

/* Free who receives events. gmem_vm_destroy() only. */
void gmem__trace_end(gmem_vm *vm);

#endif
