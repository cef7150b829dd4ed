/*
 * The few types everything is built from, and the three kinds of address.
 *
 * gva_t, gpa_t and hpa_t are one-member structs, so that mixing a guest's
 * virtual, a guest's physical and the host's physical addresses does not
 * compile. Host code also builds under a hosted compiler (unit tests).
 */
#ifndef KERNEL_TYPES_H
#define KERNEL_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;
__extension__ typedef unsigned __int128 u128;

typedef struct {
    u64 v;
} gva_t; /* guest-virtual (linear) */
typedef struct {
    u64 v;
} gpa_t; /* guest-physical */
typedef struct {
    u64 v;
} hpa_t; /* host-physical; the host maps all memory at its own address */

static inline gva_t gva(u64 v)
{
    return (gva_t){v};
}
static inline gpa_t gpa(u64 v)
{
    return (gpa_t){v};
}
static inline hpa_t hpa(u64 v)
{
    return (hpa_t){v};
}

/* The host's own pointer to a host-physical address. */
static inline void *hpa_ptr(hpa_t a)
{
    return (void *)(uintptr_t)a.v;
}
static inline hpa_t ptr_hpa(const void *p)
{
    return hpa((uintptr_t)p);
}

#define PAGE_SIZE  4096ul
#define PAGE_SHIFT 12
#define PAGE_MASK  (PAGE_SIZE - 1)

#define NS_PER_SEC 1000000000ul

/* The errors that functions return, negated. */
enum { ENOMEM = 12, EFAULT = 14, EBUSY = 16, EINVAL = 22, ENOSPC = 28, ERANGE = 34, ENOTSUP = 95 };

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline u64 min_u64(u64 a, u64 b)
{
    return a < b ? a : b;
}
static inline u64 max_u64(u64 a, u64 b)
{
    return a > b ? a : b;
}
static inline u64 align_up(u64 x, u64 to)
{
    return (x + to - 1) & ~(to - 1);
}

#endif
