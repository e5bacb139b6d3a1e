/* SPDX-License-Identifier: MIT */
/* pc/cpu_interp_smm.c - stub; replaced when the mode is there. */
#include "cpu_interp_smm.h"

void cpu_interp_smm_reset(struct cpu_interp_smm *smm)
{
    smm->active = false;
    smm->smbase = 0x30000;
}

void cpu_interp_smm_enter(x86emu_t *emu, struct cpu_interp_smm *smm)
{
    (void)emu;
    smm->active = true;
}

bool cpu_interp_smm_leave(x86emu_t *emu, struct cpu_interp_smm *smm)
{
    (void)emu, (void)smm;
    return false;
}
