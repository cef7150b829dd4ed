/*
 * What the two files of the virtual interrupt controller share: pic_core.c
 * (which interrupt is next, acknowledge, end of interrupt) and pic.c (lines
 * and ports). Nobody else includes it.
 */
#ifndef VMM_DEV_PIC_CORE_H
#define VMM_DEV_PIC_CORE_H

#include "vmm/dev/pic.h"

enum { PIC_MASTER, PIC_SLAVE };

#define PIC_CASCADE_LINE 2
#define PIC_SPURIOUS     7

/* The inputs that ask, masked or not: latched edges, and levels. */
static inline u8 pic_requests(const struct pic_chip *c)
{
    return c->irr | (c->lines & c->elcr);
}
/* The input that asks the processor (or the master) for an interrupt now, or -1. */
int pic_asking(const struct pic_chip *);
/* One chip's acknowledge: the input that is now in service, or -1 if none asked. */
int pic_take(struct pic_chip *);
/* After an acknowledge: with automatic EOI it ends there and then. */
void pic_end_if_auto(struct pic *, int chip, int input);
/* The vector of a chip's input; -1 is the spurious one. Traces irq_ack. */
u8 pic_acknowledged(struct pic *, int chip, int input, u8 *line);
/* The guest's end of interrupt: OCW2 as written. */
void pic_end(struct pic *, int chip, u8 ocw2);
/* bit (one, or none) leaves the chip's in-service register. Traces irq_eoi. */
void pic_ended(struct pic *, int chip, u8 bit);
/* Call after whatever may change which interrupt is asked for. */
void pic_changed(struct pic *);

#endif
