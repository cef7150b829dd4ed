/*
 * A VM for exit_nested() alone. What the handler may do to it (end it, have its
 * instruction emulated, raise an exception) is noted here in place of done: the
 * functions of fetch.h, vcpu.h and vm.h that it may call.
 */
#include "vmm/mmu/sim/faults.h"
#include <stdio.h>
#include "vmm/exit.h"
#include "vmm/faultwalk.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

static struct vm vm;
static struct {
    bool emulated, raised;
} done;

struct nested *faults_begin(u16 id)
{
    vm = (struct vm){.id = id, .alive = true, .vcpu = {.vm = &vm, .vm_id = id}};
    return &vm.nested;
}

int faults_slot(u64 at, u64 size, u64 host, u8 access)
{
    return guestmem_add_as(&vm.mem, gpa(at), size, hpa(host), access);
}

void faults_exit(u64 at, u8 access, u8 about)
{
    const struct exit x = {.reason = EXIT_NESTED,
                           .pending = {.valid = about & FAULT_PENDING, .vector = 32},
                           .nested = {.gpa = gpa(at),
                                      .access = access | ACCESS_USER,
                                      .in_walk = about & FAULT_IN_WALK,
                                      .present = about & FAULT_PRESENT,
                                      .misconfig = about & FAULT_MISCONFIG}};

    vm.alive = true;
    done.emulated = done.raised = false;
    exit_nested(&vm.vcpu, &x);
    if (!vm.alive)
        printf("ended %x\n", (unsigned)vm.how);
    else
        printf(done.raised ? "raised\n" : done.emulated ? "emulated\n" : "on\n");
}

/* --- What the handler may call ---------------------------------------------------------- */

void vm_end(struct vm *v, enum vm_end_how how, u64 code, const char *fmt, ...)
{
    (void)code;
    (void)fmt;
    if (v->alive)
        v->how = how;
    v->alive = false;
}

u64 fetch_linear(struct vcpu *v)
{
    return v->rip;
}

int fetch_insn(struct vcpu *v, struct insn *insn)
{
    (void)v;
    *insn = (struct insn){.len = 3};
    return 0;
}

bool fetch_needed(struct vcpu *v, struct insn *insn)
{
    return fetch_insn(v, insn) == 0;
}

void fetch_emulate(struct vcpu *v, const struct insn *insn)
{
    (void)v;
    (void)insn;
    done.emulated = true;
}

void vcpu_raise(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
    (void)v;
    (void)vector;
    (void)has_error;
    (void)error;
    done.raised = true;
}

void vcpu_raise_pf(struct vcpu *v, u64 cr2, u32 error)
{
    (void)cr2;
    vcpu_raise(v, 14, true, error);
}

void vcpu_advance_slow(struct vcpu *v)
{
    (void)v;
}

u8 exit_insn_len(struct vcpu *v, const struct exit *x, u8 implied)
{
    (void)v;
    return x->insn_len ? x->insn_len : implied;
}

void faultwalk_trace(struct vcpu *v, const struct exit *x)
{
    (void)v;
    (void)x;
}
