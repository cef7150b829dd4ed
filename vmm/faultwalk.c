/*
 * Which walk ended in a nested fault. The processor says the gPA that it could
 * not translate; the picture of a walk begins at the gVA. So the addresses that
 * the instruction at RIP touches are tried: its own bytes, its operands, the
 * stack. The one whose walk comes to the very same end was it.
 *
 * It changes nothing: the emulator runs on copies of the registers, reads
 * zeros and writes nowhere. Not found: what the processor touches by itself
 * (descriptors, and everything while it delivers an event) and operands that
 * emulate.c cannot compute. Source: AMD64 Manual vol. 2, 15.25.6.
 */
#include "vmm/faultwalk.h"
#include "kernel/cpu.h"
#include "kernel/mem.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

struct search {
    struct vcpu *v;
    const struct exit *exit;
    struct guest_paging paging;
    struct walk walk; /* the last one that was tried */
    bool found;
};

/* Does it end where the processor's did? */
static bool same_end(const struct walk *w, const struct exit *x)
{
    if (!w->fault || w->fault_dim != DIM_NESTED || !w->refs)
        return false;
    const struct walk_ref *end = &w->ref[w->refs - 1];
    if (end->addr >> PAGE_SHIFT != x->nested.gpa.v >> PAGE_SHIFT)
        return false;
    if (x->nested.misconfig)
        return w->fault == FAULT_RESERVED;
    return (end->serves != 0) == x->nested.in_walk;
}

/* Was it a table of the guest's that the processor looked for? A misconfiguration
 * does not say. */
static bool may_be_in_walk(const struct exit *x)
{
    return x->nested.in_walk || x->nested.misconfig;
}

/* Try one address. The exit knows best which byte of the page it was and what
 * the access was, unless it tells how the processor looked for a table: that
 * counts as writing. */
static bool try_address(struct search *s, u64 linear, u8 access)
{
    const struct exit *x = s->exit;

    if (!may_be_in_walk(x)) {
        linear = (linear & ~PAGE_MASK) | (x->nested.gpa.v & PAGE_MASK);
        access = x->nested.access & (ACCESS_WRITE | ACCESS_EXEC);
    }
    access |= vcpu_cpl(s->v) == 3 ? ACCESS_USER : 0;
    walk_2d(s->v->ctl.nested_root, &s->paging, gva(linear), access, &s->walk);
    s->found = same_end(&s->walk, x);
    return s->found;
}

/* --- What the instruction touches ------------------------------------------------- */

static int see_access(void *opaque, u64 linear, u8 access)
{
    struct search *s = opaque;

    return s->found || try_address(s, linear, access) ? -EFAULT : 0;
}

static int see_check(void *opaque, u64 linear, u32 n, u8 access, struct emu_fault *fault)
{
    (void)n;
    (void)fault;
    return see_access(opaque, linear, access);
}

static int see_read(void *opaque, u64 linear, void *to, u32 n, struct emu_fault *fault)
{
    (void)fault;
    memset(to, 0, n);
    return see_access(opaque, linear, 0);
}

static int see_write(void *opaque, u64 linear, const void *from, u32 n, struct emu_fault *fault)
{
    (void)from;
    (void)n;
    (void)fault;
    return see_access(opaque, linear, ACCESS_WRITE);
}

static void see_seg(void *opaque, enum hv_seg which, struct seg *out)
{
    hv_get_seg(((struct search *)opaque)->v, which, out);
}

static u32 see_port_in(void *opaque, u16 port, u8 size)
{
    (void)opaque;
    (void)port;
    (void)size;
    return 0;
}

static void see_port_out(void *opaque, u16 port, u8 size, u32 value)
{
    (void)opaque;
    (void)port;
    (void)size;
    (void)value;
}

/* Which addresses would it touch? */
static bool try_insn(struct search *s, const struct insn *insn)
{
    struct vcpu *v = s->v;
    struct emu_fault fault;
    u64 gpr[GPR_COUNT], rflags = v->rflags;
    struct emu_ctx ctx = {.opaque = s,
                          .gpr = gpr,
                          .rflags = &rflags,
                          .rip = v->rip,
                          .mode = vcpu_mode(v),
                          .protected_mode = vcpu_protected(v),
                          .seg = see_seg,
                          .check = see_check,
                          .read = see_read,
                          .write = see_write,
                          .port_in = see_port_in,
                          .port_out = see_port_out};

    memcpy(gpr, v->gpr, sizeof(gpr));
    emulate_insn(&ctx, insn, &fault);
    return s->found;
}

/* Its operands; its memory operand, whatever it does with it (a CALL, an SSE
 * instruction); what it pushes or pops. */
static bool try_operands(struct search *s)
{
    struct insn insn;

    if (fetch_insn(s->v, &insn) != 0)
        return false;
    if (try_insn(s, &insn))
        return true;
    insn.opsize = insn.srcsize = insn.mode;
    insn.op = INSN_MOV;
    insn.dst = PLACE_REG;
    insn.src = PLACE_MEM;
    insn.reg = insn.rm_reg = GPR_RAX;
    if (try_insn(s, &insn))
        return true;
    insn.src = PLACE_REG;
    insn.op = INSN_PUSH;
    if (try_insn(s, &insn))
        return true;
    insn.op = INSN_POP;
    return try_insn(s, &insn);
}

/* The first of its bytes, or the last when it goes on in the next page. */
static bool try_fetch(struct search *s)
{
    u64 linear = fetch_linear(s->v);

    return try_address(s, linear, ACCESS_EXEC) ||
           try_address(s, linear + INSN_MAX - 1, ACCESS_EXEC);
}

static bool find(struct search *s)
{
    const struct exit *x = s->exit;
    bool fetched = x->nested.access & ACCESS_EXEC || may_be_in_walk(x);

    if (x->nested.gva.v) /* the processor says it */
        return try_address(s, x->nested.gva.v, x->nested.access);
    if (paging_mode(&s->paging) == PAGING_OFF)
        return try_address(s, x->nested.gpa.v, x->nested.access);
    if (x->pending.valid)
        return false;
    return (fetched && try_fetch(s)) || (!(x->nested.access & ACCESS_EXEC) && try_operands(s));
}

void faultwalk_trace(struct vcpu *v, const struct exit *x)
{
    struct search s = {.v = v, .exit = x, .paging = vcpu_paging(v)};

    if (find(&s))
        walk_trace(v->vm_id, v->id, &s.walk, &s.paging, WALK_NESTED, CAUSE_FAULT);
}
