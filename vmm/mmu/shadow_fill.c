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
#include "vmm/cpubits.h"
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/shadow.h"

/* --- Rights -------------------------------------------------------------------------------- */

/* What a guest entry allows, as ACCESS_ bits. */
static u8 access_of(u64 entry)
{
    return (entry & PTE_W ? ACCESS_WRITE : 0) | (entry & PTE_U ? ACCESS_USER : 0) |
           (entry & PTE_NX ? 0 : ACCESS_EXEC);
}

/* The bits of a leaf for the rights that remain. With CR0.WP clear the guest's kernel may
 * write where nobody else may, but the processor runs with CR0.WP set: then the page is
 * the kernel's alone for a while, until a user's fault gives it back. */
static u64 leaf_bits(u32 role, u8 allowed, u8 wanted)
{
    /* LAB 4 BEGIN: Rights into the bits of a leaf, and the way of a kernel with CR0.WP clear. */
    u64 bits = PTE_P | PTE_A;

    if ((wanted & (ACCESS_WRITE | ACCESS_USER)) == ACCESS_WRITE && !(allowed & ACCESS_WRITE) &&
        !(role & ROLE_WP)) {
        bits |= PTE_W | PTE_D | SHADOW_KERNEL_ONLY;
        if (allowed & ACCESS_USER && role & ROLE_SMEP)
            allowed &= ~ACCESS_EXEC;
        allowed &= ~ACCESS_USER;
    }
    bits |= allowed & ACCESS_WRITE ? PTE_W | PTE_D : 0;
    bits |= allowed & ACCESS_USER ? PTE_U : 0;
    return bits | (allowed & ACCESS_EXEC ? 0 : PTE_NX);
    /* LAB 4 END: todo(4, "4.6", role, allowed, wanted); */
}

/* --- Leaves --------------------------------------------------------------------------------- */

static const struct pt_level *lowest_level(u32 role)
{
    const struct pt_format *f = pt_format_of(ROLE_MODE(role));

    return &f->level[f->levels - 1];
}

/* Does a guest entry of level 1 translate, without the processor touching it? */
static bool is_usable(u32 role, u64 gpte)
{
    /* LAB 4 BEGIN: Present, accessed, and no bit set that must be zero. */
    const struct pt_format *f = pt_format_of(ROLE_MODE(role));

    return (gpte & (PTE_P | PTE_A)) == (PTE_P | PTE_A) &&
           !(gpte & pt_reserved(f, lowest_level(role), true, role & ROLE_NXE));
    /* LAB 4 END: todo(4, "4.6", role, gpte, lowest_level); */
}

/* Of a clean page the first write has to be seen, to set D. */
static u8 guest_access(u32 role, u64 gpte)
{
    /* LAB 4 BEGIN: What the entry and the role allow together; without D, no write. */
    u8 access = ROLE_ACCESS(role) & access_of(gpte);

    return gpte & PTE_D ? access : access & ~ACCESS_WRITE;
    /* LAB 4 END: todo(4, "4.6", role, gpte, access_of); */
}

u64 shadow_leaf(const struct shadow *s, const struct shadow_page *p, u32 i, u64 gpte, u8 wanted,
                u32 *frame)
{
    /* LAB 4 BEGIN: Where the entry leads and what it may allow; 0 if there is nothing. */
    u8 access = ROLE_ACCESS(p->role);
    gpa_t target = gpa(p->table.v + i * PAGE_SIZE);
    hpa_t host;

    if (p->guest) {
        if (!is_usable(p->role, gpte))
            return 0;
        access = guest_access(p->role, gpte);
        target = gpa(gpte & (ROLE_MODE(p->role) == PAGING_LEGACY32 ? PT_BITS(12, 31) : PTE_ADDR));
    }
    *frame = shadow_frame_at(s, target, &host);
    if (!*frame)
        return 0;
    u64 entry = host.v | leaf_bits(p->role, access, wanted);
    if (shadow_is_protected(&s->frame[*frame]))
        entry &= ~(PTE_W | PTE_D);
    return entry;
    /* LAB 4 END: todo(4, "4.6", s, p, i, gpte, wanted, frame, is_usable, guest_access, leaf_bits);
     */
}

void shadow_fill(struct shadow *s, struct shadow_page *p, u64 gva, u64 gpte, u8 access)
{
    u32 i = shadow_index(1, gva), frame;
    u64 before = p->entry[i], entry = shadow_leaf(s, p, i, gpte, access, &frame);

    if (entry)
        shadow_map(s, p, i, entry, frame);
    else
        shadow_clear(s, p, i);
    shadow_trace_fill(s, p, i, gva, gpte, before);
}

/* --- The path -------------------------------------------------------------------------------- */

/* The reference of a walk to the guest's table of that level; NULL: the walk made none. */
static const struct walk_ref *guest_ref(const struct walk *w, u32 level)
{
    for (u32 i = 0; i < w->refs; i++)
        if (w->ref[i].level == level)
            return &w->ref[i];
    return NULL;
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
        return shadow_get(s, first, shadow_frame_at(s, first, &host),
                          s->role | ROLE_DIRECT | ROLE_MAKE(level, 0, access_of_piece(w)));
    }
    gpa_t table = shadow_gpa_of(s, r->table);
    return shadow_get(
        s, table, shadow_frame_at(s, table, &host),
        s->role | ROLE_MAKE(level, quadrant(w->mode, level, w->gva.v), access_above(w, level)));
    /* LAB 4 END: todo(4, "4.5", s, w, level, guest_ref, access_above, access_of_piece, quadrant);
     */
}

/* Link a child where it was not. While it hung elsewhere or nowhere, INVLPG has not met
 * it: what is out of step there might have been flushed since. */
static void link(struct shadow *s, struct shadow_page *p, u32 i, const struct shadow_page *child)
{
    if (child->guest && s->frame[child->frame].unsynced)
        shadow_sync(s, child->frame);
    shadow_link(s, p, i, child);
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
