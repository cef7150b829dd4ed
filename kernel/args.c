/*
 * Words of the form KEY=VALUE and the numbers in them (handouts/formats.md
 * section 4). Nothing is copied: a word points into the text it came from.
 * What it does not do: know any key; see vmm/argtable.c.
 */
#include "kernel/args.h"
#include "kernel/mem.h"

struct unit {
    const char *name;
    u64 factor;
};
static const struct unit size_units[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};
static const struct unit time_units[] = {
    {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", NS_PER_SEC}};

bool args_next(const char **rest, struct word *word)
{
    const char *s = *rest;

    while (*s == ' ')
        s++;
    word->text = s;
    while (*s && *s != ' ')
        s++;
    word->len = (size_t)(s - word->text);
    *rest = s;
    return word->len > 0;
}

bool args_split(struct word word, struct word *key, struct word *value)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.text[i] == '=') {
            *key = (struct word){word.text, i};
            *value = (struct word){word.text + i + 1, word.len - i - 1};
            return true;
        }
    }
    return false;
}

bool word_is(struct word word, const char *text)
{
    return strlen(text) == word.len && !memcmp(word.text, text, word.len);
}

/* The value of a digit, or 99. */
static u32 digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (u32)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (u32)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (u32)(c - 'A') + 10;
    return 99;
}

/* Digits at the start of *text, which moves behind them. */
static int take_digits(struct word *text, u32 base, u64 *out)
{
    u64 value = 0;
    size_t i = 0;
    bool overflow = false;

    for (; i < text->len && digit_value(text->text[i]) < base; i++) {
        overflow |= __builtin_mul_overflow(value, base, &value);
        overflow |= __builtin_add_overflow(value, digit_value(text->text[i]), &value);
    }
    if (i == 0)
        return -EINVAL;
    text->text += i;
    text->len -= i;
    *out = value;
    return overflow ? -ERANGE : 0;
}

/* A number with an optional 0x at the start of *text. */
static int take_number(struct word *text, u64 *out)
{
    if (text->len > 2 && text->text[0] == '0' && text->text[1] == 'x') {
        struct word digits = {text->text + 2, text->len - 2};
        int err = take_digits(&digits, 16, out);
        if (err != -EINVAL)
            *text = digits;
        return err;
    }
    return take_digits(text, 10, out);
}

/* Multiply by the unit that is left of the text. A number too large is only
 * said to be so if the rest makes sense: err is what reading it gave. */
static int apply_unit(struct word rest, const struct unit *unit, size_t units, int err, u64 *out)
{
    for (size_t i = 0; i < units; i++) {
        if (word_is(rest, unit[i].name)) {
            if (err == 0 && __builtin_mul_overflow(*out, unit[i].factor, out))
                return -ERANGE;
            return err;
        }
    }
    return -EINVAL;
}

int args_number(struct word value, u64 *out)
{
    int err = take_number(&value, out);

    return value.len > 0 ? -EINVAL : err;
}

int args_size(struct word value, u64 *out)
{
    int err = take_number(&value, out);

    if (err == -EINVAL)
        return err;
    return apply_unit(value, size_units, ARRAY_SIZE(size_units), err, out);
}

int args_time(struct word value, u64 *out)
{
    int err = take_digits(&value, 10, out);

    if (err == -EINVAL)
        return err;
    return apply_unit(value, time_units, ARRAY_SIZE(time_units), err, out);
}
