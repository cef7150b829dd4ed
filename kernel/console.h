/*
 * The host's console: text to the first serial port. Unit tests on the host
 * provide their own console_write().
 */
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

#include "kernel/types.h"

void console_init(void);
void console_write(const char *text, size_t n);
/* Wait until the last character has left: before the machine ends. */
void console_drain(void);
/* Formatted text; see format.h. No newline is added. */
void console_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
