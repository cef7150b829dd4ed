/*
 * The MSRs a guest has. What is not in the table does not exist: #GP, as on
 * a processor. Those that the world switch loads never exit at all.
 * Source: AMD64 Manual vol. 2, appendix A.
 */
#include "vmm/exit.h"
#include "vmm/cr.h"
#include "vmm/vm.h"
#include "kernel/clock.h"
#include "vmm/cpubits.h"

#define MSR_TSC       0x10u
#define MSR_APIC_BASE 0x1bu
#define MSR_BIOS_SIGN 0x8bu
#define MSR_MTRRCAP   0xfeu
#define MSR_MCG_CAP   0x179u
#define MSR_MISC      0x1a0u

static u64 guest_tsc(const struct vcpu *v)
{
    return clock_tsc() + v->ctl.tsc_offset;
}

static bool msr_read(struct vcpu *v, u32 msr, u64 *value)
{
    switch (msr) {
    case MSR_TSC:
        *value = guest_tsc(v);
        return true;
    case MSR_PAT:
        *value = hv_get(v, HV_PAT);
        return true;
    case MSR_EFER:
        *value = hv_get(v, HV_EFER);
        return true;
    case MSR_APIC_BASE: /* no local APIC: disabled */
    case MSR_BIOS_SIGN:
    case MSR_MTRRCAP:
    case MSR_MCG_CAP:
    case MSR_MISC:
        *value = 0;
        return true;
    default:
        return false;
    }
}

/* Each of the eight bytes is one of the six memory types: 7.8. */
static bool pat_valid(u64 pat)
{
    for (u32 i = 0; i < 8; i++) {
        u8 type = pat >> 8 * i & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static bool msr_write(struct vcpu *v, u32 msr, u64 value)
{
    switch (msr) {
    case MSR_TSC:
        v->tsc_written += value - guest_tsc(v);
        v->ctl.tsc_offset += value - guest_tsc(v);
        v->ctl_changed = v->attention = true;
        return true;
    case MSR_PAT:
        if (!pat_valid(value))
            return false;
        hv_set(v, HV_PAT, value);
        return true;
    case MSR_EFER:
        return cr_write_efer(v, value);
    case MSR_BIOS_SIGN:
    case MSR_MISC:
        return true;
    default:
        return false;
    }
}

void exit_msr(struct vcpu *v, const struct exit *x)
{
    u32 msr = (u32)v->gpr[GPR_RCX];
    u64 value = 0;
    bool known;

    if (x->msr.write) {
        value = (u32)v->gpr[GPR_RAX] | v->gpr[GPR_RDX] << 32;
        known = msr_write(v, msr, value);
    } else {
        known = msr_read(v, msr, &value);
        if (known) {
            v->gpr[GPR_RAX] = (u32)value;
            v->gpr[GPR_RDX] = value >> 32;
        }
    }
    if (known)
        vcpu_advance(v, exit_insn_len(v, x, 2));
    else
        vcpu_raise_gp(v);
}
