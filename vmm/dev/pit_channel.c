/*
 * One channel of the virtual 8254. Nothing here ticks: what a counter shows
 * follows from when it was loaded and what the VM's clock says now.
 */
#include "vmm/dev/pit_channel.h"

#include "kernel/muldiv.h"
#include "kernel/todo.h"
#include "vmm/time/vtimer.h"

#define STATUS_OUT  0x80
#define STATUS_NULL 0x40

/* --- Counting -------------------------------------------------------------- */

u64 pit_clocks(u64 from, u64 to)
{
    return to > from ? muldiv(to - from, PIT_HZ, NS_PER_SEC) : 0;
}

u64 pit_elapsed(const struct pit_channel *ch, u64 now)
{
    bool counting = ch->gate || pit_gate_triggers(ch);

    return ch->done + (counting ? pit_clocks(ch->start, now) : 0);
}

/* Mode 3 counts down by two, twice a period; an odd count has its first half
 * one clock longer, and both begin at count - 1. */
static u32 square_wave(u32 reload, u32 phase)
{
    u32 first_half = (reload + 1) / 2;

    if (phase >= first_half)
        phase -= first_half;
    return (reload & ~1u) - 2 * phase;
}

/* All other modes count down once and then on past 0, as the register does. */
static u32 once(const struct pit_channel *ch, u64 clocks)
{
    u32 modulus = ch->bcd ? 10000 : 65536;

    if (clocks <= ch->reload)
        return ch->reload - (u32)clocks;
    return modulus - (u32)((clocks - ch->reload) % modulus);
}

u32 pit_count(const struct pit_channel *ch, u64 now)
{
    /* LAB 2 BEGIN: what the counter shows by the VM's clock, in modes 2, 3 and all others. */
    u64 clocks = pit_elapsed(ch, now);

    if (!ch->running)
        return ch->reload;
    if (ch->mode == 2)
        return ch->reload - (u32)(clocks % ch->reload);
    if (ch->mode == 3)
        return square_wave(ch->reload, (u32)(clocks % ch->reload));
    return once(ch, clocks);
    /* LAB 2 END: todo(2, "2.6", ch, now, square_wave, once); */
}

bool pit_output(const struct pit_channel *ch, u64 now)
{
    if (!ch->running)
        return ch->mode != 0;
    u64 e = pit_elapsed(ch, now);
    switch (ch->mode) {
    case 2:
        return e % ch->reload != ch->reload - 1;
    case 3:
        return e % ch->reload < (ch->reload + 1) / 2;
    case 0:
    case 1:
        return e >= ch->reload;
    default:
        return e != ch->reload;
    }
}

/* --- Reading --------------------------------------------------------------- */

static u16 to_bcd(u32 n)
{
    return (u16)(n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12);
}

/* The count as the guest sees it: 16 bits, in BCD if the channel counts so. */
static u16 count_register(const struct pit_channel *ch, u64 now)
{
    u32 count = pit_count(ch, now);

    return ch->bcd ? to_bcd(count) : (u16)count;
}

void pit_latch_count(struct pit_channel *ch, u64 now)
{
    /* LAB 2 BEGIN: keep the count of this moment until it is read, unless one is kept already. */
    if (ch->latched)
        return;
    ch->latched = true;
    ch->latch = count_register(ch, now);
    /* LAB 2 END: todo(2, "2.6", ch, now, count_register); */
}

void pit_latch_status(struct pit_channel *ch, u64 now)
{
    if (ch->status_latched)
        return;
    ch->status_latched = true;
    ch->status = (u8)((pit_output(ch, now) ? STATUS_OUT : 0) | (ch->running ? 0 : STATUS_NULL) |
                      ch->access << 4 | ch->mode << 1 | ch->bcd);
}

u8 pit_read(struct pit_channel *ch, u64 now)
{
    /* LAB 2 BEGIN: a latched status first; else one half of the latch or of the live count. */
    if (ch->status_latched) {
        ch->status_latched = false;
        return ch->status;
    }
    u16 value = ch->latched ? ch->latch : count_register(ch, now);
    bool high = ch->access == PIT_HIGH || (ch->access == PIT_BOTH && ch->read_high);

    if (ch->access == PIT_BOTH)
        ch->read_high = !ch->read_high;
    if (!ch->read_high)
        ch->latched = false;
    return (u8)(high ? value >> 8 : value);
    /* LAB 2 END: todo(2, "2.6", ch, now, count_register); */
}

/* --- Writing --------------------------------------------------------------- */

bool pit_write(struct pit_channel *ch, u8 value, u16 *count)
{
    /* LAB 2 BEGIN: one half of a count, or the only one; with both, the low half waits. */
    if (ch->access == PIT_BOTH && !ch->write_high) {
        ch->write_high = true;
        ch->low = value;
        return false;
    }
    ch->write_high = false;
    *count = value;
    if (ch->access != PIT_LOW)
        *count = (u16)(value << 8);
    if (ch->access == PIT_BOTH)
        *count |= ch->low;
    return true;
    /* LAB 2 END: todo(2, "2.4", ch, value, count); */
}
