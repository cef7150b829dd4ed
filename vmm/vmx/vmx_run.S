/*
 * The world switch. The processor swaps RIP, RSP, RFLAGS, the control registers
 * and segments; this swaps the other general registers. An exit comes out at
 * vmx_exit_point (HOST_RIP) with interrupts off; a refused entry goes on behind
 * VMLAUNCH or VMRESUME, with the guest's registers loaded but never used.
 * Source: Intel SDM vol. 3C, 26 and 27.5.
 *
 * u64 vmx_enter(u64 *gpr, u64 launched)
 */
#include "vmm/world_switch.inc"

        .set    HOST_RSP, 0x6c14        /* vmcs.def */

        .section .text
        .code64
        .global vmx_enter, vmx_exit_point
vmx_enter:
        push_kept
        pushq   %rdi
        movl    $HOST_RSP, %eax
        vmwrite %rsp, %rax
        testq   %rsi, %rsi                      /* kept in ZF: MOV changes no flags */
        movq    (%rdi), %rax
        each_guest_register load
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
        each_guest_register store
        popq    RDI(%rdi)
        xorl    %eax, %eax
3:      pop_kept
        ret
        .section .note.GNU-stack, "", @progbits
