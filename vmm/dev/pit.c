/*
 * The virtual interval timer: what an 8254 would show, computed from the VM's
 * clock whenever the guest looks. The guest never sees the real one.
 *
 * Channel 0's programming goes on to the vtimer, which counts its ticks.
 * Channel 1 (refresh) only shows in port 0x61. Source: Intel 8254 data sheet.
 */
#include "vmm/dev/pit.h"

#include "kernel/panic.h"
#include "kernel/muldiv.h"

#define CHANNEL0    0x40
#define CONTROL     0x43
#define SYSTEM_PORT 0x61

#define SPEAKER_CHANNEL 2
#define SYSTEM_GATE     0x01
#define SYSTEM_SPEAKER  0x02
#define SYSTEM_REFRESH  0x10
#define SYSTEM_OUT      0x20
#define REFRESH_CLOCKS  18 /* about 15 us */

#define READ_BACK           3
#define READ_BACK_NO_COUNT  0x20
#define READ_BACK_NO_STATUS 0x10
#define STATUS_OUT          0x80
#define STATUS_NULL         0x40

enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

/* --- Counting -------------------------------------------------------------- */

/* Modes 1 and 5 wait for the gate to rise; it stops all others while low. */
static bool gate_triggers(const struct pit_channel *ch)
{
    return ch->mode == 1 || ch->mode == 5;
}

static bool is_periodic(const struct pit_channel *ch)
{
    return ch->mode == 2 || ch->mode == 3;
}

static u64 clocks_between(u64 from, u64 to)
{
    return to > from ? muldiv(to - from, PIT_HZ, NS_PER_SEC) : 0;
}

