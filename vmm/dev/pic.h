/*
 * The virtual interrupt controller: two 8259A in cascade, as in a PC.
 *
 * Fixed priorities, edge-triggered lines (level-triggered where the ELCR says
 * so), ICW1 to ICW4, OCW1 to OCW3, polling, automatic and specific EOI,
 * spurious interrupts. Not: rotation, special mask and buffered modes (a
 * rotating EOI is an EOI, the rest is ignored). Source: Intel 8259A.
 */
#ifndef VMM_DEV_PIC_H
#define VMM_DEV_PIC_H

#include "kernel/types.h"
#include "vmm/dev/bus.h"

struct pic_chip {
    u8 irr, isr, imr, lines; /* lines: the level of each input */
    u8 elcr;                 /* level-triggered inputs */
    u8 base;                 /* ICW2 */
    u8 step;                 /* which ICW is expected next; 0: ready */
    bool need_icw4, auto_eoi, single, read_isr, poll;
};

struct pic {
    u16 vm;
    struct pic_chip chip[2]; /* master, slave */
    /* Each may be NULL. on_eoi: an interrupt ended, by EOI or by itself
     * (automatic EOI). on_poll: the guest took the line by polling, so no
     * pic_ack() will come. on_change: pic_pending() and pic_would_deliver()
     * may answer otherwise than before. */
    void (*on_eoi)(void *opaque, u8 line);
    void (*on_poll)(void *opaque, u8 line);
    void (*on_change)(void *opaque);
    void *opaque;
};

/* As a BIOS leaves it: vectors from 0x08 and 0x70, but all lines masked. */
void pic_init(struct pic *, u16 vm);
/* A rising edge is a request that stays until acknowledged or cancelled, or
 * until the guest initialises the chip (after which setting a line that was
 * high all the time is a new edge). Line 2 is the cascade and is ignored. */
void pic_set_line(struct pic *, u8 line /* 0-15 */, bool high);
/* Take back a request that was not acknowledged yet. */
void pic_cancel(struct pic *, u8 line);
/* Is an interrupt asked of the processor now? */
bool pic_pending(const struct pic *);
/* Would line be the one delivered now, if it were raised (not masked, no
 * higher priority asked for, no higher or equal one in service)? */
bool pic_would_deliver(const struct pic *, u8 line);
/* The processor's acknowledge: the vector; *line the line it came from. If
 * none asks any more, the spurious one: line 7 (or 15), not in service. */
u8 pic_ack(struct pic *, u8 *line);
void pic_attach(struct pic *, struct bus *); /* 0x20, 0xa0, ELCR 0x4d0 */

#endif
