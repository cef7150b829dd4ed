/*
 * A page fault exited. Whose is it? The guest's own tables are asked first: what they
 * forbid is the guest's, with the code that its processor would give. Then the host's
 * slots: what has no memory is a device's. What remains was missing in the shadow, or
 * narrower there than the guest's tables are: it is filled, and the guest never knows.
 * The short way to the same answers is shadow_quick.c.
 *
 * Source: AMD64 Manual vol. 2, 8.4.2 (error code), 5.4.2 (A and D).
 */
#include "kernel/todo.h"
#include "vmm/exit.h"
#include "vmm/mmu/shadow.h"
#include "vmm/vm.h"

/* What the processor wanted to do, by its error code. */
static u8 access_of_error(u64 error)
{
    return (error & PF_W ? ACCESS_WRITE : 0) | (error & PF_U ? ACCESS_USER : 0) |
           (error & PF_I ? ACCESS_EXEC : 0);
}

static inline void trace_fault(const struct vcpu *v, u64 gva, u64 error, bool hidden)
{
    TRACE_BY(shadow_fault, v->who, .gva = gva, .error = error, .hidden = hidden);
}

/* If nothing else is due it goes in at once, without a look at all that may be. */
void shadow_reflect(struct vcpu *v, u64 gva, u64 error)
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

/* --- What can ------------------------------------------------------------------------ */

/* The guest allows it, and p is the page of level 1 for it. */
void shadow_resolve(struct vcpu *v, const struct exit *x, struct shadow_page *p, u64 gpte,
                    u8 access)
{
    /* LAB 4 BEGIN: A hidden fault: no memory for it, a table, or an entry to be filled. */
    struct shadow *s = &v->vm->shadow;
    hpa_t host;
    u32 frame = shadow_frame_at(s, gpa(gpte & PTE_ADDR), &host);

    trace_fault(v, x->exc.addr, x->exc.error, true);
    if (!frame) {
        shadow_outside(v, x, access, gpa((gpte & PTE_ADDR) | (x->exc.addr & PAGE_MASK)));
        return;
    }
    if (access & ACCESS_WRITE && shadow_is_protected(&s->frame[frame])) {
        if (!shadow_may_unsync(s, frame) && shadow_write_table(v, x, frame, host))
            return;
        shadow_unsync(s, frame);
    }
    shadow_fill(s, p, x->exc.addr, gpte, access, frame, host);
    /* LAB 4 END: todo(4, "4.4", v, x, p, gpte, access, trace_fault); */
}

/* The whole way: walk the guest's tables, as its processor would. */
static void walk_and_resolve(struct vcpu *v, const struct exit *x, u8 access)
{
    /* LAB 4 BEGIN: Ask the guest's tables first; what they allow is ours to mend. */
    struct guest_paging paging = vcpu_paging(v);
    struct walk w;
    enum walk_fault f = shadow_walk_guest(v, &paging, gva(x->exc.addr), access, true, &w);

    if (f == FAULT_NO_MEMORY) {
        vm_end(v->vm, END_UNSUPPORTED, 0, "a page table for gVA %#lx lies outside its memory",
               x->exc.addr);
    } else if (f) {
        shadow_reflect(v, x->exc.addr, w.error);
    } else {
        struct shadow_page *p = shadow_reach(&v->vm->shadow, &w);
        u32 i = shadow_index(1, x->exc.addr);
        shadow_resolve(v, x, p, p->guest ? w.ref[w.refs - 1].after : shadow_piece_entry(p, i),
                       access);
    }
    /* LAB 4 END: todo(4, "4.4", v, x, access, shadow_reflect, shadow_resolve); */
}

/* A guest that fills its TLB itself gets each miss, but those of its kernel's segment. What it
 * has filled by now may be allowed: then it is the processor's TLB that is late. */
static void resolve_software(struct vcpu *v, const struct exit *x, u8 access)
{
    struct shadow *s = &v->vm->shadow;
    u64 at = x->exc.addr;
    struct guest_paging paging = vcpu_paging(v);
    struct walk w;

    if (shadow_walk_guest(v, &paging, gva(at), access, true, &w)) {
        shadow_reflect(v, at, w.error);
        return;
    }
    trace_fault(v, at, x->exc.error, true);
    if (vtlb_in_segment(at) && !vtlb_fill_segment(s, at))
        shadow_outside(v, x, access, gpa(at));
}

void shadow_fault(struct vcpu *v, const struct exit *x)
{
    u8 access = access_of_error(x->exc.error);

    if (!shadow_resolve_quickly(v, x, access))
        (v->vm->shadow.software ? resolve_software : walk_and_resolve)(v, x, access);
    shadow_flush(v);
}
