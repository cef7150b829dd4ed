/*
 * The real 8259A pair: the kit needs none of its lines, so it is moved out of
 * the way of the exceptions and masked.
 */
#ifndef KERNEL_PIC_H
#define KERNEL_PIC_H

void pic_silence(void);

#endif
