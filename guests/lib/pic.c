/*
 * The guest's driver of the two 8259A interrupt controllers.
 * It keeps no copy of the mask: the mask register can be read.
 */
#include "guests/lib/pic.h"

#include "guests/lib/cpu.h"
#include "guests/lib/trap.h"

#define MASTER_COMMAND 0x20
#define MASTER_DATA    0x21
#define SLAVE_COMMAND  0xa0
#define SLAVE_DATA     0xa1

#define ICW1_INIT_ICW4 0x11
#define ICW4_8086      0x01
#define OCW2_EOI       0x20
#define CASCADE_LINE   2

static void init_one(u16 command, u16 data, u8 vector, u8 cascade)
{
    outb(command, ICW1_INIT_ICW4);
    outb(data, vector);
    outb(data, cascade);
    outb(data, ICW4_8086);
}

void pic_init(void)
{
    init_one(MASTER_COMMAND, MASTER_DATA, TRAP_IRQ_BASE, 1 << CASCADE_LINE);
    init_one(SLAVE_COMMAND, SLAVE_DATA, TRAP_IRQ_BASE + 8, CASCADE_LINE);
    outb(MASTER_DATA, (u8) ~(1u << CASCADE_LINE));
    outb(SLAVE_DATA, 0xff);
}

void pic_init_only(u8 line)
{
    init_one(MASTER_COMMAND, MASTER_DATA, TRAP_IRQ_BASE, 1 << CASCADE_LINE);
    outb(MASTER_DATA, (u8) ~(1u << line));
}

static u16 mask_port(u8 line)
{
    return line < 8 ? MASTER_DATA : SLAVE_DATA;
}

void pic_unmask(u8 line)
{
    outb(mask_port(line), (u8)(inb(mask_port(line)) & ~(1u << (line & 7))));
}

void pic_mask(u8 line)
{
    outb(mask_port(line), (u8)(inb(mask_port(line)) | 1u << (line & 7)));
}

void pic_eoi(u8 line)
{
    if (line >= 8)
        outb(SLAVE_COMMAND, OCW2_EOI);
    outb(MASTER_COMMAND, OCW2_EOI);
}
