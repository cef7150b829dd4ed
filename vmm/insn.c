/*
 * The decoder: prefixes, opcode, sizes, immediate, and the rules that make an
 * instruction invalid. What each opcode is stands in insn_table.c; operands
 * are in insn_operand.c. Errors are sticky, so that no step needs to look.
 * Source: AMD64 Manual vol. 3 (24594 rev. 3.34), 1.2 and appendix A.
 */
#include "vmm/insn_table.h"

u8 decode_byte(struct decoder *d)
{
    if (d->error)
        return 0;
    if (d->pos >= INSN_MAX)
        d->error = -EINVAL;
    else if (d->pos >= d->n)
        d->error = -ERANGE;
    else
        return d->code[d->pos++];
    return 0;
}

s64 decode_signed(struct decoder *d, u32 size)
{
    u64 value = 0;

    for (u32 i = 0; i < size; i++)
        value |= (u64)decode_byte(d) << (8 * i);
    return size == 0 ? 0 : (s64)(value << (64 - 8 * size)) >> (64 - 8 * size);
}

/* --- Prefixes ----------------------------------------------------------------- */

/* In 64-bit mode only FS and GS have a base: the other overrides do nothing. */
static void override_segment(struct decoder *d, u8 seg)
{
    if (d->out->mode != 8 || seg >= SEG_FS)
        d->seg = seg;
}

/* Is the byte a legacy prefix? Then note what it says. */
static bool legacy_prefix(struct decoder *d, u8 byte)
{
    switch (byte) {
    case 0x26:
        override_segment(d, SEG_ES);
        return true;
    case 0x2e:
        override_segment(d, SEG_CS);
        return true;
    case 0x36:
        override_segment(d, SEG_SS);
        return true;
    case 0x3e:
        override_segment(d, SEG_DS);
        return true;
    case 0x64:
        override_segment(d, SEG_FS);
        return true;
    case 0x65:
        override_segment(d, SEG_GS);
        return true;
    case 0x66:
        d->op_prefix = true;
        return true;
    case 0x67:
        d->addr_prefix = true;
        return true;
    case 0xf0:
        d->out->lock = true;
        return true;
    case 0xf2:
        d->out->rep = REP_NE;
        return true;
    case 0xf3:
        d->out->rep = REP_EQ;
        return true;
    default:
        return false;
    }
}

/* Skip all prefixes; returns the first opcode byte. REX counts only when the
 * opcode follows it directly. */
static u8 decode_prefixes(struct decoder *d)
{
    for (;;) {
        u8 byte = decode_byte(d);
        if (legacy_prefix(d, byte))
            d->rex = 0;
        else if (d->out->mode == 8 && (byte & 0xf0) == 0x40)
            d->rex = byte;
        else
            return byte;
    }
}

/* --- Opcode ------------------------------------------------------------------- */

static const struct opcode opcode_bad;
static const struct opcode opcode_pause = {INSN_PAUSE, FORM_NONE, 0};
static const struct opcode opcode_nop = {INSN_OTHER, FORM_NONE, 0};
static const struct opcode opcode_movsxd = {INSN_MOVSX, FORM_REG_RM, SRC_4};
static const struct opcode opcode_0f38 = {INSN_OTHER, FORM_MODRM, 0};
static const struct opcode opcode_0f3a = {INSN_OTHER, FORM_MODRM, IMM_8};

static const struct opcode *two_byte_opcode(struct decoder *d)
{
    d->opcode = decode_byte(d);
    if (d->opcode != 0x38 && d->opcode != 0x3a)
        return &opcode_two_byte[d->opcode];
    bool has_imm = d->opcode == 0x3a;
    d->opcode = decode_byte(d);
    return has_imm ? &opcode_0f3a : &opcode_0f38;
}

/* The map's entry, and the few opcodes whose meaning depends on prefixes. */
static const struct opcode *find_opcode(struct decoder *d, u8 first)
{
    d->opcode = first;
    if (first == 0x0f)
        return two_byte_opcode(d);
    if (first == 0x63 && d->out->mode == 8)
        return &opcode_movsxd;
    if (first == 0x90 && !(d->rex & REX_B))
        return d->out->rep == REP_EQ ? &opcode_pause : &opcode_nop;
    return &opcode_one_byte[first];
}

/* ModRM.reg is part of the opcode; the flags of both entries count. */
static struct opcode group_member(struct decoder *d, const struct opcode *group)
{
    const struct opcode *member = &opcode_group[group->op][d->modrm >> 3 & 7];
    struct opcode op;

