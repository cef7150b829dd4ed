/*
 * The walk as the manual has it (AMD64 vol. 2, 5.2 to 5.6), over the mirror.
 * It also says what such a walk changes, and holds memory against the mirror.
 */
#include "guests/pager/pager.h"

#define NO_RIGHTS_MASK (~0ull)

u64 entry_read(const void *at)
{
    return format.width == 8 ? *(const volatile u64 *)at : *(const volatile u32 *)at;
}

void entry_write(void *at, u64 e)
{
    if (format.width == 8)
        *(volatile u64 *)at = e;
    else
        *(volatile u32 *)at = (u32)e;
}

bool maps_page(int level, u64 e)
{
    return level == 1 ||
           (format.level[level].maps && e & PTE_PS && (!format.needs_pse || pager.pse));
}

static u64 reserved_bits(int level, bool page)
{
    const struct level *l = &format.level[level];
    u64 bits = l->zero | (page ? l->zero_page : 0);
    if (format.width == 4)
        return bits;
    if (level == 3 && l->maps && !pager.pages_1g)
        bits |= PTE_PS;
    return bits | pager.address_bits | (pager.nxe ? 0 : PTE_NX);
}

/* Where the entry points. In 32-bit tables bits 13 to 20 of a large page are address 32 to 39. */
static u64 target(int level, u64 e, bool page)
{
    u64 base = e & PTE_ADDRESS;
    if (!page || level == 1)
        return base;
    u64 size = 1ull << format.level[level].shift;
    if (format.width == 4)
        return (e & 0xffc00000ull) | (e >> 13 & 0xff) << 32;
    return base & ~(size - 1);
}

static void fails(struct route *r, u32 access, u32 cause)
{
    r->ok = false;
    r->error = cause | (access & WRITE ? ERROR_W : 0) | (access & USER ? ERROR_U : 0) |
               (access & EXECUTE && pager.nxe && format.nx ? ERROR_I : 0);
}

/* The rights of all levels together, in the leaf's place. */
static bool allowed(u64 all, u64 any, u32 access)
{
    bool user = access & USER;
    if (user && !(all & PTE_U))
        return false;
    if (access & WRITE && !(all & PTE_W) && (user || pager.wp))
        return false;
    return !(access & EXECUTE && pager.nxe && format.nx && any & PTE_NX);
}

void route(struct route *r, u64 root, u64 gva, u32 access)
{
    u64 table = root, all = NO_RIGHTS_MASK, any = 0;
    *r = (struct route){0};
    for (int level = format.levels; level; level--) {
        u64 at = table + entry_index(gva, level) * (u64)format.width;
        if (!in_pool(at, (u64)format.width)) {
            r->outside = true;
            return;
        }
        u64 e = entry_read(mirror_of(at));
        bool page = maps_page(level, e);
        r->step[r->steps++] = (struct step){at, e, level};
        if (!(e & PTE_P))
            return fails(r, access, 0);
        if (e & reserved_bits(level, page))
            return fails(r, access, ERROR_P | ERROR_RSVD);
        if (format.level[level].rights) {
            all &= e;
            any |= e;
        }
        table = target(level, e, page);
        if (page) {
            r->gpa = table + (gva & ((1ull << format.level[level].shift) - 1));
            break;
        }
    }
    r->found = in_pool(r->gpa, 1);
    r->outside = !r->found;
    r->ok = true;
    if (!allowed(all, any, access))
        fails(r, access, ERROR_P);
}

void route_used(const struct route *r, u32 access)
{
    for (int i = 0; i < r->steps; i++) {
        const struct step *s = &r->step[i];
        u64 bits = format.level[s->level].rights ? PTE_A : 0;
        if (i == r->steps - 1 && access & WRITE)
            bits |= PTE_D;
        entry_write(mirror_of(s->at), entry_read(mirror_of(s->at)) | bits);
    }
}

void route_forgive(const struct route *r, int steps, u64 bits)
{
    for (int i = 0; i < steps; i++) {
        void *mirror = mirror_of(r->step[i].at);
        u64 now = entry_read(real_of(r->step[i].at));
        if (!((now ^ entry_read(mirror)) & ~bits))
            entry_write(mirror, entry_read(mirror) | now);
    }
}

bool route_spoils(const struct route *r)
{
    for (int i = 0; i < r->steps; i++)
        if (format.level[r->step[i].level].rights && is_pointer(r->step[i].at))
            return true;
    return false;
}

/* QEMU sets A in directory pointers, and does not mind it there; on other processors none has it,
 * or it would be reserved. */
static void forgive_pointers(const struct route *r)
{
    for (int i = 0; i < r->steps; i++)
        if (!format.level[r->step[i].level].rights)
            entry_write(mirror_of(r->step[i].at), entry_read(mirror_of(r->step[i].at)) |
                                                      (entry_read(real_of(r->step[i].at)) & PTE_A));
}

void route_check(const struct route *r, u64 gva)
{
    forgive_pointers(r);
    for (int i = 0; i < r->steps; i++) {
        u64 now = entry_read(real_of(r->step[i].at)), right = entry_read(mirror_of(r->step[i].at));
        if (now != right)
            diverge("an entry on the way", gva, now, right);
    }
}

/* What maps this program is walked all the time. */
static void forgive_vital(void)
{
    for (u32 s = 0; s < pager.spaces; s++)
        for (u32 i = 0; i < format.kernel_bytes; i += (u32)format.width) {
            u64 at = root_of(s) + i;
            entry_write(mirror_of(at),
                        entry_read(mirror_of(at)) | (entry_read(real_of(at)) & PTE_A));
        }
}

/* In these bytes from there on. */
static void pool_differs(u64 from)
{
    for (u64 at = POOL + from;; at += (u64)format.width)
        if (entry_read(real_of(at)) != entry_read(mirror_of(at)))
            diverge("memory, at this gPA", at, entry_read(real_of(at)), entry_read(mirror_of(at)));
}

void pool_check(void)
{
    forgive_vital();
    const unsigned long *real = real_of(POOL), *mirror = mirror_of(POOL);
    for (size_t i = 0; i < POOL_SIZE / sizeof(*real); i += 8) {
        unsigned long other = 0;
        for (size_t k = i; k < i + 8; k++)
            other |= real[k] ^ mirror[k];
        if (other)
            pool_differs(i * sizeof(*real));
    }
}
