/*
 * What svm_enter left in the registers that it has to keep, looked at after
 * every exit when the machine runs with verify=registers. The first difference
 * is a panic in words: from there on the host could not be trusted.
 */
#include "kernel/panic.h"
#include "vmm/cpubits.h"
#include "vmm/svm/svm.h"

enum { REGISTERS = 7, FLAGS = 7 };

/* svm_verified.S: what was loaded (RSP: what it was), and what was found; then RFLAGS. */
u64 svm_canary[REGISTERS] = {0xb0b0c0de00000bb1, 0xb0b0c0de00000bb2, 0xb0b0c0de00000bb3,
                             0xb0b0c0de00000bb4, 0xb0b0c0de00000bb5, 0xb0b0c0de00000bb6};
u64 svm_found[REGISTERS + 1];

static const char *const names[REGISTERS] = {"RBX", "RBP", "R12", "R13", "R14", "R15", "RSP"};

void svm_verify(void)
{
    for (u32 i = 0; i < REGISTERS; i++)
        if (svm_found[i] != svm_canary[i])
            panic("svm_enter does not keep the host's %s: it was %#lx and came back as %#lx",
                  names[i], svm_canary[i], svm_found[i]);
    if (svm_found[FLAGS] & (RFLAGS_IF | RFLAGS_DF))
        panic("svm_enter comes back with %s: RFLAGS is %#lx",
              svm_found[FLAGS] & RFLAGS_IF ? "interrupts on" : "the direction flag set",
              svm_found[FLAGS]);
}
