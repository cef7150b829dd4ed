/*
 * How this guest's kernel writes tables and data: at the pool's own address, by
 * every kind of instruction, whole or in pieces. What is written is looked at again
 * at once; the mirror gets it by plain stores.
 */
#include "guests/pager/pager.h"

static bool fits(const struct access *a, u32 left)
{
    return a->n && a->n <= left;
}

/* An instruction that makes new out of old there; false: this kind cannot. */
static bool compose(struct access *a, const u8 *old, const u8 *new)
{
    u32 was = 0, is = 0;
    memcpy(&was, old, a->n < 4 ? a->n : 4);
    memcpy(&is, new, a->n < 4 ? a->n : 4);
    memcpy(a->value, new, a->n);
    switch (a->kind) {
    case CMPXCHG8:
        memcpy(a->compare, old, 8);
        return true;
    case XADD4:
        is -= was;
        break;
    case OR1:
        if (was & ~is)
            return false;
        break;
    case AND4:
        if (is & ~was)
            return false;
        is |= ~was & (u32)rng_next(&pager.rng);
        break;
    case ZERO:
    case STOS:
        for (u32 i = 1; i < a->n; i++)
            if (new[i] != new[0])
                return false;
        return a->kind == STOS || !new[0];
    default:
        return true;
    }
    memcpy(a->value, &is, a->n < 4 ? a->n : 4);
    return true;
}

/* The first bytes of what is left; returns how many. */
static u32 write_piece(u64 gpa, const u8 *old, const u8 *new, u32 left, bool whole)
{
    struct access a = {.gva = gpa};
    struct probe p;
    do {
        a.kind = (enum probe_kind)(W1 + below(MOVS - W1 + 1));
        a.n = probe_bytes[a.kind] ? probe_bytes[a.kind] : whole ? left : 1 + below(left);
        if (is_modify(a.kind) && gpa & (a.n - 1)) /* no split locks */
            continue;
        if (whole && a.n != left && left <= 8)
            continue;
    } while (!fits(&a, left) || !compose(&a, old, new));
    effect_load(&a, &p);
    probe_run(&p, a.kind, false);
    if (p.faulted)
        diverge("a fault on this program's own memory", gpa, p.error, 0);
    return a.n;
}

bool poke(u64 gpa, const void *bytes, u32 n)
{
    u8 old[64];
    bool whole = permille(600);
    if (!in_pool(gpa, n) || is_vital(gpa, n))
        return false;
    cached_before_write(gpa, n);
    memcpy(old, mirror_of(gpa), n);
    for (u32 done = 0; done < n;)
        done += write_piece(gpa + done, old + done, (const u8 *)bytes + done, n - done, whole);
    memcpy(mirror_of(gpa), bytes, n);
    if (memcmp(real_of(gpa), bytes, n))
        diverge("a write", gpa, *(u64 *)real_of(gpa & ~7ull), *(u64 *)mirror_of(gpa & ~7ull));
    return true;
}

/* A directory pointer must be whole at all times. */
static bool poke_pointer(u64 at, u64 e)
{
    if ((at & 31) == 0) /* the one that maps this program */
        return false;
    cached_before_write(at, 8);
    entry_write(real_of(at), e);
    entry_write(mirror_of(at), e);
    return true;
}

bool poke_entry(u64 at, u64 e)
{
    if (is_pointer(at))
        return poke_pointer(at, e & (PTE_ADDRESS | PTE_P));
    if (format.width == 8)
        return poke(at, &e, 8);
    u32 narrow = (u32)e;
    return poke(at, &narrow, 4);
}

bool poke_copy(u64 to, u64 from)
{
    if (is_vital(from, PAGE_SIZE)) /* its A bits come and go */
        return false;
    cached_before_write(to, PAGE_SIZE);
    pool_copy(real_of(to), real_of(from), PAGE_SIZE);
    pool_copy(mirror_of(to), mirror_of(from), PAGE_SIZE);
    return true;
}

void poke_zero(u64 frame)
{
    cached_before_write(frame, PAGE_SIZE);
    pool_zero(real_of(frame), PAGE_SIZE);
    pool_zero(mirror_of(frame), PAGE_SIZE);
}
