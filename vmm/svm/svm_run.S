/*
 * The world switch. The processor swaps RIP, RSP, RAX, RFLAGS, the control
 * registers and segments; this swaps the other general registers. Interrupts
 * that arrive in the guest exit (host IF is 1 at VMRUN) and stay pending: GIF
 * is 0 until STGI, and IF is 0 again by then. STI does not stand right before
 * VMRUN: QEMU 7.2 would let its shadow last for the guest's first instruction.
 * Source: AMD64 Manual vol. 2, 15.5.1, 15.17, 15.21.
 *
 * void svm_enter(u64 *gpr, hpa_t vmcb)
 */
#include "vmm/world_switch.inc"

        .section .text
        .code64
        .global svm_enter
svm_enter:
        /* LAB 1 BEGIN: The host's registers away, the guest's in, VMRUN, and back. */
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushq   %rdi
        movq    %rsi, %rax
        movq    RCX(%rdi), %rcx
        movq    RDX(%rdi), %rdx
        movq    RBX(%rdi), %rbx
        movq    RBP(%rdi), %rbp
        movq    RSI(%rdi), %rsi
        movq    R8(%rdi), %r8
        movq    R9(%rdi), %r9
        movq    R10(%rdi), %r10
        movq    R11(%rdi), %r11
        movq    R12(%rdi), %r12
        movq    R13(%rdi), %r13
        movq    R14(%rdi), %r14
        movq    R15(%rdi), %r15
        clgi
        sti
        movq    RDI(%rdi), %rdi
        vmrun   %rax
        cli
        stgi
        xchgq   (%rsp), %rdi
        movq    %rcx, RCX(%rdi)
        movq    %rdx, RDX(%rdi)
        movq    %rbx, RBX(%rdi)
        movq    %rbp, RBP(%rdi)
        movq    %rsi, RSI(%rdi)
        movq    %r8, R8(%rdi)
        movq    %r9, R9(%rdi)
        movq    %r10, R10(%rdi)
        movq    %r11, R11(%rdi)
        movq    %r12, R12(%rdi)
        movq    %r13, R13(%rdi)
        movq    %r14, R14(%rdi)
        movq    %r15, R15(%rdi)
        popq    RDI(%rdi)
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret
        /* LAB 1 END: jmp svm_enter_missing */
        .section .note.GNU-stack, "", @progbits
