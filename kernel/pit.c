/*
 * The real 8254's channel 2, counting down 10 ms while we watch its output in
 * port 0x61. Source: Intel 8254, mode 0.
 */
#include "kernel/pit.h"
#include "kernel/clock.h"
#include "kernel/cpu.h"

#define PIT_HZ      1193182u
#define CHANNEL2    0x42
#define COMMAND     0x43
#define GATE        0x61
#define GATE_ON     0x01
#define SPEAKER     0x02
#define OUTPUT2     0x20
#define MODE0_BOTH2 0xb0 /* channel 2, both bytes, mode 0 */

u64 pit_measure_tsc(void)
{
    u32 count = PIT_HZ / 100;

    outb(GATE, (inb(GATE) & ~SPEAKER) | GATE_ON);
    outb(COMMAND, MODE0_BOTH2);
    outb(CHANNEL2, (u8)count);
    outb(CHANNEL2, (u8)(count >> 8));
    u64 from = clock_tsc();
    while (!(inb(GATE) & OUTPUT2))
        ;
    return (clock_tsc() - from) * 100;
}
