/*
 * Operations on single mappings: map, unmap, remap, protect, age, large pages and
 * their splitting, and what a change may look like before its flush. Most are
 * followed by an access, which tells whether the processor sees them.
 */
#include "guests/pager/pager.h"

static void look(u64 gva)
{
    if (permille(750))
        access_somehow(gva);
}

/* A gVA that is mapped, if a few tries find one. */
static u64 mapped_gva(void)
{
    struct route r;
    u64 gva = 0;
    for (int i = 0; i < 8; i++) {
        gva = random_gva();
        route(&r, current_root(), gva, READ);
        if (r.found)
            break;
    }
    return gva;
}

/* The entry that ends the walk to gva, and its level; 0 if a root's first entry. */
static u64 last_entry(u64 gva, int *level)
{
    struct route r;
    route(&r, current_root(), gva, READ);
    if (!r.steps)
        return 0;
    *level = r.step[r.steps - 1].level;
    return r.step[r.steps - 1].at;
}

static void map_one(u64 gva)
{
    u64 at = entry_at(pager.current, gva, 1, true);
    if (at)
        poke_entry(at, random_leaf(1));
}

void op_access(void)
{
    access_somehow(mapped_gva());
}

void op_map(void)
{
    u64 gva = random_gva();
    map_one(gva);
    look(gva);
}

void op_unmap(void)
{
    int level;
    u64 gva = mapped_gva(), at = last_entry(gva, &level);
    if (!at)
        return;
    u64 e = entry_read(mirror_of(at));
    poke_entry(at, permille(500) ? 0 : e & ~PTE_P);
    look(gva);
}

void op_remap(void)
{
    int level;
    u64 gva = mapped_gva(), at = last_entry(gva, &level);
    if (!at || !format.level[level].maps)
        return;
    u64 e = entry_read(mirror_of(at)), target = random_leaf(level);
    poke_entry(at, permille(500) ? target : (target & PTE_ADDRESS) | (e & ~PTE_ADDRESS));
    look(gva);
}

static u64 other_rights(u64 e, int level)
{
    u64 rights = PTE_W | PTE_U | (format.nx ? PTE_NX : 0) | (level == 1 ? PTE_G : 0);
    if (!format.level[level].rights)
        return e;
    for (int i = 0; i < 2; i++) {
        u64 bit = 1ull << (below(2) ? below(9) : 63);
        e ^= bit & rights;
    }
    return permille(300) ? e | PTE_W | PTE_U : e;
}

void op_protect(void)
{
    struct route r;
    u64 gva = mapped_gva();
    route(&r, current_root(), gva, READ);
    if (!r.steps)
        return;
    const struct step *s = &r.step[permille(700) ? r.steps - 1 : (int)below((u32)r.steps)];
    poke_entry(s->at, other_rights(s->entry, s->level));
    look(gva);
}

/* A or D, or both, back to 0: the next use must set them. */
void op_age(void)
{
    struct route r;
    u64 gva = mapped_gva();
    route(&r, current_root(), gva, READ);
    for (int i = 0; i < r.steps; i++) {
        u64 keep = permille(500) ? ~(PTE_A | PTE_D) : permille(500) ? ~PTE_A : ~PTE_D;
        if (format.level[r.step[i].level].rights && permille(600))
            poke_entry(r.step[i].at, entry_read(mirror_of(r.step[i].at)) & keep);
    }
    look(gva);
}

static int large_level(void)
{
    return format.levels == 4 && pager.pages_1g && permille(300) ? 3 : 2;
}

void op_large(void)
{
    u64 gva = random_gva();
    int level = large_level();
    u64 at = entry_at(pager.current, gva, level, true);
    if (at)
        poke_entry(at, random_leaf(level));
    look(gva);
    look(gva ^ PAGE_SIZE);
}

/* The large page at e of that level by a table that maps the same; made first, linked then. */
static void split_page(u64 at, u64 e, int level)
{
    u64 step = 1ull << format.level[level - 1].shift, table = take_table();
    u64 base = (e & PTE_ADDRESS) & ~((step << format.level[level - 1].bits) - 1);
    u64 bits = e & (0xfff | PTE_NX) & ~(level == 2 ? PTE_PS : 0ull);
    for (u32 i = 0; i < FEW; i++) {
        u64 index = format.level[level - 1].few[i];
        poke_entry(table + index * (u64)format.width, (base + index * step) | bits);
    }
    poke_entry(at, table | PTE_P | PTE_W | PTE_U | (e & PTE_A));
}

void op_split(void)
{
    struct route r;
    u64 gva = 0;
    for (int i = 0; i < 12; i++) {
        gva = random_gva();
        route(&r, current_root(), gva, READ);
        const struct step *s = &r.step[r.steps ? r.steps - 1 : 0];
        if (r.found && s->level > 1) {
            split_page(s->at, s->entry, s->level);
            break;
        }
    }
    look(gva);
}

/* Old or new, nothing else. */
void op_stale(void)
{
    static const enum probe_kind plain[] = {R1, R2, R4, W1, W2, W4};
    struct access a;
    struct route before;
    int level;
    random_access(&a, mapped_gva());
    a.kind = plain[below(ARRAY_SIZE(plain))];
    a.n = probe_bytes[a.kind];
    a.gva &= ~7ull;
    if (cached_is_stale())
        cached_flush();
    if (permille(700))
        access_do(&a); /* so that it is cached */
    if (cached_is_stale())
        cached_flush();
    route(&before, current_root(), a.gva, access_bits(&a));
    cached_walked(&before);
    u64 at = last_entry(a.gva, &level);
    if (!at || !format.level[level].maps)
        return;
    u64 e = entry_read(mirror_of(at));
    if (poke_entry(at, permille(500) ? random_leaf(level) : other_rights(e, level)))
        access_stale(&a, &before);
}
