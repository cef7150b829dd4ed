/*
 * bench: what an exit costs, seen from inside, in ticks of the TSC. Reported are
 * the mean of the best batch (NAME) and of the worst one (NAMEmax): guests/lib/measure.h.
 * Operations: cpuid; out (to port 0x80, which nobody owns); npf (first touch of a
 * page); yield (to the other VM and back: needs yielder beside it).
 * Arguments: batches, rounds (operations a batch), pages (for npf), yields (0: leave out).
 */
#include "guests/lib/guest.h"
#include "guests/lib/measure.h"

#define PORT_NOBODY 0x80
#define NPF_BATCH   32

/* CPUID needs its leaf anew each time: that is part of its floor. */
static inline void op_leaf(u32 i)
{
    (void)i;
    __asm__ volatile("xor %%eax, %%eax; xor %%ecx, %%ecx"
                     :
                     :
                     : "eax", "ecx", "ebx", "edx", "memory");
}
static inline void op_cpuid(u32 i)
{
    (void)i;
    __asm__ volatile("xor %%eax, %%eax; xor %%ecx, %%ecx; cpuid"
                     :
                     :
                     : "eax", "ecx", "ebx", "edx", "memory");
}
static inline void op_out(u32 i)
{
    (void)i;
    __asm__ volatile("outb %%al, %0" : : "i"(PORT_NOBODY) : "memory");
}
static inline void op_yield(u32 i)
{
    (void)i;
    __asm__ volatile("outl %0, %1" : : "a"(TESTPORT_YIELD), "d"((u16)TESTPORT_BASE) : "memory");
}

static u64 touch(const volatile u8 *first, u32 pages)
{
    u64 start = rdtsc();
    for (u32 i = 0; i < pages; i++)
        (void)first[i * PAGE_SIZE];
    return rdtsc() - start;
}

/* Pages from 4 MiB on: nobody has touched them; a second round is the floor. */
static void measure_npf(u64 pages)
{
    struct measured m = MEASURED_NONE;
    u64 room = (guest_memory_end() - 4 * MIB) / PAGE_SIZE;
    if (guest_memory_end() < 4 * MIB || room < NPF_BATCH || pages < NPF_BATCH)
        return;
    pages = pages < room ? pages : room;
    volatile u8 *at = (volatile u8 *)(4 * MIB);
    touch(at, 1); /* the tables above the first page are made with it */
    at += PAGE_SIZE;
    for (u64 i = 0; i + NPF_BATCH < pages; i += NPF_BATCH, at += NPF_BATCH * PAGE_SIZE) {
        u64 fresh = touch(at, NPF_BATCH), again = touch(at, NPF_BATCH);
        measured_add(&m, fresh - again);
    }
    report("npf", "npfmax", m, 0, NPF_BATCH);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("batches rounds pages yields");
    u32 batches = (u32)args_number("batches", 16, 1, 100000);
    u32 rounds = (u32)args_number("rounds", 64, 1, 100000);
    u64 pages = args_number("pages", 1024, 0, 1u << 20);
    u64 yields = args_number("yields", testport_present(), 0, 1);

    u64 floor = measure(op_nothing, batches, rounds).best;
    checkpoint("floor", mean(floor, 0, rounds));
    u64 leaf_floor = measure(op_leaf, batches, rounds).best;
    report("cpuid", "cpuidmax", measure(op_cpuid, batches, rounds), leaf_floor, rounds);
    report("out", "outmax", measure(op_out, batches, rounds), floor, rounds);
    measure_npf(pages);
    if (yields)
        report("yield", "yieldmax", measure(op_yield, batches, rounds), floor, rounds);
    check("done", batches, batches);
}
