/*
 * A page fault exited. Whose is it? The guest's own tables are asked first: what they
 * forbid is the guest's, with the code that its processor would give. Then the host's
 * slots: what has no memory is a device's. What remains was missing in the shadow, or
 * narrower there than the guest's tables are: it is filled, and the guest never knows.
 *
 * Source: AMD64 Manual vol. 2, 8.4.2 (error code), 5.4.2 (A and D).
 */
#include "kernel/todo.h"
#include "vmm/cpubits.h"
#include "vmm/exit.h"
#include "vmm/fetch.h"
#include "vmm/mmu/pt_format.h"
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

static void reflect(struct vcpu *v, u64 gva, u64 error)
{
    trace_fault(v, gva, error, false);
    vcpu_raise_pf(v, gva, (u32)error);
}

static void flush(struct vcpu *v)
{
    if (!v->vm->shadow.narrowed)
        return;
    v->vm->shadow.narrowed = false;
    hv->flush(v, HV_FLUSH_ALL, 0);
}

/* --- What cannot be filled -------------------------------------------------------------------- */

/* No memory: a device, or nothing. */
static void outside(struct vcpu *v, const struct exit *x, u8 access, gpa_t at)
{
    struct insn insn;

    if (access & ACCESS_EXEC)
        vm_end(v->vm, END_UNSUPPORTED, 0, "executes at gPA %#lx, outside its memory", at.v);
    else if (x->pending.valid)
        vm_end(v->vm, END_UNSUPPORTED, 0,
               "delivering vector %u touches gPA %#lx, outside its memory", x->pending.vector,
               at.v);
    else if (fetch_needed(v, &insn))
        fetch_emulate(v, &insn);
}

/* A write to an upper table, which stays protected: carried out here. If it is nothing that
 * the emulator knows, or the processor's own doing, the guest does it itself: then the
 * table is out of step until the next flush, as it would be in a processor's caches. False:
 * so it is. */
static bool write_table(struct vcpu *v, const struct exit *x)
{
    struct insn insn;

    return !x->pending.valid && fetch_insn(v, &insn) == 0 && fetch_execute(v, &insn) != -ENOTSUP;
}

/* --- What can --------------------------------------------------------------------------------- */

/* The guest allows it, and p is the page of level 1 for it. */
static void resolve(struct vcpu *v, const struct exit *x, struct shadow_page *p, u64 gpte, gpa_t at,
                    u8 access)
{
    /* LAB 4 BEGIN: A hidden fault: no memory, a table, or an entry to be filled. */
    struct shadow *s = &v->vm->shadow;
    hpa_t host;
    u32 frame = shadow_frame_at(s, at, &host);

    trace_fault(v, x->exc.addr, x->exc.error, true);
    if (!frame) {
        outside(v, x, access, at);
        return;
    }
    if (access & ACCESS_WRITE && shadow_is_protected(&s->frame[frame])) {
        if (!shadow_may_unsync(s, frame) && write_table(v, x))
            return;
        shadow_unsync(s, frame);
    }
    shadow_fill(s, p, x->exc.addr, gpte, access);
    /* LAB 4 END: todo(4, "4.4", v, x, p, gpte, at, access, trace_fault, outside, write_table); */
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
        reflect(v, x->exc.addr, w.error);
    } else {
        struct shadow_page *p = shadow_reach(&v->vm->shadow, &w);
        resolve(v, x, p, p->guest ? w.ref[w.refs - 1].after : 0, w.gpa, access);
    }
    /* LAB 4 END: todo(4, "4.4", v, x, access, reflect, resolve); */
}

void shadow_fault(struct vcpu *v, const struct exit *x)
{
    walk_and_resolve(v, x, access_of_error(x->exc.error));
    flush(v);
}

/* --- Writes that the VMM makes ---------------------------------------------------------------- */

void shadow_wrote(struct vcpu *v, gpa_t at, u64 value, u32 n)
{
    struct shadow *s = &v->vm->shadow;
    hpa_t host;
    u32 frame = shadow_frame_at(s, at, &host);

    if (!frame || !s->frame[frame].tables)
        return;
    u32 dropped = shadow_write(s, frame, at.v & PAGE_MASK, n);
    TRACE_BY(shadow_write, v->who, .gpa = at.v, .size = n, .value = value, .entries = dropped);
    flush(v);
}

void shadow_flush_address(struct vcpu *v, u64 gva)
{
    struct shadow *s = &v->vm->shadow;

    if (shadow_invlpg(s, gva))
        TRACE_BY(shadow_zap, v->who, .table = shadow_find(s, gva)->table.v, .level = 1,
                 .entries = 1, .why = ZAP_INVLPG);
    s->narrowed = false;
    hv->flush(v, HV_FLUSH_ADDR, gva);
}
