/*
 * Port I/O: plain IN and OUT go straight to the bus, string instructions
 * through the emulator. Source: AMD64 Manual vol. 2, 15.10.
 */
#include "vmm/exit.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

static void advance_behind(struct vcpu *v, const struct exit *x)
{
    vcpu_advance(v, x->next_rip ? x->next_rip - x->rip : exit_insn_len(v, x, 1));
}

static void merge_rax(struct vcpu *v, u32 value, u8 size)
{
    u64 mask = size == 4 ? ~0ull : (1ull << 8 * size) - 1;

    v->gpr[GPR_RAX] = (v->gpr[GPR_RAX] & ~mask) | (value & mask);
}

static void string_io(struct vcpu *v)
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

/* Devices may raise or lower lines at any access. */
void exit_io(struct vcpu *v, const struct exit *x)
{
    struct bus *bus = &v->vm->bus;
    u32 value;

    v->attention = true;
    v->vm->spoke = true;
    if (x->io.string) {
        string_io(v);
        return;
    }
    if (x->io.in) {
        value = bus_in(bus, x->io.port, x->io.size);
        merge_rax(v, value, x->io.size);
    } else {
        value = (u32)v->gpr[GPR_RAX];
        if (x->io.size < 4)
            value &= (1u << 8 * x->io.size) - 1;
        bus_out(bus, x->io.port, x->io.size, value);
    }
    TRACE(io, v->vm->id, v->id, .port = x->io.port, .write = !x->io.in, .size = x->io.size,
          .value = value);
    advance_behind(v, x);
}
