/*
 * probe: compares its time sources, window by window: the TSC, the timer's
 * counter (read back and unwrapped), and the ticks that arrive. Each pair is
 * reported in parts per million (1000000: they agree). It also looks for holes
 * in the TSC, by which a guest sees that it was descheduled.
 * The counter can be unwrapped only if the VM is never away for a whole period:
 * hence the low default rate.
 * Arguments: hz, windows, ticks (length of a window, in periods), tschz.
 */
#include "guests/lib/guest.h"

#define PPM       1000000u
#define LOOKS     10000 /* TSC readings between two looks at the counter */
#define GAP_FLOOR 5000  /* nanoseconds: a longer gap is a hole, not an exit or a tick */

static volatile u64 ticks;
static u32 tsc_hz, reload;

struct moment {
    u64 tsc, ticks, pit, periods; /* pit: input clocks since the start; periods: times it wrapped */
    u32 count;
};

static struct {
    u64 least, most, holes, backwards;
} gaps = {.least = ~0ull};

static u64 counter_out_of_range;

static void on_tick(struct trap_frame *frame)
{
    (void)frame;
    ticks = ticks + 1;
    pic_eoi(PIT_LINE);
}

/* n x PPM / d, for operands of any size: both lose low bits alike until they fit. */
static u64 ratio_ppm(u64 n, u64 d)
{
    while (n >> 43 || d >> 32) {
        n >>= 1;
        d >>= 1;
    }
    return d ? div_u64(n * PPM, (u32)d) : 0;
}

static u64 clocks_to_tsc(u64 clocks)
{
    return div_u64(clocks * tsc_hz, PIT_HZ);
}

static u32 read_counter(void)
{
    u32 n = pit_read();
    n = n ? n : 65536;
    counter_out_of_range += n > reload;
    return n;
}

/* Read the TSC over and over; note how far apart readings are. */
static void watch_tsc(u64 hole)
{
    u64 last = rdtsc();
    for (int i = 0; i < LOOKS; i++) {
        u64 now = rdtsc(), gap = now - last;
        gaps.backwards += now < last;
        gaps.least = gap < gaps.least ? gap : gaps.least;
        gaps.most = gap > gaps.most ? gap : gaps.most;
        gaps.holes += gap > hole;
        last = now;
    }
}

/* Bring m up to date: called at least once a period. */
static void look(struct moment *m)
{
    u32 now = read_counter();
    bool wrapped = now > m->count;
    m->pit += m->count - now + (wrapped ? reload : 0);
    m->periods += wrapped;
    m->count = now;
    m->ticks = ticks;
    m->tsc = rdtsc();
}

static void report(const struct moment *from, const struct moment *to)
{
    u64 ticked = to->ticks - from->ticks, periods = to->periods - from->periods;
    u64 by_pit = ratio_ppm(to->tsc - from->tsc, clocks_to_tsc(to->pit - from->pit));
    checkpoint("tsc/pit", by_pit);
    checkpoint("tick/pit", ratio_ppm(ticked, periods));
    checkpoint("tsc/tick", ticked ? div_u64(by_pit * periods, (u32)ticked) : 0);
}

/* Watch until that many input clocks have passed. */
static void pass(struct moment *m, u64 clocks)
{
    u64 hole = (u64)tsc_hz / 1000 * GAP_FLOOR / 1000000;
    u64 end = m->pit + clocks;
    while (m->pit < end) {
        watch_tsc(hole);
        look(m);
    }
}

/* Half a period after a tick: there windows begin and end, so that no tick is in doubt. */
static struct moment first_moment(void)
{
    halt_until_interrupt();
    struct moment m = {.count = read_counter()};
    pass(&m, reload / 2);
    return m;
}

static void report_gaps(void)
{
    checkpoint("gapmin", gaps.least);
    checkpoint("gapmax", gaps.most);
    checkpoint("holes", gaps.holes);
    check("tscback", gaps.backwards, 0);
    check("pitrange", counter_out_of_range, 0);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("hz windows ticks tschz");
    u32 hz = (u32)args_number("hz", 20, 19, 10000);
    u32 windows = (u32)args_number("windows", 3, 1, 10000);
    u32 periods = (u32)args_number("ticks", 5, 1, 10000);
    tsc_hz = (u32)args_number("tschz", 1000000000, 1000000, 4000000000u);

    trap_set(TRAP_IRQ_BASE + PIT_LINE, on_tick);
    reload = pit_start(hz);
    pic_unmask(PIT_LINE);
    interrupts_on();
    struct moment now = first_moment(), start = now;
    for (u32 w = 0; w < windows; w++) {
        struct moment from = now;
        pass(&now, (u64)periods * reload);
        report(&from, &now);
    }
    interrupts_off();
    checkpoint("periods", now.periods - start.periods);
    checkpoint("ticks", now.ticks - start.ticks);
    checkpoint("tsc", now.tsc - start.tsc);
    report(&start, &now);
    report_gaps();
}
