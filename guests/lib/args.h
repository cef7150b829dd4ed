/*
 * The guest's own command line: words KEY=VALUE, in the grammar of
 * handouts/formats.md, section 4. A bad word ends the guest with code 2.
 */
#ifndef GUESTS_LIB_ARGS_H
#define GUESTS_LIB_ARGS_H

#include "guests/lib/types.h"

#define ARGS_MAX 256

/* Keep a copy. A first word without '=' (bare QEMU puts the file's name there) is skipped. */
void args_init(const char *cmdline);
/* The whole line, as it came. */
const char *args_line(void);

/* Refuse every key that is not in known: "hz seconds ticks". */
void args_allow(const char *known);

/* A number, decimal or 0x hex, with an optional K, M or G (powers of 1024). */
u64 args_number(const char *key, u64 otherwise, u64 least, u64 most);
/* A word, copied to the buffer. */
const char *args_word(const char *key, const char *otherwise, char *buffer, size_t size);

#endif
