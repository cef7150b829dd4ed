/*
 * The virtual interrupt controller: what the two 8259A do with their lines,
 * with the processor's acknowledge, and with the guest's port accesses.
 *
 * The slave's output is not an edge but followed at all times: the master's
 * line 2 asks exactly while the slave does. Source: Intel 8259A data sheet.
 */
#include "vmm/dev/pic.h"

#include "kernel/panic.h"
#include "kernel/trace.h"

#define CASCADE_LINE 2
#define CASCADE      (1u << CASCADE_LINE)
#define SPURIOUS     7

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

enum { MASTER, SLAVE };

void pic_init(struct pic *p, u16 vm)
{
    *p = (struct pic){.vm = vm};
    p->chip[MASTER] = (struct pic_chip){.base = 0x08, .imr = 0xff};
    p->chip[SLAVE] = (struct pic_chip){.base = 0x70, .imr = 0xff};
}

/* --- What asks for an interrupt ------------------------------------------------ */

static u8 requests(const struct pic_chip *c)
{
    return c->irr | (c->lines & c->elcr);
}

/* The input that asks the processor (or the master) for an interrupt now: the
 * lowest number that is not masked, if nothing as urgent is in service. */
static int asking(const struct pic_chip *c)
{
    u32 wanted = requests(c) & ~c->imr & 0xffu;
    u32 first = wanted & -wanted;

    if (!first || c->step || c->isr & (first | (first - 1)))
        return -1;
    return __builtin_ctz(first);
}

static void follow_slave(struct pic *p)
{
    struct pic_chip *master = &p->chip[MASTER];

    if (asking(&p->chip[SLAVE]) >= 0)
        master->irr |= CASCADE;
    else
        master->irr &= (u8)~CASCADE;
}

/* After whatever may change which interrupt is asked for. */
static void changed(struct pic *p)
{
    follow_slave(p);
    if (p->on_change)
        p->on_change(p->opaque);
}

void pic_set_line(struct pic *p, u8 line, bool high)
{
    ASSERT(line < 16);
    struct pic_chip *c = &p->chip[line / 8];
    u8 bit = (u8)(1u << (line & 7)), before = requests(c);

    if (line == CASCADE_LINE)
        return;
    if (high && !(c->lines & bit) && !(c->elcr & bit))
        c->irr |= bit;
    c->lines = high ? c->lines | bit : c->lines & (u8)~bit;
    if (requests(c) & ~before)
        TRACE(irq_raise, p->vm, 0, .line = line);
    changed(p);
}

void pic_cancel(struct pic *p, u8 line)
{
    ASSERT(line < 16);
    p->chip[line / 8].irr &= (u8) ~(1u << (line & 7));
    changed(p);
}

bool pic_pending(const struct pic *p)
{
    return asking(&p->chip[MASTER]) >= 0;
}

static bool would_ask(struct pic_chip c, int input)
{
    c.irr |= (u8)(1u << input);
    return asking(&c) == input;
}

bool pic_would_deliver(const struct pic *p, u8 line)
{
    ASSERT(line < 16);
    if (line < 8)
        return would_ask(p->chip[MASTER], line);
    return would_ask(p->chip[SLAVE], line & 7) && would_ask(p->chip[MASTER], CASCADE_LINE);
}

/* --- Acknowledge and end of interrupt -------------------------------------------- */

static void end_interrupt(struct pic *p, int n, u8 bit)
{
    u8 line = (u8)(8 * n + __builtin_ctz(bit));

    p->chip[n].isr &= (u8)~bit;
    TRACE(irq_eoi, p->vm, 0, .line = line);
    if (p->on_eoi)
        p->on_eoi(p->opaque, line);
}

/* One chip's acknowledge: the input, or -1 if none asks. */
static int take(struct pic *p, int n)
{
    struct pic_chip *c = &p->chip[n];
    int input = asking(c);

    if (input < 0)
        return -1;
    u8 bit = (u8)(1u << input);
    c->irr &= (u8)~bit;
    c->isr |= bit;
    return input;
}

/* After an acknowledge: with automatic EOI it ends there and then. */
static void end_if_auto(struct pic *p, int n, int input)
{
    if (input >= 0 && p->chip[n].auto_eoi)
        end_interrupt(p, n, (u8)(1u << input));
}

/* The vector of a chip's input, traced; -1 is the spurious one. */
static u8 acknowledged(struct pic *p, int n, int input, u8 *line)
{
    u8 number = input < 0 ? SPURIOUS : (u8)input;
    u8 vector = p->chip[n].base | number;

    *line = (u8)(8 * n + number);
    TRACE(irq_ack, p->vm, 0, .line = *line, .vector = vector);
    return vector;
}

u8 pic_ack(struct pic *p, u8 *line)
{
    int master = take(p, MASTER), slave = -1;
    bool cascaded = master == CASCADE_LINE && !p->chip[MASTER].single;

    if (cascaded)
        slave = take(p, SLAVE);
    u8 vector = acknowledged(p, cascaded ? SLAVE : MASTER, cascaded ? slave : master, line);
    end_if_auto(p, SLAVE, slave);
    end_if_auto(p, MASTER, master);
    changed(p);
    return vector;
}

/* A read after the poll command is an acknowledge of that chip alone. */
static u8 poll(struct pic *p, int n)
{
    int input = take(p, n);
    u8 line;

    p->chip[n].poll = false;
    if (input < 0)
        return 0;
    acknowledged(p, n, input, &line);
    if (p->on_poll)
        p->on_poll(p->opaque, line);
    end_if_auto(p, n, input);
    changed(p);
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

/* OCW2: bit 5 an end of interrupt, bit 6 of the input in bits 0 to 2, bit 7
 * with rotation (which is not followed). */
static void ocw2(struct pic *p, int n, u8 value)
{
    u32 isr = p->chip[n].isr, bit = isr & -isr;

    if (!(value & 0x20))
        return;
    if (value & 0x40)
        bit = isr & 1u << (value & 7);
    if (bit)
        end_interrupt(p, n, (u8)bit);
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
    return port >= SLAVE_PORT ? SLAVE : MASTER;
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
        ocw2(p, n, (u8)value);
    changed(p);
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
    return c->read_isr ? c->isr : requests(c);
}

static void elcr_out(void *device, u16 port, u8 size, u32 value)
{
    static const u8 may_be_level[2] = {0xf8, 0xde}; /* not timer, keyboard, cascade, clock, FPU */
    struct pic *p = device;
    int n = port - ELCR_PORT;
    (void)size;

    p->chip[n].elcr = (u8)value & may_be_level[n];
    changed(p);
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
