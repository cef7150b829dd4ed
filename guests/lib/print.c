/*
 * Text on the first serial port, a byte at a time: wait until the transmitter
 * holding register is empty (LSR bit 5), then write. An absent UART reads all
 * ones, so the wait ends there too. No baud rate is set: emulated UARTs have none.
 */
#include "guests/lib/print.h"

#include <stdarg.h>

#include "guests/lib/cpu.h"

#define COM1     0x3f8
#define LSR      5
#define LSR_THRE 0x20

static void put(char c)
{
    while (!(inb(COM1 + LSR) & LSR_THRE))
        cpu_relax();
    outb(COM1, (u8)c);
}

static void put_text(const char *s)
{
    for (; *s; s++)
        put(*s);
}

static void put_number(u64 n, u32 base)
{
    char digits[24];
    int i = 0;
    do {
        digits[i++] = "0123456789abcdef"[mod_u64(n, base)];
        n = div_u64(n, base);
    } while (n);
    while (i)
        put(digits[--i]);
}

void print(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(*fmt);
            continue;
        }
        switch (*++fmt) {
        case 's':
            put_text(va_arg(ap, const char *));
            break;
        case 'c':
            put((char)va_arg(ap, int));
            break;
        case 'u':
            put_number(va_arg(ap, unsigned), 10);
            break;
        case 'x':
            put_number(va_arg(ap, unsigned), 16);
            break;
        case 'U':
            put_number(va_arg(ap, u64), 10);
            break;
        case 'X':
            put_number(va_arg(ap, u64), 16);
            break;
        case 'p':
            put_number((uintptr_t)va_arg(ap, void *), 16);
            break;
        default:
            put(*fmt);
        }
    }
    va_end(ap);
}
