/*
 * mmu=vtlb: the TLB that its guest fills. What such a guest has for page tables is its own
 * affair: nothing of it is read here. A miss is a #PF of its own, it fills by hypercall, and
 * what it has filled is kept in the shadow's tables: a bounded pool, so an entry may vanish
 * at any time, as from any TLB. CR3 is only a name: each value has entries of its own, and
 * MOV CR3 flushes nothing.
 *
 * So that a miss can be handled at all, gVAs below 1 GiB are no matter of the TLB: they are
 * gPAs, for the kernel alone. Source: MIPS R4000 User's Manual, chapter 4 (a TLB that
 * software fills, and its unmapped segments); the hypercalls: formats.md, section 12.
 */
#include "kernel/todo.h"
#include "vmm/cpubits.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/shadow.h"
#include "vmm/vm.h"

#define LARGE (1ull << 21)

/* A hypercall's number, in RAX, and how vtlb_write() is to map: besides ACCESS_ bits. */
enum { CALL_WRITE = 1, CALL_FLUSH = 2, CALL_FLUSH_SPACE = 3 };
#define HOW_LARGE (1u << 7)
#define HOW_KNOWN (ACCESS_WRITE | ACCESS_USER | ACCESS_EXEC | HOW_LARGE)

#define NO_SERVICE (~0ull)

/* --- Tables ---------------------------------------------------------------------------------- */

/* What the entries are kept apart by: how addresses are translated at all, and whether NX is a
 * right or a reserved bit. */
u32 vtlb_role(const struct guest_paging *paging)
{
    return ROLE_SOFTWARE | ROLE_DIRECT | (u32)paging_mode(paging) << 10 |
           (paging->efer & EFER_NXE ? ROLE_NXE : 0);
}

struct shadow_page *vtlb_root(struct shadow *s, u64 cr3)
{
    bool wide = s->mode == PAGING_LONG4;

    return shadow_get(s, gpa(cr3 & PTE_ADDR), 0,
                      s->role | (wide ? 0 : ROLE_POINTERS) |
                          ROLE_MAKE(wide ? 4 : 3, 0, SHADOW_ALL));
}

/* A table has no place in the guest's memory: its name is the first address that it translates,
 * and its root's number. */
static gpa_t name_of(const struct shadow *s, u32 level, u64 gva)
{
    u64 first = gva & ((1ull << 48) - (1ull << (12 + 9 * level)));

    return gpa(first | (u64)s->root << 48);
}

/* The table below entry i. One that hung nowhere has missed flushes: it begins anew. */
static struct shadow_page *table_below(struct shadow *s, struct shadow_page *p, u32 i, u64 gva)
{
    u32 level = ROLE_LEVEL(p->role) - 1;

    if (p->entry[i] & PTE_P) {
        struct shadow_page *child = shadow_page_at(s, p->entry[i]);
        shadow_use(s, child);
        return child;
    }
    struct shadow_page *child = shadow_get(s, name_of(s, level, gva), 0,
                                           s->role | ROLE_MAKE(level, 0, SHADOW_ALL));
    shadow_empty(s, child);
    shadow_link(s, p, i, child);
    shadow_trace_fill(s, p, i, gva, 0, 0);
    return child;
}

/* The table of level 1 for an address. */
static struct shadow_page *table_for(struct shadow *s, u64 gva)
{
    struct shadow_page *p = &s->page[s->root];

    while (ROLE_LEVEL(p->role) > 1)
        p = table_below(s, p, shadow_index(ROLE_LEVEL(p->role), gva), gva);
    return p;
}

/* --- Entries --------------------------------------------------------------------------------- */

/* The entry that these rights ask for. A and D are no matter to who has no tables. */
static u64 leaf(hpa_t host, u64 how)
{
    /* LAB 4 BEGIN: P, A and D; W and U as they are granted, NX where execution is not. */
    return host.v | PTE_P | PTE_A | PTE_D | (how & ACCESS_WRITE ? PTE_W : 0) |
           (how & ACCESS_USER ? PTE_U : 0) | (how & ACCESS_EXEC ? 0 : PTE_NX);
    /* LAB 4 END: todo(4, "4.9", host, how); */
}

