/*
 * The virtual interval timer: the 8254's ports and commands. The guest never
 * sees the real one. What a channel shows is pit_channel.c's business.
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
    ch->running = !pit_gate_triggers(ch);
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
    u16 count;

    if (pit_write(ch, value, &count))
        load(pit, ch, count, now);
    else if (ch->mode == 0) /* half a count stops it */
        stop(pit, ch, now);
}

static void read_back(struct pit *pit, u8 value, u64 now)
{
    for (u32 i = 0; i < ARRAY_SIZE(pit->ch); i++) {
        if (!(value & 2u << i))
            continue;
        if (!(value & READ_BACK_NO_COUNT))
            pit_latch_count(&pit->ch[i], now);
        if (!(value & READ_BACK_NO_STATUS))
            pit_latch_status(&pit->ch[i], now);
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
    if (access == PIT_LATCH) {
        pit_latch_count(ch, now);
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
    bool goes_on = !pit_is_periodic(ch) && !pit_gate_triggers(ch);

    if (gate == ch->gate)
        return;
    if (!gate && goes_on)
        ch->done = pit_elapsed(ch, now);
    ch->gate = gate;
    if (!gate)
        return;
    ch->start = now;
    ch->running |= pit_gate_triggers(ch);
}

static u32 system_in(void *device, u16 port, u8 size)
{
    struct pit *pit = device;
    const struct pit_channel *ch = &pit->ch[SPEAKER_CHANNEL];
    u64 now = pit->now(pit->opaque);
    bool refresh = pit_clocks(0, now) / REFRESH_CLOCKS & 1;
    (void)port, (void)size;

    return (ch->gate ? SYSTEM_GATE : 0u) | (pit->speaker ? SYSTEM_SPEAKER : 0u) |
           (refresh ? SYSTEM_REFRESH : 0u) | (pit_output(ch, now) ? SYSTEM_OUT : 0u);
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
    return pit_read(&pit->ch[port - CHANNEL0], pit->now(pit->opaque));
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
            .reload = 65536, .mode = 3, .access = PIT_BOTH, .gate = i != SPEAKER_CHANNEL};
}

void pit_attach(struct pit *pit, struct bus *bus)
{
    const struct bus_device counters = {"pit", CHANNEL0, CONTROL, 1, pit_in, pit_out, pit};
    const struct bus_device system = {"speaker", SYSTEM_PORT, SYSTEM_PORT, 1,
                                      system_in, system_out,  pit};

    ASSERT(bus_add(bus, &counters) == 0);
    ASSERT(bus_add(bus, &system) == 0);
}
