/*
 * An access through the tables, held against the model: whether it faults, with
 * which error code and CR2, what was read and written, and which A and D bits the
 * tables show afterwards. What the architecture leaves open is taken as it is: A in
 * the upper levels of a walk that faults, and what an access to two pages has done
 * to the first when the second faults. Emulators make a load and a store of an
 * instruction that modifies memory: its fault may be that of the load.
 */
#include "guests/pager/pager.h"

#define RET 0xc3

struct part {
    u64 gva;
    u32 n;
    struct route route;
};

u32 access_bits(const struct access *a)
{
    return (is_write(a->kind) ? WRITE : 0) | (a->user ? USER : 0) | (a->kind == EXEC ? EXECUTE : 0);
}

void random_access(struct access *a, u64 gva)
{
    a->kind = permille(400) ? (enum probe_kind)below(R16 + 1) : (enum probe_kind)below(PROBE_KINDS);
    a->user = permille(500);
    a->n = probe_bytes[a->kind] ? probe_bytes[a->kind] : 1 + below(sizeof(a->value));
    random_words(a->value, a->n > 8 ? a->n : 16, 800);
    memcpy(a->compare, a->value + 8, 8);
    u64 page = gva & ~(PAGE_SIZE - 1), offset = gva & (PAGE_SIZE - 1);
    if (permille(70))
        offset = PAGE_SIZE - 1 - below(a->n);
    if (permille(500) || is_modify(a->kind))
        offset &= ~(u64)(a->n - 1) | (a->n & (a->n - 1) ? ~0ull : 0);
    a->gva = page + offset;
}

static int split(const struct access *a, struct part *part)
{
    u32 first = (u32)(PAGE_SIZE - (a->gva & (PAGE_SIZE - 1)));
    part[0] = (struct part){.gva = a->gva, .n = a->n};
    if (a->n <= first)
        return 1;
    part[0].n = first;
    part[1] = (struct part){.gva = a->gva + first, .n = a->n - first};
    return 2;
}

/* Does it access one of the entries that lead it there? */
static bool overlaps_route(const struct route *r, u32 n)
{
    for (int i = 0; i < r->steps; i++)
        if (r->step[i].at < r->gpa + n && r->gpa < r->step[i].at + 8)
            return true;
    return false;
}

/* Accesses whose outcome would depend on the order of their parts, or hurt. */
static bool is_left_out(const struct access *a, const struct part *part, int parts)
{
    bool several = parts > 1 || a->kind == STOS || a->kind == MOVS;
    for (int i = 0; i < parts; i++) {
        const struct part *p = &part[i];
        if (route_spoils(&p->route))
            return true;
        if (p->route.outside || (p->route.found && !in_pool(p->route.gpa, p->n)))
            return true;
        if (p->route.found && is_vital(p->route.gpa, p->n))
            return true;
        if (!p->route.found || !is_write(a->kind))
            continue;
        if (is_modify(a->kind) && overlaps_route(&p->route, p->n))
            return true;
        if (several && cached_is_table(p->route.gpa, p->n))
            return true;
    }
    return false;
}

/* Routes of all parts; those behind one that faults are not walked. */
static int route_parts(const struct access *a, struct part *part)
{
    int parts = split(a, part);
    for (int i = 0; i < parts; i++) {
        route(&part[i].route, current_root(), part[i].gva, access_bits(a));
        cached_walked(&part[i].route);
        if (!part[i].route.ok || part[i].route.outside)
            return i + 1;
    }
    return parts;
}

/* What is executed is a RET, even where it should not be possible. */
static bool prepare_code(const struct access *a, const struct route *r)
{
    const u8 ret = RET;
    if (a->kind != EXEC || !r->found || *(u8 *)mirror_of(r->gpa) == RET)
        return true;
    if (cached_is_table(r->gpa, 1) || !poke(r->gpa, &ret, 1))
        return false;
    return true;
}

/* Is that the error code? QEMU leaves P out where reserved bits are set. */
static bool is_error(u32 seen, u32 right)
{
    return seen == right || (right & ERROR_RSVD && (seen | ERROR_P) == right);
}

static void check_fault(const struct access *a, const struct part *p, const struct probe *seen)
{
    u32 right = p->route.error, bits = access_bits(a);
    struct route reading;
    if (seen->cr2 != (u64)(unsigned long)p->gva)
        diverge("CR2", a->gva, seen->cr2, p->gva);
    if (is_error(seen->error, right))
        return;
    route(&reading, current_root(), p->gva, bits & ~(u32)WRITE);
    if (!is_modify(a->kind) || reading.ok || !is_error(seen->error, reading.error))
        diverge("the error code", a->gva, seen->error, right);
}

/* The first part of an access whose second faulted. */
static void settle_first(const struct access *a, struct part *p, const struct probe *seen)
{
    u8 *mirror = mirror_of(p->route.gpa);
    const volatile u8 *real = real_of(p->route.gpa);
    bool string = a->kind == STOS || a->kind == MOVS;
    route_forgive(&p->route, p->route.steps, PTE_A | (is_write(a->kind) ? PTE_D : 0));
    if (string && (seen->cx != a->n - p->n || seen->di != (unsigned long)p->gva + p->n))
        diverge("the registers of a string", a->gva, seen->cx, a->n - p->n);
    for (u32 i = 0; i < p->n && is_write(a->kind); i++) {
        u8 new = a->value[a->kind == STOS ? 0 : i];
        if (string || (a->kind == W16 && real[i] == new))
            mirror[i] = new;
    }
}

