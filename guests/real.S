/*
 * real: a raw real-mode guest, one sector, placed and entered at 0x7c00. Prints
 * on the serial port, asks CPUID, makes one sealed self-check through the test
 * port and exits. It relies on nothing but CS:IP; the signature at its end lets
 * the bare PC's BIOS boot it too. handouts/formats.md, section 5.
 */
#define COM1         0x3f8
#define LSR          5
#define LSR_THRE     0x20
#define PORT         0x5e0
#define PORT_ID      0x5453454e
#define CMD_NONCE    1
#define CMD_CHECK    3
#define CMD_EXIT     5
#define DEBUG_EXIT   0xf4
#define NAME         0x6c616572         /* "real": the check's name */
#define MIX1_LOW     0x7f4a7c15
#define MIX1_HIGH    0x9e3779b9
#define MIX2_LOW     0x1ce4e5b9
#define MIX2_HIGH    0xbf58476d

        .code16
        .text
        .globl  _start
_start:
        ljmp    $0, $1f
1:      cli
        cld
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7c00, %sp
        mov     $hello, %si
        call    print

        xor     %eax, %eax              /* vendor: ebx, edx, ecx */
        cpuid
        mov     %ebx, vendor
        mov     %edx, vendor + 4
        mov     %ecx, vendor + 8
        mov     $vendor, %si
        call    print

        mov     $PORT, %dx
        in      %dx, %eax
        cmp     $PORT_ID, %eax
        jne     leave

        /* The nonce into edi:esi, and the name into it: mix's first argument. */
        mov     $CMD_NONCE, %eax
        out     %eax, %dx
        mov     $PORT + 4, %dx
        in      %dx, %eax
        mov     %eax, %esi
        mov     $PORT + 8, %dx
        in      %dx, %eax
        mov     %eax, %edi
        xor     $NAME, %esi

        /* What is checked: 2^16 + 1 squared in 32 bits, by the 16-bit processor. */
        mov     $0x10001, %eax
        mul     %eax
        mov     %eax, value
        xor     %eax, %esi              /* x ^= value */
        call    mix_step
        xorl    $0x20001, %esi          /* x ^= expected */
        call    mix_step
        mov     $MIX2_LOW, %ebx
        mov     $MIX2_HIGH, %ecx
        call    multiply
        xor     %edi, %esi              /* x ^ x >> 32 */

        mov     $PORT + 0x04, %dx       /* a0: name */
        mov     $NAME, %eax
        out     %eax, %dx
        mov     $PORT + 0x0c, %dx       /* a1: value */
        mov     value, %eax
        out     %eax, %dx
        mov     $PORT + 0x14, %dx       /* a2: expected */
        mov     $0x20001, %eax
        out     %eax, %dx
        mov     $PORT + 0x1c, %dx       /* a3: seal */
        mov     %esi, %eax
        out     %eax, %dx
        mov     $PORT + 0x20, %dx
        mov     %edi, %eax
        out     %eax, %dx
        mov     $PORT, %dx
        mov     $CMD_CHECK, %eax
        out     %eax, %dx
        mov     $CMD_EXIT, %eax         /* arguments are 0 again: success */
        out     %eax, %dx
leave:
        xor     %ax, %ax
        out     %al, $DEBUG_EXIT
        hlt
        jmp     leave

/* x = edi:esi; x *= 0x9e3779b97f4a7c15; x ^= x >> 29. */
mix_step:
        mov     $MIX1_LOW, %ebx
        mov     $MIX1_HIGH, %ecx
        call    multiply
        mov     %esi, %eax
        shrd    $29, %edi, %eax
        mov     %edi, %ebx
        shr     $29, %ebx
        xor     %eax, %esi
        xor     %ebx, %edi
        ret

/* edi:esi *= ecx:ebx, 64 bits. Changes eax, edx, edi, esi. */
multiply:
        imul    %ebx, %edi              /* high x low */
        imul    %esi, %ecx              /* low x high */
        add     %ecx, %edi
        mov     %esi, %eax
        mul     %ebx
        mov     %eax, %esi
        add     %edx, %edi
        ret

/* The text at si, zero-terminated, to COM1. */
print:
        mov     $COM1 + LSR, %dx
1:      in      %dx, %al
        test    $LSR_THRE, %al
        jz      1b
        lodsb
        test    %al, %al
        jz      2f
        mov     $COM1, %dx
        out     %al, %dx
        jmp     print
2:      ret

hello:
        .asciz  "Hello from real mode on "
vendor:
        .asciz  "............\r\n"
        .balign 4
value:
        .long   0

        .org    510
        .word   0xaa55

        .section .note.GNU-stack, "", @progbits
