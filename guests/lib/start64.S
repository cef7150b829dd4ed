/*
 * The trampoline of all 64-bit guests: from what Multiboot 1 gives (32-bit
 * protected mode, paging off) into long mode and to guest_start(magic, info).
 * The first 1 GiB is mapped to itself: the first 2 MiB, where all guests lie,
 * by pages of 4 KiB, the rest by 2 MiB. Nothing beyond long mode itself is asked
 * of the processor. A guest that wants other tables makes its own (lib/table.c).
 */
#include "guests/lib/multiboot.h"

#define CR0_PG_WP_PE 0x80010001
#define CR4_PAE      0x20
#define MSR_EFER     0xc0000080
#define EFER_LME     0x100
#define PTE_P_W      0x3
#define PTE_P_W_PS   0x83

        .section .multiboot, "a"
        .align  4
        .long   MULTIBOOT_HEADER_MAGIC
        .long   MULTIBOOT_HEADER_FLAGS
        .long   -(MULTIBOOT_HEADER_MAGIC + MULTIBOOT_HEADER_FLAGS)

        .text
        .code32
        .globl  _start
_start:
        cli
        cld
        mov     %eax, %ebp              /* the loader's magic; info stays in ebx */

        /* One table a level: PML4[0] -> PDPT[0] -> PD, of which [0] -> 512 entries
         * of 4 KiB and the other 511 map 2 MiB each. */
        movl    $boot_pdpt + PTE_P_W, boot_pml4
        movl    $boot_pd + PTE_P_W, boot_pdpt
        mov     $boot_pd, %edi
        mov     $PTE_P_W_PS, %eax
        mov     $512, %ecx
1:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x200000, %eax
        loop    1b
        movl    $boot_pt + PTE_P_W, boot_pd
        mov     $boot_pt, %edi
        mov     $PTE_P_W, %eax
        mov     $512, %ecx
2:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x1000, %eax
        loop    2b

        mov     %cr4, %eax
        or      $CR4_PAE, %eax
        mov     %eax, %cr4
        mov     $boot_pml4, %eax
        mov     %eax, %cr3
        mov     $MSR_EFER, %ecx
        rdmsr
        or      $EFER_LME, %eax
        wrmsr
        mov     %cr0, %eax
        or      $CR0_PG_WP_PE, %eax
        mov     %eax, %cr0
        lgdt    boot_gdt_register
        ljmp    $0x08, $long_mode

        .code64
long_mode:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        lea     boot_stack_top(%rip), %rsp
        mov     %ebp, %edi
        mov     %ebx, %esi
        xor     %ebp, %ebp
        call    guest_start
1:      cli
        hlt
        jmp     1b

        .data
        .align  8
        .globl  boot_gdt
boot_gdt:
        .quad   0
        .quad   0x00af9b000000ffff      /* 0x08: 64-bit code */
        .quad   0x00cf93000000ffff      /* 0x10: data */
boot_gdt_end:
boot_gdt_register:
        .word   boot_gdt_end - boot_gdt - 1
        .quad   boot_gdt

        .bss
        .align  4096
        .globl  boot_pml4
boot_pml4:
        .skip   4096
boot_pdpt:
        .skip   4096
boot_pd:
        .skip   4096
boot_pt:
        .skip   4096
        .skip   16384
boot_stack_top:

        .section .note.GNU-stack, "", @progbits
