/*
 * format() against the C library's snprintf: every conversion with every
 * combination of flags and widths, and every size of buffer.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "kernel/format.h"
#include "vmm/tests/check.h"

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-overflow"

/* The same call of both; text and length must agree. */
#define SAME(fmt, ...)                                                                             \
    do {                                                                                           \
        char ours[128], theirs[128];                                                               \
        check_about("format \"%s\"", fmt);                                                         \
        int want = snprintf(theirs, sizeof(theirs), fmt, __VA_ARGS__);                             \
        CHECK_EQ(format(ours, sizeof(ours), fmt, __VA_ARGS__), want);                              \
        CHECK_STR(ours, theirs);                                                                   \
    } while (0)

static const char *const flags[] = {"",    "-",   "0",   "1", "7",  "07",   "-7",  "23",
                                    "023", "-23", "0-9", "#", "#9", "0#12", "-#12"};

static void test_numbers(void)
{
    static const long long values[] = {0,         1,         -1,           9,       10,
                                       255,       -255,      INT_MAX,      INT_MIN, UINT_MAX,
                                       LLONG_MAX, LLONG_MIN, 1234567890123};
    char fmt[24];

    for (u32 f = 0; f < ARRAY_SIZE(flags); f++) {
        for (u32 v = 0; v < ARRAY_SIZE(values); v++) {
            for (const char *c = "dux"; *c; c++) {
                if (*c != 'x' && strchr(flags[f], '#'))
                    continue; /* undefined, or without effect */
                snprintf(fmt, sizeof(fmt), "<%%%s%c>", flags[f], *c);
                SAME(fmt, (int)values[v]);
                snprintf(fmt, sizeof(fmt), "<%%%sl%c>", flags[f], *c);
                SAME(fmt, (long)values[v]);
                snprintf(fmt, sizeof(fmt), "<%%%sll%c>", flags[f], *c);
                SAME(fmt, values[v]);
                snprintf(fmt, sizeof(fmt), "<%%%sz%c>", flags[f], *c);
                SAME(fmt, (size_t)values[v]);
            }
        }
    }
}

static void test_strings(void)
{
    static const char *const texts[] = {"", "a", "hello", "a text that is longer than any width"};
    static const char unending[4] = {'a', 'b', 'c', 'd'};
    char fmt[24];

    for (u32 f = 0; f < ARRAY_SIZE(flags); f++) {
        if (strpbrk(flags[f], "0#"))
            continue; /* undefined with %s */
        for (u32 t = 0; t < ARRAY_SIZE(texts); t++) {
            snprintf(fmt, sizeof(fmt), "<%%%ss>", flags[f]);
            SAME(fmt, texts[t]);
            snprintf(fmt, sizeof(fmt), "<%%%s.3s>", flags[f]);
            SAME(fmt, texts[t]);
            snprintf(fmt, sizeof(fmt), "<%%%s.s>", flags[f]);
            SAME(fmt, texts[t]);
        }
    }
    SAME("<%.4s>", unending);
    SAME("<%.*s>", 2, "hello");
    SAME("<%.*s>", -1, "hello");
    SAME("<%*s>", 9, "hello");
    SAME("<%*d|%-*d>", -6, 42, 6, 43);
    SAME("<%c%c%5c%-5c>", 'a', 'b', 'c', 'd');
    SAME("<%p %p>", (void *)0x1234abcd, (void *)&flags);
    SAME("100%% of %s: %d, %llx", "it", -5, 0x123456789abcdefull);
}

static void test_own_rules(void)
{
    char out[64];

    check_about("own rules");
    format(out, sizeof(out), "%s", (char *)NULL);
    CHECK_STR(out, "(null)");
    format(out, sizeof(out), "%q %d", 3);
    CHECK_STR(out, "%q 3");
    format(out, sizeof(out), "end %");
    CHECK_STR(out, "end %");
    format(out, sizeof(out), "end %-5");
    CHECK_STR(out, "end %");
    format(out, sizeof(out), "%p", NULL);
    CHECK_STR(out, "0x0");
}

/* Never a byte behind the buffer, always a closing zero, always the length. */
static void test_sizes(void)
{
    char out[32];
    const char *whole = "number -42, text hi";
    int n = (int)strlen(whole);

    for (size_t size = 0; size <= sizeof(out) - 1; size++) {
        check_about("size %zu", size);
        memset(out, '#', sizeof(out));
        CHECK_EQ(format(out, size, "number %d, text %s", -42, "hi"), n);
        size_t kept = size ? min_u64(size - 1, (u64)n) : 0;
        CHECK_MEM(out, whole, kept);
        if (size)
            CHECK_EQ(out[kept], 0);
        for (size_t i = size; i < sizeof(out); i++)
            CHECK_EQ(out[i], '#');
    }
}

int main(void)
{
    test_numbers();
    test_strings();
    test_own_rules();
    test_sizes();
    return check_done("format");
}
