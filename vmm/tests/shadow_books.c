/*
 * The invariants of a shadow; see shadow_books.h. Everything is found out from the data
 * alone: none of the functions that keep the books is called, but those that say what a
 * number means (shadow.h), and the guest's own walk (walk.c).
 */
#include "vmm/tests/shadow_books.h"
#include "vmm/tests/fuzz.h"

static bool is_used[BOOKS_PAGES], is_free[BOOKS_PAGES];

/* --- Pages: in use or free, each once -------------------------------------------------- */

static u32 count_used(const struct shadow *s)
{
    u32 n = 0;
    u16 before = 0;

    memset(is_used, 0, sizeof(is_used));
    for (u16 p = s->oldest; p; p = s->page[p].newer) {
        FUZZ_CHECK(p <= s->fresh && !is_used[p]);
        FUZZ_CHECK(s->page[p].number == p && s->page[p].older == before);
        is_used[p] = true;
        before = p;
        n++;
    }
    FUZZ_CHECK(s->newest == before);
    return n;
}

static u32 count_free(const struct shadow *s)
{
    u32 n = 0;

    memset(is_free, 0, sizeof(is_free));
    for (u16 p = s->free; p; p = s->page[p].same) {
        FUZZ_CHECK(p <= s->fresh && !is_used[p] && !is_free[p]);
        FUZZ_CHECK(!s->page[p].count && !s->page[p].parents);
        is_free[p] = true;
        n++;
    }
    return n;
}

static u32 count_listed(const struct shadow *s, u16 first, u32 frame, u32 kinds)
{
    u32 n = 0;

    for (u16 p = first; p; p = s->page[p].same) {
        FUZZ_CHECK(is_used[p] && s->page[p].frame == frame && n < s->pages);
        FUZZ_CHECK(!(s->page[p].role & (ROLE_DIRECT | ROLE_POINTERS)) == !kinds);
        n++;
    }
    return n;
}

static void check_pages(const struct shadow *s)
{
    u32 used = count_used(s), listed = count_listed(s, s->elsewhere, 0, ROLE_DIRECT);

    FUZZ_CHECK(s->fresh <= s->pages && s->pages < BOOKS_PAGES);
    FUZZ_CHECK(used + count_free(s) == s->fresh);
    for (u32 f = 1; f < s->frames; f++)
        listed += count_listed(s, s->frame[f].tables, f, 0) +
                  count_listed(s, s->frame[f].others, f, ROLE_DIRECT);
    FUZZ_CHECK(listed == used);
}

/* --- Entries: each in its chain ----------------------------------------------------------- */

static u32 count_entries(const struct shadow_page *p)
{
    u32 n = 0;

    for (u32 i = 0; i < SHADOW_ENTRIES; i++) {
        bool noted = p->present[i / 64] >> i % 64 & 1;
        FUZZ_CHECK(noted == (p->entry[i] & PTE_P) && (noted || !p->entry[i]));
        n += noted;
    }
    FUZZ_CHECK(n == p->count);
    return n;
}

static hpa_t host_of(const struct shadow *s, u32 frame)
{
    u32 i = s->mem->slots - 1;

    while (s->first[i] > frame)
        i--;
    return hpa(s->mem->slot[i].hpa.v + (u64)(frame - s->first[i]) * PAGE_SIZE);
}

/* A chain of entries that all lead to one place, from pages of that level. */
static u32 count_chain(const struct shadow *s, shadow_ref first, u32 owner, hpa_t to, u32 level)
{
    u32 n = 0, before = owner;

    for (shadow_ref r = first; r; r = s->link[r].next) {
        const struct shadow_page *p = &s->page[r / SHADOW_ENTRIES];
        u64 entry = p->entry[r % SHADOW_ENTRIES];
        FUZZ_CHECK(is_used[p->number] && ROLE_LEVEL(p->role) == level);
        FUZZ_CHECK(entry & PTE_P && (entry & PTE_ADDR) == to.v && s->link[r].prev == before);
        FUZZ_CHECK(++n <= s->pages * SHADOW_ENTRIES);
        before = r;
    }
    return n;
}

static void check_entries(const struct shadow *s)
{
    u32 entries = 0, chained = 0;

    for (u32 n = 1; n <= s->fresh; n++) {
        const struct shadow_page *p = &s->page[n];
        if (is_used[n])
            chained +=
                count_chain(s, p->parents, LINK_PAGE | n, shadow_table(p), ROLE_LEVEL(p->role) + 1);
        entries += count_entries(p);
    }
    for (u32 f = 1; f < s->frames; f++)
        chained += count_chain(s, s->frame[f].maps, LINK_FRAME | f, host_of(s, f), 1);
    FUZZ_CHECK(chained == entries);
}

/* --- Guest tables: protected, or out of step ------------------------------------------- */

static bool maps_writable(const struct shadow *s, u32 frame)
{
    for (shadow_ref r = s->frame[frame].maps; r; r = s->link[r].next)
        if (s->page[r / SHADOW_ENTRIES].entry[r % SHADOW_ENTRIES] & PTE_W)
            return true;
    return false;
}

static bool is_only_lowest(const struct shadow *s, u32 frame)
{
    for (u16 n = s->frame[frame].tables; n; n = s->page[n].same)
        if (ROLE_LEVEL(s->page[n].role) != 1)
            return false;
    return true;
}

