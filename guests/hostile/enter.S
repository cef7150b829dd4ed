/*
 * Into an action and out of it, whatever it did to the stack and the registers.
 * hostile_try() remembers its stack; hostile_abandon() comes back to it from
 * any handler. RIP-relative operands only: no register can be trusted.
 */
#define RFLAGS_FIXED 0x002

        .text
        .globl  hostile_try
hostile_try:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        push    try_rsp(%rip)           /* tries nest */
        mov     %rsp, try_rsp(%rip)
        call    *%rdi
        mov     $1, %eax
        jmp     1f
        .globl  hostile_abandon
hostile_abandon:
        mov     try_rsp(%rip), %rsp
        xor     %eax, %eax
1:      push    $RFLAGS_FIXED           /* IF, DF, TF, AC, NT off */
        popfq
        pop     try_rsp(%rip)
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret

        .globl  hostile_run
hostile_run:
        mov     %rdi, target(%rip)
        push    %rsi
        popfq
        mov     hostile_regs + 0x00(%rip), %rax
        mov     hostile_regs + 0x08(%rip), %rcx
        mov     hostile_regs + 0x10(%rip), %rdx
        mov     hostile_regs + 0x18(%rip), %rbx
        mov     hostile_regs + 0x20(%rip), %rsp
        mov     hostile_regs + 0x28(%rip), %rbp
        mov     hostile_regs + 0x30(%rip), %rsi
        mov     hostile_regs + 0x38(%rip), %rdi
        mov     hostile_regs + 0x40(%rip), %r8
        mov     hostile_regs + 0x48(%rip), %r9
        mov     hostile_regs + 0x50(%rip), %r10
        mov     hostile_regs + 0x58(%rip), %r11
        mov     hostile_regs + 0x60(%rip), %r12
        mov     hostile_regs + 0x68(%rip), %r13
        mov     hostile_regs + 0x70(%rip), %r14
        mov     hostile_regs + 0x78(%rip), %r15
        jmp     *target(%rip)

        .bss
        .balign 8
try_rsp:
        .skip   8
target:
        .skip   8

        .section .note.GNU-stack, "", @progbits
