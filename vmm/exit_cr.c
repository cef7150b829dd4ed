/*
 * Control-register exits: which instruction, then the rules of cr.c. The
 * processor says only which register, so the instruction is decoded.
 * Source: AMD64 Manual vol. 2, 15.8.
 */
#include "vmm/cpubits.h"
#include "vmm/cr.h"
#include "vmm/exit.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

static u64 read_cr(struct vcpu *v, u8 n)
{
    static const u8 of[] = {[0] = HV_CR0, [3] = HV_CR3, [4] = HV_CR4, [8] = HV_TPR};

    return hv_get(v, of[n]);
}

static bool write_cr(struct vcpu *v, u8 n, u64 value)
{
    switch (n) {
    case 0:
        return cr_write_0(v, value);
    case 3:
        return cr_write_3(v, value);
    case 4:
        return cr_write_4(v, value);
    case 8:
        if (value > 15)
            return false;
        hv_set(v, HV_TPR, value);
        return true;
    default:
        return false;
    }
}

/* LMSW changes PE, MP, EM and TS, and cannot clear PE. */
static bool write_msw(struct vcpu *v, u16 msw)
{
    u64 cr0 = hv_get(v, HV_CR0);

    return cr_write_0(v, (cr0 & ~0xeull) | (msw & 0xf));
}

/* An operand of which the read faulted is no #GP: that fault is delivered. */
static bool lmsw(struct vcpu *v, const struct insn *insn)
{
    u16 msw;

    return !fetch_word(v, insn, &msw) || write_msw(v, msw);
}

/* A MOV of CR0: 16 bits into memory, as many as fit into a register. */
static bool smsw(struct vcpu *v, const struct insn *insn)
{
    struct insn store = *insn;

    store.op = INSN_MOV;
    store.src = PLACE_IMM;
    store.srcsize = store.opsize;
    store.imm = hv_get(v, HV_CR0);
    fetch_execute(v, &store);
    return true;
}

static bool carry_out(struct vcpu *v, const struct insn *insn)
{
    u64 mask = insn->mode == 8 ? ~0ull : 0xffffffff;

    switch (insn->op) {
    case INSN_CLTS:
        return cr_write_0(v, hv_get(v, HV_CR0) & ~CR0_TS);
    case INSN_LMSW:
        return lmsw(v, insn);
    case INSN_SMSW: /* where reading CR0 exits */
        return smsw(v, insn);
    case INSN_MOV_TO_CR:
        return write_cr(v, insn->sysreg, v->gpr[insn->reg] & mask);
    case INSN_MOV_FROM_CR:
        if (insn->sysreg == 2)
            break; /* CR2 never exits */
        v->gpr[insn->reg] = read_cr(v, insn->sysreg) & mask;
        return true;
    default:
        break;
    }
    vm_end(v->vm, END_UNSUPPORTED, 0, "%s at rip %#lx exits like a control register",
           insn_name(insn->op), v->rip);
    return true;
}

void exit_cr(struct vcpu *v, const struct exit *x)
{
    struct insn insn;
    u64 rip = v->rip;
    (void)x;

    if (!fetch_needed(v, &insn))
        return;
    if (!carry_out(v, &insn))
        vcpu_raise_gp(v);
    else if (v->vm->alive && v->rip == rip && !v->inject.valid)
        vcpu_advance(v, insn.len);
}
