/*
 * The test port: how a guest talks to the harness (handouts/formats.md
 * section 5). It counts the self-checks itself; what needs the rest of the
 * VMM (a walk, the end of the VM, another VM's turn) are callbacks.
 */
#ifndef VMM_DEV_TESTPORT_H
#define VMM_DEV_TESTPORT_H

#include "kernel/types.h"
#include "vmm/dev/bus.h"

#define TESTPORT_BASE 0x5e0
#define TESTPORT_LAST 0x61f
#define TESTPORT_ID   0x5453454eu /* NEST */

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

struct testport_ops {
    u64 (*walk)(void *opaque, u64 gva, u64 access); /* the gPA, or all ones */
    void (*exit)(void *opaque, u64 code);
    void (*yield)(void *opaque); /* before the VM goes on, let others run */
    u64 (*harvest)(void *opaque, u64 gpa); /* bit i: page i used; bit 32 + i: written to */
};

struct testport {
    u16 vm;
    u32 generation;
    u64 nonce, seed; /* the run's */
    u64 arg[4], result;
    u64 passed, failed; /* self-checks */
    u64 accesses;       /* of any kind: they feed the watchdog */
    const struct testport_ops *ops;
    void *opaque;
};

void testport_init(struct testport *, u16 vm, u32 generation, u64 nonce, u64 seed,
                   const struct testport_ops *, void *opaque);
void testport_attach(struct testport *, struct bus *);
/* Every checkpoint of every guest calls this: the place for a breakpoint. */
void testport_checkpoint(u16 vm, const char *name, u64 value);

#endif
