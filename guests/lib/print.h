/*
 * Text on the first serial port.
 */
#ifndef GUESTS_LIB_PRINT_H
#define GUESTS_LIB_PRINT_H

#include "guests/lib/types.h"

/*
 * %s text, %c character, %u unsigned int, %x unsigned int in hex,
 * %U u64, %X u64 in hex, %p pointer, %% itself. No widths.
 */
void print(const char *fmt, ...);

#endif
