/*
 * keeper: fills pages with canaries made from its seed, and looks again and again
 * whether one has changed, by itself or through another VM. Between two looks it
 * sleeps. The pages lie from 2 MiB on; word w of page p is mix(seed, p, w), so
 * that whoever reads the machine's memory can tell, too. Runs for ever unless
 * rounds is given. Arguments: pages, hz (looks a second), rounds.
 */
#include "guests/lib/guest.h"

#define FIRST (2 * MIB)
#define WORDS (PAGE_SIZE / sizeof(u64))

static volatile u64 ticks;

static void on_tick(struct trap_frame *frame)
{
    (void)frame;
    ticks = ticks + 1;
    pic_eoi(PIT_LINE);
}

static u64 *page_at(u64 page)
{
    return (u64 *)(uintptr_t)(FIRST + page * PAGE_SIZE);
}

static void fill(u64 seed, u64 pages)
{
    for (u64 p = 0; p < pages; p++)
        for (u64 w = 0; w < WORDS; w++)
            page_at(p)[w] = mix(seed, p, w);
}

/* Words that are no longer what they were. */
static u64 count_changed(u64 seed, u64 pages)
{
    u64 changed = 0;
    for (u64 p = 0; p < pages; p++)
        for (u64 w = 0; w < WORDS; w++)
            changed += *(volatile u64 *)&page_at(p)[w] != mix(seed, p, w);
    return changed;
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("pages hz rounds");
    u64 pages = args_number("pages", 64, 1, 1u << 20);
    u32 hz = (u32)args_number("hz", 20, 19, 1000);
    u64 rounds = args_number("rounds", 0, 0, 1ull << 60), seed = guest_seed();
    guest_needs(FIRST + pages * PAGE_SIZE);
    fill(seed, pages);
    checkpoint("pages", pages);
    trap_set(TRAP_IRQ_BASE + PIT_LINE, on_tick);
    pit_start(hz);
    pic_unmask(PIT_LINE);
    for (u64 n = 1;; n++) {
        check("kept", count_changed(seed, pages), 0);
        if (n == rounds)
            break;
        halt_until_interrupt();
    }
}
