/*
 * The first instructions of every exception and interrupt in 64-bit code: make
 * the frame uniform (struct trap_frame), call trap_dispatch, undo.
 * FPU and SSE registers are not touched: guests are built without them.
 */
#define STUB_SIZE 16

        .section .text
        .globl  trap_stubs
        .balign STUB_SIZE
trap_stubs:
        .altmacro
        .macro  stub number
        .balign STUB_SIZE
        .if     (\number == 8) || ((\number >= 10) && (\number <= 14)) || (\number == 17) || (\number == 21) || (\number == 29) || (\number == 30)
        .else
        push    $0                      /* no error code by the processor */
        .endif
        push    $\number
        jmp     trap_common
        .endm
        .set    vector, 0
        .rept   256
        stub    %vector
        .set    vector, vector + 1
        .endr

        .balign 16
trap_common:
        push    %rax
        push    %rcx
        push    %rdx
        push    %rbx
        push    %rbp
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        cld
        mov     %rsp, %rdi
        call    trap_dispatch
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rbp
        pop     %rbx
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp               /* vector and error code */
        iretq

        .section .note.GNU-stack, "", @progbits
