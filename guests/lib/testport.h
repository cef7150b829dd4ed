/*
 * The test port: how a guest talks to the harness (handouts/formats.md,
 * section 5). On a machine without one, as the bare emulated PC, the same
 * calls print on the serial port, and the end is by isa-debug-exit if there.
 */
#ifndef GUESTS_LIB_TESTPORT_H
#define GUESTS_LIB_TESTPORT_H

#include "guests/lib/types.h"

#define TESTPORT_BASE 0x5e0
#define TESTPORT_ID   0x5453454e /* NEST */

enum testport_command {
    TESTPORT_NONCE = 1,
    TESTPORT_SEED = 2,
    TESTPORT_CHECK = 3,
    TESTPORT_CHECKPOINT = 4,
    TESTPORT_EXIT = 5,
    TESTPORT_WALK = 6,
    TESTPORT_YIELD = 7,
    TESTPORT_VM = 8,
    TESTPORT_GENERATION = 9,
    TESTPORT_HARVEST = 10,
};

/* Access bits of WALK. */
enum { WALK_READ = 0, WALK_WRITE = 1, WALK_USER = 2, WALK_EXECUTE = 4 };
#define WALK_FAILED (~0ull)

/* Look for the port and ask for nonce and seed. */
void testport_init(void);
bool testport_present(void);

u64 testport_call(u32 command, u64 a0, u64 a1);

/* A self-check, sealed. name: at most eight characters. Returns whether it passed. */
bool check(const char *name, u64 value, u64 expected);
/* A deterministic stop that carries a number. */
void checkpoint(const char *name, u64 value);
/* How many checks failed since the start. */
u32 checks_failed(void);

/* This VM's seed; a fixed one on a bare machine. */
u64 guest_seed(void);
u32 guest_generation(void);
void guest_yield(void);
/* gPA of a gVA as the VMM's walker finds it, or WALK_FAILED. */
u64 guest_walk(u64 gva, u32 access);
/* Which of the 32 pages from this gPA on have been used since this was last asked:
 * bit i, page i; bit 32 + i: it was written to. */
u64 guest_harvest(u64 gpa);
/* End this VM; 0 is success. A code of 0 becomes 1 when a check failed. */
__attribute__((noreturn)) void guest_exit(u32 code);

u64 mix(u64 a, u64 b, u64 c);

#endif
