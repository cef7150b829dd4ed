/*
 * Writes to the debug registers DR6 and DR7, by either of their names. The
 * processor would raise #GP for high bits; QEMU takes them, and then VMRUN
 * refuses the guest. Source: AMD64 Manual vol. 2 (24593), 13.1.1.
 */
#include "vmm/cpubits.h"
#include "vmm/exit.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

#define DR6_ONES  0xffff0ff0ull
#define DR6_FREE  0x0000e00full /* B0-3, BD, BS, BT */
#define DR7_ONES  0x00000400ull
#define DR7_FREE  0xffff2bffull

static void set(struct vcpu *v, u8 n, u64 value)
{
    if (n == 6)
        hv_set(v, HV_DR6, (value & DR6_FREE) | DR6_ONES);
    else
        hv_set(v, HV_DR7, (value & DR7_FREE) | DR7_ONES);
}

void exit_dr(struct vcpu *v, const struct exit *x)
{
    struct insn insn;
    (void)x;

    if (!fetch_needed(v, &insn))
        return;
    if (insn.op != INSN_MOV_TO_DR || insn.sysreg < 4 || insn.sysreg > 7) {
        vm_end(v->vm, END_UNSUPPORTED, 0, "%s at rip %#lx exits like a debug register",
               insn_name(insn.op), v->rip);
        return;
    }
    u64 value = insn.mode == 8 ? v->gpr[insn.reg] : (u32)v->gpr[insn.reg];
    if (insn.sysreg < 6 && hv_get(v, HV_CR4) & CR4_DE) {
        vcpu_raise_ud(v);
    } else if (value >> 32) {
        vcpu_raise_gp(v);
    } else {
        set(v, insn.sysreg | 2, value);
        vcpu_advance(v, insn.len);
    }
}
