/*
 * The world switch. The processor swaps RIP, RSP, RFLAGS, the control registers
 * and segments; this swaps the other general registers. An exit comes out at
 * vmx_exit_point (HOST_RIP) with interrupts off; a refused entry goes on behind
 * VMLAUNCH or VMRESUME, with the guest's registers loaded but never used.
 * Source: Intel SDM vol. 3C, 26 and 27.5.
 *
 * u64 vmx_enter(u64 *gpr, u64 launched)
 */
        .set    HOST_RSP, 0x6c14
        .set    RCX, 8
        .set    RDX, 16
        .set    RBX, 24
        .set    RBP, 40
        .set    RSI, 48
        .set    RDI, 56
        .set    R8, 64
        .set    R9, 72
        .set    R10, 80
        .set    R11, 88
        .set    R12, 96
        .set    R13, 104
        .set    R14, 112
        .set    R15, 120

        .section .text
        .code64
        .global vmx_enter, vmx_exit_point
vmx_enter:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushq   %rdi
        movl    $HOST_RSP, %eax
        vmwrite %rsp, %rax
        testq   %rsi, %rsi                      /* kept in ZF: MOV changes no flags */
        movq    (%rdi), %rax
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
        movq    RDI(%rdi), %rdi
        jnz     1f
        vmlaunch
        jmp     2f
1:      vmresume
2:      movl    $1, %eax
        addq    $8, %rsp
        jmp     3f
vmx_exit_point:
        xchgq   (%rsp), %rdi
        movq    %rax, (%rdi)
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
        xorl    %eax, %eax
3:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret
        .section .note.GNU-stack, "", @progbits
