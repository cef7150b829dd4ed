/*
 * The world switch. The processor swaps RIP, RSP, RAX, RFLAGS, the control
 * registers and segments; this swaps the other general registers. Interrupts
 * that arrive in the guest exit (host IF is 1 at VMRUN) and stay pending: GIF
 * is 0 until STGI, and IF is 0 again by then.
 * Source: AMD64 Manual vol. 2, 15.5.1, 15.17, 15.21.
 *
 * void svm_enter(u64 *gpr, hpa_t vmcb)
 */
        .set    RCX, 8
        .set    RDX, 16
        .set    RBX, 24
        .set    RBP, 40
        .set    RSI, 48
        .set    RDI, 56

        .section .text
        .code64
        .global svm_enter
svm_enter:
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
        movq    64(%rdi), %r8
        movq    72(%rdi), %r9
        movq    80(%rdi), %r10
        movq    88(%rdi), %r11
        movq    96(%rdi), %r12
        movq    104(%rdi), %r13
        movq    112(%rdi), %r14
        movq    120(%rdi), %r15
        movq    RDI(%rdi), %rdi
        clgi
        sti
        vmrun   %rax
        cli
        stgi
        xchgq   (%rsp), %rdi
        movq    %rcx, RCX(%rdi)
        movq    %rdx, RDX(%rdi)
        movq    %rbx, RBX(%rdi)
        movq    %rbp, RBP(%rdi)
        movq    %rsi, RSI(%rdi)
        movq    %r8, 64(%rdi)
        movq    %r9, 72(%rdi)
        movq    %r10, 80(%rdi)
        movq    %r11, 88(%rdi)
        movq    %r12, 96(%rdi)
        movq    %r13, 104(%rdi)
        movq    %r14, 112(%rdi)
        movq    %r15, 120(%rdi)
        popq    RDI(%rdi)
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret
        .section .note.GNU-stack, "", @progbits
