/*
 * The heart of the virtual interrupt controller: which interrupt is next by
 * masks and priorities, the processor's acknowledge, and the end of interrupt.
 * How lines and ports reach it is pic.c's business.
 *
 * The slave's output is the master's line 2, which pic.c keeps up to date: for
 * the master it is an input like any other. Source: Intel 8259A data sheet.
 */
#include "vmm/dev/pic_core.h"

#include "kernel/panic.h"
#include "kernel/todo.h"

#define OCW2_EOI      0x20
#define OCW2_SPECIFIC 0x40

int pic_asking(const struct pic_chip *c)
{
    /* LAB 2 BEGIN: the lowest input not masked, if none as urgent is in service; not amid ICWs. */
    u32 wanted = pic_requests(c) & ~c->imr & 0xffu;
    u32 first = wanted & -wanted;

    if (!first || c->step || c->isr & (first | (first - 1)))
        return -1;
    return __builtin_ctz(first);
    /* LAB 2 END: todo(2, "2.3", c); */
}

bool pic_pending(const struct pic *p)
{
    return pic_asking(&p->chip[PIC_MASTER]) >= 0;
}

static bool would_ask(struct pic_chip c, int input)
{
    /* LAB 2 BEGIN: c is a copy: raise the input in it, and see whether it is the one. */
    c.irr |= (u8)(1u << input);
    return pic_asking(&c) == input;
    /* LAB 2 END: todo(2, "2.3", &c, input); */
}

bool pic_would_deliver(const struct pic *p, u8 line)
{
    /* LAB 2 BEGIN: ask the chip of that line; for the slave's lines the master as well. */
    ASSERT(line < 16);
    if (line < 8)
        return would_ask(p->chip[PIC_MASTER], line);
    return would_ask(p->chip[PIC_SLAVE], line & 7) &&
           would_ask(p->chip[PIC_MASTER], PIC_CASCADE_LINE);
    /* LAB 2 END: todo(2, "2.3", p, line, would_ask); */
}

int pic_take(struct pic_chip *c)
{
    /* LAB 2 BEGIN: the input that asks is requested no more, but in service. */
    int input = pic_asking(c);

    if (input < 0)
        return -1;
    u8 bit = (u8)(1u << input);
    c->irr &= (u8)~bit;
    c->isr |= bit;
    return input;
    /* LAB 2 END: todo(2, "2.3", c); */
}

u8 pic_ack(struct pic *p, u8 *line)
{
    /* LAB 2 BEGIN: take from the master, and behind its cascade line from the slave. */
    int master = pic_take(&p->chip[PIC_MASTER]), slave = -1;
    bool cascaded = master == PIC_CASCADE_LINE && !p->chip[PIC_MASTER].single;

    if (cascaded)
        slave = pic_take(&p->chip[PIC_SLAVE]);
    u8 vector = cascaded ? pic_acknowledged(p, PIC_SLAVE, slave, line)
                         : pic_acknowledged(p, PIC_MASTER, master, line);
    pic_end_if_auto(p, PIC_SLAVE, slave);
    pic_end_if_auto(p, PIC_MASTER, master);
    pic_changed(p);
    return vector;
    /* LAB 2 END: todo(2, "2.3", p, line); */
}

void pic_end(struct pic *p, int chip, u8 ocw2)
{
    /* LAB 2 BEGIN: of those in service the most urgent ends, or the one that is named. */
    u32 isr = p->chip[chip].isr, bit = isr & -isr;

    if (!(ocw2 & OCW2_EOI))
        return;
    if (ocw2 & OCW2_SPECIFIC)
        bit = isr & 1u << (ocw2 & 7);
    if (bit)
        pic_ended(p, chip, (u8)bit);
    /* LAB 2 END: todo(2, "2.3", p, chip, ocw2); */
}
