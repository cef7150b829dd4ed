/*
 * The emulator's middle: which instruction is executed how. Operands come from
 * registers, memory or the instruction, results go back only when nothing can
 * fault any more. Strings are in emulate_string.c.
 */
#include "vmm/emulate_parts.h"

/* --- Operands ------------------------------------------------------------------ */

/* Which register an operand is, if it is one. */
static u8 operand_reg(const struct insn *in, bool dst)
{
    return dst == in->rm_dst && in->rm_reg != INSN_NO_REG ? in->rm_reg : in->reg;
}

static int get_operand(struct emu *e, bool dst, u8 size, u8 access, u64 *value)
{
    const struct insn *in = e->insn;

    switch (dst ? in->dst : in->src) {
    case PLACE_REG:
        *value = emu_reg(e, operand_reg(in, dst), size);
        return 0;
    case PLACE_MEM:
        return emu_load(e, emu_operand_place(e, size), access, value);
    case PLACE_IMM:
        *value = in->imm;
        return 0;
    default:
        *value = 0;
        return 0;
    }
}

static int set_dst(struct emu *e, u64 value)
{
    const struct insn *in = e->insn;

    if (in->dst == PLACE_MEM)
        return emu_store(e, emu_operand_place(e, in->opsize), value);
    emu_set_reg(e, operand_reg(in, true), in->opsize, value);
    return 0;
}

/* --- Data ---------------------------------------------------------------------- */

static u64 sign_extend(u64 value, u8 size)
{
    u32 shift = 64 - 8 * size;

    return (u64)((s64)(value << shift) >> shift);
}

static int do_mov(struct emu *e)
{
    const struct insn *in = e->insn;
    u64 value;

    if (get_operand(e, false, in->srcsize, 0, &value) != 0)
        return -EFAULT;
    if (in->op == INSN_MOVSX)
        value = sign_extend(value, in->srcsize);
    return set_dst(e, value);
}

static int do_xchg(struct emu *e)
{
    const struct insn *in = e->insn;
    u64 dst, src;

    if (get_operand(e, true, in->opsize, ACCESS_WRITE, &dst) != 0)
        return -EFAULT;
    get_operand(e, false, in->opsize, 0, &src); /* a register: cannot fail */
    if (set_dst(e, src) != 0)
        return -EFAULT;
    emu_set_reg(e, operand_reg(in, false), in->opsize, dst);
    return 0;
}

/* All that computes: one operand or two, with or without a result. */
static int do_alu(struct emu *e)
{
    const struct insn *in = e->insn;
    bool keeps = in->op != INSN_CMP && in->op != INSN_TEST;
    u64 flags = *e->ctx->rflags, a, b;

    if (get_operand(e, true, in->opsize, keeps ? ACCESS_WRITE : 0, &a) != 0 ||
        get_operand(e, false, in->opsize, 0, &b) != 0)
        return -EFAULT;
    a = alu_execute(in->op, in->opsize, a, b, &flags);
    if (keeps && set_dst(e, a) != 0)
        return -EFAULT;
    *e->ctx->rflags = flags;
    return 0;
}

/* --- The stack ------------------------------------------------------------------ */

/* How many bytes of rSP count. */
static u8 stack_width(struct emu *e)
{
    struct seg ss;

    if (e->ctx->mode == 8)
        return 8;
    e->ctx->seg(e->ctx->opaque, SEG_SS, &ss);
    return ss.attr & SEG_ATTR_DB ? 4 : 2;
}

static int do_push(struct emu *e)
{
    const struct insn *in = e->insn;
    u8 width = stack_width(e);
    u64 value, top = (emu_pointer(e, GPR_RSP, width) - in->opsize) & size_mask(width);

    if (get_operand(e, false, in->opsize, 0, &value) != 0)
        return -EFAULT;
    if (emu_store(e, (struct place){SEG_SS, top, in->opsize}, value) != 0)
        return -EFAULT;
    emu_set_pointer(e, GPR_RSP, width, top);
    return 0;
}

/* A destination that is addressed by rSP uses its value after the POP. */
static int do_pop(struct emu *e)
{
    const struct insn *in = e->insn;
    u8 width = stack_width(e);
    u64 before = e->ctx->gpr[GPR_RSP], top = emu_pointer(e, GPR_RSP, width), value;

    if (emu_load(e, (struct place){SEG_SS, top, in->opsize}, 0, &value) != 0)
        return -EFAULT;
    emu_set_pointer(e, GPR_RSP, width, top + in->opsize);
    if (set_dst(e, value) == 0)
        return 0;
    e->ctx->gpr[GPR_RSP] = before;
    return -EFAULT;
}

int emulate_insn(struct emu_ctx *ctx, const struct insn *in, struct emu_fault *fault)
{
    struct emu e = {ctx, in, fault};

    switch (in->op) {
    case INSN_MOV:
    case INSN_MOVZX:
    case INSN_MOVSX:
        return do_mov(&e);
    case INSN_XCHG:
        return do_xchg(&e);
    case INSN_ADD ... INSN_TEST:
    case INSN_INC ... INSN_NEG:
        return do_alu(&e);
    case INSN_PUSH:
        return do_push(&e);
    case INSN_POP:
        return do_pop(&e);
    case INSN_MOVS ... INSN_SCAS:
    case INSN_INS:
    case INSN_OUTS:
        return emu_string(&e);
    default:
        return -ENOTSUP;
    }
}
