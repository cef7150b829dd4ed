/*
 * The parser of a guest's command line. It knows words, KEY=VALUE and numbers;
 * what the keys mean is each guest's own matter.
 */
#include "guests/lib/args.h"

#include "guests/lib/print.h"
#include "guests/lib/testport.h"
#include "guests/lib/text.h"

#define EXIT_BAD_ARGUMENT 2

static char line[ARGS_MAX];

struct word {
    const char *text;
    size_t length, key; /* key: characters before '=', or length without one */
};

/* The word at or after *at; false at the end of the line. */
static bool next_word(const char **at, struct word *w)
{
    const char *p = *at;
    while (*p == ' ')
        p++;
    *w = (struct word){.text = p};
    while (p[w->length] && p[w->length] != ' ')
        w->length++;
    while (w->key < w->length && p[w->key] != '=')
        w->key++;
    *at = p + w->length;
    return w->length != 0;
}

static __attribute__((noreturn)) void refuse(const char *text, size_t n, const char *why)
{
    print("argument ");
    while (n--)
        print("%c", *text++);
    print(": %s\n", why);
    guest_exit(EXIT_BAD_ARGUMENT);
}

void args_init(const char *cmdline)
{
    size_t i = 0;
    for (; cmdline[i] && i + 1 < sizeof(line); i++)
        line[i] = cmdline[i];
    line[i] = 0;
}

const char *args_line(void)
{
    return line;
}

static bool is_known(const struct word *w, const char *known)
{
    struct word k;
    while (next_word(&known, &k))
        if (k.length == w->key && text_starts(w->text, k.text, k.length))
            return true;
    return false;
}

void args_allow(const char *known)
{
    const char *at = line;
    struct word w;
    for (bool first = true; next_word(&at, &w); first = false) {
        if (first && w.key == w.length)
            continue;
        if (w.key == w.length)
            refuse(w.text, w.length, "not KEY=VALUE");
        if (!is_known(&w, known))
            refuse(w.text, w.length, "unknown key");
    }
}

/* The value of key: its start, and its length in *n; NULL if the key is absent. */
static const char *find(const char *key, size_t *n)
{
    const char *at = line;
    struct word w;
    while (next_word(&at, &w)) {
        if (w.key == w.length || w.key != strlen(key) || !text_starts(w.text, key, w.key))
            continue;
        *n = w.length - w.key - 1;
        return w.text + w.key + 1;
    }
    return NULL;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return 99;
}

static u64 unit(char c)
{
    return c == 'K' ? KIB : c == 'M' ? MIB : c == 'G' ? GIB : 0;
}

/* All n characters must be a number. */
static bool parse_number(const char *s, size_t n, u64 *value)
{
    bool hex = n > 2 && s[0] == '0' && s[1] == 'x';
    size_t i = hex ? 2 : 0, first = i;
    u64 v = 0;
    int base = hex ? 16 : 10;
    for (; i < n && digit(s[i]) < base; i++)
        v = v * (u64)base + (u64)digit(s[i]);
    if (i == first)
        return false;
    if (i + 1 == n && unit(s[i])) {
        v *= unit(s[i]);
        i++;
    }
    *value = v;
    return i == n;
}

u64 args_number(const char *key, u64 otherwise, u64 least, u64 most)
{
    size_t n;
    const char *s = find(key, &n);
    u64 v;
    if (!s)
        return otherwise;
    if (!parse_number(s, n, &v))
        refuse(s, n, "not a number");
    if (v < least || v > most)
        refuse(s, n, "out of range");
    return v;
}

const char *args_word(const char *key, const char *otherwise, char *buffer, size_t size)
{
    size_t n;
    const char *s = find(key, &n);
    if (!s)
        return otherwise;
    if (n >= size)
        refuse(s, n, "too long");
    memcpy(buffer, s, n);
    buffer[n] = 0;
    return buffer;
}