/* Input clocks counted since the count was loaded. */
static u64 elapsed(const struct pit_channel *ch, u64 now)
{
    bool counting = ch->gate || gate_triggers(ch);

    return ch->done + (counting ? clocks_between(ch->start, now) : 0);
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

/* The counting element; 65536 (in BCD 10000) shows as 0. */
static u32 count_at(const struct pit_channel *ch, u64 now)
{
    u32 modulus = ch->bcd ? 10000 : 65536;
    u64 e = elapsed(ch, now);

    if (!ch->running)
        return ch->reload;
    if (ch->mode == 2)
        return ch->reload - (u32)(e % ch->reload);
    if (ch->mode == 3)
        return square_wave(ch->reload, (u32)(e % ch->reload));
    if (e <= ch->reload)
        return ch->reload - (u32)e;
    return modulus - (u32)((e - ch->reload) % modulus); /* it counts on past 0 */
}

static bool output_at(const struct pit_channel *ch, u64 now)
{
    if (!ch->running)
        return ch->mode != 0;
    u64 e = elapsed(ch, now);
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

static u16 count_register(const struct pit_channel *ch, u64 now)
{
    u32 count = count_at(ch, now);

    return ch->bcd ? to_bcd(count) : (u16)count;
}

static void latch_count(struct pit_channel *ch, u64 now)
{
    if (ch->latched)
        return;
    ch->latched = true;
    ch->latch = count_register(ch, now);
}

static void latch_status(struct pit_channel *ch, u64 now)
{
    if (ch->status_latched)
        return;
    ch->status_latched = true;
    ch->status = (u8)((output_at(ch, now) ? STATUS_OUT : 0) | (ch->running ? 0 : STATUS_NULL) |
                      ch->access << 4 | ch->mode << 1 | ch->bcd);
}

static u8 read_channel(struct pit_channel *ch, u64 now)
{
    if (ch->status_latched) {
        ch->status_latched = false;
        return ch->status;
    }
    u16 value = ch->latched ? ch->latch : count_register(ch, now);
    bool high = ch->access == ACCESS_HIGH || (ch->access == ACCESS_BOTH && ch->read_high);

    if (ch->access == ACCESS_BOTH)
        ch->read_high = !ch->read_high;
    if (!ch->read_high)
        ch->latched = false;
    return (u8)(high ? value >> 8 : value);
}

/* --- Writing --------------------------------------------------------------- */

static u32 from_bcd(u16 n)
{
    return (n & 15u) + (n >> 4 & 15u) * 10 + (n >> 8 & 15u) * 100 + (n >> 12) * 1000u;
}

static void load(struct pit *pit, struct pit_channel *ch, u16 value, u64 now)
{
    ch->reload = ch->bcd ? from_bcd(value) : value;
    if (!ch->reload)
        ch->reload = ch->bcd ? 10000 : 65536;
    ch->done = 0;
    ch->start = now;
    ch->running = !gate_triggers(ch);
    if (ch == &pit->ch[0])
        vtimer_program(pit->timer, now, ch->mode, ch->reload);
}

static void stop(struct pit *pit, struct pit_channel *ch, u64 now)
{
    ch->running = false;
    if (ch == &pit->ch[0])
        vtimer_stop(pit->timer, now);
}

static void write_channel(struct pit *pit, struct pit_channel *ch, u8 value, u64 now)
{
    if (ch->access == ACCESS_LOW) {
        load(pit, ch, value, now);
    } else if (ch->access == ACCESS_HIGH) {
        load(pit, ch, (u16)(value << 8), now);
    } else if (ch->write_high) {
        ch->write_high = false;
        load(pit, ch, (u16)(value << 8 | ch->low), now);
    } else {
        ch->write_high = true;
        ch->low = value;
        if (ch->mode == 0)
            stop(pit, ch, now);
    }
}

static void read_back(struct pit *pit, u8 value, u64 now)
{
    for (u32 i = 0; i < ARRAY_SIZE(pit->ch); i++) {
        if (!(value & 2u << i))
            continue;
        if (!(value & READ_BACK_NO_COUNT))
            latch_count(&pit->ch[i], now);
        if (!(value & READ_BACK_NO_STATUS))
            latch_status(&pit->ch[i], now);
    }
}

static void write_control(struct pit *pit, u8 value, u64 now)
{
    u8 access = value >> 4 & 3, mode = value >> 1 & 7;

    if (value >> 6 == READ_BACK) {
        read_back(pit, value, now);
        return;
    }
    struct pit_channel *ch = &pit->ch[value >> 6];
    if (access == ACCESS_LATCH) {
        latch_count(ch, now);
        return;
    }
    ch->access = access;
    ch->mode = mode > 5 ? mode & 3 : mode;
    ch->bcd = value & 1;
    ch->write_high = ch->read_high = ch->latched = ch->status_latched = false;
    ch->done = 0;
    stop(pit, ch, now);
}

/* --- Port 0x61 --------------------------------------------------------------- */

/* A falling gate stops modes 0 and 4, which go on when it rises; the others
 * begin anew then. */
static void set_gate(struct pit_channel *ch, bool gate, u64 now)
{
    bool goes_on = !is_periodic(ch) && !gate_triggers(ch);

    if (gate == ch->gate)
        return;
    if (!gate && goes_on)
        ch->done = elapsed(ch, now);
    ch->gate = gate;
    if (!gate)
        return;
    ch->start = now;
    ch->running |= gate_triggers(ch);
}

static u32 system_in(void *device, u16 port, u8 size)
{
    struct pit *pit = device;
    const struct pit_channel *ch = &pit->ch[SPEAKER_CHANNEL];
    u64 now = pit->now(pit->opaque);
    bool refresh = clocks_between(0, now) / REFRESH_CLOCKS & 1;
    (void)port, (void)size;

    return (ch->gate ? SYSTEM_GATE : 0u) | (pit->speaker ? SYSTEM_SPEAKER : 0u) |
           (refresh ? SYSTEM_REFRESH : 0u) | (output_at(ch, now) ? SYSTEM_OUT : 0u);
}

static void system_out(void *device, u16 port, u8 size, u32 value)
{
    struct pit *pit = device;
    (void)port, (void)size;

    pit->speaker = value & SYSTEM_SPEAKER;
    set_gate(&pit->ch[SPEAKER_CHANNEL], value & SYSTEM_GATE, pit->now(pit->opaque));
}

/* --- The chip on the bus ------------------------------------------------------- */

static u32 pit_in(void *device, u16 port, u8 size)
{
    struct pit *pit = device;
    (void)size;

    if (port == CONTROL)
        return 0xff; /* cannot be read */
    return read_channel(&pit->ch[port - CHANNEL0], pit->now(pit->opaque));
}

static void pit_out(void *device, u16 port, u8 size, u32 value)
{
    struct pit *pit = device;
    u64 now = pit->now(pit->opaque);
    (void)size;

    if (port == CONTROL)
        write_control(pit, (u8)value, now);
    else
        write_channel(pit, &pit->ch[port - CHANNEL0], (u8)value, now);
}

void pit_init(struct pit *pit, struct vtimer *timer, u64 (*now)(void *), void *opaque)
{
    *pit = (struct pit){.timer = timer, .now = now, .opaque = opaque};
    for (u32 i = 0; i < ARRAY_SIZE(pit->ch); i++)
        pit->ch[i] = (struct pit_channel){
            .reload = 65536, .mode = 3, .access = ACCESS_BOTH, .gate = i != SPEAKER_CHANNEL};
}

void pit_attach(struct pit *pit, struct bus *bus)
{
    const struct bus_device counters = {"pit", CHANNEL0, CONTROL, 1, pit_in, pit_out, pit};
    const struct bus_device system = {"speaker", SYSTEM_PORT, SYSTEM_PORT, 1,
                                      system_in, system_out,  pit};

    ASSERT(bus_add(bus, &counters) == 0);
    ASSERT(bus_add(bus, &system) == 0);
}
