/*
 * Executing one instruction on the host's own processor, in 64-bit mode.
 */
#ifndef VMM_TESTS_NATIVE_H
#define VMM_TESTS_NATIVE_H

#include "kernel/types.h"

struct native_state {
    u64 gpr[16];
    u64 rflags;
    u64 host_rsp;
};

/* n bytes of memory below 2 GiB; NULL if the host has none. */
void *native_alloc(size_t n);
/* NULL, or why it cannot be done on this host. */
const char *native_init(void);
/* Where the instruction will lie. */
u64 native_code_address(void);
/* Load all registers and flags from s, execute code, store them back. */
void native_run(const u8 *code, u32 n, struct native_state *s);

#endif
