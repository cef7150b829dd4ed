/*
 * Traps and interrupts of the host: exceptions end in a panic with a dump,
 * device interrupts go to the one handler registered for their vector.
 */
#ifndef KERNEL_TRAP_H
#define KERNEL_TRAP_H

#include "kernel/types.h"

struct trapframe {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vector, error;
    u64 rip, cs, rflags, rsp, ss;
};

/* Vectors of the host's devices. */
enum { VECTOR_TIMER = 0x40, VECTOR_PIC = 0x50, VECTOR_SPURIOUS = 0xff };

/* Where a #GP continues instead of ending in a panic; 0: nowhere. */
extern u64 trap_recover;

void trap_init(void);
void trap_set_handler(u8 vector, void (*handler)(void));

/* The dump of a panic: registers, then the return addresses on the stack. */
void trap_dump(const struct trapframe *);

#endif
