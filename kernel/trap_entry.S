/*
 * The 256 entries of the IDT: each pushes its number (and a zero where the
 * processor pushes no error code) and goes to trap_handler() with a struct
 * trapframe. Source: AMD64 Manual vol. 2, 8.2, 8.9.
 */
        .section .text
        .code64
        .altmacro
        .macro  ENTRY n
        .align  16
        .if     (\n == 8) | ((\n >= 10) & (\n <= 14)) | (\n == 17) | (\n == 21) | (\n == 29) | (\n == 30)
        .else
        pushq   $0
        .endif
        pushq   $\n
        jmp     common
        .endm

        .align  16
        .global trap_entries
trap_entries:
        .set    i, 0
        .rept   256
        ENTRY   %i
        .set    i, i + 1
        .endr

common: cld
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        pushq   %rbp
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, %rdi
        call    trap_handler
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rbp
        popq    %rbx
        popq    %rdx
        popq    %rcx
        popq    %rax
        addq    $16, %rsp
        iretq
        .section .note.GNU-stack, "", @progbits
