/*
 * The console: text to COM1, polled. Source: PC16550D data sheet.
 */
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/format.h"
#include "kernel/mem.h"

#define COM1     0x3f8
#define LSR      (COM1 + 5)
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

void console_init(void)
{
    outb(COM1 + 1, 0);    /* no interrupts */
    outb(COM1 + 3, 0x80); /* divisor latch */
    outb(COM1 + 0, 1);    /* 115200 baud */
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x03); /* 8 bits, no parity, 1 stop bit */
    outb(COM1 + 2, 0x07); /* FIFOs on and cleared */
}

static void put(char c)
{
    while (!(inb(LSR) & LSR_THRE))
        ;
    outb(COM1, (u8)c);
}

void console_write(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(text[i]);
}

void console_print(const char *fmt, ...)
{
    char line[256];
    va_list args;

    va_start(args, fmt);
    int n = vformat(line, sizeof(line), fmt, args);
    va_end(args);
    console_write(line, min_u64((u64)n, sizeof(line) - 1));
}

void console_drain(void)
{
    while (!(inb(LSR) & LSR_TEMT))
        ;
}
