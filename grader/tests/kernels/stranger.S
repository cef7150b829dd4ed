/*
 * A kernel of the tests that knows nothing of Nestling: it draws into text memory
 * what the loader told it (magic, command line, upper memory), and what CPUID and
 * RDTSC say, as kernels of courses do, and then halts for ever with interrupts on.
 * A flat binary: its Multiboot header says by its address fields where it goes,
 * how long it is and how much more it wants cleared.
 */
#define LOAD      0x00140000
#define BSS       0x8000
#define FLAGS     0x00010002            /* address fields, memory information */
#define MAGIC     0x1badb002
#define BOOTED    0x2badb002
#define SCREEN    0xb8000
#define GREEN     0x0a

        .text
        .code32
        .globl  _start
_start: .ascii  "not the header"        /* which need not come first */
        .align  4
header: .long   MAGIC, FLAGS, -(MAGIC + FLAGS)
        .long   header, LOAD, load_end, load_end + BSS, entry

entry:  cli
        mov     $load_end + BSS, %esp
        mov     $SCREEN, %edi
        cmp     $BOOTED, %eax
        mov     $wrong, %esi
        jne     1f
        mov     $right, %esi
1:      call    draw
        mov     $SCREEN + 160, %edi
        mov     16(%ebx), %esi                          /* the command line */
        call    draw
        mov     $SCREEN + 320, %edi
        mov     $memory, %esi
        call    draw
        mov     8(%ebx), %eax                           /* mem_upper */
        call    hex
        mov     $SCREEN + 480, %edi
        mov     $cleared, %esi
        mov     $load_end, %ecx                         /* is all behind the image 0? */
        xor     %eax, %eax
2:      or      (%ecx), %eax
        add     $4, %ecx
        cmp     $load_end + BSS - 64, %ecx
        jb      2b
        call    draw_eax

        mov     $SCREEN + 640, %edi
        mov     $protect, %esi
        mov     %cr0, %eax
        call    draw_eax
        lidt    no_idt
        sti
3:      hlt
        jmp     3b

/* Text esi, then eax in hexadecimal, at edi. */
draw_eax:
        push    %eax
        call    draw
        pop     %eax
hex:    mov     $8, %ecx
4:      rol     $4, %eax
        push    %eax
        and     $15, %eax
        mov     digits(%eax), %al
        mov     $GREEN, %ah
        stosw
        pop     %eax
        loop    4b
        ret

draw:   push    %eax
        mov     $GREEN, %ah
5:      lodsb
        test    %al, %al
        jz      6f
        stosw
        jmp     5b
6:      pop     %eax
        ret

digits: .ascii  "0123456789abcdef"
right:  .asciz  "a stranger was booted by Multiboot"
wrong:  .asciz  "not booted by Multiboot"
memory: .asciz  "KiB above 1 MiB: "
cleared: .asciz "left uncleared: "
protect: .asciz "cr0: "
no_idt: .word   0
        .long   0
        .align  4
load_end:
