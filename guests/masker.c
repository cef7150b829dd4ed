/*
 * masker: takes no tick for a seeded number of whole periods, in one of three
 * ways: interrupts off, the line masked, the last tick not ended. Then it takes
 * ticks again and checks how many come, and when, as the tick policy says
 * (vmm/time/vtimer.h). Spans begin and end amid a period, so it knows by its TSC
 * how many ticks fell due: TSC and timer must be of one view, and under wall the
 * VM must be alone. It needs policy= as the VM has it in ticks=.
 * Arguments: policy, hz, rounds, least and most (periods), ways (bits), tschz.
 */
#include "guests/lib/guest.h"

enum { WAY_FLAG, WAY_MASK, WAY_SERVICE, WAYS };

#define COMMAND 0x20
#define EOI     0x20
#define EARLY   8 /* within a period / EARLY is at once, or in phase */

static u64 tsc_hz, start, period; /* ticks of the TSC */
static u32 reload;

static volatile u64 ticks, last_tick, unphased, caught;
static volatile bool keep, watching;
static u64 ticks_before, due_before, unblocked;

/* Ticks due by then, since the timer was started. */
static u64 due_by(u64 tsc)
{
    return (tsc - start) * PIT_HZ / (reload * tsc_hz);
}

static void on_tick(struct trap_frame *frame)
{
    (void)frame;
    u64 now = rdtsc(), phase = (now - start) % period;
    ticks = ticks + 1;
    last_tick = now;
    unphased += phase > period / EARLY && phase < period - period / EARLY;
    if (watching && !caught && ticks - ticks_before == due_by(now) - due_before)
        caught = now - unblocked;
    if (!keep)
        outb(COMMAND, EOI);
    keep = false;
}

static void wait_until(u64 tsc)
{
    while (rdtsc() < tsc)
        cpu_spin(500);
}

/* The middle of a period, give or take a fifth, so many periods from now. */
static u64 amid(struct rng *rng, u64 periods)
{
    u64 n = (rdtsc() - start) / period + periods;
    return start + n * period + period * (300 + rng_below(rng, 400)) / 1000;
}

static void block(int way)
{
    if (way == WAY_FLAG)
        interrupts_off();
    if (way == WAY_MASK)
        pic_mask(PIT_LINE);
    if (way == WAY_SERVICE) { /* a tick that is not ended, then amid the same period */
        u64 before = ticks, until = rdtsc() + 2 * period;
        keep = true;
        while (ticks == before && rdtsc() < until)
            cpu_spin(500);
        wait_until(rdtsc() + period / 2);
    }
}

static void unblock(int way)
{
    unblocked = rdtsc();
    if (way == WAY_FLAG)
        interrupts_on();
    if (way == WAY_MASK)
        pic_unmask(PIT_LINE);
    if (way == WAY_SERVICE)
        outb(COMMAND, EOI);
}

/* How long slew takes for all but the first of k: the sum of its gaps. */
static u64 catching_up(u64 k)
{
    u64 sum = 0;
    for (u64 left = k - 1; left; left--)
        sum += period / ((left < 7 ? left : 7) + 1);
    return sum;
}

static u64 distance(u64 a, u64 b)
{
    return a > b ? a - b : b - a;
}

/* What must be so once everything that was late is treated. */
static void judge(const char *policy, u64 k, u64 came)
{
    u64 due = due_by(rdtsc()) - due_before, lost = policy[0] == 's' ? 0 : k - 1;
    if (policy[0] == 'd' && policy[1] == 'i')
        lost = k;
    check("ticks", came, due - lost);
    if (policy[0] == 's')
        check("slew", caught && distance(caught, catching_up(k)) < period / EARLY, true);
    else
        check("phase", unphased, lost == k ? 0 : 1); /* one came at once, all others in phase */
}

static void try_span(struct rng *rng, const char *policy, int way, u32 least, u32 most)
{
    u64 k = least + rng_below(rng, most - least + 1);
    wait_until(amid(rng, 1));
    block(way);
    ticks_before = ticks;
    due_before = due_by(rdtsc());
    wait_until(amid(rng, k));
    u64 early = ticks - ticks_before;
    k = due_by(rdtsc()) - due_before;
    unphased = caught = 0;
    watching = true;
    unblock(way);
    wait_until(unblocked + period / EARLY);
    u64 at_once = ticks - ticks_before;
    wait_until(amid(rng, most + 3));
    watching = false;
    check("early", early, 0);
    if (policy[0] != 's' || k == 1) /* slew: the second may come as soon */
        check("atonce", at_once, policy[0] == 'd' && policy[1] == 'i' ? 0 : 1);
    judge(policy, k, ticks - ticks_before);
}

void guest_main(const struct multiboot_info *info)
{
    char policy[16];
    (void)info;
    args_allow("policy hz rounds least most ways tschz");
    args_word("policy", "delay", policy, sizeof(policy));
    u32 hz = (u32)args_number("hz", 1000, 100, 2000);
    u32 rounds = (u32)args_number("rounds", 6, 1, 10000);
    u32 most = (u32)args_number("most", 9, 1, 100);
    u32 least = (u32)args_number("least", 1, 1, most);
    u32 ways = (u32)args_number("ways", 7, 1, 7);
    tsc_hz = args_number("tschz", 1000000000, 1000000, 4000000000u);
    struct rng rng = {guest_seed()};

    trap_set(TRAP_IRQ_BASE + PIT_LINE, on_tick);
    pic_unmask(PIT_LINE);
    reload = pit_start(hz);
    start = rdtsc();
    period = reload * tsc_hz / PIT_HZ;
    interrupts_on();
    for (u32 n = 0; n < rounds; n++) {
        int way = (int)rng_below(&rng, WAYS);
        while (!(ways >> way & 1))
            way = (way + 1) % WAYS;
        try_span(&rng, policy, way, least, most);
    }
    interrupts_off();
    checkpoint("due", due_by(rdtsc()));
    checkpoint("ticks", ticks);
}
