/*
 * What the parts of hostile share: the state, the addresses that its page
 * tables map for mischief, and how an action is run and survived.
 */
#ifndef GUESTS_HOSTILE_HOSTILE_H
#define GUESTS_HOSTILE_HOSTILE_H

#include "guests/lib/guest.h"
#include "guests/lib/table.h"

/* --- State (main.c) ---------------------------------------------------------- */

struct hostile {
    struct rng rng;
    u64 memory_end;
    bool may_die;     /* actions that cannot be survived are allowed */
    bool ports_dirty; /* PIC or PIT may be in any state */
    u64 faults;       /* exceptions survived */
    u64 hangs;        /* actions that the timer broke off */
};
extern struct hostile hostile;

static inline u64 random_u64(void)
{
    return rng_next(&hostile.rng);
}
static inline u32 random_below(u32 n)
{
    return rng_below(&hostile.rng, n);
}
static inline bool one_in(u32 n)
{
    return random_below(n) == 0;
}
/* Should this action do what ends the VM? Never with deaths=0, seldom otherwise. */
static inline bool dare(void)
{
    return hostile.may_die && one_in(50);
}
/* A number of any magnitude: as many random bits as another random number says. */
u64 random_any(void);

/* Ports that no device has: a write to this one plus its class announces an action. */
#define HOSTILE_MARK 0x5a0
#define CLASS_USE    12 /* of class tables: each single access through the wrong tables */

/* --- Addresses (recover.c) ----------------------------------------------------- */

#define SCRATCH_PAGES 4
#define SCRATCH_VA    0x1000000000ull /* then a page that is not mapped */
#define SCRATCH_END   (SCRATCH_VA + SCRATCH_PAGES * PAGE_SIZE)

/* Two neighbouring pages: the first is memory, the second is ... */
enum edge { EDGE_UNMAPPED, EDGE_MEMORY, EDGE_OUTSIDE, EDGE_READONLY, EDGE_KINDS };
#define EDGE_VA(kind) (0x1100000000ull + (u64)(kind)*4 * PAGE_SIZE)

/* Windows of 2 MiB onto gPAs where no memory is. */
#define OUTSIDE_WINDOWS  10
#define OUTSIDE_VA(n)    (0x1200000000ull + (u64)(n)*2 * MIB)
#define OUTSIDE_SIZE     (2 * MIB)
#define OUTSIDE_TABLES   0xe0000000ull /* gPA: descriptor and page tables are said to lie here */
#define OUTSIDE_CODE     0xd0000000ull /* gPA: code is fetched from here */
#define OUTSIDE_CODE_VA  OUTSIDE_VA(0)
#define OUTSIDE_TABLE_VA OUTSIDE_VA(1)

/* Addresses whose page table of level n (1 to 3) lies outside memory. */
#define WALK_VA(n) (0x2000000000ull + (u64)(n)*512 * GIB)

/* --- Running an action (recover.c, enter.S) ------------------------------------ */

/* What an action may leave behind, to be put right after it. */
enum { DISTURBS_NOTHING = 0, DISTURBS_CONTROL = 1, DISTURBS_DEBUG = 2 };

void recover_init(void);
/* Run action; true if it came back by itself, false if an exception or the timer ended it. */
bool hostile_try(void (*action)(void));
/* Tables, segments and what disturbs names back to what they were, under recovery too. */
void recover_restore(u32 disturbs);
/* Let the timer break off what takes longer than half a millisecond. Interrupts stay off. */
void recover_arm(void);

/* Leave the action that is under way (from a handler); enter.S. */
__attribute__((noreturn)) void hostile_abandon(void);

/* Registers for hostile_run, in the order of their encoding. */
extern u64 hostile_regs[16];
/* Random registers, some of which point somewhere. */
void random_registers(void);
/* Load hostile_regs and the flags (RFLAGS_IF, so that the timer can end it, and
 * what else is wanted), jump to code. Does not return: the code faults or is
 * broken off. */
__attribute__((noreturn)) void hostile_run(u64 code, u64 flags);

/* --- Actions, a file each --------------------------------------------------------- */

void action_port(void);
void action_string(void);
void action_msr(void);
void action_cpuid(void);
void action_control(void);
void action_debug(void);
void action_descriptor(void);
void action_outside(void);
void action_testport(void);
void action_code(void);
void action_privileged(void);
void tables_init(void);
void action_tables(void);
/* Die on purpose, in one of several ways. */
__attribute__((noreturn)) void action_die(void);

/* The root of the real page tables. */
u64 hostile_root(void);
/* The scratch pages at the address that is also their gPA. */
u8 *scratch(void);

#endif
