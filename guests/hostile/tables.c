/*
 * Class tables: this guest's own page tables, as wrong as they can be. A few frames are
 * linked to each other at any level, to themselves, to the real tables, to code, to
 * memory-mapped devices and to where nothing is, with reserved bits and garbage; then
 * MOV CR3, and everything is used. The first entry of the root stays, through which this
 * program runs, unless it dares. AMD64 manual vol. 2, 5.3.
 */
#include "guests/hostile/hostile.h"

#define FRAMES     12
#define ENTRIES    512
#define FIRST_PLAY 8 /* entries of a root from here on lead nowhere but into this play */
#define CODE_ENTRY 8

extern const char trap_stubs[];

static u64 frames;

/* Often asked in one action: seldom enough that many actions fit in a life. */
static bool dares(void)
{
    return dare() && one_in(8);
}

void tables_init(void)
{
    frames = frames_take(FRAMES, PAGE_SIZE);
}

static u64 *frame(u32 n)
{
    return (u64 *)(uintptr_t)(frames + n * PAGE_SIZE);
}

/* Where nothing is, or a device, or more than a physical address can be. */
static u64 far_address(void)
{
    static const u64 known[] = {0xa0000,       0xb8000,       0xc0000,       0xf0000,
                                0xe0000000ull, 0xfec00000ull, 0xfee00000ull, 0xfffff000ull,
                                1ull << 32,    1ull << 39,    1ull << 45,    0xffffffffff000ull};
    return one_in(3) ? hostile.memory_end + random_below(4) * PAGE_SIZE
                     : known[random_below(ARRAY_SIZE(known))];
}

/* Mostly one of the frames; seldom what ends the VM if it is walked. */
static u64 target(void)
{
    u32 what = random_below(64);
    if (what < 44)
        return frames + random_below(FRAMES) * PAGE_SIZE;
    if (what < 50)
        return (uintptr_t)scratch() + random_below(SCRATCH_PAGES) * PAGE_SIZE;
    if (what < 56) /* code, where the processor is just now */
        return ((uintptr_t)trap_stubs & ~(PAGE_SIZE - 1)) + random_below(2) * PAGE_SIZE;
    if (what < 58)
        return hostile_root();
    if (what < 60 && dares())
        return random_below((u32)(hostile.memory_end / PAGE_SIZE)) * PAGE_SIZE;
    return (what == 60 && one_in(4)) || dares() ? far_address() : frames;
}

static u64 random_entry(void)
{
    u64 e = target() | PTE_P | (random_u64() & 0xfff & ~(u64)PTE_PS);
    e |= one_in(4) ? 0 : PTE_W | PTE_U;
    e |= one_in(8) ? PTE_PS : 0;
    e |= one_in(16) ? PTE_NX : 0;
    e |= one_in(24) ? 1ull << (40 + random_below(23)) : 0;
    if (one_in(16))
        e &= ~PTE_P;
    return one_in(64) ? random_u64() : e;
}

/* Code is read-only for this program; a page that it can be written through is none of ours. */
static bool hits_program(u64 e)
{
    u64 a = e & PTE_ADDRESS;
    return a >= MIB && a < frames && e & PTE_W;
}

/* Of an entry: mostly one of a few, so that what is written is what is used. The last one is
 * the neighbour of the next table's first. */
static u32 likely_index(void)
{
    u32 i = random_below(5);
    return i < 4 ? i : ENTRIES - 1;
}

static void write_entry(u32 n)
{
    u32 i = one_in(3) ? likely_index() : random_below(ENTRIES);
    u64 e = random_entry();
    if (n == 0 && i < FIRST_PLAY)
        i += FIRST_PLAY;
    frame(n)[i] = hits_program(e) && !dares() ? e & ~PTE_W : e;
}

/* Anywhere in a table behind those entries of a root; often on the edge to the next table. */
static u8 *place(u32 n)
{
    u32 room = (u32)PAGE_SIZE - FIRST_PLAY * 8 - (n == FRAMES - 1 ? 8 : 0);
    u32 edge = one_in(3) ? 8 : room;
    return (u8 *)frame(n) + FIRST_PLAY * 8 + room - 1 - random_below(edge);
}

