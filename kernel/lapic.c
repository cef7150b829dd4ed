/*
 * The local APIC: switched on, its timer measured against the TSC and used as
 * a one-shot; all else masked. Source: AMD64 Manual vol. 2, 16.3, 16.4.
 */
#include "kernel/lapic.h"
#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/panic.h"
#include "kernel/trace.h"
#include "kernel/trap.h"

#define LAPIC_BASE    0xfee00000ull
#define REG_EOI       0x0b0
#define REG_SVR       0x0f0
#define REG_LVT_TIMER 0x320
#define REG_LVT_LINT0 0x350
#define REG_INITIAL   0x380
#define REG_CURRENT   0x390
#define REG_DIVIDE    0x3e0
#define SVR_ENABLE    0x100
#define LVT_MASKED    0x10000
#define DIVIDE_BY_1   0x0b

volatile bool timer_has_fired;
static u64 timer_hz; /* counts per second */
static u64 armed_at; /* ~0: not armed */

static void lapic_write(u32 reg, u32 v)
{
    *(volatile u32 *)(LAPIC_BASE + reg) = v;
}

static u32 lapic_read(u32 reg)
{
    return *(volatile u32 *)(LAPIC_BASE + reg);
}

static void on_timer(void)
{
    timer_has_fired = true;
    armed_at = ~0ull;
    lapic_write(REG_EOI, 0);
}

static void on_spurious(void)
{
}

/* Both counters, the one so long after the other at each call: not inlined. */
static __attribute__((noinline)) u32 read_both(u64 *tsc)
{
    *tsc = clock_tsc();
    return lapic_read(REG_CURRENT);
}

/* Count for a known number of TSC ticks: 1/1000 s. */
static void measure(void)
{
    u64 wait = clock_hz / 1000, from, until;

    lapic_write(REG_INITIAL, 0xffffffff);
    u32 start = read_both(&from);
    while (clock_tsc() - from < wait)
        ;
    u32 counted = start - read_both(&until);
    u64 took = until - from;
    lapic_write(REG_INITIAL, 0);
    timer_hz = muldiv(counted, clock_hz, took);
    if (!timer_hz)
        panic("the local APIC's timer does not count");
}

void lapic_init(void)
{
    trap_set_handler(VECTOR_TIMER, on_timer);
    trap_set_handler(VECTOR_SPURIOUS, on_spurious);
    lapic_write(REG_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
    lapic_write(REG_LVT_LINT0, LVT_MASKED);
    lapic_write(REG_DIVIDE, DIVIDE_BY_1);
    lapic_write(REG_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
    measure();
    lapic_write(REG_LVT_TIMER, VECTOR_TIMER);
    armed_at = ~0ull;
}

u64 timer_armed(void)
{
    return armed_at;
}

void timer_arm(u64 at)
{
    if (at == armed_at && !timer_has_fired)
        return;
    timer_has_fired = false;
    armed_at = at;
    if (at == ~0ull) {
        lapic_write(REG_INITIAL, 0);
        return;
    }
    u64 now = clock_now();
    u64 wait = at > now ? at - now : 1;
    u64 count = (timer_hz == NS_PER_SEC ? wait : muldiv(wait, timer_hz, NS_PER_SEC)) + 1;
    lapic_write(REG_INITIAL, (u32)min_u64(count, 0xffffffff));
    TRACE(host_timer, 0, 0, .at = clock_base + clock_ns_to_tsc(at));
}
