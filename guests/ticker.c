/*
 * ticker: programs its timer to a rate, computes between the ticks, counts them.
 * Runs for ever unless told otherwise; every tenth of a second of its own time
 * it reports the count. What it computes, a linear congruential sequence, has
 * a closed form: a register or a word that gets lost shows in the result. At
 * its start it asks the VMM for one walk, that of its counter's address.
 * Arguments: hz, seconds or ticks (how long), compute (steps in all; 0: as many
 * as there is time for), halt (1: sleep between the ticks instead).
 */
#include "guests/lib/guest.h"

#define MULTIPLIER 6364136223846793005ull
#define INCREMENT  1442695040888963407ull
#define BATCH      1000

static volatile u64 ticks;

struct sequence {
    u64 x, first, steps, most; /* most: steps in all, 0 for no limit */
};

static void on_tick(struct trap_frame *frame)
{
    (void)frame;
    ticks = ticks + 1;
    pic_eoi(PIT_LINE);
}

/* The n-th value after x, by composing the step with itself log2(n) times. */
static u64 sequence_at(u64 x, u64 n)
{
    u64 a = MULTIPLIER, c = INCREMENT;
    for (; n; n >>= 1) {
        if (n & 1)
            x = a * x + c;
        c = a * c + c;
        a = a * a;
    }
    return x;
}

static bool sequence_done(const struct sequence *s)
{
    return s->most && s->steps >= s->most;
}

static void compute(struct sequence *s)
{
    u64 n = s->most && s->most - s->steps < BATCH ? s->most - s->steps : BATCH;
    for (u64 i = 0; i < n; i++)
        s->x = MULTIPLIER * s->x + INCREMENT;
    s->steps += n;
}

static void check_sequence(const struct sequence *s)
{
    check("compute", s->x, sequence_at(s->first, s->steps));
}

/* Between two ticks: one batch of work, or sleep. */
static void pass_time(struct sequence *s, bool halt)
{
    bool idle = sequence_done(s);
    if (!idle)
        compute(s);
    if (halt || idle)
        halt_until_interrupt();
}

static void run(struct sequence *s, u64 until, u32 report_every, bool halt)
{
    u64 reported = 0;
    while (!until || ticks < until || (s->most && !sequence_done(s))) {
        pass_time(s, halt);
        u64 now = ticks;
        if (now - reported < report_every)
            continue;
        reported = now - now % report_every;
        checkpoint("ticks", now);
        if (!until)
            check_sequence(s);
    }
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("hz seconds ticks compute halt");
    u32 hz = (u32)args_number("hz", 100, 19, PIT_HZ / 2);
    u64 until = args_number("ticks", args_number("seconds", 0, 0, 1000000) * hz, 0, 1ull << 40);
    bool halt = args_number("halt", 0, 0, 1);
    struct sequence s = {.first = guest_seed(), .most = args_number("compute", 0, 0, 1ull << 60)};
    s.x = s.first;
    print("ticker: %u Hz\n", hz);
    ticks = 0; /* touched: its nested page is there before it is walked */
    guest_walk((u64)(uintptr_t)&ticks, WALK_WRITE);

    trap_set(TRAP_IRQ_BASE + PIT_LINE, on_tick);
    pit_start(hz);
    pic_unmask(PIT_LINE);
    u64 start = rdtsc();
    interrupts_on();
    run(&s, until, hz >= 10 ? hz / 10 : 1, halt);
    interrupts_off();

    checkpoint("tsc", rdtsc() - start);
    checkpoint("ticks", ticks);
    checkpoint("steps", s.steps);
    check_sequence(&s);
}
