/*
 * LTR, carried out by us: QEMU 7.2 takes a null selector without a word and
 * aborts, with all VMs in it, at that guest's next exception. The processor has
 * checked mode and privilege before the exit.
 * Source: AMD64 Manual vol. 3 (24594), LTR; vol. 2, 4.8.3, 12.2.
 */
#include "vmm/cpubits.h"
#include "vmm/exit.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

#define TYPE_TSS16   1u
#define TYPE_TSS     9u
#define DESC_BUSY    (1ull << 41)
#define DESC_TYPE(d) ((d) >> 40 & 0x1f) /* S and type */
#define DESC_P       (1ull << 47)
#define DESC_G       (1ull << 55)

enum { VECTOR_NP = 11, VECTOR_GP = 13 };

/* The task-state segment that a descriptor describes. */
static struct seg segment(u16 selector, const u64 d[2], bool wide)
{
    u32 limit = (u32)((d[0] & 0xffff) | (d[0] >> 32 & 0xf0000));
    u64 base = (d[0] >> 16 & 0xffffff) | (d[0] >> 56 & 0xff) << 24;

    return (struct seg){
        .selector = selector,
        .attr = (u16)((d[0] >> 40 & 0xff) | (d[0] >> 52 & 0xf) << 8),
        .limit = d[0] & DESC_G ? limit << 12 | 0xfff : limit,
        .base = wide ? base | d[1] << 32 : base,
    };
}

static bool is_free_tss(u64 d, bool long_mode)
{
    return DESC_TYPE(d) == TYPE_TSS || (!long_mode && DESC_TYPE(d) == TYPE_TSS16);
}

/* False: a fault is on its way. */
static bool load(struct vcpu *v, u16 selector)
{
    bool wide = hv_get(v, HV_EFER) & EFER_LMA;
    u32 size = wide ? 16 : 8, index = selector & ~7u;
    struct seg gdt;
    u64 d[2] = {0};

    hv_get_seg(v, SEG_GDTR, &gdt);
    if (!index || selector & SELECTOR_TI || index + size - 1 > gdt.limit) {
        vcpu_raise(v, VECTOR_GP, true, selector & ~3u);
        return false;
    }
    if (!fetch_system(v, gdt.base + index, d, size, false))
        return false;
    if (!is_free_tss(d[0], wide) || (wide && d[1] >> 40 & 0x1f)) {
        vcpu_raise(v, VECTOR_GP, true, selector & ~3u);
        return false;
    }
    if (!(d[0] & DESC_P)) {
        vcpu_raise(v, VECTOR_NP, true, selector & ~3u);
        return false;
    }
    d[0] |= DESC_BUSY;
    if (!fetch_system(v, gdt.base + index, d, 8, true))
        return false;
    struct seg tr = segment(selector, d, wide);
    hv_set_seg(v, SEG_TR, &tr);
    return true;
}

void exit_descriptor(struct vcpu *v, const struct exit *x)
{
    struct insn insn;
    u16 selector;
    (void)x;

    if (!fetch_needed(v, &insn))
        return;
    if (insn.op != INSN_LTR)
        vm_end(v->vm, END_UNSUPPORTED, 0, "the descriptor table access at rip %#lx is not an LTR",
               v->rip);
    else if (fetch_word(v, &insn, &selector) && load(v, selector))
        vcpu_advance(v, insn.len);
}
