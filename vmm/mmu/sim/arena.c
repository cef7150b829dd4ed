/*
 * kernel/frame.h for a program: one piece of memory, each frame with its owner. A
 * frame that is given back by who does not own it ends the program, as it would
 * end the machine.
 */
#include "vmm/mmu/sim/arena.h"
#include <string.h>
#include <sys/mman.h>
#include "kernel/panic.h"

static owner_t owners[ARENA_FRAMES];
static u64 allowance;

bool arena_begin(void)
{
    void *at = mmap((void *)ARENA_BASE, ARENA_FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);

    return at == (void *)ARENA_BASE;
}

void arena_reset(u64 allowed)
{
    for (u64 i = 0; i < ARENA_FRAMES; i++)
        if (owners[i] != OWNER_FREE)
            memset(hpa_ptr(hpa(ARENA_BASE + i * PAGE_SIZE)), 0, PAGE_SIZE);
    memset(owners, 0, sizeof(owners));
    allowance = allowed;
}

void arena_allow(u64 frames)
{
    allowance = frames;
}

u64 *arena_word(u64 at)
{
    bool inside = at - ARENA_BASE < ARENA_FRAMES * PAGE_SIZE;

    return inside && at % sizeof(u64) == 0 ? hpa_ptr(hpa(at)) : NULL;
}

static bool run_is_free(u64 first, u64 n)
{
    for (u64 i = first; i < first + n; i++)
        if (owners[i] != OWNER_FREE)
            return false;
    return true;
}

/* Neither the first frame nor neighbours: an address that is off by one finds nothing. */
hpa_t frames_alloc(u64 n, u64 align, owner_t owner)
{
    (void)align; /* to pages, which is all that is asked here */
    if (allowance < n)
        return hpa(0);
    for (u64 i = 1; i + n <= ARENA_FRAMES; i += 2) {
        if (!run_is_free(i, n))
            continue;
        for (u64 j = i; j < i + n; j++)
            owners[j] = owner;
        allowance -= n;
        return hpa(ARENA_BASE + i * PAGE_SIZE);
    }
    return hpa(0);
}

hpa_t frame_alloc_zeroed(owner_t owner)
{
    hpa_t a = frames_alloc(1, PAGE_SIZE, owner);

    if (a.v)
        memset(hpa_ptr(a), 0, PAGE_SIZE);
    return a;
}

void frames_free(hpa_t first, u64 n, owner_t owner)
{
    for (u64 at = first.v; at < first.v + n * PAGE_SIZE; at += PAGE_SIZE) {
        u64 i = (at - ARENA_BASE) / PAGE_SIZE;
        if (at % PAGE_SIZE || i >= ARENA_FRAMES || owners[i] != owner)
            panic("the frame at 0x%llx is given back, but is no table of this VM",
                  (unsigned long long)at);
        owners[i] = OWNER_FREE;
    }
}

u64 frames_owned(owner_t owner)
{
    u64 n = 0;

    for (u64 i = 0; i < ARENA_FRAMES; i++)
        n += owners[i] == owner;
    return n;
}
