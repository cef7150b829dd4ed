/*
 * Class testport: the test port itself, with numbers that no guest of ours
 * sends. EXIT is left to the deaths; what makes output is rare.
 */
#include "guests/hostile/hostile.h"

static u16 any_test_port(void)
{
    return (u16)(TESTPORT_BASE - 4 + random_below(0x48));
}

static void fill_arguments(void)
{
    for (u32 n = random_below(4); n; n--)
        outl((u16)(TESTPORT_BASE + 4 + 4 * random_below(8)), (u32)random_any());
}

static u32 random_command(void)
{
    for (;;) {
        u32 c = one_in(8) ? (u32)random_any() : random_below(12);
        bool loud = c == TESTPORT_CHECK || c == TESTPORT_CHECKPOINT;
        if (c != TESTPORT_EXIT && (!loud || one_in(16)))
            return c;
    }
}

static u64 walk_address(void)
{
    switch (random_below(6)) {
    case 0:
        return OUTSIDE_VA(random_below(OUTSIDE_WINDOWS)) + random_below(4096);
    case 1:
        return WALK_VA(1 + random_below(3)) + random_below(4096);
    case 2:
        return SCRATCH_VA + random_below(4096);
    case 3:
        return 0x800000000000ull + random_any(); /* not canonical, mostly */
    default:
        return random_any();
    }
}

/* Bytes and words, and strings, where only double words are understood. */
static void wrong_size(void)
{
    u16 port = any_test_port();
    switch (random_below(5)) {
    case 0:
        outb(port, TESTPORT_YIELD);
        break;
    case 1:
        outw(port, TESTPORT_YIELD);
        break;
    case 2:
        (void)inb(port);
        break;
    case 3:
        (void)inw(port);
        break;
    default: {
        const void *from = scratch() + random_below(1024);
        size_t n = random_below(8);
        memset(scratch(), 0xff, 2048); /* command ~0: unknown */
        __asm__ volatile("rep outsl" : "+S"(from), "+c"(n) : "d"(port) : "memory");
    }
    }
}

void action_testport(void)
{
    switch (random_below(5)) {
    case 0:
        wrong_size();
        break;
    case 1:
        (void)inl(any_test_port());
        break;
    case 2:
        testport_call(TESTPORT_WALK, walk_address(), random_any());
        break;
    default:
        fill_arguments();
        outl(TESTPORT_BASE, random_command());
        (void)inl((u16)(TESTPORT_BASE + 4));
    }
}
