/*
 * One descent through one set of tables, of any format, in the order in which
 * the processor does it: read an entry, check P and the reserved bits, set A,
 * go down; at the leaf judge the rights of all levels together, then set D.
 *
 * PAE's four directory pointers are one more level. With nested paging AMD's processors
 * read them during the walk (AMD64 Manual vol. 2, 15.25.10), and QEMU always does. Where
 * they are held since CR3 was written (by Intel's processors: SDM vol. 3A, 4.4.1; for a
 * guest on a shadow) they are no reference; whoever locates tables says where they are.
 * Sources: AMD64 Manual vol. 2, 5.4 to 5.6, 8.4.2 (error code), 15.25.6; Intel
 * SDM vol. 3C, 27.2.1 (exit qualification), 28.2.3.
 */
#include "kernel/todo.h"
#include "vmm/cpubits.h"
#include "vmm/hv.h"
#include "vmm/mmu/descend.h"

/* The highest level that denies it; 0: all grant it. */
struct rights {
    u8 no_read, no_write, no_user, no_exec;
};

/* One entry, found and being looked at. */
struct step {
    const struct pt_level *level;
    u64 where; /* its address, as the tables count addresses */
    void *entry;
    struct walk_ref *ref;
    bool is_page;
};

void descent_set_rules(struct descent *d, const struct guest_paging *p)
{
    d->wp = p->cr0 & CR0_WP;
    d->pse = p->cr4 & CR4_PSE;
    d->smep = p->cr4 & CR4_SMEP;
    d->smap = (p->cr4 & CR4_SMAP) && !(p->rflags & RFLAGS_AC);
    d->nxe = (p->efer & EFER_NXE) && d->format->no_exec;
}

/* Table 27-7. Guest tables are read and, for their A and D bits, written
 * (28.2.3.2). A misconfiguration has no qualification. */
static u64 qualification(const struct descent *d, enum walk_fault fault)
{
    if (fault == FAULT_RESERVED)
        return 0;
    if (d->serves)
        return EPTQ_GVA | EPTQ_READ | EPTQ_WRITE;
    u64 access = d->access & ACCESS_WRITE ? EPTQ_WRITE : EPTQ_READ;
    return EPTQ_GVA | EPTQ_FINAL | (d->access & ACCESS_EXEC ? EPTQ_FETCH : access);
}

/* The part of it that tells what the entries allow; none if one is not present. */
static u64 allowed(const struct rights *r)
{
    return (r->no_read ? 0 : EPTQ_MAY_R) | (r->no_write ? 0 : EPTQ_MAY_W) |
           (r->no_exec ? 0 : EPTQ_MAY_X);
}

/* The error code of a page fault: 8.4.2. present: an entry forbids it, or is malformed. */
static u64 fault_code(const struct descent *d, enum walk_fault fault, bool present)
{
    /* LAB 4 BEGIN: The error code that the processor makes of a fault. */
    u64 error = present ? PF_P : 0;

    error |= d->access & ACCESS_WRITE ? PF_W : 0;
    error |= d->access & ACCESS_USER ? PF_U : 0;
    error |= fault == FAULT_RESERVED ? PF_RSVD : 0;
    return error | (d->access & ACCESS_EXEC && (d->nxe || d->smep) ? PF_I : 0);
    /* LAB 4 END: todo(4, "4.1", d, fault, present); */
}

/* And, for the nested dimension, 15.25.6. */
static u64 error_code(const struct descent *d, enum walk_fault fault, bool present)
{
    if (d->format->ept)
        return qualification(d, fault);
    if (fault == FAULT_NON_CANONICAL)
        return 0; /* #GP(0), or #SS(0) */
    u64 error = fault_code(d, fault, present);
    if (d->dim == DIM_NESTED)
        error |= d->serves ? NPF_IN_WALK : NPF_FINAL;
    return error;
}

enum walk_fault descent_fail(const struct descent *d, struct walk *w, enum walk_fault fault,
                             u8 level, bool present)
{
    w->fault = fault;
    w->fault_dim = d->dim;
    w->fault_level = level;
    w->error = error_code(d, fault, present);
    return fault;
}

static u64 read_entry(const struct descent *d, const void *entry)
{
    return d->format->width == 4 ? *(const u32 *)entry : *(const u64 *)entry;
}

/* Another processor, or a student's guest, may look: one store, whole. What is
 * written to read-only memory is lost, as on a bus. */
static void set_bits(const struct descent *d, struct step *s, u64 bits)
{
    if (!d->set_ad || (s->ref->after & bits) == bits)
        return;
    if (d->mem && !guestmem_writable(d->mem, gpa(s->where)))
        return;
    s->ref->after |= bits;
    if (d->format->width == 4)
        *(volatile u32 *)s->entry = (u32)s->ref->after;
    else
        *(volatile u64 *)s->entry = s->ref->after;
}

static void note_reference(const struct descent *d, struct step *s, struct walk *w)
{
    u64 entry = read_entry(d, s->entry);
    u32 index = pt_index(s->level, d->addr);

    s->is_page = pt_is_page(d->format, s->level, entry, d->pse);
    s->ref = &w->ref[w->refs++];
    *s->ref = (struct walk_ref){
        .n = (u8)w->refs,
        .dim = d->dim,
        .level = s->level->level,
        .serves = d->serves,
        .table = hpa(ptr_hpa(s->entry).v - (u64)index * d->format->width),
        .index = (u16)index,
        .before = entry,
        .after = entry,
        .size = s->is_page && (entry & d->format->present) ? pt_page_size(s->level) : 0,
        .addr = d->addr,
    };
}

