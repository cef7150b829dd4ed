/*
 * The few types that the guests are built from. A guest shares no code with
 * the host: this header also serves 32-bit code, where u128 does not exist.
 */
#ifndef GUESTS_LIB_TYPES_H
#define GUESTS_LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define PAGE_SIZE 4096ull
#define KIB       1024ull
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A quotient by a 32-bit number, for 32-bit code without a runtime library. */
static inline u64 div_u64(u64 n, u32 d)
{
#ifdef __x86_64__
    return n / d;
#else
    u32 high = (u32)(n >> 32), low = (u32)n, q_high = high / d, rest = high % d, q_low;
    __asm__("divl %4" : "=a"(q_low), "=d"(rest) : "a"(low), "d"(rest), "rm"(d) : "cc");
    return (u64)q_high << 32 | q_low;
#endif
}

static inline u32 mod_u64(u64 n, u32 d)
{
    return (u32)(n - div_u64(n, d) * d);
}

#endif
