/*
 * Making shadow entries of the guest's. The path from the root down grants everything;
 * what the guest's upper entries forbid is gathered in the role of the page of level 1,
 * and every leaf is that and the guest's own entry together. Never more: what the host's
 * slots do not hold has no entry at all.
 *
 * All leaves map 4 KiB. A large guest page is a page of level 1, or two levels, that has
 * no guest table: a piece (ROLE_DIRECT). Source: AMD64 Manual vol. 2, 5.4, 5.6.
 */
#include "kernel/todo.h"
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/shadow.h"

/* --- Leaves --------------------------------------------------------------------------------- */

/* What the guest's entry and all above it allow together. */
static u64 rights_of(const struct shadow_page *p, u64 gpte)
{
    /* LAB 4 BEGIN: PTE_W and PTE_U that both have, PTE_NX that one has; without D, no PTE_W. */
    u64 rights = (gpte & p->rights & (PTE_W | PTE_U)) | ((gpte | p->rights) & PTE_NX);

    return gpte & PTE_D ? rights : rights & ~PTE_W; /* the first write has to be seen */
    /* LAB 4 END: todo(4, "4.6", p, gpte); */
}

/* With CR0.WP clear the guest's kernel writes where nobody else may, but the processor runs
 * with CR0.WP set: so the page is the kernel's alone for a while, until a user's fault
 * gives it back. */
static u64 kernel_only(u32 role, u64 rights)
{
    /* LAB 4 BEGIN: For a kernel that writes with CR0.WP clear: W, not U. */
    u64 forbidden = rights & PTE_U && role & ROLE_SMEP ? PTE_NX : 0;

    return (rights & PTE_NX) | forbidden | PTE_W;
    /* LAB 4 END: todo(4, "4.6", role, rights); */
}

u64 shadow_leaf(const struct shadow *s, const struct shadow_page *p, u64 gpte, u8 wanted, u32 frame,
                hpa_t host)
{
    /* LAB 4 BEGIN: What the guest's entry and all above it allow; no write to a table in step. */
    u64 rights = rights_of(p, gpte);

    if (__builtin_expect(!(p->role & ROLE_WP), 0) && !(rights & PTE_W) &&
        (wanted & (ACCESS_WRITE | ACCESS_USER)) == ACCESS_WRITE)
        rights = kernel_only(p->role, rights);
    if (shadow_is_protected(&s->frame[frame]))
        rights &= ~PTE_W; /* each write has to be seen */
    return host.v | PTE_P | PTE_A | rights | (rights & PTE_W ? PTE_D : 0);
    /* LAB 4 END: todo(4, "4.6", s, p, gpte, wanted, frame, host, rights_of, kernel_only); */
}

void shadow_fill(struct shadow *s, struct shadow_page *p, u64 gva, u64 gpte, u8 access, u32 frame,
                 hpa_t host)
{
    u32 i = shadow_index(1, gva);
    u64 before = p->entry[i];

    shadow_map(s, p, i, shadow_leaf(s, p, gpte, access, frame, host), frame);
    shadow_trace_fill(s, p, i, gva, gpte, before);
}

/* --- The path ------------------------------------------------------------------------ */

/* The reference of a walk to the guest's table of that level; NULL: the walk made none. */
static const struct walk_ref *guest_ref(const struct walk *w, u32 level)
{
    for (u32 i = 0; i < w->refs; i++)
        if (w->ref[i].level == level)
            return &w->ref[i];
    return NULL;
}

/* What a guest entry allows, as ACCESS_ bits. */
static u8 access_of(u64 entry)
{
    return (entry & PTE_W ? ACCESS_WRITE : 0) | (entry & PTE_U ? ACCESS_USER : 0) |
           (entry & PTE_NX ? 0 : ACCESS_EXEC);
}

/* What all entries above that level allow. PAE's directory pointers allow everything. */
static u8 access_above(const struct walk *w, u32 level)
{
    /* LAB 4 BEGIN: The rights that all of the guest's entries above a level grant. */
    u8 access = SHADOW_ALL;

    for (u32 i = 0; i < w->refs; i++)
        if (w->ref[i].level > level && !(w->mode == PAGING_PAE && w->ref[i].level == 3))
            access &= access_of(w->ref[i].after);
    return access;
    /* LAB 4 END: todo(4, "4.5", w, level, access_of); */
}

