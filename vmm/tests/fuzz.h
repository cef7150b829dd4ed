/*
 * What a fuzz target gives to the common driver, fuzz_main.c.
 *
 * A target feeds hostile bytes to one decoder. AddressSanitizer finds what
 * reads or writes out of bounds: each input lies in a heap block of exactly
 * its size. A broken property is reported by FUZZ_CHECK.
 */
#ifndef VMM_TESTS_FUZZ_H
#define VMM_TESTS_FUZZ_H

#include "kernel/types.h"

#define FUZZ_MAX 65536u /* bytes of one input */

/* The driver's name for messages: "insn", "multiboot". */
extern const char *const fuzz_name;
/* One input. 0, or not 0 when a property did not hold. */
int fuzz_one(const u8 *data, size_t size);
/* Valid inputs to start from: write seed i (0, 1, ...) to to[FUZZ_MAX] and
 * return its size; 0: there is no such seed. */
size_t fuzz_seed(u32 i, u8 *to);

/* End the run, with the input and the command that repeats it. */
_Noreturn void fuzz_fail(const char *file, int line, const char *what);
#define FUZZ_CHECK(cond)                                                                           \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fuzz_fail(__FILE__, __LINE__, #cond);                                                  \
    } while (0)

#endif
