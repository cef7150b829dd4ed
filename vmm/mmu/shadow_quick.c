/*
 * The short way. Upper tables are in step with the shadow, as a rule: where the shadow has
 * a path, it is the guest's own, and what is forbidden above is in the role of the page of
 * level 1. So the guest's entry of level 1 is all that has to be read, and no table is
 * walked. Where that does not hold, or is not so simple, the answer is: take the whole way.
 *
 * Source: AMD64 Manual vol. 2, 8.4.2 (error code), 5.4.2 (A and D).
 */
#include "kernel/todo.h"
#include "vmm/exit.h"
#include "vmm/mmu/shadow.h"
#include "vmm/vm.h"

/* Does an entry of level 1, with all above it, forbid this access? */
static inline bool forbids(const struct shadow_page *p, u64 gpte, u8 access)
{
    u64 rights = gpte & p->rights;

    if (access & ACCESS_USER && !(rights & PTE_U))
        return true;
    if (access & ACCESS_WRITE && !(rights & PTE_W) && (access & ACCESS_USER || p->role & ROLE_WP))
        return true;
    return access & ACCESS_EXEC && (gpte | p->rights) & PTE_NX;
}

/* The same of a piece of a large page: without W, D may have to be set in the guest's entry. */
static bool piece_forbids(const struct shadow_page *p, u8 access)
{
    return (access & ACCESS_WRITE && !(p->rights & PTE_W)) || forbids(p, p->rights, access);
}

/* Set A and D in the guest's entry, as its processor does. */
static u64 mark_used(const struct shadow_page *p, u32 i, u64 gpte, u8 access)
{
    u64 used = gpte | PTE_A | (access & ACCESS_WRITE ? PTE_D : 0);

    if (used == gpte)
        return gpte;
    if (ROLE_MODE(p->role) == PAGING_LEGACY32)
        *(volatile u32 *)shadow_guest_place(p, i) = (u32)used;
    else
        *(volatile u64 *)shadow_guest_place(p, i) = used;
    return used;
}

/* The error code that the guest's processor would give: where it cannot forbid execution,
 * it does not tell it from reading. (With SMEP nothing comes this way: ROLE_STRICT.) */
static u64 guest_error(const struct shadow *s, u64 error, bool present)
{
    bool tells = s->role & ROLE_NXE && s->mode != PAGING_LEGACY32;

    return (error & (tells ? PF_W | PF_U | PF_I : PF_W | PF_U)) | (present ? PF_P : 0);
}

/* False: it takes a walk. */
bool shadow_resolve_quickly(struct vcpu *v, const struct exit *x, u8 access)
{
    /* LAB 4 BEGIN: If you like: the answer from the guest's entry of level 1 alone. */
    struct shadow *s = &v->vm->shadow;
    u64 gva = x->exc.addr;
    struct shadow_page *p = s->strict ? NULL : shadow_find(s, gva);

    u32 i = shadow_index(1, gva);
    if (p && !p->guest && !piece_forbids(p, access)) {
        shadow_resolve(v, x, p, shadow_piece_entry(p, i), access);
        return true;
    }
    if (!p || !p->guest)
        return false;
    u64 gpte = shadow_guest_entry(p, i);
    if (!(gpte & PTE_P) || (!(gpte & p->malformed) && forbids(p, gpte, access))) {
        shadow_reflect(v, gva, guest_error(s, x->exc.error, gpte & PTE_P));
        return true;
    }
    if (gpte & p->malformed)
        return false;
    gpte = mark_used(p, i, gpte, access);
    shadow_resolve(v, x, p, gpte, access);
    return true;
    /* LAB 4 END: todo_not(4, "4.10", v, x, access, mark_used, guest_error); return false; */
}

const void *shadow_code(struct shadow *s, u64 gva)
{
    struct shadow_page *p = s->strict ? NULL : shadow_find(s, gva);
    u32 i = shadow_index(1, gva);
    hpa_t host;

    if (!p)
        return NULL;
    u64 gpte = p->guest ? shadow_guest_entry(p, i) : shadow_piece_entry(p, i);
    if ((gpte & (PTE_P | PTE_A | p->malformed)) != (PTE_P | PTE_A) ||
        !shadow_frame_at(s, gpa(gpte & PTE_ADDR), &host))
        return NULL;
    return hpa_ptr(hpa(host.v + (gva & PAGE_MASK)));
}

bool shadow_translate(struct shadow *s, u64 gva, u8 access, gpa_t *out)
{
    struct shadow_page *p = s->strict ? NULL : shadow_find(s, gva);
    u64 used = PTE_P | PTE_A | (access & ACCESS_WRITE ? PTE_D : 0);
    u32 i = shadow_index(1, gva);

    if (!p || (!p->guest && piece_forbids(p, access)))
        return false;
    u64 gpte = p->guest ? shadow_guest_entry(p, i) : shadow_piece_entry(p, i);
    if ((gpte & (used | p->malformed)) != used || forbids(p, gpte, access))
        return false;
    *out = gpa((gpte & PTE_ADDR) | (gva & PAGE_MASK));
    return true;
}
