/*
 * A page fault exited. Whose is it? The guest's own tables are asked first: what they
 * forbid is the guest's, with the code that its processor would give. Then the host's
 * slots: what has no memory is a device's. What remains was missing in the shadow, or
 * narrower there than the guest's tables are: it is filled, and the guest never knows.
 *
 * Upper tables are in step, as a rule: where the shadow has a path, it is the guest's, and
 * its entry of level 1 is all that has to be read. That is the short way.
 * Source: AMD64 Manual vol. 2, 8.4.2 (error code), 5.4.2 (A and D).
 */
#include "vmm/exit.h"
#include "vmm/mmu/shadow.h"
#include "vmm/vm.h"

/* What the processor wanted to do, by its error code. */
static u8 access_of_error(u64 error)
{
    return (error & PF_W ? ACCESS_WRITE : 0) | (error & PF_U ? ACCESS_USER : 0) |
           (error & PF_I ? ACCESS_EXEC : 0);
}

static void trace_fault(const struct vcpu *v, u64 gva, u64 error, bool hidden)
{
    TRACE_BY(shadow_fault, v->who, .gva = gva, .error = error, .hidden = hidden);
}

/* If nothing else is due it goes in at once, without a look at all that may be. */
static void reflect(struct vcpu *v, u64 gva, u64 error)
{
    trace_fault(v, gva, error, false);
    if (v->attention) {
        vcpu_raise_pf(v, gva, (u32)error);
        return;
    }
    hv_set(v, HV_CR2, gva);
    hv->inject(v, &(struct event){true, EV_EXCEPTION, VECTOR_PF, true, (u32)error});
    TRACE_BY(inject, v->who, .vector = VECTOR_PF, .type = EV_EXCEPTION, .error = error);
}

/* --- What can ---------------------------------------------------------------------------------- */

/* A write to a guest table. False: it is carried out; else the guest may write now. */
static bool write_to_table(struct vcpu *v, const struct exit *x, u32 frame, hpa_t host)
{
    struct shadow *s = &v->vm->shadow;

    if (!shadow_may_unsync(s, frame) && shadow_write_table(v, x, frame, host))
        return false;
    if (!s->frame[frame].unsynced)
        shadow_unsync(s, frame);
    return true;
}

/* The guest allows it, and p is the page of level 1 for it. */
static inline void resolve(struct vcpu *v, const struct exit *x, struct shadow_page *p, u64 gpte,
                           u8 access)
{
    struct shadow *s = &v->vm->shadow;
    u64 gva = x->exc.addr;
    hpa_t host;
    u32 frame = shadow_frame_at(s, gpa(gpte & PTE_ADDR), &host);

    trace_fault(v, gva, x->exc.error, true);
    if (!frame || access & ~s->frame[frame].access & (ACCESS_WRITE | ACCESS_EXEC)) {
        shadow_outside(v, x, access, gpa((gpte & PTE_ADDR) | (gva & PAGE_MASK)));
        return;
    }
    if (access & ACCESS_WRITE && shadow_is_protected(&s->frame[frame]) &&
        !write_to_table(v, x, frame, host))
        return;
    shadow_fill(s, p, gva, gpte, access, frame, host);
}

/* The whole way: walk the guest's tables, as its processor would. */
static void walk_and_resolve(struct vcpu *v, const struct exit *x, u8 access)
{
    struct guest_paging paging = vcpu_paging(v);
    struct walk w;
    enum walk_fault f =
        shadow_walk_guest(v, &paging, gva(x->exc.addr), access, true, &w);

    if (f == FAULT_NO_MEMORY) {
        vm_end(v->vm, END_UNSUPPORTED, 0, "a page table for gVA %#lx lies outside its memory",
               x->exc.addr);
    } else if (f) {
        reflect(v, x->exc.addr, w.error);
    } else {
        struct shadow_page *p = shadow_reach(&v->vm->shadow, &w);
        u32 i = shadow_index(1, x->exc.addr);
        resolve(v, x, p, p->guest ? w.ref[w.refs - 1].after : shadow_piece_entry(p, i), access);
    }
}

/* --- The short way ---------------------------------------------------------------------------- */

/* Does an entry of level 1, with all above it, forbid this access? */
static bool forbids(const struct shadow_page *p, u64 gpte, u8 access)
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
 * it does not tell it from reading. */
static u64 guest_error(const struct shadow *s, u64 error, bool present)
{
    bool tells = s->role & (ROLE_NXE | ROLE_SMEP) && s->mode != PAGING_LEGACY32;

    return (error & (tells ? PF_W | PF_U | PF_I : PF_W | PF_U)) | (present ? PF_P : 0);
}

/* False: it takes a walk. */
static inline bool resolve_shortly(struct vcpu *v, const struct exit *x, u8 access)
{
    struct shadow *s = &v->vm->shadow;
    u64 gva = x->exc.addr;
    struct shadow_page *p = s->strict ? NULL : shadow_find(s, gva);

    u32 i = shadow_index(1, gva);
    if (p && !p->guest && !piece_forbids(p, access)) {
        resolve(v, x, p, shadow_piece_entry(p, i), access);
        return true;
    }
    if (!p || !p->guest || !(s->frame[p->frame].access & ACCESS_WRITE))
        return false; /* A and D of a table in read-only memory are lost */
    u64 gpte = shadow_guest_entry(p, i);
    if (!(gpte & PTE_P) || (!(gpte & p->malformed) && forbids(p, gpte, access))) {
        reflect(v, gva, guest_error(s, x->exc.error, gpte & PTE_P));
        return true;
    }
    if (gpte & p->malformed)
        return false;
    gpte = mark_used(p, i, gpte, access);
    resolve(v, x, p, gpte, access);
    return true;
}

void shadow_fault(struct vcpu *v, const struct exit *x)
{
    u8 access = access_of_error(x->exc.error);

    if (!resolve_shortly(v, x, access))
        walk_and_resolve(v, x, access);
    shadow_flush(v);
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
