/*
 * Initialising the real 8259A pair, all lines masked. Source: Intel 8259A.
 */
#include "kernel/pic.h"
#include "kernel/cpu.h"
#include "kernel/trap.h"

#define MASTER 0x20
#define SLAVE  0xa0

void pic_silence(void)
{
    outb(MASTER, 0x11); /* ICW1: edge, cascade, ICW4 follows */
    outb(SLAVE, 0x11);
    outb(MASTER + 1, VECTOR_PIC);
    outb(SLAVE + 1, VECTOR_PIC + 8);
    outb(MASTER + 1, 0x04); /* ICW3: the slave is on line 2 */
    outb(SLAVE + 1, 0x02);
    outb(MASTER + 1, 0x01); /* ICW4: 8086 mode */
    outb(SLAVE + 1, 0x01);
    outb(MASTER + 1, 0xff);
    outb(SLAVE + 1, 0xff);
}