static void add_rights(const struct pt_format *f, const struct step *s, struct rights *r)
{
    /* LAB 4 BEGIN: What this entry denies is denied, whatever the others grant. */
    u64 entry = s->ref->before;

    if (!s->level->rights)
        return;
    if (!r->no_write && !(entry & f->write))
        r->no_write = s->level->level;
    if (!r->no_read && (entry & f->read) != f->read)
        r->no_read = s->level->level;
    if (!r->no_user && (entry & f->user) != f->user)
        r->no_user = s->level->level;
    if (!r->no_exec && ((entry & f->no_exec) || (entry & f->exec) != f->exec))
        r->no_exec = s->level->level;
    /* LAB 4 END: todo(4, "4.1", f, s, r); */
}

/* 5.6: may this access be made? *level: who forbids it. */
static enum walk_fault judge(const struct descent *d, const struct rights *r, u8 leaf, u8 *level)
{
    /* LAB 4 BEGIN: Whether this access may be made, by what all levels together grant. */
    bool user = d->access & ACCESS_USER, exec = d->access & ACCESS_EXEC;

    *level = r->no_user;
    if (user && r->no_user)
        return FAULT_USER;
    *level = r->no_read;
    if (r->no_read && !(d->access & (ACCESS_WRITE | ACCESS_EXEC)))
        return FAULT_READ;
    *level = r->no_write;
    if ((d->access & ACCESS_WRITE) && r->no_write && (user || d->wp))
        return FAULT_WRITE;
    *level = r->no_exec;
    if (exec && r->no_exec) /* without EFER.NXE that bit was reserved */
        return FAULT_EXECUTE;
    /* SMEP and SMAP: a page that users may use is not for the supervisor. */
    *level = leaf;
    if (user || r->no_user)
        return FAULT_NONE;
    if (exec && d->smep)
        return FAULT_EXECUTE;
    return !exec && d->smap ? FAULT_USER : FAULT_NONE;
    /* LAB 4 END: todo(4, "4.1", d, r, leaf, level); */
}

/* Present and well-formed? */
static enum walk_fault check_entry(const struct descent *d, const struct step *s, struct walk *w)
{
    /* LAB 4 BEGIN: An entry that is present, with no bit set that must be zero. */
    u64 entry = s->ref->before;

    if (!(entry & d->format->present))
        return descent_fail(d, w, FAULT_NOT_PRESENT, s->level->level, false);
    if (entry & pt_reserved(d->format, s->level, s->is_page, d->nxe) ||
        (d->format->malformed && d->format->malformed(entry, s->is_page)))
        return descent_fail(d, w, FAULT_RESERVED, s->level->level, true);
    return FAULT_NONE;
    /* LAB 4 END: todo(4, "4.1", d, s, w); */
}

static enum walk_fault finish(const struct descent *d, struct step *s, const struct rights *r,
                              struct walk *w)
{
    /* LAB 4 BEGIN: At the leaf: judge, then A and D. */
    u8 level;
    enum walk_fault fault = judge(d, r, s->level->level, &level);

    if (fault) {
        descent_fail(d, w, fault, level, true);
        w->error |= d->format->ept ? allowed(r) : 0;
        return fault;
    }
    set_bits(d, s, d->format->accessed | (d->access & ACCESS_WRITE ? d->format->dirty : 0));
    return FAULT_NONE;
    /* LAB 4 END: todo(4, "4.1", d, s, r, w, judge, allowed, set_bits); */
}

/* Read the entry at address where and put it down as a reference. */
static enum walk_fault look_at(const struct descent *d, struct step *s, u64 where, struct walk *w)
{
    s->where = where;
    s->entry = d->locate ? d->locate(d, where, s->level->level, w) : hpa_ptr(hpa(where));
    if (!s->entry)
        return w->fault;
    note_reference(d, s, w);
    return check_entry(d, s, w);
}

/* What the processor holds is no reference; what it takes to find it does fault. */
static void forget_held(const struct descent *d, const struct step *s, u32 refs, struct walk *w)
{
    if (d->pointers_held && !s->level->rights && w->fault_dim == d->dim)
        w->refs = refs;
}

enum walk_fault descend(const struct descent *d, struct walk *w, u64 *out, u64 *size)
{
    /* LAB 4 BEGIN: From the root down to the entry that maps a page. */
    const struct pt_format *f = d->format;
    struct rights rights = {0};
    u64 table = d->root & f->root_mask;

    for (u32 i = 0;; i++) {
        struct step s = {.level = &f->level[i]};
        u64 where = table + (u64)pt_index(s.level, d->addr) * f->width;
        u32 refs = w->refs;
        enum walk_fault fault = look_at(d, &s, where, w);
        forget_held(d, &s, refs, w);
        if (fault)
            return fault;
        add_rights(f, &s, &rights);
        table = pt_target(f, s.level, s.ref->before, s.is_page);
        if (s.is_page) {
            *size = pt_page_size(s.level);
            *out = table + (d->addr & (*size - 1));
            return finish(d, &s, &rights, w);
        }
        if (s.level->rights)
            set_bits(d, &s, f->accessed);
    }
    /* LAB 4 END: todo(4, "4.1", d, w, out, size, look_at, add_rights, finish, set_bits,
     * forget_held); */
}
