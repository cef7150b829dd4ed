/*
 * Tables of KEY=VALUE arguments: which keys there are, what values they take,
 * and where these go. vmargs.c and options.c hold the tables.
 */
#ifndef VMM_ARGTABLE_H
#define VMM_ARGTABLE_H

#include "kernel/args.h"

/* Where the sentence about a bad word goes; 160 bytes hold any of them. */
struct arg_error {
    char *text;
    size_t size;
};

/* A kind of number: how it is read, and its name when it cannot be. */
struct arg_unit {
    int (*parse)(struct word, u64 *);
    const char *what;
};
extern const struct arg_unit arg_number, arg_size, arg_time;

/* One key. Exactly one of words, unit and set is given. */
struct arg_key {
    const char *key;
    size_t offset;               /* of its field in the result */
    const char *const *words;    /* ends with NULL; the field is an enum, set to the index */
    const struct arg_unit *unit; /* the field is a u64 */
    u64 low, high;
    const char *range; /* low and high in words: "100us to 1s" */
    /* Anything else. 0, or -EINVAL and a sentence about the value. */
    int (*set)(void *out, struct word value, const struct arg_error *);
};

struct argtable {
    const char *what; /* "VM argument" */
    const struct arg_key *key;
    u32 keys;      /* at most 32 */
    bool has_rest; /* the word -- ends it; what follows is not looked at */
};

/* Read words from *rest into *out, whose defaults the caller has set. 0 and
 * *rest behind what was read, or -EINVAL and a sentence that names the word. */
int argtable_parse(const struct argtable *, const char **rest, void *out, const struct arg_error *);

/* Write the sentence; always -EINVAL. */
int arg_refuse(const struct arg_error *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Lengthen the sentence by one more word of a list. */
void arg_append(const struct arg_error *, const char *separator, const char *word);

/* Split *rest at the first such character: the part before it. */
struct word arg_cut(struct word *rest, char at);

/* A word as arguments for "%.*s", the beginning if it is long. */
#define WORD_ARGS(w) (int)min_u64((w).len, 40), (w).text

#endif