/* Unaligned, narrow, across two entries or two tables: frames follow each other. */
static void write_pieces(u32 n)
{
    u8 *at = place(n);
    u64 v = random_entry() & ~PTE_W;
    switch (random_below(5)) {
    case 0:
        *at = (u8)v;
        break;
    case 1:
        __asm__ volatile("movw %w0, (%1)" : : "r"(v), "r"(at) : "memory");
        break;
    case 2:
        __asm__ volatile("movl %k0, (%1)" : : "r"(v), "r"(at) : "memory");
        break;
    case 3:
        __asm__ volatile("lock xadd %0, (%1)" : "+r"(v) : "r"((u64)at & ~7ull) : "memory", "cc");
        break;
    default:
        __asm__ volatile("movq %0, (%1)" : : "r"(v), "r"(at) : "memory");
    }
}

/* An address whose way leads through the play. */
static u64 play_address(void)
{
    u64 a = FIRST_PLAY + random_below(one_in(3) ? ENTRIES - FIRST_PLAY : 4);
    for (int level = 3; level; level--)
        a = a << 9 | (one_in(3) ? random_below(ENTRIES) : likely_index());
    a = a << 12 | (one_in(4) ? PAGE_SIZE - 1 - random_below(8) : random_below((u32)PAGE_SIZE));
    return a >> 47 & 1 ? a | 0xffff000000000000ull : a;
}

/* mov %rax, (%rdi); ud2 */
#define CODE 0x0b0f078948ull

/* A page of entries as code: it writes to where RDI points, perhaps into itself. */
static void run_table(u64 a)
{
    u64 at = a & ~(PAGE_SIZE - 1);
    random_registers();
    hostile_regs[7] = one_in(2) ? at + random_below((u32)PAGE_SIZE) : play_address();
    hostile_regs[0] = random_entry() & ~PTE_W;
    frame(1 + random_below(FRAMES - 1))[CODE_ENTRY] = CODE;
    recover_arm();
    hostile_run(at + CODE_ENTRY * 8, RFLAGS_IF);
}

static void use(void)
{
    u64 a = play_address(), v = random_entry() & ~PTE_W;
    outb(HOSTILE_MARK + CLASS_USE, 0);
    switch (random_below(8)) {
    case 0 ... 2:
        __asm__ volatile("movq (%1), %0" : "=r"(v) : "r"(a));
        break;
    case 3:
        __asm__ volatile("movb %b0, (%1)" : : "r"(v), "r"(a) : "memory");
        break;
    case 4:
        __asm__ volatile("movq %0, (%1)" : : "r"(v), "r"(a) : "memory");
        break;
    case 5:
        __asm__ volatile("lock orl %k0, (%1)" : : "r"(v), "r"(a & ~3ull) : "memory", "cc");
        break;
    case 6:
        invlpg((const void *)a);
        break;
    default:
        run_table(a);
    }
}

static void clear(u32 n)
{
    u64 *to = frame(n);
    size_t count = ENTRIES;
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0) : "memory");
}

/* An access may end the action; the next one goes on where it left off. */
void action_tables(void)
{
    if (one_in(8))
        clear(1 + random_below(FRAMES - 1));
    for (u32 n = 1 + random_below(6); n; n--)
        write_entry(random_below(FRAMES));
    frame(0)[0] = *(u64 *)(uintptr_t)hostile_root();
    frame(0)[FIRST_PLAY + random_below(4)] = (frames + PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
    if (dares())
        frame(0)[0] = random_entry();
    write_cr3(frames | (one_in(8) ? random_u64() & 0x18 : 0));
    for (u32 n = 1 + random_below(6); n; n--) {
        if (one_in(3))
            write_entry(random_below(FRAMES));
        if (one_in(3))
            write_pieces(1 + random_below(FRAMES - 1));
        hostile_try(use);
    }
    if (dares())
        write_cr3(target());
}
