/*
 * Page faults of the guest: they exit while it runs on a shadow, and only then. One that
 * is the guest's own goes back to it, with its error code and address.
 * Source: AMD64 Manual vol. 2, 15.12.15; Intel SDM vol. 3C, 25.2.
 */
#include "vmm/exit.h"
#include "vmm/vm.h"

void exit_pf(struct vcpu *v, const struct exit *x)
{
    if (v->vm->shadow.active)
        shadow_fault(v, x);
    else
        vcpu_raise_pf(v, x->exc.addr, x->exc.error);
}
