/*
 * stepper's two halves: stepper_code.c writes instructions and says what each
 * register must hold after them; stepper.c chooses, runs and compares.
 */
#ifndef GUESTS_STEPPER_H
#define GUESTS_STEPPER_H

#include "guests/lib/guest.h"

#define STEPPER_MOST 400 /* steps */

/* General registers by their encoding; RSP and R9 are the stepper's own. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R15 = 15, REGISTERS };

enum step_kind { STEP_CPUID, STEP_VMMCALL, STEP_HLT, STEP_IN, STEP_OUT, STEP_KINDS };

struct step {
    enum step_kind kind;
    u32 at;    /* of its exiting instruction, in the code */
    u8 length; /* of that instruction, prefixes included */
    u8 size;   /* of an IN or OUT, bytes */
    u16 port;
    u64 before[4]; /* RAX, RCX, RDX, RBX */
    u64 after[4];
};

/* What the code stored after a step: registers by their encoding. */
struct seen {
    u64 gpr[REGISTERS];
};

extern struct step stepper_steps[STEPPER_MOST];
extern struct seen stepper_seen[STEPPER_MOST];
extern u64 stepper_standing[REGISTERS]; /* RBP to R15: the same all the way */

/* Write the code of so many steps; kinds: bit n for enum step_kind n. */
void stepper_write(struct rng *r, u32 steps, u32 kinds);
/* Run it: it fills stepper_seen. */
void stepper_run(void);

#endif
