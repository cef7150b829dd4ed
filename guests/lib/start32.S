/*
 * The start of 32-bit guests: a GDT of our own (Multiboot promises none), a
 * stack, and guest_start(magic, info) with paging off. A guest that wants
 * paging turns it on by itself (lib/table.c).
 */
#include "guests/lib/multiboot.h"

        .section .multiboot, "a"
        .align  4
        .long   MULTIBOOT_HEADER_MAGIC
        .long   MULTIBOOT_HEADER_FLAGS
        .long   -(MULTIBOOT_HEADER_MAGIC + MULTIBOOT_HEADER_FLAGS)

        .text
        .globl  _start
_start:
        cli
        cld
        lgdt    boot_gdt_register
        ljmp    $0x08, $1f
1:      mov     $0x10, %ecx
        mov     %ecx, %ds
        mov     %ecx, %es
        mov     %ecx, %fs
        mov     %ecx, %gs
        mov     %ecx, %ss
        mov     $boot_stack_top, %esp
        xor     %ebp, %ebp
        push    %ebx
        push    %eax
        call    guest_start
1:      cli
        hlt
        jmp     1b

        .data
        .align  8
boot_gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      /* 0x08: 32-bit code */
        .quad   0x00cf93000000ffff      /* 0x10: data */
boot_gdt_end:
boot_gdt_register:
        .word   boot_gdt_end - boot_gdt - 1
        .long   boot_gdt

        .bss
        .align  16
        .skip   16384
boot_stack_top:

        .section .note.GNU-stack, "", @progbits
