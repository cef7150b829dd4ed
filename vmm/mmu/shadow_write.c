/*
 * Writes to guest tables that exited: what the shadow holds of the entries that were
 * written is dropped, and made anew when it is missed. A write may have any size, meet
 * parts of several entries, and the table may have several shadows: other levels, other
 * roles, quarters and halves of a 32-bit guest's tables.
 *
 * The write itself was made by whoever calls. Source: AMD64 Manual vol. 2, 5.2, 5.3.
 */
#include "kernel/todo.h"
#include "vmm/mmu/shadow.h"

/* The entries of a shadow page that stand for the guest's entries first to last. */
struct span {
    u32 from, to; /* to is behind the last one */
};

static struct span entries_for(const struct shadow_page *p, u32 first, u32 last)
{
    /* LAB 4 BEGIN: Which entries of this shadow page stand for these of the guest's. */
    if (ROLE_MODE(p->role) != PAGING_LEGACY32)
        return (struct span){first, last + 1};
    /* 1024 entries of the guest's: a half with one of ours each, a quarter with two */
    u32 each = ROLE_LEVEL(p->role) == 1 ? 1 : 2, covered = SHADOW_ENTRIES / each;
    u32 base = ROLE_QUADRANT(p->role) * covered;
    if (last < base || first >= base + covered)
        return (struct span){0, 0};
    u32 from = first > base ? first - base : 0;
    u32 to = last - base < covered ? last - base + 1 : covered;
    return (struct span){from * each, to * each};
    /* LAB 4 END: todo(4, "4.7", p, first, last); */
}

u32 shadow_write(struct shadow *s, u32 frame, u32 offset, u32 n)
{
    /* LAB 4 BEGIN: In each shadow of the frame, the entries made of these bytes are cleared. */
    u32 dropped = 0;

    for (u16 k = s->frame[frame].tables; k; k = s->page[k].same) {
        struct shadow_page *p = &s->page[k];
        u32 width = ROLE_MODE(p->role) == PAGING_LEGACY32 ? 4 : 8;
        struct span e = entries_for(p, offset / width, (offset + n - 1) / width);
        for (u32 i = e.from; i < e.to; i++)
            dropped += shadow_clear(s, p, i);
    }
    return dropped;
    /* LAB 4 END: todo(4, "4.7", s, frame, offset, n, entries_for); */
}
