/*
 * The guest's driver of the interval timer, channel 0 only.
 */
#include "guests/lib/pit.h"

#include "guests/lib/cpu.h"

#define CHANNEL0 0x40
#define CONTROL  0x43

#define CONTROL_LATCH      0x00
#define CONTROL_LOW_HIGH   0x30
#define CONTROL_MODE_SHIFT 1

void pit_program(enum pit_mode mode, u16 reload)
{
    outb(CONTROL, (u8)(CONTROL_LOW_HIGH | (unsigned)mode << CONTROL_MODE_SHIFT));
    outb(CHANNEL0, (u8)reload);
    outb(CHANNEL0, (u8)(reload >> 8));
}

u32 pit_start(u32 hz)
{
    u32 reload = (PIT_HZ + hz / 2) / hz;
    if (reload < 2)
        reload = 2;
    if (reload > 65536)
        reload = 65536;
    pit_program(PIT_RATE, (u16)reload);
    return reload;
}

u16 pit_read(void)
{
    outb(CONTROL, CONTROL_LATCH);
    u8 low = inb(CHANNEL0);
    return (u16)(low | inb(CHANNEL0) << 8);
}
