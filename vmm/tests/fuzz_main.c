/*
 * The driver of all fuzz targets: fuzz_NAME COUNT SEED [FIRST].
 *
 * Input number i of a seed is always the same, so a failure is repeated by
 * "fuzz_NAME 1 SEED i". An input is random bytes, or one of the target's valid
 * seeds with a few mutations. Built with AddressSanitizer and UBSan.
 */
#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/tests/fuzz.h"

static u64 rng;
static u64 current_seed, current_number;
static const u8 *current_data;
static size_t current_size;

static u64 random_u64(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng * 0x2545f4914f6cdd1dull;
}

static u64 random_below(u64 n)
{
    return n ? (random_u64() >> 16) % n : 0;
}

/* Every input has its own random numbers. */
static void random_begin(u64 seed, u64 number)
{
    rng = (seed + 1) * 0x9e3779b97f4a7c15ull ^ (number + 1) * 0xd1b54a32d192ed03ull;
    if (!rng)
        rng = 1;
    for (int i = 0; i < 4; i++)
        random_u64();
}

/* --- Mutations: each returns the new size ----------------------------------- */

static size_t flip_bit(u8 *b, size_t n)
{
    b[random_below(n)] ^= (u8)(1u << random_below(8));
    return n;
}

static size_t set_byte(u8 *b, size_t n)
{
    static const u8 interesting[] = {0, 1, 0x7f, 0x80, 0xff, 0x66, 0x67, 0xf0, 0xf3, 0x0f};
    u64 r = random_below(2 * sizeof(interesting));

    b[random_below(n)] = r < sizeof(interesting) ? interesting[r] : (u8)random_u64();
    return n;
}

/* A number at a boundary, as 16, 32 or 64 bits. */
static size_t set_number(u8 *b, size_t n)
{
    static const u64 interesting[] = {
        0,          1,          0x7fff,     0x8000,      0xffff, 0x10000,    0x7fffffff,
        0x80000000, 0xfffffff0, 0xffffffff, 0x100000000, ~0ull,  0xfffff000, 0x7ffffffff000};
    size_t width = 2u << random_below(3);
    u64 value = interesting[random_below(ARRAY_SIZE(interesting))] + random_below(3) - 1;

    if (n >= width)
        memcpy(b + random_below(n - width + 1), &value, width);
    return n;
}

static size_t remove_bytes(u8 *b, size_t n)
{
    size_t at = random_below(n), count = 1 + random_below(min_u64(n - at, 8));

    memmove(b + at, b + at + count, n - at - count);
    return n - count;
}

static size_t insert_bytes(u8 *b, size_t n)
{
    size_t at = random_below(n + 1), count = 1 + random_below(8);

    if (n + count > FUZZ_MAX)
        return n;
    memmove(b + at + count, b + at, n - at);
    for (size_t i = 0; i < count; i++)
        b[at + i] = (u8)random_u64();
    return n + count;
}

static size_t copy_bytes(u8 *b, size_t n)
{
    size_t from = random_below(n), to = random_below(n);

    memmove(b + to, b + from, 1 + random_below(min_u64(n - max_u64(from, to), 16)));
    return n;
}

static size_t truncate_at(u8 *b, size_t n)
{
    (void)b;
    return random_below(n + 1);
}

static size_t mutate(u8 *b, size_t n)
{
    static size_t (*const how[])(u8 *, size_t) = {flip_bit,     set_byte,   set_byte,
                                                  set_number,   set_number, remove_bytes,
                                                  insert_bytes, copy_bytes, truncate_at};

    return n ? how[random_below(ARRAY_SIZE(how))](b, n) : insert_bytes(b, n);
}

/* --- One input -------------------------------------------------------------- */

static u32 seed_count(u8 *scratch)
{
    u32 n = 0;

    while (n < 1000 && fuzz_seed(n, scratch))
        n++;
    return n;
}

static size_t make_input(u8 *b, u32 seeds)
{
    size_t n = 0;

    if (seeds && random_below(8)) {
        n = fuzz_seed((u32)random_below(seeds), b);
        for (u64 i = random_below(7); i; i--)
            n = mutate(b, n);
        return n;
    }
    n = random_below(random_below(16) ? 64 : 4096);
    for (size_t i = 0; i < n; i++)
        b[i] = (u8)random_u64();
    return n;
}

static void explain(void)
{
    fprintf(stderr, "fuzz_%s: input %llu of seed %llu, %zu bytes:", fuzz_name,
            (unsigned long long)current_number, (unsigned long long)current_seed, current_size);
    for (size_t i = 0; i < current_size && i < 256; i++)
        fprintf(stderr, "%s%02x", i % 32 ? " " : "\n    ", current_data[i]);
    fprintf(stderr, "\nrepeat: build/unit/fuzz_%s 1 %llu %llu\n", fuzz_name,
            (unsigned long long)current_seed, (unsigned long long)current_number);
}

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: expected %s, got that it is not so\n", file, line, what);
    explain();
    exit(1);
}

/* Each input is a block of its own size: reading past it is an error. */
static void run_input(const u8 *data, size_t n)
{
    u8 *copy = malloc(n ? n : 1);

    if (!copy)
        abort();
    memcpy(copy, data, n);
    current_data = n ? copy : data;
    current_size = n;
    if (fuzz_one(n ? copy : copy + 1, n)) {
        explain();
        exit(1);
    }
    free(copy);
}

int main(int argc, char **argv)
{
    static u8 input[FUZZ_MAX];
    u64 count = argc > 1 ? strtoull(argv[1], NULL, 0) : 10000;
    u64 first = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
    u32 seeds = seed_count(input);

    current_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    __sanitizer_set_death_callback(explain);
    for (u64 i = 0; i < count; i++) {
        current_number = first + i;
        random_begin(current_seed, current_number);
        run_input(input, make_input(input, seeds));
    }
    printf("fuzz_%s: %llu inputs\n", fuzz_name, (unsigned long long)count);
    return 0;
}
