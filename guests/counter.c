/*
 * counter: reads the timer's counter back in every way there is, and holds each
 * reading against the TSC: it was made between two readings of that, so it must
 * lie between two counts. So it tells a counter that is another clock's, jumps,
 * runs at another rate, or was not held by the latch; also across being
 * descheduled, if TSC and timer are of one view (both wall, or both apparent).
 * Arguments: rounds, tschz.
 */
#include "guests/lib/guest.h"

#define CHANNEL0    0x40
#define CONTROL     0x43
#define LATCH       0x00
#define BACK        0xc2 /* read-back of channel 0: count and status */
#define BACK_STATUS 0xe2
#define LOW         0x10
#define HIGH        0x20
#define BOTH        0x30
#define SLACK       2 /* clocks: one lost to rounding at either end */
#define ORDER       64

static u64 tsc_hz;

/* When the count was loaded, and latched: between these readings of the TSC. */
struct span {
    u64 from, to;
};

struct range {
    u64 least, most; /* clocks since the load */
};

static u64 clocks(u64 tsc)
{
    return tsc * PIT_HZ / tsc_hz;
}

static void wait_clocks(u64 n)
{
    u64 until = rdtsc() + n * tsc_hz / PIT_HZ;
    while (rdtsc() < until)
        cpu_spin(200);
}

static struct span load(u8 access, u8 mode, u16 reload)
{
    struct span s = {.from = rdtsc()};
    outb(CONTROL, (u8)(access | mode << 1));
    if (access & LOW)
        outb(CHANNEL0, (u8)reload);
    if (access & HIGH)
        outb(CHANNEL0, (u8)(reload >> 8));
    s.to = rdtsc();
    return s;
}

static struct span command(u8 value)
{
    struct span s = {.from = rdtsc()};
    outb(CONTROL, value);
    s.to = rdtsc();
    return s;
}

static u16 read_both(void)
{
    u8 low = inb(CHANNEL0);
    return (u16)(low | inb(CHANNEL0) << 8);
}

static struct range between(struct span loaded, struct span latched)
{
    return (struct range){clocks(latched.from - loaded.to), clocks(latched.to - loaded.from)};
}

/* Can so many clocks, modulo the period, have passed? */
static bool possible(u64 passed, u64 period, struct range r)
{
    u64 ahead = (passed + period - r.least % period + SLACK) % period;
    return ahead <= r.most - r.least + 2 * SLACK;
}

/* Does a count of that mode fit? The square wave counts by two, twice a period. */
static bool fits(u8 mode, u32 reload, u16 value, struct range r)
{
    if (mode == PIT_RATE)
        return value && value <= reload && possible(reload - value, reload, r);
    if (mode == PIT_SQUARE)
        return value % 2 == 0 && value <= reload && possible((reload - value) / 2, reload / 2, r);
    return possible((u16)(reload - value), 65536, r); /* on past 0, as 16 bits do */
}

/* --- What is tried ---------------------------------------------------------------- */

/* Latch, read, three times after one load: a latch that was read lets go. */
static void try_value(struct rng *rng)
{
    static const u8 modes[] = {PIT_RATE, PIT_SQUARE, PIT_ONE_SHOT};
    u8 mode = modes[rng_below(rng, ARRAY_SIZE(modes))];
    u32 reload = 2 * (500 + rng_below(rng, 12000)), wrong = 0;
    struct span loaded = load(BOTH, mode, (u16)reload);
    for (int i = 0; i < 3; i++) {
        wait_clocks(rng_below(rng, reload + reload / 4));
        struct range r = between(loaded, command(LATCH));
        wrong += !fits(mode, reload, read_both(), r);
    }
    check("value", wrong, 0);
}

/* Time passes after the latch, and a second latch command comes: neither shows. */
static void try_latch(struct rng *rng)
{
    u32 reload = 20000 + rng_below(rng, 40000);
    struct span loaded = load(BOTH, PIT_RATE, (u16)reload);
    wait_clocks(rng_below(rng, reload));
    struct range r = between(loaded, command(LATCH));
    wait_clocks(200 + rng_below(rng, 2000));
    command(LATCH);
    u8 low = inb(CHANNEL0);
    wait_clocks(400);
    u16 value = (u16)(low | inb(CHANNEL0) << 8);
    check("latch", fits(PIT_RATE, reload, value, r), true);
}

/* Readings one after the other: each as much further as the time that passed. */
static void try_order(void)
{
    u32 wrong = 0;
    struct span loaded = load(BOTH, PIT_RATE, 0), last = loaded;
    u16 before = 0;
    for (int i = 0; i < ORDER; i++) {
        struct span now = command(LATCH);
        u16 value = read_both();
        wrong += !possible((u16)(before - value), 65536, between(last, now));
        before = value;
        last = now;
    }
    check("order", wrong, 0);
}

/* Only the low half is written and read, only the high half. */
static void try_halves(struct rng *rng)
{
    u32 low = 100 + rng_below(rng, 150), high = 0x30 + rng_below(rng, 0xc0);
    struct span loaded = load(LOW, PIT_RATE, (u16)low);
    wait_clocks(rng_below(rng, 1000));
    struct range r = between(loaded, command(LATCH));
    u8 value = inb(CHANNEL0);
    check("low", fits(PIT_RATE, low, value, r), true);
    loaded = load(HIGH, PIT_RATE, (u16)(high << 8));
    wait_clocks(rng_below(rng, high << 8));
    r = between(loaded, command(LATCH));
    value = inb(CHANNEL0);
    u32 passed = (high << 8) - (value << 8 | 0xff); /* to 255 more */
    check("high",
          possible(passed, high << 8, (struct range){r.least - r.least % 256, r.most}) ||
              possible(passed + 255, high << 8, (struct range){r.least, r.most + 255}),
          true);
}

/* The read-back command: first the status, then the count of the same moment. */
static void try_status(struct rng *rng)
{
    u8 mode = rng_below(rng, 2) ? PIT_RATE : PIT_SQUARE;
    u32 reload = 2 * (10000 + rng_below(rng, 20000));
    struct span loaded = load(BOTH, mode, (u16)reload);
    wait_clocks(rng_below(rng, reload));
    command(BACK_STATUS);
    u8 alone = inb(CHANNEL0);
    struct range r = between(loaded, command(BACK));
    wait_clocks(300);
    u8 status = inb(CHANNEL0);
    u16 value = read_both();
    check("status", status & 0x3fu, (u8)(BOTH | mode << 1));
    check("alone", alone & 0x3fu, (u8)(BOTH | mode << 1));
    check("back", fits(mode, reload, value, r), true);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("rounds tschz");
    u32 rounds = (u32)args_number("rounds", 4, 1, 100000);
    tsc_hz = args_number("tschz", 1000000000, 1000000, 4000000000u);
    struct rng rng = {guest_seed()};
    for (u32 n = 0; n < rounds; n++) {
        try_value(&rng);
        try_latch(&rng);
        try_order();
        try_halves(&rng);
        try_status(&rng);
    }
    checkpoint("rounds", rounds);
}
