/*
 * greedy: the neighbour from hell. Interrupts off, every line of the PIC masked,
 * the timer reprogrammed to extreme rates without end, never halting. It also
 * checks what it is given: a counter that reads back within its reload value,
 * moves, and never goes up but where it wraps. Runs for ever unless loops is given.
 * Arguments: loops, spin (steps of nothing between two loops), report (loops
 * between two reports), unmask (1: leave the timer's line and interrupts on, at
 * rates whose ticks it can serve; 2: at all rates, and it soon drowns in ticks).
 */
#include "guests/lib/guest.h"

#define READS     8
#define READ_SPIN 400 /* so that some microseconds pass between two readings */
#define DROWNING  2   /* so many of the rates */
#define MAX_WRAPS 2   /* in READS readings of 55 ms: one, and one by being descheduled */

/* Whoever serves each tick of the first two, 1.7 and 2.5 us apart, has no time for
 * anything else; on a real machine neither. */
static const u16 extreme_rates[] = {2, 3, 16, 1193, 11932, 0xffff, 0x8000, 0x0101, 0x00ff, 0xff00};

static struct {
    u64 out_of_range, stuck, unordered;
} wrong;

static volatile u64 ticks;

static void on_tick(struct trap_frame *frame)
{
    (void)frame;
    ticks = ticks + 1;
    pic_eoi(PIT_LINE);
}

static void spin(u64 steps)
{
    while (steps--)
        __asm__ volatile("");
}

/* At an extreme rate only the range can be told. */
static void check_range(u16 reload)
{
    pit_program(PIT_RATE, reload);
    for (int i = 0; i < 2; i++) {
        u16 now = pit_read();
        if (reload && (now == 0 || now > reload))
            wrong.out_of_range++;
    }
}

/* At the slowest rate a run of readings goes down, but for a wrap. */
static void check_order(void)
{
    pit_program(PIT_RATE, 0);
    int ups = 0, equal = 0;
    u32 last = 65536;
    for (int i = 0; i < READS; i++) {
        spin(READ_SPIN);
        u32 now = pit_read();
        now = now ? now : 65536;
        ups += now > last;
        equal += now == last;
        last = now;
    }
    wrong.unordered += ups > MAX_WRAPS;
    wrong.stuck += equal >= READS - 1;
}

static void report(u64 loops)
{
    checkpoint("loops", loops);
    check("range", wrong.out_of_range, 0);
    check("order", wrong.unordered, 0);
    check("moves", wrong.stuck, 0);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("loops spin report unmask");
    u64 loops = args_number("loops", 0, 0, 1ull << 60);
    u64 pause = args_number("spin", 200000, 0, 1ull << 40);
    u32 every = (u32)args_number("report", 100, 1, 1u << 30);
    u64 unmask = args_number("unmask", 0, 0, 2);
    u32 skipped = unmask == 1 ? DROWNING : 0;
    struct rng rng = {guest_seed()};
    print("greedy: interrupts off\n");

    trap_set(TRAP_IRQ_BASE + PIT_LINE, on_tick);
    if (unmask) {
        pic_unmask(PIT_LINE);
        interrupts_on();
    } else {
        interrupts_off();
        outb(0x21, 0xff);
        outb(0xa1, 0xff);
    }
    for (u64 n = 1;; n++) {
        u32 rates = ARRAY_SIZE(extreme_rates) - skipped;
        check_range(extreme_rates[skipped + rng_below(&rng, rates)]);
        check_order();
        if (mod_u64(n, every) == 0 || n == loops)
            report(n);
        if (n == loops)
            break;
        spin(pause);
    }
    interrupts_off();
    if (ticks)
        checkpoint("ticks", ticks);
}
