/*
 * keeps: does an exit leave every general register as it was? First the eight of
 * 32-bit mode, then the sixteen of long mode get a value each, one OUT exits, and
 * each is compared with its value. It needs no stack, no interrupts and no register
 * that has survived an exit, so it can name the first one that did not, where
 * another guest would only crash. Exit code 0: all are kept; 1: one is not.
 */
#include "guests/lib/multiboot.h"

#define CR0_PG_PE    0x80000001
#define CR4_PAE      0x20
#define MSR_EFER     0xc0000080
#define EFER_LME     0x100
#define PTE_P_W      0x3
#define PTE_P_W_PS   0x83
#define POST         0x80       /* a port that nobody minds */
#define COM1         0x3f8
#define DEBUG_EXIT   0xf4
#define PORT         0x5e0      /* the test port: handouts/formats.md, section 5 */
#define PORT_A0      0x5e4
#define CMD_EXIT     5

        .section .multiboot, "a"
        .align  4
        .long   MULTIBOOT_HEADER_MAGIC
        .long   MULTIBOOT_HEADER_FLAGS
        .long   -(MULTIBOOT_HEADER_MAGIC + MULTIBOOT_HEADER_FLAGS)

/* A negative number for each register, so that in 64 bits its upper half is not 0. */
        .set    number, 0
        .macro fill reg
        .set    number, number + 1
        mov     $-(0x01000193 * number), %\reg
        .endm

/* Compare with the same number; if it is another, its name goes into the message. */
        .macro check reg, back
        .set    number, number + 1
        cmp     $-(0x01000193 * number), %\reg
        je      1f
        movl    name_\reg, %eax
        movl    %eax, message_name
        jmp     \back
1:
        .endm

/* Say the message and end. Each OUT exits, so everything is loaded anew behind it. */
        .macro say_and_end
1:      movl    next, %ebx
        movb    (%ebx), %al
        testb   %al, %al
        jz      2f
        incl    next
        movl    $COM1, %edx
        outb    %al, %dx
        jmp     1b
2:      movl    $PORT_A0, %edx
        movl    $1, %eax
        outl    %eax, %dx
        .endm
        .macro end
        movl    $PORT, %edx
        movl    $CMD_EXIT, %eax
        outl    %eax, %dx
1:      hlt
        jmp     1b
        .endm

        .text
        .code32
        .globl  _start
_start:
        cli
        .irp    reg, ecx, edx, ebx, esp, ebp, esi, edi, eax
        fill    \reg
        .endr
        outb    %al, $POST
        .set    number, 0
        .irp    reg, ecx, edx, ebx, esp, ebp, esi, edi, eax
        check   \reg, lost32
        .endr
        jmp     enter_long_mode
lost32:
        say_and_end
        movb    $1, %al
        outb    %al, $DEBUG_EXIT
        end

/* The tables are made when this is assembled. Only WRMSR and the MOVs to CR exit. */
enter_long_mode:
        mov     $CR4_PAE, %eax
        mov     %eax, %cr4
        mov     $pml4, %eax
        mov     %eax, %cr3
        mov     $MSR_EFER, %ecx
        mov     $EFER_LME, %eax
        xor     %edx, %edx
        wrmsr
        mov     $CR0_PG_PE, %eax
        mov     %eax, %cr0
        lgdt    gdt_register
        ljmp    $0x08, $long_mode

        .code64
long_mode:
        .set    number, 0
        .irp    reg, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rax
        fill    \reg
        .endr
        outb    %al, $POST
        .set    number, 0
        .irp    reg, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rax
        check   \reg, lost64
        .endr
        movl    $kept, next
        say_and_end
        movl    $PORT_A0, %edx
        xorl    %eax, %eax
        outl    %eax, %dx
        outb    %al, $DEBUG_EXIT
        end
lost64:
        say_and_end
        movb    $1, %al
        outb    %al, $DEBUG_EXIT
        end

        .data
        .align  4096
pml4:   .quad   pdpt + PTE_P_W
        .align  4096
pdpt:   .quad   pd + PTE_P_W
        .align  4096
pd:     .quad   PTE_P_W_PS              /* the first 2 MiB to themselves */
        .align  4096
gdt:    .quad   0
        .quad   0x00af9b000000ffff      /* 0x08: 64-bit code */
gdt_end:
gdt_register:
        .word   gdt_end - gdt - 1
        .long   gdt
next:   .long   message
message:
        .ascii  "keeps: "
message_name:
        .asciz  "    is not what it was before an OUT\n"
kept:   .asciz  "keeps: every register survived an OUT\n"
        .balign 4                       /* the names: four letters each */
        .irp    reg, eax, ecx, edx, ebx, esp, ebp, esi, edi
name_\reg:
        .ascii  "\reg"
        .balign 4, ' '
        .endr
        .irp    reg, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
name_\reg:
        .ascii  "\reg"
        .balign 4, ' '
        .endr

        .section .note.GNU-stack, "", @progbits
