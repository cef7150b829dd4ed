/*
 * A nested fault: a page of the guest's memory that is mapped at its first
 * touch, an access to where there is no memory, or one that this memory does
 * not allow.
 *
 * A write to read-only memory is dropped, as by a ROM. Executing what must not
 * be executed ends the VM: its own tables allow it, so no exception that the
 * architecture knows would be the truth. Sources: AMD64 Manual vol. 2, 15.25.6;
 * Intel SDM vol. 3C, 28.2.3.
 */
#include "kernel/todo.h"
#include "vmm/exit.h"
#include "vmm/faultwalk.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

/* LAB 5 BEGIN: Helpers of yours: what becomes of each kind of fault. */
static void map_page(struct vcpu *v, const struct slot *s, u64 at)
{
    u64 page = at & ~PAGE_MASK;
    hpa_t host = hpa(s->hpa.v + (page - s->gpa.v));

    if (nested_map(&v->vm->nested, gpa(page), host, s->access) != 0)
        vm_end(v->vm, END_KILLED, 0, "the host has no memory for its nested tables");
}

/* A data access that reaches no memory of that kind: what a bus does, we do. */
static void emulate(struct vcpu *v, const struct exit *x, const char *what)
{
    struct insn insn;

    if (x->pending.valid)
        vm_end(v->vm, END_UNSUPPORTED, 0, "delivering vector %u touches gPA %#lx, %s",
               x->pending.vector, x->nested.gpa.v, what);
    else if (fetch_needed(v, &insn))
        fetch_emulate(v, &insn);
}

static void no_memory(struct vcpu *v, const struct exit *x)
{
    u64 at = x->nested.gpa.v;

    if (x->nested.in_walk)
        vm_end(v->vm, END_UNSUPPORTED, 0, "its page tables lie at gPA %#lx, outside its memory",
               at);
    else if (x->nested.access & ACCESS_EXEC)
        vm_end(v->vm, END_UNSUPPORTED, 0, "executes at gPA %#lx, outside its memory", at);
    else
        emulate(v, x, "outside its memory");
}

/* The slot does not allow it. In a walk it is the processor that writes: A and D. */
static void not_allowed(struct vcpu *v, const struct exit *x)
{
    u64 at = x->nested.gpa.v;

    if (x->nested.in_walk)
        vm_end(v->vm, END_UNSUPPORTED, 0,
               "its page tables lie at gPA %#lx, in read-only memory: A and D cannot be set", at);
    else if (x->nested.access & ACCESS_EXEC)
        vm_end(v->vm, END_KILLED, 0, "executes at gPA %#lx, which is not executable", at);
    else
        emulate(v, x, "which is read-only");
}

/* The slot allows it, the tables do not: nobody can make this good, and going on
 * would fault for ever. */
static void broken(struct vcpu *v, const struct exit *x)
{
    const char *what = x->nested.access & ACCESS_EXEC    ? "executing"
                       : x->nested.access & ACCESS_WRITE ? "writing"
                                                         : "reading";

    vm_end(v->vm, END_KILLED, 0, "%s gPA %#lx is forbidden by its nested tables, though %s", what,
           x->nested.gpa.v, x->nested.misconfig ? "no entry of that kind is made" : "it is mapped");
}

static bool slot_allows(const struct slot *s, const struct exit *x)
{
    u8 asked = x->nested.in_walk ? ACCESS_WRITE : ACCESS_WRITE | ACCESS_EXEC;
    u8 needed = x->nested.access & asked; /* a table is not executed, whatever it is for */

    return (s->access & needed) == needed;
}
/* LAB 5 END: */

static void nested_fault(struct vcpu *v, const struct exit *x)
{
    /* LAB 5 BEGIN: Fill, drop, emulate, or the end of this VM: by slot, access and place. */
    const struct slot *s = guestmem_slot(&v->vm->mem, x->nested.gpa);

    if (x->nested.misconfig)
        broken(v, x);
    else if (!s)
        no_memory(v, x);
    else if (!slot_allows(s, x))
        not_allowed(v, x);
    else if (x->nested.present)
        broken(v, x);
    else
        map_page(v, s, x->nested.gpa.v);
    /* LAB 5 END: todo(5, "5.6", v, x, nested_map, fetch_needed, fetch_emulate); */
}

void exit_nested(struct vcpu *v, const struct exit *x)
{
    TRACE_BY(nested_fault, v->who, .gpa = x->nested.gpa.v, .gva = x->nested.gva.v,
             .access = x->nested.access, .in_walk = x->nested.in_walk);
    if (__builtin_expect(trace_walks_named, 0))
        faultwalk_trace(v, x);
    nested_fault(v, x);
}
