/*
 * printf's formatting, the part that the kernel needs: %d %u %x %p %s %c %%,
 * with l, ll or z, a width, the flags 0, - and # (0x before %x), and a precision
 * for %s (which then need not end in a zero). Width and precision may be *.
 */
#ifndef KERNEL_FORMAT_H
#define KERNEL_FORMAT_H

#include <stdarg.h>
#include "kernel/types.h"

/* Write at most size bytes, the closing zero included; returns the length
 * that the whole text would have had. */
int format(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int vformat(char *out, size_t size, const char *fmt, va_list args);

#endif
