/*
 * Port I/O: plain IN and OUT go straight to the bus, string instructions
 * through the emulator. Source: AMD64 Manual vol. 2, 15.10.
 */
#include "kernel/todo.h"
#include "vmm/exit.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

static u32 mask_of(u8 size)
{
    return ~0u >> (32 - 8 * size);
}

static inline void advance_behind(struct vcpu *v, const struct exit *x)
{
    /* LAB 1 BEGIN: Go on behind the IN or OUT. */
    vcpu_advance(v, x->next_rip ? x->next_rip - v->rip : exit_insn_len(v, x, 1));
    /* LAB 1 END: todo(1, "1.6", v, x); */
}

/* What an OUT of so many bytes writes. */
static inline u32 written(const struct vcpu *v, u8 size)
{
    /* LAB 1 BEGIN: AL, AX or EAX. */
    return (u32)v->gpr[GPR_RAX] & mask_of(size);
    /* LAB 1 END: todo(1, "1.6", v, size, mask_of); */
}

/* Put what an IN of so many bytes read where the guest finds it. */
static inline void deliver_in(struct vcpu *v, u8 size, u64 value)
{
    /* LAB 1 BEGIN: Into AL, AX or EAX, and what becomes of the rest of RAX. */
    u64 mask = size == 4 ? ~0ull : mask_of(size);

    v->gpr[GPR_RAX] = (v->gpr[GPR_RAX] & ~mask) | value;
    /* LAB 1 END: todo(1, "1.6", v, size, value, mask_of); */
}

static __attribute__((noinline)) void string_io(struct vcpu *v)
{
    struct insn insn;

    if (!fetch_needed(v, &insn))
        return;
    if (insn.op == INSN_INS || insn.op == INSN_OUTS)
        fetch_emulate(v, &insn);
    else
        vm_end(v->vm, END_UNSUPPORTED, 0, "%s at rip %#lx exits like string I/O",
               insn_name(insn.op), v->rip);
}

static __attribute__((noinline)) void port_in(struct vcpu *v, const struct exit *x)
{
    u64 value = bus_in(&v->vm->bus, x->io.port, x->io.size);

    deliver_in(v, x->io.size, value);
    TRACE_BY(io, v->who, .port = x->io.port, .write = false, .size = x->io.size, .value = value);
    advance_behind(v, x);
}

/* Traced first: what the device makes of it follows. */
static __attribute__((noinline)) void port_out(struct vcpu *v, const struct exit *x)
{
    u16 port = x->io.port;
    u8 size = x->io.size;
    u32 value = written(v, size);

    TRACE_BY(io, v->who, .port = port, .write = true, .size = size, .value = value);
    bus_out(&v->vm->bus, port, size, value);
    advance_behind(v, x);
}

void exit_io(struct vcpu *v, const struct exit *x)
{
    if (x->io.string)
        string_io(v);
    else if (x->io.in)
        port_in(v, x);
    else
        port_out(v, x);
}
