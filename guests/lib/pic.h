/*
 * The PC's two 8259A interrupt controllers, as a guest's kernel uses them:
 * lines 0 to 15 arrive at vectors 0x20 to 0x2f. 8259A data sheet (Intel 231468).
 */
#ifndef GUESTS_LIB_PIC_H
#define GUESTS_LIB_PIC_H

#include "guests/lib/types.h"

/* Remap, edge-triggered, all lines masked but the cascade. */
void pic_init(void);
/* The first controller alone, and of its lines this one alone unmasked. */
void pic_init_only(u8 line);
void pic_unmask(u8 line);
void pic_mask(u8 line);
/* Non-specific end of interrupt, to both controllers for lines 8 to 15. */
void pic_eoi(u8 line);

#endif
