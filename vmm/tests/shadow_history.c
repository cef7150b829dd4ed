/*
 * Translations that a processor's TLB might hold; see shadow_history.h. While an upper table
 * is out of step anything may be seen: the addresses count again from their next flush on.
 * Source: AMD64 Manual vol. 2, 5.5.2; Intel SDM vol. 3A, 4.10.4.
 */
#include "vmm/tests/shadow_history.h"
#include "vmm/tests/fuzz.h"
#include "vmm/tests/shadow_books.h"

#define NOTES 24u

static struct {
    u64 gva;
    bool anything; /* too much has been seen, or what nobody can know */
    u32 notes;
    u64 note[NOTES];
} history[HISTORY_MAX];
static u32 addresses;

void history_begin(const u64 *gva, u32 n)
{
    memset(history, 0, sizeof(history));
    addresses = n;
    for (u32 i = 0; i < n; i++)
        history[i].gva = gva[i];
}

void history_flush(u64 gva)
{
    for (u32 i = 0; i < addresses; i++)
        if (history[i].gva >> PAGE_SHIFT == gva >> PAGE_SHIFT) {
            history[i].notes = 0;
            history[i].anything = false;
        }
}

/* The frame of a gPA, P, the rights of all levels together, and the leaf's D; 0: not mapped. */
static u64 says(struct vcpu *v, u64 at)
{
    static struct walk w;
    struct guest_paging paging = vcpu_paging(v);
    u64 rights = PTE_W | PTE_U, nx = 0;

    if (shadow_walk_guest(v, &paging, gva(at), 0, false, &w))
        return 0;
    for (u32 i = 0; i < w.refs; i++) {
        if (w.mode == PAGING_PAE && w.ref[i].level == 3)
            continue;
        rights &= w.ref[i].before;
        nx |= w.mode == PAGING_LEGACY32 ? 0 : w.ref[i].before & PTE_NX;
    }
    return (w.gpa.v & ~(u64)PAGE_MASK) | PTE_P | rights | nx | (w.ref[w.refs - 1].before & PTE_D);
}

static bool is_noted(u32 i, u64 what)
{
    for (u32 n = 0; n < history[i].notes; n++)
        if (history[i].note[n] == what)
            return true;
    return false;
}

static void note(u32 i, u64 what)
{
    if (history[i].anything || is_noted(i, what))
        return;
    if (history[i].notes == NOTES)
        history[i].anything = true;
    else
        history[i].note[history[i].notes++] = what;
}

void history_note(struct vcpu *v)
{
    if (!v->vm->shadow.active)
        return;
    for (u32 i = 0; i < addresses; i++)
        if (v->vm->shadow.uppers)
            history[i].anything = true;
        else if (!history[i].anything)
            note(i, says(v, history[i].gva));
}

/* May a leaf be so, if the tables say that? With CR0.WP clear the kernel may write everywhere. */
static bool allows(struct vcpu *v, u64 said, u64 leaf)
{
    bool everywhere = !(hv_get(v, HV_CR0) & CR0_WP) && !(leaf & PTE_U);
    hpa_t host = hpa(0);

    if (!(said & PTE_P) || !shadow_frame_at(&v->vm->shadow, gpa(said & PTE_ADDR), &host))
        return false;
    return host.v == (leaf & PTE_ADDR) && !(leaf & ~said & PTE_U) && !(said & ~leaf & PTE_NX) &&
           (!(leaf & PTE_W) || (said & PTE_D && (said & PTE_W || everywhere)));
}

static bool was_allowed(struct vcpu *v, u32 i, u64 leaf)
{
    for (u32 n = 0; n < history[i].notes; n++)
        if (allows(v, history[i].note[n], leaf))
            return true;
    return history[i].anything;
}

void history_check(struct vcpu *v)
{
    if (!v->vm->shadow.active)
        return;
    for (u32 i = 0; i < addresses; i++) {
        u64 leaf = books_leaf(v, history[i].gva);
        FUZZ_CHECK(!(leaf & PTE_P) || was_allowed(v, i, leaf));
    }
}
