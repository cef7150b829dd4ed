/*
 * The raw image's first 2 KiB: a boot sector that loads the rest of itself,
 * asks the firmware for the memory map, copies the kernel behind it to 1 MiB,
 * a bundle from the second disk (if there is one) to 128 MiB, and enters the
 * kernel as a Multiboot loader would. One image for both emulators.
 * KERNEL_SECTORS comes from the Makefile.
 * Source: BIOS INT 13h AH=42h, INT 15h AX=E820h; Multiboot 0.6.96, 3.2, 3.3.
 */
        .set    LOADER_SECTORS, 4
        .set    KERNEL, 0x100000
        .set    BUNDLE, 0x8000000
        .set    SECOND_DISK, 0x81
        .set    BUFFER_SEG, 0x1000              /* 0x10000: one piece of the kernel */
        .set    PIECE, 64                       /* sectors */
        .set    INFO, 0x800                     /* the Multiboot information */
        .set    INFO_FLAGS, INFO
        .set    INFO_MMAP_LENGTH, INFO + 44
        .set    INFO_MMAP_ADDR, INFO + 48
        .set    MMAP, 0x1000
        .set    E820_MAGIC, 0x534d4150          /* SMAP */

        .section .text
        .code16
        .global loader
loader: cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        ljmp    $0, $1f
1:      movb    %dl, drive
        movw    $LOADER_SECTORS - 1, packet_count
        movw    $0x7e00, packet_offset
        call    read
        jmp     second

/* Read what the packet says; without a disk there is nothing to say. */
read:   call    try
        jc      failed
        ret
try:    movw    $packet, %si
        movb    $0x42, %ah
        movb    drive, %dl
        int     $0x13
        ret
failed: movw    $message, %si
2:      lodsb
        testb   %al, %al
        jz      3f
        movw    $0x3f8, %dx
        outb    %al, %dx
        jmp     2b
3:      hlt
        jmp     3b

message: .asciz "nestling: the disk cannot be read\n"
drive:  .byte   0
        .align  4
packet: .byte   16, 0
packet_count:  .word 0
packet_offset: .word 0
packet_seg:    .word 0
packet_lba:    .quad 1
gdt:    .quad   0
        .quad   0x00cf9a000000ffff              /* 0x08 code, 32-bit */
        .quad   0x00cf92000000ffff              /* 0x10 data, 4 GiB */
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

        .org    510
        .word   0xaa55

second: inb     $0x92, %al                      /* A20 on */
        orb     $2, %al
        andb    $0xfe, %al
        outb    %al, $0x92

        /* The memory map, as Multiboot wants it: a size before each range */
        xorl    %ebx, %ebx
        movw    $MMAP, %di
4:      movl    $0xe820, %eax
        movl    $E820_MAGIC, %edx
        movl    $20, %ecx
        movl    $20, (%di)
        addw    $4, %di
        int     $0x15
        jc      5f
        addw    $20, %di
        testl   %ebx, %ebx
        jnz     4b
        jmp     6f
5:      subw    $4, %di
6:      movzwl  %di, %eax
        subl    $MMAP, %eax
        movl    %eax, INFO_MMAP_LENGTH
        movl    $MMAP, INFO_MMAP_ADDR
        movl    $1 << 6, INFO_FLAGS

        movw    $0, packet_offset
        movw    $BUFFER_SEG, packet_seg
        movl    $KERNEL, target
        movl    $LOADER_SECTORS, packet_lba
        call    load

        /* The bundle: its first sector tells how many there are */
        movb    $SECOND_DISK, drive
        movl    $0, packet_lba
        movw    $1, packet_count
        call    try
        jc      enter
        movw    $BUFFER_SEG, %ax
        movw    %ax, %es
        cmpl    $0x5453454e, %es:0              /* NEST */
        jne     enter
        movl    %es:12, %eax                    /* bytes */
        addl    $511, %eax
        shrl    $9, %eax
        movl    %eax, left
        movl    $BUNDLE, target
        call    load
        jmp     enter

/* Load what is left from packet_lba on, piece by piece, to the target. */
load:   movl    left, %eax
        testl   %eax, %eax
        jz      9f
        cmpl    $PIECE, %eax
        jbe     8f
        movl    $PIECE, %eax
8:      movw    %ax, packet_count
        subl    %eax, left
        call    read
        call    copy
        movzwl  packet_count, %eax
        addl    %eax, packet_lba
        jmp     load
9:      ret

/* Copy the piece above 1 MiB: protected mode for a moment makes DS and ES
 * reach 4 GiB, until the firmware loads them again. */
copy:   lgdtl   gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $0x10, %bx
        movw    %bx, %ds
        movw    %bx, %es
        andb    $0xfe, %al
        movl    %eax, %cr0
        xorw    %bx, %bx
        movw    %bx, %ds
        movw    %bx, %es
        movzwl  packet_count, %ecx
        shll    $7, %ecx                        /* 128 words a sector */
        movl    $BUFFER_SEG << 4, %esi
        movl    target, %edi
        addr32 rep movsl
        movl    %edi, target
        ret

enter:  cli
        lgdtl   gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $0x08, $protected

        .code32
protected:
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $0x2badb002, %eax
        movl    $INFO, %ebx
        movl    $KERNEL, %ecx
        jmp     *%ecx

        .align  4
left:   .long   KERNEL_SECTORS                  /* sectors */
target: .long   0
        .org    LOADER_SECTORS * 512
        .section .note.GNU-stack, "", @progbits
