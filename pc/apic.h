/* SPDX-License-Identifier: MIT */
/* pc/apic.h - the messages by which IOAPIC, local APICs and devices (MSI) tell local APICs of interrupts. */
#ifndef PC_APIC_H
#define PC_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* Delivery modes, as in the ICR, LVT, redirection table and MSI data (SDM volume 3, "APIC"; 82093AA datasheet, 3.2.4). */
enum apic_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_SIPI = 6,
    APIC_EXTINT = 7,
};

struct apic_message {
    uint8_t mode; /* enum apic_mode; 3 is reserved */
    uint8_t vector;
    uint8_t dest;
    bool logical; /* dest is of logical destinations */
    bool level;   /* of fixed and lowest: level triggered, so its EOI is told to the IOAPIC */
};

#define APIC_BROADCAST 0xffu

/* Where a message goes that a local APIC sends. */
enum apic_shorthand { APIC_DEST = 0, APIC_SELF = 1, APIC_ALL = 2, APIC_OTHERS = 3 };

/* The vectors below are the processor's own, and no APIC takes them. */
#define APIC_VECTOR_FIRST 16u

#endif
