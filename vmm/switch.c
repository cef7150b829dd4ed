/*
 * The vCPU switch. The host uses none of these registers, so they stay the
 * guest's until another vCPU's turn: that is what keeps an exit cheap.
 * Source: AMD64 Manual vol. 2, 15.5.1 (what VMRUN leaves), 11.3 (FXSAVE).
 */
#include "vmm/switch.h"
#include "kernel/cpu.h"
#include "kernel/todo.h"

/* LAB 1 BEGIN: The debug registers that hold addresses. */
static void debug_regs_load(const u64 dr[4])
{
    __asm__ volatile("movq %0, %%dr0; movq %1, %%dr1; movq %2, %%dr2; movq %3, %%dr3"
                     :
                     : "r"(dr[0]), "r"(dr[1]), "r"(dr[2]), "r"(dr[3]));
}

static void debug_regs_save(u64 dr[4])
{
    __asm__ volatile("movq %%dr0, %0; movq %%dr1, %1; movq %%dr2, %2; movq %%dr3, %3"
                     : "=r"(dr[0]), "=r"(dr[1]), "=r"(dr[2]), "=r"(dr[3]));
}
/* LAB 1 END: */

static inline void load_registers(struct vcpu *v)
{
    /* LAB 1 BEGIN: What an exit leaves alone, from the vCPU into the processor. */
    __asm__ volatile("fxrstorq %0" : : "m"(v->fpu));
    debug_regs_load(v->dr);
    hv->load(v);
    /* LAB 1 END: todo(1, "1.2", v); */
}

static inline void save_registers(struct vcpu *v)
{
    /* LAB 1 BEGIN: The same registers, from the processor into the vCPU. */
    hv->save(v);
    debug_regs_save(v->dr);
    __asm__ volatile("fxsaveq %0" : "=m"(v->fpu));
    /* LAB 1 END: todo(1, "1.2", v); */
}

void switch_load(struct vcpu *v)
{
    load_registers(v);
    v->loaded = true;
}

void switch_save(struct vcpu *v)
{
    v->loaded = false;
    save_registers(v);
}
