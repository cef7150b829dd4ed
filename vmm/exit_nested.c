/*
 * A nested fault: a page of the guest's memory that is mapped at its first
 * touch, or an access to where there is no memory.
 * Source: AMD64 Manual vol. 2, 15.25.6.
 */
#include "vmm/exit.h"
#include "vmm/faultwalk.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

static void map_page(struct vcpu *v, gpa_t at)
{
    struct vm *vm = v->vm;
    gpa_t page = gpa(at.v & ~PAGE_MASK);
    hpa_t host = ptr_hpa(guestmem_ptr(&vm->mem, page, NULL));

    if (nested_map(&vm->nested, page, host, ACCESS_WRITE | ACCESS_EXEC) != 0)
        vm_end(vm, END_KILLED, 0, "the host has no memory for its nested tables");
}

static void no_memory(struct vcpu *v, const struct exit *x)
{
    struct insn insn;
    u64 at = x->nested.gpa.v;

    if (x->nested.in_walk)
        vm_end(v->vm, END_UNSUPPORTED, 0, "its page tables lie at gPA %#lx, outside its memory", at);
    else if (x->nested.access & ACCESS_EXEC)
        vm_end(v->vm, END_UNSUPPORTED, 0, "executes at gPA %#lx, outside its memory", at);
    else if (x->pending.valid)
        vm_end(v->vm, END_UNSUPPORTED, 0,
               "delivering vector %u touches gPA %#lx, outside its memory", x->pending.vector, at);
    else if (fetch_needed(v, &insn))
        fetch_emulate(v, &insn);
}

/* All that is mapped may be written and executed, so nobody can make this good:
 * going on would fault for ever. */
static void forbidden(struct vcpu *v, const struct exit *x)
{
    const char *what = x->nested.access & ACCESS_EXEC    ? "executing"
                       : x->nested.access & ACCESS_WRITE ? "writing"
                                                         : "reading";

    vm_end(v->vm, END_KILLED, 0, "%s gPA %#lx is forbidden by its nested tables, though %s", what,
           x->nested.gpa.v, x->nested.misconfig ? "no entry of that kind is made" : "it is mapped");
}

void exit_nested(struct vcpu *v, const struct exit *x)
{
    TRACE_BY(nested_fault, v->who, .gpa = x->nested.gpa.v, .gva = x->nested.gva.v,
          .access = x->nested.access, .in_walk = x->nested.in_walk);
    if (__builtin_expect(trace_walks_named, 0))
        faultwalk_trace(v, x);
    if (__builtin_expect(x->nested.present || x->nested.misconfig, 0))
        forbidden(v, x);
    else if (guestmem_has(&v->vm->mem, x->nested.gpa))
        map_page(v, x->nested.gpa);
    else
        no_memory(v, x);
}
