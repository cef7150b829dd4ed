/*
 * The innermost part of canary: every general register, RSP and the flags
 * included, and the FPU/SSE state hold canaries while one instruction exits.
 * Nothing here may need a register of its own: operands are RIP-relative.
 * canary_switch(action) keeps the C convention for its caller.
 */
#define FLAGS 128

        .text
        .globl  canary_switch
canary_switch:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        pushfq
        mov     %rsp, saved_rsp(%rip)
        mov     %rdi, next(%rip)

        fxrstor64 canary_fx_want(%rip)
        push    canary_want + FLAGS(%rip)
        popfq
        mov     canary_want + 0x00(%rip), %rax
        mov     canary_want + 0x08(%rip), %rcx
        mov     canary_want + 0x10(%rip), %rdx
        mov     canary_want + 0x18(%rip), %rbx
        mov     canary_want + 0x20(%rip), %rsp
        mov     canary_want + 0x28(%rip), %rbp
        mov     canary_want + 0x30(%rip), %rsi
        mov     canary_want + 0x38(%rip), %rdi
        mov     canary_want + 0x40(%rip), %r8
        mov     canary_want + 0x48(%rip), %r9
        mov     canary_want + 0x50(%rip), %r10
        mov     canary_want + 0x58(%rip), %r11
        mov     canary_want + 0x60(%rip), %r12
        mov     canary_want + 0x68(%rip), %r13
        mov     canary_want + 0x70(%rip), %r14
        mov     canary_want + 0x78(%rip), %r15
        jmp     *next(%rip)

        .globl  canary_out, canary_cpuid, canary_yield, canary_spin, canary_halt
canary_out:                             /* a port nobody owns */
        out     %al, $0x80
        jmp     collect
canary_cpuid:
        cpuid
        jmp     collect
canary_yield:                           /* eax and dx are right by canary_want */
        out     %eax, %dx
        jmp     collect
canary_spin:                            /* until the VMM takes the CPU away */
        decq    canary_spins(%rip)
        jnz     canary_spin
        jmp     collect
canary_halt:                            /* RSP is a real stack here */
        sti
        hlt
        cli
collect:
        mov     %rax, canary_seen + 0x00(%rip)
        mov     %rcx, canary_seen + 0x08(%rip)
        mov     %rdx, canary_seen + 0x10(%rip)
        mov     %rbx, canary_seen + 0x18(%rip)
        mov     %rsp, canary_seen + 0x20(%rip)
        mov     %rbp, canary_seen + 0x28(%rip)
        mov     %rsi, canary_seen + 0x30(%rip)
        mov     %rdi, canary_seen + 0x38(%rip)
        mov     %r8,  canary_seen + 0x40(%rip)
        mov     %r9,  canary_seen + 0x48(%rip)
        mov     %r10, canary_seen + 0x50(%rip)
        mov     %r11, canary_seen + 0x58(%rip)
        mov     %r12, canary_seen + 0x60(%rip)
        mov     %r13, canary_seen + 0x68(%rip)
        mov     %r14, canary_seen + 0x70(%rip)
        mov     %r15, canary_seen + 0x78(%rip)
        mov     saved_rsp(%rip), %rsp
        pushfq
        pop     canary_seen + FLAGS(%rip)
        fxsave64 canary_fx_seen(%rip)
        popfq
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret

        .bss
        .balign 8
saved_rsp:
        .skip   8
next:
        .skip   8

        .section .note.GNU-stack, "", @progbits
