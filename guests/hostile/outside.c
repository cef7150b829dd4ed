/*
 * Class outside: gPAs where no memory is, reached through this guest's own page
 * tables: read, written, both at once, half inside and half outside, by string
 * instructions, as stack, as page table, and as code.
 */
#include "guests/hostile/hostile.h"

static u64 outside_address(void)
{
    u64 page = OUTSIDE_VA(random_below(OUTSIDE_WINDOWS)) + random_below(512) * PAGE_SIZE;
    return page + (one_in(4) ? PAGE_SIZE - random_below(8) : random_below(PAGE_SIZE));
}

/* The last bytes of memory, then nothing. */
static u64 half_outside(void)
{
    return EDGE_VA(EDGE_OUTSIDE) + PAGE_SIZE - 1 - random_below(7);
}

static void read_or_write(u64 a)
{
    u64 v = random_u64();
    switch (random_below(8)) {
    case 0:
        *(volatile u8 *)a = (u8)v;
        break;
    case 1:
        *(volatile u16 *)a = (u16)v;
        break;
    case 2:
        *(volatile u32 *)a = (u32)v;
        break;
    case 3:
        *(volatile u64 *)a = v;
        break;
    case 4:
        __asm__ volatile("movzbl (%1), %k0" : "=r"(v) : "r"(a));
        break;
    case 5:
        __asm__ volatile("mov (%1), %w0" : "=r"(v) : "r"(a));
        break;
    case 6:
        __asm__ volatile("movslq (%1), %0" : "=r"(v) : "r"(a));
        break;
    default:
        __asm__ volatile("mov (%1), %0" : "=r"(v) : "r"(a));
    }
}

/* The last two forms are more than the VMM emulates: they end the VM. */
static void read_and_write(u64 a)
{
    u64 v = random_u64();
    switch (random_below(dare() ? 7 : 5)) {
    case 0:
        __asm__ volatile("addl %k1, (%0)" : : "r"(a), "r"(v) : "memory", "cc");
        break;
    case 1:
        __asm__ volatile("lock incl (%0)" : : "r"(a) : "memory", "cc");
        break;
    case 2:
        __asm__ volatile("xchg %0, (%1)" : "+r"(v) : "r"(a) : "memory");
        break;
    case 3:
        __asm__ volatile("orb $0x5a, (%0)" : : "r"(a) : "memory", "cc");
        break;
    case 4:
        __asm__ volatile("cmpw %w1, (%0)" : : "r"(a), "r"(v) : "memory", "cc");
        break;
    case 5:
        __asm__ volatile("lock cmpxchg %1, (%0)" : : "r"(a), "r"(v) : "memory", "rax", "cc");
        break;
    default:
        __asm__ volatile("btsl %k1, (%0); lock xadd %1, (%0)" : : "r"(a), "r"(v) : "memory", "cc");
    }
}

static void move_string(u64 a)
{
    u64 to = a, from = SCRATCH_VA + random_below(1024);
    size_t n = random_below(12);
    if (one_in(2)) {
        to = from;
        from = a;
    }
    switch (random_below(4)) {
    case 0:
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        break;
    case 1:
        __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        break;
    case 2:
        __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(0x5a) : "memory");
        break;
    default:
        __asm__ volatile("repe cmpsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
    }
}

/* A push, a pop and a call; the stack comes back by itself if nothing faults. */
static void use_as_stack(u64 a)
{
    u64 kept;
    __asm__ volatile("mov %%rsp, %0; mov %1, %%rsp; push %1; popq (%%rsp); mov %0, %%rsp"
                     : "=&r"(kept)
                     : "r"(a & ~7ull)
                     : "memory");
}

void action_outside(void)
{
    u32 what = random_below(32);
    u64 a = what < 4 ? half_outside() : outside_address();
    if (what < 14)
        read_or_write(a);
    else if (what < 20)
        read_and_write(a);
    else if (what < 25)
        move_string(a);
    else if (what < 28)
        use_as_stack(a);
    else if (!dare()) /* what follows ends the VM */
        read_or_write(a);
    else if (what < 30)
        read_or_write(WALK_VA(1 + random_below(3)) + random_below(4096));
    else
        hostile_run(OUTSIDE_CODE_VA + random_below(4096), 0);
}
