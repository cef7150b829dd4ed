/*
 * A kernel of the tests, in 32-bit paging of two levels, which no guest of ours
 * uses: 4 MiB pages by PSE and scattered 4 KiB pages, every third read-only, every
 * fifth missing. It asks the VMM for a WALK of each, to read and to write, and of
 * one address in a 4 MiB page; then it computes until the time is up.
 * A flat binary whose Multiboot header says by its address fields where it goes.
 */
#define LOAD       0x00100000
#define DIRECTORY  0x00200000
#define TABLE      0x00201000
#define FRAMES     0x00300000
#define HIGH       0xc0000000
#define PAGES      64
#define FLAGS      0x00010000           /* address fields */
#define MAGIC      0x1badb002
#define TEST_PORT  0x5e0

        .text
        .code32
        .globl  _start
_start: jmp     start
        .align  4
header: .long   MAGIC, FLAGS, -(MAGIC + FLAGS)
        .long   header, LOAD, 0, 0, _start

start:  cli
        mov     $0x80000, %esp
        movl    $0x83, DIRECTORY                        /* 0 to 4 MiB: one page, P W PS */
        movl    $TABLE + 3, DIRECTORY + 4 * (HIGH >> 22)
        xor     %ecx, %ecx                              /* page */
        xor     %esi, %esi                              /* 37 x page mod PAGES: its frame */
1:      mov     %ecx, %eax
        call    flags
        test    %edx, %edx
        jz      2f
        mov     %esi, %eax
        shl     $12, %eax
        lea     FRAMES(%eax, %edx), %eax
        mov     %eax, TABLE(, %ecx, 4)
2:      add     $37, %esi
        and     $PAGES - 1, %esi
        inc     %ecx
        cmp     $PAGES, %ecx
        jb      1b

        mov     %cr4, %eax
        or      $0x10, %eax                             /* PSE */
        mov     %eax, %cr4
        mov     $DIRECTORY, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80010000, %eax                       /* PG, WP */
        mov     %eax, %cr0

        xor     %edi, %edi
3:      mov     %edi, %ebx
        shl     $12, %ebx
        add     $HIGH + 0x123, %ebx
        test    $1, %edi                                /* touch the odd ones: then the VMM */
        jz      6f                                      /* has mapped them, too */
        mov     %edi, %eax
        call    flags
        test    %edx, %edx
        jz      6f
        mov     (%ebx), %eax
6:      xor     %ebp, %ebp                              /* to read */
        call    walk
        inc     %ebp                                    /* to write */
        call    walk
        inc     %edi
        cmp     $PAGES, %edi
        jb      3b
        mov     $0x150004, %ebx
        xor     %ebp, %ebp
        call    walk
        mov     $0xd0000000, %ebx                       /* no table at all */
        call    walk
4:      jmp     4b

/* edx: the flags of page eax. 0: it is missing. */
flags:  push    %eax
        push    %ecx
        xor     %edx, %edx
        mov     $5, %ecx
        div     %ecx
        test    %edx, %edx
        jz      5f                                      /* edx is 0 */
        mov     4(%esp), %eax
        xor     %edx, %edx
        mov     $3, %ecx
        div     %ecx
        mov     %edx, %eax
        mov     $1, %edx
        test    %eax, %eax
        jz      5f
        mov     $3, %edx
5:      pop     %ecx
        pop     %eax
        ret

/* WALK of gVA ebx with the access bits ebp. */
walk:   mov     $TEST_PORT + 4, %edx
        mov     %ebx, %eax
        out     %eax, %dx
        mov     $TEST_PORT + 12, %edx
        mov     %ebp, %eax
        out     %eax, %dx
        mov     $TEST_PORT, %edx
        mov     $6, %eax
        out     %eax, %dx
        ret
