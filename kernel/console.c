/*
 * The console: text to COM1, polled; but to port 0xE9 where that answers as
 * Bochs's debug port does. There a character costs one instruction, while
 * Bochs's COM1 is as slow as a real one: printing would shift all that is
 * measured. Source: PC16550D data sheet; Bochs's documentation, port_e9_hack.
 */
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/format.h"
#include "kernel/mem.h"

#define COM1     0x3f8
#define LSR      (COM1 + 5)
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define DEBUG_PORT 0xe9

static bool has_debug_port;

void console_init(void)
{
    has_debug_port = cpu_is_bochs();
    outb(COM1 + 1, 0);    /* no interrupts */
    outb(COM1 + 3, 0x80); /* divisor latch */
    outb(COM1 + 0, 1);    /* 115200 baud */
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x03); /* 8 bits, no parity, 1 stop bit */
    outb(COM1 + 2, 0x07); /* FIFOs on and cleared */
}

static void put(char c)
{
    if (has_debug_port) {
        outb(DEBUG_PORT, (u8)c);
        return;
    }
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
