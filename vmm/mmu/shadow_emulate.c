/*
 * What is carried out in the guest's place: accesses to where there is no memory, writes
 * to upper tables, and what follows for the shadow from any write that the VMM makes.
 * The instructions themselves are emulate.c's. Source: AMD64 Manual vol. 2, 5.5.2.
 */
#include "vmm/exit.h"
#include "vmm/fetch.h"
#include "vmm/mmu/shadow.h"
#include "vmm/vm.h"

void shadow_flush_narrowed(struct vcpu *v)
{
    v->vm->shadow.narrowed = false;
    hv->flush(v, HV_FLUSH_ALL, 0);
}

/* --- What cannot be filled ----------------------------------------------------------- */

/* No memory for it: a device, or nothing. */
void shadow_outside(struct vcpu *v, const struct exit *x, u8 access, gpa_t at)
{
    struct insn insn;

    if (access & ACCESS_EXEC)
        vm_end(v->vm, END_UNSUPPORTED, 0, "executes at gPA %#lx, outside its memory", at.v);
    else if (x->pending.valid)
        vm_end(v->vm, END_UNSUPPORTED, 0,
               "delivering vector %u touches gPA %#lx, outside its memory", x->pending.vector,
               at.v);
    else if (fetch_needed(v, &insn))
        fetch_emulate(v, &insn);
}

/* What most writes to tables are: a MOV of an entry, in its place. The processor has said where it
 * goes; unless that is the page's first byte: then it may have begun in the page before. */
static bool store(struct vcpu *v, const struct insn *insn, u64 gva, u32 frame, hpa_t host)
{
    u32 offset = gva & PAGE_MASK, n = insn->opsize;
    u64 value = insn->src == PLACE_REG ? v->gpr[insn->reg] : insn->imm;

    if (insn->op != INSN_MOV || insn->dst != PLACE_MEM || n < 4 || !offset || offset & (n - 1))
        return false;
    void *to = hpa_ptr(hpa(host.v + offset));
    if (n == 8)
        *(volatile u64 *)to = value;
    else
        *(volatile u32 *)to = (u32)value;
    u32 dropped = shadow_write(&v->vm->shadow, frame, offset, n);
    TRACE_BY(shadow_write, v->who, .gpa = shadow_gpa_of(&v->vm->shadow, host).v + offset, .size = n,
             .value = n == 8 ? value : (u32)value, .entries = dropped);
    vcpu_advance(v, insn->len);
    return true;
}

/* A write to an upper table, which stays protected: carried out here. If it is nothing that
 * the emulator knows, or the processor's own doing, the guest does it itself: then the
 * table is out of step until the next flush, as it would be in a processor's caches. False:
 * so it is. */
bool shadow_write_table(struct vcpu *v, const struct exit *x, u32 frame, hpa_t host)
{
    struct insn insn;

    if (x->pending.valid || fetch_insn(v, &insn) != 0)
        return false;
    if (!store(v, &insn, x->exc.addr, frame, host) && fetch_execute(v, &insn) == -ENOTSUP)
        return false;
    shadow_count_write(&v->vm->shadow, frame);
    return true;
}

/* --- Writes that the VMM makes ------------------------------------------------------- */

void shadow_wrote(struct vcpu *v, gpa_t at, u64 value, u32 n)
{
    struct shadow *s = &v->vm->shadow;
    hpa_t host;
    u32 frame = shadow_frame_at(s, at, &host);

    if (!frame || !s->frame[frame].tables)
        return;
    u32 dropped = shadow_write(s, frame, at.v & PAGE_MASK, n);
    TRACE_BY(shadow_write, v->who, .gpa = at.v, .size = n, .value = value, .entries = dropped);
    shadow_flush(v);
}

/* Do other addresses come here, too? The processor may hold this page's entries for them, and
 * once these are changed no chain leads there. */
static bool is_shared(const struct shadow *s, const struct shadow_page *p)
{
    for (; p->number != s->root; p = &s->page[p->parents / SHADOW_ENTRIES])
        if (s->link[p->parents].next)
            return true;
    return false;
}

void shadow_flush_address(struct vcpu *v, u64 gva)
{
    struct shadow *s = &v->vm->shadow;
    bool all = s->uppers; /* they are protected again, at whatever addresses they are mapped */

    if (s->software ? vtlb_flush(s, gva) : shadow_invlpg(s, gva)) {
        const struct shadow_page *p = shadow_find(s, gva);
        all |= is_shared(s, p);
        TRACE_BY(shadow_zap, v->who, .table = p->table.v, .level = 1, .entries = 1,
                 .why = ZAP_INVLPG);
    }
    hv->flush(v, HV_FLUSH_ADDR, gva);
    s->narrowed = all; /* what else there was is of this address alone */
    shadow_flush(v);
}