/* The same for a piece of a large page: its own entry counts, and D as for a small one. */
static u8 access_of_piece(const struct walk *w)
{
    /* LAB 4 BEGIN: The rights of a piece of a large page, whose own entry counts. */
    u8 access = access_above(w, 0);

    return w->ref[w->refs - 1].after & PTE_D ? access : access & ~ACCESS_WRITE;
    /* LAB 4 END: todo(4, "4.5", w, access_above); */
}

/* A 32-bit guest's tables have 1024 entries, and its upper ones lead twice as far. */
static u32 quadrant(enum paging_mode mode, u32 level, u64 gva)
{
    /* LAB 4 BEGIN: Which of four, or of two, shadow tables of a 32-bit guest's table the address is
     * in. */
    if (mode != PAGING_LEGACY32)
        return 0;
    return level == 2 ? gva >> 30 & 3 : gva >> 21 & 1;
    /* LAB 4 END: todo(4, "4.5", mode, level, gva); */
}

/* The page of that level on the way of a walk. */
static struct shadow_page *page_below(struct shadow *s, const struct walk *w, u32 level)
{
    /* LAB 4 BEGIN: The shadow page of that level, of a guest's table or of a piece, in its role. */
    const struct walk_ref *r = guest_ref(w, level);
    u64 size = 1ull << (12 + 9 * level);
    hpa_t host;

    if (!r) {
        gpa_t first = gpa(w->gpa.v & ~(size - 1));
        u32 dirty = w->ref[w->refs - 1].after & PTE_D ? ROLE_DIRTY : 0;
        return shadow_get(s, first, shadow_frame_at(s, first, &host),
                          s->role | ROLE_DIRECT | dirty | ROLE_MAKE(level, 0, access_of_piece(w)));
    }
    gpa_t table = shadow_gpa_of(s, r->table);
    return shadow_get(
        s, table, shadow_frame_at(s, table, &host),
        s->role | ROLE_MAKE(level, quadrant(w->mode, level, w->gva.v), access_above(w, level)));
    /* LAB 4 END: todo(4, "4.5", s, w, level, guest_ref, access_above, access_of_piece, quadrant);
     */
}

/* Link a child where it was not. */
static void link(struct shadow *s, struct shadow_page *p, u32 i, const struct shadow_page *child)
{
    shadow_sync_below(s, child);
    shadow_link(s, p, i, child);
}

struct shadow_page *shadow_descend(struct shadow *s, u64 gva)
{
    struct shadow_page *p = &s->page[s->root];

    if (!pt_canonical(pt_format_of(s->mode), gva))
        return NULL;
    for (u32 level = ROLE_LEVEL(p->role); level > 1; level--) {
        u64 entry = p->entry[shadow_index(level, gva)];
        if (!(entry & PTE_P))
            return NULL;
        p = shadow_page_at(s, entry);
    }
    s->found[shadow_slot(s, gva)].region = shadow_region(s, gva);
    s->found[shadow_slot(s, gva)].page = p;
    return p;
}

void shadow_forget_found(struct shadow *s)
{
    for (u32 i = 0; i < SHADOW_FOUND; i++)
        s->found[i].page = NULL;
}

struct shadow_page *shadow_reach(struct shadow *s, const struct walk *w)
{
    struct shadow_page *p = &s->page[s->root];

    for (u32 level = ROLE_LEVEL(p->role); level > 1; level--) {
        u32 i = shadow_index(level, w->gva.v);
        struct shadow_page *child = page_below(s, w, level - 1);
        u64 before = p->entry[i];
        if (!(before & PTE_P) || shadow_page_at(s, before) != child) {
            link(s, p, i, child);
            const struct walk_ref *r = guest_ref(w, level);
            shadow_trace_fill(s, p, i, w->gva.v, r ? r->after : 0, before);
        }
        p = child;
    }
    return p;
}
