/*
 * Operands: registers, and the memory operand of ModRM, SIB and displacement
 * with 16-, 32- and 64-bit addresses. It computes no address: that takes the
 * registers' values. Source: AMD64 Manual vol. 3 (24594), 1.4 and 1.5.
 */
#include "vmm/insn_table.h"

static u8 modrm_mod(const struct decoder *d)
{
    return d->modrm >> 6;
}

static u8 modrm_rm(const struct decoder *d)
{
    return d->modrm & 7;
}

static u8 modrm_reg(const struct decoder *d)
{
    return (u8)((d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0));
}

static u8 opcode_reg(const struct decoder *d)
{
    return (u8)((d->opcode & 7) | (d->rex & REX_B ? 8 : 0));
}

/* --- The memory operand -------------------------------------------------------- */

/* Addresses relative to the stack use SS unless a prefix says otherwise. */
static void choose_segment(struct decoder *d)
{
    struct insn *in = d->out;

    if (d->seg != INSN_NO_REG)
        in->seg = d->seg;
    else if (in->base == GPR_RSP || in->base == GPR_RBP)
        in->seg = SEG_SS;
}

static void decode_memory_16(struct decoder *d)
{
    static const u8 base[] = {GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP,
                              GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
    static const u8 index[] = {GPR_RSI,     GPR_RDI,     GPR_RSI,     GPR_RDI,
                               INSN_NO_REG, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG};
    struct insn *in = d->out;
    u8 mod = modrm_mod(d), rm = modrm_rm(d);

    if (mod == 0 && rm == 6) {
        in->disp = decode_signed(d, 2);
        return;
    }
    in->base = base[rm];
    in->index = index[rm];
    in->disp = decode_signed(d, mod); /* mod 1: one byte, mod 2: two */
}

/* Base, index and scale; a base of 5 with mod 0 is no base but a
 * displacement. Returns the displacement's size. */
static u32 decode_sib(struct decoder *d, u32 disp_size)
{
    struct insn *in = d->out;
    u8 sib = decode_byte(d);
    u8 index = (u8)((sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0));

    if (index != GPR_RSP) {
        in->index = index;
        in->scale = (u8)(1u << (sib >> 6));
    }
    if ((sib & 7) == GPR_RBP && modrm_mod(d) == 0)
        return 4;
    in->base = (u8)((sib & 7) | (d->rex & REX_B ? 8 : 0));
    return disp_size;
}

static void decode_memory_32(struct decoder *d)
{
    struct insn *in = d->out;
    u8 mod = modrm_mod(d), rm = modrm_rm(d);
    u32 disp_size = mod == 0 ? 0 : mod == 1 ? 1 : 4;

    if (rm == GPR_RSP) {
        disp_size = decode_sib(d, disp_size);
    } else if (rm == GPR_RBP && mod == 0) {
        in->base = in->mode == 8 ? INSN_RIP : INSN_NO_REG;
        disp_size = 4;
    } else {
        in->base = (u8)(rm | (d->rex & REX_B ? 8 : 0));
    }
    in->disp = decode_signed(d, disp_size);
}

/* The operand in ModRM.rm: a register or memory. */
static u8 decode_rm(struct decoder *d)
{
    if (modrm_mod(d) == 3) {
        d->out->rm_reg = (u8)(modrm_rm(d) | (d->rex & REX_B ? 8 : 0));
        return PLACE_REG;
    }
    if (d->out->addrsize == 2)
        decode_memory_16(d);
    else
        decode_memory_32(d);
    choose_segment(d);
    return PLACE_MEM;
}

/* --- Operands without ModRM ------------------------------------------------------ */

/* reg: INSN_NO_REG, GPR_RAX or OPCODE_REG. pointer: of string operands. */
struct fixed_form {
    u8 dst, src, reg, pointer;
};

enum { OPCODE_REG = 0xfd, NONE = INSN_NO_REG };

static const struct fixed_form fixed_forms[FORM_MODRM] = {
    [FORM_NONE] = {PLACE_NONE, PLACE_NONE, NONE, NONE},
    [FORM_ACC_IMM] = {PLACE_REG, PLACE_IMM, GPR_RAX, NONE},
    [FORM_REG] = {PLACE_REG, PLACE_NONE, OPCODE_REG, NONE},
    [FORM_REG_SRC] = {PLACE_NONE, PLACE_REG, OPCODE_REG, NONE},
    [FORM_REG_IMM] = {PLACE_REG, PLACE_IMM, OPCODE_REG, NONE},
    [FORM_REG_ACC] = {PLACE_REG, PLACE_REG, GPR_RAX, NONE},
    [FORM_ACC_MOFFS] = {PLACE_REG, PLACE_MEM, GPR_RAX, NONE},
    [FORM_MOFFS_ACC] = {PLACE_MEM, PLACE_REG, GPR_RAX, NONE},
    [FORM_IMM] = {PLACE_NONE, PLACE_IMM, NONE, NONE},
    [FORM_INT3] = {PLACE_NONE, PLACE_IMM, NONE, NONE},
    [FORM_IN_IMM] = {PLACE_REG, PLACE_IMM, GPR_RAX, NONE},
    [FORM_IN_DX] = {PLACE_REG, PLACE_NONE, GPR_RAX, NONE},
    [FORM_OUT_IMM] = {PLACE_IMM, PLACE_REG, GPR_RAX, NONE},
    [FORM_OUT_DX] = {PLACE_NONE, PLACE_REG, GPR_RAX, NONE},
    [FORM_STRINGS] = {PLACE_MEM, PLACE_MEM, NONE, GPR_RSI},
    [FORM_DI_ACC] = {PLACE_MEM, PLACE_REG, GPR_RAX, GPR_RDI},
    [FORM_ACC_DI] = {PLACE_REG, PLACE_MEM, GPR_RAX, GPR_RDI},
    [FORM_ACC_SI] = {PLACE_REG, PLACE_MEM, GPR_RAX, GPR_RSI},
    [FORM_DI] = {PLACE_MEM, PLACE_NONE, NONE, GPR_RDI},
    [FORM_SI] = {PLACE_NONE, PLACE_MEM, NONE, GPR_RSI},
};

/* The address is in the instruction itself, without any register. */
static void decode_moffs(struct decoder *d)
{
    u32 size = d->out->addrsize;
    u64 mask = size == 8 ? ~0ull : (1ull << (8 * size)) - 1;

    d->out->disp = (s64)((u64)decode_signed(d, size) & mask);
    choose_segment(d);
}

/* Where rDI points is in ES, whatever the prefixes. */
static void string_operand(struct decoder *d, u8 pointer)
{
    d->out->base = pointer;
    if (pointer == GPR_RDI)
        d->out->seg = SEG_ES;
    else
        choose_segment(d);
}

static void fixed_operands(struct decoder *d, u8 form)
{
    const struct fixed_form *f = &fixed_forms[form];
    struct insn *in = d->out;

    in->dst = f->dst;
    in->src = f->src;
    in->reg = f->reg == OPCODE_REG ? opcode_reg(d) : f->reg;
    if (f->pointer != NONE)
        string_operand(d, f->pointer);
    if (form == FORM_ACC_MOFFS || form == FORM_MOFFS_ACC)
        decode_moffs(d);
    if (form == FORM_INT3)
        in->imm = 3;
    in->rm_dst = form == FORM_REG_ACC;
    if (form == FORM_REG_ACC)
        in->rm_reg = opcode_reg(d);
}

/* --- Operands with ModRM ----------------------------------------------------------- */

/* MOV to and from control and debug registers. ModRM.mod does not matter. */
static void system_operands(struct decoder *d, bool to)
{
    struct insn *in = d->out;
    bool control = in->op == INSN_MOV_FROM_CR || in->op == INSN_MOV_TO_CR;

    in->rm_reg = in->reg = (u8)(modrm_rm(d) | (d->rex & REX_B ? 8 : 0));
    in->sysreg = modrm_reg(d);
    if (in->lock && (!control || (in->sysreg & 7) != 0))
        d->error = -EINVAL;
    if (in->lock)
        in->sysreg = 8;
    u32 valid = control ? 1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 8 : 0xff;
    if (!(valid >> in->sysreg & 1))
        d->error = -EINVAL;
    *(to ? &in->src : &in->dst) = PLACE_REG;
    in->rm_dst = !to;
}

/* Operands of opcodes that have a ModRM byte. */
static void modrm_operands(struct decoder *d, u8 form)
{
    struct insn *in = d->out;
    u8 rm = decode_rm(d);

    if (form == FORM_MODRM)
        return;
    in->rm_dst = form == FORM_RM_REG || form == FORM_RM_IMM || form == FORM_RM;
    *(in->rm_dst ? &in->dst : &in->src) = rm;
    if (form == FORM_RM_REG || form == FORM_REG_RM) {
        *(in->rm_dst ? &in->src : &in->dst) = PLACE_REG;
        in->reg = modrm_reg(d);
        return;
    }
    in->reg = in->rm_reg;
    if (form == FORM_RM_IMM)
        in->src = PLACE_IMM;
}

void decode_operands(struct decoder *d, const struct opcode *op)
{
    if (op->form == FORM_FROM_SYS || op->form == FORM_TO_SYS)
        system_operands(d, op->form == FORM_TO_SYS);
    else if (op->form >= FORM_MODRM)
        modrm_operands(d, op->form);
    else
        fixed_operands(d, op->form);
}
