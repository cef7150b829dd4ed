/*
 * A double fault that exits, or that the VMM makes of two faults, because the processor
 * would not survive a third: Bochs 2.7 stops the whole machine at a guest's triple fault
 * instead of making the SHUTDOWN exit (15.14.3). So it is asked beforehand, by the guest's
 * own tables, whether a #DF can be delivered.
 *
 * It reads, and changes nothing. Not asked: a task gate's new task, which is
 * taken for good. Source: AMD64 Manual vol. 2, 4.8 (gates), 8.7 to 8.9.
 */
#include "vmm/cpubits.h"
#include "vmm/doublefault.h"
#include "vmm/exit.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

bool doublefault_asks;

#define DESC_P(d)     ((d) >> 47 & 1)
#define DESC_DPL(d)   ((d) >> 45 & 3)
#define DESC_TYPE(d)  ((d) >> 40 & 0x1f) /* S and type */
#define DESC_L        (1ull << 53)
#define IS_CODE(d)    (((d) >> 43 & 3) == 3) /* S, and of the type its highest bit */
#define CONFORMING(d) ((d) >> 42 & 1)
#define TASK_GATE     5
#define GATE_SIZE(type) ((type) & 8 ? 4u : 2u) /* bytes that it pushes at once */

/* What a gate leads to. */
struct way {
    u64 code;  /* the descriptor of its code segment */
    u8 ist;
    u8 pushed; /* bytes, of one item */
};

/* May supervisor code reach so many bytes there? */
static bool reach(struct vcpu *v, u64 linear, void *data, u32 n, u8 access)
{
    struct walk w;

    for (u32 i = 0; i < n; i++) {
        if (fetch_walk(v, gva(linear + i), access, false, &w))
            return false;
        u8 byte;
        if (guestmem_read(&v->vm->mem, w.gpa, &byte, 1) != 0)
            return false;
        if (data)
            ((u8 *)data)[i] = byte;
    }
    return true;
}

static bool read_table(struct vcpu *v, enum hv_seg which, u32 at, void *data, u32 n)
{
    struct seg table;

    hv_get_seg(v, which, &table);
    return at + n - 1 <= table.limit && reach(v, table.base + at, data, n, 0);
}

static bool find_code(struct vcpu *v, u16 selector, bool wide, u64 *code)
{
    u32 at = selector & ~7u;

    if (!at || !read_table(v, selector & SELECTOR_TI ? SEG_LDTR : SEG_GDTR, at, code, 8))
        return false;
    return IS_CODE(*code) && DESC_P(*code) && DESC_DPL(*code) <= vcpu_cpl(v) &&
           (!wide || *code & DESC_L);
}

/* 64-bit gates have 16 bytes and push 8 at once. */
static bool find_way(struct vcpu *v, bool wide, struct way *way)
{
    u64 gate[2] = {0};
    u32 size = wide ? 16 : 8;

    if (!read_table(v, SEG_IDTR, VECTOR_DF * size, gate, size) || !DESC_P(gate[0]))
        return false;
    u8 type = DESC_TYPE(gate[0]);
    if (!wide && type == TASK_GATE) {
        *way = (struct way){0};
        return true;
    }
    if ((type | 9) != 15 || (wide && !(type & 8)))
        return false;
    way->ist = wide ? gate[0] >> 32 & 7 : 0;
    way->pushed = wide ? 8 : GATE_SIZE(type);
    return find_code(v, (u16)(gate[0] >> 16), wide, &way->code);
}

/* The stack that a change of privilege, or the gate, takes from the TSS. */
static bool stack_of_tss(struct vcpu *v, const struct way *way, bool wide, u64 *top)
{
    u32 level = DESC_DPL(way->code);
    u32 at = wide ? (way->ist ? 0x24 + 8 * (way->ist - 1u) : 4 + 8 * level) : 4 + 8 * level;

    *top = 0;
    return read_table(v, SEG_TR, at, top, wide ? 8 : 4);
}

static bool stack_is_good(struct vcpu *v, const struct way *way, bool wide)
{
    bool inward = !CONFORMING(way->code) && DESC_DPL(way->code) < vcpu_cpl(v);
    u64 top = v->gpr[GPR_RSP];
    struct seg ss;
    u32 items = wide || inward ? 6 : 4;

    if ((inward || way->ist) && !stack_of_tss(v, way, wide, &top))
        return false;
    if (wide)
        top &= ~15ull;
    hv_get_seg(v, SEG_SS, &ss);
    if (!wide && !inward)
        top = ss.base + (ss.attr & SEG_ATTR_DB ? (u32)top : (u16)top);
    return reach(v, top - items * way->pushed, NULL, items * way->pushed, ACCESS_WRITE);
}

static bool deliverable(struct vcpu *v)
{
    bool wide = hv_get(v, HV_EFER) & EFER_LMA;
    struct seg idt;
    struct way way = {0};

    if (!(hv_get(v, HV_CR0) & CR0_PE)) {
        hv_get_seg(v, SEG_IDTR, &idt);
        return 4 * VECTOR_DF + 3 <= idt.limit;
    }
    if (!find_way(v, wide, &way))
        return false;
    return !way.pushed || stack_is_good(v, &way, wide);
}

bool doublefault_deliver(struct vcpu *v)
{
    if (!deliverable(v))
        return false;
    vcpu_raise(v, VECTOR_DF, true, 0);
    return true;
}
