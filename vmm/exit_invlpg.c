/*
 * INVLPG: it exits while the guest runs on a shadow. What the guest's table says of that
 * address now is what the shadow says from here on. An address that no segment allows,
 * or that is not canonical, is nothing that could be in a TLB.
 * Source: AMD64 Manual vol. 3 (24594), INVLPG; vol. 2, 15.9.
 */
#include "vmm/exit.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

void exit_invlpg(struct vcpu *v, const struct exit *x)
{
    struct insn insn;
    u64 linear = x->invlpg.addr;

    if (!v->vm->shadow.active) { /* asked for by exits=: for nobody */
        exit_unknown(v, x);
        return;
    }
    if (x->invlpg.known) {
        shadow_flush_address(v, linear);
        vcpu_advance(v, x->insn_len);
        return;
    }
    if (!fetch_needed(v, &insn))
        return;
    if (fetch_address(v, &insn, &linear))
        shadow_flush_address(v, linear);
    vcpu_advance(v, insn.len);
}
