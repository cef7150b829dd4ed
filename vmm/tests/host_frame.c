/*
 * kernel/frame.h for unit tests: a pool of 16 MiB. Every frame has an owner,
 * as in the kernel; frames that are free are poisoned for AddressSanitizer,
 * so that the use of a frame after it was given back is found.
 */
#include <sanitizer/asan_interface.h>
#include <string.h>
#include "kernel/frame.h"
#include "kernel/panic.h"
#include "vmm/tests/host.h"

#define FRAMES 4096

static u8 pool[FRAMES * PAGE_SIZE] __attribute__((aligned(1 << 21)));
static owner_t owners[FRAMES];
static s64 allowance = -1;
static bool poisoned;

static void pool_begin(void)
{
    if (!poisoned)
        ASAN_POISON_MEMORY_REGION(pool, sizeof(pool));
    poisoned = true;
}

static u8 *frame(u64 i)
{
    return pool + i * PAGE_SIZE;
}

/* The number of a frame; panics for what is not ours. */
static u64 frame_number(hpa_t a)
{
    u64 off = a.v - (uintptr_t)pool;

    if (off >= sizeof(pool) || off % PAGE_SIZE)
        panic("0x%llx is no frame of the pool", (unsigned long long)a.v);
    return off / PAGE_SIZE;
}

static bool run_is_free(u64 first, u64 n)
{
    for (u64 i = first; i < first + n; i++)
        if (owners[i] != OWNER_FREE)
            return false;
    return true;
}

hpa_t frames_alloc(u64 n, u64 align, owner_t owner)
{
    pool_begin();
    ASSERT(n && owner != OWNER_FREE);
    if (allowance == 0)
        return hpa(0);
    for (u64 i = 0; i + n <= FRAMES; i++) {
        if ((uintptr_t)frame(i) % align || !run_is_free(i, n))
            continue;
        for (u64 j = i; j < i + n; j++)
            owners[j] = owner;
        ASAN_UNPOISON_MEMORY_REGION(frame(i), n * PAGE_SIZE);
        memset(frame(i), 0xdb, n * PAGE_SIZE);
        if (allowance > 0)
            allowance--;
        return ptr_hpa(frame(i));
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

static void frame_release(u64 i)
{
    owners[i] = OWNER_FREE;
    ASAN_POISON_MEMORY_REGION(frame(i), PAGE_SIZE);
}

void frames_free(hpa_t first, u64 n, owner_t owner)
{
    for (u64 i = 0; i < n; i++) {
        u64 number = frame_number(hpa(first.v + i * PAGE_SIZE));
        if (owners[number] != owner)
            panic("frame %llu is owned by 0x%x, not 0x%x", (unsigned long long)number,
                  owners[number], owner);
        frame_release(number);
    }
}

u64 frames_owned(owner_t owner)
{
    u64 n = 0;

    for (u64 i = 0; i < FRAMES; i++)
        n += owners[i] == owner;
    return n;
}

u64 host_frames_free(void)
{
    return frames_owned(OWNER_FREE);
}

void host_frames_fail_after(s64 n)
{
    allowance = n;
}
