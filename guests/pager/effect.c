/*
 * What each instruction under observation does to registers and memory, if it is
 * not kept from it. AMD64 manual vol. 3.
 */
#include "guests/pager/pager.h"

#ifdef __x86_64__
#define WORD_IN_XMM false
#define ZERO_BYTES  8
#else
#define WORD_IN_XMM true /* eight bytes do not fit in a register */
#define ZERO_BYTES  4
#endif

const u8 probe_bytes[PROBE_KINDS] = {
    [R1] = 1,       [R2] = 2,    [R4] = 4,  [R8] = 8,   [R16] = 16,          [W1] = 1,
    [W2] = 2,       [W4] = 4,    [W8] = 8,  [W16] = 16, [XCHG1] = 1,         [XCHG4] = 4,
    [CMPXCHG8] = 8, [XADD4] = 4, [OR1] = 1, [AND4] = 4, [ZERO] = ZERO_BYTES, [EXEC] = 1,
};

bool is_modify(enum probe_kind kind)
{
    return kind >= XCHG1 && kind <= AND4;
}

bool is_write(enum probe_kind kind)
{
    return kind >= W1 && kind <= MOVS;
}

static u64 word(const u8 *bytes, u32 n)
{
    u64 v = 0;
    memcpy(&v, bytes, n);
    return v;
}

void effect_load(const struct access *a, struct probe *p)
{
    *p = (struct probe){.ax = (unsigned long)word(a->value, 8), .cx = a->n};
    p->di = (unsigned long)a->gva;
    memcpy(p->xmm, a->value, 16);
    if (a->kind == MOVS) {
        memcpy(user_page, a->value, a->n);
        p->si = (unsigned long)user_page;
    }
    if (a->kind == CMPXCHG8) {
        u64 new = word(a->value, 8), compare = word(a->compare, 8);
        p->ax = (unsigned long)compare;
        p->bx = (unsigned long)new;
        p->cx = (unsigned long)(new >> 32);
        p->dx = (unsigned long)(compare >> 32);
    }
}

bool effect_new(const struct access *a, const u8 *old, u8 *new_bytes)
{
    u64 was = word(old, a->n < 8 ? a->n : 8), operand = word(a->value, 8);
    memcpy(new_bytes, a->value, a->n);
    switch (a->kind) {
    case CMPXCHG8:
        if (was != word(a->compare, 8))
            memcpy(new_bytes, old, 8);
        return true;
    case XADD4:
        operand += was;
        break;
    case OR1:
        operand |= was;
        break;
    case AND4:
        operand &= was;
        break;
    case ZERO:
        operand = 0;
        break;
    case STOS:
        memset(new_bytes, a->value[0], a->n);
        return true;
    default:
        return is_write(a->kind);
    }
    memcpy(new_bytes, &operand, a->n);
    return true;
}

/* The operand as the instruction left it. */
static u64 operand(const struct access *a, const struct probe *p)
{
    if (a->kind == CMPXCHG8 && WORD_IN_XMM)
        return (u32)p->ax | (u64)p->dx << 32;
    return a->kind == R8 && WORD_IN_XMM ? word(p->xmm, 8) : (u64)p->ax;
}

bool effect_right(const struct access *a, const struct probe *p, const u8 *old)
{
    u64 v = operand(a, p);
    switch (a->kind) {
    case R1 ... R8:
    case XCHG1:
    case XCHG4:
    case XADD4:
        return memcmp(&v, old, a->n) == 0;
    case CMPXCHG8:
        return v == word(old, 8);
    case R16:
        return memcmp(p->xmm, old, 16) == 0;
    case STOS:
    case MOVS:
        return p->cx == 0 && p->di == (unsigned long)a->gva + a->n;
    default:
        return true;
    }
}
