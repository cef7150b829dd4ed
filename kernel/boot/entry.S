/*
 * From a Multiboot 1 loader (QEMU's -kernel, or our boot sector) to
 * kernel_main() in 64-bit mode: clears .bss, maps the first 4 GiB one to one
 * with 2 MiB pages, and switches. paging.c makes the real tables later.
 * Source: Multiboot 0.6.96, 3.2; AMD64 Manual vol. 2, 14.6.
 */
        .set    MB_MAGIC, 0x1badb002
        .set    MB_FLAGS, 0x00000003            /* page-aligned, memory map */
        .set    STACK_SIZE, 0x8000

        .section .boot, "ax"
        .code32
        .global _start
_start: jmp     start32
        .align  4
        .long   MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

start32:
        cli
        cld
        movl    %eax, %esi                      /* the loader's magic */
        movl    %ebx, %ebp                      /* its information */
        movl    $image_end, %edi
        movl    $kernel_end, %ecx
        subl    %edi, %ecx
        shrl    $2, %ecx
        xorl    %eax, %eax
        rep stosl

        /* PML4[0] -> PDPT, PDPT[0..3] -> PD, 2048 entries of 2 MiB */
        movl    $boot_pdpt + 3, boot_pml4
        movl    $boot_pd + 3, %eax
        xorl    %ecx, %ecx
1:      movl    %eax, boot_pdpt(, %ecx, 8)
        addl    $4096, %eax
        incl    %ecx
        cmpl    $4, %ecx
        jne     1b
        movl    $0x83, %eax                     /* P, W, PS */
        xorl    %ecx, %ecx
2:      movl    %eax, boot_pd(, %ecx, 8)
        addl    $0x200000, %eax
        incl    %ecx
        cmpl    $2048, %ecx
        jne     2b

        movl    $boot_pml4, %eax
        movl    %eax, %cr3
        movl    $0x620, %eax                    /* PAE, OSFXSR, OSXMMEXCPT */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x900, %eax                    /* EFER: LME, NXE */
        wrmsr
        movl    $0x80010033, %eax               /* PG, WP, NE, ET, MP, PE */
        movl    %eax, %cr0
        lgdt    gdt_pointer
        ljmp    $0x08, $start64

        .code64
start64:
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        leaq    boot_stack_top, %rsp
        movl    %esi, %edi
        movl    %ebp, %esi
        xorl    %ebp, %ebp
        call    kernel_main
        ud2                                     /* it does not return */

        .data
        .align  8
        .global gdt, gdt_tss
gdt:    .quad   0
        .quad   0x00af9a000000ffff              /* 0x08 code, 64-bit */
        .quad   0x00cf92000000ffff              /* 0x10 data */
gdt_tss:
        .quad   0, 0                            /* 0x18 TSS, by trap.c */
gdt_pointer:
        .word   . - gdt - 1
        .quad   gdt

        .bss
        .align  4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd:   .skip 4 * 4096
        .global stack_guard
stack_guard: .skip 4096                         /* paging.c unmaps it */
boot_stack: .skip STACK_SIZE
boot_stack_top:
        .section .note.GNU-stack, "", @progbits