static void check_tables(const struct shadow *s)
{
    u32 flagged = 0, listed = 0, uppers = 0;

    for (u32 f = 1; f < s->frames; f++) {
        const struct shadow_frame *frame = &s->frame[f];
        FUZZ_CHECK(frame->unsynced || !frame->tables || !maps_writable(s, f));
        FUZZ_CHECK(!frame->unsynced || frame->tables);
        flagged += frame->unsynced;
    }
    for (u32 f = s->unsynced; f; f = s->frame[f].next_unsynced) {
        FUZZ_CHECK(s->frame[f].unsynced && ++listed <= flagged);
        FUZZ_CHECK(s->frame[f].upper || is_only_lowest(s, f));
        uppers += s->frame[f].upper;
    }
    FUZZ_CHECK(listed == flagged && uppers == s->uppers);
}

static void check_found(const struct shadow *s)
{
    for (u32 i = 0; i < SHADOW_FOUND; i++) {
        u64 region = s->found[i].region, gva = (region & ((1ull << 36) - 1)) << 21;
        if (!s->found[i].page || region >> 48 != s->root)
            continue;
        const struct shadow_page *p = &s->page[s->root];
        for (u32 level = ROLE_LEVEL(p->role); level > 1; level--) {
            u64 entry = p->entry[shadow_index(level, gva)];
            FUZZ_CHECK(entry & PTE_P);
            p = shadow_page_at(s, entry);
        }
        FUZZ_CHECK(p == s->found[i].page);
    }
}

void books_check(const struct shadow *s)
{
    check_pages(s);
    check_entries(s);
    check_tables(s);
    FUZZ_CHECK(s->active ? is_used[s->root] : !s->oldest);
    if (!s->active)
        return;
    FUZZ_CHECK(!s->narrowed); /* whoever made something less has flushed */
    FUZZ_CHECK(s->strict == (s->uppers || s->role & ROLE_STRICT));
    check_found(s);
}

/* --- Leaves ---------------------------------------------------------------------------- */

u32 books_frame(const struct shadow *s, u64 leaf)
{
    for (u32 f = 1; f < s->frames; f++)
        if (host_of(s, f).v == (leaf & PTE_ADDR))
            return f;
    FUZZ_CHECK(!"a leaf leads to memory that is not the guest's");
    return 0;
}

u64 books_leaf(const struct vcpu *v, u64 gva)
{
    const struct shadow *s = &v->vm->shadow;
    const struct shadow_page *p = &s->page[s->root];

    for (u32 level = ROLE_LEVEL(p->role); level > 1; level--) {
        u64 entry = p->entry[shadow_index(level, gva)];
        if (!(entry & PTE_P))
            return 0;
        p = shadow_page_at(s, entry);
    }
    return p->entry[shadow_index(1, gva)];
}

/* The guest's own tables allow it, and have all the A and D that it takes. */
static void check_allowed(struct vcpu *v, u64 at, u8 access, u64 leaf)
{
    static struct walk w;
    struct guest_paging paging = vcpu_paging(v);
    hpa_t host = hpa(0);

    FUZZ_CHECK(!shadow_walk_guest(v, &paging, gva(at), access, false, &w));
    FUZZ_CHECK(shadow_frame_at(&v->vm->shadow, w.gpa, &host) && host.v == (leaf & PTE_ADDR));
    for (u32 i = 0; i < w.refs; i++)
        FUZZ_CHECK(w.ref[i].before & PTE_A || (w.mode == PAGING_PAE && w.ref[i].level == 3));
    FUZZ_CHECK(!(access & ACCESS_WRITE) || w.ref[w.refs - 1].before & PTE_D);
}

static void check_leaf(struct vcpu *v, u64 at, u64 leaf)
{
    u8 who = leaf & PTE_U ? ACCESS_USER : 0;

    books_frame(&v->vm->shadow, leaf);
    check_allowed(v, at, who, leaf);
    if (leaf & PTE_W)
        check_allowed(v, at, who | ACCESS_WRITE, leaf);
    if (!(leaf & PTE_NX))
        check_allowed(v, at, who | ACCESS_EXEC, leaf);
}

void books_check_leaf(struct vcpu *v, u64 gva)
{
    u64 leaf = books_leaf(v, gva);

    if (leaf & PTE_P)
        check_leaf(v, gva, leaf);
}

static u64 canonical(const struct shadow *s, u64 gva)
{
    return s->mode == PAGING_LONG4 ? (u64)((s64)(gva << 16) >> 16) : gva;
}

/* Below a page; a recursion of four levels at most. */
static void check_below(struct vcpu *v, const struct shadow_page *p, u64 first)
{
    const struct shadow *s = &v->vm->shadow;
    u32 level = ROLE_LEVEL(p->role);

    if (p->guest && !(p->role & ROLE_POINTERS) && s->frame[p->frame].unsynced)
        return;
    for (u32 i = 0; i < SHADOW_ENTRIES; i++) {
        u64 at = first + ((u64)i << (3 + 9 * level));
        if (!(p->entry[i] & PTE_P))
            continue;
        if (level == 1) {
            check_leaf(v, canonical(s, at), p->entry[i]);
            continue;
        }
        const struct shadow_page *child = shadow_page_at(s, p->entry[i]);
        FUZZ_CHECK(ROLE_LEVEL(child->role) == level - 1);
        check_below(v, child, at);
    }
}

void books_check_leaves(struct vcpu *v)
{
    const struct shadow *s = &v->vm->shadow;

    FUZZ_CHECK(v->ctl.shadow_root.v == (s->active ? shadow_table(&s->page[s->root]).v : 0));
    if (s->active)
        check_below(v, &s->page[s->root], 0);
}
