/* SPDX-License-Identifier: MIT */
/* pc/cpu_interp.c - stub; replaced when the interpreter is there. */
#include "cpu.h"

#include <errno.h>

int cpu_interp_create(const struct pc_cpus_config *config, const struct cpu_interp_config *interp, struct pc_cpus **ret,
                      struct pc_error *error)
{
    (void)config, (void)interp, (void)ret;
    return pc_fail(error, -ENOTSUP, "no interpreter yet");
}

void cpu_interp_changed(struct pc_cpus *cpus, unsigned cpu)
{
    (void)cpus, (void)cpu;
}