    if (group->op == GROUP_0F01 && d->modrm >= 0xc0)
        member = &opcode_0f01_reg[d->modrm & 0x3f];
    op = *member;
    op.flags |= group->flags;
    return op;
}

static struct opcode decode_opcode(struct decoder *d)
{
    struct opcode op = *find_opcode(d, decode_prefixes(d));

    if (op.form >= FORM_MODRM)
        d->modrm = decode_byte(d);
    if (op.form == FORM_GROUP)
        op = group_member(d, &op);
    return d->error ? opcode_bad : op;
}

/* --- Sizes and immediates ----------------------------------------------------- */

static u8 operand_size(const struct decoder *d, u16 flags)
{
    u8 mode = d->out->mode;
    u8 size = (mode == 2) == d->op_prefix ? 4 : 2;

    if (flags & OP_BYTE)
        return 1;
    if (flags & OP_WORD)
        return 2;
    if (flags & OP_NATIVE)
        return mode == 8 ? 8 : 4;
    if (d->rex & REX_W)
        return flags & OP_MAX4 ? 4 : 8;
    return mode == 8 && flags & OP_64 && !d->op_prefix ? 8 : size;
}

static u8 source_size(const struct insn *in, u16 flags)
{
    return flags & SRC_1 ? 1 : flags & SRC_2 ? 2 : flags & SRC_4 ? 4 : in->opsize;
}

static void decode_sizes(struct decoder *d, const struct opcode *op)
{
    struct insn *in = d->out;
    u8 smaller = in->mode == 8 ? 4 : in->mode == 4 ? 2 : 4;

    in->addrsize = d->addr_prefix ? smaller : in->mode;
    in->opsize = operand_size(d, op->flags);
    in->srcsize = source_size(in, op->flags);
    in->high_byte_legacy = d->rex == 0;
}

static void decode_immediate(struct decoder *d, u16 flags)
{
    struct insn *in = d->out;
    u32 z = in->opsize == 8 ? 4 : in->opsize;

    switch (flags & IMM_MASK) {
    case IMM_8:
        in->imm = (u64)decode_signed(d, 1);
        break;
    case IMM_U8:
        in->imm = decode_byte(d);
        break;
    case IMM_Z:
        in->imm = (u64)decode_signed(d, z);
        break;
    case IMM_V:
        in->imm = (u64)decode_signed(d, in->opsize);
        break;
    case IMM_16:
        in->imm = (u64)decode_signed(d, 2);
        break;
    case IMM_FAR:
        in->imm = (u64)decode_signed(d, z);
        decode_signed(d, 2);
        break;
    case IMM_ENTER:
        in->imm = (u64)decode_signed(d, 2);
        decode_byte(d);
        break;
    default:
        break;
    }
}

/* --- Validity ----------------------------------------------------------------- */

static bool mode_allows(const struct decoder *d, const struct opcode *op)
{
    bool memory = op->form >= FORM_MODRM && d->modrm < 0xc0;

    if (op->form == FORM_BAD)
        return false;
    if (op->flags & (d->out->mode == 8 ? NO_64 : ONLY_64))
        return false;
    if (op->flags & MEM_ONLY && !memory)
        return false;
    return !(op->flags & REG_ONLY && memory);
}

/* LOCK needs an instruction that reads and writes memory. LOCK MOV CR0 is how
 * AMD reaches CR8 outside 64-bit mode; decode_operands() has seen to it. */
static bool lock_allowed(const struct decoder *d, const struct opcode *op)
{
    if (!d->out->lock || op->form == FORM_FROM_SYS || op->form == FORM_TO_SYS)
        return true;
    return op->flags & LOCKABLE && d->modrm < 0xc0;
}

int insn_decode(const u8 *code, u32 n, u8 mode, struct insn *out)
{
    struct decoder d = {.code = code, .n = n, .seg = INSN_NO_REG, .out = out};
    struct opcode op;

    *out = (struct insn){.mode = mode,
                         .seg = SEG_DS,
                         .scale = 1,
                         .reg = INSN_NO_REG,
                         .rm_reg = INSN_NO_REG,
                         .base = INSN_NO_REG,
                         .index = INSN_NO_REG};
    op = decode_opcode(&d);
    if (d.error)
        return d.error;
    if (!mode_allows(&d, &op) || !lock_allowed(&d, &op))
        return -EINVAL;
    out->op = op.op;
    decode_sizes(&d, &op);
    decode_operands(&d, &op);
    decode_immediate(&d, op.flags);
    out->len = (u8)d.pos;
    return d.error;
}
