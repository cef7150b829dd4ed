/*
 * Instructions under observation: run one, as kernel or user, and see what comes of it.
 * Inside, the seam between probe.c and its assembly: a stub for each kind of instruction,
 * all in one page that users may execute, each ended by UD2.
 */
#ifndef GUESTS_PAGER_PROBE_H
#define GUESTS_PAGER_PROBE_H

#define PROBE_STUB 16 /* bytes from one to the next */

#ifndef __ASSEMBLER__
#include "guests/lib/guest.h"

/* A page fault's error code. */
enum { ERROR_P = 1, ERROR_W = 2, ERROR_U = 4, ERROR_RSVD = 8, ERROR_I = 16 };

enum probe_kind {
    R1,
    R2,
    R4,
    R8,
    R16,
    W1,
    W2,
    W4,
    W8,
    W16,
    XCHG1,
    XCHG4,
    CMPXCHG8,
    XADD4,
    OR1,
    AND4,
    ZERO,
    STOS,
    MOVS,
    EXEC,
    PROBE_KINDS
};

struct probe {
    unsigned long ax, bx, cx, dx, si, di;
    u8 xmm[16];
    /* the outcome */
    bool faulted;
    u32 error;
    u64 cr2;
};

/* The program's own: something is not as it should be; say what, and end. */
__attribute__((noreturn)) void diverge(const char *what, u64 gva, u64 value, u64 expected);

void probe_init(void);
/* Run one instruction with these registers, as a user if asked. */
void probe_run(struct probe *p, enum probe_kind kind, bool user);
/* Where the page of instructions and the end of the users' stack are, for who maps them elsewhere;
 * and who looks at a #PF before it is the outcome: true, it is not. */
extern unsigned long probe_base, probe_user_stack;
extern bool (*probe_first)(const struct trap_frame *);
/* A page that users may read and write, for what strings are copied from. */
extern u8 user_page[PAGE_SIZE];

/* --- Inside -------------------------------------------------------------------------------- */

extern const char probe_stubs[];
/* Load p's registers and jump to code; returns by probe_back(). */
void probe_enter(struct probe *p, unsigned long code, int user);
/* From a handler: return from the probe_enter under way, after saving XMM0. */
__attribute__((noreturn)) void probe_back(void);
#endif

#endif
