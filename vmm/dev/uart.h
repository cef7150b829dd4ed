/*
 * The virtual serial port: a 16550A that sends at once and receives nothing
 * but, in loopback, what it sent itself. What a guest prints goes, line by
 * line, to a callback; control characters become dots. Interrupts:
 * transmitter empty, and data ready in loopback. Source: PC16550D.
 */
#ifndef VMM_DEV_UART_H
#define VMM_DEV_UART_H

#include "kernel/types.h"
#include "vmm/dev/bus.h"

#define UART_LINE 120

struct uart {
    u8 ier, lcr, mcr, scr, fcr;
    u8 dll, dlm;
    bool thre_pending;
    bool received; /* rbr holds a byte (loopback) */
    u8 rbr;
    u32 length;
    char line[UART_LINE];
    /* A whole line (no newline), or what fits of one. */
    void (*print)(void *opaque, const char *text, u32 n);
    void (*irq)(void *opaque, bool high);
    void *opaque;
};

void uart_init(struct uart *, void (*print)(void *, const char *, u32),
               void (*irq)(void *, bool), void *opaque);
void uart_flush(struct uart *); /* print an unfinished line */
void uart_attach(struct uart *, struct bus *, u16 port);
/* A bare output port that prints too (0xe9). */
void uart_attach_debug(struct uart *, struct bus *, u16 port);

#endif
