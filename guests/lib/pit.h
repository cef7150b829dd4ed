/*
 * Channel 0 of the PC's 8254 interval timer, which raises line 0 of the PIC.
 * 8254 data sheet (Intel 231164).
 */
#ifndef GUESTS_LIB_PIT_H
#define GUESTS_LIB_PIT_H

#include "guests/lib/types.h"

#define PIT_HZ   1193182u /* of its input clock */
#define PIT_LINE 0

enum pit_mode { PIT_ONE_SHOT = 0, PIT_RATE = 2, PIT_SQUARE = 3 };

/* Load the counter; reload 0 stands for 65536. */
void pit_program(enum pit_mode mode, u16 reload);
/* Rate generator at the rate next to hz (19 to PIT_HZ/2); returns the reload value, up to 65536. */
u32 pit_start(u32 hz);
/* The counter now, by the latch command. 0 stands for 65536 in the rate mode. */
u16 pit_read(void);

#endif