static void commit_fault(const struct access *a, struct part *part, int parts,
                         const struct probe *seen)
{
    struct part *p = &part[parts - 1];
    check_fault(a, p, seen);
    if (parts > 1)
        settle_first(a, &part[0], seen);
    /* QEMU sets A of a page of 1 GiB before it looks at its rights. */
    bool early = is_modify(a->kind) || p->route.step[p->route.steps - 1].level == 3;
    route_forgive(&p->route, p->route.steps - !early, PTE_A);
}

static u64 first_bytes(const u8 *bytes, u32 n)
{
    u64 v = 0;
    memcpy(&v, bytes, n < 8 ? n : 8);
    return v;
}

static void commit(const struct access *a, struct part *part, int parts, const struct probe *seen)
{
    u8 old[64], new[64];
    for (int i = 0, at = 0; i < parts; at += (int)part[i++].n) {
        route_used(&part[i].route, access_bits(a));
        memcpy(old + at, mirror_of(part[i].route.gpa), part[i].n);
    }
    if (!effect_right(a, seen, old))
        diverge("what was read", a->gva, seen->ax, first_bytes(old, a->n));
    if (!effect_new(a, old, new))
        return;
    for (int i = 0, at = 0; i < parts; at += (int)part[i++].n) {
        cached_before_write(part[i].route.gpa, part[i].n);
        memcpy(mirror_of(part[i].route.gpa), new + at, part[i].n);
    }
}

static void check_memory(const struct route *r, u32 n, u64 gva)
{
    route_check(r, gva);
    if (r->found && in_pool(r->gpa, n) && memcmp(real_of(r->gpa), mirror_of(r->gpa), n))
        diverge("what was written", gva, *(u64 *)real_of(r->gpa & ~7ull),
                *(u64 *)mirror_of(r->gpa & ~7ull));
}

bool access_do(struct access *a)
{
    struct part part[2];
    struct probe p;
    int parts = route_parts(a, part);
    if (is_left_out(a, part, parts) || !prepare_code(a, &part[0].route)) {
        pager.skipped++;
        return false;
    }
    bool fails = !part[parts - 1].route.ok;
    cached_settle(a->gva);
    if (parts > 1)
        cached_settle(part[1].gva);
    for (int i = 0; i < parts; i++)
        cached_walked(&part[i].route); /* once more: a flush begins anew */
    effect_load(a, &p);
    probe_run(&p, a->kind, a->user);
    if (p.faulted != fails)
        diverge(p.faulted ? "a fault" : "no fault", a->gva, p.error,
                fails ? part[parts - 1].route.error : 0);
    if (fails)
        commit_fault(a, part, parts, &p);
    else
        commit(a, part, parts, &p);
    for (int i = 0; i < parts; i++)
        check_memory(&part[i].route, part[i].n, a->gva);
    *(fails ? &pager.done_fault : &pager.done_ok) += 1;
    return true;
}

void access_somehow(u64 gva)
{
    struct access a;
    random_access(&a, gva);
    access_do(&a);
}

/* Was the access made as this route says? A write leaves its value there and only there. */
static bool went(const struct access *a, const struct route *r, const struct route *other,
                 const struct probe *seen)
{
    u8 new[64];
    if (!r->ok)
        return false;
    if (!is_write(a->kind))
        return effect_right(a, seen, mirror_of(r->gpa));
    effect_new(a, mirror_of(r->gpa), new);
    if (memcmp(real_of(r->gpa), new, a->n))
        return false;
    if (other->gpa != r->gpa && other->found &&
        memcmp(real_of(other->gpa), mirror_of(other->gpa), a->n))
        return false;
    memcpy(mirror_of(r->gpa), new, a->n);
    return true;
}

static bool is_unfit(const struct access *a, const struct route *r)
{
    if (route_spoils(r) || (r->found && overlaps_route(r, a->n)))
        return true;
    if (r->outside || (r->found && !in_pool(r->gpa, a->n)))
        return true;
    if (r->found && is_vital(r->gpa, a->n))
        return true;
    return r->found && is_write(a->kind) && cached_is_table(r->gpa, a->n);
}

void access_stale(struct access *a, const struct route *before)
{
    struct route after;
    struct probe p;
    route(&after, current_root(), a->gva, access_bits(a));
    cached_walked(&after);
    if (is_unfit(a, before) || is_unfit(a, &after))
        return;
    effect_load(a, &p);
    probe_run(&p, a->kind, a->user);
    u32 ad = PTE_A | (is_write(a->kind) ? PTE_D : 0);
    if (p.faulted) {
        bool old = !before->ok && is_error(p.error, before->error);
        bool now = !after.ok && is_error(p.error, after.error);
        if ((!old && !now) || p.cr2 != (u64)(unsigned long)a->gva)
            diverge("a fault between change and flush", a->gva, p.error, after.error);
    } else if (!went(a, &after, before, &p) && !went(a, before, &after, &p)) {
        diverge("neither old nor new", a->gva, (u64)p.ax, after.gpa);
    }
    route_forgive(before, before->steps, ad);
    route_forgive(&after, after.steps, ad);
    check_memory(before, a->n, a->gva);
    check_memory(&after, a->n, a->gva);
    pager.stale++;
}
