/*
 * The keyboard controller at ports 0x60 and 0x64 (8042), with nobody at the
 * keyboard: it answers commands and never has a key. What guests use it for:
 * to find no key, to open A20 (always open here), and to reset the machine.
 */
#ifndef VMM_DEV_KBD_H
#define VMM_DEV_KBD_H

#include "kernel/types.h"
#include "vmm/dev/bus.h"

#define KBD_QUEUE 4

struct kbd {
    u8 command;     /* waits for its data byte; 0: none does */
    u8 mode;        /* the controller's command byte */
    u8 output;      /* the output port: bit 0 reset (low), bit 1 A20 */
    u8 argument_of; /* the keyboard command that waits for its data byte; 0: none */
    u8 count;
    u8 queue[KBD_QUEUE]; /* answers, oldest first */
    void (*reset)(void *opaque);
    void *opaque;
};

void kbd_init(struct kbd *, void (*reset)(void *), void *opaque);
void kbd_attach(struct kbd *, struct bus *);

#endif
