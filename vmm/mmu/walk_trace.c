/*
 * Writing a walk to the trace: one begin, one record a reference in the order
 * in which they were made, one end (handouts/formats.md 1.4). It walks nothing.
 */
#include "vmm/mmu/descend.h"
#include "vmm/mmu/walk.h"

static void trace_ref(u16 vm, u8 vcpu, const struct walk_ref *r)
{
    TRACE(walk_ref, vm, vcpu, .n = r->n, .dim = r->dim, .level = r->level, .table = r->table.v,
          .index = r->index, .before = r->before, .after = r->after, .size = r->size,
          .serves = r->serves, .addr = r->addr);
}

void walk_trace(u16 vm, u8 vcpu, const struct walk *w, const struct guest_paging *paging,
                enum walk_kind kind, enum walk_cause cause)
{
    const struct pt_format *format = pt_format_of(w->mode);
    u64 root = format ? paging->cr3 & format->root_mask : 0;

    TRACE(walk_begin, vm, vcpu, .gva = w->gva.v, .access = w->access, .groot = root,
          .nroot = w->nroot.v, .mode = w->mode, .kind = kind, .cause = cause,
          .cr0 = paging->cr0, .cr4 = paging->cr4, .efer = paging->efer, .rflags = paging->rflags,
          .format = pt_nested->ept ? FORMAT_EPT : FORMAT_NPT);
    for (u32 i = 0; i < w->refs; i++)
        trace_ref(vm, vcpu, &w->ref[i]);
    TRACE(walk_end, vm, vcpu, .gpa = w->gpa.v, .hpa = w->hpa.v, .gpa_refs = w->gpa_refs,
          .refs = w->refs, .fault = w->fault, .dim = w->fault_dim, .level = w->fault_level,
          .error = w->error);
}
