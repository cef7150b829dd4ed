/*
 * svm_enter as seen by a suspicious caller (option verify=registers): before
 * the call, values that nobody guesses by chance in every register that a
 * function has to keep (System V ABI for x86-64, 3.2.1); after it, what is
 * there goes to svm_verify.c. RSP is kept in memory, so that a stack that is
 * not level does no more harm.
 *
 * void svm_enter_verified(u64 *gpr, hpa_t vmcb)
 */
#include "vmm/world_switch.inc"

        .section .text
        .code64
        .global svm_enter_verified
svm_enter_verified:
        push_kept
        movq    %rsp, kept_rsp
        movq    svm_canary + 0, %rbx
        movq    svm_canary + 8, %rbp
        movq    svm_canary + 16, %r12
        movq    svm_canary + 24, %r13
        movq    svm_canary + 32, %r14
        movq    svm_canary + 40, %r15
        call    svm_enter
        movq    %rbx, svm_found + 0
        movq    %rbp, svm_found + 8
        movq    %r12, svm_found + 16
        movq    %r13, svm_found + 24
        movq    %r14, svm_found + 32
        movq    %r15, svm_found + 40
        movq    %rsp, svm_found + 48
        movq    kept_rsp, %rsp
        movq    %rsp, svm_canary + 48
        pushfq
        popq    svm_found + 56
        cld
        pop_kept
        jmp     svm_verify

        .section .bss
        .balign 8
kept_rsp:
        .skip   8
        .section .note.GNU-stack, "", @progbits
