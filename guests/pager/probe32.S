/*
 * The instructions that are tried, in 32-bit code, and the way into them and back.
 * The address is in EDI, the operand in EAX, ECX:EBX with EDX:EAX, or XMM0.
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
        stub    movb (%edi), %al
        stub    movw (%edi), %ax
        stub    movl (%edi), %eax
        stub    movq (%edi), %xmm0
        stub    movdqu (%edi), %xmm0
        stub    movb %al, (%edi)
        stub    movw %ax, (%edi)
        stub    movl %eax, (%edi)
        stub    movq %xmm0, (%edi)
        stub    movdqu %xmm0, (%edi)
        stub    xchg %al, (%edi)
        stub    xchg %eax, (%edi)
        stub    lock cmpxchg8b (%edi)
        stub    lock xadd %eax, (%edi)
        stub    lock orb %al, (%edi)
        stub    lock andl %eax, (%edi)
        stub    movl $0, (%edi)
        stub    rep stosb
        stub    rep movsb
        stub    call *%edi
        .balign 4096

        .globl  probe_enter
probe_enter:
        push    %ebx
        push    %ebp
        push    %esi
        push    %edi
        mov     20(%esp), %edi          /* p */
        mov     24(%esp), %esi          /* code */
        mov     28(%esp), %edx          /* user */
        push    %edi
        mov     %esp, probe_sp
        movdqu  0x18(%edi), %xmm0
        mov     %esi, probe_code
        mov     %edx, probe_user
        test    %edx, %edx
        jz      1f
        push    $0x23
        push    probe_user_stack
        push    $0x002
        push    $0x1b
        push    %esi
1:      mov     0x00(%edi), %eax
        mov     0x04(%edi), %ebx
        mov     0x08(%edi), %ecx
        mov     0x0c(%edi), %edx
        mov     0x10(%edi), %esi
        mov     0x14(%edi), %edi
        cmpl    $0, probe_user
        je      2f
        iret
2:      jmp     *probe_code

        .globl  probe_back
probe_back:
        mov     probe_sp, %esp
        pop     %edi
        movdqu  %xmm0, 0x18(%edi)
        pop     %edi
        pop     %esi
        pop     %ebp
        pop     %ebx
        cld
        ret

        .bss
        .balign 4
probe_sp:
        .skip   4
probe_code:
        .skip   4
probe_user:
        .skip   4

        .section .note.GNU-stack, "", @progbits
