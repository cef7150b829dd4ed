/*
 * The host gives up: a dump on the console, a panic record in the trace, and
 * exit status 4. Only for bugs of the host, never for what a guest did.
 */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include "kernel/types.h"

_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond))                                                                               \
            panic("%s:%d: not so: %s", __FILE__, __LINE__, #cond);                                 \
    } while (0)

#endif