/* False: there is no memory. */
static bool fill(struct shadow *s, struct shadow_page *p, u64 gva, gpa_t to, u64 how)
{
    u32 i = shadow_index(1, gva);
    u64 before = p->entry[i];
    hpa_t host;
    u32 frame = shadow_frame_at(s, to, &host);

    if (!frame)
        return false;
    shadow_map(s, p, i, leaf(host, how), frame);
    shadow_trace_fill(s, p, i, gva, to.v | how, before);
    return true;
}

bool vtlb_fill_segment(struct shadow *s, u64 gva)
{
    u64 page = gva & ~PAGE_MASK;

    return fill(s, table_for(s, page), page, gpa(page), ACCESS_WRITE | ACCESS_EXEC);
}

/* --- What the guest asks for ----------------------------------------------------------------- */

static bool well_formed(const struct shadow *s, u64 gva, gpa_t to, u64 how)
{
    u64 size = how & HOW_LARGE ? LARGE : PAGE_SIZE;

    if (how & ~(u64)HOW_KNOWN || (gva | to.v) & (size - 1))
        return false;
    if (!(how & ACCESS_EXEC) && !(s->role & ROLE_NXE))
        return false;
    return pt_canonical(pt_format_of(s->mode), gva) && !vtlb_in_segment(gva);
}

enum vtlb_result vtlb_write(struct shadow *s, u64 gva, gpa_t to, u64 how)
{
    /* LAB 4 BEGIN: Refuse what is malformed or not all memory of this VM; else fill it all. */
    u64 size = how & HOW_LARGE ? LARGE : PAGE_SIZE;
    hpa_t host;

    if (!well_formed(s, gva, to, how))
        return VTLB_MALFORMED;
    for (u64 off = 0; off < size; off += PAGE_SIZE)
        if (!shadow_frame_at(s, gpa(to.v + off), &host))
            return VTLB_NO_MEMORY;
    struct shadow_page *p = table_for(s, gva);
    for (u64 off = 0; off < size; off += PAGE_SIZE)
        fill(s, p, gva + off, gpa(to.v + off), how);
    return VTLB_DONE;
    /* LAB 4 END: todo(4, "4.9", s, gva, to, how, well_formed, table_for, fill); */
}

bool vtlb_flush(struct shadow *s, u64 gva)
{
    struct shadow_page *p = shadow_find(s, gva);

    return p && shadow_clear(s, p, shadow_index(1, gva));
}

/* Of this CR3's entries nothing is left: tables that hang nowhere begin anew. */
static void flush_all(struct vcpu *v)
{
    struct shadow *s = &v->vm->shadow;
    struct shadow_page *root = &s->page[s->root];
    u32 n = shadow_empty(s, root);

    TRACE_BY(shadow_zap, v->who, .table = root->table.v, .level = ROLE_LEVEL(root->role),
             .entries = n, .why = ZAP_CALL);
}

static enum vtlb_result call_write(struct vcpu *v, u64 gva, u64 to, u64 how)
{
    enum vtlb_result result = vtlb_write(&v->vm->shadow, gva, gpa(to), how);

    TRACE_BY(vtlb_write, v->who, .gva = gva, .gpa = to, .how = how, .result = result);
    return result;
}

static u64 answer(struct vcpu *v, u64 number, u64 gva, u64 mask)
{
    switch (number) {
    case CALL_WRITE:
        return call_write(v, gva, v->gpr[GPR_RCX] & mask, v->gpr[GPR_RDX] & mask);
    case CALL_FLUSH:
        shadow_flush_address(v, gva);
        return VTLB_DONE;
    case CALL_FLUSH_SPACE:
        flush_all(v);
        return VTLB_DONE;
    default:
        return NO_SERVICE;
    }
}

u64 vtlb_call(struct vcpu *v)
{
    u64 mask = vcpu_mode(v) == 8 ? ~0ull : 0xffffffff, result;

    if (!v->vm->shadow.active || vcpu_cpl(v) != 0)
        return NO_SERVICE;
    result = answer(v, v->gpr[GPR_RAX] & mask, v->gpr[GPR_RBX] & mask, mask);
    shadow_flush(v);
    return result;
}
