/*
 * One channel of the virtual 8254: what it counts, and how the guest reads and
 * writes its counter byte by byte. It knows no ports and no virtual timer; all
 * times are ns of the VM's own clock. Source: Intel 8254 data sheet.
 */
#ifndef VMM_DEV_PIT_CHANNEL_H
#define VMM_DEV_PIT_CHANNEL_H

#include "kernel/types.h"

/* Which bytes of the counter are read and written. */
enum { PIT_LATCH, PIT_LOW, PIT_HIGH, PIT_BOTH };

struct pit_channel {
    u32 reload;       /* 1 to 65536 */
    u8 mode, access;  /* access: 1 LSB, 2 MSB, 3 both */
    bool bcd, gate, running;
    bool write_high, read_high; /* which half is next */
    u8 low;                     /* the LSB written, waiting for its MSB */
    bool latched, status_latched;
    u16 latch;
    u8 status;
    u64 start;        /* ns when counting began, or went on */
    u64 done;         /* clocks counted before that */
};

/* Modes 1 and 5 wait for the gate to rise; it stops all others while low. */
static inline bool pit_gate_triggers(const struct pit_channel *ch)
{
    return ch->mode == 1 || ch->mode == 5;
}
static inline bool pit_is_periodic(const struct pit_channel *ch)
{
    return ch->mode == 2 || ch->mode == 3;
}

/* Clocks of the 8254's input between two times; 0 if to is not later. */
u64 pit_clocks(u64 from, u64 to);
/* Clocks counted since the count was loaded. */
u64 pit_elapsed(const struct pit_channel *, u64 now);
/* The counting element; 65536 (in BCD 10000) shows as 0 in the register. */
u32 pit_count(const struct pit_channel *, u64 now);
bool pit_output(const struct pit_channel *, u64 now);

/* The latch commands: what is latched already stays. */
void pit_latch_count(struct pit_channel *, u64 now);
void pit_latch_status(struct pit_channel *, u64 now);
/* The byte that a read of the counter's port gives. */
u8 pit_read(struct pit_channel *, u64 now);
/* A byte written to the counter's port; true: *count is now a whole new one. */
bool pit_write(struct pit_channel *, u8 value, u16 *count);

#endif
