/*
 * printf's formatting, the part that the kernel needs; see format.h.
 *
 * A table of conversions would be longer than the switch. What it does not
 * do: floating point, octal, %n, positional arguments. An unknown conversion
 * is printed as it stands.
 */
#include "kernel/format.h"
#include "kernel/mem.h"

/* Where the text goes. length counts what did not fit, too. */
struct sink {
    char *out;
    size_t size, length;
};

/* One conversion: %[-][0][#][width][.precision][l|ll|z]letter */
struct spec {
    bool left, zero, prefix; /* prefix: 0x before a hex number */
    int width, precision;    /* precision -1: none */
    int longs;               /* number of l's; 2 for z */
    char letter;
};

static void put(struct sink *s, char c)
{
    if (s->length + 1 < s->size)
        s->out[s->length] = c;
    s->length++;
}

static void put_times(struct sink *s, char c, int n)
{
    while (n-- > 0)
        put(s, c);
}

/* A sign or 0x, then the body, padded to the width. Zeros go between. */
static void put_field(struct sink *s, const struct spec *spec, const char *prefix, const char *body,
                      size_t n)
{
    int pad = spec->width - (int)n - (int)strlen(prefix);
    bool zeros = spec->zero && !spec->left;

    if (!spec->left && !zeros)
        put_times(s, ' ', pad);
    while (*prefix)
        put(s, *prefix++);
    if (zeros)
        put_times(s, '0', pad);
    for (size_t i = 0; i < n; i++)
        put(s, body[i]);
    if (spec->left)
        put_times(s, ' ', pad);
}

static void put_number(struct sink *s, const struct spec *spec, const char *prefix, u64 value,
                       u32 base)
{
    char digits[20]; /* 2^64 - 1 has twenty */
    size_t at = sizeof(digits);

    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    put_field(s, spec, prefix, digits + at, sizeof(digits) - at);
}

static void put_string(struct sink *s, struct spec *spec, const char *text)
{
    size_t n = 0;

    if (!text)
        text = "(null)";
    /* Not strlen: with a precision the text need not end. */
    while ((spec->precision < 0 || n < (size_t)spec->precision) && text[n])
        n++;
    spec->zero = false;
    put_field(s, spec, "", text, n);
}

static void put_signed(struct sink *s, const struct spec *spec, s64 value)
{
    /* Negated as unsigned: the most negative number has no positive twin. */
    put_number(s, spec, value < 0 ? "-" : "", value < 0 ? -(u64)value : (u64)value, 10);
}

/* Decimal or hex; # adds 0x unless the number is 0, as in C. */
static void put_unsigned(struct sink *s, const struct spec *spec, u64 value)
{
    bool hex = spec->letter == 'x';

    put_number(s, spec, hex && spec->prefix && value ? "0x" : "", value, hex ? 16 : 10);
}

/* Digits, or * for an argument. */
static int parse_count(const char **fmt, va_list *args)
{
    int n = 0;

    if (**fmt == '*') {
        (*fmt)++;
        return va_arg(*args, int);
    }
    for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
        n = n < 10000 ? 10 * n + (**fmt - '0') : n;
    return n;
}

/* *fmt stands behind the %, and moves to the conversion's letter. */
static struct spec parse_spec(const char **fmt, va_list *args)
{
    struct spec spec = {.precision = -1};

    for (; **fmt == '-' || **fmt == '0' || **fmt == '#'; (*fmt)++) {
        spec.left |= **fmt == '-';
        spec.prefix |= **fmt == '#';
        spec.zero |= **fmt == '0';
    }
    spec.width = parse_count(fmt, args);
    if (spec.width < 0) {
        spec.left = true;
        spec.width = -spec.width;
    }
    if (**fmt == '.') {
        (*fmt)++;
        spec.precision = parse_count(fmt, args);
    }
    for (; **fmt == 'l' || **fmt == 'z'; (*fmt)++)
        spec.longs += **fmt == 'z' ? 2 : 1;
    spec.letter = **fmt;
    return spec;
}

static void put_conversion(struct sink *s, struct spec *spec, va_list *args)
{
    char c;

    switch (spec->letter) {
    case 'd':
        put_signed(s, spec, spec->longs ? va_arg(*args, long long) : va_arg(*args, int));
        break;
    case 'u':
    case 'x':
        put_unsigned(s, spec,
                     spec->longs ? va_arg(*args, unsigned long long) : va_arg(*args, unsigned));
        break;
    case 'p':
        put_number(s, spec, "0x", (uintptr_t)va_arg(*args, void *), 16);
        break;
    case 's':
        put_string(s, spec, va_arg(*args, const char *));
        break;
    case 'c':
        c = (char)va_arg(*args, int);
        spec->zero = false;
        put_field(s, spec, "", &c, 1);
        break;
    case '%':
        put(s, '%');
        break;
    default:
        put(s, '%');
        put(s, spec->letter);
    }
}

int vformat(char *out, size_t size, const char *fmt, va_list args)
{
    struct sink s = {out, size, 0};
    va_list left;

    va_copy(left, args);
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(&s, *fmt);
            continue;
        }
        fmt++;
        struct spec spec = parse_spec(&fmt, &left);
        if (!spec.letter) { /* the format ends within a conversion */
            put(&s, '%');
            break;
        }
        put_conversion(&s, &spec, &left);
    }
    va_end(left);
    if (size)
        out[s.length < size ? s.length : size - 1] = 0;
    return (int)s.length;
}

int format(char *out, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vformat(out, size, fmt, args);
    va_end(args);
    return n;
}
