/*
 * Shadow entries: the only place that writes to a shadow table. It keeps the books
 * that make a change affordable: which entries map a frame, which lead to a shadow
 * page, which entries of a page are present. What an entry should be is decided
 * elsewhere; that its frame is the guest's is up to shadow_frame_at().
 *
 * A chain is doubly linked through s->link[], one pair for each shadow entry.
 */
#include "vmm/mmu/shadow.h"

static shadow_ref ref_of(const struct shadow_page *p, u32 i)
{
    return p->number * SHADOW_ENTRIES + i;
}

static u64 *entry_of(const struct shadow *s, shadow_ref r)
{
    return &s->page[r / SHADOW_ENTRIES].entry[r % SHADOW_ENTRIES];
}

/* --- Chains ------------------------------------------------------------------------------ */

/* Where the chain begins that `owner` names: LINK_FRAME or LINK_PAGE and a number. */
static shadow_ref *chain(const struct shadow *s, u32 owner)
{
    u32 n = owner & ~LINK_PAGE;

    return __builtin_expect(owner >= LINK_PAGE, 0) ? &s->page[n].parents : &s->frame[n].maps;
}

static inline void chain_add(struct shadow *s, shadow_ref r, u32 owner)
{
    shadow_ref *head = chain(s, owner), next = *head;

    s->link[r] = (struct shadow_link){.next = next, .prev = owner};
    if (next)
        s->link[next].prev = r;
    *head = r;
}

static inline void chain_remove(struct shadow *s, shadow_ref r)
{
    struct shadow_link l = s->link[r];

    if (l.prev & LINK_FRAME) /* of either kind */
        *chain(s, l.prev) = l.next;
    else
        s->link[l.prev].next = l.next;
    if (l.next)
        s->link[l.next].prev = l.prev;
}

/* --- Entries ------------------------------------------------------------------------------ */

/* An entry where there was none. */
static inline __attribute__((always_inline)) void put(struct shadow *s, struct shadow_page *p,
                                                      u32 i, u64 entry, u32 owner)
{
    p->entry[i] = entry;
    p->present[i / 64] |= 1ull << i % 64;
    p->count++;
    chain_add(s, ref_of(p, i), owner);
}

bool shadow_clear(struct shadow *s, struct shadow_page *p, u32 i)
{
    if (!(p->entry[i] & PTE_P))
        return false;
    p->entry[i] = 0;
    p->present[i / 64] &= ~(1ull << i % 64);
    p->count--;
    chain_remove(s, ref_of(p, i));
    s->narrowed = true;
    if (ROLE_LEVEL(p->role) > 1)
        shadow_forget_found(s);
    return true;
}

void shadow_map(struct shadow *s, struct shadow_page *p, u32 i, u64 entry, u32 frame)
{
    u64 old = p->entry[i];

    if (!(old & PTE_P)) {
        put(s, p, i, entry, LINK_FRAME | frame);
        return;
    }
    if (!((old ^ entry) & PTE_ADDR)) { /* the same frame, other rights */
        s->narrowed |= (old & ~entry & (PTE_W | PTE_U)) || (entry & ~old & PTE_NX);
        p->entry[i] = entry;
        return;
    }
    shadow_clear(s, p, i);
    put(s, p, i, entry, LINK_FRAME | frame);
}

/* All rights: what entries above a leaf forbid is in the leaf (the role's access). Of a
 * directory pointer they are reserved bits. */
void shadow_link(struct shadow *s, struct shadow_page *p, u32 i, const struct shadow_page *child)
{
    u64 rights = p->role & ROLE_POINTERS ? PTE_P : PTE_P | PTE_W | PTE_U | PTE_A;

    shadow_clear(s, p, i);
    put(s, p, i, shadow_table(child).v | rights, LINK_PAGE | child->number);
}

void shadow_protect(struct shadow *s, u32 frame)
{
    for (shadow_ref r = s->frame[frame].maps; r; r = s->link[r].next) {
        u64 *entry = entry_of(s, r);
        s->narrowed |= (*entry & PTE_W) != 0;
        *entry &= ~(PTE_W | PTE_D);
    }
}
