/*
 * Exceptions and interrupts of a guest: one IDT with a stub a vector, and a
 * C handler that a guest may set for each. What has no handler is reported on
 * the serial port and ends the guest with code 128 + vector.
 */
#ifndef GUESTS_LIB_TRAP_H
#define GUESTS_LIB_TRAP_H

#include "guests/lib/types.h"

#define TRAP_EXIT_CODE 128
#define TRAP_IRQ_BASE  0x20 /* vectors 0x20 to 0x2f are the PIC's lines */

enum trap_vector {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
};

/* As trap64.S and trap32.S push it. In 32-bit code sp and ss are absent: no ring changes. */
struct trap_frame {
#ifdef __x86_64__
    u64 r15, r14, r13, r12, r11, r10, r9, r8;
#endif
    unsigned long di, si, bp, bx, dx, cx, ax;
    unsigned long vector, error;
    unsigned long ip, cs, flags;
#ifdef __x86_64__
    unsigned long sp, ss;
#endif
};

typedef void (*trap_handler)(struct trap_frame *);

/* Build the IDT and load it. */
void trap_init(void);
/* Load IDTR again, after a guest has put something else there. */
void trap_load(void);
void trap_set(u8 vector, trap_handler handler);
/* Let vectors first to last run on stack ist of the TSS (64-bit code only). */
void trap_use_stack(u8 first, u8 last, u8 ist);

#endif
