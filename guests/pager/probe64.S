/*
 * The instructions that are tried, in 64-bit code, and the way into them and back.
 * The address is in RDI, the operand in RAX, RBX or XMM0.
 */
#include "guests/pager/probe.h"

        .macro  stub instruction:vararg
        .balign PROBE_STUB
        \instruction
        ud2
        .endm

        .text
        .balign 4096
        .globl  probe_stubs
probe_stubs:
        stub    movb (%rdi), %al
        stub    movw (%rdi), %ax
        stub    movl (%rdi), %eax
        stub    movq (%rdi), %rax
        stub    movdqu (%rdi), %xmm0
        stub    movb %al, (%rdi)
        stub    movw %ax, (%rdi)
        stub    movl %eax, (%rdi)
        stub    movq %rax, (%rdi)
        stub    movdqu %xmm0, (%rdi)
        stub    xchg %al, (%rdi)
        stub    xchg %eax, (%rdi)
        stub    lock cmpxchg %rbx, (%rdi)
        stub    lock xadd %eax, (%rdi)
        stub    lock orb %al, (%rdi)
        stub    lock andl %eax, (%rdi)
        stub    movq $0, (%rdi)
        stub    rep stosb
        stub    rep movsb
        stub    call *%rdi
        .balign 4096

        .globl  probe_enter
probe_enter:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        push    %rdi
        mov     %rsp, probe_sp(%rip)
        mov     %rsi, %r8               /* code */
        movdqu  0x30(%rdi), %xmm0
        test    %edx, %edx
        jz      1f
        push    $0x23
        pushq   probe_user_stack(%rip)
        push    $0x002
        push    $0x1b
        push    %r8
1:      mov     %edx, %r9d
        mov     0x00(%rdi), %rax
        mov     0x08(%rdi), %rbx
        mov     0x10(%rdi), %rcx
        mov     0x18(%rdi), %rdx
        mov     0x20(%rdi), %rsi
        mov     0x28(%rdi), %rdi
        test    %r9d, %r9d
        jz      2f
        iretq
2:      jmp     *%r8

        .globl  probe_back
probe_back:
        mov     probe_sp(%rip), %rsp
        mov     $0x10, %eax
        mov     %eax, %ss
        pop     %rdi
        movdqu  %xmm0, 0x30(%rdi)
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        cld
        ret

        .bss
        .balign 8
probe_sp:
        .skip   8

        .section .note.GNU-stack, "", @progbits
