/*
 * The three parts of the canary guest: canary.c chooses and counts,
 * canary_state.c loads and compares what C can reach, canary_switch.S the rest.
 */
#ifndef GUESTS_CANARY_H
#define GUESTS_CANARY_H

#include "guests/lib/guest.h"

/* In the order of their encoding: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15. */
enum { GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_COUNT = 16 };

/* canary_switch.S knows these offsets. */
struct canary_regs {
    u64 gpr[GPR_COUNT];
    u64 flags;
};
_Static_assert(offsetof(struct canary_regs, flags) == 128, "canary_switch.S");

struct canary_fx {
    u8 area[512];
} __attribute__((aligned(16)));

extern struct canary_regs canary_want, canary_seen;
extern struct canary_fx canary_fx_want, canary_fx_seen;
extern u64 canary_spins;

/* Load canary_want, do the action, store canary_seen; all but RAX.. survive. */
void canary_switch(const void *action);

/* Actions: labels in canary_switch.S, not functions to call. */
extern const char canary_out[], canary_cpuid[], canary_yield[], canary_spin[], canary_halt[];

/* FPU and SSE: on, a new image, and how many registers differ after a switch. */
void canary_fpu_on(void);
void canary_fx_choose(struct rng *);
u32 canary_fx_compare(void);

/* CR2, CR8, debug registers and MSRs: load new values; count those that differ. */
struct canary_system {
    u32 cr2, dr, other;
};
void canary_system_load(struct rng *);
void canary_system_compare(struct canary_system *);

/* The first difference of each name is printed; later ones are only counted. */
#define NO_INDEX (~0u)
u32 canary_differs(const char *what, u32 index, u64 seen, u64 want);

#endif
