/*
 * Guest tables out of step with their shadow. A table of the lowest level may be given
 * to the guest for writing: the processor, too, would go on using what its TLB holds
 * until the guest flushes. When it does, the shadow entries are compared with what is
 * in the table now.
 *
 * An upper table goes out of step only if there is no other way to have a write carried
 * out (shadow_fault.c): while one is, no path of the shadow can be relied on, and a
 * flush of any address drops all that was made of it.
 *
 * Source: AMD64 Manual vol. 2, 5.5.2 (when a change of an entry must be seen).
 */
#include "kernel/todo.h"
#include "vmm/mmu/shadow.h"

static struct shadow_page *first_page(const struct shadow *s, u32 frame)
{
    return &s->page[s->frame[frame].tables];
}

/* Only if all that the guest uses it for is a table of the lowest level. */
bool shadow_may_unsync(const struct shadow *s, u32 frame)
{
    /* LAB 4 BEGIN: Only tables of the lowest level may go out of step. */
    for (u16 n = s->frame[frame].tables; n; n = s->page[n].same)
        if (ROLE_LEVEL(s->page[n].role) != 1)
            return false;
    return true;
    /* LAB 4 END: todo(4, "4.8", s, frame); */
}

void shadow_unsync(struct shadow *s, u32 frame)
{
    struct shadow_frame *f = &s->frame[frame];

    f->unsynced = true;
    f->upper = !shadow_may_unsync(s, frame);
    s->uppers += f->upper;
    s->strict |= f->upper;
    f->next_unsynced = s->unsynced;
    s->unsynced = frame;
    TRACE(shadow_unsync, s->vm, 0, .table = first_page(s, frame)->table.v);
}

/* What the processor itself sets in a leaf says nothing. */
#define COMPARED (~(PTE_A | PTE_D))

/* The guest's entry is usable as it is: is entry i what it asks for? If not, it is made so. */
static __attribute__((noinline)) bool renew(struct shadow *s, struct shadow_page *p, u32 i,
                                            u64 gpte)
{
    /* LAB 4 BEGIN: Where does it lead now, and with which rights? Changed: map, or clear. */
    hpa_t host;
    u32 frame = shadow_frame_at(s, gpa(gpte & PTE_ADDR), &host);
    if (!frame)
        return shadow_clear(s, p, i);
    u64 entry = shadow_leaf(s, p, gpte, 0, frame, host);
    if (!((p->entry[i] ^ entry) & COMPARED))
        return false;
    shadow_map(s, p, i, entry, frame);
    return true;
    /* LAB 4 END: todo(4, "4.8", s, p, i, gpte); */
}

static bool sync_entry(struct shadow *s, struct shadow_page *p, u32 i)
{
    /* LAB 4 BEGIN: One entry is renewed, or cleared if the processor could not use the guest's. */
    u64 gpte = shadow_guest_entry(p, i);

    if ((gpte & (PTE_P | PTE_A | p->malformed)) != (PTE_P | PTE_A))
        return shadow_clear(s, p, i);
    return renew(s, p, i, gpte);
    /* LAB 4 END: todo(4, "4.8", s, p, i, renew); */
}

static u32 sync_page(struct shadow *s, struct shadow_page *p)
{
    u32 changed = 0;

    for (u32 w = 0; w < ARRAY_SIZE(p->present); w++)
        for (u64 left = p->present[w]; left; left &= left - 1)
            changed += sync_entry(s, p, 64 * w + (u32)__builtin_ctzll(left));
    return changed;
}

void shadow_forget_unsynced(struct shadow *s, u32 frame)
{
    u32 *at = &s->unsynced;

    while (*at != frame)
        at = &s->frame[*at].next_unsynced;
    *at = s->frame[frame].next_unsynced;
    s->uppers -= s->frame[frame].upper;
    s->strict = s->uppers || s->role & ROLE_STRICT;
    s->frame[frame].unsynced = false;
}

void shadow_sync(struct shadow *s, u32 frame)
{
    u32 changed = 0;

    for (u16 n = s->frame[frame].tables; n; n = s->page[n].same) {
        struct shadow_page *p = &s->page[n];
        changed += ROLE_LEVEL(p->role) == 1 ? sync_page(s, p) : shadow_empty(s, p);
    }
    shadow_forget_unsynced(s, frame);
    shadow_protect(s, frame);
    TRACE(shadow_sync, s->vm, 0, .table = first_page(s, frame)->table.v, .entries = changed);
}

void shadow_sync_all(struct shadow *s)
{
    while (s->unsynced)
        shadow_sync(s, s->unsynced);
}

/* While this page hung elsewhere or nowhere, INVLPG has not met it, nor what hangs on it: what is
 * out of step there might have been flushed since. Who hangs on it is not asked. */
void shadow_sync_below(struct shadow *s, const struct shadow_page *p)
{
    if (p->guest && s->frame[p->frame].unsynced)
        shadow_sync(s, p->frame);
    for (u32 f = ROLE_LEVEL(p->role) > 1 && p->count ? s->unsynced : 0, next; f; f = next) {
        next = s->frame[f].next_unsynced;
        if (!s->frame[f].upper)
            shadow_sync(s, f);
    }
}

/* The processor forgets all upper entries, whatever the address: SDM vol. 3A, 4.10.4.1. */
static void sync_uppers(struct shadow *s)
{
    for (u32 f = s->unsynced, next; f && s->uppers; f = next) {
        next = s->frame[f].next_unsynced;
        if (s->frame[f].upper)
            shadow_sync(s, f);
    }
}

bool shadow_invlpg(struct shadow *s, u64 gva)
{
    /* LAB 4 BEGIN: The entry of one address, if its table is out of step. */
    sync_uppers(s);
    struct shadow_page *p = shadow_find(s, gva);
    u32 i = shadow_index(1, gva);

    if (!p || !p->guest || !s->frame[p->frame].unsynced || !(p->entry[i] & PTE_P))
        return false;
    return sync_entry(s, p, i);
    /* LAB 4 END: todo(4, "4.8", s, gva, sync_uppers, sync_entry); */
}
