/*
 * Words, sizes, times and numbers (formats.md section 4).
 */
#include <string.h>
#include "kernel/args.h"
#include "vmm/tests/check.h"

static struct word as_word(const char *text)
{
    return (struct word){text, strlen(text)};
}

static void check_word(struct word w, const char *want)
{
    CHECK_EQ(w.len, strlen(want));
    CHECK_MEM(w.text, want, min_u64(w.len, strlen(want)));
}

static void test_words(void)
{
    const char *text = "  one two=2   --  three ", *rest = text;
    static const char *const want[] = {"one", "two=2", "--", "three"};
    struct word w, key, value;

    for (u32 i = 0; i < ARRAY_SIZE(want); i++) {
        CHECK(args_next(&rest, &w));
        check_word(w, want[i]);
        CHECK(word_is(w, want[i]));
    }
    CHECK(!args_next(&rest, &w));
    CHECK(!args_next(&rest, &w));
    CHECK(rest == text + strlen(text));
    rest = "";
    CHECK(!args_next(&rest, &w));

    CHECK(args_split(as_word("a=b=c"), &key, &value));
    check_word(key, "a");
    check_word(value, "b=c");
    CHECK(args_split(as_word("="), &key, &value));
    CHECK_EQ(key.len + value.len, 0);
    CHECK(!args_split(as_word("plain"), &key, &value));
    /* A word may end where its text goes on. */
    CHECK(!args_split((struct word){"plain=x", 5}, &key, &value));
    CHECK(!word_is((struct word){"one", 2}, "one"));
    CHECK(!word_is(as_word("one"), "on"));
}

struct number_case {
    const char *text;
    int err;
    u64 value;
};

static void check_numbers(int (*parse)(struct word, u64 *), const char *what,
                          const struct number_case *c)
{
    for (; c->text; c++) {
        u64 value = 0;
        check_about("%s '%s'", what, c->text);
        CHECK_EQ(parse(as_word(c->text), &value), c->err);
        if (!c->err)
            CHECK_EQ(value, c->value);
        /* What follows the word is none of its business. */
        char longer[64];
        size_t n = strlen(c->text);
        memcpy(longer, c->text, n);
        strcpy(longer + n, "9K");
        CHECK_EQ(parse((struct word){longer, n}, &value), c->err);
    }
}

/* clang-format off */
static const struct number_case numbers[] = {
    {"0", 0, 0}, {"42", 0, 42}, {"007", 0, 7}, {"0x10", 0, 16}, {"0xaBcD", 0, 0xabcd},
    {"18446744073709551615", 0, ~0ull}, {"0xffffffffffffffff", 0, ~0ull},
    {"18446744073709551616", -ERANGE, 0}, {"0x10000000000000000", -ERANGE, 0},
    {"99999999999999999999999", -ERANGE, 0}, {"99999999999999999999999x", -EINVAL, 0},
    {"", -EINVAL, 0}, {"0x", -EINVAL, 0}, {"x", -EINVAL, 0}, {"-1", -EINVAL, 0},
    {"+1", -EINVAL, 0}, {"1 ", -EINVAL, 0}, {"1K", -EINVAL, 0}, {"0X10", -EINVAL, 0},
    {"12a", -EINVAL, 0}, {"0xg", -EINVAL, 0}, {NULL, 0, 0}};

static const struct number_case sizes[] = {
    {"0", 0, 0}, {"4096", 0, 4096}, {"0x1000", 0, 4096}, {"64K", 0, 65536},
    {"16M", 0, 16 << 20}, {"2G", 0, 2ull << 30}, {"0x1M", 0, 1 << 20},
    {"17179869183G", 0, 17179869183ull << 30}, {"17179869184G", -ERANGE, 0},
    {"18446744073709551616K", -ERANGE, 0}, {"18446744073709551616Q", -EINVAL, 0},
    {"", -EINVAL, 0}, {"K", -EINVAL, 0}, {"16m", -EINVAL, 0}, {"16MB", -EINVAL, 0},
    {"16 M", -EINVAL, 0}, {"1.5G", -EINVAL, 0}, {"16T", -EINVAL, 0}, {NULL, 0, 0}};

static const struct number_case times[] = {
    {"0ns", 0, 0}, {"1ns", 0, 1}, {"100us", 0, 100000}, {"10ms", 0, 10000000},
    {"2s", 0, 2000000000}, {"18446744073s", 0, 18446744073000000000ull},
    {"18446744074s", -ERANGE, 0}, {"18446744073709551615ns", 0, ~0ull},
    {"18446744073709551616ns", -ERANGE, 0}, {"", -EINVAL, 0}, {"5", -EINVAL, 0},
    {"ms", -EINVAL, 0}, {"0x5s", -EINVAL, 0}, {"1m", -EINVAL, 0}, {"1sec", -EINVAL, 0},
    {"1.5s", -EINVAL, 0}, {NULL, 0, 0}};

/* clang-format on */

int main(void)
{
    test_words();
    check_numbers(args_number, "number", numbers);
    check_numbers(args_size, "size", sizes);
    check_numbers(args_time, "time", times);
    return check_done("args");
}
