/*
 * String instructions and string port I/O, with REP. Registers are brought up
 * to date after every iteration, so that a fault leaves them at the iteration
 * that faulted, as the processor does; and a long REP is done in chunks, so
 * that no guest can keep the host busy. Source: AMD64 Manual vol. 3, 1.2.6.
 */
#include "vmm/emulate_parts.h"

static struct place source(const struct emu *e)
{
    const struct insn *in = e->insn;

    return (struct place){in->seg, emu_pointer(e, GPR_RSI, in->addrsize), in->opsize};
}

/* Always in ES. */
static struct place destination(const struct emu *e)
{
    const struct insn *in = e->insn;

    return (struct place){SEG_ES, emu_pointer(e, GPR_RDI, in->addrsize), in->opsize};
}

/* Move a pointer by one element, up or down. */
static void advance(struct emu *e, u8 reg)
{
    const struct insn *in = e->insn;
    u64 by = *e->ctx->rflags & FLAG_DF ? -(u64)in->opsize : in->opsize;

    emu_set_pointer(e, reg, in->addrsize, emu_pointer(e, reg, in->addrsize) + by);
}

static void compare(struct emu *e, u64 a, u64 b)
{
    alu_execute(e->insn->op, e->insn->opsize, a, b, e->ctx->rflags);
}

static u16 port(const struct emu *e)
{
    return (u16)e->ctx->gpr[GPR_RDX];
}

static int do_movs(struct emu *e)
{
    u64 value;

    if (emu_load(e, source(e), 0, &value) != 0 || emu_store(e, destination(e), value) != 0)
        return -EFAULT;
    advance(e, GPR_RSI);
    advance(e, GPR_RDI);
    return 0;
}

static int do_stos(struct emu *e)
{
    if (emu_store(e, destination(e), e->ctx->gpr[GPR_RAX]) != 0)
        return -EFAULT;
    advance(e, GPR_RDI);
    return 0;
}

static int do_lods(struct emu *e)
{
    u64 value;

    if (emu_load(e, source(e), 0, &value) != 0)
        return -EFAULT;
    emu_set_reg(e, GPR_RAX, e->insn->opsize, value);
    advance(e, GPR_RSI);
    return 0;
}

static int do_cmps(struct emu *e)
{
    u64 a, b;

    if (emu_load(e, source(e), 0, &a) != 0 || emu_load(e, destination(e), 0, &b) != 0)
        return -EFAULT;
    compare(e, a, b);
    advance(e, GPR_RSI);
    advance(e, GPR_RDI);
    return 0;
}

static int do_scas(struct emu *e)
{
    u64 value;

    if (emu_load(e, destination(e), 0, &value) != 0)
        return -EFAULT;
    compare(e, e->ctx->gpr[GPR_RAX], value);
    advance(e, GPR_RDI);
    return 0;
}

/* A port's value is gone once it was read: see first that it can be stored. */
static int do_ins(struct emu *e)
{
    u64 value;

    if (emu_check_store(e, destination(e)) != 0)
        return -EFAULT;
    value = e->ctx->port_in(e->ctx->opaque, port(e), e->insn->opsize);
    if (emu_store(e, destination(e), value) != 0)
        return -EFAULT;
    advance(e, GPR_RDI);
    return 0;
}

static int do_outs(struct emu *e)
{
    u64 value;

    if (emu_load(e, source(e), 0, &value) != 0)
        return -EFAULT;
    e->ctx->port_out(e->ctx->opaque, port(e), e->insn->opsize, (u32)value);
    advance(e, GPR_RSI);
    return 0;
}

static int one_iteration(struct emu *e)
{
    switch (e->insn->op) {
    case INSN_MOVS:
        return do_movs(e);
    case INSN_STOS:
        return do_stos(e);
    case INSN_LODS:
        return do_lods(e);
    case INSN_CMPS:
        return do_cmps(e);
    case INSN_SCAS:
        return do_scas(e);
    case INSN_INS:
        return do_ins(e);
    case INSN_OUTS:
        return do_outs(e);
    default:
        return -ENOTSUP;
    }
}

/* CMPS and SCAS end early: REPE at the first difference, REPNE at the first
 * match. */
static bool comparison_ends(const struct emu *e)
{
    bool equal = *e->ctx->rflags & FLAG_ZF;

    if (e->insn->op != INSN_CMPS && e->insn->op != INSN_SCAS)
        return false;
    return equal == (e->insn->rep == REP_NE);
}

int emu_string(struct emu *e)
{
    u8 width = e->insn->addrsize;
    u64 count = emu_pointer(e, GPR_RCX, width);

    if (e->insn->rep == REP_NONE)
        return one_iteration(e);
    for (u32 i = 0; count && i < EMU_CHUNK; i++) {
        int err = one_iteration(e);
        if (err)
            return err;
        emu_set_pointer(e, GPR_RCX, width, --count);
        if (comparison_ends(e))
            return 0;
    }
    return count ? -EBUSY : 0;
}
