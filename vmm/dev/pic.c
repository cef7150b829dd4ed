/*
 * The virtual interrupt controller: what the two 8259A do with their lines and
 * with the guest's port accesses. Which interrupt is next is pic_core.c's.
 *
 * The slave's output is not an edge but followed at all times: the master's
 * line 2 asks exactly while the slave does. Source: Intel 8259A data sheet.
 */
#include "vmm/dev/pic_core.h"

#include "kernel/panic.h"
#include "kernel/trace.h"

#define CASCADE (1u << PIC_CASCADE_LINE)

#define MASTER_PORT 0x20
#define SLAVE_PORT  0xa0
#define ELCR_PORT   0x4d0

#define ICW1_START     0x10
#define ICW1_NEED_ICW4 0x01
#define ICW1_SINGLE    0x02
#define ICW4_AUTO_EOI  0x02
#define OCW3           0x08
#define OCW3_POLL      0x04
#define OCW3_READ      0x02
#define OCW3_ISR       0x01

void pic_init(struct pic *p, u16 vm)
{
    *p = (struct pic){.vm = vm};
    p->chip[PIC_MASTER] = (struct pic_chip){.base = 0x08, .imr = 0xff};
    p->chip[PIC_SLAVE] = (struct pic_chip){.base = 0x70, .imr = 0xff};
}

/* --- Lines -------------------------------------------------------------------- */

static void follow_slave(struct pic *p)
{
    struct pic_chip *master = &p->chip[PIC_MASTER];

    if (pic_asking(&p->chip[PIC_SLAVE]) >= 0)
        master->irr |= CASCADE;
    else
        master->irr &= (u8)~CASCADE;
}

void pic_changed(struct pic *p)
{
    follow_slave(p);
    if (p->on_change)
        p->on_change(p->opaque);
}

void pic_set_line(struct pic *p, u8 line, bool high)
{
    ASSERT(line < 16);
    struct pic_chip *c = &p->chip[line / 8];
    u8 bit = (u8)(1u << (line & 7)), before = pic_requests(c);

    if (line == PIC_CASCADE_LINE)
        return;
    if (high && !(c->lines & bit) && !(c->elcr & bit))
        c->irr |= bit;
    c->lines = high ? c->lines | bit : c->lines & (u8)~bit;
    if (pic_requests(c) & ~before)
        TRACE(irq_raise, p->vm, 0, .line = line);
    pic_changed(p);
}

void pic_cancel(struct pic *p, u8 line)
{
    ASSERT(line < 16);
    p->chip[line / 8].irr &= (u8) ~(1u << (line & 7));
    pic_changed(p);
}

/* --- Acknowledge and end of interrupt -------------------------------------------- */

void pic_ended(struct pic *p, int chip, u8 bit)
{
    u8 line = (u8)(8 * chip + __builtin_ctz(bit));

    p->chip[chip].isr &= (u8)~bit;
    TRACE(irq_eoi, p->vm, 0, .line = line);
    if (p->on_eoi)
        p->on_eoi(p->opaque, line);
}

void pic_end_if_auto(struct pic *p, int chip, int input)
{
    if (input >= 0 && p->chip[chip].auto_eoi)
        pic_ended(p, chip, (u8)(1u << input));
}

u8 pic_acknowledged(struct pic *p, int chip, int input, u8 *line)
{
    u8 number = input < 0 ? PIC_SPURIOUS : (u8)input;
    u8 vector = p->chip[chip].base | number;

    *line = (u8)(8 * chip + number);
    TRACE(irq_ack, p->vm, 0, .line = *line, .vector = vector);
    return vector;
}

/* A read after the poll command is an acknowledge of that chip alone. */
static u8 poll(struct pic *p, int n)
{
    int input = pic_take(&p->chip[n]);
    u8 line;

    p->chip[n].poll = false;
    if (input < 0)
        return 0;
    pic_acknowledged(p, n, input, &line);
    if (p->on_poll)
        p->on_poll(p->opaque, line);
    pic_end_if_auto(p, n, input);
    pic_changed(p);
    return (u8)(0x80 | input);
}

/* --- Port accesses ------------------------------------------------------------ */

/* The edge sense begins anew: a device that asserts its line again, though
 * it never went low, asks again. */
static void begin_init(struct pic_chip *c, u8 icw1)
{
    c->lines &= c->elcr;
    c->irr = c->isr = c->imr = 0;
    c->auto_eoi = c->read_isr = c->poll = false;
    c->need_icw4 = icw1 & ICW1_NEED_ICW4;
    c->single = icw1 & ICW1_SINGLE;
    c->step = 2;
}

static void ocw3(struct pic_chip *c, u8 value)
{
    c->poll = value & OCW3_POLL;
    if (value & OCW3_READ)
        c->read_isr = value & OCW3_ISR;
}

/* The second port: ICW2 to ICW4 in turn while they are expected, else OCW1. */
static void write_data(struct pic_chip *c, u8 value)
{
    u8 last = c->need_icw4 ? 4 : 0;

    switch (c->step) {
    case 2:
        c->base = value & 0xf8;
        c->step = c->single ? last : 3;
        break;
    case 3: /* how the chips are wired is known */
        c->step = last;
        break;
    case 4:
        c->auto_eoi = value & ICW4_AUTO_EOI;
        c->step = 0;
        break;
    default:
        c->imr = value;
    }
}

static int chip_of(u16 port)
{
    return port >= SLAVE_PORT ? PIC_SLAVE : PIC_MASTER;
}

static void pic_out(void *device, u16 port, u8 size, u32 value)
{
    struct pic *p = device;
    int n = chip_of(port);
    (void)size;

    if (port & 1)
        write_data(&p->chip[n], (u8)value);
    else if (value & ICW1_START)
        begin_init(&p->chip[n], (u8)value);
    else if (value & OCW3)
        ocw3(&p->chip[n], (u8)value);
    else
        pic_end(p, n, (u8)value);
    pic_changed(p);
}

static u32 pic_in(void *device, u16 port, u8 size)
{
    struct pic *p = device;
    int n = chip_of(port);
    const struct pic_chip *c = &p->chip[n];
    (void)size;

    if (c->poll)
        return poll(p, n);
    if (port & 1)
        return c->imr;
    return c->read_isr ? c->isr : pic_requests(c);
}

static void elcr_out(void *device, u16 port, u8 size, u32 value)
{
    static const u8 may_be_level[2] = {0xf8, 0xde}; /* not timer, keyboard, cascade, clock, FPU */
    struct pic *p = device;
    int n = port - ELCR_PORT;
    (void)size;

    p->chip[n].elcr = (u8)value & may_be_level[n];
    pic_changed(p);
}

static u32 elcr_in(void *device, u16 port, u8 size)
{
    const struct pic *p = device;
    (void)size;

    return p->chip[port - ELCR_PORT].elcr;
}

void pic_attach(struct pic *p, struct bus *bus)
{
    const struct bus_device chips[] = {
        {"pic", MASTER_PORT, MASTER_PORT + 1, 1, pic_in, pic_out, p},
        {"pic", SLAVE_PORT, SLAVE_PORT + 1, 1, pic_in, pic_out, p},
        {"elcr", ELCR_PORT, ELCR_PORT + 1, 1, elcr_in, elcr_out, p},
    };

    for (u32 i = 0; i < ARRAY_SIZE(chips); i++)
        ASSERT(bus_add(bus, &chips[i]) == 0);
}
