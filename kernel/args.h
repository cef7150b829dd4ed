/*
 * Words of the form KEY=VALUE, as handouts/formats.md section 4 defines them:
 * splitting, sizes, times and numbers. Which keys exist is the caller's table.
 */
#ifndef KERNEL_ARGS_H
#define KERNEL_ARGS_H

#include "kernel/types.h"

/* A word inside a longer text; not zero-terminated. */
struct word {
    const char *text;
    size_t len;
};

/* The next word of *rest, which moves behind it; false at the end. */
bool args_next(const char **rest, struct word *word);
/* Split KEY=VALUE; false when there is no '='. */
bool args_split(struct word word, struct word *key, struct word *value);
bool word_is(struct word word, const char *text);

/* Numbers with units: 0 or -EINVAL (not a number), -ERANGE. */
int args_number(struct word value, u64 *out); /* decimal or 0x hex */
int args_size(struct word value, u64 *out);   /* bytes; K M G */
int args_time(struct word value, u64 *out);   /* ns; ns us ms s */

#endif
