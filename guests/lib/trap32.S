/*
 * The first instructions of every exception and interrupt in 32-bit code: make
 * the frame uniform (struct trap_frame), call trap_dispatch, undo.
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
        push    %eax
        push    %ecx
        push    %edx
        push    %ebx
        push    %ebp
        push    %esi
        push    %edi
        cld
        push    %esp                    /* the argument: struct trap_frame * */
        call    trap_dispatch
        add     $4, %esp
        pop     %edi
        pop     %esi
        pop     %ebp
        pop     %ebx
        pop     %edx
        pop     %ecx
        pop     %eax
        add     $8, %esp                /* vector and error code */
        iret

        .section .note.GNU-stack, "", @progbits
