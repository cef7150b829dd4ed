/*
 * Reading arguments by a table of keys. Every error is one sentence that names
 * the word, as grader/args.py writes it before a run: both say the same of the
 * same text. It knows no key itself. Source: handouts/formats.md section 4.
 */
#include "kernel/format.h"
#include "kernel/mem.h"
#include "vmm/argtable.h"

const struct arg_unit arg_number = {args_number, "a number"};
const struct arg_unit arg_size = {args_size, "a size (a number with K, M or G, or without)"};
const struct arg_unit arg_time = {args_time, "a time (an integer with ns, us, ms or s)"};

int arg_refuse(const struct arg_error *error, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vformat(error->text, error->size, fmt, args);
    va_end(args);
    return -EINVAL;
}

struct word arg_cut(struct word *rest, char at)
{
    struct word part = {rest->text, 0};

    while (part.len < rest->len && part.text[part.len] != at)
        part.len++;
    size_t skip = part.len + (part.len < rest->len);
    *rest = (struct word){rest->text + skip, rest->len - skip};
    return part;
}

void arg_append(const struct arg_error *error, const char *separator, const char *text)
{
    size_t n = strlen(error->text);

    format(error->text + n, error->size - n, "%s%s", separator, text);
}

static int set_word(const struct arg_key *k, void *field, struct word value,
                    const struct arg_error *error)
{
    for (u32 i = 0; k->words[i]; i++) {
        if (word_is(value, k->words[i])) {
            memcpy(field, &i, sizeof(i));
            return 0;
        }
    }
    arg_refuse(error, "'%.*s' is none of", WORD_ARGS(value));
    for (u32 i = 0; k->words[i]; i++)
        arg_append(error, i ? ", " : ": ", k->words[i]);
    return -EINVAL;
}

static int set_number(const struct arg_key *k, void *field, struct word value,
                      const struct arg_error *error)
{
    u64 number;
    int err = k->unit->parse(value, &number);

    if (err == -EINVAL)
        return arg_refuse(error, "'%.*s' is not %s", WORD_ARGS(value), k->unit->what);
    if (err || number < k->low || number > k->high)
        return arg_refuse(error, "'%.*s' is out of range: %s", WORD_ARGS(value), k->range);
    memcpy(field, &number, sizeof(number));
    return 0;
}

static int set_value(const struct arg_key *k, void *out, struct word value,
                     const struct arg_error *error)
{
    u8 *field = (u8 *)out + k->offset;

    if (k->set)
        return k->set(out, value, error);
    return k->words ? set_word(k, field, value, error) : set_number(k, field, value, error);
}

static const struct arg_key *find_key(const struct argtable *t, struct word key)
{
    for (u32 i = 0; i < t->keys; i++)
        if (word_is(key, t->key[i].key))
            return &t->key[i];
    return NULL;
}

static int refuse_key(const struct argtable *t, struct word word, const struct arg_error *error)
{
    arg_refuse(error, "'%.*s' is no %s; there are", WORD_ARGS(word), t->what);
    for (u32 i = 0; i < t->keys; i++)
        arg_append(error, i ? ", " : ": ", t->key[i].key);
    return -EINVAL;
}

/* One word. seen: a bit for each key that was there before. */
static int parse_word(const struct argtable *t, struct word word, u32 *seen, void *out,
                      const struct arg_error *error)
{
    struct word name, value;
    const struct arg_key *k = args_split(word, &name, &value) ? find_key(t, name) : NULL;

    if (!k)
        return refuse_key(t, word, error);
    u32 bit = 1u << (k - t->key);
    if (*seen & bit)
        return arg_refuse(error, "'%.*s': %s is given twice", WORD_ARGS(word), k->key);
    *seen |= bit;

    char detail[120];
    int err = set_value(k, out, value, &(struct arg_error){detail, sizeof(detail)});
    return err ? arg_refuse(error, "'%.*s': %s", WORD_ARGS(word), detail) : 0;
}

int argtable_parse(const struct argtable *t, const char **rest, void *out,
                   const struct arg_error *error)
{
    struct word word;
    u32 seen = 0;

    while (args_next(rest, &word)) {
        if (t->has_rest && word_is(word, "--"))
            break;
        int err = parse_word(t, word, &seen, out, error);
        if (err)
            return err;
    }
    return 0;
}
